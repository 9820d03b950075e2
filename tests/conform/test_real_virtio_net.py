# SPDX-License-Identifier: GPL-2.0-or-later
"""The projection of virtio-net-rx programs onto the guest's device and its user."""

from __future__ import annotations

import importlib.util
import marshal
import re
from pathlib import Path
from typing import Any

import pytest

import vfuzz
from tests.needs import kernels, need
from vfuzz.conform.session import Session, generated
from vfuzz.targets.virtio_net import real

need("vfuzz.program.codec")

ROOT = Path(__file__).resolve().parents[2]
TARGET = vfuzz.target("virtio-net-rx")
CORPUS = sorted((ROOT / "corpus" / "virtio-net-rx").rglob("*.vf"))
AGENT = (ROOT / "vfuzz/targets/virtio_net/agent.py").read_text()


def _of(program: vfuzz.Program, era: str = "linux-6.12") -> real.Shown:
    return real.project(program, era)


def _project(ops: str, boot: str = "boot()", era: str = "linux-6.12") -> real.Shown:
    return _of(TARGET.parse(f"{boot}\n{ops}"), era)


def _names(projection: real.Shown) -> list[str]:
    return [call.name for call in real.calls_of(projection.program)]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_is_projected(path: Path):
    projection = _of(TARGET.parse(path.read_text()))
    steps = projection.payload["steps"]
    n = len(projection.program)
    violation = projection.result.violation
    done = n if violation is None else min(n, violation.op + 1)
    assert len(steps) == (done if projection.cut is None else projection.cut[0])
    assert len(projection.shown) == n
    assert marshal.loads(marshal.dumps(projection.payload)) == projection.payload
    for action in steps:
        assert action[0] in ("do", "consume") or f"    def {action[0]}(self" in AGENT, action


def test_each_kind_of_op_is_projected_or_skipped_with_a_reason():
    for op in TARGET.schema.ops:
        projection = _project(f"open()\n{op.name}()\n")
        assert (projection.cut is not None) == (op.name in real.CANNOT), op.name
        assert bool(projection.skipped) == (op.name in real.SKIPPED), op.name
    assert len(real.SKIPPED) + len(real.CANNOT) <= 2


def test_what_the_kernel_does_by_itself_is_in_the_program():
    assert _names(_project("close()\n")) == ["poll", "poll", "close"]
    many = _project("channels(pairs=2)\n", "boot(features=MQ, pairs=2)")
    assert _names(many) == [*["poll"] * 4, "channels", "work", "poll", "poll"]
    assert many.shown == [*["all"] * 4, "ret", "", "", "state"]
    assert [action[0] for action in many.payload["steps"]] == [
        *["do"] * 4, "channels", "nop", "nop", "settle"]  # fmt: skip


def test_where_there_is_no_refill_work_nothing_follows():
    text = "freeze()\nrestore()\nchannels(pairs=2)\nxdp()\n"
    projection = _project(text, "boot(features=MQ, pairs=2)", "linux-7.2")
    waits = ["poll"] * 4
    assert _names(projection) == [
        *waits, "freeze", "restore", *waits, "channels", *waits, "xdp"]  # fmt: skip
    assert set(projection.shown) == {"all"}
    steps = [step for step in projection.payload["steps"] if step[0] != "do"]
    assert steps == [("freeze",), ("restore", False), ("channels", 2, False), ("xdp", 1, False)]


def test_a_suspended_system_does_nothing_by_itself():
    names = _names(_project("freeze()\nclose()\nchannels()\nrestore()\nrestore()\n"))
    assert names == ["poll", "poll", "freeze", "close", "channels", "restore", "poll", "work",
                     "poll", "restore"]  # fmt: skip


def test_a_device_that_the_driver_refuses_has_no_queues():
    boot = "boot(features=RSS, rss_max_key_size=41)"
    assert _names(_project("close()\nchannels()\n", boot)) == ["close", "channels"]


def test_the_work_of_the_receive_mode_is_never_late():
    projection = _project("rx_mode(promisc=1, unicast=A|C, late=1)\n", "boot(features=CTRL_RX)")
    assert projection.payload["steps"] == [("rx_mode", 1, 0, 5, 0)]
    assert projection.payload["plug"][0] >> 18 & 1
    (call,) = real.calls_of(projection.program)
    assert call.args["late"] == 0


