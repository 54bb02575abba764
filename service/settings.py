"""Every knob of the service: one frozen, typed value, read once from CABACUS_* and flags, and passed in.

A field `max_queued` is the variable `CABACUS_MAX_QUEUED`. Refusals name the variable, so that an operator who reads one
in a log knows what to turn.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints
from urllib.parse import urlsplit

PREFIX = "CABACUS_"

_DAY = 86400
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


class SettingsError(ValueError):
    """A setting cannot be used; the message names its variable, what was given and what would do."""


def variable(name: str) -> str:
    """The environment variable of a setting.

    >>> variable("max_queued")
    'CABACUS_MAX_QUEUED'
    """
    return PREFIX + name.upper()


def _state_folder() -> Path:
    """Where a user's programs keep what must outlive them: the XDG base directories."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state") / "cabacus"


def _is_below(url: str, place: str) -> bool:
    """True if a URL has the scheme, host and port of another, and a path that is its or below it, plainly written."""
    try:
        given, known = urlsplit(url), urlsplit(place)
        same = (given.scheme, given.hostname, given.port) == (known.scheme, known.hostname, known.port)
    except ValueError:
        return False
    plain = re.fullmatch(r"[!-~]+", url) is not None and not re.search(r"[\\@#]|/\.|%2e|%2f|%5c", url, re.IGNORECASE)
    base = known.path.rstrip("/")
    return same and plain and (given.path == base or given.path.startswith(f"{base}/"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_secret(name: str) -> bool:
    """True for settings that are not shown; a URL may hold a password."""
    return name in ("redis", "redis_password", "webhook_secret")


def _read_secrets(environment: Mapping[str, str], names: list[str]) -> dict[str, str]:
    """Those of the settings for which a file is named."""
    found = {}
    for name in names:
        path = environment.get(f"{variable(name)}_FILE")
        try:
            if path:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable(name)}_FILE is {path!r}, which cannot be read: {error}") from None
    return found


def _integer(low: int, high: int = 2**63 - 1) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,19}\s*", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(
                f"an integer from {low} to {high}" if high < 2**63 - 1 else f"an integer of at least {low}"
            )
        return value

    return read


def _bytes(low: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, str):
            match = re.fullmatch(r"\s*([0-9]{1,18})\s*([kmg]i?)?b?\s*", value.lower())
            value = int(match[1]) * _UNITS[match[2] or ""] if match else None
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"a number of bytes of at least {low}, such as 1048576, 500MB or 2GiB")
        return value

    return read


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        try:
            number = float(value) if isinstance(value, str | int | float) else float("nan")
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise ValueError(f"a number of seconds from {low:g} to {high:g}")
        return number

    return read


