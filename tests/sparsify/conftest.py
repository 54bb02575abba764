"""A small problem that a small network solves in a second; everything here is skipped where torch is not installed."""

from __future__ import annotations

from typing import Any

import pytest

collect_ignore_glob: list[str] = []
try:
    import torch
except ModuleNotFoundError:
    collect_ignore_glob = ["test_*.py"]  # `make test-train` has an environment with torch
else:
    torch.set_num_threads(1)


@pytest.fixture
def problem() -> tuple[Any, Any]:
    """Images (512, 1, 6, 6) float32, of which the first two rows alone tell the four classes apart."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(4, (512,), generator=generator)
    images = torch.randn(512, 1, 6, 6, generator=generator)
    patterns = torch.randn(4, 2, 6, generator=generator)
    images[:, 0, :2] += 2 * patterns[labels]
    return images, labels


@pytest.fixture
def network() -> Any:
    """Convolution, normalisation and two linear layers, before training."""
    torch.manual_seed(3)
    layers = [torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(144, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))


@pytest.fixture
def trained(network: Any, problem: tuple[Any, Any]) -> Any:
    """The same network, trained."""
    from cabacus.sparsify.loop import Batches, Training, run

    training = Training(epochs=8, batch=32, rate=3e-3)
    run(network, Batches(problem, training), training, groups=[{"params": list(network.parameters())}])
    return network
