"""Bluesky, against a Jetstream of our own that drops, falls silent, repeats and sends garbage."""

from __future__ import annotations

import asyncio
import contextlib
import http
import importlib.util
import json
import random
import sys
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import serve

from connectors.base import read_settings
from connectors.bluesky import connector, posts
from connectors.bluesky.connector import Bluesky, BlueskySettings, folded
from connectors.bluesky.memory import Place, Published
from connectors.publisher import MemoryLog
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.events import Kind, State
from tests.connectors import kit
from tests.connectors.streams import US, Stream, running, until

START = int(kit.NOW.timestamp() * US) - 3600 * US
LETTERS = "234567abcdefghijklmnopqrstuvwxyz"


def tid(microseconds, clock=0):
    number, text = microseconds << 10 | clock, ""
    for _ in range(13):
        text, number = LETTERS[number % 32] + text, number // 32
    return text


def did(number):
    return f"did:plc:{LETTERS[number % 32] * 24}"


def commit(number, text="acme {n}", *, operation="create", second=None, who=1, record=None, **more):
    """A frame about the post `number`, at that second."""
    at = START + int((number if second is None else second) * US)
    body = {
        "rev": tid(at),
        "operation": operation,
        "collection": posts.POST,
        "rkey": tid(START + number * US, 1),
    }
    if operation != "delete":
        body["cid"] = f"cid-{number}"
        body["record"] = record or {
            "$type": posts.POST,
            "createdAt": "2026-11-20T10:59:00Z",
            "langs": ["en"],
            "text": text.format(n=number),
            **more,
        }
    return json.dumps({"did": did(who), "time_us": at, "kind": "commit", "commit": body}, ensure_ascii=False)


def account(second, who, *, active=False, status="deleted"):
    said = {"active": active, "did": did(who), "seq": 1, "time": "2026-11-20T11:30:00Z", "status": status}
    return json.dumps({"did": did(who), "time_us": START + int(second * US), "kind": "account", "account": said})


def native(number, who=1):
    return posts.uri_of(did(who), tid(START + number * US, 1))


def bluesky(*streams, **changes):
    changes = {"terms": ["acme"], "silence": 5, **changes}
    return kit.make(Bluesky, given=BlueskySettings(endpoints=tuple(s.url for s in streams) or ("ws://x/",), **changes))


def read(*frames):
    return list(Bluesky.parse("\n".join(frames).encode(), kit.NOW))


# ----------------------------------------------------------------------------------------------------- what is said


def test_a_post_is_read_with_its_author_time_language_and_address():
    [found] = read(commit(1, "acme works"))
    assert found.id == f"bluesky:{native(1)}"
    assert (found.text, found.language, found.kind, found.state, found.revision) == (
        "acme works",
        "en",
        Kind.POST,
        State.LIVE,
        0,
    )
    assert found.author.id == did(1)
    assert found.url == f"https://bsky.app/profile/{did(1)}/post/{tid(START + US, 1)}"
    assert found.conversation == found.id
    assert found.created_at.isoformat() == "2026-11-20T10:59:00+00:00"


