# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled part of the ledger, in Python: the contract of a target's `_core`.

Environment, so that a test of the supervisor can shape a worker it cannot reach into:
    LEDGER_BLIND=counters   build_info() says that nothing is instrumented
    LEDGER_BLIND=features   no state feedback is registered, one counter that never changes is
    LEDGER_DIE=N            the process kills itself in execution N
    LEDGER_SLEEP_US=N       each execution takes this long
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.fakes.ledger.checks import CHECKS
from tests.fakes.ledger.ops import SCHEMA
from vfuzz.program import codec

GET, PUT, READ, CRASH = range(4)
SEGV, HANG, EXIT = 1, 2, 3
BLIND_PUT, LOST_PUT, NATIVE_CRASH, DEEP_READ = 1, 2, 4, 8
FEEDBACK_SIZE = 4096

_feedback = (ctypes.c_uint8 * FEEDBACK_SIZE)()
_pcs = (ctypes.c_size_t * (2 * FEEDBACK_SIZE))()
_config: dict[str, Any] = {}
_counts = {"executions": 0, "ops": 0, "violations": 0, "known_hits": 0}
_known_counts: dict[str, int] = {}
_die_at = int(os.environ.get("LEDGER_DIE", "0"))
_sleep_s = int(os.environ.get("LEDGER_SLEEP_US", "0")) / 1e6
_blind = os.environ.get("LEDGER_BLIND", "")


class _Violated(Exception):
    def __init__(self, check: int, site: str, op: int, obj_id: int, message: str) -> None:
        self.raw = {
            "check": check,
            "site": site,
            "op": op,
            "obj": "page",
            "obj_id": obj_id,
            "message": message,
        }


class _Run:
    def __init__(self, data: bytes, era: int, quirks: int) -> None:
        self.program = codec.decode(SCHEMA, data)
        self.era = era
        self.quirks = quirks
        self.held = [0] * 8
        self.events: list[tuple[int, str, str, int, int, int, str]] = []
        self.steps: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any] | None:
        for op in range(-1, len(self.program.ops) + 1):
            self.steps.append({"op": op, "obs": []})
        try:
            for op, call in enumerate(self.program.ops):
                self.op(op, call.kind, call.args)
                self.steps[op + 1]["obs"].append(("held", sum(self.held)))
                state = call.kind * 512 + sum(min(n, 1) << i for i, n in enumerate(self.held))
                _feedback[state % FEEDBACK_SIZE] = 1
            self.close(len(self.program.ops))
        except _Violated as violated:
            return violated.raw
        return None

    def op(self, op: int, kind: int, args: tuple[int, ...]) -> None:
        number = args[0]
        if kind == GET:
            self.held[number] += 1
            self.event(op, "get", number, self.held[number], "ledger_get:first")
        elif kind == PUT:
            self.put(op, number)
        elif kind == READ:
            if number == 255 and self.era == 0:
                raise _Violated(2, "ledger_read:edge", op, 1, "read of 256 bytes of 255")
            if number == 77 and self.held[1] and self.held[2] and self.quirks & DEEP_READ:
                raise _Violated(2, "ledger_read:deep", op, 1, "read of 77 bytes of 76")
        elif kind == CRASH and self.quirks & NATIVE_CRASH:
            if number == SEGV:
                os.kill(os.getpid(), signal.SIGSEGV)
            elif number == HANG:
                time.sleep(3600)
            elif number == EXIT:
                os._exit(9)

    def put(self, op: int, number: int) -> None:
        if self.held[number] == 0:
            if self.quirks & BLIND_PUT:
                message = f"put of page {number} by nobody"
                raise _Violated(0, "ledger_put:unheld", op, number, message)
            return
        if number == 3 and self.quirks & LOST_PUT:
            return
        self.held[number] -= 1
        self.event(op, "put", number, self.held[number], "ledger_put:last")

    def close(self, op: int) -> None:
        if self.held[3] and self.quirks & LOST_PUT and any(c.kind == PUT for c in self.program.ops):
            message = f"page 3 still has {self.held[3]} references"
            raise _Violated(1, "ledger_close:held", op, 3, message)

    def event(self, op: int, what: str, number: int, count: int, site: str) -> None:
        self.events.append((op, what, "page", number, 0, count, site))


def execute(
    data: bytes, era: int, quirks: int = 0, trace: bool = False, events: bool = True
) -> dict[str, Any]:
    run = _Run(data, era, quirks)
    violation = run.run()
    out: dict[str, Any] = {"violation": violation, "n_ops": len(run.program.ops)}
    if trace:
        out.update(steps=run.steps)
    if trace and events:
        out.update(events=run.events, events_dropped=0)
    return out


def era_of(data: bytes, eras: tuple[int, ...]) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return eras[(value ^ value >> 15) % len(eras)]


def configure(
    eras: tuple[int, ...],
    quirks: int,
    known: frozenset[str],
    on_violation: Callable[[bytes, int, dict[str, Any]], None] | None,
    pulse_every: int = 0,
    on_pulse: Callable[[], None] | None = None,
) -> None:
    _config.update(eras=eras, quirks=quirks, known=set(known), on_violation=on_violation)
    _config.update(pulse_every=pulse_every, on_pulse=on_pulse)
    _known_counts.clear()
    for name in _counts:
        _counts[name] = 0


def add_known(signature: str) -> None:
    _config["known"].add(signature)


def fuzz_one(data: bytes) -> None:
    era = era_of(data, _config["eras"])
    if _sleep_s:
        time.sleep(_sleep_s)
    out = execute(data, era, _config["quirks"])
    if _blind == "features":
        ctypes.memset(_feedback, 0, FEEDBACK_SIZE)
        _feedback[0] = 1
    _counts["executions"] += 1
    _counts["ops"] += out["n_ops"]
    if _counts["executions"] == _die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    raw = out["violation"]
    if raw is not None:
        _counts["violations"] += 1
        signature = f"{CHECKS[raw['check']].id}@{raw['site']}"
        keyed = f"{era}:{signature}"
        if _config["known"] & {signature, keyed}:
            _counts["known_hits"] += 1
            _known_counts[keyed] = _known_counts.get(keyed, 0) + 1
        else:
            _config["on_violation"](data, era, raw)
    every = _config["pulse_every"]
    if every and _counts["executions"] % every == 0 and _config["on_pulse"]:
        _config["on_pulse"]()


def noop(data: bytes) -> None:
    pass


def counters() -> dict[str, Any]:
    return {**_counts, "known": dict(_known_counts)}


def feedback_register() -> None:
    process = ctypes.CDLL(None)
    start, pcs = ctypes.addressof(_feedback), ctypes.addressof(_pcs)
    for index in range(FEEDBACK_SIZE):
        _pcs[2 * index] = start + index
        _pcs[2 * index + 1] = 1
    end = ctypes.c_void_p(start + FEEDBACK_SIZE)
    process.__sanitizer_cov_8bit_counters_init(ctypes.c_void_p(start), end)
    end = ctypes.c_void_p(pcs + ctypes.sizeof(_pcs))
    process.__sanitizer_cov_pcs_init(ctypes.c_void_p(pcs), end)


def build_info() -> dict[str, Any]:
    return {"instrumented": _blind != "counters", "asan": False, "compiler": "python"}
