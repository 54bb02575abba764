"""What the routes work with: settings, the queue, the store, and the slots for uploads. One per application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from cabacus.service.api.access import Figures
from cabacus.service.errors import ServiceError
from cabacus.service.keys import KeyFile
from cabacus.service.queue.port import Queue
from cabacus.service.settings import Settings
from cabacus.service.storage.port import Store

T = TypeVar("T")


@dataclass
class Slots:
    """Bounds what this process does at the same time; a refusal has a `code` and names the setting `knob`."""

    limit: int
    code: str
    what: str
    knob: str
    taken: int = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot. Raises ServiceError when there is none."""
        if self.taken >= self.limit:
            detail = f"{self.taken} {self.what} already; try again shortly, or raise {self.knob}"
            raise ServiceError(self.code, detail, limit=self.knob, retry_after=1)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


@dataclass(frozen=True)
class Context:
    """The application's parts, chosen in app.py and passed in."""

    settings: Settings
    queue: Queue
    store: Store
    keys: KeyFile | None = None
    uploads: Slots = field(init=False)
    followers: Slots = field(init=False)
    figures: Figures = field(default_factory=Figures)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _uploads_of: dict[str, Slots] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        most = self.settings
        uploads = Slots(most.max_uploads, "too_many_uploads", "uploads are being read", "CABACUS_MAX_UPLOADS")
        followers = Slots(
            most.max_followers, "too_many_followers", "streams of events are open", "CABACUS_MAX_FOLLOWERS"
        )
        object.__setattr__(self, "uploads", uploads)
        object.__setattr__(self, "followers", followers)

    @contextmanager
    def upload_slot(self, owner: str) -> Iterator[None]:
        """Hold a slot for reading a body, of the process and, where there are keys, of the owner."""
        if self.keys is None:
            with self.uploads.slot():
                yield
            return
        most, knob = self.settings.key_max_uploads, "CABACUS_KEY_MAX_UPLOADS"
        own = self._uploads_of.setdefault(owner, Slots(most, "key_limit", "uploads of this key are being read", knob))
        with self.uploads.slot(), own.slot():
            yield

    async def unless_stopping(self, work: Awaitable[T]) -> T | None:
        """What is awaited; None as soon as the API is asked to stop, so that open streams do not delay that."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await working if working.done() else None
        finally:
            for task in (working, stopping):
                task.cancel()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that no request waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is still to be done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


Current = Annotated[Context, Depends(_context)]
"""A route's parameter of this type is the application's context."""
