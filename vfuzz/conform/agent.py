# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside the guest, as its first process: does the actions that the host sends.

It is a file by itself, with nothing but the standard library, and knows no target's programs: the
host turns an op into one action, a tuple whose first item names a method of Process. What need not
be looked at at once is written down and done together: Calls. Everything
goes over one serial line, /dev/ttyS0, as frames: MAGIC, length, marshal. Bigger things (programs)
are a file on the host, which is read through hostfs: the frame has its path.

An action's answer is (ret, data): 0, a count or -errno, and bytes that the call gave, or None.
"""

import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib.util
import marshal
import os
import socket
import struct
import sys
import termios
import threading
import time
import traceback
import tty
import zlib
from array import array

MAGIC = b"\x00vfz"
AREA = 0x7E00000000  # a process of User-Mode Linux ends at 0x7F80000000, with its stack
AREA_PAGES = 4096
VIEW = 0x7D00000000  # all of the pool, in physical order
PAGE = 4096
CHUNK_PAGES = 16  # compared with zeros at once
ZEROS = bytes(CHUNK_PAGES * PAGE)
CONTENTS_FEW = 256  # pages that are looked at after an op; all at the end
NODE = 100  # file descriptors, the same in every process
EVENTFD = 101
EVENTFDS = 3
FILES = 104
FILES_N = 4
NO_FILE = (1 << 64) - 1
NOT_EVENTFD = 108
CLOSED = 109
KEPT = 111  # the eventfds once more: what a program closes can still be signalled
FILE_PAGES = 8192
NODE_PATH = "/dev/vhost-vdpa-0"
DEVICE = b"vfuzz0"
GARBAGE_MIN = 50_000  # objects more than there were, until it is looked which are in circles
REMOVAL_MAX_MS = 2000  # until the node of a device that is being removed is gone

SYS_READ, SYS_WRITE, SYS_CLOSE, SYS_MMAP, SYS_MUNMAP, SYS_IOCTL, SYS_PREAD = 0, 1, 3, 9, 11, 16, 17
SYS_YIELD, SYS_FCNTL, SYS_SCHEDULER, SYS_RLIMIT = 24, 72, 144, 160
OPEN_AT, COPY, PINNED, PINS = range(0x1000, 0x1004)  # of the module
CALL = struct.Struct("<II6Qq")
CALLS_HEADER = struct.Struct("<QQ")
SETTING = struct.Struct("<64s64s")
DO = 3 << 30 | CALLS_HEADER.size << 16 | ord("C") << 8 | 1
SET = 3 << 30 | SETTING.size << 16 | ord("C") << 8 | 2
UNDONE = 1 << 40
RECORD_MAX = 8192  # of the kernel's log
CALLS_MAX, CALLS_SPARE = 8192, 4400  # a mapping may be a call for each page
DATA_PAGES, DATA_SPARE = 1024, 1 << 20
RLIMIT_MEMLOCK, NO_LIMIT = 8, (1 << 64) - 1
FINIT_MODULE = 313
DEBUGFS = b"/sys/kernel/debug"
MEMORY = "/dev/mem"
LEAST_AGES = (500, 1250, 1500, 5000)  # jiffies in five seconds
LEAST_AGE_S = 5.1
LEAK_REST_S = 0.05  # for what is freed later than its owner

PROT_READ, PROT_WRITE = 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANON, MAP_POPULATE = 1, 2, 0x10, 0x20, 0x8000
CLONE_FILES, SIGCHLD = 0x400, 17
SYS_CLONE = 56

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long)  # fmt: skip
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
libc.syscall.restype = ctypes.c_long
libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
MAP_FAILED = ctypes.c_void_p(-1).value


def mmap_at(address, pages, prot, flags, fd, offset):
    """mmap(2): the address or -errno."""
    got = libc.mmap(address, pages * PAGE, prot, flags, fd, offset * PAGE)
    return -ctypes.get_errno() if got == MAP_FAILED else got


def put_fd(fd, number):
    """Give an open file the number that it has in every process."""
    if fd != number:
        os.dup2(fd, number, inheritable=False)
        os.close(fd)


# ---- many calls at once --------------------------------------------------------------------------


class Calls:
    """System calls that are written down, and made together by the module vfuzz_calls.

    Nothing of a call may be looked at before flush(). Without a module, which is for tests, they
    are made one by one.
    """

    def __init__(self, node=None):
        self.node = node
        self.data = mmap_at(None, DATA_PAGES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANON, -1, 0)  # fmt: skip
        self.at = mmap_at(None, CALLS_MAX * CALL.size // PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANON, -1, 0)  # fmt: skip
        self.calls = (ctypes.c_char * (CALLS_MAX * CALL.size)).from_address(self.at)
        self.rets = (ctypes.c_int64 * (CALLS_MAX * CALL.size // 8)).from_address(self.at)
        self.bytes = (ctypes.c_char * (DATA_PAGES * PAGE)).from_address(self.data)
        self.n = self.used = self.done = 0

    def add(self, number, a=0, b=0, c=0, d=0, e=0, f=0):
        """Write a call down; its place."""
        n = self.n
        CALL.pack_into(self.calls, n * CALL.size, number, 0, a, b, c, d, e, f, UNDONE)
        self.n = n + 1
        return n

    def put(self, data):
        """Bytes that a call needs: their address."""
        at = self.used
        self.used = at + (len(data) + 15 & ~15)
        self.bytes[at : at + len(data)] = data
        return self.data + at

    def room(self, n):
        """The address of n bytes, which may be anything."""
        at = self.used
        self.used = at + (n + 15 & ~15)
        return self.data + at

    def got(self, address, n):
        """Bytes that a call left."""
        at = address - self.data
        return self.bytes[at : at + n]

    def ret(self, i):
        """What a call returned; UNDONE: it was passed over."""
        return self.rets[i * 8 + 7]

    def failed(self, first, last):
        """The first error among calls, or 0."""
        for ret in self.rets[first * 8 + 7 : last * 8 : 8]:
            if ret < 0:
                return ret
        return 0

    def group(self, first):
        """Of the calls from `first` on the first that fails ends all of them."""
        for i in range(first, self.n):
            struct.pack_into("<I", self.calls, i * CALL.size + 4, self.n - i - 1)

    def full(self):
        return self.n > CALLS_MAX - CALLS_SPARE or self.used > DATA_PAGES * PAGE - DATA_SPARE

    def flush(self):
        """Make those that were not made yet."""
        if self.done == self.n:
            return
        if self.node is None:
            self.one_by_one()
        else:
            fcntl.ioctl(self.node, DO, CALLS_HEADER.pack(self.at + self.done * CALL.size,
                                                         self.n - self.done))  # fmt: skip
        self.done = self.n

    def clear(self):
        """Forget what was written down."""
        self.n = self.used = self.done = 0

    def one_by_one(self):
        i = self.done
        while i < self.n:
            number, skip, *args, _ = CALL.unpack_from(self.calls, i * CALL.size)
            if number == COPY:
                ctypes.memmove(args[0], args[1], args[2])
                ret = 0
            else:
                ret = libc.syscall(number, *[ctypes.c_long(arg) for arg in args])
                ret = -ctypes.get_errno() if ret < 0 else ret
            self.rets[i * 8 + 7] = ret
            i += 1 + (skip if ret < 0 else 0)


# ---- physical memory -----------------------------------------------------------------------------


class Pool:
    """Pages of a shared file in physical order: page n of it lies right behind page n - 1."""

    FD = 110

    def __init__(self, pages):
        put_fd(os.memfd_create("pool"), self.FD)
        os.ftruncate(self.FD, pages * PAGE)
        start = mmap_at(None, pages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self.FD, 0)
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            entries = os.pread(pagemap.fileno(), 8 * pages, start // PAGE * 8)
        libc.munmap(start, pages * PAGE)
        pfns = [entry & ((1 << 55) - 1) for (entry,) in struct.iter_unpack("<Q", entries)]
        where = sorted(zip(pfns, range(pages), strict=True))
        best = (0, 0)
        first = 0
        for i in range(1, pages + 1):
            if i == pages or where[i][0] != where[i - 1][0] + 1:
                best = max(best, (i - first, first))
                first = i
        self.offsets = [offset for _, offset in where[best[1] : best[1] + best[0]]]
        # how many pages from each on lie behind each other in the file too: one mmap() does
        self.runs = [1] * len(self.offsets)
        for i in range(len(self.offsets) - 2, -1, -1):
            if self.offsets[i + 1] == self.offsets[i] + 1:
                self.runs[i] = self.runs[i + 1] + 1
        calls = Calls()
        self.place(calls, VIEW, 0, len(self.offsets), PROT_READ | PROT_WRITE, MAP_POPULATE)
        calls.flush()
        if any(calls.ret(i) < 0 for i in range(calls.n)):
            raise OSError(errno.ENOMEM, "the pool cannot be mapped")

    def __len__(self):
        return len(self.offsets)

    def place(self, calls, address, first, count, prot, flags=0):
        """Pages first, ... of the pool at an address."""
        while count:
            n = min(count, self.runs[first])
            calls.add(SYS_MMAP, address, n * PAGE, prot, MAP_SHARED | MAP_FIXED | flags, self.FD,
                      self.offsets[first] * PAGE)  # fmt: skip
            address, first, count = address + n * PAGE, first + n, count - n


# ---- generic netlink -----------------------------------------------------------------------------


class Netlink:
    """The family `vdpa`: devices come and go."""

    NEW, DEL = 3, 4
    MGMTDEV, NAME, MAC, FEATURES = 2, 4, 10, 20

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.bind((0, 0))
        reply = self._ask(16, 3, 1, self._attr(2, b"vdpa\0"))
        self.family = 0
        at = 20
        while at + 4 <= len(reply):
            length, kind = struct.unpack_from("<HH", reply, at)
            if kind == 1:
                self.family = struct.unpack_from("<H", reply, at + 4)[0]
            at += (length + 3) & ~3
        if not self.family:
            raise OSError(errno.ENOENT, "generic netlink has no family vdpa")

    @staticmethod
    def _attr(kind, data):
        return struct.pack("<HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

    def _ask(self, family, command, version, attrs):
        body = struct.pack("<BBH", command, version, 0) + attrs
        self.sock.send(struct.pack("<IHHII", 16 + len(body), family, 5, 1, 0) + body)
        reply = self.sock.recv(65536)
        kind = struct.unpack_from("<H", reply, 4)[0]
        if kind == 2:
            code = struct.unpack_from("<i", reply, 16)[0]
            if code:
                raise OSError(-code, "netlink")
            return b""
        if len(reply) >= 16 and family == 16:
            self.sock.recv(65536)  # the acknowledgement behind it
        return reply

    def add(self, device, parent=b"vdpasim_net", name=DEVICE):
        """device: (features, 0 for all; MAC address, empty for none)."""
        features, mac = device
        attrs = self._attr(self.MGMTDEV, parent + b"\0") + self._attr(self.NAME, name + b"\0")
        if features:
            attrs += self._attr(self.FEATURES, struct.pack("<Q", features))
        if mac:
            attrs += self._attr(self.MAC, mac)
        try:
            self._ask(self.family, self.NEW, 1, attrs)
        except OSError as error:
            return -error.errno
        return 0

    def remove(self, name=DEVICE):
        try:
            self._ask(self.family, self.DEL, 1, self._attr(self.NAME, name + b"\0"))
        except OSError as error:
            return -error.errno
        return 0


# ---- the process that programs are about ---------------------------------------------------------


class Process:
    """The calls of one process; its child is another one with the same files.

    A method named as an action writes calls down, and says how to read their answer from them.
    """

    PATH = ctypes.create_string_buffer(NODE_PATH.encode())

    def __init__(self, pool, node=None):
        self.pool = pool
        self.calls = Calls(node)
        self.status = os.open("/proc/self/status", os.O_RDONLY)
        self.doorbells = set()
        # where each page of the area can be reached, 0 for nowhere, and whether it is writable
        self.where = array("Q", bytes(8 * AREA_PAGES))
        self.writable = bytearray(AREA_PAGES)
        self.anonymous = bytearray(AREA_PAGES)  # of nobody else: all zeros until it is there
        self.mapped = False  # memory of its own, since it was used last
        self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)

    def note(self, action):
        """Write an action down: what answer() needs."""
        return getattr(self, action[0])(*action[1:])

    def answer(self, note):
        """(ret, data) of an action, after flush()."""
        first, last, ret, address, n = note
        for i in range(first, last):
            got = self.calls.ret(i)
            if got < 0:
                return (got, None)
        if ret is None:
            ret = self.calls.ret(last - 1)
        return (ret, self.calls.got(address, n) if n else None)

    def do(self, action):
        """An action by itself."""
        note = self.note(action)
        self.calls.flush()
        return self.answer(note)

    def said(self, first, ret=0, address=0, n=0):
        """What answer() needs of the calls from `first` on. ret: None is that of the last of them;
        n bytes at an address are what it gave."""
        return (first, self.calls.n, ret, address, n)

    def nop(self):
        return self.said(self.calls.n)

    def open(self):
        return self.said(self.calls.add(OPEN_AT, ctypes.addressof(self.PATH), os.O_RDWR, NODE))

    def close(self):
        for upage in self.doorbells:
            self.calls.add(SYS_MUNMAP, AREA + upage * PAGE, PAGE)
        self.doorbells.clear()
        return self.said(self.calls.add(SYS_CLOSE, NODE))

    def ioctl(self, request, arg):
        """arg: what it points at, None for NULL; of a reading request the data are that, after."""
        if arg is None:
            return self.said(self.calls.add(SYS_IOCTL, NODE, request), None)
        at = self.calls.put(arg)
        i = self.calls.add(SYS_IOCTL, NODE, request, at)
        return self.said(i, None, at, len(arg) if request >> 31 else 0)

    def write(self, data):
        i = self.calls.add(SYS_WRITE, NODE, self.calls.put(data), len(data))
        return self.said(i, None)

    def map(self, pieces, readonly, seen=()):
        """pieces: (upage, first page of the pool, count) that the kernel may be asked for; seen:
        all that there are, if the guest may use them: it does so in the pool."""
        prot = PROT_READ if readonly else PROT_READ | PROT_WRITE
        start = self.calls.n
        for upage, first, count in pieces:
            self.pool.place(self.calls, AREA + upage * PAGE, first, count, prot)
        for upage, first, count in seen:
            self.mark(upage, count, VIEW + first * PAGE, not readonly)
        return self.said(start)

    def mark(self, upage, pages, address, writable=False):
        """Pages of the area are at an address now; 0: they are gone."""
        ends = address + pages * PAGE if address else 0
        self.where[upage : upage + pages] = array("Q", range(address, ends, PAGE) if address
                                                  else bytes(8 * pages))  # fmt: skip
        self.writable[upage : upage + pages] = bytes([writable]) * pages

    def map_vma(self, upage, pages, shared, readonly, file, pgoff):
        """As a process does it: anonymous memory, or a shared file."""
        prot = PROT_READ if readonly else PROT_READ | PROT_WRITE
        flags = MAP_FIXED | (MAP_SHARED if shared else MAP_PRIVATE | MAP_ANON)
        address = AREA + upage * PAGE
        i = self.calls.add(SYS_MMAP, address, pages * PAGE, prot, flags,
                           FILES + file if shared else NO_FILE, pgoff * PAGE)  # fmt: skip
        self.mark(upage, pages, address, not readonly)
        self.anonymous[upage : upage + pages] = bytes([not shared]) * pages
        self.mapped = True
        return self.said(i)

    def map_node(self, upage, pages, pgoff, private, readable):
        """Made at once: what becomes of the memory that was there depends on the answer."""
        prot = PROT_READ | PROT_WRITE if readable else PROT_WRITE
        flags = MAP_FIXED | (MAP_PRIVATE if private else MAP_SHARED)
        i = self.calls.add(SYS_MMAP, AREA + upage * PAGE, pages * PAGE, prot, flags, NODE,
                           pgoff * PAGE)  # fmt: skip
        self.calls.flush()
        got = self.calls.ret(i)
        if got != -errno.EBADF:
            self.mark(upage, pages, 0)  # what was there is gone, whatever becomes of this
        if got >= 0:
            self.doorbells.add(upage)
        return self.said(i)

    def unmap(self, upage, pages):
        self.mark(upage, pages, 0)
        return self.said(self.calls.add(SYS_MUNMAP, AREA + upage * PAGE, pages * PAGE))

    def limit(self, pages):
        limit = self.calls.put(struct.pack("<QQ", pages * PAGE, NO_LIMIT))
        return self.said(self.calls.add(SYS_RLIMIT, RLIMIT_MEMLOCK, limit))

    def close_fd(self, which):
        return self.said(self.calls.add(SYS_CLOSE, EVENTFD + which))

    def refuse(self, code, node=False):
        """What no process can ask for. node: of the open node."""
        first = self.calls.n
        if node:
            self.calls.add(SYS_FCNTL, NODE, fcntl.F_GETFD)
        return self.said(first, -code)

    def forget(self):
        """Leave the area as it was before the program."""
        self.doorbells.clear()
        self.mark(0, AREA_PAGES, 0)
        return self.said(self.calls.add(SYS_MUNMAP, AREA, AREA_PAGES * PAGE))

    def reach(self, at, n, write):
        """[(address, bytes)] of n bytes at byte `at` of the area; None if that is a fault."""
        parts = []
        while n:
            upage, off = divmod(at, PAGE)
            if upage >= AREA_PAGES or not self.where[upage]:
                return None
            if write and not self.writable[upage]:
                return None
            part = min(n, PAGE - off)
            parts.append((self.where[upage] + off, part))
            at, n = at + part, n - part
        return parts

    def pinned(self):
        """Pages that the process is charged for, from VmPin."""
        text = os.pread(self.status, 4096, 0)
        at = text.find(b"VmPin:")
        return int(text[at + 6 : text.index(b"kB", at)]) // 4


# ---- the guest of the device ---------------------------------------------------------------------


class Turns:
    """Whose turn it is: as a real-time process the agent is never interrupted by the kernel's
    threads, which do the device's work; they work when it lets them."""

    def __init__(self, calls):
        self.calls = calls
        self.load = os.open("/proc/loadavg", os.O_RDONLY)
        self.first = ctypes.create_string_buffer(struct.pack("<i", 1))
        self.last = ctypes.create_string_buffer(struct.pack("<i", 0))
        with contextlib.suppress(OSError), open("/proc/sys/kernel/sched_rt_runtime_us", "w") as rt:
            rt.write("-1")

    def mine(self):
        self.calls.add(SYS_SCHEDULER, 0, os.SCHED_FIFO, ctypes.addressof(self.first))

    def rest(self, first=None):
        """Until nobody but the agent has anything to do; what is written down comes before. first:
        one of that, from which on a call that fails ends all: was there none?"""
        calls = self.calls
        calls.add(SYS_SCHEDULER, 0, os.SCHED_IDLE, ctypes.addressof(self.last))
        text = calls.room(64)
        while True:
            calls.add(SYS_YIELD)
            i = calls.add(SYS_PREAD, self.load, text, 64)
            if first is not None:
                calls.group(first)
            calls.flush()
            if first is not None and calls.failed(first, calls.n):
                return False
            if b" 1/" in calls.got(text, calls.ret(i)):
                return True
            first = None
            calls.n = calls.done = i - 1  # the same two again


