"""Checkpoints in several files as one request: by the client, the command, and a form as curl sends it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

import cabacus
from cabacus.service.client import AsyncClient, Client

INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder with an index and two shards."""
    folder = tmp_path / "network"
    folder.mkdir()
    random = np.random.default_rng(5)
    weights = {}
    for shard in SHARDS:
        tensors = {f"{shard[6:11]}.{n}": random.standard_normal((30, 40)).astype(np.float32) for n in range(2)}
        cabacus.write(folder / shard, tensors, {"format": "pt"})
        weights |= dict.fromkeys(tensors, shard)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weights}))
    (folder / "config.json").write_text("{}")
    return folder


def test_both_clients_send_a_folder(service_url: str, checkpoint: Path) -> None:
    expected = cabacus.compress(checkpoint, snr_db=30).data
    with Client(service_url) as client:
        result = client.compress(checkpoint, snr_db=30)
        assert (result.data, result.name) == (expected, "model.cabac")
        assert client.compress(checkpoint / INDEX, snr_db=30).data == expected

    async def main() -> bytes:
        async with AsyncClient(service_url) as client:
            return (await client.compress(checkpoint, snr_db=30)).data

    assert asyncio.run(main()) == expected


def test_the_command_takes_a_folder_here_and_there(service_url: str, checkpoint: Path, tmp_path: Path) -> None:
    for name, flags in (("here", ()), ("there", ("--server", service_url))):
        command = [sys.executable, "-m", "cabacus.service.cli", "compress", str(checkpoint), "-o", f"{name}.cabac"]
        done = subprocess.run(
            [*command, "--snr-db", "30", *flags], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    expected = cabacus.compress(checkpoint, snr_db=30).data
    assert [(tmp_path / f"{name}.cabac").read_bytes() for name in ("here", "there")] == [expected] * 2


def test_a_checkpoint_in_several_files_is_a_base(service_url: str, checkpoint: Path) -> None:
    tensors = cabacus.read(checkpoint)
    digest = cabacus.digest(tensors).hex()
    nearby = {name: array + np.float32(0.5) for name, array in tensors.items()}
    expected = cabacus.compress(nearby, snr_db=30, base=tensors).data
    with Client(service_url) as client:
        client.put_base(digest, checkpoint)
        assert client.compress(nearby, snr_db=30, base=digest).data == expected
        client.delete_base(digest)
        assert client.compress(nearby, snr_db=30, base=checkpoint).data == expected


def test_what_is_missing_or_wrong_is_said_before_any_work(service_url: str, checkpoint: Path) -> None:
    index, *shards = [(name, (checkpoint / name).read_bytes(), "x/y") for name in (INDEX, *SHARDS)]

    def refused(*parts: tuple[str, tuple[str, bytes, str]], path: str = "/compress") -> tuple[int, str, str]:
        answer = httpx.post(f"{service_url}{path}", files=list(parts), headers={"Prefer": "wait=20"}, trust_env=False)
        return answer.status_code, answer.json()["code"], answer.json()["detail"]

    assert refused(("model", index))[:2] == (422, "missing_part")
    raw = httpx.post(f"{service_url}/compress", content=index[1], trust_env=False)
    assert (raw.status_code, raw.json()["code"]) == (422, "missing_part")
    assert refused(("model", shards[0]), ("shard", shards[1]))[:2] == (422, "unexpected_part")
    assert refused(("model", index), ("shard", shards[0]), ("shard", shards[0]))[:2] == (422, "unexpected_part")
    assert refused(("model", index), ("shard", index))[:2] == (415, "unsupported_format")
    assert refused(("model", index), path="/decompress")[:2] == (415, "unsupported_format")
    assert refused(("model", shards[0]), ("importance", index))[:2] == (415, "unsupported_format")
    status, code, detail = refused(("model", index), ("shard", shards[0]))
    assert (status, code) == (422, "invalid_input")
    assert SHARDS[1] in detail
