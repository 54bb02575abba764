"""From keyword arguments to query parameters."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {"lam": "lambda", "rules": "rule", "names": "name"}
"""Python's names of options that the API calls otherwise."""


def query_of(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Query parameters for options, which are named as in Python or as in the API; None means not given.

    Lists become repeated parameters, a range START:STOP:STRIDE, a rule (glob, {key: value}) GLOB:KEY=VALUE.
    """
    query: list[tuple[str, str]] = []
    for option, value in options.items():
        name = _NAMES.get(option, option)
        values = value if isinstance(value, list | tuple) else [value]
        query += [(name, text) for item in values if item is not None for text in _texts(item)]
    return query


def _texts(value: object) -> list[str]:
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, range):
        return [f"{value.start}:{value.stop}:{value.step}"]
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
        glob, settings = value
        return [f"{glob}:{key}={''.join(_texts(setting))}" for key, setting in settings.items()]
    if isinstance(value, list | tuple):
        return [",".join("".join(_texts(item)) for item in value)]
    return [str(value)]
