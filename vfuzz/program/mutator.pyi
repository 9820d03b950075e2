# SPDX-License-Identifier: GPL-2.0-or-later
from typing import TypeAlias

from vfuzz.program.schema import Schema

_Buffer: TypeAlias = bytes | bytearray | memoryview

def install(schema: Schema) -> None: ...
def stub_path() -> str: ...
def mutator_calls() -> int: ...
def mutator_counters() -> dict[str, int]: ...
def mutate_bytes(
    schema: Schema, data: _Buffer, *, seed: int, max_size: int | None = None
) -> bytes: ...
def crossover_bytes(
    schema: Schema,
    data1: _Buffer,
    data2: _Buffer,
    *,
    seed: int,
    max_size: int | None = None,
) -> bytes: ...
