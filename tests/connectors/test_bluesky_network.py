"""Bluesky against a real network: records, edits, deletions and accounts as a real PDS writes and sends them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect

from connectors.base import utc_now
from connectors.bluesky import frames
from connectors.bluesky.connector import Bluesky
from connectors.bluesky_search.connector import BlueskySearch
from connectors.http import Http, make_client
from connectors.publisher import MemoryLog
from pipeline.contract.errors import SourceRefusedError
from pipeline.contract.events import Kind, State
from tests.connectors import kit
from tests.connectors.streams import running

POST = "app.bsky.feed.post"
PROGRAM = "dev-env"  # the package's own; it is asked for nothing but where it lies


class Network:
    """The real PDS, asked over XRPC."""

    def __init__(self, pds, jetstream):
        self.pds = pds
        self.jetstream = jetstream

    async def ask(self, method, body=None, *, token=None):
        """The answer of a procedure of the server's."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.post(f"{self.pds}/xrpc/com.atproto.{method}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else {}

    async def account(self):
        name = f"u{uuid.uuid4().hex[:10]}"
        given = {"handle": f"{name}.test", "email": f"{name}@example.org", "password": "secret-of-the-test"}
        made = await self.ask("server.createAccount", given)
        return Account(self, made["did"], made["accessJwt"], given["password"], given["handle"])


class Account:
    """Somebody there."""

    def __init__(self, network, did, token, password, handle):
        self.network, self.did, self.token, self.password, self.handle = network, did, token, password, handle

    async def _ask(self, method, body=None):
        return await self.network.ask(method, body, token=self.token)

    async def post(self, text, **more):
        record = {"$type": POST, "text": text, "createdAt": datetime.now(UTC).isoformat(), "langs": ["en"], **more}
        made = await self._ask("repo.createRecord", {"repo": self.did, "collection": POST, "record": record})
        return {"uri": made["uri"], "cid": made["cid"]}

    async def edit(self, post, text):
        record = {"$type": POST, "text": text, "createdAt": datetime.now(UTC).isoformat(), "langs": ["en"]}
        named = {"repo": self.did, "collection": POST, "rkey": post["uri"].rpartition("/")[2]}
        await self._ask("repo.putRecord", {**named, "record": record})

    async def delete(self, post):
        named = {"repo": self.did, "collection": POST, "rkey": post["uri"].rpartition("/")[2]}
        await self._ask("repo.deleteRecord", named)

    async def deactivate(self):
        await self._ask("server.deactivateAccount", {})

    async def app_password(self):
        return (await self._ask("server.createAppPassword", {"name": "earshot"}))["password"]

    async def revoke(self):
        await self._ask("server.revokeAppPassword", {"name": "earshot"})


