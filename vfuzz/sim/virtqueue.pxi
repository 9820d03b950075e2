# SPDX-License-Identifier: GPL-2.0-or-later
"""Split and packed virtqueues: the driver's side as drivers/virtio/virtio_ring.c has it, and a
device that reads the rings as the specification says, and can follow its rules or break them.

The driver's side keeps its own copy of what it trusts (state, extra) apart from what the device can
write (used ring, used descriptors). The device's side verifies on each fetch that what became
available is what the rules allow (S47).

The including module says where an era or a historical bug acts, with three hooks:
    bint era_unpublish()        a failed packed add takes back what it had made available
    bint quirk_packed_wrap()    E21
    bint quirk_event_idx()      E20
    int split_map_errno()       what a failed mapping of a direct split list returns (C06)
and is told of every used entry that the driver takes:
    void on_consumed(int queue, int origin, uint32_t len)
"""

cdef enum:
    VQ_MAX = 32                 # largest ring
    VQS_MAX = 8
    SG_MAX = 20                 # MAX_SKB_FRAGS + 2 and one spare
    TABLES_MAX = 1024           # indirect tables in one program

    VRING_DESC_F_NEXT = 1
    VRING_DESC_F_WRITE = 2
    VRING_DESC_F_INDIRECT = 4
    VRING_AVAIL_F_NO_INTERRUPT = 1
    VRING_USED_F_NO_NOTIFY = 1
    PACKED_AVAIL = 1 << 7
    PACKED_USED = 1 << 15
    PACKED_WRAP = 1 << 15       # wrap counter bit of an index in an event structure
    EVENT_FLAG_ENABLE = 0
    EVENT_FLAG_DISABLE = 1
    EVENT_FLAG_DESC = 2

    EIO = 5
    ENOMEM = 12
    EBUSY = 16
    ENODEV = 19
    EINVAL = 22
    ENOSPC = 28

cdef struct Sg:
    uint64_t addr
    uint32_t len
    uint64_t dma                # premapped address, 0 otherwise

cdef struct Desc:
    uint64_t addr
    uint32_t len
    uint16_t flags
    uint16_t next               # split: next; packed: buffer id

cdef struct DescState:
    uint64_t data               # the driver's token, 0: slot not in use
    uint64_t ctx
    int32_t table               # indirect table, 0 none
    uint16_t num                # packed: descriptors of the list
    uint16_t last               # packed: last id of the list
    uint16_t n_bufs             # buffers posted: who owns them follows add and get
    bint single                 # one part, no table: the usual list
    int32_t buf                 # the first of them; the others are in Vq.more_bufs

cdef struct DescExtra:
    uint64_t addr
    uint32_t len
    uint16_t flags
    uint16_t next

cdef struct Table:
    uint64_t mem                # kmalloc object that holds it
    int n
    Desc desc[SG_MAX]

cdef struct Out:                # one buffer in the device's hands, as it read it
    uint16_t n                  # descriptors it takes in the ring
    uint16_t n_parts            # parts to write to, those of an indirect table included
    uint32_t capacity           # bytes, all parts
    Desc part[SG_MAX]

cdef struct Vq:
    bint live
    bint packed
    bint indirect
    bint event
    bint broken
    bint event_triggered
    bint premapped
    bint enabled                # the device may use it (DRIVER_OK, not in reset)
    int num
    int num_free
    int in_flight               # the judge's own, as below: num_free + in_flight == num
    int free_head
    uint64_t added              # split: buffers, packed: descriptors made available so far
    uint64_t kicked             # value of added at the last notification
    uint16_t num_added
    uint16_t last_used_idx      # packed: wrap counter in bit 15
    # split, driver
    uint16_t avail_flags_shadow
    uint16_t avail_idx_shadow
    # packed, driver
    uint16_t next_avail_idx
    bint avail_wrap_counter
    uint16_t avail_used_flags
    uint16_t event_flags_shadow
    # shared memory, driver writes
    uint16_t avail_flags
    uint16_t avail_idx
    uint16_t used_event
    uint16_t driver_off_wrap
    uint16_t driver_flags
    # shared memory, device writes
    uint16_t used_flags
    uint16_t used_idx
    uint16_t avail_event
    uint16_t device_off_wrap
    uint16_t device_flags
    # the device's own
    uint16_t dev_avail_idx      # split: next avail entry; packed: next slot
    bint dev_avail_wrap
    uint16_t dev_used_idx       # packed: next slot to write used
    bint dev_used_wrap
    uint16_t dev_signalled      # split: used idx at the last interrupt decision
    uint16_t dev_since_signal   # packed: used descriptors since then
    int n_out
    bint falsified              # it returned what it did not hold: its books mean nothing now
    int unused_from             # no buffer in the slots below, as far as known
    # the judge's own
    uint64_t fetched            # value of added up to which the device has read
    uint64_t published          # used entries so far
    uint64_t consumed           # used entries the driver took
    uint16_t avail_ring[VQ_MAX]
    uint32_t used_id[VQ_MAX]
    uint32_t used_len[VQ_MAX]
    int32_t used_origin[VQ_MAX]  # by used slot: the device write behind it
    uint16_t out[VQ_MAX]        # ids in the device's hands, oldest first
    Out held[VQ_MAX]            # by id
    Desc desc[VQ_MAX]
    DescExtra extra[VQ_MAX]
    DescState state[VQ_MAX]
    int32_t more_bufs[VQ_MAX][SG_MAX]

cdef struct Vqs:
    int n_tables
    bint driver_ok              # status DRIVER_OK: before it the rings are not to be used (S47)
    bint in_poll                # a NAPI poll with a budget is running (S41)
    uint32_t notified           # kicks that reached the device, all queues
    bint exhausted              # the simulation has no more tables: not what a real ring would say

cdef Vqs V
cdef Vq V_vqs[VQS_MAX]
cdef Table V_tables[TABLES_MAX]


