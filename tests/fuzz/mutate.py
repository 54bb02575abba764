"""Mutated models and bitstreams over HTTP: each is a result or a 4xx with a code, never a 5xx, and memory stays flat.

python tests/fuzz/mutate.py --count 10000
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from running import Service, running
from safetensors.numpy import save

import cabacus

AT_ONCE = 4
FORM = "multipart/form-data; boundary=cut"


def corpus() -> dict[str, tuple[list[str], bytes]]:
    """Small whole files of every kind, and the paths that take them."""
    generator = np.random.default_rng(3)
    tensors = {
        "fc.weight": generator.laplace(0, 0.02, (24, 16)).astype(np.float32),
        "half": generator.normal(0, 1, (8, 8)).astype(np.float16),
        "fc.bias": generator.normal(0, 0.1, 24).astype(np.float32),
        "steps": np.arange(4, dtype=np.int64),
    }
    npz, npy = io.BytesIO(), io.BytesIO()
    np.savez(npz, **tensors)  # type: ignore[arg-type]
    np.save(npy, tensors["fc.weight"])
    takes, gives = (
        ["/compress?snr_db=30", "/compress"],
        ["/decompress", "/inspect", "/verify", "/decompress?format=npz"],
    )
    return {
        "safetensors": (takes, save(tensors, {"made by": "a test"})),
        "npz": (takes, npz.getvalue()),
        "npy": (takes, npy.getvalue()),
        "cabac": (gives, cabacus.compress(tensors, snr_db=30).data),
        "checkpoint": (takes, checkpoint(tensors)),
        "cabac, difference": (gives, cabacus.compress(tensors, snr_db=30, base=tensors).data),
    }


def checkpoint(tensors: dict[str, Any]) -> bytes:
    """A form with an index and two shards."""
    names = list(tensors)
    shards = {"m-1.safetensors": names[:2], "m-2.safetensors": names[2:]}
    index = {"weight_map": {name: shard for shard, part in shards.items() for name in part}}
    parts = [("model", "model.safetensors.index.json", json.dumps(index).encode())]
    parts += [("shard", shard, save({name: tensors[name] for name in part})) for shard, part in shards.items()]
    body = b""
    for role, name, content in parts:
        head = f'--cut\r\nContent-Disposition: form-data; name="{role}"; filename="{name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + b"--cut--\r\n"


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A file with something wrong, or rarely nothing."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = (
            chance.randrange(len(found) + 1) if chance.random() < 0.5 else chance.randrange(min(len(found), 128) + 1)
        )
        match chance.randrange(7):
            case 0 if place < len(found):
                found[place] ^= 1 << chance.randrange(8)
            case 1 if place < len(found):
                found[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del found[place:]
            case 3:
                del found[place : place + chance.randrange(1, 9)]
            case 4:
                found[place:place] = chance.randbytes(chance.randrange(1, 9))
            case 5:
                found[place : place + 8] = chance.choice((2**63 - 1, 2**64 - 1, 2**31, 2**32 + 7)).to_bytes(8, "little")
            case 6:
                other = chance.randrange(len(found) + 1)
                found[place : place + 16] = found[other : other + 16]
        if not found:
            break
    return bytes(found)


async def storm(service: Service, count: int, seed: int) -> dict[str, Any]:
    """Send `count` files; say what came of them."""
    chance, files = random.Random(seed), corpus()
    statuses: Counter[str] = Counter()
    faults: list[str] = []
    numbers = iter(range(count))
    memory: list[int] = []
    headers = {"Authorization": f"Bearer {service.key}", "Prefer": "wait=60"}

    async def send(http: httpx.AsyncClient) -> None:
        for number in numbers:
            if number in (count // 4, count - 1):
                memory.append(service.resident_bytes())
            kind = chance.choice(list(files))
            paths, data = files[kind]
            path, body = chance.choice(paths), mutated(data, chance)
            sent = {**headers, "Content-Type": FORM} if kind == "checkpoint" else headers
            response = await http.post(path, content=body, headers=sent)
            refused = response.headers["content-type"] == "application/problem+json"
            code = response.json()["code"] if refused else ""
            statuses[f"{response.status_code} {code}".strip()] += 1
            if response.status_code != 200 and not (refused and 400 <= response.status_code < 500):
                faults.append(f"{number} {path} {response.status_code} {response.text[:200]} {body[:64].hex()}")
            job = response.headers.get("link", "").partition(">")[0].rpartition("/")[2]
            if job:
                (await http.delete(f"/jobs/{job}", headers=headers)).raise_for_status()

    began = time.monotonic()
    async with httpx.AsyncClient(base_url=service.url, timeout=120, trust_env=False) as http:
        await asyncio.gather(*(send(http) for _ in range(AT_ONCE)))
    seconds = time.monotonic() - began
    return {
        "files": count,
        "seconds": round(seconds, 1),
        "answers": dict(statuses.most_common()),
        "memory_mb": [round(size / 1e6) for size in memory],
        "faults": faults,
    }


def main() -> int:
    """Run as the arguments say; the exit status is 0 if there was no fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cabacus-mutate-") as folder, running(Path(folder)) as service:
        found = asyncio.run(storm(service, arguments.count, arguments.seed))
    if arguments.json:
        print(json.dumps(found))
    else:
        print(f"{found['files']} files in {found['seconds']} s; memory of the service {found['memory_mb']} MB")
        print(*(f"{number:8} {answer}" for answer, number in found["answers"].items()), sep="\n")
        print(*found["faults"][:20], f"{len(found['faults'])} faults", sep="\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
