"""Trustpilot: numbered pages by when reviews were written, two APIs, events of webhooks, reading again."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.publisher import MemoryLog
from connectors.trustpilot.connector import Trustpilot
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, Rating, State
from tests.connectors import kit, recordings

UNIT = "5e0000000000000000000001"
TOKENS = "/v1/oauth/oauth-business-users-for-applications/accesstoken"


def review(number, *, minutes_ago=None, text="It leaks.", **more):
    at = kit.NOW - timedelta(minutes=number if minutes_ago is None else minutes_ago)
    return {
        "id": f"{number:024x}",
        "stars": 2,
        "title": "Kettle",
        "text": text,
        "language": "en",
        "createdAt": at.isoformat(),
        "updatedAt": None,
        "consumer": {"id": f"c{number}", "displayName": f"reader {number}"},
        **more,
    }


class Site:
    """Trustpilot: a company's reviews, newest first, a hundred a page at the most."""

    def __init__(self, *reviews):
        self.reviews = list(reviews)
        self.asked = []
        self.between = lambda: None

    def __call__(self, request):
        self.asked.append(request)
        path, params = request.url.path, request.url.params
        if path == TOKENS:
            return httpx.Response(200, json={"access_token": "the-token", "expires_in": "359999"})
        if path == "/v1/business-units/find":
            known = params["name"] == "acme.example"
            return httpx.Response(200, json={"id": UNIT}) if known else httpx.Response(404, json={"message": "none"})
        *_, kind, native, what = path.split("/")
        if what == "reviews":
            assert (kind, native, params["orderBy"]) == ("business-units", UNIT, "createdat.desc")
            rows = sorted(self.reviews, key=lambda row: row["createdAt"], reverse=True)
            size, page = int(params["perPage"]), int(params["page"])
            part = rows[size * (page - 1) : size * page]
            self.between()
            return httpx.Response(200, json={"links": [], "reviews": part})
        found = [row for row in self.reviews if row["id"] == what]
        return httpx.Response(200, json=found[0]) if found else httpx.Response(404, json={"message": "Not found"})

    def connector(self, **changes):
        return kit.make(Trustpilot, self, **changes)


def ids(mentions):
    return [mention.native_id for mention in mentions]


def test_a_review_becomes_a_mention():
    worst, edited, plain = Trustpilot.parse(kit.example(Trustpilot, "page").read_bytes(), kit.NOW)
    assert (worst.kind, worst.rating) == (Kind.REVIEW, Rating(value=1.0, best=5.0, worst=1.0))
    assert worst.text == "The kettle leaks & nobody answers.\nThree mails, no reply."
    assert (worst.title, worst.language, worst.subject) == ("Leaks", "en", "acme.example")
    assert worst.created_at == datetime(2026, 11, 18, 19, 11, 2, tzinfo=UTC)
    assert (worst.author.name, worst.author.id) == ("Mo Tea", "ca0000000000000000000003")
    assert worst.author.url == "https://www.trustpilot.com/users/ca0000000000000000000003"
    assert worst.url == "https://www.trustpilot.com/reviews/6a0000000000000000000003"
    assert (worst.engagement.likes, worst.engagement.replies) == (2, 0)
    assert (worst.tags, plain.tags) == (("verified", "verification-verified"), ("verification-not-verified",))
    assert (worst.state, worst.revision) == (State.LIVE, 0)
    assert edited.state is State.EDITED
    assert edited.revision == int(datetime(2026, 11, 16, 10, tzinfo=UTC).timestamp() * 1000)
    assert edited.engagement.replies == 1


def test_tags_of_private_reviews_are_kept_and_orders_and_addresses_are_not():
    row = review(1, tags=[{"group": "Shop", "value": "Odense"}], referenceId="order-1", referralEmail="jo@mail.example")
    (found,) = Trustpilot.parse(json.dumps({"reviews": [row]}).encode(), kit.NOW)
    assert found.tags == ("odense",)
    assert "order-1" not in repr(found)
    assert "jo@mail" not in repr(found)


@pytest.mark.parametrize("name", ["service-review-created", "service-review-updated", "product-review-created"])
def test_an_event_with_a_review_is_that_review(name):
    given = {**review(7), "consumer": {"id": "c7", "name": "Jo"}}
    (found,) = Trustpilot.parse(
        json.dumps({"events": [{"eventName": name, "version": "1", "eventData": given}]}).encode(), kit.NOW
    )
    assert (found.native_id, found.author.name, found.state) == (given["id"], "Jo", State.LIVE)


