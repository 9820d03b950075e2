# SPDX-License-Identifier: GPL-2.0-or-later
"""What a vdpa program can say: a process with memory and the device node, its guest, its daemon.

Addresses are 64 bit, arguments at most 32, so an address is `page` and `off` and, where a boundary
of the 64-bit space matters, a word that says where it lies (`at`). The process has one area of
UAREA_PAGES pages of user memory; `upage` counts in it. The guest believes in identity: guest
address g is byte g of that area, and the default of an UPDATE maps it so.
"""

from vfuzz.program.schema import Arg, Focus, Op, Schema

PARENTS = ("sim", "sim_dma", "iommu", "vduse")
ENTRIES = ("many", "eight", "three", "two", "one", "zero")
PATTERNS = ("contiguous", "scattered", "pairs", "reversed")
KINDS = ("anon", "shared")
STATUS = ("ACKNOWLEDGE", "DRIVER", "DRIVER_OK", "FEATURES_OK", None, None, "NEEDS_RESET", "FAILED")
BACKEND_FEATURES = (None, "IOTLB_MSG_V2", "IOTLB_BATCH", "IOTLB_ASID", "SUSPEND", "RESUME",
                    "ENABLE_AFTER_DRIVER_OK", "DESC_ASID", "IOTLB_PERSIST", "UNKNOWN")
#: Values that ioctls report.
GETS = ("DEVICE_ID", "STATUS", "FEATURES", "VRING_NUM", "GROUP_NUM", "AS_NUM", "IOVA_RANGE",
        "CONFIG_SIZE", "VQS_COUNT", "BACKEND_FEATURES")
#: What an fd of an ioctl can be: -1, an eventfd, a number that is not open, some other file.
FDS = ("none", "e0", "e1", "e2", "closed", "not_eventfd")
#: Features that a device may offer, see BOOT; a simulator has no INDIRECT_DESC, EVENT_IDX, PACKED.
FEATURES = ("MTU", "MAC", "STATUS", "CTRL_VQ", "CTRL_MAC_ADDR", "INDIRECT_DESC", "EVENT_IDX",
            "VERSION_1", "ACCESS_PLATFORM", "RING_PACKED")
#: Where `page` and `off` count from: the low end, the top of the 64-bit space downwards, its middle
#: (2**63), the ends of the device's IOVA range.
AT = ("low", "top", "middle", "first", "last")
#: What `npages` and `bytes` mean: their sum, zero, up to the end of the 64-bit space, 2**64 - 1,
#: their sum above 2**32.
SPANS = ("plain", "zero", "to_end", "all", "over_4g")
UADDRS = ("area", "zero", "kernel", "top")

QUEUES = ("RX", "TX", "CTRL")

_PAGES = (0, 1, 2, 3, 4, 8, 15, 16, 63, 64, 255, 511, 512, 513, 1023)
_OFFS = (0, 1, 2, 4, 16, 2048, 4080, 4094, 4095)
_ASIDS = (0, 1, 2, 3, 7, 8, 16, 17, 0x10000, 0x10001, 0xFFFFFFFF)


def _asid() -> Arg:
    return Arg("asid", "int", 0, 0xFFFFFFFF, role="index", interesting=_ASIDS,
               doc="address space id")


def _page(doc: str = "IOVA in pages", default: int = 0) -> Arg:
    return Arg("page", "int", 0, 4095, default=default, role="index", interesting=_PAGES, doc=doc)


def _off(name: str = "off") -> Arg:
    return Arg(name, "int", 0, 4095, role="length", interesting=_OFFS, doc="bytes behind the page")


def _npages(default: int = 1, hi: int = 4095) -> Arg:
    return Arg("npages", "int", 0, hi, default=default, role="count", interesting=_PAGES)


def _bytes() -> Arg:
    return Arg("bytes", "int", 0, 4095, role="length", interesting=_OFFS, doc="added to npages")


def _at() -> Arg:
    return Arg("at", "enum", names=AT, doc="where page and off count from")


def _span() -> Arg:
    return Arg("span", "enum", names=SPANS, doc="what npages and bytes mean")


