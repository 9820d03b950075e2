# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of what user addresses bring: files behind mappings, and VDUSE's messages."""


# ---- VA mode ----

cdef void judge_va_runs(const VhostIotlbMsg* msg) noexcept nogil:
    """What an UPDATE maps (J_runs), page by page: each shared file's stretch of pages.

    V29: a page that the process has not mapped may not be mapped for the device; what is mapped but
    no shared file is passed over.
    """
    cdef uint64_t at = msg.uaddr, left = msg.size, iova = msg.iova, piece
    cdef const Upage* u
    cdef const Upage* before = NULL
    cdef bint gap = False
    cdef Seg* s
    cdef int p = 0
    J.n_runs = 0
    if at >= UAREA_BASE + (<uint64_t>UAREA_PAGES << PAGE_SHIFT):
        blame(CHECK_V11, b"judge_va_runs:above", -EFAULT)
        return
    if at < UAREA_BASE:
        # nothing is mapped below the area
        gap = True
        piece = min(left, UAREA_BASE - at)
        at += piece
        left -= piece
        iova += piece
    p = <int>((max(at, UAREA_BASE) - UAREA_BASE) >> PAGE_SHIFT)
    while left or gap:
        if p >= mm.hi:
            blame(CHECK_V11, b"judge_va_runs:above", -EFAULT)
            return
        u = &mm_pages[p]
        if u.frame == 0:
            gap = True
            before = NULL
            p += 1
            piece = min(left, PAGE_SIZE - (at & PAGE_MASK_LOW))
            at += piece
            left -= piece
            iova += piece
            continue
        if u.kind == MMAP_KIND_ANON:
            before = NULL
        elif gap:
            blame(CHECK_V29, b"judge_va_runs:gap", -EFAULT)
            return
        if left == 0:
            return
        gap = False
        piece = min(left, PAGE_SIZE - (at & PAGE_MASK_LOW))
        if u.kind != MMAP_KIND_ANON:
            if before != NULL and (before.file == u.file and before.pgoff + 1 == u.pgoff
                                   and before.readonly == u.readonly):
                s.last += piece
            else:
                s = &J_runs[J.n_runs]
                J.n_runs += 1
                s.start = iova
                s.last = iova + piece - 1
                s.addr = at
                s.perm = msg.perm
                s.file = <uint32_t>u.file + 1
                s.offset = (<uint64_t>u.pgoff << PAGE_SHIFT) + (at & PAGE_MASK_LOW)
            before = u
        at += piece
        left -= piece
        iova += piece
        p += 1


cdef void judge_files() noexcept nogil:
    """V13: each mapping of a file has a record with one reference, and nothing else has."""
    cdef int f
    for f in range(FILES):
        if unlikely(M.refs[MAP_FILE_VHOST][f] != J.files[f]):
            violation(CHECK_V13, b"judge_files:references", b"file", f,
                      b"file %lld has %lld references of %lld mappings", f,
                      M.refs[MAP_FILE_VHOST][f], J.files[f])


cdef void judge_va_close() noexcept nogil:
    """V18: no file and no process of the closed node is left with the device."""
    judge_files()
    if unlikely(vdpasim.mm_bound != 0):
        violation(CHECK_V18, b"judge_va_close:bound", b"process", vdpasim.mm_bound,
                  b"the device still uses the process' addresses after the close", 0, 0, 0)


# ---- VDUSE: requests ----

cdef enum:
    REQUEST_WAITS = 0           # for the daemon to read it
    REQUEST_TAKEN = 1           # for its answer
    REQUEST_ANSWERED = 2        # for who sent it

cdef struct JudgeRequest:
    uint32_t id
    uint8_t state               # REQUEST_*
    uint8_t good                # the answer was OK

cdef struct JudgeVduse:
    uint8_t broken
    uint8_t reading             # a read is under way: a request may end while it is copied
    uint8_t ended               # and one did
    uint8_t setup               # the maximal size of a ring changed after the reset
    uint8_t bounces             # its driver has mapped a page since the reset
    uint32_t umem               # pages of the daemon's that it has
    uint8_t taken_back          # and had, until this op
    int n
    JudgeRequest requests[VDUSE_MSGS]   # in the order in which they were sent

cdef JudgeVduse J_vduse[VDUSE_DEVS]
cdef Seg J_coherent[VDUSE_COHERENT_PAGES]   # what the driver of device 1 has, last is 0: nothing
cdef uint32_t J_group_as[GROUPS_MAX]


