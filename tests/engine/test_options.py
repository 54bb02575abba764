"""Options and rules: what is accepted, what is refused and by which name, and how rules merge."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from cabacus.errors import InputError
from cabacus.options import DEFAULT_SNR_DB, TARGETS, Options, Target
from cabacus.rules import parse_rules

TARGET_VALUES: dict[str, Any] = {
    "snr_db": 30,
    "bits_per_weight": 2.5,
    "ratio": 10,
    "max_bytes": 1000,
    "max_abs_error": 1e-3,
    "step": 0.01,
    "s": -4,
    "evaluate": len,
}


def test_without_options_the_defaults_hold() -> None:
    options = Options.build()
    assert options == Options()
    assert options.target == Target("snr_db", DEFAULT_SNR_DB, chosen=False)
    assert options == Options.build(snr_db=None, lam=None, rules=())
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize("name", TARGETS)
def test_one_target_is_taken(name: str) -> None:
    options = Options.build(**{name: TARGET_VALUES[name]}, sigma={"w": np.ones(2)})
    assert options.target == Target(name, TARGET_VALUES[name])  # type: ignore[arg-type]
    assert options.target.chosen
    assert options.target.to_json()["value"] == (None if name == "evaluate" else TARGET_VALUES[name])


def test_numpy_numbers_become_plain_ones() -> None:
    options = Options.build(snr_db=np.float32(30), threads=np.int64(2))
    assert type(options.target.value) is float
    assert type(options.threads) is int


def test_two_targets_are_refused() -> None:
    with pytest.raises(InputError, match="snr_db and ratio are both targets; pass one") as caught:
        Options.build(ratio=10, snr_db=30)
    assert caught.value.field == "ratio"


@pytest.mark.parametrize(
    ("options", "field", "remedy"),
    [
        ({"snr_db": float("nan")}, "snr_db", "finite"),
        ({"snr_db": "30"}, "snr_db", "number"),
        ({"snr_db": -1}, "snr_db", "at least 0 and at most 200"),
        ({"snr_db": True}, "snr_db", "number"),
        ({"bits_per_weight": 0}, "bits_per_weight", "above 0"),
        ({"bits_per_weight": 65}, "bits_per_weight", "at most 64"),
        ({"ratio": 0.5}, "ratio", "at least 1"),
        ({"max_bytes": 0}, "max_bytes", "from 1"),
        ({"max_bytes": 10.0}, "max_bytes", "integer"),
        ({"max_abs_error": float("inf")}, "max_abs_error", "finite"),
        ({"step": 0}, "step", "above 0"),
        ({"step": [0.1]}, "step", "number"),
        ({"s": 1.5, "sigma": {}}, "s", "integer"),
        ({"s": 3}, "sigma", "standard deviation"),
        ({"evaluate": 3}, "evaluate", "function"),
        ({"progress": 3}, "progress", "function"),
        ({"lam": -1}, "lambda", "at least 0"),
        ({"rate_weight": -1}, "rate_weight", "at least 0"),
        ({"lam": 1, "rate_weight": 1}, "rate_weight", "pass one"),
        ({"lam": 1, "lambda": 1}, "lambda", "same option"),
        ({"quantizer": "round", "lambda": 1}, "lambda", "greedy"),
        ({"quantizer": "greed"}, "quantizer", "did you mean 'greedy'"),
        ({"candidates": "none"}, "candidates", "'near' or 'all'"),
        ({"effort": "maximum"}, "effort", "'fast', 'default' or 'max'"),
        ({"distortion": "balance"}, "distortion", "did you mean 'balanced'"),
        ({"threads": 0}, "threads", "from 1"),
        ({"metadata": {"a": 1}}, "metadata", "strings"),
        ({"metadata": "a"}, "metadata", "mapping"),
        ({"snrdb": 3}, "snrdb", "did you mean 'snr_db'"),
        ({"zzz": 3}, "zzz", "pass one of snr_db"),
        ({"target": 3}, "target", "no option"),
        ({"rules": "*:keep"}, "rules", "sequence"),
        ({"rules": {"*": {}}}, "rules", "sequence"),
        ({"rules": ["keep"]}, "rules", "GLOB:KEY=VALUE"),
        ({"rules": [("*", 3)]}, "rules", "another form"),
        ({"rules": [("", {"keep": True})]}, "rules", "'\\*'"),
        ({"rules": ["*:steps=1"]}, "rules", "did you mean 'step'"),
        ({"rules": ["*:zzz=1"]}, "rules", "pass one of keep"),
        ({"rules": ["*:step=fine"]}, "rules", "step is 'fine'"),
        ({"rules": ["*:step=-1"]}, "rules", "above 0"),
        ({"rules": ["*:step"]}, "rules", "number"),
        ({"rules": ["*:keep=maybe"]}, "rules", "true or false"),
        ({"rules": ["*:axes=0,2"]}, "rules", "permutation"),
        ({"rules": ["*:axes=a"]}, "rules", "integer"),
        ({"rules": ["*:n=0"]}, "rules", "from 1 to 32"),
        ({"rules": ["*:context=rows"]}, "rules", "did you mean 'row'"),
        ({"rules": ["*:context=256"]}, "rules", "255"),
        ({"rules": ["*:remainder=huffman"]}, "rules", "'exp_golomb' or 'fixed'"),
        ({"rules": [("*", {"keep": True, "code": True})]}, "rules", "both keep and code"),
        ({"rules": [("*", {"lambda": 1, "rate_weight": 1})]}, "rules", "both lambda and rate_weight"),
    ],
)
def test_bad_options_are_refused_by_name_with_a_remedy(options: dict[str, Any], field: str, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy) as caught:
        Options.build(**options)
    assert caught.value.field == field


def test_lambda_is_spelt_either_way() -> None:
    assert Options.build(lam=0.5) == Options.build(**{"lambda": 0.5})
    assert parse_rules([("*", {"lam": 0.5})]) == parse_rules(["*:lambda=0.5"])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("*:keep", ("*", {"keep": True})),
        ("*.bias:keep=false", ("*.bias", {"keep": False})),
        ("conv/weights:0:step=1e-2", ("conv/weights:0", {"step": 0.01})),
        ("layer[0-3]*:n=4", ("layer[0-3]*", {"n": 4})),
        ("*:axes=1,0,2", ("*", {"axes": (1, 0, 2)})),
        ("*:context=row_column", ("*", {"context": 3})),
        ("*:context=7", ("*", {"context": 7})),
        ("*:quantizer=trellis", ("*", {"quantizer": "trellis"})),
        ("*:snr_db=30", ("*", {"snr_db": 30.0})),
        ("*:code=1", ("*", {"code": True})),
    ],
)
def test_rules_are_read_from_text(text: str, parsed: tuple[str, dict[str, Any]]) -> None:
    assert parse_rules([text]) == (parsed,)


def test_rules_from_json_are_taken_as_lists() -> None:
    assert parse_rules([["*", {"axes": [1, 0]}]]) == (("*", {"axes": (1, 0)}),)


def test_the_last_matching_rule_wins_option_by_option() -> None:
    options = Options.build(rules=["*:step=0.1", "*:n=4", "fc*:step=0.2", "conv*:step=0.3"])
    assert options.rule_for("fc1.weight") == {"n": 4, "step": 0.2}
    assert options.rule_for("conv.weight") == {"n": 4, "step": 0.3}
    assert Options().rule_for("fc1.weight") == {}


@pytest.mark.parametrize(
    ("rules", "merged"),
    [
        (["*:keep", "fc*:code"], {"code": True}),
        (["*:step=0.1", "fc*:snr_db=30"], {"snr_db": 30.0}),
        (["*:lambda=1", "*:rate_weight=2"], {"rate_weight": 2.0}),
    ],
)
def test_a_later_rule_replaces_what_says_the_same_otherwise(rules: list[str], merged: dict[str, Any]) -> None:
    assert Options.build(rules=rules).rule_for("fc.weight") == merged


def test_globs_respect_case() -> None:
    assert Options.build(rules=["FC*:keep"]).rule_for("fc.weight") == {}


def test_rules_that_match_nothing_are_refused_when_the_names_are_known() -> None:
    options = Options.build(rules=["fc*:keep", "cnov*:keep"])
    options.check_names(["fc1", "cnov2"])
    with pytest.raises(InputError, match=r"'cnov\*' \(did you mean 'conv2'\?\)") as caught:
        options.check_names(["fc1", "conv2"])
    assert caught.value.field == "rules"
