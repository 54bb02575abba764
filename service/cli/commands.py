"""The commands that work on files. Each takes the parsed arguments and returns the exit status."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from cabacus.options import Options
from cabacus.service.cli.connection import connect
from cabacus.service.cli.outcomes import Exit, UsageError
from cabacus.service.cli.plot import svg
from cabacus.service.cli.progress import Bar
from cabacus.service.cli.streams import STANDARD, Output, check_inputs
from cabacus.service.cli.work import Task, Work

CODING = ("lambda", "rate_weight", "quantizer", "candidates", "effort", "distortion", "rule", "threads")
_BUCKET = re.compile(r"(s3|gs|az)://")  # as the client has them, which may not be installed
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
TARGETS = ("snr_db", "bits_per_weight", "ratio", "max_bytes", "max_abs_error", "step", "s")


def compress(arguments: argparse.Namespace) -> int:
    """`cabacus compress`: the result to OUT, the report's table to standard error."""
    options, files = _given(arguments, *TARGETS, *CODING), _given(arguments, "sigma", "importance", "base")
    _check_options(options | dict.fromkeys(files, True))
    _check_files(arguments, files, folders=True)
    output = Output.of(arguments.output, force=arguments.force)
    report_output = None
    if arguments.report is not None:
        if arguments.report == arguments.output:
            raise UsageError("OUT and --report are the same; give the report another name")
        report_output = Output.of(arguments.report, force=arguments.force, binary=False)
    with Bar("compressing", quiet=arguments.quiet) as bar:
        report = _work(arguments).compress(Task(arguments.input, files, options), output, bar)
    if report_output is not None:
        report_output.write_text(_json(report))
    if not arguments.quiet:
        print(report.table(), file=sys.stderr)
    return Exit.DONE


def decompress(arguments: argparse.Namespace) -> int:
    """`cabacus decompress`: the tensors to OUT."""
    options = {**_given(arguments, "name", "threads"), "format": arguments.format or _format_of(arguments.output)}
    files = _given(arguments, "base")
    _check_files(arguments, files)
    output = Output.of(arguments.output, force=arguments.force)
    with Bar("decompressing", quiet=arguments.quiet) as bar:
        _work(arguments).decompress(Task(arguments.input, files, options), output, bar)
    return Exit.DONE


def inspect(arguments: argparse.Namespace) -> int:
    """`cabacus inspect`: the header to standard output."""
    files = _given(arguments, "base")
    _check_files(arguments, files)
    _print(_work(arguments).inspect(Task(arguments.input, files)), arguments)
    return Exit.DONE


def verify(arguments: argparse.Namespace) -> int:
    """`cabacus verify`: the verdict to standard output; status 1 if it is bad."""
    files = _given(arguments, "against", "base")
    _check_files(arguments, files)
    verdict = _work(arguments).verify(Task(arguments.input, files))
    _print(verdict, arguments)
    return Exit.DONE if verdict.ok else Exit.FAILED


def sweep(arguments: argparse.Namespace) -> int:
    """`cabacus sweep`: the curve to standard output, and drawn into a file."""
    if arguments.sigma is None:
        raise UsageError(
            "a sweep needs --sigma FILE, the standard deviation of every weight: arrays named and shaped like the "
            "weights, such as 1/sqrt(diagonal of the Fisher information)"
        )
    options, files = _given(arguments, *CODING), _given(arguments, "sigma", "importance")
    _check_options(options | dict.fromkeys(files, True))
    if arguments.s is not None:
        options["s"] = _points(arguments.s)
    check_inputs(arguments.input, *files.values(), folders=True)
    plot = None if arguments.plot is None else Output.of(arguments.plot, force=arguments.force, binary=False)
    with Bar("sweeping", quiet=arguments.quiet) as bar:
        curve = _work(arguments).sweep(Task(arguments.input, files, options), bar)
    if plot is not None:
        plot.write_text(svg(curve))
    if plot is None or plot.path is not None:
        _print(curve, arguments)
    return Exit.DONE


def _work(arguments: argparse.Namespace) -> Work:
    """Who does the work: the engine here, or the service that is named."""
    if arguments.server is None:
        from cabacus.service.cli.local import LocalWork

        return LocalWork()
    client = connect(arguments.server)
    from cabacus.service.cli.remote import RemoteWork

    return RemoteWork(client)


def _check_files(arguments: argparse.Namespace, files: Mapping[str, str], *, folders: bool = False) -> None:
    """Look for the files that are to be read here.

    Where a server does the work, the model may be in a bucket, and the base one that it has stored, by its digest.
    """
    here = {"model": arguments.input, **files}
    if arguments.server is not None:
        elsewhere = {"model": _BUCKET, "base": _DIGEST}
        here = {role: name for role, name in here.items() if not (role in elsewhere and elsewhere[role].match(name))}
    check_inputs(*here.values(), folders=folders)


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The arguments that were given, of these."""
    values = vars(arguments)
    return {name: values[name] for name in names if values.get(name) is not None}


def _check_options(options: Mapping[str, Any]) -> None:
    """Let the engine refuse bad options before any file is touched; raises InputError with the option named."""
    Options.build(**{"rules" if name == "rule" else name: value for name, value in options.items()})


def _format_of(name: str) -> str:
    """The format that the name of a file asks for. Raises UsageError."""
    suffix = name.lower().rpartition(".")[2]
    if name == STANDARD:
        return "safetensors"
    if suffix not in ("safetensors", "npz", "npy"):
        raise UsageError(f"the name {name} gives no format; end it in .safetensors, .npz or .npy, or give --format")
    return suffix


def _points(texts: list[str]) -> list[int]:
    """Integers and ranges START:STOP[:STRIDE] as one list. Raises UsageError."""
    points: list[int] = []
    for text in texts:
        try:
            numbers = [int(part) for part in text.split(":")]
            points.extend(numbers if len(numbers) == 1 else range(*numbers))
        except (TypeError, ValueError):
            raise UsageError(f"--s is {text!r}; give an integer or START:STOP[:STRIDE]") from None
    if not points:
        raise UsageError(f"--s {' '.join(texts)} holds no integer; STOP is not part of a range")
    return points


class _Shown(Protocol):
    """What is printed as a table or as JSON."""

    def table(self) -> str: ...
    def to_json(self) -> dict[str, Any]: ...


def _print(value: _Shown, arguments: argparse.Namespace) -> None:
    print(_json(value) if arguments.json else value.table())


def _json(value: _Shown) -> str:
    return json.dumps(value.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