def _version() -> Arg:
    return Arg("version", "enum", names=("v2", "v1"), doc="format of the message")


def _queue() -> Arg:
    return Arg("index", "int", 0, 0xFFFFFFFF, role="index", interesting=(0, 1, 2, 3),
               doc="queue")


def _ring_page(name: str) -> Arg:
    return Arg(name, "int", 0, 4095, role="index", interesting=_PAGES, doc="IOVA in pages")


def _fd() -> Arg:
    return Arg("fd", "enum", names=FDS, doc="an eventfd of the process, or what is none")


def _config_off() -> Arg:
    return Arg("off", "int", 0, 0xFFFFFFFF, role="length",
               interesting=(0, 6, 16, 23, 24, 25, 0xFFFFFFF0, 0xFFFFFFFF))


def _config_len() -> Arg:
    return Arg("len", "int", 0, 0xFFFFFFFF, default=6, role="length",
               interesting=(0, 1, 2, 6, 8, 24, 25, 0xFFFFFFFF))


def _ring() -> Arg:
    return Arg("queue", "enum", names=QUEUES)


def _pieces() -> Arg:
    return Arg("pieces", "int", 1, 24, role="count", interesting=(1, 2, 8, 9),
               doc="descriptors, of which some may be empty")


def _indirect() -> Arg:
    return Arg("indirect", "bool", doc="they are in an indirect table")


def _then(default: str = "run") -> Arg:
    return Arg("then", "enum", names=("run", "kick", "nothing"), default=default,
               doc="what follows: a kick and the device's work, a kick, nothing")


BOOT = (
    Arg("parent", "enum", names=PARENTS,
        doc="vdpa_sim with batch_mapping (set_map) or without (dma_map); vp_vdpa, whose DMA the "
            "platform's IOMMU maps; VDUSE, whose device is a process"),
    Arg("ngroups", "int", 1, 4, default=2, role="count"),
    Arg("nas", "int", 1, 8, default=2, role="count"),
    Arg("entries", "enum", names=ENTRIES, doc="vhost_vdpa.max_iotlb_entries; many: 2048"),
    Arg("sim_entries", "enum", names=ENTRIES, doc="vdpa_sim.max_iotlb_entries; many: 2048"),
    Arg("memlock", "enum", names=("plenty", "few", "medium", "zero"),
        doc="RLIMIT_MEMLOCK: 65536, 16, 600 or 0 pages"),
    Arg("range", "enum", names=("all", "window", "no_zero"),
        doc="IOVA range of the parent: everything, [0x1000, 0xffff], all but the first page"),
    Arg("memory", "enum", names=("contiguous", "scattered", "none", "shared"),
        doc="64 pages that the process has from the start; shared: of file 0"),
    Arg("foreign", "int", 0, 255, role="count", doc="pages that others pinned in this process"),
    Arg("features", "flags", names=FEATURES,
        doc="what the device offers of what it supports; none: all"),
    Arg("doorbell", "enum", names=("page", "packed"),
        doc="iommu: each doorbell has a page of its own and can be mapped, or 4 bytes"),
    Arg("use_va", "bool", doc="vdpa_sim.use_va: mappings are files and user addresses (6.4)"),
    Arg("mac", "enum", names=("zero", "plain", "short"),
        doc="the simulator's address: zeros, 52:54:01:02:03:04, or 02:00:00:00:00:01"),
    Arg("vduse_api", "int", 0, 1, doc="API version of the VDUSE daemon; 1 has groups (7.0)"),
    Arg("device", "enum", names=("net", "blk", "blk_shared"),
        doc="what is simulated: a network device, or a disk; shared: vdpa_sim_blk.shared_backend, "
            "its bytes stay when it is removed (6.4)"),
)

