"""What every queue promises: jobs go in once, are claimed, and end exactly once."""

from __future__ import annotations

import asyncio

import pytest

from cabacus.service.job import Blob, Failure
from cabacus.service.queue.port import HISTOGRAMS, Bounds, KeyReused, Once, OwnerFull, QueueFull

RESULT = Blob("jobs/x/output/result.cabac", 5, "cd" * 32, "application/vnd.cabacus", "model.cabac")
REPORT = Blob("jobs/x/output/report.json", 2, "ef" * 32, "application/json", "report.json")
FAILURE = Failure("corrupt", "the checksum of 'fc.weight' is wrong; send it again", tensor="fc.weight")


async def finish(queue, claim) -> bool:
    return await queue.finish(claim, result=RESULT, report=REPORT, summary={"bytes": 5, "snr_db": None})


async def claim_of(queue, consumer: str = "a"):
    claim = await queue.claim(consumer, block_seconds=5)
    assert claim is not None
    return claim


async def stale(queue, consumer: str = "b"):
    """Take over as soon as the other consumer has been silent for a moment."""
    async with asyncio.timeout(5):
        while (claim := await queue.claim_stale(consumer, idle_seconds=0.02)) is None:
            await asyncio.sleep(0.005)
    return claim


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
        await asyncio.sleep(0.05)
        for claim in claims[:39]:
            assert await queue.heartbeat(claim)
        taken = await queue.claim_stale("b", idle_seconds=0.05)
        assert taken.job.id == claims[39].job.id
        assert await queue.claim_stale("b", idle_seconds=0.05) is None

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


# -- whose turn it is --------------------------------------------------------------------------------------------------


async def order(queue, count: int) -> list[str]:
    """Whose jobs come, one after another, each done before the next."""
    owners = []
    for _ in range(count):
        claim = await claim_of(queue)
        owners.append(claim.job.owner)
        assert await finish(queue, claim)
    return owners


def test_interactive_jobs_come_before_bulk(queue, new_job) -> None:
    async def check(queue) -> None:
        bulk = [new_job(priority="bulk") for _ in range(2)]
        hurried = [new_job() for _ in range(2)]
        for job in (*bulk, *hurried):
            await queue.submit(job)
        assert [(await claim_of(queue)).job.id for _ in range(4)] == [job.id for job in (*hurried, *bulk)]

    queue(check)


def test_owners_take_turns(queue, new_job) -> None:
    async def check(queue) -> None:
        for owner in ("many", "many", "many", "many", "few", "one", "few"):
            await queue.submit(new_job(owner=owner))
        assert await order(queue, 7) == ["many", "few", "one", "many", "few", "many", "many"]

    queue(check)


def test_who_has_least_running_comes_first(queue, new_job) -> None:
    async def check(queue) -> None:
        for owner in ("a", "a", "a", "b", "b"):
            await queue.submit(new_job(owner=owner))
        claims = [await claim_of(queue) for _ in range(3)]  # a, b, and a again: both have one
        assert [claim.job.owner for claim in claims] == ["a", "b", "a"]
        assert await finish(queue, claims[2])
        assert await finish(queue, claims[0])
        assert [(await claim_of(queue)).job.owner for _ in range(2)] == ["a", "b"]

    queue(check)


def test_a_job_handed_back_keeps_its_place(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job() for _ in range(3)]
        for job in jobs:
            await queue.submit(job)
        await queue.hand_back(await claim_of(queue))
        assert [(await claim_of(queue)).job.id for _ in jobs] == [job.id for job in jobs]

    queue(check)


def test_cancelling_what_waits_leaves_the_others(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job(owner=owner) for owner in ("a", "a", "b")]
        for job in jobs:
            await queue.submit(job)
        await queue.cancel(jobs[0].id)
        assert await queue.depth() == 2
        assert {(await claim_of(queue)).job.id for _ in range(2)} == {jobs[1].id, jobs[2].id}
        assert await queue.claim("a", block_seconds=0.01) is None

    queue(check)


# -- what an owner may have --------------------------------------------------------------------------------------------


def test_an_owners_jobs_are_bounded(queue, new_job) -> None:
    async def check(queue) -> None:
        bounds = Bounds(jobs=2)
        for _ in range(2):
            await queue.submit(new_job(owner="me"), bounds=bounds)
        with pytest.raises(OwnerFull) as caught:
            await queue.submit(new_job(owner="me"), bounds=bounds)
        assert caught.value.limit == "CABACUS_KEY_MAX_JOBS"
        assert caught.value.retry_after >= 1
        await queue.submit(new_job(owner="you"), bounds=bounds)
        await finish(queue, await claim_of(queue))
        await queue.submit(new_job(owner="me"), bounds=bounds)

    queue(check)


