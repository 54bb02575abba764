"""A worker of the storm: the service's own, on the stub pipeline or, with STORM_ENGINE, on the engine."""

from __future__ import annotations

import asyncio
import os
import signal

from cabacus.service.adapters import open_queue, open_store
from cabacus.service.logs import configure_logs
from cabacus.service.settings import Settings
from cabacus.service.worker.slot import PIPELINE
from cabacus.service.worker.worker import Worker


async def main() -> None:
    """Work until SIGTERM."""
    settings = Settings.from_environment()
    configure_logs(settings.log_level, settings.log_format)
    queue = open_queue(settings)
    pipeline = PIPELINE if os.environ.get("STORM_ENGINE") else "stub_pipeline"
    worker = Worker(settings, queue, open_store(settings), pipeline=pipeline)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    try:
        await worker.run()
    finally:
        await queue.close()


asyncio.run(main())
