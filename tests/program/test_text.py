# SPDX-License-Identifier: GPL-2.0-or-later
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vfuzz
from tests.program.sample import SCHEMA
from tests.program.schemas import schemas
from vfuzz.program import text
from vfuzz.program.schema import Fail, InvalidProgram, OpCall, ProgramData
from vfuzz.strategies import programs


@given(programs(SCHEMA))
def test_what_is_printed_parses_to_the_same_program(program):
    printed = text.format(SCHEMA, program)
    assert text.parse(SCHEMA, printed) == program
    assert text.format(SCHEMA, text.parse(SCHEMA, printed)) == printed


@given(st.data())
def test_round_trip_on_any_schema(data):
    schema = data.draw(schemas())
    program = data.draw(programs(schema, max_ops=min(schema.max_ops, 4)))
    assert text.parse(schema, text.format(schema, program)) == program


#: Texts close to programs, so that the parser is asked at every place.
_PIECES = ("boot", "rx", "(", ")", "=", ",", "|", "size", "flags", "RSC", "fail", "all", "map", "#")
_near_texts = st.lists(
    st.sampled_from([*_PIECES, "1", "0x", "70000", " ", "\n", "\t", "-", "'"]), max_size=30
).map("".join)


def outcome(source: str) -> ProgramData | text.ParseError:
    try:
        return text.parse(SCHEMA, source)
    except text.ParseError as error:
        return error


@given(_near_texts | st.text())
def test_any_text_is_a_program_or_a_parse_error_at_a_place(source):
    found = outcome(source)
    if isinstance(found, ProgramData):
        assert SCHEMA.problems(found) == []
        return
    lines = source.split("\n")
    assert 1 <= found.line <= len(lines)
    assert 1 <= found.column <= len(lines[found.line - 1]) + 1
    assert found.message
    assert found.hint
    assert f"line {found.line}, column {found.column}: " in str(found)


def test_printing_is_one_call_a_line_with_what_differs_from_the_defaults():
    program = ProgramData(
        SCHEMA.boot_values(profile=1, features=0, quiet=0),
        (
            SCHEMA.call("open"),
            SCHEMA.call("rx", size=60, flags=5, gso=2),
            SCHEMA.call("poll", fail=Fail(3)),
            SCHEMA.call("poll", again=1, fail=Fail(2, 1)),
            SCHEMA.call("work-run", word=0, fail=Fail(1, 2, True)),
            SCHEMA.call("write", bits=1 << 31 | 2, fail=Fail(31, 0, True)),
        ),
    )
    assert text.format(SCHEMA, program) == (
        "boot(profile=hostile, features=0, quiet=0)\n"
        "open()\n"
        "rx(size=60, flags=NEEDS_CSUM|RSC, gso=udp)\n"
        "poll() fail(3)\n"
        "poll(again=1) fail(alloc, 2)\n"
        "work-run(word=0) fail(map, 1, all)\n"
        "write(bits=B1|B31) fail(31, all)\n"
    )


def test_parsing_takes_what_people_write():
    source = (
        "# a comment\r\n"
        "\r\n"
        "boot( ring = 0x10 , quiet=false,features=4|MRG_RXBUF )\t# another\r\n"
        "\trx(flags=0x2|RSC, gso=3)fail( any , 1 )\r\n"
        "poll(again=true)"
    )
    assert text.parse(SCHEMA, source) == ProgramData(
        SCHEMA.boot_values(ring=16, quiet=0, features=5),
        (
            SCHEMA.call("rx", flags=6, gso=3, fail=Fail(1)),
            SCHEMA.call("poll", again=1),
        ),
    )


def test_a_text_without_boot_means_the_defaults():
    assert text.parse(SCHEMA, "") == ProgramData(SCHEMA.default_boot)
    assert text.parse(SCHEMA, "open()") == text.parse(SCHEMA, "boot()\nopen()\n")


