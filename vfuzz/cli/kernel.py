# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz kernel build`, `list`, `remove`"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from vfuzz.cli.common import JSON, PATH, cores, print_json
from vfuzz.conform import kernel as kernels
from vfuzz.errors import EXIT_CLEAN, UsageError

INTERVAL_S = 5.0  # between two lines, when standard error is not a terminal


class _Progress:
    """A line that is redrawn, or one every INTERVAL_S; steps that are no file are always told."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.next_s = 0.0

    def __call__(self, text: str) -> None:
        step = not text.startswith(("CC ", "AS ", "LD "))
        now = time.monotonic()
        if self.live:
            click.echo(f"\r\033[K{text[:100]}" + ("\n" if step else ""), nl=False, err=True)
        elif step or now >= self.next_s:
            self.next_s = now + INTERVAL_S
            click.echo(f"vfuzz: {text}", err=True)

    def end(self) -> None:
        """Leave the line."""
        if self.live:
            click.echo("\r\033[K", nl=False, err=True)


@click.group("kernel")
def command() -> None:
    """Kernels to compare with: User-Mode Linux, built from a source tree.

    \b
    vfuzz kernel build 6.12 --kasan
    vfuzz kernel list
    vfuzz kernel remove 6.12.117-kasan
    """


@command.command("build")
@click.argument("series", required=False)
@click.option("--source", type=PATH, help="A source tree of your own, with your patch.")
@click.option("--kasan", is_flag=True, help="KASAN: bad accesses show in the kernel's log.")
@click.option("--ubsan", is_flag=True, help="UBSAN: array indexes out of bounds do.")
@click.option("--kmemleak", is_flag=True, help="kmemleak: conform tells what memory is lost.")
@click.option("--lockdep", is_flag=True, help="Lock dependency checks.")
@click.option("--gcov", is_flag=True, help="Counts of the drivers' lines: conform --coverage.")
@click.option("--set", "more", multiple=True, metavar="SYMBOL=VALUE", help="More configuration.")
@click.option("--name", help="Its name. Default: version, options and a hash.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=cores, help="Compilers at a time.")
@click.option("--nice", type=click.IntRange(0, 19), default=0, help="How much others go first.")
def build(
    series: str | None,
    source: Path | None,
    kasan: bool,
    ubsan: bool,
    kmemleak: bool,
    lockdep: bool,
    gcov: bool,
    more: tuple[str, ...],
    name: str | None,
    jobs: int,
    nice: int,
) -> int:
    """Build a kernel from Debian's source of SERIES (6.1, 6.12), or from a tree of your own.

    It is kept in ~/.cache/vfuzz; VFUZZ_CACHE names another place than ~/.cache. Building the same
    again compiles only what was edited. Prints its name, which `vfuzz conform --kernel` takes.

    \b
    vfuzz kernel build 6.12 --kasan
    vfuzz kernel build 6.12 --kmemleak --name leaks
    vfuzz kernel build --source ~/linux --name my-patch
    """
    if (series is None) == (source is None):
        raise UsageError(f"name a series ({', '.join(kernels.DEBIAN)}) or --source DIR")
    progress = _Progress()
    kernels.need_tools()  # before half an hour of fetching and unpacking
    try:
        tree = source if source is not None else kernels.debian_source(str(series), progress)
        asked = {"kasan": kasan, "ubsan": ubsan, "kmemleak": kmemleak, "lockdep": lockdep,
                 "gcov": gcov}  # fmt: skip
        options = tuple(option for option, on in asked.items() if on)
        what = kernels.plan(tree, options, more, name)
        kernel = kernels.build(what, progress, jobs=jobs, nice=nice)
    finally:
        progress.end()
    click.echo(f"{kernel.name}: Linux {kernel.version}, {kernel.seconds:.0f} s", err=True)
    click.echo(kernel.name)
    return EXIT_CLEAN


@command.command("list")
@JSON
def list_(as_json: bool) -> int:
    """List the kernels that were built, and builds that did not end well."""
    found = kernels.installed()
    if as_json:
        print_json([{**_plain(kernel), "image": str(kernel.image)} for kernel in found])
        return EXIT_CLEAN
    for name in kernels.unfinished():
        click.echo(f"{name:32} was not built to its end: build it again, or remove it", err=True)
    if not found:
        click.echo("no kernels; build one: vfuzz kernel build 6.12")
    for kernel in found:
        options = ", ".join(kernel.options) or "no options"
        click.echo(f"{kernel.name:32} Linux {kernel.version:12} {options:24} {kernel.source}")
    return EXIT_CLEAN


def _plain(kernel: kernels.Kernel) -> dict[str, object]:
    import msgspec

    return msgspec.to_builtins(kernel)


@command.command("remove")
@click.argument("name")
def remove(name: str) -> int:
    """Remove a kernel and its build folder. NAME is one of `vfuzz kernel list`."""
    click.echo(f"removed {kernels.remove(name)}")
    return EXIT_CLEAN
