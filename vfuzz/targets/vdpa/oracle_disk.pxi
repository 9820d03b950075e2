# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of disks: which bytes a request may touch, what they are, what it is answered.

Its book of the disk is a list of what was written, oldest first; nobody else has such a list. What
a request is comes from the chain that the judge walked, and its answer is read where the guest
reads it.
"""

from libc.string cimport memchr

cdef enum:
    EXTENTS_MAX = 128
    BOOK_BYTES = 1 << 20
    EXTENT_ZERO = -1
    EXTENT_ANY = -2             # of a request that failed: the bytes may be any
    EXTENT_LOOSE = -3           # of DISCARD: any that somebody wrote

    ANSWER_NONE = 0             # no request: no answer is due
    ANSWER_OK = 1
    ANSWER_ERROR = 2
    ANSWER_ANY = 3              # either is right

cdef struct Extent:
    uint64_t start
    uint64_t end
    int64_t at                  # of its bytes in the book, or EXTENT_*

cdef struct JudgeDisk:
    uint8_t zeroed              # at first the disk has zeros, and not what was there before
    int n
    Extent[EXTENTS_MAX] extents
    uint32_t used
    uint8_t[BOOK_BYTES] book
    uint8_t[REQUEST_MAX] bytes  # what a request should see
    uint8_t[REQUEST_MAX] known  # is it known: 0 nobody wrote it, 1 it is, 2 any
    # the running request
    int answer                  # ANSWER_*
    uint32_t type
    uint8_t cut                 # data of it that the device is to write cannot be written
    uint8_t behind              # it begins behind the disk

cdef JudgeDisk JD


cdef void judge_disk_new(bint zeroed) noexcept nogil:
    """The disk's memory was allocated, cleared or not."""
    JD.zeroed = zeroed
    JD.n = 0
    JD.used = 0


cdef void judge_disk_range(uint64_t offset, uint64_t n) noexcept nogil:
    """A request is about to touch bytes of the disk. V51: it has them."""
    cdef uint64_t size = <uint64_t>BLK_CAPACITY << SECTOR_SHIFT
    if n == 0 or (offset < size and n <= size - offset):
        return
    if offset >= size or JD.behind:     # bytes of a sector far enough behind it begin at 0 again
        violation(CHECK_V51, b"judge_disk_range:start", b"disk", <int64_t>offset,
                  b"a request begins at byte %lld of a disk of %lld", <int64_t>offset,
                  <int64_t>size, 0)
    # less than a sector too many: whoever counts whole sectors does not see them
    if n - (size - offset) < 1 << SECTOR_SHIFT:
        violation(CHECK_V51, b"judge_disk_range:part", b"disk", <int64_t>offset,
                  b"a request reaches %lld bytes behind the disk", <int64_t>(n - (size - offset)),
                  0, 0)
    violation(CHECK_V51, b"judge_disk_range:end", b"disk", <int64_t>offset,
              b"a request of %lld bytes at %lld ends behind the disk", <int64_t>n,
              <int64_t>offset, 0)


cdef void extent_add(uint64_t offset, uint64_t n, int64_t at) noexcept nogil:
    cdef Extent* e
    if n == 0:
        return
    if unlikely(JD.n == EXTENTS_MAX):
        give_up()
    e = &JD.extents[JD.n]
    JD.n += 1
    e.start = offset
    e.end = offset + n
    e.at = at


cdef void extents_read(uint64_t offset, uint64_t n) noexcept nogil:
    """What the disk has there, to JD.bytes and JD.known."""
    cdef const Extent* e
    cdef uint64_t start, end, at
    cdef int i
    memset(JD.bytes, 0, n)
    memset(JD.known, JD.zeroed, n)
    for i in range(JD.n):
        e = &JD.extents[i]
        start = max(e.start, offset)
        end = min(e.end, offset + n)
        if start >= end:
            continue
        if e.at == EXTENT_LOOSE:
            for at in range(start - offset, end - offset):
                JD.known[at] = 2 if JD.known[at] else 0
            continue
        memset(&JD.known[start - offset], 2 if e.at == EXTENT_ANY else 1, end - start)
        if e.at >= 0:
            memcpy(&JD.bytes[start - offset], &JD.book[e.at + <int64_t>(start - e.start)],
                   end - start)
        elif e.at == EXTENT_ZERO:
            memset(&JD.bytes[start - offset], 0, end - start)


cdef const uint8_t* extent_whole(uint64_t offset, uint64_t n) noexcept nogil:
    """The bytes there, if one request wrote all of them and none after it any; else NULL."""
    cdef const Extent* e
    cdef int i
    for i in range(JD.n - 1, -1, -1):
        e = &JD.extents[i]
        if e.start < offset + n and offset < e.end:
            if e.at >= 0 and e.start <= offset and offset + n <= e.end:
                return &JD.book[e.at + <int64_t>(offset - e.start)]
            return NULL
    return NULL


