# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz cmin`"""

from __future__ import annotations

import json

from .conftest import LEDGER

HEAD = f"# target: {LEDGER}\nboot()\n"


def test_a_corpus_is_distilled(vfuzz, write, tmp_path):
    for number in range(6):
        write(f"in/{number}.vf", HEAD + "get(id=1)\n" * (number + 1))
    write("in/other.vf", HEAD + "get(id=2)\n")
    done = vfuzz("cmin", "in", "out", "--text", "text")
    assert done.code == 0, done.err
    assert "7 programs, " in done.out
    assert " -> 2 programs, 64 bytes with 2 features: out" in done.out
    assert len(list((tmp_path / "out").iterdir())) == 2
    texts = {path.read_text() for path in (tmp_path / "text").iterdir()}
    assert texts == {HEAD + "get(id=1)\n", HEAD + "get(id=2)\n"}
    again = json.loads(vfuzz("cmin", "in", "out", "--json").out)
    assert again["files_out"] == 0


def test_what_makes_no_sense_is_usage(vfuzz, write):
    write("in/a.vf", HEAD)
    write("file", "")
    (done := vfuzz("cmin", "in", "file"))
    assert done.code == 2
    assert "OUT file is a file" in done.err
    assert vfuzz("cmin", "missing", "out").code == 2
    assert vfuzz("cmin", "in").code == 2
