# SPDX-License-Identifier: GPL-2.0-or-later
"""linux-7.2: small and mergeable buffers come from a page pool, one for each queue, and go back.

Earlier eras have no pool (rq.page_pool 0), and the helpers here then do what was done before. Where
a quirk brings back what the first posted version of the pools had, a queue without one still takes
page_frag chunks.
"""


cdef inline bint pool_napi_live(int queue) noexcept nogil:
    """Hook of sim/page_pool.pxi: NAPI contexts are part of the queue array."""
    return M_frames[frame_of(vi.rq_mem)].live


# ---- buffers go back ---------------------------------------------------------------------------

cdef inline void rq_put_buf(ReceiveQueue* rq, uint64_t buf, bint direct,
                            site_t site) noexcept nogil:
    """page_pool_put_page(), before the pools put_page(). direct: this is the queue's NAPI."""
    if rq.page_pool:
        page_pool_put_buf(rq.page_pool, buf, direct, site)
    else:
        put_buf(buf, site)


cdef inline void rq_mark_for_recycle(ReceiveQueue* rq, int s) noexcept nogil:
    """skb_mark_for_recycle(): of NULL nothing."""
    if rq.page_pool and s:
        K_skbs[s].recycle = True


cdef inline void page_put(int page, site_t site) noexcept nogil:
    """A page in the driver's hands that has no buffer goes back to where it came from."""
    # uncovered: xdp_page_new() runs out of frames first
    if M_frames[page].pool:
        page_pool_return(page, H_DRV, site)  # uncovered: as above
    else:
        # uncovered: as above
        put_page(page, H_DRV, site)


cdef inline void rq_sync(ReceiveQueue* rq, uint64_t buf, uint32_t len) noexcept nogil:
    """page_pool_dma_sync_for_cpu() of what the device says that it used (R05)."""
    if rq.use_pool_dma:
        rq_sync_dma(buf, len)


cdef apart_void rq_sync_dma(uint64_t buf, uint32_t len) noexcept nogil:
    """rq_sync() of mapped pages. R05 has one label, that of the place where 6.12 has it."""
    cdef int page = frame_of(buf)
    cdef int b = buf_at(page, offset_of(buf))
    if len and not quirk(QUIRK_C01):
        page_pool_dma_sync_for_cpu(page, offset_of(buf), len,
                                   M_bufs[b].p_end - offset_of(buf) if b else 0,
                                   DMA_TO_DEVICE if quirk(QUIRK_C03) else DMA_FROM_DEVICE,
                                   b"rq_sync:sync", b"virtnet_rq_unmap:sync_length")


# ---- buffers are posted ------------------------------------------------------------------------

cdef int rq_submit(ReceiveQueue* rq, Vq* vq, uint64_t buf, uint32_t len, uint64_t ctx,
                   uint64_t token, site_t site) noexcept nogil:
    """virtnet_rq_submit(). token: what comes back with the buffer."""
    cdef Sg sg
    rq_init_one_sg(rq, buf, len, &sg)
    return add_inbuf_or_put(rq, vq, &sg, token, ctx, buf, site)


cdef int add_recvbuf_small_pool(ReceiveQueue* rq, Vq* vq, uint32_t len,
                                uint32_t xdp_headroom) noexcept nogil:
    """add_recvbuf_small(): what the buffer really has goes into its context word."""
    cdef uint64_t buf = page_pool_alloc_va(rq.page_pool, &len, b"add_recvbuf_small:pool")
    cdef uint64_t token = buf
    if buf == 0:
        return -ENOMEM
    buf += VIRTNET_RX_PAD + xdp_headroom
    if not quirk(QUIRK_D05):
        token = buf
    return rq_submit(rq, vq, buf, vi.hdr_len + GOOD_PACKET_LEN,
                     mergeable_len_to_ctx(len, xdp_headroom), token, b"add_recvbuf_small:add")


