"""Real servers on free ports of this machine: single ones, with a replica and a Sentinel, or as a cluster of three."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from cabacus.service.embedded import find_server

SECONDS = 20
SLOTS = 16384


def free_port() -> int:
    """A port that is free, and whose bus port (10,000 above, for clusters) fits in 16 bits."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55000:
            return port


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until it holds; a server that does not answer yet counts as no."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {SECONDS} s")


class Server:
    """One process; `kill` is kill -9."""

    def __init__(self, folder: Path, *options: str, sentinel: str = "") -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        program = [str(find_server())]
        if sentinel:
            (folder / "sentinel.conf").write_text(sentinel)
            program += [str(folder / "sentinel.conf"), "--sentinel"]
        else:
            program += ["--appendonly", "no", "--save", "", "--dir", str(folder)]
        with (folder / "log").open("wb") as log:
            words = [*program, "--bind", "127.0.0.1", "--port", str(self.port), *options]
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=5)

    def __enter__(self) -> Server:
        until(self.client.ping, "the server answers")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


@contextmanager
def sentinel_pair(folder: Path) -> Iterator[tuple[str, Server, Server]]:
    """A primary, its replica, and a Sentinel that needs nobody else's vote: the URL, and the two servers."""
    with ExitStack() as stack:
        primary = stack.enter_context(Server(folder / "a", "--repl-diskless-sync-delay", "0"))
        replica = stack.enter_context(Server(folder / "b", "--replicaof", f"127.0.0.1 {primary.port}"))
        until(lambda: replica.client.info("replication")["master_link_status"] == "up", "the replica follows")
        watch = f"sentinel monitor jobs 127.0.0.1 {primary.port} 1\nsentinel down-after-milliseconds jobs 500\n"
        sentinel = stack.enter_context(Server(folder / "s", sentinel=watch + "sentinel failover-timeout jobs 2000\n"))
        until(lambda: sentinel.client.sentinel_slaves("jobs"), "the Sentinel knows the replica")
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/jobs", primary, replica


@contextmanager
def cluster(folder: Path, size: int = 3) -> Iterator[tuple[str, list[Server]]]:
    """A cluster of primaries: its URL and the servers."""
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        nodes = [stack.enter_context(Server(folder / str(n), *options)) for n in range(size)]
        bounds = [SLOTS * n // size for n in range(size + 1)]
        for node, start, stop in zip(nodes, bounds, bounds[1:], strict=False):
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", start, stop - 1)
            node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        until(lambda: all(_whole(node, size) for node in nodes), "the cluster stands")
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:2]), nodes


def _whole(node: Server, size: int) -> bool:
    found = node.client.cluster("INFO")
    return found["cluster_state"] == "ok" and found["cluster_known_nodes"] == str(size)
