"""/rounds over a real socket: who sends in time counts, who is late or missing is named, and the mean is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, save

import cabacus
from cabacus.federated import UpdateEncoder
from cabacus.service.keys import KeyFile
from cabacus.service.pipeline import Refusal, Task, run

CHANCE = np.random.default_rng(1)
MODEL = {"w": CHANCE.normal(0, 1, (60, 40)).astype(np.float32), "n": np.array([3, 5])}
BASE = save(MODEL)
DIGEST = cabacus.digest(MODEL).hex()


def local(seed: int) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    return {"w": MODEL["w"] + chance.laplace(0, 0.01, (60, 40)).astype(np.float32), "n": MODEL["n"] + seed}


def coded(seed: int) -> Any:
    return UpdateEncoder().encode(local(seed), MODEL)


def code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


async def opened(api: Any, **wishes: Any) -> str:
    await api.http.put(f"/bases/{DIGEST}", content=BASE)
    response = await api.http.post("/rounds", json={"base": DIGEST, **wishes})
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"/rounds/{response.json()['id']}"
    return f"/rounds/{response.json()['id']}"


async def worked(api: Any, folder: Path) -> dict[str, Any]:
    """Do the next job as a worker would; its report."""
    claim = await api.queue.claim("worker", block_seconds=5)
    paths = {}
    for role, blob in claim.job.inputs.items():
        paths[role] = folder / (role + Path(blob.key).suffix)
        paths[role].write_bytes(b"".join([chunk async for chunk in api.store.read(blob.key)]))
    return done(paths, claim.job.options, folder)


def done(paths: dict[str, Path], options: dict[str, Any], folder: Path) -> dict[str, Any]:
    product = run(Task("round", paths, options, folder), lambda done, total: None)
    report: dict[str, Any] = {"tensors": load(product.result.read_bytes()), "summary": product.summary}
    return report | json.loads(product.report.read_text())


def test_a_round_ends_when_all_have_sent_and_is_averaged_by_samples(service, tmp_path: Path) -> None:
    async def check(api) -> None:
        place = await opened(api, clients=["a", "b"])
        assert (await api.http.get(place)).json()["missing"] == ["a", "b"]
        first = await api.http.put(f"{place}/updates/a?samples=100", content=coded(1).data)
        assert (first.status_code, first.json()["coded"]) == (201, True)
        seen = (await api.http.get(place)).json()
        assert (seen["state"], seen["missing"], seen["job"]) == ("open", ["b"], None)
        again = await api.http.put(f"{place}/updates/a?samples=100", content=coded(1).data)
        assert again.status_code == 200
        other = await api.http.put(f"{place}/updates/a?samples=100", content=coded(2).data)
        assert code(other) == (409, "update_exists")
        second = await api.http.put(f"{place}/updates/b?samples=300", content=save(local(2)))
        assert (second.status_code, second.json()["coded"]) == (201, False)
        seen = (await api.http.get(place)).json()
        assert (seen["state"], seen["job"]) == ("closed", place.replace("rounds", "jobs"))

        report = await worked(api, tmp_path)
        meant = (coded(1).decoded["w"].astype(np.float64) + 3 * local(2)["w"].astype(np.float64)) / 4
        assert np.array_equal(report["tensors"]["w"], meant.astype(np.float32))
        assert report["tensors"]["n"].tolist() == [5, 7]  # 3 + (1 + 3 * 2) / 4, rounded
        assert [(row["client"], row["coded"], row["used"]) for row in report["clients"]] == [
            ("a", True, True),
            ("b", False, True),
        ]
        assert report["samples"] == 400
        assert report["bytes"] == len(coded(1).data) + len(save(local(2)))
        job = (await api.http.get(seen["job"])).json()
        assert (job["kind"], job["options"]["missing"]) == ("round", [])

    service(check)


def test_a_deadline_ends_it_without_being_asked_and_late_and_missing_clients_are_named(service) -> None:
    async def check(api) -> None:
        place = await opened(api, clients=["a", "b", "c"], deadline_seconds=0.3)
        assert (await api.http.put(f"{place}/updates/a?samples=1", content=coded(1).data)).status_code == 201
        claim = await api.queue.claim("worker", block_seconds=10)  # nobody asked for it
        assert claim.job.options["clients"] == [["a", 1]]
        assert claim.job.options["missing"] == ["b", "c"]
        late = await api.http.put(f"{place}/updates/b?samples=1", content=coded(2).data)
        assert code(late) == (409, "round_closed")
        seen = (await api.http.get(place)).json()
        assert [one["client"] for one in seen["arrived"]] == ["a"]
        assert [one["client"] for one in seen["late"]] == ["b"]
        assert seen["missing"] == ["b", "c"]
        # A client that asks again after the end learns that it counted.
        assert (await api.http.put(f"{place}/updates/a?samples=1", content=coded(1).data)).status_code == 200
        assert len(await api.queue.jobs(owner="", limit=9)) == 1

    service(check)


def test_closing_waits_for_the_result_as_other_work_does_and_makes_one_job(service) -> None:
    async def check(api) -> None:
        place = await opened(api)
        await api.http.put(f"{place}/updates/a?samples=1", content=coded(1).data)
        api.work(b"mean", {"clients": []}, {"bytes": 4})
        answer = await api.http.post(f"{place}/close", headers={"Prefer": "wait=10"})
        assert (answer.status_code, answer.content) == (200, b"mean")
        assert (await api.http.post(f"{place}/close")).status_code == 202
        assert len(await api.queue.jobs(owner="", limit=9)) == 1
        await api.http.delete(place.replace("rounds", "jobs"))
        assert code(await api.http.post(f"{place}/close")) == (410, "gone")

    service(check)


def test_what_is_no_update_is_refused_and_leaves_nothing(service) -> None:
    async def check(api) -> None:
        assert code(await api.http.post("/rounds", json={"base": DIGEST})) == (404, "base_not_found")
        place = await opened(api, clients=["a"])
        kept = api.stored()
        assert code(await api.http.put(f"{place}/updates/a?samples=1", content=b"")) == (422, "empty_body")
        assert code(await api.http.put(f"{place}/updates/a?samples=1", content=b"x" * 99)) == (
            *(415, "unsupported_format"),
        )
        for bad in ("a?samples=0", "a", "z?samples=1", ".a?samples=1"):
            answer = await api.http.put(f"{place}/updates/{bad}", content=coded(1).data)
            assert code(answer) == (422, "invalid_option")
        for bad in ({"minimum": 0}, {"deadline_seconds": 0}, {"clients": ["/"]}, {"unknown": 1}, {"base": "x"}):
            assert code(await api.http.post("/rounds", json={"base": DIGEST, **bad})) == (422, "invalid_option")
        for bad, refusal in ((b"{", (422, "invalid_option")), (b"\xff", (400, "bad_request"))):
            answer = await api.http.post("/rounds", content=bad, headers={"Content-Type": "application/json"})
            assert code(answer) == refusal
        assert answer.json()["detail"] == "the body is no JSON in UTF-8"
        assert code(await api.http.get(f"/rounds/{'0' * 32}")) == (404, "round_not_found")
        assert api.stored() == kept

    service(check)


def test_rounds_are_their_owners_and_need_a_key(service) -> None:
    async def check(api) -> None:
        keys = KeyFile(api.folder / "keys.json")
        alice, bob = ({"Authorization": f"Bearer {keys.add(name)[1]}"} for name in ("alice", "bob"))
        assert code(await api.http.post("/rounds", json={"base": DIGEST})) == (401, "unauthorized")
        await api.http.put(f"/bases/{DIGEST}", content=BASE, headers=alice)
        assert code(await api.http.post("/rounds", json={"base": DIGEST}, headers=bob)) == (404, "base_not_found")
        place = f"/rounds/{(await api.http.post('/rounds', json={'base': DIGEST}, headers=alice)).json()['id']}"
        assert code(await api.http.get(place, headers=bob)) == (404, "round_not_found")
        theirs = await api.http.put(f"{place}/updates/b?samples=1", content=coded(1).data, headers=bob)
        assert code(theirs) == (404, "round_not_found")
        assert code(await api.http.post(f"{place}/close", headers=bob)) == (404, "round_not_found")
        mine = await api.http.put(f"{place}/updates/b?samples=1", content=coded(1).data, headers=alice)
        assert mine.status_code == 201

    service(check, auth="on")


@pytest.mark.parametrize("stale", [False, True])
def test_updates_that_cannot_be_used_are_left_out_and_explained(tmp_path: Path, stale: bool) -> None:
    bad = bytearray(coded(2).data)
    bad[-1] ^= 1
    other = UpdateEncoder().encode(local(2), {**MODEL, "n": MODEL["n"] + 1}).data
    files = {"model": BASE, "update-0": coded(1).data, "update-1": other if stale else bytes(bad)}
    nan = {**local(3), "w": np.full((60, 40), np.nan, np.float32)}
    files["update-2"] = save(nan)
    paths = {}
    for role, data in files.items():
        paths[role] = tmp_path / f"{role}.{'cabac' if role in ('update-0', 'update-1') else 'safetensors'}"
        paths[role].write_bytes(data)
    options: dict[str, Any] = {"base": DIGEST, "clients": [["a", 5], ["b", 1], ["c", 1]], "minimum": 1}
    report = done(paths, options, tmp_path)
    assert [row["used"] for row in report["clients"]] == [True, False, False]
    assert ("base" in report["clients"][1]["reason"]) == stale
    assert "NaN" in report["clients"][2]["reason"]
    assert np.array_equal(report["tensors"]["w"], coded(1).decoded["w"])
    with pytest.raises(Refusal) as refusal:
        done(paths, {**options, "minimum": 2}, tmp_path)
    assert refusal.value.failure.code == "too_few_updates"
