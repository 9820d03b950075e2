# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge: what the calls mean, in books of its own.

It knows the process' calls, the process' memory and what the device offers (`vdpa`), and never
looks at an era or a quirk. For each address space it has two unsorted lists: what was accepted, and
what the device must therefore translate. Before a message it works out from them whether the
message must be accepted and what it adds or removes; after it, it compares.
"""

cdef enum:
    RUNS_MAX = TABLE_MAX

cdef struct Seg:                # one accepted mapping
    uint64_t start
    uint64_t last
    uint64_t addr
    uint32_t perm
    uint32_t file               # VA mode: file + 1, 0 none
    uint64_t offset             # of it

cdef struct JudgeAs:
    uint8_t exists
    uint8_t changed             # since the last comparison
    int n
    int n_dev
    Seg segs[TABLE_MAX]
    Seg dev[TABLE_MAX]

cdef struct Judge:
    uint8_t opened
    int owner                   # process + 1
    uint64_t acked              # backend features
    uint8_t in_batch
    uint32_t batch_asid
    uint32_t limit              # of a table of vhost-vdpa, of the simulator
    uint32_t device_limit
    int64_t pages               # in accepted mappings, PA mode
    int files[FILES]            # accepted mappings of each file, VA mode
    # the running op
    uint32_t asid               # that it names; nas: none
    uint8_t failed              # it was refused
    uint8_t writable            # it may make pages dirty that no accepted mapping has
    uint8_t reset               # it reset the device
    uint8_t at_zero             # it is an UPDATE of address 0
    int unanswered              # requests to the daemon that came to nothing
    int maps                    # mappings made in it, undone ones included
    int pushes
    int push_ret                # of the last one
    uint8_t blame               # what is wrong if it succeeds: CHECK_* + 1, 0 it must
    site_t blame_site
    int errno_expected          # if it must not
    int n_runs                  # what an accepted UPDATE adds

cdef Judge J
cdef JudgeAs J_as[NAS_MAX]
cdef Seg J_runs[RUNS_MAX]


cdef void judge_boot() noexcept nogil:
    cdef uint32_t i
    memset(&J, 0, sizeof(J))
    judge_vduse_boot()
    J.limit = entries_of(P.boot[BOOT_ENTRIES])
    J.device_limit = entries_of(P.boot[BOOT_SIM_ENTRIES])
    for i in range(NAS_MAX):
        J_as[i].exists = False
        J_as[i].changed = True
        J_as[i].n = 0
        J_as[i].n_dev = 0
    judge_node_boot()
    judge_ring_boot()


cdef inline void judge_begin_op() noexcept nogil:
    judge_node_begin_op()
    J.asid = NAS_MAX
    J.failed = False
    J.writable = False
    J.reset = False
    J.unanswered = 0
    J.maps = 0
    J.pushes = 0
    J.push_ret = 0


# ---- hooks of the model ----

cdef inline bint device_follows() noexcept nogil:
    """Each mapping is made in the device, or in the IOMMU before it, at once."""
    return vdpa.has_dma_map or not vdpa.has_set_map


cdef inline void judge_map() noexcept nogil:
    J.maps += 1


cdef inline void judge_push(uint32_t asid, int ret) noexcept nogil:
    """set_map() was called. V17: not for another address space than the message names."""
    J.pushes += 1
    J.push_ret = ret
    if unlikely(J.asid < vdpa.nas and asid != J.asid):
        violation(CHECK_V17, b"judge_push:asid", b"address space", asid,
                  b"the table of address space %lld is pushed by a call for %lld", asid, J.asid, 0)


cdef inline bint is_identity(const Map* p) noexcept nogil:
    """Part of the map of everything to itself: what a device has that was told nothing."""
    return p.addr == p.start and (p.start == 0 or p.last == U64_MAX) and p.size > <uint64_t>1 << 62


cdef void judge_dma_unmap(uint32_t asid, uint64_t start, uint64_t last) noexcept nogil:
    """V22: the device is told to unmap what it maps, piece by piece (iommu_unmap() demands it)."""
    cdef const Iotlb* table
    cdef const Map* p
    cdef int place
    if asid >= vdpa.nas:
        return
    table = parent_table(asid)
    place = tree_first(table, 0, start, last)
    if place < 0:
        return
    p = &I_maps[table.tree[place]]
    if unlikely((p.start != start or p.last != last) and not is_identity(p)):
        violation(CHECK_V22, b"judge_dma_unmap:range", b"address space", asid,
                  b"unmap of [%lld, %lld], the device's mapping begins at %lld", <int64_t>start,
                  <int64_t>last, <int64_t>p.start)


cdef void judge_reset() noexcept nogil:
    """The device was reset. It forgets what it maps, unless the process said IOTLB_PERSIST."""
    cdef uint32_t i
    J.reset = True
    judge_node_reset()
    judge_vduse_reset()
    if vdpa.keeps_maps:
        return
    if J.acked & bit(VHOST_BACKEND_F_IOTLB_PERSIST):
        return
    for i in range(vdpa.nas):
        J_as[i].n_dev = 0
        J_as[i].changed = True


cdef inline void judge_reset_map(uint32_t asid) noexcept nogil:
    if asid < vdpa.nas:
        J_as[asid].n_dev = 0
        J_as[asid].changed = True


cdef inline void judge_handler(int ret) noexcept nogil:
    """The message handler's own result, which the process does not see. V48: 0 or an errno."""
    if unlikely(ret > 0):
        violation(CHECK_V48, b"judge_handler:positive", b"message", W.op,
                  b"a message ended with %lld, which is neither success nor an errno", ret, 0, 0)


