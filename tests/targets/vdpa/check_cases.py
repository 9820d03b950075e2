# SPDX-License-Identifier: GPL-2.0-or-later
"""For each way in which a check of vdpa can fail: what makes it, and what almost does.

Cases are explained in tests/targets/cases.py. Programs are preferred, with the quirk that brings
the bug back or as the kernel still is; the rig is for what no program can do, however broken the
model: then the case says what the judge would see.
"""

from __future__ import annotations

from tests.targets.cases import NOTHING, Case, program, script
from tests.targets.vdpa import disk_cases, ring_cases, vduse_cases
from tests.targets.vdpa.world import PFN_BASE, TARGET

Ref = TARGET.core.Ref
OLD, STABLE = "linux-6.1", "linux-6.12"

NODE = "boot()\nopen()\n"
OWNER = "open()\nset_owner()\nset_backend_features()\n"
READY = "boot()\n" + OWNER
BATCH = READY + "batch_begin()\n"
MAPPED = READY + "update()\n"
TWO_RUNS = "boot(memory=scattered)\n" + OWNER
DMA = "boot(parent=sim_dma)\n" + OWNER
FILES = "boot(memory=shared, use_va=1)\n" + OWNER
PCI = "boot(parent=iommu)\n" + OWNER
RUNNING = READY + "set_status(bits=DRIVER_OK)\n"
PACKED = (PCI + "set_features(bits=VERSION_1|RING_PACKED)\nset_status(bits=FEATURES_OK)\n")

EPERM, EBADF, ENOMEM, EFAULT, EBUSY, EINVAL, ENOTTY = -1, -9, -12, -14, -16, -22, -25
EOPNOTSUPP, ENOBUFS = -95, -105
ACCEPTED = 72
AFTER = ("after_op",)

