"""Many small tensors share the probabilities that their levels start from."""

from __future__ import annotations

import numpy as np
import pytest

import cabacus
from cabacus import _core
from cabacus.container import outline
from cabacus.exact import Manner, code_integers
from cabacus.limits import DEFAULT_LIMITS
from cabacus.pooling import share_starts


def laplacian(count: int, seed: int, scale: float = 3.0) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).laplace(0, scale, (count, 32, 32))).astype(np.int32)


def test_many_small_tensors_take_few_bytes_beyond_their_entropy() -> None:
    stack = laplacian(200, 1)
    data = cabacus.encode_levels({str(index): one for index, one in enumerate(stack)})
    counts = [np.unique(one, return_counts=True)[1] / one.size for one in stack]
    entropy = sum(float(-(p * np.log2(p)).sum()) * 1024 / 8 for p in counts)
    assert len(data) < entropy + 24 * len(stack)
    back = cabacus.decode_levels(data)
    assert all(np.array_equal(back[str(index)], one) for index, one in enumerate(stack))


def test_levels_stay_and_slices_become_smaller() -> None:
    stack = laplacian(40, 2)
    alone = [code_integers(str(index), one, Manner(), offset=0) for index, one in enumerate(stack)]
    sizes = [one.bytes for one in alone if one is not None]
    pooled = share_starts([one for one in alone if one is not None])
    assert sum(one.bytes for one in pooled) < sum(sizes) - 100
    starts = [one.record.levels for one in pooled if one.record.levels.start]
    assert len(starts) > 30
    assert all(levels == starts[0] for levels in starts)
    for one, array in zip(pooled, stack, strict=True):
        assert one.record.slice_bytes == [one.bytes]
        assert np.array_equal(_core.decode_levels(b"".join(one.pieces), one.record, 0, 1), array.ravel())


def test_the_dependent_quantizers_weights_stay() -> None:
    weights = {str(index): one.astype(np.float32) for index, one in enumerate(laplacian(40, 3))}
    together = cabacus.compress(weights, step=0.3, quantizer="trellis")
    back = cabacus.decompress(together.data)
    for name, one in weights.items():
        apart = cabacus.compress({name: one}, step=0.3, quantizer="trellis")
        assert np.array_equal(back[name], cabacus.decompress(apart.data)[name])
    assert any(record.levels.start and record.levels.trellis for record in records_of(together.data))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_tensors_stay_as_they_are(count: int) -> None:
    coded = [code_integers(str(i), one, Manner(), offset=0) for i, one in enumerate(laplacian(count, 4))]
    before = [one.pieces for one in coded if one is not None]
    assert [one.pieces for one in share_starts([one for one in coded if one is not None])] == before


def test_what_is_pinned_stays_pinned() -> None:
    weights = {str(index): one.astype(np.float32) for index, one in enumerate(laplacian(20, 5))}
    data = cabacus.compress(weights, step=1.0, rules=[("*", {"context": "paper"})]).data
    assert all(record.levels.context == 0 and not record.levels.start for record in records_of(data))
    assert any(record.levels.start for record in records_of(cabacus.compress(weights, step=1.0).data))


def records_of(data: bytes) -> list[_core.Record]:
    return outline(memoryview(data), DEFAULT_LIMITS).records
