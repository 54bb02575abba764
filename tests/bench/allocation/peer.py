"""nncodec beside ours: one step for all tensors, its trellis as its API has it, in an interpreter that has it.

Its payload is counted, and for what stays exact our size; not its container's 61 bytes a tensor.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BENCH = Path(__file__).parents[4] / "shared" / "bench"


class Peer:
    """A network as nncodec makes it; tensors turned into matrices of outputs by the rest, as their shapes are."""

    def __init__(self, path: Path, python: str) -> None:
        import cabacus

        self.python = python
        self.tensors = dict(cabacus.read(path))
        report = cabacus.compress(path, step=1e-3, effort="fast").report
        self.names = [row.name for row in report.tensors if row.step]
        self.exact = report.bytes - sum(row.bytes for row in report.tensors if row.step)
        values = np.concatenate([self.tensors[name].ravel() for name in self.names]).astype(np.float64)
        self.rms = float(np.sqrt(np.square(values).mean()))

    def at(self, snr_db: float) -> tuple[int, dict[str, np.ndarray]]:
        """Return bytes and tensors for the step that gives about this SNR over all weights."""
        step = self.rms * np.sqrt(12.0) * 10 ** (-(snr_db + 4.5) / 20)
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "given.npz"), Path(folder, "made.npz")
            flat = {str(place): _matrix(self.tensors[name]) for place, name in enumerate(self.names)}
            np.savez(given, **flat)
            subprocess.run([self.python, __file__, str(given), str(made), repr(float(step))], check=True)
            with np.load(made) as found:
                size = int(found["size"])
                decoded = {
                    name: found[str(place)].reshape(self.tensors[name].shape) for place, name in enumerate(self.names)
                }
        return size + self.exact, {**self.tensors, **decoded}


def _matrix(tensor: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tensor, np.float32).reshape(tensor.shape[0], -1)


def _work(given: str, made: str, step: float) -> None:
    sys.path.insert(0, str(BENCH))
    from lossy_rd import Nncodec

    codec = Nncodec()
    size, decoded = 0, {}
    with np.load(given) as tensors:
        for name in tensors.files:
            payload, levels = codec.code("tcq-0", (tensors[name] / np.float32(step)).astype(np.float32))
            size += len(payload)
            decoded[name] = (codec.decode(payload, levels) * np.float32(step)).astype(np.float32)
    np.savez(made, size=size, **decoded)


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], float(sys.argv[3]))
