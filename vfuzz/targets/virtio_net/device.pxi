# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtio-net device: what it writes into receive buffers, conforming or hostile."""

cdef enum:
    EMSGSIZE = 90
    ENETDOWN = 100

cdef int dev_packet[QUEUES_MAX]  # packet that `cont` continues, 0 none
cdef int dev_n_packets
cdef uint32_t dev_off           # guest offloads that the driver switched off
cdef uint32_t dev_nack          # commands that it refuses
cdef bint dev_gone              # it was pulled out

cdef struct Filter:             # what it receives by
    bint promisc
    bint allmulti
    uint32_t unicast            # addresses, a bit each
    uint32_t multicast
    uint32_t told               # NACK_COMMANDS_*: of what it was told since it was reset
    uint32_t refused            # and what of that it refused, when it was told last
    bint again                  # it was reset behind the first time

cdef Filter dev_filter


cdef enum:
    GUEST_OFFLOADS = (BOOT_FEATURES_GUEST_CSUM | BOOT_FEATURES_GUEST_TSO4 | BOOT_FEATURES_GUEST_TSO6
                      | BOOT_FEATURES_GUEST_ECN | BOOT_FEATURES_GUEST_UFO | BOOT_FEATURES_GUEST_USO)
    GUEST_GSO = GUEST_OFFLOADS & ~BOOT_FEATURES_GUEST_CSUM


cdef inline void dev_set_offloads(uint32_t offloads) noexcept nogil:
    """VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET."""
    global dev_off
    dev_off = GUEST_OFFLOADS & ~offloads


cdef inline void dev_reset() noexcept nogil:
    """The driver resets the device: all offloads are on, and there is one again if it was gone."""
    global dev_gone
    dev_gone = False
    dev_set_offloads(GUEST_OFFLOADS)
    memset(&dev_filter, 0, sizeof(dev_filter))
    dev_filter.again = True
    judge_filter_reset()


cdef inline bint dev_refuses(uint32_t command) noexcept nogil:
    """The driver's command is answered with VIRTIO_NET_ERR, or cannot be put into a broken ring."""
    if dev_gone:
        return True
    if command == NACK_COMMANDS_GUEST_OFFLOADS and not feature(BOOT_FEATURES_CTRL_GUEST_OFFLOADS):
        return True
    return (dev_nack & command) != 0


cdef void dev_set_filter(uint32_t command, uint32_t value, uint32_t other) noexcept nogil:
    """VIRTIO_NET_CTRL_RX_PROMISC, _ALLMULTI or VIRTIO_NET_CTRL_MAC_TABLE_SET, which has the unicast
    addresses and then the others."""
    dev_filter.told |= command
    if dev_refuses(command):
        dev_filter.refused |= command
    else:
        dev_filter.refused &= ~command
        if command == NACK_COMMANDS_PROMISC:
            dev_filter.promisc = value != 0
        elif command == NACK_COMMANDS_ALLMULTI:
            dev_filter.allmulti = value != 0
        else:
            dev_filter.unicast = value
            dev_filter.multicast = other
    if command == NACK_COMMANDS_MAC_TABLE:
        judge_filter_reset()


cdef inline bint dev_refuses_pairs(int pairs) noexcept nogil:
    """VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, or an RSS command: so many queue pairs there are not."""
    return pairs < 1 or pairs > vi.max_queue_pairs or dev_refuses(NACK_COMMANDS_MQ)


cdef inline bint offload(uint32_t bit) noexcept nogil:
    """Is a guest offload negotiated and on?"""
    return (P.boot[BOOT_FEATURES] & ~dev_off & bit) != 0


cdef inline void device_reset() noexcept nogil:
    global dev_n_packets, dev_nack
    cdef int i
    dev_n_packets = 1
    dev_nack = 0
    dev_reset()
    dev_filter.again = False
    for i in range(QUEUES_MAX):
        dev_packet[i] = 0


cdef inline void dev_queue_reset(int q) noexcept nogil:
    """Queue q was reset: what the device was in the middle of is void."""
    dev_packet[q] = 0
    A.n_old[q] = 0


cdef inline int packet_new() noexcept nogil:
    """A new packet; 0 when the arena is exhausted: the device then has nothing more to say."""
    global dev_n_packets
    cdef int k
    if dev_n_packets >= ORIGINS_MAX:
        return 0
    k = dev_n_packets
    dev_n_packets += 1
    memset(&J_packets[k], 0, sizeof(Packet))
    return k


