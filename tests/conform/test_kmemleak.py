# SPDX-License-Identifier: GPL-2.0-or-later
"""What kmemleak says, and whose fault it is, with a guest that is played. `./do test-kernel` asks a
real one, if VFUZZ_TEST_KERNELS names a kernel that was built with --kmemleak."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import vfuzz
from tests.needs import kernels, need
from vfuzz.conform import agent, kernel, kmemleak, report
from vfuzz.conform.guest import GuestDied
from vfuzz.conform.kernel import Kernel
from vfuzz.conform.session import Session
from vfuzz.sanitizer.registry import Known
from vfuzz.targets.vdpa import real

need("vfuzz.program.codec")

TARGET = vfuzz.target("vdpa")
KERNEL = Kernel(name="leaky", version="6.12.1", source="", options=("kmemleak",), config_hash="")
SYMBOLS = """\
0000000060000040 T __binary_start
0000000060100000 t read_mem
00000000603a1238 b jiffies_min_age
"""
FINE = "boot()\nopen()\nset_owner()\nclose()\n"
LOSES = "boot()\nopen()\nget(what=STATUS)\nset_owner()\nclose()\n"

TEXT = """\
unreferenced object 0x00000000650a1f80 (size 16):
  comm "kworker/0:1", pid 9, jiffies 4294937300
  hex dump (first 16 bytes):
    02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
  backtrace (crc 5e7a6c3f):
    save_stack_trace+0x2e/0x30
    stack_trace_save+0x34/0x39
    set_track_prepare+0x48/0x68
    __alloc_object+0x20a/0x217
    __create_object+0x2c/0x94
    kmemleak_alloc+0x30/0x33
    kmemleak_alloc_recursive.constprop.0+0x1b/0x1e
    __kmalloc_noprof+0x189/0x19b
    kzalloc_noprof+0x16/0x18
    virtnet_probe+0x45b/0xccb
    virtio_dev_probe+0x1d1/0x23a
    really_probe+0x125/0x2c3
unreferenced object (percpu) 0x60a11000 (size 8):
  comm "python", pid 1, jiffies 4294937301
  hex dump (first 8 bytes on cpu 0):
    00 00 00 00 00 00 00 00                          ........
  backtrace (crc 0):
"""
OLDER = """\
unreferenced object 0x650a1f80 (size 32):
  comm "python", pid 1, jiffies 4294937300 (age 5.010s)
  backtrace:
    [<(____ptrval____)>] kmem_cache_alloc_trace.isra.0+0x21/0x30
    [<0000000012345678>] vhost_vdpa_open+0x3a/0x1b0
    [<0000000012345678>] chrdev_open+0x9f/0x1c0
"""


def _text(functions: Iterable[str]) -> str:
    return "".join(
        f"unreferenced object 0x650a1f80 (size 16):\n  backtrace (crc 0):\n"
        f"    __kmalloc_noprof+0x1/0x2\n    {name}+0x1/0x2\n    caller+0x1/0x2\n"
        for name in functions
    )


class Played:
    """A guest whose kernel loses what `loses` says of each program."""

    def __init__(self, loses: Callable[[dict[str, Any]], set[str]], boots: list[Played]) -> None:
        self.loses = loses
        self.lost = {"start_kernel"}  # by the boot: no program's fault
        self.runs: list[int] = []
        boots.append(self)

    def run(self, programs: list[Any], done: Callable[[int, Any], None]) -> None:
        if programs[0]["steps"]:  # else they come in front of a scan
            self.runs.append(len(programs))
        for i, program in enumerate(programs):
            kinds = [step[3][0] for step in program["steps"]]
            status = (0, bytes(8)) if "open" in kinds else (-errno.EBADF, None)
            answers = [status if kind == "ioctl" else (0, None) for kind in kinds]
            self.lost |= self.loses(program)
            done(i, (0, answers, (0, 0), [], {}))

    def leaks(self, age_at: int | None) -> str:
        assert age_at == 0x3A1238
        text = _text(sorted(self.lost))
        self.lost.clear()
        return text

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The kernel that is played, as far as it is looked at; real ones are where they are."""
    if request.node.get_closest_marker("kernel"):
        return
    monkeypatch.setenv("VFUZZ_CACHE", str(tmp_path))
    (KERNEL.dir / "build").mkdir(parents=True)
    (KERNEL.dir / "build" / "System.map").write_text(SYMBOLS)


