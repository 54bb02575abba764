"""Trains LeNet-300-100 on MNIST, with NumPy alone: a few minutes on one core.

    python train.py MNIST_FOLDER --validate    settings are judged on 5,000 training images that are held out
    python train.py MNIST_FOLDER               the network: all 60,000 images; the test images are read once, at the end

Momentum SGD with weight decay; each image is moved by up to two pixels, anew in every epoch. The same seed gives the
same network on the same machine and BLAS.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is loaded

import argparse
import time
from pathlib import Path

import numpy as np
from lenet300 import LAYERS, SIDE, WIDTHS, accuracy, inputs, read_images, read_labels, read_test

import cabacus

SEED = 300100
HELD_OUT = 5_000
BATCH = 100
LEARNING_RATE = 0.1
"""At the start; it falls to zero along half a cosine."""
MOMENTUM = 0.9
WEIGHT_DECAY = 2e-4
SHIFT = 2
"""Pixels by which an image is moved at most, in both directions."""

Network = dict[str, np.ndarray]


def start(random: np.random.Generator) -> Network:
    """Weights by He's rule, biases zero."""
    network: Network = {}
    for layer, fan_in, fan_out in zip(LAYERS, WIDTHS, WIDTHS[1:], strict=False):
        scale = np.sqrt(2 / fan_in)
        network[f"{layer}.weight"] = (random.standard_normal((fan_out, fan_in)) * scale).astype(np.float32)
        network[f"{layer}.bias"] = np.zeros(fan_out, np.float32)
    return network


def gradients(network: Network, pixels: np.ndarray, labels: np.ndarray) -> Network:
    """The gradients of the mean cross-entropy of a batch."""
    activations = [pixels]
    for layer in LAYERS:
        outputs = activations[-1] @ network[f"{layer}.weight"].T + network[f"{layer}.bias"]
        activations.append(outputs if layer == LAYERS[-1] else np.maximum(outputs, 0))
    outputs = activations.pop()
    errors = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    errors /= errors.sum(axis=1, keepdims=True)
    errors[np.arange(len(labels)), labels] -= 1
    errors /= len(labels)
    result: Network = {}
    for layer, activation in zip(reversed(LAYERS), reversed(activations), strict=True):
        result[f"{layer}.weight"] = errors.T @ activation
        result[f"{layer}.bias"] = errors.sum(axis=0)
        errors = (errors @ network[f"{layer}.weight"]) * (activation > 0)
    return result


def moved(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each image moved by a random whole number of pixels in both directions; zeros come in from the border."""
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
    down, right = random.integers(0, 2 * SHIFT + 1, (2, len(images)))
    return views[np.arange(len(images)), down, right]


def train(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> Network:
    """Train a network from scratch."""
    random = np.random.default_rng(seed)
    network = start(random)
    velocity = {name: np.zeros_like(value) for name, value in network.items()}
    batches = len(images) // BATCH
    for epoch in range(epochs):
        began = time.perf_counter()
        order = random.permutation(len(images))
        pixels, answers = inputs(moved(images[order], random)), labels[order]
        for batch in range(batches):
            part = slice(batch * BATCH, (batch + 1) * BATCH)
            rate = LEARNING_RATE / 2 * (1 + np.cos(np.pi * (epoch + batch / batches) / epochs))
            for name, gradient in gradients(network, pixels[part], answers[part]).items():
                if name.endswith(".weight"):
                    gradient += WEIGHT_DECAY * network[name]
                velocity[name] *= MOMENTUM
                velocity[name] -= np.float32(rate) * gradient
                network[name] += velocity[name]
        print(f"epoch {epoch + 1:3d} of {epochs}, {time.perf_counter() - began:.1f} s", flush=True)
    return network


def main() -> None:
    """Train, judge, and write the network unless it is for validation only."""
    parser = argparse.ArgumentParser(description="Trains LeNet-300-100 on MNIST")
    parser.add_argument("mnist", type=Path, metavar="MNIST_FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("lenet300.safetensors"))
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--validate", action="store_true", help=f"hold out {HELD_OUT} images, judge on them, write nothing"
    )
    arguments = parser.parse_args()

    images = read_images(arguments.mnist / "train-images-idx3-ubyte.gz")
    labels = read_labels(arguments.mnist / "train-labels-idx1-ubyte.gz")
    if arguments.validate:
        network = train(images[:-HELD_OUT], labels[:-HELD_OUT], arguments.epochs, arguments.seed)
        print(
            f"accuracy on the held-out images {100 * accuracy(network, images[-HELD_OUT:], labels[-HELD_OUT:]):.2f} %"
        )
        return
    network = train(images, labels, arguments.epochs, arguments.seed)
    reached = accuracy(network, *read_test(arguments.mnist))
    print(f"accuracy on the test images {100 * reached:.2f} %")
    metadata = {
        "model": "LeNet-300-100",
        "data": "MNIST, all 60,000 training images",
        "accuracy": f"{100 * reached:.2f} % top-1 of the 10,000 test images",
        "seed": str(arguments.seed),
        "epochs": str(arguments.epochs),
        "script": "engine/examples/lenet300/train.py",
    }
    cabacus.write(arguments.output, network, metadata)


if __name__ == "__main__":
    main()
