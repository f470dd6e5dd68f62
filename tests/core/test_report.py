"""News of bad events is no complaint; complaints that sound like news are."""

from datetime import UTC, datetime

import pytest

from pipeline.config.model import Config
from pipeline.contract.events import Kind, Label, Mention
from pipeline.core.dedup import Memory
from pipeline.core.intents import COMPLAINING
from pipeline.core.triage import Triage
from tests.core.news_cases import COMPLAINTS, LINK, REPORTS

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
TRIAGE = Triage(Config(version=1))


def judged(kind, text):
    is_article = kind == "article"
    mention = Mention(
        id="feed:1",
        source="feed",
        native_id="1",
        created_at=NOW,
        collected_at=NOW,
        kind=Kind(kind),
        title=text if is_article else None,
        text="" if is_article else text,
        links=(LINK.strip(),) if LINK in text else (),
    )
    return TRIAGE.judge(mention, Memory(9), NOW)


@pytest.mark.parametrize(("kind", "text"), REPORTS)
def test_a_report_of_a_bad_event_is_not_negative(kind, text):
    assert judged(kind, text).sentiment.label is not Label.NEGATIVE


@pytest.mark.parametrize("text", [text for kind, text in REPORTS if kind == "article"])
def test_an_article_that_reports_complains_of_nothing_and_goes_to_no_help_desk(text):
    found = judged("article", text)
    assert COMPLAINING.isdisjoint(found.intents)
    assert not {"service", "support"} & set(found.departments)


@pytest.mark.parametrize(("kind", "text"), COMPLAINTS)
def test_a_complaint_that_sounds_like_news_is_negative(kind, text):
    assert judged(kind, text).sentiment.label is Label.NEGATIVE


def test_danger_in_the_news_keeps_its_priority():
    assert judged("article", "Regulator sues Acme over hidden fees").priority.value == "high"


def test_what_is_learned_of_an_article_stands_on_what_was_decided():
    mention = Mention(
        id="feed:1",
        source="feed",
        native_id="1",
        created_at=NOW,
        collected_at=NOW,
        kind=Kind.ARTICLE,
        title="Strike at Acme enters second week, flights cancelled",
    )
    (lesson,) = TRIAGE.lessons(mention, department="marketing")
    assert lesson.feeling == judged("article", mention.title).sentiment.score
    assert not lesson.rules
