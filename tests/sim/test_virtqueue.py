# SPDX-License-Identifier: GPL-2.0-or-later
"""Split and packed rings against a ring that is two lists and some absolute counters."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.world import PAGE_SIZE, Violated, World, violates

EIO, ENOMEM, ENOSPC = 5, 12, 28
PACKED, SPLIT = True, False
OLD, NEW = 0, 1  # eras


@dataclass
class Entry:
    """A buffer in the ring: `slots` descriptors of it, `parts` pages, tables and all."""

    token: int
    parts: list[int]
    slots: int
    size: int
    origin: int = 0
    used: int = 0


@dataclass
class Model:
    """A ring whose positions never wrap. It counts buffers (split) or descriptors (packed)."""

    num: int
    packed: bool
    indirect: bool
    event: bool
    posted: list[Entry] = field(default_factory=list)  # made available, not fetched
    held: list[Entry] = field(default_factory=list)  # in the device's hands
    used: list[Entry] = field(default_factory=list)  # returned, not taken
    added: int = 0
    prepared: int = 0  # what the driver's last decision on a kick knew of
    kicked: int = 0  # and what the device was last told
    fetched: int = 0
    returned: int = 0
    signalled: int = 0
    taken: int = 0
    wants_kicks: bool = True
    kick_at: int | None = None  # kick when this position is made available; None: always
    callbacks: bool = True
    interrupt_at: int | None = None  # the same for interrupts; None: flags decide

    def __post_init__(self) -> None:
        if self.event and not self.packed:
            self.kick_at = self.interrupt_at = 0

    @property
    def entries(self) -> list[Entry]:
        return [*self.posted, *self.held, *self.used]

    @property
    def num_free(self) -> int:
        return self.num - sum(entry.slots for entry in self.entries)

    def steps(self, entry: Entry) -> int:
        return entry.slots if self.packed else 1

    def slots_for(self, n: int) -> int:
        return 1 if self.indirect and n > 1 and self.num_free else n

    def add(self, entry: Entry) -> None:
        self.posted.append(entry)
        self.added += self.steps(entry)

    def needs_kick(self, since: int) -> bool:
        """Must the device be told that `added` is no longer `since`?"""
        if self.event and not self.packed:
            return since <= self.kick_at < self.added
        if not self.wants_kicks:
            return False
        if self.kick_at is None:
            return True
        return since <= self.kick_at < self.added

    def owes_kick(self) -> bool:
        """Does the device sleep though something is there for it?"""
        if self.kicked == self.added or not self.posted:
            return False
        return self.needs_kick(self.kicked)

    def fetch(self) -> None:
        self.held += self.posted
        self.posted.clear()
        self.fetched = self.added
        if self.event:
            self.kick_at = self.fetched

    def notifications(self, on: bool) -> None:
        self.fetch()
        self.wants_kicks = on
        self.kicked = self.added

    def use(self, k: int, length: int) -> Entry:
        entry = self.held.pop(k)
        entry.used = length
        self.used.append(entry)
        self.returned += self.steps(entry)
        return entry

    def wants_interrupt(self) -> bool:
        since, self.signalled = self.signalled, self.returned
        if since == self.returned:
            return False
        if self.interrupt_at is None:
            return self.callbacks
        return since <= self.interrupt_at < self.returned

    def take(self) -> Entry | None:
        if not self.used:
            return None
        entry = self.used.pop(0)
        self.taken += self.steps(entry)
        if self.event and self.callbacks and self.interrupt_at is not None:
            self.interrupt_at = self.taken
        return entry

    def disable(self) -> None:
        if self.callbacks:
            self.callbacks = False
            if self.event:
                # split: an index far away instead of a flag
                self.interrupt_at = None if self.packed else 0

    def enable(self) -> None:
        flag_stays = self.packed and self.callbacks and self.interrupt_at is None
        if self.event and not flag_stays:
            self.interrupt_at = self.taken
        self.callbacks = True


class Ring:
    """Queue 0 of a world and its model, kept alike."""

    def __init__(self, model: Model, *, dma: bool = False, era: int = NEW) -> None:
        self.model = model
        self.dma = dma
        self.world = World(dma=dma, era=era)
        self.world.vq_init(0, model.num, model.packed, model.indirect, model.event)
        self.world.driver_ok(1)
        self.tokens = 0

    def parts(self, n: int) -> list[int]:
        """n buffers of one page each, put into the scatterlist with n different lengths."""
        world, parts = self.world, []
        for i in range(n):
            page = world.alloc_pages(0, "H_DRV")
            assert page, "the test needs more frames than there are"
            world.buf_new(page, 0, PAGE_SIZE)
            parts.append(world.addr(page, 0))
            world.sg(i, parts[-1], 64 + i)
        return parts

    def release(self, parts: list[int]) -> None:
        for part in parts:
            self.world.put_buf(part)

    def add(self, n: int, *, fail: tuple = (0,)) -> int:
        """Add a buffer of n parts; returns what the ring said, which the model must say too."""
        parts = self.parts(n)
        self.tokens += 1
        self.world.fail(*fail)
        result = self.world.vq_add(0, n, self.tokens, 1000 + self.tokens)
        self.world.fail(0)
        slots = self.model.slots_for(n)
        if result == 0:
            size = sum(64 + i for i in range(n))
            self.model.add(Entry(self.tokens, parts, slots, size))
        else:
            self.release(parts)
        return result

    def fetch(self) -> None:
        self.model.fetch()
        assert self.world.dev_fetch(0) == len(self.model.held)
        for k, entry in enumerate(self.model.held):
            assert self.world.dev_capacity(0, k) == entry.size

    def use(self, k: int, length: int, origin: int) -> None:
        size = min(length, self.model.held[k].size)
        assert self.world.dev_fill(0, k, length, origin) == size
        self.world.dev_use(0, k, length, origin)
        self.model.use(k, length).origin = origin

    def take(self) -> None:
        entry = self.model.take()
        token = self.world.vq_get_buf(0)
        assert token == (entry.token if entry else 0)
        if entry is None:
            return
        assert self.world.peek("got.len") == entry.used
        if not (self.model.packed and self.model.indirect and len(entry.parts) > 1):
            assert self.world.peek("got.ctx") == 1000 + token
        at = 0
        for i, part in enumerate(entry.parts):
            written = max(0, min(64 + i, entry.used - at))
            assert self.world.bytes_of(part, 64 + i) == [
                (entry.origin, at + k) if k < written else (0, 0) for k in range(64 + i)
            ]
            at += written
        self.release(entry.parts)

    def kick(self, sent: bool) -> None:
        needed = self.model.needs_kick(self.model.prepared)
        self.model.prepared = self.model.added
        assert bool(self.world.vq_kick_prepare(0)) == needed
        if needed and sent:
            assert self.world.vq_notify(0)
            self.model.kicked = self.model.added

    def agrees(self) -> None:
        model, world = self.model, self.world
        in_flight = model.num - model.num_free
        assert world.peeks("vq num_free in_flight broken", 0) == (model.num_free, in_flight, 0)
        assert bool(world.vq_more_used(0)) == bool(model.used)
        if self.dma:
            tables = sum(e.slots < len(e.parts) for e in model.entries)
            parts = sum(len(e.parts) for e in model.entries)
            assert world.peek("dma.n_live") == parts + tables
        ring = sum(len(e.parts) for e in model.entries)
        frames = [world.frame(part) for e in model.entries for part in e.parts]
        assert sum(world.peek("frame.hold", frame, 1) for frame in frames) == ring

    def drain(self) -> None:
        """The driver takes everything out again, used or not."""
        tokens = set()
        while token := self.world.vq_detach_unused(0):
            tokens.add(token)
        assert tokens == {entry.token for entry in self.model.entries}
        for entry in self.model.entries:
            self.release(entry.parts)
        assert self.world.peek("vq.num_free", 0) == self.model.num
        self.world.books_check()
        self.world.maps_leak_check()
        self.world.leak_check()


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4)),
        st.tuples(st.just("add"), st.integers(1, 2)),
        st.tuples(st.just("kick"), st.integers(0, 9).map(bool)),
        st.tuples(st.just("fetch")),
        st.tuples(st.just("use"), st.integers(0, 7), st.integers(0, 300)),
        st.tuples(st.just("use"), st.just(0), st.integers(0, 300)),
        st.tuples(st.just("signal")),
        st.tuples(st.just("take")),
        st.tuples(st.just("take")),
        st.tuples(st.just("disable")),
        st.tuples(st.just("enable")),
        st.tuples(st.just("notifications"), st.booleans()),
    ),
    max_size=60,
)


@pytest.mark.parametrize("packed", [SPLIT, PACKED], ids=["split", "packed"])
@settings(max_examples=300)
@given(
    st.sampled_from((2, 4, 8)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    ACTS,
)
def test_a_ring_is_two_lists_and_counters(packed, num, indirect, event, dma, acts):
    ring = Ring(Model(num, packed, indirect, event), dma=dma)
    model, world = ring.model, ring.world
    origin = 1
    for kind, *more in acts:
        if kind == "add":
            n = more[0]
            fits = model.slots_for(n) <= model.num_free
            # a table that there is no place for costs nothing
            assert ring.add(n) == (0 if fits else -ENOSPC)
        elif kind == "kick":
            ring.kick(*more)
        elif kind == "fetch":
            ring.fetch()
        elif kind == "use" and model.held:
            k, length = more
            origin += 1
            ring.use(k % len(model.held), length, origin)
        elif kind == "signal":
            assert bool(world.dev_wants_interrupt(0)) == model.wants_interrupt()
        elif kind == "take":
            ring.take()
        elif kind == "disable":
            world.vq_disable_cb(0)
            model.disable()
            assert world.vq_callbacks_off(0)
        elif kind == "enable":
            opaque = world.vq_enable_cb(0)
            model.enable()
            assert not world.vq_callbacks_off(0)
            assert bool(world.vq_poll(0, opaque)) == bool(model.used)
        elif kind == "notifications":
            ring.fetch()
            world.dev_notifications(0, *more)
            model.notifications(*more)
        ring.agrees()
    if model.owes_kick():
        with violates("S47"):
            world.vq_check(0)
    else:
        world.vq_check(0)
        ring.drain()


# ---- what a list of tokens does not say ----------------------------------------------------------


def ring_of(num: int, packed: bool, **options) -> Ring:
    flags = {"indirect": False, "event": False}
    flags.update((name, options.pop(name)) for name in list(options) if name in flags)
    return Ring(Model(num, packed, **flags), **options)


both = pytest.mark.parametrize("packed", [SPLIT, PACKED], ids=["split", "packed"])


@both
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_lists_go_round_the_ring(packed, n):
    """Often around, so that every list length meets every place of the ring's end."""
    ring = ring_of(4, packed)
    for turn in range(3 * 4 * n):
        assert ring.add(n) == 0
        ring.kick(True)
        ring.fetch()
        ring.use(0, 64, 2 + turn)
        ring.take()
        ring.agrees()
    ring.world.vq_check(0)
    ring.drain()