cdef inline JudgeVduse* books_of(const VduseDev* dev) noexcept nogil:
    return &J_vduse[0 if dev == &V_devs[0] else 1]


cdef JudgeRequest* request_of(JudgeVduse* b, uint32_t id) noexcept nogil:
    cdef int i
    for i in range(b.n):
        if b.requests[i].id == id:
            return &b.requests[i]
    return NULL


cdef void judge_msg_sent(const VduseDev* dev, uint32_t id) noexcept nogil:
    cdef JudgeVduse* b = books_of(dev)
    if unlikely(b.n >= VDUSE_MSGS or request_of(b, id) != NULL):
        violation(CHECK_V50, b"judge_msg_sent:id", b"message", id,
                  b"two requests have the id %lld", id, 0, 0)
    b.requests[b.n].id = id
    b.requests[b.n].state = REQUEST_WAITS
    b.requests[b.n].good = False
    b.n += 1


cdef void judge_msg_refused(const VduseDev* dev) noexcept nogil:
    """V48: only a device that broke takes no requests."""
    J.unanswered += 1
    if unlikely(not books_of(dev).broken):
        violation(CHECK_V48, b"judge_msg_refused:whole", b"VDUSE device", W.op,
                  b"a device that works takes no request", 0, 0, 0)


cdef void judge_msg_ended(const VduseDev* dev, uint32_t id, int ret) noexcept nogil:
    """V50: who sent a request gets one answer, which is the daemon's."""
    cdef JudgeVduse* b = books_of(dev)
    cdef JudgeRequest* r = request_of(b, id)
    cdef int i
    if unlikely(r == NULL):
        violation(CHECK_V50, b"judge_msg_ended:twice", b"message", id,
                  b"request %lld ends, but nobody waits for it", id, 0, 0)
    if unlikely((ret == 0) != r.good):
        violation(CHECK_V50, b"judge_msg_ended:result", b"message", id,
                  b"request %lld ends with %lld, the daemon said %lld", id, ret, not r.good)
    J.unanswered += ret != 0
    b.ended = True
    b.n -= 1
    for i in range(<int>(r - b.requests), b.n):
        b.requests[i] = b.requests[i + 1]


cdef inline void judge_vduse_space(uint32_t asid) noexcept nogil:
    """V15: the id is an index of the device's array."""
    if unlikely(asid >= vdpa.nas):
        violation(CHECK_V15, b"vduse_vdpa_set_map:index", b"address space", asid,
                  b"space %lld of a device that has %lld", asid, vdpa.nas, 0)


cdef inline void judge_vduse_broken(const VduseDev* dev) noexcept nogil:
    books_of(dev).broken = True


cdef inline void judge_vduse_reading(const VduseDev* dev) noexcept nogil:
    books_of(dev).reading = True
    books_of(dev).ended = False


cdef void judge_vduse_read(const VduseDev* dev, uint32_t id, int ret) noexcept nogil:
    """V50: the daemon reads each request, in the order in which they were sent."""
    cdef JudgeVduse* b = books_of(dev)
    cdef JudgeRequest* r
    cdef int i
    b.reading = False
    if b.ended:
        # one of them ended in the middle of it: only what is left can be said
        r = request_of(b, id) if ret >= 0 else NULL
        if r != NULL and r.state == REQUEST_WAITS:
            r.state = REQUEST_TAKEN
        return
    for i in range(b.n):
        if b.requests[i].state == REQUEST_WAITS:
            break
    else:
        if unlikely(ret != -EAGAIN):
            violation(CHECK_V50, b"judge_vduse_read:none", b"message", id,
                      b"the daemon reads request %lld, and none waits", id, 0, 0)
        return
    if unlikely(ret == -EAGAIN):
        violation(CHECK_V50, b"judge_vduse_read:lost", b"message", b.requests[i].id,
                  b"request %lld waits, and there is nothing to read", b.requests[i].id, 0, 0)
    if ret < 0:
        return
    if unlikely(b.requests[i].id != id):
        violation(CHECK_V50, b"judge_vduse_read:order", b"message", id,
                  b"request %lld is read before request %lld", id, b.requests[i].id, 0)
    b.requests[i].state = REQUEST_TAKEN


