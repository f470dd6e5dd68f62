"""Operational alerts: valid, tested on both sides of their `for`, worded for a person, each with a runbook heading."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.promql import DEPLOY, PROMETHEUS, RULES, declared, recorded, rules, used, wrong
from tests.monitoring.real_prometheus import tool

TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
ALERTS: list[dict[str, Any]] = rules("alerts.yml")
NAMES = [alert["alert"] for alert in ALERTS]
REPUTATION = {"ReputationDamage", "PraiseSurge", "MentionsDrop"}


def seconds(duration: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def headings() -> list[str]:
    return re.findall(r"^## (\w+)$", (DEPLOY / "runbook.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("file", ["prometheus.yml", "prometheus-up.yml"])
def test_promtool_accepts_the_configuration_and_its_rules(file: str) -> None:
    done = subprocess.run(
        [tool("promtool", "prometheus"), "check", "config", DEPLOY / "prometheus" / file],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout


@pytest.mark.parametrize("file", sorted(RULES.glob("*.yml")), ids=lambda file: file.name)
def test_promtool_finds_nothing_to_complain_about_in_a_rule_file(file: Path) -> None:
    done = subprocess.run(
        [tool("promtool", "prometheus"), "check", "rules", "--lint=all", "--lint-fatal", file],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_the_rules_pass_their_tests(file: Path) -> None:
    done = subprocess.run(
        [tool("promtool", "prometheus"), "test", "rules", file.name], capture_output=True, text=True, cwd=file.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_amtool_accepts_the_configuration_of_alertmanager() -> None:
    done = subprocess.run(
        [tool("amtool", "prometheus-alertmanager"), "check-config", DEPLOY / "alertmanager" / "alertmanager.yml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=ReputationDamage", "brand=acme", "severity=critical"], "departments"),
        (["alertname=ListeningHeartbeatLate", "stage=notify", "severity=critical"], "operations"),
        (["alertname=ListeningDeadLetters", "severity=warning"], "operations"),
        (["alertname=Other"], "nobody"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_alertmanager_routes_both_kinds_of_alerts(labels: list[str], receiver: str) -> None:
    config = DEPLOY / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(
        [tool("amtool", "prometheus-alertmanager"), "config", "routes", "test", f"--config.file={config}", *labels],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == receiver, done.stdout + done.stderr


def test_the_runbook_has_a_heading_for_each_alert_and_no_other() -> None:
    found = headings()
    assert len(found) == len(set(found))
    assert set(found) == set(NAMES) | REPUTATION


def test_alert_names_are_unique() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_is_worded_for_a_person(alert: dict[str, Any]) -> None:
    name, annotations = alert["alert"], alert["annotations"]
    assert re.fullmatch(r"Listening([A-Z][a-z]+)+", name)
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert annotations["summary"].endswith(".")
    assert "{{" not in annotations["summary"], "a summary is the same for every firing"
    assert annotations["description"].endswith(".")
    assert annotations["runbook_url"] == "{{ $externalLabels.runbook }}#" + name.lower()
    assert seconds(alert["for"]) > 0


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_a_description_has_the_values_where_there_are_any(alert: dict[str, Any]) -> None:
    if alert["alert"] == "ListeningHeartbeatMissing":
        assert "{{" not in alert["annotations"]["description"]
    else:
        assert re.search(r"\$(labels|value)", alert["annotations"]["description"])


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_is_tested_just_before_and_at_its_for(alert: dict[str, Any]) -> None:
    sides = []
    for file in TESTS:
        for group in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            cases = [case for case in group["alert_rule_test"] if case["alertname"] == alert["alert"]]
            before = [seconds(case["eval_time"]) for case in cases if not case.get("exp_alerts")]
            firing = [seconds(case["eval_time"]) for case in cases if case.get("exp_alerts")]
            sides += [at - early for at in firing for early in before if early < at]
    assert sides, "no test group has it silent and then firing"
    assert min(sides) <= 120, "the silent side is not just before"


@pytest.mark.parametrize(
    "rule", [*ALERTS, *rules("recording.yml")], ids=lambda rule: rule.get("alert", rule.get("record"))
)
def test_a_rule_uses_only_declared_metrics_and_labels(rule: dict[str, Any]) -> None:
    assert wrong(rule["expr"], declared() | recorded() | PROMETHEUS) == []


def test_a_description_names_only_labels_that_the_alert_has() -> None:
    known = declared() | recorded() | PROMETHEUS
    for alert in ALERTS:
        metrics, labels = used(alert["expr"])
        may = labels.union({"instance", "job"}, *(known[metric] for metric in metrics))
        assert set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"])) <= may


def test_every_recorded_series_is_used_somewhere() -> None:
    texts = [rule["expr"] for rule in (*ALERTS, *rules("recording.yml"))]
    texts += [file.read_text("utf-8") for file in (DEPLOY / "grafana" / "dashboards").glob("*.json")]
    for name in recorded():
        assert any(name in text for text in texts), f"{name} is recorded for nobody"


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("rate(earshot_mention_received_total[5m])", "metric earshot_mention_received_total is not declared"),
        ("sum by (topic) (earshot_workers)", "label topic is on none of ['earshot_workers']"),
        ('earshot_workers{state="x"} offset 5m > 1', "label state is on none of ['earshot_workers']"),
        ("time() - foo:bar > bool 3", "metric foo:bar is not declared"),
    ],
)
def test_a_wrong_name_would_be_found(expression: str, complaint: str) -> None:
    assert wrong(expression, declared() | recorded() | PROMETHEUS) == [complaint]
