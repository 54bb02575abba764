"""What the client sends, tries again and raises; against a service that is played by a function."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cabacus.service.client import (
    AsyncClient,
    BusyError,
    Client,
    ConflictError,
    ConnectionFailed,
    GoneError,
    IntegrityError,
    InvalidRequestError,
    Job,
    NotFoundError,
    ProblemError,
    ServerError,
    TooLargeError,
    WaitTimeout,
    flows,
)
from cabacus.service.client.progress import counts_of

Handler = Callable[[httpx.Request], httpx.Response]
DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()
JOB_ID = "0123456789abcdef" * 2
PROBLEM = {"content-type": "application/problem+json"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(flows, "LONGEST_PAUSE", 0.0)


def job(state: str = "done", **changes: Any) -> dict[str, Any]:
    file = {"bytes": len(DATA), "sha256": SHA256, "media_type": "application/vnd.cabacus", "name": "model.cabac"}
    return {
        "id": JOB_ID,
        "kind": "compress",
        "state": state,
        "created": "2026-01-31T12:00:00Z",
        "started": None,
        "finished": None,
        "expires": None,
        "progress": 0.5,
        "attempts": 1,
        "options": {"snr_db": 30},
        "input": {"model": file},
        "result": file if state == "done" else None,
        "report": None,
        "summary": {},
        "error": None,
        "something_new": 1,
        **changes,
    }


def mixed() -> httpx.Response:
    """The body of a job that was done in time, with its own boundary in the data."""
    report = b'{"totals": {}}'
    body = (
        b"--edge\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(report), report)
        + b'--edge\r\nContent-Type: application/vnd.cabacus\r\nContent-Disposition: attachment; filename="m.cabac"\r\n'
        + b'ETag: "%b"\r\nContent-Length: %d\r\n\r\n%b\r\n--edge--\r\n' % (SHA256.encode(), len(DATA), DATA)
    )
    headers = {"content-type": 'multipart/mixed; boundary="edge"', "link": f'</jobs/{JOB_ID}>; rel="monitor"'}
    return httpx.Response(200, headers=headers, content=body)


class Script:
    """Plays the service: answers requests in turn, and keeps what was sent."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self) -> Client:
        return Client("http://service/below", transport=httpx.MockTransport(self))


def problem(status: int, code: str = "x", **fields: Any) -> httpx.Response:
    body = {
        "type": f"urn:cabacus:problem:{code}",
        "title": "T",
        "status": status,
        "detail": "D",
        "code": code,
        **fields,
    }
    return httpx.Response(status, json=body, headers=PROBLEM)


