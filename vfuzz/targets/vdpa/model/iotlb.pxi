# SPDX-License-Identifier: GPL-2.0-or-later
"""struct vhost_iotlb: drivers/vhost/iotlb.c (6.1.192, 6.12.117; 7.0 without the enforced limit).

The interval tree is an array of mappings by start. While no two overlap their ends are sorted too,
and a look-up is a binary search; else it is a scan. Either way the answer is the tree's: the
leftmost mapping that overlaps, and for an interval whose last lies before its start the leftmost
that contains both.
"""


cdef inline void vhost_iotlb_init(Iotlb* iotlb, uint32_t limit, uint32_t flags,
                                  uint32_t lock) noexcept nogil:
    """lock: what protects this table (L_*), for V44."""
    iotlb.limit = limit
    iotlb.nmaps = 0
    iotlb.flags = flags
    iotlb.head = 0
    iotlb.tail = 0
    iotlb.lock = lock
    iotlb.disjoint = True
    iotlb.dirty = True
    iotlb.copy_of = NULL
    iotlb.copies = 0
    iotlb.same = 0
    iotlb.n = 0


cdef int map_alloc() noexcept nogil:
    """kmalloc() of a struct vhost_iotlb_map, or 0. A fault site (alloc)."""
    global I_n_maps, I_free_maps
    cdef int m
    if fault(FAULT_ALLOC, b"vhost_iotlb_add_range_ctx:kmalloc"):
        return 0
    if I_free_maps:
        m = I_free_maps
        I_free_maps = I_maps[m].next
    elif I_n_maps < MAPS_MAX:
        m = I_n_maps
        I_n_maps += 1
    else:
        give_up()
        return 0
    I_maps[m].live = True
    return m


cdef inline void map_release(int m) noexcept nogil:
    """kfree() of a mapping that no table has."""
    global I_free_maps
    I_maps[m].live = False
    I_maps[m].next = I_free_maps
    I_free_maps = m


cdef inline int tree_lower(const Iotlb* iotlb, uint64_t start) noexcept nogil:
    """Place of the first mapping that starts behind `start`."""
    cdef int lo = 0, hi = iotlb.n, mid
    if hi == 0 or I_maps[iotlb.tree[hi - 1]].start <= start:
        return hi
    while lo < hi:
        mid = (lo + hi) >> 1
        if I_maps[iotlb.tree[mid]].start <= start:
            lo = mid + 1
        else:
            hi = mid
    return lo


cdef int tree_first(const Iotlb* iotlb, int place, uint64_t start, uint64_t last) noexcept nogil:
    """Place of the first mapping from `place` on that overlaps [start, last], -1 if none."""
    cdef int lo = place, hi = iotlb.n, mid
    if iotlb.disjoint:
        while lo < hi:
            mid = (lo + hi) >> 1
            if I_maps[iotlb.tree[mid]].last < start:
                lo = mid + 1
            else:
                hi = mid
    else:
        # uncovered: only tests make tables with overlaps
        while lo < iotlb.n and I_maps[iotlb.tree[lo]].last < start:
            lo += 1
    if lo < iotlb.n and I_maps[iotlb.tree[lo]].start <= last:
        return lo
    return -1


cdef int vhost_iotlb_itree_first(const Iotlb* iotlb, uint64_t start, uint64_t last) noexcept nogil:
    """The lowest mapping that overlaps [start, last], 0 if none. Under the table's lock (V44)."""
    cdef int place
    lockdep_assert_held(iotlb.lock, b"vhost_iotlb_itree_first:lock")
    place = tree_first(iotlb, 0, start, last)
    return iotlb.tree[place] if place >= 0 else 0


cdef void tree_insert(Iotlb* iotlb, int m) noexcept nogil:
    cdef int place = tree_lower(iotlb, I_maps[m].start)
    cdef int after = iotlb.n - place
    if unlikely(iotlb.n >= TABLE_MAX):
        give_up()
    if place and I_maps[iotlb.tree[place - 1]].last >= I_maps[m].start:
        iotlb.disjoint = False      # uncovered: only tests make tables with overlaps
    if after:
        if I_maps[iotlb.tree[place]].start <= I_maps[m].last:
            iotlb.disjoint = False      # uncovered: only tests make tables with overlaps
        memmove(&iotlb.tree[place + 1], &iotlb.tree[place], <size_t>after * sizeof(int32_t))
    iotlb.tree[place] = m
    iotlb.same = min(iotlb.same, place)
    iotlb.n += 1


cdef int tree_place(const Iotlb* iotlb, int m) noexcept nogil:
    """Where mapping m stands; -1 if it is not in this table."""
    cdef int place = tree_lower(iotlb, I_maps[m].start)
    while place > 0:
        place -= 1
        if iotlb.tree[place] == m:
            return place
        # uncovered: only tests make tables with overlaps, or look in a table that is not its own
        if I_maps[iotlb.tree[place]].start != I_maps[m].start:
            break
    return -1       # uncovered: only tests look in a table that is not its own


cdef void vhost_iotlb_map_unlink(Iotlb* iotlb, int m, site_t site) noexcept nogil:
    cdef int place
    cdef Map* p = &I_maps[m]
    lockdep_assert_held(iotlb.lock, site)
    place = tree_place(iotlb, m) if p.live else -1
    if unlikely(place < 0):
        violation(CHECK_V16, site, b"mapping", m, b"mapping %lld is removed, but not in the table",
                  m, 0, 0)
    iotlb.n -= 1
    iotlb.same = min(iotlb.same, place)
    memmove(&iotlb.tree[place], &iotlb.tree[place + 1],
            <size_t>(iotlb.n - place) * sizeof(int32_t))
    if p.prev:
        I_maps[p.prev].next = p.next
    else:
        iotlb.head = p.next
    if p.next:
        I_maps[p.next].prev = p.prev
    else:
        iotlb.tail = p.prev
    iotlb.nmaps -= 1
    iotlb.dirty = True
    if iotlb.n == 0:
        iotlb.disjoint = True


