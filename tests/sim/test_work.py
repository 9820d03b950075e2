# SPDX-License-Identifier: GPL-2.0-or-later
"""NAPI contexts, the steps of an op, and faults, against the rules in a few lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.world import World, violates

DISABLED, IDLE, SCHEDULED = range(3)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("enable", "disable", "wait", "schedule", "busy", "complete")),
            st.integers(0, 1),
        ),
        max_size=30,
    )
)
def test_napi_contexts_are_small_machines(acts):
    world = World()
    state, busy, missed = [DISABLED, DISABLED], [False, False], [False, False]
    for act, n in acts:
        before, expected, result = state[n], None, None
        if act == "enable":
            expected = None if before == DISABLED else "S41"
            state[n] = IDLE
            step = ("napi_enable", n)
        elif act == "disable":
            expected = "S46" if before == DISABLED else None
            state[n], result = DISABLED, 1
            step = ("napi_disable", n, 0)
        elif act == "wait":
            # whoever disabled it is still running: the caller waits
            state[n], result = DISABLED, int(before != DISABLED)
            step = ("napi_disable", n, 1)
        elif act == "schedule":
            result = int(before == IDLE)
            state[n] = SCHEDULED if before == IDLE else before
            missed[n] |= before != IDLE  # of a disabled one too: nothing forgets it but completing
            step = ("napi_schedule", n)
        elif act == "busy":
            busy[n] = not busy[n]
            step = ("poke", "napi.busy", int(busy[n]), n)
        else:
            if before != SCHEDULED:
                continue  # only the poll that was scheduled completes
            result = int(not busy[n] and not missed[n])
            state[n] = IDLE if result else before
            missed[n] &= busy[n]
            step = ("napi_complete", n)
        got, check = world.attempt(step)
        assert check == expected
        if check:
            return
        assert result is None or got == result
        assert [world.peek("napi.state", i) for i in range(2)] == state


@given(
    st.integers(0, 5),
    st.sampled_from(("FAULT_ANY", "FAULT_ALLOC", "FAULT_MAP", "FAULT_ADD")),
    st.booleans(),
    st.lists(st.sampled_from(("FAULT_ALLOC", "FAULT_MAP", "FAULT_ADD")), max_size=12),
)
def test_faults_hit_the_nth_site_of_their_class(nth, wanted, everyone, sites):
    world = World()
    world.fail(nth, wanted, everyone)
    seen = 0
    for site in sites:
        counts = nth and wanted in ("FAULT_ANY", site)
        seen += bool(counts)
        assert world.fault(site) == bool(counts and (seen == nth or (everyone and seen > nth)))


@pytest.mark.parametrize(("steps", "check"), [(20_000, None), (20_001, "S45")])
def test_an_op_has_so_many_steps(steps, check):
    world = World()
    if check:
        with violates(check):
            world.steps(steps)
    else:
        assert world.steps(steps) == steps


def test_a_program_has_so_many_steps():
    rounds = [("steps", 20_000), ("next_op",)] * 10
    assert World().run(*rounds) == 200_000
    with violates("S45"):
        World().run(*rounds, ("steps", 1), ("next_op",))
