# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz checks`"""

from __future__ import annotations

import json

import pytest

from .conftest import LEDGER


def test_checks_are_listed_with_rule_and_source(vfuzz):
    done = vfuzz("checks", LEDGER)
    assert done.code == 0
    assert "  C3    out-of-bounds-read\n        A read ends inside the object.\n" in done.out
    assert "        from the ledger's rules\n" in done.out


def test_checks_of_all_targets_as_json(vfuzz):
    rows = json.loads(vfuzz("checks", LEDGER, "--json").out)
    assert [row["id"] for row in rows] == ["C1", "C2", "C3"]
    assert set(rows[0]) == {"target", "id", "title", "rule", "source"}
    every = json.loads(vfuzz("checks", "--json").out)
    assert vfuzz("checks").out.count("\n        from ") == len(every)


def test_clauses_say_what_guards_them(vfuzz):
    done = vfuzz("checks", "virtio-net-rx", "--clauses")
    assert done.code == 0
    assert " clauses, " in done.out.splitlines()[0]
    assert "  virtio 1.3, 2.7.8.3, driver\n" in done.out
    assert "        guarded by S7, S33, S36\n" in done.out
    assert "        not guarded: " in done.out
    rows = json.loads(vfuzz("checks", "virtio-net-rx", "--clauses", "--json").out)
    assert set(rows[0]) == {"target", "section", "side", "text", "checks", "reason"}
    assert len(rows) == done.out.count("\n  virtio 1.3, ")
    assert vfuzz("checks", "--clauses").out.startswith(done.out), "the only table there is"


def test_a_target_without_clauses_says_so(vfuzz):
    done = vfuzz("checks", LEDGER, "--clauses")
    assert done.code == 2
    assert "has no table of clauses; there is one of virtio-net-rx" in done.err


@pytest.mark.slow
def test_a_corpus_says_how_often_checks_were_asked(vfuzz, tmp_path, monkeypatch):
    monkeypatch.setenv("VFUZZ_CACHE", str(tmp_path))
    (tmp_path / "a.vf").write_text("boot()\n")
    rows = json.loads(vfuzz("checks", "ring", tmp_path / "a.vf", "--json").out)
    assert any(row["asked"] for row in rows)
    done = vfuzz("checks", "ring", tmp_path / "a.vf")
    assert ", asked " in done.out