def test_facets_are_counted_in_bytes():
    text = "👩‍👩‍👧 schön #Größe und #leer"
    start = len("👩‍👩‍👧 schön ".encode())
    facets = [
        {
            "index": {"byteStart": start, "byteEnd": start + len("#Größe".encode())},
            "features": [{"$type": "app.bsky.richtext.facet#tag"}],
        },
        {
            "index": {"byteStart": 0, "byteEnd": 3},
            "features": [
                {"$type": "app.bsky.richtext.facet#link", "uri": "https://example.org/a"},
                {"$type": "app.bsky.richtext.facet#mention", "did": did(3)},
            ],
        },
        {"index": {}, "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "Said"}]},
        {"index": {"byteStart": 9_999, "byteEnd": 3}, "features": [{"$type": "app.bsky.richtext.facet#tag"}]},
        "odd",
    ]
    [found] = read(commit(1, text, facets=facets, tags=["#Beyond"]))
    assert found.tags == ("größe", "said", "beyond")
    assert found.links == ("https://example.org/a",)


def test_replies_name_their_thread_and_what_they_answer():
    reply = {"root": {"uri": native(1), "cid": "c"}, "parent": {"uri": native(2), "cid": "c"}}
    [found] = read(commit(3, reply=reply))
    assert found.conversation == found.key == f"bluesky:{native(1)}"
    assert found.in_reply_to == f"bluesky:{native(2)}"
    assert found.kind is Kind.COMMENT


def test_cards_pictures_films_and_quotes_are_not_lost():
    external = {
        "$type": "app.bsky.embed.external",
        "external": {"uri": "https://example.org/r", "title": "Recall", "description": "d"},
    }
    [card] = read(commit(1, "look", embed=external))
    assert (card.title, card.links) == ("Recall", ("https://example.org/r",))
    images = {"$type": "app.bsky.embed.images", "images": [{"alt": "an Acme kettle"}, {"alt": " "}, {"image": {}}]}
    [pictures] = read(commit(2, "look", embed=images))
    assert pictures.text == "look\n\nan Acme kettle"
    quote = {
        "$type": "app.bsky.embed.recordWithMedia",
        "media": {"$type": "app.bsky.embed.video", "alt": "it boils"},
        "record": {"$type": "app.bsky.embed.record", "record": {"uri": native(1), "cid": "c"}},
    }
    [quoting] = read(commit(3, "this", embed=quote))
    assert quoting.text == "this\n\nit boils"
    assert quoting.links == (posts.address_of(did(1), tid(START + US, 1)),)
    gallery = {"$type": "app.bsky.embed.gallery", "items": [{"alt": "one"}, {"alt": "two"}]}
    [several] = read(commit(4, "", embed=gallery))
    assert several.text == "one\n\ntwo"


@pytest.mark.parametrize(
    ("said", "read_as"),
    [
        ("2031-01-01T00:00:00Z", "2026-11-20T11:00:01+00:00"),  # later than it was seen
        ("0001-01-01T00:00:00Z", "2026-11-20T11:00:01+00:00"),
        ("rubbish", "2026-11-20T11:00:01+00:00"),
        ("2023-07-21T01:33:51.481951", "2023-07-21T01:33:51.481951+00:00"),  # without a zone; moved here from elsewhere
    ],
)
def test_a_post_is_not_written_later_than_it_was_seen(said, read_as):
    record = {"$type": posts.POST, "text": "acme", "createdAt": said}
    assert read(commit(1, record=record))[0].created_at.isoformat() == read_as


def test_edits_and_deletions_carry_the_commits_own_time_which_all_instances_share():
    edit, gone = read(commit(1, "better", operation="update", second=7), commit(1, operation="delete", second=9))
    assert (edit.state, edit.revision) == (State.EDITED, (START + 7 * US) // 1000)
    assert (gone.state, gone.revision) == (State.DELETED, (START + 9 * US) // 1000)
    assert gone.text == ""
    assert posts.milliseconds("not-a-tid") is None
    assert posts.milliseconds(None) is None


def test_version_2_of_jetstream_is_read_too():
    frame = json.loads(commit(1))
    flat = {"$type": "network.bsky.jetstream.subscribeEvents#commit", "seq": 5, "did": frame["did"], **frame["commit"]}
    [found] = read(json.dumps({"$type": "message", "payload": {**flat, "time": "2026-11-20T11:00:01.5Z"}}))
    assert found.id == f"bluesky:{native(1)}"


def test_a_text_in_several_languages_states_none():
    assert read(commit(1, langs=["pt-BR"]))[0].language == "pt"
    assert read(commit(1, langs=["en", "de"]))[0].language is None


@settings(deadline=None)  # the machine is shared
@given(st.text(max_size=60))
def test_terms_are_compared_without_case_accents_and_forms(text):
    assert folded(folded(text)) == folded(text)
    made = bluesky(terms=["Crème  Brûlée", "ＡＣＭＥ"])
    [found] = read(commit(1, record={"text": f"{text} creme brulee {text}"}))
    assert made.wants(found)


def test_what_does_not_match_is_left_out():
    made = bluesky(terms=["acme"], languages=["en"])
    wanted = lambda **more: made.wants(read(commit(1, **more))[0])  # noqa: E731
    assert wanted(text="see #AcmeCare")
    assert not wanted(text="see nothing")
    assert not wanted(text="acme", langs=["de"])
    assert wanted(text="acme", langs=[])
    assert wanted(text="x", embed={"external": {"uri": "https://acme.example/", "title": "t"}})


def test_what_to_keep_must_be_said():
    with pytest.raises(ConfigError, match="everything: true"):
        read_settings(BlueskySettings, "sky", {})
    with pytest.raises(ConfigError, match="endpoints"):
        read_settings(BlueskySettings, "sky", {"terms": ["acme"], "endpoints": ["https://example.org"]})
    assert bluesky(terms=[], everything=True).wants(read(commit(1, "anything"))[0])


# ----------------------------------------------------------------------------------------------------- the memory


def test_a_cursor_carries_the_newest_posts_and_is_small():
    memory = Published(limit=1000, carried=300)
    for number in range(1500):
        memory.add(did(number), f"r{number}", native(1) if number % 2 else None)
    assert len(memory) == 1000
    written = Place(at=1, endpoint="e", posts=memory.newest()).written()
    assert len(written) < 30_000
    other = Published()
    other.load(Place.read(written).posts)
    assert len(other) == 300
    assert other.root(did(1499), "r1499") == native(1)
    assert other.root(did(1498), "r1498") is None
    assert (did(0), "r0") not in memory


def test_accounts_of_other_methods_are_carried_whole():
    memory = Published()
    memory.add("did:web:example.org", "r", posts.uri_of("did:web:other.org", "q"))
    other = Published()
    other.load(memory.newest())
    assert other.root("did:web:example.org", "r") == posts.uri_of("did:web:other.org", "q")
    assert other.of("did:web:example.org") == ["r"]
    other.forget("did:web:example.org", "r")
    assert other.of("did:web:example.org") == []
    assert other.was_deleted("did:web:example.org", "r")


@pytest.mark.parametrize("cursor", [None, "", "{", "[]", '{"at": "x"}', "true", '"abc"'])
def test_a_cursor_that_cannot_be_read_is_the_beginning(cursor):
    assert Place.read(cursor) == Place()


async def test_a_time_is_a_cursor():
    since = kit.NOW - timedelta(hours=2)
    assert Place.read(await bluesky().cursor_at(since)).at == int(since.timestamp() * US)
    assert Place.read("1779719009132431").at == 1779719009132431


# ----------------------------------------------------------------------------------------------------- the stream


async def test_posts_edits_and_deletions_of_ours_arrive_in_order_with_their_thread():
    reply = {"root": {"uri": native(1), "cid": "c"}, "parent": {"uri": native(1), "cid": "c"}}
    frames = [
        commit(1, "acme one"),
        commit(2, "nothing to us"),
        commit(3, "acme reply", who=2, reply=reply),
        commit(2, operation="delete", second=4),
        commit(1, "no longer named", operation="update", second=5),
        commit(3, operation="delete", second=6, who=2),
        commit(7, "last acme"),
    ]
    async with Stream(frames).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: "last acme" in run.texts, "all frames")
        found = run.log.mentions
        assert [(m.text, m.state.value) for m in found] == [
            ("acme one", "live"),
            ("acme reply", "live"),
            ("no longer named", "edited"),
            ("", "deleted"),
            ("last acme", "live"),
        ]
        assert found[3].native_id == native(3, who=2)
        assert found[3].key == found[1].key == f"bluesky:{native(1)}"
        assert stream.asked[0]["wantedCollections"] == posts.POST
        assert "cursor" not in stream.asked[0]
        assert stream.headers[0]["User-Agent"].startswith("earshot/")
        assert run.states[-1] == ("listening", None)
    assert stream.open == 0


async def test_a_post_deleted_and_written_anew_is_an_edit():
    frames = [commit(1, "acme 1"), commit(1, operation="delete", second=2), commit(1, "acme again", second=3)]
    async with Stream(frames).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: len(run.log.mentions) == 3, "three")
        again = run.log.mentions[-1]
        assert (again.text, again.state) == ("acme again", State.EDITED)
        assert again.revision > run.log.mentions[1].revision


async def test_an_accounts_end_takes_its_posts_with_it_and_what_may_come_back_is_unavailable():
    frames = [
        commit(1, who=1),
        commit(2, who=1),
        commit(3, who=2),
        account(4, 2, status="deactivated"),
        account(5, 2, status="throttled"),
        account(6, 2, active=True, status=None),
        account(7, 1, status="deleted"),
        account(8, 2, status="takendown"),
        account(9, 9, status="deleted"),
        commit(10, "acme last"),
    ]
    async with Stream(frames).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: "acme last" in run.texts, "all frames")
        gone = [(m.native_id, m.state) for m in run.log.mentions if m.is_withdrawn]
        assert gone == [
            (native(3, 2), State.UNAVAILABLE),
            (native(1, 1), State.DELETED),
            (native(2, 1), State.DELETED),
            (native(3, 2), State.REMOVED),
        ]


