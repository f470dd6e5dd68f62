"""Label and score: what they must get right whatever the model is."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.events import Label, Rating
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment.lexicon import LANGUAGES, read
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


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("nicht gut", "de"),
        ("kein guter Service", "de"),
        ("no es bueno", "es"),
        ("c'est pas bien", "fr"),
        ("non è bello", "it"),
        ("não é bom", "pt"),
        ("the service was good but now it is awful", "en"),
        ("der Service war gut, aber jetzt ist er schrecklich", "de"),
        ("nicht funktioniert nicht", "de"),
        ("das Gerät funktioniert nicht", "de"),
        ("ne marche pas", "fr"),
        ("no funciona", "es"),
    ],
)
def test_negations_and_turns_are_heard(text, language):
    assert judge(text, language).score < 0


@pytest.mark.parametrize("language", ["de", "es", "fr", "it", "pt", "nl", "ja"])
def test_emoji_and_typed_faces_speak_every_language(language):
    assert judge("acme 😡😡", language).label == Label.NEGATIVE
    assert judge("acme 😍 :)", language).label == Label.POSITIVE
    assert judge("https://example.org/ 8:30 (x)", language).score == 0


def test_drawn_out_letters_do_not_hide_a_word():
    assert judge("toooll", "de").score == judge("tooooll", "de").score > 0
    assert judge("kkkkkkkkkk", "pt").score > 0


def test_accents_may_be_left_out():
    assert judge("pessimo", "pt").score == judge("péssimo", "pt").score < 0


def test_a_text_in_no_known_language_is_scored_with_little_confidence():
    found = judge("awsome phone, perfect", "und")
    assert found.label == Label.POSITIVE
    assert found.vader is None
    assert found.confidence <= 0.5


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_files_say_one_thing_about_a_word(language):
    seen = {}
    for value, words_of in read(language)["words"].items():
        assert -4 <= value <= 4
        for word in words_of.split():
            seen.setdefault(word, []).append(value)
    assert {word: values for word, values in seen.items() if len({value > 0 for value in values}) > 1} == {}
    for phrases in read(language)["phrases"].values():
        assert all(isinstance(phrase, str) and phrase for phrase in phrases)


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


@pytest.mark.shared
def test_labelled_posts_of_five_languages_are_told_apart(shared):
    """Far above chance (one in three): a floor under later changes, not a goal."""
    codes = {"german": "de", "spanish": "es", "french": "fr", "italian": "it", "portuguese": "pt"}
    with (shared / "data/sentiment_multilang/tweets.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["lang"] in codes]
    right = sum(judge(row["text"], codes[row["lang"]]).label == row["label"] for row in rows)
    assert right / len(rows) > 0.5
