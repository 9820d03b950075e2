# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of XDP: which packet a program saw, what it made of it, and what became of that.

It keeps its own copy of what the packet must be, as runs of bytes of known origin, and changes it
as the program says that it changed the packet. It knows what the user attached, what the device
was told, and how many buffers were posted before; not which era or quirk is on.
"""

cdef enum:
    EXPECTED_MAX = 320
    ANYTHING = -1               # origin of bytes that may be whatever they are

    MOVED_HEAD = 1              # the start
    MOVED_TAIL = 2
    MOVED_BYTES = 4             # wrote

cdef struct Run:
    int32_t origin
    uint32_t at
    uint32_t size

cdef struct Judged:             # the packet that is being received
    int runs                    # of the program
    int act                     # its verdict
    bint has_frags
    int moved                   # MOVED_*: what it did to the packet
    bint known                  # it left a packet of TCP or UDP, of which it was given one
    uint32_t meta
    int n                       # of E_runs; -1: too many, nothing is compared
    uint64_t packets            # XDP statistics before it
    uint64_t tx
    uint64_t redirects
    uint64_t drops

cdef struct Attached:
    int prog                    # VERDICT: what the user attached, 0 nothing
    bint resumed                # and suspended since
    int n_old[QUEUES_MAX]       # buffers that were in the ring when it was attached

cdef Judged E
cdef Attached A
cdef Run E_runs[EXPECTED_MAX]


cdef inline void oracle_xdp_reset() noexcept nogil:
    memset(&A, 0, sizeof(A))
    E.runs = 0


cdef void judge_attached(int prog) noexcept nogil:
    """The user's request was granted. What is in the rings now may be without headroom."""
    cdef int i
    A.prog = prog
    A.resumed = False
    for i in range(vi.max_queue_pairs):
        A.n_old[i] = V_vqs[i].in_flight
    packet_begin_xdp()


cdef inline void judge_resumed() noexcept nogil:
    """The queues are new: nothing old is in them."""
    A.resumed = A.prog != 0


# ---- what the packet must be -------------------------------------------------------------------

cdef void run_add(int32_t origin, uint32_t at, uint32_t size) noexcept nogil:
    if size == 0 or E.n < 0:
        return
    if E.n == EXPECTED_MAX:
        E.n = -1
        return
    E_runs[E.n].origin = origin
    E_runs[E.n].at = at
    E_runs[E.n].size = size
    E.n += 1


cdef void expect_device() noexcept nogil:
    """What the device wrote to the buffers taken, without the header; what it only claimed may be
    anything."""
    cdef int k
    cdef uint32_t start = vi.hdr_len, written, used
    E.n = 0
    for k in range(J.n_consumed):
        used = J_consumed_len[k]
        written = min(J_origins[J_consumed[k]].written, used)
        if written > start:
            run_add(J_consumed[k], start, written - start)
        if used > max(written, start):
            run_add(ANYTHING, 0, used - max(written, start))
        start = 0


cdef void expect_drop_front(uint32_t size) noexcept nogil:
    cdef int i = 0
    cdef uint32_t cut
    while i < E.n and size:
        cut = min(size, E_runs[i].size)
        E_runs[i].at += cut
        E_runs[i].size -= cut
        size -= cut
        i += 1


cdef void expect_drop_back(uint32_t size) noexcept nogil:
    cdef uint32_t cut
    while E.n > 0 and size:
        cut = min(size, E_runs[E.n - 1].size)
        E_runs[E.n - 1].size -= cut
        size -= cut
        if E_runs[E.n - 1].size == 0:
            E.n -= 1


cdef void expect_insert(int i, int n) noexcept nogil:
    """Make room for n runs at place i."""
    if E.n < 0 or E.n + n > EXPECTED_MAX:
        E.n = -1
        return
    memmove(&E_runs[i + n], &E_runs[i], <size_t>(E.n - i) * sizeof(Run))
    E.n += n


cdef void judge_xdp_pull(uint32_t size) noexcept nogil:
    E.moved |= MOVED_HEAD
    expect_drop_front(size)


cdef void judge_xdp_push(uint32_t size) noexcept nogil:
    """What lies in front is whatever was there."""
    E.moved |= MOVED_HEAD
    expect_insert(0, 1)
    if E.n > 0:
        E_runs[0].origin = ANYTHING
        E_runs[0].size = size


