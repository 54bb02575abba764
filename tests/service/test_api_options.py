"""Options: from a query and a JSON part to what a job carries."""

from __future__ import annotations

import pytest

from cabacus.service.api.options import parse_document, read_options
from cabacus.service.errors import ServiceError
from cabacus.service.schemas import TARGETS


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
    assert "has no options" in refusal("inspect", [("threads", "2")]).detail


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
    for bad in ("x", "1:1", "0:9:0", "0:1:2:3", "0:99999999999", "1.5"):
        assert refusal("sweep", [("s", bad)]).field == "s"


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{", b'{"snr_db": NaN}', b"\xff", b"[" * 100_000])
def test_the_options_part_must_be_a_json_object(text: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_document(text)
    assert caught.value.field == "options"
