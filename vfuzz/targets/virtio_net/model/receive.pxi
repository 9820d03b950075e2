# SPDX-License-Identifier: GPL-2.0-or-later
"""From a used buffer to an skb: receive_buf() and what it calls."""

cdef enum:
    HDR_F_NEEDS_CSUM = 1
    HDR_F_DATA_VALID = 2
    HDR_F_UDP_TUNNEL_CSUM = 8
    HDR_GSO_NONE = 0
    HDR_GSO_TCPV4 = 1
    HDR_GSO_UDP = 3
    HDR_GSO_TCPV6 = 4
    HDR_GSO_UDP_L4 = 5
    HDR_GSO_ECN = 0x80
    GSO_BY_FRAGS = 0xFFFF
    TCP_MIN_GSO_SIZE = 8
    UDP_MAX_SEGMENTS = 128
    TCP_HLEN = 20
    UDP_HLEN = 8
    IP_HLEN = 20
    IPV6_HLEN = 40
    TCP_CHECK_OFFSET = 16
    UDP_CHECK_OFFSET = 6
    PKT_HASH_TYPE_NONE = 0
    PKT_HASH_TYPE_L3 = 2
    PKT_HASH_TYPE_L4 = 3


cdef inline uint16_t hdr_u16(const uint8_t* hdr, int at) noexcept nogil:
    return <uint16_t>(hdr[at] | (hdr[at + 1] << 8))


cdef inline uint32_t hdr_u32(const uint8_t* hdr, int at) noexcept nogil:
    return (<uint32_t>hdr[at] | (<uint32_t>hdr[at + 1] << 8) | (<uint32_t>hdr[at + 2] << 16)
            | (<uint32_t>hdr[at + 3] << 24))


cdef inline uint32_t log2_u32(uint32_t value) noexcept nogil:
    cdef uint32_t n = 0
    while value:
        value >>= 1
        n += 1
    return n


cdef inline uint32_t napi_head_size(uint32_t size) noexcept nogil:
    """napi_alloc_skb(): what the head of so many bytes takes, shared info and all."""
    size += NET_SKB_PAD
    if era_7_2():
        # before it asks for a fragment of a page it looks whether __alloc_skb() has a small head
        if size <= SMALL_HEAD_CACHE_SIZE - SHINFO_SIZE:
            return SMALL_HEAD_CACHE_SIZE
    elif size <= SMALL_HEAD_SIZE - SHINFO_SIZE:
        return SMALL_HEAD_SIZE
    if size <= PAGE_SIZE - SHINFO_SIZE:
        return skb_data_align(size) + SHINFO_SIZE
    return kmalloc_size(skb_data_align(size) + SHINFO_SIZE)


# ---- page_to_skb() -----------------------------------------------------------------------------

