"""A multipart/form-data body read as a stream: one part after the other, a chunk in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from cabacus.service.errors import ServiceError

MAX_PARTS = 512
"""Large checkpoints come in hundreds of shards."""
_Event = tuple[Literal["name", "value", "header", "headers", "data", "end"], bytes]


@dataclass(frozen=True)
class Part:
    """One part: its name, its file name ("" when there is none), and its body, to be read before the next part."""

    name: str
    filename: str
    chunks: AsyncIterator[bytes]


def is_multipart(content_type: str | None) -> bool:
    """True when the body is a form of parts."""
    return parse_options_header(content_type)[0] == b"multipart/form-data"


async def read_parts(body: AsyncIterator[bytes], content_type: str) -> AsyncIterator[Part]:
    """Yield the parts of a body in their order.

    Raises ServiceError `bad_multipart` for nonsense, `truncated_body` when the closing boundary is missing.
    """
    reader = _Reader(body, content_type)
    for _ in range(MAX_PARTS):
        part = await reader.next_part()
        if part is None:
            return
        yield part
        async for _ in part.chunks:  # what the caller left unread
            pass
    raise ServiceError("bad_multipart", f"the body has more than {MAX_PARTS} parts")


class _Reader:
    """Pulls chunks through the parser; its callbacks leave events in a queue, those of one chunk at most."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise ServiceError("bad_multipart", "Content-Type: multipart/form-data has no boundary parameter")
        self._body = body
        self._events: deque[_Event] = deque()
        self._closed = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": lambda data, start, stop: self._events.append(("name", data[start:stop])),
                    "on_header_value": lambda data, start, stop: self._events.append(("value", data[start:stop])),
                    "on_header_end": lambda: self._events.append(("header", b"")),
                    "on_headers_finished": lambda: self._events.append(("headers", b"")),
                    "on_part_data": lambda data, start, stop: self._events.append(("data", data[start:stop])),
                    "on_part_end": lambda: self._events.append(("end", b"")),
                    "on_end": self._close,
                },
            )
        except FormParserError as error:
            raise ServiceError("bad_multipart", str(error)) from None

    def _close(self) -> None:
        self._closed = True

    async def next_part(self) -> Part | None:
        """Read the next part's headers; None after the last part."""
        name = value = b""
        headers: dict[bytes, bytes] = {}
        while (event := await self._next_event()) is not None:
            what, data = event
            if what == "name":
                name += data
            elif what == "value":
                value += data
            elif what == "header":
                headers[name.strip().lower()] = value.strip()
                name = value = b""
            elif what == "headers":
                return self._part(headers)
        return None

    def _part(self, headers: dict[bytes, bytes]) -> Part:
        _, parameters = parse_options_header(headers.get(b"content-disposition"))
        if b"name" not in parameters:
            raise ServiceError("bad_multipart", 'a part has no Content-Disposition: form-data; name="..." header')
        name, filename = (parameters.get(key, b"").decode("utf-8", "replace") for key in (b"name", b"filename"))
        return Part(name, filename, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (event := await self._next_event()) is not None:
            what, data = event
            if what == "end":
                return
            yield data

    async def _next_event(self) -> _Event | None:
        """The next event; None after the closing boundary, and what follows it is read and dropped."""
        while not self._events:
            try:
                chunk = await anext(self._body, None)
                if chunk is None:
                    break
                self._parser.write(chunk)
            except FormParserError as error:
                raise ServiceError("bad_multipart", str(error)) from None
        if self._events:
            return self._events.popleft()
        if not self._closed:
            raise ServiceError("truncated_body", "the multipart body ends before its closing boundary; send it again")
        return None
