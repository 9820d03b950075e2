# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz run`: what it prints and how it ends. More in tests/engine/test_campaign.py."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from vfuzz.api import target
from vfuzz.cli import main
from vfuzz.cli.status import LiveMonitor, PlainMonitor, summary_text
from vfuzz.engine import process
from vfuzz.engine.records import Finding
from vfuzz.engine.settings import Settings
from vfuzz.engine.status import KnownHits, Sight, Status, Stored, Summary

from .conftest import LEDGER


def test_a_clean_run(vfuzz, write, tmp_path):
    write("x", "")
    done = vfuzz("run", LEDGER, "-j1", "--runs", "2k", "--seed", 7, "--era", "new")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{LEDGER}, new, no quirks, seed 7: ")
    assert "  executions          2,000   " in done.out
    assert "  coverage   0 -> " in done.out
    assert done.out.endswith("\nno findings\n")
    home = f"vfuzz-{LEDGER}"
    assert vfuzz("replay", home) == (0, f"{home}: no findings\n", "")
    assert (tmp_path / f"vfuzz-{LEDGER}" / "campaign.json").exists()


def test_a_focus_follows_its_eras(vfuzz, write):
    write("x", "")
    options = ("-j1", "--runs", "200", "--no-seeds", "--focus", "pool", "--seed", 1)
    done = vfuzz("run", "virtio-net-rx", "a", *options)
    assert done.out.startswith("virtio-net-rx, linux-7.2, no quirks, seed 1: ")
    done = vfuzz("run", "virtio-net-rx", "b", *options, "--era", "linux-6.1")
    assert done.out.startswith("virtio-net-rx, linux-6.1, no quirks, seed 1: ")


def test_a_run_with_a_finding(vfuzz, write):
    write("x", "")
    options = ("-j1", "--runs", "10k", "--quirk", "Q01", "--interval", "0.1")
    done = vfuzz("run", LEDGER, "w", *options)
    assert done.code == 1
    assert "findings: 1, 1 of them new\n  C1@ledger_put:unheld  bad-put, old, new" in done.out
    assert "    vfuzz replay w/findings/C1-ledger_put-unheld\n" in done.out
    assert "known in old: F01: a read of 255 touches 256 (C3@ledger_read:edge), hits " in done.out
    assert "see docs/findings/F01.md" in done.out
    assert "vfuzz: finding: bad-put C1@ledger_put:unheld in " in done.err
    assert "cov " in done.err
    shown = vfuzz("replay", "w")
    assert shown.code == 1
    assert "SUMMARY: VirtFuzzSanitizer: bad-put" in shown.out
    small = vfuzz("tmin", "w/findings/C1-ledger_put-unheld/raw.bin")
    assert small.code == 0
    assert small.out.endswith("boot()\nput()\n")
    assert vfuzz("cmin", "w", "distilled").code == 0


def test_json_is_alone_on_standard_output(vfuzz, write):
    write("x", "")
    done = vfuzz("run", LEDGER, "w", "-j1", "--runs", "500", "--quirk", "Q01", "--json")
    assert done.code == 1
    summary = json.loads(done.out)
    assert summary["exit_code"] == 1
    assert summary["stopped"] == "runs"
    assert summary["status"]["executions"] == 500
    assert summary["status"]["findings"][0]["finding"]["signature"] == "C1@ledger_put:unheld"


def test_arguments_after_the_dashes_are_libfuzzers(vfuzz, write, tmp_path):
    write("x", "")
    done = vfuzz("run", LEDGER, "-j1", "--runs", "2000", "--", "-max_len=48", "-verbosity=1")
    assert done.code == 0, done.err
    home = tmp_path / f"vfuzz-{LEDGER}"
    assert max(path.stat().st_size for path in (home / "corpus").iterdir()) <= 48
    done = vfuzz("run", LEDGER, "-j1", "--", "-fork=2")
    assert done.code == 2
    assert "-fork=2 cannot be used here: use -j" in done.err


@pytest.mark.parametrize(
    ("prepare", "code", "message"),
    [
        (lambda d: (d / "w").write_text("a file"), 2, "w is a file"),
        (lambda d: (d / "w" / "thesis").mkdir(parents=True), 2, "not a vfuzz work directory"),
        (
            lambda d: [(d / "w").mkdir(), (d / "w/campaign.json").write_text("{")],
            3,
            "not a readable",
        ),
        (lambda d: (d / "w").symlink_to("nowhere/at/all"), 3, "cannot be used"),
    ],
)
def test_a_work_directory_that_cannot_be_used(vfuzz, write, tmp_path, prepare, code, message):
    write("x", "")
    prepare(tmp_path)
    done = vfuzz("run", LEDGER, "w", "-j1", "--runs", "10")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_directory_that_may_not_be_written(tmp_path):
    (tmp_path / "w").mkdir(mode=0o555)
    told = tmp_path / "told"
    pid = os.fork()
    if pid == 0:
        sys.stderr = told.open("w")
        if os.geteuid() == 0:
            os.seteuid(65534)  # nothing is forbidden to root
        code = main(["run", LEDGER, str(tmp_path / "w"), "--runs", "10"])
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    assert "cannot be used: Permission denied" in told.read_text()


