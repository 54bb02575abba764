"""The `cabacus` command as a program of its own, run in the test's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

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
