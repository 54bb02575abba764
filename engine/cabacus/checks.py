"""Validation of single option values: each function returns the value in its plain type or raises InputError.

`field` is the option's name; the message says what was given and what to give instead.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

from cabacus.errors import InputError

__all__ = ["choice", "flag", "integer", "near", "number", "refusal", "strings"]


def number(value: object, field: str, *, low: float = 0.0, high: float = math.inf, above: bool = False) -> float:
    """Return a finite number in [low, high], or in (low, high] with `above`.

    >>> number(30, "snr_db")
    30.0
    """
    interval = f"{'above' if above else 'of at least'} {low:g}"
    interval += "" if high == math.inf else f" and at most {high:g}"
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        raise refusal(value, field, f"a number {interval}")
    result = float(value)
    if not math.isfinite(result) or result > high or result < low or (above and result == low):
        raise refusal(value, field, f"a finite number {interval}")
    return result


def integer(value: object, field: str, *, low: int, high: int) -> int:
    """Return an integer in [low, high].

    >>> integer(4, "threads", low=1, high=1024)
    4
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise refusal(value, field, f"an integer from {low} to {high}")
    result = operator.index(value)
    if not low <= result <= high:
        raise refusal(value, field, f"an integer from {low} to {high}")
    return result


def flag(value: object, field: str) -> bool:
    """Return a truth value: True or False, nothing that merely counts as one.

    >>> flag(1, "keep")
    Traceback (most recent call last):
    cabacus.errors.InputError: keep is 1; pass true or false
    """
    if not isinstance(value, bool):
        raise refusal(value, field, "true or false")
    return value


def choice(value: object, field: str, allowed: Iterable[str]) -> str:
    """Return one of the allowed words.

    >>> choice("tellis", "quantizer", ("round", "trellis"))
    Traceback (most recent call last):
    cabacus.errors.InputError: quantizer is 'tellis'; pass 'round' or 'trellis' (did you mean 'trellis'?)
    """
    words = list(allowed)
    if isinstance(value, str) and value in words:
        return value
    listed = " or ".join(filter(None, [", ".join(map(repr, words[:-1])), repr(words[-1])]))
    raise refusal(value, field, listed + near(value, words))


def strings(value: Any, field: str) -> dict[str, str]:
    """Return a mapping of strings to strings as a dict, in its order; every string must be encodable as UTF-8.

    >>> strings({"format": "pt"}, "metadata")
    {'format': 'pt'}
    """
    if not hasattr(value, "items"):
        raise refusal(value, field, "a mapping of strings to strings")
    result: dict[str, str] = {}
    for key, text in value.items():
        for part in (key, text):
            if not isinstance(part, str):
                raise InputError(f"{field} has {part!r} of type {type(part).__name__}; pass strings only", field=field)
            if not encodable(part):
                raise InputError(f"{field} has {part!r}, which UTF-8 cannot hold; remove its surrogates", field=field)
        result[key] = text
    return result


def encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: it has no lone surrogate."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def near(value: object, words: Iterable[str]) -> str:
    """Return " (did you mean 'word'?)" if a word is near, else nothing.

    >>> near("stpe", ["step", "keep"])
    " (did you mean 'step'?)"
    """
    import difflib  # for a user's slip alone

    found = difflib.get_close_matches(value, list(words), 1) if isinstance(value, str) else []
    return f" (did you mean {found[0]!r}?)" if found else ""


def refusal(value: object, field: str, wanted: str) -> InputError:
    """Return the error that `field` is `value`, but should be what `wanted` says.

    >>> refusal(-1, "step", "a number above 0").field
    'step'
    """
    shown = repr(value)
    return InputError(f"{field} is {shown if len(shown) <= 80 else shown[:77] + '...'}; pass {wanted}", field=field)
