"""`python -m cabacus.service.worker`: a worker as its own process, configured by CABACUS_*."""

from __future__ import annotations

import asyncio
import signal
import sys

from cabacus.service.adapters import open_buckets, open_queue, open_store
from cabacus.service.logs import configure_logs
from cabacus.service.settings import Settings, SettingsError
from cabacus.service.worker.worker import Worker

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def work(settings: Settings) -> None:
    """Run a worker until a signal asks it to stop. A second signal ends it without waiting for its jobs."""
    queue, store = open_queue(settings), open_store(settings)
    worker = Worker(settings, queue, store, buckets=open_buckets(settings))
    running = asyncio.create_task(worker.run())

    def stop() -> None:
        if worker.stopping:
            running.cancel()
        worker.stop()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await asyncio.gather(running, return_exceptions=True)
    finally:
        await queue.close()


def main(settings: Settings | None = None) -> int:
    """Run a worker with these settings, else those of the environment; returns the exit status."""
    try:
        chosen = settings or Settings.from_environment()
        configure_logs(chosen.log_level, chosen.log_format)
        asyncio.run(work(chosen))
    except SettingsError as error:
        print(f"cabacus worker: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
