# SPDX-License-Identifier: GPL-2.0-or-later
import json
import os
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vfuzz
from tests.needs import need
from tests.program.sample import SCHEMA
from tests.program.schemas import schemas
from vfuzz.program import codec, mutator
from vfuzz.program.schema import Arg, Op, Schema
from vfuzz.strategies import raw_bytes

SEEDS = st.integers(0, 0xFFFFFFFF)
MOST = (SCHEMA.max_ops + 1) * SCHEMA.record_size


def is_canonical(schema, data: bytes) -> bool:
    return codec.canonical(schema, data) == data


@cache
def some_program(n_ops: int) -> bytes:
    data = b""
    for seed in range(10_000):
        data = mutator.mutate_bytes(SCHEMA, data, seed=seed, max_size=16 * (n_ops + 1))
        if len(data) == 16 * (n_ops + 1):
            return data
    raise AssertionError(f"no program of {n_ops} ops in 10,000 mutations")


# -- properties


@given(raw_bytes(SCHEMA), SEEDS, st.integers(16, 1000))
def test_mutants_are_canonical_within_the_limit_and_follow_the_seed(data, seed, max_size):
    mutant = mutator.mutate_bytes(SCHEMA, data, seed=seed, max_size=max_size)
    assert 16 <= len(mutant) <= max_size
    assert is_canonical(SCHEMA, mutant)
    assert mutator.mutate_bytes(SCHEMA, data, seed=seed, max_size=max_size) == mutant


@given(raw_bytes(SCHEMA), raw_bytes(SCHEMA), SEEDS, st.integers(16, 1000))
def test_crossings_are_canonical_within_the_limit_and_follow_the_seed(one, two, seed, max_size):
    child = mutator.crossover_bytes(SCHEMA, one, two, seed=seed, max_size=max_size)
    assert 16 <= len(child) <= max_size
    assert is_canonical(SCHEMA, child)
    assert mutator.crossover_bytes(SCHEMA, one, two, seed=seed, max_size=max_size) == child


@given(schemas(), st.data())
def test_it_works_with_any_schema(schema, data):
    pool = [b"", data.draw(raw_bytes(schema, max_ops=min(4, schema.max_ops)))]
    rng = Random(data.draw(SEEDS))
    for _ in range(30):
        one, two = rng.choice(pool), rng.choice(pool)
        pool.append(mutator.mutate_bytes(schema, one, seed=rng.getrandbits(32)))
        pool.append(mutator.crossover_bytes(schema, one, two, seed=rng.getrandbits(32)))
    assert all(is_canonical(schema, data) for data in pool[2:])


@given(SEEDS)
def test_every_bit_of_the_seed_matters(seed):
    data = some_program(12)
    others = {mutator.mutate_bytes(SCHEMA, data, seed=seed ^ (1 << bit)) for bit in range(32)}
    assert len(others) > 25


# -- what it reaches


@pytest.fixture(scope="module")
def walk() -> list:
    """Programs that the mutator comes to from the empty input, with nobody choosing among them."""
    rng = Random(1)
    pool = [b""]
    for step in range(40_000):
        one = rng.choice(pool)
        if step % 2:
            pool.append(mutator.mutate_bytes(SCHEMA, one, seed=step))
        else:
            pool.append(mutator.crossover_bytes(SCHEMA, one, rng.choice(pool), seed=step))
        if len(pool) > 200:
            pool[rng.randrange(200)] = pool.pop()
        if step % 100 == 0:
            pool[0] = b""
    programs = [codec.decode(SCHEMA, data) for data in pool]
    fresh = [codec.decode(SCHEMA, mutator.mutate_bytes(SCHEMA, b"", seed=i)) for i in range(4000)]
    return programs + fresh


def test_every_op_and_every_fail_property_is_reached(walk):
    calls = [call for program in walk for call in program.ops]
    assert {call.kind for call in calls} == set(range(len(SCHEMA.ops)))
    fails = {call.fail for call in calls if call.fail}
    assert {fail.cls for fail in fails} == {0, 1, 2, 3}
    assert {fail.all for fail in fails} == {False, True}
    assert {fail.nth for fail in fails} >= set(range(1, 8))
    share = sum(1 for call in calls if call.fail) / len(calls)
    assert 0.005 < share < 0.5


def arguments(walk):
    """(argument, the values that it was seen with)."""
    for place, arg in enumerate(SCHEMA.boot):
        yield arg, {program.boot[place] for program in walk}
    for kind, op in enumerate(SCHEMA.ops):
        calls = [call for program in walk for call in program.ops if call.kind == kind]
        for place, arg in enumerate(op.args):
            yield arg, {call.args[place] for call in calls}


