# SPDX-License-Identifier: GPL-2.0-or-later
"""Probe, open, close, queue counts, ring size, suspend and resume, removal."""


# ---- queues ------------------------------------------------------------------------------------

cdef uint32_t mergeable_min_buf_len() noexcept nogil:
    """mergeable_min_buf_len(): so large that a full ring holds at least one full packet."""
    cdef uint32_t packet_len = IP_MAX_MTU if vi.big_packets else vi.max_mtu
    cdef uint32_t buf_len = vi.hdr_len + ETH_HLEN + VLAN_HLEN + packet_len
    cdef uint32_t least = (buf_len + vi.ring_num - 1) / vi.ring_num
    return max(max(least, vi.hdr_len) - vi.hdr_len, <uint32_t>GOOD_PACKET_LEN)


cdef void free_queues() noexcept nogil:
    """virtnet_free_queues(): the arrays go, the pointers stay (R11)."""
    kfree(vi.rq_mem, b"free_queues:rq")
    kfree(vi.sq_mem, b"free_queues:sq")
    if not era_6_12():
        kfree(vi.rss_table_mem, b"free_queues:rss_table")
        vi.rss_table_mem = 0
    kfree(vi.ctrl_mem, b"free_queues:ctrl")
    vi.ctrl_mem = 0


cdef inline uint32_t rss_entries() noexcept nogil:
    """rss_indir_table_size: read from the device with VIRTIO_NET_F_RSS only."""
    return P.boot[BOOT_RSS_MAX_INDIRECTION_TABLE_LENGTH] if vi.has_rss else 0


cdef uint64_t rss_hdr_alloc(site_t site) noexcept nogil:
    """6.12 kzalloc(virtnet_rss_hdr_size()): header and table, one entry where there is no RSS. The
    header of 8 bytes lies behind the table here, so that a write beyond the table is one beyond
    the object; A19: a fixed table of 128 entries."""
    cdef uint32_t entries = rss_entries() if vi.has_rss else 1
    if quirk(QUIRK_A19):
        entries = 128
    return kmalloc(2 * entries if entries else 8, site)


cdef void rss_table_write(site_t site) noexcept nogil:
    """Every entry of the indirection table gets a queue (virtnet_rss_update_by_qpairs())."""
    if rss_entries():
        cpu_write(vi.rss_table_mem, 2 * rss_entries(), site)


cdef int alloc_queues() noexcept nogil:
    """virtnet_alloc_queues(): control buffer, queue arrays, in 6.1 the RSS table. 0 or -ENOMEM."""
    cdef int i
    cdef ReceiveQueue* rq
    cdef uint32_t entries = rss_entries()
    vi.ctrl_mem = 0
    if vi.has_cvq:
        vi.ctrl_mem = kmalloc(64, b"alloc_queues:ctrl")
        if vi.ctrl_mem == 0:
            return -ENOMEM
        if entries and not era_6_12():
            # rss_indirection_table_alloc(); A19: a fixed array of 128 entries
            vi.rss_table_mem = kmalloc(256 if quirk(QUIRK_A19) else 2 * entries,
                                       b"alloc_queues:rss_table")
            if vi.rss_table_mem == 0:
                kfree(vi.ctrl_mem, b"alloc_queues:err_ctrl")
                vi.ctrl_mem = 0
                return -ENOMEM
    vi.sq_mem = kmalloc(<uint32_t>vi.max_queue_pairs * 256, b"alloc_queues:sq")
    if vi.sq_mem:
        vi.rq_mem = kmalloc(<uint32_t>vi.max_queue_pairs * 512, b"alloc_queues:rq")
        if vi.rq_mem == 0:
            kfree(vi.sq_mem, b"alloc_queues:err_sq")
    if vi.sq_mem == 0 or vi.rq_mem == 0:
        if not era_6_12():
            kfree(vi.rss_table_mem, b"alloc_queues:err_table")
            vi.rss_table_mem = 0
        kfree(vi.ctrl_mem, b"alloc_queues:err_ctrl_rq")
        vi.ctrl_mem = 0
        return -ENOMEM
    if unlikely(vi.refill.pending or vi.refill_blocked):
        violation(CHECK_S1, b"alloc_queues:init_work", b"work", 0,
                  b"refill work initialised anew while it is pending", 0, 0, 0)
    vi.resumed = vi.registered
    memset(&vi.xdp_stats, 0, sizeof(vi.xdp_stats))
    packet_begin_xdp()
    for i in range(vi.max_queue_pairs):
        rq = &vi_rq[i]
        memset(rq, 0, sizeof(ReceiveQueue))
        memset(&vi_sq[i].stats, 0, sizeof(SqStats))
        rq.index = i
        # 6.12's code; no release sets it (three reverts before 6.11), 6.6..6.10 and 6.13 on do
        rq.do_dma = (era_6_12() and not era_7_2() and feature(BOOT_FEATURES_PREMAPPED)
                     and D.use_dma_api
                     and (vi.mergeable_rx_bufs or not vi.big_packets or quirk(QUIRK_B18)))
    return 0


