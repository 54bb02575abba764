"""SqueezeNet v1.0, pruned and with shared weights by Han et al.: the same network bit for bit, in fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import cabacus

__all__ = ["PUBLISHED_BYTES", "lossless", "squeezenet"]

PUBLISHED_BYTES = 675_763
"""The published file, which has gaps of 4 bits, codes of 8 bits, and a codebook for each layer."""


def lossless(models: Path) -> tuple[int, float, float]:
    """Compress and compare bit for bit: bytes, size and nonzero weights in percent. ValueError if a bit differs."""
    tensors = cabacus.read(models / "squeezenet10_imagenet_deepcompressed.safetensors")
    compressed = cabacus.compress(tensors, rules=["*:keep"], effort="max")
    decoded = cabacus.decompress(compressed.data)
    for name, array in tensors.items():
        if not np.array_equal(np.asarray(decoded[name]).view(np.uint32), np.asarray(array).view(np.uint32)):
            raise ValueError(f"{name} has not come back as it was")
    size, matrices = len(compressed.data), [array for array in tensors.values() if array.ndim > 1]
    density = 100 * sum(int(np.count_nonzero(array)) for array in matrices) / sum(array.size for array in matrices)
    return size, 100 * size / compressed.report.original_bytes, density


def squeezenet(size: int, percent: float, density: float) -> str:
    """What `lossless` found, as a line.

    >>> squeezenet(500_000, 10.0, 33.0)
    'SqueezeNet v1.0, ImageNet: 33.00 % nonzero, 500,000 bytes, 10.00 %, the same bits; published 675,763 bytes'
    """
    return (
        f"SqueezeNet v1.0, ImageNet: {density:.2f} % nonzero, {size:,} bytes, {percent:.2f} %, the same bits; "
        f"published {PUBLISHED_BYTES:,} bytes"
    )
