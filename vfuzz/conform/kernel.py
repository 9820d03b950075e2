# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels to compare with: built as User-Mode Linux from a source tree, kept by tree and options.

A kernel is a folder of the cache: `build` is make's output folder, which stays, so that a build
after an edit is short; `kernel.json` says what it is. The configuration is the smallest that Linux
has with fragments of config/ on top. A fragment is a wish: what olddefconfig made of it is checked.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from vfuzz import cache
from vfuzz.engine.store import write_atomic
from vfuzz.errors import Error, UsageError, did_you_mean

__all__ = [
    "DEBIAN", "OPTIONS", "BuildFailed", "Kernel", "Plan", "build", "cache_dir", "config_dir",
    "debian_source", "era_of", "find", "installed", "linking", "missing_symbols", "need_tools",
    "parse_fragment", "plan", "remove", "unfinished", "version_of",
]  # fmt: skip

#: Series whose source Debian packages, and that the models follow.
DEBIAN = ("6.1", "6.12")
OLDEST = (6, 1)
#: Fragments of config/ that can be asked for.
OPTIONS = ("kasan", "ubsan", "kmemleak", "lockdep", "gcov")
BASE = ("base", "vdpa", "virtio-net-rx")
#: Tools by command, and the package of each.
TOOLS = {"make": "make", "gcc": "gcc", "bc": "bc", "flex": "flex", "bison": "bison",
         "ld": "binutils", "tar": "tar", "xz": "xz-utils"}  # fmt: skip
VERSION_MAX_S = 10.0
#: User-Mode Linux takes the generic NET_IP_ALIGN of 2. On x86-64 it is 0, and virtio_net goes other
#: ways by it: the guest's has to be the one that is in use.
AS_ON_X86 = tuple(f"CFLAGS_{name}.o=-DNET_IP_ALIGN=0" for name in ("virtio_net", "skbuff"))
#: What gcov counts: the files that the models follow.
COUNTED = (
    "drivers/net/virtio_net", "drivers/virtio/virtio_ring", "drivers/vhost/vdpa",
    "drivers/vhost/vhost", "drivers/vhost/iotlb", "drivers/vhost/vringh",
    "drivers/vdpa/vdpa_sim/vdpa_sim", "drivers/vdpa/vdpa_sim/vdpa_sim_net",
)  # fmt: skip
#: KASAN asks for the stack at each kmalloc() and kfree(). User-Mode Linux looks at every word of
#: it, and keeps none of them unless there are frame pointers: half of a guest's time went there. So
#: without frame pointers the asking is linked to a function of the same kernel that says "none" at
#: once: it takes anything and returns 0.
NO_TRACES = "-Wl,--wrap,stack_trace_save -Wl,--defsym,__wrap_stack_trace_save=noop_fsync"
TREE_MIN = 2 << 30  # bytes of disk for an unpacked tree with its archive
BUILD_MIN = 1 << 29  # and for a build folder

Progress = Callable[[str], None]


class BuildFailed(Error):
    """A kernel could not be built; the message says why and what to do."""


class Kernel(msgspec.Struct, kw_only=True):
    """A kernel of the cache; what kernel.json holds.

    symbols  the configuration that was asked for, as it is on
    objects  files compiled by a full build: what progress is measured by
    """

    name: str
    version: str
    source: str
    options: tuple[str, ...]
    config_hash: str
    objects: int = 0
    seconds: float = 0.0

    @property
    def dir(self) -> Path:
        return cache_dir() / self.name

    @property
    def image(self) -> Path:
        return self.dir / "build" / "linux"

    def era(self, eras: Sequence[str]) -> str:
        """The one of a target's eras that it has."""
        return era_of(self.version, eras)

    def address(self, symbol: str) -> int:
        """Where the kernel has a symbol. Raises UsageError."""
        path = self.dir / "build" / "System.map"
        text = path.read_text() if path.is_file() else ""
        if match := re.search(rf"^([0-9a-f]+) \w {symbol}$", text, re.MULTILINE):
            return int(match[1], 16)
        raise UsageError(f"{path} does not name {symbol}: build the kernel again")

    def module(self, name: str) -> Path:
        """A module that was built with it, of this vfuzz's source. Raises UsageError."""
        path = self.dir / "modules" / name / f"{name}.ko"
        if not path.is_file():
            raise UsageError(
                f"kernel {self.name} has no module {name}: `vfuzz kernel build` makes it"
            )
        for source in (modules_dir() / name).glob("*.[ch]"):
            copy = path.with_name(source.name)
            if not copy.is_file() or copy.read_bytes() != source.read_bytes():
                raise UsageError(
                    f"kernel {self.name} has module {name} of another vfuzz: build it again as "
                    f"before, `vfuzz kernel build ... --name {self.name}`, which compiles only that"
                )
        return path


