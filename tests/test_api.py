# SPDX-License-Identifier: GPL-2.0-or-later
"""The Python API, on a target in plain Python."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import vfuzz
from tests.needs import need
from vfuzz.errors import EXIT_USAGE, NotBuilt, UnknownName, UsageError, did_you_mean
from vfuzz.program.schema import InvalidProgram, OpCall, ProgramData

need("vfuzz.program.codec")

LEDGER = "tests.fakes.ledger"


@pytest.fixture
def ledger() -> vfuzz.Target:
    return vfuzz.target(LEDGER)


def test_importing_needs_nothing_compiled_and_no_dependency():
    code = (
        "import sys\n"
        "for name in ('atheris', 'msgspec', 'click', 'rich', 'psutil', 'vfuzz.program.codec'):\n"
        "    sys.modules[name] = None\n"
        "import vfuzz, vfuzz.targets, vfuzz.sanitizer.report\n"
        "print(vfuzz.__version__, len(vfuzz.targets()))\n"
        "vfuzz.target('tests.fakes.ledger').parse('boot()')\n"
        "try:\n"
        "    vfuzz.target('tests.fakes.ledger').decode(b'')\n"
        "except vfuzz.NotBuilt as error:\n"
        "    assert 'build' in str(error)\n"
        "else:\n"
        "    raise SystemExit('no NotBuilt')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    for name in vfuzz.__all__:
        assert getattr(vfuzz, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        vfuzz.nonsense  # noqa: B018


def test_targets_are_found_and_named():
    targets = vfuzz.targets()
    assert [target.name for target in targets] == sorted(target.name for target in targets)
    for target in targets:
        assert vfuzz.target(target.name) is target
        assert str(target) == target.name
        assert target.eras
        assert target.summary


def test_a_target_has_its_declarations(ledger):
    assert ledger.eras == ("old", "new")
    assert [check.id for check in ledger.checks] == ["C1", "C2", "C3"]
    assert ledger.quirk("blind-put") is ledger.quirk("q01") is ledger.quirks[0]
    assert [known.era for known in ledger.known()] == ["old"]
    assert ledger.known("new") == ()
    assert ledger.eras_with(("Q01", "Q02")) == ("new",)
    assert ledger.quirk_mask(("Q04", "Q01", "Q01")) == 0b1001


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: vfuzz.target("tests.fakes.leger"), "no module 'tests.fakes.leger'"),
        (lambda t: vfuzz.target("tests.fakes"), "is not a target: its __init__.py lacks NAME"),
        (lambda t: t.execute("boot()", era="od"), "unknown era 'od' .* did you mean old"),
        (lambda t: t.execute("boot()", quirks=("Q9",)), "unknown quirk 'Q9' .* Q01"),
        (lambda t: t.check("C9"), "unknown check 'C9'"),
        (lambda t: t.execute("boot()", "old", ("Q02",)), "Q02 cannot be switched on in old, only"),
    ],
)
def test_wrong_names_are_usage_errors_that_help(ledger, call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call(ledger)
    assert caught.value.exit_code == EXIT_USAGE


def test_wrong_types_are_type_errors(ledger):
    with pytest.raises(TypeError, match=r"quirks=\('Q01',\)"):
        ledger.execute("boot()", quirks="Q01")
    with pytest.raises(TypeError, match="got int"):
        ledger.execute(7)
    with pytest.raises(TypeError, match="named by a string"):
        vfuzz.target(None)


def test_programs_go_round(ledger):
    text = "boot(mode=strict, slots=3)\nget(id=2)\nput(id=2) fail(alloc, 2)\n"
    program = ledger.parse(text)
    assert str(program) == text
    assert ledger.decode(program.encode()) == program
    assert hash(ledger.decode(program.encode())) == hash(program)
    assert program != ledger.parse("boot()")
    assert program != text
    assert ledger.program(program.data) == program
    assert len(program) == 2
    assert dict(program.boot) == {"mode": 1, "slots": 3}
    assert [call.name for call in program] == ["get", "put"]
    assert dict(program.ops[1].args) == {"id": 2}
    assert program.ops[1].fail is not None
    assert program.ops[1].fail.nth == 2
    assert str(program.ops[1]) == "put(id=2) fail(alloc, 2)"
    assert [program.op_text(i) for i in (-1, 0, 2)] == [
        "boot(mode=strict, slots=3)",
        "get(id=2)",
        "shutdown",
    ]


def test_a_program_that_does_not_fit_is_refused(ledger):
    with pytest.raises(InvalidProgram, match="op 0"):
        ledger.program(ProgramData((0, 8), (OpCall(0, (99,)),)))


def test_programs_can_be_text_bytes_or_programs(ledger):
    program = ledger.parse("boot()\nput(id=1)\n")
    results = [
        ledger.execute(form, quirks=("Q01",))
        for form in (program, str(program), program.encode(), bytearray(program.encode()))
    ]
    assert all(result.violation == results[0].violation for result in results)
    assert all(result.program == program for result in results)


def test_a_violation_says_what_where_and_when(ledger):
    result = ledger.execute("boot()\nget(id=1)\nput(id=4)\n", quirks=("Q01",))
    violation = result.violation
    assert violation is not None
    assert violation.signature == "C1@ledger_put:unheld"
    assert (violation.check, violation.title) == ("C1", "bad-put")
    assert (violation.op, violation.obj, violation.obj_id) == (1, "page", 4)
    assert "put of page 4" in violation.message
    assert result.era == "new"
    assert result.quirks == ("Q01",)
    assert result.known is None


def test_a_documented_finding_is_known_in_its_era_alone(ledger):
    old = ledger.execute("boot()\nread(offset=255)\n", era="old")
    assert old.known is not None
    assert old.known.doc == "docs/findings/F01.md"
    assert ledger.execute("boot()\nread(offset=255)\n", era="new").violation is None


def test_steps_and_events_come_when_asked_for(ledger):
    text = "boot()\nget(id=1)\nget(id=2)\nput(id=1)\n"
    traced = ledger.execute(text, trace=True)
    later = ledger.execute(text)
    assert later.raw_trace is None
    assert traced.steps == later.steps
    assert traced.events == later.events
    partly = ledger.execute(text, trace=True, events=False)
    assert partly.raw_trace == (traced.raw_trace[0], None)
    assert partly.steps == traced.steps
    assert partly.events == traced.events
    assert [step.op for step in traced.steps] == [-1, 0, 1, 2, 3]
    assert traced.steps[2] == vfuzz.Step(1, "get(id=2)", (("held", 2),))
    assert traced.events[-1] == vfuzz.Event(2, "put", "page", 1, 0, 0, "ledger_put:last")


def test_json_has_everything(ledger):
    result = ledger.execute("boot()\nput(id=4)\n", quirks=("Q01",))
    plain = result.to_json()
    assert plain["violation"]["signature"] == "C1@ledger_put:unheld"
    assert plain["violation"]["op_text"] == "put(id=4)"
    assert "steps" not in plain
    full = result.to_json(trace=True)
    assert [step["op"] for step in full["steps"]] == [-1, 0, 1]
    assert full["events"] == []
    assert ledger.execute("boot()").to_json()["violation"] is None


def test_a_model_that_is_not_deterministic_is_caught(ledger, monkeypatch):
    result = ledger.execute("boot()\nput(id=4)\n", quirks=("Q01",))
    execute = ledger.core.execute

    def moody(*args, **kwargs):
        return {**execute(*args, **kwargs), "violation": None}

    monkeypatch.setattr(ledger.core, "execute", moody)
    with pytest.raises(RuntimeError, match="not deterministic"):
        result.steps  # noqa: B018


def test_a_program_runs_on_its_own_target_only(ledger):
    with pytest.raises(UsageError, match="cannot run on"):
        vfuzz.targets()[0].execute(ledger.parse("boot()"))


def test_targets_can_be_pickled(ledger):
    assert pickle.loads(pickle.dumps(ledger)) is ledger


def test_a_missing_core_says_how_to_build_it(tmp_path, monkeypatch):
    package = tmp_path / "half" / "built"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("NAME = 'half.built'\nSUMMARY = 's'\nERAS = ('x',)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    target = vfuzz.target("half.built")
    assert not target.built
    with pytest.raises(NotBuilt, match=r"half\.built\._core is missing; build it with"):
        target.core  # noqa: B018
    (package / "_core.py").write_text("raise ImportError('undefined symbol: x')\n")
    with pytest.raises(NotBuilt, match="does not load: undefined symbol: x"):
        target.core  # noqa: B018
    (package / "_core.py").write_text("import half.missing\n")
    (package / "__init__.py").write_text("import half.missing\n")
    with pytest.raises(UnknownName):
        vfuzz.target("half.nothing")


@pytest.mark.parametrize(
    ("name", "names", "answer"),
    [
        ("virtio-net", ["virtio-net-rx", "ring"], "did you mean virtio-net-rx?"),
        ("a4", ["A04", "B01"], "did you mean A04?"),
        ("zzzzzz", ["one", "two"], "there are: one, two"),
        ("x", [], "there are none"),
    ],
)
def test_near_misses_are_named(name, names, answer):
    assert did_you_mean(name, names) == answer
