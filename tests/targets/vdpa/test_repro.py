# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs as C: every op can be said or the reason is, the C compiles, and does what it says.

There is no vhost-vdpa here. A plain file as device node takes messages as bytes and refuses all
ioctls; memory, limits and processes are real.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import vfuzz
from tests.corpus.programs import ALL
from vfuzz.strategies import programs
from vfuzz.targets.vdpa.ops import BOOT, OPS, VDUSE_OPS
from vfuzz.targets.vdpa.repro import CALLS, CANNOT, RUNTIME

TARGET = vfuzz.target("vdpa")
CCS = [cc for cc in ("gcc", "clang") if shutil.which(cc)] or ["cc"]
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread"]
VDUSE = "boot(parent=vduse)\n"


def build(source: str, out: Path | str, *flags: str) -> None:
    """Compile C without a warning with every compiler there is, or fail."""
    for cc in CCS:
        done = subprocess.run(
            [cc, *STRICT, *flags, "-x", "c", "-o", str(out), "-"],
            input=source, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{cc}: {done.stderr}"


def run(text: str, tmp_path: Path, node: bytes = b"") -> tuple[list[str], bytes]:
    """The lines that the program of `text` prints, on a plain file; and what is in it then."""
    build(TARGET.parse(text).to_c(), tmp_path / "repro")
    path = tmp_path / "node"
    path.write_bytes(node)
    done = subprocess.run([tmp_path / "repro", path], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done
    return done.stdout.splitlines(), path.read_bytes()


def returned(lines: list[str], op: str) -> list[int]:
    found = [re.match(r"-?\d+", line[60:].lstrip()) for line in lines if line.startswith(op)]
    return [int(match[0]) for match in found if match]


def values(arg) -> list[int]:
    """Every name of an argument, or both its bounds and what is interesting."""
    if arg.kind == "int":
        return [arg.lo, arg.hi, *arg.interesting]
    return [*range(arg.hi + 1)] if arg.kind != "flags" else [0, arg.hi]


def parents(op) -> list[str]:
    """The boot records with which an op is to be tried: the daemon's are others without VDUSE."""
    other = op in VDUSE_OPS or op.name in ("dev_add", "dev_del")
    return ["boot()", "boot(parent=vduse, vduse_api=1)"] if other else ["boot()"]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_can_be_said_or_there_is_a_reason(op):
    assert (op.name in CALLS) != (op.name in CANNOT)


def test_nothing_else_is_said():
    assert {*CALLS, *CANNOT} == {op.name for op in OPS}


@pytest.mark.parametrize("op", [op for op in OPS if op.name in CALLS], ids=lambda op: op.name)
def test_an_op_compiles_with_every_kind_of_value(op):
    default = {arg.name: arg.default for arg in op.args}
    lines = []
    for arg in op.args:
        for value in values(arg):
            said = ", ".join(f"{k}={v}" for k, v in {**default, arg.name: value}.items())
            lines.append(f"{op.name}({said})")
    for boot in parents(op):
        for chunk in range(0, max(len(lines), 1), 60):
            text = "\n".join([boot, *(lines or [f"{op.name}()"])[chunk : chunk + 60]])
            build(TARGET.parse(text).to_c(leave_out=True), "/dev/null", "-fsyntax-only")


@pytest.mark.parametrize("arg", BOOT, ids=lambda arg: arg.name)
def test_every_machine_compiles(arg):
    for value in {values(arg)[0], values(arg)[-1]}:
        build(TARGET.parse(f"boot({arg.name}={value})").to_c(), "/dev/null", "-fsyntax-only")


@pytest.mark.parametrize("entry", [e for e in ALL if e.target is TARGET], ids=str)
def test_the_corpus_compiles(entry):
    source = entry.program.to_c(entry.eras[-1], leave_out=True)
    build(source, "/dev/null", "-fsyntax-only")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(TARGET))
def test_any_program_compiles(program):
    build(program.to_c(leave_out=True), "/dev/null", "-fsyntax-only")


def test_the_numbers_are_those_of_the_system_headers():
    """As far as the headers here know a name, and each name that they know is spelt right."""
    lines = ["#include <linux/vhost.h>", "#include <linux/vduse.h>"]
    for name, number in re.findall(r"#define (V(?:HOST|DUSE)_\w+) (\w+)UL", RUNTIME):
        lines.append(f'#ifdef {name}\n_Static_assert({name} == {number}UL, "{name}");\n#endif')
    known = "#if !defined(VHOST_SET_OWNER) || !defined(VDUSE_CREATE_DEV)\n#error no numbers\n#endif"
    build("\n".join([*lines, known]), "/dev/null", "-c")


def test_messages_have_the_layout_of_the_kernel(tmp_path):
    text = """
        open()
        update(asid=7, page=2, npages=3, upage=5, perm=1)
        invalidate(at=top, span=to_end, version=v1)
        batch_begin(asid=1)
        write(length=5, format=9, asid=255)
    """
    lines, node = run(text, tmp_path)
    assert returned(lines, "update") == [72]
    assert returned(lines, "write") == [5]
    head, payload = "<II", "<QQQBB"
    update, invalidate, begin = (node[72 * i : 72 * i + 72] for i in range(3))
    assert struct.unpack_from(head, update) == (2, 7)
    assert struct.unpack_from(payload, update, 8) == (0x2000, 0x3000, 0x7F0000005000, 1, 2)
    assert struct.unpack_from(head, invalidate) == (1, 0)
    assert struct.unpack_from(payload, invalidate, 8) == (2**64 - 1, 1, 0, 0, 3)
    assert struct.unpack_from(head, begin) == (2, 1)
    assert struct.unpack_from(payload, begin, 8) == (0, 0, 0, 0, 5)
    assert node[216:] == struct.pack("<IB", 9, 255)


def test_what_differs_from_the_model_is_marked(tmp_path):
    lines, _ = run("open()\nset_owner()\nset_status()", tmp_path)
    assert returned(lines, "set_owner") == [-25]
    (line,) = [line for line in lines if line.startswith("set_owner")]
    assert "Inappropriate ioctl" in line
    assert line.endswith("DIFFERS: the model returns 0")
    assert lines[-1] == f"{sum('DIFFERS' in line for line in lines)} differ"


def test_memory_is_the_model_s(tmp_path):
    text = """
        boot(memory=none)
        mmap(upage=10, npages=5)
        mmap(upage=12, npages=9, kind=shared, file=2, pgoff=3)
        mmap(npages=0)
        mmap(upage=4095, npages=2)
        mmap(upage=100, npages=600, pattern=reversed, readonly=1)
        munmap(upage=11, npages=4)
        munmap(upage=4095, npages=2)
        close()
    """
    lines, _ = run(text, tmp_path)
    assert returned(lines, "mmap") == [0, 0, -22, -22, 0]
    assert returned(lines, "munmap") == [0, -22]
    assert returned(lines, "close") == [-9]
    assert not [line for line in lines if "DIFFERS" in line and not line.startswith("(")]


def test_a_child_shares_files_and_not_limits(tmp_path):
    text = """
        task(who=1)
        open()
        update(page=1)
        task()
        update(page=2)
        close()
        task(who=1)
        update(page=3)
        mmap(upage=70)
    """
    lines, node = run(text, tmp_path)
    assert returned(lines, "update") == [72, 72, -9]
    assert returned(lines, "mmap") == [0]
    assert len(node) == 144


def test_a_device_that_is_not_there_is_said(tmp_path):
    build(TARGET.parse("open()").to_c(), tmp_path / "repro")
    done = subprocess.run(
        [tmp_path / "repro", tmp_path / "none"], capture_output=True, text=True, timeout=60
    )
    assert "No such file" in done.stdout
    assert subprocess.run([tmp_path / "repro"], capture_output=True).returncode == 2


def test_what_cannot_be_said_is_an_error_that_names_all():
    program = TARGET.parse("open()\nirq_begin()\nset_owner()\nirq_end()\nset_status()")
    with pytest.raises(vfuzz.UsageError, match=r"op 1, irq_begin\(\): .*op 3, irq_end\(\): "):
        program.to_c()
    source = program.to_c(leave_out=True)
    assert "irq_begin() is left out" in source
    assert '"set_status()", 0, 0, LONG_MIN, NULL' in source, "nothing is compared behind it"
    assert '"open()", 0, 0, 0' in source


def test_failures_are_not_made_and_nothing_is_compared_behind_them():
    source = TARGET.parse("open()\nset_owner() fail(alloc, 1)\nupdate()").to_c()
    assert "set_owner() fail(alloc, 1): nothing is made to fail here" in source
    assert '"update()", 0, 0, LONG_MIN' in source


def test_the_violation_and_the_era_are_told():
    source = TARGET.parse("boot(use_va=1)\nopen()\nset_owner()\nupdate()\nclose()").to_c(
        "linux-6.12", quirks=["A01"]
    )
    assert "those of linux-6.12" in source
    broken = TARGET.parse("open()\nset_owner()\nupdate()\nclose()").to_c(quirks=["A01"])
    assert "finds leak-at-close (V18@" in broken


def test_pages_that_others_pinned_lower_the_limit():
    source = TARGET.parse("boot(memlock=few, foreign=5)\nrlimit(pages=3)").to_c()
    assert "limit(11)" in source
    assert "limit(0)" in source


def test_a_doorbell_goes_before_the_node_is_closed():
    source = TARGET.parse("open()\nmmap_doorbell()\nring_doorbell()\nclose()").to_c()
    assert "(unmap_doorbells(), node_close())" in source
    assert "doorbell" not in TARGET.parse("open()\nclose()").to_c()


# ---- rings: the process' own memory, and what it finds there ----

def told(lines: list[str], op: str) -> list[str]:
    return [line[60:].partition("  ")[2] for line in lines if line.startswith(op)]


def test_the_guest_writes_its_rings(tmp_path):
    """The used ring of queue 0 lies over what desc() wrote for another one to be looked at."""
    text = """
        boot(memory=none)
        mmap(upage=2, npages=1)
        used()
        poke(page=2, off=2, value=3)
        poke(page=2, off=20, value=7, width=4)
        poke(page=2, off=24, value=1514, width=4)
        used()
        poke(page=2, off=4095, value=1, width=2)
        poke(page=3, value=1)
        desc()
        avail(count=2)
        munmap(upage=2)
        used()
    """
    lines, _ = run(text, tmp_path)
    assert returned(lines, "used") == [0, 0, -14]
    assert told(lines, "used")[:2] == ["idx=0 id=0 len=0", "idx=0x3 id=0x7 len=0x5ea"]
    assert returned(lines, "poke") == [0, 0, 0, -14, -14]
    assert returned(lines, "desc") == [-14]
    assert returned(lines, "avail") == [-14]
    assert not [line for line in lines if "DIFFERS" in line and not line.startswith("(")]


def test_readonly_memory_is_no_ring(tmp_path):
    text = "boot(memory=none)\nmmap(npages=64, readonly=1)\ndesc()\nused()\nrx()\nsend()\ncvq()"
    lines, _ = run(text, tmp_path)
    assert returned(lines, "desc") == [-14]
    assert returned(lines, "used") == [0]
    assert [returned(lines, op) for op in ("rx", "send", "cvq")] == [[-14]] * 3


def test_offers_need_no_device(tmp_path):
    """Without a node nobody takes them, and a command's answer stays what it was."""
    lines, _ = run("rx(count=8, pieces=3)\nsend(indirect=1)\ncvq(gap=1)\nkick()", tmp_path)
    assert [returned(lines, op) for op in ("rx", "send", "cvq", "kick")] == [[0], [0], [0], [-2]]
    assert told(lines, "cvq") == ["ack=0x5a"]


def test_what_is_told_is_compared():
    source = TARGET.parse("bring_up()\nsend()\nused(queue=TX)").to_c()
    assert '"used(queue=TX)", 0, 0, 0, "idx=0x1 id=0 len=0"' in source
    source = TARGET.parse("open()\nget(what=AS_NUM)").to_c()
    assert '"get(what=AS_NUM)", 0, 0, 0, "value=0x2"' in source


def test_rings_are_in_the_memory_of_the_owner():
    source = TARGET.parse("task(who=1)\nbring_up()\ntask()\nsend()\nset_status()").to_c()
    assert re.search(r'"send\(\)", 1, 0, ', source)
    assert re.search(r'"set_status\(\)", 0, 0, ', source)


def test_bring_up_stops_at_the_first_call_that_fails(tmp_path):
    lines, node = run("bring_up()\nclose()", tmp_path)
    assert returned(lines, "bring_up") == [-25]
    assert returned(lines, "close") == [0]
    assert node == b""


# ---- VDUSE: the program is the daemon ----


def test_vduse_needs_its_control_device(tmp_path):
    build(TARGET.parse(VDUSE + "open()").to_c(), tmp_path / "repro")
    done = subprocess.run([tmp_path / "repro", "none"], capture_output=True, text=True, timeout=60)
    if not os.path.exists("/dev/vduse/control"):
        assert done.returncode == 2
        assert "/dev/vduse/control, modprobe vduse" in done.stderr


def test_the_daemon_is_where_it_is_needed():
    assert "serve_all" in TARGET.parse(VDUSE + "open()").to_c()
    assert "vduse" not in TARGET.parse("open()\nset_owner()").to_c()


def test_without_vduse_its_ops_are_refused(tmp_path):
    lines, _ = run("vduse_request()\nbounce(what=MAP)\numem()\ndaemon(mode=fail)", tmp_path)
    assert returned(lines, "vduse_request") == [-19]
    assert returned(lines, "bounce") == [-19]
    assert returned(lines, "umem") == [-19]
    assert returned(lines, "daemon") == [0]


ONLY_THE_KERNEL = (
    "vduse_request()", "vduse_leave()", "driver_config()", "bounce()", "bounce(what=UNMAP)",
    "coherent()", "coherent(what=FREE)", "coherent(what=WRITE)",
)  # fmt: skip


@pytest.mark.parametrize("op", ONLY_THE_KERNEL)
def test_what_only_the_kernel_does_is_not_said(op):
    with pytest.raises(vfuzz.UsageError, match=rf"op 0, {re.escape(op)}: .*--leave-out"):
        TARGET.parse(VDUSE + op).to_c()


@pytest.mark.parametrize(
    ("op", "call"),
    [
        ("vduse_ioctl(dev=1, page=2)", "range(VDUSE_IOTLB_GET_FD, 1, 0x2000, 0x2fff, 0)"),
        (
            "vduse_ioctl(dev=1, page=2, behind=1)",
            "range(VDUSE_IOTLB_GET_FD, 1, bounce_size(1) + 0x2000, bounce_size(1) + 0x2fff, 0)",
        ),
        (
            "vduse_ioctl(what=GET_INFO, off=1, len=0, behind=1)",
            "range(VDUSE_IOTLB_GET_INFO, 0, bounce_size(0) + 0x1, bounce_size(0) + 0x0, 0)",
        ),
        ("bounce(what=READ, page=3, off=5)", "looks(0x3000, 5)"),
        ("coherent(what=READ, page=3, off=5)", "looks(bounce_size(1) + 0x3000, 5)"),
    ],
)
def test_the_daemon_counts_from_the_bounce_pages_or_behind_them(op, call):
    source = TARGET.parse(VDUSE + op).to_c()
    assert f"return daemon_{call};" in source
    assert '"1048576"' in source, "as many bounce pages as the model's device has from 6.4 on"
    build(source, "/dev/null", "-fsyntax-only")


def test_a_pci_device_is_made_by_hand():
    with pytest.raises(vfuzz.UsageError, match="which PCI device"):
        TARGET.parse("boot(parent=iommu)\ndev_del()").to_c()
    assert "vdpasim_net" in TARGET.parse("dev_del()\ndev_add()").to_c()


def test_the_device_is_made_as_the_program_wants_it():
    source = TARGET.parse("boot(mac=plain, features=MAC|VERSION_1)\nopen()").to_c()
    assert "mgmtdev vdpasim_net mac 52:54:01:02:03:04 device_features 0x100000020" in source


def test_it_is_readable_text():
    source = TARGET.parse("open()\nupdate()").to_c()
    assert all(len(line.expandtabs(8)) <= 100 for line in source.splitlines())
    assert "vfuzz repro --lang c" in source
    assert os.linesep * 3 not in source


def test_a_disk_is_asked(tmp_path):
    """Nobody answers here; the request is in memory as a driver of disks writes it."""
    text = """
        boot(device=blk)
        blk(type=OUT, sector=7, page=20)
        blk(type=GET_ID, len=20, page=22)
        blk(shape=joined, page=23)
        blk(page=64)
    """
    lines, _ = run(text, tmp_path)
    assert returned(lines, "blk") == [0, 0, 0, -14]
    assert told(lines, "blk")[0].startswith("status=0x5a")
    source = TARGET.parse("boot(device=blk)\nbring_up(queues=RX)\nblk()").to_c()
    assert "mgmtdev vdpasim_blk" in source
    assert 'status=0' in source, "the model's disk answers"
