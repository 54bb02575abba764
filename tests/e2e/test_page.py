"""The page in a real browser, against a real service: from upload to download, and what goes wrong shown well."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cabacus
from cabacus.service.client import Client

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MILLIS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on PATH")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A new page, which must not meet an error, nor ask for anything elsewhere."""
    found = browser.new_page(viewport={"width": 1100, "height": 900}, accept_downloads=True)
    found.set_default_timeout(MILLIS)
    errors: list[str] = []
    requests: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("request", lambda request: requests.append(request.url))
    yield found
    found.close()
    assert errors == []
    assert not [url for url in requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]


@pytest.fixture(scope="module")
def sigma(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Standard deviations of the model's weights."""
    path = tmp_path_factory.mktemp("sigma") / "sigma.safetensors"
    tensors = {name: array for name, array in cabacus.read(model).items() if array.dtype == np.float32}
    cabacus.write(path, {name: np.full(array.shape, 0.02, np.float32) for name, array in tensors.items()})
    return path


def shot(page: Any, name: str) -> None:
    """A picture of the whole page for people to look at, where SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def send(page: Any, path: Path | dict[str, Any], **values: str) -> None:
    page.set_input_files("#file", path)
    for name, value in values.items():
        page.select_option("#target", name)
        page.fill("#value", value)
    page.click("#send")


def saved(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    target = folder / waiting.value.suggested_filename
    waiting.value.save_as(target)
    return target


def says(page: Any, pattern: str) -> None:
    """Wait until the status is such a text."""
    page.locator("#status", has_text=re.compile(pattern)).wait_for()


def test_from_upload_to_download_and_back(page, service_url: str, model: Path, tmp_path: Path) -> None:
    page.goto(service_url)
    shot(page, "first")
    send(page, model, snr_db="25")
    page.wait_for_selector("#histogram svg")
    assert "times smaller" in page.inner_text("#status")
    shot(page, "done")
    packed = saved(page, "Download model.cabac", tmp_path)
    assert packed.read_bytes() == cabacus.compress(model, snr_db=25).data
    report = json.loads(saved(page, "Download the report", tmp_path).read_text())
    assert {row["name"] for row in report["tensors"]} == {"conv.weight", "fc.weight", "fc.bias", "steps"}

    assert page.inner_text("#send") == "Compress"
    page.set_input_files("#file", packed)
    assert page.inner_text("#send") == "Decompress"
    assert page.is_hidden("#targets")
    page.click("#send")
    page.get_by_role("button", name="Download model.safetensors").wait_for()
    restored = cabacus.read(saved(page, "Download model.safetensors", tmp_path))
    assert set(restored) == set(cabacus.read(model))


def test_an_upload_and_a_job_can_be_cancelled(page, service_url: str, model: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.safetensors"
    cabacus.write(large, {"w": np.random.default_rng(1).normal(0, 1, (2000, 2000)).astype(np.float32)})
    page.goto(service_url)
    page.wait_for_selector("#jobs:not([hidden]), #no-jobs:not([hidden])")
    before = page.locator("#jobs tbody tr").count()
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1e6}
    network.send("Network.emulateNetworkConditions", slow)
    send(page, large)
    says(page, r": [1-9][0-9]? %$")
    shot(page, "sending")
    page.click("#cancel")
    says(page, r"^Cancelled: nothing")
    assert page.is_hidden("#working")
    assert page.locator("#jobs tbody tr").count() == before

    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    with Client(service_url) as client:
        others = [client.submit("compress", large, snr_db=30, effort="max") for _ in range(3)]  # for the only slot
        send(page, model)
        says(page, r"^Waiting for its turn")
        page.click("#cancel")
        says(page, r"^Cancelled\.$")
        for job in others:
            client.cancel(job)
            client.delete(job)
    send(page, large)
    says(page, r"^Working: [0-9]+ %, [01] of 1 tensors, .* of 16\.00 MB$")
    shot(page, "working")
    page.click("#cancel")
    says(page, r"^Cancelled\.$")


def test_layers_are_sorted_and_their_levels_shown_by_keyboard_alone(page, service_url: str, model: Path) -> None:
    page.goto(service_url)
    page.set_input_files("#file", model)
    page.focus("#send")
    page.keyboard.press("Enter")
    page.wait_for_selector("#histogram svg")

    def layers() -> list[str]:
        return page.locator("#layers tbody th").all_inner_texts()

    by_weights = ["steps", "fc.bias", "conv.weight", "fc.weight"]
    for sort, expected in (("ascending", by_weights), ("descending", by_weights[::-1])):
        page.get_by_role("button", name="Sort by Weights").focus()
        page.keyboard.press("Enter")
        assert layers() == expected
        assert page.locator(f"#layers th[aria-sort={sort}]").inner_text().startswith("Weights")
        assert page.locator("#layers th[aria-sort=none]").count() == 7
    page.get_by_role("button", name="Histogram of conv.weight").focus()
    page.keyboard.press("Enter")
    assert "conv.weight" in page.inner_text("#histogram figcaption")
    picture = page.locator("#histogram svg")
    assert picture.get_attribute("role") == "img"
    assert "of the levels are 0" in picture.get_attribute("aria-label")


def test_the_curve_is_drawn(page, service_url: str, model: Path) -> None:
    page.goto(service_url)
    send(page, model)
    page.get_by_role("button", name="Draw the curve").click()
    page.wait_for_selector("#draw:not([disabled])")
    assert page.locator("#curve circle").count() == 8
    assert page.locator("#curve svg").get_attribute("aria-label").count(" dB") == 7
    page.get_by_text("The same as a table").click()
    assert page.locator("#curve tbody tr").count() == 7
    shot(page, "curve")


def test_with_standard_deviations_the_curve_sweeps_over_s_and_an_s_can_be_chosen(
    page, service_url: str, model: Path, sigma: Path, tmp_path: Path
) -> None:
    page.goto(service_url)
    page.select_option("#target", "s")
    page.set_input_files("#sigma", sigma)
    send(page, model, s="32")
    page.get_by_role("button", name="Draw the curve").click()
    page.wait_for_selector("#draw:not([disabled])")
    curve = cabacus.sweep(model, sigma=sigma, s=range(0, 257, 16))
    assert page.locator("#curve circle").count() == len(curve.points) + 1
    rows = page.locator("#curve tbody tr").all_inner_texts()
    assert [row.split()[2].rstrip(",") for row in rows] == [str(point.s) for point in curve.points]
    assert [row for row in rows if "smallest" in row] == [rows[[point.s for point in curve.points].index(curve.best_s)]]
    shot(page, "sweep")
    page.get_by_role("button", name="Compress with S = 160").click()
    page.wait_for_selector("#working:not([hidden])")
    page.wait_for_selector("#histogram svg")
    packed = saved(page, "Download model.cabac", tmp_path)
    assert packed.read_bytes() == cabacus.compress(model, sigma=sigma, s=160).data


def test_what_goes_wrong_says_what_to_do(page, service_url: str) -> None:
    page.goto(service_url)
    send(page, {"name": "model.bin", "mimeType": "x/y", "buffer": b"\x80\x04K\x01."})
    page.wait_for_selector("#status.failed")
    assert "save_file" in page.inner_text("#status")
    data = bytearray(cabacus.compress({"w": np.ones((9, 9), np.float32)}, step=0.1).data)
    data[len(data) // 2] ^= 1
    broken = {"name": "model.cabac", "mimeType": "x/y", "buffer": bytes(data)}
    send(page, broken)
    page.wait_for_selector("#jobs .failed-cell")
    page.wait_for_selector("#status.failed")
    assert page.is_enabled("#send")
    words = page.inner_text("#status")
    assert words.startswith("The file is corrupt: "), words
    assert words.endswith("Fetch the file again: it was changed or cut short on its way."), words
    shot(page, "failed")
    page.get_by_role("button", name="Delete decompress of model.cabac").first.click()
    page.wait_for_selector("#jobs .failed-cell", state="detached")


def test_a_service_that_asks_for_a_key_gets_it(page, locked_service: tuple[str, str], model: Path, tmp_path) -> None:
    url, key = locked_service
    page.goto(url)
    page.wait_for_selector("#keys:not([hidden])")
    shot(page, "key")
    page.fill("#key", "nonsense")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-problem:not(:empty)")
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#keys", state="hidden")
    send(page, model, snr_db="25")
    page.wait_for_selector("#histogram svg")
    assert saved(page, "Download model.cabac", tmp_path).read_bytes() == cabacus.compress(model, snr_db=25).data
