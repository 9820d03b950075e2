# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest: the kernel as a process of the host, with the agent as its first process.

Kernel and processes of User-Mode Linux are processes of the host that take turns, many times in
each system call. So they stay on one processor: waking each other on another one costs more than
all that they do in a turn.

The guest's file system is the host's, read-only; its console is a log file; commands and answers go
over a pair of pipes that are its first serial line. It needs no root and no network. A guest that
stops answering, or ends, is killed with all its processes: each has a process group of its own.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from vfuzz.conform import agent
from vfuzz.errors import Error

__all__ = ["Guest", "GuestDied", "GuestFailed", "GuestSpent"]

BOOT_MAX_S = 60.0
PROGRAM_MAX_S = 20.0  # without a sign of life
LOG_TAIL_MAX = 8_000  # characters of its log that a report keeps


class GuestFailed(Error):
    """A guest does not even start: nothing can be compared with it."""


class GuestDied(Exception):
    """A guest ended or hung while it did a program.

    program  the number of that program in the batch, -1 for none
    why      in words
    log      the end of the kernel's log
    """

    def __init__(self, program: int, why: str, log: str) -> None:
        super().__init__(why)
        self.program = program
        self.why = why
        self.log = log


class GuestSpent(Exception):
    """A program left something in the guest that the next one would see.

    done  how many programs of the batch were done
    """

    def __init__(self, done: int) -> None:
        super().__init__(done)
        self.done = done


def _processor() -> int:
    """Where this process is."""
    return psutil.Process().cpu_num()


def _group(leader: int) -> list[int]:
    """All processes of a process group, threads included."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.getpgid(int(name)) == leader:
                found += [int(thread) for thread in os.listdir(f"/proc/{name}/task")]
    return found


class Guest:
    """A booted kernel. Close it; or use it as a context manager."""

    def __init__(
        self,
        image: Path,
        arguments: Sequence[str] = (),
        *,
        memory_mib: int = 192,
        pool_pages: int = 16384,
        agent_path: Path | None = None,
        agent_arguments: Sequence[str] | None = None,
        program_max_s: float = PROGRAM_MAX_S,
    ) -> None:
        """Boot `image` with more kernel arguments; another agent than vdpa's has arguments of
        its own. Raises GuestFailed."""
        self.program_max_s = program_max_s
        self.processor: int | None = None  # it is kept on this one; None: on that of its host
        self._stays: int | None = None  # on this one it is
        self._data = b""
        self._batches = 0
        # what the guest reads must not be below /dev, /proc or /sys: it has others there
        self.dir = Path(tempfile.mkdtemp(prefix="vfuzz-guest-"))
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(self.dir)
        self.dir.chmod(0o755)
        self.log_path = self.dir / "console.log"
        to_guest, self._to = os.pipe()
        self._from, from_guest = os.pipe()
        command = [
            # a guest without entropy lets the first who asks for random bytes wait for seconds
            str(image), "random.trust_bootloader=on", "random.trust_cpu=on",
            f"mem={memory_mib}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
            "con=null", "con0=null,fd:1", "con1=null",
            f"ssl0=fd:{to_guest},fd:{from_guest}", "ssl=null", f"umid=g{os.getpid()}-{id(self)}",
            f"uml_dir={self.dir}/", "LC_ALL=C", *arguments, f"init={sys.executable}", "--",
            "-I", "-S", str(agent_path or Path(agent.__file__).resolve()),
            *([str(pool_pages)] if agent_arguments is None else agent_arguments),
        ]  # fmt: skip
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(to_guest, from_guest), start_new_session=True,
                env={"TMPDIR": memory, "PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                cwd=self.dir,
            )  # fmt: skip
        os.close(to_guest)
        os.close(from_guest)
        self.stay()
        try:
            answer = self._receive(BOOT_MAX_S, -1)
        except GuestDied as died:
            self.close()
            raise GuestFailed(f"{image} does not boot: {died.why}\n{died.log}") from None
        self.info: dict[str, Any] = answer[1]

    def stay(self) -> None:
        """Keep its processes on one processor: `processor`, else where this process is now, which
        the host's scheduler has chosen. Those that it makes later are there too."""
        wanted = _processor() if self.processor is None else self.processor
        if wanted == self._stays:
            return
        for pid in _group(self.process.pid):
            with contextlib.suppress(OSError):  # it has ended, or may not be there
                os.sched_setaffinity(pid, {wanted})
        self._stays = wanted

    # ---- the line ----

    def _send(self, value: object) -> None:
        data = marshal.dumps(value)
        data = agent.MAGIC + struct.pack("<I", len(data)) + data
        with contextlib.suppress(BrokenPipeError):  # its end is seen by who reads next
            while data:
                data = data[os.write(self._to, data) :]

    def _receive(self, seconds: float, program: int) -> tuple[Any, ...]:
        """The next frame. Raises GuestDied."""
        deadline = time.monotonic() + seconds
        while True:
            start = self._data.find(agent.MAGIC)
            if start >= 0 and len(self._data) >= start + 8:
                (size,) = struct.unpack_from("<I", self._data, start + 4)
                if len(self._data) >= start + 8 + size:
                    frame = self._data[start + 8 : start + 8 + size]
                    self._data = self._data[start + 8 + size :]
                    return marshal.loads(frame)
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise GuestDied(program, f"no answer within {seconds:.0f} s", self.log())
            data = os.read(self._from, 1 << 16)
            if not data:
                raise GuestDied(program, "the guest ended", self.log())
            self._data += data

    def run(self, programs: Sequence[Any], done: Callable[[int, Any], None]) -> None:
        """Do programs one after the other, done(number, result) after each.

        Raises GuestDied, and GuestSpent when only another guest can do the rest.
        """
        self.stay()
        self._batches += 1
        batch = self.dir / f"batch{self._batches}"
        batch.write_bytes(marshal.dumps(list(programs)))
        self._send(("run", str(batch), 0))
        now = 0
        while True:
            frame = self._receive(self.program_max_s, now)
            if frame[0] == "end":
                done(frame[1], frame[2])
                now = frame[1] + 1
            elif frame[0] == "spent":
                raise GuestSpent(now)
            else:
                break
        batch.unlink()

    def counts(self) -> list[tuple[str, bytes]]:
        """What gcov counted since the boot: (path, bytes) of each file. A batch that is not at its
        end goes on to it, and nobody hears of it. Raises GuestDied."""
        self._send(("counts",))
        while (frame := self._receive(self.program_max_s, -1))[0] != "counts":
            pass
        return frame[1]

    def leaks(self, age_at: int | None) -> str:
        """What kmemleak found since the last time: its own words. age_at: kmemleak.of_age().
        Raises GuestDied, GuestFailed."""
        self._send(("leaks", age_at))
        while (frame := self._receive(self.program_max_s, -1))[0] != "leaks":
            pass
        if frame[1] is None:
            raise GuestFailed(f"kmemleak switched itself off in the guest:\n{self.log()}")
        return frame[1]

    def log(self) -> str:
        """The end of the console."""
        with contextlib.suppress(OSError):
            text = self.log_path.read_text(errors="replace")
            return text.partition(" as init process\n")[2][-LOG_TAIL_MAX:] or text[-LOG_TAIL_MAX:]
        return ""

    def close(self) -> None:
        """End the guest and remove what it left."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for fd in (self._to, self._from):
            with contextlib.suppress(OSError):
                os.close(fd)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
