# SPDX-License-Identifier: GPL-2.0-or-later
"""struct vhost_iotlb against a byte map: any adds, removals and look-ups, at both ends of 64 bits.

The byte map knows 64 bytes, the 32 lowest and the 32 highest; for each of them the mappings that
cover it. Two ranges whose ends are such bytes overlap exactly if they share one of them.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.world import violates
from tests.targets.vdpa.world import ERAS, World, s64, u64

EFAULT, EINVAL, ENOSPC = -14, -22, -28
TOP = 1 << 64
BYTES = [*range(32), *range(TOP - 32, TOP)]
RETIRE = 1
#: In 7.0 only a table that retires its oldest mapping has a limit.
UNBOUNDED = ("linux-7.0",)

places = st.sampled_from(BYTES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), places, places, st.integers(1, 3)),
        st.tuples(st.just("del"), places, places),
        st.tuples(st.just("first"), places, places),
        st.tuples(st.just("reset")),
    ),
    min_size=1,
    max_size=12,
)


class ByteMap:
    """cover: for each byte the mappings on it; maps: (start, address), oldest first."""

    def __init__(self, limit: int, retire: bool, bounded: bool) -> None:
        self.limit, self.retire, self.bounded = limit, retire, bounded
        self.cover: dict[int, set[int]] = {byte: set() for byte in BYTES}
        self.maps: dict[int, tuple[int, int]] = {}
        self.made = 0

    def add(self, start: int, last: int, addr: int, _perm: int) -> int:
        if last < start:
            return EFAULT
        if self.bounded and self.limit == 0:
            return EINVAL
        if start == 0 and last == TOP - 1:
            if self.bounded and self.limit - (0 if self.retire else len(self.maps)) < 2:
                return ENOSPC
            return self._one(0, TOP // 2 - 1, addr) or self._one(
                TOP // 2, TOP - 1, u64(addr + TOP // 2)
            )
        return self._one(start, last, addr)

    def _one(self, start: int, last: int, addr: int) -> int:
        if self.limit and len(self.maps) >= self.limit:
            if self.retire:
                self._remove({next(iter(self.maps))})
            elif self.bounded:
                return ENOSPC
        self.made += 1
        self.maps[self.made] = (start, addr)
        for byte in BYTES:
            if start <= byte <= last:
                self.cover[byte].add(self.made)
        return 0

    def _remove(self, gone: set[int]) -> None:
        self.maps = {number: kept for number, kept in self.maps.items() if number not in gone}
        for byte in BYTES:
            self.cover[byte] -= gone

    def first(self, start: int, last: int) -> int:
        """The address of the lowest mapping on [start, last], the oldest of several; 0 if none."""
        touched = set().union(*(self.cover[byte] for byte in BYTES if start <= byte <= last))
        return min(((*self.maps[number], number) for number in touched), key=rank, default=(0, 0))[
            1
        ]

    def remove(self, start: int, last: int) -> int:
        self._remove(set().union(*(self.cover[b] for b in BYTES if start <= b <= last)))
        return len(self.maps)

    def reset(self) -> int:
        self._remove(set(self.maps))
        return 0


def rank(found: tuple[int, int, int]) -> tuple[int, int]:
    start, _addr, number = found
    return start, number


def look(world: World, start: int, last: int) -> int:
    """The same, as the table says it."""
    number = world.iotlb_first(0, s64(start), s64(last))
    return u64(world.peek("map.addr", number)) if number else 0


@pytest.mark.parametrize("era", ERAS)
@given(STEPS, st.sampled_from([0, 1, 2, 3, 2048]), st.booleans())
def test_against_a_byte_map(era, steps, limit, retire):
    world = World(era=era)
    world.iotlb_init(0, limit, RETIRE if retire else 0)
    slow = ByteMap(limit, retire, era not in UNBOUNDED)
    for number, (what, *args) in enumerate(steps):
        if what == "add":
            start, last, perm = args
            addr = (number + 1) << 12
            given = world.iotlb_add(0, s64(start), s64(last), addr, perm)
            assert given == slow.add(start, last, addr, perm)
        elif what == "del" and args[0] <= args[1]:
            assert world.iotlb_del(0, *map(s64, args)) == slow.remove(*args)
        elif what == "first" and args[0] <= args[1]:
            assert look(world, *args) == slow.first(*args)
        elif what == "reset":
            assert world.iotlb_reset(0) == slow.reset()
        assert world.peek("table.nmaps", 0) == len(slow.maps)
    for byte in BYTES:
        assert look(world, byte, byte) == slow.first(byte, byte), hex(byte)


@given(STEPS)
def test_its_two_orders(steps):
    """By start and by age: each mapping stands once in either, and says what it was made with."""
    world = World()
    made: list[tuple[int, int, int, int]] = []
    for number, (what, *args) in enumerate(steps):
        if what == "add" and args[0] <= args[1] and tuple(args[:2]) != (0, TOP - 1):
            start, last, perm = args
            assert world.iotlb_add(0, s64(start), s64(last), number << 12, perm) == 0
            made.append((start, last, number << 12, perm))
        elif what == "del" and args[0] <= args[1]:
            world.iotlb_del(0, *map(s64, args))
            made = [m for m in made if m[1] < args[0] or args[1] < m[0]]

    def said(number: int) -> tuple[int, ...]:
        start, last, size, addr, perm = world.peeks("map start last size addr perm", number)
        assert u64(size) == u64(last) - u64(start) + 1
        return u64(start), u64(last), addr, perm

    by_start = [world.iotlb_at(0, place) for place in range(len(made))]
    assert world.iotlb_at(0, len(made)) == 0
    assert [said(number) for number in by_start] == sorted(made, key=lambda m: m[0])
    by_age, number = [], world.peek("table.head", 0)
    while number:
        by_age.append(said(number))
        number = world.peek("map.next", number)
    assert by_age == made


@given(STEPS)
def test_the_judge_sees_an_overlap(steps):
    """judge_table() is silent exactly while no two mappings overlap."""
    world = World()
    slow = ByteMap(2048, False, True)
    for number, (what, *args) in enumerate(steps):
        if what == "add":
            world.iotlb_add(0, s64(args[0]), s64(args[1]), number << 12, args[2])
            slow.add(args[0], args[1], number << 12, args[2])
    if any(len(on_it) > 1 for on_it in slow.cover.values()):
        with violates("V1"):
            world.judge_table(0, 0)
    else:
        assert world.judge_table(0, 0) == 0


@pytest.mark.parametrize("era", ERAS)
def test_everything_is_two_mappings(era):
    world = World(era=era)
    assert world.iotlb_add(0, 0, s64(TOP - 1), 0, 3) == 0
    first, second = world.iotlb_at(0, 0), world.iotlb_at(0, 1)
    assert [u64(v) for v in world.peeks("map start last size addr", first)] == [
        0, TOP // 2 - 1, TOP // 2, 0,
    ]  # fmt: skip
    assert [u64(v) for v in world.peeks("map start last size addr", second)] == [
        TOP // 2, TOP - 1, TOP // 2, TOP // 2,
    ]  # fmt: skip


def test_a_range_that_wraps_finds_what_contains_both_ends():
    """What an INVALIDATE of no bytes does: the search runs with its last byte before the first."""
    world = World()
    world.iotlb_add(0, 8, 15, 1 << 12, 3)
    world.iotlb_add(0, 16, 31, 2 << 12, 3)
    assert [look(world, at, at - 1) >> 12 for at in (8, 9, 15, 16, 17)] == [0, 1, 1, 0, 2]
