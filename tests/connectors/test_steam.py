"""Steam: reviews by when they were changed last, opaque cursors, thumbs, markup."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest

from connectors.publisher import MemoryLog
from connectors.steam.connector import Steam
from connectors.steam.markup import plain
from pipeline.contract.errors import ConfigError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, Rating, State
from tests.connectors import kit, recordings

NOW = int(kit.NOW.timestamp())
APP = "900001"


def review(number, *, minutes_ago=None, edited=None, text="It boils.", up=True):
    written = NOW - 60 * (number if minutes_ago is None else minutes_ago)
    return {
        "recommendationid": str(170_000_000 - number),
        "author": {"steamid": str(76_561_190_000_000_000 + number), "playtime_at_review": 90},
        "language": "english",
        "review": text,
        "timestamp_created": written,
        "timestamp_updated": written if edited is None else NOW - 60 * edited,
        "voted_up": up,
        "votes_up": 1,
        "comment_count": 0,
        "steam_purchase": True,
    }


class Service:
    """Steam: the last changed first, a cursor that is no number, a count with the first page only."""

    def __init__(self, *reviews, **games):
        self.games = {APP: list(reviews), **games}
        self.asked = []
        self.empty_pages = 0  # how many answers to further pages come without reviews
        self.ends = None

    def __call__(self, request):
        assert request.url.path == "/IUserReviewsService/GetAppReviews/v1/"
        asked = json.loads(request.url.params["input_json"])
        self.asked.append(asked)
        rows = self.games.get(str(asked["appid"]))
        if rows is None:
            return httpx.Response(200, json={"response": {}})
        rows = sorted(rows, key=lambda row: -row["timestamp_updated"])
        start = 0 if asked["cursor"] == "*" else int(asked["cursor"].removeprefix("Ao+/").removesuffix("="))
        if start and self.empty_pages:
            self.empty_pages -= 1
            return httpx.Response(200, json={"response": {"cursor": asked["cursor"], "reviews": []}})
        part = rows[: self.ends][start : start + 100]
        following = f"Ao+/{start + len(part)}=" if part else asked["cursor"]
        found = {"cursor": following, "reviews": part}
        if not start:
            found["query_summary"] = {"total_reviews": len(rows)}
        return httpx.Response(200, json={"response": found})

    def connector(self, **changes):
        return kit.make(Steam, self, **{"apps": [int(app) for app in self.games], **changes})


def ids(mentions):
    return [mention.native_id for mention in mentions]


def test_a_thumb_down_is_a_rating_of_none_of_one():
    edited, liked, oldest = Steam.parse(kit.example(Steam, "page").read_bytes(), kit.NOW)
    assert edited.kind is Kind.REVIEW
    assert edited.rating == Rating(value=0.0, best=1.0, worst=0.0)
    assert liked.rating.value == 1.0
    assert edited.text == "Kettle Simulator\n\nSince the patch it crashes at tea time.\n- no saves\n- see the thread"
    assert edited.links == ("https://forum.example.org/t/7",)
    assert edited.created_at == datetime.fromtimestamp(1_795_100_000, UTC)
    assert (edited.state, edited.revision) == (State.EDITED, 1_795_170_000_000)
    assert (liked.state, liked.revision) == (State.LIVE, 0)
    assert edited.author.id == "76561190000000003"
    assert edited.author.url == "https://steamcommunity.com/profiles/76561190000000003"
    assert (edited.engagement.likes, edited.engagement.replies) == (12, 2)
    assert edited.tags == ("played-24h", "steam-deck", "refunded")
    assert liked.tags == ("played-0h", "early-access", "received-for-free", "not-bought-on-steam")
    assert [found.language for found in (edited, liked, oldest)] == ["en", "de", "zh"]


async def test_the_game_is_the_subject_and_in_the_address():
    (found,) = (await Service(review(1)).connector().fetch(None)).mentions
    assert found.subject == APP
    assert found.url == f"{found.author.url}/recommended/{APP}"


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("[b]refunded[/b]\nkeeps crashing", "refunded\nkeeps crashing"),
        ("[url=https://a.example/x]here[/url]", "here"),
        ("[quote=someone]no[/quote]yes", "no\nyes"),
        ("[spoiler]he dies[/spoiler] [i]twice[/i]", "he dies twice"),
        ("[table][tr][td]a[/td][td]b[/td][/tr][/table]", "a b"),
        ("10/10 [would crash again]", "10/10 [would crash again]"),
        ("array[i] = b[0]", "array = b[0]"),  # Steam itself takes this [i] for its own
        ("[B]LOUD[/B]\r\nquiet", "LOUD\nquiet"),
        ("", ""),
        (None, ""),
    ],
)
def test_markup_becomes_text(marked, text):
    assert plain(marked).text == text


def test_addresses_in_a_text_are_links_each_once():
    found = plain("see https://a.example/x. and [url=https://a.example/x]this[/url] or (http://b.example)")
    assert found.links == ("https://a.example/x", "http://b.example")


async def test_all_languages_and_purchases_and_storms_are_asked_for():
    service = Service(review(1))
    await service.connector().fetch(None)
    asked = service.asked[0]
    assert (asked["languages"], asked["purchase_type"], asked["review_type"]) == (["all"], 1, 0)
    assert (asked["filter"], asked["filter_offtopic_activity"], asked["num_per_page"]) == (2, False, 100)
    await service.connector(languages=["German", "english"], off_topic=False).fetch(None)
    assert service.asked[1]["languages"] == ["german", "english"]
    assert service.asked[1]["filter_offtopic_activity"] is True


async def test_all_pages_are_read_with_the_cursors_given_and_the_end_is_not_asked_for():
    service, log = Service(*(review(number) for number in range(1, 251))), MemoryLog()
    await kit.run(service.connector(), 1, log=log)
    assert ids(log.mentions) == [review(number)["recommendationid"] for number in range(250, 0, -1)]
    assert [asked["cursor"] for asked in service.asked] == ["*", "Ao+/100=", "Ao+/200="]


async def test_the_next_poll_asks_for_one_page():
    service, log = Service(*(review(number) for number in range(5, 251))), MemoryLog()
    await kit.run(service.connector(overlap=0), 1, log=log)
    service.asked.clear()
    service.games[APP] += [review(number) for number in range(1, 5)]
    await kit.run(service.connector(overlap=0), 1, log=log)
    assert len(service.asked) == 1
    assert ids(log.mentions)[-4:] == [review(number)["recommendationid"] for number in range(4, 0, -1)]


async def test_an_edit_of_an_old_review_is_heard_as_a_new_revision():
    service, log = Service(*(review(number) for number in range(1, 6))), MemoryLog()
    await kit.run(service.connector(), 1, log=log)
    service.games[APP][4] = review(5, edited=0, text="Cold now.", up=False)
    await kit.run(service.connector(), 1, log=log)
    assert len(log.mentions) == 6
    edit = log.mentions[-1]
    assert (edit.id, edit.text, edit.rating.value) == (log.mentions[0].id, "Cold now.", 0.0)
    assert edit.revision > log.mentions[0].revision


async def test_an_empty_page_in_the_middle_is_asked_for_again():
    service = Service(*(review(number) for number in range(1, 251)))
    service.empty_pages = 2
    page = await service.connector().fetch(None)
    assert len(page.mentions) == 250
    assert page.gap is None
    assert len(service.asked) == 5


async def test_what_stays_missing_is_a_gap_and_not_asked_for_for_ever():
    service = Service(*(review(number) for number in range(1, 251)))
    service.ends = 100
    page = await service.connector().fetch(None)
    assert len(page.mentions) == 100
    assert len(service.asked) == 4
    assert page.gap.until.timestamp() == NOW - 60 * 100
    assert not page.is_full


async def test_a_game_with_few_reviews_takes_one_question():
    service = Service(review(1))
    await service.connector().fetch(None)
    assert len(service.asked) == 1


async def test_games_are_heard_apart():
    service = Service(review(1), **{"900002": [review(2)]})
    page = await service.connector().fetch(None)
    assert [mention.subject for mention in page.mentions] == ["900002", APP]
    assert json.loads(page.cursor).keys() == {APP, "900002"}


async def test_a_game_that_is_none_is_refused_in_words():
    with pytest.raises(SourceRefusedError, match="no game 77"):
        await Service(review(1)).connector(apps=[77]).fetch(None)


async def test_the_stores_front_page_instead_of_an_answer_is_tried_again():
    for body in (b"<!DOCTYPE html><title>Welcome to Steam</title>", b"[]", b'{"response": 1}'):
        with pytest.raises(SourceUnavailableError):
            await kit.make(Steam, kit.answering(body)).fetch(None)


async def test_a_key_goes_into_the_question_and_nowhere_else():
    seen = []

    def refuse(request):
        seen.append(request)
        return httpx.Response(403, text=f"bad {request.url}")

    connector = kit.make(Steam, refuse, key={"env": "STEAM_KEY"})
    with pytest.raises(SourceRefusedError) as raised:
        await connector.fetch(None)
    assert seen[0].url.params["key"] == kit.SECRET
    assert kit.SECRET not in str(raised.value)


def test_a_language_steam_does_not_have_is_named_with_those_it_has():
    with pytest.raises(ConfigError, match=r"no language klingon; there are: arabic"):
        kit.settings(Steam, languages=["klingon"])


async def test_the_past_is_read_from_the_time_asked_for():
    connector = Service(*(review(number, minutes_ago=60 * number) for number in range(1, 300))).connector(overlap=0)
    cursor = await connector.cursor_at(datetime.fromtimestamp(NOW - 3600 * 30, UTC))
    assert connector.time_of(cursor) == datetime.fromtimestamp(NOW - 3600 * 30, UTC)
    assert len((await connector.fetch(cursor)).mentions) == 30


def test_answers_of_the_stores_former_address_are_read_too():
    body = json.dumps({"success": 1, "cursor": "x", "reviews": [review(1), {**review(2), "weighted_vote_score": 0}]})
    assert len(list(Steam.parse(body.encode(), kit.NOW))) == 2


@pytest.mark.shared
def test_every_recorded_review_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "steam"):
        wanted = {row["recommendationid"]: plain(row["review"]).text for row in json.loads(body)["reviews"]}
        found = recordings.read(Steam, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.rating and mention.author.id and mention.url for mention in found)
        assert all(mention.created_at < kit.NOW and mention.language == "en" for mention in found)
        count += len(wanted)
    assert count >= 2
