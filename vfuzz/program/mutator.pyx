# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The mutator that knows ops: libFuzzer's custom mutator and crossover, without Python objects.

An input is decoded, changed as a program and encoded, so that whatever comes out is valid,
canonical and no longer than allowed. A mutation is one to eight steps, each of them on ops (insert,
delete, duplicate, move, replace), on an argument by its kind and role, on a fail property, or on
the boot record. Nothing is allocated, and the same (bytes, seed) give the same bytes, except that
under libFuzzer some integers are handed to the engine, which knows what the target compared them
with.

libFuzzer gives each input to mutate() or to crossover() with equal odds, so crossover() ends in
ordinary steps half of the time.

This module is never instrumented for coverage. It cannot hold the symbols that libFuzzer looks for:
under LD_PRELOAD they are needed before there is an interpreter. They are in preload.c.
"""

import os
import sys

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset

from vfuzz.program.codec cimport (
    VF_BOOL,
    VF_ENUM,
    VF_FAIL_NTH_MAX,
    VF_INT,
    VF_MAX_OPS,
    VF_MAX_RECORD,
    VF_ROLE_COUNT,
    VF_ROLE_INDEX,
    vf_arg,
    vf_decode,
    vf_encode,
    vf_fit,
    vf_op,
    vf_opdef,
    vf_program,
    vf_schema,
)

from vfuzz.program.codec import schema_capsule

__all__ = [
    "crossover_bytes",
    "install",
    "mutate_bytes",
    "mutator_calls",
    "mutator_counters",
    "stub_path",
]

cdef extern from "<dlfcn.h>" nogil:
    void* RTLD_DEFAULT
    int RTLD_NOW
    int RTLD_GLOBAL
    void* dlopen(const char* filename, int flags)
    void* dlsym(void* handle, const char* symbol)
    char* dlerror()

cdef extern from * nogil:
    int __builtin_ctz(unsigned int x)
    int __builtin_clz(unsigned int x)
    int __builtin_popcount(unsigned int x)

ctypedef size_t (*mutate_fn)(uint8_t*, size_t, size_t, unsigned int) noexcept nogil
ctypedef size_t (*crossover_fn)(
    const uint8_t*, size_t, const uint8_t*, size_t, uint8_t*, size_t, unsigned int
) noexcept nogil
ctypedef size_t (*engine_fn)(uint8_t*, size_t, size_t) noexcept nogil
ctypedef void (*set_mutator_fn)(mutate_fn, crossover_fn) noexcept

cdef enum:
    STEPS_MAX = 8           # stacked steps of one mutation
    INSERT_MAX = 4          # ops of one insertion
    FRESH_MIN = 3           # ops of a program made from nothing: FRESH_MIN..FRESH_MAX
    FRESH_MAX = 12
    BUFFER_SIZE = (VF_MAX_OPS + 1) * VF_MAX_RECORD

# One fuzzing thread to a process: all state is static.
cdef const vf_schema* _schema = NULL    # the installed one
cdef engine_fn _engine = NULL           # libFuzzer's own mutator, only while it called us
cdef engine_fn _stub_engine = NULL
cdef vf_program _p                      # the program being changed
cdef vf_program _q                      # the other parent of a crossover
cdef vf_op _scratch[VF_MAX_OPS]
cdef uint8_t _buffer[BUFFER_SIZE]
cdef uint64_t _n_mutate = 0
cdef uint64_t _n_crossover = 0
cdef uint64_t _n_engine = 0


# -------- random numbers

cdef uint64_t _rng = 1


cdef inline void _seed(uint32_t seed) noexcept nogil:
    """Start the generator. splitmix64, because xorshift is poor right after a small seed."""
    global _rng
    cdef uint64_t z = <uint64_t>seed + <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    _rng = (z ^ (z >> 31)) | 1


cdef inline uint32_t _random() noexcept nogil:
    """32 random bits (xorshift64*)."""
    global _rng
    _rng ^= _rng >> 12
    _rng ^= _rng << 25
    _rng ^= _rng >> 27
    return <uint32_t>((_rng * <uint64_t>0x2545F4914F6CDD1D) >> 32)


cdef inline uint32_t _below(uint32_t n) noexcept nogil:
    """0..n-1, uniform; 0 when n is 0."""
    return <uint32_t>((<uint64_t>_random() * n) >> 32)


cdef inline bint _one_in(uint32_t n) noexcept nogil:
    return _below(n) == 0


cdef inline int _small() noexcept nogil:
    """0 with odds 1/2, 1 with 1/4, 2 with 1/8 and so on, up to 31."""
    return __builtin_ctz(_random() | 0x80000000u)


cdef inline int64_t _either_sign(int64_t n) noexcept nogil:
    return n if _random() & 1 else -n


cdef inline int64_t _beside(int64_t n) noexcept nogil:
    """n - 1, n or n + 1. A function, because C leaves the order of two draws in one sum open."""
    return n + _below(3) - 1


# -------- values

cdef inline int _bits(uint32_t x) noexcept nogil:
    """How many bits x takes; 0 for 0."""
    return 32 - __builtin_clz(x) if x else 0


cdef inline uint32_t _clamp(const vf_arg* a, int64_t v) noexcept nogil:
    """The nearest value of an int. Mutations stop at a bound rather than wrap: bounds are where
    bugs are."""
    if v < <int64_t>a.lo:
        return a.lo
    if v > <int64_t>a.hi:
        return a.hi
    return <uint32_t>v


cdef inline uint32_t _uniform(const vf_arg* a) noexcept nogil:
    return a.lo + _below(a.n) if a.n else _random()


cdef uint32_t _draw_index(const vf_arg* a) noexcept nogil:
    """Indexes are mostly small: there are never many live things."""
    cdef uint32_t r = _below(16)
    if r < 4 and a.n_interesting:
        return a.interesting[_below(a.n_interesting)]
    if r == 0:
        return _uniform(a)
    if r == 1:
        return _clamp(a, <int64_t>a.hi - _small())
    return _clamp(a, <int64_t>a.lo + _small())


cdef uint32_t _draw_int(const vf_arg* a) noexcept nogil:
    """A value that does not depend on the present one."""
    cdef uint32_t r
    cdef int unit
    if a.role == VF_ROLE_INDEX and not _one_in(16):
        return _draw_index(a)
    if a.role == VF_ROLE_COUNT and _one_in(2):
        return _clamp(a, <int64_t>a.lo + _below(2 << _small()))
    r = _below(16)
    if r < 5 and a.n_interesting:
        r = a.interesting[_below(a.n_interesting)]
        if _one_in(4):
            return _clamp(a, r + _either_sign(1 + _small()))
        return r
    if r < 6:
        return a.dflt
    if r < 7:
        return _clamp(a, <int64_t>a.lo + _small())
    if r < 8:
        return _clamp(a, <int64_t>a.hi - _small())
    if r < 9:
        return _clamp(a, a.dflt + _either_sign(1 + <int64_t>_below(16)))
    if r < 11:          # next to a power of two
        return _clamp(a, _beside(<int64_t>1 << _below(_bits(a.hi) + 1)))
    if r < 12:          # next to a multiple of 8..4096
        unit = 3 + _below(10)
        return _clamp(a, _beside(<int64_t>(_uniform(a) >> unit) << unit))
    if r < 14:          # any magnitude alike
        unit = _below(_bits(a.hi - a.lo) + 1)
        return _clamp(a, <int64_t>a.lo + (_random() & ((<int64_t>1 << unit) - 1)))
    return _uniform(a)


cdef inline uint32_t _flag_bit(const vf_arg* a) noexcept nogil:
    """One of the named bits."""
    cdef uint32_t left = a.mask
    cdef uint32_t _k
    for _k in range(_below(__builtin_popcount(a.mask))):
        left &= left - 1
    return left & (0 - left)


cdef uint32_t _draw(const vf_arg* a) noexcept nogil:
    """A value of any kind that does not depend on the present one."""
    cdef uint32_t r
    if a.kind == VF_INT:
        return _draw_int(a)
    if a.kind == VF_BOOL:
        return _random() & 1
    if a.n_interesting and _one_in(3):
        return a.interesting[_below(a.n_interesting)]
    if a.kind == VF_ENUM:
        return _below(a.n)
    r = _below(8)
    if r == 0:
        return 0
    if r < 3:
        return _flag_bit(a)
    if r < 5:
        return a.dflt ^ _flag_bit(a)
    if r == 5:
        return a.mask
    return _random() & a.mask


cdef uint32_t _borrow(const vf_schema* s, const vf_arg* a, uint32_t value) noexcept nogil:
    """A value that another int of the same role has somewhere in the program, boot record included,
    or one beside it: code compares a length with an earlier length."""
    cdef int _i
    cdef uint32_t k
    cdef uint32_t* values
    cdef vf_op* o
    cdef const vf_opdef* d
    for _i in range(6):
        if _one_in(4):
            d = &s.boot
            values = _p.boot
        else:
            o = &_p.ops[_below(_p.n_ops)]
            d = &s.ops[o.kind]
            values = o.arg
        if d.n_args:
            k = _below(d.n_args)
            if d.args[k].kind == VF_INT and d.args[k].role == a.role and values[k] != value:
                return _clamp(a, _beside(values[k]) if _one_in(2) else values[k])
    return _draw_int(a)


cdef uint32_t _ask_engine(const vf_arg* a, uint32_t value) noexcept nogil:
    """Let libFuzzer change the number. When the target compared this very value with another, the
    engine's table of compares can put the other in its place."""
    global _n_engine
    cdef uint32_t raw = value
    if _engine(<uint8_t*>&raw, sizeof(raw), sizeof(raw)) == 0:
        return value
    _n_engine += 1
    return vf_fit(a, raw)


