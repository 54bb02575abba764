"""The client that is awaited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from cabacus.service.client import flows, rounds
from cabacus.service.client.following import Follower
from cabacus.service.client.progress import Progress, shown
from cabacus.service.client.request import DEFAULT_URL, arguments, standing, streaming, timeouts
from cabacus.service.client.rounds import Arrival, Round
from cabacus.service.client.uploads import Source
from cabacus.service.client.values import Base, Job, Result

T = TypeVar("T")


class AsyncClient:
    """Talks to a service at `base_url`; a context manager.

    `key` says who calls, where the service asks. `retries` bounds how often a request is tried again where that is
    safe. `transport` replaces the network, in tests.
    Every method raises the errors of `cabacus.service.client.errors`.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers=standing(key, headers),
            transport=transport,
            timeout=timeouts(0),
        )
        self._policy = flows.Policy(retries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def compress(
        self,
        source: Source,
        *,
        sigma: Source | None = None,
        importance: Source | None = None,
        base: Source | None = None,
        timeout: float | None = None,
        progress: Progress = None,
        **options: object,
    ) -> Result:
        """Compress a model and wait, at most `timeout` seconds; options as of POST /compress (snr_db=30, ...).

        `progress=True` shows a bar; a function is called with the job at each change.
        """
        files = {"model": source, "sigma": sigma, "importance": importance, "base": base}
        return await self._work("compress", files, options, timeout, progress)

    async def decompress(
        self,
        source: Source,
        *,
        base: Source | None = None,
        timeout: float | None = None,
        progress: Progress = None,
        **options: object,
    ) -> Result:
        """Decompress a model and wait; options as of POST /decompress (name="fc*", format="npz")."""
        files = {"model": source, "base": base}
        return await self._work("decompress", files, options, timeout, progress)

    async def inspect(
        self, source: Source, *, base: Source | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """What is in a compressed model, as JSON values; a federated update has the names of its `base`."""
        files = {"model": source, "base": base}
        return await self._run(flows.finding("inspect", files, {}, self._policy, timeout=timeout))

    async def verify(
        self,
        source: Source,
        *,
        against: Source | None = None,
        base: Source | None = None,
        timeout: float | None = None,
        **options: object,
    ) -> dict[str, Any]:
        """Check a compressed model, alone or against its original, as JSON values; differences with their `base`."""
        files = {"model": source, "against": against, "base": base}
        return await self._run(flows.finding("verify", files, options, self._policy, timeout=timeout))

    async def sweep(
        self,
        source: Source,
        *,
        sigma: Source,
        importance: Source | None = None,
        timeout: float | None = None,
        progress: Progress = None,
        **options: object,
    ) -> dict[str, Any]:
        """The rate-distortion curve over S (s=range(0, 257, 16)), as JSON values."""
        files = {"model": source, "sigma": sigma, "importance": importance}
        made = await self._work("sweep", files, options, timeout, progress)
        found: dict[str, Any] = json.loads(made.data)
        return found

    async def submit(
        self,
        kind: str,
        source: Source,
        *,
        sigma: Source | None = None,
        importance: Source | None = None,
        base: Source | None = None,
        against: Source | None = None,
        idempotency_key: str | None = None,
        **options: object,
    ) -> Job:
        """Upload and start a job ("compress", "decompress", ...), without waiting for it.

        With an `idempotency_key` of yours, whoever sends the same files and options with it again finds the same job.
        Raises InvalidRequestError where it came with others.
        """
        files = {"model": source, "sigma": sigma, "importance": importance, "base": base, "against": against}
        return await self._run(flows.submitted(kind, files, options, self._policy, idempotency_key))

    async def wait(self, job: Job | str, *, timeout: float | None = None) -> Job:
        """Wait until a job is done. Raises what it failed with, or WaitTimeout after `timeout` seconds."""
        return await self._run(flows.wait(job, self._policy, flows.Deadline(timeout)))

    async def events(self, job: Job | str, *, timeout: float | None = None) -> AsyncIterator[Job]:
        """A job at each change, until it has ended; a stream that breaks is opened again where it broke.

        Raises WaitTimeout after `timeout` seconds. A failed job is the last event, not an error.

        >>> async for job in client.events(job):                                       # doctest: +SKIP
        ...     print(job.state, job.progress)
        """
        follower = Follower(flows.id_of(job), self._policy, flows.Deadline(timeout))
        while not follower.over:
            broke: httpx.TransportError | None = None
            try:
                async with self._http.stream(**streaming(follower.call(), follower.read_seconds())) as response:
                    if response.status_code != 200:
                        await response.aread()
                    if follower.accepts(response):
                        async for line in response.aiter_lines():
                            if (seen := follower.read(line)) is not None:
                                yield seen
            except httpx.TransportError as error:
                broke = error
            if not follower.over:
                await asyncio.sleep(follower.broken(broke).seconds)

    async def job(self, job: Job | str) -> Job:
        """A job as it stands."""
        return await self._run(flows.get_job(job, self._policy))

    async def jobs(self, *, limit: int = 100) -> list[Job]:
        """The latest jobs, newest first."""
        return await self._run(flows.get_jobs(limit, self._policy))

    async def result(self, job: Job | str) -> Result:
        """The result of a job that is done, in memory."""
        return await self._run(flows.result(job, self._policy))

    async def report(self, job: Job | str) -> dict[str, Any]:
        """The report of a job that is done, as JSON values."""
        return await self._run(flows.get_report(job, self._policy))

    async def download(self, job: Job | str, path: str | PathLike[str]) -> Path:
        """Bring the result of a job that is done into a file; goes on where a broken download ended."""
        return await self._run(flows.download(job, path, self._policy))

    async def cancel(self, job: Job | str) -> Job:
        """Stop a job. One that has finished is left as it is."""
        return await self._run(flows.cancel(job, self._policy))

    async def delete(self, job: Job | str) -> None:
        """Forget a finished job and its files."""
        await self._run(flows.forget(job, self._policy))

    async def put_base(self, digest: str, source: Source) -> None:
        """Store a model as base, under `cabacus.digest(tensors).hex()`; then `base=digest` codes differences to it.

        Raises TooLargeError, InvalidRequestError, BusyError (429: beyond the key's bytes).
        """
        await self._run(flows.put_base(digest, source, self._policy))

    async def bases(self) -> list[Base]:
        """The bases that are stored, by digest."""
        return await self._run(flows.get_bases(self._policy))

    async def has_base(self, digest: str) -> bool:
        """Whether a base is stored."""
        return await self._run(flows.has_base(digest, self._policy))

    async def delete_base(self, digest: str) -> None:
        """Forget a base. Raises NotFoundError."""
        await self._run(flows.delete_base(digest, self._policy))

    async def open_round(
        self,
        base: str,
        *,
        clients: Iterable[str] | None = None,
        deadline_seconds: float = 600.0,
        minimum: int = 1,
    ) -> Round:
        """Open a federated round of updates to a stored base. Raises NotFoundError, InvalidRequestError.

        The round ends at its deadline, or when all of `clients` have sent. Its mean is the result of the job that has
        its id: `client.result(round.id)`; with fewer updates than `minimum` the job fails.
        """
        return await self._run(rounds.open_round(base, clients, deadline_seconds, minimum, self._policy))

    async def round(self, round: Round | str) -> Round:
        """Ask who has sent, who is late, who is missing. Raises NotFoundError."""
        return await self._run(rounds.get_round(round, self._policy))

    async def send_update(self, round: Round | str, client: str, update: Source, *, samples: int) -> Arrival:
        """Send what a client learned: a message of `UpdateEncoder`, or its model as it is, which saves no uplink.

        Raises ConflictError where the round is over, or the client has sent something else; NotFoundError.
        """
        return await self._run(rounds.send_update(round, client, update, samples, self._policy))

    async def close_round(self, round: Round | str) -> Job:
        """End a round now, whoever is missing; its job. Raises NotFoundError."""
        return await self._run(rounds.close_round(round, self._policy))

    async def _work(
        self,
        kind: str,
        files: Mapping[str, Source | None],
        options: Mapping[str, object],
        timeout: float | None,
        progress: Progress,
    ) -> Result:
        """Submit, wait and give the result; with `progress` by way of the job's events."""
        if progress is None or progress is False:
            return await self._run(flows.work(kind, files, options, self._policy, timeout=timeout))
        deadline = flows.Deadline(timeout)
        with shown(progress) as show:
            job = await self._run(flows.submitted(kind, files, options, self._policy))
            async for seen in self.events(job, timeout=timeout):
                show(seen)
        job = await self._run(flows.wait(job, self._policy, deadline))
        return await self._run(flows.result(job, self._policy))

    async def _run(self, flow: flows.Flow[T]) -> T:
        """Drive a flow to its end."""
        try:
            step = next(flow)
            while True:
                try:
                    reply = await self._perform(step)
                except httpx.TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    async def _perform(self, step: flows.Step) -> httpx.Response | None:
        if isinstance(step, flows.Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, flows.Call):
            with ExitStack() as stack:
                return await self._http.request(**arguments(step, stack, asynchronous=True))
        stream = self._http.stream(**arguments(step.call, ExitStack(), asynchronous=True))
        async with stream as response:
            if response.status_code not in (200, 206):
                await response.aread()
                return response
            if response.status_code == 200:
                step.file.truncate(0)
            async for chunk in response.aiter_bytes():
                step.file.write(chunk)
            return response
