"""Flower (flwr 1.41, Message API): one mod at the client, one strategy around the server's. Needs `cabacus[flower]`.

    app = ClientApp(mods=[CompressUplink()])                        # the first of the mods: the last to see the reply
    strategy = CompressedStrategy(FedAvg(...))                      # the outermost strategy

With differential privacy the order is clip, noise, code: its mods come after CompressUplink in the list, its strategies
are inside CompressedStrategy.

    ClientApp(mods=[CompressUplink(UpdateEncoder(error_feedback=False)), fixedclipping_mod])
    CompressedStrategy(DifferentialPrivacyClientSideFixedClipping(FedAvg(...), ...))

In another order Flower's mods answer with an error, as they find other arrays than were sent. Where the server adds the
noise and clients clip, what arrives must keep the norm: error feedback would add to it, and is refused; an update that
rounding made longer is shortened. Noise that the client adds (LocalDpMod) goes before coding, and what is made of it,
error feedback too, needs no care. Masks of secure aggregation cannot be compressed: both refuse. To combine them,
code with a fixed step common to all (a rule `*:step=...`), aggregate the integers under the masks, and leave this out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from cabacus.bases import Base
from cabacus.errors import CabacusError, InputError
from cabacus.federated.message import EncodedUpdate
from cabacus.federated.receiving import UpdateDecoder
from cabacus.federated.sending import UpdateEncoder

__all__ = ["CompressUplink", "CompressedStrategy", "Round"]

STYPE = "cabacus"
"""Serialization type of the one Array of a coded record. A server that does not know it fails loudly."""
RESIDUAL = "cabacus.residual"
"""Where a client's residual is in Context.state."""
DISTORTION = "cabacus.distortion"
CLIPPING_NORM = "clipping_norm"
"""Where Flower's strategies tell clients to clip, in the message's configuration."""


class CompressUplink:
    """A client mod: codes the arrays of a training reply as the difference to those of the message.

    Both hold one ArrayRecord of the same names, shapes and types. What is left out is kept in `Context.state` for the
    next round. Other messages pass. Raises InputError for other records, for NaN, and under secure aggregation; Flower
    makes that an error reply.
    """

    def __init__(self, encoder: UpdateEncoder | None = None) -> None:
        self._encoder = UpdateEncoder() if encoder is None else encoder

    def __call__(self, message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
        """Let the app train, then code its reply."""
        if not message.metadata.message_type.startswith("train"):
            return call_next(message, context)
        _refuse_masks(message)
        norm = _clipping_norm(message)
        if norm is not None and self._encoder.error_feedback:
            raise InputError(
                "the server asks for clipped updates, and error feedback adds to them; "
                "use CompressUplink(UpdateEncoder(error_feedback=False))"
            )
        _, sent = _only(message)
        base = _arrays(sent)
        reply: Message = call_next(message, context)
        if reply.has_error():
            return reply
        _refuse_masks(reply)
        key, record = _only(reply)
        kept = context.state.array_records.get(RESIDUAL)
        update = self._encoder.encode(_arrays(record), base, None if kept is None else _arrays(kept))
        if norm is not None:
            update = self._within(norm, update, _arrays(record), base)
        reply.content[key] = ArrayRecord({STYPE: Array("uint8", (len(update.data),), STYPE, update.data)})
        for metrics in reply.content.metric_records.values():
            metrics[DISTORTION] = update.distortion
        context.state[RESIDUAL] = _record(update.residual)
        return reply

    def _within(
        self, norm: float, update: EncodedUpdate, tensors: dict[str, Any], base: dict[str, Any]
    ) -> EncodedUpdate:
        """The update, or a shorter one, so that what the server decodes keeps the norm that privacy is counted by."""
        for _ in range(8):
            length = _distance(update.decoded, base)
            if length <= norm or _distance(tensors, base) > norm * (1 + 1e-3):  # long before it came here: not ours
                return update
            share = 0.99 * norm / length
            tensors = {
                name: (base[name] + share * (value.astype(np.float64) - base[name])).astype(value.dtype)
                if value.dtype.kind == "f"
                else value
                for name, value in tensors.items()
            }
            update = self._encoder.encode(tensors, base)
        raise InputError(f"the coded update cannot be kept within the clipping norm {norm:g}; use a smaller step")


@dataclass(slots=True)
class Round:
    """What a round's uplink was: replies decoded, dropped, and those that came uncoded; bytes coded and not."""

    decoded: int = 0
    dropped: int = 0
    uncoded: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    parameters: int = 0
    distortions: list[float] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, int | float]:
        """The figures as Flower's metrics."""
        return {
            "cabacus.bytes": self.bytes,
            "cabacus.raw_bytes": self.raw_bytes,
            "cabacus.bits_per_parameter": 8 * self.bytes / max(self.parameters, 1),
            "cabacus.distortion": float(np.mean(self.distortions)) if self.distortions else 0.0,
            "cabacus.dropped": self.dropped,
        }


