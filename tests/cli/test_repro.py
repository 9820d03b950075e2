# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz repro`. What the C does is tested in tests/targets/vdpa/test_repro.py."""

from __future__ import annotations

PROGRAM = "# target: vdpa\nboot()\nopen()\nset_owner()\nupdate()\n"


def test_prints_c_or_writes_it(vfuzz, write, tmp_path):
    path = write("a.vf", PROGRAM)
    done = vfuzz("repro", "--lang", "c", path)
    assert done.code == 0
    assert done.out.startswith("/*\n * SPDX-License-Identifier: GPL-2.0-or-later\n")
    assert "int main(" in done.out
    assert vfuzz("repro", "-o", tmp_path / "a.c", path).code == 0
    assert (tmp_path / "a.c").read_text() == done.out


def test_the_era_is_the_newest_or_what_is_said(vfuzz, write):
    path = write("a.vf", PROGRAM)
    assert "those of linux-7.0" in vfuzz("repro", path).out
    assert "those of linux-6.1." in vfuzz("repro", "--era", "linux-6.1", path).out
    said = write("b.vf", "# era: linux-6.1, linux-6.12\n" + PROGRAM)
    assert "those of linux-6.12." in vfuzz("repro", said).out


def test_other_targets_cannot_be_said(vfuzz, write):
    done = vfuzz("repro", write("a.vf", "# target: virtio-net-rx\nopen()\n"))
    assert done.code == 2
    assert "no C program can do what virtio-net-rx does" in done.err
    assert "vdpa" in done.err


def test_ops_that_cannot_be_said_are_named(vfuzz, write):
    path = write("a.vf", PROGRAM + "irq_begin()\n")
    done = vfuzz("repro", path)
    assert done.code == 2
    assert "op 3, irq_begin()" in done.err
    assert vfuzz("repro", "--leave-out", path).code == 0
