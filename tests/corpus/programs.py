# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs below corpus/: where they lie, and what their headers say.

    corpus/<target>/seeds/<name>.vf                 clean in every era
    corpus/<target>/limits/<name>.vf                clean too, and too slow for a seed
    corpus/<target>/regressions/<QUIRK>.vf          fires with the quirk, is clean without
    corpus/<target>/regressions/known/<name>.vf     fires what upstream still has

A header is a comment line `# key: value` in front of the program; keys are in `KEYS`. What the
engine makes of them is tested along the way. The worked example's corpus is tested with it, in
tests/targets/test_ring.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import vfuzz
from vfuzz.engine import inputs

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "corpus"
SPDX = "# SPDX-License-Identifier: GPL-2.0-or-later"

TARGETS = tuple(target for target in vfuzz.targets() if target.name != "ring")

#: target: its name; era: those in which it fires, all without it; quirks: ids to switch on;
#: expect: the check that fires; known: the signature that fires.
KEYS = ("target", "era", "quirks", "expect", "known")
HEADER = re.compile(rf"# ({'|'.join(KEYS)}): (.*)")
COMMENT = re.compile(r"\s*#.*")


@dataclass(frozen=True)
class Entry:
    """One program of the corpus. path: its file; target: whose folder it is in."""

    path: Path
    target: vfuzz.Target

    def __str__(self) -> str:
        return str(self.path.relative_to(CORPUS).with_suffix(""))

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def program(self) -> vfuzz.Program:
        return self.target.parse(self.text)

    @property
    def comments(self) -> list[str]:
        """The comment lines in front of the program."""
        lines = self.text.splitlines()
        calls = [n for n, line in enumerate(lines) if not line.startswith("#")]
        return lines[: calls[0]] if calls else lines

    @property
    def explanation(self) -> list[str]:
        """The comment lines that are neither license nor header."""
        return [line for line in self.comments[1:] if not HEADER.fullmatch(line)]

    @property
    def calls(self) -> list[str]:
        """The program's lines without comments, as written."""
        bare = (COMMENT.sub("", line) for line in self.text.splitlines())
        return [line for line in bare if line]

    @cached_property
    def headers(self) -> dict[str, str]:
        matches = [HEADER.fullmatch(line) for line in self.comments]
        found = [match.groups() for match in matches if match]
        assert len(found) == len(dict(found)), f"{self}: a header stands twice"
        return dict(found)

    @cached_property
    def source(self) -> inputs.Input:
        """The file as the engine reads it."""
        return inputs.read(self.path)

    @property
    def eras(self) -> tuple[str, ...]:
        """The eras in which it fires."""
        return self.source.eras or self.target.eras

    @property
    def quirks(self) -> tuple[str, ...]:
        return self.source.quirks or ()


def entries(folder: str) -> list[Entry]:
    """The programs of every target that lie in `folder` of its corpus, not deeper."""
    return [
        Entry(path, target)
        for target in TARGETS
        for path in sorted((CORPUS / target.name / folder).glob("*.vf"))
    ]


SEEDS = entries("seeds")
LIMITS = entries("limits")
REGRESSIONS = entries("regressions")
KNOWN = entries("regressions/known")
ALL = [*SEEDS, *LIMITS, *REGRESSIONS, *KNOWN]
