"""WebSub: a hub of our own over loopback, leases on a clock that is moved, anything at the address."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import socket
from datetime import timedelta

import aiohttp
import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.base import read_settings
from connectors.publisher import MemoryLog
from connectors.rss.connector import Rss
from connectors.websub import subscriptions as subs
from connectors.websub.connector import WebSub
from connectors.websub.discovery import Announced, announced
from connectors.websub.settings import WebSubSettings
from connectors.websub.signature import is_signed, name_of, secret_of
from connectors.websub.subscriptions import DAY, Subscription
from pipeline.contract.errors import BrokerUnavailableError, ConfigError, SourceUnavailableError
from tests.connectors import kit, signed
from tests.connectors.called import called
from tests.connectors.hubs import Site, entry, free_port
from tests.connectors.streams import running, until

SECRET = "a secret of the tests, long enough"
NOW = kit.NOW.timestamp()


class Clock:
    """A clock that is moved."""

    def __init__(self):
        self.now = kit.NOW

    def __call__(self):
        return self.now

    def on(self, **spans):
        self.now += timedelta(**spans)


def websub(site, *names, clock=None, port=None, **changes):
    """The connector, with feeds of the site; it is asked rarely unless a test says otherwise."""
    port = port or free_port()
    given = {
        "feeds": [f"{site.url}/feed/{name}" for name in names or ("news",)],
        "address": f"http://127.0.0.1:{port}/websub",
        "secret": SecretStr(SECRET),
        "port": port,
        **changes,
    }
    once = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    made = kit.make(WebSub, given=WebSubSettings.model_validate(given), transport=once)
    made.clock = made.http._clock = clock or kit.clock
    return made


@contextlib.asynccontextmanager
async def at(*names, site=None, log=None, clock=None, **changes):
    """The connector at work, and the site it hears."""
    async with contextlib.AsyncExitStack() as stack:
        if site is None:
            site = await stack.enter_async_context(Site().running())
        for name in names or ("news",):
            site.entries.setdefault(name, [entry(1)])
        made = websub(site, *names, clock=clock, **changes)
        run = await stack.enter_async_context(running(made, log, clock=clock or kit.clock))
        yield site, run


@contextlib.asynccontextmanager
async def subscribed(*names, **more):
    """The same, once all feeds are subscribed to and what they list is published."""
    async with at(*names, **more) as (site, run):
        await until(lambda: len(site.subscriptions) == len(names or ("news",)), "it is subscribed")
        await until(lambda: run.log.mentions, "what the feed lists")
        await until(lambda: kept(run).count('"until"') == len(names or ("news",)), "the leases are kept")
        yield site, run


def kept(run):
    """The cursor that a restart goes on from."""
    found = run.log.checkpoints.get("example")
    return found.cursor if found is not None and found.cursor is not None else ""


def ids(run):
    return [mention.native_id.rpartition(":")[2] for mention in run.log.mentions]


# ----------------------------------------------------------------------------------------------------- subscribing


async def test_a_feed_that_names_a_hub_is_subscribed_to_and_what_the_hub_pushes_is_published():
    async with subscribed() as (site, run):
        (form,) = site.requests
        assert form["hub.mode"] == "subscribe"
        assert form["hub.topic"] == site.topic("news")
        assert form["hub.callback"].startswith(f"{run.connector.settings.address}/")
        assert form["hub.lease_seconds"] == "864000"
        assert 32 <= len(form["hub.secret"]) < 200
        assert site.answers == [(200, "challenge-1")]
        assert await site.distribute("news", site.body("news", [entry(2)])) == [200]
        assert ids(run) == ["1", "2"]
        assert {(one.source, one.connector) for one in run.log.mentions} == {("rss", "example")}
        assert run.count("earshot_webhook_requests_total", outcome="accepted") == 1


async def test_links_in_the_http_header_are_enough():
    site = Site()
    site.links_in_header = True
    async with site.running(), at(site=site):
        await until(lambda: site.subscriptions, "it is subscribed")
        assert site.requests[0]["hub.topic"] == site.topic("news")


async def test_a_feed_that_names_none_is_asked_for_and_nothing_is_asked_of_anybody_else():
    site = Site()
    site.names_hub = False
    async with site.running(), at(site=site, poll_interval=0.05, slowest_poll=0.05) as (_, run):
        await until(lambda: len(site.asked) > 3, "it is asked for again and again")
        assert site.requests == []
        assert ids(run) == ["1"]
        assert run.count("earshot_source_feeds", state="polled") == 1


async def test_a_hub_that_only_the_settings_name_is_asked_with_the_topic_of_the_settings():
    site = Site()
    site.names_hub = False
    async with site.running():
        feed = {"url": f"{site.url}/feed/news", "hub": f"{site.url}/hub", "topic": "https://videos.example.org/xml"}
        async with at(site=site, feeds=[feed]):
            await until(lambda: site.subscriptions, "it is subscribed")
            assert site.requests[0]["hub.topic"] == "https://videos.example.org/xml"


async def test_a_hub_that_moves_is_followed_with_the_whole_request():
    site = Site()
    site.moves = True
    async with site.running(), at(site=site):
        await until(lambda: site.subscriptions, "it is subscribed")
        assert len(site.requests) == 1
        assert site.requests[0]["hub.secret"]


@pytest.mark.parametrize("status", [400, 403, 422, 429, 500, 503])
async def test_a_hub_that_refuses_leaves_the_feed_to_be_asked_for(status):
    site = Site()
    site.statuses = [status]
    async with site.running(), at(site=site, poll_interval=0.05, slowest_poll=0.05) as (_, run):
        await until(lambda: len(site.asked) > 4, "it is asked for again and again")
        assert len(site.requests) == 1  # the hub is not asked in vain at each turn
        assert "refused" not in [state for state, _ in run.states]
        secret = site.requests[0]["hub.secret"]
        assert secret not in repr(run.states) + repr(run.lines.lines)


async def test_each_feed_has_an_address_and_a_secret_of_its_own():
    async with subscribed("news", "blog") as (site, run):
        assert len({form["hub.callback"] for form in site.requests}) == 2
        assert len({form["hub.secret"] for form in site.requests}) == 2
        site.entries["news"], site.entries["blog"] = [entry(5)], [entry(6)]
        (news,) = [form for form in site.requests if form["hub.topic"] == site.topic("news")]
        (blog,) = [form for form in site.requests if form["hub.topic"] == site.topic("blog")]
        crossed = {**blog, "hub.secret": news["hub.secret"]}
        assert (await site.push(blog["hub.callback"], crossed, site.body("blog")))[0] == 200
        assert "6" not in ids(run)
        assert await site.distribute("blog") == [200]
        assert ids(run)[-1] == "6"


# ----------------------------------------------------------------------------------------------------- intent


async def test_only_what_was_asked_for_is_confirmed():
    async with subscribed() as (site, run):
        callback, topic = site.requests[0]["hub.callback"], site.topic("news")
        right = {"hub.mode": "subscribe", "hub.topic": topic, "hub.challenge": "c<script>", "hub.lease_seconds": "60"}
        assert await site.call(callback, right) == (200, "c<script>")
        wrong = [
            {**right, "hub.topic": "https://other.example.org/"},
            {**right, "hub.mode": "unsubscribe"},
            {**right, "hub.mode": "publish"},
            {**right, "hub.challenge": ""},
            {**right, "hub.topic": ""},
            {},
        ]
        for query in wrong:
            assert (await site.call(callback, query))[0] == 404
        for address in (f"{run.connector.settings.address}/guessed", run.connector.settings.address):
            assert (await site.call(address, right))[0] == 404
        async with aiohttp.ClientSession() as session, session.get(callback, params=right) as answer:
            assert answer.content_type == "text/plain"


async def test_before_the_hub_was_asked_nothing_is_confirmed():
    made = kit.make(WebSub, kit.answering(kit.example(WebSub, "page").read_bytes()))
    await made.fetch(None)  # nobody finds us yet, so nobody is asked
    (one,) = made._book
    assert one.asked is None
    query = {"hub.mode": "subscribe", "hub.topic": one.topic, "hub.challenge": "x", "hub.lease_seconds": "60"}
    assert made._book.challenge(made._book.form(one)["hub.callback"].rpartition("/")[2], query, NOW) is None


async def test_a_hub_that_denies_is_left_alone_for_a_day_and_the_feed_asked_for():
    site, clock = Site(), Clock()
    site.denies = True
    async with site.running(), at(site=site, clock=clock, poll_interval=0.05, slowest_poll=0.05) as (_, run):
        await until(lambda: site.answers, "it has denied")
        assert site.answers == [(200, "")]
        count = len(site.asked)
        await until(lambda: len(site.asked) > count + 2, "it is asked for again and again")
        clock.on(hours=23)
        await until(lambda: run.count("earshot_source_feeds", state="polled") == 1, "it is counted so")
        count = len(site.asked)
        await until(lambda: len(site.asked) > count + 1, "and again")
        assert len(site.requests) == 1
        site.denies = False
        clock.on(hours=2)
        await until(lambda: site.subscriptions, "it is subscribed a day later")


async def test_a_denial_takes_a_lease_away():
    async with subscribed() as (site, run):
        await until(lambda: run.connector._book.is_live(f"{site.url}/feed/news", NOW), "the lease lives")
        query = {"hub.mode": "denied", "hub.topic": site.topic("news")}
        assert (await site.call(site.requests[0]["hub.callback"], query))[0] == 200
        assert not run.connector._book.is_live(f"{site.url}/feed/news", NOW)


# ----------------------------------------------------------------------------------------------------- distribution


@pytest.mark.parametrize("method", ["sha1", "sha256", "sha384", "sha512"])
async def test_every_registered_way_to_sign_is_known(method):
    async with subscribed() as (site, run):
        site.method = method
        assert await site.distribute("news", site.body("news", [entry(2)])) == [200]
        assert ids(run)[-1] == "2"


async def test_a_wrong_signature_or_none_is_answered_as_a_right_one_and_nothing_of_it_kept():
    async with subscribed() as (site, run):
        ((_, callback), form) = next(iter(site.subscriptions.items()))
        body = site.body("news", [entry(2)])
        answers = [
            await site.push(callback, form, body, sign=False),
            await site.push(callback, form, body, secret="another secret"),
            await site.push(callback, form, body),
        ]
        shown = [(status, text, sorted(headers)) for status, text, headers in answers]
        assert shown[0] == shown[1] == shown[2]
        assert ids(run) == ["1", "2"]
        assert run.count("earshot_webhook_requests_total", outcome="unsigned") == 2


@pytest.mark.parametrize(
    "header",
    ["", "sha256", "sha256=", "=", "md5={md5}", "sha256={sha1}", "sha1={sha256}", "sha256=ü", "SHA256 = {sha256}x"],
)
def test_what_is_no_signature_is_none(header):
    marks = {name: hmac.new(b"key", b"body", name).hexdigest() for name in ("md5", "sha1", "sha256")}
    assert not is_signed(header.format(**marks), b"body", "key")
    assert is_signed(f" SHA256={marks['sha256'].upper()} ", b"body", "key")


async def test_what_comes_by_both_ways_and_again_is_one_mention_also_after_a_restart():
    log, clock = MemoryLog(), Clock()
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site().running())
        port = free_port()
        async with subscribed(site=site, log=log, port=port, clock=clock) as (_, run):
            site.entries["news"].append(entry(2, minute=1))
            for _ in range(3):
                assert await site.distribute("news") == [200]
            clock.on(hours=7)
        for _ in range(2):
            async with at(site=site, log=log, port=port, clock=clock) as (_, run):
                count = len(site.asked)
                await until(lambda: run.states and run.states[-1][0] == "listening", "it listens")
                await until(lambda count=count: len(site.asked) > count, "it is asked for")
                assert await site.distribute("news") == [200]
                assert await site.distribute("news", site.body("news", [entry(2, minute=1)])) == [200]
        assert [(one.native_id[-1], one.revision) for one in log.mentions] == [("1", 0), ("2", 0)]
        assert len(site.requests) == 1  # the lease is known after a restart
        assert {mention.id for mention in log.mentions} == {
            mention.id for mention in Rss.parse(site.body("news"), kit.NOW)
        }


async def test_an_edit_that_overtakes_the_text_is_one_revision_and_the_text_another():
    async with subscribed() as (site, run):
        edited = entry(2, updated="2026-11-20T11:00:00Z")
        for one in (edited, entry(2), edited):
            assert await site.distribute("news", site.body("news", [one])) == [200]
        assert [(one.native_id[-1], one.revision > 0) for one in run.log.mentions[1:]] == [("2", True), ("2", False)]


async def test_several_entries_at_once_come_oldest_first():
    async with subscribed() as (site, run):
        batch = [entry(number, minute=number) for number in (9, 7, 8)]
        assert await site.distribute("news", site.body("news", batch)) == [200]
        assert ids(run)[1:] == ["7", "8", "9"]


async def test_a_push_that_is_no_feed_makes_us_look():
    async with subscribed() as (site, run):
        site.entries["news"].append(entry(2, minute=1))
        assert await site.distribute("news", b"something is new") == [200]
        assert ids(run) == ["1", "2"]
        site.feed_status = 403
        assert await site.distribute("news", b"something is new again") == [503]
        assert run.count("earshot_webhook_requests_total", outcome="failed") == 0


async def test_a_body_that_is_too_large_is_not_read():
    async with subscribed(max_body=1_000) as (site, run):
        assert await site.distribute("news", b"<feed>" + b" " * 2_000) == [413]
        assert ids(run) == ["1"]


async def test_while_kafka_is_away_hubs_are_asked_to_come_again():
    async with subscribed() as (site, run):
        run.log.fail = [BrokerUnavailableError("Kafka is away")]
        body = site.body("news", [entry(2)])
        assert await site.distribute("news", body) == [503]
        await until(lambda: run.states[-1][0] == "listening", "it is back")
        assert await site.distribute("news", body) == [200]
        assert ids(run) == ["1", "2"]


async def test_a_page_that_kafka_did_not_take_is_asked_for_again_at_once():
    log = MemoryLog()
    log.fail = [BrokerUnavailableError("Kafka is away")]
    async with at(log=log) as (site, run):
        await until(lambda: ids(run) == ["1"], "it is published after all")
        assert [mark for _, mark in site.asked] == [None, None]


# ----------------------------------------------------------------------------------------------------- leases


async def turned(made, cursor):
    """A turn of the runner, without it: the cursor after it."""
    return (await made.fetch(cursor)).cursor


@contextlib.asynccontextmanager
async def by_hand(site, clock, **changes):
    """The connector listening, and asked when a test says so."""
    made = websub(site, clock=clock, **changes)
    addresses, task = [], None

    async def publish(page):
        await asyncio.sleep(0)

    task = asyncio.create_task(made.serve(publish, addresses.append))
    await until(lambda: addresses, "it listens")
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await asyncio.sleep(0)


async def test_a_lease_is_renewed_before_it_ends_and_the_feed_asked_for_seldom_until_then():
    site, clock = Site(), Clock()
    site.lease = 10 * 3600
    site.entries["news"] = [entry(1)]
    async with site.running(), by_hand(site, clock) as made:
        cursor = await turned(made, None)
        await until(lambda: made._book.is_live(f"{site.url}/feed/news", NOW), "the lease lives")
        assert 60 >= made.due_in(clock()) > 59
        for _ in range(5 * 60):  # five hours of looking every minute
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        assert len(site.asked) == 1
        for _ in range(3 * 60):
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        assert len(site.asked) == 2  # once in six hours, more or less
        assert len(site.requests) == 1
        clock.on(hours=1, minutes=1)
        cursor = await turned(made, cursor)
        assert len(site.requests) == 2  # an hour before its end, after a look at the feed
        assert len(site.asked) == 3
        assert site.requests[1]["hub.callback"] == site.requests[0]["hub.callback"]
        await until(lambda: len(site.answers) == 2, "the hub makes sure again")
        (one,) = made._book
        assert one.until == pytest.approx(clock().timestamp() + 10 * 3600)


async def test_when_a_lease_ends_unrenewed_the_feed_is_asked_for_as_any_other():
    site, clock = Site(), Clock()
    site.lease = 3600
    site.entries["news"] = [entry(1)]
    async with site.running(), by_hand(site, clock) as made:
        cursor = await turned(made, None)
        await until(lambda: made._book.is_live(f"{site.url}/feed/news", NOW), "the lease lives")
        site.verifies = False
        count = len(site.asked)
        for _ in range(53):
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        assert len(site.asked) == count
        for _ in range(60):
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        assert len(site.asked) >= count + 4
        assert not made._book.is_live(f"{site.url}/feed/news", clock().timestamp())
        assert 2 <= len(site.requests) <= 5  # ever more seldom
        site.verifies = True
        for _ in range(200):
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        await until(lambda: made._book.is_live(f"{site.url}/feed/news", clock().timestamp()), "it lives again")


async def test_a_hub_that_does_not_push_what_is_new_is_not_relied_on_until_it_does():
    site, clock = Site(), Clock()
    site.entries["news"] = [entry(1)]
    async with site.running(), by_hand(site, clock) as made:
        cursor = await turned(made, None)
        await until(lambda: made._book.is_live(f"{site.url}/feed/news", NOW), "the lease lives")
        site.entries["news"].append(entry(2))
        clock.on(hours=7)
        cursor = await turned(made, cursor)
        assert not made._feeds[f"{site.url}/feed/news"].is_trusted
        count = len(site.asked)
        for _ in range(20):
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        assert len(site.asked) >= count + 2
        assert await site.distribute("news", site.body("news", [entry(3)])) == [200]
        count = len(site.asked)
        for _ in range(60):
            clock.on(minutes=1)
            cursor = await turned(made, cursor)
        assert len(site.asked) == count


async def test_a_feed_that_changes_its_hub_is_unsubscribed_from_the_old_one():
    site, clock = Site(), Clock()
    site.entries["news"] = [entry(1)]
    async with site.running(), by_hand(site, clock) as made:
        cursor = await turned(made, None)
        await until(lambda: site.subscriptions, "it is subscribed")
        ((_, callback), form) = next(iter(site.subscriptions.items()))
        site.names_hub = False
        site.entries["news"].append(entry(2))
        clock.on(hours=7)
        cursor = await turned(made, cursor)
        assert site.requests[-1]["hub.mode"] == "unsubscribe"
        assert "hub.secret" not in site.requests[-1]
        await until(lambda: not site.subscriptions, "the hub has forgotten us")
        assert (await site.push(callback, form, site.body("news")))[0] == 404
        assert list(made._book) == []


async def test_a_feed_that_is_taken_out_of_the_settings_is_unsubscribed_from_and_pushed_in_vain():
    site, clock = Site(), Clock()
    site.entries = {"news": [entry(1)], "blog": [entry(2)]}
    async with site.running():
        port = free_port()
        feeds = [f"{site.url}/feed/{name}" for name in ("news", "blog")]
        async with by_hand(site, clock, port=port, feeds=feeds) as made:
            cursor = await turned(made, await turned(made, None))
            await until(lambda: len(site.subscriptions) == 2, "both are subscribed")
            cursor = await turned(made, cursor)
        site.verifies = False
        async with by_hand(site, clock, port=port, feeds=feeds[:1]) as made:
            made.resume(cursor)
            assert await site.distribute("blog") == [410]
            assert await site.distribute("news") == [200]
            cursor = await turned(made, cursor)
            assert site.requests[-1]["hub.mode"] == "unsubscribe"
            assert site.requests[-1]["hub.topic"] == site.topic("blog")
            for _ in range(10):
                clock.on(hours=1)
                cursor = await turned(made, cursor)
            assert sum(one["hub.mode"] == "unsubscribe" for one in site.requests) == subs.PARTINGS
            assert [one.feed for one in made._book] == feeds[:1]


@pytest.mark.parametrize(
    "change", [{"secret": SecretStr("another secret, long enough")}, {"address": "http://127.0.0.1:1/x"}]
)
async def test_what_hubs_cannot_find_any_more_is_not_taken_for_subscribed(change):
    site = Site()
    site.entries["news"] = [entry(1)]
    async with site.running():
        async with by_hand(site, Clock()) as made:
            cursor = await turned(made, await turned(made, None))
            await until(lambda: site.subscriptions, "it is subscribed")
            cursor = await turned(made, cursor)
        other = websub(site, **change)
        other.resume(cursor)
        assert list(other._book) == []


async def test_nothing_secret_is_in_the_cursor():
    async with subscribed() as (site, run):
        cursor = kept(run)
        form = site.requests[0]
        for secret in (SECRET, form["hub.secret"], form["hub.callback"].rpartition("/")[2]):
            assert secret not in cursor
        assert form["hub.topic"] in json.dumps(json.loads(cursor))


# ----------------------------------------------------------------------------------------------------- many feeds


async def test_one_feed_that_fails_stops_no_other_and_is_asked_ever_more_seldom():
    site = Site()
    site.entries["news"] = [entry(1)]
    async with site.running():
        feeds = [f"{site.url}/feed/news", f"{site.url}/nothing"]
        async with at("news", site=site, feeds=feeds) as (_, run):
            await until(lambda: ids(run) == ["1"], "the other is heard")
            await until(lambda: run.count("earshot_source_feeds", state="failing") == 1, "and the one counted")
            assert run.states[-1][0] == "listening"


async def test_when_no_feed_answers_the_source_says_so_and_is_back_when_one_does():
    site = Site()
    site.feed_status = 503
    async with site.running(), at(site=site) as (_, run):
        await until(lambda: "unreachable" in [state for state, _ in run.states], "it says so")
        site.feed_status = 200
        await until(lambda: run.states[-1][0] == "listening", "it is back")
        assert run.states[-1][1].endswith("/websub")


async def test_after_a_restart_hubs_are_let_in_although_the_feed_has_asked_to_wait():
    log, site = MemoryLog(), Site()
    async with site.running():
        port = free_port()
        async with subscribed(site=site, log=log, port=port):
            pass
        log.checkpoints["example"] = msgspec.structs.replace(
            log.checkpoints["example"], waits_until=kit.NOW + timedelta(hours=1)
        )
        count = len(site.asked)
        async with at(site=site, log=log, port=port) as (_, run):
            await until(lambda: "waiting" in [state for state, _ in run.states], "it waits")
            assert await site.distribute("news", site.body("news", [entry(2)])) == [200]
            assert ids(run) == ["1", "2"]
            assert run.waits[0] == 3600
            await until(lambda: len(site.asked) > count, "it is asked for afterwards")


async def test_a_port_that_is_taken_leaves_the_feeds_to_be_asked_for_and_hubs_alone(monkeypatch):
    from connectors import inbound

    monkeypatch.setattr(inbound, "PORT_PATIENCE", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with at(port=taken.getsockname()[1]) as (site, run):
            await until(lambda: ids(run) == ["1"], "the feed is heard")
            assert site.requests == []
            assert "refused" in [state for state, _ in run.states]


async def test_a_check_says_what_is_found_and_subscribes_to_nothing():
    async with Site().running() as site:
        site.entries["news"] = [entry(1)]
        said = await websub(site, feeds=[f"{site.url}/feed/news", f"{site.url}/nothing"]).check()
        assert "is free to listen at; it answers with 1 mentions" in said
        assert said.endswith("1 of 2 feeds name a hub; 1 do not answer")
        assert site.requests == []


# ----------------------------------------------------------------------------------------------------- decisions

FEED = "https://feeds.example.org/news.xml"


@pytest.mark.parametrize(
    ("header", "hubs", "topic"),
    [
        (
            '<https://h.example/>; rel="hub", <https://t.example/>; rel="self"',
            ("https://h.example/",),
            "https://t.example/",
        ),
        (
            "<https://h.example/>; rel=hub,<https://t.example/a,b;c>;rel=self",
            ("https://h.example/",),
            "https://t.example/a,b;c",
        ),
        ('</hub>; REL="hub alternate"; title="a, <b>; rel=self"', ("https://feeds.example.org/hub",), None),
        (
            '<https://h.example/>; rel="hub"' + ', <https://g.example/>; rel="hub"' * 3,
            ("https://h.example/", "https://g.example/"),
            None,
        ),
        ("<ftp://h.example/>; rel=hub", (), None),
        ("<https://h example/>; rel=hub", (), None),
        ("<http://[>; rel=hub", (), None),
        ("<>; rel=self", (), FEED),
        ("no link at all", (), None),
        ("<" * 5_000, (), None),
    ],
)
def test_the_http_header_names_hubs_and_topic(header, hubs, topic):
    assert announced({"link": header}, {}, FEED) == Announced(hubs, topic)


def test_the_header_counts_before_the_feed_and_each_stands_in_for_the_other():
    head = {"links": [{"rel": "hub", "href": "/in"}, {"rel": "self", "href": "in.xml"}, {"rel": "alternate"}]}
    assert announced({}, head, FEED) == Announced(("https://feeds.example.org/in",), "https://feeds.example.org/in.xml")
    assert announced({"link": "<https://h.example/>; rel=hub"}, head, FEED) == Announced(
        ("https://h.example/",), "https://feeds.example.org/in.xml"
    )


@pytest.mark.parametrize("hub", ["http://127.0.0.1/", "http://10.0.0.1/hub", "http://printer.local/", "http://[::1]/"])
def test_a_feed_out_there_cannot_send_us_into_our_own_network(hub):
    assert announced({"link": f"<{hub}>; rel=hub"}, {}, FEED).hubs == ()
    assert announced({"link": f"<{hub}>; rel=hub"}, {}, "http://10.0.0.2/feed").hubs == (hub,)


def test_an_rss_feed_names_its_hub_as_wordpress_does():
    from connectors.rss import entries

    body = (
        b'<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel><title>t</title>'
        b'<atom:link rel="self" href="https://blog.example/feed/" type="application/rss+xml"/>'
        b'<atom:link rel="hub" href="https://pubsubhubbub.appspot.com/"/><item><title>a</title></item></channel></rss>'
    )
    found = announced({}, entries.read(body).head, "https://blog.example/feed/")
    assert found == Announced(("https://pubsubhubbub.appspot.com/",), "https://blog.example/feed/")


def one(**more):
    return Subscription(FEED, "https://h.example/", FEED, **more)


def test_the_second_hub_is_asked_when_the_first_does_not_answer():
    first, second = one(), Subscription(FEED, "https://g.example/", FEED)
    assert subs.next_of([first, second], NOW) is first
    waiting = subs.asked(first, NOW)
    assert subs.next_of([waiting, second], NOW + 1) is waiting
    assert waiting.due_at(NOW + 1) == NOW + subs.PATIENCE
    assert subs.next_of([waiting, second], NOW + subs.PATIENCE) is second
    lives = Subscription(FEED, "https://g.example/", FEED, asked=NOW, since=NOW, until=NOW + DAY)
    assert subs.next_of([waiting, lives], NOW + 1) is lives
    assert subs.next_of([], NOW) is None


def test_a_hub_that_never_answers_is_asked_ever_more_seldom_and_once_a_day_in_the_end():
    found, now, waits = one(), NOW, []
    for _ in range(12):
        found = subs.asked(found, now)
        waits.append(found.due_at(now) - now)
        now = found.due_at(now)
    assert waits[:3] == [600, 1200, 2400]
    assert waits[-1] == DAY
    assert waits == sorted(waits)


@pytest.mark.parametrize(
    ("given", "lease"),
    [
        ("3600", 3600),
        ("", 5 * DAY),
        ("0", 5 * DAY),
        ("-5", 5 * DAY),
        ("soon", 5 * DAY),
        ("9" * 12, subs.LONGEST),
        ("9" * 40, 5 * DAY),
    ],
)
def test_whatever_a_hub_says_of_its_lease_is_a_lease(given, lease):
    query = {"hub.mode": "subscribe", "hub.topic": FEED, "hub.challenge": "x", "hub.lease_seconds": given}
    text, found = subs.answered(one(asked=NOW), query, NOW, 5 * DAY)
    assert (text, found.until - NOW) == ("x", lease)


@pytest.mark.parametrize(("lease", "before"), [(10 * DAY, DAY), (DAY, DAY / 10), (3600, 360), (300, 60)])
def test_a_lease_is_renewed_a_tenth_before_its_end_at_most_a_day_at_least_a_minute(lease, before):
    found = one(asked=NOW, since=NOW, until=NOW + lease)
    assert found.due_at(NOW) == found.until - before


@pytest.mark.parametrize("lease", [1, 30, 59])
def test_a_hub_that_grants_next_to_nothing_is_not_asked_more_often_than_once_a_minute(lease):
    found = one(asked=NOW, since=NOW, until=NOW + lease)
    assert found.due_at(NOW) >= NOW + 60
    assert found.due_at(NOW + lease) >= NOW + 60


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["feed", "hub", "topic", "asked", "since", "until", "again", "tries", "is_leaving"]),
                inner,
            )
        ),
    )
)
def test_whatever_a_cursor_holds_is_read_or_left(value):
    found = subs.read(value)
    assert found is None or subs.read(json.loads(json.dumps(subs.written(found)))) == found


@given(st.text(), st.text(), st.text(), st.text(min_size=1))
def test_addresses_and_secrets_are_the_same_each_time_and_differ_from_each_other(feed, hub, topic, secret):
    made = name_of(secret, feed, hub, topic), secret_of(secret, feed, hub, topic)
    assert made == (name_of(secret, feed, hub, topic), secret_of(secret, feed, hub, topic))
    assert made[0] != made[1][:32]
    assert name_of(secret, feed + "x", hub, topic) != made[0]
    assert (len(made[0]), len(made[1])) == (32, 43)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feeds": []}, r"feeds: Tuple should have at least 1"),
        ({"feeds": ["feeds.example.org"]}, "https://host/path"),
        ({"feeds": [{"url": FEED, "hub": "hub"}]}, "https://host/path"),
        ({"feeds": [FEED, {"url": FEED}]}, "twice"),
        ({"address": "listen.example.org"}, "write the address hubs are to call"),
        ({"address": "https://listen.example.org/?a=b"}, "write the address hubs are to call"),
        ({"host": "example.org"}, "write an address of this machine"),
        ({"lease": "5m"}, "lease"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_words(monkeypatch, change, said):
    monkeypatch.setenv("WEBSUB", SECRET)
    given = {"feeds": [FEED], "address": "https://listen.example.org/websub/", "secret": {"env": "WEBSUB"}}
    assert read_settings(WebSubSettings, "feeds", given).address == "https://listen.example.org/websub"
    with pytest.raises(ConfigError, match=said):
        read_settings(WebSubSettings, "feeds", {**given, **change})
    monkeypatch.setenv("WEBSUB", "tooshort")
    with pytest.raises(ConfigError, match="token_urlsafe") as raised:
        read_settings(WebSubSettings, "feeds", given)
    assert "tooshort" not in str(raised.value)


async def test_a_feed_that_is_no_feed_is_unavailable():
    with pytest.raises(SourceUnavailableError, match="no RSS or Atom feed"):
        await kit.make(WebSub, kit.answering(b"<html>hi</html>")).fetch(None)


# ----------------------------------------------------------------------------------------------------- anything

ANY_BODY = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        [
            b"<feed xmlns='http://www.w3.org/2005/Atom'>",
            b"<entry>",
            b"</entry>",
            b"<id>1</id>",
            b"<title>a</title>",
            b"<rss><channel>",
            b"<item>",
            b"</item>",
            b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
            b"&a;",
            b"\x00",
            b"&#xD800;",
            b"</feed>",
        ]
    ),
    max_size=12,
).map(b"".join)
ANY_HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "Content-Encoding", "Link", "X-Hub-Signature"]),
    st.sampled_from(["gzip", "br", "text/xml; charset=utf-7", "application/atom+xml", "sha1=", "sha256=00"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    max_size=4,
)
ANY_QUERY = st.dictionaries(
    st.sampled_from(["hub.mode", "hub.topic", "hub.challenge", "hub.lease_seconds", "hub.reason"]),
    st.sampled_from(["subscribe", "unsubscribe", "denied", FEED, "60", "-1"]) | st.text(max_size=20),
)


def test_no_body_no_header_and_no_question_makes_it_crash():
    made = kit.make(WebSub, kit.answering(kit.example(WebSub, "page").read_bytes()))
    with asyncio.Runner() as loop:
        stack = contextlib.AsyncExitStack()
        caller = loop.run(stack.enter_async_context(called(made)))

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(ANY_BODY, ANY_HEADERS, st.booleans(), st.booleans(), ANY_QUERY)
        def check(body, headers, is_known, is_right, query):
            _, proof, name = signed.pushed(made, body)
            sent = {**proof, **headers, **({"X-Hub-Signature": proof["X-Hub-Signature"]} if is_right else {})}
            status = loop.run(caller.post(body, sent, name if is_known else "guessed"))
            assert status in ((200, 400, 413) if is_known else (400, 404, 413))
            status, _, _ = loop.run(caller.get(name if is_known else "", **query))
            assert status in (200, 404)

        check()
        body, headers, name = signed.pushed(made, kit.example(WebSub, "page").read_bytes())
        assert loop.run(caller.post(body, headers, name)) == 200
        assert caller.run.count("earshot_webhook_requests_total", outcome="failed") == 0
        loop.run(stack.aclose())