cdef int add_recvbuf_mergeable_pool(ReceiveQueue* rq, Vq* vq, uint32_t len,
                                    uint32_t headroom) noexcept nogil:
    """add_recvbuf_mergeable(): a rest that is too small for another buffer is this one's, but not
    with headroom. A length beyond a page, which a small ring asks for, becomes a page."""
    cdef uint32_t room = xdp_room(headroom)
    cdef uint32_t alloc_len = len + room
    cdef uint64_t ctx
    cdef uint64_t buf = page_pool_alloc_va(rq.page_pool, &alloc_len, b"add_recvbuf_mergeable:pool")
    if buf == 0:
        return -ENOMEM
    if quirk(QUIRK_G02) and alloc_len > len + room and len + room <= PAGE_SIZE:
        # posted: the rest was given to the buffer, and left in the pool
        pool_keep_rest(rq.page_pool, buf, len + room)
    if headroom == 0:
        len = alloc_len
    ctx = mergeable_len_to_ctx(len + room, headroom)
    buf += headroom
    return rq_submit(rq, vq, buf, len, ctx, buf, b"add_recvbuf_mergeable:add")


cdef void pool_keep_rest(int pool, uint64_t buf, uint32_t len) noexcept nogil:
    """G02: the next fragment is cut from what lies behind `len` bytes of this one."""
    cdef PagePool* p = &PP_pool[pool]
    if p.frag_page != frame_of(buf):
        if p.frag_page:
            pool_unref(p.frag_page, H_FRAG, False, b"pool_keep_rest:put")
        p.frag_page = frame_of(buf)
        get_live_page(p.frag_page, H_FRAG, b"pool_keep_rest:get")
    p.frag_offset = offset_of(buf) + len


# ---- pools -------------------------------------------------------------------------------------

cdef inline bint pool_can_map() noexcept nogil:
    """virtqueue_dma_dev(): is there a device to map for? Without one (VDUSE) the ring maps."""
    return era_7_2() and D.use_dma_api and feature(BOOT_FEATURES_PREMAPPED)


cdef int create_page_pools() noexcept nogil:
    """virtnet_create_page_pools(): for every queue that there can be, unless in big mode."""
    cdef int i, n = vi.max_queue_pairs
    cdef ReceiveQueue* rq
    if not era_7_2() or (vi.big_packets and not vi.mergeable_rx_bufs):
        return 0
    if late_pools() or quirk(QUIRK_G06):
        n = vi.curr_queue_pairs
        for i in range(n, vi.max_queue_pairs):
            V_vqs[i].premapped = quirk(QUIRK_G06) and pool_can_map()
            vi_rq[i].do_dma = V_vqs[i].premapped
    for i in range(n):
        rq = &vi_rq[i]
        rq.use_pool_dma = pool_can_map()
        rq.page_pool = page_pool_create(i, V_vqs[i].num, rq.use_pool_dma,
                                        b"create_page_pools:create")
        if rq.page_pool == 0:
            while i > 0:
                i -= 1
                page_pool_destroy(vi_rq[i].page_pool, b"create_page_pools:undo")
                vi_rq[i].page_pool = 0
            return -ENOMEM
    return 0


cdef inline bint late_pools() noexcept nogil:
    """G07, G08: as first posted, queues that are not in use get no pool until they are opened."""
    return quirk(QUIRK_G07) or quirk(QUIRK_G08)


cdef int late_page_pools() noexcept nogil:
    """virtnet_open() of the first posted version: a pool for each queue in use that has none,
    whatever is in its ring. Those of G07 and G08 do not map."""
    cdef int i
    if vi.big_packets and not vi.mergeable_rx_bufs:
        return 0    # uncovered: G07 and G08 are about queues with pools
    for i in range(vi.curr_queue_pairs):
        if vi_rq[i].page_pool:
            continue
        vi_rq[i].page_pool = page_pool_create(i, V_vqs[i].num, False, b"late_page_pools:create")
        if vi_rq[i].page_pool == 0:
            if quirk(QUIRK_G08):
                # not only what this call created
                destroy_page_pools()
            # uncovered: as virtnet_open()
            return -ENOMEM
    return 0


cdef void destroy_page_pools() noexcept nogil:
    """virtnet_destroy_page_pools()."""
    cdef int i
    for i in range(vi.max_queue_pairs):
        if vi_rq[i].page_pool:
            page_pool_destroy(vi_rq[i].page_pool, b"destroy_page_pools:destroy")
            vi_rq[i].page_pool = 0
