# SPDX-License-Identifier: GPL-2.0-or-later
"""Working findings out: `python -m vfuzz.engine.triage WORKDIR SECONDS SLUG...`.

A process of its own, which the supervisor starts, because minimising runs the target thousands of
times: inside a worker it would credit those runs' coverage to the input at hand, make the run
irreproducible, and hold the worker up; inside the supervisor a crash of the target would end the
campaign. Minimising itself is in-process, a candidate costs microseconds.

A raw finding is minimised to the same signature and gets its report. One that was worked out before
is executed again, since the code under test may have changed: it is then "open" or "gone".
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from vfuzz import api
from vfuzz.engine.inputs import head_of
from vfuzz.engine.log import last_message, tail
from vfuzz.engine.process import environment, terminate
from vfuzz.engine.records import Finding, dump, load
from vfuzz.engine.shrink import shrink
from vfuzz.engine.store import write_atomic
from vfuzz.engine.worker import die_with_parent
from vfuzz.errors import EXIT_CLEAN, EXIT_FAILED, Error

__all__ = ["TriageQueue", "main", "triage"]

BATCH = 8  # findings for one process


def triage(home: Path, deadline_s: float) -> Finding:
    """Work out the finding in a directory and return its new record.

    deadline_s  seconds after which minimising stops with what it has

    Raises Error, OSError.
    """
    finding = load(home / "finding.json", Finding)
    target = api.target(finding.target)
    program = target.decode((home / "program.bin").read_bytes())
    result = target.execute(program, finding.era, finding.quirks)
    if not _shows(result, finding):
        finding.status = "gone"
        write_atomic(home / "finding.json", dump(finding))
        return finding
    finding.status = "open"
    if finding.state == "raw":
        shrunk = shrink(
            program, finding.era, finding.quirks, finding.signature, deadline_s=deadline_s
        )
        result = target.execute(shrunk.program, finding.era, finding.quirks)
        finding.state = "minimised" if shrunk.finished else "kept"
        finding.minimise_s, finding.tries = round(shrunk.seconds, 3), shrunk.tries
    _write(home, finding, result)
    return finding


def _shows(result: api.Result, finding: Finding) -> bool:
    return result.violation is not None and result.violation.signature == finding.signature


def _write(home: Path, finding: Finding, result: api.Result) -> None:
    """Program, text and report first, the record last: it says that they are there."""
    target, program, violation = result.target, result.program, result.violation
    assert violation is not None
    finding.eras = tuple(
        era
        for era in target.eras_with(finding.quirks)
        if _shows(target.execute(program, era, finding.quirks), finding)
    )
    finding.ops = len(program)
    finding.op, finding.message = violation.op, violation.message
    finding.obj, finding.obj_id = violation.obj, violation.obj_id
    text = head_of(target.name, (finding.era,), finding.quirks)
    text += f"# {violation.title}, {finding.signature}\n{program}"
    write_atomic(home / "program.bin", program.encode())
    write_atomic(home / "program.vf", text.encode())
    write_atomic(home / "report.txt", result.report().encode())
    write_atomic(home / "finding.json", dump(finding))


class TriageQueue:
    """The supervisor's side: works findings out in one process at a time.

    deadline_s  for minimising one finding
    """

    def __init__(self, workdir: Path, deadline_s: float) -> None:
        self.workdir = workdir
        self.deadline_s = deadline_s
        self._waiting: list[str] = []
        self._batch: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._until_s = 0.0

    def add(self, slugs: Iterable[str]) -> None:
        """Put findings into the queue."""
        self._waiting.extend(slugs)

    @property
    def pending(self) -> int:
        """Findings that are not worked out yet."""
        return len(self._waiting) + len(self._batch)

    def poll(self) -> list[str]:
        """Keep going; what there is to tell. Raises OSError, Error."""
        messages = []
        if self._process is not None:
            if self._process.poll() is None and time.monotonic() < self._until_s:
                return []
            messages = self._end()
        if self._waiting:
            self._start()
        return messages

    def close(self) -> None:
        """Stop; what is not worked out stays as it was found."""
        if self._process is not None:
            terminate(self._process)

    def _start(self) -> None:
        self._batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        arguments = [str(self.workdir), str(self.deadline_s), *self._batch]
        with (self.workdir / "triage.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vfuzz.engine.triage", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
        self._until_s = time.monotonic() + (self.deadline_s + 5) * len(self._batch) + 10

    def _end(self) -> list[str]:
        assert self._process is not None
        terminate(self._process)
        status, self._process = self._process.returncode, None
        batch, self._batch = self._batch, []
        if status == 0:
            return []
        if status != EXIT_FAILED:
            for slug in batch:
                self._keep(slug)  # it died of one of these: once is enough
        said = last_message(tail(self.workdir / "triage.log"))
        return [f"working out {', '.join(batch)} failed (status {status}): kept as found; {said}"]

    def _keep(self, slug: str) -> None:
        path = self.workdir / "findings" / slug / "finding.json"
        finding = load(path, Finding)
        if finding.state == "raw":
            finding.state = "kept"
            write_atomic(path, dump(finding))


def main(argv: list[str]) -> int:
    """Work out the named findings, one line each on standard output; 0 when all went well."""
    die_with_parent(int(os.environ.get("VFUZZ_PARENT", "0")))
    findings, deadline_s = Path(argv[1]) / "findings", float(argv[2])
    failed = False
    for slug in argv[3:]:
        try:
            finding = triage(findings / slug, deadline_s)
            size = f"{finding.ops_raw} -> {finding.ops} ops"
            print(f"{slug}: {finding.state}, {finding.status}, {size}")
        except (Error, OSError) as error:
            failed = True
            print(f"{slug}: {error}", file=sys.stderr)
    return EXIT_FAILED if failed else EXIT_CLEAN


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
