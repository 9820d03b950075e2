# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""What a traced run says of each op beyond its result: what a real driver could be asked for too.

Rings as the device sees them, statistics as ethtool shows them, and the packets that the stack got,
as a packet socket with PACKET_VNET_HDR and PACKET_AUXDATA would: number, CRC-32 of all bytes,
CRC-32 of their metadata.
Nothing here runs unless the run is traced.
"""

cdef struct Observed:           # of the running op
    uint32_t packets
    uint32_t bytes_crc
    uint32_t meta_crc
    bint unknown                # some byte is one that nobody wrote
    bint header_unknown         # and the driver took it for a header's
    uint32_t frame_bytes        # of XDP frames that left
    uint32_t frame_crc
    bint frame_unknown
    uint32_t taken              # packets that the user took from a receive ring
    uint32_t taken_bytes
    uint32_t taken_crc
    uint32_t taken_at           # CRC-32 of their chunks, places in them, and lengths
    bint taken_unknown

cdef Observed O


cdef cold_void observe_reset() noexcept nogil:
    memset(&O, 0, sizeof(O))


cdef uint32_t crc_bytes(uint32_t crc, const uint8_t* bytes, int n) noexcept nogil:
    """A CRC-32, and behind what it is of `n` bytes."""
    return ~crc_many(~crc, bytes, <uint32_t>n)


cdef uint32_t crc_pieces(uint32_t crc, int n, bint* unknown) noexcept nogil:
    """The same with the bytes of K_pieces[0..n). unknown: set where nobody wrote some of them."""
    cdef int i
    cdef uint32_t k
    crc = ~crc
    for i in range(n):
        if K_pieces[i].origin <= ORIGIN_CPU:
            unknown[0] = True
        for k in range(K_pieces[i].size):
            crc = crc_byte(crc, origin_byte(K_pieces[i].origin, K_pieces[i].at + k))
    return ~crc


cdef cold_void observe_packet(int s) noexcept nogil:
    """The stack lets go of an skb: a process reads it, Ethernet header and all."""
    cdef Skb* p = &K_skbs[s]
    p.data -= ETH_HLEN
    p.len += ETH_HLEN
    observe_skb(s)
    p.data += ETH_HLEN
    p.len -= ETH_HLEN


cdef cold_void observe_skb(int s) noexcept nogil:
    cdef Skb* p = &K_skbs[s]
    cdef uint8_t meta[18]
    memset(meta, 0, sizeof(meta))
    O.packets += 1
    if p.gso_size:
        put_u16(meta + 2, min(skb_headlen(p), <uint32_t>0xFFFF))
        put_u16(meta + 4, p.gso_size)
        if p.gso_type & SKB_GSO_TCPV4:
            meta[1] = HDR_GSO_TCPV4
        elif p.gso_type & SKB_GSO_TCPV6:
            meta[1] = HDR_GSO_TCPV6
        elif p.gso_type & SKB_GSO_UDP_L4 and era_6_12():
            meta[1] = HDR_GSO_UDP_L4
        else:
            # virtio_net_hdr_from_skb() knows no header for it: the socket says EINVAL instead
            memset(meta, 0xFF, 10)
            O.meta_crc = crc_bytes(O.meta_crc, meta, 10)
            return
        if p.gso_type & SKB_GSO_TCP_ECN:
            meta[1] |= HDR_GSO_ECN
    if p.ip_summed == CHECKSUM_PARTIAL:
        meta[0] = HDR_F_NEEDS_CSUM
        put_u16(meta + 6, p.csum_start - p.data)
        put_u16(meta + 8, p.csum_offset)
        meta[10] = 1 << 3           # TP_STATUS_CSUMNOTREADY
    elif p.ip_summed == CHECKSUM_UNNECESSARY:
        meta[0] = HDR_F_DATA_VALID
        meta[10] = 1 << 7           # TP_STATUS_CSUM_VALID
    put_u16(meta + 14, p.len)
    put_u16(meta + 16, p.len >> 16)
    O.meta_crc = crc_bytes(O.meta_crc, meta, 18)
    O.bytes_crc = crc_pieces(O.bytes_crc, skb_pieces(s, b"observe_packet:pieces"), &O.unknown)


cdef cold_void observe_frame(int fr, uint32_t skip) noexcept nogil:
    """A frame's bytes behind the first `skip` leave: a device sends them, or a target has them."""
    cdef const XdpFrame* p = &X_frame[fr]
    cdef int i
    cdef int n = pieces_add(0, p.data + skip, p.len - skip, b"observe_frame:head")
    for i in range(p.nr_frags):
        n = pieces_add(n, addr_of(p.frags[i].page, p.frags[i].offset), p.frags[i].size,
                       b"observe_frame:frag")
    for i in range(n):
        O.frame_bytes += K_pieces[i].size
    O.frame_crc = crc_pieces(O.frame_crc, n, &O.frame_unknown)