def test_races_are_left_out():
    (call,) = real.calls_of(_project("open(race=POLL, at=3)\n").program)
    assert call.args == {"race": 0, "at": 0}


def test_a_failure_that_is_asked_for_ends_the_comparison():
    projection = _project("open() fail(alloc, 1)\nrx()\n")
    assert projection.cut is not None
    assert "failure" in projection.cut[1]
    program = TARGET.parse("boot()\nopen() fail(alloc, 31)\n")
    assert _of(program).cut is None


def test_what_spoils_memory_is_not_done():
    text = (
        "boot(profile=HOSTILE, features=MRG_RXBUF|VERSION_1, high_order_alloc_disable=1)\n"
        "rx()\nopen()\n"
    )
    projection = _of(TARGET.parse(text), "linux-6.1")
    assert projection.cut == (1, "the model found that it spoils memory")


def test_a_program_has_one_cpu_as_the_guest_has():
    boot = "boot(features=MQ|VERSION_1, pairs=3, cpus=2)"
    assert _project("open()\n", boot).payload["channels"] == 2
    for op in ("xdp()", "xmit()"):
        shown = _project(f"open()\n{op}\n", boot)
        assert shown.payload["channels"] == 1
        assert shown.program.boot["cpus"] == 1


def test_attaching_waits_for_contexts_and_with_queue_pairs_for_the_work():
    assert _names(_project("xdp()\n")) == ["poll", "poll", "xdp"]
    many = _project("xdp()\n", "boot(features=MQ, pairs=2)")
    assert _names(many) == [*["poll"] * 4, "xdp", "poll", "poll", "work", "poll", "poll"]
    assert many.shown[4:] == ["ret", "", "", "", "", "state"]
    assert many.payload["steps"][4] == ("xdp", 1, True)
    assert _project("xdp(prog=FRAGS)\n").payload["steps"][2] == ("xdp", 2, False)


def test_what_stands_around_an_op_is_there_whole_or_not_at_all():
    boot = "boot(features=MQ|VERSION_1, pairs=3)"
    shown = _project("xdp()\nxdp(prog=NONE)\n" * 4, boot)
    assert len(shown.program) == 4 * 14  # five would be more than a program has
    assert shown.shown[-1] == "state"


@pytest.mark.parametrize(("change", "cut"), [("grow=8", True), ("trim=8", False)])
def test_what_may_panic_behind_a_finding_is_not_done(change: str, cut: bool):
    text = f"boot(features=VERSION_1)\nopen()\nxdp()\nrx()\nverdict({change})\npoll()\n"
    found = _of(TARGET.parse(text))
    violation = found.result.violation
    assert violation is not None
    assert violation.check == "S17"
    assert (found.cut is not None) == cut
    assert found.cut is None or found.cut[0] == violation.op


def test_verdicts_are_what_a_program_returns():
    text = "".join(f"verdict(action={name})\n" for name in real._ACTION_NAMES)
    steps = _project(text).payload["steps"]
    assert [step[1] for step in steps] == [2, 1, 0, 5, 3, 4]
    text = "verdict(target=FULL, count=2, push=3, pull=4, grow=5, trim=6, meta=8, write=9)\n"
    assert _project(text).payload["steps"] == [("verdict", 2, 3, 2, 3, 4, 5, 6, 8, 9)]


def test_frames_and_refused_commands_are_commands_of_the_module():
    text = ("xmit(count=2, size=90, headroom=20)\nsent(count=3)\nrelease(count=4)\n"
            "nack(commands=MQ)\n")  # fmt: skip
    assert _project(text).payload["steps"] == [
        ("do", real.XMIT, 2, 90, 20), ("do", real.SENT, 0, 3), ("do", real.RELEASE, 4),
        ("do", real.NACK, 1),
    ]  # fmt: skip


SOCKETS = "boot(features=VERSION_1|ACCESS_PLATFORM|XSK_ZC)"


