# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtio 1.3 demands of receiving: network device, split ring, packed ring.

Each normative statement that concerns a receive queue, in our words, with the checks that fire when
the driver breaks it. The device is written by the program: with profile CONFORMING the rig keeps
what is demanded of a device, with HOSTILE the program breaks it at will, and the checks then say
what must hold of the driver all the same.
"""

from vfuzz.sanitizer.registry import Clause

_V = "virtio 1.3, "
_KEPT = ("the device is the program's: it keeps this with profile CONFORMING and may break it with "
         "HOSTILE, which no check blames on the driver")
_NO_ORDER = "VIRTIO_F_IN_ORDER is not among the features of a program: no era's driver accepts it"
_BARRIER = ("ops run one after the other and memory is consistent: the order in which another CPU "
            "sees two stores cannot be expressed")
_ROOM = ("a conforming device that finds no room in a full ring, or in the one buffer that a "
         "packet may have, says so")
_ADDRESSES = "ring memory has no addresses here: the transport places it, and no op can move it"

CLAUSES = (
    # ---- network device: configuration ----
    Clause(_V + "5.1.4.1", "device",
           "A device with MTU never hands over a packet without GSO that is longer than its mtu "
           "and an Ethernet header.", (), _KEPT),
    Clause(_V + "5.1.4.1", "device",
           "mtu lies in 68..65535, and does not change once set.", (), _KEPT),
    Clause(_V + "5.1.4.1", "device",
           "With RSS a device takes keys of at least 40 bytes and tables of at least 128 entries.",
           ("S5",), "the device may still lie: then the driver must not write beyond its own "
           "table"),
    Clause(_V + "5.1.4.2", "driver",
           "With MTU the driver supplies buffers that can take a packet of mtu bytes and an "
           "Ethernet header.", ("S39",), _ROOM),
    # ---- network device: setting up receive buffers ----
    Clause(_V + "5.1.6.3.1", "driver",
           "Without MRG_RXBUF and with a GUEST_TSO, UFO or USO feature, receive buffers should "
           "take the header and the largest GSO packet.", ("S39",), _ROOM),
    Clause(_V + "5.1.6.3.1", "driver",
           "Without MRG_RXBUF and without such a feature, receive buffers should take the header "
           "and a full Ethernet frame.", ("S39",), _ROOM),
    Clause(_V + "5.1.6.3.1", "driver",
           "With MRG_RXBUF every buffer has room for the header at least.", ("S39",)),
    Clause(_V + "5.1.6.3.1", "driver",
           "The header's size follows from the negotiated features alone: 12 bytes, or 20 with "
           "HASH_REPORT.", ("S36", "S31"),
           "a wrong size moves the packet's first byte or its metadata; tunnel and IPsec headers, "
           "which are newer, are in no era"),
    Clause(_V + "5.1.6.3.1", "driver",
           "With MQ each receive queue in use should have buffers.", ("S45",)),
    Clause(_V + "5.1.6.3.2", "device",
           "num_buffers is the number of buffers that hold the packet.", (), _KEPT),
    Clause(_V + "5.1.6.3.2", "device",
           "Without MRG_RXBUF a packet takes one buffer.", ("S34",),
           "that the driver takes only one is checked; what the device writes is the program's"),
    # ---- network device: processing of incoming packets ----
    Clause(_V + "5.1.6.4.1", "device",
           "num_buffers is 1 without MRG_RXBUF, else the number of buffers of packet and header.",
           ("S34",), "that the driver takes so many and not more is checked"),
    Clause(_V + "5.1.6.4.1", "device",
           "All buffers of a packet but its last are filled to the end.", (), _KEPT),
    Clause(_V + "5.1.6.4.1", "device",
           "The buffers of a packet become visible together.", ("S35",),
           "what the driver does with a packet cut short is checked: it must find the next header"),
    Clause(_V + "5.1.6.4.1", "device",
           "Without GUEST_CSUM the header's flags are zero.", (), _KEPT),
    Clause(_V + "5.1.6.4.1", "device",
           "A gso_type is set only if its GUEST feature was negotiated; without any it is NONE.",
           (), _KEPT),
    Clause(_V + "5.1.6.4.1", "device",
           "TCP segments with ECN are handed over only with GUEST_ECN, and marked.", (), _KEPT),
    Clause(_V + "5.1.6.4.1", "device",
           "NEEDS_CSUM comes with a csum_start and a csum_offset that complete the packet's "
           "checksum.", ("S28",),
           "the driver must refuse a checksum outside of the linear packet, whoever asks for it"),
    Clause(_V + "5.1.6.4.1", "device",
           "A gso_type other than NONE comes with NEEDS_CSUM and a gso_size.", ("S29", "S30"),
           "the driver must refuse a GSO packet whose size makes no sense"),
    Clause(_V + "5.1.6.4.1", "device",
           "RSC_INFO is set with RSC_EXT only, and then turns the checksum fields into counts.", (),
           "RSC_EXT is not among the features of a program: Linux never negotiates it; " + _KEPT),
    Clause(_V + "5.1.6.4.1", "device",
           "hdr_len is at least the length of the headers, if a GUEST segmentation feature is on.",
           (), _KEPT),
    Clause(_V + "5.1.6.4.1", "device",
           "DATA_VALID is set only on packets whose checksum the device has verified.", (),
           _KEPT + "; payload has no checksum that could be wrong"),
    Clause(_V + "5.1.6.4.2", "driver",
           "Flag bits that the driver does not know have no effect.", ("S31",)),
    Clause(_V + "5.1.6.4.2", "driver",
           "csum_start and csum_offset are used only with NEEDS_CSUM and without RSC_INFO.",
           ("S31", "S28"),
           "RSC_INFO has no meaning to any era's driver, since none negotiates RSC_EXT"),
    Clause(_V + "5.1.6.4.2", "driver",
           "hdr_len is a hint, and nothing may depend on its being right.", ("S36", "S33", "S7"),
           "no era's receive path reads it; a read that trusted it would leave what was written"),
    Clause(_V + "5.1.6.4.2", "driver",
           "Without NEEDS_CSUM and DATA_VALID no checksum is taken for right.", ("S31",)),
    Clause(_V + "5.1.6.4.2", "driver",
           "Packets with contradictory tunnel flags are not accepted.", (),
           "UDP tunnel offloads came after the newest era"),
    Clause(_V + "5.1.6.4.4", "device",
           "With HASH_REPORT the header has the packet's hash and its type.", ("S31",),
           "that the driver passes on what the header says is checked; the device's arithmetic is "
           "the program's"),
    # ---- network device: receive filter ----
    Clause(_V + "5.1.6.5.1", "driver",
           "What a device passes although the driver did not ask for it does no harm.", ("S36",),
           "the rig's device does not filter packets: all that arrive are delivered"),
    Clause(_V + "5.1.6.5.1", "driver",
           "The commands of promiscuous and of all-multicast mode have one byte, 0 or 1.",
           ("S48",)),
    Clause(_V + "5.1.6.5.2", "driver",
           "The command of the table has the unicast addresses and then the others, each behind "
           "their number.", ("S48",), "that it is well formed is compared on real kernels"),
    Clause(_V + "5.1.6.5.2.1", "device", "The table is empty after a reset.", ("S48",),
           "the device does that; the driver has to say again what it wants"),
    # ---- network device: several queues ----
    Clause(_V + "5.1.6.5.5.1", "driver",
           "Virtqueues are set up before they are switched on.", ("S45", "S41"),
           "a queue in use without buffers or with a wrong NAPI state"),
    Clause(_V + "5.1.6.5.5.1", "driver",
           "The number of pairs asked for is at least 1 and at most what the device has.", (),
           "the device side of the control virtqueue is not modelled: a command has a result, no "
           "content"),
    Clause(_V + "5.1.6.5.5.2", "device",
           "After initialisation packets come on the first receive queue only, later on no queue "
           "beyond those in use.", (), _KEPT),
    # ---- split ring ----
    Clause(_V + "2.7.1", "driver", "The ring's parts are aligned.", (), _ADDRESSES),
    Clause(_V + "2.7.4.1", "device",
           "A device takes any arrangement of descriptors for the same bytes.", (),
           "the device of the rig reads any chain; what it makes of it is judged by what the "
           "driver posted (S6, S47)"),
    Clause(_V + "2.7.4.2", "driver",
           "Device-writable parts of a chain come behind the readable ones.", ("S47",),
           "a receive buffer has no readable part at all: a descriptor without the write flag "
           "fires"),
    Clause(_V + "2.7.4.2", "driver",
           "A buffer should not have more descriptors than it needs.", ("S14", "S47"),
           "only the upper bound can be judged"),
    Clause(_V + "2.7.5.1", "device",
           "A device does not write to readable buffers, nor to the descriptor table.", ("S24",),
           "mappings have a direction; the rig's device never writes descriptors"),
    Clause(_V + "2.7.5.2", "driver",
           "A chain has at most 2^32 bytes and no loop.", ("S47",)),
    Clause(_V + "2.7.5.2", "driver",
           "With IN_ORDER the descriptors of a chain follow each other.", (), _NO_ORDER),
    Clause(_V + "2.7.5.3.1", "driver",
           "Indirect tables are used only if negotiated, do not nest, and are no part of a chain.",
           ("S47",),
           "only that the table is there and has writable parts is judged: the rig's device takes "
           "any table that it is shown"),
    Clause(_V + "2.7.5.3.1", "driver",
           "A chain, with what is behind an indirect descriptor, is not longer than the queue.",
           ("S47", "S14")),
    Clause(_V + "2.7.5.3.2", "device",
           "A device ignores the write flag of an indirect descriptor, and takes one behind a "
           "chain.",
           (), "the device of the rig does; the driver cannot tell"),
    Clause(_V + "2.7.6.1", "driver", "The available index never goes back.", ("S47",)),
    Clause(_V + "2.7.7.1", "driver",
           "The driver's flags are 0 or 1, and 0 with EVENT_IDX.", ("S41",),
           "judged as effect: while it polls, callbacks are off, however that is written"),
    Clause(_V + "2.7.7.1", "driver",
           "Notifications without a used buffer do no harm.", ("S43", "S41"),
           "op irq sends them at any time"),
    Clause(_V + "2.7.7.2", "device",
           "A device notifies when flags, or used_event, ask for it.", ("S45",),
           "ops decide when an interrupt comes; reception that would stop for good is the "
           "driver's"),
    Clause(_V + "2.7.8.2", "device",
           "len is written before the index, and that many bytes before both.", (), _KEPT),
    Clause(_V + "2.7.8.3", "driver",
           "Nothing is assumed about bytes of a buffer beyond len.", ("S7", "S33", "S36")),
    Clause(_V + "2.7.10.1", "driver", "The used ring's flags are 0 in a new ring.", (),
           "the world zeroes the memory of a new ring itself"),
    Clause(_V + "2.7.10.1", "driver",
           "A driver notifies the device when the used ring's flags, or avail_event, ask for it.",
           ("S47",)),
    Clause(_V + "2.7.10.2", "device",
           "The device's flags are 0 or 1, and 0 with EVENT_IDX; needless notifications do no "
           "harm.",
           (), _KEPT),
    Clause(_V + "2.7.13.3.1", "driver",
           "The descriptors are visible before the index that offers them.", (), _BARRIER),
    Clause(_V + "2.7.13.4.1", "driver",
           "The index is visible before the driver reads whether to notify.", (), _BARRIER),
    # ---- packed ring ----
    Clause(_V + "2.8.11", "driver", "The ring's parts are aligned.", (), _ADDRESSES),
    Clause(_V + "2.8.12", "device",
           "Descriptors are begun in ring order, and written back as they complete.", (), _KEPT),
    Clause(_V + "2.8.15", "device",
           "A descriptor is used only once its available bit has changed, and left alone after its "
           "used bit has.", (),
           "the rig's device keeps both with each profile: op bad_used writes wrong ids and "
           "lengths, "
           "not wrong flags"),
    Clause(_V + "2.8.16", "driver",
           "A descriptor is changed only once its used bit has changed, and left alone after its "
           "available bit has.", ("S47",),
           "seen when the device meets a descriptor that belongs to no buffer in flight"),
    Clause(_V + "2.8.16", "driver",
           "A notification names the next free descriptor and the wrap bit.", (),
           "NOTIFICATION_DATA is not among the features of a program: a kick has no content"),
    Clause(_V + "2.8.17", "driver",
           "A list is not longer than the queue, has no loop, and has its writable parts last.",
           ("S47",)),
    Clause(_V + "2.8.17", "driver",
           "There is room for the whole list before its first descriptor is made available.",
           ("S47",), "seen in the count of free descriptors, and where a list runs into another"),
    Clause(_V + "2.8.17", "driver",
           "The first descriptor of a list becomes available after the others.", ("S47",), "seen "
           "when the device reads the list, which is between two ops"),
    Clause(_V + "2.8.18", "device", "A device uses a chained list in its order.", (), _KEPT),
    Clause(_V + "2.8.19", "driver",
           "Indirect tables are used only if negotiated, have no flag but the write flag, and "
           "are no "
           "part of a list.", ("S47",),
           "only that the table is there and has writable parts is judged: the rig's device takes "
           "any table that it is shown"),
    Clause(_V + "2.8.21.1.1", "driver",
           "A descriptor's fields are visible before the flags that offer it.", (), _BARRIER),
    Clause(_V + "2.8.21.3.1", "driver",
           "The flags are visible before the driver reads the device's event suppression.", (),
           _BARRIER),
)