@both
def test_indexes_wrap(packed):
    """16 bit indexes of the split ring go around after 65,536 buffers."""
    ring = ring_of(2, packed, event=True)
    world = ring.world
    assert ring.add(1) == 0
    once = [
        ("vq_kick_prepare", 0),
        ("vq_notify", 0),
        ("dev_fetch", 0),
        ("dev_use", 0, 0, 64, 2),
        ("dev_wants_interrupt", 0),
        ("vq_get_buf", 0),
        ("vq_check", 0),
        ("vq_add", 0, 1, 5, 6),
    ]
    world.vq_disable_cb(0)
    world.vq_enable_cb(0)
    for _ in range(70):
        world.run(*once * 1000)
    assert world.peeks("vq num_free in_flight", 0) == (1, 1)
    assert world.peek("vq.added", 0) == 70_001
    if not packed:
        assert world.peek("vq.avail_idx", 0) == 70_001 - 65_536


@both
def test_a_table_takes_one_descriptor(packed):
    ring = ring_of(4, packed, indirect=True)
    for _ in range(4):
        assert ring.add(20) == 0
    assert ring.add(1) == -ENOSPC
    ring.agrees()
    ring.fetch()
    ring.drain()


@both
def test_a_table_that_cannot_be_had_is_done_without(packed):
    ring = ring_of(4, packed, indirect=True)
    parts = ring.parts(3)
    ring.world.fail(1, "FAULT_ALLOC")
    assert ring.world.vq_add(0, 3, 9) == 0
    ring.world.fail(0)
    assert ring.world.peek("vq.num_free", 0) == 1
    ring.model.add(Entry(9, parts, 3, 64 + 65 + 66))
    ring.fetch()
    ring.drain()


