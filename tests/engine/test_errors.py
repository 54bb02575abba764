"""The exception tree: what derives from what, and that its errors survive the way to another process."""

from __future__ import annotations

import copy
import pickle

import pytest

from cabacus import errors

EVERY = [getattr(errors, name) for name in errors.__all__]


def test_the_tree_is_as_documented() -> None:
    assert {kind.__name__: kind.__base__.__name__ for kind in EVERY} == {
        "CabacusError": "Exception",
        "InputError": "CabacusError",
        "FormatError": "CabacusError",
        "TruncatedError": "FormatError",
        "CorruptError": "FormatError",
        "UnsupportedError": "FormatError",
        "LimitError": "FormatError",
        "BaseMismatchError": "FormatError",
    }


@pytest.mark.parametrize("kind", EVERY)
def test_errors_pickle_and_copy_with_their_attributes(kind: type[errors.CabacusError]) -> None:
    error = kind("why", tensor="fc.weight")
    if isinstance(error, errors.InputError):
        error = errors.InputError("why", tensor="fc.weight", field="step", index=(1, 2))
    if isinstance(error, errors.LimitError):
        error = errors.LimitError("why", tensor="fc.weight", limit="rank")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == "why"
        assert vars(twin) == vars(error)
        assert twin.tensor == "fc.weight"
