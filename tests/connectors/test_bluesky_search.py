"""Bluesky's search: sessions that are made once and renewed, walks by time, posts that are read again."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from connectors.account import Accounts
from connectors.backfill import Backfill, checkpoint_name
from connectors.bluesky.connector import Bluesky
from connectors.bluesky_search.connector import BlueskySearch
from connectors.http import Http, make_client
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, recordings

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
HOURS = timedelta(hours=2)  # that a token lives
SEARCH, GET = "/xrpc/app.bsky.feed.searchPosts", "/xrpc/app.bsky.feed.getPosts"
CREATE, REFRESH = "/xrpc/com.atproto.server.createSession", "/xrpc/com.atproto.server.refreshSession"


def iso(at):
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def post(number=0, *, at=None, seen=None, text=None):
    at = at or NOON + timedelta(seconds=number)
    return {
        "uri": f"at://did:plc:anouk/app.bsky.feed.post/r{number}",
        "cid": f"c{number}",
        "author": {"did": "did:plc:anouk", "handle": "anouk.example.org"},
        "record": {"text": text or f"acme {number}", "createdAt": iso(at), "langs": ["en"]},
        "indexedAt": iso(seen or at),
    }


class Pds:
    """An account's server: sessions, and a search that sorts by the earlier of said and seen, newest first."""

    def __init__(self, rows=(), *, knows_until=True, knows_cursor=True):
        self.rows = list(rows)
        self.knows_until, self.knows_cursor = knows_until, knows_cursor
        self.now = kit.NOW
        self.password = kit.SECRET
        self.asked = []
        self.sessions = 0
        self.access, self.refresh = {}, {}  # tokens, and until when they are good
        self.refusal = None

    def clock(self):
        return self.now

    def paths(self, *wanted):
        return [path for path, *_ in self.asked if path in wanted]

    def _session(self):
        self.sessions += 1
        ends = self.now + HOURS
        access = jwt.encode({"exp": int(ends.timestamp()), "jti": self.sessions}, "k" * 32, algorithm="HS256")
        self.access[access], self.refresh[f"refresh-{self.sessions}"] = ends, self.now + timedelta(days=60)
        names = {"did": "did:plc:us", "handle": "acme.example.org"}
        return httpx.Response(200, json={**names, "accessJwt": access, "refreshJwt": f"refresh-{self.sessions}"})

    def __call__(self, request):
        path, params = request.url.path, request.url.params
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append((path, dict(params), bearer))
        if self.refusal is not None and path in self.refusal[0]:
            return httpx.Response(self.refusal[1], json=self.refusal[2])
        if path == CREATE:
            if json.loads(request.content) == {"identifier": "acme.example.org", "password": self.password}:
                return self._session()
            return httpx.Response(401, json={"error": "AuthenticationRequired", "message": "Invalid identifier"})
        if path == REFRESH:
            if self.refresh.pop(bearer, self.now) > self.now:
                return self._session()
            return httpx.Response(400, json={"error": "ExpiredToken", "message": "Token has been revoked"})
        if self.access.get(bearer, self.now) <= self.now:
            return httpx.Response(400, json={"error": "ExpiredToken", "message": "Token has expired"})
        if path == GET:
            wanted = params.get_list("uris")
            return httpx.Response(200, json={"posts": [row for row in self.rows if row["uri"] in wanted]})
        return httpx.Response(200, json=self._found(params))

    def _found(self, params):
        def at(row):
            return min(row["record"]["createdAt"], row["indexedAt"])

        found = sorted(self.rows, key=at, reverse=True)
        if "until" in params and self.knows_until:
            found = [row for row in found if at(row) < params["until"]]
        start, limit = int(params.get("cursor", 0)), int(params["limit"])
        following = {"cursor": str(start + limit)} if self.knows_cursor and len(found) > start + limit else {}
        return {"posts": found[start : start + limit], **following}

    def connector(self, clock=None, **changes):
        settings, clock = kit.settings(BlueskySearch, **changes), clock or self.clock
        client = make_client("ops@example.org", httpx.MockTransport(self))
        http = Http(client, connector="example", clock=clock, secrets=[settings.password], wait=kit.no_time)
        return BlueskySearch("example", settings, http, clock)


async def walked(connector, cursor=None):
    pages = []
    while not pages or pages[-1].is_full:
        pages.append(await connector.fetch(pages[-1].cursor if pages else cursor))
        assert len(pages) < 50
    return pages


