"""The way down: the server sends what has changed since the last round, and the whole model to who missed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cabacus.bases import digest
from cabacus.container import outline
from cabacus.dtypes import Array, Tensor, to_float
from cabacus.errors import BaseMismatchError
from cabacus.federated.message import EncodedUpdate
from cabacus.federated.receiving import UpdateDecoder
from cabacus.federated.sending import UpdateEncoder
from cabacus.files import Tensors
from cabacus.limits import DEFAULT_LIMITS

__all__ = ["Broadcaster", "Follower"]


class Broadcaster:
    """The server's side: `published` is the model as the clients have it, to which they train and send differences.

    What a broadcast leaves out stays in the difference between the server's model and `published`, which is what the
    next one codes: that is the server's residual, and needs no second account. `encoder` goes without error
    feedback; the default has a step of 1, as what is lost on the way down is lost for all clients.

    >>> server = Broadcaster({"w": np.zeros((20, 30), np.float32)})
    >>> client = Follower()
    >>> _ = client.receive(server.message(client.digest))  # it has nothing: the whole model
    >>> update = server.publish({"w": np.full((20, 30), 0.5, np.float32)})
    >>> model = client.receive(server.message(client.digest))
    >>> np.array_equal(model["w"], server.published["w"])
    True
    """

    def __init__(self, model: Mapping[str, Any], encoder: UpdateEncoder | None = None) -> None:
        self._encoder = UpdateEncoder(step=1.0, error_feedback=False) if encoder is None else encoder
        self.published: Tensors = Tensors.of(model)
        self._digest = digest(self.published)
        self._before: bytes | None = None
        self._update = b""
        self._whole: bytes | None = None

    @property
    def digest(self) -> str:
        """Digest of the published model, in hex."""
        return self._digest.hex()

    def publish(self, model: Mapping[str, Any]) -> EncodedUpdate:
        """Code the model's difference to what is published, and publish the result. Raises InputError."""
        update = self._encoder.encode(model, self.published)
        self._before, self._update, self._whole = self._digest, update.data, None
        self.published = update.decoded
        self._digest = digest(self.published)
        return update

    def residual(self, model: Mapping[str, Tensor]) -> dict[str, Array]:
        """Return what of the server's `model` the clients do not have yet, by name, in float64."""
        return {
            name: np.subtract(to_float(model[name]), to_float(tensor), dtype=np.float64)
            for name, tensor in self.published.items()
            if np.asarray(tensor).dtype.kind not in "iub"
        }

    def message(self, have: str | None) -> bytes:
        """Return what brings a client up to date that has the model of the digest `have` (hex), or None.

        The last round's update for who has the round before, else the whole published model, exactly: a client that
        missed rounds.
        """
        if have is not None and self._before is not None and have == self._before.hex():
            return self._update
        if self._whole is None:
            from cabacus.compression import compress  # most of the engine, for a message that few ask for

            self._whole = compress(self.published, rules=[("*", {"keep": True})]).data
        return self._whole


class Follower:
    """A client's side: the model that it has, `None` before the first message."""

    def __init__(self) -> None:
        self.model: Tensors | None = None
        self._digest: str | None = None

    @property
    def digest(self) -> str | None:
        """Digest of the model in hex, to ask for the next message with."""
        return self._digest

    def receive(self, data: bytes) -> Tensors:
        """Take a broadcast and return the model, the server's `published` bit for bit.

        Raises BaseMismatchError where rounds were missed (ask for the whole model: `message(None)`), or a FormatError;
        the model stays as it was.
        """
        from cabacus.archive import Archive  # clients that only send need it not

        if outline(memoryview(data), DEFAULT_LIMITS).base is None:
            archive = Archive(data)
            model = Tensors(archive.decoded(archive.keys()), archive.metadata)
        elif self.model is None:
            raise BaseMismatchError("this is a difference and there is no model yet; ask for the whole one")
        else:
            try:
                model = UpdateDecoder().decode(data, self.model)
            except BaseMismatchError as error:
                raise BaseMismatchError(f"rounds were missed: {error}; ask for the whole model") from None
        self.model, self._digest = model, digest(model).hex()
        return model
