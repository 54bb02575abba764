"""Where bytes go: a path, written whole or not at all, or a file object."""

from __future__ import annotations

import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

__all__ = ["atomic_writer", "buffered"]


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open `path` for writing; the file appears there, whole and synced, when the block ends without an error.

    The bytes go to a temporary file beside it, which replaces what was there; after an error nothing is left. A link is
    followed. What is no regular file (a pipe, /dev/stdout) is written to directly.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_writer(folder + "/model.bin") as file:
    ...         _ = file.write(b"weights")
    ...     os.listdir(folder)
    ['model.bin']
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with open(target, "wb") as file:
            yield file
        return
    # The name stays short of the file system's limit however long the target's is.
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def buffered(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file whose `write` takes everything: raw files, which may take a part, are buffered meanwhile."""
    if not isinstance(file, io.RawIOBase):
        yield file
        return
    writer = io.BufferedWriter(file)
    try:
        yield cast(BinaryIO, writer)
        writer.flush()
    finally:
        writer.detach()