cdef inline void virtqueues_reset() noexcept nogil:
    V.n_tables = 1
    V.driver_ok = False
    V.in_poll = False
    V.notified = 0
    V.exhausted = False


cdef void vq_init(Vq* vq, int num, bint packed, bint indirect, bint event) noexcept nogil:
    """vring_create_virtqueue(): an empty ring of `num` descriptors (a power of two)."""
    cdef int i
    memset(vq, 0, <size_t>(<char*>&vq.avail_ring[0] - <char*>vq))
    vq.live = True
    vq.packed = packed
    vq.indirect = indirect
    vq.event = event
    vq.num = num
    vq.num_free = num
    vq.enabled = True
    for i in range(num):
        vq.state[i].data = 0
        vq.extra[i].next = <uint16_t>(i + 1)
        vq.desc[i].flags = 0
    if packed:
        vq.avail_wrap_counter = True
        vq.avail_used_flags = PACKED_AVAIL
        vq.last_used_idx = PACKED_WRAP
        vq.dev_avail_wrap = True
        vq.dev_used_wrap = True
        # callbacks start enabled; EVENT_FLAG_ENABLE is 0 for both sides
        vq.event_flags_shadow = EVENT_FLAG_ENABLE


cdef inline bint vring_need_event(uint16_t event_idx, uint16_t new, uint16_t old) noexcept nogil:
    return <uint16_t>(new - event_idx - 1) < <uint16_t>(new - old)


# ---- driver: mapping ---------------------------------------------------------------------------

cdef inline bint sg_in_current(const Sg* sg) noexcept nogil:
    """Does sg lie in the buffer last looked up, and is that the driver's? Then its frame lives and
    goes as far: of one that was just carved nothing else is to be asked."""
    cdef const Buf* b = &M_bufs[M.cur_buf]
    cdef uint32_t start = offset_of(sg.addr)
    return (b.frame == frame_of(sg.addr) and b.state == B_DRV and b.a_start <= start < b.a_end
            and start + sg.len <= b.a_end)


cdef inline uint64_t vring_map_one(Vq* vq, const Sg* sg, int direction, bint fits,
                                   site_t site) noexcept nogil:
    """The device's address of sg. fits: it was found to lie inside its object."""
    if sg.dma:
        return sg.dma
    if not D.use_dma_api:
        if fits:
            return sg.addr
        if unlikely(offset_of(sg.addr) + sg.len > M_frames[frame_of(sg.addr)].size):
            violation(CHECK_S6, site, frame_kind(frame_of(sg.addr)), frame_of(sg.addr),
                      b"posting [%lld, %lld) beyond the object's %lld bytes", offset_of(sg.addr),
                      offset_of(sg.addr) + sg.len, M_frames[frame_of(sg.addr)].size)
        return sg.addr
    return dma_map(sg.addr, sg.len, direction, site)


cdef inline void vring_unmap_one(Vq* vq, uint64_t dma, uint32_t size, int direction,
                                 site_t site) noexcept nogil:
    if D.use_dma_api and not vq.premapped:
        dma_unmap(dma, size, direction, False, site)


# ---- driver: add -------------------------------------------------------------------------------

cdef always_void sg_posted(Vq* vq, int id, const Sg* sg, int n, bint fits, int queue,
                           site_t site) noexcept nogil:
    """The buffers behind sg[0..n) are the device's now. fits: sg_in_current() of the only one."""
    cdef int b = M.cur_buf
    if not fits:
        sgs_posted(vq, id, sg, n, queue, site)
        return
    M_bufs[b].p_start = offset_of(sg.addr)
    M_bufs[b].p_end = offset_of(sg.addr) + sg.len
    M_bufs[b].state = B_RING
    move_live_ref(frame_of(sg.addr), H_DRV, H_RING, site)
    vq.state[id].buf = b
    vq.state[id].n_bufs = 1
    ev(b"post", b"buffer", b, offset_of(sg.addr), sg.len, site)


cdef apart_void sgs_posted(Vq* vq, int id, const Sg* sg, int n, int queue,
                           site_t site) noexcept nogil:
    """sg_posted() of anything. S6: each part lies in one live buffer."""
    cdef DescState* st = &vq.state[id]
    cdef int i, b = 0, f, last, n_bufs = 0
    cdef uint32_t start, end
    for i in range(n):
        f = frame_of(sg[i].addr)
        start = offset_of(sg[i].addr)
        end = start + sg[i].len
        check_live(f, site)
        last = b
        b = buf_at(f, start)
        if unlikely(b == 0 or end > M_bufs[b].a_end):
            violation(CHECK_S6, site, frame_kind(f), f,
                      b"posted [%lld, %lld) does not lie in one buffer (which ends at %lld)", start,
                      end, M_bufs[b].a_end if b else 0)
        if b == last:
            # header and data of one page, posted as two parts
            M_bufs[b].p_end = end
            continue
        if unlikely(M_bufs[b].state != B_DRV):
            violation(CHECK_S9, site, b"buffer", b,
                      b"buffer %lld posted while it is not the driver's (state %lld)", b,
                      M_bufs[b].state, 0)
        M_bufs[b].p_start = start
        M_bufs[b].p_end = end
        M_bufs[b].state = B_RING
        move_live_ref(f, H_DRV, H_RING, site)
        if n_bufs:
            vq.more_bufs[id][n_bufs] = b
        else:
            st.buf = b
        n_bufs += 1
        ev(b"post", b"buffer", b, start, end - start, site)
    st.n_bufs = <uint16_t>n_bufs


cdef always_void buf_returned(int b, site_t site) noexcept nogil:
    """The driver took buffer b back from the ring."""
    cdef int f = M_bufs[b].frame
    # a frame with a buffer in the ring is live: frame_release() sees to that
    if unlikely(M_bufs[b].state != B_RING):
        check_live(f, site)
        violation(CHECK_S3, site, b"buffer", b,
                  b"the ring returns buffer %lld, which it does not hold (state %lld)", b,
                  M_bufs[b].state, 0)
    M_bufs[b].state = B_DRV
    move_live_ref(f, H_RING, H_DRV, site)
    ev(b"take", b"buffer", b, f, M_bufs[b].p_end - M_bufs[b].p_start, site)


