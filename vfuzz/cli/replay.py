# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz replay`"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import click

from vfuzz import api
from vfuzz.cli.common import (
    JSON,
    PATH,
    era_option,
    eras_and_quirks,
    print_json,
    quirk_option,
    target_option,
)
from vfuzz.engine import inputs
from vfuzz.engine.store import finding_dirs
from vfuzz.errors import EXIT_CLEAN, EXIT_FINDINGS

DEADLY_MAX_S = 30  # for a program that hung a worker


@click.command("replay")
@click.argument("paths", metavar="FILE|DIR...", nargs=-1, required=True, type=PATH)
@target_option
@era_option
@quirk_option
@click.option("--trace", is_flag=True, help="Print the run step by step too.")
@JSON
def command(
    paths: tuple[Path, ...],
    target: str | None,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    trace: bool,
    as_json: bool,
) -> int:
    """Run programs once and print a report of each violation.

    FILE is a program, text or binary, '-' for standard input. DIR stands for the program files
    below it; a work directory, or a finding in one, for the programs of its findings.

    What to run it on is taken from the options, else from comments at the beginning of a text
    ('# target: NAME', '# era: ERA', '# quirks: ID, ID'), else from the finding.json beside it. The
    default is all eras and no quirk. Ends with 1 when there was a violation.

    \b
    vfuzz replay vfuzz-virtio-net-rx
    vfuzz replay --target virtio-net-rx --era linux-6.1 --quirk A04 --trace crash-0c1f
    vfuzz replay corpus/virtio-net-rx/seeds --json
    """
    results: list[tuple[Path, api.Result]] = []
    apart: list[bool] = []
    for path in paths:
        if (path / "campaign.json").is_file() and not finding_dirs(path / "findings"):
            click.echo(f"{path}: no findings")
            paths = tuple(other for other in paths if other != path)
    for path in inputs.expand(paths):
        source = inputs.read(path)
        chosen = source.resolve_target(target)
        wanted, ids = eras_and_quirks(chosen, eras, quirks, source)
        program = source.program(chosen)
        if source.deadly:
            died, text = _run_apart(path, program, wanted, ids)
            apart.append(died)
            click.echo(text, err=as_json)
            continue
        for era in wanted:
            result = chosen.execute(program, era, ids, trace=trace or as_json)
            results.append((path, result))
            if not as_json:
                _print(path, result, trace)
    bad = sum(apart) + sum(result.violation is not None for _, result in results)
    if as_json:
        print_json([_as_json(path, result) for path, result in results])
    elif len(results) + len(apart) > 1:
        click.echo(f"{len(results) + len(apart)} runs, {bad} with a violation")
    return EXIT_FINDINGS if bad else EXIT_CLEAN


def _run_apart(
    path: Path, program: api.Program, eras: tuple[str, ...], quirks: tuple[str, ...]
) -> tuple[bool, str]:
    """Run a program that killed a worker in a child process: whether it died, and a line on it."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(DEADLY_MAX_S)
        for era in eras:
            program.target.execute(program, era, quirks)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0:
        return False, f"{path}: killed a worker once, and does not now, in {', '.join(eras)}"
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return True, (
        f"{path}: kills the process that runs it ({how}): a bug in vfuzz, not in what it models; "
        f"see {path.parent / 'report.txt'}, and replay it with an AddressSanitizer build"
    )


def _print(path: Path, result: api.Result, trace: bool) -> None:
    if trace:
        click.echo(result.trace_text())
    if result.violation is None:
        quirks = f", quirks {', '.join(result.quirks)}" if result.quirks else ""
        click.echo(f"{path}: no violation in {result.era}{quirks}")
    else:
        click.echo(f"{path}:\n{result.report()}")


def _as_json(path: Path, result: api.Result) -> dict[str, Any]:
    report = result.report() if result.violation else None
    return {"file": str(path), **result.to_json(trace=True), "report": report}
