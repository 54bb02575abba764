"""What sparsification gives back: plain arrays, under the names of the module's `state_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

__all__ = ["Sparse", "load", "plain"]


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse network. `weights`: all of its state, pruned weights being exactly zero. `sigma`: of the sparsified
    tensors, float32 in their shapes, finite and above 0, or empty if the method makes none.
    """

    weights: dict[str, np.ndarray]
    sigma: dict[str, np.ndarray] = field(default_factory=dict)

    def densities(self) -> dict[str, float]:
        """The share of nonzero weights, from 0 to 1, of each tensor of at least two dimensions."""
        matrices = {name: array for name, array in self.weights.items() if array.ndim > 1}
        return {name: float(np.count_nonzero(array) / array.size) for name, array in matrices.items()}

    @property
    def density(self) -> float:
        """The share of nonzero weights, from 0 to 1, over the tensors of at least two dimensions."""
        matrices = [array for array in self.weights.values() if array.ndim > 1]
        return sum(np.count_nonzero(array) for array in matrices) / max(1, sum(array.size for array in matrices))


def load(model: torch.nn.Module, weights: Mapping[str, np.ndarray]) -> torch.nn.Module:
    """Put arrays into a module, by name, and return the module. Raises what `load_state_dict` raises."""
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return model


def plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays of their own, in row-major order whatever their memory format."""
    return {name: np.array(tensor.detach().cpu().numpy(), order="C") for name, tensor in tensors.items()}
