"""Sentinels and clusters by URL, on real servers."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis_servers import cluster, sentinel_pair

from cabacus.service.adapters import open_queue
from cabacus.service.queue.connection import connect
from cabacus.service.queue.redis_streams import RedisQueue
from cabacus.service.settings import Settings, SettingsError


def open_at(url: str) -> RedisQueue:
    return RedisQueue(url, namespace="test", limit=100, keep_seconds=60)


def check(main) -> None:
    asyncio.run(asyncio.wait_for(main(), 40))


async def insist(call):
    """Until it is answered: while the others agree on a new primary, there is none."""
    while True:
        try:
            return await call()
        except ConnectionError:
            await asyncio.sleep(0.05)


def test_work_goes_on_at_the_replica_when_the_primary_dies(tmp_path: Path, new_job) -> None:
    with sentinel_pair(tmp_path) as (url, primary, replica):

        async def main() -> None:
            queue, first, second = open_at(url), new_job(), new_job()
            await queue.submit(first)
            claim = await queue.claim("a", block_seconds=1)
            primary.client.wait(1, 5000)  # the replica has it
            primary.kill()
            assert await insist(lambda: queue.finish(claim, result=None, report=None, summary={}))
            assert (await queue.submit(second)).job.id == second.id
            assert (await queue.claim("a", block_seconds=1)).job.id == second.id
            assert replica.client.info("replication")["role"] == "master"
            await queue.close()

        check(main)


def test_a_primary_that_became_a_replica_is_not_written_to(tmp_path: Path, new_job) -> None:
    with sentinel_pair(tmp_path) as (url, primary, replica):

        async def main() -> None:
            queue, first, second = open_at(url), new_job(), new_job()
            await queue.submit(first)
            os.kill(primary.process.pid, signal.SIGSTOP)  # silent, as behind a network that broke
            while replica.client.info("replication")["role"] != "master":
                await asyncio.sleep(0.05)
            os.kill(primary.process.pid, signal.SIGCONT)
            while primary.client.info("replication")["role"] != "slave":
                await asyncio.sleep(0.05)
            await insist(lambda: queue.submit(second))
            assert await queue.depth() == 2
            assert replica.client.xlen("{test}:jobs") == 2
            await queue.close()

        check(main)


def test_a_cluster_keeps_a_queue_in_one_slot_and_wakes_who_waits(tmp_path: Path, new_job) -> None:
    with cluster(tmp_path) as (url, nodes):

        async def main() -> None:
            queue, job = open_at(url), new_job()
            await queue.submit(job)
            claim = await queue.claim("a", block_seconds=1)
            waiting = asyncio.create_task(queue.wait(job.id, 20))
            while not any(node.client.pubsub_numsub("{test}:changed")[0][1] for node in nodes):
                await asyncio.sleep(0.02)
            await queue.finish(claim, result=None, report=None, summary={})
            assert (await waiting).state == "done"
            assert await queue.ping()
            await queue.close()

        check(main)
        holders = [node for node in nodes if node.client.dbsize()]
        assert len(holders) == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379,two",
        "redis+sentinel://one/",
        "redis+sentinel://one/jobs/x",
        "redis+sentinel://one:x/jobs",
        "redis+sentinel://one:99999/jobs",
        "redis+cluster://one/1",
        "redis+cluster://one,,two",
        "redis+cluster://one?db=1",
    ],
)
def test_a_url_that_names_no_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="CABACUS_REDIS cannot be used"):
        open_queue(Settings(redis=url))
    with pytest.raises(SettingsError) as caught:
        open_queue(Settings(redis=url.replace("://", "://me:opensesame@")))
    assert "opensesame" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://me@host", "redis+sentinel://me@a,b:1/jobs/2", "redis+cluster://me@a"])
def test_the_password_is_used_where_the_url_has_none(url: str) -> None:
    def password(given: str) -> object:
        client = connect(given, "opensesame")
        known = getattr(client, "connection_pool", None)
        return (known.connection_kwargs if known else client.connection_kwargs)["password"]

    async def main() -> None:
        assert password(url) == "opensesame"
        assert password(url.replace("me@", "me:other@")) == "other"

    check(main)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("opensesame\n")
    assert Settings.from_environment({"CABACUS_REDIS_PASSWORD_FILE": str(path)}).redis_password == "opensesame"
    path.write_text("open sesame")
    for environment in ({"CABACUS_REDIS_PASSWORD_FILE": str(path)}, {"CABACUS_REDIS_PASSWORD": "open sesame"}):
        with pytest.raises(SettingsError, match="CABACUS_REDIS_PASSWORD is 'not shown'"):
            Settings.from_environment(environment)
    with pytest.raises(SettingsError, match="CABACUS_WEBHOOK_SECRET_FILE is"):
        Settings.from_environment({"CABACUS_WEBHOOK_SECRET_FILE": str(tmp_path / "none")})
