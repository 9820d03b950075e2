# SPDX-License-Identifier: GPL-2.0-or-later
"""For each way in which a check of virtio-net-rx can fail: what makes it, and what almost does.

A case is a program, a script of rig steps (vfuzz/sim/rig.pxi) or a script behind a program. Its
near miss is the same with one thing changed: one piece of the program's text, or one step. So each
case says where the line runs: a used length of 4096 bytes is right, 4097 are not.

Programs are preferred, with the quirk that brings the bug back; the rig is for what no program can
do, however broken the driver.
"""

from __future__ import annotations

import vfuzz
from tests.targets import cases
from tests.targets.cases import NOTHING, Case
from tests.targets.virtio_net import pool_cases

Ref = vfuzz.target("virtio-net-rx").core.Ref
OLD, NEW = "linux-6.1", "linux-6.12"


def program(*what: str, **more: str) -> Case:
    """As of 6.12 where no era is named: its buffers lie where it is most easily told."""
    return cases.program(*what, **{"era": NEW, **more})


def script(*what, **more) -> Case:
    return cases.script(*what, **{"era": NEW, **more})


# ---- programs: the ways in which buffers are posted, and a packet or two -------------------------

SMALL = "boot(profile=HOSTILE, features=VERSION_1|GUEST_CSUM)\nopen()\n"
BIG = "boot(profile=HOSTILE, features=VERSION_1|GUEST_CSUM|GUEST_TSO4|GUEST_UFO|GUEST_USO)\n"
BIG += "open()\n"
# a ring of 32: buffers of 2112 bytes
MERGEABLE = "boot(profile=HOSTILE, features=VERSION_1|GUEST_CSUM|MRG_RXBUF, ring_order=5)\n"
MERGEABLE += "open()\n"
PREMAPPED = (
    "boot(profile=HOSTILE, features=VERSION_1|MRG_RXBUF|ACCESS_PLATFORM|PREMAPPED, ring_order=5, "
    "swiotlb=1)\nopen()\n"
)
CHECKSUM = "flags=NEEDS_CSUM, csum_start=34"
TSO = f"rx(size=200, {CHECKSUM}, gso_type=TCPV4, gso_size=100)\npoll()\n"
USO = f"rx(size=1066, {CHECKSUM}, csum_offset=6, gso_type=UDP_L4, gso_size=8)\npoll()\n"