cdef int init_vqs() noexcept nogil:
    """init_vqs(): arrays, then one receive ring per queue pair."""
    cdef int i
    cdef uint64_t names
    if alloc_queues():
        return -ENOMEM
    # virtnet_find_vqs() needs a temporary array or the queues are freed again
    names = kmalloc(64, b"init_vqs:find_vqs")
    if names == 0:
        free_queues()
        return -ENOMEM
    for i in range(vi.max_queue_pairs):
        vq_init(&V_vqs[i], <int>vi.ring_num, feature(BOOT_FEATURES_RING_PACKED),
                feature(BOOT_FEATURES_INDIRECT_DESC) and vi.big_packets
                and not vi.mergeable_rx_bufs, feature(BOOT_FEATURES_EVENT_IDX))
        # B18 is about the driver's helper: the ring maps big buffers all the same
        V_vqs[i].premapped = ((vi_rq[i].do_dma or pool_can_map())
                              and (vi.mergeable_rx_bufs or not vi.big_packets))
        V_vqs[i].enabled = False
        vi_rq[i].min_buf_len = mergeable_min_buf_len()
        txring_init(&vi_sq[i].vq, <int>vi.ring_num, feature(BOOT_FEATURES_INDIRECT_DESC),
                    feature(BOOT_FEATURES_RING_PACKED), feature(BOOT_FEATURES_EVENT_IDX))
    kfree(names, b"init_vqs:free_names")
    return 0


cdef void virtio_device_ready() noexcept nogil:
    cdef int i
    V.driver_ok = True
    for i in range(vi.max_queue_pairs):
        V_vqs[i].enabled = True


# ---- probe -------------------------------------------------------------------------------------

