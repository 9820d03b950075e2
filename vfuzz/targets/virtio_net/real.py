# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs as the guest agent does them on the real virtio_net.

`project` turns a program into commands of the module vfuzz_net and system calls (agent.py), or says
why it cannot be done there. `observe` turns an answer into the observables that the model's op has.
EXPLAINED are differences that are known and right: docs/conformance.md has the reasons.

What the kernel does by itself is put into the program, so that model and kernel do the same:
`effective` says what and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfuzz.conform.guest import Guest
from vfuzz.conform.projection import (
    Calls,
    Explained,
    Impossible,
    Observables,
    Projection,
    Step,
)
from vfuzz.program.schema import OpCall, ProgramData
from vfuzz.targets.virtio_net.ops import BOOT, FEATURES, INET_CHECKSUMS, INET_KINDS, SCHEMA

if TYPE_CHECKING:
    from vfuzz.api import Program
    from vfuzz.conform.kernel import Kernel

__all__ = [
    "AGENT", "BEGIN", "CANNOT", "EXPLAINED", "MACHINE", "SKIPPED", "SPOILS",
    "Explained", "Impossible", "Projection", "Shown", "Step", "calls_of", "effective",
    "generated", "guest_of", "label", "observe", "project", "read",
]  # fmt: skip

AGENT = Path(__file__).resolve().with_name("agent.py")
#: Ops that the guest leaves out: no observable of another op depends on them.
SKIPPED = {
    "forward": "forward is done as consume(count=1): what a process sends is another packet"
}
#: Ops that the guest does not do and that others depend on.
#: The other ops of XDP do nothing as long as no program is attached.
CANNOT: dict[str, str] = {
    "xdp": "the agent has no programs to attach",
    "nack": "the agent's device answers every command",
}
#: How a generated program begins mostly.
BEGIN = ("open",)
#: Boot options that are arguments of the guest's kernel.
MACHINE = ()

RX, USE, CONT, BAD_USED, IRQ, KICKS, POLL, BUSY_POLL = 2, 3, 4, 5, 6, 7, 8, 9
GUEST_CSUM = "GUEST_CSUM"
_BITS = {
    "MRG_RXBUF": (15,), "VERSION_1": (32,), "GUEST_CSUM": (1,), "GUEST_TSO4": (7,),
    "GUEST_TSO6": (8,), "GUEST_ECN": (9,), "GUEST_UFO": (10,), "GUEST_USO": (54, 55),
    "HASH_REPORT": (57,), "RSS": (60,), "MTU": (3,), "MQ": (22,), "RING_PACKED": (34,),
    "INDIRECT_DESC": (28,), "EVENT_IDX": (29,), "ACCESS_PLATFORM": (33,),
}  # fmt: skip
_ALWAYS = 1 << 5 | 1 << 17  # MAC, CTRL_VQ
_GSO = {"NONE": 0, "TCPV4": 1, "UDP": 3, "TCPV6": 4, "UDP_L4": 5, "TCPV4_ECN": 0x81,
        "TCPV6_ECN": 0x84, "UDP_ECN": 0x83, "INVALID": 0x7F}  # fmt: skip
_NEEDS = {"TCPV4": "GUEST_TSO4", "TCPV6": "GUEST_TSO6", "UDP": "GUEST_UFO",
          "UDP_L4": "GUEST_USO"}  # fmt: skip
_NEEDS_CSUM, _DATA_VALID = 1, 2
_GOOD_PACKET, _ETH, _VLAN, _IP, _IPV6, _TCP = 1518, 14, 4, 20, 40, 20
_PAGE, _KEY_MAX = 4096, 40
HELD, SETTLE = "held", "settle"
#: Violations of the model after which the real kernel's memory is not what it should be.
SPOILS = ("S1", "S3", "S5", "S6", "S8", "S9", "S10", "S12", "S13", "S14", "S23", "S24")
#: Ops that wait for a scheduled context, so that the kernel polls it first.
_WAITS = ("close", "resize", "freeze", "channels")


EXPLAINED: tuple[Explained, ...] = ()


