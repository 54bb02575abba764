"""The program: runs the command and turns what went wrong into one line and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from cabacus.errors import CabacusError, InputError
from cabacus.service.cli.commands import CODING, TARGETS
from cabacus.service.cli.outcomes import CommandError, Exit
from cabacus.service.cli.parser import build_parser

TUNING = ("evaluate", "max_loss", "rate_weights", "output")
_OPTIONS = {*TARGETS, *CODING, "lam", "rules", "sigma", "importance", "base", *TUNING}
"""What the engine calls the options that the command line passes on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `cabacus` with these arguments, else those of the process; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        parsed = build_parser().parse_args(words)
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more. Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FILE_OR_NETWORK
    except Exception as error:
        status = _status(error)
        print(f"cabacus {words[0]}: {_words(error)}", file=sys.stderr)
        return status


def run() -> NoReturn:
    """The installed command. SIGTERM ends it as an exception would: unfinished files are removed."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(Exit.TERMINATED)


def _status(error: Exception) -> int:
    """The exit status of an error. Raises it if it is no error of the user's or the world's, but ours."""
    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, InputError) and error.field in _OPTIONS:
        return Exit.USAGE
    if isinstance(error, CabacusError | MemoryError):
        return Exit.FAILED
    if isinstance(error, OSError):
        return Exit.FILE_OR_NETWORK
    client = sys.modules.get("cabacus.service.client")  # loaded where it was needed
    if client is not None and isinstance(error, client.ClientError):
        return Exit.FILE_OR_NETWORK if isinstance(error, client.ConnectionFailed) else Exit.FAILED
    raise error


def _words(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory; give it to a service with --server, or use a smaller model"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
