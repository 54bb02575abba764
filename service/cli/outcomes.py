"""How a command ends: its exit status, and the errors that are the command line's own."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of `cabacus`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FILE_OR_NETWORK = 3
    INTERRUPTED = 130
    TERMINATED = 143


class CommandError(Exception):
    """The command ends here; the message says why and what to do."""

    status = Exit.FAILED


class UsageError(CommandError):
    """The command line asks for what cannot be."""

    status = Exit.USAGE


class FileProblem(CommandError):
    """A file or a connection stands in the way."""

    status = Exit.FILE_OR_NETWORK


def missing_extra(error: ModuleNotFoundError, extra: str, purpose: str) -> UsageError:
    """The error that names the extra which brings the missing package; our own missing modules are faults, raised."""
    if (error.name or "").partition(".")[0] in ("", "cabacus"):
        raise error
    return UsageError(f"{purpose} needs the package {error.name}: pip install 'cabacus[{extra}]'")