PROGRAMS = [
    program(
        "S1", "header read after its page was given away",
        MERGEABLE + "rx(size=128)\npoll()\n", "128", "129", quirk="A12",
    ),
    program(
        "S1", "queues freed under the refill work",
        "boot()\nresize() fail(add, 1)\n", "fail(add, 1)", "",
    ),
    program(
        "S2", "the other pages of a big buffer are lost",
        BIG + "rx(size=129)\npoll()\n", "129", "128", quirk="B11",
    ),
    program(
        "S4", "Ethernet header pulled from 13 bytes",
        SMALL + "use(len=25)\npoll()\n", "25", "26", quirk="A16",
    ),
    program(
        "S5", "RSS key of 41 bytes",
        "boot(features=RSS|VERSION_1, rss_max_key_size=41)\n", "41", "40", quirk="A18",
    ),
    program(
        "S5", "RSS table of 129 entries",
        "boot(features=RSS|VERSION_1, rss_max_indirection_table_length=129)\n", "129", "128",
        quirk="A19",
    ),
    program(
        "S6", "no room for the DMA record",
        "boot(features=MRG_RXBUF|ACCESS_PLATFORM|PREMAPPED, ring_order=4,"
        " high_order_alloc_disable=1)\nopen()\n", "ring_order=4", "ring_order=5", quirk="A07",
    ),
    program(
        "S7", "one byte more than was posted",
        MERGEABLE + "use(len=2113)\npoll()\n", "2113", "2112", quirk="A05",
    ),
    program(
        "S8", "one byte more than the chain of pages has",
        "boot(profile=HOSTILE, features=MTU|VERSION_1, mtu=4096)\nopen()\nuse(len=8173)\npoll()\n",
        "8173", "8172", quirk="A04",
    ),
    program(
        "S11", "one byte more than the tailroom",
        BIG + "rx(size=3745)\npoll()\n", "3745", "3744", quirk="A13",
    ),
    program(
        "S12", "one byte more than the page has",
        MERGEABLE.replace(")", ", high_order_alloc_disable=1)", 1) + "use(len=4097)\npoll()\n",
        "4097", "4096", quirk="A05",
    ),
    program(
        "S13", "an 18th fragment",
        BIG + "use(len=69613)\npoll()\n", "69613", "69612",
    ),
    program(
        "S14", "20 entries in a scatterlist of 19",
        "boot(profile=HOSTILE, features=MRG_RXBUF|VERSION_1, ring_order=5)\nopen()\n"
        "use(len=1600, num_buffers=19)\ncont(len=1600, count=18)\npoll()\nforward()\n",
        "num_buffers=19)\ncont(len=1600, count=18)", "num_buffers=18)\ncont(len=1600, count=17)",
        quirk="A17",
    ),
    program(
        "S18", "payload pulled into the head",
        BIG + "rx(size=3745)\npoll()\n", "3745", "3744", quirk="F04",
    ),
    program(
        "S23", "struct page read as an address",
        BIG + "rx()\npoll()\n", "GUEST_CSUM", "GUEST_CSUM|MRG_RXBUF", quirk="D04",
    ),
    program(
        "S24", "the last chunk stays mapped",
        "boot(features=ACCESS_PLATFORM|PREMAPPED, ring_order=2, high_order_alloc_disable=1)\n"
        "open() fail(alloc, 2)\n", "alloc_disable=1", "alloc_disable=0",
    ),
    program(
        "S26", "read without a sync",
        PREMAPPED + "rx()\npoll()\n", "swiotlb=1", "swiotlb=0", quirk="C01",
    ),
    program(
        "S27", "sync of one byte more than was posted",
        PREMAPPED + "use(len=2113)\npoll()\n", "2113", "2112",
    ),
    program(
        "S27", "sync in the wrong direction",
        PREMAPPED + "rx()\npoll()\n", "swiotlb=1", "swiotlb=0", quirk="C03",
    ),
    program(
        "S28", "checksum starts in the network header",
        SMALL + "rx(size=200, flags=NEEDS_CSUM, csum_start=19)\npoll()\n", "19", "20", quirk="A22",
    ),
    program(
        "S28", "TCP checksum at another offset",
        BIG + TSO.replace("34", "34, csum_offset=15"), "csum_offset=15", "csum_offset=16",
        quirk="A21",
    ),
    program(
        "S28", "UDP_L4 without a checksum",
        BIG + USO.replace("NEEDS_CSUM", "DATA_VALID"), "DATA_VALID", "NEEDS_CSUM", quirk="A24",
    ),
    program(
        "S29", "gso_size is all of the payload",
        BIG + TSO.replace("=100", "=146"), "=146", "=145", quirk="A20",
    ),
    program(
        "S30", "65536 TCP segments",
        BIG + f"rx(size=65590, {CHECKSUM}, gso_type=TCPV4, gso_size=1)\npoll()\n",
        "65590", "65589", quirk="A23",
    ),
    program(
        "S30", "65536 UDP fragments",
        BIG + "rx(size=65536, gso_type=UDP, gso_size=1)\npoll()\n", "65536", "65535",
    ),
    program(
        "S30", "129 UDP_L4 segments",
        BIG + USO.replace("1066", "1067"), "1067", "1066", quirk="A24",
    ),
    program(
        "S33", "flags read from the padding",
        SMALL + "rx()\npoll()\n", "GUEST_CSUM", "GUEST_CSUM|MRG_RXBUF", quirk="D05",
    ),
    program(
        "S34", "num_buffers 0",
        MERGEABLE + "use(num_buffers=0)\nrx()\npoll()\n", "num_buffers=0", "num_buffers=1",
    ),
    program(
        "S35", "second buffer taken for a packet",
        MERGEABLE + "rx(size=2126)\npoll() fail(alloc, 1)\n", "2126", "2100", quirk="B13",
    ),
    program(
        "S41", "busy poll with callbacks on",
        "boot()\nopen()\npoll()\nbusy_poll()\n", "poll()\nbusy", "busy", quirk="E14",
    ),
    program(
        "S41", "queue freed with its NAPI on",
        "boot(features=MQ, pairs=2)\nopen() fail(alloc, 4)\n", "4", "3", quirk="E02",
    ),
    program(
        "S42", "polled without rx info",
        "boot()\nopen()\nclose(race=POLL, at=1)\n", "at=1", "at=0", quirk="E04",
    ),
    program(
        "S42", "rx info registered twice",
        "boot(features=MQ, pairs=2)\nopen() fail(alloc, 4)\nopen()\n", "4", "3", quirk="E02",
    ),
    program(
        "S42", "rx info that never was is unregistered",
        "boot()\nopen()\nfreeze()\nrestore()\nclose()\n", "open()\nfreeze()", "freeze()",
        quirk="E03",
    ),
    program(
        "S43", "a queue out of use is forgotten",
        "boot(features=MQ, pairs=2)\nopen()\nrx(queue=1)\npoll(queue=1)\nstats()\n"
        "channels(pairs=1)\nstats()\n", "channels(pairs=1)", "channels(pairs=2)", quirk="F02",
    ),
    program(
        "S45", "split ring without a buffer",
        "boot(features=ACCESS_PLATFORM)\nopen() fail(map, 1)\npoll() fail(map, 1)\n",
        "poll() fail(map, 1)", "poll() fail(map, 2)", quirk="C06",
    ),
    program(
        "S45", "packed ring without a buffer",
        "boot(features=ACCESS_PLATFORM|RING_PACKED)\nopen() fail(map, 1)\npoll() fail(map, 1)\n",
        "poll() fail(map, 1)", "poll() fail(map, 2)",
    ),
    program(
        "S45", "no scheduling point between two rings",
        "boot(features=MQ, pairs=2)\nopen()\nfreeze()\n", "pairs=2", "pairs=1", quirk="E12",
    ),
    program(
        "S45", "what was sent in a broken ring is looked for",
        "boot(features=VERSION_1, cpus=1)\nopen()\nxdp()\nverdict(action=TX)\nburst(count=2)\n"
        "poll(budget=1)\nsent()\nbreak_device()\npoll()\n", "sent()\n", "", quirk="E23",
    ),
    program(
        "S46", "lock held while waiting for NAPI",
        "boot()\nopen() fail(add, 1)\nresize(race=REFILL, at=1)\n", "at=1", "at=2", quirk="E07",
    ),
    program(
        "S46", "NAPI that nobody enables again",
        "boot()\nopen() fail(add, 1)\nclose()\nwork()\n", "fail(add, 1)", "", quirk="E19",
    ),
    program(
        "S46", "waiting work is waited for",
        "boot()\nopen(race=REFILL) fail(1, all)\n", "race=REFILL", "race=POLL",
    ),
    program(
        "S47", "kick before DRIVER_OK",
        "boot(race=OPEN)\n", "OPEN", "NONE", quirk="E05",
    ),
    program(
        "S47", "kick lost where the ring wraps",
        "boot(features=MTU|RING_PACKED|EVENT_IDX, ring_order=2, mtu=4097)\nopen()\n"
        "rx()\npoll()\nrx()\npoll()\n", "4097", "4096", quirk="E21",
    ),
]

# ---- the rig: memory -----------------------------------------------------------------------------

PAGE = ("alloc_pages", 0, "H_DRV")
OBJECT = ("kmalloc", 64)
#: A page with a buffer [1024, 2048) in the driver's hands: Ref(0) the page, Ref(2) the address.
BUFFER = (PAGE, ("buf_new", Ref(0), 1024, 2048), ("addr", Ref(0), 1024))
POSTED = (*BUFFER, ("sg", 0, Ref(2), 1000), ("vq_add", 0, 1, 7))

