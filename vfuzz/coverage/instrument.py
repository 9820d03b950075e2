# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters in the C that Cython makes of a target: one for each statement of the source.

No compiler's own coverage is used, so that any C compiler does, without its runtime libraries and
without a tool that reads them; and a counter says how often a statement was reached, not only
whether. Cython puts a comment with file and line in front of the C of each statement, always where
a C statement may stand:

    /* "vfuzz/targets/ring/_core.pyx":42
     * ...the source around it, one line marked
     */
    if (...) {

The same comment returns where Cython closes a branch ('}' or a jump to the end of the `if`) and at
the end of a function: there nothing is counted, or a statement would count twice.

The C has to be made with the directives of `DIRECTIVES`: a `switch` would hide which condition of
an if-elif chain was looked at.
"""

from __future__ import annotations

import re

__all__ = ["DIRECTIVES", "SYMBOL", "instrument"]

#: What Cython has to be told beyond the directives of a build.
DIRECTIVES = {"optimize.use_switch": False, "emit_code_comments": True}

#: The array of counters, as the shared object exports it.
SYMBOL = "vfuzz_lines"

#: Only C functions count: what Python calls is the way into a target, not the target.
_FUNCTION = re.compile(r"static .*\b__pyx_f_\w+\(.*\{$")
_MARKER = re.compile(r'\s*/\* "(?P<file>[^"]+)":(?P<line>\d+)$')
_MARKER_END = "*/"
_NO_STATEMENT = re.compile(r"\s*(?:\}|goto __pyx_L[1-9]\d*;|/\* function exit code \*/)")


def instrument(text: str) -> tuple[str, list[tuple[str, int]]]:
    """Cython's C with counters, and for each counter the file and line that it counts."""
    lines = text.split("\n")
    places: list[tuple[str, int]] = []
    out: list[str] = []
    in_function = False
    pending: tuple[str, int] | None = None  # the statement whose C comes next
    marker: tuple[str, int] | None = None  # the comment that is being read
    for line in lines:
        if marker is not None:
            if line.strip() == _MARKER_END:
                pending, marker = marker, None
        elif in_function and (match := _MARKER.match(line)):
            marker = match["file"], int(match["line"])
        elif pending is not None and line.strip():
            if not _NO_STATEMENT.match(line):
                out.append(f"{SYMBOL}[{len(places)}]++;")
                places.append(pending)
            pending = None
        if line.startswith("}"):
            in_function, pending = False, None
        elif _FUNCTION.match(line):
            in_function = True
        out.append(line)
    head = (
        f'__attribute__((visibility("default"))) unsigned long long {SYMBOL}[{len(places) or 1}];'
    )
    return "\n".join([head, *out]), places