@dataclass(kw_only=True)
class Shown(Projection):
    """shown: of each op of `program`, what is compared: "all", "ret", "state", "" for nothing."""

    shown: list[str]


_CALLS = Calls(SCHEMA)
calls_of = _CALLS.of
_FEATURE_AT = {name: 1 << i for i, name in enumerate(FEATURES)}
_PROFILES = next(arg for arg in BOOT if arg.name == "profile").names
#: Headers of packets of real protocols, without tags.
_INET_BYTES = {"TCP4": 54, "UDP4": 42, "TCP6": 74, "UDP6": 62, "OPTIONS6": 82, "IPIP": 74,
               "VXLAN": 104, "SCTP": 62}  # fmt: skip
_GSO_NAMES = next(a for op in SCHEMA.ops if op.name == "rx" for a in op.args
                  if a.name == "gso_type").names  # fmt: skip


def guest_of(kernel: Kernel, key: tuple[str, ...]) -> Guest:
    """A guest for the projections with this key: its agent loads the module built with it."""
    module = str(kernel.module("vfuzz_net"))
    return Guest(kernel.image, key, agent_path=AGENT, agent_arguments=(module,))


# ---- the machine ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What boot options mean for a device, as the driver will see it."""

    features: frozenset[str]
    era: str
    pairs: int
    num: int
    mtu: int  # 0: not given

    @property
    def size_max(self) -> int:
        """Of a packet without GSO, from a device that keeps to the rules."""
        return self.mtu + _ETH + _VLAN if self.mtu else _GOOD_PACKET


