"""From the JSON documents of the service back to the engine's values, for the same tables from afar as from here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from cabacus.inspection import Inspection, TensorInspection, TensorVerification, Verification
from cabacus.options import Target
from cabacus.report import Curve, CurvePoint, Report, TensorReport

Document = Mapping[str, Any]
T = TypeVar("T")


def report(document: Document) -> Report:
    """A report of compression."""
    rows = tuple(_value(TensorReport, row) for row in document["tensors"])
    return _value(Report, document, tensors=rows, target=_value(Target, document["target"]))


def inspection(document: Document) -> Inspection:
    """What a compressed file says of itself."""
    return _value(Inspection, document, tensors=tuple(_value(TensorInspection, row) for row in document["tensors"]))


def verification(document: Document) -> Verification:
    """A verdict on a compressed file."""
    rows = []
    for row in document["tensors"]:
        snr_db = math.inf if row.get("exact") else row.get("snr_db")
        rows.append(_value(TensorVerification, row, snr_db=snr_db))
    return _value(Verification, document, tensors=tuple(rows))


def curve(document: Document) -> Curve:
    """The points of a sweep."""
    return _value(Curve, document, points=tuple(_value(CurvePoint, point) for point in document["points"]))


def _value(kind: type[T], document: Document, **changes: Any) -> T:
    """An instance from the fields that the document has; names that this version does not know are passed over."""
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # each kind is a dataclass
        name = "lambda" if field.name == "lam" else field.name
        if name in document:
            values[field.name] = _restored(field.name, document[name])
    return kind(**(values | changes))


def _restored(name: str, value: Any) -> Any:
    """JSON has neither infinity nor tuples."""
    if value is None and name in ("snr_db", "plain_snr_db"):
        return math.inf
    return tuple(value) if isinstance(value, list) else value
