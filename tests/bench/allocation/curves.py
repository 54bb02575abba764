"""Size against what a network still answers, for one method of spending bits: points of a curve, one JSON line each."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fisher import importance
from networks import SHARED, TASKS, Judge
from peer import Peer
from table import allowance

import cabacus

METHODS: dict[str, dict[str, Any]] = {
    "one step": {"distortion": "absolute", "quantizer": "round"},
    "balanced": {"distortion": "balanced", "quantizer": "round"},
    "default": {"distortion": "balanced"},
    "importance": {"distortion": "balanced"},
    "nncodec": {},
}
_AIM = 0.012
"""Nats of divergence that a curve is drawn around: top-1 falls by about half a point there."""
_SPREAD = (1.0, 0.4, 2.5)


class Curve:
    """The points of one network and method."""

    def __init__(self, judge: Judge, method: str, python: str) -> None:
        self.judge, self.method = judge, method
        self.path = SHARED / "data" / "models" / f"{judge.name}.safetensors"
        self.options = dict(METHODS[method])
        self.peer = Peer(self.path, python) if method == "nncodec" else None
        if method == "importance":
            rows = cabacus.compress(self.path, snr_db=20, effort="fast").report.tensors
            found = importance(Judge(judge.name, "tune"), [row.name for row in rows if row.step])
            # What few samples say is uncertain, and holds for small errors: half way, in decibels, from "balanced".
            self.options["importance"] = {
                name: np.sqrt(fisher / _balanced(judge.tensors[name])).astype(np.float32)
                for name, fisher in found.items()
            }

    def at(self, snr_db: float) -> dict[str, Any]:
        """Compress to an SNR of the method's own weighing, and judge."""
        started = time.perf_counter()
        if self.peer is not None:
            size, tensors = self.peer.at(snr_db)
        else:
            compressed = cabacus.compress(self.path, snr_db=snr_db, threads=1, **self.options)
            size, tensors = len(compressed.data), dict(cabacus.decompress(compressed.data, threads=1))
        middle = time.perf_counter()
        answers = self.judge.answers(tensors)
        weights = sum(tensor.size for tensor in self.judge.tensors.values())
        return {
            "network": self.judge.name,
            "method": self.method,
            "split": self.judge.split,
            "snr_db": round(snr_db, 3),
            "bytes": size,
            "bits_per_weight": 8 * size / weights,
            "divergence": self.judge.divergence(answers),
            "lost": self.judge.lost(answers),
            "before": self.judge.metric,
            "after": self.judge.measure(answers),
            "seconds": [round(middle - started, 2), round(time.perf_counter() - middle, 2)],
        }

    def around(self, known: list[dict[str, Any]], aim: float) -> Iterator[dict[str, Any]]:
        """New points until there are some near each divergence that is wanted."""
        points = list(known)
        for share in _SPREAD:
            yield from self._near(points, aim * share)
        for _ in range(6):
            lost = [point["lost"] for point in points]
            if max(lost) >= 1.0 > min(lost):
                break
            places = [point["divergence"] for point in points]
            yield from self._near(points, max(places) * 2.2 if max(lost) < 1.0 else min(places) / 2.2)

    def between(self, known: list[dict[str, Any]], place: float) -> Iterator[dict[str, Any]]:
        """More points around the SNR at which the divergence is as given, as a logarithm."""
        for off in (-1.5, -0.5, 0.5, 1.5):
            x = [math.log(max(one["divergence"], 1e-9)) for one in known]
            order = np.argsort(np.abs(np.array(x) - place))[:4]
            slope, start = np.polyfit([x[number] for number in order], [known[number]["snr_db"] for number in order], 1)
            snr_db = float(start + slope * place + off)
            if all(abs(one["snr_db"] - snr_db) > 0.25 for one in known):
                yield self.at(min(max(snr_db, 0.5), 90.0))

    def _near(self, points: list[dict[str, Any]], wanted: float) -> Iterator[dict[str, Any]]:
        for _ in range(5):
            if any(abs(math.log(max(point["divergence"], 1e-9) / wanted)) < 0.35 for point in points):
                break
            snr_db = _next(points, wanted)
            if any(abs(point["snr_db"] - snr_db) < 0.05 for point in points):
                break
            points.append(self.at(snr_db))
            yield points[-1]


def _balanced(weights: np.ndarray) -> float:
    """eta of a tensor by "balanced"."""
    share = max(np.count_nonzero(weights) / weights.size, 1 / 8)
    return float(1.0 / (np.sqrt(np.square(weights, dtype=np.float64).mean()) * weights.size * share**2))


def _next(points: list[dict[str, Any]], wanted: float) -> float:
    """The SNR where the divergence should be as wanted: it falls by as many decibels as the SNR rises, about."""
    if not points:
        return 30.0
    decibels = [(10 * math.log10(max(point["divergence"], 1e-9) / wanted), point["snr_db"]) for point in points]
    above = min((one for one in decibels if one[0] >= 0), default=None)
    below = max((one for one in decibels if one[0] < 0), default=None)
    if above is not None and below is not None:
        share = above[0] / (above[0] - below[0])
        return above[1] + min(max(share, 0.1), 0.9) * (below[1] - above[1])
    off, snr_db = above if above is not None else below  # type: ignore[misc]
    return min(max(snr_db + min(max(off, -9), 12), 0.5), 90.0)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that may not be there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(options: argparse.Namespace) -> bool:
    """Draw what is missing; False where time ran out."""
    end = time.monotonic() + options.seconds
    for name in options.networks.split(","):
        judge: Judge | None = None
        for method in options.methods.split(","):
            known = [
                row
                for row in rows_of(options.out)
                if (row["network"], row["method"], row["split"]) == (name, method, options.split)
            ]
            done = options.out.with_suffix(".done")
            mark = f"{name} {method} {options.split}" + (" dense" if options.dense else "")
            if done.exists() and mark in done.read_text().splitlines():
                continue
            everything = [
                row for row in rows_of(options.out) if (row["network"], row["split"]) == (name, options.split)
            ]
            place = allowance(everything) if options.dense else 0.0
            judge = judge or Judge(name, options.split)
            curve = Curve(judge, method, options.nncodec)
            aim = (100.0 if judge.task == "denoise" else 1.0) * options.aim
            if judge.task == "denoise":
                aim = 0.02
            for row in curve.between(known, place) if options.dense else curve.around(known, aim):
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(
                    name[:20],
                    method,
                    *(f"{row[key]:.4g}" for key in ("snr_db", "bits_per_weight", "divergence", "lost")),
                    row["seconds"],
                    flush=True,
                )
                if time.monotonic() > end:
                    return False
            with done.open("a") as file:
                file.write(mark + "\n")
    return True


def main() -> int:
    """Draw the curves; exit status 9 says that there is more to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(TASKS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--split", default="search")
    parser.add_argument("--aim", type=float, default=_AIM)
    parser.add_argument("--dense", action="store_true", help="more points where the allowance is lost")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--nncodec", default="", help="an interpreter that has nncodec")
    parser.add_argument("--out", type=Path, required=True)
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    return 0 if run(parser.parse_args()) else 9


if __name__ == "__main__":
    sys.exit(main())
