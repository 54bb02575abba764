"""Tensor files as their users meet them: round trips, other people's readers, pipes, laziness, atomic writing."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cabacus import files
from cabacus.dtypes import BY_NAME, BY_SAFETENSORS, DTYPES, Tensor, as_bytes, dtype_name
from cabacus.errors import InputError, LimitError, TruncatedError, UnsupportedError
from cabacus.files import Kind, Tensors
from cabacus.limits import Limits

KINDS: list[Kind] = ["safetensors", "npz", "npy"]
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def tensors_of(draw: st.DrawFn, names: list[str]) -> Tensor:
    """An array of one of the element types, any bits at all (NaN, infinities, subnormals), in any layout."""
    dtype = BY_NAME[draw(st.sampled_from(names))]
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if dtype.kind == "bool":
        array = draw(hnp.arrays(bool, shape))
    else:
        raw = draw(
            st.binary(min_size=int(np.prod(shape)) * dtype.itemsize, max_size=int(np.prod(shape)) * dtype.itemsize)
        )
        array = np.frombuffer(raw, dtype.storage).reshape(shape)
    if not dtype.native:
        return cast(Tensor, array.view(getattr(ml_dtypes, dtype.name)))
    if draw(st.booleans()):
        array = array.astype(array.dtype.newbyteorder(">"))
    return cast(Tensor, array.T if draw(st.booleans()) else array)


def assert_same(left: Any, right: Any) -> None:
    assert list(left) == list(right)
    for name in left:
        assert dtype_name(left[name]) == dtype_name(right[name])
        assert left[name].shape == right[name].shape
        assert as_bytes(left[name]).tobytes() == as_bytes(right[name]).tobytes()


def encoded(tensors: Any, metadata: dict[str, str] | None = None, kind: Kind = "safetensors") -> bytes:
    stream = io.BytesIO()
    files.write_to(stream, tensors, metadata, kind=kind)
    return stream.getvalue()


@settings(deadline=None, max_examples=100)
@given(
    tensors=st.dictionaries(
        NAMES.filter(lambda name: name != "__metadata__"),
        tensors_of([d.name for d in BY_SAFETENSORS.values()]),
        max_size=5,
    ),
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
)
def test_safetensors_round_trip(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    data = encoded(tensors, metadata)
    back = files.read(data)
    assert_same(back, tensors)
    assert list(back.metadata.items()) == list(metadata.items())
    assert encoded(back) == data
    assert len(safetensors.deserialize(data)) == len(tensors)  # type: ignore[no-untyped-call]


@settings(deadline=None, max_examples=100)
@given(
    tensors=st.dictionaries(NAMES, tensors_of([d.name for d in DTYPES]), max_size=5),
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
)
def test_npz_round_trip(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    data = encoded(tensors, metadata, "npz")
    back = files.read(data)
    assert_same(back, tensors)
    assert list(back.metadata.items()) == list(metadata.items())
    assert encoded(back, kind="npz") == data
    assert len(np.load(io.BytesIO(data))) == len(tensors)


@settings(deadline=None, max_examples=100)
@given(tensor=tensors_of([d.name for d in DTYPES if d.storage != "uint8" or d.native]))
def test_npy_round_trip(tensor: Tensor) -> None:
    assert_same(files.read(encoded({"array": tensor}, kind="npy")), {"array": tensor})


@settings(deadline=None, max_examples=100)
@given(tensor=tensors_of([d.name for d in DTYPES if d.native]), fortran=st.booleans())
def test_npy_agrees_with_numpy_both_ways(tensor: npt.NDArray[Any], fortran: bool) -> None:
    stream = io.BytesIO()
    np.save(stream, np.asarray(tensor, order="F" if fortran else "C"))
    assert_same(files.read(stream.getvalue()), {"array": tensor})
    theirs = np.load(io.BytesIO(encoded({"array": tensor}, kind="npy")), allow_pickle=False)
    assert_same({"array": theirs}, {"array": tensor})


def test_an_npy_of_bfloat16_is_read_as_numpy_writes_it() -> None:
    array = np.array([1.5, -2.0]).astype(ml_dtypes.bfloat16)
    stream = io.BytesIO()
    np.save(stream, array)
    assert_same(files.read(stream.getvalue()), {"array": array})


def test_the_reference_reads_ours_and_we_read_the_reference() -> None:
    random = np.random.default_rng(0)
    tensors = {
        name: random.integers(0, 2, (3, 5)).astype(name)
        for name in (d.name for d in BY_SAFETENSORS.values())
        if BY_NAME[name].native
    }
    theirs = safetensors.numpy.save(tensors, {"made": "by the reference"})
    back = files.read(theirs)
    assert_same(dict(sorted(back.items())), dict(sorted(tensors.items())))
    assert back.metadata == {"made": "by the reference"}
    assert encoded(back) == theirs  # the same layout, byte for byte
    ours = safetensors.numpy.load(encoded(tensors, {"made": "by us"}))
    assert_same(dict(sorted(ours.items())), dict(sorted(tensors.items())))


def test_every_tensor_of_a_safetensors_file_is_aligned_and_in_the_writers_order() -> None:
    tensors = {"b": np.ones(3, np.uint8), "a": np.ones(3, np.float64), "c": np.ones(1, np.float16)}
    back = files.read(encoded(tensors))
    assert list(back) == ["b", "a", "c"]
    assert all(cast(npt.NDArray[Any], tensor).flags.aligned for tensor in back.values())


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_written_whole_and_read_back(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"model.{kind}"
    tensors = Tensors({"array": np.arange(12.0).reshape(3, 4)}, {"format": "np"})
    files.write(path, tensors)
    back = files.read(path)
    assert_same(back, tensors)
    assert back.metadata == ({} if kind == "npy" else {"format": "np"})
    assert os.listdir(tmp_path) == [path.name]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    files.write(str(path), {"array": np.zeros(2)})  # replaces the file; what was read from it stays valid
    assert_same(back, tensors)
    assert files.read(path)["array"].shape == (2,)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"before")

    def write_half(target: Path) -> None:
        with files.atomic_writer(target) as file:
            file.write(b"half")
            raise RuntimeError("power cut")

    for target in (path, tmp_path / "new.bin"):
        with pytest.raises(RuntimeError, match="power cut"):
            write_half(target)
    assert os.listdir(tmp_path) == ["model.bin"]
    assert path.read_bytes() == b"before"


def test_links_are_followed_and_long_names_work(tmp_path: Path) -> None:
    target, link = tmp_path / ("x" * 255), tmp_path / "link"
    target.write_bytes(b"before")
    link.symlink_to(target)
    with files.atomic_writer(link) as file:
        file.write(b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"


@contextmanager
def through_a_pipe(data: bytes) -> Iterator[BinaryIO]:
    """A pipe's reading end; the other end writes `data`, until that or the reader ends."""
    reading, writing = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(writing, "wb") as pipe:
            pipe.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(reading, "rb") as pipe:
        yield pipe
    feeder.join()


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_gives_the_same(tmp_path: Path, kind: Kind) -> None:
    tensors = {"array": np.arange(100_000, dtype=np.float32)}
    data = encoded(tensors, kind=kind)
    path = tmp_path / "no suffix"
    path.write_bytes(b"skip" + data)
    zipped = tmp_path / "file.gz"
    zipped.write_bytes(gzip.compress(data))
    memory = io.BytesIO(b"skip" + data)
    memory.seek(4)
    with open(path, "rb") as file, gzip.open(zipped) as unzipped, through_a_pipe(data) as pipe:
        file.seek(4)
        for source in (data, bytearray(data), memoryview(data), memory, file, unzipped, pipe):
            assert_same(files.read(cast(files.Source, source)), tensors)
    with tempfile.NamedTemporaryFile() as named:
        named.write(data)
        named.seek(0)
        assert_same(files.read(cast(BinaryIO, named)), tensors)


