"""Reads a job's stream of events; what both clients share of it."""

from __future__ import annotations

import json

import httpx

from cabacus.service.client.errors import ConnectionFailed, WaitTimeout, error_of_response
from cabacus.service.client.flows import PASSING, Call, Deadline, Pause, Policy
from cabacus.service.client.values import Job

QUIET_SECONDS = 45.0
"""Silence after which a stream is given up; the service says something every 15 seconds."""


class Follower:
    """The state of following one job: what was seen last, and what to do when the stream breaks.

    A driver opens `call`, asks `accepts` about the response, feeds its lines to `read`, and pauses as `broken` says
    when the connection breaks or ends; until `over`.
    """

    def __init__(self, job_id: str, policy: Policy, deadline: Deadline) -> None:
        self.over = False
        self._id = job_id
        self._policy = policy
        self._deadline = deadline
        self._last_id = ""
        self._latest: Job | None = None
        self._attempt = 0
        self._data: list[str] = []

    def call(self) -> Call:
        """The request for what happened since the last event."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._last_id} if self._last_id else {})
        return Call("GET", f"jobs/{self._id}/events", headers=headers)

    def read_seconds(self) -> float:
        """How long to wait for the next line."""
        return self._deadline.at_most(QUIET_SECONDS)

    def accepts(self, response: httpx.Response) -> bool:
        """True for a stream. False: there is none, pause or end. Raises ProblemError; the body must have been read."""
        if response.status_code == 204:
            self.over = True
            return False
        if response.is_success:
            return True
        if response.status_code not in PASSING or self._attempt == self._policy.retries:
            raise error_of_response(response)
        return False

    def read(self, line: str) -> Job | None:
        """The job, if this line ends an event that brings it. Raises WaitTimeout."""
        self._check()
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
        elif line.startswith("id:"):
            self._last_id = line[3:].strip()
        elif not line and self._data:
            job, self._data, self._attempt = Job.from_json(json.loads("\n".join(self._data))), [], 0
            self._latest = job
            self.over = job.final
            return job
        return None

    def broken(self, error: httpx.TransportError | None) -> Pause:
        """How long to pause before the stream is opened again. Raises WaitTimeout, ConnectionFailed."""
        self._check()
        self._data = []
        self._attempt += 1
        if self._attempt > self._policy.retries:
            raise ConnectionFailed(f"job {self._id}: the stream of events broke: {error or 'it ended early'}")
        return self._policy.pause(self._attempt - 1, None)

    def _check(self) -> None:
        if self._latest is not None and not self._latest.final and self._deadline.over():
            raise WaitTimeout(self._latest, self._deadline.seconds or 0.0)
