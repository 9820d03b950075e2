# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz checks`"""

from __future__ import annotations

import json

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
