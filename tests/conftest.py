"""Tests marked `shared` need the networks and data sets of ../shared, beside the checkout; else they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs files that are not here."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason="needs the networks and data sets of ../shared/data"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with `models` and `datasets`."""
    return SHARED
