# SPDX-License-Identifier: GPL-2.0-or-later
"""A corpus on the counting variant, and what is told when there can be none."""

from __future__ import annotations

from pathlib import Path

import pytest

import vfuzz
from tests.needs import need
from vfuzz import coverage
from vfuzz.coverage import html, variant
from vfuzz.errors import Error, UsageError

need("vfuzz.program.codec")

RING = vfuzz.target("ring")
LEDGER = vfuzz.target("tests.fakes.ledger")
HEAD = "# target: vdpa\n"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of these tests' own."""
    patch = pytest.MonkeyPatch()
    path = tmp_path_factory.mktemp("cache")
    patch.setenv("VFUZZ_CACHE", str(path))
    yield path
    patch.undo()


def test_runs_of_a_program_follow_its_header(tmp_path):
    vdpa = vfuzz.target("vdpa")
    plain, buggy = tmp_path / "plain.vf", tmp_path / "buggy.vf"
    plain.write_text(f"{HEAD}boot()\n")
    buggy.write_text(f"{HEAD}# quirks: {vdpa.quirks[0].id}\n# era: {vdpa.eras[0]}\nboot()\n")
    every = [(era, ()) for era in vdpa.eras]
    assert [(r.era, r.quirks) for r in coverage.runs_of(vdpa, [plain])] == every
    assert [(r.era, r.quirks) for r in coverage.runs_of(vdpa, [buggy])] == [
        *every, (vdpa.eras[0], (vdpa.quirks[0].id,)),
    ]  # fmt: skip
    asked = coverage.runs_of(vdpa, [buggy], eras=(vdpa.eras[-1],), quirks=("none",))
    assert [(r.era, r.quirks) for r in asked] == [(vdpa.eras[-1], ())]


def test_a_target_without_cython_has_no_coverage():
    with pytest.raises(Error, match=r"tests\.fakes\.ledger has no Cython source"):
        variant.load(LEDGER)


def test_an_installed_vfuzz_says_that_it_needs_the_source_tree(monkeypatch, tmp_path):
    monkeypatch.setattr(variant, "_SOURCE_ROOT", tmp_path)
    with pytest.raises(Error, match=r"needs the source tree of vfuzz.*a clone, built"):
        variant.load(RING)


def test_a_target_that_was_not_built_since_is_refused(monkeypatch):
    monkeypatch.setattr(variant.codegen, "text_of", lambda folder: "something new")
    with pytest.raises(Error, match="ring was not built since its declarations changed"):
        variant.load(RING)


def test_no_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setenv("CC", "nosuchcc")
    with pytest.raises(Error, match=r"coverage of ring needs a C compiler: .*'nosuchcc'"):
        variant.load(RING)


def test_a_target_without_a_corpus():
    with pytest.raises(UsageError, match="no committed corpus"):
        coverage.committed(LEDGER)


@pytest.mark.slow
def test_lines_are_counted(cache, tmp_path):
    told = []
    empty = [coverage.Run(Path("empty"), RING.eras[0], (), b"")]
    found = coverage.measure(RING, empty, told=told.append)
    assert len(told) == 2, "Cython, and a compiler"
    (file,) = found.files
    assert file.name == "vfuzz/targets/ring/_core.pyx"
    counts = {text: file.counts.get(n) for n, text in enumerate(file.text.splitlines(), 1)}
    assert counts["cdef void target_boot() noexcept nogil:"] is None, "a header"
    assert 0 < found.reached < found.lines
    assert found.executions == found.programs == 1
    assert found.violations == 0
    # the committed corpus reaches all, and what was counted before is forgotten
    runs = coverage.runs_of(RING, [coverage.committed(RING)])
    more = coverage.measure(RING, runs, ("model", "judge", "sim"), told=told.append)
    assert len(told) == 2, "the variant was there"
    model = next(f for f in more.files if f.part == "model")
    assert not model.uncovered
    assert {f.part for f in more.files} == {"model", "sim"}
    again = coverage.measure(RING, empty)
    assert again.files[0].counts == file.counts
    # the variant is beside the installed extension, not in its place
    assert RING.core is not variant.load(RING).target.core
    assert RING.execute(b"").violation is None
    index = html.write(more, tmp_path / "pages")
    assert len(list(index.parent.iterdir())) == 1 + len(more.files)


def test_pages_show_every_line_and_its_reason(tmp_path):
    source = tmp_path / "m.pxi"
    source.write_text("if a < b:\n    x = 1\n    y = 2\n    z = 3  # uncovered: for <you>\n")
    file = coverage.File(source, "model/m.pxi", "model", {1: 7, 2: 0, 3: 1, 4: 0})
    found = coverage.Coverage(RING, 1, 1, 0, (file,), {})
    assert found.share == 0.5
    assert found.unexplained == 1
    assert [(u.number, u.text, u.why) for u in file.uncovered] == [
        (2, "x = 1", ""),
        (4, "z = 3  # uncovered: for <you>", "for <you>"),
    ]
    assert file.stale == ()
    assert coverage.File(source, "m", "model", {4: 1}).stale == (4,)
    index = html.write(found, tmp_path / "out")
    text = index.read_text()
    assert "ring: 50.00 % of 4 lines" in text
    assert 'href="model.m.pxi.html"' in text
    page = (tmp_path / "out/model.m.pxi.html").read_text()
    assert "<pre>if a &lt; b:</pre>" in page
    assert 'class="miss"' in page
    assert "for &lt;you&gt;" in page
    assert '<a href="#2">2</a>' in page
