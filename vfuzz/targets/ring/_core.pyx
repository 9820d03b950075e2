# SPDX-License-Identifier: GPL-2.0-or-later
"""ring, compiled: the shared world, the model of a circular buffer, and its judge."""

include "_gen.pxi"

cdef enum:
    CHECK_HANG = CHECK_R5       # hook of sim/world.pxi

include "../../sim/world.pxi"

from libc.errno cimport ENOMEM, ENOSPC
from vfuzz.targets.ring.checks import CHECKS
from vfuzz.targets.ring.ops import SCHEMA

CHECK_IDS = tuple(check.id for check in CHECKS)

cdef struct Ring:               # as Linux' struct circ_buf
    uint32_t size               # bytes of the buffer: a power of two
    uint32_t head               # where the producer writes next
    uint32_t tail               # where the consumer reads next
    int buf                     # which of the two buffers

cdef struct Judge:              # knows what went in and out, never how the ring works
    uint32_t written            # bytes that went in; byte i has the value i modulo 256
    uint32_t taken              # bytes that came out, or that a reset dropped

cdef Ring R
cdef Judge J
cdef uint8_t R_bytes[2][1 << 6]    # the largest order in ops.py


cdef inline uint32_t circ_cnt() noexcept nogil:
    """CIRC_CNT(): how many bytes the consumer can read."""
    return (R.head - R.tail) & (R.size - 1)


cdef inline uint32_t circ_space() noexcept nogil:
    """CIRC_SPACE(): how many bytes the producer can write; one stays free, or full were empty."""
    if quirk(QUIRK_CANARY) and R.head < R.tail:
        # planted: right until the head has wrapped, then it forgets the byte that stays free
        return R.tail - R.head
    return (R.tail - R.head - 1) & (R.size - 1)


cdef void judge_read(uint8_t value, uint32_t number, site_t site) noexcept nogil:
    """The consumer sees `value` as the byte that went in as number `number` (R1, R3)."""
    if unlikely(number >= J.written):
        violation(CHECK_R3, site, b"ring", 0, b"byte %lld was read, but only %lld were written",
                  number, J.written, 0)
    if unlikely(value != <uint8_t>number):
        violation(CHECK_R1, site, b"ring", 0, b"byte %lld came out as %lld", number, value, 0)
    obs(b"byte", value)


cdef uint32_t ring_put(uint32_t count) noexcept nogil:
    cdef uint32_t n = 0, space = circ_space()
    while n < count and n < space:
        step(b"ring_put:loop")
        R_bytes[R.buf][R.head] = <uint8_t>J.written
        R.head = (R.head + 1) & (R.size - 1)
        J.written += 1
        n += 1
    ev(b"produce", b"ring", 0, n, R.head, b"ring_put:done")
    return n


cdef uint32_t ring_get(uint32_t count) noexcept nogil:
    cdef uint32_t n = 0, filled = circ_cnt()
    while n < count and n < filled:
        step(b"ring_get:loop")
        judge_read(R_bytes[R.buf][R.tail], J.taken, b"ring_get:byte")
        R.tail = (R.tail + 1) & (R.size - 1)
        J.taken += 1
        n += 1
    ev(b"consume", b"ring", 0, n, R.tail, b"ring_get:done")
    return n


cdef int ring_peek(uint32_t offset) noexcept nogil:
    if offset >= circ_cnt():
        return -1
    judge_read(R_bytes[R.buf][(R.tail + offset) & (R.size - 1)], J.taken + offset,
               b"ring_peek:byte")
    return 0


cdef int ring_resize(uint32_t size) noexcept nogil:
    """-ENOSPC if the bytes do not fit, -ENOMEM without memory: the ring is then as it was."""
    global R
    cdef uint32_t i, filled = circ_cnt()
    if filled >= size:
        return -ENOSPC
    if fault(FAULT_ALLOC, b"ring_resize:alloc"):
        return -ENOMEM
    for i in range(filled):
        R_bytes[1 - R.buf][i] = R_bytes[R.buf][(R.tail + i) & (R.size - 1)]
    R = Ring(size=size, head=filled, tail=0, buf=1 - R.buf)
    ev(b"resize", b"ring", 0, size, filled, b"ring_resize:done")
    return 0


cdef void target_boot() noexcept nogil:
    global R, J
    R = Ring(size=<uint32_t>1 << P.boot[BOOT_ORDER], head=0, tail=0, buf=0)
    J = Judge(written=0, taken=0)
    memset(R_bytes, 0, sizeof(R_bytes))


cdef void target_op(const vf_op* op) noexcept nogil:
    if op.kind == OP_PUT:
        obs(b"ret", ring_put(op.arg[PUT_COUNT]))
    elif op.kind == OP_GET:
        obs(b"ret", ring_get(op.arg[GET_COUNT]))
    elif op.kind == OP_PEEK:
        obs(b"ret", ring_peek(op.arg[PEEK_OFFSET]))
    elif op.kind == OP_RESIZE:
        obs(b"ret", ring_resize(<uint32_t>1 << op.arg[RESIZE_ORDER]))
    elif op.kind == OP_RESET:
        R.head = R.tail = 0
        J.taken = J.written


cdef void target_after_op() noexcept nogil:
    """After each op: R2."""
    cdef uint32_t filled = J.written - J.taken
    if unlikely(filled >= R.size):
        violation(CHECK_R2, b"target_after_op:filled", b"ring", 0,
                  b"%lld bytes in a ring of %lld, of which one stays free", filled, R.size, 0)
    obs(b"filled", circ_cnt())
    event(R.size << 3 | (R.head < R.tail) << 2 | (circ_cnt() == 0) << 1 | (circ_space() == 0))


cdef void target_shutdown() noexcept nogil:
    """The consumer takes what is left: R4."""
    ring_get(R.size)
    if unlikely(J.taken != J.written):
        violation(CHECK_R4, b"target_shutdown:lost", b"ring", 0,
                  b"%lld bytes went in, %lld came out", J.written, J.taken, 0)


include "../../sim/entry.pxi"
