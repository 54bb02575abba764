"""The table of bits per weight where half a point, 1 % of the loss or a tenth of a decibel is lost, from curves.

    python table.py curves.jsonl [--split search]

Top-1 of some hundred images goes up and down by itself. So it is smoothed: over the points of all methods together,
what is lost rises with the divergence of the answers (a monotone fit); where it reaches the allowance, each method's
bits are read off its own curve of bits over divergence, which is smooth.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("one step", "nncodec", "balanced", "default", "importance")


def monotone(values: np.ndarray) -> np.ndarray:
    """The nearest sequence that does not fall: means of pools of neighbours."""
    pools: list[list[float]] = []
    for value in values:
        pools.append([float(value), 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools.pop(), pools.pop()
            pools.append([(a * m + b * n) / (m + n), m + n])
    return np.concatenate([np.full(int(count), mean) for mean, count in pools])


def allowance(points: list[dict[str, Any]]) -> float:
    """The divergence, as a logarithm, at which the whole allowance is lost."""
    points = sorted(points, key=lambda one: one["divergence"])
    x = np.log([max(one["divergence"], 1e-9) for one in points])
    y = monotone(np.array([one["lost"] for one in points]))
    middle = [(x[y == value].mean(), value) for value in np.unique(y)]
    return float(np.interp(1.0, [value for _, value in middle], [place for place, _ in middle]))


def bits(points: list[dict[str, Any]], place: float) -> float:
    """Bits per weight where the divergence is as given: a line through the points within a factor of 8, or the nearest.

    One point more or less of luck moves a divergence by a third; a line through several does not follow it.
    """
    found = sorted((abs(math.log(max(one["divergence"], 1e-9)) - place), number) for number, one in enumerate(points))
    near = [points[number] for distance, number in found if distance < math.log(8)]
    chosen = near if len(near) > 2 else [points[number] for _, number in found[:3]]
    x = np.array([math.log(max(one["divergence"], 1e-9)) - place for one in chosen])
    y = np.array([one["bits_per_weight"] for one in chosen])
    slope, value = np.polyfit(x, y, 1, w=1.0 / (0.5 + np.abs(x)))
    return float(value if slope < 0 else y[np.argmin(np.abs(x))])


def table(rows: list[dict[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """Bits of each network and method."""
    networks: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        networks[row["network"]][row["method"]].append(row)
    found = []
    for name, methods in networks.items():
        place = allowance([one for points in methods.values() for one in points])
        row = {method: bits(methods[method], place) for method in METHODS if len(methods.get(method, [])) > 1}
        found.append((name, row | {"divergence": math.exp(place)}))
    return found


def main() -> None:
    """Print the table, and the mean of the savings over one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--split", default="search")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.curves.read_text().splitlines()]
    found = table([row for row in rows if row["split"] == options.split])
    print("| network | divergence | " + " | ".join(METHODS) + " |\n|" + "---|" * (len(METHODS) + 2))
    savings = defaultdict(list)
    for name, row in found:
        one = row.get("one step", math.nan)
        cells = []
        for method in METHODS:
            if method in row:
                savings[method].append(1 - row[method] / one)
                cells.append(f"{row[method]:.3f} ({100 * (row[method] / one - 1):+.1f} %)")
            else:
                cells.append("-")
        print(f"| {name} | {row['divergence']:.4f} | " + " | ".join(cells) + " |")
    print(
        {
            method: f"{100 * np.mean(values):.1f} % fewer, least {100 * min(values):.1f} %"
            for method, values in savings.items()
        }
    )


if __name__ == "__main__":
    main()
