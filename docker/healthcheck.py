"""Says whether the service in this container lives: exit status 0 or 1. It is asked often, so it imports little.

    healthcheck [api | worker]        default: whichever the container runs

The API lives when it answers /healthz. A worker lives when its event loop has touched its file within SECONDS. Neither
depends on the queue's server: what is started again because another does not answer helps nobody. Whether work can be
taken, /readyz says.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

SECONDS = 30.0


def main() -> int:
    """The exit status."""
    role = sys.argv[1] if len(sys.argv) > 1 else _running()
    return 0 if (_worker_lives() if role == "worker" else _api_lives()) else 1


def _running() -> str:
    words = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    return "worker" if b"worker" in words else "api"


def _api_lives() -> bool:
    port = os.environ.get("CABACUS_PORT") or "8000"
    with socket.create_connection(("127.0.0.1", int(port)), timeout=4) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return connection.recv(64).startswith(b"HTTP/1.1 200 ")


def _worker_lives() -> bool:
    """Workers may share the folder: their files carry the name of the host, which is the container's."""
    pulses = Path(os.environ["CABACUS_STATE"], "scratch").glob(f"worker-*/pulse-{socket.gethostname()}")
    return any(time.time() - pulse.stat().st_mtime < SECONDS for pulse in pulses)


if __name__ == "__main__":
    sys.exit(main())
