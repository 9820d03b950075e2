# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The rig's primitives of memory, dma, skb, virtqueue and work.

Frames, buffers and skbs are their numbers, addresses are numbers as well. What has no number in the
world lies in numbered places: virtqueues `q`, NAPI contexts `napi`, page_frag allocators `pf`, and
the scatterlist `sg`, of which vq_add takes the first n entries. Without a program the queues begin
as empty split rings of 4.

Options: dma, the device is behind the DMA API; swiotlb, its mappings bounce. A target that has
these parts includes this file behind sim/rig.pxi and calls _rig_add_parts().
"""

cdef enum:
    RIG_PLACES = 4              # NAPI contexts, page_frag allocators

cdef PageFrag X_frags[RIG_PLACES]
cdef Napi X_napi[RIG_PLACES]
cdef Sg X_sg[SG_MAX + 1]
cdef uint32_t X_got_len
cdef uint64_t X_got_ctx


cdef void rig_reset(bint empty) noexcept nogil:
    global M_high_order
    cdef int i
    memset(X_frags, 0, sizeof(X_frags))
    memset(X_napi, 0, sizeof(X_napi))
    if not empty:
        return
    memory_reset()
    skb_reset()
    virtqueues_reset()
    for i in range(VQS_MAX):
        vq_init(&V_vqs[i], 4, False, False, False)
    dma_reset(X.option[0] != 0, X.option[1] != 0)
    M_high_order = True


# ---- memory ------------------------------------------------------------------------------------

cdef int64_t rig_alloc_pages(const int64_t* a) noexcept nogil:
    return alloc_pages(<int>a[0], <int>a[1], X_SITE)


cdef int64_t rig_kmalloc(const int64_t* a) noexcept nogil:
    return kmalloc(<uint32_t>a[0], X_SITE)


cdef int64_t rig_kfree(const int64_t* a) noexcept nogil:
    kfree(a[0], X_SITE)
    return 0


cdef int64_t rig_addr(const int64_t* a) noexcept nogil:
    return addr_of(<int>a[0], <uint32_t>a[1])


cdef int64_t rig_frame(const int64_t* a) noexcept nogil:
    return frame_of(a[0])


cdef int64_t rig_get_page(const int64_t* a) noexcept nogil:
    get_page(<int>a[0], <int>a[1], X_SITE)
    return M_frames[a[0]].refcount


cdef int64_t rig_put_page(const int64_t* a) noexcept nogil:
    put_page(<int>a[0], <int>a[1], X_SITE)
    return M_frames[a[0]].refcount


cdef int64_t rig_move_ref(const int64_t* a) noexcept nogil:
    move_ref(<int>a[0], <int>a[1], <int>a[2], X_SITE)
    return 0


cdef int64_t rig_buf_new(const int64_t* a) noexcept nogil:
    return buf_new(<int>a[0], <uint32_t>a[1], <uint32_t>a[2], X_SITE)


cdef int64_t rig_buf_at(const int64_t* a) noexcept nogil:
    return buf_at(<int>a[0], <uint32_t>a[1])


cdef int64_t rig_put_buf(const int64_t* a) noexcept nogil:
    put_buf(a[0], X_SITE)
    return 0


cdef int64_t rig_cpu_write(const int64_t* a) noexcept nogil:
    cpu_write(a[0], <uint32_t>a[1], X_SITE)
    return 0


cdef int64_t rig_check_read(const int64_t* a) noexcept nogil:
    check_read(a[0], <uint32_t>a[1], X_SITE)
    return 0


cdef int64_t rig_cpu_copy(const int64_t* a) noexcept nogil:
    cpu_copy(a[0], a[1], <uint32_t>a[2], X_SITE)
    return 0


cdef int64_t rig_extent_write(const int64_t* a) noexcept nogil:
    extent_write(<int>a[0], <uint32_t>a[1], <uint32_t>a[2], <int>a[3], <uint32_t>a[4], a[5] != 0,
                 X_SITE)
    return 0


cdef int64_t rig_extents_sync(const int64_t* a) noexcept nogil:
    extents_sync(<int>a[0], <uint32_t>a[1], <uint32_t>a[2], X_SITE)
    return 0


cdef int64_t rig_extent_last(const int64_t* a) noexcept nogil:
    cdef int e = M_frames[a[0]].extents
    while e and M_extents[e].next:
        e = M_extents[e].next
    return e == M_frames[a[0]].extent_last


cdef int64_t rig_unsynced(const int64_t* a) noexcept nogil:
    cdef int e = extent_at(<int>a[0], <uint32_t>a[1])
    return e != 0 and M_extents[e].start <= a[1] and M_extents[e].unsynced


cdef int64_t rig_pieces(const int64_t* a) noexcept nogil:
    return pieces_add(0, a[0], <uint32_t>a[1], X_SITE)


cdef int64_t rig_page_frag_refill(const int64_t* a) noexcept nogil:
    return skb_page_frag_refill(<uint32_t>a[1], &X_frags[a[0]], X_SITE)


cdef int64_t rig_page_frag_take(const int64_t* a) noexcept nogil:
    cdef int b = page_frag_take(&X_frags[a[0]], <uint32_t>a[1], X_SITE)
    return addr_of(M_bufs[b].frame, M_bufs[b].a_start) if b else 0


cdef int64_t rig_high_order(const int64_t* a) noexcept nogil:
    global M_high_order
    M_high_order = a[0] != 0
    return 0


cdef int64_t rig_books_check(const int64_t* a) noexcept nogil:
    books_check(X_SITE)
    return 0


cdef int64_t rig_leak_check(const int64_t* a) noexcept nogil:
    leak_check(X_SITE)
    return 0


cdef void _rig_add_memory():
    _rig_add("alloc_pages order holder -> frame", rig_alloc_pages)
    _rig_add("kmalloc size -> address", rig_kmalloc)
    _rig_add("kfree addr", rig_kfree)
    _rig_add("addr frame offset -> address", rig_addr)
    _rig_add("frame addr -> frame", rig_frame)
    _rig_add("get_page frame holder -> references", rig_get_page)
    _rig_add("put_page frame holder -> references", rig_put_page)
    _rig_add("move_ref frame holder holder", rig_move_ref)
    _rig_add("buf_new frame start end -> buffer", rig_buf_new)
    _rig_add("buf_at frame offset -> buffer", rig_buf_at)
    _rig_add("put_buf addr", rig_put_buf)
    _rig_add("cpu_write addr size", rig_cpu_write)
    _rig_add("check_read addr size", rig_check_read)
    _rig_add("cpu_copy addr addr size", rig_cpu_copy)
    _rig_add("extent_write frame start end origin at unsynced", rig_extent_write)
    _rig_add("extents_sync frame start end", rig_extents_sync)
    _rig_add("extent_last frame -> is the last extent known as such", rig_extent_last)
    _rig_add("unsynced frame offset -> lies the byte in the bounce buffer", rig_unsynced)
    _rig_add("pieces addr size -> number of pieces", rig_pieces)
    _rig_add("page_frag_refill pf size -> is there room", rig_page_frag_refill)
    _rig_add("page_frag_take pf size -> address", rig_page_frag_take)
    _rig_add("high_order on", rig_high_order)
    _rig_add("books_check", rig_books_check)
    _rig_add("leak_check", rig_leak_check)
    _rig_field("memory.drv_refs", &M.drv_refs, sizeof(M.drv_refs))
    _rig_field("memory.exhausted", &M.exhausted, sizeof(M.exhausted))
    _rig_field("frame.refcount", &M_frames[0].refcount, 4, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.size", &M_frames[0].size, 4, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.hold", &M_frames[0].hold[0], 2, FRAMES_MAX, sizeof(Frame), N_HOLDERS, 2)
    _rig_field("frame.live", &M_frames[0].live, 1, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.n_maps", &M_frames[0].n_maps, 4, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.private", &M_frames[0].private, 4, FRAMES_MAX, sizeof(Frame))
    _rig_field("buf.state", &M_bufs[0].state, 1, BUFS_MAX, sizeof(Buf))
    _rig_field("buf.a_start", &M_bufs[0].a_start, 4, BUFS_MAX, sizeof(Buf))
    _rig_field("buf.a_end", &M_bufs[0].a_end, 4, BUFS_MAX, sizeof(Buf))
    _rig_field("buf.p_start", &M_bufs[0].p_start, 4, BUFS_MAX, sizeof(Buf))
    _rig_field("buf.p_end", &M_bufs[0].p_end, 4, BUFS_MAX, sizeof(Buf))
    _rig_field("buf.owner", &M_bufs[0].owner, 4, BUFS_MAX, sizeof(Buf))
    _rig_field("piece.origin", &K_pieces[0].origin, 4, PIECES_MAX, sizeof(Piece))
    _rig_field("piece.at", &K_pieces[0].at, 4, PIECES_MAX, sizeof(Piece))
    _rig_field("piece.size", &K_pieces[0].size, 4, PIECES_MAX, sizeof(Piece))
    _rig_field("pf.page", &X_frags[0].page, 4, RIG_PLACES, sizeof(PageFrag))
    _rig_field("pf.offset", &X_frags[0].offset, 4, RIG_PLACES, sizeof(PageFrag))
    _rig_field("pf.size", &X_frags[0].size, 4, RIG_PLACES, sizeof(PageFrag))


# ---- dma ---------------------------------------------------------------------------------------

cdef int64_t rig_dma_map(const int64_t* a) noexcept nogil:
    return dma_map(a[0], <uint32_t>a[1], <int>a[2], X_SITE)


cdef int64_t rig_dma_unmap(const int64_t* a) noexcept nogil:
    dma_unmap(a[0], <uint32_t>a[1], <int>a[2], a[3] != 0, X_SITE)
    return 0


cdef int64_t rig_dma_sync(const int64_t* a) noexcept nogil:
    dma_sync_for_cpu(a[0], <uint32_t>a[1], <uint32_t>a[2], <uint32_t>a[3], <int>a[4], X_SITE,
                     X_SITE)
    return 0


cdef int64_t rig_dma_read(const int64_t* a) noexcept nogil:
    return dma_resolve(a[0], <uint32_t>a[1], False, X_SITE)


cdef int64_t rig_dma_write(const int64_t* a) noexcept nogil:
    cdef uint64_t addr = dma_resolve(a[0], <uint32_t>a[1], True, X_SITE)
    extent_write(frame_of(addr), offset_of(addr), offset_of(addr) + <uint32_t>a[1], <int>a[2],
                 <uint32_t>a[3], M.bounce, X_SITE)
    return addr


cdef int64_t rig_maps_leak_check(const int64_t* a) noexcept nogil:
    maps_leak_check(X_SITE)
    return 0


cdef void _rig_add_dma():
    _rig_add("dma_map addr size direction -> DMA address", rig_dma_map)
    _rig_add("dma_unmap dma size direction skip_sync", rig_dma_unmap)
    _rig_add("dma_sync dma offset size posted direction", rig_dma_sync)
    _rig_add("dma_read dma size -> address", rig_dma_read)
    _rig_add("dma_write dma size origin at -> address", rig_dma_write)
    _rig_add("maps_leak_check", rig_maps_leak_check)
    _rig_field("dma.n_live", &D.n_live, sizeof(D.n_live))


# ---- skb ---------------------------------------------------------------------------------------

cdef int64_t rig_build_skb(const int64_t* a) noexcept nogil:
    return build_skb(a[0], <uint32_t>a[1], X_SITE)


cdef int64_t rig_alloc_skb(const int64_t* a) noexcept nogil:
    return alloc_head_skb(<uint32_t>a[0], <uint32_t>a[1], X_SITE)


cdef int64_t rig_skb_reserve(const int64_t* a) noexcept nogil:
    skb_reserve(<int>a[0], <uint32_t>a[1], X_SITE)
    return 0


cdef int64_t rig_skb_put(const int64_t* a) noexcept nogil:
    skb_put(<int>a[0], <uint32_t>a[1], X_SITE)
    return 0


cdef int64_t rig_skb_put_data(const int64_t* a) noexcept nogil:
    skb_put_data(<int>a[0], a[1], <uint32_t>a[2], X_SITE)
    return 0


cdef int64_t rig_skb_add_rx_frag(const int64_t* a) noexcept nogil:
    skb_add_rx_frag(<int>a[0], <int>a[1], <int>a[2], <uint32_t>a[3], <uint32_t>a[4],
                    <uint32_t>a[5], X_SITE)
    return 0


cdef int64_t rig_skb_can_coalesce(const int64_t* a) noexcept nogil:
    return skb_can_coalesce(&K_skbs[a[0]], <int>a[1], <int>a[2], <uint32_t>a[3])


cdef int64_t rig_skb_coalesce_rx_frag(const int64_t* a) noexcept nogil:
    skb_coalesce_rx_frag(<int>a[0], <int>a[1], <uint32_t>a[2], <uint32_t>a[3], <uint32_t>a[4],
                         X_SITE)
    return 0


cdef int64_t rig_kfree_skb(const int64_t* a) noexcept nogil:
    kfree_skb(<int>a[0], X_SITE)
    return 0


cdef int64_t rig_pskb_pull_tail(const int64_t* a) noexcept nogil:
    return pskb_pull_tail(<int>a[0], <uint32_t>a[1], X_SITE)


cdef int64_t rig_pskb_may_pull(const int64_t* a) noexcept nogil:
    return pskb_may_pull(<int>a[0], <uint32_t>a[1], X_SITE)


cdef int64_t rig_skb_pieces(const int64_t* a) noexcept nogil:
    return skb_pieces(<int>a[0], X_SITE)


cdef int64_t rig_skb_memory(const int64_t* a) noexcept nogil:
    return skb_memory(<int>a[0], X_SITE)


cdef void _rig_add_skb():
    _rig_add("build_skb addr size -> skb", rig_build_skb)
    _rig_add("alloc_skb size reserve -> skb", rig_alloc_skb)
    _rig_add("skb_reserve skb size", rig_skb_reserve)
    _rig_add("skb_put skb size", rig_skb_put)
    _rig_add("skb_put_data skb addr size", rig_skb_put_data)
    _rig_add("skb_add_rx_frag skb index frame offset size truesize", rig_skb_add_rx_frag)
    _rig_add("skb_can_coalesce skb frags frame offset -> can it", rig_skb_can_coalesce)
    _rig_add("skb_coalesce_rx_frag skb frag offset size truesize", rig_skb_coalesce_rx_frag)
    _rig_add("kfree_skb skb", rig_kfree_skb)
    _rig_add("pskb_pull_tail skb size -> was it done", rig_pskb_pull_tail)
    _rig_add("pskb_may_pull skb size -> was it done", rig_pskb_may_pull)
    _rig_add("skb_pieces skb -> number of pieces", rig_skb_pieces)
    _rig_add("skb_memory skb -> bytes", rig_skb_memory)
    _rig_field("skbs.n_live", &K.n_live, sizeof(K.n_live))
    _rig_field("skb.live", &K_skbs[0].live, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.head", &K_skbs[0].head, 8, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.end", &K_skbs[0].end, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.data", &K_skbs[0].data, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.tail", &K_skbs[0].tail, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.len", &K_skbs[0].len, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.data_len", &K_skbs[0].data_len, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.truesize", &K_skbs[0].truesize, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.nr_frags", &K_skbs[0].nr_frags, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.frag_list", &K_skbs[0].frag_list, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.next", &K_skbs[0].next, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.ip_summed", &K_skbs[0].ip_summed, 1, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.csum_start", &K_skbs[0].csum_start, 2, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.csum_offset", &K_skbs[0].csum_offset, 2, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.gso_size", &K_skbs[0].gso_size, 2, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.gso_type", &K_skbs[0].gso_type, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.hash", &K_skbs[0].hash, 4, SKBS_MAX, sizeof(Skb))
    _rig_field("skb.hash_type", &K_skbs[0].hash_type, 1, SKBS_MAX, sizeof(Skb))
    _rig_field("frag.page", &K_skbs[0].frags[0].page, 4, SKBS_MAX, sizeof(Skb), MAX_SKB_FRAGS,
               sizeof(Frag))
    _rig_field("frag.offset", &K_skbs[0].frags[0].offset, 4, SKBS_MAX, sizeof(Skb),
               MAX_SKB_FRAGS, sizeof(Frag))
    _rig_field("frag.size", &K_skbs[0].frags[0].size, 4, SKBS_MAX, sizeof(Skb), MAX_SKB_FRAGS,
               sizeof(Frag))


# ---- virtqueue ---------------------------------------------------------------------------------

cdef int64_t rig_vq_init(const int64_t* a) noexcept nogil:
    if a[1] <= 0 or a[1] & (a[1] - 1):
        rig_refuse(1, a[1])
    vq_init(&V_vqs[a[0]], <int>a[1], a[2] != 0, a[3] != 0, a[4] != 0)
    return 0


cdef int64_t rig_driver_ok(const int64_t* a) noexcept nogil:
    V.driver_ok = a[0] != 0
    return 0


cdef int64_t rig_in_poll(const int64_t* a) noexcept nogil:
    V.in_poll = a[0] != 0
    return 0


cdef int64_t rig_sg(const int64_t* a) noexcept nogil:
    X_sg[a[0]].addr = a[1]
    X_sg[a[0]].len = <uint32_t>a[2]
    X_sg[a[0]].dma = a[3]
    return 0


cdef int64_t rig_vq_add(const int64_t* a) noexcept nogil:
    return virtqueue_add_inbuf(&V_vqs[a[0]], X_sg, <int>a[1], a[2], a[3], <int>a[0], X_SITE)


cdef int64_t rig_vq_kick_prepare(const int64_t* a) noexcept nogil:
    return virtqueue_kick_prepare(&V_vqs[a[0]])


cdef int64_t rig_vq_notify(const int64_t* a) noexcept nogil:
    return virtqueue_notify(&V_vqs[a[0]], <int>a[0], X_SITE)


cdef int64_t rig_vq_get_buf(const int64_t* a) noexcept nogil:
    return virtqueue_get_buf(&V_vqs[a[0]], &X_got_len, &X_got_ctx, <int>a[0], X_SITE)


cdef int64_t rig_vq_detach_unused(const int64_t* a) noexcept nogil:
    return virtqueue_detach_unused_buf(&V_vqs[a[0]], X_SITE)


cdef int64_t rig_vq_more_used(const int64_t* a) noexcept nogil:
    return more_used(&V_vqs[a[0]])


cdef int64_t rig_vq_disable_cb(const int64_t* a) noexcept nogil:
    virtqueue_disable_cb(&V_vqs[a[0]])
    return 0


cdef int64_t rig_vq_enable_cb(const int64_t* a) noexcept nogil:
    return virtqueue_enable_cb_prepare(&V_vqs[a[0]])


cdef int64_t rig_vq_poll(const int64_t* a) noexcept nogil:
    return virtqueue_poll(&V_vqs[a[0]], <uint16_t>a[1])


cdef int64_t rig_vq_callbacks_off(const int64_t* a) noexcept nogil:
    return callbacks_off(&V_vqs[a[0]])


cdef int64_t rig_vq_check(const int64_t* a) noexcept nogil:
    vq_check(&V_vqs[a[0]], <int>a[0])
    return 0


cdef int64_t rig_dev_fetch(const int64_t* a) noexcept nogil:
    dev_fetch(&V_vqs[a[0]], <int>a[0])
    return V_vqs[a[0]].n_out


cdef Vq* rig_holding(const int64_t* a) noexcept nogil:
    """The queue a[0], of which the device must hold a buffer number a[1]."""
    if a[1] < 0 or a[1] >= V_vqs[a[0]].n_out:
        rig_refuse(1, a[1])
    return &V_vqs[a[0]]


cdef int64_t rig_dev_capacity(const int64_t* a) noexcept nogil:
    return dev_capacity(rig_holding(a), <int>a[1])


cdef int64_t rig_dev_fill(const int64_t* a) noexcept nogil:
    return dev_write(rig_holding(a), <int>a[1], <uint32_t>a[2], <int>a[3], X_SITE)


cdef int64_t rig_dev_use(const int64_t* a) noexcept nogil:
    dev_use(rig_holding(a), <int>a[1], <uint32_t>a[2], <int>a[3])
    return 0


cdef int64_t rig_dev_used_raw(const int64_t* a) noexcept nogil:
    dev_used_raw(&V_vqs[a[0]], <uint32_t>a[1], <uint32_t>a[2], <int>a[3], <int>a[4])
    return 0


cdef int64_t rig_dev_notifications(const int64_t* a) noexcept nogil:
    dev_notifications(&V_vqs[a[0]], a[1] != 0)
    return 0


cdef int64_t rig_dev_wants_interrupt(const int64_t* a) noexcept nogil:
    return dev_wants_interrupt(&V_vqs[a[0]])


cdef void _rig_add_virtqueue():
    _rig_add("vq_init q num packed indirect event", rig_vq_init)
    _rig_add("driver_ok on", rig_driver_ok)
    _rig_add("in_poll on", rig_in_poll)
    _rig_add("sg entry addr size dma", rig_sg)
    _rig_add("vq_add q parts token ctx -> 0 or -errno", rig_vq_add)
    _rig_add("vq_kick_prepare q -> is a kick needed", rig_vq_kick_prepare)
    _rig_add("vq_notify q -> was the device notified", rig_vq_notify)
    _rig_add("vq_get_buf q -> token", rig_vq_get_buf)
    _rig_add("vq_detach_unused q -> token", rig_vq_detach_unused)
    _rig_add("vq_more_used q -> is there a used buffer", rig_vq_more_used)
    _rig_add("vq_disable_cb q", rig_vq_disable_cb)
    _rig_add("vq_enable_cb q -> opaque", rig_vq_enable_cb)
    _rig_add("vq_poll q opaque -> is there a used buffer", rig_vq_poll)
    _rig_add("vq_callbacks_off q -> are they off", rig_vq_callbacks_off)
    _rig_add("vq_check q", rig_vq_check)
    _rig_add("dev_fetch q -> buffers in the device's hands", rig_dev_fetch)
    _rig_add("dev_capacity q out -> bytes", rig_dev_capacity)
    _rig_add("dev_fill q out size origin -> bytes written", rig_dev_fill)
    _rig_add("dev_use q out length origin", rig_dev_use)
    _rig_add("dev_used_raw q id length count origin", rig_dev_used_raw)
    _rig_add("dev_notifications q on", rig_dev_notifications)
    _rig_add("dev_wants_interrupt q -> does the driver ask for one", rig_dev_wants_interrupt)
    _rig_field("got.len", &X_got_len, sizeof(X_got_len))
    _rig_field("got.ctx", &X_got_ctx, sizeof(X_got_ctx))
    _rig_field("vq.broken", &V_vqs[0].broken, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.enabled", &V_vqs[0].enabled, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.event_triggered", &V_vqs[0].event_triggered, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.premapped", &V_vqs[0].premapped, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.num_free", &V_vqs[0].num_free, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.in_flight", &V_vqs[0].in_flight, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.n_out", &V_vqs[0].n_out, 4, VQS_MAX, sizeof(Vq))
    _rig_field("vq.avail_idx", &V_vqs[0].avail_idx, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.next_avail_idx", &V_vqs[0].next_avail_idx, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.used_idx", &V_vqs[0].used_idx, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.used_flags", &V_vqs[0].used_flags, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.used_event", &V_vqs[0].used_event, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.avail_event", &V_vqs[0].avail_event, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.driver_flags", &V_vqs[0].driver_flags, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.device_flags", &V_vqs[0].device_flags, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.device_off_wrap", &V_vqs[0].device_off_wrap, 2, VQS_MAX, sizeof(Vq))
    _rig_field("vq.added", &V_vqs[0].added, 8, VQS_MAX, sizeof(Vq))
    _rig_field("vq.kicked", &V_vqs[0].kicked, 8, VQS_MAX, sizeof(Vq))
    _rig_field("vq.fetched", &V_vqs[0].fetched, 8, VQS_MAX, sizeof(Vq))
    _rig_field("vq.avail_ring", &V_vqs[0].avail_ring[0], 2, VQS_MAX, sizeof(Vq), VQ_MAX, 2)
    _rig_field("vq.out", &V_vqs[0].out[0], 2, VQS_MAX, sizeof(Vq), VQ_MAX, 2)
    _rig_field("desc.addr", &V_vqs[0].desc[0].addr, 8, VQS_MAX, sizeof(Vq), VQ_MAX, sizeof(Desc))
    _rig_field("desc.len", &V_vqs[0].desc[0].len, 4, VQS_MAX, sizeof(Vq), VQ_MAX, sizeof(Desc))
    _rig_field("desc.flags", &V_vqs[0].desc[0].flags, 2, VQS_MAX, sizeof(Vq), VQ_MAX, sizeof(Desc))
    _rig_field("desc.next", &V_vqs[0].desc[0].next, 2, VQS_MAX, sizeof(Vq), VQ_MAX, sizeof(Desc))


# ---- work --------------------------------------------------------------------------------------

cdef int64_t rig_napi_schedule(const int64_t* a) noexcept nogil:
    return napi_schedule_prep(&X_napi[a[0]])


cdef int64_t rig_napi_enable(const int64_t* a) noexcept nogil:
    napi_enable(&X_napi[a[0]], <int>a[0], X_SITE)
    return 0


cdef int64_t rig_napi_disable(const int64_t* a) noexcept nogil:
    return napi_disable(&X_napi[a[0]], <int>a[0], a[1] != 0, X_SITE)


cdef int64_t rig_napi_complete(const int64_t* a) noexcept nogil:
    return napi_complete_done(&X_napi[a[0]])


cdef void _rig_add_work():
    _rig_add("napi_schedule napi -> was it idle", rig_napi_schedule)
    _rig_add("napi_enable napi", rig_napi_enable)
    _rig_add("napi_disable napi may_wait -> is it the caller's", rig_napi_disable)
    _rig_add("napi_complete napi -> is it idle", rig_napi_complete)
    _rig_field("napi.state", &X_napi[0].state, 4, RIG_PLACES, sizeof(Napi))
    _rig_field("napi.busy", &X_napi[0].busy, 4, RIG_PLACES, sizeof(Napi))


# ---- all of them -------------------------------------------------------------------------------

_RIG_OPTIONS = ("dma", "swiotlb")

_RIG_CONSTANTS.update({
    "H_DRV": H_DRV, "H_RING": H_RING, "H_FRAG": H_FRAG, "H_SKB": H_SKB, "H_LIST": H_LIST,
    "H_DMA": H_DMA, "H_KERNEL": H_KERNEL,
    "B_GONE": B_GONE, "B_DRV": B_DRV, "B_RING": B_RING, "B_SKB": B_SKB,
    "DMA_TO_DEVICE": DMA_TO_DEVICE, "DMA_FROM_DEVICE": DMA_FROM_DEVICE, "DMA_ERROR": -1,
    "NAPI_DISABLED": NAPI_DISABLED, "NAPI_IDLE": NAPI_IDLE, "NAPI_SCHEDULED": NAPI_SCHEDULED,
    "CHECKSUM_NONE": CHECKSUM_NONE, "CHECKSUM_UNNECESSARY": CHECKSUM_UNNECESSARY,
    "CHECKSUM_PARTIAL": CHECKSUM_PARTIAL, "SHINFO_SIZE": SHINFO_SIZE,
    "SKB_STRUCT_SIZE": SKB_STRUCT_SIZE, "MAX_SKB_FRAGS": MAX_SKB_FRAGS, "SG_MAX": SG_MAX,
})

_RIG_LIMITS.update({
    "addr": <int64_t>FRAMES_MAX << ADDR_SHIFT, "entry": SG_MAX + 1, "frag": MAX_SKB_FRAGS,
    "frags": MAX_SKB_FRAGS + 1, "frame": FRAMES_MAX, "holder": N_HOLDERS, "napi": RIG_PLACES,
    "num": VQ_MAX + 1, "offset": 1 << ADDR_SHIFT, "order": 8, "parts": SG_MAX + 2,
    "pf": RIG_PLACES, "q": VQS_MAX, "skb": SKBS_MAX,
})


cdef void _rig_add_parts():
    _rig_add_memory()
    _rig_add_dma()
    _rig_add_skb()
    _rig_add_virtqueue()
    _rig_add_work()
