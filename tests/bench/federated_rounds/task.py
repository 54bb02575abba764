"""What is learned: MNIST by LeNet-300-100, in NumPy, as fast as one thread goes."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Model = dict[str, Any]
RATE, BATCH = 0.05, 20
"""Of the clients' SGD."""


@dataclass(frozen=True, slots=True)
class Data:
    """Images as float32 rows in [0, 1] and labels; those that are judged are no part of those that are learned."""

    images: Any
    labels: Any
    test_images: Any
    test_labels: Any


def mnist(folder: Path | None, train: int, test: int, *, tuning: bool = False) -> Data:
    """The first of the training and test images; made up where there is no folder.

    tuning: the last `test` of the training images are judged instead, and not learned: for choosing settings.
    """
    if folder is None:
        images, labels = made_up(train + test)
        return Data(images[:train], labels[:train], images[train:], labels[train:])
    images, labels = read(folder, "train")
    if tuning:
        train = min(train, len(images) - test)
        return Data(images[:train], labels[:train], images[-test:], labels[-test:])
    test_images, test_labels = read(folder, "t10k")
    return Data(images[:train], labels[:train], test_images[:test], test_labels[:test])


def read(folder: Path, name: str) -> tuple[Any, Any]:
    """Images and labels of two idx files."""
    pixels = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 784).astype(np.float32) / 255
    return images, np.frombuffer(labels, np.uint8).astype(np.int64)


def made_up(count: int) -> tuple[Any, Any]:
    """Ten sparse patterns under noise."""
    chance = np.random.default_rng(0)
    centers = chance.random((10, 784), np.float32) * (chance.random((10, 784)) < 0.2)
    labels = chance.integers(0, 10, count)
    return (centers[labels] + chance.normal(0, 0.25, (count, 784))).astype(np.float32), labels


def lenet(seed: int) -> Model:
    """LeNet-300-100 with He's initial weights."""
    chance, model = np.random.default_rng(seed), {}
    for number, (inputs, outputs) in enumerate(((784, 300), (300, 100), (100, 10)), 1):
        weights = chance.normal(0, math.sqrt(2 / inputs), (outputs, inputs))
        model |= {f"fc{number}.weight": weights.astype(np.float32), f"fc{number}.bias": np.zeros(outputs, np.float32)}
    return model


@dataclass(frozen=True, slots=True)
class Client:
    """A client's share. `columns` are the pixels that are not 0 in all of its images: the others have no gradient."""

    columns: Any
    images: Any
    hot: Any

    @classmethod
    def of(cls, data: Data, rows: Any) -> Client:
        """The client that has these rows."""
        mine = data.images[rows]
        columns = np.flatnonzero(mine.any(0))
        return cls(columns, np.ascontiguousarray(mine[:, columns]), np.eye(10, dtype=np.float32)[data.labels[rows]])

    def trained(self, model: Model, chance: np.random.Generator) -> Model:
        """One epoch of SGD in a random order. Activations are columns, so that no product copies a transpose."""
        local = {name: value.copy() for name, value in model.items()}
        first, second, third = (
            np.ascontiguousarray(local["fc1.weight"][:, self.columns]),
            *(local[f"fc{number}.weight"] for number in (2, 3)),
        )
        step = np.empty_like(first)
        biases = [local[f"fc{number}.bias"] for number in (1, 2, 3)]
        for images, hot in self._batches(chance.permutation(len(self.images))):
            one = np.maximum(first @ images.T + biases[0][:, None], 0)
            two = np.maximum(second @ one + biases[1][:, None], 0)
            out = third @ two + biases[2][:, None]
            slope = np.exp(out - out.max(0))
            slope /= slope.sum(0)
            slope -= hot.T
            slope *= RATE / len(images)
            back_two = (third.T @ slope) * (two > 0)
            back_one = (second.T @ back_two) * (one > 0)
            third -= slope @ two.T
            second -= back_two @ one.T
            np.matmul(back_one, images, out=step)
            first -= step
            for bias, change in zip(biases, (back_one, back_two, slope), strict=True):
                bias -= change.sum(1)
        local["fc1.weight"][:, self.columns] = first
        return local

    def _batches(self, order: Any) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield self.images[rows], self.hot[rows]


def accuracy(model: Model, data: Data) -> float:
    """Percent of the test images told right."""
    values = data.test_images
    for number in (1, 2, 3):
        values = values @ model[f"fc{number}.weight"].T + model[f"fc{number}.bias"]
        values = np.maximum(values, 0) if number < 3 else values
    return 100 * float((values.argmax(1) == data.test_labels).mean())


def shards(labels: Any, clients: int, alpha: float | None, seed: int) -> list[Any]:
    """Indices of each client's images: equal shares, or each class spread by Dirichlet(alpha)."""
    chance = np.random.default_rng(seed)
    if alpha is None:
        return np.array_split(chance.permutation(len(labels)), clients)
    parts: list[list[Any]] = [[] for _ in range(clients)]
    for label in range(10):
        rows = chance.permutation(np.flatnonzero(labels == label))
        ends = (np.cumsum(chance.dirichlet([alpha] * clients))[:-1] * len(rows)).astype(int)
        for part, some in zip(parts, np.split(rows, ends), strict=True):
            part.append(some)
    return [np.concatenate(part) for part in parts]
