# SPDX-License-Identifier: GPL-2.0-or-later
"""Working a finding out: `python -m vfuzz.engine.triage WORKDIR SECONDS SLUG...`.

A process of its own, which the supervisor starts, because minimising runs the target thousands of
times: inside a worker it would credit those runs' coverage to the input at hand, make the run
irreproducible, and hold the worker up; inside the supervisor a crash of the target would end the
campaign. Minimising itself is in-process, a candidate costs microseconds.

A raw finding is minimised to the same signature and gets its report. One that was worked out before
is executed again, since the code under test may have changed: it is then "open" or "gone".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from vfuzz import api
from vfuzz.engine.inputs import head_of
from vfuzz.engine.records import Finding, dump, load
from vfuzz.engine.shrink import shrink
from vfuzz.engine.store import write_atomic
from vfuzz.engine.worker import die_with_parent
from vfuzz.errors import Error

__all__ = ["main", "triage"]


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
    return 3 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
