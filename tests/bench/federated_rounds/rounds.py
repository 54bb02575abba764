"""Federated MNIST: accuracy against the bytes of the uplink, cabacus beside what others do, LeNet-300-100 in NumPy.

python tests/bench/federated_rounds/rounds.py --rounds 60 --train 60000 --seeds 3 --state build/federated     hours
python tests/bench/federated_rounds/rounds.py --rounds 20 --train 8000 --test 2000                            minutes
python tests/bench/federated_rounds/rounds.py --data none --rounds 3                       seconds, on made-up digits

With `--state` a run goes on where it was stopped, and what is done is not done again. `--tuning` judges by images of
the training set that are not learned: settings are chosen so, never by the test images. `--only` names schemes or
gives settings: `--only fp32 stc=0.005 step=4,rate_weight=0.05`. `--curves FILE` keeps what is drawn by
engine/examples/flower/plot.py.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from schemes import SCHEMES, named
from task import Client, Data, Model, accuracy, lenet, mnist, shards

LAST = 5
"""Rounds whose mean accuracy counts."""


@dataclass(slots=True)
class Run:
    """One federation, round by round: accuracy in percent, mean bytes a message, seconds of training and of coding."""

    accuracies: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    training: float = 0.0
    coding: float = 0.0

    @property
    def accuracy(self) -> float:
        """The mean of the last rounds."""
        return float(np.mean(self.accuracies[-LAST:]))


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run depends on."""

    scheme: str
    rounds: int
    clients: int
    alpha: float | None
    seed: int
    train: int
    test: int
    tuning: bool

    @property
    def key(self) -> str:
        """A name for its files."""
        words = [f"{self.scheme}_{self.alpha or 'iid'}_{self.seed}_{self.rounds}_{self.clients}_{self.train}"]
        return "".join(letter if letter.isalnum() or letter in "._=" else "-" for letter in words[0]) + (
            f"_tuning{self.test}" if self.tuning else ""
        )


def federation(setting: Setting, data: Data, folder: Path | None, deadline: float) -> Run | None:
    """Run it, or what is left of it; None where the deadline (of `time.monotonic`) came first."""
    scheme = named(setting.scheme)
    parts = shards(data.labels, setting.clients, setting.alpha, setting.seed)
    weights = np.array([len(part) for part in parts], np.float64) / len(data.labels)
    run, model, states = _resumed(setting, folder)
    if len(run.accuracies) == setting.rounds:
        return run
    members = [Client.of(data, part) for part in parts]
    for number in range(len(run.accuracies), setting.rounds):
        if time.monotonic() > deadline:
            _keep(setting, folder, run, model, states)
            return None
        total = {name: np.zeros(value.shape, np.float64) for name, value in model.items()}
        sizes = []
        for client, member in enumerate(members):
            started = time.process_time()
            local = member.trained(model, np.random.default_rng((setting.seed, number, client)))
            trained = time.process_time()
            size, received, states[client] = scheme(local, model, states[client])
            run.training += trained - started
            run.coding += time.process_time() - trained
            sizes.append(size)
            for name, value in total.items():
                value += received[name] * weights[client]
        model = {name: value.astype(np.float32) for name, value in total.items()}
        run.accuracies.append(accuracy(model, data))
        run.sizes.append(float(np.mean(sizes)))
    _keep(setting, folder, run, model, states)
    return run


def _resumed(setting: Setting, folder: Path | None) -> tuple[Run, Model, list[Any]]:
    blank = lenet(setting.seed)
    start: tuple[Run, Model, list[Any]] = Run(), blank, [None] * setting.clients
    if folder is None or not (folder / f"{setting.key}.json").exists():
        return start
    run = Run(**json.loads((folder / f"{setting.key}.json").read_text()))
    if len(run.accuracies) == setting.rounds:
        return run, blank, start[2]
    with np.load(folder / f"{setting.key}.npz") as stored:
        model = {name: stored[f"model/{name}"] for name in blank}
        for client in range(setting.clients):
            names = [key for key in stored.files if key.startswith(f"{client}/")]
            start[2][client] = {key.split("/", 1)[1]: stored[key] for key in names} or None
    return run, model, start[2]


