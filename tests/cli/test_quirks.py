# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz quirks`"""

from __future__ import annotations

import json

from .conftest import LEDGER


def test_the_catalogue_is_listed(vfuzz):
    done = vfuzz("quirks", LEDGER)
    assert done.code == 0
    assert "  Q01   blind-put  (canary)\n" in done.out
    assert "        new; expects C2; fix unverified\n" in done.out
    only = vfuzz("quirks", LEDGER, "--only", "lost-put")
    assert "Q02" in only.out
    assert "Q01" not in only.out


def test_the_catalogue_as_json(vfuzz):
    rows = json.loads(vfuzz("quirks", LEDGER, "--json").out)
    assert [row["id"] for row in rows] == ["Q01", "Q02", "Q03", "Q04"]
    assert rows[1]["eras"] == ["new"]
    assert vfuzz("quirks").code == 0


def test_measuring_writes_a_table_that_says_how_it_was_made(vfuzz, write, tmp_path):
    write("x", "")
    options = ("--measure", "--only", "Q01", "--runs", "20k", "--seeds", "2", "-j", "1")
    done = vfuzz("quirks", LEDGER, *options, "--out", "measured.md")
    assert done.code == 0
    assert "found 2 of 2, median " in done.out
    assert "Q01 seed 1: C1@ledger_put:unheld after " in done.err
    text = (tmp_path / "measured.md").read_text()
    assert f"    vfuzz quirks {LEDGER} --measure --runs 20000 --seeds 2 --only Q01\n" in text
    assert "| Q01 | blind-put | new | C1 | C1 | 2 of 2 |" in text


def test_a_table_of_one_era_says_so(vfuzz, write, tmp_path):
    write("x", "")
    options = ("--measure", "--only", "Q01", "--runs", "20k", "--seeds", "1", "--era", "old")
    assert vfuzz("quirks", LEDGER, *options, "--out", "measured.md").code == 0
    text = (tmp_path / "measured.md").read_text()
    assert "--seeds 1 --only Q01 --era old\n" in text
    assert "| Q01 | blind-put | old |" in text


def test_a_quirk_that_is_not_found_ends_with_1(vfuzz):
    options = ("--measure", "--only", "Q04", "--runs", "30", "--seeds", "1", "--json")
    done = vfuzz("quirks", LEDGER, *options)
    assert done.code == 1
    (row,) = json.loads(done.out)
    assert row["trials"][0]["signature"] == ""
    assert row["trials"][0]["executions"] == 30


def test_wrong_numbers_are_usage(vfuzz):
    assert vfuzz("quirks", LEDGER, "--measure", "--seeds", "0").code == 2
    assert vfuzz("quirks", LEDGER, "--measure", "--only", "Q99").code == 2
