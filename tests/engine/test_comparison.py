"""The sizes of other codings: against hand counts, against codes written out, and against each other."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cabacus import comparison
from cabacus.comparison import COLUMNS, compare, csr_zstd, entropy, han, huffman, nncodec
from cabacus.errors import InputError


@pytest.fixture
def sparse() -> np.ndarray:
    random = np.random.default_rng(1)
    levels = np.rint(random.laplace(size=(200, 300)) * 3).astype(np.int32)
    return levels * (random.random(levels.shape) < 0.05)


def test_entropy_of_a_uniform_source_is_its_width() -> None:
    assert entropy(np.tile(np.arange(256), 4)) == 1024.0
    assert entropy(np.zeros(100, np.int8)) == 0.0
    assert entropy(np.zeros(0, np.int8)) == 0.0


def test_huffman_is_the_textbooks_code() -> None:
    counts = {0: 45, 1: 13, 2: 12, 3: 16, 4: 9, 5: 5}  # Cormen et al., figure 16.4: 224 bits
    levels = np.repeat(list(counts), list(counts.values()))
    assert huffman(levels) == 224 // 8 + 6 * 2 + 2


def test_huffman_is_within_a_bit_a_symbol_of_the_entropy(sparse: np.ndarray) -> None:
    table = 3 * len(np.unique(sparse)) + 2
    assert entropy(sparse) <= huffman(sparse) <= entropy(sparse) + sparse.size / 8 + table


def test_relative_index_beats_huffman_on_sparse_levels(sparse: np.ndarray) -> None:
    assert han(sparse) < huffman(sparse)


@pytest.mark.parametrize("bits", comparison.GAP_BITS)
def test_the_relative_index_says_where_every_level_is(bits: int, sparse: np.ndarray) -> None:
    longest = 1 << bits
    flat = sparse.ravel()
    places = np.flatnonzero(flat)
    at, restored = -1, np.zeros_like(flat)
    count = 0
    for place in places:
        gap = int(place) - at - 1
        while gap >= longest:  # a filler of level 0 uses up a place, too
            at += longest
            gap -= longest
            count += 1
        at += gap + 1
        restored[at] = flat[place]
    assert np.array_equal(restored, flat)
    gaps = np.diff(places, prepend=-1) - 1
    assert count == int((gaps // longest).sum())


def test_csr_goes_through_zstd_where_there_is_one(sparse: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    size = csr_zstd(sparse)
    assert size is None or np.count_nonzero(sparse) < size < 4 * np.count_nonzero(sparse) + 1000
    monkeypatch.setattr(comparison, "_zstd", lambda: None)
    assert csr_zstd(sparse) is None
    assert compare({"w": sparse})["CSR + zstd"] is None
    monkeypatch.setattr(comparison, "_zstd", lambda: bytes)
    rows, nonzero = 201 * 2, np.count_nonzero(sparse)
    assert csr_zstd(sparse) == 8 + rows + nonzero * (2 + 1)


def test_a_comparison_adds_tensors_up(sparse: np.ndarray) -> None:
    both = compare({"one": sparse, "two": sparse})
    assert both.keys() == COLUMNS.keys()
    assert both["Huffman"] == 2 * huffman(sparse)
    assert both["order-0 entropy"] == int(np.ceil(2 * entropy(sparse)))


@pytest.mark.parametrize("levels", [np.zeros(0, np.int32), np.zeros((0, 3), np.int64), np.int8(5), np.array([-70000])])
def test_odd_levels_have_a_size(levels: np.ndarray) -> None:
    assert all(size is None or size >= 0 for size in compare({"w": levels}).values())


def test_weights_are_no_levels() -> None:
    with pytest.raises(InputError, match="pass integers"):
        compare({"w": np.zeros(3)})


def test_nncodec_codes_every_shape_where_it_is_installed(sparse: np.ndarray) -> None:
    if nncodec(sparse) is None:
        pytest.skip("nncodec is not installed")
    known = nncodec(sparse)
    assert known is not None
    assert 0.5 * entropy(sparse) < known < huffman(sparse)
    assert nncodec(sparse.reshape(200, 3, 10, 10)) == known
    assert nncodec(np.zeros((4, 0), np.int8)) == 0
    assert (nncodec(sparse.ravel()) or 0) > 0
    with pytest.raises(InputError, match="32 bits"):
        nncodec(np.array([[1 << 40]]))


def test_what_is_not_installed_has_no_column(sparse: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncodec.extensions.deepCABAC", None)
    assert nncodec(sparse) is None
    assert compare({"w": sparse})["nncodec"] is None