class Plan(msgspec.Struct, frozen=True):
    """What is to be built: source tree, options, the wanted configuration."""

    source: Path
    version: str
    options: tuple[str, ...]
    wanted: dict[str, str]
    name: str
    config_hash: str


def cache_dir() -> Path:
    """Where kernels and unpacked sources are kept."""
    return cache.cache_dir("kernels")


def config_dir() -> Path:
    """The fragments."""
    return Path(__file__).resolve().parent / "config"


def modules_dir() -> Path:
    """The sources of modules that a guest may load, a folder each."""
    return Path(__file__).resolve().parent / "modules"


def era_of(version: str, eras: Sequence[str]) -> str:
    """The era of a target, oldest first, whose behaviour a kernel version has: the newest that is
    not newer, or the oldest."""

    def series(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", text)[:2])

    return [era for era in eras if series(era) <= series(version) or era == eras[0]][-1]


# ---- configuration -------------------------------------------------------------------------------


def parse_fragment(text: str) -> dict[str, str]:
    """Symbols of a fragment or of a .config: value, "n" for what is not set."""
    found = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"CONFIG_(\w+)=(.*)", line.strip()):
            found[match[1]] = match[2]
        elif match := re.fullmatch(r"# CONFIG_(\w+) is not set", line.strip()):
            found[match[1]] = "n"
    return found


def _lines(wanted: dict[str, str]) -> str:
    return "".join(
        f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
        for name, value in wanted.items()
    )


def missing_symbols(wanted: dict[str, str], config: str) -> list[str]:
    """What was asked for and is not so in a .config. A symbol that does not exist is off."""
    got = parse_fragment(config)
    return [
        f"CONFIG_{name} is {got.get(name, 'n')}, not {value}"
        for name, value in wanted.items()
        if got.get(name, "n") != value
    ]


def _wanted(options: Iterable[str], more: Iterable[str]) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for part in (*BASE, *options):
        wanted |= parse_fragment((config_dir() / f"{part}.config").read_text())
    for word in more:
        name, _, value = word.removeprefix("CONFIG_").partition("=")
        if not re.fullmatch(r"[A-Z0-9_]+", name):
            raise UsageError(f"--set {word}: write SYMBOL=y, SYMBOL=n or SYMBOL=VALUE")
        wanted[name] = value or "y"
    return wanted


# ---- trees ---------------------------------------------------------------------------------------


