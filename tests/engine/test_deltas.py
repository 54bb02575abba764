"""Differences to a base: smaller where the base is near, refused without it, harmless where it is of no use."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import cabacus
from cabacus.dtypes import as_bytes
from cabacus.errors import BaseMismatchError, InputError


def weights(*shape: int, seed: int = 0, scale: float = 0.05) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


BASE: dict[str, Any] = {"w": weights(120, 100), "v": weights(40, 50, seed=1), "b": weights(100, seed=2)}
NEXT: dict[str, Any] = {
    "w": BASE["w"] + weights(120, 100, seed=3, scale=0.002),
    "v": BASE["v"].copy(),
    "b": BASE["b"].copy(),
}


@pytest.fixture(scope="module")
def update() -> cabacus.Compressed:
    return cabacus.compress(NEXT, snr_db=35, base=BASE)


def error(before: Any, after: Any) -> float:
    return float(np.sum((np.asarray(before, np.float64) - np.asarray(after, np.float64)) ** 2))


def test_a_difference_is_as_good_and_smaller(update: cabacus.Compressed) -> None:
    whole = cabacus.compress(NEXT, snr_db=35)
    assert len(update.data) < len(whole.data) / 2
    assert 35 <= update.report.snr_db <= 35.1
    decoded = cabacus.decompress(update.data, base=BASE)
    assert error(NEXT["w"], decoded["w"]) == pytest.approx(update.report.tensors[0].mse * 12000)
    for name in ("v", "b"):
        np.testing.assert_array_equal(decoded[name], NEXT[name])
    assert all(row.bytes < 40 for row in update.report.tensors[1:])
    assert [row.delta for row in cabacus.inspect(update.data).tensors] == [True, True, True]


def test_the_base_may_be_a_file_of_either_kind(update: cabacus.Compressed, tmp_path: Any) -> None:
    cabacus.write(tmp_path / "base.safetensors", BASE)
    packed = cabacus.compress(BASE, rules=["*:keep"]).data
    expected = cabacus.decompress(update.data, base=BASE)
    for base in (tmp_path / "base.safetensors", packed):
        assert cabacus.compress(NEXT, snr_db=35, base=base).data == update.data
        decoded = cabacus.decompress(update.data, base=base)
        assert all(np.array_equal(as_bytes(decoded[name]), as_bytes(expected[name])) for name in NEXT)


def test_another_base_or_none_is_refused(update: cabacus.Compressed) -> None:
    digest = cabacus.digest(BASE).hex()
    assert cabacus.inspect(update.data).base == digest
    with pytest.raises(BaseMismatchError, match=digest[:8]):
        cabacus.decompress(update.data)
    for wrong in (
        BASE | {"w": BASE["w"] + 1},
        {name: BASE[name] for name in ("w", "v")},
        BASE | {"b": BASE["b"].reshape(10, 10)},
    ):
        with pytest.raises(BaseMismatchError):
            cabacus.decompress(update.data, base=wrong)
        with pytest.raises(BaseMismatchError):
            cabacus.open(update.data, base=wrong).tensor("w")


def test_the_digest_is_of_values_not_of_order_or_layout() -> None:
    turned = {name: np.asfortranarray(BASE[name]).astype(">f4") for name in reversed(BASE)}
    assert cabacus.digest(turned) == cabacus.digest(BASE)


def test_rows_and_levels_of_a_difference(update: cabacus.Compressed) -> None:
    archive = cabacus.open(update.data, base=BASE)
    np.testing.assert_array_equal(archive.rows("w", 5, 9), np.asarray(archive.tensor("w"))[5:9])
    levels, step = archive.levels("w")
    np.testing.assert_array_equal(archive.tensor("w"), (BASE["w"] + levels * np.float64(step)).astype(np.float32))


def test_a_difference_is_verified_without_its_base(update: cabacus.Compressed) -> None:
    assert cabacus.verify(update.data).ok
    assert cabacus.verify(update.data, NEXT, base=BASE).ok
    compared = cabacus.verify(update.data, NEXT)
    assert not compared.ok
    assert "base" in (compared.tensors[0].error or "")


def test_a_base_that_is_farther_than_zero_is_not_used() -> None:
    compressed = cabacus.compress(NEXT, snr_db=30, base={"w": BASE["w"] * -30})
    assert cabacus.open(compressed.data).base is None
    assert compressed.data == cabacus.compress(NEXT, snr_db=30).data
    assert any("base" in note for note in compressed.report.notes)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float64])
def test_differences_of_other_types_are_summed_once(dtype: Any) -> None:
    base, changed = ({"w": tensors["w"][:60, :70].astype(dtype)} for tensors in (BASE, NEXT))
    compressed = cabacus.compress(changed, step=0.004, base=base, rules=[("w", {"axes": [1, 0]})])
    archive = cabacus.open(compressed.data, base=base)
    if archive.info("w").coding == "levels":
        levels, step = archive.levels("w")
        expected = (base["w"].astype(np.float64) + levels * np.float64(step)).astype(dtype)
        np.testing.assert_array_equal(as_bytes(archive.tensor("w")), as_bytes(expected))
    assert compressed.report.tensors[0].mse == pytest.approx(error(changed["w"], archive.tensor("w")) / 4200)


def test_negative_zeros_and_nan_are_not_trusted_to_a_sum() -> None:
    odd = {"b": np.array([-0.0, np.nan, 1.0, np.inf], np.float32)}
    compressed = cabacus.compress(odd, base=odd)
    np.testing.assert_array_equal(as_bytes(cabacus.decompress(compressed.data, base=odd)["b"]), as_bytes(odd["b"]))


def test_a_base_that_is_not_finite_is_passed_over() -> None:
    base = {"w": np.full((120, 100), np.nan, np.float32)}
    compressed = cabacus.compress({"w": NEXT["w"]}, snr_db=20, base=base)
    assert cabacus.open(compressed.data).base is None


def test_a_base_must_be_readable() -> None:
    with pytest.raises(InputError, match="cannot read"):
        cabacus.compress(NEXT, base=5)
