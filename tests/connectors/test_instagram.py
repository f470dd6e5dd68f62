"""Instagram: a Graph of our own, and what media, comments and changes become."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from connectors.instagram import media
from connectors.instagram.connector import Instagram
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, SourceUnavailableError
from pipeline.contract.events import Kind
from tests.connectors import graphs, kit, recordings
from tests.connectors.graphs import Graph, at

ACCOUNT = "17840000000000001"
HOUR, DAY = 3600, 86_400


def own(number, ago, count):
    return {
        "id": str(number),
        "permalink": f"https://www.instagram.com/p/C{number}/",
        "timestamp": at(ago),
        "comments_count": count,
    }


def said(number, ago, **more):
    who = {"id": "6", "username": "kim"}
    return {"id": str(number), "text": f"acme {number}", "timestamp": at(ago), "username": "kim", "from": who, **more}


def found_under(tag, number, ago):
    return {"id": str(number), "caption": f"#{tag} {number}", "timestamp": at(ago), "permalink": "https://x.example/p/"}


def ids(page):
    return [one.native_id for one in page.mentions]


async def test_only_media_whose_count_has_changed_are_read_again():
    fake = Graph({
        f"{ACCOUNT}/media": [own(2, HOUR, 0), own(1, DAY, 1)],
        "1/comments": [said(11, 2 * HOUR)],
    })  # fmt: skip
    made = kit.make(Instagram, fake)
    first = await made.fetch(None)
    assert ids(first) == ["11"]
    fake.asked.clear()
    later = await made.fetch(first.cursor)
    assert ids(later) == []
    assert not [path for path in fake.paths() if path.endswith("comments")]
    fake.listings[f"{ACCOUNT}/media"] = [own(2, HOUR, 0), own(1, DAY, 3)]
    fake.listings["1/comments"] = [said(11, 2 * HOUR, replies={"data": [said(12, 60)]}), said(13, 60)]
    assert {"12", "13"} <= set(ids(await made.fetch(later.cursor)))


async def test_an_answer_under_an_old_comment_is_heard_with_its_place():
    replies = {"data": [said(12, 60, parent_id="11")]}
    fake = Graph({f"{ACCOUNT}/media": [own(1, DAY, 2)], "1/comments": [said(11, 20 * HOUR, replies=replies)]})
    found = {one.native_id: one for one in (await kit.make(Instagram, fake).fetch(None)).mentions}
    assert found["12"].conversation == found["11"].conversation == "instagram:1"
    assert (found["11"].in_reply_to, found["12"].in_reply_to) == ("instagram:1", "instagram:11")
    assert found["12"].url == "https://www.instagram.com/p/C1/c/12/"
    assert (found["12"].author.id, found["12"].author.handle) == ("6", "kim")


async def test_under_a_medium_that_many_write_about_only_what_is_new_is_read():
    rows = [said(n, n * HOUR) for n in range(1, 300)]
    fake = Graph({f"{ACCOUNT}/media": [own(1, 13 * DAY, 299)], "1/comments": rows}, parts=50)
    made = kit.make(Instagram, fake)
    first = await made.fetch(None)
    assert len(first.mentions) == 299
    fake.asked.clear()
    rows[:0] = [said(300, 60)]
    rows[60]["replies"] = {"data": [said(301, 30)]}
    fake.listings[f"{ACCOUNT}/media"] = [own(1, 13 * DAY, 301)]
    later = await made.fetch(first.cursor)
    assert {"300", "301"} <= set(ids(later))
    assert fake.paths().count("1/comments") == 3  # two parts with something new, and one without


async def test_what_a_restart_reads_again_is_published_once():
    fake = Graph({
        f"{ACCOUNT}/media": [own(1, DAY, 3)],
        "1/comments": [said(n, n * 60) for n in (11, 12, 13)],
        f"{ACCOUNT}/tags": [found_under("x", 21, HOUR)],
    }, parts=2)  # fmt: skip
    log = MemoryLog()
    for count in (3, 4, 5):
        fake.listings[f"{ACCOUNT}/media"] = [own(1, DAY, count)]
        await kit.run(kit.make(Instagram, fake), 1, log=log)
    assert sorted(one.native_id for one in log.mentions) == ["11", "12", "13", "21"]


async def test_hash_tags_are_looked_up_once_and_heard_for_a_day_back():
    fake = Graph(
        {"ig_hashtag_search": [{"id": "99"}], "99/recent_media": [found_under("acme", n, n * HOUR) for n in (30, 2, 5)]}
    )
    made = kit.make(Instagram, fake, hashtags=["#Acme", "acme"])
    first = await made.fetch(None)
    assert ids(first) == ["5", "2"]
    assert first.gap is None
    await made.fetch(first.cursor)
    assert fake.paths().count("ig_hashtag_search") == 1


async def test_a_day_without_asking_for_a_hash_tag_is_told_as_a_gap():
    fake = Graph({"ig_hashtag_search": [{"id": "99"}]})
    made = kit.make(Instagram, fake, hashtags=["acme"])
    asked = int((kit.NOW - timedelta(days=3)).timestamp())
    page = await made.fetch(json.dumps({"ids": {"acme": "99"}, "asked": {"acme": asked}}))
    assert page.gap.since == kit.NOW - timedelta(days=3)
    assert page.gap.until == kit.NOW - timedelta(days=1)


async def test_a_hash_tag_without_a_number_is_tried_again():
    with pytest.raises(SourceUnavailableError):
        await kit.make(Instagram, Graph({}), hashtags=["acme"]).fetch(None)


async def test_the_same_sign_for_every_next_part_is_followed_until_nothing_is_new():
    parts = [[found_under("acme", n, n * 60) for n in numbers] for numbers in ((1, 2), (3,), (3,), (4,))]
    fake = Graph({"ig_hashtag_search": [{"id": "99"}]})
    count = 0

    def answer(request):
        nonlocal count
        if not request.url.path.endswith("recent_media"):
            return fake(request)
        count += 1
        following = {"cursors": {"after": "same"}, "next": "https://graph.example.org/x?after=same"}
        return httpx.Response(200, json={"data": parts[count - 1], "paging": following})

    page = await kit.make(Instagram, answer, hashtags=["acme"]).fetch(None)
    assert ids(page) == ["3", "2", "1"]
    assert count == 3


async def test_the_accounts_own_answers_are_not_heard():
    mine = said(12, 60, **{"from": {"id": ACCOUNT, "username": "acme"}})
    fake = Graph({f"{ACCOUNT}/media": [own(1, DAY, 2)], "1/comments": [said(11, HOUR), mine]})
    assert ids(await kit.make(Instagram, fake).fetch(None)) == ["11"]


async def test_an_error_moves_nothing():
    fake = Graph({f"{ACCOUNT}/media": [own(1, DAY, 1)]})
    fake.fails["1/comments"] = (500, graphs.error(2))
    log = MemoryLog()
    _, states = await kit.run(kit.make(Instagram, fake), 1, log=log)
    assert log.checkpoints == {}
    assert states[-1][0] == "unreachable"


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"media": 7, "ids": []}', '{"media": {"1": "x"}}'], ids=repr)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    fake = Graph({f"{ACCOUNT}/media": [own(1, DAY, 1)], "1/comments": [said(11, HOUR)]})
    assert ids(await kit.make(Instagram, fake).fetch(broken)) == ["11"]


def test_more_than_thirty_hash_tags_are_refused():
    with pytest.raises(ConfigError, match="hashtags"):
        kit.settings(Instagram, hashtags=[f"t{n}" for n in range(31)])


def test_media_under_an_account_are_its_own():
    account = {"username": "acme", "id": "5", "followers_count": 7, "media": {"data": [found_under("x", 1, 0)]}}
    [found] = Instagram.parse(json.dumps({"business_discovery": account, "id": "4"}).encode(), kit.NOW)
    assert (found.author.id, found.author.handle, found.author.followers) == ("5", "acme", 7)


def test_a_recorded_listing_tells_what_it_is_under():
    body = {"data": [{"id": "9", "text": "hi", "timestamp": at(0)}]}
    under = {**body, "paging": {"next": "https://graph.facebook.com/v11.0/77/comments?after=a"}}
    [found] = Instagram.parse(json.dumps(under).encode(), kit.NOW)
    assert (found.conversation, found.in_reply_to) == ("instagram:77", "instagram:77")
    answers = {**body, "paging": {"next": "https://graph.facebook.com/v11.0/88/replies?after=a"}}
    [found] = Instagram.parse(json.dumps(answers).encode(), kit.NOW)
    assert found.in_reply_to == "instagram:88"


def test_what_is_no_text_of_instagram_is_no_mention():
    for row in (
        {"id": "1", "name": "love"},
        {"id": "1", "text": "hi"},
        {"text": "hi", "timestamp": at(0)},
        {"id": "1"},
    ):
        assert Instagram.to_mention(row, kit.NOW) is None
    assert Instagram.to_mention({"id": "1", "caption": "", "timestamp": at(0)}, kit.NOW) is None


def test_a_webhooks_comment_is_of_when_it_was_told():
    change = {"earshot_object": "instagram", "earshot_field": "comments", "earshot_time": 1795165000}
    row = {"id": "9", "text": "hi", "from": {"id": "6", "username": "kim"}, "media": {"id": "77"}}
    found = media.to_mention({**row, **change}, kit.NOW)
    assert found.created_at.timestamp() == 1795165000
    assert (found.kind, found.conversation) == (Kind.COMMENT, "instagram:77")
    assert media.to_mention({**row, **change, "earshot_field": "message_reactions"}, kit.NOW) is None


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "instagram"):
        wanted = {}
        for row in media.rows(json.loads(body)):
            if row.get("id") and (row.get("caption") or row.get("text")):
                wanted[row["id"]] = row.get("caption") or row["text"]
        found = recordings.read(Instagram, body)
        assert recordings.missing(wanted, found) == [], name
        count += len(found)
    assert count >= 33
