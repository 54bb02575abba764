"""A vector and its text. `load` needs nothing but the text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from reference.decoder import Tensor
from reference.writer import Field, Fields


@dataclass
class Vector:
    """A file, and what a reader finds in it: `tensors` and `metadata`, or a `fault`; `base` is needed to decode it."""

    name: str
    about: str
    fields: Fields
    tensors: dict[str, Tensor] = field(default_factory=dict)
    metadata: list[tuple[str, str]] = field(default_factory=list)
    base: dict[str, Tensor] = field(default_factory=dict)
    fault: str | None = None

    @property
    def data(self) -> bytes:
        return self.fields.bytes()


def dump(vector: Vector) -> str:
    """The text of a vector."""
    lines = [f"# {vector.name}: {vector.about}"]
    if vector.fault is not None:
        lines.append(f"= fault {json.dumps(vector.fault)}")
    lines += [f"= metadata {json.dumps(pair, ensure_ascii=False)}" for pair in vector.metadata]
    for key, tensors in (("base", vector.base), ("tensor", vector.tensors)):
        for name, tensor in tensors.items():
            stated = [name, tensor.dtype, list(tensor.shape)]
            lines.append(f"= {key} {json.dumps(stated, ensure_ascii=False)}")
            lines += [f"=   {part}" for part in hex_lines(tensor.data)]
    for one in vector.fields.fields:
        first, *others = hex_lines(one.data) or [""]
        lines += [f"{first}  # {printable(one.note)}", *others]
    return "\n".join(lines) + "\n"


def hex_lines(data: bytes) -> list[str]:
    return [data[place : place + 32].hex(" ").upper() for place in range(0, len(data), 32)]


def printable(note: str) -> str:
    return note.encode("ascii", "backslashreplace").decode()


def load(name: str, text: str) -> Vector:
    """The vector of a text."""
    vector = Vector(name, "", Fields())
    stated: list[tuple[str, Any, bytearray]] = []
    for line in text.splitlines():
        if line.startswith("=   "):
            stated[-1][2].extend(bytes.fromhex(line[4:]))
        elif line.startswith("= "):
            key, _, value = line[2:].partition(" ")
            stated.append((key, json.loads(value), bytearray()))
        elif not line.startswith("# "):
            data, _, note = line.partition("#")
            vector.fields.fields.append(Field(bytes.fromhex(data), note.strip()))
    for key, value, data in stated:
        if key == "fault":
            vector.fault = value
        elif key == "metadata":
            vector.metadata.append((value[0], value[1]))
        else:
            tensors = vector.tensors if key == "tensor" else vector.base
            tensors[value[0]] = Tensor(value[1], tuple(value[2]), bytes(data))
    return vector
