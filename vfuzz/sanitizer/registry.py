# SPDX-License-Identifier: GPL-2.0-or-later
"""What a target declares about its judge: checks, quirks and known findings.

These are plain, immutable records. A target lists them in `checks.py`, `quirks.py` and `known.py`;
code generation numbers them by their place in the list, so the order of a list is part of the build
but never part of a file format: files and reports name checks and quirks by id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Check", "Clause", "Known", "Quirk", "index_by_id", "parse_signature"]

_ID = re.compile(r"[A-Z][A-Za-z0-9_]*\Z")
_WORDS = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_SIGNATURE = re.compile(r"(?P<check>[A-Z][A-Za-z0-9_]*)@(?P<site>\S+)\Z")


def _require_id(kind: str, value: str) -> None:
    if not isinstance(value, str) or not _ID.match(value):
        raise ValueError(
            f"{kind} id {value!r} is not usable: an id is a capital letter followed by letters, "
            f"digits or '_', for example 'S7'"
        )


def _require_words(kind: str, ident: str, field: str, value: str) -> None:
    if not isinstance(value, str) or not _WORDS.match(value):
        raise ValueError(
            f"{kind} {ident}: {field} {value!r} is not usable: write lower case words joined by "
            f"'-', for example 'out-of-bounds-read'"
        )


def _require_text(kind: str, ident: str, field: str, value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{kind} {ident}: {field} is empty: say it in one sentence")


def _require_strings(kind: str, ident: str, field: str, value: tuple[str, ...]) -> None:
    if not isinstance(value, tuple) or not all(isinstance(v, str) and v for v in value):
        raise ValueError(
            f"{kind} {ident}: {field} must be a tuple of names, got {value!r}: "
            f"a tuple of one needs its comma"
        )
    if len(set(value)) != len(value):
        raise ValueError(f"{kind} {ident}: {field} names something twice: {value!r}")


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant.

    id      stable, shown in reports and signatures, never reused: "S7"
    title   the class of bug, as a report's first line says it: "out-of-bounds-read"
    rule    the invariant in one sentence
    source  the clause or upstream function that makes it a rule
    """

    id: str
    title: str
    rule: str
    source: str

    def __post_init__(self) -> None:
        _require_id("check", self.id)
        _require_words("check", self.id, "title", self.title)
        _require_text("check", self.id, "rule", self.rule)
        _require_text("check", self.id, "source", self.source)


@dataclass(frozen=True, slots=True)
class Clause:
    """One normative statement of a specification, and what guards it.

    section  where it stands: "virtio 1.3, 2.7.8.3"
    side     who has to keep it: "driver" or "device"
    text     what it asks for, in our words
    checks   ids of the checks that fire when it is broken
    reason   why none can, or what the checks leave out; "" when they say all
    """

    section: str
    side: str
    text: str
    checks: tuple[str, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        _require_text("clause", self.section or "?", "section", self.section)
        _require_text("clause", self.section, "text", self.text)
        _require_strings("clause", self.section, "checks", self.checks)
        if self.side not in ("driver", "device"):
            raise ValueError(f"clause {self.section}: side {self.side!r} is not driver or device")
        if not self.checks and not self.reason.strip():
            raise ValueError(
                f"clause {self.section}: {self.text!r} has neither checks nor a reason: name what "
                f"guards it, or say why nothing can"
            )


@dataclass(frozen=True, slots=True)
class Quirk:
    """One named historical bug, off by default.

    id        stable: "A04"
    name      what the command line calls it: "vnet-big-len-pad"
    summary   what goes wrong, in one sentence
    fix       the upstream commit, or "unverified"
    cve       the CVE or XSA number, or ""
    eras      eras of the model in which the quirk can be switched on
    checks    ids of the checks expected to fire
    verified  how the above was checked, or ""
    canary    True for a planted bug that every test run has to find
    """

    id: str
    name: str
    summary: str
    fix: str
    cve: str
    eras: tuple[str, ...]
    checks: tuple[str, ...]
    verified: str
    canary: bool = False

    def __post_init__(self) -> None:
        _require_id("quirk", self.id)
        _require_words("quirk", self.id, "name", self.name)
        _require_text("quirk", self.id, "summary", self.summary)
        _require_text("quirk", self.id, "fix", self.fix)
        _require_strings("quirk", self.id, "eras", self.eras)
        _require_strings("quirk", self.id, "checks", self.checks)
        if not self.eras:
            raise ValueError(f"quirk {self.id}: eras is empty, so it could never be switched on")
        if not self.checks:
            raise ValueError(f"quirk {self.id}: checks is empty: name the checks that should fire")


@dataclass(frozen=True, slots=True)
class Known:
    """A finding that stands in an era as upstream is today, with the page that explains it.

    era        the era in which it is known
    signature  "CHECK@function:label"
    doc        path of the page, relative to the top of the source: "docs/findings/....md"
    summary    one sentence
    """

    era: str
    signature: str
    doc: str
    summary: str

    def __post_init__(self) -> None:
        parse_signature(self.signature)
        _require_text("known", self.signature, "era", self.era)
        _require_text("known", self.signature, "summary", self.summary)
        if not self.doc.endswith(".md"):
            raise ValueError(
                f"known {self.signature}: doc {self.doc!r} is not a page: name a .md file "
                f"below docs/"
            )


def parse_signature(signature: str) -> tuple[str, str]:
    """Split "S7@receive_mergeable:first" into ("S7", "receive_mergeable:first")."""
    match = _SIGNATURE.match(signature) if isinstance(signature, str) else None
    if match is None:
        raise ValueError(
            f"{signature!r} is not a signature: write CHECK@function:label, "
            f"for example 'S7@receive_mergeable:first'"
        )
    return match["check"], match["site"]


def index_by_id(items: Iterable[Check] | Iterable[Quirk]) -> dict[str, int]:
    """Map each id (for quirks each name too) to its place, the number that the compiled code uses.

    Raises ValueError when two items share an id or a name.
    """
    index: dict[str, int] = {}
    for place, item in enumerate(items):
        keys = [item.id]
        if isinstance(item, Quirk):
            keys.append(item.name)
        for key in keys:
            if key in index:
                raise ValueError(
                    f"{type(item).__name__.lower()} {key!r} is declared twice, at places "
                    f"{index[key]} and {place}: ids and names are unique"
                )
            index[key] = place
    return index
