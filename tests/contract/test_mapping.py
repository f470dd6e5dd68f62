"""Mentions as ActivityStreams 2.0 and schema.org: every field of the table, and nothing of what was withdrawn."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from pipeline.contract import mapping as module
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating, State
from pipeline.contract.mapping import iri, to_activitystreams, to_schema_org
from tests.contract.test_codec import mentions

REVIEW = Mention(
    id="app-store:912",
    source="app-store",
    native_id="912",
    created_at=datetime(2026, 11, 23, 18, 2, 44, tzinfo=UTC),
    collected_at=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
    kind=Kind.REVIEW,
    title="Used to be great",
    text="It logs me out every day.",
    language="en",
    url="https://apps.example/912",
    author=Author(id="71", handle="runner", name="A Runner", followers=3),
    rating=Rating(value=2.0),
    subject="id310633997",
)
POST = Mention(
    id="mastodon:https://social.example/s/2",
    source="mastodon",
    native_id="https://social.example/s/2",
    created_at=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
    collected_at=datetime(2026, 11, 24, 9, 31, tzinfo=UTC),
    text="It works again",
    language="en",
    state=State.EDITED,
    revision=1795515300000,
    author=Author(id="https://social.example/u/ida", handle="ida@social.example", name="Ida", bot=True, followers=412),
    conversation="mastodon:https://social.example/s/1",
    in_reply_to="mastodon:https://social.example/s/1",
    engagement=Engagement(likes=3, replies=0, shares=1, views=90),
    tags=("acme",),
    links=("https://acme.example/status",),
)


def test_a_post_is_a_note():
    assert to_activitystreams(POST) == {
        "@context": ["https://www.w3.org/ns/activitystreams", {"Hashtag": "as:Hashtag"}],
        "type": "Note",
        "id": "https://social.example/s/2",
        "published": "2026-11-24T09:30:00Z",
        "updated": "2026-11-24T10:15:00Z",
        "content": "It works again",
        "contentMap": {"en": "It works again"},
        "mediaType": "text/plain",
        "context": "https://social.example/s/1",
        "inReplyTo": "https://social.example/s/1",
        "attributedTo": {
            "type": "Service",
            "id": "https://social.example/u/ida",
            "preferredUsername": "ida@social.example",
            "name": "Ida",
            "followers": {"type": "Collection", "totalItems": 412},
        },
        "tag": [{"type": "Hashtag", "name": "#acme"}],
        "attachment": [{"type": "Link", "href": "https://acme.example/status"}],
        "replies": {"type": "Collection", "totalItems": 0},
        "likes": {"type": "Collection", "totalItems": 3},
        "shares": {"type": "Collection", "totalItems": 1},
    }


def test_a_review_is_a_review_with_its_stars():
    assert to_schema_org(REVIEW) == {
        "@context": "https://schema.org",
        "@type": "Review",
        "@id": "urn:earshot:app-store:912",
        "identifier": "912",
        "url": "https://apps.example/912",
        "datePublished": "2026-11-23T18:02:44Z",
        "publisher": {"@type": "Organization", "name": "app-store"},
        "itemReviewed": {"@type": "Thing", "identifier": "id310633997"},
        "headline": "Used to be great",
        "reviewBody": "It logs me out every day.",
        "inLanguage": "en",
        "author": {"@type": "Person", "identifier": "71", "name": "A Runner", "alternateName": "runner"},
        "reviewRating": {"@type": "Rating", "ratingValue": 2.0, "bestRating": 5.0, "worstRating": 1.0},
    }


def test_a_comment_knows_its_thread_and_counts():
    found = to_schema_org(msgspec.structs.replace(POST, kind=Kind.COMMENT))
    assert (found["@type"], found["text"], found["parentItem"]) == (
        "Comment",
        "It works again",
        "https://social.example/s/1",
    )
    assert {one["interactionType"]: one["userInteractionCount"] for one in found["interactionStatistic"]} == {
        "https://schema.org/LikeAction": 3,
        "https://schema.org/CommentAction": 0,
        "https://schema.org/ShareAction": 1,
        "https://schema.org/ViewAction": 90,
    }


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_type_in_both(kind):
    mention = msgspec.structs.replace(POST, kind=kind)
    assert to_activitystreams(mention)["type"] == ("Article" if kind is Kind.ARTICLE else "Note")
    assert to_schema_org(mention)["@type"]


@pytest.mark.parametrize("state", [State.DELETED, State.REMOVED, State.WITHHELD, State.UNAVAILABLE])
@pytest.mark.parametrize("mention", [POST, REVIEW])
def test_nothing_is_left_of_what_a_withdrawn_mention_said(mention, state):
    gone = msgspec.structs.replace(mention, state=state)
    activity, work = to_activitystreams(gone), to_schema_org(gone)
    assert (activity["type"], activity["formerType"]) == ("Tombstone", "Note")
    assert work["creativeWorkStatus"] == state.value
    for said in (mention.text, "Ida", "Runner", "great", "#acme"):
        assert said not in json.dumps([activity, work])


@pytest.mark.parametrize(
    ("source", "mention_id", "expected"),
    [
        ("mastodon", "mastodon:https://social.example/1", "https://social.example/1"),
        ("bluesky", "bluesky:at://did:plc:a/app.bsky.feed.post/b", "at://did:plc:a/app.bsky.feed.post/b"),
        ("hackernews", "hackernews:1", "urn:earshot:hackernews:1"),
        ("import", "import:a b/ä", "urn:earshot:import:a%20b%2F%C3%A4"),
    ],
)
def test_an_id_is_an_iri(source, mention_id, expected):
    assert iri(source, mention_id) == expected


@given(mentions)
def test_any_mention_can_be_mapped_and_written(mention):
    for found in (to_activitystreams(mention), to_schema_org(mention)):
        json.dumps(found).encode()
        assert None not in found.values()


def test_the_table_names_every_field_of_a_mention():
    table = Path(module.__file__).with_name("mapping.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)", "".join(line.split("|")[1] for line in table.splitlines() if line[:1] == "|")))
    assert named >= {field.name for field in msgspec.structs.fields(Mention)}
