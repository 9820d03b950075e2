# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading programs from files: text or binary, and what a file says about how to run it.

A text program may begin with comments that name its target, era and quirks:

    # target: virtio-net-rx
    # era: linux-6.1
    # quirks: A04
    boot(profile=hostile)

A binary program has no such place; a finding.json beside it says the same.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vfuzz import api
from vfuzz.engine.records import Finding, load
from vfuzz.errors import UnknownName, UsageError
from vfuzz.program.schema import ProgramData, Schema
from vfuzz.targets import names

__all__ = ["FILE_MAX", "Input", "expand", "head_of", "read", "read_bytes", "seed_files"]

FILE_MAX = 1 << 20  # bytes; the longest program is 4160 in binary and a few thousand as text

#: What lies beside programs and is none.
_NO_PROGRAMS = (".json", ".md", ".txt", ".log", ".zip", ".dict", ".options")

_HEAD = re.compile(r"#\s*(?P<key>targets?|eras?|quirks?)\s*:\s*(?P<value>.*)", re.IGNORECASE)
_TEXT = re.compile(r"\s*(?:#|[A-Za-z_][A-Za-z0-9_-]*\s*\()")


@dataclass(frozen=True)
class Input:
    """A program as a file holds it.

    is_text       whether the file holds text
    comments      its leading comment lines, with their line ends
    target, eras, quirks  what it says about how to run it; None when it does not say
    deadly        it is known to kill the process that executes it
    """

    path: Path
    data: bytes
    is_text: bool
    comments: str
    target: str | None
    eras: tuple[str, ...] | None
    quirks: tuple[str, ...] | None
    deadly: bool = False

    def program(self, target: api.Target) -> api.Program:
        """The program, for a target. Raises UsageError with path, line and column."""
        if not self.is_text:
            return target.decode(self.data)
        try:
            return target.parse(self.data.decode())
        except ValueError as error:
            raise UsageError(f"{self.path}: {error}") from None

    def resolve_target(self, named: str | None) -> api.Target:
        """Its target: the one named, else what the file or its place says. Raises UsageError."""
        name = named or self.target or _target_of_place(self.path)
        if name is None:
            raise UsageError(
                f"{self.path}: cannot tell its target: give --target NAME, or begin the text with "
                f"'# target: NAME'"
            )
        try:
            return api.target(name)
        except UnknownName as error:
            raise UnknownName(f"{self.path}: {error}" if named is None else str(error)) from None


def head_of(target: str, eras: Iterable[str] = (), quirks: Iterable[str] = ()) -> str:
    """The comment lines that make a text program run by itself."""
    lines = [f"# target: {target}"]
    lines += [f"# era: {', '.join(eras)}"] if eras else []
    lines += [f"# quirks: {', '.join(quirks)}"] if quirks else []
    return "\n".join(lines) + "\n"


def read_bytes(path: Path) -> bytes:
    """The bytes of a program file, "-" for standard input. Raises UsageError."""
    if str(path) == "-":
        data = sys.stdin.buffer.read(FILE_MAX + 1)
        return _sized(path, data, len(data))
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{path} is a directory: name a program file in it")
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a regular file")
        _sized(path, b"", status.st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _sized(path: Path, data: bytes, size: int) -> bytes:
    if size > FILE_MAX:
        raise UsageError(
            f"{path} has {size:,} bytes{'' if data == b'' else ' or more'}: no program is longer "
            f"than {FILE_MAX:,}; is it the right file?"
        )
    return data


def read(path: Path) -> Input:
    """Read a program file. Raises UsageError, Error for a finding.json that cannot be read."""
    data = read_bytes(path)
    text = _as_text(path, data)
    comments, said = _read_head(text) if text is not None else ("", {})
    finding = _finding_beside(path)
    if finding is not None:
        said.setdefault("target", (finding.target,))
        said.setdefault("era", (finding.era,))
        said.setdefault("quirk", finding.quirks)
    target = said.get("target")
    return Input(
        path=path,
        data=data,
        is_text=text is not None,
        comments=comments,
        target=target[0] if target else None,
        eras=said.get("era") or None,
        quirks=said.get("quirk"),
        deadly=finding is not None and finding.kind not in ("violation", "divergence"),
    )


def _as_text(path: Path, data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        if path.suffix == ".vf":
            raise UsageError(f"{path}: a .vf file is text, but this one is not UTF-8") from None
        return None
    if path.suffix == ".vf":
        return text
    # A binary program holds zero bytes; a text one never does, and begins with a call or a comment.
    return text if "\0" not in text and _TEXT.match(text) else None


def _read_head(text: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    comments = []
    said: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        comments.append(line)
        match = _HEAD.match(line.strip())
        if match is not None:
            values = tuple(word for word in re.split(r"[,\s]+", match["value"].strip()) if word)
            said[match["key"].lower().rstrip("s")] = values
    if said.get("quirk") == ("none",):
        said["quirk"] = ()
    return "".join(comments), said


def _finding_beside(path: Path) -> Finding | None:
    beside = path.parent / "finding.json"
    if str(path) == "-" or path.name not in ("program.bin", "program.vf", "raw.bin"):
        return None
    return load(beside, Finding) if beside.is_file() else None


def _target_of_place(path: Path) -> str | None:
    """corpus/<target>/... names the target, and so does the campaign.json of a work directory."""
    parents = path.absolute().parents
    for parent in parents:
        if parent.parent.name == "corpus" and parent.name in names():
            return parent.name
    for parent in list(parents)[:3]:
        if (parent / "campaign.json").is_file():
            from vfuzz.engine.records import CampaignFile

            return load(parent / "campaign.json", CampaignFile).target
    return None


def expand(paths: Iterable[Path]) -> Iterator[Path]:
    """Program files below paths: a finding or a work directory gives its programs, others all
    files.

    Raises UsageError for a path that does not exist, and for a directory without a program.
    """
    for path in paths:
        if str(path) == "-" or not path.is_dir():
            yield path
            continue
        found = list(_below(path))
        if not found:
            raise UsageError(f"{path} holds no program files")
        yield from found


def _below(path: Path) -> Iterator[Path]:
    if (path / "finding.json").is_file():
        yield path / "program.bin"
        return
    if (path / "campaign.json").is_file():
        path = path / "findings"
    for entry in sorted(path.iterdir()) if path.is_dir() else ():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _below(entry)
        elif entry.suffix not in _NO_PROGRAMS:
            yield entry


def seed_files(target: api.Target, focus: str = "") -> list[Path]:
    """The committed seeds of a target, sorted; none when vfuzz runs without its source tree.

    focus  only those whose boot record and ops are all in it
    """
    source = Path(api.__file__).resolve().parents[1]
    paths = sorted((source / "corpus" / target.name / "seeds").glob("*.vf"))
    if not focus:
        return paths
    schema = target.schema.focused(focus)
    return [path for path in paths if _in_focus(schema, read(path).program(target).data)]


def _in_focus(schema: Schema, program: ProgramData) -> bool:
    return not schema.problems(program) and all(schema.ops[op.kind].weight for op in program.ops)
