"""Starts the service, sends it a trained network, brings it back, compares, and serves on until Ctrl-C.

    python engine/examples/first_light.py [--port 8000] [--state FOLDER]

`make run` does this. The network is LeNet-300-100 of the folder beside this file.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import cabacus
from cabacus.service.cli.documents import report
from cabacus.service.client import Client
from cabacus.service.processes import die_with_parent

MODEL = Path(__file__).parent / "lenet300" / "lenet300.safetensors"
SNR_DB = 30.0


@contextmanager
def service(port: int, state: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running service: its URL and process. It is stopped at the end, and dies with this process."""
    parent = os.getpid()
    process = subprocess.Popen(
        [sys.executable, "-m", "cabacus.service.cli", "serve", "--port", str(port), "--state", str(state)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: die_with_parent(parent),
    )
    try:
        assert process.stdout is not None
        announcement = process.stdout.readline()  # comes when the service is ready, or is empty when it has ended
        if not announcement:
            hint = f"; if port {port} is taken, choose another: make run PORT={port + 1}"
            sys.exit(f"the service did not start{hint if process.wait() == 3 else ''}")
        yield announcement.split()[-1], process
    finally:
        process.terminate()
        process.wait()


def there_and_back(url: str) -> None:
    """Compress and decompress the network over HTTP, compare, and print the report."""
    original = cabacus.read(MODEL)
    with Client(url) as client, tempfile.TemporaryDirectory() as folder:
        compressed = client.compress(MODEL, snr_db=SNR_DB)
        packed = compressed.save(Path(folder, "lenet300.cabac"))
        restored = cabacus.read(client.decompress(packed).save(Path(folder, "lenet300.safetensors")))
        check(original, restored, compressed.report)
    print(report(compressed.report).table())
    print(f"\nthere and back over HTTP: {len(original)} tensors, as the report says")
    print(f"by hand:  curl --fail-with-body --data-binary @{os.path.relpath(MODEL)} \\")
    print(f"               '{url}/compress?snr_db=30' -H 'Prefer: wait=60' -o model.cabac")


def check(original: cabacus.Tensors, restored: cabacus.Tensors, said: Mapping[str, Any]) -> None:
    """End with an error unless names, order, shapes, types and exact tensors are as before and the rest as reported."""
    if [(name, array.shape, array.dtype) for name, array in original.items()] != [
        (name, array.shape, array.dtype) for name, array in restored.items()
    ]:
        sys.exit("the tensors that came back have other names, shapes or types")
    error = power = 0.0
    for row in said["tensors"]:
        before, after = original[row["name"]].astype(np.float64), restored[row["name"]].astype(np.float64)
        if row["lossy"]:
            error += float(np.sum((before - after) ** 2))
            power += float(np.sum(before**2))
        elif not np.array_equal(before, after):
            sys.exit(f"{row['name']} is to be exact, and came back changed")
    measured = 10 * np.log10(power / error)
    if abs(measured - said["plain_snr_db"]) > 0.01:
        sys.exit(f"the SNR is {measured:.3f} dB, and the report says {said['plain_snr_db']:.3f} dB")


def main() -> int:
    """Run the service, and the network through it."""
    parser = argparse.ArgumentParser(description="A trained network through the service, over HTTP")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--state", type=Path, default=Path(".run"), help="folder of the service's data")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with service(arguments.port, arguments.state) as (url, process):
            there_and_back(url)
            print(f"\nthe service runs on {url} until Ctrl-C", flush=True)
            return process.wait()
    except KeyboardInterrupt:
        print("\nstopped")
        return 0


if __name__ == "__main__":
    sys.exit(main())
