# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz list`"""

from __future__ import annotations

import json

import vfuzz as package


def test_all_targets_are_listed(vfuzz):
    done = vfuzz("list")
    assert done.code == 0
    rows = json.loads(vfuzz("list", "--json").out)
    assert [row["name"] for row in rows] == [target.name for target in package.targets()]
    for row in rows:
        assert row["name"] in done.out
        assert ", ".join(row["eras"]) in done.out
        assert (
            f"{row['ops']} kinds of op, {row['checks']} checks, {row['quirks']} quirks" in done.out
        )
        assert row["built"] is True