# ---- the process: its memory and limits ----
MEMORY_OPS = (
    Op("mmap", (
        Arg("upage", "int", 0, 4095, role="index", interesting=_PAGES),
        _npages(hi=1023),
        Arg("kind", "enum", names=KINDS, doc="anonymous memory or a shared file"),
        Arg("readonly", "bool", doc="PROT_READ only"),
        Arg("pattern", "enum", names=PATTERNS, doc="physical contiguity of its pages"),
        Arg("file", "int", 0, 3, role="index"),
        Arg("pgoff", "int", 0, 1023, role="index"),
    ), "the process maps memory, over what was there", weight=8),
    Op("munmap", (
        Arg("upage", "int", 0, 4095, role="index", interesting=_PAGES),
        _npages(),
    ), "the process unmaps memory", weight=4),
    Op("rlimit", (
        Arg("pages", "int", 0, 65535, default=64, role="count", interesting=(0, 1, 2, 16, 64)),
    ), "the process lowers or raises RLIMIT_MEMLOCK", weight=2),
    Op("task", (
        Arg("who", "int", 0, 1),
    ), "which process makes the next calls: the parent, or a child that inherited the file",
       weight=1),
)

# ---- the device node: open, close, ioctls ----
NODE_OPS = (
    Op("open", (), "open the device node", weight=6),
    Op("close", (), "close it", weight=4),
    Op("set_owner", (), "VHOST_SET_OWNER", weight=6),
    Op("set_backend_features", (
        Arg("bits", "flags", names=BACKEND_FEATURES, default="IOTLB_MSG_V2|IOTLB_BATCH|IOTLB_ASID"),
    ), "VHOST_SET_BACKEND_FEATURES", weight=5),
    Op("set_status", (
        Arg("bits", "flags", names=STATUS),
    ), "VHOST_VDPA_SET_STATUS; without bits a reset", weight=6),
    Op("get", (
        Arg("what", "enum", names=GETS),
    ), "one of the ioctls that report a value", weight=2),
    Op("set_features", (
        Arg("bits", "flags", names=(*FEATURES, "UNKNOWN"),
            default="VERSION_1|ACCESS_PLATFORM"),
    ), "VHOST_SET_FEATURES", weight=4),
    Op("get_config", (_config_off(), _config_len()), "VHOST_VDPA_GET_CONFIG", weight=2),
    Op("set_config", (
        _config_off(), _config_len(),
        Arg("value", "int", 0, 255, doc="first byte; each further one is one more"),
    ), "VHOST_VDPA_SET_CONFIG", weight=2),
    Op("suspend", (), "VHOST_VDPA_SUSPEND", weight=2),
    Op("resume", (), "VHOST_VDPA_RESUME", weight=2),
    Op("vring_num", (
        _queue(),
        Arg("num", "int", 0, 0xFFFFFFFF, default=16, role="count",
            interesting=(0, 1, 2, 3, 16, 128, 256, 512, 32768, 65536)),
    ), "VHOST_SET_VRING_NUM", weight=4),
    Op("vring_addr", (
        _queue(), _ring_page("desc"), _ring_page("avail"), _ring_page("used"), _off(),
        Arg("flags", "int", 0, 3, doc="1 is VHOST_VRING_F_LOG"),
        _at(),
    ), "VHOST_SET_VRING_ADDR; off counts in all three", weight=4),
    Op("vring_base", (
        _queue(),
        Arg("num", "int", 0, 0xFFFFFFFF, interesting=(
            0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x80008000, 0x80018002)),
    ), "VHOST_SET_VRING_BASE", weight=4),
    Op("get_vring_base", (_queue(),), "VHOST_GET_VRING_BASE", weight=3),
    Op("vring_enable", (
        _queue(), Arg("num", "int", 0, 0xFFFFFFFF, default=1, interesting=(0, 1, 2)),
    ), "VHOST_VDPA_SET_VRING_ENABLE", weight=5),
    Op("vring_fd", (
        _queue(),
        Arg("which", "enum", names=("KICK", "CALL", "ERR")),
        _fd(),
    ), "VHOST_SET_VRING_KICK, _CALL or _ERR", weight=6),
    Op("config_call", (_fd(),), "VHOST_VDPA_SET_CONFIG_CALL", weight=4),
    Op("get_vring", (
        _queue(),
        Arg("what", "enum", names=("GROUP", "DESC_GROUP", "SIZE")),
    ), "VHOST_VDPA_GET_VRING_GROUP, _DESC_GROUP or _SIZE", weight=2),
    Op("set_group_asid", (
        Arg("group", "int", 0, 0xFFFFFFFF, role="index", interesting=(0, 1, 2, 3)),
        _asid(),
    ), "VHOST_VDPA_SET_GROUP_ASID", weight=5),
    Op("ioctl", (
        Arg("nr", "enum", names=("RESET_OWNER", "SET_MEM_TABLE", "SET_LOG_BASE", "SET_LOG_FD",
                                 "GET_VRING_ENDIAN", "SET_VRING_BUSYLOOP", "UNKNOWN")),
        Arg("null", "bool", doc="its argument is NULL"),
        _queue(),
    ), "an ioctl that the node does not have, or that means nothing to it; with a zeroed argument"),
    Op("close_fd", (
        Arg("fd", "int", 0, 2, role="index", doc="e0, e1 or e2"),
    ), "the process closes its eventfd", weight=2),
    Op("irq_begin", (
        Arg("which", "enum", names=("config", "vq")),
        _queue(),
    ), "the device calls back, and the callback has loaded its eventfd", weight=3),
    Op("irq_end", (
        Arg("which", "enum", names=("config", "vq")),
        _queue(),
    ), "that callback signals it", weight=3),
    Op("mmap_doorbell", (
        Arg("pgoff", "int", 0, 0xFFFFFFFF, role="index",
            interesting=(0, 1, 2, 3, 4, 65535, 65536)),
        Arg("npages", "int", 0, 255, default=1, role="count", interesting=(0, 1, 2)),
        Arg("private", "bool"),
        Arg("readable", "bool"),
        Arg("upage", "int", 0, 4095, role="index", interesting=_PAGES),
    ), "mmap(2) of the node: the doorbell of queue pgoff, at page upage of the area", weight=3),
    Op("ring_doorbell", (
        Arg("upage", "int", 0, 4095, role="index", interesting=_PAGES),
    ), "the process writes to a doorbell", weight=1),
    Op("dev_del", (), "the device is removed, now or when the node is closed", weight=1),
    Op("dev_add", (), "the device is made again", weight=2),
)

