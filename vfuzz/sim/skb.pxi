# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket buffers: linear head, fragments, frag_list, truesize; the helpers a receive path uses.

Sizes are x86-64's. An skb is never reused within a program, so a use after free is always seen.
"""

cdef enum:
    SKBS_MAX = 1024
    MAX_SKB_FRAGS = 17
    SHINFO_SIZE = 320           # SKB_DATA_ALIGN(sizeof(struct skb_shared_info))
    SKB_STRUCT_SIZE = 256       # SKB_DATA_ALIGN(sizeof(struct sk_buff))
    NET_SKB_PAD = 64
    SMALL_HEAD_SIZE = 1024      # 6.12: napi_alloc_skb() takes 1 KiB fragments for short heads
    SMALL_HEAD_CACHE_SIZE = 704  # since 6.3 skbuff_small_head has others (Debian, amd64)
    SKB_CB_SIZE = 48
    PIECES_MAX = 256

    CHECKSUM_NONE = 0
    CHECKSUM_UNNECESSARY = 1
    CHECKSUM_PARTIAL = 3

    SKB_GSO_TCPV4 = 1 << 0
    SKB_GSO_DODGY = 1 << 1
    SKB_GSO_TCP_ECN = 1 << 2
    SKB_GSO_TCPV6 = 1 << 4
    SKB_GSO_UDP = 1 << 16
    SKB_GSO_UDP_L4 = 1 << 17

cdef struct Frag:
    int32_t page
    uint32_t offset
    uint32_t size

cdef struct Skb:
    bint live
    uint64_t head               # address
    uint32_t end                # offsets from head: shared info starts at end
    uint32_t data
    uint32_t tail
    uint32_t len
    uint32_t data_len
    uint32_t truesize
    int nr_frags
    int frag_list               # first skb, 0 none
    int next
    uint8_t ip_summed
    uint16_t csum_start         # from head
    uint16_t csum_offset
    uint16_t gso_size
    uint32_t gso_type
    uint32_t hash
    uint8_t hash_type
    uint32_t transport_header   # from head
    uint16_t protocol
    uint8_t queue
    uint8_t meta_len            # metadata of a program, in front of data
    uint8_t recycle             # skb_mark_for_recycle(): pages of pools go back to them
    uint8_t cb[SKB_CB_SIZE]     # control block: upstream keeps the vnet header there
    Frag frags[MAX_SKB_FRAGS]

cdef struct Piece:              # a run of bytes: where they came from
    int32_t origin              # 0: never written
    uint32_t at
    uint32_t size

cdef struct Skbs:
    int n                       # skb 0 is NULL
    int n_live

cdef Skbs K
cdef Skb K_skbs[SKBS_MAX]
cdef Piece K_pieces[PIECES_MAX]


cdef inline void skb_reset() noexcept nogil:
    K.n = 1
    K.n_live = 0


cdef inline uint32_t skb_data_align(uint32_t size) noexcept nogil:
    return (size + 63) & ~<uint32_t>63


cdef inline Skb* skb_get(int s, site_t site) noexcept nogil:
    """The live skb `s` (S1)."""
    # skb 0 is never live; a negative number is a large one here
    if unlikely(<uint32_t>s >= <uint32_t>K.n or not K_skbs[s].live):
        violation(CHECK_S1, site, b"skb", s, b"access to skb %lld after its release", s, 0, 0)
    return &K_skbs[s]


cdef inline uint32_t skb_headlen(const Skb* p) noexcept nogil:
    return p.len - p.data_len


cdef inline uint32_t skb_tailroom(const Skb* p) noexcept nogil:
    return 0 if p.data_len else p.end - p.tail


cdef int skb_new(uint64_t head, uint32_t size, site_t site) noexcept nogil:
    """Set up an skb around `size` bytes at head, shared info at their end (__build_skb_around)."""
    cdef int s
    cdef Skb* p
    if unlikely(K.n >= SKBS_MAX):
        M.exhausted = True
        return 0
    s = K.n
    K.n += 1
    K.n_live += 1
    p = &K_skbs[s]
    memset(p, 0, sizeof(Skb) - sizeof(p.frags))
    p.live = True
    p.head = head
    p.end = size - SHINFO_SIZE
    p.truesize = size + SKB_STRUCT_SIZE
    ev(b"alloc", b"skb", s, frame_of(head), size, site)
    return s


cdef always_int build_skb(uint64_t head, uint32_t frag_size, site_t site) noexcept nogil:
    """build_skb(): an skb whose head is received memory. A fault site (alloc); 0 on failure.

    S10: head..end inside one buffer. The driver's page reference becomes the skb's.
    """
    cdef int f = frame_of(head)
    cdef uint32_t offset = offset_of(head)
    cdef int b
    cdef int s
    if fault(FAULT_ALLOC, site):
        return 0
    check_live(f, site)
    b = buf_at(f, offset)
    if unlikely(b == 0 or M_bufs[b].state != B_DRV):
        violation(CHECK_S10, site, frame_kind(f), f,
                  b"skb head at %lld is in no buffer of the driver", offset, 0, 0)
    if unlikely(offset + frag_size > M_bufs[b].a_end or frag_size < SHINFO_SIZE):
        violation(CHECK_S10, site, b"buffer", b,
                  b"skb head [%lld, %lld) reaches beyond its buffer, which ends at %lld", offset,
                  offset + frag_size, M_bufs[b].a_end)
    s = skb_new(head, frag_size, site)
    if s == 0:
        return 0
    cpu_write(head + frag_size - SHINFO_SIZE, SHINFO_SIZE, site)
    M_bufs[b].state = B_SKB
    M_bufs[b].owner = s
    move_live_ref(f, H_DRV, H_SKB, site)
    return s


cdef int alloc_head_skb(uint32_t chunk, uint32_t reserve, site_t site) noexcept nogil:
    """An skb with a head of its own of `chunk` bytes, shared info in it. A fault site (alloc)."""
    cdef int f, s
    if fault(FAULT_ALLOC, site):
        return 0
    f = frame_new(F_HEAD, chunk, H_SKB, site)
    if f == 0:
        return 0
    s = skb_new(addr_of(f, 0), chunk, site)
    if s == 0:
        put_page(f, H_SKB, site)
        return 0
    K_skbs[s].data = K_skbs[s].tail = reserve
    return s


cdef inline void skb_reserve(int s, uint32_t size, site_t site) noexcept nogil:
    cdef Skb* p = skb_get(s, site)
    p.data += size
    p.tail += size
    if unlikely(p.tail > p.end):
        violation(CHECK_S11, site, b"skb", s, b"reserve puts data at %lld behind end %lld", p.tail,
                  p.end, 0)


cdef inline void skb_put(int s, uint32_t size, site_t site) noexcept nogil:
    """skb_put(): S11, tail stays at or below end (upstream: skb_over_panic)."""
    cdef Skb* p = skb_get(s, site)
    p.tail += size
    p.len += size
    if unlikely(p.tail > p.end or p.tail < p.data):
        violation(CHECK_S11, site, b"skb", s,
                  b"put of %lld bytes moves tail to %lld, beyond end %lld", size, p.tail, p.end)


cdef inline void skb_put_data(int s, uint64_t source, uint32_t size, site_t site) noexcept nogil:
    """skb_put_data(): append a copy of `size` bytes."""
    cdef uint64_t to = K_skbs[s].head + K_skbs[s].tail
    skb_put(s, size, site)
    cpu_copy(to, source, size, site)


cdef always_void skb_frag_own(int s, int page, uint32_t offset, uint32_t size, bint take_ref,
                              site_t site) noexcept nogil:
    """The bytes of a fragment become skb s's: S8/S12 a real page, S7 only what was posted."""
    cdef int b = M.cur_buf
    # mostly in the buffer last looked up. It is not gone, so its frame is live and goes as far
    if not likely(M_bufs[b].frame == page and M_bufs[b].state == B_DRV
                  and M_bufs[b].p_start <= offset < M_bufs[b].p_end
                  and offset + size <= M_bufs[b].p_end and not M.bounce):
        b = skb_frag_check(s, page, offset, size, site)
    if take_ref:
        move_live_ref(page, H_DRV, H_SKB, site)
        M_bufs[b].state = B_SKB
        M_bufs[b].owner = s
    else:
        if unlikely(M_frames[page].pool != 0) and K_skbs[s].recycle:
            page_pool_return(page, H_DRV, site)
        else:
            put_live_page(page, H_DRV, site)
        if size == 0:
            buf_drop(page, b, site)
        else:
            M_bufs[b].state = B_SKB
            M_bufs[b].owner = s


