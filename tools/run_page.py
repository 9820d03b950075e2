# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the commands of a page of docs/ one after the other, with what each takes.

    python tools/run_page.py docs/test-my-patch.md FOLDER

A command is an indented line that begins with one of WORDS. It runs in FOLDER, which the page's
commands fill; `corpus` and `vfuzz` are those of this tree. The page says how a command ends, by
`# exit code N` behind it, else 0: another end is an error. Ends with 1 when there was one.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("vfuzz", "sed", "cp", "tar")
TAIL_LINES = 30


class Command(NamedTuple):
    """A line of a page, and the exit code that it says."""

    text: str
    code: int


def commands(page: str) -> list[Command]:
    """The commands of a page, in order."""
    found = []
    for line in page.splitlines():
        words = line.split()
        if line.startswith("    ") and words and words[0] in WORDS:
            text, _, remark = line.strip().partition("  # ")
            said = re.search(r"exit code (\d+)", remark)
            found.append(Command(text.strip(), int(said[1]) if said else 0))
    return found


def main(argv: list[str]) -> int:
    """Run a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    if not (args.folder / "corpus").exists():
        (args.folder / "corpus").symlink_to(ROOT / "corpus")
    function = f'vfuzz() {{ {shlex.quote(sys.executable)} -m vfuzz "$@"; }}\n'
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    wrong = 0
    began = time.monotonic()
    for command in commands(args.page.read_text(encoding="utf-8")):
        start, before = time.monotonic(), _processor_s()
        done = subprocess.run(
            ["bash", "-c", function + command.text], cwd=args.folder, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        took = f"{time.monotonic() - start:6.0f} s, {_processor_s() - before:6.0f} s of processors"
        print(f"{took}  exit code {done.returncode}  {command.text}", flush=True)
        if done.returncode != command.code:
            wrong += 1
            print(f"  the page says {command.code}:")
            print("\n".join(f"  {line}" for line in done.stdout.splitlines()[-TAIL_LINES:]))
    print(f"{time.monotonic() - began:6.0f} s in all")
    return 1 if wrong else 0


def _processor_s() -> float:
    """Of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
