# SPDX-License-Identifier: GPL-2.0-or-later
"""A schema for the tests of this room: every kind, width and role of argument, and no target."""

from vfuzz.program.schema import Arg, Op, Schema

SCHEMA = Schema(
    target="sample",
    boot=(
        Arg("profile", "enum", names=("plain", "hostile", "broken"), default="plain"),
        Arg(
            "features",
            "flags",
            names=("MRG_RXBUF", None, "VERSION_1", "BIG"),
            default="VERSION_1",
        ),
        Arg("ring", "int", lo=1, hi=256, default=16, interesting=(1, 2, 256), role="count"),
        Arg("seed", "int", width=4),
        Arg("quiet", "bool", default=1),
    ),
    ops=(
        Op("open", doc="no arguments at all", weight=3),
        Op(
            "rx",
            args=(
                Arg("queue", "int", hi=7, role="index"),
                Arg(
                    "size",
                    "int",
                    hi=65550,
                    default=1500,
                    interesting=(0, 60, 1514, 65550),
                    role="length",
                ),
                Arg("flags", "flags", names=("NEEDS_CSUM", "DATA_VALID", "RSC")),
                Arg("gso", "enum", names=("none", "tcpv4", "udp", "tcpv6", "ecn")),
            ),
            weight=30,
        ),
        Op(
            "poll",
            args=(
                Arg("budget", "int", lo=1, hi=64, default=64, role="count"),
                Arg("again", "bool"),
            ),
            weight=20,
        ),
        Op(
            "write",
            args=(
                Arg("offset", "int", lo=16, hi=4096, default=64, role="length", width=4),
                Arg("value", "int", width=4, default=0xDEADBEEF),
                Arg("bits", "flags", names=tuple(f"B{i}" if i % 5 else None for i in range(32))),
                Arg("port", "int", lo=1000, hi=2000, default=1500),
            ),
        ),
        Op(
            "work-run",
            args=(
                Arg("which", "enum", names=("refill", "rx-mode"), default="rx-mode"),
                Arg("word", "flags", names=tuple(f"W{i}" for i in range(10)), default="W0|W9"),
            ),
            weight=1,
        ),
    ),
    max_ops=40,
)