# fmt: off
PROGRAMS = [
    program("V2", "everything in one mapping", "boot(sim_entries=two)\nopen()\n",
            "sim_entries=two", "sim_entries=one", quirk="A41"),
    program("V4", "a second mapping in a table for one",
            "boot(entries=one)\n" + OWNER + "update()\nupdate(page=1)\n",
            "entries=one", "entries=two"),
    program("V4", "a second mapping in a table for one, long ago",
            "boot(entries=one)\n" + OWNER + "update()\nupdate(page=1)\n",
            "entries=one", "entries=two", quirk="A44", era=OLD),
    program("V4", "a third mapping in a device's table for two", "boot(sim_entries=two)\n" + OWNER
            + "update()\nupdate(page=1)\nupdate(page=2)\n", "two", "three"),
    program("V4", "a third mapping that is told to a device with room for two",
            "boot(sim_entries=two, parent=sim_dma)\n" + OWNER
            + "update()\nupdate(page=1)\nupdate(page=2)\n", "two", "three"),
    program("V6", "an UPDATE of address 0 undoes a length of 0",
            FILES + "update(page=1)\nupdate(upage=64)\n", "upage=64", "page=9, upage=64"),
    program("V7", "page 0 is outside of the range", "boot(range=window)\n" + OWNER + "update()\n",
            "update()", "update(page=1)", quirk="A29"),
    program("V8", "two pages at the end of the space",
            TWO_RUNS + "update(off=4095, at=top, npages=2)\n", "npages=2", "npages=1",
            quirk="A28"),
    program("V8", "an INVALIDATE of no bytes inside of a mapping",
            READY + "update(npages=2)\ninvalidate(page=1, span=zero)\n", "page=1", "page=2"),
    program("V9", "charged, and not given back", READY + "update() fail(map, 2)\n",
            "fail(map, 2)", "fail(map, 1)", quirk="A33"),
    program("V10", "one of two pages is there", READY + "update(npages=2, upage=63)\n",
            "upage=63", "upage=62", quirk="A30"),
    program("V10", "the second of two runs is not mapped",
            TWO_RUNS + "update(npages=2) fail(map, 3)\n", "(map, 3)", "(map, 2)"),
    program("V12", "4 GiB and a page", READY + "update(span=over_4g)\n", "over_4g", "plain",
            quirk="A27"),
    program("V15", "the third of two spaces", READY + "batch_begin(asid=2)\n", "asid=2", "asid=1",
            quirk="A06"),
    program("V15", "gone with its last mapping", MAPPED + "invalidate()\n", "invalidate()",
            "invalidate(page=1)", quirk="A16"),
    program("V16", "features of a queue before there are queues", "boot(sim_entries=two)\nopen()\n",
            "two", "one", quirk="A19"),
    program("V18", "space 0 outlives the close", READY + "update(asid=0)\nclose()\n", "asid=0",
            "asid=1", quirk="A01"),
    program("V18", "the second table of a device that is gone", "boot(nas=2)\nopen()\n",
            "nas=2", "nas=1", quirk="A52"),
    program("V19", "65536 is 0 in 16 bits", READY + "update(asid=65536)\n", "65536", "65538",
            quirk="A03"),
    program("V20", "the space of the batch is freed", BATCH + "invalidate()\n", "invalidate()",
            "update()", quirk="A02"),
    program("V22", "the device unmaps half of a mapping",
            DMA + "update(npages=2)\ninvalidate(npages=1)\n", "invalidate(npages=1)",
            "invalidate(npages=2)", quirk="A15"),
    program("V22", "a removal that the device refuses", MAPPED + "invalidate() fail(map, 1)\n",
            "(map, 1)", "(map, 2)"),
    program("V29", "a file that begins behind a gap",
            "boot(memory=none, use_va=1)\nmmap(upage=1, kind=shared)\n" + OWNER
            + "update(npages=2)\n", "upage=1", "upage=0"),
    program("V44", "a table without its lock", READY + "update()\n", "update()", "task()",
            quirk="A35"),
    program("V44", "the mutex is still held", READY + "invalidate()\n", "invalidate()",
            "batch_begin()", quirk="A07"),
    program("V46", "an object that open leaves behind", "boot()\nopen()\n", "open()", "set_owner()",
            quirk="CANARY"),
    program("V46", "a page list for no pages", READY + "update(span=all)\n", "all", "zero",
            quirk="A31"),
    program("V46", "queues of a node that could not be opened",
            "boot(parent=iommu)\nopen() fail(alloc, 2)\n", "(alloc, 2)", "(alloc, 3)",
            quirk="A34"),
    program("V47", "mappings that were to persist",
            "boot()\nopen()\nset_owner()\nset_backend_features(bits=IOTLB_PERSIST)\nupdate()\n"
            "set_status()\n", "IOTLB_PERSIST", "IOTLB_ASID", quirk="A18"),
    program("V48", "a number of pages for an errno", READY + "update() fail(map, 2)\n", "(map, 2)",
            "(map, 1)", quirk="A32"),
    program("V48", "busy with nobody", "boot()\nopen() fail(alloc, 1)\nopen()\n", "(alloc, 1)",
            "(alloc, 2)", quirk="A34"),
    program("V6", "a bad fd for a queue with interrupts",
            PCI + "vring_fd(which=CALL, fd=e0)\nset_status(bits=DRIVER_OK)\n"
            "vring_fd(which=CALL, fd=closed)\n", "closed", "none"),
    program("V16", "the domain goes before the mappings in it", PCI + "update()\nclose()\n",
            "update()", "update(asid=1)", quirk="A17"),
    program("V25", "the address space behind the last", READY + "set_group_asid(asid=2)\n",
            "asid=2", "asid=1", quirk="A08"),
    program("V25", "the group behind the last", READY + "set_group_asid(group=2)\n", "group=2",
            "group=1", quirk="A09"),
    program("V25", "the doorbell of a queue that is not there",
            PCI + "mmap_doorbell(pgoff=3)\n", "pgoff=3", "pgoff=2"),
    program("V27", "a group of a device that runs",
            READY + "set_status(bits=DRIVER_OK)\nset_group_asid(asid=1)\n", "DRIVER_OK", "DRIVER",
            era=OLD),
    program("V35", "the first position of a packed ring is refused",
            PACKED + "vring_base(num=2147516416)\n", "2147516416", "0", quirk="A38"),
    program("V38", "a device is suspended that does not run",
            READY + "set_status(bits=DRIVER)\nsuspend()\n", "DRIVER)", "DRIVER_OK)", quirk="A40"),
    program("V38", "a device goes on that does not run",
            READY + "set_status(bits=DRIVER)\nresume()\n", "DRIVER)", "DRIVER_OK)", quirk="A40"),
    program("V40", "an offset behind the configuration", NODE + "get_config(off=25, len=1)\n",
            "off=25", "off=23", quirk="A36"),
    program("V40", "a read whose end wraps", NODE + "get_config(off=4294967280, len=16)\n",
            "off=4294967280", "off=8", quirk="A36"),
    program("V40", "a write whose end wraps", NODE + "set_config(off=4294967280, len=16)\n",
            "off=4294967280", "off=8", quirk="A36"),
    program("V40", "a read behind a register window", PCI + "get_config(off=25, len=1)\n",
            "off=25", "off=23", quirk="A36"),
    program("V40", "a write behind a register window", PCI + "set_config(off=25, len=1)\n",
            "off=25", "off=23", quirk="A36"),
    program("V43", "twice the device's maximum", READY + "vring_num(num=512)\n", "512", "256"),
    program("V43", "addresses of a ring in use",
            READY + "set_status(bits=DRIVER_OK)\nvring_addr()\n", "DRIVER_OK", "DRIVER", era=OLD),
    program("V43", "the position of a ring in use",
            READY + "set_status(bits=DRIVER_OK)\nvring_base()\n", "DRIVER_OK", "DRIVER", era=OLD),
    program("V45", "a config eventfd goes while it is signalled",
            PCI + "config_call(fd=e0)\nset_status(bits=DRIVER_OK)\nirq_begin()\n"
            "config_call()\nirq_end()\n", "config_call()", "config_call(fd=e0)"),
    program("V45", "a call eventfd goes while it is signalled",
            RUNNING + "vring_fd(which=CALL, fd=e0)\nvring_enable()\nirq_begin(which=vq)\n"
            "vring_fd(which=CALL)\nirq_end(which=vq)\n", "CALL)", "ERR)"),
    program("V45", "a bad fd becomes the config eventfd", NODE + "config_call(fd=closed)\n",
            "closed", "e0", quirk="A22"),
    program("V45", "a bad fd takes the config eventfd away",
            NODE + "config_call(fd=e0)\nconfig_call(fd=closed)\n", "closed", "none"),
    program("V45", "the config eventfd stays behind a close",
            NODE + "config_call(fd=e0)\nclose()\n", "e0", "none", quirk="A21"),
    program("V45", "the bypass keeps an eventfd that its queue dropped",
            PCI + "vring_fd(which=CALL, fd=e0)\nset_status(bits=DRIVER_OK)\n"
            "vring_fd(which=CALL, fd=e1)\n", "e1", "e0", quirk="A20"),
    program("V45", "one eventfd, two producers",
            PCI + "vring_fd(which=CALL, fd=e0)\nvring_fd(index=1, which=CALL, fd=e0)\n"
            "set_status(bits=DRIVER_OK)\nvring_fd(index=1, which=CALL)\n", "DRIVER_OK", "DRIVER",
            era=STABLE),
    program("V48", "a batch without a size is refused", READY + "batch_begin()\n", "batch_begin()",
            "batch_begin(npages=1)", quirk="A42"),
]

