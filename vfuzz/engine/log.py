# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what libFuzzer prints: the only place where it tells coverage, features and corpus size.

#65536  pulse  cov: 523 ft: 2301 corp: 330/41Kb lim: 1040 exec/s: 152000 rss: 72Mb
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["LogTail", "Sight", "last_message", "parse_line", "tail"]

# Figures that are zero are left out of the line.
_STATUS = re.compile(
    rb"^#(?P<runs>\d+)\s+(?P<event>[A-Za-z]+)(?:\s+cov: (?P<cov>\d+))?(?:\s+ft: (?P<ft>\d+))?"
    rb"(?:\s+corp: (?P<corp>\d+)/\S+)?(?:\s.*)? exec/s: "
)
_LOADED = re.compile(rb"^INFO: Loaded \d+ modules?\s+\((?P<counters>\d+) inline 8-bit counters\)")

LOG_MAX = 8 << 20  # bytes after which a log is cut
LOG_KEEP = 64 << 10  # and what of it is kept, in log.1


class Sight(NamedTuple):
    """The figures of one status line: executions so far, what it reports, and what was seen."""

    runs: int
    event: str
    cov: int
    ft: int
    corpus: int


def parse_line(line: bytes) -> Sight | None:
    """The figures of a status line, None for any other line."""
    match = _STATUS.match(line)
    if match is None:
        return None
    cov, ft, corpus = (int(match[name] or 0) for name in ("cov", "ft", "corp"))
    return Sight(int(match["runs"]), match["event"].decode(), cov, ft, corpus)


class LogTail:
    """Follows a worker's log.

    begin     where the worker began: the first status line after a corpus was read
    inited    the same of its present process; None while that reads the corpus
    last      the newest status line
    counters  coverage counters that libFuzzer says it has; None until it says so
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin: Sight | None = None
        self.inited: Sight | None = None
        self.last: Sight | None = None
        self.counters: int | None = None
        self._offset = 0
        self._rest = b""

    def next_process(self) -> None:
        """Another process begins to write: what was said of the last one is not said of it."""
        self.poll()
        self.inited = None
        self.counters = None

    def poll(self) -> None:
        """Read what is new, and cut the log when it has grown long."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        self._offset += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(line)
        if self._offset > LOG_MAX:
            self._cut()

    def _take(self, line: bytes) -> None:
        if line.startswith(b"#"):
            sight = parse_line(line)
            if sight is not None:
                self.last = sight
                if sight.event == "INITED":
                    self.inited = sight
                    self.begin = self.begin or sight
        elif line.startswith(b"INFO: Loaded"):
            match = _LOADED.match(line)
            if match is not None:
                self.counters = int(match["counters"])

    def _cut(self) -> None:
        # The worker appends, so after the cut it goes on at the new end.
        self.path.with_suffix(".1").write_bytes(tail(self.path, LOG_KEEP).encode())
        os.truncate(self.path, 0)
        self._offset = 0
        self._rest = b""


def tail(path: Path, size: int = 2000) -> str:
    """The end of a text file, whole lines, at most `size` bytes; "" when there is none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            data = file.read()
    except OSError:
        return ""
    if end > size:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", errors="replace")


def last_message(log: str) -> str:
    """The last thing that a process of vfuzz said in its own words ("vfuzz: ..."), else a line."""
    start = log.rfind("vfuzz: ")
    if start >= 0:
        return log[start + len("vfuzz: ") :].strip()
    lines = log.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