MEMORY = [
    script("S1", "wild address", PAGE, ("cpu_write", 2 << 20, 1),
           spare=(1, "cpu_write", 1 << 20, 1)),
    script("S1", "page after its release", PAGE, ("put_page", Ref(0), "H_DRV"),
           ("cpu_write", 1 << 20, 1), spare=(1, "get_page", Ref(0), "H_DRV")),
    script("S1", "page released while posted", *POSTED, ("move_ref", Ref(0), "H_RING", "H_DRV"),
           ("put_page", Ref(0), "H_DRV"), spare=(6, "get_page", Ref(0), "H_DRV")),
    script("S1", "buffer after its release", *BUFFER, ("get_page", Ref(0), "H_DRV"),
           ("put_buf", Ref(2)), ("check_read", Ref(2), 0), spare=(4, "check_read", Ref(2), 0)),
    script("S1", "skb after its release", ("alloc_skb", 1024, 0), ("kfree_skb", Ref(0)),
           ("skb_put", Ref(0), 1), spare=(1, "skb_put", Ref(0), 1)),
    script("S2", "a reference in nobody's hands after an op", PAGE, ("books_check",),
           spare=(0, "alloc_pages", 0, "H_KERNEL")),
    script("S2", "a frame at the end", OBJECT, ("kfree", Ref(0)), OBJECT, ("leak_check",),
           spare=(2, *NOTHING)),
    script("S3", "put of another's reference", PAGE, ("get_page", Ref(0), "H_SKB"),
           ("put_page", Ref(0), "H_DRV"), ("put_page", Ref(0), "H_DRV"),
           spare=(3, "put_page", Ref(0), "H_SKB")),
    script("S3", "another's reference handed on", PAGE, ("move_ref", Ref(0), "H_SKB", "H_RING"),
           spare=(1, "move_ref", Ref(0), "H_DRV", "H_RING")),
    script("S3", "put of a posted buffer", *POSTED, ("get_page", Ref(0), "H_DRV"),
           ("put_buf", Ref(2)), spare=(6, "put_buf", Ref(2) - 1)),
    script("S3", "books that do not add up", PAGE, ("move_ref", Ref(0), "H_DRV", "H_KERNEL"),
           ("poke", "memory.drv_refs", 1), ("books_check",),
           spare=(2, "poke", "memory.drv_refs", 0)),
    script("S3", "skb freed twice", ("alloc_skb", 1024, 0), ("kfree_skb", Ref(0)),
           ("kfree_skb", Ref(0)), spare=(2, "kfree_skb", 0)),
    script("S3", "the ring returns what it does not hold", *POSTED, ("dev_fetch", 0),
           ("dev_use", 0, 0, 0, 0), ("poke", "buf.state", "B_DRV", Ref(1)), ("vq_get_buf", 0),
           spare=(7, "poke", "buf.state", "B_RING", Ref(1))),
    script("S5", "write beyond the object", OBJECT, ("cpu_write", Ref(0), 65),
           spare=(1, "cpu_write", Ref(0), 64)),
    script("S5", "write beyond the buffer", *BUFFER, ("cpu_write", Ref(2), 1025),
           spare=(3, "cpu_write", Ref(2), 1024)),
    script("S6", "mapping beyond the object", OBJECT, ("dma_map", Ref(0), 65, "DMA_FROM_DEVICE"),
           spare=(1, "dma_map", Ref(0), 64, "DMA_FROM_DEVICE"), dma=True),
    script("S6", "device beyond the mapping", OBJECT, ("dma_map", Ref(0), 63, "DMA_FROM_DEVICE"),
           ("dma_write", Ref(1), 64, 2), spare=(2, "dma_write", Ref(1), 63, 2), dma=True),
    script("S6", "device beyond the object", OBJECT, ("dma_write", Ref(0), 65, 2),
           spare=(1, "dma_write", Ref(0), 64, 2)),
    script("S6", "buffer beyond its page", PAGE, ("buf_new", Ref(0), 4000, 4097),
           spare=(1, "buf_new", Ref(0), 4000, 4096)),
    script("S6", "posted beyond the page", *BUFFER, ("sg", 0, Ref(2), 3073), ("vq_add", 0, 1, 7),
           spare=(3, "sg", 0, Ref(2), 1024)),
    script("S6", "posted beyond the buffer", *BUFFER, ("sg", 0, Ref(2), 1025),
           ("vq_add", 0, 1, 7), spare=(3, "sg", 0, Ref(2), 1024)),
    script("S7", "read beyond the object", OBJECT, ("check_read", Ref(0), 65),
           spare=(1, "check_read", Ref(0), 64)),
    script("S8", "past the last page of a chain", PAGE, ("poke", "frame.private", 0, Ref(0)),
           ("page_private", Ref(0)), ("page_private", Ref(2)),
           spare=(1, "poke", "frame.private", Ref(0), Ref(0))),
    script("S9", "new buffer in another", *BUFFER, ("buf_new", Ref(0), 2047, 4096),
           spare=(3, "buf_new", Ref(0), 2048, 4096)),
    script("S9", "buffer posted twice", *BUFFER, ("buf_new", Ref(0), 2048, 4096),
           ("sg", 0, Ref(2), 64), ("vq_add", 0, 1, 7), ("get_page", Ref(0), "H_DRV"),
           NOTHING, ("vq_add", 0, 1, 8),
           spare=(7, "sg", 0, (1 << 20) + 2048, 64)),
    script("S24", "page released while mapped", OBJECT,
           ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"),
           ("dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"),
           ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"), ("kfree", Ref(0)), spare=(3, *NOTHING),
           dma=True),
    script("S24", "device through a mapping that is gone", OBJECT,
           ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"),
           ("dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"), ("dma_write", Ref(1), 1, 2),
           spare=(2, *NOTHING), dma=True),
    script("S24", "device writes what it may read", OBJECT,
           ("dma_map", Ref(0), 64, "DMA_TO_DEVICE"), ("dma_write", Ref(1), 1, 2),
           spare=(2, "dma_read", Ref(1), 1), dma=True),
    script("S25", "unmap of what was never mapped", OBJECT,
           ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"), ("dma_unmap", Ref(0), 64, "DMA_FROM_DEVICE"),
           spare=(2, "dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"), dma=True),
    script("S25", "unmapped twice", OBJECT, ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"),
           ("dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"),
           ("dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"), spare=(3, *NOTHING), dma=True),
    script("S25", "unmap of one byte less", OBJECT, ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"),
           ("dma_unmap", Ref(1), 63, "DMA_FROM_DEVICE"),
           spare=(2, "dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"), dma=True),
    script("S26", "CPU writes what is posted", *POSTED, ("cpu_write", Ref(2), 1),
           spare=(5, "cpu_write", Ref(2) - 1, 1)),
    script("S26", "CPU reads what is posted", *POSTED, ("dev_fetch", 0), ("dev_use", 0, 0, 0, 0),
           NOTHING, ("check_read", Ref(2), 1), spare=(7, "vq_get_buf", 0)),
    script("S27", "sync of what is not mapped", OBJECT,
           ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"),
           ("dma_unmap", Ref(1), 64, "DMA_FROM_DEVICE"),
           ("dma_sync", Ref(1), 0, 64, 64, "DMA_FROM_DEVICE"), spare=(2, *NOTHING), dma=True),
    script("S27", "sync beyond the mapping", OBJECT, ("dma_map", Ref(0), 64, "DMA_FROM_DEVICE"),
           ("dma_sync", Ref(1), 1, 64, 64, "DMA_FROM_DEVICE"),
           spare=(2, "dma_sync", Ref(1), 1, 63, 64, "DMA_FROM_DEVICE"), dma=True),
    script("S33", "read before what was posted", *BUFFER, ("sg", 0, Ref(2, 8), 1000),
           ("vq_add", 0, 1, 7), ("dev_fetch", 0), ("dev_use", 0, 0, 0, 0), ("vq_get_buf", 0),
           ("check_read", Ref(2, 7), 1), spare=(8, "check_read", Ref(2, 8), 1)),
    script("S45", "an op without an end", ("steps", 20_001), spare=(0, "steps", 20_000)),
]