cdef int table_new(uint32_t n, site_t site) noexcept nogil:
    """alloc_indirect_*(): a table of n descriptors, or 0. A fault site (alloc)."""
    cdef int t
    cdef uint64_t mem
    if V.n_tables >= TABLES_MAX:
        V.exhausted = True
        return 0
    mem = kmalloc(n * 16, site)
    if mem == 0:
        return 0
    t = V.n_tables
    V.n_tables += 1
    V_tables[t].mem = mem
    M_frames[frame_of(mem)].rec = t
    V_tables[t].n = <int>n
    return t


cdef apart_void table_free(Vq* vq, int t, uint64_t dma, bint mapped, bint parts,
                           site_t site) noexcept nogil:
    """Unmap an indirect table (`mapped`) and its entries (`parts`), and free it."""
    cdef int i
    if mapped and D.use_dma_api:
        # the ring's own, premapped buffers or not
        dma_unmap(dma, <uint32_t>(V_tables[t].n * 16), DMA_TO_DEVICE, False, site)
    if parts:
        for i in range(V_tables[t].n):
            vring_unmap_one(vq, V_tables[t].desc[i].addr, V_tables[t].desc[i].len,
                            DMA_FROM_DEVICE, site)
    kfree(V_tables[t].mem, site)


cdef int table_fill(Vq* vq, int t, const Sg* sg, int n, uint64_t* dma, site_t site) noexcept nogil:
    """Map the parts into table t, then the table itself: its DMA address in *dma. 0 or -ENOMEM
    (nothing stays mapped)."""
    cdef int i, k
    cdef uint64_t a
    for i in range(n):
        a = vring_map_one(vq, &sg[i], DMA_FROM_DEVICE, False, b"table_fill:part")
        if a == DMA_ERROR:
            for k in range(i):
                vring_unmap_one(vq, V_tables[t].desc[k].addr, V_tables[t].desc[k].len,
                                DMA_FROM_DEVICE, site)
            return -ENOMEM
        V_tables[t].desc[i].addr = a
        V_tables[t].desc[i].len = sg[i].len
        V_tables[t].desc[i].flags = VRING_DESC_F_WRITE
    a = V_tables[t].mem
    if D.use_dma_api:
        a = dma_map(V_tables[t].mem, <uint32_t>(n * 16), DMA_TO_DEVICE, b"table_fill:table")
        if a == DMA_ERROR:
            for k in range(n):
                vring_unmap_one(vq, V_tables[t].desc[k].addr, V_tables[t].desc[k].len,
                                DMA_FROM_DEVICE, site)
            return -ENOMEM
    dma[0] = a
    return 0


cdef always_int virtqueue_add_split(Vq* vq, const Sg* sg, int n, uint64_t data, uint64_t ctx,
                                    int queue, site_t site) noexcept nogil:
    cdef int head = vq.free_head
    cdef int i, k, prev = 0, used, t = 0
    cdef uint64_t dma = 0
    cdef bint fits = n == 1 and sg_in_current(sg)
    if vq.indirect and n > 1 and vq.num_free:
        t = table_new(<uint32_t>n, b"virtqueue_add_split:table")
    used = 1 if t else n
    if vq.num_free < used:
        if t:
            kfree(V_tables[t].mem, b"virtqueue_add_split:nospc")
        return -ENOSPC
    if t:
        if table_fill(vq, t, sg, n, &dma, b"virtqueue_add_split:unmap_release"):
            kfree(V_tables[t].mem, b"virtqueue_add_split:free_table")
            return -ENOMEM
        vq.desc[head].addr = dma
        vq.desc[head].len = <uint32_t>(n * 16)
        vq.desc[head].flags = VRING_DESC_F_INDIRECT
        vq.extra[head].addr = dma
        vq.extra[head].len = <uint32_t>(n * 16)
        vq.extra[head].flags = VRING_DESC_F_INDIRECT
        i = vq.extra[head].next
    else:
        i = head
        for k in range(n):
            dma = vring_map_one(vq, &sg[k], DMA_FROM_DEVICE, fits, b"virtqueue_add_split:map")
            if dma == DMA_ERROR:
                i = head
                for used in range(k):
                    vring_unmap_one(vq, vq.extra[i].addr, vq.extra[i].len, DMA_FROM_DEVICE,
                                    b"virtqueue_add_split:unmap_direct")
                    i = vq.extra[i].next
                return split_map_errno()
            vq.desc[i].addr = dma
            vq.desc[i].len = sg[k].len
            vq.desc[i].flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE
            vq.desc[i].next = vq.extra[i].next
            vq.extra[i].addr = dma
            vq.extra[i].len = sg[k].len
            vq.extra[i].flags = vq.desc[i].flags
            prev = i
            i = vq.extra[i].next
        vq.desc[prev].flags = VRING_DESC_F_WRITE
        vq.extra[prev].flags = VRING_DESC_F_WRITE
    vq.num_free -= used
    vq.in_flight += used
    vq.free_head = i
    vq.state[head].data = data
    vq.state[head].ctx = ctx
    vq.state[head].table = t
    vq.state[head].single = n == 1 and t == 0
    vq.avail_ring[vq.avail_idx_shadow & (vq.num - 1)] = <uint16_t>head
    vq.avail_idx_shadow += 1
    vq.avail_idx = vq.avail_idx_shadow
    vq.num_added += 1
    vq.added += 1
    sg_posted(vq, head, sg, n, fits, queue, site)
    return 0


