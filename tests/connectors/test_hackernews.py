"""Hacker News: the search shows a thousand hits, spans are halved until they fit, and what does not fit is a gap."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

from connectors import reading
from connectors.hackernews.connector import HackerNews
from connectors.publisher import MemoryLog
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Kind
from tests.connectors import kit, recordings

NOON = int(kit.NOW.timestamp())


def hit(number, at, **more):
    return {"objectID": str(number), "author": "an_na", "comment_text": f"no. {number}", "created_at_i": at, **more}


class Index:
    """Algolia's index: the newest hits of a span, `depth` at the most, and how many there are in all."""

    def __init__(self, hits=(), *, depth=1000):
        self.hits = list(hits)
        self.depth = depth
        self.spans = []

    def __call__(self, request):
        params = parse_qs(request.url.query.decode())
        since, until = map(
            int, re.fullmatch(r"created_at_i>=(\d+),created_at_i<(\d+)", params["numericFilters"][0]).groups()
        )
        self.spans.append((since, until))
        found = sorted(
            (one for one in self.hits if since <= one["created_at_i"] < until), key=lambda one: -one["created_at_i"]
        )
        shown = min(self.depth, int(params["hitsPerPage"][0]))
        return httpx.Response(200, json={"hits": found[:shown], "nbHits": len(found)})

    def connector(self, **changes):
        return kit.make(HackerNews, self, **changes)


def numbers(mentions):
    return [int(mention.native_id) for mention in mentions]


def only(row):
    (found,) = HackerNews.parse(json.dumps(row).encode(), kit.NOW)
    return found


async def test_a_span_with_more_than_the_search_shows_is_halved_until_it_fits():
    """3,000 texts, of which one query shows the newest 1,000: every one is heard, once."""
    index, log = Index(hit(number, NOON - 80_000 + number * 20) for number in range(3_000)), MemoryLog()
    await kit.run(index.connector(), 10, log=log)
    assert sorted(numbers(log.mentions)) == list(range(3_000))
    assert [record for record in log.coverage if record.gap_from] == []
    assert log.checkpoints["example"].cursor == str(NOON - 80_000 + 2_999 * 20)


async def test_full_spans_are_followed_at_once():
    index = Index(hit(number, NOON - 80_000 + number * 20) for number in range(3_000))
    waits, _ = await kit.run(index.connector(), 10)
    assert waits.waited[:3] == [0, 0, 0]
    assert waits.waited[-1] > 20


async def test_texts_come_oldest_first_across_spans():
    index, log = Index((hit(number, NOON - 5_000 + number) for number in range(300)), depth=50), MemoryLog()
    await kit.run(index.connector(overlap=0), 30, log=log)
    assert numbers(log.mentions) == list(range(300))


async def test_more_in_one_second_than_the_search_shows_is_told_as_a_gap():
    crowd = [hit(number, NOON - 100) for number in range(70)]
    index, log = Index([hit(900, NOON - 200), *crowd, hit(901, NOON - 50)], depth=50), MemoryLog()
    await kit.run(index.connector(), 30, log=log)
    assert numbers(log.mentions)[0] == 900
    assert numbers(log.mentions)[-1] == 901
    assert len(log.mentions) == 52
    told = {(record.gap_from, record.gap_until, record.reason) for record in log.coverage if record.gap_from}
    second = datetime.fromtimestamp(NOON - 100, UTC)
    reason = "70 texts in one second, of which the search shows 50"
    assert told == {(second, second + timedelta(seconds=1), reason)}


async def test_an_overlap_that_does_not_fit_slows_nothing():
    index, log = Index((hit(number, NOON - 290 + number) for number in range(200)), depth=50), MemoryLog()
    await kit.run(index.connector(lookback="5m"), 30, log=log)
    index.spans.clear()
    index.hits.append(hit(900, NOON - 5))
    await kit.run(index.connector(), 1, log=log)
    assert numbers(log.mentions)[-1] == 900
    assert len(index.spans) == 2


async def test_texts_of_the_same_second_are_all_heard():
    index, log = Index([hit(1, NOON - 10)]), MemoryLog()
    await kit.run(index.connector(), 1, log=log)
    index.hits += [hit(number, NOON - 10) for number in (2, 3)]
    await kit.run(index.connector(), 1, log=log)
    assert numbers(log.mentions) == [1, 2, 3]


async def test_a_text_the_index_learns_of_late_is_heard_within_the_overlap():
    index, log = Index([hit(1, NOON - 10)]), MemoryLog()
    await kit.run(index.connector(overlap="5m"), 1, log=log)
    index.hits += [hit(2, NOON - 200), hit(3, NOON - 400)]
    await kit.run(index.connector(overlap="5m"), 2, log=log)
    assert numbers(log.mentions) == [1, 2]