cdef cold_void observe_frames() noexcept nogil:
    obs(b"frame_bytes", O.frame_bytes)
    if not O.frame_unknown:
        obs(b"frame_crc", O.frame_crc)


cdef cold_void observe_chunk(int id) noexcept nogil:
    """The user takes a packet from the receive ring of an AF_XDP socket, and reads it."""
    cdef const Chunk* c = xsk_chunk(id)
    cdef uint8_t at[6]
    put_u16(at, (id - 1) % XSK_CHUNKS_MAX)
    put_u16(at + 2, <uint32_t>(c.data - xsk_chunk_addr(id)))
    put_u16(at + 4, c.len)
    O.taken_at = crc_bytes(O.taken_at, at, 6)
    O.taken += 1
    O.taken_bytes += c.len
    O.taken_crc = crc_pieces(O.taken_crc, pieces_add(0, c.data, c.len, b"observe_chunk:pieces"),
                             &O.taken_unknown)


cdef cold_void observe_socket(int q) noexcept nogil:
    """What the user of an AF_XDP socket sees of its rings, behind an op of AF_XDP."""
    if xsk_bound(q):
        obs(b"fill", Z_pools[q].n_fill + Z_pools[q].n_hidden)
        obs(b"ready", Z_pools[q].n_rx)
        obs(b"wakeup", Z_pools[q].rx_wakeup)
    if O.taken:
        obs(b"taken_bytes", O.taken_bytes)
        obs(b"taken_at", O.taken_at)
        if not O.taken_unknown:
            obs(b"taken_crc", O.taken_crc)


cdef cold_void observe_sockets() noexcept nogil:
    """XDP_STATISTICS, sums of all sockets. A wrong address in a fill ring counts nowhere:
    rx_invalid_descs is that of the other ring, where there is none."""
    cdef int i
    cdef uint64_t dropped = 0, full = 0, empty = 0
    cdef bint some = False
    for i in range(vi.max_queue_pairs):
        if Z_pools[i].live:
            some = True
            dropped += Z_pools[i].n_dropped
            full += Z_pools[i].n_full
            empty += Z_pools[i].n_empty
    if some:
        obs(b"xsk_dropped", dropped)
        obs(b"xsk_full", full)
        obs(b"xsk_empty", empty)
        obs(b"xsk_invalid", 0)


