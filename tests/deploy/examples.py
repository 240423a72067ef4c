"""What do the examples in deploy/ say? Read from the files themselves, whatever form they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

Said = tuple[str, Any]
"""Where something is said, and what."""


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text("utf-8")))


def manifests() -> Iterator[Any]:
    """Everything that a cluster is told, but for the list of the files themselves."""
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from documents(path)


def pods() -> Iterator[tuple[str, Any]]:
    """The workloads, each with the one container that it runs."""
    for manifest in manifests():
        if manifest["kind"] in {"Deployment", "Job"}:
            [container] = manifest["spec"]["template"]["spec"]["containers"]
            yield manifest["metadata"]["name"], container


def services() -> dict[str, Any]:
    """Of the Compose file."""
    [compose] = documents(DEPLOY / "compose" / "compose.yaml")
    found: dict[str, Any] = compose["services"]
    return found


def command_lines() -> Iterator[Said]:
    """How the program is called: what follows `lifecycle`, as a list."""
    for unit in UNITS:
        for line in re.findall(r"^ExecStart=\S+/lifecycle (.*)$", unit.read_text(), re.MULTILINE):
            yield unit.name, line.split()
    for name, service in services().items():
        if service.get("image") == "lifecycle-engine":
            yield f"compose.yaml {name}", service["command"]
    for name, container in pods():
        yield name, container["args"]
    told = (DEPLOY / "README.md").read_text("utf-8")
    for line in re.findall(r"(?:-- lifecycle|run --rm migrate) (\w.*)$", told, re.MULTILINE):
        yield "README.md", line.split()


def variables() -> Iterator[Said]:
    """Every setting of ours that any file names."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            for name in re.findall(r"\bLIFECYCLE_[A-Z_]+", path.read_text("utf-8")):
                yield path.name, name


def questions() -> Iterator[Said]:
    """What the alert rules and the dashboard ask Prometheus."""
    [rules] = documents(DEPLOY / "prometheus" / "alerts.yaml")
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((DEPLOY / "grafana" / "lifecycle.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
