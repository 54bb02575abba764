"""The manifests against the schemas of Kubernetes, and what every part of them must have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cabacus.service.queue.prelude import GROUP
from cabacus.service.settings import knobs, variable

yaml = pytest.importorskip("yaml")
FOLDER = Path(__file__).parents[2] / "docker" / "kubernetes" / "base"
VERSION = "1.31"
NOT_OURS = ("keda.sh", "kustomize.config.k8s.io")


def manifests() -> list[dict[str, Any]]:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in FOLDER.glob("*.yaml")}
    return [found for name in listed for found in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))]


def of(kind: str) -> list[dict[str, Any]]:
    return [found for found in manifests() if found["kind"] == kind]


def test_kubernetes_takes_every_manifest() -> None:
    validator = pytest.importorskip("kubernetes_validate")  # brought along by make docker-test
    checked = [found for found in manifests() if not found["apiVersion"].startswith(NOT_OURS)]
    for manifest in checked:
        validator.validate(manifest, VERSION, strict=True)
    assert len(checked) == 9


def test_every_pod_may_do_little_and_says_whether_it_lives() -> None:
    deployments = of("Deployment")
    assert len(deployments) == 2
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["livenessProbe"]
        assert container["resources"]["limits"]["memory"]


def test_each_deployment_has_a_budget_for_disruptions() -> None:
    budgets = {
        budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] for budget in of("PodDisruptionBudget")
    }
    assert budgets == {"api", "worker"}


def test_the_scaler_asks_for_the_stream_that_the_service_keeps() -> None:
    (scaled,) = of("ScaledObject")
    (settings,) = of("ConfigMap")
    names = {deployment["metadata"]["name"] for deployment in of("Deployment")}
    assert scaled["spec"]["scaleTargetRef"]["name"] in names
    for trigger in scaled["spec"]["triggers"]:
        assert trigger["metadata"]["stream"] == f"{{{settings['data']['CABACUS_NAMESPACE']}}}:jobs"
        assert trigger["metadata"].get("consumerGroup", GROUP) == GROUP


def test_every_setting_is_one_of_the_service() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml"))
    known = {variable(name) for name in knobs()}
    assert set(re.findall(r"\bCABACUS_[A-Z_]+", text)) <= known
