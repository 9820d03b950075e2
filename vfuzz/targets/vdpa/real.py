# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs as the guest agent does them on a real vhost_vdpa with vdpa_sim_net.

`project` turns a program into actions of conform/agent.py, or says why it cannot be done there.
`observe` turns an answer into the observables that the model's op has. EXPLAINED are differences
that are known and right: docs/conformance.md has the reasons.
"""

from __future__ import annotations

import errno
import functools
import struct
import sys
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vfuzz.conform import agent
from vfuzz.conform.guest import Guest
from vfuzz.conform.projection import (
    Calls,
    Explained,
    Impossible,
    Observables,
    Projection,
    Step,
)
from vfuzz.targets.vdpa import _core
from vfuzz.targets.vdpa.ops import BOOT, FEATURES, GETS, PARENTS, RING_OPS, SCHEMA, VDUSE_OPS
from vfuzz.targets.vdpa.repro import AREA, BY_ALL, U64, words

if TYPE_CHECKING:
    from vfuzz.api import Program, Violation
    from vfuzz.conform.kernel import Kernel

__all__ = [
    "BEGIN", "BOOT_FIXED", "EXPLAINED", "LEAKS", "MACHINE", "SKIPPED", "SPOILS", "Explained",
    "Impossible", "Projection", "Step", "calls_of", "generated", "guest_of", "label", "left_out",
    "observe", "project", "read",
]  # fmt: skip

#: Ops that the guest leaves out: no observable of another op depends on them.
SKIPPED = {
    "irq_begin": "it is a moment inside of the kernel",
    "irq_end": "it is a moment inside of the kernel",
}
_VDUSE = frozenset(op.name for op in VDUSE_OPS)
_NO_VDUSE = "there is no VDUSE device"
_IRQS = {"irq_begin", "irq_end"}
_RINGS = frozenset(op.name for op in RING_OPS)
#: Checks of the rings behind which a real device goes on without harm; where another one fires it
#: would use memory that is not the process', or never rest.
_HARMLESS = ("V30@", "V31@", "V34@", "V37@vdpasim_handle_cvq:ack", "V38@", "V39@", "V40@", "V41@",
             "V43@")  # fmt: skip
#: A ring that was enabled without addresses has its avail and its used ring at IOVA 0: each buffer
#: that the device gives back there looks like the next one, and its work never ends.
_ENDLESS = ("V43@judge_run:no_size",)
#: Parents that the guest does not have.
PARENTS_CANNOT = {
    "iommu": "needs a virtio-pci device behind an IOMMU",
}
#: How a generated program begins mostly.
BEGIN = ("open", "set_owner", "set_backend_features")
#: Boot options that are parameters of modules: each change of them is a device made again.
MACHINE = ("parent", "entries", "sim_entries", "use_va")
#: Boot options that a real simulator has only so.
BOOT_FIXED = {"ngroups": 2, "nas": 2, "range": 0, "device": 0}

OUTSIDE = "below and above its area the process has memory that the model's has not"
PAGE = 4096
POOL_PAGES = 16384  # FRAMES_MAX of the model
AREA_PAGES = 4096
LOW_INTERPRETER = 0x400000  # where linkers put a program with fixed addresses
ACTIONS_MAX = 20_000  # that are remembered
WATCH_NONE, WATCH_PINNED, WATCH_PINS, WATCH_PINS_FAILED = 0, 1, 2, 3

#: What a kernel has that can do programs with VDUSE, and the module that they need then.
VDUSE_SYMBOL, VDUSE_MODULE = "vduse_dev_msg_sync", "vfuzz_vduse"
_TIMEOUT = 1  # vduse_read(meanwhile=timeout)
#: What the driver of device 1 writes: nothing else that is not 0 was written by anybody.
_DRIVERS_BYTE = 0x5A
#: Parameters of the module vfuzz_calls, and what they are addresses of.
SYMBOLS = {"table": "sys_call_table", "task_work": "task_work_run", "params": "__start___param",
           "params_end": "__stop___param"}  # fmt: skip
_ENTRIES = {"many": 2048, "eight": 8, "three": 3, "two": 2, "one": 1, "zero": 0}
_MEMLOCK = {"plenty": 65536, "few": 16, "medium": 600, "zero": 0}
_NUMBERS = {
    "SET_FEATURES": 0x4008AF00, "SET_OWNER": 0xAF01, "SET_VRING_NUM": 0x4008AF10,
    "SET_VRING_ADDR": 0x4028AF11, "SET_VRING_BASE": 0x4008AF12, "GET_VRING_BASE": 0xC008AF12,
    "SET_VRING_KICK": 0x4008AF20, "SET_VRING_CALL": 0x4008AF21, "SET_VRING_ERR": 0x4008AF22,
    "SET_BACKEND_FEATURES": 0x4008AF25, "SET_STATUS": 0x4001AF72, "GET_CONFIG": 0x8008AF73,
    "SET_CONFIG": 0x4008AF74, "SET_VRING_ENABLE": 0x4008AF75, "SET_CONFIG_CALL": 0x4004AF77,
    "GET_VRING_GROUP": 0xC008AF7B, "SET_GROUP_ASID": 0x4008AF7C, "SUSPEND": 0xAF7D,
    "RESUME": 0xAF7E, "GET_VRING_DESC_GROUP": 0xC008AF7F, "GET_VRING_SIZE": 0xC008AF82,
}  # fmt: skip
_GETS = {
    "DEVICE_ID": (0x8004AF70, 4), "STATUS": (0x8001AF71, 1), "FEATURES": (0x8008AF00, 8),
    "VRING_NUM": (0x8002AF76, 2), "GROUP_NUM": (0x8004AF81, 4), "AS_NUM": (0x8004AF7A, 4),
    "IOVA_RANGE": (0x8010AF78, 16), "CONFIG_SIZE": (0x8004AF79, 4), "VQS_COUNT": (0x8004AF80, 4),
    "BACKEND_FEATURES": (0x8008AF26, 8),
}  # fmt: skip
_FD = {"none": -1, "e0": 101, "e1": 102, "e2": 103, "closed": 109, "not_eventfd": 108}
_FEATURE_BITS = {"MTU": 3, "MAC": 5, "STATUS": 16, "CTRL_VQ": 17, "CTRL_MAC_ADDR": 23,
                 "VERSION_1": 32, "ACCESS_PLATFORM": 33}  # fmt: skip
_MACS = {"zero": b"", "plain": b"\x52\x54\x01\x02\x03\x04",
         "short": b"\x02\x00\x00\x00\x00\x01"}  # fmt: skip
_FEATURE_MAC = 1 << _FEATURE_BITS["MAC"]
_ENTRY = struct.Struct("<hHIQ")  # struct ScriptEntry of driver.pxi
_OP = struct.Struct("<4B12I")  # struct vf_op
Known = dict[int, dict[str, int]]
Script = dict[int, list[tuple[int, int, Any]]]
_STORE, _LOAD, _KICK, _RUN, _CALL, _ANSWER = range(1, 7)
_MESSAGES = ("update", "invalidate", "batch_begin", "batch_end", "write")
_MEMORY = ("mmap", "munmap", "rlimit", "mmap_doorbell")
#: What is asked for after an op; the others cannot change it unless all is lost.
_WATCH = {
    **dict.fromkeys(_MESSAGES, WATCH_PINS_FAILED),
    "invalidate": WATCH_PINNED,
    "set_status": WATCH_PINNED,
    "close": WATCH_PINS,
    "bring_up": WATCH_PINS_FAILED,
}
#: Ops whose action depends on what came before, or on boot options.
_CHANGING = ("mmap", "munmap", "rlimit", "dev_add")
#: A reset leaves of a device what was configured, the sizes of its queues, and (6.12) the kick that
#: came while it was suspended.
_CONFIG_MAX = 24  # bytes of the configuration, before padding
_MTU = 1500


EXPLAINED: tuple[Explained, ...] = ()
#: Violations of the model that KASAN would see in the kernel.
SPOILS = ("V16", "V51")
#: Checks whose violations at the end say that something was not given back.
LEAKS = ("V10", "V13", "V18", "V46")


@functools.cache
def _low_interpreter() -> bool:
    """Is the guest's Python, which is this one, an ELF file with fixed addresses (ET_EXEC)? They
    are among those that a program can name."""
    with open(sys.executable, "rb") as file:
        return file.read(18)[16:] == b"\2\0"


class _Memory:
    """The frames that the model gives to pages: the guest's pool takes the same."""

    def __init__(
        self, era: str, pool: int, files_only: bool, asked: Sequence[tuple[int, int]] = (),
        seen: bool = True,
    ) -> None:  # fmt: skip
        """asked: pages of the area (first, end) that messages name; seen: the guest uses them."""
        self.era = era
        self.pool = pool
        self.asked = asked
        self.seen = seen
        self.frames = 0
        self.files: dict[tuple[int, int], int] = {}
        self.as_vmas = files_only
        self.mapped: set[int] = set()  # pages of the area, in VA mode

    def reaches_out(self, call: Step, boot: Mapping[str, int]) -> bool:
        """Would a message make the kernel look at memory that is not in the area? In VA mode it
        takes what is mapped around it too."""
        if call.name not in ("update", "write") or not (self.as_vmas or _low_interpreter()):
            return False
        if call.name == "write" and call.args["type"] != 2:
            return False
        w = words(call.name, call.args, boot, (0, U64))
        start = w["same"] if call.name == "write" else w["uaddr"]
        end = start + w["size"]
        if not self.as_vmas:
            return start < AREA and end > LOW_INTERPRETER
        last = AREA + (max(self.mapped, default=-1) + 1) * PAGE
        return start < 1 << 47 and (start < AREA or end > last)

    def take(self, count: int) -> int:
        first = self.frames
        self.frames += count
        if self.frames > self.pool:
            raise Impossible("more physical memory than the guest has")
        return first

    def map(self, upage: int, n: int, shared: bool, readonly: bool, pattern: str, file: int,
            pgoff: int) -> tuple[Any, ...]:  # fmt: skip
        if n == 0 or upage + n > AREA_PAGES:
            return ("refuse", errno.EINVAL)
        frames = self.of_file(file, pgoff, n) if shared else self.anonymous(n, pattern)
        if self.as_vmas:
            self.mapped.update(range(upage, upage + n))
            return ("map_vma", upage, n, shared, readonly, file, pgoff)
        pieces = _pieces(upage, frames)
        wanted = _within(pieces, self.asked)
        return ("map", wanted, readonly, pieces) if self.seen else ("map", wanted, readonly)

    def anonymous(self, n: int, pattern: str) -> list[int]:
        taken = {"scattered": 2 * n, "pairs": n + (n >> 1)}.get(pattern, n)
        first = self.take(taken + 1)
        if pattern == "scattered":
            return [first + 2 * i for i in range(n)]
        if pattern == "pairs":
            return [first + i + (i >> 1) for i in range(n)]
        if pattern == "reversed":
            return [first + n - 1 - i for i in range(n)]
        return list(range(first, first + n))

    def of_file(self, file: int, pgoff: int, n: int) -> list[int]:
        frames = []
        for page in range(pgoff, pgoff + n):
            if (file, page) not in self.files:
                self.files[file, page] = self.take(1)
            frames.append(self.files[file, page])
        return frames


