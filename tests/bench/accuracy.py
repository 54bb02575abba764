"""Size against quality of real networks after decompression, by the evaluation scripts of ../shared/eval.

    python tests/bench/accuracy.py --python TORCH_PYTHON [--networks a,b] [--out rows.jsonl]

For each network: 30 dB, and the smallest size that loses at most half a point (top-1) or 1 % (loss), found
by halving over whole decibels of the balanced SNR. TORCH_PYTHON is an interpreter with torch and pillow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cabacus

SHARED = Path(__file__).parents[3] / "shared"
NETWORKS = (
    "resnet20_cifar10",
    "mobilenet_v1_075_224_imagenet",
    "lenet300_mnist_pruned",
    "squeezenet10_imagenet_deepcompressed",
    "stories260k_llama",
)
METRICS = ("top1", "nll_bits_per_token", "bits_per_char", "psnr")
LOWEST, HIGHEST = 4, 56


class Network:
    """One network, its quality as it is, and what compression makes of it."""

    def __init__(self, name: str, python: str, out: Path | None) -> None:
        self.name = name
        self.path = SHARED / "data" / "models" / f"{name}.safetensors"
        self.python = python
        self.out = out
        self.metric, self.before = self._quality(self.path)
        self._known: dict[int, dict[str, Any]] = {}

    def at(self, snr_db: int) -> dict[str, Any]:
        """Compress to an SNR, measure, keep and tell."""
        if snr_db not in self._known:
            start = time.process_time()
            compressed = cabacus.compress(self.path, snr_db=snr_db, threads=1)
            packed = time.process_time() - start
            start = time.process_time()
            tensors = cabacus.decompress(compressed.data, threads=1)
            unpacked = time.process_time() - start
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, self.path.name)
                cabacus.write(path, tensors, cabacus.read(self.path).metadata)
                _, after = self._quality(path)
            report = compressed.report
            self._known[snr_db] = {
                "network": self.name,
                "snr_db": snr_db,
                "plain_snr_db": round(report.plain_snr_db, 2),
                "bytes": report.bytes,
                "percent": round(100 / report.ratio, 2),
                "bits_per_weight": round(report.bits_per_weight, 3),
                "metric": self.metric,
                "before": self.before,
                "after": after,
                "compress_mparam_s": round(report.parameters / packed / 1e6, 2),
                "decompress_mparam_s": round(report.parameters / unpacked / 1e6, 1),
            }
            line = json.dumps(self._known[snr_db])
            print(line, flush=True)
            if self.out is not None:
                with self.out.open("a") as file:
                    file.write(line + "\n")
        return self._known[snr_db]

    def good(self, snr_db: int) -> bool:
        """Whether what is lost at that SNR is within the allowance."""
        after = self.at(snr_db)["after"]
        if self.metric == "top1":
            return bool(after >= self.before - 0.5)
        return bool(after <= 1.01 * self.before if "bits" in self.metric else after >= self.before - 0.1)

    def smallest(self) -> dict[str, Any]:
        """The least SNR that is good, by halving: quality is taken to rise with it."""
        low, high = LOWEST, HIGHEST
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.good(middle) else (middle + 1, high)
        return self.at(high)

    def _quality(self, path: Path) -> tuple[str, float]:
        command = [self.python, str(SHARED / "eval" / "run_eval.py"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        return next((name, float(found[name])) for name in METRICS if name in found)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.networks.split(","):
        network = Network(name, options.python, options.out)
        rows += [network.at(30), network.smallest()]
    for row in rows:
        print("  ".join(str(value) for value in row.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
