"""Noisy layers: their outputs have the distribution that noisy weights would give, and their KL is the paper's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from cabacus.errors import InputError
from cabacus.sparsify.layers import Noisy, noisy_copy, noisy_layers, targets

LAYERS = {
    "linear": (lambda: torch.nn.Linear(6, 5), (1, 6)),
    "convolution": (lambda: torch.nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (1, 4, 5, 5)),
    "transposed": (lambda: torch.nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1), (1, 3, 4, 4)),
}


@pytest.fixture(params=LAYERS)
def layer_and_input(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    torch.manual_seed(1)
    make, shape = LAYERS[request.param]
    return make(), torch.randn(shape)


def noisy(layer: Any, log_variance: float = -3.0) -> Noisy:
    return Noisy(layer, torch.full_like(layer.weight.detach(), log_variance))


def test_outputs_vary_as_with_noisy_weights(layer_and_input: tuple[Any, Any]) -> None:
    layer, one = layer_and_input
    draws = 4000
    drawn = noisy(layer)(one.expand(draws, *one.shape[1:]))
    weights = layer.weight.detach().clone()
    direct = []
    with torch.no_grad():
        for _ in range(draws):
            layer.weight.copy_(weights + torch.randn_like(weights) * np.exp(-1.5))
            direct.append(layer(one)[0])
    expected = torch.stack(direct)
    assert torch.allclose(drawn.mean(0), expected.mean(0), atol=0.1)
    assert torch.allclose(drawn.std(0), expected.std(0), rtol=0.1, atol=1e-3)


def test_in_evaluation_it_is_the_layer_of_the_means(layer_and_input: tuple[Any, Any]) -> None:
    layer, one = layer_and_input
    assert torch.equal(noisy(layer).eval()(one), layer(one))


def test_masked_weights_have_no_noise(layer_and_input: tuple[Any, Any]) -> None:
    layer, one = layer_and_input
    weight = layer.weight.detach()
    still = Noisy(layer, torch.zeros_like(weight), torch.zeros_like(weight))
    assert torch.allclose(still(one), layer(one), atol=1e-3)
    assert float(still.divergence().detach()) == 0.0


def test_divergence_falls_with_alpha_from_the_exact_slope_to_zero() -> None:
    layer = torch.nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    values = [float(noisy(layer, log_alpha).divergence().detach()) for log_alpha in (-20.0, -10.0, 0.0, 3.0, 20.0)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[1] == pytest.approx(5.0, abs=1e-3)  # -1/2 log alpha where alpha is small
    assert values[-1] == pytest.approx(0.0, abs=1e-4)
    # The exact divergence, by numeric integration, up to the constant of the improper prior: eq. 14 is off by < 0.01.
    normal = np.random.default_rng(0).standard_normal(400_000)

    def exact(log_alpha: float) -> float:
        return -0.5 * log_alpha + float(np.mean(np.log(np.abs(1 + np.exp(log_alpha / 2) * normal) + 1e-300)))

    assert values[2] - values[3] == pytest.approx(exact(0.0) - exact(3.0), abs=0.02)


def test_a_copy_keeps_the_names_and_leaves_the_model(network: Any) -> None:
    before = copy.deepcopy(network.state_dict())
    made = noisy_copy(network, ["*"], lambda weight: (torch.zeros_like(weight), None))
    assert [name for name, _ in noisy_layers(made)] == ["0", "4", "6"]
    assert set(before) <= set(made.state_dict())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_layers_are_chosen_by_name(network: Any) -> None:
    assert list(targets(network, ["4", "0"])) == ["0", "4"]
    with pytest.raises(InputError, match="no layer matches 'fc'"):
        targets(network, ["fc"])


def test_what_cannot_be_wrapped_is_refused() -> None:
    def start(weight: Any) -> tuple[Any, Any]:
        return torch.zeros_like(weight), None

    with pytest.raises(InputError, match="single layer"):
        noisy_copy(torch.nn.Linear(2, 2), ["*"], start)
    reflecting = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(InputError, match="only zeros"):
        noisy_copy(reflecting, ["*"], start)
