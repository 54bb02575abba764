"""The README's commands do what it says, in the order in which it says them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest
from s3_server import s3_server

import cabacus

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "engine" / "examples" / "lenet300" / "lenet300.safetensors"
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = dict(SECTION.findall(README))
ServiceWith = Callable[..., AbstractContextManager[str]]
INSTALLED = ("pip ", "cabacus serve")
"""Lines that the environment of the tests has done already."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model."""
    shutil.copy(MODEL, tmp_path / "model.safetensors")
    return tmp_path


def follow(section: str, folder: Path, url: str = "http://localhost:8000", **changes: str) -> str:
    """Run the section's blocks one after another, as they stand, but for the address of the service; what they print.

    `changes` are made to the texts as well.
    """
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": os.pathsep.join([bin_folder, os.environ["PATH"]])}
    blocks = BLOCK.findall(SECTIONS[section])
    assert blocks
    environment |= variables(section, **changes)
    printed = ""
    for language, text in blocks:
        text = replaced(text.replace("http://localhost:8000", url).replace("localhost:8000", url), changes)
        if language == "sh":
            text = "\n".join(line for line in text.splitlines() if not line.startswith(INSTALLED))
            command = ["bash", "-euc", text]
        else:
            command = [sys.executable, "-c", text]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        printed += done.stdout
    return printed


def replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def variables(section: str, **changes: str) -> dict[str, str]:
    """What the section exports: the service's settings, before it is started."""
    lines = [line for _, text in BLOCK.findall(SECTIONS[section]) for line in text.splitlines()]
    words = [word for line in lines if line.startswith("export ") for word in shlex.split(line)[1:]]
    return dict(replaced(word, changes).split("=", 1) for word in words)


def check_restored(folder: Path) -> None:
    """What came back is near what went in."""
    before, after = cabacus.read(folder / "model.safetensors"), cabacus.read(folder / "restored.safetensors")
    assert list(before) == list(after)
    np.testing.assert_allclose(after["fc1.weight"], before["fc1.weight"], atol=0.05)


def test_the_command_line_quick_start(folder: Path) -> None:
    follow("Command line", folder)
    check_restored(folder)


def test_the_python_quick_start(folder: Path) -> None:
    follow("Python", folder)
    assert (folder / "model.cabac").read_bytes() == cabacus.compress(MODEL, snr_db=30).data


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_http_quick_start(folder: Path, service_url: str) -> None:
    follow("HTTP", folder, service_url)
    check_restored(folder)
    assert (folder / "model.cabac").read_bytes() == cabacus.compress(MODEL, snr_db=30).data


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_jobs_are_followed(folder: Path, service_url: str) -> None:
    follow("Jobs", folder, service_url)
    assert (folder / "model.cabac").read_bytes() == cabacus.compress(MODEL, snr_db=30).data


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_it_can_be_watched(folder: Path, service_url: str) -> None:
    follow("Watching it", folder, service_url)
    assert "cabacus_queue_up 1.0" in (folder / "metrics.txt").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_difference_to_a_stored_base(folder: Path, service_url: str) -> None:
    follow("Bases", folder, service_url)
    base, nearby = cabacus.read(folder / "model.safetensors"), cabacus.read(folder / "nearby.safetensors")
    np.testing.assert_allclose(nearby["fc1.weight"], base["fc1.weight"] * 1.001, atol=1e-3)
    second = cabacus.read(folder / "second.safetensors")
    np.testing.assert_allclose(second["fc1.weight"], base["fc1.weight"] * 2, atol=0.1)
    assert (folder / "second.cabac").stat().st_size < 0.5 * (folder / "first.cabac").stat().st_size


def test_a_federated_round(folder: Path, service_url: str) -> None:
    follow("Federated rounds by HTTP", folder, service_url)
    base, mean = cabacus.read(folder / "model.safetensors"), cabacus.read(folder / "mean.safetensors")
    np.testing.assert_allclose(mean["fc1.weight"], base["fc1.weight"] * 1.00075, atol=1e-3)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_looks_into_a_file(folder: Path, service_url: str) -> None:
    follow("Inspect, verify, sweep", folder, service_url)
    points = json.loads((folder / "curve.json").read_text())["points"]
    assert [point["s"] for point in points] == [0, 32, 64]
    assert (folder / "curve.svg").read_text().startswith("<svg")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_checkpoint_in_several_files(folder: Path, service_url: str) -> None:
    tensors = cabacus.read(folder / "model.safetensors")
    place, names = folder / "checkpoint", list(tensors)
    place.mkdir()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for shard, part in zip(shards, (names[:3], names[3:]), strict=True):
        cabacus.write(place / shard, {name: tensors[name] for name in part})
    weights = {name: shards[names.index(name) >= 3] for name in names}
    (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    follow("Checkpoints in several files", folder, service_url)
    assert (folder / "checkpoint.cabac").read_bytes() == cabacus.compress(dict(tensors), snr_db=30).data


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that speaks S3 and has a bucket for models; the environment leads there."""
    with s3_server("127.0.0.1") as port:
        place = f"http://127.0.0.1:{port}"
        for name, value in {
            "AWS_ENDPOINT_URL": place,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        httpx.put(f"{place}/models", trust_env=False).raise_for_status()
        yield f"{place}/models"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_models_in_buckets(folder: Path, service_with: ServiceWith, buckets: str) -> None:
    httpx.put(f"{buckets}/in/model.safetensors", content=MODEL.read_bytes(), trust_env=False).raise_for_status()
    with service_with(**variables("Models in buckets")) as url:
        assert "ratio" in follow("Models in buckets", folder, url)
    expected = cabacus.compress(MODEL, snr_db=30).data
    assert [(folder / f"{name}.cabac").read_bytes() for name in ("model", "third")] == [expected] * 2
    for name in ("model", "second"):
        assert httpx.get(f"{buckets}/out/{name}.cabac", trust_env=False).content == expected


def test_webhooks(folder: Path, service_with: ServiceWith) -> None:
    with socket.create_server(("localhost", 0)) as free:
        port = {"9000": str(free.getsockname()[1])}
    with service_with(**variables("Webhooks", **port)) as url:
        said, job_id, ratio = follow("Webhooks", folder, url, **port).split()
    assert (said, len(job_id)) == ("job.done", 32)
    assert float(ratio) == pytest.approx(cabacus.compress(MODEL, snr_db=30).report.ratio)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_same_request_is_the_same_job(folder: Path, service_url: str) -> None:
    first, second, third = follow("Sending it again", folder, service_url).split()
    assert first == second == f"/jobs/{third}/result"


def test_every_route_is_in_the_table() -> None:
    document = json.loads((ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8"))
    rows = [row for row in SECTIONS["More of the service"].splitlines() if row.startswith("| `")]
    for path, methods in document["paths"].items():
        place = re.sub(r"\{(job|round)_id\}", "{id}", path)
        (row,) = [row for row in rows if place in row or place.removeprefix("/jobs/{id}") in row.split("`")]
        assert all(method.upper() in row for method in methods if method != "head" or path.startswith("/bases")), path


def test_keys_are_made(folder: Path) -> None:
    follow("Keys", folder)
    assert (folder / "alice.key").read_text().startswith("cabacus_")


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", README, re.MULTILINE)) <= targets
