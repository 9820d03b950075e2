# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""XDP below a driver: the buffer that a program sees, the helpers by which it changes it, frames
that outlive it, and where redirected frames wait.

Names are those of include/net/xdp.h, net/core/filter.c and net/core/xdp.c. Sizes are x86-64's. A
frame never gets the number of another in a program, so its release is seen for good.

The including module defines:
    uint32_t xdp_meta_max()                         longest metadata of the era
    void judge_frame_made(int fr, uint32_t skip)    a frame is held by somebody from now on; its
                                                    first `skip` bytes are not the program's
    void judge_frame_bytes(int fr, site_t site)     it is being read: as it was made?
    void judge_frame_shared(int fr)                 somebody builds an skb on it
"""

cdef enum:
    XDP_ABORTED = 0
    XDP_DROP = 1
    XDP_PASS = 2
    XDP_TX = 3
    XDP_REDIRECT = 4
    XDP_NOTHING = 5             # no verdict at all: bpf_warn_invalid_xdp_action()

    XDP_PACKET_HEADROOM = 256
    XDP_FRAME_SIZE = 40         # sizeof(struct xdp_frame)
    XDP_FRAMES_MAX = 512
    DEV_MAP_BULK_SIZE = 16
    CPU_MAP_BULK_SIZE = 8
    CPU_MAP_QUEUE_SIZE = 64

    TO_DEVICE = 0               # where redirection goes
    TO_CPU = 1
    TO_NOWHERE = 2
    TO_FULL = 3                 # a device whose ring is full
    TO_SOCKET = 4               # the AF_XDP socket of the queue

    EACCES = 13
    EOVERFLOW = 75
    EOPNOTSUPP = 95

cdef struct XdpBuff:
    uint64_t hard_start
    uint64_t data_meta
    uint64_t data
    uint64_t data_end
    uint32_t frame_sz
    int32_t zc                  # chunk of a socket's memory that it is, 0: of none
    int pool                    # memory model of its queue: a page pool, 0 shared pages
    bint has_frags
    int nr_frags
    uint32_t frags_size
    Frag frags[MAX_SKB_FRAGS]

cdef struct XdpFrame:
    bint live
    bint held                   # its references are its own, no longer the driver's
    bint foreign                # another device's memory, with a memory model of its own
    bint has_frags
    uint8_t target              # TO_*, while it is redirected
    int pool                    # memory model, as of the buffer that it was
    uint64_t data
    uint32_t len
    uint32_t headroom
    uint32_t metasize
    uint32_t frame_sz
    uint64_t shared             # where its shared info was when it was made
    uint64_t digest             # of its bytes then
    int nr_frags
    Frag frags[MAX_SKB_FRAGS]

cdef struct Xdp:
    int n_frames                # frame 0 is none
    int n_bulk[4]               # by TO_*: frames that wait for xdp_do_flush()
    int n_away                  # redirected frames in the hands of their targets, oldest first
    int away_head
    int n_cpu                   # those for CPUs

cdef Xdp X_xdp
cdef XdpFrame X_frame[XDP_FRAMES_MAX]
cdef int32_t X_bulk[4][DEV_MAP_BULK_SIZE]
cdef int32_t X_away[XDP_FRAMES_MAX]


cdef inline void xdp_reset() noexcept nogil:
    memset(&X_xdp, 0, sizeof(X_xdp))
    X_xdp.n_frames = 1


# ---- buffers -----------------------------------------------------------------------------------

cdef void xdp_prepare_buff(XdpBuff* x, uint64_t hard_start, uint32_t headroom, uint32_t size,
                           uint32_t frame_sz) noexcept nogil:
    """xdp_init_buff() and xdp_prepare_buff() with metadata allowed."""
    x.hard_start = hard_start
    x.data = hard_start + headroom
    x.data_end = x.data + size
    x.data_meta = x.data
    x.frame_sz = frame_sz
    x.zc = 0
    x.pool = 0
    x.has_frags = False
    x.nr_frags = 0
    x.frags_size = 0


cdef inline uint64_t xdp_data_hard_end(const XdpBuff* x) noexcept nogil:
    return x.hard_start + x.frame_sz - SHINFO_SIZE


cdef void xdp_reach(uint64_t start, uint64_t end) noexcept nogil:
    """Bytes [start, end) are the packet's from now on: its buffer may be read there."""
    cdef int b = buf_at(frame_of(start), offset_of(start))
    if b:
        M_bufs[b].p_start = min(M_bufs[b].p_start, offset_of(start))
        M_bufs[b].p_end = max(M_bufs[b].p_end, offset_of(end))


