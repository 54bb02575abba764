"""Where a command's bytes come from and go to: paths, or `-` for standard input and output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cabacus.files import atomic_writer
from cabacus.service.cli.outcomes import FileProblem, UsageError

STANDARD = "-"


def check_inputs(*names: str | None, folders: bool = False) -> None:
    """Raise UsageError if standard input is to be read twice or is a terminal; FileProblem for files that are not.

    With `folders`, the first may be a folder: a checkpoint in several files.
    """
    given = [name for name in names if name is not None]
    if given.count(STANDARD) > 1:
        raise UsageError("standard input (-) can be only one of the inputs; give the others as files")
    if STANDARD in given and sys.stdin.isatty():
        raise UsageError("standard input is a terminal; pipe a file into it, or name a file instead of -")
    for place, name in enumerate(given):
        if name != STANDARD and not Path(name).exists():
            raise FileProblem(f"{name}: there is no such file")
        if Path(name).is_dir() and not (folders and place == 0):
            raise FileProblem(f"{name} is a folder; name a file")


@dataclass(frozen=True)
class Output:
    """Where a result goes. `path` is None for standard output."""

    path: Path | None

    @classmethod
    def of(cls, name: str, *, force: bool, binary: bool = True) -> Output:
        """Check the name before any work is done for it.

        Raises UsageError for bytes to a terminal; FileProblem for a file that is there already, without `force`, and
        for one that cannot be made.
        """
        if name == STANDARD:
            if binary and sys.stdout.isatty():
                raise UsageError("the result is binary and standard output is a terminal; give -o FILE, or a pipe")
            return cls(None)
        path = Path(name)
        if path.is_dir():
            raise FileProblem(f"{name} is a folder; name a file")
        if path.is_file() and not force:
            raise FileProblem(f"{name} is there already; --force overwrites it")
        if not path.parent.is_dir():
            raise FileProblem(f"{name}: there is no folder {path.parent}")
        return cls(path)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """A file for writing; at a path it appears when the block ends without an error, whole or not at all."""
        if self.path is None:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with atomic_writer(self.path) as file:
                yield file

    def write_text(self, text: str) -> None:
        """Write a text, ended by a newline."""
        with self.open() as file:
            file.write(text.encode() + b"\n")
