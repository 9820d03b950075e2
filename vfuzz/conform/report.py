# SPDX-License-Identifier: GPL-2.0-or-later
"""What a comparison found, for people and as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vfuzz.conform.compare import Verdict, plain, said
from vfuzz.conform.kernel import Kernel
from vfuzz.conform.session import Found, Totals
from vfuzz.engine.inputs import head_of
from vfuzz.engine.store import write_atomic
from vfuzz.sanitizer.registry import Known
from vfuzz.sanitizer.report import sources_of

__all__ = ["as_json", "progress", "side_by_side", "text", "write"]

WIDTH = 38  # of an op's text
WIDE = 6  # observables


def progress(totals: Totals) -> str:
    """One line."""
    if totals.boots == 0:
        return f"{totals.prepared:,} programs prepared"
    rate = totals.programs / totals.seconds if totals.seconds else 0.0
    return (
        f"{totals.programs:,} programs ({rate:,.0f}/s), {totals.ops:,} ops compared, "
        f"{len(totals.found)} kinds of divergence, {totals.boots} boots"
    )


def text(totals: Totals, kernel: Kernel, era: str, quirks: tuple[str, ...],
         seed: int | None, known: Iterable[Known] = ()) -> str:  # fmt: skip
    """The summary: what was compared, what not and why, each divergence side by side. known: the
    target's findings in that era."""
    lines = [""]
    for found in sorted(totals.found.values(), key=lambda found: -found.hits):
        if found.explained is None:
            lines += [*_found(found), ""]
    rate = totals.programs / totals.seconds if totals.seconds else 0.0
    with_quirks = f" with {', '.join(quirks)}" if quirks else ""
    lines.append(f"model {era}{with_quirks}, kernel {kernel.name} (Linux {kernel.version})"
                 + (f", seed {seed}" if seed is not None else ""))  # fmt: skip
    rows = [
        ("programs", totals.programs, f"{totals.seconds:.1f} s, {rate:,.0f}/s, {totals.boots} "
                                      f"boots, {totals.deaths} deaths of guests"),
        ("  agree", totals.agreed, f"{totals.cut:,} of them up to a violation of the model"),
        ("  differ", sum(f.hits for f in totals.unexplained), ""),
        ("  differ, explained",
         sum(f.hits for f in totals.found.values() if f.explained is not None), ""),
        ("  not projected", sum(totals.impossible.values()), ""),
        ("ops compared", totals.ops, f"{totals.observables:,} observables"),
        ("ops not compared", sum(totals.skipped.values()), ""),
    ]  # fmt: skip
    lines += [f"{name:24} {count:>10,}  {more}".rstrip() for name, count, more in rows]
    for title, counter in (("programs not projected", totals.impossible),
                           ("ops not compared", totals.skipped)):  # fmt: skip
        if counter:
            lines += ["", f"{title}:"]
            lines += [f"  {count:>10,}  {why}" for why, count in counter.most_common() if count]
    if totals.violations:
        lines += ["", "violations of the model (same: the kernel said the same of that op; "
                  "pins: it was left with some):"]  # fmt: skip
        lines += [
            f"  {count:>10,}  {signature} (same {totals.same[signature]:,}, "
            f"pins {totals.left[signature]:,})"
            for signature, count in totals.violations.most_common()
        ]
    if totals.lost:
        lines += ["", "memory that the kernel lost in programs of which the model says so, or that "
                  "differ or end before (scans of kmemleak that found it):"]  # fmt: skip
        pages = {entry.signature: entry.doc for entry in known}
        for (signature, why), count in totals.lost.most_common():
            page = f", known: {pages[why]}" if why in pages else ""
            lines.append(f"  {count:>10,}  {signature}: {why}{page}")
    if totals.found:
        lines += ["", "divergences:"]
        for found in sorted(totals.found.values(), key=lambda found: -found.hits):
            why = f" (explained: {found.explained})" if found.explained else ""
            lines.append(f"  {found.hits:>10,}  {found.signature}{why}")
    return "\n".join(lines) + "\n"