class CompressedStrategy(Strategy):  # type: ignore[misc, unused-ignore]
    """A strategy around another: decodes the replies of clients with CompressUplink and hands them on, unchanged else.

    A reply that cannot be decoded is dropped and counted. `rounds` has each round's figures; they are in the metrics of
    `aggregate_train` as well. Replies that are not coded pass.
    """

    def __init__(self, inner: Strategy, decoder: UpdateDecoder | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.rounds: dict[int, Round] = {}
        self._decoder = UpdateDecoder() if decoder is None else decoder
        self._sent: dict[int, ArrayRecord] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Configure the round by the inner strategy, and remember what is sent to whom."""
        messages = list(self.inner.configure_train(server_round, arrays, config, grid))
        self._sent = {}
        for message in messages:
            _refuse_masks(message)
            self._sent[message.metadata.dst_node_id] = _only(message)[1]
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Decode the replies and aggregate them by the inner strategy."""
        found = self.rounds[server_round] = Round()
        bases: dict[int, Base] = {}
        good = [reply for reply in replies if self._is_good(reply, found, bases)]
        arrays, metrics = self.inner.aggregate_train(server_round, good)
        self._sent = {}
        metrics = MetricRecord() if metrics is None else metrics
        for name, value in found.metrics.items():
            metrics[name] = value
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As the inner strategy does."""
        messages: Iterable[Message] = self.inner.configure_evaluate(server_round, arrays, config, grid)
        return messages

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """As the inner strategy does."""
        return self.inner.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """As the inner strategy does."""
        self.inner.summary()

    def _is_good(self, reply: Message, found: Round, bases: dict[int, Base]) -> bool:
        """Decode a reply in its place; whether it is to be handed on."""
        if reply.has_error():
            return True  # the inner strategy has its own account of these
        try:
            key, record = _only(reply)
            coded = record.get(STYPE)
            if coded is None or coded.stype != STYPE:
                found.uncoded += 1
                return True
            sent = self._sent.get(reply.metadata.src_node_id)
            if sent is None:
                raise InputError("a reply of a client that was sent nothing")
            if id(sent) not in bases:
                bases[id(sent)] = Base(_arrays(sent))
            tensors = self._decoder.decode(coded.data, bases[id(sent)])
        except CabacusError:
            found.dropped += 1
            return False
        reply.content[key] = _record(tensors)
        for metrics in reply.content.metric_records.values():
            value = metrics.pop(DISTORTION, None)
            if isinstance(value, int | float) and np.isfinite(value):
                found.distortions.append(float(value))
        found.decoded += 1
        found.bytes += len(coded.data)
        found.raw_bytes += sum(tensor.nbytes for tensor in tensors.values())
        found.parameters += sum(tensor.size for tensor in tensors.values())
        return True


def _only(message: Message) -> tuple[str, ArrayRecord]:
    """The one ArrayRecord of a message, and its key."""
    records = list(message.content.array_records.items())
    if len(records) != 1:
        raise InputError(f"a message has {len(records)} ArrayRecords; updates are coded of one")
    key, record = records[0]
    return key, record


def _arrays(record: ArrayRecord) -> dict[str, Any]:
    return {name: array.numpy() for name, array in record.items()}


def _record(tensors: Mapping[str, Any]) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(tensor)) for name, tensor in tensors.items()})


def _clipping_norm(message: Message) -> float | None:
    found = [record[CLIPPING_NORM] for record in message.content.config_records.values() if CLIPPING_NORM in record]
    return float(found[0]) if found else None


def _distance(tensors: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    squares = (
        np.square(np.subtract(value, base[name], dtype=np.float64)).sum()
        for name, value in tensors.items()
        if np.asarray(value).dtype.kind == "f"
    )
    return float(np.sqrt(sum(squares)))


def _refuse_masks(message: Message) -> None:
    if any("secagg" in key.lower() for key in message.content.config_records):
        raise InputError("masks of secure aggregation cannot be compressed; leave out one of the two")
