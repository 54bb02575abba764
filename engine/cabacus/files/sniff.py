"""Telling kinds of files apart by their first bytes, and refusing the others helpfully."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cabacus.errors import TruncatedError, UnsupportedError

__all__ = ["PICKLE_REMEDY", "SNIFF_BYTES", "Kind", "is_compressed", "refusal", "sniff"]

Kind: TypeAlias = Literal["safetensors", "npz", "npy"]

SNIFF_BYTES = 512
"""As many first bytes tell every kind."""

PICKLE_REMEDY = (
    "pickles can run code when they are loaded and are never read here; convert it where you trust it: "
    "safetensors.torch.save_file(torch.load('model.pt', weights_only=True), 'model.safetensors')"
)
_MAGIC = b"\xabCBC"
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, _MAGIC, "a compressed file of cabacus; decompress it first"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"\x89HDF", "an HDF5 file (Keras); store its weights with numpy.savez"),
    (4, b"TFL3", "a TFLite model; store its weights with numpy.savez"),
    (0, b"\x1f\x8b", "a gzip file; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file; unpack it first"),
    (0, b"BZh", "a bzip2 file; unpack it first"),
    (0, b"\xfd7zXZ", "an xz file; unpack it first"),
    (257, b"ustar", "a tar archive; unpack it first"),
)


def sniff(data: bytes | bytearray | memoryview) -> Kind | None:
    """Return the kind of a tensor file from its first bytes (SNIFF_BYTES are enough), or None.

    >>> sniff(bytes.fromhex("934e554d5059"))
    'npy'
    """
    head = bytes(data[:SNIFF_BYTES])
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None if _first_member(head).endswith(b".pkl") else "npz"
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        return "safetensors"
    return None


def is_compressed(data: bytes | bytearray | memoryview) -> bool:
    """Return whether data begins as a compressed file of cabacus does (FORMAT 2).

    >>> is_compressed(bytes.fromhex("ab434243")), is_compressed(b"GGUF")
    (True, False)
    """
    return bytes(data[: len(_MAGIC)]) == _MAGIC


def refusal(data: bytes | bytearray | memoryview) -> UnsupportedError | TruncatedError:
    """Return the error that says what the data seems to be, if it is no tensor file."""
    head = bytes(data[:SNIFF_BYTES])
    if not head:
        return TruncatedError("the file is empty")
    if _first_member(head).endswith(b".pkl"):
        return UnsupportedError(f"this is a PyTorch checkpoint; {PICKLE_REMEDY}")
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return UnsupportedError(f"this is a pickle; {PICKLE_REMEDY}")
    for offset, magic, what in _OTHERS:
        if head[offset:].startswith(magic):
            return UnsupportedError(f"this is {what}; tensors are read from safetensors, npz and npy")
    return UnsupportedError("this is no tensor file; tensors are read from safetensors, npz and npy")


def _first_member(head: bytes) -> bytes:
    """The name of a zip's first member, or nothing."""
    if not head.startswith(b"PK\x03\x04"):
        return b""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")]
