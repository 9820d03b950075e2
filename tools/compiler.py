# SPDX-License-Identifier: GPL-2.0-or-later
"""Which C compiler builds vfuzz, and with which flags, for each kind of build.

A *kind* is one of `KINDS` and comes from the environment variable ``VFUZZ_BUILD``:

``fuzz``      targets carry coverage counters for libFuzzer (the default)
``plain``     no instrumentation at all
``asan``      AddressSanitizer and UndefinedBehaviorSanitizer, and the coverage counters
``annotate``  no compiling: Cython's annotated HTML of every source, in build/annotate
``none``      the Python files alone: for an editable install whose extensions are built apart

The standard library is all that is needed here, so that the set-up can ask before anything is
installed. Nothing in this file writes a file.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

KINDS = ("fuzz", "plain", "asan", "annotate", "none")

#: How Cython compiles every source, in every kind of build.
CYTHON_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
}

#: Names looked for on PATH, in this order, when CC is not set.
CLANG_NAMES = ("clang", *(f"clang-{major}" for major in range(21, 13, -1)))

#: No trace-cmp: a seed of virtio-net-rx (16 ops) takes 56,900 instructions plain, 59,600 with
#: these, 101,600 with trace-cmp and empty callbacks (libFuzzer's own cost more), and a campaign of
#: equal time covered less with it. What it is for, finding magic values, the mutator has from the
#: schema.
COVERAGE_FLAGS = ("-fsanitize-coverage=inline-8bit-counters,pc-table",)

#: The same, out of what ``-fsanitize=fuzzer-no-link`` in CFLAGS switched on.
NARROWED_COVERAGE_FLAGS = ("-fno-sanitize-coverage=stack-depth,trace-cmp,indirect-calls",)

#: Takes away all that ``-fsanitize=fuzzer-no-link`` in CFLAGS switched on.
NO_COVERAGE_FLAGS = ("-fno-sanitize=fuzzer-no-link",)

#: ``function`` needs type data in front of each function, which CPython's own code lacks.
ASAN_FLAGS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize=function",
    "-fno-sanitize-recover=undefined",
    "-fno-omit-frame-pointer",
)

#: Cython mangles cdef functions to ``__pyx_f_...`` and the body and wrapper of a def function to
#: ``__pyx_pf_...`` and ``__pyx_pw_...``. The list is matched after inlining, so the entry
#: functions, into which the model may have been inlined, are on it.
ALLOWLIST = """\
src:*
fun:__pyx_f_*
fun:__pyx_pf_*fuzz_one*
fun:__pyx_pw_*fuzz_one*
"""

#: The program codec is compiled into every target; its branches say nothing about the target.
IGNORELIST = """\
fun:__pyx_f_5vfuzz_7program_*
"""

#: A source whose first lines have this says that none of its functions is to be counted.
COVERAGE_OFF = "# coverage: off"

APT_CLANG = "apt-get install clang"


class CompilerError(RuntimeError):
    """No compiler fits; the message says what was looked for and what to do."""


@dataclass(frozen=True)
class Compiler:
    """One C compiler that is also the linker.

    command: the words to run, without flags of ours
    family:  "clang", "zig", "gcc", or "other"
    version: the first line of what ``--version`` prints
    why:     how it came to be chosen, for the line that the build prints
    """

    command: tuple[str, ...]
    family: str
    version: str
    why: str

    def __str__(self) -> str:
        return f"{shlex.join(self.command)} ({self.version}): {self.why}"


def ignorelist(sources: Iterable[Path]) -> str:
    """IGNORELIST and the functions of each source that says COVERAGE_OFF.

    The books of the sanitizer branch on what the model has branched on: counting them again made
    every execution dearer, in the target and in the engine, and found nothing sooner.
    """
    names = set()
    for source in sources:
        text = source.read_text(encoding="utf-8")
        if any(line.startswith(COVERAGE_OFF) for line in text.splitlines()[:3]):
            names |= set(re.findall(r"^cdef [^(=\n]*?(\w+)\(", text, re.MULTILINE))
    return IGNORELIST + "".join(f"fun:__pyx_f_*_core_{name}\n" for name in sorted(names))


def build_kind(env: Mapping[str, str] = os.environ) -> str:
    """The kind that ``VFUZZ_BUILD`` asks for, "fuzz" when unset; CompilerError if unknown."""
    kind = env.get("VFUZZ_BUILD") or "fuzz"
    if kind not in KINDS:
        raise CompilerError(f"VFUZZ_BUILD={kind}: no such kind of build; use {', '.join(KINDS)}")
    return kind


def choose(kind: str, env: Mapping[str, str] = os.environ) -> Compiler:
    """The compiler for `kind`: CC, else clang on PATH, else the ziglang package, else (plain) gcc.

    Raises CompilerError, with what to install, when none of them serves.
    """
    if env.get("CC"):
        return _check(kind, _describe(tuple(shlex.split(env["CC"])), "CC is set"))
    path = env.get("PATH", os.defpath)
    for name in CLANG_NAMES:
        if shutil.which(name, path=path):
            return _check(kind, _describe((name,), "first clang on PATH"))
    if kind == "asan":
        raise CompilerError(
            "VFUZZ_BUILD=asan needs clang: there is none on PATH, CC is not set, and neither gcc "
            f"nor ziglang emits code for the runtime in atheris. On Debian or Ubuntu: {APT_CLANG}"
        )
    if importlib.util.find_spec("ziglang"):
        return _describe(zig_command(), "no clang on PATH, so the ziglang package")
    if kind == "plain" and shutil.which("gcc", path=path):
        return _describe(("gcc",), "no clang on PATH and no ziglang package; plain needs no more")
    raise CompilerError(
        f"VFUZZ_BUILD={kind}: no C compiler: CC is not set, PATH has no clang, and "
        f"{sys.executable} has no ziglang package. Install one: pip install ziglang, or {APT_CLANG}"
    )


def requirements(env: Mapping[str, str] = os.environ) -> list[str]:
    """What pip is to install so that `choose` finds a compiler; empty if the machine has one."""
    path = env.get("PATH", os.defpath)
    has_compiler = env.get("CC") or any(shutil.which(name, path=path) for name in CLANG_NAMES)
    return [] if has_compiler or build_kind(env) == "none" else ["ziglang>=0.17"]


def zig_command() -> tuple[str, ...]:
    """The C compiler inside the ziglang package of this interpreter.

    A target is named because zig otherwise compiles for the very CPU it runs on, and takes the
    system's C library if there is one: two machines would then build two different things.
    """
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    return (sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu.2.28")


def python_includes(environment: Path = Path(sys.prefix)) -> list[str]:
    """Flags with which ``#include <Python.h>`` compiles; CompilerError if there are no headers.

    environment: the .venv into which the set-up unpacks headers that the system lacks.
    """
    include = Path(sysconfig.get_path("include"))
    version = f"python{sysconfig.get_python_version()}"
    for base in (include, environment / "headers" / "usr" / "include" / version):
        if (base / "Python.h").is_file():
            # Debian's pyconfig.h includes <x86_64-linux-gnu/python3.11/pyconfig.h>, relative to
            # the folder above; last in the order, so that it never shadows the compiler's libc.
            return [f"-I{base}", f"-idirafter{base.parent}"]
    raise CompilerError(
        f"Python.h is not in {include}: the headers of Python {version[6:]} are missing. "
        f"On Debian or Ubuntu: apt-get install lib{version}-dev"
    )


def compile_flags(kind: str, compiler: Compiler, env: Mapping[str, str] = os.environ) -> list[str]:
    """Flags for every C file of a build of `kind`; CFLAGS and CPPFLAGS come last, and win."""
    # The valgrind of Debian 12 gives up on DWARF 5, clang's default.
    flags = ["-fPIC", "-gdwarf-4"]
    if kind == "asan":
        # No -fwrapv and no NDEBUG: here a signed overflow is to be seen.
        flags += ["-O1", *ASAN_FLAGS]
    else:
        flags += ["-O2", "-fwrapv", "-DNDEBUG"]
    if compiler.family == "zig":
        # zig adds UBSan traps of its own to whatever is not optimised for release.
        flags.append("-fno-sanitize=undefined")
    return flags + shlex.split(env.get("CPPFLAGS", "")) + shlex.split(env.get("CFLAGS", ""))


def coverage_flags(
    kind: str,
    instrumented: bool,
    allowlist: Path,
    ignorelist: Path,
    env: Mapping[str, str] = os.environ,
) -> list[str]:
    """Flags that switch coverage on or off for one extension, to follow `compile_flags`.

    allowlist, ignorelist: absolute paths of files with the texts `ALLOWLIST` and `IGNORELIST`.
    OSS-Fuzz passes ``-fsanitize=fuzzer-no-link`` in CFLAGS for everything; it is then narrowed to
    the targets here, whatever the kind.
    """
    from_cflags = "fuzzer-no-link" in env.get("CFLAGS", "")
    if not instrumented or (kind == "plain" and not from_cflags):
        return list(NO_COVERAGE_FLAGS) if from_cflags else []
    return [
        *(NARROWED_COVERAGE_FLAGS if from_cflags else COVERAGE_FLAGS),
        f"-fsanitize-coverage-allowlist={allowlist.absolute()}",
        f"-fsanitize-coverage-ignorelist={ignorelist.absolute()}",
    ]


def link_flags(env: Mapping[str, str] = os.environ) -> list[str]:
    """Flags for linking a shared object. CFLAGS are among them, as distutils does it.

    Never -Bsymbolic, which Debian's own Python would add: the weak callbacks of sancov_stub.c
    would then hide those of the atheris core. Nor our own -fsanitize flags: the runtime is the one
    that atheris brings, by LD_PRELOAD, and clang's own need not be installed.
    """
    return ["-shared", *shlex.split(env.get("CFLAGS", "")), *shlex.split(env.get("LDFLAGS", ""))]


def _describe(command: tuple[str, ...], why: str) -> Compiler:
    """Run ``command --version`` and classify it; CompilerError if it does not run."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=120, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CompilerError(
            f"the C compiler {shlex.join(command)!r} ({why}) does not run: {error}; "
            "unset CC, or set it to a clang"
        ) from error
    version = (done.stdout.strip().splitlines() or ["no version"])[0]
    if "ziglang" in command:
        family = "zig"
    elif "clang" in version:
        family = "clang"
    elif "gcc" in version.lower() or "Free Software Foundation" in done.stdout:
        family = "gcc"
    else:
        family = "other"
    return Compiler(command, family, version, why)


def _check(kind: str, compiler: Compiler) -> Compiler:
    """`compiler` if it can do `kind`, else CompilerError."""
    if compiler.family == "gcc" and kind in ("fuzz", "asan"):
        raise CompilerError(
            f"{shlex.join(compiler.command)} is gcc ({compiler.why}), which has no "
            f"inline-8bit-counters, so it cannot do VFUZZ_BUILD={kind}. Unset CC (clang on PATH or "
            "the ziglang package is then used), set CC=clang, or set VFUZZ_BUILD=plain"
        )
    return compiler