cdef cold_void observe_sq(int i) noexcept nogil:
    """What a send queue of XDP shows."""
    cdef const SendQueue* sq = &vi_sq[i]
    obs(b"tx0_num_free" if i == 0 else b"tx1_num_free" if i == 1 else b"tx2_num_free",
        sq.vq.num_free)
    obs(b"tx0_held" if i == 0 else b"tx1_held" if i == 1 else b"tx2_held",
        sq.vq.kicked - sq.vq.next)
    obs(b"tx0_packets" if i == 0 else b"tx1_packets" if i == 1 else b"tx2_packets",
        sq.stats.packets)
    obs(b"tx0_bytes" if i == 0 else b"tx1_bytes" if i == 1 else b"tx2_bytes", sq.stats.bytes)
    obs(b"tx0_xdp_tx" if i == 0 else b"tx1_xdp_tx" if i == 1 else b"tx2_xdp_tx", sq.stats.xdp_tx)
    obs(b"tx0_xdp_tx_drops" if i == 0 else b"tx1_xdp_tx_drops" if i == 1 else b"tx2_xdp_tx_drops",
        sq.stats.xdp_tx_drops)
    obs(b"tx0_kicks" if i == 0 else b"tx1_kicks" if i == 1 else b"tx2_kicks", sq.stats.kicks)


cdef int filter_seen() noexcept nogil:
    """The device's filter: modes, the user's addresses of both kinds, the group of the stack."""
    return <int>(dev_filter.promisc + 2 * dev_filter.allmulti + (dev_filter.unicast << 4)
                 + (dev_filter.multicast << 8))


cdef cold_void observe_memory() noexcept nogil:
    """What the packets that no process has read yet count against their socket's limit. Not with a
    packet that had a frag_list: its smallest head is as large as a kernel's configuration says. In
    7.2 all short heads are."""
    cdef int i
    cdef int64_t n = 0
    if S.n == 0:
        S.small_head = False
    for i in range(S.n):
        n += K_skbs[S_skbs[(S.head + i) & (STACK_MAX - 1)]].truesize
    if not S.small_head and not era_7_2():
        obs(b"pkt_mem", n)


cdef cold_void observe_packets() noexcept nogil:
    obs(b"pkts", O.packets)
    if O.packets:
        obs(b"pkt_meta", O.meta_crc)
        if not O.unknown:
            obs(b"pkt_bytes", O.bytes_crc)
    if O.header_unknown or M.exhausted or V.exhausted:
        # what nobody wrote, or what the simulation ran out of: a real one says something else
        obs(b"undefined", 1)
    observe_reset()


cdef cold_void observe_queue(int i) noexcept nogil:
    """What ethtool -S and the ring itself say of queue i; what the device holds of it."""
    cdef const Vq* vq = &V_vqs[i]
    cdef uint32_t h = 2166136261u
    cdef int k
    for k in range(vq.n_out):
        h = (h ^ vq.held[vq.out[k]].capacity) * <uint32_t>16777619
    obs(b"rx0_num_free" if i == 0 else b"rx1_num_free" if i == 1 else b"rx2_num_free",
        vq.num_free)
    obs(b"rx0_packets" if i == 0 else b"rx1_packets" if i == 1 else b"rx2_packets",
        vi_rq[i].stats.packets)
    obs(b"rx0_bytes" if i == 0 else b"rx1_bytes" if i == 1 else b"rx2_bytes", vi_rq[i].stats.bytes)
    obs(b"rx0_drops" if i == 0 else b"rx1_drops" if i == 1 else b"rx2_drops", vi_rq[i].stats.drops)
    obs(b"rx0_kicks" if i == 0 else b"rx1_kicks" if i == 1 else b"rx2_kicks", vi_rq[i].stats.kicks)
    obs(b"rx0_avail" if i == 0 else b"rx1_avail" if i == 1 else b"rx2_avail",
        (vq.dev_avail_idx | (<int>vq.dev_avail_wrap << 15)) if vq.packed else vq.avail_idx)
    obs(b"rx0_held" if i == 0 else b"rx1_held" if i == 1 else b"rx2_held", vq.n_out)
    obs(b"rx0_lens" if i == 0 else b"rx1_lens" if i == 1 else b"rx2_lens", h & 0x7FFFFFFF)
    obs(b"rx0_scheduled" if i == 0 else b"rx1_scheduled" if i == 1 else b"rx2_scheduled",
        vi_rq[i].napi.state == NAPI_SCHEDULED)
