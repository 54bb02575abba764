"""Models and results in buckets, on a server that speaks S3."""

from __future__ import annotations

import httpx


def test_a_model_comes_from_a_bucket_and_its_result_goes_there(workshop, bucket: str, s3_endpoint: str) -> None:
    place = f"{s3_endpoint}/{bucket}"
    httpx.put(f"{place}/in/net.npz", content=b"model", trust_env=False).raise_for_status()

    async def check(shop) -> None:
        root = f"s3://{bucket}"
        async with shop.worker(buckets=root):
            job = await shop.submit(source=f"{root}/in/net.npz", target=f"{root}/out/net.cabac")
            job = await shop.end(job)
        assert (job.state, job.inputs, job.result.name) == ("done", {}, "net.cabac")
        assert b"".join([chunk async for chunk in shop.store.read(job.result.key)]) == b"ledom"
        assert httpx.get(f"{place}/out/net.cabac", trust_env=False).content == b"ledom"

    workshop(check)


def test_what_cannot_be_fetched_says_why_and_is_not_run_again(workshop, bucket: str, s3_endpoint: str) -> None:
    httpx.put(f"{s3_endpoint}/{bucket}/in/large.npz", content=bytes(2000), trust_env=False).raise_for_status()

    async def check(shop) -> None:
        root = f"s3://{bucket}/in"
        async with shop.worker(buckets=root, max_upload_bytes=1000):
            for source, code, limit in (
                (f"{root}/missing.npz", "source_not_found", None),
                (f"{root}/large.npz", "upload_too_large", "CABACUS_MAX_UPLOAD_BYTES"),
                (f"s3://{bucket}/elsewhere/net.npz", "invalid_option", "CABACUS_BUCKETS"),
            ):
                job = await shop.end(await shop.submit(source=source))
                assert (job.state, job.attempts, job.error.code, job.error.limit) == ("failed", 1, code, limit)
            job = await shop.end(await shop.submit(target=f"s3://{bucket}/elsewhere/x"))
            assert job.error.code == "invalid_option"

    workshop(check)
