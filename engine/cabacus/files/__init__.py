"""Tensor files: safetensors, npz and npy, read and written natively; pickles never.

Names, order, element types, shapes and metadata survive a round trip through safetensors and npz. npy holds one array
and neither name nor metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cabacus.files.sniff import SNIFF_BYTES, Kind, sniff
from cabacus.lazy import lazily

if TYPE_CHECKING:
    from cabacus.files.sink import atomic_writer
    from cabacus.files.source import Source, open_buffer
    from cabacus.files.tensors import Tensors
    from cabacus.files.whole import parse, read, write, write_to

__all__ = [
    "SNIFF_BYTES",
    "Kind",
    "Source",
    "Tensors",
    "atomic_writer",
    "open_buffer",
    "parse",
    "read",
    "sniff",
    "write",
    "write_to",
]

_HOMES = {
    "sink": ("atomic_writer",),
    "source": ("Source", "open_buffer"),
    "tensors": ("Tensors",),
    "whole": ("parse", "read", "write", "write_to"),
}
"""The names of each module. `sniff` is not among them: the module, once imported, would take the function's place."""

if not TYPE_CHECKING:  # a checker that saw this would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
