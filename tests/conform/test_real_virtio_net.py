# SPDX-License-Identifier: GPL-2.0-or-later
"""The projection of virtio-net-rx programs onto the guest's device and its user."""

from __future__ import annotations

import marshal
import re
from pathlib import Path
from random import Random

import pytest

import vfuzz
from tests.needs import kernels, need
from vfuzz.conform.session import Session, generated
from vfuzz.program.generator import generate
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
    assert len(steps) == (n if projection.cut is None else projection.cut[0])
    assert len(projection.shown) == n
    assert marshal.loads(marshal.dumps(projection.payload)) == projection.payload
    for action in steps:
        assert action[0] in ("do", "consume") or f"    def {action[0]}(self" in AGENT, action


def test_each_kind_of_op_is_projected_or_skipped_with_a_reason():
    for op in TARGET.schema.ops:
        projection = _project(f"open()\n{op.name}()\n")
        assert (projection.cut is not None) == (op.name in real.CANNOT), op.name
        assert bool(projection.skipped) == (op.name in real.SKIPPED), op.name
    assert len(real.SKIPPED) + len(real.CANNOT) <= len(TARGET.schema.ops) * 15 // 100


def test_what_the_kernel_does_by_itself_is_in_the_program():
    assert _names(_project("close()\n")) == ["poll", "poll", "close"]
    many = _project("channels(pairs=2)\n", "boot(features=MQ, pairs=2)")
    assert _names(many) == [*["poll"] * 4, "channels", "work", "poll", "poll"]
    assert many.shown == [*["all"] * 4, "ret", "", "", "state"]
    assert [action[0] for action in many.payload["steps"]] == [
        *["do"] * 4, "channels", "nop", "nop", "settle"]  # fmt: skip


def test_a_suspended_system_does_nothing_by_itself():
    names = _names(_project("freeze()\nclose()\nchannels()\nrestore()\nrestore()\n"))
    assert names == ["poll", "poll", "freeze", "close", "channels", "restore", "poll", "work",
                     "poll", "restore"]  # fmt: skip


def test_a_device_that_the_driver_refuses_has_no_queues():
    boot = "boot(features=RSS, rss_max_key_size=41)"
    assert _names(_project("close()\nchannels()\n", boot)) == ["close", "channels"]


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


@pytest.mark.parametrize("era", TARGET.eras)
@pytest.mark.parametrize("profile", ["CONFORMING", "HOSTILE"])
def test_packets_are_corrected_as_the_model_corrects_them(profile: str, era: str):
    """What the model's device writes is what the guest's device is asked to write."""
    rng = Random(11)
    schema = TARGET.schema
    kind = schema.op_index("rx")
    compared = 0
    while compared < 300:
        made = generate(schema, rng, n_ops=20)
        program = TARGET.program(made)
        boot = {**program.boot, "profile": int(profile == "HOSTILE"), "race": 1, "ring_order": 5,
                "high_order_alloc_disable": 0}  # fmt: skip
        for op in made.ops:
            if op.kind != kind:
                continue
            text = schema.boot_values(**boot)
            one = TARGET.program(type(made)(text, (type(op)(kind, op.args, None),)))
            result = TARGET.execute(one, era, trace=True)
            used = [event for event in result.events if event.what == "use"]
            if result.violation is not None or not used:
                continue
            projection = _of(one, era)
            (action,) = projection.payload["steps"]
            hdr = 10
            said = {name for name, bit in real._FEATURE_AT.items() if boot["features"] & bit}
            if said & {"MRG_RXBUF", "VERSION_1", "RING_PACKED"}:
                hdr = 12
            if "HASH_REPORT" in said:
                hdr = 20
            assert sum(event.a for event in used) == hdr + action[4], one
            compared += 1


def test_generated_programs_are_of_machines_that_are_there():
    for program in generated(TARGET, 200, 5):
        assert program.boot["swiotlb"] == 0
        assert not any(op.fail for op in program.data.ops)
        _of(program, "linux-6.1")


def test_statistics_of_both_kinds():
    look = (2, 0, 9, 1, 2, *(3, 8, 5, 77, 1, 0, 6, 700), *(0,) * 16)
    seen = real._state((0, look, (None, None, 4, 1), (0, 0, 0)))
    assert (seen["rx0_packets"], seen["rx0_bytes"], seen["rx0_drops"]) == (6, 700, 4)
    none = (1 << 64) - 1
    look = (2, 0, 9, 1, 2, *(3, 8, 5, 77, 1, 0, none, none), *(0,) * 16)
    seen = real._state((0, look, (6, 700, 4, 1), (0, 0, 0)))
    assert (seen["rx0_packets"], seen["rx0_bytes"], seen["rx0_kicks"]) == (6, 700, 1)


def test_explained_differences_are_on_the_page():
    text = (ROOT / "docs/conformance-virtio-net.md").read_text()
    table = text.partition("## Differences that are explained")[2]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \|", table, re.MULTILINE)
    said = sorted((signature, eras.strip()) for signature, eras in rows)
    assert said == sorted((entry.signature, entry.era or "both") for entry in real.EXPLAINED)


# ---- on a real kernel ----


@pytest.mark.kernel
def test_seeds_agree_with_real_kernels():
    programs = [TARGET.parse(path.read_text()) for path in CORPUS if path.parent.name == "seeds"]
    for kernel in kernels(*TARGET.eras):
        with Session(TARGET, kernel, kernel.era) as session:
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