@pytest.mark.parametrize(
    ("source", "line", "column", "message", "hint"),
    [
        ("open()\n opem()", 2, 2, "unknown op 'opem'", "did you mean open?"),
        ("zzz()", 1, 1, "unknown op 'zzz'", "there are: open, rx, poll, write, work-run"),
        ("rx(siez=1)", 1, 4, "rx has no argument 'siez'", "did you mean size?"),
        ("open(x=1)", 1, 6, "open has no argument 'x'", "there are none"),
        ("rx(size=70000)", 1, 9, "size: 70000 is outside 0..65550", "in 0..65550"),
        ("rx(size=99999999999999999999999999999999999)", 1, 9, "too long", "32 bits"),
        ("rx(size=-1)", 1, 9, "unexpected '-'", "unsigned"),
        ("rx(size=12ab)", 1, 9, "neither a number nor a name", "1500 or 0x5dc"),
        ("rx(size=big)", 1, 9, "size has no names", "an integer in 0..65550"),
        ("rx(size=1|2)", 1, 10, "size is not a set of flags", "an integer"),
        ("rx(size=)", 1, 9, "expected a value, found ')'", "an integer"),
        ("rx(gso=TCPV4)", 1, 8, "gso has no value 'TCPV4'", "did you mean tcpv4 or tcpv6?"),
        ("rx(gso=9)", 1, 8, "gso: 9 is outside 0..4", "one of none, tcpv4"),
        ("rx(flags=RCS)", 1, 10, "flags has no value 'RCS'", "did you mean RSC?"),
        ("rx(flags=8)", 1, 10, "flags: 8 is outside 0..7", "joined by '|'"),
        ("boot(features=2)", 1, 15, "bits without a name: 0x2", "joined by '|'"),
        ("poll(again=2)", 1, 12, "again: 2 is outside 0..1", "0, 1, false or true"),
        ("rx(size=1, size=2)", 1, 12, "'size' is given twice", "keep one"),
        ("rx(size 1)", 1, 9, "expected '=' after 'size'", "size=value"),
        ("rx(size=1", 1, 10, "expected ',' or ')', found the end of the line", "')'"),
        ("rx(size=1,)", 1, 11, "expected a word", "rx(argument=value, ...)"),
        ("rx", 1, 3, "expected '(' after 'rx'", "rx() even when"),
        ("(", 1, 1, "expected the name of an op", "boot or an op"),
        ("rx(size='1')", 1, 9, "unexpected", "without quotes"),
        ("rx(); open()", 1, 5, "unexpected ';'", "'#' for a comment"),
        ("rx() open()", 1, 6, "unexpected 'open'", "one call on each line"),
        ("rx() 5", 1, 6, "unexpected '5'", "one call on each line"),
        ("open()\nboot()", 2, 1, "boot comes after an op", "to the top"),
        ("boot()\nboot()", 2, 1, "a second boot", "keep one"),
        ("boot() fail(1)", 1, 8, "boot cannot fail", "behind an op"),
        ("fail(1)", 1, 1, "fail stands alone", "behind the op"),
        ("open() fail", 1, 12, "expected '(' after 'fail'", "fail(3)"),
        ("open() fail()", 1, 13, "expected a number", "fail(3)"),
        ("open() fail(0)", 1, 13, "0 is outside 1..31", "from 1"),
        ("open() fail(32)", 1, 13, "32 is outside 1..31", "from 1"),
        ("open() fail(mapp, 1)", 1, 13, "unknown class of fault 'mapp'", "did you mean map?"),
        ("open() fail(1, every)", 1, 16, "expected all, found 'every'", "all"),
        ("open() fail(1, all, 2)", 1, 19, "expected ')' after 'all'", "fail(3)"),
        ("open()\n" * 41, 41, 1, "too many ops", "at most 40"),
    ],
)
def test_an_error_says_what_where_and_what_to_do(source, line, column, message, hint):
    with pytest.raises(text.ParseError) as caught:
        text.parse(SCHEMA, source)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint


def test_an_error_points_at_the_place():
    with pytest.raises(text.ParseError) as caught:
        text.parse(SCHEMA, "open()\n\tpoll(budget=0)\n")
    assert str(caught.value).split("\n") == [
        "line 2, column 14: budget: 0 is outside 1..64",
        "  \tpoll(budget=0)",
        "  \t            ^",
        "  hint: budget takes an integer in 1..64",
    ]


def test_printing_refuses_an_invalid_program():
    with pytest.raises(InvalidProgram, match=r"op 0 rx: queue: 8 is outside 0\.\.7"):
        text.format(SCHEMA, ProgramData(SCHEMA.default_boot, (OpCall(1, (8, 0, 0, 0)),)))


def test_single_calls_print_as_in_a_program():
    call = SCHEMA.call("rx", queue=3, fail=Fail(1, 3))
    assert text.format_call(SCHEMA, call) == "rx(queue=3) fail(add, 1)"
    assert text.format_boot(SCHEMA, SCHEMA.boot_values(ring=2)) == "boot(ring=2)"


def test_the_example_of_the_documentation_is_a_program():
    page = Path(__file__).parents[2] / "docs/program-syntax.md"
    blocks = re.findall(r"\n\n((?:    .*\n)+)", page.read_text(encoding="utf-8"))
    example = next(textwrap.dedent(block) for block in blocks if "boot(" in block)
    calls = [line for line in example.splitlines() if not line.startswith("#")]
    assert str(vfuzz.target("virtio-net-rx").parse(example)).splitlines() == calls
