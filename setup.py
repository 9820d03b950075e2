# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the extensions of vfuzz; everything else about the package is in pyproject.toml.

Every vfuzz/**/*.pyx is an extension module, found by itself. Only the `_core` of each target gets
coverage counters; vfuzz/program never does, since its mutator must load before any engine.
The switch is VFUZZ_BUILD (see tools/compiler.py for the kinds, and tools/README.md):

    python setup.py build_ext --inplace                 the fuzz build, beside the sources
    VFUZZ_BUILD=asan python setup.py build              a whole tree in build/asan, for PYTHONPATH
    VFUZZ_BUILD=annotate python setup.py build_ext      HTML in build/annotate
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build as _build
from setuptools.command.build_ext import build_ext as _build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # pip runs this file without its folder on the path

from tools import compiler as toolchain  # noqa: E402

KIND = toolchain.build_kind()
PRELOAD = "vfuzz.program._preload"


def extensions() -> list[Extension]:
    """An Extension for each .pyx below vfuzz, and the preload library."""
    if KIND == "none":
        return []
    sources = sorted(path.relative_to(ROOT) for path in (ROOT / "vfuzz").rglob("*.pyx"))
    found = [Extension(".".join(path.with_suffix("").parts), [str(path)]) for path in sources]
    if (ROOT / "vfuzz/program/preload.c").exists():
        found.append(Extension(PRELOAD, ["vfuzz/program/preload.c"], libraries=["dl"]))
    return found


def is_instrumented(name: str) -> bool:
    """True if extension `name` is the compiled part of a target."""
    return name.startswith("vfuzz.targets.") and name.endswith("._core")


def write_constants() -> None:
    """Write _gen.pxi of every target from its declarations, which are plain Python."""
    packages = sorted(path.parent for path in (ROOT / "vfuzz/targets").glob("*/ops.py"))
    if packages:
        codegen = importlib.import_module("vfuzz.program.codegen")
        for package in packages:
            codegen.write_pxi(package)


def write_if_changed(path: Path, text: str) -> bool:
    """Write `text` to `path` unless it is there already; True if it was written."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


class build(_build):
    """Puts each kind of build but the default into a tree of its own, build/KIND."""

    def finalize_options(self) -> None:
        if KIND != "fuzz" and self.build_lib is None:
            self.build_lib = os.path.join(self.build_base, KIND)
        super().finalize_options()


class build_ext(_build_ext):
    """Generates constants, runs Cython, and compiles with the compiler of tools/compiler.py."""

    def finalize_options(self) -> None:
        super().finalize_options()
        # Objects of two kinds, or of two Pythons, must never be mixed.
        self.build_temp = os.path.join(self.build_temp, KIND)
        self.parallel = self.parallel or os.cpu_count()

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.split(".")[-1] == PRELOAD.split(".")[-1]:
            # No Python in it, and LD_PRELOAD wants a name that does not depend on the Python.
            return os.path.join(*fullname.split(".")) + ".so"
        return super().get_ext_filename(fullname)

    def run(self) -> None:
        write_constants()
        if KIND == "annotate":
            from tools import annotate

            directives = toolchain.CYTHON_DIRECTIVES
            modules = [Path(ext.sources[0]) for ext in self.extensions if ext.name != PRELOAD]
            pages = annotate.annotate(ROOT, modules, ROOT / "build/annotate", directives)
            print(f"vfuzz: wrote {len(pages)} pages below build/annotate")
            return
        super().run()

    def build_extensions(self) -> None:
        self._run_cython()
        try:
            chosen = toolchain.choose(KIND)
            includes = toolchain.python_includes()
        except toolchain.CompilerError as error:
            raise SystemExit(f"vfuzz: {error}") from error
        print(f"vfuzz: {KIND} build with {chosen}", flush=True)
        compile_command = [*chosen.command, *toolchain.compile_flags(KIND, chosen), *includes]
        link_command = [*chosen.command, *toolchain.link_flags()]
        # Not what Python itself was built with (-Bsymbolic-functions, gcc's own flags).
        self.compiler.set_executables(compiler_so=compile_command, linker_so=link_command)

        temp = Path(self.build_temp)
        allowlist, ignorelist = temp / "coverage.allow", temp / "coverage.ignore"
        changed = write_if_changed(allowlist, toolchain.ALLOWLIST)
        changed |= write_if_changed(
            ignorelist, toolchain.ignorelist(sorted((ROOT / "vfuzz").rglob("*.p[yx][xi]")))
        )
        coverage = {
            on: toolchain.coverage_flags(KIND, on, allowlist, ignorelist) for on in (False, True)
        }
        # Time stamps know nothing of flags: a new compiler or a new flag rebuilds all.
        commands = f"{chosen.version}\n{compile_command}\n{link_command}\n{coverage}\n"
        changed |= write_if_changed(temp / "commands", commands)
        self.force = self.force or changed

        stub = self._compile_stub(coverage[False]) if coverage[True] else []
        for extension in self.extensions:
            instrumented = is_instrumented(extension.name)
            extension.extra_compile_args = coverage[instrumented]
            if extension.name == PRELOAD:
                # LD_PRELOAD brings it into the dynamic linker's hands before any sanitizer is up.
                extension.extra_compile_args = [*coverage[False], "-fno-sanitize=all"]
            extension.extra_objects = stub if instrumented else []
            extension.define_macros = [
                ("VFUZZ_INSTRUMENTED", str(int(instrumented and bool(coverage[True])))),
            ]
        super().build_extensions()

    def _run_cython(self) -> None:
        """Replace each .pyx among the sources by its C file, which all kinds of build share."""
        from Cython.Build import cythonize

        by_name = {ext.name: ext for ext in self.extensions if ext.name != PRELOAD}
        for done in cythonize(
            list(by_name.values()),
            build_dir=os.path.join("build", "cython"),
            include_path=["."],
            compiler_directives=toolchain.CYTHON_DIRECTIVES,
            emit_linenums=True,
            quiet=True,
        ):
            by_name[done.name].sources = done.sources
            by_name[done.name].depends = done.depends

    def _compile_stub(self, flags: list[str]) -> list[str]:
        # Once and beforehand: extensions are built in parallel and share the object file.
        return self.compiler.compile(
            [os.path.join("tools", "sancov_stub.c")],
            output_dir=self.build_temp,
            extra_postargs=["-Wall", "-Wextra", *flags],
        )


setup(
    ext_modules=extensions(),
    cmdclass={"build": build, "build_ext": build_ext},
)
