"""What the service costs beyond the engine: jobs a second with two slots, the time to start, POST to result.

    python tests/bench/throughput.py --jobs 200
    python tests/bench/throughput.py --jobs 90 --slots 1 --url http://localhost:8000 --key KEY      one that runs

One core a job (threads=1), models of 1 MB (LeNet-300-100 of the examples), a target of 30 dB. The engine alone runs in
as many processes as there are slots, over the same files. Everything is on this machine, clients included; so on two
cores the service pays for the clients, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cabacus
from cabacus.service.client import AsyncClient

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "engine" / "examples" / "lenet300" / "lenet300.safetensors"
SNR_DB = 30
AT_ONCE = 4
ROUNDS = 40


def variants(folder: Path, count: int) -> list[Path]:
    """Copies of the model that differ in their metadata, so that no upload is the same as another."""
    data = MODEL.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    paths = []
    for number in range(count):
        text = json.dumps({**header, "__metadata__": {"n": str(number)}}).encode()
        path = folder / f"model-{number}.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
        paths.append(path)
    return paths


def compress(path: Path) -> float:
    """The engine's work, and how long it takes, with the file written as a service must."""
    began = time.perf_counter()
    cabacus.compress(path, snr_db=SNR_DB, threads=1).save(path.with_suffix(".cabac"))
    return time.perf_counter() - began


def engine_alone(paths: list[Path], slots: int) -> tuple[float, float]:
    """Jobs a second over all slots, and the median time of one job by itself."""
    with multiprocessing.Pool(slots) as pool:
        pool.map(compress, paths[:slots], chunksize=1)
        began = time.perf_counter()
        pool.map(compress, paths, chunksize=1)
        rate = len(paths) / (time.perf_counter() - began)
    return rate, statistics.median(compress(path) for path in random.sample(paths, min(ROUNDS, len(paths))))


async def jobs_per_second(client: AsyncClient, paths: list[Path]) -> float:
    """Submit everything from a few clients at once, and wait for the last."""
    todo = iter(paths)

    async def submit() -> list[str]:
        return [(await client.submit("compress", path, snr_db=SNR_DB, threads=1)).id for path in todo]

    began = time.perf_counter()
    ids = [job_id for part in await asyncio.gather(*(submit() for _ in range(AT_ONCE))) for job_id in part]
    for job_id in ids:
        await client.wait(job_id)
    return len(ids) / (time.perf_counter() - began)


async def one_by_one(client: AsyncClient, paths: list[Path]) -> tuple[list[float], list[float]]:
    """POST with wait to the result, and from the job's acceptance to its start, with nobody else there."""
    whole, starts = [], []
    for path in paths:
        began = time.perf_counter()
        result = await client.compress(path, snr_db=SNR_DB, threads=1)
        whole.append(time.perf_counter() - began)
        job = await client.job(result.job_id)
        assert job.started is not None
        starts.append((job.started - job.created).total_seconds())
    return whole, starts


BUSY = 0.5
"""Load for each processor beyond which figures are not to be trusted."""


async def measure(url: str, paths: list[Path], slots: int, key: str | None = None) -> dict[str, Any]:
    """Run everything."""
    async with AsyncClient(url, key=key) as client:
        for path in paths[: 2 * slots]:
            await client.compress(path, snr_db=SNR_DB, threads=1)
        whole, starts = await one_by_one(client, random.sample(paths, min(ROUNDS, len(paths))))
        rate = await jobs_per_second(client, paths)
    return {
        "jobs_per_second": rate,
        "post_to_result_p50_ms": 1e3 * statistics.median(whole),
        "post_to_result_p95_ms": 1e3 * statistics.quantiles(whole, n=20)[-1],
        "accepted_to_start_p50_ms": 1e3 * statistics.median(starts),
    }


def service(paths: list[Path], slots: int, folder: Path) -> dict[str, Any]:
    """The same over HTTP."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CABACUS_")}
    environment |= {"CABACUS_LOG_LEVEL": "warning", "CABACUS_WORKERS": str(slots), "CABACUS_THREADS": "1"}
    command = [sys.executable, "-m", "cabacus.service.cli", "serve", "--port", "0", "--state", str(folder / "state")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            return asyncio.run(measure(found[0], paths, slots))
        finally:
            process.terminate()
            process.wait(60)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--url", help="measure the service there, which has so many slots, and start none")
    parser.add_argument("--key", help="a key for it")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cabacus-bench-") as name:
        folder = Path(name)
        paths = variants(folder, arguments.jobs)
        rate, alone = engine_alone(paths, arguments.slots)
        if arguments.url:
            found = asyncio.run(measure(arguments.url, paths, arguments.slots, arguments.key))
        else:
            found = service(paths, arguments.slots, folder)
    share = 100 * found["jobs_per_second"] / rate
    beyond = found["post_to_result_p50_ms"] - 1e3 * alone
    if arguments.json:
        print(json.dumps({**found, "engine_jobs_per_second": rate, "engine_p50_ms": 1e3 * alone, "share": share}))
        return
    if busy > BUSY * (os.cpu_count() or 1):
        print(f"the machine was busy before this began (load {busy:.1f}): the shares below say nothing")
    megabytes = MODEL.stat().st_size / 1e6
    print(f"{arguments.jobs} models of {megabytes:.2f} MB, {arguments.slots} slots, one thread a job")
    for label, value in (
        ("engine alone", f"{rate:8.1f} jobs/s    {1e3 * alone:7.1f} ms a job, p50"),
        ("service", f"{found['jobs_per_second']:8.1f} jobs/s    {share:7.1f} % of the engine"),
        ("", f"{megabytes * found['jobs_per_second']:8.1f} MB/s of models"),
        ("POST to result", f"{found['post_to_result_p50_ms']:8.1f} ms p50    {beyond:7.1f} ms beyond the engine"),
        ("", f"{found['post_to_result_p95_ms']:8.1f} ms p95"),
        ("accepted to start", f"{found['accepted_to_start_p50_ms']:8.1f} ms p50"),
    ):
        print(f"{label:<20}{value}")


if __name__ == "__main__":
    main()
