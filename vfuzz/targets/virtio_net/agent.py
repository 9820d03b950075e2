# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside the guest for virtio-net-rx: plugs a device, and does what a program says to it.

The device is the module vfuzz_net (conform/modules): an action of the device is one command to it.
Actions of the user are system calls. Packets come from a packet socket. The line to the host is
that of conform/agent.py; standard library only.
"""

import ctypes
import fcntl
import importlib.util
import mmap
import operator
import os
import re
import socket
import struct
import sys
import termios
import tty
import zlib

_path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conform/agent.py")
_spec = importlib.util.spec_from_file_location("vfuzz_agent", _path)
agent = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(agent)

DEVICE = b"eth0"
NODE = "/dev/vfuzz_net"
PLUG, UNPLUG, POLL, BUSY_POLL, FREEZE, RESTORE, LOOK, DRAIN, LET = 0, 1, 8, 9, 10, 11, 12, 13, 14
TARGETS, END, WORK, XSK, XSK_GONE = 19, 21, 22, 23, 24
QUEUES = 3
NO_PACKETS = (0, 0, 0)
REQUEST = struct.Struct("<12I")
ANSWER = struct.Struct("<qiIQQQIIQQ" + 3 * "6IQQIIQQ" + "Q")
MANY = struct.Struct("<QQII")
DO = 3 << 30 | REQUEST.size << 16 | ord("V") << 8 | 1
DO_MANY = 1 << 30 | MANY.size << 16 | ord("V") << 8 | 2
TOGETHER = {"do": None, "nop": (LOOK,), "stats": (LOOK,)}  # steps that are a command each
MANY_MAX = 64
PAD = [(0,) * (12 - i) for i in range(13)]
SIOCETHTOOL, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8946, 0x8913, 0x8914
SRINGPARAM, GRINGPARAM, SCHANNELS, GCHANNELS = 0x11, 0x10, 0x3D, 0x3C
GSTRINGS, SFLAGS, GFLAGS = 0x1B, 0x26, 0x25
ETH_FLAG_RXHASH = 1 << 28
IFF_UP = 1
STATS_MAX = 128
ANSWER_MAX = ANSWER.size + 8 * STATS_MAX
PACKET_MAX = 1 << 17
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR = 3, 263, 8, 15
SO_RCVBUFFORCE, SO_MEMINFO = 33, 55
CTRL_RX = 18  # feature bit
MEMBERSHIP = struct.Struct("<iHH8s")
MR_MULTICAST, MR_PROMISC, MR_ALLMULTI, MR_UNICAST = range(4)
AUXDATA_SPACE = 64
TP_STATUS = 1 << 3 | 1 << 7  # checksum not ready, checksum valid
EAGAIN, ENODEV, EINVAL = 11, 19, 22
STAT = re.compile(rb"([rt]x)_?(?:queue_)?(\d+)_(\w+)$")
RX_STATS = (b"packets", b"bytes", b"drops", b"kicks", b"xdp_packets", b"xdp_tx", b"xdp_redirects",
            b"xdp_drops")  # fmt: skip
TX_STATS = (b"packets", b"bytes", b"xdp_tx", b"xdp_tx_drops", b"kicks")
PROBE_FAILED = re.compile(r"failed with error (-?\d+)")
FROZEN_OPS = ("restore", "consume")


class Interface:
    """System calls on the network interface."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.data = ctypes.create_string_buffer(12 + 32 * STATS_MAX)
        self.at = struct.pack("<16sQ16x", DEVICE, ctypes.addressof(self.data))
        self.places = {}
        self.others = None  # flags but IFF_UP: every such interface has the same

    def ethtool(self, command, fmt="", *values):
        """Returns 0 or -errno; what the kernel answers is in data."""
        struct.pack_into("<I" + fmt, self.data, 0, command, *values)
        try:
            fcntl.ioctl(self.sock, SIOCETHTOOL, self.at)
        except OSError as error:
            return -error.errno
        return 0

    def flags(self, up):
        try:
            if self.others is None:
                got = fcntl.ioctl(self.sock, SIOCGIFFLAGS, struct.pack("<16s24x", DEVICE))
                self.others = struct.unpack_from("<H", got, 16)[0] & ~IFF_UP
            now = struct.pack("<16sH22x", DEVICE, self.others | IFF_UP * up)
            fcntl.ioctl(self.sock, SIOCSIFFLAGS, now)
        except OSError as error:
            return -error.errno
        return 0

    def channels(self, n):
        return self.change(GCHANNELS, SCHANNELS, 8, n)  # combined_count

    def resize(self, num):
        return self.change(GRINGPARAM, SRINGPARAM, 5, num)  # rx_pending

    def change(self, get, put, at, value):
        """One number of nine that are read and written together."""
        ret = self.ethtool(get, "8I", *[0] * 8)
        if ret:
            return ret
        now = list(struct.unpack_from("<9I", self.data, 0))
        now[at] = value
        return self.ethtool(put, "8I", *now[1:])

    def rxhash(self):
        """Receive hashing on."""
        ret = self.ethtool(GFLAGS, "I", 0)
        flags = struct.unpack_from("<I", self.data, 4)[0]
        return ret or self.ethtool(SFLAGS, "I", flags | ETH_FLAG_RXHASH)

    def places_of(self, n):
        """What takes the statistics of each queue out of n, behind which is what to say of others:
        RX_STATS, then TX_STATS."""
        if n in self.places:
            return self.places[n]
        self.ethtool(GSTRINGS, "II", 1, n)
        found = {}
        for i in range(n):
            name = self.data.raw[12 + 32 * i : 44 + 32 * i].split(b"\0")[0]
            match = STAT.match(name)
            if match:
                found[match[1], int(match[2]), match[3]] = i
        self.places[n] = operator.itemgetter(*(
            found.get((kind, q, what), n)
            for q in range(QUEUES)
            for kind, names in ((b"rx", RX_STATS), (b"tx", TX_STATS))
            for what in names
        ))  # fmt: skip
        return self.places[n]


