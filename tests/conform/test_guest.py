# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests: what is no kernel, and a real one when `vfuzz kernel build` has made one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

import vfuzz
from tests.needs import kernels, need
from vfuzz.conform import agent, guest, kernel, report
from vfuzz.conform.session import Session, generated
from vfuzz.targets.vdpa import real

need("vfuzz.program.codec")

TARGET = vfuzz.target("vdpa")
REAL = tuple(kernel.era_of(series, TARGET.eras) for series in kernel.DEBIAN)


def _image(tmp_path: Path, script: str) -> Path:
    image = tmp_path / "linux"
    image.write_text(f"#!/bin/sh\n{script}\n")
    image.chmod(0o755)
    return image


def test_an_image_that_ends_is_told_with_its_words(tmp_path: Path):
    with pytest.raises(guest.GuestFailed, match=r"does not boot: the guest ended\nno memory"):
        guest.Guest(_image(tmp_path, "echo no memory"))


def test_an_image_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guest, "BOOT_MAX_S", 0.3)
    with pytest.raises(guest.GuestFailed, match="no answer within 0 s"):
        guest.Guest(_image(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 100"))
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_noise_between_frames_is_passed_over(tmp_path: Path):
    image = _image(tmp_path, "")
    image.write_text(f"""#!{sys.executable}
import marshal, os, re, struct, sys, time
line = int(re.search(r"ssl0=fd:\\d+,fd:(\\d+)", " ".join(sys.argv))[1])
data = marshal.dumps(("ready", {{"pool": 7}}))
os.write(line, b"noise" + {agent.MAGIC!r} + struct.pack("<I", len(data)) + data)
time.sleep(100)
""")
    made = guest.Guest(image)
    assert made.info == {"pool": 7}
    folder = made.dir
    made.close()
    assert not folder.exists()


def test_all_processes_of_a_guest_stay_on_one_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image = _image(tmp_path, "")
    image.write_text(f"""#!{sys.executable}
import marshal, os, re, struct, subprocess, sys, time
child = subprocess.Popen(["sleep", "100"])
line = int(re.search(r"ssl0=fd:\\d+,fd:(\\d+)", " ".join(sys.argv))[1])
data = marshal.dumps(("ready", {{"child": child.pid}}))
os.write(line, {agent.MAGIC!r} + struct.pack("<I", len(data)) + data)
time.sleep(100)
""")
    there = os.sched_getaffinity(0)
    monkeypatch.setattr(guest, "_processor", lambda: min(there))
    with guest.Guest(image) as made:
        both = (made.process.pid, made.info["child"])
        assert [os.sched_getaffinity(pid) for pid in both] == [{min(there)}] * 2
        made.processor = max(there)
        made.stay()
        assert [os.sched_getaffinity(pid) for pid in both] == [{max(there)}] * 2
    assert os.sched_getaffinity(0) == there


def test_the_agent_needs_nothing_but_the_standard_library():
    text = Path(agent.__file__).read_text()
    assert "vfuzz." not in text.replace("vfuzz0", "")


@pytest.mark.kernel
def test_a_real_kernel_says_what_the_model_says():
    """With the kernels that are there: none is built here, that takes minutes."""
    there = kernels(*REAL)
    for found in there:
        corpus = Path(__file__).resolve().parents[2] / "corpus" / "vdpa"
        programs = [TARGET.parse(path.read_text()) for path in sorted(corpus.rglob("*.vf"))]
        programs += generated(TARGET, 200, 1)
        with Session(TARGET, found, found.era(TARGET.eras)) as session:
            totals = session.run(programs)
        assert totals.deaths == 0
        assert totals.programs == len(programs)
        assert not totals.unexplained, report.text(totals, found, found.era(TARGET.eras), (), 1)


@pytest.mark.kernel
def test_a_real_guest_proves_that_it_is_clean():
    there = kernels(*REAL)
    text = "boot()\nopen()\nset_owner()\nset_backend_features()\nupdate(npages=4)\n"
    payload = real.project(TARGET.parse(text), there[0].era(TARGET.eras)).payload
    answers = []
    with real.guest_of(there[0], ()) as made:
        made.run([payload] * 3, lambda _, answer: answers.append(answer))
    for _, steps, left, log, _ in answers:
        assert steps[-1] == (72, None, 4, None)
        assert left == (0, 0)
        assert log == []


@pytest.mark.kernel
def test_a_real_guest_that_hangs_or_ends_is_told_and_gone():
    there = kernels(*REAL)
    payload = real.project(TARGET.parse("boot()\nopen()\n"), there[0].era(TARGET.eras)).payload
    with real.guest_of(there[0], ()) as made:
        made.program_max_s = 1
        os.kill(made.process.pid, signal.SIGSTOP)
        with pytest.raises(guest.GuestDied, match="no answer within 1 s") as died:
            made.run([payload], lambda number, answer: None)
        assert died.value.program == 0
    assert made.process.returncode == -signal.SIGKILL
    answers = []
    wrong = {**payload, "steps": [(0, False, 0, ("no_such_action",))]}
    with real.guest_of(there[0], ()) as made:
        with pytest.raises(guest.GuestDied, match="the guest ended") as died:
            made.run([payload, wrong, payload], lambda _, answer: answers.append(answer))
        assert died.value.program == 1
        assert "AttributeError" in died.value.log
    assert len(answers) == 1
