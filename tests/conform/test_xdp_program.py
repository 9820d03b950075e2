# SPDX-License-Identifier: GPL-2.0-or-later
"""The XDP program of the guest's agent, done by an interpreter of the few instructions it has."""

from __future__ import annotations

import importlib.util
import operator
import struct
import zlib
from pathlib import Path

import pytest

import vfuzz

PATH = Path(vfuzz.__file__).parent / "targets/virtio_net/agent.py"
CONTEXT, STATE, PACKET, HEADROOM = 1 << 20, 2 << 20, 3 << 20, 256
MASK = (1 << 64) - 1
SOCKETS, QUEUE = 8, 2
TX, REDIRECT, PASS, DROP = 3, 4, 2, 1
JUMPS = {0x15: (operator.eq, "imm"), 0x55: (operator.ne, "imm"), 0x2D: (operator.gt, "reg"),
         0x3D: (operator.ge, "reg")}  # fmt: skip


@pytest.fixture(scope="module")
def agent():
    spec = importlib.util.spec_from_file_location("virtio_net_agent", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """Memory of a packet with headroom, the map's value, and the helpers, which may refuse."""

    def __init__(self, agent):
        self.agent = agent
        self.code = list(struct.iter_unpack("<BBhi", agent.program_of(7, SOCKETS)))
        self.state = bytearray(agent.HEAD.size + agent.VERDICTS * agent.VERDICT.size)
        self.calls = []
        self.refused = ()

    def tell(self, *verdicts):
        self.agent.HEAD.pack_into(self.state, 0, len(verdicts), 0, 0)
        for i, verdict in enumerate(verdicts):
            self.agent.VERDICT.pack_into(self.state, self.agent.Programs.place(i), *verdict)

    def memory(self, at):
        base = at >> 20 << 20
        known = {CONTEXT: self.context, STATE: self.state, PACKET: self.packet}
        return known[base], at - base

    def load(self, at, n):
        data, off = self.memory(at)
        return int.from_bytes(data[off : off + n], "little")

    def store(self, at, n, value):
        data, off = self.memory(at)
        data[off : off + n] = (value & (1 << 8 * n) - 1).to_bytes(n, "little")

    def helper(self, number, value):
        value -= value >> 63 << 64
        self.calls.append((number, value))
        if number in self.refused:
            return -22 & MASK
        agent = self.agent
        if number in (agent.REDIRECT, agent.REDIRECT_MAP):
            return REDIRECT
        place = {agent.ADJUST_HEAD: 0, agent.ADJUST_TAIL: 4, agent.ADJUST_META: 8}[number]
        self.store(CONTEXT + place, 4, self.load(CONTEXT + place, 4) + value)
        if number == agent.ADJUST_HEAD:
            self.store(CONTEXT + 8, 4, self.load(CONTEXT + 8, 4) + value)
        return 0

    def run(self, size=60):
        """The program sees a packet of zeroes: its verdict, and the packet from its metadata on."""
        self.packet = bytearray(4096)
        start = PACKET + HEADROOM
        self.context = bytearray(struct.pack("<5I", start, start + size, start, 0, QUEUE))
        regs = [0] * 10
        regs[1] = CONTEXT
        at = 0
        while True:
            op, where, off, imm = self.code[at]
            dst, src = where & 15, where >> 4
            at += 1
            if op == 0x95:
                data, end, meta = struct.unpack_from("<3I", self.context)
                return regs[0], bytes(self.packet[meta - PACKET : end - PACKET]), data - meta
            if op == 0x18:
                assert (src, imm) in ((2, 7), (1, SOCKETS)), "a map's value, or a map"
                regs[dst] = STATE if imm == 7 else imm
                at += 1
            elif op == 0x85:
                if imm == self.agent.REDIRECT_MAP:
                    assert (regs[1], regs[3]) == (SOCKETS, 0), "without a socket it aborts"
                regs[0] = self.helper(imm, regs[1] if imm == self.agent.REDIRECT else regs[2])
                regs[1:6] = [None] * 5  # nobody may rely on them
            elif op in (0xB7, 0xBF):
                regs[dst] = imm if op == 0xB7 else regs[src]
            elif op in (0x07, 0x0F):
                regs[dst] = (regs[dst] + (imm if op == 0x07 else regs[src])) & MASK
            elif op in (0x27, 0x57):
                regs[dst] = regs[dst] * imm & MASK if op == 0x27 else regs[dst] & imm
            elif op == 0x87:
                regs[dst] = -regs[dst] & MASK
            elif op == 0x61:
                regs[dst] = self.load(regs[src] + off, 4)
            elif op in (0x63, 0x73):
                self.store(regs[dst] + off, 4 if op == 0x63 else 1, regs[src])
            else:
                test, other = JUMPS[op]
                at += off if test(regs[dst], imm if other == "imm" else regs[src]) else 0


def _verdict(returns, where=0, count=1, push=0, pull=0, grow=0, trim=0, meta=0, write=0):
    return returns, where, count, push, pull, grow, trim, meta, write


def _pattern(first, n):
    return bytes((1 + 7 * i) & 255 for i in range(first, first + n))


def test_without_verdicts_packets_pass(agent):
    assert Machine(agent).run()[0] == PASS


def test_verdicts_are_counted_down_and_the_last_one_stays(agent):
    machine = Machine(agent)
    machine.tell(_verdict(DROP, count=2), _verdict(TX), _verdict(REDIRECT, where=5))
    assert [machine.run()[0] for _ in range(6)] == [DROP, DROP, TX, *[REDIRECT] * 3]
    assert machine.calls == [(agent.REDIRECT, 5)] * 3


def test_a_packet_goes_to_the_socket_of_its_queue(agent):
    machine = Machine(agent)
    machine.tell(_verdict(REDIRECT, where=agent.SOCKET))
    assert machine.run()[0] == REDIRECT
    assert machine.calls == [(agent.REDIRECT_MAP, QUEUE)]


class _Memory:
    """An AF_XDP socket of the agent without a kernel: its rings are bytes."""

    def __init__(self, agent, chunks):
        self.user = agent.XdpSocket.__new__(agent.XdpSocket)
        self.user.size = 2048
        self.user.mine = list(range(chunks))
        self.user.memory = bytes(range(256)) * (2048 * chunks // 256)
        self.user.fill, self.user.rx = self.ring(agent, 64, 8), self.ring(agent, 4, 16)

    @staticmethod
    def ring(agent, num, entry):
        made = agent.Ring.__new__(agent.Ring)
        made.producer, made.consumer, made.entries, made.num, made.entry = 0, 64, 128, num, entry
        made.map = bytearray(128 + num * entry)
        return made


def test_chunks_are_given_oldest_first_and_as_many_as_there_is_room_for(agent):
    user = _Memory(agent, 4).user
    assert user.give(2, True) == 3
    assert user.give(9, False) == 2
    assert (user.give(1, False), user.mine, user.fill.n()) == (0, [], 5)
    given = struct.unpack_from("<5Q", user.fill.map, 128)
    assert given == (agent.NO_CHUNK, 0, 2048, 4096, 6144)
    user.mine = [3] * 70
    assert (user.give(70, True), len(user.mine)) == (59, 12)


def test_packets_are_read_from_their_chunks_and_the_user_has_those_then(agent):
    user = _Memory(agent, 4).user
    user.mine = []
    for at, length in ((2048 + 256, 10), (6144 + 300, 3)):
        agent.DESC.pack_into(user.rx.map, user.rx.place(0), at, length, 0)
        user.rx.advance(0)
    first, second = user.take(1), user.take(9)
    assert first == (1, 10, zlib.crc32(bytes(range(10))),
                     zlib.crc32(struct.pack("<HHH", 1, 256, 10)))  # fmt: skip
    assert second[:3] == (1, 3, zlib.crc32(bytes(range(44, 47))))
    assert (user.mine, user.take(1)[0]) == ([1, 3], 0)


def test_helpers_are_called_in_the_model_s_order(agent):
    machine = Machine(agent)
    machine.tell(_verdict(PASS, push=8, pull=4, grow=3, trim=10, meta=12))
    machine.run()
    assert machine.calls == [
        (agent.ADJUST_HEAD, 4), (agent.ADJUST_META, -12), (agent.ADJUST_HEAD, -8),
        (agent.ADJUST_TAIL, -10), (agent.ADJUST_TAIL, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [4, 32, 252])
def test_all_metadata_is_written(agent, size):
    machine = Machine(agent)
    machine.tell(_verdict(PASS, meta=size))
    _, data, meta = machine.run()
    assert meta == size
    assert data == _pattern(0, size) + bytes(60)


def test_metadata_that_is_refused_is_not_written(agent):
    machine = Machine(agent)
    machine.refused = (agent.ADJUST_META,)
    machine.tell(_verdict(PASS, meta=6, write=1))
    assert machine.run()[1] == _pattern(0, 4) + bytes(56)


def test_each_byte_written_is_another_one(agent):
    machine = Machine(agent)
    machine.tell(_verdict(PASS, count=9, write=11))
    assert [machine.run()[1][10:14] for _ in range(3)] == [_pattern(4 * i, 4) for i in range(3)]


@pytest.mark.parametrize(("write", "inside"), [(57, True), (58, False), (4096, False)])
def test_nothing_is_written_behind_the_packet(agent, write, inside):
    machine = Machine(agent)
    machine.tell(_verdict(PASS, write=write))
    assert any(machine.run()[1]) == inside
