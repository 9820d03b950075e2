# SPDX-License-Identifier: GPL-2.0-or-later
"""Every check of virtio-net-rx fires where it must, and is silent one step before that.

The cases are in check_cases.py. Each call of violation() in the sources must be met by one of them,
so that no check stands there without ever having been seen to fail.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

import vfuzz
from tests.targets.virtio_net.check_cases import CASES, Case
from vfuzz.targets.virtio_net import ERAS
from vfuzz.targets.virtio_net.checks import CHECKS

TARGET = vfuzz.target("virtio-net-rx")
SOURCES = Path(vfuzz.__file__).parent

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)


def run(case: Case, text: str, steps: tuple[tuple, ...]) -> dict | None:
    """The violation of the program `text` and the script `steps`, as the core gives it."""
    quirks = sum(1 << i for i, quirk in enumerate(TARGET.quirks) if quirk.id == case.quirk)
    era = ERAS.index(case.era)
    data = TARGET.parse(text).encode() if text else None
    if not steps:
        assert data is not None
        return TARGET.core.execute(data, era, quirks)["violation"]
    _, violation = TARGET.core.rig(steps, program=data, era=era, quirks=quirks, **case.options)
    return violation


def fires(case: Case) -> dict | None:
    return run(case, case.program, case.steps)


def spares(case: Case) -> dict | None:
    """The near miss."""
    text, steps = case.program, case.steps
    if case.change:
        text = text.replace(*case.change)
    if case.spare:
        number, step = case.spare
        steps = (*steps[:number], step, *steps[number + 1 :])
    return run(case, text, steps)


@every_case
def test_fires(case):
    violation = fires(case)
    assert violation is not None, "nothing fired"
    assert CHECKS[violation["check"]].id == case.check, violation


@every_case
def test_is_silent_one_step_before(case):
    violation = spares(case)
    assert violation is None, (CHECKS[violation["check"]].id, violation)


@every_case
def test_the_near_miss_is_near(case):
    """One piece of the text is another, or one step, and not both."""
    assert (case.change is None) != (case.spare is None)
    if case.change:
        assert case.program.count(case.change[0]) == 1, "what is replaced stands there once"
    if case.spare:
        number, step = case.spare
        assert case.steps[number] != step


def test_every_check_has_cases():
    assert {case.check for case in CASES} == {check.id for check in CHECKS}


def test_names_are_unique():
    labels = [case.label for case in CASES]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_is_declared_in_full(check):
    assert re.fullmatch(r"S\d+", check.id)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+|stall|deadlock|desynchronised", check.title)
    assert check.rule.endswith(".")
    assert check.source


def test_ids_titles_and_rules_are_unique():
    for part in ("id", "title", "rule"):
        values = [getattr(check, part) for check in CHECKS]
        assert len(set(values)) == len(values), part


# ---- every violation() in the sources ------------------------------------------------------------


class Call(NamedTuple):
    """A call of violation() in a source: where, which check, and its message."""

    where: str
    check: str
    message: str

    def gave(self, check: str, message: str) -> bool:
        """Can `message` of a violation of `check` come from this call?"""
        pattern = re.escape(self.message).replace("%lld", r"-?\d+")
        return check == self.check and bool(re.fullmatch(pattern, message))


def calls() -> list[Call]:
    """All of virtio-net-rx and of what it includes; not the toy's own."""
    package = SOURCES / "targets/virtio_net"
    found = []
    for path in sorted([*(SOURCES / "sim").glob("*.pxi"), *package.rglob("*.p[yx][xi]")]):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"(?<!void )\bviolation\(\s*CHECK_(\w+),", text):
            rest = call_of(text[match.start() :])
            # the message is the literal with a space in it, in one or more pieces
            pieces = re.findall(r'(?:b"[^"]*"\s*)+', rest)
            texts = ["".join(re.findall(r'b"([^"]*)"', piece)) for piece in pieces]
            [message] = [text for text in texts if " " in text and ":" not in text.split(" ")[0]]
            line = text.count("\n", 0, match.start()) + 1
            check = {"HANG": "S45"}.get(match[1], match[1])
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


def test_the_sources_are_read_right():
    found = calls()
    assert len(found) > 80
    assert {call.check for call in found} == {check.id for check in CHECKS}


def test_every_violation_in_the_sources_has_a_case():
    messages = [
        (CHECKS[violation["check"]].id, violation["message"])
        for violation in map(fires, CASES)
        if violation
    ]
    unseen = [call for call in calls() if not any(call.gave(*message) for message in messages)]
    assert not unseen, "\n".join(f"{call.where}: {call.check}: {call.message}" for call in unseen)
