# SPDX-License-Identifier: GPL-2.0-or-later
"""NAPI poll, interrupts, the delayed refill work, and the stack at the other end."""

cdef enum:
    STACK_MAX = 1024

cdef struct Stack:              # skbs that the network stack holds, oldest first
    int head
    int n
    bint small_head             # since there was none, some packet took a smallest head

cdef Stack S
cdef int32_t S_skbs[STACK_MAX]


cdef inline void stack_receive(int s) noexcept nogil:
    """napi_gro_receive(): the stack owns the skb from here on."""
    S_skbs[(S.head + S.n) & (STACK_MAX - 1)] = s
    S.n += 1
    ev(b"deliver", b"skb", s, K_skbs[s].len, K_skbs[s].truesize, b"stack_receive:skb")


cdef inline int stack_pop() noexcept nogil:
    cdef int s = S_skbs[S.head]
    S.head = (S.head + 1) & (STACK_MAX - 1)
    S.n -= 1
    return s


# ---- interrupts --------------------------------------------------------------------------------

cdef void virtqueue_napi_schedule(ReceiveQueue* rq) noexcept nogil:
    if napi_schedule_prep(&rq.napi):
        virtqueue_disable_cb(&V_vqs[rq.index])


cdef void virtqueue_napi_complete(ReceiveQueue* rq) noexcept nogil:
    """virtqueue_napi_complete(): callbacks on, and once more around if something came meanwhile."""
    cdef Vq* vq = &V_vqs[rq.index]
    if unlikely(vi.xdp_xmit):
        judge_flushed(rq)
    cdef uint16_t opaque = virtqueue_enable_cb_prepare(vq)
    if napi_complete_done(&rq.napi):
        if virtqueue_poll(vq, opaque):
            # uncovered: no op runs between the last look at the ring and this one
            virtqueue_napi_schedule(rq)
    else:
        virtqueue_disable_cb(vq)


cdef void vring_interrupt(int q) noexcept nogil:
    """vring_interrupt() and skb_recv_done()."""
    cdef Vq* vq = &V_vqs[q]
    if not more_used(vq) or vq.broken:
        return
    if vq.event:
        vq.event_triggered = True
    rq_check(b"vring_interrupt:rq")
    virtqueue_napi_schedule(&vi_rq[q])


cdef void virtnet_napi_enable(ReceiveQueue* rq) noexcept nogil:
    """virtnet_napi_enable(): what was used while NAPI was off raised no interrupt; look once."""
    napi_enable(&rq.napi, rq.index, b"virtnet_napi_enable:enable")
    virtqueue_napi_schedule(rq)


# ---- poll --------------------------------------------------------------------------------------

cdef int virtnet_receive(ReceiveQueue* rq, int budget) noexcept nogil:
    """virtnet_receive(): up to `budget` packets, then refill if more than half is free."""
    cdef Vq* vq = &V_vqs[rq.index]
    cdef RqStats stats, was
    cdef uint32_t len
    cdef uint64_t token, ctx = 0
    cdef uint64_t len_errors, frame_errors
    cdef uint64_t most = <uint64_t>budget
    cdef int packets
    memset(&stats, 0, sizeof(stats))
    if unlikely(rq.xsk_pool != 0):
        virtnet_receive_xsk_bufs(rq, budget, &stats)
        most = 0
    while stats.packets < most:
        step(b"virtnet_receive:loop")
        packet_begin()
        token = rq_get_buf(rq, &len, &ctx, b"virtnet_receive:get")
        if token == 0:
            break
        packet_taken(rq)
        was = stats
        len_errors = vi.rx_length_errors
        frame_errors = vi.rx_frame_errors
        receive_buf(rq, token, len, ctx, &stats)
        packet_end(rq, &was, &stats, vi.rx_length_errors - len_errors,
                   vi.rx_frame_errors - frame_errors)
        stats.packets += 1
    packets = <int>stats.packets
    if vq.num_free > min(budget, vq.num) / 2:
        if not try_fill_recv(rq):
            if era_7_2():
                # the poll comes again, and tries again
                packets = budget
            elif vi.refill_enabled or quirk(QUIRK_E01) or quirk(QUIRK_E19):
                # 5a159128faff: without the flag a poll re-arms the work that close just cancelled
                schedule_refill(BY_POLL)
    rq.stats.packets += stats.packets
    rq.stats.bytes += stats.bytes
    rq.stats.drops += stats.drops
    event(0x4000 + <uint32_t>min(stats.packets, <uint64_t>64) * 2 + (stats.drops != 0))
    return packets


cdef int virtnet_poll(ReceiveQueue* rq, int budget) noexcept nogil:
    """virtnet_poll(), receive part. S42: the queue's rx info is registered while it runs."""
    global X_cpu
    cdef int received
    if budget and not quirk(QUIRK_E14):
        # 1eb8fc67ca41: a busy poll did not come through the interrupt that turns them off
        virtqueue_disable_cb(&V_vqs[rq.index])
    if quirk(QUIRK_F06):
        # counted on a send queue of XDP at every poll, whether there is one or not
        xdp_sq_unlocked(b"virtnet_poll:stats").stats.kicks += 1
    if unlikely(rq.xdp_rxq != RXQ_REGISTERED):
        violation(CHECK_S42, b"virtnet_poll:xdp_rxq", b"rq", rq.index,
                  b"queue %lld is polled while its rx info is not registered", rq.index, 0, 0)
    if unlikely(vi.xdp_ever):
        X_cpu = rq.index % <int>P.boot[BOOT_CPUS]
        poll_cleantx(rq)
    V.in_poll = budget != 0
    PP.polled = rq.index
    received = virtnet_receive(rq, budget)
    PP.polled = -1
    V.in_poll = False
    if unlikely(vi.xdp_xmit & XDP_XMIT_REDIR) and not quirk(QUIRK_E13):
        # 8d5db9d7dadc: before anybody else may poll
        xdp_do_flush()
    if received < budget:
        virtqueue_napi_complete(rq)
    if unlikely(vi.xdp_xmit):
        poll_finish()
    return received


