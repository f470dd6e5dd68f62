"""X's calls over loopback: its question, its signature, and what each of its products sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from connectors.x import ids
from connectors.x_webhook.connector import XWebhook
from pipeline.contract.events import State
from tests.connectors import kit
from tests.connectors.called import called

NATIVE = ids.id_at(kit.NOW - timedelta(minutes=5))
OTHER = ids.id_at(kit.NOW - timedelta(minutes=9))
POST = {"id": NATIVE, "text": "acme", "author_id": "7"}
STATUS = {"id_str": NATIVE, "text": "acme", "user": {"id_str": "7", "screen_name": "sam"}}


def signed(data: bytes, secret: str = kit.SECRET) -> str:
    return "sha256=" + base64.b64encode(hmac.new(secret.encode(), data, hashlib.sha256).digest()).decode()


async def send(caller, value, secret=kit.SECRET):
    data = json.dumps(value).encode()
    return await caller.post(data, {"x-twitter-webhooks-signature": signed(data, secret)})


async def test_the_question_is_answered_with_a_sign_made_with_the_secret():
    async with called(kit.make(XWebhook)) as caller:
        status, kind, text = await caller.get(crc_token="challenge ü", nonce="1")
        assert (status, kind) == (200, "application/json")
        assert json.loads(text) == {"response_token": signed("challenge ü".encode())}
        assert (await caller.get())[0] == 400


async def test_a_call_is_taken_once_and_only_with_its_sign():
    async with called(kit.make(XWebhook)) as caller:
        assert await send(caller, {"tweet_create_events": [STATUS]}, "another secret") == 401
        assert await caller.post({"tweet_create_events": [STATUS]}, {}) == 401
        assert caller.run.log.mentions == []
        for _ in range(2):
            assert await send(caller, {"tweet_create_events": [STATUS]}) == 200
        assert [(one.id, one.source) for one in caller.run.log.mentions] == [(f"x:{NATIVE}", "x")]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"for_user_id": "9", "tweet_create_events": [STATUS]}, [(NATIVE, State.LIVE)]),
        ({"data": POST, "matching_rules": [{"id": "1"}]}, [(NATIVE, State.LIVE)]),
        ({"data": POST, "includes": {"tweets": [{**POST, "id": OTHER}]}}, [(NATIVE, State.LIVE)]),
        ({"data": {"event_type": "post.create", "payload": POST}}, [(NATIVE, State.LIVE)]),
        ({"data": {"event_type": "post.delete", "payload": {"id": NATIVE}}}, [(NATIVE, State.DELETED)]),
        (
            {"tweet_delete_events": [{"status": {"id": NATIVE}, "timestamp_ms": "1795168800000"}]},
            [(NATIVE, State.DELETED)],
        ),
        ({"favorite_events": [{"id": "x", "favorited_status": STATUS}]}, []),
        ({"direct_message_events": [{"id": "5", "message_create": {"message_data": {"text": "hi"}}}]}, []),
        ({"tweet_create_events": [{**STATUS, "retweeted_status": STATUS}]}, []),
        ([1, 2], []),
    ],
)
async def test_what_each_product_sends_is_read_and_nothing_beside_it(value, wanted):
    async with called(kit.make(XWebhook)) as caller:
        assert await send(caller, value) == 200
        assert [(one.native_id, one.state) for one in caller.run.log.mentions] == wanted


async def test_reposts_are_heard_when_they_are_wanted():
    async with called(kit.make(XWebhook, reposts=True)) as caller:
        assert await send(caller, {"tweet_create_events": [{**STATUS, "retweeted_status": STATUS}]}) == 200
        assert len(caller.run.log.mentions) == 1


async def test_a_signed_body_that_is_no_json_is_answered_so():
    async with called(kit.make(XWebhook)) as caller:
        assert await caller.post(b"\xff{", {"x-twitter-webhooks-signature": signed(b"\xff{")}) == 400
