# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the fuzzer find what it is for? From an empty corpus, for several seeds, in executions.

The canary is in every test run: it proves that the harness can see. The rest of the catalogue is
measured by `vfuzz quirks TARGET --measure`; here a few easy ones of different kinds stand for it,
and the whole of it is in the quality set.
"""

from __future__ import annotations

import pytest

import vfuzz
from vfuzz.engine.measure import measure, needed

TARGETS = [target.name for target in vfuzz.targets()]
RUNS = 2_000_000
SEEDS = 5
EASY = {
    "virtio-net-rx": ("A05", "B11", "D05", "E03"),
    "vdpa": ("A01", "A14", "A19", "A35"),
}


def rediscover(name: str, ids: tuple[str, ...], runs: int, seeds: int) -> None:
    target = vfuzz.target(name)
    wanted = [quirk for quirk in target.quirks if quirk.id in ids]
    assert len(wanted) == len(ids)
    for row in measure(target, wanted, runs=runs, seeds=seeds, jobs=2):
        assert len(row.trials) == seeds
        assert len(row.found) >= needed(seeds), f"{row.quirk}: {row.trials}"
        assert set(row.checks) & set(row.expected), f"{row.quirk}: found by {row.checks}"


@pytest.mark.parametrize("name", TARGETS)
def test_canary_is_found_at_once(name: str) -> None:
    canaries = tuple(quirk.id for quirk in vfuzz.target(name).quirks if quirk.canary)
    assert canaries, f"{name} has no canary"
    rediscover(name, canaries, runs=10_000, seeds=5)


@pytest.mark.parametrize(("name", "ids"), EASY.items(), ids=EASY)
def test_easy_bugs_are_found_within_200_000(name: str, ids: tuple[str, ...]) -> None:
    rediscover(name, ids, runs=200_000, seeds=3)


@pytest.mark.quality
@pytest.mark.parametrize(
    ("name", "quirk"), [(name, quirk.id) for name in TARGETS for quirk in vfuzz.target(name).quirks]
)
def test_every_bug_is_found(name: str, quirk: str) -> None:
    rediscover(name, (quirk,), runs=RUNS, seeds=SEEDS)