cdef void judge_xdp_trim(uint32_t size) noexcept nogil:
    E.moved |= MOVED_TAIL
    expect_drop_back(size)


cdef void judge_xdp_grow(uint32_t size) noexcept nogil:
    """The helper clears what it adds."""
    E.moved |= MOVED_TAIL
    run_add(ORIGIN_CPU, 0, size)


cdef void judge_xdp_meta(uint32_t size) noexcept nogil:
    E.meta = size


cdef void judge_xdp_write(uint32_t offset, uint32_t size, int origin, uint32_t at) noexcept nogil:
    """Bytes [offset, offset+size) are the program's now."""
    E.moved |= MOVED_BYTES
    expect_write(offset, size, origin, at)


cdef void expect_write(uint32_t offset, uint32_t size, int origin, uint32_t at) noexcept nogil:
    """Bytes [offset, offset+size) are other ones."""
    cdef int i = 0
    cdef uint32_t start = 0, cut
    cdef Run old
    while size and 0 <= i < E.n:
        if start + E_runs[i].size <= offset:
            start += E_runs[i].size
            i += 1
            continue
        old = E_runs[i]
        cut = min(size, start + old.size - offset)
        # in front of it, it, behind it
        expect_insert(i, 2)
        if E.n < 0:
            return
        E_runs[i] = old
        E_runs[i].size = offset - start
        E_runs[i + 1].origin = origin
        E_runs[i + 1].at = at
        E_runs[i + 1].size = cut
        E_runs[i + 2] = old
        E_runs[i + 2].at += offset - start + cut
        E_runs[i + 2].size -= offset - start + cut
        start += offset - start + cut
        offset += cut
        at += cut
        size -= cut
        i += 2


cdef void judge_xdp_bytes(int n, uint32_t skip, const char* obj, int64_t id,
                          site_t site) noexcept nogil:
    """S36: K_pieces[0..n) behind the first `skip` bytes are the expected runs, and no more."""
    cdef int i = 0, k = 0
    cdef uint32_t got = 0, have = 0, size, pos = 0
    if E.n < 0 or n >= PIECES_MAX:
        return
    while True:
        step(site)
        while i < n and (got == K_pieces[i].size):
            i += 1
            got = 0
        if i < n and skip:
            size = min(skip, K_pieces[i].size - got)
            skip -= size
            got += size
            continue
        while k < E.n and have == E_runs[k].size:
            k += 1
            have = 0
        if i >= n or k >= E.n:
            break
        size = min(K_pieces[i].size - got, E_runs[k].size - have)
        if unlikely(E_runs[k].origin != ANYTHING
                    and (K_pieces[i].origin != E_runs[k].origin
                         or (E_runs[k].origin != ORIGIN_CPU
                             and K_pieces[i].at + got != E_runs[k].at + have))):
            violation(CHECK_S36, site, obj, id,
                      b"byte %lld comes from origin %lld, the program left one of origin %lld", pos,
                      K_pieces[i].origin, E_runs[k].origin)
        got += size
        have += size
        pos += size
    if unlikely(i < n or k < E.n):
        violation(CHECK_S36, site, obj, id,
                  b"the packet ends after %lld bytes, what is expected is another length", pos, 0,
                  0)


# ---- before and after the program --------------------------------------------------------------

cdef void judge_xdp_bounds(const XdpBuff* x, site_t site) noexcept nogil:
    """S16."""
    if unlikely(x.data_meta < x.hard_start or x.data_meta > x.data or x.data > x.data_end):
        violation(CHECK_S16, site, b"xdp_buff", 0,
                  b"xdp_buff with metadata at %lld, data at %lld and its end at %lld",
                  <int64_t>(x.data_meta - x.hard_start), <int64_t>(x.data - x.hard_start),
                  <int64_t>(x.data_end - x.hard_start))
    # a chunk has no shared info behind the packet
    if unlikely(x.data_end > xdp_data_hard_end(x) + (SHINFO_SIZE if x.zc else 0)):
        violation(CHECK_S16, site, b"xdp_buff", 0,
                  b"xdp_buff whose data ends at %lld, a frame of %lld bytes has room until %lld",
                  <int64_t>(x.data_end - x.hard_start), x.frame_sz,
                  <int64_t>(xdp_data_hard_end(x) - x.hard_start))