# ---- the books ----

cdef void seg_pages(const Seg* s, int by) noexcept nogil:
    """The mapping comes (by 1) or goes (by -1): its file, or its pages and which of them the device
    can write."""
    cdef uint64_t n = ((s.last - s.start) >> PAGE_SHIFT) + 1, i
    cdef uint64_t first = (s.addr >> PAGE_SHIFT) - PFN_BASE
    if s.file:
        J.files[s.file - 1] += by
        return
    J.pages += by * <int64_t>n
    if s.perm & VHOST_ACCESS_WO:
        for i in range(n):
            mm_frames[first + i].wo += by


cdef inline bint meets(const Seg* s, uint64_t start, uint64_t last) noexcept nogil:
    return s.start <= last and start <= s.last


cdef int segs_remove(Seg* segs, int n, uint64_t start, uint64_t last) noexcept nogil:
    """Remove what meets [start, last]; how many are left."""
    cdef int i = 0
    while i < n:
        if meets(&segs[i], start, last):
            n -= 1
            segs[i] = segs[n]
        else:
            i += 1
    return n


cdef inline int blame(int check, site_t site, int err) noexcept nogil:
    J.blame = <uint8_t>(check + 1)
    J.blame_site = site
    J.errno_expected = err
    return 0


cdef int judge_pages(uint64_t iova, uint64_t npages, uint64_t uaddr, uint32_t perm) noexcept nogil:
    """The runs of physically contiguous pages that an UPDATE maps; -1 if a page is not there."""
    cdef uint64_t i, at = uaddr & ~<uint64_t>PAGE_MASK_LOW, pa
    cdef const Upage* u
    cdef Seg* s = NULL
    J.n_runs = 0
    iova &= ~<uint64_t>PAGE_MASK_LOW
    for i in range(npages):
        u = upage_of(at)
        if u == NULL or (perm & VHOST_ACCESS_WO and u.readonly):
            return -1
        pa = pfn_of(u.frame - 1) << PAGE_SHIFT
        if s != NULL and s.addr + (s.last - s.start) + 1 == pa:
            s.last += PAGE_SIZE
        else:
            s = &J_runs[J.n_runs]
            J.n_runs += 1
            s.start = iova
            s.last = iova + PAGE_MASK_LOW
            s.addr = pa
            s.perm = perm
            s.file = 0
            s.offset = 0
        at += PAGE_SIZE
        iova += PAGE_SIZE
    return 0


