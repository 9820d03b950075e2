# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-net-rx, compiled: the shared world, the driver's model, the device, the judge."""

include "_gen.pxi"

cdef enum:
    CHECK_HANG = CHECK_S45      # hook of sim/world.pxi

include "../../sim/world.pxi"
include "../../sim/crc.pxi"
include "../../sim/memory.pxi"
include "../../sim/dma.pxi"
include "../../sim/page_pool.pxi"
include "../../sim/skb.pxi"
include "../../sim/work.pxi"
include "../../sim/txring.pxi"
include "../../sim/xdp.pxi"
include "../../sim/xsk.pxi"
include "model/state.pxi"
include "model/page_pool.pxi"
include "model/rx_mode.pxi"
include "oracle.pxi"
include "oracle_xdp.pxi"
include "oracle_xsk.pxi"
include "oracle_filter.pxi"
include "inet.pxi"
include "oracle_inet.pxi"
include "../../sim/virtqueue.pxi"
include "model/buffers.pxi"
include "model/xmit.pxi"
include "model/xdp.pxi"
include "observe.pxi"
include "model/csum.pxi"
include "model/dissect.pxi"
include "model/receive.pxi"
include "model/poll.pxi"
include "model/lifecycle.pxi"
include "model/xsk.pxi"
include "device.pxi"
include "program.pxi"

from vfuzz.targets.virtio_net.checks import CHECKS
from vfuzz.targets.virtio_net.ops import SCHEMA

CHECK_IDS = tuple(check.id for check in CHECKS)


# ---- the stack's ops ---------------------------------------------------------------------------

cdef void op_consume(const vf_op* op) noexcept nogil:
    cdef uint32_t n = 0
    while S.n and n < op.arg[CONSUME_COUNT]:
        step(b"op_consume:loop")
        if unlikely(W_trace):
            observe_packet(S_skbs[S.head])
        kfree_skb(stack_pop(), b"op_consume:free")
        n += 1
    obs(b"freed", n)


cdef void op_forward() noexcept nogil:
    """The oldest packet goes out again: linearised unless the device takes a frag_list, then turned
    into a scatterlist of MAX_SKB_FRAGS + 2 entries (S14)."""
    cdef int s, list, n
    cdef Skb* p
    if S.n == 0:
        obs(b"sent", -1)
        return
    s = stack_pop()
    p = skb_get(s, b"op_forward:skb")
    if p.frag_list and not vi.fraglist:
        # validate_xmit_skb(): skb_linearize()
        if not pskb_pull_tail(s, p.data_len, b"op_forward:linearize"):
            kfree_skb(s, b"op_forward:drop")
            obs(b"sent", 0)
            return
    n = 1 + (skb_headlen(p) != 0) + p.nr_frags
    list = p.frag_list
    while list:
        step(b"op_forward:list")
        n += (skb_headlen(&K_skbs[list]) != 0) + K_skbs[list].nr_frags
        list = K_skbs[list].next
    if unlikely(n > MAX_SKB_FRAGS + 2):
        violation(CHECK_S14, b"op_forward:sg", b"skb", s,
                  b"%lld scatterlist entries for an array of %lld", n, MAX_SKB_FRAGS + 2, 0)
    kfree_skb(s, b"op_forward:sent")
    obs(b"sent", 1)


cdef void op_stats() noexcept nogil:
    """Queue statistics: what active queues report, and the base for the others (S43: they grow)."""
    cdef int i
    cdef uint64_t active = 0, base = 0
    cdef uint32_t busy = 0
    if not vi.registered:
        return
    rq_check(b"op_stats:rq")
    for i in range(vi.max_queue_pairs):
        busy |= <uint32_t>(vi_rq[i].stats.packets != 0) << i
        if i < vi.curr_queue_pairs:
            active += vi_rq[i].stats.packets
        else:
            base += vi_rq[i].stats.packets
    if quirk(QUIRK_F02):
        # 001160ec8c59: the base claimed zero for queues out of use
        base = 0
    if unlikely(active + base < vi.base_packets):
        violation(CHECK_S43, b"op_stats:after_resume" if vi.resumed else b"op_stats:total",
                  b"vi", 0, b"total of packets fell from %lld to %lld", vi.base_packets,
                  active + base, 0)
    event(0x5200 + busy * 16 + <uint32_t>vi.curr_queue_pairs * 2 + (vi.base_packets != 0))
    vi.base_packets = active + base
    vi.resumed = False
    obs(b"packets", active + base)


