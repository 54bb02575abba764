"""Flower: two lines, and FedAvg never knows. Runs in an environment of its own: make test-flower."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="flwr has an environment of its own: make test-flower")

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp.mod import LocalDpMod, fixedclipping_mod
from flwr.common.config import validate_config
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.supercore.task_identity import TaskIdentity

from cabacus import InputError
from cabacus.federated import UpdateDecoder, UpdateEncoder
from cabacus.federated.flower import RESIDUAL, CompressedStrategy, CompressUplink

BASE = {"w": np.random.default_rng(1).normal(0, 1, (100, 80)).astype(np.float32), "b": np.zeros(100, np.float32)}


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Flower's runtime sets before an app runs."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


class ToTwo(Strategy):
    """FedAvg that sends to nodes 1 and 2, whatever the grid."""

    def __init__(self) -> None:
        self.average = FedAvg()

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> list[Message]:
        content = RecordDict({"arrays": arrays, "config": config})
        return [Message(content=content, dst_node_id=node, message_type="train") for node in (1, 2)]

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        return self.average.aggregate_train(server_round, replies)

    def configure_evaluate(self, *_: Any) -> list[Message]:
        return []

    def aggregate_evaluate(self, *_: Any) -> None:
        return None

    def summary(self) -> None:
        pass


def context(node: int) -> Context:
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


def app(message: Message, _: Context) -> Message:
    arrays = {name: array.numpy() for name, array in message.content["arrays"].items()}
    chance = np.random.default_rng(message.metadata.dst_node_id)
    moved = {
        name: Array(value + chance.laplace(0, 0.01, value.shape).astype(np.float32)) for name, value in arrays.items()
    }
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": MetricRecord({"num-examples": 10, "loss": 0.5})})
    return Message(content=content, reply_to=message)


def record() -> ArrayRecord:
    return ArrayRecord({name: Array(value) for name, value in BASE.items()})


def answered(strategy: CompressedStrategy, mod: CompressUplink, contexts: list[Context]) -> list[Message]:
    messages = strategy.configure_train(1, record(), ConfigRecord({"lr": 0.1}), None)
    return [mod(message, one, app) for message, one in zip(messages, contexts, strict=True)]


def test_a_round_is_averaged_of_what_was_decoded() -> None:
    strategy, contexts = CompressedStrategy(ToTwo()), [context(1), context(2)]
    replies = answered(strategy, CompressUplink(), contexts)
    assert all(len(reply.content["arrays"]) == 1 for reply in replies)
    arrays, metrics = strategy.aggregate_train(1, replies)
    lefts = [one.state[RESIDUAL]["w"].numpy() for one in contexts]
    meant = [BASE["w"] + np.random.default_rng(node).laplace(0, 0.01, (100, 80)).astype(np.float32) for node in (1, 2)]
    expected = np.mean([mine - left for mine, left in zip(meant, lefts, strict=True)], axis=0)
    assert np.allclose(arrays["w"].numpy(), expected, atol=1e-6)
    assert metrics["loss"] == 0.5
    assert metrics["cabacus.raw_bytes"] == 2 * 4 * 8100
    assert metrics["cabacus.bytes"] * 10 < metrics["cabacus.raw_bytes"]
    assert 0 < metrics["cabacus.distortion"] < 1


def test_a_bad_reply_is_dropped_and_counted() -> None:
    strategy = CompressedStrategy(ToTwo())
    good, bad = answered(strategy, CompressUplink(), [context(1), context(2)])
    data = bytearray(bad.content["arrays"]["cabacus"].data)
    data[-1] ^= 1
    bad.content["arrays"] = ArrayRecord({"cabacus": Array("uint8", (len(data),), "cabacus", bytes(data))})
    arrays, metrics = strategy.aggregate_train(1, [good, bad])
    assert metrics["cabacus.dropped"] == 1
    assert strategy.rounds[1].decoded == 1
    assert arrays is not None


def test_the_residual_goes_into_the_next_round() -> None:
    strategy, contexts = CompressedStrategy(ToTwo()), [context(1), context(2)]
    mod = CompressUplink(UpdateEncoder(sparsify="ternary"))
    first = answered(strategy, mod, contexts)[0].content["arrays"]["cabacus"].data
    assert answered(strategy, mod, contexts)[0].content["arrays"]["cabacus"].data != first


def test_uncoded_replies_and_other_messages_pass() -> None:
    strategy = CompressedStrategy(ToTwo())
    messages = strategy.configure_train(1, record(), ConfigRecord(), None)
    arrays, _ = strategy.aggregate_train(1, [app(message, context(1)) for message in messages])
    assert strategy.rounds[1].uncoded == 2
    assert arrays is not None
    message = Message(content=RecordDict({"arrays": record()}), dst_node_id=1, message_type="evaluate")
    assert "w" in CompressUplink()(message, context(1), app).content["arrays"]


def test_secure_aggregation_is_refused() -> None:
    content = RecordDict({"arrays": record(), "secaggplus": ConfigRecord()})
    message = Message(content=content, dst_node_id=1, message_type="train")
    with pytest.raises(InputError, match="secure aggregation"):
        CompressUplink()(message, context(1), app)


@pytest.mark.parametrize("coding", ["default", "small", "none"])
def test_the_example_runs_in_one_process(coding: str, capfd: pytest.CaptureFixture[str]) -> None:
    app = Path(__file__).parents[2] / "engine" / "examples" / "flower"
    command = [sys.executable, str(app / "in_process.py"), "--nodes", "3", "--set", "rounds=1", f"coding={coding}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "round  1: accuracy" in done.stdout
    assert ("uncoded" in done.stdout) == (coding == "none")


def test_the_example_is_an_app_that_flower_accepts() -> None:
    app = Path(__file__).parents[2] / "engine" / "examples" / "flower"
    config = tomllib.loads((app / "pyproject.toml").read_text())
    valid, errors, _ = validate_config(config, check_module=True, project_dir=app)
    assert valid, errors


def clipped(uplink: CompressUplink, norm: float, *, order: str = "clip, code") -> Message:
    """A reply under Flower's own clipping mod, which is the inner or the outer one."""
    content = RecordDict({"arrays": record(), "config": ConfigRecord({"clipping_norm": norm})})
    message, node = Message(content=content, dst_node_id=1, message_type="train"), context(1)
    if order == "clip, code":
        return uplink(message, node, lambda sent, here: fixedclipping_mod(sent, here, app))
    return fixedclipping_mod(message, node, lambda sent, here: uplink(sent, here, app))


