"""What other codings of the same levels take: the columns that a table of sizes is to be read against.

Each function takes integer levels of any shape and returns bytes, everything that its decoder needs included but names
and shapes. Streams are measured, not written: a Huffman code's length follows from its counts. Levels that a trellis
chose lie on a grid twice as fine as one quantizer's; these codings do not know which half of it a place may use.
"""

from __future__ import annotations

import heapq
import importlib
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cabacus.errors import InputError

__all__ = ["COLUMNS", "compare", "csr_zstd", "entropy", "han", "huffman", "nncodec"]

Levels = npt.NDArray[np.integer[Any]]
GAP_BITS = range(2, 9)
"""Widths of Han's relative index that are tried; the paper has 5 bits for linear and 8 for convolution layers."""


def entropy(levels: Levels) -> float:
    """The order-0 entropy in bytes: what an ideal code for independent levels takes, without its table.

    >>> entropy(np.array([0, 0, 1, 1] * 8))
    4.0
    """
    counts = np.unique(_checked(levels), return_counts=True)[1]
    return float(-(counts * np.log2(counts / max(1, counts.sum()))).sum() / 8) if counts.size > 1 else 0.0


def huffman(levels: Levels) -> int:
    """A Huffman code with its table: for each distinct level its value and its code's length, 8 bits.

    >>> huffman(np.array([0, 0, 1, 1] * 8))  # 32 bits, and a table of 2 x 2 bytes behind its count
    10
    """
    values, counts = np.unique(_checked(levels), return_counts=True)
    width = 1 + (values.astype(_narrowest(values)).itemsize if values.size else 0)
    return (_code_bits(counts.tolist()) + 7) // 8 + values.size * width + 2


def han(levels: Levels) -> int:
    """Han et al. 2016 (Deep Compression, figures 2 and 5): nonzero levels, and the gaps between them in so many bits,
    a zero level put in where a gap is longer; both streams Huffman-coded with tables. The best width counts.

    >>> han(np.repeat([0, 1], [1000, 1])) < 20
    True
    """
    flat = _checked(levels).ravel()
    places = np.flatnonzero(flat)
    gaps = np.diff(places, prepend=-1) - 1
    return min(_relative(flat[places], gaps, 1 << bits) for bits in GAP_BITS) + 1


def _relative(values: Levels, gaps: npt.NDArray[np.int64], longest: int) -> int:
    """Each gap is fillers, that is gap `longest` - 1 and level 0, and a rest below `longest`."""
    fillers = int((gaps // longest).sum())
    gap_stream = np.concatenate([np.full(fillers, longest - 1), gaps % longest])
    level_stream = np.concatenate([np.zeros(fillers, values.dtype), values])
    return huffman(gap_stream) + huffman(level_stream)


def csr_zstd(levels: Levels) -> int | None:
    """Compressed sparse rows (row starts, columns, levels, each in its narrowest type) through zstd at level 19; None
    where no zstd is installed (Python 3.14 brings one, else the package `zstandard`).
    """
    compress = _zstd()
    if compress is None:
        return None
    matrix = _matrix(levels)
    rows, columns = np.nonzero(matrix)
    starts = np.searchsorted(rows, np.arange(len(matrix) + 1))
    parts = [part.astype(_narrowest(part)).tobytes() for part in (starts, columns, matrix[rows, columns])]
    return len(compress(b"".join([struct.pack("<2I", *matrix.shape), *parts])))


def nncodec(levels: Levels) -> int | None:
    """The streams of nncodec, the implementation of ISO/IEC 15938-17 by the paper's authors, without its container:
    the smallest of plain, with a search of its estimators, and with that and a flag for each row of zeros. None where
    its compiled part is not installed: `pip install --no-deps nncodec 'numpy<2'`. Levels beyond 32 bits raise
    InputError.
    """
    try:
        binding = importlib.import_module("nncodec.extensions.deepCABAC")
    except ImportError:  # or it was compiled for another NumPy
        return None
    matrix = _matrix(levels)
    if not matrix.size:
        return 0
    if max(int(matrix.max()), -int(matrix.min())) >= 1 << 31:
        raise InputError("nncodec has levels of 32 bits; pass smaller ones", field="levels")
    array = np.ascontiguousarray(matrix, np.int32)
    return min(_nncodec_bytes(binding, array, *how) for how in ((0, 0), (1, 0), (1, 1)))


def _nncodec_bytes(binding: Any, array: npt.NDArray[np.int32], search: int, row_skip: int) -> int:
    flags = 11
    rows = (~array.any(axis=1)).astype(np.int32) if row_skip else np.zeros(len(array), np.int32)
    encoder = binding.Encoder()
    encoder.initCtxModels(flags, search)
    no_history = (binding.HdspMode.AlwaysOff, np.zeros(2, np.int8))
    encoder.encodeLayer(array, 0, 0, row_skip, 0, row_skip, rows, *no_history, 0, 0)
    return len(encoder.finish().tobytes())


COLUMNS: dict[str, Callable[[Levels], float | None]] = {
    "order-0 entropy": entropy,
    "Huffman": huffman,
    "relative index + Huffman": han,
    "CSR + zstd": csr_zstd,
    "nncodec": nncodec,
}
"""The codings by the names that tables give them."""


def compare(levels: Mapping[str, Levels]) -> dict[str, int | None]:
    """The bytes of all tensors together, each coded by itself, for each of COLUMNS; None where it cannot be had.

    >>> compare({"w": np.array([[0, 3], [0, 3]])})["order-0 entropy"]
    1
    """
    result: dict[str, int | None] = {}
    for name, column in COLUMNS.items():
        sizes = [column(array) for array in levels.values()]
        known = [size for size in sizes if size is not None]
        result[name] = int(np.ceil(sum(known))) if len(known) == len(sizes) else None
    return result


def _checked(levels: Levels) -> Levels:
    array = np.asarray(levels)
    if array.dtype.kind not in "iu":
        raise InputError(f"levels are {array.dtype}; pass integers", field="levels")
    return array


def _matrix(levels: Levels) -> Levels:
    """The levels as rows, one for each index of the first axis."""
    matrix = _checked(levels)
    height = matrix.shape[0] if matrix.ndim > 1 else 1
    return matrix.reshape(height, matrix.size // max(1, height))


def _code_bits(counts: list[int]) -> int:
    """The bits of all symbols under a Huffman code: the sum of the weights of its inner nodes."""
    heapq.heapify(counts)
    total = 0
    while len(counts) > 1:
        node = heapq.heappop(counts) + heapq.heappop(counts)
        total += node
        heapq.heappush(counts, node)
    return total


def _narrowest(values: Levels) -> np.dtype[Any]:
    """The smallest integer type that holds all values."""
    if not values.size:
        return np.dtype(np.int8)
    low, high = int(values.min()), int(values.max())
    return np.min_scalar_type(min(low, -high - 1) if low < 0 else high)


def _zstd() -> Callable[[bytes], bytes] | None:
    try:
        compress = importlib.import_module("compression.zstd").compress
    except ModuleNotFoundError:
        try:
            compressor = importlib.import_module("zstandard").ZstdCompressor(level=19)
        except ModuleNotFoundError:
            return None
        return lambda data: bytes(compressor.compress(data))
    return lambda data: bytes(compress(data, 19))
