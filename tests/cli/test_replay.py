# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz replay`"""

from __future__ import annotations

import io
import json

import pytest

from tests.engine.test_store import finding
from vfuzz import api
from vfuzz.engine.store import save_finding

from .conftest import LEDGER

BAD = f"# target: {LEDGER}\n# era: new\n# quirks: Q01\nboot()\nget(id=1)\nput(id=4)\n"
CLEAN = f"# target: {LEDGER}\nboot()\nget(id=1)\n"


def test_a_violation_is_reported(vfuzz, write):
    done = vfuzz("replay", write("a.vf", BAD))
    assert done.code == 1
    assert done.out.startswith("a.vf:\n=====")
    assert "==vfuzz== ERROR: VirtFuzzSanitizer: bad-put on address 0x" in done.out
    assert "=>   1 put(id=4)" in done.out


def test_a_clean_program_is_told_to_be_so_in_each_era(vfuzz, write):
    done = vfuzz("replay", write("a.vf", CLEAN))
    assert done.code == 0
    assert done.out == (
        "a.vf: no violation in old\na.vf: no violation in new\n2 runs, 0 with a violation\n"
    )


def test_options_come_before_what_the_file_says(vfuzz, write):
    path = write("a.vf", BAD)
    assert vfuzz("replay", path, "--quirk", "none").out == "a.vf: no violation in new\n"
    both = vfuzz("replay", path, "--era", "all")
    assert both.code == 1
    assert both.out.count("SUMMARY") == 2
    assert (
        vfuzz("replay", path, "--era", "old", "--quirk", "Q01").out.count(" old, quirks Q01") == 1
    )


def test_binary_needs_a_target(vfuzz, write):
    data = api.target(LEDGER).parse(BAD).encode()
    path = write("crash-1", data)
    done = vfuzz("replay", path)
    assert done.code == 2
    assert "crash-1: cannot tell its target: give --target NAME" in done.err
    done = vfuzz("replay", path, "--target", LEDGER, "--quirk", "blind-put", "--era", "new")
    assert done.code == 1


def test_a_trace_is_printed_on_demand(vfuzz, write):
    done = vfuzz("replay", write("a.vf", BAD), "--trace")
    assert "   0 get(id=1)\n       get page 1 (holder driver, refcount 1)" in done.out
    assert "       = held 1\n" in done.out


def test_json_has_everything(vfuzz, write):
    done = vfuzz("replay", write("a.vf", BAD), write("b.vf", CLEAN), "--json")
    assert done.code == 1
    results = json.loads(done.out)
    assert [(r["file"], r["era"]) for r in results] == [
        ("a.vf", "new"),
        ("b.vf", "old"),
        ("b.vf", "new"),
    ]
    assert results[0]["violation"]["signature"] == "C1@ledger_put:unheld"
    assert results[0]["report"].startswith("====")
    assert results[0]["steps"][1]["obs"] == [["held", 1]]
    assert results[0]["events"][0]["what"] == "get"
    assert results[1]["violation"] is None
    assert results[1]["report"] is None


def test_known_findings_are_told_to_be_known(vfuzz, write):
    text = f"# target: {LEDGER}\nboot()\nread(offset=255)\n"
    done = vfuzz("replay", write("a.vf", text), "--era", "old")
    assert done.code == 1
    assert "Known in old: F01: a read of 255 touches 256\n  see docs/findings/F01.md" in done.out


def test_directories_and_standard_input(vfuzz, write, monkeypatch):
    write("d/a.vf", CLEAN)
    write("d/b.vf", BAD)
    done = vfuzz("replay", "d")
    assert done.code == 1
    assert "3 runs, 1 with a violation" in done.out

    class Stdin:
        buffer = io.BytesIO(CLEAN.encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert "-: no violation in new" in vfuzz("replay", "-").out


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("missing.vf", None, "missing.vf does not exist"),
        ("big", b"\0" * (100 << 20), "has 104,857,600 bytes: no program is longer"),
        ("bad.vf", f"# target: {LEDGER}\nboot()\nput(di=1)\n", "bad.vf: line 3, column 5"),
        ("era.vf", f"# target: {LEDGER}\n# era: older\nboot()\n", "unknown era 'older'"),
        ("target.vf", "# target: ledger\nboot()\n", "target.vf: unknown target 'ledger'"),
        ("empty/", None, "holds no program files"),
    ],
)
def test_what_cannot_be_replayed_is_usage(vfuzz, write, tmp_path, name, data, message):
    if data is not None:
        write(name, data)
    if name.endswith("/"):
        write("other", "")
        (tmp_path / name).mkdir()
    done = vfuzz("replay", name)
    assert done.code == 2, done
    assert message in done.err
    assert "Traceback" not in done.err


def test_an_empty_file_is_a_program_too(vfuzz, write):
    done = vfuzz("replay", write("empty", b""), "--target", LEDGER)
    assert done.code == 0
    assert "empty: no violation in old" in done.out


@pytest.mark.parametrize(
    ("how", "quirks", "code", "message"),
    [
        ("segv", ("Q03",), 1, "kills the process that runs it (SIGSEGV)"),
        ("exit", ("Q03",), 1, "kills the process that runs it (exit status 9)"),
        ("no", ("Q03",), 0, "killed a worker once, and does not now"),
    ],
)
def test_what_killed_a_worker_does_not_kill_the_command(
    vfuzz, write, tmp_path, how, quirks, code, message
):
    one = finding()
    one.target, one.era, one.quirks, one.kind = LEDGER, "new", quirks, "crash"
    program = api.target(LEDGER).parse(f"boot()\ncrash(how={how})\n").encode()
    write("x", "")
    assert save_finding(tmp_path, one, {"program.bin": program}) is not None
    write("a.vf", CLEAN)
    done = vfuzz("replay", "C1-f-x", "a.vf")
    assert done.code == code
    assert message in done.out
    assert "a.vf: no violation in new" in done.out
    assert f"3 runs, {code} with a violation" in done.out