cdef void op_xdp(int prog) noexcept nogil:
    """The user attaches or detaches; whether it was granted is what the judge goes by."""
    cdef int err = dev_xdp_install(prog)
    obs(b"ret", err)
    if err == 0:
        judge_attached(prog)
    judge_queues()
    judge_shares()


cdef void op_release(const vf_op* op) noexcept nogil:
    cdef uint32_t n = 0
    while n < op.arg[RELEASE_COUNT] and X_xdp.n_away:
        step(b"op_release:loop")
        if unlikely(W_trace):
            observe_frame(X_away[X_xdp.away_head], 0)
        xdp_target_done()
        n += 1
    obs(b"freed", n)
    if unlikely(W_trace):
        observe_frames()


cdef cold_void obs_xdp() noexcept nogil:
    """What ethtool -S says of XDP, all queues."""
    obs(b"xdp_packets", vi.xdp_stats.packets)
    obs(b"xdp_tx", vi.xdp_stats.tx)
    obs(b"xdp_redirects", vi.xdp_stats.redirects)
    obs(b"xdp_drops", vi.xdp_stats.drops)


# ---- entry -------------------------------------------------------------------------------------

cdef void normalise_boot() noexcept nogil:
    """What feature negotiation makes of the offered bits."""
    cdef uint32_t f = P.boot[BOOT_FEATURES]
    if f & BOOT_FEATURES_RING_PACKED:
        f |= BOOT_FEATURES_VERSION_1
    if f & BOOT_FEATURES_MTU and P.boot[BOOT_MTU] < MIN_MTU:
        f &= ~<uint32_t>BOOT_FEATURES_MTU
    P.boot[BOOT_FEATURES] = f


cdef void target_boot() noexcept nogil:
    global M_high_order, frozen
    normalise_boot()
    memory_reset()
    skb_reset()
    virtqueues_reset()
    pools_reset()
    dma_reset(feature(BOOT_FEATURES_ACCESS_PLATFORM), <int>P.boot[BOOT_SWIOTLB])
    oracle_reset(P.boot[BOOT_PROFILE] == BOOT_PROFILE_CONFORMING)
    oracle_xdp_reset()
    device_reset()
    xdp_reset()
    xsk_reset()
    program_reset()
    inet_reset()
    rx_mode_reset()
    judge_filter_reset()
    if unlikely(W_trace):
        observe_reset()
    memset(&S, 0, sizeof(S))
    race_begin(0, 0)
    M_high_order = not P.boot[BOOT_HIGH_ORDER_ALLOC_DISABLE]
    frozen = False
    virtnet_probe()
    rx_mode_work()
    target_after_op()


cdef always_void target_op(const vf_op* op) noexcept nogil:
    cdef int kind = op.kind
    race_begin(0, 0)
    if frozen and kind != OP_RESTORE and kind != OP_CONSUME:
        # suspended: neither user space nor softirqs nor the device (it was reset) run
        obs(b"ret", -1)
        return
    if kind == OP_RX:
        op_rx(op)
    elif kind == OP_BURST:
        op_burst(op)
    elif kind == OP_USE:
        op_use(op)
    elif kind == OP_CONT:
        op_cont(op)
    elif kind == OP_BAD_USED:
        op_bad_used(op)
    elif kind == OP_IRQ:
        op_irq(op)
    elif kind == OP_KICKS:
        op_kicks(op)
    elif kind == OP_POLL:
        obs(b"ret", napi_poll(<int>op.arg[POLL_QUEUE], <int>op.arg[POLL_BUDGET]))
    elif kind == OP_BUSY_POLL:
        obs(b"ret", napi_busy_poll(<int>op.arg[BUSY_POLL_QUEUE], <int>op.arg[BUSY_POLL_BUDGET]))
    elif kind == OP_WORK:
        U.late = False
        obs(b"ret", run_refill(False))
    elif kind == OP_OPEN:
        race_begin(<int>op.arg[OPEN_RACE], <int>op.arg[OPEN_AT])
        obs(b"ret", dev_open())
    elif kind == OP_CLOSE:
        race_begin(<int>op.arg[CLOSE_RACE], <int>op.arg[CLOSE_AT])
        obs(b"ret", dev_close())
    elif kind == OP_CHANNELS:
        race_begin(<int>op.arg[CHANNELS_RACE], <int>op.arg[CHANNELS_AT])
        obs(b"ret", virtnet_set_channels(<int>op.arg[CHANNELS_PAIRS]))
        judge_shares()
    elif kind == OP_RESIZE:
        race_begin(<int>op.arg[RESIZE_RACE], <int>op.arg[RESIZE_AT])
        obs(b"ret", virtnet_set_ringparam(<uint32_t>1 << op.arg[RESIZE_RING_ORDER]))
    elif kind == OP_FREEZE:
        race_begin(<int>op.arg[FREEZE_RACE], <int>op.arg[FREEZE_AT])
        obs(b"ret", virtnet_freeze())
    elif kind == OP_RESTORE:
        race_begin(<int>op.arg[RESTORE_RACE], <int>op.arg[RESTORE_AT])
        obs(b"ret", virtnet_restore())
    elif kind == OP_CONSUME:
        op_consume(op)
    elif kind == OP_FORWARD:
        op_forward()
    elif kind == OP_STATS:
        op_stats()
    elif kind == OP_XDP:
        race_begin(<int>op.arg[XDP_RACE], <int>op.arg[XDP_AT])
        op_xdp(<int>op.arg[XDP_PROG])
    elif kind == OP_VERDICT:
        obs(b"ret", op_verdict(op))
    elif kind == OP_XMIT:
        obs(b"ret", op_xmit(op))
    elif kind == OP_SENT:
        op_sent(op)
    elif kind == OP_RELEASE:
        op_release(op)
    elif kind == OP_NACK:
        obs(b"ret", op_nack(op))
    elif kind == OP_INET:
        op_inet(op)
    elif kind == OP_BREAK_DEVICE:
        obs(b"ret", op_break_device())
    elif OP_XSK_BIND <= kind <= OP_XSK_WAKEUP:
        op_xsk(op)
    elif kind == OP_RX_MODE:
        obs(b"ret", op_rx_mode(op))
    unblock_refill()
    if unlikely(U.pending) and not U.late:
        rx_mode_work()


