# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of a run: what a monitor shows while it lasts, and the summary that remains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from vfuzz.engine import log
from vfuzz.engine.records import Finding
from vfuzz.sanitizer.registry import Known

__all__ = ["Hits", "KnownHits", "Monitor", "Rates", "Sight", "Status", "Stored", "Summary"]

RATE_WINDOW_S = 10.0  # executions per second are those of the last so many seconds

#: How often a signature was met, by era: (era, signature) -> hits.
Hits = Counter[tuple[str, str]]


class Sight(msgspec.Struct, frozen=True):
    """Coverage (edges of the code and states of the model), features, inputs in the corpus."""

    cov: int = 0
    ft: int = 0
    corpus: int = 0


class Stored(msgspec.Struct, kw_only=True):
    """A finding of the work directory: `new` in this run, met `hits` times in this run."""

    slug: str
    path: str
    new: bool
    hits: int
    finding: Finding


class KnownHits(msgspec.Struct, kw_only=True):
    """A documented finding of an era that was met and stepped over."""

    era: str
    signature: str
    hits: int
    doc: str
    summary: str


class Status(msgspec.Struct, kw_only=True):
    """The state of a run, for whoever shows it.

    kernel  what the replay on a real kernel has done, in words; empty without one
    """

    seconds: float
    executions: int
    executions_per_s: float
    ops: int
    ops_per_s: float
    begin: Sight
    now: Sight
    workers: int
    rss_kib: int
    findings: list[Stored]
    known: list[KnownHits]
    kernel: str = ""

    @property
    def open_findings(self) -> list[Stored]:
        """The findings that count."""
        return [f for f in self.findings if f.finding.status == "open"]


class Summary(msgspec.Struct, kw_only=True):
    """How a run ended. `vfuzz run --json` prints it.

    stopped  "time", "runs", "interrupted", "first finding" or "failed"; error says why it failed
    """

    target: str
    workdir: str
    eras: tuple[str, ...]
    quirks: tuple[str, ...]
    seed: int
    stopped: str
    error: str
    exit_code: int
    restarts: int
    status: Status


class Monitor(Protocol):
    """Shows a run."""

    def message(self, text: str) -> None:
        """Say something that happened."""

    def update(self, status: Status) -> None:
        """Show the state; called about once a second."""


@dataclass
class Rates:
    """Executions and ops per second over a window."""

    points: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, now_s: float, executions: int, ops: int) -> tuple[float, float]:
        """Take the totals at a time; (executions, ops) per second."""
        self.points.append((now_s, executions, ops))
        while len(self.points) > 2 and now_s - self.points[0][0] > RATE_WINDOW_S:
            self.points.pop(0)
        then_s, executions_then, ops_then = self.points[0]
        span = now_s - then_s
        if span <= 0:
            return 0.0, 0.0
        return (executions - executions_then) / span, (ops - ops_then) / span


def most(sights: Iterable[log.Sight]) -> Sight:
    """What the worker that has seen most has seen: they share a corpus, so it stands for all."""
    return max(map(_sight, sights), key=lambda sight: sight.ft, default=Sight())


def least(sights: Iterable[log.Sight]) -> Sight:
    """What the worker that began first had seen: later ones began with its inputs."""
    return min(map(_sight, sights), key=lambda sight: sight.ft, default=Sight())


def _sight(sight: log.Sight) -> Sight:
    return Sight(sight.cov, sight.ft, sight.corpus)


def known_hits(known: Iterable[Known], hits: Hits) -> list[KnownHits]:
    """The documented findings that were met."""
    return [
        KnownHits(
            era=entry.era,
            signature=entry.signature,
            hits=hits[(entry.era, entry.signature)],
            doc=entry.doc,
            summary=entry.summary,
        )
        for entry in known
        if hits[(entry.era, entry.signature)]
    ]