cdef always_int virtqueue_add_packed(Vq* vq, const Sg* sg, int n, uint64_t data, uint64_t ctx,
                                     int queue, site_t site) noexcept nogil:
    cdef int head = vq.next_avail_idx
    cdef int i, k, curr, prev = 0, t, id, err_i, wrapped
    cdef uint16_t flags, head_flags = 0, saved = vq.avail_used_flags, unpub
    cdef uint64_t dma = 0
    cdef bint fits = n == 1 and sg_in_current(sg)
    if vq.indirect and n > 1 and vq.num_free:
        t = table_new(<uint32_t>n, b"virtqueue_add_packed:table")
        if t:
            if table_fill(vq, t, sg, n, &dma, b"virtqueue_add_packed:unmap_release") == 0:
                id = vq.free_head
                vq.desc[head].addr = dma
                vq.desc[head].len = <uint32_t>(n * 16)
                vq.desc[head].next = <uint16_t>id
                vq.extra[id].addr = dma
                vq.extra[id].len = <uint32_t>(n * 16)
                vq.extra[id].flags = VRING_DESC_F_INDIRECT | vq.avail_used_flags
                vq.desc[head].flags = VRING_DESC_F_INDIRECT | vq.avail_used_flags
                vq.num_free -= 1
                vq.in_flight += 1
                i = head + 1
                if i >= vq.num:
                    i = 0
                    vq.avail_wrap_counter = not vq.avail_wrap_counter
                    vq.avail_used_flags ^= PACKED_AVAIL | PACKED_USED
                vq.next_avail_idx = <uint16_t>i
                vq.free_head = vq.extra[id].next
                vq.state[id].num = 1
                vq.state[id].data = data
                vq.state[id].ctx = 0
                vq.state[id].table = t
                vq.state[id].single = False
                vq.state[id].last = <uint16_t>id
                vq.num_added += 1
                vq.added += 1
                sgs_posted(vq, id, sg, n, queue, site)
                return 0
            kfree(V_tables[t].mem, b"virtqueue_add_packed:free_table")
        # no table: fall back on direct descriptors
    if vq.num_free < n:
        return -ENOSPC
    id = vq.free_head
    curr = id
    i = head
    for k in range(n):
        dma = vring_map_one(vq, &sg[k], DMA_FROM_DEVICE, fits, b"virtqueue_add_packed:map")
        if dma == DMA_ERROR:
            err_i = i
            i = head
            curr = vq.free_head
            vq.avail_used_flags = saved
            # 6.12 stamps the previous wrap counter on what the loop had made available;
            # 6.1 leaves those descriptors looking available
            unpub = saved ^ (PACKED_AVAIL | PACKED_USED)
            while i != err_i:
                if era_unpublish() and i != head:
                    vq.desc[i].flags = unpub
                vring_unmap_one(vq, vq.extra[curr].addr, vq.extra[curr].len, DMA_FROM_DEVICE,
                                b"virtqueue_add_packed:unmap_direct")
                curr = vq.extra[curr].next
                i += 1
                if i >= vq.num:
                    i = 0
                    unpub ^= PACKED_AVAIL | PACKED_USED
            return -EIO
        flags = vq.avail_used_flags | VRING_DESC_F_WRITE
        if k < n - 1:
            flags |= VRING_DESC_F_NEXT
        if k == 0:
            head_flags = flags
        else:
            vq.desc[i].flags = flags
        vq.desc[i].addr = dma
        vq.desc[i].len = sg[k].len
        vq.desc[i].next = <uint16_t>id
        vq.extra[curr].addr = dma
        vq.extra[curr].len = sg[k].len
        vq.extra[curr].flags = flags
        prev = curr
        curr = vq.extra[curr].next
        i += 1
        if i >= vq.num:
            i = 0
            vq.avail_used_flags ^= PACKED_AVAIL | PACKED_USED
    wrapped = i <= head
    if quirk_packed_wrap():
        # E21: a list that takes the whole ring does not flip the counter
        wrapped = i < head
    if wrapped:
        vq.avail_wrap_counter = not vq.avail_wrap_counter
    vq.num_free -= n
    vq.in_flight += n
    vq.next_avail_idx = <uint16_t>i
    vq.free_head = curr
    vq.state[id].num = <uint16_t>n
    vq.state[id].data = data
    vq.state[id].ctx = ctx
    vq.state[id].table = 0
    vq.state[id].single = n == 1
    vq.state[id].last = <uint16_t>prev
    vq.desc[head].flags = head_flags
    vq.num_added += <uint16_t>n
    vq.added += <uint64_t>n
    sg_posted(vq, id, sg, n, fits, queue, site)
    return 0


cdef always_int virtqueue_add(Vq* vq, const Sg* sg, int n, uint64_t data, uint64_t ctx, int queue,
                              site_t site) noexcept nogil:
    """virtqueue_add_inbuf_ctx(): post n parts as one device-writable buffer. 0, -EIO on a broken
    ring, -ENOSPC, -ENOMEM; packed direct descriptors give -EIO where mapping fails. A fault site
    (add), which fails as an allocation inside would."""
    if unlikely(n > SG_MAX):
        violation(CHECK_S14, site, b"virtqueue", queue, b"%lld parts, the list has %lld", n,
                  SG_MAX, 0)
    if vq.broken:
        return -EIO
    if fault(FAULT_ADD, site):
        return -ENOMEM
    vq.unused_from = 0
    if vq.packed:
        return virtqueue_add_packed(vq, sg, n, data, ctx, queue, site)
    return virtqueue_add_split(vq, sg, n, data, ctx, queue, site)


cdef int virtqueue_add_inbuf(Vq* vq, const Sg* sg, int n, uint64_t data, uint64_t ctx, int queue,
                             site_t site) noexcept nogil:
    """virtqueue_add() of any number of parts."""
    return virtqueue_add(vq, sg, n, data, ctx, queue, site)


# ---- driver: kick ------------------------------------------------------------------------------

