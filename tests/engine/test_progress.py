"""Progress in steps, in tensors and in bytes: it rises to its end, and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from heard import Heard

import cabacus


def weights(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).laplace(0, 0.05, shape).astype(np.float32)


def model() -> dict[str, Any]:
    """Tensors of the usual kinds; one is the same as another, and done with it."""
    tensors: dict[str, Any] = {f"layer{number}": weights(40, 50, seed=number) for number in range(3)}
    return tensors | {"tied": tensors["layer1"], "bias": weights(40), "steps": np.arange(4, dtype=np.int64)}


def check(heard: Heard, tensors: dict[str, Any]) -> None:
    size = sum(array.nbytes for array in tensors.values())
    assert heard.seen[-1] == (len(tensors), len(tensors), size, size)
    assert heard.seen == sorted(set(heard.seen))
    assert heard.steps[-1][0] == heard.steps[-1][1]


@pytest.mark.parametrize("options", [{"snr_db": 30}, {"step": 0.01}, {"ratio": 6}, {"rules": ["*:keep"]}])
def test_tensors_and_bytes_of_a_compression(options: Any) -> None:
    tensors, heard = model(), Heard()
    compressed = cabacus.compress(tensors, progress=heard, **options)
    assert compressed.data == cabacus.compress(tensors, **options).data
    check(heard, tensors)
    assert heard.seen[0][0] == 2 or "rules" in options  # what is stored exactly is done at once


def test_what_is_to_be_done_is_told_before_any_of_it_is() -> None:
    heard = Heard()
    cabacus.compress({"w": weights(40, 50)}, snr_db=30, progress=heard)
    assert heard.seen == [(0, 1, 0, 8000), (1, 1, 8000, 8000)]


def test_tensors_that_are_found_to_be_better_off_exact_count_once() -> None:
    tensors = model() | {"binary": np.where(weights(30, 40, seed=9) > 0, 1.0, -1.0)}
    heard = Heard()
    cabacus.compress(tensors, snr_db=90, progress=heard)
    check(heard, tensors)


def test_tensors_and_bytes_of_a_sweep() -> None:
    tensors, heard = model(), Heard()
    sigma = {name: np.full(array.shape, 0.02) for name, array in tensors.items() if array.ndim == 2}
    cabacus.sweep(tensors, sigma=sigma, s=range(0, 200, 20), quantizer="greedy", progress=heard)
    check(heard, tensors)


def test_a_callback_of_steps_is_told_of_nothing_else() -> None:
    seen: list[tuple[int, int]] = []
    cabacus.compress(model(), snr_db=30, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    cabacus.compress(model(), snr_db=30, progress=cabacus.Progress())
