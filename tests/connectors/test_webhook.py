"""The webhook: real requests over loopback, signatures held against the standard's own library, anything as a body."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import socket
from datetime import UTC, datetime

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook as Standard

from connectors import inbound as module
from connectors.base import read_settings
from connectors.inbound import OUTCOMES
from connectors.publisher import MemoryLog, MemoryPublisher
from connectors.webhook.body import InvalidBodyError, mentions_of
from connectors.webhook.connector import Webhook, WebhookSettings
from connectors.webhook.signature import SignatureError, delivery_of, keys_of, sign
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from tests.connectors import kit
from tests.connectors.streams import running, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 30 bytes ...").decode()
NOW = kit.NOW.timestamp()


def webhook(**changes):
    given = {"secret": SecretStr(SECRET), "port": 0, **changes}
    return kit.make(Webhook, given=WebhookSettings(**given))


def signed(body, delivery="msg_1", secret=SECRET, at=NOW):
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": "v1," + base64.b64encode(sign(keys_of(secret)[0], delivery, str(int(at)), body)).decode(),
    }


class Sender:
    def __init__(self, run, session, url):
        self.run, self.session, self.url = run, session, url

    async def send(self, body, delivery="msg_1", *, headers=None, **more):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = signed(data, delivery) if headers is None else headers
        async with self.session.post(self.url, data=data, headers=headers, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else text, answer.headers

    def outcome(self, name):
        return self.run.count("earshot_webhook_requests_total", outcome=name)


@contextlib.asynccontextmanager
async def serving(made=None, log=None, publisher=None):
    async with running(made or webhook(), log, publisher) as run:
        await until(lambda: run.states and run.states[-1][0] == "listening", "it listens")
        async with aiohttp.ClientSession() as session:
            yield Sender(run, session, run.states[-1][1])


class SlowPublisher(MemoryPublisher):
    """Commits when it is let."""

    def __init__(self, log=None):
        super().__init__("example", log)
        self.let = asyncio.Event()
        self.called = 0

    async def publish(self, *given, **more):
        self.called += 1
        await self.let.wait()
        await super().publish(*given, **more)


# ----------------------------------------------------------------------------------------------------- signatures


def test_the_standards_own_example_is_signed_as_it_says():
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body = b'{"test": 2432232314}'
    keys = keys_of(SECRET)
    assert delivery_of(headers, body, keys, now=1614265331, tolerance=300) == headers["webhook-id"]
    for name, value in (("webhook-id", "msg_x"), ("webhook-timestamp", "1614265331")):
        with pytest.raises(SignatureError, match="does not match"):
            delivery_of({**headers, name: value}, body, keys, now=1614265331, tolerance=300)
    with pytest.raises(SignatureError, match="does not match"):
        delivery_of(headers, body + b" ", keys, now=1614265331, tolerance=300)


@given(st.text(max_size=80), st.text("abcXYZ019_-", min_size=1, max_size=40), st.binary(min_size=16, max_size=64))
def test_we_accept_what_the_standards_library_signs(text, delivery, key):
    secret = "whsec_" + base64.b64encode(key).decode()
    body = text.encode("utf-8", "replace")
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    headers = {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Standard(secret).sign(delivery, at, body.decode()),
    }
    assert delivery_of(headers, body, keys_of(secret), now=at.timestamp(), tolerance=1) == delivery


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"webhook-id": ""}, "are needed"),
        ({"webhook-id": "a b"}, "webhook-id must"),
        ({"webhook-id": "x" * 300}, "webhook-id must"),
        ({"webhook-timestamp": "soon"}, "whole seconds"),
        ({"webhook-timestamp": f"{NOW:.1f}"}, "whole seconds"),
        ({"webhook-timestamp": "٣٣"}, "whole seconds"),
        ({"webhook-timestamp": "9" * 40}, "whole seconds"),
        ({"webhook-signature": ""}, "are needed"),
        ({"webhook-signature": "v1"}, "does not match"),
        ({"webhook-signature": "v1,"}, "does not match"),
        ({"webhook-signature": "v1,%%%"}, "does not match"),
        ({"webhook-signature": "v1,QQ==,QQ=="}, "does not match"),
        ({"webhook-signature": "ü"}, "does not match"),
    ],
)
def test_odd_headers_are_refused_in_words(change, said):
    with pytest.raises(SignatureError, match=said):
        delivery_of({**signed(b"x"), **change}, b"x", keys_of(SECRET), now=NOW, tolerance=300)


def test_another_version_and_a_second_signature_are_passed_over():
    good = signed(b"x")["webhook-signature"]
    headers = {**signed(b"x"), "webhook-signature": f"v1a,AAAA v1,{'A' * 43}= {good} v2,QQ=="}
    assert delivery_of(headers, b"x", keys_of(SECRET), now=NOW, tolerance=300) == "msg_1"
    too_many = " ".join(["v1,QQ=="] * 40 + [good])
    with pytest.raises(SignatureError):
        delivery_of({**headers, "webhook-signature": too_many}, b"x", keys_of(SECRET), now=NOW, tolerance=300)


@pytest.mark.parametrize(("off", "is_good"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_the_window_is_open_as_long_as_it_says(off, is_good):
    with contextlib.nullcontext() if is_good else pytest.raises(SignatureError, match="too far from now"):
        delivery_of(signed(b"x", at=NOW + off), b"x", keys_of(SECRET), now=NOW, tolerance=300)


def test_secrets_are_what_they_must_be():
    assert keys_of(SECRET) == (base64.b64decode(SECRET.removeprefix("whsec_")),)
    assert keys_of(SECRET.rstrip("=")) == keys_of(SECRET)
    assert keys_of("a secret with spaces") == (b"a secret with spaces",)
    bare = base64.b64encode(b"0123456789abcdef").decode()
    assert keys_of(bare) == (bare.encode(), b"0123456789abcdef")
    for short in ("whsec_QQ==", "whsec_no base64 at all", "short", ""):
        with pytest.raises(ValueError):
            keys_of(short)


def test_a_bad_secret_is_refused_with_the_way_to_a_good_one(monkeypatch):
    monkeypatch.setenv("HOOK", "tooshort")
    with pytest.raises(ConfigError, match=r"sources\.hook\.secret: .*whsec_") as raised:
        read_settings(WebhookSettings, "hook", {"secret": {"env": "HOOK"}})
    assert "tooshort" not in str(raised.value)
    monkeypatch.setenv("HOOK", SECRET)
    with pytest.raises(ConfigError, match=r"sources\.hook\.host: write an address"):
        read_settings(WebhookSettings, "hook", {"secret": {"env": "HOOK"}, "host": "example.org"})
    with pytest.raises(ConfigError, match=r"sources\.hook\.secret is missing"):
        read_settings(WebhookSettings, "hook", {})


# ----------------------------------------------------------------------------------------------------- bodies


def test_one_a_list_or_lines_are_taken_in_their_order():
    one, two = {"id": "1", "text": "a"}, {"id": 2, "text": "b", "source": "shop"}
    lines = f"{json.dumps(one)}\r\n\n{json.dumps(two)}\n".encode()
    for body in (json.dumps([one, two]).encode(), lines):
        found = mentions_of(body, now=kit.NOW, source="webhook")
        assert [mention.id for mention in found] == ["webhook:1", "shop:2"]
    assert len(mentions_of(json.dumps(one, indent=1).encode(), now=kit.NOW, source="w")) == 1
    assert mentions_of(b"[]", now=kit.NOW, source="w") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"  \n ", "the body is empty"),
        (b"{", "not JSON"),
        (b"5", "expected a JSON object, got int"),
        (b'{"text": "x"}', "`id` is missing"),
        (b'{"id": "1"}', "`text` is missing"),
        (b'[{"id": "1", "text": "x"}, {"id": "2", "text": "x", "created_at": "soon"}]', "mention 2: `created_at`"),
        (b'{"id": "1", "text": "x"}\n\n{"id": "2"}\n', "line 3: `text` is missing"),
        (b'{"id": "1", "text": "x"}\n{"id"\n', "line 2: not JSON"),
        (b'{"id": "1", "text": "x", "rating": {"value": "five"}}', r"rating\.value"),
        (b'{"id": "1", "text": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply|got `array`"),  # by the version
        (b"[" * 100_000, "not JSON"),
        (json.dumps({"id": "1", "text": "\x01" * 100_000, "title": "\x01" * 100_000}).encode(), "bytes"),
    ],
)
def test_mistakes_are_named_by_line_and_field(body, said):
    with pytest.raises(InvalidBodyError, match=said):
        mentions_of(body, now=kit.NOW, source="webhook")


def test_only_so_many_mistakes_are_named_and_all_are_counted():
    with pytest.raises(InvalidBodyError) as raised:
        mentions_of(b"{}\n" * 500, now=kit.NOW, source="webhook")
    assert len(raised.value.mistakes) == 20
    assert raised.value.count == 500


# ----------------------------------------------------------------------------------------------------- requests


async def test_a_signed_request_is_published_and_a_repeated_one_once_also_after_a_restart():
    log = MemoryLog()
    async with serving(log=log) as sender:
        status, said, _ = await sender.send([{"id": "1", "text": "a"}, {"id": "2", "text": "b"}])
        assert (status, said) == (200, {"accepted": 2})
        assert [mention.id for mention in log.mentions] == ["webhook:1", "webhook:2"]
        assert {mention.connector for mention in log.mentions} == {"example"}
        again = await sender.send([{"id": "3", "text": "the same delivery, with other words"}])
        assert again[0] == 200
        assert sender.outcome("accepted") == 2
        assert sender.run.count("earshot_mentions_received_total") == 3
        assert sender.run.count("earshot_mentions_repeated_total") == 1
    async with serving(log=log) as sender:
        assert (await sender.send([{"id": "1", "text": "a"}]))[0] == 200
        assert (await sender.send([{"id": "1", "text": "a"}], "msg_2"))[0] == 200  # known by the mention's id
        assert (await sender.send([{"id": "1", "text": "c", "revision": 1, "state": "edited"}], "msg_3"))[0] == 200
        assert (await sender.send({"id": "2", "state": "deleted"}, "msg_4"))[0] == 200
    assert [(m.id, m.revision, m.state.value) for m in log.mentions] == [
        ("webhook:1", 0, "live"),
        ("webhook:2", 0, "live"),
        ("webhook:1", 1, "edited"),
        ("webhook:2", 0, "deleted"),
    ]


async def test_every_refusal_has_its_status_its_words_and_its_count():
    async with serving(webhook(max_body=2_000)) as sender:
        body = b'{"id": "1", "text": "a"}'
        unsigned = await sender.send(body, headers={})
        assert (unsigned[0], "webhook-signature" in unsigned[1]["error"]) == (401, True)
        forged = await sender.send(body, headers=signed(b"other"))
        assert forged[0] == 401
        assert (await sender.send(body, headers=signed(body, secret=OTHER)))[0] == 401
        assert (await sender.send(body, headers=signed(body, at=NOW - 3600)))[0] == 401
        wrong = await sender.send(b'{"id": "1", "text": "a"}\n{"id": "2"}')
        assert wrong[0] == 400
        assert wrong[1]["mistakes"] == ["line 2: `text` is missing: a mention needs a text, a title or a rating"]
        large = await sender.send({"id": "1", "text": "x" * 3_000})
        assert (large[0], "2000 bytes" in large[1]["error"]) == (413, True)
        async with sender.session.get(sender.url) as answer:
            assert answer.status == 405
        async with sender.session.post(sender.url + "/other") as answer:
            assert answer.status == 404
        assert sender.run.log.mentions == []
        assert (sender.outcome("unsigned"), sender.outcome("invalid"), sender.outcome("too_large")) == (4, 1, 1)


async def test_both_secrets_are_good_while_senders_change_over():
    async with serving(webhook(previous_secret=SecretStr(OTHER))) as sender:
        for number, secret in enumerate((SECRET, OTHER)):
            body = json.dumps({"id": number, "text": "a"}).encode()
            assert (await sender.send(body, headers=signed(body, f"m{number}", secret)))[0] == 200
        assert len(sender.run.log.mentions) == 2


async def test_compressed_bodies_are_bounded_and_broken_ones_the_senders_mistake():
    async with serving() as sender:
        body = b'{"id": "1", "text": "a"}'
        packed = {**signed(body), "Content-Encoding": "gzip"}
        assert (await sender.send(gzip.compress(body), headers=packed))[0] == 200
        bomb = gzip.compress(b" " * 50_000_000)
        assert (await sender.send(bomb, headers={**signed(b"x"), "Content-Encoding": "gzip"}))[0] == 413
        assert (await sender.send(b"no gzip", headers=packed))[0] == 400


async def test_it_is_answered_only_when_kafka_has_the_page():
    publisher = SlowPublisher()
    async with serving(publisher=publisher) as sender:
        sending = asyncio.create_task(sender.send({"id": "1", "text": "a"}))
        await until(lambda: publisher.called, "the commit has begun")
        assert not sending.done()
        assert publisher.log.mentions == []
        publisher.let.set()
        assert (await sending)[0] == 200
        assert len(publisher.log.mentions) == 1


async def test_many_senders_share_transactions_and_none_is_lost():
    publisher = SlowPublisher()
    async with serving(publisher=publisher) as sender:
        sends = [asyncio.create_task(sender.send({"id": n, "text": "a"}, f"m{n}")) for n in range(60)]
        await until(lambda: publisher.called and sender.run.connector._waiting == 60, "all are in")
        publisher.let.set()
        assert {(await one)[0] for one in sends} == {200}
        assert sorted(int(m.native_id) for m in publisher.log.mentions) == list(range(60))
        assert publisher.called < 10


async def test_the_same_delivery_twice_at_once_is_published_once():
    publisher = SlowPublisher()
    async with serving(publisher=publisher) as sender:
        sends = [asyncio.create_task(sender.send({"id": f"{n}", "text": "a"}, "same")) for n in range(5)]
        await until(lambda: sender.run.connector._waiting == 5, "all are in")
        publisher.let.set()
        assert {(await one)[0] for one in sends} == {200}
        assert len(publisher.log.mentions) == 1


async def test_while_kafka_is_away_senders_are_asked_to_come_again_and_then_it_goes_on():
    log = MemoryLog()
    async with serving(log=log) as sender:
        log.fail = [BrokerUnavailableError("Kafka is away")]
        status, _, headers = await sender.send({"id": "1", "text": "a"})
        assert (status, headers["Retry-After"]) == (503, "5")
        assert log.mentions == []
        await until(lambda: sender.run.states[-1][0] == "listening", "it is back")
        assert ("waiting", "Kafka is away") in sender.run.states
        assert (await sender.send({"id": "1", "text": "a"}))[0] == 200
        assert len(log.mentions) == 1
        assert sender.outcome("unavailable") == 1


async def test_a_commit_that_takes_too_long_is_asked_for_again_and_published_once(monkeypatch):
    monkeypatch.setattr(module, "COMMIT_TIMEOUT", 0.1)
    publisher = SlowPublisher()
    async with serving(publisher=publisher) as sender:
        assert (await sender.send({"id": "1", "text": "a"}))[0] == 503
        publisher.let.set()
        await until(lambda: publisher.log.mentions, "it is kept after all")
        assert (await sender.send({"id": "1", "text": "a"}))[0] == 200
        assert len(publisher.log.mentions) == 1


async def test_a_body_that_does_not_come_and_a_connection_that_breaks_harm_nobody(monkeypatch):
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.2)
    async with serving() as sender:
        host, port = sender.url.split("/")[2].split(":")
        head = b"POST /mentions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head)
        assert b"408" in await reader.readline()
        writer.close()
        _, other = await asyncio.open_connection(host, int(port))
        other.write(head)
        await until(lambda: sender.run.connector._waiting == 1, "the second is in")
        other.transport.abort()
        await until(lambda: sender.run.connector._waiting == 0, "the second is gone")
        assert (await sender.send({"id": "1", "text": "a"}))[0] == 200
        assert sender.outcome("failed") == 0


async def test_too_many_at_once_are_asked_to_come_again(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    publisher = SlowPublisher()
    async with serving(publisher=publisher) as sender:
        first = asyncio.create_task(sender.send({"id": "1", "text": "a"}))
        await until(lambda: publisher.called, "the first is in")
        assert (await sender.send({"id": "2", "text": "a"}, "msg_2"))[0] == 503
        publisher.let.set()
        assert (await first)[0] == 200


async def test_at_the_end_who_is_in_gets_an_answer_and_nobody_new_is_let_in():
    publisher = SlowPublisher()
    async with serving(publisher=publisher) as sender:
        sending = asyncio.create_task(sender.send({"id": "1", "text": "a"}))
        await until(lambda: publisher.called, "the commit has begun")
        stopping = asyncio.create_task(sender.run.stop())
        host, port = sender.url.split("/")[2].split(":")

        def refused():
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) != 0

        await until(refused, "nobody is let in")
        assert not sending.done()
        publisher.let.set()
        assert (await sending)[0] == 200
        await stopping
        assert len(publisher.log.mentions) == 1


async def test_a_port_that_is_taken_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(module, "PORT_PATIENCE", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running(webhook(port=port)) as run:
            await until(lambda: run.states[-1:] and run.states[-1][0] == "refused", "it is refused")
            assert run.states[-1][1] == (
                f"sources.example: port {port} at 127.0.0.1 is taken by another program: "
                "end it, or set `port` to another one"
            )
            assert "is taken" in await webhook(port=port).check()
            taken.close()
            await until(lambda: run.states[-1][0] == "listening", "it listens when the port is free")
            assert 50 < run.waits[-1] < 70
    assert "is free" in await webhook().check()


async def test_a_port_that_is_let_go_soon_is_waited_for():
    """The process that had this source before may hold it for a moment."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    async with running(webhook(port=taken.getsockname()[1])) as run:
        await asyncio.sleep(0.05)
        taken.close()
        await until(lambda: run.states[-1][0] == "listening", "it listens")
        assert "refused" not in {state for state, _ in run.states}


