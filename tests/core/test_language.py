"""Which language a text is in."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.language import UNKNOWN, Identifier, primary
from pipeline.core.routing.wordings import words

IDENTIFIER = Identifier()


def identify(text, declared=None):
    return IDENTIFIER.identify(text, declared, words(text))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("my parcel is late again and nobody answers the phone", "en"),
        ("Mein Paket ist seit drei Tagen nicht da und niemand antwortet", "de"),
        ("llevo tres días esperando y nadie me contesta por teléfono", "es"),
        ("ça fait trois jours que j'attends et personne ne répond", "fr"),
        ("sono tre giorni che aspetto e nessuno mi risponde al telefono", "it"),
        ("estou há três dias à espera e ninguém me responde, não é normal", "pt"),
        ("荷物がまだ届きません", "ja"),
        ("包裹还没到", "zh"),
        ("посылка до сих пор не пришла, что делать", "ru"),
        ("الطرد لم يصل بعد", "ar"),
        ("택배가 아직 안 왔어요", "ko"),
    ],
)
def test_a_plain_sentence_is_recognised(text, code):
    assert identify(text).code == code


def test_the_source_is_believed_where_nothing_contradicts_it():
    assert identify("ok 👍", "de-AT") == ("de", 0.9, "declared")


def test_a_script_outweighs_what_the_source_says():
    assert identify("荷物がまだ届きません", "en").code == "ja"


def test_clear_function_words_outweigh_what_the_source_says():
    assert identify("ich habe das nicht bestellt und es ist auch nicht für mich", "en").code == "de"


@pytest.mark.parametrize("text", ["", "👍👍", "123 456", "@acme #acme https://example.org/x"])
def test_what_has_no_words_has_no_language(text):
    assert identify(text).code == UNKNOWN


@pytest.mark.parametrize(
    ("tag", "code"), [("en-GB", "en"), ("pt_BR", "pt"), ("und", None), ("", None), (None, None), ("english", None)]
)
def test_a_tag_names_a_language_or_none(tag, code):
    assert primary(tag) == code


def test_the_model_is_only_asked_when_words_do_not_settle_it():
    asked = []

    def model(text):
        asked.append(text)
        return "en", 0.9

    identifier = Identifier(model)
    sure = "this is not what we have ordered and it is late"
    identifier.identify(sure, None, words(sure))
    assert asked == []
    identifier.identify("kudos fabulous crew", None, ["kudos", "fabulous", "crew"])
    assert len(asked) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.none() | st.text(max_size=5))
def test_any_text_has_an_answer(text, declared):
    found = identify(text, declared)
    assert found.code
    assert 0 <= found.confidence <= 1


@pytest.mark.shared
def test_labelled_posts_are_recognised(shared):
    with (shared / "data/sentiment_multilang/tweets.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    codes = {
        "english": "en",
        "german": "de",
        "spanish": "es",
        "french": "fr",
        "italian": "it",
        "portuguese": "pt",
        "arabic": "ar",
        "hindi": "hi",
    }
    for name in ("english", "german", "spanish", "french", "italian", "arabic"):
        texts = [row["text"] for row in rows if row["lang"] == name]
        right = sum(identify(text).code == codes[name] for text in texts)
        assert right / len(texts) > 0.85, (name, right / len(texts))
