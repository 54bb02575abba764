"""How far a job is, from the work itself to the record: steps, tensors and bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from heard import Heard

import cabacus
from cabacus import archive
from cabacus.service import pipeline
from cabacus.service.pipeline import Task

WEIGHTS = {
    f"layer{number}": np.random.default_rng(number).normal(0, 1, (30, 40)).astype(np.float32) for number in (1, 2)
}
MODEL = WEIGHTS | {"bias": np.ones(7, np.float32)}
SIZE = sum(array.nbytes for array in MODEL.values())


@pytest.mark.parametrize(("whole_bytes", "times"), [(1 << 20, 1), (0, 3)], ids=["side by side", "one by one"])
def test_decompression_counts_the_tensors_that_it_has_decoded(
    whole_bytes: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "WHOLE_BYTES", whole_bytes)
    packed = tmp_path / "model.cabac"
    cabacus.compress(MODEL, snr_db=30).save(packed)
    heard = Heard()
    product = pipeline.run(Task("decompress", {"model": packed}, {}, tmp_path), heard)
    assert list(cabacus.read(product.result)) == list(MODEL)
    assert heard.seen[-1] == (3, 3, SIZE, SIZE)
    assert heard.steps[-1] == (2407, 2407)
    assert len(heard.seen) == times
    pipeline.run(Task("decompress", {"model": packed}, {"name": ["layer*"]}, tmp_path), heard)
    assert heard.seen[-1] == (2, 2, 9600, 9600)


def test_running_jobs_tell_how_far_they_are_and_those_that_are_done_all_of_it(workshop) -> None:
    async def check(shop) -> None:
        async with shop.worker():
            job = await shop.submit("seconds=1")
            seen = await shop.until(job, lambda job: job.counts.tensors is not None)
            done, total = seen.counts.tensors
            assert 0 < done < total == 10
            assert seen.counts.bytes == (100 * done, 1000)
            job = await shop.end(job)
            assert (job.counts.steps, job.counts.tensors, job.counts.bytes) == ((10, 10), (10, 10), (1000, 1000))

    workshop(check)
