"""Trains the networks of Table 1: dense, then sparse by variational dropout. What is done is not done again.

    python tests/bench/table1/train.py DATA_SETS WORK [--row lenet300 ...] [--seed 1 ...] [--short]

writes WORK/ROW-SEED/: dense.safetensors, sparse.safetensors, sigma.safetensors, and train.log, whose last line has the
scores on the held-out images. The test images are not looked at here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from data import Split
from rows import ROWS, Row

from cabacus import files
from cabacus.sparsify import Progress, Sparse, load, train, variational

__all__ = ["folder_of", "train_row"]


def folder_of(work: Path, row: Row, seed: int) -> Path:
    """Where a row's files lie."""
    return work / f"{row.name}-{seed}"


def train_row(row: Row, split: Split, seed: int, folder: Path) -> None:
    """Train one network, or go on where it was interrupted."""
    folder.mkdir(parents=True, exist_ok=True)

    def note(text: str) -> None:
        print(f"{row.name}-{seed}: {text}", flush=True)
        with (folder / "train.log").open("a") as log:
            log.write(text + "\n")

    def score(weights: dict[str, np.ndarray]) -> str:
        return f"{row.score(load(row.make(), weights), split.held_out):.3f} {row.unit} on the held-out images"

    torch.manual_seed(seed)
    network = row.make().to(memory_format=torch.channels_last)
    images, targets = split.train
    pair = (images.to(memory_format=torch.channels_last), targets)

    if not (folder / "dense.safetensors").exists():
        result = train(
            network, pair, replace(row.dense, seed=seed), progress=_to(note), checkpoint=folder / "dense.checkpoint"
        )
        note(f"dense: {score(result.weights)}")
        files.write(folder / "dense.safetensors", result.weights)
    if not (folder / "sigma.safetensors").exists():
        load(network, files.read(folder / "dense.safetensors"))
        began = time.perf_counter()
        sparse = variational(
            network,
            pair,
            replace(row.sparse, seed=seed),
            prior_weight=row.prior_weight,
            warmup=row.warmup,
            progress=_to(note),
            checkpoint=folder / "sparse.checkpoint",
        )
        note(f"sparse: {score(sparse.weights)}, {_densities(sparse)}, {time.perf_counter() - began:.0f} s")
        files.write(folder / "sparse.safetensors", sparse.weights)
        files.write(folder / "sigma.safetensors", sparse.sigma)


def _to(note: Callable[[str], None]) -> Callable[[Progress], None]:
    def progress(at: Progress) -> None:
        note(
            f"epoch {at.epoch} of {at.epochs}, loss {at.loss:.4f}, density {100 * at.density:.2f} %, {at.seconds:.1f} s"
        )

    return progress


def _densities(sparse: Sparse) -> str:
    layers = ", ".join(f"{name} {100 * share:.2f}" for name, share in sparse.densities().items())
    return f"{100 * sparse.density:.2f} % nonzero ({layers})"


def main() -> None:
    """Train the rows that are asked for."""
    parser = argparse.ArgumentParser(description="Trains the networks of Table 1")
    parser.add_argument("data", type=Path, metavar="DATA_SETS", help="folder with mnist and cifar10")
    parser.add_argument("work", type=Path, metavar="WORK", help="folder for the results")
    parser.add_argument("--row", action="append", choices=ROWS, help="repeatable; default: all")
    parser.add_argument("--seed", action="append", type=int, help="repeatable; default: 1")
    parser.add_argument("--short", action="store_true", help="one epoch of 500 images, to see that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.row or ROWS:
        row = ROWS[name].short() if arguments.short else ROWS[name]
        split = row.read(arguments.data)
        split = split.short() if arguments.short else split
        for seed in arguments.seed or [1]:
            train_row(row, split, seed, folder_of(arguments.work, row, seed))


if __name__ == "__main__":
    main()