def test_ops_of_sockets_are_done_as_a_user_does_them():
    text = (
        "xsk_bind(chunk=CHUNK_4096, headroom=64, chunks=8, rx_order=2, filled=5, need_wakeup=1)\n"
        "xsk_wakeup()\n"
        "xsk_fill(count=3, wrong=1)\nxsk_take(count=7)\nwork()\nxsk_unbind()\n"
    )
    shown = _project(text, SOCKETS)
    assert [step for step in shown.payload["steps"] if step[1:2] != (real.POLL,)] == [
        ("xsk", "bind", 0, 4096, 64, 8, 4, 5, True), ("xsk", "wakeup", 0),
        ("xsk", "fill", 0, 3, True), ("xsk", "take", 0, 7), ("work",), ("xsk", "unbind", 0),
    ]  # fmt: skip
    assert shown.payload["plug"][8] == 1
    waits = ("xsk_bind", "work", "xsk_unbind")
    names = _names(shown)
    assert [names[i - 2 : i] for i, name in enumerate(names) if name in waits] == [
        ["poll", "poll"]] * len(waits)  # fmt: skip
    assert set(shown.shown) == {"all"}


def test_a_socket_belongs_to_a_queue_that_is_there():
    boot = "boot(features=VERSION_1|ACCESS_PLATFORM|XSK_ZC|MQ, pairs=2)"
    steps = _project("xsk_take(queue=2)\nxsk_take(queue=1)\n", boot).payload["steps"]
    assert [step[2] for step in steps] == [0, 1]


def test_zero_copy_is_offered_where_the_program_has_it_and_the_kernel_can():
    text = "open()\nxsk_bind()\nwork()\n"
    assert _project(text).payload["plug"][8] == 0
    old = _project(text, SOCKETS, "linux-6.1")
    assert old.payload["plug"][8] == 0
    assert old.payload["steps"][-2:] == [("xsk", "bind", 0, 2048, 0, 16, 16, 16, False), ("nop",)]
    assert not old.skipped
    # 7.2 has it anyway, with pools that have a device to map for, and no refill work
    new = _project(text, "boot(features=ACCESS_PLATFORM)", "linux-7.2")
    assert new.payload["plug"][8] == 1
    assert _names(new) == ["open", "poll", "poll", "xsk_bind", "work"]
    assert "PREMAPPED" in str(new.program)


def test_the_user_of_a_socket_sees_its_rings_and_packets():
    answer = (2, (0,) * 50, (), (0, 0, 0), None, (4, 1, 0, 120, 77, 88))
    (take, fill) = real.calls_of(_project("xsk_take()\nxsk_fill()\n", SOCKETS).program)
    seen = real.observe(take, answer)
    assert (seen["ret"], seen["fill"], seen["ready"], seen["wakeup"]) == (2, 4, 1, 0)
    assert (seen["taken_bytes"], seen["taken_crc"], seen["taken_at"]) == (120, 77, 88)
    assert "taken_crc" not in real.observe(fill, answer)
    assert "taken_crc" not in real.observe(take, (0, *answer[1:]))
    assert "fill" not in real.observe(take, (-1, *answer[1:5], ()))


def test_the_memory_of_a_socket_is_not_spoilt():
    boot = "boot(features=VERSION_1|MQ|ACCESS_PLATFORM|XSK_ZC, pairs=2)"
    text = "open()\nxdp()\nxsk_bind(queue=1)\nxdp(prog=NONE)\nxsk_unbind(queue=1)\n"
    shown = _project(text, boot)
    assert shown.cut is not None
    assert real.calls_of(shown.program)[shown.cut[0]].name == "xsk_unbind"
    assert shown.result.violation.signature == "S40@judge_xsk_unbound:queue_gone"


def test_offloads_can_be_switched_off_where_that_was_negotiated():
    (low, *_) = _project("", "boot(features=CTRL_GUEST_OFFLOADS)").payload["plug"]
    assert low >> 2 & 1
    (low, *_) = _project("", "boot()").payload["plug"]
    assert not low >> 2 & 1


