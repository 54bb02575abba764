"""The options of compression: one frozen value, validated once, the same for Python, command line and service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias, cast, get_args

from cabacus import checks
from cabacus.errors import InputError
from cabacus.rules import ParsedRule, Rule, merge_rules, parse_rules

__all__ = [
    "DEFAULT_SNR_DB",
    "TARGETS",
    "Candidates",
    "Distortion",
    "Effort",
    "Options",
    "Quantizer",
    "Target",
    "TargetName",
]

Quantizer: TypeAlias = Literal["auto", "round", "greedy", "trellis"]
Candidates: TypeAlias = Literal["near", "all"]
Effort: TypeAlias = Literal["fast", "default", "max"]
Distortion: TypeAlias = Literal["balanced", "absolute", "relative"]
TargetName: TypeAlias = Literal[
    "snr_db", "bits_per_weight", "ratio", "max_bytes", "max_abs_error", "step", "s", "evaluate"
]

TARGETS: tuple[TargetName, ...] = get_args(TargetName)
DEFAULT_SNR_DB = 50.0
"""The target where none is given, in decibels.

At 50 the most delicate network that was measured, MobileNet-v1 0.75, keeps 85.8 of its 86.2 points on 500 images (at 48
it has 84.8, at 44 84.0), at 5.9 bits a weight."""


@dataclass(frozen=True, slots=True)
class Target:
    """What compression aims at: one of TARGETS and its value. `chosen` is False for the default.

    >>> Target("ratio", 10.0).to_json()
    {'name': 'ratio', 'value': 10.0, 'chosen': True}
    """

    name: TargetName
    value: Any
    chosen: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return {"name", "value", "chosen"}; the value of an `evaluate` callback is null."""
        return {"name": self.name, "value": None if callable(self.value) else self.value, "chosen": self.chosen}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Validated options of `compress`. Make one with `build`; the fields are as documented there.

    `sigma`, `importance` (a mapping of arrays or a path) and `base` (a path, bytes or mapping) are carried as they
    came: they are checked against the model when it is known.

    >>> Options().target.name, Options().distortion
    ('snr_db', 'balanced')
    """

    target: Target = Target("snr_db", DEFAULT_SNR_DB, chosen=False)
    sigma: Any = None
    importance: Any = None
    lam: float | None = None
    rate_weight: float | None = None
    quantizer: Quantizer = "auto"
    candidates: Candidates = "near"
    effort: Effort = "default"
    distortion: Distortion = "balanced"
    rules: tuple[ParsedRule, ...] = ()
    metadata: dict[str, str] | None = None
    base: Any = None
    threads: int | None = None
    progress: Callable[[int, int], object] | None = None

    @classmethod
    def build(cls, **options: Any) -> Options:
        """Return the options, validated; raise InputError with the option's name in `field` and the remedy.

        Takes the keyword arguments of `compress`; None means not given, and `lambda` is another name of `lam`.

        >>> Options.build(ratio=10).target
        Target(name='ratio', value=10.0, chosen=True)
        >>> Options.build(snr_db=30, max_bytes=1000)
        Traceback (most recent call last):
        cabacus.errors.InputError: snr_db and max_bytes are both targets; pass one
        """
        given = {_field(name): value for name, value in options.items() if value is not None}
        if len(given) < sum(value is not None for value in options.values()):
            raise InputError("lam and lambda are the same option; pass one", field="lambda")
        target = _target(given)
        values = {name: _CHECKS[name](value) for name, value in given.items() if name not in TARGETS}
        result = cls(**values) if target is None else cls(target=target, **values)
        _check_together(result)
        return result

    def rule_for(self, name: str) -> Rule:
        """Return what the rules say about the tensor `name`: the matching ones merged, the last one first.

        >>> Options.build(rules=["*.weight:n=4"]).rule_for("fc.weight")
        {'n': 4}
        """
        return merge_rules(self.rules, name)

    def check_names(self, names: Iterable[str]) -> None:
        """Raise InputError if a rule matches none of the tensors' names: most likely it is misspelt.

        >>> Options.build(rules=["fc1.wieght:keep"]).check_names(["fc1.weight", "fc2.weight"])
        Traceback (most recent call last):
        cabacus.errors.InputError: no tensor matches the rule 'fc1.wieght' (did you mean 'fc1.weight'?)
        """
        known = list(names)
        for glob, _ in self.rules:
            if not any(fnmatchcase(name, glob) for name in known):
                raise InputError(f"no tensor matches the rule {glob!r}{checks.near(glob, known)}", field="rules")


_FIELDS = [item.name for item in fields(Options) if item.name != "target"]


def _field(name: str) -> str:
    """The option's name in Options, from its name in Python, JSON or the command line."""
    if name == "lambda":
        return "lam"
    if name not in _FIELDS and name not in TARGETS:
        known = [*TARGETS, *("lambda" if word == "lam" else word for word in _FIELDS)]
        hint = checks.near(name, known) or "; pass one of " + ", ".join(known)
        raise InputError(f"there is no option {name!r}{hint}", field=name)
    return name


