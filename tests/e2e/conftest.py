"""The whole service as its own processes: a real queue server, a worker, the API on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cabacus.service.embedded import EmbeddedServer
from cabacus.service.keys import KeyFile

SECONDS = 30


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service; its processes are gone afterwards."""
    with _service(tmp_path_factory.mktemp("service")) as url:
        yield url


@pytest.fixture
def locked_service(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a service that asks for keys, and a key."""
    _, key = KeyFile(tmp_path / "state" / "keys.json").add("somebody")
    with _service(tmp_path, CABACUS_AUTH="on") as url:
        yield url, key


@pytest.fixture
def service_with(tmp_path: Path) -> Callable[..., AbstractContextManager[str]]:
    """Starts a service with these variables: `with service_with(CABACUS_BUCKETS="s3://models") as url`."""
    folder = tmp_path / "service"
    folder.mkdir()
    return partial(_service, folder)


@contextmanager
def _service(folder: Path, **variables: str) -> Iterator[str]:
    with ExitStack() as stack:
        queue = stack.enter_context(EmbeddedServer(folder / "redis"))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CABACUS_")}
        environment |= {"CABACUS_REDIS": queue.url, "CABACUS_STATE": str(folder / "state")}
        environment |= {"CABACUS_PORT": "0", "CABACUS_WORKERS": "1", **variables}
        worker = _start("cabacus.service.worker", folder / "worker.log", environment)
        stack.callback(_stop, worker)
        api = _start("cabacus.service.api", folder / "api.log", environment)
        stack.callback(_stop, api)
        yield _address(api, folder / "api.log")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with the usual kinds of tensors."""
    generator = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    tensors = {
        "conv.weight": generator.normal(0, 0.1, (16, 3, 3, 3)).astype(np.float32),
        "fc.weight": generator.laplace(0, 0.02, (200, 144)).astype(np.float32),
        "fc.bias": generator.normal(0, 0.1, 200).astype(np.float32),
        "steps": np.arange(4, dtype=np.int64),
    }
    save_file(tensors, path, {"made by": "a test"})
    return path


def _start(module: str, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with open(log, "wb") as file:
        return subprocess.Popen([sys.executable, "-m", module], stdout=file, stderr=file, env=environment)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def _address(api: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the API says where it listens."""
    for _ in range(SECONDS * 20):
        found = re.search(r"running on (http://\S+)", log.read_text())
        if found:
            return found[1]
        try:
            api.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"the API did not start: {log.read_text()}")
