"""The scripts of Table 1, in short form: one epoch of few images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cabacus import files

SCRIPTS = Path(__file__).parents[1] / "bench" / "table1"


@pytest.mark.shared
@pytest.mark.parametrize("row", ["lenet300", "lenet5"])
def test_a_row_trains_and_does_nothing_twice(row: str, shared: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "train.py"),
        str(shared / "datasets"),
        str(tmp_path),
        "--row",
        row,
        "--short",
    ]
    first = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "sparse: " in first
    weights = files.read(tmp_path / f"{row}-1" / "sparse.safetensors")
    sigma = files.read(tmp_path / f"{row}-1" / "sigma.safetensors")
    assert sum(array.size for array in weights.values()) == {"lenet300": 266_610, "lenet5": 431_080}[row]
    assert set(sigma) == {name for name, array in weights.items() if array.ndim > 1}
    assert all(np.all(array > 0) and np.isfinite(array).all() for array in sigma.values())
    assert not subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