def test_an_owners_bytes_are_bounded_and_come_back(queue, new_job) -> None:
    async def check(queue) -> None:
        def job(size: int, digest: str):
            return new_job(owner="me", inputs={"model": Blob(f"uploads/{digest}/model.npz", size, digest * 32)})

        bounds = Bounds(bytes=100)
        first = job(60, "aa")
        await queue.submit(first, bounds=bounds)
        with pytest.raises(OwnerFull) as caught:
            await queue.submit(job(50, "bb"), bounds=bounds)
        assert caught.value.limit == "CABACUS_KEY_MAX_BYTES"
        await queue.submit(job(60, "aa"), bounds=bounds)  # the same bytes again take no room
        for _ in range(2):
            await finish(queue, await claim_of(queue))  # 7 bytes of output each
        with pytest.raises(OwnerFull):
            await queue.submit(job(30, "cc"), bounds=bounds)
        assert (await queue.delete(first.id)).keys == ()
        await queue.submit(job(30, "cc"), bounds=bounds)

    queue(check)


def test_the_same_upload_is_kept_as_long_as_a_job_needs_it(queue, new_job) -> None:
    async def check(queue) -> None:
        def job(key: str, owner: str = "me"):
            return new_job(owner=owner, inputs={"model": Blob(key, 5, "aa" * 32)})

        first, second, other = job("uploads/1/m.npz"), job("uploads/2/m.npz"), job("uploads/3/m.npz", "you")
        assert (await queue.submit(first)).unused == ()
        receipt = await queue.submit(second)
        assert receipt.unused == ("uploads/2/m.npz",)
        assert receipt.job.inputs["model"].key == "uploads/1/m.npz"
        assert (await queue.submit(second)).unused == ("uploads/2/m.npz",)  # as when the answer was lost
        assert (await queue.submit(other)).unused == ()  # nobody learns what others have stored
        for _ in range(3):
            await finish(queue, await claim_of(queue))
        assert (await queue.delete(first.id)).keys == ()
        assert await queue.needs("uploads/1/m.npz")
        assert (await queue.delete(second.id)).keys == ("uploads/1/m.npz",)
        assert not await queue.needs("uploads/1/m.npz")
        third = job("uploads/4/m.npz")
        assert (await queue.submit(third)).unused == ()  # what is being removed is not used again

    queue(check)


def test_the_same_file_in_two_roles_is_stored_once(queue, new_job) -> None:
    async def check(queue) -> None:
        inputs = {role: Blob(f"uploads/{role}/{role}.npz", 5, "aa" * 32) for role in ("model", "base")}
        receipt = await queue.submit(new_job(inputs=inputs))
        assert len({blob.key for blob in receipt.job.inputs.values()}) == 1
        assert len(receipt.unused) == 1
        await finish(queue, await claim_of(queue))
        assert len((await queue.delete(receipt.job.id)).keys) == 1

    queue(check)


# -- repetitions -------------------------------------------------------------------------------------------------------


def test_a_request_that_is_repeated_finds_its_job(queue, new_job) -> None:
    async def check(queue) -> None:
        first, again = new_job(owner="me"), new_job(owner="me")
        once = Once("key", "fingerprint")
        assert (await queue.submit(first, once=once)).fresh
        receipt = await queue.submit(again, once=once)
        assert (receipt.fresh, receipt.job.id) == (False, first.id)
        assert await queue.get(again.id) is None
        with pytest.raises(KeyReused):
            await queue.submit(again, once=Once("key", "another"))
        assert (await queue.submit(new_job(owner="you"), once=once)).fresh
        for _ in range(2):
            await finish(queue, await claim_of(queue))
        assert (await queue.submit(again, once=once)).job.state == "done"
        await queue.delete(first.id)
        assert (await queue.submit(again, once=once)).fresh

    queue(check)


# -- changes, counts, notices ------------------------------------------------------------------------------------------


