# SPDX-License-Identifier: GPL-2.0-or-later
"""Program files: text or binary, and what they say about how to run them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from vfuzz import api, targets
from vfuzz.engine import inputs
from vfuzz.engine.records import CampaignFile, dump
from vfuzz.engine.store import save_finding
from vfuzz.errors import UsageError

from .conftest import LEDGER
from .test_store import finding

TEXT = (
    "# why\n#  target : tests.fakes.ledger\n# eras: old, new\n# Quirk: Q01 Q04\n\nboot()\nput()\n"
)


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_text_says_how_to_run_it(tmp_path, ledger):
    source = inputs.read(write(tmp_path / "a.vf", TEXT))
    assert source.is_text
    assert (source.target, source.eras, source.quirks) == (LEDGER, ("old", "new"), ("Q01", "Q04"))
    assert source.comments == TEXT[: TEXT.index("boot")]
    assert source.resolve_target(None) is ledger
    assert str(source.program(ledger)) == "boot()\nput()\n"


def test_comments_after_the_first_op_say_nothing(tmp_path):
    source = inputs.read(write(tmp_path / "a.vf", "boot()\n# era: old\n"))
    assert source.eras is None
    assert source.comments == ""


def test_no_quirks_can_be_said(tmp_path):
    assert inputs.read(write(tmp_path / "a.vf", "# quirks: none\nboot()\n")).quirks == ()


@pytest.mark.parametrize(
    ("name", "data", "is_text"),
    [
        ("a", b"boot()\nget(id=1)\n", True),
        ("a", b"  # comment\n", True),
        ("a", b"boot (", True),
        ("a", b"", False),
        ("a.vf", b"", True),
        ("a", b"\0" * 16, False),
        ("a", b"boot(\0", False),
        ("a", b"\xff\xfe", False),
        ("a", b"plain words", False),
    ],
)
def test_text_and_binary_are_told_apart(tmp_path, name, data, is_text):
    assert inputs.read(write(tmp_path / name, data)).is_text is is_text


def test_any_binary_is_a_program_and_a_bad_text_has_line_and_column(tmp_path, ledger):
    assert len(inputs.read(write(tmp_path / "a", b"")).program(ledger)) == 0
    assert len(inputs.read(write(tmp_path / "b", os.urandom(4096) + b"\xff")).program(ledger)) > 0
    bad = inputs.read(write(tmp_path / "c.vf", "boot()\nget(di=1)\n"))
    with pytest.raises(UsageError, match=r"c\.vf: line 2, column 5"):
        bad.program(ledger)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "missing", "does not exist"),
        (lambda d: d, "is a directory: name a program file"),
        (lambda d: write(d / "big", b"\0" * (inputs.FILE_MAX + 1)), "has 1,048,577 bytes"),
        (lambda d: os.mkfifo(d / "pipe") or d / "pipe", "not a regular file"),
        (lambda d: write(d / "latin.vf", b"# \xe9\n"), "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, make, message):
    with pytest.raises(UsageError, match=message):
        inputs.read(make(tmp_path))


def test_a_huge_file_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(100 << 30)
    with pytest.raises(UsageError, match="no program is longer"):
        inputs.read(path)


def test_standard_input_is_a_file_too(monkeypatch, ledger):
    class Stdin:
        buffer = io.BytesIO(TEXT.encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert str(inputs.read(Path("-")).program(ledger)) == "boot()\nput()\n"
    Stdin.buffer = io.BytesIO(b"\0" * (inputs.FILE_MAX + 1))
    with pytest.raises(UsageError, match="or more"):
        inputs.read(Path("-"))


def test_the_finding_beside_a_program_says_how_to_run_it(tmp_path):
    one = finding()
    one.target, one.era, one.quirks = LEDGER, "new", ("Q02",)
    home = save_finding(tmp_path, one, {"program.bin": b"\0", "other": b"\0"})
    assert home is not None
    source = inputs.read(home / "program.bin")
    assert (source.target, source.eras, source.quirks) == (LEDGER, ("new",), ("Q02",))
    assert inputs.read(home / "other").target is None


def test_the_place_of_a_file_says_its_target(tmp_path):
    with pytest.raises(UsageError, match="cannot tell its target: give --target"):
        inputs.read(write(tmp_path / "a", b"")).resolve_target(None)
    for name in targets.names():
        path = write(tmp_path / "corpus" / name / "seeds" / "a.vf", "boot()\n")
        assert inputs.read(path).resolve_target(None).name == name
    record = CampaignFile(vfuzz="1", target=LEDGER, quirks=(), eras=(), seed=1, created="x")
    write(tmp_path / "work" / "campaign.json", dump(record))
    path = write(tmp_path / "work" / "corpus" / "abc", b"")
    assert inputs.read(path).resolve_target(None).name == LEDGER


def test_a_wrong_target_is_told_with_the_file(tmp_path):
    source = inputs.read(write(tmp_path / "a.vf", "# target: rings\nboot()\n"))
    with pytest.raises(UsageError, match=r"a\.vf: unknown target 'rings'"):
        source.resolve_target(None)
    assert source.resolve_target(LEDGER).name == LEDGER


def test_directories_stand_for_the_programs_in_them(tmp_path):
    write(tmp_path / "d" / "b.vf", "boot()\n")
    write(tmp_path / "d" / "a", b"")
    write(tmp_path / "d" / "README.md", "no program")
    write(tmp_path / "d" / ".hidden", b"")
    write(tmp_path / "d" / "e" / "c.bin", b"")
    found = list(inputs.expand([tmp_path / "d", Path("-"), tmp_path / "missing"]))
    expected = [tmp_path / "d/a", tmp_path / "d/b.vf", tmp_path / "d/e/c.bin"]
    assert found == [*expected, Path("-"), tmp_path / "missing"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no program files"):
        list(inputs.expand([tmp_path / "empty"]))


def test_a_work_directory_stands_for_its_findings(tmp_path):
    write(tmp_path / "campaign.json", "{}")
    write(tmp_path / "corpus" / "abc", b"")
    (tmp_path / "findings").mkdir()
    home = save_finding(tmp_path / "findings", finding(), {"program.bin": b"", "raw.bin": b""})
    assert home is not None
    assert list(inputs.expand([tmp_path])) == [home / "program.bin"]
    assert list(inputs.expand([home])) == [home / "program.bin"]


def test_the_head_makes_a_text_run_by_itself(tmp_path):
    head = inputs.head_of(LEDGER, ("old",), ("Q01", "Q04"))
    source = inputs.read(write(tmp_path / "a.vf", head + "boot()\n"))
    assert (source.target, source.eras, source.quirks) == (LEDGER, ("old",), ("Q01", "Q04"))
    assert inputs.head_of(LEDGER) == f"# target: {LEDGER}\n"


def test_committed_seeds_are_found_where_there_are_any(ledger):
    assert inputs.seed_files(ledger) == []
    for target in api.targets():
        assert all(path.suffix == ".vf" for path in inputs.seed_files(target))
