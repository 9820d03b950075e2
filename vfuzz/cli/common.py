# SPDX-License-Identifier: GPL-2.0-or-later
"""What several verbs share: options, value types, output."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import click
import msgspec

from vfuzz import api
from vfuzz.engine.inputs import Input
from vfuzz.engine.store import write_atomic
from vfuzz.errors import Error, UnknownName, UsageError

__all__ = [
    "COUNT",
    "DURATION",
    "JSON",
    "PATH",
    "Progress",
    "cores",
    "era_option",
    "eras_and_quirks",
    "print_json",
    "put_file",
    "quirk_option",
    "target_option",
    "writable",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: A path that may not exist: vfuzz's own messages are better than click's, and so are its codes.
PATH = click.Path(path_type=Path)


class _Duration(click.ParamType):
    name = "time"
    _units: ClassVar = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(f"{value!r} is not a time: write 90, 90s, 5m, 1h or 1h30m", param, ctx)
        if len(parts) > 1 and not all(unit for _, unit in parts):
            self.fail(f"{value!r} is not a time: every part needs its unit", param, ctx)
        seconds = sum(float(number) * self._units[unit or "s"] for number, unit in parts)
        if seconds <= 0:
            self.fail(f"{value!r}: the time has to be more than nothing", param, ctx)
        return seconds


class _Count(click.ParamType):
    name = "n"
    _units: ClassVar = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d[\d_,]*)([kmg]?)", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a number: write 200000, 200k or 2M", param, ctx)
        return int(re.sub("[_,]", "", match[1])) * self._units[match[2]]


DURATION = _Duration()
COUNT = _Count()
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def target_option(function: _Function) -> _Function:
    """--target NAME"""
    return click.option(
        "--target", metavar="NAME", help="The target, when the file or its place does not say it."
    )(function)


def era_option(function: _Function) -> _Function:
    """--era ERA, repeatable"""
    return click.option(
        "--era",
        "eras",
        multiple=True,
        metavar="ERA",
        help="Era to follow; can be repeated. Default: what the file says, else all.",
    )(function)


def quirk_option(function: _Function) -> _Function:
    """--quirk ID, repeatable"""
    return click.option(
        "--quirk",
        "quirks",
        multiple=True,
        metavar="ID",
        help="Bug to switch on; can be repeated. 'none' switches off what the file says.",
    )(function)


def eras_and_quirks(
    target: api.Target, eras: tuple[str, ...], quirks: tuple[str, ...], said: Input | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The eras and quirks to use: those asked for, else what the file says, else all eras, no
    quirk.

    Raises UnknownName, and UsageError when a quirk does not exist in an era; it names the file if
    that is what said so.
    """
    if quirks == ("none",):
        ids: tuple[str, ...] = ()
    elif quirks or said is None:
        ids = target.quirk_ids(quirks)
    else:
        with _said_by(said):
            ids = target.quirk_ids(said.quirks or ())
    wanted = eras or (said.eras if said else None) or ()
    if wanted and wanted != ("all",):
        with contextlib.nullcontext() if eras or said is None else _said_by(said):
            for era in wanted:
                target.era_index(era)
        for era in wanted:
            target.quirk_ids(ids, era)
        return tuple(dict.fromkeys(wanted)), ids
    possible = target.eras_with(ids)
    if not possible:
        raise UsageError(f"no era of {target.name} has all of the quirks {', '.join(ids)}")
    return possible, ids


@contextlib.contextmanager
def _said_by(source: Input) -> Iterator[None]:
    """A wrong name is in the file, not in the options."""
    try:
        yield
    except UnknownName as error:
        raise UnknownName(f"{source.path}: {error}") from None


def writable(out: Path | None, option: str = "--out") -> Path | None:
    """The file to write at last, looked at before the work that would be lost. Raises
    UsageError."""
    if out is None:
        return None
    if out.is_dir():
        raise UsageError(f"{option} {out} is a directory: name a file in it")
    if not out.parent.is_dir():
        raise UsageError(f"{option} {out}: there is no directory {out.parent}: make it first")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"{option} {out}: nothing can be written in {out.parent}: name another")
    return out


def put_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises Error."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise Error(f"{path} cannot be written: {error.strerror}: name another place") from None


def print_json(value: Any) -> None:
    """Print plain data as JSON, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


class Progress:
    """Progress of long work, on standard error: redrawn on a terminal, else a line now and then."""

    INTERVAL_S = 5.0

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._drawn = False
        self._next_s = time.monotonic() + (0.2 if self._live else self.INTERVAL_S)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._wipe()

    def tell(self, line: str) -> None:
        """A line that stays."""
        self._wipe()
        click.echo(f"vfuzz: {line}", err=True)

    def show(self, line: str) -> None:
        """How far it is."""
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + (0.2 if self._live else self.INTERVAL_S)
        if self._live:
            click.echo(f"\r\033[K{line}", nl=False, err=True)
            self._drawn = True
        else:
            click.echo(f"vfuzz: {line}", err=True)

    def _wipe(self) -> None:
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)
            self._drawn = False


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
