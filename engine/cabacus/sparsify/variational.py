"""Sparse variational dropout (Molchanov, Ashukha, Vetrov 2017): weights and their deviations, trained together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cabacus import checks
from cabacus.sparsify.layers import noisy_copy, noisy_layers
from cabacus.sparsify.loop import Batches, Progress, Training, run
from cabacus.sparsify.result import Sparse, plain

__all__ = ["DIVERGENCE_RATE", "groups", "sigma_of", "variational"]

THRESHOLD = 3.0
"""log alpha above which a weight is noise: alpha = 20, or a dropout rate above 0.95 (the 2017 paper's choice)."""
START = -10.0
"""log sigma^2 at the start: small against weights, so that training begins as the plain network."""
DIVERGENCE_RATE = 3.0
"""The rate of log sigma^2 over that of the means: it has farther to go, and few epochs are to be enough."""


def variational(
    model: torch.nn.Module,
    data: Any,
    training: Training | None = None,
    *,
    layers: Sequence[str] = ("*",),
    prior_weight: float = 1.0,
    warmup: float = 0.25,
    threshold: float = THRESHOLD,
    progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | str | None = None,
) -> Sparse:
    """Train a network to be sparse, from where it stands, and return its weights and their deviations.

    `data`: (inputs, targets), tensors or arrays of equal length, or an iterable of such batches. `layers`: globs over
    the names of its Linear, Conv2d and ConvTranspose2d layers. The objective is the mean loss plus `prior_weight` KL
    / samples, the KL coming in linearly over the first `warmup` part of the epochs, 0 to 1: a network needs time to
    find which weights it can use. At the end weights with log alpha > `threshold` become zero; they get their
    tensor's largest kept sigma, because eq. 2 takes the smallest. More than 1 as `prior_weight` prunes more.

    The model is not changed. Raises InputError for options out of range and for a checkpoint of another training.

    >>> images, labels = torch.randn(64, 8), torch.randint(2, (64,))
    >>> sparse = variational(torch.nn.Sequential(torch.nn.Linear(8, 2)), (images, labels), Training(epochs=1))
    >>> sparse.sigma["0.weight"].shape
    (2, 8)
    """
    training = training or Training()
    checks.number(prior_weight, "prior_weight")
    checks.number(warmup, "warmup", high=1.0)
    checks.number(threshold, "threshold", low=-20.0)
    batches = Batches(data, training)
    network = noisy_copy(model, layers, lambda weight: (torch.full_like(weight, START), None))
    noisy = [layer for _, layer in noisy_layers(network)]

    def penalty(done: float) -> torch.Tensor:
        ramp = min(1.0, done / (warmup * training.epochs)) if warmup else 1.0
        return sum(layer.divergence() for layer in noisy) * (prior_weight * ramp / batches.samples)

    def density() -> float:
        with torch.no_grad():
            kept = sum(int((layer.log_alpha() <= threshold).sum()) for layer in noisy)
        return kept / sum(int(layer.weight.numel()) for layer in noisy)

    run(
        network,
        batches,
        training,
        groups=groups(network, means=True),
        penalty=penalty,
        density=density,
        progress=progress,
        checkpoint=checkpoint,
        purpose=f"variational {prior_weight} {warmup}",
    )
    with torch.no_grad():
        for layer in noisy:
            layer.weight.masked_fill_(layer.log_alpha() > threshold, 0)
    return Sparse(weights_of(network), sigma_of(network))


def groups(network: torch.nn.Module, *, means: bool) -> list[dict[str, Any]]:
    """Parameter groups for the training loop: the deviations at their own rate, and the means if they are trained."""
    deviations = [layer.log_variance for _, layer in noisy_layers(network)]
    others = [parameter for parameter in network.parameters() if all(parameter is not part for part in deviations)]
    result: list[dict[str, Any]] = [{"params": deviations, "lr": DIVERGENCE_RATE}]
    return [*result, {"params": others}] if means else result


def weights_of(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """The state of the original: that of the copy without its deviations."""
    added = {f"{name}.log_variance" for name, _ in noisy_layers(network)}
    return plain({name: tensor for name, tensor in network.state_dict().items() if name not in added})


def sigma_of(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """The deviations by the weights' names. Where a weight is zero, the largest of its tensor's others."""
    result = {}
    for name, layer in noisy_layers(network):
        with torch.no_grad():
            sigma = (layer.log_variance / 2).exp()
            kept = layer.weight != 0
            largest = sigma[kept].max() if kept.any() else sigma.max()
            result[f"{name}.weight"] = torch.where(kept, sigma, largest)
    return plain(result)