def uris(pages):
    return [mention.native_id for page in pages for mention in page.mentions]


# ----------------------------------------------------------------------------------------------------------- sessions


async def test_a_session_is_made_once_and_renewed_before_it_ends():
    pds = Pds([post(1)])
    connector = pds.connector()
    for _ in range(5):
        await connector.fetch(None)
    assert pds.paths(CREATE, REFRESH) == [CREATE]
    pds.now += HOURS - timedelta(seconds=30)  # still good, and about to end
    await connector.fetch(None)
    assert pds.paths(CREATE, REFRESH) == [CREATE, REFRESH]
    pds.now += timedelta(days=30)  # long away: the refresh token is good all the same
    await connector.fetch(None)
    assert pds.paths(CREATE, REFRESH) == [CREATE, REFRESH, REFRESH]
    assert all(answer[2] for answer in pds.asked if answer[0] == SEARCH)


async def test_many_questions_at_once_make_one_session_and_one_renewal():
    pds = Pds([post(1)])
    connectors = [pds.connector(queries=[f"acme {number}"]) for number in range(6)]
    accounts = Accounts()
    for one in connectors:
        one.http.account = accounts.shared(one.http.account)
    await asyncio.gather(*(one.fetch(None) for one in connectors))
    assert pds.paths(CREATE, REFRESH) == [CREATE]
    pds.now += HOURS
    await asyncio.gather(*(one.fetch(None) for one in connectors))
    assert pds.paths(CREATE, REFRESH) == [CREATE, REFRESH]


async def test_a_token_that_is_refused_before_its_end_is_renewed_once_under_whatever_status():
    pds = Pds([post(1)])
    connector = pds.connector()
    await connector.fetch(None)
    pds.access.clear()  # the server has forgotten them, and says so with 400
    assert len((await connector.fetch(None)).mentions) == 1
    assert pds.paths(CREATE, REFRESH) == [CREATE, REFRESH]


async def test_with_a_clock_that_is_hours_ahead_a_session_is_not_renewed_with_every_question():
    pds = Pds([post(1)])
    connector = pds.connector(clock=lambda: pds.now + timedelta(hours=5))
    for _ in range(5):
        await connector.fetch(None)
    assert pds.paths(CREATE, REFRESH) == [CREATE]
    pds.now += HOURS
    assert len((await connector.fetch(None)).mentions) == 1
    assert pds.paths(CREATE, REFRESH) == [CREATE, REFRESH]


async def test_a_refresh_token_that_is_no_longer_taken_is_replaced_by_a_new_session():
    pds = Pds([post(1)])
    connector = pds.connector()
    await connector.fetch(None)
    pds.refresh.clear()
    pds.now += HOURS
    assert len((await connector.fetch(None)).mentions) == 1
    assert pds.paths(CREATE, REFRESH) == [CREATE, REFRESH, CREATE]


async def test_a_revoked_app_password_stops_the_source_with_a_clear_state_and_is_not_asked_with_again():
    pds, log = Pds([post(1)]), MemoryLog()
    await kit.run(pds.connector(), 1, log=log)
    pds.password = "another"
    pds.refresh.clear()
    pds.now += HOURS
    pds.asked.clear()
    waits, states = await kit.run(pds.connector(), 3, log=log)
    assert states[-1][0] == "refused"
    assert "app password" in states[-1][1]
    assert "revoked" in states[-1][1]
    assert min(waits.waited) >= 800
    assert pds.paths(SEARCH) == []
    assert len(pds.paths(CREATE)) <= 3


async def test_a_session_outlasts_a_restart_sealed():
    pds, log = Pds([post(1)]), MemoryLog()
    for _ in range(2):
        connector = pds.connector()
        connector.http.account.keep(MemoryPublisher(connector.http.account.name, log))
        await connector.fetch(None)
    assert pds.paths(CREATE, REFRESH) == [CREATE]
    kept = repr(log.checkpoints)
    assert not any(token in kept for token in (*pds.access, *pds.refresh, kit.SECRET))


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, {"error": "AuthFactorTokenRequired"}, SourceRefusedError, "second factor"),
        (401, {"error": "AccountTakedown"}, SourceRefusedError, "taken down"),
        (400, {"error": "InvalidRequest"}, SourceRefusedError, "`handle` and `server`"),
        (404, "not xrpc", SourceRefusedError, "404"),
        (200, {"hello": 1}, SourceUnavailableError, "no session"),
        (429, {"error": "RateLimitExceeded"}, RateLimitedError, "429"),
        (503, {}, SourceUnavailableError, "503"),
    ],
)
async def test_a_session_that_is_not_given_says_why(status, body, error, words):
    pds = Pds()
    pds.refusal = ((CREATE,), status, body)
    with pytest.raises(error, match=words) as raised:
        await pds.connector().fetch(None)
    assert kit.SECRET not in str(raised.value)


