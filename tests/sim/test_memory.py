# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames, references, written bytes, buffers and page_frag, against slow models of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.world import PAGE_SIZE, TARGET, World, violates

HOLDERS = ("H_DRV", "H_RING", "H_FRAG", "H_SKB", "H_LIST", "H_DMA", "H_KERNEL")
CPU = 1


# ---- references --------------------------------------------------------------------------------


@dataclass
class Page:
    """What a page is to the slow model: how many references each holder has."""

    holds: dict[str, int] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return bool(self.holds)

    def give(self, holder: str) -> None:
        self.holds[holder] = self.holds.get(holder, 0) + 1

    def take(self, holder: str) -> bool:
        if holder not in self.holds:
            return False
        self.holds[holder] -= 1
        if not self.holds[holder]:
            del self.holds[holder]
        return True


def expected_of(pages: dict[int, Page], kind: str, page: int, one: str, two: str) -> str | None:
    """Do one thing to the slow model; the check that it violates."""
    if not pages[page].live:
        return "S1"
    if kind == "get_page":
        pages[page].give(one)
    elif not pages[page].take(one):
        return "S3"
    elif kind == "move_ref":
        pages[page].give(two)
    return None


REFERENCE_ACTS = st.lists(
    st.tuples(
        st.sampled_from(("alloc", "get_page", "put_page", "put_page", "move_ref")),
        st.integers(0, 3),
        st.sampled_from(HOLDERS[:3]),
        st.sampled_from(HOLDERS[:3]),
    ),
    max_size=40,
)


@given(REFERENCE_ACTS)
def test_references_are_those_of_a_dict_of_holders(acts):
    world = World()
    pages: dict[int, Page] = {}
    for kind, pick, one, two in acts:
        if kind == "alloc" or not pages:
            page = world.alloc_pages(0, one)
            assert page not in pages, "a frame is never used again"
            pages[page] = Page({one: 1})
        else:
            page = list(pages)[pick % len(pages)]
            expected = expected_of(pages, kind, page, one, two)
            holders = (one, two) if kind == "move_ref" else (one,)
            _, check = world.attempt((kind, page, *holders))
            assert check == expected
            if check:
                return
        in_driver = sum(page.holds.get("H_DRV", 0) for page in pages.values())
        assert world.peek("memory.drv_refs") == in_driver
        for page, model in pages.items():
            holds = tuple(world.peek("frame.hold", page, i) for i in range(len(HOLDERS)))
            assert holds == tuple(model.holds.get(holder, 0) for holder in HOLDERS)
            assert world.peeks("frame refcount live", page) == (sum(holds), model.live)
    in_driver = any("H_DRV" in page.holds for page in pages.values())
    check_end(world, "books_check", in_driver)
    if not in_driver:
        check_end(world, "leak_check", any(page.live for page in pages.values()))


def check_end(world: World, check: str, complains: bool) -> None:
    if complains:
        with violates("S2"):
            world.run((check,))
    else:
        world.run((check,))


def test_kfree_of_null_is_nothing():
    world = World()
    world.kfree(0)
    world.leak_check()


def test_a_failed_allocation_leaves_nothing():
    world = World()
    world.fail(1, "FAULT_ALLOC", 1)
    assert world.kmalloc(64) == 0
    assert world.alloc_pages(3, "H_DRV") == 0
    world.leak_check()


@pytest.mark.parametrize("order", range(4))
def test_a_compound_page_is_one_object(order):
    world = World()
    page = world.alloc_pages(order, "H_KERNEL")
    size = PAGE_SIZE << order
    world.cpu_write(world.addr(page, 0), size)
    with violates("S5"):
        world.cpu_write(world.addr(page, 1), size)


def test_memory_runs_out_as_enomem():
    world = World()
    steps = [("alloc_pages", 0, "H_KERNEL")] * 4096
    assert world.run(*steps) == 0
    assert world.peek("memory.exhausted") == 1


# ---- written bytes -----------------------------------------------------------------------------

SIZE = 48
RANGES = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted)
WRITES = st.tuples(st.just("write"), RANGES, st.integers(2, 5), st.integers(0, 100), st.booleans())
SYNCS = st.tuples(st.just("sync"), RANGES)
STORES = st.tuples(st.just("store"), RANGES)


