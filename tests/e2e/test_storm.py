"""A short storm: what `make storm` claims, with fewer jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parent / "storm" / "storm.py"
PLAN = (
    "--jobs",
    "80",
    "--poison",
    "2",
    "--bad",
    "3",
    "--kill-every",
    "1",
    "--restarts",
    "2",
    "--outage",
    "3",
    "--json",
)


def test_nothing_is_lost_when_workers_and_the_queue_are_killed() -> None:
    done = subprocess.run([sys.executable, str(STORM), *PLAN], capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["worker_kills"] >= 2, found
    assert found["server_restarts"] == 2, found
    broken = [claim for claim, holds in found["claims"].items() if not holds]
    assert not broken, found
