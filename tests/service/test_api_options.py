"""Options: from a query and a JSON part to what a job carries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cabacus.service.api.options import parse_document, read_options
from cabacus.service.errors import ServiceError, entry_of
from cabacus.service.job import KINDS, Kind
from cabacus.service.schemas import TARGETS, Problem

NAMES = st.sampled_from(["snr_db", "s", "rule", "threads", "max_bytes", "lambda", "name", "format"]) | st.text(
    max_size=8
)


def refusal(*arguments: object) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        read_options(*arguments)
    return caught.value


def test_only_what_was_given_is_carried_as_json_values_under_the_names_of_the_api() -> None:
    query = [
        ("snr_db", "30"),
        ("lambda", "1e-3"),
        ("rule", "*.bias:keep"),
        ("rule", "fc:*:step=0.1"),
        ("effort", "max"),
    ]
    assert read_options("compress", query) == {
        "snr_db": 30.0,
        "lambda": 0.001,
        "rule": ["*.bias:keep", "fc:*:step=0.1"],
        "effort": "max",
    }
    assert read_options("inspect", []) == {}


def test_query_and_document_are_joined_and_an_option_is_given_once() -> None:
    assert read_options("compress", [("effort", "fast")], {"snr_db": 30}) == {"effort": "fast", "snr_db": 30.0}
    assert refusal("compress", [("snr_db", "30")], {"snr_db": 30}).code == "invalid_option"
    assert refusal("compress", [("snr_db", "30"), ("snr_db", "30")]).field == "snr_db"


def test_unknown_options_are_named_with_the_near_match() -> None:
    error = refusal("compress", [("snr-db", "30"), ("colour", "red")])
    assert error.code == "unknown_option"
    assert error.field == "snr-db"
    assert "'snr-db' (did you mean snr_db?)" in error.detail
    assert "'colour'" in error.detail
    assert "/inspect understands base" in refusal("inspect", [("threads", "2")]).detail


@pytest.mark.parametrize("other", [name for name in TARGETS if name != "snr_db"])
def test_two_targets_are_refused(other: str) -> None:
    error = refusal("compress", [("snr_db", "30"), (other, "3")])
    assert error.code == "two_targets"
    assert error.field == other


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("snr_db", "nan"),
        ("snr_db", "-1"),
        ("snr_db", ""),
        ("ratio", "0.5"),
        ("max_bytes", "1.5"),
        ("step", "0"),
        ("bits_per_weight", "65"),
        ("quantizer", "best"),
        ("threads", "0"),
        ("rule", "no-colon"),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(name: str, value: str) -> None:
    error = refusal("compress", [(name, value)])
    assert error.code == "invalid_option"
    assert error.field == name


def test_the_same_trade_twice_is_refused() -> None:
    assert "rate_weight" in refusal("compress", [("lambda", "1"), ("rate_weight", "1")]).detail


def test_sweep_points_are_integers_and_ranges() -> None:
    assert read_options("sweep", [("s", "0:9:4"), ("s", "-3")]) == {"s": [0, 4, 8, -3]}
    assert read_options("sweep", [], {"s": [1, "0:2"]}) == {"s": [1, 0, 1]}
    for bad in ("x", "1:1", "0:9:0", "0:1:2:3", "0:99999999999", "0:" + "9" * 40, "9" * 5000, "0:" + "9" * 5000, "1.5"):
        assert refusal("sweep", [("s", bad)]).field == "s"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(
    kind=st.sampled_from(KINDS),
    query=st.lists(st.tuples(NAMES, st.text(max_size=12) | st.from_regex(r"-?\d{1,40}(:-?\d{0,40}){0,3}")), max_size=3),
    document=st.dictionaries(NAMES, ANY_JSON, max_size=3),
)
def test_whatever_is_given_is_carried_or_refused(
    kind: Kind, query: list[tuple[str, str]], document: dict[str, Any]
) -> None:
    try:
        options = read_options(kind, query, parse_document(json.dumps(document).encode()))
    except ServiceError as refused:
        check_refusal(refused)
    else:
        json.dumps(options, allow_nan=False, ensure_ascii=False).encode()
        assert read_options(kind, [], options) == options


def check_refusal(error: ServiceError) -> None:
    """It is the caller's to mend, and can be sent."""
    assert entry_of(error.code).status == 422
    problem = Problem(type="t", title="t", status=422, detail=error.detail, code=error.code, field=error.field)
    assert problem.model_dump_json()


@pytest.mark.parametrize(
    "text",
    [
        b'{"rule": ["\\ud800:keep"]}',
        b'{"\\ud800": 1}',
        b"",
        b"[]",
        b"3",
        b"{",
        b'{"snr_db": NaN}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_the_options_part_must_be_a_json_object(text: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_document(text)
    assert caught.value.field == "options"