# ---- IOTLB messages ----
IOTLB_OPS = (
    Op("update", (
        _asid(), _page(), _off(), _at(), _npages(), _bytes(), _span(),
        Arg("upage", "int", 0, 4095, role="index", interesting=_PAGES, doc="user memory, in pages"),
        _off("uoff"),
        Arg("uat", "enum", names=UADDRS, doc="where upage and uoff count from"),
        Arg("perm", "int", 0, 255, default=3, interesting=(0, 1, 2, 3, 4, 255)),
        _version(),
    ), "write a VHOST_IOTLB_UPDATE message", weight=30),
    Op("invalidate", (
        _asid(), _page(), _off(), _at(), _npages(), _bytes(), _span(), _version(),
    ), "write a VHOST_IOTLB_INVALIDATE message", weight=16),
    Op("batch_begin", (_asid(), _version(), _npages(0)),
       "write a VHOST_IOTLB_BATCH_BEGIN message; its size is a hint", weight=8),
    Op("batch_end", (_asid(), _version(), _npages(0)),
       "write a VHOST_IOTLB_BATCH_END message", weight=8),
    Op("write", (
        Arg("length", "int", 0, 255, default=72, role="length",
            interesting=(0, 3, 4, 7, 8, 39, 40, 71, 72, 73)),
        Arg("format", "int", 0, 255, default=2, interesting=(0, 1, 2, 3)),
        _asid(),
        Arg("type", "int", 0, 255, default=3, interesting=(0, 1, 2, 3, 4, 5, 6, 7)),
        _page(),
        _npages(),
    ), "write any message of any length; an UPDATE maps the page of the area that the IOVA names",
       weight=4),
)

