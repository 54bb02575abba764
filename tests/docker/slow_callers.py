"""Connections that are slow on purpose, of four kinds, from a process of their own, until standard input ends.

    python slow_callers.py HOST PORT COUNT KEY

silent: says nothing. trickling: a head, a byte at a time. feeding: a body, a byte at a time, with a key. deaf: asks for
a page and does not read it. Prints `ready` once all are open, then, at the end, JSON: how many the server had closed,
by kind.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

KINDS = ("silent", "trickling", "feeding", "deaf")
PAUSE_SECONDS = 0.5
START_OF_A_MODEL = (1 << 16).to_bytes(8, "little") + b'{"' + 200 * b"a"
"""Of a safetensors file: enough to be taken for one, so that the API waits for the rest."""


def first_words(kind: str, key: str) -> bytes:
    """What a connection says when it is opened."""
    head = "POST /compress HTTP/1.1\r\nHost: slow\r\nContent-Length: 1000000\r\n"
    return {
        "silent": b"",
        "trickling": b"GET /healthz HTTP/1.1\r\nHost: slow\r\nX-Slow: ",
        "feeding": f"{head}Authorization: Bearer {key}\r\n\r\n".encode() + START_OF_A_MODEL,
        "deaf": b"GET /openapi.json HTTP/1.1\r\nHost: slow\r\n\r\n" * 4,
    }[kind]


async def call(kind: str, host: str, port: int, key: str, opened: asyncio.Event, closed: Counter[str]) -> None:
    """Be slow until the server has enough."""
    reader, writer = await asyncio.open_connection(host, port, limit=1)
    try:
        writer.write(first_words(kind, key))
        await writer.drain()
        opened.set()
        while kind == "deaf" or kind == "silent" or not reader.at_eof():
            await asyncio.sleep(PAUSE_SECONDS)
            if kind in ("trickling", "feeding"):
                writer.write(b"x")
                await writer.drain()
            if kind == "silent" and await _ended(reader):
                break
    except OSError:
        pass
    finally:
        opened.set()
        closed[kind] += 1
        writer.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.01):
            return await reader.read(65536) == b""
    except TimeoutError:
        return False


async def main(host: str, port: int, count: int, key: str) -> None:
    """Open them, wait for the end of standard input, count."""
    closed: Counter[str] = Counter()
    opened = [asyncio.Event() for _ in range(count)]
    callers = [
        asyncio.create_task(call(KINDS[n % len(KINDS)], host, port, key, event, closed))
        for n, event in enumerate(opened)
    ]
    for event in opened:
        await event.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(closed), flush=True)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