async def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ConfigError, match="is no address of this machine"):
        await webhook(host="192.0.2.7").check()


ANY_BODY = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["id", "text", "created_at", "author", "rating", "tags", "state", "revision", "x"]),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)
ANY_HEADERS = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "Content-Type", "Content-Encoding", "X"]),
    st.sampled_from(["gzip", "deflate", "br", "v1,QQ==", str(int(NOW))])
    | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    max_size=5,
)


def test_no_body_and_no_header_makes_it_crash():
    log = MemoryLog()
    with asyncio.Runner() as loop:
        stack = contextlib.AsyncExitStack()
        sender = loop.run(stack.enter_async_context(serving(log=log)))

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(ANY_BODY, ANY_HEADERS, st.booleans())
        def check(body, headers, is_signed):
            given = {**headers, **(signed(body, f"m{hash(body)}") if is_signed else {})}
            status, _, _ = loop.run(sender.send(body, headers=given))
            assert status in (200, 400, 401, 413)
            assert status in (200, 400) or not is_signed or "Content-Encoding" in headers

        check()
        assert loop.run(sender.send({"id": "last", "text": "still there"}, "last"))[0] == 200
        assert sender.outcome("failed") == 0
        assert sum(sender.outcome(name) for name in OUTCOMES) > 100
        loop.run(stack.aclose())
