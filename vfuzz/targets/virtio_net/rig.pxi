# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The rig's primitives of virtio-net-rx: single steps of the receive loop, and its judge.

They act on the queues of a program's world: core.rig(script, program=...).
"""
include "../../sim/rig.pxi"
include "../../sim/rig_parts.pxi"

cdef RqStats X_stats, X_stats_was
cdef uint64_t X_length_errors, X_frame_errors


cdef int64_t rig_take(const int64_t* a) noexcept nogil:
    """The head of virtnet_receive()'s loop: the next used buffer, its statistics."""
    cdef ReceiveQueue* rq = &vi_rq[a[0]]
    cdef uint64_t token
    packet_begin()
    memset(&X_stats, 0, sizeof(X_stats))
    token = rq_get_buf(rq, &X_got_len, &X_got_ctx, X_SITE)
    if token:
        packet_taken(rq)
        X_stats_was = X_stats
        X_length_errors = vi.rx_length_errors
        X_frame_errors = vi.rx_frame_errors
    return token


cdef int64_t rig_receive(const int64_t* a) noexcept nogil:
    """receive_buf() up to the metadata: the skb, 0 if the packet was dropped."""
    cdef ReceiveQueue* rq = &vi_rq[a[0]]
    if vi.mergeable_rx_bufs:
        return receive_mergeable(rq, a[1], X_got_ctx, X_got_len, &X_stats)
    if vi.big_packets:
        return receive_big(rq, a[1], X_got_len, &X_stats)
    return receive_small(rq, a[1], X_got_ctx, X_got_len, &X_stats)


cdef int64_t rig_receive_done(const int64_t* a) noexcept nogil:
    virtnet_receive_done(&vi_rq[a[0]], <int>a[1], K_skbs[a[1]].cb[0], False)
    return S.n


cdef int64_t rig_packet_end(const int64_t* a) noexcept nogil:
    packet_end(&vi_rq[a[0]], &X_stats_was, &X_stats, vi.rx_length_errors - X_length_errors,
               vi.rx_frame_errors - X_frame_errors)
    return 0


cdef int64_t rig_judge_bytes(const int64_t* a) noexcept nogil:
    judge_bytes(<int>a[0])
    return 0


cdef int64_t rig_judge_metadata(const int64_t* a) noexcept nogil:
    judge_metadata(<int>a[0])
    return 0


cdef int64_t rig_judge_inet(const int64_t* a) noexcept nogil:
    judge_inet(<int>a[0])
    return 0


cdef int64_t rig_judge_delivered(const int64_t* a) noexcept nogil:
    judge_delivered(&vi_rq[a[0]], <int>a[1])
    return 0


cdef int64_t rig_add_recvbuf(const int64_t* a) noexcept nogil:
    cdef ReceiveQueue* rq = &vi_rq[a[0]]
    cdef Vq* vq = &V_vqs[rq.index]
    if vi.mergeable_rx_bufs:
        return add_recvbuf_mergeable(rq, vq, get_mergeable_buf_len(rq))
    return add_recvbuf_big(rq, vq) if vi.big_packets else add_recvbuf_small(rq, vq)


cdef int64_t rig_deliver(const int64_t* a) noexcept nogil:
    return dev_packet_out(<int>a[0], <uint32_t>a[1], 0, HDR_GSO_NONE, 0, 0, 0, 0)


cdef int64_t rig_page_private(const int64_t* a) noexcept nogil:
    return page_private(<int>a[0], X_SITE)


cdef int64_t rig_rq_unmap(const int64_t* a) noexcept nogil:
    virtnet_rq_unmap(&vi_rq[a[0]], a[1], <uint32_t>a[2])
    return 0


cdef XdpBuff X_buff


cdef int64_t rig_xdp_buff(const int64_t* a) noexcept nogil:
    xdp_prepare_buff(&X_buff, a[0], <uint32_t>a[1], <uint32_t>a[2], <uint32_t>a[3])
    return X_buff.data


cdef int64_t rig_xdp_begin(const int64_t* a) noexcept nogil:
    judge_xdp_begin(&vi_rq[a[0]], &X_buff)
    return 0


cdef int64_t rig_xdp_end(const int64_t* a) noexcept nogil:
    judge_xdp_end(&X_buff, <int>a[0])
    return 0


cdef int64_t rig_xdp_frame_digest(const int64_t* a) noexcept nogil:
    return <int64_t>xdp_frame_digest(<int>a[0], X_SITE)


cdef int64_t rig_xdp_return_frame(const int64_t* a) noexcept nogil:
    xdp_return_frame(<int>a[0], X_SITE)
    return 0


cdef int64_t rig_xdp_target_done(const int64_t* a) noexcept nogil:
    return xdp_target_done()


cdef int64_t rig_judge_sent(const int64_t* a) noexcept nogil:
    judge_sent(<int>a[0])
    return 0


cdef int64_t rig_xsk_free(const int64_t* a) noexcept nogil:
    xsk_buff_free(<int>a[0], X_SITE)
    return 0