def test_every_change_is_seen(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        seen = [await queue.get(job.id)]

        async def follow() -> None:
            while not seen[-1].final:
                seen.append(await queue.change(job.id, seen[-1].version, 20))

        following = asyncio.create_task(follow())
        claim = await claim_of(queue)

        async def until(condition) -> None:
            async with asyncio.timeout(5):
                while not condition(seen[-1]):
                    await asyncio.sleep(0.001)

        await until(lambda job: job.state == "running")
        await queue.heartbeat(claim, progress=0.5, steps=(1, 2))
        await until(lambda job: job.progress == 0.5)
        before = seen[-1].version
        await queue.heartbeat(claim, progress=0.5, steps=(1, 2))  # nothing new
        assert (await queue.get(job.id)).version == before
        await finish(queue, claim)
        async with asyncio.timeout(5):
            await following
        assert [(job.state, job.steps) for job in seen] == [
            *(("queued", None), ("running", None), ("running", (1, 2)), ("done", (1, 2)))
        ]
        versions = [job.version for job in seen]
        assert sorted(set(versions)) == versions
        assert (await queue.change(job.id, -1, 20)).state == "done"
        assert (await queue.change(job.id, seen[-1].version, 0.02)).state == "done"

    queue(check)


def test_what_happens_is_counted_once(queue, new_job) -> None:
    async def check(queue) -> None:
        for changes in ({}, {}, {"priority": "bulk"}, {"kind": "inspect"}):
            await queue.submit(new_job(**changes))
        claim = await claim_of(queue)
        summary = {"original_bytes": 100, "bytes": 20}
        for _ in range(2):
            assert await queue.finish(claim, result=RESULT, report=REPORT, summary=summary)
        claim = await queue.redeliver(await claim_of(queue))
        for _ in range(2):
            assert await queue.fail(claim, FAILURE, dead_letter=True)
        found = await queue.statistics()
        assert found.counters["submitted", "compress", "interactive"] == 2
        assert found.counters["ended", "compress", "done", ""] == 1
        assert found.counters["ended", "compress", "failed", "corrupt"] == 1
        assert found.counters["dead_letters", "compress"] == 1
        assert found.counters["runs", "compress"] == 3
        assert found.counters["original_bytes", "compress"] == 100
        assert found.counters["sum", "ratio", "compress"] == 5
        assert found.counters["bucket", "ratio", "compress", str(HISTOGRAMS["ratio"].index(6.0))] == 1
        runs = [value for name, value in found.counters.items() if name[:3] == ("bucket", "run_seconds", "compress")]
        assert sum(runs) == 2
        assert (found.waiting, found.open) == ({"interactive": 1, "bulk": 1}, 2)
        assert 0 < found.oldest_seconds["bulk"] < 20

    queue(check)


def test_the_end_of_a_job_is_told_until_it_is_heard(queue, new_job) -> None:
    async def check(queue) -> None:
        quiet, loud = new_job(), new_job(webhook="https://there/x")
        for job in (quiet, loud):
            await queue.submit(job)
        assert await queue.notices(lease_seconds=60) == []
        for _ in range(2):
            await finish(queue, await claim_of(queue))
        (notice,) = await queue.notices(lease_seconds=0.02)
        assert (notice.job.id, notice.job.state, notice.tries) == (loud.id, "done", 1)
        async with asyncio.timeout(5):
            while not (again := await queue.notices(lease_seconds=60)):
                await asyncio.sleep(0.005)
        assert again[0].tries == 2
        assert await queue.notices(lease_seconds=60) == []
        await queue.tell_later(loud.id, 0)
        async with asyncio.timeout(5):
            while not await queue.notices(lease_seconds=60):
                await asyncio.sleep(0.005)
        await queue.told(loud.id)
        await queue.tell_later(loud.id, 0)
        assert await queue.notices(lease_seconds=60) == []

    queue(check)


# -- bases -------------------------------------------------------------------------------------------------------------


def test_a_base_is_kept_until_nothing_needs_it(queue, new_job) -> None:
    async def check(queue) -> None:
        def file(key: str, digest: str = "aa") -> Blob:
            return Blob(key, 60, digest * 32, "application/zip", "base.npz")

        assert await queue.base("me", "d") is None
        kept = await queue.keep_base("me", "d", file("uploads/1/b.npz"))
        assert (kept.blob, kept.fresh, kept.unused) == (file("uploads/1/b.npz"), True, ())
        again = await queue.keep_base("me", "d", file("uploads/2/b.npz", "bb"))
        assert (again.blob.key, again.fresh, again.unused) == ("uploads/1/b.npz", False, ("uploads/2/b.npz",))
        other = await queue.keep_base("me", "e", file("uploads/3/b.npz"))  # the same file under another digest
        assert (other.blob.key, other.fresh, other.unused) == ("uploads/1/b.npz", True, ("uploads/3/b.npz",))
        assert await queue.base("you", "d") is None
        assert (await queue.usage("me")).bytes == 60

        job = new_job(owner="me", inputs={"base": await queue.base("me", "d")})
        assert (await queue.submit(job)).unused == ()
        await finish(queue, await claim_of(queue))
        assert await queue.drop_base("me", "d") == ()
        assert await queue.drop_base("me", "d") == ()
        assert await queue.base("me", "d") is None
        assert (await queue.delete(job.id)).keys == ()
        assert await queue.needs("uploads/1/b.npz")
        assert await queue.drop_base("me", "e") == ("uploads/1/b.npz",)
        assert (await queue.usage("me")).bytes == 0

    queue(check)


def test_bases_count_among_an_owners_bytes(queue) -> None:
    async def check(queue) -> None:
        bounds = Bounds(bytes=100)
        await queue.keep_base("me", "d", Blob("uploads/1/b.npz", 60, "aa" * 32), bounds=bounds)
        with pytest.raises(OwnerFull, match="100 bytes"):
            await queue.keep_base("me", "e", Blob("uploads/2/b.npz", 60, "bb" * 32), bounds=bounds)
        await queue.keep_base("you", "e", Blob("uploads/2/b.npz", 60, "bb" * 32), bounds=bounds)

    queue(check)