# ---- the rig: skbs -------------------------------------------------------------------------------

#: Ref(3) an skb around the buffer.
BUILT = (*BUFFER, ("build_skb", Ref(2), 1024))
#: Ref(0) an skb, Ref(4) the address of a buffer that was posted whole.
FRAGMENT = (("alloc_skb", 1024, 0), ("alloc_pages", 0, "H_DRV"), ("buf_new", Ref(1), 0, 4096),
            ("poke", "buf.p_end", 4096, Ref(2)), ("addr", Ref(1), 0))

SKBS = [
    script("S8", "fragment without a page", *FRAGMENT,
           ("skb_add_rx_frag", Ref(0), 0, 0, 0, 4096, 4096),
           spare=(5, "skb_add_rx_frag", Ref(0), 0, Ref(1), 0, 4096, 4096)),
    script("S10", "head beyond its buffer", *BUFFER, ("build_skb", Ref(2), 1025),
           spare=(3, "build_skb", Ref(2), 1024)),
    script("S10", "head in no buffer", *BUFFER, ("build_skb", Ref(2) - 1, 1024),
           spare=(3, "build_skb", Ref(2), 1024)),
    script("S11", "reserve beyond the end", *BUILT, ("skb_reserve", Ref(3), 705),
           spare=(4, "skb_reserve", Ref(3), 704)),
    script("S11", "tail that the head's length does not reach", *BUILT,
           ("poke", "skb.tail", 1, Ref(3)), ("skb_pieces", Ref(3)),
           spare=(4, "poke", "skb.tail", 0, Ref(3))),
    script("S11", "length that its parts do not have", *FRAGMENT,
           ("skb_add_rx_frag", Ref(0), 0, Ref(1), 0, 100, 4096),
           ("poke", "frag.size", 99, Ref(0), 0), ("skb_pieces", Ref(0)),
           spare=(6, "poke", "frag.size", 100, Ref(0), 0)),
    script("S14", "more parts than the list has", *BUFFER, ("vq_init", 0, 32), *[
        step for i in range(21) for step in (
            ("alloc_pages", 0, "H_DRV"), ("buf_new", Ref(-1), 0, 64), ("addr", Ref(-2), 0),
            ("sg", i, Ref(-1), 64))], ("vq_add", 0, 21, 7), spare=(88, "vq_add", 0, 20, 7)),
]

# ---- the rig: rings and NAPI ---------------------------------------------------------------------

NEXT, WRITE, INDIRECT, AVAIL = 1, 2, 4, 1 << 7


def posted(packed: bool = False, *, parts: int = 2, num: int = 4, indirect: bool = False) -> tuple:
    """A ring with one buffer of `parts` pages in it."""
    pages = [
        step for i in range(parts) for step in (
            ("alloc_pages", 0, "H_DRV"), ("buf_new", Ref(-1), 0, 4096), ("addr", Ref(-2), 0),
            ("sg", i, Ref(-1), 64))
    ]
    return (("vq_init", 0, num, packed, indirect), ("driver_ok", 1), *pages,
            ("vq_add", 0, parts, 7))


def poked(check: str, name: str, ring: tuple, fires: tuple, spares: tuple, *then: tuple) -> Case:
    """A field of a ring is `fires`; in the near miss it is `spares`."""
    return script(check, name, *ring, ("poke", *fires), *then,
                  spare=(len(ring), "poke", *spares))


FETCH = ("dev_fetch", 0)

RINGS = [
    script("S41", "NAPI enabled twice", ("napi_enable", 0), ("napi_enable", 0),
           spare=(1, "napi_enable", 1)),
    poked("S47", "descriptors that do not add up", posted(), ("vq.num_free", 1, 0),
          ("vq.num_free", 2, 0), ("vq_notify", 0), ("vq_check", 0)),
    poked("S47", "descriptors lost at removal", (("vq_init", 0, 4),), ("vq.num_free", 3, 0),
          ("vq.num_free", 4, 0), ("vq_detach_unused", 0)),
    poked("S47", "not a table", posted(indirect=True), ("desc.addr", 1 << 20, 0, 0),
          ("desc.next", 0, 0, 0), FETCH),
    poked("S47", "more parts than the list has", (*posted(parts=20, num=32),
          ("poke", "desc.next", 20, 0, 19), ("poke", "desc.flags", WRITE, 0, 20)),
          ("desc.flags", WRITE | NEXT, 0, 19), ("desc.flags", WRITE, 0, 19), FETCH),
    poked("S47", "device-readable part", posted(), ("desc.flags", 0, 0, 1),
          ("desc.flags", WRITE, 0, 1), FETCH),
    poked("S47", "avail idx beyond the ring", posted(), ("vq.avail_idx", 5, 0),
          ("vq.avail_idx", 1, 0), FETCH),
    poked("S47", "avail id beyond the ring", posted(), ("vq.avail_ring", 4, 0, 0),
          ("vq.avail_ring", 0, 0, 0), FETCH),
    poked("S47", "packed: more buffers than the ring has", posted(True), ("vq.n_out", 4, 0),
          ("vq.n_out", 3, 0), FETCH),
    poked("S47", "packed: list longer than the ring", posted(True, parts=4),
          ("desc.flags", AVAIL | WRITE | NEXT, 0, 3), ("desc.flags", AVAIL | WRITE, 0, 3), FETCH),
    poked("S47", "packed: half a list", posted(True), ("desc.flags", WRITE, 0, 1),
          ("desc.flags", AVAIL | WRITE, 0, 1), FETCH),
    poked("S47", "packed: never posted", posted(True), ("desc.flags", AVAIL | WRITE, 0, 2),
          ("desc.flags", WRITE, 0, 2), FETCH),
    script("S47", "kick owed", *posted(), ("vq_kick_prepare", 0), ("vq_check", 0),
           spare=(11, "vq_notify", 0)),
]

