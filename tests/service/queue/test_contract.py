"""What every queue promises: jobs go in once, are claimed, and end exactly once."""

from __future__ import annotations

import asyncio

import pytest
from queue_steps import FAILURE, REPORT, RESULT, claim_of, finish, stale

from cabacus.service.queue.port import QueueFull


def test_a_job_survives_the_way_through_the_queue(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job(owner="somebody")
        await queue.submit(job)
        assert await queue.get(job.id) == job
        claim = await claim_of(queue)
        assert (claim.job.inputs, claim.job.options, claim.deliveries) == (job.inputs, job.options, 1)
        assert claim.job.state == "running"
        assert claim.job.started is not None
        assert await queue.depth() == 1
        assert await finish(queue, claim)
        done = await queue.get(job.id)
        assert (done.state, done.result, done.report) == ("done", RESULT, REPORT)
        assert (done.summary, done.progress, done.attempts) == ({"bytes": 5, "snr_db": None}, 1.0, 1)
        assert done.started <= done.finished
        assert done.expires == pytest.approx(done.finished + 60)
        assert await queue.depth() == 0

    queue(check)


def test_an_unknown_job_is_none_everywhere(queue) -> None:
    async def check(queue) -> None:
        assert await queue.get("0" * 32) is None
        assert await queue.cancel("0" * 32) is None
        assert await queue.delete("0" * 32) is None
        assert await queue.wait("0" * 32, 1) is None
        assert await queue.jobs(owner="nobody", limit=5) == []
        assert await queue.expired() == []

    queue(check)


def test_submitting_again_changes_nothing(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        await queue.submit(job)
        assert await queue.depth() == 1
        await finish(queue, await claim_of(queue))
        await queue.submit(job)
        assert await queue.depth() == 0

    queue(check)


def test_a_full_queue_refuses_and_names_the_knob(queue, new_job) -> None:
    async def check(queue) -> None:
        await queue.submit(new_job())
        await queue.submit(new_job())
        refused = new_job()
        with pytest.raises(QueueFull, match="CABACUS_MAX_QUEUED"):
            await queue.submit(refused)
        assert await queue.get(refused.id) is None
        claim = await claim_of(queue)
        with pytest.raises(QueueFull):  # a running job counts
            await queue.submit(refused)
        await finish(queue, claim)
        await queue.submit(refused)

    queue(check, limit=2)


def test_jobs_come_in_order_and_are_listed_newest_first(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job(owner="me") for _ in range(3)]
        for job in jobs:
            await queue.submit(job)
        assert [(await claim_of(queue)).job.id for _ in jobs] == [job.id for job in jobs]
        await queue.submit(new_job(owner="you"))
        listed = await queue.jobs(owner="me", limit=2)
        assert [job.id for job in listed] == [jobs[2].id, jobs[1].id]

    queue(check)


def test_a_claim_waits_for_a_job_and_gives_up_in_time(queue, new_job) -> None:
    async def check(queue) -> None:
        assert await queue.claim("a", block_seconds=0.01) is None
        waiting = asyncio.create_task(claim_of(queue))
        job = new_job()
        await queue.submit(job)
        assert (await waiting).job.id == job.id

    queue(check)


def test_each_job_goes_to_one_consumer(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job() for _ in range(20)]
        for job in jobs:
            await queue.submit(job)
        claims = await asyncio.gather(*(claim_of(queue, f"consumer-{number % 4}") for number in range(20)))
        assert sorted(claim.job.id for claim in claims) == sorted(job.id for job in jobs)

    queue(check)


def test_waiters_wake_when_the_job_ends(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        waiters = [asyncio.create_task(queue.wait(job.id, 20)) for _ in range(5)]
        claim = await claim_of(queue)
        assert not any(waiter.done() for waiter in waiters)
        await finish(queue, claim)
        async with asyncio.timeout(1.5):  # by the message: looking again takes two seconds
            assert {(await waiter).state for waiter in waiters} == {"done"}
        assert (await queue.wait(job.id, 20)).state == "done"

    queue(check)


def test_a_wait_that_is_over_shows_the_job_as_it_stands(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        assert (await queue.wait(job.id, 0)).state == "queued"
        await claim_of(queue)
        assert (await queue.wait(job.id, 0.05)).state == "running"

    queue(check)


def test_heartbeats_carry_progress_and_keep_the_claim(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        claim = await claim_of(queue)
        assert await queue.heartbeat(claim, progress=0.25)
        assert await queue.heartbeat(claim)
        assert (await queue.get(job.id)).progress == 0.25
        assert await queue.claim_stale("b", idle_seconds=5) is None
        assert (await queue.get(job.id)).attempts == 1

    queue(check)


def test_a_silent_consumer_loses_its_job(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        lost = await claim_of(queue)
        taken = await stale(queue)
        assert (taken.job.id, taken.deliveries, taken.job.attempts) == (job.id, 2, 2)
        assert not await queue.heartbeat(lost, progress=0.9)
        assert not await finish(queue, lost)
        assert not await queue.fail(lost, FAILURE)
        assert await queue.redeliver(lost) is None
        await queue.hand_back(lost)
        assert (await queue.get(job.id)).state == "running"
        assert await finish(queue, taken)
        assert (await queue.get(job.id)).attempts == 2

    queue(check)


def test_stale_jobs_are_found_behind_many_that_are_alive(queue, new_job) -> None:
    async def check(queue) -> None:
        for _ in range(40):
            await queue.submit(new_job())
        claims = [await claim_of(queue) for _ in range(40)]
        await asyncio.sleep(0.4)
        for claim in claims[:39]:
            assert await queue.heartbeat(claim)
        taken = await queue.claim_stale("b", idle_seconds=0.4)
        assert taken.job.id == claims[39].job.id
        assert await queue.claim_stale("b", idle_seconds=0.4) is None

    queue(check)


def test_finishing_again_is_true_and_changes_nothing(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        claim = await claim_of(queue)
        assert await finish(queue, claim)
        before = await queue.get(job.id)
        assert await finish(queue, claim)
        assert not await queue.fail(claim, FAILURE)
        assert not await queue.heartbeat(claim)
        assert await queue.get(job.id) == before

    queue(check)


def test_a_failure_is_kept_and_a_dead_letter_only_on_request(queue, new_job) -> None:
    async def check(queue) -> None:
        first, second = new_job(), new_job()
        await queue.submit(first)
        await queue.submit(second)
        assert await queue.fail(await claim_of(queue), FAILURE)
        assert await queue.dead_letters(limit=5) == []
        claim = await claim_of(queue)
        assert await queue.fail(claim, FAILURE, dead_letter=True)
        assert await queue.fail(claim, FAILURE, dead_letter=True)
        letters = await queue.dead_letters(limit=5)
        assert [(letter.job_id, letter.failure) for letter in letters] == [(second.id, FAILURE)]
        failed = await queue.get(first.id)
        assert (failed.state, failed.error, failed.result) == ("failed", FAILURE, None)
        assert await queue.depth() == 0

    queue(check)


def test_redelivery_counts(queue, new_job) -> None:
    async def check(queue) -> None:
        await queue.submit(new_job())
        claim = await claim_of(queue)
        again = await queue.redeliver(claim)
        assert (again.deliveries, again.job.attempts, again.job.state) == (2, 2, "running")
        assert (await queue.redeliver(again)).deliveries == 3
        assert await finish(queue, again)

    queue(check)


def test_a_job_handed_back_is_not_held_against_it(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        claim = await queue.redeliver(await claim_of(queue))
        await queue.hand_back(claim)
        await queue.hand_back(claim)
        assert (await queue.get(job.id)).state == "queued"
        assert await queue.depth() == 1
        again = await claim_of(queue, "b")
        assert (again.job.id, again.deliveries) == (job.id, 2)  # the run that failed counts, the one handed back not
        assert not await finish(queue, claim)
        assert await finish(queue, again)

    queue(check)


def test_a_consumer_that_leaves_hands_back_what_it_holds(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job() for _ in range(3)]
        for job in jobs:
            await queue.submit(job)
        for _ in jobs:
            await claim_of(queue)
        await queue.leave("a")
        again = [await claim_of(queue, "b") for _ in jobs]
        assert {(claim.job.id, claim.deliveries) for claim in again} == {(job.id, 1) for job in jobs}
        await queue.leave("nobody")

    queue(check)


def test_a_queued_job_that_is_cancelled_never_starts(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        waiter = asyncio.create_task(queue.wait(job.id, 20))
        cancelled = await queue.cancel(job.id)
        assert cancelled.state == "cancelled"
        assert cancelled.expires is not None
        assert (await waiter).state == "cancelled"
        assert await queue.claim("a", block_seconds=0.01) is None
        assert await queue.depth() == 0

    queue(check)


def test_a_running_job_that_is_cancelled_ends_at_once(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        claim = await claim_of(queue)
        assert (await queue.cancel(job.id)).state == "cancelled"
        assert not await queue.heartbeat(claim)
        assert not await finish(queue, claim)
        assert await queue.redeliver(claim) is None
        await queue.hand_back(claim)
        assert (await queue.get(job.id)).state == "cancelled"
        assert await queue.depth() == 0

    queue(check)


def test_cancelling_a_final_job_leaves_it(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        await finish(queue, await claim_of(queue))
        assert (await queue.cancel(job.id)).state == "done"

    queue(check)


def test_only_a_final_job_is_deleted_and_once(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job(owner="me")
        await queue.submit(job)
        assert await queue.delete(job.id) is None
        claim = await claim_of(queue)
        assert await queue.delete(job.id) is None
        await finish(queue, claim)
        deleted = await queue.delete(job.id)
        assert (deleted.job.inputs, deleted.job.result) == (job.inputs, RESULT)
        assert deleted.keys == (job.inputs["model"].key,)
        assert await queue.get(job.id) is None
        assert await queue.cancel(job.id) is None
        assert await queue.delete(job.id) is None
        assert await queue.jobs(owner="me", limit=5) == []
        assert await queue.expired() == []  # whoever deleted it has time to remove its files
        await queue.forget(job.id)
        await queue.forget(job.id)

    queue(check)


def test_each_expired_job_is_handed_out_once(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job(owner="me") for _ in range(5)]
        for job in jobs:
            await queue.submit(job)
        for _ in jobs[:3]:
            await finish(queue, await claim_of(queue))
        await queue.fail(await claim_of(queue), FAILURE)
        found: list[str] = []
        async with asyncio.timeout(5):
            while len(found) < 4:
                for batch in await asyncio.gather(queue.expired(), queue.expired()):
                    found += [removal.job.id for removal in batch]
        assert sorted(found) == sorted(job.id for job in jobs[:4])
        assert await queue.get(jobs[0].id) is None
        assert [job.id for job in await queue.jobs(owner="me", limit=5)] == [jobs[4].id]
        for job_id in found:
            await queue.forget(job_id)
        assert await queue.expired() == []

    queue(check, keep_seconds=0.02)


def test_expired_files_that_nobody_removed_are_handed_out_again(queue, new_job, monkeypatch) -> None:
    for module in ("memory", "redis_streams"):
        monkeypatch.setattr(f"cabacus.service.queue.{module}.LEASE_SECONDS", 0.02)

    async def check(queue) -> None:
        await queue.submit(new_job())
        await finish(queue, await claim_of(queue))
        for _ in range(2):
            async with asyncio.timeout(5):
                while not await queue.expired():
                    await asyncio.sleep(0.005)

    queue(check, keep_seconds=0.02)


def test_it_answers(queue) -> None:
    async def check(queue) -> None:
        assert await queue.ping()

    queue(check)
