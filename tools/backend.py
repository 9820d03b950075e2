# SPDX-License-Identifier: GPL-2.0-or-later
"""The build backend of pyproject.toml: setuptools, and a C compiler where the machine has none.

`pip install .` builds in an environment of its own, which has only what the backend asks for.
"""

from __future__ import annotations

from collections.abc import Mapping

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  the hooks of PEP 517 and PEP 660

from tools import compiler


def get_requires_for_build_wheel(config_settings: Mapping | None = None) -> list[str]:
    """Requirements of `build_wheel` beyond those in pyproject.toml."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *compiler.requirements()]


def get_requires_for_build_editable(config_settings: Mapping | None = None) -> list[str]:
    """Requirements of `build_editable` beyond those in pyproject.toml."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *compiler.requirements()]
