"""`earshot simulate`: mentions and truth as files, and decisions scored against it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from connectors.simulator.truth import Labels
from pipeline.cli.main import main
from pipeline.cli.scoring import score
from pipeline.contract.codec import mention_from_json
from pipeline.contract.events import Label
from tests.connectors.kit import NOW


def earshot(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_mentions_and_their_truth_are_written_apart_and_the_same_each_time(tmp_path):
    mentions, truth, again = tmp_path / "m.jsonl", tmp_path / "t.jsonl", tmp_path / "again.jsonl"
    incident = ("--incident", "outage,10m,5m,3")
    done = earshot("simulate", "--seed", 5, "--hours", 0.5, *incident, "--out", mentions, "--truth", truth)
    assert done.exit_code == 0, done.output
    assert earshot("simulate", "--seed", 5, "--hours", 0.5, *incident, "--out", again).exit_code == 0
    assert mentions.read_bytes() == again.read_bytes()
    written, labels = rows(mentions), rows(truth)
    assert len(written) > 300
    assert {row["id"] for row in written} == {row["id"] for row in labels}
    assert len({row["id"] for row in labels}) == len(labels)
    assert any(row.get("incident") == "outage-1" for row in labels)
    for row in written:
        assert mention_from_json(row, now=NOW).id == row["id"]  # `earshot triage` and `earshot import` take them
    assert f"{len(written)} mentions" in done.stderr


def test_what_triage_decides_is_scored(tmp_path):
    mentions, truth, decisions = tmp_path / "m.jsonl", tmp_path / "t.jsonl", tmp_path / "d.jsonl"
    config = tmp_path / "earshot.yaml"
    config.write_text("version: 1\nbrands:\n  quillmoor: {query: 'quillmoor OR subject:quillmoor*'}\n")
    earshot("simulate", "--hours", 0.5, "--out", mentions, "--truth", truth)
    judged = earshot("triage", "--config", config, mentions)
    assert judged.exit_code == 0
    decisions.write_bytes(judged.stdout_bytes)
    shown = earshot("simulate", "--score", decisions, "--truth", truth)
    assert shown.exit_code == 0
    for words in ("departments: accuracy 0.", "sentiment: accuracy 0.", "spam recall", "copies found", "unrelated"):
        assert words in shown.output
    found = json.loads(earshot("simulate", "--score", decisions, "--truth", truth, "--json").output)
    assert found["departments"]["accuracy"] > 0.3  # far better than chance
    assert found["unrelated"]["right"] == found["unrelated"]["of"] > 0
    assert set(found["by_language"]) == {"en", "de", "es", "fr", "it", "pt"}


def labels(name, **more):
    given = {"topic": "crash", "language": "en", "departments": ("support",), "sentiment": Label.NEGATIVE, **more}
    return Labels(id=f"simulator:{name}", **given)


def decided(name, departments=("support",), feeling="negative", **more):
    given = {"outcome": "routed", "reason": None, "language": "en", "spam": 0.0, "story": name}
    return {"id": name, "departments": list(departments), "sentiment": {"label": feeling}, **given, **more}


def test_the_arithmetic_of_the_scores():
    truth = [
        labels("a"),
        labels("b", duplicate_of="simulator:a"),
        labels("c", departments=("service", "marketing"), topic="hijack"),
        labels("d", departments=(), is_spam=True, sentiment=Label.NEUTRAL),
        labels("e", departments=(), is_relevant=False, sentiment=Label.NEUTRAL),
        labels("f", departments=(), is_own=True, sentiment=Label.NEUTRAL),
        labels("g", sentiment=Label.POSITIVE, departments=("marketing",)),
        labels("never seen"),
    ]
    found = score(
        truth,
        [
            decided("a"),
            decided("b", story="a"),
            decided("c", ["marketing"], "neutral"),
            decided("d", ["review"], spam=0.9),
            decided("e", [], outcome="discarded", reason="not_relevant", story=None),
            decided("f", [], outcome="discarded", reason="own_account", story=None),
            decided("g", ["review"], "positive", spam=0.7, story="a"),
            decided("a", ["design"], reason="withdrawn"),  # says nothing about the text
            decided("stranger"),
        ],
    )
    assert (found.departments.count, found.departments.accuracy) == (4, 0.75)
    assert (found.sentiment.count, found.sentiment.accuracy) == (4, 0.75)
    assert (found.spam_precision.right, found.spam_precision.of, found.spam_recall.share) == (1, 2, 1.0)
    assert (found.found.right, found.found.of) == (1, 1)
    assert (found.joined.right, found.joined.of) == (1, 3)  # g is in the story of a, and does not repeat it
    assert (found.unrelated.share, found.own.share, found.unjudged) == (1.0, 1.0, 1)
    assert (found.reviewed.right, found.reviewed.of) == (1, 4)
    right, feels = found.by_topic["hijack"]
    assert (right.share, feels.share) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--incident", "outage"], "write KIND,AT,FOR"),
        (["--incident", "flood,1m,5m"], "incidents.0.kind"),
        (["--hours", "0"], "above 0"),
        (["--start", "-1d"], "name the instant with --start"),
        (["--source", "nobody"], "has no source 'nobody' of type simulator"),
        (["--rate", "-3"], "rate"),
        (["--out", "/nowhere/at/all.jsonl"], "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(arguments, says):
    done = earshot("simulate", *arguments)
    assert done.exit_code == 2
    assert says in done.stderr


def test_scoring_needs_the_truth_and_something_to_score(tmp_path):
    decisions, truth = tmp_path / "d.jsonl", tmp_path / "t.jsonl"
    decisions.write_text("{}\n")
    assert "add --truth FILE" in earshot("simulate", "--score", decisions).stderr
    truth.write_text("no json\n")
    assert "line 1" in earshot("simulate", "--score", decisions, "--truth", truth).stderr
    truth.write_text("")
    done = earshot("simulate", "--score", decisions, "--truth", truth)
    assert (done.exit_code, "none of the decisions" in done.stderr) == (2, True)


def test_the_truth_of_a_configured_source(tmp_path):
    config, one, other = tmp_path / "earshot.yaml", tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    config.write_text(
        "version: 1\nsources:\n  sim: {type: simulator, seed: 9, rate: 300, start: 2026-11-23T06:00:00Z}\n"
    )
    assert earshot("simulate", "--config", config, "--source", "sim", "--hours", 1, "--truth", one).exit_code == 0
    assert earshot("simulate", "--seed", 9, "--rate", 300, "--hours", 1, "--truth", other).exit_code == 0
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes()