# ---- the rig: tables -----------------------------------------------------------------------------

LOW, HIGH = ("iotlb_add", 0, 0, 9), ("iotlb_add", 0, 20, 29)
JUDGE_TABLE = ("judge_table", 0, 0)

TABLES = [
    script("V1", "one byte in two mappings", LOW, ("iotlb_add", 0, 9, 9), JUDGE_TABLE,
           spare=(1, "iotlb_add", 0, 10, 10)),
    script("V2", "size of one byte less", LOW, ("poke", "map.size", 9, 1), JUDGE_TABLE,
           spare=(1, "poke", "map.size", 10, 1)),
    script("V3", "out of order", ("iotlb_add", 0, 5, 5), ("iotlb_add", 0, 20, 20),
           ("poke", "map.start", 25, 1), ("poke", "map.last", 25, 1), JUDGE_TABLE,
           spare=(1, "iotlb_add", 0, 30, 30)),
    script("V3", "two mappings are counted, one is there", LOW, ("poke", "table.nmaps", 2),
           JUDGE_TABLE, spare=(1, "poke", "table.nmaps", 1)),
    script("V4", "two mappings in a table for one", LOW, HIGH, ("poke", "table.limit", 1),
           JUDGE_TABLE, spare=(2, "poke", "table.limit", 2)),
    script("V16", "a mapping is removed twice", LOW, ("iotlb_free", 0, 1), ("iotlb_free", 0, 1),
           spare=(2, *NOTHING)),
]