async def test_a_deletion_after_a_restart_still_finds_its_post():
    log = MemoryLog()
    async with Stream([commit(1)]).running() as stream:
        async with running(bluesky(stream), log) as run:
            await until(lambda: run.texts, "the post")
        stream.add(commit(1, operation="delete", second=60))
        async with running(bluesky(stream), log) as run:  # another process: nothing in memory
            await until(lambda: log.mentions[-1].is_withdrawn, "the deletion")
    assert [m.state for m in log.mentions] == [State.LIVE, State.DELETED]


async def test_a_deletion_whose_page_was_not_committed_comes_again():
    async with Stream([commit(1), commit(1, operation="delete", second=60)]).running() as stream:
        held = asyncio.Event()

        async def hold(_, __, number, sent):
            if number == 1 and sent == 1:
                await held.wait()

        stream.misbehave = hold
        async with running(bluesky(stream)) as run:
            await until(lambda: run.texts, "the post")
            run.log.fail = [BrokerUnavailableError("Kafka is away")]
            held.set()
            await until(lambda: run.log.mentions[-1].is_withdrawn, "the deletion")
        assert [m.state for m in run.log.mentions] == [State.LIVE, State.DELETED]
        assert ("waiting", "Kafka is away") in run.states


async def test_drops_and_restarts_lose_nothing_and_publish_nothing_twice():
    """Two instances with clocks three seconds apart; connections drop after a few frames, pages fail, processes end."""
    chance = random.Random(5)
    total = 300

    def frames(shift):
        made = []
        for number in range(total):
            frame = json.loads(commit(number, second=number * 0.4, who=number % 7))
            frame["time_us"] += int(shift * US)
            made.append(json.dumps(frame))
        return made

    async def drop(stream, connection, number, sent):
        if number < 12 and sent >= 8 + number * 4:
            connection.transport.abort()
            await connection.wait_closed()

    log = MemoryLog()
    async with Stream(frames(0)).running() as first, Stream(frames(3)).running() as second:
        first.misbehave = second.misbehave = drop
        made = bluesky(first, second)
        for _ in range(3):
            log.fail = [BrokerUnavailableError("Kafka is away")] if chance.random() < 0.7 else []
            so_far = len(log.mentions)
            async with running(made, log) as run:
                await until(lambda so_far=so_far: len(log.mentions) >= min(total, so_far + 60), "some more")
            made = bluesky(*chance.sample((first, second), 2))
        async with running(made, log) as run:
            await until(lambda: len({m.id for m in log.mentions}) == total, "all")
            await until(lambda: run.states and run.states[-1][0] == "listening", "it listens at the end")
    ids = [m.id for m in log.mentions]
    assert len(ids) == len(set(ids)) == total
    assert len(first.asked) + len(second.asked) > 5
    assert any("cursor" in asked for asked in second.asked)