cdef int page_to_skb(ReceiveQueue* rq, int page, uint32_t offset, uint32_t len, uint32_t truesize,
                     bint hdr_valid, uint32_t metasize, uint32_t headroom) noexcept nogil:
    """page_to_skb(): build on the page, or copy a small packet; 0 on failure, where the caller
    keeps the page. `offset`: of the vnet header; `len`: with it, and with metadata in linux-6.1,
    where a program may have run (hdr_valid: none did); `headroom`: bytes of the buffer in front."""
    cdef uint64_t hdr_p = addr_of(page, offset)
    cdef uint64_t head = hdr_p - headroom
    cdef uint32_t hdr_padded_len = vi.hdr_len if vi.mergeable_rx_bufs else PADDED_HDR_LEN
    cdef uint32_t copy, frag_size, whole
    cdef int tailroom, s, rest
    cdef bint page_to_free = False
    if unlikely(headroom != 0):
        if not era_6_12():
            truesize = PAGE_SIZE
        if quirk(QUIRK_A14):
            # acb16b395c3f: as if every buffer began with its page
            head = hdr_p & ~<uint64_t>(PAGE_SIZE - 1)
    len -= vi.hdr_len
    offset += hdr_padded_len
    tailroom = <int>truesize - <int>headroom - <int>hdr_padded_len - <int>len
    if quirk(QUIRK_A13) and not vi.mergeable_rx_bufs:
        # 1a8024239dac: took the header's own length for the padded one
        tailroom = <int>truesize - <int>vi.hdr_len - <int>len
    if len > GOOD_COPY_LEN and tailroom >= SHINFO_SIZE:
        s = build_skb(head, truesize, b"page_to_skb:build_skb")
        if s == 0:
            return 0
        skb_reserve(s, <uint32_t>(hdr_p - head) + hdr_padded_len, b"page_to_skb:reserve")
        skb_put(s, len, b"page_to_skb:put")
        # 7.2: a pool counts users in the same word
        rest = 0 if rq.page_pool else M_frames[page].private
        if quirk(QUIRK_G12):
            rest = page_private(page, b"page_to_skb:private")
        if rest and not quirk(QUIRK_B11):
            # afd92d82c9d7: the other pages of the chain are not part of this skb
            give_pages(rq, rest)
        event(0x2000)
    else:
        s = alloc_head_skb(napi_head_size(GOOD_COPY_LEN), NET_SKB_PAD,
                           b"page_to_skb:napi_alloc_skb")
        if s == 0:
            return 0
        whole = len
        if len <= skb_tailroom(&K_skbs[s]):
            copy = len
        else:
            # 0f6925b3e8da: payload stays out of the head
            copy = skb_tailroom(&K_skbs[s]) if quirk(QUIRK_F04) else ETH_HLEN + metasize
        skb_put_data(s, addr_of(page, offset), copy, b"page_to_skb:copy")
        judge_copy(s, whole, metasize)
        len -= copy
        offset += copy
        event(0x2100 + (len != 0))
        if vi.mergeable_rx_bufs:
            if len:
                skb_add_rx_frag(s, 0, page, offset, len, truesize, b"page_to_skb:frag")
            elif quirk(QUIRK_A12):
                # af39c8f72301: gave the page away and read the header from it afterwards
                rq_put_buf(rq, hdr_p, True, b"page_to_skb:put_early")
            else:
                page_to_free = True
        else:
            if not quirk(QUIRK_A08):
                if quirk(QUIRK_A03) and len > MAX_SKB_FRAGS * PAGE_SIZE:
                    kfree_skb(s, b"page_to_skb:too_much")
                    return 0
            while len:
                step(b"page_to_skb:frags")
                frag_size = min(<uint32_t>PAGE_SIZE - offset, len)
                skb_add_rx_frag(s, K_skbs[s].nr_frags, page, offset, frag_size, truesize,
                                b"page_to_skb:big_frag")
                len -= frag_size
                page = page_private(page, b"page_to_skb:chain")
                offset = 0
            event(0x2200 + K_skbs[s].nr_frags)
            if page:
                give_pages(rq, page)
    if likely(hdr_valid):
        hdr_read(hdr_p, vi.hdr_len, K_skbs[s].cb, b"page_to_skb:hdr")
    if page_to_free:
        rq_put_buf(rq, hdr_p, True, b"page_to_skb:put_page")
    if unlikely(metasize != 0):
        K_skbs[s].data += metasize
        K_skbs[s].len -= metasize
        if not quirk(QUIRK_D13):
            K_skbs[s].meta_len = <uint8_t>metasize
    return s


# ---- receive_small() ---------------------------------------------------------------------------