@pytest.fixture(scope="module")
def network():
    """A PDS and a PLC of our own, and their firehose in Jetstream's frames."""
    program, node = shutil.which(PROGRAM), shutil.which("node")
    if program is None or node is None:
        pytest.skip("a real Bluesky is not installed: npm install --global @atproto/dev-env")
    server = subprocess.Popen(
        [node, str(Path(__file__).with_name("atproto.cjs")), program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_ENV": "test", "LOG_ENABLED": "false"},
    )
    try:
        yield Network(**json.loads(server.stdout.readline()))
    finally:
        server.stdin.close()
        server.wait(30)
        server.stdout.close()


async def until(condition, what):
    try:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is waited for comes over the network
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


@contextlib.asynccontextmanager
async def listening(network, log, path="/subscribe"):
    endpoint = network.jetstream.replace("/subscribe", path)
    settings = kit.settings(Bluesky, terms=["kettle"], endpoints=[endpoint])
    async with make_client("ops@example.org") as client:
        http = Http(client, connector="example", clock=utc_now)
        made = Bluesky("example", settings, http, utc_now)
        async with running(made, log, clock=utc_now) as found:
            await until(lambda: any(state == "listening" for state, _ in found.states) or log.mentions, "it listens")
            yield found


async def told(network, post):
    """Wait until the firehose has told of a post."""
    async with asyncio.timeout(60), connect(f"{network.jetstream}?cursor=0") as stream:
        async for frame in stream:
            if post["uri"].rpartition("/")[2] in frame:
                return


def of(log, post):
    return [mention for mention in log.mentions if mention.native_id == post["uri"]]


VERSIONS = pytest.mark.parametrize("path", ["/subscribe", f"/xrpc/{frames.EVENTS}"], ids=["first", "second"])


@VERSIONS
async def test_what_a_real_pds_sends_is_heard_edited_answered_and_taken_away(network, path):
    log, anouk, sam = MemoryLog(), await network.account(), await network.account()
    first = await anouk.post("before anybody listens: the kettle leaks")
    await told(network, first)
    async with contextlib.AsyncExitStack() as stack:
        starting = asyncio.create_task(_marks(sam))  # a stream without posts says nothing
        await stack.enter_async_context(listening(network, log, path))
        starting.cancel()
        text = "Caf\u00e9 \U0001f621 the kettle at acme.example leaks #acme"
        start = len(text.partition("acme.example")[0].encode())
        link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://acme.example/kettle"}
        facet = {"index": {"byteStart": start, "byteEnd": start + 12}, "features": [link]}
        root = await anouk.post(text, facets=[facet])
        answer = await sam.post("my kettle too", reply={"root": root, "parent": root})
        other = await sam.post("nothing of ours")
        await until(lambda: of(log, root) and of(log, answer), "post and answer")
        (heard,), (reply,) = of(log, root), of(log, answer)
        assert (heard.text, heard.links, heard.author.id) == (text, ("https://acme.example/kettle",), anouk.did)
        assert (heard.state, heard.language) == (State.LIVE, "en")
        assert (reply.kind, reply.in_reply_to, reply.conversation) == (Kind.COMMENT, heard.id, heard.id)

        await anouk.edit(root, "the kettle leaks, and they have answered")
        await until(lambda: len(of(log, root)) == 2, "an edit")
        edited = of(log, root)[1]
        assert (edited.state, edited.text) == (State.EDITED, "the kettle leaks, and they have answered")
        assert edited.revision > heard.revision

        await sam.delete(answer)
        await until(lambda: len(of(log, answer)) == 2, "a deletion")
        assert (of(log, answer)[1].state, of(log, answer)[1].text) == (State.DELETED, "")

        await anouk.deactivate()
        await until(lambda: of(log, root)[-1].is_withdrawn, "an account that is switched off")
        gone = of(log, root)[-1]
        assert (gone.state, gone.text) == (State.UNAVAILABLE, "")
    assert of(log, other) == []
    assert of(log, first) == []


async def _marks(account):
    """Write what nobody asked for, again and again, until the stream is known to be open."""
    while True:
        await account.post("a mark")
        await asyncio.sleep(0.2)


async def test_after_a_restart_what_was_said_meanwhile_is_heard_and_nothing_twice(network):
    log, sam = MemoryLog(), await network.account()
    starting = asyncio.create_task(_marks(sam))
    async with listening(network, log):
        starting.cancel()
        one = await sam.post("kettle one")
        await until(lambda: of(log, one), "the first")
    two = await sam.post("kettle two")
    three = await sam.post("kettle three")
    await sam.delete(three)
    async with listening(network, log):
        await until(lambda: of(log, two), "what was said meanwhile")
        four = await sam.post("kettle four")
        await until(lambda: of(log, four), "what is said now")
    ids = [(mention.id, mention.revision, mention.state) for mention in log.mentions]
    assert len(set(ids)) == len(ids)
    assert [len(of(log, post)) for post in (one, two, four)] == [1, 1, 1]
    assert [mention.state for mention in of(log, three)][-1:] == [State.DELETED]


async def test_a_record_that_a_real_pds_keeps_is_read_as_it_is_shown(network):
    sam = await network.account()
    post = await sam.post("the kettle of the record")
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        asked = {"repo": sam.did, "collection": POST}
        answer = await client.get(f"{network.pds}/xrpc/com.atproto.repo.listRecords", params=asked)
    (found,) = Bluesky.parse(answer.content, kit.NOW)
    assert (found.native_id, found.text, found.author.id) == (post["uri"], "the kettle of the record", sam.did)


# ------------------------------------------------------------------------------------------------------------- search


@contextlib.asynccontextmanager
async def searching(network, account, password):
    """The search, asked through the real PDS with an app password."""
    given = {"server": network.pds, "handle": account.handle, "password": SecretStr(password), "queries": ["kettle"]}
    async with make_client("ops@example.org") as client:
        http = Http(client, connector="example", clock=utc_now, secrets=[given["password"]])
        yield BlueskySearch("example", kit.settings(BlueskySearch, **given), http, utc_now)


async def found(connector, wanted):
    """The mentions of a poll from the beginning, as soon as the index has so many."""
    async with asyncio.timeout(60):
        while len(mentions := (await connector.fetch(None)).mentions) < wanted:  # noqa: ASYNC110 - it is another program's
            await asyncio.sleep(0.05)
    return {mention.native_id: mention for mention in mentions}


async def test_a_real_pds_lets_an_app_password_search_until_it_is_revoked(network):
    sam = await network.account()
    word = uuid.uuid4().hex
    post, other = await sam.post(f"the kettle {word}"), await sam.post(f"no kettle of ours {word}")
    async with searching(network, sam, await sam.app_password()) as connector:
        mentions = await found(connector, 2)
        assert mentions[post["uri"]].text == f"the kettle {word}"
        assert mentions[post["uri"]].author.id == sam.did
        account, tokens = connector.http.account, connector.http.account._tokens
        first = tokens._token
        assert timedelta(minutes=30) < first.expires_at - utc_now() < timedelta(hours=3)

        account.spoil(first)  # it is about to end
        await found(connector, 2)
        second = tokens._token
        assert second.refresh != first.refresh

        tokens._token = replace(second, access=f"{second.access}x")  # one that the server does not know: 400
        await found(connector, 2)
        assert tokens._token.refresh != second.refresh
        assert tokens._token.access != f"{second.access}x"

        await sam.delete(other)
        async with asyncio.timeout(60):
            while not (again := await connector.reread([post["uri"], other["uri"]])).absent:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.05)
        assert list(again.absent) == [other["uri"]]
        assert [mention.native_id for mention in again.mentions] == [post["uri"]]

        await sam.revoke()
        account.spoil(tokens._token)
        with pytest.raises(SourceRefusedError, match="revoked: make a new one"):
            await connector.fetch(None)


async def test_a_real_pds_refuses_what_is_no_password_of_the_account(network):
    sam = await network.account()
    async with searching(network, sam, "abcd-abcd-abcd-abcd") as connector:
        with pytest.raises(SourceRefusedError, match=r"AuthenticationRequired.*handle or app password are wrong"):
            await connector.check()


async def test_a_walk_through_a_real_pds_loses_nothing_and_asks_by_time(network, monkeypatch):
    monkeypatch.setattr("connectors.bluesky_search.connector.LIMIT", 4)
    sam = await network.account()
    posts = [await sam.post(f"kettle number {number}") for number in range(15)]
    async with searching(network, sam, await sam.app_password()) as connector:
        await found(connector, len(posts))
        log = MemoryLog()
        await kit.run(connector, 3, log=log)
    ids = [mention.native_id for mention in log.mentions]
    assert {post["uri"] for post in posts} <= set(ids)
    assert len(ids) == len(set(ids))