def _keep(setting: Setting, folder: Path | None, run: Run, model: Model, states: list[Any]) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if len(run.accuracies) < setting.rounds:
        arrays = {f"model/{name}": value for name, value in model.items()}
        for client, state in enumerate(states):
            arrays |= {f"{client}/{name}": value for name, value in (state or {}).items()}
        np.savez(folder / "next.npz", **arrays)
        os.replace(folder / "next.npz", folder / f"{setting.key}.npz")
    else:
        (folder / f"{setting.key}.npz").unlink(missing_ok=True)
    values = {name: getattr(run, name) for name in Run.__slots__}
    (folder / "next.json").write_text(json.dumps(values))
    os.replace(folder / "next.json", folder / f"{setting.key}.json")


def line(name: str, runs: list[Run], raw: int) -> str:
    """A row of the table: mean and spread (largest less least) over seeds."""
    reached = np.array([run.accuracy for run in runs])
    size = float(np.mean([np.mean(run.sizes) for run in runs]))
    messages = sum(len(run.sizes) for run in runs)
    coding = sum(run.coding for run in runs)
    training = sum(run.training for run in runs)
    return (
        f"{name:36}{reached.mean():9.2f}{np.ptp(reached):6.2f}{size:10.0f}{raw / size:10.1f}x"
        f"{coding / max(training, 1e-9):9.3f}{len(runs):7}{messages:8}"
    )


def curve(runs: list[Run]) -> list[tuple[float, float]]:
    """Bytes that a client has sent and accuracy, the mean of the last rounds, after each round; means over seeds."""
    sizes = np.mean([np.cumsum(run.sizes) for run in runs], axis=0)
    reached = np.mean([run.accuracies for run in runs], axis=0)
    means = [reached[max(0, number - LAST + 1) : number + 1].mean() for number in range(len(reached))]
    return [(round(float(size)), round(float(mean), 3)) for size, mean in zip(sizes, means, strict=True)]


def main(arguments: Iterable[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parents[4] / "shared" / "data" / "datasets" / "mnist"
    parser.add_argument("--data", default=str(default), help="folder of the four idx files, or none")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--train", type=int, default=8000)
    parser.add_argument("--test", type=int, default=10000)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--alpha", type=float, help="Dirichlet's, for clients that differ; IID without")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=list(SCHEMES), help="schemes by name or by their settings")
    parser.add_argument("--state", type=Path, help="folder for what is done")
    parser.add_argument("--curves", type=Path, help="write accuracy over bytes, of all schemes, as JSON")
    parser.add_argument("--tuning", action="store_true", help="judge by images of the training set, not learned")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after these; --state goes on later")
    given = parser.parse_args(None if arguments is None else list(arguments))
    deadline = time.monotonic() + 60 * given.minutes
    folder = None if given.data == "none" else Path(given.data)
    data = mnist(folder, given.train, given.test, tuning=given.tuning)
    raw = sum(value.nbytes for value in lenet(0).values())
    print(
        f"{'scheme':36}{'accuracy':>9}{'+-':>6}{'bytes':>10}{'reduction':>11}{'coding/epoch':>13}{'seeds':>6}{'rounds':>7}"
    )
    series: dict[str, list[tuple[float, float]]] = {}
    for name in given.only:
        runs = []
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            setting = Setting(
                name, given.rounds, given.clients, given.alpha, seed, given.train, given.test, given.tuning
            )
            run = federation(setting, data, given.state, deadline)
            if run is None:
                return
            runs.append(run)
        print(line(name, runs, raw), flush=True)
        series[name] = curve(runs)
    if given.curves is not None:
        kind = "alike" if given.alpha is None else f"by Dirichlet({given.alpha:g})"
        title = f"LeNet-300-100, MNIST, {given.clients} clients {kind}, {given.rounds} rounds, {given.seeds} seeds"
        given.curves.write_text(json.dumps({"title": title, "series": series}), encoding="utf-8")


if __name__ == "__main__":
    main()