@settings(max_examples=300)
@given(st.lists(WRITES | WRITES | SYNCS | STORES, max_size=25), RANGES)
def test_extents_are_a_map_of_bytes(acts, asked):
    world = World(dma=True, swiotlb=True)
    addr = world.kmalloc(SIZE)
    frame = world.frame(addr)
    written = [(0, 0)] * SIZE
    unsynced = [False] * SIZE
    for kind, (start, end), *more in acts:
        if kind == "write":
            origin, at, bounced = more
            world.extent_write(frame, start, end, origin, at, bounced)
            written[start:end] = [(origin, at + i) for i in range(end - start)]
            unsynced[start:end] = [bounced] * (end - start)
        elif kind == "sync":
            world.extents_sync(frame, start, end)
            unsynced[start:end] = [False] * (end - start)
        else:
            world.cpu_write(addr + start, end - start)
            written[start:end] = [(CPU, i) for i in range(end - start)]
            unsynced[start:end] = [False] * (end - start)
        assert world.extent_last(frame)
    assert [bool(world.unsynced(frame, i)) for i in range(SIZE)] == unsynced
    start, end = asked
    if any(unsynced[start:end]):
        with violates("S26"):
            world.check_read(addr + start, end - start)
    else:
        assert world.bytes_of(addr + start, end - start) == written[start:end]


@given(
    st.lists(WRITES, max_size=8),
    st.lists(WRITES, max_size=4),
    st.integers(0, SIZE),
    st.integers(0, SIZE),
    st.integers(0, SIZE),
)
def test_a_copy_brings_origins_along(source_acts, target_acts, start, to, size):
    size = min(size, SIZE - start, SIZE - to)
    world = World()
    source, target = world.kmalloc(SIZE), world.kmalloc(SIZE)
    written = {source: [(0, 0)] * SIZE, target: [(0, 0)] * SIZE}
    for addr, acts in ((source, source_acts), (target, target_acts)):
        for _, (begin, end), origin, at, _ in acts:
            world.extent_write(world.frame(addr), begin, end, origin, at, False)
            written[addr][begin:end] = [(origin, at + i) for i in range(end - begin)]
    world.cpu_copy(target + to, source + start, size)
    expected = written[target]
    for i in range(size):
        # what was never written is a CPU's byte once it is copied
        origin = written[source][start + i]
        expected[to + i] = origin if origin[0] else (CPU, i)
    assert world.bytes_of(target, SIZE) == expected
    assert world.bytes_of(source, SIZE) == written[source]


def test_overwritten_extents_are_used_again():
    world = World()
    addr = world.kmalloc(64)
    write = ("extent_write", world.frame(addr), 0, 64)
    middle = ("extent_write", world.frame(addr), 20, 30)
    for _ in range(9):
        world.run(*[(*write, 2, 0), (*middle, 3, 0)] * 1000)
    assert world.bytes_of(addr, 64)[19:31] == [(2, 19), *[(3, i) for i in range(10)], (2, 30)]


def test_a_run_that_needs_more_extents_than_there_are_has_no_verdict():
    """It is as if the program ended there."""
    world = World()
    frame = world.frame(world.kmalloc(1 << 17))
    steps = [("extent_write", frame, 2 * i, 2 * i + 1, 2) for i in range(8192)]
    world.run(*steps[:-1])
    assert TARGET.core.rig([steps[-1], ("next_op",)], keep=True) == ([], None)


def test_sync_of_nothing_is_nothing():
    world = World(dma=True, swiotlb=True)
    addr = world.kmalloc(64)
    world.extent_write(world.frame(addr), 0, 64, 2, 0, True)
    world.extents_sync(world.frame(addr), 32, 32)
    assert world.unsynced(world.frame(addr), 32)


def test_pieces_join_what_belongs_together():
    world = World()
    addr = world.kmalloc(64)
    frame = world.frame(addr)
    world.extent_write(frame, 0, 16, 2, 0, False)
    world.extent_write(frame, 16, 32, 2, 16, False)
    world.extent_write(frame, 40, 64, 2, 33, False)
    assert world.pieces(addr, 64) == 3
    assert world.peeks("piece origin at size", 0) == (2, 0, 32)
    assert world.peeks("piece origin size", 1) == (0, 8)
    assert world.peeks("piece origin at size", 2) == (2, 33, 24)


# ---- buffers -----------------------------------------------------------------------------------

BUFFER_ACTS = st.lists(
    st.tuples(st.sampled_from(("new", "new", "put")), st.integers(0, 15), st.integers(0, 18)),
    max_size=30,
)
UNIT = PAGE_SIZE // 16