@pytest.mark.parametrize("kind", KINDS)
def test_every_sink_takes_the_same(tmp_path: Path, kind: Kind) -> None:
    tensors = {"array": np.arange(200_000, dtype=np.float32)}
    reading, writing = os.pipe()
    received: list[bytes] = []

    def drain() -> None:
        with open(reading, "rb") as pipe:
            received.append(pipe.read())

    reader = threading.Thread(target=drain)
    reader.start()
    with open(writing, "wb", buffering=0) as raw:  # a raw pipe takes a part at a time
        files.write_to(cast(BinaryIO, raw), tensors, kind=kind)
        assert not raw.closed
    reader.join()
    assert_same(files.read(received[0]), tensors)


def test_a_pipe_may_not_bring_more_than_the_limit() -> None:
    data = encoded({"w": np.zeros(1 << 20, np.uint8)})
    with through_a_pipe(data) as pipe, pytest.raises(LimitError) as caught:
        files.read(pipe, limits=Limits(output_bytes=1 << 16))
    assert caught.value.limit == "output_bytes"


def test_reading_maps_the_file_instead_of_loading_it(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    size = 1 << 40  # a sparse file: a terabyte, of which a page is on disk
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        try:
            file.truncate(8 + len(header) + size)
        except OSError:
            pytest.skip("the file system has no sparse files of this size")
    tensor = files.read(path, limits=Limits(elements=size, total_elements=size))["w"]
    assert isinstance(tensor, np.ndarray)
    assert tensor.shape == (size // 4,)
    assert tensor[-1] == 0
    assert not tensor.flags.writeable


@pytest.mark.parametrize("kind", KINDS)
def test_empty_arrays_and_scalars_are_kept(kind: Kind) -> None:
    for shape in [(), (0,), (3, 0, 2), (1, 1)]:
        assert_same(files.read(encoded({"array": np.ones(shape)}, kind=kind)), {"array": np.ones(shape)})


def test_no_tensors_at_all_are_a_file_too() -> None:
    for kind in KINDS[:2]:
        assert dict(files.read(encoded({}, kind=kind))) == {}


@pytest.mark.parametrize(
    ("tensors", "kind", "remedy"),
    [
        ({"w": np.zeros(2, np.complex128)}, "safetensors", r"write \.npz"),
        ({"w": np.zeros(2, ml_dtypes.float8_e3m4)}, "safetensors", r"write \.npz"),
        ({"w": np.zeros(2, ml_dtypes.float8_e4m3fn)}, "npy", r"write \.npz or \.safetensors"),
        ({"w": np.zeros(2), "v": np.zeros(2)}, "npy", "one array"),
        ({"__metadata__": np.zeros(2)}, "safetensors", "rename"),
        ({"a\0b": np.zeros(2)}, "npz", "rename"),
        ({"\ud800": np.zeros(2)}, "safetensors", "UTF-8"),
        ({3: np.zeros(2)}, "safetensors", "string"),
        ({"w": [1, 2]}, "safetensors", "NumPy array"),
        ({"w": np.array(["x"])}, "npz", "cast"),
        ([np.zeros(2)], "npz", "mapping"),
        ({"w": np.zeros(2)}, "pt", "safetensors"),
    ],
)
def test_what_a_kind_cannot_hold_is_refused_with_a_remedy(tensors: Any, kind: Any, remedy: str) -> None:
    stream = io.BytesIO()
    with pytest.raises(InputError, match=remedy):
        files.write_to(stream, tensors, kind=kind)
    assert stream.getvalue() == b""


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, {"a": "\ud800"}, ["a"]])
def test_metadata_is_text(metadata: Any) -> None:
    with pytest.raises(InputError) as caught:
        files.write_to(io.BytesIO(), {}, metadata)
    assert caught.value.field == "metadata"


