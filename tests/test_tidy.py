# SPDX-License-Identifier: GPL-2.0-or-later
"""House rules that a machine can check, for every tracked file."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SOURCE_SUFFIXES = {".py", ".pyx", ".pxd", ".pxi", ".c", ".h", ".sh"}
SOURCE_NAMES = {"do", "Makefile", "run", "pyproject.toml"}
TEXT_SUFFIXES = SOURCE_SUFFIXES | {".md", ".toml", ".in", ".vf", ".txt", ".json", ".html", ""}

#: Folders of an unpacked source archive, which has no list of tracked files.
ARCHIVE_FOLDERS = (".ci", "bench", "corpus", "docs", "harnesses", "tests", "tools", "vfuzz")

COLUMNS_MAX = 100
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"

# In parts, so that this file does not break its own rule.
MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:" + "work|root|tmp" + r")/\w")
REGISTRY_HOST = re.compile(r"\b(?:" + r"pypi\.|pythonhosted\.|deb\.debian\.|npmjs\." + r")org\b")
UNFINISHED = re.compile(r"\b(?:" + "TO" + "DO|FIX" + "ME|XX" + "X" + r")\b")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that belongs to the project, relative to the root."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        found = [Path(name) for name in listed.split("\0") if name]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.iterdir() if path.is_file()]
        for folder in ARCHIVE_FOLDERS:
            for path in (ROOT / folder).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
                    found.append(path.relative_to(ROOT))
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def texts() -> Iterator[tuple[Path, str]]:
    """(path, text) of every tracked text file."""
    for path in tracked():
        if path.suffix in TEXT_SUFFIXES:
            yield path, (ROOT / path).read_text(encoding="utf-8")


def sources() -> Iterator[tuple[Path, str]]:
    """(path, text) of every tracked source file."""
    for path, text in texts():
        if path.suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES:
            yield path, text


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """file:line of every line of a text file that matches `pattern`."""
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def report(wrong: list[str]) -> str:
    """One a line, since pytest shortens lists."""
    return "\n" + "\n".join(wrong)


def test_there_are_files_to_check():
    names = {str(path) for path in tracked()}
    assert {"setup.py", "do", "vfuzz/__init__.py", "tests/test_tidy.py"} <= names
    assert sum(1 for _ in sources()) > 20


def test_license_in_first_line():
    wrong = []
    for path, text in sources():
        lines = text.splitlines() or [""]
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if SPDX not in first and (text.strip() or path.name != "__init__.py"):
            wrong.append(str(path))
    assert not wrong, f"the first line must hold '{SPDX}':{report(wrong)}"


def test_lines_fit():
    wrong = []
    for path, text in texts():
        if path.suffix not in SOURCE_SUFFIXES | {".md", ".vf"} and path.name not in SOURCE_NAMES:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            # A table row or an address in a document cannot be broken.
            unbreakable = path.suffix == ".md" and (line.lstrip().startswith("|") or "://" in line)
            if len(line) > COLUMNS_MAX and not unbreakable:
                wrong.append(f"{path}:{number}: {len(line)} columns")
    assert not wrong, report(wrong)


def test_lines_end_cleanly():
    wrong = [
        f"{path}:{number}"
        for path, text in sources()
        for number, line in enumerate(text.splitlines(), 1)
        if line != line.rstrip()
    ]
    wrong += [f"{path}: no newline at the end" for path, text in sources() if text[-1:] not in "\n"]
    assert not wrong, report(wrong)


def test_no_machine_path():
    wrong = lines_matching(MACHINE_PATH)
    assert not wrong, "write paths relative to the tree, or ask for them" + report(wrong)


def test_no_registry_host():
    wrong = lines_matching(REGISTRY_HOST)
    assert not wrong, "name the package, not the place it comes from" + report(wrong)


def test_nothing_unfinished():
    wrong = lines_matching(UNFINISHED)
    assert not wrong, "do it, or file an issue" + report(wrong)


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown reader makes of the headings of `text`."""
    found = set()
    for heading in re.findall(r"^#+\s+(.*?)\s*$", text, flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("document", documents(), ids=str)
def test_links_resolve(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (ROOT / document).parent / target if target else ROOT / document
        if not file.exists() or (
            anchor and anchor not in anchors(file.read_text(encoding="utf-8"))
        ):
            wrong.append(link)
    assert not wrong, f"links in {document} that lead nowhere:{report(wrong)}"


def mentions(path: Path) -> set[str]:
    """Last parts of the dotted names that a Python file imports or has as a string."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[-1] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.name for alias in node.names)
            found.add((node.module or "").split(".")[-1])
        elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w.{}:-]+", str(node.value)):
            found.add(str(node.value).split(".")[-1].split(":")[0])
    return found


def test_no_dead_module():
    python = [path for path in tracked() if path.suffix == ".py" and path.parts[0] != "tests"]
    by_file = {path: mentions(path) for path in python}
    # Cython parts import Python modules too.
    cython = "\n".join(text for path, text in sources() if path.suffix in (".pyx", ".pxi"))
    lines = re.findall(r"^\s*(?:from|import)\s.*$", cython, flags=re.MULTILINE)
    imported = set(re.findall(r"\w+", " ".join(lines)))
    documented = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in documents())
    dead = []
    for path in python:
        # What lies in vfuzz/ itself is the public API, for others to import.
        if path.parts[0] != "vfuzz" or len(path.parts) == 2 or path.stem.startswith("__"):
            continue
        others = set().union(*(names for other, names in by_file.items() if other != path))
        if path.stem not in others | imported and f"{path.name}`" not in documented:
            dead.append(str(path))
    assert not dead, f"modules that only tests import, and no document names:{report(dead)}"


def test_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = re.search(
        r'^__version__ = "([^"]+)"', (ROOT / "vfuzz/__init__.py").read_text(), flags=re.MULTILINE
    )
    assert version, "vfuzz/__init__.py has no __version__"
    headings = re.findall(r"^## (\S+)", text, flags=re.MULTILINE)
    assert headings, "CHANGELOG.md has no section"
    assert headings[0] in ("Unreleased", version[1]), "the first section is this version's"


def test_readme_names_the_two_commands():
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25])
    assert "./do fuzz" in first_screen
    assert "./do test" in first_screen
