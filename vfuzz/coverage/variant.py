# SPDX-License-Identifier: GPL-2.0-or-later
"""The counting variant of a target's extension: made when it is first needed, kept in a cache.

It is compiled from the sources as they are, without a word to what is installed, and lies in the
folder `coverage` of vfuzz' cache, under a name made of all that went into it.
What makes it (Cython, the choice of a compiler) belongs to the source tree of vfuzz.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

from vfuzz import api
from vfuzz.cache import cache_dir
from vfuzz.coverage import instrument
from vfuzz.errors import Error
from vfuzz.program import codegen

__all__ = ["Variant", "load", "sources_of", "variants_dir"]

KEPT_MAX = 12  # variants in the cache; the oldest go

_SOURCE_ROOT = Path(api.__file__).resolve().parents[1]

_CYTHONIZE = """
import json, sys
from Cython.Build import cythonize
from setuptools import Extension
name, source, out, directives, include = json.loads(sys.argv[1])
cythonize([Extension(name, [source])], build_dir=out, include_path=include, quiet=True, force=True,
          compiler_directives=directives)
"""


class Variant:
    """A target whose every statement is counted.

    target  executes programs as always; not the one that `vfuzz.target` returns
    places  for each counter its file, absolute, and its line
    """

    def __init__(self, path: Path, target: api.Target) -> None:
        self.target = api.Target(target.package)
        self.places = [
            (Path(file), line) for file, line in json.loads(path.with_suffix(".json").read_text())
        ]
        self.target.core = _import(f"{target.package.__name__}._core", path)  # type: ignore[misc]
        self._path = path

    @cached_property
    def _counters(self) -> ctypes.Array[ctypes.c_ulonglong]:
        library = ctypes.CDLL(str(self._path))
        return (ctypes.c_ulonglong * len(self.places)).in_dll(library, instrument.SYMBOL)

    def clear(self) -> None:
        """Begin to count at nothing."""
        ctypes.memset(self._counters, 0, ctypes.sizeof(self._counters))

    def counts(self) -> dict[Path, dict[int, int]]:
        """How often each statement was reached: file -> line -> times."""
        found: dict[Path, dict[int, int]] = {}
        for (file, line), count in zip(self.places, self._counters, strict=True):
            lines = found.setdefault(file, {})
            lines[line] = lines.get(line, 0) + count
        return found


_loaded: dict[Path, Variant] = {}


def load(target: api.Target, told: Callable[[str], None] = lambda line: None) -> Variant:
    """The counting variant of a target, made first if the cache does not have it.

    told  is called with a line before each step that takes time

    Raises Error for what is missing: the source tree, Cython, a compiler, Python's headers.
    """
    toolchain = _toolchain(target)
    compiler, flags = _compiler(target, toolchain)
    key = _key(target, [compiler.version, *flags, json.dumps(toolchain.CYTHON_DIRECTIVES)])
    path = variants_dir() / f"{target.package.__name__}-{key}.so"
    if path not in _loaded:
        if not path.is_file():
            _make(target, path, toolchain, [*compiler.command, *flags], told)
        _loaded[path] = Variant(path, target)
    return _loaded[path]


def sources_of(target: api.Target) -> Iterator[Path]:
    """The Cython files that a target may be made of, sorted."""
    folders = [_folder(target), _SOURCE_ROOT / "vfuzz/sim", _SOURCE_ROOT / "vfuzz/program"]
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*.p[yx][xid]") if path.is_file())


def _folder(target: api.Target) -> Path:
    return Path(str(target.package.__file__)).resolve().parent


def _root(target: api.Target) -> Path:
    """The folder from which the target is imported."""
    return _folder(target).parents[target.package.__name__.count(".")]


def _toolchain(target: api.Target) -> ModuleType:
    """tools/compiler.py of the source tree."""
    path = _SOURCE_ROOT / "tools/compiler.py"
    if not path.is_file():
        raise Error(
            f"coverage of {target.name} needs the source tree of vfuzz, since it compiles the "
            f"target anew, and this vfuzz is installed without it, in {_SOURCE_ROOT}: "
            f"use a clone, built with './do build'"
        )
    if not (_folder(target) / "_core.pyx").is_file():
        raise Error(f"{target.name} has no Cython source: {_folder(target)} holds no _core.pyx")
    constants = _folder(target) / codegen.PXI_NAME
    if not constants.is_file() or constants.read_text("utf-8") != codegen.text_of(_folder(target)):
        raise Error(f"{target.name} was not built since its declarations changed: run './do build'")
    name = "_vfuzz_tools_compiler"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def _compiler(target: api.Target, toolchain: ModuleType) -> tuple[ModuleType, list[str]]:
    """(the compiler, flags with which it compiles and links in one go)."""
    try:
        compiler = toolchain.choose("plain")
        includes = toolchain.python_includes()
    except toolchain.CompilerError as error:
        text = str(error).removeprefix("VFUZZ_BUILD=plain: ")
        raise Error(f"coverage of {target.name} needs a C compiler: {text}") from None
    # Nothing of CFLAGS: a sanitizer or a fuzzer's coverage there would need its runtime.
    flags = toolchain.compile_flags("plain", compiler, {})
    flags += ["-O1", "-g0", "-w", *includes, *toolchain.link_flags({})]
    return compiler, flags


def variants_dir() -> Path:
    """Where the variants are; it is there afterwards. Raises OSError."""
    path = cache_dir("coverage")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _key(target: api.Target, words: list[str]) -> str:
    try:
        cython = importlib.metadata.version("cython")
    except importlib.metadata.PackageNotFoundError:
        raise Error(
            f"coverage of {target.name} needs Cython, which {sys.executable} does not have: "
            f"pip install cython, or use the environment of './do build'"
        ) from None
    digest = hashlib.sha256()
    words += [cython, str(sysconfig.get_config_var("EXT_SUFFIX"))]
    files = [*sources_of(target), Path(__file__), Path(instrument.__file__)]
    for word in words:
        digest.update(word.encode() + b"\0")
    for file in files:
        digest.update(str(file).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _make(
    target: api.Target,
    path: Path,
    toolchain: ModuleType,
    compile_command: list[str],
    told: Callable[[str], None],
) -> None:
    name, root = f"{target.package.__name__}._core", _root(target)
    source = (_folder(target) / "_core.pyx").relative_to(root)
    directives = {**toolchain.CYTHON_DIRECTIVES, **instrument.DIRECTIVES}
    with tempfile.TemporaryDirectory(prefix="making-", dir=path.parent) as scratch:
        told(f"{target.name}: a variant that counts lines is made, once: Cython")
        include = [".", str(_SOURCE_ROOT)]
        asked = json.dumps([name, str(source), scratch, directives, include])
        _run([sys.executable, "-c", _CYTHONIZE, asked], root, f"Cython on {source}")
        text, places = instrument.instrument(
            (Path(scratch) / source).with_suffix(".c").read_text(encoding="utf-8")
        )
        made = Path(scratch) / "counting.c"
        made.write_text(text, encoding="utf-8")
        told(f"{target.name}: a variant that counts lines is made, once: {compile_command[0]}")
        result = Path(scratch) / "counting.so"
        _run([*compile_command, str(made), "-o", str(result)], root, f"compiling {source}")
        table = [(str((root / file).resolve()), line) for file, line in places]
        (result.with_suffix(".json")).write_text(json.dumps(table), encoding="utf-8")
        # the table first: a variant that is there is whole
        os.replace(result.with_suffix(".json"), path.with_suffix(".json"))
        os.replace(result, path)
    kept = sorted(path.parent.glob("*.so"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in kept[KEPT_MAX:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)


def _run(command: list[str], folder: Path, what: str) -> None:
    """Run a command to its end; Ctrl-C here ends it, and it never sees one itself."""
    child = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = child.communicate()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode:
        last = "\n".join(said.strip().splitlines()[-12:])
        raise Error(f"{what} failed, exit code {child.returncode}:\n{last}")


def _import(name: str, path: Path) -> ModuleType:
    """Load an extension module from a file, beside the one that is installed under its name."""
    installed = sys.modules.get(name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        # Cython's modules enter themselves
        if installed is not None:
            sys.modules[name] = installed
        else:
            sys.modules.pop(name, None)
    return module
