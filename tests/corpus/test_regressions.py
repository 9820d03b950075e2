# SPDX-License-Identifier: GPL-2.0-or-later
"""Each quirk has a small program that finds it, and finds nothing without it."""

from __future__ import annotations

import pytest

from .programs import REGRESSIONS, TARGETS

#: So small must the minimiser's result be; what people write need not be larger.
OPS_MAX = 8

every_regression = pytest.mark.parametrize("entry", REGRESSIONS, ids=str)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_quirk_has_a_regression(target):
    covered = [quirk for e in REGRESSIONS if e.target is target for quirk in e.quirks]
    assert sorted(covered) == sorted(quirk.id for quirk in target.quirks)


@every_regression
def test_header(entry):
    assert set(entry.headers) - {"era"} == {"target", "quirks", "expect"}
    assert entry.quirks == (entry.name,), "a regression is named after its quirk"
    quirk = entry.target.quirk(entry.name)
    assert entry.eras == quirk.eras
    assert entry.headers["expect"] in quirk.checks


@every_regression
def test_is_small(entry):
    assert len(entry.program) <= OPS_MAX


@every_regression
def test_fires_with_its_quirk(entry):
    for era in entry.eras:
        result = entry.target.execute(entry.program, era, entry.quirks)
        assert result.violation, f"{era}: nothing fired"
        assert result.violation.check == entry.headers["expect"], f"{era}:\n{result.report()}"


@every_regression
def test_clean_without_it(entry):
    for era in entry.target.eras:
        result = entry.target.execute(entry.program, era)
        # what the era itself still has may show instead
        assert result.violation is None or result.known, f"{era}:\n{result.report()}"
