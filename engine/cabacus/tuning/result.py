"""What tuning gives back: the points that were tried, the one to take, and what other codings make of its levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cabacus import tables
from cabacus.compression import Compressed

__all__ = ["Tuning", "TuningPoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPoint:
    """One S, or size, and lambda: bytes of the whole file, the share of weights that are not zero, the decoded score.

    `rate_weight` is lambda in units of the step, as in `compress`. `lossy_bytes` leaves out what is stored exactly and
    the header, as the paper counts; `density` is of the quantized tensors, 0 to 1.
    """

    s: int | None = None
    bits_per_weight: float | None = None
    rate_weight: float
    bytes: int
    lossy_bytes: int
    density: float
    snr_db: float
    score: float

    @property
    def named(self) -> str:
        """What was tried, in words."""
        tried = f"{self.bits_per_weight:g} bits a weight" if self.s is None else f"S = {self.s}"
        return f"{tried}, rate weight {self.rate_weight:g}"

    def to_json(self) -> dict[str, Any]:
        """Return the point as a plain dict."""
        return tables.plain(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The points in order of size. `best` is the smallest whose score is at least `reference` - `max_loss`; if there
    is none, the one of the highest score, and `met` is False. `comparison`: bytes of other codings of the best point's
    levels, by `cabacus.comparison`, to be held against its `lossy_bytes`.
    """

    points: tuple[TuningPoint, ...]
    best: TuningPoint
    met: bool
    reference: float
    max_loss: float
    original_bytes: int
    compressed: Compressed
    comparison: Mapping[str, int | None]

    def percent(self, size: int) -> float:
        """A size in percent of the original tensors: the paper's size."""
        return 100 * size / self.original_bytes

    def to_json(self) -> dict[str, Any]:
        """Return everything but the file as plain dicts and lists."""
        return {
            **tables.plain(self, without=("points", "best", "compressed", "comparison")),
            "best": self.best.to_json(),
            "points": [point.to_json() for point in self.points],
            "comparison": dict(self.comparison),
            "report": self.compressed.report.to_json(),
        }

    def table(self) -> str:
        """Return the points as text, the best one marked, with the other codings below."""
        header = [
            "",
            "S" if self.best.s is not None else "bits",
            "rate weight",
            "size",
            "% of original",
            "nonzero %",
            "SNR dB",
            "score",
        ]
        rows = [
            [
                "*" if point == self.best else "",
                f"{point.bits_per_weight:g}" if point.s is None else str(point.s),
                f"{point.rate_weight:g}",
                tables.size(point.bytes),
                f"{self.percent(point.bytes):.3f}",
                f"{100 * point.density:.2f}",
                tables.figure(point.snr_db),
                tables.figure(point.score, 4),
            ]
            for point in self.points
        ]
        allowed = f"a loss of {self.max_loss:g} from {self.reference:.6g}"
        verdict = f"smallest within {allowed}" if self.met else f"no point is within {allowed}; the best score"
        sizes: dict[str, int | None] = {"cabacus": self.best.lossy_bytes, **self.comparison}
        others = [
            [name, *(("-", "-") if size is None else (f"{size:,}", f"{self.percent(size):.3f}"))]
            for name, size in sizes.items()
        ]
        comparison = tables.align(["the same levels", "bytes", "% of original"], others, left=1)
        chosen = f"{verdict}: {self.best.named}, {self.best.bytes:,} bytes"
        return f"{tables.align(header, rows, left=1)}\n\n{chosen}\n\n{comparison}"