async def test_going_on_reaches_back_a_little_and_further_at_another_instance():
    place = Place(at=START + 100 * US, endpoint="ws://elsewhere/subscribe")
    async with Stream([commit(200)]).running() as stream:
        for endpoint, back in ((place.endpoint, 30), (stream.url, 5)):
            here = Place(at=place.at, endpoint=endpoint)
            pages = bluesky(stream).listen(here.written())
            await anext(pages)
            await pages.aclose()
            assert int(stream.asked[-1]["cursor"]) == START + (100 - back) * US


async def test_silence_is_noticed_and_another_instance_taken():
    async with Stream([commit(1)]).running() as silent, Stream([commit(1), commit(2)]).running() as other:
        async with running(bluesky(silent, other, silence=0.2)) as run:
            await until(lambda: len(run.texts) == 2, "the other instance's post")
            lost = [reason for state, reason in run.states if state == "unreachable"]
            assert any("has sent nothing for 0.2 s" in reason for reason in lost)
        assert len({mention.id for mention in run.log.mentions}) == 2
        assert len(run.log.mentions) == 2


async def test_broken_frames_are_dead_letters_and_the_stream_goes_on():
    odd = [
        "{",
        b"\xff\xfe",
        "[]",
        '"x"',
        "{}",
        '{"time_us": "soon", "did": "d"}',
        '{"time_us": true}',
        json.dumps({"time_us": 10**19, "did": "d", "kind": "commit"}),
        json.dumps({"time_us": START + 400 * 86_400 * US, "kind": "identity"}),
        json.dumps({"time_us": START, "did": "d", "kind": "commit", "commit": {"collection": posts.POST}}),
        json.dumps({"time_us": START, "kind": "account", "did": did(1), "account": 5}),
        commit(2, record={"text": "acme", "reply": 7}).replace('"operation": "create"', '"operation": "eat"'),
    ]
    async with Stream([commit(1), *odd, commit(3)]).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: len(run.texts) == 2, "what is not broken")
        assert len(run.log.rejected) == len(odd)
        assert all(part.error.startswith("bluesky: ") for part in run.log.rejected)
        assert run.count("earshot_mentions_received_total") == 2 + len(odd)
        assert run.metrics.registry.get_sample_value(
            "earshot_dead_letters_total", {"stage": "connectors", "reason": "invalid"}
        ) == len(odd)
        assert len(stream.asked) == 1
        assert Place.read(run.log.checkpoints["example"].cursor).at == START + 3 * US


