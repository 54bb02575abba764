"""cabacus: context-adaptive binary arithmetic coding for neural-network weights.

>>> compressed = cabacus.compress({"w": np.eye(3, dtype=np.float32)}, snr_db=30)
>>> cabacus.decompress(compressed.data)["w"].shape
(3, 3)
"""

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
from cabacus.estimating import Estimate, estimate
from cabacus.files import Tensors, read, write
from cabacus.inspection import Inspection, Verification
from cabacus.integers import decode_levels, encode_levels
from cabacus.limits import DEFAULT_LIMITS, Limits
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
    "inspect",
    "open",
    "read",
    "sweep",
    "verify",
    "write",
]