cdef apart_int skb_frag_check(int s, int page, uint32_t offset, uint32_t size,
                              site_t site) noexcept nogil:
    """skb_frag_own()'s checks of anything: the buffer in which the fragment lies."""
    if unlikely(page == 0):
        violation(CHECK_S8, site, b"skb", s,
                  b"fragment of %lld bytes has no page: the chain ended before the data", size,
                  0, 0)
    check_live(page, site)
    if unlikely(offset + size > M_frames[page].size):
        violation(CHECK_S12, site, b"page", page,
                  b"fragment [%lld, %lld) beyond the page's %lld bytes", offset, offset + size,
                  M_frames[page].size)
    check_read_here(addr_of(page, offset), size, site)
    return buf_at(page, offset)


cdef always_void skb_add_rx_frag(int s, int i, int page, uint32_t offset, uint32_t size,
                                 uint32_t truesize, site_t site) noexcept nogil:
    """skb_add_rx_frag(): fragment number i. S13: the array has MAX_SKB_FRAGS places."""
    cdef Skb* p = skb_get(s, site)
    if unlikely(i >= MAX_SKB_FRAGS or i < 0):
        violation(CHECK_S13, site, b"skb", s,
                  b"fragment index %lld of an array of %lld", i, MAX_SKB_FRAGS, 0)
    skb_frag_own(s, page, offset, size, True, site)
    p.frags[i].page = page
    p.frags[i].offset = offset
    p.frags[i].size = size
    p.nr_frags = i + 1
    p.len += size
    p.data_len += size
    p.truesize += truesize
    ev(b"frag", b"skb", s, page, offset, site)


