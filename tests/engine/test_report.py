"""Reports: the settled keys, totals that follow from the rows, JSON without infinities, tables that fit."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from cabacus import tables
from cabacus.inspection import Inspection, TensorInspection, TensorVerification, Verification
from cabacus.options import Target
from cabacus.report import Curve, CurvePoint, Report, TensorReport

ROW_KEYS = [
    "name",
    "dtype",
    "shape",
    "coding",
    "parameters",
    "nonzero",
    "bytes",
    "original_bytes",
    "bits_per_weight",
    "entropy_bits_per_weight",
    "step",
    "lambda",
    "s",
    "mse",
    "weighted_distortion",
    "snr_db",
    "max_abs_error",
    "seconds",
]
TOTAL_KEYS = [key for key in ROW_KEYS if key not in ("name", "dtype", "shape", "coding")]


def lossy(name: str = "fc.weight", **changes: Any) -> TensorReport:
    values: dict[str, Any] = {
        "name": name,
        "dtype": "float32",
        "shape": (10, 20),
        "coding": "levels",
        "parameters": 200,
        "nonzero": 50,
        "bytes": 100,
        "original_bytes": 800,
        "lossy": True,
        "entropy_bits_per_weight": 3.5,
        "step": 0.01,
        "lam": 0.1,
        "s": 7,
        "mse": 1e-4,
        "weighted_distortion": 2.0,
        "snr_db": 30.0,
        "max_abs_error": 0.05,
        "seconds": 0.1,
    }
    return TensorReport(**values | changes)


def exact(name: str = "fc.bias", **changes: Any) -> TensorReport:
    values: dict[str, Any] = {
        "name": name,
        "dtype": "float32",
        "shape": (10,),
        "coding": "raw",
        "parameters": 10,
        "nonzero": 10,
        "bytes": 40,
        "original_bytes": 40,
    }
    return TensorReport(**values | changes)


def report(*rows: TensorReport, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "tensors": rows,
        "bytes": 210,
        "original_bytes": 840,
        "target": Target("snr_db", 30.0),
        "snr_db": 30.01,
        "plain_snr_db": 29.5,
        "seconds": 0.25,
    }
    return Report(**values | changes)


def test_json_has_the_settled_keys_and_no_infinities() -> None:
    document = report(lossy(), exact()).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(ROW_KEYS) <= document["tensors"][0].keys()
    assert {*TOTAL_KEYS, "ratio", "lossy_bits_per_weight", "target"} <= document.keys()
    assert document["tensors"][0]["lambda"] == 0.1
    assert document["tensors"][0]["shape"] == [10, 20]
    assert document["tensors"][1]["snr_db"] is None
    assert document["target"] == {"name": "snr_db", "value": 30.0, "chosen": True}


def test_exact_is_infinite_in_python_and_null_in_json() -> None:
    exactly = report(exact(), snr_db=math.inf, plain_snr_db=math.inf)
    assert exactly.tensors[0].snr_db == math.inf
    assert exactly.to_json()["snr_db"] is None


def test_totals_follow_from_the_rows() -> None:
    totals = report(lossy(), exact(), lossy("conv", mse=3e-4, entropy_bits_per_weight=1.5, max_abs_error=0.2))
    assert totals.parameters == 410
    assert totals.nonzero == 110
    assert totals.ratio == 4
    assert totals.bits_per_weight == pytest.approx(8 * 210 / 410)
    assert totals.lossy_bits_per_weight == pytest.approx(8 * 200 / 400)
    assert totals.entropy_bits_per_weight == pytest.approx(2.5)
    assert totals.mse == pytest.approx(200 * 4e-4 / 410)
    assert totals.weighted_distortion == 4
    assert totals.max_abs_error == 0.2
    assert totals.step == 0.01


def test_a_step_that_is_not_shared_is_no_total() -> None:
    assert report(lossy(), lossy("conv", step=0.5)).step is None


def test_an_empty_model_has_a_report() -> None:
    empty = report(bytes=0, original_bytes=0)
    assert (empty.parameters, empty.bits_per_weight, empty.mse, empty.entropy_bits_per_weight) == (0, 0, 0, None)
    json.dumps(empty.to_json(), allow_nan=False)
    assert "total" in empty.table()


def test_the_table_has_a_row_a_tensor_totals_and_a_summary() -> None:
    lines = report(lossy(), exact(), notes=("2 tensors are tied",)).table().splitlines()
    assert lines[0].split() == ["tensor", "dtype", "shape", "coding", "weights", "size", "bits/w", "SNR", "dB", "step"]
    assert lines[1].split() == ["fc.weight", "f32", "10x20", "levels", "200", "100", "B", "4.000", "30.00", "0.0100"]
    assert lines[2].split() == ["fc.bias", "f32", "10", "raw", "10", "40", "B", "32.000", "exact", "-"]
    assert lines[4].split() == ["total", "210", "210", "B", "8.000", "30.01", "0.0100"]
    assert "ratio 4.00 (25.00 % of the original)" in lines[6]
    assert lines[-2] == "target snr_db 30, balanced distortion, plain SNR 29.50 dB"
    assert lines[-1] == "note: 2 tensors are tied"


def test_the_default_target_is_said_to_be_one() -> None:
    assert "target snr_db 40 (default)" in report(target=Target("snr_db", 40.0, chosen=False)).table()
    assert "target evaluate," in report(target=Target("evaluate", len)).table()


def test_tables_fit_into_100_columns() -> None:
    name = "model.encoder.layers.11.attention.self.query.lora_A.default.weight\n\x1b[31m"
    rows = [lossy(name, dtype="float8_e4m3b11fnuz", shape=(4096, 4096, 3, 3, 7), parameters=10**9, bytes=10**9)]
    rows.append(exact(name, coding="exact-float", dtype="complex128", parameters=10**12))
    text = report(*rows).table()
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    inspected = TensorInspection(
        name=name, dtype="bfloat16", shape=(1, 2), coding="levels", parameters=2, bytes=9, original_bytes=4
    )
    text = Inspection(version=1, bytes=9, header_bytes=5, tensors=(inspected,), metadata={"k": "v" * 500}).table()
    assert max(map(len, text.splitlines())) <= 100


def test_an_inspection_counts_what_its_rows_say() -> None:
    rows = tuple(
        TensorInspection(
            name=name,
            dtype="float32",
            shape=(4,),
            coding="levels",
            parameters=4,
            bytes=6,
            original_bytes=16,
            details={"n": 4},
        )
        for name in ("a", "b")
    )
    inspection = Inspection(
        version=1, bytes=64, header_bytes=40, tensors=rows, metadata={"format": "pt"}, base="ab" * 32
    )
    document = inspection.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["parameters"], document["original_bytes"], document["ratio"]) == (8, 32, 0.5)
    assert document["bits_per_weight"] == 64
    assert document["tensors"][0]["bits_per_weight"] == 12
    assert document["tensors"][0]["details"] == {"n": 4}
    assert "needs the base abab" in inspection.table()
    assert "format: pt" in inspection.table()


def test_a_verification_is_ok_if_every_part_is() -> None:
    good = TensorVerification(name="a", dtype="float32", shape=(2,))
    bad = TensorVerification(name="b", dtype="float32", shape=(2,), error="slice 0: wrong checksum")
    assert Verification(bytes=10, tensors=(good,)).ok
    assert Verification(bytes=10, tensors=(good,)).table() == "ok: 1 tensors, 10 B"
    failed = Verification(bytes=10, tensors=(good, bad))
    assert not failed.ok
    assert failed.to_json()["ok"] is False
    assert "slice 0: wrong checksum" in failed.table()
    assert not Verification(bytes=10, error="header: wrong checksum").ok
    assert "header: wrong checksum" in Verification(bytes=10, error="header: wrong checksum").table()


def test_a_comparison_shows_every_tensor() -> None:
    rows = (
        TensorVerification(
            name="a", dtype="float32", shape=(2,), exact=True, mse=0.0, snr_db=math.inf, max_abs_error=0.0
        ),
        TensorVerification(name="b", dtype="float32", shape=(2,), exact=False, mse=0.1, snr_db=20.0, max_abs_error=0.5),
    )
    verification = Verification(bytes=10, tensors=rows, compared=True)
    assert verification.to_json()["tensors"][0]["snr_db"] is None
    assert verification.table().splitlines()[1].split() == ["a", "f32", "2", "ok", "exact", "0.0000"]


def test_a_curve_marks_the_best_point() -> None:
    points = tuple(
        CurvePoint(
            s=s,
            steps={"w": 0.1 / (s + 1)},
            bytes=100 + s,
            bits_per_weight=2.0,
            snr_db=30.0 + s,
            weighted_distortion=1.0,
        )
        for s in range(3)
    )
    curve = Curve(points=points, best_s=1, criterion="bytes")
    assert curve.best is points[1]
    document = curve.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["points"][2]["steps"] == {"w": pytest.approx(0.1 / 3)}
    assert [line.startswith("*") for line in curve.table().splitlines()[1:4]] == [False, True, False]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (999_999, "1.00 MB"), (123_456_789, "123 MB"), (1e17, "100 PB")],
)
def test_sizes_are_decimal(value: float, text: str) -> None:
    assert tables.size(value) == text
