# SPDX-License-Identifier: GPL-2.0-or-later
"""The device of the guest's module, without a kernel: a driver of a few lines posts buffers."""

from __future__ import annotations

import ctypes
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from random import Random

import pytest

import vfuzz
from vfuzz.conform.kernel import modules_dir
from vfuzz.program.generator import generate
from vfuzz.targets.virtio_net import real

SOURCE = modules_dir() / "vfuzz_net"
DESC, DRIVER, DEVICE, DATA, TABLES = 0x1000, 0x2000, 0x3000, 0x10000, 0x4000
NEXT, WRITE, INDIRECT = 1, 2, 4
AVAIL, USED = 1 << 7, 1 << 15
HDR = 12

CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    assert CC, "no C compiler: apt-get install gcc"
    path = tmp_path_factory.mktemp("device") / "device.so"
    subprocess.run(
        [CC, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-unused-function", f"-I{SOURCE}",
         str(Path(__file__).with_name("device_harness.c")), "-o", str(path)],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(path))


class Driver:
    """Posts buffers of one descriptor or more, reads what was used."""

    def __init__(self, library, num=8, *, packed=False, event=False, mergeable=True,
                 conforming=True):  # fmt: skip
        self.lib = library
        self.num, self.packed = num, packed
        library.start(num, packed, event, mergeable, conforming, DESC, DRIVER, DEVICE)
        self.memory = (ctypes.c_ubyte * (1 << 20)).in_dll(library, "memory")
        self.slot = self.avail = self.last = 0
        self.wrap = self.used_wrap = True
        self.space = DATA
        self.tables = TABLES
        self.buffers = {}

    def put(self, at, fmt, *values):
        struct.pack_into(fmt, self.memory, at, *values)

    def get(self, at, fmt):
        return struct.unpack_from(fmt, self.memory, at)

    def take(self, size):
        at = self.space
        self.space += size + 64
        return at

    def post(self, *sizes, indirect=False):
        """A buffer of these parts; returns its id."""
        parts = [(self.take(size), size) for size in sizes]
        ident = self.slot
        self.buffers[ident] = parts
        if indirect:
            table = self.tables
            self.tables += 16 * len(parts)
            for i, (at, size) in enumerate(parts):
                more = NEXT if i < len(parts) - 1 and not self.packed else 0
                tail = (WRITE | more, i + 1) if not self.packed else (0, WRITE)
                self.put(table + 16 * i, "<QIHH", at, size, *tail)
            ring = [(table, 16 * len(parts), INDIRECT)]
        else:
            ring = [(at, size, WRITE) for at, size in parts]
        (self.post_packed if self.packed else self.post_split)(ident, ring)
        return ident

    def post_split(self, ident, ring):
        for i, (at, size, flags) in enumerate(ring):
            more = NEXT if i < len(ring) - 1 else 0
            self.put(DESC + 16 * self.slot, "<QIHH", at, size, flags | more, self.slot + 1)
            self.slot += 1
        self.put(DRIVER + 4 + 2 * (self.avail % self.num), "<H", ident)
        self.avail += 1
        self.put(DRIVER + 2, "<H", self.avail)

    def post_packed(self, ident, ring):
        for i, (at, size, flags) in enumerate(ring):
            flags |= NEXT if i < len(ring) - 1 else 0
            flags |= AVAIL if self.wrap else USED
            self.put(DESC + 16 * self.slot, "<QIHH", at, size, ident, flags)
            self.slot += 1
            if self.slot == self.num:
                self.slot, self.wrap = 0, not self.wrap

    def used(self, n=1):
        """The next used entry: (id, len), None if there is none. n: descriptors that it took."""
        if self.packed:
            _, size, ident, flags = self.get(DESC + 16 * self.last, "<QIHH")
            if bool(flags & AVAIL) != self.used_wrap or bool(flags & USED) != self.used_wrap:
                return None
            self.last += n
            if self.last >= self.num:
                self.last, self.used_wrap = self.last - self.num, not self.used_wrap
            return ident, size
        if self.get(DEVICE + 2, "<H")[0] == self.last:
            return None
        entry = self.get(DEVICE + 4 + 8 * (self.last % self.num), "<II")
        self.last += 1
        return entry

    def bytes_of(self, ident, size):
        data = b"".join(bytes(self.memory[at : at + n]) for at, n in self.buffers[ident])
        return data[:size]

    @property
    def interrupts(self):
        return ctypes.c_uint.in_dll(self.lib, "interrupts").value


def pattern(origin, start, size):
    return bytes((origin * 31 + at * 7 + 1) & 255 for at in range(start, start + size))


