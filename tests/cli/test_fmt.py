# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz fmt`"""

from __future__ import annotations

import os

import pytest

from vfuzz import api

from .conftest import LEDGER

HEAD = f"# target: {LEDGER}\n# why this program\n\n"
LOOSE = HEAD + "boot( mode = 1 )\n# gone\nget(id = 0)   # gone too\nput(id=3)\n"
CANONICAL = HEAD + "boot(mode=strict)\nget()\nput(id=3)\n"


def encoded(text: str) -> bytes:
    return api.target(LEDGER).parse(text).encode()


def test_text_becomes_canonical_and_keeps_its_head(vfuzz, write):
    done = vfuzz("fmt", write("a.vf", LOOSE))
    assert (done.code, done.out) == (0, CANONICAL)


def test_binary_becomes_text_and_text_binary(vfuzz, write, tmp_path):
    done = vfuzz("fmt", "--target", LEDGER, write("crash-1", encoded(LOOSE)))
    assert (done.code, done.out) == (0, CANONICAL.removeprefix(HEAD))
    assert vfuzz("fmt", "--binary", "-o", "out.bin", write("a.vf", LOOSE)).code == 0
    assert (tmp_path / "out.bin").read_bytes() == encoded(LOOSE)


def test_any_bytes_are_a_program(vfuzz, write, tmp_path):
    write("noise", os.urandom(999) + b"\xff")
    assert vfuzz("fmt", "--target", LEDGER, "-o", "a.vf", "noise").code == 0
    assert vfuzz("fmt", "--target", LEDGER, "-b", "-o", "b", "a.vf").code == 0
    assert vfuzz("fmt", "--target", LEDGER, "b").out == (tmp_path / "a.vf").read_text()
    assert vfuzz("fmt", "--target", LEDGER, write("empty", b"")).out == "boot(slots=1)\n"


def test_several_go_into_a_directory(vfuzz, write, tmp_path):
    write("a.vf", LOOSE)
    write("b.vf", HEAD + "boot()\n")
    assert vfuzz("fmt", "-b", "-o", "out", "a.vf", "b.vf").code == 2
    (tmp_path / "out").mkdir()
    assert vfuzz("fmt", "-b", "-o", "out", "a.vf", "b.vf").code == 0
    assert (tmp_path / "out/a").read_bytes() == encoded(LOOSE)
    assert vfuzz("fmt", "-o", "out", "a.vf", "b.vf").code == 0
    assert (tmp_path / "out/a.vf").read_text() == CANONICAL


def test_in_place_and_check(vfuzz, write, tmp_path):
    write("a.vf", LOOSE)
    write("b.vf", CANONICAL)
    done = vfuzz("fmt", "--check", "a.vf", "b.vf")
    assert (done.code, done.out) == (1, "a.vf\n")
    assert (tmp_path / "a.vf").read_text() == LOOSE
    assert vfuzz("fmt", "-i", "a.vf", "b.vf") == (0, "", "")
    assert (tmp_path / "a.vf").read_text() == CANONICAL
    assert vfuzz("fmt", "--check", "a.vf", "b.vf") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-i", "-b", "a.vf"), "--binary goes with neither"),
        (("-i", "-o", "x", "a.vf"), "--out goes with neither"),
        (("-b", "a.vf", "a.vf"), "nor for several FILEs"),
        (("-i", "--target", LEDGER, "bin"), "bin is binary"),
        (("d",), "is a directory: name a program file"),
        (("missing",), "does not exist"),
        (("-o", "no/such/place", "a.vf"), "there is no directory no/such: make it first"),
    ],
)
def test_what_makes_no_sense_is_told(vfuzz, write, arguments, message):
    write("a.vf", LOOSE)
    write("bin", b"\0")
    write("d/x", b"\0")
    done = vfuzz("fmt", *arguments)
    assert done.code == 2
    assert message in done.err
