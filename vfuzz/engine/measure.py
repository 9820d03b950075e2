# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast each quirk is found: one worker from an empty corpus, until a check of its entry fires.

A trial is one quirk, one era, one seed. What counts is the number of executions, which depends on
the seed and the build alone, not on the machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vfuzz.api import Target
from vfuzz.engine import driver
from vfuzz.engine.process import WorkerProcess
from vfuzz.engine.records import Finding, WorkerSpec, load
from vfuzz.engine.store import finding_dirs
from vfuzz.errors import BlindRun, Error, UsageError
from vfuzz.sanitizer.registry import Quirk

__all__ = ["Measured", "Trial", "as_markdown", "measure", "needed"]

POLL_S = 0.02


class Trial(msgspec.Struct, kw_only=True):
    """One quirk, one seed.

    executions  up to the finding, or all of them when there is none
    signature   of the finding, "" when there is none; check: its check
    others      signatures that were met before, by checks that the quirk's entry does not name
    elsewhere   the program shows the same signature without the quirk: not the quirk's doing
    """

    seed: int
    executions: int
    signature: str = ""
    check: str = ""
    others: tuple[str, ...] = ()
    elsewhere: bool = False


class Measured(msgspec.Struct, kw_only=True):
    """All trials of one quirk."""

    quirk: str
    name: str
    era: str
    expected: tuple[str, ...]
    runs: int
    trials: list[Trial]

    @property
    def found(self) -> list[Trial]:
        """The trials that found the quirk."""
        return [trial for trial in self.trials if trial.signature and not trial.elsewhere]

    @property
    def median(self) -> int | None:
        """Median executions to the first finding, over the trials that found it."""
        return round(statistics.median(t.executions for t in self.found)) if self.found else None

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks that fired, each once."""
        return tuple(sorted({trial.check for trial in self.found}))

    @property
    def good(self) -> bool:
        """Found in at least four of five trials."""
        return len(self.found) >= needed(len(self.trials))


def needed(trials: int) -> int:
    """Of so many trials, how many have to find a quirk: four of five, rounded up."""
    return -(-trials * 4 // 5)


@dataclass
class _Running:
    quirk: Quirk
    era: str
    seed: int
    home: Path
    process: WorkerProcess


def measure(
    target: Target,
    quirks: Iterable[Quirk],
    *,
    runs: int,
    seeds: int,
    jobs: int,
    era: str | None = None,
    first_seed: int = 1,
    told: Callable[[Quirk, Trial], None] = lambda quirk, trial: None,
) -> list[Measured]:
    """Measure quirks, each in the era given, else in the newest that can have it.

    A trial ends at the first finding by a check that the quirk's entry names. Others are stepped
    over: a quirk may bring older code back, and with it what that is known to have.

    runs   executions after which a trial gives up
    seeds  trials for each quirk, with seeds first_seed, first_seed + 1, ...
    jobs   trials at a time
    told   called after each trial

    Raises UsageError for an unknown era, or one that cannot have each of the quirks, and Error when
    a worker fails.
    """
    quirks = list(quirks)
    if era is not None:
        target.era_index(era)
        without = [quirk.id for quirk in quirks if era not in quirk.eras]
        if without:
            raise UsageError(f"{era} cannot have {', '.join(without)}")
    table = [
        Measured(
            quirk=quirk.id,
            name=quirk.name,
            era=era or [known for known in target.eras if known in quirk.eras][-1],
            expected=quirk.checks,
            runs=runs,
            trials=[],
        )
        for quirk in quirks
    ]
    todo = [(i, first_seed + n) for i in range(len(quirks)) for n in range(seeds)]
    running: list[tuple[int, _Running]] = []
    with tempfile.TemporaryDirectory(prefix="vfuzz-measure-") as name:
        try:
            while todo or running:
                while todo and len(running) < jobs:
                    place, seed = todo.pop(0)
                    home = Path(name) / f"{quirks[place].id}-{seed}"
                    started = _start(target, quirks[place], table[place].era, seed, runs, home)
                    running.append((place, started))
                time.sleep(POLL_S)
                for place, one in list(running):
                    trial = _ended(target, one)
                    if trial is not None:
                        running.remove((place, one))
                        table[place].trials.append(trial)
                        told(one.quirk, trial)
        finally:
            for _, one in running:
                one.process.kill()
    for row in table:
        row.trials.sort(key=lambda trial: trial.seed)
    return table


def _start(target: Target, quirk: Quirk, era: str, seed: int, runs: int, home: Path) -> _Running:
    process = WorkerProcess(home / "worker", 0)
    process.prepare()
    (home / "corpus").mkdir()
    (home / "findings").mkdir()
    spec = WorkerSpec(
        target=target.path,
        eras=(era,),
        quirks=(quirk.id,),
        findings=str(home / "findings"),
        scratch=str(process.home),
        arguments=(
            *driver.flags(target),
            f"-seed={seed}",
            f"-runs={runs}",
            "-reload=0",
            f"-artifact_prefix={process.artifacts}/",
            str(home / "corpus"),
        ),
        stop_on_first=True,
        stop_checks=quirk.checks,
        parent=os.getpid(),
    )
    process.start(spec)
    return _Running(quirk, era, seed, home, process)


def _ended(target: Target, one: _Running) -> Trial | None:
    status = one.process.reap()
    if status is None:
        return None
    totals = one.process.totals()
    trial = Trial(seed=one.seed, executions=totals.executions)
    homes = finding_dirs(one.home / "findings")
    found = {home: load(home / "finding.json", Finding) for home in homes}
    wanted = [home for home, finding in found.items() if finding.check in one.quirk.checks]
    trial.others = tuple(sorted(f.signature for home, f in found.items() if home not in wanted))
    if wanted:
        (home,) = wanted
        program = target.decode((home / "program.bin").read_bytes())
        without = target.execute(program, one.era).violation
        trial.executions = found[home].executions
        trial.signature, trial.check = found[home].signature, found[home].check
        trial.elsewhere = without is not None and without.signature == trial.signature
    elif status != 0:
        raise Error(
            f"the trial of quirk {one.quirk.id} with seed {one.seed} failed with status {status}:\n"
            f"{one.process.log_tail()}"
        )
    elif totals.mutations == 0:
        raise BlindRun(f"the trial of quirk {one.quirk.id} never called the mutator")
    one.process.retire()
    shutil.rmtree(one.home)
    return trial


def as_markdown(target: Target, table: list[Measured], command: str) -> str:
    """The table as a document."""
    runs = table[0].runs if table else 0
    lines = [
        f"# How fast the quirks of {target.name} are found",
        "",
        f"One worker from an empty corpus, at most {runs:,} executions, for each quirk and seed.",
        "The figure is the number of executions up to the first finding by an expected check; what",
        "other checks find is stepped over. Made by",
        "",
        f"    {command}",
        "",
        "| quirk | name | era | expected checks | fired | found | median executions | most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        median = f"{row.median:,}" if row.median is not None else "-"
        most = f"{max(t.executions for t in row.found):,}" if row.found else "-"
        lines.append(
            f"| {row.quirk} | {row.name} | {row.era} | {', '.join(row.expected)} "
            f"| {', '.join(row.checks) or '-'} | {len(row.found)} of {len(row.trials)} "
            f"| {median} | {most} |"
        )
    return "\n".join(lines) + "\n"
