"""The dashboard and the alerts ask for figures that the service has, by labels that these have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[2] / "docker"
DASHBOARD = DOCKER / "grafana" / "dashboards" / "cabacus.json"
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
NAME = re.compile(r"\bcabacus_\w+")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def queries() -> list[str]:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
    return found + re.findall(r"expr: (.+)", (DOCKER / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))


def test_every_figure_that_is_asked_for_is_one_of_the_service(service) -> None:
    async def check(api) -> None:
        text = (await api.http.get("/metrics")).text
        kinds = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
        exposed = {name + part for name, kind in kinds for part in PARTS[kind]}
        asked = {name for query in queries() for name in NAME.findall(query)}
        assert len(asked) > 15
        assert asked <= exposed

    service(check)


def test_the_dashboard_is_the_one_that_its_table_makes(tmp_path: Path) -> None:
    folder = tmp_path / "dashboards"
    folder.mkdir()
    script = shutil.copy(DOCKER / "grafana" / "make_dashboard.py", tmp_path)
    subprocess.run([sys.executable, script], check=True)
    assert (folder / "cabacus.json").read_text() == DASHBOARD.read_text()


@needs_promtool
@pytest.mark.parametrize(
    "words",
    [("check", "config", "--syntax-only", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_prometheus_takes_its_configuration(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=DOCKER / "prometheus", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"a{n}", "expr": query.replace("$__rate_interval", "1m")} for n, query in enumerate(queries())]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