cdef always_int receive_small(ReceiveQueue* rq, uint64_t token, uint64_t ctx, uint32_t len,
                              RqStats* stats) noexcept nogil:
    """receive_small(): the skb's head is the buffer itself. ctx: its headroom for XDP."""
    cdef uint64_t buf = addr_of_token(token, b"receive_small:token")
    cdef uint32_t xdp_headroom = (mergeable_ctx_to_headroom(ctx) if rq.page_pool
                                  else <uint32_t>ctx)
    cdef uint32_t headroom = vi.hdr_len + VIRTNET_RX_PAD + xdp_headroom
    cdef uint32_t buflen = skb_data_align(GOOD_PACKET_LEN + headroom) + SHINFO_SIZE
    cdef int s
    if rq.page_pool and not quirk(QUIRK_G13):
        buflen = mergeable_ctx_to_truesize(ctx)
    if era_6_12() and not quirk(QUIRK_D05):
        buf -= VIRTNET_RX_PAD + xdp_headroom
    len -= vi.hdr_len
    stats.bytes += len
    if len > GOOD_PACKET_LEN and not quirk(QUIRK_A05):
        vi.rx_length_errors += 1
    elif unlikely(vi.xdp_enabled) and rq.xdp_prog:
        return receive_small_xdp(rq, buf, xdp_headroom, len, buflen, stats)
    else:
        s = build_skb(buf, buflen, b"receive_small:build_skb")
        if s:
            skb_reserve(s, headroom, b"receive_small:reserve")
            skb_put(s, len, b"receive_small:put")
            hdr_read(buf + VIRTNET_RX_PAD + xdp_headroom, vi.hdr_len, K_skbs[s].cb,
                     b"receive_small:hdr")
            rq_mark_for_recycle(rq, s)
            return s
    stats.drops += 1
    rq_put_buf(rq, buf + VIRTNET_RX_PAD, True, b"receive_small:err")
    return 0


# ---- receive_big() -----------------------------------------------------------------------------

cdef always_int receive_big(ReceiveQueue* rq, uint64_t token, uint32_t len,
                            RqStats* stats) noexcept nogil:
    """receive_big(): the used length must fit what add_recvbuf_big() posted."""
    cdef int page = page_of_token(token, b"receive_big:token")
    cdef uint32_t max_len = ((<uint32_t>vi.big_packets_num_skbfrags + 1) * PAGE_SIZE
                             - PADDED_HDR_LEN + vi.hdr_len)
    cdef int s = 0
    if quirk(QUIRK_A04):
        # 9e5ad06ea826: whole pages, though the first one begins with the padded header
        max_len = (<uint32_t>vi.big_packets_num_skbfrags + 1) * PAGE_SIZE
    if len <= max_len or quirk(QUIRK_A03) or quirk(QUIRK_A08):
        s = page_to_skb(rq, page, 0, len, PAGE_SIZE, True, 0, 0)
        stats.bytes += len - vi.hdr_len
    if s == 0:
        stats.drops += 1
        give_pages(rq, page)
    return s


# ---- receive_mergeable() -----------------------------------------------------------------------

cdef always_u64 rq_get_buf(ReceiveQueue* rq, uint32_t* len, uint64_t* ctx,
                           site_t site) noexcept nogil:
    """virtnet_rq_get_buf(): the next used buffer; a premapped one is synced or unmapped."""
    cdef uint64_t token = virtqueue_get_buf(&V_vqs[rq.index], len, ctx, rq.index, site)
    if (token and rq.do_dma and not quirk(QUIRK_G06)
            and (not vi.big_packets or vi.mergeable_rx_bufs or quirk(QUIRK_B18))):
        virtnet_rq_unmap(rq, token, len[0])
    return token


cdef void mergeable_buf_free(ReceiveQueue* rq, int num_buf, RqStats* stats) noexcept nogil:
    """Drain what is left of a packet that is dropped: num_buf - 1 more buffers, as far as they are
    there."""
    cdef uint32_t len
    cdef uint64_t buf
    while True:
        step(b"mergeable_buf_free:loop")
        if num_buf <= 1:
            break
        num_buf -= 1
        buf = rq_get_buf(rq, &len, NULL, b"mergeable_buf_free:get")
        if buf == 0:
            vi.rx_length_errors += 1
            break
        stats.bytes += len
        rq_put_buf(rq, buf, True, b"mergeable_buf_free:put")


