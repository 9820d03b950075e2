# SPDX-License-Identifier: GPL-2.0-or-later
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vfuzz.program.schema as schema_module
from tests.program.sample import SCHEMA
from vfuzz.program.schema import (
    FAIL_CLASSES,
    FAIL_NTH_MAX,
    KINDS,
    ROLES,
    Arg,
    Fail,
    InvalidProgram,
    Op,
    OpCall,
    ProgramData,
    Schema,
)


def constants_of_the_pxd() -> dict[str, int]:
    text = Path(schema_module.__file__).with_name("codec.pxd").read_text(encoding="utf-8")
    return {name: int(value) for name, value in re.findall(r"^    (VF_\w+) = (\d+)$", text, re.M)}


def test_limits_and_codes_are_those_of_the_compiled_codec():
    pxd = constants_of_the_pxd()
    for name in ("MAX_ARGS", "MAX_BOOT", "MAX_OPS", "MAX_RECORD"):
        assert pxd[f"VF_{name}"] == getattr(schema_module, name)
    assert [pxd[f"VF_{kind.upper()}"] for kind in KINDS] == list(range(len(KINDS)))
    assert [pxd[f"VF_ROLE_{role.upper() or 'NONE'}"] for role in ROLES] == list(range(len(ROLES)))
    classes = [pxd[f"VF_FAIL_{cls.upper()}"] for cls in FAIL_CLASSES]
    assert classes == list(range(len(FAIL_CLASSES)))
    assert pxd["VF_FAIL_NTH_MAX"] == FAIL_NTH_MAX


# -- arguments


@pytest.mark.parametrize(
    ("arg", "hi", "width", "mask"),
    [
        (Arg("a", "int", hi=255), 255, 1, 0xFF),
        (Arg("a", "int", hi=256), 256, 2, 0xFFFF),
        (Arg("a", "int", hi=65536), 65536, 4, 0xFFFFFFFF),
        (Arg("a", "int", width=2), 65535, 2, 0xFFFF),
        (Arg("a", "int", hi=3, width=4), 3, 4, 0xFFFFFFFF),
        (Arg("a", "bool"), 1, 1, 1),
        (Arg("a", "enum", names=("x", "y", "z")), 2, 1, 0xFF),
        (Arg("a", "flags", names=("x", None, "z")), 5, 1, 5),
        (Arg("a", "flags", names=(None,) * 16 + ("x",)), 1 << 16, 4, 1 << 16),
    ],
)
def test_bounds_width_and_mask_are_derived(arg, hi, width, mask):
    assert (arg.hi, arg.width, arg.mask) == (hi, width, mask)


def test_defaults_by_name_and_by_what_zero_bytes_mean():
    assert Arg("a", "enum", names=("x", "y"), default="y").default == 1
    assert Arg("a", "flags", names=("x", None, "z"), default="z|x").default == 5
    assert Arg("a", "int", lo=3, hi=9).default == 3
    assert Arg("a", "int", lo=3, hi=9, default=4).default == 4


def test_fit_keeps_what_is_in_range_and_wraps_the_rest():
    arg = Arg("a", "int", lo=10, hi=20)
    assert [arg.fit(raw) for raw in (10, 20, 9, 21, 0, 255)] == [10, 20, 19, 20, 10, 12]
    flags = Arg("a", "flags", names=("x", None, "z"))
    assert [flags.fit(raw) for raw in (0, 5, 2, 255)] == [0, 5, 0, 5]
    whole = Arg("a", "int", width=4)
    assert whole.fit(0xFFFFFFFF) == 0xFFFFFFFF


