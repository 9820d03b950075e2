# SPDX-License-Identifier: GPL-2.0-or-later
"""The Python side of a target's extension: execute one program, be atheris' callback, count.

The including module defines, before this file:
    void target_boot() noexcept nogil           reset the target's own state, act on P.boot
    void target_op(const vf_op*) noexcept nogil run one op
    void target_after_op() noexcept nogil       books and invariants that hold after each op
    void target_shutdown() noexcept nogil       bring the world to quiescence, end checks
and the Python-level constants CHECK_IDS (tuple of check ids) and SCHEMA.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.pycapsule cimport PyCapsule_GetPointer

cdef extern from *:
    """
    #if defined(__has_feature)
    #  if __has_feature(address_sanitizer)
    #    define VFUZZ_ASAN 1
    #  endif
    #endif
    #ifndef VFUZZ_ASAN
    #  define VFUZZ_ASAN 0
    #endif
    #ifndef VFUZZ_INSTRUMENTED
    #  define VFUZZ_INSTRUMENTED 0
    #endif
    """
    int VFUZZ_ASAN
    int VFUZZ_INSTRUMENTED
    const char* VFUZZ_COMPILER "__VERSION__"

cdef const vf_schema* SCHEMA_C = NULL
cdef object _capsule = None

cdef struct Campaign:
    int n_eras
    int eras[8]
    uint64_t quirks[2]
    uint64_t executions
    uint64_t ops
    uint64_t violations
    uint64_t known_hits
    uint64_t pulse_every
    uint64_t pulse_next

cdef struct Stepped:            # a violation met before and known: counted without Python
    int check
    int era
    site_t site
    uint64_t hits

cdef enum:
    STEPPED_MAX = 256

cdef Stepped C_stepped[STEPPED_MAX]
cdef int C_n_stepped = 0
cdef Campaign C
cdef set _known = set()
cdef object _on_violation = None
cdef object _on_pulse = None


cdef apart_void run_ops() noexcept nogil:
    """Run P from boot to shutdown. Not where setjmp() is: there nothing can be inlined well."""
    cdef int i
    world_begin_op(-1, NULL)
    target_boot()
    for i in range(P.n_ops):
        world_begin_op(i, &P.ops[i])
        target_op(&P.ops[i])
        target_after_op()
    world_begin_op(P.n_ops, NULL)
    target_shutdown()


cdef int run_program(const uint8_t* data, size_t size, int era, uint64_t quirks_lo,
                     uint64_t quirks_hi, bint trace) noexcept nogil:
    """bytes -> verdict: 1 if a check was violated (details in W), else 0. The whole way is C."""
    vf_decode(SCHEMA_C, data, size, &P)
    world_reset(era, quirks_lo, quirks_hi, trace)
    if setjmp(W_env) == 0:
        run_ops()
    return W.bad


cdef uint32_t fnv1a32(const uint8_t* data, size_t size) noexcept nogil:
    cdef uint32_t h = 2166136261u
    cdef size_t i
    for i in range(size):
        h = (h ^ data[i]) * <uint32_t>16777619
    # the low bits of FNV are its weak ones, and they choose the era
    return h ^ (h >> 15)


cdef dict _texts = {}           # by address: of literals, of which a trace names few many times


cdef str _text(const char* s):
    """A literal as text, the same object each time."""
    if s == NULL:
        return ""
    address = <uintptr_t>s
    text = _texts.get(address)
    if text is None:
        text = _texts[address] = s.decode("ascii")
    return text


cdef dict _violation_dict():
    message = _text(W.bad_fmt)
    args = [W.bad_arg[0], W.bad_arg[1], W.bad_arg[2]]
    for value in args[:message.count("%lld")]:
        message = message.replace("%lld", str(value), 1)
    return {
        "check": W.bad_check, "site": _text(W.bad_site), "op": W.bad_op,
        "obj": _text(W.bad_obj), "obj_id": W.bad_obj_id, "message": message,
    }


def _require_schema():
    global SCHEMA_C, _capsule
    if SCHEMA_C == NULL:
        from vfuzz.program.codec import schema_capsule
        _capsule = schema_capsule(SCHEMA)
        SCHEMA_C = <const vf_schema*>PyCapsule_GetPointer(_capsule, "vf_schema")


def execute(bytes data, int era, object quirks=0, bint trace=False, bint events=True):
    """Run one program (binary form) in `era` with the quirk bit mask; returns the raw result dict.

    Keys: violation (dict or None), n_ops; with trace also steps and, unless they are not wanted,
    events. Same arguments, same result, in every process and build.
    """
    _require_schema()
    cdef uint64_t lo = quirks & 0xFFFFFFFFFFFFFFFF
    cdef uint64_t hi = quirks >> 64
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef size_t n = PyBytes_GET_SIZE(data)
    cdef int bad
    cdef uint32_t i
    with nogil:
        bad = run_program(p, n, era, lo, hi, trace)
    result = {"violation": _violation_dict() if bad else None, "n_ops": P.n_ops}
    if trace:
        steps = [{"op": k, "obs": []} for k in range(-1, P.n_ops + 1)]
        for i in range(W.n_obs):
            steps[W_obs[i].op + 1]["obs"].append((_text(W_obs[i].name), W_obs[i].value))
        result["steps"] = steps
    if trace and events:
        result["events"] = [
            (W_events[i].op, _text(W_events[i].what), _text(W_events[i].obj), W_events[i].obj_id,
             W_events[i].a, W_events[i].b, _text(W_events[i].site))
            for i in range(min(W.n_events, <uint32_t>EVENTS_MAX))]
        result["events_dropped"] = max(0, <int64_t>W.n_events - EVENTS_MAX)
    return result


def era_of(bytes data, tuple eras):
    """The era in which fuzz_one runs `data` when a campaign covers several eras."""
    return eras[fnv1a32(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
                % <uint32_t>len(eras)]


def configure(tuple eras, object quirks, object known, object on_violation,
              uint64_t pulse_every=0, object on_pulse=None):
    """Set what fuzz_one does: eras and quirks to run, signatures to step over, callbacks.

    on_violation(data, era, violation dict) is called for a signature that is not known; on_pulse()
    every `pulse_every` executions (0: never).
    """
    global _known, _on_violation, _on_pulse, C_n_stepped
    if not 1 <= len(eras) <= 8:
        raise ValueError(f"a campaign runs 1 to 8 eras, not {len(eras)}")
    _require_schema()
    C.n_eras = len(eras)
    for i, era in enumerate(eras):
        C.eras[i] = era
    C.quirks[0] = quirks & 0xFFFFFFFFFFFFFFFF
    C.quirks[1] = quirks >> 64
    C.executions = C.ops = C.violations = C.known_hits = 0
    C.pulse_every = pulse_every
    C.pulse_next = pulse_every if pulse_every else <uint64_t>-1
    _known = set(known)
    C_n_stepped = 0
    _on_violation = on_violation
    _on_pulse = on_pulse


def add_known(str signature):
    """Step over `signature` from now on."""
    _known.add(signature)


cdef bint _stepped_over(int era) noexcept nogil:
    """Is the violation in W one that was known before? A site is one literal, so its address is
    its identity."""
    cdef int i
    C.violations += 1
    for i in range(C_n_stepped):
        if (C_stepped[i].site == W.bad_site and C_stepped[i].check == W.bad_check
                and C_stepped[i].era == era):
            C_stepped[i].hits += 1
            C.known_hits += 1
            return True
    return False


cdef int _report(bytes data, int era) except -1:
    global C_n_stepped
    raw = _violation_dict()
    signature = f"{CHECK_IDS[raw['check']]}@{raw['site']}"
    # an era's own known signatures are keyed "era-index:signature", found ones by signature alone
    if signature in _known or f"{era}:{signature}" in _known:
        C.known_hits += 1
        if C_n_stepped < STEPPED_MAX:
            C_stepped[C_n_stepped].check = W.bad_check
            C_stepped[C_n_stepped].era = era
            C_stepped[C_n_stepped].site = W.bad_site
            C_stepped[C_n_stepped].hits = 1
            C_n_stepped += 1
        return 0
    if _on_violation is None:
        raise RuntimeError(f"{signature}: {raw['message']}")
    _on_violation(data, era, raw)
    return 0


def fuzz_one(bytes data):
    """atheris' TestOneInput: run `data`, report a violation that is not known."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef size_t n = PyBytes_GET_SIZE(data)
    cdef int era = C.eras[0]
    cdef int bad
    if C.n_eras > 1:
        era = C.eras[fnv1a32(p, n) % <uint32_t>C.n_eras]
    bad = run_program(p, n, era, C.quirks[0], C.quirks[1], False)
    C.executions += 1
    C.ops += P.n_ops
    if bad and not _stepped_over(era):
        _report(data, era)
    if C.executions >= C.pulse_next:
        C.pulse_next = C.executions + C.pulse_every
        if _on_pulse is not None:
            _on_pulse()


