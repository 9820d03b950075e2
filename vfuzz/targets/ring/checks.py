# SPDX-License-Identifier: GPL-2.0-or-later
"""What ring promises: one entry a check, numbered R1.. and never renumbered."""

from vfuzz.sanitizer.registry import Check

_FIFO = "core-api/circular-buffers: a first-in, first-out buffer"

CHECKS = (
    Check("R1", "wrong-byte", "Bytes come out as they went in, and in that order.", _FIFO),
    Check("R2", "overfilled", "The ring holds at most its size less one byte.", "CIRC_SPACE()"),
    Check("R3", "uninitialized-read", "Nothing is read that was not written.", "CIRC_CNT()"),
    Check("R4", "lost-bytes", "In the end every byte that went in has come out.", _FIFO),
    Check("R5", "hang", "No op goes on for ever.", "sim/world.pxi, step()"),
)
