"""The C++ core behind the package. Arrays are C-contiguous, aligned and native; Python owns names, defaults and words.

Every function releases the GIL while it works. `threads` counts threads; the bytes do not depend on it.
"""

import builtins
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Buffer = bytes | bytearray | memoryview

class FormatFault(Exception):
    """A stream that cannot be used: args are (kind, message, tensor or None, limit or None).

    kind is "truncated", "corrupt", "unsupported" or "limit"; `cabacus.errors` has the types that users see.
    """

class LevelCoding:
    """How integer levels become bins (FORMAT.md, "Levels"). The parameters stand in the file's parameter sets."""

    flags: int
    """n: AbsGr(1..n) flags, 0 to 14."""
    golomb: int
    """Order of the Exp-Golomb remainder."""
    prefixes: int
    """Prefix bins of the remainder; 0 is the paper's fixed-length code of `width` bits."""
    width: int
    """Bits of the remainder after the last prefix bin."""
    context: int
    """Id of the context set: 0 paper, 1 row, 2 column, 3 row x column."""
    row_shift: int
    column_shift: int
    """Rates of the running magnitudes of rows and columns: the newest counts 2^-shift."""
    trellis: int
    """States of the dependent quantizer: 0 (none), 4 or 8."""
    lanes: int
    """Range-coder lanes of a slice: 1, 2, 4 ... 64."""
    start: list[int]
    """Probabilities that the contexts start from, in the order of FORMAT.md; empty: all 0.5."""
    def __init__(self, **fields: Any) -> None: ...
    def __eq__(self, other: object) -> bool: ...

class Record:
    """One tensor in a header (FORMAT.md, section 3.3). Fields that a coding does not use stand at their defaults."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    coding: int
    """0 raw, 1 levels, 2 exact float, 3 codebook, 4 zero, 5 alias."""
    delta: bool
    """Stored as a difference to the base."""
    alias: int
    """Index of the tensor that holds the same data (coding 5)."""
    axes: tuple[int, ...]
    """The scan's permutation of axes; empty: as they are."""
    levels: LevelCoding
    step: float
    offset: int
    """What is added to every level: of an integer tensor (coding 1), or for an index of exponents or entries (2, 3)."""
    entries: int
    """Codebook entries (coding 3); mantissa bits kept (coding 2)."""
    float_flags: int
    """Of coding 2: 1, zeros have signs; 2, or all their bits; 4, ends are coded; 8, level 0 is exponent field 0."""
    lowest: int
    """Of coding 2: the exponent field of index 1."""
    last: int
    """Of coding 2: the place of level 0 among ends, where those are coded."""
    row_width: int
    """Weights of a scan row."""
    slice_rows: int
    """Scan rows of a slice."""
    gaps: int
    """Indices of the scan's first axis that are left out: levels of 0 (coding 1). Their map is the first slice."""
    slice_bytes: list[int]
    """Bytes of each slice in the payload, its checksum included."""
    start: int
    """Where the payload begins in the file; set by `parse`, ignored by `pack`."""
    @property
    def members(self) -> tuple[int, ...]:
        """With a layout: places among the base's tensors of those that the record holds; set by `parse`."""
    def __init__(self, **fields: Any) -> None: ...
    def without_gaps(self) -> Record:
        """The record of the smaller tensor that is coded: itself where nothing is left out."""

class Header:
    version: int
    bytes: int
    """Bytes of the preamble and header together: the payload begins there."""
    complete: bool
    """False: the rest takes the base's names and shapes to read (FORMAT.md, section 7); `base` alone is known."""
    file_bytes: int
    metadata: list[tuple[str, str]]
    base: builtins.bytes | None
    """SHA-256 of the base, 32 bytes."""
    layout: tuple[int, list[int]] | None
    """As `pack` takes it."""
    records: list[Record]

def pack(
    records: list[Record],
    metadata: list[tuple[str, str]],
    base: bytes | None,
    layout: tuple[int, list[int]] | None = None,
) -> bytes:
    """Preamble and header of a file whose payload is the records' slices, in order.

    With `layout`, (elements below which tensors are joined, the group of each of those), names and shapes are left out.
    """

def parse(
    data: Buffer,
    limits: dict[str, int],
    *,
    whole: bool = True,
    base: list[tuple[str, int, tuple[int, ...]]] | None = None,
) -> Header:
    """The header of a file; `limits` are the fields of `cabacus.limits.Limits`. Raises FormatFault.

    `base` has name, type and shape of the base's tensors in the order of their names' bytes, for files with a layout.

    With `whole`, the file's length is checked as well: short is truncated, long is corrupt.
    """

