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
from vfuzz.targets.vdpa.ops import BOOT, OPS
from vfuzz.targets.vdpa.repro import CALLS, CANNOT, RUNTIME

TARGET = vfuzz.target("vdpa")
CC = next((cc for cc in ("gcc", "clang", "cc") if shutil.which(cc)), None)
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]


def build(source: str, out: Path | str, *flags: str) -> None:
    """Compile C without a warning, or fail."""
    assert CC, "no C compiler: install gcc"
    done = subprocess.run(
        [CC, *STRICT, *flags, "-x", "c", "-o", str(out), "-"],
        input=source, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


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
    for chunk in range(0, max(len(lines), 1), 60):
        text = "\n".join(["boot()", *(lines or [f"{op.name}()"])[chunk : chunk + 60]])
        build(TARGET.parse(text).to_c(), "/dev/null", "-c")


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
    lines = ["#include <linux/vhost.h>"]
    for name, number in re.findall(r"#define (VHOST_\w+) (\w+)UL", RUNTIME):
        lines.append(f'#ifdef {name}\n_Static_assert({name} == {number}UL, "{name}");\n#endif')
    known = "#ifndef VHOST_SET_OWNER\n#error no numbers\n#endif"
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
    program = TARGET.parse("open()\nirq_begin()\nset_owner()\ndev_del()\nset_status()")
    with pytest.raises(vfuzz.UsageError, match=r"op 1, irq_begin\(\): .*op 3, dev_del\(\): "):
        program.to_c()
    source = program.to_c(leave_out=True)
    assert "irq_begin() is left out" in source
    assert '"set_status()", 0, 0, LONG_MIN' in source, "nothing is compared behind it"
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


def test_it_is_readable_text():
    source = TARGET.parse("open()\nupdate()").to_c()
    assert all(len(line.expandtabs(8)) <= 100 for line in source.splitlines())
    assert "vfuzz repro --lang c" in source
    assert os.linesep * 3 not in source
