"""What the form of a text and what its author is after add to the tone of its words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.events import Label
from pipeline.core.evaluate import evaluate
from pipeline.core.routing.router import Router
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment import form
from pipeline.core.sentiment.form import FormModel, stated
from pipeline.core.sentiment.score import Lexical, own_words

MODEL, ROUTER, FORM = Lexical(), Router(), FormModel()


def judge(text):
    found = words(text)
    return MODEL.judge(text, "en", found, None, ROUTER.look(found, "en").intents)


def shares(text, tone=0.0, intents=()):
    return form.shares({}, FORM.learn, tone, text, words(text), intents)


def test_without_any_sign_a_text_is_neutral():
    assert max(shares("the van is parked outside")) == shares("the van is parked outside").neutral


@pytest.mark.parametrize(
    ("plain", "formed", "label", "grows"),
    [
        ("acme opens a shop", "acme opens a shop http://news.example/1", "neutral", True),
        ("the parcel again", "@acme the parcel again", "negative", True),
        ("good phone", "good phone?", "positive", False),
        ("good phone", "good phone!", "positive", True),
        ("it arrived today", "it never arrived today", "negative", True),
        ("it arrived today", "it arrived today " + "and then we went on " * 6, "positive", False),
    ],
)
def test_a_sign_moves_the_share_of_a_label(plain, formed, label, grows):
    before, after = getattr(shares(plain), label), getattr(shares(formed), label)
    assert (after > before) is grows


@pytest.mark.parametrize(
    ("intent", "label"),
    [("problem", "negative"), ("churn_threat", "negative"), ("praise", "positive"), ("question", "neutral")],
)
def test_what_somebody_is_after_moves_it_too(intent, label):
    assert getattr(shares("it", intents=(intent,)), label) > getattr(shares("it"), label)


@given(st.floats(-1, 1), st.text(max_size=60))
def test_shares_sum_to_one(tone, text):
    assert sum(shares(text, tone)) == pytest.approx(1)


@given(st.floats(0, 1), st.floats(0, 1))
def test_stated_confidence_keeps_the_order_and_is_never_more_than_the_share(one, two):
    assert stated(one) <= one
    assert (stated(one) < stated(two)) is (one < two) or one == pytest.approx(two)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("@acme two hours on hold and the line went dead twice", "negative"),
        ("@acme my order still has not arrived", "negative"),
        ("@acme you lost my parcel again, thanks a lot", "negative"),
        ("No problems at all so far, works great", "positive"),
        ("@acme thank you so much, that was quick!", "positive"),
        ("Acme names a new head of sales http://news.example/2", "neutral"),
        ("Man arrested after robbery near Acme store http://news.example/3", "neutral"),
        ("@acme what time do you open on Sunday?", "neutral"),
        ("Great, another delay. Still waiting at the gate.", "negative"),
    ],
)
def test_what_customers_and_others_write_is_told_apart(text, label):
    assert judge(text).label == label


def test_quoted_lines_do_not_count():
    quoted = judge("> this is the worst and most horrible service ever\nI had a lovely visit, thank you!")
    assert quoted.label == Label.POSITIVE
    assert quoted.score > 0.9


def test_a_text_that_only_quotes_is_read():
    assert own_words("> great\n> stuff") == "> great\n> stuff"
    assert judge("> great stuff").label == Label.POSITIVE


def test_the_compound_is_of_the_whole_text():
    text = "> horrible\ngood"
    assert judge(text).vader != judge("good").vader


@pytest.mark.shared
def test_stated_confidence_is_about_as_often_right(shared):
    import csv

    truth, guess, sure = [], [], []
    for file, column in (
        ("airline_sentiment", "sentiment"),
        ("tweeteval_sentiment", "label"),
        ("brand_emotion_sxsw", "label"),
        ("brand_sentiment_sanders", "label"),
    ):
        with (shared / "data" / file / "tweets.csv").open(encoding="utf-8", newline="") as handle:
            rows = [row for row in csv.DictReader(handle) if row[column] in ("negative", "neutral", "positive")][:1200]
        found = [judge(row["text"]) for row in rows]
        truth += [row[column] for row in rows]
        guess += [one.label.value for one in found]
        sure += [one.confidence for one in found]
    scores = evaluate(truth, guess, sure)
    assert scores.macro_f1 > 0.6
    assert scores.calibration_error < 0.06
