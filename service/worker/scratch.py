"""A worker's folder for working files: its own, and gone afterwards even if the worker is killed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root`, removed at the end; those of workers that were killed are removed at the start."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    _remove_abandoned(root)
    folder = Path(tempfile.mkdtemp(prefix="worker-", dir=root))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    """A folder whose lock is free has lost its worker."""
    for folder in root.glob("worker-*"):
        try:
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, or just being made
            continue
