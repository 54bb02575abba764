"""Connections that are slow on purpose, of four kinds, from a process of their own, which obeys standard input.

    python slow_callers.py HOST PORT KEY KIND=COUNT...

silent: says nothing. trickling: a head, a byte at a time. feeding: a body, a byte at a time, with a key. deaf: asks for
much and does not read it.

`open` opens them, spread over a second, and answers `open` once each has been; one that the server closes comes back
after a moment. `count` answers JSON, how often the server has closed one, by kind; `close` closes them and answers the
same. Each byte comes after a pause of its own: all at the same instant they would be a storm, and a storm is not slow.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from collections import Counter

PAUSE_SECONDS = (0.5, 1.5)
OPENING_SECONDS = 1.0
START_OF_A_MODEL = (1 << 16).to_bytes(8, "little") + b'{"' + 200 * b"a"
"""Of a safetensors file: enough to be taken for one, so that the API waits for the rest."""
WORDS = {
    "silent": b"",
    "trickling": b"GET /healthz HTTP/1.1\r\nHost: slow\r\nX-Slow: ",
    "feeding": b"POST /compress HTTP/1.1\r\nHost: slow\r\nContent-Length: 1000000\r\nAuthorization: Bearer KEY\r\n\r\n"
    + START_OF_A_MODEL,
    "deaf": b"GET /openapi.json HTTP/1.1\r\nHost: slow\r\n\r\n" * 2,
}


class Connection(asyncio.Protocol):
    """One connection; `lost` is set once the server has closed it."""

    def __init__(self, kind: str) -> None:
        self.lost = asyncio.Event()
        self._kind = kind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stop listening, if deaf."""
        assert isinstance(transport, asyncio.Transport)
        if self._kind == "deaf":
            transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self.lost.set()


async def connect(kind: str, host: str, port: int) -> tuple[asyncio.Transport, Connection]:
    plug = socket.socket()
    plug.setblocking(False)
    if kind == "deaf":
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(plug, (host, port))
    return await asyncio.get_running_loop().create_connection(lambda: Connection(kind), sock=plug)


async def call(kind: str, host: str, port: int, key: str, opened: asyncio.Event, closed: Counter[str]) -> None:
    """Be slow again and again."""
    await asyncio.sleep(random.uniform(0, OPENING_SECONDS))
    while True:
        transport, connection = await connect(kind, host, port)
        try:
            transport.write(WORDS[kind].replace(b"KEY", key.encode()))
            opened.set()
            while not connection.lost.is_set():
                try:
                    async with asyncio.timeout(None if kind in ("silent", "deaf") else random.uniform(*PAUSE_SECONDS)):
                        await connection.lost.wait()
                except TimeoutError:
                    transport.write(b"x")
        finally:
            transport.abort()
        closed[kind] += 1
        await asyncio.sleep(random.uniform(0.5, 1.5) if kind == "feeding" else random.uniform(0, 0.2))


async def main(host: str, port: int, key: str, counts: dict[str, int]) -> None:
    """Obey."""
    callers: list[asyncio.Task[None]] = []
    closed: Counter[str] = Counter()
    while order := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if order == "open":
            closed.clear()
            opened = {asyncio.Event(): kind for kind, count in counts.items() for _ in range(count)}
            callers = [asyncio.create_task(call(kind, host, port, key, e, closed)) for e, kind in opened.items()]
            await asyncio.gather(*(event.wait() for event in opened))
            print("open", flush=True)
            continue
        if order == "close":
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
        print(json.dumps(closed), flush=True)


if __name__ == "__main__":
    pairs = (word.split("=") for word in sys.argv[4:])
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], {kind: int(count) for kind, count in pairs}))