cdef void judge_disk_read(uint64_t offset, uint64_t n, const uint8_t* buf) noexcept nogil:
    """Bytes of the disk are about to go to the guest. V36: somebody wrote them; V52: those."""
    cdef const uint8_t* whole = extent_whole(offset, n)
    cdef uint64_t i
    if whole != NULL and memcmp(whole, buf, n) == 0:
        return
    extents_read(offset, n)
    if n and memchr(JD.known, 0, n) != NULL:
        violation(CHECK_V36, b"judge_disk_read:unwritten", b"disk", <int64_t>offset,
                  b"of %lld bytes at %lld of the disk nobody wrote some", <int64_t>n,
                  <int64_t>offset, 0)
    if memcmp(JD.bytes, buf, n) == 0:
        return
    for i in range(n):
        if unlikely(buf[i] != JD.bytes[i] and JD.known[i] == 1):
            violation(CHECK_V52, b"judge_disk_read:bytes", b"disk", <int64_t>(offset + i),
                      b"byte %lld of the disk is read as %lld, and is %lld", <int64_t>(offset + i),
                      buf[i], JD.bytes[i])


cdef void judge_disk_write(uint64_t offset, uint64_t n, const uint8_t* buf,
                           int64_t ret) noexcept nogil:
    """Bytes of the guest went to the disk, or the request failed. V29: those of its chain."""
    cdef uint8_t* bytes = &JD.book[JD.used]
    cdef int64_t expected
    if ret < 0:
        extent_add(offset, n, EXTENT_ANY)
        return
    if unlikely(JD.used + n > BOOK_BYTES):
        give_up()
    expected = chain_read(0, BLK_HEADER, bytes, n)
    if unlikely(ret != expected or memcmp(bytes, buf, <size_t>ret) != 0):
        violation(CHECK_V29, b"judge_disk_write:bytes", b"disk", <int64_t>offset,
                  b"%lld bytes are written to the disk, not the %lld of the request", ret, expected,
                  0)
    extent_add(offset, n, JD.used)
    JD.used += <uint32_t>n


cdef void judge_disk_zero(uint64_t offset, uint64_t n) noexcept nogil:
    extent_add(offset, n, EXTENT_ZERO)


cdef void judge_disk_discard(uint64_t offset, uint64_t n) noexcept nogil:
    """Nobody promises what they are afterwards."""
    extent_add(offset, n, EXTENT_LOOSE)


# ---- answers ----

cdef bint on_disk(uint64_t sector, uint64_t n) noexcept nogil:
    """Does the disk have n bytes from that sector on?"""
    return sector <= BLK_CAPACITY and n <= (BLK_CAPACITY - sector) << SECTOR_SHIFT


cdef bint data_writable(uint64_t n) noexcept nogil:
    """Can the device write the first n bytes of the chain?"""
    cdef const Chain* c = &JR.q[0].chain
    cdef uint64_t part
    cdef int i
    for i in range(c.n):
        if c.segs[i].write:
            part = min(n, c.segs[i].len)
            if judge_span(0, c.segs[i].addr, part, True):
                return False
            n -= part
    return True


cdef int answer_range(uint64_t data_out) noexcept nogil:
    """What DISCARD and WRITE_ZEROES are answered."""
    cdef uint8_t[BLK_RANGE] raw
    cdef uint64_t sector
    if data_out != BLK_RANGE:
        return ANSWER_ERROR
    if chain_read(0, BLK_HEADER, raw, BLK_RANGE) != BLK_RANGE:
        return ANSWER_ERROR
    if le32(raw + 12) > (JD.type == VIRTIO_BLK_T_WRITE_ZEROES):
        return ANSWER_ERROR
    sector = <uint64_t>le32(raw) | <uint64_t>le32(raw + 4) << 32
    # nothing, wherever it is, may be refused or not
    if le32(raw + 8) == 0:
        return ANSWER_ANY
    if not on_disk(sector, <uint64_t>le32(raw + 8) << SECTOR_SHIFT):
        JD.behind = sector > BLK_CAPACITY
        return ANSWER_ERROR
    return ANSWER_OK


cdef int answer_data(uint64_t sector, uint64_t n, bint accessible) noexcept nogil:
    """What IN and OUT are answered. A driver asks for whole sectors, and no more than it may."""
    if accessible and n == 0:
        return ANSWER_ANY
    JD.behind = sector > BLK_CAPACITY
    if not on_disk(sector, n) or not accessible:
        return ANSWER_ERROR
    if n & ((1 << SECTOR_SHIFT) - 1) or n > BLK_SIZE_MAX * BLK_SEG_MAX:
        return ANSWER_ANY
    return ANSWER_OK


