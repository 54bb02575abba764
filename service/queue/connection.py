"""Clients of Redis by URL: one server, whichever server Sentinels name, or a cluster.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]      rediss:// with TLS      unix:///PATH
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],.../NAME[/DB]     the Sentinels, and what they watch
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],...                some of the nodes

rediss+sentinel:// and rediss+cluster:// use TLS. Credentials are the servers'; Sentinels are asked without.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

import redis.asyncio as aredis
from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff

SOCKET_SECONDS = 10.0
CONNECT_SECONDS = 2.0
RETRIES = 14
"""With the backoff of `connect` about five seconds: a server that restarts and reads its log is back by then."""
SENTINEL_PORT, PORT = 26379, 6379


def connect(url: str, password: str = "") -> Any:
    """A client that retries with backoff, here and nowhere else. Raises ValueError for a URL that names no server.

    `password` is used where the URL has none. Nothing is connected yet.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "protocol": 2,
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.02), RETRIES),
        "retry_on_error": [exceptions.ConnectionError, exceptions.TimeoutError],
    }
    scheme = urlsplit(url).scheme
    if scheme in ("redis", "rediss", "unix"):
        if password and not urlsplit(url).password:
            options["password"] = password
        return aredis.Redis.from_url(url, **options)
    user, given, hosts, path = _parts(url)
    if user:
        options["username"] = user
    if given or password:
        options["password"] = given or password
    if scheme.startswith("rediss"):
        options["ssl"] = True
    return _by_sentinel(hosts, path, options) if scheme.endswith("+sentinel") else _cluster(hosts, path, options)


def _by_sentinel(hosts: list[tuple[str, int | None]], path: list[str], options: dict[str, Any]) -> aredis.Redis:
    """A client whose every new connection goes to the server that is the primary then."""
    if not 1 <= len(path) <= 2 or not path[0] or not path[-1]:
        raise ValueError(
            "name what the Sentinels watch: redis+sentinel://HOST:PORT,HOST:PORT/NAME, then /DB if need be"
        )
    options["db"] = _number(path[1]) if len(path) == 2 else 0
    # A former primary that is a replica now refuses to write: then the next attempt asks the Sentinels again.
    options["retry_on_error"] = [*options["retry_on_error"], exceptions.ReadOnlyError]
    asking = {"socket_timeout": CONNECT_SECONDS, "socket_connect_timeout": CONNECT_SECONDS, "decode_responses": True}
    sentinels = [(host, port or SENTINEL_PORT) for host, port in hosts]
    watched: Any = Sentinel  # without types
    client: aredis.Redis = watched(sentinels, sentinel_kwargs=asking, **options).master_for(path[0], _Watched)
    return client


class _Watched(aredis.Redis):
    """Lets go of the connections to the Sentinels as well."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        await super().aclose(close_connection_pool)
        manager: Any = getattr(self.connection_pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            await sentinel.aclose()


def _cluster(hosts: list[tuple[str, int | None]], path: list[str], options: dict[str, Any]) -> RedisCluster:
    if any(path):
        raise ValueError("a cluster has no databases: redis+cluster://HOST:PORT,HOST:PORT")
    del options["retry_on_error"]  # the cluster's client knows what to try again, and where
    nodes = [ClusterNode(host, port or PORT) for host, port in hosts]
    return RedisCluster(startup_nodes=nodes, **options)


def _parts(url: str) -> tuple[str, str, list[tuple[str, int | None]], list[str]]:
    """User, password, hosts with ports, and the parts of the path."""
    parts = urlsplit(url)
    before, _, places = parts.netloc.rpartition("@")
    user, _, password = before.partition(":")
    hosts = [re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", place) for place in places.split(",")]
    if parts.query or parts.fragment:
        raise ValueError("a URL of Sentinels or of a cluster ends with its path")
    found = [(match[1].strip("[]"), _number(match[2]) if match[2] else None) for match in hosts if match]
    if len(found) != len(hosts):
        raise ValueError("its hosts are HOST or HOST:PORT, separated by commas")
    return unquote(user), unquote(password), found, parts.path.split("/")[1:]


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text[:20]!r} is no port or number of a database")
    return int(text)
