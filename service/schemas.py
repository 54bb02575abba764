"""What the API reads and writes, as pydantic models: the single source of option names, bounds and descriptions.

An option is named as on the command line, with `_` for `-`. Jobs carry the options that were given, and only those, as
JSON values under these names, so that the engine's own defaults hold for the rest.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_RULES = 256
MAX_NAME_GLOBS = 256
MAX_SWEEP_POINTS = 4096

RULE_PATTERN = r"^.+:[A-Za-z_]+(=.+)?$"

BASE_PATTERN = "^[0-9a-f]{64}$"
BASE = Field(
    None,
    pattern=BASE_PATTERN,
    description="The digest of a stored base (PUT /bases/{digest}), or the SHA-256 of an earlier job's result, instead "
    "of the part `base`.",
)

TARGETS = ("snr_db", "bits_per_weight", "ratio", "max_bytes", "max_abs_error", "step", "s")
"""Options that say how far to compress. A request names at most one."""


def _sweep_points(value: object) -> object:
    """Turn `16`, `"16"`, `"0:257:8"` (start, stop excluded, stride) or a list of these into a list of integers."""
    parts = value if isinstance(value, list) else [value]
    points: list[object] = []
    for part in parts:
        if not isinstance(part, str) or ":" not in part:
            points.append(part)
            continue
        try:
            numbers = [int(number) for number in part.split(":")]
            span = range(*numbers)
        except (TypeError, ValueError):
            raise ValueError(f"{part[:80]!r} is neither an integer nor START:STOP[:STRIDE]") from None
        some = list(islice(span, MAX_SWEEP_POINTS + 1))  # the length of a range may be more than len() can say
        if not 0 < len(some) <= MAX_SWEEP_POINTS:
            raise ValueError(f"{part[:80]!r} must hold between 1 and {MAX_SWEEP_POINTS} integers")
        points.extend(some)
        if len(points) > MAX_SWEEP_POINTS:
            raise ValueError(f"holds more than {MAX_SWEEP_POINTS} integers")
    return points


def _rule(value: str) -> str:
    if re.fullmatch(RULE_PATTERN, value, re.DOTALL) is None:
        raise ValueError("should be GLOB:KEY=VALUE or GLOB:KEY, such as '*.bias:keep'")
    return value


Rule = Annotated[str, Field(max_length=4096, json_schema_extra={"pattern": RULE_PATTERN}), AfterValidator(_rule)]
NameGlob = Annotated[str, Field(min_length=1, max_length=4096)]
SweepPoint = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
SweepPoints = Annotated[list[SweepPoint], BeforeValidator(_sweep_points, json_schema_input_type=list[int | str])]


class Options(BaseModel):
    """Options of one kind of job. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ThreadOptions(Options):
    """What every kind of work that codes or decodes weights understands."""

    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads to work with. The bytes do not depend on it. Default: what the worker has.",
    )


class CodingOptions(ThreadOptions):
    """How weights are quantized and coded, whatever the target."""

    lam: float | None = Field(
        None, ge=0, alias="lambda", description="The Lagrange multiplier of the rate in eq. 1 of the paper, as printed."
    )
    rate_weight: float | None = Field(
        None,
        ge=0,
        description="lambda in scale-free units: (eta / mean eta) e^2 + rate_weight step^2 R, R in bits.",
    )
    quantizer: Literal["auto", "round", "greedy", "trellis"] | None = Field(
        None,
        description="How levels are chosen: plain rounding, one at a time by eq. 1, or by a trellis. Default: auto.",
    )
    candidates: Literal["near", "all"] | None = Field(
        None, description="Levels tried: the nearest, its neighbour towards zero and zero; or every one. Default: near."
    )
    effort: Literal["fast", "default", "max"] | None = Field(None, description="Time spent for smaller files.")
    distortion: Literal["balanced", "absolute", "relative"] | None = Field(
        None, description="How errors of different tensors are weighed. Default: balanced."
    )
    rule: list[Rule] | None = Field(
        None,
        max_length=MAX_RULES,
        description="GLOB:KEY=VALUE (or GLOB:KEY): an option for tensors with such names. Repeatable; the last wins.",
        examples=[["*.bias:keep", "fc1.*:snr_db=35"]],
    )

    @model_validator(mode="after")
    def _one_trade(self) -> Self:
        if self.lam is not None and self.rate_weight is not None:
            raise ValueError("lambda and rate_weight are the same trade in two units; give one")
        return self


class Terms(Options):
    """What a request of any kind may say beside the options of the work."""

    priority: Literal["interactive", "bulk"] | None = Field(
        None, description="Interactive jobs are started before bulk ones. Default: interactive."
    )
    input: str | None = Field(
        None,
        max_length=2048,
        description="URL of the model (s3://, gs://, az://) in place of an upload, in a bucket that is allowed: of a "
        "file, of an index of shards, which are beside it, or, with a slash at its end, of a folder with either.",
    )
    output: str | None = Field(
        None,
        max_length=2048,
        description="URL to which the result is written as well; in a bucket that is allowed.",
    )
    webhook: str | None = Field(
        None,
        max_length=2048,
        description="URL that is told when the job has ended, signed; one that the service's operator allows.",
    )