cdef int judge_update(JudgeAs* as_, const VhostIotlbMsg* msg) noexcept nogil:
    """Must this UPDATE be accepted? The rules in no particular order of the model's."""
    cdef uint64_t last = msg.iova + (msg.size - 1)
    cdef uint64_t offset = msg.iova & PAGE_MASK_LOW
    cdef uint64_t npages = (msg.size >> PAGE_SHIFT) + (
        ((msg.size & PAGE_MASK_LOW) + offset + PAGE_MASK_LOW) >> PAGE_SHIFT)
    cdef int i
    J.writable = (msg.perm & VHOST_ACCESS_WO) != 0
    if last < msg.iova:
        return blame(CHECK_V8, b"judge_update:wrap", -EFAULT)
    if msg.iova < vdpa.first or last > vdpa.last:
        return blame(CHECK_V7, b"judge_update:range", -EFAULT)
    for i in range(as_.n):
        if meets(&as_.segs[i], msg.iova, last):
            return blame(CHECK_V1, b"judge_update:overlap", -EFAULT)
    if vdpa.use_va:
        judge_va_runs(msg)
        if J.blame:
            return 0
        return judge_room(as_)
    if npages + mm.foreign + <uint64_t>J.pages > mm.rlimit:
        return blame(CHECK_V12, b"judge_update:memlock", -EFAULT)
    if npages > UAREA_PAGES or judge_pages(msg.iova, npages, msg.uaddr, msg.perm) < 0:
        return blame(CHECK_V11, b"judge_update:pages", -EFAULT)
    return judge_room(as_)


cdef int judge_room(const JudgeAs* as_) noexcept nogil:
    """V4: is there room for J_runs, in the table and in the device's?"""
    if J.n_runs == 0:
        return 0
    if <uint32_t>(as_.n + J.n_runs) > J.limit:
        return blame(CHECK_V4, b"judge_update:limit", -EFAULT)
    if vdpa.has_dma_map and <uint32_t>(as_.n_dev + J.n_runs) > J.device_limit:
        return blame(CHECK_V4, b"judge_update:device_limit", -EFAULT)
    if (vdpa.has_set_map and not J.in_batch
            and <uint32_t>(as_.n + J.n_runs) > J.device_limit):
        return blame(CHECK_V4, b"judge_update:device_limit", -EFAULT)
    return 0


cdef int judge_message_begin(uint32_t length, uint32_t format, uint32_t asid,
                             const VhostIotlbMsg* msg) noexcept nogil:
    """Before write(2): what must come of it (J.blame, J.errno_expected, J_runs)."""
    cdef bint creates = (msg.type == VHOST_IOTLB_UPDATE or msg.type == VHOST_IOTLB_BATCH_BEGIN)
    cdef bint with_asid = (format == VHOST_IOTLB_MSG_V2
                           and (J.acked & bit(VHOST_BACKEND_F_IOTLB_ASID)) != 0)
    J.blame = 0
    J.n_runs = 0
    J.at_zero = msg.type == VHOST_IOTLB_UPDATE and msg.iova == 0
    if not with_asid:
        asid = 0
    J.asid = asid
    if (format != VHOST_IOTLB_MSG and format != VHOST_IOTLB_MSG_V2) or length < 40:
        return blame(CHECK_V48, b"judge_message:short", -EINVAL)
    if msg.type == VHOST_IOTLB_UPDATE and msg.size == 0:
        return blame(CHECK_V48, b"judge_message:no_size", -EINVAL)
    if J.owner != mm.who + 1:
        return blame(CHECK_V48, b"judge_message:owner", -EFAULT)
    if asid >= vdpa.nas:
        return blame(CHECK_V19 if (asid & 0xffff) < vdpa.nas else CHECK_V15,
                     b"judge_message:asid", -EFAULT)
    if not creates and not J_as[asid].exists:
        return blame(CHECK_V48, b"judge_message:no_space", -EFAULT)
    if J.in_batch and J.batch_asid != asid:
        return blame(CHECK_V24, b"judge_message:batch", -EFAULT)
    if msg.type == VHOST_IOTLB_UPDATE:
        return judge_update(&J_as[asid], msg)
    if (msg.type != VHOST_IOTLB_INVALIDATE and msg.type != VHOST_IOTLB_BATCH_BEGIN
            and msg.type != VHOST_IOTLB_BATCH_END):
        return blame(CHECK_V48, b"judge_message:type", -EFAULT)
    return 0