def _text(pattern: str, what: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise ValueError(what)
        return value

    return read


def _folder(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("a folder")
    return Path(value).expanduser().absolute()


def _choice(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError("one of " + ", ".join(words))
        return str(value)

    return read


@dataclass(frozen=True)
class Knob:
    """How a setting is read, which checks it, and what it means."""

    read: Callable[[object], Any]
    help: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The service's configuration. Make one with `from_environment`; bare values are checked the same way."""

    host: Annotated[str, Knob(_text(r"[^\s/]+", "a host name or address"), "address to listen on")] = "127.0.0.1"
    port: Annotated[int, Knob(_integer(0, 65535), "port to listen on; 0 takes a free one")] = 8000
    workers: Annotated[int, Knob(_integer(1, 1024), "jobs that a worker process runs at the same time")] = field(
        default_factory=_cores
    )
    threads: Annotated[int, Knob(_integer(0, 1024), "threads of one job; 0 shares the cores among the jobs")] = 0
    state: Annotated[Path, Knob(_folder, "folder for the embedded queue and the default storage")] = field(
        default_factory=_state_folder
    )
    redis: Annotated[
        str,
        Knob(
            _text(
                r"|(rediss?(\+(sentinel|cluster))?|unix)://.+",
                "a URL: redis://HOST:PORT/0, rediss://..., unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/NAME/0 "
                "or redis+cluster://HOST:PORT,HOST:PORT",
            ),
            "URL of Redis or Valkey, also redis+sentinel:// and redis+cluster://; empty: `serve` starts one of its own",
        ),
    ] = ""
    redis_password: Annotated[
        str, Knob(_text(r"|\S+", "a text without spaces"), "password of its user, where the URL names none")
    ] = ""
    namespace: Annotated[
        str, Knob(_text(r"[\w.-]{1,64}", "1 to 64 letters, digits, _, . or -"), "first part of every key in Redis")
    ] = "cabacus"
    storage: Annotated[
        str,
        Knob(
            _text(r"|/.*|(file|s3|gs|az|memory)://.*", "an absolute folder or a URL: file://, s3://, gs://, az://"),
            "where files are kept, a folder or a URL; empty: below the state folder",
        ),
    ] = ""
    auth: Annotated[
        str, Knob(_choice("auto", "on", "off"), "whether the API needs keys; auto: unless it listens on loopback alone")
    ] = "auto"
    key_file: Annotated[
        str, Knob(_text(r"|.+", "a file"), "file of the API's keys, see `cabacus keys`; empty: in the state folder")
    ] = ""
    key_max_jobs: Annotated[int, Knob(_integer(1), "jobs of one key's owner that wait or run")] = 100
    key_max_running: Annotated[
        int, Knob(_integer(0), "jobs of one key's owner that run at the same time, the others wait; 0: any number")
    ] = 0
    key_max_bytes: Annotated[int, Knob(_bytes(1), "bytes of files that one key's owner may have stored")] = 64 * 2**30
    key_max_uploads: Annotated[int, Knob(_integer(1), "request bodies of one key's owner read at the same time")] = 4
    buckets: Annotated[
        str,
        Knob(
            _text(
                r"|((s3|gs|az)://[^\s/?#@]+(/[^\s?#]*)?(\s+|$))*",
                "URLs such as s3://BUCKET/PREFIX",
            ),
            "buckets for input= and output=, and everything below them: URLs separated by spaces",
        ),
    ] = ""
    webhooks: Annotated[
        str,
        Knob(
            _text(r"|(https?://[^\s/?#@]+(/[^\s?#]*)?(\s+|$))*", "URLs separated by spaces, without ? and #"),
            "places that jobs may name as webhook, and everything below them: URLs separated by spaces",
        ),
    ] = ""
    webhook_secret: Annotated[
        str,
        Knob(_text(r"|\S{16,}", "16 characters or more"), "what webhooks are signed with; needed with them"),
    ] = ""
    max_upload_bytes: Annotated[int, Knob(_bytes(1), "longest request body, in bytes")] = 8 * 2**30
    max_uploads: Annotated[int, Knob(_integer(1), "request bodies read at the same time")] = 16
    max_followers: Annotated[int, Knob(_integer(1), "streams of events open at the same time")] = 256
    quiet_seconds: Annotated[
        float, Knob(_seconds(0.05, 3600), "silence in a request body after which it is given up")
    ] = 60.0
    max_queued: Annotated[int, Knob(_integer(1), "jobs waiting or running")] = 1000
    max_wait_seconds: Annotated[float, Knob(_seconds(0, _DAY), "longest that a request may wait for its job")] = 300.0
    max_deliveries: Annotated[
        int, Knob(_integer(1, 100), "runs of a job whose process dies each time, before it is given up")
    ] = 3
    job_seconds: Annotated[float, Knob(_seconds(0.05, 30 * _DAY), "longest run of a job; then it is killed")] = 3600.0
    job_memory_bytes: Annotated[int, Knob(_bytes(0), "most memory of a job, in bytes; 0: no limit")] = 0
    result_seconds: Annotated[
        float, Knob(_seconds(0.05, 366 * _DAY), "how long finished jobs and their files are kept")
    ] = float(_DAY)
    idle_seconds: Annotated[
        float, Knob(_seconds(0.1, 3600), "silence after which a worker's job is given to another")
    ] = 15.0
    sweep_seconds: Annotated[float, Knob(_seconds(0.05, 3600), "time between looks for expired jobs")] = 10.0
    stop_seconds: Annotated[float, Knob(_seconds(0, 3600), "how long a stopping worker lets its jobs run on")] = 10.0
    log_level: Annotated[
        str, Knob(_choice("debug", "info", "warning", "error"), "least level of messages that are logged")
    ] = "info"

    log_format: Annotated[str, Knob(_choice("text", "json"), "lines of text, or of JSON for programs")] = "text"

    def __post_init__(self) -> None:
        for name, knob in knobs().items():
            try:
                object.__setattr__(self, name, knob.read(getattr(self, name)))
            except ValueError as error:
                given = str(getattr(self, name))
                hidden = _is_secret(name) and (name != "redis" or "@" in given)
                value = "not shown" if hidden else given[:200]
                raise SettingsError(f"{variable(name)} is {value!r}: set {error}") from None

        if self.webhooks and not self.webhook_secret:
            raise SettingsError("CABACUS_WEBHOOKS is set and CABACUS_WEBHOOK_SECRET is not: set it to a random text")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Read the settings; an override (a flag) that is not None wins over its variable. Raises SettingsError.

        Variables that are set but empty count as not set. A secret can be in a file, as containers are given theirs:
        its variable with _FILE, as in CABACUS_REDIS_PASSWORD_FILE, then names the file.

        >>> Settings.from_environment({"CABACUS_PORT": "9000"}, workers=2).port
        9000
        """
        environment = os.environ if environment is None else environment
        known = knobs().keys()
        given: dict[str, Any] = {name: environment[variable(name)] for name in known if environment.get(variable(name))}
        given |= _read_secrets(environment, [name for name in known if name not in given and _is_secret(name)])
        given |= {name: value for name, value in overrides.items() if value is not None}
        return cls(**given)

    def to_environment(self) -> dict[str, str]:
        """The variables that give the same settings to a child process."""
        return {variable(name): str(getattr(self, name)) for name in knobs()}

    def allows_webhook(self, url: str) -> bool:
        """True for what is below one of the places of `webhooks`.

        >>> settings = Settings(webhooks="https://a.org/hooks", webhook_secret="0123456789abcdef")
        >>> [settings.allows_webhook(f"https://a.org{path}") for path in ("/hooks/1", "/hooksy", "/hooks/../x")]
        [True, False, False]
        """
        return any(_is_below(url, place) for place in self.webhooks.split())

    def allows_bucket(self, url: str) -> bool:
        """True for what is below one of the places of `buckets`.

        >>> settings = Settings(buckets="s3://models/in")
        >>> settings.allows_bucket("s3://models/in/a.safetensors"), settings.allows_bucket("s3://models/a.safetensors")
        (True, False)
        """
        return any(_is_below(url, place) and "?" not in url for place in self.buckets.split())

    @property
    def storage_url(self) -> str:
        """Where files are kept: as set, or the default folder."""
        return self.storage or str(self.state / "storage")

    @property
    def keys_path(self) -> Path:
        """The file of the API's keys."""
        return Path(self.key_file).expanduser().absolute() if self.key_file else self.state / "keys.json"

    @property
    def needs_keys(self) -> bool:
        """True when every caller needs a key.

        >>> Settings(host="127.0.0.1").needs_keys, Settings(host="0.0.0.0").needs_keys
        (False, True)
        """
        return self.auth == "on" or (self.auth == "auto" and not _is_loopback(self.host))

    @property
    def scratch(self) -> Path:
        """Folder for the working files of jobs; beside the default storage, so that files can be linked, not copied."""
        return self.state / "scratch"

    @property
    def job_threads(self) -> int:
        """Threads of one job."""
        return self.threads or max(1, _cores() // self.workers)

    @property
    def heartbeat_seconds(self) -> float:
        """Time between signs of life: a third of the idle time, and short enough that a cancelled job stops at once."""
        return min(self.idle_seconds / 3, 0.25)


def knobs() -> dict[str, Knob]:
    """Every setting by name, in order: for reading them, for help texts and for the README."""
    hints = get_type_hints(Settings, include_extras=True)
    return {item.name: hints[item.name].__metadata__[0] for item in fields(Settings)}
