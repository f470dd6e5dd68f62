"""Foursquare: tips of today's API and of the versions before, the newest fifty of each place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.foursquare.connector import Foursquare
from connectors.publisher import MemoryLog
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Kind
from tests.connectors import kit, recordings

PLACE = "4b0000000000000000000001"


def tip(number):
    at = kit.NOW - timedelta(hours=number)
    return {"fsq_tip_id": f"{number:024x}", "created_at": at.isoformat(), "text": f"Tip {number}", "lang": "en"}


class Places:
    """Foursquare: the newest fifty, as a list."""

    def __init__(self, tips, *, wrapped=False):
        self.tips = list(tips)
        self.wrapped = wrapped
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        assert request.url.path == f"/places/{PLACE}/tips"
        rows = sorted(self.tips, key=lambda row: row["created_at"], reverse=True)[: int(request.url.params["limit"])]
        return httpx.Response(200, json={"results": rows} if self.wrapped else rows)

    def connector(self, **changes):
        return kit.make(Foursquare, self, **changes)


def test_a_tip_becomes_a_mention():
    newest, linked, _ = Foursquare.parse(kit.example(Foursquare, "page").read_bytes(), kit.NOW)
    assert (newest.kind, newest.rating, newest.author) == (Kind.REVIEW, None, None)
    assert newest.text == "Ask for the blue kettle, the red ones leak."
    assert newest.created_at == datetime(2026, 11, 18, 7, 45, tzinfo=UTC)
    assert newest.url == "https://foursquare.com/item/6b0000000000000000000003"
    assert newest.engagement.likes == 4
    assert (linked.language, linked.links) == ("de", ("https://tea.example/menu",))


def test_a_tip_of_the_second_version_says_who_and_where():
    row = {
        "id": "4b5e0000000000000000000a",
        "createdAt": 1_790_000_000,
        "text": "Two kettles for one",
        "canonicalUrl": "https://foursquare.com/item/4b5e0000000000000000000a",
        "likes": {"count": 6, "groups": []},
        "venue": {"id": "4a0000000000000000000002", "name": "Acme"},
        "user": {"id": "38", "firstName": "Jo", "lastName": "T.", "followers": {"count": 12}},
    }
    (found,) = Foursquare.parse(json.dumps({"meta": {"code": 200}, "response": {"tip": row}}).encode(), kit.NOW)
    assert (found.author.id, found.author.name, found.author.followers) == ("38", "Jo T.", 12)
    assert found.author.url == "https://foursquare.com/user/38"
    assert (found.subject, found.engagement.likes) == ("4a0000000000000000000002", 6)


async def test_the_newest_fifty_are_asked_for_in_the_version_of_the_settings():
    places = Places([tip(1)])
    (found,) = (await places.connector(version="2026-01-01").fetch(None)).mentions
    assert found.subject == PLACE
    asked = places.asked[0]
    assert (asked.url.params["sort"], asked.url.params["limit"]) == ("NEWEST", "50")
    assert asked.headers["x-places-api-version"] == "2026-01-01"
    assert asked.headers["authorization"] == f"Bearer {kit.SECRET}"


@pytest.mark.parametrize("wrapped", [False, True])
async def test_tips_come_once_and_fifty_new_ones_at_once_are_a_gap(wrapped):
    places, log = Places([tip(number) for number in range(200, 203)], wrapped=wrapped), MemoryLog()
    await kit.run(places.connector(), 1, log=log)
    places.tips += [tip(number) for number in range(160, 190)]
    await kit.run(places.connector(), 1, log=log)
    assert len(log.mentions) == 33
    assert all(told.gap_from is None for told in log.coverage)
    places.tips += [tip(number) for number in range(1, 61)]
    await kit.run(places.connector(), 1, log=log)
    assert len(log.mentions) == 83
    assert log.coverage[-1].gap_from == kit.NOW - timedelta(hours=160)
    assert log.coverage[-1].gap_until == kit.NOW - timedelta(hours=50)


async def test_fewer_than_fifty_are_all_there_are_although_none_was_known():
    places = Places([tip(500)])
    connector = places.connector()
    known = (await connector.fetch(None)).cursor
    places.tips = [tip(1), tip(2)]
    assert (await connector.fetch(known)).gap is None


def test_questions_are_bounded_where_that_is_set():
    assert Places([]).connector().limits() == ()
    assert [(one.most, one.per) for one in Places([]).connector(per_day=20).limits()] == [(20, "day")]


@pytest.mark.parametrize("body", [b'{"message": "no"}', b"7", b'{"results": {}}'])
async def test_what_holds_no_tips_is_tried_again(body):
    with pytest.raises(SourceUnavailableError):
        await kit.make(Foursquare, kit.answering(body)).fetch(None)


@pytest.mark.shared
def test_every_recorded_tip_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "foursquare"):
        wanted = {}
        pending = [json.loads(body)]
        while pending:
            value = pending.pop()
            if isinstance(value, dict):
                if {"id", "text", "createdAt"} <= value.keys():
                    wanted[value["id"]] = value["text"]
                pending.extend(value.values())
            elif isinstance(value, list):
                pending.extend(value)
        found = recordings.read(Foursquare, body)
        assert recordings.missing(wanted, found) == [], name
        assert len(found) == len(wanted), name
        assert all(mention.author.id and mention.url and mention.created_at < kit.NOW for mention in found)
        count += len(wanted)
    assert count >= 8
