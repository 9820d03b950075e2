# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket buffers: heads, fragments, coalescing, frag_list and pulling, against lists of bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.world import PAGE_SIZE, World, violates

SHINFO = 320
STRUCT = 256
HEAD = 1024
RESERVE = 64
BUFFER = 192  # bytes of a buffer in these pages; they lie end to end
MAX_SKB_FRAGS = 17


@dataclass
class Frag:
    """A range of a page; buffers: where each buffer in it begins and ends."""

    page: int
    offset: int
    size: int
    buffers: list[tuple[int, int]]


@dataclass
class Model:
    """One skb: its bytes, how many of them are in the head, and the fragments behind."""

    skb: int
    linear: int = 0
    content: list[tuple[int, int]] = field(default_factory=list)
    frags: list[Frag] = field(default_factory=list)

    def eat(self, size: int) -> None:
        """`size` bytes left the fragments."""
        while size and self.frags:
            frag = self.frags[0]
            eaten = min(size, frag.size)
            size -= eaten
            frag.offset += eaten
            frag.size -= eaten
            frag.buffers = [b for b in frag.buffers if b[1] > frag.offset]
            if not frag.size:
                self.frags.pop(0)


class Pages:
    """Two pages of buffers that the device filled, handed out in order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pages = [world.alloc_pages(3, "H_KERNEL") for _ in range(2)]
        self.next = [0, 0]
        self.origins = 1

    def buffer(self, which: int, used: int) -> tuple[int, int, int]:
        """(page, offset, origin) of the next buffer, `used` bytes of it written by an origin."""
        page, start = self.pages[which], self.next[which]
        self.next[which] += BUFFER
        self.origins += 1
        self.world.get_page(page, "H_DRV")
        buffer = self.world.buf_new(page, start, start + BUFFER)
        self.world.poke("buf.p_start", start, buffer)
        self.world.poke("buf.p_end", start + BUFFER, buffer)
        self.world.extent_write(page, start, start + used, self.origins, 0)
        return page, start, self.origins

    def skip(self, which: int) -> None:
        self.next[which] += BUFFER


def append(world: World, model: Model, pages: Pages, which: int, used: int) -> None:
    """The next buffer joins the skb, as append_frag() of a driver does it."""
    page, offset, origin = pages.buffer(which, used)
    n = len(model.frags)
    last = model.frags[-1] if model.frags else None
    joins = bool(last) and (last.page, last.offset + last.size) == (page, offset)
    assert world.skb_can_coalesce(model.skb, n, page, offset) == joins
    if joins:
        world.skb_coalesce_rx_frag(model.skb, n - 1, offset, used, BUFFER)
        last.size += used
        last.buffers.append((offset, offset + BUFFER))
    else:
        world.skb_add_rx_frag(model.skb, n, page, offset, used, BUFFER)
        model.frags.append(Frag(page, offset, used, [(offset, offset + BUFFER)]))
    model.content += [(origin, i) for i in range(used)]


def room(world: World, skb: int) -> int:
    """Bytes that its head still takes."""
    tail, end = world.peeks("skb tail end", skb)
    return end - tail


def check(world: World, pages: Pages, head: Model, rest: list[Model]) -> None:
    """The skb with `rest` on its frag_list is what the models say, and so are the pages."""
    content = head.content + [byte for model in rest for byte in model.content]
    assert world.skb_bytes(head.skb) == content
    length, data_len = world.peeks("skb len data_len", head.skb)
    assert (length, data_len) == (len(content), len(content) - head.linear)
    for model in [head, *rest]:
        assert world.peek("skb.nr_frags", model.skb) == len(model.frags)
        for i, frag in enumerate(model.frags):
            assert world.peeks("frag page offset size", model.skb, i) == (
                frag.page,
                frag.offset,
                frag.size,
            )
    for page, end in zip(pages.pages, pages.next, strict=True):
        frags = [f for model in [head, *rest] for f in model.frags if f.page == page]
        # one reference a fragment, however many buffers it grew by
        assert world.peek("frame.refcount", page) == 1 + len(frags)
        held = {b for frag in frags for b in frag.buffers}
        for start in range(0, end, BUFFER):
            is_held = (start, start + BUFFER) in held
            assert bool(world.buf_at(page, start)) == is_held, (page, start, held)


BUFFERS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from((BUFFER, BUFFER, BUFFER, 100, 1)),
        st.booleans().map(lambda b: not b),
    ),
    max_size=14,
)


@settings(max_examples=200)
@given(
    st.integers(0, HEAD - SHINFO - RESERVE),
    BUFFERS,
    BUFFERS,
    st.lists(st.integers(0, 1500) | st.integers(0, 50), max_size=4),
    st.booleans(),
)
def test_an_skb_is_a_list_of_bytes(head_size, own, listed, pulls, fails):
    world = World()
    pages = Pages(world)
    head = Model(world.alloc_skb(HEAD, RESERVE))
    if head_size:
        source = world.kmalloc(HEAD)
        world.extent_write(world.frame(source), 0, head_size, 1000, 7)
        world.skb_put_data(head.skb, source, head_size)
        world.kfree(source)
        head.content = [(1000, 7 + i) for i in range(head_size)]
        head.linear = head_size
    rest: list[Model] = []
    for model_of, buffers in ((None, own), (rest, listed)):
        model = head
        if model_of is rest:
            if not buffers:
                continue
            model = Model(world.alloc_skb(640, 0))
            rest.append(model)
            world.poke("skb.frag_list", model.skb, head.skb)
        for which, used, in_use in buffers:
            if in_use:
                append(world, model, pages, which, used)
            else:
                pages.skip(which)
        if model_of is rest:
            extra = len(model.content)
            for name in ("len", "data_len"):
                world.poke(f"skb.{name}", world.peek(f"skb.{name}", head.skb) + extra, head.skb)
    check(world, pages, head, rest)
    for size in pulls:
        total = len(head.content) + sum(len(model.content) for model in rest)
        more = size - head.linear
        from_list = more - sum(frag.size for frag in head.frags)
        allocates = more > room(world, head.skb) or (
            # what is eaten in part is pulled into a head of its own first
            bool(rest)
            and 0 < from_list < len(rest[0].content)
            and from_list > room(world, rest[0].skb)
        )
        world.fail(1 if fails else 0, "FAULT_ALLOC", 1)
        done = world.pskb_may_pull(head.skb, size)
        world.fail(0)
        if size > total or (more > 0 and allocates and fails):
            assert not done
        else:
            assert done
            if more > 0:
                head.linear += more
                head.eat(more)
                if from_list > 0:
                    model = rest[0]
                    head.content += model.content[:from_list]
                    del model.content[:from_list]
                    model.eat(from_list)
                    if not model.content:
                        rest.pop()
        check(world, pages, head, rest)
        assert room(world, head.skb) >= 0
    world.kfree_skb(head.skb)
    assert world.peek("skbs.n_live") == 0
    for page in pages.pages:
        assert world.peek("frame.refcount", page) == 1
        world.put_page(page, "H_KERNEL")
    world.leak_check()


@given(st.lists(st.integers(1, 17), min_size=1, max_size=4))
def test_memory_is_that_of_heads_and_buffers(counts):
    """skb_memory() of a chain: each head with its sk_buff, each buffer's allocation once."""
    world = World()
    pages = Pages(world)
    chain, expected = [], 0
    for i, count in enumerate(counts):
        model = Model(world.alloc_skb(HEAD, RESERVE))
        for k in range(min(count, 18)):
            append(world, model, pages, k % 2, BUFFER if i % 2 else 10)
        expected += HEAD + STRUCT + count * BUFFER
        chain.append(model.skb)
    world.poke("skb.frag_list", chain[1] if len(chain) > 1 else 0, chain[0])
    for one, two in pairwise(chain[1:]):
        world.poke("skb.next", two, one)
    assert world.skb_memory(chain[0]) == expected
    world.kfree_skb(chain[0])
    assert world.peek("skbs.n_live") == 0


