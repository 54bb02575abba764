"""The same codec as a pair of filter functions, the form that NVFlare and others have: data in, data out, a state each.

python engine/examples/federated/filters.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cabacus.federated import UpdateDecoder, UpdateEncoder

Filter = Callable[[dict[str, Any]], Any]


def outgoing(base: Callable[[], dict[str, Any]], encoder: UpdateEncoder | None = None) -> Filter:
    """Return a filter of a client's results: arrays to bytes. `base` tells the model of the current round.

    Register it last among the filters of task results: after clipping and noise.
    """
    coder = UpdateEncoder() if encoder is None else encoder
    residual: dict[str, Any] = {}

    def process(tensors: dict[str, Any]) -> bytes:
        update = coder.encode(tensors, base(), residual)
        residual.update(update.residual)
        return update.data

    return process


def incoming(base: Callable[[], dict[str, Any]]) -> Callable[[bytes], dict[str, Any]]:
    """Return a filter of what the server receives: bytes to arrays. Register it first."""
    decoder = UpdateDecoder()

    def process(data: bytes) -> dict[str, Any]:
        return decoder.decode(data, base())

    return process


def main() -> None:
    """Send one update through both."""
    chance = np.random.default_rng(1)
    model = {"w": chance.normal(0, 0.1, (300, 100)).astype(np.float32), "b": np.zeros(300, np.float32)}
    local = {name: value + chance.laplace(0, 0.01, value.shape).astype(np.float32) for name, value in model.items()}
    data = outgoing(lambda: model)(local)
    received = incoming(lambda: model)(data)
    print(f"{sum(value.nbytes for value in local.values())} bytes became {len(data)}; {', '.join(received)} arrived")


if __name__ == "__main__":
    main()