cdef void judge_request() noexcept nogil:
    """A request was taken: what its answer must be."""
    cdef const Chain* c = &JR.q[0].chain
    cdef uint8_t[BLK_HEADER] header
    cdef uint64_t sector, data_out = 0, data_in = 0, last = 0
    cdef int i
    JD.answer = ANSWER_NONE
    JD.cut = False
    JD.behind = False
    for i in range(c.n):
        if c.segs[i].write:
            last = c.segs[i].len
            data_in += last
        else:
            data_out += c.segs[i].len
    # the status is the last byte of what can be written; a descriptor without bytes is no place
    if last == 0 or data_out < BLK_HEADER or chain_read(0, 0, header, BLK_HEADER) != BLK_HEADER:
        return
    data_in -= 1
    data_out -= BLK_HEADER
    JD.type = le32(header)
    sector = <uint64_t>le32(header + 8) | <uint64_t>le32(header + 12) << 32
    if JD.type == VIRTIO_BLK_T_IN:
        JD.cut = not data_writable(data_in)
        JD.answer = answer_data(sector, data_in, not JD.cut)
    elif JD.type == VIRTIO_BLK_T_OUT:
        i = data_out <= REQUEST_MAX and chain_read(0, BLK_HEADER, NULL,
                                                   data_out) == <int64_t>data_out
        JD.answer = answer_data(sector, data_out, i != 0)
    elif sector:
        JD.answer = ANSWER_ANY
    elif JD.type == VIRTIO_BLK_T_GET_ID:
        JD.cut = not data_writable(min(data_in, <uint64_t>VIRTIO_BLK_ID_BYTES))
        JD.answer = ANSWER_ERROR if JD.cut else (
            ANSWER_OK if data_in >= VIRTIO_BLK_ID_BYTES else ANSWER_ANY)
    elif JD.type == VIRTIO_BLK_T_FLUSH:
        JD.answer = ANSWER_OK
    elif JD.type == VIRTIO_BLK_T_DISCARD or JD.type == VIRTIO_BLK_T_WRITE_ZEROES:
        JD.answer = answer_range(data_out)
    else:
        JD.answer = ANSWER_ERROR


cdef void judge_status(int64_t ret) noexcept nogil:
    """The status was written to the chain, or not."""
    if ret > 0:
        JR.q[0].written += <uint64_t>ret
    JR.push_failed = False


cdef void judge_request_done() noexcept nogil:
    """The request is about to be used. V39: the guest finds its own answer there."""
    cdef const Chain* c = &JR.q[0].chain
    cdef const ChainSeg* s
    cdef const Seg* m
    cdef uint64_t at
    cdef uint8_t[1] got
    cdef bint right
    if JD.answer == ANSWER_NONE or W.faults_fired:
        return
    s = &c.segs[c.n - 1]
    if judge_span(0, s.addr + s.len - 1, 1, True):
        return
    m = judge_find(space_of(0), s.addr + s.len - 1)
    at = m.addr + (s.addr + s.len - 1 - m.start)
    frame_copy(upage_of(at).frame - 1 if vdpa.use_va else <int>((at >> PAGE_SHIFT) - PFN_BASE),
               <uint32_t>(at & PAGE_MASK_LOW), 1, got, False)
    event(0xa00 + min(JD.type, <uint32_t>15) * 16 + <uint32_t>JD.answer * 4
          + min(<uint32_t>got[0], <uint32_t>3))
    right = got[0] <= VIRTIO_BLK_S_UNSUPP and (
        JD.answer == ANSWER_ANY or (got[0] == VIRTIO_BLK_S_OK) == (JD.answer == ANSWER_OK))
    if likely(right):
        return
    if JD.cut:
        violation(CHECK_V39, b"judge_request_done:cut", b"request", JD.type,
                  b"a request of type %lld fails on the way, and its status is %lld", JD.type,
                  got[0], 0)
    if JD.type == VIRTIO_BLK_T_GET_ID and JD.answer == ANSWER_ANY:
        violation(CHECK_V39, b"judge_request_done:id", b"request", JD.type,
                  b"a disk's id goes on in its status, %lld", got[0], 0, 0)
    if JD.behind:
        violation(CHECK_V39, b"judge_request_done:range", b"request", JD.type,
                  b"a request that begins behind the disk is answered with %lld", got[0], 0, 0)
    violation(CHECK_V39, b"judge_request_done:status", b"request", JD.type,
              b"a request of type %lld is answered with %lld", JD.type, got[0], 0)
