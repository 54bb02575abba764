"""What becomes of jobs: done, failed, killed, cancelled, handed back; the stub pipeline plays the engine."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from cabacus.service.queue.redis_streams import RedisQueue
from cabacus.service.settings import Settings


def test_a_job_is_done_and_its_output_stored(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker():
            job = await shop.end(await shop.submit(model=b"model"))
        assert (job.state, job.attempts, job.progress) == ("done", 1, 1.0)
        assert job.summary["ratio"] == 2.0
        assert job.result.name == "model.cabac"
        data = b"".join([chunk async for chunk in shop.store.read(job.result.key)])
        assert data == b"ledom"
        assert {job.inputs["model"].key, job.result.key, job.report.key} == set(shop.stored())

    workshop(check)


def test_what_the_data_is_to_blame_for_is_not_run_again(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker():
            job = await shop.end(await shop.submit("refuse"))
        assert (job.state, job.attempts, job.error.code) == ("failed", 1, "invalid_input")
        assert job.error.tensor == "fc.weight"
        assert await shop.queue.dead_letters(limit=1) == []

    workshop(check)


def test_a_job_that_kills_its_process_each_time_is_given_up_and_others_go_on(workshop) -> None:
    async def check(shop) -> None:
        poison = await shop.submit("segfault")
        others = [await shop.submit() for _ in range(3)]
        async with shop.worker():
            job = await shop.end(poison)
            assert [(await shop.end(other)).state for other in others] == ["done"] * 3
        assert (job.state, job.attempts, job.error.code) == ("failed", 3, "crashed")
        assert "signal 11" in job.error.detail
        (letter,) = await shop.queue.dead_letters(limit=5)
        assert (letter.job_id, letter.failure) == (poison.id, job.error)

    workshop(check, max_deliveries=3)


def test_a_process_that_is_killed_costs_one_run(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker() as worker:
            job = await shop.submit("seconds=0.4")
            await shop.until(job, lambda job: job.progress > 0)
            os.kill(worker.process_ids[0], signal.SIGKILL)
            job = await shop.end(job)
        assert (job.state, job.attempts) == ("done", 2)

    workshop(check)


def test_the_time_limit_ends_work_that_does_not_listen(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker():
            began = time.monotonic()
            job = await shop.end(await shop.submit("hang=30"))
            assert time.monotonic() - began < 5
            assert (job.state, job.error.code, job.error.limit) == ("failed", "time_limit", "CABACUS_JOB_SECONDS")
            assert (await shop.end(await shop.submit())).state == "done"

    workshop(check, job_seconds=0.5)


def test_the_memory_limit_ends_the_job_and_not_the_worker(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker() as worker:
            job = await shop.end(await shop.submit(f"hog={4 << 30}"))
            assert (job.state, job.error.code) == ("failed", "memory_limit")
            processes = worker.process_ids
            assert (await shop.end(await shop.submit())).state == "done"
            assert worker.process_ids == processes

    workshop(check, job_memory_bytes=1 << 30)


def test_a_cancelled_job_frees_its_slot_within_a_second(workshop) -> None:
    async def freed(shop) -> float:
        """Seconds, by the clock of the queue's server, from the end of a job that does not listen to the next start."""
        stuck = await shop.submit("hang=30")
        await shop.until(stuck, lambda job: job.state == "running")
        after = await shop.submit()
        ended = (await shop.queue.cancel(stuck.id)).finished
        done = await shop.end(after)
        assert (done.state, (await shop.queue.get(stuck.id)).state) == ("done", "cancelled")
        return done.started - ended

    async def check(shop) -> None:
        async with shop.worker():
            # The killed process is replaced before the next job starts. The median: a machine that is busy with other
            # work for a moment may take its time over one of them.
            seconds = sorted([await freed(shop) for _ in range(5)])
            assert seconds[2] < 1, seconds
        assert len([key for key in shop.stored() if "output" in key]) == 2 * len(seconds)

    workshop(check, idle_seconds=Settings.idle_seconds)


def test_a_stopping_worker_hands_back_what_it_cannot_end(workshop) -> None:
    async def check(shop) -> None:
        job = await shop.submit("seconds=20")
        async with shop.worker(stop_seconds=0.1):
            await shop.until(job, lambda job: job.state == "running")
        back = await shop.queue.get(job.id)
        assert (back.state, await shop.queue.depth()) == ("queued", 1)
        await shop.queue.cancel(job.id)

    workshop(check)


def test_a_stopping_worker_lets_a_short_job_end(workshop) -> None:
    async def check(shop) -> None:
        job = await shop.submit("seconds=1")
        async with shop.worker(stop_seconds=10):
            await shop.until(job, lambda job: job.progress > 0)
        assert (await shop.queue.get(job.id)).state == "done"

    workshop(check)


def test_what_a_run_that_vanished_left_behind_goes_with_the_next_run(workshop) -> None:
    async def check(shop) -> None:
        job = await shop.submit()
        lost = await shop.queue.claim("a worker that dies", block_seconds=1)
        place = f"jobs/{job.id}/output-dead"

        async def chunks():
            yield b"half a result"

        await shop.store.write(f"{place}/result.cabac", chunks())
        async with shop.worker():
            done = await shop.end(job)
            async with asyncio.timeout(5):
                while len(shop.stored()) > 3:
                    await asyncio.sleep(0.01)
        assert (done.attempts, lost.deliveries) == (2, 1)
        assert {done.inputs["model"].key, done.result.key, done.report.key} == set(shop.stored())

    workshop(check)


def test_expired_jobs_go_with_their_files(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker():
            await shop.end(await shop.submit())
            async with asyncio.timeout(10):
                while shop.stored():
                    await asyncio.sleep(0.02)

    workshop(check, result_seconds=0.2, sweep_seconds=0.05)


def test_the_queue_may_be_away_while_a_job_runs(workshop, own_redis_server) -> None:
    async def check(shop) -> None:
        shop.queue = RedisQueue(own_redis_server.url, namespace="away", limit=10, keep_seconds=60)
        try:
            await away(shop)
        finally:
            await shop.queue.close()

    async def away(shop) -> None:
        async with shop.worker(idle_seconds=5):
            job = await shop.submit("seconds=1")
            await shop.until(job, lambda job: job.progress > 0)
            own_redis_server.kill()
            await asyncio.to_thread(own_redis_server.start)
            done = await shop.end(job)
        assert (done.state, done.attempts) == ("done", 1)

    workshop(check)
