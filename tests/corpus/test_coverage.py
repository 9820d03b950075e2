# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus reaches the model: 98 % of its lines, measured by gcov.

A line counts when any of the C lines that Cython made of it has run. The model is what lies in a
target's model/ and, beside it, what a program drives it by; judge and rig are left out, as files
that say `# coverage: off` are everywhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path

import pytest

from tests.corpus.programs import ALL, ROOT, TARGETS

#: virtio-net-rx: what it has; the rest are failures that nothing can make follow each other.
LEAST = {"vdpa": 0.98, "virtio-net-rx": 0.96}
NOWHERE = ("", 0)

#: Runs the corpus of a target on a core from elsewhere: in every era, and as the headers say.
RUN = """
import importlib.util, sys
name, path = sys.argv[1:]
import vfuzz
target = vfuzz.target(name)
module = f"{target.package.__name__}._core"
spec = importlib.util.spec_from_file_location(module, path)
sys.modules[module] = core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)
assert target.core is core
from tests.corpus.programs import ALL
for entry in ALL:
    if entry.target is target:
        for era in target.eras:
            target.execute(entry.program, era, trace=True)
        for era in entry.eras if entry.quirks else ():
            target.execute(entry.program, era, entry.quirks, trace=True)
"""


def counted(path: Path) -> bool:
    if "_core.pyx" in path.name or path.name in ("driver.pxi", "device.pxi"):
        return True
    return path.parent.name == "model" and "# coverage: off" not in path.read_text("utf-8")[:200]


def origins(text: str) -> tuple[str, list[tuple[str, int]]]:
    """Cython's C without `#line`, and for each of its lines where it comes from.

    The C of one line is many lines, which a compiler would count on from the directive. What stands
    behind a function's last statement belongs to nobody.
    """
    lines, places, place = [], [], NOWHERE
    for line in text.split("\n"):
        directive = re.fullmatch(r'#line (\d+) "(.*)"', line)
        if directive:
            place = (directive[2], int(directive[1]))
        elif "/* function exit code */" in line or line.startswith("}"):
            place = NOWHERE
        lines.append("" if directive else line)
        places.append(place)
    return "\n".join(lines), places


def lines_of(target, tmp_path: Path) -> dict[str, dict[int, bool]]:
    """For each file of the model: its lines of code, and whether they ran."""
    folder = Path(target.package.__file__).parent.relative_to(ROOT)
    source = ROOT / "build/cython" / folder / "_core.c"
    assert source.is_file(), f"{source} is not there: build first, ./do build"
    for tool in ("gcc", "gcov"):
        assert shutil.which(tool), f"{tool} is not there: install gcc"
    text, places = origins(source.read_text("utf-8"))
    bare, core = tmp_path / "core.c", tmp_path / "_core.so"
    bare.write_text(text, "utf-8")
    include = sysconfig.get_paths()["include"]
    flags = ["-O0", "-g1", "-fPIC", "--coverage", f"-I{include}", f"-I{ROOT}", "-w"]
    subprocess.run(["gcc", *flags, "-c", bare, "-o", bare.with_suffix(".o")], cwd=ROOT, check=True)
    subprocess.run(["gcc", "-shared", "--coverage", bare.with_suffix(".o"), "-o", core], check=True)
    subprocess.run(
        [sys.executable, "-c", RUN, target.name, core],
        cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    told = subprocess.run(
        ["gcov", "--json-format", "--stdout", bare.with_suffix(".gcda")],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, dict[int, bool]] = defaultdict(dict)
    (lines,) = (f["lines"] for f in json.loads(told.stdout)["files"] if f["file"] == str(bare))
    for line in lines:
        file, number = places[line["line_number"] - 1]
        path = ROOT / file
        if path.is_relative_to(ROOT / folder) and path.is_file() and counted(path):
            ran = found[str(path.relative_to(ROOT / folder))]
            ran[number] = ran.get(number, False) or line["count"] > 0
    return found


def not_the_model(text: str) -> set[int]:
    """Lines that no clean program runs: reports of violations, which have their own cases in
    tests/targets, the end of arenas, and headers."""
    found: set[int] = set()
    open_calls = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r'b"[^"]*"', "", line)
        if open_calls or re.match(r"\s*(violation|null_op)\(", bare):
            found.add(number)
            open_calls += bare.count("(") - bare.count(")")
        elif re.match(r"\s*(give_up\(|#|cdef |cpdef |\"\"\")", bare) or not bare.strip():
            found.add(number)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_corpus_reaches_the_model(target, tmp_path):
    assert any(entry.target is target for entry in ALL)
    found = lines_of(target, tmp_path)
    folder = Path(target.package.__file__).parent
    total, missed = 0, list[str]()
    for name, lines in sorted(found.items()):
        text = (folder / name).read_text("utf-8")
        left = {n: ran for n, ran in sorted(lines.items()) if n not in not_the_model(text)}
        total += len(left)
        missed += [
            f"{name}:{n}: {text.splitlines()[n - 1].strip()}" for n, ran in left.items() if not ran
        ]
    assert total > 500, sorted(found)
    share = 1 - len(missed) / total
    print(f"{target}: {share:.2%} of {total} lines")
    print("\n".join(missed))
    told = "\n".join([f"{share:.2%} of {total} lines; these not:", *missed])
    assert share >= LEAST[target.name], told
