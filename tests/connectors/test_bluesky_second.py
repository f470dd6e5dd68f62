"""Bluesky through Jetstream 2: its envelopes, notices and errors, and frames compressed by a dictionary of the server's."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from connectors.base import read_settings
from connectors.bluesky import compression, frames, posts
from connectors.bluesky.connector import Bluesky, BlueskySettings
from connectors.bluesky.memory import Place
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, SourceUnavailableError
from pipeline.contract.events import State
from tests.connectors import kit
from tests.connectors.streams import US, Stream, running, until
from tests.connectors.test_bluesky import START, account, commit, native

EVENTS = "/xrpc/network.bsky.jetstream.subscribeEvents"
DICTIONARY = "/xrpc/network.bsky.jetstream.getZstdDictionary"


def stamp(microseconds):
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def second(first, seq=7, **more):
    """A frame of version 1 as version 2 sends it."""
    row = json.loads(first)
    said = row[row["kind"]] if row["kind"] == "commit" else {row["kind"]: row[row["kind"]]}
    at = stamp(row["time_us"])
    kind = f"network.bsky.jetstream.subscribeEvents#{row['kind']}"
    payload = {"$type": kind, "seq": seq, "did": row["did"], "time": at, "witnessedAt": at, **said, **more}
    return json.dumps({"$type": "message", "payload": payload}, ensure_ascii=False)


def notice(name):
    payload = {"$type": "network.bsky.jetstream.subscribeEvents#info", "name": name, "message": "resumed from 9"}
    return json.dumps({"$type": "message", "payload": payload})


class Second(Stream):
    """Jetstream 2: refuses what only the first version is asked, compresses by its dictionary for whoever names it."""

    def __init__(self, sent=None):
        super().__init__(sent)
        self.dictionary = None  # what it compresses by
        self.given = None  # what it gives for that; None: the same
        self.fetched = 0
        self.queries = []

    def time_of(self, frame):
        try:
            said = json.loads(frame)["payload"]
            at = datetime.fromisoformat(said["witnessedAt"])
        except (ValueError, KeyError, TypeError):
            return None
        return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    def sent_as(self, frame, query):
        if "zstdDictionary" not in query or isinstance(frame, bytes):
            return frame
        return packed(self.dictionary, frame.encode())

    def _http(self, _, request):
        path, query = urlsplit(request.path).path, parse_qs(urlsplit(request.path).query)
        if path == DICTIONARY:
            self.fetched += 1
            given = self.given or self.dictionary
            return answer(404, b'{"error":"DictionaryNotFound"}') if given is None else answer(200, given.as_bytes())
        self.queries.append(query)
        if path != EVENTS or "wantedCollections" in query:
            return answer(400, b'{"error":"InvalidRequest"}')
        wanted = query.get("zstdDictionary", [None])[0]
        if wanted is not None and int(wanted) != self.dictionary.dict_id():
            return answer(400, b'{"error":"UnknownZstdDictionary","message":"the current one is another"}')
        return None

    @contextlib.asynccontextmanager
    async def running(self):
        options = {"ping_interval": None, "compression": None}
        async with serve(self._serve, "127.0.0.1", 0, process_request=self._http, **options) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{EVENTS}"
            try:
                yield self
            finally:
                server.close(close_connections=True)


def answer(status, body):
    headers = Headers({"Content-Type": "application/octet-stream", "Content-Length": str(len(body))})
    return Response(status, "", Headers([*headers.raw_items(), ("Connection", "close")]), body)


def bluesky(*streams, **changes):
    given = {"terms": ["acme"], "endpoints": [stream.url for stream in streams], **changes}
    return kit.make(Bluesky, given=read_settings(BlueskySettings, "example", given))


async def test_what_the_second_version_sends_is_heard_as_what_the_first_does():
    sent = [
        commit(1, "acme one"),
        commit(2, "not us"),
        commit(3, "acme reply", reply={"root": {"uri": native(1)}, "parent": {"uri": native(1)}}),
        commit(1, "no longer named", operation="update", second=5),
        commit(3, operation="delete", second=6),
        commit(7, "acme seven", who=2),
        account(8, 2, status="takendown"),
    ]
    async with Second([second(one) for one in sent]).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: run.log.mentions and run.log.mentions[-1].state is State.REMOVED, "all frames")
        later = [(m.text, m.state.value, m.revision) for m in run.log.mentions]
        ids = [m.id for m in run.log.mentions]
        assert run.log.rejected == []
    async with Stream(sent).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: len(run.log.mentions) == len(later), "the same from the first version")
        assert [(m.text, m.state.value, m.revision) for m in run.log.mentions] == later
        assert [m.id for m in run.log.mentions] == ids


async def test_the_second_version_is_asked_in_its_own_words():
    async with Second([second(commit(1))]).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: run.texts, "a post")
        assert stream.queries == [
            {"collections": [posts.POST], "kinds": ["commit", "account"], "maxMessageSizeBytes": ["1000000"]}
        ]
        assert stream.fetched == 0


async def test_it_goes_on_by_time_and_nothing_comes_twice():
    log = MemoryLog()
    async with Second([second(commit(1))]).running() as stream:
        async with running(bluesky(stream), log):
            await until(lambda: log.mentions, "the first")
        stream.add(second(commit(2), 8), second(commit(3), 9))
        async with running(bluesky(stream), log):
            await until(lambda: len(log.mentions) == 3, "the rest")
        assert [int(query.get("cursor", ["0"])[0]) for query in stream.queries] == [0, START + US - 5 * US]
        assert len({m.id for m in log.mentions}) == 3


async def test_instances_of_both_versions_take_over_from_each_other():
    chance, total, log = random.Random(3), 120, MemoryLog()
    sent = [commit(number, second=number * 0.4) for number in range(total)]

    async def drop(_, connection, number, count):
        if number < 6 and count >= 10:
            connection.transport.abort()
            await connection.wait_closed()

    async with Stream(sent).running() as first, Second([second(one) for one in sent]).running() as other:
        first.misbehave = other.misbehave = drop
        async with running(bluesky(*chance.sample((first, other), 2)), log):
            await until(lambda: len({m.id for m in log.mentions}) == total, "all")
        assert first.asked
        assert other.asked
    assert len(log.mentions) == total


async def test_a_cursor_that_was_moved_up_is_told_as_a_gap_however_short():
    at = Place(at=START, endpoint="").written()
    async with Second([notice("OutdatedCursor"), second(commit(20))]).running() as stream:
        async with contextlib.aclosing(bluesky(stream).listen(at)) as pages:
            page = await anext(pages)
        assert (page.gap.since, page.gap.until) == (posts.instant(START), posts.instant(START + 20 * US))
    async with (
        Second([notice("FutureCursor"), second(commit(20))]).running() as stream,
        contextlib.aclosing(bluesky(stream).listen(at)) as pages,
    ):
        assert (await anext(pages)).gap is None


async def test_an_error_that_ends_the_stream_is_told_and_the_next_instance_taken():
    slow = json.dumps({"$type": "error", "error": "ConsumerTooSlow", "message": "secret words"})
    async with Second([second(commit(1)), slow]).running() as stream, Second([second(commit(2))]).running() as other:
        async with running(bluesky(stream, other)) as run:
            await until(lambda: len(run.texts) == 2, "both")
            reasons = [reason for state, reason in run.states if state == "unreachable"]
        assert any("ConsumerTooSlow" in reason for reason in reasons)
        assert "secret words" not in repr(run.states)
        assert run.log.rejected == []


async def test_broken_envelopes_are_dead_letters_and_the_stream_goes_on():
    odd = [
        '{"$type": "message"}',
        '{"$type": "message", "payload": 5}',
        '{"$type": "message", "payload": {"$type": "x#commit", "did": "d"}}',
        second(commit(1), time="soon", witnessedAt=None),
        second(commit(1), time=stamp(START + 400 * 86_400 * US), witnessedAt=None),
    ]
    async with Second([*odd, second(commit(2))]).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: run.texts, "what is not broken")
        assert len(run.log.rejected) == len(odd)
        assert len(stream.queries) == 1


def test_a_time_is_when_it_was_witnessed_where_that_is_said():
    shown = frames.as_first(json.loads(second(commit(1), time="2020-01-01T00:00:00.000001Z")))
    assert shown["time_us"] == START + US
    shown = frames.as_first(json.loads(second(commit(1), time="2026-11-20T11:00:01.123457Z", witnessedAt=None)))
    assert shown["time_us"] == int(datetime(2026, 11, 20, 11, 0, 1, tzinfo=UTC).timestamp()) * US + 123_457


def test_compression_is_for_the_second_version_only():
    with pytest.raises(ConfigError, match="Jetstream 2"):
        read_settings(BlueskySettings, "example", {"terms": ["acme"], "compress": True})
    url = f"wss://jetstream.example.org{EVENTS}"
    assert read_settings(
        BlueskySettings,
        "example",
        {"terms": ["acme"], "compress": True, "endpoints": ["wss://a.example/subscribe", url]},
    ).compress


async def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    async with Second([second(commit(1))]).running() as stream, running(bluesky(stream, compress=True)) as run:
        await until(lambda: "refused" in [state for state, _ in run.states], "the refusal")
        assert "earshot[zstd]" in next(reason for state, reason in run.states if state == "refused")


# -------------------------------------------------------------------------------------------------------- compression


@pytest.fixture(scope="module")
def zstandard():
    return pytest.importorskip("zstandard", reason="frames cannot be compressed here: pip install 'earshot[zstd]'")


@pytest.fixture(scope="module")
def dictionary(zstandard):
    return trained(zstandard, 20260811)


def trained(zstandard, number, seed=None):
    chance = random.Random(seed or number)
    words = ["kettle", "leaks", "support", "parcel", "thanks", "again", "never", "answer"]
    samples = [second(commit(n, " ".join(chance.choices(words, k=9)), who=n)).encode() for n in range(400)]
    return zstandard.train_dictionary(4_000, samples, dict_id=number)


def packed(dictionary, data):
    import zstandard

    return zstandard.ZstdCompressor(dict_data=dictionary).compress(data)


async def test_compressed_frames_are_heard_by_the_servers_own_dictionary_fetched_once(dictionary):
    sent = [second(commit(number)) for number in range(50)]
    log = MemoryLog()
    async with Second(sent).running() as stream:
        stream.dictionary = dictionary
        made = bluesky(stream, compress=True)
        made.keeps_raw = True

        async def drop(_, connection, number, count):
            if number == 1 and count == 20:
                await connection.close()

        stream.misbehave = drop
        async with running(made, log) as run:
            await until(lambda: len(log.mentions) == 50, "all")
            assert run.log.rejected == []
        assert stream.fetched == 1
        assert [query["zstdDictionary"] for query in stream.queries] == [["20260811"]] * 2
        assert json.loads(log.raw[log.mentions[0].id].payload)["payload"]["did"]
    size = sum(len(one.encode()) for one in sent)
    assert sum(len(packed(dictionary, one.encode())) for one in sent) < size / 2


async def test_a_server_without_a_dictionary_is_heard_uncompressed(zstandard):
    async with Second([second(commit(1))]).running() as stream, running(bluesky(stream, compress=True)) as run:
        await until(lambda: run.texts, "the post")
        assert "zstdDictionary" not in stream.queries[0]
        assert stream.fetched == 1


async def test_a_dictionary_that_was_retired_is_fetched_anew(zstandard, dictionary):
    async with Second([second(commit(1))]).running() as stream:
        stream.dictionary = dictionary
        made = bluesky(stream, compress=True)
        async with running(made) as run:
            await until(lambda: run.texts, "the post")
        stream.dictionary = trained(zstandard, 20270101)
        stream.add(second(commit(2)))
        async with running(made, run.log) as run:
            await until(lambda: len(run.texts) == 2, "the next post")
        assert stream.fetched == 2
        assert [query["zstdDictionary"][0] for query in stream.queries] == ["20260811", "20260811", "20270101"]


async def test_a_server_that_goes_on_giving_a_retired_dictionary_is_heard_uncompressed(zstandard, dictionary):
    async with Second([second(commit(1))]).running() as stream:
        stream.dictionary, stream.given = trained(zstandard, 20270101), dictionary
        async with running(bluesky(stream, compress=True)) as run:
            await until(lambda: run.texts, "the post")
        assert [query.get("zstdDictionary") for query in stream.queries] == [["20260811"], None]


async def test_a_dictionary_by_which_nothing_can_be_read_is_not_gone_on_with(zstandard, dictionary):
    async with Second([second(commit(number)) for number in range(70)]).running() as stream:
        stream.dictionary, stream.given = dictionary, trained(zstandard, 20260811, seed=5)
        async with running(bluesky(stream, compress=True)) as run:
            await until(lambda: len(run.texts) >= 20, "posts, uncompressed")
        assert [query.get("zstdDictionary") for query in stream.queries] == [["20260811"], None]


async def test_frames_that_cannot_be_decompressed_are_dead_letters_and_take_no_memory(
    zstandard, dictionary, monkeypatch
):
    monkeypatch.setattr("connectors.bluesky.connector.MAX_FRAME", 100_000)
    bomb = zstandard.ZstdCompressor().compress(b"[" * 50_000_000)
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"[" * 50_000_000)
    other = packed(trained(zstandard, 5), second(commit(9)).encode())
    odd = [b"\xff\x00", bomb, silent, other, packed(dictionary, second(commit(8)).encode())[:-9]]
    async with Second([*odd, second(commit(2))]).running() as stream:
        stream.dictionary = dictionary
        async with running(bluesky(stream, compress=True)) as run:
            await until(lambda: run.texts, "what is not broken")
            assert run.texts == ["acme 2"]
            assert len(run.log.rejected) == len(odd)
            assert len(stream.queries) == 1


@pytest.mark.parametrize("says_its_size", [True, False])
def test_no_more_is_decompressed_than_a_frame_may_have(zstandard, dictionary, says_its_size):
    made = compression.Inflating(zstandard, dictionary.as_bytes())
    pack = zstandard.ZstdCompressor(dict_data=dictionary, write_content_size=says_its_size).compress
    assert made.frame(pack(b"x" * 1_000), 1_000) == b"x" * 1_000
    with pytest.raises(ValueError, match=r"larger|broken"):
        made.frame(pack(b"x" * 1_000_000), 1_000)


@pytest.mark.parametrize("what", [b"", b"no dictionary", b"\x37\xa4\x30\xec\x00\x00\x00\x00" + b"x" * 100])
def test_what_is_no_dictionary_is_none(zstandard, what):
    with pytest.raises(ValueError, match="dictionary"):
        compression.Inflating(zstandard, what)


async def test_a_server_that_fails_to_give_its_dictionary_is_tried_again(zstandard):
    made = kit.make(
        Bluesky,
        kit.answering(b"", 503),
        given=read_settings(
            BlueskySettings,
            "example",
            {"terms": ["acme"], "compress": True, "endpoints": [f"ws://stream.example.org{EVENTS}"]},
        ),
    )
    with pytest.raises(SourceUnavailableError, match="503"):
        await anext(made.listen(None))
