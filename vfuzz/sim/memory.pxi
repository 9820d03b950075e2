# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""Simulated memory: frames with holders of references, written extents, buffers, page_frag.

A *frame* is one allocation: a page, a compound page, an skb head chunk or a kmalloc object. Its
address is `frame << ADDR_SHIFT | offset`, so between any two allocations lies a red zone, and an
address says what it points into. Frames are never reused within a program (quarantine), so an
access after the release is always seen.

Bytes are not stored. A frame keeps *extents*: which origin wrote which range, and what it wrote
there (an origin is one device write, or the CPU). That is enough to prove that delivered bytes are
exactly the device's bytes, and makes a copy as cheap as a list node. Header values, which decide
things, are kept with the origin.

A *buffer* is a range that the driver carved out of a frame: [a_start, a_end) the allocation,
[p_start, p_end) what it posted to the device.

Every reference has a holder (H_*): the books say who holds what, and `H_DRV`, the driver's own
hands, must be empty after every op.
"""

cdef enum:
    PAGE_SIZE = 4096
    ADDR_SHIFT = 20
    ADDR_MASK = (1 << 20) - 1

    FRAMES_MAX = 4096           # allocations in one program; more is an ordinary -ENOMEM
    EXTENTS_MAX = 8192
    BUFS_MAX = 4096
    ORIGINS_MAX = 1024

    H_DRV = 0                   # in the driver's hands: local to the running function
    H_RING = 1                  # posted: the device owns it
    H_FRAG = 2                  # a page_frag allocator's own reference
    H_SKB = 3                   # head or fragment of an skb
    H_LIST = 4                  # a driver's private free list (rq->pages)
    H_DMA = 5                   # a DMA record's own reference
    H_KERNEL = 6                # kmalloc owner
    H_XDP = 7                   # an xdp_frame: sent, redirected, or another device's
    N_HOLDERS = 8

    F_PAGE = 0                  # kinds of frames
    F_HEAD = 1
    F_KMALLOC = 2

    B_GONE = 0                  # states of a buffer
    B_DRV = 1
    B_RING = 2
    B_SKB = 3
    B_XDP = 4                   # part of an xdp_frame

    ORIGIN_CPU = 1              # origin 0: never written

cdef struct Frame:              # 64 bytes: one cache line
    uint32_t refcount
    uint32_t size               # bytes
    uint16_t hold[N_HOLDERS]
    uint8_t kind
    uint8_t live
    uint8_t carved              # buffers were carved out of it: what lies in none is released
    uint8_t pool                # the page pool that it is of (sim/page_pool.pxi), 0 none
    int32_t private             # page->private as big mode uses it: next frame of the chain, 0 ends
    int32_t extents             # first extent, sorted by start; 0 none
    int32_t extent_last
    int32_t extent_hint         # where the last look-up ended, 0: start at the first
    int32_t bufs                # first buffer, sorted by a_start; 0 none
    int32_t buf_last
    int32_t n_maps              # live DMA mappings of it
    int32_t rec                 # number of the indirect table in it; 1: starts with a DMA record
    bint copy                   # the driver's own copy of a packet: never posted

cdef struct Extent:
    uint32_t start
    uint32_t end
    int32_t origin
    uint32_t at                 # offset inside what the origin wrote
    int32_t next
    bint unsynced               # lies in the bounce buffer: the CPU does not see it yet

cdef struct Buf:                # 32 bytes
    int32_t frame
    uint32_t a_start
    uint32_t a_end
    uint32_t p_start
    uint32_t p_end
    int32_t owner               # skb that owns it in state B_SKB
    int16_t next                # neighbours in its frame, by address; 0 none
    int16_t prev
    uint8_t state

cdef struct Memory:
    int n_frames                # frame 0 is NULL
    int n_extents
    int free_extents            # those that were overwritten, to be used again
    int n_bufs
    int n_origins
    int32_t drv_refs            # references in the driver's hands, all frames
    bint exhausted              # some arena ran out in this program: failures are ours
    bint bounce                 # device writes need a sync before the CPU sees them
    int32_t cur_buf             # the buffer last looked up: reads come in runs
    int32_t cur_extent          # the extent last looked up, 0 none
    int32_t before_extent       # the one in front of it, 0 none
    int32_t extent_frame        # and the frame that both lie in

cdef Memory M
cdef Frame M_frames[FRAMES_MAX]
cdef Extent M_extents[EXTENTS_MAX]
cdef Buf M_bufs[BUFS_MAX]


cdef inline void memory_reset() noexcept nogil:
    """Empty memory: cost independent of what the last program used, since use initialises."""
    M.n_frames = 1
    M.n_extents = 1
    M.free_extents = 0
    M.n_bufs = 1
    M.n_origins = 2
    M.drv_refs = 0
    M.exhausted = False
    M.bounce = False
    M.cur_buf = 0
    M.cur_extent = 0


cdef inline uint64_t addr_of(int frame, uint32_t offset) noexcept nogil:
    return (<uint64_t>frame << ADDR_SHIFT) | offset


cdef inline int frame_of(uint64_t addr) noexcept nogil:
    """virt_to_head_page(): the frame that an address points into."""
    return <int>(addr >> ADDR_SHIFT)


cdef inline uint32_t offset_of(uint64_t addr) noexcept nogil:
    return <uint32_t>(addr & ADDR_MASK)


cdef inline const char* frame_kind(int f) noexcept nogil:
    return (b"page" if M_frames[f].kind == F_PAGE else
            b"skb head" if M_frames[f].kind == F_HEAD else b"kmalloc")


cdef inline void ev_frame(const char* what, int f, int64_t a, int64_t b,
                          site_t site) noexcept nogil:
    """ev() of a frame, whose kind is looked up only where somebody reads it."""
    if unlikely(W_trace):
        ev_slow(what, frame_kind(f), f, a, b, site)


# ---- allocation and references -----------------------------------------------------------------

cdef int frame_new(int kind, uint32_t size, int holder, site_t site) noexcept nogil:
    """A fresh frame with one reference held by `holder`; 0 when the arena is exhausted."""
    cdef int f
    cdef Frame* p
    if unlikely(M.n_frames >= FRAMES_MAX):
        M.exhausted = True
        return 0
    f = M.n_frames
    M.n_frames += 1
    p = &M_frames[f]
    memset(p, 0, sizeof(Frame))
    p.refcount = 1
    p.size = size
    p.kind = <uint8_t>kind
    p.live = True
    p.hold[holder] = 1
    if holder == H_DRV:
        M.drv_refs += 1
    ev_frame(b"alloc", f, size, holder, site)
    return f


cdef int alloc_pages(int order, int holder, site_t site) noexcept nogil:
    """alloc_pages(): a compound page of 4096 << order bytes, or 0. A fault site (alloc)."""
    if fault(FAULT_ALLOC, site):
        return 0
    return frame_new(F_PAGE, <uint32_t>PAGE_SIZE << order, holder, site)


cdef uint64_t kmalloc(uint32_t size, site_t site) noexcept nogil:
    """kmalloc(): address of a new object of `size` bytes, or 0. A fault site (alloc)."""
    cdef int f
    if fault(FAULT_ALLOC, site):
        return 0
    f = frame_new(F_KMALLOC, size, H_KERNEL, site)
    return addr_of(f, 0) if f else 0


# Verdicts of the small functions below stand apart: those are inlined, and stay small.

cdef cold_void not_live(int f, site_t site) noexcept nogil:
    if f <= 0 or f >= M.n_frames:
        violation(CHECK_S1, site, b"address", f, b"wild address: there is no frame %lld", f, 0, 0)
    violation(CHECK_S1, site, frame_kind(f), f, b"access to frame %lld after its release", f, 0, 0)


cdef cold_void put_unheld(int f, int holder, site_t site) noexcept nogil:
    violation(CHECK_S3, site, frame_kind(f), f,
              b"put of frame %lld by a holder (%lld) that has no reference, refcount %lld", f,
              holder, M_frames[f].refcount)


cdef cold_void move_unheld(int f, int source, site_t site) noexcept nogil:
    violation(CHECK_S3, site, frame_kind(f), f,
              b"frame %lld handed on by a holder (%lld) that has no reference, refcount %lld", f,
              source, M_frames[f].refcount)


cdef inline void check_live(int f, site_t site) noexcept nogil:
    """S1: no access to an object after its release (nor to what never was one)."""
    # frame 0 is never live; a negative number is a large one here
    if unlikely(<uint32_t>f >= <uint32_t>M.n_frames or not M_frames[f].live):
        not_live(f, site)


cdef inline void get_page(int f, int holder, site_t site) noexcept nogil:
    """get_page() in the name of `holder`."""
    check_live(f, site)
    get_live_page(f, holder, site)


cdef inline void get_live_page(int f, int holder, site_t site) noexcept nogil:
    """get_page() of a frame that was just found to be live."""
    M_frames[f].refcount += 1
    M_frames[f].hold[holder] += 1
    if holder == H_DRV:
        M.drv_refs += 1
    ev_frame(b"get", f, holder, M_frames[f].refcount, site)


cdef apart_void frame_release(int f, site_t site) noexcept nogil:
    """The last reference is gone."""
    cdef Frame* p = &M_frames[f]
    cdef int b = p.bufs
    if unlikely(p.n_maps != 0):
        violation(CHECK_S24, site, frame_kind(f), f,
                  b"frame %lld released with %lld live DMA mappings", f, p.n_maps, 0)
    while b:
        step(b"frame_release:bufs")
        if unlikely(M_bufs[b].state == B_RING):
            violation(CHECK_S1, site, b"buffer", b,
                      b"frame %lld released while buffer %lld is posted to the device", f, b, 0)
        M_bufs[b].state = B_GONE
        b = M_bufs[b].next
    if M_bufs[M.cur_buf].frame == f:
        M.cur_buf = 0
    p.live = False
    ev_frame(b"free", f, 0, 0, site)


cdef inline void put_page(int f, int holder, site_t site) noexcept nogil:
    """put_page() in the name of `holder`. S1 after release, S3 without a reference to give."""
    check_live(f, site)
    put_live_page(f, holder, site)


cdef inline void put_live_page(int f, int holder, site_t site) noexcept nogil:
    """put_page() of a frame that was just found to be live."""
    cdef Frame* p = &M_frames[f]
    if unlikely(p.hold[holder] == 0):
        put_unheld(f, holder, site)
    if unlikely(p.pool != 0):
        pool_page_put(f, site)
    p.hold[holder] -= 1
    p.refcount -= 1
    if holder == H_DRV:
        M.drv_refs -= 1
    ev_frame(b"put", f, holder, p.refcount, site)
    if p.refcount == 0:
        frame_release(f, site)


cdef inline void move_ref(int f, int source, int target, site_t site) noexcept nogil:
    """A reference changes hands: from holder `source` to `target`."""
    check_live(f, site)
    move_live_ref(f, source, target, site)


cdef inline void move_live_ref(int f, int source, int target, site_t site) noexcept nogil:
    """move_ref() of a frame that was just found to be live."""
    cdef Frame* p = &M_frames[f]
    if unlikely(p.hold[source] == 0):
        move_unheld(f, source, site)
    p.hold[source] -= 1
    p.hold[target] += 1
    M.drv_refs += <int>(target == H_DRV) - <int>(source == H_DRV)
    ev_frame(b"move", f, source, target, site)


cdef inline void kfree(uint64_t addr, site_t site) noexcept nogil:
    """kfree(); of NULL nothing."""
    if addr:
        put_page(frame_of(addr), H_KERNEL, site)


# ---- written bytes -----------------------------------------------------------------------------

cdef inline int extent_new(uint32_t start, uint32_t end, int origin, uint32_t at, bint unsynced,
                           site_t site) noexcept nogil:
    cdef int e
    if M.free_extents:
        e = M.free_extents
        M.free_extents = M_extents[e].next
    else:
        if unlikely(M.n_extents >= EXTENTS_MAX):
            give_up()
        e = M.n_extents
        M.n_extents += 1
    M_extents[e].start = start
    M_extents[e].end = end
    M_extents[e].origin = origin
    M_extents[e].at = at
    M_extents[e].next = 0
    M_extents[e].unsynced = unsynced
    return e


cdef apart_void extent_write(int f, uint32_t start, uint32_t end, int origin, uint32_t at,
                             bint unsynced, site_t site) noexcept nogil:
    """extent_write_here() for those who seldom call it."""
    extent_write_here(f, start, end, origin, at, unsynced, site)


cdef always_void extent_write_here(int f, uint32_t start, uint32_t end, int origin, uint32_t at,
                                   bint unsynced, site_t site) noexcept nogil:
    """Record that `origin` wrote its bytes from `at` on to [start, end) of frame f.

    What lay there before is trimmed, split or dropped.
    """
    cdef Frame* p = &M_frames[f]
    cdef int new, last
    if start >= end:
        return
    last = p.extent_last
    if last and M_extents[last].end > start:
        extent_overwrite(f, start, end, origin, at, unsynced, site)
        return
    # the common case: a chunk fills from low to high
    new = extent_new(start, end, origin, at, unsynced, site)
    if last:
        M_extents[last].next = new
    else:
        p.extents = new
    p.extent_last = new


cdef apart_void extent_overwrite(int f, uint32_t start, uint32_t end, int origin, uint32_t at,
                                 bint unsynced, site_t site) noexcept nogil:
    """extent_write() where something is written already at `start` or behind it."""
    cdef Frame* p = &M_frames[f]
    cdef int new, prev = 0, cur, tail, next
    cdef Extent* x
    if M.extent_frame == f and M_extents[M.cur_extent].end > start:
        # cut, dropped, or no longer behind the same one
        M.cur_extent = 0
    cur = p.extents
    if p.extent_hint and M_extents[p.extent_hint].end <= start:
        cur = p.extent_hint
    while cur and M_extents[cur].end <= start:
        step(site)
        prev = cur
        cur = M_extents[cur].next
    p.extent_hint = prev
    new = extent_new(start, end, origin, at, unsynced, site)
    if cur and M_extents[cur].start < start:
        # cur begins before: keep its front part, and its back part where it reaches beyond
        x = &M_extents[cur]
        if x.end > end:
            tail = extent_new(end, x.end, x.origin, x.at + (end - x.start), x.unsynced, site)
            M_extents[tail].next = x.next
            if p.extent_last == cur:
                p.extent_last = tail
            x.next = tail
        x.end = start
        prev = cur
        cur = x.next
    while cur and M_extents[cur].end <= end:
        step(site)
        next = M_extents[cur].next
        M_extents[cur].next = M.free_extents
        M.free_extents = cur
        cur = next
    if cur and M_extents[cur].start < end:
        x = &M_extents[cur]
        x.at += end - x.start
        x.start = end
    M_extents[new].next = cur
    if prev:
        M_extents[prev].next = new
    else:
        p.extents = new
    if cur == 0:
        p.extent_last = new


cdef apart_void extent_search(int f, uint32_t offset) noexcept nogil:
    """Make the first extent of frame f that ends after `offset` the current one, 0 if none."""
    cdef int cur = M_frames[f].extent_hint
    cdef int prev = 0
    if cur == 0 or M_extents[cur].end > offset:
        cur = M_frames[f].extents
    while cur and M_extents[cur].end <= offset:
        prev = cur
        cur = M_extents[cur].next
    # the next look-up is mostly a little further on
    if prev:
        M_frames[f].extent_hint = prev
    M.cur_extent = cur
    M.before_extent = prev
    M.extent_frame = f


cdef inline int extent_at(int f, uint32_t offset) noexcept nogil:
    """First extent that ends after `offset`, 0 if none: covers it, or is the next one behind."""
    cdef int x = M.cur_extent
    if x and M.extent_frame == f and M_extents[x].start <= offset < M_extents[x].end:
        # a search would leave the hint there, too
        if M.before_extent:
            M_frames[f].extent_hint = M.before_extent
        return x
    extent_search(f, offset)
    return M.cur_extent


cdef void extents_sync(int f, uint32_t start, uint32_t end, site_t site) noexcept nogil:
    """dma sync for CPU of [start, end): bounced bytes become visible."""
    cdef int cur
    cdef uint32_t s, e
    cdef int origin
    cdef uint32_t at
    if start >= end:
        return
    cur = extent_at(f, start)
    while cur and M_extents[cur].start < end:
        step(site)
        if M_extents[cur].unsynced:
            s = max(M_extents[cur].start, start)
            e = min(M_extents[cur].end, end)
            if s == M_extents[cur].start and e == M_extents[cur].end:
                M_extents[cur].unsynced = False
            else:
                origin = M_extents[cur].origin
                at = M_extents[cur].at + (s - M_extents[cur].start)
                extent_write(f, s, e, origin, at, False, site)
                cur = extent_at(f, e)
                continue
        cur = M_extents[cur].next


# ---- buffers -----------------------------------------------------------------------------------

cdef apart_void buf_search(int f, uint32_t offset) noexcept nogil:
    """Make the buffer of frame f whose allocation holds `offset` the current one, 0 if none."""
    cdef int b = M_frames[f].bufs
    while b and M_bufs[b].a_end <= offset:
        b = M_bufs[b].next
    M.cur_buf = b if M_bufs[b].a_start <= offset else 0


cdef inline int buf_at(int f, uint32_t offset) noexcept nogil:
    """The buffer of frame f whose allocation holds `offset`, or 0."""
    cdef int b = M.cur_buf
    if M_bufs[b].frame == f and M_bufs[b].a_start <= offset < M_bufs[b].a_end:
        return b
    buf_search(f, offset)
    return M.cur_buf


cdef apart_int buf_before(int f, uint32_t start, uint32_t end, site_t site) noexcept nogil:
    """The last buffer of frame f in front of [start, end), 0 if none. S9: none lies in it."""
    cdef int prev = 0
    cdef int next = M_frames[f].bufs
    while next and M_bufs[next].a_end <= start:
        step(b"buf_new:search")
        prev = next
        next = M_bufs[next].next
    if next and M_bufs[next].a_start < end:
        violation(CHECK_S9, site, b"buffer", next,
                  b"new buffer [%lld, %lld) overlaps live buffer %lld", start, end, next)
    return prev


cdef int buf_new(int f, uint32_t start, uint32_t end, site_t site) noexcept nogil:
    """Carve [start, end) out of frame f for a buffer in the driver's hands; 0 when exhausted.

    S6: inside the frame. S9: disjoint from every other live buffer.
    """
    check_live(f, site)
    return buf_carve(f, start, end, site)


cdef always_int buf_carve(int f, uint32_t start, uint32_t end, site_t site) noexcept nogil:
    """buf_new() in a frame that was just found to be live."""
    cdef int b, prev, next
    cdef Frame* p = &M_frames[f]
    if unlikely(end > p.size or start >= end):
        violation(CHECK_S6, site, frame_kind(f), f,
                  b"buffer [%lld, %lld) does not fit its allocation of %lld bytes", start, end,
                  p.size)
    if unlikely(M.n_bufs >= BUFS_MAX):
        M.exhausted = True
        return 0
    # the common case: a chunk is carved from low to high
    prev = p.buf_last
    next = 0
    if unlikely(prev != 0 and M_bufs[prev].a_end > start):
        prev = buf_before(f, start, end, site)
        next = M_bufs[prev].next if prev else p.bufs
    b = M.n_bufs
    M.n_bufs += 1
    M_bufs[b].frame = f
    M_bufs[b].a_start = start
    M_bufs[b].a_end = end
    M_bufs[b].p_start = start
    M_bufs[b].p_end = start
    M_bufs[b].state = B_DRV
    M_bufs[b].owner = 0
    M_bufs[b].prev = <int16_t>prev
    M_bufs[b].next = <int16_t>next
    if prev:
        M_bufs[prev].next = <int16_t>b
    else:
        p.bufs = b
    if next:
        M_bufs[next].prev = <int16_t>b
    else:
        p.buf_last = b
    p.carved = True
    # what comes next is mostly about it
    M.cur_buf = b
    return b


cdef inline void buf_drop(int f, int b, site_t site) noexcept nogil:
    """The range of buffer b is free again: unlink it from its frame."""
    cdef int prev, next
    if unlikely(M_bufs[b].state == B_GONE or M_bufs[b].frame != f):
        return
    prev = M_bufs[b].prev
    next = M_bufs[b].next
    if prev:
        M_bufs[prev].next = <int16_t>next
    else:
        M_frames[f].bufs = next
    if next:
        M_bufs[next].prev = <int16_t>prev
    else:
        M_frames[f].buf_last = prev
    M_bufs[b].state = B_GONE
    if M.cur_buf == b:
        M.cur_buf = 0


cdef void bufs_drop_range(int f, uint32_t start, uint32_t end, site_t site) noexcept nogil:
    """Free every buffer of frame f that an skb owned and that begins in [start, end)."""
    cdef int b = M_frames[f].bufs
    cdef int next
    while b and M_bufs[b].a_start < end:
        step(site)
        next = M_bufs[b].next
        if M_bufs[b].state == B_SKB and start < M_bufs[b].a_end:
            buf_drop(f, b, site)
        b = next


cdef void bufs_drop_front(int f, uint32_t start, uint32_t end, site_t site) noexcept nogil:
    """Free every buffer of an skb in frame f that overlaps [start, end), but not beyond end."""
    cdef int b = M_frames[f].bufs
    cdef int next
    while b and M_bufs[b].a_end <= end:
        step(site)
        next = M_bufs[b].next
        if M_bufs[b].state == B_SKB and start < M_bufs[b].a_end:
            buf_drop(f, b, site)
        b = next


cdef apart_void put_buf(uint64_t addr, site_t site) noexcept nogil:
    """put_buf_here() for those who call it in more than one place."""
    put_buf_here(addr, site)


cdef always_void put_buf_here(uint64_t addr, site_t site) noexcept nogil:
    """put_page(virt_to_head_page(addr)) by the driver: its buffer at `addr` is given up."""
    cdef int f = frame_of(addr)
    cdef uint32_t offset = offset_of(addr)
    cdef int b = M.cur_buf
    # mostly the buffer last looked up. It is not gone, so its frame is live
    if not likely(M_bufs[b].frame == f and M_bufs[b].state == B_DRV
                  and M_bufs[b].a_start <= offset < M_bufs[b].a_end):
        check_live(f, site)
        b = buf_at(f, offset)
    if unlikely(b != 0 and M_bufs[b].state != B_DRV):
        violation(CHECK_S3, site, b"buffer", b,
                  b"put of buffer %lld, which is not the driver's (state %lld)", b,
                  M_bufs[b].state, 0)
    if b:
        ev(b"drop", b"buffer", b, f, M_bufs[b].a_start, site)
        buf_drop(f, b, site)
    put_live_page(f, H_DRV, site)


# ---- access ------------------------------------------------------------------------------------

cdef cold_void write_outside(int f, int b, uint32_t offset, uint32_t size,
                             site_t site) noexcept nogil:
    """The verdict on a CPU write that is not allowed (b 0: beyond the object)."""
    if b == 0:
        violation(CHECK_S5, site, frame_kind(f), f,
                  b"write of [%lld, %lld) beyond the object's %lld bytes", offset, offset + size,
                  M_frames[f].size)
    if M_bufs[b].state == B_RING:
        violation(CHECK_S26, site, b"buffer", b,
                  b"CPU write at %lld of buffer %lld while the device owns it", offset, b, 0)
    violation(CHECK_S5, site, b"buffer", b, b"write of [%lld, %lld) beyond buffer end %lld", offset,
              offset + size, M_bufs[b].a_end)


cdef apart_void cpu_write(uint64_t addr, uint32_t size, site_t site) noexcept nogil:
    """CPU write of [addr, addr+size)."""
    cdef uint32_t offset = offset_of(addr)
    check_write(addr, size, site)
    extent_write_here(frame_of(addr), offset, offset + size, ORIGIN_CPU, 0, False, site)


cdef always_void check_write(uint64_t addr, uint32_t size, site_t site) noexcept nogil:
    """CPU write of [addr, addr+size). S1 live, S5 inside the object, S26 not while posted."""
    cdef int f = frame_of(addr)
    cdef uint32_t offset = offset_of(addr)
    cdef int b
    check_live(f, site)
    if unlikely(offset + size > M_frames[f].size):
        write_outside(f, 0, offset, size, site)
    if M_frames[f].bufs:
        b = buf_at(f, offset)
        if unlikely(b != 0 and (M_bufs[b].state == B_RING or offset + size > M_bufs[b].a_end)):
            write_outside(f, b, offset, size, site)


cdef cold_void read_outside(int f, int b, uint32_t offset, uint32_t size,
                            site_t site) noexcept nogil:
    """The verdict on a CPU read that is not allowed, or may not be: beyond the posted end."""
    cdef int n
    if offset + size > M_frames[f].size:
        violation(CHECK_S7, site, frame_kind(f), f,
                  b"read of [%lld, %lld) beyond the object's %lld bytes", offset, offset + size,
                  M_frames[f].size)
    if b == 0:
        violation(CHECK_S1, site, frame_kind(f), f,
                  b"read at %lld, where no live buffer is: it was released", offset, 0, 0)
    if M_bufs[b].state == B_RING:
        violation(CHECK_S26, site, b"buffer", b,
                  b"CPU read at %lld of buffer %lld while the device owns it", offset, b, 0)
    if offset < M_bufs[b].p_start:
        violation(CHECK_S33, site, b"buffer", b,
                  b"read at %lld, before the posted range [%lld, %lld)", offset, M_bufs[b].p_start,
                  M_bufs[b].p_end)
    while offset + size > M_bufs[b].p_end:
        # one fragment may span buffers of one skb that lie end to end (coalescing)
        step(site)
        n = buf_at(f, M_bufs[b].a_end) if M_bufs[b].p_end == M_bufs[b].a_end else 0
        if (n == 0 or M_bufs[b].state != B_SKB or M_bufs[n].state != B_SKB
                or M_bufs[n].owner != M_bufs[b].owner or M_bufs[n].p_start != M_bufs[b].p_end):
            violation(CHECK_S7, site, b"buffer", b,
                      b"read of [%lld, %lld) beyond the posted end %lld", offset, offset + size,
                      M_bufs[b].p_end)
        b = n


cdef apart_void read_unsynced(int f, uint32_t offset, uint32_t size, site_t site) noexcept nogil:
    """S26 behind a bounce buffer: every byte was synced."""
    cdef int e = extent_at(f, offset)
    while e and M_extents[e].start < offset + size:
        step(site)
        if unlikely(M_extents[e].unsynced):
            violation(CHECK_S26, site, frame_kind(f), f,
                      b"read of [%lld, %lld) before the DMA sync for CPU", offset, offset + size, 0)
        e = M_extents[e].next


cdef apart_void check_read(uint64_t addr, uint32_t size, site_t site) noexcept nogil:
    """check_read_here() for those who call it in more than one place."""
    check_read_here(addr, size, site)


cdef always_void check_read_here(uint64_t addr, uint32_t size, site_t site) noexcept nogil:
    """CPU read of [addr, addr+size) of received data.

    S1 live, S7 inside what was posted, S26 not while posted and not before the sync, S33 not in
    front of what was posted (nothing ever writes there).
    """
    cdef const Buf* b = &M_bufs[M.cur_buf]
    cdef uint32_t offset = offset_of(addr)
    # mostly in the buffer last looked up. It is not gone, so its frame is live and goes as far
    if likely(b.frame == frame_of(addr) and (b.state == B_DRV or b.state == B_SKB)
              and b.p_start <= offset < b.p_end and offset + size <= b.p_end and not M.bounce):
        return
    check_read_slow(addr, size, site)


cdef apart_void check_read_slow(uint64_t addr, uint32_t size, site_t site) noexcept nogil:
    """check_read() of anything."""
    cdef int f = frame_of(addr)
    cdef uint32_t offset = offset_of(addr)
    cdef int b = 0
    check_live(f, site)
    if unlikely(offset + size > M_frames[f].size):
        read_outside(f, b, offset, size, site)
    if M_frames[f].carved:
        b = buf_at(f, offset)
        if unlikely(b == 0 or M_bufs[b].state == B_RING or offset < M_bufs[b].p_start
                    or offset + size > M_bufs[b].p_end):
            read_outside(f, b, offset, size, site)
    if unlikely(M.bounce):
        read_unsynced(f, offset, size, site)


cdef void cpu_copy(uint64_t target, uint64_t source, uint32_t size, site_t site) noexcept nogil:
    """memcpy(): origins travel with the bytes; both sides are checked."""
    cdef int f = frame_of(source)
    cdef int g = frame_of(target)
    cdef uint32_t offset = offset_of(source)
    cdef uint32_t to = offset_of(target)
    cdef uint32_t s, e
    cdef int x
    if size == 0:
        return
    check_read_here(source, size, site)
    check_write(target, size, site)
    x = extent_at(f, offset)
    if likely(x != 0 and M_extents[x].start <= offset and offset + size <= M_extents[x].end):
        # mostly all of it is one write
        extent_write_here(g, to, to + size, M_extents[x].origin,
                          M_extents[x].at + (offset - M_extents[x].start), False, site)
        return
    extent_write(g, to, to + size, ORIGIN_CPU, 0, False, site)
    # the target's extents may have been the current ones
    x = extent_at(f, offset)
    while x and M_extents[x].start < offset + size:
        step(site)
        s = max(M_extents[x].start, offset)
        e = min(M_extents[x].end, offset + size)
        extent_write(g, to + (s - offset), to + (e - offset), M_extents[x].origin,
                     M_extents[x].at + (s - M_extents[x].start), False, site)
        x = M_extents[x].next


# ---- page_frag ---------------------------------------------------------------------------------

cdef enum:
    PAGE_FRAG_ORDER = 3         # SKB_FRAG_PAGE_ORDER: get_order(32768)

cdef struct PageFrag:
    int32_t page                # frame, 0 none
    uint32_t offset
    uint32_t size

cdef bint M_high_order          # is the order-3 attempt enabled (net_high_order_alloc_disable off)?


cdef inline bint skb_page_frag_refill(uint32_t size, PageFrag* pf, site_t site) noexcept nogil:
    """skb_page_frag_refill(): make room for `size` bytes at pf.offset (net/core/sock.c).

    A chunk whose only reference is the allocator's own starts again at 0; one without room is
    given up for a fresh 32 KiB chunk, or one page where that fails. False: -ENOMEM.
    """
    if pf.page:
        check_live(pf.page, site)
        if M_frames[pf.page].refcount == 1:
            pf.offset = 0
            return True
        if pf.offset + size <= pf.size:
            return True
    page_frag_renew(pf, site)
    return pf.page != 0


cdef apart_void page_frag_renew(PageFrag* pf, site_t site) noexcept nogil:
    """A fresh chunk for pf in place of one without room; page 0 where there is none."""
    if pf.page:
        put_page(pf.page, H_FRAG, site)
    pf.offset = 0
    pf.page = 0
    if M_high_order:
        pf.page = alloc_pages(PAGE_FRAG_ORDER, H_FRAG, b"skb_page_frag_refill:high_order")
        if pf.page:
            pf.size = <uint32_t>PAGE_SIZE << PAGE_FRAG_ORDER
            return
    pf.page = alloc_pages(0, H_FRAG, b"skb_page_frag_refill:page")
    if pf.page:
        pf.size = PAGE_SIZE


cdef always_int page_frag_take(PageFrag* pf, uint32_t size, site_t site) noexcept nogil:
    """Carve the next `size` bytes: one page reference for the driver, offset moves on. The chunk
    was just found to be live, by skb_page_frag_refill() or after it.

    Returns the buffer, 0 when the arena is exhausted (an ordinary -ENOMEM).
    """
    cdef int b = buf_carve(pf.page, pf.offset, pf.offset + size, site)
    if b == 0:
        return 0
    get_live_page(pf.page, H_DRV, site)
    pf.offset += size
    return b


cdef void books_check(site_t site) noexcept nogil:
    """After every op: nothing may be left in the driver's hands (S2, found where it happens)."""
    cdef int f
    if likely(M.drv_refs == 0):
        return
    for f in range(1, M.n_frames):
        if M_frames[f].live and M_frames[f].hold[H_DRV]:
            violation(CHECK_S2, site, frame_kind(f), f,
                      b"frame %lld: the driver dropped %lld reference(s) on the floor in this op",
                      f, M_frames[f].hold[H_DRV], 0)
    violation(CHECK_S3, site, b"books", 0, b"the driver holds %lld references in total",
              M.drv_refs, 0, 0)


cdef void leak_check(site_t site) noexcept nogil:
    """At quiescence every frame is released (S2); the holders tell who forgot it."""
    cdef int f
    for f in range(1, M.n_frames):
        if unlikely(M_frames[f].live):
            violation(CHECK_S2, site, frame_kind(f), f,
                      b"frame %lld of %lld bytes still has %lld reference(s) at the end", f,
                      M_frames[f].size, M_frames[f].refcount)
