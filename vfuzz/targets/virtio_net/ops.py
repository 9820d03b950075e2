# SPDX-License-Identifier: GPL-2.0-or-later
"""What a virtio-net-rx program can say: boot options, ops of the device, the kernel, the user."""

from vfuzz.program.schema import Arg, Focus, Op, Schema

FEATURES = (
    "MRG_RXBUF", "VERSION_1", "GUEST_CSUM", "GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_UFO",
    "GUEST_USO", "HASH_REPORT", "RSS", "MTU", "MQ", "RING_PACKED", "INDIRECT_DESC", "EVENT_IDX",
    "ACCESS_PLATFORM", "RXHASH", "PREMAPPED", "CTRL_GUEST_OFFLOADS", "XDP_CSUM", "XSK_ZC",
    "CTRL_RX",
)
GSO_TYPES = ("NONE", "TCPV4", "UDP", "TCPV6", "UDP_L4", "TCPV4_ECN", "TCPV6_ECN", "UDP_ECN",
             "INVALID")
HDR_FLAGS = ("NEEDS_CSUM", "DATA_VALID", "RSC_INFO")
HASH_REPORTS = ("NONE", "IPV4", "TCPV4", "UDPV4", "IPV6", "TCPV6", "UDPV6", "IPV6_EX", "TCPV6_EX",
                "UDPV6_EX")
#: Packets of real protocols: TCP and UDP over IPv4 and IPv6, TCP behind an option header of IPv6,
#: TCP over IPv4 over IPv4, TCP over Ethernet over VXLAN, SCTP.
INET_KINDS = ("TCP4", "UDP4", "TCP6", "UDP6", "OPTIONS6", "IPIP", "VXLAN", "SCTP")
#: Their checksum: there, there and the device says so, to be completed, or wrong.
INET_CHECKSUMS = ("WHOLE", "VALID", "PARTIAL", "WRONG")
#: What the user attaches: nothing, a program for one buffer, one for any number of them.
PROGRAMS = ("NONE", "LINEAR", "FRAGS")
#: What a program returns; INVALID is a number that means nothing.
ACTIONS = ("PASS", "DROP", "ABORTED", "INVALID", "TX", "REDIRECT")
#: Commands of the control queue that reception depends on: number of queue pairs, guest offloads,
#: and the three of the receive filter.
COMMANDS = ("MQ", "GUEST_OFFLOADS", "PROMISC", "ALLMULTI", "MAC_TABLE")
#: Addresses that the user may add to the interface's filter, as many of each kind.
ADDRESSES = ("A", "B", "C", "D")
#: Where REDIRECT goes: another device, a CPU that builds an skb, nowhere, a device that is full,
#: the AF_XDP socket of the queue (where there is none the program aborts).
TARGETS = ("DEVICE", "CPU", "GONE", "FULL", "SOCKET")
#: Chunks of an AF_XDP socket's memory: bytes.
CHUNKS = ("CHUNK_2048", "CHUNK_4096")
#: What runs at preemption point `at` of a longer kernel operation.
RACES = ("NONE", "POLL", "REFILL")

_LENGTHS = (14, 26, 60, 64, 128, 129, 512, 640, 641, 1500, 1514, 1518, 1519, 1536, 2048, 3520, 3744,
            3760, 3776, 4050, 4064, 4084, 4096, 9000, 16384, 65535, 65550, 65590, 65610, 69600,
            69612, 70000)
_USED = (0, 10, 12, 20, 24, 25, 26, 33, 34, 60, 1518, 1530, 1531, 1536, 1600, 1601, 2048, 2112,
         2304, 3072, 3400, 3756, 3764, 3776, 4076, 4096, 4097, 8192, 8193, 12268, 12283, 12288,
         16364, 16379, 16384, 20000, 69612, 69632, 70012, 73708, 73720, 73728, 80000)


def _queue() -> Arg:
    return Arg("queue", "int", 0, 2, role="index", doc="receive queue; modulo the queue pairs")


def _race() -> tuple[Arg, Arg]:
    return (
        Arg("race", "enum", names=RACES, doc="what runs at preemption point `at` of this op"),
        Arg("at", "int", 0, 15, role="index", doc="number of the preemption point, from 0"),
    )


