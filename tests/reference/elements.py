"""Element types, and numbers rounded to them: FORMAT.md, sections 3.2 and 5.7."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from reference.reading import require


@dataclass(frozen=True)
class DType:
    """An element type. A floating one has its bits of exponent and mantissa, and what its greatest codes stand for.

    `special` is "ieee": the greatest exponent is for infinity and NaN; "fn": all ones are NaN, and there is no
    infinity; "fnuz": the code of -0 is NaN, and there is no infinity; "e8m0": an exponent alone, no sign and no zero.
    """

    name: str
    kind: str  # "bool", "int", "uint", "float", "complex"
    bytes: int
    exponent_bits: int = 0
    mantissa_bits: int = 0
    bias: int = 0
    special: str = "ieee"


DTYPES = {
    1: DType("bool", "bool", 1),
    2: DType("int8", "int", 1),
    3: DType("uint8", "uint", 1),
    4: DType("int16", "int", 2),
    5: DType("uint16", "uint", 2),
    6: DType("int32", "int", 4),
    7: DType("uint32", "uint", 4),
    8: DType("int64", "int", 8),
    9: DType("uint64", "uint", 8),
    16: DType("float16", "float", 2, 5, 10, 15),
    17: DType("bfloat16", "float", 2, 8, 7, 127),
    18: DType("float32", "float", 4, 8, 23, 127),
    19: DType("float64", "float", 8, 11, 52, 1023),
    24: DType("complex64", "complex", 8),
    25: DType("complex128", "complex", 16),
    32: DType("float8_e4m3fn", "float", 1, 4, 3, 7, "fn"),
    33: DType("float8_e5m2", "float", 1, 5, 2, 15),
    34: DType("float8_e4m3fnuz", "float", 1, 4, 3, 8, "fnuz"),
    35: DType("float8_e5m2fnuz", "float", 1, 5, 2, 16, "fnuz"),
    36: DType("float8_e8m0fnu", "float", 1, 8, 0, 127, "e8m0"),
    37: DType("float8_e4m3", "float", 1, 4, 3, 7),
    38: DType("float8_e3m4", "float", 1, 3, 4, 3),
    39: DType("float8_e4m3b11fnuz", "float", 1, 4, 3, 11, "fnuz"),
}

IDS = {dtype.name: number for number, dtype in DTYPES.items()}


def whole_bits(dtype: DType, integers: Sequence[int]) -> bytes:
    """Integers or bools as elements."""
    width = 8 * dtype.bytes
    least, greatest = {
        "bool": (0, 1),
        "uint": (0, (1 << width) - 1),
        "int": (-(1 << width - 1), (1 << width - 1) - 1),
    }[dtype.kind]
    require(all(least <= integer <= greatest for integer in integers), f"a level is no {dtype.name}")
    return b"".join(integer.to_bytes(dtype.bytes, "little", signed=dtype.kind == "int") for integer in integers)


def float_bits(dtype: DType, number: float) -> bytes:
    """The nearest element, ties to even."""
    if dtype.name == "float64":
        return struct.pack("<d", number)
    return encode_float(dtype, number).to_bytes(dtype.bytes, "little")


def nan_code(dtype: DType, negative: bool) -> int:
    if dtype.special == "e8m0":
        return 0xFF
    if dtype.special == "fnuz":
        return 0x80
    sign = int(negative) << dtype.exponent_bits + dtype.mantissa_bits
    exponent = (1 << dtype.exponent_bits) - 1 << dtype.mantissa_bits
    return sign | exponent | ((1 << dtype.mantissa_bits) - 1 if dtype.special == "fn" else 1 << dtype.mantissa_bits - 1)


def encode_float(dtype: DType, number: float) -> int:
    negative = math.copysign(1.0, number) < 0
    if math.isnan(number):
        return nan_code(dtype, negative)
    mantissa_bits, greatest = dtype.mantissa_bits, greatest_code(dtype)
    if dtype.special == "e8m0":
        return encode_scale(number)
    sign = int(negative) << dtype.exponent_bits + mantissa_bits
    if math.isinf(number):
        code = greatest + 1
    else:
        # The magnitude in units of 2^unit, the last mantissa bit. Rounding up may carry, as it should.
        exponent = max(math.frexp(number)[1] - 1, 1 - dtype.bias) if number else 1 - dtype.bias
        unit = exponent - mantissa_bits
        whole = round(math.ldexp(abs(number), -unit)) if number else 0  # exact up to here; round is to even
        # A subnormal has exponent field 0 and no hidden bit, a normal one adds it to the field.
        code = (exponent + dtype.bias - 1 << mantissa_bits) + whole
    if code > greatest:
        if dtype.special != "ieee":
            return nan_code(dtype, negative)
        code = greatest + 1  # infinity
    return 0 if code == 0 and dtype.special == "fnuz" else sign | code


def encode_scale(number: float) -> int:
    """float8_e8m0fnu, the powers of two from 2^-127 to 2^127: ties go up, and what is not above 0 is NaN."""
    if not 0 < number < math.inf:
        return 0xFF
    fraction, exponent = math.frexp(number)  # 0.5 <= fraction < 1
    return min(max(exponent - 1 + (fraction >= 0.75) + 127, 0), 0xFF)


def greatest_code(dtype: DType) -> int:
    """The code of the largest finite number."""
    codes = 1 << dtype.exponent_bits + dtype.mantissa_bits
    return codes - {"ieee": 1 << dtype.mantissa_bits, "fn": 1, "fnuz": 0, "e8m0": 1}[dtype.special] - 1


def float_of(dtype: DType, element: bytes) -> float:
    """The number that an element stands for."""
    if dtype.name == "float64":
        return float(struct.unpack("<d", element)[0])
    code = int.from_bytes(element, "little")
    if dtype.special == "e8m0":
        return math.nan if code == 0xFF else math.ldexp(1.0, code - 127)
    size = dtype.exponent_bits + dtype.mantissa_bits
    negative, code = code >> size, code & (1 << size) - 1
    if dtype.special == "fnuz" and negative and code == 0:
        return math.nan
    if code > greatest_code(dtype):
        infinite = dtype.special == "ieee" and code == greatest_code(dtype) + 1
        return (-math.inf if negative else math.inf) if infinite else math.nan
    exponent, mantissa = code >> dtype.mantissa_bits, code & (1 << dtype.mantissa_bits) - 1
    if exponent:
        mantissa += 1 << dtype.mantissa_bits
    magnitude = math.ldexp(mantissa, max(exponent, 1) - dtype.bias - dtype.mantissa_bits)
    return -magnitude if negative else magnitude
