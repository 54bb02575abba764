"""From a file to a bitstream and back over HTTP, with every real part; the same bytes as without a server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import cabacus
from cabacus.service.client import AsyncClient, Client, ConflictError, InvalidRequestError, NotFoundError

CURL = (
    "curl --fail-with-body --data-binary @model.safetensors 'localhost:8000/compress?snr_db=30' "
    "-H 'Prefer: wait=60' -o model.cabac"
)

pytestmark = pytest.mark.skipif(not hasattr(cabacus, "compress"), reason="the engine is not built")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_line_of_the_readme_gives_the_same_bytes_as_the_engine(
    service_url: str, model: Path, tmp_path: Path
) -> None:
    shutil.copy(model, tmp_path / "model.safetensors")
    line = CURL.replace("localhost:8000", service_url)
    subprocess.run(line, shell=True, cwd=tmp_path, check=True, capture_output=True, timeout=90)
    data = (tmp_path / "model.cabac").read_bytes()
    assert data == cabacus.compress(model, snr_db=30).data

    back = f"curl -sS --fail-with-body --data-binary @model.cabac {service_url}/decompress -H 'Prefer: wait=60'"
    done = subprocess.run(back, shell=True, cwd=tmp_path, check=True, capture_output=True, timeout=90)
    decoded, expected = load(done.stdout), cabacus.decompress(data)
    assert set(decoded) == set(expected)
    for name, array in decoded.items():
        np.testing.assert_array_equal(array, expected[name])


def test_the_client_gives_the_report_of_the_engine(service_url: str, model: Path, tmp_path: Path) -> None:
    with Client(service_url) as client:
        result = client.compress(model, snr_db=30, rules=["conv.*:keep"])
        expected = cabacus.compress(model, snr_db=30, rules=["conv.*:keep"])
        assert result.data == expected.data
        assert result.name == "model.cabac"
        assert comparable(result.report) == comparable(expected.report.to_json())
        figures = client.job(result.job_id).summary
        assert figures["bytes"] == len(result.data)
        assert client.download(result.job_id, tmp_path / "m.cabac").read_bytes() == result.data

        found = client.inspect(result.data)
        assert [row["name"] for row in found["tensors"]] == list(cabacus.read(model))
        assert client.verify(result.data, against=model)
        assert set(load(client.decompress(result.data, name="fc.*").data)) == {"fc.weight", "fc.bias"}
        client.delete(result.job_id)


def test_jobs_tell_tensors_and_bytes(service_url: str, model: Path) -> None:
    size = sum(array.nbytes for array in load(model.read_bytes()).values())
    sigma = {name: np.full(array.shape, 0.01) for name, array in load(model.read_bytes()).items() if array.ndim >= 2}
    with Client(service_url) as client:
        packed = client.compress(model, snr_db=30)
        for kind, source, files in (
            ("compress", model, {}),
            ("decompress", packed.data, {}),
            ("sweep", model, {"sigma": sigma, "s": 5}),
        ):
            seen = list(client.events(client.submit(kind, source, **files)))
            assert (seen[-1].state, seen[-1].tensors, seen[-1].bytes) == ("done", (4, 4), (size, size))
            assert [job.bytes for job in seen[:-1] if job.bytes and job.bytes[0] > size] == []


def test_the_awaited_client_works_on_several_jobs_at_once(service_url: str, model: Path) -> None:
    async def main() -> list[int]:
        async with AsyncClient(service_url) as client:
            made = await asyncio.gather(*(client.compress(model, snr_db=target) for target in (20, 30, 40)))
            return [len(result.data) for result in made]

    sizes = asyncio.run(main())
    assert sizes == sorted(sizes)


def test_a_sweep_over_http(service_url: str, model: Path) -> None:
    sigma = {
        name: np.full(array.shape, 0.01, array.dtype)
        for name, array in load(model.read_bytes()).items()
        if array.ndim >= 2
    }
    with Client(service_url) as client:
        curve = client.sweep(model, sigma=save(sigma), s=range(0, 65, 32))
    assert json.dumps(curve)


def test_a_difference_to_a_stored_base(service_url: str, model: Path) -> None:
    base = load(model.read_bytes())
    digest = cabacus.digest(base).hex()
    nearby = {name: (array * 1.01).astype(array.dtype) for name, array in base.items()}
    with Client(service_url) as client:
        assert not client.has_base(digest)
        with pytest.raises(NotFoundError, match="base"):
            client.compress(nearby, snr_db=30, base=digest)
        client.put_base(digest, model)
        assert client.has_base(digest)
        result = client.compress(nearby, snr_db=30, base=digest)
        assert result.data == cabacus.compress(nearby, snr_db=30, base=base).data
        back = load(client.decompress(result.data, base=digest).data)
        np.testing.assert_array_equal(back["fc.weight"], cabacus.decompress(result.data, base=base)["fc.weight"])
        with pytest.raises(ConflictError) as caught:
            client.decompress(result.data)
        assert caught.value.code == "base_mismatch"
        client.put_base("0" * 64, model)  # another model's digest
        with pytest.raises(ConflictError, match="another model") as caught:
            client.compress(nearby, snr_db=30, base="0" * 64)
        assert caught.value.code == "base_mismatch"
        for name in (digest, "0" * 64):
            client.delete_base(name)
        assert not client.has_base(digest)


def test_levels_are_counted_on_request(service_url: str, model: Path) -> None:
    with Client(service_url) as client:
        result = client.compress(model, snr_db=20, histogram=True)
    archive = cabacus.open(result.data)
    for row in result.report["tensors"]:
        assert ("levels" in row) == row["lossy"]
        if row["lossy"]:
            levels, _ = archive.levels(row["name"])
            counts = row["levels"]
            assert (len(counts), sum(counts)) == (35, row["parameters"])
            assert counts[17] == row["parameters"] - row["nonzero"]
            assert [counts[17 + level] for level in range(-16, 17)] == [
                int((levels == level).sum()) for level in range(-16, 17)
            ]
            assert counts[34] == int((levels > 16).sum())


def test_what_the_data_is_to_blame_for_is_said(service_url: str, model: Path) -> None:
    with Client(service_url) as client:
        data = bytearray(client.compress(model, snr_db=30).data)
        data[len(data) // 2] ^= 1
        with pytest.raises(InvalidRequestError) as caught:
            client.decompress(bytes(data))
        assert caught.value.code in ("corrupt", "invalid_format")
        poisoned = load(model.read_bytes())
        poisoned["fc.weight"][3, 4] = np.nan
        with pytest.raises(InvalidRequestError, match=r"fc\.weight") as caught:
            client.compress(save(poisoned), snr_db=30)
        assert caught.value.tensor == "fc.weight"


def comparable(report: dict[str, object]) -> dict[str, object]:
    """A report without the times in it."""

    def timeless(value: object) -> object:
        if isinstance(value, dict):
            return {key: timeless(item) for key, item in value.items() if key != "seconds"}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    found = timeless(json.loads(json.dumps(report)))
    assert isinstance(found, dict)
    return found