@pytest.mark.parametrize("packed", [False, True])
def test_a_packet_takes_as_many_buffers_as_it_needs(library, packed):
    driver = Driver(library, packed=packed)
    ids = [driver.post(100) for _ in range(4)]
    assert library.rx(1, 200, 1, 4) == 1
    got = [driver.used() for _ in range(3)]
    assert got == [(ids[0], 100), (ids[1], 100), (ids[2], 12)]
    assert driver.used() is None
    first = driver.bytes_of(ids[0], 100)
    assert first[:HDR] == struct.pack("<BBHHHHH", 1, 4, 0, 1448, 54, 16, 3)
    body = bytearray(pattern(2, 0, 88))
    body[12:14] = b"\x08\x00"
    assert first[HDR:] == body
    assert driver.bytes_of(ids[1], 100) == pattern(3, 0, 100)
    assert driver.bytes_of(ids[2], 12) == pattern(4, 0, 12)
    assert bytes(driver.memory[driver.buffers[ids[2]][0][0] + 12 :][:1]) == b"\0"
    assert library.held() == 1


def test_a_packet_that_does_not_fit_is_not_begun(library):
    driver = Driver(library)
    driver.post(100)
    assert library.rx(1, 89, 0, 0) == 0
    assert driver.used() is None
    assert library.held() == 1
    assert library.rx(2, 88, 0, 0) == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("indirect", [False, True])
def test_parts_and_tables_are_one_buffer(library, packed, indirect):
    driver = Driver(library, packed=packed, mergeable=False)
    ident = driver.post(12, 20, 5000, indirect=indirect)
    assert library.rx(1, 4500, 0, 0) == 1
    assert driver.used(1 if indirect else 3) == (ident, 4512)
    body = bytearray(pattern(2, 0, 4500))
    body[12:14] = b"\x08\x00"
    assert driver.bytes_of(ident, 4512)[HDR:] == body
    assert library.wrong() == 0


def test_without_mergeable_buffers_a_hostile_device_claims_what_it_did_not_write(library):
    driver = Driver(library, mergeable=False, conforming=False)
    ident = driver.post(100)
    assert library.rx(1, 1000, 0, 0) == 1
    assert driver.used() == (ident, 1012)
    at = driver.buffers[ident][0][0]
    assert bytes(driver.memory[at + 100 : at + 164]) == bytes(64)
    assert Driver(library, mergeable=False).post(100) == 0
    assert library.rx(1, 1000, 0, 0) == 0


def test_hostile_completions_in_any_order(library):
    driver = Driver(library, conforming=False)
    ids = [driver.post(64) for _ in range(4)]
    assert library.use(2, 5000, 3, 1) == 1
    assert library.cont(7, 10, 2) == 2
    assert [driver.used() for _ in range(3)] == [(ids[2], 5000), (ids[1], 10), (ids[3], 10)]
    assert driver.bytes_of(ids[2], 13) == struct.pack("<BBHHHHHB", 0, 0, 0, 0, 0, 0, 3, 0)
    assert driver.bytes_of(ids[1], 10) == pattern(3, 0, 10)


def test_a_conforming_device_does_none_of_that(library):
    driver = Driver(library)
    driver.post(64)
    assert library.use(0, 10, 1, 0) == library.cont(0, 10, 1) == library.bad_used(0, 1) == -1
    assert driver.used() is None


def test_an_entry_that_is_no_sense(library):
    driver = Driver(library, conforming=False)
    ident = driver.post(64)
    assert library.bad_used(ident, 9) == 1
    assert driver.used() == (ident, 9)
    assert not library.falsified()
    assert library.bad_used(77, 9) == 1
    assert driver.used() == (77, 9)
    assert library.falsified()
    assert library.rx(1, 60, 0, 0) == -1


def test_an_entry_that_would_overwrite_one_is_not_written(library):
    driver = Driver(library, conforming=False)
    ctypes.c_int.in_dll(library, "room").value = 0
    assert library.bad_used(77, 9) == 1
    assert driver.used() is None
    assert library.falsified()


def test_a_packed_ring_wraps(library):
    driver = Driver(library, 4, packed=True)
    for _ in range(11):
        driver.post(100)
        assert library.rx(1, 60, 0, 0) == 1
        assert driver.used()[1] == 72
    assert library.wrong() == 0


def test_interrupts_by_flag(library):
    driver = Driver(library)
    for _ in range(3):
        driver.post(100)
    library.rx(2, 60, 0, 0)
    assert driver.interrupts == 1
    driver.put(DRIVER, "<H", 1)
    library.rx(1, 60, 0, 0)
    assert driver.interrupts == 1


