"""Forms are read as streams, however their bytes are cut into chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cabacus.service.api.multipart import MAX_PARTS, is_multipart, read_parts
from cabacus.service.errors import ServiceError

TYPE = "multipart/form-data; boundary=limit"


def form(*parts: tuple[str, str, bytes]) -> bytes:
    body = b""
    for name, filename, data in parts:
        body += f'--limit\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'.encode()
        body += data + b"\r\n"
    return body + b"--limit--\r\n"


def read(body: bytes, sizes: list[int] | None = None, *, skip: bool = False) -> list[tuple[str, str, bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        place = 0
        for size in sizes or []:
            yield body[place : place + size]
            place += size
        yield body[place:]

    async def collect() -> list[tuple[str, str, bytes]]:
        found = []
        async for part in read_parts(chunks(), TYPE):
            data = b"" if skip else b"".join([chunk async for chunk in part.chunks])
            found.append((part.name, part.filename, data))
        return found

    return asyncio.run(collect())


@given(
    data=st.lists(st.binary(max_size=300) | st.sampled_from([b"\r\n--limi", b"\r\n--", b"--limit", b"\r"]), max_size=4),
    sizes=st.lists(st.integers(1, 40), max_size=60),
)
def test_parts_come_back_however_the_body_is_cut(data: list[bytes], sizes: list[int]) -> None:
    parts = [(f"part{number}", "é.bin", item) for number, item in enumerate(data) if b"\r\n--limit" not in item]
    assert read(form(*parts), sizes) == parts


def test_parts_that_are_not_read_are_passed_over() -> None:
    assert [name for name, _, _ in read(form(("a", "", b"1" * 9000), ("b", "", b"2")), [10] * 50, skip=True)] == [
        "a",
        "b",
    ]


def test_a_body_without_its_closing_boundary_is_truncated() -> None:
    whole = form(("a", "", b"12345"))
    for length in range(len(whole) - 4):
        with pytest.raises(ServiceError) as caught:
            read(whole[:length])
        assert caught.value.code == "truncated_body"


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"--limit\r\n\r\ndata\r\n--limit--\r\n",
        b"--limit\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--limit--\r\n",
        b"--limit\r\n" + b"x" * 100_000,
        form(*[("a", "", b"")] * (MAX_PARTS + 1)),
    ],
)
def test_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        read(body)
    assert caught.value.code == "bad_multipart"


def test_a_form_is_told_from_other_content_types() -> None:
    assert is_multipart(TYPE)
    assert not is_multipart("application/x-www-form-urlencoded")
    assert not is_multipart(None)