# ---- the rig: pages, locks, objects --------------------------------------------------------------

ONE_PAGE = ("mm_map", 0, 1, "ANON")
PIN = ("pin", 0, 1, 0)

PARTS = [
    script("V10", "unpinned twice", ONE_PAGE, PIN, ("unpin", 0), ("unpin", 0), spare=(3, *NOTHING)),
    script("V11", "the pfn behind the process' memory", ONE_PAGE, ("pfn", PFN_BASE + 2),
           spare=(1, "pfn", PFN_BASE)),
    script("V14", "unpinned clean", ONE_PAGE, PIN, ("poke", "frame.wo", 1, 0), ("unpin", 0),
           spare=(2, "poke", "frame.wo", 0, 0)),
    script("V14", "dirty, but nobody could write it", ONE_PAGE, ("poke", "frame.wo", 0, 0),
           ("dirty", 0), spare=(1, "poke", "frame.wo", 1, 0)),
    script("V16", "an object is freed twice", ("kmalloc", "O_CALL"), ("kfree", 1), ("kfree", 1),
           spare=(2, *NOTHING)),
    script("V16", "a file record is released twice", ("map_file_put", 1), ("map_file_put", 1),
           spare=(1, *NOTHING), behind=FILES + "update()\n"),
    script("V32", "a step too many", ("steps", 20_001), spare=(0, "steps", 20_000)),
    script("V44", "a lock is taken twice", ("lock", "L_DEV"), ("lock", "L_DEV"),
           spare=(1, "lock", "L_SIM")),
    script("V44", "another lock is released", ("lock", "L_DEV"), ("unlock", "L_SIM"),
           spare=(1, "unlock", "L_DEV")),
    script("V44", "another lock is held", ("lock", "L_SIM"), ("held", "L_DEV"),
           spare=(0, "lock", "L_DEV")),
    Case("V48", "set_map() of a parent without", DMA, ("sim_dma", "sim"), steps=(("set_map", 0),)),
    Case("V48", "dma_map() of a parent without", "boot(parent=sim)\n" + OWNER, ("=sim", "=sim_dma"),
         steps=(("dma_map", 0, 4096, 4096, 4096, 3),)),
    Case("V48", "dma_unmap() of a parent without", "boot(parent=sim)\n" + OWNER,
         ("=sim", "=sim_dma"), steps=(("dma_unmap", 0, 4096, 4096),)),
]


# ---- the judge: what it says of a message --------------------------------------------------------


def seen(kind: str | int, ret: int, *, asid: int = 0, length: int = 72, size: int | None = None,
         pushes: int = 0) -> tuple:
    """A message as judge_message sees it: a page, or no bytes where a batch begins or ends."""
    if size is None:
        size = 0 if str(kind).startswith("BATCH") else 4096
    return kind, asid, length, size, pushes, ret


def said(check: str, name: str, behind: str, fires: tuple, spares: tuple) -> Case:
    """What the judge says of a message."""
    return script(check, name, ("judge_message", *fires), spare=(0, "judge_message", *spares),
                  behind=behind)


