"""Tuning: S of eq. 2 and lambda of eq. 1, chosen by what a network still can do after compression.

`tune` takes a model, the deviations of its weights and a function that scores a model; `python -m cabacus.tuning` takes
files and a command that prints the score.
"""

from __future__ import annotations

from cabacus.tuning.result import Tuning, TuningPoint
from cabacus.tuning.searching import tune

__all__ = ["Tuning", "TuningPoint", "tune"]