cdef bint virtqueue_kick_prepare(Vq* vq) noexcept nogil:
    cdef uint16_t new, old, event_idx
    if vq.packed:
        old = vq.next_avail_idx - vq.num_added
        new = vq.next_avail_idx
        vq.num_added = 0
        if vq.device_flags != EVENT_FLAG_DESC:
            return vq.device_flags != EVENT_FLAG_DISABLE
        event_idx = vq.device_off_wrap & <uint16_t>~PACKED_WRAP
        if <bint>(vq.device_off_wrap >> 15) != vq.avail_wrap_counter:
            event_idx -= <uint16_t>vq.num
        return vring_need_event(event_idx, new, old)
    old = vq.avail_idx_shadow - vq.num_added
    new = vq.avail_idx_shadow
    vq.num_added = 0
    if vq.event:
        return vring_need_event(vq.avail_event, new, old)
    return not (vq.used_flags & VRING_USED_F_NO_NOTIFY)


cdef bint virtqueue_notify(Vq* vq, int queue, site_t site) noexcept nogil:
    """virtqueue_notify(): S47, no kick before DRIVER_OK."""
    if vq.broken:
        return False
    if unlikely(not V.driver_ok):
        violation(CHECK_S47, site, b"virtqueue", queue, b"queue %lld kicked before DRIVER_OK",
                  queue, 0, 0)
    V.notified += 1
    vq.kicked = vq.added
    ev(b"kick", b"virtqueue", queue, vq.avail_idx, vq.num_free, site)
    return True


# ---- driver: get -------------------------------------------------------------------------------

cdef inline bint is_used_packed(const Vq* vq, uint16_t slot, bint wrap) noexcept nogil:
    cdef uint16_t flags = vq.desc[slot].flags
    cdef bint avail = (flags & PACKED_AVAIL) != 0
    cdef bint used = (flags & PACKED_USED) != 0
    return avail == used and used == wrap


cdef inline bint more_used(const Vq* vq) noexcept nogil:
    if vq.packed:
        return is_used_packed(vq, vq.last_used_idx & <uint16_t>~PACKED_WRAP,
                              vq.last_used_idx >> 15)
    return vq.last_used_idx != vq.used_idx


cdef apart_void detach_list(Vq* vq, int id, site_t site) noexcept nogil:
    """detach_buf() of a list with a table, or with more than one part."""
    cdef DescState* st = &vq.state[id]
    cdef int i, k, n = 1
    if vq.packed:
        vq.extra[st.last].next = <uint16_t>vq.free_head
        vq.free_head = id
        n = st.num
        if st.table:
            table_free(vq, st.table, vq.extra[id].addr, True, True, site)
            st.table = 0
        else:
            i = id
            for k in range(n):
                vring_unmap_one(vq, vq.extra[i].addr, vq.extra[i].len, DMA_FROM_DEVICE, site)
                i = vq.extra[i].next
    elif st.table:
        table_free(vq, st.table, vq.extra[id].addr, True, True, site)
        st.table = 0
        vq.extra[id].next = <uint16_t>vq.free_head
        vq.free_head = id
    else:
        i = id
        while vq.extra[i].flags & VRING_DESC_F_NEXT:
            step(site)
            vring_unmap_one(vq, vq.extra[i].addr, vq.extra[i].len, DMA_FROM_DEVICE, site)
            i = vq.extra[i].next
            n += 1
        vring_unmap_one(vq, vq.extra[i].addr, vq.extra[i].len, DMA_FROM_DEVICE, site)
        vq.extra[i].next = <uint16_t>vq.free_head
        vq.free_head = id
    vq.num_free += n
    vq.in_flight -= n
    for i in range(st.n_bufs):
        buf_returned(vq.more_bufs[id][i] if i else st.buf, site)
    # what comes next is about the first of them
    M.cur_buf = st.buf if st.n_bufs else 0


cdef always_void detach_buf(Vq* vq, int id, site_t site) noexcept nogil:
    """detach_buf_{split,packed}(): unmap, free the descriptors; the buffers are the driver's."""
    cdef DescState* st = &vq.state[id]
    st.data = 0
    if not st.single:
        detach_list(vq, id, site)
        return
    vring_unmap_one(vq, vq.extra[id].addr, vq.extra[id].len, DMA_FROM_DEVICE, site)
    vq.extra[id].next = <uint16_t>vq.free_head
    vq.free_head = id
    vq.num_free += 1
    vq.in_flight -= 1
    buf_returned(st.buf, site)
    M.cur_buf = st.buf


cdef always_u64 virtqueue_get_buf(Vq* vq, uint32_t* len, uint64_t* ctx, int queue,
                                  site_t site) noexcept nogil:
    """virtqueue_get_buf_ctx(): the next used buffer's token, 0 if none. A used id that is out of
    range or not in flight breaks the ring."""
    cdef int id
    cdef uint16_t slot, wrap
    if vq.broken:
        return 0
    if unlikely(V.in_poll and not callbacks_off(vq)):
        violation(CHECK_S41, site, b"virtqueue", queue,
                  b"queue %lld is polled while its callbacks are on", queue, 0, 0)
    if not more_used(vq):
        return 0
    if vq.packed:
        wrap = vq.last_used_idx >> 15
        slot = vq.last_used_idx & <uint16_t>~PACKED_WRAP
        id = vq.desc[slot].next
        len[0] = vq.desc[slot].len
    else:
        wrap = 0
        slot = vq.last_used_idx & (vq.num - 1)
        if vq.used_id[slot] >= <uint32_t>vq.num:
            vq.broken = True
            return 0
        id = <int>vq.used_id[slot]
        len[0] = vq.used_len[slot]
    if id >= vq.num or vq.state[id].data == 0:
        vq.broken = True
        return 0
    vq.consumed += 1
    on_consumed(queue, vq.used_origin[slot], len[0])
    if ctx != NULL:
        ctx[0] = vq.state[id].ctx
    cdef uint64_t data = vq.state[id].data
    detach_buf(vq, id, site)
    if vq.packed:
        slot += vq.state[id].num
        if slot >= vq.num:
            slot -= <uint16_t>vq.num
            wrap ^= 1
        vq.last_used_idx = slot | <uint16_t>(wrap << 15)
        if vq.event_flags_shadow == EVENT_FLAG_DESC:
            vq.driver_off_wrap = vq.last_used_idx
    else:
        vq.last_used_idx += 1
        if not (vq.avail_flags_shadow & VRING_AVAIL_F_NO_INTERRUPT):
            vq.used_event = vq.last_used_idx
    return data


