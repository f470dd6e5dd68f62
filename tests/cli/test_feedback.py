"""`earshot feedback` as a person uses it, and JSON feedback with its mistakes."""

import contextlib
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.main import main
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.codec import mention_from_json
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Feedback, Label
from pipeline.contract.feedback import feedback_from_json
from pipeline.core.dedup import Memory
from pipeline.core.triage import Triage

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def judged(text):
    mention = mention_from_json({"id": "1", "source": "forum", "text": text, "language": "en"}, now=NOW)
    return Triage(Config(version=1)).judge(mention, Memory(9), NOW)


CRASH = judged("It keeps crashing since the update")


class Given:
    """Takes what the command writes."""

    given: ClassVar[list[Feedback]] = []
    is_away = False

    def __init__(self, _client, source):
        self.source = source

    def give(self, feedbacks, name):
        if self.is_away:
            raise BrokerUnavailableError("the feedback could not be kept")
        assert name.startswith("command-")
        self.given.extend(feedbacks)

    def close(self):
        pass


@pytest.fixture
def taken(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Given, "given", [])
    monkeypatch.setattr("pipeline.runtime.learning.giving.Giver", Given)
    monkeypatch.setattr("pipeline.cli.broker.attach", lambda *_: contextlib.nullcontext({}))
    monkeypatch.setattr("pipeline.runtime.finding.newest", lambda _, ids: {CRASH.id: CRASH} if CRASH.id in ids else {})
    return Given.given


def run(*words):
    return CliRunner().invoke(main, ["feedback", *words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--department", "design"), {"department": "design"}),
        (("--ours",), {"ours": True}),
        (("--done",), {"done": True}),
        (("--sentiment", "negative"), {"sentiment": Label.NEGATIVE}),
        (("--spam",), {"spam": True}),
        (("--not-spam", "--ours"), {"spam": False, "ours": True}),
    ],
)
def test_a_word_goes_with_the_mention_and_what_had_been_decided(taken, words, expected):
    result = run("forum:1", "--by", "Ida", *words)
    assert result.exit_code == 0, result.stderr
    (word,) = taken
    said = {name: getattr(word, name) for name in ("department", "ours", "done", "sentiment", "spam")}
    assert said == {"department": None, "ours": False, "done": False, "sentiment": None, "spam": None} | expected
    assert (word.by, word.departments) == ("Ida", CRASH.departments)
    assert word.mention == codec.plain(CRASH)
    assert word.rules == tuple(rule.name for rule in CRASH.decision.rules)
    assert codec.decode(Feedback, codec.encode(word)) == word
    assert "forum:1 (went to support" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "advice"),
    [
        (("forum:1", "--by", "Ida"), 2, "nothing to learn"),
        (("forum:1", "--by", "Ida", "--department", "sales"), 2, "departments are service, support"),
        (("forum:1", "--by", " ", "--ours"), 2, "by is missing"),
        (("forum:1", "--ours"), 2, "--by"),
        (("forum:2", "--by", "Ida", "--ours"), 1, "no decision about forum:2 is kept"),
        (("forum:1", "--by", "Ida", "--sentiment", "furious"), 2, "furious"),
    ],
)
def test_what_is_wrong_is_said_with_advice_and_nothing_is_written(taken, words, code, advice):
    result = run(*words)
    assert result.exit_code == code
    assert advice in result.stderr
    assert taken == []


def test_ours_needs_a_name_where_several_had_it(taken, monkeypatch):
    import msgspec

    both = msgspec.structs.replace(CRASH, departments=("support", "design"))
    monkeypatch.setattr("pipeline.runtime.finding.newest", lambda *_: {both.id: both})
    result = run("forum:1", "--by", "Ida", "--ours")
    assert result.exit_code == 2
    assert "went to support, design: say with --department" in result.stderr
    assert run("forum:1", "--by", "Ida", "--ours", "--department", "design").exit_code == 0
    assert taken[-1].department == "design"


def test_that_kafka_did_not_take_it_is_said(taken, monkeypatch):
    monkeypatch.setattr(Given, "is_away", True)
    result = run("forum:1", "--by", "Ida", "--ours")
    assert result.exit_code == 1
    assert "could not be kept" in result.stderr


def test_explain_again_needs_an_id(taken):
    result = CliRunner().invoke(main, ["explain", "--text", "x", "--again"])
    assert result.exit_code == 2
    assert "--again needs the ID" in result.stderr


def test_explain_again_compares_the_decision_with_the_one_made_now(taken, monkeypatch):
    result = CliRunner().invoke(main, ["explain", "forum:1", "--again"])
    assert result.exit_code == 0, result.stderr
    assert "made again with nothing learned: the same" in result.stdout
    import msgspec

    other = msgspec.structs.replace(CRASH, departments=("design",), priority="low")
    monkeypatch.setattr("pipeline.runtime.finding.newest", lambda *_: {other.id: other})
    result = CliRunner().invoke(main, ["explain", "forum:1", "--again"])
    assert "departments, priority differ" in result.stdout


# -------------------------------------------------------------------------------------------------- as JSON


def test_a_mention_that_is_sent_names_the_feedback():
    word = feedback_from_json({"mention": {"id": 7, "text": "x"}, "spam": False, "by": "Ida"}, now=NOW)
    assert (word.id, word.spam, word.mention.text) == ("import:7", False, "x")


def test_who_says_it_may_be_known_from_elsewhere():
    assert feedback_from_json({"id": "a:1", "done": True}, now=NOW, by="desk").by == "desk"
    assert feedback_from_json({"id": "a:1", "done": True, "by": "Jo"}, now=NOW, by="desk").by == "Jo"


def test_half_a_character_in_a_name_is_mended():
    word = feedback_from_json({"id": "a:1", "done": True, "by": "I\ud800da"}, now=NOW)
    assert codec.decode(Feedback, codec.encode(word)).by == "I\ufffdda"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.dictionaries(
        st.sampled_from(["id", "by", "department", "ours", "done", "sentiment", "spam", "mention"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.text()),
    )
)
def test_any_json_is_a_feedback_that_survives_the_codec_or_a_mistake_in_words(row):
    with contextlib.suppress(InvalidMessageError):
        word = feedback_from_json(row, now=NOW)
        assert codec.decode(Feedback, codec.encode(word)) == word
