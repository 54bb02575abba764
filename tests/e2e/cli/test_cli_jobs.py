"""`cabacus jobs` and `cabacus bases`: what a service holds, seen and changed from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cabacus as engine
from cabacus.service.client import Client, Job, NotFoundError

from .conftest import Cabacus


@pytest.fixture
def job(service_url: str, model: Path) -> Job:
    """A job that was started elsewhere."""
    with Client(service_url) as client:
        return client.submit("compress", model, snr_db=30)


def test_a_job_is_listed_shown_brought_and_removed(
    cabacus: Cabacus, service_url: str, model: Path, job: Job, tmp_path: Path
) -> None:
    server = ("--server", service_url)
    got = cabacus("jobs", "get", job.id, "-o", "model.cabac", *server)
    assert got.returncode == 0, got.stderr
    expected = engine.compress(model, snr_db=30).data
    assert (tmp_path / "model.cabac").read_bytes() == expected
    assert cabacus("jobs", "get", job.id, "-o", "model.cabac", *server).returncode == 3  # it is there
    assert cabacus("jobs", "get", job.id, "-o", "-", *server).stdout == expected

    shown = json.loads(cabacus("jobs", "show", job.id, *server).stdout)
    assert (shown["id"], shown["state"], shown["result"]["bytes"]) == (job.id, "done", len(expected))
    table = cabacus("jobs", "list", *server).stdout.decode().splitlines()
    assert table[0].split()[:3] == ["id", "kind", "state"]
    assert table[1].split()[:3] == [job.id, "compress", "done"]
    (row,) = json.loads(cabacus("jobs", "list", "--limit", 1, "--json", *server).stdout)
    assert row == shown

    cancelled = cabacus("jobs", "cancel", job.id, *server)
    assert (cancelled.returncode, b"done already" in cancelled.stderr) == (1, True)
    assert cabacus("jobs", "remove", job.id, *server).returncode == 0
    for action in ("show", "cancel", "remove"):
        gone = cabacus("jobs", action, job.id, *server)
        assert (gone.returncode, len(gone.stderr.splitlines())) == (1, 1)


def test_a_job_that_has_not_ended_is_cancelled_and_then_removed(cabacus: Cabacus, service_url: str) -> None:
    server = ("--server", service_url)
    large = {"w": np.random.default_rng(1).normal(0, 1, (2000, 2000)).astype(np.float32)}
    with Client(service_url) as client:
        for _ in range(2):  # one slot: the second waits
            waiting = client.submit("compress", large, snr_db=30, effort="max")
        refused = cabacus("jobs", "remove", waiting.id, *server)
        assert (refused.returncode, b"jobs cancel" in refused.stderr) == (1, True)
        for found in client.jobs():
            if not found.final:
                assert cabacus("jobs", "cancel", found.id, *server).returncode == 0
        assert client.job(waiting).state == "cancelled"
        ended = cabacus("jobs", "get", waiting.id, "-o", "-", *server)
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert cabacus("jobs", "remove", waiting.id, *server).returncode == 0
        with pytest.raises(NotFoundError):
            client.job(waiting)


def test_a_base_is_stored_used_by_its_digest_and_removed(
    cabacus: Cabacus, service_url: str, model: Path, tmp_path: Path
) -> None:
    server = ("--server", service_url)
    tensors = engine.read(model)
    engine.write(tmp_path / "nearby.npz", {name: array + array.dtype.type(1) for name, array in tensors.items()})
    added = cabacus("bases", "add", model, *server)
    digest = added.stdout.decode().strip()
    assert digest == engine.digest(tensors).hex(), added.stderr
    (row,) = json.loads(cabacus("bases", "list", "--json", *server).stdout)
    assert (row["digest"], row["bytes"]) == (digest, model.stat().st_size)
    assert digest in cabacus("bases", "list", *server).stdout.decode()

    made = cabacus("compress", "nearby.npz", "-o", "small.cabac", "--snr-db", 30, "--base", digest, *server)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "small.cabac").read_bytes() == engine.compress(
        tmp_path / "nearby.npz", snr_db=30, base=model
    ).data
    back = cabacus("decompress", "small.cabac", "-o", "back.npz", "--base", digest, *server)
    assert back.returncode == 0, back.stderr
    assert cabacus("verify", "small.cabac").returncode == 0

    assert cabacus("bases", "remove", digest, *server).returncode == 0
    assert cabacus("bases", "remove", digest, *server).returncode == 1
    assert json.loads(cabacus("bases", "list", "--json", *server).stdout) == []


def test_a_base_comes_from_standard_input_or_a_folder(
    cabacus: Cabacus, service_url: str, model: Path, tmp_path
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(model.read_bytes())
    for arguments, data in ((("-",), model.read_bytes()), ((folder,), b"")):
        added = cabacus("bases", "add", *arguments, "--server", service_url, input=data)
        assert added.returncode == 0, added.stderr
        assert added.stdout.decode().strip() == engine.digest(engine.read(model)).hex()
        assert cabacus("bases", "remove", added.stdout.decode().strip(), "--server", service_url).returncode == 0
