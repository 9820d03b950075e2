# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of the real drivers programs reach: what gcov counted in the guests.

A kernel that was built with --gcov counts in the files of kernel.COUNTED. A guest gives its counts
when it ends; what one counted that died is lost. The files that are written are as `gcov` writes
them: count, number, text; `-` is no statement, `#####` one that nothing reached.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vfuzz.conform.kernel import COUNTED, Kernel
from vfuzz.engine.store import write_atomic
from vfuzz.errors import Error, UsageError

__all__ = ["Function", "Source", "can_count", "counted", "sources", "text", "write"]

#: A line of a source of the tree, by the source's path in it.
Place = tuple[str, int]
#: What is compiled into the counted files and is about devices: other headers are everybody's.
HEADERS = ("include/linux/virtio_net.h", "include/linux/vringh.h")
WIDTH = 44


@dataclass(frozen=True)
class Function:
    """A function of a source: its lines, and how many of its statements ran."""

    name: str
    first: int
    last: int
    statements: int
    reached: int


@dataclass(frozen=True)
class Source:
    """A source of the tree. counts: line -> how often it ran, for each that holds a statement."""

    name: str
    counts: dict[int, int]
    functions: tuple[Function, ...]

    @property
    def reached(self) -> int:
        """How many lines ran."""
        return sum(count > 0 for count in self.counts.values())


def can_count(kernel: Kernel) -> None:
    """Raises UsageError when a kernel counts nothing, or nobody can read what it counts."""
    if "gcov" not in kernel.options:
        raise UsageError(
            f"kernel {kernel.name} counts no lines: `vfuzz kernel build ... --gcov` makes one"
        )
    if shutil.which("gcov") is None:
        raise UsageError("there is no gcov, which comes with gcc: apt-get install gcc")


def counted(kernel: Kernel, files: Iterable[tuple[str, bytes]]) -> Counter[Place]:
    """What a guest counted, line by line. files: those of the guest's debugfs. Raises Error."""
    counts: Counter[Place] = Counter()
    build = f"{kernel.dir / 'build'}/"
    for path, data in files:
        name = path.partition(build)[2].removesuffix(".gcda")
        if name in COUNTED:
            for of, source in _gcov(kernel, name, data):
                for line in source["lines"]:
                    counts[of, line["line_number"]] += line["count"]
    return counts


def _name(kernel: Kernel, path: str) -> str:
    """A source by its path in the tree, "" for what is not of it."""
    source = Path(kernel.source)
    full = Path(path) if Path(path).is_absolute() else kernel.dir / "build" / path
    parts = full.resolve()
    return str(parts.relative_to(source)) if parts.is_relative_to(source) else ""


def _gcov(kernel: Kernel, name: str, data: bytes | None) -> list[tuple[str, dict[str, Any]]]:
    """What gcov says of a file with its counts, None: of one that never ran: of each source that
    counts, by its path in the tree."""
    notes = kernel.dir / "build" / f"{name}.gcno"
    if not notes.is_file():
        raise Error(f"{notes} is missing: build the kernel again")
    with tempfile.TemporaryDirectory(prefix="vfuzz-gcov-") as folder:
        here = Path(folder) / notes.name
        here.symlink_to(notes)
        if data is not None:
            here.with_suffix(".gcda").write_bytes(data)
        got = subprocess.run(["gcov", "--json-format", "--stdout", here.name], cwd=folder,
                             capture_output=True, check=False)  # fmt: skip
    # Of counts that are not this build's it warns, and goes on without them.
    stale = re.search(rb"stamp mismatch.*|version .*, prefer.*", got.stderr)
    try:
        if stale or got.returncode:
            raise msgspec.DecodeError(got.stderr.decode(errors="replace")[-300:])
        files = msgspec.json.decode(got.stdout.splitlines()[0])["files"]
    except (msgspec.DecodeError, IndexError) as error:
        raise Error(f"gcov cannot read what {notes.with_suffix('.o')} counted: {error}: it has to "
                    f"be the gcov of the gcc that built the kernel") from None  # fmt: skip
    named = [(_name(kernel, source["file"]), source) for source in files]
    return [(of, source) for of, source in named if of in (f"{name}.c", *HEADERS)]


def sources(kernel: Kernel, counts: Mapping[Place, int]) -> list[Source]:
    """The counted sources with all their statements, and what of them ran. Raises Error."""
    lines: dict[str, dict[int, int]] = {}
    spans: dict[str, dict[str, tuple[int, int]]] = {}
    for name in COUNTED:
        for of, source in _gcov(kernel, name, None):
            for line in source["lines"]:
                number = line["line_number"]
                lines.setdefault(of, {})[number] = counts.get((of, number), 0)
            for function in source["functions"]:
                spans.setdefault(of, {})[function["demangled_name"]] = (
                    function["start_line"], function["end_line"],
                )  # fmt: skip
    found = []
    for of, its in sorted(lines.items()):
        functions = []
        for name, (first, last) in sorted(spans[of].items(), key=lambda item: item[1]):
            body = [its[number] for number in range(first, last + 1) if number in its]
            functions.append(
                Function(name, first, last, len(body), sum(count > 0 for count in body))
            )
        found.append(Source(of, its, tuple(functions)))
    return found


def text(found: Iterable[Source]) -> str:
    """A line for each source."""
    lines = ["", "lines of the kernel that ran:"]
    for source in found:
        called = sum(function.reached > 0 for function in source.functions)
        lines.append(
            f"  {source.reached:>6,} of {len(source.counts):>6,}  {source.name:{WIDTH}}  "
            f"{called} of {len(source.functions)} functions"
        )
    return "\n".join(lines) + "\n"


def write(out: Path, kernel: Kernel, found: Iterable[Source]) -> None:
    """functions.txt, and NAME.gcov for each source, into a folder, which is made. Raises
    OSError."""
    out.mkdir(parents=True, exist_ok=True)
    table = [f"kernel {kernel.name}, Linux {kernel.version}: statements that ran, of each function"]
    for source in found:
        table += ["", source.name]
        table += [
            f"  {function.reached:>5} of {function.statements:>5}  {function.name}"
            for function in source.functions
        ]
        rows = [f"{'-':>9}:{0:>5}:Source:{source.name}"]
        words = (Path(kernel.source) / source.name).read_text(errors="replace").splitlines()
        for number, word in enumerate(words, 1):
            count = source.counts.get(number)
            said = "-" if count is None else str(count) if count else "#####"
            rows.append(f"{said:>9}:{number:>5}:{word}")
        name = source.name.replace("/", "#")
        write_atomic(out / f"{name}.gcov", "".join(f"{row}\n" for row in rows).encode())
    write_atomic(out / "functions.txt", "".join(f"{row}\n" for row in table).encode())