cdef void judge_vduse_reply(const VduseDev* dev, uint32_t id, int result,
                            int ret) noexcept nogil:
    """V48: a request that was read, and no other, takes an answer. One that is being read may."""
    cdef JudgeVduse* b = books_of(dev)
    cdef JudgeRequest* r = request_of(b, id)
    cdef int expected = -ENOENT if r == NULL or r.state != REQUEST_TAKEN else 0
    if unlikely(ret != expected and not b.reading and not W.faults_fired):
        violation(CHECK_V48, b"judge_vduse_reply:errno", b"message", id,
                  b"a response to request %lld returns %lld instead of %lld", id, ret, expected)
    if ret == 0 and r != NULL:
        r.state = REQUEST_ANSWERED
        r.good = result == VDUSE_REQ_RESULT_OK


cdef uint32_t judge_taken(const VduseDev* dev, int which) noexcept nogil:
    """The request that the daemon answers: what it remembers are these books."""
    cdef JudgeVduse* b = books_of(dev)
    cdef uint32_t id = 0xffff
    cdef int i
    if which == VDUSE_REPLY_WHICH_WRONG:
        return id
    for i in range(b.n):
        if b.requests[i].state == REQUEST_TAKEN:
            id = b.requests[i].id
            if which == VDUSE_REPLY_WHICH_OLDEST:
                break
    return id


cdef void judge_vduse_close(const VduseDev* dev) noexcept nogil:
    """The daemon goes: what it did not answer is to be read again."""
    cdef JudgeVduse* b = books_of(dev)
    cdef int i
    for i in range(b.n):
        if b.requests[i].state == REQUEST_TAKEN:
            b.requests[i].state = REQUEST_WAITS


cdef void judge_vduse_closed(const VduseDev* dev) noexcept nogil:
    """V10: the daemon's memory was given back."""
    if unlikely(books_of(dev).umem != 0):
        violation(CHECK_V10, b"judge_vduse_closed:umem", b"VDUSE device", 1,
                  b"%lld pages of a daemon that is gone are still pinned", books_of(dev).umem, 0,
                  0)
    books_of(dev).taken_back = False


# ---- VDUSE: ioctls, memory ----

cdef void judge_vduse_errno(int expected, int ret) noexcept nogil:
    if unlikely(ret != expected and not (W.faults_fired and ret == -EFAULT)):
        violation(CHECK_V48, b"judge_vduse_errno:ret", b"ioctl", W.op,
                  b"an ioctl of the daemon returns %lld instead of %lld", ret, expected, 0)


cdef void judge_vduse_ioctl(const VduseDev* dev, bint good, int ret) noexcept nogil:
    judge_vduse_errno(-EPERM if books_of(dev).broken else 0 if good else -EINVAL, ret)


cdef void judge_vduse_irq(const VduseDev* dev, bint good, int ret) noexcept nogil:
    """V38: there are interrupts only while the driver runs; the second device's never does."""
    cdef bint runs = dev == &V_devs[0] and is_running()
    if unlikely(ret == 0 and not runs):
        violation(CHECK_V38, b"judge_vduse_irq:stopped", b"ioctl", W.op,
                  b"an interrupt is injected into a device of status %lld", JN.status, 0, 0)
    judge_vduse_ioctl(dev, good and runs, ret)


cdef inline bint vduse_has_groups() noexcept nogil:
    """The daemon speaks API 1."""
    return vdpa.has_groups and P.boot[BOOT_VDUSE_API] != 0


cdef void judge_vduse_vq_setup(const VduseDev* dev, uint32_t index, uint32_t group,
                               int ret) noexcept nogil:
    cdef bint good = index < vdpa.nvqs
    if vduse_has_groups() and (group >= vdpa.ngroups or (dev == &V_devs[0] and is_running())):
        good = False
    judge_vduse_ioctl(dev, good, ret)


cdef inline void judge_vduse_setup() noexcept nogil:
    """The daemon changed the maximum of a ring, of which vhost-vdpa hears with the next reset."""
    books_of(&V_devs[0]).setup = True


