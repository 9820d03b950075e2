# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: configuration, trees, the cache; without compiling one."""

from __future__ import annotations

import fcntl
from pathlib import Path

import msgspec
import pytest

from vfuzz.conform import kernel as kernels
from vfuzz.errors import UsageError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFUZZ_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What looks like a source tree."""
    where = tmp_path / "linux"
    for name in ("arch/um/Kconfig", "drivers/vhost/vdpa.c", "drivers/vdpa/vdpa_sim/Makefile"):
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).touch()
    (where / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\nEXTRAVERSION =\n")
    return where


def _made(name: str, version: str) -> kernels.Kernel:
    """A kernel of the cache that nobody compiled."""
    kernel = kernels.Kernel(name=name, version=version, source="/src", options=(), config_hash="x")
    kernel.image.parent.mkdir(parents=True)
    kernel.image.touch()
    (kernel.dir / "kernel.json").write_bytes(msgspec.json.encode(kernel))
    return kernel


def test_a_fragment_says_what_is_on_off_and_else():
    text = "# a remark\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=0\n"
    assert kernels.parse_fragment(text) == {"A": "y", "B": "n", "C": "0"}


def test_what_olddefconfig_dropped_is_named():
    config = "CONFIG_A=y\n# CONFIG_KASAN is not set\n"
    assert kernels.missing_symbols({"A": "y", "B": "n"}, config) == []
    assert kernels.missing_symbols({"KASAN": "y", "D": "y"}, config) == [
        "CONFIG_KASAN is n, not y",
        "CONFIG_D is n, not y",
    ]


@pytest.mark.parametrize("name", [*kernels.BASE, *kernels.OPTIONS])
def test_each_fragment_says_something(name: str):
    path = kernels.config_dir() / f"{name}.config"
    lines = [line for line in path.read_text().splitlines() if "CONFIG_" in line]
    assert len(kernels.parse_fragment(path.read_text())) == len(lines) > 0


def test_a_tree_has_a_version(tree: Path):
    assert kernels.version_of(tree) == "6.12.3"


def test_wrong_trees_are_named(tree: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="no Linux source tree: it has no Makefile"):
        kernels.version_of(tmp_path)
    with pytest.raises(UsageError, match="there is no directory"):
        kernels.version_of(tmp_path / "nowhere")
    (tree / "drivers/vhost/vdpa.c").unlink()
    with pytest.raises(UsageError, match=r"not a whole source tree: drivers/vhost/vdpa\.c"):
        kernels.version_of(tree)


def test_older_than_the_models_is_refused(tree: Path):
    (tree / "Makefile").write_text("VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = 1\nEXTRAVERSION =\n")
    with pytest.raises(UsageError, match=r"5\.10\.1: the models begin with 6\.1"):
        kernels.version_of(tree)


def test_a_plan_is_named_by_tree_and_configuration(tree: Path):
    plain = kernels.plan(tree)
    kasan = kernels.plan(tree, ("kasan",))
    more = kernels.plan(tree, (), ("DEBUG_LIST=y",))
    assert plain.name.startswith("6.12.3-")
    assert kasan.name.startswith("6.12.3-kasan-")
    assert kasan.wanted["KASAN"] == "y"
    assert "KASAN" not in plain.wanted
    assert more.wanted["DEBUG_LIST"] == "y"
    assert len({plain.name, kasan.name, more.name}) == 3
    assert kernels.plan(tree).name == plain.name


@pytest.mark.parametrize("more", ["lower=y", "=y", "A B=y"])
def test_a_wrong_symbol_is_refused(tree: Path, more: str):
    with pytest.raises(UsageError, match="SYMBOL=y"):
        kernels.plan(tree, (), (more,))


@pytest.mark.parametrize(
    ("version", "era"),
    [("6.1.192", "linux-6.1"), ("6.6.3", "linux-6.1"), ("6.12.117", "linux-6.12"),
     ("6.18.0-rc1", "linux-6.12"), ("7.0.0", "linux-7.0"), ("7.2.1", "linux-7.0"),
     ("5.10.1", "linux-6.1")],
)  # fmt: skip
def test_a_version_has_an_era(version: str, era: str):
    assert kernels.era_of(version, ("linux-6.1", "linux-6.12", "linux-7.0")) == era


def test_an_era_is_one_of_the_target():
    assert kernels.era_of("7.2.13", ("linux-6.1", "linux-6.12", "linux-7.2")) == "linux-7.2"
    assert kernels.era_of("7.1.0", ("linux-6.1", "linux-6.12", "linux-7.2")) == "linux-6.12"


def test_a_kernel_is_found_by_the_beginning_of_its_name():
    _made("6.1.192-aaaaaa", "6.1.192")
    _made("6.12.117-bbbbbb", "6.12.117")
    _made("6.12.117-kasan-cccccc", "6.12.117")
    assert kernels.find("6.1").name == "6.1.192-aaaaaa"
    assert kernels.find("6.12.117-kasan").name == "6.12.117-kasan-cccccc"
    with pytest.raises(UsageError, match="could be"):
        kernels.find("6.12")
    with pytest.raises(UsageError, match=r"no kernel '6\.2'"):
        kernels.find("6.2")
    assert kernels.installed()[0].name == "6.1.192-aaaaaa"


def test_none_built_says_how():
    with pytest.raises(UsageError, match=r"`vfuzz kernel build 6\.12`"):
        kernels.find("6.12")


def test_a_removed_kernel_is_gone():
    kernel = _made("mine", "6.12.1")
    assert kernels.remove("mine") == "mine"
    assert not kernel.dir.exists()
    assert kernels.installed() == []


def test_a_module_of_another_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "modules_dir", lambda: tmp_path)
    kernel = _made("mine", "6.12.1")
    for home in (tmp_path / "some", kernel.dir / "modules" / "some"):
        home.mkdir(parents=True)
        (home / "some.c").write_text("int some;")
    with pytest.raises(UsageError, match="kernel mine has no module some"):
        kernel.module("some")
    built = kernel.dir / "modules" / "some" / "some.ko"
    built.touch()
    assert kernel.module("some") == built
    (tmp_path / "some" / "some.c").write_text("int other;")
    with pytest.raises(UsageError, match=r"module some of another vfuzz.*--name mine"):
        kernel.module("some")


def test_a_kernel_is_found_by_its_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kernel = _made("mine", "6.12.1")
    for path in (kernel.dir, kernel.dir / "build", kernel.image):
        found = kernels.find(str(path))
        assert (found.name, found.dir) == ("mine", kernel.dir)  # with its modules, not as foreign
    monkeypatch.chdir(kernel.dir)
    assert kernels.find(".").name == kernels.find("./build/linux").name == "mine"


def test_other_paths_say_what_they_are(tree: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"there is no file .*nowhere"):
        kernels.find(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="is a directory: name a kernel"):
        kernels.find(str(tmp_path))
    (tree / "Kbuild").touch()
    with pytest.raises(UsageError, match=r"`vfuzz kernel build --source .*linux` makes"):
        kernels.find(str(tree))
    (tmp_path / "text").write_text("no program")
    with pytest.raises(UsageError, match="no User-Mode Linux kernel"):
        kernels.find(str(tmp_path / "text"))


def test_a_build_that_did_not_end_is_told_and_can_be_removed():
    home = kernels.cache_dir() / "half"
    (home / "build").mkdir(parents=True)
    assert kernels.unfinished() == ["half"]
    assert kernels.installed() == []
    with pytest.raises(UsageError, match="kernel half did not end well"):
        kernels.find("half")
    assert kernels.remove("half") == "half"
    assert not home.exists()
    _made("whole", "6.12.1")
    assert kernels.unfinished() == []


def test_two_builds_of_a_kernel_do_not_meet(tree: Path):
    what = kernels.plan(tree, name="mine")
    home = kernels.cache_dir() / "mine"
    home.mkdir(parents=True)
    with (home / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(kernels.BuildFailed, match="being built by another process"):
            kernels.build(what, lambda text: None)


def test_a_tree_that_was_built_in_place_is_refused(tree: Path):
    (tree / ".config").touch()
    with pytest.raises(kernels.BuildFailed, match="make mrproper"):
        kernels.build(kernels.plan(tree, name="mine"), lambda text: None)


def test_missing_tools_name_their_packages(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels.shutil, "which", lambda name: None)
    with pytest.raises(kernels.BuildFailed, match=r"apt-get install .*flex"):
        kernels.need_tools()


def test_a_full_disk_is_told_before(tmp_path: Path):
    with pytest.raises(kernels.BuildFailed, match="make room"):
        kernels.need_space(tmp_path / "not" / "there", 1 << 60)


def test_another_image_must_say_its_version(tmp_path: Path):
    image = tmp_path / "linux"
    image.write_text("#!/bin/sh\necho 6.12.9\n")
    image.chmod(0o755)
    assert kernels.find(str(image)).era(("linux-6.1", "linux-6.12")) == "linux-6.12"
    image.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(UsageError, match="no User-Mode Linux kernel"):
        kernels.find(str(image))


def test_another_image_is_found_again_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "linux").write_text("#!/bin/sh\necho 6.12.9\n")
    (tmp_path / "linux").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    name = kernels.find("./linux").name
    monkeypatch.chdir("/")
    assert kernels.find(name).version == "6.12.9"


def test_a_kernel_that_was_linked_otherwise_is_linked_again(tree: Path, tmp_path: Path):
    (tree / "arch/um/Makefile").write_text("LINK_WRAPS = -Wl,--wrap,malloc\n")
    out = tmp_path / "build"
    out.mkdir()
    (out / ".config").write_text("# CONFIG_FRAME_POINTER is not set\n")
    (out / "vmlinux").touch()
    (out / "linux").touch()
    words = kernels.linking(tree, out)
    assert words == [f"LINK_WRAPS=-Wl,--wrap,malloc {kernels.NO_TRACES}"]
    assert not (out / "vmlinux").exists()
    assert not (out / "linux").exists()
    (out / "vmlinux").touch()
    assert kernels.linking(tree, out) == words
    assert (out / "vmlinux").exists()
    (out / ".config").write_text("CONFIG_FRAME_POINTER=y\n")  # the traces say something then
    assert kernels.linking(tree, out) == []
    assert not (out / "vmlinux").exists()


def test_vduse_can_be_had_where_an_architecture_must_have_dma_ops(tmp_path: Path):
    source, out = tmp_path / "linux", tmp_path / "out"
    (source / "arch").mkdir(parents=True)
    out.mkdir()
    (source / "Kconfig").write_text('mainmenu "Linux"\n')
    (source / "arch" / "Kconfig").write_text("config OTHER\n\tbool\n")
    assert kernels.kconfig(source, out) == []
    (source / "arch" / "Kconfig").write_text("config ARCH_HAS_DMA_OPS\n\tbool\n")
    (word,) = kernels.kconfig(source, out)
    file = Path(word.removeprefix("KBUILD_KCONFIG="))
    assert file.read_text().startswith('mainmenu "Linux"\n')
    assert "select ARCH_HAS_DMA_OPS" in file.read_text()
    before = file.stat().st_mtime_ns
    assert kernels.kconfig(source, out) == [word]
    assert file.stat().st_mtime_ns == before
