"""Federated MNIST: accuracy against the bytes of the uplink, cabacus beside what others do, LeNet-300-100 in NumPy.

python tests/bench/federated.py --rounds 60 --train 60000 --seeds 3        the whole table: hours of one thread
python tests/bench/federated.py --rounds 20 --train 8000 --test 2000       minutes
python tests/bench/federated.py --data none --rounds 3                     seconds, on made-up digits
"""

from __future__ import annotations

import argparse
import gzip
import math
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cabacus.federated import UpdateDecoder, UpdateEncoder

Model = dict[str, Any]
Scheme = Callable[[Model, Model, Any], tuple[int, Model, Any]]
"""(local, base, state) -> bytes of the message, what the server decodes, the new state."""


def mnist(folder: Path | None, train: int, test: int) -> tuple[Any, Any, Any, Any]:
    """Images as float32 rows in [0, 1] and labels, of files as distributed, or made up where there is no folder."""
    if folder is None:
        chance = np.random.default_rng(0)
        centers = chance.random((10, 784), np.float32) * (chance.random((10, 784)) < 0.2)
        labels = chance.integers(0, 10, train + test)
        images = (centers[labels] + chance.normal(0, 0.25, (train + test, 784))).astype(np.float32)
        return images[:train], labels[:train], images[train:], labels[train:]
    found = []
    for name, count in (("train", train), ("t10k", test)):
        pixels = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
        found.append(np.frombuffer(pixels, np.uint8).reshape(-1, 784)[:count].astype(np.float32) / 255)
        found.append(np.frombuffer(labels, np.uint8)[:count].astype(np.int64))
    return found[0], found[1], found[2], found[3]


def lenet(seed: int) -> Model:
    """LeNet-300-100 with He's initial weights."""
    chance, model = np.random.default_rng(seed), {}
    for number, (inputs, outputs) in enumerate(((784, 300), (300, 100), (100, 10)), 1):
        weights = chance.normal(0, math.sqrt(2 / inputs), (outputs, inputs))
        model |= {f"fc{number}.weight": weights.astype(np.float32), f"fc{number}.bias": np.zeros(outputs, np.float32)}
    return model


def trained(model: Model, images: Any, labels: Any, order: Any, rate: float = 0.05, batch: int = 20) -> Model:
    """One epoch of SGD, in the given order of images."""
    local = {name: value.copy() for name, value in model.items()}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        layers = [images[rows]]
        for number in (1, 2, 3):
            values = layers[-1] @ local[f"fc{number}.weight"].T + local[f"fc{number}.bias"]
            layers.append(np.maximum(values, 0) if number < 3 else values)
        gradient = np.exp(layers[-1] - layers[-1].max(1, keepdims=True))
        gradient /= gradient.sum(1, keepdims=True)
        gradient[np.arange(len(rows)), labels[rows]] -= 1
        gradient /= len(rows)
        for number in (3, 2, 1):
            weights, inputs = local[f"fc{number}.weight"], layers[number - 1]
            onward = (gradient @ weights) * (inputs > 0) if number > 1 else None
            weights -= rate * (gradient.T @ inputs)
            local[f"fc{number}.bias"] -= rate * gradient.sum(0)
            gradient = onward
    return local


def accuracy(model: Model, images: Any, labels: Any) -> float:
    """Percent of images told right."""
    values = images
    for number in (1, 2, 3):
        values = values @ model[f"fc{number}.weight"].T + model[f"fc{number}.bias"]
        values = np.maximum(values, 0) if number < 3 else values
    return 100 * float((values.argmax(1) == labels).mean())


def shards(labels: Any, clients: int, alpha: float | None, seed: int) -> list[Any]:
    """Indices of each client's images: equal shares, or each class spread by Dirichlet(alpha)."""
    chance = np.random.default_rng(seed)
    if alpha is None:
        return np.array_split(chance.permutation(len(labels)), clients)
    parts: list[list[Any]] = [[] for _ in range(clients)]
    for label in range(10):
        rows = chance.permutation(np.flatnonzero(labels == label))
        ends = (np.cumsum(chance.dirichlet([alpha] * clients))[:-1] * len(rows)).astype(int)
        for part, some in zip(parts, np.split(rows, ends), strict=True):
            part.append(some)
    return [np.concatenate(part) for part in parts]


