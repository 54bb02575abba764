"""The parent's side of a child process: start it, give it a job, hear of its progress, kill it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from cabacus.service.job import NO_COUNTS, Counts

PIPELINE = "cabacus.service.pipeline"
LINE_BYTES = 2**20


class ChildDied(Exception):
    """The process ended in the middle of its work; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(f"killed by signal {-status}" if status < 0 else f"ended with status {status}")
        self.status = status


class Child:
    """One child process that is used again and again; a new one takes its place once it is dead.

    `progress` is the share of the present job that is done, `counts` the same in steps, tensors and bytes.
    """

    def __init__(self, *, pipeline: str = PIPELINE, memory_bytes: int = 0, log_format: str = "text") -> None:
        self._arguments = [str(os.getpid()), pipeline, str(memory_bytes), log_format]
        self._process: asyncio.subprocess.Process | None = None
        self.progress = 0.0
        self.counts = NO_COUNTS

    @property
    def process_id(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Have a process that is ready for work. Raises ChildDied when it does not come up."""
        if self._process is not None and self._process.returncode is None:
            return
        await self.kill()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cabacus.service.worker.child", *self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the worker, which lets its jobs end
            limit=LINE_BYTES,
        )
        try:
            await self._message()
        except BaseException:
            await self.kill()
            raise

    async def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Give a job to the process and return its last message. Raises ChildDied.

        Cancelling this kills the process at once, whatever it is doing.
        """
        await self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        self.progress, self.counts = 0.0, NO_COUNTS
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            with suppress(ConnectionError):  # then it is dead, which the next line finds
                await self._process.stdin.drain()
            while True:
                message = await self._message()
                if "progress" not in message:
                    return message
                self.progress = message["progress"]
                self.counts = Counts(**{name: (done, total) for name, (done, total) in message["counts"].items()})
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    async def _message(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ChildDied(await self._process.wait())
        message: dict[str, Any] = json.loads(line)
        return message
