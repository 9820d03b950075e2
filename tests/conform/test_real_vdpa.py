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
from vfuzz.conform import agent, agent_vduse
from vfuzz.targets.vdpa import real
from vfuzz.targets.vdpa.ops import PARENTS, VDUSE_OPS

need("vfuzz.program.codec")

TARGET = vfuzz.target("vdpa")
CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "vdpa"


def _project(ops: str, boot: str = "boot()", era: str = "linux-6.12") -> real.Projection:
    return _of(TARGET.parse(f"{boot}\n{ops}"), era)


def _of(program: vfuzz.Program, era: str = "linux-6.12", **more: int) -> real.Projection:
    return real.project(program, era, **more)


def _actions(ops: str, **more: str) -> list[tuple]:
    return [step[3] for step in _project(ops, **more).payload["steps"]]


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.vf")), ids=lambda path: path.stem)
def test_the_corpus_can_be_projected_or_says_why(path: Path):
    program = TARGET.parse(path.read_text())
    boot = program.boot
    parent = PARENTS[boot["parent"]]
    if parent == "iommu" or (
        parent != "vduse" and any(boot[name] != said for name, said in real.BOOT_FIXED.items())
    ):
        with pytest.raises(real.Impossible, match="boot: "):
            _of(program)
        return
    projection = _of(program)
    steps = projection.payload["steps"]
    whole = len(program) if projection.cut is None else projection.cut[0]
    violation = projection.result.violation
    assert len(steps) == (whole if violation is None else min(whole, violation.op + 1))
    assert marshal.loads(marshal.dumps(projection.payload)) == projection.payload
    for _, _, _, action in steps:
        if action[0] == "vduse":
            assert action[1] == "daemon" or hasattr(agent_vduse.Vduse, action[1])
        else:
            assert action[0] in ("dev_add", "dev_del", "guest") or hasattr(agent.Process, action[0])


def test_each_kind_of_op_is_projected_or_skipped_with_a_reason():
    for op in TARGET.schema.ops:
        projection = _project(f"open()\n{op.name}()\n")
        assert projection.cut is None, op.name
        assert (1 in projection.skipped) == (op.name in real.left_out(projection.program.boot))
    of_vduse = [op.name for op in VDUSE_OPS]
    for name in of_vduse:
        projection = _project(f"open()\n{name}()\n", "boot(parent=vduse)")
        assert projection.cut is None
        assert not projection.skipped
        assert projection.payload["steps"][1][3][0] == "vduse"
        assert projection.needs == real.VDUSE_SYMBOL
    assert len(real.SKIPPED) / len(TARGET.schema.ops) < 0.1


@pytest.mark.parametrize(
    ("op", "action"),
    [
        ("daemon(mode=fault)", ("daemon", agent_vduse.FAULT)),
        ("vduse_read(dev=1, efault=1)", ("read", 1, True, 0)),
        ("vduse_read(meanwhile=reply)", ("read", 0, False, 3)),
        ("vduse_reply(which=newest, result=1)", ("answer", 0, 1, 1)),
        ("vduse_request(type=2)", ("ask", 0, 2, False)),
        ("vduse_leave(dev=1)", ("leave", 1, False)),
        ("vduse_ioctl(what=GET_FD, page=1, off=2, len=3)", ("get_fd", 0, 4098, 4100, False)),
        ("vduse_ioctl(what=SET_CONFIG, off=2, len=3, index=4)", ("set_config", 0, 2, 3, 4)),
        ("vduse_ioctl(what=INJECT_IRQ, index=1)", ("irq", 0, 1)),
        ("vduse_file(dev=1, what=ATTACH)", ("attach", 1)),
        ("bounce(page=3, off=4000, len=4096)", ("map", 3, 4000, 96, True, 0x5A)),
        ("driver_config(dev=1, off=8)", ("config", 1, 8, 8)),
        ("umem(upage=1, page=2)", ("umem", True, 1, 0, 256, 2)),
        ("coherent(what=WRITE, page=1, off=2, len=3)", ("write", 1, 2, 3, 0x5A)),
    ],
)
def test_ops_of_vduse_are_the_agents(op: str, action: tuple):
    (made,) = _actions(f"{op}\n", boot="boot(parent=vduse)")
    assert made == ("vduse", *action)


def test_a_request_that_will_time_out_waits_not_for_long():
    made = _actions("vduse_request()\nvduse_leave()\nvduse_request()\nvduse_leave(killed=1)\n",
                    boot="boot(parent=vduse)")  # fmt: skip
    assert [action[-1] for action in made] == [True, False, False, True]
    made = _actions("vduse_request()\nvduse_request(dev=1)\nvduse_read(meanwhile=timeout)\n",
                    boot="boot(parent=vduse)")  # fmt: skip
    assert [action[-1] for action in made] == [True, False, 1]