def _pieces(upage: int, frames: list[int]) -> list[tuple[int, int, int]]:
    """Runs of pages whose frames lie behind each other: (upage, first frame, count)."""
    pieces: list[tuple[int, int, int]] = []
    for i, frame in enumerate(frames):
        if pieces and frame == pieces[-1][1] + pieces[-1][2]:
            at, first, count = pieces[-1]
            pieces[-1] = (at, first, count + 1)
        else:
            pieces.append((upage + i, frame, 1))
    return pieces


def _within(
    pieces: Sequence[tuple[int, int, int]], asked: Sequence[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """The parts of pieces that lie in one of the ranges, which are in order and apart."""
    found = []
    for at, first, count in pieces:
        for start, end in asked:
            low, high = max(at, start), min(at + count, end)
            if low < high:
                found.append((low, first + low - at, high - low))
    return found


def _asked(calls: Sequence[Step], boot: Mapping[str, int]) -> list[tuple[int, int]]:
    """Ranges of pages of the area that messages name, in order and apart."""
    ranges = []
    for call in calls:
        if call.name == "bring_up":
            ranges.append((0, 33))
        elif call.name == "update" or (call.name == "write" and call.args["type"] == 2):
            w = words(call.name, call.args, boot, (0, U64))
            start = w["same"] if call.name == "write" else w["uaddr"]
            first = max(0, (start - AREA) // PAGE)
            ranges.append((first, min(AREA_PAGES, (start + w["size"] - AREA) // PAGE + 2)))
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif first < end:
            merged.append((first, end))
    return merged


_CALLS = Calls(SCHEMA)
calls_of = _CALLS.of
_ARGS = {op.name: op.args for op in SCHEMA.ops}


def _said(boot: Mapping[str, int]) -> dict[str, str]:
    return {arg.name: arg.names[boot[arg.name]] or "" for arg in BOOT if arg.kind == "enum"}


def _parameters(
    boot: Mapping[str, int], said: Mapping[str, str], era: str
) -> tuple[tuple[str, str], ...]:
    """Parameters of modules, as on the kernel's command line."""
    parameters = [
        ("vhost_vdpa.max_iotlb_entries", str(_ENTRIES[said["entries"]])),
        ("vdpa_sim.max_iotlb_entries", str(_ENTRIES[said["sim_entries"]])),
        ("vdpa_sim.batch_mapping", str(int(said["parent"] == "sim"))),
    ]
    if said["parent"] == "vduse":
        return (parameters[0], ("vduse.max_iotlb_entries", str(_ENTRIES[said["sim_entries"]])))
    if era != "linux-6.1":
        parameters.append(("vdpa_sim.use_va", "NY"[bool(boot["use_va"])]))
    return tuple(parameters)


def _features(bits: int, era: str) -> int:
    """What is offered, 0 for all: the model leaves out what the simulator does not know."""
    names = next(arg for arg in BOOT if arg.name == "features").names
    known = [n for i, n in enumerate(names) if bits >> i & 1 and n in _FEATURE_BITS]
    return sum(1 << _FEATURE_BITS[n] for n in known if n and (n != "STATUS" or era != "linux-6.1"))


def _leaves(names: Container[str]) -> tuple[str, ...]:
    """What ops leave in the device when the node is closed."""
    sizes = ("sizes",) if "vring_num" in names or "bring_up" in names else ()
    return (*sizes, "kick") if "suspend" in names else sizes


def _needs(calls: Sequence[Step], known: Known) -> tuple[str, ...]:
    """What the program would see of an older program's traces."""
    needs = {"kick"} if any(call.name == "resume" for call in calls) else set()
    sized: set[int] = set()
    for i, call in enumerate(calls):
        done = known.get(i, {}).get("ret") == 0
        if call.name == "vring_num" and done:
            sized.add(call.args["index"])
        elif call.name == "bring_up" and done:
            sized.update(q for q in range(3) if call.args["queues"] >> q & 1)
        elif call.name == "dev_add":
            sized.clear()
        elif call.name == "get_vring" or (
            call.name == "vring_enable" and call.args["index"] not in sized
        ):
            needs.add("sizes")
    return tuple(sorted(needs))


def _order(
    device: tuple[int, bytes], needs: Container[str], leaves: Container[str]
) -> tuple[Any, ...]:
    """Programs of one device behind each other, those first that would see what others leave."""
    return (device, not needs, bool(leaves))


def _restore(device: tuple[int, bytes]) -> tuple[int, bytes]:
    """The ioctl that makes a configuration as new: address, and the MTU behind two numbers."""
    config = struct.pack("<6sHHH", device[1], 0, 0, _MTU).ljust(_CONFIG_MAX, b"\0")
    return (_NUMBERS["SET_CONFIG"], struct.pack("<II", 0, _CONFIG_MAX) + config)


def _device(boot: Mapping[str, int], said: Mapping[str, str], era: str) -> tuple[int, bytes]:
    """How the device is made. Raises Impossible."""
    features, mac = _features(boot["features"], era), _MACS[said["mac"]]
    if mac and features and not features & _FEATURE_MAC:
        raise Impossible("boot: an address needs the feature MAC")
    return features, mac


def _end(
    calls: Sequence[Step], known: Known, broken: Violation | None, script: Script
) -> tuple[int, str] | None:
    """The first op that cannot be done because of what the model says of it: (index, reason)."""
    last = len(calls) if broken is None else broken.op
    for i in range(min(last, len(calls))):
        if "ret" not in known.get(i, {}):
            return (i, "the model gives up there")
        if calls[i].name in _IRQS and known[i]["ret"] == 0 and _RINGS & {
            call.name for call in calls[i + 1 :]
        }:  # a signal that does not come may have been a kick
            return (i, SKIPPED[calls[i].name])
        if known[i].get("pending"):
            waits = calls[i].name in ("dev_add", "dev_del")
            return (i, "the device works meanwhile" if waits else
                    "the kernel's worker rests only when it has nothing to do")  # fmt: skip
    if broken is None or broken.op >= len(calls) or broken.op < 0:
        return None
    runs = any(entry[0] == _RUN for entry in script.get(broken.op, ()))
    if runs and broken.signature in _ENDLESS:
        return (broken.op, f"{broken.check}: the device would find work for ever")
    if runs and not broken.signature.startswith(_HARMLESS):
        return (broken.op, f"{broken.check}: the device would touch what is not the process'")
    return None


def guest_of(kernel: Kernel, key: tuple[str, ...]) -> Guest:
    """A guest for the projections with this key: its agent loads the module built with it."""
    module = str(kernel.module("vfuzz_calls"))
    where = [f"{name}:{kernel.address(symbol):#x}" for name, symbol in SYMBOLS.items()]
    vduse = ()
    if kernel.has(VDUSE_SYMBOL):
        vduse = (str(kernel.module(VDUSE_MODULE)), f"{kernel.address(VDUSE_SYMBOL):#x}")
    return Guest(kernel.image, key,
                 agent_arguments=(str(POOL_PAGES), module, ",".join(where), *vduse))  # fmt: skip


def project(
    program: Program, era: str, quirks: tuple[str, ...] = (), pool: int = POOL_PAGES
) -> Projection:
    """The program for a guest of this era. Raises Impossible.

    quirks  that the model has
    pool    pages of physical memory that the guest has
    """
    boot = program.boot
    said = _said(boot)
    if said["parent"] in PARENTS_CANNOT:
        raise Impossible(f"boot: parent {said['parent']} {PARENTS_CANNOT[said['parent']]}")
    vduse = said["parent"] == "vduse"
    for name, value in BOOT_FIXED.items():
        if boot[name] != value and not vduse:
            raise Impossible(f"boot: {name} of the simulator is fixed")
    device = (0, b"") if vduse else _device(boot, said, era)
    steps: list[tuple[Any, ...]] = []
    skipped: dict[int, str] = {}
    who = 0
    calls = calls_of(program)
    names = {call.name for call in calls}
    rings = not _RINGS.isdisjoint(names)
    memory = _Memory(era, pool, vduse or (era != "linux-6.1" and bool(boot["use_va"])),
                     _asked(calls, boot), rings)  # fmt: skip
    before: list[tuple[Any, ...]] = [
        ("limit", max(0, _MEMLOCK[said["memlock"]] - boot["foreign"]))
    ]
    if said["memory"] != "none":
        order = "scattered" if said["memory"] == "scattered" else "contiguous"
        before.append(memory.map(0, 64, said["memory"] == "shared", False, order, 0, 0))
    faults = any(call.fail is not None for call in calls)
    result = program.target.execute(program, era, quirks, trace=True, events=faults)
    assert result.raw_trace is not None
    script = _script(_core.guest_script()) if rings else {}
    events = result.raw_trace[1] if faults else []
    fired = {event[0] for event in events if event[1] == "fault"}
    known = {step["op"]: dict(step["obs"]) for step in result.raw_trace[0]}
    end = _end(calls, known, result.violation, script)
    cut = None
    for i, call in enumerate(calls):
        why = "a failure is injected" if call.fail is not None and i in fired else None
        if why is None:
            why = end[1] if end is not None and end[0] == i else None
        if why is None and memory.reaches_out(call, boot):
            why = OUTSIDE
        if why is None:
            try:
                if vduse and call.name in _VDUSE:
                    action = _of_vduse(call, calls[i + 1 :], "umem" in names, known[i])
                elif call.name in _RINGS:
                    action = _guest(call, script.get(i, ()), boot, memory)
                else:
                    action = _known_action(call, boot, memory)
            except Impossible as impossible:
                why = str(impossible)
        if why is not None:
            cut = (i, why)
            break
        # the simulator refuses it, with what was there unmapped
        if action[0] == "map_node" and known[i].get("ret") != -errno.EBADF:
            memory.mapped.difference_update(range(action[1], action[1] + action[2]))
        if call.name in SKIPPED:
            skipped[i] = SKIPPED[call.name]
        elif call.name in _VDUSE and not vduse:
            skipped[i] = _NO_VDUSE
        if call.name == "task":
            who = call.args["who"]
        both = call.name in BY_ALL and call.name != "close"
        steps.append((who, both, _WATCH.get(call.name, WATCH_NONE), action))
        if result.violation is not None and result.violation.op == i:
            break  # what comes behind is not known
    needs, leaves = _needs(calls, known), _leaves(names)
    payload = {
        "parameters": _parameters(boot, said, era),
        "device": device,
        "needs": needs,
        "leaves": leaves,
        "vduse": _virtio_features(boot) if vduse else None,
        "restore": _restore(device) if not vduse and (rings or "set_config" in names) else None,
        # what it leaves in the process
        "memory": any(call.name in _MEMORY for call in calls),
        "closes": any(call.name == "close_fd" for call in calls),
        "child": any(call.name == "task" and call.args["who"] for call in calls),
        "guest": (memory.frames, memory.as_vmas, not _IRQS & names) if rings or vduse else None,
        "before": before,
        "steps": steps,
    }
    return Projection(
        key=(), payload=payload, program=program, calls=calls, result=result,
        skipped=skipped, cut=cut, needs=VDUSE_SYMBOL if vduse else "",
        order=_order(device, needs, leaves),
    )  # fmt: skip


# ---- VDUSE ---------------------------------------------------------------------------------------


def _virtio_features(boot: Mapping[str, int]) -> int:
    """What a VDUSE device offers, as virtio numbers it; nothing named: all."""
    bits = boot["features"] or (1 << len(FEATURES)) - 1
    return int(words("set_features", {"bits": bits}, boot, (0, U64))["virtio"])


def _of_vduse(
    call: Step, later: Sequence[Step], umem: bool, known: Mapping[str, int]
) -> tuple[Any, ...]:
    """An op of the daemon or of a driver of the kernel. Raises Impossible.

    later: the ops behind it; umem: does the daemon ever give memory?; known: what the model says
    """
    name, args = call.name, call.args
    words_of = {arg.name: arg.names[args[arg.name]] for arg in _ARGS[name] if arg.kind == "enum"}
    what = words_of.get("what")
    device = args.get("dev", 1)
    # what the device bounces must not differ in what the daemon gave: that is compared
    byte = 0 if umem else _DRIVERS_BYTE
    if name == "daemon":
        return ("vduse", name, args["mode"])
    if name == "vduse_read":
        return ("vduse", "read", device, bool(args["efault"]), args["meanwhile"])
    if name == "vduse_reply":
        return ("vduse", "answer", device, args["which"], args["result"])
    if name == "vduse_request":
        if known.get("ret") == -errno.EAGAIN:
            raise Impossible("more requests than the model holds")
        soon = any(_times_out(one) for one in later if one.args.get("dev") == device)
        return ("vduse", "ask", device, args["type"], soon)
    if name == "vduse_leave":
        return ("vduse", "leave", device, bool(args["killed"]))
    if name == "vduse_ioctl":
        return _ioctl_of_vduse(device, str(what), args)
    if name == "vduse_file":
        if args["race"] and what == "OPEN":
            raise Impossible("which of two threads is first is chance")
        return ("vduse", str(what).lower(), device)
    if name == "driver_config":
        return ("vduse", "config", device, args["off"], args["len"])
    if name == "umem":
        return ("vduse", "umem", what == "REG", args["upage"], args["uoff"], args["npages"],
                args["page"])  # fmt: skip
    page, off, n = args["page"], args["off"], args["len"]
    if name == "bounce":
        if what == "MAP":
            return ("vduse", "map", page, off, min(n, PAGE - off), bool(args["to_device"]), byte)
        return ("vduse", "unmap", page) if what == "UNMAP" else ("vduse", "look", page, off)
    if what == "ALLOC":
        return ("vduse", "alloc", page, n, bool(args["zero"]))
    if what == "WRITE":
        return ("vduse", "write", page, off, n, byte)
    return ("vduse", "free", page) if what == "FREE" else ("vduse", "peek", page, off)


def _times_out(call: Step) -> bool:
    """Does a thread of the kernel give up because of its timeout?"""
    if call.name == "vduse_read":
        return call.args["meanwhile"] == _TIMEOUT
    return call.name == "vduse_leave" and not call.args["killed"]


def _ioctl_of_vduse(device: int, what: str, args: Mapping[str, int]) -> tuple[Any, ...]:
    index, n = args["index"], args["len"]
    if what in ("GET_FD", "GET_INFO"):
        start = args["page"] * PAGE + args["off"]
        return ("vduse", what.lower(), device, start, start + n - 1, bool(args["behind"]))
    if what == "SET_CONFIG":
        return ("vduse", "set_config", device, args["off"], n, index)
    if what == "VQ_SETUP":
        return ("vduse", "vq_setup", device, index, n)
    named = {"VQ_GET_INFO": "vq_info", "VQ_SETUP_KICKFD": "kickfd", "INJECT_IRQ": "irq"}
    if what in named:
        return ("vduse", named[what], device, index)
    return ("vduse", "config_irq" if what == "INJECT_CONFIG_IRQ" else "get_features", device)


# ---- the guest's rings ---------------------------------------------------------------------------


def _script(data: bytes | None) -> Script:
    """What the model's guest did, by op: (kind, at, bytes or how many). Raises Impossible."""
    if data is None:
        raise Impossible("the guest does more than is remembered")
    script: Script = {}
    pos = 0
    while pos < len(data):
        op, kind, n, at = _ENTRY.unpack_from(data, pos)
        pos += _ENTRY.size
        what: Any = n
        if kind in (_STORE, _CALL):
            what = data[pos : pos + n]
            pos += n
        script.setdefault(op, []).append((kind, at, what))
    return script


def _guest(
    call: Step, entries: Sequence[tuple[int, int, Any]], boot: Mapping[str, int], memory: _Memory
) -> tuple[Any, ...]:
    """An op of the rings: the same stores, loads, kicks and calls. Raises Impossible."""
    done: list[tuple[str, int, Any]] = []
    for kind, at, what in entries:
        if kind == _STORE:
            done.append(("store", at, what))
        elif kind == _LOAD:
            done.append(("load", at, what))
        elif kind == _KICK:
            done.append(("kick", at - 1, None))
        elif kind == _RUN:
            done.append(("run", 0, None))
        elif kind == _ANSWER:
            done.append(("answer", at, None))
        else:
            number, _, _, _, *values = _OP.unpack(what)
            inner = _CALLS.named(number, values)
            if memory.reaches_out(inner, boot):
                raise Impossible(OUTSIDE)
            done.append(("call", 0, _known_action(inner, boot, memory)))
    return ("guest", done)


# ---- ops -----------------------------------------------------------------------------------------


def _message(fmt: int, asid: int, kind: int, iova: int, size: int, uaddr: int, perm: int,
             length: int = 72) -> tuple[str, bytes]:  # fmt: skip
    data = struct.pack("<IIQQQBB", fmt, asid, iova, size, uaddr, perm, kind).ljust(256, b"\0")
    return ("write", data[:length])


def _ioctl(name: str, arg: bytes | None) -> tuple[str, int, bytes | None]:
    return ("ioctl", _NUMBERS[name], arg)


def _two(name: str, index: int, value: int) -> tuple[str, int, bytes | None]:
    return _ioctl(name, struct.pack("<II", index, value & 0xFFFFFFFF))


_actions: dict[tuple[Any, ...], tuple[Any, ...]] = {}


def _known_action(call: Step, boot: Mapping[str, int], memory: _Memory) -> tuple[Any, ...]:
    """_action(), from memory if the same op came before."""
    if call.name in SKIPPED or call.name in _VDUSE:
        return ("nop",)
    if call.name in _CHANGING:
        return _action(call, boot, memory)
    key = (call.name, *call.args.values())
    action = _actions.get(key)
    if action is None:
        if len(_actions) >= ACTIONS_MAX:
            _actions.clear()
        action = _actions[key] = _action(call, boot, memory)
    return action


def _action(call: Step, boot: Mapping[str, int], memory: _Memory) -> tuple[Any, ...]:
    """One op as an action of the agent."""
    name, args = call.name, call.args
    w = words(name, args, boot, (0, U64))
    if name == "mmap":
        return memory.map(w["upage"], w["npages"], bool(w["shared"]), bool(w["readonly"]),
                          w["pattern_name"], w["file"], w["pgoff"])  # fmt: skip
    if name == "munmap":
        outside = w["npages"] == 0 or w["upage"] + w["npages"] > AREA_PAGES
        memory.mapped.difference_update(range(w["upage"], w["upage"] + w["npages"]))
        return ("refuse", errno.EINVAL) if outside else ("unmap", w["upage"], w["npages"])
    if name == "rlimit":
        return ("limit", w["pages_here"])
    if name == "task":
        return ("nop",)
    if name in ("open", "close"):
        return (name,)
    if name == "dev_add":
        said = _said(boot)
        return ("dev_add", None if said["parent"] == "vduse" else _device(boot, said, memory.era))
    if name == "dev_del":
        return ("dev_del",)
    if name == "close_fd":
        return ("close_fd", w["fd"])
    if name in _MESSAGES:
        return _message_of(name, w)
    return _node(name, w)


def _here(uaddr: int) -> int:
    """A user address of the model's process, in the agent's."""
    if AREA <= uaddr < AREA + AREA_PAGES * PAGE:
        return uaddr - AREA + agent.AREA
    return uaddr


def _message_of(name: str, w: Mapping[str, Any]) -> tuple[Any, ...]:
    if name == "update":
        return _message(w["format"], w["asid"], 2, w["iova"], w["size"], _here(w["uaddr"]),
                        w["perm"])  # fmt: skip
    if name == "invalidate":
        return _message(w["format"], w["asid"], 3, w["iova"], w["size"], 0, 0)
    if name == "write":
        return _message(w["raw_format"], w["asid"], w["type"], w["iova"], w["size"],
                        _here(w["same"]), 3, w["length"])  # fmt: skip
    return _message(w["format"], w["asid"], 5 + (name == "batch_end"), 0, w["size"], 0, 0)


def _node(name: str, w: Mapping[str, Any]) -> tuple[Any, ...]:
    if name == "set_owner":
        return _ioctl("SET_OWNER", None)
    if name in ("suspend", "resume"):
        return _ioctl(name.upper(), None)
    if name == "set_backend_features":
        return _ioctl("SET_BACKEND_FEATURES", struct.pack("<Q", w["bits"]))
    if name == "set_status":
        return _ioctl("SET_STATUS", struct.pack("<B", w["bits"]))
    if name == "set_features":
        return _ioctl("SET_FEATURES", struct.pack("<Q", w["virtio"]))
    if name == "get":
        request, size = _GETS[GETS[w["what"]]]
        return ("ioctl", request, bytes(size))
    if name in ("get_config", "set_config"):
        value = bytes((w.get("value", 0) + i) & 0xFF for i in range(64))
        data = value if name == "set_config" else bytes(64)
        return _ioctl(name.upper(), struct.pack("<II", w["off"], w["len"]) + data)
    if name == "vring_addr":
        return _ioctl("SET_VRING_ADDR", struct.pack(
            "<IIQQQQ", w["index"], w["flags"], w["desc"], w["used"], w["avail"], 0))  # fmt: skip
    if name == "vring_fd":
        return _two(f"SET_VRING_{w['which_name']}", w["index"], _FD[w["fd_name"]])
    if name == "config_call":
        return _ioctl("SET_CONFIG_CALL", struct.pack("<i", _FD[w["fd_name"]]))
    if name == "get_vring":
        return _two(f"GET_VRING_{w['what_name']}", w["index"], 0)
    if name == "set_group_asid":
        return _two("SET_GROUP_ASID", w["group"], w["asid"])
    if name == "ioctl":
        request = int(w["nr"], 16)
        index = 0 if w["nr_name"] in ("SET_MEM_TABLE", "SET_LOG_BASE", "SET_LOG_FD") else w["index"]
        arg = None if w["null"] else struct.pack("<I", index).ljust(256, b"\0")
        return ("ioctl", request, arg)
    if name == "mmap_doorbell":
        if w["npages"] == 0 or w["upage"] + w["npages"] > AREA_PAGES:
            return ("refuse", errno.EINVAL, True)
        return ("map_node", w["upage"], w["npages"], w["pgoff"], bool(w["private"]),
                bool(w["readable"]))  # fmt: skip
    if name == "ring_doorbell":
        return ("refuse", errno.EFAULT, True)  # the simulator has no doorbells to map
    vring = {"vring_num": "SET_VRING_NUM", "vring_base": "SET_VRING_BASE",
             "get_vring_base": "GET_VRING_BASE", "vring_enable": "SET_VRING_ENABLE"}  # fmt: skip
    if name not in vring:
        raise Impossible(f"{name} is not projected yet")
    return _two(vring[name], w["index"], w.get("num", 0))


# ---- what comes back -----------------------------------------------------------------------------


def observe(call: Step, answer: tuple[Any, ...]) -> dict[str, int]:
    """The observables of an op that the guest did, named as the model names them."""
    ret, data = answer[0], answer[1]
    if ret is None:
        return {}  # it could not be asked for
    seen = {"ret": ret}
    if call.name in _RINGS:
        return {**seen, **_seen_of_rings(call, data)}
    if call.name in _VDUSE:
        seen |= {name: _signed(value) for name, value in (data or {}).items()}
        data = None
    if call.name == "open" and ret in (-errno.ENOENT, -errno.ENXIO):
        seen["ret"] = -errno.ENODEV  # without a device there is no node
    if data is not None and ret == 0:
        if call.name == "get":
            seen["value"] = int.from_bytes(data[:8], "little")
            if len(data) == 16:
                seen["last"] = int.from_bytes(data[8:], "little")
        elif call.name == "get_config":
            seen["config"] = int.from_bytes(data[8 : 8 + min(8, call.args["len"])], "little")
        elif call.name in ("get_vring", "get_vring_base"):
            seen["num"] = int.from_bytes(data[4:8], "little")
    if len(answer) > 2:
        seen["pinned"] = answer[2]
        if answer[3] is not None:
            seen["pins"] = answer[3]
    return seen


def _signed(value: int) -> int:
    """As the model's observables are."""
    return value - (1 << 64) if value >> 63 else value


def _seen_of_rings(call: Step, data: tuple[list[bytes], int | None]) -> dict[str, int]:
    """What the guest found in its memory."""
    loads, contents = data
    numbers = [int.from_bytes(load[:4], "little") for load in loads]
    seen = {} if contents is None else {"contents": contents}
    if call.name == "used" and numbers:
        seen["idx"] = numbers[0]
        if len(numbers) > 1:
            seen |= {"id": numbers[1], "len": int.from_bytes(loads[1][4:], "little")}
    if call.name == "cvq" and len(numbers) > 1:
        seen["ack"] = numbers[-1]
    return seen


def read(projection: Projection, answer: tuple[Any, ...]) -> Observables:
    """What boot left, each op, and what was there when all was closed."""
    made, answers, left, _, end = answer
    seen = [observe(call, got) for call, got in zip(projection.calls, answers, strict=False)]
    return {"ret": made}, seen, {"pinned": left[0], "pins": left[1], **(end or {})}


def label(call: Step) -> str:
    """An op in a signature: one that is several ioctls says which."""
    if call.name == "get":
        return f"get({GETS[call.args['what']]})"
    if call.name in ("get_vring", "vring_fd", "ioctl"):
        which = next(arg for arg in _ARGS[call.name] if arg.kind == "enum")
        return f"{call.name}({which.names[call.args[which.name]]})"
    return call.name


def generated(boot: Mapping[str, int]) -> dict[str, int]:
    """The boot record that comes nearest to a generated one and that a simulator can have."""
    fixed = {**boot, **BOOT_FIXED}
    if PARENTS[fixed["parent"]] not in ("sim", "sim_dma"):
        fixed["parent"] &= 1  # with VDUSE each step is a call by itself: few programs a second
    names = next(arg for arg in BOOT if arg.name == "features").names
    if not fixed["features"] >> names.index("MAC") & 1:
        fixed["features"] = 0  # all: an address needs MAC
    return fixed


def left_out(boot: Mapping[str, int]) -> Container[str]:
    """Ops that a generated program for such a machine does not have: the guest would skip them."""
    return SKIPPED.keys() if PARENTS[boot["parent"]] == "vduse" else SKIPPED.keys() | _VDUSE