@given(st.data())
def test_fit_always_gives_a_value_without_a_problem(data):
    arg = data.draw(st.sampled_from([a for op in SCHEMA.ops for a in op.args] + [*SCHEMA.boot]))
    value = arg.fit(data.draw(st.integers(0, 0xFFFFFFFF)))
    assert arg.problem(value) == ""
    assert arg.fit(value) == value


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "1a", "kind": "int", "hi": 1}, "not a name"),
        ({"name": "a", "kind": "float"}, "kind 'float' is not one of int, bool, enum, flags"),
        ({"name": "a", "kind": "int"}, "needs hi, or a width"),
        ({"name": "a", "kind": "int", "lo": 2, "hi": 1}, "lo: 2 is not an integer in 0..1"),
        ({"name": "a", "kind": "int", "lo": -1, "hi": 1}, "lo: -1"),
        ({"name": "a", "kind": "int", "hi": 1 << 32}, "hi: 4294967296"),
        ({"name": "a", "kind": "int", "hi": 256, "width": 1}, "256 does not fit in 1 bytes"),
        ({"name": "a", "kind": "int", "hi": 9, "width": 3}, "width 3 is not 1, 2 or 4"),
        ({"name": "a", "kind": "int", "hi": 9, "names": ("x",)}, "an int has no names"),
        ({"name": "a", "kind": "int", "hi": 9, "default": 10}, "default 10 is outside 0..9"),
        ({"name": "a", "kind": "int", "hi": 9, "default": "x"}, "default 'x' is a name"),
        ({"name": "a", "kind": "int", "hi": 9, "interesting": (1, 10)}, "interesting value 10"),
        ({"name": "a", "kind": "int", "hi": 9, "role": "size"}, "role 'size'"),
        ({"name": "a", "kind": "bool", "hi": 1}, "lo and hi belong to an int"),
        ({"name": "a", "kind": "bool", "names": ("x",)}, "make it an enum"),
        ({"name": "a", "kind": "enum"}, "needs names"),
        ({"name": "a", "kind": "enum", "names": ("x", "x")}, "two names are the same"),
        ({"name": "a", "kind": "enum", "names": ("x", None)}, "cannot have holes"),
        ({"name": "a", "kind": "enum", "names": ("x", "y z")}, "'y z' is not a name"),
        (
            {"name": "a", "kind": "enum", "names": ("x",), "default": "y"},
            "default 'y' is not one of",
        ),
        ({"name": "a", "kind": "flags", "names": (None, None)}, "needs names"),
        ({"name": "a", "kind": "flags", "names": ("x",) + (None,) * 32}, "at most 32 bits"),
        (
            {"name": "a", "kind": "flags", "names": ("x", None), "default": 2},
            "default 2 is outside 0..1",
        ),
        (
            {"name": "a", "kind": "flags", "names": ("x", None, "z"), "default": 2},
            "bits without a name",
        ),
    ],
)
def test_a_wrong_argument_is_refused_with_the_reason(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Arg(**fields)


def test_names_as_one_string_are_refused():
    with pytest.raises(TypeError, match="a tuple of one needs its comma"):
        Arg("a", "enum", names="xyz")


# -- ops and schemas


def byte(name: str) -> Arg:
    return Arg(name, "int", width=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Op("boot"), "the text form uses this word"),
        (lambda: Op("fail"), "the text form uses this word"),
        (lambda: Op("a b"), "not a name"),
        (lambda: Op("x", weight=-1), "weight: -1"),
        (lambda: Op("x", (byte("a"), byte("a"))), "two arguments are called 'a'"),
        (lambda: Op("x", byte("a")), "must be a tuple of Arg"),
        (lambda: Op("x", tuple(byte(f"a{i}") for i in range(13))), "at most 12"),
        (lambda: Schema("t", (), ()), "0 ops, from 1 to 64"),
        (lambda: Schema("t", (), (Op("x"), Op("x"))), "two ops are called 'x'"),
        (lambda: Schema("t", (), (Op("x"),), max_ops=65), "max_ops: 65"),
        (lambda: Schema("t", (), (Op("x"),), record_size=65), "record_size: 65"),
        (lambda: Schema("t", (), (Op("x", weight=0),)), "every op has weight 0"),
        (lambda: Schema("t", (), Op("x")), "ops must be a tuple of Op"),
        (
            lambda: Schema("t", (), (Op("x", (Arg("a", "int", width=4),)),), record_size=5),
            "op x: its arguments take 4 bytes of 3",
        ),
        (
            lambda: Schema("t", tuple(byte(f"a{i}") for i in range(5)), (Op("x"),), record_size=4),
            "boot: its arguments take 5 bytes of 4",
        ),
        (
            lambda: Schema("t", tuple(byte(f"a{i}") for i in range(17)), (Op("x"),), 32),
            "17 arguments, at most 16",
        ),
    ],
)
def test_a_wrong_op_or_schema_is_refused_with_the_reason(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_the_limits_themselves_are_allowed():
    ops = tuple(Op(f"x{i}", tuple(byte(f"a{j}") for j in range(12))) for i in range(64))
    schema = Schema("t", tuple(byte(f"a{i}") for i in range(16)), ops)
    assert (len(schema.ops), schema.max_ops, schema.record_size) == (64, 64, 16)


def test_equal_declarations_are_equal_and_hashable():
    again = Schema("sample", SCHEMA.boot, SCHEMA.ops, max_ops=SCHEMA.max_ops)
    assert again == SCHEMA
    assert hash(again) == hash(SCHEMA)


# -- programs


def test_call_and_boot_by_name():
    call = SCHEMA.call("rx", size=60, fail=Fail(2))
    assert call == OpCall(1, (0, 60, 0, 0), Fail(2))
    assert SCHEMA.boot_values(ring=1) == (0, 4, 1, 0, 1)
    assert SCHEMA.default_boot == (0, 4, 16, 0, 1)
    with pytest.raises(KeyError, match="op rx has no argument 'len'; it has queue, size"):
        SCHEMA.call("rx", len=1)
    with pytest.raises(KeyError, match="sample has no op 'tx'"):
        SCHEMA.call("tx")
    with pytest.raises(KeyError, match="boot record of sample has no argument 'rings'"):
        SCHEMA.boot_values(rings=1)


def test_validate_names_every_culprit_with_its_path():
    program = ProgramData(
        boot=(3, 2, 0, 0, True),
        ops=(
            OpCall(9, ()),
            OpCall(1, (0, 65551, 8, 0)),
            OpCall(2, (64,)),
            OpCall(0, (), Fail(0)),
            OpCall(0, (), Fail(1, 4)),
            OpCall(0, (), Fail(1, 0, 1)),
        ),
    )
    with pytest.raises(InvalidProgram) as caught:
        SCHEMA.validate(program)
    assert caught.value.problems == [
        "boot: profile: 3 is outside 0..2",
        "boot: features: 2 sets bits without a name: 0x2",
        "boot: ring: 0 is outside 1..256",
        "boot: quiet: True is not an integer",
        "op 0: kind 9 is outside 0..4",
        "op 1 rx: size: 65551 is outside 0..65550",
        "op 1 rx: flags: 8 is outside 0..7",
        "op 2 poll: 1 arguments, it takes 2",
        "op 3 open: fail: nth 0 is outside 1..31",
        "op 4 open: fail: class 4 is outside 0..3",
        "op 5 open: fail: all is 1, not True or False",
    ]


def test_validate_counts_ops():
    fits = ProgramData(SCHEMA.default_boot, (SCHEMA.call("open"),) * SCHEMA.max_ops)
    assert SCHEMA.problems(fits) == []
    over = ProgramData(fits.boot, (*fits.ops, SCHEMA.call("open")))
    assert SCHEMA.problems(over) == ["41 ops, at most 40 are possible"]