class Driver:
    """What a guest does with its rings: stores, loads and kicks, and the time that it waits."""

    KICK = ctypes.create_string_buffer(b"\1\0\0\0\0\0\0\0")

    def __init__(self, turns):
        self.turns = turns

    def begin(self, process, frames, va, signals):
        """frames: pages of the pool that the program has; va: it is not in the pool; signals: count
        those of the eventfds."""
        self.process = process
        self.calls = process.calls
        self.frames = frames
        self.va = va
        self.signals = signals
        self.turns.mine()

    def do(self, entries, caller):
        """note() and answer() at once."""
        note = self.note(entries, caller)
        self.calls.flush()
        return self.answer(note)

    def note(self, entries, caller):
        """Write the entries down, up to the first that will fail: what answer() needs.

        Memory that was mapped anew is used in another system call: in the same one the kernel of
        User-Mode Linux may still copy to the old pages.
        """
        calls = self.calls
        first = calls.n
        loads = []
        contents = None
        failed = 0
        for kind, at, what in entries:
            if kind == "store":
                parts = self.process.reach(at, len(what), True)
                if parts is None:
                    failed = -errno.EFAULT
                    break
                if self.process.mapped and self.wait(first):
                    break
                bytes_at = calls.put(what)
                for address, n in parts:
                    calls.add(COPY, address, bytes_at, n)
                    bytes_at += n
            elif kind == "load":
                parts = self.process.reach(at, what, False)
                if parts is None:
                    failed = -errno.EFAULT
                    break
                if self.process.mapped and self.wait(first):
                    break
                bytes_at = calls.room(what)
                done = 0
                for address, n in parts:
                    i = calls.add(COPY, bytes_at + done, address, n)
                    done += n
                loads.append((i, bytes_at, what))
            elif kind == "kick":
                calls.add(SYS_WRITE, KEPT + at, ctypes.addressof(self.KICK), 8)
            elif kind == "run":
                if not self.turns.rest(first):
                    break
                self.process.mapped = False
                self.turns.mine()
                contents = self.contents(CONTENTS_FEW)[0]
            elif kind == "call":
                if caller is not self.process:
                    failed = self.wait(first) or min(caller.do(what)[0], 0)
                else:
                    failed = min(caller.note(what)[2] or 0, 0)
                if failed:
                    break
            else:
                failed = -at
                break
        calls.group(first)
        return (first, calls.n, failed, loads, contents)

    def wait(self, first):
        """Make what is written down; what failed of an op that began with call `first`, or 0."""
        self.calls.group(first)
        self.calls.flush()
        self.process.mapped = False
        return self.calls.failed(first, self.calls.n)

    def answer(self, note):
        """(ret, loads, contents), after flush()."""
        first, last, failed, loads, contents = note
        ret = self.calls.failed(first, last) or failed
        got = [self.calls.got(at, n) for i, at, n in loads if not self.calls.ret(i)]
        return (ret, got, contents)

    def contents(self, limit):
        """A number for all bytes of the memory, and the pages with any: [(address, bytes)]."""
        total = 0
        found = []
        differs = libc.memcmp
        for start, pages, key in self._runs(limit):
            for first in range(0, pages, CHUNK_PAGES):
                n = min(CHUNK_PAGES, pages - first)
                address = start + first * PAGE
                if not differs(address, ZEROS, n * PAGE):
                    continue
                for at in range(address, address + n * PAGE, PAGE):
                    if differs(at, ZEROS, PAGE):
                        page = (ctypes.c_char * PAGE).from_address(at)
                        total += zlib.crc32(page, key + (at - start) // PAGE)
                        found.append(at)
        return total & 0xFFFFFFFF, found

    def _runs(self, limit):
        """(address, pages, key of the first) of what is looked at."""
        if not self.va:
            yield VIEW, min(self.frames, limit), 0
            return
        where, anonymous = self.process.where, self.process.anonymous
        pages = min(AREA_PAGES, limit)
        there = array("Q", os.pread(self.process.pagemap, 8 * pages, AREA // PAGE * 8))
        for upage in range(pages):
            if where[upage] and (there[upage] >> 63 or not anonymous[upage]):
                yield where[upage], 1, upage

    def end(self):
        """Leave the memory clean, the eventfds at 0, with what is written down: what ended()
        needs."""
        self.turns.rest()
        contents, pages = self.contents(len(self.process.pool))
        if self.va:
            for file in range(FILES, FILES + FILES_N):
                os.ftruncate(file, 0)
                os.ftruncate(file, FILE_PAGES * PAGE)
        else:
            for address in pages:
                ctypes.memset(address, 0, PAGE)
        at = self.calls.room(8 * EVENTFDS)
        first = self.calls.n
        for i in range(EVENTFDS):
            self.calls.add(SYS_READ, KEPT + i, at + 8 * i, 8)
        return first, at, contents

    def ended(self, note):
        """{"contents", "e0", "e1", "e2"}, after flush()."""
        first, at, contents = note
        seen = {"contents": contents}
        for i in range(EVENTFDS):
            there = self.calls.ret(first + i) == 8
            count = self.calls.got(at + 8 * i, 8) if there else b""
            if self.signals:
                seen[f"e{i}"] = int.from_bytes(count, sys.byteorder)
        return seen


class Child:
    """A process with memory of its own that shares every file descriptor."""

    def __init__(self, pool, node):
        to_child, self.to_child = os.pipe()
        self.from_child, from_child = os.pipe()
        pid = libc.syscall(SYS_CLONE, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone")
        if pid == 0:
            process = Process(pool, node)
            while True:
                data = os.read(to_child, 65536)
                action = marshal.loads(data)
                answer = process.pinned() if action[0] == "pinned" else process.do(action)
                process.calls.clear()
                os.write(from_child, marshal.dumps(answer))
        self.pid = pid
        # it works only when it is asked, and then for the first process
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))

    def do(self, action):
        os.write(self.to_child, marshal.dumps(action))
        return marshal.loads(os.read(self.from_child, 65536))

    def pinned(self):
        return self.do(("pinned",))


# ---- the machine ---------------------------------------------------------------------------------


def load_module(path, parameters=b""):
    """Load one; what it says of itself is in the kernel's log."""
    fd = os.open(path, os.O_RDONLY)
    if libc.syscall(FINIT_MODULE, fd, parameters, 0):
        raise OSError(ctypes.get_errno(), f"{path} cannot be loaded")
    os.close(fd)


class Machine:
    """All of the guest: device, processes, line to the host."""

    def __init__(self, module, parameters, *vduse):
        """module: vfuzz_calls. vduse: the module vfuzz_vduse, and what it takes."""
        for kind, where in (("proc", "/proc"), ("sysfs", "/sys")):
            libc.mount(kind.encode(), where.encode(), kind.encode(), 0, None)
        self.line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.line, termios.TCSANOW)
        self.kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        load_module(module, parameters)
        self.of_vduse = vduse  # how its module is loaded
        self.vduse = None
        self.node = os.open("/dev/vfuzz_calls", os.O_RDWR)  # of the module
        self.vmstat = os.open("/proc/vmstat", os.O_RDONLY)
        put_fd(os.open("/dev/null", os.O_RDWR), NOT_EVENTFD)
        for i in range(FILES_N):
            put_fd(os.memfd_create(f"file{i}"), FILES + i)
            os.ftruncate(FILES + i, FILE_PAGES * PAGE)
        for i in range(EVENTFDS):
            put_fd(os.eventfd(0, os.EFD_NONBLOCK), KEPT + i)
        self.open_eventfds()
        self.netlink = None
        self.parameters = {}  # of modules: what was asked for last
        self.made = None  # the device that is there, as it was asked for; None: there is none
        self.traces = set()  # what programs left in it
        self.child = None
        self.memory = None  # what the area of the first process holds, if it is what begins one
        self.pinned = 0  # pins that the programs so far left behind
        self.removal = None  # a thread that waits for the node to be closed

    def start(self, pool_pages):
        self.pool = Pool(pool_pages)
        self.parent = Process(self.pool, self.node)
        self.calls = self.parent.calls
        self.driver = Driver(Turns(self.calls))
        return {"pool": len(self.pool), "runs": 1 + sum(
            b != a + 1 for a, b in zip(self.pool.offsets, self.pool.offsets[1:], strict=False)
        ), "release": os.uname().release}  # fmt: skip

    def open_eventfds(self):
        for i in range(EVENTFDS):
            os.dup2(KEPT + i, EVENTFD + i, inheritable=False)

    def pins(self):
        """Page pins of everybody, taken and not given back."""
        text = os.pread(self.vmstat, 65536, 0)
        counts = []
        for name in (b"nr_foll_pin_acquired ", b"nr_foll_pin_released "):
            at = text.index(name) + len(name)
            counts.append(int(text[at : text.index(b"\n", at)]))
        return counts[0] - counts[1]

    def log(self, record=b""):
        """Lines of the kernel's log. record: one that was read before."""
        lines = []
        while True:
            if record:
                text = record.decode(errors="replace")
                lines.append(text.split(";", 1)[-1].split("\n", 1)[0])
            try:
                record = os.read(self.kmsg, RECORD_MAX)
            except BlockingIOError:
                return lines
            except OSError:  # EPIPE: the ring ran over
                record = b""

    def parameter(self, name, value):
        """Set a module's parameter; was it another one? The modules read it whenever a node is
        opened or a device made."""
        if self.parameters.get(name) == value:
            return False
        fcntl.ioctl(self.node, SET, SETTING.pack(name.encode(), value.encode()))
        with open(f"/sys/module/{name.replace('.', '/parameters/')}") as file:
            got = file.read().strip()
        if got != value:
            raise OSError(errno.EINVAL, f"{name} is {got}, not {value}")
        self.parameters[name] = value
        return True

    def device(self, wanted, needs, parameters):
        """The device as a program wants it, of modules with these parameters, without traces that
        it would see: 0 or -errno."""
        if self.netlink is None:
            self.netlink = Netlink()
        changed = [self.parameter(*one) for one in parameters]
        if self.made == wanted and not any(changed) and self.traces.isdisjoint(needs):
            return 0
        if self.made is not None:
            ret = self.netlink.remove()
            if ret:
                raise OSError(-ret, "the device of the program before cannot be removed")
            self.made = None
        ret = self.netlink.add(wanted)
        self.traces.clear()
        if ret == 0:
            self.made = wanted
        return ret

    def vduse_device(self, features, parameters):
        """Two VDUSE devices of a daemon that is the agent, and the node of the first."""
        if self.vduse is None:
            where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent_vduse.py")
            spec = importlib.util.spec_from_file_location("vfuzz_agent_vduse", where)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self.vduse = module.Vduse(self, sys.modules[__name__], *self.of_vduse)
        if self.netlink is None:
            self.netlink = Netlink()
        for one in parameters:
            self.parameter(*one)
        if self.made is not None:
            ret = self.netlink.remove()
            if ret:
                raise OSError(-ret, "the device of the program before cannot be removed")
            self.made = None
        return self.vduse.begin(features)

    def dev_add(self, wanted):
        """Make the device; (None, None) while a removal holds the lock that this needs."""
        if self.removal is not None:
            return (None, None)
        ret = self.netlink.add(wanted)
        if ret == 0:
            self.made = wanted
        return (ret, None)

    def dev_del(self):
        """Remove the device; that ends when the node is closed, so a thread waits for it."""
        if self.removal is not None:
            return (None, None)
        try:
            fcntl.fcntl(NODE, fcntl.F_GETFD)
        except OSError:
            ret = self.netlink.remove()
            if ret == 0:
                self.made = None
            return (ret, None)
        self.removal = threading.Thread(target=Netlink().remove)
        self.removal.start()
        for _ in range(REMOVAL_MAX_MS):
            if not os.path.exists(NODE_PATH):
                break
            time.sleep(0.001)
        return (0, None)

    def removed(self):
        """The node was closed: the removal ends."""
        self.removal.join()
        self.removal = None
        self.made = None

    def run(self, program):
        """Do a program: (device, answers, left, log lines, what the end showed else).

        program: {"parameters": of modules, "device": see Netlink.add(), "needs", "leaves": traces
        in the device that it would see, that it leaves, "vduse": what VDUSE devices offer, None if
        it has none, "restore": what an ioctl needs for the
        configuration to be as new, or None, "child": needs one, "before": actions of both
        processes, "steps": (who, all, watch,
        action), "guest": None, or what Driver.begin() takes}

        watch: 0 nothing, 1 charged pages, 2 pins too, 3 pins too if the call failed.
        """
        vduse = program["vduse"]
        if vduse is None:
            made = self.device(program["device"], program["needs"], program["parameters"])
            self.traces.update(program["leaves"])
        else:
            made = self.vduse_device(vduse, program["parameters"])
        child = None
        if program["child"]:
            if self.child is None:
                self.child = Child(self.pool, self.node)
            child = self.child
        parent = self.parent
        both = (parent, child) if child else (parent,)
        memory = None if child or program["memory"] else program["before"]
        if memory is None or memory != self.memory:
            for process in both:
                process.note(("forget",)) if process is parent else process.do(("forget",))
                for action in program["before"]:
                    process.note(action) if process is parent else process.do(action)
            if child or vduse is not None:
                self.calls.flush()
        self.memory = memory
        base = self.pinned
        guest = program["guest"]
        if guest is not None:
            self.driver.begin(parent, *guest)
        if vduse is None:
            answers = self.steps(program["steps"], parent, child, base)
        else:
            answers = self.vduse.steps(program["steps"], parent, child, base)
        if program["restore"] is not None and self.made is not None:
            parent.note(("open",))  # it may be open
            parent.note(("ioctl", *program["restore"]))
        self.calls.add(SYS_CLOSE, NODE)
        end = self.driver.end() if guest is not None else None
        if guest is not None and guest[1]:
            self.memory = None
        left, log = self.clean(both, base, program["closes"])
        if vduse is not None:
            self.vduse.end()
            self.pinned = self.pins()
            log += self.log()
        seen = self.driver.ended(end) if guest is not None else {}
        self.calls.clear()
        return (made, answers, left, log, seen)

    def steps(self, steps, parent, child, base):
        """What each of them answered. What the next depends on is waited for, nothing else."""
        answers = []
        notes = []
        for who, everybody, watch, action in steps:
            kind = action[0]
            if child or kind in ("dev_add", "dev_del") or self.removal is not None:
                self.settle(notes, answers, base)
                answers.append(self.alone(who, everybody, watch, action, parent, child, base))
                continue
            of_guest = kind == "guest"
            note = self.driver.note(action[1], parent) if of_guest else parent.note(action)
            pinned = pins = None
            if watch:
                pinned = self.calls.add(PINNED)
                pins = self.calls.add(PINS) if watch > 1 else None
            notes.append((of_guest, note, watch, pinned, pins))
            if self.calls.full():
                self.settle(notes, answers, base)
        self.settle(notes, answers, base)
        return answers

    def settle(self, notes, answers, base):
        """Make all that is written down; what the steps answered."""
        self.calls.flush()
        for of_guest, note, watch, pinned, pins in notes:
            if of_guest:
                answer = self.driver.answer(note)
                answer = (answer[0], answer[1:])
            else:
                answer = self.parent.answer(note)
            if watch:
                asked = watch == 2 or (watch == 3 and answer[0] < 0)
                answer = (*answer, self.calls.ret(pinned),
                          self.calls.ret(pins) - base if asked else None)  # fmt: skip
            answers.append(answer)
        notes.clear()
        self.calls.clear()

    def alone(self, who, everybody, watch, action, parent, child, base):
        """A step that others have to wait for."""
        mine = child if who else parent
        if action[0] == "guest":
            answer = self.driver.do(action[1], mine)
            answer = (answer[0], answer[1:])
        elif action[0] in ("dev_add", "dev_del"):
            answer = getattr(self, action[0])(*action[1:])
        else:
            answer = mine.do(action)
            if action[0] == "close" and self.removal is not None:
                self.removed()
        if everybody and child:
            (parent if who else child).do(action)
        if watch:
            pinned = parent.pinned() + (child.pinned() if child else 0)
            asked = watch == 2 or (watch == 3 and answer[0] < 0)
            answer = (*answer, pinned, self.pins() - base if asked else None)
        self.calls.clear()
        return answer

    def clean(self, both, base, closes):
        """What is left behind when all is closed, with what is written down: (charged pages, pins),
        and the lines of the log. closes: the eventfds."""
        if self.memory is None:
            for process in both[1:]:
                process.do(("forget",))
            self.parent.note(("forget",))
        if closes or self.removal is not None:
            self.calls.flush()
        if closes:
            self.open_eventfds()
        if self.removal is not None:
            self.removed()
        first = self.calls.add(PINS)
        self.calls.add(PINNED)
        record = self.calls.room(RECORD_MAX)
        self.calls.add(SYS_READ, self.kmsg, record, RECORD_MAX)
        self.calls.flush()
        n = self.calls.ret(first + 2)
        # mostly there is none
        log = [] if n == -errno.EAGAIN else self.log(self.calls.got(record, max(n, 0)))
        self.pinned = self.calls.ret(first)
        pinned = self.calls.ret(first + 1)
        if (pinned, self.pinned) != (0, base) and (pinned, self.pinned) != (
            self.parent.pinned(), self.pins()
        ):  # fmt: skip
            raise OSError(errno.EINVAL, "the module and /proc say different numbers of pins")
        left = (pinned + sum(process.pinned() for process in both[1:]), self.pinned - base)
        return left, log

    # ---- the line ----

    def send(self, value):
        data = marshal.dumps(value)
        data = MAGIC + struct.pack("<I", len(data)) + data
        while data:
            data = data[os.write(self.line, data) :]

    def receive(self):
        return marshal.loads(self.read(struct.unpack("<I", self.read(8)[4:])[0]))

    def read(self, n):
        data = b""
        while len(data) < n:
            more = os.read(self.line, n - len(data))
            if not more:
                halt()  # the host is gone
            data += more
        return data

    def serve(self):
        while True:
            command = self.receive()
            if command[0] == "run":
                with open(command[1], "rb") as file:
                    programs = marshal.loads(file.read())
                for i in range(command[2], len(programs)):
                    result = self.run(programs[i])
                    self.send(("end", i, result))
                    if result[2][0] and (self.child or self.parent.pinned()):
                        # the process is charged for pages that nobody has: its limit is lower now
                        self.send(("spent",))
                        break
                else:
                    self.send(("done",))
            elif command[0] == "counts":
                self.send(("counts", counts()))
            elif command[0] == "leaks":
                self.send(("leaks", leaks(command[1])))
            elif command[0] == "halt":
                halt()


def counts():
    """What gcov counted since the boot: (path, bytes) of each file; none without gcov."""
    libc.mount(b"debugfs", DEBUGFS, b"debugfs", 0, None)
    found = []
    for folder, _, names in os.walk(os.path.join(DEBUGFS.decode(), "gcov")):
        for name in names:
            if name.endswith(".gcda"):
                with open(os.path.join(folder, name), "rb") as file:
                    found.append((file.name, file.read()))
    return found


def leaks(age_at):
    """What kmemleak found that nobody points at, and was not told before; None: it is off.

    An object is told when two scans miss it and it is the same in both. age_at: see no_least_age();
    None: what it tells of has to become so old.
    """
    libc.mount(b"debugfs", DEBUGFS, b"debugfs", 0, None)
    if age_at is None:
        time.sleep(LEAST_AGE_S)
    else:
        no_least_age(age_at)
        time.sleep(LEAK_REST_S)
    where = os.path.join(DEBUGFS.decode(), "kmemleak")
    with open(where, "wb", buffering=0) as file:
        try:
            for _ in range(2):
                file.write(b"scan")
        except PermissionError:
            return None
        with open(where, "rb", buffering=0) as told:
            text = b"".join(iter(lambda: told.read(65536), b""))
        file.write(b"clear")
    return text.decode(errors="replace")


def no_least_age(at):
    """kmemleak tells of what is younger than five seconds too. at: where in memory it has that age.

    The age is there for addresses that some processor has in a register only. Here is one, and it
    is in the scan.
    """
    with open(MEMORY, "r+b", buffering=0) as memory:
        (age,) = struct.unpack("<Q", os.pread(memory.fileno(), 8, at))
        if age in LEAST_AGES:
            os.pwrite(memory.fileno(), bytes(8), at)
        elif age:
            raise OSError(errno.EINVAL, f"kmemleak has no least age there, but {age}")


def halt():
    """End the guest."""
    sys.stderr.flush()
    libc.reboot(ctypes.c_int(0x4321FEDC))


def be(begin):
    """Be the guest's first process. begin() gives a machine and what its start() takes."""
    try:
        machine, *arguments = begin()
        machine.log()
        machine.send(("ready", machine.start(*arguments)))
        gc.freeze()
        gc.set_threshold(GARBAGE_MIN)
        machine.serve()
    except BaseException:
        traceback.print_exc()
        halt()


if __name__ == "__main__":
    # the kernel would take a word with a = for one of its own
    be(lambda: (Machine(sys.argv[2], sys.argv[3].translate({58: "=", 44: " "}).encode(),
                        *(word.encode() for word in sys.argv[4:6])), int(sys.argv[1])))  # fmt: skip
