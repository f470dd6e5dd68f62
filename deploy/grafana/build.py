"""Makes dashboards/*.json out of boards.py with Grafana's own types: `python deploy/grafana/build.py [--check]`.

`--check` writes nothing and ends with exit code 1 when a file is not as it would be made.
"""

# ruff: noqa: INP001 - a script and its content beside what they make, not a package

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from boards import BOARDS, Board, Panel
from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHTS: Final = {"figure": 5, "lines": 8, "stacked": 8, "bars": 8}


def queries(panel: Panel) -> list[prometheus.Dataquery]:
    """Return a panel's queries: at one instant where it shows one value a series, else over time."""
    made = []
    for letter, (legend, expression) in zip("ABCDEFGH", panel.series.items(), strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend).datasource(SOURCE)
        made.append(query.instant() if panel.show in ("figure", "bars") else query.range())
    return made


def thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    """Return the values from which a panel turns yellow and red."""
    steps = [models.Threshold(value=None, color="green")]
    if panel.warn_at is not None:
        steps.append(models.Threshold(value=panel.warn_at, color="yellow"))
    if panel.alarm_at is not None:
        steps.append(models.Threshold(value=panel.alarm_at, color="red"))
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def drawn(panel: Panel) -> stat.Panel | bargauge.Panel | timeseries.Panel:
    """Return a panel as Grafana draws it."""
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    made: Any
    if panel.show == "figure":
        made = stat.Panel().reduce_options(last).graph_mode(kinds.BigValueGraphMode.NONE)
        made.text_mode(
            kinds.BigValueTextMode.VALUE_AND_NAME if "{{" in next(iter(panel.series)) else kinds.BigValueTextMode.VALUE
        )
        made.thresholds(thresholds(panel))
    elif panel.show == "bars":
        made = bargauge.Panel().reduce_options(last).orientation(kinds.VizOrientation.HORIZONTAL)
        made.display_mode(kinds.BarGaugeDisplayMode.BASIC).thresholds(thresholds(panel)).min(0)
    else:
        table = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.TABLE).show_legend(True)
        made = (
            timeseries.Panel()
            .line_width(2)
            .legend(table.placement(kinds.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"]))
        )
        made.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        if panel.show == "stacked":
            made.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL)).fill_opacity(30)
        if panel.warn_at is not None or panel.alarm_at is not None:
            made.thresholds(thresholds(panel))
            made.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphTresholdsStyleMode.DASHED))
    made.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    return made.height(HEIGHTS[panel.show]).span(panel.width).targets(queries(panel))  # type: ignore[no-any-return]


def choice(label: str, metric: str) -> dashboard.QueryVariable:
    """Return the variable at the top of a dashboard that narrows it to some values of a label."""
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard.QueryVariable(label)
        .label(label)
        .datasource(SOURCE)
        .query({"query": f"label_values({metric}, {label})", "refId": "choices"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )


def page_of(board: Board) -> dict[str, Any]:
    """Return a dashboard as Grafana's type."""
    page = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["earshot"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone(kinds.TimeZoneBrowser)
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("earshot")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["earshot"])
            .as_dropdown(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for label, metric in board.choices.items():
        page.with_variable(choice(label, metric))
    for row in board.rows:
        page.with_row(dashboard.Row(row.question))
        for panel in row.panels:
            page.with_panel(drawn(panel))
    built = page.build()
    for number, drawing in enumerate(built.panels or [], start=1):
        drawing.id_val = number
    return built  # type: ignore[return-value]


def rendered() -> dict[Path, str]:
    """Return the text of every dashboard's file."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    return {
        FOLDER / f"{board.uid.removeprefix('earshot-')}.json": encoder.encode(page_of(board)) + "\n" for board in BOARDS
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are not as made. Return the exit code."""
    files = rendered()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    extra = sorted(set(FOLDER.glob("*.json")) - set(files))
    if arguments == ["--check"]:
        for path in (*stale, *extra):
            sys.stderr.write(f"{path.name} is not as boards.py says: run python deploy/grafana/build.py\n")
        return 1 if stale or extra else 0
    FOLDER.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(files[path], "utf-8")
    for path in extra:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
