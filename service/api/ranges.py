"""Conditional and range requests (RFC 9110, sections 13 and 14) against a body that never changes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """Bytes [start, stop) of a body of `size` bytes."""

    start: int
    stop: int
    size: int

    @property
    def content_range(self) -> str:
        """The Content-Range header of this part."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


class Unsatisfiable(Exception):
    """The range lies outside the body of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside the {size} bytes that there are")
        self.size = size


def matches(if_none_match: str | None, etag: str) -> bool:
    """True when the caller has this body already (If-None-Match, weak comparison)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags


def read_range(header: str | None, if_range: str | None, *, etag: str, size: int) -> Span | None:
    """The one range that is asked for; None: send everything.

    Several ranges, other units, nonsense and an If-Range that does not hold are answered with everything, as the RFC
    allows. Raises Unsatisfiable.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = (int(text[:20]) if text else None for text in match.groups())
    if first is None:  # the last N bytes
        if not last or not size:
            raise Unsatisfiable(size)
        return Span(max(size - last, 0), size, size)
    if last is not None and last < first:
        return None
    if first >= size:
        raise Unsatisfiable(size)
    return Span(first, size if last is None else min(last + 1, size), size)