def _machine(boot: Mapping[str, int], era: str) -> Machine:
    said = {name for name, bit in _FEATURE_AT.items() if boot["features"] & bit}
    if "RING_PACKED" in said:
        said.add("VERSION_1")
    if boot["mtu"] < 68:
        said.discard("MTU")
    said -= {"PREMAPPED", "XDP_CSUM"}
    pairs = boot["pairs"] if said & {"MQ", "RSS"} else 1
    gso = {"GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_UFO"}
    if era != "linux-6.1":
        gso.add("GUEST_USO")
    num = max(4, 1 << boot["ring_order"])
    mtu = boot["mtu"] if "MTU" in said else 0
    if (said & gso or mtu > 1500) and "MRG_RXBUF" not in said:
        frags = 17 if said & gso else -(-mtu // _PAGE)
        while num < frags + 2:
            num *= 2
    return Machine(frozenset(said), era, pairs, num, mtu)


def generated(boot: dict[str, int]) -> dict[str, int]:
    """A random boot record as a real machine can be; few have a key that the driver refuses, for
    then there is nothing to compare."""
    key = boot["rss_max_key_size"]
    if key % 8:
        key %= _KEY_MAX + 1
    return {**_possible(boot), "rss_max_key_size": key}


def _possible(boot: Mapping[str, int]) -> dict[str, int]:
    """Boot options without what these kernels have not."""
    none = _FEATURE_AT["PREMAPPED"] | _FEATURE_AT["XDP_CSUM"]
    return {**boot, "swiotlb": 0, "features": boot["features"] & ~none}


def _boot(boot: Mapping[str, int], machine: Machine) -> dict[str, int]:
    """Boot options without what the real machine has not."""
    fixed = _possible(boot)
    if "MQ" not in machine.features:
        fixed["cpus"] = 1  # the guest has one, and only with MQ can the user ask for more queues
    return fixed


# ---- what model and kernel both do ---------------------------------------------------------------


def effective(program: Program, era: str) -> tuple[Program, list[str], list[str]]:
    """What the kernel does of a program, and of each op how it is done and what is shown of it.

    A poll and the refill work race with nothing here (`race`): the guest has one processor, and
    its kernel is not preempted. A user who takes NAPI away waits for a scheduled context: polls
    stand before `close`, `resize`, `freeze` and `channels`. Refill work is never put off:
    `channels` and `restore` have `work` behind them, and the polls of contexts that it switched
    on again. How: "" as it is, HELD not at all, SETTLE when the kernel has done all of it, or a
    reason of SKIPPED.
    """
    schema = program.target.schema
    machine = _machine(program.boot, era)
    names = [arg.name for arg in schema.boot]
    boot = _boot(program.boot, machine)
    poll = [schema.call("poll", queue=q) for q in range(machine.pairs)]
    ops: list[OpCall] = []
    how: list[str] = []
    shown: list[str] = []

    def put(op: OpCall, way: str = "", show: str = "all") -> None:
        ops.append(op)
        how.append(way)
        shown.append(show)

    frozen = False
    there = not (machine.features & {"RSS", "HASH_REPORT"} and boot["rss_max_key_size"] > _KEY_MAX)
    for op in program.data.ops:
        name, args, _ = _CALLS.named(op.kind, op.args)
        if "race" in args:
            op = replace(op, args=tuple({**args, "race": 0, "at": 0}.values()))
        if name == "inet":
            put(schema.call("rx", **_plain(args)))
            continue
        if name == "forward":
            put(schema.call("consume", count=1), SKIPPED[name])
            continue
        acts = there and frozen == (name == "restore")
        if name in _WAITS and acts:
            for each in poll:
                put(each)
                put(each)  # it may have been scheduled again meanwhile
        if not acts or name not in ("channels", "restore"):
            put(op)
            frozen = frozen or (name == "freeze" and there)
            continue
        put(op, "", "ret")
        if name == "restore":
            frozen = False
            for each in poll:
                put(each, HELD, "")
        put(schema.call("work"), HELD, "")
        for each in poll[:-1]:
            put(each, HELD, "")
        put(poll[-1], SETTLE, "state")
    data = ProgramData(tuple(boot[name] for name in names), tuple(ops[: schema.max_ops]))
    n = len(data.ops)
    return program.target.program(data), how[:n], shown[:n]


def _hashes(machine: Machine, boot: Mapping[str, int]) -> bool:
    """Does the user switch receive hashing on? Not where 6.1 would send a table that is not there:
    what comes of that is the control queue's, which the model does not have."""
    has = machine.features
    if "RXHASH" not in has or not has & {"RSS", "HASH_REPORT"}:
        return False
    table = "RSS" in has and boot["rss_max_indirection_table_length"] > 0
    return table or machine.era != "linux-6.1"


def project(program: Program, era: str, quirks: tuple[str, ...] = ()) -> Shown:
    """The program for a guest of this era. Raises Impossible.

    quirks  that the model has
    """
    if any(op.fail for op in program.data.ops):
        # a failure that does not happen, nothing having been there that could fail, is none
        asked = program.target.execute(program, era, quirks, trace=True)
        assert asked.raw_trace is not None
        fired = {event[0] for event in asked.raw_trace[1] if event[1] == "fault"}
        ops = tuple(
            op if i in fired else replace(op, fail=None) for i, op in enumerate(program.data.ops)
        )
        program = program.target.program(ProgramData(program.data.boot, ops))
    real, how, shown = effective(program, era)
    boot = real.boot
    machine = _machine(boot, era)
    conforming = _PROFILES[boot["profile"]] == "CONFORMING"
    features = _ALWAYS
    for name in machine.features:
        for bit in _BITS.get(name, ()):
            features |= 1 << bit
    # what spoils the kernel's memory would be seen in programs that come later
    ran = program.target.execute(real, era, quirks, trace=True)
    violation = ran.violation
    found = [violation]
    if quirks and violation is not None:
        # the quirk's violation may hide one of the kernel as it is, in the same op
        found.append(program.target.execute(real, era).violation)
    spoilt = min((v.op for v in found if v is not None and v.check in SPOILS), default=None)
    steps: list[tuple[Any, ...]] = []
    skipped: dict[int, str] = {}
    cut = None
    for i, call in enumerate(calls_of(real)):
        why = "a failure is injected" if call.fail is not None else CANNOT.get(call.name)
        if why is None and spoilt is not None and i >= spoilt:
            why = "the model found that it spoils memory"
        if why is not None:
            cut = (i, why)
            break
        if violation is not None and i > violation.op:
            break  # the model does not know what is there, and it may spoil memory
        if how[i] in SKIPPED.values():
            skipped[i] = how[i]
        steps.append(_action(call, how[i], machine, conforming))
    payload = {
        "plug": (features & 0xFFFFFFFF, features >> 32, boot["pairs"], machine.num, machine.mtu,
                 boot["rss_max_key_size"], boot["rss_max_indirection_table_length"],
                 int(conforming)),
        "order": str(int(bool(boot["high_order_alloc_disable"]))),
        "rxhash": _hashes(machine, boot),
        "channels": min(machine.pairs, boot["cpus"]) if "MQ" in machine.features else 1,
        "open": boot["race"] != 0,
        "steps": steps,
    }  # fmt: skip
    return Shown(
        key=(), payload=payload, program=real, result=ran, skipped=skipped, cut=cut, shown=shown
    )


def _plain(args: Mapping[str, int]) -> dict[str, int]:
    """A packet of a real protocol as one of the same size and header, which is all that a driver
    without a program looks at."""
    kind = INET_KINDS[args["kind"]]
    size = _INET_BYTES[kind] + _VLAN * args["vlans"] + args["payload"]
    gso = {"TCP4": "TCPV4", "TCP6": "TCPV6"}.get(kind, "NONE") if args["gso_size"] else "NONE"
    flags = {"PARTIAL": _NEEDS_CSUM, "VALID": _DATA_VALID}.get(INET_CHECKSUMS[args["checksum"]], 0)
    return {"queue": args["queue"], "size": size, "flags": flags, "gso_type": _GSO_NAMES.index(gso),
            "gso_size": args["gso_size"]}  # fmt: skip


# ---- ops -----------------------------------------------------------------------------------------


def _rx(args: dict[str, int], machine: Machine, conforming: bool) -> tuple[int, ...]:
    """A packet as the device sends it: one that keeps to the rules corrects what is asked for."""
    has = machine.features
    size, flags, kind = args["size"], args["flags"], _GSO_NAMES[args["gso_type"]]
    start, offset, gso_size = args["csum_start"], args["csum_offset"], args["gso_size"]
    report = args["hash_report"]
    if conforming:
        if kind in ("INVALID", "UDP_ECN"):
            kind = "NONE"
        if GUEST_CSUM not in has:
            flags, kind = 0, "NONE"
        flags &= _NEEDS_CSUM | _DATA_VALID
        if kind.endswith("_ECN") and "GUEST_ECN" not in has:
            kind = "NONE"
        needed = _NEEDS.get(kind.removesuffix("_ECN"))
        if needed is not None and needed not in has:
            kind = "NONE"
        if kind == "UDP_L4" and machine.era == "linux-6.1":
            kind = "NONE"
        limit = machine.size_max
        if kind != "NONE":
            limit = 65535 + _ETH
            size = max(size, 90)
            flags |= _NEEDS_CSUM
            gso_size = min(max(gso_size, 536), 65000)
            start = _ETH + (_IPV6 if kind.startswith("TCPV6") else _IP)
            offset = 6 if kind.startswith("UDP") else 16
        elif flags & _NEEDS_CSUM:
            start, offset = _ETH + _IP, 16
            if size < start + _TCP:
                flags &= ~_NEEDS_CSUM
        size = min(size, limit)
        if "HASH_REPORT" not in has:
            report = 0
    return (args["queue"], 1, size, flags, _GSO[kind], gso_size if kind != "NONE" else 0, start,
            offset, report)  # fmt: skip


def _action(call: Step, how: str, machine: Machine, conforming: bool) -> tuple[Any, ...]:
    """One op as an action of the agent."""
    name, args = call.name, call.args
    if how in (HELD, SETTLE):
        return ("settle",) if how == SETTLE else ("nop",)
    if name == "rx":
        return ("do", RX, *_rx(args, machine, conforming))
    if name == "burst":
        size = min(args["size"], machine.size_max) if conforming else args["size"]
        return ("do", RX, args["queue"], args["count"], size)
    if name == "use":
        return ("do", USE, args["queue"], args["pick"], args["len"], args["flags"],
                _GSO[_GSO_NAMES[args["gso_type"]]], args["gso_size"], _ETH + _IP, 16, args["dry"],
                args["num_buffers"])  # fmt: skip
    if name == "cont":
        return ("do", CONT, args["queue"], args["pick"], args["len"], args["count"])
    if name == "bad_used":
        return ("do", BAD_USED, args["queue"], args["id"], args["len"])
    if name == "irq":
        return ("do", IRQ, args["queue"])
    if name == "kicks":
        return ("do", KICKS, args["queue"], args["on"])
    if name in ("poll", "busy_poll"):
        return ("do", POLL if name == "poll" else BUSY_POLL, args["queue"], args["budget"])
    if name == "consume":
        return ("consume", args["count"])
    if name == "channels":
        return ("channels", args["pairs"])
    if name == "resize":
        num = 1 << args["ring_order"]
        return ("resize", max(num, _least(machine)))
    if name in ("open", "close", "freeze", "restore", "stats"):
        return (name,)
    return ("nop",)


def _least(machine: Machine) -> int:
    """Descriptors of the smallest ring that holds a buffer."""
    small = _machine(
        {"features": sum(_FEATURE_AT[name] for name in machine.features), "mtu": machine.mtu,
         "ring_order": 0, "pairs": 1}, machine.era,
    )  # fmt: skip
    return small.num


# ---- observables ---------------------------------------------------------------------------------

_RET = {
    **dict.fromkeys(("rx", "burst", "use", "cont", "bad_used"), "sent"),
    **dict.fromkeys(("poll", "busy_poll", "open", "close", "channels", "resize", "freeze",
                     "restore"), "ret"),
    "consume": "freed",
}  # fmt: skip
_NAMES_OF = [
    tuple(
        f"rx{q}_{name}"
        for name in ("num_free", "avail", "held", "lens", "notified", "scheduled", "qpackets",
                     "qbytes", "packets", "bytes", "drops", "kicks")
    )
    for q in range(3)
]  # fmt: skip
_NONE = (1 << 64) - 1
_IFINDEX, _WRONG, _PACKETS, _LENGTH, _FRAME, _QUEUES = 0, 1, 2, 3, 4, 5


def _state(answer: Any) -> dict[str, int]:
    _, look, stats, got = answer
    if look is None:
        return {}
    if not look[_IFINDEX]:
        return _packets(got)
    seen = {"rx_length_errors": look[_LENGTH], "rx_frame_errors": look[_FRAME], **_packets(got)}
    for q in range(3):
        values = look[_QUEUES + 8 * q : _QUEUES + 8 * q + 8]
        seen |= zip(_NAMES_OF[q], (*values, *stats[4 * q : 4 * q + 4]), strict=False)
        for name in ("packets", "bytes"):  # 6.12 tells them apart from the others
            if stats and seen.get(f"rx{q}_{name}") is None:
                seen[f"rx{q}_{name}"] = seen[f"rx{q}_q{name}"]
        for name in ("notified", "qpackets", "qbytes"):
            del seen[f"rx{q}_{name}"]
    return {name: value for name, value in seen.items() if value not in (None, _NONE)}


def _packets(got: tuple[int, int, int]) -> dict[str, int]:
    number, data, meta = got
    return {"pkts": number, "pkt_bytes": data, "pkt_meta": meta} if number else {"pkts": 0}


def observe(call: Step, answer: Any, show: str = "all") -> dict[str, int]:
    """What the kernel said of an op, by the names that the model has."""
    if not show:
        return {}
    ret = answer[0]
    seen = {}
    if answer[1] is None:
        return {"ret": ret}
    if call.name in _RET and ret is not None and show != "state":
        seen[_RET[call.name]] = ret
    if show != "ret":
        seen |= _state(answer)
        if call.name == "stats" and answer[1][_IFINDEX]:
            seen["packets"] = answer[1][_PACKETS]
    return seen


def read(projection: Shown, answer: Any) -> Observables:
    """What boot left, each op, and the packets that were there at the end."""
    made, answers = answer[0], answer[1]
    calls = calls_of(projection.program)
    seen = [
        observe(call, got, show)
        for call, got, show in zip(calls, answers[1:], projection.shown, strict=False)
    ]
    first = {"probe": made, **(_state(answers[0]) if made == 0 else {})}
    return first, seen, _packets(answer[4])


def label(call: Step) -> str:
    """The op in signatures."""
    return call.name
