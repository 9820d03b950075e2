# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses of the device against memory that is looked up byte by byte.

A program maps pages, sends one packet from anywhere and offers a buffer anywhere. The slow model
knows for each page of the device's space which page of memory it is (world.py); what the device
read it has in its buffer, and what it wrote a second packet shows, which is read through a mapping
of all memory.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.vdpa.world import ERAS, PAGE, READ, TARGET, WRITE, Slow, World, translation

FILLED = range(16, 28)      # pages of memory with bytes that tell them apart
ALIAS = 1024                # page of the device's space where all memory is mapped to be read
BUFFER = 4096               # the simulator's
HEADER, BACK = 12, 13       # pages that are mapped to themselves, for what a packet needs
PATTERNS = ("contiguous", "scattered", "pairs", "reversed")
PULL, PUSH = "V37@vdpasim_net_work:pull", "V34@judge_run:push"

iova = st.integers(32, 47)
upage = st.sampled_from(FILLED)
few = st.integers(1, 6)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), iova, few, upage, st.sampled_from((3, 3, 3, READ, WRITE))),
        st.tuples(st.just("update"), iova, few, upage, st.just(3)),
        st.tuples(st.just("invalidate"), iova, few),
    ),
    min_size=4,
    max_size=14,
)  # fmt: skip
SEGMENTS = st.lists(
    st.tuples(
        iova,
        st.sampled_from((0, 1, 16, 2048, 4080, 4094, 4095)),
        st.sampled_from((0, 1, 2, 15, 16, 17, 100, 1000, 4097)),
    ),
    max_size=4,
)
Segment = tuple[int, int, int]


class Bytes:
    """Memory, and what the device may do with it."""

    def __init__(self, slow: Slow, upages: dict[int, int]) -> None:
        self.runs, self.upages = slow.spaces[0], upages
        self.memory = {number: bytearray(PAGE) for number in range(64)}
        self.pages = cache(lambda page: translation(self.runs, page))

    def place(self, address: int, right: int) -> tuple[int, int] | None:
        """Page of memory and offset of one byte of the device's space."""
        found = self.pages(address // PAGE)
        if found is None or not found[1] & right:
            return None
        return self.upages[found[0]], address % PAGE

    def places(self, segment: Segment, length: int, right: int) -> list[tuple[int, int]] | None:
        first = segment[0] * PAGE + segment[1]
        found = [self.place(first + i, right) for i in range(length)]
        return None if None in found else found  # type: ignore[return-value]

    def read(self, segments: list[Segment]) -> tuple[bytes, bool]:
        """What is read up to the first segment that may not be, and whether there is none."""
        data = b""
        for segment in segments:
            places = self.places(segment, min(segment[2], BUFFER - len(data)), READ)
            if places is None:
                return data, False
            data += bytes(self.memory[page][at] for page, at in places)
        return data, True

    def write(self, segments: list[Segment], data: bytes) -> int | None:
        """How many bytes were written, None if some may not be."""
        done = 0
        for segment in segments:
            part = data[done : done + segment[2]]
            places = self.places(segment, len(part), WRITE)
            if places is None:
                return None
            for (page, at), byte in zip(places, part, strict=True):
                self.memory[page][at] = byte
            done += len(part)
        return done


def chain(queue: str, segments: list[Segment], bits: str) -> list[str]:
    """Ops that write a chain from descriptor 0 on."""
    last = len(segments) - 1
    return [
        f"desc(queue={queue}, slot={i}, page={page}, off={off}, len={length},"
        f" bits={'|'.join(filter(None, (bits, 'NEXT' if i < last else ''))) or 0}, next={i + 1})"
        for i, (page, off, length) in enumerate(segments)
    ]


def prepared(pattern: str, calls: list[tuple]) -> tuple[list[str], dict[int, bytes]]:
    """Ops up to a device that runs, and what the pages of memory then have."""
    ops = [
        f"mmap(upage=14, npages=16, pattern={pattern})", "open()", "set_owner()",
        "set_backend_features()", "update(npages=14)",
        f"update(page={ALIAS}, npages=64, perm={READ})",
    ]  # fmt: skip
    filled = {}
    for number in (HEADER, *FILLED):
        mac = bytes(6) if number in FILLED else b"\xff" * 6
        dst = "broadcast" if number == HEADER else "own"
        data = bytes(10) + mac + bytes((len(ops) * 16 + i) & 0xFF for i in range(16, PAGE))
        filled[number] = data
        ops.append(f"send(page={number}, len={PAGE}, dst={dst}, then=nothing)")
    for what, *args in calls:
        names = ("page", "npages", "upage", "perm")
        said = ", ".join(f"{k}={v}" for k, v in zip(names, args, strict=False))
        ops.append(f"{what}({said})")
    ops.append("bring_up(bits=VERSION_1|ACCESS_PLATFORM, queues=RX|TX)")
    return ops, filled


def replay(world: World, calls: list[tuple]) -> tuple[Bytes, list[int]]:
    """The slow model of the same calls, and what they return."""
    frames = {at: world.peek("upage.frame", at) - 1 for at in range(64)}
    slow = Slow(2, 65536, upages={at: (frame, False) for at, frame in frames.items()})
    slow.update(0, 0, 14, 0, 3)
    slow.update(0, ALIAS, 64, 0, READ)
    returned = [getattr(slow, what)(0, *args) for what, *args in calls]
    return Bytes(slow, {frame: at for at, frame in frames.items()}), returned


def buffer_of(world: World, length: int = BUFFER) -> bytes:
    """What the simulator read of the last packet."""
    return bytes(world.peek_all([("sim.buffer", i) for i in range(length)]))


@pytest.mark.parametrize("era", ERAS)
@settings(max_examples=30)
@given(
    pattern=st.sampled_from(PATTERNS), calls=CALLS, sent=SEGMENTS, offered=SEGMENTS, look=upage
)
def test_the_device_s_accesses_against_bytes(era, pattern, calls, sent, offered, look):
    ops, filled = prepared(pattern, calls)
    source, target = [(HEADER, 0, 18), *sent], [(BACK, 0, 18), *offered]
    ops += [
        *chain("RX", target, "WRITE"), "avail(queue=RX, then=nothing)",
        *chain("TX", source, ""), "avail(queue=TX)", "used(queue=RX)", "used(queue=TX)",
    ]  # fmt: skip
    text = "\n".join(["boot()", *ops])
    world = World(text, era)
    slow, returned = replay(world, calls)
    for number, data in filled.items():
        slow.memory[number][:] = data
    result = TARGET.execute(text, era)
    obs = [dict(step.obs) for step in result.steps if 0 <= step.op < len(ops)]
    rets = [o["ret"] for o, op in zip(obs, ops, strict=False) if op.startswith(("upd", "inv"))]
    assert rets == [72, 72, *returned]

    data, whole = slow.read(source)
    assert buffer_of(world, len(data)) == data
    if not whole:
        # 6.12 checks what reading a packet returns, the others take the errno for its length
        assert (result.violation and result.violation.signature) == (
            None if era == "linux-6.12" else PULL
        )
        return
    written = slow.write(target, data)
    if written is None:
        assert result.violation is not None
        assert result.violation.signature == PUSH
        return
    assert result.violation is None, str(result.violation)
    assert (obs[-2]["idx"], obs[-2]["len"]) == (1, written)
    assert (obs[-1]["idx"], obs[-1]["id"], obs[-1]["len"]) == (1, 0, 0)
    text += f"\ndesc(queue=TX, slot=15, page={ALIAS + look}, len={PAGE})\navail(queue=TX, head=15)"
    assert buffer_of(World(text, era)) == slow.memory[look]