def test_generated_programs_are_of_machines_that_are_there():
    for program in generated(TARGET, 200, 5):
        assert program.boot["swiotlb"] == 0
        assert not any(op.fail for op in program.data.ops)
        _of(program, "linux-6.1")


def _look(q, tx):
    return (2, 0, 9, 1, 2, 0, 0, 1, 0, *(3, 8, 5, 77, 1, 0, *q, 4, 1, *tx), *(0,) * 24)


def test_statistics_of_both_kinds():
    stats = (None, None, 4, 1, 9, 3, 2, 1, None, None, 5, 6, 7)
    seen = real._state((0, _look((6, 700), (8, 900)), stats + (0,) * 26, (0, 0, 0),
                        (2176, 1, 2, 3, 0)))  # fmt: skip
    assert (seen["rx0_packets"], seen["rx0_bytes"], seen["rx0_drops"]) == (6, 700, 4)
    assert (seen["tx0_packets"], seen["tx0_bytes"], seen["tx0_xdp_tx"]) == (8, 900, 5)
    assert (seen["tx0_num_free"], seen["tx0_held"], seen["filter"]) == (4, 1, 0)
    assert (seen["pkt_mem"], seen["xsk_dropped"], seen["xsk_full"]) == (2176, 1, 2)
    assert (seen["xsk_empty"], seen["xsk_invalid"]) == (3, 0)
    none = (1 << 64) - 1
    stats = (6, 700, 4, 1, 9, 3, 2, 1, 8, 900, 5, 6, 7)
    seen = real._state((0, _look((none, none), (none, none)), stats + (0,) * 26, (0, 0, 0)))
    assert (seen["rx0_packets"], seen["rx0_bytes"], seen["rx0_kicks"]) == (6, 700, 1)
    assert (seen["tx0_packets"], seen["tx0_bytes"], seen["tx0_kicks"]) == (8, 900, 7)


def test_statistics_of_xdp_are_those_of_all_queues():
    stats = (*range(13), *range(13), *range(13))
    seen = real._state((0, _look((0, 0), (0, 0)), stats, (0, 0, 0)))
    assert (seen["xdp_packets"], seen["xdp_tx"]) == (12, 15)
    assert (seen["xdp_redirects"], seen["xdp_drops"]) == (18, 21)
    # queue 0 is there, and out of use
    seen = real._state((0, _look((0, 0), (0, 0)), (None,) * 13 + stats[13:], (0, 0, 0)))
    assert "xdp_packets" not in seen


def test_explained_differences_are_on_the_page():
    text = (ROOT / "docs/conformance-virtio-net.md").read_text()
    table = text.partition("## Differences that are explained")[2]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \|", table, re.MULTILINE)
    said = sorted((signature, eras.strip()) for signature, eras in rows)
    assert said == sorted((entry.signature, entry.era or "both") for entry in real.EXPLAINED)


def test_commands_behind_each_other_are_given_to_the_module_together():
    spec = importlib.util.spec_from_file_location("vfuzz_net_agent", real.AGENT)
    assert spec is not None
    assert spec.loader is not None
    agent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(agent)
    machine = agent.Machine.__new__(agent.Machine)
    machine.requests = bytearray(agent.MANY_MAX * agent.REQUEST.size)
    machine.frozen = False
    given: list[Any] = []

    def many(silent: list[bool], answers: list[Any]) -> None:
        each = agent.REQUEST.iter_unpack(machine.requests)
        given.append([(*one[:3], quiet) for one, quiet in zip(each, silent, strict=False)])
        answers.extend(silent)

    def step(action: tuple[Any, ...]) -> str:
        machine.frozen = action[0] == "freeze"
        return str(action[0])

    machine.many, machine.step = many, step
    answers: list[Any] = ["before"]
    rx, poll = ("do", real.RX, 1), ("do", real.POLL, 0, 7)
    machine.steps([rx, poll, ("nop",), ("open",), ("freeze",), rx, ("restore",), rx], answers)
    assert answers == ["before", False, False, True, "open", "freeze", "do", "restore", False]
    assert given == [
        [(real.RX, 1, 0, False), (real.POLL, 0, 7, False), (agent.LOOK, 0, 0, True)],
        [(real.RX, 1, 0, False)],
    ]
    del given[:], answers[:]
    machine.steps([poll] * (agent.MANY_MAX + 2) + [("close",)], answers)
    assert [len(each) for each in given] == [agent.MANY_MAX, 2]
    assert answers == [False] * (agent.MANY_MAX + 2) + ["close"]


