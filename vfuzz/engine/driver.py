# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting atheris, the native mutator and a target's compiled code together in one process.

The order is everything, since libFuzzer binds its hooks when its library is loaded:

1. the mutator, whose stub has to be in the global scope first;
2. atheris and its core, in the global scope, where instrumented code looks for coverage functions;
3. the instrumented target;
4. state feedback, `atheris.Setup` with the Cython function itself, `atheris.Fuzz`.

Under OSS-Fuzz libFuzzer comes by LD_PRELOAD, before Python. Then the stub has to come by
LD_PRELOAD too, or libFuzzer would silently never call the mutator (atheris issue 54): `harness`
starts the process again with the stub added when it is missing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from types import CodeType, ModuleType
from typing import Any, NoReturn

from vfuzz import api
from vfuzz.errors import BlindRun, Error, NotBuilt

__all__ = [
    "MUTATOR_GRACE",
    "Violated",
    "flags",
    "fuzz",
    "harness",
    "libfuzzer_preloaded",
    "prepare",
]

MUTATOR_GRACE = 20_000  # executions within which libFuzzer must have called the mutator
PULSE_EVERY = 1024  # executions between two looks at the clock and the stop flag

_RESTARTED = "VFUZZ_RESTARTED"


class Violated(Exception):
    """Ends a harness on a violation, so that the fuzzer keeps the input."""


def libfuzzer_preloaded() -> bool:
    """Whether libFuzzer was in the process before Python, as under OSS-Fuzz."""
    return hasattr(ctypes.CDLL(None), "LLVMFuzzerRunDriver")


def _mutator_present() -> bool:
    return hasattr(ctypes.CDLL(None), "LLVMFuzzerCustomMutator")


def prepare(target: api.Target, *, preloaded: bool, focus: str = "") -> ModuleType:
    """Load everything in its order and return the target's core, ready for `fuzz`.

    preloaded  what `libfuzzer_preloaded` said at the start of the process
    focus      the part of the target that the mutator keeps to, "" for all of it

    Raises NotBuilt, and BlindRun for a target that was built without coverage.
    """
    try:
        from vfuzz.program import mutator
    except ImportError as error:
        raise NotBuilt(
            f"vfuzz.program.mutator does not load ({error}): build the extensions",
            name="vfuzz.program.mutator",
        ) from error
    try:
        mutator.install(target.schema.focused(focus) if focus else target.schema)
    except RuntimeError as error:
        raise BlindRun(str(error)) from error
    dl_flags = sys.getdlopenflags()
    sys.setdlopenflags(dl_flags | os.RTLD_GLOBAL)
    try:
        # native and its core resolve each other's symbols, and the target those of the core
        import atheris

        if preloaded:
            import atheris.core_without_libfuzzer
        else:
            import atheris.core_with_libfuzzer  # noqa: F401
    except ImportError as error:
        raise NotBuilt(
            f"atheris does not load ({error}): 'pip install atheris'", name="atheris"
        ) from error
    finally:
        sys.setdlopenflags(dl_flags)
    core = target.core
    if not core.build_info()["instrumented"]:
        raise BlindRun(
            f"{core.__name__} was built without coverage instrumentation, so a campaign would be "
            f"blind: build it with VFUZZ_BUILD=fuzz"
        )
    core.feedback_register()
    return core


def flags(target: api.Target) -> list[str]:
    """libFuzzer's flags for any work on a target."""
    schema = target.schema
    return [
        f"-max_len={schema.record_size * (schema.max_ops + 1)}",
        # How long to stay with short programs. Measured on virtio-net-rx, 15 s from an empty
        # corpus: 0 gave 6,100 features at 5,000 executions/s, 10 gave 6,800 at 6,000, 100 gave
        # 5,700 at 15,000; but with 100 the first open() comes after 40,000 executions.
        "-len_control=10",
        # No entropic schedule: for each feature of each execution it searches a list of the rarest,
        # and for each new feature all of the corpus. Measured over 90 s of vdpa: without it 2.3
        # times the executions and a fifth more features; over eight hard quirks of virtio-net-rx,
        # five seeds each, also fewer executions until a quirk is found (six medians of eight).
        "-entropic=0",
        # No shorter input takes the place of a longer one with the same features: each time a file
        # is made and another deleted, which is what a young campaign did most of. Measured on
        # virtio-net-rx, 500,000 executions from an empty corpus: a quarter less processor time,
        # 9,585 inputs in place of 9,581, 13 % longer. Over 37 quirks, 5 seeds each, all are found
        # either way: 13 medians are smaller, 10 larger, 14 the same.
        "-reduce_inputs=0",
        "-print_funcs=0",
    ]