# ---- the rig behind a program: the judge of reception --------------------------------------------

#: Ref(0) the token, Ref(1) the skb, before metadata; queue 0.
RECEIVED = (("take", 0), ("receive", 0, Ref(0)))
HASH = SMALL.replace("GUEST_CSUM", "GUEST_CSUM|HASH_REPORT|RXHASH")


def judged(check: str, name: str, packet: str, *steps: tuple, near: tuple, boot: str = SMALL,
           ) -> Case:
    """A packet becomes an skb, `steps` make it wrong, and the judge sees it; `near` stands for
    the step before the last."""
    return script(check, name, *RECEIVED, *steps, spare=(len(steps), *near), behind=boot + packet)


PARTIAL = (("poke", "skb.ip_summed", "CHECKSUM_PARTIAL", Ref(1)), ("peek", "skb.data", Ref(1)),
           ("poke", "skb.csum_start", Ref(3, 34), Ref(1)))
METADATA = ("judge_metadata", Ref(1))
WITH_CHECKSUM = f"rx(size=200, {CHECKSUM})\n"

JUDGED = [
    script("S1", "refill work initialised while it is pending", ("poke", "vi.refill_pending", 1),
           ("shutdown",), spare=(0, "poke", "vi.refill_pending", 0), behind="boot()\nfreeze()\n"),
    judged("S17", "one byte less than its memory", "rx()\n", ("skb_memory", Ref(1)),
           ("poke", "skb.truesize", Ref(2) - 1, Ref(1)), ("judge_delivered", 0, Ref(1)),
           near=("poke", "skb.truesize", Ref(2), Ref(1))),
    judged("S28", "checksum beyond the linear bytes", WITH_CHECKSUM.replace("200", "52"), *PARTIAL,
           ("poke", "skb.csum_offset", 16, Ref(1)), ("poke", "skb.len", 51, Ref(1)), METADATA,
           near=("poke", "skb.len", 52, Ref(1))),
    judged("S29", "gso_size 0", TSO.replace("poll()\n", ""), *PARTIAL,
           ("poke", "skb.csum_offset", 16, Ref(1)), ("poke", "skb.gso_type", 1, Ref(1)),
           ("poke", "skb.gso_size", 0, Ref(1)), METADATA,
           near=("poke", "skb.gso_size", 8, Ref(1))),
    judged("S31", "checksum that the header does not tell of", "rx()\n",
           ("poke", "skb.ip_summed", "CHECKSUM_UNNECESSARY", Ref(1)), METADATA,
           near=("poke", "skb.ip_summed", "CHECKSUM_NONE", Ref(1))),
    judged("S31", "checksum elsewhere than the header says", WITH_CHECKSUM, *PARTIAL,
           ("poke", "skb.csum_offset", 15, Ref(1)), METADATA,
           near=("poke", "skb.csum_offset", 16, Ref(1))),
    judged("S31", "GSO that the header does not tell of", "rx()\n",
           ("poke", "skb.gso_size", 1, Ref(1)), METADATA, near=("poke", "skb.gso_size", 0, Ref(1))),
    judged("S31", "hash of another packet", "rx()\n", ("poke", "skb.hash", 1, Ref(1)), METADATA,
           near=("poke", "skb.hash", 0, Ref(1)), boot=HASH),
    judged("S31", "hash that nobody asked for", "rx()\n", ("poke", "skb.hash", 1, Ref(1)),
           METADATA, near=("poke", "skb.hash", 0, Ref(1))),
    judged("S33", "bytes that nobody wrote", "rx()\n", ("skb_reserve", Ref(1), 64),
           ("judge_bytes", Ref(1)), near=("skb_reserve", Ref(1), 0)),
    judged("S36", "one byte left out at the front", "rx()\n", ("skb_reserve", Ref(1), 1),
           ("judge_bytes", Ref(1)), near=("skb_reserve", Ref(1), 0)),
    judged("S36", "one byte too many", "rx()\n", ("skb_put", Ref(1), 1), ("judge_bytes", Ref(1)),
           near=("skb_put", Ref(1), 0)),
    judged("S36", "one byte missing at the end", "rx()\n", ("skb_put", Ref(1), -1),
           ("judge_bytes", Ref(1)), near=("skb_put", Ref(1), 0)),
    judged("S43", "dropped and delivered", "rx()\n", ("judge_delivered", 0, Ref(1)),
           ("poke", "stats.drops", 1), ("packet_end", 0), near=("poke", "stats.drops", 0)),
    judged("S43", "other bytes than the packet's", "rx()\n", ("judge_delivered", 0, Ref(1)),
           ("poke", "stats.bytes", 65), ("packet_end", 0), near=("poke", "stats.bytes", 64)),
    judged("S43", "three length errors", "rx()\n", ("judge_delivered", 0, Ref(1)),
           ("poke", "vi.rx_length_errors", 3), ("packet_end", 0),
           near=("poke", "vi.rx_length_errors", 2)),
    script("S43", "short frame that counts as a drop", ("take", 0), ("poke", "stats.drops", 1),
           ("poke", "vi.rx_length_errors", 1), ("packet_end", 0),
           spare=(1, "poke", "stats.drops", 0), behind=SMALL + "use(len=25)\n"),
    Case("S43", "a valid packet is lost", "boot(pairs=1)\nopen()\nrx()\n",
         ("pairs=1", "profile=HOSTILE"),
         steps=(*RECEIVED, ("kfree_skb", Ref(1)), ("poke", "stats.drops", 1), ("packet_end", 0))),
    script("S23", "address used as a struct page", ("take", 0), ("receive", 0, 1 << 20),
           spare=(1, "receive", 0, Ref(0)), behind=BIG + "rx()\n"),
    script("S23", "chunk without a DMA record", PAGE, ("addr", Ref(0), 64),
           ("rq_unmap", 0, Ref(1), 0), spare=(2, *NOTHING), behind=PREMAPPED),
    script("S39", "buffer of more than twice what it may have", ("poke", "vi.hdr_len", 4192),
           ("poke", "rq.mrg_avg_pkt_len", 8353, 0), ("add_recvbuf", 0),
           spare=(1, "poke", "rq.mrg_avg_pkt_len", 8352, 0), behind=MERGEABLE),
    program(
        "S39", "a ring made smaller",
        "boot(features=MRG_RXBUF|VERSION_1|MTU, ring_order=5, mtu=9000)\nopen()\n"
        "resize(ring_order=2)\nrx(size=9014)\n", "ring_order=2", "ring_order=3",
    ),
    script("S39", "a buffer that is too short", ("deliver", 0, 1519), ("deliver", 0, 1518),
           spare=(0, "deliver", 0, 1518), behind="boot()\nopen()\n"),
    script("S39", "a full ring of buffers that are too short", ("deliver", 0, 6133),
           spare=(0, "deliver", 0, 6132),
           behind="boot(features=MRG_RXBUF|VERSION_1|MTU, ring_order=2)\nopen()\n"),
]

