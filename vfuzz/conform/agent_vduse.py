# SPDX-License-Identifier: GPL-2.0-or-later
"""What the agent needs for VDUSE: it is the daemon of two devices; the node is of the first.

A call that waits for the daemon is made by another thread; when that sleeps it is the daemon's
turn, who answers as the program says. What a driver of the kernel does with a device is done by the
module vfuzz_vduse. Pages and addresses are those of the program: the kernel's allocator gives
others, so that there is a table of them. Standard library only; agent.py loads this when a program
needs it.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import threading

PAGE = 4096
CONTROL, DAEMON, KICK = 120, 121, 123  # file descriptors; DAEMON and the next: of the devices
NAMES = (b"vfuzz0", b"vfuzz1")
CONFIG_BYTES = 24
QUEUES, QUEUE_MAX = 2, 256
BOUNCE_MIN, BOUNCE = 1 << 20, 64 << 20  # before 6.4 nobody could choose
BEHIND = 32 << 20  # addresses that a program can name behind the bounce pages
ANSWER, FAIL, SILENT, WRONG_ID, FAULT = range(5)  # what the daemon does
TURN_S = 0.0005
LOOKS = 3  # in a row that find a call asleep whose request nobody will answer
SOON_S, LATE_S = 1, 10  # until a call ends that nobody answers
THREAD_S = 2  # the same of a thread's: a call that does is shorter

SET_API_VERSION, CREATE, DESTROY = 0x40088101, 0x41508102, 0x41008103
GET_FD, GET_FEATURES, SET_CONFIG, CONFIG_IRQ = 0xC0208110, 0x80088111, 0x40088112, 0x8113
VQ_SETUP, VQ_GET_INFO, KICKFD, VQ_IRQ = 0x40208114, 0xC0308115, 0x40088116, 0x40048117
REG_UMEM, DEREG_UMEM, GET_INFO = 0x40308118, 0x40308119, 0xC030811A
GET_VQ_STATE, SET_STATUS, FEATURES_OK = 0, 1, 8
ACCESS_PLATFORM = 1 << 33

MESSAGE = 152  # bytes of a request and of a response
RESPONSE = struct.Struct("<II16xI4H")
INFO = struct.Struct("<IIQQQ4HB7x")
ENTRY = struct.Struct("<QQQB7x")
RANGE = struct.Struct("<QQQI20x")
MEMORY = struct.Struct("<QQQI20x")
DEVICE = struct.Struct("<256sIIQII52xI")
COMMAND = struct.Struct("<8IQ")
DO = 3 << 30 | COMMAND.size << 16 | ord("D") << 8 | 1
# commands of the module
(ASK, LEAVE, WAITS, RESET, CONFIG, MAP, UNMAP, ALLOC, FREE, WRITE, END, MEET, STOPPED, GO,
 PASS) = range(15)  # fmt: skip


def attempt(function, *arguments):
    """What a call returns, or -errno."""
    try:
        return function(*arguments)
    except OSError as error:
        return -error.errno


class Vduse:
    """Two VDUSE devices and their daemon. A method named as an action gives its answer."""

    def __init__(self, machine, agent, module, address):
        """agent: the module agent.py; module, address: vfuzz_vduse, of vduse_dev_msg_sync()."""
        agent.load_module(module, b"sync=" + address)
        self.machine = machine
        self.agent = agent
        self.node = os.open("/dev/vfuzz_vduse", os.O_RDWR)
        agent.put_fd(os.open("/dev/vduse/control", os.O_RDWR), CONTROL)
        fcntl.ioctl(CONTROL, SET_API_VERSION, struct.pack("<Q", 0))
        agent.put_fd(os.eventfd(0, os.EFD_NONBLOCK), KICK)
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        self.job = self.result = self.error = None
        self.there = False
        self.patient = {}
        self.states = {}
        self.worker = threading.Thread(target=self.work, daemon=True)
        self.worker.start()

    # ---- calls that wait for the daemon ----

    def work(self):
        """The other thread."""
        while True:
            self.go.acquire()
            self.error = None
            try:
                self.result = self.job()
            except BaseException as error:
                self.error = error
            self.done.release()

    def call(self, job, device=0, process=None):
        """job() in the other thread, or what it has another process do, with the daemon here."""
        waits = self.mode in (SILENT, WRONG_ID) or not self.opened[device]
        self.patience(device, SOON_S if waits else LATE_S)
        self.job = job
        self.go.release()
        asleep = 0
        while not self.done.acquire(timeout=TURN_S):
            if not self.sleeps(process):
                asleep = 0
                continue
            self.turn(device)
            asleep += waits
            if asleep == LOOKS:
                self.command(PASS, 0, SOON_S)  # nothing but its timeout is left
                asleep = 0
        if self.error is not None:
            raise self.error
        return self.result

    def sleeps(self, process):
        """Does the thread, or that process, wait for something that no signal ends?"""
        who = process or f"self/task/{self.worker.native_id}"
        if who not in self.states:
            self.states[who] = os.open(f"/proc/{who}/stat", os.O_RDONLY)
        text = os.pread(self.states[who], 256, 0)
        return text[text.rindex(b")") + 2 :][:1] == b"D"

    def patience(self, device, seconds):
        """How long requests from now on wait for their answer."""
        if self.patient.get(device) == seconds:
            return
        path = f"/sys/class/vduse/{NAMES[device].decode()}/msg_timeout"
        if os.path.exists(path):
            with open(path, "w") as file:
                file.write(str(seconds))
            self.patient[device] = seconds

    def turn(self, device):
        """The daemon reads and answers until nothing is left."""
        if not self.opened[device] or self.mode == SILENT:
            return
        again = self.mode == FAULT
        while True:
            request = self.request(device, again)
            if isinstance(request, int):
                if request == -errno.EAGAIN or not again:
                    return
                again = False
                continue
            self.reply(device, request)

    def request(self, device, into_nothing):
        """A request, read: its bytes, or -errno."""
        if into_nothing:
            got = self.agent.libc.syscall(self.agent.SYS_READ, DAEMON + device, None, MESSAGE)
            return -ctypes.get_errno() if got < 0 else 0
        return attempt(os.read, DAEMON + device, MESSAGE)

    def reply(self, device, request):
        """Answer as the daemon's mode says."""
        kind, number = struct.unpack_from("<II", request)
        if self.mode == WRONG_ID:
            self.taken[device].append(number)
            self.respond(device, number + 1000, 0)
            return
        failed = self.mode == FAIL
        if kind == SET_STATUS and request[24] & FEATURES_OK:
            features = bytearray(8)
            attempt(fcntl.ioctl, DAEMON + device, GET_FEATURES, features)
            failed |= bool(int.from_bytes(features, "little") & ~self.features)
        position = (0, 0, 0, 0, 0)
        if kind == GET_VQ_STATE:
            index = struct.unpack_from("<I", request, 24)[0]
            info = bytearray(INFO.pack(index, 0, 0, 0, 0, 0, 0, 0, 0, 0))
            attempt(fcntl.ioctl, DAEMON + device, VQ_GET_INFO, info)
            position = (index, *INFO.unpack(info)[5:9])
        self.respond(device, number, int(failed), position)

    def respond(self, device, number, result, position=(0, 0, 0, 0, 0)):
        data = RESPONSE.pack(number, result, *position).ljust(MESSAGE, b"\0")
        return min(attempt(os.write, DAEMON + device, data), 0)

    # ---- the program ----

    def begin(self, features):
        """Both devices, and a vdpa device of the first: 0 or -errno."""
        self.mode = ANSWER
        self.features = features | ACCESS_PLATFORM
        self.opened = [False, False]
        self.taken = [[], []]
        self.asked = [[], []]
        self.clean_slate()
        for device in range(2):
            self.create(device)  # before 6.5 it fails already where later the next does
        ret = self.machine.netlink.add((0, b""), b"vduse", NAMES[0])
        self.there = ret == 0
        self.command(MEET, 0)
        if ret:
            self.end()
        return ret

    def clean_slate(self):
        self.bounced = {}  # by the program's page: the kernel's address
        self.used = set()  # pages that the driver has mapped
        self.coherent = {}  # by its first page: (the kernel's address, bytes)
        self.file = -1  # of device 1's own memory

    def end(self):
        """Nothing of the program is left."""
        self.mode = ANSWER
        for device in range(2):
            self.command(END, device)
            self.machine.netlink.remove(NAMES[device])
        for device in range(2):
            attempt(os.close, DAEMON + device)
            self.forget_file()
            self.destroy(device)
        self.there = False
        self.patient.clear()

    def steps(self, steps, parent, child, base):
        """Machine.steps(): each by itself, and what the kernel does because of it. The node is
        closed too, for which the daemon is needed."""
        answers = [self.step(*step, parent, child, base) for step in steps]
        if self.there:
            self.step(0, False, 0, ("close",), parent, child, base)
        return answers

    def step(self, who, everybody, watch, action, parent, child, base):
        machine = self.machine
        if action[0] == "vduse":
            answer = self.do(*action[1:])
        elif action[0] == "dev_add":
            answer = self.dev_add()
        elif action[0] == "dev_del":
            answer = self.dev_del()
        else:
            process = str(child.pid) if who else None
            answer = self.call(
                lambda: machine.alone(who, everybody, 0, action, parent, child, base), 0, process)
            if action[0] == "close" and self.there and not os.path.exists(self.agent.NODE_PATH):
                self.end()  # a removal waited for that
        machine.calls.clear()
        machine.driver.turns.rest()
        machine.driver.turns.mine()
        machine.calls.clear()
        pinned = parent.pinned() + (child.pinned() if child else 0)
        return (answer[0], answer[1], pinned, machine.pins() - base)

    def dev_add(self):
        if self.machine.removal is not None:
            return (None, None)
        return (-errno.EEXIST if self.there else self.begin(self.features), None)

    def dev_del(self):
        if not self.there:
            return (-errno.ENODEV, None)
        answer = self.machine.dev_del()
        if self.machine.removal is None:
            self.end()
        return answer

    def do(self, what, *arguments):
        if what == "daemon":
            self.mode = arguments[0]
            return (0, None)
        if not self.there:
            return (-errno.ENODEV, None)
        return getattr(self, what)(*arguments)

    def command(self, command, device, *arguments):
        """One of the module: (0 or -errno, the value that it gave)."""
        data = bytearray(COMMAND.pack(command, device, *arguments, *(0,) * (6 - len(arguments)), 0))
        ret = attempt(fcntl.ioctl, self.node, DO, data)
        return ret, COMMAND.unpack(data)[8]

    def ioctl(self, device, request, data=None):
        """(0 or -errno, what became of data)."""
        data = None if data is None else bytearray(data)
        ret = attempt(fcntl.ioctl, DAEMON + device, request, 0 if data is None else data)
        return ret, data

    # ---- messages ----

    def read(self, device, into_nothing, meanwhile):
        """meanwhile: what happens while the kernel copies the request: nothing, the oldest thread
        times out (1) or is killed (2), another thread of the daemon replies (3)."""
        if meanwhile:
            request = self.stopped_read(device, into_nothing, meanwhile)
        else:
            request = self.request(device, into_nothing)
        if isinstance(request, int):
            return (request, None)
        kind, number = struct.unpack_from("<II", request)
        self.taken[device].append(number)
        return (kind, None)

    def stopped_read(self, device, into_nothing, meanwhile):
        """request() into a page that stops the kernel until something has happened."""
        page = self.agent.mmap_at(None, 1, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED,
                                  self.node, 0)  # fmt: skip
        unread = [n for n in self.asked[device] if n not in self.taken[device]
                  and self.command(WAITS, device, n)[0] == 1]  # fmt: skip
        self.job = lambda: self.read_to(device, page)
        self.go.release()
        stopped = False
        while not self.done.acquire(timeout=TURN_S):
            if not stopped and self.command(STOPPED, 0)[0] == 1:
                stopped = True
                if meanwhile == 3:
                    self.respond(device, min(unread), 0)
                else:
                    self.command(LEAVE, device, int(meanwhile == 2))
                self.command(GO, 0, int(not into_nothing))
        if self.error is not None:
            raise self.error
        request = self.result
        if request == 0:
            request = ctypes.string_at(page, MESSAGE)
        self.agent.libc.munmap(page, PAGE)
        return request

    def read_to(self, device, address):
        got = self.agent.libc.syscall(self.agent.SYS_READ, DAEMON + device,
                                      ctypes.c_void_p(address), MESSAGE)  # fmt: skip
        return -ctypes.get_errno() if got < 0 else 0

    def answer(self, device, which, result):
        """To the oldest request that was read and waits (0), the newest (1), none (2)."""
        taken = sorted(n for n in self.taken[device] if self.command(WAITS, device, n)[0] == 1)
        number = 0xFFFF
        if which < 2 and taken:
            number = taken[0 if which == 0 else -1]
            self.taken[device].remove(number)
        return (self.respond(device, number, result), None)

    def ask(self, device, kind, soon):
        self.patience(device, THREAD_S if soon else 0)
        ret, number = self.command(ASK, device, kind)
        if ret == 0:
            self.asked[device].append(number)
        return (ret, None)

    def leave(self, device, killed):
        return (self.command(LEAVE, device, int(killed))[0], None)

    # ---- ioctls ----

    def get_fd(self, device, start, last, behind):
        ret, fd = self.entry(device, *self.address(device, start, last, behind))
        if ret == 0:
            os.close(fd)
        return (ret, None)

    def entry(self, device, start, last):
        """VDUSE_IOTLB_GET_FD: (0 or -errno, the file)."""
        ret, _ = self.ioctl(device, GET_FD, ENTRY.pack(0, start, last, 0))
        return (0, ret) if ret >= 0 else (ret, -1)

    def get_info(self, device, start, last, behind):
        start, last = self.address(device, start, last, behind)
        ret, data = self.ioctl(device, GET_INFO, RANGE.pack(start, last, 0, 0))
        return (ret, {"capability": RANGE.unpack(data)[2] & 1} if ret == 0 else None)

    def address(self, device, start, last, behind):
        """A range of the program's as one of the kernel's in which the same is found first."""
        bounce = self.bounce
        if behind:
            start, last = start + bounce, last + bounce
        last &= (1 << 64) - 1
        if device == 0 or start > last or last < bounce:
            return start, last
        if start < bounce:
            ret, fd = self.entry(device, start, bounce - 1)
            if ret == 0:
                os.close(fd)
                return start, bounce - 1
        for page, (at, size) in sorted(self.coherent.items()):
            first = bounce + page * PAGE
            if first <= last and start < first + size:
                return at, at
        return start, min(last, bounce + BEHIND)

    def set_config(self, device, off, n, byte):
        return (self.ioctl(device, SET_CONFIG, struct.pack("<II", off, n) + bytes([byte]) * n)[0],
                None)  # fmt: skip

    def vq_setup(self, device, index, most):
        data = struct.pack("<IH", index, most).ljust(32, b"\0")
        return (self.ioctl(device, VQ_SETUP, data)[0], None)

    def vq_info(self, device, index):
        ret, data = self.ioctl(device, VQ_GET_INFO, INFO.pack(index, *(0,) * 9))
        if ret:
            return (ret, None)
        info = INFO.unpack(data)
        names = ("num", "desc", "driver", "device")
        return (ret, {**dict(zip(names, info[1:5], strict=True)), "ready": info[9]})

    def kickfd(self, device, index):
        return (self.ioctl(device, KICKFD, struct.pack("<II", index, KICK))[0], None)

    def irq(self, device, index):
        return (self.ioctl(device, VQ_IRQ, struct.pack("<I", index))[0], None)

    def config_irq(self, device):
        return (self.ioctl(device, CONFIG_IRQ)[0], None)

    def get_features(self, device):
        ret, data = self.ioctl(device, GET_FEATURES, bytes(8))
        return (ret, {"features": int.from_bytes(data, "little")} if ret == 0 else None)

    # ---- files and drivers ----

    def open(self, device):
        fd = attempt(os.open, b"/dev/vduse/" + NAMES[device], os.O_RDWR | os.O_NONBLOCK)
        if fd < 0:
            return (-errno.ENODEV if fd in (-errno.ENOENT, -errno.ENXIO) else fd, None)
        self.agent.put_fd(fd, DAEMON + device)
        self.opened[device] = True
        self.taken[device].clear()
        return (0, None)

    def close(self, device):
        self.opened[device] = False
        return (attempt(os.close, DAEMON + device) or 0, None)

    def create(self, device):
        """And what a daemon does then."""
        name = NAMES[device].decode()
        data = DEVICE.pack(NAMES[device], 0, 2, self.features, QUEUES, PAGE, CONFIG_BYTES)
        ret = attempt(fcntl.ioctl, CONTROL, CREATE, bytearray(data + bytes(CONFIG_BYTES)))
        if ret:
            return (ret, None)
        self.patient.pop(device, None)
        self.asked[device].clear()
        if device == 1:
            self.clean_slate()
        self.bounce = BOUNCE
        path = f"/sys/class/vduse/{name}/bounce_size"
        if os.path.exists(path):
            self.bounce = BOUNCE_MIN
            with open(path, "w") as file:
                file.write(str(BOUNCE_MIN))
        ret = self.open(device)[0]
        for index in range(QUEUES):
            ret = ret or self.vq_setup(device, index, QUEUE_MAX)[0]
        return (ret, None)

    def destroy(self, device):
        return (attempt(fcntl.ioctl, CONTROL, DESTROY, bytearray(NAMES[device].ljust(256, b"\0"))),
                None)  # fmt: skip

    def attach(self, device):
        """A driver of the kernel comes: it begins with a reset, whatever comes of it."""
        ret = self.machine.netlink.add((0, b""), b"vduse", NAMES[device])
        if ret == 0:
            self.call(lambda: self.command(RESET, device), device)
        return (ret, None)

    def detach(self, device):
        if device == 0:
            return (-errno.EBUSY, None)  # the node's device stays until the process ends
        while self.command(LEAVE, device, 1)[0] == 0:
            pass
        ret = self.call(lambda: self.command(RESET, device), device)[0]
        self.command(END, device)
        self.used.clear()
        self.coherent.clear()
        gone = self.machine.netlink.remove(NAMES[device])
        return (gone or ret, None)

    def config(self, device, off, n):
        return (self.command(CONFIG, device, off, n)[0], None)

    # ---- device 1's own memory ----

    def map(self, page, off, n, to_device, byte):
        ret, at = self.command(MAP, 1, page, off, n, int(to_device), byte)
        if ret == 0:
            self.bounced[page] = at
            self.used.add(page)
            self.keep_file(at)
        return (ret, None)

    def unmap(self, page):
        self.used.discard(page)
        return (self.command(UNMAP, 1, page)[0], None)

    def alloc(self, page, n, zero):
        pages = (n + PAGE - 1) // PAGE
        for first, (_, size) in self.coherent.items():
            if page < first + (size + PAGE - 1) // PAGE and first < page + pages:
                return (-errno.ENOMEM, None)  # the allocator gives no address twice
        if self.attached_to(1) and page + pages > 8:
            return (-errno.ENOMEM, None)  # a program cannot name so many
        ret, at = self.command(ALLOC, 1, page, n, int(zero))
        if ret == 0:
            self.coherent[page] = (at, n)
            self.keep_file(at)
        return (ret, None)

    def attached_to(self, device):
        return os.path.exists(f"/sys/bus/vdpa/devices/{NAMES[device].decode()}")

    def free(self, page):
        if not self.attached_to(1):
            return (-errno.ENODEV, None)
        if page not in self.coherent:
            return (-errno.ENOENT, None)  # no driver would
        del self.coherent[page]
        return (self.command(FREE, 1, page)[0], None)

    def write(self, page, off, n, byte):
        if not self.attached_to(1):
            return (-errno.ENODEV, None)
        for first, (_, size) in self.coherent.items():
            if first <= page < first + (size + PAGE - 1) // PAGE:
                at = (page - first) * PAGE + off
                return (self.command(WRITE, 1, first, at, min(n, PAGE - off), byte)[0], None)
        return (-errno.ENOENT, None)

    def keep_file(self, at):
        """The file of the memory, that the daemon can look into: it has it from the first range."""
        if self.file < 0 and self.opened[1]:
            ret, fd = self.entry(1, at, at)
            if ret == 0:
                self.file = fd

    def forget_file(self):
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def look(self, page, off):
        """A byte of a bounce page: whether it is one that somebody wrote."""
        if not self.opened[1]:
            return (-errno.EBADF, None)
        return self.byte(self.bounced.get(page, page * PAGE), off)

    def peek(self, page, off):
        """The same of coherent memory."""
        if not self.opened[1]:
            return (-errno.EBADF, None)
        for first, (at, size) in self.coherent.items():
            if first <= page < first + (size + PAGE - 1) // PAGE:
                return self.byte(at + (page - first) * PAGE, off)
        return self.byte(self.bounce + page * PAGE, off)

    def byte(self, at, off):
        """1: it is 0 or what the driver writes; 0: it is something else, which nobody wrote."""
        self.keep_file(at)
        if self.file < 0:
            return (-errno.EFAULT, None)
        address = self.agent.mmap_at(None, 1, mmap.PROT_READ, mmap.MAP_SHARED, self.file,
                                     at // PAGE)  # fmt: skip
        if address < 0:
            return (address, None)
        calls = self.machine.calls
        to = calls.room(1)
        i = calls.add(self.agent.COPY, to, address + off, 1)
        calls.flush()
        ret, got = calls.ret(i), calls.got(to, 1)
        calls.clear()
        self.agent.libc.munmap(address, PAGE)
        return (ret, None) if ret else (int(got in (b"\0", b"\x5a")), None)

    def umem(self, give, upage, uoff, pages, at):
        data = MEMORY.pack(self.agent.AREA + upage * PAGE + uoff, at * PAGE, pages * PAGE, 0)
        return (self.ioctl(1, REG_UMEM if give else DEREG_UMEM, data)[0], None)

