"""Dashboards: as built, well-formed, in the order of the flow, and only over what is declared."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.promql import DASHBOARDS, DEPLOY, PROMETHEUS, declared, recorded, rules, used, wrong

FILES = sorted(DASHBOARDS.glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text("utf-8")) for file in FILES}
KNOWN = declared() | recorded() | PROMETHEUS


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


ALL = [(name, panel) for name, board in BOARDS.items() for panel in panels(board)]
each_panel = pytest.mark.parametrize("panel", [panel for _, panel in ALL], ids=[f"{n}: {p['title']}" for n, p in ALL])
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def build(*arguments: str, folder: Path = DEPLOY / "grafana") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, folder / "build.py", *arguments], capture_output=True, text=True)


def test_the_files_are_as_built() -> None:
    done = build("--check")
    assert done.returncode == 0, done.stderr


def test_check_finds_a_stale_and_a_stray_file(tmp_path: Path) -> None:
    folder = tmp_path / "grafana"
    (folder / "dashboards").mkdir(parents=True)
    for name in ("build.py", "boards.py"):
        (folder / name).write_bytes((DEPLOY / "grafana" / name).read_bytes())
    assert build(folder=folder).returncode == 0
    assert build("--check", folder=folder).returncode == 0
    (folder / "dashboards" / "overview.json").write_text("{}")
    (folder / "dashboards" / "stray.json").write_text("{}")
    done = build("--check", folder=folder)
    assert done.returncode == 1
    assert "overview.json" in done.stderr
    assert "stray.json" in done.stderr
    assert (folder / "dashboards" / "stray.json").exists(), "--check writes nothing"


def test_there_are_the_six_dashboards() -> None:
    assert set(BOARDS) == {"overview", "sources", "pipeline", "departments", "learning", "reputation"}


@each_board
def test_grafanas_own_types_read_a_dashboard_back_the_same(board: dict[str, Any]) -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(json.loads(json.dumps(board)))))
    assert again == board


@each_board
def test_a_dashboard_has_its_own_name_and_numbered_panels(board: dict[str, Any]) -> None:
    assert board["uid"].startswith("earshot-")
    assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    assert board["schemaVersion"] >= 36
    assert not board["editable"], "changed in boards.py, not by hand"


@each_board
def test_every_row_is_one_question(board: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert board["panels"][0]["type"] == "row"
    assert rows
    assert all(title.endswith("?") for title in rows)
    kinds = "".join("R" if panel["type"] == "row" else "p" for panel in board["panels"])
    assert "RR" not in kinds, "a question without a panel"
    assert kinds.endswith("p")


def test_the_overview_follows_the_flow() -> None:
    rows = [panel["title"] for panel in BOARDS["overview"]["panels"] if panel["type"] == "row"]
    order = ["running", "answering", "moving", "old", "lost", "told"]
    assert [next(word for word in order if word in re.findall(r"\w+", title)) for title in rows] == order


@each_board
def test_panels_do_not_overlap_and_stay_on_the_grid(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells


@each_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in {"short", "s", "cps", "cpm", "reqps", "percentunit"}
    assert panel["type"] in {"timeseries", "stat", "bargauge"}
    assert panel["targets"]


@each_panel
def test_a_unit_fits_what_is_asked(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        text = target["expr"]
        if "_seconds" in text and "_count" not in text:
            assert unit == "s"
        if re.search(r"\brate\(", text) and "quantile" not in text and "/" not in text:
            assert unit in {"cps", "cpm", "reqps"}
        if "_ratio" in text:
            assert unit == "percentunit"


@each_panel
def test_an_expression_uses_only_declared_metrics_and_labels(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert wrong(target["expr"], KNOWN) == []


@each_panel
def test_a_legend_names_only_labels_that_its_series_have(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        metrics, labels = used(target["expr"])
        may = labels.union({"instance", "role", "worker"}, *(KNOWN[metric] for metric in metrics))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= may


@each_panel
def test_a_panel_asks_the_chosen_prometheus(panel: dict[str, Any]) -> None:
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@each_board
def test_variables_are_declared_and_used(board: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    texts = " ".join(target["expr"] for panel in panels(board) for target in panel["targets"])
    built_in = {"__rate_interval", "__range"}
    assert set(re.findall(r"\$(\w+)", texts)) - built_in == set(variables) - {"datasource"}
    for variable in variables.values():
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert found
            assert found[2] in KNOWN[found[1]]


def test_every_declared_metric_is_looked_at() -> None:
    seen: set[str] = set()
    for _, panel in ALL:
        for target in panel["targets"]:
            seen |= used(target["expr"])[0]
    for rule in (*rules("recording.yml"), *rules("alerts.yml")):
        seen |= used(str(rule["expr"]))[0]
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in declared()}
    assert families - {re.sub(r"_bucket$", "", name) for name in seen} == set()


def test_dashboards_are_provisioned_from_the_folder_compose_mounts() -> None:
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/earshot.yml").read_text("utf-8"))[
        "providers"
    ]
    volumes = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text("utf-8"))["services"]["grafana"][
        "volumes"
    ]
    mounts = {target: source for source, target, *_ in (volume.split(":") for volume in volumes)}
    assert mounts[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    assert mounts["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"


def test_the_provisioned_source_is_the_composes_prometheus() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    assert (source["type"], source["isDefault"], source["url"]) == ("prometheus", True, "http://prometheus:9090")