# ---- XDP -----------------------------------------------------------------------------------------

SMALL_XDP = "boot(profile=HOSTILE, features=VERSION_1)\nxdp()\nopen()\n"
PAGE_XDP = "boot(profile=HOSTILE, features=MRG_RXBUF|VERSION_1|MTU)\nxdp()\nopen()\n"
JUMBO_XDP = "boot(features=MRG_RXBUF|VERSION_1|MTU, ring_order=5, mtu=9000)\n"
JUMBO_XDP += "xdp(prog=FRAGS)\nopen()\n"
#: The device goes on with offloads that it was told to leave.
OFFLOADS = "boot(features=VERSION_1|GUEST_CSUM|CTRL_GUEST_OFFLOADS)\n"
OFFLOADS += "nack(commands=GUEST_OFFLOADS)\nxdp()\nopen()\n"
MANY_QUEUES = "boot(features=VERSION_1|MQ, pairs=3, cpus=1)\n"

PROGRAMS_XDP = [
    program(
        "S23", "token without room for what was sent",
        "boot()\nxdp()\nopen()\nverdict(action=TX)\nrx()\npoll()\n", "boot()",
        "boot(features=VERSION_1)", era="linux-7.2",
    ),
    program(
        "S14", "more queues than CPUs, none for XDP",
        MANY_QUEUES + "open()\nchannels(pairs=3)\nxdp()\nxmit()\n",
        "channels(pairs=3)", "channels(pairs=2)",
    ),
    program(
        "S15", "skb on a small buffer's frame",
        SMALL_XDP + "verdict(action=REDIRECT, target=CPU)\nrx()\npoll()\nrelease()\n",
        "CPU", "DEVICE",
    ),
    program(
        "S16", "one byte more than a buffer without tailroom has",
        PAGE_XDP + "rx(size=3509)\npoll()\n", "3509", "3508", quirk="B10",
    ),
    program(
        "S16", "shared info of a frame looked for elsewhere",
        JUMBO_XDP + "verdict(action=TX)\nrx(size=3509)\npoll()\n", "3509", "3508", quirk="F05",
    ),
    program(
        "S23", "frame freed as an skb",
        SMALL_XDP + "verdict(action=TX)\nrx()\npoll()\nsent()\nrx()\npoll()\n", "sent()\n", "",
        quirk="B14",
    ),
    program(
        "S23", "page of another's frame put", SMALL_XDP + "xmit(headroom=12)\nfreeze()\n",
        "=12", "=11", quirk="B15",
    ),
    program(
        "S31", "metadata lost", SMALL_XDP + "verdict(meta=4)\nrx()\npoll()\n", "meta=4", "meta=0",
        quirk="D13",
    ),
    program(
        "S31", "partial checksum passes", OFFLOADS + "rx(flags=NEEDS_CSUM)\npoll()\n",
        "NEEDS_CSUM", "RSC_INFO", era=OLD,
    ),
    program(
        "S31", "partial checksum is sent",
        OFFLOADS + "verdict(action=TX)\nrx(flags=NEEDS_CSUM)\npoll()\n", "NEEDS_CSUM", "DATA_VALID",
        era=OLD,
    ),
    program(
        "S31", "valid checksum forgotten", OFFLOADS + "rx(flags=DATA_VALID)\npoll()\n",
        "DATA_VALID", "RSC_INFO", quirk="D03",
    ),
    program(
        "S32", "header read after the program", SMALL_XDP + "rx()\npoll()\n", "xdp()\n", "",
        quirk="D02", era=OLD,
    ),
    program(
        "S37", "no program in big mode",
        "boot(features=VERSION_1|GUEST_CSUM|GUEST_TSO4|CTRL_GUEST_OFFLOADS)\nxdp()\nopen()\nrx()\n"
        "poll()\n", "GUEST_TSO4|", "",
    ),
    program(
        "S43", "the stack keeps a queue of XDP", MANY_QUEUES + "xdp()\nxdp(prog=NONE)\n", "NONE",
        "FRAGS", quirk="E22",
    ),
    program(
        "S43", "XDP has all queues",
        MANY_QUEUES + "xdp()\nfreeze()\nrestore()\nchannels(pairs=1)\n", "(pairs=1", "(pairs=2",
    ),
    program(
        "S43", "packet lost for a flag", OFFLOADS + "rx(flags=DATA_VALID)\npoll()\n", "DATA_VALID",
        "RSC_INFO", quirk="D07",
    ),
    program(
        "S43", "packet of two buffers too long for one page",
        "boot(features=MRG_RXBUF|VERSION_1|MTU, mtu=3506)\nxdp()\nopen()\nrx(size=3509)\npoll()\n",
        "3509", "3508",
    ),
    program(
        "S44", "poll completed with a frame in the bulk queue",
        SMALL_XDP + "verdict(action=REDIRECT)\nrx()\npoll()\n", "poll()", "poll(budget=1)",
        quirk="E13",
    ),
]

