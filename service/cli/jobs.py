"""`cabacus jobs`: list, show, get, cancel and remove the jobs of a service."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cabacus.service.cli.connection import connect
from cabacus.service.cli.outcomes import CommandError, Exit
from cabacus.service.cli.progress import Bar, tell
from cabacus.service.cli.streams import Output


def show_all(arguments: argparse.Namespace) -> int:
    """`cabacus jobs list`: the latest jobs, newest first."""
    with connect(arguments.server) as client:
        jobs = client.jobs(limit=arguments.limit)
    if arguments.json:
        print(_json([asdict(job) for job in jobs]))
        return Exit.DONE
    print(f"{'id':<34}{'kind':<12}{'state':<11}{'made':<21}{'bytes':>13}  model")
    for job in jobs:
        size = str(job.result.bytes) if job.result else ""
        made = f"{job.created:%Y-%m-%d %H:%M:%S}"
        model = job.input["model"].name if "model" in job.input else ""
        print(f"{job.id:<34}{job.kind:<12}{job.state:<11}{made:<21}{size:>13}  {model}".rstrip())
    return Exit.DONE


def show(arguments: argparse.Namespace) -> int:
    """`cabacus jobs show`: all that the service says of a job, as JSON."""
    with connect(arguments.server) as client:
        print(_json(asdict(client.job(arguments.id))))
    return Exit.DONE


def get(arguments: argparse.Namespace) -> int:
    """`cabacus jobs get`: wait for a job's end, and bring its result to OUT."""
    output = Output.of(arguments.output, force=arguments.force)
    with connect(arguments.server) as client:
        with Bar("waiting", quiet=arguments.quiet) as bar:
            for seen in client.events(arguments.id):
                tell(bar, seen)
        job = client.wait(arguments.id)
        if output.path is not None:
            client.download(job, output.path)
        else:
            with output.open() as file:
                file.write(client.result(job).data)
    return Exit.DONE


def cancel(arguments: argparse.Namespace) -> int:
    """`cabacus jobs cancel`: stop a job; one that has ended stays as it is, and the status is 1."""
    with connect(arguments.server) as client:
        job = client.cancel(arguments.id)
    if job.state != "cancelled":
        raise CommandError(f"job {job.id} is {job.state} already; `cabacus jobs remove` forgets it")
    print(f"job {job.id} is cancelled", file=sys.stderr)
    return Exit.DONE


def remove(arguments: argparse.Namespace) -> int:
    """`cabacus jobs remove`: forget a job that has ended, and its files; status 1 while it has not."""
    with connect(arguments.server) as client:
        job = client.job(arguments.id)
        if not job.final:
            raise CommandError(f"job {job.id} is {job.state}; `cabacus jobs cancel` stops it")
        client.delete(job)
    print(f"job {job.id} is forgotten, and its files", file=sys.stderr)
    return Exit.DONE


def _json(jobs: Any) -> str:
    """A job, or several, with their times as ISO 8601 has it."""
    return json.dumps(jobs, indent=2, default=datetime.isoformat)