def built(world: World, size: int = 1024) -> tuple[int, int]:
    """(skb, page) of an skb built around a buffer [0, size)."""
    page = world.alloc_pages(0, "H_DRV")
    world.buf_new(page, 0, size)
    return world.build_skb(world.addr(page, 0), size), page


def test_build_skb_takes_the_reference_and_the_buffer():
    world = World()
    skb, page = built(world)
    assert world.peeks("skb end truesize", skb) == (1024 - SHINFO, 1024 + STRUCT)
    assert world.peek("frame.hold", page, 0) == 0
    world.books_check()
    with violates("S3"):
        world.put_buf(world.addr(page, 0))


def test_build_skb_needs_a_buffer_of_the_driver():
    world = World()
    page = world.alloc_pages(0, "H_DRV")
    world.get_page(page, "H_DRV")
    world.buf_new(page, 0, 1024)
    world.build_skb(world.addr(page, 0), 1024)
    with violates("S10"):
        world.build_skb(world.addr(page, 0), 1024)


@pytest.mark.parametrize("call", ["build_skb", "alloc_skb"])
def test_an_allocation_that_fails_changes_nothing(call):
    world = World()
    page = world.alloc_pages(0, "H_DRV")
    world.buf_new(page, 0, 1024)
    world.fail(1, "FAULT_ALLOC")
    addr = world.addr(page, 0)
    assert world.run((call, addr, 1024) if call == "build_skb" else (call, 1024, 0)) == 0
    world.put_buf(addr)
    world.leak_check()


