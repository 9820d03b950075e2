# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports and traces are compared with golden files; a new case is a new file.

A case is golden/NAME.vf, a program for the ledger with its era and quirks in comments. Its report
is golden/NAME.txt, its trace golden/NAME.trace. To write them anew: VFUZZ_GOLDEN=write.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import vfuzz
from tests.needs import need
from vfuzz.engine import inputs
from vfuzz.sanitizer import report

need("vfuzz.program.codec")

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob("*.vf"))
VIOLATIONS = [path for path in CASES if path.stem != "clean"]
ROOT = Path(__file__).parents[2]


def run(path: Path) -> vfuzz.Result:
    source = inputs.read(path)
    target = source.resolve_target(None)
    assert source.eras is not None, f"{path}: a case names its era"
    return target.execute(source.program(target), source.eras[0], source.quirks or ())


def compare(path: Path, text: str) -> None:
    if os.environ.get("VFUZZ_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_report_is_as_agreed(path):
    compare(path.with_suffix(".txt"), run(path).report())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_trace_is_as_agreed(path):
    compare(path.with_suffix(".trace"), run(path).trace_text())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_report_does_not_depend_on_when_the_trace_was_taken(path):
    result = run(path)
    traced = result.target.execute(result.program, result.era, result.quirks, trace=True)
    assert traced.report() == result.report()


# What ClusterFuzz reads of a report (clusterfuzz/stacktraces/constants.py: SAN_ADDR_REGEX,
# SAN_STACK_FRAME_REGEX), in short.
ERROR_LINE = re.compile(
    r".*(ERROR: [a-zA-Z]+Sanitizer)[: ]*(.*) on (unknown address |address |)([xX0-9a-fA-F]+)"
)
FRAME = re.compile(r"\s*#(\d+)\s+([xX0-9a-fA-F]+)\s+in (\S+) ([^ ]+):(\d+)$")


@pytest.mark.parametrize("path", VIOLATIONS, ids=lambda path: path.stem)
def test_stack_parsers_read_it(path):
    result = run(path)
    violation = result.violation
    assert violation is not None
    lines = result.report().splitlines()
    errors = [m for line in lines if (m := ERROR_LINE.match(line))]
    assert [m[2] for m in errors] == [violation.title]
    frames = [m for line in lines if (m := FRAME.match(line))]
    assert [(m[1], m[3]) for m in frames] == [("0", violation.site.partition(":")[0])]
    source = (ROOT / frames[0][4]).read_text().splitlines()[int(frames[0][5]) - 1]
    assert f'b"{violation.site}"' in source
    assert lines[-1].startswith(f"SUMMARY: VirtFuzzSanitizer: {violation.title} ")


def test_the_example_of_the_document_is_a_real_report():
    document = (ROOT / "docs/reports.md").read_text()
    assert f"```\n{(GOLDEN / 'unheld-put.txt').read_text()}```\n" in document


def test_a_clean_run_has_one_line():
    result = vfuzz.target("tests.fakes.ledger").execute("boot()\nget()\n")
    assert result.report() == "vfuzz: tests.fakes.ledger, new: no violation\n"


def test_sites_without_source_are_named_all_the_same(tmp_path):
    sources = report.Sources([(tmp_path, tmp_path)])
    assert sources.find("nowhere:label") is None


def test_the_first_of_two_labels_counts_and_text_is_no_label(tmp_path):
    (tmp_path / "b.pxi").write_text('x(b"f:one")\n')
    (tmp_path / "a.pyx").write_text('"f:one"\n\ncall(x, b"f:one")  # and b"f:one"\n')
    (tmp_path / "a.py").write_text('b"f:two"\n')
    sources = report.Sources([(tmp_path, tmp_path.parent)])
    assert sources.find("f:one") == (f"{tmp_path.name}/a.pyx", 3)
    assert sources.find("f:two") is None


def long_history(events: int) -> str:
    target = vfuzz.target("tests.fakes.ledger")
    text = "boot()\n" + "get(id=3)\nput(id=3)\n" * (events // 2 - 1) + "put(id=3)\n" * 2
    return target.execute(text, "old", ("Q01",)).report()


def test_a_long_history_keeps_its_ends():
    text = long_history(60)
    history = text[text.index("History of") : text.index("Program,")]
    lines = [line for line in history.splitlines() if "page 3" in line and "History" not in line]
    assert len(lines) == report.HISTORY_HEAD + report.HISTORY_TAIL
    assert f"... {58 - len(lines)} more ..." in history


def event_calls() -> set[tuple[str, str | None]]:
    """(what, kind of object, None when it is computed) of every ev() in the sources."""
    found = set()
    for path in (ROOT / "vfuzz").rglob("*.px*"):
        text = path.read_text()
        for what, kind in re.findall(r'\bev\(b"(\w+)",\s*(b"[^"]*"|\w+\()', text):
            found.add((what, kind[2:-1] if kind.startswith('b"') else None))
    return found


def test_every_event_of_the_models_has_a_meaning():
    calls = event_calls()
    missing = [
        (what, kind)
        for what, kind in calls
        if (what, kind) not in report.FIELDS and (what, "") not in report.FIELDS
    ]
    assert not missing, "add what their two numbers mean to report.FIELDS"


def test_holders_are_those_of_the_simulator():
    memory = (ROOT / "vfuzz/sim/memory.pxi").read_text()
    numbers = re.findall(r"^    (H_\w+|N_HOLDERS) = (\d+)", memory, flags=re.M)
    assert [name for name, _ in numbers][-1] == "N_HOLDERS"
    assert int(numbers[-1][1]) == len(report.HOLDERS) == len(numbers) - 1