def _found(found: Found) -> list[str]:
    divergence = found.verdict.divergence
    assert divergence is not None
    lines = [f"==vfuzz== DIVERGENCE: {found.signature} ({found.hits}x)"]
    if not found.alone:
        lines.append("    It does not happen each time that this runs alone: one before left "
                     "something, or chance has a part in it.")  # fmt: skip
    lines += side_by_side(found.verdict)
    lines += [f"    {line}" for line in divergence.log[:40]]
    if not found.verdict.rows:
        lines += [f"    {line}" for line in str(found.verdict.program).splitlines()]
    return lines


def _values(values: Mapping[str, int] | None, keys: list[str]) -> str:
    if values is None:
        return "-"
    return " ".join(f"{k}={said(k, values[k])}" if k != "ret" else said(k, values[k])
                    for k in keys if k in values)  # fmt: skip


def side_by_side(verdict: Verdict) -> list[str]:
    """Step by step: the op, what the model said, what the kernel said."""
    lines = [f"    {'op':4}{'':{WIDTH}}  {'model':28}  kernel"]
    before: dict[str, tuple[int | None, int | None]] = {}
    for row in verdict.rows:
        keys = [k for k in (row.kernel or {}) if not row.model or k in row.model]
        if len(keys) > WIDE:  # of so many only what changed
            both = {k: ((row.model or {}).get(k), (row.kernel or {}).get(k)) for k in keys}
            keys = [k for k in keys if both[k] != before.get(k) or k == row.differs]
            before |= both
        model, kernel = _values(row.model, keys), _values(row.kernel, keys)
        mark = ">>>" if row.differs else ""
        long = row.text if len(row.text) <= WIDTH else row.text + "\n" + " " * (8 + WIDTH)
        lines.append(f"{mark:4}{row.op:<4}{long:{WIDTH}}  {model:28}  {kernel}")
    site = _source(verdict)
    return lines + ([f"    {site}"] if site else [])


def _source(verdict: Verdict) -> str | None:
    """Where the model did what it did: its last event before they differed."""
    if verdict.site is None:
        return None
    found = sources_of(verdict.program.target.package.__name__).find(verdict.site)
    place = f", {found}" if found is not None else ""
    return f"last in the model: {verdict.site}{place}"


def as_json(totals: Totals, kernel: Kernel, era: str, quirks: tuple[str, ...],
            seed: int | None) -> dict[str, Any]:  # fmt: skip
    """All of it as plain data."""
    return {
        "kernel": kernel.name,
        "version": kernel.version,
        "era": era,
        "quirks": list(quirks),
        "seed": seed,
        "programs": totals.programs,
        "agree": totals.agreed,
        "differ": sum(found.hits for found in totals.unexplained),
        "ops": totals.ops,
        "observables": totals.observables,
        "boots": totals.boots,
        "deaths": totals.deaths,
        "seconds": round(totals.seconds, 3),
        "not_projected": dict(totals.impossible),
        "not_compared": dict(totals.skipped),
        "violations": dict(totals.violations),
        "same": dict(totals.same),
        "left": dict(totals.left),
        "lost": [
            {"signature": signature, "because": why, "scans": count}
            for (signature, why), count in totals.lost.items()
        ],
        "kinds": dict(totals.kinds),
        "divergences": [
            {**plain(found.verdict), "hits": found.hits, "explained": found.explained,
             "alone": found.alone}
            for found in totals.found.values()
        ],
    }


def of(found: Found, kernel: Kernel) -> str:
    """One divergence."""
    return "\n".join([f"kernel {kernel.name}, Linux {kernel.version}", *_found(found), ""])


def write(out: Path, totals: Totals, kernel: Kernel, era: str, quirks: tuple[str, ...]) -> None:
    """Each divergence that is not explained as a program and a report."""
    out.mkdir(parents=True, exist_ok=True)
    for found in totals.unexplained:
        slug = re.sub(r"[^A-Za-z0-9]+", "-", found.signature).strip("-")[:80]
        program = found.verdict.program
        head = head_of(program.target.name, (era,), quirks)
        write_atomic(out / f"{slug}.vf", f"{head}# {found.signature}\n{program}".encode())
        write_atomic(out / f"{slug}.txt", of(found, kernel).encode())
