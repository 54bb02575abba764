"""Layers in integers give what the same layers give in floating point."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cabacus
from cabacus.errors import InputError
from cabacus.fixed_point import Fixed, convolution, linear, quantized, relu

MODEL = Path(__file__).parents[2] / "engine" / "examples" / "lenet300" / "lenet300.safetensors"
LAYERS = ("fc1", "fc2", "fc3")


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_linear_layer_is_exact_up_to_the_biases_rounding(random: np.random.Generator) -> None:
    inputs = Fixed(random.integers(-1000, 1000, (7, 30)), 0.01)
    levels, bias = random.integers(-20, 20, (5, 30)).astype(np.int32), random.normal(size=5)
    found = linear(inputs, levels, 0.02, bias)
    expected = inputs.values() @ (levels * 0.02).T + bias
    assert np.abs(found.values() - expected).max() <= found.step / 2 + 1e-9
    assert found.step == pytest.approx(0.0002)


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 0, 4)])
def test_a_convolution_is_its_sum(stride: int, padding: int, groups: int, random: np.random.Generator) -> None:
    inputs = Fixed(random.integers(-50, 50, (2, 4, 9, 8)), 1.0)
    levels = random.integers(-5, 5, (8, 4 // groups, 3, 2))
    found = convolution(inputs, levels, 1.0, np.arange(8), stride=stride, padding=padding, groups=groups).levels
    padded = np.pad(inputs.levels, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    for image, output, row, column in np.ndindex(found.shape):
        first = output // (8 // groups) * (4 // groups)
        top, left = row * stride, column * stride
        window = padded[image, first : first + 4 // groups, top : top + 3, left : left + 2]
        assert found[image, output, row, column] == (window * levels[output]).sum() + output
    assert found.shape[2:] == ((9 + 2 * padding - 3) // stride + 1, (8 + 2 * padding - 2) // stride + 1)


def test_sums_beyond_53_bits_are_exact_too() -> None:
    inputs = Fixed(np.array([[(1 << 31) - 1, 1]]), 1.0)
    levels = np.array([[(1 << 30) - 1, 1]])
    assert int(linear(inputs, levels, 1.0).levels[0, 0]) == ((1 << 31) - 1) * ((1 << 30) - 1) + 1
    with pytest.raises(InputError, match="narrow"):
        linear(Fixed(np.array([[1 << 40]]), 1.0), np.array([[1 << 30]]), 1.0)


@pytest.mark.parametrize("bits", [2, 8, 16])
def test_narrowing_keeps_to_its_bits_and_half_a_step(bits: int, random: np.random.Generator) -> None:
    wide = Fixed(np.append(random.integers(-(1 << 40), 1 << 40, 1000), [(1 << 40) - 1, 1 - (1 << 40)]), 1e-6)
    narrow = wide.narrowed(bits)
    assert np.abs(narrow.levels).max() < 1 << bits - 1
    assert np.abs(narrow.values() - wide.values()).max() <= narrow.step / 2 * (1 + 1e-9)
    assert np.array_equal(Fixed(np.array([1, 0]), 1.0).narrowed(8).levels, [1, 0])


def test_quantization_uses_all_bits() -> None:
    assert quantized([[-3.0, 1.5]], 8).levels.tolist() == [[-127, 64]]
    assert quantized([0.0]).levels.tolist() == [0]
    with pytest.raises(InputError, match="finite"):
        quantized([np.inf])


@pytest.mark.parametrize(
    ("inputs", "levels"), [((2, 3), (4, 5)), ((3,), (4, 3)), ((1, 3, 4, 4), (2, 4, 3, 3)), ((1, 2, 2, 2), (2, 2, 3, 3))]
)
def test_shapes_that_do_not_fit_are_refused(inputs: Any, levels: Any) -> None:
    layer = linear if len(levels) == 2 else convolution
    with pytest.raises(InputError, match=r"cannot take|larger"):
        layer(Fixed(np.zeros(inputs, np.int64), 1.0), np.zeros(levels, np.int32), 1.0)


def in_integers(archive: cabacus.Archive, pixels: np.ndarray, bits: int = 16) -> np.ndarray:
    """LeNet-300-100 from levels; the pixels are integers as they are."""
    hidden = Fixed(pixels.astype(np.int64), 1 / 255)
    for name in LAYERS:
        levels, step = archive.levels(f"{name}.weight")
        hidden = linear(hidden, levels, step, archive.tensor(f"{name}.bias"))
        hidden = hidden if name == LAYERS[-1] else relu(hidden).narrowed(bits)
    return hidden.levels


def in_floats(network: Any, pixels: np.ndarray) -> np.ndarray:
    hidden = pixels / 255
    for name in LAYERS:
        hidden = hidden @ network[f"{name}.weight"].T.astype(np.float64) + network[f"{name}.bias"]
        hidden = hidden if name == LAYERS[-1] else np.maximum(hidden, 0)
    return hidden


@pytest.mark.shared
@pytest.mark.parametrize("quantizer", ["greedy", "trellis"])
def test_lenet_in_integers_says_what_it_says_in_floats(quantizer: Any, shared: Path) -> None:
    data = gzip.decompress((shared / "datasets" / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784)
    archive = cabacus.open(cabacus.compress(MODEL, snr_db=25, quantizer=quantizer).data)
    floats = in_floats(archive.decoded(archive.keys()), pixels)
    assert np.array_equal(in_integers(archive, pixels, 24).argmax(1), floats.argmax(1))
    differ = in_integers(archive, pixels, 16).argmax(1) != floats.argmax(1)
    assert differ.sum() <= 1  # of 10,000: two outputs that are all but equal
    assert np.all(np.ptp(np.sort(floats[differ], 1)[:, -2:], 1) < 0.003)


def test_lenet_in_integers_on_made_up_images(random: np.random.Generator) -> None:
    pixels = random.integers(0, 256, (200, 784)) * (random.random((200, 784)) < 0.2)
    archive = cabacus.open(cabacus.compress(MODEL, snr_db=25).data)
    integers, floats = in_integers(archive, pixels), in_floats(archive.decoded(archive.keys()), pixels)
    clear = np.sort(floats, 1)[:, -1] - np.sort(floats, 1)[:, -2] > 0.01
    assert clear.sum() > 150
    assert np.array_equal(integers.argmax(1)[clear], floats.argmax(1)[clear])
