# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of documents about targets share: tables that have to agree with the target."""

from __future__ import annotations

import re
from pathlib import Path

import vfuzz

ROOT = Path(__file__).resolve().parent.parent


class Document:
    """docs/NAME.md of a target."""

    def __init__(self, name: str) -> None:
        self.target = vfuzz.target(name)
        self.text = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")

    def rows(self, pattern: str) -> dict[str, str]:
        """First column to second column, of table rows whose first column matches `pattern`."""
        found = re.findall(rf"^\| ({pattern}) \| ([^|]*) \|", self.text, flags=re.MULTILINE)
        assert len({first for first, _ in found}) == len(found), "a row stands twice"
        return dict(found)

    def checks_agree(self, letter: str, count: int) -> None:
        """The catalogue is whole, and what it says to be in is what the target has."""
        table = self.rows(rf"{letter}\d+")
        assert list(table) == [f"{letter}{number}" for number in range(1, count + 1)]
        ours = {check.id for check in self.target.checks}
        assert {ident for ident, state in table.items() if state == "in"} == ours

    def quirks_agree(self, pattern: str, era: str) -> None:
        """Each quirk has its row with its eras, as `era` finds them; none named stands for all."""
        table = {ident: said for ident, said in self.rows(pattern).items() if "quirk" in said}
        ours = {quirk.id: quirk for quirk in self.target.quirks if not quirk.canary}
        assert set(table) == set(ours)
        for ident, said in table.items():
            named = tuple(re.findall(era, said.partition("known")[0]))
            assert (named or self.target.eras) == ours[ident].eras, ident
