# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast quirks are found."""

from __future__ import annotations

import dataclasses

import pytest

from vfuzz.engine.measure import Measured, Trial, as_markdown, measure, needed
from vfuzz.errors import Error, UsageError


def test_quirks_are_measured_and_it_can_be_repeated(ledger):
    told = []
    quirks = [ledger.quirk("Q01"), ledger.quirk("Q02")]

    def go():
        return measure(
            ledger, quirks, runs=20_000, seeds=2, jobs=2, told=lambda q, t: told.append(q.id)
        )

    table = go()
    assert [(row.quirk, row.era, len(row.found)) for row in table] == [
        ("Q01", "new", 2),
        ("Q02", "new", 2),
    ]
    assert table[0].checks == ("C1",)
    assert table[0].median is not None
    assert 0 < table[0].median < 1000
    assert all(row.good for row in table)
    assert sorted(told) == ["Q01", "Q01", "Q02", "Q02"]
    assert go() == table


def test_a_quirk_is_measured_in_the_era_that_was_asked_for(ledger):
    (row,) = measure(ledger, [ledger.quirk("Q01")], runs=20_000, seeds=1, jobs=1, era="old")
    assert row.era == "old"
    assert row.good


@pytest.mark.parametrize(
    ("quirk", "era", "message"),
    [("Q01", "older", "unknown era 'older'"), ("Q02", "old", "old cannot have Q02")],
)
def test_an_era_that_does_not_fit_is_refused(ledger, quirk, era, message):
    with pytest.raises(UsageError, match=message):
        measure(ledger, [ledger.quirk(quirk)], runs=30, seeds=1, jobs=1, era=era)


def test_what_is_not_found_is_told(ledger):
    (row,) = measure(ledger, [ledger.quirk("Q04")], runs=30, seeds=1, jobs=1)
    assert row.found == []
    assert row.trials == [Trial(seed=1, executions=30)]
    assert not row.good


def test_a_finding_by_another_check_is_stepped_over(ledger):
    quirk = dataclasses.replace(ledger.quirk("Q02"), checks=("C1",))
    (row,) = measure(ledger, [quirk], runs=20_000, seeds=1, jobs=1)
    (trial,) = row.trials
    assert trial.others == ("C2@ledger_close:held",)
    assert trial.executions == 20_000
    assert not row.found


def test_a_trial_that_dies_is_a_failure(ledger, monkeypatch):
    monkeypatch.setenv("LEDGER_DIE", "5")
    with pytest.raises(Error, match="trial of quirk Q02 with seed 1 failed with status -9"):
        measure(ledger, [ledger.quirk("Q02")], runs=2000, seeds=1, jobs=1)


def row(executions: list[int], of: int) -> Measured:
    trials = [
        Trial(seed=seed, executions=count, signature="C1@f:x", check="C1")
        for seed, count in enumerate(executions)
    ]
    trials += [Trial(seed=9, executions=50) for _ in range(of - len(executions))]
    return Measured(quirk="Q1", name="n", era="e", expected=("C1",), runs=50, trials=trials)


@pytest.mark.parametrize(("trials", "least"), [(1, 1), (2, 2), (4, 4), (5, 4), (10, 8)])
def test_four_of_five_have_to_find_it(trials, least):
    assert needed(trials) == least
    assert row([1] * least, trials).good
    assert not row([1] * (least - 1), trials).good


def test_a_finding_that_has_nothing_to_do_with_the_quirk_does_not_count():
    trial = Trial(seed=1, executions=5, signature="C1@f:x", check="C1", elsewhere=True)
    one = Measured(quirk="Q", name="n", era="e", expected=(), runs=9, trials=[trial])
    assert one.found == []
    assert one.median is None


def test_the_table_is_a_document(ledger):
    text = as_markdown(ledger, [row([10, 3000, 20], 3), row([], 2)], "vfuzz quirks x --measure")
    assert "    vfuzz quirks x --measure\n" in text
    assert "| Q1 | n | e | C1 | C1 | 3 of 3 | 20 | 3,000 |\n" in text
    assert "| Q1 | n | e | C1 | - | 0 of 2 | - | - |\n" in text