def noop(bytes data):
    """The empty target: what the engine costs by itself (bench: the floor)."""


def counters():
    """Totals since configure(): executions, ops, violations, known_hits, known (signature: hits,
    keyed "era-index:signature")."""
    known = {
        f"{C_stepped[i].era}:{CHECK_IDS[C_stepped[i].check]}@{_text(C_stepped[i].site)}":
            C_stepped[i].hits
        for i in range(C_n_stepped)}
    return {"executions": C.executions, "ops": C.ops, "violations": C.violations,
            "known_hits": C.known_hits, "known": known}


def bench(list inputs, int rounds, int era, object quirks=0):
    """Run every input `rounds` times without the engine; returns (executions, ops). For bench/."""
    _require_schema()
    cdef uint64_t lo = quirks & 0xFFFFFFFFFFFFFFFF
    cdef uint64_t hi = quirks >> 64
    cdef uint64_t executions = 0, ops = 0
    cdef int i, j, n = len(inputs)
    cdef bytes data
    for i in range(rounds):
        for j in range(n):
            data = <bytes>inputs[j]
            run_program(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), era,
                        lo, hi, False)
            executions += 1
            ops += P.n_ops
    return executions, ops


def feedback():
    """Copy of the state-feedback counters of the last run(s) (tests: which states were reached)."""
    return bytes(W_feedback[:FEEDBACK_SIZE])


