"""Which file format an upload has, by its first bytes; names and media types of formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cabacus.service.errors import ServiceError

HEAD_BYTES = 512
"""How much of a file `sniff` wants to see: enough for the name of a zip archive's first member."""

CABACUS_MAGIC = b"\xabCBC"
"""The first bytes of a compressed model; engine/FORMAT.md, "Preamble"."""


@dataclass(frozen=True)
class Format:
    """A file format: the file name extension, its media type, and whether it is a model as a framework stores it."""

    extension: str
    media_type: str
    holds_tensors: bool


CABACUS = Format("cabac", "application/vnd.cabacus", holds_tensors=False)
SAFETENSORS = Format("safetensors", "application/vnd.safetensors", holds_tensors=True)
NPZ = Format("npz", "application/vnd.numpy.npz", holds_tensors=True)
NPY = Format("npy", "application/vnd.numpy.npy", holds_tensors=True)
INDEX = Format("json", "application/json", holds_tensors=False)
"""Says which tensor of a sharded checkpoint is in which of its files."""

_SAVE_AS_SAFETENSORS = (
    "loading it could run code hidden in it, so it is refused; "
    "save the weights with safetensors.torch.save_file(model.state_dict(), 'model.safetensors') and send that"
)
_SEND_ANOTHER = "send safetensors, npz or npy"

_FOREIGN: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (lambda head: head[:1] == b"\x80" and b"\x02" <= head[1:2] <= b"\x05", "a Python pickle", _SAVE_AS_SAFETENSORS),
    (
        lambda head: head[:2] == b"PK" and b"/" in _zip_member(head),
        "a PyTorch or other zip archive",
        _SAVE_AS_SAFETENSORS,
    ),
    (lambda head: head[:2] == b"PK", "a zip archive, but no npz", _SEND_ANOTHER),
    (lambda head: head.startswith(b"\x89HDF\r\n\x1a\n"), "an HDF5 file", _SEND_ANOTHER),
    (lambda head: head.startswith(b"GGUF"), "a GGUF file", _SEND_ANOTHER),
    (lambda head: head.startswith(b"\x1f\x8b"), "a gzip file", "unpack it and send what is in it"),
    (lambda head: head.startswith(b"\x28\xb5\x2f\xfd"), "a zstd file", "unpack it and send what is in it"),
)


def sniff(head: bytes) -> Format:
    """The format of a file that begins with `head` (its first HEAD_BYTES, or all of it).

    Raises ServiceError `unsupported_format`, with the way out for files that people do have: pickles, torch archives.
    """
    if head.startswith(CABACUS_MAGIC):
        return CABACUS
    if head.startswith(b"\x93NUMPY"):
        return NPY
    if head.startswith(b"PK\x05\x06"):  # an empty archive
        return NPZ
    if head.startswith(b"PK\x03\x04") and (_zip_member(head) or b".npy").endswith(b".npy"):
        return NPZ
    if len(head) >= 9 and head[8:9] == b"{":  # a 64-bit length, then the JSON header
        return SAFETENSORS
    if head.lstrip()[:1] == b"{":
        return INDEX
    for matches, kind, advice in _FOREIGN:
        if matches(head):
            raise ServiceError("unsupported_format", f"this is {kind}: {advice}")
    raise ServiceError(
        "unsupported_format",
        f"these bytes are no known file (they begin with {head[:8].hex(' ')}); "
        "send safetensors, npz or npy, or a compressed model where one is expected",
    )


def _zip_member(head: bytes) -> bytes:
    """The name of a zip archive's first member; nothing when it is longer than `head`."""
    stop = 30 + int.from_bytes(head[26:28], "little")
    return head[30:stop] if stop <= len(head) else b""
