# SPDX-License-Identifier: GPL-2.0-or-later
"""Transmission of XDP frames: send queues, XDP_TX and ndo_xdp_xmit, what was sent is freed."""

cdef enum:
    ENXIO = 6

cdef extern from *:
    """
    #define VIRTIO_XDP_FLAG ((uint64_t)1 << 61)  /* tags a token that is an xdp_frame */
    """
    uint64_t VIRTIO_XDP_FLAG

cdef struct SqStats:
    uint64_t packets
    uint64_t bytes
    uint64_t xdp_tx
    uint64_t xdp_tx_drops
    uint64_t kicks

cdef struct SendQueue:
    SqStats stats
    TxRing vq

cdef SendQueue vi_sq[QUEUES_MAX]
cdef int X_cpu                  # on which CPU the running code runs


cdef inline SendQueue* send_queue(int qp, site_t site) noexcept nogil:
    """vi->sq + qp (S14: there are as many as queue pairs)."""
    if unlikely(qp < 0 or qp >= vi.max_queue_pairs):
        violation(CHECK_S14, site, b"sq", qp, b"send queue %lld of %lld", qp, vi.max_queue_pairs, 0)
    return &vi_sq[qp]


cdef inline bint is_xdp_raw_buffer_queue(int q) noexcept nogil:
    return vi.curr_queue_pairs - vi.xdp_queue_pairs <= q < vi.curr_queue_pairs


cdef SendQueue* xdp_get_sq(site_t site) noexcept nogil:
    """virtnet_xdp_get_sq(): this CPU's own queue, or one that it shares."""
    if vi.curr_queue_pairs > <int>P.boot[BOOT_CPUS]:
        return send_queue(vi.curr_queue_pairs - vi.xdp_queue_pairs + X_cpu, site)
    return send_queue(X_cpu % vi.curr_queue_pairs, site)


cdef inline SendQueue* xdp_sq_unlocked(site_t site) noexcept nogil:
    """virtnet_xdp_sq() before queues could be shared: right only where XDP has its own."""
    return send_queue(vi.curr_queue_pairs - vi.xdp_queue_pairs + X_cpu, site)


cdef uint32_t xdp_frame_len(const XdpFrame* p) noexcept nogil:
    """Bytes that completion counts: 6.1 knows of the head only, as it has no fragments."""
    cdef uint32_t size = p.len
    cdef int i
    for i in range(p.nr_frags):
        size += p.frags[i].size
    return size


cdef int skb_of_token(uint64_t token) noexcept nogil:
    """The token as an skb (S23: it must have been stored as one)."""
    if unlikely((token & VIRTIO_XDP_FLAG) != 0):
        violation(CHECK_S23, b"skb_of_token:frame", b"token", <int64_t><uint32_t>token,
                  b"xdp_frame %lld freed as an skb", <int64_t><uint32_t>token, 0, 0)
    return <int><uint32_t>token     # uncovered: frames are all that these rings have


cdef void free_old_xmit(SendQueue* sq) noexcept nogil:
    """free_old_xmit_skbs() and __free_old_xmit(): what the device has sent is freed."""
    cdef uint64_t token
    cdef int fr
    while True:
        step(b"free_old_xmit:loop")
        token = txring_get(&sq.vq, False, b"free_old_xmit:unmap")
        if token == 0:
            break
        if quirk(QUIRK_B14):
            # 5050471d35d1: everything in the ring was taken for an skb
            kfree_skb(skb_of_token(token), b"free_old_xmit:skb")
        fr = <int><uint32_t>token
        sq.stats.bytes += xdp_frame_len(&X_frame[fr])
        xdp_return_frame(fr, b"free_old_xmit:frame")
        sq.stats.packets += 1


cdef int xdp_xmit_one(SendQueue* sq, int fr) noexcept nogil:
    """__virtnet_xdp_xmit_one(): a zeroed header in front, then into the ring."""
    cdef XdpFrame* p = &X_frame[fr]
    cdef TxPart parts[TX_PARTS]
    cdef int i
    if p.headroom < vi.hdr_len:
        return -EOVERFLOW
    p.data -= vi.hdr_len
    if era_6_12() and not quirk(QUIRK_F05):
        # 50bd14bc98fa: completion finds the shared info by data and headroom
        p.headroom -= vi.hdr_len
    p.len += vi.hdr_len
    xdp_reach(p.data, p.data + p.len)
    cpu_write(p.data, vi.hdr_len, b"xdp_xmit_one:header")
    parts[0].addr = p.data
    parts[0].len = p.len
    for i in range(p.nr_frags):
        parts[i + 1].addr = addr_of(p.frags[i].page, p.frags[i].offset)
        parts[i + 1].len = p.frags[i].size
    if txring_add(&sq.vq, parts, p.nr_frags + 1, VIRTIO_XDP_FLAG | <uint64_t>fr,
                  b"xdp_xmit_one:add"):
        return -ENOSPC
    if era_7_2() and not p.foreign:
        token_bits(fr)
    return 0


