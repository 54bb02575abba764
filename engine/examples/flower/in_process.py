"""The app without processes, ports or Ray: all nodes are played in this one, in seconds.

python in_process.py                                            # ten rounds of made-up digits
python in_process.py --nodes 20 --set data=FOLDER_OF_MNIST rounds=20 coding=small
"""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from federated_digits.client_app import app as client_app
from federated_digits.server_app import app as server_app
from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity


class InProcess(Grid):
    """A grid whose nodes run the client app, one after another, when they are sent a message."""

    def __init__(self, app: Any, nodes: int, config: dict[str, Any]) -> None:
        self._app = app
        self._contexts = {
            node: Context(
                run_id=1,
                node_id=node,
                node_config={"partition-id": node - 1, "num-partitions": nodes},
                state=RecordDict(),
                run_config=config,
            )
            for node in range(1, nodes + 1)
        }
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Any) -> None:
        """Nothing depends on the run."""

    @property
    def run(self) -> Any:
        """There is none."""
        raise NotImplementedError

    def create_message(self, *_: Any, **__: Any) -> Message:
        """Flower's old way to make a message."""
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        """All nodes."""
        return list(self._contexts)

    def get_nodes(self) -> Iterable[Any]:
        """Not needed by strategies that go by ids."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Run the client app for each message."""
        pushed = []
        for message in messages:
            node = message.metadata.dst_node_id
            TaskIdentity.node_id = node
            key = f"{len(self._replies)}"
            self._replies[key] = self._app(message, self._contexts[node])
            pushed.append(key)
        TaskIdentity.node_id = 0
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies."""
        return [self._replies.pop(key) for key in message_ids]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Both."""
        return self.pull_messages(self.push_messages(messages))


def main() -> None:
    """Run the app with the configuration of pyproject.toml and what is set here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="as in flwr run --run-config")
    parser.add_argument("--nodes", type=int, default=10)
    given = parser.parse_args()
    project = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text(encoding="utf-8"))
    config = dict(project["tool"]["flwr"]["app"]["config"])
    for pair in given.set:
        key, _, value = pair.partition("=")
        config[key] = type(config[key])(value)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 0
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=config)
    started = time.monotonic()
    server_app(InProcess(client_app, given.nodes, config), context)
    print(f"{time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
