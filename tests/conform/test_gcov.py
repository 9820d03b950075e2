# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of the kernel that ran, with a gcov that is played: its notes are the statements of a
source, its data how often the first of them ran. `./do test-kernel` reads a real guest's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vfuzz.conform import gcov, kernel
from vfuzz.errors import Error, UsageError

NAME = "drivers/net/virtio_net"
TEXT = """\
static int bound(int length)
{
	if (length > 9)
		return -1;
	return length;
}
static int never(void)
{
	return 3;
}
"""
PLAYED = f"""#!{sys.executable}
import json, os, sys
notes = os.path.splitext(sys.argv[-1])[0]
data = notes + ".gcda"
lines = [int(word) for word in open(notes + ".gcno").read().split()]
runs = [0] * len(lines)
if os.path.exists(data):
    stamp, *given = open(data).read().split()
    if stamp != "build1":
        print(data + ":stamp mismatch with notes file", file=sys.stderr)
    runs = [int(word) for word in given]
functions = [{{"demangled_name": "bound", "start_line": 1, "end_line": 6}},
             {{"demangled_name": "never", "start_line": 7, "end_line": 10}}]
print(json.dumps({{"files": [
    {{"file": "SOURCE", "functions": functions,
      "lines": [{{"line_number": n, "count": c}} for n, c in zip(lines, runs)]}},
    {{"file": "/usr/include/stdio.h", "functions": [], "lines": [dict(line_number=1, count=1)]}},
]}}))
"""


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kernel.Kernel:
    """A kernel that counts in one file."""
    tree = tmp_path / "tree"
    source = tree / f"{NAME}.c"
    source.parent.mkdir(parents=True)
    source.write_text(TEXT)
    monkeypatch.setenv("VFUZZ_CACHE", str(tmp_path / "cache"))
    made = kernel.Kernel(
        name="gc", version="6.12.1", source=str(tree), options=("gcov",), config_hash=""
    )
    notes = made.dir / "build" / f"{NAME}.gcno"
    notes.parent.mkdir(parents=True)
    notes.write_text("1 3 4 5 7 9")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gcov").write_text(PLAYED.replace("SOURCE", str(source)))
    (tools / "gcov").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.setattr(gcov, "COUNTED", (NAME,))
    return made


def files(made: kernel.Kernel, words: str) -> list[tuple[str, bytes]]:
    """As a guest gives them."""
    below = f"/sys/kernel/debug/gcov{made.dir}/build"
    return [(f"{below}/{NAME}.gcda", words.encode()), (f"{below}/net/core/dev.gcda", b"other")]


def test_counts_of_guests_are_added(built):
    counts = gcov.counted(built, files(built, "build1 4 4 0 4 0 0"))
    counts.update(gcov.counted(built, files(built, "build1 1 1 1 0 0 0")))
    by_line = {1: 5, 3: 5, 4: 1, 5: 4, 7: 0, 9: 0}
    assert counts == {(f"{NAME}.c", line): count for line, count in by_line.items()}


def test_all_statements_are_there_and_those_that_ran(built):
    (source,) = gcov.sources(built, gcov.counted(built, files(built, "build1 4 4 0 4 0 0")))
    assert (source.name, len(source.counts), source.reached) == (f"{NAME}.c", 6, 3)
    assert source.functions == (
        gcov.Function("bound", 1, 6, 4, 3), gcov.Function("never", 7, 10, 2, 0)
    )  # fmt: skip
    (nothing,) = gcov.sources(built, {})
    assert (len(nothing.counts), nothing.reached) == (6, 0)


def test_files_are_as_gcov_writes_them(built, tmp_path):
    found = gcov.sources(built, gcov.counted(built, files(built, "build1 4 4 0 4 0 0")))
    assert "     3 of      6  drivers/net/virtio_net.c" in gcov.text(found)
    assert "1 of 2 functions" in gcov.text(found)
    gcov.write(tmp_path / "out", built, found)
    rows = (tmp_path / "out" / "drivers#net#virtio_net.c.gcov").read_text().splitlines()
    assert rows[0] == "        -:    0:Source:drivers/net/virtio_net.c"
    assert rows[2] == "        -:    2:{"
    assert rows[3] == "        4:    3:\tif (length > 9)"
    assert rows[4] == "    #####:    4:\t\treturn -1;"
    table = (tmp_path / "out" / "functions.txt").read_text()
    assert table.splitlines() == [
        "kernel gc, Linux 6.12.1: statements that ran, of each function",
        "",
        "drivers/net/virtio_net.c",
        "      3 of     4  bound",
        "      0 of     2  never",
    ]


def test_counts_of_another_build_are_refused(built):
    with pytest.raises(Error, match=r"virtio_net\.o counted: .*stamp mismatch"):
        gcov.counted(built, files(built, "build2 4 4 0 4 0 0"))


def test_a_build_that_is_not_there_any_more_is_told(built):
    (built.dir / "build" / f"{NAME}.gcno").unlink()
    with pytest.raises(Error, match="build the kernel again"):
        gcov.sources(built, {})


def test_a_kernel_that_counts_nothing_is_refused(built):
    gcov.can_count(built)
    built.options = ("kasan",)
    with pytest.raises(UsageError, match=r"gc counts no lines: .* --gcov"):
        gcov.can_count(built)


def test_no_gcov_is_told_with_its_package(built, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="apt-get install gcc"):
        gcov.can_count(built)