cdef uint32_t _tweak_int(const vf_schema* s, const vf_arg* a, uint32_t value) noexcept nogil:
    cdef uint32_t r
    if _engine != NULL and _one_in(8):
        return _ask_engine(a, value)
    r = _below(16)
    if r < 2:
        return _clamp(a, value + _either_sign(1))
    if r < 4:
        return _clamp(a, value + _either_sign(1 + <int64_t>_below(16)))
    if r < 5:
        return _clamp(a, <int64_t>value * 2)
    if r < 6:
        return _clamp(a, <int64_t>value // 2)
    if r < 7:
        return vf_fit(a, value ^ (<uint32_t>1 << _below(_bits(a.hi))))
    if r < 8:
        return _clamp(a, value + _either_sign(<int64_t>1 << _below(_bits(a.hi))))
    if r < 10 and _p.n_ops:
        return _borrow(s, a, value)
    return _draw_int(a)


cdef uint32_t _tweak(const vf_schema* s, const vf_arg* a, uint32_t value) noexcept nogil:
    """Another value of any kind, often one near the present one."""
    if a.kind == VF_INT:
        return _tweak_int(s, a, value)
    if a.kind == VF_BOOL:
        return value ^ 1
    if a.kind == VF_ENUM:
        # n - 1 others, each with the same odds
        return (value + 1 + _below(a.n - 1)) % a.n if a.n > 1 else 0
    if a.n_interesting and _one_in(8):
        return a.interesting[_below(a.n_interesting)]
    return value ^ _flag_bit(a) if not _one_in(8) else _draw(a)


# -------- fresh ops

cdef inline int _pick_kind(const vf_schema* s) noexcept nogil:
    """A kind by weight."""
    cdef uint32_t left = _below(s.total_weight)
    cdef int kind = 0
    while left >= s.ops[kind].weight:
        left -= s.ops[kind].weight
        kind += 1
    return kind


cdef void _fresh_args(const vf_opdef* d, uint32_t* out) noexcept nogil:
    """Defaults, with one argument, some or all of them drawn."""
    cdef int i
    cdef int only = -1
    cdef uint32_t odds = 0          # of 4, that an argument is drawn
    cdef uint32_t style = _below(8)
    if d.n_args == 0:
        return
    if style < 3:
        only = _below(d.n_args)
    elif style < 6:
        odds = 2
    elif style < 7:
        odds = 4
    for i in range(d.n_args):
        out[i] = d.args[i].dflt
        if i == only or _below(4) < odds:
            out[i] = _draw(&d.args[i])


cdef void _fresh_fail(vf_op* o) noexcept nogil:
    """A fail property: an early site mostly, of any class half of the time."""
    o.fail_nth = <uint8_t>(1 + (_small() if not _one_in(8) else <int>_below(VF_FAIL_NTH_MAX)))
    if o.fail_nth > VF_FAIL_NTH_MAX:
        o.fail_nth = VF_FAIL_NTH_MAX
    o.fail_class = <uint8_t>(_below(4) if _one_in(2) else 0)
    o.fail_all = <uint8_t>_one_in(8)


cdef void _fresh_op(const vf_schema* s, vf_op* o) noexcept nogil:
    memset(o, 0, sizeof(vf_op))
    o.kind = <uint8_t>_pick_kind(s)
    _fresh_args(&s.ops[o.kind], o.arg)
    if _one_in(20):
        _fresh_fail(o)


# -------- steps on _p, at most cap ops

cdef inline void _open_gap(int at, int n) noexcept nogil:
    """Make room for n ops at a place. The caller has checked that they fit."""
    memmove(&_p.ops[at + n], &_p.ops[at], (_p.n_ops - at) * sizeof(vf_op))
    _p.n_ops += n


cdef inline void _close_gap(int at, int n) noexcept nogil:
    """Drop n ops at a place."""
    memmove(&_p.ops[at], &_p.ops[at + n], (_p.n_ops - at - n) * sizeof(vf_op))
    _p.n_ops -= n


cdef inline int _place() noexcept nogil:
    """Where to insert; often the end, since ops build on what was before them."""
    return _p.n_ops if _one_in(3) else <int>_below(_p.n_ops + 1)


cdef void _vary(const vf_schema* s, vf_op* o) noexcept nogil:
    """Change one argument of an op, if it has any."""
    cdef const vf_opdef* d = &s.ops[o.kind]
    cdef uint32_t k
    if d.n_args:
        k = _below(d.n_args)
        o.arg[k] = _tweak(s, &d.args[k], o.arg[k])


cdef void _step_insert(const vf_schema* s, int cap) noexcept nogil:
    cdef int n = 1 + (_small() if _one_in(2) else 0)
    cdef int at = _place()
    cdef int i
    cdef uint32_t style = _below(4)
    cdef vf_op model
    if n > INSERT_MAX:
        n = INSERT_MAX
    if n > cap - _p.n_ops:
        n = cap - _p.n_ops
    if n <= 0:
        return
    if style == 0 and _p.n_ops:
        model = _p.ops[_below(_p.n_ops)]        # more of what is there already
    else:
        _fresh_op(s, &model)
    _open_gap(at, n)
    for i in range(n):
        if style <= 1:                          # a burst of one kind
            _p.ops[at + i] = model
            if _one_in(2):
                _vary(s, &_p.ops[at + i])
        else:
            _fresh_op(s, &_p.ops[at + i])


cdef void _step_delete() noexcept nogil:
    cdef int at
    cdef int n
    if _p.n_ops < 2:
        return
    at = _below(_p.n_ops)
    n = 1 + _small()
    if _one_in(16) or n > _p.n_ops - at:
        n = _p.n_ops - at
    if n == _p.n_ops:
        n -= 1                                  # one op stays
    _close_gap(at, n)


cdef void _step_duplicate(int cap) noexcept nogil:
    """Copy a short range, now and then several times: rings fill up, counters overflow."""
    cdef int start, n, at, i
    cdef int times = 1
    if _p.n_ops == 0 or _p.n_ops >= cap:
        return
    start = _below(_p.n_ops)
    n = 1 + _small()
    if n > _p.n_ops - start:
        n = _p.n_ops - start
    if n > cap - _p.n_ops:
        n = cap - _p.n_ops
    if _one_in(4):
        times = 2 + _below(15)
        if times > (cap - _p.n_ops) // n:
            times = (cap - _p.n_ops) // n
    at = start + n if _one_in(2) else _place()
    memcpy(_scratch, &_p.ops[start], n * sizeof(vf_op))
    _open_gap(at, n * times)
    for i in range(times):
        memcpy(&_p.ops[at + i * n], _scratch, n * sizeof(vf_op))


cdef void _step_move() noexcept nogil:
    """Swap two ops, or move a short range elsewhere."""
    cdef int i, j, n
    cdef vf_op o
    if _p.n_ops < 2:
        return
    i = _below(_p.n_ops)
    if _one_in(2):
        j = (i + 1 if _one_in(2) else <int>_below(_p.n_ops)) % _p.n_ops
        o = _p.ops[i]
        _p.ops[i] = _p.ops[j]
        _p.ops[j] = o
        return
    n = 1 + _small()
    if n > _p.n_ops - i:
        n = _p.n_ops - i
    memcpy(_scratch, &_p.ops[i], n * sizeof(vf_op))
    _close_gap(i, n)
    j = _below(_p.n_ops + 1)
    _open_gap(j, n)
    memcpy(&_p.ops[j], _scratch, n * sizeof(vf_op))


cdef void _step_replace(const vf_schema* s) noexcept nogil:
    """Another op in the place of one, or another kind with the same numbers."""
    cdef vf_op* o
    cdef vf_op old
    cdef const vf_opdef* d
    cdef int i
    if _p.n_ops == 0:
        return
    o = &_p.ops[_below(_p.n_ops)]
    if _one_in(2):
        _fresh_op(s, o)
        return
    old = o[0]
    memset(o.arg, 0, sizeof(o.arg))
    o.kind = <uint8_t>_pick_kind(s)
    d = &s.ops[o.kind]
    for i in range(d.n_args):
        o.arg[i] = vf_fit(&d.args[i], old.arg[i])


cdef void _step_args(const vf_schema* s) noexcept nogil:
    """Tweak one argument, or two or three, or one in every op of a kind."""
    cdef vf_op* o = NULL
    cdef const vf_opdef* d = NULL
    cdef int i, n, _i
    cdef uint32_t k
    if _p.n_ops == 0:
        return
    for _i in range(4):                         # an op without arguments is a wasted step
        o = &_p.ops[_below(_p.n_ops)]
        d = &s.ops[o.kind]
        if d.n_args:
            break
    if d.n_args == 0:
        return
    if _one_in(16):
        k = _below(d.n_args)
        o.arg[k] = _tweak(s, &d.args[k], o.arg[k])
        for i in range(_p.n_ops):
            if _p.ops[i].kind == o.kind:
                _p.ops[i].arg[k] = o.arg[k]
        return
    n = 1 if not _one_in(4) else 2 + <int>_below(2)
    for _i in range(n):
        _vary(s, o)


cdef void _step_reset_args(const vf_schema* s) noexcept nogil:
    cdef vf_op* o
    if _p.n_ops:
        o = &_p.ops[_below(_p.n_ops)]
        _fresh_args(&s.ops[o.kind], o.arg)


cdef void _step_fail() noexcept nogil:
    cdef vf_op* o
    cdef int i
    if _p.n_ops == 0:
        return
    o = &_p.ops[_below(_p.n_ops)]
    if o.fail_nth == 0:
        _fresh_fail(o)
        if _one_in(2):                          # a program with one fault says more than with many
            for i in range(_p.n_ops):
                if &_p.ops[i] != o:
                    _clear_fail(&_p.ops[i])
        return
    i = _below(4)
    if i == 0:
        _clear_fail(o)
    elif i == 1 and o.fail_nth < VF_FAIL_NTH_MAX:
        o.fail_nth += 1
    elif i == 2:
        o.fail_class = <uint8_t>_below(4)
    else:
        _fresh_fail(o)


cdef inline void _clear_fail(vf_op* o) noexcept nogil:
    o.fail_nth = 0
    o.fail_class = 0
    o.fail_all = 0


cdef void _step_boot(const vf_schema* s) noexcept nogil:
    cdef uint32_t k
    cdef int _i
    if s.boot.n_args == 0:
        return
    for _i in range(1 + (_small() if _one_in(4) else 0)):
        k = _below(s.boot.n_args)
        _p.boot[k] = _tweak(s, &s.boot.args[k], _p.boot[k])


cdef void _step(const vf_schema* s, int cap) noexcept nogil:
    """One step. The odds are out of 32."""
    cdef uint32_t r = _below(32)
    if r < 7:
        _step_insert(s, cap)
    elif r < 10:
        _step_delete()
    elif r < 12:
        _step_duplicate(cap)
    elif r < 14:
        _step_move()
    elif r < 16:
        _step_replace(s)
    elif r < 27:
        _step_args(s)
    elif r < 29:
        _step_reset_args(s)
    else:
        _step_fail()


cdef void _steps(const vf_schema* s, int cap) noexcept nogil:
    """One to STEPS_MAX steps, few most of the time; in one of eight cases the boot record too."""
    cdef int n = 1 + _small()
    cdef int _i
    if cap == 0 or _one_in(8):
        _step_boot(s)
        if cap == 0 or _one_in(2):
            return
    if n > STEPS_MAX:
        n = STEPS_MAX
    for _i in range(n):
        _step(s, cap)


cdef void _fresh_ops(const vf_schema* s, int cap) noexcept nogil:
    """Fill a program that has no ops."""
    cdef int n = FRESH_MIN + _below(FRESH_MAX - FRESH_MIN + 1)
    cdef int i
    _p.n_ops = n if n < cap else cap
    for i in range(_p.n_ops):
        _fresh_op(s, &_p.ops[i])


cdef void _fresh_boot(const vf_schema* s) noexcept nogil:
    """The boot record that the text form means by nothing, varied half of the time."""
    cdef int i
    for i in range(s.boot.n_args):
        _p.boot[i] = s.boot.args[i].dflt
    if _one_in(2):
        _fresh_args(&s.boot, _p.boot)


# -------- whole mutations

cdef inline int _cap(const vf_schema* s, size_t max_size) noexcept nogil:
    """How many ops a result may have; -1 when not even a boot record fits."""
    cdef size_t cap = max_size // <size_t>s.record_size
    if cap > <size_t>s.max_ops:
        return s.max_ops
    return <int>cap - 1


cdef size_t _mutate(
    const vf_schema* s,
    const uint8_t* data,
    size_t size,
    uint8_t* out,
    size_t max_size,
    uint32_t seed,
) noexcept nogil:
    """Mutate `data` into `out`, which may be the same place. 0 when max_size has no room at all."""
    cdef int cap = _cap(s, max_size)
    cdef size_t done = 0
    cdef int _attempt
    if cap < 0:
        return 0
    _seed(seed)
    vf_decode(s, data, size, &_p)
    if _p.n_ops > cap:
        _p.n_ops = cap
    for _attempt in range(4):
        if size == 0:
            _fresh_boot(s)
        if _p.n_ops == 0 and cap > 0:
            _fresh_ops(s, cap)
        else:
            _steps(s, cap)
        done = vf_encode(s, &_p, _buffer, max_size if max_size < BUFFER_SIZE else BUFFER_SIZE)
        # An execution costs more than another attempt, so an input is not given back unchanged.
        if done != size or memcmp(_buffer, data, size) != 0:
            break
    memcpy(out, _buffer, done)
    return done


cdef inline int _append(const vf_op* ops, int n, int cap) noexcept nogil:
    """Add n ops to the end of _p, as far as they fit."""
    if n > cap - _p.n_ops:
        n = cap - _p.n_ops
    if n > 0:
        memmove(&_p.ops[_p.n_ops], ops, n * sizeof(vf_op))
        _p.n_ops += n
    return n


cdef void _splice(int cap) noexcept nogil:
    """The beginning of one parent, the end of the other."""
    cdef int i = _below(_p.n_ops + 1)
    cdef int j = _below(_q.n_ops + 1)
    _p.n_ops = i
    _append(&_q.ops[j], _q.n_ops - j, cap)


cdef void _transplant(int cap, bint replace) noexcept nogil:
    """A range of the other parent goes into this one, beside or instead of a range here."""
    cdef int at = _below(_p.n_ops + 1)
    cdef int start, n, tail
    if _q.n_ops == 0:
        return
    start = _below(_q.n_ops)
    n = 1 + _below(_q.n_ops - start)
    tail = at
    if replace:
        tail += _below(_p.n_ops - at + 1)
    tail = _p.n_ops - tail
    memcpy(_scratch, &_p.ops[_p.n_ops - tail], tail * sizeof(vf_op))
    _p.n_ops = at
    _append(&_q.ops[start], n, cap)
    _append(_scratch, tail, cap)


cdef void _interleave(int cap) noexcept nogil:
    """Both parents, each in its own order."""
    cdef int n = _p.n_ops
    cdef int i = 0
    cdef int j = 0
    memcpy(_scratch, _p.ops, n * sizeof(vf_op))
    _p.n_ops = 0
    while (i < n or j < _q.n_ops) and _p.n_ops < cap:
        if j >= _q.n_ops or (i < n and _one_in(2)):
            i += _append(&_scratch[i], 1, cap)
        else:
            j += _append(&_q.ops[j], 1, cap)


cdef void _cross_boot(const vf_schema* s) noexcept nogil:
    """Mostly keep the boot record: ops were found under it."""
    cdef uint32_t r = _below(8)
    cdef int i
    for i in range(s.boot.n_args):
        if r == 0 or (r == 1 and _one_in(2)):
            _p.boot[i] = _q.boot[i]


cdef size_t _crossover(
    const vf_schema* s,
    const uint8_t* data1,
    size_t size1,
    const uint8_t* data2,
    size_t size2,
    uint8_t* out,
    size_t max_size,
    uint32_t seed,
) noexcept nogil:
    """Cross two inputs into `out`. 0 when max_size has no room at all."""
    cdef int cap = _cap(s, max_size)
    cdef uint32_t r
    if cap < 0:
        return 0
    _seed(seed)
    vf_decode(s, data1, size1, &_p)
    vf_decode(s, data2, size2, &_q)
    if _p.n_ops > cap:
        _p.n_ops = cap
    _cross_boot(s)
    r = _below(8)
    if r < 3:
        _splice(cap)
    elif r < 5:
        _transplant(cap, False)
    elif r < 7:
        _transplant(cap, True)
    else:
        _interleave(cap)
    if _p.n_ops == 0 and cap > 0:
        _fresh_ops(s, cap)
    elif _one_in(2):
        _steps(s, cap)
    return vf_encode(s, &_p, out, max_size)


# -------- what the stub in preload.c calls

cdef size_t mutate(
    uint8_t* data, size_t size, size_t max_size, unsigned int seed
) noexcept nogil:
    global _engine, _n_mutate
    cdef size_t done
    _n_mutate += 1
    _engine = _stub_engine
    done = _mutate(_schema, data, size, data, max_size, seed)
    _engine = NULL
    return done


cdef size_t crossover(
    const uint8_t* data1,
    size_t size1,
    const uint8_t* data2,
    size_t size2,
    uint8_t* out,
    size_t max_size,
    unsigned int seed,
) noexcept nogil:
    global _engine, _n_crossover
    cdef size_t done
    _n_crossover += 1
    _engine = _stub_engine
    done = _crossover(_schema, data1, size1, data2, size2, out, max_size, seed)
    _engine = NULL
    return done


# -------- from Python

cdef const vf_schema* _table(schema) except NULL:
    return <const vf_schema*>PyCapsule_GetPointer(schema_capsule(schema), "vf_schema")


def stub_path():
    """The library with libFuzzer's symbols, built from preload.c: what to put into LD_PRELOAD."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "_preload.so")


cdef void* _stub_symbol(const char* name) except NULL:
    cdef void* symbol = dlsym(RTLD_DEFAULT, name)
    if symbol == NULL:
        raise RuntimeError(
            f"{stub_path()} has no {name.decode()}: it is older than this module; build again"
        )
    return symbol


cdef int _load_stub() except -1:
    """Bring the stub into the global scope, unless LD_PRELOAD did."""
    if dlsym(RTLD_DEFAULT, "vfuzz_set_mutator") != NULL:
        return 0
    path = stub_path()
    if not os.path.exists(path):
        raise RuntimeError(f"{path} is missing: build the extensions")
    if dlsym(RTLD_DEFAULT, "LLVMFuzzerRunDriver") != NULL:
        raise RuntimeError(
            f"libFuzzer is already loaded, so it would never call the mutator: add {path} to "
            f"LD_PRELOAD, or install the mutator before anything loads libFuzzer"
        )
    if "atheris.core_with_libfuzzer" in sys.modules:
        raise RuntimeError(
            "atheris.core_with_libfuzzer is already imported, so it would never call the mutator: "
            "install the mutator before importing it"
        )
    if dlopen(os.fsencode(path), RTLD_NOW | RTLD_GLOBAL) == NULL:
        raise RuntimeError(f"cannot load {path}: {dlerror().decode(errors='replace')}")
    return 0


def install(schema):
    """Make libFuzzer mutate programs of this schema.

    Call it before `atheris.core_with_libfuzzer` is imported; atheris itself may be. Where libFuzzer
    comes by LD_PRELOAD (OSS-Fuzz), stub_path() has to be in LD_PRELOAD too. A later call changes
    the schema. Raises RuntimeError, saying what to do, when libFuzzer could not call the mutator.
    """
    global _schema, _stub_engine
    cdef const vf_schema* s = _table(schema)
    cdef void* set_mutator
    _load_stub()
    set_mutator = _stub_symbol("vfuzz_set_mutator")
    _stub_engine = <engine_fn>_stub_symbol("vfuzz_engine_mutate")
    _schema = s
    (<set_mutator_fn>set_mutator)(mutate, crossover)


def mutator_calls():
    """How often libFuzzer has called the mutator or the crossover in this process."""
    return _n_mutate + _n_crossover


def mutator_counters():
    """The calls by kind: {"mutate", "crossover", "engine"}; "engine" counts the numbers that were
    handed on to libFuzzer's own mutations."""
    return {"mutate": _n_mutate, "crossover": _n_crossover, "engine": _n_engine}


cdef size_t _limit(const vf_schema* s, max_size) except? 0:
    cdef size_t most = <size_t>((s.max_ops + 1) * s.record_size)
    if max_size is None:
        return most
    if max_size < s.record_size:
        raise ValueError(f"max_size {max_size} has no room for a record of {s.record_size} bytes")
    return min(most, <size_t>max_size)


def mutate_bytes(schema, data, *, seed, max_size=None):
    """What the mutator makes of `data`, for tests and for use without libFuzzer.

    seed      0..2**32-1; the same (data, seed, max_size) always give the same bytes
    max_size  bytes of the result at most; the longest program when not given
    """
    cdef const vf_schema* s = _table(schema)
    cdef size_t most = _limit(s, max_size)
    cdef const uint8_t[::1] view = data
    cdef uint8_t out[BUFFER_SIZE]
    cdef size_t n
    n = _mutate(
        s, &view[0] if view.shape[0] else NULL, <size_t>view.shape[0], out, most, seed
    )
    return bytes(out[:n])


def crossover_bytes(schema, data1, data2, *, seed, max_size=None):
    """What the crossover makes of two inputs; the arguments are as in mutate_bytes."""
    cdef const vf_schema* s = _table(schema)
    cdef size_t most = _limit(s, max_size)
    cdef const uint8_t[::1] one = data1
    cdef const uint8_t[::1] two = data2
    cdef uint8_t out[BUFFER_SIZE]
    cdef size_t n
    n = _crossover(
        s,
        &one[0] if one.shape[0] else NULL,
        <size_t>one.shape[0],
        &two[0] if two.shape[0] else NULL,
        <size_t>two.shape[0],
        out,
        most,
        seed,
    )
    return bytes(out[:n])
