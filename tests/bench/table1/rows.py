"""The rows of Table 1 that are trained here: network, data, recipe, and how a network is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import data
import networks
import torch

from cabacus.sparsify import Training

__all__ = ["ROWS", "Row", "accuracy", "psnr"]

Score = Callable[[torch.nn.Module, data.Pair], float]


def accuracy(network: torch.nn.Module, pair: data.Pair) -> float:
    """Top-1 accuracy in percent."""
    right = sum(int((outputs.argmax(1) == targets).sum()) for outputs, targets in _applied(network, pair))
    return 100 * right / len(pair[0])


def psnr(network: torch.nn.Module, pair: data.Pair) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all images; outputs are clipped to 0..1."""
    error = sum(float((outputs.clamp(0, 1) - targets).square().sum()) for outputs, targets in _applied(network, pair))
    return float(-10 * torch.log10(torch.tensor(error / pair[1].numel())))


def _applied(network: torch.nn.Module, pair: data.Pair) -> list[data.Pair]:
    network.eval()
    with torch.no_grad():
        inputs, targets = (part.split(1000) for part in pair)
        return [(network(some), others) for some, others in zip(inputs, targets, strict=True)]


def image_likelihood(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Gaussian noise of variance 1e-3 a pixel, 30 dB, about what the network reaches."""
    return (outputs - targets).square().sum((1, 2, 3)).mean() / (2 * 1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`dense`: the training of the network before; `sparse`: that of variational dropout, from there on.

    `loss` is what the paper's row allows between before and after, in the score's unit; `target` the size in percent.
    """

    name: str
    make: Callable[[], torch.nn.Module]
    read: Callable[[Path], data.Split]
    score: Score
    unit: str
    dense: Training
    sparse: Training
    prior_weight: float
    warmup: float
    paper: str
    target: float

    def short(self) -> Row:
        """The same row in seconds, for a test: one epoch each."""
        return replace(self, dense=replace(self.dense, epochs=1), sparse=replace(self.sparse, epochs=1))


ROWS = {
    row.name: row
    for row in (
        Row(
            name="lenet300",
            make=networks.lenet300,
            read=lambda folder: data.mnist(folder / "mnist"),
            score=accuracy,
            unit="%",
            dense=Training(epochs=15, augment=data.shifted),
            sparse=Training(epochs=60),
            prior_weight=1.0,
            warmup=0.25,
            paper="9.05 % nonzero, 1.82 % at 98.08 %",
            target=1.82,
        ),
        Row(
            name="lenet5",
            make=networks.lenet5,
            read=lambda folder: data.mnist(folder / "mnist"),
            score=accuracy,
            unit="%",
            dense=Training(epochs=4, augment=data.shifted),
            sparse=Training(epochs=15),
            prior_weight=1.0,
            warmup=0.25,
            paper="1.90 % nonzero, 0.72 % at 99.16 %",
            target=0.72,
        ),
        Row(
            name="fcae",
            make=networks.fcae,
            read=lambda folder: data.cifar10(folder / "cifar10"),
            score=psnr,
            unit="dB",
            dense=Training(epochs=8, batch=32, rate=2e-3, loss=image_likelihood),
            sparse=Training(epochs=6, batch=32, rate=1e-3, loss=image_likelihood),
            prior_weight=20.0,
            warmup=0.2,
            paper="55.69 % nonzero, 16.15 % at -0.05 dB",
            target=16.15,
        ),
    )
}