@pytest.mark.parametrize("era", [OLD, NEW])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize(("packed", "indirect"), [(SPLIT, False), (SPLIT, True), (PACKED, False)])
def test_a_mapping_that_fails_leaves_nothing(packed, indirect, nth, era):
    ring = ring_of(4, packed, indirect=indirect, dma=True, era=era)
    assert ring.add(3, fail=(nth, "FAULT_MAP")) == (-EIO if packed else -ENOMEM)
    ring.agrees()
    ring.drain()


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_packed_ring_does_without_a_table_that_cannot_be_mapped(nth):
    ring = ring_of(4, PACKED, indirect=True, dma=True)
    parts = ring.parts(3)
    ring.world.fail(nth, "FAULT_MAP")
    assert ring.world.vq_add(0, 3, 9) == 0
    ring.world.fail(0)
    ring.model.add(Entry(9, parts, 3, 64 + 65 + 66))
    ring.agrees()
    ring.fetch()
    ring.drain()


@both
def test_an_add_in_which_everything_fails_leaves_nothing(packed):
    ring = ring_of(4, packed, indirect=True, dma=True)
    assert ring.add(3, fail=(1, "FAULT_MAP", 1)) == (-EIO if packed else -ENOMEM)
    assert ring.add(3, fail=(1, "FAULT_ADD")) == -ENOMEM
    ring.agrees()
    ring.drain()


