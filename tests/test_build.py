# SPDX-License-Identifier: GPL-2.0-or-later
"""The build: which compiler, which flags, what is instrumented, and what an archive holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

import vfuzz

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # last, so that a build tree in PYTHONPATH stays in front

from tools import compiler, environment  # noqa: E402

EXT_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
PACKAGE = Path(vfuzz.__file__).parent  # of the build under test
COVERAGE_CALLBACK = b"__sanitizer_cov_8bit_counters_init"

CLANG = "Debian clang version 14.0.6"
GCC = "gcc (Debian 12.2.0-14) 12.2.0"


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is in .stdout, errors included."""
    options.setdefault("stderr", subprocess.STDOUT)
    words = [str(word) for word in command]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, **options)


def modules() -> list[str]:
    """Dotted names of all extension modules of the tree."""
    found = sorted((ROOT / "vfuzz").rglob("*.pyx"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]


def cores() -> list[str]:
    return [name for name in modules() if name.endswith("._core")]


def library(name: str) -> Path:
    """The compiled file of an extension module, in the build under test."""
    return PACKAGE.parent.joinpath(*name.split(".")).with_suffix(EXT_SUFFIX)


# ---------------------------------------------------------------- choice of compiler


@pytest.fixture
def path_with(tmp_path, monkeypatch):
    """Makes a PATH of nothing but the named programs, each printing the given version."""

    def make(**versions: str) -> dict[str, str]:
        for name, version in versions.items():
            program = tmp_path / name.replace("_", "-")
            program.write_text(f"#!/bin/sh\necho '{version}'\n", encoding="utf-8")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return {"PATH": str(tmp_path)}

    return make


@pytest.fixture
def no_ziglang(monkeypatch):
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)


def test_cc_wins_over_clang_on_path(path_with):
    env = path_with(clang=CLANG, mycc="clang version 17.0.1")
    chosen = compiler.choose("fuzz", {**env, "CC": "mycc -m64"})
    assert chosen.command == ("mycc", "-m64")
    assert chosen.family == "clang"
    assert "CC is set" in str(chosen)


def test_plain_clang_before_numbered(path_with):
    env = path_with(clang=CLANG, clang_14=CLANG)
    assert compiler.choose("fuzz", env).command == ("clang",)


def test_newest_numbered_clang(path_with):
    env = path_with(clang_14=CLANG, clang_19="clang version 19.1.0")
    assert compiler.choose("asan", env).command == ("clang-19",)


def test_ziglang_when_there_is_no_clang(path_with, monkeypatch):
    env = path_with(gcc=GCC)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: name == "ziglang")
    monkeypatch.setattr(
        compiler, "_describe", lambda command, why: compiler.Compiler(command, "zig", "1", why)
    )
    command = compiler.choose("fuzz", env).command
    assert command[:4] == (sys.executable, "-m", "ziglang", "cc")
    assert "-target" in command, "without a target zig compiles for this very CPU"


def test_gcc_is_enough_for_plain(path_with, no_ziglang):
    assert compiler.choose("plain", path_with(gcc=GCC)).family == "gcc"


@pytest.mark.parametrize("kind", ["fuzz", "asan"])
def test_gcc_from_cc_is_refused_where_it_cannot_do(path_with, kind):
    env = path_with(gcc=GCC)
    with pytest.raises(compiler.CompilerError, match=r"inline-8bit-counters.*VFUZZ_BUILD=plain"):
        compiler.choose(kind, {**env, "CC": "gcc"})


def test_no_compiler_says_what_to_install(path_with, no_ziglang):
    env = path_with(gcc=GCC)
    with pytest.raises(compiler.CompilerError, match="pip install ziglang, or apt-get"):
        compiler.choose("fuzz", env)


def test_asan_does_not_fall_back_to_ziglang(path_with):
    with pytest.raises(compiler.CompilerError, match=r"asan needs clang.*apt-get install clang"):
        compiler.choose("asan", path_with(gcc=GCC))


def test_cc_that_does_not_run(path_with):
    with pytest.raises(compiler.CompilerError, match=r"'nosuchcc'.*does not run.*unset CC"):
        compiler.choose("fuzz", {**path_with(), "CC": "nosuchcc"})


def test_pip_installs_a_compiler_only_where_there_is_none(path_with):
    env = path_with(gcc=GCC)
    assert compiler.requirements(env)[0].startswith("ziglang")
    assert compiler.requirements({**env, "VFUZZ_BUILD": "none"}) == []
    assert compiler.requirements({**env, "CC": "mycc"}) == []
    assert compiler.requirements(path_with(clang=CLANG)) == []


