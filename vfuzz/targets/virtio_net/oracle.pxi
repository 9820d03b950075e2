# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of reception: what the device delivered against what the stack was given.

It knows the device's side (origins, packets) and the specification, and never looks at quirks. The
model calls it at four places: a header is read, an skb's head was filled, an skb goes to the stack,
a packet is done with.
"""

cdef enum:
    CONSUMED_MAX = 4096

cdef struct Origin:             # one buffer that the device completed
    uint8_t hdr[20]             # vnet header as written, if it is the first of its packet
    bint first
    uint8_t queue
    uint16_t inet               # J_inet: what its first bytes are, 0 a pattern
    int packet
    int index                   # place in its packet, from 0
    uint32_t used               # used length
    uint32_t written            # bytes really written
    uint64_t serial             # order of publication in its queue

cdef struct Packet:
    int num_buffers             # as its header declares
    int n                       # entries so far
    bint taken                  # its first buffer was consumed as a first buffer
    bint short_first
    uint64_t visible            # entries of the queue that were published when it was taken

cdef struct Oracle:
    int n_consumed              # used entries that the running receive_buf() took
    int n_delivered             # skbs to the stack in it
    uint32_t longest            # what its first buffer may be used for, from AF_XDP memory
    bint zero_copy              # its queue has an AF_XDP socket
    bint conforming

cdef Oracle J
cdef enum:
    ORIGIN_PROGRAM = ORIGINS_MAX    # bytes that the XDP program wrote: no number of the device's

cdef Origin J_origins[ORIGINS_MAX + 1]
cdef Packet J_packets[ORIGINS_MAX]
cdef int32_t J_consumed[CONSUMED_MAX]
cdef uint32_t J_consumed_len[CONSUMED_MAX]


cdef inline void oracle_reset(bint conforming) noexcept nogil:
    J.n_consumed = 0
    J.n_delivered = 0
    J.zero_copy = False
    J.longest = 0xFFFFFFFF
    J.conforming = conforming


cdef inline void on_consumed(int queue, int origin, uint32_t len) noexcept nogil:
    """Hook of sim/virtqueue.pxi: the driver took a used entry."""
    if J.n_consumed < CONSUMED_MAX:
        J_consumed[J.n_consumed] = origin
        J_consumed_len[J.n_consumed] = len
        J.n_consumed += 1


cdef inline uint8_t origin_byte(int origin, uint32_t at) noexcept nogil:
    """The byte that `origin` wrote at its offset `at`: header values as given, payload a pattern
    with a plausible Ethernet header."""
    cdef const Origin* o
    cdef uint32_t hdr_len
    if origin == 0:
        return 0xAA
    if origin == ORIGIN_CPU:
        return 0
    o = &J_origins[origin]
    if o.first:
        hdr_len = vi.hdr_len
        if at < hdr_len:
            return o.hdr[at]
        at -= hdr_len
        if o.inet:
            return J_inet[o.inet].bytes[at] if at < J_inet[o.inet].len else payload_byte(origin, at)
        if at == 12:
            return 0x08
        if at == 13:
            return 0x00
    elif unlikely(o.inet and at < J_inet[o.inet].len):
        return J_inet[o.inet].bytes[at]
    return payload_byte(origin, at)


cdef inline uint8_t payload_byte(int origin, uint32_t at) noexcept nogil:
    return <uint8_t>(origin * 31 + at * 7 + 1)


cdef inline uint32_t origin_headers(int origin) noexcept nogil:
    """So many of the origin's first bytes are not its pattern's."""
    cdef const Origin* o = &J_origins[origin]
    if origin <= ORIGIN_CPU:
        return 0
    if o.inet:
        return J_inet[o.inet].len + (vi.hdr_len if o.first else 0)
    return vi.hdr_len + ETH_HLEN if o.first else 0


cdef inline void hdr_copy(uint8_t* out, const uint8_t* hdr, uint32_t size) noexcept nogil:
    """memcpy() without a call, for the sizes that are read."""
    if size == 2:
        memcpy(out, hdr, 2)
    elif size == 1:
        out[0] = hdr[0]
    elif 8 <= size <= 24:
        # 10, 12 or 20: the pieces overlap
        memcpy(out, hdr, 8)
        if size > 16:
            memcpy(out + 8, hdr + 8, 8)
        memcpy(out + size - 8, hdr + size - 8, 8)
    else:
        memcpy(out, hdr, size)


cdef always_void hdr_read(uint64_t addr, uint32_t size, uint8_t* out, site_t site) noexcept nogil:
    """The driver reads `size` bytes of a vnet header at addr. S35: a header is parsed only from a
    first buffer, unless the device itself left the driver no choice."""
    cdef int f = frame_of(addr)
    cdef uint32_t offset = offset_of(addr)
    cdef uint32_t i
    cdef int x
    cdef const Origin* o
    if unlikely(E.runs != 0):
        violation(CHECK_S32, site, b"packet", 0,
                  b"the vnet header is read after the program ran", 0, 0, 0)
    check_read_here(addr, size, site)
    x = extent_at(f, offset)
    if likely(x and M_extents[x].start <= offset and M_extents[x].end >= offset + size
              and M_extents[x].origin > ORIGIN_CPU):
        o = &J_origins[M_extents[x].origin]
        i = M_extents[x].at + (offset - M_extents[x].start)
        if likely(o.first and i + size <= 20):
            hdr_copy(out, &o.hdr[i], size)
            return
    hdr_read_bytes(f, offset, size, x, out, site)


cdef apart_void hdr_read_bytes(int f, uint32_t offset, uint32_t size, int x, uint8_t* out,
                               site_t site) noexcept nogil:
    """hdr_read() of what is not, or not only, a header that the device wrote. x: extent_at()."""
    cdef uint32_t i
    cdef const Origin* o
    cdef const Packet* k
    if (x and M_extents[x].start <= offset and M_extents[x].end >= offset + size
            and M_extents[x].origin > ORIGIN_CPU):
        o = &J_origins[M_extents[x].origin]
        i = M_extents[x].at + (offset - M_extents[x].start)
        k = &J_packets[o.packet]
        if unlikely(not o.first and i == 0 and M_extents[x].origin == J_consumed[0]
                    and k.taken and not k.short_first and o.index < k.num_buffers
                    and o.serial < k.visible):
            violation(CHECK_S35, site, b"packet", o.packet,
                      b"vnet header read from buffer %lld of packet %lld, which has %lld", o.index,
                      o.packet, k.num_buffers)
    for i in range(size):
        while x and M_extents[x].end <= offset + i:
            x = M_extents[x].next
        if x and M_extents[x].start <= offset + i:
            out[i] = origin_byte(M_extents[x].origin,
                                 M_extents[x].at + (offset + i - M_extents[x].start))
        else:
            out[i] = 0xAA
            O.header_unknown = True


cdef inline void judge_copy(int s, uint32_t whole, uint32_t metasize) noexcept nogil:
    """S18: a copied head holds the whole first buffer if that fits, else the Ethernet header and
    what metadata is in front of it."""
    cdef Skb* p = &K_skbs[s]
    cdef uint32_t room = p.end - p.data
    cdef uint32_t expected = whole if whole <= room else ETH_HLEN + metasize
    if unlikely(p.tail - p.data != expected):
        violation(CHECK_S18, b"judge_copy:len", b"skb", s,
                  b"%lld of %lld bytes copied into the head, the rule says %lld", p.tail - p.data,
                  whole, expected)


cdef always_void judge_bytes(int s) noexcept nogil:
    """S36, S33: the skb's bytes are those of the consumed buffers, in order, nothing else."""
    cdef int n = skb_pieces(s, b"judge_bytes:pieces")
    cdef int i, k = 0
    cdef uint32_t at = vi.hdr_len, got, size, have
    cdef const Origin* o
    if likely(n == 1 and J.n_consumed == 1 and K_pieces[0].origin == J_consumed[0]
              and K_pieces[0].at == at and at + K_pieces[0].size == J_consumed_len[0]
              and J_consumed_len[0] <= J_origins[J_consumed[0]].written):
        # the usual packet: all that was written behind the header of its one buffer
        step(b"judge_bytes:walk")
        return
    for i in range(n):
        got = 0
        while got < K_pieces[i].size:
            step(b"judge_bytes:walk")
            while k < J.n_consumed and at >= J_consumed_len[k]:
                k += 1
                at = 0
            if unlikely(k >= J.n_consumed):
                violation(CHECK_S36, b"judge_bytes:too_long", b"skb", s,
                          b"skb of %lld bytes is longer than what the device returned",
                          K_skbs[s].len, 0, 0)
            o = &J_origins[J_consumed[k]]
            size = min(K_pieces[i].size - got, J_consumed_len[k] - at)
            if at < o.written:
                # what the device wrote must be there; what it only claimed is its own affair
                have = min(size, o.written - at)
                if unlikely(K_pieces[i].origin == 0):
                    violation(CHECK_S33, b"judge_bytes:unwritten", b"skb", s,
                              b"byte %lld of buffer %lld of the packet was never written", at, k, 0)
                if unlikely(K_pieces[i].origin != J_consumed[k]
                            or K_pieces[i].at + got != at):
                    violation(CHECK_S36, b"judge_bytes:content", b"skb", s,
                              b"byte %lld of buffer %lld of the packet comes from elsewhere "
                              b"(origin %lld)", at, k, K_pieces[i].origin)
                size = have
            at += size
            got += size
    while k < J.n_consumed and at >= J_consumed_len[k]:
        k += 1
        at = 0
    if unlikely(k < J.n_consumed):
        violation(CHECK_S36, b"judge_bytes:too_short", b"skb", s,
                  b"skb of %lld bytes ends in buffer %lld of the packet at %lld", K_skbs[s].len, k,
                  at)


