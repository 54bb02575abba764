"""The file of API keys: secrets are nowhere in it, and changes are seen at once."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from cabacus.service.keys import KeyFile, KeyFileError


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "state" / "keys.json")


def test_a_key_is_found_by_its_token_alone(file: KeyFile) -> None:
    key, token = file.add("alice", scopes=["read", "read"])
    assert file.find(token) == key
    assert (key.owner, key.scopes, key.expires) == ("alice", ("read",), None)
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in ("", "x", other, token.upper(), f"{token}\n", token.replace(key.id, "0" * 12)):
        assert file.find(wrong) is None


def test_the_file_holds_no_secret_and_is_for_its_owner_alone(file: KeyFile) -> None:
    _, token = file.add("alice")
    text = file.path.read_text()
    assert token.rpartition("_")[2] not in text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert len(json.loads(text)["keys"][0]["sha256"]) == 64


def test_a_change_of_the_file_is_seen_by_who_reads_it(file: KeyFile) -> None:
    reader = KeyFile(file.path)
    assert reader.all() == []
    key, token = file.add("alice")
    _, second = file.add("alice")
    assert reader.find(token) == key
    assert file.remove(key.id) == key
    assert file.remove(key.id) is None
    assert reader.find(token) is None
    assert reader.find(second) is not None
    os.unlink(file.path)
    assert reader.find(second) is None


def test_an_expired_key_is_refused(file: KeyFile) -> None:
    _, token = file.add("alice", seconds=-1)
    assert file.find(token) is None
    assert len(file.all()) == 1


@pytest.mark.parametrize("owner", ["", "a/b", "a b", "-x", "x" * 65, "a:b"])
def test_strange_owners_are_refused(file: KeyFile, owner: str) -> None:
    with pytest.raises(KeyFileError, match="owner"):
        file.add(owner)


def test_unknown_scopes_are_refused(file: KeyFile) -> None:
    for scopes in ([], ["root"], ["read", "root"]):
        with pytest.raises(KeyFileError, match="metrics"):
            file.add("alice", scopes=scopes)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": [{}]}', '{"keys": [{"id": 1, "scopes": 2}]}'])
def test_a_file_of_something_else_is_refused_and_left_alone(file: KeyFile, text: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    for call in (file.all, lambda: file.find("cabacus_" + "0" * 12 + "_" + "a" * 43), lambda: file.add("alice")):
        with pytest.raises(KeyFileError, match=r"keys\.json"):
            call()
    assert file.path.read_text() == text


def test_keys_made_at_the_same_time_are_all_kept(file: KeyFile) -> None:
    threads = [threading.Thread(target=KeyFile(file.path).add, args=(f"owner{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.owner for key in file.all()} == {f"owner{number}" for number in range(8)}
