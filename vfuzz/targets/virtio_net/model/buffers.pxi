# SPDX-License-Identifier: GPL-2.0-or-later
"""Receive buffers: the page list of big mode, premapped chunks, add_recvbuf_*(), refill."""


# ---- page list of big mode ---------------------------------------------------------------------

cdef inline int page_private(int page, site_t site) noexcept nogil:
    """page->private as the next page of a chain. S8: there must be a page to ask."""
    if unlikely(page == 0):
        violation(CHECK_S8, site, b"page", 0, b"walked past the last page of a chain", 0, 0, 0)
    check_live(page, site)
    if unlikely(M_frames[page].pool != 0):
        violation(CHECK_S23, site, b"page", page,
                  b"page->private of page %lld taken for a link: a pool counts %lld users in it",
                  page, M_frames[page].refcount, 0)
    return M_frames[page].private


cdef void give_pages(ReceiveQueue* rq, int page) noexcept nogil:
    """give_pages(): a chain in the driver's hands goes in front of the queue's page list."""
    cdef int end = page
    cdef int next
    move_ref(page, H_DRV, H_LIST, b"give_pages:first")
    while True:
        step(b"give_pages:walk")
        next = page_private(end, b"give_pages:private")
        if next == 0:
            break
        move_ref(next, H_DRV, H_LIST, b"give_pages:next")
        end = next
    M_frames[end].private = rq.pages
    rq.pages = page


cdef always_int get_a_page(ReceiveQueue* rq) noexcept nogil:
    """get_a_page(): from the page list, else a fresh one; 0 on failure."""
    cdef int page = rq.pages
    if page:
        rq.pages = page_private(page, b"get_a_page:list")
        M_frames[page].private = 0
        move_live_ref(page, H_LIST, H_DRV, b"get_a_page:take")
        return page
    return get_new_page()


cdef apart_int get_new_page() noexcept nogil:
    """get_a_page() where the list is empty."""
    cdef int page = alloc_pages(0, H_DRV, b"get_a_page:alloc")
    if page and buf_new(page, 0, PAGE_SIZE, b"get_a_page:buf") == 0:
        # uncovered: each of these has a frame of its own, and frames run out first
        put_page(page, H_DRV, b"get_a_page:exhausted")
        return 0
    return page


# ---- premapped chunks (E6x) --------------------------------------------------------------------

cdef void virtnet_rq_unmap(ReceiveQueue* rq, uint64_t token, uint32_t len) noexcept nogil:
    """virtnet_rq_unmap(): a buffer of a premapped chunk comes back, `len` bytes of it used.

    S23: only memory that starts with a DMA record has one.
    """
    cdef uint64_t buf = addr_of_token(token, b"virtnet_rq_unmap:token")
    cdef int page = frame_of(buf)
    cdef DmaRecord* dma
    cdef int b
    cdef uint32_t posted
    check_live(page, b"virtnet_rq_unmap:record")
    if unlikely(M_frames[page].rec == 0):
        violation(CHECK_S23, b"virtnet_rq_unmap:no_record", frame_kind(page), page,
                  b"frame %lld does not start with a DMA record", page, 0, 0)
    dma = &vi_dma[page]
    dma.ref -= 1
    if dma.need_sync and len and not quirk(QUIRK_C01):
        # the sync uses what the device said, before anybody checked it (R05)
        b = buf_at(page, offset_of(buf))
        posted = M_bufs[b].p_end - offset_of(buf) if b else 0
        dma_sync_for_cpu(dma.addr, offset_of(buf) - DMA_RECORD_SIZE, len, posted,
                         DMA_TO_DEVICE if quirk(QUIRK_C03) else DMA_FROM_DEVICE,
                         b"virtnet_rq_unmap:sync", b"virtnet_rq_unmap:sync_length")
    if dma.ref:
        return
    dma_unmap(dma.addr, dma.len, DMA_FROM_DEVICE, True, b"virtnet_rq_unmap:unmap")
    M_frames[page].rec = 0
    put_page(page, H_DMA, b"virtnet_rq_unmap:put")


