# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparing a program's two sides."""

from __future__ import annotations

import errno

import vfuzz
from vfuzz.conform.compare import compare, died, splat_of

TARGET = vfuzz.target("vdpa")
NET = vfuzz.target("virtio-net-rx")
TEXT = "boot()\nopen()\nset_owner()\nset_owner()\n"
SAID = [{"ret": 0, "pinned": 0}, {"ret": 0}, {"ret": -errno.EBUSY}]


def _compare(seen, *, text=TEXT, made=0, left=(0, 0), log=(), skipped=()):
    program = TARGET.parse(text)
    result = TARGET.execute(program, "linux-6.12", trace=True)
    last = {"pinned": left[0], "pins": left[1]}
    return compare(program, result, {"ret": made}, seen, last, log, skipped)


def test_the_same_agrees():
    verdict = _compare(SAID)
    assert verdict.divergence is None
    assert (verdict.compared, verdict.observables) == (3, 1 + 4 + 2)


def test_the_first_difference_counts():
    verdict = _compare([{"ret": 0, "pinned": 0}, {"ret": -errno.EPERM}, {"ret": 0}])
    assert verdict.divergence is not None
    assert verdict.divergence.signature == "set_owner.ret: model ok, kernel EPERM"
    assert verdict.divergence.op == 1
    assert [row.differs for row in verdict.rows] == [None, None, "ret", None, None]


def test_counts_are_no_part_of_a_signature():
    for pinned in (3, 77):
        verdict = _compare([{"ret": 0, "pinned": pinned}, *SAID[1:]])
        assert verdict.divergence is not None
        assert verdict.divergence.signature == "open.pinned: model less, kernel more"


def test_what_is_left_at_the_end_counts():
    verdict = _compare(SAID, left=(0, 2))
    assert verdict.divergence is not None
    assert verdict.divergence.signature == "shutdown.pins: model less, kernel more"


def test_a_program_that_was_not_done_to_its_end_has_no_end():
    assert _compare(SAID[:2], left=(5, 5)).divergence is None


def test_what_was_skipped_is_not_compared():
    seen = [SAID[0], {"ret": -errno.EPERM}, SAID[2]]
    assert _compare(seen, skipped=(1,)).divergence is None


def test_the_kernels_log_counts():
    verdict = _compare(SAID, log=("hello", "BUG: KASAN: use-after-free in f+0x1a/0x30"))
    assert verdict.divergence is not None
    assert verdict.divergence.signature == "log: BUG: KASAN: use-after-free in f+N/N"
    assert splat_of(("hello",)) is None


def test_what_kmemleak_suspects_is_asked_for_and_no_splat():
    suspects = "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"
    assert splat_of((suspects,)) is None
    assert splat_of(("kmemleak: Cannot insert 0x1 into the object search tree",)) is not None


def test_a_memory_bug_that_the_model_has_too_is_no_divergence():
    program = NET.parse("boot(features=RSS, rss_max_indirection_table_length=129)\nopen()\n")
    log = ["BUG: KASAN: slab-out-of-bounds in virtnet_probe+0x1/0x2"]

    def verdict(quirks, log, spoils=("S5",)):
        result = NET.execute(program, "linux-6.1", quirks, trace=True)
        return compare(program, result, {}, [], {}, log, spoils=spoils)

    both = verdict(("A19",), log)
    assert both.divergence is None
    assert (both.violation, both.same) == ("S5@virtnet_probe:rss_table", True)
    silent = verdict(("A19",), [])  # nobody says that KASAN has to be on
    assert (silent.divergence, silent.same) == (None, False)
    assert verdict((), log).divergence.signature.startswith("log: BUG: KASAN: slab-out-of-bounds")
    assert verdict(("A19",), log, spoils=()).divergence is not None  # not of that kind


def test_a_guest_that_dies_of_what_the_model_found_is_no_divergence():
    program = NET.parse("boot(features=RSS, rss_max_indirection_table_length=129)\nopen()\n")
    bad = NET.execute(program, "linux-6.1", ("A19",), trace=True)
    fine = NET.execute(program, "linux-6.1", trace=True)
    log = "BUG: KASAN: slab-out-of-bounds in virtnet_probe+0x1/0x2\nRIP: 0033:f"
    both = died(program, "the guest ended", log, bad, ("S5",))
    assert (both.divergence, both.violation, both.same) == (
        None, "S5@virtnet_probe:rss_table", True,
    )  # fmt: skip
    for other in (
        died(program, "the guest ended", log, fine, ("S5",)),
        died(program, "the guest ended", log, bad, ("S6",)),
        died(program, "the guest ended", "all is well", bad, ("S5",)),
    ):
        assert other.divergence.signature.startswith("guest: ")


def test_results_that_are_no_errors_have_a_direction():
    text = "boot()\nopen()\nrx()\npoll()\n"
    program = NET.parse(text)
    result = NET.execute(program, "linux-6.1", trace=True)
    seen = [{}, {}, {"ret": 2}]
    verdict = compare(program, result, {}, seen, {}, ())
    assert verdict.divergence.signature == "poll.ret: model less, kernel more"


def test_behind_a_violation_nothing_is_compared():
    text = "boot(memory=scattered, memlock=plenty, entries=three, parent=sim_dma)\nopen()\n"
    text += "set_owner()\nset_backend_features()\nupdate(npages=8)\nset_owner()\n"
    program = TARGET.parse(text)
    result = TARGET.execute(program, "linux-6.12", trace=True)
    assert result.violation is not None
    seen = [{"ret": 0}] * 3 + [{"ret": -errno.EFAULT, "pins": 1}, {"ret": 77}]
    verdict = compare(program, result, {"ret": 0}, seen, {"pinned": 0, "pins": 1}, ())
    assert verdict.divergence is None
    assert verdict.cut == result.violation.op == 3
    assert (verdict.violation, verdict.same, verdict.left) == ("V10@judge_pins:runs", True, True)
    seen[3] = {"ret": -errno.EFAULT, "pins": 0}
    verdict = compare(program, result, {"ret": 0}, seen, {"pinned": 0, "pins": 0}, ())
    assert verdict.divergence is not None
    assert verdict.divergence.signature == "update.pins: model more, kernel less"


def test_a_dead_guest_is_a_divergence():
    verdict = died(TARGET.parse(TEXT), "the guest ended", "hello\nKernel panic - not syncing: 0x12")
    assert verdict.divergence is not None
    assert verdict.divergence.signature == "guest: Kernel panic - not syncing: N"
    verdict = died(TARGET.parse(TEXT), "no answer", "hello")
    assert verdict.divergence is not None
    assert verdict.divergence.signature == "guest: no answer"
