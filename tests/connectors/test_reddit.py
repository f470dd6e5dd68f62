"""Reddit: walking down listings that end, things deleted on the way, edits, removals, and answers not as expected."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

from connectors import reading
from connectors.publisher import MemoryLog
from connectors.reddit import things
from connectors.reddit.connector import Reddit
from pipeline.contract.errors import (
    ConfigError,
    InvalidMessageError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def thing(number, minutes=0.0, *, kind="t3", **more):
    native = f"{kind}_{number}"
    words = {"title": f"Post {number}", "selftext": "It leaks", "is_self": True, "num_comments": 2}
    if kind == "t1":
        words = {"body": f"Comment {number}", "link_id": "t3_1", "parent_id": "t3_1"}
    at = (NOON + timedelta(minutes=minutes)).timestamp()
    given = {"id": str(number), "name": native, "author": "anouk", "author_fullname": "t2_1", "created_utc": at}
    return {**given, "subreddit": "kettles", "edited": False, "ups": 5, **words, **more}


class Site:
    """Listings, the newest first, a hundred at a time and a thousand at the most; after what is gone there is nothing."""

    def __init__(self, posts=(), comments=()):
        self.listings = {"new": list(posts), "search": list(posts), "comments": list(comments)}
        self.asked = []
        self.tokens = 0
        self.before_answer = None

    def __call__(self, request):
        if request.url.path.endswith("access_token"):
            self.tokens += 1
            assert request.headers["authorization"].startswith("Basic ")
            assert parse_qs(request.content.decode())["grant_type"] == ["client_credentials"]
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}", "expires_in": 3600, "scope": "*"})
        given = dict(request.url.params)
        self.asked.append((request.url.path, given, request.headers))
        if self.before_answer:
            self.before_answer()
        if "id" in given:
            rows = [row for row in self._all() if row["name"] in given["id"].split(",")]
            return self.listing(rows)
        rows = sorted(self.listings[request.url.path.rsplit("/", 1)[1]], key=lambda row: -row["created_utc"])[:1_000]
        if "after" in given:
            names = [row["name"] for row in rows]
            rows = rows[names.index(given["after"]) + 1 :] if given["after"] in names else []
        return self.listing(rows[:100], rows[99]["name"] if len(rows) > 100 else None)

    def _all(self):
        return self.listings["new"] + self.listings["comments"]

    @staticmethod
    def listing(rows, after=None):
        children = [{"kind": row["name"][:2], "data": row} for row in rows]
        return httpx.Response(200, json={"kind": "Listing", "data": {"children": children, "after": after}})

    def connector(self, **changes):
        return kit.make(Reddit, transport=httpx.MockTransport(self), **changes)


def read(*rows):
    return list(Reddit.parse(json.dumps(rows).encode(), kit.NOW))


def names(mentions):
    return [mention.native_id for mention in mentions]


def test_a_post_and_a_comment_become_mentions_with_all_that_is_known_of_them():
    found = {mention.native_id: mention for mention in Reddit.parse(kit.example(Reddit, "page").read_bytes(), kit.NOW)}
    link, comment, post = found["t3_1kx9c2"], found["t1_m7q2z1"], found["t3_1kx8zz"]
    assert (link.title, link.text, link.kind) == ("Acme Kettle 3 & friends, reviewed", "", Kind.POST)
    assert link.links == ("https://acme.example/kettle-3?a=1&b=2",)
    assert (link.engagement.replies, link.engagement.shares, link.tags) == (4, 1, ("review",))
    assert (post.subject, post.links) == ("r/Kettles", ("https://acme.example/manual",))
    assert post.url == "https://www.reddit.com/r/Kettles/comments/1kx8zz/the_acme_kettle_leaks/"
    assert (post.author.id, post.author.handle) == ("t2_9ab1", "anouk")
    assert (comment.state, comment.kind) == (State.EDITED, Kind.COMMENT)
    assert comment.revision == int(datetime(2026, 11, 20, 11, 35, tzinfo=UTC).timestamp() * 1000)
    assert comment.in_reply_to == comment.conversation == post.id == post.conversation
    assert comment.text.startswith("Same here &amp; it is literally")  # beside HTML that is not escaped it is no escape


def test_a_text_that_was_asked_for_without_raw_json_is_unescaped():
    (found,) = read(thing(1, kind="t1", body="a &lt; b &amp;&amp; c", body_html="&lt;div&gt;a&lt;/div&gt;"))
    assert found.text == "a < b && c"
    (bare,) = read(thing(1, title="Salt &amp; vinegar", selftext="", selftext_html=None))
    assert bare.title == "Salt & vinegar"


def test_a_comment_of_old_finds_its_address_by_itself():
    (found,) = read(thing("abc", kind="t1", author_fullname=None))
    assert found.url == "https://www.reddit.com/r/kettles/comments/1/_/abc/"
    assert (found.author.id, found.author.handle) == ("anouk", "anouk")
    (inbox,) = read(thing("abc", kind="t1", context="/r/kettles/comments/1/leak/abc/?context=3"))
    assert inbox.url == "https://www.reddit.com/r/kettles/comments/1/leak/abc/"


@pytest.mark.parametrize(
    ("kind", "change", "state"),
    [
        ("t1", {"author": "[deleted]", "body": "[deleted]"}, State.DELETED),
        ("t1", {"author": "[deleted]", "body": "[removed]"}, State.REMOVED),
        ("t1", {"body": "[removed]"}, State.REMOVED),
        ("t1", {"author": "[deleted]"}, State.DELETED),
        ("t3", {"author": "[deleted]", "selftext": "[deleted]"}, State.DELETED),
        ("t3", {"selftext": "[removed]", "removed_by_category": "moderator"}, State.REMOVED),
        ("t3", {"removed_by_category": "deleted", "title": "[deleted by user]"}, State.DELETED),
        ("t3", {"removed_by_category": "copyright_takedown"}, State.REMOVED),
    ],
    ids=str,
)
def test_what_was_taken_away_keeps_neither_words_nor_author_and_is_newer_than_its_last_edit(kind, change, state):
    edited = (NOON + timedelta(minutes=3)).timestamp()
    (before,), (after,) = read(thing(1, kind=kind, edited=edited)), read(thing(1, kind=kind, edited=edited, **change))
    assert (after.state, after.text, after.title, after.author) == (state, "", None, None)
    assert after.revision > before.revision
    assert after.conversation == before.conversation


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "t5", "data": {"name": "t5_1", "title": "Kettles", "created_utc": 1.0, "display_name": "kettles"}},
        {"kind": "t4", "data": {"name": "t4_1", "body": "secret", "created_utc": 1.0, "subject": "hello"}},
        {"kind": "more", "data": {"name": "t1_1", "id": "1", "children": ["2"], "parent_id": "t1_0"}},
        {"kind": "t2", "data": {"name": "anouk", "created_utc": 1.0}},
    ],
    ids=lambda row: row["kind"],
)
def test_other_things_are_no_mentions(other):
    assert read(other) == []


def test_an_archive_with_a_head_is_read_line_by_line():
    head = "subreddit,id,created_utc,title,selftext,ups,num_comments,url,permalink,is_self,edited\n"
    link = "https://a.example/x,https://www.reddit.com/r/k/comments/7x/y/"
    (found,) = Reddit.parse(
        f'{head}k,7x,1300000000.0,"Leaks, again","two\nlines",4,2,{link},False,False\n'.encode(), kit.NOW
    )
    assert (found.native_id, found.title, found.text) == ("t3_7x", "Leaks, again", "two\nlines")
    assert found.url == "https://www.reddit.com/r/k/comments/7x/y/"
    assert (found.links, found.engagement.likes, found.state) == (("https://a.example/x",), 4, State.LIVE)


async def test_a_burst_is_walked_down_to_what_is_known_and_nothing_comes_twice():
    site, log = Site([thing(n, n / 20) for n in range(5)], [thing(n, n / 20, kind="t1") for n in range(5)]), MemoryLog()
    connector = site.connector(overlap=60)
    await kit.run(connector, 2, log=log)
    site.listings["new"] += [thing(n, n / 20) for n in range(5, 420)]
    site.listings["comments"] += [thing(n, n / 20, kind="t1") for n in range(5, 730)]
    await kit.run(connector, 3, log=log)
    assert sorted(names(log.mentions)) == sorted([f"t3_{n}" for n in range(420)] + [f"t1_{n}" for n in range(730)])
    assert not [told for told in log.coverage if told.gap_from]


async def test_a_thing_that_is_deleted_while_pages_are_read_hides_nothing():
    site, log = Site([thing(n, n / 20) for n in range(350)]), MemoryLog()

    def delete_the_last_of_the_page():
        if len(site.asked) in (2, 3):
            gone = site.asked[-1][1].get("after")
            site.listings["new"] = [row for row in site.listings["new"] if row["name"] != gone]

    site.before_answer = delete_the_last_of_the_page
    await kit.run(site.connector(comments=False), 2, log=log)
    assert len([given for _, given, _ in site.asked if "after" in given]) > 3
    assert sorted(names(log.mentions)) == sorted(f"t3_{n}" for n in range(350))


async def test_what_lies_deeper_than_a_listing_reaches_is_told_as_a_gap():
    site, log = Site([thing(0, 0)]), MemoryLog()
    connector = site.connector(comments=False, overlap=0)
    await kit.run(connector, 1, log=log)
    site.listings["new"] += [thing(n, n / 50) for n in range(1, 1_400)]
    await kit.run(connector, 3, log=log)
    assert len(log.mentions) == 1_001
    (told,) = [told for told in log.coverage if told.gap_from]
    assert told.gap_from == NOON
    assert told.gap_until == NOON + timedelta(minutes=400 / 50)


async def test_a_listing_that_reaches_what_is_known_at_its_very_end_has_no_gap():
    site, log = Site([thing(0, 0)]), MemoryLog()
    connector = site.connector(comments=False, overlap=0)
    await kit.run(connector, 1, log=log)
    site.listings["new"] += [thing(n, n / 50) for n in range(1, 1_000)]
    await kit.run(connector, 3, log=log)
    assert len(log.mentions) == 1_000
    assert not [told for told in log.coverage if told.gap_from]


async def test_edits_and_removals_within_the_overlap_are_heard():
    site, log = Site([thing(1), thing(2, 1)]), MemoryLog()
    connector = site.connector(comments=False)
    await kit.run(connector, 1, log=log)
    edited = (NOON + timedelta(minutes=9)).timestamp()
    site.listings["new"] = [
        thing(1, selftext="Again", edited=edited),
        thing(2, 1, author="[deleted]", selftext="[deleted]"),
    ]
    await kit.run(connector, 2, log=log)
    assert [(one.native_id, one.state, one.text) for one in log.mentions[2:]] == [
        ("t3_1", State.EDITED, "Again"),
        ("t3_2", State.DELETED, ""),
    ]


async def test_things_are_read_again_by_their_names():
    site = Site([thing(1), thing(2, removed_by_category="moderator", selftext="[removed]")], [thing(3, kind="t1")])
    found = await site.connector().reread(["t3_1", "t3_2", "t1_3", "t1_4"])
    assert [(one.native_id, one.state) for one in found.mentions] == [
        ("t3_1", State.LIVE),
        ("t3_2", State.REMOVED),
        ("t1_3", State.LIVE),
    ]
    assert list(found.absent) == ["t1_4"]
    assert site.asked[0][0] == "/api/info"


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, ["/r/kettles/new", "/r/kettles/comments"]),
        ({"subreddits": ["r/Kettles", "tea"], "comments": False}, ["/r/kettles+tea/new"]),
        ({"subreddits": [], "query": "acme"}, ["/r/all/search"]),
        ({"query": "acme"}, ["/r/kettles/search", "/r/kettles/comments"]),
    ],
    ids=str,
)
async def test_what_is_asked_for_follows_from_the_settings(changes, asked):
    site = Site()
    await site.connector(**changes).fetch(None)
    assert [path for path, _, _ in site.asked] == asked
    assert all(given["raw_json"] == "1" and given["limit"] == "100" for _, given, _ in site.asked)
    if asked[0].endswith("search"):
        assert site.asked[0][1]["restrict_sr"] == ("0" if changes.get("subreddits") == [] else "1")


async def test_a_check_is_one_request():
    site = Site([thing(n, n / 20) for n in range(350)], [thing(1, kind="t1")])
    assert (await site.connector().check()).startswith("it answers with 100 mentions, the newest of 2026-11-20 11:17")
    assert len(site.asked) == 1


async def test_requests_bear_a_token_and_say_whose_they_are():
    site = Site()
    connector = site.connector()
    await connector.fetch(None)
    await connector.fetch(None)
    assert site.tokens == 1
    assert {headers["authorization"] for _, _, headers in site.asked} == {"Bearer token-1"}
    assert all(headers["user-agent"].endswith("(by /u/acme_listening)") for _, _, headers in site.asked)


async def test_an_app_that_is_refused_under_a_success_stops_the_source():
    def answer(request):
        assert request.url.path.endswith("access_token")
        return httpx.Response(200, json={"error": "unauthorized_client", "error_description": "no"})

    with pytest.raises(SourceRefusedError) as raised:
        await kit.make(Reddit, transport=httpx.MockTransport(answer)).fetch(None)
    assert kit.SECRET not in str(raised.value)


async def test_answers_not_as_expected_say_what_to_do():
    page = b"<!doctype html><html><head><title>Too Many Requests</title></head></html>"
    with pytest.raises(RateLimitedError) as raised:
        await kit.make(Reddit, kit.answering(page, 429, {"retry-after": "4"})).fetch(None)
    assert raised.value.retry_after == 4
    with pytest.raises(SourceRefusedError, match="legal"):
        await kit.make(Reddit, kit.answering(b"", 451)).fetch(None)
    for body, status in ((b"", 200), (b'{"kind": "Listing", "data": {', 200), (b"", 522), (b'{"data": []}', 200)):
        with pytest.raises(SourceUnavailableError):
            await kit.make(Reddit, kit.answering(body, status)).fetch(None)


async def test_the_past_is_read_from_the_time_asked_for():
    connector = Site([thing(n, n) for n in range(10)]).connector(overlap=0, comments=False)
    cursor = await connector.cursor_at(NOON + timedelta(minutes=5))
    assert connector.time_of(cursor) == NOON + timedelta(minutes=5)
    assert names((await connector.fetch(cursor)).mentions) == [f"t3_{n}" for n in range(5, 10)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"subreddits": []}, "say what to listen to"), ({"subreddits": ["two words"]}, "by their names")],
)
def test_settings_that_cannot_work_say_what_to_write(wrong, said):
    with pytest.raises(ConfigError, match=said):
        kit.settings(Reddit, **wrong)


@pytest.mark.shared
def test_every_recorded_thing_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "reddit"):
        found = recordings.read(Reddit, body)
        try:
            rows = list(reading.walk(reading.documents(body)))
        except InvalidMessageError:
            assert found == [], name
            continue
        things_of = [row for row in rows if things.name_of(row) and not things.state_of(row)]
        wanted = {row["name"]: row.get("body") or f"{row['title']} {row.get('selftext') or ''}" for row in things_of}
        assert recordings.missing(wanted, found) == [], name
        live = [mention for mention in found if not mention.is_withdrawn]
        assert all(mention.url and mention.author and mention.created_at < kit.NOW for mention in live), name
        count += len(wanted)
    assert count >= 290


@pytest.mark.shared
def test_every_post_and_comment_of_the_raw_payloads_is_read(shared):
    folder = shared / "data" / "raw_payloads"
    polls = (folder / "reddit" / "comment_stream_polls.jsonl").read_bytes()
    children = [one["data"] for line in polls.splitlines() for one in json.loads(line)["body"]["data"]["children"]]
    assert recordings.missing({row["name"]: row["body"] for row in children}, recordings.read(Reddit, polls)) == []
    for file in (folder / "reddit_posts").glob("*.csv"):
        found = recordings.read(Reddit, file.read_bytes())
        assert len(found) == 160, file.name
        assert all(mention.url and (mention.text or mention.title) for mention in found)
