"""A progress bar on standard error, for people: nothing of it is there when standard error is no terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cabacus import Progress

if TYPE_CHECKING:  # work that is done here does without the client
    from cabacus.service.client import Job

WIDTH = 24
INTERVAL_SECONDS = 0.1
_SHARES = 10_000
"""The steps in which a job's share is told."""


class Bar(Progress):
    """`with Bar("compressing") as bar: bar(done, total)`; may be called from any thread."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._shown = not quiet and sys.stderr.isatty()
        self._began = time.monotonic()
        self._drawn = -INTERVAL_SECONDS
        self._tensors = ""
        self._lock = threading.Lock()

    def __call__(self, done: float, total: float) -> None:
        """Show that `done` of `total` steps are done."""
        now = time.monotonic() - self._began
        with self._lock:
            if not self._shown or (now - self._drawn < INTERVAL_SECONDS and done < total):
                return
            self._drawn = now
            share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
            filled = round(share * WIDTH)
            bar = "#" * filled + "." * (WIDTH - filled)
            sys.stderr.write(f"\r{self._title} [{bar}] {100 * share:3.0f} %  {self._tensors}{now:.0f} s ")
            sys.stderr.flush()

    def tensors(self, done: int, total: int, done_bytes: int, total_bytes: int) -> None:
        """Show with the next step that so many tensors are done."""
        self._tensors = f"{done}/{total} tensors  {done_bytes / 1e6:.1f}/{total_bytes / 1e6:.1f} MB  "

    def __enter__(self) -> Self:
        self(0, 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def tell(progress: Progress, job: Job) -> None:
    """Tell how far a job of a service is."""
    if job.tensors is not None and job.bytes is not None:
        progress.tensors(*job.tensors, *job.bytes)
    progress(round(_SHARES * job.progress), _SHARES)
