# SPDX-License-Identifier: GPL-2.0-or-later
"""The work directory: one supervisor, and no finding is lost or stored twice."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vfuzz.engine import store
from vfuzz.engine.records import CampaignFile, Finding, load
from vfuzz.engine.store import WorkDir, finding_dirs, save_finding, slug_of, write_atomic
from vfuzz.errors import EXIT_FAILED, EXIT_USAGE, Error, UsageError


def campaign(**changes: object) -> CampaignFile:
    base = {"vfuzz": "1", "target": "t", "quirks": (), "eras": ("old",), "seed": 1, "created": "x"}
    return CampaignFile(**{**base, **changes})


def finding(signature: str = "C1@f:x") -> Finding:
    return Finding(
        vfuzz="1",
        target="t",
        signature=signature,
        era="old",
        found="now",
        worker=0,
        executions=1,
        ops_raw=1,
        ops=1,
    )


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_new_directory_is_made_and_a_known_one_resumed(tmp_path):
    work = WorkDir(tmp_path / "deep" / "campaign")
    assert work.open(campaign()).runs == 1
    assert names(work.path) == ["campaign.json", "corpus", "findings", "lock", "workers"]
    work.close()
    again = WorkDir(work.path)
    resumed = again.open(campaign(eras=("new",), created="later"))
    assert (resumed.runs, resumed.created, resumed.eras) == (2, "x", ("new",))
    assert load(work.campaign_file, CampaignFile) == resumed
    again.close()


def test_two_supervisors_cannot_share_it(tmp_path):
    work = WorkDir(tmp_path)
    work.open(campaign())
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.engine.test_store import campaign\n"
        "from vfuzz.engine.store import WorkDir\n"
        "from vfuzz.errors import UsageError\n"
        "try:\n"
        "    WorkDir(Path(sys.argv[1])).open(campaign())\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"is in use by process {os.getpid()}" in told
    work.close()
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "other"}, "was made for target t, not other"),
        ({"quirks": ("Q01",)}, "was made for quirks none, not Q01"),
    ],
)
def test_what_findings_mean_cannot_change(tmp_path, change, message):
    work = WorkDir(tmp_path)
    work.open(campaign())
    work.close()
    with pytest.raises(UsageError, match=message):
        WorkDir(tmp_path).open(campaign(**change))


def test_other_peoples_directories_and_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not empty and not a vfuzz work directory"):
        WorkDir(tmp_path).open(campaign())
    with pytest.raises(UsageError, match="is a file"):
        WorkDir(tmp_path / "thesis.tex").open(campaign())
    assert names(tmp_path) == ["thesis.tex"]


def test_a_place_that_cannot_be_made_is_a_failure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Error, match=r"cannot be used: .*Not a directory") as caught:
        WorkDir(tmp_path / "file" / "campaign").open(campaign())
    assert caught.value.exit_code == EXIT_FAILED
    assert UsageError("").exit_code == EXIT_USAGE


def test_a_finding_appears_whole(tmp_path):
    home = save_finding(tmp_path, finding(), {"program.bin": b"\x01"})
    assert home == tmp_path / "C1-f-x"
    assert names(home) == ["finding.json", "program.bin"]
    assert finding_dirs(tmp_path) == [home]
    assert (home.stat().st_mode & 0o777, (home / "finding.json").stat().st_mode & 0o777) == (
        0o755,
        0o644,
    )


def test_a_signature_is_stored_once_and_a_slug_may_be_shared(tmp_path):
    assert save_finding(tmp_path, finding("C1@f:a"), {}) is not None
    assert save_finding(tmp_path, finding("C1@f:a"), {"other": b""}) is None
    assert save_finding(tmp_path, finding("C1@f/a"), {}) == tmp_path / "C1-f-a-2"
    assert save_finding(tmp_path, finding("C1@f/a"), {}) is None
    assert names(tmp_path) == ["C1-f-a", "C1-f-a-2"]
    assert names(tmp_path / "C1-f-a") == ["finding.json"]


def test_an_interrupted_write_leaves_nothing_that_counts(tmp_path, monkeypatch):
    work = WorkDir(tmp_path)
    work.open(campaign())
    rename = os.rename

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        save_finding(work.findings, finding(), {"program.bin": b""})
    monkeypatch.setattr(os, "rename", rename)
    assert names(work.findings) == []
    (work.findings / ".new-killed").mkdir()
    (work.findings / ".new-killed" / "finding.json").write_text("{}")
    assert finding_dirs(work.findings) == []
    work.close()
    WorkDir(tmp_path).open(campaign())
    assert names(work.findings) == []


def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
    with pytest.raises(OSError, match="No space left"):
        save_finding(tmp_path, finding(), {})
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("signature", "slug"),
    [
        ("S7@receive_mergeable:first", "S7-receive_mergeable-first"),
        ("crash@../../etc/passwd", "crash-..-..-etc-passwd"),
        ("@", "finding"),
        ("..", "finding"),
    ],
)
def test_slugs_are_names_of_directories(signature, slug):
    assert slug_of(signature) == slug
    assert "/" not in store.slug_of(signature)


def test_inputs_are_named_by_content(tmp_path):
    work = WorkDir(tmp_path)
    work.open(campaign())
    assert work.add_input(b"one")
    assert not work.add_input(b"one")
    assert names(work.corpus) == ["fe05bcdcdc4928012781a5f1a2a77cbb5398e106"]
