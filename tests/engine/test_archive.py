"""Opened archives: lazily, by tensor, by rows, as levels; and decompress into what one has."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cabacus
from cabacus import archive
from cabacus.dtypes import as_bytes
from cabacus.errors import CorruptError, FormatError, InputError, LimitError
from cabacus.files import Kind

SLICES = {"long": (6000, 400), "raw": (5000, 450)}


def weights(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).laplace(0, 0.05, shape).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    """Tensors of every coding; some of several slices."""
    generator = np.random.default_rng(1)
    shared = weights(30, 40, seed=2)
    return {
        "long": weights(*SLICES["long"]),
        "raw": generator.integers(-(1 << 62), 1 << 62, SLICES["raw"]),
        "exact": weights(2600, 900, seed=3),
        "turned": weights(20, 30, 5, seed=4),
        "axis": weights(20, 30, 5, seed=9),
        "half": weights(50, 60, seed=5).astype(np.float16),
        "few": generator.choice(np.array([0.5, -1.0, 3.25]), (40, 50)),
        "integers": generator.integers(-5, 90, (60, 7, 3)),
        "zeros": np.zeros((9, 4), np.float64),
        "pruned": weights(9000, 400, seed=7) * (generator.random((9000, 1)) < 0.5),
        "pruned.axes": (weights(50, 600, seed=8) * (generator.random(600) < 0.3)),
        "pruned.half": (weights(90, 300, seed=8) * (generator.random((90, 1)) < 0.3)).astype(np.float16),
        "pruned.integers": generator.integers(-9, 9, (120, 80)) * (generator.random((120, 1)) < 0.4),
        "tied": shared,
        "again": shared,
        "bias": weights(77, seed=6),
        "scalar": np.float32(2.5),
        "none": np.empty((0, 3), np.int16),
    }


@pytest.fixture(scope="module")
def packed(model: dict[str, Any]) -> bytes:
    rules = ["exact:keep", "few:keep", ("turned", {"axes": [0, 2, 1]}), ("axis", {"axes": [2, 0, 1]})]
    rules += [("pruned.axes", {"axes": [1, 0]})]
    return cabacus.compress(model, step=0.02, rules=rules, metadata={"a": "b"}).data


def test_an_archive_is_a_container_of_names(packed: bytes, model: dict[str, Any]) -> None:
    archive = cabacus.open(packed)
    assert list(archive) == archive.keys() == list(model)
    assert len(archive) == len(model)
    assert "bias" in archive
    assert "bais" not in archive
    assert archive.metadata == {"a": "b"}
    assert archive.base is None
    assert str(len(packed)) in repr(archive)
    codings = {name: archive.info(name).coding for name in archive}
    assert set(codings.values()) == {"levels", "raw", "float", "codebook", "zero", "alias"}
    assert archive.info("again").alias == "tied"
    gaps = {name: archive.info(name).details.get("gaps") for name in archive}
    assert {name for name, count in gaps.items() if count} == {name for name in archive if name.startswith("pruned")}


def test_levels_of_rows_that_are_left_out_are_zero(packed: bytes) -> None:
    archive = cabacus.open(packed)
    for name in ("pruned", "pruned.axes", "pruned.half", "pruned.integers"):
        levels, step = archive.levels(name)
        np.testing.assert_array_equal(
            np.multiply(levels, step).astype(archive.tensor(name).dtype), archive.tensor(name)
        )


def test_a_name_that_is_not_there_is_told_with_its_neighbour(packed: bytes) -> None:
    archive = cabacus.open(packed)
    for access in (archive.tensor, archive.info, archive.levels, lambda name: archive.rows(name, 0, 1)):
        with pytest.raises(InputError, match="did you mean 'bias'") as caught:
            access("bais")
        assert caught.value.tensor == "bais"
    with pytest.raises(InputError, match="did you mean 'half'"):
        cabacus.decompress(packed, names=["halve"])
    with pytest.raises(InputError, match="sequence of names"):
        cabacus.decompress(packed, names="half")


def test_tensors_one_by_one_are_those_of_all_at_once(packed: bytes, model: dict[str, Any]) -> None:
    archive, whole = cabacus.open(packed), cabacus.decompress(packed)
    for name, tensor in model.items():
        one = archive.tensor(name)
        assert isinstance(one, np.ndarray)
        assert (one.dtype, one.shape) == (np.asarray(tensor).dtype, np.shape(tensor))
        np.testing.assert_array_equal(as_bytes(one), as_bytes(whole[name]))
        if one.size and one.ndim:
            one[...] = 0  # its memory is its own
    np.testing.assert_array_equal(archive.tensor("bias"), model["bias"])
    assert list(cabacus.decompress(packed, names=["zeros", "bias"])) == ["zeros", "bias"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_rows_are_those_of_the_tensor(packed: bytes, model: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in model if np.ndim(model[name])]))
    count = np.shape(model[name])[0]
    start, stop = data.draw(st.tuples(*[st.integers(-count - 2, count + 2)] * 2))
    archive = cabacus.open(packed)
    np.testing.assert_array_equal(archive.rows(name, start, stop), archive.tensor(name)[start:stop])


def test_rows_and_levels_hold_no_more_than_they_show(packed: bytes, model: dict[str, Any]) -> None:
    archive = cabacus.open(packed)
    for name in (name for name in model if np.ndim(model[name])):
        rows = archive.rows(name, 0, 1)
        assert isinstance(rows, np.ndarray)
        assert rows.base is None or rows.base.nbytes == rows.nbytes, name


def test_a_scalar_has_no_rows(packed: bytes) -> None:
    with pytest.raises(InputError, match="no dimensions"):
        cabacus.open(packed).rows("scalar", 0, 1)


@pytest.mark.parametrize("name", SLICES)
def test_rows_need_no_other_slices_than_theirs(packed: bytes, name: str) -> None:
    archive = cabacus.open(packed)
    expected, last = archive.rows(name, 0, 2), SLICES[name][0]
    if name == "raw":
        place = packed.index(as_bytes(archive.rows(name, last - 1, last)).tobytes())
    else:
        assert archive.info(name).details["slices"] != 1
        place = archive.header_bytes + archive.info(name).bytes - 200  # in its last slice: it is the first tensor
    damaged = bytearray(packed)
    damaged[place] ^= 1
    archive = cabacus.open(bytes(damaged))
    np.testing.assert_array_equal(archive.rows(name, 0, 2), expected)
    for use in (archive.tensor, lambda name: archive.rows(name, last - 1, last)):
        with pytest.raises(CorruptError) as caught:
            use(name)
        assert caught.value.tensor == name


def test_levels_times_step_are_the_weights(packed: bytes, model: dict[str, Any]) -> None:
    archive = cabacus.open(packed)
    for name in ("long", "turned", "axis", "half", "tied", "again", "zeros"):
        levels, step = archive.levels(name)
        assert levels.dtype == np.int32
        product = (levels * np.float64(step)).astype(np.asarray(model[name]).dtype)
        np.testing.assert_array_equal(archive.tensor(name), product)
    levels, step = archive.levels("integers")
    assert step == 1.0
    np.testing.assert_array_equal(levels, model["integers"])
    for name in ("few", "bias"):
        with pytest.raises(InputError, match="stored exactly"):
            archive.levels(name)


def test_out_is_filled(packed: bytes, model: dict[str, Any]) -> None:
    out = {"half": np.empty((50, 60), np.float16), "turned": np.empty((30, 20, 5), np.float32).transpose(1, 0, 2)}
    decoded = cabacus.decompress(packed, names=["half", "turned", "bias"], out=out)
    assert decoded["half"] is out["half"]
    whole = cabacus.decompress(packed)
    for name, array in out.items():
        np.testing.assert_array_equal(array, whole[name])
    with pytest.raises(InputError, match="float16") as caught:
        cabacus.decompress(packed, out={"half": np.empty((50, 60), np.float32)})
    assert (caught.value.field, caught.value.tensor) == ("out", "half")


def test_any_source_opens(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.cabac"
    path.write_bytes(packed)
    expected = cabacus.open(packed).tensor("half")
    assert isinstance(expected, np.ndarray)
    with open(path, "rb") as file:
        for source in (path, str(path), bytearray(packed), memoryview(packed), io.BytesIO(packed), file):
            np.testing.assert_array_equal(np.asarray(cabacus.open(source).tensor("half")), expected)


def test_limits_hold_before_anything_is_decoded(packed: bytes) -> None:
    for limits, limit in (
        (cabacus.Limits(tensors=12), "tensors"),
        (cabacus.Limits(elements=10**6), "elements"),
        (cabacus.Limits(total_elements=10**6), "total_elements"),
        (cabacus.Limits(header_bytes=50), "header_bytes"),
        (cabacus.Limits(rank=2), "rank"),
        (cabacus.Limits(name_bytes=4), "name_bytes"),
        (cabacus.Limits(output_bytes=10**6), "output_bytes"),
    ):
        for use in (cabacus.open, cabacus.decompress, cabacus.inspect, cabacus.decode_levels):
            with pytest.raises(LimitError) as caught:
                use(packed, limits=limits)
            assert caught.value.limit == limit


def test_threads_decode_the_same(packed: bytes) -> None:
    one, many = (cabacus.decompress(packed, threads=threads) for threads in (1, 4))
    for name, tensor in one.items():
        np.testing.assert_array_equal(as_bytes(tensor), as_bytes(many[name]))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"\x93NUMPY\x01\x00", r"a file of tensors \(npy\)"),
        (b"\x80\x04pickle", "no compressed file"),
        (b"\xab", "."),
        (b"\xabCBC", "."),
    ],
)
def test_what_is_no_archive_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        cabacus.open(data)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_files_are_written_with_the_same_bytes_whole_or_tensor_by_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, whole: bool
) -> None:
    random = np.random.default_rng(4)
    model = {
        "w": random.standard_normal((40, 30)).astype(np.float32),
        "half": random.standard_normal((9, 8)).astype(np.float16),
        "n": np.arange(7),
        "brain": cabacus.read(safetensors_of_bfloat16())["b"],
    }
    data = cabacus.compress(model, step=0.01, metadata={"a": "b"}).data
    cabacus.write(tmp_path / f"expected.{kind}", cabacus.decompress(data))
    monkeypatch.setattr(archive, "WHOLE_BYTES", 1 << 20 if whole else 0)
    cabacus.open(data).save(tmp_path / f"made.{kind}")
    expected = (tmp_path / f"expected.{kind}").read_bytes()
    assert (tmp_path / f"made.{kind}").read_bytes() == expected
    stream = io.BytesIO()
    cabacus.open(data).write_to(stream, kind=kind)
    assert stream.getvalue() == expected
    cabacus.open(data).save(tmp_path / "some.npz", ["n", "w"])
    assert list(cabacus.read(tmp_path / "some.npz")) == ["n", "w"]


def safetensors_of_bfloat16() -> bytes:
    header = b'{"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + bytes([0, 64, 128, 63])


def test_a_damaged_tensor_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "WHOLE_BYTES", 0)
    data = bytearray(cabacus.compress({"w": np.random.default_rng(1).standard_normal((50, 50))}, step=0.01).data)
    data[-3] ^= 1
    with pytest.raises(CorruptError):
        cabacus.open(bytes(data)).save(tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == []
