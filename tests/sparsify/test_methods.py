"""What the methods promise: sparse weights that still work, deviations that mean something, the model untouched."""

from __future__ import annotations

import copy
import doctest
import importlib
from typing import Any

import numpy as np
import pytest
import torch

from cabacus.errors import InputError
from cabacus.sparsify import Sparse, Training, estimate_sigma, load, magnitude, train, variational

LONG = Training(epochs=30, batch=32, rate=3e-3)
SHORT = Training(epochs=4, batch=32, rate=3e-3)


def accuracy(network: Any, problem: tuple[Any, Any]) -> float:
    with torch.no_grad():
        return float((network.eval()(problem[0]).argmax(1) == problem[1]).float().mean())


def test_variational_finds_the_weights_that_matter(trained: Any, problem: Any) -> None:
    dense = accuracy(trained, problem)
    sparse = variational(trained, problem, LONG)
    assert sparse.density < 0.3
    assert accuracy(load(copy.deepcopy(trained), sparse.weights), problem) > dense - 0.05
    assert sparse.weights.keys() == trained.state_dict().keys()
    assert sparse.sigma.keys() == {"0.weight", "4.weight", "6.weight"}
    for name, sigma in sparse.sigma.items():
        weights = sparse.weights[name]
        assert (sigma.dtype, sigma.shape) == (np.float32, weights.shape)
        assert np.isfinite(sigma).all()
        assert (sigma > 0).all()
        kept = weights != 0
        assert np.all(2 * np.log(sigma[kept]) - np.log(weights[kept] ** 2) <= 3.01)  # log alpha
        assert np.all(sigma[~kept] == sigma[kept].max())


def test_plain_training_learns_and_keeps_all_weights(network: Any, problem: Any) -> None:
    before = copy.deepcopy(network.state_dict())
    result = train(network, problem, SHORT)
    assert accuracy(load(copy.deepcopy(network), result.weights), problem) > 0.9
    assert result.density == 1.0
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_arrays_are_row_major_whatever_the_memory_format(network: Any, problem: Any) -> None:
    last = network.to(memory_format=torch.channels_last)
    sparse = variational(last, problem, Training(epochs=1))
    assert all(array.flags.c_contiguous for array in [*sparse.weights.values(), *sparse.sigma.values()])


def test_a_heavier_prior_prunes_more(trained: Any, problem: Any) -> None:
    densities = [variational(trained, problem, SHORT, prior_weight=weight).density for weight in (0.0, 1.0, 5.0)]
    assert densities[0] > densities[1] > densities[2]


def test_layers_that_are_not_named_stay_dense(trained: Any, problem: Any) -> None:
    sparse = variational(trained, problem, SHORT, layers=["4"], prior_weight=5.0)
    assert sparse.sigma.keys() == {"4.weight"}
    assert sparse.densities()["0.weight"] == sparse.densities()["6.weight"] == 1.0
    assert sparse.densities()["4.weight"] < 1.0


def test_magnitude_keeps_the_share_that_is_asked_for(trained: Any, problem: Any) -> None:
    dense = accuracy(trained, problem)
    sparse = magnitude(trained, problem, SHORT, density=0.15, rounds=3)
    assert sparse.density == pytest.approx(0.15, abs=0.001)
    assert not sparse.sigma
    assert not any(np.signbit(array[array == 0]).any() for array in sparse.weights.values())
    assert accuracy(load(copy.deepcopy(trained), sparse.weights), problem) > dense - 0.05


def test_magnitude_takes_densities_by_layer(trained: Any, problem: Any) -> None:
    sparse = magnitude(trained, problem, SHORT, density={"*": 0.5, "4": 0.05}, rounds=2)
    assert sparse.densities() == pytest.approx({"0.weight": 0.5, "4.weight": 0.05, "6.weight": 0.5}, abs=0.001)
    dense = magnitude(trained, problem, SHORT, density={"4": 0.05}, rounds=1)
    assert dense.densities()["0.weight"] == 1.0


@pytest.mark.parametrize("density", [0, 1.5, {"4": 0.0}, {"fc": 0.5}, {}])
def test_densities_that_cannot_be_are_refused(density: Any, network: Any, problem: Any) -> None:
    with pytest.raises(InputError):
        magnitude(network, problem, SHORT, density=density)


@pytest.mark.parametrize("method", ["variational", "fisher"])
def test_deviations_are_small_where_the_data_needs_the_weight(method: Any, trained: Any, problem: Any) -> None:
    sparse = magnitude(trained, problem, SHORT, density={"4": 0.3}, rounds=1)
    model = load(copy.deepcopy(trained), sparse.weights).train()
    before = copy.deepcopy(model.state_dict())
    images, labels = problem
    blank = images.clone()
    blank[:, :, 4:] = 0  # what the last rows' features weigh no longer matters much
    sigma = estimate_sigma(model, (blank, labels), Training(epochs=10, batch=32, rate=1e-2), method=method)
    assert sigma.keys() == {"0.weight", "4.weight", "6.weight"}
    weights, found = sparse.weights["4.weight"].reshape(16, 4, 6, 6), sigma["4.weight"].reshape(16, 4, 6, 6)
    kept = weights != 0
    assert np.median(found[:, :, :2][kept[:, :, :2]]) < np.median(found[:, :, 5:][kept[:, :, 5:]])
    for array in sigma.values():
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert (array > 0).all()
    assert np.all(found[~kept] == found[kept].max())
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_fisher_is_the_mean_of_squared_gradients(problem: Any) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 4))
    images, labels = problem
    sigma = estimate_sigma(model, (images, labels), method="fisher")["1.weight"]
    with torch.no_grad():
        errors = torch.softmax(model(images), 1) - torch.nn.functional.one_hot(labels, 4)
    squares = (errors**2).T @ images.flatten(1) ** 2
    prior = 1 / (model[1].weight.detach() ** 2).mean()
    assert np.allclose(sigma, ((squares + prior) ** -0.5).numpy(), rtol=1e-3)
    more = estimate_sigma(model, (images, labels), method="fisher", samples=3 * 512)["1.weight"]
    assert np.allclose(more, ((3 * squares + prior) ** -0.5).numpy(), rtol=1e-3)
    with pytest.raises(InputError, match="samples"):
        estimate_sigma(model, (images, labels), samples=100)


def test_normalisation_keeps_its_statistics(trained: Any, problem: Any) -> None:
    before = trained[1].running_mean.clone()
    estimate_sigma(trained, problem, SHORT)
    assert torch.equal(trained[1].running_mean, before)


def test_a_misspelt_method_is_refused(network: Any, problem: Any) -> None:
    with pytest.raises(InputError, match="did you mean 'fisher'"):
        estimate_sigma(network, problem, method="fischer")  # type: ignore[arg-type]


def test_densities_count_matrices_alone() -> None:
    sparse = Sparse({"w": np.array([[1.0, 0.0]]), "b": np.ones(5), "z": np.zeros((1, 2))})
    assert sparse.densities() == {"w": 0.5, "z": 0.0}
    assert sparse.density == 0.25


@pytest.mark.parametrize("name", ["fixed", "layers", "loop", "pruning", "result", "variational"])
def test_examples_of_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"cabacus.sparsify.{name}")
    assert doctest.testmod(module, extraglobs={"torch": torch, "np": np}).failed == 0
