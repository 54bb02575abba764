"""The federated benchmark and the examples run, in their short forms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("tests/bench/federated.py", "--data none --rounds 1 --train 400 --test 100 --clients 2", "STC 1 % + Golomb"),
        ("engine/examples/federated/plain_loop.py", "", "x up"),
        ("engine/examples/federated/filters.py", "", "arrived"),
    ],
)
def test_it_runs(script: str, arguments: str, words: str) -> None:
    command = [sys.executable, str(ROOT / script), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
