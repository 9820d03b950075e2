# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Binary <-> ProgramData, and the C table of a schema. The format is told in codec.pxd."""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc

from vfuzz.program.schema import KINDS, MAX_ARGS, MAX_BOOT, MAX_OPS, MAX_RECORD, ROLES
from vfuzz.program.schema import Fail, InvalidProgram, OpCall, ProgramData, Schema

__all__ = ["schema_capsule", "decode", "encode", "canonical"]

if (MAX_ARGS, MAX_BOOT, MAX_OPS, MAX_RECORD) != (
    VF_MAX_ARGS, VF_MAX_BOOT, VF_MAX_OPS, VF_MAX_RECORD
):
    raise ImportError(
        "vfuzz.program.codec was compiled for other limits than schema.py has: build again"
    )

# id(schema) -> (schema, capsule). It keeps the schema alive, so its id is never another's. Tables
# are never freed: compiled targets and the mutator hold bare pointers to them.
cdef dict _tables = {}


cdef int _fill(vf_opdef* d, tuple args, uint32_t weight, int offset) except -1:
    """Fill one definition; the first argument lies `offset` bytes into the record."""
    cdef int i, j
    cdef uint32_t* values
    d.n_args = len(args)
    d.weight = weight
    for i, arg in enumerate(args):
        a = &d.args[i]
        a.kind = KINDS.index(arg.kind)
        a.role = ROLES.index(arg.role)
        a.width = arg.width
        a.offset = offset
        a.lo = arg.lo
        a.hi = arg.hi
        a.mask = arg.mask
        a.n = arg.span & 0xFFFFFFFF
        a.above = arg.hi - arg.lo
        a.dflt = arg.default
        offset += arg.width
        a.n_interesting = len(arg.interesting)
        if arg.interesting:
            values = <uint32_t*>malloc(len(arg.interesting) * sizeof(uint32_t))
            if values == NULL:
                raise MemoryError()
            for j, value in enumerate(arg.interesting):
                values[j] = value
            a.interesting = values
    return 0


cdef object _new_table(schema):
    cdef vf_schema* s = <vf_schema*>calloc(1, sizeof(vf_schema))
    if s == NULL:
        raise MemoryError()
    try:
        s.n_ops = len(schema.ops)
        s.record_size = schema.record_size
        s.max_ops = schema.max_ops
        s.total_weight = sum(op.weight for op in schema.ops)
        _fill(&s.boot, schema.boot, 0, 0)
        for kind, op in enumerate(schema.ops):
            _fill(&s.ops[<int>kind], op.args, op.weight, 2)
        return PyCapsule_New(s, "vf_schema", NULL)
    except BaseException:
        free(s)
        raise


def schema_capsule(schema):
    """The C table of a schema: a PyCapsule "vf_schema" around a `const vf_schema*`.

    Made once for each Schema object, and valid as long as the process lives.
    """
    entry = _tables.get(id(schema))
    if entry is None:
        if not isinstance(schema, Schema):
            raise TypeError(f"expected a vfuzz.program.schema.Schema, got {type(schema).__name__}")
        entry = (schema, _new_table(schema))
        _tables[id(schema)] = entry
    return entry[1]


cdef const vf_schema* _table(schema) except NULL:
    return <const vf_schema*>PyCapsule_GetPointer(schema_capsule(schema), "vf_schema")


cdef object _to_python(const vf_schema* s, const vf_program* p):
    cdef int i, j, n
    cdef const vf_op* o
    ops = []
    for i in range(p.n_ops):
        o = &p.ops[i]
        n = s.ops[o.kind].n_args
        fail = Fail(o.fail_nth, o.fail_class, bool(o.fail_all)) if o.fail_nth else None
        ops.append(OpCall(o.kind, tuple([o.arg[j] for j in range(n)]), fail))
    boot = tuple([p.boot[j] for j in range(s.boot.n_args)])
    return ProgramData(boot, tuple(ops))


cdef int _from_python(vf_program* p, program) except -1:
    """Copy a program that Schema.problems has passed."""
    cdef int i, j
    cdef vf_op* o
    p.n_ops = len(program.ops)
    for j, value in enumerate(program.boot):
        p.boot[j] = value
    for i, call in enumerate(program.ops):
        o = &p.ops[i]
        o.kind = call.kind
        o.fail_nth = o.fail_class = o.fail_all = 0
        if call.fail is not None:
            o.fail_nth = call.fail.nth
            o.fail_class = call.fail.cls
            o.fail_all = call.fail.all
        for j, value in enumerate(call.args):
            o.arg[j] = value
    return 0


def decode(schema, data):
    """The ProgramData that any bytes mean. Total: there are no invalid bytes."""
    cdef const vf_schema* s = _table(schema)
    cdef const uint8_t[::1] view = data
    cdef vf_program p
    vf_decode(s, &view[0] if view.shape[0] else NULL, <size_t>view.shape[0], &p)
    return _to_python(s, &p)


def encode(schema, program):
    """The canonical bytes of a ProgramData: (1 + number of ops) * record_size of them.

    Raises InvalidProgram with every problem when the program does not fit the schema.
    """
    cdef const vf_schema* s = _table(schema)
    cdef vf_program p
    cdef uint8_t out[(VF_MAX_OPS + 1) * VF_MAX_RECORD]
    cdef size_t size
    found = schema.problems(program)
    if found:
        raise InvalidProgram(found)
    _from_python(&p, program)
    size = vf_encode(s, &p, out, sizeof(out))
    return bytes(out[:size])


def canonical(schema, data):
    """encode(schema, decode(schema, data)), without the way through Python objects."""
    cdef const vf_schema* s = _table(schema)
    cdef const uint8_t[::1] view = data
    cdef vf_program p
    cdef uint8_t out[(VF_MAX_OPS + 1) * VF_MAX_RECORD]
    cdef size_t size
    vf_decode(s, &view[0] if view.shape[0] else NULL, <size_t>view.shape[0], &p)
    size = vf_encode(s, &p, out, sizeof(out))
    return bytes(out[:size])
