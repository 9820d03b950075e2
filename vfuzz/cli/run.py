# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz run`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vfuzz import api
from vfuzz.cli.common import (
    COUNT,
    DURATION,
    JSON,
    PATH,
    cores,
    eras_and_quirks,
    print_json,
)
from vfuzz.cli.status import LiveMonitor, PlainMonitor, summary_text
from vfuzz.conform import kernel as kernels
from vfuzz.conform.session import real_of
from vfuzz.engine.campaign import Campaign
from vfuzz.engine.settings import Settings
from vfuzz.errors import UsageError

_SEED_MAX = 2**32 - 1


class _WithArguments(click.Command):
    """Keeps what stands after `--` from being taken for WORKDIR."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            args, ctx.meta["vfuzz.arguments"] = args[:cut], tuple(args[cut + 1 :])
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- LIBFUZZER ARGUMENTS]"]


def _workers(ctx: click.Context, param: click.Parameter, value: int | None) -> int:
    if value is not None and not 1 <= value <= 1024:
        raise click.BadParameter("from 1 to 1024 workers are possible")
    return value or cores()


def _seed(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
    if value is not None and not 1 <= value <= _SEED_MAX:
        raise click.BadParameter(f"a seed is a number from 1 to {_SEED_MAX}")
    return value


@click.command("run", cls=_WithArguments)
@click.argument("name", metavar="TARGET")
@click.argument("workdir", metavar="[WORKDIR]", required=False, type=PATH)
@click.option(
    "-j", "--jobs", type=COUNT, callback=_workers, help="Worker processes. Default: all cores."
)
@click.option("--time", "time_s", type=DURATION, help="Stop after this long: 60, 5m, 1h30m.")
@click.option("--runs", type=COUNT, help="Stop after so many executions of all workers: 50000, 2M.")
@click.option("--seed", type=COUNT, callback=_seed, help="Of the first worker. Default: random.")
@click.option(
    "--era",
    "eras",
    multiple=True,
    metavar="ERA",
    help="Era to follow; can be repeated. Default: all, or those of the focus.",
)
@click.option(
    "--quirk", "quirks", multiple=True, metavar="ID", help="Bug to switch on; can be repeated."
)
@click.option("--focus", default="", metavar="NAME", help="Keep to this part; see vfuzz list.")
@click.option("--kernel", default="", metavar="K", help="Replay the corpus there; vfuzz kernel.")
@click.option("--stop-on-first", is_flag=True, help="Stop at the first new finding.")
@click.option("--no-seeds", is_flag=True, help="Do not add the committed seed programs.")
@click.option(
    "--minimise",
    "minimise_s",
    type=DURATION,
    default=20.0,
    help="Time for minimising one finding. Default: 20s.",
)
@click.option(
    "--interval",
    "interval_s",
    type=DURATION,
    default=5.0,
    help="Between two status lines, when standard error is no terminal. Default: 5s.",
)
@JSON
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    workdir: Path | None,
    jobs: int,
    time_s: float | None,
    runs: int | None,
    seed: int | None,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    focus: str,
    kernel: str,
    stop_on_first: bool,
    no_seeds: bool,
    minimise_s: float,
    interval_s: float,
    as_json: bool,
) -> int:
    """Run a campaign on TARGET until --time, --runs or Ctrl-C.

    WORKDIR keeps corpus, findings and statistics, and is resumed when it exists. Default:
    vfuzz-TARGET. What an era is known to have is stepped over, counted and listed; so is what was
    found before. With -j1, --seed and --runs a run from a new WORKDIR can be repeated exactly.

    Status goes to standard error, the summary to standard output. Ends with 0 when there is no
    finding in WORKDIR, 1 when there is one, 2 for wrong usage, 3 when vfuzz failed.

    \b
    vfuzz run virtio-net-rx --time 60
    vfuzz run virtio-net-rx nightly --time 8h -j 8
    vfuzz run virtio-net-rx --era linux-6.1 --quirk A04 --stop-on-first
    vfuzz run virtio-net-rx vfuzz-csum --focus csum --time 10m
    vfuzz run vdpa --kernel 6.12 --time 1h
    vfuzz run virtio-net-rx --time 5m -- -use_value_profile=1
    """
    target = api.target(name)
    if focus and not eras:
        eras = target.schema.focus(focus).eras
    wanted, ids = eras_and_quirks(target, eras, quirks)
    if runs == 0:
        raise UsageError("--runs has to be at least 1")
    target.core  # noqa: B018  not built is better told before anything is made
    settings = Settings(
        target=target,
        workdir=workdir or Path(f"vfuzz-{target.name}"),
        eras=wanted,
        quirks=ids,
        workers=min(jobs, runs) if runs is not None else jobs,
        time_s=time_s,
        runs=runs,
        seed=seed,
        stop_on_first=stop_on_first,
        seeds=not no_seeds,
        arguments=ctx.meta.get("vfuzz.arguments", ()),
        minimise_s=minimise_s,
        focus=focus,
        kernel=kernels.find(kernel).name if kernel else "",
    )
    if kernel:
        real_of(target)
    campaign = Campaign(settings)
    live = sys.stderr.isatty()
    with LiveMonitor(settings, campaign.seed) if live else PlainMonitor(interval_s) as monitor:
        summary = campaign.run(monitor)
    if as_json:
        print_json(summary)
    else:
        click.echo(summary_text(summary), nl=False)
    if summary.error:
        click.echo(f"vfuzz: {summary.error}", err=True)
    return summary.exit_code