cdef inline bint skb_can_coalesce(const Skb* p, int i, int page, uint32_t offset) noexcept nogil:
    if i == 0:
        return False
    return page == p.frags[i - 1].page and offset == p.frags[i - 1].offset + p.frags[i - 1].size


cdef void skb_coalesce_rx_frag(int s, int i, uint32_t offset, uint32_t size, uint32_t truesize,
                               site_t site) noexcept nogil:
    """put_page() + skb_coalesce_rx_frag(): fragment i grows by the buffer right behind it."""
    cdef Skb* p = skb_get(s, site)
    skb_frag_own(s, p.frags[i].page, offset, size, False, site)
    p.frags[i].size += size
    p.len += size
    p.data_len += size
    p.truesize += truesize


cdef inline void skb_page_unref(const Skb* p, int page, site_t site) noexcept nogil:
    """skb_pp_recycle(): the mark is a permission only, a page says itself whether it has a pool."""
    if unlikely(M_frames[page].pool != 0) and p.recycle:
        page_pool_return(page, H_SKB, site)
    else:
        put_live_page(page, H_SKB, site)


cdef always_void skb_frag_unref(Skb* p, int i, site_t site) noexcept nogil:
    cdef int page = p.frags[i].page
    check_live(page, site)
    bufs_drop_range(page, p.frags[i].offset, p.frags[i].offset + max(p.frags[i].size, <uint32_t>1),
                    site)
    skb_page_unref(p, page, site)


cdef always_void skb_free_head(Skb* p, site_t site) noexcept nogil:
    cdef int f = frame_of(p.head)
    cdef int b
    check_live(f, site)
    if M_frames[f].kind == F_PAGE:
        b = buf_at(f, offset_of(p.head))
        if b:
            buf_drop(f, b, site)
    skb_page_unref(p, f, site)


cdef apart_void kfree_skb(int s, site_t site) noexcept nogil:
    """kfree_skb(): of NULL nothing. S3: freed once."""
    cdef Skb* p
    cdef int i, next, list = 0
    while s:
        step(site)
        p = &K_skbs[s]
        if unlikely(<uint32_t>s >= <uint32_t>K.n or not p.live):
            violation(CHECK_S3, site, b"skb", s, b"skb %lld freed twice", s, 0, 0)
        for i in range(p.nr_frags):
            skb_frag_unref(p, i, site)
        skb_free_head(p, site)
        p.live = False
        K.n_live -= 1
        ev(b"free", b"skb", s, 0, 0, site)
        if p.frag_list:
            list = p.frag_list
            next = list
        else:
            # only members of a frag_list hang on next
            next = p.next if list else 0
        s = next


# ---- pulling data into the head ----------------------------------------------------------------

cdef uint32_t kmalloc_size(uint32_t size) noexcept nogil:
    """kmalloc_size_roundup(): the bucket that serves `size` bytes."""
    cdef uint32_t bucket = 512
    while bucket < size:
        bucket <<= 1
    return bucket


cdef bint pskb_expand_head(int s, uint32_t more, site_t site) noexcept nogil:
    """pskb_expand_head(skb, 0, more): a new, larger head. A fault site (alloc): then False."""
    cdef Skb* p = skb_get(s, site)
    cdef uint32_t size = kmalloc_size(skb_data_align(p.end + more) + SHINFO_SIZE)
    cdef uint32_t old_end = p.end
    cdef int f
    if fault(FAULT_ALLOC, site):
        return False
    f = frame_new(F_HEAD, size, H_SKB, site)
    if f == 0:
        return False
    cpu_copy(addr_of(f, p.data), p.head + p.data, p.tail - p.data, site)
    skb_free_head(p, site)
    p.head = addr_of(f, 0)
    p.end = size - SHINFO_SIZE
    p.truesize += p.end - old_end
    return True