cdef inline int origin_new(int queue, int packet, bint first) noexcept nogil:
    cdef int o
    if M.n_origins >= ORIGINS_MAX:
        return 0    # uncovered: its callers have looked
    o = M.n_origins
    M.n_origins += 1
    memset(&J_origins[o], 0, sizeof(Origin))
    J_origins[o].first = first
    J_origins[o].queue = <uint8_t>queue
    J_origins[o].packet = packet
    J_origins[o].index = J_packets[packet].n
    J_packets[packet].n += 1
    return o


cdef inline void put_u16(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>value
    p[1] = <uint8_t>(value >> 8)


cdef uint8_t gso_raw(uint32_t type) noexcept nogil:
    """The header byte of an RX_GSO_TYPE_* name."""
    if type == RX_GSO_TYPE_TCPV4:
        return HDR_GSO_TCPV4
    if type == RX_GSO_TYPE_UDP:
        return HDR_GSO_UDP
    if type == RX_GSO_TYPE_TCPV6:
        return HDR_GSO_TCPV6
    if type == RX_GSO_TYPE_UDP_L4:
        return HDR_GSO_UDP_L4
    if type == RX_GSO_TYPE_TCPV4_ECN:
        return HDR_GSO_TCPV4 | HDR_GSO_ECN
    if type == RX_GSO_TYPE_TCPV6_ECN:
        return HDR_GSO_TCPV6 | HDR_GSO_ECN
    if type == RX_GSO_TYPE_UDP_ECN:
        return HDR_GSO_UDP | HDR_GSO_ECN
    if type == RX_GSO_TYPE_INVALID:
        return 0x7F
    return HDR_GSO_NONE


cdef void hdr_write(uint8_t* hdr, uint32_t flags, uint8_t gso_type, uint32_t gso_size,
                    uint32_t csum_start, uint32_t csum_offset, uint32_t num_buffers,
                    uint32_t hash_report, int seed) noexcept nogil:
    """Fill a vnet header of 20 bytes; the driver reads as many as were negotiated."""
    hdr[0] = <uint8_t>flags
    hdr[1] = gso_type
    put_u16(hdr + 2, 0)
    put_u16(hdr + 4, gso_size)
    put_u16(hdr + 6, csum_start)
    put_u16(hdr + 8, csum_offset)
    put_u16(hdr + 10, num_buffers)
    put_u16(hdr + 12, 0 if hash_report == 0 else <uint32_t>seed * 40503u)
    put_u16(hdr + 14, 0 if hash_report == 0 else <uint32_t>seed)
    put_u16(hdr + 16, hash_report)
    put_u16(hdr + 18, 0)


cdef inline bint dev_may_use(int q) noexcept nogil:
    """Has the device a live queue q that it may touch? One whose used ring it falsified it leaves
    alone: what it holds there is no longer its own. Nor can a device that is gone."""
    return (q < vi.max_queue_pairs and V_vqs[q].live and V_vqs[q].enabled and V.driver_ok
            and not V_vqs[q].falsified and not dev_gone)


cdef inline int dev_queue(uint32_t q) noexcept nogil:
    """The queue that an op's argument means: a conforming device keeps to those in use."""
    cdef uint32_t n
    if vi.max_queue_pairs == 0:
        return 0
    n = <uint32_t>(vi.curr_queue_pairs if J.conforming else vi.max_queue_pairs)
    # a division takes longer than the rest of many an op
    return <int>(q if q < n else q % n)


cdef always_void dev_complete(int q, int k, uint32_t used, uint32_t written, int origin,
                              site_t site) noexcept nogil:
    """Write `written` bytes of `origin` into the k-th held buffer of queue q, use it as `used`."""
    cdef Vq* vq = &V_vqs[q]
    cdef Origin* o = &J_origins[origin]
    o.written = dev_write(vq, k, written, origin, site)
    o.used = used
    o.serial = vq.published
    ev(b"use", b"origin", origin, used, o.written, site)
    dev_use(vq, k, used, origin)


cdef void dev_interrupt(int q) noexcept nogil:
    """After used entries were written: interrupt if the driver asked for it."""
    if dev_may_use(q) and dev_wants_interrupt(&V_vqs[q]):
        vring_interrupt(q)


cdef inline uint32_t plain_limit() noexcept nogil:
    """Bytes of the longest packet without GSO that a device may send (virtio 1.3, 5.1.4.1), with a
    VLAN tag."""
    return (vi.max_mtu + ETH_HLEN + VLAN_HLEN if feature(BOOT_FEATURES_MTU)
            else <uint32_t>GOOD_PACKET_LEN)


cdef uint32_t gso_allowed(uint32_t type) noexcept nogil:
    """The GSO type, RX_GSO_TYPE_*, if a device may send it (5.1.6.4.1), else that of none."""
    cdef uint32_t needs
    if type == RX_GSO_TYPE_TCPV4 or type == RX_GSO_TYPE_TCPV4_ECN:
        needs = BOOT_FEATURES_GUEST_TSO4
    elif type == RX_GSO_TYPE_TCPV6 or type == RX_GSO_TYPE_TCPV6_ECN:
        needs = BOOT_FEATURES_GUEST_TSO6
    elif type == RX_GSO_TYPE_UDP:
        needs = BOOT_FEATURES_GUEST_UFO
    elif type == RX_GSO_TYPE_UDP_L4 and era_6_12():
        needs = BOOT_FEATURES_GUEST_USO
    else:
        return RX_GSO_TYPE_NONE
    if ((type == RX_GSO_TYPE_TCPV4_ECN or type == RX_GSO_TYPE_TCPV6_ECN)
            and not offload(BOOT_FEATURES_GUEST_ECN)):
        return RX_GSO_TYPE_NONE
    if not offload(BOOT_FEATURES_GUEST_CSUM) or not offload(needs):
        return RX_GSO_TYPE_NONE
    return type


cdef inline uint32_t gso_size_allowed(uint32_t size) noexcept nogil:
    """A segment size that makes sense."""
    return min(max(size, <uint32_t>536), <uint32_t>65000)


cdef inline uint32_t longest_packet() noexcept nogil:
    """Bytes of the longest packet that a device may ever send."""
    return 65535 + ETH_HLEN if P.boot[BOOT_FEATURES] & GUEST_GSO else plain_limit()


cdef always_int dev_packet_out(int q, uint32_t size, uint32_t flags, uint8_t gso_type,
                               uint32_t gso_size, uint32_t csum_start, uint32_t csum_offset,
                               uint32_t hash_report) noexcept nogil:
    """Deliver one packet over as many buffers as it needs; False if they are not there.

    Without MRG_RXBUF a packet has one buffer; a hostile device then claims more than it holds.
    """
    cdef Vq* vq = &V_vqs[q]
    cdef uint32_t need = vi.hdr_len + size, left, cap, n = 1
    cdef int packet, o, i
    dev_fetch(vq, q)
    if vq.n_out == 0:
        return False
    left = need
    if vi.mergeable_rx_bufs:
        n = 0
        while left:
            if <int>n >= vq.n_out:
                if J.conforming:
                    judge_room(q, need)
                return False
            cap = dev_capacity(vq, <int>n)
            left -= min(cap, left)
            n += 1
    elif need > dev_capacity(vq, 0) and J.conforming:
        judge_room(q, need)     # uncovered: every era posts enough for what a device may send
    if M.n_origins + <int>n > ORIGINS_MAX:
        return False
    packet = packet_new()
    if packet == 0:
        return False
    J_packets[packet].num_buffers = <int>n
    # what `use` began is cut short: the next `cont` belongs to nothing
    dev_packet[q] = 0
    left = need
    for i in range(<int>n):
        step(b"dev_packet_out:loop")
        o = origin_new(q, packet, i == 0)
        if i == 0:
            hdr_write(J_origins[o].hdr, flags, gso_type, gso_size, csum_start, csum_offset, n,
                      hash_report, o)
        cap = min(dev_capacity(vq, 0), left)
        if vi.mergeable_rx_bufs:
            left -= cap
            need = cap
        dev_complete(q, 0, need, cap, o, b"dev_packet_out:mergeable" if vi.mergeable_rx_bufs
                     else b"dev_packet_out:single")
    event(0x3000 + n)
    return True


cdef void op_rx(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[RX_QUEUE])
    cdef uint32_t size = op.arg[RX_SIZE]
    cdef uint32_t flags = op.arg[RX_FLAGS]
    cdef uint32_t type = op.arg[RX_GSO_TYPE]
    cdef uint32_t gso_size = op.arg[RX_GSO_SIZE]
    cdef uint32_t csum_start = op.arg[RX_CSUM_START]
    cdef uint32_t csum_offset = op.arg[RX_CSUM_OFFSET]
    cdef uint32_t hash_report = op.arg[RX_HASH_REPORT]
    cdef uint32_t limit
    if not dev_may_use(q):
        obs(b"sent", -1)
        return
    if J.conforming:
        type = gso_allowed(type)
        if not offload(BOOT_FEATURES_GUEST_CSUM):
            flags = 0
        flags &= RX_FLAGS_NEEDS_CSUM | RX_FLAGS_DATA_VALID
        limit = plain_limit()
        if type != RX_GSO_TYPE_NONE:
            limit = longest_packet()
            size = max(size, <uint32_t>90)
            flags |= RX_FLAGS_NEEDS_CSUM
            gso_size = gso_size_allowed(gso_size)
            csum_start = ETH_HLEN + IP_HLEN
            csum_offset = TCP_CHECK_OFFSET
            if type == RX_GSO_TYPE_TCPV6 or type == RX_GSO_TYPE_TCPV6_ECN:
                csum_start = ETH_HLEN + IPV6_HLEN
            if type == RX_GSO_TYPE_UDP or type == RX_GSO_TYPE_UDP_L4:
                csum_offset = UDP_CHECK_OFFSET
        elif flags & RX_FLAGS_NEEDS_CSUM:
            csum_start = ETH_HLEN + IP_HLEN
            csum_offset = TCP_CHECK_OFFSET
            if size < csum_start + TCP_HLEN:
                flags &= ~<uint32_t>RX_FLAGS_NEEDS_CSUM
        size = min(size, limit)
        if not vi.has_rss_hash_report:
            hash_report = 0
    obs(b"sent", dev_packet_out(q, size, flags, gso_raw(type), gso_size if type else 0, csum_start,
                                csum_offset, hash_report))
    dev_interrupt(q)


cdef void op_inet(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[INET_QUEUE])
    cdef uint32_t kind = op.arg[INET_KIND]
    cdef uint32_t checksum = op.arg[INET_CHECKSUM]
    cdef uint32_t vlans = op.arg[INET_VLANS]
    cdef uint32_t payload = op.arg[INET_PAYLOAD]
    cdef uint32_t gso_size = op.arg[INET_GSO_SIZE]
    cdef uint32_t flags = 0, type = RX_GSO_TYPE_NONE, limit = 65535, size
    cdef int first = M.n_origins, k
    cdef bint sent = False
    cdef InetPlan plan
    if not dev_may_use(q):
        obs(b"sent", -1)
        return
    if gso_size and (kind == INET_KIND_TCP4 or kind == INET_KIND_TCP6):
        type = RX_GSO_TYPE_TCPV6 if kind == INET_KIND_TCP6 else RX_GSO_TYPE_TCPV4
    if J.conforming:
        type = gso_allowed(type)
        if not offload(BOOT_FEATURES_GUEST_CSUM) and checksum != INET_CHECKSUM_WRONG:
            checksum = INET_CHECKSUM_WHOLE
        if type != RX_GSO_TYPE_NONE:
            checksum = INET_CHECKSUM_PARTIAL
            gso_size = gso_size_allowed(gso_size)
        else:
            limit = plain_limit()
    if kind == INET_KIND_SCTP and checksum == INET_CHECKSUM_PARTIAL:
        # that flag is for sums of 16 bits
        checksum = INET_CHECKSUM_WHOLE
    size = inet_headers(kind, vlans)
    if size > limit:
        # not over so small an MTU
        obs(b"sent", False)
        return
    payload = min(payload, limit - size)
    size += payload
    if checksum == INET_CHECKSUM_PARTIAL:
        flags = RX_FLAGS_NEEDS_CSUM
    elif checksum == INET_CHECKSUM_VALID:
        flags = RX_FLAGS_DATA_VALID
    k = inet_new()
    if k:
        inet_build(&J_inet[k], &plan, kind, vlans, payload)
        sent = dev_packet_out(q, size, flags, gso_raw(type), gso_size if type else 0,
                              plan.l4 if flags & RX_FLAGS_NEEDS_CSUM else 0,
                              plan.check - plan.l4 if flags & RX_FLAGS_NEEDS_CSUM else 0, 0)
    if sent:
        J_origins[first].inet = <uint16_t>k
        inet_finish(first, M.n_origins - first, &J_inet[k], &plan, checksum,
                    op.arg[INET_INNER_WRONG])
        event(0x3200 + kind * 16 + checksum * 4 + vlans)
    obs(b"sent", sent)
    dev_interrupt(q)


cdef void op_burst(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[BURST_QUEUE])
    cdef uint32_t size = op.arg[BURST_SIZE]
    cdef uint32_t i, sent = 0
    if not dev_may_use(q):
        obs(b"sent", -1)
        return
    if J.conforming:
        size = min(size, plain_limit())
    for i in range(op.arg[BURST_COUNT]):
        step(b"op_burst:loop")
        if not dev_packet_out(q, size, 0, HDR_GSO_NONE, 0, 0, 0, 0):
            break
        sent += 1
    obs(b"sent", sent)
    dev_interrupt(q)


cdef void op_use(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[USE_QUEUE])
    cdef Vq* vq = &V_vqs[q]
    cdef uint32_t len = op.arg[USE_LEN]
    cdef int packet, o
    if J.conforming or not dev_may_use(q):
        obs(b"sent", -1)
        return
    dev_fetch(vq, q)
    if vq.n_out == 0 or M.n_origins >= ORIGINS_MAX:
        obs(b"sent", 0)
        return
    packet = packet_new()
    if packet == 0:
        obs(b"sent", 0)
        return
    dev_packet[q] = packet
    o = origin_new(q, packet, True)
    # without MRG_RXBUF the field means nothing: every buffer is a packet
    J_packets[packet].num_buffers = (max(1, <int>op.arg[USE_NUM_BUFFERS])
                                     if vi.mergeable_rx_bufs else 1)
    hdr_write(J_origins[o].hdr, op.arg[USE_FLAGS], gso_raw(op.arg[USE_GSO_TYPE]),
              op.arg[USE_GSO_SIZE], ETH_HLEN + IP_HLEN, TCP_CHECK_OFFSET,
              op.arg[USE_NUM_BUFFERS], 0, o)
    dev_complete(q, <int>(op.arg[USE_PICK] % <uint32_t>vq.n_out), len,
                 min(len, vi.hdr_len) if op.arg[USE_DRY] else len, o, b"op_use:complete")
    obs(b"sent", 1)
    event(0x3100 + min(op.arg[USE_NUM_BUFFERS], <uint32_t>32))
    dev_interrupt(q)


cdef void op_cont(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[CONT_QUEUE])
    cdef Vq* vq = &V_vqs[q]
    cdef uint32_t len = op.arg[CONT_LEN]
    cdef uint32_t i, sent = 0
    cdef int packet, o
    if J.conforming or not dev_may_use(q):
        obs(b"sent", -1)
        return
    dev_fetch(vq, q)
    packet = dev_packet[q]
    if packet == 0:
        packet = packet_new()
        dev_packet[q] = packet
    for i in range(op.arg[CONT_COUNT]):
        step(b"op_cont:loop")
        if packet == 0 or vq.n_out == 0 or M.n_origins >= ORIGINS_MAX:
            break
        o = origin_new(q, packet, False)
        dev_complete(q, <int>(op.arg[CONT_PICK] % <uint32_t>vq.n_out), len, len, o,
                     b"op_cont:complete")
        sent += 1
    obs(b"sent", sent)
    dev_interrupt(q)


cdef void op_bad_used(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[BAD_USED_QUEUE])
    cdef Vq* vq = &V_vqs[q]
    cdef uint32_t id = op.arg[BAD_USED_ID]
    cdef int k, packet, o
    if J.conforming or not dev_may_use(q):
        obs(b"sent", -1)
        return
    dev_fetch(vq, q)
    packet = packet_new()
    if packet == 0 or M.n_origins >= ORIGINS_MAX:
        obs(b"sent", 0)
        return
    dev_packet[q] = 0
    o = origin_new(q, packet, False)
    J_origins[o].used = op.arg[BAD_USED_LEN]
    J_origins[o].serial = vq.published
    k = 0
    while k < vq.n_out and vq.out[k] != id:
        k += 1
    if k < vq.n_out:
        # an id in its hands after all: an ordinary completion that wrote nothing
        dev_use(vq, k, op.arg[BAD_USED_LEN], o)
        dev_interrupt(q)
    else:
        if vq.published - vq.consumed < <uint64_t>vq.num:
            dev_used_raw(vq, id, op.arg[BAD_USED_LEN], 1, o)
            dev_interrupt(q)
        vq.falsified = True
    obs(b"sent", 1)


cdef void op_kicks(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[KICKS_QUEUE])
    if dev_may_use(q):
        dev_fetch(&V_vqs[q], q)
        dev_notifications(&V_vqs[q], op.arg[KICKS_ON])


cdef void op_irq(const vf_op* op) noexcept nogil:
    cdef int q = dev_queue(op.arg[IRQ_QUEUE])
    if dev_may_use(q):
        vring_interrupt(q)


# ---- transmission ------------------------------------------------------------------------------

cdef void op_sent(const vf_op* op) noexcept nogil:
    """The device sends the oldest frames of a send queue, and returns them as used."""
    cdef int q = dev_queue(op.arg[SENT_QUEUE])
    cdef uint32_t n = 0
    cdef uint64_t token
    if not dev_may_use(q):
        obs(b"sent", -1)
        return
    while n < op.arg[SENT_COUNT]:
        step(b"op_sent:loop")
        token = txring_send(&vi_sq[q].vq, b"op_sent:read")
        if token == 0:
            break
        if unlikely(W_trace):
            observe_frame(<int><uint32_t>token, vi.hdr_len)
        judge_sent(<int><uint32_t>token)
        n += 1
    obs(b"sent", n)
    if unlikely(W_trace):
        observe_frames()


cdef int op_xmit(const vf_op* op) noexcept nogil:
    """Another device's frames, each a page of its own, go out here; what is refused it takes back
    (bq_xmit_all()). How many went, or -ENXIO."""
    global X_cpu
    cdef int32_t frames[DEV_MAP_BULK_SIZE]
    cdef int i, page, sent, n = 0
    if not vi.up or not vi.running:
        # xdp_ok_fwd_dev()
        return -ENETDOWN
    if op.arg[XMIT_SIZE] > vi.mtu + ETH_HLEN + VLAN_HLEN:
        return -EMSGSIZE
    X_cpu = <int>(op.arg[XMIT_CPU] % P.boot[BOOT_CPUS])
    while n < <int>op.arg[XMIT_COUNT]:
        step(b"op_xmit:loop")
        page = alloc_pages(0, H_XDP, b"op_xmit:page")
        if page == 0:
            break
        frames[n] = xdp_frame_new()
        if frames[n] == 0:
            put_page(page, H_XDP, b"op_xmit:exhausted")
            break
        X_frame[frames[n]].held = True
        X_frame[frames[n]].foreign = True
        X_frame[frames[n]].data = addr_of(page, XDP_FRAME_SIZE + op.arg[XMIT_HEADROOM])
        X_frame[frames[n]].len = op.arg[XMIT_SIZE]
        X_frame[frames[n]].headroom = op.arg[XMIT_HEADROOM]
        X_frame[frames[n]].frame_sz = PAGE_SIZE
        cpu_write(X_frame[frames[n]].data, op.arg[XMIT_SIZE], b"op_xmit:packet")
        n += 1
    sent = xdp_xmit(frames, n, True)
    for i in range(max(sent, 0), n):
        step(b"op_xmit:return")
        xdp_return_frame(frames[i], b"op_xmit:refused")
    return sent


cdef int op_nack(const vf_op* op) noexcept nogil:
    """What the device refuses from now on; returns whether that is another set than before."""
    global dev_nack
    cdef bint other = dev_nack != op.arg[NACK_COMMANDS]
    dev_nack = op.arg[NACK_COMMANDS]
    return other


cdef int op_break_device() noexcept nogil:
    """virtio_break_device(): what a transport does when its device is pulled out. Rings stay as
    they are, and nobody takes anything out of them. Returns whether there was a device."""
    global dev_gone
    cdef int i
    if not vi.registered or dev_gone:
        return 0
    dev_gone = True
    for i in range(vi.max_queue_pairs):
        V_vqs[i].broken = True
        vi_sq[i].vq.broken = True
        # with what in the ring, and how much of that was sent and not taken back
        event(0x6700 + min(vi_sq[i].vq.tail - vi_sq[i].vq.head, <uint32_t>3) * 4
              + min(vi_sq[i].vq.next - vi_sq[i].vq.head, <uint32_t>3))
    return 1