MESSAGES = [
    said("V1", "an overlap is accepted", MAPPED, seen("UPDATE", ACCEPTED, pushes=1),
         seen("UPDATE", EFAULT)),
    said("V11", "pages that are not there are accepted", READY,
         seen("UPDATE", ACCEPTED, pushes=1), seen("UPDATE", EFAULT)),
    said("V11", "addresses that are nobody's are accepted", "boot(memory=none, use_va=1)\n" + OWNER,
         seen("UPDATE", ACCEPTED, pushes=1), seen("UPDATE", EFAULT)),
    said("V12", "no page may be locked, one is", "boot(memlock=zero)\n" + OWNER,
         seen("UPDATE", ACCEPTED, pushes=1), seen("UPDATE", EFAULT)),
    said("V21", "a push in a batch", BATCH, seen("INVALIDATE", ACCEPTED, pushes=1),
         seen("INVALIDATE", ACCEPTED)),
    said("V21", "two pushes for one batch", BATCH, seen("BATCH_END", ACCEPTED, pushes=2),
         seen("BATCH_END", ACCEPTED, pushes=1)),
    said("V21", "no push for a batch", BATCH, seen("BATCH_END", ACCEPTED),
         seen("BATCH_END", ACCEPTED, pushes=1)),
    said("V22", "a removal that is not pushed", MAPPED, seen("INVALIDATE", ACCEPTED),
         seen("INVALIDATE", ACCEPTED, pushes=1)),
    said("V24", "another space than the batch's", BATCH, seen("UPDATE", ACCEPTED, asid=1),
         seen("UPDATE", EFAULT, asid=1)),
    said("V48", "71 of 72 bytes", READY, seen("BATCH_BEGIN", 71),
         seen("BATCH_BEGIN", ACCEPTED)),
    said("V48", "a handler's own errno", READY, seen("INVALIDATE", EINVAL),
         seen("INVALIDATE", EFAULT)),
    said("V48", "refused for nothing", READY, seen("BATCH_BEGIN", EFAULT),
         seen("BATCH_BEGIN", ACCEPTED)),
    said("V48", "39 bytes are a message", READY, seen("BATCH_BEGIN", ACCEPTED, length=39),
         seen("BATCH_BEGIN", EINVAL, length=39)),
    said("V48", "no bytes are mapped", READY, seen("UPDATE", ACCEPTED, size=0),
         seen("UPDATE", EINVAL, size=0)),
    said("V48", "nobody's message", NODE, seen("BATCH_BEGIN", ACCEPTED),
         seen("BATCH_BEGIN", EFAULT)),
    said("V48", "removal from a space that is not there", READY,
         seen("INVALIDATE", ACCEPTED, pushes=1), seen("INVALIDATE", EFAULT)),
    said("V48", "a message that no process sends", MAPPED, seen(4, ACCEPTED, size=0),
         seen(4, EFAULT, size=0)),
    script("V48", "a handler that returns 1", ("judge_handler", 1), spare=(0, "judge_handler", 0)),
    script("V17", "a push of another space", ("judge_push", 1, 0), spare=(0, "judge_push", 0, 0),
           behind=READY),
]


# ---- the judge: what it says of an ioctl ---------------------------------------------------------


def returned(check: str, name: str, behind: str, fires: tuple, spares: tuple) -> Case:
    """An ioctl as judge_ioctl takes it: number, result, index, num, value, flags, fd."""
    return script(check, name, ("judge_ioctl", *fires), spare=(0, "judge_ioctl", *spares),
                  behind=behind)


def refused(name: str, behind: str, number: str, *arguments: int) -> Case:
    """An ioctl that must succeed, and does not."""
    return returned("V48", f"{name} is refused for nothing", behind, (number, EBUSY, *arguments),
                    (number, 0, *arguments))


