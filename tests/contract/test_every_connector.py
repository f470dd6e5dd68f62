"""The promises every connector keeps. A new connector adds a folder `example/`, and no code here."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import secrets
import socket
import subprocess
import sys

import httpx
import pytest

from connectors import registry
from connectors.base import Connector, PollingConnector, PushConnector, StreamingConnector
from connectors.publisher import MemoryLog
from pipeline.contract import codec
from pipeline.contract.errors import (
    BrokerUnavailableError,
    InvalidMessageError,
    RateLimitedError,
    RetriableError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.events import Mention
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, signed
from tests.connectors.called import called
from tests.connectors.streams import nowhere, running, stream_of, until

EVERY = kit.all_kinds()
POLLING = kit.kinds(PollingConnector)
HTTP = kit.kinds(PollingConnector, over_http=True)
STREAMING = kit.kinds(StreamingConnector)
PUSH = kit.kinds(PushConnector)
HEADINGS = ("What it hears", "What it does not hear", "Credentials", "Quota and terms", "Settings")

every = pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.name)
polling = pytest.mark.parametrize("kind", POLLING, ids=lambda kind: kind.name)
streaming = pytest.mark.parametrize("kind", STREAMING, ids=lambda kind: kind.name)
push = pytest.mark.parametrize("kind", PUSH, ids=lambda kind: kind.name)
over_http = pytest.mark.parametrize("kind", HTTP, ids=lambda kind: kind.name)


def body(kind, name="page"):
    return kit.example(kind, name).read_bytes()


def connector(kind, name="page", **more):
    """The connector, with a source that answers with the example whatever is asked."""
    page = kit.example(kind, name)
    return kit.make(kind, kit.answering(page.read_bytes()) if kind in HTTP else None, page=page, **more)


@every
def test_the_folder_bears_the_sources_name(kind):
    assert kit.folder_of(kind).name == registry.module_name(kind.name)
    assert registry.find(kind.name) is kind
    assert issubclass(kind, kit.FORMS)


@every
def test_the_readme_says_what_is_heard_what_is_not_and_what_it_takes(kind):
    readme = (kit.folder_of(kind) / "README.md").read_text("utf-8")
    found = re.findall(r"^## (.+)$", readme, re.MULTILINE)
    assert tuple(found) == HEADINGS
    settings = readme.split("## Settings")[1]
    missing = [name for name in kind.settings_type.model_fields if f"`{name}`" not in settings]
    assert [name for name in missing if name not in ("slowest_poll", "base_url")] == []


@every
def test_every_setting_has_words_for_editors(kind):
    described = kind.settings_type.model_json_schema()["properties"]
    inherited = ("base_url", "poll_interval", "slowest_poll")
    assert [n for n, field in described.items() if "description" not in field and n not in inherited] == []


@every
def test_making_one_opens_no_connection(kind, monkeypatch):
    def no_socket(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    monkeypatch.setattr(socket.socket, "bind", no_socket)
    kit.make(kind)


@every
def test_the_example_is_parsed_to_mentions_that_survive_the_wire(kind):
    found = list(kind.parse(body(kind), kit.NOW))
    assert found
    for mention in found:
        assert mention.id == f"{mention.source}:{mention.native_id}"
        assert mention.source in (kind.sources or (kind.name,))
        assert mention.created_at.utcoffset().total_seconds() == 0
        assert mention.collected_at == kit.NOW
        assert codec.decode(Mention, codec.encode(mention)) == mention
    revisions = [(mention.id, mention.revision, mention.state) for mention in found]
    assert len(set(revisions)) == len(revisions)


@every
@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'[1, "two", null, [], {}]',
        b"\xff\xfe\x00garbage",
        b'{"broken": ',
        b"<html><body>busy</body></html>",
        b"[" * 5000,
        b'{"id": "\\ud800", "text": "\\ud800"}',
    ],
    ids=lambda odd: repr(odd[:14]),
)
def test_what_no_platform_sends_never_ends_in_an_error_of_ours(kind, odd):
    found = []
    with contextlib.suppress(InvalidMessageError):  # says in words that it is no answer of this source
        found = list(kind.parse(odd, kit.NOW))
    for mention in found:
        codec.decode(Mention, codec.encode(mention))


@every
def test_no_secret_shows_in_what_is_printed(kind):
    made = kit.make(kind)
    shown = f"{made.settings!r} {made.settings} {vars(made)!r} {made.settings.model_dump_json()}"
    assert kit.SECRET not in shown


@polling
async def test_mentions_come_oldest_first_each_once(kind):
    page = await connector(kind).fetch(None)
    assert page.mentions
    times = [mention.created_at for mention in page.mentions]
    assert times == sorted(times)
    ids = [(mention.id, mention.revision) for mention in page.mentions]
    assert len(set(ids)) == len(ids)


@polling
async def test_asking_again_from_a_pages_cursor_loses_nothing_and_publishes_nothing_twice(kind):
    log = MemoryLog()
    await kit.run(connector(kind), 3, log=log)
    once = [(mention.id, mention.revision) for mention in log.mentions]
    assert once
    assert len(set(once)) == len(once)
    await kit.run(connector(kind), 3, log=log)
    assert [(mention.id, mention.revision) for mention in log.mentions] == once
    assert {mention.connector for mention in log.mentions} == {"example"}


@polling
async def test_an_empty_answer_keeps_the_cursor(kind):
    first = await connector(kind).fetch(None)
    later = await connector(kind, "empty").fetch(first.cursor)
    assert not later.mentions
    assert not later.is_full
    if kind in HTTP:
        assert later.cursor is not None
        again = await connector(kind).fetch(later.cursor)
        assert {mention.id for mention in again.mentions} <= {mention.id for mention in first.mentions}


STATUSES = [
    (429, RateLimitedError),
    (500, SourceUnavailableError),
    (502, SourceUnavailableError),
    (503, SourceUnavailableError),
    (504, SourceUnavailableError),
    (408, SourceUnavailableError),
    (400, SourceRefusedError),
    (401, SourceRefusedError),
    (403, SourceRefusedError),
    (404, SourceRefusedError),
]


@over_http
@pytest.mark.parametrize(("status", "error"), STATUSES, ids=lambda value: str(value) if isinstance(value, int) else "")
async def test_a_status_becomes_the_error_that_says_what_to_do(kind, status, error):
    made = kit.make(kind, kit.answering(b"<html>no</html>", status))
    with pytest.raises(error) as raised:
        await made.fetch(None)
    assert kit.SECRET not in str(raised.value)


@over_http
async def test_a_source_that_asks_to_wait_is_not_asked_before(kind):
    made = kit.make(kind, kit.answering(b"", 429, {"retry-after": "77"}))
    with pytest.raises(RateLimitedError) as raised:
        await made.fetch(None)
    assert raised.value.retry_after == 77
    waits, states = await kit.run(made, 1)
    assert waits.waited[0] >= 77
    assert states[-1][0] == "waiting"


@over_http
@pytest.mark.parametrize("broken", [b"", b"<html>maintenance</html>", b'{"cut', b"\xff\xfe"], ids=repr)
async def test_an_answer_of_another_kind_is_tried_again_and_moves_nothing(kind, broken):
    made = kit.make(kind, kit.answering(broken, 200, {"content-type": "text/html"}))
    with pytest.raises(SourceUnavailableError):
        await made.fetch(None)


class Sent(httpx.AsyncByteStream):
    """A body that is sent piece by piece; ends with this error, if with any."""

    def __init__(self, *pieces, error=None):
        self.pieces = pieces
        self.error = error

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error


PACKED = gzip.compress(b'{"items": ["' + secrets.token_hex(4000).encode() + b'"]}')
BOMB = gzip.compress(b"[" * 40_000_000)
BODIES = {
    "gzip that breaks off": ("gzip", lambda: Sent(PACKED[:-1000])),
    "gzip that is none": ("gzip", lambda: Sent(b"no gzip")),
    "a gzip bomb": ("gzip", lambda: Sent(BOMB)),
    "a body without end": ("identity", lambda: Sent(*[b"[" * 1_000_000] * 40)),
    "a compression nobody asked for": ("br", lambda: Sent(b"\x0b\x02\x80")),
    "a connection that is cut": ("identity", lambda: Sent(b'{"items": [', error=httpx.RemoteProtocolError("cut"))),
    "a connection that falls asleep": ("identity", lambda: Sent(b'{"items": [', error=httpx.ReadTimeout("asleep"))),
}


@over_http
@pytest.mark.parametrize("what", BODIES)
async def test_a_broken_body_is_tried_again_and_takes_no_memory(kind, what):
    encoding, make = BODIES[what]
    made = kit.make(
        kind,
        lambda request: httpx.Response(200, stream=make(), headers={"content-encoding": encoding}, request=request),
    )
    with pytest.raises(SourceUnavailableError):
        await made.fetch(None)


@over_http
@pytest.mark.parametrize("header", ["60", "Fri, 20 Nov 2026 12:01:00 GMT"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_asked_for_as_a_number_or_a_date_holds_all_that_share_the_credential(kind, status, header):
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(status, content=b"<html>slow down</html>", headers={"retry-after": header})

    made = kit.make(kind, answer)
    with pytest.raises(RetriableError) as raised:
        await made.fetch(None)
    assert raised.value.retry_after == 60
    other, waited = kit.make(kind, answer), []

    async def wait(seconds):
        waited.append(seconds)

    other.http.account, other.http._wait = made.http.account, wait
    with pytest.raises(RetriableError):
        await other.fetch(None)
    assert waited[0] == pytest.approx(60, abs=1)


@over_http
async def test_a_revoked_credential_is_not_asked_with_again_and_again(kind):
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(401, json={"error": "invalid_token"})

    waits, states = await kit.run(kit.make(kind, answer), 3)
    assert states[-1][0] == "refused"
    assert min(waits.waited) >= 800  # a quarter of an hour, more or less
    assert len(asked) <= 2 * len(waits.waited)  # a token that can be renewed is, once


@every
def test_declared_limits_are_limits(kind):
    limits = kit.make(kind).limits()
    assert all(limit.most > 0 for limit in limits)
    assert len({(limit.name, limit.most) for limit in limits}) == len({limit.name for limit in limits})


@over_http
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_reading_again_says_nothing_of_mentions_when_the_source_fails(kind, status):
    made = kit.make(kind, kit.answering(b"<html>no</html>", status))
    if made.rereads is None or type(made).reread is Connector.reread:
        pytest.skip("this source is not read again")
    ids = [mention.native_id for mention in kind.parse(body(kind), kit.NOW)]
    with pytest.raises((RetriableError, SourceRefusedError)):
        await made.reread(ids[: made.rereads.batch])


def raw_is_of_all_that_is_there(log):
    """Whether each mention that was published is kept as it came, and nothing of what was withdrawn."""
    last = {mention.id: mention for mention in log.mentions}
    assert last
    assert {id_ for id_, raw in log.raw.items() if raw is not None} == {
        id_ for id_, mention in last.items() if not mention.is_withdrawn
    }
    assert all(raw.payload and raw.id == id_ for id_, raw in log.raw.items() if raw is not None)
    return True


@polling
async def test_what_the_source_sent_is_kept_where_it_is_wanted(kind):
    made, log = connector(kind), MemoryLog()
    made.keeps_raw = True
    await kit.run(made, 1, log=log)
    assert raw_is_of_all_that_is_there(log)
    assert made.raw == {}


@streaming
async def test_what_a_stream_sent_is_kept_where_it_is_wanted(kind):
    wanted = [mention.id for mention in kind.parse(body(kind), kit.NOW)]
    async with stream_of(kind, frames(kind)).running() as stream:
        made = kit.make(kind, endpoints=[stream.url])
        made.keeps_raw = True
        async with running(made) as run:
            await until(lambda: len(run.log.mentions) == len(wanted), "the example's mentions")
            assert raw_is_of_all_that_is_there(run.log)


@push
async def test_what_is_brought_to_us_is_kept_where_it_is_wanted(kind):
    deliveries, made = signed.deliveries(kind)
    made.keeps_raw = True
    async with called(made) as caller:
        for content, headers, name in deliveries:
            assert await caller.post(content, headers, name) in (200, 202, 204)
        assert raw_is_of_all_that_is_there(caller.run.log)


@every
async def test_nothing_is_kept_as_it_came_where_nobody_wants_it(kind):
    made = kit.make(kind)
    assert made.keeps_raw is False
    for mention in kind.parse(body(kind), kit.NOW):
        made.keep(mention, {"id": mention.native_id})
    assert made.raw == {}


@over_http
@pytest.mark.parametrize(
    "error", [httpx.ConnectTimeout, httpx.ReadTimeout, httpx.ConnectError, httpx.RemoteProtocolError]
)
async def test_a_source_that_does_not_answer_is_unavailable(kind, error):
    def fail(request):
        raise error("", request=request)

    with pytest.raises(SourceUnavailableError):
        await kit.make(kind, fail).fetch(None)


@over_http
async def test_requests_say_who_asks_and_have_a_timeout(kind):
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, content=body(kind))

    await kit.make(kind, answer).fetch(None)
    assert seen
    for request in seen:
        assert re.match(r"earshot/\S+ \(\+ops@example\.org\)", request.headers["user-agent"])
        assert request.extensions["timeout"]["read"]


@over_http
async def test_a_secret_is_in_no_error_no_log_line_and_no_state(kind):
    if kit.SECRET not in "".join(kit.reveal_all(kind)):
        pytest.skip("this source has no secret")
    lines, states = kit.Lines(), []
    for status in (401, 403, 429, 500):
        echo = lambda request, status=status: httpx.Response(  # noqa: E731
            status, json={"error": f"bad token {kit.SECRET}", "url": str(request.url)}
        )
        _, told = await kit.run(kit.make(kind, echo), 1, lines=lines)
        states += told
    assert len(states) >= 4
    assert kit.SECRET not in repr(lines.lines) + repr(states)


@polling
async def test_the_position_moves_only_with_the_mentions(kind):
    log = MemoryLog()
    log.fail = [BrokerUnavailableError("Kafka is away")]
    _, states = await kit.run(connector(kind), 1, log=log)
    assert log.mentions == []
    assert log.checkpoints == {}
    assert states[-1] == ("waiting", "Kafka is away")
    await kit.run(connector(kind), 1, log=log)
    assert log.mentions
    assert log.checkpoints["example"].seen


@over_http
async def test_one_line_when_it_is_lost_and_one_when_it_is_back(kind):
    answers = [503, 503, 503, 200, 200]

    def answer(request):
        status = answers.pop(0) if answers else 200
        return httpx.Response(status, content=body(kind))

    lines = kit.Lines()
    await kit.run(kit.make(kind, answer), 8, lines=lines)
    told = [(level, event) for level, event, _ in lines.lines]
    assert told == [("warning", "source lost"), ("info", "source back")]


@polling
async def test_the_counters_move(kind):
    metrics = Metrics()
    made = connector(kind, metrics=metrics)
    await kit.run(made, 2, metrics=metrics)

    def value(name, **labels):
        return metrics.registry.get_sample_value(name, {"connector": "example", **labels})

    published = value("earshot_mentions_published_total")
    assert published >= 1
    assert value("earshot_mentions_received_total") == published + value("earshot_mentions_repeated_total")
    assert value("earshot_source_last_success_timestamp_seconds") == kit.NOW.timestamp()
    assert value("earshot_source_state", state="listening") == 1
    if kind in HTTP:
        assert value("earshot_source_requests_total", outcome="ok") >= 2


@polling
async def test_a_check_says_in_words_what_was_found(kind):
    assert re.search(r"\d+ mentions", await connector(kind).check())


# A streaming connector names its addresses in `endpoints`. Its example is what arrives, a frame a line.


def frames(kind, name="page"):
    return body(kind, name).decode().splitlines()


@contextlib.asynccontextmanager
async def streamed(kind, lines, log=None):
    """The connector at work, listening to a source that sends these frames to whoever comes."""
    async with stream_of(kind, lines).running() as stream, running(kit.make(kind, endpoints=[stream.url]), log) as run:
        yield stream, run


@streaming
async def test_frames_become_mentions_each_once_in_the_order_they_came(kind):
    wanted = [mention.id for mention in kind.parse(body(kind), kit.NOW)]
    async with streamed(kind, [*frames(kind), *frames(kind)]) as (_, run):
        await until(lambda: len(run.log.mentions) >= len(wanted), "the example's mentions")
        await until(lambda: run.count("earshot_mentions_repeated_total") == len(wanted), "and their repeats")
        assert [mention.id for mention in run.log.mentions] == wanted
        assert run.count("earshot_mentions_received_total") == 2 * len(wanted)
        assert run.count("earshot_mentions_published_total") == len(wanted)
        assert run.count("earshot_source_state", state="listening") == 1
        assert {mention.connector for mention in run.log.mentions} == {"example"}


@streaming
async def test_a_stream_goes_on_from_its_cursor_and_publishes_nothing_twice(kind):
    lines, log = frames(kind), MemoryLog()
    wanted = [mention.id for mention in kind.parse(body(kind), kit.NOW)]
    async with streamed(kind, lines[:1], log) as (stream, run):
        await until(lambda: log.mentions, "the first frame")
    async with streamed(kind, lines, log) as (stream, run):
        await until(lambda: len(log.mentions) == len(wanted), "the rest")
        await until(lambda: stream.sent >= len(lines), "all frames")
        assert [mention.id for mention in log.mentions] == wanted
        assert run.states[-1] == ("listening", None)


@streaming
async def test_a_broken_frame_is_kept_for_a_person_and_is_no_reason_to_reconnect(kind):
    lines = frames(kind)
    wanted = [mention.id for mention in kind.parse(body(kind), kit.NOW)]
    async with streamed(kind, [lines[0], "{", b"\xff\x00", *lines[1:]]) as (stream, run):
        await until(lambda: len(run.log.mentions) == len(wanted), "what is not broken")
        assert [part.value for part in run.log.rejected] == [b"{", b"\xff\x00"]
        assert len(stream.asked) == 1


@streaming
async def test_a_lost_stream_is_unavailable_and_leaves_no_connection(kind):
    async def drop(_, connection, number, sent):
        if number == 1 and sent == 1:
            await connection.close()

    stream = stream_of(kind, frames(kind))
    stream.misbehave = drop
    async with stream.running(), running(kit.make(kind, endpoints=[stream.url])) as run:
        await until(lambda: len(stream.asked) == 2, "a second connection")
        assert "unreachable" in [state for state, _ in run.states]
        assert kit.SECRET not in repr(run.states)
        await run.stop()
        await until(lambda: stream.open == 0, "both are closed")
    pages = kit.make(kind, endpoints=[nowhere(kind)]).listen(None)
    with pytest.raises(SourceUnavailableError):
        await anext(pages)


@streaming
async def test_a_stream_that_says_nothing_is_noticed(kind):
    async with stream_of(kind).running() as stream:
        pages = kit.make(kind, endpoints=[stream.url], silence=0.1).listen(None)
        with pytest.raises(SourceUnavailableError, match="nothing for"):
            await anext(pages)


@streaming
async def test_the_cursor_of_a_stream_moves_only_with_the_mentions(kind):
    log = MemoryLog()
    log.fail = [BrokerUnavailableError("Kafka is away")]
    wanted = [mention.id for mention in kind.parse(body(kind), kit.NOW)]
    async with streamed(kind, frames(kind), log) as (_, run):
        await until(lambda: len(log.mentions) == len(wanted), "after it was away")
        assert ("waiting", "Kafka is away") in run.states
        assert [mention.id for mention in log.mentions] == wanted


@streaming
async def test_a_check_of_a_stream_says_that_frames_arrive(kind):
    async with stream_of(kind, frames(kind)).running() as stream:
        assert "frames arrive" in await kit.make(kind, endpoints=[stream.url]).check()
        await until(lambda: stream.open == 0, "it is closed")


# A push connector says where it listens; nobody may bring anything without proving who he is. One that asks as well
# finds nothing there in these tests.


@push
async def test_it_says_where_it_listens_and_listens_no_more_when_it_ends(kind):
    async with running(connector(kind, "empty")) as run:
        await until(lambda: run.states[-1:] and run.states[-1][0] == "listening", "it listens")
        address = httpx.URL(run.states[-1][1])
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
        await writer.wait_closed()
        await run.stop()
        with pytest.raises(OSError):
            await asyncio.open_connection(address.host, address.port)


@push
async def test_what_strangers_bring_is_refused_and_nothing_of_it_kept(kind):
    async with running(connector(kind, "empty")) as run, httpx.AsyncClient(trust_env=False) as client:
        await until(lambda: run.states[-1:] and run.states[-1][0] == "listening", "it listens")
        for content in (body(kind), b"", b"\xff\xfe", b"{" * 1000):
            answer = await client.post(run.states[-1][1], content=content)
            assert answer.status_code in (401, 403)
            assert kit.SECRET not in answer.text + repr(answer.headers)
        assert run.log.mentions == run.log.rejected == []
        assert not any(one.seen for one in run.log.checkpoints.values())
        assert run.count("earshot_webhook_requests_total", outcome="unsigned") == 4
    assert kit.SECRET not in repr(run.lines.lines) + repr(run.states)


@push
async def test_a_check_of_an_address_says_whether_it_can_be_had(kind):
    assert re.search(r"port \d+ at \S+ is free", await connector(kind).check())


def test_the_command_new_gives_a_connector_that_keeps_the_promises(tmp_path):
    from connectors.scaffold import make

    made = make("my-forum", tmp_path / "connectors")
    assert made == tmp_path / "connectors" / "my_forum"
    assert "template" not in (made / "connector.py").read_text().lower()
    code = (
        "import sys, connectors; connectors.__path__.append(sys.argv[1]);"
        "from connectors import registry; from pathlib import Path; registry.FOLDERS.append(Path(sys.argv[1]));"
        "import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--timeout=60', '-k', 'my-forum',"
        " 'tests/contract/test_every_connector.py']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "connectors")], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    assert re.search(r"\b[2-9]\d passed", run.stdout), run.stdout[-500:]
