"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, how: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this process `how` when the thread that started it ends; `parent` is its process id.

    Called in the child, between fork and exec or at its start: it survives an exec. On other systems than Linux it does
    nothing; there a child must watch its standard input.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, how.value, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the call
        os.kill(os.getpid(), how)