IOCTLS = [
    refused("a value", NODE, "GET", 9),
    refused("a status", NODE, "SET_STATUS"),
    refused("a choice of features", PCI, "SET_FEATURES"),
    refused("a byte of the configuration", NODE, "GET_CONFIG", 0, 6, 1),
    refused("no config eventfd", NODE, "SET_CONFIG_CALL"),
    refused("a suspend", RUNNING, "SUSPEND"),
    refused("a resume", RUNNING, "RESUME"),
    refused("a memory table", READY, "SET_MEM_TABLE"),
    refused("a size", READY, "SET_VRING_NUM", 0, 16),
    refused("a table of descriptors", READY, "SET_VRING_ADDR"),
    refused("a position", READY, "SET_VRING_BASE"),
    refused("to say a position", READY, "GET_VRING_BASE"),
    refused("to start a queue", READY, "SET_VRING_ENABLE"),
    refused("no call eventfd", READY, "SET_VRING_CALL"),
    refused("to say a group", READY, "GET_VRING_GROUP"),
    refused("another space", READY, "SET_GROUP_ASID"),
    returned("V48", "5 is no errno", NODE, ("GET", 5, 8), ("GET", 0, 8, 0, 3)),
    returned("V48", "another errno than must be", READY, ("SET_VRING_NUM", EFAULT),
             ("SET_VRING_NUM", EINVAL)),
    returned("V48", "four queues", NODE, ("GET", 0, 8, 0, 4), ("GET", 0, 8, 0, 3)),
    returned("V42", "a bit of the status goes", READY + "set_status(bits=DRIVER)\n",
             ("SET_STATUS", 0, 0, 1), ("SET_STATUS", EINVAL, 0, 1)),
    returned("V42", "features that are settled", READY + "set_status(bits=FEATURES_OK)\n",
             ("SET_FEATURES", 0, 0, 0, 1 << 33), ("SET_FEATURES", EBUSY, 0, 0, 1 << 33)),
    returned("V48", "a closed fd for the configuration", NODE,
             ("SET_CONFIG_CALL", 0, 0, 0, 0, 0, 4), ("SET_CONFIG_CALL", EBADF, 0, 0, 0, 0, 4)),
    returned("V48", "a device that cannot stop", PCI + "set_status(bits=DRIVER_OK)\n",
             ("SUSPEND", 0), ("SUSPEND", EOPNOTSUPP)),
    returned("V48", "a device that cannot go on", PCI + "set_status(bits=DRIVER_OK)\n",
             ("RESUME", 0), ("RESUME", EOPNOTSUPP)),
    returned("V48", "an ioctl that nobody has", READY, ("UNKNOWN_IOCTL", 0),
             ("UNKNOWN_IOCTL", ENOTTY)),
    returned("V48", "a log", READY, ("SET_LOG_BASE", 0), ("SET_LOG_BASE", ENOTTY)),
    returned("V48", "nobody starts a queue", NODE, ("SET_VRING_ENABLE", 0),
             ("SET_VRING_ENABLE", EPERM)),
    returned("V48", "a queue that is not there", READY, ("SET_VRING_ENABLE", 0, 3),
             ("SET_VRING_ENABLE", ENOBUFS, 3)),
    returned("V48", "descriptor groups of a device without", READY, ("GET_VRING_DESC_GROUP", 0),
             ("GET_VRING_DESC_GROUP", EOPNOTSUPP)),
    returned("V43", "three entries", READY, ("SET_VRING_NUM", 0, 0, 3),
             ("SET_VRING_NUM", EINVAL, 0, 3)),
    returned("V48", "a flag that nobody knows", READY, ("SET_VRING_ADDR", 0, 0, 0, 0, 2),
             ("SET_VRING_ADDR", EOPNOTSUPP, 0, 0, 0, 2)),
    returned("V43", "a used ring at an address of 2", READY, ("SET_VRING_ADDR", 0, 0, 0, 2),
             ("SET_VRING_ADDR", EINVAL, 0, 0, 2)),
    returned("V35", "a position of 17 bits", READY, ("SET_VRING_BASE", 0, 0, 1 << 16),
             ("SET_VRING_BASE", EINVAL, 0, 1 << 16)),
    returned("V35", "a device that begins at 0 begins at 1",
             PCI + "set_status(bits=FEATURES_OK)\n", ("SET_VRING_BASE", 0, 0, 1),
             ("SET_VRING_BASE", EOPNOTSUPP, 0, 1)),
    returned("V35", "another position than was set", READY + "vring_base(num=7)\n",
             ("GET_VRING_BASE", 0, 0, 8), ("GET_VRING_BASE", 0, 0, 7)),
    returned("V43", "another size than was set",
             DMA + "vring_num(num=32)\nset_status(bits=DRIVER_OK)\n",
             ("GET_VRING_SIZE", 0, 0, 16), ("GET_VRING_SIZE", 0, 0, 32)),
    returned("V43", "a simulator says a size before it runs", DMA + "vring_num(num=32)\n",
             ("GET_VRING_SIZE", 0, 0, 32), ("GET_VRING_SIZE", 0, 0, 256)),
    returned("V25", "another group than the queue's", READY, ("GET_VRING_GROUP", 0, 0, 1),
             ("GET_VRING_GROUP", 0, 0, 0)),
    script("V42", "a bit of the status that nobody set", ("poke", "sim.status", 5),
           ("judge_ioctl", "SET_STATUS", 0, 0, 1), spare=(0, "poke", "sim.status", 1), behind=NODE),
    script("V42", "features are settled that are not on offer",
           ("poke", "sim.features", 1 << 34), ("poke", "sim.status", 8),
           ("judge_ioctl", "SET_STATUS", 0, 0, 8), spare=(0, "poke", "sim.features", 1 << 33),
           behind=NODE),
    script("V25", "a doorbell is mapped of a queue that is not there", ("judge_mmap", 3, 0),
           spare=(0, "judge_mmap", 3, EINVAL), behind=PCI),
    script("V48", "a doorbell is refused for nothing", ("judge_mmap", 2, EINVAL),
           spare=(0, "judge_mmap", 2, 0), behind=PCI),
    script("V48", "a device is made whose tables have no room", ("judge_dev_add", 0),
           spare=(0, "judge_dev_add", EINVAL), behind="boot(sim_entries=one)\n"),
    script("V48", "a device is refused for nothing", ("judge_dev_add", EINVAL),
           spare=(0, "judge_dev_add", 0), behind="boot()\ndev_del()\n"),
    script("V46", "an object of a device that could not be made", ("kmalloc", "O_DEVICE"),
           ("judge_dev_add", EINVAL), spare=(0, "kmalloc", "O_CALL"),
           behind="boot(sim_entries=one)\n"),
]


