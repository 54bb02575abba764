"""`python -m cabacus.service.api`: the API as its own process, configured by CABACUS_*."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from types import FrameType

import uvicorn

from cabacus.service.api.app import create_app
from cabacus.service.api.protocol import Protocol
from cabacus.service.logs import configure_logs
from cabacus.service.settings import Settings, SettingsError

STOP_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open; longer than a usual proxy's, which must not be surprised by its end."""


def make_server(settings: Settings, *, stop_seconds: float = STOP_SECONDS) -> uvicorn.Server:
    """A server that listens where the settings say, or on sockets that its `run` is given. Raises SettingsError.

    When it is stopped, answers may run on for `stop_seconds`.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(stop_seconds),
    )
    return _Server(config, app.state.context.stopping)


class _Server(uvicorn.Server):
    """Tells the application at once that it is to stop; uvicorn does so only when every answer has ended."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._stopping.set()
        super().handle_exit(sig, frame)


def main(settings: Settings | None = None) -> int:
    """Run the API with these settings, else those of the environment; returns the exit status."""
    try:
        chosen = settings or Settings.from_environment()
        configure_logs(chosen.log_level, chosen.log_format)
        logging.getLogger("uvicorn.error").setLevel(logging.INFO)  # says where it listens
        server = make_server(chosen)
    except SettingsError as error:
        print(f"cabacus api: {error}", file=sys.stderr)
        return 2
    with suppress(KeyboardInterrupt):  # raised once everything has ended
        server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
