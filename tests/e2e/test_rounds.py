"""A federated round by HTTP: clients code, a worker decodes, the mean comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

import cabacus
from cabacus.federated import UpdateEncoder
from cabacus.service.client import AsyncClient, Client, ConflictError, NotFoundError, ProblemError


def test_a_round_comes_back_as_one_model(service_url: str, model: Path) -> None:
    base = load(model.read_bytes())
    digest = cabacus.digest(base).hex()
    chance = np.random.default_rng(3)
    learned = [
        {name: (value + chance.laplace(0, 0.01, value.shape)).astype(value.dtype) for name, value in base.items()}
        for _ in range(2)
    ]
    update = UpdateEncoder().encode(learned[0], base)
    with Client(service_url) as client:
        client.put_base(digest, model)
        found = client.open_round(digest, clients=["coded", "plain", "away"], deadline_seconds=300)
        assert client.send_update(found, "coded", update.data, samples=30).coded
        assert not client.send_update(found.id, "plain", learned[1], samples=10).coded
        assert client.round(found).missing == ("away",)
        job = client.wait(client.close_round(found))
        result = client.result(job)
        closed = client.round(found)
        assert closed.closed
        with pytest.raises(ConflictError) as caught:
            client.send_update(found, "away", update.data, samples=1)
        assert caught.value.code == "round_closed"
        assert [late.client for late in client.round(found).late] == ["away"]
        few = client.open_round(digest, minimum=2)
        client.send_update(few, "only", update.data, samples=1)
        with pytest.raises(ProblemError) as short:
            client.wait(client.close_round(few))
        assert short.value.code == "too_few_updates"
        client.delete_base(digest)
    assert result.report["missing"] == ["away"]
    assert result.report["samples"] == 40
    mean = load(result.data)
    for name, value in base.items():
        if value.dtype.kind == "f":
            meant = 0.75 * update.decoded[name].astype(np.float64) + 0.25 * learned[1][name].astype(np.float64)
            np.testing.assert_allclose(mean[name], meant, atol=1e-6)


async def _unknown(url: str) -> None:
    async with AsyncClient(url) as client:
        with pytest.raises(NotFoundError):
            await client.round("0" * 32)
        with pytest.raises(NotFoundError):
            await client.open_round("0" * 64)


def test_the_awaited_client_has_rounds_too(service_url: str) -> None:
    asyncio.run(_unknown(service_url))