cdef always_void judge_metadata(int s) noexcept nogil:
    """S28..S31: checksum, GSO and hash metadata describe the bytes as the header says."""
    cdef Skb* p = &K_skbs[s]
    cdef const Origin* o = &J_origins[J_consumed[0]]
    cdef uint8_t flags, type
    cdef uint32_t start, transport, header
    cdef uint8_t expected = CHECKSUM_NONE
    if not o.first or o.written < vi.hdr_len:
        return
    flags = o.hdr[0]
    type = o.hdr[1] & <uint8_t>~HDR_GSO_ECN
    if flags & HDR_F_NEEDS_CSUM:
        expected = CHECKSUM_PARTIAL
    elif flags & HDR_F_DATA_VALID:
        expected = CHECKSUM_UNNECESSARY
    if unlikely(p.ip_summed == CHECKSUM_UNNECESSARY and not vi.rxcsum):
        violation(CHECK_S31, b"judge_metadata:rxcsum", b"skb", s,
                  b"a checksum is said to be verified, by a device that is said to verify none", 0,
                  0, 0)
    if unlikely(p.ip_summed != expected):
        violation(CHECK_S31, b"judge_metadata:ip_summed", b"skb", s,
                  b"ip_summed %lld, the header's flags %lld mean %lld", p.ip_summed, flags,
                  expected)
    start = 0
    if p.ip_summed == CHECKSUM_PARTIAL:
        start = p.csum_start - p.data
        if unlikely(start != hdr_u16(o.hdr, 6) or p.csum_offset != hdr_u16(o.hdr, 8)):
            violation(CHECK_S31, b"judge_metadata:csum_start", b"skb", s,
                      b"checksum at %lld+%lld, the header says start %lld", start, p.csum_offset,
                      hdr_u16(o.hdr, 6))
        if unlikely(start + p.csum_offset + 2 > skb_headlen(p)):
            violation(CHECK_S28, b"judge_metadata:csum_end", b"skb", s,
                      b"checksum at %lld+%lld lies behind the %lld linear bytes", start,
                      p.csum_offset, skb_headlen(p))
        if unlikely(start < (IPV6_HLEN if type == HDR_GSO_TCPV6 else IP_HLEN)):
            violation(CHECK_S28, b"judge_metadata:csum_start_min", b"skb", s,
                      b"checksum start %lld lies inside the Ethernet and network headers", start,
                      0, 0)
    if unlikely(type == HDR_GSO_NONE and (p.gso_type != 0 or p.gso_size != 0)):
        violation(CHECK_S31, b"judge_metadata:gso_none", b"skb", s,
                  b"GSO type %lld size %lld on a packet without GSO", p.gso_type, p.gso_size, 0)
    if unlikely(p.gso_type == 0 and type != HDR_GSO_NONE and flags & HDR_F_NEEDS_CSUM):
        judge_no_gso(s, type, max(<uint32_t>hdr_u16(o.hdr, 4), <uint32_t>TCP_MIN_GSO_SIZE))
    if p.gso_type:
        if unlikely(p.gso_size == 0):
            violation(CHECK_S29, b"judge_metadata:gso_size", b"skb", s,
                      b"GSO packet of %lld bytes with gso_size 0", p.len, 0, 0)
        if type == HDR_GSO_TCPV4 or type == HDR_GSO_TCPV6:
            header = TCP_HLEN
        elif type == HDR_GSO_UDP_L4:
            header = UDP_HLEN
        else:
            header = 0
        transport = start + header
        if unlikely(p.len <= transport or p.len - transport <= p.gso_size):
            violation(CHECK_S29, b"judge_metadata:gso_payload", b"skb", s,
                      b"GSO packet with %lld bytes of payload and gso_size %lld",
                      p.len - transport, p.gso_size, 0)
        if unlikely((p.len - transport + p.gso_size - 1) / p.gso_size > 65535):
            violation(CHECK_S30, b"judge_metadata:ufo_segs" if type == HDR_GSO_UDP
                      else b"judge_metadata:gso_segs", b"skb", s,
                      b"%lld bytes at gso_size %lld are more than 65535 segments",
                      p.len - transport, p.gso_size, 0)
        if unlikely(p.ip_summed == CHECKSUM_PARTIAL
                    and (type == HDR_GSO_TCPV4 or type == HDR_GSO_TCPV6)
                    and p.csum_offset != TCP_CHECK_OFFSET):
            violation(CHECK_S28, b"judge_metadata:csum_offset", b"skb", s,
                      b"TCP GSO packet with its checksum at offset %lld", p.csum_offset, 0, 0)
        if type == HDR_GSO_UDP_L4:
            if unlikely(p.ip_summed != CHECKSUM_PARTIAL or p.csum_offset != UDP_CHECK_OFFSET):
                violation(CHECK_S28, b"judge_metadata:uso_csum", b"skb", s,
                          b"UDP_L4 packet with ip_summed %lld, checksum at offset %lld",
                          p.ip_summed, p.csum_offset, 0)
            if unlikely((p.len - transport + p.gso_size - 1) / p.gso_size > UDP_MAX_SEGMENTS):
                violation(CHECK_S30, b"judge_metadata:uso_segs", b"skb", s,
                          b"%lld bytes at gso_size %lld are more than %lld UDP segments",
                          p.len - transport, p.gso_size, UDP_MAX_SEGMENTS)
    if vi.rxhash and vi.has_rss_hash_report:
        if unlikely(p.hash != hdr_u32(o.hdr, 12)):
            violation(CHECK_S31, b"judge_metadata:hash", b"skb", s,
                      b"hash %lld, the header says %lld", p.hash, hdr_u32(o.hdr, 12), 0)
    elif unlikely(p.hash != 0 or p.hash_type != 0):
        violation(CHECK_S31, b"judge_metadata:hash_unasked", b"skb", s,
                  b"hash %lld though none was negotiated", p.hash, 0, 0)