cdef int append_frag(ReceiveQueue* rq, int head, int curr, uint64_t buf, uint32_t len,
                     uint32_t truesize) noexcept nogil:
    """virtnet_skb_append_frag(): buf joins curr, or a new skb on head's frag_list; the skb that has
    it now, 0 where that could not be allocated."""
    cdef int page = frame_of(buf)
    cdef uint32_t offset = offset_of(buf)
    cdef int n = K_skbs[curr].nr_frags
    cdef int s
    if n == MAX_SKB_FRAGS:
        # alloc_skb(0): 6.1 takes a 512 byte kmalloc
        s = alloc_head_skb(SMALL_HEAD_CACHE_SIZE if era_6_12() else 512, 0,
                           b"append_frag:alloc_skb")
        if s == 0:
            return 0
        S.small_head = True
        if curr == head:
            K_skbs[curr].frag_list = s
        else:
            # uncovered: a third skb takes 35 buffers, and a ring has 32 at most
            K_skbs[curr].next = s
        curr = s
        K_skbs[head].truesize += K_skbs[s].truesize
        K_skbs[s].recycle = K_skbs[head].recycle and not quirk(QUIRK_G01)
        n = 0
        event(0x2300)
    if curr != head:
        K_skbs[head].data_len += len
        K_skbs[head].len += len
        K_skbs[head].truesize += truesize
    if skb_can_coalesce(&K_skbs[curr], n, page, offset):
        if quirk(QUIRK_G05) and rq.page_pool and not K_skbs[head].recycle:
            # its queue has a pool, so the page is said to be of that, and not asked
            page_pool_put_page(rq.page_pool, page, True, b"append_frag:pool")
        skb_coalesce_rx_frag(curr, n - 1, offset, len, truesize, b"append_frag:coalesce")
        event(0x2301)
    else:
        skb_add_rx_frag(curr, n, page, offset, len, truesize, b"append_frag:frag")
    return curr


cdef inline uint32_t mergeable_room(uint64_t ctx) noexcept nogil:
    """What of a context's truesize the packet may not have: none in linux-6.1, where truesize is
    without the room."""
    cdef uint32_t headroom = mergeable_ctx_to_headroom(ctx)
    return xdp_room(headroom) if unlikely(headroom != 0) and era_6_12() else 0


cdef always_int receive_mergeable_rest(ReceiveQueue* rq, int head, uint64_t buf, int num_buf,
                                       RqStats* stats) noexcept nogil:
    """The loop of receive_mergeable(): the other buffers of a packet join `head`, built of `buf`; 0
    there: it could not be built."""
    cdef uint32_t len, truesize
    cdef uint64_t ctx = 0
    cdef int curr = head
    while curr:
        step(b"receive_mergeable:loop")
        # R04: num_buffers 0 wraps, 16 bits wide in 6.1, an int later
        num_buf -= 1
        if num_buf < 0 and not era_6_12():
            num_buf = 0xFFFF
        if num_buf == 0:
            ewma_pkt_len_add(rq, K_skbs[head].len)
            return head
        buf = rq_get_buf(rq, &len, &ctx, b"receive_mergeable:get")
        if buf == 0:
            vi.rx_length_errors += 1
            stats.drops += 1
            kfree_skb(head, b"receive_mergeable:err_buf")
            return 0
        stats.bytes += len
        rq_sync(rq, buf, len)
        truesize = mergeable_ctx_to_truesize(ctx)
        if len > truesize - mergeable_room(ctx):
            vi.rx_length_errors += 1
            curr = 0
        else:
            curr = append_frag(rq, head, curr, buf, len, truesize)
    rq_put_buf(rq, buf, True, b"receive_mergeable:err_skb")
    mergeable_buf_free(rq, num_buf, stats)
    stats.drops += 1
    kfree_skb(head, b"receive_mergeable:kfree_skb")
    return 0


