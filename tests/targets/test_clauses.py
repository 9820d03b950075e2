# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements of a specification, and the checks that guard them."""

from __future__ import annotations

import re

import pytest

import vfuzz
from vfuzz.sanitizer.registry import Clause

TARGETS = [target for target in vfuzz.targets() if target.clauses]
every_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def test_receiving_has_a_table():
    target = vfuzz.target("virtio-net-rx")
    assert len(target.clauses) >= 60
    sections = {clause.section.split()[-1] for clause in target.clauses}
    for chapter in ("5.1.4.", "5.1.6.3.", "5.1.6.4.", "2.7.", "2.8."):
        sides = {c.side for c in target.clauses if c.section.split()[-1].startswith(chapter)}
        assert sides == {"driver", "device"}, chapter
    assert len(sections) >= 25


@every_target
def test_clauses_name_checks_that_exist(target):
    ids = {check.id for check in target.checks}
    wrong = [(c.section, set(c.checks) - ids) for c in target.clauses if set(c.checks) - ids]
    assert not wrong


@every_target
def test_every_check_that_cites_the_specification_guards_a_clause(target):
    guarding = {check for clause in target.clauses for check in clause.checks}
    citing = {check.id for check in target.checks if re.search(r"virtio \d\.\d", check.source)}
    assert citing
    assert citing <= guarding


@every_target
def test_statements_are_said_once_and_in_order_of_their_document(target):
    texts = [(clause.section, clause.side, clause.text) for clause in target.clauses]
    assert len(set(texts)) == len(texts)
    for clause in target.clauses:
        assert re.fullmatch(r"virtio 1\.\d, \d+(\.\d+)+", clause.section), clause.section
        assert clause.text.endswith("."), clause.text
        assert not clause.reason.endswith("."), clause.reason
        # the document's own sentences shout; ours do not
        assert not re.search(r"\b(MUST|SHOULD|MAY|SHALL)\b", clause.text + clause.reason)


def test_a_clause_without_checks_needs_a_reason():
    with pytest.raises(ValueError, match="neither checks nor a reason"):
        Clause("virtio 1.3, 1.1", "driver", "Something.", ())
    with pytest.raises(ValueError, match="side 'host' is not"):
        Clause("virtio 1.3, 1.1", "host", "Something.", ("S1",))