cdef inline void token_bits(int fr) noexcept nogil:
    """virtnet_xmit_ptr_pack(): what was sent is told by the two lowest bits of its token, so that
    they have to be free in a frame's address (S23: as it was stored, it is not found again)."""
    cdef uint64_t at = X_frame[fr].data - X_frame[fr].headroom - XDP_FRAME_SIZE
    if unlikely(at & 3):
        violation(CHECK_S23, b"xdp_xmit_one:type_bits", b"frame", fr,
                  b"address of frame %lld loses %lld: its lowest bits say what was sent",
                  fr, <int64_t>(at & 3), 0)


cdef int xdp_xmit(const int32_t* frames, int n, bint flush) noexcept nogil:
    """virtnet_xdp_xmit(): how many of the frames are in the ring now, or -ENXIO."""
    cdef SendQueue* sq
    cdef int i, nxmit = 0
    rq_check(b"xdp_xmit:rq")
    if quirk(QUIRK_E17):
        # 1667c08a9d31: looked up, and counted on, before anybody knew that it is there
        xdp_sq_unlocked(b"xdp_xmit:early_sq")
    if quirk(QUIRK_E15):
        # 8dcc5b0ab0ec: no look at the program at all
        sq = xdp_sq_unlocked(b"xdp_xmit:not_ready")
    elif vi_rq[0].xdp_prog == XDP_PROG_NONE:
        # no program, no send queue for XDP
        return -ENXIO
    else:
        sq = xdp_get_sq(b"xdp_xmit:sq")
    vi.xdp_ever = True
    free_old_xmit(sq)
    for i in range(n):
        if xdp_xmit_one(sq, frames[i]):
            break
        # held from here on, and with a header of hdr_len bytes that no program wrote
        if not X_frame[frames[i]].held:
            xdp_frame_hold(frames[i], vi.hdr_len, b"xdp_xmit:hold")
        else:
            judge_frame_made(frames[i], vi.hdr_len)
        nxmit += 1
    if flush:
        sq.stats.kicks += txring_kick(&sq.vq)
    sq.stats.xdp_tx += <uint64_t>n
    sq.stats.xdp_tx_drops += <uint64_t>(n - nxmit)
    event(0x6000 + <uint32_t>sq.vq.num_free * 4 + (nxmit == n) * 2 + flush)
    return nxmit


cdef void poll_cleantx(ReceiveQueue* rq) noexcept nogil:
    """virtnet_poll_cleantx(): the send queue of the same number, if XDP does not have it; once more
    while there is much to take, which of a broken ring nobody can."""
    cdef SendQueue* sq = &vi_sq[rq.index]
    cdef uint32_t left
    if is_xdp_raw_buffer_queue(rq.index):
        return
    free_old_xmit(sq)
    while not txring_enable_cb_delayed(&sq.vq):
        if sq.vq.broken and era_6_12() and not era_7_2() and not quirk(QUIRK_E23):
            # virtqueue_enable_cb_delayed() of 6.12.117 sees that; those of 6.1.192, 7.2.13 do not
            return
        left = sq.vq.head
        free_old_xmit(sq)
        if unlikely(sq.vq.head == left):
            violation(CHECK_S45, b"poll_cleantx:loop", b"sq", rq.index,
                      b"a poll takes used entries of send queue %lld until few are left, and gets "
                      b"none", rq.index, 0, 0)


cdef inline void virtnet_napi_tx_enable(int i) noexcept nogil:
    """virtnet_napi_tx_enable(): schedules the context, and virtnet_poll_tx() runs before anything
    that is a program's op."""
    if unlikely(vi.xdp_ever) and not is_xdp_raw_buffer_queue(i):
        free_old_xmit(&vi_sq[i])


cdef void xdp_kick() noexcept nogil:
    """virtnet_poll() after XDP_TX: one kick for all."""
    cdef SendQueue* sq = xdp_get_sq(b"xdp_kick:sq")
    sq.stats.kicks += txring_kick(&sq.vq)


cdef void sq_free_unused(int i) noexcept nogil:
    """virtnet_sq_free_unused_buf() of all that is left in a send queue."""
    cdef uint64_t token
    while True:
        step(b"sq_free_unused:loop")
        token = txring_get(&vi_sq[i].vq, True, b"sq_free_unused:unmap")
        if token == 0:
            break
        if quirk(QUIRK_B15):
            # cac320c850ef: the page was put, whatever the frame's memory model
            xdp_frame_put_page(<int><uint32_t>token, b"sq_free_unused:put_page")
        else:
            xdp_return_frame(<int><uint32_t>token, b"sq_free_unused:frame")