def test_unknown_kind_names_the_kinds():
    with pytest.raises(compiler.CompilerError, match=r"VFUZZ_BUILD=asna.*fuzz, plain, asan"):
        compiler.build_kind({"VFUZZ_BUILD": "asna"})
    assert compiler.build_kind({}) == "fuzz"


# ---------------------------------------------------------------- flags


def coverage(kind: str, instrumented: bool, cflags: str = "") -> list[str]:
    lists = Path("allow"), Path("ignore")
    return compiler.coverage_flags(kind, instrumented, *lists, env={"CFLAGS": cflags})


@pytest.mark.parametrize("kind", ["fuzz", "asan"])
def test_targets_alone_get_counters(kind):
    flags = coverage(kind, True)
    assert "-fsanitize-coverage=inline-8bit-counters,pc-table" in flags
    assert f"-fsanitize-coverage-allowlist={Path('allow').absolute()}" in flags
    assert coverage(kind, False) == []


def test_plain_has_no_counters():
    assert coverage("plain", True) == []


def test_coverage_from_cflags_is_not_doubled_but_narrowed():
    cflags = "-O1 -fsanitize=address,fuzzer-no-link"
    flags = coverage("fuzz", True, cflags)
    assert not [flag for flag in flags if flag.startswith("-fsanitize-coverage=")]
    assert "-fno-sanitize-coverage=stack-depth,trace-cmp,indirect-calls" in flags
    assert any(flag.startswith("-fsanitize-coverage-allowlist=") for flag in flags)
    assert coverage("fuzz", False, cflags) == ["-fno-sanitize=fuzzer-no-link"]


def test_a_source_can_say_that_it_is_not_counted(tmp_path):
    marked, plain = tmp_path / "books.pxi", tmp_path / "model.pxi"
    functions = "cdef inline int {0}_get(int a) noexcept nogil:\n    return a\n\n\n"
    functions += "cdef void {0}_put(\n    int a,\n) noexcept nogil:\n    pass\n"
    marked.write_text(f"# coverage: off\n{functions.format('books')}", encoding="utf-8")
    plain.write_text(functions.format("model"), encoding="utf-8")
    listed = compiler.ignorelist([marked, plain]).splitlines()
    assert "fun:__pyx_f_*_core_books_get" in listed
    assert "fun:__pyx_f_*_core_books_put" in listed
    assert not [line for line in listed if "model" in line]
    assert compiler.IGNORELIST.strip() in listed


def test_cflags_come_last():
    clang = compiler.Compiler(("clang",), "clang", CLANG, "")
    flags = compiler.compile_flags("fuzz", clang, {"CFLAGS": "-O0 -march=x86-64-v2"})
    assert flags[-2:] == ["-O0", "-march=x86-64-v2"]
    assert flags.index("-O2") < flags.index("-O0")


def test_asan_sees_signed_overflow_and_asserts():
    clang = compiler.Compiler(("clang",), "clang", CLANG, "")
    flags = compiler.compile_flags("asan", clang, {})
    assert "-fsanitize=address,undefined" in flags
    assert not {"-fwrapv", "-DNDEBUG"} & set(flags)


def test_never_linked_symbolically():
    flags = " ".join(compiler.link_flags({}))
    assert "-shared" in flags
    assert "Bsymbolic" not in flags


# ---------------------------------------------------------------- set-up


