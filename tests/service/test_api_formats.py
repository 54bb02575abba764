"""Formats are known by their first bytes; what could run code is refused with the way out."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from cabacus.service.api.formats import CABACUS, CABACUS_MAGIC, HEAD_BYTES, NPY, NPZ, SAFETENSORS, Format, sniff
from cabacus.service.errors import ServiceError

ARRAYS = {"fc.weight": np.ones((3, 4), np.float32)}


def saved(write: object, *arguments: object, **named: object) -> bytes:
    file = io.BytesIO()
    write(file, *arguments, **named)  # type: ignore[operator]
    return file.getvalue()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"data")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (safetensors.numpy.save(ARRAYS), SAFETENSORS),
        (safetensors.numpy.save({}), SAFETENSORS),
        (saved(np.save, ARRAYS["fc.weight"]), NPY),
        (saved(np.savez, **ARRAYS), NPZ),
        (saved(np.savez_compressed, **ARRAYS), NPZ),
        (saved(np.savez), NPZ),
        (saved(np.savez, **{"block/weight": np.ones(2)}), NPZ),
        (saved(np.savez, **{"x" * 1000: np.ones(2)}), NPZ),
        (CABACUS_MAGIC + bytes(60), CABACUS),
    ],
)
def test_known_formats(data: bytes, expected: Format) -> None:
    assert sniff(data[:HEAD_BYTES]) is expected


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_with_the_way_out(protocol: int) -> None:
    with pytest.raises(ServiceError, match=r"pickle.*safetensors\.torch\.save_file") as caught:
        sniff(pickle.dumps({"a": 1}, protocol))
    assert caught.value.code == "unsupported_format"


def test_a_torch_archive_is_refused_with_the_way_out() -> None:
    with pytest.raises(ServiceError, match=r"PyTorch.*save_file"):
        sniff(zipped("archive/data.pkl", "archive/data/0"))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (zipped("readme.txt"), "zip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (b"GGUF" + bytes(20), "GGUF"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"hello", "68 65 6c 6c 6f"),
        (b"x", "78"),
    ],
)
def test_other_files_are_named(data: bytes, word: str) -> None:
    with pytest.raises(ServiceError, match=word):
        sniff(data)