# ---- the guest and its device ----
# The rings of queue q are in pages 4q (descriptors), 4q+1 (available), 4q+2 (used); page 4q+3 has
# its indirect tables. Addresses that the guest gives to the device are IOVAs, identical by default.
RING_OPS = (
    Op("bring_up", (
        Arg("cvq_asid", "int", 0, 7, role="index", doc="address space of the control queue"),
        Arg("order", "int", 0, 8, default=4, role="count", doc="the rings have 2**order entries"),
        Arg("bits", "flags", names=FEATURES,
            default="VERSION_1|ACCESS_PLATFORM|CTRL_VQ|CTRL_MAC_ADDR"),
        Arg("queues", "flags", names=QUEUES, default="RX|TX|CTRL", doc="which are enabled"),
        Arg("base", "int", 0, 0xFFFF, interesting=(0, 1, 0x7FFF, 0x8000, 0xFFFF)),
    ), "reset, features, mappings, rings and DRIVER_OK: all calls that a device needs; ends with "
       "the first that fails", weight=16),
    Op("send", (
        _page("buffer", 16), _off(),
        Arg("len", "int", 0, 0xFFFF, default=64, role="length",
            interesting=(0, 10, 12, 16, 17, 18, 64, 4095, 4096, 4097)),
        Arg("dst", "enum", names=("own", "broadcast", "multicast", "other", "prefix")),
        _pieces(), _indirect(), _then(),
    ), "the guest sends a packet", weight=10),
    Op("rx", (
        _page("buffer", 24), _off(),
        Arg("len", "int", 0, 0xFFFF, default=2048, role="length",
            interesting=(0, 1, 12, 64, 4095, 4096, 4097)),
        Arg("count", "int", 1, 8, role="count", doc="buffers"),
        _pieces(), _indirect(), _then("nothing"),
    ), "the guest offers buffers for packets", weight=10),
    Op("cvq", (
        _page("buffer", 20), _off(),
        Arg("cls", "int", 0, 255, default=1, interesting=(0, 1, 2, 3, 4, 5)),
        Arg("cmd", "int", 0, 255, default=1, interesting=(0, 1, 2)),
        Arg("len", "int", 0, 63, default=6, role="length", interesting=(0, 1, 5, 6, 7),
            doc="bytes behind class and command"),
        Arg("mac", "int", 0, 255, doc="first byte of an address; the others follow from it"),
        Arg("gap", "bool", doc="the second half of the data is not mapped"),
        Arg("ack", "enum", names=("byte", "none", "empty", "unmapped", "first")),
        _pieces(), _indirect(), _then(),
    ), "the guest gives a command", weight=10),
    Op("desc", (
        _ring(), Arg("slot", "int", 0, 255, role="index"),
        _page("buffer"), _off(), _at(),
        Arg("len", "int", 0, 0xFFFFFFFF, role="length",
            interesting=(0, 1, 15, 16, 17, 32, 64, 4096, 8192, 0xFFFFFFF0, 0xFFFFFFFF)),
        Arg("bits", "flags", names=("NEXT", "WRITE", "INDIRECT")),
        Arg("next", "int", 0, 0xFFFF, role="index", interesting=(0, 1, 2, 15, 16, 255, 0xFFFF)),
        Arg("table", "enum", names=("ring", "indirect"), doc="which table of the queue"),
    ), "the guest writes one descriptor, whatever it means", weight=8),
    Op("avail", (
        _ring(), Arg("head", "int", 0, 0xFFFF, role="index", interesting=(0, 1, 2, 15, 16, 255)),
        Arg("count", "int", 1, 255, role="count", interesting=(1, 2, 16)),
        _then(),
    ), "the guest makes a chain available, count times", weight=6),
    Op("avail_idx", (
        _ring(), Arg("idx", "int", 0, 0xFFFF, interesting=(0, 1, 2, 16, 17, 0x7FFF, 0xFFFF)),
        _then(),
    ), "the guest writes the available index", weight=2),
    Op("avail_flags", (
        _ring(), Arg("bits", "flags", names=("NO_INTERRUPT",)),
    ), "the guest writes the flags of its available ring", weight=1),
    Op("poke", (
        _page("page of the area"), _off(),
        Arg("value", "int", 0, 0xFFFFFFFF, interesting=(0, 1, 0xFFFF, 0xFFFFFFFF)),
        Arg("width", "int", 1, 4, default=2, role="length"),
    ), "the guest writes anywhere in the process' memory", weight=2),
    Op("kick", (_ring(),), "the guest kicks a queue: its eventfd is signalled", weight=3),
    Op("work", (
        Arg("count", "int", 1, 16, role="count"),
    ), "the simulator's worker runs", weight=3),
    Op("used", (_ring(),), "the guest looks at its used ring", weight=2),
    Op("blk", (
        Arg("type", "enum", names=("IN", "OUT", "FLUSH", "GET_ID", "DISCARD", "WRITE_ZEROES",
                                   "UNKNOWN")),
        Arg("sector", "int", 0, 0xFFFFFFFF, role="index",
            interesting=(0, 1, 2, 7, 8, 0x3FFF8, 0x3FFFF, 0x40000, 0x40001, 0xFFFFFFFF)),
        Arg("len", "int", 0, 0x40000, default=512, role="length",
            interesting=(0, 1, 19, 20, 511, 512, 513, 1024, 4096, 0x8000, 0xFE00, 0xFFFF, 0x10000,
                         0x11000, 0x14000, 0x17000, 0x20000, 0x3F000),
            doc="bytes of data; bring_up maps 24 pages from the default page on"),
        _page("buffer", 8), _off(), _pieces(),
        Arg("num", "int", 0, 0xFFFFFFFF, default=1, role="count",
            interesting=(0, 1, 2, 8, 0x3FFFF, 0x40000, 0x40001, 0xFFFFFFFF),
            doc="DISCARD and WRITE_ZEROES: sectors"),
        Arg("flags", "int", 0, 3, doc="theirs; 1 is UNMAP"),
        Arg("shape", "enum", names=(
            "plain", "joined", "gap", "short_header", "no_header", "header_sector", "long_range",
            "no_status", "empty_status", "status_unmapped", "status_first"),
            doc="joined: header and data are one, or data and status; gap: the second half of the "
                "data is not mapped; others: what is wrong with the request"),
        _indirect(), _then(),
    ), "the guest asks for something of a disk", weight=10),
)

