# SPDX-License-Identifier: GPL-2.0-or-later
"""The process' memory: pages, files, physical frames with contents, pins.

User memory is one area of UAREA_PAGES pages. A page has a frame as soon as it is mapped, so that
physical contiguity is a choice of the program (`pattern` of mmap) and not an accident. A frame
lives while a page, a file or a pin has it; frames are never used twice in a program. A VMA is not
stored: it is a longest run of pages of the same kind, file and rights with consecutive offsets,
which is what mmap_region() merges.
"""


cdef void mm_reset(uint64_t rlimit, uint64_t foreign) noexcept nogil:
    cdef int f
    if mm.hi > mm.lo:
        memset(&mm_pages[mm.lo], 0, <size_t>(mm.hi - mm.lo) * sizeof(Upage))
    for f in range(FILES):
        memset(&mm_files[f][0], 0, <size_t>mm.file_hi[f] * sizeof(uint16_t))
        mm.file_hi[f] = 0
    mm.lo = UAREA_PAGES
    mm.hi = 0
    mm.n_frames = 0
    mm.n_bytes = 1
    mm.pins = 0
    mm.n_doorbells = 0
    mm.who = 0
    mm.rlimit = rlimit
    mm.foreign = foreign
    mm.pinned_vm = <int64_t>foreign


cdef inline uint64_t pfn_of(int frame) noexcept nogil:
    return PFN_BASE + <uint64_t>frame


cdef inline int pfn_to_page(uint64_t pfn, site_t site) noexcept nogil:
    """The frame of a pfn. V11: it has a struct page, so it is one of the process' memory."""
    if unlikely(pfn < PFN_BASE or pfn - PFN_BASE >= <uint64_t>mm.n_frames):
        violation(CHECK_V11, site, b"pfn", <int64_t>pfn, b"pfn %lld has no page of the process",
                  <int64_t>pfn, 0, 0)
    return <int>(pfn - PFN_BASE)


cdef inline bint frame_live(int f) noexcept nogil:
    return mm_frames[f].mapcount != 0 or mm_frames[f].pins != 0


cdef inline int frame_new() noexcept nogil:
    """The next frame in physical order, mapped once; -1 when there are no more."""
    cdef int f = mm.n_frames
    if unlikely(f >= FRAMES_MAX):
        return -1       # uncovered: mm_map() has looked
    mm.n_frames += 1
    memset(&mm_frames[f], 0, sizeof(Frame))
    mm_frames[f].mapcount = 1
    return f


cdef inline void upage_unmap(int p) noexcept nogil:
    cdef Upage* u = &mm_pages[p]
    if u.frame:
        mm_frames[u.frame - 1].mapcount -= 1
    if u.frame or u.doorbell:
        memset(u, 0, sizeof(Upage))


cdef void mm_map_doorbell(int p, uint32_t index) noexcept nogil:
    """A page of the device's registers at page p of the area."""
    mm.lo = min(mm.lo, p)
    mm.hi = max(mm.hi, p + 1)
    upage_unmap(p)
    mm_pages[p].doorbell = <uint8_t>(index + 1)
    mm.n_doorbells += 1


cdef void mm_unmap_doorbells() noexcept nogil:
    """The process unmaps all doorbells: each of them would keep the node open."""
    cdef int p
    if mm.n_doorbells == 0:
        return
    for p in range(mm.lo, mm.hi):
        if mm_pages[p].doorbell:
            upage_unmap(p)
    mm.n_doorbells = 0


cdef int file_frame(int file, int pgoff) noexcept nogil:
    """The page of a shared file, made on first use; the file itself counts as one mapping."""
    cdef int f
    if mm_files[file][pgoff] == 0:
        f = frame_new()
        if f < 0:
            return -1       # uncovered: mm_map() has looked
        mm_files[file][pgoff] = <uint16_t>(f + 1)
        mm.file_hi[file] = max(mm.file_hi[file], pgoff + 1)
    return mm_files[file][pgoff] - 1


cdef int mm_frames_alloc(int n, int pattern, int* first) noexcept nogil:
    """n frames in `pattern` order for anonymous memory: *first is the lowest of them.

    Returns how many were taken, gaps included, or -ENOMEM.
    """
    cdef int taken = n
    if pattern == MMAP_PATTERN_SCATTERED:
        taken = 2 * n
    elif pattern == MMAP_PATTERN_PAIRS:
        taken = n + (n >> 1)
    # one frame behind the last stays free, or two areas would be contiguous by accident
    if mm.n_frames + taken + 1 > FRAMES_MAX:
        return -ENOMEM
    first[0] = mm.n_frames
    memset(&mm_frames[mm.n_frames], 0, <size_t>(taken + 1) * sizeof(Frame))
    mm.n_frames += taken + 1
    return taken