cdef void virtnet_probe() noexcept nogil:
    """virtnet_validate() and virtnet_probe(), as far as reception goes."""
    cdef uint32_t f = P.boot[BOOT_FEATURES]
    cdef uint32_t mtu = 0
    cdef int key
    cdef bint guest_gso
    memset(&vi, 0, sizeof(vi))
    vi.max_mtu = MAX_MTU
    vi.max_queue_pairs = 1
    vi.has_cvq = True
    if f & (BOOT_FEATURES_MQ | BOOT_FEATURES_RSS):
        vi.max_queue_pairs = <int>P.boot[BOOT_PAIRS]
    vi.mergeable_rx_bufs = (f & BOOT_FEATURES_MRG_RXBUF) != 0
    vi.has_rss_hash_report = (f & BOOT_FEATURES_HASH_REPORT) != 0
    vi.has_rss = (f & BOOT_FEATURES_RSS) != 0
    vi.rxhash = (f & BOOT_FEATURES_RXHASH) != 0
    vi.fraglist = quirk(QUIRK_A17)
    # 604141c036e1: as if only what is negotiated were validated
    vi.rxcsum = not quirk(QUIRK_D06) or (f & BOOT_FEATURES_GUEST_CSUM) != 0
    vi.xdp_csum = era_6_12() and (f & BOOT_FEATURES_XDP_CSUM) != 0
    if era_6_12():
        vi.rss_table_mem = rss_hdr_alloc(b"virtnet_probe:rss_hdr")
    if vi.has_rss or vi.has_rss_hash_report:
        if (P.boot[BOOT_RSS_MAX_KEY_SIZE] > RSS_MAX_KEY_SIZE and not quirk(QUIRK_A18)
                and not era_7_2()):
            # 3f7d9c1964fc: probe fails, there is no device. 6.12 forgets what it just allocated
            vi.max_queue_pairs = 0
            obs(b"probe", -EINVAL)
            return
    if vi.has_rss_hash_report:
        vi.hdr_len = VNET_HDR_HASH_LEN
    elif f & (BOOT_FEATURES_MRG_RXBUF | BOOT_FEATURES_VERSION_1):
        vi.hdr_len = VNET_HDR_MRG_LEN
    else:
        vi.hdr_len = VNET_HDR_LEN
    if f & BOOT_FEATURES_MTU:
        mtu = P.boot[BOOT_MTU]
        vi.max_mtu = mtu
    guest_gso = (f & (BOOT_FEATURES_GUEST_TSO4 | BOOT_FEATURES_GUEST_TSO6
                      | BOOT_FEATURES_GUEST_ECN | BOOT_FEATURES_GUEST_UFO)) != 0
    if era_6_12() and f & BOOT_FEATURES_GUEST_USO:
        guest_gso = True
    if mtu > ETH_DATA_LEN or guest_gso:
        vi.big_packets = True
        vi.big_packets_num_skbfrags = (MAX_SKB_FRAGS if guest_gso
                                       else <int>((mtu + PAGE_SIZE - 1) / PAGE_SIZE))
    vi.mtu = mtu if f & BOOT_FEATURES_MTU else ETH_DATA_LEN
    vi.guest_offloads = f & guest_offload_bits()
    vi.ring_num = ring_at_least(<uint32_t>1 << P.boot[BOOT_RING_ORDER])
    vi.curr_queue_pairs = min(vi.max_queue_pairs, <int>P.boot[BOOT_CPUS])
    vi.real_num_rx_queues = vi.curr_queue_pairs
    if init_vqs():
        # uncovered: boot has no fault property, only an exhausted arena would get here
        vi.max_queue_pairs = 0
        obs(b"probe", -ENOMEM)
        return
    if create_page_pools():
        # uncovered: as above
        free_queues()
        vi.max_queue_pairs = 0
        obs(b"probe", -ENOMEM)
        return
    if vi.has_rss or vi.has_rss_hash_report:
        # virtnet_init_default_rss(): every entry and the whole key are written. The key is an array
        # inside another structure; as an object of its own its end can be seen
        rss_table_write(b"virtnet_probe:rss_table")
        key = frame_new(F_KMALLOC, NETDEV_RSS_KEY_LEN if era_7_2() else RSS_MAX_KEY_SIZE, H_KERNEL,
                        b"virtnet_probe:key_array")
        if key and P.boot[BOOT_RSS_MAX_KEY_SIZE]:
            cpu_write(addr_of(key, 0), P.boot[BOOT_RSS_MAX_KEY_SIZE], b"virtnet_probe:rss_key")
        vi.rss_key_mem = addr_of(key, 0) if key else 0
    # which kind of machine this is: its parts meet in few programs unless each meeting counts
    event(0x5000 + 2 * vi.mergeable_rx_bufs + vi.big_packets
          + 4 * feature(BOOT_FEATURES_RING_PACKED) + 8 * feature(BOOT_FEATURES_EVENT_IDX)
          + 16 * feature(BOOT_FEATURES_INDIRECT_DESC) + 32 * D.use_dma_api
          + 64 * (vi.big_packets_num_skbfrags + 2 == <int>vi.ring_num) + 128 * vi_rq[0].do_dma)
    if vi.big_packets and not vi.mergeable_rx_bufs:
        # how long its lists of descriptors are, in what ring
        event(0x5200 + 8 * <uint32_t>vi.big_packets_num_skbfrags + P.boot[BOOT_RING_ORDER]
              + 0x100 * feature(BOOT_FEATURES_RING_PACKED))
    vi.probed = True
    vi.present = True
    vi.registered = True
    obs(b"probe", 0)
    if quirk(QUIRK_E05) and P.boot[BOOT_RACE] == BOOT_RACE_OPEN:
        # 50c0ada627f5: nothing kept ndo_open out before the device was ready
        dev_open()
    virtio_device_ready()
    if P.boot[BOOT_RACE] == BOOT_RACE_OPEN and not vi.running:
        dev_open()


