"""What the examples in deploy/ name is there: commands, settings, ports, probes, accounts, budgets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lifecycle.cli import commands
from lifecycle.settings import DEFAULT_PORT, VARIABLES
from tests.deploy import examples


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, id=f"{where}: {line[0]}") for where, line in examples.command_lines()],
)
def test_every_command_line_is_understood(line: list[str]) -> None:
    """By the program itself, which refuses an unknown command and an unknown flag."""
    command: Any = commands()
    arguments = list(line)
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(line[0], arguments)


def test_command_lines_are_found_in_every_kind_of_example() -> None:
    """Or the test above would say nothing of a form that is written differently from now on."""
    duties = ["serve", "work", "schedule", "migrate"]
    found = [line[0] for _, line in examples.command_lines()]
    assert {duty: found.count(duty) >= 3 for duty in duties} == dict.fromkeys(duties, True)
    assert "up" in found
    assert "key" in found


def test_every_setting_exists() -> None:
    named = {name for _, name in examples.variables()}
    assert named >= {"LIFECYCLE_DATABASE_URL", "LIFECYCLE_BROKER_URL", "LIFECYCLE_METRICS_PORT"}
    assert named - set(VARIABLES.values()) == set()


def test_probes_ask_where_something_answers() -> None:
    """At a port that the container says it has, and at a path that needs no key."""
    for name, container in examples.pods():
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        told = {each["name"]: each["value"] for each in container.get("env", [])}
        assert set(ports.values()) <= {DEFAULT_PORT, int(told.get("LIFECYCLE_METRICS_PORT", 0))}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {})
            for how in ("tcpSocket", "httpGet"):
                assert asked.get(how, {}).get("port", *ports or [None]) in {*ports, None}, name
            assert asked.get("httpGet", {}).get("path", "/readyz") == "/readyz", name
        assert ("livenessProbe" in container) is (name != "lifecycle-migrate")


def test_a_cluster_keeps_one_of_each_and_gives_each_time_to_stop() -> None:
    """A budget for every workload, by the labels that its pods have; resources; 30 s and some."""
    manifests = list(examples.manifests())
    budgets = [m["spec"]["selector"]["matchLabels"] for m in manifests if "Budget" in m["kind"]]
    deployments = [m["spec"] for m in manifests if m["kind"] == "Deployment"]
    assert len(deployments) == 3
    for spec in deployments:
        pod = spec["template"]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"] == labels
        assert labels in budgets
        assert spec["replicas"] == 2
        assert pod["terminationGracePeriodSeconds"] > 30
        assert {"requests", "limits"} == set(pod["containers"][0]["resources"])


def test_every_file_of_the_cluster_is_applied() -> None:
    [listed] = examples.documents(examples.DEPLOY / "kubernetes" / "kustomization.yaml")
    there = {path.name for path in (examples.DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(listed["resources"]) == there - {"kustomization.yaml"}


def test_nobody_runs_as_root_or_writes_where_he_need_not() -> None:
    for unit in examples.UNITS:
        text = unit.read_text()
        assert "\nUser=lifecycle\n" in text
        assert ("\nProtectSystem=strict\n" in text) is (unit.name != "lifecycle-migrate.service")
    for name, container in examples.pods():
        assert container["securityContext"]["readOnlyRootFilesystem"], name
    for name, service in examples.services().items():
        assert service.get("read_only", False) is (name not in {"postgres", "redis"})
    image = (examples.DEPLOY / "container" / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]", image, re.MULTILINE)


def test_every_unit_is_given_longer_to_stop_than_it_takes() -> None:
    for unit in examples.UNITS:
        if "Type=oneshot" not in unit.read_text():
            assert "\nTimeoutStopSec=35\n" in unit.read_text(), unit.name