cdef always_u64 virtqueue_detach_unused_buf(Vq* vq, site_t site) noexcept nogil:
    """virtqueue_detach_unused_buf(): take back one buffer that the device never used, 0 if none."""
    cdef int i, num = vq.num
    cdef uint64_t data
    for i in range(vq.unused_from, num):
        if vq.state[i].data:
            vq.unused_from = i + 1
            data = vq.state[i].data
            detach_buf(vq, i, site)
            if not vq.packed:
                vq.avail_idx_shadow -= 1
                vq.avail_idx = vq.avail_idx_shadow
            return data
    if unlikely(vq.num_free != vq.num):
        violation(CHECK_S47, site, b"virtqueue", 0,
                  b"ring of %lld descriptors has %lld free after all buffers were taken out",
                  vq.num, vq.num_free, 0)
    return 0


# ---- driver: callbacks -------------------------------------------------------------------------

cdef inline bint callbacks_off(const Vq* vq) noexcept nogil:
    if vq.packed:
        return vq.event_flags_shadow == EVENT_FLAG_DISABLE
    return (vq.avail_flags_shadow & VRING_AVAIL_F_NO_INTERRUPT) != 0


cdef void virtqueue_disable_cb(Vq* vq) noexcept nogil:
    if quirk_event_idx() and vq.event_triggered:
        # E20: returns before it noted the wish, so get_buf keeps moving the event index
        return
    if vq.packed:
        if vq.event_flags_shadow != EVENT_FLAG_DISABLE:
            vq.event_flags_shadow = EVENT_FLAG_DISABLE
            if vq.event_triggered:
                return
            vq.driver_flags = vq.event_flags_shadow
        return
    if not (vq.avail_flags_shadow & VRING_AVAIL_F_NO_INTERRUPT):
        vq.avail_flags_shadow |= VRING_AVAIL_F_NO_INTERRUPT
        if vq.event_triggered:
            return
        if vq.event:
            vq.used_event = 0
        else:
            vq.avail_flags = vq.avail_flags_shadow


cdef uint16_t virtqueue_enable_cb_prepare(Vq* vq) noexcept nogil:
    vq.event_triggered = False
    if vq.packed:
        if vq.event:
            vq.driver_off_wrap = vq.last_used_idx
        if vq.event_flags_shadow == EVENT_FLAG_DISABLE:
            vq.event_flags_shadow = EVENT_FLAG_DESC if vq.event else EVENT_FLAG_ENABLE
            vq.driver_flags = vq.event_flags_shadow
        return vq.last_used_idx
    if vq.avail_flags_shadow & VRING_AVAIL_F_NO_INTERRUPT:
        vq.avail_flags_shadow &= <uint16_t>~VRING_AVAIL_F_NO_INTERRUPT
        if not vq.event:
            vq.avail_flags = vq.avail_flags_shadow
    vq.used_event = vq.last_used_idx
    return vq.last_used_idx


cdef bint virtqueue_poll(Vq* vq, uint16_t last_used_idx) noexcept nogil:
    if vq.broken:
        return False
    if vq.packed:
        return is_used_packed(vq, last_used_idx & <uint16_t>~PACKED_WRAP, last_used_idx >> 15)
    return last_used_idx != vq.used_idx


# ---- device ------------------------------------------------------------------------------------

cdef apart_void dev_read_table(Out* o, const Desc* d, int queue) noexcept nogil:
    """The device reads an indirect table through its DMA address."""
    cdef uint64_t mem = dma_resolve(d.addr, d.len, False, b"dev_read_table:resolve")
    cdef int t = M_frames[frame_of(mem)].rec
    cdef int i
    if unlikely(t == 0 or V_tables[t].mem != mem):
        violation(CHECK_S47, b"dev_read_table:none", b"virtqueue", queue,
                  b"indirect descriptor does not point at a table", 0, 0, 0)
    o.n_parts = <uint16_t>V_tables[t].n
    o.capacity = 0
    for i in range(V_tables[t].n):
        o.part[i] = V_tables[t].desc[i]
        o.capacity += o.part[i].len


cdef cold_void dev_read_only(int queue) noexcept nogil:
    violation(CHECK_S47, b"dev_read_desc:readable", b"virtqueue", queue,
              b"receive queue %lld has a device-readable descriptor", queue, 0, 0)


cdef always_void dev_read_desc(Out* o, const Desc* d, int queue) noexcept nogil:
    """Append one ring descriptor to what the device knows of a buffer."""
    if d.flags & VRING_DESC_F_INDIRECT:
        dev_read_table(o, d, queue)
        return
    if unlikely(o.n_parts >= SG_MAX):
        violation(CHECK_S47, b"dev_read_desc:parts", b"virtqueue", queue,
                  b"descriptor list of more than %lld parts", SG_MAX, 0, 0)
    if unlikely(not (d.flags & VRING_DESC_F_WRITE)):
        dev_read_only(queue)
    o.part[o.n_parts] = d[0]
    o.n_parts += 1
    o.capacity += d.len


cdef always_void dev_read_single(Out* o, const Desc* d, int queue) noexcept nogil:
    """dev_read_desc() of a buffer that has this one part and no table."""
    if unlikely(not (d.flags & VRING_DESC_F_WRITE)):
        dev_read_only(queue)
    o.n = 1
    o.n_parts = 1
    o.capacity = d.len
    o.part[0] = d[0]


