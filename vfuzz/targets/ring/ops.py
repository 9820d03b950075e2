# SPDX-License-Identifier: GPL-2.0-or-later
"""What a ring program can say: the producer, the consumer and the owner of the ring."""

from vfuzz.program.schema import Arg, Op, Schema


def _order() -> Arg:
    return Arg("order", "int", 2, 6, default=3, doc="the ring has 1 << order bytes, one stays free")


def _count() -> Arg:
    return Arg("count", "int", 1, 64, role="count", interesting=(3, 7, 15, 31, 63))


OPS = (
    Op("put", (_count(),), "the producer writes up to `count` bytes", weight=20),
    Op("get", (_count(),), "the consumer reads up to `count` bytes", weight=20),
    Op("peek", (Arg("offset", "int", 0, 63, role="index", doc="from the oldest byte"),),
       "the consumer looks at one byte and leaves it there"),
    Op("resize", (_order(),), "the owner moves the ring into a buffer of another size", weight=5),
    Op("reset", (), "the owner drops what is in the ring", weight=2),
)

SCHEMA = Schema(target="ring", boot=(_order(),), ops=OPS)
