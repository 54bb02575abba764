"""The server's HTTP parser, which refuses what is no HTTP before the application sees it: as a problem document too."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cabacus.service.api.problems import MEDIA_TYPE, problem
from cabacus.service.job import Failure

_BODY = (
    problem(Failure("bad_request", "this is no HTTP request, or its address or headers are too long"))
    .model_dump_json(exclude_none=True)
    .encode()
)
_ANSWER = b"\r\n".join(
    (
        b"HTTP/1.1 400 Bad Request",
        b"content-type: " + MEDIA_TYPE.encode(),
        b"content-length: %d" % len(_BODY),
        b"connection: close",
        b"",
        _BODY,
    )
)


class Protocol(HttpToolsProtocol):
    """uvicorn's, but for the words of its one refusal."""

    def send_400_response(self, msg: str) -> None:
        """Refuse and close."""
        self.transport.write(_ANSWER)
        self.transport.close()
