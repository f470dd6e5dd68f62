"""Tripadvisor: five reviews of a location and language, and a permission without which nothing is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.publisher import MemoryLog
from connectors.tripadvisor.connector import Tripadvisor
from pipeline.contract.errors import ConfigError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, Rating
from tests.connectors import kit, recordings


def review(number, language="en"):
    return {
        "id": 1_000_000 - number,
        "lang": language,
        "location_id": 900_001,
        "published_date": (kit.NOW - timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rating": 4,
        "helpful_votes": 0,
        "url": f"https://www.tripadvisor.com/ShowUserReviews-g1-d900001-r{number}",
        "text": f"Tea {number}",
        "title": "Tea",
        "user": {"username": "kim"},
    }


class Api:
    """Tripadvisor: of each location and language the newest five."""

    def __init__(self, *reviews):
        self.reviews = list(reviews)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        rows = [row for row in self.reviews if row["lang"] == request.url.params["language"]]
        newest = sorted(rows, key=lambda row: row["published_date"], reverse=True)[:5]
        return httpx.Response(200, json={"data": newest, "paging": {"results": 5, "total_results": len(rows)}})

    def connector(self, **changes):
        return kit.make(Tripadvisor, self, **changes)


def test_a_review_becomes_a_mention_with_what_was_rated_apart():
    worst, best, _ = Tripadvisor.parse(kit.example(Tripadvisor, "page").read_bytes(), kit.NOW)
    assert (worst.kind, worst.rating) == (Kind.REVIEW, Rating(value=1.0, best=5.0, worst=1.0))
    assert worst.text == "The kettle in room 12 was the only warm thing.\n\nNobody came."
    assert (worst.title, worst.language, worst.subject) == ("No hot water", "en", "900001")
    assert worst.created_at == datetime(2026, 11, 17, 9, 12, tzinfo=UTC)
    assert (worst.author.handle, worst.engagement.likes, worst.engagement.replies) == ("TeaTraveller", 3, 1)
    assert worst.tags == ("trip-solo-travel", "service-1", "sleep-3")
    assert best.engagement.replies == 0
    assert worst.url.startswith("https://www.tripadvisor.com/ShowUserReviews-")


@pytest.mark.parametrize("given", [False, "yes", None, 1])
def test_without_permission_it_does_not_start_and_says_why(given):
    with pytest.raises(ConfigError, match=r"permission.*written permission"):
        kit.settings(Tripadvisor, permission=given)


async def test_every_language_is_a_question_of_its_own():
    api = Api(review(1), review(2, "de"))
    page = await api.connector(languages=["en", "de"], referer="https://acme.example").fetch(None)
    assert [found.language for found in page.mentions] == ["de", "en"]
    assert [asked.url.params["language"] for asked in api.asked] == ["en", "de"]
    assert {asked.url.path for asked in api.asked} == {"/api/v1/location/900001/reviews"}
    assert {asked.headers["referer"] for asked in api.asked} == {"https://acme.example"}
    assert {asked.url.params["key"] for asked in api.asked} == {kit.SECRET}
    assert json.loads(page.cursor).keys() == {"900001/en", "900001/de"}


async def test_reviews_come_once_and_more_than_five_new_ones_are_a_gap():
    api, log = Api(*(review(number) for number in range(50, 53))), MemoryLog()
    await kit.run(api.connector(), 1, log=log)
    api.reviews += [review(number) for number in range(40, 44)]
    await kit.run(api.connector(), 1, log=log)
    assert len(log.mentions) == 7
    assert all(told.gap_from is None for told in log.coverage)
    api.reviews += [review(number) for number in range(1, 8)]
    await kit.run(api.connector(), 1, log=log)
    assert log.coverage[-1].reason == "7 new ones, of which the source shows 5"
    assert log.coverage[-1].gap_from == kit.NOW - timedelta(hours=40)


async def test_the_key_is_in_no_error():
    refuse = lambda request: httpx.Response(403, json={"message": f"not for {request.url}"})  # noqa: E731
    with pytest.raises(SourceRefusedError) as raised:
        await kit.make(Tripadvisor, refuse).fetch(None)
    assert kit.SECRET not in str(raised.value)


def test_what_is_free_is_a_limit_of_the_month():
    limits = Api().connector().limits()
    assert [(limit.most, limit.per) for limit in limits] == [(50, 1.0), (5_000, "month")]


@pytest.mark.parametrize("body", [b"[]", b'{"data": {}}', b'{"error": {"message": "no"}}'])
async def test_what_holds_no_reviews_is_tried_again(body):
    with pytest.raises(SourceUnavailableError):
        await kit.make(Tripadvisor, kit.answering(body)).fetch(None)


def test_parts_of_a_rating_are_read_as_a_list_too():
    row = {**review(1), "subratings": [{"name": "rate_value", "value": "4"}, {"name": "", "value": 1}]}
    (found,) = Tripadvisor.parse(json.dumps({"data": [row]}).encode(), kit.NOW)
    assert found.tags == ("value-4",)


@pytest.mark.shared
def test_every_recorded_review_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "tripadvisor"):
        wanted = {str(row["id"]): row["text"] for row in json.loads(body)["data"]}
        found = recordings.read(Tripadvisor, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.author.handle and mention.url and mention.rating and mention.language for mention in found)
        count += len(wanted)
    assert count >= 1
