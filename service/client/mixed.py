"""Reads the multipart/mixed body in which the service sends a report and a result."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message

from cabacus.service.client.errors import IntegrityError


@dataclass(frozen=True)
class Part:
    """One part: its headers and its bytes."""

    headers: Message
    body: bytes


def read_mixed(content_type: str, body: bytes) -> list[Part]:
    """Split a body into parts by their Content-Length, so that a boundary in the data does no harm.

    Raises IntegrityError when the body is not what the service writes.
    """
    boundary = _message(f"Content-Type: {content_type}").get_param("boundary")
    delimiter = f"--{boundary}".encode()
    parts: list[Part] = []
    place = 0
    while body.startswith(delimiter + b"\r\n", place):
        start = place + len(delimiter) + 2
        stop = body.find(b"\r\n\r\n", start)
        headers = _message(body[start:stop].decode("latin-1"))
        length = headers.get("Content-Length", "")
        if stop < 0 or not length.isdecimal() or stop + 4 + int(length) > len(body):
            raise IntegrityError("the multipart answer of the service ends early or is malformed")
        end = stop + 4 + int(length)
        parts.append(Part(headers, body[stop + 4 : end]))
        place = end + 2
    if not body.startswith(delimiter + b"--", place):
        raise IntegrityError("the multipart answer of the service lacks its end")
    return parts


def _message(text: str) -> Message:
    message = Message()
    for line in text.split("\r\n"):
        name, _, value = line.partition(":")
        message[name.strip()] = value.strip()
    return message
