"""Importance of weights from a few samples: how much it moves the outputs, smoothed over rows and columns."""

from __future__ import annotations

import numpy as np
import torch
from networks import Judge, nets

_PLAIN = nets.t


def _leaf(value: np.ndarray | torch.Tensor) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else _PLAIN(value)


def importance(judge: Judge, names: list[str], samples: int = 60) -> dict[str, np.ndarray]:
    """Return the mean square of each weight's gradient of outputs times random numbers, over so many samples.

    The estimate of a single weight is noise: it becomes its row's mean times its column's over the tensor's. Weights
    that no sample moves keep a thousandth of the mean.
    """
    torch.manual_seed(0)
    leaves = {name: torch.from_numpy(np.array(judge.tensors[name], np.float32)).requires_grad_() for name in names}
    squares = {name: np.zeros(judge.tensors[name].shape) for name in names}
    nets.t = _leaf
    try:
        for place in range(min(samples, len(judge.inputs))):
            run = judge.forward({**judge.tensors, **leaves})
            answers = run(judge.inputs[place] if judge.task == "denoise" else judge.inputs[place : place + 1])
            loss = judge.loss(answers.reshape(-1, answers.shape[-1]) if judge.task != "denoise" else answers)
            grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            for name, grad in zip(leaves, grads, strict=True):
                if grad is not None:
                    squares[name] += grad.numpy().astype(np.float64) ** 2
    finally:
        nets.t = _PLAIN
    return {name: _smooth(found).astype(np.float32) for name, found in squares.items()}


def _smooth(squares: np.ndarray) -> np.ndarray:
    """A mean over all axes but one, for each axis that is no kernel's, multiplied."""
    mean = squares.mean()
    if mean <= 0.0:
        return np.ones(squares.shape)
    found = np.full(squares.shape, mean)
    for axis, size in enumerate(squares.shape):
        if size > 1:
            others = tuple(other for other in range(squares.ndim) if other != axis)
            found = found * (squares.mean(axis=others, keepdims=True) / mean)
    return np.maximum(found, mean * 1e-3)