async def test_the_password_goes_into_the_session_alone_and_tokens_into_headers():
    pds = Pds([post(1)])
    await pds.connector().fetch(None)
    (_, params, bearer) = next(asked for asked in pds.asked if asked[0] == SEARCH)
    assert params == {"q": "acme", "sort": "latest", "limit": "100"}
    assert bearer in pds.access
    assert all(bearer != kit.SECRET and kit.SECRET not in repr(params) for _, params, bearer in pds.asked)


# -------------------------------------------------------------------------------------------------------------- walks


async def test_a_night_is_walked_down_to_what_is_known_and_nothing_comes_twice():
    pds, log = Pds([post(number) for number in range(30)]), MemoryLog()
    await kit.run(pds.connector(), 1, log=log)
    pds.rows += [post(2_000 + number) for number in range(1_250)]
    await kit.run(pds.connector(overlap=60), 3, log=log)
    found = [mention.native_id for mention in log.mentions]
    assert sorted(found) == sorted(row["uri"] for row in pds.rows)
    assert len(set(found)) == len(found)


async def test_posts_of_one_instant_are_read_whole():
    rows = [post(number, at=NOON) for number in range(250)]
    pds = Pds([post(-9), *rows, post(900)])
    assert set(uris(await walked(pds.connector()))) == {row["uri"] for row in pds.rows}


