"""The shared loop: kinds of data, repeatable and resumable training, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cabacus.errors import InputError
from cabacus.sparsify import Progress, Training, magnitude, variational
from cabacus.sparsify.loop import Batches

SHORT = Training(epochs=3, batch=64, rate=3e-3)


class Interrupted(Exception):
    """Raised by a progress callback."""


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_pair_comes_in_batches_shuffled_in_each_epoch(problem: Any) -> None:
    batches = Batches(problem, Training(batch=100))
    first, second = ([labels for _, labels in batches.epoch()] for _ in range(2))
    assert (batches.samples, batches.steps, [len(part) for part in first]) == (512, 6, [100] * 5 + [12])
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert torch.equal(torch.cat([labels for _, labels in batches.epoch(as_they_are=True)]), problem[1])


def test_arrays_and_loaders_are_data_too(problem: Any) -> None:
    arrays = Batches((problem[0].numpy(), problem[1].numpy()), Training())
    assert torch.equal(next(arrays.epoch(as_they_are=True))[0], problem[0][:100])
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*problem), batch_size=50)
    assert (Batches(loader, Training()).samples, Batches(loader, Training()).steps) == (512, 11)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((3, 2)), np.zeros(2)), "3 inputs and 2 targets"),
        ((np.zeros((0, 2)), np.zeros(0)), "empty"),
        (zip([], [], strict=True), "once only"),
    ],
)
def test_other_data_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Batches(data, Training())


@pytest.mark.parametrize("field", ["epochs", "batch", "rate"])
def test_settings_out_of_range_are_refused(field: str) -> None:
    with pytest.raises(InputError) as caught:
        Training(**{field: 0})
    assert caught.value.field == field


def test_a_seed_makes_training_repeatable_and_leaves_the_callers_generator(network: Any, problem: Any) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one = variational(network, problem, SHORT)
    assert torch.equal(torch.rand(1), expected)
    other = variational(network, problem, SHORT)
    assert same(one.weights, other.weights)
    assert same(one.sigma, other.sigma)


@pytest.mark.parametrize("method", ["variational", "magnitude"])
def test_an_interrupted_training_goes_on_and_ends_the_same(
    method: str, network: Any, problem: Any, tmp_path: Path
) -> None:
    def train(**options: Any) -> Any:
        if method == "variational":
            return variational(network, problem, SHORT, **options)
        return magnitude(network, problem, SHORT, density=0.3, rounds=2, **options)

    counter = itertools.count(1)

    def interrupt(progress: Progress) -> None:
        if next(counter) == 2:
            raise Interrupted

    whole = train()
    with pytest.raises(Interrupted):
        train(checkpoint=tmp_path / "state.pt", progress=interrupt)
    seen: list[Progress] = []
    resumed = train(checkpoint=tmp_path / "state.pt", progress=seen.append)
    assert seen[0].epoch == 3
    assert same(whole.weights, resumed.weights)


def test_a_checkpoint_of_another_training_is_refused(network: Any, problem: Any, tmp_path: Path) -> None:
    variational(network, problem, Training(epochs=1), checkpoint=tmp_path / "state.pt")
    with pytest.raises(InputError, match="another training"):
        variational(network, problem, Training(epochs=2), checkpoint=tmp_path / "state.pt")


def test_a_loss_that_is_not_finite_ends_the_training(network: Any, problem: Any) -> None:
    def broken(outputs: Any, targets: Any) -> Any:
        return outputs.sum() * float("nan")

    with pytest.raises(InputError, match="lower the rate"):
        variational(network, problem, Training(epochs=1, loss=broken))


def test_progress_says_where_it_stands(network: Any, problem: Any) -> None:
    seen: list[Progress] = []
    variational(network, problem, SHORT, progress=seen.append)
    assert [(item.epoch, item.epochs) for item in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[0].loss > seen[-1].loss > 0
    assert all(0 <= item.density <= 1 for item in seen)


def test_augmentation_sees_each_batch(network: Any, problem: Any) -> None:
    sizes: list[int] = []

    def augment(inputs: Any) -> Any:
        sizes.append(len(inputs))
        return inputs + 0.1 * torch.randn_like(inputs)

    variational(network, problem, Training(epochs=1, batch=256, augment=augment))
    assert sizes == [256, 256]
