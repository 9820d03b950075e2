# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of the world that every target shares: verdict, trace, budget, faults, feedback.

One extension module holds one world, in static storage, so that a field is one load away and the
C compiler sees every access. A program runs from `bytes` to verdict without Python: a violation
records itself here and leaves the run with longjmp, so no model function has an error path that
upstream does not have.

The including module defines, before this file:
    CHECK_HANG                  the check, one of CHECK_<ID>, that an op without an end violates
"""
from libc.setjmp cimport jmp_buf, setjmp, longjmp
from libc.stdint cimport (int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
                          uintptr_t)
from libc.string cimport memcmp, memcpy, memmove, memset

from vfuzz.program.codec cimport VF_MAX_OPS, vf_decode, vf_op, vf_program, vf_schema

cdef extern from *:
    """
    /* A site is a label "function:what", unique in the target: the report finds its line. */
    typedef const char *site_t;

    /* Return types of functions off the hot way, as Cython knows no function attributes: a small
       inline function stays small only if what it calls in the rare case is not inlined into it.
       Cold ones are hardly ever called at all: verdicts, and what only a traced run does. */
    #define cold_void __attribute__((cold, noinline)) void
    #define apart_void __attribute__((noinline)) void
    #define apart_int __attribute__((noinline)) int

    /* And of functions on the hot way that must be inlined: a caller that passes a constant, as
       "one part", then gets its own copy without the loop. Cython gives the variable of the result
       the same type, where the attribute means nothing. */
    #if defined(__clang__)
    #  pragma clang diagnostic ignored "-Wignored-attributes"
    #elif defined(__GNUC__)
    #  pragma GCC diagnostic ignored "-Wattributes"
    #endif
    #define always_void __attribute__((always_inline)) void
    #define always_int __attribute__((always_inline)) int
    #define always_u32 __attribute__((always_inline)) uint32_t
    #define always_u64 __attribute__((always_inline)) uint64_t
    """
    ctypedef const char* site_t
    ctypedef void cold_void
    ctypedef void apart_void
    ctypedef int apart_int
    ctypedef void always_void
    ctypedef int always_int
    ctypedef uint32_t always_u32
    ctypedef uint64_t always_u64
    bint likely(bint condition) nogil
    bint unlikely(bint condition) nogil

cdef enum:
    FAULT_ANY = 0               # classes of fault sites, as in the text form's fail(class, nth)
    FAULT_ALLOC = 1
    FAULT_MAP = 2
    FAULT_ADD = 3

    STEPS_OP_MAX = 20_000       # loop iterations inside one op: more is a hang
    STEPS_TOTAL_MAX = 200_000   # and in one program
    EVENTS_MAX = 65_536         # trace entries kept; later ones are counted only
    OBS_MAX = 4_096             # observables kept in one traced run
    FEEDBACK_SIZE = 16_384      # state counters that libFuzzer sees; few are two states' at once

cdef struct Event:
    int16_t op
    const char* what            # "get", "put", "post", ...
    const char* obj             # kind of object
    int64_t obj_id
    int64_t a
    int64_t b
    site_t site

cdef struct Obs:
    int16_t op
    const char* name
    int64_t value

cdef struct World:
    int era
    uint64_t quirks[2]          # bit i = quirk i is on: the model has that bug
    # the first violation of the run; a judge never reads era or quirks
    bint bad
    int bad_check
    site_t bad_site
    const char* bad_obj
    int64_t bad_obj_id
    const char* bad_fmt         # printf-like, %lld only
    int64_t bad_arg[3]
    int bad_op
    # where the run is
    int op                      # index of the running op; -1 boot, n_ops shutdown
    int32_t steps_left          # of STEPS_OP_MAX, in this op
    uint32_t steps_total        # in the ops before
    # fault injection of the running op, from its fail() property
    uint8_t fail_nth
    uint8_t fail_class
    uint8_t fail_all
    uint32_t fault_seen
    uint32_t faults_fired       # in this op
    # trace, only on a re-run: with W_trace
    uint32_t n_events
    uint32_t n_obs

cdef World W
cdef bint W_trace               # by itself: a store to W then does not hide that it is off
cdef jmp_buf W_env
cdef vf_program P
cdef Event W_events[EVENTS_MAX]
cdef Obs W_obs[OBS_MAX]
cdef uint8_t W_feedback[FEEDBACK_SIZE]
cdef uintptr_t W_feedback_pcs[2 * FEEDBACK_SIZE]


cdef inline bint quirk(int q) noexcept nogil:
    """Is historical bug `q` (QUIRK_*) switched on? Only models ask, checks never do."""
    return (W.quirks[q >> 6] >> (q & 63)) & 1


cdef cold_void ev_slow(const char* what, const char* obj, int64_t obj_id, int64_t a, int64_t b,
                       site_t site) noexcept nogil:
    cdef Event* e
    if W.n_events < EVENTS_MAX:
        e = &W_events[W.n_events]
        e.op = <int16_t>W.op
        e.what = what
        e.obj = obj
        e.obj_id = obj_id
        e.a = a
        e.b = b
        e.site = site
    W.n_events += 1


cdef inline void ev(const char* what, const char* obj, int64_t obj_id, int64_t a, int64_t b,
                    site_t site) noexcept nogil:
    """Trace one step of an object's life; free unless the run is traced."""
    if unlikely(W_trace):
        ev_slow(what, obj, obj_id, a, b, site)


