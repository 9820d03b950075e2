# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as a whole: help, exit codes, and what an unexpected error looks like."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vfuzz as package
from vfuzz import cli
from vfuzz.engine import process


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_every_verb_has_help_with_examples(vfuzz, verb):
    done = vfuzz(verb, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: vfuzz {verb} ")
    assert f"\n  vfuzz {verb}" in done.out, "an example"
    assert max(len(line) for line in done.out.splitlines()) <= 100


def test_the_help_lists_the_verbs_and_the_codes(vfuzz):
    done = vfuzz("--help")
    assert done.code == 0
    for verb in cli.COMMANDS:
        assert f"\n  {verb} " in done.out
    assert "0 clean, 1 findings, 2 usage, 3 vfuzz itself failed" in done.out
    assert vfuzz("-h") == done
    assert vfuzz("--version").out == f"vfuzz, version {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rum",), "no such verb 'rum': did you mean run?"),
        (("replay",), "Missing argument 'FILE|DIR...'"),
        (("list", "--jason"), "No such option"),
        (("run", "virtio-net-rx", "--time", "soon"), "write 90, 90s, 5m, 1h or 1h30m"),
        (("run", "virtio-net-rx", "--runs", "many"), "write 200000, 200k or 2M"),
        (("run", "virtio-net-rx", "-j", "0"), "from 1 to 1024 workers"),
        (("run", "virtio-net-rx", "--seed", "0"), "a seed is a number from 1"),
        (("run", "tests.fakes.ledger", "--runs", "0"), "--runs has to be at least 1"),
        (("run", "nonsense"), "unknown target 'nonsense'"),
        (("run", "tests.fakes.ledger", "--era", "odl"), "did you mean old?"),
        (("run", "tests.fakes.ledger", "--quirk", "Q0"), "did you mean Q0"),
        (("run", "tests.fakes.ledger", "--era", "old", "--quirk", "Q02"), "only in new"),
        (("checks", "nonsense"), "unknown target"),
        (("quirks", "nonsense"), "unknown target"),
        (("quirks", "--measure"), "--measure needs a TARGET"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(vfuzz, arguments, message):
    done = vfuzz(*arguments)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (RuntimeError("oops"), 3, "this is a bug in vfuzz"),
        (OSError(28, "No space left on device", "f"), 3, "vfuzz: No space left on device: f"),
        (KeyboardInterrupt(), 130, "vfuzz: interrupted"),
    ],
)
def test_what_goes_wrong_never_looks_like_a_finding(vfuzz, monkeypatch, error, code, told):
    def fail():
        raise error

    monkeypatch.setattr("vfuzz.api.targets", fail)
    done = vfuzz("list")
    assert done.code == code
    assert told in done.err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    seed = tmp_path / "a.vf"
    seed.write_text("# target: tests.fakes.ledger\nboot()\nget()\n")
    much = f"{sys.executable} -m vfuzz replay --trace {f'{seed} ' * 1000}"  # more than a pipe holds
    done = subprocess.run(
        ["bash", "-c", f"{much} | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=process.environment(),
    )
    assert done.stdout == "tests.fakes.ledger, old\n141\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800)],
)
def test_times(text, seconds):
    from vfuzz.cli.common import DURATION

    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("200k", 200_000), ("2M", 2_000_000), ("1_000,000", 1_000_000)]
)
def test_counts(text, number):
    from vfuzz.cli.common import COUNT

    assert COUNT.convert(text, None, None) == number
