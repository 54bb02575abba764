"""Small tensors of an update, joined: one record, one step and one checksum for all of them (FORMAT 7.1)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from cabacus.bases import in_order
from cabacus.decoding import section
from cabacus.dtypes import Array, RawTensor, Tensor, dtype_name

__all__ = ["Units"]


@dataclass(frozen=True, slots=True)
class Units:
    """What has a record of its own: tensors, and groups of small ones, named as their first member is.

    below: tensors of fewer elements are joined. members: the tensors of each unit, in the order of the records. small:
    the group of every small tensor.

    >>> units = Units.of({"b": np.zeros(2), "a": np.zeros(3), "w": np.zeros((40, 50))}, 1000, lambda name: None)
    >>> units.members, units.small
    ({'w': ['w'], 'a': ['a', 'b']}, {'a': 0, 'b': 0})
    >>> joined = units.joined({"a": np.array([1, 2, 3]), "b": np.array([4, 5]), "w": np.zeros((40, 50))})
    >>> joined["a"].tolist(), units.apart(joined, {"a": (3,), "b": (2,), "w": (40, 50)})["b"].tolist()
    ([1, 2, 3, 4, 5], [4, 5])
    """

    below: int
    members: dict[str, list[str]]
    small: dict[str, int]

    @classmethod
    def of(cls, base: Mapping[str, Tensor], below: int, kind: Callable[[str], Hashable]) -> Units:
        """Group the tensors of a base; those that are joined have the same type and the same `kind`."""
        alone: dict[str, list[str]] = {}
        groups: dict[Hashable, list[str]] = {}
        for name in in_order(base):
            if base[name].size >= below:
                alone[name] = [name]
            else:
                groups.setdefault((dtype_name(base[name]), kind(name)), []).append(name)
        numbers = {name: number for number, names in enumerate(groups.values()) for name in names}
        small = {name: numbers[name] for name in in_order(numbers)}
        return cls(below, alone | {names[0]: names for names in groups.values()}, small)

    @property
    def layout(self) -> tuple[int, list[int]]:
        """What `pack` takes."""
        return self.below, list(self.small.values())

    def joined(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each unit's elements, of those units whose tensors are there; no copy of tensors by themselves."""
        return {
            unit: _concatenated([tensors[name] for name in names]) if unit in self.small else tensors[unit]
            for unit, names in self.members.items()
            if unit in tensors
        }

    def apart(self, units: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Return the tensors of units; no copy of tensors by themselves."""
        found: dict[str, Tensor] = {}
        for unit, whole in units.items():
            start = 0
            for name in self.members[unit]:
                stop = start + int(np.prod(shapes[name]))
                found[name] = section(whole, start, stop, shapes[name]) if unit in self.small else whole
                start = stop
        return found


def _concatenated(tensors: list[Tensor]) -> Tensor:
    bits = [tensor.bits if isinstance(tensor, RawTensor) else tensor for tensor in tensors]
    whole: Array = np.concatenate([np.asarray(one).reshape(-1) for one in bits])
    first = tensors[0]
    return RawTensor(first.dtype, whole) if isinstance(first, RawTensor) else whole