class Encoded:
    """A coded tensor: what goes into its record and its payload, and what it cost."""

    levels: LevelCoding
    row_width: int
    slice_rows: int
    slice_bytes: list[int]
    payload: bytes
    nonzero: int
    entropy_bits: float
    """Order-0 entropy of the levels, in bits for the whole tensor."""
    squared_error: float
    """Sum of e^2, on float64 reconstructions; 0 for given levels."""
    weighted_error: float
    """Sum of eta e^2."""

def encode_levels(
    levels: npt.NDArray[np.int32],
    *,
    columns: int,
    coding: LevelCoding | None = None,
    fixed: dict[str, int] | None = None,
    effort: Literal["fast", "default", "max"] = "default",
    threads: int = 1,
) -> Encoded:
    """Code integers as they are. `levels` is flat in scan order, `columns` the width of its matrix form.

    Without `coding` the parameters are chosen for least bytes; `fixed` pins some of them by name.
    """

def encode_weights(
    weights: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    *,
    columns: int,
    step: float,
    eta: npt.NDArray[np.float32] | None = None,
    rate_weight: float = 0.0,
    max_error: float = 0.0,
    quantizer: Literal["round", "greedy", "trellis"] = "greedy",
    candidates: Literal["near", "all"] = "near",
    coding: LevelCoding | None = None,
    fixed: dict[str, int] | None = None,
    effort: Literal["fast", "default", "max"] = "default",
    threads: int = 1,
    payload: bool = True,
) -> Encoded:
    """Quantize by eq. 1 and code: least eta_i (w_i - q)^2 + rate_weight step^2 R; `eta` (mean 1) defaults to ones.

    `max_error` > 0 bounds |w - q|. Without `payload` only the figures and sizes are made.
    """

def decode_levels(
    data: Buffer, record: Record, first_slice: int, slices: int, threads: int = 1
) -> npt.NDArray[np.int32]:
    """The levels of whole slices, flat and in scan order; `data` begins with the first. Raises FormatFault."""

def decode_weights(
    data: Buffer,
    record: Record,
    first_slice: int,
    slices: int,
    out: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    threads: int = 1,
) -> None:
    """The weights of whole slices in scan order into `out`, flat: float64 step x level, rounded once to out's type."""

def encode_exact(
    elements: npt.NDArray[np.uint16] | npt.NDArray[np.uint32] | npt.NDArray[np.uint64],
    *,
    dtype: int,
    columns: int,
    fixed: dict[str, int] | None = None,
    effort: Literal["fast", "default", "max"] = "default",
    threads: int = 1,
) -> tuple[Encoded, dict[str, int]]:
    """Code floats, given as bits, flat in scan order (FORMAT 6.2). The dict has the record's fields of coding 2.

    `dtype` is the id of a floating type of that size. The figures of Encoded are those of the exponents.
    """

def decode_exact(
    data: Buffer,
    record: Record,
    first_slice: int,
    slices: int,
    out: npt.NDArray[np.uint16] | npt.NDArray[np.uint32] | npt.NDArray[np.uint64],
    threads: int = 1,
) -> None:
    """The bits of the elements of whole slices in scan order into `out`, flat. Raises FormatFault."""

def look_up(
    levels: npt.NDArray[np.int32],
    *,
    center: int,
    book: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.uint32] | npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.uint32] | npt.NDArray[np.uint64],
) -> bool:
    """The elements of a codebook that flat levels name into `out`, which may lie where they do. False: one has none."""

def pool_levels(
    tensors: list[tuple[Record, Buffer]],
) -> tuple[LevelCoding, list[bytes | None]] | None:
    """A coding with starts for tensors of one slice each, and the slices that it makes smaller; None: it does not pay.

    The tensors' codings agree in flags, golomb, prefixes, trellis and lanes. Raises FormatFault for damaged slices.
    """

def moments(weights: npt.NDArray[np.float32] | npt.NDArray[np.float64]) -> tuple[float, float, int]:
    """(sum w^2, max |w|, index of the first NaN or infinity or -1) of flat weights, summed in a fixed order."""

def checksum(data: Buffer) -> int:
    """CRC-32C."""

def simd() -> str:
    """The widest form of the lane coder that this processor runs: "scalar", "avx2", "avx512", "neon"."""
