"""What the routes work with: settings, the queue, the store, and the slots for uploads. One per application."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from cabacus.service.errors import ServiceError
from cabacus.service.queue.port import Queue
from cabacus.service.settings import Settings
from cabacus.service.storage.port import Store


@dataclass
class UploadSlots:
    """Bounds the uploads that are read at the same time in this process."""

    limit: int
    taken: int = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot. Raises ServiceError `too_many_uploads` when there is none."""
        if self.taken >= self.limit:
            raise ServiceError(
                "too_many_uploads",
                f"{self.taken} uploads are being read already; try again shortly, or raise CABACUS_MAX_UPLOADS",
                limit="CABACUS_MAX_UPLOADS",
                retry_after=1,
            )
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
    uploads: UploadSlots = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uploads", UploadSlots(self.settings.max_uploads))

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
