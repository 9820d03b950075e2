# SPDX-License-Identifier: GPL-2.0-or-later
"""The work directory of a campaign: its layout, its lock, and writing findings so that none is
lost.

    campaign.json              what it belongs to (CampaignFile)
    lock                       held by the supervisor while it runs
    corpus/                    inputs, binary, named by libFuzzer
    findings/<slug>/           finding.json, program.bin, program.vf, report.txt, raw.bin
    workers/<i>/               spec.json, log, stats.bin, hits.json, artifacts/
    stats.sqlite               figures over time (stats.py)

A finding appears in one step: its directory is filled under a hidden name, synced, and renamed.
Corpus and findings are what counts; everything else can be deleted without loss.
docs/campaigns.md tells users.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from vfuzz.engine.records import CampaignFile, Finding, dump, load
from vfuzz.errors import Error, UsageError

__all__ = ["WorkDir", "finding_dirs", "save_finding", "slug_of", "write_atomic"]


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file in one step, on the disk when this returns. Raises OSError."""
    fd, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def slug_of(signature: str) -> str:
    """The directory name of a signature: "S7-receive_mergeable-first"."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", signature).strip("-.") or "finding"


def finding_dirs(findings: Path) -> list[Path]:
    """The directories of all findings, sorted; half-written ones are hidden and left out."""
    if not findings.is_dir():
        return []
    homes = (path.parent for path in findings.glob("*/finding.json"))
    return sorted(home for home in homes if not home.name.startswith("."))


def save_finding(findings: Path, finding: Finding, files: dict[str, bytes]) -> Path | None:
    """Store a new finding; None when its signature is stored already. Raises OSError.

    When this returns, the finding is on the disk, whole.
    """
    staging = Path(tempfile.mkdtemp(prefix=".new-", dir=findings))
    try:
        for name, data in {**files, "finding.json": dump(finding)}.items():
            write_atomic(staging / name, data)
        staging.chmod(0o755)
        home = _move_in(staging, findings, finding.signature)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    if home is None:
        shutil.rmtree(staging, ignore_errors=True)
        return None
    _sync_directory(findings)
    return home


def _move_in(staging: Path, findings: Path, signature: str) -> Path | None:
    slug = slug_of(signature)
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        home = findings / f"{slug}{suffix}"
        try:
            os.rename(staging, home)  # fails on a directory that has something in it
            return home
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        # Two signatures may share a slug; two findings never share a signature.
        if home.is_dir() and load(home / "finding.json", Finding).signature == signature:
            return None
    raise Error(f"{findings}: a hundred findings are called {slug}: give them another directory")


class WorkDir:
    """A campaign's directory. `open` it for a run; reading findings needs no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.corpus = path / "corpus"
        self.findings = path / "findings"
        self.workers = path / "workers"
        self.campaign_file = path / "campaign.json"
        self.stats_file = path / "stats.sqlite"
        self._lock: int | None = None

    def open(self, fresh: CampaignFile) -> CampaignFile:
        """Make or resume the directory, locked until `close` or the end of the process.

        Raises UsageError when it belongs to another target or other quirks, or is in use; Error
        when it cannot be written or read.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(f"{self.path} is a file: a work directory is wanted")
            if self._is_foreign():
                raise UsageError(
                    f"{self.path} is not empty and not a vfuzz work directory (it has no "
                    f"campaign.json): name a new or an empty directory"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            for directory in (self.corpus, self.findings, self.workers):
                directory.mkdir(exist_ok=True)
            self._sweep()
            campaign = self._resume(fresh) if self.campaign_file.exists() else fresh
            campaign.runs += 1
            write_atomic(self.campaign_file, dump(campaign))
        except OSError as error:
            raise Error(
                f"work directory {self.path} cannot be used: {error.strerror or error}"
                f" ({error.filename or self.path}): name another one, or mend its permissions or "
                "disk"
            ) from error
        return campaign

    def _is_foreign(self) -> bool:
        if self.campaign_file.exists() or not self.path.is_dir():
            return False
        return any(entry.name != "lock" for entry in self.path.iterdir())

    def _take_lock(self) -> None:
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            raise UsageError(
                f"work directory {self.path} is in use by process {holder or 'unknown'}: wait for "
                f"it, stop it, or name another directory"
            ) from None
        self._lock = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def _resume(self, fresh: CampaignFile) -> CampaignFile:
        old = load(self.campaign_file, CampaignFile)
        for what, mine, theirs in (
            ("target", fresh.target, old.target),
            ("quirks", ", ".join(fresh.quirks) or "none", ", ".join(old.quirks) or "none"),
        ):
            if mine != theirs:
                raise UsageError(
                    f"work directory {self.path} was made for {what} {theirs}, not {mine}: its "
                    f"findings would mean something else; name another directory"
                )
        fresh.created, fresh.runs = old.created, old.runs
        return fresh

    def _sweep(self) -> None:
        """Remove what an interrupted write left behind; it was never announced as stored."""
        for leftover in self.findings.glob(".new-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load_findings(self) -> dict[str, Finding]:
        """All findings by the name of their directory. Raises Error for one that cannot be read."""
        return {p.name: load(p / "finding.json", Finding) for p in finding_dirs(self.findings)}

    def add_input(self, data: bytes) -> bool:
        """Put an input into the corpus under libFuzzer's kind of name. Whether it was new."""
        path = self.corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if path.exists():
            return False
        path.write_bytes(data)
        return True
