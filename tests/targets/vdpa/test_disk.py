# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulated disk against an array of bytes, and what becomes of it when it is removed."""

from __future__ import annotations

from random import Random

import pytest

from tests.targets.vdpa.world import TARGET

UP = "boot(device={device})\nbring_up()\n"
SECTORS = 24
ERAS = ("linux-6.12", "linux-7.0")      # whose disk begins with zeros


def data_of(op: int, length: int) -> bytes:
    """What op number `op` writes."""
    return bytes((op * 16 + i + (i >> 8)) & 0xFF for i in range(length))


def read(step) -> bytes:
    return (dict(step.obs)["data"] & (1 << 64) - 1).to_bytes(8, "little")


@pytest.mark.parametrize("seed", range(20))
def test_reads_what_was_written(seed):
    rng = Random(seed)
    disk = bytearray(SECTORS * 512)
    text, expected = UP.format(device="blk"), {}
    for op in range(1, 30):
        sector = rng.randrange(SECTORS)
        length = 512 * rng.randint(1, SECTORS - sector)
        where = f"sector={sector}, pieces={rng.randint(1, 9)}, indirect=1"
        kind = rng.choice(("OUT", "IN", "WRITE_ZEROES"))
        if kind == "OUT":
            disk[sector * 512 : sector * 512 + length] = data_of(op, length)
            text += f"blk(type=OUT, len={length}, {where})\n"
        elif kind == "WRITE_ZEROES":
            disk[sector * 512 : sector * 512 + length] = bytes(length)
            text += f"blk(type=WRITE_ZEROES, num={length // 512}, sector={sector})\n"
        else:
            expected[op] = bytes(disk[sector * 512 : sector * 512 + 8])
            text += f"blk(len={length}, {where})\n"
    for era in ERAS:
        result = TARGET.execute(text, era, trace=True)
        assert result.violation is None, result.report()
        got = {step.op: read(step) for step in result.steps if step.op in expected}
        assert got == expected
        assert all(dict(step.obs)["status"] == 0 for step in result.steps if 0 < step.op < 30)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("device", "stays"), [("blk", False), ("blk_shared", True)])
def test_what_stays_when_the_device_goes(era, device, stays):
    again = "close()\ndev_del()\ndev_add()\nbring_up()\nblk()\n"
    result = TARGET.execute(UP.format(device=device) + "blk(type=OUT)\n" + again, era, trace=True)
    assert result.violation is None, result.report()
    (last,) = (step for step in result.steps if step.op == 6)
    assert read(last) == (data_of(1, 8) if stays else bytes(8))


def test_sharing_is_of_6_4():
    """6.1 makes a new disk, which nobody wrote."""
    text = UP.format(device="blk_shared") + "blk(type=OUT)\nclose()\ndev_del()\ndev_add()\n"
    violation = TARGET.execute(text + "bring_up()\nblk()\n", "linux-6.1").violation
    assert violation is not None
    assert violation.signature == "V36@judge_disk_read:unwritten"