cdef int xdp_pieces(const XdpBuff* x) noexcept nogil:
    cdef int i
    cdef int n = pieces_add(0, x.data, <uint32_t>(x.data_end - x.data), b"xdp_pieces:head")
    for i in range(x.nr_frags):
        n = pieces_add(n, addr_of(x.frags[i].page, x.frags[i].offset), x.frags[i].size,
                       b"xdp_pieces:frag")
    return n


cdef void judge_xdp_begin(ReceiveQueue* rq, const XdpBuff* x) noexcept nogil:
    """The program is about to see a packet: S37 it may, S16 the buffer, S36 all of the packet."""
    cdef const Origin* o = &J_origins[J_consumed[0]]
    if unlikely(E.runs != 0):
        violation(CHECK_S37, b"judge_xdp_begin:twice", b"rq", rq.index,
                  b"the program runs twice on one packet", 0, 0, 0)
    if unlikely(o.first and o.written >= vi.hdr_len and o.hdr[1] != 0):
        violation(CHECK_S37, b"judge_xdp_begin:gso_xsk" if J.zero_copy
                  else b"judge_xdp_begin:gso", b"rq", rq.index,
                  b"the program is given a packet with GSO type %lld", o.hdr[1], 0, 0)
    if unlikely(M_frames[frame_of(x.data)].pool != x.pool and not M_frames[frame_of(x.data)].copy):
        violation(CHECK_S42, b"judge_xdp_begin:memory_model", b"rq", rq.index,
                  b"a buffer of pool %lld on a queue whose memory model is pool %lld (0: none)",
                  M_frames[frame_of(x.data)].pool, x.pool, 0)
    E.runs = 1
    E.meta = 0
    E.moved = 0
    E.known = False
    E.has_frags = x.has_frags
    expect_device()
    judge_xdp_bounds(x, b"judge_xdp_begin:bounds")
    judge_xdp_bytes(xdp_pieces(x), 0, b"xdp_buff", 0, b"judge_xdp_begin:bytes")


cdef void judge_xdp_end(const XdpBuff* x, int act) noexcept nogil:
    E.act = act
    judge_xdp_bounds(x, b"judge_xdp_end:bounds")
    if J_origins[J_consumed[0]].inet:
        judge_inet_left(x)


# ---- frames ------------------------------------------------------------------------------------

cdef void judge_frame_made(int fr, uint32_t skip) noexcept nogil:
    """Hook of sim/xdp.pxi. S36: the frame has the bytes that the program left; S31: and they are
    whole, for nothing goes with it that says where a checksum is to be put."""
    cdef XdpFrame* p = &X_frame[fr]
    cdef const Origin* o
    cdef int n, i
    if not p.foreign:
        n = pieces_add(0, p.data, p.len, b"judge_frame_made:head")
        for i in range(p.nr_frags):
            n = pieces_add(n, addr_of(p.frags[i].page, p.frags[i].offset), p.frags[i].size,
                           b"judge_frame_made:frag")
        judge_xdp_bytes(n, skip, b"frame", fr, b"judge_frame_made:bytes")
        o = &J_origins[J_consumed[0]]
        if unlikely(o.first and o.written >= vi.hdr_len and o.hdr[0] & HDR_F_NEEDS_CSUM):
            violation(CHECK_S31, b"judge_frame_made:partial_xsk" if J.zero_copy
                      else b"judge_frame_made:partial", b"frame", fr,
                      b"a packet with a partial checksum leaves without its header", 0, 0, 0)
    p.digest = xdp_frame_digest(fr, b"judge_frame_made:digest")


cdef void judge_frame_bytes(int fr, site_t site) noexcept nogil:
    """Hook of sim/xdp.pxi. S36: nobody wrote to a frame while it was away."""
    cdef XdpFrame* p = xdp_frame_get(fr, site)
    if unlikely(xdp_frame_digest(fr, site) != p.digest):
        violation(CHECK_S36, site, b"frame", fr, b"the frame's bytes changed while it was away", 0,
                  0, 0)


