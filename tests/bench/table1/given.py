"""Networks that others trained, under the names and in the layouts of `networks`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import cabacus

__all__ = ["mobilenet", "resnet20"]

PARTS = {
    "beta": "bias",
    "gamma": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
}
"""What torch calls the parts of a layer that TensorFlow calls so."""


def mobilenet(folder: Path) -> dict[str, np.ndarray]:
    """MobileNet-v1 0.75 of ImageNet: TensorFlow's kernels turned into (outputs, inputs, height, width)."""
    result = {}
    for name, array in cabacus.read(folder / "mobilenet_v1_075_224_imagenet.safetensors").items():
        layer, _, part = name.partition("/")
        axes = {"kernel": (3, 2, 0, 1), "depthwise_kernel": (2, 3, 0, 1)}.get(part, (0,))
        result[f"{layer}.{PARTS[part]}"] = np.ascontiguousarray(np.transpose(array, axes))
    return result


def resnet20(folder: Path) -> dict[str, np.ndarray]:
    """ResNet-20 of CIFAR10."""
    tensors: Mapping[str, np.ndarray] = cabacus.read(folder / "resnet20_cifar10.safetensors")
    return {name.removeprefix("module."): array for name, array in tensors.items()}