@pytest.mark.parametrize(("era", "check"), [(OLD, "S47"), (NEW, None)])
def test_a_packed_add_that_fails_takes_back_what_it_showed(era, check):
    """linux-6.1 leaves the second and third descriptor looking available. A shorter list before
    them brings them out."""
    ring = ring_of(4, PACKED, dma=True, era=era)
    assert ring.add(3, fail=(3, "FAULT_MAP")) == -EIO
    assert ring.add(1) == 0
    if check:
        with violates(check):
            ring.world.dev_fetch(0)
    else:
        ring.fetch()
        ring.drain()


@both
@pytest.mark.parametrize("number", [4, 65_535])
def test_an_id_out_of_range_breaks_the_ring(packed, number):
    ring = ring_of(4, packed)
    ring.add(1)
    ring.world.dev_fetch(0)
    ring.world.dev_used_raw(0, number, 64, 1, 0)
    assert ring.world.vq_get_buf(0) == 0
    assert ring.world.peek("vq.broken", 0) == 1
    assert ring.add(1) == -EIO
    assert not ring.world.vq_notify(0)
    ring.drain()


@both
def test_an_id_that_is_not_in_flight_breaks_the_ring(packed):
    ring = ring_of(4, packed)
    ring.add(1)
    ring.world.dev_fetch(0)
    ring.world.dev_used_raw(0, 3, 64, 1, 0)
    assert ring.world.vq_get_buf(0) == 0
    assert ring.world.peek("vq.broken", 0) == 1
    ring.drain()


@both
def test_a_buffer_is_posted_once(packed):
    ring = ring_of(4, packed)
    ring.add(1)
    ring.world.get_page(1, "H_DRV")
    with violates("S9"):
        ring.world.vq_add(0, 1, 2)