def feedback_clear():
    """Zero the state-feedback counters."""
    memset(W_feedback, 0, FEEDBACK_SIZE)


def feedback_register():
    """Make the state-feedback array libFuzzer features; call once, before atheris.Fuzz().

    libFuzzer's entry points are looked up in the process, so the extension also loads without it.
    """
    import ctypes
    process = ctypes.CDLL(None)
    try:
        counters_init = process.__sanitizer_cov_8bit_counters_init
        pcs_init = process.__sanitizer_cov_pcs_init
    except AttributeError:
        raise RuntimeError(
            "no libFuzzer in this process: load the atheris core with RTLD_GLOBAL before "
            "feedback_register()") from None
    start = <uintptr_t>&W_feedback[0]
    pcs = <uintptr_t>&W_feedback_pcs[0]
    for i in range(FEEDBACK_SIZE):
        # distinct made-up program counters, flagged as function entries: libFuzzer only prints them
        W_feedback_pcs[2 * i] = start + i
        W_feedback_pcs[2 * i + 1] = 1
    counters_init(ctypes.c_void_p(start), ctypes.c_void_p(start + FEEDBACK_SIZE))
    pcs_init(ctypes.c_void_p(pcs), ctypes.c_void_p(pcs + sizeof(W_feedback_pcs)))


def build_info():
    """How this extension was compiled: instrumented for coverage, AddressSanitizer, compiler."""
    return {"instrumented": bool(VFUZZ_INSTRUMENTED), "asan": bool(VFUZZ_ASAN),
            "compiler": VFUZZ_COMPILER.decode()}
