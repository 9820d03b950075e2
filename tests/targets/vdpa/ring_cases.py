# SPDX-License-Identifier: GPL-2.0-or-later
"""For each way in which a check of rings can fail: what makes it, and what almost does.

Cases are explained in tests/targets/cases.py. A queue's rings are in pages 4q of the guest: queue
1, TX, has its descriptors at 0x4000, its available ring at 0x5000, its used ring at 0x6000.
"""

from __future__ import annotations

from tests.targets.cases import NOTHING, program, script
from tests.targets.vdpa.world import PFN_BASE, TARGET

Ref = TARGET.core.Ref
UP = "boot()\nbring_up()\n"
TX, RX = 1, 0
FAR = 1 << 40
PAGE_0 = PFN_BASE << 12
EINVAL = -22
AFTER = ("after_op",)
STABLE = "linux-6.12"

#: All of the guest's memory for reading, or for writing.
READ_ONLY = "boot()\nopen()\nset_owner()\nupdate(npages=32, perm=1)\nbring_up()\n"
WRITE_ONLY = "boot()\nopen()\nset_owner()\nupdate(npages=32, perm=2)\nbring_up()\n"

#: The chain of one empty descriptor that `avail(queue=TX)` means, as the device's vector has it.
OFFERED = UP + "avail(queue=TX, then=nothing)\n"
VECTOR = (("poke", "tx.base", 0), ("poke", "tx.len", 0))

# fmt: off
PROGRAMS = [
    program("V16", "a table is destroyed with its last mapping",
            UP + "invalidate(npages=32)\ncvq()\n", "npages=32", "page=99", quirk="B06"),
    program("V16", "the memory of a batch that is not pushed",
            UP + "cvq(then=kick)\nbatch_begin()\ninvalidate(npages=32)\n"
            "munmap(npages=32)\nwork()\n", "batch_begin()", "task()"),
    program("V49", "pages of a batch that is not pushed",
            UP + "batch_begin()\ninvalidate(npages=32)\ncvq()\n", "batch_begin()", "task()"),
    program("V29", "a search behind the end of a packet",
            "boot(memory=scattered)\nbring_up()\nsend(off=2048, len=4096)\n", "off=2048", "off=0",
            quirk="A45"),
    program("V28", "rings without mappings", UP + "bring_up(base=1)\ncvq()\n", "bring_up(base=1)",
            "task()"),
    program("V29", "a packet that is not there any more",
            "boot(memory=shared, use_va=1)\nbring_up()\nsend(then=kick)\n"
            "munmap(upage=16)\nwork()\n", "upage=16", "upage=31", quirk="A51"),
    program("V32", "an empty descriptor is never left behind", UP + "send(len=1, pieces=2)\n",
            "pieces=2", "pieces=1", quirk="A50"),
    program("V31", "a table of no descriptors", UP + "desc(queue=TX, len=0, bits=INDIRECT)\n"
            "avail(queue=TX)\n", "len=0", "len=16"),
    program("V31", "descriptor 0 behind a table", UP
            + "desc(queue=TX, slot=1, page=16, len=16, bits=NEXT|INDIRECT, next=0)\n"
            "avail(queue=TX, head=1)\n", "next=0", "next=2"),
    program("V32", "a table that is followed by itself", UP
            + "desc(queue=TX, slot=1, page=16, len=16, bits=NEXT|INDIRECT, next=1)\n"
            "avail(queue=TX, head=1)\n", "next=1", "next=2"),
    program("V31", "a table larger than the ring",
            "boot()\nbring_up(order=1)\nsend(pieces=4, indirect=1)\n", "pieces=4", "pieces=2",
            quirk="A48"),
    program("V31", "half of the answer before", UP + "cvq(ack=first)\ncvq()\n", "first", "byte",
            quirk="A46"),
    program("V32", "seventeen of sixteen packets", UP + "avail(queue=TX, count=17)\n", "17", "16"),
    program("V43", "a receive queue without a size",
            "boot()\nbring_up(queues=TX)\nvring_enable()\nsend()\n", "=TX", "=RX|TX"),
    program("V37", "an answer that cannot be written", UP + "cvq(ack=unmapped)\n", "unmapped",
            "byte"),
    program("V37", "a packet that cannot be read", UP + "send(page=63)\n", "63", "31",
            quirk="A59", era=STABLE),
    program("V41", "a packet for all is dropped", UP + "send(dst=broadcast)\n", "broadcast",
            "other", quirk="A57"),
    program("V41", "an address that begins like the device's",
            "boot(mac=short)\nbring_up()\nsend(dst=prefix)\n", "prefix", "other"),
    program("V40", "three bytes of an address", UP + "cvq(len=3, mac=9)\n", "len=3", "len=6"),
    program("V39", "an unknown command behind a good one",
            UP + "cvq(mac=2, then=nothing)\ncvq(page=21, cls=4)\n", "cls=4", "cls=1"),
    program("V38", "a status that is written once more", UP
            + "suspend()\nset_status(bits=ACKNOWLEDGE|DRIVER|DRIVER_OK|FEATURES_OK)\ncvq()\n",
            "suspend()", "task()"),
    program("V34", "a command of no bytes", UP + "avail(queue=CTRL)\n", "CTRL", "TX"),
    program("V34", "a buffer without room", UP + "rx(len=0)\nsend()\n", "len=0", "len=1"),
    program("V26", "the table of space 0",
            "boot()\nopen()\nset_owner()\nset_group_asid(group=1, asid=1)\n", "asid=1", "asid=0",
            quirk="A04"),
    program("V26", "a rebind that waits",
            "boot()\nopen()\nset_owner()\nset_group_asid(group=1, asid=1)\n", "asid=1", "asid=0",
            quirk="B09"),
    program("V43", "a ring of the maximal size", "boot()\nbring_up(order=7)\n", "=7", "=8",
            quirk="A54"),
    program("V35", "a used ring that begins at 0", "boot()\nbring_up(base=5)\n", "=5", "=0",
            quirk="A55"),
    program("V35", "a queue that is enabled twice", UP + "cvq()\nvring_enable(index=2)\n",
            "index=2", "index=1", quirk="A53"),
    program("V38", "a reset sets it running", "boot()\nopen()\n", "open()", "task()", quirk="A56"),
    program("V46", "vectors of a device that is gone", UP + "send()\nclose()\ndev_del()\n",
            "send()", "task()", quirk="A62"),
]