cdef always_int receive_mergeable(ReceiveQueue* rq, uint64_t token, uint64_t ctx, uint32_t len,
                                  RqStats* stats) noexcept nogil:
    """receive_mergeable(): head from the first buffer, the rest appended."""
    cdef uint64_t buf = addr_of_token(token, b"receive_mergeable:token")
    cdef uint32_t truesize = mergeable_ctx_to_truesize(ctx)
    cdef int num_buf
    cdef int head = 0
    cdef uint8_t nb[2]
    hdr_read(buf + 10, 2, nb, b"receive_mergeable:num_buffers")
    if quirk(QUIRK_C04):
        # uncovered: reading the header has ended it
        rq_sync(rq, buf, len)
    num_buf = nb[0] | (nb[1] << 8)
    event(0x2400 + min(num_buf, 40))
    stats.bytes += len - vi.hdr_len
    if len > truesize - mergeable_room(ctx) and not quirk(QUIRK_A05):
        vi.rx_length_errors += 1
    elif unlikely(vi.xdp_enabled) and rq.xdp_prog:
        if era_6_12():
            return receive_mergeable_xdp(rq, buf, ctx, len, num_buf, stats)
        return receive_mergeable_xdp_6_1(rq, buf, ctx, len, num_buf, stats)
    else:
        head = page_to_skb(rq, frame_of(buf), offset_of(buf), len, truesize, True, 0,
                           mergeable_ctx_to_headroom(ctx))
        if head == 0 and quirk(QUIRK_B13):
            # 8fc3b9e9a229: left the packet's other buffers in the ring, to be taken for packets
            rq_put_buf(rq, buf, True, b"receive_mergeable:err_only_first")
            stats.drops += 1
            return 0
        rq_mark_for_recycle(rq, head)
    return receive_mergeable_rest(rq, head, buf, num_buf, stats)


# ---- metadata ----------------------------------------------------------------------------------

cdef bint skb_partial_csum_set(Skb* p, uint32_t start, uint32_t off) noexcept nogil:
    cdef uint32_t csum_end = start + off + 2
    cdef uint32_t csum_start = p.data + start
    if csum_start >= 0xFFFF or csum_end > skb_headlen(p):
        return False
    p.ip_summed = CHECKSUM_PARTIAL
    p.csum_start = <uint16_t>csum_start
    p.csum_offset = <uint16_t>off
    p.transport_header = csum_start
    return True


cdef int virtio_net_hdr_to_skb(int s, const uint8_t* hdr) noexcept nogil:
    """virtio_net_hdr_to_skb() (include/linux/virtio_net.h of the era): 0 or -EINVAL."""
    cdef Skb* p = skb_get(s, b"virtio_net_hdr_to_skb:skb")
    cdef uint8_t raw = hdr[1]
    cdef uint32_t gso_type = 0, thlen = 0, p_off = 0, nh_min_len = IP_HLEN
    cdef uint32_t start, off, needed, nh_off
    cdef uint16_t gso_size = hdr_u16(hdr, 4)
    if raw != HDR_GSO_NONE:
        if raw & ~HDR_GSO_ECN == HDR_GSO_TCPV4:
            gso_type = SKB_GSO_TCPV4
            thlen = TCP_HLEN
        elif raw & ~HDR_GSO_ECN == HDR_GSO_TCPV6:
            gso_type = SKB_GSO_TCPV6
            thlen = TCP_HLEN
            nh_min_len = IPV6_HLEN
        elif raw & ~HDR_GSO_ECN == HDR_GSO_UDP:
            gso_type = SKB_GSO_UDP
            thlen = UDP_HLEN
        elif raw & ~HDR_GSO_ECN == HDR_GSO_UDP_L4 and era_6_12():
            gso_type = SKB_GSO_UDP_L4
            thlen = UDP_HLEN
        else:
            return -EINVAL
        if raw & HDR_GSO_ECN:
            gso_type |= SKB_GSO_TCP_ECN
        if gso_size == 0 and not quirk(QUIRK_A20):
            return -EINVAL
    if hdr[0] & HDR_F_NEEDS_CSUM:
        start = hdr_u16(hdr, 6)
        off = hdr_u16(hdr, 8)
        needed = start + max(thlen, off + 2)
        if not pskb_may_pull(s, needed, b"virtio_net_hdr_to_skb:pull_csum"):
            return -EINVAL
        if not skb_partial_csum_set(p, start, off):
            return -EINVAL
        if era_6_12() and start < nh_min_len and not quirk(QUIRK_A22):
            # 49d14b54a527; 6.1 has no lower bound
            return -EINVAL
        nh_min_len = start
        p_off = start + thlen
        if not pskb_may_pull(s, p_off, b"virtio_net_hdr_to_skb:pull_transport"):
            return -EINVAL      # uncovered: `needed` above reaches as far
    elif gso_type and era_7_2():
        # the network header is set, so the packet is looked at
        if not gso_dissect(s, raw, thlen, &p_off):
            return -EINVAL
    elif gso_type:
        # the network header is never set here, so nothing is dissected
        p_off = (nh_min_len if era_6_12() else 0) + thlen
        if not pskb_may_pull(s, p_off, b"virtio_net_hdr_to_skb:pull_gso"):
            return -EINVAL
    if raw == HDR_GSO_NONE:
        return 0
    nh_off = p_off
    if gso_type & SKB_GSO_UDP:
        nh_off -= thlen
    elif gso_type & SKB_GSO_UDP_L4:
        if not quirk(QUIRK_A24):
            # fc8b2a619469
            if not (hdr[0] & HDR_F_NEEDS_CSUM) or p.csum_offset != UDP_CHECK_OFFSET:
                return -EINVAL
            if p.len - p_off > <uint32_t>gso_size * UDP_MAX_SEGMENTS:
                return -EINVAL
            if gso_type != SKB_GSO_UDP_L4:
                return -EINVAL      # uncovered: no op says UDP_L4 together with ECN
    else:
        if (p.ip_summed == CHECKSUM_PARTIAL and p.csum_offset != TCP_CHECK_OFFSET
                and not quirk(QUIRK_A21)):
            # 89add40066f9
            return -EINVAL
        if gso_size < TCP_MIN_GSO_SIZE and not (
                quirk(QUIRK_A23) or (quirk(QUIRK_A20) and gso_size == 0)):
            # c27c449d455a
            gso_size = TCP_MIN_GSO_SIZE
    if gso_size == GSO_BY_FRAGS:
        return -EINVAL
    if p.len - nh_off > gso_size or quirk(QUIRK_A20):
        p.gso_size = gso_size
        p.gso_type = gso_type | SKB_GSO_DODGY
        # a slope towards many segments
        event(0x2600 + raw * 32 + log2_u32((p.len - nh_off) / max(gso_size, 1)))
        # and the ways there: short segments, long packets, each with what the other is by now
        event(0x2800 + (raw & ~HDR_GSO_ECN == HDR_GSO_UDP) * 512 + log2_u32(gso_size) * 16
              + (p.len >> 13))
    return 0