async def test_a_source_that_sends_only_garbage_is_left():
    async with Stream(["garbage"] * 500).running() as stream:
        pages = bluesky(stream).listen(None)
        assert len((await anext(pages)).rejected) == 50
        with pytest.raises(SourceUnavailableError, match="no Jetstream"):
            await anext(pages)


async def test_a_cursor_older_than_what_is_kept_is_told_as_a_gap_once():
    cursor = Place(at=START - 100_000 * US, endpoint="").written()
    async with Stream([commit(1), commit(2)]).running() as stream:
        pages = bluesky(stream).listen(cursor)
        page = await anext(pages)
        await pages.aclose()
        assert page.gap.since == posts.instant(START - 100_000 * US)
        assert page.gap.until == posts.instant(START + US)
        assert "no longer has" in page.gap.reason
        pages = bluesky(stream).listen(page.cursor)
        assert (await anext(pages)).gap is None
        await pages.aclose()


async def test_a_new_jetstreams_refusal_of_an_old_cursor_is_a_gap_too():
    async with refusing(400, b'{"error":"CursorTooOld","message":"floor is 7"}') as url:
        made = kit.make(Bluesky, given=BlueskySettings(terms=("acme",), endpoints=(url,)))
        cursor = Place(at=START, posts=("aaa/r",)).written()
        [page] = [page async for page in made.listen(cursor)]
        assert (page.gap.since, page.gap.until) == (posts.instant(START), kit.NOW)
        assert Place.read(page.cursor).at == int(kit.NOW.timestamp() * US)
        assert Place.read(page.cursor).posts == ("aaa/r",)


@contextlib.asynccontextmanager
async def refusing(status, body=b"", headers=None):
    """A server that answers the handshake with a status."""

    def refuse(connection, request):
        answer = connection.respond(http.HTTPStatus(status), body.decode())
        for name, value in (headers or {}).items():
            answer.headers[name] = value
        return answer

    async with serve(lambda _: None, "127.0.0.1", 0, process_request=refuse) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/subscribe"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, SourceUnavailableError),
        (503, SourceUnavailableError),
        (401, SourceRefusedError),
        (404, SourceRefusedError),
        (429, RateLimitedError),
    ],
)
async def test_a_status_instead_of_a_stream_says_what_to_do(status, error):
    async with refusing(status, headers={"Retry-After": "77"}) as url:
        made = kit.make(Bluesky, given=BlueskySettings(terms=("acme",), endpoints=(url,)))
        with pytest.raises(error) as raised:
            await anext(made.listen(None))
        if error is RateLimitedError:
            assert raised.value.retry_after == 77


@pytest.mark.parametrize("there", ["https://jetstream.example/moved", "ws://", "wss://[jetstream"])
async def test_an_instance_that_redirects_to_what_is_no_stream_is_left(there):
    async with refusing(302, headers={"Location": there}) as url, Stream([commit(1)]).running() as stream:
        settings = BlueskySettings(terms=("acme",), endpoints=(url, stream.url))
        async with running(kit.make(Bluesky, given=settings)) as run:
            await until(lambda: run.texts == ["acme 1"], "the next instance")
            assert "failed" not in [state for state, _ in run.states]


async def test_one_instance_that_refuses_is_passed_over_and_all_that_do_need_a_person():
    async with refusing(403) as closed, refusing(403) as shut, Stream([commit(1)]).running() as stream:
        settings = BlueskySettings(terms=("acme",), endpoints=(closed, stream.url))
        async with running(kit.make(Bluesky, given=settings)) as run:
            await until(lambda: run.texts == ["acme 1"], "the instance that lets us in")
        made = kit.make(Bluesky, given=BlueskySettings(terms=("acme",), endpoints=(closed, shut)))
        with pytest.raises(SourceUnavailableError):
            await anext(made.listen(None))
        with pytest.raises(SourceRefusedError, match="endpoints"):
            await anext(made.listen(None))