cdef int bpf_xdp_adjust_head(XdpBuff* x, int offset, site_t site) noexcept nogil:
    """Move the start of the packet, metadata with it; 0 or -EINVAL."""
    cdef uint32_t metalen = <uint32_t>(x.data - x.data_meta)
    cdef uint64_t data = x.data + offset
    if data < x.hard_start + XDP_FRAME_SIZE + metalen or data > x.data_end - 14:
        return -EINVAL
    xdp_reach(data - metalen, x.data_end)
    if metalen:
        cpu_copy(x.data_meta + offset, x.data_meta, metalen, site)
    x.data_meta += offset
    x.data = data
    return 0


cdef int bpf_xdp_adjust_meta(XdpBuff* x, int offset) noexcept nogil:
    """Move the start of the metadata: 0, -EINVAL or -EACCES."""
    cdef uint64_t meta = x.data_meta + offset
    if meta < x.hard_start + XDP_FRAME_SIZE or meta > x.data:
        return -EINVAL
    if (x.data - meta) & 3 or x.data - meta > xdp_meta_max():
        return -EACCES
    xdp_reach(meta, x.data_end)
    x.data_meta = meta
    return 0


cdef int bpf_xdp_frags_shrink_tail(XdpBuff* x, uint32_t size, site_t site) noexcept nogil:
    """Fragments shrink from the last one on; those that get empty are given back."""
    cdef uint32_t shrink
    cdef Frag* frag
    if <int64_t>size > <int64_t>(x.data_end - x.data) + x.frags_size - 14:
        return -EINVAL
    while x.nr_frags and size:
        frag = &x.frags[x.nr_frags - 1]
        shrink = min(size, frag.size)
        size -= shrink
        x.frags_size -= shrink
        if shrink < frag.size:
            frag.size -= shrink
            break
        if x.pool:
            page_pool_put_buf(x.pool, addr_of(frag.page, frag.offset), False, site)
        else:
            put_buf(addr_of(frag.page, frag.offset), site)
        x.nr_frags -= 1
    if x.nr_frags == 0:
        x.has_frags = False
        x.data_end -= size
    return 0


cdef int bpf_xdp_adjust_tail(XdpBuff* x, int offset, site_t site) noexcept nogil:
    """Move the end of the packet: 0, -EINVAL, or -EOPNOTSUPP where fragments would grow."""
    cdef uint64_t end = x.data_end + offset
    if x.has_frags:
        if offset < 0:
            return bpf_xdp_frags_shrink_tail(x, <uint32_t>-offset, site)
        # no driver here registers its rx info with a frag_size
        return -EOPNOTSUPP
    if end > xdp_data_hard_end(x) or end < x.data + 14:
        return -EINVAL
    if offset > 0:
        cpu_write(x.data_end, <uint32_t>offset, site)
        xdp_reach(x.data, end)
    x.data_end = end
    return 0


# ---- frames ------------------------------------------------------------------------------------

cdef inline uint64_t xdp_frame_shared(const XdpFrame* fr) noexcept nogil:
    """xdp_get_shared_info_from_frame(): found by what the frame says of itself."""
    return fr.data - fr.headroom - XDP_FRAME_SIZE + fr.frame_sz - SHINFO_SIZE


cdef int xdp_frame_new() noexcept nogil:
    if X_xdp.n_frames >= XDP_FRAMES_MAX:
        M.exhausted = True
        return 0
    X_xdp.n_frames += 1
    memset(&X_frame[X_xdp.n_frames - 1], 0, sizeof(XdpFrame))
    X_frame[X_xdp.n_frames - 1].live = True
    return X_xdp.n_frames - 1


