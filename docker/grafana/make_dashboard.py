"""Writes dashboards/cabacus.json: a table of panels is easier to review than a thousand lines of JSON.

python docker/grafana/make_dashboard.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "dashboards" / "cabacus.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT = 8, 7
RATE = "$__rate_interval"


def quantiles(histogram: str, by: str = "kind") -> list[tuple[str, str]]:
    """Median and 99th percentile of a histogram of jobs, which each API shows alike: the greatest is any of them."""
    return [
        (f"histogram_quantile({q}, max by (le, {by}) (rate({histogram}_bucket[{RATE}])))", f"{{{{{by}}}}} p{text}")
        for q, text in ((0.5, "50"), (0.99, "99"))
    ]


# Row, then panels: title, unit, (query, legend)...
ROWS: list[tuple[str, list[tuple[str, str, list[tuple[str, str]]]]]] = [
    (
        "Jobs",
        [
            ("Waiting", "short", [("max by (priority) (cabacus_jobs_waiting)", "{{priority}}")]),
            ("Oldest that waits", "s", [("max by (priority) (cabacus_jobs_oldest_waiting_seconds)", "{{priority}}")]),
            ("Running", "short", [("max(cabacus_jobs_running)", "running")]),
            (
                "Ended",
                "ops",
                [(f"max by (kind, state) (rate(cabacus_jobs_ended_total[{RATE}]))", "{{kind}} {{state}}")],
            ),
            (
                "Failed, by reason",
                "short",
                [
                    (
                        'sum by (code) (max by (kind, code) (increase(cabacus_jobs_ended_total{state="failed"}[1h])))',
                        "{{code}}",
                    )
                ],
            ),
            (
                "Runs beyond the first, dead letters",
                "short",
                [
                    (
                        "sum(max by (kind) (increase(cabacus_jobs_runs_total[1h])))"
                        " - sum(max by (kind, priority) (increase(cabacus_jobs_submitted_total[1h])))",
                        "again",
                    ),
                    ("sum(max by (kind) (increase(cabacus_jobs_dead_letters_total[1h])))", "dead letters"),
                ],
            ),
            ("Wait before the start", "s", quantiles("cabacus_jobs_wait_seconds")),
            ("Time from start to end", "s", quantiles("cabacus_jobs_run_seconds")),
            ("Ratio", "short", quantiles("cabacus_jobs_ratio")),
        ],
    ),
    (
        "Bytes",
        [
            (
                "Models before and after",
                "Bps",
                [
                    (f"sum(max by (kind) (rate(cabacus_original_bytes_total[{RATE}])))", "before"),
                    (f"sum(max by (kind) (rate(cabacus_compressed_bytes_total[{RATE}])))", "after"),
                ],
            ),
            ("Stored", "Bps", [(f"max(rate(cabacus_stored_bytes_total[{RATE}]))", "stored")]),
            (
                "Received and sent",
                "Bps",
                [
                    (f"sum(rate(cabacus_http_received_bytes_total[{RATE}]))", "received"),
                    (f"sum(rate(cabacus_http_sent_bytes_total[{RATE}]))", "sent"),
                ],
            ),
        ],
    ),
    (
        "Requests",
        [
            ("Answers", "reqps", [(f"sum by (status) (rate(cabacus_http_requests_total[{RATE}]))", "{{status}}")]),
            (
                "Time of a request, p99",
                "s",
                [
                    (
                        "histogram_quantile(0.99, sum by (le, route)"
                        f" (rate(cabacus_http_request_seconds_bucket[{RATE}])))",
                        "{{route}}",
                    )
                ],
            ),
            (
                "Open requests; the queue answers",
                "short",
                [("sum(cabacus_http_open_requests)", "open"), ("min(cabacus_queue_up)", "queue up")],
            ),
        ],
    ),
]


def dashboard() -> dict[str, Any]:
    """The document."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, entries in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}}
        )
        top += 1
        for number, (title, unit, queries) in enumerate(entries):
            place = {"x": number % 3 * WIDTH, "y": top + number // 3 * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append(_panel(len(panels) + 1, title, unit, queries, place))
        top += -(-len(entries) // 3) * HEIGHT
    return {
        "uid": "cabacus",
        "title": "cabacus",
        "tags": ["cabacus"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "panels": panels,
    }


def _panel(number: int, title: str, unit: str, queries: list[tuple[str, str]], place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(65 + n), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for n, (query, legend) in enumerate(queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


if __name__ == "__main__":
    OUT.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