cdef void map_frames(Upage* u, int first, int n, int pattern, bint readonly) noexcept nogil:
    """n frames from `first` on for the pages at u, in `pattern` order. In one expression, without a
    branch: programs map thousands of pages."""
    cdef Upage page
    cdef int i, f, stride = 1, half = 0
    memset(&page, 0, sizeof(page))
    page.kind = MMAP_KIND_ANON
    page.readonly = readonly
    if pattern == MMAP_PATTERN_SCATTERED:
        stride = 2
    elif pattern == MMAP_PATTERN_PAIRS:
        half = ~0
    elif pattern == MMAP_PATTERN_REVERSED:
        stride = -1
        first += n - 1
    for i in range(n):
        f = first + stride * i + (i >> 1 & half)
        mm_frames[f].mapcount = 1
        page.frame = <uint16_t>(f + 1)
        u[i] = page


cdef int mm_map(int p, int n, int kind, bint readonly, int pattern, int file,
                int pgoff) noexcept nogil:
    """mmap(MAP_FIXED) of n pages at page p of the area: 0, -EINVAL, -ENOMEM."""
    cdef int i, f, first = 0
    cdef Upage* u
    if n == 0 or p + n > UAREA_PAGES:
        return -EINVAL
    if kind == MMAP_KIND_ANON:
        if mm_frames_alloc(n, pattern, &first) < 0:
            return -ENOMEM
    elif mm.n_frames + n > FRAMES_MAX:
        return -ENOMEM
    for i in range(max(p, mm.lo), min(p + n, mm.hi)):
        upage_unmap(i)
    mm.lo = min(mm.lo, p)
    mm.hi = max(mm.hi, p + n)
    u = &mm_pages[p]
    if kind == MMAP_KIND_ANON:
        map_frames(u, first, n, pattern, readonly)
    else:
        for i in range(n):
            f = file_frame(file, pgoff + i)
            mm_frames[f].mapcount += 1
            u[i].file = <uint8_t>file
            u[i].pgoff = <uint16_t>(pgoff + i)
            u[i].frame = <uint16_t>(f + 1)
            u[i].kind = <uint8_t>kind
            u[i].readonly = readonly
    return 0


cdef int mm_unmap(int p, int n) noexcept nogil:
    """munmap() of n pages: pinned frames stay, the others are gone with their last mapping."""
    cdef int i
    if n == 0 or p + n > UAREA_PAGES:
        return -EINVAL
    for i in range(max(p, mm.lo), min(p + n, mm.hi)):
        upage_unmap(i)
    return 0


cdef inline const Upage* upage_of(uint64_t uaddr) noexcept nogil:
    """The page that holds user address `uaddr`, NULL if nothing is mapped there."""
    cdef uint64_t p = (uaddr - UAREA_BASE) >> PAGE_SHIFT
    if uaddr < UAREA_BASE or p >= UAREA_PAGES or mm_pages[p].frame == 0:
        return NULL
    return &mm_pages[p]


cdef inline bint is_doorbell(uint64_t uaddr) noexcept nogil:
    cdef uint64_t p = (uaddr - UAREA_BASE) >> PAGE_SHIFT
    return uaddr >= UAREA_BASE and p < UAREA_PAGES and mm_pages[p].doorbell != 0


# ---- pins ----

cdef int pin_user_pages(uint64_t uaddr, int n, bint write, int32_t* pages,
                        site_t site) noexcept nogil:
    """pin_user_pages(FOLL_LONGTERM): how many of n pages from uaddr on were pinned, or -errno.

    It stops at the first page that is not there, or not writable for `write`; -EFAULT if that is
    the first. A fault site (map): -ENOMEM.
    """
    cdef int i
    cdef const Upage* u
    if fault(FAULT_MAP, site):
        return -ENOMEM
    for i in range(n):
        u = upage_of(uaddr + (<uint64_t>i << PAGE_SHIFT))
        if u == NULL or (write and u.readonly):
            # CVE-2021-46967: a doorbell's VMA did not say that it has no pages
            if quirk(QUIRK_B01) and is_doorbell(uaddr + (<uint64_t>i << PAGE_SHIFT)):
                pfn_to_page(DOORBELL_PFN, b"pin_user_pages:doorbell")
            return i if i else -EFAULT
        pages[i] = u.frame - 1
        mm_frames[u.frame - 1].pins += 1
        mm.pins += 1
    return n


cdef inline void unpin_user_page(int f, site_t site) noexcept nogil:
    """V10: it has a pin. V14: what the device could write was made dirty before."""
    cdef Frame* p = &mm_frames[f]
    if unlikely(p.pins == 0):
        violation(CHECK_V10, site, b"page", f, b"page %lld is unpinned, but has no pin", f, 0, 0)
    p.pins -= 1
    if unlikely(p.pins < p.wo and not p.dirty):
        violation(CHECK_V14, site, b"page", f,
                  b"page %lld is unpinned clean, though the device could write it", f, 0, 0)
    mm.pins -= 1


