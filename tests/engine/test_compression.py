"""compress and back: what survives, which targets are met, what is refused and by which name."""

from __future__ import annotations

import math
import threading
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cabacus
from cabacus.dtypes import BY_NAME, DTYPES, as_bytes, to_float
from cabacus.errors import InputError

FLOATS = [dtype.name for dtype in DTYPES if dtype.kind == "float" and dtype.name != "float8_e8m0fnu"]
SHAPES = [(), (1,), (7,), (3, 0), (1, 5), (4, 6), (2, 3, 4), (1, 1, 3, 4), (2, 1, 2, 3, 1, 2)]


def weights(*shape: int, seed: int = 0, scale: float = 0.05) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).laplace(0, scale, shape).astype(np.float32)


def model() -> dict[str, Any]:
    """Tensors of the usual kinds, with 20,000 weights to quantize."""
    return {
        "conv.weight": weights(20, 5, 5, 4, seed=1),
        "fc.weight": weights(100, 180, seed=2, scale=0.01),
        "fc.bias": weights(100, seed=3),
        "steps": np.arange(4, dtype=np.int64),
    }


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and tuple(a.shape) == tuple(b.shape) and np.array_equal(as_bytes(a), as_bytes(b))


def snr_db(before: Any, after: Any) -> float:
    one, other = to_float(before).astype(np.float64), to_float(after).astype(np.float64)
    error = float(np.sum((one - other) ** 2))
    return 10 * math.log10(float(np.sum(one**2)) / error) if error else math.inf


def row(compressed: cabacus.Compressed, name: str) -> Any:
    return next(row for row in compressed.report.tensors if row.name == name)


@pytest.mark.parametrize("name", [dtype.name for dtype in DTYPES])
def test_every_type_comes_back_in_every_shape(name: str) -> None:
    dtype = BY_NAME[name]
    kind = getattr(np if dtype.native else ml_dtypes, "bool_" if name == "bool" else name)
    generator = np.random.default_rng(5)
    tensors = {str(shape): (generator.normal(0, 3, shape) + 4).astype(kind) for shape in SHAPES}
    compressed = cabacus.compress(tensors, snr_db=30)
    decoded = cabacus.decompress(compressed.data)
    assert list(decoded) == list(tensors)
    for key, tensor in tensors.items():
        assert decoded[key].dtype == tensor.dtype
        assert decoded[key].shape == tensor.shape
        if row(compressed, key).lossy:
            assert snr_db(tensor, decoded[key]) >= 12
        else:
            assert same(decoded[key], tensor)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([dtype.name for dtype in DTYPES if dtype.native and dtype.kind != "complex"]).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    )
)
def test_what_is_kept_is_kept_to_the_bit(array: npt.NDArray[Any]) -> None:
    for tensor in (array, array.T, array.astype(array.dtype.newbyteorder(">"))):
        decoded = cabacus.decompress(cabacus.compress({"t": tensor}, rules=["*:keep"]).data)
        assert same(decoded["t"], tensor.astype(tensor.dtype.newbyteorder("="), order="C"))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=6),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    st.sampled_from(["round", "greedy", "trellis"]),
)
def test_any_finite_weights_survive_with_finite_errors(array: npt.NDArray[Any], quantizer: Any) -> None:
    compressed = cabacus.compress({"t": array}, snr_db=25, quantizer=quantizer)
    decoded = cabacus.decompress(compressed.data)["t"]
    assert np.isfinite(decoded).all()
    assert compressed.report.snr_db >= 25


def test_metadata_and_odd_names_survive() -> None:
    tensors = cabacus.Tensors({"": weights(3, 4), "päß/\n": weights(2)}, {"format": "pt", "": "é"})
    assert cabacus.decompress(cabacus.compress(tensors).data).metadata == {"format": "pt", "": "é"}
    replaced = cabacus.compress(tensors, metadata={"a": "b"}).data
    assert cabacus.open(replaced).metadata == {"a": "b"}
    assert cabacus.open(replaced).keys() == ["", "päß/\n"]


