"""Packages whose names are imported when they are first asked for (PEP 562).

A program that codes updates needs few of the modules, and starts several times faster without the others.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    homes: names by the module of the package that has them. The modules are attributes as well. What is no name of
    either kind is an AttributeError.

    >>> find, names = lazily("cabacus", {"scan": ["columns"]})
    >>> find("columns")((64, 3, 7, 7))
    147
    """
    places = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name in homes:
            return importlib.import_module(f"{package}.{name}")
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *places})

    return find, names
