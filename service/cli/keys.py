"""`cabacus keys`: make, list and remove the keys of the API."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from cabacus.service.cli.outcomes import CommandError, Exit, FileProblem, UsageError
from cabacus.service.keys import DEFAULT_SCOPES, OWNER, KeyFile, KeyFileError
from cabacus.service.settings import Settings, SettingsError

_DAY = 86400.0


def add(arguments: argparse.Namespace) -> int:
    """`cabacus keys add`: the new key to standard output, and nowhere else."""
    if OWNER.fullmatch(arguments.owner) is None:
        raise UsageError(f"OWNER is {arguments.owner!r}; use 1 to 64 letters, digits, '.', '_', '@' and '-'")
    if arguments.days is not None and not arguments.days > 0:
        raise UsageError(f"--days is {arguments.days:g}; give a number above 0")
    file = _file(arguments)
    try:
        key, token = file.add(
            arguments.owner,
            scopes=arguments.scope or DEFAULT_SCOPES,
            seconds=None if arguments.days is None else arguments.days * _DAY,
        )
    except KeyFileError as error:
        raise FileProblem(str(error)) from error
    print(token)
    print(f"key {key.id} of {key.owner} may {', '.join(key.scopes)}; it is not shown again", file=sys.stderr)
    return Exit.DONE


def show(arguments: argparse.Namespace) -> int:
    """`cabacus keys list`: what is known of each key; not its secret, which nobody knows."""
    try:
        keys = _file(arguments).all()
    except KeyFileError as error:
        raise FileProblem(str(error)) from error
    if arguments.json:
        print(json.dumps([{**asdict(key), "sha256": None} for key in keys], indent=2))
        return Exit.DONE
    print(f"{'id':<14}{'owner':<26}{'scopes':<22}{'made':<14}expires")
    for key in keys:
        expires = "never" if key.expires is None else _date(key.expires)
        print(f"{key.id:<14}{key.owner:<26}{','.join(key.scopes):<22}{_date(key.created):<14}{expires}")
    return Exit.DONE


def remove(arguments: argparse.Namespace) -> int:
    """`cabacus keys remove`: the API refuses the key from now on."""
    try:
        key = _file(arguments).remove(arguments.id)
    except KeyFileError as error:
        raise FileProblem(str(error)) from error
    if key is None:
        raise CommandError(f"there is no key {arguments.id}; `cabacus keys list` shows them")
    print(f"key {key.id} of {key.owner} is removed", file=sys.stderr)
    return Exit.DONE


def _file(arguments: argparse.Namespace) -> KeyFile:
    """The file that the flags or the environment name."""
    try:
        settings = Settings.from_environment(key_file=arguments.key_file, state=arguments.state)
    except SettingsError as error:
        raise UsageError(str(error)) from error
    return KeyFile(settings.keys_path)


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
