# SPDX-License-Identifier: GPL-2.0-or-later
"""Every check of a target fires where it must, and is silent one step before that.

The cases are in each target's check_cases.py. Each call of violation() in the sources must be met
by one of them, and with vdpa each site of the judge, so that no check stands there without ever
having been seen to fail.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

import vfuzz
from tests.targets.cases import SOURCES, calls, fires, is_near, spares
from tests.targets.vdpa import check_cases as vdpa_cases
from tests.targets.virtio_net import check_cases as virtio_net_cases

VDPA = SOURCES / "targets/vdpa"
VIRTIO_NET = SOURCES / "targets/virtio_net"

#: cases and checks of a target; calls: every violation() of it and of what it includes, not the
#: toy's own, and how many there are at least; all_called: each check is named in such a call;
#: ids, titles: the form of both, with the words that need no hyphen.
SUITES = (
    SimpleNamespace(
        target=vfuzz.target("virtio-net-rx"),
        cases=virtio_net_cases.CASES,
        calls=calls(
            [*(SOURCES / "sim").glob("*.pxi"), *VIRTIO_NET.rglob("*.p[yx][xi]")], hang="S45"
        ),
        calls_min=80,
        ids=r"S\d+",
        titles=r"[a-z]+(-[a-z]+)+|stall|deadlock|desynchronised",
        all_called=True,
    ),
    SimpleNamespace(
        target=vfuzz.target("vdpa"),
        cases=vdpa_cases.CASES,
        calls=calls([SOURCES / "sim/world.pxi", *VDPA.rglob("*.p[yx][xi]")], hang="V32"),
        calls_min=50,
        ids=r"V\d+",
        titles=r"[a-z]+(-[a-z]+)+|hang",
        all_called=False,
    ),
)
CASES = [(suite, case) for suite in SUITES for case in suite.cases]

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.target.name)
every_case = pytest.mark.parametrize(
    ("suite", "case"), CASES, ids=[f"{s.target.name} {case.label}" for s, case in CASES]
)


@every_case
def test_fires(suite, case):
    violation = fires(suite.target, case)
    assert violation is not None, "nothing fired"
    assert suite.target.checks[violation["check"]].id == case.check, violation


@every_case
def test_is_silent_one_step_before(suite, case):
    violation = spares(suite.target, case)
    assert violation is None, (suite.target.checks[violation["check"]].id, violation)


@every_case
def test_the_near_miss_is_near(suite, case):
    assert is_near(case)


@every_suite
def test_every_check_has_cases(suite):
    assert {case.check for case in suite.cases} == {check.id for check in suite.target.checks}


@every_suite
def test_names_are_unique(suite):
    labels = [case.label for case in suite.cases]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("suite", "check"),
    [(suite, check) for suite in SUITES for check in suite.target.checks],
    ids=lambda value: getattr(value, "id", ""),
)
def test_is_declared_in_full(suite, check):
    assert re.fullmatch(suite.ids, check.id)
    assert re.fullmatch(suite.titles, check.title)
    assert check.rule.endswith(".")
    assert check.source


@every_suite
def test_ids_titles_and_rules_are_unique(suite):
    for part in ("id", "title", "rule"):
        values = [getattr(check, part) for check in suite.target.checks]
        assert len(set(values)) == len(values), part


# ---- every violation() in the sources ------------------------------------------------------------


@every_suite
def test_the_sources_are_read_right(suite):
    assert len(suite.calls) > suite.calls_min
    named = {call.check for call in suite.calls}
    declared = {check.id for check in suite.target.checks}
    if suite.all_called:
        assert named == declared
    else:
        assert named <= {"", *declared}


@every_suite
def test_every_violation_in_the_sources_has_a_case(suite):
    messages = [
        (suite.target.checks[violation["check"]].id, violation["message"])
        for violation in (fires(suite.target, case) for case in suite.cases)
        if violation
    ]
    unseen = [c for c in suite.calls if not any(c.gave(*message) for message in messages)]
    assert not unseen, "\n".join(f"{call.where}: {call.check}: {call.message}" for call in unseen)


def test_every_site_of_the_judge_of_vdpa_has_a_case():
    target = vfuzz.target("vdpa")
    written = {
        site
        for path in VDPA.glob("oracle*.pxi")
        for site in re.findall(r'b"(judge_\w+:\w+)"', path.read_text(encoding="utf-8"))
    }
    seen = {v["site"] for case in vdpa_cases.CASES if (v := fires(target, case))}
    assert len(written) > 30
    assert written <= seen, sorted(written - seen)
