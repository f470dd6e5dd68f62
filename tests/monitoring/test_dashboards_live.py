"""Every PromQL of every dashboard and recording rule, on a real Prometheus: a panel without data fails."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.monitoring.promql import DASHBOARDS, rules
from tests.monitoring.real_prometheus import Prometheus, eventually

# Grafana puts these in: for a dashboard of the last minutes with every value of every variable chosen.
CHOSEN = {"$__rate_interval": "1m", "$__range": "5m"}


def expressions() -> dict[str, str]:
    """Return every expression by the dashboard, panel and query it is in."""
    found: dict[str, str] = {}
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                text = target["expr"]
                for variable, value in CHOSEN.items():
                    text = text.replace(variable, value)
                found[f"{file.stem}: {panel['title']} ({target['refId']})"] = re.sub(r"\$\w+", ".*", text)
    for rule in rules("recording.yml"):
        found[f"rule {rule['record']}"] = str(rule["record"])
    return found


def choices() -> dict[str, tuple[str, str]]:
    """Return the metric and label of every variable at the top of a dashboard."""
    found: dict[str, tuple[str, str]] = {}
    for file in sorted(DASHBOARDS.glob("*.json")):
        for variable in json.loads(file.read_text("utf-8"))["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.findall(r"\w+", variable["query"]["query"])[1:]
                found[f"{file.stem}: {variable['name']}"] = (metric, label)
    return found


def without_data(server: Prometheus, asked: dict[str, str], within: float) -> dict[str, str]:
    """Ask until every expression has given a value once; return those that never did."""
    missing = dict(asked)

    def look() -> bool | None:
        for name, text in list(missing.items()):
            if server.values(text):
                del missing[name]
        return True if not missing else None

    eventually(look, within=within, every=1.0)
    return missing


def test_every_panel_and_rule_has_data_when_every_series_exists(prometheus_of_touched: Prometheus) -> None:
    # Without the zero that stands for what never happened, so that a misspelt label cannot hide behind it.
    asked = {name: text.removesuffix(" or vector(0)") for name, text in expressions().items()}
    asked = {name: text for name, text in asked.items() if "ALERTS{" not in text}
    assert without_data(prometheus_of_touched, asked, within=60) == {}


def test_every_variable_has_values(prometheus_of_touched: Prometheus) -> None:
    for name, (metric, label) in choices().items():
        found = eventually(
            lambda metric=metric, label=label: (  # type: ignore[misc]
                prometheus_of_touched.ask(
                    f"label/{label}/values", **{"match[]": metric, "start": str(time.time() - 60)}
                )
                or None
            ),
            within=30,
        )
        assert found, name


def test_no_operational_alert_of_ours_has_an_error(prometheus_of_touched: Prometheus) -> None:
    def looked_at() -> list[dict[str, str]] | None:
        groups = prometheus_of_touched.ask("rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if found and all(rule["health"] != "unknown" for rule in found) else None

    found = eventually(looked_at, within=30)
    assert found
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []


def test_a_misspelt_panel_would_be_found(prometheus_of_touched: Prometheus) -> None:
    asked = {"good": "sum(earshot_workers)", "bad": 'earshot_workers{stage="triag"}'}
    assert eventually(lambda: prometheus_of_touched.values(asked["good"]) or None, within=30)
    assert set(without_data(prometheus_of_touched, asked, within=2)) == {"bad"}


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_every_panel_and_rule_has_data_on_the_running_system(prometheus_of_running: Prometheus) -> None:
    assert without_data(prometheus_of_running, expressions(), within=180) == {}
    assert prometheus_of_running.values("sum(up)") == [1.0]
    # Between two counters a scrape may see a difference for a moment; it must be gone at one of the next.
    assert eventually(
        lambda: True if not prometheus_of_running.values("earshot:stage_messages_unaccounted:sum != 0") else None,
        within=20,
    )
