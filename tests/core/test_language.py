"""Which language a text is in."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.language import UNKNOWN, FastText, Identifier, Language, primary
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
        ("посылка до сих пор не пришла, что делать, вы ответите?", "ru"),
        ("посилка досі не прийшла, що робити, їй потрібна допомога", "uk"),
        ("سفارش من هنوز نرسیده چه کار کنم", "fa"),
        ("میرا آرڈر ابھی تک نہیں آیا", "ur"),
        ("मेरा ऑर्डर अभी तक नहीं आया है", "hi"),
        ("mera order abhi tak nahi aaya hai, kya karu", "hi"),
        ("ההזמנה שלי עדיין לא הגיעה", "he"),
        ("το δέμα δεν ήρθε ακόμα", "el"),
        ("พัสดุยังไม่มาถึงเลย", "th"),
        ("আমার অর্ডার এখনও আসেনি", "bn"),
        ("ნივთი ჯერ არ მოსულა", "ka"),
        ("@acme 2 hrs on tarmac w/ no update smh #fail #acmefail http://t.co/x", "en"),
        ("ACME アプリ https://example.org/a-long-address-in-latin-letters 使えない", "ja"),
        ("the staff at 東京 were great and we will come again", "en"),
        ("الطرد لم يصل بعد", "ar"),
        ("택배가 아직 안 왔어요", "ko"),
    ],
)
def test_a_plain_sentence_is_recognised(text, code):
    assert identify(text).code == code


def test_the_source_is_believed_where_nothing_contradicts_it():
    assert identify("ok 👍", "de-AT") == Language("de", 0.9, "declared")


def test_a_declared_language_is_kept_where_its_script_fits():
    assert identify("東京駅", "ja").code == "ja"
    assert identify("東京駅").code == "zh"
    assert identify("посылка", "sr-Cyrl").code == "sr"


def test_a_language_that_is_never_in_latin_letters_is_not_believed_for_them():
    assert identify("the parcel is late and nobody answers", "ja").code == "en"


def test_a_script_outweighs_what_the_source_says():
    assert identify("荷物がまだ届きません", "en").code == "ja"


def test_clear_function_words_outweigh_what_the_source_says():
    assert identify("ich habe das nicht bestellt und es ist auch nicht für mich", "en").code == "de"


@pytest.mark.parametrize("text", ["", "👍👍", "123 456", "@acme #acme https://example.org/x"])
def test_what_has_no_words_has_no_language(text):
    assert identify(text).code == UNKNOWN


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en-GB", "en"),
        ("pt_BR", "pt"),
        ("und", None),
        ("", None),
        (None, None),
        ("english", None),
        ("iw", "he"),
        ("nb-NO", "no"),
        ("zxx", None),
        ("qme", None),
        ("zh-Hant-TW", "zh"),
    ],
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


def test_a_lone_surrogate_is_no_obstacle():
    assert identify("xyzzy \ud800 plugh").code


def test_the_shipped_model_answers_without_a_network():
    code, confidence = FastText()("hyvää huomenta kaikille, mukavaa päivää")
    assert code == "fi"
    assert confidence > 0.5


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
    for name, code in codes.items():
        texts = [row["text"] for row in rows if row["lang"] == name]
        right = sum(identify(text).code == code for text in texts)
        # Much of the set's Hindi is English, and some of its German.
        assert right / len(texts) > (0.45 if name == "hindi" else 0.85), (name, right / len(texts))


@pytest.mark.shared
def test_english_posts_full_of_handles_and_tags_are_english(shared):
    with (shared / "data/airline_sentiment/tweets.csv").open(encoding="utf-8", newline="") as handle:
        texts = [row["text"] for row in csv.DictReader(handle)][:3000]
    assert sum(identify(text).code == "en" for text in texts) / len(texts) > 0.98