#: Checksums under XDP, small buffers and mergeable ones.
XDP_CSUM = "boot(features=VERSION_1|GUEST_CSUM|XDP_CSUM)\nxdp()\nopen()\n"
#: The device validates; then a program comes, which 6.1 refuses for its MTU.
IN_FLIGHT = (
    "boot(features=MRG_RXBUF|VERSION_1|MTU|GUEST_CSUM|CTRL_GUEST_OFFLOADS, ring_order=5, mtu=9000)"
    "\nopen()\ninet({})\nxdp(prog=FRAGS)\nverdict({})\npoll()\n"
)
#: XDP stays enabled, and no program is there.
LOST_PROGRAM = (
    "boot(features=MRG_RXBUF|VERSION_1|GUEST_CSUM|GUEST_TSO4|CTRL_GUEST_OFFLOADS|XDP_CSUM, "
    "ring_order=5)\nxdp()\nopen()\nfreeze()\nrestore()\nxdp(prog=NONE)\n"
)

PROGRAMS_CSUM = [
    program(
        "S28", "checksum completed where it was before the program",
        XDP_CSUM + "verdict(pull=4)\ninet(checksum=PARTIAL, vlans=1)\npoll()\n", "pull=4",
        "pull=0", quirk="H03",
    ),
    program(
        "S31", "verified, then changed", IN_FLIGHT.format("checksum=VALID", "write=60"), "=60",
        "=0",
    ),
    program(
        "S31", "verified, then decapsulated",
        IN_FLIGHT.format("kind=VXLAN, checksum=VALID, inner_wrong=1", "pull=50"), "wrong=1",
        "wrong=0",
    ),
    program(
        "S31", "verified by a device that verifies nothing",
        "boot(profile=HOSTILE, features=VERSION_1)\nopen()\ninet(checksum=VALID)\npoll()\n",
        "VALID", "WHOLE", quirk="D06",
    ),
    program(
        "S31", "several segments taken for one",
        LOST_PROGRAM + "inet(payload=1449, gso_size=1448)\npoll()\n", "1449", "1448",
        quirk="H07",
    ),
    program(
        "S43", "no transport header found behind a second IP header",
        XDP_CSUM + "inet(kind=IPIP, checksum=PARTIAL)\npoll()\n", "IPIP", "TCP4", quirk="H09",
    ),
]

#: Behind a packet of 64 bytes in a small buffer: what the program is given. Ref(0) the token.
GIVEN = (("take", 0), ("xdp_buff", Ref(0, 12 - 256), 256, 64, 2176))
REDIRECTED = SMALL_XDP + "verdict(action=REDIRECT)\nrx()\npoll()\n"
SENT = SMALL_XDP + "verdict(action=TX)\nrx()\npoll()\n"


def passed(check: str, name: str, *steps: tuple, near: tuple) -> Case:
    """A packet that a program passed; steps as with judged()."""
    return judged(check, name, "rx()\n", *steps, near=near, boot=SMALL_XDP)


DELIVERED = ("judge_delivered", 0, Ref(1))
JUDGED_XDP = [
    script("S1", "frame after its release", ("xdp_return_frame", 1), ("xdp_return_frame", 1),
           spare=(1, *NOTHING), behind=SENT + "sent()\n"),
    script("S16", "metadata behind the packet's start", *GIVEN,
           ("poke", "xdp_buff.data_meta", Ref(1, 1)), ("xdp_end", "XDP_PASS"),
           spare=(2, "poke", "xdp_buff.data_meta", Ref(1)), behind=SMALL_XDP + "rx()\n"),
    script("S37", "program runs twice", *GIVEN, ("xdp_begin", 0), ("xdp_begin", 0),
           spare=(3, *NOTHING), behind=SMALL_XDP + "rx()\n"),
    Case("S37", "GSO before the program", SMALL_XDP + "rx(gso_type=TCPV4)\n", ("TCPV4", "NONE"),
         era=NEW, steps=(*GIVEN, ("xdp_begin", 0))),
    passed("S36", "other bytes than the program left", ("skb_reserve", Ref(1), 1), DELIVERED,
           near=("skb_reserve", Ref(1), 0)),
    passed("S36", "more bytes than the program left", ("skb_put", Ref(1), 1), DELIVERED,
           near=("skb_put", Ref(1), 0)),
    script("S36", "frame that changes while it is away", ("peek", "xframe.data", 1),
           ("cpu_write", Ref(0), 1), ("xdp_target_done",), spare=(1, "cpu_write", Ref(0), 0),
           behind=REDIRECTED),
    script("S31", "frame with a header that says something", ("peek", "xframe.data", 1),
           ("frame", Ref(0)), ("extent_write", Ref(1), 320, 321, 2), ("xdp_frame_digest", 1),
           ("poke", "xframe.digest", Ref(3), 1), ("judge_sent", 1), spare=(2, *NOTHING),
           behind=SENT),
    passed("S31", "checksum to be computed in a changed packet",
           ("poke", "skb.ip_summed", "CHECKSUM_PARTIAL", Ref(1)), DELIVERED,
           near=("poke", "skb.ip_summed", "CHECKSUM_NONE", Ref(1))),
    passed("S31", "checksum that nobody validated",
           ("poke", "skb.ip_summed", "CHECKSUM_UNNECESSARY", Ref(1)), DELIVERED,
           near=("poke", "skb.ip_summed", "CHECKSUM_NONE", Ref(1))),
    passed("S43", "passed and dropped", DELIVERED, ("poke", "stats.drops", 1), ("packet_end", 0),
           near=("poke", "stats.drops", 0)),
    passed("S43", "passed and counted as sent", DELIVERED, ("poke", "vi.xdp_tx", 1),
           ("packet_end", 0), near=("poke", "vi.xdp_tx", 0)),
    passed("S43", "other bytes than the passed packet's", DELIVERED, ("poke", "stats.bytes", 65),
           ("packet_end", 0), near=("poke", "stats.bytes", 64)),
    script("S43", "one drop counted twice", *RECEIVED, ("poke", "vi.xdp_drops", 2),
           ("packet_end", 0), spare=(2, "poke", "vi.xdp_drops", 1),
           behind=SMALL_XDP + "verdict(action=DROP)\nrx()\n"),
    Case("S43", "a packet that passed is lost",
         "boot(pairs=1, features=VERSION_1)\nxdp()\nopen()\nrx()\n", ("pairs=1", "profile=HOSTILE"),
         steps=(*RECEIVED, ("kfree_skb", Ref(1)), ("poke", "stats.drops", 1), ("packet_end", 0))),
    script("S47", "frame that the device does not know of", ("poke", "sq.kicked", 0, 0),
           ("after_op",), spare=(0, "poke", "sq.kicked", 1, 0), behind=SENT),
]

