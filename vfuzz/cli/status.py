# SPDX-License-Identifier: GPL-2.0-or-later
"""How `vfuzz run` shows a campaign: live on a terminal, line by line elsewhere, a summary."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from vfuzz.engine.settings import Settings
from vfuzz.engine.status import KnownHits, Status, Summary

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["LiveMonitor", "PlainMonitor", "summary_text"]


class PlainMonitor:
    """A line on standard error at each interval, and each message as it comes.

    interval_s  seconds between two status lines
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self._next_s = 0.0

    def __enter__(self) -> PlainMonitor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def message(self, text: str) -> None:
        """Say something that happened."""
        print(f"vfuzz: {text}", file=sys.stderr, flush=True)

    def update(self, status: Status) -> None:
        """Print a line when its time has come."""
        now = time.monotonic()
        if now >= self._next_s and status.now.cov:
            self._next_s = now + self.interval_s
            print(_line(status), file=sys.stderr, flush=True)


def _line(status: Status) -> str:
    return (
        f"[{_clock(status.seconds):>8}] cov {status.now.cov:,} ft {status.now.ft:,} "
        f"corpus {status.now.corpus:,} exec {status.executions:,} "
        f"({status.executions_per_s:,.0f}/s) ops {status.ops_per_s:,.0f}/s "
        f"workers {status.workers} findings {len(status.open_findings)}"
        + (f"; {status.kernel}" if status.kernel else "")
    )


class LiveMonitor:
    """A table on the terminal that is redrawn in place; messages scroll above it."""

    def __init__(self, settings: Settings, seed: int) -> None:
        from rich.console import Console
        from rich.live import Live

        self._settings = settings
        self._seed = seed
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveMonitor:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def message(self, text: str) -> None:
        """Say something that happened."""
        self._console.print(f"vfuzz: {text}", markup=False, highlight=False, soft_wrap=True)

    def update(self, status: Status) -> None:
        """Redraw."""
        self._live.update(self._table(status), refresh=True)

    def _table(self, status: Status) -> RenderableType:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        settings, begin, now = self._settings, status.begin, status.now
        grid = Table.grid(padding=(0, 2))
        for _ in range(4):
            grid.add_column()
        left = f" of {_clock(settings.time_s)}" if settings.time_s else ""
        runs = f" of {settings.runs:,}" if settings.runs else ""
        rows = (
            ("time", f"{_clock(status.seconds)}{left}", "workers", f"{status.workers}"),
            (
                "executions",
                f"{status.executions:,}{runs}",
                "per second",
                f"{status.executions_per_s:,.0f}",
            ),
            ("ops", f"{status.ops:,}", "per second", f"{status.ops_per_s:,.0f}"),
            (
                "coverage",
                f"{begin.cov:,} -> {now.cov:,}",
                "features",
                f"{begin.ft:,} -> {now.ft:,}",
            ),
            (
                "corpus",
                f"{begin.corpus:,} -> {now.corpus:,}",
                "memory",
                f"{status.rss_kib / 1024:,.0f} MiB a worker",
            ),
            (
                "findings",
                f"{len(status.open_findings)}",
                "known, stepped over",
                f"{sum(known.hits for known in status.known):,} hits",
            ),
        )
        for row in rows:
            grid.add_row(*(f"[dim]{cell}" if i % 2 == 0 else cell for i, cell in enumerate(row)))
        for stored in status.open_findings[-8:]:
            finding = stored.finding
            grid.add_row("[bold red]finding", finding.signature, finding.title, finding.state)
        shown = Group(grid, Text(status.kernel, style="dim")) if status.kernel else grid
        title = f"{settings.target.name}  {', '.join(settings.eras)}"
        if settings.quirks:
            title += f"  quirks {', '.join(settings.quirks)}"
        below = f"{settings.workdir}  seed {self._seed}  Ctrl-C ends it"
        return Panel(shown, title=title, subtitle=below, expand=False)


def summary_text(summary: Summary) -> str:
    """How a run ended, for people."""
    status = summary.status
    begin, now = status.begin, status.now
    quirks = f"quirks {', '.join(summary.quirks)}" if summary.quirks else "no quirks"
    lines = [
        f"{summary.target}, {', '.join(summary.eras)}, {quirks}, seed {summary.seed}: "
        f"{_clock(status.seconds)}, ended by: {summary.stopped}",
        f"  executions {status.executions:>14,}   {status.executions_per_s:,.0f} a second",
        f"  ops        {status.ops:>14,}   {status.ops_per_s:,.0f} a second",
        f"  coverage   {begin.cov:,} -> {now.cov:,} edges and states",
        f"  features   {begin.ft:,} -> {now.ft:,}",
        f"  corpus     {begin.corpus:,} -> {now.corpus:,} programs",
    ]
    if status.kernel:
        lines.append(f"  {status.kernel}")
    if summary.restarts:
        lines.append(f"  restarts   {summary.restarts} of workers that died")
    lines += _known(status.known)
    lines += _findings(summary)
    return "\n".join(lines) + "\n"


def _known(hits: list[KnownHits]) -> list[str]:
    """One line for each documented signature, with its hits in each era."""
    alike: dict[tuple[str, str, str], list[KnownHits]] = {}
    for known in hits:
        alike.setdefault((known.summary, known.signature, known.doc), []).append(known)
    return [
        f"known in {' and '.join(one.era for one in same)}: {text} ({signature}), "
        f"hits {' and '.join(f'{one.hits:,}' for one in same)}, see {doc}"
        for (text, signature, doc), same in alike.items()
    ]


def _findings(summary: Summary) -> list[str]:
    stored = summary.status.findings
    open_ = summary.status.open_findings
    new = sum(one.new for one in open_)
    lines = []
    if open_:
        lines.append(f"findings: {len(open_)}, {new} of them new")
    elif not summary.error:
        lines.append("no findings")
    for one in open_:
        finding = one.finding
        eras = ", ".join(finding.eras or (finding.era,))
        size = f"{finding.ops_raw} -> {finding.ops} ops" if finding.state == "minimised" else ""
        size = size or f"{finding.ops} ops, {finding.state}"
        line = f"  {finding.signature}  {finding.title}, {eras}, {size}"
        if finding.kind == "divergence":
            quirks = "".join(f" --quirk {quirk}" for quirk in finding.quirks)
            again = f"conform {summary.target} {one.path} --kernel {finding.kernel}{quirks}"
        else:
            line += f", hits {one.hits:,}"
            again = f"replay {one.path}"
        lines += [line, f"    vfuzz {again}"]
    gone = [one for one in stored if one.finding.status == "gone"]
    if gone:
        lines.append(f"no longer seen: {', '.join(one.slug for one in gone)}")
    return lines


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
