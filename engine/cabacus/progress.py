"""Progress: how far work on a model is, in steps, in tensors and in their bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

__all__ = ["Progress", "Tally"]


class Progress:
    """A `progress` that hears of tensors and bytes too: pass an instance of a class made from this one, or a function.

    Its methods are called from any thread.

    >>> class Shown(cabacus.Progress):
    ...     def tensors(self, done, total, done_bytes, total_bytes):
    ...         print(f"{done} of {total} tensors, {done_bytes} of {total_bytes} bytes")
    >>> compressed = cabacus.compress({"a": np.ones(4), "b": np.eye(2, dtype=np.float32)}, step=0.5, progress=Shown())
    1 of 2 tensors, 32 of 48 bytes
    2 of 2 tensors, 48 of 48 bytes
    """

    def __call__(self, done: int, total: int) -> object:
        """So many steps are done, of so many."""
        return None

    def tensors(self, done: int, total: int, done_bytes: int, total_bytes: int) -> object:
        """So many tensors are done, of so many; in bytes, uncompressed, so many of so many."""
        return None


class Tally:
    """Counts the tensors of a model that are done, each once, and tells a `Progress`; other callbacks hear nothing.

    `sizes` has the bytes of each tensor. `aliases` names for some of them the tensor with which they are done.
    """

    def __init__(
        self,
        report: Callable[[int, int], object] | None,
        sizes: Mapping[str, int],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._report = report if isinstance(report, Progress) else None
        self._with: dict[str, list[int]] = {}
        for name, size in sizes.items():
            self._with.setdefault((aliases or {}).get(name, name), []).append(size)
        self._total, self._total_bytes = len(sizes), sum(sizes.values())
        self._done, self._done_bytes = 0, 0
        self._told = False
        self._lock = threading.Lock()

    def done(self, names: Iterable[str]) -> None:
        """These are done, and what is done with them; each counts once. A first call with none tells the totals."""
        with self._lock:
            sizes = [size for name in names for size in self._with.pop(name, ())]
            self._done += len(sizes)
            self._done_bytes += sum(sizes)
            if self._report is not None and (sizes or not self._told):
                self._told = True
                self._report.tensors(self._done, self._total, self._done_bytes, self._total_bytes)

    def finish(self) -> None:
        """All are done."""
        self.done(list(self._with))