def test_compress_sends_the_file_and_takes_report_and_result_from_one_body(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"model")
    script = Script(mixed())
    with script.client() as client:
        result = client.compress(
            path, snr_db=30, lam=0.5, rules=["*.bias:keep", ("fc*", {"step": 0.1, "n": 4})], threads=None
        )
    (sent,) = script.requests
    assert sent.url.path == "/below/compress"
    assert sent.url.params.multi_items() == [
        ("snr_db", "30"),
        ("lambda", "0.5"),
        ("rule", "*.bias:keep"),
        ("rule", "fc*:step=0.1"),
        ("rule", "fc*:n=4"),
    ]
    assert sent.content == b"model"
    assert sent.headers["content-length"] == "5"
    assert sent.headers["prefer"] == "wait=30"
    assert sent.headers["accept"] == "multipart/mixed"
    assert (result.data, result.name, result.job_id) == (DATA, "m.cabac", JOB_ID)
    assert result.report == {"totals": {}}
    assert result.save(tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize("make", [lambda: b"model", lambda: bytearray(b"model"), lambda: io.BytesIO(b"model")])
def test_bytes_and_file_objects_are_sent(make: Callable[[], Any]) -> None:
    script = Script(mixed())
    script.client().compress(make())
    assert script.requests[0].content == b"model"


def test_a_file_object_is_sent_from_where_it_stands() -> None:
    script = Script(mixed(), mixed())
    for arguments in ({}, {"base": b"base"}):
        file = io.BytesIO(b"skipped-model")
        file.seek(8)
        script.client().compress(file, **arguments)
    raw, form = script.requests
    assert raw.content == b"model"
    assert b"\r\n\r\nmodel\r\n" in form.content
    assert b"\r\n\r\nbase\r\n" in form.content


def test_arrays_are_sent_as_safetensors() -> None:
    from safetensors.numpy import load

    script = Script(mixed())
    script.client().compress({"w": np.arange(6, dtype=np.float32).reshape(2, 3)})
    np.testing.assert_array_equal(load(script.requests[0].content)["w"], [[0, 1, 2], [3, 4, 5]])


def test_more_files_make_a_form() -> None:
    script = Script(mixed())
    script.client().compress(b"model", sigma=b"sigma", s=3)
    (sent,) = script.requests
    assert sent.headers["content-type"].startswith("multipart/form-data")
    for name, data in (("model", "model"), ("sigma", "sigma")):
        assert (
            f'name="{name}"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n{data}'.encode()
            in sent.content
        )


def test_a_long_job_is_waited_for_and_fetched() -> None:
    script = Script(
        httpx.Response(202, json=job("queued")),
        httpx.Response(200, json=job("running")),
        httpx.Response(200, json=job("running")),
        httpx.Response(200, json=job("done")),
        httpx.Response(200, content=DATA),
        httpx.Response(200, json={"totals": {}}),
    )
    assert script.client().compress(b"model").data == DATA
    assert [request.url.path.removeprefix("/below/") for request in script.requests] == [
        "compress",
        *[f"jobs/{JOB_ID}"] * 3,
        f"jobs/{JOB_ID}/result",
        f"jobs/{JOB_ID}/report",
    ]
    assert script.requests[2].headers["prefer"] == "wait=30"


def test_a_wait_ends_in_time_and_names_the_job() -> None:
    script = Script(*[httpx.Response(200, json=job("running"))] * 3)
    with pytest.raises(WaitTimeout) as caught:
        script.client().wait(JOB_ID, timeout=0)
    assert caught.value.job.id == JOB_ID


def test_a_failed_job_raises_what_it_failed_with() -> None:
    error = {"status": 422, "code": "corrupt", "title": "T", "detail": "slice 3 is corrupt", "tensor": "fc.weight"}
    script = Script(httpx.Response(200, json=job("failed", error=error)))
    with pytest.raises(InvalidRequestError, match="slice 3") as caught:
        script.client().wait(JOB_ID)
    assert (caught.value.code, caught.value.tensor) == ("corrupt", "fc.weight")
    with pytest.raises(ConflictError, match="cancelled"):
        Script(httpx.Response(200, json=job("cancelled"))).client().wait(JOB_ID)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (413, TooLargeError),
        (422, InvalidRequestError),
        (500, ServerError),
    ],
)
def test_problems_become_typed_errors(status: int, kind: type[ProblemError]) -> None:
    script = Script(problem(status, "some_code", field="snr_db", limit="CABACUS_X"))
    with pytest.raises(kind, match="D") as caught:
        script.client().compress(b"model")
    error = caught.value
    assert (error.status, error.code, error.field, error.limit) == (status, "some_code", "snr_db", "CABACUS_X")


def test_an_error_that_is_no_problem_document_is_told_as_well() -> None:
    for body in ({"text": "<html>"}, {"json": ["x"]}, {"content": b"{", "headers": PROBLEM}):
        with pytest.raises(InvalidRequestError, match="418"):
            Script(httpx.Response(418, **body)).client().job(JOB_ID)  # type: ignore[arg-type]


def test_an_upload_is_sent_again_when_it_was_refused_for_want_of_room_or_never_left() -> None:
    file = io.BytesIO(b"model")
    script = Script(httpx.ConnectError("refused"), problem(503, "queue_full"), mixed())
    assert script.client().compress(file).data == DATA
    assert [request.content for request in script.requests] == [b"model"] * 3


def test_an_upload_whose_answer_was_lost_finds_its_job() -> None:
    running = problem(409, "idempotency_running")
    running.headers["location"] = f"/below/jobs/{JOB_ID}"
    script = Script(httpx.ReadError("lost"), running, httpx.Response(200, json=job("queued")))
    assert script.client().submit("compress", b"model", snr_db=30).id == JOB_ID
    first, second, third = script.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert len(first.headers["idempotency-key"]) == 32
    assert str(third.url).endswith(f"/jobs/{JOB_ID}")


def test_every_submission_has_a_key_of_its_own() -> None:
    script = Script(*[httpx.Response(202, json=job("queued"))] * 2)
    for _ in range(2):
        script.client().submit("compress", b"model")
    assert len({request.headers["idempotency-key"] for request in script.requests}) == 2


def test_a_submission_may_have_a_key_of_the_callers() -> None:
    script = Script(httpx.Response(202, json=job("queued")))
    script.client().submit("compress", b"model", snr_db=30, idempotency_key="nightly-1")
    (request,) = script.requests
    assert request.headers["idempotency-key"] == "nightly-1"
    assert dict(request.url.params) == {"snr_db": "30"}


