"""JSON documents come back as the values that they were made from, tables and all."""

from __future__ import annotations

import json
import math

import pytest

from cabacus.inspection import Inspection, TensorInspection, TensorVerification, Verification
from cabacus.options import Target
from cabacus.report import Curve, CurvePoint, Report, TensorReport
from cabacus.service.cli import documents
from cabacus.service.cli.plot import svg

LOSSY = TensorReport(
    name="fc.weight",
    dtype="float32",
    shape=(20, 30),
    coding="levels",
    parameters=600,
    nonzero=500,
    bytes=300,
    original_bytes=2400,
    lossy=True,
    entropy_bits_per_weight=3.9,
    step=0.1,
    lam=0.25,
    s=3,
    mse=1e-4,
    weighted_distortion=0.06,
    snr_db=30.5,
    max_abs_error=0.05,
    seconds=0.1,
)
EXACT = TensorReport(
    name="fc.bias",
    dtype="float32",
    shape=(20,),
    coding="raw",
    parameters=20,
    nonzero=20,
    bytes=80,
    original_bytes=80,
)
POINTS = tuple(
    CurvePoint(
        s=s, steps={"w": 0.1}, bytes=100 - s, bits_per_weight=4 - s / 8, snr_db=snr, weighted_distortion=s, score=None
    )
    for s, snr in ((0, math.inf), (8, 30.0), (16, 25.0))
)
REPORTS = [
    Report(tensors=(LOSSY, EXACT), bytes=400, original_bytes=2480, target=Target("ratio", 6.0), snr_db=30.5, lam=0.25),
    Report(
        tensors=(EXACT,), bytes=90, original_bytes=80, target=Target("snr_db", 40.0, chosen=False), notes=("a", "b")
    ),
]
ROW = TensorInspection(
    name="w",
    dtype="int8",
    shape=(),
    coding="raw",
    parameters=1,
    bytes=1,
    original_bytes=1,
    alias="v",
    delta=True,
    details={"n": 4},
)
VERDICTS = [
    Verification(bytes=10, error="cut"),
    Verification(bytes=10, tensors=(TensorVerification(name="w", dtype="int8", shape=(2,)),)),
    Verification(
        bytes=10,
        compared=True,
        tensors=(
            TensorVerification(
                name="w", dtype="int8", shape=(2,), exact=True, mse=0.0, snr_db=math.inf, max_abs_error=0.0
            ),
            TensorVerification(
                name="v", dtype="int8", shape=(2,), exact=False, mse=1.0, snr_db=20.0, max_abs_error=1.0
            ),
            TensorVerification(name="u", dtype="int8", shape=(2,), error="its shape was (3,)"),
        ),
    ),
]


@pytest.mark.parametrize("value", REPORTS)
def test_reports_come_back(value: Report) -> None:
    assert documents.report(json.loads(json.dumps(value.to_json()))) == value


@pytest.mark.parametrize("value", VERDICTS)
def test_verdicts_come_back(value: Verification) -> None:
    assert documents.verification(json.loads(json.dumps(value.to_json()))) == value


def test_inspections_come_back() -> None:
    value = Inspection(version=1, bytes=64, header_bytes=32, tensors=(ROW,), metadata={"a": "b"}, base="00ff")
    assert documents.inspection(json.loads(json.dumps(value.to_json()))) == value


def test_curves_come_back_and_are_drawn() -> None:
    value = Curve(points=POINTS, best_s=8, criterion="bytes < 100 & score")
    assert documents.curve(json.loads(json.dumps(value.to_json()))) == value
    assert "bytes &lt; 100 &amp; score" in svg(value)
    assert svg(Curve(points=POINTS[:1], best_s=0, criterion="bytes")).count("<circle") == 1


def test_names_of_a_later_version_are_passed_over() -> None:
    document = REPORTS[0].to_json() | {"invented": 1}
    assert documents.report(document) == REPORTS[0]
