# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of memory that a worker and its supervisor share: counters one way, a stop flag the
other.

It is a mapped file, so what a worker wrote survives its kill -9, and reading it costs the
supervisor nothing. The file's blocks are allocated when it is made, so writing to it cannot fail
on a full disk: the mailbox in it is where a finding waits until it is safe in its own directory.

Layout, little endian: 8 bytes magic, 8 bytes version, one 8-byte number per field of `FIELDS`,
and from MAIL_OFFSET on the mailbox.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from vfuzz.errors import Error

__all__ = ["FIELDS", "STATE_DONE", "STATE_FUZZING", "STATE_STARTING", "Pulse"]

MAGIC = int.from_bytes(b"vfuzzpls", "little")
VERSION = 1

#: pid             of the worker
#: state           one of STATE_*
#: stop            set by the supervisor: end at the next pulse
#: executions ...  totals of this process
#: findings        new findings that it has stored
#: pulse_ns        CLOCK_MONOTONIC of the last pulse
#: mail_size       bytes in the mailbox, 0 when it is empty
FIELDS = (
    "pid",
    "state",
    "stop",
    "executions",
    "ops",
    "violations",
    "known_hits",
    "mutations",
    "findings",
    "pulse_ns",
    "mail_size",
)
_PLACE = {name: 2 + place for place, name in enumerate(FIELDS)}

STATE_STARTING = 0
STATE_FUZZING = 1
STATE_DONE = 2

MAIL_OFFSET = 4096
MAIL_MAX = 61440
SIZE = MAIL_OFFSET + MAIL_MAX


class Pulse:
    """One worker's page. Fields are read and written as attributes of `read()` and `write()`."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if create else 0)
        fd = os.open(path, flags, 0o644)
        try:
            if create:
                os.posix_fallocate(fd, 0, SIZE)
            if os.fstat(fd).st_size != SIZE:
                raise Error(f"{path}: not a worker's page: it has the wrong size")
            self._map = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
        self._words = memoryview(self._map)[:MAIL_OFFSET].cast("Q")
        if create:
            self._words[0], self._words[1] = MAGIC, VERSION
        elif (self._words[0], self._words[1]) != (MAGIC, VERSION):
            raise Error(f"{path}: not a worker's page of version {VERSION}")

    def get(self, name: str) -> int:
        """The value of a field."""
        return self._words[_PLACE[name]]

    def set(self, name: str, value: int) -> None:
        """Write a field; other processes see it at once."""
        self._words[_PLACE[name]] = value

    def read(self) -> dict[str, int]:
        """All fields."""
        return {name: self._words[place] for name, place in _PLACE.items()}

    def post_mail(self, data: bytes) -> None:
        """Put a message into the mailbox, replacing what was there."""
        if len(data) > MAIL_MAX:
            raise ValueError(f"mail of {len(data)} bytes, at most {MAIL_MAX} fit")
        self.set("mail_size", 0)
        self._map[MAIL_OFFSET : MAIL_OFFSET + len(data)] = data
        self.set("mail_size", len(data))  # last: a half-written message is no message

    def mail(self) -> bytes:
        """The message in the mailbox, b"" when there is none."""
        size = min(self.get("mail_size"), MAIL_MAX)
        return self._map[MAIL_OFFSET : MAIL_OFFSET + size]

    def clear_mail(self) -> None:
        """Empty the mailbox: its message is safe elsewhere."""
        self.set("mail_size", 0)

    def close(self) -> None:
        """Unmap it."""
        self._words.release()
        self._map.close()
