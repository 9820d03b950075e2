# SPDX-License-Identifier: GPL-2.0-or-later
"""stats.sqlite: a campaign's figures over time. Written by the supervisor alone.

    runs     one row for each `vfuzz run`
    samples  one row for each interval of a run
    known    hits of signatures that were stepped over, by era

Nothing depends on it: a damaged file is moved aside and a new one begun.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from vfuzz.errors import Error

__all__ = ["SAMPLE_FIELDS", "Stats"]

SAMPLE_FIELDS = (
    "t_s",
    "executions",
    "ops",
    "cov",
    "ft",
    "corpus",
    "findings",
    "known_hits",
    "mutations",
    "rss_kib",
)

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, target TEXT NOT NULL,
    eras TEXT NOT NULL, quirks TEXT NOT NULL, workers INTEGER NOT NULL, seed INTEGER NOT NULL,
    executions INTEGER, ops INTEGER, exit_code INTEGER);
CREATE TABLE IF NOT EXISTS samples (
    run INTEGER NOT NULL REFERENCES runs(id),
    {", ".join(f"{name} NUMERIC NOT NULL" for name in SAMPLE_FIELDS)});
CREATE TABLE IF NOT EXISTS known (
    run INTEGER NOT NULL REFERENCES runs(id), era TEXT NOT NULL, signature TEXT NOT NULL,
    hits INTEGER NOT NULL, PRIMARY KEY (run, era, signature));
PRAGMA user_version = 1;
"""


class Stats:
    """An open statistics file. `notice` says what was wrong with the old one, "" when nothing was.

    Every method raises Error when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice = ""
        self._run = 0
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._failed(error) from error
            aside = self._move_aside()
            self.notice = (
                f"{path} was damaged ({error}): moved to {aside.name}, a new one is begun; corpus "
                f"and findings are not touched"
            )
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as again:
                raise self._failed(again) from again

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=10)
        try:
            answer = db.execute("PRAGMA quick_check").fetchone()[0]
            if answer != "ok":
                raise sqlite3.DatabaseError(str(answer).splitlines()[0])
            db.execute("PRAGMA journal_mode=WAL")  # a reader may look while a campaign runs
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _move_aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        return aside

    def _failed(self, error: sqlite3.Error) -> Error:
        return Error(
            f"{self.path} cannot be written: {error}; corpus and findings are safe, the campaign "
            f"can be resumed when the disk is mended"
        )

    def _write(self, sql: str, values: tuple[object, ...]) -> int:
        try:
            with self._db:
                return self._db.execute(sql, values).lastrowid or 0
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def begin(
        self, started: str, target: str, eras: str, quirks: str, workers: int, seed: int
    ) -> None:
        """Begin a run."""
        self._run = self._write(
            "INSERT INTO runs (started, target, eras, quirks, workers, seed)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (started, target, eras, quirks, workers, seed),
        )

    def sample(self, figures: Mapping[str, float]) -> None:
        """Add a row of SAMPLE_FIELDS."""
        marks = ", ".join("?" for _ in range(len(SAMPLE_FIELDS) + 1))
        values = tuple(figures[name] for name in SAMPLE_FIELDS)
        self._write(f"INSERT INTO samples VALUES ({marks})", (self._run, *values))

    def known(self, hits: Mapping[tuple[str, str], int]) -> None:
        """Set the hits of (era, signature)."""
        for (era, signature), count in hits.items():
            self._write(
                "INSERT INTO known VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET hits = excluded.hits",
                (self._run, era, signature, count),
            )

    def end(self, ended: str, executions: int, ops: int, exit_code: int) -> None:
        """End the run."""
        self._write(
            "UPDATE runs SET ended = ?, executions = ?, ops = ?, exit_code = ? WHERE id = ?",
            (ended, executions, ops, exit_code, self._run),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # A full disk or a missing permission is the machine's trouble, not the file's.
    return not isinstance(error, (sqlite3.OperationalError, sqlite3.IntegrityError)) or (
        "malformed" in str(error)
    )
