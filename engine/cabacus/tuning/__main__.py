"""`python -m cabacus.tuning`."""

from __future__ import annotations

import sys

from cabacus.tuning.command import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
