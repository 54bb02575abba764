"""One update between two models as they are: bytes and distortion of each scheme, and a message's bytes by part.

python tests/bench/federated_rounds/pairs.py BEFORE.safetensors AFTER.safetensors

Where nncodec is installed (`pip install --no-deps nncodec 'numpy<2'`, its own environment), its coder is given the
same levels, and its bytes are shown beside ours: without its container, without names and without the base's digest.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from schemes import SCHEMES, named, peer, settings_of

import cabacus
from cabacus.container import parse
from cabacus.federated import UpdateEncoder

OURS = ("step=3,rate_weight=0.05", "step=3,rate_weight=0.1", "step=1,rate_weight=0.05", "sparsify=ternary")


def decibels(sent: Any, base: Any, local: Any) -> float:
    """10 log10(energy of the update / energy of what was lost)."""
    lost = sum(float(np.square(local[name] - np.asarray(sent[name], np.float64)).sum()) for name in local)
    there = sum(float(np.square(local[name] - np.asarray(base[name], np.float64)).sum()) for name in local)
    return float(10 * np.log10(there / max(lost, 1e-300)))


def parts(data: bytes, base: Any) -> tuple[int, list[tuple[str, int, int]]]:
    """Bytes of the header (steps, digest of the base), then name, weights and bytes of each record."""
    header = parse(memoryview(data), cabacus.DEFAULT_LIMITS, lambda: base).header
    return header.bytes, [(one.name, int(np.prod(one.shape)), sum(one.slice_bytes)) for one in header.records]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    given = parser.parse_args()
    base = {name: np.asarray(value) for name, value in cabacus.read(given.before).items()}
    local = {name: np.asarray(value) for name, value in cabacus.read(given.after).items()}
    raw = sum(value.nbytes for value in local.values())
    weights = sum(value.size for value in local.values())
    print(f"{'scheme':34}{'bytes':>9}{'ratio':>9}{'dB':>7}{'nncodec':>9}{'Mparam/s':>10}")
    for name in ("int8 + zlib", "top 1 %, indices", "STC 1 % + Golomb", *OURS):
        started = time.process_time()
        size, sent, _ = named(name)(local, base, None)
        seconds = time.process_time() - started
        update = None if name in SCHEMES else encoded(name, local, base)
        found = None if update is None else peer(update, base)
        shown = "-" if found is None else str(found)
        speed = weights / 1e6 / seconds
        print(f"{name:34}{size:9}{raw / size:8.1f}x{decibels(sent, base, local):7.2f}{shown:>9}{speed:10.1f}")
    for name in OURS[:1] + OURS[-1:]:
        header, rows = parts(encoded(name, local, base), base)
        print(f"\n{name}: header {header} bytes")
        for tensor, count, size in rows:
            print(f"  {tensor:40}{count:9} weights{size:8} bytes")


def encoded(settings: str, local: Any, base: Any) -> bytes:
    """The message of settings as `--only` of rounds.py has them."""
    return UpdateEncoder(**settings_of(settings)).encode(local, base).data


if __name__ == "__main__":
    main()