cdef inline uint32_t guest_offload_bits() noexcept nogil:
    """guest_offloads[]: linux-6.1 does not know USO."""
    cdef uint32_t bits = (BOOT_FEATURES_GUEST_CSUM | BOOT_FEATURES_GUEST_TSO4
                          | BOOT_FEATURES_GUEST_TSO6 | BOOT_FEATURES_GUEST_ECN
                          | BOOT_FEATURES_GUEST_UFO)
    return bits | BOOT_FEATURES_GUEST_USO if era_6_12() else bits


cdef inline uint32_t ring_at_least(uint32_t num) noexcept nogil:
    """The ring size of a sane device: one receive buffer fits into it without indirection."""
    cdef uint32_t least = 4
    if vi.big_packets and not vi.mergeable_rx_bufs:
        while least < <uint32_t>vi.big_packets_num_skbfrags + 2:
            least <<= 1
    return max(num, least)


# ---- open and close ----------------------------------------------------------------------------

cdef int xdp_rxq_info_reg(ReceiveQueue* rq) noexcept nogil:
    """xdp_rxq_info_reg() and the shared-page memory model. A fault site (alloc): in these eras only
    error injection makes it fail. S42: registered once."""
    if fault(FAULT_ALLOC, b"xdp_rxq_info_reg:alloc"):
        return -ENOMEM
    if unlikely(rq.xdp_rxq == RXQ_REGISTERED):
        violation(CHECK_S42, b"xdp_rxq_info_reg:twice", b"rq", rq.index,
                  b"rx info of queue %lld registered twice", rq.index, 0, 0)
    rq.xdp_rxq = RXQ_REGISTERED
    # G09: of queues in use only
    rq.mem_pool = (0 if quirk(QUIRK_G09) and rq.index >= vi.curr_queue_pairs else rq.page_pool)
    return 0


cdef void xdp_rxq_info_unreg(ReceiveQueue* rq) noexcept nogil:
    """xdp_rxq_info_unreg(): S42, only what is registered."""
    if unlikely(rq.xdp_rxq != RXQ_REGISTERED):
        violation(CHECK_S42, b"xdp_rxq_info_unreg:unused", b"rq", rq.index,
                  b"rx info of queue %lld unregistered, but it is not registered", rq.index, 0, 0)
    rq.xdp_rxq = RXQ_UNREGISTERED


cdef void disable_queue_pair(int i) noexcept nogil:
    """virtnet_disable_queue_pair(): NAPI off, then the rx info goes."""
    cdef ReceiveQueue* rq = &vi_rq[i]
    rq_check(b"disable_queue_pair:rq")
    if quirk(QUIRK_E04):
        # 63b114042d8a: the other way round, with a window between
        xdp_rxq_info_unreg(rq)
        preempt()
        napi_disable(&rq.napi, i, False, b"disable_queue_pair:napi_disable_late")
        return
    preempt()
    napi_disable(&rq.napi, i, False, b"disable_queue_pair:napi_disable")
    preempt()
    xdp_rxq_info_unreg(rq)


