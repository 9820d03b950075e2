# SPDX-License-Identifier: GPL-2.0-or-later
"""For each way in which a check of the simulated disk can fail: what makes it, and what almost
does.

Cases are explained in tests/targets/cases.py. The disk's only queue is 0, and 262144 is the first
sector that it does not have.
"""

from __future__ import annotations

from tests.targets.cases import program, script

UP = "boot(device=blk)\nbring_up()\n"
STABLE, OLD = "linux-6.12", "linux-6.1"
SIZE = 262144 << 9
OK, ERROR = 1, 2

# fmt: off
PROGRAMS = [
    program("V51", "half a sector behind the disk",
            UP + "blk(type=OUT, sector=262143, len=1023)\n", "1023", "512"),
    program("V51", "a request that begins behind the disk", UP + "blk(sector=262145)\n", "145",
            "144"),
    program("V51", "a request behind the disk whose start is told only",
            UP + "blk(sector=262145)\n", "145", "144", quirk="B04", era=STABLE),
    program("V39", "a range behind the disk", UP + "blk(type=DISCARD, sector=262145)\n", "145",
            "144"),
    program("V36", "a sector that nobody wrote", UP + "blk()\n", "blk()", "blk(type=OUT)",
            era=OLD),
    program("V39", "a read that fails on the way", UP + "blk(len=1024, shape=gap)\n", "gap",
            "plain"),
    program("V39", "an id that has no room", UP + "blk(type=GET_ID, len=10)\n", "10", "20"),
    program("V34", "a request without a header", UP + "blk(type=FLUSH, shape=no_header)\n",
            "no_header", "plain", quirk="A60"),
    program("V32", "a hundred requests in one run",
            UP + "blk(type=FLUSH, then=nothing)\navail(queue=RX, count=100)\n", "100", "15",
            quirk="A61"),
    program("V29", "a request in seventeen mappings",
            "boot(device=blk, memory=scattered)\nbring_up()\nblk(type=OUT, len=65535)\n",
            "65535", "65000", quirk="A49"),
    program("V15", "a ring without a table",
            "boot(device=blk)\nopen()\nset_owner()\nvring_enable()\n", "vring_enable()",
            "task()", quirk="B03"),
]

SCRIPTS = [
    script("V51", "a sector more than there is", ("judge_disk_range", SIZE - 512, 1024),
           spare=(0, "judge_disk_range", SIZE - 512, 512), behind=UP),
    script("V52", "another byte than was written", ("poke", "disk.request", 20, 3),
           ("judge_disk_read", 0, 512), spare=(0, "poke", "disk.request", 19, 3),
           behind=UP + "blk(type=OUT)\n"),
    script("V52", "bytes of a sector that was cleared", ("poke", "disk.request", 1, 0),
           ("judge_disk_read", 0, 1), spare=(0, "poke", "disk.request", 0, 0),
           behind=UP + "blk(type=OUT)\nblk(type=WRITE_ZEROES)\n"),
    script("V29", "another byte than the request's", ("poke", "disk.request", 20, 3),
           ("judge_disk_write", 0, 512, 512), spare=(0, "poke", "disk.request", 19, 3),
           behind=UP + "blk(type=OUT)\n"),
    script("V29", "a byte less than the request's", ("judge_disk_write", 0, 512, 511),
           spare=(0, "judge_disk_write", 0, 512, 512), behind=UP + "blk(type=OUT)\n"),
    script("V39", "an error that is told as success", ("poke", "judge.answer", ERROR),
           ("judge_request_done",), spare=(0, "poke", "judge.answer", OK),
           behind=UP + "blk(type=OUT)\n"),
]

CASES = [*PROGRAMS, *SCRIPTS]