BOOT = (
    Arg("profile", "enum", names=("CONFORMING", "HOSTILE"),
        doc="the device follows the specification, or does what the ops say"),
    Arg("features", "flags", names=FEATURES, width=4,
        doc="negotiated; RXHASH: the user switched receive hashing on; PREMAPPED: the driver maps "
            "page_frag chunks itself (6.12's code, which no 6.12 release switches on), in 7.2 "
            "pools have a device to map for; XDP_CSUM: "
            "6.12 with what was proposed in 2023, programs although there is GUEST_CSUM; XSK_ZC: "
            "the driver says that it can do AF_XDP zero copy (6.12 has the code and does not; 7.2 "
            "does without)"),
    Arg("ring_order", "int", 2, 5, default=3, doc="receive rings have 1 << ring_order descriptors"),
    Arg("pairs", "int", 1, 3, default=1, doc="max_virtqueue_pairs, with MQ or RSS"),
    Arg("cpus", "int", 1, 3, default=3, doc="online CPUs: at most so many pairs are used at first"),
    Arg("mtu", "int", 0, 65535, default=1500, role="length", doc="device MTU, with feature MTU",
        interesting=(68, 1500, 1501, 4096, 4097, 8192, 9000, 12288, 24576, 57344, 65535)),
    Arg("rss_max_key_size", "int", 0, 255, default=40, doc="device configuration, with RSS",
        interesting=(0, 40, 41, 255)),
    Arg("rss_max_indirection_table_length", "int", 0, 1024, default=128,
        doc="device configuration, with RSS", interesting=(0, 1, 128, 129, 512)),
    Arg("high_order_alloc_disable", "bool", doc="net.core.high_order_alloc_disable: 4 KiB chunks"),
    Arg("swiotlb", "int", 0, 255, interesting=(1, 6, 7, 21, 22, 40),
        doc="with ACCESS_PLATFORM, mappings bounce; above 1: at most so many at a time"),
    Arg("race", "enum", names=("NONE", "OPEN"),
        doc="OPEN: the user opens the interface as soon as probe has registered it"),
)