# ---- VDUSE: the daemon, and a driver of the kernel ----
def _dev() -> Arg:
    return Arg("dev", "int", 0, 1, role="index",
               doc="VDUSE device: 0 the node's, 1 one for a driver of the kernel")


VDUSE_OPS = (
    Op("daemon", (
        Arg("mode", "enum", names=("answer", "fail", "silent", "wrong_id", "fault"),
            doc="what the daemon does with a request while its sender waits"),
    ), "the daemon changes its mind", weight=3),
    Op("vduse_read", (
        _dev(),
        Arg("efault", "bool", doc="into a buffer that is not there"),
        Arg("meanwhile", "enum", names=("nothing", "timeout", "kill", "reply"),
            doc="while the request is copied: the oldest thread that waits times out or is killed, "
                "or another thread of the daemon replies"),
    ), "the daemon reads a request", weight=4),
    Op("vduse_reply", (
        _dev(),
        Arg("which", "enum", names=("oldest", "newest", "wrong"), doc="of the requests it read"),
        Arg("result", "int", 0, 1, doc="0 OK, 1 failed"),
    ), "the daemon writes a response", weight=3),
    Op("vduse_request", (
        _dev(),
        Arg("type", "int", 0, 3, default=1),
    ), "a thread of the kernel asks the daemon, and waits", weight=4),
    Op("vduse_leave", (
        _dev(),
        Arg("killed", "bool", doc="by a signal; else after 30 seconds"),
    ), "the thread that waits longest gives up", weight=2),
    Op("vduse_ioctl", (
        _dev(),
        Arg("what", "enum", names=("GET_FD", "SET_CONFIG", "VQ_SETUP", "VQ_GET_INFO",
                                   "VQ_SETUP_KICKFD", "INJECT_IRQ", "INJECT_CONFIG_IRQ",
                                   "GET_INFO", "GET_FEATURES")),
        Arg("index", "int", 0, 255, role="index", interesting=(0, 1, 2, 3),
            doc="queue; SET_CONFIG: the byte"),
        _page(), _off(),
        Arg("len", "int", 0, 65535, default=4096, role="length",
            interesting=(0, 1, 8, 23, 24, 25, 4096), doc="bytes; VQ_SETUP: maximal size"),
        Arg("asid", "int", 0, 8, role="index"),
        Arg("behind", "bool", doc="page counts from the first behind the bounce pages"),
    ), "an ioctl of the daemon", weight=6),
    Op("vduse_file", (
        _dev(),
        Arg("what", "enum", names=("OPEN", "CLOSE", "CREATE", "DESTROY", "ATTACH", "DETACH")),
        Arg("race", "bool", doc="OPEN: somebody destroys the device at the same time"),
    ), "the daemon opens or closes a device, makes or destroys it; a driver of the kernel comes or "
       "goes", weight=4),
    Op("bounce", (
        Arg("what", "enum", names=("MAP", "UNMAP", "READ")),
        Arg("page", "int", 0, 7, role="index"),
        _off(),
        Arg("len", "int", 1, 4096, default=512, role="length", interesting=(1, 512, 4096)),
        Arg("to_device", "bool", default=1),
    ), "the driver of device 1 maps memory for the daemon, or the daemon reads a byte of it",
       weight=3),
    Op("driver_config", (
        _dev(),
        Arg("off", "int", 0, 255, role="length", interesting=(0, 8, 23, 24, 25)),
        Arg("len", "int", 0, 255, default=8, role="length", interesting=(1, 8, 24, 25)),
    ), "a driver of the kernel reads the config space", weight=2),
    Op("umem", (
        Arg("what", "enum", names=("REG", "DEREG")),
        Arg("upage", "int", 0, 4095, role="index", interesting=(0, 1, 63, 64)),
        Arg("uoff", "int", 0, 4095, role="length", interesting=(0, 1)),
        Arg("npages", "int", 0, 16384, default=256, role="count",
            interesting=(0, 255, 256, 257, 16384)),
        Arg("page", "int", 0, 4095, role="index", doc="IOVA in pages"),
    ), "the daemon gives its memory for the bounce pages of device 1, or takes it back", weight=2),
    Op("coherent", (
        Arg("what", "enum", names=("ALLOC", "FREE", "READ", "WRITE")),
        Arg("page", "int", 0, 7, role="index", doc="behind the bounce pages"),
        _off(),
        Arg("len", "int", 1, 32768, default=4096, role="length",
            interesting=(1, 512, 4095, 4096, 4097, 8192, 32768), doc="bytes, of ALLOC and WRITE"),
        Arg("zero", "bool", default=1, doc="ALLOC: the driver asks for cleared memory"),
    ), "the driver of device 1 allocates memory that the daemon can map, frees what begins at the "
       "page, or writes to it; or the daemon reads a byte of it", weight=3),
)

