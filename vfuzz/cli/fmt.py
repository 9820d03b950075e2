# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz fmt`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vfuzz.cli.common import PATH, put_file, target_option, writable
from vfuzz.engine import inputs
from vfuzz.errors import EXIT_CLEAN, EXIT_FINDINGS, UsageError


@click.command("fmt")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=PATH)
@target_option
@click.option("-b", "--binary", is_flag=True, help="Print the binary form instead of text.")
@click.option("-o", "--out", type=PATH, help="Write there; a directory takes several FILEs.")
@click.option("-i", "--in-place", is_flag=True, help="Rewrite the text files themselves.")
@click.option("--check", is_flag=True, help="Name the texts that are not canonical; ends with 1.")
def command(
    paths: tuple[Path, ...],
    target: str | None,
    binary: bool,
    out: Path | None,
    in_place: bool,
    check: bool,
) -> int:
    """Turn a program, text or binary, into its one canonical text, or into binary.

    Any bytes are a program, so any file can be formatted. Comments at the beginning of a text are
    kept, others are not.

    \b
    vfuzz fmt --target virtio-net-rx crash-0c1f
    vfuzz fmt --binary -o program.bin program.vf
    vfuzz fmt --binary -o seeds/ corpus/virtio-net-rx/seeds/*.vf
    vfuzz fmt --in-place corpus/virtio-net-rx/seeds/*.vf
    """
    if out is not None and (in_place or check):
        raise UsageError("--out goes with neither --in-place nor --check")
    if out is not None and len(paths) > 1 and not out.is_dir():
        raise UsageError(f"--out {out} has to be a directory, which exists, to take several FILEs")
    names = [path.stem for path in paths]
    if out is not None and not out.is_dir():
        writable(out)
    elif out is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"several FILEs would be {out / twice}: give them one by one")
    if binary and (in_place or check):
        raise UsageError("--binary goes with neither --in-place nor --check")
    if binary and out is None and (len(paths) > 1 or sys.stdout.isatty()):
        raise UsageError("binary is not for a terminal, nor for several FILEs: use --out")
    odd = 0
    for path in paths:
        source = inputs.read(path)
        if (in_place or check) and not source.is_text:
            raise UsageError(f"{path} is binary: --in-place and --check are for text")
        program = source.program(source.resolve_target(target))
        text = _head(source, program.target.name) + str(program)
        if in_place or check:
            changed = text.encode() != source.data
            odd += changed
            if changed and check:
                click.echo(f"{path}")
            elif changed:
                put_file(path, text.encode())
        else:
            place = out
            if out is not None and out.is_dir():
                place = out / (path.stem if binary else f"{path.stem}.vf")
            _put(program.encode() if binary else text.encode(), place)
    return EXIT_FINDINGS if check and odd else EXIT_CLEAN


def _head(source: inputs.Input, target: str) -> str:
    if source.is_text:
        return source.comments
    if source.eras is None and source.target is None:
        return ""
    return inputs.head_of(target, source.eras or (), source.quirks or ())


def _put(data: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        put_file(out, data)
