"""What users install: what is in the wheel and the source distribution, and what comes along with it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "engine" / "examples" / "lenet300" / "lenet300.safetensors"
USER = """
import cabacus

def shrink(path: str) -> float:
    compressed = cabacus.compress(path, snr_db=30)
    return compressed.report.ratio
"""


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a program and return what it prints."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def source_distribution(folder: Path) -> Path:
    """Build it into a folder."""
    run(sys.executable, "-c", f"import scikit_build_core.build as backend; backend.build_sdist({str(folder)!r})")
    return next(folder.glob("*.tar.gz"))


def wheel(source: Path, folder: Path, *options: str) -> Path:
    """Build a wheel from a tree or a source distribution into a folder."""
    flags = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", *flags, *options, source)
    return next(folder.glob("*.whl"))


def test_installing_cabacus_brings_numpy_alone() -> None:
    required = [line for line in importlib.metadata.requires("cabacus") or [] if "extra ==" not in line]
    assert len(required) == 1
    assert re.match(r"numpy\b", required[0])


def test_the_wheel_holds_the_package_its_types_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(
        wheel(ROOT, tmp_path, "--config-settings=wheel.cmake=false")
    ) as archive:  # all but the compiled module
        names = archive.namelist()
    assert {"cabacus/py.typed", "cabacus/_core.pyi", "cabacus/service/web/index.html"} <= set(names)
    assert all(name.startswith(("cabacus/", "cabacus-")) for name in names)
    assert not [name for name in names if name.endswith((".cpp", ".hpp", ".md", ".pyc", ".safetensors"))]


def test_the_source_distribution_holds_what_a_build_needs(tmp_path: Path) -> None:
    with tarfile.open(source_distribution(tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "engine/CMakeLists.txt", "engine/FORMAT.md"} <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "engine" / "include").rglob("*.hpp")} <= names
    assert not [name for name in names if name.startswith((".ci", ".github", "build", ".venv"))]


@pytest.mark.packaging
def test_the_wheel_of_the_source_distribution_works_in_an_environment_of_its_own(tmp_path: Path) -> None:
    built = wheel(source_distribution(tmp_path), tmp_path)
    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    before = installed(python)
    run(python, "-m", "pip", "install", "--quiet", built)
    assert installed(python) - before == {"cabacus", "numpy"}

    command = home / "bin" / "cabacus"
    run(command, "compress", MODEL, "-o", "model.cabac", "--snr-db", 30, cwd=tmp_path)
    run(command, "decompress", "model.cabac", "-o", "model.npz", cwd=tmp_path)
    assert "ok" in run(command, "verify", "model.cabac", "--against", MODEL, cwd=tmp_path)
    assert (tmp_path / "model.cabac").stat().st_size < os.path.getsize(MODEL) / 5

    (tmp_path / "user.py").write_text(USER)
    run(sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "user.py", cwd=tmp_path)


def other_python() -> str | None:
    """Another version of Python than this one that the wheel is for, as pyenv keeps them."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    mine = "{}.{}.".format(*sys.version_info[:2])
    for folder in sorted(root.glob("3.*")):
        if not folder.name.startswith(mine) and re.match(r"3\.1[1-4]\.\d+$", folder.name):
            return str(folder / "bin" / "python")
    return None


@pytest.mark.packaging
@pytest.mark.skipif(other_python() is None, reason="no other Python from 3.11 to 3.14 under pyenv")
def test_a_wheel_for_another_python_works_there(tmp_path: Path) -> None:
    home = tmp_path / "environment"
    run(other_python(), "-m", "venv", home)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    run(python, "-m", "pip", "install", "--quiet", next(tmp_path.glob("*.whl")), cwd=tmp_path)
    assert "bytes" in run(python, ROOT / "tests" / "wheel_check.py", cwd=tmp_path)


def installed(python: Path) -> set[str]:
    """The names of the packages in an environment."""
    return set(run(python, "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))").split())
