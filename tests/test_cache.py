# SPDX-License-Identifier: GPL-2.0-or-later
"""One rule for all that is cached."""

from __future__ import annotations

from pathlib import Path

import pytest

from vfuzz import cache
from vfuzz.conform import kernel as kernels
from vfuzz.coverage import variant
from vfuzz.errors import Error


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VFUZZ_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_it_is_in_the_home_directory(tmp_path: Path):
    assert cache.cache_dir("part") == tmp_path / "home/.cache/vfuzz/part"


def test_xdg_names_another_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_dir("part") == tmp_path / "xdg/vfuzz/part"


@pytest.mark.parametrize("value", ["", "here", "./here"])
def test_what_xdg_says_to_ignore_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache.cache_dir("part") == tmp_path / "home/.cache/vfuzz/part"


@pytest.mark.parametrize("value", ["mine", "~/mine"])
def test_its_own_variable_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str):
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")  # a relative one is made absolute: make has another cwd
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("VFUZZ_CACHE", value)
    assert cache.cache_dir("part") == tmp_path / "home/mine/vfuzz/part"


def test_without_a_home_it_has_to_be_set(monkeypatch: pytest.MonkeyPatch):
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(Error, match="set VFUZZ_CACHE"):
        cache.cache_dir("part")


def test_kernels_and_variants_follow_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("XDG_CACHE_HOME", "VFUZZ_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
        assert kernels.cache_dir() == tmp_path / name / "vfuzz/kernels"
        assert variant.variants_dir() == tmp_path / name / "vfuzz/coverage"
        assert variant.variants_dir().is_dir()
