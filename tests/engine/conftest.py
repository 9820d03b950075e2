# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the engine share: the ledger, and running a campaign on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vfuzz
from tests.needs import need
from vfuzz.engine.campaign import Campaign
from vfuzz.engine.settings import Settings
from vfuzz.engine.status import Status, Summary

need("atheris")
need("vfuzz.program.codec")

LEDGER = "tests.fakes.ledger"


class Recorder:
    """A monitor that keeps what it is told; `on_update` may act on the running campaign."""

    def __init__(self, on_update: Callable[[Status], None] = lambda status: None) -> None:
        self.messages: list[str] = []
        self.updates: list[Status] = []
        self.on_update = on_update

    def message(self, text: str) -> None:
        self.messages.append(text)

    def update(self, status: Status) -> None:
        self.updates.append(status)
        self.on_update(status)

    def said(self, text: str) -> bool:
        return any(text in message for message in self.messages)


@pytest.fixture
def ledger() -> vfuzz.Target:
    return vfuzz.target(LEDGER)


@pytest.fixture
def settings(ledger: vfuzz.Target, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a short run of one worker, to be overridden by name."""

    def make(**changes: Any) -> Settings:
        base = Settings(ledger, tmp_path / "campaign", ledger.eras, workers=1, runs=3000, seed=7)
        return dataclasses.replace(base, **changes)

    return make


@pytest.fixture
def run(settings: Callable[..., Settings]) -> Callable[..., tuple[Summary, Recorder]]:
    """Run a campaign of those settings to its end."""

    def go(
        on_update: Callable[[Status], None] = lambda status: None, **changes: Any
    ) -> tuple[Summary, Recorder]:
        recorder = Recorder(on_update)
        return Campaign(settings(**changes)).run(recorder), recorder

    return go
