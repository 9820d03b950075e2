# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside the guest for virtio-net-rx: plugs a device, and does what a program says to it.

The device is the module vfuzz_net (conform/modules): an action of the device is one command to it.
Actions of the user are system calls. Packets come from a packet socket. The line to the host is
that of conform/agent.py; standard library only.
"""

import ctypes
import fcntl
import importlib.util
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
QUEUES = 3
NO_PACKETS = (0, 0, 0)
REQUEST = struct.Struct("<12I")
ANSWER = struct.Struct("<qiIQQQ" + 3 * "6IQQ" + "Q")
DO = 3 << 30 | REQUEST.size << 16 | ord("V") << 8 | 1
SIOCETHTOOL, SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8946, 0x8913, 0x8914
SRINGPARAM, GRINGPARAM, SCHANNELS, GCHANNELS = 0x11, 0x10, 0x3D, 0x3C
GSTRINGS, SFLAGS, GFLAGS = 0x1B, 0x26, 0x25
ETH_FLAG_RXHASH = 1 << 28
IFF_UP = 1
STATS_MAX = 128
PACKET_MAX = 1 << 17
ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR = 3, 263, 8, 15
SO_RCVBUFFORCE = 33
AUXDATA_SPACE = 64
TP_STATUS = 1 << 3 | 1 << 7  # checksum not ready, checksum valid
FINIT_MODULE = 313
EAGAIN, EINVAL = 11, 22
STAT = re.compile(rb"rx_?(?:queue_)?(\d+)_(packets|bytes|drops|kicks)$")
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
        """Where packets, bytes, drops and kicks of each queue are among n statistics."""
        if n in self.places:
            return self.places[n]
        self.ethtool(GSTRINGS, "II", 1, n)
        found = {}
        for i in range(n):
            name = self.data.raw[12 + 32 * i : 44 + 32 * i].split(b"\0")[0]
            match = STAT.match(name)
            if match:
                found[int(match[1]), match[2]] = i
        self.places[n] = [
            found.get((q, what))
            for q in range(QUEUES)
            for what in (b"packets", b"bytes", b"drops", b"kicks")
        ]
        return self.places[n]


class Machine(agent.Machine):
    """The guest of virtio-net-rx."""

    def __init__(self, module):
        for kind, where in (("proc", "/proc"), ("sysfs", "/sys")):
            agent.libc.mount(kind.encode(), where.encode(), kind.encode(), 0, None)
        self.line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line, termios.TCSANOW)
        self.kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        fd = os.open(module, os.O_RDONLY)
        if agent.libc.syscall(FINIT_MODULE, fd, b"", 0):
            raise OSError(ctypes.get_errno(), f"{module} cannot be loaded")
        os.close(fd)
        self.node = os.open(NODE, os.O_RDWR)
        self.io = bytearray(ANSWER.size + 8 * STATS_MAX)
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
        self.io[:48] = REQUEST.pack(*request, *[0] * (12 - len(request)))
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
            self.interface.flags(True)
        self.frozen = False
        fresh = program["open"] or program["rxhash"] or program["channels"] > 1
        before = self.look(None, None if fresh else answer)
        answers = [self.step(action) for action in program["steps"]]
        self.do(UNPLUG)
        got = self.receive_packets()
        return (made, [before, *answers], (0, 0), log + self.log(), got)

    def look(self, ret, answer=None, got=NO_PACKETS):
        """What an op left: its result, the module's view, statistics, packets read."""
        if answer is None:
            answer = self.do(LOOK)
        n = answer[-1]
        stats = ()
        if n:
            values = struct.unpack_from(f"<{n}Q", self.io, ANSWER.size)
            places = self.interface.places_of(n)
            stats = tuple([None if place is None else values[place] for place in places])
        return (ret, answer[1:-1], stats, got)

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
        return self.look(getattr(self, kind)(*action[1:]))

    # ---- what the user does ----

    def nop(self):
        return None

    def settle(self):
        """The kernel has done what it had put off; contexts are held back again."""
        self.do(LET)
        return

    def open(self):
        return self.interface.flags(True)

    def close(self):
        self.do(DRAIN)
        return self.interface.flags(False)

    def channels(self, n):
        self.do(DRAIN)
        self.do(LET, 1)
        return self.interface.channels(n)

    def resize(self, num):
        self.do(DRAIN)
        return self.interface.resize(num)

    def freeze(self):
        self.do(DRAIN)
        ret = self.do(FREEZE)[0]
        self.frozen = ret == 0
        return ret

    def restore(self):
        if not self.frozen:
            return -19
        self.do(LET, 1)
        ret = self.do(RESTORE)[0]
        self.frozen = False
        return ret

    def stats(self):
        return None


if __name__ == "__main__":
    agent.be(lambda: (Machine(sys.argv[1]),))
