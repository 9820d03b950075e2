# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz tmin`"""

from __future__ import annotations

from pathlib import Path

import click

from vfuzz.cli.common import (
    DURATION,
    PATH,
    era_option,
    eras_and_quirks,
    put_file,
    quirk_option,
    target_option,
    writable,
)
from vfuzz.engine import inputs
from vfuzz.engine.shrink import shrink
from vfuzz.errors import EXIT_CLEAN, UsageError


@click.command("tmin")
@click.argument("path", metavar="FILE", type=PATH)
@target_option
@era_option
@quirk_option
@click.option("-o", "--out", type=PATH, help="Write there instead of printing; .bin writes binary.")
@click.option(
    "--time", "time_s", type=DURATION, default=20.0, help="Give up after. Default: 20s."
)
def command(
    path: Path,
    target: str | None,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    out: Path | None,
    time_s: float,
) -> int:
    """Make a program smaller that still has the same violation, and print it as text.

    The signature stays the same: check, function and label. Of several eras the first that shows a
    violation counts.

    \b
    vfuzz tmin --target virtio-net-rx --quirk A04 crash-0c1f
    vfuzz tmin -o small.vf vfuzz-virtio-net-rx/findings/S7-receive_mergeable-first/raw.bin
    """
    writable(out)
    source = inputs.read(path)
    chosen = source.resolve_target(target)
    wanted, ids = eras_and_quirks(chosen, eras, quirks, source)
    program = source.program(chosen)
    results = [chosen.execute(program, era, ids) for era in wanted]
    result = next((r for r in results if r.violation is not None), None)
    if result is None or result.violation is None:
        raise UsageError(
            f"{path} has no violation in {', '.join(wanted)} with "
            f"{'quirks ' + ', '.join(ids) if ids else 'no quirks'}: there is nothing to keep; "
            f"give --era and --quirk as it was found"
        )
    signature = result.violation.signature
    shrunk = shrink(program, result.era, ids, signature, deadline_s=time_s)
    text = inputs.head_of(chosen.name, (result.era,), ids) + f"# {signature}\n{shrunk.program}"
    if out is None:
        click.echo(text, nl=False)
    else:
        put_file(out, shrunk.program.encode() if out.suffix == ".bin" else text.encode())
    click.echo(
        f"{signature} in {result.era}: {len(program)} -> {len(shrunk.program)} ops, "
        f"{shrunk.tries:,} tries, {shrunk.seconds:.2f} s"
        f"{'' if shrunk.finished else ', cut short by --time'}",
        err=True,
    )
    return EXIT_CLEAN
