# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of the ledger."""

from vfuzz.program.schema import Arg, Op, Schema

SCHEMA = Schema(
    target="tests.fakes.ledger",
    boot=(
        Arg("mode", "enum", names=("plain", "strict"), doc="how puts are checked"),
        Arg("slots", "int", lo=1, hi=8, default=8, doc="how many references there are"),
    ),
    ops=(
        Op("get", (Arg("id", "int", hi=7, role="index"),), doc="take a reference"),
        Op("put", (Arg("id", "int", hi=7, role="index"),), doc="give it back"),
        Op("read", (Arg("offset", "int", hi=255, role="length"),), doc="read through it"),
        Op("crash", (Arg("how", "enum", names=("no", "segv", "hang", "exit")),), doc="die"),
    ),
)