cdef always_u64 virtnet_rq_alloc(ReceiveQueue* rq, uint32_t size) noexcept nogil:
    """The next `size` bytes of the queue's chunk as a buffer, 0 for -ENOMEM.

    linux-6.12 virtnet_rq_alloc(); in linux-6.1 the same three lines stand in each add_recvbuf_*().
    """
    cdef PageFrag* pf = &rq.alloc_frag
    cdef DmaRecord* dma
    cdef uint64_t addr
    cdef int b
    if rq.do_dma:
        dma = &vi_dma[pf.page]
        if pf.offset == 0:
            if rq.last_dma:
                virtnet_rq_unmap(rq, addr_of(rq.last_dma, 0), 0)
                rq.last_dma = 0
            dma.len = pf.size - DMA_RECORD_SIZE
            cpu_write(addr_of(pf.page, 0), DMA_RECORD_SIZE, b"virtnet_rq_alloc:record")
            addr = dma_map(addr_of(pf.page, DMA_RECORD_SIZE), dma.len, DMA_FROM_DEVICE,
                           b"virtnet_rq_alloc:map")
            if addr == DMA_ERROR:
                return 0
            dma.addr = addr
            dma.need_sync = D.swiotlb
            get_page(pf.page, H_DMA, b"virtnet_rq_alloc:get")
            dma.ref = 1
            M_frames[pf.page].rec = 1
            pf.offset = DMA_RECORD_SIZE
            rq.last_dma = pf.page
        dma.ref += 1
    # longer than a page: a chunk of one is too small for any such buffer, whatever came before
    b = page_frag_take(pf, size, b"virtnet_rq_alloc:long" if size > PAGE_SIZE
                       else b"virtnet_rq_alloc:take")
    if b == 0:
        if rq.do_dma:
            dma.ref -= 1
        return 0
    return addr_of(pf.page, M_bufs[b].a_start)


cdef inline void rq_init_one_sg(ReceiveQueue* rq, uint64_t buf, uint32_t len,
                                Sg* sg) noexcept nogil:
    """virtnet_rq_init_one_sg(): in a premapped chunk, the record's DMA address plus offset."""
    sg.addr = buf
    sg.len = len
    sg.dma = 0
    if rq.use_pool_dma:
        sg.dma = PP_dma[frame_of(buf)] + offset_of(buf)
    elif rq.do_dma:
        sg.dma = vi_dma[frame_of(buf)].addr - DMA_RECORD_SIZE + offset_of(buf)


cdef apart_void inbuf_put(ReceiveQueue* rq, uint64_t buf) noexcept nogil:
    """The ring refused a buffer: undo its DMA reference, put the page."""
    if rq.do_dma:
        virtnet_rq_unmap(rq, buf, 0)
    rq_put_buf(rq, buf, quirk(QUIRK_G17), b"add_inbuf_or_put:put")


cdef always_int add_inbuf_or_put(ReceiveQueue* rq, Vq* vq, const Sg* sg, uint64_t token,
                                 uint64_t ctx, uint64_t buf, site_t site) noexcept nogil:
    """Post one page_frag buffer, or put it where the ring refuses."""
    cdef int err = virtqueue_add(vq, sg, 1, token, ctx, rq.index, site)
    if unlikely(err < 0):
        inbuf_put(rq, buf)
    return err


# ---- add_recvbuf_*() ---------------------------------------------------------------------------