def test_put_and_reserve_stop_at_the_end():
    world = World()
    skb, _ = built(world)
    world.skb_reserve(skb, 100)
    world.skb_put(skb, 1024 - SHINFO - 100)
    assert world.peeks("skb data tail end len", skb) == (100, 704, 704, 604)
    with violates("S11"):
        world.skb_put(skb, 1)
    world = World()
    skb, _ = built(world)
    with violates("S11"):
        world.skb_reserve(skb, 1024 - SHINFO + 1)


def test_freed_skb_is_not_touched():
    world = World()
    skb, _ = built(world)
    world.kfree_skb(0)
    world.kfree_skb(skb)
    world.leak_check()
    with violates("S1"):
        world.skb_put(skb, 1)
    world = World()
    skb, _ = built(world)
    world.kfree_skb(skb)
    with violates("S3"):
        world.kfree_skb(skb)


@pytest.mark.parametrize(("index", "check_id"), [(MAX_SKB_FRAGS - 1, None), (MAX_SKB_FRAGS, "S13")])
def test_fragment_array_has_an_end(index, check_id):
    world = World()
    pages = Pages(world)
    skb = world.alloc_skb(HEAD, RESERVE)
    page, offset, _ = pages.buffer(0, BUFFER)
    frag = ("skb_add_rx_frag", skb, index, page, offset, BUFFER, BUFFER)
    if check_id:
        with violates(check_id):
            world.run(frag)
    else:
        world.run(frag)
        assert world.peek("skb.nr_frags", skb) == MAX_SKB_FRAGS


def test_a_fragment_reaches_over_buffers_only_where_the_skb_owns_both():
    world = World()
    pages = Pages(world)
    skb, other = world.alloc_skb(HEAD, RESERVE), world.alloc_skb(HEAD, RESERVE)
    page, offset, _ = pages.buffer(0, BUFFER)
    world.skb_add_rx_frag(skb, 0, page, offset, BUFFER, BUFFER)
    _, behind, _ = pages.buffer(0, BUFFER)
    world.skb_coalesce_rx_frag(skb, 0, behind, BUFFER, BUFFER)
    _, third, _ = pages.buffer(0, BUFFER)
    world.skb_add_rx_frag(other, 0, page, third, BUFFER, BUFFER)
    assert len(world.skb_bytes(skb)) == 2 * BUFFER
    world.poke("frag.size", 2 * BUFFER + 1, skb, 0)
    with violates("S7"):
        world.skb_pieces(skb)


def test_pages_are_page_sized():
    world = World()
    page = world.alloc_pages(0, "H_DRV")
    world.buf_new(page, PAGE_SIZE - 64, PAGE_SIZE)
    world.poke("buf.p_start", PAGE_SIZE - 64, 1)
    world.poke("buf.p_end", PAGE_SIZE, 1)
    skb = world.alloc_skb(HEAD, RESERVE)
    with violates("S12"):
        world.skb_add_rx_frag(skb, 0, page, PAGE_SIZE - 64, 65, 65)
