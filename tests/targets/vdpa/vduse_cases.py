# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of VDUSE: requests that get lost, what the daemon sees, what outlives the node."""

from __future__ import annotations

from tests.targets.cases import program, script
from tests.targets.vdpa.world import TARGET

Ref = TARGET.core.Ref

BOOT = "boot(parent=vduse)\n"
DRIVER = BOOT + "vduse_file(dev=1, what=ATTACH)\n"
OWNER = "open()\nset_owner()\nset_backend_features()\n"
FILES = "boot(parent=vduse, memory=shared)\n" + OWNER
MAPPED = FILES + "update()\n"
OLD = "linux-6.12"
AGAIN, FAULT, INVAL, NOENT, IO = -11, -14, -22, -2, -5
AFTER = ("after_op",)

# fmt: off
PROGRAMS = [
    program("V15", "a table for the second space of a device with one", FILES
            + "update(asid=1)\ninvalidate()\n", "asid=1", "asid=0", quirk="A06"),
    program("V16", "opened while it is destroyed", BOOT
            + "vduse_file(dev=1, what=CLOSE)\nvduse_file(dev=1, race=1)\n", "race=1", "race=0"),
    program("V16", "opened while it is destroyed, long ago", BOOT
            + "vduse_file(dev=1, what=CLOSE)\nvduse_file(dev=1, race=1)\n", "race=1", "race=0",
            quirk="B13", era=OLD),
    program("V18", "mappings of who closed the node", MAPPED + "close()\n", "update()",
            "update(upage=64)"),
    program("V26", "a group that a reset leaves where it was", "boot(parent=vduse, vduse_api=1)\n"
            + OWNER + "set_group_asid(asid=1)\nset_status()\n", "asid=1", "asid=0"),
    program("V30", "the daemon asks for a mapping that nobody may use",
            FILES + "update(perm=0)\nvduse_ioctl()\ninvalidate()\n", "perm=0", "perm=3"),
    program("V30", "the daemon asks for a mapping that it may only read",
            FILES + "update(perm=1)\nvduse_ioctl()\ninvalidate()\n", "perm=1", "perm=3"),
    program("V30", "the IOMMU maps for nobody", "boot(parent=iommu)\n" + OWNER
            + "update(perm=0)\n", "perm=0", "perm=1"),
    program("V36", "byte 512 of a page of which 512 were written",
            DRIVER + "bounce()\nbounce(what=READ, off=512)\n", "off=512", "off=511"),
    program("V36", "byte 512 of a page of which 512 were written, long ago",
            DRIVER + "bounce()\nbounce(what=READ, off=512)\n", "off=512", "off=511", quirk="B12",
            era=OLD),
    program("V36", "a bounce page of which 512 bytes were written is copied",
            "boot(parent=vduse)\nmmap(npages=256)\nvduse_file(dev=1, what=ATTACH)\n"
            "bounce(len=512)\numem()\n", "len=512", "len=4096"),
    program("V36", "coherent memory that a driver did not ask to be cleared",
            DRIVER + "coherent(zero=0)\ncoherent(what=READ)\n", "zero=0", "zero=1"),
    program("V36", "coherent memory that was not cleared, long ago",
            DRIVER + "coherent(zero=0)\ncoherent(what=READ)\n", "zero=0", "zero=1", quirk="B12",
            era=OLD),
    program("V36", "byte 8 of coherent memory of which 8 were written",
            DRIVER + "coherent(zero=0)\ncoherent(what=WRITE, len=8)\ncoherent(what=READ, off=8)\n",
            "off=8", "off=7"),
    program("V36", "25 bytes of a configuration of 24", DRIVER + "driver_config(dev=1, len=25)\n",
            "len=25", "len=24", quirk="B11"),
    program("V36", "half of a position", "boot(parent=vduse, features=RING_PACKED)\n" + OWNER
            + "set_features(bits=ACCESS_PLATFORM|RING_PACKED)\nset_status()\nget_vring_base()\n",
            "set_status()\n", ""),
    program("V38", "a queue is enabled, and the driver does not run", BOOT + OWNER
            + "vring_fd(which=CALL, fd=e0)\nvring_enable()\nvduse_ioctl(what=INJECT_IRQ)\n",
            "vring_enable()", "vring_enable(num=0)"),
    program("V40", "the byte behind the configuration", BOOT
            + "vduse_ioctl(what=SET_CONFIG, off=25)\n", "off=25", "off=24", quirk="B10"),
    program("V50", "killed while the daemon reads", BOOT
            + "vduse_request()\nvduse_read(meanwhile=kill)\n", "kill", "nothing"),
    program("V50", "killed while the daemon reads, long ago", BOOT
            + "vduse_request()\nvduse_read(meanwhile=kill)\n", "kill", "nothing", quirk="B14",
            era=OLD),
    program("V50", "the second request is read first", BOOT + "vduse_request()\nvduse_request()\n"
            "vduse_read(efault=1)\nvduse_read()\n", "efault=1", "efault=0"),
    program("V50", "the second request is read first, long ago", BOOT
            + "vduse_request()\nvduse_request()\nvduse_read(efault=1)\nvduse_read()\n", "efault=1",
            "efault=0", quirk="B15", era=OLD),
]

SHARED = DRIVER + "coherent()\n"
WAITING = BOOT + "vduse_request()\n"
TAKEN = WAITING + "vduse_read()\n"

