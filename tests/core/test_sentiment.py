"""Label and score: what they must get right whatever the model is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.events import Label, Rating
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment.score import Lexical, stars

MODEL = Lexical()


def judge(text, language="en", rating=None):
    return MODEL.judge(text, language, words(text), rating)


@pytest.mark.parametrize(
    ("text", "language", "label"),
    [
        ("on hold for two hours and still waiting, thanks for nothing", "en", "negative"),
        ("the app keeps crashing since the update", "en", "negative"),
        ("finally works, great job, love it", "en", "positive"),
        ("the parcel arrives on Tuesday", "en", "neutral"),
        ("Das ist schrecklich und niemand hilft, ich bin enttäuscht", "de", "negative"),
        ("Super toll, ich bin begeistert", "de", "positive"),
        ("qué horror, muy malo, pésimo servicio", "es", "negative"),
        ("magnifique, merci, je recommande", "fr", "positive"),
        ("servizio pessimo, sono deluso", "it", "negative"),
        ("adorei, maravilhoso, obrigada", "pt", "positive"),
    ],
)
def test_a_plain_feeling_is_seen(text, language, label):
    assert judge(text, language).label == label


def test_vader_is_only_given_for_english():
    assert judge("good", "en").vader == 0.4404
    assert judge("gut", "de").vader is None


def test_a_language_without_a_model_is_neutral_and_says_so_by_its_confidence():
    found = judge("to jest bardzo dobre", "pl")
    assert (found.label, found.vader) == (Label.NEUTRAL, None)
    assert found.confidence <= 0.2


def test_stars_outweigh_words():
    assert judge("great, just great", rating=Rating(value=1)).label == Label.NEGATIVE
    assert judge("it is ok", rating=Rating(value=5)).label == Label.POSITIVE


@pytest.mark.parametrize(
    ("value", "best", "worst", "expected"),
    [(1, 5, 1, -1), (5, 5, 1, 1), (3, 5, 1, 0), (0, 1, 0, -1), (7, 5, 1, 1), (3, 3, 3, 0)],
)
def test_stars_are_read_on_their_own_scale(value, best, worst, expected):
    assert stars(Rating(value=value, best=best, worst=worst)) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["en", "de", "fr", "ja", "und"]), st.none() | st.floats(0, 10))
def test_any_text_has_a_feeling_within_bounds(text, language, value):
    found = judge(text, language, None if value is None else Rating(value=value))
    assert -1 <= found.score <= 1
    assert 0 <= found.confidence <= 1
