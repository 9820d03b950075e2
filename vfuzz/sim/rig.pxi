# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The rig: drives single parts of the world from Python, under the same judge as a program.

A program reaches the parts only through a model. The rig runs a *script* of primitives instead,
each one call of a function of a part, so that a part and its checks are tested where they live, and
a new model can be tried out step by step:

    results, violation = core.rig([
        ("alloc_pages", 0, "H_DRV"),            # step 0: its result is the frame
        ("put_page", Ref(0), "H_DRV"),
        ("put_page", Ref(0), "H_DRV"),          # step 2: S1
    ])

An argument is an int, the name of a constant, or a Ref to the result of an earlier step; those left
out at the end are 0. What has a number in the world is named by it; what has none lies in numbered
places. `peek` and `poke` read and write single fields. rig_primitives() and rig_fields() list
everything.

This file has the machinery, and the primitives of the world. The parts bring their own, functions
called rig_*, like these, and one call of _rig_add() for each: sim/rig_parts.pxi those of memory,
dma, skb, virtqueue and work, a target's rig.pxi the target's. Primitives run without the GIL, below
setjmp, as models do. Nothing here is on the way of a program: the files are included behind all
other parts, before sim/entry.pxi. The including file defines:
    void rig_reset(bint empty) noexcept nogil   no places in use; empty: and a world without program
    void _rig_add_target()                      all that is not in this file