cdef void judge_frame_shared(int fr) noexcept nogil:
    """Hook of sim/xdp.pxi. S15: the shared info of an skb on the frame lies behind the packet, and
    in its own buffer."""
    cdef const XdpFrame* p = &X_frame[fr]
    cdef uint64_t shared = xdp_frame_shared(p)
    cdef int f = frame_of(p.data)
    cdef int b = buf_at(f, offset_of(p.data))
    if unlikely(shared < p.data + p.len
                or offset_of(shared) + SHINFO_SIZE > (M_bufs[b].a_end if b else M_frames[f].size)):
        violation(CHECK_S15, b"judge_frame_shared:mergeable" if vi.mergeable_rx_bufs
                  else b"judge_frame_shared:small", b"frame", fr,
                  b"shared info at %lld of a frame whose packet ends at %lld and buffer at %lld",
                  offset_of(shared), offset_of(p.data) + p.len,
                  M_bufs[b].a_end if b else M_frames[f].size)


cdef void judge_sent(int fr) noexcept nogil:
    """The device reads a frame. S36: its bytes; S31: the header in front says nothing."""
    cdef const XdpFrame* p = xdp_frame_get(fr, b"judge_sent:frame")
    cdef int i
    judge_frame_bytes(fr, b"judge_sent:bytes")
    i = pieces_add(0, p.data, vi.hdr_len, b"judge_sent:header")
    if unlikely(i != 1 or K_pieces[0].origin != ORIGIN_CPU):
        violation(CHECK_S31, b"judge_sent:header", b"frame", fr,
                  b"the vnet header of a frame is not zero", 0, 0, 0)


# ---- delivery ----------------------------------------------------------------------------------

cdef void judge_unseen(ReceiveQueue* rq) noexcept nogil:
    """S37: a program is attached, and an skb is delivered that it did not see."""
    violation(CHECK_S37, b"judge_unseen:after_resume" if A.resumed
              else b"judge_unseen:big" if vi.big_packets and not vi.mergeable_rx_bufs
              else b"judge_unseen:delivered", b"rq", rq.index,
              b"a packet is delivered that the attached program did not see", 0, 0, 0)


cdef void judge_xdp_skb(int s) noexcept nogil:
    """An skb that a program passed: its bytes (S36) and what is said of them (S31)."""
    cdef Skb* p = &K_skbs[s]
    cdef const Origin* o = &J_origins[J_consumed[0]]
    # a hostile device may write no header: what an older packet left in its place is as good
    cdef bint header = o.first and o.written >= vi.hdr_len
    cdef bint partial = header and o.hdr[0] & HDR_F_NEEDS_CSUM
    if p.ip_summed == CHECKSUM_PARTIAL and partial:
        # who completes it later may put another sum of addresses there: judge_inet()
        expect_write(p.csum_start - p.data + p.csum_offset, 2, ANYTHING, 0)
    judge_xdp_bytes(skb_pieces(s, b"judge_xdp_skb:pieces"), 0, b"skb", s, b"judge_xdp_skb:bytes")
    if unlikely(p.meta_len != E.meta):
        violation(CHECK_S31, b"judge_xdp_skb:meta", b"skb", s,
                  b"%lld bytes of metadata, the program left %lld", p.meta_len, E.meta, 0)
    if unlikely(p.ip_summed == CHECKSUM_PARTIAL and header and not partial or p.gso_size != 0
                or p.hash != 0):
        violation(CHECK_S31, b"judge_xdp_skb:stale", b"skb", s,
                  b"checksum %lld, GSO size %lld or hash %lld of a packet that a program may have "
                  b"changed", p.ip_summed, p.gso_size, p.hash)
    if unlikely(partial and p.ip_summed != CHECKSUM_PARTIAL):
        violation(CHECK_S31, b"judge_xdp_skb:partial_xsk" if J.zero_copy
                  else b"judge_xdp_skb:partial", b"skb", s,
                  b"a partial checksum is delivered as none", 0, 0, 0)
    if unlikely(header and o.hdr[0] & HDR_F_DATA_VALID and p.ip_summed == CHECKSUM_NONE):
        violation(CHECK_S31, b"judge_xdp_skb:valid", b"skb", s,
                  b"a checksum that the device found valid is delivered as unknown", 0, 0, 0)
    if unlikely(p.ip_summed == CHECKSUM_UNNECESSARY and header
                and not o.hdr[0] & HDR_F_DATA_VALID):
        violation(CHECK_S31, b"judge_xdp_skb:unasked", b"skb", s,
                  b"a checksum is delivered as valid that nobody validated", 0, 0, 0)