# ---- programs of XDP -----------------------------------------------------------------------------

BPF = 321
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_LOAD = 0, 1, 2, 5
MAP_TYPE_ARRAY, MAP_TYPE_XSKMAP, PROG_TYPE_XDP, PROG_HAS_FRAGS = 2, 17, 6, 1 << 5
ADJUST_HEAD, REDIRECT, REDIRECT_MAP, ADJUST_META, ADJUST_TAIL = 44, 23, 51, 54, 65  # helpers
XDP_PASS, XDP_REDIRECT = 2, 4
VERDICTS = 16
HEAD = struct.Struct("<3I52x")  # verdicts, the one for the next packet, bytes written so far
VERDICT = struct.Struct("<9I28x")  # returns, where to, count, push, pull, grow, trim, meta, write
RETURNS, WHERE, COUNT, PUSH, PULL, GROW, TRIM, META, WRITE = range(HEAD.size, HEAD.size + 36, 4)
META_MAX = 252
GONE = 0x7FFFFF00  # an interface that is not there
SOCKET = 0x7FFFFF01  # none at all: the AF_XDP socket of the queue
RTM_SETLINK, IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS = 19, 43, 1, 3
NLA_F_NESTED, NLMSG_ERROR, XDP_FLAGS_DRV_MODE = 1 << 15, 2, 1 << 2


class Assembler:
    """Instructions of eBPF, with labels for the places that are jumped to."""

    def __init__(self):
        self.code = []
        self.jumps = {}
        self.labels = {}

    def put(self, op, dst=0, src=0, off=0, imm=0):
        if isinstance(off, str):
            self.jumps[len(self.code)] = off
            off = 0
        self.code.append([op, dst | src << 4, off, imm])

    def label(self, name):
        self.labels[name] = len(self.code)

    def mov(self, dst, src):
        self.put(0xBF, dst, src)

    def set(self, dst, imm):
        self.put(0xB7, dst, imm=imm)

    def add(self, dst, imm):
        self.put(0x07, dst, imm=imm)

    def plus(self, dst, src):
        self.put(0x0F, dst, src)

    def load(self, dst, src, off):
        self.put(0x61, dst, src, off)

    def store(self, dst, off, src):
        self.put(0x63, dst, src, off)

    def byte(self, dst, off, src):
        self.put(0x73, dst, src, off)

    def negate(self, dst):
        self.put(0x87, dst)

    def call(self, helper):
        self.put(0x85, imm=helper)

    def if_equal(self, dst, imm, where):
        self.put(0x15, dst, off=where, imm=imm)

    def unless_equal(self, dst, imm, where):
        self.put(0x55, dst, off=where, imm=imm)

    def if_above(self, dst, src, where):
        self.put(0x2D, dst, src, where)

    def map(self, dst, fd):
        self.put(0x18, dst, 1, imm=fd)
        self.put(0)

    def map_value(self, dst, fd):
        self.put(0x18, dst, 2, imm=fd)
        self.put(0)

    def bytes(self):
        for at, name in self.jumps.items():
            self.code[at][2] = self.labels[name] - at - 1
        return b"".join(struct.pack("<BBhi", *one) for one in self.code)


