# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz kernel` and `vfuzz conform`, as far as they go without a kernel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from vfuzz.conform import kernel as kernels
from vfuzz.targets.vdpa import real


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFUZZ_CACHE", str(tmp_path / "cache"))


def test_without_kernels_the_list_says_how(vfuzz):
    done = vfuzz("kernel", "list")
    assert done.code == 0
    assert "vfuzz kernel build 6.12" in done.out
    assert json.loads(vfuzz("kernel", "list", "--json").out) == []


def test_what_was_not_built_to_its_end_is_listed_and_removed(vfuzz):
    (kernels.cache_dir() / "half/build").mkdir(parents=True)
    assert "half " in vfuzz("kernel", "list").err
    assert vfuzz("kernel", "remove", "half").out == "removed half\n"
    assert vfuzz("kernel", "list").err == ""


def test_missing_tools_are_told_before_anything_is_fetched(vfuzz, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    done = vfuzz("kernel", "build", "6.12")
    assert done.code == 3
    assert "apt-get install bc binutils bison flex gcc make" in done.err
    assert not kernels.cache_dir().exists()


@pytest.mark.parametrize("arguments", [(), ("6.12", "--source", ".")])
def test_a_build_is_of_a_series_or_of_a_tree(vfuzz, arguments: tuple[str, ...]):
    done = vfuzz("kernel", "build", *arguments)
    assert done.code == 2
    assert "name a series (6.1, 6.12) or --source DIR" in done.err


def test_an_unknown_series_is_told(vfuzz):
    done = vfuzz("kernel", "build", "5.10")
    assert done.code == 2
    assert "no Debian source '5.10'" in done.err


def test_a_tree_that_is_named_as_a_series_is_told(vfuzz, tmp_path: Path):
    done = vfuzz("kernel", "build", str(tmp_path))
    assert done.code == 2
    assert f"a tree is named by --source {tmp_path}" in done.err


def test_a_wrong_tree_is_told(vfuzz, tmp_path: Path):
    done = vfuzz("kernel", "build", "--source", str(tmp_path))
    assert done.code == 2
    assert "no Linux source tree" in done.err


def test_missing_tools_are_told(vfuzz, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(kernels, "TOOLS", {"vfuzz-has-no-such-tool": "a-package"})
    tree = tmp_path / "linux"
    for name in ("arch/um/Kconfig", "drivers/vhost/vdpa.c", "drivers/vdpa/vdpa_sim/Makefile"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\nEXTRAVERSION =\n")
    monkeypatch.setattr(kernels.need_tools, "__defaults__", (("vfuzz-has-no-such-tool",),))
    done = vfuzz("kernel", "build", "--source", str(tree))
    assert done.code == 3
    assert "apt-get install a-package" in done.err


def test_removing_what_is_not_there(vfuzz):
    assert vfuzz("kernel", "remove", "mine").code == 2


def test_conform_needs_a_kernel(vfuzz):
    done = vfuzz("conform", "vdpa", "--kernel", "6.12", "--generate", "5")
    assert done.code == 2
    assert "`vfuzz kernel build 6.12`" in done.err


def test_conform_needs_programs(vfuzz, tmp_path: Path):
    image = tmp_path / "linux"
    image.write_text("#!/bin/sh\necho 6.12.9\n")
    image.chmod(0o755)
    done = vfuzz("conform", "vdpa", "--kernel", str(image))
    assert done.code == 2
    assert "name programs, or --generate N" in done.err
    done = vfuzz("conform", "ring", "--kernel", str(image), "--generate", "5", "--era", "1")
    assert done.code == 2


def test_a_kernel_that_does_not_boot_is_a_failure(vfuzz):
    kernel = kernels.Kernel(
        name="mine", version="6.12.9", source="/src", options=(), config_hash="x"
    )
    image = kernel.image
    image.parent.mkdir(parents=True)
    (kernel.dir / "kernel.json").write_bytes(msgspec.json.encode(kernel))
    shutil.copytree(kernels.modules_dir(), kernel.dir / "modules")
    (kernel.dir / "modules/vfuzz_calls/vfuzz_calls.ko").touch()
    symbols = "".join(f"1000 T {name}\n" for name in real.SYMBOLS.values())
    image.with_name("System.map").write_text(symbols)
    image.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 6.12.9 || echo out of luck\n')
    image.chmod(0o755)
    done = vfuzz("conform", "vdpa", "--kernel", "mine", "--generate", "5")
    assert done.code == 3
    assert "does not boot" in done.err
    assert "out of luck" in done.err