cdef apart_void dev_read_split(Vq* vq, Out* o, uint16_t slot, int queue) noexcept nogil:
    """Read the list that begins in slot."""
    o.n = 1
    o.n_parts = 0
    o.capacity = 0
    while True:
        dev_read_desc(o, &vq.desc[slot], queue)
        if not (vq.desc[slot].flags & VRING_DESC_F_NEXT):
            break
        slot = vq.desc[slot].next


cdef apart_void dev_fetch_split(Vq* vq, int queue) noexcept nogil:
    cdef uint16_t id
    cdef Out* o
    if unlikely(<uint16_t>(vq.avail_idx - vq.dev_avail_idx) > vq.num):
        violation(CHECK_S47, b"dev_fetch_split:avail_idx", b"virtqueue", queue,
                  b"avail idx moved from %lld to %lld, the ring has %lld", vq.dev_avail_idx,
                  vq.avail_idx, vq.num)
    while vq.dev_avail_idx != vq.avail_idx:
        id = vq.avail_ring[vq.dev_avail_idx & (vq.num - 1)]
        if unlikely(vq.n_out >= vq.num or id >= vq.num):
            violation(CHECK_S47, b"dev_fetch_split:too_many", b"virtqueue", queue,
                      b"more buffers available than the ring of %lld can hold", vq.num, 0, 0)
        o = &vq.held[id]
        if vq.desc[id].flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT):
            dev_read_split(vq, o, id, queue)
        else:
            dev_read_single(o, &vq.desc[id], queue)
        vq.out[vq.n_out] = id
        vq.n_out += 1
        vq.dev_avail_idx += 1
        vq.fetched += 1
    vq.avail_event = vq.dev_avail_idx


cdef apart_int dev_read_packed(Vq* vq, Out* o, uint16_t head, bint wrap, int queue) noexcept nogil:
    """Read the list that begins in slot `head`; returns its last slot."""
    cdef uint16_t slot = head, flags = vq.desc[head].flags
    o.n = 1
    o.n_parts = 0
    o.capacity = 0
    while True:
        dev_read_desc(o, &vq.desc[slot], queue)
        if not (flags & VRING_DESC_F_NEXT):
            return slot
        slot += 1
        if slot >= vq.num:
            slot = 0
            wrap = not wrap
        flags = vq.desc[slot].flags
        o.n += 1
        if unlikely(o.n > vq.num):
            violation(CHECK_S47, b"dev_fetch_packed:long_list", b"virtqueue", queue,
                      b"descriptor list longer than the ring of %lld", vq.num, 0, 0)
        if unlikely(((flags & PACKED_AVAIL) != 0) != wrap
                    or ((flags & PACKED_USED) != 0) == wrap):
            violation(CHECK_S47, b"dev_fetch_packed:half_list", b"virtqueue", queue,
                      b"list at slot %lld is available, its descriptor in slot %lld is not",
                      head, slot, 0)


cdef apart_void dev_fetch_packed(Vq* vq, int queue) noexcept nogil:
    cdef uint16_t head, slot, id, flags
    cdef bint wrap
    cdef Out o
    cdef Out* held
    while True:
        step(b"dev_fetch_packed:slots")
        head = slot = vq.dev_avail_idx
        wrap = vq.dev_avail_wrap
        flags = vq.desc[slot].flags
        if ((flags & PACKED_AVAIL) != 0) != wrap or ((flags & PACKED_USED) != 0) == wrap:
            break
        if unlikely(vq.n_out >= vq.num):
            violation(CHECK_S47, b"dev_fetch_packed:too_many", b"virtqueue", queue,
                      b"more buffers available than the ring of %lld can hold", vq.num, 0, 0)
        if flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT):
            slot = <uint16_t>dev_read_packed(vq, &o, head, wrap, queue)
        else:
            dev_read_single(&o, &vq.desc[slot], queue)
        id = vq.desc[slot].next
        if unlikely(id >= vq.num or vq.state[id].data == 0 or vq.state[id].num != o.n
                    or vq.added == vq.fetched):
            violation(CHECK_S47, b"dev_fetch_packed:stray", b"virtqueue", queue,
                      b"descriptor list at slot %lld (id %lld) looks available, but the driver"
                      b" never posted it", head, id, 0)
        held = &vq.held[id]
        held.n = o.n
        held.n_parts = o.n_parts
        held.capacity = o.capacity
        held.part[0] = o.part[0]
        if o.n_parts > 1:
            memcpy(&held.part[1], &o.part[1], (o.n_parts - 1) * sizeof(Desc))
        vq.out[vq.n_out] = id
        vq.n_out += 1
        vq.fetched += o.n
        slot = head + o.n
        if slot >= vq.num:
            slot -= <uint16_t>vq.num
            vq.dev_avail_wrap = not wrap
        vq.dev_avail_idx = slot
    if vq.event:
        if vq.device_flags != EVENT_FLAG_DISABLE:
            vq.device_flags = EVENT_FLAG_DESC
        vq.device_off_wrap = vq.dev_avail_idx | (PACKED_WRAP if vq.dev_avail_wrap else 0)


cdef inline void dev_fetch(Vq* vq, int queue) noexcept nogil:
    """The device takes what became available. S47: only whole, well-formed, new buffers."""
    if not vq.enabled:
        return
    if vq.packed:
        dev_fetch_packed(vq, queue)
    elif vq.dev_avail_idx != vq.avail_idx:
        dev_fetch_split(vq, queue)


cdef inline uint32_t dev_capacity(const Vq* vq, int k) noexcept nogil:
    """Writable bytes of the k-th buffer in the device's hands."""
    return vq.held[vq.out[k]].capacity