def test_no_tensors_are_a_file_as_well() -> None:
    compressed = cabacus.compress({})
    assert cabacus.decompress(compressed.data) == {}
    assert compressed.report.snr_db == math.inf


def test_biases_vectors_and_integers_stay_exact() -> None:
    tensors = model() | {"row": weights(1, 300), "flags": np.array([[True, False], [True, True]])}
    compressed = cabacus.compress(tensors, snr_db=10)
    decoded = cabacus.decompress(compressed.data)
    assert [row.name for row in compressed.report.tensors if row.lossy] == ["conv.weight", "fc.weight"]
    for name in ("fc.bias", "steps", "row", "flags"):
        assert same(decoded[name], tensors[name])


@pytest.mark.parametrize("distortion", ["balanced", "absolute", "relative"])
@pytest.mark.parametrize("target", [3.0, 20.0, 45.0])
def test_an_snr_is_reached_as_the_mode_weighs_it(distortion: Any, target: float) -> None:
    tensors = model()
    compressed = cabacus.compress(tensors, snr_db=target, distortion=distortion)
    decoded = cabacus.decompress(compressed.data)
    energy = error = 0.0
    for name in ("conv.weight", "fc.weight"):
        before, after = tensors[name].astype(np.float64), decoded[name].astype(np.float64)
        mean_square = np.mean(before**2)
        eta = {"absolute": 1, "relative": 1 / mean_square, "balanced": 1 / (math.sqrt(mean_square) * before.size)}
        energy += eta[distortion] * np.sum(before**2)
        error += eta[distortion] * np.sum((before - after) ** 2)
        assert row(compressed, name).snr_db == pytest.approx(snr_db(before, after), abs=1e-9)
    reached = 10 * math.log10(energy / error)
    assert target <= reached <= target + 0.1
    assert compressed.report.snr_db == pytest.approx(reached, abs=1e-9)
    assert compressed.report.target.value == target


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_an_snr_holds_for_values_in_their_own_type(dtype: Any) -> None:
    tensors = {"w": weights(120, 100).astype(dtype)}
    compressed = cabacus.compress(tensors, snr_db=32)
    reached = snr_db(tensors["w"], cabacus.decompress(compressed.data)["w"])
    assert 32 <= reached <= 32.1
    assert compressed.report.plain_snr_db == pytest.approx(reached, abs=1e-9)


@pytest.mark.parametrize(
    ("target", "value"), [("max_bytes", 9000), ("ratio", 12.5), ("bits_per_weight", 2.0), ("bits_per_weight", 12.0)]
)
def test_the_file_fits_its_budget_and_fills_it(target: str, value: float) -> None:
    tensors = model()
    compressed = cabacus.compress(tensors, **{target: value})
    count = sum(array.size for array in tensors.values())
    size = sum(array.nbytes for array in tensors.values())
    budget = {"max_bytes": value, "ratio": size / value, "bits_per_weight": value * count / 8}[target]
    assert 0.95 * budget <= len(compressed.data) <= budget


@pytest.mark.parametrize("tensors", [{"w": weights(50, 50), "b": weights(1000)}, {"b": weights(1000)}])
def test_a_budget_below_what_is_exact_is_refused(tensors: Any) -> None:
    with pytest.raises(InputError, match="needed for what is exact") as caught:
        cabacus.compress(tensors, max_bytes=3000)
    assert caught.value.field == "max_bytes"


@pytest.mark.parametrize("target", [2.0, 4.0, 7.0])
def test_an_snr_is_reached_where_zeros_come_in_crowds(target: float) -> None:
    generator = np.random.default_rng(8)
    tensors = {
        "sparse": weights(150, 100) * (generator.random((150, 100)) < 0.1),
        "dense": generator.normal(0, 0.02, (128, 512)).astype(np.float32),
    }
    for distortion in ("balanced", "relative"):
        compressed = cabacus.compress(tensors, snr_db=target, distortion=distortion)  # type: ignore[arg-type]
        assert target <= compressed.report.snr_db <= target + 0.1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("quantizer", ["auto", "greedy", "trellis"])