cdef int virtnet_open() noexcept nogil:
    """virtnet_open(): fill, register, enable, queue by queue; undone in reverse on failure."""
    cdef int i, err = 0
    vi.refill_enabled = True
    rq_check(b"virtnet_open:rq")
    if late_pools() and late_page_pools():
        # uncovered: what G08 destroys ends at the judge
        return -ENOMEM
    for i in range(vi.max_queue_pairs):
        if i < vi.curr_queue_pairs:
            if not try_fill_recv(&vi_rq[i]) and not era_7_2():
                schedule_refill(BY_OPEN)
        if quirk(QUIRK_CANARY) and V_vqs[i].in_flight == V_vqs[i].num:
            get_page(frame_of(vi.rq_mem), H_DRV, b"virtnet_open:canary")
        preempt()
        err = xdp_rxq_info_reg(&vi_rq[i])
        if err < 0:
            break
        virtnet_napi_enable(&vi_rq[i])
        virtnet_napi_tx_enable(i)
        preempt()
    if err == 0:
        return 0
    vi.refill_enabled = False
    if not era_7_2():
        cancel_refill()
    if not quirk(QUIRK_E02):
        # 5306623a9826: the queues before this one go down again
        while i > 0:
            i -= 1
            disable_queue_pair(i)
    return err


cdef void virtnet_close() noexcept nogil:
    """virtnet_close(): no more refill, then queue by queue. Buffers stay in the ring."""
    cdef int i
    vi.refill_enabled = False
    preempt()
    if not quirk(QUIRK_E19) and not era_7_2():
        cancel_refill()
    rq_check(b"virtnet_close:rq")
    for i in range(vi.max_queue_pairs):
        disable_queue_pair(i)


cdef int dev_open() noexcept nogil:
    """The user brings the interface up: __dev_open()."""
    cdef int err
    if not vi.registered or not vi.present:
        return -ENODEV
    if vi.running:
        # the flags are set anew, as they are
        dev_set_rx_mode()
        return 0
    vi.running = True
    err = virtnet_open()
    if err:
        vi.running = False
    else:
        vi.up = True
        dev_opened()
    return err


cdef int dev_close() noexcept nogil:
    """The user takes the interface down: __dev_close(); nothing to do where it is down."""
    if not vi.registered or frozen:
        return -ENODEV
    if not vi.running:
        return 0
    # __dev_change_flags() asks for the filter before it looks whether the interface goes
    dev_set_rx_mode()
    vi.running = False
    virtnet_close()
    vi.up = False
    dev_closed()
    return 0


# ---- queue pairs, ring size --------------------------------------------------------------------

cdef int virtnet_set_queues(int pairs) noexcept nogil:
    """_virtnet_set_queues(): one control command, then a refill for queues that come into use."""
    cdef uint64_t mq
    cdef int i
    if not feature(BOOT_FEATURES_MQ):
        return 0
    if era_6_12() and vi.has_rss:
        # the RSS command sets the number of queues too; it needs a header and table of its own
        mq = rss_hdr_alloc(b"virtnet_set_queues:rss_hdr")
        if mq == 0:
            return -ENOMEM
        if dev_refuses_pairs(pairs):
            kfree(mq, b"virtnet_set_queues:new_rss_hdr")
            return -EINVAL
        kfree(vi.rss_table_mem, b"virtnet_set_queues:old_rss_hdr")
        vi.rss_table_mem = mq
        rss_table_write(b"virtnet_set_queues:rss_table")
    elif era_6_12():
        mq = kmalloc(2, b"virtnet_set_queues:mq")
        if mq == 0:
            return -ENOMEM
        kfree(mq, b"virtnet_set_queues:free_mq")
        if dev_refuses_pairs(pairs):
            return -EINVAL
    elif dev_refuses_pairs(pairs):
        return -EINVAL
    vi.curr_queue_pairs = pairs
    if vi.up and era_7_2():
        for i in range(pairs):
            virtqueue_napi_schedule(&vi_rq[i])
    elif vi.up:
        schedule_refill(BY_QUEUES)
    return 0


cdef int virtnet_set_channels(int pairs) noexcept nogil:
    """virtnet_set_channels() (ethtool -L combined). What is so already does not reach the driver
    (ethtool_set_channels())."""
    cdef int i, err
    if not vi.registered or not vi.present:
        return -ENODEV
    if pairs == vi.curr_queue_pairs:
        return 0
    if pairs > vi.max_queue_pairs or pairs == 0:
        return -EINVAL
    for i in range(pairs, vi.curr_queue_pairs):
        if unlikely(xsk_bound(i)):
            # ethnl_set_channels(): not while a socket has one of them
            return -EINVAL
    if vi_rq[0].xdp_prog:
        return -EINVAL
    preempt()
    err = virtnet_set_queues(pairs)
    if err == 0:
        vi.real_num_rx_queues = pairs
    return err


