"""cabacus: context-adaptive binary arithmetic coding for neural-network weights.

>>> compressed = cabacus.compress({"w": np.eye(3, dtype=np.float32)}, snr_db=30)
>>> cabacus.decompress(compressed.data)["w"].shape
(3, 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cabacus.lazy import lazily

if TYPE_CHECKING:
    from cabacus.archive import Archive, decompress, open
    from cabacus.bases import digest
    from cabacus.checking import inspect, verify
    from cabacus.compression import Compressed, compress
    from cabacus.dtypes import RawTensor
    from cabacus.errors import (
        BaseMismatchError,
        CabacusError,
        CorruptError,
        FormatError,
        InputError,
        LimitError,
        TruncatedError,
        UnsupportedError,
    )
    from cabacus.estimating import Estimate, estimate, estimate_curve
    from cabacus.files import Tensors, read, write
    from cabacus.inspection import Inspection, Verification
    from cabacus.integers import decode_levels, encode_levels
    from cabacus.limits import DEFAULT_LIMITS, Limits
    from cabacus.progress import Progress
    from cabacus.report import Curve, Report
    from cabacus.sweeping import sweep

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LIMITS",
    "Archive",
    "BaseMismatchError",
    "CabacusError",
    "Compressed",
    "CorruptError",
    "Curve",
    "Estimate",
    "FormatError",
    "InputError",
    "Inspection",
    "LimitError",
    "Limits",
    "Progress",
    "RawTensor",
    "Report",
    "Tensors",
    "TruncatedError",
    "UnsupportedError",
    "Verification",
    "__version__",
    "compress",
    "decode_levels",
    "decompress",
    "digest",
    "encode_levels",
    "estimate",
    "estimate_curve",
    "inspect",
    "open",
    "read",
    "sweep",
    "verify",
    "write",
]

_HOMES = {
    "archive": ("Archive", "decompress", "open"),
    "bases": ("digest",),
    "checking": ("inspect", "verify"),
    "compression": ("Compressed", "compress"),
    "dtypes": ("RawTensor",),
    "errors": (
        "BaseMismatchError",
        "CabacusError",
        "CorruptError",
        "FormatError",
        "InputError",
        "LimitError",
        "TruncatedError",
        "UnsupportedError",
    ),
    "estimating": ("Estimate", "estimate", "estimate_curve"),
    "files": ("Tensors", "read", "write"),
    "inspection": ("Inspection", "Verification"),
    "integers": ("decode_levels", "encode_levels"),
    "limits": ("DEFAULT_LIMITS", "Limits"),
    "progress": ("Progress",),
    "report": ("Curve", "Report"),
    "sweeping": ("sweep",),
}
"""The names of each module."""

if not TYPE_CHECKING:  # a checker that saw this would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
