# SPDX-License-Identifier: GPL-2.0-or-later
"""The supervisor: nothing is lost, nothing is hidden, no blind run passes for a clean one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris
import psutil
import pytest

import vfuzz
from vfuzz.engine import campaign as supervisor
from vfuzz.engine import inputs, process
from vfuzz.engine.campaign import Campaign
from vfuzz.engine.pulse import Pulse
from vfuzz.engine.records import CampaignFile, Finding, WorkerSpec, dump, load
from vfuzz.engine.settings import FORBIDDEN, Settings
from vfuzz.engine.status import Status
from vfuzz.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS, UsageError

from .conftest import LEDGER, Recorder

CANARY = "C1-ledger_put-unheld"


def is_of_the_engine(process: psutil.Process) -> bool:
    """False of one that has ended, or that nobody has waited for yet."""
    try:
        return "vfuzz.engine" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def children(of: int | None = None) -> list[psutil.Process]:
    return [
        child for child in psutil.Process(of).children(recursive=True) if is_of_the_engine(child)
    ]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.05)


def kill_one_worker() -> Callable[[Status], None]:
    """A monitor's on_update that kills the first worker that has got going, once."""
    killed: list[int] = []

    def on_update(status: Status) -> None:
        if not killed and status.executions:
            killed.append(children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    return on_update


# ------------------------------------------------------------------------------ the ordinary run


def test_a_clean_run(run, settings):
    summary, recorder = run()
    assert (summary.exit_code, summary.stopped, summary.error) == (EXIT_CLEAN, "runs", "")
    assert summary.status.executions == 3000
    assert summary.status.executions_per_s > 0
    assert summary.status.ops > 3000
    assert summary.status.begin.cov < summary.status.now.cov
    stored = len(list((settings().workdir / "corpus").iterdir()))
    assert summary.status.now.corpus - stored in (0, 1)  # libFuzzer's own first input has no file
    assert summary.status.findings == []
    assert recorder.updates
    assert recorder.said("no committed seeds for tests.fakes.ledger")
    assert children() == []


def test_what_an_era_is_known_to_have_is_counted_and_listed(run):
    summary, _ = run()
    (known,) = summary.status.known
    assert (known.era, known.signature) == ("old", "C3@ledger_read:edge")
    assert known.hits > 0
    assert known.doc == "docs/findings/F01.md"
    summary, _ = run(eras=("new",))
    assert summary.status.known == []


def test_a_finding_is_stored_minimised_and_reported(run, settings, ledger):
    summary, recorder = run(quirks=("Q01",))
    assert summary.exit_code == EXIT_FINDINGS
    (stored,) = summary.status.findings
    assert (stored.slug, stored.new, stored.finding.state) == (CANARY, True, "minimised")
    assert stored.hits > 1
    assert stored.finding.eras == ("old", "new")
    home = Path(stored.path)
    assert sorted(path.name for path in home.iterdir()) == [
        "finding.json",
        "program.bin",
        "program.vf",
        "raw.bin",
        "report.txt",
    ]
    raw, small = (ledger.decode((home / name).read_bytes()) for name in ("raw.bin", "program.bin"))
    assert (len(raw), len(small)) == (stored.finding.ops_raw, stored.finding.ops)
    assert len(small) == 1
    for program in (raw, small):
        result = ledger.execute(program, stored.finding.era, ("Q01",))
        assert result.violation is not None
        assert result.violation.signature == stored.finding.signature
    assert (home / "report.txt").read_text() == result.report()
    source = inputs.read(home / "program.vf")
    assert source.program(source.resolve_target(None)) == small
    assert (source.eras, source.quirks) == ((stored.finding.era,), ("Q01",))
    assert recorder.said("finding: bad-put C1@ledger_put:unheld")


def test_a_run_is_resumed_and_old_findings_still_count(run, settings):
    first, _ = run(quirks=("Q01",))
    again, recorder = run(quirks=("Q01",), seed=8)
    assert recorder.said("run 2: 1 finding")
    assert again.exit_code == EXIT_FINDINGS
    (stored,) = again.status.findings
    assert not stored.new
    assert stored.hits > 0
    assert again.status.begin.corpus > first.status.begin.corpus
    assert load(settings().workdir / "campaign.json", CampaignFile).runs == 2
    db = sqlite3.connect(settings().workdir / "stats.sqlite")
    rows = db.execute("SELECT executions, exit_code, quirks FROM runs").fetchall()
    assert rows == [(3000, 1, "Q01"), (3000, 1, "Q01")]
    assert db.execute("SELECT count(DISTINCT run) FROM samples").fetchone() == (2,)
    assert db.execute("SELECT min(hits) FROM known").fetchone()[0] > 0


def test_a_finding_that_no_longer_shows_is_gone(run, settings):
    run(quirks=("Q01",))
    path = settings().workdir / "findings" / CANARY / "finding.json"
    finding = load(path, Finding)
    finding.quirks = ()  # as if the code under test had been mended
    path.write_bytes(dump(finding))
    summary, _ = run(quirks=("Q01",), runs=500)
    (stored,) = summary.status.findings
    assert (stored.finding.status, summary.exit_code) == ("gone", EXIT_CLEAN)


def test_workers_share_runs_corpus_and_findings(run):
    summary, _ = run(workers=2, quirks=("Q01",), runs=5001)
    assert summary.status.executions == 5001
    assert [stored.slug for stored in summary.status.findings] == [CANARY]


def test_one_worker_with_a_seed_can_be_repeated(run, settings, tmp_path):
    def corpus(place: str, seed: int) -> tuple[list[str], int, int]:
        summary, _ = run(workdir=tmp_path / place, seed=seed, quirks=("Q04",))
        names = sorted(path.name for path in (tmp_path / place / "corpus").iterdir())
        return names, summary.status.ops, summary.status.known[0].hits

    assert corpus("a", 7) == corpus("b", 7)
    assert corpus("c", 8) != corpus("a2", 7)


def test_it_stops_at_the_first_new_finding(run):
    summary, _ = run(quirks=("Q01",), runs=None, time_s=60, stop_on_first=True)
    assert (summary.stopped, summary.exit_code) == ("first finding", EXIT_FINDINGS)
    assert summary.status.findings[0].finding.state == "minimised"
    assert summary.status.executions < 3000
    summary, _ = run(quirks=("Q01",), runs=1000, stop_on_first=True)
    assert summary.stopped == "runs", "what was found before is not new"


def test_it_stops_when_its_time_is_over(run):
    summary, _ = run(runs=None, time_s=1.5)
    assert (summary.stopped, summary.exit_code) == ("time", EXIT_CLEAN)
    assert 1.5 <= summary.status.seconds < 10
    assert summary.status.executions > 0


def test_committed_seeds_enter_the_corpus(run, settings, tmp_path, monkeypatch, ledger):
    seed = tmp_path / "a.vf"
    seed.write_text(f"# target: {LEDGER}\nboot(slots=3)\nget(id=6)\nread(offset=111)\n")
    monkeypatch.setattr(inputs, "seed_files", lambda target, focus: [seed])
    encoded = ledger.parse("boot(slots=3)\nget(id=6)\nread(offset=111)\n").encode()

    def held() -> bool:
        return any(p.read_bytes() == encoded for p in (settings().workdir / "corpus").iterdir())

    _, recorder = run(runs=2, seeds=False)
    assert not held()
    _, recorder = run(runs=2)
    assert recorder.said("1 committed seed, 1 of them new to the corpus")
    assert held()


def test_arguments_reach_libfuzzer(run, settings, tmp_path):
    extra = tmp_path / "more"
    extra.mkdir()
    run(arguments=("-max_len=64", str(extra)), runs=1000)
    sizes = {p.stat().st_size for p in (settings().workdir / "corpus").iterdir()}
    assert max(sizes) <= 64
    assert "files found in" in (settings().workdir / "workers/0/log").read_text()


@pytest.mark.parametrize("argument", sorted(FORBIDDEN))
def test_arguments_that_would_take_over_are_refused(settings, argument):
    with pytest.raises(UsageError, match=f"argument {argument}=2 cannot be used here: "):
        settings(arguments=(f"{argument}=2",))


# ------------------------------------------------------------------------------------ blindness


def test_a_target_without_counters_is_refused(run, monkeypatch):
    monkeypatch.setenv("LEDGER_BLIND", "counters")
    summary, _ = run()
    assert (summary.exit_code, summary.stopped) == (EXIT_FAILED, "failed")
    assert "was built without coverage instrumentation" in summary.error


def test_a_run_without_features_is_stopped(run, monkeypatch):
    monkeypatch.setenv("LEDGER_BLIND", "features")
    monkeypatch.setattr(supervisor, "FEATURE_GRACE", 2000)
    summary, _ = run(runs=None, time_s=60)
    assert summary.exit_code == EXIT_FAILED
    assert "no input has shown anything new" in summary.error
    assert summary.status.executions < 100_000


def test_a_mutator_out_of_reach_is_refused(run, monkeypatch):
    # As under OSS-Fuzz without the stub: libFuzzer is in the process before the mutator.
    real = process.environment
    preload = f"{atheris.path()}/ubsan_with_fuzzer.so"
    monkeypatch.setattr(process, "environment", lambda: {**real(), "LD_PRELOAD": preload})
    summary, _ = run()
    assert summary.exit_code == EXIT_FAILED
    assert "LD_PRELOAD" in summary.error


def test_a_run_with_libfuzzer_preloaded_reaches_the_mutator(tmp_path):
    env = {**process.environment(), "LD_PRELOAD": f"{atheris.path()}/asan_with_fuzzer.so"}
    command = [sys.executable, "-m", "vfuzz", "run", LEDGER, str(tmp_path / "w"), "-j1", "--json"]
    done = subprocess.run(
        [*command, "--runs", "3000", "--quirk", "Q01"],
        capture_output=True,
        text=True,
        env={**env, "ASAN_OPTIONS": "detect_leaks=0"},
    )
    assert done.returncode == EXIT_FINDINGS, done.stderr
    summary = json.loads(done.stdout)
    assert summary["status"]["executions"] == 3000
    assert summary["status"]["findings"][0]["finding"]["state"] == "minimised"
    assert "Using preloaded libfuzzer" in (tmp_path / "w/workers/0/log").read_text()


def test_a_mutator_that_is_never_called_stops_the_run(run, settings, tmp_path):
    # Single inputs, many times: the one way to run libFuzzer without its mutator.
    one = tmp_path / "one"
    one.write_bytes(b"")
    (tmp_path / "campaign").mkdir()
    observed = Campaign(settings())
    worker = process.WorkerProcess(tmp_path / "worker", 0)
    worker.prepare()
    worker.pulse = Pulse(worker.home / "stats.bin", create=True)
    worker.log_path.write_bytes(b"#2\tINITED cov: 1 ft: 1 corp: 1/1b exec/s: 0 rss: 1Mb\n")
    worker.log.poll()
    assert observed._blindness(worker) == ""
    worker.pulse.set("executions", supervisor.MUTATOR_GRACE + 2)
    assert "has not called the mutator in 2,000 executions" in observed._blindness(worker)
    worker.pulse.set("mutations", 1)
    assert observed._blindness(worker) == ""
    worker.log_path.write_bytes(b"INFO: Loaded 1 modules   (0 inline 8-bit counters): 0 \n" * 20)
    worker.log.poll()
    assert "no coverage counters" in observed._blindness(worker)


# --------------------------------------------------------------------------------------- deaths


def test_a_killed_worker_is_started_again_and_its_finding_stays(run, monkeypatch):
    monkeypatch.setattr(process, "BACKOFF_S", (0.05,))
    summary, recorder = run(kill_one_worker(), quirks=("Q01",), runs=20_000)
    assert recorder.said("worker 0 died with signal 9: starting it again in 0.05 s")
    assert summary.restarts == 1
    assert summary.stopped == "runs"
    assert summary.status.executions == 20_000
    assert [stored.slug for stored in summary.status.findings] == [CANARY]


def test_reading_the_corpus_again_is_not_blindness(settings, tmp_path, ledger):
    """A worker that was started again runs the whole corpus before it mutates anything."""
    observed = Campaign(settings())
    worker = process.WorkerProcess(tmp_path / "worker", 0)
    worker.prepare()
    worker.log_path.write_bytes(b"#2\tINITED cov: 1 ft: 1 corp: 1/1b exec/s: 0 rss: 1Mb\n")
    worker.log.poll()
    spec = WorkerSpec(target=LEDGER, eras=(), quirks=(), scratch="", arguments=())
    worker.start(spec)
    try:
        assert worker.pulse is not None
        worker.pulse.set("executions", supervisor.MUTATOR_GRACE + 2)
        assert observed._blindness(worker) == ""
        assert worker.log.begin is not None
    finally:
        worker.kill()


def test_three_fast_deaths_are_a_failure_with_the_log(run, monkeypatch):
    monkeypatch.setattr(process, "BACKOFF_S", (0.05,))
    monkeypatch.setenv("LEDGER_DIE", "20")
    summary, _ = run()
    assert summary.exit_code == EXIT_FAILED
    assert summary.restarts == 2
    assert "died 3 times within seconds of its start, last with signal 9" in summary.error
    assert "INITED" in summary.error


def test_an_input_that_kills_the_model_is_kept(run, monkeypatch, ledger):
    monkeypatch.setattr(process, "BACKOFF_S", (0.05,))
    summary, recorder = run(quirks=("Q03",), runs=None, time_s=60, arguments=("-timeout=1",))
    assert recorder.said("1 input kept: starting it again")
    crash = next(s for s in summary.status.findings if s.finding.kind in ("crash", "timeout"))
    program = ledger.decode((Path(crash.path) / "program.bin").read_bytes())
    assert any(call.name == "crash" for call in program)
    assert "libFuzzer" in (Path(crash.path) / "report.txt").read_text()
    assert summary.exit_code in (EXIT_FINDINGS, EXIT_FAILED)


def test_a_finding_that_cannot_be_written_is_told_and_stored_later(run, settings):
    findings = settings().workdir / "findings"

    class LosesTheDisk(Recorder):
        def message(self, text: str) -> None:
            super().message(text)
            if "no committed seeds" in text:  # the directories are made, no worker is started
                findings.rmdir()
                findings.write_text("in the way")

    summary = Campaign(settings(quirks=("Q01",))).run(LosesTheDisk())
    assert summary.exit_code == EXIT_FAILED
    assert "a finding cannot be written: Not a directory" in summary.error
    assert "C1@ledger_put:unheld in " in summary.error
    assert "\nput(" in summary.error
    findings.unlink()
    summary, _ = run(quirks=("Q01",), runs=2)
    assert summary.exit_code == EXIT_FINDINGS
    assert [stored.slug for stored in summary.status.findings] == [CANARY]


def test_damaged_statistics_do_not_stop_a_campaign(run, settings):
    run(quirks=("Q01",), runs=500)
    (settings().workdir / "stats.sqlite").write_bytes(b"not a database at all")
    summary, recorder = run(quirks=("Q01",), runs=500)
    assert recorder.said("was damaged")
    assert [stored.slug for stored in summary.status.findings] == [CANARY]
    assert (settings().workdir / "stats.sqlite.damaged-1").exists()


def test_a_triage_that_dies_leaves_the_finding_as_found(run, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'vfuzz.engine.triage' in sys.orig_argv:\n    os._exit(9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    summary, recorder = run(quirks=("Q01",), runs=500)
    assert recorder.said(f"working out {CANARY} failed (status 9): kept as found")
    (stored,) = summary.status.findings
    assert stored.finding.state == "kept"
    assert summary.exit_code == EXIT_FINDINGS


# ---------------------------------------------------------------------- the supervisor's own end


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `vfuzz run` on the ledger as a process; what is left of it is killed in the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str, quirk: str = "Q01") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "vfuzz", "run", LEDGER, str(tmp_path / "w")]
        command += ["--quirk", quirk, "--time", "60", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(command, text=True, env=process.environment(), **pipes))
        wait_for(lambda: (tmp_path / "w/findings" / CANARY / "report.txt").exists(), "a finding")
        return running[-1]

    yield start
    for one in running:
        if one.poll() is None:
            one.kill()
        one.communicate()


def test_ctrl_c_ends_a_run_in_good_order(started, tmp_path):
    one = started("-j2")
    workers = children(one.pid)
    one.send_signal(signal.SIGINT)
    out, err = one.communicate(timeout=20)
    assert one.returncode == EXIT_FINDINGS, err
    assert "ended by: interrupted" in out
    assert "C1@ledger_put:unheld" in out
    assert len(workers) >= 2
    assert not any(worker.is_running() for worker in workers)


def test_kill_9_of_the_supervisor_ends_its_workers_and_loses_nothing(started, tmp_path):
    one = started("-j2")
    workers = children(one.pid)
    assert len(workers) >= 2
    one.kill()
    one.wait()
    wait_for(lambda: not any(w.is_running() for w in workers), "the end of the workers", 5)
    finding = load(tmp_path / "w/findings" / CANARY / "finding.json", Finding)
    assert finding.signature == "C1@ledger_put:unheld"
    again = started("--runs", "500")
    _, err = again.communicate(timeout=30)
    assert again.returncode == EXIT_FINDINGS, err
    assert "run 2: 1 finding" in err


def test_a_second_supervisor_is_refused(started, tmp_path):
    started("-j1")
    command = [sys.executable, "-m", "vfuzz", "run", LEDGER, str(tmp_path / "w"), "--quirk", "Q01"]
    second = subprocess.run(
        command, capture_output=True, text=True, env=process.environment(), timeout=30
    )
    assert second.returncode == 2
    assert "is in use by process" in second.stderr


def mount_space() -> list[str] | None:
    """A command that runs another where it may mount, None when there is no such place."""
    for space in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = [*space, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True).returncode == 0:
            return space
    return None


def test_a_full_disk_is_a_failure_and_what_was_found_is_told_or_stored(tmp_path):
    space = mount_space()
    if space is None:
        pytest.skip("a full disk needs mount(2), which no unshare -m or -rm may do here")
    place = tmp_path / "disk"
    place.mkdir()
    run = (
        f"mount -t tmpfs -o size=400k none {place} && "
        f"{sys.executable} -m vfuzz run {LEDGER} {place}/w -j1 --quirk Q01 --quirk Q04 --seed 1 "
        f"--time 40; code=$?; ls -R {place}/w/findings; exit $code"
    )
    done = subprocess.run(
        [*space, "sh", "-c", run],
        capture_output=True,
        text=True,
        env=process.environment(),
        timeout=100,
    )
    told = done.stdout + done.stderr
    assert done.returncode == EXIT_FAILED, told
    assert "No space left on device" in told or "disk is full" in told
    assert CANARY in told
    assert "Traceback" not in told


def test_versions_of_a_work_directory_are_checked(run, settings):
    run(runs=100)
    path = settings().workdir / "campaign.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(vfuzz.Error, match="format 99 is newer"):
        run(runs=100)


def test_settings_without_an_era_are_refused(settings: Callable[..., Settings]):
    with pytest.raises(UsageError, match="needs an era"):
        settings(eras=())
