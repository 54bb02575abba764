"""How fast updates are encoded, error feedback and all, beside one local epoch of a client. Seconds of one core.

python tests/bench/federated_rounds/speed.py [--data none]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from task import Client, lenet, mnist

from cabacus.federated import UpdateDecoder, UpdateEncoder

LARGE = {"a": (2048, 2048), "b": (1024, 2048), "c": (512, 512, 3, 3), "d": (1024, 1024), "e": (512, 512), "f": (4096,)}
"""Ten million parameters."""


def seconds(work: Callable[[], Any], times: int = 5) -> float:
    """The median of the processor's time, which others on the machine lengthen less than the clock's."""
    found = []
    for _ in range(times):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return float(np.median(found))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[4] / "shared" / "data" / "datasets" / "mnist"
    parser.add_argument("--data", default=str(default), help="folder of the four idx files, or none")
    given = parser.parse_args()
    data = mnist(None if given.data == "none" else Path(given.data), 6000, 100)
    small, client = lenet(0), Client.of(data, np.arange(6000))
    learned = client.trained(small, np.random.default_rng(0))
    epoch = seconds(lambda: client.trained(small, np.random.default_rng(0)))
    print(f"one epoch of 6,000 images, LeNet-300-100: {1000 * epoch:.0f} ms")
    chance = np.random.default_rng(0)
    large = {name: chance.normal(0, 0.05, shape).astype(np.float32) for name, shape in LARGE.items()}
    moved = {name: (value + chance.laplace(0, 1e-3, value.shape)).astype(np.float32) for name, value in large.items()}
    print(f"{'':26}{'parameters':>12}{'bytes':>9}{'encode':>10}{'Mparam/s':>9}{'decode':>10}{'Mparam/s':>9}")
    settings: tuple[dict[str, Any], ...] = ({}, {"rate_weight": 0.1}, {"sparsify": "ternary"})
    for base, local in ((small, learned), (large, moved)):
        count = sum(value.size for value in base.values())
        for setting in settings:
            encoder, rest = UpdateEncoder(**setting), None
            for _ in range(2):
                update = encoder.encode(local, base, rest)
                rest = update.residual
            times = [seconds(lambda e=encoder, b=base, m=local, r=rest: e.encode(m, b, r))]
            times.append(seconds(lambda b=base, u=update: UpdateDecoder().decode(u.data, b)))
            words = ", ".join(f"{key}={value}" for key, value in setting.items()) or "default"
            shown = "".join(f"{1000 * each:7.1f} ms{count / each / 1e6:9.1f}" for each in times)
            print(f"{words:26}{count:12,}{len(update.data):9,}{shown}")


if __name__ == "__main__":
    main()