@pytest.fixture
def with_guests(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Session, list[Played]]]:
    def make(
        loses: Callable[[dict[str, Any]], set[str]], quirks: tuple[str, ...] = ()
    ) -> tuple[Session, list[Played]]:
        made = Session(TARGET, KERNEL, "linux-6.12", quirks)
        boots: list[Played] = []
        monkeypatch.setattr(made, "_boot", lambda key: Played(loses, boots))
        return made, boots

    return make


def asks_status(program: dict[str, Any]) -> set[str]:
    """Who asks for the status loses memory."""
    asked = real._GETS["STATUS"][0]
    return {"get_status"} if any(s[3][:2] == ("ioctl", asked) for s in program["steps"]) else set()


def test_the_words_of_both_series_are_read():
    lost, nobody = kmemleak.parse(TEXT)
    assert lost.size == 16
    assert lost.trace == ("virtnet_probe", "virtio_dev_probe", "really_probe")
    assert lost.signature == "leak: virtnet_probe < virtio_dev_probe"
    assert lost.text[0].startswith("unreferenced object 0x00000000650a1f80")
    assert nobody.signature == "leak: 8 bytes, nobody knows whose"
    (older,) = kmemleak.parse("noise\n" + OLDER)
    assert older.signature == "leak: vhost_vdpa_open < chrdev_open"
    assert kmemleak.parse("") == []


@pytest.mark.parametrize("name", [
    "kmalloc_noprof", "__kmalloc_cache_noprof", "kmem_cache_alloc_node", "__kvmalloc_node_noprof",
    "kmemdup_noprof", "krealloc_noprof", "vzalloc", "__alloc_skb", "pcpu_alloc_noprof", "kstrdup",
    "kzalloc.constprop.0", "stack_trace_save", "__create_object",
])  # fmt: skip
def test_who_allocates_for_others_is_passed_over(name):
    text = f"unreferenced object 0x1 (size 1):\n  backtrace:\n    {name}+0x1/0x2\n    f+0x1/0x2\n"
    assert [leak.trace for leak in kmemleak.parse(text)] == [("f",)]


def test_functions_that_only_look_like_allocators_are_kept():
    for name in ("virtnet_alloc_queues", "alloc_netdev_mqs", "kernel_init", "vhost_iotlb_alloc"):
        text = f"unreferenced object 0x1 (size 1):\n  backtrace:\n    {name}+0x1/0x2\n"
        assert [leak.trace for leak in kmemleak.parse(text)] == [(name,)]


def test_the_program_that_loses_memory_is_found_among_many_and_made_small(with_guests):
    made, boots = with_guests(asks_status)
    programs = [TARGET.parse(FINE)] * 21 + [TARGET.parse(LOSES)] + [TARGET.parse(FINE)] * 10
    totals = made.run(programs)
    (found,) = totals.unexplained
    assert found.signature == "leak: get_status < caller"
    assert found.alone
    assert (totals.programs, totals.agreed, found.hits) == (32, 31, 1)
    assert str(found.verdict.program) == LOSES
    assert boots[0].runs[0] == 32
    assert len(boots[0].runs) <= 1 + 2 * 5 + 1, "each half once, and the one alone"
    made.minimise(found)
    assert str(found.verdict.program) == "boot()\nget(what=STATUS)\n"
    text = report.text(totals, KERNEL, "linux-6.12", (), None)
    assert "DIVERGENCE: leak: get_status < caller (1x)" in text
    assert "    get_status+0x1/0x2" in text, "its backtrace"


def test_each_part_with_a_leak_that_is_known_by_now_counts(with_guests):
    made, boots = with_guests(asks_status)
    for _ in range(3):
        totals = made.run([TARGET.parse(FINE), TARGET.parse(LOSES)])
    (found,) = totals.unexplained
    assert (found.hits, totals.agreed) == (3, 3)
    assert boots[0].runs == [2, 1, 1, 1, 2, 2], "looked for once: half, half, alone"


