"""One claim from beginning to end: fetch the files, run the child, keep the claim alive, store the result, report."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, TypeVar

from cabacus.service.job import Blob, Counts, Failure, Job
from cabacus.service.logs import bound, current
from cabacus.service.queue.port import Claim, Queue
from cabacus.service.settings import Settings
from cabacus.service.storage.port import Buckets, Store
from cabacus.service.worker.slot import Child, ChildDied
from cabacus.service.worker.sources import Refused, Sources

P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger(__name__)

REPORT_MEDIA_TYPE = "application/json"
RETRY_SECONDS = 0.2
MAX_RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 600.0
"""How long a finished job waits for a queue server that is away, before its result is given up."""

ALL_SECONDS = 1e6
"""Files that are older than this in the future: all of them, whatever the clocks say."""


class RunFailed(Exception):
    """This run came to nothing through no fault of the job's, or so it seems; another may succeed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True)
class Outcome:
    """The stored output of a run; all of it lies below the key `place`."""

    place: str
    result: Blob
    report: Blob
    summary: dict[str, object]
    counts: Counts


class Runner:
    """Runs claims, one at a time, in one child process, with working files below `scratch`."""

    def __init__(
        self, settings: Settings, queue: Queue, store: Store, child: Child, scratch: Path, buckets: Buckets | None
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._store = store
        self._child = child
        self._scratch = scratch
        self._sources = Sources(settings, store, buckets)

    async def process(self, claim: Claim) -> None:
        """See the job to its end; or hand it back when this is cancelled."""
        with bound(job=claim.job.id, request=claim.job.request, kind=claim.job.kind):
            await self._process(claim)

    async def _process(self, claim: Claim) -> None:
        held: Claim | None = claim
        failure: Failure | None = None
        try:
            while held is not None:
                if held.deliveries > self._settings.max_deliveries:
                    await self._give_up(held, failure or _vanished(held))
                    return
                try:
                    await self._attempt(held)
                    return
                except RunFailed as error:
                    failure = error.failure
                    logger.warning("run %d: %s", held.deliveries, failure.detail)
                if held.deliveries >= self._settings.max_deliveries:
                    await self._give_up(held, failure)
                    return
                held = await persistently(self._queue.redeliver, held)
        except asyncio.CancelledError:
            if held is not None:
                with suppress(ConnectionError):  # then the sweep finds it
                    await self._queue.hand_back(held)
                logger.info("handed back")
            raise

    async def _give_up(self, claim: Claim, failure: Failure) -> None:
        logger.error("given up: %s", failure.detail)
        await persistently(self._queue.fail, claim, failure, dead_letter=True)
        await self._tidy(claim.job)

    async def _tidy(self, job: Job, place: str = "") -> None:
        """Remove the output of runs that came to nothing: a worker that was killed could not."""
        with suppress(OSError):  # then it goes with the job's other files
            async for name in self._store.folders(f"jobs/{job.id}", older_seconds=-ALL_SECONDS):
                other = f"jobs/{job.id}/{name}"
                if name.startswith("output-") and other != place:
                    await self._store.delete_below(other)

    async def _attempt(self, claim: Claim) -> None:
        """One run. Raises RunFailed."""
        ended = await self._supervised(claim)
        match ended:
            case Outcome(place, result, report, summary, counts):
                done = await persistently(
                    self._queue.finish, claim, result=result, report=report, summary=summary, counts=counts
                )
                logger.info("done" if done else "done, but not ours any more", extra={"fields": summary})
                if not done:
                    with suppress(OSError):  # then it goes with the job's other files
                        await self._store.delete_below(place)
                elif claim.deliveries > 1:
                    await self._tidy(claim.job, place)
            case Failure():
                await persistently(self._queue.fail, claim, ended)
                logger.info("failed: %s: %s", ended.code, ended.detail)
                await self._tidy(claim.job)
            case None:
                logger.info("cancelled, or taken over by another worker")

    async def _supervised(self, claim: Claim) -> Outcome | Failure | None:
        """Work while keeping the claim alive. None: it is not ours any more, and the work was stopped."""
        work = asyncio.create_task(self._work(claim.job))
        try:
            while True:
                done, _ = await asyncio.wait({work}, timeout=self._settings.heartbeat_seconds)
                if done:
                    return await work
                try:
                    progress, counts = self._child.progress, self._child.counts
                    if not await self._queue.heartbeat(claim, progress=progress, counts=counts):
                        return None
                except ConnectionError as error:
                    logger.warning("goes on without a heartbeat: %s", error)
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work

    async def _work(self, job: Job) -> Outcome | Failure:
        try:
            with TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True) as folder:
                request = await self._request(job, Path(folder))
                answer = await self._answer(request)
                if isinstance(answer, Failure):
                    return answer
                return await self._stored(job, answer)
        except Refused as error:
            return error.failure
        except KeyError:
            return Failure("gone", "a file of the job is gone; submit the job again")
        except ChildDied as error:
            raise RunFailed(_crashed(error)) from error
        except OSError as error:
            logger.warning("its files: %s", error)
            raise RunFailed(Failure("unavailable", "the job's files could not be read or written")) from error

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any] | Failure:
        """What the child makes of the request, within the time limit."""
        try:
            async with asyncio.timeout(self._settings.job_seconds):
                answer = await self._child.run(request)
        except TimeoutError:
            return _too_slow(self._settings.job_seconds)
        if "failure" in answer:
            return Failure(**answer["failure"])
        product: dict[str, Any] = answer["product"]
        return product

    async def _request(self, job: Job, folder: Path) -> dict[str, Any]:
        inputs = await self._sources.bring(job, folder)
        output = folder / "output"
        output.mkdir()
        return {
            "kind": job.kind,
            "inputs": inputs,
            "options": job.options,
            "folder": str(output),
            "threads": self._settings.job_threads,
            "about": current(),
        }

    async def _stored(self, job: Job, product: dict[str, Any]) -> Outcome:
        """Store the output whole, under keys that no other run uses. What is stored only in part is removed."""
        place = f"jobs/{job.id}/output-{secrets.token_hex(8)}"
        name = job.inputs["model"].name if "model" in job.inputs else job.source
        stem = Path(name).stem.removesuffix(".safetensors.index") or "model"
        if job.target:
            made = product["report"] if product["result"] is None else product["result"]
            await self._sources.bucket(job.target).put(job.target, Path(made))
        try:
            report = await self._store.write_file(f"{place}/report.json", Path(product["report"]))
            report = replace(report, media_type=REPORT_MEDIA_TYPE, name=f"{stem}.{job.kind}.json")
            if product["result"] is None:
                return Outcome(place, report, report, product["summary"], self._child.counts)
            extension = product["extension"]
            result = await self._store.write_file(f"{place}/result.{extension}", Path(product["result"]))
        except BaseException:
            await self._store.delete_below(place)
            raise
        result = replace(result, media_type=product["media_type"], name=f"{stem}.{extension}")
        return Outcome(place, result, report, product["summary"], self._child.counts)


async def persistently(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call until the queue's server answers. Raises ConnectionError when PATIENCE_SECONDS are over."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + PATIENCE_SECONDS, RETRY_SECONDS
    while True:
        try:
            return await call(*args, **kwargs)
        except ConnectionError as error:
            if loop.time() > deadline:
                raise
            logger.warning("the queue is away, trying again: %s", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_RETRY_SECONDS)


def _too_slow(seconds: float) -> Failure:
    detail = f"the job ran longer than {seconds:g} s and was stopped; send a smaller model or ask for less effort"
    return Failure("time_limit", f"{detail}, or raise CABACUS_JOB_SECONDS", limit="CABACUS_JOB_SECONDS")


def _crashed(error: ChildDied) -> Failure:
    if error.status == -signal.SIGKILL:
        return Failure("crashed", "the job's process was killed, most likely for want of memory; send a smaller model")
    return Failure("crashed", f"the job's process died ({error}); this is a fault of ours")


def _vanished(claim: Claim) -> Failure:
    return Failure("crashed", f"{claim.deliveries - 1} workers vanished while they ran this job; it is not run again")
