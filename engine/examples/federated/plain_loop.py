"""Federated averaging in a plain loop: coded updates up, a coded broadcast down, bit for bit the same at both ends.

python engine/examples/federated/plain_loop.py
"""

from __future__ import annotations

import numpy as np

from cabacus.federated import Broadcaster, Follower, UpdateDecoder, UpdateEncoder

CLIENTS, ROUNDS, STEPS = 4, 15, 20


def trained(weights: np.ndarray, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """A few steps of gradient descent on a linear model."""
    for _ in range(STEPS):
        weights = weights - 0.02 * inputs.T @ (inputs @ weights - outputs) / len(inputs)
    return weights.astype(np.float32)


def main() -> None:
    """Train, and say what crossed the wire."""
    chance = np.random.default_rng(1)
    truth = chance.normal(0, 1, (200, 30))
    data = [chance.normal(0, 1, (400, 200)) for _ in range(CLIENTS)]
    server = Broadcaster({"w": np.zeros(truth.shape, np.float32)})
    encoder, decoder = UpdateEncoder(step=2.0), UpdateDecoder()
    followers = [Follower() for _ in range(CLIENTS)]
    residuals: list[dict[str, np.ndarray]] = [{} for _ in range(CLIENTS)]
    up = down = 0
    for number in range(ROUNDS):
        received = []
        for client, follower in enumerate(followers):
            message = server.message(follower.digest)  # the last round's difference, or the whole model
            model = follower.receive(message)
            local = {"w": trained(np.asarray(model["w"]), data[client], data[client] @ truth)}
            update = encoder.encode(local, model, residuals[client])
            residuals[client] = update.residual
            received.append(np.asarray(decoder.decode(update.data, server.published)["w"]))
            up, down = up + len(update.data), down + len(message)
        server.publish({"w": np.mean(received, axis=0, dtype=np.float64).astype(np.float32)})
        error = float(np.square(server.published["w"] - truth).mean())
        print(f"round {number + 1:2}: error {error:.4f}, {up} bytes up, {down} down")
    raw = ROUNDS * CLIENTS * truth.size * 4
    print(f"as float32 it would have been {raw} bytes each way: {raw / up:.0f}x up, {raw / down:.0f}x down")


if __name__ == "__main__":
    main()
