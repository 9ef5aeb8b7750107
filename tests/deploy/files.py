"""The deployment files, and what they say, as data."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.processes import ROOT

COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
PROCFILE = ROOT / "Procfile"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
ALERTS_TEST = ROOT / "deploy/prometheus/alerts.test.yml"
PROMETHEUS = ROOT / "deploy/prometheus/prometheus.yml"
DATASOURCES = ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml"
DASHBOARDS = ROOT / "deploy/grafana/provisioning/dashboards/connector.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/connector.json"
WORKER = ROOT / "deploy/kubernetes/worker.yaml"
SCALING = ROOT / "deploy/kubernetes/worker-scaling.yaml"
OPERATIONS = ROOT / "docs/operations.md"


def all_yaml() -> list[Path]:
    return [COMPOSE, *sorted(path for path in (ROOT / "deploy").rglob("*") if path.suffix in {".yml", ".yaml"})]


def read_yaml(path: Path) -> Any:
    """The only document in it."""
    return yaml.safe_load(path.read_text())


def compose() -> dict[str, Any]:
    """Aliases and merges resolved, variables as they stand."""
    document: dict[str, Any] = read_yaml(COMPOSE)
    return document


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in read_yaml(ALERTS)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Of the dashboard, rows included."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression we ship, and whose it is."""
    for rule in alert_rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            # Grafana puts a duration in its place.
            yield f"{panel['title']} {target['refId']}", target["expr"].replace("$__rate_interval", "1m")
    for trigger in read_yaml(SCALING)["spec"]["triggers"]:
        yield "worker-scaling", trigger["metadata"]["query"]


def procfile() -> dict[str, list[str]]:
    """The words of each command by the name of its process, in the order of the file."""
    lines = re.findall(r"^(\w+): (.+)$", PROCFILE.read_text(), re.MULTILINE)
    return {name: command.split() for name, command in lines}
