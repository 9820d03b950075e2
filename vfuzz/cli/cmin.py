# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz cmin`"""

from __future__ import annotations

from pathlib import Path

import click

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
from vfuzz.engine.merge import merge
from vfuzz.engine.store import write_atomic
from vfuzz.errors import UsageError


@click.command("cmin")
@click.argument("paths", metavar="IN...", nargs=-1, required=True, type=PATH)
@click.argument("out", metavar="OUT", type=PATH)
@target_option
@era_option
@quirk_option
@click.option("--text", "text_dir", type=PATH, help="Also write the programs of OUT as text there.")
@JSON
def command(
    paths: tuple[Path, ...],
    out: Path,
    target: str | None,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    text_dir: Path | None,
    as_json: bool,
) -> None:
    """Distil a corpus: put into OUT the fewest programs of IN that reach all that IN reaches.

    IN is a directory of programs, a program, or a work directory (then its corpus). What OUT holds
    already is kept, and only what it lacks is added.

    \b
    vfuzz cmin vfuzz-virtio-net-rx distilled
    vfuzz cmin --target virtio-net-rx old-corpus new-corpus distilled --text distilled-text
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"OUT {out} is a file: name a directory")
    files = [
        file
        for path in paths
        for file in inputs.expand([path / "corpus" if (path / "campaign.json").is_file() else path])
    ]
    chosen = inputs.read(files[0]).resolve_target(target)
    wanted, ids = eras_and_quirks(chosen, eras, quirks)
    merged = merge(chosen, wanted, ids, files, out)
    if text_dir is not None:
        text_dir.mkdir(parents=True, exist_ok=True)
        for path in sorted(out.iterdir()):
            text = inputs.head_of(chosen.name) + str(chosen.decode(path.read_bytes()))
            write_atomic(text_dir / f"{path.name}.vf", text.encode())
    if as_json:
        print_json(merged)
        return
    click.echo(
        f"{merged.files_in:,} programs, {merged.bytes_in:,} bytes -> {merged.files_out:,} "
        f"programs, {merged.bytes_out:,} bytes with {merged.features:,} features: {out}"
    )