cdef void judge_vduse_get_fd(const VduseDev* dev, uint32_t asid, uint64_t start, uint64_t last,
                             const Seg* entry, int ret) noexcept nogil:
    """V29: the daemon is told of the first mapping that it asked for, with its own file."""
    cdef const Seg* first = NULL
    cdef Seg bounce
    cdef int i
    if dev == &V_devs[0] and asid < vdpa.nas and start <= last:
        for i in range(J_as[asid].n_dev):
            if meets(&J_as[asid].dev[i], start, last) and (
                    first == NULL or J_as[asid].dev[i].start < first.start):
                first = &J_as[asid].dev[i]
    if dev != &V_devs[0] and asid == 0 and start <= last:
        # one mapping of all bounce pages, from the first of them on
        memset(&bounce, 0, sizeof(bounce))
        bounce.last = (<uint64_t>dev.bounce_pages << PAGE_SHIFT) - 1
        bounce.perm = VHOST_ACCESS_RW
        if books_of(dev).bounces and meets(&bounce, start, last):
            first = &bounce
        for i in range(VDUSE_COHERENT_PAGES):
            if first == NULL and J_coherent[i].last and meets(&J_coherent[i], start, last):
                first = &J_coherent[i]
    judge_vduse_ioctl(dev, first != NULL, ret)
    if unlikely(ret == 0 and (entry.start != first.start or entry.last != first.last
                              or entry.file != first.file or entry.offset != first.offset
                              or entry.perm != first.perm)):
        violation(CHECK_V29, b"judge_vduse_get_fd:entry", b"mapping", W.op,
                  b"the daemon gets [%lld, %lld] for a mapping at %lld", <int64_t>entry.start,
                  <int64_t>entry.last, <int64_t>first.start)


cdef void judge_vduse_fd(const Seg* entry, uint32_t mode) noexcept nogil:
    """V30: the daemon cannot do more with a file than the mapping allows."""
    if unlikely(mode & ~entry.perm):
        violation(CHECK_V30, b"judge_vduse_fd:mode", b"mapping", W.op,
                  b"the daemon has rights %lld to a file whose mapping has %lld", mode, entry.perm,
                  0)


cdef void judge_bounce(int page, uint32_t off, int known) noexcept nogil:
    """V36: what the daemon reads was given to it."""
    if unlikely(known == 0):
        violation(CHECK_V36, b"judge_bounce:leak", b"bounce page", page,
                  b"the daemon reads byte %lld of bounce page %lld, which nobody wrote", off, page,
                  0)


cdef inline void judge_bounce_map(const VduseDev* dev, int ret) noexcept nogil:
    """The driver maps a page; without memory for one there may be the mapping all the same."""
    if ret == 0:
        books_of(dev).bounces = True
    elif W.faults_fired:
        books_of(dev).bounces = dev.bounce_map


# ---- VDUSE: memory that a driver and the daemon share ----

cdef uint64_t coherent_first(const VduseDev* dev) noexcept nogil:
    """The address of its first page."""
    return <uint64_t>dev.bounce_pages << PAGE_SHIFT


cdef void judge_coherent_alloc(const VduseDev* dev, int page, uint32_t size,
                               int ret) noexcept nogil:
    """V48: it fails for want of memory, of a mapping, or of an address. V1: no address twice."""
    cdef uint64_t start = coherent_first(dev) + (<uint64_t>page << PAGE_SHIFT)
    cdef uint64_t end = (start + size + PAGE_MASK_LOW) & ~<uint64_t>PAGE_MASK_LOW
    cdef bint room = end <= coherent_first(dev) + (VDUSE_COHERENT_PAGES << PAGE_SHIFT)
    cdef uint32_t n = books_of(dev).bounces
    cdef int i
    for i in range(VDUSE_COHERENT_PAGES):
        n += J_coherent[i].last != 0
        # addresses are given by pages, and a mapping may end within one
        if J_coherent[i].last and meets(&J_coherent[i], start, end - 1):
            room = False
    if ret == 0:
        if unlikely(not room):
            violation(CHECK_V1, b"judge_coherent_alloc:address", b"coherent memory", page,
                      b"%lld bytes at page %lld get addresses that are in use", size, page, 0)
        J_coherent[page].start = start
        J_coherent[page].last = start + size - 1
        J_coherent[page].perm = VHOST_ACCESS_RW
        J_coherent[page].offset = start
    elif unlikely(room and n < J.device_limit and not W.faults_fired):
        violation(CHECK_V48, b"judge_coherent_alloc:refused", b"coherent memory", page,
                  b"%lld bytes at page %lld are refused with %lld", size, page, -ret)


cdef void judge_coherent_free(int page, int ret) noexcept nogil:
    """V48: what was allocated can be freed, once."""
    if unlikely((ret == 0) != (J_coherent[page].last != 0)):
        violation(CHECK_V48, b"judge_coherent_free:errno", b"coherent memory", page,
                  b"freeing what begins at page %lld returns %lld", page, ret, 0)
    J_coherent[page].last = 0


cdef inline void judge_coherent_detached() noexcept nogil:
    """The driver freed all."""
    memset(J_coherent, 0, sizeof(J_coherent))


