"""Updates: what is sent is what is received, what is not sent is sent later, and strangers' bytes do no harm."""

from __future__ import annotations

import random
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import cabacus
from cabacus import BaseMismatchError, CorruptError, FormatError, InputError, _core
from cabacus.dtypes import BY_NAME
from cabacus.federated import Base, Broadcaster, Follower, UpdateDecoder, UpdateEncoder

DECODER = UpdateDecoder()
SETTINGS: list[dict[str, Any]] = [
    {},
    {"step": 1.0, "rate_weight": 0.0},
    {"scale": "tensor"},
    {"quantizer": "trellis"},
    {"quantizer": "round"},
    {"sparsify": "top_k", "step": 0.5, "density": 0.05},
    {"sparsify": "ternary", "density": 0.05},
    {"sparsify": "binary", "density": 0.05},
]


def models(seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    chance = np.random.default_rng(seed)
    base = {
        "fc.weight": chance.normal(0, 0.1, (60, 40)).astype(np.float32),
        "fc.bias": chance.normal(0, 0.1, 60).astype(np.float32),
        "double": chance.normal(0, 1, (8, 30)),
        "half": chance.normal(0, 1, (16, 16)).astype(np.float16),
        "scalar": np.float32(0.5).reshape(()),
        "empty": np.empty((0, 3), np.float32),
        "batches": np.array(7, np.int64),
        "mask": np.array([True, False, True]),
    }
    return base, moved(base, seed + 1)


def moved(base: dict[str, Any], seed: int, size: float = 0.01) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    local = {name: value.copy() for name, value in base.items()}
    for name in ("fc.weight", "fc.bias", "double", "half", "scalar"):
        local[name] += chance.laplace(0, size, base[name].shape).astype(base[name].dtype)
    local["batches"] += 1
    local["mask"] = ~base["mask"]
    return local


def same(one: Any, other: Any) -> bool:
    return list(one) == list(other) and all(
        np.asarray(one[name]).dtype == np.asarray(other[name]).dtype
        and np.shape(one[name]) == np.shape(other[name])
        and np.asarray(one[name]).tobytes() == np.asarray(other[name]).tobytes()
        for name in one
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_both_sides_agree_bit_for_bit_over_rounds(settings: dict[str, Any]) -> None:
    encoder, residual = UpdateEncoder(**settings), None
    base, _ = models()
    for number in range(5):
        local = moved(base, number)
        update = encoder.encode(local, base, residual)
        received = DECODER.decode(update.data, base)
        assert same(update.decoded, received)
        assert same(cabacus.decompress(update.data, base=base), received)
        assert same({"n": received["batches"], "m": received["mask"]}, {"n": local["batches"], "m": local["mask"]})
        for name, left in update.residual.items():  # said + unsaid = meant
            before = 0 if residual is None else residual[name]
            meant = local[name].astype(np.float64) + before
            assert np.allclose(received[name].astype(np.float64) + left, meant, rtol=0, atol=1e-6)
        base, residual = dict(received), update.residual


def test_what_is_left_out_comes_later() -> None:
    base, local = ({"w": model["fc.weight"]} for model in models())
    change = local["w"] - base["w"]
    encoder = UpdateEncoder(sparsify="top_k", density=0.05)

    def missed(*, feedback: bool) -> float:
        model, residual = base, None
        for _ in range(60):  # the same change again and again
            update = encoder.encode({"w": model["w"] + change}, model, residual)
            model, residual = {"w": np.asarray(update.decoded["w"])}, update.residual if feedback else None
        return float(np.square(model["w"] - base["w"] - 60 * change).sum() / np.square(60 * change).sum())

    assert missed(feedback=True) < 0.2 < 0.5 < missed(feedback=False)


def test_updates_of_one_magnitude_are_not_lost() -> None:
    base = {"w": np.zeros((20, 30), np.float32)}
    update = UpdateEncoder().encode({"w": np.full((20, 30), 0.5, np.float32)}, base)
    assert update.decoded["w"].any()
    assert update.distortion < 1


def test_encoding_is_repeatable_and_changes_nothing_of_its_input() -> None:
    base, local = models()
    first = UpdateEncoder().encode(local, base)
    left = {name: value.copy() for name, value in first.residual.items()}
    one = UpdateEncoder().encode(local, base, first.residual)
    two = UpdateEncoder(threads=3).encode(local, base, left)
    assert one.data == two.data
    assert same(first.residual, left)
    assert same(models()[0], base)


@pytest.mark.parametrize("settings", [{}, {"sparsify": "ternary"}, {"sparsify": "top_k"}, {"scale": "tensor"}])
def test_a_message_keeps_to_its_bytes(settings: dict[str, Any]) -> None:
    base, local = models()
    free = UpdateEncoder(**settings).encode(local, base)
    bare = len(UpdateEncoder(**settings).encode(base, base).data)
    for most in (len(free.data), len(free.data) - 20, (len(free.data) + bare) // 2):
        update = UpdateEncoder(max_bytes=most, **settings).encode(local, base)
        assert 0.7 * most < len(update.data) <= most
        assert same(DECODER.decode(update.data, base), update.decoded)
        assert update.distortion >= free.distortion
    assert UpdateEncoder(max_bytes=10**9, **settings).encode(local, base).data == free.data
    with pytest.raises(InputError, match="are needed") as caught:
        UpdateEncoder(max_bytes=bare // 2, **settings).encode(local, base)
    assert caught.value.field == "max_bytes"


def test_a_base_is_digested_once_and_cannot_change() -> None:
    plain, local = models()
    base = Base(plain)
    plain["fc.weight"][0, 0] += 1  # what was given stays the caller's
    assert base.digest == cabacus.digest(models()[0])
    update = UpdateEncoder().encode(local, base)
    assert update.data == UpdateEncoder().encode(local, models()[0]).data
    assert same(DECODER.decode(update.data, base), update.decoded)
    with pytest.raises(ValueError, match="read-only"):
        base["fc.weight"][0, 0] = 1
    with pytest.raises(BaseMismatchError):
        DECODER.decode(update.data, Base(plain))
    with pytest.raises(InputError, match="'w'"):
        Base({"w": [1.0]})


def test_no_error_feedback_returns_no_residual() -> None:
    base, local = models()
    assert UpdateEncoder(error_feedback=False).encode(local, base).residual == {}


def test_biases_are_coded_and_messages_are_small() -> None:
    base = {"w": np.zeros((300, 200), np.float32), "b": np.zeros(4000, np.float32)}
    chance = np.random.default_rng(3)
    local = {name: chance.laplace(0, 0.01, value.shape).astype(np.float32) for name, value in base.items()}
    update = UpdateEncoder().encode(local, base)
    assert cabacus.open(update.data, base=base).info("b").bytes < 400
    assert update.ratio > 30
    assert update.metrics["bits_per_parameter"] == 8 * len(update.data) / 64000


def test_many_small_tensors_cost_little_more_than_their_levels() -> None:
    chance = np.random.default_rng(4)
    base = {f"block.{i}.norm.{part}": np.zeros(16, np.float32) for i in range(40) for part in ("weight", "bias")}
    base["w"] = np.zeros((40, 30), np.float32)
    local = {name: chance.laplace(0, 0.01, value.shape).astype(np.float32) for name, value in base.items()}
    many = UpdateEncoder(sparsify="ternary").encode(local, base)
    one = {"w": np.concatenate([value.ravel() for value in base.values()])}
    alone = UpdateEncoder(sparsify="ternary").encode(
        {"w": np.concatenate([value.ravel() for value in local.values()])}, one
    )
    assert len(many.data) < len(alone.data) + 40
    assert same(DECODER.decode(many.data, base), many.decoded)


def test_what_a_message_leaves_to_its_base_is_read_with_it_alone() -> None:
    base, local = models()
    update = UpdateEncoder().encode(local, base)
    said = cabacus.inspect(update.data)
    assert (said.tensors, said.base, said.bytes) == ((), cabacus.digest(base).hex(), len(update.data))
    assert "needs the base" in said.table()
    for read in (cabacus.open, cabacus.decompress):
        with pytest.raises(BaseMismatchError, match="pass base="):
            read(update.data)
        with pytest.raises(BaseMismatchError, match="not to"):
            read(update.data, base=local)
    with pytest.raises(BaseMismatchError, match="not to"):
        cabacus.inspect(update.data, base=local)
    archive = cabacus.open(update.data, base=base)
    assert list(archive) == list(base)
    assert same({name: archive.tensor(name) for name in archive}, update.decoded)
    assert np.array_equal(archive.rows("double", 2, 5), update.decoded["double"][2:5])
    assert archive.levels("double")[0].shape == (8, 30)
    found = cabacus.inspect(update.data, base=base)
    assert [row.shape for row in found.tensors] == [np.shape(value) for value in base.values()]
    assert sum(row.bytes for row in found.tensors) + 16 + 32 <= found.bytes
    assert cabacus.verify(update.data, update.decoded, base=base).ok
    assert not cabacus.verify(update.data, update.decoded).ok


def test_what_is_given_out_of_a_joined_record_is_a_copy() -> None:
    base = {"a": np.zeros(5, np.float32), "none": np.empty((0, 3), np.float32)}
    update = UpdateEncoder().encode({**base, "a": base["a"] + 1}, base)
    archive = cabacus.open(update.data, base=base)
    first = archive.tensor("a")
    assert isinstance(first, np.ndarray)
    first[...] = 7
    assert np.array_equal(archive.tensor("a"), update.decoded["a"])


def test_small_tensors_of_other_types_and_rules_are_apart() -> None:
    chance = np.random.default_rng(6)
    kinds = (np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.int64, np.uint8, bool)
    base = {f"{i}.{np.dtype(kind).name}": chance.normal(0, 9, (3, 5)).astype(kind) for i in range(3) for kind in kinds}
    local = {
        name: (value.astype(np.float64) + chance.normal(0, 1, (3, 5))).astype(value.dtype)
        for name, value in base.items()
    }
    encoder = UpdateEncoder(rules=["1.float32:keep", "2.float32:step=0.125", "2.float64:axes=1,0"])
    update = encoder.encode(local, base)
    received = DECODER.decode(update.data, base)
    assert same(received, update.decoded)
    for name in base:
        if name == "1.float32" or name.endswith(("int64", "uint8", "bool")):
            assert np.array_equal(received[name], local[name])
    steps = (received["2.float32"].astype(np.float64) - base["2.float32"]) / 0.125
    assert np.allclose(steps, np.rint(steps), atol=1e-5)


def test_what_is_joined_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    base = {f"{i}.bias": np.zeros(300, np.float32) for i in range(40)}
    local = {name: np.random.default_rng(i).laplace(0, 1, 300).astype(np.float32) for i, name in enumerate(base)}
    update = UpdateEncoder().encode(local, base)
    calls: list[int] = []
    decode = _core.decode_weights
    monkeypatch.setattr(_core, "decode_weights", lambda *given: (calls.append(1), decode(*given))[1])
    assert same(cabacus.decompress(update.data, base=base), update.decoded)
    assert same(DECODER.decode(update.data, base), update.decoded)
    assert len(calls) == 2


@pytest.mark.parametrize("sparsify", [None, "top_k", "ternary", "binary"])
@pytest.mark.parametrize("scale", ["model", "tensor"])
def test_scalars_are_sent(sparsify: Any, scale: Any) -> None:
    base = {"temperature": np.float32(0.5).reshape(()), "w": np.zeros((30, 40), np.float32)}
    local = {"temperature": np.float32(1.75).reshape(()), "w": np.full((30, 40), 0.5, np.float32)}
    update = UpdateEncoder(sparsify=sparsify, scale=scale).encode(local, base)
    assert same(DECODER.decode(update.data, base), update.decoded)


def test_inputs_that_are_dead_cost_nothing() -> None:
    base = {"w": np.zeros((300, 400), np.float32)}
    chance = np.random.default_rng(8)
    change = chance.laplace(0, 0.01, (300, 400)) * (np.abs(chance.normal(0, 1, (300, 400))) > 2)
    alive = change * (np.arange(400) % 2)
    some = UpdateEncoder(sparsify="ternary", density=0.01).encode({"w": alive.astype(np.float32)}, base)
    narrow = UpdateEncoder(sparsify="ternary", density=0.02).encode(
        {"w": alive[:, 1::2].astype(np.float32)}, {"w": base["w"][:, 1::2]}
    )
    details = cabacus.open(some.data, base=base).info("w").details
    assert (details["axes"], details["gaps"]) == ("1,0", 200)
    assert len(some.data) < len(narrow.data) + 400 // 8 + 24  # the same levels, and a bit for every input
    assert same(DECODER.decode(some.data, base), some.decoded)


def test_axes_that_are_in_order_are_none() -> None:
    base, local = models()
    update = UpdateEncoder(rules=["double:axes=0,1", "fc.weight:axes=0,1"]).encode(local, base)
    assert same(DECODER.decode(update.data, base), update.decoded)


def test_nothing_changed_takes_hardly_a_byte() -> None:
    base, _ = models()
    update = UpdateEncoder().encode(base, base)
    assert same(update.decoded, base)
    assert len(update.data) < 250


def test_rules_reach_their_tensors() -> None:
    base, local = models()
    update = UpdateEncoder(rules=["half:keep", ("fc.*", {"step": 0.001})]).encode(local, base)
    assert np.array_equal(update.decoded["half"], local["half"])
    assert np.abs(update.decoded["fc.bias"] - local["fc.bias"]).max() < 0.0015
    with pytest.raises(InputError, match="no option 'snr_db'"):
        UpdateEncoder(rules=["*:snr_db=3"])


@pytest.mark.parametrize("sparsify", [None, "ternary", "top_k"])
def test_a_tensor_with_a_step_of_its_own_is_apart_from_the_others(sparsify: Any) -> None:
    base, local = ({"w": model["fc.weight"], "norm.running_var": np.ones(60, np.float32)} for model in models())
    local["norm.running_var"] = base["norm.running_var"] + np.linspace(-0.9, 50, 60, dtype=np.float32)
    rules = [("*.running_*", {"step": 0.01, "rate_weight": 0})]
    update = UpdateEncoder(sparsify=sparsify, rules=rules).encode(local, base)
    assert np.abs(update.decoded["norm.running_var"] - local["norm.running_var"]).max() < 0.006
    alone = UpdateEncoder(sparsify=sparsify).encode({"w": local["w"]}, {"w": base["w"]})
    assert np.array_equal(update.decoded["w"], alone.decoded["w"])
    assert same(DECODER.decode(update.data, base), update.decoded)


def test_falls_back_to_exact_where_coding_is_larger() -> None:
    base = {"w": np.zeros(4000, np.float32)}
    local = {"w": np.random.default_rng(1).choice(np.float32([0.1, 0.3333]), 4000)}
    update = UpdateEncoder(rules=[("w", {"step": 1e-9, "rate_weight": 0.0})]).encode(local, base)
    assert np.array_equal(update.decoded["w"], local["w"])
    assert len(update.data) < 1000
    assert same(DECODER.decode(update.data, base), update.decoded)


def test_a_stale_base_is_refused() -> None:
    base, local = models()
    update = UpdateEncoder().encode(local, base)
    for other in (local, moved(base, 9), dict(base) | {"batches": np.array(8)}):
        with pytest.raises(BaseMismatchError):
            DECODER.decode(update.data, other)
    with pytest.raises(BaseMismatchError, match="no base"):
        DECODER.decode(cabacus.compress(local, rules=["*:keep"]).data, base)
    exact = UpdateEncoder(rules=["*:keep"]).encode(local, base)
    with pytest.raises(BaseMismatchError):
        DECODER.decode(exact.data, local)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_are_refused_by_the_sender(value: float) -> None:
    base, local = models()
    local["fc.bias"][3] = value
    with pytest.raises(InputError) as caught:
        UpdateEncoder().encode(local, base)
    assert caught.value.tensor == "fc.bias"


def test_nan_and_infinities_are_refused_by_the_receiver() -> None:
    base = {"w": np.ones(3, np.float32)}
    for value in (np.nan, np.inf):
        hostile = cabacus.compress({"w": np.float32([1, value, 3])}, rules=["*:keep"]).data
        record = cabacus.open(hostile)
        data = renamed(hostile, base)
        assert record.keys() == ["w"]
        with pytest.raises(CorruptError, match="NaN or infinities"):
            DECODER.decode(data, base)


def renamed(data: bytes, base: dict[str, Any], **changes: Any) -> bytes:
    """The file with the base's digest and other fields in its first record."""
    header = _core.parse(data, LIMITS)
    for key, value in changes.items():
        setattr(header.records[0], key, value)
    return _core.pack(header.records, header.metadata, cabacus.digest(base)) + data[header.bytes :]


LIMITS = {name: getattr(cabacus.DEFAULT_LIMITS, name) for name in cabacus.DEFAULT_LIMITS.__dataclass_fields__}


def test_names_shapes_and_types_are_those_of_the_base() -> None:
    base = {"w": np.zeros((20, 30), np.float32)}
    local = {"w": np.random.default_rng(1).normal(0, 1, (20, 30)).astype(np.float32)}
    data = cabacus.compress(local, rules=["w:keep"]).data
    assert np.array_equal(DECODER.decode(renamed(data, base), base)["w"], local["w"])
    for changes in ({"name": "v"}, {"shape": (30, 20)}, {"shape": (600,)}, {"dtype": BY_NAME["float64"].id}):
        with pytest.raises(FormatError):
            DECODER.decode(renamed(data, base, **changes), base)
    for other in ({}, {"v": local["w"]}, {"w": local["w"].T}, {"w": local["w"].astype(np.float64)}):
        with pytest.raises(InputError):
            UpdateEncoder().encode(other, base)


def test_ten_thousand_mutated_updates_do_no_harm() -> None:
    base, local = models()
    chance = random.Random(5)
    good = [UpdateEncoder(**settings).encode(local, base).data for settings in SETTINGS]
    known = [(name, BY_NAME[str(base[name].dtype)].id, base[name].shape) for name in sorted(base)]
    header = [_core.parse(data, LIMITS, base=known) for data in good]
    survived = 0
    for number in range(10_000):
        data, outline = bytearray(good[number % len(good)]), header[number % len(good)]
        for _ in range(chance.choice((1, 1, 2, 6))):
            place = chance.randrange(len(data)) if number % 2 else chance.randrange(min(len(data), outline.bytes))
            match chance.randrange(4):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    data[place] ^= 1 << chance.randrange(8)
                case 2:
                    del data[place : place + chance.randrange(1, 9)]
                case _:
                    data[place:place] = chance.randbytes(chance.randrange(1, 9))
            if not data:
                break
        data = bytearray(resealed(bytes(data), outline)) if number % 4 == 3 else data
        try:
            decoded = DECODER.decode(bytes(data), base)
        except FormatError:
            continue
        survived += 1
        assert list(decoded) == list(base)
        for name, value in decoded.items():
            assert value.shape == base[name].shape
            assert value.dtype == base[name].dtype
            assert np.isfinite(value).all()
    assert survived  # some get past every checksum: resealed ones


def resealed(data: bytes, known: Any) -> bytes:
    """A file whose payload is whatever it is, with checksums that are right: the coder itself meets the garbage."""
    payload = bytearray(data[known.bytes :].ljust(known.file_bytes - known.bytes, b"\0"))
    payload = payload[: known.file_bytes - known.bytes]
    start = 0
    for record in known.records:
        for size in record.slice_bytes:
            body = bytes(payload[start : start + size - 4])
            payload[start + size - 4 : start + size] = _core.checksum(body).to_bytes(4, "little")
            start += size
    return _core.pack(known.records, known.metadata, known.base, known.layout) + bytes(payload)


def test_a_client_follows_and_is_told_what_it_missed() -> None:
    base, _ = models()
    server, client, late = Broadcaster(base), Follower(), Follower()
    for follower in (client, late):
        assert same(follower.receive(server.message(follower.digest)), base)
    truth = base
    for number in range(4):
        truth = moved(truth, number)
        update = server.publish(truth)
        assert len(server.message(client.digest)) == len(update.data)
        assert same(client.receive(server.message(client.digest)), server.published)
    with pytest.raises(BaseMismatchError, match="rounds were missed"):
        late.receive(update.data)
    assert late.digest == cabacus.digest(base).hex()
    assert same(late.receive(server.message(late.digest)), server.published)
    with pytest.raises(BaseMismatchError, match="no model yet"):
        Follower().receive(update.data)


def test_the_servers_residual_is_sent_in_the_end() -> None:
    base, local = models()
    server = Broadcaster(base)
    gaps = []
    for _ in range(12):
        server.publish(local)
        gaps.append(float(np.square(server.residual(local)["fc.weight"]).sum()))
    assert gaps[-1] < gaps[0] / 2
    assert gaps[-1] == min(gaps)


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn"])
def test_small_floats_and_odd_layouts(kind: str) -> None:
    chance = np.random.default_rng(1)
    base = {"s": chance.normal(0, 1, (30, 20)).astype(getattr(ml_dtypes, kind)), "w": np.zeros((30, 20), ">f4")}
    local = {"s": (base["s"].astype(np.float32) * 1.5).astype(base["s"].dtype), "w": chance.normal(0, 1, (20, 30)).T}
    local["w"] = local["w"].astype(">f4")
    update = UpdateEncoder(rules=["w:axes=1,0"]).encode(local, base)
    received = DECODER.decode(update.data, base)
    assert same(update.decoded, received)
    assert np.asarray(received["s"]).dtype == base["s"].dtype
    assert 0 < update.distortion < 1
