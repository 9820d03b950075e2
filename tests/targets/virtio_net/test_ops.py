# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ops of virtio-net-rx do, as far as it can be seen from outside the model."""

from __future__ import annotations

import pytest

from vfuzz.targets.virtio_net import ERAS
from vfuzz.targets.virtio_net.ops import BOOT, OPS, RACES, SCHEMA

ETH_HLEN = 14
HOSTILE_ONLY = ("use", "cont", "bad_used")

MODES = {
    "small": "VERSION_1",
    "big": "VERSION_1|GUEST_CSUM|GUEST_TSO4",
    "big-mtu": "VERSION_1|MTU",
    "mergeable": "VERSION_1|MRG_RXBUF",
}
HEADERS = {"legacy": (0, 10), "version-1": ("VERSION_1", 12), "hash": ("HASH_REPORT", 20)}

every_era = pytest.mark.parametrize("era", ERAS)
every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
every_mode = pytest.mark.parametrize("mode", MODES)


def run(target, text, era=ERAS[-1]):
    """Execute a text that must be clean; its result, with trace."""
    result = target.execute(text, era, trace=True)
    assert result.violation is None, result.report()
    return result


def seen(result, op, name):
    """Values of an observable of an op, by the op's index; -1 is boot."""
    return [value for key, value in result.steps[op + 1].obs if key == name]


def delivered(result):
    """Lengths of the skbs that the stack was given, behind the Ethernet header."""
    return [event.a for event in result.events if event.what == "deliver"]


def call(op, **args):
    return f"{op.name}({', '.join(f'{name}={value}' for name, value in args.items())})"


def at_bounds(op, which):
    """The op with every int at its `lo` or `hi`, everything else at its default."""
    ints = {arg.name: getattr(arg, which) for arg in op.args if arg.kind == "int"}
    return call(op, **ints)


FILTERED = "boot(features=VERSION_1|CTRL_RX)\n"
STACK = 1 << 12


def filters(target, text, era):
    """The device's filter after each op."""
    result = run(target, FILTERED + text, era)
    return [seen(result, i, "filter") for i in range(-1, len(result.steps) - 2)]


@every_era
def test_the_device_is_told_the_receive_mode(target, era):
    text = "rx_mode(promisc=1)\nopen()\nrx_mode(allmulti=1, unicast=A|D, multicast=C)\n"
    assert filters(target, text, era) == [[0], [0], [STACK + 1], [STACK + 2 + 0x90 + 0x400]]


@every_era
def test_an_interface_that_is_down_tells_nothing(target, era):
    text = "open()\nclose()\nrx_mode(promisc=1)\nopen()\n"
    # 6.1 sends before it closes, a work item runs when the address of the stack is gone
    closed = STACK if era == "linux-6.1" else 0
    assert filters(target, text, era) == [[0], [STACK], [closed], [closed], [STACK + 1]]


@every_era
def test_late_work_tells_when_it_runs(target, era):
    text = "open()\nrx_mode(promisc=1, late=1)\nstats()\nwork()\n"
    late = STACK + (era == "linux-6.1")
    assert filters(target, text, era) == [[0], [STACK], [late], [late], [STACK + 1]]


def test_a_suspend_cancels_the_work_and_a_resume_asks_for_it(target):
    text = "open()\nrx_mode(promisc=1, late=1)\nfreeze()\nrestore()\n"
    assert filters(target, text, "linux-6.12")[2:] == [[STACK], [0], [STACK + 1]]


@every_era
def test_a_suspend_leaves_no_work_behind(target, era):
    text = "open()\nrx_mode(promisc=1, late=1)\nclose()\nfreeze()\nrestore()\nwork()\nopen()\n"
    assert filters(target, text, era)[-4:] == [[0], [0], [0], [STACK + 1]]


@every_era
def test_what_the_device_refuses_is_not_there(target, era):
    text = "nack(commands=PROMISC|MAC_TABLE)\nopen()\nrx_mode(promisc=1, allmulti=1)\nnack()\n"
    assert filters(target, text, era)[1:] == [[0], [0], [2], [2]]
    again = text + "rx_mode(promisc=1, multicast=A)\n"
    assert filters(target, again, era)[-1] == [STACK + 1 + 0x100]


@every_era
def test_a_device_without_the_feature_is_told_nothing(target, era):
    result = run(target, "boot()\nopen()\nrx_mode(promisc=1) fail(alloc, 1)\n", era)
    assert seen(result, 1, "filter") == []
    assert seen(result, 1, "ret") == [1]


@every_era
@every_op
@pytest.mark.parametrize("profile", ["CONFORMING", "HOSTILE"])
def test_every_op_can_stand_alone(target, op, profile, era):
    """Before open, after it, and twice: an op that makes no sense does nothing."""
    run(target, f"boot(profile={profile})\n{op.name}()\n{op.name}()\nopen()\n{op.name}()", era)


@every_era
@every_op
@pytest.mark.parametrize("which", ["lo", "hi"])
@pytest.mark.parametrize("features", ["0", *MODES.values()])
def test_a_conforming_device_is_clean_at_every_bound(target, op, which, features, era):
    text = f"boot(features={features})\nopen()\n{at_bounds(op, which)}\npoll()\npoll()\nwork()"
    run(target, text, era)


