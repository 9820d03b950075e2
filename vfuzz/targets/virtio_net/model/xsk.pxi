# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_XDP zero copy: sockets are bound to queues, and their chunks are the buffers.

6.12 has the code, and no release of it says so to the core (XSK_ZC); 7.2 does. The page pool of a
queue stays while a socket is bound to it: it has no buffer in the ring then. 6.1 refuses a bind.
"""


cdef inline int xsk_of_token(uint64_t token) noexcept nogil:
    return <int><uint32_t>token


cdef inline bint xsk_bound(int q) noexcept nogil:
    """xsk_get_pool_from_qid(), as the core has it."""
    return unlikely(Z.ever) and Z_pools[q].live


cdef bint xsk_any_bound() noexcept nogil:
    cdef int i
    for i in range(vi.max_queue_pairs):
        if Z_pools[i].live:
            return True
    return False


# ---- refill ------------------------------------------------------------------------------------

cdef int add_recvbuf_xsk(ReceiveQueue* rq, Vq* vq) noexcept nogil:
    """virtnet_add_recvbuf_xsk(): as many chunks as there are, up to a full ring; the header has the
    last bytes of their headroom. 0, -ENOMEM where there is none, or what the ring says. 7.2 tells a
    user who wants to know, and that is no failure: NAPI does not come again by itself."""
    cdef int pool = rq.xsk_pool - 1
    cdef uint32_t len = xsk_frame_size(&Z_pools[pool]) + vi.hdr_len
    cdef int i, k, n, err
    cdef Sg sg
    n = xsk_buff_alloc_batch(pool, vq.num_free, Z_batch, b"add_recvbuf_xsk:alloc")
    if era_7_2():
        Z_pools[pool].rx_wakeup = n == 0 and Z_pools[pool].need_wakeup
    if n == 0:
        return 0 if Z_pools[pool].rx_wakeup else -ENOMEM
    check_write(rq.xsk_buffs, <uint32_t>n * 8, b"add_recvbuf_xsk:buffs")
    for i in range(n):
        step(b"add_recvbuf_xsk:loop")
        sg.addr = xsk_hard_start(Z_batch[i]) + XDP_PACKET_HEADROOM - vi.hdr_len
        sg.len = len
        sg.dma = xsk_buff_dma(Z_batch[i]) - vi.hdr_len
        err = virtqueue_add_inbuf(vq, &sg, 1, TOKEN_XSK | <uint64_t>Z_batch[i], 0, rq.index,
                                  b"add_recvbuf_xsk:add")
        if err < 0:
            for k in range(i, n):
                xsk_buff_free(Z_batch[k], b"add_recvbuf_xsk:err")
            return err
    event(0x7000 + <uint32_t>n)
    return 0


# ---- reception ---------------------------------------------------------------------------------

cdef bint buf_to_xdp(ReceiveQueue* rq, int id, uint32_t len, bint first,
                     XdpBuff* x) noexcept nogil:
    """buf_to_xdp(): a used chunk as x, its length without a vnet header; False: too long, and it is
    free. A further one begins where the first one's header would be; 6.12 says so at the copy."""
    cdef uint32_t bufsize = xsk_frame_size(&Z_pools[rq.xsk_pool - 1])
    cdef uint32_t front = 0 if first else vi.hdr_len
    if not first or quirk(QUIRK_A06):
        # 5177373c3131: the header of a first one is not in len any more
        bufsize += vi.hdr_len
    if len > bufsize:
        vi.rx_length_errors += 1
        xsk_buff_free(id, b"buf_to_xdp:too_long")
        return False
    xsk_buff_set_size(id, len, x)
    if era_7_2():
        x.data -= front
        x.data_meta = x.data
        x.data_end -= front
        front = 0
    judge_xsk_posted(id, x, front)
    xsk_buff_dma_sync_for_cpu(id, b"buf_to_xdp:sync")
    return True


cdef int xsk_construct_skb(const XdpBuff* x) noexcept nogil:
    """xsk_construct_skb(): a copy, headroom and metadata included; 0 without memory. The chunk is
    free in any case."""
    cdef uint32_t metasize = <uint32_t>(x.data - x.data_meta)
    cdef int s = alloc_head_skb(napi_head_size(<uint32_t>(x.data_end - x.hard_start)), NET_SKB_PAD,
                                b"xsk_construct_skb:alloc")
    if s:
        skb_reserve(s, <uint32_t>(x.data_meta - x.hard_start), b"xsk_construct_skb:reserve")
        skb_put_data(s, x.data_meta, <uint32_t>(x.data_end - x.data_meta),
                     b"xsk_construct_skb:copy")
        K_skbs[s].data += metasize
        K_skbs[s].len -= metasize
        skb_metadata_set(s, x)
    xsk_buff_free(x.zc, b"xsk_construct_skb:free")
    return s


