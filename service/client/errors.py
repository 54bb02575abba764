"""What can go wrong, drawn once.

ClientError
├── ConnectionFailed          the service was not reached, or the connection broke
├── WaitTimeout               the job had not finished in time; it goes on
├── IntegrityError            what arrived is not what the service has
└── ProblemError              the service said no, with problem+json
    ├── InvalidRequestError   400, 415, 416, 422: mend the file or the options
    ├── DeniedError           401, 403: no key, or one that may not
    ├── NotFoundError         404
    ├── ConflictError         409: not ready, failed, another base
    ├── GoneError             410: expired
    ├── TooLargeError         413: over a limit, which is named
    ├── BusyError             429, 503: try again later
    └── ServerError           other 5xx: the service's own fault
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from cabacus.service.client.values import Job


class ClientError(Exception):
    """Whatever this client raises of itself."""


class ConnectionFailed(ClientError):
    """The service was not reached, or the connection broke and what was asked could not safely be asked again."""


class WaitTimeout(ClientError):
    """The job had not finished in time. It goes on: `job` can be waited for again."""

    def __init__(self, job: Job, seconds: float) -> None:
        super().__init__(f"job {job.id} is {job.state} after {seconds:g} s; it goes on, wait for it again")
        self.job = job


class IntegrityError(ClientError):
    """What arrived differs from what the service says that it sent."""


class ProblemError(ClientError):
    """The service said no. `code` is stable; `field`, `limit` and `tensor` name what is at fault, where one is."""

    def __init__(self, problem: Mapping[str, Any], *, status: int, retry_after: float | None = None) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP status {status}"))
        self.status = status
        self.code = str(problem.get("code", "unknown"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.field: str | None = problem.get("field")
        self.limit: str | None = problem.get("limit")
        self.tensor: str | None = problem.get("tensor")
        self.retry_after = retry_after
        self.location: str | None = None


class InvalidRequestError(ProblemError):
    """The file or the options cannot be used."""


class DeniedError(ProblemError):
    """The service needs a key, or the key does not allow this."""


class NotFoundError(ProblemError):
    """There is no such job or address."""


class ConflictError(ProblemError):
    """The state of things forbids it: not ready, failed, cancelled, another base."""


class GoneError(ProblemError):
    """It was there, and expired."""


class TooLargeError(ProblemError):
    """Over a limit."""


class BusyError(ProblemError):
    """The service has no room now."""


class ServerError(ProblemError):
    """The service's own fault."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: TooLargeError,
    429: BusyError,
    503: BusyError,
}


def error_of(problem: Mapping[str, Any], *, status: int, retry_after: float | None = None) -> ProblemError:
    """The typed error of a problem document."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else InvalidRequestError)
    return kind(problem, status=status, retry_after=retry_after)


def error_of_response(response: httpx.Response) -> ProblemError:
    """The typed error of a response that says no, whether or not it is problem+json (a proxy's may not be)."""
    retry_after = response.headers.get("retry-after", "")
    problem: Any = None
    if "json" in response.headers.get("content-type", ""):
        try:
            problem = response.json()
        except ValueError:
            problem = None
    if not isinstance(problem, dict):
        problem = {"detail": f"{response.status_code} {response.reason_phrase} from {response.request.url}"}
    error = error_of(
        problem, status=response.status_code, retry_after=float(retry_after) if retry_after.isdecimal() else None
    )
    error.location = response.headers.get("location")
    return error
