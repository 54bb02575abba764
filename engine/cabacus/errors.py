"""Every exception that cabacus raises on purpose, drawn once.

```
CabacusError                 anything below
├── InputError               the caller's arrays or options: the message says what to change
└── FormatError              a file or bitstream that cannot be used
    ├── TruncatedError       it ends too early
    ├── CorruptError         it contradicts itself or its checksums
    ├── UnsupportedError     it is well-formed, but uses something that this version does not know
    ├── LimitError           it asks for more than the limits allow
    └── BaseMismatchError    it was made against another base
```

Instances pickle and copy with their attributes, because workers hand them to other processes.
"""

from __future__ import annotations

__all__ = [
    "BaseMismatchError",
    "CabacusError",
    "CorruptError",
    "FormatError",
    "InputError",
    "LimitError",
    "TruncatedError",
    "UnsupportedError",
]


class CabacusError(Exception):
    """Base of all errors of cabacus. `tensor` names the tensor at fault, where one is.

    >>> try:
    ...     raise CorruptError("slice 3 has another checksum", tensor="fc.weight")
    ... except CabacusError as error:
    ...     print(f"{error.tensor}: {error}")
    fc.weight: slice 3 has another checksum
    """

    def __init__(self, message: str, *, tensor: str | None = None) -> None:
        super().__init__(message)
        self.tensor = tensor


class InputError(CabacusError):
    """The caller's arrays or options cannot be used; the message names the fault and the remedy.

    `tensor` names the tensor, `field` the option, `index` the first element at fault (one integer a dimension).

    >>> raise InputError("snr_db must be finite; pass a number of decibels", field="snr_db")
    Traceback (most recent call last):
    cabacus.errors.InputError: snr_db must be finite; pass a number of decibels
    """

    def __init__(
        self,
        message: str,
        *,
        tensor: str | None = None,
        field: str | None = None,
        index: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(message, tensor=tensor)
        self.field = field
        self.index = index


class FormatError(CabacusError):
    """A file or bitstream cannot be used."""


class TruncatedError(FormatError):
    """The data ends before the last byte that it announces."""


class CorruptError(FormatError):
    """The data contradicts itself, its checksums or its specification."""


class UnsupportedError(FormatError):
    """The data is another kind of file, or uses a feature that this version does not know."""


class LimitError(FormatError):
    """The data asks for more than a limit allows.

    `limit` is the field of `cabacus.limits.Limits` to raise, if the data is trusted.
    """

    def __init__(self, message: str, *, tensor: str | None = None, limit: str | None = None) -> None:
        super().__init__(message, tensor=tensor)
        self.limit = limit


class BaseMismatchError(FormatError):
    """The data is a difference to a base, and that base is missing or another one."""
