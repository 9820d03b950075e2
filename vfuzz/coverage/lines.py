# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of a target's sources count, and why some are never reached.

A line that no program can reach, or none of the corpus does, says so in the source:

    if W.rss_table == 0:
        # uncovered: the allocation before it uses up the fault that would fail this one
        undo()
        return -ENOMEM

    return -EINVAL      # uncovered: queues are clamped before

A comment at the end of a line explains this statement and what is indented below it; one on a line
of its own, which may be continued, explains the rest of its block.
"""

from __future__ import annotations

import re
from pathlib import Path

from vfuzz import api

__all__ = ["PARTS", "explanations", "never", "part_of"]

#: model: what is modelled and what drives it; judge: the target's oracle*.pxi; sim: the world that
#: targets share. What only tests use (rig*.pxi) is in none, nor is the way in from Python.
PARTS = ("model", "judge", "sim")

_SIM = Path(api.__file__).resolve().parent / "sim"

_WHY = re.compile(r"#\s*uncovered:\s*(?P<why>.*\S)")
_COMMENT = re.compile(r"\s*#\s*(?P<text>.*\S)")
#: They leave the run: no call of these returns.
_LEAVES = re.compile(r"\s*(violation|null_op|give_up)\(")
_NO_CODE = re.compile(r'\s*(#|cdef |cpdef |""")')
_STRING = re.compile(r'b?"[^"]*"')


def part_of(path: Path, folder: Path) -> str | None:
    """The part of a target to which a source belongs, None when it does not count.

    folder: the target's package
    """
    if path.name.startswith("rig") or path.name in ("_gen.pxi", "entry.pxi"):
        return None
    if path.is_relative_to(folder):
        return "judge" if path.name.startswith("oracle") else "model"
    return "sim" if path.is_relative_to(_SIM) else None


def never(text: str) -> set[int]:
    """Lines that no clean program runs: reports of violations, which have their own tests, the end
    of an arena of ours, what stands behind either in its block, and headers of functions."""
    found: set[int] = set()
    open_calls = 0
    left_at: int | None = None  # the indent of a block that a verdict has left
    for number, line in enumerate(text.splitlines(), 1):
        bare = _STRING.sub("", line)
        if open_calls:
            found.add(number)
            open_calls += bare.count("(") - bare.count(")")
            continue
        if left_at is not None and bare.strip() and _indent(line) < left_at:
            left_at = None
        if left_at is not None or not bare.strip() or _NO_CODE.match(bare):
            found.add(number)
        elif _LEAVES.match(bare):
            found.add(number)
            left_at = _indent(line)
            open_calls = bare.count("(") - bare.count(")")
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def explanations(text: str) -> dict[int, str]:
    """Line -> why it is not reached, for each line that a comment explains."""
    lines = text.splitlines()
    found: dict[int, str] = {}
    for at, line in enumerate(lines):
        match = _WHY.search(line)
        if match is None:
            continue
        why, start, indent = match["why"], at + 1, _indent(line)
        if line.lstrip().startswith("#"):
            while start < len(lines) and (more := _COMMENT.fullmatch(lines[start])):
                if _WHY.search(lines[start]):
                    break
                why, start = f"{why} {more['text']}", start + 1
            own = False
        else:
            found.setdefault(at + 1, why)
            own = True
        depth = 0
        if own:
            bare = _STRING.sub("", line.partition("#")[0])
            depth = sum(bare.count(c) for c in "([") - sum(bare.count(c) for c in ")]")
        for number in range(start, len(lines)):
            below = lines[number]
            if depth > 0:  # the statement goes on
                bare = _STRING.sub("", below.partition("#")[0])
                depth += sum(bare.count(c) for c in "([") - sum(bare.count(c) for c in ")]")
                continue
            if not below.strip():
                continue
            if _indent(below) < indent or (own and _indent(below) == indent):
                break
            found[number + 1] = why
    return found
