"""Discourse: forwards by numbers in which many are missing, topics, searches, edits and what was taken away."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors import places, reading
from connectors.discourse import posts
from connectors.discourse.connector import WINDOW, Discourse
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def post(number, *, minutes=0.0, topic=88, in_topic=2, cooked=None, **more):
    at = (NOON + timedelta(minutes=minutes)).isoformat()
    return {
        "id": number,
        "username": "anouk",
        "user_id": 41,
        "created_at": at,
        "updated_at": at,
        "cooked": f"<p>Post {number}</p>" if cooked is None else cooked,
        "post_number": in_topic,
        "post_type": 1,
        "topic_id": topic,
        "topic_slug": "kettles",
        "topic_title": "Kettles",
        "version": 1,
        **more,
    }


class Forum:
    """Gives the posts of the fifty numbers up to any; its search shows how posts begin."""

    def __init__(self, rows=(), *, last=None, size=50):
        self.rows = {row["id"]: row for row in rows}
        self.last = last
        self.size = size
        self.asked = []

    def __call__(self, request):
        given = request.url.params
        self.asked.append((request.url.path, dict(given)))
        path = request.url.path
        if path == "/posts.json":
            until = int(given.get("before", 0)) or self.last or max(self.rows, default=0)
            shown = [self.rows[n] for n in range(until, until - WINDOW, -1) if n in self.rows]
            return httpx.Response(200, json={"latest_posts": shown})
        if path == "/search.json":
            found = sorted(self.rows.values(), key=lambda row: row["created_at"], reverse=True)
            start = (int(given["page"]) - 1) * self.size
            shown = [{"blurb": "Post…", **{k: v for k, v in row.items() if k != "cooked"}} for row in found]
            more = {"more_full_page_results": True if len(found) > start + self.size else None}
            return httpx.Response(200, json={"posts": shown[start:][: self.size], "grouped_search_result": more})
        if path.startswith("/posts/"):
            row = self.rows.get(int(path.removeprefix("/posts/").removesuffix(".json")))
            return httpx.Response(200, json=row) if row else httpx.Response(404, json={"errors": ["gone"]})
        topic = int(path.split("/")[2].removesuffix(".json"))
        rows = [row for row in self.rows.values() if row["topic_id"] == topic]
        if path.endswith("posts.json"):
            wanted = given.get_list("post_ids[]")
            return httpx.Response(200, json={"post_stream": {"posts": [r for r in rows if str(r["id"]) in wanted]}})
        stream = {"posts": rows[:20], "stream": [row["id"] for row in rows]}
        return httpx.Response(200, json={"post_stream": stream, "id": topic, "title": "Kettles", "slug": "kettles"})

    def connector(self, **changes):
        return kit.make(Discourse, self, **changes)


def numbers(mentions):
    return [posts.number_of(mention.native_id) for mention in mentions]


def only(row):
    (found,) = Discourse.parse(json.dumps(row).encode(), kit.NOW)
    return found


async def test_a_post_becomes_a_mention_with_all_that_is_known_of_it():
    page = await kit.make(Discourse, kit.answering(kit.example(Discourse, "page").read_bytes())).fetch(None)
    first, second, third = page.mentions
    assert first.native_id == "forum.example.org/p/1201"
    assert first.url == "https://forum.example.org/t/the-acme-kettle-leaks/88/1"
    assert (first.title, first.kind) == ("The Acme kettle leaks & hisses", Kind.POST)
    assert first.text == "Since the last update it leaks & hisses 😡"
    assert (first.author.id, first.author.handle, first.author.name) == ("41", "anouk", "Anouk")
    assert first.author.url == "https://forum.example.org/u/anouk"
    assert (first.engagement.likes, first.engagement.replies, first.engagement.views) == (5, 1, 12)
    assert (second.kind, second.state, second.revision) == (Kind.COMMENT, State.EDITED, 1)
    assert (second.in_reply_to, second.title) == (first.id, None)
    assert second.text == "it leaks\n\nSame here :rage:"
    assert {mention.conversation for mention in page.mentions} == {"discourse:forum.example.org/t/88"}
    assert (third.author.bot, third.links) == (True, ("https://acme.example/care",))
    assert third.text == "Reported to Acme care.\nThey answer within a day."


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"user_deleted": True}, State.DELETED),
        ({"deleted_at": "2026-11-20T11:05:00Z"}, State.REMOVED),
        ({"hidden": True}, State.REMOVED),
    ],
    ids=str,
)
def test_what_was_taken_away_keeps_no_words_and_is_newer_than_every_edit(change, state):
    found = only(post(1, version=3, cooked="<p>secret</p>", **change))
    assert (found.state, found.text, found.title, found.links) == (state, "", None, ())
    assert found.revision > only(post(1, version=3)).revision


async def test_a_burst_is_read_forwards_over_numbers_that_nobody_may_see():
    forum, log = Forum([post(100)]), MemoryLog()
    connector = forum.connector()
    await kit.run(connector, 1, log=log)
    shown = [n for n in range(101, 700) if n % 3 == 0 and not 250 < n < 420]
    forum.rows |= {n: post(n, minutes=n / 20) for n in shown}
    await kit.run(connector, 20, log=log)
    assert numbers(log.mentions) == [100, *shown]


async def test_private_posts_at_the_end_do_not_hide_public_ones_before_them():
    forum = Forum([post(100)])
    connector = forum.connector()
    known = (await connector.fetch(None)).cursor
    forum.rows |= {n: post(n) for n in (101, 102, 140)}
    forum.last = 165  # the newest list holds the numbers from 116 on
    found, page = [], await connector.fetch(known)
    found += page.mentions
    while page.is_full:
        page = await connector.fetch(page.cursor)
        found += page.mentions
    assert numbers(found) == [101, 102, 140]


async def test_a_post_that_appears_late_among_the_newest_is_heard():
    forum, log = Forum([post(100), post(102)]), MemoryLog()
    connector = forum.connector()
    await kit.run(connector, 1, log=log)
    forum.rows[101] = post(101)
    forum.rows[100] = post(100, version=2)
    await kit.run(connector, 1, log=log)
    assert sorted((posts.number_of(one.native_id), one.revision) for one in log.mentions) == [
        (100, 0),
        (100, 1),
        (101, 0),
        (102, 0),
    ]


async def test_whispers_and_events_are_not_heard():
    rows = [post(1, post_type=2), post(2, post_type=3), post(3, post_type=4), post(4)]
    assert numbers((await Forum(rows).connector().fetch(None)).mentions) == [4]


async def test_chosen_topics_are_read_from_their_newest_on():
    forum, log = Forum([post(n, minutes=n, in_topic=n) for n in range(1, 31)]), MemoryLog()
    connector = forum.connector(topics=[88])
    await kit.run(connector, 1, log=log)
    assert numbers(log.mentions) == list(range(11, 31))
    forum.rows |= {n: post(n, minutes=n, in_topic=n) for n in range(31, 81)} | {90: post(90, topic=5)}
    await kit.run(connector, 5, log=log)
    assert numbers(log.mentions) == list(range(11, 81))
    assert log.mentions[-1].subject == "Kettles"


async def test_a_search_gives_whole_posts_the_oldest_first():
    forum, log = Forum([post(n, minutes=n / 10) for n in range(1, 121)]), MemoryLog()
    for _ in range(4):
        await kit.run(forum.connector(query="kettle"), 2, log=log)  # the forum lets sixty through a minute
    assert numbers(log.mentions) == list(range(1, 121))
    assert {mention.text for mention in log.mentions} == {f"Post {n}" for n in range(1, 121)}
    assert all(given["q"] == "kettle after:2026-11-18 order:latest" for path, given in forum.asked[:1])


async def test_a_search_waits_until_a_post_has_settled():
    forum = Forum([post(1), post(2, minutes=59.5)])
    page = await forum.connector(query="kettle").fetch(None)
    assert numbers(page.mentions) == [1]


async def test_more_than_a_search_shows_is_told_as_a_gap():
    forum = Forum([post(n, minutes=n / 100) for n in range(1, 700)])
    page = await forum.connector(query="kettle").fetch(None)
    assert page.gap.reason == "more posts than the forum's search shows"
    assert numbers(page.mentions)[0] == 200


async def test_the_past_begins_at_the_number_of_its_time():
    forum = Forum([post(n, minutes=n - 5_000) for n in range(1, 5_000) if n % 7])
    connector = forum.connector()
    cursor = await connector.cursor_at(NOON - timedelta(minutes=1_000))
    start = places.read(cursor)["latest"]["id"]
    assert 3_900 <= start < 4_000
    assert len(forum.asked) < 12


async def test_the_past_of_a_search_begins_at_its_time():
    connector = Forum([post(1, minutes=-600), post(2)]).connector(query="kettle")
    cursor = await connector.cursor_at(NOON - timedelta(hours=1))
    assert connector.time_of(cursor) == NOON - timedelta(hours=1)
    assert numbers((await connector.fetch(cursor)).mentions) == [2]


async def test_posts_are_read_again_and_only_what_is_not_there_is_absent():
    forum = Forum([post(1, version=2), post(2, user_deleted=True)])
    found = await forum.connector().reread([f"forum.example.org/p/{number}" for number in (1, 2, 3)])
    assert [(posts.number_of(one.native_id), one.state) for one in found.mentions] == [
        (1, State.EDITED),
        (2, State.DELETED),
    ]
    assert list(found.absent) == ["forum.example.org/p/3"]
    with pytest.raises(SourceRefusedError):
        await kit.make(Discourse, kit.answering(b"{}", 403)).reread(["forum.example.org/p/1"])


async def test_a_key_goes_with_every_request_and_nowhere_else():
    seen = []

    def answer(request):
        seen.append((request.headers["api-key"], request.headers["api-username"]))
        return httpx.Response(403, json={"errors": ["not_logged_in"]})

    with pytest.raises(SourceRefusedError) as raised:
        await kit.make(Discourse, answer, username="listener").fetch(None)
    assert seen == [(kit.SECRET, "listener")]
    assert kit.SECRET not in str(raised.value)


def test_a_search_shows_how_a_post_begins_and_the_topics_beside_it():
    hit = {"id": 7, "username": "bo", "created_at": NOON.isoformat(), "blurb": "It leaks…", "post_number": 1}
    answer = {"posts": [{**hit, "topic_id": 3}], "topics": [{"id": 3, "title": "Leak", "slug": "leak"}]}
    assert (only(answer).title, only(answer).text) == ("Leak", "It leaks…")


def test_a_query_and_topics_exclude_each_other():
    with pytest.raises(ConfigError, match="choose `query` or `topics`"):
        kit.settings(Discourse, query="kettle", topics=[1])


@pytest.mark.parametrize("wrong", [b"[]", b'{"latest_posts": 1}', b'{"errors": ["no"]}'])
async def test_what_holds_no_posts_is_tried_again(wrong):
    for changes in ({}, {"query": "kettle"}, {"topics": [1]}):
        with pytest.raises(SourceUnavailableError):
            await kit.make(Discourse, kit.answering(wrong), **changes).fetch(None)


@pytest.mark.shared
def test_every_recorded_post_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "discourse"):
        found = recordings.read(Discourse, body)
        rows = [row for row in reading.walk(reading.documents(body)) if {"id", "cooked", "username"} <= row.keys()]
        wanted = {str(row["id"]): row["cooked"] for row in rows if recordings.words(row["cooked"])}
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.author.handle and mention.created_at < kit.NOW for mention in found), name
        count += len(wanted)
    assert count >= 10
