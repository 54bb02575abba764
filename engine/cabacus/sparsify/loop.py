"""The training loop that the methods share: batches, a rate that falls to zero, progress, checkpoints, resume."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cabacus import checks
from cabacus.errors import InputError

__all__ = ["Batches", "Progress", "Training", "run"]

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a network is trained: Adam, its rate falling linearly from `rate` to zero.

    `loss(outputs, targets)` is the mean over a batch of the negative log-likelihood in nats: the scale at which the
    variational methods weigh data against prior. `augment(inputs)` may change a batch before it is used; what it draws
    from torch's generator is fixed by `seed`, as everything else is. Raises InputError for values out of range.
    """

    epochs: int = 30
    batch: int = 100
    rate: float = 1e-3
    seed: int = 0
    loss: Loss = torch.nn.functional.cross_entropy
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        checks.integer(self.epochs, "epochs", low=1, high=1_000_000)
        checks.integer(self.batch, "batch", low=1, high=1 << 30)
        checks.number(self.rate, "rate", above=True)
        checks.integer(self.seed, "seed", low=0, high=(1 << 31) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training stands after an epoch. `loss` is the mean over the epoch, the prior's part not included;
    `density` the share of weights that would be kept if it ended here.
    """

    epoch: int
    epochs: int
    loss: float
    density: float
    seconds: float


class Batches:
    """Data as batches: a pair (inputs, targets) of tensors or arrays of equal length, shuffled anew in each epoch, or
    any iterable of such pairs that can be gone through again, such as a DataLoader.
    """

    def __init__(self, data: Any, training: Training) -> None:
        self._batch = training.batch
        self._augment = training.augment
        self._pair: tuple[torch.Tensor, torch.Tensor] | None = None
        self._iterable: Iterable[Any] = ()
        if isinstance(data, tuple) and len(data) == 2 and all(hasattr(part, "shape") for part in data):
            self._pair = (_tensor(data[0]), _tensor(data[1]))
            self.samples = len(self._pair[0])
            self.steps = math.ceil(self.samples / self._batch)
            if len(self._pair[1]) != self.samples:
                raise InputError(f"data has {self.samples} inputs and {len(self._pair[1])} targets", field="data")
        else:
            if iter(data) is data:
                raise InputError("data can be gone through once only; pass a list or a DataLoader", field="data")
            self._iterable = data
            sizes = [len(inputs) for inputs, _ in data]
            self.samples, self.steps = sum(sizes), len(sizes)
        if not self.samples:
            raise InputError("data is empty", field="data")

    def epoch(self, *, as_they_are: bool = False) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batches of one epoch; `as_they_are` in order and without `augment`."""
        for inputs, targets in self._pairs(as_they_are):
            yield (inputs if as_they_are or self._augment is None else self._augment(inputs)), targets

    def _pairs(self, in_order: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self._pair is None:
            yield from ((_tensor(inputs), _tensor(targets)) for inputs, targets in self._iterable)
            return
        inputs, targets = self._pair
        order = torch.arange(self.samples) if in_order else torch.randperm(self.samples)
        for part in order.split(self._batch):
            yield inputs[part], targets[part]


def run(
    network: torch.nn.Module,
    data: Batches,
    training: Training,
    *,
    groups: list[dict[str, Any]],
    penalty: Callable[[float], torch.Tensor | float] = lambda done: 0.0,
    switch: Callable[[], object] | None = None,
    after_step: Callable[[], object] = lambda: None,
    density: Callable[[], float] = lambda: 1.0,
    progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | str | None = None,
    purpose: str = "",
) -> None:
    """Train a network in place on the mean loss plus `penalty(epochs done)`, and leave it in evaluation mode.

    `groups` are Adam's parameter groups; `lr` in a group is a factor of the training's rate. `switch` turns on training
    mode, by default of the whole network. With `checkpoint`, the
    state is written there after each epoch, and training goes on from it if it is there. Each epoch draws from a
    generator seeded by its number, so that a resumed training ends as one that was not interrupted. The caller's
    generator is left as it was. Raises InputError if the checkpoint is of another training, or the loss not finite.
    """
    factors = [group.get("lr", 1.0) for group in groups]
    optimizer = torch.optim.Adam([{**group, "lr": training.rate} for group in groups], fused=True)
    saved = _Checkpoint(checkpoint, f"{purpose} {_shown(training)} {data.samples}", network, optimizer)
    first = saved.resume()
    with torch.random.fork_rng(devices=[]):
        for epoch in range(first, training.epochs):
            began, total = time.perf_counter(), 0.0
            torch.manual_seed(training.seed * 1_000_003 + epoch)
            (switch or network.train)()
            for step, (inputs, targets) in enumerate(data.epoch()):
                done = epoch + step / data.steps
                for group, factor in zip(optimizer.param_groups, factors, strict=True):
                    group["lr"] = training.rate * factor * (1 - done / training.epochs)
                loss = training.loss(network(inputs), targets)
                optimizer.zero_grad()
                (loss + penalty(done)).backward()
                optimizer.step()
                after_step()
                total += float(loss.detach()) * len(inputs)
            mean = total / data.samples
            if not math.isfinite(mean):
                raise InputError(f"the loss is {mean} in epoch {epoch + 1}; lower the rate", field="rate")
            saved.write(epoch + 1)
            if progress is not None:
                seconds = time.perf_counter() - began
                progress(
                    Progress(epoch=epoch + 1, epochs=training.epochs, loss=mean, density=density(), seconds=seconds)
                )
    network.eval()


class _Checkpoint:
    """The state of a training in a file, replaced whole. It holds tensors and numbers; reading it runs no code."""

    def __init__(
        self, path: Path | str | None, purpose: str, network: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        self._path = None if path is None else Path(path)
        shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
        self._purpose = hashlib.sha256(f"{purpose} {shapes}".encode()).hexdigest()
        self._network, self._optimizer = network, optimizer

    def resume(self) -> int:
        """Load what is there, and return the number of epochs done."""
        if self._path is None or not self._path.exists():
            return 0
        state = torch.load(self._path, weights_only=True)
        if state["purpose"] != self._purpose:
            raise InputError(
                f"{self._path} is of another training; remove it, or pass another name", field="checkpoint"
            )
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        return int(state["epochs"])

    def write(self, epochs: int) -> None:
        if self._path is None:
            return
        state = {"purpose": self._purpose, "epochs": epochs}
        state |= {"network": self._network.state_dict(), "optimizer": self._optimizer.state_dict()}
        unfinished = self._path.with_name(self._path.name + ".part")
        torch.save(state, unfinished)
        os.replace(unfinished, self._path)


def _tensor(value: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def _shown(training: Training) -> str:
    """What must be equal for a training to go on; of functions only the names can be compared."""
    functions = [getattr(function, "__name__", "") for function in (training.loss, training.augment)]
    return f"{training.epochs} {training.batch} {training.rate} {training.seed} {functions}"