INET = "boot(features=VERSION_1|GUEST_CSUM)\nopen()\ninet(checksum=%s)\n"
JUDGED_INET = [
    script("S31", "wrong checksum, marked verified", ("take", 0), ("receive", 0, Ref(0)),
           ("poke", "skb.ip_summed", "CHECKSUM_UNNECESSARY", Ref(1)), ("judge_inet", Ref(1)),
           spare=(2, "poke", "skb.ip_summed", "CHECKSUM_NONE", Ref(1)), behind=INET % "WRONG"),
    script("S28", "checksum to be completed one byte too early", ("take", 0),
           ("receive", 0, Ref(0)), ("peek", "skb.data", Ref(1)),
           ("poke", "skb.ip_summed", "CHECKSUM_PARTIAL", Ref(1)),
           ("poke", "skb.csum_start", Ref(2, 34), Ref(1)),
           ("poke", "skb.csum_offset", 15, Ref(1)), ("judge_inet", Ref(1)),
           spare=(5, "poke", "skb.csum_offset", 16, Ref(1)), behind=INET % "PARTIAL"),
]

# ---- AF_XDP --------------------------------------------------------------------------------------

#: A ring of 8 on small buffers, 1804 bytes each; chunks have the numbers 1 to 16.
ZERO_COPY = "boot(profile=HOSTILE, features=VERSION_1|ACCESS_PLATFORM|XSK_ZC)\nopen()\nxsk_bind()\n"
ZERO_COPY_XDP = ZERO_COPY + "xdp()\n"
TO_SOCKET = ZERO_COPY_XDP + "verdict(action=REDIRECT, target=SOCKET)\nrx()\npoll()\n"

ZERO_COPIED = [
    program(
        "S2", "copy of a packet that goes nowhere",
        ZERO_COPY_XDP + "verdict(action=REDIRECT, target=GONE)\nrx()\npoll()\n", "GONE", "FULL",
    ),
    program("S4", "used length without a header", ZERO_COPY + "use(len=11)\npoll()\n", "11", "12"),
    program(
        "S5", "one buffer more than the array has",
        ZERO_COPY.replace("xsk_", "resize()\nxsk_") + "resize(ring_order=3)\n", "ring_order=3",
        "ring_order=2", quirk="B20",
    ),
    program(
        "S31", "header lost with the chunk", ZERO_COPY + "rx(flags=NEEDS_CSUM)\npoll()\n",
        "NEEDS_CSUM", "DATA_VALID",
    ),
    program(
        "S40", "one byte more than the chunk has", ZERO_COPY + "use(len=1805)\npoll()\n", "1805",
        "1804", quirk="A06",
    ),
    program(
        "S40", "socket closed whose queue is gone",
        "boot(features=VERSION_1|MQ|ACCESS_PLATFORM|XSK_ZC, pairs=3, cpus=2)\nchannels()\nopen()\n"
        "xdp()\nxsk_bind(queue=2)\nxdp(prog=NONE)\nxsk_unbind(queue=2)\n", "NONE", "FRAGS",
    ),
    program(
        "S40", "socket without chunks closed whose queue is gone",
        "boot(features=VERSION_1|MQ|ACCESS_PLATFORM|XSK_ZC, pairs=3, cpus=2)\nchannels()\nopen()\n"
        "xdp()\nxsk_bind(queue=2, filled=0)\nxdp(prog=NONE)\nxsk_unbind(queue=2)\n",
        "NONE", "FRAGS",
    ),
    program(
        "S43", "no place for the header of what is sent",
        ZERO_COPY_XDP + "verdict(action=TX, meta=8)\nrx()\npoll()\n", "=8", "=12",
    ),
    script("S40", "chunk given back by who does not have it", ("take", 0), ("xsk_free", 9),
           spare=(1, "xsk_free", 1), behind=ZERO_COPY + "rx()\n"),
    script("S40", "descriptor that ends behind its chunk", ("poke", "chunk.len", 1793, 0),
           ("judge_xsk_taken", 1), spare=(0, "poke", "chunk.len", 64, 0), behind=TO_SOCKET),
    script("S36", "packet that changes while it is the user's", ("peek", "chunk.data", 0),
           ("cpu_write", Ref(0), 1), ("judge_xsk_taken", 1), spare=(1, "cpu_write", Ref(0), 0),
           behind=TO_SOCKET),
]

# ---- the receive filter --------------------------------------------------------------------------

FILTERED = "boot(features=VERSION_1|CTRL_RX)\nopen()\n"
FILTER = [
    program("S48", "table that there is no memory for", FILTERED
            + "rx_mode(multicast=A) fail(alloc, 1)\n", " fail(alloc, 1)", ""),
    program("S48", "filter that a resume does not bring back", FILTERED + "freeze()\nrestore()\n",
            "CTRL_RX", "CTRL_GUEST_OFFLOADS", era=OLD),
    script("S48", "promiscuous though nobody asked for it", ("poke", "filter.promisc", 1),
           ("judge_filter",), spare=(0, "poke", "filter.promisc", 0), behind=FILTERED),
    script("S48", "not in the mode that was asked for", ("poke", "filter.allmulti", 0),
           ("judge_filter",), spare=(0, "poke", "filter.allmulti", 1),
           behind=FILTERED + "rx_mode(allmulti=1)\n"),
    script("S48", "one address more than there are", ("poke", "filter.multicast", 0x11),
           ("judge_filter",), spare=(0, "poke", "filter.multicast", 0x10), behind=FILTERED),
]

CASES = [*PROGRAMS, *MEMORY, *SKBS, *RINGS, *JUDGED, *PROGRAMS_XDP, *PROGRAMS_CSUM, *JUDGED_XDP,
         *JUDGED_INET, *pool_cases.CASES, *ZERO_COPIED, *FILTER]