@pytest.mark.parametrize("url", ["s3://models/in/net.safetensors", "gs://m/folder/", "az://m/x.npz"])
def test_a_model_in_a_bucket_is_named_and_not_sent(url: str) -> None:
    script = Script(*[httpx.Response(202, json=job("queued"))] * 2)
    with script.client() as client:
        client.submit("compress", url, snr_db=30, output="s3://models/out/net.cabac")
        client.submit("sweep", url, sigma=b"sigma")
    alone, form = script.requests
    assert dict(alone.url.params) == {"snr_db": "30", "input": url, "output": "s3://models/out/net.cabac"}
    assert alone.content == b""
    assert dict(form.url.params) == {"input": url}
    assert b'name="sigma"' in form.content
    assert b'name="model"' not in form.content


def test_a_body_that_cannot_be_read_again_is_sent_once() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.left = [b"model", b""]

        def read(self, size: int = -1) -> bytes:
            return self.left.pop(0)

    script = Script(problem(503, "queue_full"))
    with pytest.raises(BusyError):
        script.client().compress(Pipe())  # type: ignore[arg-type]
    assert script.requests[0].content == b"model"
    assert script.requests[0].headers["transfer-encoding"] == "chunked"


def test_reading_is_tried_again_but_not_for_ever() -> None:
    script = Script(httpx.ReadError("lost"), problem(503), problem(502), httpx.Response(200, json=job()))
    assert script.client().job(JOB_ID).state == "done"
    script = Script(*[problem(503)] * 5)
    with pytest.raises(BusyError):
        script.client().job(JOB_ID)
    assert len(script.requests) == 5


def test_a_server_error_on_an_upload_is_not_tried_again() -> None:
    script = Script(problem(500))
    with pytest.raises(ServerError):
        script.client().compress(b"model")


def test_damage_on_the_way_is_noticed() -> None:
    damaged = httpx.Response(200, headers=mixed().headers, content=mixed().content.replace(b"\x01\x02", b"\x01\x03", 1))
    with pytest.raises(IntegrityError):
        Script(damaged).client().compress(b"model")
    for length in range(0, len(mixed().content), 101):
        short = httpx.Response(
            200, headers={"content-type": mixed().headers["content-type"]}, content=mixed().content[:length]
        )
        with pytest.raises(IntegrityError):
            Script(short).client().compress(b"model")