cdef always_int add_recvbuf_small(ReceiveQueue* rq, Vq* vq) noexcept nogil:
    """add_recvbuf_small(): pad, header and one good packet, room for shared info behind."""
    cdef uint32_t xdp_headroom = virtnet_get_headroom()
    cdef uint32_t len = (skb_data_align(vi.hdr_len + VIRTNET_RX_PAD + GOOD_PACKET_LEN
                                        + xdp_headroom) + SHINFO_SIZE)
    cdef uint64_t buf, token
    cdef Sg sg
    if rq.page_pool:
        return add_recvbuf_small_pool(rq, vq, len, xdp_headroom)
    if not skb_page_frag_refill(len, &rq.alloc_frag, b"add_recvbuf_small:refill"):
        return -ENOMEM
    buf = virtnet_rq_alloc(rq, len)
    if buf == 0:
        return -ENOMEM
    token = buf
    buf += VIRTNET_RX_PAD + xdp_headroom
    if era_6_12() and not quirk(QUIRK_D05):
        # 6.1, and the 6.10 that D05 is about, store the start of the allocation
        token = buf
    rq_init_one_sg(rq, buf, vi.hdr_len + GOOD_PACKET_LEN, &sg)
    return add_inbuf_or_put(rq, vq, &sg, token, xdp_headroom, buf, b"add_recvbuf_small:add")


cdef int add_recvbuf_big(ReceiveQueue* rq, Vq* vq) noexcept nogil:
    """add_recvbuf_big(): a chain of pages, header and data of the first one as separate parts."""
    cdef Sg sg[SG_MAX]
    cdef int n = vi.big_packets_num_skbfrags
    cdef int i, first, list = 0, err
    for i in range(n + 1, 1, -1):
        first = get_a_page(rq)
        if first == 0:
            if list:
                give_pages(rq, list)
            return -ENOMEM
        sg[i].addr = addr_of(first, 0)
        sg[i].len = PAGE_SIZE
        sg[i].dma = 0
        M_frames[first].private = list
        list = first
    first = get_a_page(rq)
    if first == 0:
        give_pages(rq, list)
        return -ENOMEM
    sg[0].addr = addr_of(first, 0)
    sg[0].len = vi.hdr_len
    sg[0].dma = 0
    sg[1].addr = addr_of(first, PADDED_HDR_LEN)
    sg[1].len = PAGE_SIZE - PADDED_HDR_LEN
    sg[1].dma = 0
    M_frames[first].private = list
    err = virtqueue_add_inbuf(vq, sg, n + 2, token_page(first), 0, rq.index,
                              b"add_recvbuf_big:add")
    if err < 0:
        give_pages(rq, first)
    elif vq.num_free == 0 and n + 2 == vq.num:
        # one list is the whole ring: each comes around where the one before it began
        event(0x5400 + vq.packed + 2 * vq.event + 4 * vq.indirect
              + 8 * <uint32_t>min(vq.added / <uint64_t>vq.num, <uint64_t>4))
    return err


cdef inline uint32_t get_mergeable_buf_len(ReceiveQueue* rq) noexcept nogil:
    """get_mergeable_buf_len(): the clamped average, cache-line aligned; with XDP a page.

    clamp() compares with the upper bound first (both eras): where the lower one is above it, which
    a small ring of large packets makes so, a short average gives the lower one, not the upper.
    """
    cdef uint64_t len = rq.mrg_avg_pkt_len
    if unlikely(vi.xdp_enabled):
        return PAGE_SIZE - xdp_room(XDP_PACKET_HEADROOM)
    if len >= PAGE_SIZE - vi.hdr_len:
        len = PAGE_SIZE - vi.hdr_len
    elif len <= rq.min_buf_len:
        len = rq.min_buf_len
    return skb_data_align(vi.hdr_len + <uint32_t>len)


