"""Limits on untrusted data, checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from cabacus.errors import InputError, LimitError

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file or bitstream may ask for. All counts are inclusive maxima.

    >>> limits = Limits(tensors=10)
    >>> limits.check("tensors", 11)
    Traceback (most recent call last):
    cabacus.errors.LimitError: 11 tensors exceed the limit of 10; raise Limits(tensors=...) if you trust the data
    """

    tensors: int = 1 << 20
    """Tensors in a file."""
    rank: int = 32
    """Dimensions of a tensor."""
    name_bytes: int = 4096
    """Bytes of a tensor's name, in UTF-8."""
    elements: int = 1 << 34
    """Elements of a tensor; dimensions of size 0 count as 1, so that the others stay sane."""
    total_elements: int = 1 << 36
    """Elements of all tensors together."""
    header_bytes: int = 1 << 24
    """Bytes of a header: names, shapes, metadata."""
    output_bytes: int = 1 << 36
    """Bytes of all decoded tensors together."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"limit {item.name} is {value!r}; pass a count of 0 or more", field=item.name)

    def check(self, limit: str, value: int, *, tensor: str | None = None) -> None:
        """Raise LimitError if `value` exceeds the limit of that name."""
        allowed: int = getattr(self, limit)
        if value > allowed:
            subject = "" if tensor is None else f"tensor {tensor!r}: "
            raise LimitError(
                f"{subject}{value} {_UNITS[limit]} exceed the limit of {allowed}; "
                f"raise Limits({limit}=...) if you trust the data",
                tensor=tensor,
                limit=limit,
            )

    def check_shape(self, shape: Sequence[int], *, tensor: str | None = None) -> int:
        """Return the number of elements of `shape`; raise LimitError if its rank or its extent exceeds the limits.

        >>> DEFAULT_LIMITS.check_shape((3, 4))
        12
        """
        self.check("rank", len(shape), tensor=tensor)
        extent = 1
        for size in shape:
            extent *= max(size, 1)
            self.check("elements", extent, tensor=tensor)
        return 0 if 0 in shape else extent


_UNITS = {
    "tensors": "tensors",
    "rank": "dimensions",
    "name_bytes": "bytes of name",
    "elements": "elements",
    "total_elements": "elements in all",
    "header_bytes": "bytes of header",
    "output_bytes": "bytes of output",
}

DEFAULT_LIMITS = Limits()
"""Generous for models of today, small enough that a hostile header cannot ask for terabytes."""