cdef int virtnet_receive_xsk_small(ReceiveQueue* rq, XdpBuff* x, RqStats* stats) noexcept nogil:
    cdef int act = XDP_PASS
    if rq.xdp_prog:
        act = xdp_handler(rq, x, 0)
    if act == XDP_PASS:
        return xsk_construct_skb(x)
    if act == XDP_TX or act == XDP_REDIRECT:
        return 0
    xsk_buff_free(x.zc, b"virtnet_receive_xsk_small:drop")
    stats.drops += 1
    return 0


cdef void xsk_drop_follow_bufs(ReceiveQueue* rq, uint32_t num_buf, RqStats* stats) noexcept nogil:
    """xsk_drop_follow_bufs(): the other buffers of a packet that is dropped."""
    cdef uint64_t token
    cdef uint32_t len
    while num_buf > 1:
        step(b"xsk_drop_follow_bufs:loop")
        num_buf -= 1
        token = virtqueue_get_buf(&V_vqs[rq.index], &len, NULL, rq.index,
                                  b"xsk_drop_follow_bufs:get")
        if token == 0:
            vi.rx_length_errors += 1
            break
        stats.bytes += len
        xsk_buff_free(xsk_of_token(token), b"xsk_drop_follow_bufs:free")


cdef uint64_t napi_alloc_frag(uint32_t size) noexcept nogil:
    """napi_alloc_frag(): so many bytes for a copy, 0 without memory. Pieces of one page are each a
    page here where they lie from its end on downwards, so that none goes on where the last one
    ended: before 6.13."""
    cdef int page
    size = skb_data_align(max(size, <uint32_t>1))
    if era_7_2():
        return page_frag_alloc(size, b"napi_alloc_frag:take")
    page = alloc_pages(0, H_DRV, b"napi_alloc_frag:alloc")
    if page == 0:
        return 0
    if buf_new(page, 0, size, b"napi_alloc_frag:buf") == 0:
        # uncovered: each of these has a frame of its own, and frames run out first
        put_page(page, H_DRV, b"napi_alloc_frag:exhausted")
        return 0
    M_frames[page].copy = True
    return addr_of(page, 0)


cdef int xsk_append_merge_buffer(ReceiveQueue* rq, int head, uint32_t num_buf,
                                 RqStats* stats) noexcept nogil:
    """xsk_append_merge_buffer(): copies of the other buffers join head; 0 or -EINVAL."""
    cdef int id, next, curr = head
    cdef uint32_t len
    cdef uint64_t token, buf
    cdef XdpBuff x
    while True:
        step(b"xsk_append_merge_buffer:loop")
        # R04: num_buffers 0 wraps
        num_buf -= 1
        if num_buf == 0:
            return 0
        token = virtqueue_get_buf(&V_vqs[rq.index], &len, NULL, rq.index,
                                  b"xsk_append_merge_buffer:get")
        if token == 0:
            vi.rx_length_errors += 1
            return -EINVAL
        stats.bytes += len
        id = xsk_of_token(token)
        if not buf_to_xdp(rq, id, len, False, &x):
            break
        buf = napi_alloc_frag(len)
        if buf == 0:
            xsk_buff_free(id, b"xsk_append_merge_buffer:no_memory")
            break
        xdp_page_copy(frame_of(buf), offset_of(buf), x.data if era_7_2() else x.data - vi.hdr_len,
                      len, b"xsk_append_merge_buffer:copy")
        xsk_buff_free(id, b"xsk_append_merge_buffer:free")
        # R08: truesize is the length
        next = append_frag(rq, head, curr, buf, len, len)
        if next == 0:
            put_buf(buf, b"xsk_append_merge_buffer:put")
            break
        curr = next
    xsk_drop_follow_bufs(rq, num_buf, stats)
    return -EINVAL


