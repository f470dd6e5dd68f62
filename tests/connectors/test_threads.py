"""Threads: a Graph of our own, and what posts, replies, quotes and changes become."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from connectors.publisher import MemoryLog
from connectors.threads.connector import SEARCHES, Threads
from pipeline.contract.errors import ConfigError, RateLimitedError, SourceRefusedError
from pipeline.contract.events import Kind, State
from tests.connectors import graphs, kit, recordings
from tests.connectors.graphs import Graph, at

HOUR, DAY = 3600, 86_400


def post(number, ago, **more):
    return {
        "id": str(number),
        "text": f"acme {number}",
        "username": "sam",
        "timestamp": at(ago),
        "permalink": f"https://www.threads.net/@sam/post/D{number}",
        "media_type": "TEXT_POST",
        **more,
    }


def ids(page):
    return [one.native_id for one in page.mentions]


async def test_a_word_and_a_topic_are_searched_for_each_from_where_it_is_known():
    fake = Graph({"keyword_search": [post(2, 60), post(1, HOUR)]})
    made = kit.make(Threads, fake, queries=["acme kettle", "#Acme"], mentions=False, replies=False)
    first = await made.fetch(None)
    assert ids(first) == ["1", "2"]
    asked = [request.url.params for request in fake.asked]
    assert [(one["q"], one["search_mode"]) for one in asked] == [("acme kettle", "KEYWORD"), ("Acme", "TAG")]
    assert {one["search_type"] for one in asked} == {"RECENT"}
    fake.asked.clear()
    await made.fetch(first.cursor)
    since = int((kit.NOW - timedelta(seconds=60 + 600)).timestamp())
    assert {request.url.params["since"] for request in fake.asked} == {str(since)}


async def test_nothing_is_lost_and_nothing_twice_over_parts_that_shift_and_restarts():
    rows = [post(n, n * 60) for n in range(1, 31)]
    fake, log = Graph({"keyword_search": rows}, parts=7), MemoryLog()
    made = lambda: kit.make(Threads, fake, queries=["acme"], mentions=False, replies=False)  # noqa: E731
    await kit.run(made(), 1, log=log)
    rows[:0] = [post(n, 0) for n in range(31, 41)]
    for _ in range(2):
        await kit.run(made(), 1, log=log)
    found = [one.native_id for one in log.mentions]
    assert len(found) == len(set(found)) == 40


async def test_replies_under_own_posts_are_heard_and_own_answers_are_not():
    fake = Graph({
        "me/threads": [post(1, HOUR, has_replies=True), post(2, HOUR, has_replies=False), post(3, 9 * DAY, has_replies=True)],
        "1/conversation": [
            post(11, 60, root_post={"id": "1"}, replied_to={"id": "10"}, is_reply=True),
            post(12, 30, root_post={"id": "1"}, replied_to={"id": "11"}, is_reply=True, is_reply_owned_by_me=True),
        ],
        "me/mentions": [post(21, 90)],
    })  # fmt: skip
    page = await kit.make(Threads, fake, queries=[]).fetch(None)
    assert ids(page) == ["21", "11"]
    [reply] = [one for one in page.mentions if one.native_id == "11"]
    assert (reply.kind, reply.conversation, reply.in_reply_to) == (Kind.COMMENT, "threads:1", "threads:10")
    assert [path for path in fake.paths() if "conversation" in path] == ["1/conversation"]


async def test_searches_beyond_the_days_are_not_made():
    fake = Graph({"keyword_search": [post(1, 60)]})
    made = kit.make(Threads, fake, queries=["acme"], mentions=False, replies=False)
    [limit] = made.limits()
    assert (limit.most, limit.per, limit.bucket) == (SEARCHES, 86_400, "search")


def test_settings_that_ask_too_often_or_for_nothing_are_refused():
    with pytest.raises(ConfigError, match="393s or more"):
        kit.settings(Threads, queries=[f"q{n}" for n in range(10)])
    assert kit.settings(Threads, queries=[f"q{n}" for n in range(10)], poll_interval="7m")
    with pytest.raises(ConfigError, match="nothing is heard"):
        kit.settings(Threads, queries=[" # "], mentions=False, replies=False)


async def test_what_meta_says_about_limits_and_tokens_is_understood():
    fake = Graph({})
    fake.fails["keyword_search"] = (400, graphs.error(4))
    with pytest.raises(RateLimitedError):
        await kit.make(Threads, fake).fetch(None)
    fake.fails["keyword_search"] = (400, graphs.error(190, 463))
    with pytest.raises(SourceRefusedError, match="expired"):
        await kit.make(Threads, fake).fetch(None)


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"query acme": "x"}'], ids=repr)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    fake = Graph({"keyword_search": [post(1, 60)]})
    assert ids(await kit.make(Threads, fake, queries=["acme"]).fetch(broken)) == ["1"]


async def test_a_backfill_begins_where_it_is_told():
    fake = Graph({"keyword_search": [post(1, 5 * DAY), post(2, 20 * DAY)]})
    made = kit.make(Threads, fake, queries=["acme"], mentions=False, replies=False)
    cursor = await made.cursor_at(kit.NOW - timedelta(days=10))
    assert ids(await made.fetch(cursor)) == ["1"]
    assert made.time_of(cursor) == kit.NOW - timedelta(days=10)


def read(row):
    return Threads.to_mention(row, kit.NOW)


def test_a_post_has_its_author_topic_tags_and_links():
    shared = {"link_attachment_url": "https://blog.example.org/", "topic_tag": "Kitchen"}
    quoted = {"quoted_post": {"id": "5", "permalink": "https://www.threads.net/@kim/post/D5"}}
    found = read(post(1, 0, text="well #Acme", owner={"id": "7"}, **shared, **quoted))
    assert (found.author.id, found.author.handle) == ("7", "sam")
    assert found.tags == ("acme", "kitchen")
    assert found.links == ("https://blog.example.org/", "https://www.threads.net/@kim/post/D5")


def test_a_repost_without_words_is_no_mention_but_what_it_repeats_is():
    facade = {
        "id": "9",
        "media_type": "REPOST_FACADE",
        "timestamp": at(0),
        "username": "kim",
        "reposted_post": post(1, 60),
    }
    assert [one.native_id for one in Threads.parse(json.dumps({"data": [facade]}).encode(), kit.NOW)] == ["1"]


def test_parents_may_be_named_by_their_ids_alone():
    found = read(post(2, 0, root_post="1", replied_to={"id": "1"}))
    assert found.conversation == found.in_reply_to == "threads:1"


def test_a_deletion_takes_the_text_back():
    found = read(
        {"earshot_object": "threads", "earshot_field": "delete", "id": "1", "deleted_at": at(60), "timestamp": at(HOUR)}
    )
    assert (found.state, found.text, found.native_id) == (State.DELETED, "", "1")
    assert found.revision == int((kit.NOW - timedelta(seconds=60)).timestamp() * 1000)


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "threads"):
        wanted = {row["id"]: row["text"] for row in json.loads(body)["data"] if row.get("text")}
        found = recordings.read(Threads, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(one.url and one.author.handle and one.created_at < kit.NOW for one in found), name
        count += len(found)
    assert count >= 3