def test_no_weight_changes_by_more_than_asked(dtype: Any, quantizer: Any) -> None:
    tensors = {"w": weights(60, 70).astype(dtype)}
    compressed = cabacus.compress(tensors, max_abs_error=0.01, quantizer=quantizer)
    error = np.abs(cabacus.decompress(compressed.data)["w"].astype(np.float64) - tensors["w"].astype(np.float64)).max()
    assert 0 < error <= 0.01
    assert row(compressed, "w").max_abs_error == error


def test_a_step_is_every_lossy_tensor_s() -> None:
    compressed = cabacus.compress(model(), step=0.02, quantizer="round")
    assert compressed.report.step == pytest.approx(0.02)
    levels, step = cabacus.open(compressed.data).levels("fc.weight")
    assert step == np.float32(0.02)
    np.testing.assert_array_equal(levels, np.rint(model()["fc.weight"] / np.float64(step)))


def test_s_gives_the_steps_of_equation_2() -> None:
    tensors = model()
    sigma = {name: np.linspace(0.01, 0.03, tensors[name].size).reshape(tensors[name].shape) for name in tensors}
    compressed = cabacus.compress(tensors, s=20, sigma=sigma)
    for name in ("conv.weight", "fc.weight"):
        twice = 2 * float(np.abs(tensors[name]).max())
        assert row(compressed, name).step == pytest.approx(twice / (twice / 0.01 + 20), rel=1e-6)
        assert row(compressed, name).s == 20
    with pytest.raises(InputError, match="leaves no positive step") as caught:
        cabacus.compress(tensors, s=-(10**6), sigma=sigma)
    assert caught.value.field == "s"


def test_sigma_spends_bits_where_it_is_small() -> None:
    array = weights(100, 100)
    sigma = np.full(array.shape, 0.1)
    sigma[:50] = 0.001
    decoded = cabacus.decompress(cabacus.compress({"w": array}, snr_db=20, sigma={"w": sigma}, rate_weight=0.5).data)
    error = (decoded["w"] - array) ** 2
    assert error[:50].mean() < error[50:].mean() / 2


@pytest.mark.parametrize("field", ["sigma", "importance"])
def test_what_says_how_weights_count_must_fit_them(field: str) -> None:
    array = weights(4, 5)
    wrong = np.ones((4, 5))
    wrong[2, 3] = -1
    for value, index in ((np.ones((5, 4)), None), (wrong, (2, 3)), (np.full((4, 5), np.inf), (0, 0))):
        with pytest.raises(InputError) as caught:
            cabacus.compress({"w": array}, **{field: {"w": value}})
        assert (caught.value.field, caught.value.tensor, caught.value.index) == (field, "w", index)
    with pytest.raises(InputError, match="did you mean 'weight'") as caught:
        cabacus.compress({"weight": array}, **{field: {"wieght": np.ones((4, 5))}})
    assert caught.value.field == field


def test_a_quantized_tensor_needs_its_sigma() -> None:
    with pytest.raises(InputError, match="sigma has no tensor 'v'") as caught:
        cabacus.compress({"w": weights(4, 5), "v": weights(4, 5, seed=9)}, sigma={"w": np.ones((4, 5))})
    assert (caught.value.field, caught.value.tensor) == ("sigma", "v")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_weights_that_are_not_finite_are_named_or_kept(value: float, dtype: Any) -> None:
    array = weights(3, 4, 5).astype(dtype)
    array[1, 2, 3] = value
    tensors = {"a": weights(4, 4), "layer.weight": array}
    with pytest.raises(InputError, match=r"layer\.weight") as caught:
        cabacus.compress(tensors, rules=[("layer*", {"axes": [2, 0, 1]})])
    assert (caught.value.tensor, caught.value.index) == ("layer.weight", (1, 2, 3))
    kept = cabacus.compress(tensors, rules=["layer.weight:keep"])
    assert same(cabacus.decompress(kept.data)["layer.weight"], array)


def test_biases_may_be_anything() -> None:
    bias = np.array([np.nan, np.inf, -0.0, 1e-45], np.float32)
    assert same(cabacus.decompress(cabacus.compress({"b": bias}).data)["b"], bias)