cdef bint skb_has_copy(int s) noexcept nogil:
    """Is the skb's head a page into which the driver copied the packet?"""
    return M_frames[frame_of(K_skbs[s].head)].copy


cdef bint has_headroom(int f, uint32_t offset) noexcept nogil:
    """Does a received buffer begin in front of what was posted?"""
    cdef int b = buf_at(f, offset)
    return b != 0 and not M_frames[f].copy and M_bufs[b].p_start > M_bufs[b].a_start


cdef bint skb_has_headroom(int s) noexcept nogil:
    """Does the skb hold a buffer with room for XDP in front?"""
    cdef Skb* p
    cdef int i
    cdef bint head = True
    while s:
        p = &K_skbs[s]
        if has_headroom(frame_of(p.head), offset_of(p.head)):
            return True
        for i in range(p.nr_frags):
            if has_headroom(p.frags[i].page, p.frags[i].offset):
                return True
        s = p.frag_list if head else p.next
        head = False
    return False


cdef site_t truesize_site(int s) noexcept nogil:
    """Where S17 fails: the cases that were studied have labels of their own."""
    if J.zero_copy:
        return b"judge_delivered:zero_copy"
    if not vi.mergeable_rx_bufs and skb_has_copy(s):
        return b"judge_delivered:small_copy"
    if vi.mergeable_rx_bufs and skb_has_headroom(s):
        return b"judge_delivered:headroom"
    return b"judge_delivered:truesize"


# ---- the end of a packet -----------------------------------------------------------------------

cdef bint xdp_may_drop(ReceiveQueue* rq, const Origin* o) noexcept nogil:
    """May a packet of a conforming device be dropped that the program did not see? One that was
    already on its way, or that has what the driver told the device to leave."""
    return (A.n_old[rq.index] > 0
            or (feature(BOOT_FEATURES_CTRL_GUEST_OFFLOADS)
                and (o.hdr[1] != 0 or o.hdr[0] & HDR_F_NEEDS_CSUM)))


cdef site_t outcome_site(uint64_t drops) noexcept nogil:
    """Where S43 fails: a packet that was to be delivered, and is not counted, has other labels."""
    if drops or (E.runs and E.act != XDP_PASS):
        return b"packet_end_xdp:outcome"
    if J.zero_copy:
        return b"packet_end_xdp:xsk_lost"
    return b"packet_end_xdp:copy_lost" if E.runs else b"packet_end_xdp:outcome"


cdef void packet_end_xdp(ReceiveQueue* rq, const RqStats* was, const RqStats* now,
                         uint64_t frame_errors) noexcept nogil:
    """S43 of one packet with a program attached: run, dropped and counted as the verdict says."""
    cdef const Origin* o = &J_origins[J_consumed[0]]
    cdef const XdpStats* x = &vi.xdp_stats
    cdef uint64_t drops = now.drops - was.drops
    cdef uint64_t taken = 0
    cdef uint64_t bytes = 0
    cdef bint valid = J.conforming and W.faults_fired == 0 and not M.exhausted
    cdef int i
    if E.runs and drops == 0 and (E.act == XDP_TX or E.act == XDP_REDIRECT):
        taken = 1
    if unlikely(drops + frame_errors + <uint64_t>J.n_delivered + taken != 1):
        violation(CHECK_S43, outcome_site(drops), b"rq", rq.index,
                  b"a packet was counted %lld times (drops %lld, verdict %lld)",
                  drops + frame_errors + <uint64_t>J.n_delivered + taken, drops, E.act)
    if unlikely(x.packets - E.packets != <uint64_t>E.runs
                or x.tx - E.tx != <uint64_t>(E.runs and E.act == XDP_TX)
                or x.redirects - E.redirects != <uint64_t>(E.runs and E.act == XDP_REDIRECT)):
        violation(CHECK_S43, b"packet_end_xdp:verdict", b"rq", rq.index,
                  b"verdict %lld counted as %lld transmissions and %lld redirections", E.act,
                  x.tx - E.tx, x.redirects - E.redirects)
    # zero copy counts drops, and of those by XDP none
    if unlikely(E.runs and E.act != XDP_PASS and x.drops - E.drops != drops
                and not J.zero_copy):
        violation(CHECK_S43, b"packet_end_xdp:drops", b"rq", rq.index,
                  b"verdict %lld counted as %lld drops, of them %lld by XDP", E.act, drops,
                  x.drops - E.drops)
    if J.n_delivered or taken:
        for i in range(J.n_consumed):
            # linearising does not count what it takes
            if i == 0 or E.runs == 0 or E.has_frags:
                bytes += J_consumed_len[i]
        if unlikely(now.bytes - was.bytes != bytes - vi.hdr_len):
            violation(CHECK_S43, b"packet_end_xdp:bytes", b"rq", rq.index,
                      b"packet of %lld bytes counted as %lld", bytes - vi.hdr_len,
                      now.bytes - was.bytes, 0)
    if unlikely(valid and drops and E.runs and E.act == XDP_PASS):
        violation(CHECK_S43, b"packet_end_xdp:passed", b"rq", rq.index,
                  b"a packet that the program passed was dropped", 0, 0, 0)
    if unlikely(frame_errors and E.runs and E.known and E.act == XDP_PASS and W.faults_fired == 0
                and not M.exhausted):
        violation(CHECK_S43, b"packet_end_xdp:xsk_partial" if J.zero_copy
                  and o.hdr[0] & HDR_F_NEEDS_CSUM else b"packet_end_xdp:refused", b"rq", rq.index,
                  b"a packet that the program passed whole is dropped for its header", 0, 0, 0)
    if unlikely(valid and drops and not E.runs and not xdp_may_drop(rq, o)):
        violation(CHECK_S43, b"packet_end_xdp:size" if J.n_consumed > 1
                  else b"packet_end_xdp:lost", b"rq", rq.index,
                  b"a valid packet of %lld buffers was lost before the program", J.n_consumed, 0, 0)


