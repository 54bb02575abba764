"""Plain-text tables and figures for people, and the JSON form of figures for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

__all__ = [
    "COLUMNS",
    "align",
    "count",
    "dtype",
    "figure",
    "finite",
    "identity",
    "plain",
    "rate",
    "shape",
    "shorten",
    "size",
]

COLUMNS = 100
"""The width that tables keep to, as far as their narrow columns allow."""


def align(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int, totals: Sequence[str] = ()) -> str:
    """Return an aligned table: the first `left` columns to the left, the rest to the right, totals below a rule.

    Where the table would be wider than COLUMNS, the cells of the first column are shortened.

    >>> print(align(["name", "bytes"], [["fc1", "10"], ["fc2", "200"]], left=1, totals=["total", "210"]))
    name   bytes
    fc1       10
    fc2      200
    ------------
    total    210
    """
    body = [list(row) for row in rows]
    lines = [list(header), *body, *([list(totals)] if totals else [])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    excess = sum(widths) + 2 * (len(widths) - 1) - COLUMNS
    if excess > 0:
        widths[0] = min(widths[0], max(widths[0] - excess, 12))
        lines = [[shorten(line[0], widths[0]), *line[1:]] for line in lines]
    text = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    if totals:
        text.insert(-1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(text)


def shorten(text: str, width: int) -> str:
    """Return the text on one line, its middle left out where it is wider than `width`; tails tell names apart.

    >>> shorten("encoder.layers.11.attention.query.weight", 24)
    'encoder...n.query.weight'
    """
    line = "".join(character if character.isprintable() else "?" for character in text)
    if len(line) <= width:
        return line
    head = (width - 3) // 3
    return line[:head] + "..." + line[len(line) - (width - 3 - head) :]


def size(value: float) -> str:
    """Return bytes in decimal units: 1067312 is '1.07 MB'.

    >>> size(999), size(1067312)
    ('999 B', '1.07 MB')
    """
    return _scaled(value, ("B", "kB", "MB", "GB", "TB", "PB"), " ")


def count(value: float) -> str:
    """Return a count with a suffix: 266610 is '267k'.

    >>> count(10), count(266610)
    ('10', '267k')
    """
    return _scaled(value, ("", "k", "M", "G", "T", "P"), "")


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals, or in scientific form if it is tiny or huge; None is '-'.

    >>> figure(31.337), figure(0.00012), figure(math.inf), figure(None)
    ('31.34', '1.20e-04', 'exact', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "exact" if value > 0 else "-inf"
    if value and not 10.0**-digits <= abs(value) < 1e6:
        return f"{value:.{digits}e}"
    return f"{value:.{digits}f}"


def shape(sizes: Sequence[int]) -> str:
    """Return a shape as short text.

    >>> shape((300, 784)), shape(())
    ('300x784', '()')
    """
    return shorten("x".join(map(str, sizes)) or "()", 12)


def rate(size: int, weights: int) -> float:
    """Return the bits per weight of so many bytes; 0 without weights.

    >>> rate(100, 400)
    2.0
    """
    return 8 * size / weights if weights else 0.0


class _Row(Protocol):
    """What rows of reports and of inspections have in common."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def coding(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def bytes(self) -> int: ...


def identity(row: _Row) -> list[str]:
    """Return the cells with which a tensor's row begins: name, dtype, shape, coding, weights, size."""
    name = shorten(row.name, COLUMNS)
    return [name, dtype(row.dtype), shape(row.shape), row.coding, count(row.parameters), size(row.bytes)]


def plain(value: Any, *properties: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields of a slotted dataclass, and some of its properties, as JSON values under their JSON names."""
    names = [name for name in value.__slots__ if name not in without]
    return {"lambda" if name == "lam" else name: finite(getattr(value, name)) for name in (*names, *properties)}


def dtype(name: str) -> str:
    """Return an element type in short: 'float32' is 'f32', 'bfloat16' is 'bf16'.

    >>> dtype("float8_e4m3fn"), dtype("uint8")
    ('f8_e4m3fn', 'u8')
    """
    for long, short in (("complex", "c"), ("float", "f"), ("uint", "u"), ("int", "i")):
        name = name.replace(long, short)
    return name


def finite(value: Any) -> Any:
    """Return `value` ready for JSON: floats that JSON lacks become None, tuples lists; containers are copied.

    >>> finite({"snr_db": math.inf, "shape": (2, 3)})
    {'snr_db': None, 'shape': [2, 3]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _scaled(value: float, units: Sequence[str], space: str) -> str:
    scaled, unit = float(value), 0
    while abs(scaled) >= 999.5 and unit < len(units) - 1:
        scaled, unit = scaled / 1000, unit + 1
    digits = f"{scaled:.0f}" if unit == 0 else f"{scaled:#.3g}".rstrip(".")
    return f"{digits}{space}{units[unit]}"