def test_interrupts_by_event_index(library):
    driver = Driver(library, event=True)
    for _ in range(4):
        driver.post(100)
    driver.put(DRIVER + 4 + 2 * driver.num, "<H", 2)
    seen = []
    for _ in range(4):
        library.rx(1, 60, 0, 0)
        seen.append(driver.interrupts)
    assert seen == [0, 0, 1, 1]
    # and it says up to where it has read
    assert driver.get(DEVICE + 4 + 8 * driver.num, "<H") == (4,)


def test_interrupts_of_a_packed_ring_by_event(library):
    driver = Driver(library, 4, packed=True, event=True)
    driver.put(DRIVER, "<HH", 1 << 15 | 2, 2)
    seen = []
    for _ in range(4):
        driver.post(100)
        library.rx(1, 60, 0, 0)
        seen.append(driver.interrupts)
    assert seen == [0, 0, 1, 1]


@pytest.mark.parametrize("packed", [False, True])
def test_notifications(library, packed):
    driver = Driver(library, packed=packed)
    where = DEVICE + (2 if packed else 0)
    library.kicks(0)
    assert driver.get(where, "<H") == (1,)
    library.kicks(1)
    assert driver.get(where, "<H") == (0,)


def test_nonsense_of_a_driver_is_noticed(library):
    driver = Driver(library)
    driver.put(DRIVER + 2, "<H", 9)
    assert library.held() == 0
    assert library.wrong()
    driver = Driver(library)
    driver.put(DESC, "<QIHH", 1 << 40, 64, WRITE, 0)
    driver.put(DRIVER + 2, "<H", 1)
    library.rx(1, 20, 0, 0)
    assert library.wrong()
    driver = Driver(library)
    driver.put(DESC, "<QIHH", DATA, 64, WRITE | NEXT, 0)  # a ring of descriptors
    driver.put(DRIVER + 2, "<H", 1)
    assert library.held() == 0
    assert library.wrong()


def test_bytes_are_those_of_the_model(library):
    """The same program in the model: its packets' digests are those of what the device wrote."""
    target = vfuzz.target("virtio-net-rx")
    program = target.parse("boot(features=MRG_RXBUF|VERSION_1)\nopen()\nrx(size=1400)\npoll()\n"
                           "consume()\n")
    steps = target.execute(program, "linux-6.1", trace=True).raw_trace[0]
    seen = dict(next(step["obs"] for step in steps if step["op"] == 3))
    driver = Driver(library)
    ident = driver.post(1536)
    assert library.rx(1, 1400, 0, 0) == 1
    data = driver.bytes_of(ident, 1412)
    assert seen["pkt_bytes"] == zlib.crc32(data[HDR:])
    meta = bytes(10) + struct.pack("<II", 0, 1400)
    assert seen["pkt_meta"] == zlib.crc32(meta)


@pytest.mark.parametrize("packed", [False, True])
def test_frames_are_sent_behind_their_headers(library, packed):
    driver = Driver(library, packed=packed)
    data = bytes(range(1, 91))
    for part in (data[:60], data[60:]):
        ident = driver.post(HDR + len(part))
        (at, size), = driver.buffers[ident]
        driver.memory[at + HDR : at + size] = part
        # a descriptor that the device reads
        flags_at = DESC + 16 * ident + (14 if packed else 12)
        driver.put(flags_at, "<H", driver.get(flags_at, "<H")[0] & ~WRITE)
    assert library.sent(1) == 1
    assert (ctypes.c_uint32(library.sent_crc()).value, library.sent_bytes()) == (
        zlib.crc32(data[:60]), 60)  # fmt: skip
    assert driver.used() == (0, 0)
    assert library.sent_wrong() == 0


def test_a_frame_has_an_empty_header(library):
    driver = Driver(library)
    ident = driver.post(HDR + 4)
    driver.put(DESC + 12, "<H", 0)
    driver.memory[driver.buffers[ident][0][0]] = 1
    assert library.sent(32) == 1
    assert library.sent_wrong() == 1
    Driver(library).post(64)  # and no buffer to write to
    assert library.sent(32) == 1
    assert library.sent_wrong() == 1


def _command(library, out, *, rss=0, table=0, pairs=3, nack=0):
    return library.command(bytes(out), len(out), rss, table, pairs, nack)


def test_commands_of_queue_pairs(library):
    Driver(library)
    assert _command(library, [4, 0, 2, 0]) == 1
    assert library.pairs_used() == 2
    for wrong in (0, 4):
        assert _command(library, [4, 0, wrong, 0]) == 0
    assert _command(library, [4, 0, 3, 0], nack=1) == 0
    assert library.pairs_used() == 2
    # header of RSS: hash types, mask of a table of four, queue for others; then table, pairs, key
    rss = [4, 1, *bytes(4), 3, 0, 0, 0, *bytes(8), 3, 0, 0]
    assert _command(library, rss, rss=1, table=128) == 1
    assert library.pairs_used() == 3
    assert _command(library, rss, rss=1, table=128, nack=1) == 0
    assert _command(library, [4, 2, 0, 0]) == 1  # of hashes: no number of queues


