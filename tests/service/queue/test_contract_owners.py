"""What an owner may have, on every queue: jobs, bytes, files that are stored once, bases."""

from __future__ import annotations

import pytest
from queue_steps import REPORT, RESULT, claim_of, finish

from cabacus.service.job import Blob
from cabacus.service.queue.port import Bounds, KeyReused, Once, OwnerFull


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
        asked = [Blob("uploads/9/m.npz", 5, "aa" * 32), Blob("uploads/9/m.npz", 5, "bb" * 32)]
        assert await queue.uploads("me", asked) == ["uploads/1/m.npz", None]
        assert await queue.uploads("you", asked) == [None, None]
        assert await queue.uploads("me", []) == []
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


def test_an_owner_s_bases_are_listed(queue) -> None:
    async def check(queue) -> None:
        files = {digest: Blob(f"uploads/{digest}/b.npz", 60, digest * 32) for digest in ("aa", "bb", "cc")}
        for digest, file in files.items():
            await queue.keep_base("me" if digest != "cc" else "me2", digest * 32, file)
        found = await queue.bases("me")
        assert {digest[:2]: blob.key for digest, blob in found.items()} == {
            digest: files[digest].key for digest in ("aa", "bb")
        }
        assert await queue.bases("m") == {}
        await queue.drop_base("me", "aa" * 32)
        assert list(await queue.bases("me")) == ["bb" * 32]

    queue(check)


def test_bases_count_among_an_owners_bytes(queue) -> None:
    async def check(queue) -> None:
        bounds = Bounds(bytes=100)
        await queue.keep_base("me", "d", Blob("uploads/1/b.npz", 60, "aa" * 32), bounds=bounds)
        with pytest.raises(OwnerFull, match="100 bytes"):
            await queue.keep_base("me", "e", Blob("uploads/2/b.npz", 60, "bb" * 32), bounds=bounds)
        await queue.keep_base("you", "e", Blob("uploads/2/b.npz", 60, "bb" * 32), bounds=bounds)

    queue(check)


def test_a_result_is_found_by_its_digest_while_a_job_has_it(queue, new_job) -> None:
    async def check(queue) -> None:
        jobs = [new_job(owner="me") for _ in range(2)]
        for job in jobs:
            await queue.submit(job)
            assert await finish(queue, await claim_of(queue))
        for job in jobs:
            found = await queue.made("me", RESULT.sha256)
            assert (found.id in {job.id for job in jobs}, found.result) == (True, RESULT)
            assert await queue.made("you", RESULT.sha256) is None
            assert await queue.made("me", REPORT.sha256) is None
            await queue.delete(job.id)
        assert await queue.made("me", RESULT.sha256) is None

    queue(check)