PARTS = [
    script("V16", "a request whose sender is gone is queued", ("poke", "msg.live", 0, 1),
           ("vduse_enqueue", 1), spare=(0, "poke", "msg.live", 1, 1), behind=BOOT),
    script("V50", "a request is queued twice", ("poke", "msg.live", 1, 1), ("vduse_enqueue", 1),
           ("vduse_enqueue", 1), spare=(1, "next_op"), behind=BOOT),
    script("V50", "two requests with one id", ("judge_msg_sent", 0), spare=(0, "judge_msg_sent", 1),
           behind=WAITING),
    script("V48", "a whole device takes no request", ("judge_msg_refused",), spare=(0, "next_op"),
           behind=BOOT),
    script("V50", "a request ends twice", ("judge_msg_ended", 0, IO), ("judge_msg_ended", 0, IO),
           spare=(1, "next_op"), behind=WAITING),
    script("V50", "a request succeeds without an answer", ("judge_msg_ended", 0, 0),
           spare=(0, "judge_msg_ended", 0, IO), behind=WAITING),
    script("V50", "a request that nobody sent is read", ("judge_vduse_read", 0, 1),
           spare=(0, "judge_vduse_read", 0, AGAIN), behind=BOOT),
    script("V50", "a request waits, and none is read", ("judge_vduse_read", 0, AGAIN),
           spare=(0, "judge_vduse_read", 0, 1), behind=WAITING),
    script("V48", "an answer to a request that was not read", ("judge_vduse_reply", 0, 0, 0),
           spare=(0, "judge_vduse_reply", 0, 0, NOENT), behind=WAITING),
    script("V48", "an answer to a request that was read is refused",
           ("judge_vduse_reply", 0, 0, NOENT), spare=(0, "judge_vduse_reply", 0, 0, 0),
           behind=TAKEN),
    script("V48", "an ioctl of the daemon succeeds that must not", ("judge_vduse_ioctl", 0, 0),
           spare=(0, "judge_vduse_ioctl", 0, INVAL), behind=BOOT),
    script("V29", "the daemon gets other rights", ("device_map", 0),
           ("poke", "map.perm", 1, Ref(0)), ("vduse_get_fd", 0, 0, 4095),
           spare=(1, "poke", "map.perm", 3, Ref(0)), behind=MAPPED),
    script("V50", "a request is on a list, and nobody sent it", ("poke", "vduse.n_send", 1), AFTER,
           spare=(0, "poke", "vduse.n_send", 0), behind=BOOT),
    script("V48", "pages for bouncing without a driver", ("judge_umem_reg", 256, 0),
           spare=(0, "judge_umem_reg", 256, INVAL), behind=BOOT),
    script("V48", "pages are taken back that nobody gave", ("judge_umem_dereg_call", 256, 0),
           spare=(0, "judge_umem_dereg_call", 256, NOENT), behind=BOOT),
    script("V10", "a daemon goes, its pages stay", ("judge_vduse_closed",), spare=(0, "next_op"),
           behind="boot(parent=vduse)\nmmap(npages=256)\nvduse_file(dev=1, what=ATTACH)\n"
           "bounce(len=4096)\numem()\n"),
    script("V1", "coherent memory at an address that is in use", ("judge_coherent_alloc", 0, 0),
           spare=(0, "judge_coherent_alloc", 1, 0), behind=SHARED),
    script("V48", "coherent memory is refused for nothing", ("judge_coherent_alloc", 1, -12),
           spare=(0, "judge_coherent_alloc", 0, -12), behind=SHARED),
    script("V48", "what nobody allocated is freed", ("judge_coherent_free", 1, 0),
           spare=(0, "judge_coherent_free", 1, NOENT), behind=SHARED),
    script("V16", "the daemon reads coherent memory that is not there",
           ("judge_coherent_read", 1, 1), spare=(0, "judge_coherent_read", 1, FAULT),
           behind=SHARED),
    script("V29", "the daemon cannot read coherent memory", ("judge_coherent_read", 0, FAULT),
           spare=(0, "judge_coherent_read", 0, 1), behind=SHARED),
    script("V16", "the daemon reads freed memory through a mapping that stayed",
           ("peek", "coherent.obj", 0), ("kfree", Ref(0)), ("coherent_page",),
           spare=(1, "check_obj", Ref(0)), behind=SHARED),
    script("V16", "coherent memory is freed twice", ("peek", "coherent.obj", 0),
           ("kfree", Ref(0)), ("kfree", Ref(0)), spare=(1, "check_obj", Ref(0)), behind=SHARED),
    script("V29", "coherent memory without a mapping is freed", ("domain_free",),
           ("domain_free",), spare=(0, "next_op"), behind=SHARED),
    script("V22", "the domain maps other memory than the driver has", ("domain_map", 1 << 20),
           ("poke", "map.last", (1 << 20) + 4094, Ref(0)), AFTER,
           spare=(1, "poke", "map.last", (1 << 20) + 4095, Ref(0)), behind=SHARED),
    script("V13", "a reference to the domain's file is lost", ("poke", "domain.own_refs", 0),
           AFTER, spare=(0, "poke", "domain.own_refs", 1), behind=SHARED),
    script("V46", "coherent memory outlives its mapping", ("kmalloc", 3), AFTER,
           spare=(0, "next_op"), behind=DRIVER),
    script("V18", "the domain of a device that is gone maps memory", ("judge_domain_released",),
           spare=(0, "next_op"), behind=SHARED),
    script("V13", "the domain has a reference too many", ("poke", "domain.refs", 2, 0), AFTER,
           spare=(0, "poke", "domain.refs", 1, 0), behind=MAPPED),
]
# fmt: on

CASES = [*PROGRAMS, *PARTS]