def test_a_blind_run_ends_with_3(vfuzz, write, monkeypatch):
    write("x", "")
    monkeypatch.setenv("LEDGER_BLIND", "counters")
    done = vfuzz("run", LEDGER, "w", "-j1", "--runs", "10")
    assert done.code == 3
    assert "would be blind: build it with VFUZZ_BUILD=fuzz" in done.err
    assert "no findings" not in done.out


def test_a_terminal_gets_a_live_table(tmp_path):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "vfuzz", "run", LEDGER, "w", "-j1", "--time", "2.5"]
    with subprocess.Popen(
        [*command, "--quirk", "Q01"],
        cwd=tmp_path,
        stderr=follower,
        stdout=subprocess.PIPE,
        stdin=follower,
        env={**process.environment(), "TERM": "xterm", "COLUMNS": "100"},
    ) as running:
        os.close(follower)
        shown = b""
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:  # the last writer has closed it
                break
            if not data:
                break
            shown += data
        assert running.stdout is not None
        summary = running.stdout.read()
    os.close(leader)
    assert running.returncode == 1
    for word in (b"executions", b"coverage", b"C1@ledger_put:unheld", b"Ctrl-C ends it"):
        assert word in shown
    assert b"findings: 1, 1 of them new" in summary


def stored(**changes: object) -> Stored:
    finding = Finding(
        vfuzz="1",
        target="t",
        signature="S7@receive_mergeable:first",
        title="out-of-bounds-read",
        era="linux-6.1",
        eras=("linux-6.1", "linux-6.12"),
        state="minimised",
        found="now",
        worker=0,
        executions=1,
        ops_raw=12,
        ops=4,
    )
    for name, value in changes.items():
        setattr(finding, name, value)
    return Stored(slug="S7-a", path="w/findings/S7-a", new=True, hits=1234, finding=finding)


def summary(*findings: Stored, known: tuple[KnownHits, ...] = (), error: str = "") -> Summary:
    status = Status(
        seconds=3725.0,
        executions=9_000_000,
        executions_per_s=2416.1,
        ops=1,
        ops_per_s=0.0,
        begin=Sight(1, 2, 3),
        now=Sight(1000, 2000, 3000),
        workers=0,
        rss_kib=0,
        findings=list(findings),
        known=list(known),
    )
    return Summary(
        target="t",
        workdir="w",
        eras=("linux-6.1",),
        quirks=("A04",),
        seed=5,
        stopped="time",
        error=error,
        exit_code=0,
        restarts=2,
        status=status,
    )


def test_the_summary_says_it_all():
    known = [
        KnownHits(era=era, signature="S31@f:x", hits=hits, doc="docs/F.md", summary="R01: s")
        for era, hits in (("linux-6.1", 7), ("linux-6.12", 8000))
    ]
    text = summary_text(summary(stored(), stored(status="gone"), known=tuple(known)))
    assert text == (
        "t, linux-6.1, quirks A04, seed 5: 1:02:05, ended by: time\n"
        "  executions      9,000,000   2,416 a second\n"
        "  ops                     1   0 a second\n"
        "  coverage   1 -> 1,000 edges and states\n"
        "  features   2 -> 2,000\n"
        "  corpus     3 -> 3,000 programs\n"
        "  restarts   2 of workers that died\n"
        "known in linux-6.1 and linux-6.12: R01: s (S31@f:x), hits 7 and 8,000, see docs/F.md\n"
        "findings: 1, 1 of them new\n"
        "  S7@receive_mergeable:first  out-of-bounds-read, linux-6.1, linux-6.12, 12 -> 4 ops,"
        " hits 1,234\n"
        "    vfuzz replay w/findings/S7-a\n"
        "no longer seen: S7-a\n"
    )
    assert "no findings" in summary_text(summary())
    assert "no findings" not in summary_text(summary(error="blind"))
    assert "4 ops, kept" in summary_text(summary(stored(state="kept")))


def test_the_default_work_directory_is_where_one_stands(vfuzz, write):
    write("x", "")
    assert vfuzz("run", LEDGER, "-j1", "--runs", "10").code == 0
    assert Path(f"vfuzz-{LEDGER}/corpus").is_dir()


def test_a_divergence_is_shown_again_on_its_kernel():
    finding = stored(kind="divergence", title="model and kernel differ", kernel="mine",
                     eras=(), quirks=("A04",))  # fmt: skip
    text = summary_text(summary(finding))
    assert "model and kernel differ, linux-6.1, 12 -> 4 ops\n" in text
    assert "    vfuzz conform t w/findings/S7-a --kernel mine --quirk A04\n" in text


def test_what_the_kernel_has_done_is_shown_everywhere(tmp_path, capsys):
    ended = summary()
    ended.status.kernel = "kernel mine: 7 programs"
    assert "  kernel mine: 7 programs\n" in summary_text(ended)
    PlainMonitor(1.0).update(ended.status)
    assert capsys.readouterr().err.endswith("findings 0; kernel mine: 7 programs\n")
    settings = Settings(target=target("ring"), workdir=tmp_path, eras=("1",), kernel="mine")
    monitor = LiveMonitor(settings, 1)
    console = Console(width=120, file=io.StringIO())
    console.print(monitor._table(ended.status))
    assert "kernel mine: 7 programs" in console.file.getvalue()