def test_what_the_device_bounces_does_not_show_in_memory_of_the_daemon():
    made = _actions("umem()\nbounce()\n", boot="boot(parent=vduse)")
    assert made[1][-1] == 0


def test_what_nobody_can_time_is_not_done():
    projection = _project("vduse_file(what=OPEN, race=1)\n", "boot(parent=vduse)")
    assert projection.cut is not None
    assert "is chance" in projection.cut[1]


def test_generated_programs_have_ops_of_vduse_where_there_is_one():
    names = {op.name for op in VDUSE_OPS}
    boot = TARGET.parse("boot()\n").boot
    assert names <= set(real.left_out(boot))
    assert not names & set(real.left_out({**boot, "parent": PARENTS.index("vduse")}))


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
    action, _ = _actions(f"mmap(npages=4, pattern={pattern})\nupdate(npages=64)\n")
    assert action == ("map", pieces, False)


def test_a_file_has_the_same_frames_wherever_it_is_mapped():
    first, second, third, _ = _actions(
        "mmap(npages=2, kind=shared, pgoff=1)\nmmap(upage=8, npages=3, kind=shared)\n"
        "mmap(npages=1, kind=shared, file=1)\nupdate(npages=64)\n", boot="boot(memory=none)"
    )  # fmt: skip
    assert first == ("map", [(0, 0, 2)], False)
    assert second == ("map", [(8, 2, 1), (9, 0, 2)], False)
    assert third == ("map", [(0, 3, 1)], False)


def test_only_memory_that_messages_name_is_mapped():
    ops = "mmap(npages=8)\nupdate(npages=2, upage=3)\nmmap(upage=100, npages=9)\n"
    first, _, second = _actions(ops)
    assert first == ("map", [(3, 68, 4)], False)
    assert second == ("map", [], False)
    first, _, _, _ = _actions(ops + "bring_up()\n")
    assert first == ("map", [(0, 65, 8)], False, [(0, 65, 8)])
    first, _ = _actions("mmap(npages=8)\nupdate(npages=0, span=all)\n")
    assert first[1] == [(0, 65, 8)]


@pytest.mark.parametrize(
    ("ops", "needs"),
    [
        ("vring_num()\nvring_enable()\n", ("sizes",)),  # the node is not open
        ("open()\nset_owner()\nvring_num()\nvring_enable()\n", ()),
        ("open()\nset_owner()\nvring_num()\nvring_enable(index=1)\n", ("sizes",)),
        ("bring_up()\nvring_enable(index=2)\n", ()),
        ("bring_up(queues=RX)\nvring_enable(index=2)\n", ("sizes",)),
        ("open()\nresume()\nget_vring()\n", ("kick", "sizes")),
    ],
)
def test_a_device_is_made_again_for_what_a_program_would_see(ops: str, needs: tuple[str, ...]):
    assert _project(ops).payload["needs"] == needs


def test_programs_of_one_device_are_together_and_first_who_would_see_what_others_leave():
    leaves, neither = "vring_num()\n", "open()\n"
    sees, both = "get_vring()\n", "vring_num()\nget_vring()\n"
    many = [
        _project(ops, boot)
        for boot in ("boot(mac=plain)", "boot()")
        for ops in (leaves, neither, both, sees)
    ]
    many.sort(key=lambda projection: projection.order)
    devices = [projection.payload["device"] for projection in many]
    assert devices == [(0, b"")] * 4 + [(0, bytes.fromhex("525401020304"))] * 4
    said = [(bool(p.payload["needs"]), bool(p.payload["leaves"])) for p in many]
    assert said == [(True, False), (True, True), (False, False), (False, True)] * 2


def test_the_configuration_is_as_new_behind_a_program_that_could_change_it():
    assert _project("open()\nget_config()\n").payload["restore"] is None
    number, data = _project("open()\nset_config()\n", "boot(mac=plain)").payload["restore"]
    assert (number, data[:8]) == (0x4008AF74, struct.pack("<II", 0, 24))
    assert data[8:20] == b"\x52\x54\x01\x02\x03\x04\0\0\0\0\xdc\x05"


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
     ("mmap_doorbell(upage=63)\nupdate(npages=64)", True),
     ("open()\nmmap_doorbell(upage=63)\nupdate(npages=64)", False),
     ("mmap(upage=64)\nupdate(npages=65)", True)],
)  # fmt: skip
def test_in_va_mode_nothing_outside_of_the_area_is_asked_for(ops: str, done: bool):
    projection = _project(ops + "\n", boot="boot(use_va=1)")
    assert (projection.cut is None) == done
    assert _project(ops + "\n").cut is None