def version_of(tree: Path) -> str:
    """The version of a source tree. Raises UsageError when it is none, or has no UML."""
    makefile = tree / "Makefile"
    if not tree.is_dir():
        raise UsageError(f"there is no directory {tree}: name a Linux source tree")
    if not makefile.is_file():
        raise UsageError(f"{tree} is no Linux source tree: it has no Makefile")
    head = makefile.read_text(errors="replace")[:2000]
    parts = [re.search(rf"^{word} *=[ \t]*(\S*)", head, re.MULTILINE)
             for word in ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")]  # fmt: skip
    if not all(parts[:3]):
        raise UsageError(f"{tree} is no Linux source tree: its Makefile names no version")
    numbers = [part[1] if part else "" for part in parts]
    for needed in ("arch/um/Kconfig", "drivers/vhost/vdpa.c", "drivers/vdpa/vdpa_sim"):
        if not (tree / needed).exists():
            raise UsageError(f"{tree} is not a whole source tree: {needed} is missing")
    version = ".".join(numbers[:3]) + numbers[3]
    if (int(numbers[0]), int(numbers[1])) < OLDEST:
        raise UsageError(f"{tree} is Linux {version}: the models begin with 6.1")
    return version


def debian_source(series: str, progress: Progress) -> Path:
    """Debian's source of a series, unpacked in the cache. Raises UsageError, BuildFailed."""
    if "/" in series or Path(series).is_dir():
        raise UsageError(f"{series} is no series ({', '.join(DEBIAN)}): a tree is named by "
                         f"--source {series}")  # fmt: skip
    if series not in DEBIAN:
        raise UsageError(f"no Debian source {series!r}: {did_you_mean(series, DEBIAN)}; "
                         f"for another tree give --source DIR")  # fmt: skip
    package = f"linux-source-{series}"
    tree = cache_dir() / "sources" / package
    if (tree / ".unpacked").is_file():
        return tree
    need_tools(("tar", "xz"))
    tarball = Path("/usr/src") / f"{package}.tar.xz"
    parent = tree.parent
    parent.mkdir(parents=True, exist_ok=True)
    need_space(parent, TREE_MIN)
    if not tarball.is_file():
        tarball = _download(package, parent, progress)
    progress(f"unpacking {tarball}")
    shutil.rmtree(tree, ignore_errors=True)
    _call(["tar", "-xJf", str(tarball), "-C", str(parent)], f"{tarball} cannot be unpacked")
    (tree / ".unpacked").touch()
    return tree


def _download(package: str, where: Path, progress: Progress) -> Path:
    """The tarball of a package that is not installed: no root is needed for that."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise BuildFailed(f"{package} comes from apt, and there is none here: give --source DIR")
    progress(f"fetching {package} through apt")
    for old in where.glob(f"{package}_*.deb"):
        old.unlink()
    _call(["apt-get", "download", package],
          f"apt cannot fetch {package}: add Debian 12's bookworm and bookworm-backports sources "
          f"and run apt-get update, or give --source DIR", cwd=where)  # fmt: skip
    deb = next(where.glob(f"{package}_*.deb"))
    _call(["dpkg-deb", "-x", str(deb), str(where / "deb")], f"{deb} cannot be unpacked")
    deb.unlink()
    return where / "deb" / "usr" / "src" / f"{package}.tar.xz"


def need_tools(names: Iterable[str] = tuple(TOOLS)) -> None:
    """Raises BuildFailed naming every missing tool's package."""
    missing = [TOOLS[name] for name in names if shutil.which(name) is None]
    if missing:
        raise BuildFailed(f"missing tools: apt-get install {' '.join(sorted(set(missing)))}")


def need_space(where: Path, least: int) -> None:
    """Raises BuildFailed when the disk is too full for a build."""
    while not where.exists():
        where = where.parent
    free = shutil.disk_usage(where).free
    if free < least:
        raise BuildFailed(
            f"{where} has {free >> 20:,} MiB left, and {least >> 20:,} are needed: make room, or "
            f"set VFUZZ_CACHE to a folder on another disk"
        )


def _call(command: list[str], failure: str, cwd: Path | None = None) -> None:
    got = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if got.returncode:
        tail = "\n".join((got.stdout + got.stderr).splitlines()[-8:])
        raise BuildFailed(f"{failure}\n{tail}")


# ---- build ---------------------------------------------------------------------------------------


def plan(source: Path, options: Iterable[str] = (), more: Iterable[str] = (),
         name: str | None = None) -> Plan:  # fmt: skip
    """What building this tree with these options means. Raises UsageError."""
    source = source.resolve()
    version = version_of(source)
    options = tuple(option for option in OPTIONS if option in set(options))
    wanted = _wanted(options, more)
    digest = hashlib.sha256(msgspec.json.encode([str(source), sorted(wanted.items())])).hexdigest()
    if name is None:
        name = "-".join((version, *options, digest[:6]))
    if not re.fullmatch(r"[A-Za-z0-9._+-]+", name) or name == "sources":
        raise UsageError(f"--name {name}: letters, digits and ._+- only")
    return Plan(source, version, options, wanted, name, digest)


def build(what: Plan, progress: Progress, *, jobs: int = 1, nice: int = 0) -> Kernel:
    """Build, or build again what was edited. Raises BuildFailed with the compiler's words."""
    need_tools()
    where = cache_dir() / what.name
    need_space(where, BUILD_MIN)
    (where / "build").mkdir(parents=True, exist_ok=True)
    with (where / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildFailed(f"kernel {what.name} is being built by another process") from None
        return _build(what, where, progress, jobs, nice)


def _build(what: Plan, where: Path, progress: Progress, jobs: int, nice: int) -> Kernel:
    out = where / "build"
    before = _read(where / "kernel.json")
    make = ["nice", "-n", str(nice), "make", "-C", str(what.source), "ARCH=um", f"O={out}",
            *AS_ON_X86]  # fmt: skip
    if "gcov" in what.options:
        make += [f"GCOV_PROFILE_{Path(name).name}.o=y" for name in COUNTED]
        make += [f"CFLAGS_gcc_base.o=-include {config_dir() / 'gcov_base.h'}"]
    started = time.monotonic()
    if (what.source / ".config").exists():
        raise BuildFailed(f"{what.source} was configured in place: `make mrproper` there first")
    if before is None or before.config_hash != what.config_hash or not (out / ".config").is_file():
        progress(f"configuring Linux {what.version}")
        _call([*make, "tinyconfig"], "make tinyconfig failed")
        with (out / ".config").open("a") as config:
            config.write(_lines(what.wanted))
        _call([*make, "olddefconfig"], "make olddefconfig failed")
    wrong = missing_symbols(what.wanted, (out / ".config").read_text())
    if wrong:
        raise BuildFailed(
            f"Linux {what.version} does not take this configuration: {'; '.join(wrong)}: a symbol "
            f"that it depends on is off, or this version does not have it"
        )
    make += linking(what.source, out)
    objects = _make([*make, f"-j{jobs}", "linux"], progress, before.objects if before else 0)
    if "CONFIG_MODULES=y" in (out / ".config").read_text():
        _modules(make, out, where / "modules", progress)
    kernel = Kernel(
        name=what.name, version=what.version, source=str(what.source), options=what.options,
        config_hash=what.config_hash, objects=max(objects, before.objects if before else 0),
        seconds=round(time.monotonic() - started, 1),
    )  # fmt: skip
    if not kernel.image.is_file():
        raise BuildFailed(f"make ended well, but left no {kernel.image}")
    write_atomic(where / "kernel.json", msgspec.json.format(msgspec.json.encode(kernel)) + b"\n")
    return kernel


def linking(source: Path, out: Path) -> list[str]:
    """How the kernel is linked, as make takes it. make does not see a change of that: what was
    linked otherwise is removed."""
    wraps = re.search(r"^LINK_WRAPS *:?= *(.*)$", (source / "arch/um/Makefile").read_text(),
                      re.MULTILINE)  # fmt: skip
    words = []
    if wraps and "CONFIG_FRAME_POINTER=y" not in (out / ".config").read_text():
        words = [f"LINK_WRAPS={wraps[1]} {NO_TRACES}"]
    said = out / "vfuzz-link"
    if not said.is_file() or said.read_text().splitlines() != words:
        for name in ("vmlinux", "linux"):
            (out / name).unlink(missing_ok=True)
        said.write_text("".join(f"{word}\n" for word in words))
    return words


def _modules(make: list[str], out: Path, where: Path, progress: Progress) -> None:
    """Build the package's own modules for a kernel. Raises BuildFailed."""
    symbols = out / "Module.symvers"
    if not symbols.is_file():  # only `make modules` writes it, and the kernel has none of its own
        shutil.copyfile(out / "vmlinux.symvers", symbols)
    _call([*make, "modules_prepare"], "make modules_prepare failed")
    for source in sorted(modules_dir().iterdir()):
        target = where / source.name
        target.mkdir(parents=True, exist_ok=True)
        for path in source.glob("*.[ch]"):
            data = path.read_bytes()
            if not (target / path.name).is_file() or (target / path.name).read_bytes() != data:
                (target / path.name).write_bytes(data)
        (target / "Kbuild").write_text(f"obj-m := {source.name}.o\n")
        _make([*make, f"M={target}", "modules"], progress, 0)


def _make(command: list[str], progress: Progress, of: int) -> int:
    """Run make; how many files it compiled. Raises BuildFailed with the first error."""
    done = 0
    tail: list[str] = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace")  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            tail = [*tail[-400:], line.rstrip()]
            if match := re.match(r"\s+(CC|AS|LD)\s+(\S+)", line):
                done += 1
                share = f" of about {of:,}" if of > done else ""
                progress(f"{match[1]} {done:,}{share} {match[2]}")
    except BaseException:
        process.terminate()
        process.wait()
        raise
    code = process.wait()
    if code:
        at = next((i for i, line in enumerate(tail) if re.search(r"\berror\b|\*\*\*", line)), -12)
        if any("No space left" in line for line in tail):
            raise BuildFailed("the disk is full: make room and build again, it goes on from there")
        words = "\n".join(tail[max(at, 0) if at >= 0 else at :][:12])
        raise BuildFailed(f"the kernel does not compile:\n{words}")
    return done


# ---- the cache -----------------------------------------------------------------------------------


def _read(path: Path) -> Kernel | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kernel)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Error(f"{path} cannot be read: {error}; remove its folder") from None


def installed() -> list[Kernel]:
    """The kernels that are there, by name."""
    found = [_read(path) for path in sorted(cache_dir().glob("*/kernel.json"))]
    return [kernel for kernel in found if kernel is not None and kernel.image.is_file()]


def find(name: str) -> Kernel:
    """A kernel by name, by the beginning of one, by its folder or its image. Raises UsageError."""
    there = installed()
    if "/" in name or name in (".", ".."):
        return _at(Path(name).expanduser(), there)
    exact = [kernel for kernel in there if kernel.name == name]
    begin = [kernel for kernel in there if kernel.name.startswith(f"{name}.")
             or kernel.name.startswith(f"{name}-")]  # fmt: skip
    found = exact or begin
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(kernel.name for kernel in found)
        raise UsageError(f"kernel {name} could be {names}: write more of it")
    if name in unfinished():
        raise UsageError(f"the build of kernel {name} did not end well: say the same "
                         f"`vfuzz kernel build` again, it goes on from there")  # fmt: skip
    if not there:
        series = name if name in DEBIAN else DEBIAN[-1]
        raise UsageError(f"no kernel {name!r}, and none was built: `vfuzz kernel build {series}`")
    raise UsageError(f"no kernel {name!r}: {did_you_mean(name, [k.name for k in there])}; "
                     f"`vfuzz kernel build --help` says how to make another")  # fmt: skip


def _at(path: Path, there: list[Kernel]) -> Kernel:
    """What a path means: a kernel of the cache, by anything in its folder, or a foreign image."""
    real = path.resolve()
    for kernel in there:
        home = kernel.dir.resolve()
        if real in (home, home / "build", kernel.image.resolve()):
            return kernel
    if path.is_file():
        return _foreign(path)
    if (path / "Kbuild").is_file() and (path / "Makefile").is_file():
        raise UsageError(f"{path} is a source tree: `vfuzz kernel build --source {path}` makes a "
                         f"kernel of it, and prints its name")  # fmt: skip
    if path.is_dir():
        raise UsageError(f"{path} is a directory: name a kernel of `vfuzz kernel list`, or an "
                         f"image, a file")  # fmt: skip
    raise UsageError(f"there is no file {path}: name a kernel of `vfuzz kernel list`, or an image")


def _foreign(path: Path) -> Kernel:
    """An image that somebody else built."""
    command = [str(path.resolve()), "--version"]
    try:
        got = subprocess.run(command, capture_output=True, text=True, errors="replace",
                             check=False, timeout=VERSION_MAX_S)  # fmt: skip
        version = "" if got.returncode else got.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):  # not a program, or one that knows no --version
        version = ""
    if not re.match(r"\d+\.\d+", version):
        raise UsageError(f"{path} is no User-Mode Linux kernel: `{path} --version` names none")
    return _ForeignKernel(name=str(path.resolve()), version=version, source="", options=(),
                          config_hash="")  # fmt: skip


class _ForeignKernel(Kernel):
    @property
    def image(self) -> Path:
        return Path(self.name).resolve()


def unfinished() -> list[str]:
    """Folders of the cache whose kernel was never built to its end, by name."""
    whole = {kernel.name for kernel in installed()}
    homes = sorted(path for path in cache_dir().glob("*/build") if path.is_dir())
    return [path.parent.name for path in homes if path.parent.name not in whole]


def remove(name: str) -> str:
    """Remove a kernel with its build folder, or what is left of one; its name. Raises
    UsageError."""
    if name in unfinished():
        shutil.rmtree(cache_dir() / name)
        return name
    kernel = find(name)
    if isinstance(kernel, _ForeignKernel):
        raise UsageError(f"{name} is not in the cache: remove it yourself")
    shutil.rmtree(kernel.dir)
    return kernel.name
