"""What tests of queues do again and again."""

from __future__ import annotations

import asyncio

from cabacus.service.job import Blob, Failure

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


async def order(queue, count: int) -> list[str]:
    """Whose jobs come, one after another, each done before the next."""
    owners = []
    for _ in range(count):
        claim = await claim_of(queue)
        owners.append(claim.job.owner)
        assert await finish(queue, claim)
    return owners