def test_commands_of_offloads(library):
    library.offloads.restype = ctypes.c_uint64
    Driver(library)
    assert _command(library, [5, 0, *struct.pack("<Q", 1 << 54 | 1 << 7)]) == 1
    assert library.offloads() == 1 << 54 | 1 << 7
    assert _command(library, [5, 0, *bytes(8)], nack=2) == 0
    assert library.offloads() == 1 << 54 | 1 << 7
    assert _command(library, [5, 0, *bytes(8)], nack=1) == 1
    assert library.offloads() == 0


def test_commands_of_the_filter(library):
    library.filter.restype = ctypes.c_uint32
    Driver(library)
    one, two = bytes((2, 0, 0, 0, 1, 0)), bytes((2, 0, 0, 0, 1, 3))
    group, joined = bytes((3, 0, 0, 0, 1, 1)), bytes((1, 0, 0x5E, 0, 0, 1))

    def lists(*addresses):
        return b"".join(struct.pack("<I", len(some)) + b"".join(some) for some in addresses)

    table = [1, 0, *lists([one, two], [group, joined])]
    assert [_command(library, [0, n, 1]) for n in range(3)] == [1, 1, 0]
    assert library.filter() == 3
    assert _command(library, [0, 0, 0], nack=4) == _command(library, [0, 1, 0], nack=8) == 0
    assert _command(library, table, nack=16) == 0
    assert library.filter() == 3
    assert _command(library, table, nack=3) == 1
    assert library.filter() == 3 | 0x90 | 0x200 | 0x1000
    assert _command(library, [0, 0, 0]) == _command(library, [1, 0, *lists([], [])]) == 1
    assert library.filter() == 2
    for wrong in (lists([group], []), lists([one, one], []), lists([], [one]), lists([one]),
                  struct.pack("<I", 2) + one, lists([], []) + one):  # fmt: skip
        assert _command(library, [1, 0, *wrong]) == 1
        assert library.filter() >> 31 == 1, wrong


@pytest.mark.parametrize("era", ["linux-6.1", "linux-6.12"])
def test_packets_are_corrected_as_the_model_corrects_them(library, era):
    """What the model's device writes is what the module's writes."""
    target = vfuzz.target("virtio-net-rx")
    rng = Random(11)
    kind = target.schema.op_index("rx")
    compared = 0
    while compared < 300:
        made = generate(target.schema, rng, n_ops=20)
        boot = {**target.program(made).boot, "profile": 0, "race": 1, "ring_order": 5,
                "high_order_alloc_disable": 0, "pairs": 1}  # fmt: skip
        values = target.schema.boot_values(**boot)
        for op in made.ops:
            if op.kind != kind:
                continue
            one = target.program(type(made)(values, (type(op)(kind, op.args, None),)))
            result = target.execute(one, era, trace=True)
            used = [event for event in result.events if event.what == "use"]
            if result.violation is not None or not used:
                continue
            steps = real.project(one, era).payload
            (action,) = steps["steps"]
            offered = steps["plug"][0] | steps["plug"][1] << 32
            if era == "linux-6.1":
                offered &= ~(3 << 54)  # its driver takes none of that
            size_max = steps["plug"][4] + 18 if offered >> 3 & 1 else 1518
            packet = (ctypes.c_uint32 * 7)(*action[4:])
            library.correct(ctypes.c_uint64(offered), size_max, packet)
            hdr = 10
            if offered & (1 << 15 | 1 << 32):
                hdr = 12
            if offered >> 57 & 1:
                hdr = 20
            assert sum(event.a for event in used) == hdr + packet[0], one
            compared += 1


def test_agent_and_module_speak_the_same():
    text = (SOURCE / "vfuzz_net.c").read_text()
    body = re.search(r"enum vf_command \{(.*?)\};", text, re.DOTALL)[1]
    commands = re.findall(r"VF_(\w+)", body)
    agent = (Path(vfuzz.__file__).parent / "targets/virtio_net/agent.py").read_text()
    real = (Path(vfuzz.__file__).parent / "targets/virtio_net/real.py").read_text()
    found = {}
    assigned = re.findall(
        r"^([A-Z_]+(?:, [A-Z_]+)*) = \(?\s*(\d+(?:, \d+)*)\)?", agent + real, re.MULTILINE
    )
    for names, values in assigned:
        if names.count(",") == values.count(","):
            found |= zip(names.split(", "), map(int, values.split(", ")), strict=True)
    assert [found[name] for name in commands] == list(range(len(commands)))
