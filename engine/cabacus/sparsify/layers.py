"""Layers with Gaussian weights, by local reparametrisation (Kingma, Salimans, Welling 2015).

Instead of weights, the outputs are drawn: for a layer that is linear in its weights they are Gaussian, too, with mean
f(x, w) and variance f(x^2, sigma^2). One draw an output has less variance than one draw a weight, and is cheaper.
The additive parametrisation (Molchanov et al. 2017, section 4.2) trains log sigma^2 beside the mean.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch.nn import functional

from cabacus import checks
from cabacus.errors import InputError

__all__ = ["Noisy", "noisy_copy", "noisy_layers", "targets"]

KINDS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)
_TINY = 1e-8
"""Keeps the square root and the logarithm away from zero."""


class Noisy(torch.nn.Module):
    """A linear, convolution or transposed convolution layer whose weights are Gaussian while it trains.

    In evaluation mode it is the layer of its means. `weight` and `bias` keep their names, so that the network's state
    keeps them as well. A weight is noisy where `mask`, if there is one, is 1.
    """

    def __init__(self, layer: torch.nn.Module, log_variance: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        super().__init__()
        self.weight = layer.weight
        self.bias = layer.bias
        self.log_variance = torch.nn.Parameter(log_variance)
        self.register_buffer("mask", mask, persistent=False)
        self._apply_weights = _function_of(layer)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        mean = self._apply_weights(inputs, self.weight, self.bias)
        if not self.training:
            return mean
        variance = self._apply_weights(inputs * inputs, self._masked(self.log_variance.exp()), None)
        # Drawn flat: filling a tensor in channels-last order is several times slower.
        noise = torch.randn(mean.numel(), dtype=mean.dtype).as_strided(mean.size(), mean.stride())
        return torch.addcmul(mean, (variance.clamp(min=0) + _TINY).sqrt(), noise)

    def log_alpha(self) -> torch.Tensor:
        """log(sigma^2 / w^2) of each weight."""
        return self.log_variance - torch.log(self.weight * self.weight + _TINY)

    def divergence(self) -> torch.Tensor:
        """The sum of KL(posterior || log-uniform prior) over the weights: Molchanov et al. 2017, eq. 14."""
        log_alpha = self.log_alpha()
        parts = 0.63576 * (1 - torch.sigmoid(1.87320 + 1.48695 * log_alpha)) + 0.5 * functional.softplus(-log_alpha)
        return self._masked(parts).sum()

    def _masked(self, values: torch.Tensor) -> torch.Tensor:
        return values if self.mask is None else values * self.mask


def _function_of(layer: torch.nn.Module) -> Callable[..., torch.Tensor]:
    """The layer as a function of inputs, weights and bias."""
    if isinstance(layer, torch.nn.Linear):
        linear: Callable[..., torch.Tensor] = functional.linear
        return linear
    common = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
    if layer.padding_mode != "zeros":
        raise InputError(f"a convolution pads with {layer.padding_mode!r}; only zeros are supported", field="model")
    transposed = isinstance(layer, torch.nn.ConvTranspose2d)
    call = functional.conv_transpose2d if transposed else functional.conv2d
    options: dict[str, Any] = common | ({"output_padding": layer.output_padding} if transposed else {})

    def convolve(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return call(inputs, weight, bias, **options)

    return convolve


def targets(model: torch.nn.Module, globs: Sequence[str]) -> dict[str, torch.nn.Module]:
    """The layers that can be sparsified and whose names match; raises InputError where a glob matches none."""
    known = {name: layer for name, layer in model.named_modules() if isinstance(layer, KINDS)}
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in known):
            raise InputError(f"no layer matches {glob!r}{checks.near(glob, known)}", field="layers")
    return {name: layer for name, layer in known.items() if any(fnmatchcase(name, glob) for glob in globs)}


def noisy_copy(
    model: torch.nn.Module,
    globs: Sequence[str],
    start: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]],
) -> torch.nn.Module:
    """A copy of the model with its layers made noisy; `start(weight)` gives log sigma^2 and the mask to begin with."""
    if isinstance(model, KINDS):
        raise InputError("model is a single layer; put it into a torch.nn.Sequential", field="model")
    result = copy.deepcopy(model)
    for name, layer in targets(result, globs).items():
        parent, _, own = name.rpartition(".")
        setattr(result.get_submodule(parent), own, Noisy(layer, *start(layer.weight.detach())))
    return result


def noisy_layers(model: torch.nn.Module) -> Iterator[tuple[str, Noisy]]:
    """The noisy layers of a copy, by the names of the original's."""
    yield from ((name, layer) for name, layer in model.named_modules() if isinstance(layer, Noisy))