async def test_a_post_that_says_a_time_long_past_does_not_end_a_walk():
    imported = post(5_000, at=NOON - timedelta(days=900), seen=NOON + timedelta(seconds=150))
    pds = Pds([post(number) for number in range(300)])

    def by_seen(params, ask=pds._found):
        """As if the network sorted by when a post was seen."""
        answer = ask(params)
        answer["posts"].insert(len(answer["posts"]) // 2, imported)
        return answer

    pds._found = by_seen
    assert {row["uri"] for row in pds.rows} <= set(uris(await walked(pds.connector())))


async def test_new_posts_while_a_walk_is_under_way_shift_nothing():
    pds, log = Pds([post(number) for number in range(2_500)]), MemoryLog()
    connector = pds.connector()
    page = await connector.fetch(None)
    assert page.is_full
    heard = set(uris([page]))
    pds.rows += [post(5_000 + number) for number in range(150)]
    heard |= set(uris(await walked(pds.connector(), page.cursor)))  # another process goes on
    assert {post(number)["uri"] for number in range(2_500)} <= heard
    assert log.mentions == []


async def test_a_server_that_does_not_know_until_is_walked_through_by_its_cursors():
    pds = Pds([post(number) for number in range(1_350)], knows_until=False)
    pages = await walked(pds.connector(lookback="2h"))
    assert set(uris(pages)) == {row["uri"] for row in pds.rows}
    assert {page.gap for page in pages} == {None}
    assert len(pds.paths(SEARCH)) == 14 + 1


async def test_a_server_that_knows_neither_until_nor_cursors_is_not_asked_on_and_the_rest_is_a_gap():
    pds = Pds([post(number) for number in range(300)], knows_until=False, knows_cursor=False)
    pages = await walked(pds.connector(lookback="2h"))
    assert len(pds.paths(SEARCH)) == 2
    assert pages[-1].gap.until == NOON + timedelta(seconds=200)


async def test_where_cursors_end_although_there_is_more_the_rest_is_a_gap():
    """The lexicon: a cursor may not allow to go through all that is found."""
    pds = Pds([post(number) for number in range(900)], knows_until=False)

    def shallow(params, ask=pds._found):
        answer = ask(params)
        if int(params.get("cursor", 0)) >= 400:
            answer.pop("cursor", None)
        return answer

    pds._found = shallow
    pages = await walked(pds.connector(lookback="2h"))
    assert len(uris(pages)) == 500
    assert pages[-1].gap.until == NOON + timedelta(seconds=400)


async def test_a_page_of_which_nothing_is_left_does_not_end_a_walk():
    """The network takes posts out of a page that it found: those of accounts that it has taken down since."""
    pds = Pds([post(number) for number in range(500)])

    def without_some(params, ask=pds._found):
        answer = ask(params)
        gone = {post(number)["uri"] for number in range(150, 350)}
        return {**answer, "posts": [row for row in answer["posts"] if row["uri"] not in gone]}

    pds._found = without_some
    found = uris(await walked(pds.connector(lookback="2h")))
    assert {post(number)["uri"] for number in (*range(150), *range(350, 500))} == set(found)


async def test_cursors_without_an_end_to_pages_without_posts_are_not_followed_for_ever():
    pds = Pds([post(number) for number in range(300)])

    def endless(params, ask=pds._found):
        if params.get("until", "9") > iso(NOON + timedelta(seconds=201)) and "cursor" not in params:
            return ask(params)
        return {"posts": [], "cursor": str(len(pds.asked))}

    pds._found = endless
    pages = await walked(pds.connector(lookback="2h"))
    assert len(uris(pages)) == 100
    assert len(pds.paths(SEARCH)) < 20
    assert pages[-1].gap.until == NOON + timedelta(seconds=200)


async def test_on_a_server_with_less_than_a_page_that_knows_neither_nothing_is_missed():
    pds = Pds([post(number) for number in range(30)], knows_until=False, knows_cursor=False)
    (page,) = await walked(pds.connector(lookback="2h"))
    assert (len(page.mentions), page.gap) == (30, None)


async def test_a_poll_without_news_is_one_question_when_the_page_reaches_back():
    pds = Pds([post(number * 10) for number in range(200)])
    pages = await walked(pds.connector(overlap=60))
    pds.asked.clear()
    await pds.connector(overlap=60).fetch(pages[-1].cursor)
    assert len(pds.paths(SEARCH)) == 1


async def test_the_past_is_read_from_the_time_asked_for():
    pds, log = Pds([post(number) for number in range(600)]), MemoryLog()
    connector, since, until = pds.connector(), NOON + timedelta(seconds=100), NOON + timedelta(seconds=450)
    name = checkpoint_name(connector, since, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=since, until=until, clock=kit.clock).run()
    assert sorted(mention.created_at for mention in log.mentions) == [
        NOON + timedelta(seconds=number) for number in range(100, 450)
    ]


async def test_a_language_is_asked_for_where_one_is_set():
    pds = Pds([post(1)])
    await pds.connector(language="de", handle="@acme.example.org").fetch(None)
    assert next(params for path, params, _ in pds.asked if path == SEARCH)["lang"] == "de"


async def test_posts_that_are_gone_are_absent_when_read_again():
    pds = Pds([post(1), post(2)])
    found = await pds.connector().reread([post(number)["uri"] for number in (1, 2, 3)])
    assert [mention.native_id for mention in found.mentions] == [post(1)["uri"], post(2)["uri"]]
    assert list(found.absent) == [post(3)["uri"]]


async def test_an_answer_without_posts_is_tried_again():
    with pytest.raises(SourceUnavailableError, match="no posts"):
        await kit.make(BlueskySearch, kit.answering(b'{"feed": []}')).fetch(None)


def test_a_found_post_is_the_same_mention_as_bluesky_hears():
    page = kit.example(BlueskySearch, "page").read_bytes()
    assert list(BlueskySearch.parse(page, kit.NOW)) == list(Bluesky.parse(page, kit.NOW))
    first = list(BlueskySearch.parse(page, kit.NOW))[-1]
    assert (first.author.handle, first.engagement.likes, first.source) == ("anouk.example.org", 5, "bluesky")


@pytest.mark.shared
def test_every_recorded_search_is_read(shared):
    count = 0
    for file in sorted((shared / "api" / "bluesky").rglob("*searchPosts*.json")):
        value = json.loads(file.read_bytes())
        body = value.get("body", value) if isinstance(value, dict) else value
        rows = body.get("posts") if isinstance(body, dict) else None
        if not rows:
            continue
        wanted = {row["uri"]: row["record"]["text"] for row in rows}
        found = recordings.read(BlueskySearch, json.dumps(body).encode())
        assert recordings.missing(wanted, found) == [], file.name
        count += len(wanted)
    assert count > 20
