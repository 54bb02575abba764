"""Configuration files, as the programs that read them judge them; these tests need no engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def check(*words: object, **environment: str) -> None:
    done = subprocess.run(
        [*map(str, words)], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr, done.stderr


def proxy_settings() -> dict[str, str]:
    """PROXY_* as the compose file has them where nobody sets them."""
    lines = re.findall(r"^ +(PROXY_\w+): (?:\$\{\w+:-(.*)\}|(.*))$", COMPOSE, re.MULTILINE)
    return {name: default or fixed for name, default, fixed in lines}


@needs_haproxy
def test_haproxy_takes_its_configuration() -> None:
    check("haproxy", "-c", "-f", "docker/haproxy/haproxy.cfg", **proxy_settings())


@needs_haproxy
@needs_openssl
def test_haproxy_takes_a_certificate(tmp_path: Path) -> None:
    key, pem = tmp_path / "key.pem", tmp_path / "site.pem"
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=here")
    subprocess.run([*words, "-keyout", key, "-out", pem], check=True, capture_output=True)
    pem.write_text(pem.read_text() + key.read_text())
    check("haproxy", "-c", "-f", "docker/haproxy/haproxy.cfg", **proxy_settings(), PROXY_CERTIFICATE=str(pem))


def test_every_variable_of_the_compose_files_is_in_the_example() -> None:
    files = [ROOT / "docker-compose.yml", *(ROOT / "docker").glob("compose.*.yml")]
    used = {name for file in files for name in re.findall(r"\$\{(\w+)", file.read_text(encoding="utf-8"))}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    shown = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert shown <= used
    must = {name for file in files for name in re.findall(r"\$\{(\w+):\?", file.read_text(encoding="utf-8"))}
    assert must <= shown


def test_redis_and_the_parts_inside_publish_no_port() -> None:
    assert COMPOSE.count("ports:") == 1
    assert re.search(r"proxy:\n(?:    .*\n)+?    ports:", COMPOSE)
