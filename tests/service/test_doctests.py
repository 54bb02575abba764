"""The examples in the service's docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import cabacus.service

MODULES = sorted(module.name for module in pkgutil.walk_packages(cabacus.service.__path__, "cabacus.service."))


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_of_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