cdef void judge_accept_update(uint32_t asid) noexcept nogil:
    cdef JudgeAs* as_ = &J_as[asid]
    cdef int i
    for i in range(J.n_runs):
        as_.segs[as_.n] = J_runs[i]
        as_.n += 1
        seg_pages(&J_runs[i], 1)
        if device_follows():
            as_.dev[as_.n_dev] = J_runs[i]
            as_.n_dev += 1


cdef void judge_accept_invalidate(uint32_t asid, const VhostIotlbMsg* msg) noexcept nogil:
    """What the message names goes, whole. V8: size 0 names everything at 0, else nothing."""
    cdef JudgeAs* as_ = &J_as[asid]
    cdef uint64_t last = msg.iova + msg.size - 1
    cdef int i
    for i in range(as_.n):
        if meets(&as_.segs[i], msg.iova, last):
            if unlikely(msg.size == 0 and msg.iova != 0):
                violation(CHECK_V8, b"judge_invalidate:wrap", b"address space", asid,
                          b"an INVALIDATE of no bytes at %lld removes [%lld, %lld]",
                          <int64_t>msg.iova, <int64_t>as_.segs[i].start,
                          <int64_t>as_.segs[i].last)
            seg_pages(&as_.segs[i], -1)
            if device_follows():
                as_.n_dev = segs_remove(as_.dev, as_.n_dev, as_.segs[i].start, as_.segs[i].last)
    as_.n = segs_remove(as_.segs, as_.n, msg.iova, last)


cdef void judge_message_end(const VhostIotlbMsg* msg, int ret) noexcept nogil:
    """After write(2): was it right, and what is mapped now?"""
    cdef uint32_t asid = J.asid
    cdef bint ended = False
    J.failed = ret < 0
    if ret >= 0 and J.blame:
        violation(J.blame - 1, J.blame_site, b"message", W.op,
                  b"a message of type %lld was accepted that must not be (address space %lld)",
                  msg.type, asid, 0)
    if unlikely(ret >= 0 and ret != SIZEOF_VHOST_MSG):
        violation(CHECK_V48, b"judge_message:result", b"message", W.op,
                  b"a message of %lld bytes counts as %lld", SIZEOF_VHOST_MSG, ret, 0)
    if unlikely(ret < 0 and J.blame and ret != J.errno_expected):
        violation(CHECK_V48, b"judge_message:errno", b"message", W.op,
                  b"a message fails with %lld instead of %lld", -ret, -J.errno_expected, 0)
    if unlikely(ret < 0 and not J.blame and not W.faults_fired and not J.unanswered
                and J.limit != 0):
        violation(CHECK_V48, b"judge_message:refused", b"message", W.op,
                  b"a message of type %lld is refused with %lld, and nothing is wrong with it",
                  msg.type, -ret, 0)
    if asid >= vdpa.nas:
        return
    # a refused message may have made its address space; a failing allocation may not
    if msg.type == VHOST_IOTLB_UPDATE or msg.type == VHOST_IOTLB_BATCH_BEGIN:
        if J.owner == mm.who + 1 and J.errno_expected != -EINVAL or not J.blame:
            if not W.faults_fired and J.limit:
                J_as[asid].exists = True
            elif asid_to_as(asid):
                J_as[asid].exists = True
    if ret >= 0:
        if msg.type == VHOST_IOTLB_UPDATE:
            judge_accept_update(asid)
        elif msg.type == VHOST_IOTLB_INVALIDATE:
            judge_accept_invalidate(asid, msg)
        elif msg.type == VHOST_IOTLB_BATCH_BEGIN:
            J.in_batch = True
            J.batch_asid = asid
        else:
            ended = J.in_batch
            J.in_batch = False
    judge_pushes(asid, msg.type, ended)