def test_every_class_of_value_is_reached(walk):
    for arg, seen in arguments(walk):
        assert {arg.lo, arg.hi, arg.default, *arg.interesting} <= seen, arg.name
        if arg.kind in ("bool", "enum"):
            assert seen == set(range(arg.hi + 1)), arg.name
        elif arg.kind == "flags":
            for bit in range(32):
                if arg.hi >> bit & 1:
                    assert {value >> bit & 1 for value in seen} == {0, 1}, (arg.name, bit)
        else:
            assert len(seen) >= min(arg.span, 30), arg.name


def test_ints_are_seen_beside_what_matters_and_anywhere(walk):
    sizes = {arg.name: seen for arg, seen in arguments(walk)}["size"]
    powers = {1 << bit for bit in range(16)}
    assert powers <= sizes
    assert len({p + 1 for p in powers} & sizes) >= 12
    assert len({p - 1 for p in powers} & sizes) >= 12
    assert {59, 61, 1513, 1515, 1499, 1501, 65549, 1} <= sizes
    assert len({size // 4096 for size in sizes}) == 17


def test_ops_come_by_their_weight():
    kinds = [0] * len(SCHEMA.ops)
    for seed in range(3000):
        for call in codec.decode(SCHEMA, mutator.mutate_bytes(SCHEMA, b"", seed=seed)).ops:
            kinds[call.kind] += 1
    total = sum(op.weight for op in SCHEMA.ops)
    for count, op in zip(kinds, SCHEMA.ops, strict=True):
        assert count / sum(kinds) == pytest.approx(op.weight / total, rel=0.2, abs=0.005)


def test_an_op_of_weight_0_is_not_inserted():
    schema = Schema("t", (), (Op("a"), Op("b", weight=0), Op("c", (Arg("x", "bool"),))))
    data = b""
    for seed in range(2000):
        data = mutator.mutate_bytes(schema, data, seed=seed, max_size=20 * 16)
        assert all(call.kind != 1 for call in codec.decode(schema, data).ops)


# -- how it behaves


def test_an_empty_input_becomes_a_program_of_several_ops():
    sizes = {
        len(codec.decode(SCHEMA, mutator.mutate_bytes(SCHEMA, b"", seed=seed)).ops)
        for seed in range(500)
    }
    assert min(sizes) >= 3
    assert len(sizes) >= 5


def test_fresh_ops_are_mostly_at_their_defaults():
    given_values = [
        value == arg.default
        for seed in range(500)
        for call in codec.decode(SCHEMA, mutator.mutate_bytes(SCHEMA, b"", seed=seed)).ops
        for arg, value in zip(SCHEMA.ops[call.kind].args, call.args, strict=True)
    ]
    assert 0.5 < sum(given_values) / len(given_values) < 0.9


def test_a_mutant_is_another_input():
    data = some_program(12)
    assert all(mutator.mutate_bytes(SCHEMA, data, seed=seed) != data for seed in range(3000))


def test_the_boot_record_is_changed_now_and_then():
    data = some_program(12)
    changed = sum(
        mutator.mutate_bytes(SCHEMA, data, seed=seed)[:16] != data[:16] for seed in range(4000)
    )
    assert 0.06 < changed / 4000 < 0.2


def test_programs_grow_and_shrink():
    data = some_program(20)
    change = [
        len(mutator.mutate_bytes(SCHEMA, data, seed=seed)) - len(data) for seed in range(3000)
    ]
    assert sum(c == 0 for c in change) > 900
    assert sum(c > 0 for c in change) > 400
    assert sum(c < 0 for c in change) > 200
    assert max(change) == MOST - len(data)


def test_with_room_for_the_boot_record_alone_only_that_is_mutated():
    seen = {mutator.mutate_bytes(SCHEMA, b"", seed=seed, max_size=16) for seed in range(200)}
    assert {len(data) for data in seen} == {16}
    assert len(seen) > 20


def test_no_room_at_all_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="max_size 15 has no room for a record of 16 bytes"):
        mutator.mutate_bytes(SCHEMA, b"", seed=1, max_size=15)


def ops_of(data: bytes) -> list[bytes]:
    return [data[i : i + 16] for i in range(16, len(data), 16)]


def test_a_crossing_has_ops_of_both_parents_and_boot_mostly_of_the_first():
    one = some_program(10)
    two = codec.canonical(
        SCHEMA, bytes(16) + b"".join(bytes([1, 0, i]).ljust(16) for i in range(7))
    )
    mixed = first_boot = 0
    for seed in range(1000):
        child = mutator.crossover_bytes(SCHEMA, one, two, seed=seed)
        of_one = set(ops_of(child)) & set(ops_of(one))
        of_two = set(ops_of(child)) & set(ops_of(two))
        mixed += bool(of_one and of_two)
        first_boot += child[:16] == one[:16]
    assert mixed > 700
    assert first_boot > 600


def test_crossing_with_nothing_still_gives_a_program():
    for seed in range(200):
        child = mutator.crossover_bytes(SCHEMA, b"", b"", seed=seed)
        assert len(child) > 16


# -- under libFuzzer, in both ways of loading it

RUN = """\
import json, os, sys
from tests.program.sample import SCHEMA
from vfuzz.program import codec, mutator

mode, runs = sys.argv[1], int(sys.argv[2])
if mode != "stub-alone":
    mutator.install(SCHEMA)
import atheris

seen = {"runs": 0, "canonical": 0, "longest": 0}

def one(data):
    seen["runs"] += 1
    seen["canonical"] += codec.canonical(SCHEMA, data) == data
    seen["longest"] = max(seen["longest"], len(data))
    if seen["runs"] == runs:
        seen.update(mutator.mutator_counters(), calls=mutator.mutator_calls())
        print("SEEN " + json.dumps(seen), flush=True)
        os._exit(0)

atheris.Setup([sys.argv[0], "-seed=1", "-max_len=400"], one, internal_libfuzzer=mode == "opened")
atheris.Fuzz()
"""


def python(script: str, *args: str, preload: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    env = dict(os.environ)
    root = Path(vfuzz.__file__).parent.parent
    env["PYTHONPATH"] = os.pathsep.join([str(root), str(Path(__file__).parents[2])])
    env.pop("LD_PRELOAD", None)
    if preload:
        env["LD_PRELOAD"] = ":".join(preload)
        env["ASAN_OPTIONS"] = "detect_leaks=0"
    command = [sys.executable, "-c", textwrap.dedent(script), *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def preload_of(mode: str) -> tuple[str, ...]:
    atheris = need("atheris")
    if mode == "opened":
        return ()
    return (str(Path(atheris.path()) / "asan_with_fuzzer.so"), mutator.stub_path())


@pytest.mark.parametrize("mode", ["opened", "preloaded"])
def test_libfuzzer_calls_the_mutator(mode):
    done = python(RUN, mode, "3000", preload=preload_of(mode))
    assert "SEEN" in done.stdout, done.stderr
    seen = json.loads(done.stdout.split("SEEN ")[1])
    assert seen["calls"] == seen["mutate"] + seen["crossover"] >= 2900
    assert min(seen["mutate"], seen["crossover"]) > 1000
    assert seen["engine"] > 20
    assert seen["canonical"] >= 2990  # but for libFuzzer's own first inputs
    assert 300 < seen["longest"] <= 400


def test_the_stub_alone_leaves_libfuzzer_its_own_mutations():
    done = python(RUN, "stub-alone", "3000", preload=preload_of("stub-alone"))
    assert "SEEN" in done.stdout, done.stderr
    seen = json.loads(done.stdout.split("SEEN ")[1])
    assert seen["calls"] == 0
    assert seen["longest"] > 1


LATE = """\
import atheris
import importlib
importlib.import_module(\"atheris.core_with_libfuzzer\")
from tests.program.sample import SCHEMA
from vfuzz.program import mutator
mutator.install(SCHEMA)
"""


def test_installing_too_late_is_an_error_that_says_what_to_do():
    need("atheris")
    done = python(LATE)
    assert done.returncode == 1
    assert "install the mutator before importing it" in done.stderr


def test_a_forgotten_preload_is_an_error_that_names_the_library():
    done = python(RUN, "preloaded", "1", preload=preload_of("preloaded")[:1])
    assert done.returncode == 1
    assert f"add {mutator.stub_path()} to LD_PRELOAD" in done.stderr


def test_installing_again_changes_the_schema():
    script = """\
        from tests.program.sample import SCHEMA
        from vfuzz.program import mutator
        from vfuzz.program.schema import Op, Schema
        import ctypes
        mutator.install(Schema("other", (), (Op("a"),), record_size=4))
        mutator.install(SCHEMA)
        call = ctypes.CDLL(None).LLVMFuzzerCustomMutator
        call.restype, call.argtypes = ctypes.c_size_t, [ctypes.c_char_p] + [ctypes.c_size_t] * 3
        sizes = [call(ctypes.create_string_buffer(400), 0, 400, seed) % 16 for seed in range(50)]
        print(set(sizes), mutator.mutator_calls())
    """
    done = python(script)
    assert done.stdout.strip() == "{0} 50", done.stderr
