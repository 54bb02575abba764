"""The scripts of Table 1, in short form: one epoch of few images, a few points of S."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cabacus
from cabacus.sparsify import load

SCRIPTS = Path(__file__).parents[1] / "bench" / "table1"
WEIGHTS = {
    "lenet300": 266_610,
    "lenet5": 431_080,
    "fcae": 75_721,
    "small_vgg16": 14_995_146,
    "mobilenet": 2_601_976,
    "resnet20": 271_098,
}


@pytest.mark.shared
@pytest.mark.parametrize("row", WEIGHTS)
def test_a_row_is_trained_and_measured_and_nothing_is_done_twice(row: str, shared: Path, tmp_path: Path) -> None:
    program = [sys.executable, str(SCRIPTS / "table.py"), str(shared), str(tmp_path)]

    def run() -> str:
        words = [*program, "--row", row, "--short"]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, check=True).stdout

    first = run()
    folder = tmp_path / f"{row}-1"
    weights, sigma = (cabacus.read(folder / f"{part}.safetensors") for part in ("sparse", "sigma"))
    assert sum(array.size for array in weights.values()) == WEIGHTS[row]
    assert set(sigma) == {name for name, array in weights.items() if array.ndim > 1}
    assert all(np.all(array > 0) and np.isfinite(array).all() for array in sigma.values())
    result = json.loads((folder / "result.json").read_text())
    assert result["best"]["bytes"] == (folder / "model.cabac").stat().st_size
    assert result["percent"] == pytest.approx(100 * result["best"]["bytes"] / (4 * WEIGHTS[row]))
    assert result["test"].keys() == {"dense", "sparse", "compressed"}
    assert (folder / "curve.svg").exists()
    again = run()
    assert again == (tmp_path / "table.txt").read_text() == first[-len(again) :]


@pytest.mark.shared
def test_kept_networks_are_as_good_as_the_table_says(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    rows = importlib.import_module("rows").ROWS
    kept = json.loads((SCRIPTS / "trained" / "results.json").read_text())
    assert {result["row"] for result in kept.values()} >= {"lenet300", "lenet5", "fcae"}
    for name, result in kept.items():
        data, row = (SCRIPTS / "trained" / f"{name}.cabac").read_bytes(), rows[result["row"]]
        assert len(data) == result["best"]["bytes"]
        network = load(row.make(), cabacus.decompress(data))
        score = row.score(network, row.read(shared / "datasets", None).test)
        assert score == pytest.approx(result["test"]["compressed"], abs=0.02), name
