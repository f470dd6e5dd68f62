"""Spam: precision first."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.routing.wordings import words
from pipeline.core.spam import score


def found(text):
    return score(text, words(text))


@pytest.mark.parametrize(
    "text",
    [
        "GIVEAWAY ALERT! Follow and retweet to win a free iPhone https://bit.example/x",
        "Please subscribe to my channel, I make videos every day",
        "Earn money from home, $500 per day, whatsapp me",
        "You have won a £1000 cash prize! Call 09061701461 to claim",
        "New airdrop, presale is live, $MOON to 100x",
    ],
)
def test_plain_spam_is_marked_with_its_reasons(text):
    assert found(text).score >= 0.5
    assert found(text).reasons


@pytest.mark.parametrize(
    "text",
    [
        "My parcel is three days late and the free shipping I paid for was a joke",
        "Error 503 again, see https://status.example/ and fix it",
        "You charged me $49.99 twice, I want a refund",
        "I WANT TO CANCEL MY SUBSCRIPTION NOW!!!",
        "Loved the show, check out the review at https://blog.example/post",
        "",
    ],
)
def test_what_customers_write_is_not(text):
    assert found(text).score < 0.5


@given(st.text(max_size=300))
def test_any_text_has_a_score(text):
    assert 0 <= found(text).score < 1


@pytest.mark.shared
def test_labelled_comments(shared):
    with (shared / "data/spam_youtube/comments.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    pairs = [
        (found(row.get("text") or row.get("content") or "").score >= 0.5, row["label"].lower() in ("spam", "1"))
        for row in rows
    ]
    marked = [truth for guess, truth in pairs if guess]
    assert sum(marked) / len(marked) > 0.97
