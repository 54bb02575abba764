"""Iterative magnitude pruning with retraining (Han, Pool, Tran, Dally 2015)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cabacus import checks
from cabacus.errors import InputError
from cabacus.sparsify.layers import targets
from cabacus.sparsify.loop import Batches, Progress, Training, run
from cabacus.sparsify.result import Sparse, plain

__all__ = ["magnitude"]


def magnitude(
    model: torch.nn.Module,
    data: Any,
    training: Training | None = None,
    *,
    density: float | Mapping[str, float],
    rounds: int = 5,
    progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | str | None = None,
) -> Sparse:
    """Prune the smallest weights and retrain the others, in rounds, and return the weights; `sigma` stays empty.

    `density` is the share of weights that is kept, above 0 to 1. A number ranks all weights by their magnitude over
    their layer's rms (Han's threshold, a multiple of the layer's deviation), and layers end at densities of their own.
    A mapping of globs over layer names to numbers, the last match wins, sets each layer's density; layers without a
    match stay dense. After round r of R the density is density^(r/R). Each round trains as `training` says, its rate
    falling anew, with pruned weights held at zero; a weight that is zero at the start counts as pruned.

    `data`, `progress`, `checkpoint` as in `variational`; rounds that are done are not done again after a resume. The
    model is not changed. `estimate_sigma` gives the deviations. Raises InputError for a density out of range.
    """
    training = training or Training(epochs=5)
    checks.integer(rounds, "rounds", low=1, high=1000)
    batches = Batches(data, training)
    network = copy.deepcopy(model)
    wanted = _wanted(network, density)
    layers = targets(network, ["*"])
    weights = {name: layers[name].weight for name in wanted}

    for turn in range(1, rounds + 1):
        goals = {name: goal ** (turn / rounds) for name, goal in wanted.items()}
        masks = _ranked(weights, goals) if isinstance(density, Mapping) else _pooled(weights, min(goals.values()))
        hold = partial(_hold, weights, masks)
        hold()
        run(
            network,
            batches,
            training,
            groups=[{"params": list(network.parameters())}],
            after_step=hold,
            density=partial(_density, masks),
            progress=progress,
            checkpoint=None if checkpoint is None else f"{checkpoint}.{turn}",
            purpose=f"magnitude {turn} of {rounds} {sorted(wanted.items())}",
        )
    return Sparse(plain(network.state_dict()))


def _wanted(network: torch.nn.Module, density: float | Mapping[str, float]) -> dict[str, float]:
    """The final density of each layer that is pruned; a single number stands for the whole network."""
    if not isinstance(density, Mapping):
        goal = checks.number(density, "density", high=1.0, above=True)
        return dict.fromkeys(targets(network, ["*"]), goal)
    result = {}
    for name in targets(network, list(density)):
        goal = [value for glob, value in density.items() if fnmatchcase(name, glob)][-1]
        result[name] = checks.number(goal, "density", high=1.0, above=True)
    if not result:
        raise InputError("density names no layer; pass a number, or globs over layer names", field="density")
    return result


def _hold(weights: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor]) -> None:
    """Pruned weights at zero."""
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(masks[name] == 0, 0)  # a product would leave negative zeros


def _density(masks: Mapping[str, torch.Tensor]) -> float:
    return sum(int(mask.sum()) for mask in masks.values()) / sum(int(mask.numel()) for mask in masks.values())


def _ranked(weights: Mapping[str, torch.Tensor], goals: Mapping[str, float]) -> dict[str, torch.Tensor]:
    """The masks that keep each layer's largest weights."""
    return {name: _largest(weight.detach().abs(), goals[name]) for name, weight in weights.items()}


def _pooled(weights: Mapping[str, torch.Tensor], goal: float) -> dict[str, torch.Tensor]:
    """The masks that keep the network's largest weights, each measured by the rms of its layer's nonzero ones."""
    parts = {}
    for name, weight in weights.items():
        size = weight.detach().abs()
        parts[name] = size / (size[size > 0].square().mean().sqrt() if size.any() else 1)
    flat = _largest(torch.cat([part.flatten() for part in parts.values()]), goal)
    pieces = flat.split([part.numel() for part in parts.values()])
    return {name: piece.view_as(part) for (name, part), piece in zip(parts.items(), pieces, strict=True)}


def _largest(sizes: torch.Tensor, share: float) -> torch.Tensor:
    """Ones where the largest `share` of values stands, rounded up, zeros elsewhere and where the value is zero."""
    keep = max(1, round(share * sizes.numel()))
    places = sizes.flatten().topk(keep).indices
    mask = torch.zeros(sizes.numel(), dtype=sizes.dtype)
    mask[places] = 1
    return mask.view_as(sizes) * (sizes > 0)
