# SPDX-License-Identifier: GPL-2.0-or-later
"""The rig itself: scripts, references to results, and what it says about wrong ones."""

from __future__ import annotations

import re

import pytest

from tests.sim.world import TARGET, World

core = TARGET.core
Ref = core.Ref


def test_the_example_in_the_source():
    results, violation = core.rig(
        [
            ("alloc_pages", 0, "H_DRV"),
            ("put_page", Ref(0), "H_DRV"),
            ("put_page", Ref(0), "H_DRV"),
        ]
    )
    assert results == [1, 0]
    assert violation == {
        "check": 0,
        "site": "rig:step",
        "op": 2,
        "obj": "page",
        "obj_id": 1,
        "message": "access to frame 1 after its release",
    }


def test_references_count_from_either_side_and_add():
    script = [
        ("kmalloc", 64),
        ("kmalloc", 32),
        ("frame", Ref(0)),
        ("frame", Ref(-2, 5)),
        ("cpu_write", Ref(1) + 30, 2),
        ("cpu_write", Ref(-5) - 0, 64),
    ]
    assert core.rig(script) == ([1 << 20, 2 << 20, 1, 2, 0, 0], None)


def test_a_script_starts_with_an_empty_world_unless_it_goes_on():
    assert core.rig([("alloc_pages", 0, 0)]) == ([1], None)
    assert core.rig([("alloc_pages", 0, 0)], keep=True) == ([2], None)
    assert core.rig([("alloc_pages", 0, 0), ("peek", "memory.drv_refs")]) == ([1, 1], None)


def test_a_script_can_start_where_a_program_ends():
    program = TARGET.parse("boot()\nopen()\nrx(size=60)\n").encode()
    results, violation = core.rig([("vq_more_used", 0), ("shutdown",)], program=program)
    assert (results, violation) == ([1, 0], None)
    assert core.rig([("vq_more_used", 0)])[0] == [0]


def test_a_violation_of_the_program_has_the_op_of_the_program():
    quirk = [quirk.id for quirk in TARGET.quirks].index("CANARY")
    program = TARGET.parse("boot()\nstats()\nopen()\n").encode()
    results, violation = core.rig([("next_op",)], program=program, quirks=1 << quirk)
    assert results == []
    assert violation is not None
    assert (violation["op"], violation["site"]) == (1, "target_after_op:books")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ([("alloc_page", 0, 0)], "step 0: no primitive 'alloc_page'; rig_primitives() lists them"),
        ([("next_op", 1)], "step 0: 1 arguments for 'next_op -> steps of the program'"),
        ([("peek", "frame.len")], "step 0: peek: no field 'frame.len'; rig_fields() lists all"),
        ([("peek", "frame.size", 4096)], "argument 2 is 4096, there is no such thing"),
        ([("poke", "frame.hold", 1, 0, 8)], "argument 4 is 8, there is no such thing"),
        ([("alloc_pages", 0, "H_ME")], "step 0: alloc_pages: no constant 'H_ME'"),
        ([("alloc_pages", 0, 8)], "step 0: 'alloc_pages order holder -> frame': argument 2 is 8"),
        ([("next_op",), ("kmalloc", Ref(1))], "step 1: kmalloc: Ref(1, 0) is not a step before"),
        ([("kmalloc", 1 << 63)], "argument 1 is 9223372036854775808, it must be an int of 64 bits"),
        ([("kmalloc", 1.5)], "argument 1 is 1.5, it must be an int of 64 bits, a Ref or a name"),
        ([("vq_init", 0, 3)], "argument 2 is 3, there is no such thing"),
        ([("dev_use", 0, 0, 1, 1)], "argument 2 is 0, there is no such thing"),
    ],
)
def test_errors_say_where_and_what(script, complaint):
    World()
    with pytest.raises(ValueError, match=re.escape(complaint)):
        core.rig(script)


def test_an_option_that_the_world_does_not_have():
    with pytest.raises(ValueError, match=r"no option 'mmio'; there are \('dma', 'swiotlb'\)"):
        core.rig([], mmio=True)


@pytest.mark.parametrize("signature", core.rig_primitives())
def test_every_primitive_can_be_called(signature):
    """With zeros it ends, is refused or violates something; it does not bring the process down."""
    name, *arguments = signature.partition(" -> ")[0].split()
    given = {"peek": ("frame.size",), "poke": ("memory.drv_refs", 0)}
    step = (name, *given.get(name, [0] * len(arguments)))
    refused, results, violation = False, [], None
    try:
        results, violation = core.rig([("vq_init", 0, 4), step])
    except ValueError as error:
        refused = "there is no such thing" in str(error)
    assert refused or len(results) == (1 if violation else 2)


def test_every_field_can_be_seen():
    for field in core.rig_fields():
        results, violation = core.rig([("peek", field)])
        assert violation is None
        assert len(results) == 1
