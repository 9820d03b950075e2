# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz conform`"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from vfuzz import api
from vfuzz.cli.common import COUNT, DURATION, JSON, PATH, cores, print_json
from vfuzz.conform import gcov, report
from vfuzz.conform import kernel as kernels
from vfuzz.conform.session import Session, Totals, generated
from vfuzz.engine import inputs
from vfuzz.errors import EXIT_CLEAN, EXIT_FINDINGS, EXIT_INTERRUPTED, UsageError

INTERVAL_S = 5.0


@click.command("conform")
@click.argument("name", metavar="TARGET")
@click.argument("paths", metavar="[FILE|DIR...]", nargs=-1, type=PATH)
@click.option(
    "--kernel", "kernel_name", required=True, metavar="K",
    help="One of `vfuzz kernel list`, of which the beginning will do, or the path of an image.",
)  # fmt: skip
@click.option("--generate", type=COUNT, default=0, metavar="N", help="Random programs too.")
@click.option("--seed", type=COUNT, help="Of the random programs. Default: random, and printed.")
@click.option(
    "--era", metavar="ERA", help="What to compare with. Default: the era of the kernel's version."
)
@click.option(
    "--quirk", "quirks", multiple=True, metavar="ID",
    help="Historical bug that the kernel has too: switched on in the model; can be repeated.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N", default=cores,
    help="Guests at a time. Default: all cores.",
)  # fmt: skip
@click.option(
    "--minimise", "minimise_s", type=DURATION, default=20.0,
    help="Time for minimising one divergence. Default: 20s.",
)  # fmt: skip
@click.option("--no-minimise", is_flag=True, help="Show programs as they were.")
@click.option("--out", type=PATH, metavar="DIR", help="Write each divergence there.")
@click.option("--coverage", type=PATH, metavar="DIR",
              help="Write there which lines of a kernel built with --gcov ran.")  # fmt: skip
@JSON
def command(
    name: str,
    paths: tuple[Path, ...],
    kernel_name: str,
    generate: int,
    seed: int | None,
    era: str | None,
    quirks: tuple[str, ...],
    jobs: int,
    minimise_s: float,
    no_minimise: bool,
    out: Path | None,
    coverage: Path | None,
    as_json: bool,
) -> int:
    """Replay programs on a real kernel and compare every observable with the model.

    FILE is a program, DIR all programs below it. What a file says of quirks is not used: the kernel
    is as it is. A kernel built with --kmemleak is asked what memory it lost, and which program did.
    Ends with 1 when there is a difference that docs/conformance.md does not explain.

    \b
    vfuzz conform vdpa corpus/vdpa --kernel 6.12
    vfuzz conform vdpa --kernel 6.1 --generate 20k --seed 7
    vfuzz conform vdpa corpus/vdpa --kernel my-patch --quirk A28
    vfuzz conform vdpa --kernel leaks --generate 2k
    vfuzz conform virtio-net-rx corpus/virtio-net-rx --kernel 6.12-gcov --coverage lines
    """
    target = api.target(name)
    kernel = kernels.find(kernel_name)
    era = era or kernel.era(target.eras)
    target.era_index(era)
    ids = target.quirk_ids(quirks, era)
    if not paths and not generate:
        raise UsageError("name programs, or --generate N")
    for option, folder in (("--out", out), ("--coverage", coverage)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UsageError(f"{option} {folder} is a file: name a directory")
    if coverage is not None:
        gcov.can_count(kernel)
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    programs = itertools.chain(_read(target, paths), generated(target, generate, seed))
    interrupted = False
    with Session(target, kernel, era, ids, jobs=jobs, count_lines=coverage is not None,
                 tick=_Tick()) as session:  # fmt: skip
        totals = session.totals
        try:
            session.run(programs)
            if not no_minimise:
                for found in totals.unexplained:
                    if not found.signature.startswith("guest: "):
                        session.minimise(found, minimise_s)
        except KeyboardInterrupt:
            interrupted = True
            click.echo("vfuzz: interrupted: this is what was done so far", err=True)
    if out is not None:
        report.write(out, totals, kernel, era, ids)
    sources = gcov.sources(kernel, totals.lines) if coverage is not None else []
    if coverage is not None:
        gcov.write(coverage, kernel, sources)
    if as_json:
        data = report.as_json(totals, kernel, era, ids, seed if generate else None)
        if coverage is not None:
            data["lines"] = {s.name: {"ran": s.reached, "of": len(s.counts)} for s in sources}
        print_json(data)
    else:
        click.echo(report.text(totals, kernel, era, ids, seed if generate else None,
                               target.known(era)), nl=False)  # fmt: skip
        if coverage is not None:
            click.echo(gcov.text(sources), nl=False)
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FINDINGS if totals.unexplained else EXIT_CLEAN


def _read(target: api.Target, paths: tuple[Path, ...]) -> Iterator[api.Program]:
    for path in inputs.expand(paths):
        yield inputs.read(path).program(target)


class _Tick:
    """Progress on standard error: redrawn on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.next_s = time.monotonic() + INTERVAL_S

    def __call__(self, totals: Totals) -> None:
        now = time.monotonic()
        if now < self.next_s:
            return
        self.next_s = now + (0.2 if self.live else INTERVAL_S)
        line = report.progress(totals)
        click.echo(f"\r\033[K{line}" if self.live else f"vfuzz: {line}", nl=not self.live, err=True)