cdef int virtnet_receive_xsk_merge(ReceiveQueue* rq, XdpBuff* x, RqStats* stats) noexcept nogil:
    cdef uint8_t nb[2]
    cdef uint32_t num_buf
    cdef int s, act = XDP_PASS
    hdr_read(x.data - vi.hdr_len + 10, 2, nb, b"virtnet_receive_xsk_merge:num_buffers")
    num_buf = nb[0] | (<uint32_t>nb[1] << 8)
    event(0x7100 + min(num_buf, <uint32_t>40))
    if rq.xdp_prog:
        if num_buf == 1:
            act = xdp_handler(rq, x, 0)
        elif not quirk(QUIRK_B17):
            # 1ab665817448
            act = XDP_ABORTED
    if act == XDP_TX or act == XDP_REDIRECT:
        return 0
    if act == XDP_PASS:
        s = xsk_construct_skb(x)
        if s:
            if xsk_append_merge_buffer(rq, s, num_buf, stats) == 0:
                return s
            kfree_skb(s, b"virtnet_receive_xsk_merge:kfree_skb")
            stats.drops += 1
            return 0
    else:
        xsk_buff_free(x.zc, b"virtnet_receive_xsk_merge:drop")
    xsk_drop_follow_bufs(rq, num_buf, stats)
    stats.drops += 1
    return 0


cdef void virtnet_receive_xsk_buf(ReceiveQueue* rq, int id, uint32_t len,
                                  RqStats* stats) noexcept nogil:
    """virtnet_receive_xsk_buf(): one used chunk, and those of its packet. S4: what the device says
    is taken for a length before anybody looks at it."""
    cdef int s
    cdef uint8_t flags[1]
    cdef XdpBuff x
    if unlikely(len < vi.hdr_len):
        violation(CHECK_S4, b"virtnet_receive_xsk_buf:len", b"rq", rq.index,
                  b"a used length of %lld without its header of %lld bytes is counted as bytes",
                  len, vi.hdr_len, 0)
    len -= vi.hdr_len
    stats.bytes += len
    if not buf_to_xdp(rq, id, len, True, &x):
        return
    if len < ETH_HLEN:
        vi.rx_length_errors += 1
        xsk_buff_free(id, b"virtnet_receive_xsk_buf:short")
        return
    hdr_read(x.data - vi.hdr_len, 1, flags, b"virtnet_receive_xsk_buf:flags")
    rq.flags = flags[0]
    if vi.mergeable_rx_bufs:
        s = virtnet_receive_xsk_merge(rq, &x, stats)
    else:
        s = virtnet_receive_xsk_small(rq, &x, stats)
    if s:
        virtnet_receive_done(rq, s, flags[0], False)


cdef void virtnet_receive_xsk_bufs(ReceiveQueue* rq, int budget, RqStats* stats) noexcept nogil:
    """virtnet_receive_xsk_bufs(): up to `budget` packets."""
    cdef RqStats was
    cdef uint32_t len
    cdef uint64_t token, len_errors, frame_errors
    while stats.packets < <uint64_t>budget:
        step(b"virtnet_receive_xsk_bufs:loop")
        packet_begin()
        token = virtqueue_get_buf(&V_vqs[rq.index], &len, NULL, rq.index,
                                  b"virtnet_receive_xsk_bufs:get")
        if token == 0:
            break
        packet_taken(rq)
        judge_xsk_begin(rq)
        was = stats[0]
        len_errors = vi.rx_length_errors
        frame_errors = vi.rx_frame_errors
        virtnet_receive_xsk_buf(rq, xsk_of_token(token), len, stats)
        judge_xsk_end(rq, stats.drops - was.drops)
        packet_end(rq, &was, stats, vi.rx_length_errors - len_errors,
                   vi.rx_frame_errors - frame_errors)
        judge_xsk_over()
        stats.packets += 1


# ---- binding -----------------------------------------------------------------------------------

cdef int xsk_rxq_info_reg(ReceiveQueue* rq) noexcept nogil:
    """xdp_rxq_info_reg() of xsk_rxq_info. A fault site (alloc), as for the queue's own."""
    if fault(FAULT_ALLOC, b"xsk_rxq_info_reg:alloc"):
        return -ENOMEM
    rq.xsk_rxq = RXQ_REGISTERED
    return 0


cdef int rq_bind_xsk_pool(ReceiveQueue* rq, int pool) noexcept nogil:
    """virtnet_rq_bind_xsk_pool(): the queue is emptied, then it has the pool, or none (-1)."""
    cdef Vq* vq = &V_vqs[rq.index]
    cdef int err
    if pool >= 0:
        err = xsk_rxq_info_reg(rq)
        if err < 0:
            return err
    virtnet_rx_pause(rq)
    preempt()
    virtqueue_recycle(rq.index)
    virtqueue_empty(vq, vq.num, False)
    # the driver maps chunks, and maps or not what it has else
    vq.premapped = pool >= 0 or rq.do_dma or rq.use_pool_dma
    rq.xsk_pool = pool + 1
    preempt()
    virtnet_rx_resume(rq)
    if pool < 0:
        rq.xsk_rxq = RXQ_UNREGISTERED
    return 0


