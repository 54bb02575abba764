"""Tensors: the value that files are read into and written from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cabacus import checks
from cabacus.dtypes import Tensor, as_tensor
from cabacus.errors import InputError

__all__ = ["Tensors"]


class Tensors(dict[str, Tensor]):
    """A dict of tensors by name, in the order of the file, with the file's `metadata`.

    >>> tensors = Tensors({"bias": np.zeros(3, np.float32)}, metadata={"format": "pt"})
    >>> tensors["bias"].shape, tensors.metadata
    ((3,), {'format': 'pt'})
    """

    metadata: dict[str, str]

    def __init__(
        self,
        tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(tensors)
        self.metadata = dict(metadata or {})

    @classmethod
    def of(cls, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Tensors:
        """Return a mapping of names to arrays as Tensors, checked; nothing is copied.

        Without `metadata`, that of `tensors` stays, where it has one. Raises InputError for names that are no UTF-8
        strings and for values that are no tensors.
        """
        if not isinstance(tensors, Mapping):
            raise InputError(f"the tensors are a {type(tensors).__name__}; pass a mapping of names to arrays")
        if metadata is None:
            metadata = tensors.metadata if isinstance(tensors, Tensors) else {}
        result = cls(metadata=checks.strings(metadata, "metadata"))
        for name, value in tensors.items():
            if not isinstance(name, str) or not checks.encodable(name):
                raise InputError(f"{name!r} cannot name a tensor; pass a string that UTF-8 can hold", tensor=str(name))
            result[name] = as_tensor(value, tensor=name)
        return result

    def __repr__(self) -> str:
        return f"Tensors({dict.__repr__(self)}, metadata={self.metadata!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self.metadata)