@given(BUFFER_ACTS)
def test_buffers_are_a_list_of_ranges(acts):
    world = World()
    page = world.alloc_pages(0, "H_KERNEL")
    buffers: dict[int, tuple[int, int]] = {}
    for kind, one, two in acts:
        if kind == "new":
            start, end = one * UNIT, two * UNIT
            expected = None
            if end <= start or end > PAGE_SIZE:
                expected = "S6"
            elif any(start < b and a < end for a, b in buffers.values()):
                expected = "S9"
            buffer, check = world.attempt(("buf_new", page, start, end))
            assert check == expected
            if check:
                return
            world.get_page(page, "H_DRV")
            buffers[buffer] = (start, end)
        elif buffers:
            buffer = list(buffers)[one % len(buffers)]
            start, end = buffers.pop(buffer)
            world.put_buf(world.addr(page, (start + end) // 2))
            assert world.peek("buf.state", buffer) == 0
        for offset in range(0, PAGE_SIZE, UNIT):
            holding = [b for b, (start, end) in buffers.items() if start <= offset < end]
            assert world.buf_at(page, offset) == (holding[0] if holding else 0)
        assert world.peek("frame.hold", page, 0) == len(buffers)


def carved(world: World, *, posted: bool = False) -> tuple[int, int]:
    """(page, address) of a buffer [1024, 2048), in the driver's hands or posted."""
    page = world.alloc_pages(0, "H_KERNEL")
    world.get_page(page, "H_DRV")
    world.buf_new(page, 1024, 2048)
    addr = world.addr(page, 1024)
    if posted:
        world.vq_init(0, 4, 0, 0, 0)
        world.sg(0, addr, 1000)
        assert world.vq_add(0, 1, 77) == 0
    return page, addr


def test_released_buffer_is_not_read():
    world = World()
    page, addr = carved(world)
    world.get_page(page, "H_DRV")
    world.put_buf(addr)
    with violates("S1"):
        world.check_read(addr, 1)


@pytest.mark.parametrize("act", ["check_read", "cpu_write"])
def test_posted_buffer_is_not_touched(act):
    world = World()
    page, addr = carved(world, posted=True)
    # what lies beside it in the page is nobody's business
    world.cpu_write(world.addr(page, 2048), 16)
    with violates("S26"):
        world.run((act, addr, 1))


def test_posted_buffer_is_not_put():
    world = World()
    page, addr = carved(world, posted=True)
    world.get_page(page, "H_DRV")
    with violates("S3"):
        world.put_buf(addr)


def test_page_is_not_released_under_a_posted_buffer():
    world = World()
    page, _ = carved(world, posted=True)
    world.move_ref(page, "H_RING", "H_DRV")
    world.put_page(page, "H_KERNEL")
    with violates("S1"):
        world.put_page(page, "H_DRV")


def test_write_beyond_the_buffer():
    world = World()
    _, addr = carved(world)
    world.cpu_write(addr + 1000, 24)
    with violates("S5"):
        world.cpu_write(addr + 1000, 25)


def test_read_of_what_was_posted_only():
    for offset, size, check in ((0, 1000, None), (0, 1001, "S7"), (999, 1, None), (1000, 1, "S7")):
        world = World()
        _, addr = carved(world, posted=True)
        world.dev_fetch(0)
        world.dev_fill(0, 0, 1000, 2)
        world.dev_use(0, 0, 1000, 2)
        assert world.vq_get_buf(0) == 77
        if check:
            with violates(check):
                world.check_read(addr + offset, size)
        else:
            world.check_read(addr + offset, size)


# ---- page_frag ---------------------------------------------------------------------------------


@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.integers(0, 9).map(lambda n: n % 4),
            st.integers(1, PAGE_SIZE),
            st.booleans(),
        ),
        max_size=40,
    ),
)
def test_page_frag_is_a_list_of_chunks(high_order, acts):
    """Kinds of act: 0 to 2 take a buffer of `size` bytes, 3 gives the oldest one back. `fails`: the
    first allocation attempt of the act does."""
    world = World()
    world.high_order(high_order)
    chunk = offset = room = 0
    taken: list[int] = []
    for kind, size, fails in acts:
        if kind == 3:
            if taken:
                world.put_buf(taken.pop(0))
            continue
        world.fail(1 if fails else 0, "FAULT_ALLOC", 0)
        alone = bool(chunk) and not any(world.frame(addr) == chunk for addr in taken)
        fresh = not alone and offset + size > room
        ok = world.page_frag_refill(0, size)
        world.fail(0, 0, 0)
        if chunk and alone:
            offset = 0
        elif fresh:
            # order 3 first; where that fails, or is switched off, one page
            assert ok == (not fails or high_order)
            offset = 0
            room = 8 * PAGE_SIZE if high_order and not fails else PAGE_SIZE
            last, chunk = chunk, world.peek("pf.page", 0) if ok else 0
            assert chunk != last or not chunk
            if not ok:
                room = 0
        page, now_offset, now_size = world.peeks("pf page offset size", 0)
        assert (page, now_offset) == (chunk, offset)
        if not ok:
            continue
        assert (now_size, offset + size <= room) == (room, True)
        addr = world.page_frag_take(0, size)
        assert addr == world.addr(chunk, offset)
        offset += size
        taken.append(addr)
        references = 1 + sum(world.frame(addr) == chunk for addr in taken)
        assert world.peek("frame.refcount", chunk) == references
    for addr in taken:
        world.put_buf(addr)
    if chunk:
        world.put_page(chunk, "H_FRAG")
    world.leak_check()