cdef void judge_coherent_read(int page, uint32_t off, int known) noexcept nogil:
    """V16: the daemon reaches what is allocated, and nothing else. V36: and was written."""
    cdef uint64_t at = coherent_first(&V_devs[1]) + (<uint64_t>page << PAGE_SHIFT)
    cdef bint there = False
    cdef int i
    for i in range(VDUSE_COHERENT_PAGES):
        if J_coherent[i].last and meets(&J_coherent[i], at, at + PAGE_MASK_LOW):
            there = True
    if unlikely(known >= 0 and not there):
        violation(CHECK_V16, b"judge_coherent_read:freed", b"coherent memory", page,
                  b"the daemon reads byte %lld of page %lld, which was freed", off, page, 0)
    if unlikely(known < 0 and there):
        violation(CHECK_V29, b"judge_coherent_read:lost", b"coherent memory", page,
                  b"the daemon cannot read page %lld, which is allocated", page, 0, 0)
    if unlikely(known == 0):
        violation(CHECK_V36, b"judge_coherent_read:leak", b"coherent memory", page,
                  b"the daemon reads byte %lld of page %lld, which nobody wrote", off, page, 0)


cdef void judge_domain() noexcept nogil:
    """What device 1's domain maps is what its driver has. V22: all of it and nothing else; V13: a
    reference to the domain's file for each; V46: memory for each, and no other."""
    cdef uint64_t sum = 0
    cdef int i, n = 0
    for i in range(VDUSE_COHERENT_PAGES):
        if J_coherent[i].last:
            n += 1
            sum += J_coherent[i].start * 3 + J_coherent[i].last
    if unlikely(O.live[O_COHERENT] != n):
        violation(CHECK_V46, b"judge_domain:memory", b"coherent memory", n,
                  b"there are %lld areas of coherent memory, and the driver has %lld",
                  O.live[O_COHERENT], n, 0)
    if J_vduse[1].bounces:
        n += 1
        sum += coherent_first(&V_devs[1]) - 1
    if unlikely(M.refs[MAP_FILE_OWN][0] != n):
        violation(CHECK_V13, b"judge_domain:references", b"VDUSE device", 1,
                  b"the domain's file has %lld references of its own, for %lld mappings",
                  M.refs[MAP_FILE_OWN][0], n, 0)
    for i in range(V_domain.n):
        sum -= I_maps[V_domain.tree[i]].start * 3 + I_maps[V_domain.tree[i]].last
    if unlikely(sum != 0 or V_domain.n != n):
        violation(CHECK_V22, b"judge_domain:mappings", b"VDUSE device", 1,
                  b"the domain has %lld mappings, and must have %lld", V_domain.n, n, 0)


cdef void judge_domain_released() noexcept nogil:
    """V18: with the device its domain is gone, which its own mappings would keep."""
    if unlikely(V_domain.n != 0):
        violation(CHECK_V18, b"judge_domain_released:mappings", b"VDUSE device", 1,
                  b"the domain of a device that is gone has %lld mappings", V_domain.n, 0, 0)


cdef inline void judge_bounce_reset(const VduseDev* dev) noexcept nogil:
    books_of(dev).bounces = False


cdef void judge_umem_copy(int page, const uint8_t* known) noexcept nogil:
    """V36: what the daemon gets was given to it."""
    # all alike, and the first as it should be
    if unlikely(known[0] != 0xff or memcmp(known, known + 1, 511) != 0):
        violation(CHECK_V36, b"judge_umem_copy:leak", b"bounce page", page,
                  b"bounce page %lld is copied to the daemon, and nobody wrote all of it", page, 0,
                  0)


cdef void judge_umem_reg(const VduseDev* dev, uint64_t iova, uint64_t uaddr, uint32_t npages,
                         int ret) noexcept nogil:
    """V48, V12: all bounce pages at once, memory that is there and may be locked."""
    cdef JudgeVduse* b = books_of(dev)
    cdef const Upage* u
    cdef uint32_t i
    cdef int expected = 0
    if (not b.bounces or npages != dev.bounce_pages or iova != 0
            or uaddr & PAGE_MASK_LOW):
        expected = -EINVAL
    elif b.umem:
        expected = -EEXIST
    elif npages + <uint64_t>mm.foreign + <uint64_t>J.pages > mm.rlimit:
        expected = -ENOMEM
    else:
        for i in range(npages):
            u = upage_of(uaddr + (<uint64_t>i << PAGE_SHIFT))
            if u == NULL or u.readonly:
                expected = -ENOMEM if i else -EFAULT
                break
    if b.broken:
        expected = -EPERM
    if ret == 0 and expected == 0:
        b.umem = npages
        J.pages += npages
        for i in range(npages):
            mm_frames[V_umem_pages[i]].wo += 1
    elif unlikely(ret != expected and not (W.faults_fired and ret < 0)):
        violation(CHECK_V48, b"judge_umem_reg:errno", b"ioctl", W.op,
                  b"giving %lld pages for bouncing returns %lld instead of %lld", npages, ret,
                  expected)


