# SPDX-License-Identifier: GPL-2.0-or-later
"""What cases of checks are made of, for every target, and the calls of violation() in sources.

A case is a program, a script of rig steps (vfuzz/sim/rig.pxi) or a script behind a program. Its
near miss is the same with one thing changed: one piece of the program's text, or one step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import vfuzz

SOURCES = Path(vfuzz.__file__).parent
NOTHING = ("next_op",)


@dataclass(frozen=True)
class Case:
    """check: id of the check that must fire. name: what is wrong.

    program   text; steps: of the rig, behind the program if there is one
    era       all the eras' last one if it is not named
    change    (piece of the text, what stands there in the near miss)
    spare     (number of a step, the step in its place in the near miss)
    """

    check: str
    name: str
    program: str = ""
    change: tuple[str, str] | None = None
    quirk: str = ""
    era: str = ""
    steps: tuple[tuple, ...] = ()
    spare: tuple[int, tuple] | None = None
    options: dict[str, bool] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.check}: {self.name}"


def program(check: str, name: str, text: str, old: str, new: str, **more: str) -> Case:
    """A program that fires `check`; with `new` for `old` in its text it does not."""
    return Case(check, name, text, (old, new), **more)


def script(check: str, name: str, *steps: tuple, spare: tuple, behind: str = "", **more) -> Case:
    """Rig steps that fire `check`; `spare` (number, step...) is the step that makes the near
    miss. behind: a program that runs first."""
    number, *step = spare
    options = {key: more.pop(key) for key in ("dma", "swiotlb") if key in more}
    return Case(
        check, name, behind, steps=steps, spare=(number, tuple(step)), options=options, **more
    )


def run(target: vfuzz.Target, case: Case, text: str, steps: tuple[tuple, ...]) -> dict | None:
    """The violation of the program `text` and the script `steps`, as the core gives it."""
    quirks = target.quirk_mask([case.quirk] if case.quirk else [])
    era = target.era_index(case.era or target.eras[-1])
    data = target.parse(text).encode() if text else None
    if not steps:
        assert data is not None
        return target.core.execute(data, era, quirks)["violation"]
    _, violation = target.core.rig(steps, program=data, era=era, quirks=quirks, **case.options)
    return violation


def fires(target: vfuzz.Target, case: Case) -> dict | None:
    return run(target, case, case.program, case.steps)


def spares(target: vfuzz.Target, case: Case) -> dict | None:
    """The near miss."""
    text, steps = case.program, case.steps
    if case.change:
        text = text.replace(*case.change)
    if case.spare:
        number, step = case.spare
        steps = (*steps[:number], step, *steps[number + 1 :])
    return run(target, case, text, steps)


def is_near(case: Case) -> bool:
    """One piece of the text is another, or one step, and not both."""
    if (case.change is None) == (case.spare is None):
        return False
    if case.change:
        return case.program.count(case.change[0]) == 1
    assert case.spare is not None
    number, step = case.spare
    return case.steps[number] != step


# ---- every violation() in the sources ------------------------------------------------------------


class Call(NamedTuple):
    """A call of violation() in a source: where, which check, and its message."""

    where: str
    check: str
    message: str

    def gave(self, check: str, message: str) -> bool:
        """Can `message` of a violation of `check` come from this call?"""
        pattern = re.escape(self.message).replace("%lld", r"-?\d+")
        return self.check in (check, "") and bool(re.fullmatch(pattern, message))


def calls(paths: Iterable[Path], hang: str) -> list[Call]:
    """All in the files; hang: the check that CHECK_HANG means. A check that is no literal is ""."""
    found = []
    for path in sorted(paths):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"(?<!void )\bviolation\(\s*(?:CHECK_(\w+)|[a-zJ][^,]*),", text):
            rest = call_of(text[match.start() :])
            # the message is the last literal, in one or more pieces
            pieces = re.findall(r'(?:b"[^"]*"\s*)+', rest)
            message = "".join(re.findall(r'b"([^"]*)"', pieces[-1]))
            line = text.count("\n", 0, match.start()) + 1
            check = hang if match[1] == "HANG" else match[1] or ""
            found.append(Call(f"{path.relative_to(SOURCES)}:{line}", check, message))
    return found


def call_of(text: str) -> str:
    """The call at the beginning of `text`, up to its closing bracket."""
    depth = 0
    for token in re.finditer(r'"[^"]*"|[()]', text):
        depth += (token[0] == "(") - (token[0] == ")")
        if depth == 0:
            return text[: token.end()]
    raise AssertionError(f"no end of {text[:80]!r}")
