"""The API under requests that nobody would write: short here, long in `make fuzz-api`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cabacus

HERE = Path(__file__).parent
SECONDS = os.environ.get("FUZZ_SECONDS", "12")

pytestmark = pytest.mark.skipif(
    not hasattr(cabacus, "compress") or sys.platform != "linux", reason="needs the engine and /proc"
)
RUN = """
import subprocess, sys
from pathlib import Path
from running import running
with running(Path(sys.argv[1]), workers=1) as service:
    header = f"Authorization: Bearer {service.key}"
    command = [sys.argv[2], "run", f"{service.url}/openapi.json", "-H", header, *sys.argv[3:]]
    sys.exit(subprocess.run(command, cwd=sys.argv[1]).returncode)
"""


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    st = Path(sys.executable).with_name("st")
    # A file that is made up is refused, as it should be, though the document can only say that it is binary.
    options = ["--exclude-checks", "positive_data_acceptance", "--max-time", SECONDS, "--continue-on-failure"]
    options += ["--phases", "examples,coverage,fuzzing,stateful", "--seed", "1", "--no-color", "--warnings", "off"]
    options += ["--suppress-health-check", "all", "--request-timeout", "30"]
    command = [sys.executable, "-c", RUN, str(tmp_path), str(st), *options]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=600, check=False)
    words = "\n".join(line[:300] for line in done.stdout.splitlines())
    print(words[-2000:])
    assert done.returncode == 0, words[-8000:] + done.stderr[-2000:]


def test_mutated_files_are_refused_with_a_code() -> None:
    command = [sys.executable, str(HERE / "mutate.py"), "--count", "300", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert sum(found["answers"].values()) == 300
    assert len(found["answers"]) > 3  # it is not one refusal for all
