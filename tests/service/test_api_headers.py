"""Prefer, Accept, Range and conditions, as their RFCs have them."""

from __future__ import annotations

import pytest

from cabacus.service.api.preferences import Preference, read_preference, wants_mixed
from cabacus.service.api.ranges import Span, Unsatisfiable, matches, read_range

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("headers", "wait", "applied"),
    [
        ([], 0, None),
        (["wait=5"], 5, "wait=5"),
        (["WAIT = 5 ; x=1"], 5, "wait=5"),
        (['wait="5"'], 5, "wait=5"),
        (["wait=3600"], 60, "wait=60"),
        (["respond-async"], 0, "respond-async"),
        (["respond-async, wait=5"], 5, "wait=5, respond-async"),
        (["respond-async", "wait=5"], 5, "wait=5, respond-async"),
        (["wait=5, wait=9"], 5, "wait=5"),
        (["wait=soon"], 0, None),
        (["wait=-1"], 0, None),
        (['return=minimal, foo="a,wait=9"'], 0, None),
    ],
)
def test_prefer(headers: list[str], wait: float, applied: str | None) -> None:
    assert read_preference(headers, longest=60) == Preference(wait, applied)


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([], False),
        (["*/*"], False),
        (["multipart/mixed"], True),
        (["text/html, Multipart/Mixed;q=0.5"], True),
        (["multipart/mixed;q=0"], False),
        (["multipart/mixed; q=0.000"], False),
        (["text/html", "multipart/mixed"], True),
    ],
)
def test_accept(headers: list[str], wanted: bool) -> None:
    assert wants_mixed(headers) is wanted


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=2-", (2, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("Bytes = 1-2", (1, 3)),
    ],
)
def test_one_range(header: str, span: tuple[int, int]) -> None:
    assert read_range(header, None, etag=ETAG, size=10) == Span(*span, 10)


@pytest.mark.parametrize("header", [None, "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"])
def test_what_is_no_single_range_gets_everything(header: str | None) -> None:
    assert read_range(header, None, etag=ETAG, size=10) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_a_range_outside_is_refused(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        read_range(header, None, etag=ETAG, size=size)


def test_if_range_holds_for_the_same_body_only() -> None:
    assert read_range("bytes=0-1", ETAG, etag=ETAG, size=10) == Span(0, 2, 10)
    assert read_range("bytes=0-1", '"other"', etag=ETAG, size=10) is None
    assert read_range("bytes=0-1", f"W/{ETAG}", etag=ETAG, size=10) is None


def test_content_range() -> None:
    assert Span(2, 6, 10).content_range == "bytes 2-5/10"


def test_if_none_match() -> None:
    assert matches(ETAG, ETAG)
    assert matches(f'"x", W/{ETAG}', ETAG)
    assert matches("*", ETAG)
    assert not matches('"x"', ETAG)
    assert not matches(None, ETAG)
