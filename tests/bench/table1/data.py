"""MNIST and CIFAR10 in memory, split once: training images, 5,000 of them held out for every choice, test images."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

__all__ = ["HELD_OUT", "Pair", "Split", "cifar10", "mnist", "shifted"]

HELD_OUT = 5_000
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Split:
    """Pairs (images, targets). `test` is read once, when everything is chosen."""

    train: Pair
    held_out: Pair
    test: Pair

    def short(self, count: int = 500) -> Split:
        """The first images of each part, to see that a script runs."""
        train, held_out, test = (
            (images[:count], targets[:count]) for images, targets in (self.train, self.held_out, self.test)
        )
        return Split(train, held_out, test)


def mnist(folder: Path) -> Split:
    """The four idx files: images (n, 1, 28, 28) float32 from 0 to 1. The last training images are held out."""
    pairs = []
    for part in ("train", "t10k"):
        pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        images = torch.from_numpy(np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 1, 28, 28) / np.float32(255))
        pairs.append((images, torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))))
    (images, labels), test = pairs
    return Split((images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:]), (test[0], test[1]))


def cifar10(folder: Path, seed: int = 10) -> Split:
    """The JPEG-compressed images as their own targets, (n, 3, 32, 32) float32 from 0 to 1; the held-out ones are
    drawn by `seed`, because the files are sorted by class.
    """
    images = _decoded(folder / "cifar10_train_jpeg.npz")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    held_out, train, test = (
        images[order[:HELD_OUT]],
        images[order[HELD_OUT:]],
        _decoded(folder / "cifar10_test_jpeg.npz"),
    )
    return Split((train, train), (held_out, held_out), (test, test))


def _decoded(path: Path) -> torch.Tensor:
    with np.load(path) as file:
        data, offsets = file["data"].tobytes(), file["offsets"]
    images = [np.asarray(Image.open(io.BytesIO(data[a:b]))) for a, b in pairwise(offsets)]
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2) / np.float32(255))


def shifted(images: torch.Tensor, most: int = 2) -> torch.Tensor:
    """Each image moved by up to `most` pixels in both directions; zeros come in from the border."""
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
