"""What every queue tells: each change of a job, counts, and the ends that webhooks wait for."""

from __future__ import annotations

import asyncio

from queue_steps import FAILURE, REPORT, RESULT, claim_of, finish

from cabacus.service.job import Counts
from cabacus.service.queue.port import HISTOGRAMS


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
        await queue.heartbeat(claim, progress=0.5, counts=Counts((1, 2)))
        await until(lambda job: job.progress == 0.5)
        before = seen[-1].version
        await queue.heartbeat(claim, progress=0.5, counts=Counts((1, 2)))  # nothing new
        assert (await queue.get(job.id)).version == before
        await finish(queue, claim)
        async with asyncio.timeout(5):
            await following
        assert [(job.state, job.counts.steps) for job in seen] == [
            *(("queued", None), ("running", None), ("running", (1, 2)), ("done", (1, 2)))
        ]
        versions = [job.version for job in seen]
        assert sorted(set(versions)) == versions
        assert (await queue.change(job.id, -1, 20)).state == "done"
        assert (await queue.change(job.id, seen[-1].version, 0.02)).state == "done"

    queue(check)


def test_steps_tensors_and_bytes_are_told_each_time_one_changes_and_at_the_end(queue, new_job) -> None:
    async def check(queue) -> None:
        job = new_job()
        await queue.submit(job)
        claim = await claim_of(queue)
        versions = []
        for counts in (Counts((1, 8), (0, 2), (0, 64)), Counts((1, 8), (1, 2), (32, 64))):
            assert await queue.heartbeat(claim, progress=0.125, counts=counts)
            found = await queue.get(job.id)
            assert found.counts == counts
            versions.append(found.version)
        assert versions[0] < versions[1]
        await queue.hand_back(claim)  # what the next run does begins at nothing
        assert (await queue.get(job.id)).counts == Counts()
        claim = await claim_of(queue)
        whole = Counts((8, 8), (2, 2), (64, 64))
        assert await queue.finish(claim, result=RESULT, report=REPORT, summary={}, counts=whole)
        assert (await queue.get(job.id)).counts == whole

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
