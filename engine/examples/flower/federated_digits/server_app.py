"""The server: FedAvg as it is, inside `CompressedStrategy`. The model is judged here after each round."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from cabacus.federated.flower import CompressedStrategy
from federated_digits import task

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and say what crossed the uplink."""
    config = context.run_config
    strategy = CompressedStrategy(FedAvg(fraction_evaluate=0.0))
    _, _, images, labels = task.digits(str(config["data"]))

    def judged(number: int, arrays: ArrayRecord) -> MetricRecord:
        model = {name: array.numpy() for name, array in arrays.items()}
        return MetricRecord({"accuracy": task.accuracy(model, images, labels)})

    first = ArrayRecord({name: Array(value) for name, value in task.network().items()})
    result = strategy.start(grid=grid, initial_arrays=first, num_rounds=int(config["rounds"]), evaluate_fn=judged)
    sent = raw = 0
    for number, metrics in result.evaluate_metrics_serverapp.items():
        found = strategy.rounds.get(number)
        if found is not None:
            sent += found.bytes
            raw += found.raw_bytes
        print(f"round {number:2}: accuracy {metrics['accuracy']:5.2f} %, {sent:9} bytes up so far", flush=True)
    if sent:
        print(f"as float32 the updates would have been {raw} bytes: {raw / sent:.0f}x", flush=True)
    else:
        print("the updates came as they are, uncoded", flush=True)