# ---- eventfds, the domain, the device ------------------------------------------------------------


def kept(name: str, field: tuple, bad: int, good: int) -> Case:
    """A place of an eventfd, or its number of references, is not what it must be."""
    name_of, *where = field
    return script("V45", name, ("poke", "judge.touched", 1), ("poke", name_of, bad, *where), AFTER,
                  spare=(1, "poke", name_of, good, *where), behind=NODE)


NODES = [
    kept("the configuration has an eventfd that nobody set", ("v.config_ctx",), 1, 0),
    kept("a queue has an eventfd that nobody set", ("vq.kick", 1), 1, 0),
    kept("a producer with a token of nobody's", ("vq.token", 1), 1, 0),
    kept("an eventfd with a reference too many", ("eventfd.refs", 2), 2, 1),
    script("V45", "a reference is dropped twice", ("eventfd_put", 1), ("eventfd_put", 1),
           spare=(1, "eventfd_put", 2), behind=NODE),
    script("V45", "an eventfd is signalled that is gone", ("eventfd_put", 1), ("eventfd_signal", 1),
           spare=(1, "eventfd_signal", 2), behind=NODE),
    script("V46", "a minor number is given back twice", ("minor_free",), ("minor_free",),
           spare=(1, *NOTHING), behind="boot()\n"),
    script("V46", "an object of a device that is gone", ("kmalloc", "O_DEVICE"),
           ("judge_removed",), spare=(0, "kmalloc", "O_CALL"), behind="boot()\ndev_del()\n"),
    script("V22", "unmapped from the IOMMU what is not mapped", ("iommu_unmap", 4096, 4096),
           spare=(0, "iommu_unmap", 0, 4096), behind=PCI + "update()\n"),
]

# ---- the judge: after an op, at open and close ---------------------------------------------------

#: The mapping of address 0 in space 0, and in its table in the device; and that it was looked at.
IN_SPACE = (("space", 0), ("space_map", Ref(0)))
IN_DEVICE = (("device_map", 0),)