def serve_ranges(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith(f"/jobs/{JOB_ID}"):
        return httpx.Response(200, json=job())
    if "range" not in request.headers:
        return httpx.Response(200, content=DATA)
    start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    return httpx.Response(206, content=DATA[start:])


def test_download_brings_the_file_whole(tmp_path: Path) -> None:
    client = Client("http://service", transport=httpx.MockTransport(serve_ranges))
    target = client.download(JOB_ID, tmp_path / "model.cabac")
    assert target.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [target]


def test_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield DATA[:1000]
            raise httpx.ReadError("lost")

    script = Script(
        httpx.Response(200, json=job()),
        httpx.Response(200, stream=Broken()),
        httpx.Response(206, content=DATA[1000:]),
    )
    assert script.client().download(JOB_ID, tmp_path / "m").read_bytes() == DATA
    again = script.requests[2].headers
    assert (again["range"], again["if-range"]) == ("bytes=1000-", f'"{SHA256}"')


def test_download_continues_what_an_earlier_one_left_and_starts_over_if_the_service_says_so(tmp_path: Path) -> None:
    left = tmp_path / f".m.{SHA256[:16]}.part"
    left.write_bytes(DATA[:77])
    script = Script(httpx.Response(200, json=job()), httpx.Response(200, content=DATA))
    assert script.client().download(JOB_ID, tmp_path / "m").read_bytes() == DATA
    assert script.requests[1].headers["range"] == "bytes=77-"


def test_a_damaged_download_leaves_no_file(tmp_path: Path) -> None:
    script = Script(httpx.Response(200, json=job()), httpx.Response(200, content=DATA[::-1]))
    with pytest.raises(IntegrityError):
        script.client().download(JOB_ID, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_cancel_leaves_a_finished_job_alone() -> None:
    assert Script(httpx.Response(200, json=job())).client().cancel(JOB_ID).state == "done"
    script = Script(httpx.Response(200, json=job("running")), httpx.Response(202, json=job("running")))
    script.client().cancel(JOB_ID)
    assert script.requests[1].method == "DELETE"


def test_inspect_gives_json_values() -> None:
    found = b'{"tensors": []}'
    answer = mixed()
    body = answer.content.replace(DATA, found).replace(SHA256.encode(), hashlib.sha256(found).hexdigest().encode())
    body = body.replace(b"Content-Length: %d" % len(DATA), b"Content-Length: %d" % len(found))
    assert Script(
        httpx.Response(200, headers={"content-type": answer.headers["content-type"]}, content=body)
    ).client().inspect(b"model") == {"tensors": []}


def test_the_awaited_client_does_the_same(tmp_path: Path) -> None:
    script = Script(problem(503, "queue_full"), mixed(), httpx.Response(202, json=job("queued")), problem(404))

    async def main() -> None:
        async with AsyncClient("http://service", transport=httpx.MockTransport(script)) as client:
            result = await client.compress(io.BytesIO(b"model"), sigma=b"sigma", s=3)
            assert result.data == DATA
            assert (await client.submit("compress", b"model")).state == "queued"
            with pytest.raises(NotFoundError):
                await client.job(JOB_ID)
        async with AsyncClient("http://service", transport=httpx.MockTransport(serve_ranges)) as client:
            assert (await client.download(JOB_ID, tmp_path / "m")).read_bytes() == DATA

    asyncio.run(main())


def test_both_clients_have_the_same_methods() -> None:
    def names(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert names(Client) == names(AsyncClient)


def stream(*events: str, status: int = 200) -> httpx.Response:
    """A stream of events, each the JSON of a job."""
    body = "".join(f"event: job\ndata: {data}\nid: {number}\n\n: ping\n\n" for number, data in enumerate(events, 1))
    return httpx.Response(status, headers={"content-type": "text/event-stream"}, text=body)


def test_events_go_on_where_a_stream_broke() -> None:
    running, done = (json.dumps(job(state, progress=0.5)) for state in ("running", "done"))
    script = Script(
        stream(running), httpx.ReadError("it broke"), problem(503, "unavailable"), stream(running, done), stream()
    )
    with script.client() as client:
        assert [seen.state for seen in client.events(JOB_ID)] == ["running", "running", "done"]
    assert [request.headers.get("last-event-id") for request in script.requests] == [None, "1", "1", "1"]
    assert str(script.requests[0].url).endswith(f"/jobs/{JOB_ID}/events")


def test_events_that_never_come_are_given_up() -> None:
    script = Script(*[stream()] * 3)
    with (
        Client("http://s", retries=2, transport=httpx.MockTransport(script)) as client,
        pytest.raises(ConnectionFailed),
    ):
        list(client.events(JOB_ID))


def test_events_of_a_job_whose_end_was_seen_are_none() -> None:
    with Script(httpx.Response(204)).client() as client:
        assert list(client.events(JOB_ID)) == []


def test_a_progress_bar_is_shown_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"}.items():  # as on a terminal
        monkeypatch.setenv(name, value)
    counts = {"steps": (1, 2), "tensors": (3, 7), "bytes": (1_500_000, 4_000_000)}
    told = {name: {"done": done, "total": total} for name, (done, total) in counts.items()}
    script = Script(
        httpx.Response(202, json=job("queued")),
        stream(json.dumps(job("running", **told)), json.dumps(job("done", **told))),
        httpx.Response(200, json=job("done")),
        httpx.Response(200, content=DATA),
        httpx.Response(200, json={}),
    )
    with script.client() as client:
        assert client.compress(b"x", progress=True).data == DATA
    captured = capsys.readouterr()
    assert captured.out == ""  # a result may be on its way there
    assert "3/7 tensors, 1.5/4.0 MB" in re.sub(r"\x1b\[[0-9;]*m", "", captured.err)


class Module:
    """As torch has them."""

    def state_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Module(), r"model is a Module; .* model\.state_dict\(\)"),
        (np.ones((2, 2)), "model is a ndarray; pass a path, bytes, a binary file, or a mapping"),
        (["w"], "model is a list"),
    ],
)
def test_what_is_no_file_is_refused_before_it_is_sent(source: Any, said: str) -> None:
    script = Script()
    with script.client() as client, pytest.raises(TypeError, match=said):
        client.compress(source)
    assert script.requests == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensors": {"done": 0, "total": 2}, "bytes": {"done": 0, "total": 250_000}}, "0/2 tensors, 0.0/0.2 MB"),
        ({"steps": {"done": 1, "total": 9}, "tensors": None}, "1/9"),
        ({}, ""),
    ],
)
def test_a_bar_says_what_the_service_counts(changes: dict[str, Any], said: str) -> None:
    assert counts_of(Job.from_json(job("running", **changes))) == said
