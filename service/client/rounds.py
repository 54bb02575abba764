"""Federated rounds at the service, as flows, and as the methods that both clients share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cabacus.service.client.flows import Call, Flow, Policy, send
from cabacus.service.client.uploads import Source, Upload
from cabacus.service.client.values import Job


@dataclass(frozen=True)
class Arrival:
    """An update that arrived: its weight in the mean, and whether it was coded or a model as it is."""

    client: str
    samples: int
    bytes: int
    coded: bool


@dataclass(frozen=True)
class Round:
    """A round as the service last showed it. Once it is closed, its mean is the result of the job of the same id."""

    id: str
    state: str
    base: str
    created: datetime
    deadline: datetime
    minimum: int
    arrived: tuple[Arrival, ...]
    late: tuple[Arrival, ...]
    missing: tuple[str, ...]

    @property
    def closed(self) -> bool:
        """True once no update counts any more."""
        return self.state == "closed"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Round:
        """Read the service's form; names that this version does not know are passed over."""
        return cls(
            id=str(value["id"]),
            state=str(value["state"]),
            base=str(value["base"]),
            created=datetime.fromisoformat(value["created"]),
            deadline=datetime.fromisoformat(value["deadline"]),
            minimum=int(value["minimum"]),
            arrived=tuple(_arrival(one) for one in value["arrived"]),
            late=tuple(_arrival(one) for one in value["late"]),
            missing=tuple(map(str, value["missing"])),
        )


def open_round(
    base: str, clients: Iterable[str] | None, deadline_seconds: float, minimum: int, policy: Policy
) -> Flow[Round]:
    """Open a round of updates to a stored base."""
    wishes = {
        "base": base,
        "clients": None if clients is None else list(clients),
        "deadline_seconds": deadline_seconds,
        "minimum": minimum,
    }
    body = Upload({"model": json.dumps(wishes).encode()})
    call = Call("POST", "rounds", upload=body, headers={"Content-Type": "application/json"})
    response = yield from send(call, policy)
    return Round.from_json(response.json())


def get_round(found: Round | str, policy: Policy) -> Flow[Round]:
    """Ask how a round stands."""
    response = yield from send(Call("GET", f"rounds/{_id(found)}"), policy)
    return Round.from_json(response.json())


def send_update(found: Round | str, client: str, update: Source, samples: int, policy: Policy) -> Flow[Arrival]:
    """Send a client's update; again, where the connection broke."""
    path = f"rounds/{_id(found)}/updates/{client}"
    call = Call("PUT", path, params=[("samples", str(samples))], upload=Upload({"model": update}))
    response = yield from send(call, policy)
    return _arrival(response.json())


def close_round(found: Round | str, policy: Policy) -> Flow[Job]:
    """End a round, if it has not ended; its job."""
    response = yield from send(Call("POST", f"rounds/{_id(found)}/close"), policy)
    return Job.from_json(response.json())


def _arrival(value: Mapping[str, Any]) -> Arrival:
    return Arrival(str(value["client"]), int(value["samples"]), int(value["bytes"]), bool(value["coded"]))


def _id(found: Round | str) -> str:
    return found.id if isinstance(found, Round) else found
