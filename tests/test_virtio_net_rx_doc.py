# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of docs/virtio-net-rx.md agree with the target."""

from __future__ import annotations

import re
from pathlib import Path

import vfuzz

DOC = (Path(__file__).resolve().parent.parent / "docs/virtio-net-rx.md").read_text(encoding="utf-8")


def rows(pattern: str) -> dict[str, str]:
    """First column to second column, of table rows whose first column matches `pattern`."""
    found = re.findall(rf"^\| ({pattern}) \| ([^|]*) \|", DOC, flags=re.MULTILINE)
    assert len({first for first, _ in found}) == len(found), "a row stands twice"
    return dict(found)


def test_checks():
    table = rows(r"S\d+")
    assert list(table) == [f"S{number}" for number in range(1, 49)]
    ours = {check.id for check in vfuzz.target("virtio-net-rx").checks}
    assert {ident for ident, state in table.items() if state == "in"} == ours
    assert f"{len(ours)} of the catalogue's 48" in DOC


def test_quirks():
    target = vfuzz.target("virtio-net-rx")
    table = {ident: state for ident, state in rows(r"[A-FR]\d\d").items() if "quirk" in state}
    ours = {quirk.id: quirk for quirk in target.quirks if not quirk.canary}
    assert set(table) == set(ours)
    for ident, state in table.items():
        named = tuple(re.findall(r"quirk(?:,| in) (linux-[\d.]+\d)", state))
        assert (named or target.eras) == ours[ident].eras, ident