cdef void sq_bind_xsk_pool(int q) noexcept nogil:
    """virtnet_sq_bind_xsk_pool(), as far as frames in the ring go."""
    cdef TxRing* r = &vi_sq[q].vq
    cdef bint broken = r.broken
    sq_free_unused(q)
    txring_init(r, r.num, r.indirect, r.packed, r.event)
    r.broken = broken
    virtnet_napi_tx_enable(q)


cdef int virtnet_xsk_pool_enable(int q) noexcept nogil:
    """virtnet_xsk_pool_enable(): 0, -ENOENT, -EINVAL or -ENOMEM."""
    cdef ReceiveQueue* rq = &vi_rq[q]
    cdef uint64_t hdr_dma
    cdef int err
    if rq.page_pool == 0 if era_7_2() else vi.big_packets and not vi.mergeable_rx_bufs:
        return -ENOENT
    if q >= vi.curr_queue_pairs:
        return -EINVAL      # uncovered: the core knows as many receive queues
    if not (rq.use_pool_dma if era_7_2() else D.use_dma_api):
        # virtqueue_dma_dev()
        return -EINVAL
    rq_check(b"virtnet_xsk_pool_enable:rq")
    rq.xsk_buffs = kmalloc(<uint32_t>V_vqs[q].num * 8, b"virtnet_xsk_pool_enable:buffs")
    if rq.xsk_buffs == 0:
        return -ENOMEM
    err = -ENOMEM
    hdr_dma = dma_map(Z.hdr, vi.hdr_len, DMA_TO_DEVICE, b"virtnet_xsk_pool_enable:hdr")
    if hdr_dma != DMA_ERROR:
        err = xp_dma_map(q)
        if err == 0:
            err = rq_bind_xsk_pool(rq, q)
            if err == 0:
                sq_bind_xsk_pool(q)
                rq.xsk_hdr_dma = hdr_dma
                return 0
            xp_dma_unmap(q)
        dma_unmap(hdr_dma, vi.hdr_len, DMA_TO_DEVICE, False, b"virtnet_xsk_pool_enable:unmap")
    if not quirk(QUIRK_B16):
        # 4397684a292a
        kfree(rq.xsk_buffs, b"virtnet_xsk_pool_enable:free_buffs")
    return err


cdef int virtnet_xsk_pool_disable(int q) noexcept nogil:
    """virtnet_xsk_pool_disable(): 0, or -EINVAL where the queue is out of use, and all stays."""
    cdef ReceiveQueue* rq = &vi_rq[q]
    if q >= vi.curr_queue_pairs:
        return -EINVAL
    rq_bind_xsk_pool(rq, -1)
    sq_bind_xsk_pool(q)
    xp_dma_unmap(q)
    dma_unmap(rq.xsk_hdr_dma, vi.hdr_len, DMA_TO_DEVICE, False, b"virtnet_xsk_pool_disable:hdr")
    kfree(rq.xsk_buffs, b"virtnet_xsk_pool_disable:buffs")
    return 0


cdef void xsk_release(int q) noexcept nogil:
    """The socket of a queue is closed: xp_clear_dev(), which only warns where the driver fails."""
    virtnet_xsk_pool_disable(q)
    judge_xsk_unbound(q)
    xsk_umem_free(q)


cdef void xsk_unregister() noexcept nogil:
    """xsk_notifier(): the device goes, and with it every socket's binding."""
    cdef int i
    for i in range(vi.max_queue_pairs):
        if Z_pools[i].live:
            xsk_release(i)


cdef int virtnet_xsk_wakeup(int q, bint rx) noexcept nogil:
    """virtnet_xsk_wakeup() of one direction; 6.12 does not know that there are two. The send
    queue's context runs before anything that is a program's op."""
    if not vi.running:
        return -ENETDOWN    # uncovered: the socket's own look comes first
    if q >= vi.curr_queue_pairs:
        return -EINVAL
    if rx:
        virtqueue_napi_schedule(&vi_rq[q])
    else:
        virtnet_napi_tx_enable(q)
    return 0


cdef int dev_xsk_wakeup(int q) noexcept nogil:
    """sendto() and recvfrom(): xsk_check_common() has a word before the driver, which is woken for
    reception where it asked for that."""
    cdef int err
    if not vi.up:
        return -ENETDOWN
    err = virtnet_xsk_wakeup(q, False)
    if err == 0 and Z_pools[q].rx_wakeup:
        err = virtnet_xsk_wakeup(q, True)
    return err


