"""`cabacus serve` as a process, for tests that are hard on it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cabacus.service.keys import SCOPES, KeyFile


@dataclass(frozen=True)
class Service:
    """A running service, the key that it asks for, and its processes."""

    url: str
    key: str
    process_id: int

    def resident_bytes(self) -> int:
        """Memory of all its processes together."""
        pages = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and _stems_from(int(entry.name), self.process_id):
                pages += int((entry / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[Service]:
    """A service that asks for keys and has room for everything."""
    _, key = KeyFile(folder / "state" / "keys.json").add("fuzz", scopes=SCOPES)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CABACUS_")}
    known = {
        "auth": "on",
        "log_level": "warning",
        "max_queued": 100_000,
        "key_max_jobs": 100_000,
        "key_max_uploads": 64,
        "max_uploads": 64,
        **settings,
    }
    environment |= {f"CABACUS_{name.upper()}": str(value) for name, value in known.items()}
    command = [sys.executable, "-m", "cabacus.service.cli", "serve", "--port", "0", "--state", str(folder / "state")]
    with (
        (folder / "serve.log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None, (folder / "serve.log").read_text()
            yield Service(found[0], key, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _stems_from(process_id: int, ancestor: int) -> bool:
    while process_id > 1:
        if process_id == ancestor:
            return True
        try:
            text = Path("/proc", str(process_id), "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        process_id = int(text.rpartition(")")[2].split()[1])
    return False