cdef always_void rq_free_unused_buf(ReceiveQueue* rq, uint64_t token) noexcept nogil:
    """virtnet_rq_free_unused_buf() / virtnet_rq_unmap_free_buf()."""
    if unlikely(rq.xsk_pool != 0):
        xsk_buff_free(xsk_of_token(token), b"rq_free_unused_buf:chunk")
        return
    if (rq.do_dma and not quirk(QUIRK_G06)
            and (not vi.big_packets or vi.mergeable_rx_bufs or quirk(QUIRK_B18))):
        virtnet_rq_unmap(rq, token, 0)
    if vi.big_packets and not vi.mergeable_rx_bufs:
        give_pages(rq, page_of_token(token, b"rq_free_unused_buf:page"))
    else:
        if rq.page_pool:
            page_pool_put_buf(rq.page_pool, token, quirk(QUIRK_G17), b"rq_free_unused_buf:pool")
            return
        put_buf_here(addr_of_token(token, b"rq_free_unused_buf:token"), b"rq_free_unused_buf:put")


cdef int virtqueue_resize(int q, uint32_t num) noexcept nogil:
    """virtqueue_resize(): reset the queue, hand its buffers back, set up the new ring."""
    cdef Vq* vq = &V_vqs[q]
    cdef uint64_t mem
    cdef int err = 0
    if <uint32_t>vq.num == num:
        return 0
    virtqueue_recycle(q)
    # a failed allocation leaves the old ring, empty
    mem = kmalloc(num * 16, b"virtqueue_resize:alloc")
    if mem == 0:
        num = <uint32_t>vq.num
        err = -ENOMEM
    kfree(mem, b"virtqueue_resize:free")
    virtqueue_empty(vq, <int>num, err == 0)
    return err


cdef void virtqueue_recycle(int q) noexcept nogil:
    """virtqueue_disable_and_recycle(): the device forgets the queue, its buffers are freed."""
    cdef Vq* vq = &V_vqs[q]
    cdef uint64_t token
    vq.enabled = False
    dev_queue_reset(q)
    while True:
        step(b"virtqueue_resize:recycle")
        token = virtqueue_detach_unused_buf(vq, b"virtqueue_resize:detach")
        if token == 0:
            break
        rq_free_unused_buf(&vi_rq[q], token)


cdef void virtqueue_empty(Vq* vq, int num, bint fresh) noexcept nogil:
    """The ring as it was at first, with `num` descriptors; the device may use it. Unless it is a
    fresh one, what is free follows one another as it was given back: virtqueue_reinit_split() and
    virtqueue_reinit_packed() leave that alone."""
    cdef bint premapped = vq.premapped, broken = vq.broken
    cdef uint16_t next[VQ_MAX]
    cdef int i, head = vq.free_head
    for i in range(num):
        next[i] = vq.extra[i].next
    vq_init(vq, num, vq.packed, vq.indirect, vq.event)
    if not fresh:
        vq.free_head = head
        for i in range(num):
            vq.extra[i].next = next[i]
    vq.premapped = premapped
    # virtqueue_init() leaves that alone: what is broken stays so
    vq.broken = broken


cdef int virtnet_rx_resize(int q, uint32_t num) noexcept nogil:
    """virtnet_rx_resize(): pause, resize, refill, resume."""
    cdef ReceiveQueue* rq = &vi_rq[q]
    cdef int err
    cdef uint32_t old = <uint32_t>V_vqs[q].num
    cdef uint64_t buffs = 0
    if unlikely(rq.xsk_pool != 0) and num > old and not quirk(QUIRK_B20):
        buffs = kmalloc(num * 8, b"virtnet_rx_resize:xsk_buffs")
        if buffs == 0:
            return -ENOMEM
    virtnet_rx_pause(rq)
    preempt()
    err = virtqueue_resize(q, num)
    if buffs and <uint32_t>V_vqs[q].num > old:
        buffs, rq.xsk_buffs = rq.xsk_buffs, buffs
    preempt()
    virtnet_rx_resume(rq)
    kfree(buffs, b"virtnet_rx_resize:free_xsk_buffs")
    return err


