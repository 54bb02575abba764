"""API keys: made once, kept as hashes in a file, looked up by the API.

A key is `cabacus_ID_SECRET`. The file is JSON and holds the SHA-256 of each secret, never the secret; that is enough,
since a secret is 32 random bytes, which no list of passwords contains. Several keys may belong to one owner: a key is
replaced by making a new one, moving over, and removing the old. The file is replaced whole, so that it can be a mounted
secret; the API reads it again when it changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCOPES = ("read", "write", "metrics")
"""read: see one's jobs and results. write: submit, cancel and delete. metrics: GET /metrics."""
DEFAULT_SCOPES = ("read", "write")
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"cabacus_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class KeyFileError(ValueError):
    """The file of keys cannot be used, or a key cannot be made as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Key:
    """A key without its secret. `sha256` is the secret's digest in hex; times are seconds since the epoch."""

    id: str
    owner: str
    scopes: tuple[str, ...]
    sha256: str
    created: float
    expires: float | None = None

    def valid(self, now: float) -> bool:
        """True until it expires."""
        return self.expires is None or now < self.expires


class KeyFile:
    """The keys of a file, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int] | None, dict[str, Key]] = (None, {})

    def all(self) -> list[Key]:
        """All keys, in the order in which they were made. Raises KeyFileError for a file that is none of ours."""
        return list(self._current().values())

    def find(self, token: str) -> Key | None:
        """The key of a token, if it is valid now."""
        match = _TOKEN.fullmatch(token)
        key = self._current().get(match[1]) if match else None
        if match is None or key is None:
            return None
        same = hmac.compare_digest(_digest(match[2]), key.sha256)
        return key if same and key.valid(time.time()) else None

    def add(
        self, owner: str, *, scopes: Iterable[str] = DEFAULT_SCOPES, seconds: float | None = None
    ) -> tuple[Key, str]:
        """Make a key that lasts so long, or for ever; returns it and its token, which nobody can read again.

        Raises KeyFileError.

        >>> from tempfile import mkdtemp
        >>> file = KeyFile(Path(mkdtemp(), "keys.json"))
        >>> key, token = file.add("alice", scopes=["read"])
        >>> file.find(token).owner
        'alice'
        """
        given = tuple(dict.fromkeys(scopes))
        if OWNER.fullmatch(owner) is None:
            raise KeyFileError(f"{owner!r} is no name of an owner: use 1 to 64 letters, digits, '.', '_', '@' and '-'")
        if not given or not set(given) <= set(SCOPES):
            raise KeyFileError(f"the scopes are {', '.join(SCOPES)}; give one or more of them")
        secret, now = secrets.token_urlsafe(32), time.time()
        expires = None if seconds is None else now + seconds
        key = Key(secrets.token_hex(6), owner, given, _digest(secret), now, expires)
        with self._changing() as keys:
            keys[key.id] = key
        return key, f"cabacus_{key.id}_{secret}"

    def remove(self, key_id: str) -> Key | None:
        """Remove a key; it is refused from now on. None if there was none of this id."""
        with self._changing() as keys:
            return keys.pop(key_id, None)

    def _current(self) -> dict[str, Key]:
        """The keys, read again if the file is another one than last time."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be read: {error}") from error
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if self._read[0] != stamp:
            self._read = (stamp, self._load())
        return self._read[1]

    def _load(self) -> dict[str, Key]:
        try:
            document: Any = json.loads(self.path.read_bytes())
            found = [Key(**{**values, "scopes": tuple(values["scopes"])}) for values in document["keys"]]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise KeyFileError(f"{self.path} is no file of keys as `cabacus keys` makes them: {error}") from error
        return {key.id: key for key in found}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """The keys, to be changed; the file is then replaced whole, for this user alone."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = self._load() if self.path.exists() else {}
                yield keys
                text = json.dumps({"keys": [asdict(key) for key in keys.values()]}, indent=2) + "\n"
                descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # mode 600
                with open(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(name, self.path)
        except OSError as error:
            raise KeyFileError(
                f"{self.path} cannot be written: {error}; set CABACUS_KEY_FILE to another file"
            ) from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
