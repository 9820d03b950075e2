# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that mappings of user addresses refer to, against a counter for each file.

Memory stays mapped where an UPDATE points: what becomes of a gap, and of an UPDATE that fails half
way, are findings with programs of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.vdpa.world import ACCEPTED, EFAULT, EINVAL, World

PAGES, FILES, NAS = 24, 4, 2
OPEN = "open()\nset_owner()\nset_backend_features()\n"
#: Parents that work with user addresses, and where the simulator does.
PARENTS = [("sim", "linux-6.12"), ("sim", "linux-7.0"), ("sim_dma", "linux-7.0")]
PARENTS += [("vduse", era) for era in ("linux-6.1", "linux-6.12", "linux-7.0")]

page = st.integers(0, PAGES - 1)
few = st.integers(0, 8)
asid = st.integers(0, NAS)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("mmap"), page, st.integers(1, 8), st.sampled_from(("ANON", "SHARED")),
                  st.booleans(), st.integers(0, FILES - 1), st.integers(0, 3)),
        st.tuples(st.just("mmap"), page, st.integers(1, 8), st.just("SHARED"), st.just(False),
                  st.integers(0, 1), st.integers(0, 3)),
        st.tuples(st.just("update"), asid, page, few, page, st.integers(0, 3)),
        st.tuples(st.just("update"), st.just(0), page, few, page, st.just(3)),
        st.tuples(st.just("invalidate"), asid, page, st.integers(1, 8)),
        st.tuples(st.just("batch"), st.sampled_from(("BATCH_BEGIN", "BATCH_END")), asid),
    ),
    min_size=1,
    max_size=20,
)  # fmt: skip


@dataclass
class Slow:
    """memory: of each page (kind, read-only, file, page of the file); a mapping is (first page,
    pages, file)."""

    nas: int
    memory: list[tuple] = field(default_factory=lambda: [("SHARED", False, 0, i)
                                                        for i in range(PAGES)])
    spaces: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    device: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    inside: int | None = None

    def mmap(self, upage: int, npages: int, kind: str, readonly: bool, file: int,
             pgoff: int) -> None:  # fmt: skip
        for i in range(npages):
            self.memory[upage + i] = (kind, readonly, file, pgoff + i)

    def _refused(self, number: int, creates: bool) -> bool:
        if number < self.nas and creates:
            self.spaces.setdefault(number, [])
        return number not in self.spaces or self.inside not in (None, number)

    def _push(self, number: int) -> int:
        if self.inside is None:
            self.device[number] = list(self.spaces[number])
        return ACCEPTED

    def update(self, number: int, at: int, npages: int, upage: int, _perm: int) -> int:
        if npages == 0:
            return EINVAL
        if self._refused(number, True):
            return EFAULT
        space = self.spaces[number]
        if any(start < at + npages and at < start + n for start, n, _ in space):
            return EFAULT
        before = None
        for i in range(npages):
            kind, readonly, file, pgoff = self.memory[upage + i]
            if kind == "SHARED" and before == (readonly, file, pgoff - 1):
                space[-1] = (space[-1][0], space[-1][1] + 1, file)
            elif kind == "SHARED":
                space.append((at + i, 1, file))
            before = (readonly, file, pgoff) if kind == "SHARED" else None
        return self._push(number)

    def invalidate(self, number: int, at: int, npages: int) -> int:
        if self._refused(number, False):
            return EFAULT
        self.spaces[number] = [
            (start, n, file) for start, n, file in self.spaces[number]
            if start >= at + npages or at >= start + n
        ]  # fmt: skip
        return self._push(number)

    def batch(self, which: str, number: int) -> int:
        begins = which == "BATCH_BEGIN"
        if self._refused(number, begins):
            return EFAULT
        if begins:
            self.inside = number
        elif self.inside is not None:
            self.inside = None
            self._push(number)
        return ACCEPTED


def references(spaces: dict[int, list[tuple[int, int, int]]]) -> list[int]:
    files = [file for space in spaces.values() for _, _, file in space]
    return [files.count(file) for file in range(FILES)]


@pytest.mark.parametrize(("parent", "era"), PARENTS)
@settings(max_examples=60)
@given(calls=CALLS)
def test_each_file_has_a_reference_for_each_mapping(parent, era, calls):
    memory = f"mmap(npages={PAGES}, kind=shared)\n"
    world = World(f"boot(parent={parent}, use_va=1, memory=none)\n{memory}{OPEN}", era)
    slow = Slow(1 if parent == "vduse" else NAS)
    for what, *args in calls:
        if what == "mmap":
            upage, npages, kind, readonly, file, pgoff = args
            npages = min(npages, PAGES - upage)
            assert world.mm_map(upage, npages, kind, readonly, "CONTIGUOUS", file, pgoff) == 0
            slow.mmap(upage, npages, kind, readonly, file, pgoff)
        else:
            if what == "update":
                args[2] = min(args[2], PAGES - args[3])
            assert getattr(world, what)(*args) == getattr(slow, what)(*args), (what, args)
        assert world.peek_all([("file.refs", file) for file in range(FILES)]) == references(
            slow.spaces
        )
        if parent == "vduse":
            held = world.peek_all([("domain.refs", file) for file in range(FILES)])
            assert held == references(slow.device)
    assert world.peek("mm.pins") == world.peek("mm.pinned_vm") == 0
