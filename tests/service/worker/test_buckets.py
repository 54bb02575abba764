"""Models and results in buckets, on a server that speaks S3."""

from __future__ import annotations

import json

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


def test_a_checkpoint_comes_with_its_shards(workshop, bucket: str, s3_endpoint: str) -> None:
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    for name, content in (
        ("whole/model.safetensors.index.json", json.dumps(index)),
        ("whole/m-1.safetensors", "one"),
        ("whole/m-2.safetensors", "two"),
        ("part/net.safetensors.index.json", json.dumps(index)),
        ("part/m-1.safetensors", "one"),
        ("lone/model.safetensors", "alone"),
        ("liar/x.index.json", json.dumps({"weight_map": {"a": "../whole/m-1.safetensors"}})),
        ("liar/y.index.json", "[]"),
    ):
        httpx.put(f"{s3_endpoint}/{bucket}/{name}", content=content.encode(), trust_env=False).raise_for_status()

    async def check(shop) -> None:
        root = f"s3://{bucket}"
        async with shop.worker(buckets=root):
            for source, name in (("whole/", "whole"), ("whole/model.safetensors.index.json", "model")):
                job = await shop.end(await shop.submit("list", source=f"{root}/{source}"))
                assert (job.state, job.result.name) == ("done", f"{name}.cabac"), job.error
                listed = b"".join([chunk async for chunk in shop.store.read(job.result.key)])
                assert listed == b"m-1.safetensors m-2.safetensors model.safetensors.index.json"
            job = await shop.end(await shop.submit(source=f"{root}/lone/"))
            assert b"".join([chunk async for chunk in shop.store.read(job.result.key)]) == b"enola"
            for source, code in (
                ("empty/", "source_not_found"),
                ("part/net.safetensors.index.json", "invalid_input"),
                ("liar/x.index.json", "invalid_format"),
                ("liar/y.index.json", "invalid_format"),
            ):
                job = await shop.end(await shop.submit(source=f"{root}/{source}"))
                assert (job.state, job.error.code) == ("failed", code)

    workshop(check)
