"""How updates travel: what others do, and cabacus. Each counts the bytes of real messages."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import cabacus
from cabacus.comparison import nncodec
from cabacus.federated import UpdateDecoder, UpdateEncoder

Model = dict[str, Any]
Scheme = Callable[[Model, Model, Any], tuple[int, Model, Any]]
"""(local, base, state) -> bytes of the message, what the server decodes, the new state: None or arrays by name."""


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


def top(local: Model, base: Model, state: Any, density: float) -> tuple[Any, Any, Any]:
    """The change with what was left unsaid, and the places and values of its largest elements."""
    change = flat(local) - flat(base) + (0 if state is None else state["rest"])
    places = np.sort(np.argpartition(np.abs(change), -round(density * change.size))[-round(density * change.size) :])
    return change, places, change[places]


def top_indices(density: float) -> Scheme:
    """Top k as (uint32 index, float32 value), with error feedback."""

    def scheme(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
        change, places, values = top(local, base, state, density)
        sent = np.zeros_like(change)
        sent[places] = values
        return 8 * places.size, apart(flat(base) + sent, base), {"rest": change - sent}

    return scheme


def stc_golomb(density: float) -> Scheme:
    """STC: top k of one magnitude, gaps in Golomb's code with its best order, with error feedback."""
    order = 1 + math.floor(math.log2(math.log((math.sqrt(5) - 1) / 2) / math.log(1 - density)))

    def scheme(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
        change, places, values = top(local, base, state, density)
        mean = np.float32(np.abs(values).mean())
        sent = np.zeros_like(change)
        sent[places] = mean * np.sign(values)
        gaps = np.diff(places, prepend=-1) - 1
        bits = int((gaps >> order).sum()) + gaps.size * (1 + order) + gaps.size
        return -(-bits // 8) + 8, apart(flat(base) + sent, base), {"rest": change - sent}

    return scheme


def ours(**settings: Any) -> Scheme:
    """cabacus: real bytes, decoded by the receiver."""
    encoder, decoder = UpdateEncoder(**settings), UpdateDecoder()

    def scheme(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
        update = encoder.encode(local, base, state)
        return len(update.data), decoder.decode(update.data, base), update.residual

    return scheme


def by_nncodec(**settings: Any) -> Scheme:
    """The levels of cabacus in the bytes that nncodec takes for them: the same course of training."""
    encoder = UpdateEncoder(**settings)

    def scheme(local: Model, base: Model, state: Any) -> tuple[int, Model, Any]:
        update = encoder.encode(local, base, state)
        size = peer(update.data, base)
        if size is None:
            raise ModuleNotFoundError("pip install --no-deps nncodec 'numpy<2', in an environment of its own")
        return size, dict(update.decoded), update.residual

    return scheme


def peer(data: bytes, base: Model) -> int | None:
    """nncodec's bytes for the levels of a message, without its container, names and a digest; None where it is not."""
    archive, total = cabacus.open(data, base=base), 0
    for name in archive:
        if archive.info(name).coding != "levels":
            continue
        levels, _ = archive.levels(name)
        size = nncodec(levels)
        if size is None:
            return None
        total += size
    return total


SCHEMES: dict[str, Scheme] = {
    "fp32": plain,
    "int8 + zlib": int8_zlib,
    "top 1 %, indices": top_indices(0.01),
    "STC 1 % + Golomb": stc_golomb(0.01),
    "cabacus, ternary 1 %": ours(sparsify="ternary"),
    "cabacus, step 2, c 0.10": ours(step=2.0, rate_weight=0.1),
    "cabacus, default": ours(),
    "cabacus, step 3, c 0.10": ours(rate_weight=0.1),
}


def named(text: str) -> Scheme:
    """The scheme of a name, or of settings: `step=3,rate_weight=0.1`, `stc=0.005`, `top=0.005`, `nncodec=1,step=3`.

    >>> named("sparsify=ternary,density=0.02") is not None
    True
    """
    if text in SCHEMES:
        return SCHEMES[text]
    settings = settings_of(text)
    if "stc" in settings:
        return stc_golomb(settings["stc"])
    if "top" in settings:
        return top_indices(settings["top"])
    if settings.pop("nncodec", 0):
        return by_nncodec(**settings)
    return ours(**settings)


def settings_of(text: str) -> dict[str, Any]:
    """Settings of an encoder from their text.

    >>> settings_of("step=3,sparsify=top_k")
    {'step': 3.0, 'sparsify': 'top_k'}
    """
    settings: dict[str, Any] = {}
    for part in text.split(","):
        key, value = part.split("=")
        try:
            settings[key] = float(value)
        except ValueError:
            settings[key] = value
    return settings
