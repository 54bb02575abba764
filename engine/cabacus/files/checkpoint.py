"""Checkpoints in several files, as Hugging Face keeps them: an index (JSON) and its shards, or a folder with either.

The index maps names of tensors to file names beside it. Order: that of the shards' names, then that of each shard.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from cabacus.errors import CorruptError, InputError, UnsupportedError
from cabacus.files import safetensors
from cabacus.files.sniff import PICKLE_REMEDY
from cabacus.files.source import open_buffer
from cabacus.files.tensors import Tensors
from cabacus.limits import DEFAULT_LIMITS, Limits

__all__ = ["INDEX_SUFFIX", "files_of", "is_checkpoint", "read_shards", "shards_of"]

INDEX_SUFFIX = ".index.json"
_PLAIN = re.compile(r"[^./\\\0][^/\\\0]{0,254}")
_SUFFIX = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder or an index rather than a file of tensors.

    >>> is_checkpoint("model.safetensors.index.json"), is_checkpoint("model.safetensors")
    (True, False)
    """
    return os.fspath(path).endswith(INDEX_SUFFIX) or Path(path).is_dir()


def files_of(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> list[Path]:
    """Return the files of a checkpoint: the index and its shards, or the only file of tensors of a folder.

    Raises InputError for a folder that leaves open which file is meant, OSError, or a FormatError.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cabacus.write(folder + "/model.safetensors", {"w": np.ones(2)})
    ...     [file.name for file in files_of(folder)]
    ['model.safetensors']
    """
    found = Path(path)
    if found.is_dir():
        found = _chosen(found)
    if not found.name.endswith(INDEX_SUFFIX):
        return [found]
    return [found, *(found.with_name(name) for name in shards_of(found.read_bytes(), limits))]


def shards_of(index: bytes, limits: Limits = DEFAULT_LIMITS) -> list[str]:
    """Return the names of the shards that the bytes of an index tell, sorted. Raises a FormatError.

    >>> shards_of(b'{"weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}')
    ['1.safetensors', '2.safetensors']
    """
    return sorted(set(_weight_map(index, limits).values()))


def read_shards(files: Sequence[Path], limits: Limits = DEFAULT_LIMITS) -> Tensors:
    """Return the tensors of an index and its shards, in this order, as views of the mapped files.

    Raises InputError for a shard that is not there, CorruptError where index and shards disagree, OSError.
    """
    index, *shards = files
    expected = _weight_map(index.read_bytes(), limits)
    tensors = Tensors()
    for shard in shards:
        if not shard.is_file():
            raise InputError(f"the index names {shard.name}, which is not beside it")
        part = safetensors.parse(open_buffer(shard, limits), limits)
        for name, tensor in part.items():
            if name in tensors:
                raise CorruptError(f"tensor {name!r} is in two shards, {shard.name} the second", tensor=name)
            tensors[name] = tensor
        for name, file in expected.items():
            if file == shard.name and name not in part:
                raise CorruptError(f"tensor {name!r} should be in {shard.name}, and is not", tensor=name)
        tensors.metadata = {**part.metadata, **tensors.metadata}
        limits.check("tensors", len(tensors))
    limits.check("total_elements", sum(tensor.size for tensor in tensors.values()))
    return tensors


def _weight_map(text: bytes, limits: Limits) -> dict[str, str]:
    limits.check("header_bytes", len(text))
    try:
        index = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"the index is not JSON: {error}") from None
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not found:
        raise CorruptError("the index has no weight_map, which says where each tensor is")
    for name, file in found.items():
        if not isinstance(file, str) or _PLAIN.fullmatch(file) is None:
            raise CorruptError(f"the index says {str(file)[:80]!r}, which is no plain file name", tensor=name)
        if not file.endswith(_SUFFIX):
            remedy = PICKLE_REMEDY if file.endswith(_PICKLES) else "shards are read from safetensors"
            raise UnsupportedError(f"the index names {file}: {remedy}", tensor=name)
    return found


def _chosen(folder: Path) -> Path:
    """The one index or file of tensors of a folder; the customary name wins."""
    for pattern in (f"*{_SUFFIX}{INDEX_SUFFIX}", f"*{_SUFFIX}"):
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        usual = folder / pattern.replace("*", "model")
        if usual in found or len(found) == 1:
            return usual if usual in found else found[0]
        if found:
            names = ", ".join(path.name for path in found[:4])
            raise InputError(f"{folder} holds {len(found)} of {pattern} ({names} ...); name the one that is meant")
    if any(path.suffix in _PICKLES for path in folder.iterdir()):
        raise UnsupportedError(f"{folder} holds pickles and no safetensors: {PICKLE_REMEDY}")
    raise InputError(f"{folder} holds no safetensors; name a file, or a folder with model.safetensors or its index")
