"""Bases with a real engine: each round coded against what the last one gave."""

from __future__ import annotations

import numpy as np
import pytest

import cabacus
from cabacus.federated import UpdateEncoder
from cabacus.service.client import Client, ConflictError


def test_an_update_is_read_with_its_base(service_url: str) -> None:
    base = {"w": np.zeros((30, 40), np.float32), "b": np.zeros(30, np.float32)}
    update = UpdateEncoder().encode({name: value + 1 for name, value in base.items()}, base)
    with Client(service_url) as client:
        client.put_base(cabacus.digest(base).hex(), base)
        digest = cabacus.digest(base).hex()
        assert client.inspect(update.data)["base"] == digest
        with pytest.raises(ConflictError, match="pass base="):
            client.decompress(update.data)
        assert [row["name"] for row in client.inspect(update.data, base=digest)["tensors"]] == ["w", "b"]
        assert client.verify(update.data, base=digest)["ok"]
        assert client.verify(update.data, against=update.decoded, base=base)["tensors"][0]["exact"]
        restored = cabacus.read(client.decompress(update.data, base=digest).data)
        client.delete_base(digest)
    assert all(np.array_equal(restored[name], update.decoded[name]) for name in base)


def test_rounds_are_coded_against_one_another(service_url: str) -> None:
    random = np.random.default_rng(3)
    weights = {"fc.weight": random.normal(0, 0.1, (300, 200)).astype(np.float32)}
    with Client(service_url) as client:
        known = [client.job(client.compress(weights, snr_db=30).job_id)]
        whole = cabacus.decompress(client.result(known[0]).data)
        for number in range(3):
            weights = {name: array + np.float32(0.02) for name, array in weights.items()}
            result = client.compress(weights, snr_db=30, base=known[-1].result.sha256)
            assert result.data == cabacus.compress(weights, snr_db=30, base=whole).data
            whole = cabacus.decompress(result.data, base=whole)
            known.append(client.job(result.job_id))
            restored = client.decompress(result.data, base=known[-2].result.sha256)
            assert cabacus.read(restored.data)["fc.weight"].tobytes() == whole["fc.weight"].tobytes(), number
        client.delete(known[0])  # those after it have what they were coded against
        last = client.compress(weights, snr_db=30, base=known[-1].result.sha256)
        assert last.data == cabacus.compress(weights, snr_db=30, base=whole).data
