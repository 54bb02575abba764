"""The rows of Table 1: network, data, recipe, and how a network is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import data
import given
import networks
import numpy as np
import torch

from cabacus.options import Effort, Quantizer
from cabacus.sparsify import Training

__all__ = ["ROWS", "Pruning", "Row", "Variational", "accuracy", "psnr"]

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
    network.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        inputs, targets = (part.split(100) for part in pair)
        return [(network(some), others) for some, others in zip(inputs, targets, strict=True)]


def image_likelihood(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Gaussian noise of variance 1e-3 a pixel, 30 dB, about what the network reaches."""
    return (outputs - targets).square().sum((1, 2, 3)).mean() / (2 * 1e-3)


def slightly_shifted(images: torch.Tensor) -> torch.Tensor:
    """Images moved by up to one pixel: what few weights can learn."""
    return data.shifted(images, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variational:
    """Sparse variational dropout; `prior_weight` and `warmup` as in `cabacus.sparsify.variational`."""

    training: Training
    prior_weight: float = 1.0
    warmup: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """Pruning by magnitude to a density, from 0 to 1, in `rounds`, each of which trains anew, with the first
    `images` of the training set where that is not None.
    """

    density: float
    rounds: int
    training: Training
    images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The stages are left out where they are None. `given`: reads the network to begin with from the folder of models,
    where none is made. `dense`: the training of the network "before". `sigma`: the training of the deviations of the
    pruned network; without it they are those of variational dropout, or, without that, of the Fisher information.
    `samples`: how many images the network was trained with, where it is not those that the Fisher information is of;
    `fisher`: of how many that is.

    `max_loss`: what the file may lose on the held-out images, against the sparse network and, if `against_dense`, the
    dense one, in the score's unit. What tuning tries: `s_stride`, or `sizes` in bits a weight, `rate_weights`,
    `quantizer`, `effort`, `rules`. `images`: how many the short form has.
    """

    name: str
    make: Callable[[], torch.nn.Module]
    read: Callable[[Path, int | None], data.Split]
    score: Score
    unit: str
    given: Callable[[Path], Mapping[str, np.ndarray]] | None = None
    dense: Training | None = None
    variational: Variational | None = None
    pruning: Pruning | None = None
    sigma: Training | None = None
    samples: int | None = None
    fisher: int | None = None
    max_loss: float
    against_dense: bool = False
    s_stride: int = 8
    sizes: tuple[float, ...] | None = None
    rate_weights: Sequence[float] = (0.0, 3.0, 10.0, 20.0, 30.0)
    quantizer: Quantizer = "trellis"
    effort: Effort = "max"
    rules: tuple[str, ...] = ()
    images: int = 500
    paper: str

    def short(self) -> Row:
        """The same row in seconds, for a test: one epoch each, two files."""

        def once(training: Training | None) -> Training | None:
            return training and replace(training, epochs=1)

        def all_once(stage: Any) -> Any:
            return stage and replace(stage, training=once(stage.training))

        trained = replace(self, dense=once(self.dense), sigma=once(self.sigma), variational=all_once(self.variational))
        pruning = self.pruning and replace(all_once(self.pruning), rounds=1)
        return replace(
            trained, pruning=pruning, s_stride=1 << 20, rate_weights=(0.0,), quantizer="greedy", effort="fast"
        )


BIASES = ("*.bias:code", "*.bias:step=0.02", "*.bias:quantizer=round")
"""Exact biases are a fifth of the bytes of a sparse LeNet; rounded to a step of this size they do as well."""


def _coded(glob: str) -> tuple[str, ...]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return tuple(f"{glob}.{part}:{option}" for part in parts for option in ("code", "snr_db=50", "quantizer=round"))


NORMALISATION, RESIDUAL = _coded("*_bn"), (*_coded("*bn[12]"), "*bn[12].running_var:snr_db=70")
"""Exact normalisation takes a tenth of MobileNet's bytes; 50 dB do as well, 40 dB cost three points of accuracy. A
pruned ResNet has channels of hardly any variance: at 50 dB some become zero, and what their roots divide is lost.
"""


def _mnist(folder: Path, most: int | None) -> data.Split:
    return data.mnist(folder / "mnist", most)


def _cifar10(folder: Path, most: int | None) -> data.Split:
    split = data.cifar10_labelled(folder / "cifar10", most)
    return split.normalised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


LENET300 = Row(
    name="lenet300",
    make=networks.lenet300,
    read=_mnist,
    score=accuracy,
    unit="%",
    dense=Training(epochs=15, augment=data.shifted),
    variational=Variational(training=Training(epochs=60)),
    pruning=Pruning(density=0.025, rounds=3, training=Training(epochs=15, augment=slightly_shifted)),
    sigma=Training(epochs=8, rate=3e-3),
    max_loss=0.1,
    rules=BIASES,
    paper="9.05 % nonzero, 1.82 % at 98.08",
)
LENET5 = Row(
    name="lenet5",
    make=networks.lenet5,
    read=_mnist,
    score=accuracy,
    unit="%",
    dense=Training(epochs=4, augment=data.shifted),
    variational=Variational(training=Training(epochs=15)),
    pruning=Pruning(density=0.012, rounds=2, training=Training(epochs=12, augment=slightly_shifted)),
    sigma=Training(epochs=3, rate=3e-3),
    max_loss=0.04,
    rules=BIASES,
    paper="1.90 % nonzero, 0.72 % at 99.16",
)
FCAE = Row(
    name="fcae",
    make=networks.fcae,
    read=lambda folder, most: data.cifar10(folder / "cifar10", most),
    score=psnr,
    unit="dB",
    dense=Training(epochs=12, batch=32, rate=2e-3, loss=image_likelihood),
    variational=Variational(
        training=Training(epochs=8, batch=32, loss=image_likelihood), prior_weight=40.0, warmup=0.2
    ),
    max_loss=0.045,
    against_dense=True,
    sizes=(3.6, 3.7, 3.8, 3.9, 4.0),
    rate_weights=(0.1, 0.2, 0.3),
    paper="55.69 % nonzero, 16.15 % at -0.05",
)
SMALL_VGG16 = Row(
    name="small_vgg16",
    make=networks.small_vgg16,
    read=_cifar10,
    score=accuracy,
    unit="%",
    dense=Training(epochs=100, augment=data.mirrored),
    variational=Variational(training=Training(epochs=60, augment=data.mirrored)),
    pruning=Pruning(density=0.02, rounds=3, training=Training(epochs=20, augment=data.mirrored)),
    sigma=Training(epochs=5, rate=3e-3),
    max_loss=0.2,
    images=20,
    paper="7.57 % nonzero, 1.6 % at -0.35 point",
)
MOBILENET = Row(
    name="mobilenet",
    make=networks.mobilenet,
    read=lambda folder, most: data.imagenet(folder / "imagenet_samples", most),
    score=accuracy,
    unit="%",
    given=given.mobilenet,
    samples=1_281_167,
    max_loss=3.0,
    sizes=(3.8, 4.0, 4.2, 4.4, 4.6),
    rate_weights=(0.3,),
    rules=NORMALISATION,
    images=4,
    paper="50.73 % nonzero, 12.7 % at -4.5 points",
)
RESNET20 = Row(
    name="resnet20",
    make=networks.resnet20,
    read=_cifar10,
    score=accuracy,
    unit="%",
    given=given.resnet20,
    dense=Training(epochs=1, augment=data.mirrored),
    pruning=Pruning(density=0.4481, rounds=2, training=Training(epochs=1, augment=data.mirrored), images=20_000),
    samples=45_000,
    fisher=2_000,
    max_loss=0.5,
    sizes=(2.2, 2.4, 2.6, 2.8),
    rate_weights=(0.3,),
    rules=RESIDUAL,
    images=100,
    paper="ResNet50: 25.40 % nonzero, 5.95 % at -2.0 points",
)
ROWS = {row.name: row for row in (LENET300, LENET5, FCAE, SMALL_VGG16, MOBILENET, RESNET20)}
