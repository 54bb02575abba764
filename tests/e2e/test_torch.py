"""What people have, a state_dict of torch, through both clients and a running service, and back into the module."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import cabacus
from cabacus.dtypes import as_bytes, dtype_name
from cabacus.service.client import AsyncClient, Client, Result

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed; `make test-train` has it, and runs these tests"
)


class Block(torch.nn.Module):  # type: ignore[misc]
    """Buffers in a module in a module: persistent ones of several types, and one that is no part of the state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(width)
        self.register_buffer("mask", torch.ones(width, width, dtype=torch.bool).tril())
        self.register_buffer("positions", torch.arange(3 * width, dtype=torch.int32).reshape(3, width).t())
        self.register_buffer("scratch", torch.zeros(5), persistent=False)
        self.register_buffer("scale", torch.tensor(0.5, dtype=torch.bfloat16))


class Network(torch.nn.Module):  # type: ignore[misc]
    """A small language model's parts: an embedding tied to the head, bfloat16 layers, a transposed weight."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.embedding = torch.nn.Embedding(96, 64)
        self.blocks = torch.nn.ModuleList([Block(64), Block(64)])
        self.half = torch.nn.Linear(64, 80).to(torch.bfloat16)
        self.turned = torch.nn.Parameter(torch.randn(48, 64).t())  # in memory the other way round
        self.sliced = torch.nn.Parameter(torch.randn(64, 64)[::2, 1::3])
        self.head = torch.nn.Linear(64, 96, bias=False)
        self.head.weight = self.embedding.weight


def compress(url: str, source: Any, **options: Any) -> Result:
    with Client(url) as client:
        return client.compress(source, **options)


def compress_awaited(url: str, source: Any, **options: Any) -> Result:
    async def main() -> Result:
        async with AsyncClient(url) as client:
            return await client.compress(source, **options)

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("send", [compress, compress_awaited], ids=["Client", "AsyncClient"])


def to_torch(array: Any) -> Any:
    """A decoded tensor as one of torch, bit for bit."""
    dtype = getattr(torch, dtype_name(array))
    return torch.from_numpy(as_bytes(array).copy()).view(dtype).reshape(tuple(array.shape))


@BOTH
def test_a_state_dict_goes_there_and_back_into_its_module(service_url: str, send: Any) -> None:
    network = Network()
    state = network.state_dict()
    result = send(service_url, state, snr_db=40)
    assert result.data == cabacus.compress(state, snr_db=40).data
    with Client(service_url) as client:
        decoded = cabacus.read(client.decompress(result.data).data)
    assert list(decoded) == list(state)
    for name, tensor in state.items():
        found = to_torch(decoded[name])
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape), name
        if not tensor.is_floating_point() or tensor.ndim < 2:
            assert torch.equal(found, tensor), name
        else:
            assert torch.allclose(found.float(), tensor.float(), atol=0.1), name
    np.testing.assert_array_equal(decoded["head.weight"], decoded["embedding.weight"])
    rows = {row["name"]: row for row in result.report["tensors"]}
    assert rows["head.weight"]["coding"] == "alias"  # tied: stored once
    assert rows["half.weight"]["dtype"] == "bfloat16"

    other = Network()
    other.load_state_dict({name: to_torch(array) for name, array in decoded.items()})
    assert torch.allclose(other.embedding.weight, network.embedding.weight, atol=0.1)


@BOTH
def test_what_is_kept_comes_back_bit_for_bit(service_url: str, send: Any) -> None:
    state = Network().state_dict()
    decoded = cabacus.decompress(send(service_url, state, rules=["*:keep"]).data)
    for name, tensor in state.items():
        assert bytes(as_bytes(decoded[name])) == bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()), name


@BOTH
def test_parameters_that_need_gradients_are_left_alone(service_url: str, send: Any) -> None:
    network = Network()
    network.turned.sum().backward()
    parameters = dict(network.named_parameters())
    before = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    assert send(service_url, parameters, snr_db=30).data == cabacus.compress(parameters, snr_db=30).data
    assert all(tensor.requires_grad and torch.equal(tensor, before[name]) for name, tensor in parameters.items())
    assert torch.equal(network.turned.grad, torch.ones(64, 48))


def test_a_state_dict_is_a_base_too(service_url: str) -> None:
    base = Network().state_dict()
    nearby = {name: tensor * 1.001 if tensor.is_floating_point() else tensor for name, tensor in base.items()}
    digest = cabacus.digest(base).hex()
    with Client(service_url) as client:
        client.put_base(digest, base)
        result = client.compress(nearby, snr_db=30, base=digest)
        assert result.data == cabacus.compress(nearby, snr_db=30, base=base).data
        assert result.data == client.compress(nearby, snr_db=30, base=base).data
        assert client.verify(client.compress(base, snr_db=60).data, against=base)["ok"]
        client.delete_base(digest)


@BOTH
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"w": torch.randn(3, 3).to_sparse()}, "w"),
        ({"w": torch.empty(3, 3, device="meta")}, "w"),
        ({"epoch": 3, "model": {}}, "epoch"),
    ],
    ids=["sparse", "meta", "a checkpoint with more in it"],
)
def test_what_cannot_be_sent_is_said_by_name(service_url: str, send: Any, source: Any, said: str) -> None:
    with pytest.raises(cabacus.InputError, match=said):
        send(service_url, source, snr_db=30)
