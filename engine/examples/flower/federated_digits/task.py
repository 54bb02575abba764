"""What is learned: digits, by a network of two layers in NumPy. Nothing here knows of Flower or of coding."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Model = dict[str, Any]
TRAIN, TEST = 4000, 1000
"""Digits that are made up where there is no data."""


@cache
def digits(folder: str) -> tuple[Any, Any, Any, Any]:
    """Images (rows of 784, float32 in [0, 1]) and labels, for training and for judging."""
    if not folder:
        return _made_up()
    found = []
    for name in ("train", "t10k"):
        pixels = gzip.decompress((Path(folder) / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((Path(folder) / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
        found.append(np.frombuffer(pixels, np.uint8).reshape(-1, 784).astype(np.float32) / 255)
        found.append(np.frombuffer(labels, np.uint8).astype(np.int64))
    return found[0], found[1], found[2], found[3]


def _made_up() -> tuple[Any, Any, Any, Any]:
    """Ten strokes, each shifted, scaled and covered by noise: learnable, and not at once."""
    chance = np.random.default_rng(7)
    strokes = (chance.random((10, 28, 28)) < 0.12).astype(np.float32)
    for _ in range(2):
        strokes += np.roll(strokes, 1, 1) + np.roll(strokes, 1, 2)
    strokes = np.minimum(strokes / 3, 1)
    strokes[:, :4], strokes[:, -4:], strokes[:, :, :4], strokes[:, :, -4:] = 0, 0, 0, 0
    labels = chance.integers(0, 10, TRAIN + TEST)
    shifts = chance.integers(-2, 3, (len(labels), 2))
    images = np.stack([np.roll(strokes[label], shift, (0, 1)) for label, shift in zip(labels, shifts, strict=True)])
    images = images * chance.uniform(0.3, 1, (len(labels), 1, 1)) + chance.normal(0, 0.35, images.shape)
    rows = images.reshape(-1, 784).astype(np.float32)
    return rows[:TRAIN], labels[:TRAIN], rows[TRAIN:], labels[TRAIN:]


def share(labels: Any, client: int, clients: int, alpha: float) -> Any:
    """Rows of one client: an equal part, or each class spread by Dirichlet(alpha)."""
    chance = np.random.default_rng(1)
    if not alpha:
        return np.array_split(chance.permutation(len(labels)), clients)[client]
    rows = []
    for label in range(10):
        found = chance.permutation(np.flatnonzero(labels == label))
        ends = (np.cumsum(chance.dirichlet([alpha] * clients))[:-1] * len(found)).astype(int)
        rows.append(np.split(found, ends)[client])
    return np.concatenate(rows)


def network(hidden: int = 200) -> Model:
    """The first model, the same wherever it is made."""
    chance = np.random.default_rng(0)
    return {
        "fc1.weight": chance.normal(0, 0.05, (hidden, 784)).astype(np.float32),
        "fc1.bias": np.zeros(hidden, np.float32),
        "fc2.weight": chance.normal(0, 0.1, (10, hidden)).astype(np.float32),
        "fc2.bias": np.zeros(10, np.float32),
    }


def train(
    model: Model, images: Any, labels: Any, seed: int, rate: float = 0.05, batch: int = 20
) -> tuple[Model, float]:
    """One epoch of SGD; the new model and the mean loss."""
    local = {name: value.copy() for name, value in model.items()}
    order = np.random.default_rng(seed).permutation(len(labels))
    hot = np.eye(10, dtype=np.float32)
    loss = 0.0
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        inputs = images[rows]
        hidden = np.maximum(inputs @ local["fc1.weight"].T + local["fc1.bias"], 0)
        slope = _softmax(hidden @ local["fc2.weight"].T + local["fc2.bias"])
        loss -= float(np.log(slope[np.arange(len(rows)), labels[rows]] + 1e-9).sum())
        slope = (slope - hot[labels[rows]]) * (rate / len(rows))
        back = (slope @ local["fc2.weight"]) * (hidden > 0)
        for name, change in (
            ("fc2.weight", slope.T @ hidden),
            ("fc2.bias", slope.sum(0)),
            ("fc1.weight", back.T @ inputs),
            ("fc1.bias", back.sum(0)),
        ):
            local[name] -= change
    return local, loss / max(len(order), 1)


def accuracy(model: Model, images: Any, labels: Any) -> float:
    """Percent told right."""
    hidden = np.maximum(images @ model["fc1.weight"].T + model["fc1.bias"], 0)
    told = (hidden @ model["fc2.weight"].T + model["fc2.bias"]).argmax(1)
    return 100 * float((told == labels).mean())


def _softmax(values: Any) -> Any:
    found = np.exp(values - values.max(1, keepdims=True))
    return found / found.sum(1, keepdims=True)
