"""The examples in the engine's docstrings run."""

from __future__ import annotations

import doctest
import importlib
import io
import math
import os
import pkgutil
import tempfile

import numpy as np
import pytest

import cabacus

APART = ("cabacus.service", "cabacus.federated", "cabacus.sparsify", "cabacus._core")
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(cabacus.__path__, "cabacus.") if not module.name.startswith(APART)
)


@pytest.mark.parametrize("name", ["cabacus", *MODULES])
def test_examples_of_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    common = {"np": np, "io": io, "os": os, "math": math, "tempfile": tempfile, "cabacus": cabacus}
    result = doctest.testmod(module, extraglobs={key: common[key] for key in common.keys() - vars(module).keys()})
    assert result.failed == 0
