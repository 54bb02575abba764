"""The examples in the docstrings of cabacus.federated run."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["__init__", "broadcasting", "receiving", "sending", "sparsifying"])
def test_examples_of_docstrings_run(name: str) -> None:
    module = importlib.import_module("cabacus.federated" if name == "__init__" else f"cabacus.federated.{name}")
    result = doctest.testmod(module, extraglobs={} if "np" in vars(module) else {"np": np})
    assert result.attempted
    assert result.failed == 0