cdef void virtnet_rx_pause(ReceiveQueue* rq) noexcept nogil:
    """virtnet_rx_pause()."""
    if vi.running:
        napi_disable(&rq.napi, rq.index, False, b"virtnet_rx_resize:napi_disable")


cdef void virtnet_rx_resume(ReceiveQueue* rq) noexcept nogil:
    """virtnet_rx_resume(): buffers, whether the interface is up or not."""
    if era_7_2():
        # virtnet_rx_resume(): an interface that is down gets its buffers when it is opened
        if vi.running:
            try_fill_recv(rq)
    elif not try_fill_recv(rq):
        schedule_refill(BY_RESIZE)
    if vi.running:
        netdev_lock(b"virtnet_rx_resize:netdev_lock")
        virtnet_napi_enable(rq)


cdef int virtnet_set_ringparam(uint32_t num) noexcept nogil:
    """virtnet_set_ringparam() for the receive rings (ethtool -G). A device keeps its maximum: what
    probe found."""
    cdef int i, err
    num = ring_at_least(num)
    if not vi.registered or not vi.present:
        return -ENODEV
    rq_check(b"virtnet_set_ringparam:rq")
    if num == <uint32_t>V_vqs[0].num:
        return 0
    if num > vi.ring_num:
        return -EINVAL
    for i in range(vi.max_queue_pairs):
        err = virtnet_rx_resize(i, num)
        if err:
            return err
    return 0


# ---- suspend, resume, remove -------------------------------------------------------------------

cdef bint frozen                # the system is suspended: user space does not run
cdef int unscheduled            # buffers freed since the last scheduling point


cdef inline void cond_resched() noexcept nogil:
    global unscheduled
    unscheduled = 0


cdef void free_unused_bufs() noexcept nogil:
    """free_unused_bufs(): S45, a scheduling point at least once a ring."""
    global unscheduled
    cdef int i
    cdef uint64_t token
    for i in range(vi.max_queue_pairs):
        while True:
            step(b"free_unused_bufs:loop")
            token = virtqueue_detach_unused_buf(&V_vqs[i], b"free_unused_bufs:detach")
            if token == 0:
                break
            rq_free_unused_buf(&vi_rq[i], token)
            unscheduled += 1
            if unlikely(unscheduled > V_vqs[i].num):
                violation(CHECK_S45, b"free_unused_bufs:stall", b"virtqueue", i,
                          b"%lld buffers freed without a scheduling point, a ring has %lld",
                          unscheduled, V_vqs[i].num, 0)
        if not quirk(QUIRK_E12):
            # f8bb51043945
            cond_resched()


cdef void remove_vq_common() noexcept nogil:
    """remove_vq_common(): reset the device, take every buffer back, free what the queues have."""
    cdef int i, page
    cdef ReceiveQueue* rq
    V.driver_ok = False
    dev_reset()
    rq_check(b"remove_vq_common:rq")
    for i in range(vi.max_queue_pairs):
        V_vqs[i].enabled = False
        dev_queue_reset(i)
    cond_resched()
    for i in range(vi.max_queue_pairs):
        sq_free_unused(i)
    free_unused_bufs()
    for i in range(vi.max_queue_pairs):
        rq = &vi_rq[i]
        # R12: the program goes, that there is one stays
        rq.xdp_prog = XDP_PROG_NONE
        while rq.pages:
            step(b"remove_vq_common:pages")
            page = get_a_page(rq)
            put_page(page, H_DRV, b"remove_vq_common:free_page")
    for i in range(vi.max_queue_pairs):
        rq = &vi_rq[i]
        if rq.alloc_frag.page:
            if rq.do_dma and rq.last_dma:
                virtnet_rq_unmap(rq, addr_of(rq.last_dma, 0), 0)
            put_page(rq.alloc_frag.page, H_FRAG, b"remove_vq_common:put_frag")
            rq.alloc_frag.page = 0
    for i in range(vi.max_queue_pairs):
        if unlikely(vi_rq[i].napi.state != NAPI_DISABLED):
            violation(CHECK_S41, b"remove_vq_common:napi", b"napi", i,
                      b"queue %lld is freed while its NAPI is enabled", i, 0, 0)
        V_vqs[i].live = False
    if unlikely(vi.refill.pending or vi.refill_blocked):
        violation(CHECK_S1, b"remove_vq_common:after_resize" if vi.refill_by == BY_RESIZE
                  else b"remove_vq_common:refill", b"work", 0,
                  b"the queues are freed while the refill work is pending", 0, 0, 0)
    if quirk(QUIRK_G16):
        free_queues()
        destroy_page_pools()
        # uncovered: pools that are destroyed so late end at the judge
        return
    destroy_page_pools()
    maps_leak_check(b"remove_vq_common:xsk" if unlikely(Z.ever) and xsk_any_bound()
                    else b"remove_vq_common:maps")
    free_queues()


