"""A second model: ResNet-20 of CIFAR10, adapted by clients to the JPEG-compressed images, a few rounds (extra `train`).

python tests/bench/federated_rounds/resnet.py DATA [--rounds 5 --clients 4 --images 500 --test 1000]

DATA is the folder of data sets and models. The running statistics of normalisation have a step of their own with
cabacus; the other schemes get them for nothing, exactly: as the largest changes they would take all of a sparse
message. The test images are every tenth, as their file is sorted by class.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from schemes import SCHEMES as KNOWN
from schemes import named, ours, settings_of

sys.path.append(str(Path(__file__).parents[1] / "table1"))
import data as images
import given
import networks

from cabacus.sparsify import load

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCHEMES = ("fp32", "step=3,rate_weight=0.05", "step=3,rate_weight=0.1", "sparsify=ternary", "STC 1 % + Golomb")


def trained(network: Any, model: dict[str, Any], pair: Any, seed: int, rate: float) -> dict[str, Any]:
    """One epoch of SGD with momentum, batches of 50."""
    load(network, model).train()
    steps = torch.optim.SGD(network.parameters(), rate, momentum=0.9)
    order = torch.randperm(len(pair[0]), generator=torch.Generator().manual_seed(seed))
    for some in order.split(50):
        steps.zero_grad()
        torch.nn.functional.cross_entropy(network(pair[0][some]), pair[1][some]).backward()
        steps.step()
    state = network.state_dict()
    return {name: state[name].numpy().copy() for name in model}


def accuracy(network: Any, model: dict[str, Any], pair: Any) -> float:
    """Percent of the test images told right."""
    load(network, model).eval()
    with torch.no_grad():
        right = sum(int((network(x).argmax(1) == y).sum()) for x, y in zip(*(p.split(100) for p in pair), strict=True))
    return 100 * right / len(pair[0])


def with_statistics(name: str) -> Any:
    """A scheme of that name that is fit for running means and variances."""
    if name not in KNOWN:
        return ours(rules=[("*.running_*", {"step": 0.02})], **settings_of(name))
    inner = named(name)

    def scheme(local: Any, base: Any, state: Any) -> Any:
        free = {key: value for key, value in local.items() if ".running_" in key}
        size, sent, state = inner(*({key: one[key] for key in one if key not in free} for one in (local, base)), state)
        return size, {key: free[key] if key in free else sent[key] for key in local}, state

    return scheme


def main() -> None:
    """Print a line for each scheme."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    for name, default in (("rounds", 5), ("clients", 4), ("images", 500), ("test", 1000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--only", nargs="+", default=list(SCHEMES))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    folder, shown = asked.data / "datasets" / "cifar10", np.arange(10_000)[:: 10_000 // asked.test]
    split = images.cifar10_labelled(folder, asked.clients * asked.images)
    test = images.labelled(folder / "cifar10_test_jpeg.npz", shown)
    split = images.Split(split.train, split.held_out, test).normalised(MEAN, DEVIATION)
    parts = list(zip(*(part.split(asked.images) for part in split.train), strict=True))
    network, start = networks.resnet20(), given.resnet20(asked.data / "models")
    start = {name: value for name, value in start.items() if "num_batches" not in name}
    raw = sum(value.nbytes for value in start.values())
    print(f"before: {accuracy(network, start, split.test):.2f} % of {len(split.test[0])} images, {raw:,} bytes a model")
    for name in asked.only:
        scheme, model, states = with_statistics(name), start, [None] * asked.clients
        sizes, coding, training = [], 0.0, 0.0
        for number in range(asked.rounds):
            received = []
            for client, pair in enumerate(parts):
                began = time.process_time()
                local = trained(network, model, pair, 1000 * asked.seed + 100 * number + client, asked.rate)
                training -= began - time.process_time()
                began = time.process_time()
                size, sent, states[client] = scheme(local, model, states[client])
                coding -= began - time.process_time()
                sizes.append(size)
                received.append(sent)
            model = {key: np.mean([np.asarray(one[key]) for one in received], 0, np.float32) for key in model}
        mean = float(np.mean(sizes))
        print(
            f"{name:28}{accuracy(network, model, split.test):8.2f} %{mean:11,.0f} bytes{raw / mean:8.1f}x"
            f"  coding/epoch {coding / training:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