cdef inline void packet_begin_xdp() noexcept nogil:
    """Nothing has happened to the next packet yet."""
    E.runs = 0
    E.packets = vi.xdp_stats.packets
    E.tx = vi.xdp_stats.tx
    E.redirects = vi.xdp_stats.redirects
    E.drops = vi.xdp_stats.drops


cdef void packet_over(int q) noexcept nogil:
    """The packet is done with. Buffers that were there before the program get fewer."""
    A.n_old[q] = max(0, A.n_old[q] - J.n_consumed)
    packet_begin_xdp()


# ---- queues ------------------------------------------------------------------------------------

cdef void judge_flushed(ReceiveQueue* rq) noexcept nogil:
    """NAPI is about to be completed. S44: nothing that it redirected waits."""
    cdef int n = (X_xdp.n_bulk[TO_DEVICE] + X_xdp.n_bulk[TO_CPU] + X_xdp.n_bulk[TO_FULL]
                  + xsk_unflushed())
    if unlikely(n != 0):
        violation(CHECK_S44, b"judge_flushed:waiting", b"rq", rq.index,
                  b"%lld redirected frames wait while queue %lld completes its poll", n, rq.index,
                  0)


cdef void judge_queues() noexcept nogil:
    """After the number of queues could change. S43: the stack knows it; S47: frames that wait in a
    transmit ring were notified."""
    cdef int i
    if vi.registered and unlikely(vi.real_num_rx_queues != vi.curr_queue_pairs):
        violation(CHECK_S43, b"judge_queues:real_num_rx" if feature(BOOT_FEATURES_MQ)
                  else b"judge_queues:no_mq", b"vi", 0,
                  b"the stack knows %lld receive queues, %lld are used", vi.real_num_rx_queues,
                  vi.curr_queue_pairs, 0)


cdef void judge_shares() noexcept nogil:
    """After the number of queues could change. S43: XDP has some of the pairs in use, never all."""
    if vi.registered and unlikely(vi.xdp_queue_pairs >= vi.curr_queue_pairs):
        violation(CHECK_S43, b"judge_shares:none_left", b"vi", 0,
                  b"%lld pairs are XDP's own of %lld in use: the stack has none to send on",
                  vi.xdp_queue_pairs, vi.curr_queue_pairs, 0)


cdef void judge_kicked(int q) noexcept nogil:
    """After an op. S47: no frame waits in a transmit ring that the device was not told of."""
    if unlikely(vi_sq[q].vq.kicked != vi_sq[q].vq.tail):
        violation(CHECK_S47, b"judge_kicked:tx", b"sq", q,
                  b"send queue %lld has frames that the device does not know of", q, 0, 0)
