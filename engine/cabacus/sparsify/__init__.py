"""The paper's training side: sparse weights, and a standard deviation for each of them (extra `train`: torch).

`variational` trains means and deviations together and prunes by their ratio; `magnitude` prunes by magnitude and
retrains; `estimate_sigma` finds the deviations of a network whose weights stay as they are; `train` makes the dense
network to begin with. Each takes a torch module
and data, leaves the module as it was, and gives plain NumPy arrays under the names of the module's `state_dict`.
"""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'cabacus[train]'", name=error.name) from error

from cabacus.sparsify.dense import train
from cabacus.sparsify.fixed import estimate_sigma
from cabacus.sparsify.loop import Progress, Training
from cabacus.sparsify.pruning import magnitude
from cabacus.sparsify.result import Sparse, load
from cabacus.sparsify.variational import variational

__all__ = ["Progress", "Sparse", "Training", "estimate_sigma", "load", "magnitude", "train", "variational"]