OPS = (
    Op("rx", (
        _queue(),
        Arg("size", "int", 14, 73_728, default=64, role="length", interesting=_LENGTHS,
            doc="bytes of the packet, without the vnet header"),
        Arg("flags", "flags", names=HDR_FLAGS),
        Arg("gso_type", "enum", names=GSO_TYPES),
        Arg("gso_size", "int", 0, 65535, default=1448, role="length",
            interesting=(0, 1, 8, 536, 1448, 65535)),
        Arg("csum_start", "int", 0, 65535, default=34,
            interesting=(0, 2, 14, 19, 20, 33, 34, 54, 1514, 65535)),
        Arg("csum_offset", "int", 0, 65535, default=16, interesting=(0, 4, 6, 16, 65533, 65535)),
        Arg("hash_report", "enum", names=HASH_REPORTS),
    ), "the device delivers one packet over as many buffers as it needs, interrupts as asked to; "
       "a conforming device corrects what the specification forbids, and drops what does not fit",
       weight=24),
    Op("burst", (
        _queue(),
        Arg("count", "int", 1, 64, default=8, role="count"),
        Arg("size", "int", 14, 70_000, default=1500, role="length", interesting=_LENGTHS),
    ), "the device delivers `count` plain packets of the same size", weight=8),
    Op("use", (
        _queue(),
        Arg("pick", "int", 0, 31, role="index", doc="which of its buffers, oldest first"),
        Arg("len", "int", 0, 100_000, default=64, role="length", interesting=_USED,
            doc="used length as the ring says it"),
        Arg("num_buffers", "int", 0, 65535, default=1, role="count",
            interesting=(0, 1, 2, 3, 17, 18, 19, 65535)),
        Arg("flags", "flags", names=HDR_FLAGS),
        Arg("gso_type", "enum", names=GSO_TYPES),
        Arg("gso_size", "int", 0, 65535, default=1448, role="length",
            interesting=(0, 1, 8, 536, 1448, 65535)),
        Arg("dry", "bool", doc="only the header is written, whatever `len` says"),
    ), "a hostile device completes one buffer as the first of a packet; writes what fits",
       weight=16),
    Op("cont", (
        _queue(),
        Arg("pick", "int", 0, 31, role="index", doc="which of its buffers, oldest first"),
        Arg("len", "int", 0, 100_000, default=64, role="length", interesting=_USED),
        Arg("count", "int", 1, 32, default=1, role="count", doc="so many buffers, each so"),
    ), "a hostile device completes further buffers of the packet that `use` began", weight=10),
    Op("bad_used", (
        _queue(),
        Arg("id", "int", 0, 65535, role="index", interesting=(0, 1, 7, 8, 31, 32, 65535)),
        Arg("len", "int", 0, 100_000, default=64, role="length", interesting=_USED),
    ), "a hostile device writes a used entry with any id", weight=2),
    Op("irq", (_queue(),), "the device interrupts, asked or not", weight=4),
    Op("kicks", (
        _queue(),
        Arg("on", "bool", default=1),
    ), "the device asks for notifications, or not", weight=2),
    Op("poll", (
        _queue(),
        Arg("budget", "int", 0, 64, default=64, role="count", interesting=(0, 1, 2, 8, 64)),
    ), "the kernel runs the queue's NAPI poll, if it is scheduled", weight=24),
    Op("busy_poll", (
        _queue(),
        Arg("budget", "int", 1, 64, default=8, role="count"),
    ), "a socket busy-polls the queue's NAPI, if it is idle", weight=4),
    Op("work", (), "the delayed refill work runs, if it is pending", weight=6),
    Op("open", _race(), "the user brings the interface up", weight=10),
    Op("close", _race(), "the user takes the interface down", weight=6),
    Op("channels", (
        Arg("pairs", "int", 1, 3, default=1, role="count"),
        *_race(),
    ), "the user sets the number of queue pairs (ethtool -L)", weight=3),
    Op("resize", (
        Arg("ring_order", "int", 2, 5, default=2),
        *_race(),
    ), "the user resizes the receive rings (ethtool -G)", weight=3),
    Op("freeze", _race(), "the system suspends", weight=2),
    Op("restore", _race(), "the system resumes", weight=3),
    Op("consume", (
        Arg("count", "int", 1, 64, default=64, role="count"),
    ), "the network stack frees the oldest packets it was given", weight=6),
    Op("forward", (), "the network stack sends the oldest packet it was given out again", weight=3),
    Op("stats", (), "the user reads the queue statistics", weight=2),
    Op("xdp", (
        Arg("prog", "enum", names=PROGRAMS, default="LINEAR"),
        *_race(),
    ), "the user attaches an XDP program, another one, or none", weight=8),
    Op("verdict", (
        Arg("action", "enum", names=ACTIONS),
        Arg("target", "enum", names=TARGETS, doc="with REDIRECT"),
        Arg("count", "int", 1, 64, default=1, role="count",
            doc="so many packets, then the next verdict; the last one stays"),
        Arg("push", "int", 0, 300, role="length", doc="bpf_xdp_adjust_head(-push)",
            interesting=(4, 8, 12, 20, 40, 196, 204, 216, 228, 236, 256, 268)),
        Arg("pull", "int", 0, 4096, role="length", doc="bpf_xdp_adjust_head(pull), the first",
            interesting=(1, 4, 14, 20, 46, 50)),
        Arg("grow", "int", 0, 4096, role="length", doc="bpf_xdp_adjust_tail(grow)",
            interesting=(1, 4, 6, 7, 82, 83, 128, 3000)),
        Arg("trim", "int", 0, 20_000, role="length", doc="bpf_xdp_adjust_tail(-trim)",
            interesting=(1, 10, 50, 512, 1536, 3520)),
        Arg("meta", "int", 0, 255, role="length", doc="bpf_xdp_adjust_meta(-meta), before the push",
            interesting=(1, 4, 8, 32, 36, 252)),
        Arg("write", "int", 0, 4096, role="index",
            doc="writes 4 bytes at write - 1, if they lie in the linear part; 0: none",
            interesting=(1, 13, 15, 60, 1497)),
    ), "what the program does next with packets: its calls of helpers, its writes, its verdict",
       weight=12),
    Op("xmit", (
        Arg("cpu", "int", 0, 2, role="index", doc="where it runs; modulo the CPUs"),
        Arg("count", "int", 1, 16, default=1, role="count"),
        Arg("size", "int", 14, 3000, default=60, role="length"),
        Arg("headroom", "int", 0, 256, default=64, role="length", interesting=(9, 10, 12, 19, 20)),
    ), "another device redirects frames to this one (ndo_xdp_xmit)", weight=2),
    Op("sent", (
        _queue(),
        Arg("count", "int", 1, 32, default=32, role="count"),
    ), "the device sends so many of the frames in a transmit ring, and returns them", weight=5),
    Op("release", (
        Arg("count", "int", 1, 64, default=64, role="count"),
    ), "targets of redirection are done with the oldest frames they have", weight=4),
    Op("nack", (
        Arg("commands", "flags", names=COMMANDS),
    ), "from now on the device refuses these commands of the control queue", weight=1),
    Op("inet", (
        _queue(),
        Arg("kind", "enum", names=INET_KINDS),
        Arg("checksum", "enum", names=INET_CHECKSUMS, doc="VALID and PARTIAL are in the header"),
        Arg("vlans", "int", 0, 2, doc="tags in front"),
        Arg("payload", "int", 0, 65_000, default=32, role="length",
            interesting=(0, 1, 6, 33, 74, 128, 1400, 1446, 1460, 3434, 9000)),
        Arg("gso_size", "int", 0, 65535, role="length", doc="of TCP; 0: no GSO",
            interesting=(8, 536, 1448)),
        Arg("inner_wrong", "bool", doc="of VXLAN: the inner checksum, which nobody looked at"),
    ), "the device delivers a packet of a real protocol; a conforming device corrects it as with "
       "`rx`", weight=8),
    Op("break_device", (), "the device is pulled out: every ring is broken until the driver sets "
       "it up anew", weight=2),
    Op("xsk_bind", (
        _queue(),
        Arg("chunk", "enum", names=CHUNKS),
        Arg("headroom", "int", 0, 1400, role="length", interesting=(32, 64, 128, 256, 257),
            doc="of the user's memory, in front of the 256 bytes that XDP has"),
        Arg("chunks", "int", 1, 32, default=16, role="count", doc="chunks that the user has"),
        Arg("rx_order", "int", 0, 5, default=4, doc="the receive ring has 1 << rx_order entries"),
        Arg("filled", "int", 0, 32, default=16, role="count",
            doc="so many chunks are in the fill ring before that"),
        *_race(),
        Arg("need_wakeup", "bool", doc="the driver may wait for `xsk_wakeup`, and says so"),
    ), "the user binds an AF_XDP socket to a queue, zero copy and nothing else", weight=8),
    Op("xsk_unbind", (
        _queue(),
        *_race(),
    ), "the user closes the AF_XDP socket of a queue", weight=3),
    Op("xsk_fill", (
        _queue(),
        Arg("count", "int", 1, 32, default=16, role="count"),
        Arg("wrong", "bool", doc="behind an address that is none"),
    ), "the user gives chunks to the fill ring, those that he has longest first", weight=4),
    Op("xsk_take", (
        _queue(),
        Arg("count", "int", 1, 32, default=32, role="count"),
    ), "the user takes packets from the receive ring; he has their chunks then", weight=6),
    Op("xsk_wakeup", (_queue(),), "the user asks the driver to go on (sendto(), recvfrom())",
       weight=2),
    Op("rx_mode", (
        Arg("promisc", "bool"),
        Arg("allmulti", "bool"),
        Arg("unicast", "flags", names=ADDRESSES),
        Arg("multicast", "flags", names=ADDRESSES),
        Arg("late", "bool", doc="where a work item tells the device: it waits for op `work` or for "
            "who flushes it"),
    ), "the user says what the interface receives besides what is sent to it", weight=3),
)