cdef void judge_pushes(uint32_t asid, int type, bint ended) noexcept nogil:
    """V21: no push in a batch, one at its end. V22: outside of one, each change is pushed."""
    cdef JudgeAs* as_ = &J_as[asid]
    as_.changed = True
    if not vdpa.has_set_map:
        return
    if unlikely(J.in_batch and J.pushes):
        violation(CHECK_V21, b"judge_pushes:in_batch", b"address space", asid,
                  b"%lld pushes inside of a batch", J.pushes, 0, 0)
    if unlikely(ended and J.pushes != 1):
        violation(CHECK_V21, b"judge_pushes:end", b"address space", asid,
                  b"%lld pushes at the end of a batch", J.pushes, 0, 0)
    if unlikely(not J.in_batch and not J.failed and J.pushes == 0
                and (type == VHOST_IOTLB_INVALIDATE
                     or (type == VHOST_IOTLB_UPDATE and J.n_runs))):
        violation(CHECK_V22, b"judge_pushes:none", b"address space", asid,
                  b"a change of address space %lld is not pushed to the device", asid, 0, 0)
    if J.pushes:
        memcpy(as_.dev, as_.segs, <size_t>as_.n * sizeof(Seg))
        as_.n_dev = as_.n


# ---- comparisons after each op ----

cdef inline uint64_t mix(uint64_t start, uint64_t last, uint64_t addr,
                         uint32_t perm) noexcept nogil:
    cdef uint64_t h = start * <uint64_t>0x9E3779B97F4A7C15 + last
    h = (h ^ (h >> 29)) * <uint64_t>0xBF58476D1CE4E5B9 + addr
    h = (h ^ (h >> 32)) * <uint64_t>0x94D049BB133111EB + perm
    return h ^ (h >> 31)


cdef uint64_t table_sum(const Iotlb* table, bint files) noexcept nogil:
    """files: its mappings have a record of a file too."""
    cdef uint64_t sum = 0
    cdef const Map* p
    cdef int i
    for i in range(table.n):
        p = &I_maps[table.tree[i]]
        sum += mix(p.start, p.last, p.addr, p.perm)
        if files and p.opaque:
            sum += mix(p.start, M_files[p.opaque].offset, 0,
                       <uint32_t>(M_files[p.opaque].file + 1) * M_files[p.opaque].live)
    return sum


cdef uint64_t segs_sum(const Seg* segs, int n, bint files) noexcept nogil:
    cdef uint64_t sum = 0
    cdef int i
    for i in range(n):
        sum += mix(segs[i].start, segs[i].last, segs[i].addr, segs[i].perm)
        if files and segs[i].file:
            sum += mix(segs[i].start, segs[i].offset, 0, segs[i].file)
    return sum


cdef void judge_table(const Iotlb* table, uint32_t asid, bint device) noexcept nogil:
    """V1..V4: the table by itself."""
    cdef const Map* p
    cdef const Map* before = NULL
    cdef const char* kind = b"device table" if device else b"address space"
    cdef int i, n = 0, m = table.head
    for i in range(table.n):
        p = &I_maps[table.tree[i]]
        if unlikely(p.last < p.start or p.size == 0 or p.size != p.last - p.start + 1):
            violation(CHECK_V2, b"judge_table:size", kind, asid,
                      b"mapping [%lld, %lld] has size %lld", <int64_t>p.start, <int64_t>p.last,
                      <int64_t>p.size)
        if before != NULL:
            if unlikely(before.start > p.start):
                violation(CHECK_V3, b"judge_table:order", kind, asid,
                          b"a mapping at %lld stands before one at %lld", <int64_t>before.start,
                          <int64_t>p.start, 0)
            if unlikely(before.last >= p.start):
                violation(CHECK_V1, b"judge_table:overlap", kind, asid,
                          b"mappings at %lld and %lld overlap", <int64_t>before.start,
                          <int64_t>p.start, 0)
        before = p
    while m and n <= table.n:
        n += 1
        m = I_maps[m].next
    if unlikely(n != table.n or table.nmaps != <uint32_t>table.n):
        violation(CHECK_V3, b"judge_table:count", kind, asid,
                  b"%lld mappings in the tree, %lld in the list, %lld counted", table.n, n,
                  table.nmaps)
    # a limit of 0 is none where it is accepted at all; the device's is judged where it is reached:
    # a batch that is too large for it is refused in silence (V22)
    if unlikely(not device and table.limit != 0 and table.nmaps > table.limit):
        violation(CHECK_V4, b"judge_table:limit", kind, asid,
                  b"%lld mappings in a table for %lld", table.nmaps, table.limit, 0)


