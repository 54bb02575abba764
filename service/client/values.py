"""Jobs, files and results as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

FINAL_STATES = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class File:
    """A file that the service holds: its length in bytes, SHA-256 in hex, media type, and the name it offers."""

    bytes: int
    sha256: str
    media_type: str
    name: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> File:
        """Read the service's form."""
        return cls(int(value["bytes"]), str(value["sha256"]), str(value["media_type"]), str(value["name"]))


@dataclass(frozen=True)
class Job:
    """A job as the service last showed it. `error` is its problem document, where it failed; times are in UTC.

    `progress` is a share between 0 and 1; `steps`, `tensors` and their uncompressed `bytes` are those done and in all,
    where the work counts them.
    """

    id: str
    kind: str
    state: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    expires: datetime | None
    progress: float
    steps: tuple[int, int] | None
    tensors: tuple[int, int] | None
    bytes: tuple[int, int] | None
    attempts: int
    priority: str
    options: dict[str, Any]
    input: dict[str, File]
    result: File | None
    report: File | None
    summary: dict[str, Any]
    error: dict[str, Any] | None

    @property
    def final(self) -> bool:
        """True once nothing will change any more."""
        return self.state in FINAL_STATES

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Job:
        """Read the service's form; names that this version does not know are passed over."""
        return cls(
            id=str(value["id"]),
            kind=str(value["kind"]),
            state=str(value["state"]),
            created=datetime.fromisoformat(value["created"]),
            started=_moment(value.get("started")),
            finished=_moment(value.get("finished")),
            expires=_moment(value.get("expires")),
            progress=float(value.get("progress", 0.0)),
            steps=_count(value.get("steps")),
            tensors=_count(value.get("tensors")),
            bytes=_count(value.get("bytes")),
            attempts=int(value.get("attempts", 0)),
            priority=str(value.get("priority", "interactive")),
            options=dict(value.get("options") or {}),
            input={role: File.from_json(file) for role, file in (value.get("input") or {}).items()},
            result=_file(value.get("result")),
            report=_file(value.get("report")),
            summary=dict(value.get("summary") or {}),
            error=value.get("error"),
        )


@dataclass(frozen=True)
class Base:
    """A stored base: the digest of its tensors, by which jobs name it, and its file: bytes, SHA-256, media type."""

    digest: str
    bytes: int
    sha256: str
    media_type: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Base:
        """Read the service's form."""
        return cls(str(value["digest"]), int(value["bytes"]), str(value["sha256"]), str(value["media_type"]))


@dataclass(frozen=True)
class Result:
    """What a job made: the bytes, the report, and the name and media type of the file. `job_id` finds it again."""

    data: bytes
    report: dict[str, Any]
    name: str
    media_type: str
    job_id: str

    @property
    def sha256(self) -> str:
        """The digest of the bytes, by which later work can name this result as its base."""
        return hashlib.sha256(self.data).hexdigest()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the bytes to a file, replacing it, and return its path."""
        target = Path(path)
        target.write_bytes(self.data)
        return target


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _count(value: Mapping[str, Any] | None) -> tuple[int, int] | None:
    return None if value is None else (int(value["done"]), int(value["total"]))


def _file(value: Mapping[str, Any] | None) -> File | None:
    return None if value is None else File.from_json(value)
