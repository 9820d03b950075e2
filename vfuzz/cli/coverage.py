# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz coverage`"""

from __future__ import annotations

from pathlib import Path

import click

from vfuzz import api
from vfuzz import coverage as measuring
from vfuzz.cli.common import JSON, PATH, Progress, print_json
from vfuzz.coverage import Coverage, html
from vfuzz.coverage.lines import PARTS
from vfuzz.errors import EXIT_CLEAN, EXIT_FINDINGS, UsageError


@click.command("coverage")
@click.argument("name", metavar="TARGET")
@click.argument("paths", metavar="[FILE|DIR]...", nargs=-1, type=PATH)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice([*PARTS, "all"]), metavar="PART",
    help=f"What to measure: {', '.join(PARTS)} or all; can be repeated. Default: model.",
)  # fmt: skip
@click.option("--era", "eras", multiple=True, metavar="ERA", help="Only in this era; repeatable.")
@click.option("--quirk", "quirks", multiple=True, metavar="ID", help="Bug to switch on.")
@click.option("--html", "html_dir", type=PATH, metavar="DIR", help="Write pages there too.")
@click.option(
    "--least", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="End with 1 when less is reached.",
)  # fmt: skip
@JSON
def command(
    name: str,
    paths: tuple[Path, ...],
    parts: tuple[str, ...],
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    html_dir: Path | None,
    least: float | None,
    as_json: bool,
) -> int:
    """Show which lines of a target's sources programs reach.

    FILE is a program, DIR all programs below it, or a work directory (then its corpus). The default
    is the committed corpus of TARGET. Each runs in every era, and once more with the quirks of its
    header; --era and --quirk say otherwise ('--quirk none' for no quirk at all).

    A line counts when it holds a statement that a clean program could run. Lines that the source
    explains with '# uncovered: why' count as not reached, and are shown with it.

    It compiles the target anew, once for each change of its sources: a source tree, Cython and a C
    compiler (any) have to be there.

    \b
    vfuzz coverage virtio-net-rx
    vfuzz coverage vdpa --part all --html coverage
    vfuzz coverage virtio-net-rx vfuzz-virtio-net-rx --least 95
    """
    target = api.target(name)
    for era in eras:
        target.era_index(era)
    if quirks and quirks != ("none",):
        target.quirk_ids(quirks)
    if html_dir is not None and html_dir.exists() and not html_dir.is_dir():
        raise UsageError(f"--html {html_dir} is a file: name a directory")
    runs = measuring.runs_of(target, paths or (measuring.committed(target),), eras, quirks)
    wanted = PARTS if "all" in parts else parts or ("model",)
    with Progress() as progress:
        found = measuring.measure(
            target, runs, wanted, told=progress.tell,
            tick=lambda done: progress.show(f"{done:,} of {len(runs):,} executions"),
        )  # fmt: skip
    if html_dir is not None:
        index = html.write(found, html_dir)
        click.echo(f"vfuzz: {index}", err=True)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    if least is not None and found.share * 100 < least:
        click.echo(f"vfuzz: {found.share:.2%} is less than {least:g} %", err=True)
        return EXIT_FINDINGS
    return EXIT_CLEAN


def _print(found: Coverage) -> None:
    width = max((len(file.name) for file in found.files), default=0)
    for file in found.files:
        share = file.reached / len(file.counts) if file.counts else 1.0
        left = len(file.uncovered)
        tail = f"  {left:>4} not reached" if left else ""
        click.echo(f"{file.name:<{width}}  {len(file.counts):>5} lines  {share:>8.2%}{tail}")
    for file in found.files:
        for line in file.uncovered:
            click.echo(f"{file.name}:{line.number}: {line.text}")
            if line.why:
                click.echo(f"    {line.why}")
    click.echo(
        f"{found.target.name}: {found.share:.2%} of {found.lines:,} lines; "
        f"{found.lines - found.reached} not reached, {found.unexplained} of them unexplained; "
        f"{found.programs:,} programs, {found.executions:,} executions"
    )
