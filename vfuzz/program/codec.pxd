# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The binary form of a program, in C.

A program is a row of records of `record_size` bytes:

    record 0    the boot record: its arguments, packed, little endian, in declaration order
    record 1..  one op each: byte 0 kind, byte 1 prop, then its arguments, packed so, rest zero

The prop byte (the `fail` property): bits 0-4 nth (0 none, 1..31), bits 5-6 class of fault site
(0 any, 1 alloc, 2 map, 3 add), bit 7 all. With nth 0 the whole byte is 0.

Two rules hold for every schema, and the tests hold them against a slow reference:

    decoding is total    every byte string is a program; kinds and values out of range wrap, a short
                         record is continued with zero bytes, ops beyond max_ops are dropped
    encoding is canonical   decode(encode(p)) == p, and encode(decode(x)) is a fixed point

Everything here is inline: a target's extension compiles the codec into its own entry function, and
cimporting this file makes no run-time import. Tables come from vfuzz.program.codec.schema_capsule.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset


# The limits of schema.py, as array sizes.
cdef enum:
    VF_MAX_ARGS = 12
    VF_MAX_BOOT = 16
    VF_MAX_OPS = 64
    VF_MAX_RECORD = 64

# vf_arg.kind, in the order of schema.KINDS
cdef enum:
    VF_INT = 0
    VF_BOOL = 1
    VF_ENUM = 2
    VF_FLAGS = 3

# vf_arg.role, in the order of schema.ROLES
cdef enum:
    VF_ROLE_NONE = 0
    VF_ROLE_LENGTH = 1
    VF_ROLE_INDEX = 2
    VF_ROLE_COUNT = 3

# vf_op.fail_class, in the order of schema.FAIL_CLASSES
cdef enum:
    VF_FAIL_ANY = 0
    VF_FAIL_ALLOC = 1
    VF_FAIL_MAP = 2
    VF_FAIL_ADD = 3
    VF_FAIL_NTH_MAX = 31

cdef struct vf_arg:
    uint8_t kind                    # VF_INT ...
    uint8_t width                   # bytes in the record: 1, 2 or 4
    uint8_t role                    # VF_ROLE_NONE ...
    uint8_t n_interesting           # length of interesting
    uint16_t offset                 # of the first byte, from the start of the record
    uint32_t lo                     # inclusive bounds; flags: 0 and the mask of named bits
    uint32_t hi
    uint32_t mask                   # bits of the raw value that count
    uint32_t n                      # hi - lo + 1; 0 stands for 2**32
    uint32_t above                  # hi - lo
    uint32_t dflt                   # the default of the text form
    const uint32_t* interesting     # NULL when there are none

cdef struct vf_opdef:
    int n_args
    uint32_t weight
    vf_arg args[16]                 # VF_MAX_BOOT, the larger of the two limits

cdef struct vf_schema:
    int n_ops
    int record_size                 # bytes, 4..VF_MAX_RECORD
    int max_ops                     # 1..VF_MAX_OPS
    uint32_t total_weight           # sum over ops, at least 1
    vf_opdef boot
    vf_opdef ops[64]

cdef struct vf_op:
    uint8_t kind                    # index in vf_schema.ops
    uint8_t fail_nth                # 0 none, else 1..VF_FAIL_NTH_MAX
    uint8_t fail_class              # VF_FAIL_ANY ...
    uint8_t fail_all                # 0 or 1
    uint32_t arg[12]                # those beyond the op's n_args are 0

cdef struct vf_program:
    int n_ops
    uint32_t boot[16]               # those beyond the schema's boot arguments are 0
    vf_op ops[64]                   # only the first n_ops are meaningful


@cython.cdivision(True)
cdef inline uint32_t vf_fit(const vf_arg* a, uint32_t raw) noexcept nogil:
    """The value that `raw` decodes to: in range it stays, else it wraps to lo + raw % n."""
    raw &= a.mask
    # One unsigned comparison for both bounds; n is 0 only when nothing can be out of range.
    if raw - a.lo > a.above:
        return a.lo + raw % a.n
    return raw


cdef inline void vf_decode_args(
    const vf_opdef* d, const uint8_t* rec, uint32_t* out
) noexcept nogil:
    """Read the arguments of one record. `rec` is readable for 3 bytes past the last argument."""
    cdef int i
    cdef const uint8_t* q
    for i in range(d.n_args):
        q = rec + d.args[i].offset
        # Spelled by bytes so that it is little endian anywhere; compilers make one load of it. What
        # it reads beyond the argument's width is cut off by the mask.
        out[i] = vf_fit(&d.args[i], <uint32_t>q[0] | (<uint32_t>q[1] << 8)
                        | (<uint32_t>q[2] << 16) | (<uint32_t>q[3] << 24))