def test_more_memory_than_the_guest_has():
    program = TARGET.parse("boot()\nmmap(npages=1023, pattern=scattered)\nopen()\n")
    assert _of(program, pool=3000).cut is None
    cut = _of(program, pool=1000).cut
    assert cut == (0, "more physical memory than the guest has")


def test_boot_options_are_parameters_of_modules():
    boot = "boot(parent=sim_dma, entries=two, sim_entries=zero)"
    assert _project("open()\n", boot).payload["parameters"] == (
        ("vhost_vdpa.max_iotlb_entries", "2"),
        ("vdpa_sim.max_iotlb_entries", "0"),
        ("vdpa_sim.batch_mapping", "0"),
        ("vdpa_sim.use_va", "N"),
    )
    assert len(_project("open()\n", era="linux-6.1").payload["parameters"]) == 3


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


RINGS = "bring_up()\nrx()\nsend(then=kick)\nwork()\nused(queue=RX)\ncvq()\n"


def test_the_guest_does_what_the_models_guest_did():
    up, rx, send, work, used, cvq = _actions(RINGS)
    calls = [entry[2] for entry in up[1] if entry[0] == "call"]
    assert calls[0] == ("open",)
    assert calls[-1] == ("ioctl", 0x4001AF72, b"\x0f")
    assert ("store", 0x5002, b"\0\0") in up[1]
    descriptor = struct.pack("<QIHH", 24 << 12, 2048, 2, 0)
    assert rx == ("guest", [
        ("store", 0, descriptor), ("load", 0x1002, 2), ("store", 0x1004, b"\0\0"),
        ("store", 0x1002, b"\1\0"),
    ])  # fmt: skip
    assert send[1][-1] == ("kick", 0, None)
    assert work == ("guest", [("run", 0, None)])
    assert used == ("guest", [("load", 0x2002, 2), ("load", 0x2004, 8)])
    assert [entry[0] for entry in cvq[1][-3:]] == ["kick", "run", "load"]


@pytest.mark.parametrize(
    ("ops", "cut"),
    [
        # the device would use what is not the process'
        ("bring_up()\nmunmap(upage=16)\ninvalidate(npages=64)\nsend()\n", None),
        ("bring_up()\ndesc(queue=TX, page=100, len=64)\navail(queue=TX)\n", 2),
        # a ring without a size has avail and used ring in one place: it fills itself
        ("open()\nset_owner()\nvring_enable(index=1)\nbring_up(queues=RX|TX, base=1)\navail()", 4),
        # six packets are two runs
        ("bring_up()\nrx(count=8)\n" + "send(then=kick, dst=broadcast)\n" * 6 + "work()\n", 8),
        ("bring_up()\nrx(count=8)\n" + "send(then=kick, dst=broadcast)\n" * 6 + "work(count=2)\n",
         None),
        # making a device takes time, in which the other one works
        ("bring_up()\nkick()\ndev_add()\n", 2),
        ("bring_up()\nkick()\nwork()\ndev_add()\n", None),
        # an interrupt that does not come could have been a kick
        ("bring_up()\nirq_begin(which=vq)\nirq_end(which=vq)\nwork()\n", 1),
        ("bring_up()\nirq_begin(which=vq)\nirq_end(which=vq)\n", None),
    ],
)  # fmt: skip
def test_where_the_device_cannot_follow(ops: str, cut: int | None):
    found = _project(ops, era="linux-6.1").cut
    assert (found and found[0]) == cut


def test_what_the_guest_finds_becomes_observables():
    used, cvq = real.calls_of(TARGET.parse("boot()\nused()\ncvq()\n"))
    loads = [b"\2\0", b"\1\0\0\0\x40\0\0\0"]
    assert real.observe(used, (0, (loads, None))) == {"ret": 0, "idx": 2, "id": 1, "len": 64}
    assert real.observe(used, (-errno.EFAULT, ([], None))) == {"ret": -errno.EFAULT}
    assert real.observe(cvq, (0, ([b"\0\0", b"\1"], 7))) == {"ret": 0, "ack": 1, "contents": 7}


def test_a_guest_with_an_address_needs_the_feature():
    assert _project("open()\n", "boot(mac=plain)").payload["device"][1].hex() == "525401020304"
    with pytest.raises(real.Impossible, match="needs the feature MAC"):
        _project("open()\n", "boot(mac=plain, features=MTU|VERSION_1)")


def test_explained_differences_are_documented():
    text = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text()
    section = text.partition("## Differences that are explained")[2]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(real.EXPLAINED)
    for entry in real.EXPLAINED:
        assert any(f"| `{entry.signature}` |" in row for row in rows), entry.signature
        assert any(era.startswith(entry.era) for era in TARGET.eras)
