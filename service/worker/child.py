"""The process that does the work, one job after another; its arguments: parent's id, pipeline's module, memory limit,
form of logs.

It reads a line of JSON for each job from its standard input, and answers with lines of JSON on what was its standard
output; prints of libraries go to standard error instead. It imports the pipeline and nothing of the queue or the store,
has no socket, and may be killed at any time: what it writes lies in the job's own folder.

    in    {"kind", "inputs": {role: path}, "options", "folder", "threads", "about": what its log lines are about}
    out   {"ready": true}                                      once, when the imports are done
          {"progress": 0.5, "counts": {"steps": [3, 6], ...}}  any number of times
          {"product": {"report", "result", "extension", "media_type", "summary"}}   or
          {"failure": {"code", "detail", "field", "tensor", "limit"}}               at the end of each job
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import resource
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from cabacus.service.job import Failure
from cabacus.service.logs import bound, configure_logs
from cabacus.service.pipeline import Product, Progress, Refusal, Task
from cabacus.service.processes import die_with_parent

PROGRESS_SECONDS = 0.1
MAX_DETAIL = 4000
"""Characters of a failure's detail; a line of the protocol stays far below what the parent reads at once."""

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve jobs until standard input ends."""
    parent, pipeline, memory = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    die_with_parent(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    configure_logs("info", sys.argv[4])
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        run: Callable[[Task, Progress], Product] = importlib.import_module(pipeline).run
        _send(answers, {"ready": True})
        for line in sys.stdin:
            request = json.loads(line)
            with bound(**request["about"]):
                _send(answers, _answer(run, request, answers))


def _answer(run: Callable[[Task, Progress], Product], request: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    task = Task(
        kind=request["kind"],
        inputs={role: Path(path) for role, path in request["inputs"].items()},
        options=request["options"],
        folder=Path(request["folder"]),
        threads=request["threads"],
    )
    reporter = _Reporter(answers)
    try:
        product = run(task, reporter)
    except Refusal as refusal:
        return {"failure": asdict(refusal.failure) | {"detail": refusal.failure.detail[:MAX_DETAIL]}}
    except Exception:
        reference = secrets.token_hex(6)
        logger.exception("unexpected fault %s", reference)
        return {"failure": asdict(Failure("internal", f"this is a fault of ours; it is logged under {reference}"))}
    reporter.flush()
    return {
        "product": {
            "report": str(product.report),
            "result": None if product.result is None else str(product.result),
            "extension": product.extension,
            "media_type": product.media_type,
            "summary": product.summary,
        }
    }


class _Reporter(Progress):
    """Passes progress on, now and then; from any thread."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._share = 0.0
        self._counts: dict[str, tuple[int, int]] = {}
        self._due = time.monotonic() + PROGRESS_SECONDS
        self._lock = threading.Lock()

    def __call__(self, done: int, total: int) -> None:
        with self._lock:
            if total > 0:
                self._share = min(1.0, done / total)
                self._counts["steps"] = done, total
            self._now_and_then()

    def tensors(self, done: int, total: int, done_bytes: int, total_bytes: int) -> None:
        with self._lock:
            self._counts |= {"tensors": (done, total), "bytes": (done_bytes, total_bytes)}
            self._now_and_then()

    def flush(self) -> None:
        """Say how far it came in the end."""
        with self._lock:
            self._now_and_then(at_once=True)

    def _now_and_then(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now >= self._due:
            self._due = now + PROGRESS_SECONDS
            _send(self._answers, {"progress": self._share, "counts": self._counts})


def _send(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
