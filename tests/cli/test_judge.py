"""`earshot triage`, `explain` and `evaluate` as a person or a script uses them."""

import contextlib
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from pipeline.cli.judge import evaluate, explain, triage
from pipeline.cli.main import main
from pipeline.config.model import Config
from pipeline.contract.codec import encode, mention_from_json
from pipeline.core.dedup import Memory
from pipeline.core.triage import Triage

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)

KEYS = {
    "id",
    "outcome",
    "reason",
    "brands",
    "language",
    "sentiment",
    "spam",
    "intents",
    "departments",
    "department_scores",
    "priority",
    "decision",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EARSHOT_CONFIG", raising=False)


def run(command, *words, given=None):
    return CliRunner().invoke(main, [command.name, *(str(word) for word in words)], input=given)


def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def decisions(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_line_has_every_key_and_the_id_as_it_was_given():
    result = run(triage, given=lines({"id": "a:1", "text": "It keeps crashing"}, {"id": 2, "text": ""}))
    assert result.exit_code == 0
    rows = decisions(result)
    assert [row["id"] for row in rows] == ["a:1", 2]
    for row in rows:
        assert row.keys() >= KEYS
        assert row["sentiment"].keys() >= {"label", "score", "vader"}
        assert row["department_scores"].keys() == {"service", "support", "design", "marketing"}
    assert (rows[0]["outcome"], rows[0]["departments"]) == ("routed", ["support"])
    assert (rows[1]["outcome"], rows[1]["reason"]) == ("discarded", "empty")


def test_a_repeated_id_is_a_duplicate_however_far_apart():
    rows = [{"id": "1", "text": "first"}, *({"id": f"x{n}", "text": f"text {n}"} for n in range(50))]
    result = run(triage, given=lines(*rows, {"id": "1", "text": "first"}))
    assert decisions(result)[-1]["reason"] == "duplicate"


def test_bad_lines_are_reported_with_their_number_and_the_others_go_on():
    given = lines(
        {"id": "1", "text": "good"},
        "no json \x1b[31m",
        [1, 2],
        {"text": "no id"},
        "",
        {"id": "2", "text": 7},
        {"id": "3", "text": "good", "created_at": "yesterday"},
        {"id": "4", "text": "good"},
    )
    result = run(triage, given=given)
    assert result.exit_code == 1
    assert [(row["id"], row["outcome"], row["reason"]) for row in decisions(result)] == [
        ("1", "routed", None),
        (None, "dead-lettered", "undecodable"),
        (None, "dead-lettered", "invalid"),
        (None, "dead-lettered", "invalid"),
        ("2", "dead-lettered", "invalid"),
        ("3", "dead-lettered", "invalid"),
        ("4", "routed", None),
    ]
    for number in (2, 3, 4, 6, 7):
        assert f"standard input, line {number}:" in result.stderr
    assert "line 5" not in result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr


def test_bytes_that_are_no_text_and_lone_surrogates_end_nothing():
    given = b'{"id": "1", "text": "\xff\xfe"}\n{"id": "2", "text": "half \\ud800 pair"}\n{"id": "3", "text": "good"}\n'
    result = run(triage, given=given)
    assert [(row["id"], row["outcome"]) for row in decisions(result)] == [
        (None, "dead-lettered"),
        ("2", "routed"),
        ("3", "routed"),
    ]
    assert "line 1: not UTF-8: save the file as UTF-8" in result.stderr
    assert "line 2" not in result.stderr


def test_times_that_cannot_be_and_texts_of_a_megabyte_are_judged():
    given = lines(
        {"id": "1", "text": "old", "created_at": "0001-01-01T00:00:00Z"},
        {"id": "2", "text": "new", "created_at": "9999-12-31T23:59:59Z"},
        {"id": "3", "text": "crash " * 170_000},
        {"id": "4", "text": "(" * 100_000},
        {"id": "5", "text": "😀" * 100_000},
    )
    result = run(triage, given=given)
    assert result.exit_code == 0
    assert [row["outcome"] for row in decisions(result)] == ["routed"] * 5


def test_files_are_read_in_order_with_the_number_of_the_line_in_its_file(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines({"id": "1", "text": "x"}), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text("\ufeff" + lines({"id": "2", "text": "y"}, "broken"), encoding="utf-8")
    result = run(triage, "a.jsonl", "b.jsonl")
    assert [(row["id"], row["outcome"]) for row in decisions(result)] == [
        ("1", "routed"),
        ("2", "routed"),
        (None, "dead-lettered"),
    ]
    assert "b.jsonl, line 2:" in result.stderr


def test_the_configuration_decides_what_is_relevant(tmp_path):
    (tmp_path / "earshot.yaml").write_text("version: 1\nbrands:\n  acme:\n    query: acme\n", encoding="utf-8")
    result = run(triage, given=lines({"id": "1", "text": "acme fell over"}, {"id": "2", "text": "zeta fell over"}))
    assert [(row["outcome"], row["reason"]) for row in decisions(result)] == [
        ("routed", None),
        ("discarded", "not_relevant"),
    ]


def test_feedback_is_learned_first(tmp_path):
    given = lines({"id": "1", "text": "my dongle blinks"})
    before = decisions(run(triage, given=given))[0]
    labels = [{"mention": {"id": f"f{n}", "text": f"dongle blinks {n}"}, "department": "design"} for n in range(6)]
    labels.append({"mention": {"text": "awful dongle"}, "sentiment": "negative", "spam": False})
    (tmp_path / "feedback.jsonl").write_text(lines(*labels), encoding="utf-8")
    result = run(triage, "--feedback", "feedback.jsonl", given=given)
    assert result.exit_code == 0, result.stderr
    after = decisions(result)[0]
    assert after["department_scores"]["design"] > before["department_scores"]["design"] + 0.2
    assert after["decision"]["version"] != before["decision"]["version"]


@pytest.mark.parametrize(
    ("label", "advice"),
    [
        ({"text": "x"}, 'write {"mention"'),
        ({"mention": {"text": "x"}}, "nothing to learn"),
        ({"mention": {"text": "x"}, "department": "sales"}, "write one of"),
        ({"mention": {"text": "x"}, "department": 3}, "must be a string"),
        ({"mention": {"text": "x"}, "sentiment": "furious"}, "is none of negative"),
        ({"mention": {"text": "x"}, "spam": "maybe"}, "true or false"),
    ],
)
def test_wrong_feedback_is_reported_with_advice_and_the_rest_goes_on(tmp_path, label, advice):
    (tmp_path / "feedback.jsonl").write_text(lines(label), encoding="utf-8")
    result = run(triage, "--feedback", "feedback.jsonl", given=lines({"id": "1", "text": "x"}))
    assert result.exit_code == 1
    assert "feedback.jsonl, line 1:" in result.stderr
    assert advice in result.stderr
    assert len(decisions(result)) == 1


def test_a_reader_that_goes_away_ends_the_program_quietly(tmp_path):
    (tmp_path / "many.jsonl").write_text(
        lines(*({"id": n, "text": "It crashed"} for n in range(3000))), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pipeline", "triage", "many.jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_explain_says_where_it_goes_and_why():
    result = run(explain, "--text", "It keeps crashing since the update")
    assert result.exit_code == 0
    for part in ("to support", "crash", "since the update", "rules and model"):
        assert part in result.stdout


def test_explain_shows_markup_and_control_characters_as_harmless_text():
    result = run(explain, "--text", "[bold red]crash[/] \x1b[2J [link=http://x.example]y[/link] crashing")
    assert result.exit_code == 0
    assert "[bold red]crash[/]" in result.stdout
    assert "\x1b[2J" not in result.stdout


def test_explain_as_json_is_the_decision():
    result = run(explain, "--json", "--text", "It keeps crashing")
    assert json.loads(result.stdout)["departments"] == ["support"]


def test_explain_says_of_a_text_about_no_brand_that_it_goes_nowhere_and_what_it_would_weigh(tmp_path):
    (tmp_path / "earshot.yaml").write_text("version: 1\nbrands:\n  acme:\n    query: acme\n", encoding="utf-8")
    result = run(explain, "--text", "It keeps crashing since the update")
    assert result.exit_code == 0
    assert "to nobody: no brand's query matches it (not_relevant)" in " ".join(result.stdout.split())
    assert "rule crash" in result.stdout
    told = json.loads(run(explain, "--json", "--text", "It keeps crashing since the update").stdout)
    assert (told["outcome"], told["reason"]) == ("discarded", "not_relevant")
    assert (told["departments"], told["brands"]) == ([], [])


def test_explain_wants_a_text_or_an_id():
    assert run(explain).exit_code == 2
    assert "either --text" in run(explain, "forum:1", "--text", "x").stderr


class Record:
    def __init__(self, number, event_id, value):
        self._number, self._id, self._value = number, event_id, value

    def headers(self):
        return [("ce_id", self._id.encode())]

    def value(self):
        return self._value

    def offset(self):
        return self._number


class Recorded:
    """A topic of one partition whose readers may begin with the last few records."""

    def __init__(self, records):
        self.records, self.starts = records, []

    def reader(self, _client, _topics, start):
        self.starts.append(start)
        self.records_read = self.records if start == "beginning" else self.records[-start:]
        return self

    def until_end(self, _stop):
        return iter(self.records_read)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def enriched(monkeypatch):
    """Decisions about forum:1 (edited once) and, long before all others, forum:old."""

    def record(number, native, revision, text):
        given = {"id": native, "source": "forum", "text": text, "revision": revision}
        judged = Triage(Config(version=1)).judge(mention_from_json(given, now=NOW), Memory(9), NOW)
        return Record(number, f"forum:{native}@{revision}", encode(judged))

    filler = [record(number, str(number + 100), 0, "x") for number in range(3)]
    topic = Recorded(
        [record(0, "old", 0, "It is slow"), *filler, record(4, "1", 0, "It crashed"), record(5, "1", 1, "I love it")]
    )
    monkeypatch.setattr("pipeline.runtime.finding.WINDOWS", (2, 3))
    monkeypatch.setattr("pipeline.runtime.finding.Reader", topic.reader)
    monkeypatch.setattr("pipeline.cli.broker.attach", lambda *_: contextlib.nullcontext({}))
    return topic


def test_explain_shows_the_newest_decision_of_an_id(enriched):
    result = run(explain, "forum:1")
    assert result.exit_code == 0
    assert "I love it" in result.stdout
    assert "to marketing" in result.stdout
    assert enriched.starts == [2]


def test_explain_looks_further_back_for_an_older_one(enriched):
    assert "It is slow" in run(explain, "forum:old").stdout
    assert enriched.starts == [2, 3, "beginning"]


def test_explain_says_what_it_may_mean_that_an_id_is_not_there(enriched):
    result = run(explain, "forum:2")
    assert result.exit_code == 1
    assert "older than the retention" in result.stderr


LABELS = "text,label\nIt keeps crashing,support\nI love it,marketing\nIt keeps crashing again,design\n"


def test_evaluate_routing_gives_figures_as_json(tmp_path):
    (tmp_path / "labels.csv").write_text(LABELS, encoding="utf-8")
    result = run(evaluate, "routing", "--labels", "labels.csv", "--json")
    scores = json.loads(result.stdout)
    assert scores["count"] == 3
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["confusion"]["design"] == {"support": 1}


@pytest.mark.parametrize(
    ("what", "rows"),
    [("routing", LABELS), ("sentiment", "text,label\nI love it,positive\n"), ("spam", "text,label\nhello,0\n")],
)
def test_evaluate_shows_a_table_for_a_person(tmp_path, what, rows):
    (tmp_path / "labels.csv").write_text(rows, encoding="utf-8")
    result = run(evaluate, what, "--labels", "labels.csv")
    assert result.exit_code == 0
    assert "macro-F1" in result.stdout
    assert "calibration error" in result.stdout


def test_evaluate_names_a_column_that_is_not_there(tmp_path):
    (tmp_path / "labels.csv").write_text("message,label\nx,y\n", encoding="utf-8")
    result = run(evaluate, "routing", "--labels", "labels.csv")
    assert result.exit_code == 2
    assert "--text-column" in result.stderr
