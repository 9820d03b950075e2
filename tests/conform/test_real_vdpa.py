# SPDX-License-Identifier: GPL-2.0-or-later
"""The projection of vdpa programs onto a real kernel's calls."""

from __future__ import annotations

import errno
import marshal
import struct
from pathlib import Path

import pytest

import vfuzz
from tests.needs import need
from vfuzz.conform import agent
from vfuzz.targets.vdpa import real

need("vfuzz.program.codec")

TARGET = vfuzz.target("vdpa")
CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "vdpa"


def _project(ops: str, boot: str = "boot()", era: str = "linux-6.12") -> real.Projection:
    return real.project(TARGET.parse(f"{boot}\n{ops}"), era)


def _actions(ops: str, **more: str) -> list[tuple]:
    return [step[3] for step in _project(ops, **more).payload["steps"]]


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.vf")), ids=lambda path: path.stem)
def test_the_corpus_can_be_projected_or_says_why(path: Path):
    program = TARGET.parse(path.read_text())
    boot = program.boot
    if boot["parent"] > 1 or any(boot[name] != said for name, said in real.BOOT_FIXED.items()):
        with pytest.raises(real.Impossible, match="boot: "):
            real.project(program, "linux-6.12")
        return
    projection = real.project(program, "linux-6.12")
    steps = projection.payload["steps"]
    assert len(steps) == (len(program) if projection.cut is None else projection.cut[0])
    assert marshal.loads(marshal.dumps(projection.payload)) == projection.payload
    for _, _, _, action in steps:
        assert action[0] in ("dev_add", "dev_del") or hasattr(agent.Process, action[0])


def test_each_kind_of_op_is_projected_or_skipped_with_a_reason():
    for op in TARGET.schema.ops:
        projection = _project(f"open()\n{op.name}()\n")
        assert (projection.cut is not None) == (op.name in real.CANNOT), op.name
        assert (1 in projection.skipped) == (op.name in real.SKIPPED), op.name


def test_messages_have_the_kernels_layout():
    (action,) = _actions("update(asid=1, page=2, npages=3, upage=4, perm=1)\n")
    kind, data = action
    assert (kind, len(data)) == ("write", 72)
    assert struct.unpack_from("<IIQQQBB", data) == (
        2, 1, 0x2000, 0x3000, agent.AREA + 0x4000, 1, 2)  # fmt: skip
    (action,) = _actions("write(length=5)\n")
    assert len(action[1]) == 5


def test_user_addresses_outside_of_the_area_stay():
    (action,) = _actions("update(uat=kernel)\n")
    assert struct.unpack_from("<Q", action[1], 24) == (0xFFFF888000000000,)


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        ("contiguous", [(0, 65, 4)]),
        ("scattered", [(0, 65, 1), (1, 67, 1), (2, 69, 1), (3, 71, 1)]),
        ("pairs", [(0, 65, 2), (2, 68, 2)]),
        ("reversed", [(0, 68, 1), (1, 67, 1), (2, 66, 1), (3, 65, 1)]),
    ],
)
def test_frames_are_those_of_the_model(pattern: str, pieces: list[tuple[int, int, int]]):
    (action,) = _actions(f"mmap(npages=4, pattern={pattern})\n")
    assert action == ("map", pieces, False)


def test_a_file_has_the_same_frames_wherever_it_is_mapped():
    first, second, third = _actions(
        "mmap(npages=2, kind=shared, pgoff=1)\nmmap(upage=8, npages=3, kind=shared)\n"
        "mmap(npages=1, kind=shared, file=1)\n", boot="boot(memory=none)"
    )  # fmt: skip
    assert first == ("map", [(0, 0, 2)], False)
    assert second == ("map", [(8, 2, 1), (9, 0, 2)], False)
    assert third == ("map", [(0, 3, 1)], False)