OPS = (*MEMORY_OPS, *NODE_OPS, *IOTLB_OPS, *RING_OPS, *VDUSE_OPS)

_SIMULATORS = ("sim", "sim_dma", "iommu")


def _names(*groups: tuple[Op, ...]) -> tuple[str, ...]:
    return tuple(op.name for group in groups for op in group)


FOCUSES = (
    Focus("iotlb",
          ops=(*_names(MEMORY_OPS, IOTLB_OPS), "open", "close", "set_owner",
               "set_backend_features", "set_group_asid", "bring_up"),
          boot={"parent": _SIMULATORS},
          doc="IOTLB messages: mappings, pins, batches, address spaces, and the process' memory"),
    Focus("ring",
          ops=(*_names(RING_OPS), "update", "invalidate", "set_status", "vring_base",
               "get_vring_base", "vring_enable", "suspend", "resume", "open"),
          boot={"parent": _SIMULATORS},
          doc="rings over an IOTLB, the simulator's network device and disk"),
    Focus("vduse",
          ops=(*_names(MEMORY_OPS, NODE_OPS, VDUSE_OPS), "update", "invalidate", "bring_up"),
          boot={"parent": ("vduse",)},
          doc="a device that is a process: its messages, files, queues and bounce pages"),
    Focus("node",
          ops=(*_names(NODE_OPS), "update", "bring_up", "kick", "work"),
          doc="ioctls of the device node, eventfds, doorbells, the device's removal"),
)

SCHEMA = Schema(target="vdpa", boot=BOOT, ops=OPS, record_size=24, focuses=FOCUSES)
