"""The commands that run the service. What they start is imported when they run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec

from cabacus.service.cli.outcomes import Exit, FileProblem, UsageError
from cabacus.service.settings import Settings, SettingsError

_NEEDED = ("fastapi", "uvicorn", "pydantic", "redis", "obstore")
"""Packages of the extra `server`, looked for here so that no process is started in vain."""


def serve(arguments: argparse.Namespace) -> int:
    """`cabacus serve`: everything on this machine, until Ctrl-C."""
    settings = _settings(arguments)
    from cabacus.service.embedded import EmbeddedError
    from cabacus.service.runtime import StartError
    from cabacus.service.runtime import serve as run

    try:
        run(settings, announce=_announce)
    except (StartError, EmbeddedError) as error:
        raise FileProblem(str(error)) from error
    return Exit.DONE


def api(arguments: argparse.Namespace) -> int:
    """`cabacus api`: the API alone."""
    settings = _settings(arguments)
    from cabacus.service.api.__main__ import main

    return main(settings)


def worker(arguments: argparse.Namespace) -> int:
    """`cabacus worker`: a worker alone."""
    settings = _settings(arguments)
    from cabacus.service.worker.__main__ import main

    return main(settings)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"serve": serve, "api": api, "worker": worker}


def _settings(arguments: argparse.Namespace) -> Settings:
    """The environment's settings, with the flags that were given. Raises UsageError."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"this needs the package {missing[0]}: pip install 'cabacus[server]'")
    given = vars(arguments)
    try:
        return Settings.from_environment(**{field.name: given.get(field.name) for field in fields(Settings)})
    except SettingsError as error:
        raise UsageError(str(error)) from error


def _announce(url: str) -> None:
    print(f"cabacus serves on {url}", flush=True)
    print("stop it with Ctrl-C", file=sys.stderr)
