"""What the commands ask for, whoever does it: the engine here (local), or a service elsewhere (remote)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cabacus import Progress
from cabacus.inspection import Inspection, Verification
from cabacus.report import Curve, Report
from cabacus.service.cli.streams import Output


@dataclass(frozen=True)
class Task:
    """One piece of work: the file, further files by role (sigma, importance, base, against), and the options.

    Files are paths or `-`; options go by their names in the API, and only those that were given are there.
    """

    source: str
    files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """The five kinds of work."""

    def compress(self, task: Task, output: Output, progress: Progress) -> Report:
        """Compress a model into `output`."""

    def decompress(self, task: Task, output: Output, progress: Progress) -> None:
        """Decompress a model, or some of its tensors, into `output`."""

    def inspect(self, task: Task) -> Inspection:
        """What a compressed file says of itself."""

    def verify(self, task: Task) -> Verification:
        """Whether a compressed file is whole, and how far it is from its original."""

    def sweep(self, task: Task, progress: Progress) -> Curve:
        """Rate and distortion over S."""