cdef void skb_copy_bits(int s, uint32_t size, uint64_t target, site_t site) noexcept nogil:
    """Copy the first `size` bytes behind the linear part: fragments, then frag_list."""
    cdef Skb* p = skb_get(s, site)
    cdef Skb* q
    cdef int i, list
    cdef uint32_t n
    for i in range(p.nr_frags):
        if size == 0:
            return
        n = min(size, p.frags[i].size)
        cpu_copy(target, addr_of(p.frags[i].page, p.frags[i].offset), n, site)
        target += n
        size -= n
    list = p.frag_list
    while list and size:
        step(site)
        q = skb_get(list, site)
        n = min(size, skb_headlen(q))
        cpu_copy(target, q.head + q.data, n, site)
        target += n
        size -= n
        for i in range(q.nr_frags):
            n = min(size, q.frags[i].size)
            cpu_copy(target, addr_of(q.frags[i].page, q.frags[i].offset), n, site)
            target += n
            size -= n
        list = q.next


cdef void skb_eat_frags(Skb* p, uint32_t eat, site_t site) noexcept nogil:
    """Drop the first `eat` bytes of the fragments, whole fragments with their reference."""
    cdef int i, k = 0
    for i in range(p.nr_frags):
        if p.frags[i].size <= eat:
            eat -= p.frags[i].size
            skb_frag_unref(p, i, site)
        else:
            if eat:
                # buffers of a coalesced fragment that lie wholly in front are no longer held
                bufs_drop_front(p.frags[i].page, p.frags[i].offset, p.frags[i].offset + eat, site)
            p.frags[k] = p.frags[i]
            p.frags[k].offset += eat
            p.frags[k].size -= eat
            eat = 0
            k += 1
    p.nr_frags = k


cdef bint pskb_pull_tail(int s, uint32_t delta, site_t site) noexcept nogil:
    """__pskb_pull_tail(): move `delta` bytes from behind the head into it (net/core/skbuff.c)."""
    cdef Skb* p = skb_get(s, site)
    cdef Skb* q
    cdef int i, list
    cdef uint32_t eat, in_frags = 0
    if p.tail + delta > p.end:
        if not pskb_expand_head(s, p.tail + delta - p.end + 128, site):
            return False
    skb_copy_bits(s, delta, p.head + p.tail, site)
    for i in range(p.nr_frags):
        in_frags += p.frags[i].size
    if p.frag_list and delta > in_frags:
        eat = delta - in_frags
        while eat:
            step(site)
            list = p.frag_list
            q = skb_get(list, site)
            if q.len <= eat:
                eat -= q.len
                p.frag_list = q.next
                q.next = 0
                kfree_skb(list, site)
            else:
                # eaten in part: pull what is eaten into that skb's own head, then drop it
                if eat > skb_headlen(q):
                    if not pskb_pull_tail(list, eat - skb_headlen(q), site):
                        return False
                q.data += eat
                q.len -= eat
                eat = 0
    skb_eat_frags(p, delta, site)
    p.tail += delta
    p.data_len -= delta
    return True


cdef inline bint pskb_may_pull(int s, uint32_t size, site_t site) noexcept nogil:
    """Are the first `size` bytes linear, or can they be made so?"""
    cdef Skb* p = skb_get(s, site)
    if size <= skb_headlen(p):
        return True
    if size > p.len:
        return False
    return pskb_pull_tail(s, size - skb_headlen(p), site)


# ---- what an skb holds -------------------------------------------------------------------------

cdef inline int piece_add(int n, int origin, uint32_t at, uint32_t size) noexcept nogil:
    """Append `size` bytes of an origin to K_pieces, or to the last piece if they go on there."""
    cdef Piece* last
    if n:
        last = &K_pieces[n - 1]
        if last.origin == origin and (origin == 0 or last.at + last.size == at):
            last.size += size
            return n
    K_pieces[n].origin = origin
    K_pieces[n].at = at
    K_pieces[n].size = size
    return n + 1


cdef always_int pieces_add(int n, uint64_t addr, uint32_t size, site_t site) noexcept nogil:
    """Append the origins of [addr, addr+size) to K_pieces; unwritten gaps have origin 0."""
    cdef uint32_t offset = offset_of(addr)
    cdef int x
    if size == 0:
        return n
    check_read_here(addr, size, site)
    x = extent_at(frame_of(addr), offset)
    if likely(x != 0 and M_extents[x].start <= offset and offset + size <= M_extents[x].end
              and n < PIECES_MAX):
        # mostly all of it is one write
        return piece_add(n, M_extents[x].origin, M_extents[x].at + (offset - M_extents[x].start),
                         size)
    return pieces_add_written(n, offset, offset + size, x)


