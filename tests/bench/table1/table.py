"""Table 1: trains what is not trained yet, tunes S and lambda on the held-out images, reads the test images once.

    python tests/bench/table1/table.py DATA WORK [--row lenet300 ...] [--seed 1 ...] [--short]

writes WORK/ROW-SEED/: model.cabac, result.json (all points, the report, the comparison), curve.svg; prints the table.
"before" is the dense network, "after" the file decoded. "size %" is the whole file over the network in float32,
"paper's count" that of the layers' weights alone, without biases and header.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import Split
from lossless import lossless, squeezenet
from rows import ROWS, Row
from train import Trainer, parser

from cabacus import decompress, read, tables
from cabacus.sparsify import load
from cabacus.tuning import tune
from cabacus.tuning.drawing import svg

__all__ = ["boost", "deviations", "measure", "table"]

DEFAULT = [name for name in ROWS if name != "small_vgg16"]
"""Small-VGG16 takes days without a GPU, and is trained on request only."""
OTHERS = "VGG16, ImageNet: no weights to be had; the paper has 1.57 % at 69.43"


def measure(row: Row, split: Split, trainer: Trainer) -> dict[str, Any]:
    """Tune one trained network, keep its file and curve, and judge it by the test images."""
    network = row.make()
    dense, sparse = trainer.read("dense"), trainer.read("sparse")

    def held_out(weights: Mapping[str, np.ndarray]) -> float:
        return row.score(load(network, weights), split.held_out)

    began = time.perf_counter()
    sigma = deviations(row, trainer.folder, sparse)
    lost = max(0.0, held_out(dense) - held_out(sparse)) if row.against_dense else 0.0
    tuning = tune(
        sparse,
        sigma=sigma,
        evaluate=held_out,
        s=_points(sparse, sigma, row.s_stride),
        bits_per_weight=row.sizes,
        rate_weights=row.rate_weights,
        max_loss=max(0.0, row.max_loss - lost),
        quantizer=row.quantizer,
        effort=row.effort,
        rules=row.rules,
        progress=lambda point: trainer.note(f"{point.named}: {point.bytes} B, {point.score:.3f} {row.unit}"),
    )
    tuning.compressed.save(trainer.folder / "model.cabac")
    (trainer.folder / "curve.svg").write_text(svg(tuning))
    trainer.note(tuning.table())
    decoded = decompress(tuning.compressed.data)
    matrices = {name: array for name, array in sparse.items() if array.ndim > 1}
    parameters = sum(array.size for array in matrices.values())
    coded = sum(one.bytes for one in tuning.compressed.report.tensors if one.name in matrices)
    result = {
        **tuning.to_json(),
        "row": row.name,
        "seed": trainer.seed,
        "percent": tuning.percent(tuning.best.bytes),
        "paper_percent": 100 * coded / (4 * parameters),
        "density": 100 * sum(int(np.count_nonzero(array)) for array in matrices.values()) / parameters,
        "test": {
            name: row.score(load(network, weights), split.test)
            for name, weights in (("dense", dense), ("sparse", sparse), ("compressed", decoded))
        },
        "seconds": time.perf_counter() - began,
    }
    (trainer.folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def deviations(row: Row, folder: Path, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sigma of a row's network, from its folder."""
    sigma = dict(read(folder / "sigma.safetensors"))
    if row.rules:  # biases have a step of their own, and need some sigma to be weighed by
        sigma |= {name: np.ones(array.shape, np.float32) for name, array in weights.items() if array.ndim == 1}
    return sigma


def _points(weights: Mapping[str, np.ndarray], sigma: Mapping[str, np.ndarray], stride: int) -> list[int]:
    """S up to 256, as in the paper, and down to where some step of eq. 2 is four times its smallest sigma."""
    matrices = [name for name, array in weights.items() if array.ndim > 1 and array.any()]
    ratio = min(2 * float(np.abs(weights[name]).max()) / float(sigma[name].min()) for name in matrices)
    lowest = -int(0.75 * ratio) // stride * stride + stride
    return [s for s in range(lowest, 257, stride) if s > -0.75 * ratio] or [0]


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The results as text, a line for each network, and the paper's beside them."""
    header = ["row", "seed", "unit", "before", "sparse", "after", "nonzero %", "size %", "paper's count"]
    header += ["bytes", "S", "rate weight", "paper"]
    lines = []
    for one in results:
        row, test, best = ROWS[one["row"]], one["test"], one["best"]
        scores = [f"{test[name]:.2f}" for name in ("dense", "sparse", "compressed")]
        sizes = [f"{one['density']:.2f}", f"{one['percent']:.3f}", f"{one['paper_percent']:.3f}", f"{best['bytes']:,}"]
        chosen = [
            f"{best['bits_per_weight']:g} bits" if best["s"] is None else str(best["s"]),
            f"{best['rate_weight']:g}",
        ]
        lines.append([one["row"], str(one["seed"]), row.unit, *scores, *sizes, *chosen, row.paper])
    return tables.align(header, lines, left=1)


def boost(figures: Sequence[tuple[str, float, float]]) -> str:
    """The mean over rows, each the mean of its networks, of 1 - size / nonzero, with the deviation: what coding adds to
    sparsity. Figures are (row, size, nonzero) in percent; dense rows do not count.

    >>> boost([("a", 1.0, 5.0), ("a", 2.0, 5.0), ("b", 1.0, 2.0), ("c", 12.0, 100.0)])
    'mean boost over sparsity alone, of 2 rows: 60 % +- 14 (paper: 74 % +- 8)'
    """
    rows: dict[str, list[float]] = {}
    for row, percent, density in figures:
        if density < 100:
            rows.setdefault(row, []).append(100 * (1 - percent / density))
    means = [statistics.mean(each) for each in rows.values()]
    if not means:
        return "no sparse rows"
    spread = f" +- {statistics.stdev(means):.0f}" if len(means) > 1 else ""
    mean = f"{statistics.mean(means):.0f} %{spread} (paper: 74 % +- 8)"
    return f"mean boost over sparsity alone, of {len(means)} rows: {mean}"


def main() -> None:
    """Train, measure and print the rows that are asked for."""
    arguments = parser("Table 1 of the paper").parse_args()
    torch.set_num_threads(1)
    results = []
    for name in arguments.row or DEFAULT:
        row = ROWS[name].short() if arguments.short else ROWS[name]
        split: Split | None = None
        for seed in arguments.seed or [1]:
            known = arguments.work / f"{name}-{seed}" / "result.json"
            if not known.exists():
                split = split or row.read(arguments.data / "datasets", row.images if arguments.short else None)
                trainer = Trainer(row, split, seed, arguments.data / "models", arguments.work)
                trainer.train()
                measure(row, split, trainer)
            results.append(json.loads(known.read_text()))
    text = table(results)
    figures = [(one["row"], one["percent"], one["density"]) for one in results]
    if not arguments.row:
        found = lossless(arguments.data / "models")
        figures.append(("squeezenet", *found[1:]))
        text += f"\n{squeezenet(*found)}\n{OTHERS}"
    text += f"\n\n{boost(figures)}"
    Path(arguments.work, "table.txt").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