def test_programs_that_lose_nothing_and_a_boot_that_does_say_nothing(with_guests):
    made, boots = with_guests(lambda program: set())
    totals = made.run([TARGET.parse(FINE)] * 5)
    assert (totals.agreed, totals.found, len(boots)) == (5, {}, 1)
    assert "lost" not in report.text(totals, KERNEL, "linux-6.12", (), None)


def test_what_does_not_happen_again_is_told_so(with_guests):
    chance = iter([{"once"}])
    made, _ = with_guests(lambda program: next(chance, set()))
    totals = made.run([TARGET.parse(FINE)] * 4)
    (found,) = totals.unexplained
    assert found.signature == "leak: once < caller"
    made.minimise(found)
    assert not found.alone
    assert "after 4 programs" in found.verdict.divergence.kernel


def test_a_leak_that_the_model_says_too_is_no_divergence(with_guests, monkeypatch):
    program = TARGET.parse(FINE)  # with A52 the device that goes leaves a table behind
    found = TARGET.execute(program, era="linux-6.12", quirks=("A52",)).violation
    assert found is not None
    assert (found.check, found.op) == ("V18", len(program))
    assert found.check in real.LEAKS
    made, _ = with_guests(lambda program: {"vdpasim_create"}, ("A52",))
    totals = made.run([program])
    assert totals.unexplained == []
    assert totals.lost == {("leak: vdpasim_create < caller", found.signature): 1}
    known = Known("linux-6.12", found.signature, "docs/findings/a.md", "a")
    text = report.text(totals, KERNEL, "linux-6.12", (), None, [known])
    assert f"leak: vdpasim_create < caller: {found.signature}, known: docs/findings/a.md" in text
    data = report.as_json(totals, KERNEL, "linux-6.12", (), None)
    assert data["lost"] == [
        {"signature": "leak: vdpasim_create < caller", "because": found.signature, "scans": 1}
    ]
    monkeypatch.setattr(real, "LEAKS", ())  # it says something else
    made, _ = with_guests(lambda program: {"vdpasim_create"}, ("A52",))
    totals = made.run([program])
    assert list(totals.found) == ["leak: vdpasim_create < caller"]


def test_behind_a_violation_nobody_knows_what_is_kept(with_guests):
    program = TARGET.parse(FINE)
    found = TARGET.execute(program, era="linux-6.12", quirks=("A19",)).violation
    assert found is not None
    assert found.op < len(program)
    made, _ = with_guests(lambda program: {"any"}, ("A19",))
    totals = made.run([program])
    assert not any(signature.startswith("leak") for signature in totals.found)
    ((leak, _),) = totals.lost
    assert leak == "leak: any < caller"


def test_what_the_model_says_is_lost_does_not_hide_the_same_of_others(with_guests):
    broken, closed = TARGET.parse(FINE), TARGET.parse("boot()\nget(what=STATUS)\n")
    for program, violated in ((broken, True), (closed, False)):
        result = TARGET.execute(program, era="linux-6.12", quirks=("A19",))
        assert (result.violation is not None) == violated
    made, boots = with_guests(lambda program: {"any"}, ("A19",))
    totals = made.run([broken, closed] * 2)
    assert boots[0].runs[:2] == [2, 1], "the two that are broken apart, then one of them"
    assert list(totals.found) == ["leak: any < caller"]
    assert str(totals.found["leak: any < caller"].verdict.program) == str(closed)
    assert list(totals.lost) == [("leak: any < caller", "V16@_compat_vdpa_reset:vqs")]


def test_a_leak_that_a_later_scan_finds_is_that_of_the_program_before(with_guests, monkeypatch):
    broken, closed = TARGET.parse(FINE), TARGET.parse("boot()\nget(what=STATUS)\n")
    made, boots = with_guests(
        lambda program: {"any"} if any(s[3][0] == "open" for s in program["steps"]) else set(),
        ("A19",),
    )
    leaks, asked = Played.leaks, []

    def hides(played, age_at):
        asked.append(set(played.lost))
        return "" if len(asked) == 2 else leaks(played, age_at)  # the first behind the boot's

    monkeypatch.setattr(Played, "leaks", hides)
    totals = made.run([broken, closed])
    assert asked[1] == {"any"}, "the scan that did not find it"
    assert boots[0].runs[:2] == [1, 1]
    assert totals.found == {}
    assert totals.lost == {("leak: any < caller", "V16@_compat_vdpa_reset:vqs"): 1}