cdef apart_void judge_no_gso(int s, uint8_t type, uint32_t size) noexcept nogil:
    """S31: a packet whose header says GSO is none, though it has more than one segment."""
    cdef const Skb* p = &K_skbs[s]
    cdef uint32_t transport = p.csum_start - p.data
    if type == HDR_GSO_TCPV4 or type == HDR_GSO_TCPV6:
        transport += TCP_HLEN
    elif type == HDR_GSO_UDP_L4:
        transport += UDP_HLEN
    if unlikely(p.len > transport and p.len - transport > size):
        violation(CHECK_S31, b"judge_no_gso:lost", b"skb", s,
                  b"a packet of %lld bytes and GSO type %lld is taken for one segment", p.len,
                  type, 0)


cdef apart_void judge_delivered(ReceiveQueue* rq, int s) noexcept nogil:
    """An skb is about to reach the stack."""
    cdef uint32_t memory
    J.n_delivered += 1
    if unlikely(A.prog != 0):
        if E.runs == 0:
            judge_unseen(rq)
        judge_xdp_skb(s)
    else:
        judge_bytes(s)
    memory = skb_memory(s, b"judge_delivered:memory")
    if unlikely(K_skbs[s].truesize < memory):
        violation(CHECK_S17, truesize_site(s), b"skb", s,
                  b"truesize %lld, it keeps %lld bytes of memory", K_skbs[s].truesize, memory, 0)
    if likely(A.prog == 0):
        if unlikely(J.zero_copy):
            judge_xsk_metadata(s)
        judge_metadata(s)
    if unlikely(J_origins[J_consumed[0]].inet or E.runs and K_skbs[s].ip_summed
                == CHECKSUM_PARTIAL):
        judge_inet(s)


