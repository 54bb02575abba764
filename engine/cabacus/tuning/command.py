"""The command: a model, its sigma and a command that prints a score; a tuned file, a table, JSON and a drawing."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from cabacus.errors import CabacusError, InputError
from cabacus.files import Tensors, atomic_writer, write
from cabacus.tuning.drawing import svg
from cabacus.tuning.result import TuningPoint
from cabacus.tuning.searching import RATE_WEIGHTS, tune

__all__ = ["add_arguments", "command_score", "main", "run", "s_points"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes to a parser of its own."""
    parser.add_argument("input", metavar="IN", help="the model (safetensors, npz)")
    parser.add_argument("--sigma", required=True, metavar="FILE", help="standard deviation of each weight")
    parser.add_argument(
        "--evaluate",
        required=True,
        metavar="COMMAND",
        help="prints the score, higher is better, as its last word; {} in it is the decoded model, a safetensors file",
    )
    parser.add_argument("--lower-is-better", action="store_true", help="the score is a loss")
    parser.add_argument("--max-loss", type=float, default=0.0, metavar="X", help="how much worse than IN is allowed")
    parser.add_argument("--s", action="append", metavar="S", help="an integer, or START:STOP[:STRIDE]; default: 0:257")
    parser.add_argument(
        "--bits-per-weight", action="append", type=float, metavar="BITS", help="sizes to try instead of S; repeatable"
    )
    parser.add_argument("--rate-weight", action="append", type=float, metavar="C", help="lambda in steps; repeatable")
    parser.add_argument("--quantizer", help="auto, round, greedy or trellis")
    parser.add_argument("--effort", help="fast, default or max")
    parser.add_argument("--rule", action="append", metavar="'GLOB:KEY=VALUE'", help="as in compress; repeatable")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", metavar="OUT", help="write the best file")
    parser.add_argument("--json", metavar="FILE", help="write all points as JSON")
    parser.add_argument("--plot", metavar="FILE", help="draw size against score as SVG")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(arguments: argparse.Namespace) -> int:
    """Tune, print the table, write what is asked for; 0, or 1 if no point is within the loss that is allowed.

    Raises CabacusError and OSError.
    """
    _check_files(arguments)

    def progress(point: TuningPoint) -> None:
        if not arguments.quiet:
            said = f"{point.named}: {point.bytes:,} bytes, score {point.score:.6g}"
            print(said, file=sys.stderr)

    options: dict[str, Any] = {"quantizer": arguments.quantizer, "effort": arguments.effort}
    options |= {"rules": arguments.rule, "threads": arguments.threads}
    tuning = tune(
        arguments.input,
        sigma=arguments.sigma,
        evaluate=command_score(arguments.evaluate, -1 if arguments.lower_is_better else 1),
        s=range(257) if arguments.s is None else s_points(arguments.s),
        bits_per_weight=arguments.bits_per_weight,
        rate_weights=arguments.rate_weight or RATE_WEIGHTS,
        max_loss=arguments.max_loss,
        progress=progress,
        **options,
    )
    if arguments.output is not None:
        tuning.compressed.save(arguments.output)
    if arguments.json is not None:
        _write(arguments.json, json.dumps(tuning.to_json(), indent=1) + "\n")
    if arguments.plot is not None:
        _write(arguments.plot, svg(tuning))
    print(tuning.table())
    return 0 if tuning.met else 1


def _check_files(arguments: argparse.Namespace) -> None:
    """Tuning takes minutes or hours: what stands in the way of its results is told before. Raises OSError."""
    outputs = [name for name in (arguments.output, arguments.json, arguments.plot) if name is not None]
    if len(set(outputs)) < len(outputs):
        raise InputError("two results have the same name; give each file its own", field="output")
    for name in (arguments.input, arguments.sigma):
        os.stat(name)
    for name in outputs:
        if os.path.exists(name) and not arguments.force:
            raise FileExistsError(errno.EEXIST, "is there already; --force overwrites it", name)
        os.stat(os.path.dirname(name) or ".")


def _write(name: str, text: str) -> None:
    with atomic_writer(name) as file:
        file.write(text.encode())


def command_score(command: str, sign: int = 1) -> Callable[[Tensors], float]:
    """A scoring function that runs a command on the decoded model and reads the last word that it prints, times `sign`.

    Raises InputError for a command without {}, with field "evaluate"; later where it fails or prints no number.

    >>> command_score("echo accuracy 98.5 of {}")(Tensors({}, {}))
    Traceback (most recent call last):
    cabacus.errors.InputError: evaluate: the last word that 'echo' printed is no number; print the score last
    """
    words = shlex.split(command)
    if not any("{}" in word for word in words):
        raise InputError("evaluate has no {} where the model's file name goes", field="evaluate")

    def score(tensors: Tensors) -> float:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            write(path, tensors)
            filled = [word.replace("{}", path) for word in words]
            done = subprocess.run(filled, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise InputError(f"evaluate: {words[0]!r} ended with status {done.returncode}")
        try:
            return sign * float(done.stdout.split()[-1].rstrip("%"))
        except (IndexError, ValueError):
            remedy = "print the score last"
            raise InputError(f"evaluate: the last word that {words[0]!r} printed is no number; {remedy}") from None

    return score


def s_points(texts: Iterable[str]) -> list[int]:
    """The integers of texts such as "8" and "-16:257:8".

    >>> s_points(["5", "0:9:4"])
    [5, 0, 4, 8]
    """
    result: list[int] = []
    for text in texts:
        try:
            bounds = [int(part) for part in text.split(":")]
            result += bounds if len(bounds) == 1 else range(*bounds)
        except (TypeError, ValueError):
            raise InputError(f"s is {text!r}; pass an integer, or START:STOP[:STRIDE]", field="s") from None
    return result


def main() -> int:
    """`python -m cabacus.tuning`; exit status as the command line's: 1 failed, 2 usage, 3 files."""
    parser = argparse.ArgumentParser(prog="cabacus tune", description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except CabacusError as error:
        print(f"cabacus tune: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) and error.field is not None else 1
    except OSError as error:
        print(f"cabacus tune: {error.filename}: {error.strerror}", file=sys.stderr)
        return 3
