"""The grammar of the command line."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import get_args

from cabacus.options import Candidates, Distortion, Effort, Quantizer
from cabacus.service.cli import bases, commands, jobs, keys, serving
from cabacus.service.cli.connection import DEFAULT_URL
from cabacus.service.keys import DEFAULT_SCOPES, SCOPES
from cabacus.service.settings import knobs, variable
from cabacus.tuning import command as tuning

STATUS = "exit status: 0 done, 1 the work failed, 2 usage, 3 file or network, 130 interrupted"
SERVING_FLAGS = ("host", "port", "workers", "threads", "redis", "storage", "state", "log_level")


def build_parser() -> argparse.ArgumentParser:
    """The parser; its result has `run`, the function that does the command."""
    parser = argparse.ArgumentParser(
        prog="cabacus",
        description="Compresses neural-network weights with context-adaptive binary arithmetic coding.",
        epilog=f"IN, OUT and FILE may be -, standard input or output. {STATUS}.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cabacus {version('cabacus')}")
    commands_of = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str, epilog: str | None = None) -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}."
        return commands_of.add_parser(name, help=text, description=description, epilog=epilog, allow_abbrev=False)

    _compress(command("compress", "compress a model (safetensors, npz, npy)"))
    _decompress(command("decompress", "bring a compressed model back"))
    _inspect(command("inspect", "say what is in a compressed model, from its header"))
    _verify(command("verify", "check that a compressed model is whole, and how far it is from its original"))
    _sweep(command("sweep", "rate and distortion over S of eq. 2 of the paper"))
    _tune(command("tune", "choose S and lambda by what a command says of the decoded model"))
    others = [variable(name) for name in knobs() if name not in SERVING_FLAGS]
    epilog = f"Flags win over the environment's CABACUS_HOST, CABACUS_PORT, ...; there too: {', '.join(others)}."
    for name, text, flags in (
        ("serve", "run the whole service on this machine: API, workers, and a queue of its own", SERVING_FLAGS),
        ("api", "run the API alone; it needs --redis", ("host", "port", "redis", "storage", "state", "log_level")),
        ("worker", "run a worker; it needs --redis", ("workers", "threads", "redis", "storage", "state", "log_level")),
    ):
        _serving(command(name, text, epilog=epilog), name, flags)
    _keys(command("keys", "make, list and remove the keys of the API"))
    _jobs(command("jobs", "list, show, get, cancel and remove the jobs of a service"))
    _bases(command("bases", "store, list and remove models that a service codes differences to"))
    return parser


def _keys(parser: argparse.ArgumentParser) -> None:
    of = parser.add_subparsers(metavar="ACTION", required=True)
    adding = of.add_parser("add", help="make a key and print it, once", allow_abbrev=False)
    adding.add_argument("owner", metavar="OWNER", help="whose jobs are seen with it; an owner may have several keys")
    adding.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help=f"what it allows; repeatable; default: {', '.join(DEFAULT_SCOPES)}",
    )
    adding.add_argument("--days", type=float, metavar="N", help="how long it is valid; default: for ever")
    adding.set_defaults(run=keys.add)
    listing = of.add_parser("list", help="show the keys, without their secrets", allow_abbrev=False)
    _json(listing)
    listing.set_defaults(run=keys.show)
    removing = of.add_parser("remove", help="refuse a key from now on", allow_abbrev=False)
    removing.add_argument("id", metavar="ID", help="as `cabacus keys list` shows it")
    removing.set_defaults(run=keys.remove)
    for action in (adding, listing, removing):
        action.add_argument("--key-file", metavar="FILE", help=knobs()["key_file"].help)
        action.add_argument("--state", metavar="FOLDER", help=knobs()["state"].help)


def _jobs(parser: argparse.ArgumentParser) -> None:
    of = parser.add_subparsers(metavar="ACTION", required=True)
    listing = of.add_parser("list", help="show the latest jobs, newest first", allow_abbrev=False)
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many; default: 100")
    _json(listing)
    listing.set_defaults(run=jobs.show_all)
    showing = of.add_parser("show", help="show all that is known of a job, as JSON", allow_abbrev=False)
    showing.set_defaults(run=jobs.show)
    getting = of.add_parser("get", help="wait for a job's end and bring its result", allow_abbrev=False)
    _output(getting)
    getting.add_argument("--force", action="store_true", help="overwrite OUT")
    _quiet(getting)
    getting.set_defaults(run=jobs.get)
    cancelling = of.add_parser("cancel", help="stop a job that waits or runs", allow_abbrev=False)
    cancelling.set_defaults(run=jobs.cancel)
    removing = of.add_parser("remove", help="forget a job that has ended, and its files", allow_abbrev=False)
    removing.set_defaults(run=jobs.remove)
    for action in (showing, getting, cancelling, removing):
        action.add_argument("id", metavar="ID", help="as `cabacus jobs list` shows it")
    for action in (listing, showing, getting, cancelling, removing):
        _service(action)


def _bases(parser: argparse.ArgumentParser) -> None:
    of = parser.add_subparsers(metavar="ACTION", required=True)
    adding = of.add_parser("add", help="store a model and print its digest, for --base", allow_abbrev=False)
    _input(adding, "IN", "the model")
    adding.set_defaults(run=bases.add)
    listing = of.add_parser("list", help="show what is stored", allow_abbrev=False)
    _json(listing)
    listing.set_defaults(run=bases.show_all)
    removing = of.add_parser("remove", help="forget one", allow_abbrev=False)
    removing.add_argument("digest", metavar="DIGEST", help="as `cabacus bases list` shows it")
    removing.set_defaults(run=bases.remove)
    for action in (adding, listing, removing):
        _service(action)


def _compress(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=commands.compress)
    _input(parser, "IN", "the model")
    _output(parser)
    targets = parser.add_argument_group(
        "target", "At most one; none: a quality at which nobody notices, which the report names."
    ).add_mutually_exclusive_group()
    targets.add_argument("--snr-db", type=float, metavar="DB", help="signal-to-noise ratio of the lossy tensors")
    targets.add_argument("--bits-per-weight", type=float, metavar="BITS", help="8 x bytes of the file / weights")
    targets.add_argument("--ratio", type=float, help="original bytes / compressed bytes")
    targets.add_argument("--max-bytes", type=int, metavar="BYTES", help="the file is at most this long")
    targets.add_argument("--max-abs-error", type=float, metavar="ERROR", help="no weight is off by more")
    targets.add_argument("--step", type=float, help="this quantization step in every lossy tensor")
    targets.add_argument("--s", type=int, metavar="S", help="S of eq. 2 of the paper; needs --sigma")
    _coding(parser)
    parser.add_argument(
        "--base", metavar="FILE", help="code the difference to this model; with --server also its digest, if stored"
    )
    parser.add_argument("--report", metavar="FILE", help="write the report as JSON")
    _common(parser)


def _decompress(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=commands.decompress)
    _input(parser, "IN", "the compressed model")
    _output(parser)
    parser.add_argument("--name", action="append", metavar="GLOB", help="only tensors with such names; repeatable")
    parser.add_argument(
        "--format",
        choices=("safetensors", "npz", "npy"),
        help="format of OUT; default: by its name, safetensors for standard output",
    )
    _based(parser)
    _common(parser)


def _based(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base", metavar="FILE", help="the model that the differences are to; with --server also its digest, if stored"
    )


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=commands.inspect)
    _input(parser, "IN", "the compressed model")
    _based(parser)
    _json(parser)
    _server(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=commands.verify)
    _input(parser, "IN", "the compressed model")
    parser.add_argument("--against", metavar="ORIGINAL", help="the model that it was made from")
    _based(parser)
    _json(parser)
    _server(parser)


def _sweep(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=commands.sweep)
    _input(parser, "IN", "the model")
    parser.add_argument(
        "--s",
        action="append",
        metavar="S",
        help="an integer, or START:STOP[:STRIDE] without STOP; repeatable; --s=-8:0 for negative ones; default: 0:257",
    )
    _coding(parser)
    parser.add_argument("--plot", metavar="FILE", help="draw the curve into an SVG file")
    parser.add_argument("--force", action="store_true", help="overwrite the plot")
    _json(parser)
    _threads(parser)
    _quiet(parser)
    _server(parser)


def _tune(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=tuning.run)
    tuning.add_arguments(parser)


def _coding(parser: argparse.ArgumentParser) -> None:
    """How weights are quantized and coded, whatever the target."""
    group = parser.add_argument_group("coding")
    group.add_argument("--sigma", metavar="FILE", help="standard deviation of each weight; eta = 1 / sigma^2")
    group.add_argument("--importance", metavar="FILE", help="eta of each weight, or of each tensor")
    group.add_argument("--lambda", type=float, metavar="LAMBDA", help="price of a bit in eq. 1 of the paper")
    group.add_argument("--rate-weight", type=float, metavar="C", help="the same in units that do not depend on scale")
    group.add_argument("--quantizer", choices=get_args(Quantizer), help="how levels are chosen; default: auto")
    group.add_argument("--candidates", choices=get_args(Candidates), help="levels that are tried; default: near")
    group.add_argument("--effort", choices=get_args(Effort), help="time spent for smaller files")
    group.add_argument(
        "--distortion", choices=get_args(Distortion), help="how tensors' errors are weighed; default: balanced"
    )
    group.add_argument(
        "--rule",
        action="append",
        metavar="'GLOB:KEY=VALUE'",
        help="an option for tensors with such names, such as '*.bias:keep'; repeatable, the last wins",
    )


def _serving(parser: argparse.ArgumentParser, name: str, flags: tuple[str, ...]) -> None:
    parser.set_defaults(run=serving.COMMANDS[name])
    known = knobs()
    for flag in flags:
        parser.add_argument(
            f"--{flag.replace('_', '-')}", default=None, metavar=flag.partition("_")[0].upper(), help=known[flag].help
        )


def _input(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument("input", metavar=name, help=f"{text}; - is standard input")


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the result; - is standard output")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite files")
    _threads(parser)
    _quiet(parser)
    _server(parser)


def _threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, metavar="N", help="threads to work with; the bytes are the same")


def _quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no table")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _service(parser: argparse.ArgumentParser) -> None:
    """The service that a command is about."""
    parser.add_argument(
        "--server",
        default=DEFAULT_URL,
        metavar="URL",
        help=f"the service; default: {DEFAULT_URL}; its key is in CABACUS_KEY",
    )


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        metavar="URL",
        help="let this service do the work, such as http://localhost:8000; its key is in CABACUS_KEY",
    )
