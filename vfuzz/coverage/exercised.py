# SPDX-License-Identifier: GPL-2.0-or-later
"""How often each check was asked, from the line counts of a run: the hot path keeps no count.

A check is asked where the condition in front of its violation() is evaluated:

    if unlikely(p.gso_size == 0):
        violation(CHECK_S29, ...)

A violation() without a condition in its own function is asked where that function is called, and a
call behind `unlikely(...)` is the rest of a check whose usual case was inlined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vfuzz.coverage.measure import Coverage

__all__ = ["exercised"]

_FUNCTION = re.compile(r"cp?def\s+[^=]*?\b(?P<name>\w+)\(")
_CHECK = re.compile(r"\bCHECK_(?P<id>[A-Za-z]\w*)\b")
_ALIAS = re.compile(r"\s*CHECK_(?P<name>\w+)\s*=\s*CHECK_(?P<id>\w+)")
_HEADER = re.compile(r"\s*(?P<word>if|elif|else|for|while)\b")
_DEPTH_MAX = 6


@dataclass(frozen=True)
class _Place:
    """A line of code. function: the one it is in."""

    path: Path
    line: int
    function: str


class _Sources:
    """The functions, checks and calls of a target's sources."""

    def __init__(self, counts: dict[Path, dict[int, int]]) -> None:
        self.counts = counts
        self.text: dict[Path, list[str]] = {}
        self.checks: dict[str, list[_Place]] = {}
        self.calls: dict[str, list[_Place]] = {}
        aliases: dict[str, str] = {}
        for path in sorted(counts):
            if path.name.startswith("rig"):
                continue
            self.text[path] = path.read_text(encoding="utf-8").splitlines()
            function = ""
            for number, line in enumerate(self.text[path], 1):
                code = line.partition("#")[0]
                if match := _FUNCTION.match(code):
                    function = match["name"]
                elif line and not line[0].isspace() and not line.startswith((")", "#")):
                    function = ""
                if match := _ALIAS.match(code):
                    aliases[match["name"]] = match["id"]
                elif function:
                    place = _Place(path, number, function)
                    for match in _CHECK.finditer(code):
                        self.checks.setdefault(match["id"], []).append(place)
                    for name in re.findall(r"\b(\w+)\(", code):
                        if name != function:
                            self.calls.setdefault(name, []).append(place)
        for name, ident in aliases.items():
            self.checks.setdefault(ident, []).extend(self.checks.pop(name, []))

    def guard(self, place: _Place) -> int | None:
        """The line of the condition that decides whether a place is reached, None without one."""
        lines = self.text[place.path]
        indent = _indent(lines[place.line - 1])
        at = place.line - 1
        while at > 0:
            at -= 1
            line = lines[at]
            if not line.strip() or line.lstrip().startswith("#") or _indent(line) >= indent:
                continue
            if _FUNCTION.match(line):
                return None
            match = _HEADER.match(line)
            if match is None:
                continue  # the first line of a statement that goes on
            indent = _indent(line)
            if match["word"] in ("if", "elif"):
                return at + 1
            if match["word"] == "else":
                indent += 1  # its `if` stands at the same indent
        return None

    def count(self, path: Path, line: int) -> int:
        """How often the statement of a line was reached."""
        return self.counts.get(path, {}).get(line, 0)

    def asked(self, place: _Place, depth: int = 0) -> int:
        """How often the condition in front of a place was evaluated."""
        if depth > _DEPTH_MAX:
            return 0
        guard = self.guard(place)
        callers = self.calls.get(place.function, [])
        if guard is not None:
            own = self.count(place.path, guard)
        elif re.match(r"\s*(violation|return|hang)\b", self.text[place.path][place.line - 1]):
            own = sum(self.asked(caller, depth + 1) for caller in callers)
        else:
            own = self.count(place.path, place.line)
        behind = 0
        for caller in callers:
            line = self.guard(caller)
            if line is not None and "unlikely(" in self.text[caller.path][line - 1]:
                behind += self.count(caller.path, line)
        return max(own, behind)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def exercised(coverage: Coverage) -> dict[str, int]:
    """Check id -> how often it was asked in a run, for every check of the target."""
    sources = _Sources(coverage.all_counts)
    return {
        check.id: sum(sources.asked(place) for place in sources.checks.get(check.id, []))
        for check in coverage.target.checks
    }
