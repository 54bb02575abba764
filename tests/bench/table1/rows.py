"""The rows of Table 1 that are trained here: network, data, recipe, and how a network is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import data
import networks
import torch

from cabacus.options import Quantizer
from cabacus.sparsify import Training

__all__ = ["ROWS", "Finish", "Row", "accuracy", "psnr"]

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


def slightly_shifted(images: torch.Tensor) -> torch.Tensor:
    """Images moved by up to one pixel: what few weights can learn."""
    return data.shifted(images, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Pruning by magnitude after variational dropout, in `rounds` of retraining, and the training of sigma after it."""

    density: float
    rounds: int
    training: Training
    sigma: Training


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`dense`: the training of the network before; `sparse`: that of variational dropout, from there on.

    `max_loss`: what the file may lose on the held-out images, against the sparse network and, if `against_dense`, the
    dense one, in the score's unit. `s_stride`, `rate_weights`, `quantizer`, `rules`: what tuning tries, and how.
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
    finish: Finish | None = None
    max_loss: float
    against_dense: bool = False
    s_stride: int = 8
    rate_weights: Sequence[float] = (0.0, 3.0, 10.0, 20.0, 30.0)
    quantizer: Quantizer = "trellis"
    rules: tuple[str, ...] = ()
    paper: str

    def short(self) -> Row:
        """The same row in seconds, for a test: one epoch each, two or three files."""

        def once(training: Training) -> Training:
            return replace(training, epochs=1)

        finish = self.finish and replace(
            self.finish, rounds=1, training=once(self.finish.training), sigma=once(self.finish.sigma)
        )
        trained = replace(self, dense=once(self.dense), sparse=once(self.sparse), finish=finish)
        return replace(trained, s_stride=256, rate_weights=(0.0,))


BIASES = ("*.bias:code", "*.bias:step=0.02", "*.bias:quantizer=round")
"""Exact biases are a fifth of the bytes of a sparse LeNet; rounded to a step of this size they do as well."""

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
            finish=Finish(
                density=0.025,
                rounds=3,
                training=Training(epochs=15, augment=slightly_shifted),
                sigma=Training(epochs=8, rate=3e-3),
            ),
            max_loss=0.1,
            rules=BIASES,
            paper="9.05 % nonzero, 1.82 % at 98.08",
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
            finish=Finish(
                density=0.0085,
                rounds=4,
                training=Training(epochs=5, augment=slightly_shifted),
                sigma=Training(epochs=3, rate=3e-3),
            ),
            max_loss=0.06,
            rules=BIASES,
            paper="1.90 % nonzero, 0.72 % at 99.16",
        ),
        Row(
            name="fcae",
            make=networks.fcae,
            read=lambda folder: data.cifar10(folder / "cifar10"),
            score=psnr,
            unit="dB",
            dense=Training(epochs=8, batch=32, rate=2e-3, loss=image_likelihood),
            sparse=Training(epochs=6, batch=32, loss=image_likelihood),
            prior_weight=20.0,
            warmup=0.2,
            max_loss=0.05,
            against_dense=True,
            rate_weights=(0.0, 0.1, 0.3, 1.0, 3.0),
            paper="55.69 % nonzero, 16.15 % at -0.05",
        ),
    )
}
