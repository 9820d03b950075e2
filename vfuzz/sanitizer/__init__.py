# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge: what a target declares about checks and quirks, and what a violation looks like."""