cdef int64_t rig_judge_xsk_taken(const int64_t* a) noexcept nogil:
    judge_xsk_taken(<int>a[0])
    return 0


cdef int64_t rig_pool_create(const int64_t* a) noexcept nogil:
    return page_pool_create(<int>a[0], 4, False, X_SITE)


cdef int64_t rig_pools_check(const int64_t* a) noexcept nogil:
    pools_leak_check(X_SITE)
    return 0


cdef int64_t rig_judge_filter(const int64_t* a) noexcept nogil:
    judge_filter()
    return 0


cdef void _rig_add_target():
    _rig_add_parts()
    _rig_add("pool_create rq -> pool", rig_pool_create)
    _rig_add("pools_check", rig_pools_check)
    _RIG_LIMITS["xframe"] = XDP_FRAMES_MAX
    _RIG_CONSTANTS.update({
        "XDP_PASS": XDP_PASS, "XDP_DROP": XDP_DROP, "XDP_TX": XDP_TX, "B_XDP": B_XDP,
        "H_XDP": H_XDP,
    })
    _RIG_LIMITS["rq"] = QUEUES_MAX
    _rig_add("take rq -> token", rig_take)
    _rig_add("receive rq token -> skb", rig_receive)
    _rig_add("receive_done rq skb -> packets that the stack holds", rig_receive_done)
    _rig_add("packet_end rq", rig_packet_end)
    _rig_add("judge_bytes skb", rig_judge_bytes)
    _rig_add("judge_metadata skb", rig_judge_metadata)
    _rig_add("judge_inet skb", rig_judge_inet)
    _rig_add("judge_delivered rq skb", rig_judge_delivered)
    _rig_add("add_recvbuf rq -> 0 or -errno", rig_add_recvbuf)
    _rig_add("deliver rq length -> was there room", rig_deliver)
    _rig_add("page_private frame -> frame", rig_page_private)
    _rig_add("rq_unmap rq token length", rig_rq_unmap)
    _rig_add("xdp_buff addr headroom size frame_sz -> address of the packet", rig_xdp_buff)
    _rig_add("xdp_begin rq", rig_xdp_begin)
    _rig_add("xdp_end act", rig_xdp_end)
    _rig_add("xdp_frame_digest xframe -> number", rig_xdp_frame_digest)
    _rig_add("xdp_return_frame xframe", rig_xdp_return_frame)
    _rig_add("xdp_target_done -> was there one", rig_xdp_target_done)
    _rig_add("judge_sent xframe", rig_judge_sent)
    _RIG_LIMITS["chunk"] = XSK_CHUNKS_MAX
    _rig_add("xsk_free chunk", rig_xsk_free)
    _rig_add("judge_xsk_taken chunk", rig_judge_xsk_taken)
    _rig_add("judge_filter", rig_judge_filter)
    _rig_field("filter.promisc", &dev_filter.promisc, sizeof(dev_filter.promisc))
    _rig_field("filter.allmulti", &dev_filter.allmulti, sizeof(dev_filter.allmulti))
    _rig_field("filter.multicast", &dev_filter.multicast, sizeof(dev_filter.multicast))
    _rig_field("chunk.data", &Z_pools[0].chunk[0].data, 8, XSK_CHUNKS_MAX, sizeof(Chunk))
    _rig_field("chunk.len", &Z_pools[0].chunk[0].len, 4, XSK_CHUNKS_MAX, sizeof(Chunk))
    _rig_field("xdp_buff.data_meta", &X_buff.data_meta, 8)
    _rig_field("xdp_buff.data_end", &X_buff.data_end, 8)
    _rig_field("xframe.data", &X_frame[0].data, 8, XDP_FRAMES_MAX, sizeof(XdpFrame))
    _rig_field("xframe.digest", &X_frame[0].digest, 8, XDP_FRAMES_MAX, sizeof(XdpFrame))
    _rig_field("sq.kicked", &vi_sq[0].vq.kicked, 4, QUEUES_MAX, sizeof(SendQueue))
    _rig_field("vi.xdp_tx", &vi.xdp_stats.tx, 8)
    _rig_field("vi.xdp_drops", &vi.xdp_stats.drops, 8)
    _rig_field("vi.hdr_len", &vi.hdr_len, sizeof(vi.hdr_len))
    _rig_field("vi.refill_pending", &vi.refill.pending, sizeof(vi.refill.pending))
    _rig_field("vi.rx_length_errors", &vi.rx_length_errors, sizeof(vi.rx_length_errors))
    _rig_field("rq.napi_state", &vi_rq[0].napi.state, 4, QUEUES_MAX, sizeof(ReceiveQueue))
    _rig_field("rq.mrg_avg_pkt_len", &vi_rq[0].mrg_avg_pkt_len, 8, QUEUES_MAX, sizeof(ReceiveQueue))
    _rig_field("stats.packets", &X_stats.packets, sizeof(X_stats.packets))
    _rig_field("stats.bytes", &X_stats.bytes, sizeof(X_stats.bytes))
    _rig_field("stats.drops", &X_stats.drops, sizeof(X_stats.drops))