cdef void virtio_skb_set_hash(Skb* p, const uint8_t* hdr) noexcept nogil:
    cdef uint16_t report = hdr_u16(hdr, 16)
    p.hash = hdr_u32(hdr, 12)
    if report in (2, 3, 5, 6, 8, 9):
        p.hash_type = PKT_HASH_TYPE_L4
    elif report in (1, 4, 7):
        p.hash_type = PKT_HASH_TYPE_L3
    else:
        p.hash_type = PKT_HASH_TYPE_NONE


cdef always_void virtnet_receive_done(ReceiveQueue* rq, int s, uint8_t flags,
                                      bint by_flags) noexcept nogil:
    """virtnet_receive_done(); in linux-6.1 the tail of receive_buf(). Metadata, then the stack.
    by_flags: a program passed the packet, so its bytes say the rest (XDP_CSUM)."""
    cdef Skb* p = skb_get(s, b"virtnet_receive_done:skb")
    cdef uint8_t hdr[20]
    cdef bint bad
    memcpy(hdr, p.cb, 20)
    if unlikely(by_flags):
        bad = not csum_after_xdp(rq, s, flags)
    else:
        if vi.rxhash and vi.has_rss_hash_report:
            virtio_skb_set_hash(p, hdr)
        if era_7_2():
            hdr[0] = flags
        if flags & HDR_F_DATA_VALID:
            p.ip_summed = CHECKSUM_UNNECESSARY
        # virtio_net_handle_csum_offload(): nobody negotiated that of tunnels
        bad = (era_7_2() and flags & HDR_F_DATA_VALID and flags & HDR_F_UDP_TUNNEL_CSUM
               or virtio_net_hdr_to_skb(s, hdr) != 0)
    if bad:
        vi.rx_frame_errors += 1
        kfree_skb(s, b"virtnet_receive_done:frame_err")
        event(0x2500)
        return
    p.queue = <uint8_t>rq.index
    # eth_type_trans(): the Ethernet header must be linear
    if unlikely(skb_headlen(p) < ETH_HLEN):
        violation(CHECK_S4, b"virtnet_receive_done:eth_type_trans", b"skb", s,
                  b"Ethernet header pulled from %lld linear bytes: the length goes negative",
                  skb_headlen(p), 0, 0)
    judge_delivered(rq, s)
    p.data += ETH_HLEN
    p.len -= ETH_HLEN
    stack_receive(s)