cdef int xdp_convert_buff_to_frame(const XdpBuff* x, site_t site) noexcept nogil:
    """The buffer as a frame, described in its own headroom; 0 where that has no room.

    A fault site (alloc): as with a zero-copy buffer, of which this makes a copy.
    """
    cdef uint32_t headroom = <uint32_t>(x.data - x.hard_start)
    cdef uint32_t metasize = <uint32_t>(x.data - x.data_meta)
    cdef XdpFrame* p
    cdef int fr
    if unlikely(x.zc != 0):
        return xdp_convert_zc_to_xdp_frame(x, site)
    if fault(FAULT_ALLOC, site) or headroom < metasize + XDP_FRAME_SIZE:
        return 0
    if x.data_end > xdp_data_hard_end(x):
        return 0
    fr = xdp_frame_new()
    if fr == 0:
        return 0
    cpu_write(x.hard_start, XDP_FRAME_SIZE, site)
    p = &X_frame[fr]
    p.data = x.data
    p.len = <uint32_t>(x.data_end - x.data)
    p.headroom = headroom - XDP_FRAME_SIZE
    p.metasize = metasize
    p.frame_sz = x.frame_sz
    p.shared = xdp_data_hard_end(x)
    p.pool = x.pool
    p.has_frags = x.has_frags
    p.nr_frags = x.nr_frags
    memcpy(p.frags, x.frags, sizeof(p.frags))
    ev(b"alloc", b"frame", fr, p.len, p.nr_frags, site)
    return fr


cdef void xdp_part_hold(uint64_t addr, site_t site) noexcept nogil:
    cdef int f = frame_of(addr)
    cdef int b
    move_ref(f, H_DRV, H_XDP, site)
    b = buf_at(f, offset_of(addr))
    if b:
        M_bufs[b].state = B_XDP


cdef void xdp_frame_hold(int fr, uint32_t skip, site_t site) noexcept nogil:
    """Somebody took the frame: its memory is no longer the driver's."""
    cdef XdpFrame* p = &X_frame[fr]
    cdef int i
    p.held = True
    xdp_part_hold(p.data, site)
    for i in range(p.nr_frags):
        xdp_part_hold(addr_of(p.frags[i].page, p.frags[i].offset), site)
    judge_frame_made(fr, skip)


cdef void xdp_part_put(const XdpFrame* p, uint64_t addr, site_t site) noexcept nogil:
    """__xdp_return() of one part, which is page_frag_free() of shared pages, and what a pool takes
    back where the queue that it came from had one."""
    cdef int f = frame_of(addr)
    cdef int b
    check_live(f, site)
    b = buf_at(f, offset_of(addr))
    if b:
        buf_drop(f, b, site)
    if p.pool:
        page_pool_return(f, H_XDP if p.held else H_DRV, site)
    else:
        put_live_page(f, H_XDP if p.held else H_DRV, site)


cdef XdpFrame* xdp_frame_get(int fr, site_t site) noexcept nogil:
    """The live frame (S1)."""
    if unlikely(not X_frame[fr].live):
        violation(CHECK_S1, site, b"frame", fr, b"access to frame %lld after its release", fr, 0, 0)
    return &X_frame[fr]


cdef void xdp_return_frame(int fr, site_t site) noexcept nogil:
    """xdp_return_frame(): give back every part. S16: what its fragments are is read where it was
    written."""
    cdef XdpFrame* p = xdp_frame_get(fr, site)
    cdef int i
    if p.has_frags:
        if unlikely(xdp_frame_shared(p) != p.shared):
            violation(CHECK_S16, site, b"frame", fr,
                      b"shared info of the frame is looked for %lld bytes behind where it is",
                      <int64_t>(xdp_frame_shared(p) - p.shared), 0, 0)
        for i in range(p.nr_frags):
            xdp_part_put(p, addr_of(p.frags[i].page, p.frags[i].offset), site)
    xdp_part_put(p, p.data, site)
    p.live = False
    ev(b"free", b"frame", fr, 0, 0, site)