cdef apart_void stall_check() noexcept nogil:
    """Some queue has no buffer posted. S45: an interface that is up has one posted, or something
    under way that posts one; where chunks are the buffers, that may be a user who was told to."""
    cdef int i
    cdef Vq* vq
    if not vi.running or not vi.present or M.exhausted:
        return
    for i in range(vi.curr_queue_pairs):
        vq = &V_vqs[i]
        if (vq.in_flight == 0 and not vq.broken and vi_rq[i].napi.state == NAPI_IDLE
                and not vi.refill.pending and not more_used(vq)
                and not (xsk_bound(i) and Z_pools[i].rx_wakeup)):
            violation(CHECK_S45, b"stall_check:packed" if vq.packed else b"stall_check:split",
                      b"rq", i,
                      b"queue %lld has no buffer posted and nothing will post one: it is deaf",
                      i, 0, 0)


cdef always_void target_after_op() noexcept nogil:
    cdef int i
    cdef bint empty = False
    books_check(b"target_after_op:books")
    for i in range(vi.max_queue_pairs):
        if V_vqs[i].in_flight == 0:
            empty = True
        if V_vqs[i].live:
            vq_check(&V_vqs[i], i)
            if unlikely(W_trace):
                observe_queue(i)
                if vi.xdp_ever:
                    observe_sq(i)
    if unlikely(W_trace):
        obs(b"rx_length_errors", vi.rx_length_errors)
        obs(b"rx_frame_errors", vi.rx_frame_errors)
        if vi.registered:
            obs(b"rx_queues", vi.real_num_rx_queues)
            if feature(BOOT_FEATURES_CTRL_RX):
                obs(b"filter", filter_seen())
        if vi.xdp_ever:
            obs_xdp()
        if Z.ever:
            observe_sockets()
        observe_memory()
        observe_packets()
    if unlikely(vi.xdp_ever):
        for i in range(vi.max_queue_pairs):
            judge_kicked(i)
    if unlikely(feature(BOOT_FEATURES_CTRL_RX)):
        judge_filter()
    if empty:
        stall_check()


cdef void target_shutdown() noexcept nogil:
    """The device goes away, the stack lets go of what it has, and nothing may be left."""
    race_begin(0, 0)
    virtnet_remove()
    while S.n:
        step(b"target_shutdown:stack")
        if unlikely(W_trace):
            observe_packet(S_skbs[S.head])
        kfree_skb(stack_pop(), b"target_shutdown:free")
    while xdp_target_done():
        step(b"target_shutdown:targets")
    if unlikely(W_trace):
        observe_packets()
    kfree(Z.hdr, b"target_shutdown:xsk_hdr")
    page_frag_drain(b"target_shutdown:page_frag")
    books_check(b"target_shutdown:books")
    maps_leak_check(b"target_shutdown:maps")
    pools_leak_check(b"target_shutdown:pools")
    leak_check(b"target_shutdown:leak" if vi.probed else b"target_shutdown:no_device")


include "rig.pxi"
include "../../sim/entry.pxi"
