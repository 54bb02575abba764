"""Content-Digest and Repr-Digest of a request (RFC 9530): what arrived is what was sent, or it is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Mapping

from cabacus.service.errors import ServiceError

HEADERS = ("content-digest", "repr-digest")
"""The same for us: bodies with a content encoding are refused."""
_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_MEMBER = re.compile(r"\s*([a-z0-9-]+)\s*=\s*:([A-Za-z0-9+/=]*):\s*", re.IGNORECASE)


def announced(headers: Mapping[str, str]) -> list[tuple[str, str, bytes]]:
    """Header, algorithm and digest of each that we can check. Raises ServiceError for one that cannot be read.

    >>> announced({"content-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, md5=:aa:"})[0][:2]
    ('content-digest', 'sha-256')
    """
    found = []
    for header in HEADERS:
        if header not in headers:
            continue
        for member in headers[header].split(","):
            match = _MEMBER.fullmatch(member)
            if match is None:
                raise ServiceError("bad_digest", f"{header} is not ALGORITHM=:BASE64:", field=header)
            name = match[1].lower()
            if name in _ALGORITHMS:
                try:
                    found.append((header, name, base64.b64decode(match[2], validate=True)))
                except binascii.Error:
                    raise ServiceError("bad_digest", f"{header}: {name} is not base64", field=header) from None
    return found


async def checked(body: AsyncIterator[bytes], headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    """The body; ends with ServiceError `digest_mismatch` where it is not what its headers announce."""
    wanted = announced(headers)
    states = {name: _ALGORITHMS[name]() for _, name, _ in wanted}
    async for chunk in body:
        for state in states.values():
            state.update(chunk)
        yield chunk
    for header, name, digest in wanted:
        if states[name].digest() != digest:
            raise ServiceError(
                "digest_mismatch",
                f"the body is not the one that {header} announces ({name}); send it again",
                field=header,
            )
