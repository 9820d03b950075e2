# SPDX-License-Identifier: GPL-2.0-or-later
"""Each finding that stands in an era has a program that shows it there, and there only."""

from __future__ import annotations

import pytest

from .programs import KNOWN, TARGETS

every_known = pytest.mark.parametrize("entry", KNOWN, ids=str)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_page_has_a_program(target):
    shown = {entry.headers["known"] for entry in KNOWN if entry.target is target}
    known = target.known()
    assert shown <= {finding.signature for finding in known}
    assert {f.doc for f in known if f.signature in shown} == {f.doc for f in known}


@every_known
def test_header(entry):
    assert set(entry.headers) - {"era"} == {"target", "known"}
    signature = entry.headers["known"]
    findings = [finding for finding in entry.target.known() if finding.signature == signature]
    assert entry.eras == tuple(finding.era for finding in findings)
    # and it says where to read on
    assert entry.explanation[0].startswith(f"# {findings[0].doc}: ")


@every_known
def test_fires_its_signature_and_nothing_else(entry):
    for era in entry.target.eras:
        result = entry.target.execute(entry.program, era)
        if era in entry.eras:
            assert result.violation, f"{era}: nothing fired"
            assert result.violation.signature == entry.headers["known"], result.report()
            assert result.known is not None
        else:
            assert result.violation is None, f"{era}:\n{result.report()}"
