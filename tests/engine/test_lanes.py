"""The lane coder as it is built for use: an optimizer can break what the tests under sanitizers cannot see."""

from __future__ import annotations

import numpy as np
import pytest

from cabacus import _core


@pytest.mark.parametrize("context", range(4))
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32, 64])
def test_levels_come_back_and_are_coded_alike_each_time(lanes: int, context: int) -> None:
    generator = np.random.default_rng(lanes + context)
    coding = _core.LevelCoding(
        flags=3, golomb=1, prefixes=6, context=context, row_shift=4, column_shift=3, class_floor=8, lanes=lanes, width=9
    )
    for rows, columns in ((100, 77), (33, 5), (1, 999), (65, 64)):
        levels = np.rint(generator.laplace(0, 6, rows * columns)).astype(np.int32)
        made = _core.encode_levels(levels, columns=columns, coding=coding)
        record = _core.Record(
            name="w",
            dtype=6,
            shape=(rows, columns),
            coding=1,
            levels=made.levels,
            row_width=made.row_width,
            slice_rows=made.slice_rows,
            slice_bytes=made.slice_bytes,
        )
        assert _core.encode_levels(levels, columns=columns, coding=coding).payload == made.payload
        decoded = _core.decode_levels(made.payload, record, 0, len(made.slice_bytes))
        np.testing.assert_array_equal(decoded, levels)
