"""What can be sent, and how it becomes a request body: streamed from files, whole only where it is given so."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import IO, Any, TypeAlias

Source: TypeAlias = str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Mapping[str, Any]
"""A path, the bytes of a file, a binary file object, or a mapping of tensor names to arrays.

The path of a model may be that of an index of shards, or of a folder with one or with one safetensors file; or the URL
of one of these in a bucket (s3://, gs://, az://) from which the service fetches it.
"""
BUCKETS = ("s3://", "gs://", "az://")

CHUNK_BYTES = 1 << 20
_OCTETS = "application/octet-stream"


class Upload:
    """The files of a request, by part name. `replayable`: sending it again would send the same."""

    def __init__(self, files: Mapping[str, Source | None]) -> None:
        self._files: dict[str, Any] = {role: source for role, source in files.items() if source is not None}
        for role, source in self._files.items():
            _refuse(role, source)
        self._shards: list[Path] = []
        model = self._files.get("model")
        if isinstance(model, str | PathLike):
            self._files["model"], *self._shards = _files_of(model)
        self._files |= {role: whole(source) for role, source in self._files.items() if role != "model"}
        self._starts = {role: source.tell() for role, source in self._files.items() if _can_seek(source)}
        self.replayable = all(role in self._starts or not _is_file(source) for role, source in self._files.items())

    def arguments(self, stack: ExitStack, *, asynchronous: bool) -> dict[str, Any]:
        """Arguments for an httpx request: the model alone as a raw body, more files as a form.

        What is opened is closed by `stack`.
        """
        if not self._files:
            return {}
        if set(self._files) == {"model"} and not self._shards:
            return _raw(self._open("model", stack), asynchronous)
        parts = [(role, self._part(role, stack)) for role in self._files]
        parts += [("shard", (shard.name, stack.enter_context(shard.open("rb")), _OCTETS)) for shard in self._shards]
        return {"files": parts}

    def _open(self, role: str, stack: ExitStack) -> bytes | IO[bytes]:
        source = self._files[role]
        if isinstance(source, bytes | bytearray | memoryview):
            return bytes(source)
        if isinstance(source, Mapping):
            return stack.enter_context(open(_written(source, stack), "rb"))
        if isinstance(source, str | PathLike):
            return stack.enter_context(open(source, "rb"))
        if role in self._starts:
            source.seek(self._starts[role])
        file: IO[bytes] = source
        return file

    def _part(self, role: str, stack: ExitStack) -> tuple[str, Any, str]:
        source, content = self._files[role], self._open(role, stack)
        name = Path(source).name if isinstance(source, str | PathLike) else role
        return name, _Reader(content) if _is_file(source) else content, _OCTETS


def whole(source: Source) -> Source:
    """What is sent where only one file is taken: of a checkpoint in several files its tensors, else the source."""
    if not isinstance(source, str | PathLike):
        return source
    path, *shards = _files_of(source)
    if not shards:
        return path
    import cabacus

    return cabacus.read(path)


def _refuse(role: str, source: object) -> None:
    """Refuse what is no Source: iterables, tensors among them, would be sent as if they were pieces of a file."""
    if isinstance(source, str | PathLike | bytes | bytearray | memoryview | Mapping) or _is_file(source):
        return
    kind = type(source).__name__
    if hasattr(source, "state_dict"):
        raise TypeError(f"{role} is a {kind}; pass its weights, {role}.state_dict()")
    raise TypeError(f"{role} is a {kind}; pass a path, bytes, a binary file, or a mapping of tensor names to arrays")


class _Reader:
    """A file object from where it stands; httpx would take the length of the whole file."""

    def __init__(self, file: Any) -> None:
        self.read = file.read


def _files_of(path: str | PathLike[str]) -> list[Path]:
    """The path itself, or the files of a checkpoint: an index and its shards."""
    from cabacus.files.checkpoint import files_of, is_checkpoint

    return files_of(path) if is_checkpoint(path) else [Path(path)]


def _is_file(source: object) -> bool:
    return hasattr(source, "read")


def _can_seek(source: Any) -> bool:
    return _is_file(source) and bool(getattr(source, "seekable", lambda: False)())


def _written(tensors: Mapping[str, Any], stack: ExitStack) -> Path:
    """Write arrays to a temporary safetensors file."""
    import cabacus

    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cabacus-"))
    path = Path(folder, "model.safetensors")
    cabacus.write(path, tensors)
    return path


def _raw(content: bytes | IO[bytes], asynchronous: bool) -> dict[str, Any]:
    headers = {"Content-Type": _OCTETS}
    if isinstance(content, bytes):
        return {"content": content, "headers": headers}
    if _can_seek(content):
        here = content.tell()
        headers["Content-Length"] = str(content.seek(0, 2) - here)
        content.seek(here)
    return {"content": _async_chunks(content) if asynchronous else _chunks(content), "headers": headers}


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


async def _async_chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    for chunk in _chunks(file):
        yield chunk
