"""Mastodon's streams over real HTTP: edits, deletions, signs of life, losses that are filled in from timelines."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
from datetime import timedelta

import httpx
import pytest

from connectors.mastodon import statuses
from connectors.mastodon_stream import connector, streams
from connectors.mastodon_stream.connector import MastodonStream
from connectors.mastodon_stream.events import MAX_EVENT, Event, Events
from connectors.mastodon_stream.memory import Place, Post, Published
from connectors.publisher import MemoryLog
from pipeline.contract.errors import (
    BrokerUnavailableError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.events import Kind, State
from tests.connectors import kit
from tests.connectors.streams import EventStream, running, until
from tests.connectors.test_mastodon import NOON, WHO, id_of, status


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(connector, "LINGER", 0.02)


def frame(row, event="update"):
    return json.dumps({"event": event, "payload": row if isinstance(row, str) else json.dumps(row)})


def update(number, **more):
    return frame(status(number, **more))


def edited(number, **more):
    changes = {"content": "<p>Acme, again</p>", "edited_at": "2026-11-20T11:30:00.500Z", **more}
    return frame(status(number, **changes), "status.update")


def deleted(number):
    return frame(status(number)["id"], "delete")


def made(stream, **changes):
    found = kit.make(MastodonStream, **{"endpoints": [stream.url], **changes})
    assert isinstance(found, MastodonStream)
    return found


def cursor(*numbers, tag="acme", posts=()):
    """Where a source is that has heard these."""
    return Place(newest={tag: status(max(numbers))["id"]}, posts=posts).written()


async def first(stream, at=None, **changes):
    """The first page of a connection, which is then closed."""
    async with contextlib.aclosing(made(stream, **changes).listen(at)) as pages:
        return await anext(pages)


def uris(log):
    return [mention.native_id for mention in log.mentions]


def uri(number):
    return status(number)["uri"]


# ------------------------------------------------------------------------------------------------------ what is heard


async def test_what_is_written_edited_and_deleted_is_heard_as_it_happens():
    async with EventStream([update(1), update(2)]).running() as stream, running(made(stream)) as run:
        await until(lambda: len(run.log.mentions) == 2, "both")
        stream.add(edited(1), deleted(1), deleted(77), frame("{}", "filters_changed"))
        await until(lambda: len(run.log.mentions) == 4, "edit and deletion")
        one, two, edit, gone = run.log.mentions
        assert [mention.native_id for mention in (one, two, edit, gone)] == [uri(1), uri(2), uri(1), uri(1)]
        assert (edit.state, edit.text) == (State.EDITED, "Acme, again")
        assert (gone.state, gone.text, gone.key) == (State.DELETED, "", one.key)
        assert gone.revision > edit.revision > one.revision == 0
        assert gone.created_at == one.created_at
        assert {mention.source for mention in run.log.mentions} == {"mastodon"}
        assert run.log.rejected == []


async def test_the_token_goes_into_the_header_of_every_request_and_nowhere_else():
    async with EventStream([update(1)]).running() as stream:
        await first(stream)
        assert stream.headers[0]["Authorization"] == f"Bearer {kit.SECRET}"
        assert stream.headers[0]["Accept"] == "text/event-stream"
        assert stream.asked == [{"tag": "acme"}]


@pytest.mark.parametrize(
    ("settings", "streams", "timeline"),
    [
        ({"tags": ["#Acme"]}, "hashtag", ("/api/v1/timelines/tag/acme", {"limit": "1"})),
        ({"tags": [], "local": True}, "public/local", ("/api/v1/timelines/public", {"limit": "1", "local": "true"})),
        ({"tags": []}, "public", ("/api/v1/timelines/public", {"limit": "1"})),
    ],
)
async def test_each_kind_of_stream_has_its_address_and_its_timeline(settings, streams, timeline):
    async with EventStream([update(1)]).running() as stream:
        connection = made(stream, **settings)
        assert connection._path == streams
        async with contextlib.aclosing(connection.listen(None)) as pages:
            await anext(pages)
        assert stream.fetched == [timeline]


async def test_tags_are_streams_of_their_own_and_a_post_with_both_is_one_mention():
    async with EventStream().running() as stream:
        stream.by_tag = {"acme": [update(1), update(2)], "kettle": [update(2), deleted(2)]}
        stream.beat = 60
        async with running(made(stream, tags=["acme", "kettle"])) as run:
            await until(lambda: len(run.log.mentions) >= 3, "all")
            assert sorted(asked["tag"] for asked in stream.asked) == ["acme", "kettle"]
        found = [(mention.native_id, mention.state) for mention in run.log.mentions]
        assert sorted(found) == sorted([(uri(1), State.LIVE), (uri(2), State.LIVE), (uri(2), State.DELETED)])
        assert set(Place.read(run.log.checkpoints["example"].cursor).newest) == {"acme", "kettle"}


async def test_a_reply_finds_the_thread_of_a_post_that_came_before_it():
    reply = update(2, in_reply_to_id=status(1)["id"])
    deeper = update(3, in_reply_to_id=status(2)["id"])
    async with EventStream([update(1), reply]).running() as stream:
        async with running(made(stream)) as run:
            await until(lambda: len(run.log.mentions) == 2, "the first two")
            stream.add(deeper)
            await until(lambda: len(run.log.mentions) == 3, "the third")
        assert {mention.key for mention in run.log.mentions} == {f"mastodon:{uri(1)}"}
        assert run.log.mentions[2].in_reply_to == f"mastodon:{uri(2)}"
        assert run.log.mentions[1].kind is Kind.COMMENT


async def test_an_edit_and_a_deletion_stay_in_the_thread_that_a_post_was_published_in():
    reply = {"in_reply_to_id": status(1)["id"]}
    early = {"in_reply_to_id": status(4)["id"]}
    sent = [update(1), update(2, **reply), deleted(1), edited(2, **reply), deleted(2)]
    sent += [update(3, **early), update(4), edited(3, **early), deleted(3)]  # before what it answers
    async with EventStream(sent).running() as stream, running(made(stream)) as run:
        await until(lambda: len(run.log.mentions) == len(sent), "all")
        keys = {mention.native_id: set() for mention in run.log.mentions}
        for mention in run.log.mentions:
            keys[mention.native_id].add(mention.key)
        assert {native: len(found) for native, found in keys.items()} == dict.fromkeys(keys, 1)
        assert keys[uri(2)] == {f"mastodon:{uri(1)}"}


async def test_a_deletion_comes_after_an_edit_also_when_our_clock_is_behind():
    later = (kit.NOW + timedelta(seconds=90)).isoformat()
    async with EventStream([update(1), edited(1, edited_at=later), deleted(1)]).running() as stream:
        async with running(made(stream)) as run:
            await until(lambda: len(run.log.mentions) == 3, "all")
        live, edit, gone = run.log.mentions
        assert gone.is_withdrawn
        assert live.revision < edit.revision < gone.revision


async def test_what_is_not_for_all_and_authors_who_do_not_want_to_be_found_are_left_out():
    agreed = update(3, account={**WHO, "indexable": True})
    async with EventStream([update(1, visibility="private"), update(2), agreed]).running() as stream:
        assert [m.native_id for m in (await first(stream)).mentions] == [uri(2), uri(3)]
        assert [m.native_id for m in (await first(stream, indexable_only=True)).mentions] == [uri(3)]


async def test_events_that_cannot_be_read_are_dead_letters_and_the_stream_goes_on():
    odd = ["{", "[]", "7", frame(status(1, uri=None)), frame({"id": [1], "uri": "u", "content": 5, "account": "x"})]
    async with EventStream([*odd, update(2)]).running() as stream, running(made(stream)) as run:
        await until(lambda: run.log.mentions, "what is not broken")
        assert uris(run.log) == [uri(2)]
        assert len(run.log.rejected) == len(odd)
        assert all(part.error.startswith("mastodon-stream: ") for part in run.log.rejected)
        assert len(stream.asked) == 1


async def test_a_stream_that_sends_only_garbage_is_left():
    async with (
        EventStream(["garbage"] * 200).running() as stream,
        contextlib.aclosing(made(stream).listen(None)) as pages,
    ):
        assert 50 <= len((await anext(pages)).rejected) <= 200
        with pytest.raises(SourceUnavailableError, match="no stream of Mastodon's"):
            await anext(pages)


# -------------------------------------------------------------------------------------------------- losses, filled in


async def test_what_was_missed_between_two_connections_is_read_from_the_timeline_oldest_first():
    log = MemoryLog()
    async with EventStream([update(1)]).running() as stream:
        async with running(made(stream), log):
            await until(lambda: log.mentions, "the first")
        stream.timelines["acme"] = [status(number) for number in range(-400, 131)]
        stream.frames = [update(number) for number in (130, 131)]
        async with running(made(stream), log):
            await until(lambda: uri(131) in uris(log), "what was missed, and what comes")
    found = uris(log)
    later = [uri(number) for number in range(1, 132)]
    assert [one for one in found if one in set(later)] == later
    assert len(set(found)) == len(found)
    assert found.index(uri(-298)) < found.index(uri(2))  # within the overlap: texts that came late
    assert uri(-302) not in found
    assert {asked["limit"] for _, asked in stream.fetched[1:]} == {"40"}


async def test_the_first_time_the_past_is_not_heard_but_nothing_after_it_is_lost():
    log = MemoryLog()
    async with EventStream().running() as stream:
        stream.beat = 0.02
        stream.timelines["acme"] = [status(number) for number in range(5)]
        async with running(made(stream), log) as run:
            await until(lambda: run.states[-1:] == [("listening", None)], "it listens")
            await until(lambda: "example" in log.checkpoints, "a checkpoint")
        assert log.mentions == []
        assert Place.read(log.checkpoints["example"].cursor).newest == {"acme": status(4)["id"]}
        stream.timelines["acme"] += [status(1_000)]
        async with running(made(stream, overlap=1), log):
            await until(lambda: uri(1_000) in uris(log), "what was written meanwhile")
        assert uris(log) == [uri(3), uri(4), uri(1_000)]  # with what the overlap brings


async def test_a_timeline_that_was_empty_at_first_is_read_whole_later():
    log = MemoryLog()
    async with EventStream().running() as stream:
        stream.beat = 0.02
        async with running(made(stream), log):
            await until(lambda: "example" in log.checkpoints, "a checkpoint")
        stream.timelines["acme"] = [status(number) for number in range(90)]
        async with running(made(stream), log):
            await until(lambda: len(log.mentions) == 90, "all")


class Late(EventStream):
    """A server that has a post in its timeline, when that has been asked for, which it never sends."""

    async def _timeline(self, request):
        answer = await super()._timeline(request)
        self.timelines["acme"] = [status(1), status(2)]
        return answer


async def test_what_came_while_the_stream_was_opened_is_asked_for_once_more(monkeypatch):
    monkeypatch.setattr(connector, "SETTLED", 0.05)
    async with Late([update(1)]).running() as stream:
        stream.beat = 0.02
        async with running(made(stream)) as run:
            await until(lambda: uri(2) in uris(run.log), "what was never sent")
            count, beats = len(stream.fetched), stream.beats
            await until(lambda: stream.beats > beats + 20, "some more signs of life")
            assert len(stream.fetched) == count == 2
        assert uris(run.log) == [uri(1), uri(2)]


async def test_drops_restarts_and_failing_commits_lose_nothing_and_publish_nothing_twice():
    """A server whose connections drop after a few events, and that sends no event again."""
    chance, total, log = random.Random(7), 240, MemoryLog()
    server = EventStream()
    server.beat, server.repeats, server.timelines["acme"] = 0.02, False, []

    async def drop(_, connection, number, sent):
        if number < 9 and sent >= 3 + number:
            await connection.close()

    async def write():
        for number in range(total):
            server.timelines["acme"].append(status(number))
            server.add(update(number))
            await asyncio.sleep(0.004)

    server.misbehave = drop
    async with server.running() as stream:
        async with running(made(stream), log) as run:
            await until(lambda: ("listening", None) in run.states, "it listens")
            writing = asyncio.create_task(write())
            await until(lambda: len(log.mentions) >= 40, "some")
        for _ in range(2):
            log.fail = [BrokerUnavailableError("Kafka is away")] if chance.random() < 0.7 else []
            so_far = len(log.mentions)
            async with running(made(stream), log):
                await until(lambda so_far=so_far: len(log.mentions) >= min(total, so_far + 40), "some more")
        async with running(made(stream), log):
            await until(lambda: len(set(uris(log))) == total, "all")
        await writing
    assert len(uris(log)) == total
    assert len(stream.asked) > 4


async def test_a_server_that_does_not_know_min_id_is_read_as_far_as_it_shows_and_the_rest_is_a_gap():
    async with EventStream([update(200)]).running() as stream:
        stream.knows_min_id = False
        stream.timelines["acme"] = [status(number) for number in range(1_000, 1_100)]
        async with contextlib.aclosing(made(stream).listen(cursor(0))) as pages:
            page, gap = await anext(pages), (await anext(pages)).gap
        assert [m.native_id for m in page.mentions] == [uri(number) for number in range(1_060, 1_100)]
        assert (gap.since, gap.until) == (NOON, NOON + timedelta(seconds=1_060))
        assert len(stream.fetched) == 2


async def test_a_server_that_does_not_know_min_id_and_shows_all_has_no_gap():
    async with EventStream([update(20)]).running() as stream:
        stream.knows_min_id = False
        stream.timelines["acme"] = [status(number) for number in range(-600, 10, 100)]
        async with contextlib.aclosing(made(stream).listen(cursor(0))) as pages:
            page, following = await anext(pages), await anext(pages)
        assert page.gap is following.gap is None
        assert [m.native_id for m in following.mentions] == [uri(20)]


async def test_a_deletion_after_a_restart_still_finds_its_post_and_its_thread():
    log = MemoryLog()
    reply = update(2, in_reply_to_id=status(1)["id"])
    async with EventStream([update(1), reply]).running() as stream:
        async with running(made(stream), log):
            await until(lambda: len(log.mentions) == 2, "both")
        stream.frames = [deleted(2)]
        async with running(made(stream), log):  # another process: nothing in memory
            await until(lambda: log.mentions[-1].is_withdrawn, "the deletion")
    assert (log.mentions[2].native_id, log.mentions[2].key) == (uri(2), f"mastodon:{uri(1)}")


async def test_edits_and_deletions_whose_page_was_lost_are_given_again_although_the_stream_does_not():
    async with EventStream([update(1), update(2)]).running() as stream, running(made(stream)) as run:
        await until(lambda: len(run.log.mentions) == 2, "both")
        run.log.fail = [BrokerUnavailableError("Kafka is away")]
        before = stream.frames
        stream.frames = [*before, edited(1), deleted(2)]
        await until(lambda: ("waiting", "Kafka is away") in run.states, "the loss")
        stream.frames = before
        await until(lambda: len(run.log.mentions) == 4, "what was lost")
        assert [(m.native_id, m.state) for m in run.log.mentions[2:]] == [
            (uri(1), State.EDITED),
            (uri(2), State.DELETED),
        ]


async def test_a_cursor_that_cannot_be_read_begins_anew():
    for broken in ("", "null", "[]", "{", '{"newest": 5}', '{"posts": [1]}'):
        async with EventStream([update(1)]).running() as stream:
            assert [m.native_id for m in (await first(stream, broken)).mentions] == [uri(1)]


async def test_an_id_of_the_far_future_does_not_take_the_cursor_with_it():
    far = status(9, id=id_of(NOON + timedelta(days=900)))
    async with EventStream([update(1), frame(far)]).running() as stream:
        assert Place.read((await first(stream)).cursor).newest == {"acme": status(1)["id"]}


# ---------------------------------------------------------------------------------------------------- the connection


async def test_signs_of_life_keep_a_silent_stream_open_and_their_absence_ends_it():
    async with EventStream().running() as stream:
        stream.beat = 0.05
        async with running(made(stream, silence=2.0)) as run:
            await until(lambda: run.states[-1:] == [("listening", None)], "it listens")
            await until(lambda: stream.beats >= 4, "signs of life")
            assert (len(stream.asked), run.log.mentions) == (1, [])
    async with EventStream([update(1)]).running() as stream, running(made(stream, silence=0.2)) as run:
        await until(lambda: "unreachable" in [state for state, _ in run.states], "silence is noticed")
        assert any("nothing for 0.2 s" in (reason or "") for _, reason in run.states)
        await until(lambda: len(stream.asked) > 1, "another connection")


async def test_while_a_page_is_not_committed_only_so_much_is_read(monkeypatch):
    monkeypatch.setattr(connector, "PAGE", 20)
    chance = random.Random(3)
    frames = [update(number, content=f"<p>acme {chance.randbytes(20_000).hex()}</p>") for number in range(600)]
    async with EventStream(frames).running() as stream, contextlib.aclosing(made(stream).listen(None)) as pages:
        count, before = len((await anext(pages)).mentions), -1
        while stream.sent != before:  # until nothing more can be sent
            before = stream.sent
            await asyncio.sleep(0.1)
        assert stream.sent < 550  # what the queue and the sockets hold
        while count < 600:
            count += len((await anext(pages)).mentions)


async def test_one_stream_of_several_that_is_lost_opens_all_anew():
    async with EventStream().running() as stream:
        stream.by_tag, stream.beat = {"acme": [update(1)], "kettle": [update(2)]}, 0.05

        async def drop(_, connection, number, sent):
            if number == 1:
                await connection.close()

        stream.misbehave = drop
        async with running(made(stream, tags=["acme", "kettle"])) as run:
            await until(lambda: {uri(1), uri(2)} <= set(uris(run.log)), "both")
            assert len(stream.asked) == 4
            assert "has ended the connection" in str(run.states) or "breaks" in str(run.states)
        await until(lambda: stream.open == 0, "all are closed")


async def test_a_revoked_token_stops_the_source_with_a_clear_state_and_is_not_asked_with_again():
    async with EventStream().running() as stream:
        stream.refusal = (401, {"error": f"The access token is invalid {kit.SECRET}"})
        async with running(made(stream)) as run:
            await until(lambda: "refused" in [state for state, _ in run.states], "the refusal")
            assert "credentials" in run.states[-1][1]
            assert kit.SECRET not in repr(run.states)
            assert run.waits[0] >= 800


@pytest.mark.parametrize(
    ("status_code", "error"),
    [(404, SourceRefusedError), (429, RateLimitedError), (503, SourceUnavailableError)],
)
async def test_a_stream_that_is_refused_says_what_to_do(status_code, error):
    async with EventStream().running() as stream:
        stream.refusal = (status_code, {"error": "no"})
        with pytest.raises(error, match=str(status_code)):
            await first(stream)


async def test_the_streams_are_where_the_server_says():
    async with EventStream([update(1)]).running() as stream, EventStream().running() as server:
        server.streaming = stream.url.replace("http", "ws")
        await first(server)
        assert (len(stream.asked), len(server.asked)) == (1, 0)
        assert (len(stream.fetched), len(server.fetched)) == (0, 1)


async def test_a_server_that_has_moved_its_streams_is_asked_again_where_they_are():
    async with EventStream([update(1)]).running() as stream, EventStream().running() as server:
        old = EventStream()
        old.refusal = (404, {"error": "Not Found"})
        async with old.running():
            server.streaming = old.url.replace("http", "ws")
            listening = made(server)
            with pytest.raises(SourceRefusedError, match="404"):
                await anext(listening.listen(None))
            server.streaming = stream.url.replace("http", "ws")
            async with contextlib.aclosing(listening.listen(None)) as pages:
                assert [m.native_id for m in (await anext(pages)).mentions] == [uri(1)]


async def test_a_stream_that_takes_for_ever_to_open_is_left(monkeypatch):
    monkeypatch.setattr(streams, "OPENING", 0.2)

    connections = set()

    async def slow(reader, writer):
        connections.add(writer)
        try:
            if b"/api/v2/instance" in await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            connections.discard(writer)

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server, asyncio.timeout(5):
        at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(SourceUnavailableError, match="does not open"):
            await anext(kit.make(MastodonStream, endpoints=[at], silence=0.2).listen(None))
        await until(lambda: not connections, "all are closed")


async def test_a_stream_that_is_compressed_all_the_same_is_not_taken_for_a_silent_one():
    async def body():
        yield gzip.compress(b":)\n")
        await asyncio.Event().wait()

    def packed(request):
        if "streaming" not in request.url.path:
            return httpx.Response(404)
        return httpx.Response(200, headers={"content-encoding": "gzip"}, content=body())

    with pytest.raises(SourceUnavailableError, match="compresses"):
        async with asyncio.timeout(5):
            await anext(kit.make(MastodonStream, packed).listen(None))


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("https://social.example.org", "ws://stream.example.org"),
        ("https://social.example.org", "wss://127.0.0.1:4000"),
        ("https://social.example.org", "wss://db.internal"),
        ("http://localhost:3000", "ftp://localhost"),
        ("https://social.example.org", "wss://[stream.example.org"),
        ("https://social.example.org", "wss://stream.example.org:port"),
        ("https://social.example.org", "wss://me:word@stream.example.org"),
        ("https://social.example.org", "wss:///streams"),
    ],
)
async def test_the_token_goes_neither_in_the_clear_nor_inwards(server, said):
    answer = kit.answering(json.dumps({"configuration": {"urls": {"streaming": said}}}).encode())
    with pytest.raises(SourceRefusedError, match="not safe to ask"):
        await anext(kit.make(MastodonStream, answer, endpoints=[server]).listen(None))


def test_a_server_can_be_written_as_people_write_it():
    assert kit.settings(MastodonStream, endpoints="social.example.org").endpoints == ("https://social.example.org",)
    assert kit.settings(MastodonStream, endpoints=["http://localhost:3000/"]).endpoints == ("http://localhost:3000",)


# -------------------------------------------------------------------------------------------------------- read again


async def test_posts_are_read_again_by_the_servers_own_numbers():
    async with EventStream([update(1), update(2)]).running() as stream:
        own = {**status(5), "uri": f"{stream.url}/users/anouk/statuses/{status(5)['id']}"}
        stream.statuses = {status(1)["id"]: json.loads(json.loads(edited(1))["payload"]), own["id"]: own}
        listening = made(stream)
        async with contextlib.aclosing(listening.listen(None)) as pages:
            await anext(pages)
        found = await listening.reread([uri(1), uri(2), own["uri"], "https://elsewhere.example/users/x/statuses/1"])
        assert [(m.native_id, m.state) for m in found.mentions] == [
            (uri(1), State.EDITED),
            (own["uri"], State.LIVE),
        ]
        assert list(found.absent) == [uri(2)]  # what is not known here is neither there nor absent


@pytest.mark.parametrize(
    ("native", "number"),
    [
        (f"https://s.example/users/a/statuses/{id_of(NOON)}", id_of(NOON)),
        (f"https://s.example/ap/users/7/statuses/{id_of(NOON)}", id_of(NOON)),
        (f"https://s.example.org/users/a/statuses/{id_of(NOON)}", None),
        ("https://s.example/users/a/statuses/7", None),
        (f"https://s.example/notes/{id_of(NOON)}", None),
        ("", None),
    ],
)
def test_a_servers_own_texts_bear_their_number(native, number):
    assert statuses.number_in(native, "https://s.example") == number


# --------------------------------------------------------------------------------------------------------------- pure


def test_events_are_put_together_from_pieces_whatever_their_length():
    whole = b':)\nevent: update\ndata: {"a":\ndata: 1}\r\n\r\n:thump\nevent: delete\ndata:117\n\nevent: lonely\n\ndata: x\n\n'
    expected = [Event("update", b'{"a":\n1}'), Event("delete", b"117"), Event("", b"x")]
    assert Events("there").fed(whole) == expected
    for size in (1, 2, 3, 7, 50):
        events, found = Events("there"), []
        for start in range(0, len(whole), size):
            found += events.fed(whole[start : start + size])
        assert found == expected


def test_an_event_without_an_end_is_not_kept():
    for endless in (
        b"data: " + b"x" * MAX_EVENT,
        b"data: xxxxxxxxx\n" * (MAX_EVENT // 9 + 1),
        b"data:\n" * (MAX_EVENT + 1),
    ):
        with pytest.raises(SourceUnavailableError, match="without an end"):
            Events("there").fed(endless)


def test_what_was_published_is_remembered_within_bounds_and_over_a_restart():
    published = Published(limit=3, carried=2)
    for number in range(5):
        published.add(str(number), Post(f"uri/{number}", "mastodon:top" if number % 2 else None))
    assert (len(published), published.get("1"), published.number("uri/1")) == (3, None, None)
    assert published.newest() == ("3 uri/3 mastodon:top", "4 uri/4")
    later = Published()
    later.load((*published.newest(), "", "broken", "7"))
    assert (len(later), later.get("3"), later.get("4")) == (2, Post("uri/3", "mastodon:top"), Post("uri/4", None))
    later.forget("3")
    assert later.number("uri/3") is None
    assert Place.read(Place(newest={"a": "1"}, posts=later.newest()).written()).posts == ("4 uri/4",)