def test_chance_is_laid_at_the_door_of_what_is_said_to_lose_memory(with_guests):
    """A leak of one of the programs that the model says lose some, and that no trial shows."""
    chance = iter([{"once"}])
    made, _ = with_guests(lambda program: next(chance, set()), ("A52",))
    program = TARGET.parse(FINE)
    totals = made.run([program] * 4)
    assert totals.found == {}
    assert totals.lost == {("leak: once < caller", "V18@judge_removed:table"): 1}


def test_a_guest_that_dies_of_the_scan_loses_no_verdict(with_guests, monkeypatch):
    made, _ = with_guests(asks_status)

    def dies(played, age_at):
        if played.runs:
            raise GuestDied(-1, "no answer within 20 s", "")
        return ""

    monkeypatch.setattr(Played, "leaks", dies)
    totals = made.run([TARGET.parse(LOSES)])
    assert (totals.agreed, totals.found, made._spare) == (1, {}, {})


def test_a_kernel_without_kmemleak_is_not_asked(monkeypatch):
    plain = Kernel(name="plain", version="6.12.1", source="", options=("kasan",), config_hash="")
    assert kmemleak.can_scan(KERNEL)
    assert not kmemleak.can_scan(plain)
    made = Session(TARGET, plain, "linux-6.12")
    boots: list[Played] = []
    monkeypatch.setattr(made, "_boot", lambda key: Played(asks_status, boots))
    monkeypatch.setattr(Played, "leaks", lambda played, age_at: pytest.fail("it was asked"))
    assert made.run([TARGET.parse(LOSES)]).agreed == 1


def test_without_a_memory_that_can_be_written_the_age_is_waited_for(monkeypatch):
    (KERNEL.dir / "build" / "System.map").write_text(SYMBOLS.replace("read_mem", "read_null"))
    kernel._symbols_of.cache_clear()
    assert kmemleak.of_age(KERNEL) is None
    waits: list[float] = []
    monkeypatch.setattr(agent.time, "sleep", waits.append)
    monkeypatch.setattr(agent, "DEBUGFS", b"/nonexistent")
    with pytest.raises(FileNotFoundError):
        agent.leaks(None)
    assert waits == [agent.LEAST_AGE_S]
    assert agent.LEAST_AGE_S > 5


def test_only_the_least_age_is_changed(tmp_path: Path, monkeypatch):
    memory = tmp_path / "mem"
    memory.write_bytes(bytes(16) + struct.pack("<Q", 500) + b"behind")
    monkeypatch.setattr(agent, "MEMORY", str(memory))
    agent.no_least_age(16)
    agent.no_least_age(16)
    assert memory.read_bytes() == bytes(24) + b"behind"
    memory.write_bytes(bytes(16) + struct.pack("<Q", 7))
    with pytest.raises(OSError, match="no least age there, but 7"):
        agent.no_least_age(16)
    assert memory.read_bytes()[16:] == struct.pack("<Q", 7)


@pytest.mark.kernel
def test_a_real_kernel_loses_what_its_finding_says():
    net = vfuzz.target("virtio-net-rx")
    there = [found for found in kernels() if kmemleak.can_scan(found)]
    if not there:
        pytest.skip("no kernel with kmemleak: vfuzz kernel build 6.12 --kmemleak")
    corpus = Path(__file__).resolve().parents[2] / "corpus" / "virtio-net-rx"
    leaks = net.parse((corpus / "regressions/known/probe-leak.vf").read_text())
    fine = net.parse("boot()\nopen()\nrx(size=1500)\npoll()\nconsume()\nclose()\n")
    with Session(net, there[0], there[0].era(net.eras)) as made:
        totals = made.run([fine, leaks, fine])
        assert totals.unexplained == []
        if made.era == "linux-6.1":  # it has no such exit
            assert totals.lost == {}
            return
        ((leak, violation),) = totals.lost
        assert leak.startswith("leak: virtnet_probe")
        assert violation == "S2@target_shutdown:no_device"
        verdict = made.one(fine)
        assert verdict.divergence is None
        assert verdict.lost == ()
