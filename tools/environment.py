# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets up the project's own Python environment and its builds; a second run has nothing to do.

    python3 tools/environment.py [--group test] [--group dev] [KIND ...]

makes .venv (or $VFUZZ_VENV) with what pyproject.toml asks for, then each KIND of build: `fuzz` in
place, the others as whole trees in build/KIND. Nothing outside the source tree is changed, and
nothing but this interpreter is needed: the standard library runs this file, and what Debian splits
off from Python (pip, the headers) is unpacked into .venv from Debian's own packages if it is
missing. Stamps keyed on what went in tell what is up to date.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import compiler as toolchain  # noqa: E402

VENV = ROOT / os.environ.get("VFUZZ_VENV", ".venv")
PYTHON = VENV / "bin" / "python"

#: `pip --python`, with which one pip installs into another environment.
PIP_WITH_PYTHON_OPTION = (22, 3)

#: What a build reads besides the .pyx, .pxd, .pxi and .c files.
BUILD_FILES = ("setup.py", "pyproject.toml", "tools/*.py", "tools/*.c")
SOURCE_SUFFIXES = (".pyx", ".pxd", ".pxi", ".c", ".py")

#: The build's own environment: a change of any of these is a change of the build.
BUILD_VARIABLES = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")


class SetupError(RuntimeError):
    """The set-up cannot go on; the message says why and what to do."""


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--group", action="append", default=[], help="an extra of pyproject.toml")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(toolchain.KINDS))
    options = parser.parse_args(argv)
    try:
        for kind in options.kinds:
            if toolchain.build_kind({"VFUZZ_BUILD": kind}) == "none":
                raise SetupError("there is nothing to build for kind 'none'")
        set_up_environment(options.group)
        for kind in options.kinds:
            build(kind)
    except (SetupError, toolchain.CompilerError) as error:
        print(f"vfuzz set-up: {error}", file=sys.stderr)
        return 3
    except subprocess.CalledProcessError as error:
        command = " ".join(str(word) for word in error.cmd)
        print(f"vfuzz set-up: failed, exit code {error.returncode}: {command}", file=sys.stderr)
        return 3
    return 0


def set_up_environment(groups: Iterable[str]) -> None:
    """Make or complete .venv with the dependencies and the extras named in `groups`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    unknown = set(groups) - set(extras)
    if unknown:
        raise SetupError(f"no such extra in pyproject.toml: {', '.join(sorted(unknown))}")
    needed = {"build": [*project["build-system"]["requires"], *project["project"]["dependencies"]]}
    needed["compiler"] = toolchain.requirements()
    needed.update({name: extras[name] for name in groups})

    if not _is_up_to_date("environment", [_interpreter()]):
        _create_venv()
        _stamp("environment", [_interpreter()])
    missing = {k: v for k, v in needed.items() if v and not _is_up_to_date(f"pip-{k}", v)}
    if missing:
        requirements = [line for lines in missing.values() for line in lines]
        print(f"vfuzz set-up: installing into {VENV.name}: {', '.join(requirements)}", flush=True)
        # Twice quiet: what went wrong, but not what pip thinks of the user's configuration.
        _run([PYTHON, "-m", "pip", "install", "--quiet", "--quiet", *requirements])
        for name, lines in missing.items():
            _stamp(f"pip-{name}", lines)


def build(kind: str) -> None:
    """Bring the build of `kind` up to date; says nothing when it is."""
    inputs = _build_inputs(kind)
    if _is_up_to_date(f"build-{kind}", inputs) and _outputs_exist(kind):
        return
    _require_headers()
    env = {**os.environ, "VFUZZ_BUILD": kind}
    if kind == "fuzz":
        _run([PYTHON, "setup.py", "--quiet", "build_ext", "--inplace"], env=env)
        install_command()
    elif kind == "annotate":
        _run([PYTHON, "setup.py", "--quiet", "build_ext"], env=env)
    else:
        tree = ROOT / "build" / kind
        for copied in tree.rglob("*.py"):
            copied.unlink()  # the copy of a module that is gone would still import
        _run([PYTHON, "setup.py", "--quiet", "build", f"--build-lib={tree}"], env=env)
    _stamp(f"build-{kind}", inputs)


def install_command() -> None:
    """Install the tree, editable, for the `vfuzz` command; the extensions are built apart."""
    inputs = [_digest([ROOT / "pyproject.toml", ROOT / "setup.py"])]
    if _is_up_to_date("install", inputs) and (VENV / "bin" / "vfuzz").exists():
        return
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    # Without the warning that an editable install is one.
    env = {**os.environ, "VFUZZ_BUILD": "none", "PYTHONWARNINGS": "ignore"}
    _run([PYTHON, *command, "--editable", "."], env=env)
    _stamp("install", inputs)


def _create_venv() -> None:
    print(f"vfuzz set-up: making {VENV.name} with Python {_interpreter()}", flush=True)
    with_pip = bool(importlib.util.find_spec("ensurepip"))
    if VENV.exists():
        shutil.rmtree(VENV)
    try:
        venv.EnvBuilder(symlinks=True, with_pip=with_pip).create(VENV)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"cannot make {VENV}: {error}") from error
    if with_pip:
        return
    # Debian splits ensurepip off from Python. The pip of the system can install into .venv ...
    if _host_pip_version() >= PIP_WITH_PYTHON_OPTION:
        _run([sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet", "pip"])
        return
    # ... and if there is none, Debian's package of pip's wheel can run without being installed.
    unpacked = VENV / "pip-wheel"
    _unpack_debian_package("python3-pip-whl", unpacked, purpose="pip", apt="python3-venv")
    wheels = sorted(unpacked.rglob("pip-*.whl"))
    if not wheels:
        raise SetupError("Debian's python3-pip-whl holds no wheel; apt-get install python3-venv")
    _run([PYTHON, wheels[-1] / "pip", "install", "--quiet", "pip"])


def _host_pip_version() -> tuple[int, ...]:
    """(major, minor) of this interpreter's pip, () if it has none."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False
    )
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 2:
        return ()
    return tuple(int(part) for part in words[1].split(".")[:2] if part.isdigit())


