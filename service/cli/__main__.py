"""`python -m cabacus.service.cli`: the `cabacus` command."""

from __future__ import annotations

from cabacus.service.cli.program import run

run()
