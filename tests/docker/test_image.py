"""The image: small, without what only a build needs, and content with little."""

from __future__ import annotations

import json

import pytest
from docker_stack import docker

pytestmark = pytest.mark.docker

BASE = "python:3.12-slim-bookworm"
MOST_BYTES = 150_000_000


def inspect(image: str) -> dict:
    return json.loads(docker("image", "inspect", image))[0]


def test_it_is_at_most_150_mb_over_its_base(image: str) -> None:
    base, whole = inspect(BASE), inspect(image)
    layers = whole["RootFS"]["Layers"]
    assert layers[: len(base["RootFS"]["Layers"])] == base["RootFS"]["Layers"]
    assert whole["Size"] - base["Size"] <= MOST_BYTES


def test_it_says_what_it_is_and_runs_as_nobody_in_particular(image: str) -> None:
    config = inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"][0] == "tini"
    assert config["Cmd"] == ["api"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc"


def test_there_is_no_compiler_and_every_lane_is(image: str) -> None:
    shell = "for tool in gcc g++ cc c++ ld cmake ninja; do command -v $tool && exit 1; done; id -u; cabacus --version"
    found = docker("run", "--rm", "--read-only", "--network", "none", "--entrypoint", "sh", image, "-c", shell)
    assert found.splitlines()[0] == "10001"
    assert found.splitlines()[1].startswith("cabacus ")