cdef void xdp_frame_put_page(int fr, site_t site) noexcept nogil:
    """put_page() of a frame's head, as if it were a page like any other. S23: memory of a pool, or
    of another device, goes back to where it came from."""
    cdef XdpFrame* p = xdp_frame_get(fr, site)
    if unlikely(p.foreign or p.pool != 0):
        violation(CHECK_S23, site, b"frame", fr,
                  b"frame %lld has a memory model of its own, and its page is put", fr, 0, 0)
    xdp_part_put(p, p.data, site)
    p.live = False


cdef uint64_t xdp_frame_digest(int fr, site_t site) noexcept nogil:
    """One number for where all bytes of a frame came from."""
    cdef XdpFrame* p = &X_frame[fr]
    cdef int i, n
    n = pieces_add(0, p.data, p.len, site)
    for i in range(p.nr_frags):
        n = pieces_add(n, addr_of(p.frags[i].page, p.frags[i].offset), p.frags[i].size, site)
    return pieces_digest(n)


# ---- redirection -------------------------------------------------------------------------------

cdef void bq_xmit_all(int to) noexcept nogil:
    """bq_xmit_all() and bq_flush_to_queue(): the targets take what waits, or it is returned."""
    cdef int i, fr
    for i in range(X_xdp.n_bulk[to]):
        fr = X_bulk[to][i]
        if to == TO_FULL or (to == TO_CPU and X_xdp.n_cpu >= CPU_MAP_QUEUE_SIZE):
            xdp_return_frame(fr, b"bq_xmit_all:refused")
            continue
        X_xdp.n_cpu += to == TO_CPU
        X_away[(X_xdp.away_head + X_xdp.n_away) % XDP_FRAMES_MAX] = fr
        X_xdp.n_away += 1
    X_xdp.n_bulk[to] = 0


cdef int xdp_do_redirect(const XdpBuff* x, int to) noexcept nogil:
    """xdp_do_redirect(): the frame waits in a bulk queue until that is full or flushed."""
    cdef int fr
    if to == TO_SOCKET:
        return xsk_rcv(x)
    fr = xdp_convert_buff_to_frame(x, b"xdp_do_redirect:convert")
    if fr == 0:
        return -EOVERFLOW
    if to == TO_NOWHERE:
        if unlikely(x.zc != 0):
            # nobody has the copy, and nobody gives it back
            violation(CHECK_S2, b"xdp_do_redirect:zc_lost", b"frame", fr,
                      b"the copy of a zero-copy packet that goes nowhere is lost: %lld bytes",
                      X_frame[fr].len, 0, 0)
        X_frame[fr].live = False
        return -EINVAL
    if X_xdp.n_bulk[to] == (CPU_MAP_BULK_SIZE if to == TO_CPU else DEV_MAP_BULK_SIZE):
        bq_xmit_all(to)
    X_frame[fr].target = <uint8_t>to
    xdp_frame_hold(fr, 0, b"xdp_do_redirect:enqueue")
    X_bulk[to][X_xdp.n_bulk[to]] = fr
    X_xdp.n_bulk[to] += 1
    return 0


cdef void xdp_do_flush() noexcept nogil:
    bq_xmit_all(TO_DEVICE)
    bq_xmit_all(TO_CPU)
    bq_xmit_all(TO_FULL)
    if unlikely(Z.ever):
        xsk_map_flush()


cdef bint xdp_target_done() noexcept nogil:
    """The oldest redirected frame has done its work: sent by its device, or built on by its CPU and
    freed by the stack. False if there is none."""
    cdef int fr
    if X_xdp.n_away == 0:
        return False
    fr = X_away[X_xdp.away_head]
    X_xdp.away_head = (X_xdp.away_head + 1) % XDP_FRAMES_MAX
    X_xdp.n_away -= 1
    judge_frame_bytes(fr, b"xdp_target_done:bytes")
    if X_frame[fr].target == TO_CPU:
        X_xdp.n_cpu -= 1
        judge_frame_shared(fr)
    xdp_return_frame(fr, b"xdp_target_done:return")
    return True
