"""The command at work on this machine: files, pipes, reports, refusals, interruptions."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cabacus as engine
from cabacus.federated import UpdateEncoder

from .conftest import COMMAND, SECONDS, Cabacus

Started = Callable[..., subprocess.Popen[bytes]]


def figures(report: dict[str, object]) -> dict[str, object]:
    """A report without its times."""
    kept = {name: value for name, value in report.items() if name not in ("seconds", "tensors")}
    rows = report.get("tensors", [])
    assert isinstance(rows, list)
    return kept | {"tensors": [{name: value for name, value in row.items() if name != "seconds"} for row in rows]}


def test_compress_writes_the_engine_s_bytes_and_tells_of_them_on_standard_error(
    cabacus: Cabacus, model: Path, tmp_path: Path
) -> None:
    done = cabacus("compress", model, "-o", "m.cabac", "--snr-db", 30, "--report", "report.json")
    expected = engine.compress(model, snr_db=30)
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "m.cabac").read_bytes() == expected.data
    assert b"fc.weight" in done.stderr
    assert b"\r" not in done.stderr  # no progress bar where nobody watches
    assert figures(json.loads((tmp_path / "report.json").read_text())) == figures(expected.report.to_json())
    assert sorted(os.listdir(tmp_path)) == ["m.cabac", "report.json"]


def test_every_option_reaches_the_engine(
    cabacus: Cabacus, model: Path, sigma: Path, importance: Path, tmp_path: Path
) -> None:
    for flags, options in (
        (["--bits-per-weight", "3"], {"bits_per_weight": 3}),
        (["--ratio", "8"], {"ratio": 8}),
        (["--max-bytes", "20000"], {"max_bytes": 20000}),
        (["--max-abs-error", "0.01"], {"max_abs_error": 0.01}),
        (
            ["--step", "0.02", "--lambda", "0.0001", "--quantizer", "greedy"],
            {"step": 0.02, "lam": 1e-4, "quantizer": "greedy"},
        ),
        (["--s", "4", "--sigma", "sigma.npz"], {"s": 4, "sigma": tmp_path / "sigma.npz"}),
        (
            ["--importance", "eta.npz", "--rate-weight", "0.05"],
            {"importance": tmp_path / "eta.npz", "rate_weight": 0.05},
        ),
        (["--distortion", "relative", "--effort", "fast"], {"distortion": "relative", "effort": "fast"}),
        (["--rule", "conv.*:keep", "--rule", "fc.*:n=4", "--threads", "2"], {"rules": ["conv.*:keep", "fc.*:n=4"]}),
    ):
        done = cabacus("compress", model, "-o", "m.cabac", "--force", "--quiet", *flags)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), flags
        assert (tmp_path / "m.cabac").read_bytes() == engine.compress(model, **options).data, flags


def test_pipes_carry_the_same_bytes(cabacus: Cabacus, model: Path, tmp_path: Path) -> None:
    command = " ".join(COMMAND)
    line = f"{command} compress - -o - --snr-db 30 --quiet | tee m.cabac | {command} decompress - -o - >m.safetensors"
    with open(model, "rb") as file:
        subprocess.run(["bash", "-c", line], cwd=tmp_path, stdin=file, check=True, timeout=2 * SECONDS)
    data = (tmp_path / "m.cabac").read_bytes()
    assert data == engine.compress(model, snr_db=30).data
    restored, expected = engine.read(tmp_path / "m.safetensors"), engine.decompress(data)
    assert list(restored) == list(expected)
    assert restored.metadata == {"made by": "a test"}
    for name, array in restored.items():
        np.testing.assert_array_equal(array, expected[name])
    assert cabacus("inspect", "-", input=data).stdout == cabacus("inspect", "m.cabac").stdout
    assert cabacus("verify", "-", "--against", model, input=data).returncode == 0


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_decompress_brings_chosen_tensors_in_the_format_of_the_name(
    cabacus: Cabacus, packed: Path, tmp_path: Path, suffix: str
) -> None:
    assert cabacus("decompress", packed, "-o", f"m.{suffix}", "--name", "fc.*", "--name", "steps").returncode == 0
    assert set(engine.read(tmp_path / f"m.{suffix}")) == {"fc.weight", "fc.bias", "steps"}


def test_decompress_brings_one_tensor_as_npy(cabacus: Cabacus, packed: Path, model: Path) -> None:
    done = cabacus("decompress", packed, "-o", "-", "--format", "npy", "--name", "fc.bias")
    np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout)), engine.read(model)["fc.bias"])
    several = cabacus("decompress", packed, "-o", "m.npy")
    assert several.returncode == 1
    assert b"--name" in several.stderr


def test_a_name_that_matches_nothing_is_told(cabacus: Cabacus, packed: Path, tmp_path: Path) -> None:
    done = cabacus("decompress", packed, "-o", "m.npz", "--name", "fc9.*")
    assert done.returncode == 1
    assert b"fc9.*" in done.stderr
    assert os.listdir(tmp_path) == ["packed.cabac"]


def test_inspect_prints_a_table_or_json(cabacus: Cabacus, packed: Path) -> None:
    expected = engine.inspect(packed)
    assert cabacus("inspect", packed).stdout.decode() == expected.table() + "\n"
    assert json.loads(cabacus("inspect", packed, "--json").stdout) == expected.to_json()


def test_updates_are_read_with_their_base(cabacus: Cabacus, model: Path, tmp_path: Path) -> None:
    base = engine.read(model)
    local = {name: array * 1.01 if array.dtype.kind == "f" else array for name, array in base.items()}
    local = {name: np.asarray(array, base[name].dtype) for name, array in local.items()}
    update = tmp_path / "update.cabac"
    update.write_bytes(UpdateEncoder().encode(local, base).data)
    for command in (["decompress", update, "-o", "m.npy"], ["verify", update]):
        done = cabacus(*command)
        assert done.returncode == 1
        assert b"pass base=" in done.stderr + done.stdout
    assert cabacus("verify", update, "--base", model).returncode == 0
    assert cabacus("inspect", update, "--base", model).stdout.decode().count("\n") > len(base)
    assert cabacus("decompress", update, "-o", "m.npz", "--base", model).returncode == 0
    assert engine.read(tmp_path / "m.npz").keys() == base.keys()


def test_verify_tells_whole_from_broken_by_its_status(cabacus: Cabacus, packed: Path, model: Path) -> None:
    good = cabacus("verify", packed, "--against", model, "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["ok"] is True
    data = bytearray(packed.read_bytes())
    data[-5] ^= 1
    broken = cabacus("verify", "-", input=bytes(data))
    assert broken.returncode == 1
    assert b"FAILED" in broken.stdout
    assert cabacus("verify", "-", input=bytes(data[:-9])).returncode == 1


@pytest.mark.parametrize("command", ["decompress", "inspect"])
def test_what_is_no_bitstream_ends_with_1_and_no_traceback(cabacus: Cabacus, tmp_path: Path, command: str) -> None:
    (tmp_path / "in").write_bytes(b"\x80\x04 no bitstream")
    done = cabacus(command, "in", *(["-o", "out.npz"] if command == "decompress" else []))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == ["in"]


def test_weights_that_cannot_be_coded_are_named(cabacus: Cabacus, tmp_path: Path) -> None:
    weights = np.ones((4, 4), np.float32)
    weights[2, 3] = np.nan
    engine.write(tmp_path / "in.npz", {"layer.weight": weights})
    (tmp_path / "out").write_bytes(b"old")
    done = cabacus("compress", "in.npz", "-o", "out", "--force")
    assert done.returncode == 1
    assert b"layer.weight" in done.stderr
    assert (tmp_path / "out").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["in.npz", "out"]


def test_a_rule_that_matches_no_tensor_is_misuse(cabacus: Cabacus, model: Path) -> None:
    done = cabacus("compress", model, "-o", "out", "--rule", "fc.wieght:keep")
    assert done.returncode == 2
    assert b"did you mean 'fc.weight'" in done.stderr


def test_a_sweep_prints_its_curve_and_draws_it(cabacus: Cabacus, model: Path, sigma: Path, tmp_path: Path) -> None:
    flags = ("--sigma", sigma, "--s", "0:33:16", "--s", "100")
    done = cabacus("sweep", model, *flags, "--json", "--plot", "curve.svg")
    assert done.returncode == 0, done.stderr
    assert [point["s"] for point in json.loads(done.stdout)["points"]] == [0, 16, 32, 100]
    drawing = xml.etree.ElementTree.parse(tmp_path / "curve.svg")
    assert len(drawing.findall("{http://www.w3.org/2000/svg}circle")) == 4
    assert "best by" in cabacus("sweep", model, *flags).stdout.decode()


def test_tune_chooses_by_a_command_s_score_and_writes_the_file(
    cabacus: Cabacus, model: Path, sigma: Path, tmp_path: Path
) -> None:
    program = "import sys, numpy, cabacus; a, b = map(cabacus.read, sys.argv[1:]); "
    program += "print(numpy.abs(a['fc.weight'] - b['fc.weight']).max())"
    (tmp_path / "error.py").write_text(program)
    evaluate = f"{sys.executable} error.py {{}} {model}"
    flags = ["--sigma", "sigma.npz", "--evaluate", evaluate, "--lower-is-better", "--s", "0:9:4", "--rate-weight", "1"]
    done = cabacus("tune", model, *flags, "--max-loss", "0.1", "-o", "m.cabac", "--json", "m.json", "--plot", "m.svg")
    assert done.returncode == 0, done.stderr
    best = json.loads((tmp_path / "m.json").read_text())["best"]
    expected = engine.compress(model, s=best["s"], sigma=sigma, rate_weight=1)
    assert (tmp_path / "m.cabac").read_bytes() == expected.data
    assert b"smallest within a loss of 0.1" in done.stdout
    xml.etree.ElementTree.parse(tmp_path / "m.svg")
    assert cabacus("tune", model, *flags, "--quiet").returncode == 1  # nothing is as good as the original
    failing = cabacus("tune", model, "--sigma", "sigma.npz", "--evaluate", "false {}")
    assert (failing.returncode, b"status 1" in failing.stderr) == (1, True)


def test_an_interrupted_command_ends_with_130_and_leaves_nothing(started: Started, tmp_path: Path) -> None:
    process = started("compress", "-", "-o", "out.cabac", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(bytes(1 << 20))  # more than a pipe holds: once it is written the command is reading
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 130
    assert process.stderr.read() == b""
    with process.stdin, process.stderr:
        assert os.listdir(tmp_path) == []


def test_a_reader_that_goes_away_is_no_traceback(started: Started, packed: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = started("inspect", packed, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, error = process.communicate(timeout=SECONDS)
    assert (process.returncode, error) == (3, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals as Linux has them")
def test_a_terminal_sees_a_progress_bar_that_is_gone_at_the_end(started: Started, model: Path) -> None:
    ours, theirs = os.openpty()
    process = started("compress", model, "-o", "m.cabac", stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 1 << 16):
            seen += part
    except OSError:  # the last writer has gone
        pass
    os.close(ours)
    assert process.wait(SECONDS) == 0
    assert b"compressing [" in seen
    assert b"4/4 tensors  0.1/0.1 MB" in seen
    assert b"fc.weight" in seen.rpartition(b"\x1b[K")[2]