SCRIPTS = [
    script("V40", "a byte that nobody set", ("judge_ioctl", "GET_CONFIG", 0, 0, 0, 1),
           spare=(0, "judge_ioctl", "GET_CONFIG", 0, 0, 6, 1), behind=UP),
    script("V28", "a mapping of nobody's", ("judge_fragment", TX, FAR, FAR),
           spare=(0, "judge_fragment", TX, 0, PAGE_0), behind=UP),
    script("V5", "another mapping than the lowest", ("device_map", 0),
           ("poke", "map.last", 0x1FFF, Ref(0)), ("judge_fragment", TX, 0, PAGE_0),
           spare=(1, "poke", "map.perm", 3, Ref(0)), behind=UP),
    script("V29", "a byte behind the right one", ("judge_fragment", TX, 0, PAGE_0 + 1),
           spare=(0, "judge_fragment", TX, 0, PAGE_0), behind=UP),
    script("V29", "refused, and mapped", ("judge_copy", TX, 0, 16, 0, 0),
           spare=(0, "judge_copy", TX, 0, 16, 0, 1), behind=UP),
    script("V28", "done, and not mapped", ("judge_copy", TX, FAR, 16, 0, 1),
           spare=(0, "judge_copy", TX, FAR, 16, 0, 0), behind=UP),
    script("V30", "written, and for reading", ("judge_copy", TX, 0, 16, 1, 1),
           spare=(0, "judge_copy", TX, 0, 16, 1, 0), behind=READ_ONLY),
    script("V35", "the used index goes on by two", ("judge_putu16", TX, 0x6002, 2, 1),
           spare=(0, "judge_putu16", TX, 0x6002, 1, 1), behind=UP),
    script("V30", "the used index is written, and is for reading",
           ("judge_putu16", TX, 0x6002, 1, 1), spare=(0, "judge_putu16", TX, 0x6002, 1, 0),
           behind=READ_ONLY),
    script("V30", "the used index is for writing, and not written",
           ("judge_putu16", TX, 0x6002, 1, 0), spare=(0, "judge_putu16", TX, 0x6002, 1, 1),
           behind=WRITE_ONLY),
    script("V31", "a vector with a segment more", *VECTOR, ("poke", "tx.used", 2),
           ("judge_getdesc", TX, 0, 1), spare=(2, "poke", "tx.used", 1), behind=OFFERED),
    script("V38", "a queue that is not enabled", ("judge_getdesc", TX, 0, 0),
           spare=(0, "judge_getdesc", RX, 0, 0), behind="boot()\nbring_up(queues=RX)\n"),
    script("V34", "a chain of an empty ring", ("judge_getdesc", TX, 0, 1),
           spare=(0, "judge_getdesc", TX, 0, 0), behind=UP),
    script("V34", "a second chain", *VECTOR, ("poke", "tx.used", 1), ("poke", "judge.head", 5, TX),
           ("judge_getdesc", TX, 0, 1), spare=(3, "poke", "judge.head", -1, TX), behind=OFFERED),
    script("V31", "a chain for writing is sent", ("judge_getdesc", TX, 0, 1),
           spare=(0, "judge_getdesc", TX, 0, EINVAL),
           behind=UP + "desc(queue=TX, bits=WRITE)\navail(queue=TX, then=nothing)\n"),
    script("V34", "another chain than the next", *VECTOR, ("poke", "tx.used", 1),
           ("judge_getdesc", TX, 1, 1), spare=(3, "judge_getdesc", TX, 0, 1), behind=OFFERED),
    script("V29", "a packet of a byte less", ("judge_pull", 63), spare=(0, "judge_pull", 64),
           behind=UP + "send()\n"),
    script("V29", "a packet with another byte", ("poke", "sim.buffer", 1, 3), ("judge_pull", 64),
           spare=(0, "poke", "sim.buffer", 0, 3), behind=UP + "send()\n"),
    script("V41", "a packet for somebody else", ("judge_filter", 1), spare=(0, "judge_filter", 0),
           behind=UP + "send(dst=other)\n"),
    script("V36", "a byte behind the packet", ("judge_packet", 65), spare=(0, "judge_packet", 64),
           behind=UP + "send()\n"),
    script("V33", "a byte of a packet is not written", ("judge_push_data", RX, 63, 64),
           spare=(0, "judge_push_data", RX, 64, 64), behind=UP + "rx()\nsend()\n"),
    script("V39", "a good command is an error", ("judge_command", 1),
           spare=(0, "judge_command", 0), behind=UP + "cvq()\n"),
    script("V34", "another chain than the one that is out", ("poke", "judge.head", 3, TX),
           ("judge_used", TX, 0x6004, 4, 0), spare=(0, "poke", "judge.head", 4, TX), behind=UP),
    script("V33", "a byte that was not written", ("poke", "judge.head", 3, TX),
           ("judge_used", TX, 0x6004, 3, 1), spare=(1, "judge_used", TX, 0x6004, 3, 0), behind=UP),
    script("V35", "the place behind the next", ("poke", "judge.head", 3, TX),
           ("judge_used", TX, 0x600C, 3, 0), spare=(1, "judge_used", TX, 0x6004, 3, 0), behind=UP),
    script("V38", "it works before DRIVER_OK", ("judge_run_begin",), spare=(0, *NOTHING),
           behind="boot()\nopen()\n"),
    script("V34", "a chain that is out when the run ends", ("poke", "judge.head", 3, TX),
           ("judge_run_end",), spare=(0, "poke", "judge.head", -1, TX), behind=UP),
    script("V35", "a chain that nobody offered was taken", ("poke", "ring.last_avail", 1, TX),
           AFTER, spare=(0, "poke", "ring.last_avail", 0, TX), behind=UP),
    script("V35", "a chain that nobody took was used", ("poke", "ring.last_used", 1, TX), AFTER,
           spare=(0, "poke", "ring.last_used", 0, TX), behind=UP),
]
# fmt: on

CASES = [*PROGRAMS, *SCRIPTS]
