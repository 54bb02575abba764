"""The crash test: jobs of mixed size while workers, the API and the queue's server are killed with -9 and restarted.

    python tests/e2e/storm/storm.py --jobs 1000 --kill-every 2 --restarts 5 --api-kills 5 [--engine]

Everything is real, but for the work itself (the stub pipeline, which knows how to die; the engine with --engine, and
then no job kills its process): the API on a socket, workers as processes, a queue server with an append-only file, the
client. Prints a table; the exit status is 0 if every claim of the table holds. Nothing beyond the loopback interface is
touched.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import cabacus
from cabacus.files import write_to
from cabacus.service.client import AsyncClient, Job, flows
from cabacus.service.embedded import EmbeddedServer
from cabacus.service.queue.redis_streams import RedisQueue
from cabacus.service.removal import remove_orphans
from cabacus.service.storage.object_store import ObjectStore

HERE = Path(__file__).parent
STUBS = HERE.parents[1] / "service"
SIZES = (1 << 10, 16 << 10, 128 << 10, 1 << 20)
"""Bytes of the models, each as likely as the others."""
SETTLE_SECONDS = 300.0
MODELS = 12
"""Different models of the storm with the engine; what becomes of each is known beforehand."""


@dataclass
class Plan:
    """What is to happen. `poison` jobs kill their process each time; `bad` ones are refused by the pipeline."""

    jobs: int
    poison: int
    bad: int
    workers: int
    kill_every: float
    restarts: int
    rate: float
    seed: int
    outage: float
    api_kills: int
    engine: bool
    deliveries: int = 3


@dataclass
class Tally:
    """What happened."""

    kills: int = 0
    restarts: int = 0
    api_kills: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    submitted: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """What each job was, and the result that it must have."""
    began: float = field(default_factory=time.monotonic)


class Counting(httpx.AsyncHTTPTransport):
    """Counts what the client then tries again by itself."""

    def __init__(self, refusals: Counter[str]) -> None:
        super().__init__()
        self._refusals = refusals

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as error:
            self._refusals[type(error).__name__] += 1
            raise
        if response.status_code >= 400:
            self._refusals[str(response.status_code)] += 1
        return response


class Storm:
    """Runs a plan in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.random = random.Random(plan.seed)
        self.tally = Tally()
        self.redis = EmbeddedServer(folder / "redis")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CABACUS_")}
        self.environment |= {
            "PYTHONPATH": str(STUBS),
            "CABACUS_REDIS": self.redis.url,
            "CABACUS_STATE": str(folder / "state"),
            "CABACUS_PORT": str(_free_port()),
            "STORM_ENGINE": "1" if plan.engine else "",
            "CABACUS_WORKERS": "1",
            "CABACUS_IDLE_SECONDS": "1",
            "CABACUS_MAX_QUEUED": "200",
            "CABACUS_MAX_DELIVERIES": str(plan.deliveries),
            "CABACUS_STOP_SECONDS": "0.2",
            "CABACUS_LOG_LEVEL": "warning",
        }
        self.workers: list[asyncio.subprocess.Process] = []
        self.api: asyncio.subprocess.Process | None = None
        self.models = [self._model(number) for number in range(MODELS)] if plan.engine else []

    async def run(self) -> dict[str, Any]:
        """Let it rage, let it settle, and count."""
        async with AsyncExitStack() as stack:
            self.redis.start()
            stack.callback(self.redis.stop)
            flows.LONGEST_PAUSE = 1.0
            url = await stack.enter_async_context(self._api())
            transport = Counting(self.tally.refusals)
            client = await stack.enter_async_context(AsyncClient(url, retries=200, transport=transport))
            keeper = [asyncio.create_task(self._keep_worker(number)) for number in range(self.plan.workers)]
            stack.push_async_callback(self._end, keeper)
            killing = asyncio.create_task(self._kill_workers())
            trouble = [asyncio.create_task(self._restart_redis()), asyncio.create_task(self._kill_api())]
            await self._submit_all(client)
            await asyncio.gather(*trouble)  # each is to happen, however quick the jobs were
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
            jobs = await self._settled(client)
            seconds = time.monotonic() - self.tally.began
            return await self._counted(client, jobs, seconds)

    # -- the parts -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _api(self) -> AsyncIterator[str]:
        """The API, which is always there: a new one takes the place of one that was killed, on the same port."""
        keeper = asyncio.create_task(self._keep_api())
        url = f"http://127.0.0.1:{self.environment['CABACUS_PORT']}"
        try:
            async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as http:
                while not await _answers(http, f"{url}/healthz"):
                    await asyncio.sleep(0.05)
            yield url
        finally:
            await self._end([keeper])

    async def _keep_api(self) -> None:
        with (self.folder / "api.log").open("ab") as log:
            while True:
                self.api = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "cabacus.service.api"), env=self.environment, stdout=log, stderr=log
                )
                try:
                    await self.api.wait()
                except asyncio.CancelledError:
                    self.api.terminate()
                    await self.api.wait()
                    raise

    async def _kill_api(self) -> None:
        span = self.plan.jobs / self.plan.rate
        for _ in range(self.plan.api_kills):
            await asyncio.sleep(span / (self.plan.api_kills + 1))
            if self.api is not None and self.api.returncode is None:
                self.api.kill()
                self.tally.api_kills += 1

    async def _keep_worker(self, number: int) -> None:
        """A worker is always there: a new one takes the place of one that was killed."""
        with (self.folder / f"worker-{number}.log").open("ab") as log:
            while True:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, str(HERE / "storm_worker.py"), env=self.environment, stdout=log, stderr=log
                )
                self.workers.append(process)
                try:
                    await process.wait()
                except asyncio.CancelledError:
                    process.terminate()
                    await process.wait()
                    raise
                finally:
                    self.workers.remove(process)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _kill_workers(self) -> None:
        while True:
            await asyncio.sleep(self.plan.kill_every)
            if self.workers:
                self.random.choice(self.workers).send_signal(signal.SIGKILL)
                self.tally.kills += 1

    async def _restart_redis(self) -> None:
        span = self.plan.jobs / self.plan.rate
        for _ in range(self.plan.restarts):
            await asyncio.sleep(span / (self.plan.restarts + 1))
            self.redis.kill()
            await asyncio.sleep(self.random.uniform(0, self.plan.outage))
            await asyncio.to_thread(self.redis.start)
            self.tally.restarts += 1

    # -- the jobs ------------------------------------------------------------------------------------------------------

    async def _submit_all(self, client: AsyncClient) -> None:
        """Submit at the plan's rate, whatever the service says meanwhile."""
        kinds = ["poison"] * self.plan.poison + ["bad"] * self.plan.bad
        kinds += ["good"] * (self.plan.jobs - len(kinds))
        self.random.shuffle(kinds)
        room = asyncio.Semaphore(16)

        async def one(number: int, kind: str) -> None:
            async with room:
                await self._submit(client, number, kind)

        async with asyncio.TaskGroup() as group:
            for number, kind in enumerate(kinds):
                group.create_task(one(number, kind))
                await asyncio.sleep(1 / self.plan.rate)

    async def _submit(self, client: AsyncClient, number: int, kind: str) -> None:
        options: dict[str, Any]
        if self.plan.engine:
            model, expected = self.models[number % len(self.models)] if kind == "good" else (NAN, b"")
            options = {"snr_db": 30, "priority": self.random.choice(["interactive", "bulk"])}
        else:
            header = b'{"__metadata__":{"n":"%06d"}}' % number
            model = len(header).to_bytes(8, "little") + header + self.random.randbytes(self.random.choice(SIZES))
            seconds = self.random.expovariate(20)
            rule = {"poison": "stub:segfault", "bad": "stub:refuse", "good": f"stub:seconds={seconds}"}
            expected, options = model[::-1], {"rule": [rule[kind]]}
        job = await client.submit("compress", model, **options)
        self.tally.submitted[job.id] = (kind, expected)

    def _model(self, number: int) -> tuple[bytes, bytes]:
        """A model of the engine's, and what becomes of it."""
        draw = np.random.default_rng(number)
        weights = draw.laplace(0, 0.05, (SIZES[number % len(SIZES)] // 256, 64)).astype(np.float32)
        model = _safetensors({"w": weights, "b": weights[0]})
        return model, cabacus.compress(model, snr_db=30).data

    async def _settled(self, client: AsyncClient) -> dict[str, Job]:
        """Every job that the service knows, once each of them has ended."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            jobs = {job.id: job for job in await self._known()}
            if self.tally.submitted.keys() <= jobs.keys() and all(job.final for job in jobs.values()):
                return jobs
            if time.monotonic() > deadline:
                return jobs
            await asyncio.sleep(0.2)

    async def _known(self) -> list[Any]:
        queue = RedisQueue(self.redis.url, namespace="cabacus", limit=1, keep_seconds=1)
        try:
            return await queue.jobs(owner="", limit=10 * self.plan.jobs)
        finally:
            await queue.close()

    # -- the count -----------------------------------------------------------------------------------------------------

    async def _counted(self, client: AsyncClient, jobs: dict[str, Any], seconds: float) -> dict[str, Any]:
        submitted = self.tally.submitted
        ends = Counter(f"{submitted[job.id][0]} {job.state}" for job in jobs.values() if job.id in submitted)
        wrong = 0
        for job in jobs.values():
            if job.state == "done" and job.id in submitted:
                made = await client.result(job.id)
                wrong += made.data != submitted[job.id][1]
        letters = await self._letters()
        unexplained = [
            job.id
            for job in jobs.values()
            if job.state == "failed" and job.error.code == "crashed" and job.id not in letters
        ]
        keys = {blob.key for job in jobs.values() for blob in (*job.inputs.values(), job.result, job.report) if blob}
        store = self.folder / "state" / "storage"
        broken = await self._remove_orphans(store) if self.plan.api_kills else 0
        stored = {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
        results = Counter(key.split("/")[1] for key in stored if key.endswith("result.cabac"))
        again = {job.id: job for job in await self._known()}
        attempts = Counter(job.attempts for job in jobs.values())
        for job in list(jobs.values()):
            await client.delete(job.id)
        left = [path for path in store.rglob("*") if path.is_file()]
        return {
            "jobs": len(submitted),
            "seconds": round(seconds, 1),
            "jobs_per_second": round(len(submitted) / seconds, 1),
            "worker_kills": self.tally.kills,
            "server_restarts": self.tally.restarts,
            "api_kills": self.tally.api_kills,
            "broken_uploads_swept": broken,
            "refusals_tried_again": dict(self.tally.refusals),
            "runs": {str(runs): count for runs, count in sorted(attempts.items())},
            "ends": dict(sorted(ends.items())),
            "dead_letters": len(letters),
            "claims": {
                "every job is known": submitted.keys() <= jobs.keys(),
                "every job ended": all(job.final for job in jobs.values()),
                "good jobs are done, or dead-lettered with a reason": not any(
                    job.state != "done" and job.id not in letters
                    for job in jobs.values()
                    if submitted.get(job.id, ("good",))[0] == "good"
                ),
                "poison jobs are dead-lettered": ends["poison failed"] == self.plan.poison
                and all(id_ in letters for id_, (kind, _) in submitted.items() if kind == "poison"),
                "bad jobs failed with their reason": ends["bad failed"] == self.plan.bad,
                "no crash without a dead letter": not unexplained,
                "no job more than was submitted": len(jobs) == len(submitted),
                "every result is right": wrong == 0,
                "one result a job": all(count == 1 for count in results.values()),
                "nothing changed after the end": again == jobs,
                "no orphaned blob": not stored - keys,
                "no missing blob": not keys - stored,
                "nothing left after deleting every job": not left,
            },
        }

    async def _remove_orphans(self, store: Path) -> int:
        """What the worker's sweep does a day later with uploads that broke off when the API was killed."""
        queue = RedisQueue(self.redis.url, namespace="cabacus", limit=1, keep_seconds=1)
        try:
            return await remove_orphans(queue, ObjectStore(str(store)), older_seconds=-1)
        finally:
            await queue.close()

    async def _letters(self) -> set[str]:
        queue = RedisQueue(self.redis.url, namespace="cabacus", limit=1, keep_seconds=1)
        try:
            return {letter.job_id for letter in await queue.dead_letters(limit=10_000)}
        finally:
            await queue.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.TransportError:
        return False


def _safetensors(tensors: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    write_to(file, tensors)
    return file.getvalue()


NAN = _safetensors({"w": np.full((8, 8), np.nan, np.float32)})
"""A model that the engine refuses."""


def table(found: dict[str, Any]) -> str:
    """The figures and the claims, one a line."""
    lines = []
    for name, value in found.items():
        if name == "claims":
            continue
        text = ", ".join(f"{key}: {count}" for key, count in value.items()) if isinstance(value, dict) else value
        lines.append(f"{name.replace('_', ' '):<24} {text}")
    lines += [f"{'holds' if holds else 'BROKEN':<24} {claim}" for claim, holds in found["claims"].items()]
    return "\n".join(lines)


def main() -> int:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--poison", type=int, default=5)
    parser.add_argument("--bad", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--outage", type=float, default=4.0, metavar="SECONDS", help="longest time without a server")
    parser.add_argument("--rate", type=float, default=20.0, metavar="JOBS_PER_SECOND")
    parser.add_argument("--api-kills", type=int, default=5, metavar="KILLS")
    parser.add_argument("--engine", action="store_true", help="let the engine do the work; nothing is poison then")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--folder", type=Path, help="a folder for files and logs, to keep; default: one that goes")
    arguments = vars(parser.parse_args())
    if arguments["engine"]:
        arguments["poison"] = 0
    as_json, folder = arguments.pop("json"), arguments.pop("folder")
    with tempfile.TemporaryDirectory(prefix="cabacus-storm-") as own:
        found = asyncio.run(Storm(Plan(**arguments), folder or Path(own)).run())
    print(json.dumps(found) if as_json else table(found))
    return 0 if all(found["claims"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
