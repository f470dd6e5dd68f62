"""Yelp: a few excerpts, times of its own coast, two meanings of 429, a day to keep them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.publisher import MemoryLog
from connectors.yelp.connector import DAY, Yelp
from pipeline.contract.errors import RateLimitedError, SourceUnavailableError
from pipeline.contract.events import Kind, Rating
from tests.connectors import kit, recordings


def review(number, *, hours_ago=None):
    at = kit.NOW - timedelta(hours=number if hours_ago is None else hours_ago)
    return {
        "id": f"rev-{number}",
        "url": f"https://www.yelp.com/biz/acme?hrid=rev-{number}",
        "text": f"Number {number} leaks...",
        "rating": 2,
        "time_created": (at - timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S"),  # PST in November
        "user": {
            "id": f"u{number}",
            "profile_url": f"https://www.yelp.com/user_details?userid=u{number}",
            "name": "Jo",
        },
    }


class Business:
    """Yelp: of each business the newest three."""

    def __init__(self, **businesses):
        self.businesses = {name.replace("_", "-"): list(rows) for name, rows in businesses.items()}
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        _, version, kind, name, what = request.url.path.split("/")
        assert (version, kind, what) == ("v3", "businesses", "reviews")
        rows = self.businesses[name]
        newest = sorted(rows, key=lambda row: row["time_created"], reverse=True)[:3]
        return httpx.Response(200, json={"reviews": newest, "total": len(rows), "possible_languages": ["en"]})

    def connector(self, **changes):
        return kit.make(Yelp, self, **{"businesses": list(self.businesses), **changes})


def test_an_excerpt_becomes_a_mention_with_its_stars_and_its_time_in_utc():
    newest, _, summer = Yelp.parse(kit.example(Yelp, "page").read_bytes(), kit.NOW)
    assert (newest.kind, newest.rating) == (Kind.REVIEW, Rating(value=5.0, best=5.0, worst=1.0))
    assert newest.text == "They mended my kettle while I waited, and the tea was & is free..."
    assert newest.created_at == datetime(2026, 11, 20, 2, 20, 5, tzinfo=UTC)
    assert summer.created_at == datetime(2026, 7, 2, 19, 0, tzinfo=UTC)
    assert (newest.author.name, newest.author.id) == ("Jo T.", "Jo T._id")
    assert newest.url == "https://www.yelp.com/biz/acme-kettles-portland?hrid=rev-3"


async def test_the_newest_are_asked_for_with_the_key_and_the_locale_is_their_language():
    business = Business(acme=[review(1)])
    (found,) = (await business.connector(locale="de_DE").fetch(None)).mentions
    assert (found.language, found.subject) == ("de", "acme")
    asked = business.asked[0]
    assert dict(asked.url.params) == {"sort_by": "newest", "limit": "20", "locale": "de_DE"}
    assert asked.headers["authorization"] == f"Bearer {kit.SECRET}"


async def test_each_review_comes_once_and_more_than_are_shown_are_a_gap():
    business, log = Business(acme=[review(number) for number in range(50, 54)]), MemoryLog()
    await kit.run(business.connector(), 1, log=log)
    business.businesses["acme"] += [review(49), review(48)]
    await kit.run(business.connector(), 1, log=log)
    assert [mention.native_id for mention in log.mentions] == ["rev-52", "rev-51", "rev-50", "rev-49", "rev-48"]
    assert all(told.gap_from is None for told in log.coverage)
    business.businesses["acme"] += [review(number) for number in range(1, 6)]
    await kit.run(business.connector(), 1, log=log)
    told = log.coverage[-1]
    assert (told.gap_from, told.gap_until) == (kit.NOW - timedelta(hours=48), kit.NOW - timedelta(hours=3))
    assert told.reason == "5 new ones, of which the source shows 3"
    assert told.expected == 5


def limited(code, headers=None):
    body = json.dumps({"error": {"code": code, "description": "You have reached it."}}).encode()
    return kit.make(Yelp, kit.answering(body, 429, headers or {}))


async def test_too_many_in_a_second_is_waited_out_for_seconds():
    with pytest.raises(RateLimitedError) as raised:
        await limited("TOO_MANY_REQUESTS_PER_SECOND").fetch(None)
    assert raised.value.retry_after == 2


async def test_no_more_today_is_waited_out_until_midnight_or_what_yelp_says():
    with pytest.raises(RateLimitedError, match="no more today") as raised:
        await limited("ACCESS_LIMIT_REACHED").fetch(None)
    assert raised.value.retry_after == 12 * 3600
    told = {
        "ratelimit-dailylimit": "300",
        "ratelimit-remaining": "0",
        "ratelimit-resettime": "2026-11-20T15:00:00+00:00",
    }
    with pytest.raises(RateLimitedError) as raised:
        await limited("ACCESS_LIMIT_REACHED", told).fetch(None)
    assert raised.value.retry_after == 3 * 3600


def test_what_the_plan_allows_is_a_limit_of_the_day_and_a_day_is_how_long_it_is_kept():
    connector = Business(acme=[]).connector(per_day=50)
    assert [(limit.most, limit.per) for limit in connector.limits()] == [(50, "day")]
    assert Yelp.rereads.erase_after == DAY == 86_400


@pytest.mark.parametrize("body", [b"[]", b'{"reviews": 1}', b'{"error": {"code": "INTERNAL"}}'])
async def test_what_holds_no_reviews_is_tried_again(body):
    with pytest.raises(SourceUnavailableError):
        await kit.make(Yelp, kit.answering(body)).fetch(None)


def test_the_second_versions_excerpts_and_what_is_no_review():
    old = {"id": "x", "rating": 4, "excerpt": "Good tea", "time_created": 1_317_414_369, "user": {"name": "Ann"}}
    (found,) = Yelp.parse(json.dumps({"id": "acme", "rating": 4.5, "reviews": [old]}).encode(), kit.NOW)
    assert (found.text, found.created_at.year, found.author.name) == ("Good tea", 2011, "Ann")
    for odd in ({"time_created": "yesterday"}, {"time_created": None}, {"rating": "many"}):
        list(Yelp.parse(json.dumps([{**old, **odd}]).encode(), kit.NOW))


@pytest.mark.shared
def test_a_recorded_business_holds_no_review(shared):
    for name, body in recordings.answers(shared / "api" / "yelp"):
        assert recordings.read(Yelp, body) == [], name
