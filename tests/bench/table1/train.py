"""Trains the networks of Table 1: dense, sparse by variational dropout, pruned further. Nothing is done twice.

    python tests/bench/table1/train.py DATA WORK [--row lenet300 ...] [--seed 1 ...] [--short]

DATA is the folder of the data sets and models. It writes WORK/ROW-SEED/: dense.safetensors, sparse.safetensors,
sigma.safetensors, and train.log, which has the scores on the held-out images. The test images are not looked at here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from data import Pair, Split
from rows import ROWS, Row

from cabacus import files
from cabacus.sparsify import Progress, Sparse, Training, estimate_sigma, load, magnitude, train, variational
from cabacus.sparsify.result import plain

__all__ = ["Trainer", "parser"]


class Trainer:
    """The stages of one row with one seed, each of which leaves a file and is skipped where that file is."""

    def __init__(self, row: Row, split: Split, seed: int, models: Path, work: Path) -> None:
        self.row, self.split, self.seed = row, split, seed
        self._models = models
        self.folder = work / f"{row.name}-{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        images, targets = split.train
        self._data: Pair = (images.to(memory_format=torch.channels_last), targets)

    def train(self) -> None:
        """Train the network, or go on where it was interrupted."""
        last = self._stage("dense", self._dense)
        if self.row.variational is not None:
            last = self._stage("variational", self._variational)
        if self.row.pruning is not None:
            last = self._stage("pruned", self._pruned)
        self._stage("sparse", lambda: Sparse(dict(self.read(last)), self._sigma(last)))

    def note(self, text: str) -> None:
        """Print a line, and keep it in the log."""
        print(f"{self.row.name}-{self.seed}: {text}", flush=True)
        with (self.folder / "train.log").open("a") as log:
            log.write(text + "\n")

    def read(self, stage: str) -> Mapping[str, np.ndarray]:
        """The weights that a stage left."""
        return files.read(self.folder / f"{stage}.safetensors")

    def _stage(self, name: str, work: Callable[[], Sparse]) -> str:
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            return name
        began = time.perf_counter()
        sparse = work()
        score = self.row.score(load(self.row.make(), sparse.weights), self.split.held_out)
        layers = ", ".join(f"{layer} {100 * share:.2f}" for layer, share in sparse.densities().items())
        self.note(
            f"{name}: {score:.3f} {self.row.unit} on the held-out images, {100 * sparse.density:.2f} % nonzero "
            f"({layers}), {time.perf_counter() - began:.0f} s"
        )
        if sparse.sigma:
            files.write(self.folder / "sigma.safetensors", sparse.sigma)
        # The number of batches that a normalisation has seen is of no use after training.
        files.write(path, {key: array for key, array in sparse.weights.items() if "num_batches" not in key})
        return name

    def _dense(self) -> Sparse:
        network = self._network()
        if self.row.given is not None:
            load(network, self.row.given(self._models))
        if self.row.dense is None:
            return Sparse(plain(network.state_dict()))
        return train(network, self._data, self._training(self.row.dense), **self._reports("dense"))

    def _variational(self) -> Sparse:
        recipe = self.row.variational
        assert recipe is not None
        return variational(
            self._network("dense"),
            self._data,
            self._training(recipe.training),
            prior_weight=recipe.prior_weight,
            warmup=recipe.warmup,
            **self._reports("variational"),
        )

    def _pruned(self) -> Sparse:
        recipe = self.row.pruning
        assert recipe is not None
        return magnitude(
            self._network("dense" if self.row.variational is None else "variational"),
            self._first(recipe.images),
            self._training(recipe.training),
            density=recipe.density,
            rounds=recipe.rounds,
            **self._reports("pruned"),
        )

    def _sigma(self, stage: str) -> dict[str, np.ndarray]:
        if self.row.sigma is not None:
            training = self._training(self.row.sigma)
            return estimate_sigma(self._network(stage), self._data, training, **self._reports("sigma"))
        if self.row.variational is not None:
            return dict(self.read("sigma"))
        data = self._first(self.row.fisher)
        samples = self.row.samples and max(self.row.samples, len(data[0]))
        return estimate_sigma(self._network(stage), data, method="fisher", samples=samples)

    def _first(self, count: int | None) -> Pair:
        """So many of the training images, which are in no order."""
        return self._data[0][:count], self._data[1][:count]

    def _network(self, stage: str | None = None) -> torch.nn.Module:
        torch.manual_seed(self.seed)
        network = self.row.make().to(memory_format=torch.channels_last)
        return network if stage is None else load(network, self.read(stage))

    def _training(self, training: Training) -> Training:
        return replace(training, seed=self.seed)

    def _reports(self, stage: str) -> dict[str, object]:
        def progress(at: Progress) -> None:
            self.note(
                f"{stage}: epoch {at.epoch} of {at.epochs}, loss {at.loss:.4f}, density {100 * at.density:.2f} %, "
                f"{at.seconds:.1f} s"
            )

        return {"progress": progress, "checkpoint": self.folder / f"{stage}.checkpoint"}


def parser(description: str) -> argparse.ArgumentParser:
    """What the scripts have in common on their command lines."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("data", type=Path, metavar="DATA", help="folder with datasets and models")
    result.add_argument("work", type=Path, metavar="WORK", help="folder for the results")
    result.add_argument("--row", action="append", choices=ROWS, help="repeatable; default: all")
    result.add_argument("--seed", action="append", type=int, help="repeatable; default: 1")
    result.add_argument("--short", action="store_true", help="one epoch of 500 images, to see that it runs")
    return result


def main() -> None:
    """Train the rows that are asked for."""
    arguments = parser("Trains the networks of Table 1").parse_args()
    torch.set_num_threads(1)
    for name in arguments.row or ROWS:
        row = ROWS[name].short() if arguments.short else ROWS[name]
        split = row.read(arguments.data / "datasets", row.images if arguments.short else None)
        for seed in arguments.seed or [1]:
            Trainer(row, split, seed, arguments.data / "models", arguments.work).train()


if __name__ == "__main__":
    main()
