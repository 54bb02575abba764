"""LeNet-300-100 and its accuracy on MNIST's test images, with NumPy alone.

    python lenet300.py MNIST_FOLDER lenet300.safetensors [model.cabac ...]

prints the accuracy of each file, compressed or not. MNIST_FOLDER holds the four `*-ubyte.gz` files.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import cabacus

LAYERS = ("fc1", "fc2", "fc3")
WIDTHS = (784, 300, 100, 10)
SIDE = 28
"""Rows and columns of an image."""


def read_images(path: Path) -> np.ndarray:
    """The images of an idx3 file as (count, 28, 28) uint8."""
    data = gzip.decompress(path.read_bytes())
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, SIDE, SIDE)


def read_labels(path: Path) -> np.ndarray:
    """The labels of an idx1 file as (count,) uint8."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=8)


def read_test(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's 10,000 test images and their labels."""
    return read_images(folder / "t10k-images-idx3-ubyte.gz"), read_labels(folder / "t10k-labels-idx1-ubyte.gz")


def inputs(images: np.ndarray) -> np.ndarray:
    """Images (count, 28, 28) as rows of pixels from 0 to 1, (count, 784) float32."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def scores(network: Mapping[str, np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """The ten outputs for each row of pixels. Weights are (outputs, inputs), as in PyTorch."""
    hidden = pixels
    for layer in LAYERS[:-1]:
        hidden = np.maximum(hidden @ network[f"{layer}.weight"].T + network[f"{layer}.bias"], 0)
    return hidden @ network[f"{LAYERS[-1]}.weight"].T + network[f"{LAYERS[-1]}.bias"]


def accuracy(network: Mapping[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 accuracy from 0 to 1."""
    return float(np.mean(scores(network, inputs(images)).argmax(axis=1) == labels))


def load(path: Path) -> Mapping[str, np.ndarray]:
    """The tensors of a safetensors, npz or compressed file."""
    return cabacus.decompress(path) if path.suffix == ".cabac" else cabacus.read(path)


def main() -> None:
    """Print the accuracy of each file."""
    parser = argparse.ArgumentParser(description="Accuracy of LeNet-300-100 on MNIST's test images")
    parser.add_argument("mnist", type=Path, metavar="MNIST_FOLDER")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    images, labels = read_test(arguments.mnist)
    for path in arguments.files:
        print(f"{100 * accuracy(load(path), images, labels):.2f} %  {path.stat().st_size:,} bytes  {path}")


if __name__ == "__main__":
    main()
