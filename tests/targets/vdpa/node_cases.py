# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of the node's checks: ioctls, eventfds, doorbells, the configuration, probe and removal.

What the judge would say of a wrong answer is asked of it directly: no model gives one.
"""

from __future__ import annotations

from tests.targets.cases import NOTHING, Case, program, script

OLD, MIDDLE = "linux-6.1", "linux-6.12"

NODE = "boot()\nopen()\n"
OWNER = NODE + "set_owner()\n"
RUNS = OWNER + "set_status(bits=ACKNOWLEDGE|DRIVER|DRIVER_OK)\n"
PCI = "boot(parent=iommu)\nopen()\nset_owner()\n"
PCI_RUNS = PCI + "set_status(bits=ACKNOWLEDGE|DRIVER|DRIVER_OK)\n"
ACK = NODE + "set_status(bits=ACKNOWLEDGE)\n"
SETTLED = NODE + "set_features()\nset_status(bits=ACKNOWLEDGE|DRIVER|FEATURES_OK)\n"

EPERM, EBADF, ENOMEM, EFAULT, EBUSY, EINVAL, ENOTTY = -1, -9, -12, -14, -16, -22, -25
EOPNOTSUPP, ENOBUFS = -95, -105
PLATFORM = 1 << 33
AFTER = ("after_op",)

# fmt: off
PROGRAMS = [
    program("V25", "the doorbell of queue 3 of three", PCI + "mmap_doorbell(pgoff=3)\n", "pgoff=3",
            "pgoff=2"),
    program("V27", "a group moves while the device runs",
            RUNS + "set_group_asid(group=1, asid=1)\n", "DRIVER|DRIVER_OK", "DRIVER", era=MIDDLE),
    program("V38", "a device that does not run is stopped", NODE + "suspend()\n", "suspend()",
            "resume()", era=OLD),
    program("V38", "a device that does not run goes on", NODE + "resume()\n", "resume()",
            "get()", quirk="A40", era=MIDDLE),
    program("V43", "512 entries of at most 256", OWNER + "vring_num(num=512)\n", "512", "256"),
    program("V43", "new addresses for a ring that is in use", RUNS + "vring_addr()\n",
            "DRIVER|DRIVER_OK", "DRIVER", era=OLD),
    program("V43", "a new position for a ring that is in use", RUNS + "vring_base(num=7)\n",
            "DRIVER|DRIVER_OK", "DRIVER", era=OLD),
    program("V35", "the first position of a packed ring is refused", PCI
            + "set_features(bits=VERSION_1|RING_PACKED)\nset_status(bits=FEATURES_OK)\n"
            "vring_base(num=0x80008000)\n", "|RING_PACKED", "", quirk="A38"),
    program("V44", "a mutex is taken twice", OWNER + "set_backend_features()\n",
            "set_backend_features()", "set_features()", quirk="A37"),
    program("V6", "a bad fd ends the interrupt bypass", PCI
            + "vring_fd(which=CALL, fd=e0)\nset_status(bits=DRIVER_OK)\n"
            "vring_fd(which=CALL, fd=closed)\n", "fd=closed", "fd=e0"),
    program("V45", "another queue's producer is unlinked", PCI + "vring_fd(which=CALL, fd=e0)\n"
            "vring_fd(index=1, which=CALL, fd=e0)\nset_status(bits=DRIVER_OK)\n"
            "vring_fd(index=1, which=CALL)\n", "(index=1, which=CALL, fd=e0)",
            "(index=1, which=CALL, fd=e1)", era=MIDDLE),
    program("V45", "an eventfd is dropped and stays a token", PCI
            + "vring_fd(which=CALL, fd=e0)\nset_status(bits=DRIVER_OK)\n"
            "vring_fd(which=CALL, fd=e1)\n", "set_status(bits=DRIVER_OK)", "set_status()",
            quirk="A20"),
    program("V45", "the config callback has an eventfd that is gone", "boot(parent=iommu)\nopen()\n"
            "config_call(fd=e0)\nset_status(bits=DRIVER_OK)\nirq_begin()\nconfig_call()\n"
            "irq_end()\n", "config_call()", "get()", era=OLD),
    program("V45", "a queue's callback has an eventfd that is gone", OWNER
            + "vring_fd(index=1, which=CALL, fd=e0)\nvring_enable(index=1)\n"
            "set_status(bits=DRIVER_OK)\nirq_begin(which=vq, index=1)\n"
            "vring_fd(index=1, which=CALL)\nirq_end(which=vq, index=1)\n",
            "vring_fd(index=1, which=CALL)", "vring_fd(index=2, which=CALL)"),
    program("V45", "a bad fd takes the configuration's eventfd",
            NODE + "config_call(fd=e0)\nconfig_call(fd=closed)\n", "closed", "e1"),
    program("V45", "a bad fd is the configuration's eventfd", NODE + "config_call(fd=closed)\n",
            "closed", "e0", quirk="A22"),
    program("V46", "an open that fails leaves its queues",
            "boot(parent=iommu)\nopen() fail(alloc, 2)\n",
            "(alloc, 2)", "(alloc, 3)", quirk="A34"),
]

PARTS = [
    script("V45", "a reference is dropped twice", ("eventfd_put", 1), ("eventfd_put", 1),
           spare=(1, *NOTHING)),
    script("V45", "an eventfd that is gone is signalled", ("eventfd_put", 1), ("eventfd_signal", 1),
           spare=(0, *NOTHING)),
    script("V46", "a minor number is given back twice", ("ida_free",), ("ida_free",),
           spare=(1, *NOTHING), behind="boot()\n"),
    script("V40", "a read whose end wraps", ("sim_config", 0, (1 << 32) - 8, 16),
           spare=(0, "sim_config", 0, 8, 16), behind="boot()\n"),
    script("V40", "a write whose end wraps", ("sim_config", 1, (1 << 32) - 8, 16),
           spare=(0, "sim_config", 1, 8, 16), behind="boot()\n"),
    script("V40", "a read beyond the window", ("vp_config", 0, 20, 5),
           spare=(0, "vp_config", 0, 20, 4), behind="boot(parent=iommu)\n"),
    script("V40", "a write beyond the window", ("vp_config", 1, 20, 5),
           spare=(0, "vp_config", 1, 20, 4), behind="boot(parent=iommu)\n"),
    script("V22", "the IOMMU unmaps what is not mapped", ("iommu_unmap", 4096, 4096),
           spare=(0, "iommu_unmap", 0, 4096), behind=PCI + "update()\n"),
    script("V46", "an object of a device that is gone", ("kmalloc", "O_DEVICE"), ("judge_removed",),
           spare=(0, "kmalloc", "O_CALL")),
    script("V46", "an object of a device that could not be made", ("kmalloc", "O_DEVICE"),
           ("judge_dev_add", EINVAL), spare=(0, "kmalloc", "O_CALL"),
           behind="boot(sim_entries=one)\n"),
    script("V48", "a device is made that cannot be", ("judge_dev_add", 0),
           spare=(0, "judge_dev_add", EINVAL), behind="boot(sim_entries=one)\n"),
    script("V48", "a device is refused for nothing", ("judge_dev_add", EINVAL),
           spare=(0, "judge_dev_add", 0), behind="boot()\n"),
    script("V25", "a doorbell of no queue is mapped", ("judge_mmap", 3, 0),
           spare=(0, "judge_mmap", 2, 0), behind=PCI),
    script("V48", "a doorbell is refused for nothing", ("judge_mmap", 0, EINVAL),
           spare=(0, "judge_mmap", 0, 0), behind=PCI),
]


def said(check: str, name: str, behind: str, fires: tuple, spares: tuple) -> Case:
    """An ioctl as judge_ioctl of the rig takes it: index, num, desc, fd, result."""
    return script(check, name, ("judge_ioctl", *fires), spare=(0, "judge_ioctl", *spares),
                  behind=behind)


def refused(name: str, behind: str, *call: object, wrong: int = EINVAL, right: int = 0) -> Case:
    """V48: an errno where there must be another, or none."""
    return said("V48", name, behind, (*call, wrong), (*call, right))


def accepted(check: str, name: str, behind: str, *call: object, errno: int = EINVAL) -> Case:
    """Success where there must be an errno."""
    return said(check, name, behind, (*call, 0), (*call, errno))


IOCTLS = [
    said("V48", "an ioctl returns 1", NODE, ("SET_STATUS", 0, 0, 0, 0, 1),
         ("SET_STATUS", 0, 0, 0, 0, 0)),
    refused("GET for nothing", NODE, "GET", 0, 0, 1, 0, wrong=EFAULT),
    said("V48", "a device id that is not its own", NODE, ("GET", 0, 0, 2, 0, 0),
         ("GET", 0, 0, 1, 0, 0)),
    accepted("V42", "a status bit is taken back", ACK, "SET_STATUS", 0, 2, 0, 0),
    refused("a status for nothing", NODE, "SET_STATUS", 0, 0, 0, 0),
    said("V42", "a reset leaves the status", ACK, ("SET_STATUS", 0, 0, 0, 0, 0),
         ("SET_STATUS", 0, 1, 0, 0, 0)),
    script("V42", "features are settled that are not on offer", ("poke", "device.features", 1),
           ("judge_ioctl", "SET_STATUS", 0, 11, 0, 0, 0), spare=(0, "poke", "device.features", 0),
           behind=SETTLED),
    accepted("V42", "features after FEATURES_OK", SETTLED, "SET_FEATURES", 0, 0, PLATFORM, 0,
             errno=EBUSY),
    refused("features for nothing", NODE, "SET_FEATURES", 0, 0, PLATFORM, 0),
    accepted("V40", "bytes beyond the configuration", NODE, "GET_CONFIG", 0, 20, 5, 0),
    refused("a configuration for nothing", NODE, "GET_CONFIG", 0, 20, 4, 0),
    accepted("V48", "a config eventfd that is not open", NODE, "SET_CONFIG_CALL", 0, 0, 0,
             "CLOSED", errno=EBADF),
    refused("a config eventfd for nothing", NODE, "SET_CONFIG_CALL", 0, 0, 0, 1, wrong=EBADF),
    accepted("V48", "SUSPEND of a parent without", PCI_RUNS, "SUSPEND", 0, 0, 0, 0,
             errno=EOPNOTSUPP),
    refused("SUSPEND for nothing", RUNS, "SUSPEND", 0, 0, 0, 0),
    accepted("V48", "RESUME of a parent without", PCI_RUNS, "RESUME", 0, 0, 0, 0, errno=EOPNOTSUPP),
    refused("RESUME with the wrong errno", PCI_RUNS, "RESUME", 0, 0, 0, 0, right=EOPNOTSUPP),
    accepted("V48", "an ioctl that is none", OWNER, "UNKNOWN", 0, 0, 0, 0, errno=ENOTTY),
    refused("an ioctl that is none, to a stranger", NODE, "UNKNOWN", 0, 0, 0, 0, right=EPERM),
    accepted("V48", "queue 3 of three", OWNER, "SET_VRING_ENABLE", 3, 1, 0, 0, errno=ENOBUFS),
    refused("a queue is not enabled for nothing", OWNER, "SET_VRING_ENABLE", 2, 1, 0, 0),
    accepted("V43", "three entries", OWNER, "SET_VRING_NUM", 0, 3, 0, 0),
    refused("four entries for nothing", OWNER, "SET_VRING_NUM", 0, 4, 0, 0),
    accepted("V48", "flags that are none", OWNER, "SET_VRING_ADDR", 0, 0, 0, 2, errno=EOPNOTSUPP),
    accepted("V43", "an odd address", OWNER, "SET_VRING_ADDR", 0, 0, 1, 0),
    refused("addresses for nothing", OWNER, "SET_VRING_ADDR", 0, 0, 4, 0),
    accepted("V35", "position 65536 of a split ring", OWNER, "SET_VRING_BASE", 0, 65536, 0, 0),
    accepted("V35", "a position for a parent that takes none", PCI, "SET_VRING_BASE", 0, 1, 0, 0,
             errno=EOPNOTSUPP),
    refused("a position for nothing", OWNER, "SET_VRING_BASE", 0, 1, 0, 0),
    refused("a position is not told", OWNER, "GET_VRING_BASE", 0, 0, 0, 0),
    said("V35", "a position that nobody set", OWNER, ("GET_VRING_BASE", 0, 5, 0, 0, 0),
         ("GET_VRING_BASE", 0, 0, 0, 0, 0)),
    refused("a call eventfd for nothing", OWNER, "SET_VRING_CALL", 0, 0, 0, 1),
    refused("a group is not told", OWNER, "GET_VRING_GROUP", 0, 0, 0, 0),
    said("V25", "a group that is not the queue's", OWNER, ("GET_VRING_GROUP", 0, 1, 0, 0, 0),
         ("GET_VRING_GROUP", 0, 0, 0, 0, 0)),
    accepted("V25", "group 2 of two", OWNER, "SET_GROUP_ASID", 2, 0, 0, 0),
    accepted("V25", "address space 2 of two", OWNER, "SET_GROUP_ASID", 0, 2, 0, 0),
    refused("a group for nothing", OWNER, "SET_GROUP_ASID", 0, 1, 0, 0),
]

#: Nothing has an eventfd; and the judge looks.
LOOK = ("judge_ioctl", "SET_CONFIG_CALL", 0, 0, 0, 0, 0)


def held(name: str, field: str, bad: int, good: int, *where: int) -> Case:
    return script("V45", name, LOOK, ("poke", field, bad, *where), AFTER,
                  spare=(1, "poke", field, good, *where), behind=NODE)


EVENTFDS = [
    held("the configuration has an eventfd that nobody set", "v.config_ctx", 1, 0),
    held("a queue has an eventfd that nobody set", "queue.kick", 1, 0, 0),
    held("a producer's token is not its queue's", "queue.token", 1, 0, 2),
    held("a reference too many", "eventfd.refs", 2, 1, 1),
]
# fmt: on

NODE_CASES = [*PROGRAMS, *PARTS, *IOCTLS, *EVENTFDS]
