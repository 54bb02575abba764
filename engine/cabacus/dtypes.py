"""The element types: their names, their ids in the file format, and the way between arrays, bytes and numbers.

NumPy has no bfloat16 and no 8-bit floats. Such tensors are arrays of `ml_dtypes` where that is installed, else
`RawTensor`s. Both go into every function here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from cabacus.errors import CorruptError, InputError, TruncatedError, UnsupportedError

__all__ = [
    "BY_ID",
    "BY_NAME",
    "BY_SAFETENSORS",
    "DTYPES",
    "Array",
    "DType",
    "Pending",
    "RawTensor",
    "Tensor",
    "as_bytes",
    "as_tensor",
    "canonical",
    "cast_from_float",
    "dtype_name",
    "from_bits",
    "from_bytes",
    "to_float",
]

Array: TypeAlias = npt.NDArray[Any]
Kind = Literal["bool", "int", "uint", "float", "complex"]


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    `id` is its number in the file format and never changes. `safetensors` is its name in that format, if it has one.
    `storage` is the NumPy type of its bits in memory and in files: the type itself where NumPy has it.

    >>> BY_NAME["bfloat16"].id, BY_NAME["bfloat16"].itemsize, BY_NAME["bfloat16"].storage
    (17, 2, 'uint16')
    """

    id: int
    name: str
    kind: Kind
    storage: str
    safetensors: str | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.storage).itemsize

    @property
    def native(self) -> bool:
        """Whether NumPy has this type; if not, arrays of it hold bits."""
        return self.name == np.dtype(self.storage).name

    @property
    def stored(self) -> np.dtype[Any]:
        """The little-endian NumPy type of the bits."""
        return np.dtype(self.storage).newbyteorder("<")


DTYPES: tuple[DType, ...] = (
    DType(1, "bool", "bool", "bool", "BOOL"),
    DType(2, "int8", "int", "int8", "I8"),
    DType(3, "uint8", "uint", "uint8", "U8"),
    DType(4, "int16", "int", "int16", "I16"),
    DType(5, "uint16", "uint", "uint16", "U16"),
    DType(6, "int32", "int", "int32", "I32"),
    DType(7, "uint32", "uint", "uint32", "U32"),
    DType(8, "int64", "int", "int64", "I64"),
    DType(9, "uint64", "uint", "uint64", "U64"),
    DType(16, "float16", "float", "float16", "F16"),
    DType(17, "bfloat16", "float", "uint16", "BF16"),
    DType(18, "float32", "float", "float32", "F32"),
    DType(19, "float64", "float", "float64", "F64"),
    DType(24, "complex64", "complex", "complex64", "C64"),
    DType(25, "complex128", "complex", "complex128"),
    DType(32, "float8_e4m3fn", "float", "uint8", "F8_E4M3"),
    DType(33, "float8_e5m2", "float", "uint8", "F8_E5M2"),
    DType(34, "float8_e4m3fnuz", "float", "uint8", "F8_E4M3FNUZ"),
    DType(35, "float8_e5m2fnuz", "float", "uint8", "F8_E5M2FNUZ"),
    DType(36, "float8_e8m0fnu", "float", "uint8", "F8_E8M0"),
    DType(37, "float8_e4m3", "float", "uint8"),
    DType(38, "float8_e3m4", "float", "uint8"),
    DType(39, "float8_e4m3b11fnuz", "float", "uint8"),
    # 48-63 are kept free for types below a byte: int4, uint4, float4_e2m1fn, float6_e2m3fn, float6_e3m2fn ...
)
BY_NAME = {dtype.name: dtype for dtype in DTYPES}
BY_ID = {dtype.id: dtype for dtype in DTYPES}
BY_SAFETENSORS = {dtype.safetensors: dtype for dtype in DTYPES if dtype.safetensors is not None}


