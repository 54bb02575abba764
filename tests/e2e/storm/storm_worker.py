"""A worker of the storm: the service's own, on the stub pipeline."""

from __future__ import annotations

import asyncio
import signal

from cabacus.service.adapters import open_queue, open_store
from cabacus.service.logs import configure_logs
from cabacus.service.settings import Settings
from cabacus.service.worker.worker import Worker


async def main() -> None:
    """Work until SIGTERM."""
    settings = Settings.from_environment()
    configure_logs(settings.log_level, settings.log_format)
    queue = open_queue(settings)
    worker = Worker(settings, queue, open_store(settings), pipeline="stub_pipeline")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    try:
        await worker.run()
    finally:
        await queue.close()


asyncio.run(main())
