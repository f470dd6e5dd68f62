"""Telegram's calls over loopback: the secret, repeats, and the same mentions as when the bot asks."""

from __future__ import annotations

import json

import pytest

from connectors.telegram.connector import Telegram
from connectors.telegram_webhook.connector import TelegramWebhook
from tests.connectors import kit
from tests.connectors.called import called

SECRET = {"X-Telegram-Bot-Api-Secret-Token": kit.SECRET}
CHAT = {"id": -100123, "title": "Acme", "username": "acme", "type": "channel"}


def update(number=1, **more):
    message = {
        "message_id": number,
        "chat": CHAT,
        "date": int(kit.NOW.timestamp()) - 60,
        "text": f"acme {number}",
        **more,
    }
    return {"update_id": 500 + number, "channel_post": message}


async def test_an_update_with_the_secret_is_a_mention_and_its_repeat_is_none():
    async with called(kit.make(TelegramWebhook)) as caller:
        assert [await caller.post(update(), SECRET) for _ in range(3)] == [200, 200, 200]
        assert await caller.post(update(2), {"x-telegram-bot-api-secret-token": kit.SECRET}) == 200
        assert [one.id for one in caller.run.log.mentions] == ["telegram:-100123/1", "telegram:-100123/2"]
        assert {one.source for one in caller.run.log.mentions} == {"telegram"}


@pytest.mark.parametrize("headers", [{}, {"X-Telegram-Bot-Api-Secret-Token": "another"}, {"Authorization": kit.SECRET}])
async def test_without_the_secret_nothing_is_taken(headers):
    async with called(kit.make(TelegramWebhook)) as caller:
        assert await caller.post(update(), headers) == 401
        assert caller.run.log.mentions == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"7", b'{"update_id": "x"}', b"\xff"])
async def test_what_is_no_update_is_answered_so(body):
    async with called(kit.make(TelegramWebhook)) as caller:
        assert await caller.post(body, SECRET) == 400


async def test_other_chats_and_updates_without_words_are_taken_and_leave_nothing():
    async with called(kit.make(TelegramWebhook, chats=["other"])) as caller:
        assert await caller.post(update(), SECRET) == 200
        assert await caller.post({"update_id": 9, "message_reaction": {"chat": CHAT}}, SECRET) == 200
        assert caller.run.log.mentions == []


def test_both_ways_give_the_same_mentions():
    body = json.dumps(update()).encode()
    assert list(TelegramWebhook.parse(body, kit.NOW)) == list(Telegram.parse(body, kit.NOW))
