# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz repro`"""

from __future__ import annotations

from pathlib import Path

import click

from vfuzz.cli.common import (
    PATH,
    era_option,
    eras_and_quirks,
    put_file,
    quirk_option,
    target_option,
    writable,
)
from vfuzz.engine import inputs
from vfuzz.errors import EXIT_CLEAN


@click.command("repro")
@click.argument("path", metavar="FILE", type=PATH)
@click.option(
    "--lang", type=click.Choice(["c"]), default="c", show_default=True, help="The language."
)
@target_option
@era_option
@quirk_option
@click.option("-o", "--out", type=PATH, help="Write there instead of printing.")
@click.option("--leave-out", is_flag=True, help="Leave out ops that no call can do.")
def command(
    path: Path,
    lang: str,
    target: str | None,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    out: Path | None,
    leave_out: bool,
) -> int:
    """Turn a program into one that needs no vfuzz and does the same on a real kernel.

    It opens the device node that it is given, does each op's system calls, prints what they return
    and compares that with the model of an era: of several the newest. For vdpa that is a C program
    for /dev/vhost-vdpa-N; its first comment says how to make such a device. It may crash the
    kernel: run it on a machine that is there for that.

    \b
    vfuzz repro --lang c -o repro.c corpus/vdpa/regressions/A30.vf
    cc -Wall -Wextra -pthread -o repro repro.c && sudo ./repro /dev/vhost-vdpa-0
    """
    writable(out)
    source = inputs.read(path)
    chosen = source.resolve_target(target)
    wanted, ids = eras_and_quirks(chosen, eras, quirks, source)
    text = source.program(chosen).to_c(wanted[-1], ids, leave_out=leave_out)
    if out is None:
        click.echo(text, nl=False)
    else:
        put_file(out, text.encode())
    return EXIT_CLEAN
