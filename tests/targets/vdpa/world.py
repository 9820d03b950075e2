# SPDX-License-Identifier: GPL-2.0-or-later
"""A process and its device node that a test drives call by call, and a slow model of both.

The slow model knows pages: which frame each has, who may write it, how often it is pinned. It has
no tables, no trees and no lists to pin; what physical runs are it works out frame by frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import vfuzz
from tests.sim.world import World as SimWorld

TARGET = vfuzz.target("vdpa")
ERAS = TARGET.eras
UAREA_BASE = 0x7F0000000000
PFN_BASE = 0x100000
PAGE = 4096
ACCEPTED, EFAULT, EINVAL = 72, -14, -22
READ, WRITE = 1, 2


def s64(value: int) -> int:
    """An address as the rig takes it: the signed number of the same 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def u64(value: int) -> int:
    return value & ((1 << 64) - 1)


class World(SimWorld):
    """See tests/sim/world.py; steps are listed by TARGET.core.rig_primitives()."""

    target = TARGET

    def __init__(self, text: str = "", era: str = ERAS[-1]) -> None:
        """The world that the program `text` leaves, or one without a device."""
        program = TARGET.parse(text).encode() if text else None
        super().__init__(program=program, era=ERAS.index(era))

    def peek_all(self, fields: list[tuple]) -> list[int]:
        return self.target.core.rig([("peek", *where) for where in fields], keep=True)[0]

    def update(self, asid: int, page: int, npages: int, upage: int, perm: int) -> int | None:
        return self._send(
            "message", "UPDATE", asid, page * PAGE, npages * PAGE, UAREA_BASE + upage * PAGE, perm
        )

    def invalidate(self, asid: int, page: int, npages: int) -> int | None:
        return self._send("message", "INVALIDATE", asid, page * PAGE, npages * PAGE)

    def batch(self, which: str, asid: int) -> int | None:
        return self._send("message", which, asid)

    def _send(self, *step) -> int | None:
        """One message, and all that is checked after an op."""
        returned = self.run(step)
        self.run(("after_op",))
        return returned


@dataclass
class Run:
    """Pages that follow each other in the device's space and in memory."""

    page: int
    frames: list[int]
    perm: int

    def meets(self, page: int, npages: int) -> bool:
        return self.page < page + npages and page < self.page + len(self.frames)


@dataclass
class Slow:
    """The slow model. upages: page of user memory to (frame, read-only)."""

    nas: int
    rlimit: int
    upages: dict[int, tuple[int, bool]] = field(default_factory=dict)
    spaces: dict[int, list[Run]] = field(default_factory=dict)
    device: dict[int, list[Run]] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    batch: int | None = None

    def runs(self) -> list[Run]:
        return [run for space in self.spaces.values() for run in space]

    def pins(self, frame: int) -> int:
        return sum(run.frames.count(frame) for run in self.runs())

    def pinned(self) -> int:
        return sum(len(run.frames) for run in self.runs())

    def _refused(self, asid: int, creates: bool) -> bool:
        if asid >= self.nas:
            return True
        if creates:
            self.spaces.setdefault(asid, [])
        return asid not in self.spaces or self.batch not in (None, asid)

    def _push(self, asid: int) -> None:
        if self.batch is None:
            self.device[asid] = list(self.spaces[asid])

    def update(self, asid: int, page: int, npages: int, upage: int, perm: int) -> int:
        if npages == 0:
            return EINVAL  # no message at all: it makes no space
        if self._refused(asid, creates=True):
            return EFAULT
        space = self.spaces[asid]
        if any(run.meets(page, npages) for run in space):
            return EFAULT
        if self.pinned() + npages > self.rlimit:
            return EFAULT
        added: list[Run] = []
        for i in range(npages):
            frame, readonly = self.upages.get(upage + i, (None, False))
            if frame is None or (perm & WRITE and readonly):
                return EFAULT
            if added and added[-1].frames[-1] + 1 == frame:
                added[-1].frames.append(frame)
            else:
                added.append(Run(page + i, [frame], perm))
        space += added
        self._push(asid)
        return ACCEPTED

    def invalidate(self, asid: int, page: int, npages: int) -> int:
        if self._refused(asid, creates=False):
            return EFAULT
        gone = [run for run in self.spaces[asid] if run.meets(page, npages)]
        self.spaces[asid] = [run for run in self.spaces[asid] if run not in gone]
        self.dirty |= {frame for run in gone if run.perm & WRITE for frame in run.frames}
        self._push(asid)
        return ACCEPTED

    def batch_begin(self, asid: int) -> int:
        if self._refused(asid, creates=True):
            return EFAULT
        self.batch = asid
        return ACCEPTED

    def batch_end(self, asid: int) -> int:
        if self._refused(asid, creates=False):
            return EFAULT
        if self.batch is not None:
            self.batch = None
            self._push(asid)
        return ACCEPTED


def translation(runs: list[Run], page: int) -> tuple[int, int] | None:
    """The frame and the rights at a page of the device's space."""
    for run in runs:
        if run.page <= page < run.page + len(run.frames):
            return run.frames[page - run.page], run.perm
    return None