# ---- the user's ops ----------------------------------------------------------------------------

cdef int dev_xsk_bind(const vf_op* op, int q) noexcept nogil:
    """A umem is registered, then bind(): what xdp_umem_reg(), xsk_bind() and xp_assign_dev() ask
    first, in that order; 6.1's virtio_net has no ndo_xsk_wakeup and is refused as one that cannot.
    An interface that is down is as good as any."""
    cdef uint32_t chunk_size = <uint32_t>2048 << op.arg[XSK_BIND_CHUNK]
    cdef uint32_t headroom = op.arg[XSK_BIND_HEADROOM]
    cdef uint32_t room
    cdef int err
    if headroom > chunk_size - XDP_PACKET_HEADROOM - XSK_TAILROOM_MIN:
        return -EINVAL
    if not vi.registered or not vi.present:
        return -ENODEV
    if xsk_bound(q):
        return -EBUSY
    if q >= vi.real_num_rx_queues:
        return -EINVAL
    if not era_6_12() or not (era_7_2() or feature(BOOT_FEATURES_XSK_ZC)):
        return -EOPNOTSUPP
    room = (chunk_size - headroom - XDP_PACKET_HEADROOM) & ~<uint32_t>(XSK_FRAME_ALIGN - 1)
    if vi.mtu + ETH_PAD_LEN > room:
        return -EINVAL
    if not xsk_umem_new(q, chunk_size, headroom, <int>op.arg[XSK_BIND_CHUNKS],
                        1 << op.arg[XSK_BIND_RX_ORDER]):
        return -ENOMEM      # uncovered: the simulation's memory, not the kernel's
    Z_pools[q].need_wakeup = op.arg[XSK_BIND_NEED_WAKEUP]
    if Z.hdr == 0:
        Z.hdr = addr_of(frame_new(F_KMALLOC, VNET_HDR_HASH_LEN, H_KERNEL, b"dev_xsk_bind:hdr"), 0)
    xsk_user_fill(&Z_pools[q], <int>op.arg[XSK_BIND_FILLED], False)
    err = virtnet_xsk_pool_enable(q)
    if err:
        xsk_umem_free(q)
    event(0x7200 + <uint32_t>(err != 0) * 32 + <uint32_t>vi.mergeable_rx_bufs * 16
          + <uint32_t>D.swiotlb * 8 + <uint32_t>op.arg[XSK_BIND_CHUNK] * 4
          + <uint32_t>(op.arg[XSK_BIND_FILLED] != 0) * 2 + <uint32_t>(vi_rq[q].xdp_prog != 0))
    return err


cdef int op_xsk_take(int q, uint32_t count) noexcept nogil:
    cdef uint32_t n = 0
    cdef int k
    while n < count:
        step(b"op_xsk_take:loop")
        k = xsk_user_take(&Z_pools[q])
        if k < 0:
            break
        if unlikely(W_trace):
            observe_chunk(xsk_id(q, k))
        judge_xsk_taken(xsk_id(q, k))
        n += 1
    return <int>n


cdef apart_void op_xsk(const vf_op* op) noexcept nogil:
    """The ops of AF_XDP: -1 where the queue has no socket."""
    cdef int q = <int>op.arg[0]
    cdef int kind = op.kind
    q = q % vi.max_queue_pairs if vi.max_queue_pairs else 0
    if kind == OP_XSK_BIND:
        race_begin(<int>op.arg[XSK_BIND_RACE], <int>op.arg[XSK_BIND_AT])
        obs(b"ret", dev_xsk_bind(op, q))
    elif not xsk_bound(q):
        obs(b"ret", -1)
    elif kind == OP_XSK_UNBIND:
        race_begin(<int>op.arg[XSK_UNBIND_RACE], <int>op.arg[XSK_UNBIND_AT])
        xsk_release(q)
        obs(b"ret", 0)
    elif kind == OP_XSK_FILL:
        obs(b"ret", xsk_user_fill(&Z_pools[q], <int>op.arg[XSK_FILL_COUNT], op.arg[XSK_FILL_WRONG]))
    elif kind == OP_XSK_TAKE:
        obs(b"ret", op_xsk_take(q, op.arg[XSK_TAKE_COUNT]))
    else:
        obs(b"ret", dev_xsk_wakeup(q))
    if unlikely(W_trace):
        observe_socket(q)
