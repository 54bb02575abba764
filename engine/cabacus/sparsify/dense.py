"""Plain training: the network from which the methods start."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cabacus.sparsify.loop import Batches, Progress, Training, run
from cabacus.sparsify.result import Sparse, plain

__all__ = ["train"]


def train(
    model: torch.nn.Module,
    data: Any,
    training: Training | None = None,
    *,
    progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | str | None = None,
) -> Sparse:
    """Train a network from where it stands, and return its weights; `sigma` stays empty, the model as it was.

    Arguments and errors as in `variational`.
    """
    training = training or Training()
    network = copy.deepcopy(model)
    groups = [{"params": list(network.parameters())}]
    run(
        network,
        Batches(data, training),
        training,
        groups=groups,
        progress=progress,
        checkpoint=checkpoint,
        purpose="dense",
    )
    return Sparse(plain(network.state_dict()))