@dataclass(frozen=True, slots=True, eq=False)
class RawTensor:
    """A bfloat16 or 8-bit float tensor as raw bits, for an environment without `ml_dtypes`.

    `bits` is a uint16 or uint8 array in the tensor's shape, and `dtype` the name of the element type. `np.asarray`
    gives the values as float32, exactly.

    >>> tensor = RawTensor("bfloat16", np.array([[0x3F80, 0x4000]], np.uint16))
    >>> tensor.dtype, tensor.shape, np.asarray(tensor)
    ('bfloat16', (1, 2), array([[1., 2.]], dtype=float32))
    """

    dtype: str
    bits: Array

    def __post_init__(self) -> None:
        dtype = BY_NAME.get(self.dtype)
        if dtype is None or dtype.native:
            raise InputError(f"a RawTensor holds bfloat16 or float8 bits, not {self.dtype!r}; pass a NumPy array")
        if self.bits.dtype.name != dtype.storage:
            raise InputError(f"the bits of {self.dtype} are {dtype.storage}, not {self.bits.dtype}; use .view()")

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.bits.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.bits.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.bits.size

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.bits.nbytes

    def to_float32(self) -> npt.NDArray[np.float32]:
        """Return the values as float32, exactly."""
        from cabacus import minifloat  # here and below: most models have none of these types

        return minifloat.decode(canonical(self.bits), self.dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"a {self.dtype} RawTensor cannot become an array without a copy")
        return self.to_float32().astype(np.float32 if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        return f"RawTensor({self.dtype!r}, shape={self.shape})"


Tensor: TypeAlias = Array | RawTensor
"""What the engine takes and gives: a NumPy array (of `ml_dtypes` too) or a RawTensor."""


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A tensor that is made when its elements are asked for, so that a file is written with one in memory at a time.

    >>> as_bytes(Pending("uint8", (2,), lambda: np.array([3, 4], np.uint8))).tolist()
    [3, 4]
    """

    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * BY_NAME[self.dtype].itemsize


def as_tensor(value: object, *, tensor: str | None = None) -> Tensor:
    """Return `value` as a tensor of a known element type; no copy where it is one already.

    Takes arrays, NumPy scalars, tensors of torch (of any type and device, with gradients or without) and objects that
    convert themselves to arrays. Raises InputError, naming `tensor`, for
    lists (whose type would be a guess), masked arrays and unknown element types.

    >>> as_tensor(np.float32(2)).shape
    ()
    """
    if isinstance(value, RawTensor):
        return value
    if isinstance(value, Pending):
        return cast(Tensor, value)  # files alone take it; they ask for type, shape and bytes
    if isinstance(value, np.ma.MaskedArray):
        raise _refused("is a masked array; fill it with .filled(value)", tensor)
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        try:
            if type(value).__module__.partition(".")[0] == "torch":
                value = _of_torch(value)
                if isinstance(value, RawTensor):
                    return value
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _refused(f"does not convert to a NumPy array ({error}); convert it first", tensor) from error
        dtype_name(array, tensor=tensor)
        return array
    raise _refused(f"is a {type(value).__name__}; pass a NumPy array of the type you mean", tensor)


def dtype_name(array: Tensor | Pending, *, tensor: str | None = None) -> str:
    """Return the name of the element type; raise InputError, naming `tensor`, if the format has none for it.

    >>> dtype_name(np.zeros(3, ">f4"))
    'float32'
    """
    if isinstance(array, RawTensor | Pending):
        return array.dtype
    name = _numpy_name(array.dtype)
    if name not in BY_NAME:
        remedies = {"O": "convert the objects to numbers", "V": "store each field as a tensor of its own"}
        remedy = remedies.get(array.dtype.kind, "cast it to one of " + ", ".join(BY_NAME))
        raise _refused(f"has elements of type {array.dtype}, which cannot be stored; {remedy}", tensor)
    return name


@lru_cache(maxsize=256)
def _numpy_name(dtype: np.dtype[Any]) -> str:
    """NumPy puts a name together each time: 3 of the 25 ms in which a small model's update is coded."""
    return dtype.name


def canonical(array: Array) -> Array:
    """Return the array in C order, aligned and in the machine's byte order; no copy where it is so already.

    Shape (also of 0-d arrays) and values stay. Arrays that come from files may be unaligned.

    >>> canonical(np.ones((2, 3), ">f4").T).dtype
    dtype('float32')
    """
    return np.require(array, array.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])


