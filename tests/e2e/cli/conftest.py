"""The `cabacus` command as a program of its own, run in the test's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

import cabacus as engine

SECONDS = 60
COMMAND = (sys.executable, "-m", "cabacus.service.cli")

Cabacus: TypeAlias = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment without settings of a service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CABACUS_")}


@pytest.fixture
def cabacus(tmp_path: Path, environment: dict[str, str]) -> Cabacus:
    """Runs `cabacus ARGUMENTS`: `cabacus("inspect", path, input=bytes)`."""

    def run(*arguments: object, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [*COMMAND, *(str(argument) for argument in arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, input=input, capture_output=True, timeout=SECONDS, check=False
        )

    return run


@pytest.fixture
def started(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts `cabacus ARGUMENTS` without waiting; further arguments are those of Popen."""

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        command = [*COMMAND, *(str(argument) for argument in arguments)]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, **options)  # type: ignore[call-overload, no-any-return]

    return start


@pytest.fixture
def importance(model: Path, tmp_path: Path) -> Path:
    """A file of eta for each weight of the network."""
    path = tmp_path / "eta.npz"
    engine.write(path, {name: _ramp(array.shape) for name, array in engine.read(model).items()})
    return path


@pytest.fixture
def sigma(model: Path, tmp_path: Path) -> Path:
    """A file of sigma for each weight of the network."""
    path = tmp_path / "sigma.npz"
    engine.write(path, {name: 0.01 * _ramp(array.shape) for name, array in engine.read(model).items()})
    return path


@pytest.fixture
def packed(model: Path, tmp_path: Path) -> Path:
    """The network, compressed."""
    path = tmp_path / "packed.cabac"
    engine.compress(model, snr_db=30).save(path)
    return path


def _ramp(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
