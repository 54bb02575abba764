"""The `cabacus` command. Local work needs NumPy alone; `--server` needs the extra `client`, `serve` the extra `server`.

Exit status: 0 done, 1 the work failed, 2 usage, 3 file or network, 130 interrupted.
"""

from __future__ import annotations

from cabacus.service.cli.program import main, run

__all__ = ["main", "run"]
