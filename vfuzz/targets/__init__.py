# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets: one package each, found by looking, loaded on first use.

A package in this folder is a target when its `__init__.py` has NAME, SUMMARY and ERAS; there is no
list to add it to. A target outside vfuzz is named by its import path (`my_models.my_target`).

The package can be called: `vfuzz.targets()` is the tuple of all targets (vfuzz.api.targets).
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from vfuzz.errors import NotBuilt, UnknownName, did_you_mean

if TYPE_CHECKING:
    from vfuzz.api import Target

__all__ = ["load_core", "names", "package_of"]

_NEEDED = ("NAME", "SUMMARY", "ERAS")


@cache
def _packages() -> dict[str, ModuleType]:
    found = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        if info.ispkg:
            module = importlib.import_module(f"{__name__}.{info.name}")
            if all(hasattr(module, name) for name in _NEEDED):
                found[module.NAME] = module
    return dict(sorted(found.items()))


def names() -> tuple[str, ...]:
    """The names of all targets that come with vfuzz, sorted."""
    return tuple(_packages())


def package_of(name: str) -> ModuleType:
    """The package of a target, by its name or, outside vfuzz, by its import path.

    Raises UnknownName with the nearest names.
    """
    package = _packages().get(name)
    if package is not None:
        return package
    if "." in name:
        return _outside(name)
    raise UnknownName(f"unknown target {name!r}: {did_you_mean(name, names())}")


def _outside(path: str) -> ModuleType:
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        # Only a missing package is the caller's mistake; a missing import inside it is not.
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise
        raise UnknownName(
            f"unknown target {path!r}: no module {error.name!r} can be imported; a target outside "
            f"vfuzz is named by its import path, which has to be on PYTHONPATH"
        ) from None
    missing = [name for name in _NEEDED if not hasattr(module, name)]
    if missing:
        raise UnknownName(f"{path!r} is not a target: its __init__.py lacks {', '.join(missing)}")
    return module


def load_core(package: ModuleType) -> ModuleType:
    """The compiled `_core` of a target. Raises NotBuilt with what to do."""
    name = f"{package.__name__}._core"
    if name in sys.modules:
        return sys.modules[name]
    if importlib.util.find_spec(name) is None:
        raise NotBuilt(
            f"target {package.NAME}: its compiled part {name} is missing; build it with "
            f"'python setup.py build_ext --inplace' in the source, or 'pip install .'",
            name=name,
        )
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotBuilt(
            f"target {package.NAME}: its compiled part {name} does not load: {error}; build it "
            f"again with 'python setup.py build_ext --inplace --force'",
            name=name,
        ) from error


class _CallablePackage(ModuleType):
    # `vfuzz.targets` is this package as soon as anything below it was imported, so the public
    # function of that name has to be the package itself.
    def __call__(self) -> tuple[Target, ...]:
        from vfuzz.api import targets

        return targets()


sys.modules[__name__].__class__ = _CallablePackage