FOCUSES = (
    Focus("csum",
          ops=("rx", "burst", "use", "cont", "poll", "busy_poll", "work", "open", "consume",
               "forward", "inet", "xdp", "verdict", "freeze", "restore", "nack"),
          doc="headers of packets: checksums, segmentation, hashes, the bytes under them, and what "
              "programs make of them"),
    Focus("xdp",
          ops=("rx", "burst", "use", "cont", "poll", "work", "open", "close", "resize", "consume",
               "xdp", "verdict", "xmit", "sent", "release", "nack", "inet", "break_device"),
          doc="programs, what they do with packets, and the frames that they send and redirect"),
    Focus("pool",
          ops=("rx", "burst", "use", "cont", "poll", "busy_poll", "work", "open", "close",
               "channels", "resize", "freeze", "restore", "consume", "forward", "xdp", "verdict",
               "sent", "release", "inet", "break_device"),
          boot={"features": ("MRG_RXBUF", "VERSION_1", "GUEST_CSUM", "RSS", "MTU", "MQ",
                             "RING_PACKED", "INDIRECT_DESC", "EVENT_IDX", "ACCESS_PLATFORM",
                             "PREMAPPED")},
          eras=("linux-7.2",),
          doc="page pools, of small and mergeable buffers: how pages are cut, mapped, shared with "
              "programs and the stack, and how they come back while queues come and go"),
    Focus("xsk",
          ops=("rx", "burst", "use", "cont", "poll", "work", "open", "close", "resize", "channels",
               "consume", "xdp", "verdict", "sent", "release", "inet", "xsk_bind", "xsk_unbind",
               "xsk_fill", "xsk_take", "xsk_wakeup"),
          boot={"swiotlb": (0,)},
          doc="AF_XDP sockets: their memory, who has which part of it, what programs do with it"),
    Focus("lifecycle",
          ops=("rx", "burst", "irq", "poll", "work", "open", "close", "channels", "resize",
               "freeze", "restore", "consume", "stats", "break_device", "rx_mode", "nack"),
          doc="the interface comes, goes, changes its queues, and what races with that"),
)

SCHEMA = Schema(target="virtio-net-rx", boot=BOOT, ops=OPS, focuses=FOCUSES)