def test_rules_set_tensors_apart() -> None:
    tensors = model()
    compressed = cabacus.compress(
        tensors,
        snr_db=20,
        rules=[
            ("fc.*", {"snr_db": 35}),
            ("conv*", {"axes": [3, 0, 1, 2], "n": 3}),
            "fc.bias:code",
            "fc.bias:step=0.01",
        ],
    )
    decoded = cabacus.decompress(compressed.data)
    assert 35 <= snr_db(tensors["fc.weight"], decoded["fc.weight"]) <= 35.1
    assert 20 <= snr_db(tensors["conv.weight"], decoded["conv.weight"]) <= 21
    details = cabacus.open(compressed.data).info("conv.weight").details
    assert (details["axes"], details["n"]) == ("3,0,1,2", 3)
    assert row(compressed, "fc.bias").lossy
    assert row(compressed, "fc.bias").step == pytest.approx(0.01)
    assert any("rules" in note for note in compressed.report.notes)


def test_a_later_rule_keeps_what_an_earlier_one_quantizes() -> None:
    compressed = cabacus.compress(model(), rules=["*:step=0.1", "conv*:keep"])
    assert same(cabacus.decompress(compressed.data)["conv.weight"], model()["conv.weight"])
    assert row(compressed, "fc.weight").step == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("rules", "what"),
    [(["steps:code"], "always stored exactly"), ([("conv*", {"axes": [1, 0]})], "permutes 2 axes, it has 4")],
)
def test_rules_that_do_not_fit_are_refused(rules: Any, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        cabacus.compress(model(), rules=rules)
    assert caught.value.field == "rules"


def test_tied_tensors_are_stored_once() -> None:
    shared = weights(100, 120)
    tensors = {"embedding": shared, "head": shared, "copy": shared.copy(), "other": weights(100, 120, seed=4)}
    compressed = cabacus.compress(tensors, snr_db=30)
    assert [row.coding for row in compressed.report.tensors] == ["levels", "alias", "alias", "levels"]
    assert row(compressed, "head").bytes < 40
    assert row(compressed, "head").snr_db == row(compressed, "embedding").snr_db
    decoded = cabacus.decompress(compressed.data)
    assert same(decoded["embedding"], decoded["head"])
    assert decoded["embedding"] is not decoded["head"]
    apart = cabacus.compress(tensors, snr_db=30, rules=["head:keep"])
    assert same(cabacus.decompress(apart.data)["head"], shared)


def test_what_is_cheap_to_store_exactly_is_exact() -> None:
    few = np.random.default_rng(0).choice(np.array([-0.31, 0.0, 0.27, 0.9], np.float32), (100, 200))
    tensors = {"few": few, "zeros": np.zeros((50, 60), np.float32), "labels": np.full((30, 40), 7, np.int64)}
    compressed = cabacus.compress(tensors, snr_db=60)
    assert [row.coding for row in compressed.report.tensors][:2] == ["codebook", "zero"]
    assert row(compressed, "few").bytes < few.size / 3
    assert row(compressed, "labels").bytes < 100
    decoded = cabacus.decompress(compressed.data)
    assert all(same(decoded[name], tensors[name]) for name in tensors)


def test_greedy_is_never_larger_than_rounding() -> None:
    for seed in range(3):
        tensors = {"w": weights(64, 90, seed=seed)}
        for target in (8, 30):
            rounded = len(cabacus.compress(tensors, snr_db=target, quantizer="round").data)
            assert len(cabacus.compress(tensors, snr_db=target).data) <= rounded * 1.002


def test_lambda_and_rate_weight_are_one_trade_in_two_units() -> None:
    tensors = {"w": weights(80, 90)}
    one = cabacus.compress(tensors, step=0.02, rate_weight=0.3)
    assert one.report.lam == pytest.approx(0.3 * 0.02**2)
    assert cabacus.compress(tensors, step=0.02, lam=one.report.lam).report.bytes == pytest.approx(
        len(one.data), rel=1e-3
    )
    assert len(one.data) < len(cabacus.compress(tensors, step=0.02, rate_weight=0.0).data)


def test_the_default_says_its_target() -> None:
    report = cabacus.compress(model()).report
    assert not report.target.chosen
    assert "no target was given" in report.notes[0]
    assert report.snr_db >= report.target.value


def test_the_report_is_of_the_file() -> None:
    compressed = cabacus.compress(model(), snr_db=30)
    report = compressed.report
    assert report.bytes == len(compressed.data)
    nothing = len(cabacus.compress({}).data)
    assert sum(row.bytes for row in report.tensors) + nothing == report.bytes
    decoded = cabacus.decompress(compressed.data)
    for line in report.tensors:
        assert line.nonzero == np.count_nonzero(decoded[line.name])
    assert report.table()


def test_callbacks_judge_the_decoded_model() -> None:
    tensors = model()
    inputs = np.random.default_rng(1).normal(size=(180, 8))
    seen = []

    def accepts(candidate: cabacus.Tensors) -> bool:
        seen.append(list(candidate))
        output = candidate["fc.weight"] @ inputs
        expected = tensors["fc.weight"] @ inputs
        return bool(np.abs(output - expected).max() < 0.2)

    compressed = cabacus.compress(tensors, evaluate=accepts)
    decoded = cabacus.decompress(compressed.data)
    assert accepts(decoded)
    assert len(seen) <= 12
    assert len(compressed.data) < len(cabacus.compress(tensors, snr_db=40).data)
    scored = cabacus.compress(
        tensors, evaluate=lambda candidate: min(20.0, snr_db(tensors["fc.weight"], candidate["fc.weight"]))
    )
    assert 20 <= snr_db(tensors["fc.weight"], cabacus.decompress(scored.data)["fc.weight"]) <= 21
    with pytest.raises(InputError, match="accepts no quantization") as caught:
        cabacus.compress(tensors, evaluate=lambda candidate: False)
    assert caught.value.field == "evaluate"


def test_progress_rises_to_its_end() -> None:
    seen: list[tuple[int, int]] = []
    cabacus.compress(model(), snr_db=30, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert len({total for _, total in seen}) == 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_bytes_depend_neither_on_threads_nor_on_other_work() -> None:
    tensors = model() | {f"layer{number}": weights(40, 50, seed=number) for number in range(6)}
    found: dict[int, bytes] = {}

    def work(threads: int) -> None:
        found[threads] = cabacus.compress(tensors, snr_db=27, threads=threads).data

    workers = [threading.Thread(target=work, args=(threads,)) for threads in (1, 2, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(found.values())) == 1
    assert len(found) == 3


def test_layouts_and_sources_give_the_same_bytes(tmp_path: Any) -> None:
    tensors = model()
    expected = cabacus.compress(tensors, snr_db=30).data
    turned = tensors | {"fc.weight": np.asfortranarray(tensors["fc.weight"]).astype(">f4")}
    assert cabacus.compress(turned, snr_db=30).data == expected
    cabacus.write(tmp_path / "m.safetensors", tensors)
    compressed = cabacus.compress(tmp_path / "m.safetensors", snr_db=30)
    assert compressed.data == expected
    compressed.save(tmp_path / "m.cabac")
    assert (tmp_path / "m.cabac").read_bytes() == expected


def test_the_input_is_left_alone() -> None:
    array = weights(20, 30)
    array.flags.writeable = False
    before = array.copy()
    cabacus.compress({"w": array}, snr_db=20)
    np.testing.assert_array_equal(array, before)


def test_a_compressed_file_is_not_compressed_again() -> None:
    data = cabacus.compress({"w": weights(4, 4)}).data
    with pytest.raises(cabacus.UnsupportedError, match="decompress it first"):
        cabacus.compress(data)


def test_names_and_ranks_beyond_the_readers_limits_are_refused() -> None:
    with pytest.raises(InputError, match="longer than"):
        cabacus.compress({"x" * 5000: np.zeros(2)})
    with pytest.raises(InputError, match="dimensions"):
        cabacus.compress({"x": np.zeros((1,) * 40)})
