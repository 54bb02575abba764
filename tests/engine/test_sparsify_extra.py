"""Without torch, what needs it says how to get it."""

from __future__ import annotations

import subprocess
import sys


def test_the_missing_extra_is_named() -> None:
    program = "import sys; sys.modules['torch'] = None; import cabacus.sparsify"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'cabacus[train]'" in done.stderr
