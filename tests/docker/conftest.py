"""The whole deployment, built and started as docker-compose.yml says, behind its proxy."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from docker_stack import IMAGE, ROOT, Stack, docker, image_or


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from this tree; or, to try the tests themselves, the one that CABACUS_TEST_IMAGE names."""
    if given := os.environ.get("CABACUS_TEST_IMAGE"):
        return given
    docker("build", "--quiet", "-f", ROOT / "docker" / "Dockerfile", "-t", IMAGE, "--build-arg", "REVISION=abc", ROOT)
    return IMAGE


@pytest.fixture(scope="session")
def stack(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """It runs, with a key for alice and one for bob; everything is gone afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CABACUS_", "PROXY_"))}
    environment["PROXY_IMAGE"] = image_or("haproxy:2.8-bookworm", "proxy")
    password = tmp_path_factory.mktemp("secrets") / "redis_password"
    password.write_text(secrets.token_hex(32) + "\n")
    password.chmod(0o444)
    stack = Stack(environment | {"CABACUS_IMAGE": image, "REDIS_PASSWORD_FILE": str(password)})
    try:
        stack.up()
        stack.keys = {owner: stack.execute("api", "cabacus", "keys", "add", owner) for owner in ("alice", "bob")}
        yield stack
    except BaseException:
        print(stack.compose("logs", "--no-color", "--tail", "50"))
        raise
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "2")