def _target(given: dict[str, Any]) -> Target | None:
    names = [name for name in TARGETS if name in given]
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)} are both targets; pass one", field=names[1])
    if not names:
        return None
    return Target(names[0], _TARGET_CHECKS[names[0]](given[names[0]]))


def _check_together(options: Options) -> None:
    if options.lam is not None and options.rate_weight is not None:
        raise InputError("lambda and rate_weight are the same trade in two units; pass one", field="rate_weight")
    if options.quantizer == "round":
        for name, value in (("lambda", options.lam), ("rate_weight", options.rate_weight)):
            if value is not None:
                raise InputError(
                    f"quantizer 'round' ignores {name}; leave one of them out, or pass quantizer='greedy'", field=name
                )
    if options.target.name == "s" and options.sigma is None:
        raise InputError(
            "s needs sigma, the standard deviation of every weight: pass a mapping or a file of arrays shaped like the "
            "weights, such as 1/sqrt(diagonal of the Fisher information), or pass step instead of s",
            field="sigma",
        )


def _callable(value: Any, field: str) -> Any:
    if not callable(value):
        raise checks.refusal(value, field, "a function")
    return value


_TARGET_CHECKS: dict[TargetName, Callable[[Any], Any]] = {
    "snr_db": lambda value: checks.number(value, "snr_db", high=200),
    "bits_per_weight": lambda value: checks.number(value, "bits_per_weight", above=True, high=64),
    "ratio": lambda value: checks.number(value, "ratio", low=1),
    "max_bytes": lambda value: checks.integer(value, "max_bytes", low=1, high=2**63 - 1),
    "max_abs_error": lambda value: checks.number(value, "max_abs_error", above=True),
    "step": lambda value: checks.number(value, "step", above=True, high=1e38),
    "s": lambda value: checks.integer(value, "s", low=-(2**31), high=2**31 - 1),
    "evaluate": lambda value: _callable(value, "evaluate"),
}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "sigma": lambda value: value,
    "importance": lambda value: value,
    "lam": lambda value: checks.number(value, "lambda"),
    "rate_weight": lambda value: checks.number(value, "rate_weight"),
    "quantizer": lambda value: cast(Quantizer, checks.choice(value, "quantizer", get_args(Quantizer))),
    "candidates": lambda value: cast(Candidates, checks.choice(value, "candidates", get_args(Candidates))),
    "effort": lambda value: cast(Effort, checks.choice(value, "effort", get_args(Effort))),
    "distortion": lambda value: cast(Distortion, checks.choice(value, "distortion", get_args(Distortion))),
    "rules": parse_rules,
    "metadata": lambda value: checks.strings(value, "metadata"),
    "base": lambda value: value,
    "threads": lambda value: checks.integer(value, "threads", low=1, high=1024),
    "progress": lambda value: _callable(value, "progress"),
}
