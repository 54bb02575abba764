"""`cabacus bases`: store, list and remove the bases of a service."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

import cabacus
from cabacus.service.cli.connection import connect
from cabacus.service.cli.outcomes import Exit
from cabacus.service.cli.streams import STANDARD, check_inputs


def add(arguments: argparse.Namespace) -> int:
    """`cabacus bases add`: store a model; its digest, by which work names it, to standard output."""
    check_inputs(arguments.input, folders=True)
    tensors = cabacus.read(sys.stdin.buffer.read() if arguments.input == STANDARD else arguments.input)
    digest = cabacus.digest(tensors).hex()
    with connect(arguments.server) as client:
        client.put_base(digest, tensors if arguments.input == STANDARD else arguments.input)
    print(digest)
    return Exit.DONE


def show_all(arguments: argparse.Namespace) -> int:
    """`cabacus bases list`: those that are stored."""
    with connect(arguments.server) as client:
        bases = client.bases()
    if arguments.json:
        print(json.dumps([asdict(base) for base in bases], indent=2))
        return Exit.DONE
    print(f"{'digest':<64}{'bytes':>14}  type")
    for base in bases:
        print(f"{base.digest:<64}{base.bytes:>14}  {base.media_type}")
    return Exit.DONE


def remove(arguments: argparse.Namespace) -> int:
    """`cabacus bases remove`: forget a base; jobs that were started with it still have it."""
    with connect(arguments.server) as client:
        client.delete_base(arguments.digest)
    print(f"base {arguments.digest} is forgotten", file=sys.stderr)
    return Exit.DONE