and, if the world has options, their names in _RIG_OPTIONS; X.option has their values.
"""
from libc.stdlib cimport calloc, free

cdef enum:
    RIG_ARGS_MAX = 8
    RIG_PRIMITIVES_MAX = 160
    RIG_FIELDS_MAX = 160
    RIG_OPTIONS_MAX = 4

ctypedef int64_t (*rig_function)(const int64_t* a) noexcept nogil

cdef struct RigPrimitive:
    rig_function run
    int n_args
    int64_t limit[RIG_ARGS_MAX]  # an argument must be below, and not negative; 0: any value

cdef struct RigField:
    char* at                    # of element 0, 0
    int size                    # bytes: 1 and 2 unsigned, 4 and 8 signed
    int n                       # elements, and bytes from one to the next
    int64_t stride
    int n_inner                 # the same of an array inside of an element
    int64_t stride_inner

cdef struct RigStep:
    int primitive
    int64_t arg[RIG_ARGS_MAX]
    int ref[RIG_ARGS_MAX]       # result to add to the argument, -1 none

cdef struct RigRun:
    const RigStep* steps
    int64_t* results
    int n
    int done                    # results so far
    int64_t option[RIG_OPTIONS_MAX]
    int bad_arg                 # number of an argument out of its limits, -1 none
    int64_t bad_value

cdef RigPrimitive X_primitives[RIG_PRIMITIVES_MAX]
cdef RigField X_fields[RIG_FIELDS_MAX]
cdef RigRun X
cdef site_t X_SITE = b"rig:step"
cdef dict _rig_numbers = {}     # name of a primitive -> its number
cdef dict _rig_signatures = {}  # name of a primitive -> signature
cdef dict _rig_field_numbers = {}


cdef void rig_refuse(int arg, int64_t value) noexcept nogil:
    """End the script: argument number `arg` of the running step names nothing. Does not return."""
    X.bad_arg = arg
    X.bad_value = value
    longjmp(W_env, 2)


# ---- the world ---------------------------------------------------------------------------------

cdef int64_t rig_fail(const int64_t* a) noexcept nogil:
    W.fail_nth = <uint8_t>a[0]
    W.fail_class = <uint8_t>a[1]
    W.fail_all = <uint8_t>a[2]
    W.fault_seen = 0
    return 0


cdef int64_t rig_fault(const int64_t* a) noexcept nogil:
    return fault(<int>a[0], X_SITE)


cdef int64_t rig_steps(const int64_t* a) noexcept nogil:
    cdef int64_t i
    for i in range(a[0]):
        step(X_SITE)
    return steps_op()


cdef int64_t rig_next_op(const int64_t* a) noexcept nogil:
    world_begin_op(W.op, NULL)
    return W.steps_total


cdef int64_t rig_after_op(const int64_t* a) noexcept nogil:
    target_after_op()
    return 0


cdef int64_t rig_shutdown(const int64_t* a) noexcept nogil:
    target_shutdown()
    return 0


cdef char* rig_field_at(const int64_t* a, int i) noexcept nogil:
    """Where the field a[0] lies, with its indexes in a[i] and a[i + 1]."""
    cdef RigField* f = &X_fields[a[0]]
    if a[i] < 0 or a[i] >= f.n:
        rig_refuse(i, a[i])
    if a[i + 1] < 0 or a[i + 1] >= f.n_inner:
        rig_refuse(i + 1, a[i + 1])
    return f.at + a[i] * f.stride + a[i + 1] * f.stride_inner


cdef int64_t rig_peek(const int64_t* a) noexcept nogil:
    cdef char* p = rig_field_at(a, 1)
    cdef int size = X_fields[a[0]].size
    if size == 1:
        return (<uint8_t*>p)[0]
    if size == 2:
        return (<uint16_t*>p)[0]
    if size == 4:
        return (<int32_t*>p)[0]
    return (<int64_t*>p)[0]


cdef int64_t rig_poke(const int64_t* a) noexcept nogil:
    cdef char* p = rig_field_at(a, 2)
    cdef int size = X_fields[a[0]].size
    if size == 1:
        (<uint8_t*>p)[0] = <uint8_t>a[1]
    elif size == 2:
        (<uint16_t*>p)[0] = <uint16_t>a[1]
    elif size == 4:
        (<int32_t*>p)[0] = <int32_t>a[1]
    else:
        (<int64_t*>p)[0] = a[1]
    return a[1]


cdef void _rig_add_world():
    _rig_add("fail nth class all", rig_fail)
    _rig_add("fault class -> does it fail", rig_fault)
    _rig_add("steps count -> steps of this op", rig_steps)
    _rig_add("next_op -> steps of the program", rig_next_op)
    _rig_add("after_op", rig_after_op)
    _rig_add("shutdown", rig_shutdown)
    _rig_add("peek field i j -> value", rig_peek)
    _rig_add("poke field value i j -> value", rig_poke)


# ---- running a script --------------------------------------------------------------------------

_RIG_CONSTANTS = {
    "FAULT_ANY": FAULT_ANY, "FAULT_ALLOC": FAULT_ALLOC, "FAULT_MAP": FAULT_MAP,
    "FAULT_ADD": FAULT_ADD, "STEPS_OP_MAX": STEPS_OP_MAX,
}

#: Arguments of these names must be below the limit: they index something, here or in the world.
_RIG_LIMITS = {"class": 4, "count": 1 << 20, "nth": 32}

#: Names of the world's options.
_RIG_OPTIONS = ()


cdef void _rig_add(str signature, rig_function run):
    """Make `run` a primitive. signature: "name argument ... -> what it returns"."""
    cdef int number = len(_rig_numbers), i
    name, *arguments = signature.partition(" -> ")[0].split()
    if number >= RIG_PRIMITIVES_MAX or len(arguments) > RIG_ARGS_MAX or name in _rig_numbers:
        raise ValueError(f"rig: no place for {signature!r}")
    _rig_numbers[name] = number
    _rig_signatures[name] = signature
    X_primitives[number].run = run
    X_primitives[number].n_args = len(arguments)
    for i, argument in enumerate(arguments):
        X_primitives[number].limit[i] = _RIG_LIMITS.get(argument, 0)


cdef void _rig_field(str name, void* at, int size, int n=1, int64_t stride=0, int n_inner=1,
                     int64_t stride_inner=0):
    """Let peek and poke at a field: its address in element 0, bytes; the array it is in, and an
    array inside of an element."""
    cdef int number = len(_rig_field_numbers)
    if number >= RIG_FIELDS_MAX or name in _rig_field_numbers:
        raise ValueError(f"rig: no place for field {name!r}")
    _rig_field_numbers[name] = number
    X_fields[number].at = <char*>at
    X_fields[number].size = size
    X_fields[number].n = n
    X_fields[number].stride = stride
    X_fields[number].n_inner = n_inner
    X_fields[number].stride_inner = stride_inner


cdef void _rig_ready():
    """Fill the tables on the first use."""
    if not _rig_numbers:
        _rig_add_world()
        _rig_add_target()


class Ref:
    """The result of step `step` of the script, plus `plus`; a negative step counts back from the
    step that refers to it (Ref(-1): the one before)."""

    __slots__ = ("plus", "step")

    def __init__(self, step, plus=0):
        self.step = step
        self.plus = plus

    def __add__(self, plus):
        return Ref(self.step, self.plus + plus)

    def __sub__(self, plus):
        return Ref(self.step, self.plus - plus)

    def __repr__(self):
        return f"Ref({self.step}, {self.plus})"


cdef int rig_run(const vf_program* program, int era, uint64_t quirks_lo, uint64_t quirks_hi,
                 bint keep) noexcept nogil:
    """Set the world up and run the steps of X; 1 if a check was violated (details in W), else 0."""
    cdef int i, k, first = 0
    cdef int64_t arg[RIG_ARGS_MAX]
    cdef const RigStep* s
    cdef const RigPrimitive* p
    if keep:
        W.bad = False
    else:
        world_reset(era, quirks_lo, quirks_hi, False)
    if setjmp(W_env) == 0:
        if not keep:
            rig_reset(program == NULL)
        if program != NULL:
            world_begin_op(-1, NULL)
            target_boot()
            for i in range(program.n_ops):
                world_begin_op(i, &program.ops[i])
                target_op(&program.ops[i])
                target_after_op()
            first = program.n_ops
        if keep:
            W.steps_left = STEPS_OP_MAX
        else:
            world_begin_op(first, NULL)
        for i in range(X.n):
            W.op = first + i
            s = &X.steps[i]
            p = &X_primitives[s.primitive]
            for k in range(RIG_ARGS_MAX):
                arg[k] = s.arg[k]
                if s.ref[k] >= 0:
                    arg[k] += X.results[s.ref[k]]
                if p.limit[k] and (arg[k] < 0 or arg[k] >= p.limit[k]):
                    rig_refuse(k, arg[k])
            X.results[i] = p.run(arg)
            X.done = i + 1
    return W.bad


cdef int _rig_parse_step(int i, object step, RigStep* out) except -1:
    """One step of a script into `out`; ValueError says what is wrong with it."""
    cdef int k
    name, *arguments = step
    if name not in _rig_numbers:
        raise ValueError(f"step {i}: no primitive {name!r}; rig_primitives() lists them")
    out.primitive = _rig_numbers[name]
    if len(arguments) > X_primitives[out.primitive].n_args:
        raise ValueError(f"step {i}: {len(arguments)} arguments for {_rig_signatures[name]!r}")
    for k in range(RIG_ARGS_MAX):
        out.arg[k] = 0
        out.ref[k] = -1
    for k, argument in enumerate(arguments):
        if k == 0 and name in ("peek", "poke"):
            if argument not in _rig_field_numbers:
                raise ValueError(f"step {i}: {name}: no field {argument!r}; rig_fields() lists all")
            argument = _rig_field_numbers[argument]
        elif isinstance(argument, Ref):
            out.ref[k] = argument.step + (i if argument.step < 0 else 0)
            if not 0 <= out.ref[k] < i:
                raise ValueError(f"step {i}: {name}: {argument!r} is not a step before this one")
            argument = argument.plus
        elif isinstance(argument, str):
            if argument not in _RIG_CONSTANTS:
                raise ValueError(f"step {i}: {name}: no constant {argument!r}")
            argument = _RIG_CONSTANTS[argument]
        if not isinstance(argument, int) or not -1 << 63 <= argument < 1 << 63:
            raise ValueError(f"step {i}: {name}: argument {k + 1} is {argument!r}, it must be an "
                             f"int of 64 bits, a Ref or a name")
        out.arg[k] = argument
    return 0


def rig(object script, *, int era=0, object quirks=0, object program=None, bint keep=False,
        **options):
    """Run a script, a sequence of (primitive, argument...); returns (results, violation or None).

    results has an int for each step that ended, so with a violation the last one is of the step
    before it. The violation is a dict as execute() gives it; its op is the number of the step. A
    script that fills an arena of the world ends there, without a violation.

    era, quirks   as for execute(): an index, a bit mask
    program       binary form: the world is what this program leaves behind, without its shutdown.
                  Steps then count on from its last op.
    keep          go on in the world where the last call left it, which sets everything else; only
                  the steps of the op count anew. Not after a violation, execute() or fuzz_one().
    options       of the world (bool), where no program's boot options set them

    ValueError: a step that names no primitive, an argument that names nothing, an option that the
    world does not have. No end check runs by itself: ask for after_op, shutdown and the like.
    """
    cdef const vf_program* p = NULL
    cdef RigStep* steps
    cdef int i, bad, n
    cdef uint64_t lo = quirks & 0xFFFFFFFFFFFFFFFF
    cdef uint64_t hi = quirks >> 64
    _rig_ready()
    script = list(script)
    n = len(script)
    if program is not None:
        if keep:
            raise ValueError("rig: a program starts a world of its own, keep goes on in the last")
        _require_schema()
        vf_decode(SCHEMA_C, <const uint8_t*>PyBytes_AS_STRING(program), PyBytes_GET_SIZE(program),
                  &P)
        p = &P
    for name in options:
        if name not in _RIG_OPTIONS:
            raise ValueError(f"rig: no option {name!r}; there are {_RIG_OPTIONS}")
    for i, name in enumerate(_RIG_OPTIONS):
        X.option[i] = bool(options.get(name))
    steps = <RigStep*>calloc(<size_t>max(n, 1), sizeof(RigStep))
    X.results = <int64_t*>calloc(<size_t>max(n, 1), sizeof(int64_t))
    try:
        if steps == NULL or X.results == NULL:
            raise MemoryError
        for i in range(n):
            _rig_parse_step(i, script[i], &steps[i])
        X.steps = steps
        X.n = n
        X.done = 0
        X.bad_arg = -1
        with nogil:
            bad = rig_run(p, era, lo, hi, keep)
        if X.bad_arg >= 0:
            name = script[X.done][0]
            raise ValueError(f"step {X.done}: {_rig_signatures[name]!r}: argument "
                             f"{X.bad_arg + 1} is {X.bad_value}, there is no such thing")
        return [X.results[i] for i in range(X.done)], _violation_dict() if bad else None
    finally:
        free(steps)
        free(X.results)
        X.steps = NULL
        X.results = NULL


def rig_primitives():
    """Signatures of the primitives, in order: "name argument ... -> what it returns"."""
    _rig_ready()
    return tuple(_rig_signatures.values())


def rig_fields():
    """Names of the fields that peek and poke know."""
    _rig_ready()
    return tuple(_rig_field_numbers)
