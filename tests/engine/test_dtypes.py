"""Element types: the pinned table, layouts of arrays, exact numbers both ways, and the typed refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cabacus import dtypes
from cabacus.dtypes import RawTensor, Tensor, as_bytes, as_tensor, cast_from_float, from_bytes, to_float
from cabacus.errors import CorruptError, InputError, TruncatedError, UnsupportedError

NATIVE = [dtype.name for dtype in dtypes.DTYPES if dtype.native]
FOREIGN = [dtype.name for dtype in dtypes.DTYPES if not dtype.native]


def foreign(name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def test_the_ids_of_the_file_format_are_pinned() -> None:
    assert {dtype.id: dtype.name for dtype in dtypes.DTYPES} == {
        1: "bool",
        2: "int8",
        3: "uint8",
        4: "int16",
        5: "uint16",
        6: "int32",
        7: "uint32",
        8: "int64",
        9: "uint64",
        16: "float16",
        17: "bfloat16",
        18: "float32",
        19: "float64",
        24: "complex64",
        25: "complex128",
        32: "float8_e4m3fn",
        33: "float8_e5m2",
        34: "float8_e4m3fnuz",
        35: "float8_e5m2fnuz",
        36: "float8_e8m0fnu",
        37: "float8_e4m3",
        38: "float8_e3m4",
        39: "float8_e4m3b11fnuz",
    }
    assert not any(48 <= dtype.id < 64 for dtype in dtypes.DTYPES)


@pytest.mark.parametrize("name", FOREIGN)
def test_item_sizes_agree_with_ml_dtypes(name: str) -> None:
    assert dtypes.BY_NAME[name].itemsize == foreign(name).itemsize
    assert dtypes.dtype_name(np.zeros(1, foreign(name))) == name


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_bytes_survive_in_every_layout(data: st.DataObject) -> None:
    dtype = data.draw(
        st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
            hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
        )
    )
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
    if array.ndim:
        array = data.draw(st.sampled_from([array, array.T, array[::-1], np.asfortranarray(array), array[..., ::2]]))
    name = dtypes.dtype_name(array)
    raw = as_bytes(array)
    assert raw.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes(order="C")
    back = from_bytes(raw, name, array.shape)
    assert isinstance(back, np.ndarray)
    assert back.shape == array.shape
    assert back.tobytes() == np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    native = dtypes.canonical(array)
    assert native.shape == array.shape
    assert native.dtype.isnative
    assert native.flags.c_contiguous
    assert native.flags.aligned


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_types_go_through_bytes_and_numbers(name: str) -> None:
    bits = np.arange(24, dtype=dtypes.BY_NAME[name].storage).reshape(4, 6)
    array = bits.view(foreign(name))
    raw = RawTensor(name, bits)
    for layout in (np.s_[:], np.s_[::-1, ::2]):
        flipped = RawTensor(name, bits[layout])
        assert (
            as_bytes(array[layout]).tobytes()
            == as_bytes(flipped).tobytes()
            == bits[layout].astype(bits.dtype).tobytes()
        )
        assert np.array_equal(to_float(array[layout]), array[layout].astype(np.float32))
        assert np.array_equal(to_float(flipped), array[layout].astype(np.float32))
    back = from_bytes(as_bytes(raw), name, (4, 6))
    assert isinstance(back, np.ndarray)
    assert back.dtype == foreign(name)
    assert np.array_equal(np.asarray(raw), array.astype(np.float32))
    assert (raw.dtype, raw.shape, raw.ndim, raw.size, raw.nbytes) == (name, (4, 6), 2, 24, bits.nbytes)


def test_views_are_given_where_nothing_must_move() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(as_bytes(array), array)
    assert np.shares_memory(to_float(array), array)
    assert np.shares_memory(dtypes.canonical(array), array)
    data = bytes(24)
    view = from_bytes(data, "float32", (2, 3))
    assert isinstance(view, np.ndarray)
    assert not view.flags.writeable
    assert not view.flags.owndata


def test_unaligned_data_is_a_view_until_numbers_are_asked_for() -> None:
    values = np.arange(4, dtype=np.float32)
    view = from_bytes(memoryview(b"x" + values.tobytes())[1:], "float32", (4,))
    assert isinstance(view, np.ndarray)
    for aligned in (to_float(view), dtypes.canonical(view)):
        assert aligned.flags.aligned
        assert np.array_equal(aligned, values)


def test_wrong_amounts_of_data_are_told_apart() -> None:
    with pytest.raises(TruncatedError, match=r"'w' has 7 bytes of data instead of 8"):
        from_bytes(bytes(7), "float32", (2,), tensor="w")
    with pytest.raises(CorruptError, match="9 bytes"):
        from_bytes(bytes(9), "float32", (2,))
    with pytest.raises(CorruptError, match="neither 0 nor 1"):
        from_bytes(b"\x00\x02", "bool", (2,))
    with pytest.raises(UnsupportedError, match="int4"):
        from_bytes(b"\x00", "int4", (2,))


def test_bools_are_written_as_0_and_1() -> None:
    assert as_bytes(np.array([0, 1, 7], np.uint8).view(bool)).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (np.array([object()]), "numbers"),
        (np.array(["text"]), "cast"),
        (np.array(["2020-01-01"], "M8[D]"), "cast"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), "each field"),
        (np.zeros(2, np.longdouble), "cast"),
        (np.zeros(2, foreign("int4")), ""),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "filled"),
        ([1.0, 2.0], "NumPy array"),
        (None, "NumPy array"),
    ],
)
def test_other_types_are_refused_by_name(value: object, remedy: str) -> None:
    with pytest.raises(InputError, match=r"'fc\.weight'") as caught:
        as_tensor(value, tensor="fc.weight")
    assert caught.value.tensor == "fc.weight"
    assert remedy in str(caught.value)


def test_objects_that_convert_themselves_are_taken() -> None:
    class Parameter:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.ones(2, np.float32)

    class OnDevice:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise TypeError("copy it to the host first")

    taken = as_tensor(Parameter())
    assert isinstance(taken, np.ndarray)
    assert taken.dtype == np.float32
    with pytest.raises(InputError, match="copy it to the host first"):
        as_tensor(OnDevice())


@pytest.mark.parametrize("name", NATIVE)
def test_numbers_are_exact(name: str) -> None:
    if name.startswith("complex"):
        with pytest.raises(InputError, match="complex"):
            to_float(np.zeros(2, name))
        return
    if dtypes.BY_NAME[name].kind in ("int", "uint") and dtypes.BY_NAME[name].itemsize < 8:
        array = np.array([np.iinfo(name).min, 0, np.iinfo(name).max], name)
    else:
        array = np.array([0, 1, 1], name)
    for layout in (array, array[::-1], array.astype(array.dtype.newbyteorder(">"))):
        values = to_float(layout)
        assert values.dtype.name in ("float32", "float64")
        assert values.dtype.isnative
        assert [int(value) for value in values] == [int(value) for value in layout]
        assert np.array_equal(np.asarray(cast_from_float(values, name)), layout)


def test_integers_that_a_float_cannot_hold_are_refused() -> None:
    with pytest.raises(InputError, match=r"2\^53"):
        to_float(np.array([2**53 + 1], np.int64), tensor="ids")
    assert to_float(np.array([2**53], np.uint64))[0] == 2**53


@pytest.mark.parametrize("name", [name for name in NATIVE if "int" in name])
def test_casts_to_integers_stop_at_their_limits(name: str) -> None:
    low, high = int(np.iinfo(name).min), int(np.iinfo(name).max)
    with np.errstate(all="raise"):
        got = cast_from_float(np.array([-np.inf, -1e30, 0.5, 1.5, 1e30, np.inf]), name)
    assert isinstance(got, np.ndarray)
    assert [int(value) for value in got] == [low, low, 0, 2, high, high]
    with pytest.raises(InputError, match="NaN"):
        cast_from_float(np.array([np.nan]), name)


def test_casts_to_float16_round_once_and_saturate_on_request() -> None:
    values = np.array([1 + 2**-11 + 2**-40, 1e9, -1e9, np.inf])
    got = cast_from_float(values, "float16")
    assert isinstance(got, np.ndarray)
    assert got.tolist() == [1 + 2**-10, np.inf, -np.inf, np.inf]
    kept = cast_from_float(values, "float16", saturate=True)
    assert isinstance(kept, np.ndarray)
    assert kept.tolist()[1:] == [65504.0, -65504.0, np.inf]


def test_raw_tensors_refuse_what_numpy_has() -> None:
    with pytest.raises(InputError, match="float32"):
        RawTensor("float32", np.zeros(2, np.float32))
    with pytest.raises(InputError, match="uint16"):
        RawTensor("bfloat16", np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="copy"):
        RawTensor("bfloat16", np.zeros(2, np.uint16)).__array__(copy=False)


WITHOUT_ML_DTYPES = """
import io, sys
sys.modules["ml_dtypes"] = None
import numpy as np
from cabacus import dtypes, files
tensor = dtypes.cast_from_float(np.array([[1.0, -2.0]]), "bfloat16")
assert isinstance(tensor, dtypes.RawTensor), tensor
byte = dtypes.cast_from_float(np.array([0.5]), "float8_e3m4")
for kind, tensors in (("safetensors", {"b": tensor}), ("npz", {"b": tensor, "e": byte})):
    stream = io.BytesIO()
    files.write_to(stream, tensors, kind=kind)
    back = files.read(stream.getvalue())
    assert [type(t) for t in back.values()] == [dtypes.RawTensor] * len(tensors)
    assert np.asarray(back["b"]).tolist() == [[1.0, -2.0]]
    assert all(np.array_equal(back[n].bits, tensors[n].bits) for n in tensors)
print("ok")
"""


def test_without_ml_dtypes_tensors_are_raw_and_survive_files() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_ML_DTYPES], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_importing_the_engine_does_not_import_ml_dtypes() -> None:
    code = "import sys, cabacus.files; sys.exit('ml_dtypes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_types_of_results_are_as_declared() -> None:
    results: list[Tensor] = [cast_from_float(np.ones(1), name) for name in FOREIGN]
    assert [str(result.dtype) for result in results] == FOREIGN
