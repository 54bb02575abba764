"""Deviations of a network whose weights stay as they are: the paper's second route, for networks pruned otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from cabacus import checks
from cabacus.errors import InputError
from cabacus.sparsify.layers import noisy_copy, noisy_layers, targets
from cabacus.sparsify.loop import Batches, Loss, Progress, Training, run
from cabacus.sparsify.variational import groups, sigma_of

__all__ = ["estimate_sigma"]

CHUNK_BYTES = 1 << 28
"""Memory for the gradients of single samples."""


def estimate_sigma(
    model: torch.nn.Module,
    data: Any,
    training: Training | None = None,
    *,
    method: Literal["variational", "fisher"] = "variational",
    layers: Sequence[str] = ("*",),
    samples: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | str | None = None,
) -> dict[str, np.ndarray]:
    """Return the standard deviation of each weight, by its name, as float32 arrays, finite and above 0.

    "variational" trains the deviations alone, by the objective of `variational` with the means and all other state
    fixed; five epochs are its default. "fisher" is one pass: sigma^2 = 1 / (samples F + 1 / mean w^2), F the diagonal
    of the empirical Fisher information (the mean over samples of squared gradients at the given targets), the second
    term a Gaussian prior as wide as the tensor's own nonzero weights, so that no sigma exceeds their rms.

    Weights that are zero are taken as pruned: they have no noise, and get their tensor's largest other sigma.
    `samples`: how many the network was trained with, where `data` are but some of them; they outweigh the prior.
    `data`, `layers`, `progress`, `checkpoint` and errors as in `variational`; the model is not changed.
    """
    checks.choice(method, "method", ("variational", "fisher"))
    training = training or Training(epochs=5)
    batches = Batches(data, training)
    total = (
        batches.samples if samples is None else checks.integer(samples, "samples", low=batches.samples, high=1 << 53)
    )
    if method == "fisher":
        return _fisher(model, batches, training.loss, layers, total)

    def start(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rms = (weight[weight != 0] ** 2).mean() if weight.any() else torch.ones(())
        return torch.full_like(weight, float(rms.log()) - 4), (weight != 0).to(weight.dtype)

    network = noisy_copy(model, layers, start).eval()
    noisy = [layer for _, layer in noisy_layers(network)]
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for layer in noisy:
        layer.log_variance.requires_grad_(True)
    run(
        network,
        batches,
        training,
        groups=groups(network, means=False),
        switch=lambda: [layer.train() for layer in noisy],  # the rest, such as normalisation, stays in evaluation mode
        penalty=lambda done: sum(layer.divergence() for layer in noisy) / total,
        progress=progress,
        checkpoint=checkpoint,
        purpose="sigma",
    )
    return sigma_of(network)


def _fisher(
    model: torch.nn.Module, data: Batches, loss: Loss, globs: Sequence[str], samples: int
) -> dict[str, np.ndarray]:
    names = {f"{name}.weight" for name in targets(model, globs)}
    state = {name: tensor.detach() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    weights = {name: state.pop(name) for name in sorted(names)}
    training = [module for module in model.modules() if module.training]

    def of_one(weights: dict[str, torch.Tensor], inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        outputs = torch.func.functional_call(model, {**state, **weights}, (inputs[None],))
        return loss(outputs, targets[None])

    gradients = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0), randomness="different")
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    chunk = max(1, CHUNK_BYTES // (4 * sum(weight.numel() for weight in weights.values())))
    model.eval()
    try:
        for inputs, targets_ in data.epoch(as_they_are=True):
            for part in torch.arange(len(inputs)).split(chunk):
                for name, gradient in gradients(weights, inputs[part], targets_[part]).items():
                    squares[name] += gradient.square().sum(0)
    finally:
        for module in training:
            module.training = True
    factor = samples / data.samples
    return {name: _laplace(name, weight, factor * squares[name]) for name, weight in weights.items()}


def _laplace(name: str, weight: torch.Tensor, squares: torch.Tensor) -> np.ndarray:
    """The deviations of the Laplace approximation; `squares` is samples x F."""
    kept = weight != 0
    if not torch.isfinite(squares).all():
        raise InputError(f"{name} has gradients that are not finite", tensor=name)
    if not kept.any():
        return np.ones(tuple(weight.shape), np.float32)
    sigma = (squares + 1 / weight[kept].square().mean()).rsqrt()
    return np.asarray(torch.where(kept, sigma, sigma[kept].max()), np.float32)
