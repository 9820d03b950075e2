# SPDX-License-Identifier: GPL-2.0-or-later
"""Distilling a corpus keeps every feature."""

from __future__ import annotations

from pathlib import Path

import pytest

from vfuzz.engine.merge import merge
from vfuzz.errors import BlindRun, UsageError

from .conftest import LEDGER


def corpus(directory: Path, texts: list[str]) -> list[Path]:
    directory.mkdir()
    paths = [directory / f"{number}.vf" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(f"# target: {LEDGER}\nboot()\n{text}")
    return paths


def test_what_adds_nothing_is_left_out(tmp_path, ledger):
    texts = ["get(id=1)\n", "get(id=1)\nget(id=2)\n", "get(id=1)\nput(id=1)\n"]
    merged = merge(ledger, ("new",), (), corpus(tmp_path / "in", texts * 3), tmp_path / "out")
    assert (merged.files_in, merged.features) == (9, 3)
    kept = {str(ledger.decode(path.read_bytes())) for path in (tmp_path / "out").iterdir()}
    assert kept == {"boot()\nget(id=1)\nget(id=2)\n", "boot()\nget(id=1)\nput(id=1)\n"} | (
        kept & {"boot()\nget(id=1)\n"}
    )
    assert merged.files_out == len(kept)
    assert merged.bytes_out < merged.bytes_in


def test_what_is_there_already_is_kept_and_counts(tmp_path, ledger):
    out = tmp_path / "out"
    out.mkdir()
    program = ledger.parse("boot()\nget(id=1)\nput(id=1)\nget(id=5)\n").encode()
    (out / "mine").write_bytes(program)
    paths = corpus(tmp_path / "in", ["get(id=1)\n", "get(id=7)\n"])
    merged = merge(ledger, ("new",), (), paths, out)
    assert (merged.files_out, merged.features) == (1, 1)
    assert (out / "mine").read_bytes() == program
    assert len(list(out.iterdir())) == 2


def test_violations_do_not_stop_a_merge(tmp_path, ledger):
    paths = corpus(tmp_path / "in", ["get(id=1)\nput(id=6)\n", "get(id=2)\n"])
    merged = merge(ledger, ("old", "new"), ("Q01",), paths, tmp_path / "out")
    assert merged.files_out == 2


def test_an_input_that_kills_the_target_costs_itself_only(tmp_path, ledger):
    paths = corpus(tmp_path / "in", ["get(id=1)\n", "crash(how=segv)\n", "get(id=2)\nput(id=2)\n"])
    merged = merge(ledger, ("new",), ("Q03",), paths, tmp_path / "out")
    kept = [str(ledger.decode(path.read_bytes())) for path in (tmp_path / "out").iterdir()]
    assert merged.files_out == 2
    assert not any("crash" in text for text in kept)


def test_what_cannot_be_merged_is_told(tmp_path, ledger, monkeypatch):
    paths = corpus(tmp_path / "in", ["get(id=1)\n"])
    bad = tmp_path / "bad.vf"
    bad.write_text("boot(\n")
    with pytest.raises(UsageError, match=r"bad\.vf: line 1"):
        merge(ledger, ("new",), (), [bad], tmp_path / "out")
    monkeypatch.setenv("LEDGER_BLIND", "counters")
    with pytest.raises(BlindRun, match="without coverage instrumentation"):
        merge(ledger, ("new",), (), paths, tmp_path / "out")
