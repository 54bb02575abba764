"""The deployment under what happens to one: each part is killed, cut off or replaced while work goes on."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest
from docker_stack import PROJECT, ROOT, URL, Stack, docker, until

import cabacus

pytestmark = pytest.mark.docker

MODEL = ROOT / "engine" / "examples" / "lenet300" / "lenet300.safetensors"


@pytest.fixture(scope="module")
def expected() -> bytes:
    """The network as the engine compresses it."""
    return cabacus.compress(MODEL, snr_db=30).data


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes seconds with effort="max"."""
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    generator = np.random.default_rng(5)
    cabacus.write(path, {"w": generator.laplace(0, 0.02, (1024, 1024)).astype(np.float32)})
    return path


def test_a_network_goes_there_and_back_with_the_client(stack: Stack, expected: bytes) -> None:
    until(lambda: stack.healthy("api", "worker", "redis", "proxy"), "every part says that it lives")
    with stack.client() as client:
        small = client.compress(MODEL, snr_db=30)
        assert small.data == expected
        restored = client.decompress(small.data).data
    assert restored == client_bytes(expected)


def client_bytes(compressed: bytes) -> bytes:
    """What the engine writes for a compressed model."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"restored-{os.getpid()}.safetensors"
    try:
        archive = cabacus.open(compressed)
        cabacus.write(path, cabacus.decompress(compressed), metadata=archive.metadata)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def test_and_with_curl(stack: Stack, expected: bytes, tmp_path: Path) -> None:
    for source, path, target in (
        (MODEL, "compress?snr_db=30", tmp_path / "model.cabac"),
        (tmp_path / "model.cabac", "decompress", tmp_path / "restored.safetensors"),
    ):
        words = ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {stack.keys['alice']}"]
        words += ["-H", "Prefer: wait=60", "--data-binary", f"@{source}", f"{URL}/{path}", "-o", str(target)]
        subprocess.run(words, check=True, timeout=90)
    assert (tmp_path / "model.cabac").read_bytes() == expected
    before, after = cabacus.read(MODEL), cabacus.read(tmp_path / "restored.safetensors")
    assert {name: array.shape for name, array in before.items()} == {n: array.shape for n, array in after.items()}


def test_nothing_is_done_without_a_key_and_no_figures_leave_the_house(stack: Stack) -> None:
    assert httpx.post(f"{URL}/compress", content=b"x").status_code == 401
    assert httpx.get(f"{URL}/metrics").status_code == 404
    key = stack.execute("api", "cabacus", "keys", "add", "prometheus", "--scope", "metrics")
    program = f"import urllib.request as u; r = u.Request('http://127.0.0.1:8000/metrics'); r.add_header('Authorization', 'Bearer {key}'); print(u.urlopen(r).read().decode())"  # noqa: E501
    assert "cabacus_queue_up 1.0" in stack.execute("api", "python", "-c", program)


def test_a_body_that_is_too_long_is_refused_before_it_comes(stack: Stack) -> None:
    host, port = stack.proxy_address()
    call = http.client.HTTPConnection(host, port, timeout=10)
    with closing(call):
        call.putrequest("POST", "/compress")
        call.putheader("Content-Length", str(2**40))
        call.endheaders()
        answer = call.getresponse()
        said = json.loads(answer.read())
    assert answer.status == said["status"] == 413
    assert answer.getheader("content-type") == "application/problem+json"
    assert said["code"] == "upload_too_large"
    assert "PROXY_BODY_BYTES" in said["detail"]


def test_the_root_cannot_be_written_and_redis_asks_who_one_is(stack: Stack) -> None:
    for service in ("api", "worker", "redis"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.execute(service, "sh", "-c", "touch /etc/x")
        assert stack.execute(service, "id", "-u") != "0"
    for words in (("redis-cli", "keys", "*"), ("redis-cli", "--user", "health", "--pass", "x", "keys", "*")):
        assert "NO" in stack.execute("redis", *words)
    assert "NOPERM" in stack.redis("flushall")
    assert "NOPERM" in stack.redis("get", "other")


def test_three_workers_share_the_work(stack: Stack, expected: bytes) -> None:
    stack.scale(worker=3)
    until(lambda: len(stack.containers("worker")) == 3 and stack.healthy("worker"), "three workers live")
    with stack.client() as client:
        jobs = [client.submit("compress", MODEL, snr_db=30, effort="max") for _ in range(6)]
        hosts = {stack.worker_of(job) for job in jobs}
        assert all(client.wait(job).state == "done" for job in jobs)
    assert len(hosts) == 3


def test_a_job_outlives_its_worker(stack: Stack, large: Path) -> None:
    with stack.client() as client:
        job = client.submit("compress", large, step=0.003, effort="max")
        victim = stack.worker_of(job)
        stack.kill(victim)
        assert client.wait(job).state == "done"
    assert stack.attempts(job) >= 2
    until(lambda: stack.inspect(victim)["RestartCount"] == 1, "the container is started again")


def test_a_job_outlives_a_cut_between_its_worker_and_redis(stack: Stack, large: Path) -> None:
    network = f"{PROJECT}_queue"
    with stack.client() as client:
        job = client.submit("compress", large, step=0.003, effort="max")
        lonely = stack.worker_of(job)
        docker("network", "disconnect", network, lonely)
        assert client.wait(job).state == "done"
        assert stack.attempts(job) >= 2
        others = [one for one in stack.containers("worker") if one != lonely]
        docker("network", "connect", network, lonely)
        docker("pause", *others)
        try:
            again = client.submit("compress", MODEL, snr_db=25)
            assert stack.worker_of(again) == lonely  # it was not restarted: it found its way back
            assert client.wait(again).state == "done"
        finally:
            docker("unpause", *others)
    assert stack.inspect(lonely)["State"]["Running"]


def test_a_restart_of_redis_delays_requests_fails_none_and_loses_nothing(stack: Stack, expected: bytes) -> None:
    (container,) = stack.containers("redis")
    restarted, answers = threading.Event(), []
    with stack.client() as client:
        jobs = [client.submit("compress", MODEL, snr_db=20 + n) for n in range(6)]
        assert client.wait(jobs[0]).state == "done"

        def ask(method: str, path: str, body: bytes | None) -> None:
            """Without a second try: who uses curl has none."""
            headers = {"Authorization": f"Bearer {stack.keys['alice']}", "Prefer": "wait=30"}
            with httpx.Client(base_url=URL, headers=headers, timeout=60) as caller:
                while not restarted.is_set():
                    answers.append(caller.request(method, path, content=body))

        with ThreadPoolExecutor(3) as pool:
            reading = ("GET", f"/jobs/{jobs[0].id}", None)
            asking = [pool.submit(ask, *what) for what in (reading, reading, ("POST", "/inspect", expected))]
            try:
                before = stack.inspect(container)["RestartCount"]
                jobs += [client.submit("compress", MODEL, snr_db=30) for _ in range(2)]
                stack.kill(container)
                jobs += [client.submit("compress", MODEL, snr_db=31) for _ in range(2)]
                until(lambda: stack.inspect(container)["RestartCount"] == before + 1, "redis is started again")
                seen = len(answers)
                until(lambda: stack.healthy("redis"), "redis lives again")
                until(lambda: len(answers) > seen, "answers come again")
            finally:
                restarted.set()
            for one in asking:
                one.result()
        assert all(client.wait(job).state == "done" for job in jobs)
    assert {answer.status_code for answer in answers if answer.request.method == "GET"} == {200}
    assert {answer.status_code for answer in answers if answer.request.method == "POST"} <= {200, 202}
    assert "CRITICAL" not in docker("logs", container)  # its log was read to the end


def test_the_api_is_rolled_over_under_uploads(stack: Stack, expected: bytes) -> None:
    """As docker/README.md says: the new one beside the old one, then without it."""
    old = stack.containers("api")
    rolling, results = threading.Event(), []
    body = MODEL.read_bytes()

    def trickled() -> Iterator[bytes]:
        """An upload of two seconds."""
        for start in range(0, len(body), len(body) // 20 + 1):
            yield body[start : start + len(body) // 20 + 1]
            time.sleep(0.1)

    def settled(answer: httpx.Response) -> bytes | str:
        """The result; who waits on an API that stops is told where to look for it."""
        if answer.status_code != 202:
            return answer.content if answer.status_code == 200 else answer.text
        with stack.client("bob") as client:
            job = client.wait(answer.headers["location"].rpartition("/")[2])
            return client.result(job).data

    def slow() -> None:
        headers = {"Authorization": f"Bearer {stack.keys['bob']}", "Prefer": "wait=60"}
        while not rolling.is_set():
            answer = httpx.post(f"{URL}/compress?snr_db=30", content=trickled(), headers=headers, timeout=60)
            results.append(settled(answer))

    def quick() -> None:
        with stack.client() as client:
            while not rolling.is_set():
                results.append(client.compress(MODEL, snr_db=30).data)

    with ThreadPoolExecutor(5) as pool:
        callers = [pool.submit(slow), pool.submit(slow), pool.submit(quick), pool.submit(quick)]
        try:
            stack.scale(api=2 * len(old))
            until(lambda: len(stack.containers("api")) == 2 * len(old) and stack.healthy("api"), "the new one lives")
            docker("stop", "--time", "20", *old)
            docker("rm", *old)
            before = len(results)
            until(lambda: len(results) >= before + 4, "answers come from the new one")
        finally:
            rolling.set()
        for caller in callers:
            caller.result()
    assert [one for one in results if one != expected] == []


def test_what_was_done_is_there_after_down_and_up(stack: Stack, expected: bytes) -> None:
    with stack.client() as client:
        job = client.submit("compress", MODEL, snr_db=30)
        assert client.wait(job).state == "done"
        stack.compose("down", "--timeout", "10")
        stack.up()
        answer = httpx.get(f"{URL}/jobs/{job.id}/result", headers={"Authorization": f"Bearer {stack.keys['alice']}"})
    assert answer.content == expected