cdef inline void set_page_dirty_lock(int f, site_t site) noexcept nogil:
    """V14: the device could write it."""
    if unlikely(mm_frames[f].wo == 0 and not J.writable):
        violation(CHECK_V14, site, b"page", f, b"page %lld is made dirty, but was mapped read-only",
                  f, 0, 0)
    mm_frames[f].dirty = True


# ---- contents ----

cdef uint8_t* frame_bytes(int f) noexcept nogil:
    """The content of a frame, made on first use."""
    cdef int b = mm_frames[f].bytes
    if b == 0:
        if unlikely(mm.n_bytes >= BYTES_MAX):
            give_up()
        b = mm.n_bytes
        mm.n_bytes += 1
        # only what the last program touched is not zero
        memset(&mm_bytes[b][0], 0, mm_byte_hi[b])
        mm_byte_hi[b] = 0
        mm_frames[f].bytes = <uint8_t>b
    return &mm_bytes[b][0]


cdef void frame_copy(int f, uint32_t off, uint32_t n, uint8_t* buf, bint write) noexcept nogil:
    cdef uint8_t* bytes
    if write:
        bytes = frame_bytes(f)
        memcpy(bytes + off, buf, n)
        mm_byte_hi[mm_frames[f].bytes] = <uint16_t>max(
            <uint32_t>mm_byte_hi[mm_frames[f].bytes], off + n)
    elif mm_frames[f].bytes == 0:
        memset(buf, 0, n)
    else:
        memcpy(buf, &mm_bytes[mm_frames[f].bytes][off], n)


cdef void phys_access(uint64_t pa, uint32_t n, uint8_t* buf, bint write,
                      site_t site) noexcept nogil:
    """The device touches n bytes at physical address pa. V11: there is a page; V16: that is still
    the process'; V49: and pinned for the device."""
    cdef uint32_t off, part
    cdef int f
    while n:
        off = <uint32_t>(pa & PAGE_MASK_LOW)
        part = min(n, PAGE_SIZE - off)
        f = pfn_to_page(pa >> PAGE_SHIFT, site)
        if unlikely(not frame_live(f)):
            violation(CHECK_V16, b"phys_access:freed", b"page", f,
                      b"the device touches page %lld, which was freed", f, 0, 0)
        if unlikely(mm_frames[f].pins == 0):
            violation(CHECK_V49, b"phys_access:unpinned", b"page", f,
                      b"the device touches page %lld, which nobody pins", f, 0, 0)
        frame_copy(f, off, part, buf, write)
        pa += part
        buf += part
        n -= part


cdef uint32_t user_access(uint64_t uaddr, uint32_t n, uint8_t* buf, bint write) noexcept nogil:
    """copy_from_user(), copy_to_user() in the owner's memory: bytes done, fewer at a hole or where
    writing is not allowed. A fault site (add): half."""
    cdef uint32_t done = 0, off, part, asked = n
    cdef const Upage* u
    if fault(FAULT_ADD, b"user_access:copy"):
        n >>= 1
    while done < n:
        u = upage_of(uaddr + done)
        if u == NULL or (write and u.readonly):
            break
        off = <uint32_t>((uaddr + done) & PAGE_MASK_LOW)
        part = min(n - done, PAGE_SIZE - off)
        frame_copy(u.frame - 1, off, part, buf + done, write)
        done += part
    judge_user_access(done, asked)
    return done


# ---- contents, as an observable ----

cdef enum:
    CONTENTS_FEW = 256          # pages that are looked at after an op

cdef uint32_t page_crc(int f, uint32_t key) noexcept nogil:
    """CRC-32 of a frame's bytes that begins with `key`; 0 for a page of zeros."""
    cdef const uint8_t* bytes
    if mm_frames[f].bytes == 0:
        return 0
    bytes = &mm_bytes[mm_frames[f].bytes][0]
    if bytes[0] == 0 and memcmp(bytes, bytes + 1, PAGE_SIZE - 1) == 0:
        return 0
    return ~crc_many(~key, bytes, PAGE_SIZE)


cdef cold_void contents_slow(int limit) noexcept nogil:
    """All frames by their number; with user addresses what the process sees, by its page."""
    cdef uint32_t total = 0
    cdef int i
    if not vdpa.use_va:
        for i in range(min(mm.n_frames, limit)):
            total += page_crc(i, <uint32_t>i)
    else:
        for i in range(mm.lo, min(mm.hi, limit)):
            if mm_pages[i].frame:
                total += page_crc(mm_pages[i].frame - 1, <uint32_t>i)
    obs(b"contents", total)


cdef inline void obs_contents(int limit) noexcept nogil:
    """The bytes of the process' memory in one number; free unless the run is traced."""
    if unlikely(W_trace):
        contents_slow(limit)
