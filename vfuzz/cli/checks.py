# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz checks`"""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from vfuzz import api, coverage
from vfuzz.cli.common import JSON, PATH, Progress, print_json
from vfuzz.coverage.exercised import exercised
from vfuzz.errors import UsageError


@click.command("checks")
@click.argument("name", metavar="[TARGET]", required=False)
@click.argument("paths", metavar="[FILE|DIR]...", nargs=-1, type=PATH)
@click.option("--clauses", is_flag=True, help="List the statements of the specification instead.")
@JSON
def command(
    name: str | None, paths: tuple[Path, ...], clauses: bool, as_json: bool
) -> None:
    """List the checks: id, class of bug, rule, and where the rule comes from.

    With --clauses: the normative statements of the specification that concern TARGET, each with the
    checks that guard it, or the reason that none can.

    With programs (FILE, or DIR for all below it) each check also says how often it was asked while
    they ran; that needs what `vfuzz coverage` needs.

    \b
    vfuzz checks
    vfuzz checks virtio-net-rx --json
    vfuzz checks virtio-net-rx --clauses corpus/virtio-net-rx
    """
    chosen = (api.target(name),) if name else api.targets()
    if clauses and name and not chosen[0].clauses:
        raise UsageError(f"{name} has no table of clauses; {_with_clauses()}")
    asked = _asked(chosen[0], paths) if paths else None
    if clauses:
        _clauses([target for target in chosen if target.clauses], asked, as_json)
        return
    if as_json:
        print_json(
            [
                {
                    "target": target.name,
                    "id": check.id,
                    "title": check.title,
                    "rule": check.rule,
                    "source": check.source,
                    **({} if asked is None else {"asked": asked[check.id]}),
                }
                for target in chosen
                for check in target.checks
            ]
        )
        return
    for target in chosen:
        click.echo(f"{target.name}: {len(target.checks)} checks")
        for check in target.checks:
            tail = "" if asked is None else f", asked {asked[check.id]:,} times"
            click.echo(f"  {check.id:<5} {check.title}{tail}")
            click.echo(f"        {check.rule}")
            click.echo(f"        from {check.source}")


def _with_clauses() -> str:
    return f"there is one of {', '.join(t.name for t in api.targets() if t.clauses)}"


def _asked(target: api.Target, paths: tuple[Path, ...]) -> dict[str, int]:
    runs = coverage.runs_of(target, paths)
    with Progress() as progress:
        found = coverage.measure(
            target, runs, ("model", "judge", "sim"), told=progress.tell,
            tick=lambda done: progress.show(f"{done:,} of {len(runs):,} executions"),
        )  # fmt: skip
    return exercised(found)


def _clauses(targets: list[api.Target], asked: dict[str, int] | None, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "target": target.name,
                    "section": clause.section,
                    "side": clause.side,
                    "text": clause.text,
                    "checks": list(clause.checks),
                    "reason": clause.reason,
                    **({} if asked is None else {"asked": {c: asked[c] for c in clause.checks}}),
                }
                for target in targets
                for clause in target.clauses
            ]
        )
        return
    for target in targets:
        guarded = sum(bool(clause.checks) for clause in target.clauses)
        click.echo(f"{target.name}: {len(target.clauses)} clauses, {guarded} of them guarded")
        for clause in target.clauses:
            click.echo(f"  {clause.section}, {clause.side}")
            _wrapped(clause.text)
            if clause.checks:
                _wrapped("guarded by " + ", ".join(
                    check if asked is None else f"{check} (asked {asked[check]:,} times)"
                    for check in clause.checks
                ))  # fmt: skip
            if clause.reason:
                _wrapped(f"{'but' if clause.checks else 'not guarded'}: {clause.reason}")


def _wrapped(text: str) -> None:
    indent = " " * 8
    click.echo(textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent))