cdef apart_void poll_finish() noexcept nogil:
    """The end of a poll in which a program sent or redirected something."""
    if quirk(QUIRK_E13):
        # uncovered: a poll that is completed first ends at the judge
        xdp_do_flush()
    if vi.xdp_xmit & XDP_XMIT_TX:
        xdp_kick()
    vi.xdp_xmit = 0


cdef int napi_poll(int q, int budget) noexcept nogil:
    """net_rx_action(): run queue q's poll if it is scheduled; -1 if not."""
    if q >= vi.max_queue_pairs or not V_vqs[q].live or vi_rq[q].napi.state != NAPI_SCHEDULED:
        return -1
    rq_check(b"napi_poll:rq")
    return virtnet_poll(&vi_rq[q], budget)


cdef int napi_busy_poll(int q, int budget) noexcept nogil:
    """napi_busy_loop(): take an idle context, poll with callbacks as they are, give it back."""
    cdef int received
    cdef ReceiveQueue* rq
    if q >= vi.max_queue_pairs or not V_vqs[q].live or vi_rq[q].napi.state != NAPI_IDLE:
        return -1
    rq = &vi_rq[q]
    rq.napi.state = NAPI_SCHEDULED
    rq.napi.busy = True
    received = virtnet_poll(rq, budget)
    # busy_poll_stop(): one last poll, which completes the context or leaves it on the list
    rq.napi.busy = False
    rq.napi.missed = False
    virtnet_poll(rq, budget)
    return received


# ---- refill work -------------------------------------------------------------------------------

cdef void refill_work(int first, bint racing) noexcept nogil:
    """refill_work() from queue `first` on. Racing another operation it may wait for a NAPI context
    that this one holds; it then goes on when the operation is over (refill_blocked)."""
    cdef int i
    cdef ReceiveQueue* rq
    cdef bint still_empty
    vi.refill_blocked = 0
    for i in range(first, vi.curr_queue_pairs):
        rq = &vi_rq[i]
        rq_check(b"refill_work:rq")
        if quirk(QUIRK_E07) or quirk(QUIRK_E09):
            # 4bc12818b363: napi_disable() takes the netdev lock and waits under it
            vi.netdev_lock_by_work = True
        if not napi_disable(&rq.napi, i, racing, b"refill_work:after_resize"
                            if vi.refill_by == BY_RESIZE else b"refill_work:napi_disable"):
            vi.refill_blocked = i + 1
            return
        vi.netdev_lock_by_work = False
        still_empty = not try_fill_recv(rq)
        virtnet_napi_enable(rq)
        if still_empty:
            schedule_refill(BY_ITSELF)
    event(0x4200)


cdef void netdev_lock(site_t site) noexcept nogil:
    """S46: a lock is not taken while its holder waits for the taker."""
    if unlikely(vi.netdev_lock_by_work):
        violation(CHECK_S46, site, b"work", 0,
                  b"the refill work holds the netdev lock and waits for NAPI, which is enabled "
                  b"under that lock", 0, 0, 0)


cdef bint run_refill(bint racing) noexcept nogil:
    """The workqueue runs the refill work if it is pending."""
    if not vi.refill.pending or vi.refill_blocked:
        return False
    vi.refill.pending = False
    refill_work(0, racing)
    return True


cdef void unblock_refill() noexcept nogil:
    """The racing operation is over: a waiting refill work goes on."""
    if vi.refill_blocked:
        refill_work(vi.refill_blocked - 1, False)


cdef void cancel_refill() noexcept nogil:
    """cancel_delayed_work_sync(&vi->refill): S46 if the work waits for what the caller holds."""
    vi.refill.pending = False
    if unlikely(vi.refill_blocked):
        violation(CHECK_S46, b"cancel_refill:blocked", b"work", 0,
                  b"cancelled while it waits for NAPI of queue %lld", vi.refill_blocked - 1, 0, 0)


# ---- preemption --------------------------------------------------------------------------------

cdef struct Race:
    int what                    # *_RACE_* of the running op, 0 none
    int at
    int point

cdef Race R


cdef inline void race_begin(int what, int at) noexcept nogil:
    R.what = what
    R.at = at
    R.point = 0


cdef inline void preempt() noexcept nogil:
    """A point at which the running operation can be interrupted: the op's race runs here."""
    R.point += 1
    if unlikely(R.what != OPEN_RACE_NONE and R.point - 1 == R.at):
        race_run()


cdef apart_void race_run() noexcept nogil:
    """What the op races with runs, once."""
    cdef int i, what = R.what
    R.what = OPEN_RACE_NONE
    event(0x4300 + what * 16 + R.at)
    if what == OPEN_RACE_POLL:
        for i in range(vi.max_queue_pairs):
            if napi_poll(i, NAPI_WEIGHT) >= 0:
                break
    elif what == OPEN_RACE_REFILL:
        run_refill(True)
