# SPDX-License-Identifier: GPL-2.0-or-later
"""DMA mappings against a list of them, with and without a bounce buffer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.world import World, violates

TO, FROM = "DMA_TO_DEVICE", "DMA_FROM_DEVICE"
SIZE = 64


@dataclass
class Mapping:
    dma: int
    start: int
    size: int
    direction: str
    live: bool = True


@dataclass
class Model:
    """One object of SIZE bytes: who wrote each byte last, and whether the CPU sees it."""

    swiotlb: bool
    mappings: list[Mapping]
    written: list[tuple[int, int]]
    unsynced: list[bool]

    def unmap(self, m: Mapping, dma: int, size: int, direction: str, skip: bool) -> str | None:
        if (dma, size, direction, True) != (m.dma, m.size, m.direction, m.live):
            return "S25"
        m.live = False
        if direction == FROM and not skip:
            self.see(m.start, m.start + size)
        return None

    def sync(self, m: Mapping, start: int, size: int, posted: int, direction: str) -> str | None:
        if not m.live or direction != m.direction or start + size > m.size or size > posted:
            return "S27"
        self.see(m.start + start, m.start + start + size)
        return None

    def write(self, m: Mapping, start: int, size: int, origin: int) -> str | None:
        if not m.live:
            return "S24"
        if start + size > m.size:
            return "S6"
        if m.direction != FROM:
            return "S24"
        place = m.start + start
        self.written[place : place + size] = [(origin, i) for i in range(size)]
        self.unsynced[place : place + size] = [self.swiotlb] * size
        return None

    def see(self, start: int, end: int) -> None:
        self.unsynced[start:end] = [False] * (end - start)


def mostly(value, wrong):
    """Draws `value` more often than one of `wrong`."""
    return st.sampled_from([value] * 6 + list(wrong))


@given(st.booleans(), st.data())
def test_mappings_are_a_list(swiotlb, data):
    world = World(dma=True, swiotlb=swiotlb)
    addr = world.kmalloc(SIZE)
    model = Model(swiotlb, [], [(0, 0)] * SIZE, [False] * SIZE)
    kinds = st.sampled_from(("map", "write", "write", "sync", "unmap"))
    for kind in data.draw(st.lists(kinds, max_size=15)):
        if kind == "map" or not model.mappings:
            start, end = sorted(data.draw(st.tuples(*[st.integers(0, SIZE)] * 2)))
            direction = data.draw(mostly(FROM, [TO]))
            dma = world.dma_map(addr + start, end - start, direction)
            assert dma not in [m.dma for m in model.mappings], "a DMA address is never used again"
            model.mappings.append(Mapping(dma, start, end - start, direction))
            continue
        m = data.draw(st.sampled_from(model.mappings))
        direction = data.draw(mostly(m.direction, [TO, FROM]))
        if kind == "unmap":
            dma = m.dma + data.draw(mostly(0, [1]))
            size = m.size + data.draw(mostly(0, [1]))
            skip = data.draw(mostly(False, [True]))
            expected = model.unmap(m, dma, size, direction, skip)
            act = ("dma_unmap", dma, size, direction, skip)
        else:
            start, end = sorted(data.draw(st.tuples(*[st.integers(0, m.size)] * 2)))
            size = end - start + data.draw(mostly(0, [1]))
            if kind == "write":
                origin = data.draw(st.integers(2, 5))
                expected = model.write(m, start, size, origin)
                act = ("dma_write", m.dma + start, size, origin, 0)
            else:
                posted = data.draw(mostly(SIZE, [size, max(size - 1, 0)]))
                expected = model.sync(m, start, size, posted, direction)
                act = ("dma_sync", m.dma, start, size, posted, direction)
        _, check = world.attempt(act)
        assert check == expected
        if check:
            return
        live = sum(m.live for m in model.mappings)
        assert world.peek("dma.n_live") == live
        assert world.peek("frame.n_maps", world.frame(addr)) == live
    if any(model.unsynced):
        assert [bool(world.unsynced(world.frame(addr), i)) for i in range(SIZE)] == model.unsynced
        with violates("S26"):
            world.check_read(addr, SIZE)
        return
    assert world.bytes_of(addr, SIZE) == model.written
    if any(m.live for m in model.mappings):
        with violates("S24"):
            world.maps_leak_check()
    else:
        world.maps_leak_check()


def test_a_refused_mapping_is_none():
    world = World(dma=True)
    addr = world.kmalloc(SIZE)
    world.fail(1, "FAULT_MAP")
    assert world.dma_map(addr, SIZE, FROM) == -1
    assert world.peek("frame.n_maps", world.frame(addr)) == 0
    world.maps_leak_check()


@pytest.mark.parametrize(("extra", "check"), [(0, None), (1, "S6")])
def test_a_mapping_lies_in_its_object(extra, check):
    world = World(dma=True)
    addr = world.kmalloc(SIZE)
    if check:
        with violates(check):
            world.dma_map(addr + 1, SIZE - 1 + extra, FROM)
    else:
        world.dma_map(addr + 1, SIZE - 1 + extra, FROM)


def test_memory_is_not_released_below_a_mapping():
    world = World(dma=True)
    addr = world.kmalloc(SIZE)
    world.dma_map(addr, SIZE, FROM)
    with violates("S24"):
        world.kfree(addr)


@pytest.mark.parametrize("address", [1 << 62, (1 << 62) + (5 << 20), -1, 1 << 20])
def test_unmap_of_what_never_was_mapped(address):
    world = World(dma=True)
    world.kmalloc(SIZE)
    with violates("S25"):
        world.dma_unmap(address, SIZE, FROM)


def test_the_device_reads_what_is_mapped_to_it():
    world = World(dma=True)
    addr = world.kmalloc(SIZE)
    dma = world.dma_map(addr, SIZE, TO)
    assert world.dma_read(dma + 3, SIZE - 3) == addr + 3
    with violates("S6"):
        world.dma_read(dma + 3, SIZE - 2)


def test_without_the_dma_api_addresses_are_physical():
    world = World()
    addr = world.kmalloc(SIZE)
    assert world.dma_write(addr + 8, 8, 2, 0) == addr + 8
    assert world.bytes_of(addr, SIZE)[8:10] == [(2, 0), (2, 1)]
    world.kfree(addr)
    with violates("S1"):
        world.dma_read(addr, 1)