def program_of(fd, sockets):
    """A program that does with each packet what the verdicts in map `fd` say, and counts them down;
    `sockets` has that of each queue.

    Bytes that it writes are those of model origin `program`: 1 + 7 * n for the n-th of all.
    """
    ctx, state, more, verdict = 6, 7, 8, 9
    a = Assembler()
    a.mov(ctx, 1)
    a.map_value(state, fd)
    a.set(0, XDP_PASS)
    a.load(1, state, 0)
    a.if_equal(1, 0, "out")
    a.load(verdict, state, 4)
    a.put(0x57, verdict, imm=VERDICTS - 1)
    a.put(0x27, verdict, imm=VERDICT.size)
    a.plus(verdict, state)
    for at, helper, less in ((PULL, ADJUST_HEAD, False), (META, ADJUST_META, True),
                             (PUSH, ADJUST_HEAD, True), (TRIM, ADJUST_TAIL, True),
                             (GROW, ADJUST_TAIL, False)):  # fmt: skip
        skip = f"behind {at}"
        a.load(more, verdict, at)
        a.if_equal(more, 0, skip)
        a.mov(1, ctx)
        a.mov(2, more)
        if less:
            a.negate(2)
        a.call(helper)
        if at == META:
            a.unless_equal(0, 0, skip)
            a.load(1, ctx, 8)  # data_meta
            a.load(2, ctx, 0)  # data
            pattern(a, state)
            for i in range(0, META_MAX, 4):
                a.mov(4, 1)
                a.add(4, i + 4)
                a.if_above(4, 2, "written")
                write(a, i)
            a.label("written")
            wrote(a, state, more)
        a.label(skip)
    a.load(more, verdict, WRITE)
    a.if_equal(more, 0, "count")
    a.add(more, -1)
    a.put(0x57, more, imm=0xFFF)
    a.load(1, ctx, 0)
    a.load(2, ctx, 4)  # data_end
    a.plus(1, more)
    a.mov(4, 1)
    a.add(4, 4)
    a.if_above(4, 2, "count")
    pattern(a, state)
    write(a, 0)
    a.set(more, 4)
    wrote(a, state, more)
    a.label("count")
    a.load(1, verdict, COUNT)
    a.if_equal(1, 0, "next")
    a.add(1, -1)
    a.store(verdict, COUNT, 1)
    a.unless_equal(1, 0, "act")
    a.label("next")
    a.load(1, state, 4)
    a.add(1, 1)
    a.load(2, state, 0)
    a.put(0x3D, 1, 2, "act")  # the last one stays
    a.store(state, 4, 1)
    a.label("act")
    a.load(0, verdict, RETURNS)
    a.unless_equal(0, XDP_REDIRECT, "out")
    a.load(1, verdict, WHERE)
    a.if_equal(1, SOCKET, "socket")
    a.set(2, 0)
    a.call(REDIRECT)
    a.put(0x95)
    a.label("socket")
    a.map(1, sockets)
    a.load(2, ctx, 16)  # rx_queue_index
    a.set(3, 0)  # XDP_ABORTED where there is none
    a.call(REDIRECT_MAP)
    a.label("out")
    a.put(0x95)
    return a.bytes()


def pattern(a, state):
    """The next byte that the program writes, in register 3."""
    a.load(3, state, 8)
    a.put(0x27, 3, imm=7)
    a.add(3, 1)


def write(a, at):
    """Four bytes behind register 1."""
    for k in range(4):
        a.byte(1, at + k, 3)
        a.add(3, 7)


def wrote(a, state, n):
    a.load(3, state, 8)
    a.plus(3, n)
    a.store(state, 8, 3)