async def test_the_first_search_goes_back_as_far_as_it_is_told():
    index = Index([hit(1, NOON - 7_000), hit(2, NOON - 3_000)])
    page = await index.connector(lookback="1h").fetch(None)
    assert numbers(page.mentions) == [2]
    assert index.spans == [(NOON - 3_600, NOON + 60)]


async def test_a_hit_without_a_time_ends_nothing():
    body = {"hits": [hit(2, NOON), {**hit(1, 0), "created_at_i": None}], "nbHits": 2}
    page = await kit.make(HackerNews, kit.answering(json.dumps(body).encode())).fetch(None)
    assert sorted(numbers(page.mentions)) == [1, 2]
    assert page.cursor == str(NOON)


async def test_what_is_no_search_result_is_tried_again():
    with pytest.raises(SourceUnavailableError, match="no search result"):
        await kit.make(HackerNews, kit.answering(b'{"message": "busy"}')).fetch(None)


@pytest.mark.parametrize(("comments", "tags"), [(True, "(story,comment)"), (False, "story")])
async def test_comments_can_be_left_out(comments, tags):
    asked = []

    def answer(request):
        asked.append(parse_qs(request.url.query.decode()))
        return httpx.Response(200, json={"hits": []})

    await kit.make(HackerNews, answer, comments=comments, query='"acme kettle"').fetch(None)
    assert (asked[0]["tags"], asked[0]["query"]) == ([tags], ['"acme kettle"'])


def test_a_comment_belongs_to_its_story():
    found = only(hit(3, NOON, story_id=1, parent_id=2, story_title="Kettles &amp; co"))
    assert (found.kind, found.key, found.in_reply_to) == (Kind.COMMENT, "hackernews:1", "hackernews:2")
    assert found.subject == "Kettles & co"
    assert found.url == "https://news.ycombinator.com/item?id=3"


def test_a_story_keeps_its_link_points_and_number_of_comments():
    story = {"objectID": "1", "author": "kim", "title": "Kettles", "url": "https://example.org/k", "created_at_i": NOON}
    found = only({**story, "points": 12, "num_comments": 0})
    assert (found.kind, found.key, found.links) == (Kind.POST, "hackernews:1", ("https://example.org/k",))
    assert (found.engagement.likes, found.engagement.replies) == (12, 0)
    assert (found.title, found.text) == ("Kettles", "")


def test_entities_and_paragraphs_become_text():
    text = 'It&#x27;s &lt;b&gt;<p>See <a href="https:&#x2F;&#x2F;example.org&#x2F;a">https:&#x2F;&#x2F;example.org&#x2F;a</a>'
    found = only(hit(1, NOON, comment_text=text))
    assert found.text == "It's <b>\n\nSee https://example.org/a"
    assert found.links == ("https://example.org/a",)


@pytest.mark.parametrize(
    "item",
    [
        {"id": 5, "type": "comment", "deleted": True, "time": NOON},
        {"id": 5, "type": "comment", "dead": True, "by": "bo", "text": "spam", "time": NOON},
        {"id": "bo", "created": NOON, "karma": 3, "about": "hello"},
        {"items": [1, 2], "profiles": ["bo"]},
    ],
    ids=["deleted", "dead", "a user", "a list"],
)
def test_what_is_no_text_any_more_is_no_mention(item):
    assert list(HackerNews.parse(json.dumps(item).encode(), kit.NOW)) == []


def test_an_item_of_the_other_api_is_read_too():
    found = only({"id": 5, "type": "comment", "by": "bo", "text": "Same <i>here</i>", "parent": 4, "time": NOON})
    assert (found.text, found.author.handle, found.in_reply_to) == ("Same here", "bo", "hackernews:4")
    assert found.created_at == kit.NOW


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "hackernews"):
        wanted = {}
        for row in reading.walk(reading.documents(body)):
            text = row.get("comment_text") or row.get("story_text") or row.get("text") or row.get("title")
            native = row.get("objectID") or row.get("id")
            if text and native and not row.get("deleted") and not row.get("dead"):
                wanted[str(native)] = text
        found = recordings.read(HackerNews, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.url and mention.author.handle and mention.created_at < kit.NOW for mention in found)
        count += len(wanted)
    assert count >= 6


def test_an_item_of_the_searchs_own_names_its_author_and_so_do_its_answers():
    answer = {"id": 2, "type": "comment", "author": "cy", "text": "It boils", "parent_id": 1, "story_id": 1}
    item = {"id": 1, "type": "story", "author": "bo", "title": "Kettles", "created_at": "2026-11-20T11:00:00.000Z"}
    found = HackerNews.parse(json.dumps({**item, "children": [answer]}).encode(), kit.NOW)
    assert [(one.native_id, one.author.handle, one.conversation) for one in found] == [
        ("1", "bo", "hackernews:1"),
        ("2", "cy", "hackernews:1"),
    ]
