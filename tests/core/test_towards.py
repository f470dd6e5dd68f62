"""What a mention says of each of its brands."""

from datetime import UTC, datetime
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.model import Config
from pipeline.contract.events import Author, Label, Mention, Sentiment
from pipeline.core.dedup import Memory
from pipeline.core.pulse import PulseBatch
from pipeline.core.sentiment.contrast import LANGUAGES
from pipeline.core.sentiment.places import places
from pipeline.core.sentiment.towards import MOST_LETTERS, towards
from pipeline.core.triage import Triage
from tests.core.towards_cases import BRANDS, FRESH, LATER, SEEN

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
NEUTRAL = Sentiment(label=Label.NEUTRAL, score=0.0)

# What it gets wrong, and why. A case that comes out right must be taken off this list.
WRONG = {
    "Nothing works since Acme bought Globex": "trouble with both without a word that sounds bad",
    "Acme's delivery was late and the box was damaged, Globex has never let me down": "praise by denial, too faint",
    "Replaced my Globex vacuum with an Acme. What a piece of junk.": "who was left comes out a hair under positive",
    "Oh great, Acme is down again. At least Globex works.": "irony",
    "Ordered from Acme through Globex, awesome product, happy with it": "whose product it is takes knowledge",
    "Acme stole my money! Globex refunded me within a day": "a refund within a day is praise to a reader, not to words",
    "Acme picked up on the first ring. Globex left me on hold for an hour.": "praise by a fact",
    "Been with Globex for years but Acme gave me a far better deal": "a comparison whose other side is a clause away",
    "Finally got rid of Acme! So happy with Globex": "got rid of is no wording yet, and finally sounds glad",
    "Compared to Globex, Acme is a dream": "a dream is praise in this place only",
    "Acme's battery lasts longer than Globex's": "longer is better of a battery, and worse of a queue",
    "Why can't Acme be more like Globex? Their website is a disaster": "whose website it is takes knowledge",
}


@pytest.fixture(scope="module")
def triage():
    return Triage(config())


def config(**parts):
    return Config.model_validate({"version": 1, "brands": {name: {"query": name} for name in BRANDS}, **parts})


def judged(triage, text, language="en", **fields):
    mention = Mention(
        id="test:1",
        source="test",
        native_id="1",
        created_at=NOW,
        collected_at=NOW,
        text=text,
        language=language,
        **fields,
    )
    return triage.judge(mention, Memory(9), NOW)


def labels(triage, text, language="en"):
    return {brand: one.label.value for brand, one in judged(triage, text, language).towards.items()}


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        pytest.param(*case, marks=pytest.mark.xfail(reason=WRONG[case[1]], strict=True)) if case[1] in WRONG else case
        for case in (*SEEN, *LATER, *FRESH)
    ],
)
def test_each_brand_gets_its_own(triage, language, text, expected):
    assert labels(triage, text, language) == expected


def test_every_known_failure_is_a_case():
    assert {text for _, text, _ in (*SEEN, *LATER, *FRESH)} >= WRONG.keys()
    assert len(SEEN) + len(LATER) + len(FRESH) >= 60


def test_it_is_far_better_than_giving_every_brand_the_feeling_of_the_text(triage):
    cases = (*SEEN, *LATER, *FRESH)
    whole = sum(
        {brand: judged(triage, text, language).sentiment.label.value for brand in expected} == expected
        for language, text, expected in cases
    )
    own = sum(labels(triage, text, language) == expected for language, text, expected in cases)
    assert own >= 105
    assert whole <= 20


def test_one_brand_has_nothing_of_its_own(triage):
    found = judged(triage, "Acme is terrible, nothing works")
    assert found.brands == ("acme",)
    assert found.towards == {}


def test_a_language_nobody_reads_has_nothing_of_its_own(triage):
    assert judged(triage, "Acme on parempi kuin Globex", "fi").towards == {}


def test_a_brand_that_matched_by_a_field_gets_what_the_text_says():
    triage = Triage(config(brands={"acme": {"query": "acme"}, "globex": {"query": "source:test OR globex"}}))
    found = judged(triage, "Acme is terrible, nothing works")
    assert found.towards["globex"].label is found.sentiment.label
    assert found.towards["globex"].score == found.sentiment.score


