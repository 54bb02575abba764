"""The client: trains as it always did. `CompressUplink` is all that coding takes."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from cabacus.federated import UpdateEncoder
from cabacus.federated.flower import CompressUplink
from federated_digits import task

CODINGS = {
    "default": CompressUplink(),
    "small": CompressUplink(UpdateEncoder(sparsify="ternary")),
}


def coded(message: Message, context: Context, call_next: object) -> Message:
    """The mod that the run asks for. In an app of your own: `ClientApp(mods=[CompressUplink()])`."""
    chosen = CODINGS.get(str(context.run_config.get("coding", "default")))
    return call_next(message, context) if chosen is None else chosen(message, context, call_next)  # type: ignore


app = ClientApp(mods=[coded])  # mods of differential privacy come after it: clip, noise, code


@app.train()
def train(message: Message, context: Context) -> Message:
    """One epoch over this node's share."""
    config = context.run_config
    images, labels, _, _ = task.digits(str(config["data"]))
    client, clients = (int(context.node_config[name]) for name in ("partition-id", "num-partitions"))
    rows = task.share(labels, client, clients, float(config["alpha"]))
    model = {name: array.numpy() for name, array in message.content["arrays"].items()}
    number = int(message.content["config"]["server-round"])
    local, loss = task.train(model, images[rows], labels[rows], seed=1000 * number + client)
    arrays = ArrayRecord({name: Array(value) for name, value in local.items()})
    metrics = MetricRecord({"num-examples": len(rows), "train-loss": loss})
    return Message(content=RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