cdef always_int add_recvbuf_mergeable(ReceiveQueue* rq, Vq* vq, uint32_t len) noexcept nogil:
    """add_recvbuf_mergeable(): the next piece of the chunk, `len` bytes as the average has it; a
    rest too small for another (the hole) is given to this one."""
    cdef PageFrag* pf = &rq.alloc_frag
    cdef uint32_t headroom = virtnet_get_headroom()
    cdef uint32_t room = xdp_room(headroom)
    cdef uint32_t hole, truesize
    cdef uint64_t buf, ctx
    cdef Sg sg
    if rq.page_pool:
        return add_recvbuf_mergeable_pool(rq, vq, len, headroom)
    if not skb_page_frag_refill(len + room, pf, b"add_recvbuf_mergeable:refill"):
        return -ENOMEM
    if (era_6_12() and pf.offset == 0 and len + room + DMA_RECORD_SIZE > pf.size
            and not quirk(QUIRK_A07)):
        # 6aacd1484468: the record at the chunk's start needs its place too
        len -= DMA_RECORD_SIZE
    buf = virtnet_rq_alloc(rq, len + room)
    if buf == 0:
        return -ENOMEM
    buf += headroom
    hole = pf.size - pf.offset
    if hole < len + room:
        if headroom == 0 or not era_6_12() or quirk(QUIRK_A09):
            # 484beac2ffc1: not with headroom, where a frame has one size
            M_bufs[buf_at(pf.page, offset_of(buf))].a_end += hole
            len += hole
        pf.offset += hole
    rq_init_one_sg(rq, buf, len, &sg)
    truesize = len + room if era_6_12() else len
    ctx = mergeable_len_to_ctx(truesize, headroom)
    # the larger of the clamp's bounds, aligned, and a hole that is smaller than that
    cdef uint32_t most = skb_data_align(max(rq.min_buf_len + vi.hdr_len, <uint32_t>PAGE_SIZE))
    if unlikely(len > most + most or mergeable_ctx_to_truesize(ctx) != truesize
                or mergeable_ctx_to_headroom(ctx) != headroom or len < vi.hdr_len):
        violation(CHECK_S39, b"add_recvbuf_mergeable:len", b"rq", rq.index,
                  b"buffer length %lld out of its clamps, or lost in its context word", len, 0, 0)
    return add_inbuf_or_put(rq, vq, &sg, buf, ctx, buf, b"add_recvbuf_mergeable:add")


# ---- refill ------------------------------------------------------------------------------------

cdef bint try_fill_recv(ReceiveQueue* rq) noexcept nogil:
    """try_fill_recv(): add until full or refused, then kick. False: retry later (-ENOMEM only)."""
    cdef Vq* vq = &V_vqs[rq.index]
    # a refill does not change the average
    cdef uint32_t len = get_mergeable_buf_len(rq)
    cdef int err
    rq_check(b"try_fill_recv:rq")
    if unlikely(rq.xsk_pool != 0):
        return kick_filled(rq, vq, add_recvbuf_xsk(rq, vq))
    while True:
        step(b"try_fill_recv:loop")
        if vi.mergeable_rx_bufs:
            err = add_recvbuf_mergeable(rq, vq, len)
        elif vi.big_packets:
            err = add_recvbuf_big(rq, vq)
        else:
            err = add_recvbuf_small(rq, vq)
        if err or vq.num_free == 0:
            break
    return kick_filled(rq, vq, err)


cdef always_int kick_filled(ReceiveQueue* rq, Vq* vq, int err) noexcept nogil:
    """The end of try_fill_recv(), with what the last buffer gave."""
    cdef bint kick, whole
    kick = virtqueue_kick_prepare(vq)
    if kick and virtqueue_notify(vq, rq.index, b"try_fill_recv:kick"):
        rq.stats.kicks += 1
    event(0x1000 + (err != 0) * 64 + vq.num_free)
    # where the refill left a ring of its kind: chains as long as the ring end where they began
    whole = (vi.big_packets and not vi.mergeable_rx_bufs
             and vi.big_packets_num_skbfrags + 2 >= vq.num)
    event(0x1200 + <uint32_t>vq.packed * 32 + <uint32_t>vq.event * 16 + <uint32_t>vq.indirect * 8
          + <uint32_t>whole * 4 + <uint32_t>(vq.avail_wrap_counter != 0) * 2 + <uint32_t>kick)
    return err != -ENOMEM


cdef inline void schedule_refill(int by) noexcept nogil:
    """schedule_delayed_work(&vi->refill): `by` (BY_*) names the caller in what it may lead to."""
    if not vi.refill.pending:
        vi.refill.pending = True
        if by != BY_ITSELF:
            vi.refill_by = by
    ev(b"schedule", b"work", 0, by, 0, b"schedule_refill:work")
