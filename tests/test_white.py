# SPDX-License-Identifier: GPL-2.0-or-later
"""No Python object is touched between decode and verdict.

Cython's annotation colours each source line by how much Python its C code has; score 0 is white.
Every line of every `nogil` function that a target's extension compiles has to be white.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CELL = re.compile(r'<pre class="cython line score-(\d+)"[^>]*>(.*?)</pre>', re.DOTALL)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """For each annotated source of a target's core, its lines: (score, text)."""
    out = tmp_path_factory.mktemp("annotate")
    env = {**os.environ, "VFUZZ_BUILD": "annotate"}
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--build-temp", str(out)],
        cwd=ROOT, env=env, check=True, capture_output=True,
    )
    found = {}
    for page in sorted((ROOT / "build/annotate").glob("vfuzz.targets.*._core/**/*.html")):
        lines = []
        for score, body in CELL.findall(page.read_text(encoding="utf-8")):
            text = html.unescape(re.sub(r"<[^>]*>", "", body)).strip("\n")
            number = re.match(r"[+\s\xa0]*\d+:\s?(.*)", text, re.DOTALL)
            assert number, f"{page.name}: cannot read {text!r}"
            lines.append((int(score), number[1]))
        found[str(page.relative_to(ROOT / "build/annotate"))] = lines
    return found


def nogil_functions(lines: list[tuple[int, str]]) -> dict[str, list[tuple[int, str]]]:
    """The lines of each function that is declared nogil, signature included."""
    functions: dict[str, list[tuple[int, str]]] = {}
    at = 0
    while at < len(lines):
        text = lines[at][1]
        if not text.startswith("cdef ") or "(" not in re.split("[=#]", text)[0]:
            at += 1
            continue
        end = at
        while not lines[end][1].rstrip().endswith(":"):
            end += 1
        signature = " ".join(line for _, line in lines[at : end + 1])
        body = end + 1
        while body < len(lines) and (not lines[body][1].strip() or lines[body][1][0] in " #"):
            body += 1
        if signature.rstrip().endswith("nogil:"):
            name = re.search(r"(\w+)\(", signature)
            assert name
            functions[name[1]] = lines[at:body]
        at = body
    return functions


def test_every_nogil_function_is_white(pages: dict[str, list[tuple[int, str]]]) -> None:
    coloured = [
        f"{page}: {name}: {text.strip()} (score {score})"
        for page, lines in pages.items()
        for name, body in nogil_functions(lines).items()
        for score, text in body
        if score
    ]
    assert not coloured, "\n".join(coloured)


def test_the_test_sees_the_functions(pages: dict[str, list[tuple[int, str]]]) -> None:
    names = {name for lines in pages.values() for name in nogil_functions(lines)}
    assert {"run_program", "receive_mergeable", "check_read", "judge_bytes", "vf_decode",
            "virtqueue_get_buf", "target_op", "add_recvbuf_big", "op_rx"} <= names
    assert len(names) > 150
    # and Python lines are not white, or the scores would mean nothing
    entry = next(lines for page, lines in pages.items() if page.endswith("sim/entry.pxi.html"))
    assert any(score for score, text in entry if "result = {" in text)