cdef bint initial_table(const Iotlb* table) noexcept nogil:
    """What a device has that was told nothing: no mapping, or everything to itself."""
    cdef int i
    for i in range(table.n):
        if not is_identity(&I_maps[table.tree[i]]):
            return False
    return True


cdef void judge_space(uint32_t asid) noexcept nogil:
    """The table of vhost-vdpa against the books."""
    cdef JudgeAs* as_ = &J_as[asid]
    cdef int a = asid_to_as(asid)
    cdef int check
    if unlikely((a != 0) != as_.exists):
        violation(CHECK_V15, b"judge_space:gone" if a == 0 else b"judge_space:appeared",
                  b"address space", asid, b"address space %lld exists: %lld, must: %lld", asid,
                  a != 0, as_.exists)
    if a == 0:
        return
    judge_table(&A_as[a].iotlb, asid, False)
    if unlikely(A_as[a].iotlb.n != as_.n
                or table_sum(&A_as[a].iotlb, vdpa.use_va)
                != segs_sum(as_.segs, as_.n, vdpa.use_va)):
        # an UPDATE of address 0 that fails before its first mapping undoes a length of 0
        if vdpa.use_va and J.failed and J.at_zero and asid == J.asid and A_as[a].iotlb.n == 0:
            violation(CHECK_V6, b"judge_space:va_wiped", b"address space", asid,
                      b"a failing UPDATE at address 0 removed all %lld mappings", as_.n, 0, 0)
        check = CHECK_V17 if asid != J.asid else CHECK_V6 if J.failed else CHECK_V29
        violation(check, b"judge_space:mappings", b"address space", asid,
                  b"address space %lld has %lld mappings, not the %lld that were accepted", asid,
                  A_as[a].iotlb.n, as_.n)
    A_as[a].iotlb.dirty = False


cdef void judge_device(uint32_t asid) noexcept nogil:
    """The device's table against the books. In a batch too: it is as before the batch."""
    cdef JudgeAs* as_ = &J_as[asid]
    cdef Iotlb* table = parent_table(asid)
    cdef int check = CHECK_V22
    cdef site_t site = b"judge_device:mappings"
    judge_table(table, asid, True)
    if likely(initial_table(table) if as_.n_dev == 0 else
              table.n == as_.n_dev and table_sum(table, vdpa.keeps_maps)
              == segs_sum(as_.dev, as_.n_dev, vdpa.keeps_maps)):
        table.dirty = False
        as_.changed = False
        return
    if J.asid < NAS_MAX and asid != J.asid:
        check, site = CHECK_V17, b"judge_device:other"
    elif J.reset:
        check, site = CHECK_V47, b"judge_device:reset"
    elif J.pushes and J.push_ret:
        site = b"judge_device:push_failed"
    violation(check, site, b"device table", asid,
              b"the device has %lld mappings in address space %lld, and must have %lld", table.n,
              asid, as_.n_dev)