cdef always_void dev_write_part(const Desc* d, uint32_t n, int origin, uint32_t at,
                                site_t site) noexcept nogil:
    """The device writes n bytes of `origin`, from `at` on, through one DMA address."""
    cdef uint64_t addr = dma_resolve(d.addr, n, True, site)
    extent_write_here(frame_of(addr), offset_of(addr), offset_of(addr) + n, origin, at, M.bounce,
                      site)


cdef uint32_t dev_write_parts(const Out* o, uint32_t size, int origin,
                              site_t site) noexcept nogil:
    """dev_write() to more than one part."""
    cdef uint32_t done = 0, n
    cdef int i
    for i in range(o.n_parts):
        if done >= size:
            break
        n = min(o.part[i].len, size - done)
        dev_write_part(&o.part[i], n, origin, done, site)
        done += n
    return done


cdef always_u32 dev_write(Vq* vq, int k, uint32_t size, int origin, site_t site) noexcept nogil:
    """The device writes the first `size` bytes of `origin` into its k-th buffer, part by part
    through its DMA addresses; returns how many fitted."""
    cdef const Out* o = &vq.held[vq.out[k]]
    if o.n_parts != 1:
        return dev_write_parts(o, size, origin, site)
    if size == 0:
        return 0
    size = min(size, o.part[0].len)
    dev_write_part(&o.part[0], size, origin, 0, site)
    return size


cdef void dev_used_raw(Vq* vq, uint32_t id, uint32_t len, int n, int origin) noexcept nogil:
    """Write one used entry, whatever it says; n: descriptors that the device counts for it."""
    cdef uint16_t slot
    if vq.packed:
        slot = vq.dev_used_idx
        vq.desc[slot].next = <uint16_t>id
        vq.desc[slot].len = len
        vq.desc[slot].flags = (PACKED_AVAIL | PACKED_USED) if vq.dev_used_wrap else 0
        vq.used_origin[slot] = origin
        slot += <uint16_t>n
        if slot >= vq.num:
            slot -= <uint16_t>vq.num
            vq.dev_used_wrap = not vq.dev_used_wrap
        vq.dev_used_idx = slot
        vq.dev_since_signal += <uint16_t>n
    else:
        slot = vq.used_idx & (vq.num - 1)
        vq.used_id[slot] = id
        vq.used_len[slot] = len
        vq.used_origin[slot] = origin
        vq.used_idx += 1
    vq.published += 1


cdef void dev_use(Vq* vq, int k, uint32_t len, int origin) noexcept nogil:
    """The device returns its k-th buffer with used length `len`."""
    cdef uint16_t id = vq.out[k]
    vq.n_out -= 1
    if k:
        memmove(&vq.out[k], &vq.out[k + 1], <size_t>(vq.n_out - k) * sizeof(vq.out[0]))
    else:
        # the usual one: of a constant size, so that no function is called
        memmove(&vq.out[0], &vq.out[1], (VQ_MAX - 1) * sizeof(vq.out[0]))
    dev_used_raw(vq, id, len, vq.held[id].n, origin)


cdef void dev_notifications(Vq* vq, bint on) noexcept nogil:
    """The device asks for kicks, or not. Turning them on it looks at the ring itself first."""
    if vq.packed:
        if on:
            vq.device_flags = EVENT_FLAG_DESC if vq.event else EVENT_FLAG_ENABLE
        else:
            vq.device_flags = EVENT_FLAG_DISABLE
    else:
        vq.used_flags = 0 if on else VRING_USED_F_NO_NOTIFY
    vq.kicked = vq.added


cdef bint dev_wants_interrupt(Vq* vq) noexcept nogil:
    """After used entries were published: does the driver's state ask for an interrupt?"""
    cdef uint16_t old, off, n
    cdef bint wrap
    cdef int event, now
    if vq.packed:
        n = vq.dev_since_signal
        vq.dev_since_signal = 0
        if n == 0 or vq.driver_flags == EVENT_FLAG_DISABLE:
            return False
        if vq.driver_flags == EVENT_FLAG_ENABLE:
            return True
        off = vq.driver_off_wrap & <uint16_t>~PACKED_WRAP
        wrap = vq.driver_off_wrap >> 15
        event = off if wrap == vq.dev_used_wrap else <int>off - vq.num
        now = vq.dev_used_idx
        return now - event - 1 < n and now - event - 1 >= 0
    old = vq.dev_signalled
    vq.dev_signalled = vq.used_idx
    if old == vq.used_idx:
        return False
    if vq.event:
        return vring_need_event(vq.used_event, vq.used_idx, old)
    return not (vq.avail_flags & VRING_AVAIL_F_NO_INTERRUPT)


# ---- judge -------------------------------------------------------------------------------------

cdef inline void vq_check(Vq* vq, int queue) noexcept nogil:
    """After every op (S47): descriptors free and in flight add up; no kick is owed."""
    if unlikely(vq.num_free + vq.in_flight != vq.num or vq.num_free < 0):
        violation(CHECK_S47, b"vq_check:count", b"virtqueue", queue,
                  b"%lld descriptors free, %lld in flight, ring of %lld", vq.num_free, vq.in_flight,
                  vq.num)
    if unlikely(vq.kicked != vq.added):
        vq_check_kick(vq, queue)


cdef apart_void vq_check_kick(Vq* vq, int queue) noexcept nogil:
    """What became available since the last kick was not worth one."""
    cdef bint owed
    if vq.broken or not vq.enabled or vq.fetched == vq.added:
        return
    if vq.packed:
        if vq.device_flags == EVENT_FLAG_DESC:
            owed = vq.kicked <= vq.fetched
        else:
            owed = vq.device_flags == EVENT_FLAG_ENABLE
    elif vq.event:
        owed = vq.kicked <= vq.fetched
    else:
        owed = not (vq.used_flags & VRING_USED_F_NO_NOTIFY)
    if unlikely(owed):
        violation(CHECK_S47, b"vq_check:kick", b"virtqueue", queue,
                  b"queue %lld: buffers became available and the device was not notified", queue,
                  0, 0)