class CompressOptions(CodingOptions):
    """Options of POST /compress. At most one of the targets; none: a quality at which nobody notices."""

    base: str | None = BASE
    histogram: bool | None = Field(
        None,
        description="Count each lossy tensor's levels in the report: `levels`, counts of -17 and below, -16 .. 16, "
        "17 and above. Takes about as long as decompression.",
    )
    snr_db: float | None = Field(
        None, ge=0, le=200, description="Target: signal-to-noise ratio of the lossy tensors, in dB.", examples=[30]
    )
    bits_per_weight: float | None = Field(
        None, gt=0, le=64, description="Target: 8 x bytes of the whole file / weights.", examples=[2.5]
    )
    ratio: float | None = Field(None, ge=1, description="Target: original bytes / compressed bytes.", examples=[10])
    max_bytes: int | None = Field(
        None, ge=1, le=2**63 - 1, description="Target: the file is at most this long, in bytes."
    )
    max_abs_error: float | None = Field(None, gt=0, description="Target: no weight is off by more than this.")
    step: float | None = Field(None, gt=0, le=1e38, description="Target: this quantization step in every lossy tensor.")
    s: int | None = Field(
        None,
        ge=-(2**31),
        le=2**31 - 1,
        description="Target: S of eq. 2 of the paper, one for the model; needs sigma.",
    )


class DecompressOptions(ThreadOptions):
    """Options of POST /decompress."""

    base: str | None = BASE
    name: list[NameGlob] | None = Field(
        None,
        max_length=MAX_NAME_GLOBS,
        description="Only tensors whose names match one of these globs. May be repeated.",
    )
    format: Literal["safetensors", "npz", "npy"] | None = Field(
        None, description="File format of the result; npy holds exactly one tensor. Default: safetensors."
    )


class InspectOptions(Options):
    """Options of POST /inspect."""

    base: str | None = BASE


class VerifyOptions(ThreadOptions):
    """Options of POST /verify."""

    base: str | None = BASE


class SweepOptions(CodingOptions):
    """Options of POST /sweep."""

    s: SweepPoints | None = Field(
        None,
        min_length=1,
        max_length=MAX_SWEEP_POINTS,
        description="Values of S to try: integers or START:STOP[:STRIDE], STOP excluded. Repeatable. Default: 0:257.",
        examples=[["0:257:16"]],
    )


OPTIONS: dict[str, type[Options]] = {
    "compress": CompressOptions,
    "decompress": DecompressOptions,
    "inspect": InspectOptions,
    "verify": VerifyOptions,
    "sweep": SweepOptions,
}
"""The options model of each kind of job."""


class BlobView(BaseModel):
    """A stored object as a job shows it."""

    bytes: int = Field(description="Its length.")
    sha256: str = Field(description="Its SHA-256 in lower-case hex.", pattern="^[0-9a-f]{64}$")
    media_type: str
    name: str = Field(description="The file name offered to a downloader.")
    href: str | None = Field(None, description="Where to get it; inputs cannot be fetched.")


class Problem(BaseModel):
    """An error as RFC 9457 has it. `code` is stable; `detail` is for people and names the remedy."""

    type: str = Field(description="A URI that names the kind of problem; it ends in the code.")
    title: str = Field(description="The kind of problem in words, the same each time.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What went wrong this time, and what to do.")
    code: str = Field(description="A stable name of the kind of problem, for programs.")
    field: str | None = Field(None, description="The option or part at fault.")
    limit: str | None = Field(None, description="The setting whose bound was met, as its environment variable.")
    tensor: str | None = Field(None, description="The tensor at fault.")


class Count(BaseModel):
    """So many are done, of so many in all."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)


class JobView(BaseModel):
    """A job as the API shows it. Times are in UTC; null: not yet."""

    id: str
    kind: Literal["compress", "decompress", "inspect", "verify", "sweep", "round"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created: datetime
    started: datetime | None
    finished: datetime | None
    expires: datetime | None = Field(description="When the job and its files are forgotten.")
    progress: float = Field(ge=0, le=1, description="The share of the work that is done.")
    steps: Count | None = Field(
        None, description="The same in steps, where the work counts them: weights, or points of a sweep."
    )
    tensors: Count | None = Field(None, description="Tensors of the model that are done, where the work counts them.")
    bytes: Count | None = Field(None, description="The same in bytes of the model as it is uncompressed.")
    attempts: int = Field(ge=0, description="How often the job was handed to a worker.")
    priority: Literal["interactive", "bulk"] = Field(description="Interactive jobs are started before bulk ones.")
    options: dict[str, Any] = Field(description="The options that were given.")
    input: dict[str, BlobView] = Field(description="What was uploaded, by part name.")
    source: str | None = Field(None, description="The model's URL, where `input` named one.")
    target: str | None = Field(None, description="The URL to which the result is written as well.")
    result: BlobView | None
    report: BlobView | None
    summary: dict[str, Any] = Field(description="The figures of the result's Cabacus-* headers.")
    error: Problem | None = Field(description="Why the job failed.")


class JobList(BaseModel):
    """The caller's latest jobs, newest first."""

    jobs: list[JobView]


class BaseView(BaseModel):
    """A stored base."""

    digest: str = Field(description="Of its tensors, as it was stored.", pattern=BASE_PATTERN)
    bytes: int = Field(description="The file's length.")
    sha256: str = Field(description="The file's SHA-256 in lower-case hex.", pattern="^[0-9a-f]{64}$")
    media_type: str


class BaseList(BaseModel):
    """The caller's stored bases, by digest."""

    bases: list[BaseView]


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok", "ready"]
    version: str
