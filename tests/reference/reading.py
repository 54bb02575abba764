"""Bytes, varints, strings and checksums: FORMAT.md, section 1."""

from __future__ import annotations

import struct


class Fault(Exception):
    """Why a stream cannot be used: kind is "truncated", "corrupt", "unsupported", "limit" or "base"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


def require(condition: bool, otherwise: str) -> None:
    """A MUST: where it is not kept, the file is corrupt."""
    if not condition:
        raise Fault("corrupt", otherwise)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(number: int) -> bytes:
    """The fewest groups of seven bits, lowest first."""
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def utf8(data: bytes) -> str:
    """The text of these bytes. Python's codec is as strict as the format: no surrogates, no overlong forms."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Fault("corrupt", "a string is not UTF-8") from None


class Reader:
    """Takes fields off the front of bytes that are all there: what reaches past their end is corrupt."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def left(self) -> int:
        return len(self.data) - self.place

    def take(self, count: int) -> bytes:
        require(count <= self.left(), "a field reaches past the end of the header")
        self.place += count
        return self.data[self.place - count : self.place]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def f32(self) -> float:
        return float(struct.unpack("<f", self.take(4))[0])

    def f64(self) -> float:
        return float(struct.unpack("<d", self.take(8))[0])

    def varint(self) -> int:
        value = 0
        for index in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                require(byte != 0 or index == 0, "a varint is not minimal")
                require(value < 1 << 64, "a varint is not below 2^64")
                return value
        raise Fault("corrupt", "a varint has more than ten bytes")

    def zigzag(self) -> int:
        number = self.varint()
        return number >> 1 if number % 2 == 0 else -(number + 1 >> 1)

    def string(self) -> str:
        return utf8(self.take(self.varint()))

    def count(self) -> int:
        """A number of things to come, of at least a byte each."""
        number = self.varint()
        require(number <= self.left(), "more is announced than the header holds")
        return number
