# SPDX-License-Identifier: GPL-2.0-or-later
"""Chains of descriptors against a walker: any tables, any heads, direct and indirect, with loops.

What the device read of a chain is in its buffer; a bad chain it takes and does not use.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.vdpa.test_translation import BUFFER, buffer_of
from tests.targets.vdpa.world import ERAS, PAGE, TARGET, World

NEXT, WRITE, INDIRECT = 1, 2, 4
NAMES = {NEXT: "NEXT", WRITE: "WRITE", INDIRECT: "INDIRECT"}
TABLE = 7                   # page of the transmit queue's indirect tables
FILLED = range(12, 16)
SLOTS = 12                  # descriptors that are written of that page; the others are zeros
#: What a walk comes to that the kernel gets wrong.
EMPTY, FIRST, CYCLE = (
    "V31@judge_walk:empty_table", "V31@judge_chain:next0", "V32@__vringh_iov:indirect_cycle",
)  # fmt: skip

OFFS, LENGTHS = (0, 1, 16, 2048, 4095), (0, 1, 2, 15, 16, 17, 100, 600)


def buffer(rng: Random) -> tuple[int, int, int]:
    return rng.choice(FILLED), rng.choice(OFFS), rng.choice(LENGTHS)


def linked(rng: Random, size: int, first: int) -> list:
    """A table of `size` with one chain of any length, which begins at `first`."""
    order = rng.sample(range(size), size)
    order.remove(first)
    order.insert(0, first)
    n = rng.randint(1, size)
    table = [(buffer(rng), rng.choice((0, NEXT)), rng.randrange(size)) for _ in range(size)]
    for here, following in zip(order, [*order[1:n], None], strict=False):
        table[here] = (buffer(rng), 0 if following is None else NEXT, following or 0)
    return table


def changed(rng: Random, table: list, at: int) -> None:
    """One thing of a descriptor is another."""
    where, bits, following = table[at]
    what = rng.randrange(4)
    if what == 0:
        following = rng.randint(0, len(table))
    elif what == 1:
        bits ^= rng.choice((NEXT, WRITE))
    elif what == 2:
        where = (TABLE, 16 * rng.randrange(SLOTS), rng.choice((0, 16, 24, 32, 48, 128)))
        bits |= INDIRECT
    else:
        where, bits, following = buffer(rng), NEXT, rng.randrange(len(table))
    table[at] = (where, bits, following)


def case_of(seed: int) -> tuple[int, list, list, int]:
    """(order, the ring's table, the first SLOTS of the page of tables, head): a good chain, of
    which often one or two things are changed."""
    rng = Random(seed)
    order = rng.randint(1, 3)
    head = rng.choice((0, 0, rng.randrange(1 << order)))
    ring = linked(rng, 1 << order, head)
    nested: list = []
    for at in range(1 << order):
        size = rng.randint(1, 5)
        if rng.random() < 0.3 and len(nested) + size <= SLOTS:
            ring[at] = ((TABLE, 16 * len(nested), 16 * size), ring[at][1] | INDIRECT, ring[at][2])
            nested += linked(rng, size, 0)
    nested += linked(rng, SLOTS - len(nested), 0) if len(nested) < SLOTS else []
    for _ in range(rng.choice((0, 0, 1, 2))):
        table = rng.choice((ring, ring, nested))
        changed(rng, table, rng.randrange(len(table)))
    return order, ring, nested, rng.choice((head,) * 15 + (1 << order,))


class Bad(Exception):
    """The chain is; its argument is the finding if the kernel gets it wrong."""


class Walker:
    """segments: (page, off, length) of what it found."""

    def __init__(self, ring, nested) -> None:
        self.ring, self.nested = ring, nested
        self.segments: list[tuple[int, int, int]] = []

    def step(self, entry) -> None:
        where, bits, _ = entry
        if bits & WRITE:
            raise Bad  # the queue is for the other direction
        self.segments.append(where)

    def table(self, where) -> None:
        """All of an indirect table."""
        _, off, length = where
        if length % 16:
            raise Bad
        if length == 0:
            raise Bad(EMPTY)
        number = 0
        for _ in range(length // 16):
            at = off // 16 + number
            entry = self.nested[at] if at < SLOTS else ((0, 0, 0), 0, 0)
            if entry[1] & INDIRECT:
                raise Bad
            self.step(entry)
            number = entry[2]
            if not entry[1] & NEXT:
                return
            if number >= length // 16:
                raise Bad
        raise Bad  # a loop

    def walk(self, number: int) -> None:
        """Upstream counts what is not a table: that may be as much as the ring has."""
        plain = 0
        for fetched in range(2 * len(self.ring) + 2):
            if number >= len(self.ring):
                raise Bad
            if fetched > len(self.ring):
                raise Bad(CYCLE)
            where, bits, following = self.ring[number]
            if bits & INDIRECT:
                self.table(where)
                if bits & NEXT and following == 0:
                    raise Bad(FIRST)
            else:
                plain += 1
                if plain > len(self.ring):
                    raise Bad
                self.step((where, bits, following))
            if not bits & NEXT:
                return
            number = following


def content(fills: dict[int, int], segments) -> bytes:
    """The bytes of a packet; descriptors of zeros are empty."""
    data = b""
    for page, off, length in segments:
        for i in range(off, off + length):
            at, op = i % PAGE, fills.get(page + i // PAGE)
            head = 0 if op is None or at < 10 else 0x22
            data += bytes([head if op is None or at < 16 else (op * 16 + at) & 0xFF])
    return data[:BUFFER]


def program(order: int, ring, nested, head: int) -> tuple[str, dict[int, int], int]:
    """Its text, by which op each page is filled, number of the op that looks at the used ring."""
    fills, ops = {}, []
    for page in FILLED:
        fills[page] = len(ops)
        ops.append(f"send(page={page}, len={PAGE}, dst=other, then=nothing)")
    ops.append(f"bring_up(order={order}, bits=VERSION_1|ACCESS_PLATFORM, queues=RX|TX)")
    for name, table in (("ring", ring), ("indirect", nested)):
        for slot, ((page, off, length), bits, following) in enumerate(table):
            said = "|".join(NAMES[bit] for bit in NAMES if bits & bit)
            ops.append(
                f"desc(queue=TX, table={name}, slot={slot}, page={page}, off={off}, len={length},"
                f" next={following}" + (f", bits={said})" if said else ")")
            )
    ops += [f"avail(queue=TX, head={head})", "used(queue=TX)"]
    return "\n".join(["boot(mac=plain)", *ops]), fills, len(ops) - 1


@pytest.mark.parametrize("era", ERAS)
@settings(max_examples=80)
@given(st.integers(0, 1 << 32))
def test_against_a_walker(era, seed):
    case = case_of(seed)
    _, ring, nested, head = case
    text, fills, looks = program(*case)
    walker = Walker(ring, nested)
    try:
        walker.walk(head)
        good, finding = True, None
    except Bad as bad:
        good, finding = False, next(iter(bad.args), None)
    result = TARGET.execute(text, era)
    assert (result.violation and result.violation.signature) == finding, str(result.violation)
    if finding:
        return
    (used,) = (dict(step.obs) for step in result.steps if step.op == looks)
    assert (used["idx"], used["id"], used["len"]) == (int(good), head if good else 0, 0)
    if good:
        data = content(fills, walker.segments)
        assert buffer_of(World(text, era), len(data)) == data


def test_the_walker_sees_each_way_to_be_bad():
    buf, table = (12, 0, 32), (TABLE, 0, 32)

    def outcome(ring, nested=(), head=0):
        walker = Walker(ring, [*nested, *[(buf, 0, 0)] * (SLOTS - len(nested))])
        try:
            walker.walk(head)
        except Bad as bad:
            return next(iter(bad.args), "bad")
        return len(walker.segments)

    end = (buf, 0, 0)
    assert outcome([end, end]) == 1
    assert outcome([(buf, NEXT, 1), end]) == 2
    assert outcome([(buf, NEXT, 0), end]) == "bad"
    assert outcome([(buf, NEXT, 2), end]) == "bad"
    assert outcome([end, end], head=2) == "bad"
    assert outcome([(table, INDIRECT, 0), end], [(buf, NEXT, 1), end]) == 2
    assert outcome([(table, INDIRECT | NEXT, 1), end], [(buf, NEXT, 1), end]) == 3
    assert outcome([(table, INDIRECT, 0), end], [(buf, NEXT, 0)]) == "bad"
    assert outcome([(table, INDIRECT, 0), end], [(table, INDIRECT, 0)]) == "bad"
    assert outcome([((TABLE, 0, 24), INDIRECT, 0), end]) == "bad"
    assert outcome([((TABLE, 0, 0), INDIRECT, 0), end]) == EMPTY
    assert outcome([end, (table, INDIRECT | NEXT, 0)], head=1) == FIRST
    assert outcome([end, (table, INDIRECT | NEXT, 1)], head=1) == CYCLE