class Programs:
    """XDP programs, what they are told, and their way to an interface."""

    def __init__(self, targets):
        """targets: interfaces by number: another device, a CPU's, one that is full."""
        device, cpu, full = targets
        self.where = (device, cpu, GONE, full, SOCKET)  # as the op names them
        self.key = ctypes.create_string_buffer(4)
        self.value = ctypes.create_string_buffer(HEAD.size + VERDICTS * VERDICT.size)
        self.fd = self.bpf(MAP_CREATE, struct.pack("<5I", MAP_TYPE_ARRAY, 4, len(self.value), 1,
                                                   0))  # fmt: skip
        self.at = struct.pack("<I4xQQQ", self.fd, ctypes.addressof(self.key),
                              ctypes.addressof(self.value), 0)  # fmt: skip
        self.sockets = self.bpf(MAP_CREATE, struct.pack("<5I", MAP_TYPE_XSKMAP, 4, 4, QUEUES, 0))
        code = program_of(self.fd, self.sockets)
        # two of each kind: one that is attached already is not attached anew
        self.loaded = [None] + [[self.load(code, flags) for _ in range(2)]
                                for flags in (0, PROG_HAS_FRAGS)]  # fmt: skip
        self.turn = 0
        self.told = False
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.sock.bind((0, 0))

    @staticmethod
    def bpf(command, attributes):
        """bpf(2): what it returns."""
        attributes = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
        ret = agent.libc.syscall(BPF, command, attributes, 128)
        if ret < 0:
            raise OSError(ctypes.get_errno(), f"bpf({command})")
        return ret

    def load(self, code, flags):
        """A program's descriptor; what the verifier says against it is the error."""
        data = ctypes.create_string_buffer(code, len(code))
        words = ctypes.create_string_buffer(b"GPL")
        log = ctypes.create_string_buffer(1 << 16)
        attributes = (PROG_TYPE_XDP, len(code) // 8, ctypes.addressof(data),
                      ctypes.addressof(words))  # fmt: skip
        try:
            return self.bpf(PROG_LOAD, struct.pack("<IIQQ16xII", *attributes, 0, flags))
        except OSError as error:
            behind = (1, len(log), ctypes.addressof(log), 0, flags)
            with agent.contextlib.suppress(OSError):
                self.bpf(PROG_LOAD, struct.pack("<IIQQIIQII", *attributes, *behind))
            raise OSError(error.errno, log.value.decode()[-2000:]) from None

    def forget(self):
        """No verdicts, nothing written."""
        if self.told:
            ctypes.memset(self.value, 0, len(self.value))
            self.bpf(MAP_UPDATE, self.at)
            self.told = False

    def verdict(self, returns, where, *rest):
        """Append a verdict: how many there are, -1 where there is no place for more."""
        self.told = True
        self.bpf(MAP_LOOKUP, self.at[:24])
        n, at, written = HEAD.unpack_from(self.value)
        if at == n - 1 and VERDICT.unpack_from(self.value, self.place(at))[2] == 0:
            n = at = 0  # the last one has had its packets
        if n == VERDICTS:
            return -1
        VERDICT.pack_into(self.value, self.place(n), returns, self.where[where], *rest)
        HEAD.pack_into(self.value, 0, n + 1, at, written)
        self.bpf(MAP_UPDATE, self.at)
        return n + 1

    def of_queue(self, queue, fd):
        """Redirection to the socket of a queue goes to this one, until it is closed."""
        both = ctypes.create_string_buffer(struct.pack("<II", queue, fd), 8)
        at = ctypes.addressof(both)
        self.bpf(MAP_UPDATE, struct.pack("<I4xQQQ", self.sockets, at, at + 4, 0))

    @staticmethod
    def place(i):
        return HEAD.size + i * VERDICT.size

    def attach(self, interface, kind):
        """kind: 0 none, 1 for one buffer, 2 for any number of them. 0 or -errno."""
        fd = self.loaded[kind][self.turn ^ 1] if kind else -1
        inner = struct.pack("<HHi", 8, IFLA_XDP_FD, fd)
        inner += struct.pack("<HHI", 8, IFLA_XDP_FLAGS, XDP_FLAGS_DRV_MODE)
        body = struct.pack("<BxHiII", 0, 0, interface, 0, 0)
        body += struct.pack("<HH", 4 + len(inner), IFLA_XDP | NLA_F_NESTED) + inner
        self.sock.send(struct.pack("<IHHII", 16 + len(body), RTM_SETLINK, 5, 1, 0) + body)
        while True:
            reply = self.sock.recv(65536)
            if struct.unpack_from("<H", reply, 4)[0] == NLMSG_ERROR:
                ret = struct.unpack_from("<i", reply, 16)[0]
                if ret == 0:  # the next is another one than what is attached
                    self.turn ^= 1
                return ret


