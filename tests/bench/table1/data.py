"""MNIST, CIFAR10 and a thousand ImageNet images in memory, split once: to train with, to choose by, to test."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

__all__ = [
    "HELD_OUT",
    "Pair",
    "Split",
    "cifar10",
    "cifar10_labelled",
    "imagenet",
    "labelled",
    "mirrored",
    "mnist",
    "shifted",
]

HELD_OUT = 5_000
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Split:
    """Pairs (images, targets). `test` is read once, when everything is chosen."""

    train: Pair
    held_out: Pair
    test: Pair

    def normalised(self, mean: Sequence[float], deviation: Sequence[float]) -> Split:
        """Each colour shifted and scaled."""
        shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, deviation))
        train, held_out, test = (
            ((images - shift) / scale, targets) for images, targets in (self.train, self.held_out, self.test)
        )
        return Split(train, held_out, test)


def mnist(folder: Path, most: int | None = None) -> Split:
    """The four idx files: images (n, 1, 28, 28) float32 from 0 to 1. The last training images are held out. Here and
    below: of each part not more than `most`, to see that a script runs.
    """
    pairs = []
    for part in ("train", "t10k"):
        pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        images = torch.from_numpy(np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 1, 28, 28) / np.float32(255))
        pairs.append((images, torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))))
    (images, labels), test = pairs
    parts = ((images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:]), test)
    return Split(*((some[:most], others[:most]) for some, others in parts))


def cifar10(folder: Path, most: int | None = None, seed: int = 10) -> Split:
    """The JPEG-compressed images as their own targets, (n, 3, 32, 32) float32 from 0 to 1; the held-out ones are
    drawn by `seed`, because the files are sorted by class.
    """
    split = cifar10_labelled(folder, most, seed)
    train, held_out, test = ((images, images) for images, _ in (split.train, split.held_out, split.test))
    return Split(train, held_out, test)


def cifar10_labelled(folder: Path, most: int | None = None, seed: int = 10) -> Split:
    """The same images and split with their classes 0 to 9."""
    order = torch.randperm(50_000, generator=torch.Generator().manual_seed(seed)).numpy()
    parts = (("train", order[HELD_OUT:]), ("train", order[:HELD_OUT]), ("test", np.arange(10_000)))
    return Split(*(labelled(folder / f"cifar10_{name}_jpeg.npz", chosen[:most]) for name, chosen in parts))


def imagenet(folder: Path, most: int | None = None, seed: int = 10) -> Split:
    """An image of each class, the middle (n, 3, 224, 224) float32 from -1 to 1, drawn by `seed`: a quarter of them to
    estimate with, a quarter to choose by, half to test. What is chosen by the images that sigma was estimated with
    does not carry over to others.
    """
    order = torch.randperm(1_000, generator=torch.Generator().manual_seed(seed)).numpy()
    file = folder / "imagenet1000_256px_jpeg.npz"
    middle = slice(16, 240)

    def part(chosen: np.ndarray) -> Pair:
        images, labels = labelled(file, chosen[:most])
        return 2 * images[:, :, middle, middle] - 1, labels

    return Split(part(order[:250]), part(order[250:500]), part(order[500:]))


def labelled(path: Path, chosen: np.ndarray) -> Pair:
    """The images with these numbers, (n, 3, height, width) float32 from 0 to 1, and their labels, int64."""
    with np.load(path) as file:
        data, offsets, labels = file["data"].tobytes(), file["offsets"], file["labels"][chosen].astype(np.int64)
    streams = (io.BytesIO(data[offsets[number] : offsets[number + 1]]) for number in chosen)
    pixels = np.stack([np.asarray(Image.open(stream).convert("RGB")) for stream in streams])
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(255)), torch.from_numpy(labels)


def mirrored(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to four pixels in both directions, and half of them mirrored."""
    moved = shifted(images, 4)
    return torch.where((torch.rand(len(images)) < 0.5)[:, None, None, None], moved.flip(3), moved)


def shifted(images: torch.Tensor, most: int = 2) -> torch.Tensor:
    """Each image moved by up to `most` pixels in both directions; zeros come in from the border."""
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
