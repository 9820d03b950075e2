# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz quirks`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vfuzz import api
from vfuzz.cli.common import COUNT, JSON, PATH, cores, print_json, put_file, writable
from vfuzz.engine import measure as measuring
from vfuzz.errors import EXIT_CLEAN, EXIT_FINDINGS, UsageError
from vfuzz.sanitizer.registry import Quirk


@click.command("quirks")
@click.argument("name", metavar="[TARGET]", required=False)
@click.option("--measure", is_flag=True, help="Run trials: how many executions until it is found?")
@click.option("--runs", type=COUNT, default=2_000_000, show_default=True, help="Of a trial.")
@click.option("--seeds", type=COUNT, default=5, show_default=True, help="Trials for each quirk.")
@click.option("--only", multiple=True, metavar="ID", help="Only this quirk; can be repeated.")
@click.option("--era", help="Where to look for it. Default: the newest era that can have it.")
@click.option("-j", "--jobs", type=COUNT, help="Trials at a time. Default: all cores.")
@click.option("--out", type=PATH, metavar="FILE.md", help="Write the table there as a document.")
@JSON
def command(
    name: str | None,
    measure: bool,
    runs: int,
    seeds: int,
    only: tuple[str, ...],
    era: str | None,
    jobs: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """List the catalogue of historical bugs, or measure how fast each is found.

    Measuring starts each trial from an empty corpus, with one quirk on, and stops when a check that
    the quirk's entry names fires. It ends with 1 when a quirk is found in fewer than four of five
    trials.

    \b
    vfuzz quirks virtio-net-rx
    vfuzz quirks virtio-net-rx --measure --runs 2M --seeds 5 --out quirks-measured.md
    vfuzz quirks virtio-net-rx --measure --only A04 --era linux-6.1
    """
    writable(out)
    if not measure:
        context = click.get_current_context()
        for option in ("runs", "seeds", "era", "jobs", "out"):
            if context.get_parameter_source(option) is not ParameterSource.DEFAULT:
                raise UsageError(f"--{option} is for --measure: give that too, or leave it out")
        _list(name, only, as_json)
        return EXIT_CLEAN
    if name is None:
        raise UsageError("--measure needs a TARGET")
    if not runs or not seeds:
        raise UsageError("--runs and --seeds have to be at least 1")
    target = api.target(name)
    wanted = _chosen(target, only)
    table = measuring.measure(
        target, wanted, runs=runs, seeds=seeds, era=era, jobs=jobs or cores(), told=_tell
    )
    command_line = f"vfuzz quirks {target.name} --measure --runs {runs} --seeds {seeds}"
    command_line += "".join(f" --only {quirk.id}" for quirk in wanted) if only else ""
    command_line += f" --era {era}" if era else ""
    if out is not None:
        put_file(out, measuring.as_markdown(target, table, command_line).encode())
    if as_json:
        print_json(table)
    else:
        _print_table(table)
    return EXIT_CLEAN if all(row.good for row in table) else EXIT_FINDINGS


def _chosen(target: api.Target, only: tuple[str, ...]) -> list[Quirk]:
    ids = target.quirk_ids(only) if only else tuple(quirk.id for quirk in target.quirks)
    return [quirk for quirk in target.quirks if quirk.id in ids]


def _tell(quirk: Quirk, trial: measuring.Trial) -> None:
    what = trial.signature or "nothing"
    what += f" after {trial.executions:,} executions"
    what += ", also without the quirk" if trial.elsewhere else ""
    click.echo(f"{quirk.id} seed {trial.seed}: {what}", err=True)


def _print_table(table: list[measuring.Measured]) -> None:
    for row in table:
        median = f"{row.median:,}" if row.median is not None else "-"
        fired = ", ".join(row.checks) or "-"
        click.echo(
            f"{row.quirk:<7} {row.name:<28} {row.era:<12} found {len(row.found)} of "
            f"{len(row.trials)}, median {median:>9} executions, {fired}"
            f"{'' if row.good else '   TOO FEW'}"
        )


def _list(name: str | None, only: tuple[str, ...], as_json: bool) -> None:
    chosen = (api.target(name),) if name else api.targets()
    rows: list[dict[str, Any]] = [
        {
            "target": target.name,
            "id": quirk.id,
            "name": quirk.name,
            "summary": quirk.summary,
            "fix": quirk.fix,
            "cve": quirk.cve,
            "eras": list(quirk.eras),
            "checks": list(quirk.checks),
            "verified": quirk.verified,
            "canary": quirk.canary,
        }
        for target in chosen
        for quirk in _chosen(target, only)
    ]
    if as_json:
        print_json(rows)
        return
    for target in chosen:
        own = [row for row in rows if row["target"] == target.name]
        click.echo(f"{target.name}: {len(own)} quirks")
        for row in own:
            cve = f", {row['cve']}" if row["cve"] else ""
            click.echo(f"  {row['id']:<5} {row['name']}{'  (canary)' if row['canary'] else ''}")
            click.echo(f"        {row['summary']}")
            click.echo(
                f"        {', '.join(row['eras'])}; expects {', '.join(row['checks'])}; "
                f"fix {row['fix']}{cve}"
            )