def as_bytes(array: Tensor | Pending) -> npt.NDArray[np.uint8]:
    """Return the elements in C order, little-endian, as a flat uint8 array; a view where that is possible.

    >>> as_bytes(np.array([[1, 2]], ">u2")).tolist()
    [1, 0, 2, 0]
    """
    if isinstance(array, Pending):
        array = array.make()
    dtype = BY_NAME[dtype_name(array)]
    bits = array.bits if isinstance(array, RawTensor) else array
    if not dtype.native and not isinstance(array, RawTensor):
        bits = np.asarray(bits, order="C").view(dtype.storage)
    ordered: Array = np.asarray(bits, dtype=dtype.stored, order="C")
    data: npt.NDArray[np.uint8] = ordered.reshape(-1).view(np.uint8)
    # A bool array made by a view may hold other bytes than 0 and 1. Files hold 0 and 1.
    return (data != 0).view(np.uint8) if dtype.kind == "bool" and data.size and data.max() > 1 else data


def from_bytes(
    data: Any,
    name: str,
    shape: Sequence[int],
    *,
    tensor: str | None = None,
    fortran_order: bool = False,
    big_endian: bool = False,
) -> Tensor:
    """Return the tensor of element type `name` and of `shape` whose bytes are `data`, a buffer.

    The bytes are in C order and little-endian, unless told otherwise. The result is a view of `data` (read-only if
    that is), possibly unaligned. Raises UnsupportedError for an unknown type, TruncatedError or CorruptError if `data`
    has another size, CorruptError if a bool is neither 0 nor 1.

    >>> from_bytes(b"\\x01\\x00\\x02\\x00", "uint16", (2, 1)).tolist()
    [[1], [2]]
    """
    dtype = BY_NAME.get(name)
    if dtype is None:
        raise UnsupportedError(f"{_subject(tensor)} has the unknown element type {name!r}", tensor=tensor)
    raw = np.frombuffer(data, np.uint8) if memoryview(data).nbytes else np.empty(0, np.uint8)
    expected = math.prod(shape) * dtype.itemsize
    if raw.size != expected:
        kind = TruncatedError if raw.size < expected else CorruptError
        raise kind(f"{_subject(tensor)} has {raw.size} bytes of data instead of {expected}", tensor=tensor)
    if dtype.kind == "bool" and raw.size and raw.max() > 1:
        raise CorruptError(f"{_subject(tensor)} has bool elements that are neither 0 nor 1", tensor=tensor)
    bits = raw.view(np.dtype(dtype.storage).newbyteorder(">" if big_endian else "<"))
    return from_bits(bits.reshape(tuple(shape), order="F" if fortran_order else "C"), name)


def from_bits(bits: Array, name: str) -> Tensor:
    """Return `bits`, an array of the type's storage, as a tensor of type `name`; no copy.

    >>> np.asarray(from_bits(np.array([0x3F80], np.uint16), "bfloat16"), np.float32)
    array([1.], dtype=float32)
    """
    if BY_NAME[name].native:
        return bits
    native = bits if bits.dtype.isnative else bits.astype(bits.dtype.newbyteorder("="))
    foreign = _foreign(name)
    return RawTensor(name, native) if foreign is None else native.view(foreign)