@pytest.mark.parametrize("norm", [0.05, 0.4, 1000.0])
def test_clipped_updates_stay_within_the_norm_when_they_are_decoded(norm: float) -> None:
    reply = clipped(CompressUplink(UpdateEncoder(step=1.0, error_feedback=False)), norm)
    decoded = UpdateDecoder().decode(reply.content["arrays"]["cabacus"].data, BASE)
    length = np.sqrt(sum(np.square(decoded[name].astype(np.float64) - BASE[name]).sum() for name in BASE))
    assert 0.5 * min(norm, 1.0) < length <= norm


def test_error_feedback_and_clipping_are_refused_together() -> None:
    with pytest.raises(InputError, match="error feedback"):
        clipped(CompressUplink(), 1.0)


def test_a_clipping_mod_in_the_wrong_place_answers_with_an_error() -> None:
    assert clipped(CompressUplink(UpdateEncoder(error_feedback=False)), 1.0, order="code, clip").has_error()


def test_noise_of_the_client_is_coded_after_it_was_added() -> None:
    mod, node = LocalDpMod(1.0, 1e-4, 10.0, 1e-5), context(1)
    content = RecordDict({"arrays": record(), "config": ConfigRecord()})
    message = Message(content=content, dst_node_id=1, message_type="train")
    reply = CompressUplink()(message, node, lambda sent, here: mod(sent, here, app))
    assert "cabacus" in reply.content["arrays"]
    wrong = mod(message, node, lambda sent, here: CompressUplink()(sent, here, app))
    assert wrong.has_error()