def test_in_va_mode_memory_is_mapped_as_a_process_does():
    ops = "mmap(upage=1, npages=2, kind=shared, file=3, pgoff=4, readonly=1)\n"
    (action,) = _actions(ops, boot="boot(use_va=1)")
    assert action == ("map_vma", 1, 2, True, True, 3, 4)
    (action,) = _actions(ops, boot="boot(use_va=1)", era="linux-6.1")
    assert action[0] == "map"


@pytest.mark.parametrize(
    ("ops", "done"),
    [("update(npages=64)", True), ("update(npages=65)", False), ("update(uat=zero)", False),
     ("update(uat=kernel)", True), ("update(uat=top)", True),
     ("munmap(upage=63)\nupdate(npages=64)", False),
     ("mmap_doorbell(upage=63)\nupdate(npages=64)", False),
     ("mmap(upage=64)\nupdate(npages=65)", True)],
)  # fmt: skip
def test_in_va_mode_nothing_outside_of_the_area_is_asked_for(ops: str, done: bool):
    projection = _project(ops + "\n", boot="boot(use_va=1)")
    assert (projection.cut is None) == done
    assert _project(ops + "\n").cut is None


def test_more_memory_than_the_guest_has():
    program = TARGET.parse("boot()\nmmap(npages=1023, pattern=scattered)\nopen()\n")
    assert real.project(program, "linux-6.12", 3000).cut is None
    cut = real.project(program, "linux-6.12", 1000).cut
    assert cut == (0, "more physical memory than the guest has")


def test_boot_options_are_arguments_of_the_guest():
    key = _project("open()\n", "boot(parent=sim_dma, entries=two, sim_entries=zero)").key
    assert key == (
        "vhost_vdpa.max_iotlb_entries=2", "vdpa_sim.max_iotlb_entries=0",
        "vdpa_sim.batch_mapping=0", "vdpa_sim.use_va=0",
    )  # fmt: skip
    assert len(_project("open()\n", era="linux-6.1").key) == 3


def test_pages_that_others_pinned_are_a_lower_limit():
    before = _project("open()\n", "boot(memlock=few, foreign=3, memory=none)").payload["before"]
    assert before == [("limit", 13)]


@pytest.mark.parametrize(
    ("ops", "answer", "seen"),
    [
        ("open()", (-errno.ENOENT, None), {"ret": -errno.ENODEV}),
        ("open()", (-errno.EBUSY, None), {"ret": -errno.EBUSY}),
        ("get(what=STATUS)", (0, b"\4"), {"ret": 0, "value": 4}),
        ("get(what=IOVA_RANGE)", (0, b"\1" + bytes(7) + b"\xff" * 8),
         {"ret": 0, "value": 1, "last": (1 << 64) - 1}),
        ("get_config(len=2)", (0, bytes(8) + b"\1\2\3\4" + bytes(60)), {"ret": 0, "config": 0x201}),
        ("get_vring_base(index=1)", (0, b"\1\0\0\0\7\0\0\0"), {"ret": 0, "num": 7}),
        ("get_vring_base(index=1)", (-errno.EINVAL, b"\1\0\0\0\7\0\0\0"), {"ret": -errno.EINVAL}),
        ("update()", (72, None, 3, 2), {"ret": 72, "pinned": 3, "pins": 2}),
        ("open()", (0, None, 3, None), {"ret": 0, "pinned": 3}),
        ("dev_add()", (None, None), {}),
    ],
)  # fmt: skip
def test_answers_become_observables(ops: str, answer: tuple, seen: dict[str, int]):
    (call,) = real.calls_of(TARGET.parse(f"boot()\n{ops}\n"))
    assert real.observe(call, answer) == seen


def test_explained_differences_are_documented():
    text = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text()
    section = text.partition("## Differences that are explained")[2]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(real.EXPLAINED)
    for entry in real.EXPLAINED:
        assert any(f"| `{entry.signature}` |" in row for row in rows), entry.signature
        assert any(era.startswith(entry.era) for era in TARGET.eras)
