"""What the command refuses before it does any work, and how it says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cabacus.service.cli import main

COMMANDS = ("compress", "decompress", "inspect", "verify", "sweep", "tune", "serve", "api", "worker", "jobs", "bases")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an input and an output that is there already."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_bytes(b"weights")
    (tmp_path / "old").write_bytes(b"old")
    return tmp_path


USAGE = {
    "nothing": ([], "COMMAND"),
    "an unknown command": (["shrink"], "shrink"),
    "no output": (["compress", "in"], "-o"),
    "two targets": (["compress", "in", "-o", "out", "--snr-db", "30", "--ratio", "10"], "not allowed with"),
    "a target out of range": (["compress", "in", "-o", "out", "--ratio", "0.5"], "ratio"),
    "a target that is no number": (["compress", "in", "-o", "out", "--snr-db", "many"], "many"),
    "two trades": (["compress", "in", "-o", "out", "--lambda", "1", "--rate-weight", "1"], "same trade"),
    "a rule of another form": (["compress", "in", "-o", "out", "--rule", "fc1"], "GLOB:KEY=VALUE"),
    "a misspelt rule": (["compress", "in", "-o", "out", "--rule", "fc1:stpe=1"], "did you mean 'step'"),
    "S without sigma": (["compress", "in", "-o", "out", "--s", "16"], "sigma"),
    "threads": (["compress", "in", "-o", "out", "--threads", "0"], "threads"),
    "an abbreviated flag": (["compress", "in", "-o", "out", "--snr", "30"], "--snr"),
    "one name for two files": (["compress", "in", "-o", "out", "--report", "out"], "--report"),
    "standard input twice": (["compress", "-", "-o", "out", "--sigma", "-"], "standard input"),
    "a name without a format": (["decompress", "in", "-o", "model.bin"], "--format"),
    "a sweep without sigma": (["sweep", "in"], "Fisher"),
    "a sweep over nothing": (["sweep", "in", "--sigma", "in", "--s", "5:5"], "no integer"),
    "a sweep over words": (["sweep", "in", "--sigma", "in", "--s", "all"], "START:STOP"),
    "tuning without a score": (["tune", "in", "--sigma", "in"], "--evaluate"),
    "tuning by a command that is given no model": (["tune", "in", "--sigma", "in", "--evaluate", "wc"], "{}"),
    "tuning over words": (["tune", "in", "--sigma", "in", "--evaluate", "wc {}", "--s", "all"], "START:STOP"),
    "a server that is no URL": (["inspect", "in", "--server", "localhost:8000"], "http://"),
    "jobs of a server that is no URL": (["jobs", "list", "--server", "localhost:8000"], "http://"),
    "jobs without an action": (["jobs"], "ACTION"),
    "a job without an id": (["jobs", "show"], "ID"),
    "a setting out of range": (["serve", "--port", "70000"], "CABACUS_PORT"),
    "an api without a queue": (["api"], "CABACUS_REDIS"),
    "a worker without a queue": (["worker"], "CABACUS_REDIS"),
}
FILES = {
    "no such input": (["compress", "gone", "-o", "out"], "gone"),
    "a folder as input": (["inspect", "."], "folder"),
    "no such sigma": (["compress", "in", "-o", "out", "--sigma", "gone"], "gone"),
    "no such sigma, of tune": (["tune", "in", "--sigma", "gone", "--evaluate", "wc {}"], "gone"),
    "an output that is there, of tune": (
        ["tune", "in", "--sigma", "in", "--evaluate", "wc {}", "-o", "old"],
        "--force",
    ),
    "a stored base without a server": (["compress", "in", "-o", "out", "--base", "ab" * 32], "abab"),
    "no such original": (["verify", "in", "--against", "gone"], "gone"),
    "no such folder": (["compress", "in", "-o", "gone/out"], "gone"),
    "an output that is there": (["compress", "in", "-o", "old"], "--force"),
    "a report that is there": (["compress", "in", "-o", "out", "--report", "old"], "--force"),
    "an output that is there, of decompress": (["decompress", "in", "-o", "old", "--format", "npz"], "--force"),
}


@pytest.mark.parametrize(("arguments", "word"), USAGE.values(), ids=USAGE)
def test_misuse_is_named_and_ends_with_2(
    arguments: list[str], word: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CABACUS_REDIS", raising=False)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert word in err
    assert not out
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("arguments", "word"), FILES.values(), ids=FILES)
def test_files_that_stand_in_the_way_are_named_and_end_with_3(
    arguments: list[str], word: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 3
    assert word in capsys.readouterr().err
    assert (folder / "old").read_bytes() == b"old"
    assert sorted(os.listdir(folder)) == ["in", "old"]


def test_the_help_lists_every_command_and_each_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: cabacus {name}")


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    import cabacus

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cabacus {cabacus.__version__}\n"


def without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where a package is missing."""
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from cabacus.service.cli import main; sys.exit(main({list(arguments)!r}))"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_extra_is_named_with_its_pip_line(folder: Path) -> None:
    remote = without("httpx", "inspect", "in", "--server", "http://localhost:9")
    assert (remote.returncode, remote.stdout) == (2, "")
    assert "pip install 'cabacus[client]'" in remote.stderr
    serving = without("uvicorn", "serve")
    assert (serving.returncode, serving.stdout) == (2, "")
    assert "pip install 'cabacus[server]'" in serving.stderr


def test_binary_goes_to_no_terminal(folder: Path, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    ours, theirs = os.openpty()
    try:
        process = started("compress", "in", "-o", "-", stdout=theirs, stderr=subprocess.PIPE)
        _, error = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 2
    assert b"terminal" in error


def test_weights_are_not_read_from_a_terminal(folder: Path, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    ours, theirs = os.openpty()
    try:
        process = started("inspect", "-", stdin=theirs, stderr=subprocess.PIPE)
        _, error = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 2
    assert b"terminal" in error


def test_local_work_loads_nothing_of_the_service() -> None:
    program = (
        "import sys; from cabacus.service.cli import main; main(['inspect', '/dev/null'])\n"
        "foreign = ('httpx', 'fastapi', 'pydantic', 'uvicorn', 'redis', 'obstore', 'asyncio', 'http', 'torch')\n"
        "sys.exit(', '.join(name for name in foreign if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
