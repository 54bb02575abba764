"""The federated benchmark and the examples run, in their short forms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = "--data none --rounds 1 --train 400 --test 100 --clients 2"


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        (
            "tests/bench/federated_rounds/rounds.py",
            "--data none --rounds 1 --train 400 --test 100 --clients 2",
            "STC 1 % + Golomb",
        ),
        ("tests/bench/federated_rounds/speed.py", "--data none", "Mparam/s"),
        ("engine/examples/federated/plain_loop.py", "", "x up"),
        ("engine/examples/federated/filters.py", "", "arrived"),
    ],
)
def test_it_runs(script: str, arguments: str, words: str) -> None:
    command = [sys.executable, str(ROOT / script), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    def table(*more: str) -> str:
        script = ROOT / "tests/bench/federated_rounds/rounds.py"
        words = [*ROUNDS.split(), "--rounds", "3", "--only", "sparsify=ternary"]
        done = subprocess.run(
            [sys.executable, str(script), *words, *more], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout[:66]  # no times

    state = str(tmp_path / "state")
    whole = table()
    assert table("--state", state, "--minutes", "0").count("\n") == 0
    assert table("--state", state) == whole
