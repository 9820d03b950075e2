# SPDX-License-Identifier: GPL-2.0-or-later
"""ring: a circular byte buffer, the worked example of docs/adding-a-target.md."""

NAME = "ring"
SUMMARY = "a circular byte buffer after circ_buf.h, the worked example of a target"
#: Which behaviour the model follows; the last one is the default.
ERAS = ("ring-1",)
