"""Federated rounds: what is known of one, kept in the store; closed exactly once, into one job.

    rounds/ID/round.json                    written when it is opened
    rounds/ID/clients/NAME/update.json      a client's update: samples, and where its bytes are
    rounds/ID/late/NAME/update.json         who came after the end
    rounds/ID/closed/closing.json           from here on updates are late
    rounds/ID/closed/submitted.json         the job is in the queue

Objects are small and written once. An update writes its record, then looks for `closing`; whoever closes writes
`closing`, then lists the records: so an update that found no mark is in the list. The job has the round's id, and
submitting a job twice is one job: so two who close at once make one, and a close that broke off can be repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from cabacus.service.job import Blob, Job
from cabacus.service.mending import mend
from cabacus.service.queue.port import Bounds, Queue
from cabacus.service.storage.port import Store

_ALL_SECONDS = 1e6
"""Records that are older than this in the future: all of them, whatever the clocks say."""


@dataclass(frozen=True)
class Round:
    """A round as it was opened. Times are seconds since the epoch; `clients`: who is expected, if that is known."""

    id: str
    owner: str
    base: str
    created: float
    deadline: float
    minimum: int
    clients: tuple[str, ...] | None


@dataclass(frozen=True)
class Update:
    """A client's update, as it was stored."""

    client: str
    samples: int
    blob: Blob


class Rounds:
    """The rounds of all owners, in a store, and the queue that their jobs go to."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue

    async def open(self, found: Round) -> None:
        """Record a new round."""
        await self._write(f"rounds/{found.id}/round.json", asdict(found))

    async def get(self, round_id: str, owner: str) -> Round | None:
        """The owner's round, or None."""
        value = await self._read(f"rounds/{round_id}/round.json")
        if value is None or value["owner"] != owner:
            return None
        clients = None if value["clients"] is None else tuple(value["clients"])
        return Round(**{**value, "clients": clients})

    async def updates(self, round_id: str, *, late: bool = False) -> list[Update]:
        """The updates that are there, by client; with `late`, those that came after the end, without their bytes."""
        place = f"rounds/{round_id}/{'late' if late else 'clients'}"
        names = sorted([name async for name in self._store.folders(place, older_seconds=-_ALL_SECONDS)])
        found = [await self.update(round_id, name, late=late) for name in names]
        return [update for update in found if update is not None]

    async def update(self, round_id: str, client: str, *, late: bool = False) -> Update | None:
        """One client's update."""
        value = await self._read(f"rounds/{round_id}/{'late' if late else 'clients'}/{client}/update.json")
        return None if value is None else Update(client, value["samples"], Blob(**value["blob"]))

    async def add(self, round_id: str, update: Update) -> bool:
        """Record an update. False: the round is closed, and goes without it."""
        await self._write(f"rounds/{round_id}/clients/{update.client}/update.json", _record(update))
        if not await self.is_closed(round_id):
            return True
        job = await self._queue.get(round_id)
        return job is not None and any(blob.sha256 == update.blob.sha256 for blob in job.inputs.values())

    async def note_late(self, round_id: str, update: Update) -> None:
        """Record who came too late."""
        await self._write(f"rounds/{round_id}/late/{update.client}/update.json", _record(update))

    async def is_closed(self, round_id: str) -> bool:
        """Whether updates are late from now on."""
        return await self._store.size(f"rounds/{round_id}/closed/closing.json") is not None

    async def close(self, found: Round, base: Callable[[], Awaitable[Blob]], *, bounds: Bounds) -> Job | None:
        """End the round and queue its job, once; returns the job, None where it was forgotten since.

        `base` brings the round's base as an input of a job. Raises QueueFull, OwnerFull: call again later.
        """
        submitted = f"rounds/{found.id}/closed/submitted.json"
        if await self._store.size(submitted) is not None:
            return await self._queue.get(found.id)
        await self._write(f"rounds/{found.id}/closed/closing.json", {})
        updates = await self.updates(found.id)
        arrived = {update.client for update in updates}
        options = {
            "base": found.base,
            "round": found.id,
            "clients": [[update.client, update.samples] for update in updates],
            "missing": sorted(set(found.clients or ()) - arrived),
            "minimum": found.minimum,
        }
        inputs = {"model": await base()} | {f"update-{number}": update.blob for number, update in enumerate(updates)}
        await mend(found.owner, inputs.values(), self._queue, self._store)
        receipt = await self._queue.submit(
            Job(found.id, "round", time.time(), inputs, options, owner=found.owner), bounds=bounds
        )
        for key in receipt.unused:
            await self._store.delete_below(key.rpartition("/")[0])
        await self._write(submitted, {})
        return receipt.job

    async def _write(self, key: str, value: dict[str, Any]) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield json.dumps(value).encode()

        await self._store.write(key, chunks())

    async def _read(self, key: str) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = json.loads(b"".join([chunk async for chunk in self._store.read(key)]))
        except KeyError:
            return None
        return value


def _record(update: Update) -> dict[str, Any]:
    return {"samples": update.samples, "blob": asdict(update.blob)}