cdef inline void packet_begin() noexcept nogil:
    """The receive loop is about to take the next used buffer."""
    J.n_consumed = 0
    J.n_delivered = 0


cdef void packet_taken(ReceiveQueue* rq) noexcept nogil:
    """The first buffer of a packet is in the driver's hands: the others it declares are its own."""
    cdef const Origin* o = &J_origins[J_consumed[0]]
    cdef Packet* k
    if o.first:
        k = &J_packets[o.packet]
        k.taken = True
        k.short_first = J_consumed_len[0] < vi.hdr_len + ETH_HLEN
        k.visible = V_vqs[rq.index].published


cdef always_void packet_end(ReceiveQueue* rq, const RqStats* was, const RqStats* now,
                            uint64_t len_errors, uint64_t frame_errors) noexcept nogil:
    """receive_buf() is done with one packet: S34 buffers eaten, S43 what was counted.

    was/now: the poll's statistics before and after; *_errors: how much the device's grew.
    """
    cdef const Origin* o = &J_origins[J_consumed[0]]
    # neither is looked at any further: a length error, and that is all
    cdef bint short_ = (J_consumed_len[0] < vi.hdr_len + ETH_HLEN
                        or J_consumed_len[0] > J.longest)
    cdef int expected = 1, i
    cdef uint64_t drops = now.drops - was.drops
    cdef uint64_t outcome
    cdef uint64_t bytes = 0
    if o.first and vi.mergeable_rx_bufs and not short_ and o.written >= vi.hdr_len:
        expected = max(1, <int>hdr_u16(o.hdr, 10))
    elif vi.mergeable_rx_bufs and not short_:
        expected = 0x10000      # the device wrote no header: whatever memory says was followed
    if unlikely(J.n_consumed > expected):
        violation(CHECK_S34, b"packet_end:consumed" if hdr_u16(o.hdr, 10) == 0
                  else b"packet_end:foreign", b"packet", o.packet,
                  b"%lld buffers consumed for a packet of %lld", J.n_consumed, expected, 0)
    if unlikely(A.prog != 0):
        if not short_:
            packet_end_xdp(rq, was, now, frame_errors)
        packet_over(rq.index)
        if not short_:
            return
    outcome = drops + frame_errors + <uint64_t>J.n_delivered
    if short_:
        if unlikely(outcome != 0 or len_errors != 1):
            violation(CHECK_S43, b"packet_end:short", b"rq", rq.index,
                      b"short frame: %lld drops and deliveries, %lld length errors", outcome,
                      len_errors, 0)
    elif unlikely(outcome != 1):
        violation(CHECK_S43, b"packet_end:xsk_lost" if J.zero_copy and outcome == 0
                  else b"packet_end:outcome", b"rq", rq.index,
                  b"a packet was counted %lld times (drops %lld, frame errors %lld)", outcome,
                  drops, frame_errors)
    if unlikely(len_errors > 2):
        violation(CHECK_S43, b"packet_end:length_errors", b"rq", rq.index,
                  b"one packet counted %lld length errors", len_errors, 0, 0)
    if J.n_delivered or frame_errors:
        for i in range(J.n_consumed):
            bytes += J_consumed_len[i]
        if unlikely(now.bytes - was.bytes != bytes - vi.hdr_len):
            violation(CHECK_S43, b"packet_end:bytes", b"rq", rq.index,
                      b"packet of %lld bytes counted as %lld", bytes - vi.hdr_len,
                      now.bytes - was.bytes, 0)
    if unlikely(J.conforming and J.n_delivered == 0 and W.faults_fired == 0 and not M.exhausted):
        violation(CHECK_S43, b"packet_end:xsk_partial" if J.zero_copy and frame_errors
                  and o.hdr[0] & HDR_F_NEEDS_CSUM else b"packet_end:lost", b"rq", rq.index,
                  b"a valid packet of %lld bytes was lost (drops %lld, frame errors %lld)",
                  J_consumed_len[0], drops, frame_errors)


