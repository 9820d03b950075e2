# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The rig: drives single parts of the world from Python, under the same judge as a program.

A program reaches the parts only through a model. The rig runs a *script* of primitives instead,
each one call of a function of memory, dma, skb, virtqueue or work, so that a part and its checks
are tested where they live, and a new model can be tried out step by step:

    results, violation = core.rig([
        ("alloc_pages", 0, "H_DRV"),            # step 0: its result is the frame
        ("put_page", Ref(0), "H_DRV"),
        ("put_page", Ref(0), "H_DRV"),          # step 2: S1
    ])

An argument is an int, the name of a constant, or a Ref to the result of an earlier step; those left
out at the end are 0. Frames, buffers and skbs are their numbers, addresses are numbers as well.
What has no number in the world lies in numbered places: virtqueues `q`, NAPI contexts `napi`,
page_frag allocators `pf`, and the scatterlist `sg`, of which vq_add takes the first n entries.
The queues begin as empty split rings of 4.
`peek` and `poke` read and write single fields. rig_primitives() and rig_fields() list everything.

A target adds primitives of its own in _rig_add_target(), which it defines: functions called rig_*,
like these, and one call of _rig_add() for each. They run without the GIL, below setjmp, as models
do. Nothing here is on the way of a program: the file is included behind all other parts, before
sim/entry.pxi.
"""
from libc.stdlib cimport calloc, free

cdef enum:
    RIG_ARGS_MAX = 8
    RIG_PRIMITIVES_MAX = 160
    RIG_FIELDS_MAX = 160
    RIG_PLACES = 4              # NAPI contexts, page_frag allocators

ctypedef int64_t (*rig_function)(const int64_t* a) noexcept nogil

cdef struct RigPrimitive:
    rig_function run
    int n_args
    int64_t limit[RIG_ARGS_MAX]  # an argument must be below, and not negative; 0: any value

cdef struct RigField:
    char* at                    # of element 0, 0
    int size                    # bytes: 1 and 2 unsigned, 4 and 8 signed
    int n                       # elements, and bytes from one to the next
    int64_t stride
    int n_inner                 # the same of an array inside of an element
    int64_t stride_inner

cdef struct RigStep:
    int primitive
    int64_t arg[RIG_ARGS_MAX]
    int ref[RIG_ARGS_MAX]       # result to add to the argument, -1 none

cdef struct RigRun:
    const RigStep* steps
    int64_t* results
    int n
    int done                    # results so far
    int bad_arg                 # number of an argument out of its limits, -1 none
    int64_t bad_value

cdef RigPrimitive X_primitives[RIG_PRIMITIVES_MAX]
cdef RigField X_fields[RIG_FIELDS_MAX]
cdef RigRun X
cdef site_t X_SITE = b"rig:step"
cdef PageFrag X_frags[RIG_PLACES]
cdef Napi X_napi[RIG_PLACES]
cdef Sg X_sg[SG_MAX + 1]
cdef uint32_t X_got_len
cdef uint64_t X_got_ctx
cdef dict _rig_numbers = {}     # name of a primitive -> its number
cdef dict _rig_signatures = {}  # name of a primitive -> signature
cdef dict _rig_field_numbers = {}


cdef void rig_refuse(int arg, int64_t value) noexcept nogil:
    """End the script: argument number `arg` of the running step names nothing. Does not return."""
    X.bad_arg = arg
    X.bad_value = value
    longjmp(W_env, 2)


# ---- the world ---------------------------------------------------------------------------------

cdef int64_t rig_fail(const int64_t* a) noexcept nogil:
    W.fail_nth = <uint8_t>a[0]
    W.fail_class = <uint8_t>a[1]
    W.fail_all = <uint8_t>a[2]
    W.fault_seen = 0
    return 0


cdef int64_t rig_fault(const int64_t* a) noexcept nogil:
    return fault(<int>a[0], X_SITE)


cdef int64_t rig_steps(const int64_t* a) noexcept nogil:
    cdef int64_t i
    for i in range(a[0]):
        step(X_SITE)
    return W.steps_op


cdef int64_t rig_next_op(const int64_t* a) noexcept nogil:
    world_begin_op(W.op, NULL)
    return W.steps_total


cdef int64_t rig_after_op(const int64_t* a) noexcept nogil:
    target_after_op()
    return 0


cdef int64_t rig_shutdown(const int64_t* a) noexcept nogil:
    target_shutdown()
    return 0


cdef char* rig_field_at(const int64_t* a, int i) noexcept nogil:
    """Where the field a[0] lies, with its indexes in a[i] and a[i + 1]."""
    cdef RigField* f = &X_fields[a[0]]
    if a[i] < 0 or a[i] >= f.n:
        rig_refuse(i, a[i])
    if a[i + 1] < 0 or a[i + 1] >= f.n_inner:
        rig_refuse(i + 1, a[i + 1])
    return f.at + a[i] * f.stride + a[i + 1] * f.stride_inner


cdef int64_t rig_peek(const int64_t* a) noexcept nogil:
    cdef char* p = rig_field_at(a, 1)
    cdef int size = X_fields[a[0]].size
    if size == 1:
        return (<uint8_t*>p)[0]
    if size == 2:
        return (<uint16_t*>p)[0]
    if size == 4:
        return (<int32_t*>p)[0]
    return (<int64_t*>p)[0]


cdef int64_t rig_poke(const int64_t* a) noexcept nogil:
    cdef char* p = rig_field_at(a, 2)
    cdef int size = X_fields[a[0]].size
    if size == 1:
        (<uint8_t*>p)[0] = <uint8_t>a[1]
    elif size == 2:
        (<uint16_t*>p)[0] = <uint16_t>a[1]
    elif size == 4:
        (<int32_t*>p)[0] = <int32_t>a[1]
    else:
        (<int64_t*>p)[0] = a[1]
    return a[1]


cdef void _rig_add_world():
    _rig_add("fail nth class all", rig_fail)
    _rig_add("fault class -> does it fail", rig_fault)
    _rig_add("steps count -> steps of this op", rig_steps)
    _rig_add("next_op -> steps of the program", rig_next_op)
    _rig_add("after_op", rig_after_op)
    _rig_add("shutdown", rig_shutdown)
    _rig_add("peek field i j -> value", rig_peek)
    _rig_add("poke field value i j -> value", rig_poke)


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


# ---- running a script --------------------------------------------------------------------------

_RIG_CONSTANTS = {
    "H_DRV": H_DRV, "H_RING": H_RING, "H_FRAG": H_FRAG, "H_SKB": H_SKB, "H_LIST": H_LIST,
    "H_DMA": H_DMA, "H_KERNEL": H_KERNEL,
    "B_GONE": B_GONE, "B_DRV": B_DRV, "B_RING": B_RING, "B_SKB": B_SKB,
    "FAULT_ANY": FAULT_ANY, "FAULT_ALLOC": FAULT_ALLOC, "FAULT_MAP": FAULT_MAP,
    "FAULT_ADD": FAULT_ADD,
    "DMA_TO_DEVICE": DMA_TO_DEVICE, "DMA_FROM_DEVICE": DMA_FROM_DEVICE, "DMA_ERROR": -1,
    "NAPI_DISABLED": NAPI_DISABLED, "NAPI_IDLE": NAPI_IDLE, "NAPI_SCHEDULED": NAPI_SCHEDULED,
    "CHECKSUM_NONE": CHECKSUM_NONE, "CHECKSUM_UNNECESSARY": CHECKSUM_UNNECESSARY,
    "CHECKSUM_PARTIAL": CHECKSUM_PARTIAL, "SHINFO_SIZE": SHINFO_SIZE,
    "SKB_STRUCT_SIZE": SKB_STRUCT_SIZE, "MAX_SKB_FRAGS": MAX_SKB_FRAGS, "SG_MAX": SG_MAX,
    "STEPS_OP_MAX": STEPS_OP_MAX,
}

#: Arguments of these names must be below the limit: they index something, here or in the world.
_RIG_LIMITS = {
    "addr": <int64_t>FRAMES_MAX << ADDR_SHIFT, "class": 4, "count": 1 << 20,
    "entry": SG_MAX + 1, "frag": MAX_SKB_FRAGS, "frags": MAX_SKB_FRAGS + 1, "frame": FRAMES_MAX,
    "holder": N_HOLDERS, "napi": RIG_PLACES, "nth": 32, "num": VQ_MAX + 1,
    "offset": 1 << ADDR_SHIFT, "order": 8, "parts": SG_MAX + 2, "pf": RIG_PLACES, "q": VQS_MAX,
    "skb": SKBS_MAX,
}


cdef void _rig_add(str signature, rig_function run):
    """Make `run` a primitive. signature: "name argument ... -> what it returns"."""
    cdef int number = len(_rig_numbers), i
    name, *arguments = signature.partition(" -> ")[0].split()
    if number >= RIG_PRIMITIVES_MAX or len(arguments) > RIG_ARGS_MAX or name in _rig_numbers:
        raise ValueError(f"rig: no place for {signature!r}")
    _rig_numbers[name] = number
    _rig_signatures[name] = signature
    X_primitives[number].run = run
    X_primitives[number].n_args = len(arguments)
    for i, argument in enumerate(arguments):
        X_primitives[number].limit[i] = _RIG_LIMITS.get(argument, 0)


cdef void _rig_field(str name, void* at, int size, int n=1, int64_t stride=0, int n_inner=1,
                     int64_t stride_inner=0):
    """Let peek and poke at a field: its address in element 0, bytes; the array it is in, and an
    array inside of an element."""
    cdef int number = len(_rig_field_numbers)
    if number >= RIG_FIELDS_MAX or name in _rig_field_numbers:
        raise ValueError(f"rig: no place for field {name!r}")
    _rig_field_numbers[name] = number
    X_fields[number].at = <char*>at
    X_fields[number].size = size
    X_fields[number].n = n
    X_fields[number].stride = stride
    X_fields[number].n_inner = n_inner
    X_fields[number].stride_inner = stride_inner


cdef void _rig_ready():
    """Fill the tables on the first use."""
    if not _rig_numbers:
        _rig_add_world()
        _rig_add_memory()
        _rig_add_dma()
        _rig_add_skb()
        _rig_add_virtqueue()
        _rig_add_work()
        _rig_add_target()


class Ref:
    """The result of step `step` of the script, plus `plus`; a negative step counts back from the
    step that refers to it (Ref(-1): the one before)."""

    __slots__ = ("plus", "step")

    def __init__(self, step, plus=0):
        self.step = step
        self.plus = plus

    def __add__(self, plus):
        return Ref(self.step, self.plus + plus)

    def __sub__(self, plus):
        return Ref(self.step, self.plus - plus)

    def __repr__(self):
        return f"Ref({self.step}, {self.plus})"


cdef int rig_run(const vf_program* program, int era, uint64_t quirks_lo, uint64_t quirks_hi,
                 bint dma, bint swiotlb, bint keep) noexcept nogil:
    """Set the world up and run the steps of X; 1 if a check was violated (details in W), else 0."""
    global M_high_order
    cdef int i, k, first = 0
    cdef int64_t arg[RIG_ARGS_MAX]
    cdef const RigStep* s
    cdef const RigPrimitive* p
    if keep:
        W.bad = False
    else:
        world_reset(era, quirks_lo, quirks_hi, False)
        memset(X_frags, 0, sizeof(X_frags))
        memset(X_napi, 0, sizeof(X_napi))
    if setjmp(W_env) == 0:
        if program != NULL:
            world_begin_op(-1, NULL)
            target_boot()
            for i in range(program.n_ops):
                world_begin_op(i, &program.ops[i])
                target_op(&program.ops[i])
                target_after_op()
            first = program.n_ops
        elif not keep:
            memory_reset()
            skb_reset()
            virtqueues_reset()
            for i in range(VQS_MAX):
                vq_init(&V_vqs[i], 4, False, False, False)
            dma_reset(dma, swiotlb)
            M_high_order = True
        if keep:
            W.steps_op = 0
        else:
            world_begin_op(first, NULL)
        for i in range(X.n):
            W.op = first + i
            s = &X.steps[i]
            p = &X_primitives[s.primitive]
            for k in range(RIG_ARGS_MAX):
                arg[k] = s.arg[k]
                if s.ref[k] >= 0:
                    arg[k] += X.results[s.ref[k]]
                if p.limit[k] and (arg[k] < 0 or arg[k] >= p.limit[k]):
                    rig_refuse(k, arg[k])
            X.results[i] = p.run(arg)
            X.done = i + 1
    return W.bad


cdef int _rig_parse_step(int i, object step, RigStep* out) except -1:
    """One step of a script into `out`; ValueError says what is wrong with it."""
    cdef int k
    name, *arguments = step
    if name not in _rig_numbers:
        raise ValueError(f"step {i}: no primitive {name!r}; rig_primitives() lists them")
    out.primitive = _rig_numbers[name]
    if len(arguments) > X_primitives[out.primitive].n_args:
        raise ValueError(f"step {i}: {len(arguments)} arguments for {_rig_signatures[name]!r}")
    for k in range(RIG_ARGS_MAX):
        out.arg[k] = 0
        out.ref[k] = -1
    for k, argument in enumerate(arguments):
        if k == 0 and name in ("peek", "poke"):
            if argument not in _rig_field_numbers:
                raise ValueError(f"step {i}: {name}: no field {argument!r}; rig_fields() lists all")
            argument = _rig_field_numbers[argument]
        elif isinstance(argument, Ref):
            out.ref[k] = argument.step + (i if argument.step < 0 else 0)
            if not 0 <= out.ref[k] < i:
                raise ValueError(f"step {i}: {name}: {argument!r} is not a step before this one")
            argument = argument.plus
        elif isinstance(argument, str):
            if argument not in _RIG_CONSTANTS:
                raise ValueError(f"step {i}: {name}: no constant {argument!r}")
            argument = _RIG_CONSTANTS[argument]
        if not isinstance(argument, int) or not -1 << 63 <= argument < 1 << 63:
            raise ValueError(f"step {i}: {name}: argument {k + 1} is {argument!r}, it must be an "
                             f"int of 64 bits, a Ref or a name")
        out.arg[k] = argument
    return 0


def rig(object script, *, bint dma=False, bint swiotlb=False, int era=0, object quirks=0,
        object program=None, bint keep=False):
    """Run a script, a sequence of (primitive, argument...); returns (results, violation or None).

    results has an int for each step that ended, so with a violation the last one is of the step
    before it. The violation is a dict as execute() gives it; its op is the number of the step. A
    script that fills an arena of the world ends there, without a violation.

    dma, swiotlb  the device is behind the DMA API; its mappings bounce
    era, quirks   as for execute(): an index, a bit mask
    program       binary form: the world is what this program leaves behind, without its shutdown
                  (dma and swiotlb follow its boot options). Steps then count on from its last op.
    keep          go on in the world where the last call left it, which sets everything else; only
                  the steps of the op count anew. Not after a violation, execute() or fuzz_one().

    ValueError: a step that names no primitive, or an argument that names nothing. No end check runs
    by itself: ask for after_op, books_check, leak_check, maps_leak_check, shutdown.
    """
    cdef const vf_program* p = NULL
    cdef RigStep* steps
    cdef int i, bad, n
    cdef uint64_t lo = quirks & 0xFFFFFFFFFFFFFFFF
    cdef uint64_t hi = quirks >> 64
    _rig_ready()
    script = list(script)
    n = len(script)
    if program is not None:
        if keep:
            raise ValueError("rig: a program starts a world of its own, keep goes on in the last")
        _require_schema()
        vf_decode(SCHEMA_C, <const uint8_t*>PyBytes_AS_STRING(program), PyBytes_GET_SIZE(program),
                  &P)
        p = &P
    steps = <RigStep*>calloc(<size_t>max(n, 1), sizeof(RigStep))
    X.results = <int64_t*>calloc(<size_t>max(n, 1), sizeof(int64_t))
    try:
        if steps == NULL or X.results == NULL:
            raise MemoryError
        for i in range(n):
            _rig_parse_step(i, script[i], &steps[i])
        X.steps = steps
        X.n = n
        X.done = 0
        X.bad_arg = -1
        with nogil:
            bad = rig_run(p, era, lo, hi, dma, swiotlb, keep)
        if X.bad_arg >= 0:
            name = script[X.done][0]
            raise ValueError(f"step {X.done}: {_rig_signatures[name]!r}: argument "
                             f"{X.bad_arg + 1} is {X.bad_value}, there is no such thing")
        return [X.results[i] for i in range(X.done)], _violation_dict() if bad else None
    finally:
        free(steps)
        free(X.results)
        X.steps = NULL
        X.results = NULL


def rig_primitives():
    """Signatures of the primitives, in order: "name argument ... -> what it returns"."""
    _rig_ready()
    return tuple(_rig_signatures.values())


def rig_fields():
    """Names of the fields that peek and poke know."""
    _rig_ready()
    return tuple(_rig_field_numbers)
