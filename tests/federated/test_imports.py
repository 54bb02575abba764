"""What a client that codes updates has to import, and that every name is found where it is said to be."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncio",
    "cabacus.archive",
    "cabacus.compression",
    "cabacus.files.npz",
    "cabacus.minifloat",
    "cabacus.options",
    "cabacus.search",
    "concurrent.futures",
    "difflib",
    "hashlib",
    "http",
    "json",
    "logging",
    "multiprocessing",
    "pathlib",
    "socket",
    "tempfile",
    "zipfile",
}
"""Of the standard library and of ours: none of it is needed before the first update."""


def loaded(statement: str) -> set[str]:
    """The modules that a statement loads beyond NumPy's."""
    program = f"import sys, numpy; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import cabacus.federated", "from cabacus.federated import UpdateEncoder"])
def test_the_codec_of_updates_loads_little(statement: str) -> None:
    assert not loaded(statement) & HEAVY


def test_the_package_itself_loads_nothing_of_the_engine() -> None:
    assert {name for name in loaded("import cabacus") if name.startswith("cabacus")} == {"cabacus", "cabacus.lazy"}


@pytest.mark.parametrize("name", ["cabacus", "cabacus.files", "cabacus.federated"])
def test_lazy_names_are_those_that_a_checker_sees(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text())
    seen = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{name}."):
            seen |= {alias.name: node.module for alias in node.names}
    for word in {*package.__all__} & seen.keys():
        assert getattr(package, word) is getattr(importlib.import_module(seen[word]), word)
    assert {*package.__all__} <= {*dir(package)}
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = package.nonsense
