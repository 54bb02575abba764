"""How the service's processes log: one line an event, on standard error, as text or as JSON, with whose event it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_bound: ContextVar[dict[str, str]] = ContextVar("bound", default={})  # noqa: B039  # never changed, only replaced


@contextmanager
def bound(**names: str) -> Iterator[None]:
    """Say in every line logged within what it is about: `with bound(job=job.id):`. Tasks started within say it too.

    >>> with bound(job="5f0c"):
    ...     with bound(request="a1"):
    ...         current()
    {'job': '5f0c', 'request': 'a1'}
    """
    token = _bound.set(_bound.get() | {name: value for name, value in names.items() if value})
    try:
        yield
    finally:
        _bound.reset(token)


def note(**names: str) -> None:
    """The same for the rest of this task."""
    _bound.set(_bound.get() | {name: value for name, value in names.items() if value})


def current() -> dict[str, str]:
    """What lines logged here are about."""
    return dict(_bound.get())


def configure_logs(level: str, form: str = "text") -> None:
    """Log messages of at least this level, as `text` or `json`; libraries speak up from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("cabacus").setLevel(level.upper())


class _Text(logging.Formatter):
    """A line for people."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, and what it is about in brackets."""
        names = {**current(), **_fields(record)}
        about = " ".join(f"{name}={value}" for name, value in names.items())
        return super().formatMessage(record) + (f" [{about}]" if about else "")


class _Json(logging.Formatter):
    """A line for programs: an object with time, level, logger, message, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **current(),
            **_fields(record),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was logged with `extra={"fields": {...}}`."""
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields
