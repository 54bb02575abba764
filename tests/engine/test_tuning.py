"""Tuning: what is chosen, what is reported, and the command around it."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cabacus
import cabacus.comparison
from cabacus.errors import InputError
from cabacus.tuning import Tuning, tune
from cabacus.tuning.command import command_score, s_points
from cabacus.tuning.drawing import svg


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    weights = random.normal(size=(60, 80)) * (random.random((60, 80)) < 0.3)
    return {"fc.weight": weights.astype(np.float32), "fc.bias": random.normal(size=60).astype(np.float32)}


@pytest.fixture(scope="module")
def sigma() -> dict[str, np.ndarray]:
    return {"fc.weight": np.random.default_rng(8).uniform(0.05, 0.5, (60, 80)).astype(np.float32)}


def closeness(model: dict[str, np.ndarray]) -> Any:
    """A score that falls as the weights move."""
    return lambda found: -float(np.abs(found["fc.weight"] - model["fc.weight"]).mean())


@pytest.fixture(scope="module")
def tuning(model: Any, sigma: Any) -> Tuning:
    return tune(model, sigma=sigma, evaluate=closeness(model), s=range(-40, 41), rate_weights=[0.0, 1.0], max_loss=0.01)


def test_the_smallest_acceptable_file_is_chosen(tuning: Tuning, model: Any) -> None:
    assert tuning.met
    assert tuning.reference == 0.0
    fit = [point for point in tuning.points if point.score >= -0.01]
    assert tuning.best in fit
    assert tuning.best.bytes == min(point.bytes for point in fit)
    decoded = cabacus.decompress(tuning.compressed.data)
    assert len(tuning.compressed.data) == tuning.best.bytes
    assert closeness(model)(decoded) == pytest.approx(tuning.best.score)
    assert np.array_equal(decoded["fc.bias"], model["fc.bias"])


def test_neighbours_of_the_best_s_are_known(tuning: Tuning) -> None:
    tried = {point.s for point in tuning.points if point.rate_weight == tuning.best.rate_weight}
    assert {tuning.best.s - 1, tuning.best.s + 1} & set(range(-40, 41)) <= tried
    assert len(tuning.points) < 40


def test_what_is_not_acceptable_is_said_so(model: Any, sigma: Any) -> None:
    tuning = tune(model, sigma=sigma, evaluate=closeness(model), s=[0, 5], rate_weights=[0.0, 5.0])
    assert not tuning.met
    assert tuning.best.score == max(point.score for point in tuning.points)
    assert "no point is within a loss of 0" in tuning.table()


def test_points_say_what_the_files_are(tuning: Tuning, sigma: Any, model: Any) -> None:
    point = tuning.points[0]
    file = cabacus.compress(model, s=point.s, sigma=sigma, rate_weight=point.rate_weight)
    assert point.bytes == len(file.data)
    assert point.lossy_bytes < point.bytes - 60
    levels, _ = cabacus.open(file.data).levels("fc.weight")
    assert point.density == pytest.approx(np.count_nonzero(levels) / levels.size)


def test_the_comparison_is_of_the_same_levels(tuning: Tuning) -> None:
    levels, _ = cabacus.open(tuning.compressed.data).levels("fc.weight")
    assert dict(tuning.comparison) == cabacus.comparison.compare({"fc.weight": levels})
    huffman = tuning.comparison["Huffman"]
    assert huffman is not None
    assert huffman > tuning.best.lossy_bytes


def test_sizes_can_be_tried_instead_of_s(model: Any, sigma: Any) -> None:
    sizes = [1.0, 1.5, 2.0, 3.0]
    tuning = tune(
        model, sigma=sigma, evaluate=closeness(model), bits_per_weight=sizes, rate_weights=[0.3], max_loss=0.05
    )
    assert tuning.met
    assert tuning.best.s is None
    assert tuning.best.bits_per_weight in sizes
    file = cabacus.compress(model, bits_per_weight=tuning.best.bits_per_weight, sigma=sigma, rate_weight=0.3)
    assert tuning.compressed.data == file.data
    assert f"{tuning.best.bits_per_weight:g} bits a weight" in tuning.table()
    with pytest.raises(InputError, match="bits_per_weight"):
        tune(model, sigma=sigma, evaluate=closeness(model), bits_per_weight=[0.0])


def test_json_and_table_and_drawing_agree(tuning: Tuning) -> None:
    document = json.loads(json.dumps(tuning.to_json()))
    assert document["best"] == tuning.best.to_json()
    assert len(document["points"]) == len(tuning.points)
    lines = tuning.table().splitlines()
    assert next(line for line in lines if line.startswith("*")).split()[1] == str(tuning.best.s)
    drawing = ElementTree.fromstring(svg(tuning))
    circles = [item for item in drawing.iter() if item.tag.endswith("circle")]
    assert len(circles) == len(tuning.points)
    assert len([item for item in circles if item.get("stroke")]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"s": []}, "nothing to try"),
        ({"rate_weights": []}, "nothing to try"),
        ({"rate_weights": [-1]}, "rate_weights"),
        ({"max_loss": -1}, "max_loss"),
        ({"s": [0.5]}, "integer"),
        ({"evaluate": lambda found: float("nan")}, "finite number"),
        ({"quantiser": "greedy"}, "quantiser"),
    ],
)
def test_what_cannot_be_tuned_is_refused(options: dict[str, Any], message: str, model: Any, sigma: Any) -> None:
    with pytest.raises((InputError, TypeError), match=message):
        tune(model, **{"sigma": sigma, "evaluate": closeness(model), "s": [0], "rate_weights": [0.0]} | options)


EVALUATE = """
import sys, numpy as np, cabacus
found, whole = cabacus.read(sys.argv[1]), cabacus.read(sys.argv[2])
print("mean error", np.abs(found["fc.weight"] - whole["fc.weight"]).mean())
"""


@pytest.fixture
def files(tmp_path: Path, model: Any, sigma: Any) -> Path:
    cabacus.write(tmp_path / "model.safetensors", model)
    cabacus.write(tmp_path / "sigma.safetensors", sigma)
    (tmp_path / "evaluate.py").write_text(EVALUATE)
    return tmp_path


def command(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    evaluate = f"{sys.executable} {folder / 'evaluate.py'} {{}} {folder / 'model.safetensors'}"
    words = [sys.executable, "-m", "cabacus.tuning", str(folder / "model.safetensors"), "--evaluate", evaluate]
    words += ["--sigma", str(folder / "sigma.safetensors"), "--lower-is-better", "--s=-10:11:10", "--rate-weight=0"]
    return subprocess.run([*words, *more], capture_output=True, text=True, timeout=120, check=False)


def test_the_command_writes_what_it_is_asked_for(files: Path) -> None:
    outputs = ["-o", str(files / "out.cabac"), "--json", str(files / "out.json"), "--plot", str(files / "out.svg")]
    done = command(files, "--max-loss", "0.02", *outputs)
    assert done.returncode == 0, done.stderr
    assert "relative index + Huffman" in done.stdout
    document = json.loads((files / "out.json").read_text())
    assert document["best"]["bytes"] == (files / "out.cabac").stat().st_size
    assert (files / "out.svg").read_text().startswith("<svg")
    assert "bytes, score -0.0" in done.stderr
    again = command(files, *outputs)
    assert (again.returncode, "--force" in again.stderr) == (3, True)
    one_name = command(files, "-o", str(files / "new"), "--json", str(files / "new"))
    assert (one_name.returncode, "same name" in one_name.stderr) == (2, True)


def test_the_commands_status_tells_when_nothing_fits(files: Path) -> None:
    assert command(files, "--quiet").returncode == 1
    missing = command(files, "--sigma", str(files / "none.safetensors"))
    assert missing.returncode == 3
    assert missing.stderr.startswith("cabacus tune: ")
    assert "none.safetensors" in missing.stderr


def test_a_command_that_fails_or_is_silent_is_refused() -> None:
    empty = cabacus.Tensors({}, {})
    with pytest.raises(InputError, match="status 1"):
        command_score("false {}")(empty)
    with pytest.raises(InputError, match="no number"):
        command_score("true {}")(empty)
    with pytest.raises(InputError, match=r"no \{\}"):
        command_score("true")
    assert command_score("echo {} top-1: 98.5%")(empty) == 98.5


def test_points_are_written_as_numbers_and_ranges() -> None:
    assert s_points(["3", "-2:3:2"]) == [3, -2, 0, 2]
    with pytest.raises(InputError, match="START:STOP"):
        s_points(["a:b"])