def changed(check: str, name: str, behind: str, where: tuple, *between: tuple) -> Case:
    """The mapping that `where` finds loses a right that the message gave it."""
    n = len(where)
    dirty = ("poke", "space.dirty", 1, Ref(0)) if n > 1 else ("poke", "device.dirty", 1, 0)
    return script(check, name, *where, ("poke", "map.perm", 1, Ref(n - 1)), *between, dirty, AFTER,
                  spare=(n, "poke", "map.perm", 3, Ref(n - 1)), behind=behind)


def poked(check: str, name: str, behind: str, field: tuple, bad: int, good: int,
          *then: tuple) -> Case:
    name_of, *where = field
    return script(check, name, ("poke", name_of, bad, *where), *then, behind=behind,
                  spare=(0, "poke", name_of, good, *where))


CLOSE = ("judge_close",)

STATES = [
    changed("V29", "a mapping with other rights", MAPPED, IN_SPACE),
    changed("V17", "a mapping of a space that nobody named", MAPPED, IN_SPACE, ("judge_begin_op",)),
    changed("V6", "a mapping that a refused message changed", MAPPED + "update()\n", IN_SPACE),
    changed("V22", "the device's table of this space", MAPPED, IN_DEVICE),
    changed("V17", "the device's table of another space", MAPPED + "update(asid=1)\n", IN_DEVICE),
    script("V15", "a space that nobody asked for", ("space_alloc", 0), AFTER, spare=(0, "space", 0),
           behind=READY),
    script("V15", "a space that nobody can name", ("space_alloc", 2), AFTER, spare=(0, "space", 2),
           behind=READY, quirk="A06"),
    script("V16", "a space that was freed", ("poke", "space.live", 0, 1), ("space", 0),
           spare=(0, "poke", "space.live", 1, 1), behind=MAPPED),
    script("V16", "a batch ends whose space was freed", ("message", "INVALIDATE", 0, 0, 4096),
           ("message", "BATCH_END", 0), spare=(0, "message", "BATCH_BEGIN", 0), behind=BATCH,
           quirk="A02"),
    poked("V12", "pinned_vm is negative", READY, ("mm.pinned_vm",), -1, 0, AFTER),
    poked("V9", "a page that nobody pinned is charged", READY, ("mm.pinned_vm",), 1, 0, AFTER),
    poked("V13", "a file with a reference too many", FILES + "update()\n", ("file.refs", 0), 2, 1,
          AFTER),
    poked("V18", "addresses of a process after the close", "boot(use_va=1)\n",
          ("device.mm_bound",), 1, 0, CLOSE),
    poked("V20", "a batch that nobody began", READY, ("v.in_batch",), 1, 0, AFTER),
    poked("V23", "a batch at open", "boot()\n", ("v.in_batch",), 1, 0, ("judge_open", 0)),
    poked("V18", "an owner after the close", "boot()\n", ("v.mm",), 1, 0, CLOSE),
    script("V18", "an object of the opener after the close", ("kmalloc", "O_OPEN"), CLOSE,
           spare=(0, "kmalloc", "O_DEVICE"), behind="boot()\n"),
    script("V48", "opened twice", ("judge_open", 0), spare=(0, "judge_open", EBUSY), behind=NODE),
    script("V48", "an open that fails for nothing", ("judge_open", ENOMEM),
           spare=(0, "judge_open", 0), behind="boot()\n"),
    script("V48", "a second owner", ("judge_owner", EBUSY), spare=(0, "judge_owner", 0),
           behind=NODE),
    script("V48", "backend features that are not on offer", ("judge_backend_features", 6, 2, 0),
           spare=(0, "judge_backend_features", 2, 2, 0), behind=NODE),
    script("V48", "backend features are refused for nothing",
           ("judge_backend_features", 2, 2, EOPNOTSUPP),
           spare=(0, "judge_backend_features", 2, 2, 0), behind=NODE),
]
# fmt: on

CASES = [
    *PROGRAMS, *TABLES, *PARTS, *MESSAGES, *IOCTLS, *NODES, *STATES, *ring_cases.CASES,
    *disk_cases.CASES, *vduse_cases.CASES,
]  # fmt: skip