def test_brands_with_the_same_words_are_felt_the_same():
    triage = Triage(config(brands={"acme": {"query": "acme"}, "acme-phones": {"query": "acme AND phone"}}))
    found = judged(triage, "my acme phone is terrible")
    assert found.towards["acme"].label is found.towards["acme-phones"].label is Label.NEGATIVE


def test_the_longer_name_is_not_the_shorter_one():
    found = places("Acme Air is late, Acme is not", {"acme": ("acme",), "acme-air": ('"acme air"',)})
    assert [(place.start, sorted(place.brands)) for place in found] == [(0, ["acme-air"]), (18, ["acme"])]


def test_places_are_found_by_every_form_the_matcher_finds():
    text = "@Acme #acme Acme's ACME café-au-lait and acmephone"
    assert len(places(text, {"acme": ("acme",)})) == 4
    assert len(places(text, {"acme": ("acme*",)})) == 5
    assert len(places(text, {"acme": ("acmes",)})) == 1
    assert len(places(text, {"cafe": ("cafe",)})) == 1
    assert places(text, {"acme": ("source:test", "/ac.e/", "author.followers:[10 TO *]")}) == []


def test_titles_count():
    triage = Triage(config())
    found = judged(triage, "Globex is terrible.", title="Acme is wonderful")
    assert {brand: one.label.value for brand, one in found.towards.items()} == {
        "acme": "positive",
        "globex": "negative",
    }


def test_pulse_counts_each_brand_by_its_own(triage):
    batch = PulseBatch()
    batch.add(judged(triage, "Acme never answers, unlike Globex", author=Author(id="a", followers=7)))
    counts = {record.brand: (record.counts, record.top[0].label) for record in batch.records(NOW)}
    assert (counts["acme"][0].negative, counts["acme"][0].positive) == (1, 0)
    assert (counts["globex"][0].negative, counts["globex"][0].positive) == (0, 1)
    assert counts["acme"][0].score_sum < 0 < counts["globex"][0].score_sum
    assert (counts["acme"][1], counts["globex"][1]) == (Label.NEGATIVE, Label.POSITIVE)


def test_routes_ask_for_the_feeling_of_the_whole_mention():
    triage = Triage(config(routes=[{"name": "angry", "when": "sentiment:negative", "to": ["service"]}]))
    found = judged(triage, "I love Acme, but Globex is terrible, awful, the worst company ever, I hate them")
    assert found.towards["acme"].label is Label.POSITIVE
    assert found.sentiment.label is Label.NEGATIVE
    assert found.departments == ("service",)


@given(
    st.lists(
        st.sampled_from(["Acme", "Globex", "better than", "unlike", ",", "!", "?", "but", "from", "to", "\ue001", "é"])
    )
)
def test_any_text_has_an_answer_for_every_brand_within_bounds(parts):
    brands = {"acme": ("acme",), "globex": ("globex",)}
    for language in LANGUAGES:
        found = towards(" ".join(parts), brands, language, NEUTRAL, lambda _: NEUTRAL)
        assert found.keys() == brands.keys()
        assert all(-1 <= one.score <= 1 for one in found.values())


def test_a_long_text_is_read_up_to_its_bound():
    asked = []

    def feel(piece):
        asked.append(piece)
        return NEUTRAL

    towards("Acme is better than Globex and " * 5000, {"acme": ("acme",), "globex": ("globex",)}, "en", NEUTRAL, feel)
    assert max(map(len, asked)) <= MOST_LETTERS


@pytest.mark.parametrize(
    "hostile",
    [
        "acme " + "a" * 3900 + " globex",
        "acme globex " + "a than " * 560,
        "acme globex " + "mov from " * 430,
        "acme than globex " * 235,
    ],
    ids=["long word", "than", "from", "brands"],
)
def test_no_text_costs_much_more_than_an_ordinary_one_of_its_length(hostile):
    brands = {"acme": ("acme",), "globex": ("globex",)}
    ordinary = "I moved from Acme to Globex because the support of Acme was slow, and it is better. " * 45

    def least(text):
        took = []
        for _ in range(5):
            began = perf_counter()
            towards(text, brands, "en", NEUTRAL, lambda _: NEUTRAL)
            took.append(perf_counter() - began)
        return min(took)

    assert least(hostile) < 20 * least(ordinary)
