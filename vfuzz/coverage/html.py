# SPDX-License-Identifier: GPL-2.0-or-later
"""Coverage as HTML: an index, and a page for each source. No script, no file from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from vfuzz.coverage.measure import Coverage, File

__all__ = ["write"]


def write(coverage: Coverage, folder: Path) -> Path:
    """Write the pages into a folder, which is made, and return the index. Raises OSError."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vfuzz.coverage", "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for file in coverage.files:
        page = environment.get_template("file.html").render(
            coverage=coverage, file=file, share=_share(file), rows=_rows(file)
        )
        (folder / page_name(file)).write_text(page, encoding="utf-8")
    index = folder / "index.html"
    files = [(file, page_name(file), _share(file)) for file in coverage.files]
    index.write_text(
        environment.get_template("index.html").render(coverage=coverage, files=files),
        encoding="utf-8",
    )
    return index


def page_name(file: File) -> str:
    """The name of a source's page."""
    return file.name.replace("/", ".") + ".html"


def _share(file: File) -> float:
    return file.reached / len(file.counts) if file.counts else 1.0


def _rows(file: File) -> list[dict[str, Any]]:
    rows = []
    for number, text in enumerate(file.text.splitlines(), 1):
        count = file.counts.get(number)
        why = file.why.get(number, "") if count == 0 else ""
        kind = "none" if count is None else "run" if count else "told" if why else "miss"
        rows.append({"number": number, "text": text, "count": count, "why": why, "kind": kind})
    return rows