cdef uint64_t pieces_digest(int n) noexcept nogil:
    """One number for K_pieces[0..n): where bytes came from (FNV-1a)."""
    cdef uint64_t h = 14695981039346656037u
    cdef int i
    for i in range(n):
        h = (h ^ <uint64_t>K_pieces[i].origin) * 1099511628211u
        h = (h ^ K_pieces[i].at) * 1099511628211u
        h = (h ^ K_pieces[i].size) * 1099511628211u
    return h


cdef apart_int pieces_add_written(int n, uint32_t offset, uint32_t end, int x) noexcept nogil:
    """pieces_add() of any number of writes. x: extent_at()."""
    cdef uint32_t e
    cdef int origin
    cdef uint32_t at
    while offset < end and n < PIECES_MAX:
        if x == 0 or M_extents[x].start >= end:
            origin = 0
            at = 0
            e = end
        elif M_extents[x].start > offset:
            origin = 0
            at = 0
            e = M_extents[x].start
        else:
            origin = M_extents[x].origin
            at = M_extents[x].at + (offset - M_extents[x].start)
            e = min(end, M_extents[x].end)
            x = M_extents[x].next
        n = piece_add(n, origin, at, e - offset)
        offset = e
    return n


cdef apart_int skb_pieces_list(int n, int list, uint32_t* total, site_t site) noexcept nogil:
    """skb_pieces() of a frag_list: its bytes are added to K_pieces, their number to total."""
    cdef Skb* q
    cdef int i
    while list:
        step(site)
        q = skb_get(list, site)
        n = pieces_add(n, q.head + q.data, q.tail - q.data, site)
        total[0] += q.tail - q.data
        for i in range(q.nr_frags):
            n = pieces_add(n, addr_of(q.frags[i].page, q.frags[i].offset), q.frags[i].size, site)
            total[0] += q.frags[i].size
        list = q.next
    return n


cdef always_int skb_pieces(int s, site_t site) noexcept nogil:
    """Fill K_pieces with the origins of all bytes of skb s in order; returns their number.

    Checks S11 and S12 on the way: lengths agree, every part lies in live memory.
    """
    cdef Skb* p = skb_get(s, site)
    cdef int i, n
    cdef uint32_t total
    if unlikely(p.data > p.tail or p.tail > p.end or p.tail - p.data != skb_headlen(p)):
        violation(CHECK_S11, site, b"skb", s, b"data %lld, tail %lld and end %lld disagree", p.data,
                  p.tail, p.end)
    n = pieces_add(0, p.head + p.data, p.tail - p.data, site)
    total = p.tail - p.data
    for i in range(p.nr_frags):
        n = pieces_add(n, addr_of(p.frags[i].page, p.frags[i].offset), p.frags[i].size, site)
        total += p.frags[i].size
    if p.frag_list:
        n = skb_pieces_list(n, p.frag_list, &total, site)
    if unlikely(total != p.len):
        violation(CHECK_S11, site, b"skb", s, b"len %lld, but its parts hold %lld bytes", p.len,
                  total, 0)
    return n


cdef always_u32 skb_memory(int s, site_t site) noexcept nogil:
    """Bytes of memory that skb s keeps from being used for anything else (S17's right side):
    heads and sk_buffs, and for each fragment the allocations of the buffers in it."""
    cdef Skb* p
    cdef uint32_t total = 0
    cdef int i, b, f
    cdef bint head = True
    cdef uint32_t start, end
    while s:
        step(site)
        p = skb_get(s, site)
        f = frame_of(p.head)
        b = buf_at(f, offset_of(p.head)) if M_frames[f].kind == F_PAGE else 0
        total += SKB_STRUCT_SIZE
        total += (M_bufs[b].a_end - M_bufs[b].a_start) if b else M_frames[f].size
        for i in range(p.nr_frags):
            f = p.frags[i].page
            start = p.frags[i].offset
            end = start + max(p.frags[i].size, <uint32_t>1)
            b = M_frames[f].bufs
            while b and M_bufs[b].a_start < end:
                if M_bufs[b].state == B_SKB and start < M_bufs[b].a_end:
                    total += M_bufs[b].a_end - M_bufs[b].a_start
                b = M_bufs[b].next
        s = p.frag_list if head else p.next
        head = False
    return total
