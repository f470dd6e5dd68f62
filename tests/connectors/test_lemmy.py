"""Lemmy: walking down to what is known, what is pinned, edited, deleted or removed, threads, and federated objects."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors import reading
from connectors.lemmy.connector import Lemmy
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
HOST = "https://lemmy.example.org"
WHO = {"id": 1, "name": "anouk", "actor_id": f"{HOST}/u/anouk", "bot_account": False}
COMMUNITY = {"id": 5, "name": "kitchen", "actor_id": f"{HOST}/c/kitchen"}


def at(minutes):
    return (NOON + timedelta(minutes=minutes)).isoformat()


def post(number, minutes=0.0, **more):
    about = {"id": number, "name": f"Post {number}", "ap_id": f"{HOST}/post/{number}", "published": at(minutes), **more}
    return {"post": about, "creator": WHO, "community": COMMUNITY, "counts": {"upvotes": 2, "comments": 1}}


def comment(number, minutes=0.0, *, path=None, **more):
    about = {"id": number, "content": f"Comment {number}", "ap_id": f"{HOST}/comment/{number}", **more}
    about |= {"published": at(minutes), "path": path or f"0.{number}", "post_id": 1}
    counts = {"upvotes": 3, "child_count": 4}
    return {"comment": about, "creator": WHO, "post": post(1)["post"], "community": COMMUNITY, "counts": counts}


class Server:
    """Gives the newest first, fifty at a time; what is pinned stands first on the first page."""

    def __init__(self, posts=(), comments=()):
        self.posts, self.comments = list(posts), list(comments)
        self.asked = []

    def __call__(self, request):
        given = dict(request.url.params)
        path = request.url.path.removeprefix("/api/v3/")
        self.asked.append((path, given))
        kind = given.get("type_", "").lower().removesuffix("s") if path == "search" else path.partition("/")[0]
        rows = self.posts if kind == "post" else self.comments
        if "id" in given:
            found = [row for row in rows if row[kind]["id"] == int(given["id"])]
            missing = httpx.Response(404, json={"error": f"couldnt_find_{kind}"})
            return httpx.Response(200, json={f"{kind}_view": found[0]}) if found else missing
        rows = sorted(rows, key=lambda row: (row[kind].get("featured_local") is True, row[kind]["published"]))[::-1]
        page = int(given.get("page", given.get("page_cursor", "1").removeprefix("P")))
        shown = rows[(page - 1) * 50 :][:50]
        more = {"next_page": f"P{page + 1}"} if kind == "post" and path != "search" and len(shown) == 50 else {}
        return httpx.Response(200, json={f"{kind}s": shown, **more})

    def connector(self, **changes):
        return kit.make(Lemmy, self, **changes)


def numbers(mentions):
    return [int(mention.native_id.rsplit("/", 1)[1]) for mention in mentions]


def read(*rows):
    return list(Lemmy.parse(json.dumps(rows).encode(), kit.NOW))


def test_a_post_and_its_comments_become_mentions_with_all_that_is_known_of_them():
    found = {mention.native_id: mention for mention in Lemmy.parse(kit.example(Lemmy, "page").read_bytes(), kit.NOW)}
    post = found[f"{HOST}/post/71"]
    assert (post.title, post.kind, post.state) == ("The Acme kettle leaks & hisses", Kind.POST, State.EDITED)
    assert post.revision == int(datetime(2026, 11, 20, 11, 9, tzinfo=UTC).timestamp() * 1000)
    assert post.links == ("https://acme.example/kettle", "https://acme.example/manual")
    assert (post.author.handle, post.author.name) == ("anouk@lemmy.example.org", "Anouk")
    assert (post.engagement.likes, post.engagement.replies, post.subject) == (10, 2, "kitchen@lemmy.example.org")
    first, second = found["https://feddit.example.net/comment/4410"], found[f"{HOST}/comment/902"]
    assert first.in_reply_to == first.conversation == post.id == post.conversation
    assert (second.in_reply_to, second.conversation, second.author.bot) == (first.id, post.id, True)
    assert first.text == "Same here\n\n> it leaks\n\nSince Monday."


@pytest.mark.parametrize(("flag", "state"), [("deleted", State.DELETED), ("removed", State.REMOVED)])
def test_what_is_gone_keeps_no_words_and_is_newer_than_its_last_edit(flag, state):
    (before,), (after,) = read(comment(1, updated=at(3))), read(comment(1, updated=at(3), **{flag: True}))
    assert (after.state, after.text, after.links) == (state, "", ())
    assert after.revision > before.revision


def test_what_is_gone_is_the_same_however_often_it_is_read():
    later = kit.NOW + timedelta(hours=1)
    body = json.dumps(comment(1, deleted=True)).encode()
    assert [one.revision for one in Lemmy.parse(body, kit.NOW)] == [one.revision for one in Lemmy.parse(body, later)]


def test_of_a_report_the_author_is_who_wrote_it():
    (found,) = read({**comment(1), "comment_creator": {**WHO, "name": "bo", "actor_id": f"{HOST}/u/bo"}})
    assert found.author.handle == "bo@lemmy.example.org"


def test_names_of_the_next_version_are_understood():
    about = {"id": 1, "ap_id": f"{HOST}/comment/1", "content": "Hi", "published_at": at(1), "updated_at": at(2)}
    (found,) = read({"comment": {**about, "upvotes": 7}, "creator": {"id": 1, "name": "bo", "ap_id": f"{HOST}/u/bo"}})
    assert (found.created_at, found.state) == (NOON + timedelta(minutes=1), State.EDITED)
    assert (found.author.handle, found.engagement.likes) == ("bo@lemmy.example.org", 7)


async def test_a_burst_is_walked_down_to_what_is_known_and_nothing_comes_twice():
    server, log = Server([post(n, n / 10) for n in range(5)], [comment(900 + n, n) for n in range(5)]), MemoryLog()
    connector = server.connector(overlap=60)
    await kit.run(connector, 2, log=log)
    server.posts += [post(n, n / 10) for n in range(5, 320)]
    server.comments += [comment(900 + n, n / 10) for n in range(60, 300)]
    await kit.run(connector, 3, log=log)
    assert sorted(numbers(log.mentions)) == sorted([*range(320), *range(900, 905), *range(960, 1200)])


async def test_a_pinned_post_of_long_ago_ends_no_walk():
    server, log = Server([post(n, n / 10) for n in range(120)]), MemoryLog()
    server.posts.append(post(999, -60 * 24 * 90, featured_local=True))
    await kit.run(server.connector(), 3, log=log)
    assert sorted(numbers(log.mentions)) == [*range(120), 999]


async def test_edits_and_deletions_within_the_overlap_are_heard():
    server, log = Server(comments=[comment(1), comment(2, 1)]), MemoryLog()
    connector = server.connector()
    await kit.run(connector, 1, log=log)
    server.comments = [comment(1, updated=at(5), content="Again"), comment(2, 1, deleted=True, content="")]
    await kit.run(connector, 2, log=log)
    assert [(one.state, one.text) for one in log.mentions[2:]] == [(State.EDITED, "Again"), (State.DELETED, "")]


async def test_each_community_is_asked_for_and_without_any_everything():
    server = Server()
    await server.connector(communities=["!kitchen@a.example", "Tea"]).fetch(None)
    assert [given["community_name"] for _, given in server.asked] == ["kitchen@a.example"] * 2 + ["tea"] * 2
    await server.connector(communities=[], local=True).fetch(None)
    assert [(path, given.get("community_name"), given["type_"]) for path, given in server.asked[4:]] == [
        ("post/list", None, "Local"),
        ("comment/list", None, "Local"),
    ]


async def test_a_search_asks_for_posts_and_for_comments():
    server, log = Server([post(n, n / 10) for n in range(70)], [comment(901)]), MemoryLog()
    await kit.run(server.connector(query="kettle", communities=[]), 2, log=log)
    assert len(log.mentions) == 71
    assert {(path, given["q"]) for path, given in server.asked} == {("search", "kettle")}


async def test_texts_of_the_server_are_read_again_and_those_of_others_are_left_alone():
    server = Server([post(1, updated=at(9))])
    found = await server.connector().reread([f"{HOST}/post/1", f"{HOST}/comment/7", "https://other.example/post/1"])
    assert [(mention.native_id, mention.state) for mention in found.mentions] == [(f"{HOST}/post/1", State.EDITED)]
    assert list(found.absent) == [f"{HOST}/comment/7"]


async def test_errors_are_known_by_their_names():
    with pytest.raises(RateLimitedError):
        await kit.make(Lemmy, kit.answering(b'{"error": "rate_limit_error"}', 400)).fetch(None)
    with pytest.raises(SourceRefusedError, match="communities"):
        await kit.make(Lemmy, kit.answering(b'{"error": "not_found"}', 404)).fetch(None)
    with pytest.raises(SourceUnavailableError, match="no posts"):
        await kit.make(Lemmy, kit.answering(b'{"error": "busy"}')).fetch(None)


async def test_the_past_is_read_from_the_time_asked_for():
    connector = Server([post(n, n) for n in range(10)]).connector(overlap=0)
    cursor = await connector.cursor_at(NOON + timedelta(minutes=5))
    assert connector.time_of(cursor) == NOON + timedelta(minutes=5)
    assert numbers((await connector.fetch(cursor)).mentions) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("wrong", ["two words", "@host", ""])
def test_a_community_has_a_name(wrong):
    with pytest.raises(ConfigError, match="name or name@host"):
        kit.settings(Lemmy, communities=[wrong])


def note(**more):
    given = {"type": "Note", "id": f"{HOST}/comment/1", "attributedTo": f"{HOST}/u/anouk", "published": at(0)}
    return {**given, "content": "<p>It leaks</p>", **more}


def test_what_servers_tell_each_other_is_read():
    (found,) = read({"type": "Create", "object": note(inReplyTo=f"{HOST}/post/1", language={"identifier": "FR"})})
    assert (found.text, found.language, found.kind) == ("It leaks", "fr", Kind.COMMENT)
    assert found.in_reply_to == found.conversation == f"lemmy:{HOST}/post/1"
    assert found.author.handle == "anouk@lemmy.example.org"
    (other,) = read(note(attributedTo=[{"type": "Person", "id": "https://m.example/@bo"}], audience=f"{HOST}/c/tea"))
    assert (other.author.handle, other.subject) == ("bo@m.example", "tea@lemmy.example.org")


async def test_a_check_is_one_request():
    server = Server([post(n, n / 10) for n in range(120)])
    assert "with 50 mentions" in await server.connector().check()
    assert len(server.asked) == 1


def test_an_update_within_a_moment_is_no_edit():
    (found,) = read(note(published="2026-11-20T11:00:00.548Z", updated="2026-11-20T11:00:00.555Z"))
    assert (found.state, found.revision) == (State.LIVE, 0)


def test_deletions_between_servers_say_by_whom():
    given = {"type": "Delete", "object": f"{HOST}/comment/1"}
    assert [one.state for one in read(given, {**given, "summary": "spam", "object": f"{HOST}/post/2"})] == [
        State.DELETED,
        State.REMOVED,
    ]
    (tombstone,) = read({"type": "Tombstone", "id": f"{HOST}/comment/3"})
    assert (tombstone.native_id, tombstone.state) == (f"{HOST}/comment/3", State.DELETED)
    (nested,) = read({"type": "Delete", "object": {"type": "Tombstone", "id": f"{HOST}/comment/4"}})
    assert nested.native_id == f"{HOST}/comment/4"
    assert read({"type": "Undo", "object": given}) == []
    assert read({**given, "object": f"{HOST}/u/anouk"}) == []  # an account


@pytest.mark.shared
def test_every_recorded_object_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "lemmy"):
        found = recordings.read(Lemmy, body)
        rows = [row for row in reading.walk(reading.documents(body)) if row.get("type") in ("Note", "Page")]
        wanted = {row["id"]: row.get("content") or row["name"] for row in rows if "attributedTo" in row}
        assert recordings.missing(wanted, found) == [], name
        assert all(one.author.handle and one.created_at < kit.NOW for one in found if not one.is_withdrawn), name
        count += len(wanted)
    assert count >= 6
