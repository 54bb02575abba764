"""`cabacus keys`: made, listed, removed."""

from __future__ import annotations

import json
from pathlib import Path

from cabacus.service.keys import KeyFile


def test_keys_are_made_listed_and_removed(cabacus, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = cabacus("keys", "add", "alice", "--scope", "read", "--days", 7, "--key-file", path)
    assert made.returncode == 0, made.stderr
    token = made.stdout.decode().strip()
    key = KeyFile(path).find(token)
    assert key is not None
    assert (key.owner, key.scopes, round((key.expires or 0) - key.created)) == ("alice", ("read",), 7 * 86400)
    assert token.encode() not in made.stderr

    listed = cabacus("keys", "list", "--key-file", path)
    assert key.id in listed.stdout.decode()
    assert "alice" in listed.stdout.decode()
    assert token.rpartition("_")[2] not in listed.stdout.decode()
    (row,) = json.loads(cabacus("keys", "list", "--json", "--key-file", path).stdout)
    assert (row["owner"], row["sha256"]) == ("alice", None)

    assert cabacus("keys", "remove", key.id, "--key-file", path).returncode == 0
    assert KeyFile(path).find(token) is None
    again = cabacus("keys", "remove", key.id, "--key-file", path)
    assert (again.returncode, again.stdout) == (1, b"")
    assert b"keys list" in again.stderr


def test_what_cannot_be_made_says_why(cabacus, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert cabacus("keys", "add", "a/b", "--key-file", path).returncode == 2
    assert cabacus("keys", "add", "a", "--scope", "root", "--key-file", path).returncode == 2
    assert cabacus("keys", "add", "a", "--days", 0, "--key-file", path).returncode == 2
    assert cabacus("keys").returncode == 2
    assert cabacus("keys", "list", "--key-file", tmp_path).returncode == 3
    path.write_text("{}")
    assert cabacus("keys", "add", "a", "--key-file", path).returncode == 3
    assert path.read_text() == "{}"


def test_the_state_folder_is_the_default_place(cabacus, tmp_path: Path) -> None:
    assert cabacus("keys", "add", "bob", "--state", tmp_path / "state").returncode == 0
    assert [key.owner for key in KeyFile(tmp_path / "state" / "keys.json").all()] == ["bob"]