def test_too_much_metadata_for_npz_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match="safetensors"):
        files.write_to(io.BytesIO(), {}, {"note": "x" * 70_000}, kind="npz")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"end it in \.safetensors"):
        files.write(tmp_path / "model.pt", {})
    assert os.listdir(tmp_path) == []


def test_a_text_file_and_other_objects_are_no_sources() -> None:
    with pytest.raises(InputError, match="binary mode"):
        files.read(cast(Any, io.StringIO("text")))
    with pytest.raises(InputError, match="int"):
        files.read(cast(Any, 3))


def test_pickles_are_refused_with_a_word_on_conversion(tmp_path: Path) -> None:
    for protocol in (2, 3, 4, 5):
        with pytest.raises(UnsupportedError, match=r"pickle.*save_file"):
            files.read(pickle.dumps({"w": [1.0]}, protocol))
    stream = io.BytesIO()
    np.savez(stream, w=np.array([{"evil": 1}], dtype=object))
    with pytest.raises(UnsupportedError, match="pickle"):
        files.read(stream.getvalue())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"\x1f\x8b\x08\0\0\0", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"hello, world", "no tensor file"),
    ],
)
def test_other_files_are_refused_by_name(data: bytes, what: str) -> None:
    assert files.sniff(data) is None
    with pytest.raises(UnsupportedError, match=what):
        files.read(data)


def test_an_empty_file_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(TruncatedError, match="empty"):
        files.read(tmp_path / "empty")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_bytes_tell_the_kind(kind: Kind) -> None:
    assert files.sniff(encoded({"array": np.zeros(2)}, kind=kind)[: files.SNIFF_BYTES]) == kind


def test_tensors_keep_their_metadata_when_pickled() -> None:
    tensors = Tensors({"w": np.zeros(2)}, {"a": "b"})
    twin = pickle.loads(pickle.dumps(tensors))
    assert twin.metadata == {"a": "b"}
    assert_same(twin, tensors)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["lora_sd_analog_svd_rank4", "resnet56_cifar100", "tiny_resnet8_cifar10_int8"])
def test_real_networks_read_as_the_reference_reads_them_and_write_the_same_bytes(name: str, shared: Path) -> None:
    path = shared / "models" / f"{name}.safetensors"
    tensors = files.read(path)
    theirs = safetensors.numpy.load_file(path)
    assert_same(dict(sorted(tensors.items())), dict(sorted(theirs.items())))
    assert encoded(tensors) == path.read_bytes()
