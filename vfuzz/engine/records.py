# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine writes to disk and passes between its processes, as typed records.

Every file carries `format`; a reader refuses a newer one instead of guessing (docs/campaigns.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from vfuzz.errors import Error

__all__ = [
    "CAMPAIGN_FORMAT",
    "FINDING_FORMAT",
    "CampaignFile",
    "Finding",
    "Mail",
    "WorkerSpec",
    "dump",
    "load",
]

CAMPAIGN_FORMAT = 1
FINDING_FORMAT = 1


class CampaignFile(msgspec.Struct, kw_only=True, omit_defaults=False):
    """campaign.json: what a work directory belongs to, and how it was last run.

    target, quirks  fixed for the life of the directory: its findings would mean something else
    eras, seed      of the last run
    runs            how many runs it has seen
    """

    format: int = CAMPAIGN_FORMAT
    vfuzz: str
    target: str
    quirks: tuple[str, ...]
    eras: tuple[str, ...]
    seed: int
    created: str
    runs: int = 0


class Finding(msgspec.Struct, kw_only=True):
    """finding.json: a violation, or the death of a worker, that a campaign keeps.

    kind         "violation"; "crash", "timeout" or "oom" when the model's own code died;
                 "divergence" when a real kernel says something else than the model
    kernel       that kernel, as `--kernel` takes it
    era, quirks  with these program.bin shows it; eras: all eras in which it does, once triaged
    state        "raw" as found; "minimised"; "kept" when minimising was cut short or failed
    status       "open", or "gone" when program.bin no longer shows it
    executions   of its worker before it was found, in that run
    ops_raw      ops of the program as found; ops: of program.bin
    minimise_s, tries  what minimising took
    """

    format: int = FINDING_FORMAT
    vfuzz: str
    target: str
    signature: str
    kind: str = "violation"
    check: str = ""
    title: str = ""
    site: str = ""
    op: int = 0
    obj: str = ""
    obj_id: int = 0
    message: str = ""
    kernel: str = ""
    era: str
    eras: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    state: str = "raw"
    status: str = "open"
    found: str
    worker: int
    executions: int
    ops_raw: int
    ops: int
    minimise_s: float = 0.0
    tries: int = 0


class Mail(msgspec.Struct, kw_only=True):
    """A finding on its way to the disk, held where a full disk and kill -9 cannot lose it."""

    finding: Finding
    program: bytes


class WorkerSpec(msgspec.Struct, kw_only=True):
    """spec.json: everything a worker process has to know.

    mode         "fuzz"; "merge" to distil a corpus, where violations are not news
    findings     directory for new findings; empty in mode "merge"
    scratch      the worker's own directory: stats.bin, hits.json
    arguments    for libFuzzer, flags and directories
    stop_on_first, stop_checks
                 end at the first new finding, if stop_checks names any: at the first of those
    parent       process whose death ends the worker; 0 when there is none
    focus        part of the target that the mutator keeps to; "" for all of it
    """

    target: str
    eras: tuple[str, ...]
    quirks: tuple[str, ...]
    mode: str = "fuzz"
    index: int = 0
    findings: str = ""
    scratch: str
    arguments: tuple[str, ...]
    stop_on_first: bool = False
    stop_checks: tuple[str, ...] = ()
    parent: int = 0
    focus: str = ""


_Record = TypeVar("_Record", bound=msgspec.Struct)

_NEWEST = {CampaignFile: CAMPAIGN_FORMAT, Finding: FINDING_FORMAT}


class _Version(msgspec.Struct):
    format: int = 0


def dump(record: msgspec.Struct) -> bytes:
    """A record as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def load(path: Path, kind: type[_Record]) -> _Record:
    """Read a record. Raises Error naming the file and the field; OSError as it comes."""
    data = path.read_bytes()
    try:
        version = msgspec.json.decode(data, type=_Version).format
        newest = _NEWEST.get(kind, 0)
        if version > newest:
            raise Error(
                f"{path}: format {version} is newer than this vfuzz understands ({newest}): "
                f"use the vfuzz that wrote it, or a newer one"
            )
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise Error(f"{path}: not a readable {kind.__name__} record: {error}") from None