@every_era
@pytest.mark.parametrize("arg", BOOT, ids=lambda arg: arg.name)
@pytest.mark.parametrize("which", ["lo", "hi"])
def test_every_machine_at_its_bounds_comes_up(target, arg, which, era):
    if arg.kind == "int":
        values = [getattr(arg, which)]
    elif arg.kind == "flags":
        values = arg.names if which == "lo" else ["|".join(arg.names)]
    else:
        values = arg.names or (0, 1)
    for value in values:
        result = run(target, f"boot({arg.name}={value})\nopen()\nrx(size=60)\npoll()\nclose()", era)
        assert delivered(result) == [60 - ETH_HLEN]


@pytest.mark.parametrize("name", HOSTILE_ONLY)
def test_a_conforming_device_does_not(target, name):
    for profile, sent in ("CONFORMING", -1), ("HOSTILE", 1):
        result = run(target, f"boot(profile={profile})\nopen()\n{name}()")
        assert seen(result, 1, "sent") == [sent]


@every_mode
@pytest.mark.parametrize("size", [14, 60, 128, 129, 1204, 1205, 1514, 1518])
def test_rx_delivers_what_it_says(target, mode, size):
    for era in ERAS:
        result = run(target, f"boot(features={MODES[mode]})\nopen()\nrx(size={size})\npoll()", era)
        assert delivered(result) == [size - ETH_HLEN]
        assert seen(result, 2, "rx0_bytes") == [size]
        assert seen(result, 2, "rx0_packets") == [1]


@pytest.mark.parametrize("header", HEADERS)
def test_used_lengths_count_the_header(target, header):
    """The shortest frame is the header and 14 bytes; one byte less is a length error."""
    features, length = HEADERS[header]
    boot = f"boot(profile=HOSTILE, features={features})\nopen()\n"
    result = run(target, f"{boot}use(len={length + ETH_HLEN})\nuse(len={length + 13})\npoll()")
    assert delivered(result) == [0]
    assert seen(result, 3, "rx_length_errors") == [1]
    assert seen(result, 3, "rx0_bytes") == [ETH_HLEN]


@pytest.mark.parametrize("size", [9018, 9019])
def test_a_conforming_device_keeps_to_the_mtu(target, size):
    boot = "boot(features=VERSION_1|MTU, ring_order=5, mtu=9000)\n"
    assert delivered(run(target, f"{boot}open()\nrx(size={size})\npoll()")) == [9004]


def test_burst_ends_when_the_ring_is_empty(target):
    result = run(target, "boot(ring_order=2)\nopen()\nburst(count=64, size=100)\npoll()")
    assert seen(result, 1, "sent") == [4]
    assert delivered(result) == [86] * 4


def test_a_queue_is_taken_modulo_the_pairs(target):
    text = "boot(features=MQ, pairs=2)\nopen()\nrx(queue=2, size=99)\nrx(queue=1, size=88)\n"
    result = run(target, f"{text}poll()\npoll(queue=1)")
    assert delivered(result) == [99 - ETH_HLEN, 88 - ETH_HLEN]


def test_a_poll_keeps_to_its_budget(target):
    text = "boot(ring_order=4)\nopen()\nburst(count=5, size=60)\npoll(budget=2)\npoll(budget=0)\n"
    result = run(target, f"{text}poll()\npoll()")
    assert [seen(result, op, "ret") for op in (2, 3, 4, 5)] == [[2], [0], [3], [-1]]


@pytest.mark.parametrize("order", range(2, 6))
def test_a_ring_has_the_size_it_was_given(target, order):
    result = run(target, f"boot(ring_order={order})\nopen()\nresize(ring_order=2)")
    assert seen(result, -1, "rx0_num_free") == [1 << order]
    assert len([event for event in result.events if event.what == "post"]) == (
        (1 << order) + (4 if order > 2 else 0)
    )


@pytest.mark.parametrize(
    ("features", "cls", "fires"),
    [("0", "alloc", True), ("0", "add", True), ("0", "map", False),
     ("ACCESS_PLATFORM", "map", True)],
)
def test_a_fault_hits_its_class_only(target, features, cls, fires):
    result = run(target, f"boot(features={features})\nopen() fail({cls}, 1)\npoll()\nwork()")
    assert any(event.what == "fault" for event in result.events) is fires


@pytest.mark.parametrize("race", RACES[1:])
@pytest.mark.parametrize("name", ["open", "close", "channels", "resize", "freeze", "restore"])
def test_a_race_runs_at_every_point_or_nowhere(target, name, race):
    """At any preemption point of any op, one past the last too, nothing but a clean run."""
    before = {"restore": "freeze()\n", "open": "close()\n"}.get(name, "")
    for at in range(8):
        text = "boot(features=VERSION_1|MQ, ring_order=2, pairs=2)\nopen()\nburst(count=4)\n"
        run(target, f"{text}{before}{name}(race={race}, at={at})\nwork()\npoll()")


def test_nothing_runs_while_suspended(target):
    names = [op.name for op in OPS if op.name not in ("restore", "consume")]
    result = run(target, "boot()\nopen()\nfreeze()\n" + "".join(f"{name}()\n" for name in names))
    assert all(seen(result, op, "ret") == [-1] for op in range(2, 2 + len(names)))


def test_zero_bytes_are_a_program(target):
    """What the binary form makes of nothing: it wraps into the bounds and is clean."""
    for era in ERAS:
        assert target.execute(b"", era).violation is None
        assert target.execute(bytes(SCHEMA.record_size * 8), era).violation is None