def fuzz(core: ModuleType, arguments: Iterable[str], *, preloaded: bool) -> NoReturn:
    """Hand the process to libFuzzer. `core` has to be configured. Does not come back.

    arguments  for libFuzzer, with the program's name first
    """
    import atheris

    # Without the explicit choice atheris sees the core in the global scope and takes the wrong one.
    atheris.Setup(list(arguments), core.fuzz_one, internal_libfuzzer=not preloaded)
    atheris.Fuzz()
    raise SystemExit(0)


def harness(name: str, argv: list[str] | None = None) -> NoReturn:
    """The body of a fuzz target: libFuzzer's own command line, one violation ends the run.

    Environment: VFUZZ_ERAS and VFUZZ_QUIRKS, names separated by commas; default all eras, no
    quirks. Known findings of an era are stepped over.
    """
    preloaded = libfuzzer_preloaded()
    if preloaded and not _mutator_present():
        _restart_with_stub()
    try:
        target = api.target(name)
        quirks = target.quirk_ids(_words("VFUZZ_QUIRKS"))
        eras = _words("VFUZZ_ERAS") or target.eras_with(quirks)
        indexes = tuple(target.era_index(era) for era in eras)
        core = prepare(target, preloaded=preloaded)
    except Error as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None

    def on_violation(data: bytes, era: int, raw: dict[str, Any]) -> None:
        result = target.execute(data, target.eras[era], quirks)
        print(result.report(), file=sys.stderr, flush=True)
        _raise_in_model(result)

    core.configure(
        indexes,
        target.quirk_mask(quirks),
        frozenset(f"{target.era_index(k.era)}:{k.signature}" for k in target.known()),
        on_violation,
        PULSE_EVERY,
        _mutator_watch(core, argv or sys.argv),
    )
    fuzz(core, argv or sys.argv, preloaded=preloaded)


def _words(variable: str) -> tuple[str, ...]:
    return tuple(word for word in os.environ.get(variable, "").replace(",", " ").split() if word)


def _restart_with_stub() -> None:
    from vfuzz.program import mutator

    if os.environ.get(_RESTARTED):
        return  # it was in vain: prepare() says what to do
    stub = mutator.stub_path()
    os.environ[_RESTARTED] = "1"
    os.environ["LD_PRELOAD"] = f"{os.environ.get('LD_PRELOAD', '')}:{stub}".lstrip(":")
    packed = getattr(sys, "frozen", False)
    command = [sys.executable, *(sys.argv[1:] if packed else sys.orig_argv[1:])]
    sys.stderr.flush()
    os.execv(sys.executable, command)


def _mutator_watch(core: ModuleType, argv: list[str]) -> Any:
    from vfuzz.program import mutator

    told = any(arg.startswith(("-runs=0", "-merge")) for arg in argv)

    def on_pulse() -> None:
        nonlocal told
        if told or core.counters()["executions"] < MUTATOR_GRACE:
            return
        told = True
        if mutator.mutator_calls() == 0:
            raise BlindRun(
                f"libFuzzer has not called the mutator in {MUTATOR_GRACE} executions: add "
                f"{mutator.stub_path()} to LD_PRELOAD"
            )

    return on_pulse


def _raise_in_model(result: api.Result) -> NoReturn:
    """Raise Violated from what looks like the model's function at the violated line.

    ClusterFuzz groups the crashes of Python targets by the functions of the traceback. Without
    this all violations would be one bug, in the callback.
    """
    from vfuzz.sanitizer.report import sources_of

    violation = result.violation
    assert violation is not None
    where = sources_of(result.target.package.__name__).find(violation.site)
    function, _, label = violation.site.partition(":")
    path, line = where or (f"{result.target.package.__name__}._core", 1)
    # The check is the innermost frame: two checks that fire in one function are two bugs.
    inner = _raiser(f"{violation.check}_{label}", path, line, "raise error")
    outer = _raiser(function, path, line, "exec(inner, {'error': error})")
    error = Violated(f"{violation.title} ({violation.signature})")
    exec(outer, {"inner": inner, "error": error})
    raise AssertionError("the line above raises")


def _raiser(function: str, path: str, line: int, statement: str) -> CodeType:
    code = compile("\n" * (line - 1) + statement, path, "exec")
    return code.replace(co_name=function)
