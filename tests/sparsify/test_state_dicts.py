"""State dicts of torch go in as they are: with gradients, in bfloat16 and 8-bit floats, without a copy of ours."""

from __future__ import annotations

import io
import weakref

import numpy as np
import pytest
import torch

import cabacus
from cabacus.dtypes import as_bytes, dtype_name


def test_a_state_dict_is_compressed_and_comes_back() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32))
    data = cabacus.compress(network.state_dict(), snr_db=40).data
    assert cabacus.compress(dict(network.named_parameters()), snr_db=40).report.snr_db >= 40  # these have gradients
    restored = {name: torch.from_numpy(np.array(array)) for name, array in cabacus.decompress(data).items()}
    assert list(restored) == list(network.state_dict())
    network.load_state_dict(restored)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_types_that_numpy_lacks_keep_their_bits(dtype: torch.dtype) -> None:
    tensor = torch.randn(6, 5).to(dtype).T
    file = io.BytesIO()
    cabacus.files.write_to(file, {"w": tensor})
    found = cabacus.read(file.getvalue())["w"]
    assert dtype_name(found) == str(dtype).removeprefix("torch.")
    assert tuple(found.shape) == (5, 6)
    assert bytes(as_bytes(found)) == bytes(tensor.contiguous().view(torch.uint8).numpy().ravel())


def test_a_tensor_that_is_trained_on_is_read_anew_and_let_go() -> None:
    weight = torch.randn(20, 30).bfloat16().T  # the bits are a copy: not in the order of C
    before = cabacus.decompress(cabacus.compress({"w": weight}, rules=["*:keep"]).data)["w"]
    weight += 1
    after = cabacus.decompress(cabacus.compress({"w": weight}, rules=["*:keep"]).data)["w"]
    assert not np.array_equal(as_bytes(before), as_bytes(after))
    held = weakref.ref(weight)
    del weight
    assert held() is None


def test_views_that_conjugate_or_negate_are_written_out() -> None:
    numbers = torch.randn(4, 5, dtype=torch.complex64)
    views = {"conjugate": numbers.conj(), "negative": numbers.conj().imag}
    decoded = cabacus.decompress(cabacus.compress(views, snr_db=30, rules=["*:keep"]).data)
    np.testing.assert_array_equal(decoded["conjugate"], numbers.numpy().conj())
    np.testing.assert_array_equal(decoded["negative"], -numbers.numpy().imag)


def test_what_cannot_be_stored_says_so() -> None:
    with pytest.raises(cabacus.InputError, match="w"):
        cabacus.compress({"w": torch.randn(3, 3).to_sparse()})
