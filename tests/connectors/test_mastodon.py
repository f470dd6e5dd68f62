"""Mastodon: walking forwards without a gap, edits, boosts, threads, and servers that are not Mastodon."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

from connectors import reading
from connectors.backfill import Backfill, checkpoint_name
from connectors.mastodon.connector import Mastodon
from connectors.mastodon.statuses import earlier, id_at, order, time_of
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import ConfigError, InvalidMessageError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, State
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, recordings

WHO = {
    "id": "7",
    "username": "anouk",
    "acct": "anouk",
    "display_name": "Anouk",
    "url": "https://social.example.org/@anouk",
    "uri": "https://social.example.org/users/anouk",
    "followers_count": 321,
    "bot": False,
}
NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def id_of(at, number=0):
    return str((int(at.timestamp() * 1000) << 16) + number)


def status(number=0, *, at=None, content="<p>Acme!</p>", **more):
    at = at or NOON + timedelta(seconds=number)
    native = more.pop("id", None) or id_of(at, number)
    return {
        "id": native,
        "uri": f"https://social.example.org/users/anouk/statuses/{native}",
        "url": f"https://social.example.org/@anouk/{native}",
        "created_at": at.isoformat(),
        "content": content,
        "account": WHO,
        "visibility": "public",
        **more,
    }


class Server:
    """A server with timelines: `min_id` gives the oldest texts above it, each page is written newest first."""

    def __init__(self, statuses=(), *, page=40, knows_min_id=True):
        self.timelines = {"acme": list(statuses)}
        self.page = page
        self.knows_min_id = knows_min_id
        self.asked = []

    def __call__(self, request):
        params = parse_qs(request.url.query.decode())
        self.asked.append((request.url.path, params))
        found = sorted(self.timelines.get(request.url.path.rsplit("/", 1)[1], ()), key=lambda row: order(row["id"]))
        size = min(self.page, int(params["limit"][0]))
        above = params.get("min_id", [""])[0]
        if above and self.knows_min_id:
            found = [row for row in found if order(row["id"]) > order(above)][:size]
        return httpx.Response(200, json=found[::-1][:size])

    def connector(self, **changes):
        return kit.make(Mastodon, self, **changes)


def only(*rows):
    (found,) = Mastodon.parse(json.dumps(rows).encode(), kit.NOW)
    return found


def test_a_status_becomes_a_mention_with_all_that_is_known_of_it():
    page = kit.example(Mastodon, "page").read_bytes()
    news, reply, first = Mastodon.parse(page, kit.NOW)
    assert first.native_id == first.author.id + "/statuses/" + first.url.rsplit("/", 1)[1]
    assert first.text == "My #acme kettle leaks & nobody answers 😡"
    assert (first.author.handle, first.author.followers, first.author.bot) == ("anouk@social.example.org", 321, False)
    assert (first.engagement.likes, first.engagement.replies, first.engagement.shares) == (5, 1, 2)
    assert (first.language, first.tags, first.links, first.kind) == ("en", ("acme",), (), Kind.POST)
    assert news.author.bot is True
    assert "https://acme.example/news/repair-shop-opens-in-spring" in news.text.splitlines()[1]
    assert news.links == ("https://acme.example/news/repair-shop-opens-in-spring",)
    assert reply.author.handle == "bo@kitchen.example.net"


def test_a_content_warning_is_the_title():
    assert only(status(spoiler_text="Leak &amp; mess")).title == "Leak & mess"
    assert only(status(spoiler_text="")).title is None
    assert only(status(content="", spoiler_text="A picture")).title == "A picture"


def test_a_text_without_words_is_no_mention():
    assert list(Mastodon.parse(json.dumps([status(content="")]).encode(), kit.NOW)) == []


async def test_an_edit_is_a_new_revision_and_both_are_heard():
    server, log = Server([status(1)]), MemoryLog()
    await kit.run(server.connector(), 1, log=log)
    server.timelines["acme"] = [status(1, content="<p>Acme, again</p>", edited_at="2026-11-20T11:03:00.500Z")]
    await kit.run(server.connector(), 1, log=log)
    before, after = log.mentions
    assert (before.revision, before.state, after.state) == (0, State.LIVE, State.EDITED)
    assert after.id == before.id
    assert after.revision == int(datetime(2026, 11, 20, 11, 3, 0, 500_000, UTC).timestamp() * 1000)


async def test_a_boost_is_heard_as_the_text_it_repeats_once():
    boosted = status(1)
    page = await Server([status(2, reblog=boosted), status(3, reblog=boosted)]).connector().fetch(None)
    assert [mention.native_id for mention in page.mentions] == [boosted["uri"]]
    assert page.rejected == []


async def test_what_was_not_written_for_all_is_not_heard():
    rows = [status(number, visibility=seen) for number, seen in enumerate(("public", "unlisted", "private", "direct"))]
    page = await Server(rows).connector().fetch(None)
    assert [mention.native_id for mention in page.mentions] == [rows[0]["uri"], rows[1]["uri"]]


async def test_authors_who_do_not_want_to_be_found_can_be_left_out():
    rows = [status(1, account={**WHO, "indexable": True}), status(2, account={**WHO, "indexable": False}), status(3)]
    heard = await Server(rows).connector(indexable_only=True).fetch(None)
    assert [mention.native_id for mention in heard.mentions] == [rows[0]["uri"]]
    assert len((await Server(rows).connector().fetch(None)).mentions) == 3


def test_a_thread_in_one_answer_is_one_conversation():
    root, reply = status(1), status(2, in_reply_to_id=status(1)["id"])
    deeper = status(3, in_reply_to_id=reply["id"])
    found = {one.native_id: one for one in Mastodon.parse(json.dumps([deeper, reply, root]).encode(), kit.NOW)}
    assert found[reply["uri"]].in_reply_to == f"mastodon:{root['uri']}"
    assert found[deeper["uri"]].in_reply_to == f"mastodon:{reply['uri']}"
    assert {one.key for one in found.values()} == {f"mastodon:{root['uri']}"}
    assert [found[row["uri"]].kind for row in (root, reply)] == [Kind.POST, Kind.COMMENT]


def test_replies_to_a_text_that_was_not_seen_stay_together():
    rows = [status(number, in_reply_to_id="99") for number in (1, 2)]
    found = list(Mastodon.parse(json.dumps(rows).encode(), kit.NOW))
    assert {one.key for one in found} == {"mastodon:99"} == {one.in_reply_to for one in found}


def test_a_reply_to_itself_ends_nothing():
    one, other = status(1, in_reply_to_id=status(2)["id"]), status(2, in_reply_to_id=status(1)["id"])
    assert len(list(Mastodon.parse(json.dumps([one, other]).encode(), kit.NOW))) == 2
    assert only(status(3, in_reply_to_id=status(3)["id"])).kind is Kind.COMMENT


async def test_a_burst_is_walked_through_oldest_first_without_a_pause():
    server, log = Server([status(number) for number in range(50)]), MemoryLog()
    await kit.run(server.connector(), 1, log=log)
    assert [mention.created_at for mention in log.mentions] == [NOON + timedelta(seconds=n) for n in range(10, 50)]
    server.timelines["acme"] += [status(number) for number in range(50, 180)]
    waits, _ = await kit.run(server.connector(), 6, log=log)
    times = [mention.created_at for mention in log.mentions]
    assert sorted(times) == [NOON + timedelta(seconds=number) for number in range(180)]
    assert times[40:] == sorted(times[40:])
    assert waits.waited[:4] == [0, 0, 0, 0]
    assert waits.waited[-1] > 50


async def test_texts_of_the_same_instant_are_all_heard():
    rows = [status(number, at=NOON, id=id_of(NOON, number)) for number in range(60)]
    server, log = Server(rows[:1]), MemoryLog()
    await kit.run(server.connector(), 1, log=log)
    server.timelines["acme"] = rows
    await kit.run(server.connector(), 4, log=log)
    assert sorted(mention.native_id for mention in log.mentions) == sorted(row["uri"] for row in rows)


async def test_a_text_that_comes_late_is_heard_within_the_overlap_only():
    server, log = Server([status(600)]), MemoryLog()
    await kit.run(server.connector(), 1, log=log)
    late, too_late = status(400), status(100)
    server.timelines["acme"] += [late, too_late]
    await kit.run(server.connector(overlap="5m"), 2, log=log)
    assert [mention.native_id for mention in log.mentions] == [status(600)["uri"], late["uri"]]


@pytest.mark.parametrize(("page", "count"), [(10, 30), (5, 28)], ids=["to the last known", "in short pages"])
async def test_an_overlap_of_many_pages_does_not_hide_what_is_new(page, count):
    server, log = Server([status(number) for number in range(count)], page=page), MemoryLog()
    await kit.run(server.connector(), 1, log=log)
    server.timelines["acme"].append(status(40))
    await kit.run(server.connector(), 8, log=log)
    assert status(40)["uri"] in {mention.native_id for mention in log.mentions}


async def test_a_server_that_does_not_know_min_id_is_not_asked_without_end():
    server, log = Server([status(number) for number in range(50)], knows_min_id=False), MemoryLog()
    waits, _ = await kit.run(server.connector(), 6, log=log)
    assert len([seconds for seconds in waits.waited if seconds > 0]) >= 3
    assert len(log.mentions) == 40


async def test_each_tag_has_its_own_place_and_a_text_with_both_is_one_mention():
    both, one = status(1), status(2)
    server, log = Server(), MemoryLog()
    server.timelines = {"acme": [both, one], "kettle": [both]}
    await kit.run(server.connector(tags=["#Acme", "kettle"]), 1, log=log)
    assert [path for path, _ in server.asked] == ["/api/v1/timelines/tag/acme", "/api/v1/timelines/tag/kettle"]
    assert json.loads(log.checkpoints["example"].cursor)["newest"] == {"acme": one["id"], "kettle": both["id"]}
    assert [mention.native_id for mention in log.mentions] == [both["uri"], one["uri"]]


async def test_only_the_tag_with_full_pages_is_walked_at_once():
    server = Server([status(1)])
    server.timelines["kettle"] = [status(2)]
    connector = server.connector(tags=["acme", "kettle"])
    first = await connector.fetch(None)
    server.timelines["acme"] += [status(number) for number in range(3, 45)]
    second = await connector.fetch(first.cursor)
    server.asked.clear()
    third = await connector.fetch(second.cursor)
    assert (second.is_full, third.is_full) == (True, False)
    assert [path for path, _ in server.asked] == ["/api/v1/timelines/tag/acme"]


async def test_without_tags_everything_public_is_heard():
    server = Server()
    server.timelines["public"] = [status(1)]
    page = await server.connector(tags=[]).fetch(None)
    assert server.asked[0][0] == "/api/v1/timelines/public"
    assert len(page.mentions) == 1


@pytest.mark.parametrize(
    "broken", ["", "null", "[]", "{", '{"newest": 5}', '{"newest": {"acme": ""}, "walk": null}'], ids=repr
)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    page = await Server([status(1)]).connector().fetch(broken)
    assert len(page.mentions) == 1


async def test_the_past_is_walked_through_from_the_time_asked_for():
    server = Server([status(number) for number in range(100)])
    connector = server.connector(overlap=0)
    cursor, heard = await connector.cursor_at(NOON + timedelta(seconds=30)), []
    is_more = True
    while is_more:
        page = await connector.fetch(cursor)
        heard += page.mentions
        cursor, is_more = page.cursor, page.is_full
    assert [mention.created_at for mention in heard] == [NOON + timedelta(seconds=number) for number in range(30, 100)]


async def test_a_backfill_of_two_tags_ends_when_both_have_been_read():
    """One tag has reached the present long before the other."""
    server, log = Server([status(number) for number in range(150)]), MemoryLog()
    server.timelines["kettle"] = [status(9_999, at=kit.NOW - timedelta(seconds=1))]
    connector = server.connector(tags=["acme", "kettle"])
    until = kit.NOW - timedelta(seconds=10)
    name = checkpoint_name(connector, NOON, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=NOON, until=until, clock=kit.clock).run()
    assert [mention.created_at for mention in log.mentions] == [NOON + timedelta(seconds=n) for n in range(150)]


async def test_a_server_whose_ids_hold_no_time_says_that_it_has_no_past():
    server = Server([status(1, id="AxYmkXx8Y9kNbVQ3aC")])
    with pytest.raises(ConfigError, match="hold no time"):
        await server.connector().cursor_at(NOON)


async def test_ids_of_other_servers_are_only_compared():
    rows = [status(number, id=f"AxYmkXx8Y9kNbVQ{number:03}") for number in range(50)]
    server, log = Server(rows[:1]), MemoryLog()
    await kit.run(server.connector(), 1, log=log)
    server.timelines["acme"] = rows
    await kit.run(server.connector(), 4, log=log)
    assert [mention.native_id for mention in log.mentions] == [row["uri"] for row in rows]
    assert server.asked[1][1]["min_id"] == [rows[0]["id"]]


ULID = "01KAGHZ2G0ABCDEFGHJKMNPQRS"


@pytest.mark.parametrize("native", [id_of(NOON, 77), ULID])
def test_an_id_with_a_time_can_be_moved_back(native):
    moved = earlier(native, 300)
    assert time_of(moved) == time_of(native) - 300_000
    assert order(moved) < order(native)
    assert len(moved) == len(native)
    assert time_of(id_at(time_of(native), native)) == time_of(native)
    assert order(id_at(time_of(native), native)) <= order(native)


@pytest.mark.parametrize("native", ["12345", "AxYmkXx8Y9kNbVQ3aC", "01KAGHZ2G0abcdefghjkmnpqrs", "9" * 40, "²³"])
def test_an_id_without_a_time_stays_as_it_is(native):
    assert time_of(native) is None
    assert earlier(native, 300) == native


def test_ids_are_compared_by_length_first():
    assert sorted(["100", "99", "101"], key=order) == ["99", "100", "101"]
    assert earlier("", 300) is None


async def test_a_closed_timeline_says_that_a_token_helps():
    refuse = kit.answering(json.dumps({"error": "This method requires an authenticated user"}).encode(), 422)
    with pytest.raises(SourceRefusedError, match="wants a `token`"):
        await kit.make(Mastodon, refuse, token=None).fetch(None)
    with pytest.raises(SourceRefusedError) as raised:
        await kit.make(Mastodon, refuse).fetch(None)
    assert "wants a `token`" not in str(raised.value)


async def test_the_token_goes_into_the_header_and_nowhere_else():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json=[])

    await kit.make(Mastodon, answer).fetch(None)
    await kit.make(Mastodon, answer, token=None).fetch(None)
    assert [request.headers.get("authorization") for request in seen] == [f"Bearer {kit.SECRET}", None]
    assert kit.SECRET not in str(seen[0].url)


async def test_an_answer_that_is_no_timeline_is_tried_again():
    with pytest.raises(SourceUnavailableError, match="no timeline"):
        await kit.make(Mastodon, kit.answering(b'{"error": "busy"}')).fetch(None)


async def test_a_reset_written_as_a_time_is_understood():
    headers = {
        "x-ratelimit-limit": "300",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "2026-11-20T12:05:00.000Z",
    }
    connector = kit.make(Mastodon, kit.answering(b"[]", headers=headers))
    waits, states = await kit.run(connector, 2)
    assert waits.waited[0] >= 300
    assert states[-1][0] in ("waiting", "listening")


@pytest.mark.parametrize(
    ("server", "address"),
    [("social.example.org", "https://social.example.org"), ("http://localhost:3000/", "http://localhost:3000")],
)
def test_a_server_can_be_written_as_people_write_it(server, address):
    assert kit.settings(Mastodon, server=server).server == address


def test_the_same_text_on_two_servers_is_one_mention():
    here, there = status(1), {**status(1), "id": "42", "url": "https://other.example/@anouk@social.example.org/42"}
    assert only(here, there).native_id == here["uri"]


def test_frames_of_streams_are_read():
    row = status(1)
    events = f": hello\nevent: update\ndata: {json.dumps(row)}\n\nevent: delete\ndata: {row['id']}\n\n"
    frame = json.dumps({"stream": ["hashtag"], "event": "update", "payload": json.dumps(row)})
    broken = json.dumps({"stream": ["hashtag"], "event": "update", "payload": "{"})
    for body in (events, f"{broken}\n{frame}"):
        (found,) = Mastodon.parse(body.encode(), kit.NOW)
        assert found.native_id == row["uri"]


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "mastodon"):
        try:
            values = list(reading.walk(reading.documents(body)))
        except InvalidMessageError:  # what is neither JSON nor a stream
            continue
        wanted = {row["uri"]: row["content"] for row in values if row.get("content") and row.get("uri")}
        found = recordings.read(Mastodon, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.url and mention.author.handle and mention.created_at < kit.NOW for mention in found)
        count += len(wanted)
    assert count >= 30
