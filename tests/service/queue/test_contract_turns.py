"""Whose turn it is, on every queue: by priority, then fairly between owners."""

from __future__ import annotations

import random

from queue_steps import FAILURE, claim_of, finish, order


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


def test_an_owner_has_no_more_running_than_one_may(queue, new_job) -> None:
    async def check(queue) -> None:
        mine = [new_job(owner="me") for _ in range(4)]
        for job in mine:
            await queue.submit(job)
        first, second = await claim_of(queue), await claim_of(queue)
        assert await nothing_starts(queue)
        assert await queue.depth() == 4
        assert (await queue.statistics()).open == 4
        other = new_job(owner="you")
        await queue.submit(other)
        assert (await claim_of(queue)).job.id == other.id  # overtakes
        assert await finish(queue, first)
        third = await claim_of(queue)
        assert third.job.id == mine[2].id
        assert await nothing_starts(queue)
        await queue.hand_back(second)
        assert (await claim_of(queue)).job.id == mine[1].id
        assert await queue.fail(third, FAILURE)
        assert (await claim_of(queue)).job.id == mine[3].id

    queue(check, running=2)


def test_cancelling_a_job_that_waits_for_others_of_its_owner_strands_none(queue, new_job) -> None:
    async def check(queue) -> None:
        mine = [new_job(owner="me") for _ in range(4)]
        for job in mine:
            await queue.submit(job)
        running = await claim_of(queue)
        assert await nothing_starts(queue)  # the others are looked at, and wait
        await queue.cancel(mine[1].id)
        assert await nothing_starts(queue)
        assert await finish(queue, running)
        assert (await claim_of(queue)).job.id == mine[2].id
        await queue.cancel(mine[2].id)
        assert (await claim_of(queue)).job.id == mine[3].id
        await queue.cancel(mine[3].id)
        assert await queue.depth() == 0

    queue(check, running=1)


def test_the_bound_holds_and_nothing_is_stranded_whatever_happens(queue, new_job) -> None:
    async def check(queue) -> None:
        draw, held, waiting = random.Random(7), [], 0
        for _ in range(300):
            match draw.choice(("submit", "submit", "claim", "claim", "finish", "hand_back", "cancel")):
                case "submit":
                    await queue.submit(new_job(owner=draw.choice("abc"), priority=draw.choice(("interactive", "bulk"))))
                    waiting += 1
                case "claim":
                    held += [claim] if (claim := await queue.claim("x", block_seconds=0.001)) else []
                case "cancel" if jobs := [job for job in await queue.jobs(owner="a", limit=9) if not job.final]:
                    await queue.cancel(draw.choice(jobs).id)
                case "finish" if held:
                    await finish(queue, held.pop(draw.randrange(len(held))))
                case "hand_back" if held:
                    await queue.hand_back(held.pop(draw.randrange(len(held))))
            running = [
                job.owner
                for owner in "abc"
                for job in await queue.jobs(owner=owner, limit=300)
                if job.state == "running"
            ]
            assert all(running.count(owner) <= 2 for owner in "abc")
        for claim in held:
            await finish(queue, claim)
        while await queue.depth():
            await finish(queue, await claim_of(queue))

    queue(check, running=2, limit=1000)


async def nothing_starts(queue) -> bool:
    """True if no job is handed out, however often a consumer asks."""
    return not any([await queue.claim("z", block_seconds=0.01) for _ in range(5)])
