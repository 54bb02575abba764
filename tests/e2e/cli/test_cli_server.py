"""The command with `--server`: the same words, the same bytes, the work done elsewhere."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import cabacus as engine

from .conftest import Cabacus


def test_compress_gives_the_same_bytes_table_and_report_here_and_there(
    cabacus: Cabacus, service_url: str, model: Path, tmp_path: Path
) -> None:
    flags = ("--bits-per-weight", 3, "--rule", "conv.*:keep", "--distortion", "absolute", "--quantizer", "greedy")
    here = cabacus("compress", model, "-o", "here.cabac", "--report", "here.json", *flags)
    there = cabacus("compress", model, "-o", "there.cabac", "--report", "there.json", "--server", service_url, *flags)
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    assert (tmp_path / "there.cabac").read_bytes() == (tmp_path / "here.cabac").read_bytes()
    rows = [json.loads((tmp_path / name).read_text())["tensors"] for name in ("here.json", "there.json")]
    for row in [*rows[0], *rows[1]]:
        del row["seconds"]
    assert rows[0] == rows[1]
    assert there.stderr.splitlines()[: len(rows[0]) + 3] == here.stderr.splitlines()[: len(rows[0]) + 3]


def test_files_beside_the_model_and_pipes_go_there_too(
    cabacus: Cabacus, service_url: str, model: Path, importance: Path
) -> None:
    done = cabacus(
        *("compress", "-", "-o", "-", "--snr-db", 25, "--importance", importance, "--quiet", "--server", service_url),
        input=model.read_bytes(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == engine.compress(model, snr_db=25, importance=importance).data
    back = cabacus("decompress", "-", "-o", "-", "--server", service_url, input=done.stdout)
    local = cabacus("decompress", "-", "-o", "-", input=done.stdout)
    assert back.stdout == local.stdout


def test_decompress_inspect_verify_and_sweep_say_the_same(
    cabacus: Cabacus, service_url: str, model: Path, packed: Path, sigma: Path
) -> None:
    for arguments in (
        ("decompress", packed, "-o", "-", "--format", "npz", "--name", "fc.*"),
        ("inspect", packed),
        ("inspect", packed, "--json"),
        ("verify", packed),
        ("verify", packed, "--against", model),
        ("sweep", model, "--sigma", sigma, "--s", "0:20:5"),
    ):
        here, there = cabacus(*arguments), cabacus(*arguments, "--server", service_url)
        assert (there.returncode, there.stdout) == (here.returncode, here.stdout), (arguments, there.stderr)
        assert here.returncode == 0


def test_what_the_service_refuses_ends_with_1_and_its_words(cabacus: Cabacus, service_url: str, tmp_path: Path) -> None:
    done = cabacus("compress", "-", "-o", "out", "--server", service_url, input=b"no tensors")
    assert done.returncode == 1
    assert done.stderr.startswith(b"cabacus compress: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_service_that_is_not_there_ends_with_3(cabacus: Cabacus, packed: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        done = cabacus("inspect", packed, "--server", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
