"""A progress that remembers, for tests."""

from __future__ import annotations

import cabacus


class Heard(cabacus.Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.seen: list[tuple[int, int, int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.steps.append((done, total))

    def tensors(self, done: int, total: int, done_bytes: int, total_bytes: int) -> None:
        self.seen.append((done, total, done_bytes, total_bytes))
