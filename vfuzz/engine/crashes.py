# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs that killed the model's own code, made into findings.

Not what a check found: a segmentation fault, a hang, AddressSanitizer. libFuzzer keeps the input;
what happened stands in the worker's log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import vfuzz
from vfuzz.engine.process import WorkerProcess
from vfuzz.engine.records import Finding
from vfuzz.engine.settings import Settings
from vfuzz.engine.store import save_finding

__all__ = ["cause_of", "take_crashes"]

REPORT_MAX = 8000  # bytes of the log that become the report

_CAUSES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # AddressSanitizer and its like: class and function, as in its SUMMARY line.
    (
        re.compile(r"SUMMARY: (?!libFuzzer)\w+: (\S+)(?:.* in (\S+))?"),
        lambda match: "-".join(part for part in match.groups() if part),
    ),
    (
        re.compile(r"=== Uncaught Python exception: ===\s*(\w+)"),
        lambda match: match[1],
    ),
    (
        re.compile(r"SUMMARY: libFuzzer: (.+)"),
        lambda match: match[1].strip().replace(" ", "-"),
    ),
)


def cause_of(log: str) -> str:
    """What killed a worker, as one word, from the end of its log."""
    for pattern, text in _CAUSES:
        matches = list(pattern.finditer(log))
        if matches:
            return text(matches[-1])
    return "unknown"


def take_crashes(process: WorkerProcess, findings: Path, settings: Settings) -> int:
    """Store the inputs that a worker's death left behind; how many there were. Raises OSError."""
    artifacts = process.take_artifacts()
    for kind, path in artifacts:
        report = process.log_tail(REPORT_MAX)
        finding = _finding(process, kind, path.read_bytes(), cause_of(report), settings)
        files = {"program.bin": path.read_bytes(), "report.txt": report.encode()}
        save_finding(findings, finding, files)
        path.unlink()
    return len(artifacts)


def _finding(
    process: WorkerProcess, kind: str, data: bytes, cause: str, settings: Settings
) -> Finding:
    target = settings.target
    indexes = tuple(target.era_index(era) for era in settings.eras)
    ops = len(target.decode(data))
    return Finding(
        vfuzz=vfuzz.__version__,
        target=target.path,
        signature=f"{kind}@{cause}",
        kind=kind,
        title=f"{kind} of the model's own code",
        site=cause,
        message=f"the worker process died: {cause}",
        era=target.eras[target.core.era_of(data, indexes)],
        quirks=settings.quirks,
        state="kept",
        found=datetime.now(UTC).isoformat(timespec="seconds"),
        worker=process.index,
        executions=process.totals().executions,
        ops_raw=ops,
        ops=ops,
    )