def test_build_is_keyed_on_sources_and_compiler(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for name in ("setup.py", "pyproject.toml", "vfuzz/part.pxi", "vfuzz/_gen.pxi", "vfuzz/a.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, encoding="utf-8")
    before = environment._build_inputs("fuzz")

    (tmp_path / "vfuzz/_gen.pxi").write_text("made by the build", encoding="utf-8")
    (tmp_path / "vfuzz/a.md").write_text("not compiled", encoding="utf-8")
    assert environment._build_inputs("fuzz") == before

    monkeypatch.setenv("CFLAGS", "-O3")
    assert environment._build_inputs("fuzz") != before
    monkeypatch.delenv("CFLAGS")
    assert environment._build_inputs("plain") != before
    (tmp_path / "vfuzz/part.pxi").write_text("changed", encoding="utf-8")
    assert environment._build_inputs("fuzz") != before


def test_missing_headers_name_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler.sysconfig, "get_path", lambda name: str(tmp_path / "none"))
    with pytest.raises(compiler.CompilerError, match=r"apt-get install libpython3\.\d+-dev"):
        compiler.python_includes(tmp_path)


def test_do_refuses_an_unknown_word():
    done = run(ROOT / "do", "fizz")
    assert done.returncode == 2
    assert "no such word: fizz" in done.stdout
    assert "usage: ./do WORD" in done.stdout


def test_do_needs_python_3_11(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = run(ROOT / "do", "build", env={**os.environ, "PYTHON": str(old)})
    assert done.returncode == 3
    assert "no Python 3.11 or later" in done.stdout


def test_make_words_are_those_of_do():
    lines = re.findall(r"^WORDS [:+]= (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    words = " ".join(lines).split()
    usage = run(ROOT / "do", "help").stdout
    listed = set(re.findall(r"^    ([\w-]+)  ", usage, flags=re.MULTILINE))
    assert set(words) == listed | {"help"}


# ---------------------------------------------------------------- what was built


def test_declarations_need_nothing_but_the_standard_library():
    """A build in isolation imports them before anything of vfuzz's own is installed."""
    targets = sorted(path.parent.name for path in (ROOT / "vfuzz/targets").glob("*/ops.py"))
    assert targets
    parts = [f"vfuzz.targets.{t}.{part}" for t in targets for part in ("ops", "checks", "quirks")]
    code = f"import sys, importlib; sys.path.insert(0, {str(ROOT)!r})\n"
    for name in ["vfuzz.program.codegen", *parts]:
        code += f"importlib.import_module({name!r})\n"
    done = run(sys.executable, "-S", "-I", "-B", "-c", code)
    assert done.returncode == 0, done.stdout


def test_every_module_imports_without_a_fuzzing_engine():
    code = "import importlib, sys\n"
    for name in modules():
        code += f"importlib.import_module({name!r})\n"
    code += "assert 'atheris' not in sys.modules\n"
    code += "maps = open('/proc/self/maps').read()\n"
    code += "assert 'core_with' not in maps, 'a module brought the atheris core along'\n"
    done = run(sys.executable, "-c", code, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout


def test_only_targets_are_instrumented():
    assert cores()
    for name in modules():
        instrumented = COVERAGE_CALLBACK in library(name).read_bytes()
        assert instrumented == (name in cores()), name
    assert COVERAGE_CALLBACK not in (PACKAGE / "program/_preload.so").read_bytes()


def test_preload_library_exports_the_mutator():
    content = (PACKAGE / "program/_preload.so").read_bytes()
    assert b"LLVMFuzzerCustomMutator\0" in content
    assert b"PyInit" not in content
    assert b"libpython" not in content


CAMPAIGN = """
import os, sys
sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_NOW)
import atheris, atheris.core_with_libfuzzer
sys.setdlopenflags(os.RTLD_NOW)
import importlib
core = importlib.import_module(sys.argv.pop(1))
if hasattr(core, "configure"):
    core.configure((0,), 0, frozenset(), lambda data, era, violation: None, 0, None)
atheris.Setup(sys.argv, core.fuzz_one, internal_libfuzzer=True)
atheris.Fuzz()
"""


def campaign(name: str, tree: Path, folder: Path) -> tuple[int, list[int]]:
    """Run atheris on module `name` of `tree`: (counters registered, edges covered as it went)."""
    script = folder / "campaign.py"
    script.write_text(CAMPAIGN, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(tree)}
    arguments = ("-runs=20000", "-seed=1", "-max_len=512", "-len_control=0")
    done = run(sys.executable, script, name, *arguments, cwd=folder, env=env)
    assert done.returncode == 0, done.stdout
    loaded = re.search(r"INFO: Loaded 1 modules +\((\d+) inline 8-bit counters\)", done.stdout)
    assert loaded, done.stdout
    return int(loaded[1]), [int(cov) for cov in re.findall(r"\bcov: (\d+)", done.stdout)]


@pytest.mark.parametrize("name", cores())
def test_counters_reach_libfuzzer(name, tmp_path):
    """The weak callbacks linked into the extension give way to those of the engine."""
    _, covered = campaign(name, PACKAGE.parent, tmp_path)
    assert covered[-1] > covered[0], "coverage does not grow"


# ---------------------------------------------------------------- archives, and other kinds


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The source archive of this tree."""
    out = tmp_path_factory.mktemp("sdist")
    code = f"from tools import backend; print(backend.build_sdist({str(out)!r}))"
    done = run(sys.executable, "-c", code, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    (archive,) = out.glob("vfuzz-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory) -> Path:
    """The unpacked source archive: a clean tree without git."""
    folder = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, folder)
    (tree,) = folder.iterdir()
    return tree


@pytest.mark.slow
def test_sdist_holds_all_sources(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if (ROOT / ".git").exists():
        tracked = run("git", "ls-files", cwd=ROOT).stdout.splitlines()
        missing = {name for name in tracked if (ROOT / name).is_file()} - names
        assert missing <= {".gitignore"}
    assert {"do", "LICENSE", "tools/sancov_stub.c", "vfuzz/program/preload.c"} <= names
    assert not [name for name in names if name.endswith((".so", "_gen.pxi", ".pyc"))]


@pytest.mark.slow
def test_wheel_holds_sources_and_modules(unpacked, tmp_path):
    env = {**os.environ, "VFUZZ_BUILD": "plain"}
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    done = run(*pip, "--wheel-dir", tmp_path, ".", cwd=unpacked, env=env)
    assert done.returncode == 0, done.stdout
    (wheel,) = tmp_path.glob("vfuzz-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    for name in modules():
        stem = name.replace(".", "/")
        assert {f"{stem}.pyx", f"{stem}{EXT_SUFFIX}"} <= names
    shipped = [path.relative_to(ROOT) for path in (ROOT / "vfuzz").rglob("*.p[xy]*")]
    shipped = [path for path in shipped if path.suffix in (".py", ".pyx", ".pxd", ".pxi")]
    missing = {str(path) for path in shipped if path.name != "_gen.pxi"} - names
    assert not missing
    assert "vfuzz/program/_preload.so" in names
    assert not [name for name in names if not name.startswith(("vfuzz/", "vfuzz-"))]
    code = f"import {', '.join(modules())}"
    done = run(sys.executable, "-c", code, cwd=tmp_path / "installed")
    assert done.returncode == 0, done.stdout
    for path in (tmp_path / "installed").rglob("*.so"):
        assert COVERAGE_CALLBACK not in path.read_bytes(), f"{path.name} of a plain build"


@pytest.mark.slow
def test_annotated_pages_cover_included_parts(unpacked):
    env = {**os.environ, "VFUZZ_BUILD": "annotate"}
    done = run(sys.executable, "setup.py", "--quiet", "build_ext", cwd=unpacked, env=env)
    assert done.returncode == 0, done.stdout
    pages = unpacked / "build/annotate"
    for name in cores():
        assert (pages / name / (name.replace(".", "/") + ".pyx.html")).is_file()
        included = [path for path in (pages / name).rglob("*.pxi.html") if path.stat().st_size]
        assert included, f"no page for a part that {name} includes"
        assert "cython line score-" in included[0].read_text(encoding="utf-8")


TINY_TARGET = """\
cdef int classify(const unsigned char* data, size_t size) noexcept nogil:
    if size > 3 and data[0] == 118:
        return 2 if data[1] == 102 else 1
    return 0


def fuzz_one(bytes data):
    return classify(data, len(data))


def no_target_code(items):
    return sorted(str(item) for item in items if item or not item)
"""


@pytest.mark.slow
def test_allowlist_leaves_out_what_cython_adds(unpacked, tmp_path):
    tree = tmp_path / "tree"
    (tree / "vfuzz/targets/tiny").mkdir(parents=True)
    (tree / "vfuzz/targets/tiny/_core.pyx").write_text(TINY_TARGET, encoding="utf-8")
    (tree / "vfuzz/__init__.py").write_text('__version__ = "0"\n', encoding="utf-8")
    shutil.copytree(unpacked / "tools", tree / "tools")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(unpacked / name, tree)
    done = run(sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", cwd=tree)
    assert done.returncode == 0, done.stdout
    counters, _ = campaign("vfuzz.targets.tiny._core", tree, tmp_path)
    assert 4 <= counters <= 60, "Cython's own code has hundreds"


@pytest.mark.slow
def test_set_up_with_nothing_but_python(unpacked, tmp_path):
    """No compiler, no make, no activated environment: ziglang builds, and a second run is idle."""
    for tool in ("sh", "dirname", "apt-get", "dpkg-deb", "tar"):
        found = shutil.which(tool)
        if found:
            (tmp_path / tool).symlink_to(found)
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    env = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HOME"))}
    env |= {"PATH": str(tmp_path), "PYTHON": str(base)}
    done = run(unpacked / "do", "build", env=env)
    assert done.returncode == 0, done.stdout
    assert "no clang on PATH, so the ziglang package" in done.stdout

    started = time.monotonic()
    again = run(unpacked / "do", "build", env=env)
    assert again.returncode == 0
    assert again.stdout == ""
    assert time.monotonic() - started < 5

    python = unpacked / ".venv/bin/python"
    code = f"import {', '.join(modules())}; import vfuzz; print(vfuzz.__file__)"
    done = run(python, "-c", code, cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert done.stdout.strip() == str(unpacked / "vfuzz/__init__.py")
    assert run(unpacked / ".venv/bin/vfuzz", "--help", env=env).returncode == 0
