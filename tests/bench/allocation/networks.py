"""The networks of ../shared/data that can be judged: what they answer, and how far that is from what they answered.

Samples to tune by and samples to report on are disjoint: every tenth image of ImageNet, training images of MNIST and
CIFAR-10, a fifth of the yoga images, a quarter of the token streams, an earlier part of the text, other photographs.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SHARED = Path(__file__).parents[4] / "shared"
sys.path.insert(0, str(SHARED / "eval"))
import nets  # noqa: E402

DATA = SHARED / "data" / "datasets"
Split = Literal["tune", "search", "report"]
Tensors = Mapping[str, np.ndarray]

TASKS = {
    "charrnn_lstm_shakespeare": "chars",
    "dncnn_s25": "denoise",
    "fl_yoga_round10": "yoga",
    "fl_yoga_round11": "yoga",
    "lenet300_mnist_dense": "mnist",
    "lenet300_mnist_pruned": "mnist",
    "lenet5_caffe_mnist_a": "mnist",
    "lenet5_caffe_mnist_b": "mnist",
    "lenet5_caffe_mnist_b_pruned": "mnist",
    "mobilenet_v1_075_224_imagenet": "mobilenet",
    "resnet20_cifar10": "cifar",
    "resnet56_cifar10": "cifar",
    "squeezenet10_imagenet_deepcompressed": "squeezenet",
    "stories260k_llama": "tokens",
    "tiny_resnet8_cifar10_fp32": "cifar8",
}
"""Networks whose metric says something, without `lenet300_mnist_shared`, whose values are few, and early rounds."""

_FORWARD: dict[str, Callable[[Tensors], Callable[[torch.Tensor], torch.Tensor]]] = {
    "chars": nets.charlstm,
    "denoise": nets.dncnn,
    "yoga": nets.yoga_cnn,
    "mobilenet": nets.mobilenet_v1,
    "cifar": nets.resnet_cifar,
    "squeezenet": nets.squeezenet10,
    "tokens": nets.llama,
    "cifar8": nets.tiny_resnet8,
}
_SIZES: dict[str, tuple[int, int, int]] = {
    "mnist": (500, 10000, 10000),
    "cifar": (250, 2000, 10000),
    "cifar8": (250, 2000, 10000),
    "mobilenet": (60, 300, 900),
    "squeezenet": (60, 300, 900),
    "yoga": (207, 828, 828),
    "tokens": (8, 24, 24),
    "chars": (16, 64, 64),
    "denoise": (6, 12, 12),
}
"""Samples of each split."""


class Judge:
    """A network's answers on a split: `lost` is in points of top-1, or per cent of the loss, or tenths of a decibel."""

    def __init__(self, name: str, split: Split) -> None:
        self.name, self.split, self.task = name, split, TASKS[name]
        self.inputs, self.labels = _samples(self.task, split)
        self.tensors, _ = nets.read_safetensors(SHARED / "data" / "models" / f"{name}.safetensors")
        self.whole = self.answers(self.tensors)
        self.metric = self.measure(self.whole)

    def forward(self, tensors: Tensors) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the network with these weights."""
        if self.task == "mnist":
            return (nets.lenet300 if "lenet300" in self.name else nets.lenet5_caffe)(tensors)
        return _FORWARD[self.task](tensors)

    def answers(self, tensors: Tensors) -> torch.Tensor:
        """Return logits, or images, of all samples."""
        run, size = self.forward(tensors), 50 if self.task in ("mobilenet", "squeezenet") else 250
        with torch.no_grad():
            if self.task == "denoise":
                return torch.cat([run(one).flatten() for one in self.inputs])
            found = torch.cat([run(self.inputs[at : at + size]) for at in range(0, len(self.inputs), size)])
        if self.task == "chars":
            found = found[:, 50:]
        return found.reshape(-1, found.shape[-1])

    def measure(self, answers: torch.Tensor) -> float:
        """Return top-1 in per cent, bits a token, or the PSNR in decibels."""
        if self.task == "denoise":
            start, values = 0, []
            for noisy, clean in zip(self.inputs, self.labels, strict=True):
                noise = answers[start : start + noisy.numel()].reshape(noisy.shape)
                start += noisy.numel()
                values.append(-10 * float(torch.log10((((noisy - noise).clamp(0, 1) - clean) ** 2).mean())))
            return float(np.mean(values))
        if self.task in ("tokens", "chars"):
            return float(F.cross_entropy(answers, self.labels)) / float(np.log(2))
        return 100.0 * float((answers.argmax(1) == self.labels).float().mean())

    def lost(self, answers: torch.Tensor) -> float:
        """Return what is lost of the metric, in units of what may be lost (half a point, 1 %, a tenth of a decibel)."""
        now = self.measure(answers)
        if self.task in ("tokens", "chars"):
            return (now / self.metric - 1.0) / 0.01
        return (self.metric - now) / (0.1 if self.task == "denoise" else 0.5)

    def divergence(self, answers: torch.Tensor) -> float:
        """Return KL(before, after) in nats a sample; of images, the mean squared change over that of the noise left."""
        if self.task == "denoise":
            left = float(
                torch.cat([(noisy - clean).flatten() for noisy, clean in zip(self.inputs, self.labels, strict=True)])
                .sub(self.whole)
                .pow(2)
                .mean()
            )
            return float((answers - self.whole).pow(2).mean()) / left
        before, after = F.log_softmax(self.whole.double(), 1), F.log_softmax(answers.double(), 1)
        found = float((before.exp() * (before - after)).sum(1).mean())
        return found if np.isfinite(found) else 1e9

    def loss(self, answers: torch.Tensor) -> torch.Tensor:
        """Return outputs times random numbers, summed: the squares of its gradient are what weights do to outputs.

        The Fisher information of a sure classifier, its own answers drawn, is that of a few samples it is unsure of.
        """
        return (answers * torch.randn_like(answers)).sum()


def _samples(task: str, split: Split) -> tuple[Any, Any]:
    count = _SIZES[task][("tune", "search", "report").index(split)]
    if task in ("mobilenet", "squeezenet"):
        return _imagenet(task, split, count)
    if task in ("cifar", "cifar8"):
        return _cifar(task, split, count)
    if task == "mnist":
        part = "train" if split == "tune" else "t10k"
        images, labels = (_idx(DATA / "mnist" / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        scaled = (images[:count, None].astype(np.float32) / 255 - 0.1307) / 0.3081
        return torch.from_numpy(scaled), torch.from_numpy(labels[:count].astype(np.int64))
    if task == "yoga":
        stored = np.load(DATA / "yoga_fl" / "yoga_pose_28x28.npz")
        mine = (np.arange(len(stored["Y"])) % 5 == 0) == (split == "tune")
        return torch.from_numpy(stored["X"][mine][:, None].astype(np.float32)), torch.from_numpy(
            stored["Y"][mine].astype(np.int64)
        )
    if task == "tokens":
        ids = torch.from_numpy(np.load(DATA / "text" / "stories260k_sampled_ids.npy").astype(np.int64))
        ids = ids[:8] if split == "tune" else ids[8:]
        return ids[:, :-1], ids[:, 1:].flatten()
    if task == "chars":
        return _chars(split, count)
    return _denoise(split, count)


def _jpegs(path: Path) -> tuple[list[bytes], np.ndarray]:
    stored = np.load(path)
    data, at = stored["data"].tobytes(), stored["offsets"]
    labels = stored["labels"] if "labels" in stored else np.zeros(len(at) - 1)
    return [data[a:b] for a, b in pairwise(at)], labels


def _spread(among: np.ndarray, count: int) -> np.ndarray:
    """So many of them, evenly: the sets are sorted by class."""
    return among[np.linspace(0, len(among) - 1, min(count, len(among))).round().astype(int)]


def _rgb(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _imagenet(task: str, split: Split, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    data, labels = _jpegs(DATA / "imagenet_samples" / "imagenet1000_256px_jpeg.npz")
    places = np.arange(len(data))
    chosen = _spread(places[(places % 10 == 0) == (split == "tune")], count)
    images = np.stack([_rgb(data[place]) for place in chosen])
    if task == "squeezenet":
        images = images[:, 14:241, 14:241, ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        images -= np.float32([104, 117, 123]).reshape(3, 1, 1)
    else:
        images = images[:, 16:240, 16:240].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    return torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels[chosen].astype(np.int64))


def _cifar(task: str, split: Split, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    part = "train" if split == "tune" else "test"
    data, labels = _jpegs(DATA / "cifar10" / f"cifar10_{part}_jpeg.npz")
    chosen = _spread(np.arange(len(data)), count)
    images = np.stack([_rgb(data[place]) for place in chosen]).transpose(0, 3, 1, 2).astype(np.float32)
    if task == "cifar":
        mean, deviation = (np.float32(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        images = (images / 255 - mean) / deviation
    return torch.from_numpy(images), torch.from_numpy(labels[chosen].astype(np.int64))


def _idx(path: Path) -> np.ndarray:
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def _chars(split: Split, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    known = json.loads((DATA / "text" / "charrnn_shakespeare_vocab.json").read_text())
    ids = np.array([known[c] for c in (DATA / "text" / "tinyshakespeare.txt").read_text() if c in known])
    ids = ids[: count * 257] if split == "tune" else ids[len(ids) - count * 257 :]
    found = torch.from_numpy(ids.reshape(count, 257).astype(np.int64))
    return found[:, :-1], found[:, 51:].flatten()


def _denoise(split: Split, count: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    data, _ = _jpegs(DATA / "denoise" / ("set68_png.npz" if split == "tune" else "set12_png.npz"))
    random = np.random.RandomState(0)
    noisy, clean = [], []
    for one in data[:count]:
        image = np.asarray(Image.open(io.BytesIO(one)).convert("L")).astype(np.float32) / 255
        if split != "report":
            top, left = (image.shape[0] - 128) // 2, (image.shape[1] - 128) // 2
            image = image[top : top + 128, left : left + 128]
        clean.append(torch.from_numpy(np.ascontiguousarray(image))[None, None])
        noise = random.randn(*image.shape).astype(np.float32) * 25 / 255
        noisy.append(clean[-1] + torch.from_numpy(noise)[None, None])
    return noisy, clean
