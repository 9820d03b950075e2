# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns on the real targets: compiled code, counters, state feedback, the canary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import vfuzz
from vfuzz.engine.campaign import Campaign
from vfuzz.engine.settings import Settings
from vfuzz.engine.status import Summary
from vfuzz.errors import EXIT_CLEAN, EXIT_FINDINGS

from .conftest import Recorder

TARGETS = vfuzz.targets()


@pytest.fixture(params=TARGETS, ids=str)
def target(request: pytest.FixtureRequest) -> vfuzz.Target:
    return request.param


@pytest.fixture
def campaign(tmp_path: Path, target: vfuzz.Target) -> Callable[..., Summary]:
    """Run one worker from an empty corpus."""

    def go(place: str = "w", quirks: tuple[str, ...] = (), runs: int = 5000, **changes) -> Summary:
        eras = target.eras_with(quirks)
        settings = Settings(
            target, tmp_path / place, eras, quirks, seed=1, runs=runs, seeds=False, **changes
        )
        return Campaign(settings).run(Recorder())

    return go


def test_a_campaign_sees_code_and_states(campaign, tmp_path, target):
    summary = campaign()
    assert summary.error == ""
    assert summary.exit_code == EXIT_CLEAN, summary.status.findings
    assert summary.status.executions == 5000
    assert summary.status.now.cov > summary.status.begin.cov
    log = (tmp_path / "w/workers/0/log").read_text()
    assert "INFO: Loaded 2 modules" in log, "the compiled code, and the states of the model"
    assert "found LLVMFuzzerCustomMutator" in log


def test_a_run_can_be_repeated(campaign, tmp_path):
    def corpus(place: str) -> list[str]:
        return sorted(path.name for path in (tmp_path / place / "corpus").iterdir())

    first, second = campaign("a"), campaign("b")
    assert corpus("a") == corpus("b")
    assert len(corpus("a")) > 5
    assert first.status.ops == second.status.ops


def test_the_canary_is_found(campaign, target):
    canaries = [quirk for quirk in target.quirks if quirk.canary]
    assert canaries, "every target has a planted bug, to prove that a campaign can see"
    for quirk in canaries:
        summary = campaign(quirk.id, (quirk.id,), 10_000, stop_on_first=True)
        assert summary.exit_code == EXIT_FINDINGS
        finding = summary.status.findings[0].finding
        assert finding.check in quirk.checks
        assert finding.state == "minimised"
        assert finding.ops <= 8
        report = Path(summary.status.findings[0].path, "report.txt").read_text()
        frame = next(line for line in report.splitlines() if line.startswith("    #0 "))
        path, _, line = frame.rpartition(" ")[2].partition(":")
        source = Path(vfuzz.__file__).parents[1] / path
        assert f'b"{finding.site}"' in source.read_text().splitlines()[int(line) - 1]
