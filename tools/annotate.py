# SPDX-License-Identifier: GPL-2.0-or-later
"""Cython's annotated HTML for every source that is compiled, included parts and .pxd files too.

`cython -a` writes a page for the .pyx, and for an included file only if it lies below the .pyx. The
models, the simulated world and the checks are such parts, so the pages are written here:

    OUT/<module>/<source>.html      for example
    OUT/vfuzz.targets.ring._core/vfuzz/sim/memory.pxi.html

In a page each source line is an element of class "cython line score-N"; N is 0 ("white") where no
line of C touches a Python object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest import mock


def annotate(
    root: Path, modules: Iterable[Path], out: Path, directives: Mapping[str, object]
) -> list[Path]:
    """Annotate `modules` (.pyx paths below `root`, the working directory); returns the pages.

    directives: compiler directives of the build. Raises Cython's CompileError if a source does
    not compile.
    """
    jobs = [(root.resolve(), module, out.resolve(), dict(directives)) for module in modules]
    # each needs a core for seconds, and the largest for as long as all others
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        return [page for pages in pool.map(_annotate_one, jobs) for page in pages]


def _annotate_one(job: tuple[Path, Path, Path, dict[str, object]]) -> list[Path]:
    """The pages of one module."""
    from Cython.Build import cythonize
    from Cython.Compiler import Annotate
    from setuptools import Extension

    root, module, out, directives = job
    name = ".".join(module.with_suffix("").parts)
    folder = out / name
    pages: list[Path] = []

    def save_all(writer, source_filename, target_filename, coverage_xml=None):
        """Stands in for AnnotationCCodeWriter.save_annotation: a page for every source seen."""
        for name, lines in writer.code.items():
            source = Path(name or "/").resolve()
            if root not in source.parents:
                continue  # code of Cython's own
            page = folder / f"{source.relative_to(root)}.html"
            if page in pages:
                continue  # this function is called again for some of the included files
            page.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            page.write_text(writer._save_annotation(text, lines, None, name), encoding="utf-8")
            pages.append(page)

    with mock.patch.object(Annotate.AnnotationCCodeWriter, "save_annotation", save_all):
        cythonize(
            [Extension(name, [str(module)])],
            annotate=True,
            build_dir=str(out / "c"),
            compiler_directives=directives,
            force=True,
            include_path=["."],
            quiet=True,
        )
    return pages