cdef int virtnet_freeze() noexcept nogil:
    """virtnet_freeze(): close if running, then everything goes."""
    global frozen
    cdef int i
    if not vi.registered or frozen:
        return -ENODEV
    disable_rx_mode_work()
    vi.present = False
    frozen = True
    if vi.running:
        if quirk(QUIRK_E03):
            # 8af52fe9fd3b: only NAPI went off, the rx info stayed registered in the freed array
            vi.refill_enabled = False
            cancel_refill()
            for i in range(vi.max_queue_pairs):
                napi_disable(&vi_rq[i].napi, i, False, b"virtnet_freeze:napi_disable")
        else:
            virtnet_close()
    preempt()
    remove_vq_common()
    return 0


cdef int restore_undo(bint opened) noexcept nogil:
    """virtnet_restore_up() where it fails (7.2): buffers, pools and queues go again. Pages that big
    mode keeps for later are forgotten (R10)."""
    cdef int i
    V.driver_ok = False
    for i in range(vi.max_queue_pairs):
        V_vqs[i].enabled = False
        dev_queue_reset(i)
    if opened:
        cond_resched()
        free_unused_bufs()
        destroy_page_pools()
    for i in range(vi.max_queue_pairs):
        V_vqs[i].live = False
    free_queues()
    return -ENOMEM


cdef int virtnet_restore() noexcept nogil:
    """virtnet_restore(): queues anew, then up again if it was. After a failure the device stays
    detached, with what it has (R11)."""
    global frozen
    cdef int i, err
    if not vi.registered or not frozen:
        return -ENODEV
    frozen = False
    err = init_vqs()
    if err:
        return err
    if create_page_pools():
        return restore_undo(False)
    virtio_device_ready()
    if era_7_2():
        enable_rx_mode_work()
    vi.refill_enabled = True
    if vi.running:
        if quirk(QUIRK_E03):
            for i in range(vi.max_queue_pairs):
                if i < vi.curr_queue_pairs and not try_fill_recv(&vi_rq[i]):
                    schedule_refill(BY_OPEN)
                virtnet_napi_enable(&vi_rq[i])
        else:
            err = virtnet_open()
            if err:
                return restore_undo(True) if era_7_2() else err
    vi.present = True
    if not era_7_2():
        enable_rx_mode_work()
    virtnet_set_queues(vi.curr_queue_pairs)
    judge_resumed()
    return 0


cdef void virtnet_remove() noexcept nogil:
    """virtnet_remove(): unregister (which closes), then everything goes."""
    if not vi.registered:
        return
    if frozen:
        virtnet_restore()
    disable_rx_mode_work()
    vi.registered = False
    if vi.running:
        vi.running = False
        virtnet_close()
        vi.up = False
    if vi.user_prog:
        # dev_xdp_uninstall()
        virtnet_xdp_set(XDP_PROG_NONE)
    if unlikely(Z.ever):
        xsk_unregister()
    remove_vq_common()
    if era_6_12():
        kfree(vi.rss_table_mem, b"virtnet_remove:rss_hdr")
    kfree(vi.rss_key_mem, b"virtnet_remove:key_array")
