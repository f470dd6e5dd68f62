"""Just enough of PromQL to say which metrics and labels an expression uses, and what our metrics declare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from pipeline.contract.metrics import Metrics

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"

# Prometheus' own: every target has `up`, every rule `ALERTS`; a target's labels are on all its samples.
PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
TARGET_LABELS = {"job", "instance", "role", "worker"}

_STRING = re.compile(r'"(?:\\.|[^"\\])*"' + r"|'(?:\\.|[^'\\])*'")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{([^}]*)\}")
_LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_WORD = re.compile(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])")
_KEYWORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan", "by", "without", "on", "ignoring"}


def used(expression: str) -> tuple[set[str], set[str]]:
    """Return the metric names and the label names that an expression uses."""
    text = _STRING.sub('""', expression)
    labels = {name.strip() for found in _GROUPING.findall(text) for name in found.split(",") if name.strip()}
    text = _GROUPING.sub(" ", text)
    metrics = set()
    for name, matchers in _SELECTOR.findall(text):
        if name:
            metrics.add(name)
        labels |= set(_LABEL.findall(matchers))
    text = re.sub(r"\[[^\]]*\]", " ", _SELECTOR.sub(" ", text))
    text = re.sub(r"\boffset\s+-?\w+", " ", text)
    metrics |= {word for word in _WORD.findall(text) if word.lower() not in _KEYWORDS}
    return metrics, labels


def declared() -> dict[str, set[str]]:
    """Return every series name that earshot may expose, with its labels."""
    found: dict[str, set[str]] = {}
    for collector in vars(Metrics()).values():
        names, kind = getattr(collector, "_labelnames", None), getattr(collector, "_type", "")
        if names is None:
            continue
        name = collector._name
        if kind == "histogram":
            found |= {f"{name}_bucket": {*names, "le"}, f"{name}_sum": set(names), f"{name}_count": set(names)}
        else:
            found[f"{name}_total" if kind == "counter" else name] = set(names)
    return found


def rules(file: str) -> list[dict[str, object]]:
    """Return the rules of one rule file."""
    return [rule for group in yaml.safe_load((RULES / file).read_text("utf-8"))["groups"] for rule in group["rules"]]


def _listed(labels: str) -> set[str]:
    return {label.strip() for label in labels.split(",")}


def recorded() -> dict[str, set[str]]:
    """Return every series that a recording rule makes, with the labels it may have."""
    known = declared()
    made: dict[str, set[str]] = {}
    for rule in rules("recording.yml"):
        metrics, _ = used(str(rule["expr"]))
        grouped = re.search(r"\bby\s*\(([^)]*)\)", str(rule["expr"]))
        below = set().union(*((known | made).get(metric, set()) for metric in metrics))
        gone = {
            label for found in re.findall(r"\bwithout\s*\(([^)]*)\)", str(rule["expr"])) for label in _listed(found)
        }
        labels = _listed(grouped[1]) if grouped else below - gone
        name, given = str(rule["record"]), rule.get("labels")
        made[name] = made.get(name, set()) | labels | (set(given) if isinstance(given, Mapping) else set())
    return made


def wrong(expression: str, known: Mapping[str, set[str]]) -> list[str]:
    """Return what an expression uses that nobody declares."""
    metrics, labels = used(expression)
    complaints = [f"metric {metric} is not declared" for metric in sorted(metrics - known.keys())]
    may = TARGET_LABELS.union(*(known.get(metric, set()) for metric in metrics))
    return complaints + [f"label {label} is on none of {sorted(metrics)}" for label in sorted(labels - may)]
