"""What the tests of the deployment do with Docker: start, look into, hurt and stop the parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from cabacus.service.client import Client, Job

ROOT = Path(__file__).parents[1]
IMAGE = "cabacus-test"
PROJECT = "cabacustest"
ADDRESS = "127.0.0.1:18390"
URL = f"http://{ADDRESS}"
SECONDS = 60
TUNING = {
    "CABACUS_PUBLISH": ADDRESS,
    "CABACUS_IDLE_SECONDS": "5",
    "HEALTH_INTERVAL": "2s",
    "PROXY_HEADER_TIMEOUT": "6s",
    "PROXY_CONNECTIONS_PER_CLIENT": "280",
}
"""Quicker than in production, so that a test need not wait; and 200 slow connections from one address are let in."""


def docker(*words: object, environment: dict[str, str] | None = None, seconds: float = 900) -> str:
    """Run docker and return what it prints."""
    return _run(["docker", *map(str, words)], environment, seconds)


def _run(words: list[str], environment: dict[str, str] | None, seconds: float) -> str:
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def image_or(name: str, stand_in: str) -> str:
    """An image that is there; where it is not, one built for the tests from `stand_in`.Dockerfile."""
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
        return name
    folder, made = ROOT / "tests" / "docker", f"{IMAGE}-{stand_in}"
    docker("build", "--quiet", "-t", made, "-f", folder / f"{stand_in}.Dockerfile", folder)
    return made


def until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Wait until it holds; whatever goes wrong meanwhile counts as no."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(AssertionError, httpx.HTTPError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


class Stack:
    """The parts by name, through either version of compose."""

    def __init__(self, environment: dict[str, str], *files: str) -> None:
        self.environment = TUNING | environment
        self._files = ("docker-compose.yml", *files)
        self.keys: dict[str, str] = {}
        self._program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]

    def compose(self, *words: str) -> str:
        """Run compose."""
        files = [word for file in self._files for word in ("-f", file)]
        return _run([*self._program, "-p", PROJECT, *files, *words], self.environment, 600)

    def also(self, file: str, **environment: str) -> Stack:
        """The same parts, as a further compose file changes them."""
        changed = Stack(self.environment | environment, file)
        changed.keys = self.keys
        return changed

    def up(self, *words: str) -> None:
        """Start what does not run, and wait until work is taken through the proxy."""
        self.compose("up", "-d", "--no-build", *words)
        until(lambda: httpx.get(f"{URL}/readyz").status_code == 200, "the proxy finds an API that is ready")

    def containers(self, service: str) -> list[str]:
        """Ids of the containers of a service that run."""
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        return docker("ps", "--quiet", "--no-trunc", *(f"--filter=label={label}" for label in labels)).split()

    def execute(self, service: str, *words: str) -> str:
        """Run a command in the first container of a service."""
        return docker("exec", self.containers(service)[0], *words)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        found: dict[str, Any] = json.loads(docker("inspect", container))[0]
        return found

    def healthy(self, *services: str) -> bool:
        """True when every container of these services says that it lives."""
        ids = [container for service in services for container in self.containers(service)]
        words = docker("inspect", "--format={{.State.Health.Status}}", *ids).split() if ids else ["missing"]
        return set(words) == {"healthy"}

    def kill(self, container: str) -> None:
        """Kill its first process as the kernel would for want of memory: the engine starts it again."""
        os.kill(self.inspect(container)["State"]["Pid"], signal.SIGKILL)

    def redis(self, *words: str) -> str:
        """Ask Redis as the service does."""
        shell = 'REDISCLI_AUTH=$(cat /run/secrets/redis_password) exec redis-cli --user cabacus "$@"'
        return self.execute("redis", "sh", "-c", shell, "sh", *words)

    def attempts(self, job: Job) -> int:
        """How often a job was started."""
        return int(self.redis("HGET", f"{{cabacus}}:job:{job.id}", "attempts") or 0)

    def worker_of(self, job: Job) -> str:
        """The container that runs a job; waits until one does."""
        found: list[str] = []

        def look() -> bool:
            consumer = self.redis("HGET", f"{{cabacus}}:job:{job.id}", "consumer")
            found[:] = [one for one in self.containers("worker") if consumer and one.startswith(consumer.split("-")[0])]
            return bool(found)

        until(look, "a worker starts on the job")
        return found[0]

    def scale(self, **counts: int) -> None:
        """Have so many containers of services; those of others stay as they are."""
        numbers = [word for service, count in counts.items() for word in ("--scale", f"{service}={count}")]
        self.compose("up", "-d", "--no-build", "--no-recreate", "--no-deps", *numbers, *counts)

    def network(self, service: str) -> dict[str, str]:
        """How the engine has put the one container of a service into the network `front`."""
        (container,) = self.containers(service)
        found: dict[str, str] = self.inspect(container)["NetworkSettings"]["Networks"][f"{PROJECT}_front"]
        return found

    def proxy_address(self) -> tuple[str, int]:
        """Where the proxy itself listens, not the port of the host that leads there."""
        return self.network("proxy")["IPAddress"], 8080

    def connections(self) -> int:
        """How many callers are connected to the proxy."""
        figures = httpx.get(f"http://{self.proxy_address()[0]}:8405/metrics").text
        found = re.search(r'^haproxy_frontend_current_sessions\{proxy="public"\} ([0-9]+)', figures, re.MULTILINE)
        assert found
        return int(found[1])

    def client(self, owner: str = "alice", **options: Any) -> Client:
        """A client through the proxy."""
        return Client(URL, key=self.keys[owner], **options)