@cython.cdivision(True)
cdef inline void vf_decode_op(const vf_schema* s, const uint8_t* rec, vf_op* o) noexcept nogil:
    """Read one op record. `rec` must be readable for record_size + 3 bytes."""
    cdef int kind = rec[0]
    cdef uint8_t prop = rec[1]
    if kind >= s.n_ops:
        kind %= s.n_ops
    if (prop & 31) == 0:
        prop = 0
    o.kind = <uint8_t>kind
    o.fail_nth = prop & 31
    o.fail_class = (prop >> 5) & 3
    o.fail_all = prop >> 7
    memset(o.arg, 0, sizeof(o.arg))
    vf_decode_args(&s.ops[kind], rec, o.arg)


@cython.cdivision(True)
cdef inline void vf_decode(
    const vf_schema* s, const uint8_t* data, size_t size, vf_program* p
) noexcept nogil:
    """Decode any `size` bytes into `p`. Cannot fail; `data` may be NULL when size is 0."""
    cdef uint8_t pad[VF_MAX_RECORD + 4]
    cdef const uint8_t* rec
    cdef size_t rs = <size_t>s.record_size
    cdef size_t pos = 0
    cdef size_t n = 0
    cdef size_t i
    cdef size_t left
    if size > rs:
        n = (size - 1) // rs        # a trailing partial record counts
        if n > <size_t>s.max_ops:
            n = <size_t>s.max_ops
    p.n_ops = <int>n
    memset(p.boot, 0, sizeof(p.boot))
    for i in range(n + 1):
        left = size - pos           # pos > size is impossible: n counts records that have a byte
        if left >= rs + 4:
            rec = data + pos
        else:
            # The last record: copied, so that reading four bytes at any argument stays in bounds,
            # and a partial record goes on with zero bytes.
            memset(pad, 0, sizeof(pad))
            if left:
                memcpy(pad, data + pos, left if left < rs else rs)
            rec = pad
        if i == 0:
            vf_decode_args(&s.boot, rec, p.boot)
        else:
            vf_decode_op(s, rec, &p.ops[i - 1])
        pos += rs


cdef inline void vf_encode_args(
    const vf_opdef* d, const uint32_t* values, uint8_t* rec
) noexcept nogil:
    """Write the arguments of one record that is zero so far, byte by byte."""
    cdef int i
    cdef uint32_t v
    cdef uint8_t* q
    for i in range(d.n_args):
        v = values[i]
        q = rec + d.args[i].offset
        q[0] = <uint8_t>v
        if d.args[i].width >= 2:
            q[1] = <uint8_t>(v >> 8)
        if d.args[i].width == 4:
            q[2] = <uint8_t>(v >> 16)
            q[3] = <uint8_t>(v >> 24)


cdef inline void vf_encode_args_wide(
    const vf_opdef* d, const uint32_t* values, uint8_t* rec
) noexcept nogil:
    """The same without branches: four bytes for each argument.

    A value is below 2**(8 * width), so the bytes that are too many are zero, and they lie where the
    next argument or the next record is still to be written. So it is not for the last record.
    """
    cdef int i
    cdef uint32_t v
    cdef uint8_t* q
    for i in range(d.n_args):
        v = values[i]
        q = rec + d.args[i].offset
        q[0] = <uint8_t>v
        q[1] = <uint8_t>(v >> 8)
        q[2] = <uint8_t>(v >> 16)
        q[3] = <uint8_t>(v >> 24)


@cython.cdivision(True)
cdef inline size_t vf_encode(
    const vf_schema* s, const vf_program* p, uint8_t* out, size_t cap
) noexcept nogil:
    """Write a valid program to `out`, at most `cap` bytes, and return how many.

    Ops that do not fit whole are left off; when not even the boot record fits, the result is 0.
    """
    cdef size_t rs = <size_t>s.record_size
    cdef size_t n = cap // rs
    cdef size_t pos = rs
    cdef size_t i
    cdef const vf_op* o
    if n == 0:
        return 0
    if n > <size_t>p.n_ops + 1:
        n = <size_t>p.n_ops + 1
    memset(out, 0, n * rs)
    vf_encode_args(&s.boot, p.boot, out)
    for i in range(n - 1):
        o = &p.ops[i]
        out[pos] = o.kind
        if o.fail_nth:
            out[pos + 1] = <uint8_t>(o.fail_nth | (o.fail_class << 5) | (o.fail_all << 7))
        if i + 2 < n:
            vf_encode_args_wide(&s.ops[o.kind], o.arg, out + pos)
        else:
            vf_encode_args(&s.ops[o.kind], o.arg, out + pos)
        pos += rs
    return pos
