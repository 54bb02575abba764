"""Keeps networks of Table 1 beside the scripts, as small files: to be run anew when the format changes.

    python tests/bench/table1/keep.py WORK [lenet300-1 ...]

codes each network of WORK once more, with the S and lambda that were chosen for it, and writes into `trained`:
ROW-SEED.cabac, ROW-SEED.log of its training, ROW-SEED.svg, the curve of what was tried, and results.json, the figures
of all that are there.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from rows import ROWS
from table import deviations

from cabacus import compress, read

TRAINED = Path(__file__).parent / "trained"
DEFAULT = ("lenet300-1", "lenet5-1", "fcae-1")
FIGURES = ("row", "seed", "density", "percent", "paper_percent", "test", "best")


def keep(folder: Path) -> dict[str, Any]:
    """Write one network's file and log; its figures, with the size of the file that was written."""
    result = json.loads((folder / "result.json").read_text())
    row, best = ROWS[result["row"]], result["best"]
    weights = read(folder / "sparse.safetensors")
    target = {name: best[name] for name in ("s", "bits_per_weight") if best[name] is not None}
    compressed = compress(
        weights,
        sigma=deviations(row, folder, weights),
        rate_weight=best["rate_weight"],
        quantizer=row.quantizer,
        effort=row.effort,
        rules=row.rules,
        **target,
    )
    compressed.save(TRAINED / f"{folder.name}.cabac")
    shutil.copyfile(folder / "train.log", TRAINED / f"{folder.name}.log")
    shutil.copyfile(folder / "curve.svg", TRAINED / f"{folder.name}.svg")
    size = len(compressed.data)
    result["best"] |= {"bytes": size}
    return {name: result[name] for name in FIGURES} | {"percent": 100 * size / result["original_bytes"]}


def main() -> None:
    """Keep what is asked for."""
    parser = argparse.ArgumentParser(description="Keeps networks of Table 1")
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("names", nargs="*", metavar="ROW-SEED", default=DEFAULT)
    arguments = parser.parse_args()
    TRAINED.mkdir(exist_ok=True)
    path = TRAINED / "results.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {name: keep(arguments.work / name) for name in arguments.names}
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