cdef void judge_umem_gone(uint32_t npages) noexcept nogil:
    """The daemon's pages were unpinned."""
    cdef uint32_t i
    J.pages -= npages
    for i in range(npages):
        mm_frames[V_umem_pages[i]].wo -= 1
    J_vduse[1].umem = 0
    J_vduse[1].taken_back = True


cdef void judge_umem_dereg_call(const VduseDev* dev, uint64_t iova, uint32_t npages,
                                int ret) noexcept nogil:
    """V48: what was given is taken back as a whole."""
    cdef JudgeVduse* b = books_of(dev)
    cdef int expected = 0
    if b.broken:
        expected = -EPERM
    elif not b.umem and not b.taken_back:
        expected = -ENOENT
    elif iova != 0 or npages != dev.bounce_pages:
        expected = -EINVAL
    b.taken_back = False
    if unlikely(ret != expected and not (W.faults_fired and ret < 0)):
        violation(CHECK_V48, b"judge_umem_dereg:errno", b"ioctl", W.op,
                  b"taking %lld pages back returns %lld instead of %lld", npages, ret, expected)


cdef void judge_driver_config(const uint8_t* known, uint32_t length) noexcept nogil:
    """V36: every byte that was asked for is set."""
    cdef uint32_t i
    for i in range(length):
        if unlikely(not known[i]):
            violation(CHECK_V36, b"judge_driver_config:unwritten", b"config space", i,
                      b"byte %lld of %lld that a driver reads was left as it was", i, length, 0)


# ---- VDUSE: boot, after each op, close ----

cdef void judge_vduse_boot() noexcept nogil:
    memset(J_vduse, 0, sizeof(J_vduse))
    judge_coherent_detached()
    memset(J_group_as, 0, sizeof(J_group_as))


cdef inline void judge_vduse_reset() noexcept nogil:
    """Every group has address space 0 again. A reset that the daemon refuses says no maximum."""
    memset(J_group_as, 0, sizeof(J_group_as))
    J_vduse[0].setup = J.unanswered != 0


cdef void judge_vduse_created(const VduseDev* dev) noexcept nogil:
    memset(books_of(dev), 0, sizeof(JudgeVduse))


cdef void judge_vduse() noexcept nogil:
    """V50: no request is lost. V13: each mapping of the daemon's has one reference to its file."""
    cdef int i, n = 0, mapped = 0
    cdef uint32_t asid
    for i in range(VDUSE_DEVS):
        if unlikely(V_devs[i].n_send + V_devs[i].n_recv != J_vduse[i].n):
            violation(CHECK_V50, b"judge_vduse:lists", b"VDUSE device", i,
                      b"%lld requests are on the lists, %lld wait",
                      V_devs[i].n_send + V_devs[i].n_recv, J_vduse[i].n, 0)
    for i in range(FILES):
        n += M.refs[MAP_FILE_DOMAIN][i]
    for asid in range(vdpa.nas):
        mapped += vdpasim_iommu[asid].n
    if unlikely(n != mapped):
        violation(CHECK_V13, b"judge_vduse:references", b"VDUSE device", 0,
                  b"the device has %lld references to files, and %lld mappings", n, mapped, 0)
    judge_domain()
    for i in range(<int>vdpa.ngroups):
        if unlikely(V_devs[0].group_as[i] != J_group_as[i]):
            violation(CHECK_V26, b"judge_vduse:binding", b"group", i,
                      b"group %lld has address space %lld, and must have %lld", i,
                      V_devs[0].group_as[i], J_group_as[i])


cdef void judge_vduse_close_node() noexcept nogil:
    """V18: the mappings of who closed the node are gone from the device too."""
    cdef uint32_t asid
    for asid in range(vdpa.nas):
        if unlikely(vdpasim_iommu[asid].n != 0):
            violation(CHECK_V18, b"judge_vduse_close_node:mappings", b"address space", asid,
                      b"the device keeps %lld mappings of address space %lld after the close",
                      vdpasim_iommu[asid].n, asid, 0)
