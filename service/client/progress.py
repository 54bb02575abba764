"""Shows how far a job is: by a function of the caller's, or as a bar on the terminal (rich)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from cabacus.service.client.values import Job

Progress: TypeAlias = bool | Callable[[Job], object] | None
"""True: a bar on standard error. A function: it is called with the job at each change. None, False: nothing."""


@contextmanager
def shown(progress: Callable[[Job], object] | bool) -> Iterator[Callable[[Job], object]]:
    """A function to be called with the job at each change. Raises ModuleNotFoundError where rich is not installed."""
    if callable(progress):
        yield progress
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a progress bar needs the package rich: pip install 'cabacus[progress]'", name=error.name
        ) from error
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("sending", total=1.0, counts="")

        def show(job: Job) -> None:
            bars.update(task, description=f"{job.kind}: {job.state}", completed=job.progress, counts=counts_of(job))

        yield show


def counts_of(job: Job) -> str:
    """How far a job is, in words: by tensors and bytes, or by steps, or nothing where it does not count them."""
    if job.tensors is None or job.bytes is None:
        return f"{job.steps[0]}/{job.steps[1]}" if job.steps else ""
    return f"{job.tensors[0]}/{job.tensors[1]} tensors, {job.bytes[0] / 1e6:.1f}/{job.bytes[1] / 1e6:.1f} MB"
