"""Pulse records add up, however batches are cut."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.events import Author, Counts, Decision, Fired, JudgedMention, Label, Outcome, Reason, Sentiment
from pipeline.core.pulse import SKETCH, PulseBatch, distinct, merge, minute, without_names

NOW = datetime(2026, 11, 24, 9, 30, 20, tzinfo=UTC)


def judged(native="1", **changes):
    given = {
        "id": f"forum:{native}",
        "source": "forum",
        "native_id": native,
        "created_at": NOW - timedelta(minutes=2),
        "collected_at": NOW,
        "text": "The blender hums",
        "outcome": Outcome.ROUTED,
        "sentiment": Sentiment(label=Label.NEGATIVE, score=-0.5),
        "decision": Decision(by="model", version="0" * 12),
        "brands": ("acme",),
        "departments": ("support",),
        "intents": ("problem",),
    }
    return JudgedMention(**{**given, **changes})


def records(*mentions):
    batch = PulseBatch()
    for mention in mentions:
        batch.add(mention)
    return batch.records(NOW)


def test_a_mention_counts_in_its_brand_source_and_minute():
    (record,) = records(judged(author=Author(id="a", followers=70)))
    assert (record.brand, record.source, record.minute) == ("acme", "forum", int(NOW.timestamp() // 60) - 2)
    assert record.counts == Counts(mentions=1, negative=1, score_sum=-0.5, reach=70)
    assert record.departments == {"support": 1}
    assert record.intents == {"problem": 1}


def test_each_brand_of_a_mention_gets_a_record():
    assert [record.brand for record in records(judged(brands=("acme", "zeta")))] == ["acme", "zeta"]


def test_without_brands_the_brand_is_all():
    assert [record.brand for record in records(judged(brands=()))] == ["all"]


def test_backfilled_mentions_have_records_of_their_own():
    assert [record.backfill for record in records(judged("1"), judged("2", backfill=True))] == [False, True]


def test_spam_and_discarded_mentions_do_not_count():
    spam = judged("1", reason=Reason.SPAM, departments=("review",))
    assert records(spam, judged("2", outcome=Outcome.DISCARDED, reason=Reason.OWN_ACCOUNT)) == []


def test_a_mention_from_next_year_counts_when_it_was_collected():
    assert minute(judged(created_at=NOW + timedelta(days=365))) == int(NOW.timestamp() // 60)


def test_a_mention_from_the_year_1_counts_in_minute_0():
    assert minute(judged(created_at=datetime(1, 1, 1, tzinfo=UTC))) == 0


def test_terms_are_what_it_is_about_without_handles_and_addresses():
    mention = judged(
        text="@anna_b the blender hums https://example.org/blender-page mail me at anna@example.org",
        tags=("hums",),
        decision=Decision(
            by="model",
            version="0" * 12,
            rules=(Fired(name="noise", department="design", weight=1, terms=("too loud",)),),
        ),
    )
    (record,) = records(mention)
    assert {"blender", "hums", "too loud"} <= set(record.terms)
    assert not any("anna" in term or "example" in term or "page" in term for term in record.terms)


def test_the_five_with_the_largest_reach_are_quoted():
    (record,) = records(*(judged(str(n), author=Author(id=str(n), followers=n)) for n in range(9)))
    assert [top.reach for top in record.top] == [8, 7, 6, 5, 4]


def test_campaigns_are_counted_on_their_own():
    (record,) = records(judged("1", campaigns=("spring",)), judged("2"))
    assert record.campaigns["spring"].mentions == 1
    assert record.counts.mentions == 2


def test_few_authors_are_counted_exactly_and_many_nearly():
    (few,) = records(*(judged(str(n), author=Author(id=str(n % 7))) for n in range(20)))
    assert distinct(few.authors) == 7
    (many,) = records(*(judged(str(n), author=Author(id=str(n))) for n in range(2000)))
    assert len(many.authors) == SKETCH
    assert 1000 < distinct(many.authors) < 4000


def test_records_of_different_brands_are_not_merged():
    one, two = records(judged(brands=("acme", "zeta")))
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(one, two)


mentions = st.builds(
    lambda number, brand, back, ago, followers, label, score, story, campaign: judged(
        str(number),
        brands=(brand,),
        backfill=back,
        created_at=NOW - timedelta(minutes=ago),
        author=Author(id=str(number % 5), followers=followers),
        sentiment=Sentiment(label=label, score=score),
        story=story,
        campaigns=campaign,
    ),
    st.integers(0, 10_000),
    st.sampled_from(["acme", "zeta"]),
    st.booleans(),
    st.integers(0, 2),
    st.integers(0, 1000),
    st.sampled_from(Label),
    st.sampled_from([-0.5, 0.25, 1.0]),
    st.sampled_from([None, "s1", "s2"]),
    st.sampled_from([(), ("spring",)]),
)


@given(st.lists(mentions, max_size=30, unique_by=lambda one: one.id), st.integers(0, 30))
def test_a_batch_cut_in_two_sums_up_to_the_whole(batch, cut):
    whole = {(record.brand, record.minute, record.backfill): record for record in records(*batch)}
    parts: dict = {}
    for record in [*records(*batch[:cut]), *records(*batch[cut:])]:
        key = (record.brand, record.minute, record.backfill)
        parts[key] = merge(parts[key], record) if key in parts else record
    assert parts == whole


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ask @ida.example, me@mail.example or ＠ida about it", "ask or about it"),
        ("see (https://x.example/@a) or www.x.example now", "see or now"),
        ("a＠b: 3 @ 4, mail@", "a 3 @ 4, mail@"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_handles_and_addresses_are_no_terms(text, kept):
    assert without_names(text).split() == kept.split()


@given(st.datetimes(timezones=st.just(UTC)))
def test_the_minute_is_whole_and_never_before_1970(at):
    since = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(minutes=1)
    assert minute(judged(created_at=at, collected_at=at)) == max(0, since)
