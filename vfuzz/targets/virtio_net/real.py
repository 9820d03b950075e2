# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs as the guest agent does them on the real virtio_net.

`project` turns a program into commands of the module vfuzz_net and system calls (agent.py), or says
why it cannot be done there. `observe` turns an answer into the observables that the model's op has.
EXPLAINED are differences that are known and right: docs/conformance.md has the reasons.

What the kernel does by itself is put into the program, so that model and kernel do the same:
`effective` says what and why.
"""

from __future__ import annotations

import functools
from collections.abc import Container, Mapping, Sequence
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
    "AGENT", "BEGIN", "CANNOT", "EXPLAINED", "LEAKS", "MACHINE", "SKIPPED", "SPOILS",
    "Explained", "Impossible", "Projection", "Shown", "Step", "calls_of", "effective",
    "generated", "guest_of", "label", "left_out", "observe", "project", "read",
]  # fmt: skip

AGENT = Path(__file__).resolve().with_name("agent.py")
#: Ops that the guest leaves out: no observable of another op depends on them.
SKIPPED = {
    "forward": "forward is done as consume(count=1): what a process sends is another packet",
}
#: How often a queue whose fill ring is empty is refilled then is chance: the work switches NAPI on,
#: whose poll finds nothing either and asks for the work.
CHASE = "refill work runs, and of a socket without chunks it and NAPI ask for each other for ever"
#: Ops that the guest does not do and that others depend on.
CANNOT: dict[str, str] = {}
_OF_SOCKETS = ("xsk_bind", "xsk_unbind", "xsk_fill", "xsk_take", "xsk_wakeup")
#: How a generated program begins mostly.
BEGIN = ("open",)
#: Boot options that many programs in a row have alike: none is dear to change.
MACHINE = ()

RX, USE, CONT, BAD_USED, IRQ, KICKS, POLL, BUSY_POLL = 2, 3, 4, 5, 6, 7, 8, 9
NACK, XMIT, SENT, RELEASE, BREAK = 15, 16, 17, 18, 20
_BITS = {
    "MRG_RXBUF": (15,), "VERSION_1": (32,), "GUEST_CSUM": (1,), "GUEST_TSO4": (7,),
    "GUEST_TSO6": (8,), "GUEST_ECN": (9,), "GUEST_UFO": (10,), "GUEST_USO": (54, 55),
    "HASH_REPORT": (57,), "RSS": (60,), "MTU": (3,), "MQ": (22,), "RING_PACKED": (34,),
    "INDIRECT_DESC": (28,), "EVENT_IDX": (29,), "ACCESS_PLATFORM": (33,),
    "CTRL_GUEST_OFFLOADS": (2,), "CTRL_RX": (18,),
}  # fmt: skip
_ALWAYS = 1 << 5 | 1 << 17  # MAC, CTRL_VQ
_GSO = {"NONE": 0, "TCPV4": 1, "UDP": 3, "TCPV6": 4, "UDP_L4": 5, "TCPV4_ECN": 0x81,
        "TCPV6_ECN": 0x84, "UDP_ECN": 0x83, "INVALID": 0x7F}  # fmt: skip
_NEEDS_CSUM, _DATA_VALID = 1, 2
_ACTIONS = {"PASS": 2, "DROP": 1, "ABORTED": 0, "INVALID": 5, "TX": 3, "REDIRECT": 4}
_GOOD_PACKET, _ETH, _VLAN, _IP = 1518, 14, 4, 20
_PAGE, _KEY_MAX = 4096, 40
HELD, SETTLE = "held", "settle"
#: Violations of the model after which the real kernel's memory is not what it should be, or at
#: which the kernel ends (S11) or warns (S16) by itself.
SPOILS = ("S1", "S3", "S5", "S6", "S8", "S9", "S10", "S11", "S12", "S13", "S14", "S16", "S23",
          "S24", "S40")  # fmt: skip
#: Checks whose violations at the end say that something was not given back.
LEAKS = ("S2", "S21", "S24")
#: Violations of the model in whose op the kernel stays for ever: all that is left is a dead guest.
ENDLESS = ("S45@poll_cleantx:loop", "S46@refill_work:after_resize")
#: Ops that wait for a scheduled context, so that the kernel polls it first.
_WAITS = ("close", "resize", "freeze", "channels", "xdp", "xsk_bind", "xsk_unbind")
#: Ops of programs that need one attached.
_XDP = ("xdp", "xmit")


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
_ACTION_NAMES = next(a for op in SCHEMA.ops if op.name == "verdict" for a in op.args
                     if a.name == "action").names  # fmt: skip


def guest_of(kernel: Kernel, key: tuple[str, ...]) -> Guest:
    """A guest for the projections with this key: its agent loads the module built with it."""
    module = str(kernel.module("vfuzz_net"))
    return Guest(kernel.image, key, agent_path=AGENT, agent_arguments=(module,))


# ---- the machine ---------------------------------------------------------------------------------


#: Bytes that the first page of a big buffer has room for, and MAX_SKB_FRAGS of them.
_BIG_PACKET = 69_600


@dataclass(frozen=True)
class Machine:
    """What boot options mean for a device, as the driver will see it."""

    features: frozenset[str]
    era: str
    pairs: int
    num: int
    mtu: int  # 0: not given
    sockets: bool  # AF_XDP sockets can have zero copy

    def works(self, name: str) -> bool:
        """May this op end in refill work? 7.2 has none: its polls come again instead."""
        return self.era != "linux-7.2" and (
            name in ("channels", "restore") or (name == "xdp" and "MQ" in self.features)
        )

    @property
    def size_max(self) -> int:
        """Of a packet without GSO, from a device that keeps to the rules."""
        return self.mtu + _ETH + _VLAN if self.mtu else _GOOD_PACKET


def _machine(boot: Mapping[str, int], era: str) -> Machine:
    said = {name for name, bit in _FEATURE_AT.items() if boot["features"] & bit}
    sockets = era == "linux-7.2" or (era == "linux-6.12" and "XSK_ZC" in said)
    if "RING_PACKED" in said:
        said.add("VERSION_1")
    if boot["mtu"] < 68:
        said.discard("MTU")
    said -= {"PREMAPPED", "XDP_CSUM", "XSK_ZC"}
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
    return Machine(frozenset(said), era, pairs, num, mtu, sockets)


def generated(boot: dict[str, int]) -> dict[str, int]:
    """A random boot record as a real machine can be; few have a key that the driver refuses, for
    then there is nothing to compare."""
    key = boot["rss_max_key_size"]
    if key % 8:
        key %= _KEY_MAX + 1
    return {**_possible(boot), "rss_max_key_size": key}


def left_out(boot: Mapping[str, int]) -> Container[str]:
    """Ops that a generated program does not have, whatever the machine: they are skipped."""
    return SKIPPED.keys()


def _possible(boot: Mapping[str, int]) -> dict[str, int]:
    """Boot options without what these kernels have not."""
    none = _FEATURE_AT["PREMAPPED"] | _FEATURE_AT["XDP_CSUM"]
    return {**boot, "swiotlb": 0, "features": boot["features"] & ~none}


def _boot(boot: Mapping[str, int], machine: Machine, xdp: bool) -> dict[str, int]:
    """Boot options without what the real machine has not, and with what it has."""
    fixed = _possible(boot)
    if machine.era == "linux-7.2":
        # a device to map for, which the pools have and AF_XDP asks for
        fixed["features"] |= _FEATURE_AT["PREMAPPED"]
    if "MQ" not in machine.features or xdp:
        # the guest has one, by which the driver counts queues for XDP; else, and only with MQ, can
        # the user ask for more queues, as if there were more
        fixed["cpus"] = 1
    return fixed


# ---- what model and kernel both do ---------------------------------------------------------------


def effective(program: Program, era: str) -> tuple[Program, list[str], list[str]]:
    """What the kernel does of a program, and of each op how it is done and what is shown of it.

    A poll and the refill work race with nothing here (`race`): the guest has one processor, and
    its kernel is not preempted. A user who takes NAPI away waits for a scheduled context: polls
    stand before `close`, `resize`, `freeze`, `channels`, `xdp`, `xsk_bind`, `xsk_unbind` and, with
    sockets, `work`. Refill work is not put off behind `channels`, `restore` and with MQ `xdp`: they
    have `work` behind them, and the polls of contexts that were switched on again. How: "" as it
    is, HELD not at all, SETTLE when the kernel has done all of it, or why it does not.
    """
    schema = program.target.schema
    machine = _machine(program.boot, era)
    names = [arg.name for arg in schema.boot]
    called = [_CALLS.named(op.kind, op.args)[0] for op in program.data.ops]
    boot = _boot(program.boot, machine, any(name in _XDP for name in called))
    poll = [schema.call("poll", queue=q) for q in range(machine.pairs)]
    ops: list[OpCall] = []
    how: list[str] = []
    shown: list[str] = []

    def put(op: OpCall, way: str = "", show: str = "all") -> None:
        ops.append(op)
        how.append(way)
        shown.append(show)

    frozen = bound = False
    refills = machine.sockets and era != "linux-7.2" and "xsk_bind" in called
    # 7.2 takes the first bytes of a key that is too long
    there = era == "linux-7.2" or not (
        machine.features & {"RSS", "HASH_REPORT"} and boot["rss_max_key_size"] > _KEY_MAX
    )
    n = 0  # ops that are there whole, with what stands around them
    for op in program.data.ops:
        if len(ops) > schema.max_ops:
            break
        n = len(ops)
        name, args, _ = _CALLS.named(op.kind, op.args)
        if "race" in args:
            op = replace(op, args=tuple({**args, "race": 0, "at": 0}.values()))
        if name == "rx_mode":
            # nor is the work of the receive mode
            op = replace(op, args=tuple({**args, "late": 0}.values()))
        if name == "inet":
            put(schema.call("rx", **_plain(args)))
            continue
        if name == "forward":
            put(schema.call("consume", count=1), SKIPPED[name])
            continue
        bound = bound or (name == "xsk_bind" and machine.sockets)
        acts = there and frozen == (name == "restore")
        works = machine.works(name)
        if (name in _WAITS or (name == "work" and refills)) and acts:
            for each in poll:
                put(each)
                put(each)  # it may have been scheduled again meanwhile
        if not acts or not works:
            put(op)
            if acts and name in ("freeze", "restore"):
                frozen = name == "freeze"
            continue
        put(op, CHASE if bound else "", "ret")
        if name != "channels":
            frozen = False
            for each in poll:
                put(each, HELD, "")
        put(schema.call("work"), HELD, "")
        for each in poll[:-1]:
            put(each, HELD, "")
        put(poll[-1], SETTLE, "state")
    if len(ops) <= schema.max_ops:
        n = len(ops)
    data = ProgramData(tuple(boot[name] for name in names), tuple(ops[:n]))
    # its arguments are looked at when it is encoded, to be executed
    return type(program)(program.target, data), how[:n], shown[:n]


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
    calls = calls_of(real)
    boot = real.boot
    machine = _machine(boot, era)
    conforming = _PROFILES[boot["profile"]] == "CONFORMING"
    features = _ALWAYS
    for name in machine.features:
        for bit in _BITS.get(name, ()):
            features |= 1 << bit
    # what spoils the kernel's memory would be seen in programs that come later
    ran = program.target.execute(real, era, quirks, trace=True, events=CHASE in how)
    violation = ran.violation
    found = [violation]
    if quirks and violation is not None:
        # the quirk's violation may hide one of the kernel as it is, in the same op
        found.append(program.target.execute(real, era).violation)
    spoilt = min((v.op for v in found if v is not None and v.check in SPOILS), default=None)
    endless = min((v.op for v in found if v is not None and v.signature in ENDLESS), default=None)
    deadly = violation is not None and any(
        _deadly(call, machine) for call in calls[: violation.op]
    )
    steps: list[tuple[Any, ...]] = []
    skipped: dict[int, str] = {}
    cut = None
    for i, call in enumerate(calls):
        why = "a failure is injected" if call.fail is not None else CANNOT.get(call.name)
        if why is None and how[i] == CHASE and _asked_again(ran, calls, how, i):
            why = CHASE
        if why is None and spoilt is not None and i >= spoilt:
            why = "the model found that it spoils memory"
        if why is None and endless is not None and i >= endless:
            why = "the model found that it never ends"
        if why is None and deadly and violation is not None and i >= violation.op:
            # the model ends with the first packet that is wrong, the kernel goes on
            why = "behind what the model found may be a packet that the kernel does not survive"
        if why is not None:
            cut = (i, why)
            break
        if violation is not None and i > violation.op:
            break  # the model does not know what is there, and it may spoil memory
        if how[i] in SKIPPED.values():
            skipped[i] = how[i]
        steps.append(_action(call, how[i], machine))
    payload = {
        "plug": (features & 0xFFFFFFFF, features >> 32, boot["pairs"], machine.num, machine.mtu,
                 boot["rss_max_key_size"], boot["rss_max_indirection_table_length"],
                 int(conforming), int(machine.sockets)),
        "order": str(int(bool(boot["high_order_alloc_disable"]))),
        "rxhash": _hashes(machine, boot),
        "channels": min(machine.pairs, boot["cpus"]) if "MQ" in machine.features else 1,
        "open": boot["race"] != 0,
        "counts": era != "linux-7.2",  # there heads and fill rings are counted in other ways
        "steps": steps,
    }  # fmt: skip
    return Shown(
        key=(), payload=payload, program=real, calls=calls, result=ran, skipped=skipped, cut=cut,
        shown=shown,
    )


def _asked_again(ran: Any, calls: Sequence[Step], how: list[str], at: int) -> bool:
    """Does what follows an op, the refill work and its polls, ask for the refill work again?"""
    last = how.index(SETTLE, at)
    work = next(i for i in range(at, last) if calls[i].name == "work")
    return any(
        work <= event[0] <= last
        for event in ran.raw_trace[1]
        if event[1:3] == ("schedule", "work")
    )


def _deadly(call: Step, machine: Machine) -> bool:
    """May a program do to small buffers by this verdict what the kernel ends or warns at: grow a
    packet beyond its buffer, or send one whose frame 7.2 does not find again? Or is this a packet
    of big buffers that is longer than all of its fragments (R01)?"""
    if "MRG_RXBUF" in machine.features:
        return False
    if max(call.args.get("len", 0), call.args.get("size", 0)) > _BIG_PACKET:
        return True
    if call.name != "verdict":
        return False
    sends = call.args["action"] == _ACTION_NAMES.index("TX")
    basic = not machine.features & {"VERSION_1", "HASH_REPORT"}
    return bool(call.args["grow"]) or (sends and basic and machine.era == "linux-7.2")


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


def _action(call: Step, how: str, machine: Machine) -> tuple[Any, ...]:
    """One op as an action of the agent."""
    name, args = call.name, call.args
    if how in (HELD, SETTLE):
        return ("settle",) if how == SETTLE else ("nop",)
    if name == "rx":
        # a device that keeps to the rules corrects what is asked for (device.h)
        return ("do", RX, args["queue"], 1, args["size"], args["flags"],
                _GSO[_GSO_NAMES[args["gso_type"]]], args["gso_size"], args["csum_start"],
                args["csum_offset"], args["hash_report"])  # fmt: skip
    if name == "burst":
        return ("do", RX, args["queue"], args["count"], args["size"])
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
        return ("channels", args["pairs"], machine.works(name))
    if name == "resize":
        num = 1 << args["ring_order"]
        return ("resize", max(num, _least(machine)))
    if name == "restore":
        return ("restore", machine.works(name))
    if name in ("open", "close", "freeze", "stats"):
        return (name,)
    if name == "xdp":
        return ("xdp", args["prog"], machine.works(name))
    if name == "verdict":
        return ("verdict", _ACTIONS[_ACTION_NAMES[args["action"]]], args["target"], args["count"],
                args["push"], args["pull"], args["grow"], args["trim"], args["meta"],
                args["write"])  # fmt: skip
    if name == "xmit":
        return ("do", XMIT, args["count"], args["size"], args["headroom"])
    if name in ("sent", "release", "nack"):
        number = {"sent": SENT, "release": RELEASE, "nack": NACK}[name]
        return ("do", number, *args.values())
    if name == "rx_mode":
        return ("rx_mode", args["promisc"], args["allmulti"], args["unicast"], args["multicast"])
    if name == "break_device":
        return ("do", BREAK)
    if name == "work" and machine.sockets:
        return ("work",)
    if name in _OF_SOCKETS:
        return _of_socket(name, args, machine)
    return ("nop",)


def _of_socket(name: str, args: Mapping[str, int], machine: Machine) -> tuple[Any, ...]:
    """An op of AF_XDP."""
    start = ("xsk", name.removeprefix("xsk_"), args["queue"] % machine.pairs)
    if name == "xsk_bind":
        return (*start, 2048 << args["chunk"], args["headroom"], args["chunks"],
                1 << args["rx_order"], args["filled"], bool(args["need_wakeup"]))  # fmt: skip
    if name == "xsk_fill":
        return (*start, args["count"], bool(args["wrong"]))
    return (*start, args["count"]) if name == "xsk_take" else start


def _least(machine: Machine) -> int:
    """Descriptors of the smallest ring that holds a buffer."""
    small = _machine(
        {"features": sum(_FEATURE_AT[name] for name in machine.features), "mtu": machine.mtu,
         "ring_order": 0, "pairs": 1}, machine.era,
    )  # fmt: skip
    return small.num


# ---- observables ---------------------------------------------------------------------------------

_RET = {
    **dict.fromkeys(("rx", "burst", "use", "cont", "bad_used", "sent"), "sent"),
    **dict.fromkeys(("poll", "busy_poll", "open", "close", "channels", "resize", "freeze",
                     "restore", "xdp", "verdict", "xmit", "nack", "break_device", "rx_mode",
                     "work", *_OF_SOCKETS),
                    "ret"),
    **dict.fromkeys(("consume", "release"), "freed"),
}  # fmt: skip
#: Of each queue: what the module says of it, then its statistics (agent.RX_STATS, TX_STATS).
_LOOKED = ("rx_num_free", "rx_avail", "rx_held", "rx_lens", "rx_notified", "rx_scheduled",
           "rx_qpackets", "rx_qbytes", "tx_num_free", "tx_held", "tx_qpackets",
           "tx_qbytes")  # fmt: skip
_COUNTED = ("rx_packets", "rx_bytes", "rx_drops", "rx_kicks", "xdp_packets", "xdp_tx",
            "xdp_redirects", "xdp_drops", "tx_packets", "tx_bytes", "tx_xdp_tx", "tx_xdp_tx_drops",
            "tx_kicks")  # fmt: skip
_NAMES_OF = [
    tuple(name if name.startswith("xdp") else f"{name[:2]}{q}{name[2:]}"
          for name in _LOOKED + _COUNTED)
    for q in range(3)
]  # fmt: skip
_SUMS = tuple(name for name in _COUNTED if name.startswith("xdp"))
_NONE = (1 << 64) - 1
QUEUES_MAX = 4096  # states of queues that are remembered
_IFINDEX, _WRONG, _PACKETS, _LENGTH, _FRAME, _CRC, _BYTES, _RX_QUEUES, _FILTER, _QUEUES = range(10)
_COUNTS = ("pkt_mem", "xsk_dropped", "xsk_full", "xsk_empty", "xsk_invalid")


def _state(answer: Any) -> dict[str, int]:
    _, look, stats, got = answer[:4]
    if look is None:
        return {}
    if not look[_IFINDEX]:
        return _packets(got)
    seen = {"rx_length_errors": look[_LENGTH], "rx_frame_errors": look[_FRAME],
            "rx_queues": look[_RX_QUEUES], **_packets(got)}  # fmt: skip
    if len(answer) > 4 and answer[4]:  # of commands that were given together the last one has it
        seen |= zip(_COUNTS, answer[4], strict=False)
    if look[_FILTER] != _NONE:
        seen["filter"] = look[_FILTER]
    sums = [0] * len(_SUMS)
    whole = bool(stats)
    n, m = len(_LOOKED), len(_COUNTED)
    for q in range(3):
        there, complete, its = _of_queue(q, look[_QUEUES + n * q : _QUEUES + n * q + n],
                                         stats[m * q : m * q + m])  # fmt: skip
        seen |= there
        whole = whole and complete
        if its:
            sums = [a + b for a, b in zip(sums, its, strict=True)]
    if whole:
        seen |= zip(_SUMS, sums, strict=True)
    return seen


@functools.lru_cache(maxsize=QUEUES_MAX)
def _of_queue(
    q: int, values: tuple[int, ...], stats: tuple[int | None, ...]
) -> tuple[dict[str, int], bool, list[int]]:
    """What is there of a queue, which mostly is as it was; whether ethtool says all of it; its part
    of the sums, empty where it has none."""
    seen: dict[str, int | None] = dict(zip(_NAMES_OF[q], (*values, *stats), strict=False))
    for kind in ("rx", "tx"):
        for name in ("packets", "bytes"):  # 6.12 tells them apart from the others
            if stats and seen.get(f"{kind}{q}_{name}") is None:
                seen[f"{kind}{q}_{name}"] = seen[f"{kind}{q}_q{name}"]
            del seen[f"{kind}{q}_q{name}"]
    del seen[f"rx{q}_notified"]
    # of a queue out of use ethtool -S says nothing; one that is there has a digest
    complete = not (seen[f"rx{q}_lens"] and seen.get("xdp_drops") is None)
    sums = [seen.pop(name, None) or 0 for name in _SUMS]
    there = {name: value for name, value in seen.items() if value is not None and value != _NONE}
    return there, complete, sums if any(sums) else []


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
        if call.name in ("sent", "release"):
            seen |= {"frame_bytes": answer[1][_BYTES], "frame_crc": answer[1][_CRC]}
        if len(answer) > 5 and answer[5]:
            fill, ready, wakeup, size, data, places = answer[5]
            seen |= {"fill": fill, "ready": ready, "wakeup": wakeup}
            if call.name == "xsk_take" and ret:
                seen |= {"taken_bytes": size, "taken_crc": data, "taken_at": places}
    return seen


def read(projection: Shown, answer: Any) -> Observables:
    """What boot left, each op, and the packets that were there at the end."""
    made, answers = answer[0], answer[1]
    seen = [
        observe(call, got, show)
        for call, got, show in zip(projection.calls, answers[1:], projection.shown, strict=False)
    ]
    first = {"probe": made, **(_state(answers[0]) if made == 0 else {})}
    return first, seen, _packets(answer[4])


def label(call: Step) -> str:
    """The op in signatures."""
    return call.name