def to_float(array: Tensor, *, tensor: str | None = None) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
    """Return the values, exactly, as a C-order aligned float32 array, or float64 where that is needed.

    float64, and integers of 32 and 64 bits, become float64; everything else float32. Raises InputError for complex
    tensors and for integers beyond 2^53. No copy where the tensor is of that form already.

    >>> to_float(np.arange(3, dtype=np.int8))
    array([0., 1., 2.], dtype=float32)
    """
    dtype = BY_NAME[dtype_name(array, tensor=tensor)]
    if isinstance(array, RawTensor):
        return array.to_float32()
    if dtype.kind == "complex":
        raise _refused("is complex and has no order to quantize in; keep it exact with a rule keep=true", tensor)
    if not dtype.native:
        from cabacus import minifloat

        return minifloat.decode(np.asarray(array, order="C").view(dtype.storage), dtype.name)
    if dtype.name in ("int64", "uint64") and array.size and not -(2**53) <= array.min() <= array.max() <= 2**53:
        raise _refused("has integers beyond 2^53, which a float64 cannot hold; keep it exact", tensor)
    wide = dtype.itemsize > 4 or (dtype.itemsize == 4 and dtype.kind != "float")
    return np.require(array, np.float64 if wide else np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def cast_from_float(values: Array, name: str, *, saturate: bool = False) -> Tensor:
    """Return float32 or float64 `values` as a tensor of type `name`, rounded once, to nearest even.

    Values too large for a floating type become infinity, or NaN in the types without infinity; with `saturate`, finite
    ones stop at the largest finite value instead. Integer types round to the nearest even integer and stop at their
    limits; NaN is then an InputError. Complex types are refused.

    >>> cast_from_float(np.array([0.5, 1.5, 300.0]), "uint8")
    array([  0,   2, 255], dtype=uint8)
    """
    dtype = BY_NAME[name]
    if dtype.kind == "complex":
        raise InputError(f"real values cannot be cast to {name}")
    if not dtype.native:
        from cabacus import minifloat

        return from_bits(minifloat.encode(canonical(values), name, saturate=saturate), name)
    if dtype.kind == "float":
        if saturate:
            limit = float(np.finfo(name).max)
            values = np.where(np.isinf(values), values, np.clip(values, -limit, limit))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.asarray(values, order="C").astype(name, copy=False)
    return _to_integers(values, dtype)


def _to_integers(values: Array, dtype: DType) -> Array:
    if np.isnan(values).any():
        raise InputError(f"NaN cannot be cast to {dtype.name}; keep the tensor in a floating type")
    if dtype.kind == "bool":
        truth: Array = values != 0
        return truth
    low, high = int(np.iinfo(dtype.name).min), int(np.iinfo(dtype.name).max)
    rounded = np.rint(np.asarray(values, np.float64, order="C"))
    # float(high) of the 64-bit types is high + 1, which the cast cannot hold: put those in afterwards.
    inside = np.where(rounded >= float(high), 0, np.maximum(rounded, low)).astype(dtype.name)
    return np.where(rounded >= float(high), np.array(high, dtype.name), inside)


def _of_torch(value: Any) -> Any:
    """A tensor of torch as NumPy takes it: without gradient, in main memory, and types that NumPy lacks as their bits.

    torch is not imported: who has a tensor of it has done that.
    """
    held = value.detach().cpu().resolve_conj().resolve_neg()
    dtype = BY_NAME.get(str(held.dtype).removeprefix("torch."))
    if dtype is None or dtype.native:
        return held.numpy()
    torch = sys.modules["torch"]
    bits = held.contiguous().view(torch.int16 if dtype.itemsize == 2 else torch.uint8)
    return from_bits(bits.numpy().view(dtype.storage), dtype.name)


@cache
def _foreign(name: str) -> np.dtype[Any] | None:
    """The `ml_dtypes` type of that name, or None where that is not installed or too old to know it."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    scalar = getattr(ml_dtypes, name, None)
    return None if scalar is None else np.dtype(scalar)


def _subject(tensor: str | None) -> str:
    return "the tensor" if tensor is None else f"tensor {tensor!r}"


def _refused(why: str, tensor: str | None) -> InputError:
    return InputError(f"{_subject(tensor)} {why}", tensor=tensor)
