"""Rules: options for the tensors whose name matches a glob. The last rule that matches wins, option by option."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypedDict, cast

from cabacus import checks
from cabacus.errors import InputError

__all__ = ["CONTEXT_SETS", "EXCLUSIVE", "MAX_FLAGS", "ParsedRule", "Rule", "merge_rules", "parse_rules"]

CONTEXT_SETS = {"paper": 0, "row": 1, "column": 2, "row_column": 3}
"""Names of the context sets and their ids in the file format."""
MAX_FLAGS = 32
"""The most AbsGr flags that a rule may ask for."""
EXCLUSIVE = (("keep", "code"), ("step", "snr_db"), ("lam", "rate_weight"))
"""Pairs that say the same thing twice: not both in one rule, and a later one replaces an earlier one."""


class Rule(TypedDict, total=False):
    """The options that rules set for one tensor. What is absent, the model's options decide."""

    keep: bool
    """Store exactly."""
    code: bool
    """Quantize, although the default is to keep (1-D tensors, for example)."""
    step: float
    """The quantization step."""
    snr_db: float
    """The signal-to-noise ratio to reach, in decibels."""
    quantizer: str
    candidates: str
    axes: tuple[int, ...]
    """Permutation of the axes that gives the scan; the first axis then counts rows."""
    lam: float
    """Lambda of eq. 1; `lambda` in text and JSON."""
    rate_weight: float
    n: int
    """Number of AbsGr flags."""
    remainder: str
    """Code of what the flags leave over."""
    context: int
    """Id of the context set."""


ParsedRule: TypeAlias = tuple[str, Rule]


def parse_rules(rules: Iterable[object]) -> tuple[ParsedRule, ...]:
    """Return rules as validated (glob, options) pairs.

    Each is a pair (glob, {option: value}) or a string 'GLOB:KEY=VALUE'; the glob may itself contain colons, and
    'GLOB:KEY' stands for true. Raises InputError with the field "rules".

    >>> parse_rules(["*.bias:keep", ("fc*", {"step": 0.01, "n": 4})])
    (('*.bias', {'keep': True}), ('fc*', {'step': 0.01, 'n': 4}))
    """
    if isinstance(rules, str | bytes | Mapping) or not isinstance(rules, Iterable):
        raise InputError("rules is not a sequence; pass [(glob, {option: value}), ...]", field="rules")
    return tuple(_parse_text(rule) if isinstance(rule, str) else _parse_pair(rule) for rule in rules)


def merge_rules(rules: Iterable[ParsedRule], name: str) -> Rule:
    """Return what the rules say together about the tensor `name`.

    >>> merge_rules(parse_rules(["*:step=0.1", "*:n=4", "fc*:step=0.2"]), "fc1.weight")
    {'n': 4, 'step': 0.2}
    """
    merged: dict[str, Any] = {}
    for glob, options in rules:
        if fnmatchcase(name, glob):
            for key, value in options.items():
                for pair in EXCLUSIVE:
                    if key in pair:
                        for other in pair:
                            merged.pop(other, None)
                merged[key] = value
    return cast(Rule, merged)


def _parse_text(text: str) -> ParsedRule:
    match = re.fullmatch(r"(?P<glob>.+):(?P<key>[A-Za-z_]+)(=(?P<value>[^:]*))?", text, re.DOTALL)
    if match is None:
        raise InputError(f"rule {text!r} has another form; pass 'GLOB:KEY=VALUE'", field="rules")
    key = _key(match["key"])
    value = _READERS[key](match["value"]) if match["value"] is not None else True
    return _parse_pair((match["glob"], {key: value}))


def _parse_pair(rule: object) -> ParsedRule:
    match rule:
        case (str(glob), Mapping() as options):
            pass
        case _:
            raise InputError(f"rule {rule!r} has another form; pass (glob, {{option: value}})", field="rules")
    if not glob:
        raise InputError("a rule has an empty glob; pass '*' to match every tensor", field="rules")
    parsed: dict[str, Any] = {}
    for name, value in options.items():
        key = _key(name)
        try:
            parsed[key] = _CHECKS[key](value)
        except InputError as error:
            raise InputError(f"rule for {glob!r}: {error}", field="rules") from None
    for one, other in EXCLUSIVE:
        if one in parsed and other in parsed:
            raise InputError(f"rule for {glob!r} has both {_shown(one)} and {_shown(other)}; pass one", field="rules")
    return glob, cast(Rule, parsed)


def _key(name: object) -> str:
    """The option's name in Rule, from its name in text or in Python."""
    key = "lam" if name == "lambda" else name
    if isinstance(key, str) and key in _CHECKS:
        return key
    known = [_shown(word) for word in _CHECKS]
    hint = checks.near(name, known) or "; pass one of " + ", ".join(known)
    raise InputError(f"rules have no option {name!r}{hint}", field="rules")


def _shown(key: str) -> str:
    return "lambda" if key == "lam" else key


def _axes(value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple) and value:
        axes = tuple(checks.integer(axis, "axes", low=0, high=31) for axis in value)
        if sorted(axes) == list(range(len(axes))):
            return axes
    raise checks.refusal(value, "axes", "a permutation of the axes such as [1, 0]")


def _context(value: object) -> int:
    if isinstance(value, str):
        return CONTEXT_SETS[checks.choice(value, "context", CONTEXT_SETS)]
    return checks.integer(value, "context", low=0, high=255)


_CHECKS: dict[str, Callable[[object], Any]] = {
    "keep": lambda value: checks.flag(value, "keep"),
    "code": lambda value: checks.flag(value, "code"),
    "step": lambda value: checks.number(value, "step", above=True, high=1e38),
    "snr_db": lambda value: checks.number(value, "snr_db", high=200),
    "quantizer": lambda value: checks.choice(value, "quantizer", ("auto", "round", "greedy", "trellis")),
    "candidates": lambda value: checks.choice(value, "candidates", ("near", "all")),
    "axes": _axes,
    "lam": lambda value: checks.number(value, "lambda"),
    "rate_weight": lambda value: checks.number(value, "rate_weight"),
    "n": lambda value: checks.integer(value, "n", low=1, high=MAX_FLAGS),
    "remainder": lambda value: checks.choice(value, "remainder", ("exp_golomb", "fixed")),
    "context": _context,
}


def _read_number(text: str) -> object:
    """The number that the text spells, else the text itself, which the check then refuses."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _read_flag(text: str) -> object:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)


def _read_axes(text: str) -> object:
    return [_read_number(part) for part in text.split(",")]


_READERS: dict[str, Callable[[str], object]] = dict.fromkeys(_CHECKS, _read_number) | {
    "keep": _read_flag,
    "code": _read_flag,
    "quantizer": str,
    "candidates": str,
    "remainder": str,
    "axes": _read_axes,
}
"""How the text of a value is read, by option. A context is a number or a name."""