def plain(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
    """fp32."""
    return sum(value.nbytes for value in local.values()), local, None


def int8_zlib(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
    """The update as int8 with a scale a tensor, in zlib -9."""
    sent, data = {}, b""
    for name, value in local.items():
        change = value - base[name]
        scale = np.float32(max(float(np.abs(change).max(initial=0)), 1e-30) / 127)
        levels = np.rint(change / scale).astype(np.int8)
        data += scale.tobytes() + levels.tobytes()
        sent[name] = base[name] + levels * scale
    return len(zlib.compress(data, 9)), sent, None


def flat(model: Model) -> Any:
    return np.concatenate([value.ravel() for value in model.values()])


def apart(vector: Any, like: Model) -> Model:
    ends = np.cumsum([value.size for value in like.values()])[:-1]
    return {name: part.reshape(like[name].shape) for name, part in zip(like, np.split(vector, ends), strict=True)}


def top(local: Model, base: Model, state: Any, density: float = 0.01) -> tuple[Any, Any, Any]:
    change = flat(local) - flat(base) + (0 if state is None else state)
    places = np.sort(np.argpartition(np.abs(change), -round(density * change.size))[-round(density * change.size) :])
    return change, places, change[places]


def top_indices(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
    """Top 1 % as (uint32 index, float32 value), with error feedback."""
    change, places, values = top(local, base, state)
    sent = np.zeros_like(change)
    sent[places] = values
    return 8 * places.size, apart(flat(base) + sent, base), change - sent


def stc_golomb(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
    """STC: top 1 % of one magnitude, gaps in Golomb's code, with error feedback."""
    change, places, values = top(local, base, state)
    mean = np.float32(np.abs(values).mean())
    sent = np.zeros_like(change)
    sent[places] = mean * np.sign(values)
    gaps = np.diff(places, prepend=-1) - 1
    order = 1 + math.floor(math.log2(math.log((math.sqrt(5) - 1) / 2) / math.log(1 - 0.01)))
    bits = int((gaps >> order).sum()) + gaps.size * (1 + order) + gaps.size
    return -(-bits // 8) + 8, apart(flat(base) + sent, base), change - sent


def ours(**settings: Any) -> Scheme:
    """cabacus: real bytes, decoded by the receiver."""
    encoder, decoder = UpdateEncoder(**settings), UpdateDecoder()

    def scheme(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
        update = encoder.encode(local, base, state)
        return len(update.data), decoder.decode(update.data, base), update.residual

    return scheme


SCHEMES: dict[str, Scheme] = {
    "fp32": plain,
    "int8 + zlib": int8_zlib,
    "top 1 %, indices": top_indices,
    "STC 1 % + Golomb": stc_golomb,
    "cabacus, ternary 1 %": ours(sparsify="ternary"),
    "cabacus, top 1 %, step 0.5": ours(sparsify="top_k"),
    "cabacus, step 2, c 0.10": ours(step=2.0, rate_weight=0.1),
    "cabacus, step 3, c 0.05": ours(),
    "cabacus, step 3, c 0.05, per tensor": ours(scale="tensor"),
    "cabacus, step 3, c 0.10": ours(rate_weight=0.1),
}


def federation(
    scheme: Scheme, data: tuple[Any, Any, Any, Any], *, rounds: int, clients: int, alpha: float | None, seed: int
) -> tuple[float, float, float]:
    """Return (accuracy, the mean of the last five rounds; bytes a message; seconds a message)."""
    images, labels, test_images, test_labels = data
    parts = shards(labels, clients, alpha, seed)
    weights = np.array([len(part) for part in parts], np.float64)
    model, states = lenet(seed), [None] * clients
    reached, sizes, seconds = [], [], 0.0
    for number in range(rounds):
        total = {name: np.zeros(value.shape, np.float64) for name, value in model.items()}
        for client, part in enumerate(parts):
            order = np.random.default_rng((seed, number, client)).permutation(part)
            local = trained(model, images, labels, order)
            started = time.perf_counter()
            size, received, states[client] = scheme(local, model, states[client])
            seconds += time.perf_counter() - started
            sizes.append(size)
            for name in total:
                total[name] += received[name].astype(np.float64) * (weights[client] / weights.sum())
        model = {name: value.astype(np.float32) for name, value in total.items()}
        reached.append(accuracy(model, test_images, test_labels))
    return float(np.mean(reached[-5:])), float(np.mean(sizes)), seconds / len(sizes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parents[3] / "shared" / "data" / "datasets" / "mnist"
    parser.add_argument("--data", default=str(default), help="folder of the four idx files, or none")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--train", type=int, default=8000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--alpha", type=float, help="Dirichlet's, for clients that differ; IID without")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="schemes whose name has this")
    given = parser.parse_args()
    data = mnist(None if given.data == "none" else Path(given.data), given.train, given.test)
    raw = sum(value.nbytes for value in lenet(0).values())
    print(f"{'scheme':36}{'accuracy':>9}{'+-':>6}{'bytes':>10}{'reduction':>11}{'Mparam/s':>10}")
    for name, scheme in SCHEMES.items():
        if given.only not in name:
            continue
        found = [
            federation(scheme, data, rounds=given.rounds, clients=given.clients, alpha=given.alpha, seed=seed)
            for seed in range(given.seeds)
        ]
        reached, sizes, seconds = (np.array(one) for one in zip(*found, strict=True))
        print(
            f"{name:36}{reached.mean():9.2f}{np.ptp(reached):6.2f}{sizes.mean():10.0f}{raw / sizes.mean():10.1f}x"
            f"{raw / 4e6 / seconds.mean():10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