cdef cold_void obs_slow(const char* name, int64_t value) noexcept nogil:
    if W.n_obs < OBS_MAX:
        W_obs[W.n_obs].op = <int16_t>W.op
        W_obs[W.n_obs].name = name
        W_obs[W.n_obs].value = value
        W.n_obs += 1


cdef inline void obs(const char* name, int64_t value) noexcept nogil:
    """Record one observable of the running op: what a real kernel could be asked for too."""
    if unlikely(W_trace):
        obs_slow(name, value)


cdef inline void event(uint32_t state) noexcept nogil:
    """State feedback: a reached state becomes a libFuzzer feature (mixed into FEEDBACK_SIZE)."""
    cdef uint32_t h = state * <uint32_t>0x9E3779B1
    W_feedback[(h >> 18) & (FEEDBACK_SIZE - 1)] += 1


cdef cold_void violation(int check, site_t site, const char* obj, int64_t obj_id, const char* fmt,
                         int64_t a, int64_t b, int64_t c) noexcept nogil:
    """Record the violation of `check` and leave the run; does not return.

    site: unique label "function:what"; obj/obj_id: the object it is about; fmt: message with up to
    three %lld. The first violation ends the program.
    """
    W.bad = True
    W.bad_check = check
    W.bad_site = site
    W.bad_obj = obj
    W.bad_obj_id = obj_id
    W.bad_fmt = fmt
    W.bad_arg[0] = a
    W.bad_arg[1] = b
    W.bad_arg[2] = c
    W.bad_op = W.op
    longjmp(W_env, 1)


cdef cold_void give_up() noexcept nogil:
    """Leave the run without a verdict: it needs more than an arena of ours holds."""
    longjmp(W_env, 1)


cdef bint fault_slow(int cls, site_t site) noexcept nogil:
    if W.fail_class != FAULT_ANY and W.fail_class != cls:
        return False
    W.fault_seen += 1
    if W.fault_seen == W.fail_nth or (W.fail_all and W.fault_seen > W.fail_nth):
        W.faults_fired += 1
        ev(b"fault", b"fault", W.fault_seen, cls, 0, site)
        return True
    return False


cdef inline bint fault(int cls, site_t site) noexcept nogil:
    """Does the fault property of the running op hit this site? Every allocation, mapping and ring
    add asks exactly once, so `fail(nth)` reaches each of them."""
    if likely(W.fail_nth == 0):
        return False
    return fault_slow(cls, site)


cdef inline uint32_t steps_op() noexcept nogil:
    """Steps that the running op made so far."""
    return <uint32_t>(STEPS_OP_MAX - W.steps_left)


cdef cold_void hang(site_t site) noexcept nogil:
    violation(CHECK_HANG, site, b"op", W.op, b"made %lld steps in this op, %lld in the program",
              steps_op(), W.steps_total + steps_op(), 0)


cdef inline void step(site_t site) noexcept nogil:
    """One iteration of a loop whose length an input controls: a hang is CHECK_HANG."""
    # counted down: so it is one instruction and a branch, in hundreds of places a program
    W.steps_left -= 1
    if unlikely(W.steps_left < 0):
        hang(site)


cdef inline void world_begin_op(int index, const vf_op* op) noexcept nogil:
    """Enter op `index`; op NULL outside of any op (boot, shutdown): no faults there."""
    W.op = index
    W.steps_total += steps_op()
    W.steps_left = STEPS_OP_MAX
    W.fault_seen = 0
    W.faults_fired = 0
    W.fail_nth = 0
    if op != NULL:
        W.fail_nth = op.fail_nth
        W.fail_class = op.fail_class
        W.fail_all = op.fail_all
    if unlikely(W.steps_total > STEPS_TOTAL_MAX):
        hang(b"world_begin_op:total")


cdef inline void world_reset(int era, uint64_t quirks_lo, uint64_t quirks_hi,
                             bint trace) noexcept nogil:
    global W_trace
    W.era = era
    W.quirks[0] = quirks_lo
    W.quirks[1] = quirks_hi
    W.bad = False
    W.op = -1
    W.steps_left = STEPS_OP_MAX
    W.steps_total = 0
    W.fail_nth = 0
    W.faults_fired = 0
    W_trace = trace
    W.n_events = 0
    W.n_obs = 0
