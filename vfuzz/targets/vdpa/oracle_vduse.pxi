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
