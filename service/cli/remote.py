"""The same work done by a service elsewhere, over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from cabacus import Progress
from cabacus.inspection import Inspection, Verification
from cabacus.report import Curve, Report
from cabacus.service.cli import documents
from cabacus.service.cli.progress import tell
from cabacus.service.cli.streams import STANDARD, Output
from cabacus.service.cli.work import Task
from cabacus.service.client import Client, Job

NO_PROGRESS = Progress()


class RemoteWork:
    """Implements Work with a service, over its client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def compress(self, task: Task, output: Output, progress: Progress) -> Report:
        """Compress a model into `output`."""
        job = self._run("compress", task, progress)
        self._bring(job, output)
        return documents.report(self._client.report(job))

    def decompress(self, task: Task, output: Output, progress: Progress) -> None:
        """Decompress a model, or some of its tensors, into `output`."""
        self._bring(self._run("decompress", task, progress), output)

    def inspect(self, task: Task) -> Inspection:
        """What a compressed file says of itself."""
        return documents.inspection(self._find("inspect", task))

    def verify(self, task: Task) -> Verification:
        """Whether a compressed file is whole, and how far it is from its original."""
        return documents.verification(self._find("verify", task))

    def sweep(self, task: Task, progress: Progress) -> Curve:
        """Rate and distortion over S."""
        return documents.curve(self._find("sweep", task, progress))

    def _run(self, kind: str, task: Task, progress: Progress) -> Job:
        """Send the files and wait for the job; it is cancelled when this program is interrupted."""
        files: Mapping[str, Any] = {
            role: sys.stdin.buffer if name == STANDARD else name for role, name in task.files.items()
        }
        source = sys.stdin.buffer if task.source == STANDARD else task.source
        job = self._client.submit(kind, source, **files, **task.options)
        try:
            for seen in self._client.events(job):
                tell(progress, seen)
            return self._client.wait(job)
        except (KeyboardInterrupt, SystemExit):
            self._client.cancel(job)
            raise

    def _find(self, kind: str, task: Task, progress: Progress = NO_PROGRESS) -> dict[str, Any]:
        return self._client.report(self._run(kind, task, progress))

    def _bring(self, job: Job, output: Output) -> None:
        """Bring the result to its place; at a path it appears whole or not at all."""
        if output.path is not None:
            self._client.download(job, output.path)
            return
        with output.open() as file:
            file.write(self._client.result(job).data)
