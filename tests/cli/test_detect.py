"""`earshot detect` as a person or a script uses it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from pipeline.cli.detect import detect
from pipeline.cli.judge import evaluate
from pipeline.cli.main import main

START = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EARSHOT_CONFIG", raising=False)


def run(*words, given=None, command=detect):
    return CliRunner().invoke(main, [command.name, *(str(word) for word in words)], input=given)


def rows(result):
    return list(csv.DictReader(io.StringIO(result.stdout)))


def a_day(spike_at=200, count=288):
    """A calm day in five-minute rows, with an hour of ten times as much."""
    values = [20 + n % 5 for n in range(count)]
    values[spike_at : spike_at + 12] = [200] * 12
    return [((START + n * timedelta(minutes=5)), value) for n, value in enumerate(values)]


def text(pairs, form=lambda at: f"{at:%Y-%m-%d %H:%M:%S}"):
    return "timestamp,value\n" + "".join(f"{form(at)},{value}\n" for at, value in pairs)


def test_every_row_comes_back_as_it_was_with_a_score_and_an_alert():
    result = run(given=text(a_day()))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "timestamp,value,anomaly_score,alert"
    found = rows(result)
    assert [(one["timestamp"], one["value"]) for one in found] == [
        (f"{at:%Y-%m-%d %H:%M:%S}", str(value)) for at, value in a_day()
    ]
    (alert,) = [number for number, one in enumerate(found) if one["alert"] == "1"]
    assert 200 <= alert <= 203
    assert float(found[alert]["anomaly_score"]) >= 0.5
    assert {one["alert"] for one in found} == {"0", "1"}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("\ufeff" + text(a_day()), id="byte order mark"),
        pytest.param(text(a_day()).partition("\n")[2], id="no header"),
        pytest.param(text(a_day()).replace("\n", "\r\n"), id="lines of Windows"),
        pytest.param(text(a_day()).replace("\n", "\n\n"), id="empty lines"),
        pytest.param(text(a_day(), lambda at: f"{at.timestamp():.0f}"), id="epoch seconds"),
        pytest.param(text(a_day(), lambda at: f"{at.timestamp() * 1000:.0f}"), id="epoch milliseconds"),
        pytest.param(text(a_day(), lambda at: f'"{at.isoformat()}"'), id="quoted"),
        pytest.param(
            "value,label,timestamp\n" + "".join(f"{value},0,{at.isoformat()}\n" for at, value in a_day()), id="columns"
        ),
    ],
)
def test_files_of_any_make_are_judged_alike(given):
    scores = [one["anomaly_score"] for one in rows(run(given=text(a_day())))]
    result = run(given=given)
    assert result.exit_code == 0, result.stderr
    assert [one["anomaly_score"] for one in rows(result)] == scores


def test_the_beginning_of_a_file_alone_is_judged_alike():
    whole, begun = run(given=text(a_day())).stdout, run(given=text(a_day()[:201])).stdout
    assert whole.startswith(begun)


def test_bad_rows_are_reported_with_their_number_and_the_others_go_on():
    lines = text(a_day()).splitlines()
    lines[3] = "yesterday,5"
    lines[5] = "2026-11-02 00:20:00,many"
    lines[7] = "only one cell"
    lines[9] = '2026-11-02 00:40:00,"5'
    lines[11] = "\x1b[31m,5"
    result = run(given="\n".join(lines) + "\n")
    assert result.exit_code == 1
    assert len(rows(result)) == 288 - 5
    for line in (4, 6, 8, 10, 12):
        assert f"standard input, row {line}:" in result.stderr
    assert "row 5:" not in result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr


def test_bytes_that_are_no_text_are_a_bad_row():
    result = run(given=text(a_day()).encode() + b"\xff\xfe,5\n2026-11-03 00:00:00,5\n")
    assert result.exit_code == 1
    assert "row 290:" in result.stderr
    assert len(rows(result)) == 289


def test_a_value_that_was_not_measured_has_no_score():
    lines = text(a_day()).splitlines()
    lines[100] = lines[100].split(",")[0] + ",NaN"
    lines[101] = lines[101].split(",")[0] + ","
    result = run(given="\n".join(lines) + "\n")
    assert result.exit_code == 0
    found = rows(result)
    assert [(one["value"], one["anomaly_score"], one["alert"]) for one in found[99:101]] == [
        ("NaN", "", "0"),
        ("", "", "0"),
    ]
    assert len(found) == 288


def test_an_empty_file_is_a_header_only():
    for given in ("", "timestamp,value\n"):
        result = run(given=given)
        assert (result.exit_code, result.stdout) == (0, "timestamp,value,anomaly_score,alert\n")


def test_a_higher_threshold_alerts_less(tmp_path):
    (tmp_path / "day.csv").write_text(text(a_day()), encoding="utf-8")
    assert sum(one["alert"] == "1" for one in rows(run("day.csv"))) == 1
    assert sum(one["alert"] == "1" for one in rows(run("day.csv", "--threshold", "1000"))) == 0


def test_a_file_that_is_not_there_is_said_so():
    result = run("nowhere.csv")
    assert result.exit_code == 2
    assert "nowhere.csv" in result.stderr


def test_a_bad_configuration_is_reported_before_anything_is_judged(tmp_path):
    (tmp_path / "earshot.yaml").write_text("version: one\n", encoding="utf-8")
    result = run(given=text(a_day()))
    assert result.exit_code == 2
    assert result.stdout == ""


def test_evaluate_holds_alerts_against_labels(tmp_path):
    alert = next(n for n, one in enumerate(rows(run(given=text(a_day())))) if one["alert"] == "1")
    labelled = "timestamp,value,label\n" + "".join(
        f"{at.isoformat()},{value},{int(n in (alert, 50))}\n" for n, (at, value) in enumerate(a_day())
    )
    (tmp_path / "day.csv").write_text(labelled, encoding="utf-8")
    result = run("detect", "--labels", "day.csv", "--json", command=evaluate)
    assert result.exit_code == 0, result.stderr
    scores = json.loads(result.stdout)
    assert scores["count"] == 288
    assert scores["confusion"] == {"alert": {"alert": 1, "calm": 1}, "calm": {"calm": 286}}