cdef void judge_spaces() noexcept nogil:
    """All address spaces that changed, on either side; V15: and no other exists.

    Those that have a name are looked at one by one: any other began to exist, or stayed, in an op
    in which one came or went."""
    cdef uint32_t i
    cdef int a, n = 0, expected = 0
    for i in range(vdpa.nas):
        a = asid_to_as(i)
        expected += J_as[i].exists
        if J_as[i].changed or (a != 0) != J_as[i].exists or (a and A_as[a].iotlb.dirty):
            judge_space(i)
            judge_device(i)
        elif parent_table(i).dirty:
            judge_device(i)
    if likely(not A_changed):
        return
    for i in range(BUCKETS):
        a = v.hash[i]
        while a:
            n += 1
            a = A_as[a].next
    A_changed_set(False)
    if unlikely(n != expected):
        violation(CHECK_V15, b"judge_spaces:count", b"address space", n,
                  b"%lld address spaces exist, %lld can be named", n, expected, 0)


cdef void judge_pins() noexcept nogil:
    """V9, V10, V12: pins and the process' books are those of the accepted mappings."""
    if unlikely(mm.pins != J.pages):
        violation(CHECK_V10, b"judge_pins:runs" if J.maps else b"judge_pins:no_run", b"process", 0,
                  b"%lld pages are pinned, %lld are mapped", mm.pins, J.pages, 0)
    if unlikely(mm.pinned_vm < 0):
        violation(CHECK_V12, b"judge_pins:negative", b"process", 0, b"pinned_vm is %lld",
                  mm.pinned_vm, 0, 0)
    if unlikely(mm.pinned_vm != <int64_t>mm.foreign + J.pages):
        violation(CHECK_V9, b"judge_pins:pinned_vm", b"process", 0,
                  b"pinned_vm is %lld: others have %lld, mapped are %lld", mm.pinned_vm,
                  <int64_t>mm.foreign, J.pages)


cdef void judge_after_op() noexcept nogil:
    if unlikely(L_held != 0):
        violation(CHECK_V44, b"judge_after_op:locks", b"lock", L_held,
                  b"the call returned with locks held: %lld", L_held, 0, 0)
    if unlikely(O.live[O_CALL] != 0):
        violation(CHECK_V46, b"judge_after_op:objects", b"object", O.n - 1,
                  b"the call left %lld objects behind", O.live[O_CALL], 0, 0)
    if unlikely(v.in_batch != J.in_batch):
        violation(CHECK_V20, b"judge_after_op:batch", b"batch", v.batch_asid,
                  b"a batch is open: %lld, must be: %lld", v.in_batch, J.in_batch, 0)
    if unlikely(v.in_batch and asid_to_as(v.batch_asid) == 0):
        violation(CHECK_V20, b"judge_after_op:batch_space", b"batch", v.batch_asid,
                  b"the batch is of address space %lld, which does not exist", v.batch_asid, 0, 0)
    judge_pins()
    judge_spaces()
    judge_node_after_op()
    if has_rings():
        judge_rings()
    if vdpa.use_va:
        judge_files()
    if vdpa.parent == PARENT_VDUSE:
        judge_vduse()


# ---- open and close ----

cdef void judge_open(int ret) noexcept nogil:
    """V48: one opener at a time, and then it only fails for want of memory."""
    if unlikely(ret == 0 and J.opened):
        violation(CHECK_V48, b"judge_open:twice", b"node", 0, b"the node was opened twice", 0, 0, 0)
    if unlikely(ret == -EBUSY and not J.opened):
        violation(CHECK_V48, b"judge_open:busy", b"node", 0, b"the node is busy, with nobody there",
                  0, 0, 0)
    if unlikely(ret < 0 and not J.opened and not W.faults_fired and not J.unanswered):
        violation(CHECK_V48, b"judge_open:refused", b"node", 0, b"open fails with %lld", -ret, 0, 0)
    if unlikely(ret < 0 and not J.opened and O.live[O_OPEN] != 0):
        violation(CHECK_V46, b"judge_open:objects", b"object", O.n - 1,
                  b"an open that fails leaves %lld objects behind", O.live[O_OPEN], 0, 0)
    if ret == 0:
        J.opened = True
        J.in_batch = False
        if unlikely(v.in_batch):
            violation(CHECK_V23, b"judge_open:batch", b"batch", v.batch_asid,
                      b"a batch is open right after open", 0, 0, 0)


