"""What the API reads and writes of federated rounds, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cabacus.service.schemas import BASE_PATTERN

CLIENT_PATTERN = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"
ROUND_PATTERN = "^[0-9a-f]{32}$"
MAX_CLIENTS = 1000
"""Of one round: its job names each update."""
MAX_SAMPLES = 2**40
MAX_DEADLINE_SECONDS = 86_400.0

ClientName = Annotated[str, StringConstraints(pattern=CLIENT_PATTERN)]


class NewRound(BaseModel):
    """A round to be opened."""

    model_config = ConfigDict(extra="forbid")

    base: str = Field(pattern=BASE_PATTERN, description="Digest of the stored model that clients train from.")
    deadline_seconds: float = Field(
        600.0, gt=0, le=MAX_DEADLINE_SECONDS, description="After these the round is averaged of what has arrived."
    )
    clients: list[ClientName] | None = Field(
        None,
        max_length=MAX_CLIENTS,
        description="Who is expected. The round ends when all have sent, and names who is missing; without, anybody.",
    )
    minimum: int = Field(1, ge=1, le=MAX_CLIENTS, description="With fewer updates the round's job fails.")


class UpdateView(BaseModel):
    """An update that arrived."""

    client: str
    samples: int = Field(description="Its weight in the mean.")
    bytes: int
    coded: bool = Field(description="False: a model as it is, which nothing made small on its way.")


class RoundView(BaseModel):
    """A round. Its job, once it is closed, has the round's id: result and report are the job's."""

    id: str
    state: Literal["open", "closed"]
    base: str
    created: datetime
    deadline: datetime
    minimum: int
    arrived: list[UpdateView] = Field(description="Updates that count.")
    late: list[UpdateView] = Field(description="Updates that came after the end, and do not.")
    missing: list[str] = Field(description="Of the clients that were expected, those that have not sent.")
    job: str | None = Field(description="Where the job is, once the round is closed.")
