"""GET /metrics for Prometheus: jobs as the queue counted them, requests as this process did.

The queue counts a job's transitions where they happen, in the same step; so the figures of jobs are right however many
APIs and workers there are and whichever restart, and every API shows the same. Sum figures of requests over the APIs;
of jobs take any one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cabacus.service.api import documentation as docs
from cabacus.service.api.callers import Scraper
from cabacus.service.api.context import Current
from cabacus.service.queue.port import HISTOGRAMS, Statistics

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])

_COUNTERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "submitted": ("cabacus_jobs_submitted", "Jobs accepted.", ("kind", "priority")),
    "runs": ("cabacus_jobs_runs", "Runs of jobs; more than ended: some ran again.", ("kind",)),
    "ended": ("cabacus_jobs_ended", "Jobs ended; of those that failed, why.", ("kind", "state", "code")),
    "dead_letters": ("cabacus_jobs_dead_letters", "Jobs given up.", ("kind",)),
    "stored_bytes": ("cabacus_stored_bytes", "Bytes of uploads, results and reports stored.", ()),
    "original_bytes": ("cabacus_original_bytes", "Bytes of models before, of jobs done.", ("kind",)),
    "compressed_bytes": ("cabacus_compressed_bytes", "Bytes of the same models after.", ("kind",)),
}
_HISTOGRAMS = {
    "wait_seconds": ("cabacus_jobs_wait_seconds", "Time from a job's acceptance to its first start."),
    "run_seconds": ("cabacus_jobs_run_seconds", "Time from a job's first start to its end."),
    "ratio": ("cabacus_jobs_ratio", "Original bytes / compressed bytes of a job."),
}


@router.get("/metrics", **docs.METRICS)
async def get_metrics(context: Current, caller: Scraper) -> Response:
    """Show the figures in Prometheus' text format. Where keys are needed, this needs the scope `metrics`."""
    statistics: Statistics | None = None
    try:
        statistics = await context.queue.statistics()
    except ConnectionError as error:
        logger.warning("metrics without the queue's: %s", error)
    registry = CollectorRegistry()
    registry.register(_Jobs(statistics))
    registry.register(context.figures.registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


class _Jobs(Collector):
    """The queue's statistics as Prometheus has them."""

    def __init__(self, statistics: Statistics | None) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """The families."""
        found = self._statistics
        yield GaugeMetricFamily("cabacus_queue_up", "1 when the queue answers.", value=float(found is not None))
        if found is None:
            return
        waiting = GaugeMetricFamily("cabacus_jobs_waiting", "Jobs that wait.", labels=("priority",))
        oldest = GaugeMetricFamily(
            "cabacus_jobs_oldest_waiting_seconds", "Age of the job that waits longest; 0: none.", labels=("priority",)
        )
        for priority, number in found.waiting.items():
            waiting.add_metric((priority,), number)
            oldest.add_metric((priority,), found.oldest_seconds[priority])
        yield waiting
        yield oldest
        running = max(0, found.open - sum(found.waiting.values()))
        yield GaugeMetricFamily("cabacus_jobs_running", "Jobs that run.", value=running)
        for name, (family, text, labels) in _COUNTERS.items():
            counter = CounterMetricFamily(family, text, labels=labels)
            for key, value in sorted(found.counters.items()):
                if key[0] == name:
                    counter.add_metric(key[1:], value)
            yield counter
        for name, (family, text) in _HISTOGRAMS.items():
            yield _histogram(name, family, text, found)


def _histogram(name: str, family: str, text: str, found: Statistics) -> HistogramMetricFamily:
    bounds = HISTOGRAMS[name]
    counts: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * (len(bounds) + 1))
    for key, value in found.counters.items():
        if key[:2] == ("bucket", name):
            counts[key[2]][int(key[3])] += value
    histogram = HistogramMetricFamily(family, text, labels=("kind",))
    for kind, numbers in sorted(counts.items()):
        buckets, total = [], 0.0
        for bound, number in zip((*map(str, bounds), "+Inf"), numbers, strict=True):
            total += number
            buckets.append((bound, total))
        histogram.add_metric((kind,), buckets, found.counters.get(("sum", name, kind), 0.0))
    return histogram