@pytest.mark.parametrize(
    "event",
    [
        {"events": [{"eventName": "service-review-deleted", "eventData": {"id": "x7", "consumer": {"id": "c"}}}]},
        {"eventType": "service-review-deleted", "review": {"id": "x7", "createdAt": "2026-11-01T00:00:00Z"}},
    ],
    ids=["a batch", "one"],
)
def test_an_event_about_a_deletion_is_a_withdrawal_without_a_text(event):
    (found,) = Trustpilot.parse(json.dumps(event).encode(), kit.NOW)
    assert (found.native_id, found.state, found.text) == ("x7", State.DELETED, "")
    assert found.revision == int(kit.NOW.timestamp() * 1000)


def test_a_review_of_a_product_has_its_text_elsewhere():
    row = {**review(1), "content": "Handle came off."}
    del row["text"], row["title"]
    (found,) = Trustpilot.parse(json.dumps({"productReviews": [row]}).encode(), kit.NOW)
    assert found.text == "Handle came off."


async def test_all_pages_are_read_and_the_next_poll_takes_one_question():
    site, log = Site(*(review(number) for number in range(5, 255))), MemoryLog()
    await kit.run(site.connector(overlap=0), 1, log=log)
    assert ids(log.mentions) == [review(number)["id"] for number in range(254, 4, -1)]
    assert [asked.url.params["page"] for asked in site.asked] == ["1", "2", "3"]
    site.asked.clear()
    site.reviews += [review(number) for number in range(1, 5)]
    await kit.run(site.connector(overlap=0), 1, log=log)
    assert len(site.asked) == 1
    assert ids(log.mentions)[250:] == [review(number)["id"] for number in range(4, 0, -1)]


async def test_reviews_that_arrive_while_pages_are_read_hide_none():
    site, log = Site(*(review(number) for number in range(20, 320))), MemoryLog()
    fresh = iter(range(19, 0, -1))

    def arrive():
        if (number := next(fresh, None)) is not None:
            site.reviews.append(review(number))

    site.between = arrive
    await kit.run(site.connector(), 20, log=log)
    assert sorted(ids(log.mentions)) == sorted(review(number)["id"] for number in range(1, 320))


async def test_a_company_is_found_by_its_site_once():
    site = Site(review(1))
    connector = site.connector(companies=["https://Acme.example/kettles"])
    (found,) = (await connector.fetch(None)).mentions
    await connector.fetch(None)
    assert found.subject == "acme.example"
    assert sum(asked.url.path == "/v1/business-units/find" for asked in site.asked) == 1
    assert {asked.headers["apikey"] for asked in site.asked} == {kit.SECRET}


async def test_a_site_that_is_not_there_is_named():
    with pytest.raises(SourceRefusedError, match=r"is other\.example the site as Trustpilot has it"):
        await Site().connector(companies=["other.example"]).fetch(None)


async def test_with_a_secret_the_private_reviews_are_read_with_a_token():
    site = Site(review(1))
    page = await site.connector(secret={"env": "TRUSTPILOT_SECRET"}).fetch(None)
    assert len(page.mentions) == 1
    token, asked = site.asked
    assert (
        base64.b64decode(token.headers["authorization"].removeprefix("Basic ")).decode() == f"{kit.SECRET}:{kit.SECRET}"
    )
    assert token.content == b"grant_type=client_credentials"
    assert asked.url.path == f"/v1/private/business-units/{UNIT}/reviews"
    assert asked.headers["authorization"] == "Bearer the-token"


async def test_read_again_an_edit_is_a_new_revision_and_what_is_gone_is_absent():
    edited = review(1, text="Mended!", updatedAt=kit.NOW.isoformat())
    found = await Site(edited, review(2)).connector().reread([review(number)["id"] for number in (1, 2, 3)])
    assert [(mention.text, mention.state) for mention in found.mentions] == [
        ("Mended!", State.EDITED),
        ("It leaks.", State.LIVE),
    ]
    assert list(found.absent) == [review(3)["id"]]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_says_nothing_about_what_is_read_again(status):
    with pytest.raises(SourceRefusedError):
        await kit.make(Trustpilot, kit.answering(b"{}", status)).reread(["x"])


@pytest.mark.parametrize("body", [b"[]", b'{"reviews": 7}', b"7"])
async def test_what_holds_no_reviews_is_tried_again(body):
    with pytest.raises(SourceUnavailableError):
        await kit.make(Trustpilot, kit.answering(body)).fetch(None)


async def test_the_past_is_read_from_the_time_asked_for():
    connector = Site(*(review(number) for number in range(1, 300))).connector(overlap=0)
    cursor = await connector.cursor_at(kit.NOW - timedelta(minutes=30))
    assert connector.time_of(cursor) == kit.NOW - timedelta(minutes=30)
    assert len((await connector.fetch(cursor)).mentions) == 30


@pytest.mark.shared
def test_every_recorded_review_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "trustpilot"):
        wanted = {row["id"]: row["text"] for row in json.loads(body)["reviews"]}
        found = recordings.read(Trustpilot, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.author.id and mention.url and mention.rating and mention.language for mention in found)
        count += len(wanted)
    assert count >= 1
