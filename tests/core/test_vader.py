"""FastVader against the original, on everything we could think of."""

import csv
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vaderSentiment import vaderSentiment as original  # noqa: N813

from pipeline.core.sentiment.vader import CACHE, FastVader, PairedVader

THEIRS = original.SentimentIntensityAnalyzer()
OURS = FastVader()

# Words that meet every rule: boosters, negations, idioms and their parts, "no", "least", "kind of", "but".
RULES = [
    *original.BOOSTER_DICT,
    *original.NEGATE,
    *original.SPECIAL_CASES,
    *[
        "no",
        "or",
        "nor",
        "least",
        "at",
        "very",
        "kind",
        "of",
        "sort",
        "so",
        "this",
        "without",
        "doubt",
        "never",
        "but",
        "BUT",
        "but,",
        "the",
        "shit",
        "bomb",
        "bad",
        "ass",
    ],
    *[
        "good",
        "bad",
        "great",
        "love",
        "hate",
        "GOOD",
        "BAD",
        "Great",
        "terrible,",
        "awful!",
        "nice?",
        "happy",
        ":)",
        ":(",
        ":D",
        "<3",
        ";-)",
        "lol",
        "LOL",
        ":-/",
        "x3",
    ],
    *[
        "a",
        "I",
        "it",
        "phone",
        "12",
        "…",
        "-",
        "--",
        "!!!",
        "???",
        "?!",
        "n't",
        "isn'tx",
        "ain’t",
        "café",
        "ÜBER",
        "ﬁne",
        "İ",
        "K",
    ],
]
EMOJI = [key for key in THEIRS.emojis if len(key) == 1] + ["👍🏽", "❤️", "👨‍👩‍👧"]


def same(text):
    assert OURS.compound(text) == THEIRS.polarity_scores(text)["compound"], text


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(RULES) | st.sampled_from(EMOJI), max_size=14).map(" ".join))
@example("no or good")
@example("never so this good")
@example("good but good but bad bad good GOOD but but")
@example("at least good")
@example("very least good")
@example("least good")
@example("kind of kind")
@example("it is not the bus stop")
def test_every_rule_is_the_same(text):
    same(text)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(RULES), max_size=10), st.lists(st.sampled_from("!?.,* \t\n\u00a0"), max_size=10))
def test_punctuation_and_odd_white_space_are_the_same(words, marks):
    same("".join(word + mark for word, mark in zip(words, [*marks, *" " * len(words)], strict=False)))


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_the_same(text):
    same(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*EMOJI, "good", " ", "bad", "x", "  ", "!", "\n"]), max_size=12).map("".join))
def test_emoji_next_to_anything_are_the_same(text):
    same(text)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["good", "bad", "good", "but", "great", "meh", "awful", "bad"]), max_size=30).map(" ".join)
)
def test_equal_values_around_but_are_the_same(text):
    same(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00",
        "!" * 200,
        "good" * 3000,
        "GOOD " * 500,
        "😀" * 500,
        "not " * 400 + "good",
        "good but bad " * 200,
        "a" * 20_000,
    ],
)
def test_extreme_texts_are_the_same(text):
    same(text)


def test_a_text_of_many_thousand_words_is_the_same():
    rng = random.Random(3)
    same(" ".join(rng.choices([*RULES, *EMOJI[:40]], k=3000)))
    same(" ".join(rng.choices(["GOOD", "BAD", "VERY", "NOT"], k=2000)))


def test_changed_words_change_only_themselves():
    ours = FastVader({"rebooked": -2.0, "please": 0.0})
    assert ours.compound("the flight was rebooked") < 0 == OURS.compound("the flight was rebooked")
    assert ours.compound("not rebooked") > 0
    assert ours.compound("please") == 0 < OURS.compound("please")
    assert ours.compound("a good flight") == OURS.compound("a good flight")


CHANGES = {"good": -1.0, "phone": 1.5, "bad": 0.0, "bomb": 2.0, "shit": -3.0, "no": -0.5, "least": 1.0}
PAIRED = PairedVader(CHANGES)
CHANGED = FastVader(CHANGES)


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(RULES) | st.sampled_from(EMOJI), max_size=14).map(" ".join))
@example("no or good")
@example("phone good but bad phone")
@example("never so this good phone")
def test_two_lexicons_in_one_walk_are_the_same_as_two_walks(text):
    assert PAIRED.totals(text) == (OURS.total(text), CHANGED.total(text))


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["good", "phone", "bad", "but", "GOOD!"]), max_size=30).map(" ".join)
)
def test_any_text_is_the_same_in_one_walk(text):
    assert PAIRED.totals(text) == (OURS.total(text), CHANGED.total(text))


def test_the_cache_is_bounded():
    vader = FastVader()
    for number in range(CACHE + 100):
        vader.compound(f"word{number}")
    assert len(vader.tokens) <= CACHE
    vader.compound("x" * 100)
    assert "x" * 100 not in vader.tokens


@pytest.mark.shared
def test_labelled_texts_are_the_same(shared):
    rng = random.Random(5)
    for file in (
        "airline_sentiment/tweets.csv",
        "tweeteval_sentiment/tweets.csv",
        "brand_sentiment_sanders/tweets.csv",
    ):
        with (shared / "data" / file).open(encoding="utf-8", newline="") as handle:
            texts = [row["text"] for row in csv.DictReader(handle)]
        for text in rng.sample(texts, min(700, len(texts))):
            same(text)
            same(text.upper())
