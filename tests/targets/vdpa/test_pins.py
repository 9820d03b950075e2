# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages against a slow model that counts pins page by page.

Both get the same calls. After each the answer is the same, each frame has as many pins, pinned_vm
is their sum, and every page of each address space is translated alike, by vhost-vdpa and by the
device.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.vdpa.world import ERAS, PAGE, PFN_BASE, Slow, World, s64, translation

PAGES = 24
NAS = 2
OPEN = "open()\nset_owner()\nset_backend_features()\n"
PATTERNS = ("CONTIGUOUS", "SCATTERED", "PAIRS", "REVERSED")
KINDS = ("ANON", "SHARED")

page = st.integers(0, PAGES - 1)
few = st.integers(0, 8)
asid = st.integers(0, NAS)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("mmap"), page, st.integers(1, 8), st.sampled_from(KINDS), st.booleans(),
                  st.sampled_from(PATTERNS), st.integers(0, 1), st.integers(0, 3)),
        st.tuples(st.just("munmap"), page, st.integers(1, 8)),
        st.tuples(st.just("update"), asid, page, few, page, st.integers(0, 3)),
        st.tuples(st.just("update"), asid, page, few, page, st.just(3)),
        st.tuples(st.just("invalidate"), asid, page, st.integers(1, 8)),
        st.tuples(st.just("batch_begin"), asid),
        st.tuples(st.just("batch_end"), asid),
    ),
    min_size=1,
    max_size=16,
)  # fmt: skip


def frame_at(world: World, which: str, table: int, at: int) -> tuple[int, int] | None:
    """The frame and the rights at page `at`: of an address space, or of the device's table."""
    number = world.run((which, table, s64(at * PAGE), s64(at * PAGE)))
    start, addr, perm = world.peeks("map start addr perm", number)
    pfn = (addr + at * PAGE - start) // PAGE
    # what the device begins with from 6.3 on: everything is mapped to itself
    if number == 0 or pfn == at:
        return None
    return pfn - PFN_BASE, perm


def remap(world: World, slow: Slow, what: str, args: tuple) -> None:
    """mmap() or munmap(); which frames the pages have now is a fact for the slow model."""
    if what == "mmap":
        assert world.mm_map(*args) == 0
    else:
        assert world.mm_unmap(*args) == 0
    for at in range(args[0], args[0] + args[1]):
        slow.upages.pop(at, None)
        if what == "mmap":
            slow.upages[at] = (world.peek("upage.frame", at) - 1, args[3])


def compare(world: World, slow: Slow) -> None:
    frames = range(world.peek("mm.n_frames"))
    pins = world.peek_all([("frame.pins", frame) for frame in frames])
    assert pins == [slow.pins(frame) for frame in frames]
    assert world.peek("mm.pinned_vm") == world.peek("mm.pins") == slow.pinned()
    dirty = world.peek_all([("frame.dirty", frame) for frame in frames])
    assert {frame for frame in frames if dirty[frame]} == slow.dirty
    for number in range(NAS):
        space = world.space(number)
        assert (space != 0) == (number in slow.spaces)
        for at in range(PAGES + 8):
            if space:
                expected = translation(slow.spaces[number], at)
                assert frame_at(world, "space_map", space, at) == expected


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("parent", ["sim", "sim_dma"])
@settings(max_examples=60)
@given(calls=CALLS, memlock=st.sampled_from([("plenty", 65536), ("few", 16), ("zero", 0)]))
def test_against_a_counter_for_each_page(era, parent, calls, memlock):
    name, rlimit = memlock
    world = World(f"boot(parent={parent}, memory=none, memlock={name})\n{OPEN}", era)
    slow = Slow(NAS, rlimit)
    for what, *args in calls:
        if what in ("mmap", "munmap"):
            remap(world, slow, what, tuple(args))
        elif what.startswith("batch"):
            assert world.batch(what.upper(), *args) == getattr(slow, what)(*args)
        else:
            assert getattr(world, what)(*args) == getattr(slow, what)(*args)
        compare(world, slow)
    for number in range(NAS):
        told = slow.device if parent == "sim" else slow.spaces
        for at in range(PAGES + 8):
            expected = translation(told.get(number, []), at)
            assert frame_at(world, "device_map", number, at) == expected, (number, at)


@given(st.lists(st.tuples(st.booleans(), page, few, st.booleans()), max_size=12))
def test_pins_and_unpins_alone(calls):
    """pin_user_pages() without messages: it takes what is there, up to the first page that is not,
    and each pin is given back once."""
    world = World()
    world.mm_map(0, PAGES // 2, "ANON", 0, "REVERSED")
    world.mm_map(PAGES // 2, 4, "ANON", 1, "CONTIGUOUS")
    frame = {at: world.peek("upage.frame", at) - 1 for at in range(PAGES // 2 + 4)}
    held: list[int] = []
    for pin, at, n, write in calls:
        if pin:
            wanted = [frame.get(at + i) for i in range(n)]
            good = [
                i for i, f in enumerate(wanted)
                if f is not None and not (write and at + i >= PAGES // 2)
            ]  # fmt: skip
            taken = next((i for i in range(n) if i not in good), n)
            assert world.pin(at, n, write) == (taken or (-14 if n else 0))
            held += [f for f in wanted[:taken] if f is not None]
        elif held:
            unpinned = held.pop(at % len(held))
            assert world.unpin(unpinned) == held.count(unpinned)
    assert world.peek("mm.pins") == len(held)
    pins = world.peek_all([("frame.pins", f) for f in frame.values()])
    assert pins == [held.count(f) for f in frame.values()]


def test_a_pinned_frame_outlives_its_mapping():
    world = World()
    world.mm_map(0, 2, "ANON", 0, "CONTIGUOUS")
    assert world.pin(0, 1, 1) == 1
    world.mm_unmap(0, 2)
    assert (world.live(0), world.live(1)) == (1, 0)
    assert world.unpin(0) == 0
    assert world.live(0) == 0
