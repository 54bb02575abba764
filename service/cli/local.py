"""The work done here, by the engine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from tempfile import TemporaryFile
from typing import Any

import cabacus
from cabacus import Progress
from cabacus.inspection import Inspection, Verification
from cabacus.report import Curve, Report
from cabacus.service.cli.outcomes import CommandError
from cabacus.service.cli.streams import STANDARD, Output
from cabacus.service.cli.work import Task

_ENGINE_NAMES = {"lambda": "lam", "rule": "rules"}


class LocalWork:
    """Implements Work with the engine."""

    def compress(self, task: Task, output: Output, progress: Progress) -> Report:
        """Compress a model into `output`."""
        compressed = cabacus.compress(_model(task.source), **_arguments(task), progress=progress)
        with output.open() as file:
            file.write(compressed.data)
        return compressed.report

    def decompress(self, task: Task, output: Output, progress: Progress) -> None:
        """Decompress a model, or some of its tensors, into `output`."""
        source = _compressed(task.source)
        archive = cabacus.open(source, base=task.files.get("base"), threads=task.options.get("threads"))
        names = _chosen(archive.keys(), task.options.get("name"))
        kind = task.options["format"]
        if kind == "npy" and len(names) != 1:
            raise CommandError(f"npy holds exactly one tensor, these are {len(names)}; choose one with --name")
        progress(1, 2)
        with output.open() as file:
            if kind != "npz" or file.seekable():
                archive.write_to(file, names, kind=kind)
                return
            with TemporaryFile() as whole:  # a zip archive written to a pipe would have other bytes than a file
                archive.write_to(whole, names, kind=kind)
                whole.seek(0)
                shutil.copyfileobj(whole, file)

    def inspect(self, task: Task) -> Inspection:
        """What a compressed file says of itself."""
        return cabacus.inspect(_compressed(task.source), base=task.files.get("base"))

    def verify(self, task: Task) -> Verification:
        """Whether a compressed file is whole, and how far it is from its original."""
        against = task.files.get("against")
        original = None if against is None else _model(against)
        return cabacus.verify(_compressed(task.source), original, base=task.files.get("base"))

    def sweep(self, task: Task, progress: Progress) -> Curve:
        """Rate and distortion over S."""
        return cabacus.sweep(_model(task.source), **_arguments(task), progress=progress)


def _model(name: str) -> Any:
    """A model file as the engine takes it; standard input is read as a file of tensors."""
    return cabacus.read(sys.stdin.buffer) if name == STANDARD else name


def _compressed(name: str) -> str | bytes:
    return sys.stdin.buffer.read() if name == STANDARD else name


def _arguments(task: Task) -> dict[str, Any]:
    """Keyword arguments of the engine: its own names for the options, and the further files."""
    files = {role: _model(name) if name == STANDARD and role != "base" else name for role, name in task.files.items()}
    return {_ENGINE_NAMES.get(name, name): value for name, value in task.options.items()} | files


def _chosen(names: Sequence[str], globs: Sequence[str] | None) -> list[str]:
    if globs is None:
        return list(names)
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise CommandError(f"no tensor's name matches {glob!r}; `cabacus inspect` lists the names")
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]