# ---- AF_XDP --------------------------------------------------------------------------------------

AF_XDP, SOL_XDP = 44, 283
XDP_MMAP_OFFSETS, XDP_RX_RING, XDP_TX_RING, XDP_UMEM_REG = 1, 2, 3, 4
XDP_FILL_RING, XDP_COMPLETION_RING, XDP_STATISTICS = 5, 6, 7
XDP_ZEROCOPY, XDP_USE_NEED_WAKEUP, XDP_RING_NEED_WAKEUP = 1 << 2, 1 << 3, 1
PGOFF_RX, PGOFF_FILL = 0, 1 << 32
FILL_MAX, MEMORY = 64, 32 * 4096
DESC = struct.Struct("<QII")
NO_CHUNK = 1 << 40  # an address that is none
INDEX = struct.Struct("<I")
SIX = struct.Struct("<6Q")


class Ring:
    """A ring that socket and kernel share: `at` is where its producer, consumer and entries are."""

    def __init__(self, fd, option, num, page, at, entry):
        fd.setsockopt(SOL_XDP, option, num)
        self.producer, self.consumer, self.entries, self.flags = at
        self.map = mmap.mmap(fd.fileno(), self.entries + num * entry, offset=page)
        self.num, self.entry = num, entry

    def index(self, where):
        return INDEX.unpack_from(self.map, where)[0]

    def n(self):
        return self.index(self.producer) - self.index(self.consumer) & 0xFFFFFFFF

    def place(self, where):
        """Where the entry is that one of the indices says."""
        return self.entries + self.index(where) % self.num * self.entry

    def advance(self, where):
        INDEX.pack_into(self.map, where, self.index(where) + 1 & 0xFFFFFFFF)


