# SPDX-License-Identifier: GPL-2.0-or-later
"""Tells PyInstaller about vfuzz, through the entry point `pyinstaller40` in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Where PyInstaller finds hook-vfuzz.py."""
    return [str(Path(__file__).parent)]