cdef void vhost_iotlb_map_free(Iotlb* iotlb, int m, site_t site) noexcept nogil:
    """vhost_iotlb_map_free(): the mapping is gone."""
    vhost_iotlb_map_unlink(iotlb, m, site)
    map_release(m)


cdef int vhost_iotlb_add_range_ctx(Iotlb* iotlb, uint64_t start, uint64_t last, uint64_t addr,
                                   uint32_t perm, int opaque) noexcept nogil:
    """Add [start, last] -> addr: 0, -EFAULT, -EINVAL, -ENOSPC, -ENOMEM. Overlaps are the caller's
    affair. Everything is two mappings, since its size is 2**64; if only the second fails, the
    first stays."""
    cdef int m, err
    cdef bint bounded
    cdef uint64_t mid
    cdef Map* p
    lockdep_assert_held(iotlb.lock, b"vhost_iotlb_add_range_ctx:lock")
    if last < start:
        return -EFAULT      # uncovered: whoever has a range from a process has looked
    # 1ed35ac7f3fe: a table without RETIRE used to have no limit, and 0 was none
    bounded = not (quirk(QUIRK_A44) or era_7_0())
    if bounded and iotlb.limit == 0:
        return -EINVAL      # uncovered: no table with that limit is made
    # e2ae38cf3d91: the size of everything does not fit
    if start == 0 and last == U64_MAX and not quirk(QUIRK_A41):
        mid = last // 2
        if bounded:
            # only an empty table of a device gets everything, and that has room for more
            if iotlb.limit < 2:
                return -ENOSPC      # uncovered: as above
            if not (iotlb.flags & VHOST_IOTLB_FLAG_RETIRE) and iotlb.nmaps > iotlb.limit - 2:
                return -ENOSPC      # uncovered: as above
        err = vhost_iotlb_add_range_ctx(iotlb, start, mid, addr, perm, opaque)
        if err:
            return err
        addr += mid + 1
        start = mid + 1
    if iotlb.limit and iotlb.flags & VHOST_IOTLB_FLAG_RETIRE and (
            # uncovered: no table of these devices has RETIRE
            iotlb.nmaps >= iotlb.limit if bounded else iotlb.nmaps == iotlb.limit):
        # uncovered: as above
        m = iotlb.head
        vhost_iotlb_map_unlink(iotlb, m, b"vhost_iotlb_add_range_ctx:retire")
    elif bounded and iotlb.nmaps >= iotlb.limit:
        return -ENOSPC
    else:
        m = map_alloc()
        if m == 0:
            return -ENOMEM
    p = &I_maps[m]
    p.start = start
    p.size = last - start + 1
    p.last = last
    p.addr = addr
    p.perm = perm
    p.opaque = opaque
    iotlb.nmaps += 1
    tree_insert(iotlb, m)
    p.prev = iotlb.tail
    p.next = 0
    if iotlb.tail:
        I_maps[iotlb.tail].next = m
    else:
        iotlb.head = m
    iotlb.tail = m
    iotlb.dirty = True
    return 0


cdef void vhost_iotlb_del_range(Iotlb* iotlb, uint64_t start, uint64_t last) noexcept nogil:
    """Remove every mapping that overlaps [start, last], whole."""
    cdef int m = vhost_iotlb_itree_first(iotlb, start, last)
    while m:
        vhost_iotlb_map_free(iotlb, m, b"vhost_iotlb_del_range:map")
        m = vhost_iotlb_itree_first(iotlb, start, last)


cdef void vhost_iotlb_reset(Iotlb* iotlb) noexcept nogil:
    """vhost_iotlb_del_range() of everything, in one pass."""
    cdef int i
    lockdep_assert_held(iotlb.lock, b"vhost_iotlb_reset:lock")
    iotlb.same = 0
    if iotlb.n == 0:
        return
    for i in range(iotlb.n):
        map_release(iotlb.tree[i])
    iotlb.n = 0
    iotlb.nmaps = 0
    iotlb.head = 0
    iotlb.tail = 0
    iotlb.disjoint = True
    iotlb.dirty = True


cdef int iotlb_copy_begin(Iotlb* iotlb, const Iotlb* source) noexcept nogil:
    """Before a table becomes a copy of another: how many of the source's mappings it has already,
    as it would have them if it were emptied and filled again; all others are gone from it.

    An UPDATE of a thousand runs pushes a thousand tables, each with one mapping more than the last:
    only that one is copied. With a fault to come each allocation counts, so none is saved.
    """
    cdef int i, kept = 0
    if iotlb.copy_of == source and iotlb.copies == source.copies and W.fail_nth == 0:
        kept = min(iotlb.same, source.same)
    if kept == 0:
        vhost_iotlb_reset(iotlb)
        return 0
    lockdep_assert_held(iotlb.lock, b"iotlb_copy_begin:lock")
    # a copy is in its list as in its tree
    for i in range(kept, iotlb.n):
        map_release(iotlb.tree[i])
    iotlb.n = kept
    iotlb.nmaps = <uint32_t>kept
    iotlb.tail = iotlb.tree[kept - 1]
    I_maps[iotlb.tail].next = 0
    iotlb.dirty = True
    return kept


cdef void iotlb_copy_end(Iotlb* iotlb, Iotlb* source) noexcept nogil:
    """The table is a copy."""
    source.copies += 1
    source.same = source.n
    iotlb.copies = source.copies
    iotlb.copy_of = source
    iotlb.same = iotlb.n
