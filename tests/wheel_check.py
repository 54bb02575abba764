"""What an installed wheel must do, with NumPy alone: there and back, by API and command line."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import cabacus


def main() -> None:
    """Raises AssertionError where it does not."""
    assert "site-packages" in Path(cabacus.__file__).parts, f"{cabacus.__file__} is not the installed one"
    weights = np.random.default_rng(1).laplace(0, 0.02, (300, 200)).astype(np.float32)
    compressed = cabacus.compress({"a": weights, "b": np.arange(7)}, snr_db=30)
    restored = cabacus.decompress(compressed.data)
    error = restored["a"] - weights
    assert 10 * np.log10(np.sum(weights**2) / np.sum(error**2)) > 29.9
    assert np.array_equal(restored["b"], np.arange(7))
    assert len(compressed.data) < weights.nbytes / 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.cabac")
        path.write_bytes(compressed.data)
        command = [sys.executable, "-m", "cabacus.service.cli", "verify", str(path)]
        subprocess.run(command, check=True)
    print(f"cabacus on Python {sys.version.split()[0]}: {len(compressed.data)} bytes")


if __name__ == "__main__":
    main()