class XdpSocket:
    """An AF_XDP socket with memory of its own, and its user, who has some of the chunks."""

    def __init__(self, chunk, headroom, chunks, num, filled, need_wakeup):
        """Raises OSError."""
        self.size = chunk
        self.need_wakeup = need_wakeup
        self.mine = list(range(chunks))  # chunks of the user, oldest first
        self.memory = mmap.mmap(-1, MEMORY, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.rings = []
        self.sock = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        try:
            where = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
            self.sock.setsockopt(SOL_XDP, XDP_UMEM_REG,
                                 struct.pack("<QQIIII", where, chunk * chunks, chunk, headroom, 0,
                                             0))  # fmt: skip
            at = self.sock.getsockopt(SOL_XDP, XDP_MMAP_OFFSETS, 128)
            rx, _, fill, _ = struct.iter_unpack("<4Q", at)
            self.fill = Ring(self.sock, XDP_FILL_RING, FILL_MAX, PGOFF_FILL, fill, 8)
            self.rings.append(self.fill)
            self.sock.setsockopt(SOL_XDP, XDP_COMPLETION_RING, FILL_MAX)
            self.rx = Ring(self.sock, XDP_RX_RING, num, PGOFF_RX, rx, DESC.size)
            self.rings.append(self.rx)
            self.sock.setsockopt(SOL_XDP, XDP_TX_RING, 1)  # there is no wakeup without
        except OSError:
            self.close()
            raise
        self.give(filled, False)

    def close(self):
        """A ring that is mapped holds the socket too."""
        for ring in self.rings:
            ring.map.close()
        self.sock.close()

    def bind(self, interface, queue):
        """0 or -errno."""
        flags = XDP_ZEROCOPY | (XDP_USE_NEED_WAKEUP if self.need_wakeup else 0)
        name = struct.pack("<HHIII", AF_XDP, flags, interface, queue, 0)
        return -ctypes.get_errno() if agent.libc.bind(self.sock.fileno(), name, len(name)) else 0

    def give(self, count, wrong):
        """Chunks to the fill ring, behind an address that is none: how many entries."""
        given = ([NO_CHUNK] if wrong else []) + [k * self.size for k in self.mine[:count]]
        given = given[: FILL_MAX - self.fill.n()]
        for address in given:
            struct.pack_into("<Q", self.fill.map, self.fill.place(self.fill.producer), address)
            self.fill.advance(self.fill.producer)
        del self.mine[: len(given) - bool(wrong and given)]
        return len(given)

    def take(self, count):
        """Packets from the receive ring: (how many, bytes, CRC of those, CRC of places)."""
        n = size = data_crc = at_crc = 0
        while n < count and self.rx.n():
            address, length, _ = DESC.unpack_from(self.rx.map, self.rx.place(self.rx.consumer))
            self.rx.advance(self.rx.consumer)
            chunk, offset = divmod(address, self.size)
            data_crc = zlib.crc32(self.memory[address : address + length], data_crc)
            at_crc = zlib.crc32(struct.pack("<HHH", chunk, offset, length), at_crc)
            size += length
            self.mine.append(chunk)
            n += 1
        return n, size, data_crc, at_crc

    def statistics(self):
        """Packets dropped, without a place, and looks at the fill ring that found nothing; wrong
        descriptors."""
        dropped, invalid, _, full, empty, _ = SIX.unpack(
            self.sock.getsockopt(SOL_XDP, XDP_STATISTICS, SIX.size)
        )
        return dropped, full, empty, invalid

    def wake(self):
        """First for transmission, then for reception: whose errors are the same."""
        try:
            self.sock.send(b"", socket.MSG_DONTWAIT)
            self.sock.recv(1, socket.MSG_DONTWAIT)  # of 0 Python does not ask
        except OSError as error:
            return -error.errno
        return 0


class Machine(agent.Machine):
    """The guest of virtio-net-rx."""

    def __init__(self, module):
        for kind, where in (("proc", "/proc"), ("sysfs", "/sys")):
            agent.libc.mount(kind.encode(), where.encode(), kind.encode(), 0, None)
        self.line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line, termios.TCSANOW)
        self.kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        agent.load_module(module)
        self.node = os.open(NODE, os.O_RDWR)
        self.io = bytearray(ANSWER_MAX)
        self.requests = bytearray(MANY_MAX * REQUEST.size)
        self.answers = bytearray(MANY_MAX * ANSWER_MAX)
        self.where = [ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))
                      for data in (self.requests, self.answers)]  # fmt: skip
        self.seen = self.counted = (b"", None)  # the last that was told, and its bytes
        self.order = "0"
        # an interface that is not there is not looked for among modules
        self.sysctl("kernel/modprobe", "\n")
        # each packet reaches its socket at once
        self.sysctl("net/core/gro_normal_batch", "1")
        self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 28)
        self.packets.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.packets.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.packets.setblocking(False)
        self.packet = bytearray(PACKET_MAX)
        self.interface = Interface()
        self.programs = Programs([self.do(TARGETS, i)[0] for i in range(3)])
        self.sockets = {}
        # whatever the kernel does by itself is done before this process goes on
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    def start(self):
        return {"release": os.uname().release}

    @staticmethod
    def sysctl(name, value):
        with open(f"/proc/sys/{name}", "w") as file:
            file.write(value)

    def do(self, *request):
        """One command of the module: its answer, unpacked."""
        REQUEST.pack_into(self.io, 0, *request, *PAD[len(request)])
        fcntl.ioctl(self.node, DO, self.io, True)
        return ANSWER.unpack_from(self.io)

    def receive_packets(self, most=1 << 30):
        """Up to `most` packets of those that the stack has: (number, CRC of bytes, of metadata).

        It holds the others, and their memory, as the model's does.
        """
        number = data_crc = meta_crc = 0
        view = memoryview(self.packet)
        while number < most:
            try:
                n, extra, _, _ = self.packets.recvmsg_into([self.packet], AUXDATA_SPACE)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != EINVAL:
                    raise
                # a packet that this header cannot describe
                meta_crc = zlib.crc32(b"\xff" * 10, meta_crc)
            else:
                status, length = struct.unpack_from("<II", extra[0][2])
                meta_crc = zlib.crc32(view[:10], meta_crc)
                meta_crc = zlib.crc32(struct.pack("<II", status & TP_STATUS, length), meta_crc)
                data_crc = zlib.crc32(view[10:n], data_crc)
            number += 1
        return number, data_crc, meta_crc

    def run(self, program):
        """Do a program: (what plugging returned, answers, pages left: none, log lines,
        the packets that it did not read)."""
        order = program["order"]
        if order != self.order:
            self.sysctl("net/core/high_order_alloc_disable", order)
            self.order = order
        self.programs.forget()
        self.counting = program["counts"]
        self.filters = program["plug"][0] >> CTRL_RX & 1
        self.mode = [0] * 4  # the memberships of a device that is gone are gone too
        answer = self.do(PLUG, *program["plug"])
        made = answer[0]
        log = []
        if made < 0:
            log = self.log()
            failed = [match for match in map(PROBE_FAILED.search, log) if match]
            made = int(failed[-1][1]) if failed else made
        if made == 0 and program["rxhash"]:
            self.interface.rxhash()
        if made == 0 and program["channels"] > 1:
            self.interface.channels(program["channels"])
        if made == 0 and program["open"]:
            self.told(self.interface.flags(True))
        self.frozen = False
        fresh = program["open"] or program["rxhash"] or program["channels"] > 1
        answers = [self.look(None, None if fresh else answer)]
        self.steps(program["steps"], answers)
        if self.sockets:
            self.close_sockets()
        self.do(UNPLUG)
        got = self.receive_packets()
        return (made, answers, (0, 0), log + self.log(), got)

    def steps(self, steps, answers):
        """Do them; their answers are appended. Commands of the module that stand behind each other
        are given to it together."""
        silent = []  # of each command: has its op no result?
        for action in steps:
            kind = action[0]
            if kind in TOGETHER and not self.frozen:
                request = TOGETHER[kind] or action[1:]
                REQUEST.pack_into(self.requests, REQUEST.size * len(silent), *request,
                                  *PAD[len(request)])  # fmt: skip
                silent.append(kind != "do")
                if len(silent) < MANY_MAX:
                    continue
                action = None
            if silent:
                self.many(silent, answers)
                silent = []
            if action is not None:
                answers.append(self.step(action))
        if silent:
            self.many(silent, answers)

    def many(self, silent, answers):
        """Commands that are in `requests`."""
        fcntl.ioctl(self.node, DO_MANY,
                    MANY.pack(*self.where, len(silent), len(self.answers)))  # fmt: skip
        at = 0
        for i, quiet in enumerate(silent, 1):
            answer = ANSWER.unpack_from(self.answers, at)
            here = at
            at += ANSWER.size + 8 * answer[-1]
            answers.append(self.told_of(self.answers, here, None if quiet else answer[0], answer,
                                        last=i == len(silent)))  # fmt: skip

    def look(self, ret, answer=None, got=NO_PACKETS):
        """What an op left: its result, the module's view, statistics, packets read."""
        if answer is None:
            answer = self.do(LOOK)
        return self.told_of(self.io, 0, ret, answer, got)

    def told_of(self, data, at, ret, answer, got=NO_PACKETS, last=True):
        """look() of an answer that is there. What is as it was is the same object, of which
        marshal writes down one. last: nothing was done since."""
        n = answer[-1]
        behind = at + ANSWER.size
        head = data[at + 8 : behind]  # without the result
        if head != self.seen[0]:
            self.seen = (head, answer[1:-1])
        stats = ()
        if n:
            tail = data[behind : behind + 8 * n]
            if tail != self.counted[0]:
                places = self.interface.places_of(n)
                values = (*struct.unpack_from(f"<{n}Q", tail), None)
                self.counted = (tail, places(values))
            stats = self.counted[1]
        counts = self.counts() if last and self.counting else None
        return (ret, self.seen[1], stats, got, counts)

    def counts(self):
        """What unread packets count against their socket's limit; sums of what sockets count."""
        memory = self.packets.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
        each = [one.statistics() for one in self.sockets.values()]
        return (INDEX.unpack_from(memory)[0], *[sum(of) for of in zip(*each, strict=True)])

    def step(self, action):
        kind = action[0]
        if self.frozen and kind not in FROZEN_OPS:
            return (-1, None, None, None)
        if kind == "do":
            answer = self.do(*action[1:])
            return self.look(answer[0], answer)
        if kind == "consume":
            got = self.receive_packets(action[1])
            return self.look(got[0], got=got)
        if kind == "xsk":
            return self.xsk(*action[1:])
        return self.look(getattr(self, kind)(*action[1:]))

    # ---- what the user does ----

    def nop(self):
        return None

    def settle(self):
        """The kernel has done what it had put off; contexts are held back again."""
        self.do(LET)
        return

    def told(self, ret):
        """What `ret` came from may have left work that tells the device what to receive: it ran."""
        if self.filters:
            self.do(LET)  # by a worker, behind that
        return ret

    def open(self):
        return self.told(self.interface.flags(True))

    def close(self):
        self.do(DRAIN)
        return self.told(self.interface.flags(False))

    def channels(self, n, let):
        self.do(DRAIN)
        if let:
            self.do(LET, 1)
        return self.interface.channels(n)

    def resize(self, num):
        self.do(DRAIN)
        return self.interface.resize(num)

    def work(self):
        return self.do(WORK)[0]

    def xdp(self, kind, let):
        """let: refill work may follow, and waits for contexts."""
        interface = self.do(DRAIN)[1]
        if not interface:
            return -ENODEV
        if let:
            self.do(LET, 1)
        return self.programs.attach(interface, kind)

    def verdict(self, *what):
        return self.programs.verdict(*what)

    def close_sockets(self):
        """The program is over: the device is broken, and its sockets go, and nothing is compared.
        The driver has a queue that is out of use back for that: docs/findings has why."""
        self.do(END)
        answer = self.do(LOOK)
        if answer[1] and max(self.sockets) >= answer[8]:
            self.programs.attach(answer[1], 1)
        for queue in sorted(self.sockets):
            self.unbind(queue)

    def unbind(self, queue):
        self.do(XSK, queue, 0)
        self.sockets.pop(queue).close()
        self.do(XSK_GONE, queue)

    def xsk(self, kind, queue, *what):
        """An op of AF_XDP: what it returns, and what the user sees of rings and packets."""
        taken = (0, 0, 0)
        if kind == "bind":
            ret = self.xsk_bind(queue, *what)
        elif queue not in self.sockets:
            return self.look(-1)
        elif kind == "unbind":
            self.do(DRAIN)
            self.unbind(queue)
            ret = 0
        elif kind == "fill":
            ret = self.sockets[queue].give(*what)
        elif kind == "take":
            ret, *taken = self.sockets[queue].take(*what)
        else:
            ret = self.sockets[queue].wake()
        of = self.sockets.get(queue)
        if not of:
            return (*self.look(ret), ())
        wakeup = of.fill.index(of.fill.flags) & XDP_RING_NEED_WAKEUP
        return (*self.look(ret), (of.fill.n(), of.rx.n(), wakeup, *taken))

    def xsk_bind(self, queue, *memory):
        interface = self.do(DRAIN)[1]
        try:
            made = XdpSocket(*memory)
        except OSError as error:
            return -error.errno
        if queue not in self.sockets:
            self.do(XSK, queue, 1)
        ret = made.bind(interface, queue)
        if ret == 0:
            self.sockets[queue] = made
            self.programs.of_queue(queue, made.sock.fileno())
        else:
            made.close()
            if queue not in self.sockets:
                self.do(XSK, queue, 0)
        return ret

    def freeze(self):
        self.do(DRAIN)
        ret = self.do(FREEZE)[0]
        self.frozen = ret == 0
        return ret

    def restore(self, let):
        if not self.frozen:
            return -19
        if let:
            self.do(LET, 1)
        ret = self.do(RESTORE)[0]
        self.frozen = False
        return ret

    def stats(self):
        return None

    def rx_mode(self, *wanted):
        """wanted: promiscuous, all multicast, unicast and multicast addresses as bits. What is new
        of it, or -errno."""
        interface = self.do(LOOK)[1]
        if not interface:
            return -ENODEV
        changes = 0
        kinds = (MR_PROMISC, MR_ALLMULTI, MR_UNICAST, MR_MULTICAST)
        for i, (kind, want) in enumerate(zip(kinds, wanted, strict=True)):
            for bit in range(4):
                if not (self.mode[i] ^ want) >> bit & 1:
                    continue
                first = {MR_UNICAST: 2, MR_MULTICAST: 3}.get(kind)
                address = bytes((first, 0, 0, 0, 1, bit)) if first else b""
                member = MEMBERSHIP.pack(interface, kind, len(address), address)
                self.packets.setsockopt(SOL_PACKET, 1 if want >> bit & 1 else 2, member)
                changes += 1
            self.mode[i] = want
        return self.told(changes)


if __name__ == "__main__":
    agent.be(lambda: (Machine(sys.argv[1]),))
