"""Accuracy against bytes as an SVG, from JSON, such as the benchmark's (tests/bench/federated_rounds, --curves).

python plot.py RUNS.json -o accuracy.svg          # {"title": ..., "series": {NAME: [[bytes, accuracy], ...], ...}}
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 60
COLORS = ("#6b7280", "#b45309", "#be185d", "#1d4ed8", "#047857", "#7c3aed", "#0891b2", "#4d7c0f")


def plot(title: str, series: dict[str, Sequence[Sequence[float]]]) -> str:
    """An SVG: bytes that each client has sent (logarithmic) against accuracy in percent, a line for each scheme."""
    points = [point for line in series.values() for point in line]
    low, high = (math.log10(choose(point[0] for point in points)) for choose in (min, max))
    # The first rounds are a cliff that would flatten what is of interest.
    ends = sorted(line[-1][1] for line in series.values())
    floor, roof = math.floor(2 * (ends[0] - 4)) / 2, math.ceil(2 * max(point[1] for point in points)) / 2

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - low) / max(high - low, 1e-9) * (WIDTH - LEFT - RIGHT)

    def y(percent: float) -> float:
        return TOP + (roof - percent) / max(roof - floor, 1e-9) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
        *_grid(low, high, floor, roof, x, y),
    ]
    parts += _lines(series, floor, x, y)
    return "\n".join([*parts, "</svg>\n"])


def _grid(low: float, high: float, floor: float, roof: float, x: Any, y: Any) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for power in range(math.ceil(low), math.floor(high) + 1):
        place = x(10**power)
        yield f'<line x1="{place:.1f}" y1="{TOP}" x2="{place:.1f}" y2="{bottom}" stroke="#e5e7eb"/>'
        name = ("B", "kB", "MB", "GB")[power // 3]
        yield f'<text x="{place:.1f}" y="{bottom + 18}" text-anchor="middle">{10 ** (power % 3)} {name}</text>'
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10) if (roof - floor) / step <= 10)
    for number in range(math.ceil(floor / step - 1e-9), math.floor(roof / step + 1e-9) + 1):
        place = y(number * step)
        yield f'<line x1="{LEFT}" y1="{place:.1f}" x2="{right}" y2="{place:.1f}" stroke="#e5e7eb"/>'
        yield f'<text x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{number * step:g}</text>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 18}" text-anchor="middle">bytes that a client has sent</text>'
    yield f'<text transform="translate(20 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">accuracy, %</text>'


def _lines(series: dict[str, Sequence[Sequence[float]]], floor: float, x: Any, y: Any) -> Iterator[str]:
    labels: list[float] = []
    order = sorted(series, key=lambda name: -series[name][-1][1])
    for name in order:
        color = COLORS[list(series).index(name) % len(COLORS)]
        shown = [(x(size), y(max(percent, floor))) for size, percent in series[name]]
        path = " ".join(f"{place:.1f},{height:.1f}" for place, height in shown)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8" stroke-linejoin="round"/>'
        place, height = shown[-1]
        yield f'<circle cx="{place:.1f}" cy="{height:.1f}" r="3.5" fill="{color}"/>'
        row = max([height, *(label + 16 for label in labels[-1:])])
        labels.append(row)
        right = WIDTH - RIGHT + 12
        yield f'<circle cx="{right}" cy="{row:.1f}" r="4" fill="{color}"/>'
        yield f'<text x="{right + 9}" y="{row + 4:.1f}">{escape(name)}</text>'


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    found = json.loads(given.runs.read_text(encoding="utf-8"))
    given.output.write_text(plot(found["title"], found["series"]), encoding="utf-8")


if __name__ == "__main__":
    main()
