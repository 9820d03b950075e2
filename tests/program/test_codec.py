# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled codec against an obvious, slow one, on the sample and on random schemas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program.sample import SCHEMA
from tests.program.schemas import schemas
from vfuzz.program import codec
from vfuzz.program.schema import Arg, Fail, InvalidProgram, OpCall, ProgramData, Schema
from vfuzz.strategies import programs, raw_bytes

# -- the reference: the format as the contract tells it, one rule a line


def reference_value(arg: Arg, raw: int) -> int:
    if arg.kind == "bool":
        return raw & 1
    if arg.kind == "enum":
        return raw % len(arg.names)
    if arg.kind == "flags":
        return sum(1 << i for i, name in enumerate(arg.names) if name is not None and raw >> i & 1)
    return raw if arg.lo <= raw <= arg.hi else arg.lo + raw % (arg.hi - arg.lo + 1)


def reference_args(args: tuple[Arg, ...], record: bytes, offset: int) -> tuple[int, ...]:
    values = []
    for arg in args:
        raw = int.from_bytes(record[offset : offset + arg.width], "little")
        values.append(reference_value(arg, raw))
        offset += arg.width
    return tuple(values)


def reference_decode(schema: Schema, data: bytes) -> ProgramData:
    size = schema.record_size
    records = [data[i : i + size].ljust(size, b"\0") for i in range(0, len(data), size)]
    records = records or [bytes(size)]
    ops = []
    for record in records[1 : 1 + schema.max_ops]:
        kind = record[0] % len(schema.ops)
        nth, cls, every = record[1] & 31, record[1] >> 5 & 3, bool(record[1] >> 7)
        fail = Fail(nth, cls, every) if nth else None
        ops.append(OpCall(kind, reference_args(schema.ops[kind].args, record, 2), fail))
    return ProgramData(reference_args(schema.boot, records[0], 0), tuple(ops))


def reference_encode(schema: Schema, program: ProgramData) -> bytes:
    def pack(args, values):
        return b"".join(v.to_bytes(a.width, "little") for a, v in zip(args, values, strict=True))

    out = pack(schema.boot, program.boot).ljust(schema.record_size, b"\0")
    for call in program.ops:
        fail = call.fail
        prop = fail.nth | fail.cls << 5 | fail.all << 7 if fail else 0
        record = bytes([call.kind, prop]) + pack(schema.ops[call.kind].args, call.args)
        out += record.ljust(schema.record_size, b"\0")
    return out


# -- properties


@st.composite
def schema_and_bytes(draw):
    schema = draw(schemas())
    return schema, draw(raw_bytes(schema, max_ops=min(schema.max_ops, 6)))


@st.composite
def schema_and_program(draw):
    schema = draw(schemas())
    return schema, draw(programs(schema, max_ops=min(schema.max_ops, 6)))


@given(raw_bytes(SCHEMA))
def test_decode_is_the_reference_on_the_sample(data):
    assert codec.decode(SCHEMA, data) == reference_decode(SCHEMA, data)


@given(schema_and_bytes())
def test_decode_is_the_reference_on_any_schema(case):
    schema, data = case
    assert codec.decode(schema, data) == reference_decode(schema, data)


@given(schema_and_program())
def test_encode_is_the_reference_and_decodes_to_the_same(case):
    schema, program = case
    data = codec.encode(schema, program)
    assert data == reference_encode(schema, program)
    assert codec.decode(schema, data) == program


@given(schema_and_bytes())
def test_decoding_is_total_and_encoding_canonical(case):
    schema, data = case
    program = codec.decode(schema, data)
    assert schema.problems(program) == []
    canonical = codec.encode(schema, program)
    assert codec.canonical(schema, data) == canonical
    assert codec.canonical(schema, canonical) == canonical
    assert codec.decode(schema, canonical) == program


@given(raw_bytes(SCHEMA))
def test_missing_bytes_are_zero_bytes(data):
    whole = data.ljust(-(-max(len(data), 1) // 16) * 16, b"\0")
    assert codec.decode(SCHEMA, data) == codec.decode(SCHEMA, whole)


# -- single rules, so that a failure says which


def test_empty_input_is_the_boot_record_of_zero_bytes():
    program = codec.decode(SCHEMA, b"")
    assert program == ProgramData((0, 0, 1, 0, 0), ())
    assert codec.encode(SCHEMA, program) == b"\0\0\1\0".ljust(16, b"\0")


def test_a_trailing_byte_makes_an_op_and_no_byte_does_not():
    boot = bytes(16)
    assert len(codec.decode(SCHEMA, boot).ops) == 0
    assert codec.decode(SCHEMA, boot + b"\2").ops == (OpCall(2, (1, 0)),)


def test_ops_beyond_the_limit_are_dropped():
    data = bytes(16) + b"".join(bytes([i % 5]).ljust(16, b"\0") for i in range(50))
    program = codec.decode(SCHEMA, data)
    assert [call.kind for call in program.ops] == [i % 5 for i in range(40)]
    assert len(codec.encode(SCHEMA, program)) == 41 * 16


@pytest.mark.parametrize(
    ("prop", "fail"),
    [
        (0x00, None),
        (0xE0, None),
        (0x01, Fail(1, 0, False)),
        (0x3F, Fail(31, 1, False)),
        (0xC2, Fail(2, 2, True)),
        (0x61, Fail(1, 3, False)),
    ],
)
def test_the_prop_byte(prop, fail):
    program = codec.decode(SCHEMA, bytes(16) + bytes([0, prop]))
    assert program.ops[0].fail == fail
    assert codec.encode(SCHEMA, program)[17] == (prop if fail else 0)


def test_arguments_lie_packed_in_little_endian():
    program = ProgramData(
        SCHEMA.boot_values(seed=0x04030201),
        (SCHEMA.call("write", offset=0x0102, value=0x0A0B0C0D, bits=1 << 31, port=1000),),
    )
    data = codec.encode(SCHEMA, program)
    assert data[:9] == bytes([0, 4, 16, 0, 1, 2, 3, 4, 1])
    assert data[16:] == bytes([3, 0, 2, 1, 0, 0, 0x0D, 0x0C, 0x0B, 0x0A, 0, 0, 0, 0x80, 0xE8, 3])


def test_encode_refuses_an_invalid_program_with_all_reasons():
    bad = ProgramData(SCHEMA.default_boot, (OpCall(1, (9, 0, 0, 9)), OpCall(7, ())))
    with pytest.raises(InvalidProgram) as caught:
        codec.encode(SCHEMA, bad)
    assert len(caught.value.problems) == 3


def test_a_schema_has_one_table_for_its_lifetime():
    assert codec.schema_capsule(SCHEMA) is codec.schema_capsule(SCHEMA)
    assert '"vf_schema"' in repr(codec.schema_capsule(SCHEMA))
    with pytest.raises(TypeError, match=r"expected a vfuzz\.program\.schema\.Schema, got str"):
        codec.schema_capsule("sample")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_decode_takes_any_contiguous_bytes(kind):
    assert codec.decode(SCHEMA, kind(b"\1\2")) == codec.decode(SCHEMA, b"\1\2")
