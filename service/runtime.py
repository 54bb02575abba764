"""Everything at once on one machine: `serve` starts a queue server, the API and workers, and stops them cleanly.

    supervisor (this process)    holds the listening socket and the state folder's lock; restarts what dies
    +-- redis-server             only where no URL is set; on a Unix socket in the state folder
    +-- api                      uvicorn on the supervisor's socket, so that no connection is refused while it restarts
    +-- worker                   its slots' child processes do the work

Each is told by the kernel when its parent dies, so that kill -9 of any of them leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import NoReturn

from cabacus.service.embedded import EmbeddedError, EmbeddedServer
from cabacus.service.logs import configure_logs
from cabacus.service.processes import die_with_parent
from cabacus.service.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BACKLOG = 1024
RESTART_SECONDS = 0.5
MAX_RESTART_SECONDS = 10.0
API_STOP_SECONDS = 5.0
KILL_SECONDS = 5.0
"""How long a process may take beyond its own grace before it is killed."""


class StartError(Exception):
    """The service cannot be started; the message says why and what to do."""


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises StartError when the address is taken or not ours."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise StartError(
            f"cannot listen on {settings.host}, port {settings.port} ({error.strerror or error}): "
            "choose another with CABACUS_PORT (--port) or CABACUS_HOST (--host)"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The address that a browser on this machine opens."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


def run_api(settings: Settings, listener: socket.socket) -> None:
    """Serve the API on a listening socket until SIGTERM or SIGINT."""
    from cabacus.service.api.__main__ import make_server

    make_server(settings, stop_seconds=API_STOP_SECONDS).run(sockets=[listener])


def serve(settings: Settings, *, announce: Callable[[str], object] = lambda url: None) -> None:
    """Run the whole service until SIGTERM, SIGINT or SIGHUP. Calls `announce` with the URL once it takes requests.

    Raises StartError, SettingsError or EmbeddedError before anything is left running.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings))
        embedded: EmbeddedServer | None = None
        if not settings.redis:
            embedded = stack.enter_context(EmbeddedServer(settings.state / "queue"))
            settings = replace(settings, redis=embedded.url)
        asyncio.run(_Supervisor(settings, listener, embedded, announce).run())


class _Supervisor:
    """Starts the processes, keeps them up, and stops them in order: first the API, then the workers."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        embedded: EmbeddedServer | None,
        announce: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._embedded = embedded
        self._announce = announce
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Supervise until a signal comes."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stopping.set)
        worker = asyncio.create_task(self._keep("worker", self._settings.stop_seconds))
        api = asyncio.create_task(self._keep("api", API_STOP_SECONDS))
        others = [asyncio.create_task(self._keep_server()), asyncio.create_task(self._say_ready())]
        try:
            await self._stopping.wait()
        finally:
            self._stopping.set()
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.gather(worker, api)

    async def _keep(self, name: str, grace: float) -> None:
        """Run one of our own processes; start it again, ever more slowly, when it ends by itself."""
        pause = RESTART_SECONDS
        while not self._stopping.is_set():
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "cabacus.service.runtime",
                    name,
                    str(os.getpid()),
                    str(self._listener.fileno()),
                ),
                env=os.environ | self._settings.to_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[self._listener.fileno()] if name == "api" else [],
                start_new_session=True,
            )
            ended, stopping = asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())
            started = asyncio.get_running_loop().time()
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
                await asyncio.wait({ended}, timeout=grace + KILL_SECONDS)
                if not ended.done():
                    logger.error("the %s does not stop and is killed", name)
                    process.kill()
                await ended
                return
            stopping.cancel()
            if asyncio.get_running_loop().time() - started > MAX_RESTART_SECONDS:
                pause = RESTART_SECONDS
            logger.error("the %s ended with status %d; it is started again", name, process.returncode)
            await self._wait_for_stop(pause)
            pause = min(2 * pause, MAX_RESTART_SECONDS)

    async def _keep_server(self) -> None:
        """Start the embedded server again when it ends by itself; its data is on disk."""
        while self._embedded is not None and not self._stopping.is_set():
            if not self._embedded.running():
                logger.error("the queue server ended; it is started again")
                await asyncio.to_thread(self._embedded.stop)
                try:
                    self._embedded.start()
                except EmbeddedError as error:
                    logger.error("%s", error)
            await self._wait_for_stop(RESTART_SECONDS)

    async def _say_ready(self) -> None:
        """Announce the URL as soon as the API is ready for work."""
        while not await _is_ready(self._listener):
            await asyncio.sleep(0.05)
        self._announce(url_of(self._listener))

    async def _wait_for_stop(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def _is_ready(listener: socket.socket) -> bool:
    """Ask /readyz, by hand: the server has no HTTP client of its own."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except OSError:  # a timeout is one
        return False


def _main() -> NoReturn:
    """A process of `serve`: NAME, the supervisor's process id, the listening socket's file descriptor."""
    name, parent, descriptor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    die_with_parent(parent)
    settings = Settings.from_environment()
    configure_logs(settings.log_level, settings.log_format)
    if name == "api":
        run_api(settings, socket.socket(fileno=descriptor))
        sys.exit(0)
    from cabacus.service.worker.__main__ import main

    sys.exit(main(settings))


if __name__ == "__main__":
    try:
        _main()
    except SettingsError as error:
        sys.exit(f"cabacus: {error}")
