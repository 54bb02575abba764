"""What a caller prefers: to wait or not (RFC 7240), and one body with report and result or the result alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SPLIT = re.compile(r""",(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_QUALITY = re.compile(r"\s*q\s*=\s*([0-9.]+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Preference:
    """How long to wait for the job, in seconds; `applied` is the Preference-Applied header, if there is one."""

    wait: float
    applied: str | None


def read_preference(headers: Iterable[str], *, longest: float) -> Preference:
    """Read Prefer headers: `wait=N`, bounded by `longest`, and `respond-async`. What is malformed is ignored."""
    wait: float | None = None
    asynchronous = False
    for item in (item for header in headers for item in _SPLIT.split(header)):
        name, _, value = item.split(";")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"').strip()
        if name == "respond-async":
            asynchronous = True
        elif name == "wait" and wait is None and re.fullmatch(r"[0-9]{1,9}", value):
            wait = min(float(value), longest)
    if wait is None:
        return Preference(0.0, "respond-async" if asynchronous else None)
    return Preference(wait, f"wait={wait:g}" + (", respond-async" if asynchronous else ""))


def wants_mixed(headers: Iterable[str]) -> bool:
    """True when an Accept header names multipart/mixed, with a quality above zero."""
    for item in (item for header in headers for item in header.split(",")):
        media_type, *parameters = item.split(";")
        if media_type.strip().lower() == "multipart/mixed":
            return not any(_is_zero(parameter) for parameter in parameters)
    return False


def _is_zero(parameter: str) -> bool:
    match = _QUALITY.match(parameter)
    if match is None:
        return False
    try:
        return float(match.group(1)) == 0
    except ValueError:
        return False
