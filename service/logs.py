"""How the service's processes log: one line an event, on standard error."""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logs(level: str) -> None:
    """Log messages of at least this level; libraries speak up from warnings on."""
    logging.basicConfig(format=FORMAT, level=logging.WARNING)
    logging.getLogger("cabacus").setLevel(level.upper())
