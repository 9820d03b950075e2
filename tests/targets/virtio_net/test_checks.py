# SPDX-License-Identifier: GPL-2.0-or-later
"""Every check of virtio-net-rx fires where it must, and is silent one step before that.

The cases are in check_cases.py. Each call of violation() in the sources must be met by one of them,
so that no check stands there without ever having been seen to fail.
"""

from __future__ import annotations

import re

import pytest

import vfuzz
from tests.targets.cases import SOURCES, calls, fires, is_near, spares
from tests.targets.virtio_net.check_cases import CASES
from vfuzz.targets.virtio_net.checks import CHECKS

TARGET = vfuzz.target("virtio-net-rx")
PACKAGE = SOURCES / "targets/virtio_net"
#: Of virtio-net-rx and of what it includes; not the toy's own.
CALLS = calls([*(SOURCES / "sim").glob("*.pxi"), *PACKAGE.rglob("*.p[yx][xi]")], hang="S45")

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)


@every_case
def test_fires(case):
    violation = fires(TARGET, case)
    assert violation is not None, "nothing fired"
    assert CHECKS[violation["check"]].id == case.check, violation


@every_case
def test_is_silent_one_step_before(case):
    violation = spares(TARGET, case)
    assert violation is None, (CHECKS[violation["check"]].id, violation)


@every_case
def test_the_near_miss_is_near(case):
    assert is_near(case)


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


def test_the_sources_are_read_right():
    assert len(CALLS) > 80
    assert {call.check for call in CALLS} == {check.id for check in CHECKS}


def test_every_violation_in_the_sources_has_a_case():
    messages = [
        (CHECKS[violation["check"]].id, violation["message"])
        for violation in (fires(TARGET, case) for case in CASES)
        if violation
    ]
    unseen = [call for call in CALLS if not any(call.gave(*message) for message in messages)]
    assert not unseen, "\n".join(f"{call.where}: {call.check}: {call.message}" for call in unseen)
