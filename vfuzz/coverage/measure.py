# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a corpus on the counting variant of a target, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vfuzz import api
from vfuzz.coverage import lines, variant
from vfuzz.engine import inputs
from vfuzz.errors import UsageError

__all__ = ["Coverage", "File", "Line", "Run", "committed", "measure", "runs_of"]


@dataclass(frozen=True)
class Run:
    """A program and how to execute it: once for each era, with the quirks switched on.

    path  the file it is from, for messages
    """

    path: Path
    era: str
    quirks: tuple[str, ...]
    program: str | bytes


@dataclass(frozen=True)
class Line:
    """A statement that no run reached. why: what its source says of it, "" for nothing."""

    number: int
    text: str
    why: str


@dataclass(frozen=True)
class File:
    """The lines of one source.

    name    relative to the folder from which the target is imported
    part    "model", "judge" or "sim"
    counts  line -> how often its statement was reached, for each line that counts
    """

    path: Path
    name: str
    part: str
    counts: dict[int, int]

    @cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def why(self) -> dict[int, str]:
        """Line -> what the source says of its not being reached."""
        return lines.explanations(self.text)

    @property
    def reached(self) -> int:
        """How many lines some run reached."""
        return sum(count > 0 for count in self.counts.values())

    @cached_property
    def uncovered(self) -> tuple[Line, ...]:
        """The lines that no run reached."""
        source = self.text.splitlines()
        return tuple(
            Line(number, source[number - 1].strip(), self.why.get(number, ""))
            for number, count in sorted(self.counts.items())
            if not count
        )

    @property
    def stale(self) -> tuple[int, ...]:
        """Lines that the source says are never reached, and that were."""
        return tuple(number for number in sorted(self.why) if self.counts.get(number))


@dataclass(frozen=True)
class Coverage:
    """What a corpus reached of a target.

    programs    program files; executions: times that one was executed
    violations  executions that ended in one: with quirks on they are meant to
    all_counts  every count there is, also of lines that do not count for coverage
    """

    target: api.Target
    programs: int
    executions: int
    violations: int
    files: tuple[File, ...]
    all_counts: dict[Path, dict[int, int]] = field(repr=False)

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return sum(len(file.counts) for file in self.files)

    @property
    def reached(self) -> int:
        """How many some run reached."""
        return sum(file.reached for file in self.files)

    @property
    def share(self) -> float:
        """reached / lines; 0 when there are none."""
        return self.reached / self.lines if self.lines else 0.0

    @property
    def unexplained(self) -> int:
        """Lines that no run reached and that the source does not explain."""
        return sum(not line.why for file in self.files for line in file.uncovered)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "target": self.target.name,
            "programs": self.programs,
            "executions": self.executions,
            "violations": self.violations,
            "lines": self.lines,
            "reached": self.reached,
            "share": round(self.share, 6),
            "unexplained": self.unexplained,
            "files": [
                {
                    "file": file.name,
                    "part": file.part,
                    "lines": len(file.counts),
                    "reached": file.reached,
                    "uncovered": [
                        {"line": line.number, "text": line.text, "why": line.why}
                        for line in file.uncovered
                    ],
                    "counts": {str(number): file.counts[number] for number in sorted(file.counts)},
                }
                for file in self.files
            ],
        }


def committed(target: api.Target) -> Path:
    """The folder of a target's committed corpus. Raises UsageError when it is not there."""
    path = Path(api.__file__).resolve().parents[1] / "corpus" / target.name
    if not path.is_dir():
        raise UsageError(
            f"{target.name} has no committed corpus here ({path} does not exist): name the "
            f"programs to run"
        )
    return path


def runs_of(
    target: api.Target,
    paths: Iterable[Path],
    eras: tuple[str, ...] = (),
    quirks: tuple[str, ...] = (),
) -> list[Run]:
    """How to execute the programs below paths; of a work directory it is its corpus.

    eras, quirks  as asked for. Without either a program runs in every era with no quirk, and once
    more with the quirks of its header in the eras of its header.

    Programs that a finding.json says kill the process are left out. Raises UsageError.
    """
    runs = []
    places = [path / "corpus" if (path / "campaign.json").is_file() else path for path in paths]
    for path in inputs.expand(places):
        source = inputs.read(path)
        if source.deadly:
            continue
        program = source.program(target)
        data = program.encode()
        if eras or quirks:
            ids = () if quirks == ("none",) else target.quirk_ids(quirks)
            for era in eras or target.eras_with(ids):
                target.quirk_ids(ids, era)
                runs.append(Run(path, era, ids, data))
            continue
        runs += [Run(path, era, (), data) for era in target.eras]
        if source.quirks:
            ids = target.quirk_ids(source.quirks)
            said = source.eras if source.eras and source.eras != ("all",) else ()
            runs += [Run(path, era, ids, data) for era in said or target.eras_with(ids)]
    return runs


def measure(
    target: api.Target,
    runs: Iterable[Run],
    parts: Iterable[str] = ("model",),
    *,
    told: Callable[[str], None] = lambda line: None,
    tick: Callable[[int], None] = lambda done: None,
) -> Coverage:
    """What `runs` reach of `parts` of a target.

    told  is called with a line before each step that takes time
    tick  with the number of executions so far, after each

    Raises Error when the counting variant cannot be made: see vfuzz.coverage.variant.
    """
    counting = variant.load(target, told)
    counting.clear()
    executions = violations = 0
    seen = set()
    for run in runs:
        # with the trace: what an op shows is part of the model
        result = counting.target.execute(run.program, run.era, run.quirks, trace=True)
        violations += result.violation is not None
        executions += 1
        seen.add(run.path)
        tick(executions)
    counts = counting.counts()
    return Coverage(
        target=target,
        programs=len(seen),
        executions=executions,
        violations=violations,
        files=_files(target, counts, set(parts)),
        all_counts=counts,
    )


def _files(
    target: api.Target, counts: dict[Path, dict[int, int]], parts: set[str]
) -> tuple[File, ...]:
    folder = Path(str(target.package.__file__)).resolve().parent
    root = folder.parents[target.package.__name__.count(".")]
    sources = Path(api.__file__).resolve().parents[1]
    found = []
    for path, reached in counts.items():
        part = lines.part_of(path, folder)
        if part not in parts:
            continue
        left_out = lines.never(path.read_text(encoding="utf-8"))
        base = root if path.is_relative_to(root) else sources
        own = {number: count for number, count in reached.items() if number not in left_out}
        found.append(File(path, str(path.relative_to(base)), part, own))
    return tuple(sorted(found, key=lambda file: (lines.PARTS.index(file.part), file.name)))
