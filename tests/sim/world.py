# SPDX-License-Identifier: GPL-2.0-or-later
"""A world that a test drives call by call, through the rig of sim/rig.pxi.

    world = World()
    page = world.alloc_pages(0, "H_DRV")
    world.put_page(page, "H_DRV")
    with violates("S1"):
        world.put_page(page, "H_DRV")

There is one world in the process: a new one ends the last. The parts are the same code in every
target; here they are those of virtio-net-rx. A target with a rig of its own makes a class of this
one with its own `target`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import vfuzz

TARGET = vfuzz.target("virtio-net-rx")
PAGE_SIZE = 4096


class Violated(Exception):
    """A check failed; `check` is its id."""

    def __init__(self, target: vfuzz.Target, violation: dict) -> None:
        self.check = target.checks[violation["check"]].id
        super().__init__(f"{self.check}: {violation['message']}")


class World:
    """Calls of a method run the primitive of that name and return its result."""

    target = TARGET

    def __init__(self, **options) -> None:
        self._over = False
        self.target.core.rig([], **options)

    def run(self, *steps: tuple) -> int | None:
        """Run primitives in a row; the result of the last one."""
        assert not self._over, "a world ends with a violation"
        results, violation = self.target.core.rig(steps, keep=True)
        if violation:
            self._over = True
            raise Violated(self.target, violation)
        return results[-1] if results else None

    def attempt(self, *steps: tuple) -> tuple[int | None, str | None]:
        """run(), with the check that was violated as the second result, or None."""
        try:
            return self.run(*steps), None
        except Violated as violated:
            return None, violated.check

    def __getattr__(self, name: str):
        return lambda *arguments: self.run((name, *arguments))

    def peeks(self, fields: str, *where: int) -> tuple[int, ...]:
        """Several fields of one object, named as "skb len tail"."""
        kind, *names = fields.split()
        steps = [("peek", f"{kind}.{name}", *where) for name in names]
        return tuple(self.target.core.rig(steps, keep=True)[0])

    def bytes_of(self, addr: int, size: int) -> list[tuple[int, int]]:
        """(origin, place in what it wrote) of each byte; (0, 0) where nobody wrote."""
        return self._spread(self.pieces(addr, size))

    def skb_bytes(self, skb: int) -> list[tuple[int, int]]:
        """The same of all bytes of an skb."""
        return self._spread(self.skb_pieces(skb))

    def _spread(self, n: int) -> list[tuple[int, int]]:
        spread: list[tuple[int, int]] = []
        for i in range(n):
            origin, at, size = self.peeks("piece origin at size", i)
            spread += [(origin, at + k) if origin else (0, 0) for k in range(size)]
        return spread


@contextmanager
def violates(check: str) -> Iterator[None]:
    """The block must end with a violation of `check`."""
    with pytest.raises(Violated) as caught:
        yield
    assert caught.value.check == check, caught.value