cdef void judge_close() noexcept nogil:
    """V18: nothing of the opener is left."""
    cdef uint32_t i
    cdef int k
    for i in range(vdpa.nas):
        for k in range(J_as[i].n):
            seg_pages(&J_as[i].segs[k], -1)
        J_as[i].exists = False
        J_as[i].changed = True
        J_as[i].n = 0
        J_as[i].n_dev = 0
    judge_node_close()
    J.opened = False
    J.owner = 0
    J.acked = 0
    J.in_batch = False
    for i in range(BUCKETS):
        if unlikely(v.hash[i] != 0):
            violation(CHECK_V18, b"judge_close:space", b"address space", A_as[v.hash[i]].id,
                      b"address space %lld outlives the close, with %lld mappings",
                      A_as[v.hash[i]].id, A_as[v.hash[i]].iotlb.n, 0)
    if unlikely(O.live[O_OPEN] != 0):
        violation(CHECK_V18, b"judge_close:objects", b"object", O.n - 1,
                  b"%lld objects of the opener outlive the close", O.live[O_OPEN], 0, 0)
    if unlikely(v.mm != 0):
        violation(CHECK_V18, b"judge_close:owner", b"process", v.mm,
                  b"the node still has an owner after the close", 0, 0, 0)
    if vdpa.use_va:
        judge_va_close()
    if vdpa.parent == PARENT_VDUSE:
        judge_vduse_close_node()


cdef void judge_owner(int ret) noexcept nogil:
    """V48: the first to ask becomes the owner, every other is told EBUSY."""
    cdef int expected = -EBUSY if J.owner else 0
    if ret == -ENOMEM and W.faults_fired:
        return
    if unlikely(ret != expected):
        violation(CHECK_V48, b"judge_owner:errno", b"node", 0,
                  b"SET_OWNER returns %lld instead of %lld", ret, expected, 0)
    if ret == 0:
        J.owner = mm.who + 1


cdef void judge_backend_features(uint64_t features, uint64_t offered, int ret) noexcept nogil:
    """V48: what is on offer is accepted, DESC_ASID only beside IOTLB_ASID; nothing else is.

    IOTLB_PERSIST and ENABLE_AFTER_DRIVER_OK bind the process, not the device.
    """
    cdef uint64_t free_choice = bit(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK)
    cdef bint good = (features & ~(offered | free_choice)) == 0
    if features & bit(VHOST_BACKEND_F_DESC_ASID) and not (
            features & bit(VHOST_BACKEND_F_IOTLB_ASID)):
        good = False
    if ret == 0:
        if unlikely(not good):
            violation(CHECK_V48, b"judge_backend_features:accepted", b"node", 0,
                      b"backend features %lld are accepted, %lld are on offer", <int64_t>features,
                      <int64_t>offered, 0)
        J.acked = features
    elif unlikely(features & ~offered == 0 and good and not W.faults_fired):
        violation(CHECK_V48, b"judge_backend_features:refused", b"node", 0,
                  b"backend features %lld are refused with %lld, though on offer",
                  <int64_t>features, -ret, 0)


cdef void judge_removed() noexcept nogil:
    """V18: with the device all its tables are gone, V46: and all its objects."""
    cdef uint32_t i
    if unlikely(O.live[O_DEVICE] != 0):
        violation(CHECK_V46, b"judge_removed:objects", b"object", O.n - 1,
                  b"%lld objects of a device that is gone", O.live[O_DEVICE], 0, 0)
    judge_ring_boot()
    if vdpa.parent == PARENT_IOMMU:
        return
    for i in range(vdpa.nas):
        if unlikely(vdpasim_iommu[i].n != 0):
            violation(CHECK_V18, b"judge_removed:table", b"device table", i,
                      b"table %lld of the device still has %lld mappings", i, vdpasim_iommu[i].n, 0)