def _require_headers() -> None:
    """Unpack Debian's Python headers into .venv if this Python came without them."""
    try:
        toolchain.python_includes(VENV)
    except toolchain.CompilerError as error:
        if Path(sysconfig.get_path("include")).parent != Path("/usr/include"):
            raise  # not the system's Python: Debian's headers are not its headers
        version = f"python{sysconfig.get_python_version()}"
        package = f"lib{version}-dev"
        _unpack_debian_package(package, VENV / "headers", purpose=str(error), apt=package)
        toolchain.python_includes(VENV)


def _unpack_debian_package(package: str, target: Path, *, purpose: str, apt: str) -> None:
    """Download a Debian package and unpack it into `target`; the system stays as it is.

    purpose, apt: for the message of the SetupError: what is missing, and what to install instead.
    """
    hint = f"{purpose} is missing; install it: apt-get install {apt}"
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SetupError(hint)
    print(f"vfuzz set-up: unpacking Debian's {package} below {VENV.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        lists = Path(folder) / "lists"
        (lists / "partial").mkdir(parents=True)
        # A fresh container has no package lists, and only root may write the system's.
        own_lists = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={folder}/cache"]
        own_lists += ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
        attempts = (
            [["apt-get", "download", package]],
            [["apt-get", *own_lists, "update"], ["apt-get", *own_lists, "download", package]],
        )
        said = ""
        for commands in attempts:
            for command in commands:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, check=False
                )
                said = done.stderr.strip()
            found = sorted(Path(folder).glob("*.deb"))
            if found:
                target.mkdir(parents=True, exist_ok=True)
                _run(["dpkg-deb", "--extract", found[0], target])
                return
        raise SetupError(f"{hint} ({package} could not be downloaded: {said})")


def _interpreter() -> str:
    return f"{sys.version.split()[0]} at {Path(sys.base_prefix).resolve()}"


def _build_inputs(kind: str) -> list[str]:
    """What a build of `kind` depends on, each as one string."""
    sources: set[Path] = set()
    for pattern in BUILD_FILES:
        sources.update(ROOT.glob(pattern))
    for path in (ROOT / "vfuzz").rglob("*"):
        if path.suffix in SOURCE_SUFFIXES and path.name != "_gen.pxi":
            sources.add(path)
    variables = [f"{name}={os.environ.get(name, '')}" for name in BUILD_VARIABLES]
    compilers = [str(shutil.which(name)) for name in (*toolchain.CLANG_NAMES, "gcc")]
    return [kind, _interpreter(), *variables, *compilers, _digest(sorted(sources))]


def _digest(paths: Iterable[Path]) -> str:
    """A hash of the names and contents of `paths`."""
    total = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT)} {content}\n".encode())
    return total.hexdigest()


def _outputs_exist(kind: str) -> bool:
    """True if every extension that a build of `kind` makes is there."""
    if kind == "annotate":
        return (ROOT / "build" / kind).is_dir()
    base = ROOT if kind == "fuzz" else ROOT / "build" / kind
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    modules = (path.relative_to(ROOT) for path in (ROOT / "vfuzz").rglob("*.pyx"))
    return all((base / module.with_suffix(suffix)).exists() for module in modules)


def _stamp_path(name: str) -> Path:
    return VENV / "stamps" / name


def _is_up_to_date(name: str, inputs: Iterable[str]) -> bool:
    path = _stamp_path(name)
    return path.exists() and path.read_text(encoding="utf-8") == "\n".join(inputs)


def _stamp(name: str, inputs: Iterable[str]) -> None:
    path = _stamp_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(inputs), encoding="utf-8")


def _run(command: list[str | Path], env: dict[str, str] | None = None) -> None:
    env = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", **(os.environ if env is None else env)}
    subprocess.run([str(word) for word in command], cwd=ROOT, env=env, check=True)


if __name__ == "__main__":
    sys.exit(main())
