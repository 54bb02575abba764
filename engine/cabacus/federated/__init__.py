"""Federated learning: coded updates, up from clients and down from the server. NumPy and the engine only.

>>> base = {"w": np.zeros((40, 50), np.float32)}
>>> local = {"w": np.random.default_rng(1).laplace(0, 0.01, (40, 50)).astype(np.float32)}
>>> update = UpdateEncoder().encode(local, base)
>>> received = UpdateDecoder().decode(update.data, base)
>>> np.array_equal(received["w"], update.decoded["w"])  # the sender knows what the receiver has, bit for bit
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cabacus.bases import Base
from cabacus.federated.message import EncodedUpdate
from cabacus.federated.receiving import UpdateDecoder
from cabacus.federated.sending import UpdateEncoder
from cabacus.lazy import lazily

if TYPE_CHECKING:
    from cabacus.federated.broadcasting import Broadcaster, Follower

__all__ = ["Base", "Broadcaster", "EncodedUpdate", "Follower", "UpdateDecoder", "UpdateEncoder"]

if not TYPE_CHECKING:  # a checker that saw this would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, {"broadcasting": ("Broadcaster", "Follower")})