async def test_instances_whose_clocks_differ_lose_nothing_when_one_goes_on_and_is_lost_again():
    log = MemoryLog()

    def listening(stream):
        return running(kit.make(Bluesky, given=BlueskySettings(terms=("acme",), endpoints=(stream.url,))), log)

    async with Stream([commit(1, second=120)]).running() as ahead, listening(ahead):
        await until(lambda: log.mentions, "the first")
    async with Stream([commit(1, second=100), commit(2, second=101)]).running() as other:
        async with listening(other):
            await until(lambda: len(log.mentions) == 2, "what the other has besides")
        other.add(commit(3, second=102))
        async with listening(other):
            await until(lambda: len(log.mentions) == 3, "what it has heard since")


async def test_nobody_at_the_address_is_said_in_words():
    made = kit.make(Bluesky, given=BlueskySettings(terms=("acme",), endpoints=("ws://127.0.0.1:1/subscribe",)))
    with pytest.raises(SourceUnavailableError, match="refused"):
        await anext(made.listen(None))


async def test_while_a_page_is_not_committed_only_so_much_is_read(monkeypatch):
    monkeypatch.setattr(connector, "PAGE", 20)
    chance = random.Random(3)  # what cannot be compressed
    frames = [commit(n, f"acme {chance.randbytes(20_000).hex()}", second=n / 1000) for n in range(600)]
    async with Stream(frames).running() as stream, contextlib.aclosing(bluesky(stream).listen(None)) as pages:
        count, before = len((await anext(pages)).mentions), -1
        assert count == 20
        while stream.sent != before:  # until nothing more can be sent
            before = stream.sent
            await asyncio.sleep(0.1)
        assert stream.sent < 500  # what the queue and the sockets hold
        while count < 600:
            count += len((await anext(pages)).mentions)


async def test_nothing_that_matches_still_moves_the_cursor():
    async with Stream([commit(1, "not us")]).running() as stream, running(bluesky(stream)) as run:
        await until(lambda: "example" in run.log.checkpoints, "a checkpoint")
        assert Place.read(run.log.checkpoints["example"].cursor).at == START + US
        assert run.log.mentions == []


# ----------------------------------------------------------------------------------------------------- recordings


@pytest.mark.shared
def test_every_recorded_answer_is_read(shared):
    spec = importlib.util.spec_from_file_location("judge", shared / "judge" / "judge.py")
    judge = importlib.util.module_from_spec(spec)
    sys.modules["judge"] = judge
    spec.loader.exec_module(judge)
    count = 0
    folder = shared / "api" / "bluesky"
    files = sorted(p for p in folder.rglob("*.json*") if "spec" not in p.relative_to(folder).parts)
    for file in files:
        for body in judge.bodies(file):
            found = {mention.native_id: mention for mention in Bluesky.parse(body, kit.NOW)}
            for wanted, text in judge.expected("bluesky", body).items():
                mention = found[wanted]
                need = judge.words_of(text)
                assert len(need & judge.words_of(f"{mention.title or ''} {mention.text}")) >= 0.9 * len(need), wanted
                assert mention.author.id.startswith("did:")
                assert mention.author.handle
                assert mention.created_at < kit.NOW.replace(year=2027)
                assert mention.url.startswith("https://bsky.app/profile/did:")
                count += 1
    assert count > 100
    live = list(Bluesky.parse((folder / "jetstream_golden_v1.jsonl").read_bytes(), kit.NOW))
    assert [mention.text for mention in live] == ["Try RSV for a good time !!"]
    assert live[0].conversation.endswith("3mmojbrjwbs26")


@pytest.mark.parametrize(
    ("short", "state"),
    [("c", State.LIVE), ("u", State.EDITED), ("d", State.DELETED)],
    ids=["created", "edited", "gone"],
)
def test_frames_of_jetstreams_first_form_are_read(short, state):
    frame = json.loads(commit(1, "the kettle leaks"))
    frame["type"], frame["commit"]["type"] = "com", short
    del frame["kind"], frame["commit"]["operation"]
    (found,) = Bluesky.parse(json.dumps(frame).encode(), kit.NOW)
    assert (found.native_id, found.state) == (native(1), state)
