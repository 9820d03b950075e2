# SPDX-License-Identifier: GPL-2.0-or-later
"""Working findings out: minimised to the same signature, reported, looked at again later."""

from __future__ import annotations

from pathlib import Path

import pytest

import vfuzz
from vfuzz.engine import triage
from vfuzz.engine.records import Finding, Mail, dump, load
from vfuzz.engine.shrink import shrink
from vfuzz.engine.worker import store_mail

from .conftest import LEDGER

PROGRAM = """\
boot(mode=strict)
get(id=1)
get(id=2)
read(offset=9)
put(id=1)
put(id=5) fail(alloc, 2)
put(id=6)
"""


@pytest.fixture
def home(tmp_path: Path, ledger: vfuzz.Target) -> Path:
    """A work directory's findings with one raw finding; its directory."""
    program = ledger.parse(PROGRAM)
    finding = Finding(
        vfuzz="1",
        target=LEDGER,
        signature="C1@ledger_put:unheld",
        era="new",
        quirks=("Q01",),
        found="now",
        worker=0,
        executions=1,
        ops_raw=len(program),
        ops=len(program),
    )
    (tmp_path / "findings").mkdir()
    assert store_mail(tmp_path / "findings", Mail(finding=finding, program=program.encode()))
    assert not store_mail(tmp_path / "findings", Mail(finding=finding, program=b""))
    (home,) = (tmp_path / "findings").iterdir()
    return home


def test_a_raw_finding_is_minimised_and_reported(home, ledger):
    raw = (home / "raw.bin").read_bytes()
    finding = triage.triage(home, 10.0)
    assert (finding.state, finding.status) == ("minimised", "open")
    assert (finding.ops_raw, finding.ops, finding.op) == (6, 1, 0)
    assert finding.eras == ("old", "new")
    assert finding.tries > 1
    assert load(home / "finding.json", Finding) == finding
    program = ledger.decode((home / "program.bin").read_bytes())
    assert str(program) == "boot()\nput()\n"
    assert (home / "raw.bin").read_bytes() == raw
    assert (home / "report.txt").read_text() == ledger.execute(program, "new", ("Q01",)).report()
    assert (home / "program.vf").read_text() == (
        "# target: tests.fakes.ledger\n# era: new\n# quirks: Q01\n"
        "# bad-put, C1@ledger_put:unheld\nboot()\nput()\n"
    )


def test_a_second_look_changes_nothing(home):
    triage.triage(home, 10.0)
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    triage.triage(home, 10.0)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_a_deadline_keeps_what_there_is(home, ledger):
    finding = triage.triage(home, 0.0)
    assert finding.state == "kept"
    violation = ledger.execute((home / "program.bin").read_bytes(), "new", ("Q01",)).violation
    assert violation is not None
    assert violation.signature == finding.signature
    assert (home / "report.txt").exists()


def test_what_no_longer_shows_is_gone_and_may_come_back(home):
    finding = load(home / "finding.json", Finding)
    finding.quirks = ()
    (home / "finding.json").write_bytes(dump(finding))
    gone = triage.triage(home, 10.0)
    assert (gone.status, gone.state) == ("gone", "raw")
    gone.quirks = ("Q01",)
    (home / "finding.json").write_bytes(dump(gone))
    assert triage.triage(home, 10.0).status == "open"


def test_the_process_tells_what_it_did(home, capsys):
    workdir = str(home.parents[1])
    assert triage.main(["triage", workdir, "10", home.name]) == 0
    assert capsys.readouterr().out == f"{home.name}: minimised, open, 6 -> 1 ops\n"
    (home / "finding.json").write_text("{")
    assert triage.main(["triage", workdir, "10", home.name]) == 3
    assert "not a readable Finding record" in capsys.readouterr().err


def test_shrinking_keeps_the_signature_and_not_just_a_violation(ledger):
    # Without the reads of 77 the same program has another violation, later.
    text = "boot()\nget(id=1)\nget(id=2)\nread(offset=77)\nput(id=7)\n"
    quirks = ("Q01", "Q04")
    shrunk = shrink(ledger.parse(text), "new", quirks, "C3@ledger_read:deep")
    assert str(shrunk.program) == "boot()\nget(id=1)\nget(id=2)\nread(offset=77)\n"
    assert shrunk.finished
    with pytest.raises(ValueError, match="predicate"):
        shrink(ledger.parse(text), "new", quirks, "C2@ledger_close:held")