cdef apart_void judge_room(int q, uint32_t need) noexcept nogil:
    """A conforming device has no room for a packet that it may send (5.1.4.2, 5.1.6.3.1). S39: the
    one buffer that a packet may have is too short; or a full ring is, though one of buffers that
    are as long as XDP leaves them would take any packet."""
    cdef const Vq* vq = &V_vqs[q]
    cdef uint32_t page = PAGE_SIZE - skb_data_align(XDP_PACKET_HEADROOM + SHINFO_SIZE)
    if not vi.mergeable_rx_bufs:
        violation(CHECK_S39, b"judge_room:zero_copy" if xsk_bound(q) else b"judge_room:single",
                  b"virtqueue", q,
                  b"queue %lld has no room for a packet of %lld bytes that the device may send", q,
                  need - vi.hdr_len, 0)
    elif (vq.num_free == 0 and vq.n_out == vq.num
            and longest_packet() + vi.hdr_len <= <uint32_t>vq.num * (page - vi.hdr_len)):
        violation(CHECK_S39, b"judge_room:zero_copy" if xsk_bound(q)
                  else b"judge_room:resized" if <uint32_t>vq.num != vi.ring_num
                  else b"judge_room:mergeable", b"virtqueue", q,
                  b"a full ring of %lld has no room for a packet of %lld bytes that the device "
                  b"may send", vq.num, need - vi.hdr_len, 0)