# ---- on a real kernel ----


@pytest.mark.kernel
def test_seeds_agree_with_real_kernels():
    programs = [TARGET.parse(path.read_text()) for path in CORPUS if path.parent.name == "seeds"]
    for kernel in kernels(*TARGET.eras):
        with Session(TARGET, kernel, kernel.era(TARGET.eras)) as session:
            totals = session.run(programs)
        assert totals.programs == len(programs)
        assert totals.observables > 50 * len(programs)
        assert totals.unexplained == [], [found.signature for found in totals.unexplained]
        assert totals.deaths == 0


def test_nothing_is_done_behind_a_violation():
    text = "boot(features=GUEST_CSUM|GUEST_TSO4)\nopen()\nrx(size=3745, gso_type=TCPV4)\n"
    text += "poll()\nrx()\n"
    found = real.project(TARGET.parse(text), "linux-6.1", ("F04",))
    assert found.result.violation.op == 2
    assert len(found.payload["steps"]) == 3
    assert len(real.project(TARGET.parse(text), "linux-6.1").payload["steps"]) == 4


def test_a_quirk_does_not_hide_what_would_spoil_the_guest():
    text = "boot(profile=HOSTILE, features=GUEST_TSO4)\nopen()\nuse(len=69611)\npoll()\n"
    for quirks in ((), ("F04",)):
        found = real.project(TARGET.parse(text), "linux-6.1", quirks)
        assert found.cut == (2, "the model found that it spoils memory")
    assert found.result.violation.check not in real.SPOILS


def test_a_key_that_a_kernel_refuses_leaves_no_device():
    text = "boot(features=RSS, rss_max_key_size=41)\nopen()\nclose()\n"
    polls = {
        era: sum(call.name == "poll" for call in
                 real.calls_of(real.effective(TARGET.parse(text), era)[0]))
        for era in TARGET.eras
    }  # fmt: skip
    assert polls == {"linux-6.1": 0, "linux-6.12": 0, "linux-7.2": 2}


def test_nothing_is_done_behind_what_the_model_found_if_a_sent_frame_may_be_lost():
    # the first packet counts a buffer for its page, the next ones are sent from it
    text = "boot(features={})\nopen()\nxdp()\nverdict()\nverdict(action=TX)\nburst()\npoll()\n"

    def cut(features, era="linux-7.2"):
        found = real.project(TARGET.parse(text.format(features)), era)
        assert found.result.violation.signature == "S17@judge_delivered:small_copy"
        return found.cut

    assert "does not survive" in cut("0")[1]
    assert cut("VERSION_1") is None
    assert cut("0", "linux-6.12") is None


def test_a_packet_beyond_all_fragments_is_not_done_behind_a_violation():
    def cut(length: int):
        # no program sees big packets, which is what the model ends with
        text = (
            "boot(profile=HOSTILE, features=VERSION_1|GUEST_UFO|CTRL_GUEST_OFFLOADS)\n"
            f"open()\nxdp()\nuse(len=80)\nuse(len={length})\npoll()\n"
        )
        found = real.project(TARGET.parse(text), "linux-6.12", ())
        assert found.result.violation.signature == "S37@judge_unseen:big"
        return found.cut

    assert "does not survive" in cut(69_601)[1]
    assert cut(69_600) is None


def test_refill_work_is_not_let_go_behind_a_socket():
    text = (
        "boot(features=VERSION_1|MQ|ACCESS_PLATFORM|XSK_ZC, pairs=2)\nopen()\n{}xdp()\npoll()\n"
    )
    bound = real.project(TARGET.parse(text.format("xsk_bind(chunks=1)\n")), "linux-6.12", ())
    assert bound.cut is not None
    assert bound.cut[1] == real.CHASE
    assert real.project(TARGET.parse(text.format("")), "linux-6.12", ()).cut is None
