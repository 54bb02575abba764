"""Checkpoints in several files: an index and its shards, and folders as Hugging Face keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cabacus
from cabacus.errors import CabacusError, CorruptError, FormatError, InputError, UnsupportedError
from cabacus.files.checkpoint import files_of, shards_of

INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {f"layer{n}.weight": random.standard_normal((20, 30)).astype(np.float32) for n in range(4)}


def checkpoint(folder: Path, **changes: Any) -> Path:
    """A folder with four tensors in two shards."""
    tensors = arrays()
    names = list(tensors)
    for shard, part in zip(SHARDS, (names[:2], names[2:]), strict=True):
        cabacus.write(folder / shard, {name: tensors[name] for name in part}, {"format": "pt"})
    weights = {name: SHARDS[place // 2] for place, name in enumerate(names)}
    index = {"metadata": {"total_size": 9600}, "weight_map": weights, **changes}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def test_the_folder_the_index_and_the_whole_give_the_same(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    whole = cabacus.compress(cabacus.files.Tensors(arrays(), {"format": "pt"}), snr_db=30).data
    assert cabacus.read(folder).metadata == {"format": "pt"}
    for source in (folder, str(folder), folder / INDEX):
        assert list(cabacus.read(source)) == list(arrays())
        assert cabacus.compress(source, snr_db=30).data == whole
    assert [path.name for path in files_of(folder)] == [INDEX, *SHARDS]


def test_a_sharded_base_is_one_too(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    near = {name: array * np.float32(1.001) for name, array in arrays().items()}
    small = cabacus.compress(near, snr_db=30, base=folder)
    assert cabacus.decompress(small.data, base=folder / INDEX).keys() == near.keys()


def test_a_folder_with_one_file_or_the_usual_name_is_clear(tmp_path: Path) -> None:
    cabacus.write(tmp_path / "unet.safetensors", arrays())
    assert files_of(tmp_path) == [tmp_path / "unet.safetensors"]
    cabacus.write(tmp_path / "model.safetensors", arrays())
    assert files_of(tmp_path) == [tmp_path / "model.safetensors"]


def test_a_folder_that_is_not_clear_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no safetensors"):
        cabacus.read(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UnsupportedError, match="save_file"):
        cabacus.read(tmp_path)
    for name in ("a", "b"):
        cabacus.write(tmp_path / f"{name}.safetensors", arrays())
    with pytest.raises(InputError, match=r"a\.safetensors, b\.safetensors"):
        cabacus.read(tmp_path)


@pytest.mark.parametrize(
    ("weights", "error", "what"),
    [
        ({"layer0.weight": "../x.safetensors"}, CorruptError, "plain"),
        ({"layer0.weight": "/etc/x.safetensors"}, CorruptError, "plain"),
        ({"layer0.weight": ".hidden.safetensors"}, CorruptError, "plain"),
        ({"layer0.weight": 7}, CorruptError, "plain"),
        ({"layer0.weight": "pytorch_model-1.bin"}, UnsupportedError, "save_file"),
        ({"layer0.weight": "missing.safetensors"}, InputError, "missing.safetensors"),
        ({"other": SHARDS[0]}, CorruptError, "'other'"),
        ({"layer0.weight": SHARDS[0], "layer1.weight": "copy.safetensors"}, CorruptError, "two shards"),
        ({}, CorruptError, "weight_map"),
        ([1], CorruptError, "weight_map"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, weights: Any, error: type[CabacusError], what: str) -> None:
    folder = checkpoint(tmp_path, weight_map=weights)
    (folder / "copy.safetensors").write_bytes((folder / SHARDS[0]).read_bytes())
    with pytest.raises(error, match=what):
        cabacus.read(folder)


@given(
    st.binary(max_size=80) | st.recursive(st.text() | st.none(), lambda it: st.dictionaries(st.text(), it)).map(repr)
)
def test_any_other_bytes_are_no_index(data: bytes | str) -> None:
    with pytest.raises(FormatError):
        shards_of(data.encode() if isinstance(data, str) else data)
