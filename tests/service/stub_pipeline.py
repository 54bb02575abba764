"""A pipeline that behaves as a test tells it, by rules `stub:WHAT=VALUE`; its result is the model, backwards.

stub:seconds=S     takes S seconds and reports progress       stub:segfault    dies as a fault in C++ would
stub:hang=S        holds the interpreter in C for S seconds   stub:hog=BYTES   takes so much memory
stub:exit=STATUS   ends the process                           stub:refuse      the data is to blame
stub:list          the result is the names beside the model instead
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time

from cabacus.service.job import Failure
from cabacus.service.pipeline import Product, Progress, Refusal, Task

STEPS = 10


def run(task: Task, progress: Progress) -> Product:
    """Do as the rules say."""
    for rule in task.options.get("rule", ()):
        name, _, value = rule.removeprefix("stub:").partition("=")
        if name == "seconds":
            for step in range(STEPS):
                time.sleep(float(value) / STEPS)
                progress.tensors(step + 1, STEPS, 100 * (step + 1), 100 * STEPS)
                progress(step + 1, STEPS)
        elif name == "hang":
            ctypes.PyDLL(None).usleep(int(float(value) * 1e6))
        elif name == "segfault":
            ctypes.string_at(0)
        elif name == "exit":
            os._exit(int(value))
        elif name == "hog":
            _hog(int(value))
        elif name == "refuse":
            raise Refusal(Failure("invalid_input", "the stub refuses", tensor="fc.weight"))
    data = task.inputs["model"].read_bytes()[::-1]
    if "stub:list" in task.options.get("rule", ()):
        data = " ".join(sorted(path.name for path in task.inputs["model"].parent.iterdir())).encode()
    result, report = task.folder / "result.cabac", task.folder / "report.json"
    result.write_bytes(data)
    figures = {"bytes": len(data), "original_bytes": 2 * len(data), "ratio": 2.0, "snr_db": None}
    report.write_text(json.dumps({**figures, "tensors": []}))
    return Product(report, figures, result, "cabac")


def _hog(size: int) -> None:
    try:
        bytearray(size)
    except MemoryError as error:
        failure = Failure("memory_limit", "the stub wants more than it may", limit="CABACUS_JOB_MEMORY_BYTES")
        raise Refusal(failure) from error
    print("took it all", file=sys.stderr)
