"""What only a server can do to a queue: restart, lose everything, vanish; and what the keys look like."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from cabacus.service.job import Failure
from cabacus.service.queue import connection, redis_streams
from cabacus.service.queue.port import Once
from cabacus.service.queue.redis_streams import RedisQueue


def open_queue(server, **changes) -> RedisQueue:
    return RedisQueue(server.url, **{"namespace": "test", "limit": 100, "keep_seconds": 60, **changes})


def client(server) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def check(main) -> None:
    asyncio.run(asyncio.wait_for(main(), 30))


def test_every_key_lies_in_one_slot_and_none_holds_bytes_of_models(redis_server, new_job) -> None:
    async def main() -> None:
        queue = open_queue(redis_server, namespace="slots")
        for _ in range(3):
            await queue.submit(new_job(owner="me"))
        await queue.keep_base("me", "ab" * 32, new_job().inputs["model"])
        claim = await queue.claim("a", block_seconds=1)
        await queue.finish(claim, result=new_job().inputs["model"], report=None, summary={})
        claim = await queue.claim("a", block_seconds=1)
        await queue.fail(claim, Failure("crashed", "it died"), dead_letter=True)
        await queue.close()

    check(main)
    with client(redis_server) as direct:
        keys = [key for key in direct.scan_iter() if "slots" in key]
        assert {key.split(":")[1] for key in keys} == {
            *("jobs", "tickets", "job", "expiry", "owner", "dead", "waiting", "line", "turns", "counter", "open"),
            *("bytes", "uploads", "refs", "statistics", "bases", "made"),
        }
        assert all(key.startswith("{slots}:") for key in keys)


def test_nothing_is_left_of_a_job_that_is_forgotten(redis_server, new_job) -> None:
    async def main() -> None:
        queue = open_queue(redis_server, namespace="gone", keep_seconds=0.01)
        await queue.submit(new_job(owner="me", webhook="https://there"), once=Once("k", "f"))
        claim = await queue.claim("a", block_seconds=1)
        await queue.finish(claim, result=new_job().inputs["model"], report=None, summary={})
        while not (expired := await queue.expired()):
            await asyncio.sleep(0.005)
        await queue.forget(expired[0].job.id)
        await queue.leave("a")
        await queue.close()

    check(main)
    with client(redis_server) as direct:
        # The group lives in the empty stream.
        assert {key for key in direct.scan_iter() if "gone" in key} == {
            f"{{gone}}:{name}" for name in ("jobs", "counter", "statistics")
        }
        assert direct.xinfo_consumers("{gone}:jobs", "workers") == []


def test_jobs_survive_a_server_that_is_killed(own_redis_server, new_job, monkeypatch) -> None:
    monkeypatch.setattr(connection, "RETRIES", 40)  # a busy machine starts a server slowly

    async def main() -> None:
        queue = open_queue(own_redis_server)
        waiting, running = new_job(), new_job()
        await queue.submit(running)
        await queue.submit(waiting)
        claim = await queue.claim("a", block_seconds=1)
        own_redis_server.kill()
        restart = asyncio.create_task(asyncio.to_thread(own_redis_server.start))
        assert await queue.heartbeat(claim, progress=0.5)  # waits for the server to be back
        await restart
        assert await queue.finish(claim, result=None, report=None, summary={})
        assert (await queue.claim("a", block_seconds=1)).job.id == waiting.id
        await queue.close()

    check(main)


def test_waiters_and_readers_outlive_a_restart(own_redis_server, new_job, monkeypatch) -> None:
    monkeypatch.setattr(connection, "RETRIES", 40)  # a busy machine starts a server slowly

    async def main() -> None:
        queue = open_queue(own_redis_server)
        job = new_job()
        await queue.submit(job)
        claim = await queue.claim("a", block_seconds=1)
        waiter = asyncio.create_task(queue.wait(job.id, 20))
        reader = asyncio.create_task(queue.claim("b", block_seconds=4))
        await asyncio.sleep(0.05)
        own_redis_server.kill()
        await asyncio.to_thread(own_redis_server.start)
        await queue.finish(claim, result=None, report=None, summary={})
        assert (await waiter).state == "done"
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await queue.close()

    check(main)


def test_an_emptied_server_gets_its_group_again(own_redis_server, new_job) -> None:
    async def main() -> None:
        queue = open_queue(own_redis_server)
        await queue.submit(new_job())
        claim = await queue.claim("a", block_seconds=1)
        with client(own_redis_server) as direct:
            direct.flushall()
        assert not await queue.heartbeat(claim)
        assert not await queue.finish(claim, result=None, report=None, summary={})
        assert await queue.claim_stale("a", idle_seconds=1) is None
        job = new_job()
        await queue.submit(job)
        assert (await queue.claim("a", block_seconds=1)).job.id == job.id
        await queue.close()

    check(main)


def test_a_server_that_stays_away_is_a_connection_error(own_redis_server, new_job, monkeypatch) -> None:
    monkeypatch.setattr(connection, "RETRIES", 2)

    async def main() -> None:
        queue = open_queue(own_redis_server)
        job = new_job()
        await queue.submit(job)
        claim = await queue.claim("a", block_seconds=1)
        own_redis_server.kill()
        for call in (
            queue.submit(new_job()),
            queue.get(job.id),
            queue.jobs(owner="", limit=1),
            queue.wait(job.id, 1),
            queue.cancel(job.id),
            queue.claim("a", block_seconds=1),
            queue.heartbeat(claim),
            queue.depth(),
            queue.expired(),
        ):
            with pytest.raises(ConnectionError, match="does not answer"):
                await call
        assert not await queue.ping()
        await queue.close()

    check(main)


def test_a_read_may_last_longer_than_the_socket_waits(redis_server, monkeypatch) -> None:
    monkeypatch.setattr(connection, "SOCKET_SECONDS", 0.5)
    monkeypatch.setattr(redis_streams, "MAX_BLOCK_SECONDS", 0.2)

    async def main() -> None:
        queue = open_queue(redis_server, namespace="idle")
        for _ in range(4):
            assert await queue.claim("a", block_seconds=60) is None
        await queue.close()

    check(main)


def test_silent_consumers_that_hold_nothing_are_dropped(redis_server, new_job, monkeypatch) -> None:
    monkeypatch.setattr(redis_streams, "CONSUMER_SECONDS", 0.02)

    async def main() -> None:
        queue = open_queue(redis_server, namespace="silent")
        await queue.submit(new_job())
        await queue.claim("busy", block_seconds=1)
        await queue.claim("idle", block_seconds=0.001)
        with client(redis_server) as direct:
            while "idle" in {consumer["name"] for consumer in direct.xinfo_consumers("{silent}:jobs", "workers")}:
                await queue.expired()
                await asyncio.sleep(0.005)
            assert [it["name"] for it in direct.xinfo_consumers("{silent}:jobs", "workers")] == ["busy"]
        await queue.close()

    check(main)


def test_from_submit_to_wake_takes_milliseconds(redis_server, new_job) -> None:
    async def main() -> None:
        queue = open_queue(redis_server, namespace="quick")
        times: list[float] = []

        async def work() -> None:
            while (claim := await queue.claim("a", block_seconds=4)) is not None:
                await queue.finish(claim, result=None, report=None, summary={})

        worker = asyncio.create_task(work())
        for _ in range(50):
            job, start = new_job(), time.perf_counter()
            await queue.submit(job)
            assert (await queue.wait(job.id, 4)).final
            times.append(time.perf_counter() - start)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await queue.close()
        assert sorted(times)[25] < 0.05

    check(main)