@both
@pytest.mark.parametrize(("size", "check"), [(PAGE_SIZE, None), (PAGE_SIZE + 1, "S6")])
def test_a_posted_range_lies_in_its_buffer(packed, size, check):
    ring = ring_of(4, packed)
    parts = ring.parts(1)
    ring.world.sg(0, parts[0], size)
    if check:
        with violates(check):
            ring.world.vq_add(0, 1, 1)
    else:
        assert ring.world.vq_add(0, 1, 1) == 0


@both
def test_no_kick_before_driver_ok(packed):
    ring = ring_of(4, packed)
    ring.add(1)
    ring.world.driver_ok(0)
    assert ring.world.vq_kick_prepare(0)
    with violates("S47"):
        ring.world.vq_notify(0)


@both
def test_a_poll_has_callbacks_off(packed):
    ring = ring_of(4, packed)
    ring.world.in_poll(1)
    ring.world.vq_disable_cb(0)
    assert ring.world.vq_get_buf(0) == 0
    ring.world.vq_enable_cb(0)
    with violates("S41"):
        ring.world.vq_get_buf(0)


@both
def test_a_device_that_may_not_use_the_ring_does_not(packed):
    ring = ring_of(4, packed)
    ring.add(1)
    ring.world.poke("vq.enabled", 0, 0)
    assert ring.world.dev_fetch(0) == 0
    ring.world.poke("vq.enabled", 1, 0)
    assert ring.world.dev_fetch(0) == 1


# ---- what the device finds wrong with a ring (S47) -----------------------------------------------

NEXT, WRITE, INDIRECT, AVAIL = 1, 2, 4, 1 << 7

#: name: (packed, indirect, pokes into the ring with one list of two parts in it)
BROKEN_RINGS = {
    "readable": (SPLIT, False, [("desc.flags", NEXT, 0, 0)]),
    "readable last": (SPLIT, False, [("desc.flags", 0, 0, 1)]),
    "loop": (SPLIT, False, [("desc.flags", NEXT | WRITE, 0, 1), ("desc.next", 0, 0, 1)]),
    "avail idx": (SPLIT, False, [("vq.avail_idx", 5, 0)]),
    "avail id": (SPLIT, False, [("vq.avail_ring", 4, 0, 0)]),
    "not a table": (SPLIT, True, [("desc.addr", 1 << 20, 0, 0)]),
    "packed: readable": (PACKED, False, [("desc.flags", NEXT | AVAIL, 0, 0)]),
    "packed: half a list": (PACKED, False, [("desc.flags", WRITE, 0, 1)]),
    "packed: open end": (PACKED, False, [("desc.flags", WRITE | NEXT | AVAIL, 0, 1)]),
    "packed: stray": (PACKED, False, [("desc.flags", WRITE | AVAIL, 0, 2)]),
    "packed: other id": (PACKED, False, [("desc.next", 1, 0, 1)]),
    "packed: shorter": (PACKED, False, [("desc.flags", WRITE | AVAIL, 0, 0)]),
    "packed: not a table": (PACKED, True, [("desc.addr", 1 << 20, 0, 0)]),
}


@pytest.mark.parametrize("name", BROKEN_RINGS)
def test_the_device_takes_well_formed_lists_only(name):
    packed, indirect, pokes = BROKEN_RINGS[name]
    ring = ring_of(4, packed, indirect=indirect)
    ring.add(2)
    for where, value, *at in pokes:
        ring.world.poke(where, value, *at)
    with pytest.raises(Violated) as caught:
        ring.world.dev_fetch(0)
    assert caught.value.check == "S47", caught.value
    whole = ring_of(4, packed, indirect=indirect)
    whole.add(2)
    whole.fetch()


def test_descriptors_add_up():
    for lost in (0, 1):
        ring = ring_of(4, SPLIT)
        ring.world.poke("vq.num_free", 4 - lost, 0)
        if lost:
            with violates("S47"):
                ring.world.vq_check(0)
        else:
            ring.world.vq_check(0)