cdef void save_header(ReceiveQueue* rq, uint64_t token, uint8_t flags) noexcept nogil:
    """What of a packet's header is needed once a program has seen it (XDP_CSUM)."""
    cdef uint8_t hdr[4]
    rq.ran = False
    rq.flags = flags
    if quirk(QUIRK_H03) and not vi.big_packets:
        hdr_read(token + 6, 4, hdr, b"save_header:csum_start")
        rq.csum_start = hdr_u16(hdr, 0)
        rq.csum_offset = hdr_u16(hdr, 2)


# ---- receive_buf() -----------------------------------------------------------------------------

cdef void receive_buf(ReceiveQueue* rq, uint64_t token, uint32_t len, uint64_t ctx,
                      RqStats* stats) noexcept nogil:
    """receive_buf(): one used buffer (and those of its packet) becomes an skb, or is dropped."""
    cdef int s
    cdef uint8_t flags[1]
    cdef uint32_t shortest = vi.hdr_len + ETH_HLEN
    if quirk(QUIRK_A16):
        # counted with the basic header only
        shortest = VNET_HDR_LEN + ETH_HLEN
    if len < shortest:
        vi.rx_length_errors += 1
        if vi.big_packets and not vi.mergeable_rx_bufs:
            give_pages(rq, page_of_token(token, b"receive_buf:page"))
        else:
            rq_put_buf(rq, addr_of_token(token, b"receive_buf:token"), quirk(QUIRK_G17),
                       b"receive_buf:short")
        return
    if rq.use_pool_dma and not quirk(QUIRK_C04):
        rq_sync(rq, token, len)
    flags[0] = 0
    if era_6_12():
        # 703eec1b2422: saved before a program could overwrite them
        if (vi.big_packets and not vi.mergeable_rx_bufs and not quirk(QUIRK_D04)
                and not (quirk(QUIRK_H05) and vi.xdp_csum and vi.xdp_enabled)):
            hdr_read(addr_of(page_of_token(token, b"receive_buf:big_token"), 0), 1, flags,
                     b"receive_buf:flags_big")
        else:
            # D04: the token of big mode is a struct page; D05: a small token is the pad's start
            hdr_read(addr_of_token(token, b"receive_buf:flags_token"), 1, flags,
                     b"receive_buf:flags")
        if unlikely(vi.xdp_csum):
            save_header(rq, token, flags[0])
    if vi.mergeable_rx_bufs:
        s = receive_mergeable(rq, token, ctx, len, stats)
    elif vi.big_packets:
        s = receive_big(rq, token, len, stats)
    else:
        s = receive_small(rq, token, ctx, len, stats)
    if s == 0:
        return
    if not era_6_12() or quirk(QUIRK_D03):
        flags[0] = K_skbs[s].cb[0]
    if unlikely(vi.xdp_csum):
        if quirk(QUIRK_H04) and rq.ran and vi.mergeable_rx_bufs:
            # read where the packet came in, which the program may have written to
            hdr_read(token, 1, flags, b"receive_buf:flags_late")
        # whether a program is attached, and whether this packet met it: H07 takes one for the other
        event(0x6610 + <uint32_t>rq.ran * 8 + <uint32_t>vi.xdp_enabled * 4 + (flags[0] & 3))
        virtnet_receive_done(rq, s, flags[0], vi.xdp_enabled if quirk(QUIRK_H07) else rq.ran)
        return
    virtnet_receive_done(rq, s, flags[0], False)
