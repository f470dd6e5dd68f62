"""Telegram: an API of our own that forgets updates as theirs does, and what messages become."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors.publisher import MemoryLog
from connectors.telegram.connector import Place, Telegram
from connectors.telegram.messages import piece
from pipeline.contract.errors import (
    BrokerUnavailableError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings

GROUP = {"id": -1009876543210, "title": "Kettle people", "type": "supergroup"}
CHANNEL = {"id": -1001234567890, "title": "Kettle News", "username": "KettleNews", "type": "channel"}
PERSON = {"id": 77, "first_name": "Sam", "type": "private"}
SAM = {"id": 77, "is_bot": False, "first_name": "Sam", "last_name": "Tee", "username": "samtee"}
AT = int(kit.NOW.timestamp()) - 600


def message(number: int = 1, text: str = "acme", chat: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"message_id": number, "from": SAM, "chat": chat or GROUP, "date": AT, "text": text, **more}


class Api:
    """getUpdates: what is below `offset` is forgotten for good, and that is when a client has to have it."""

    def __init__(self, *updates: dict[str, Any]) -> None:
        self.updates = list(updates)
        self.asked: list[dict[str, str]] = []

    def add(self, number: int, **update: Any) -> None:
        self.updates.append({"update_id": number, **update})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/bot{kit.SECRET}/getUpdates"
        asked = dict(request.url.params)
        self.asked.append(asked)
        first = int(asked.get("offset", 0))
        self.updates = [update for update in self.updates if update["update_id"] >= first]
        return httpx.Response(200, json={"ok": True, "result": self.updates[: int(asked["limit"])]})

    def connector(self, **changes: Any) -> Telegram:
        found = kit.make(Telegram, self, **changes)
        assert isinstance(found, Telegram)
        return found


def only(row: Any) -> Any:
    (found,) = Telegram.parse(json.dumps(row).encode(), kit.NOW)
    return found


async def test_updates_are_given_up_when_they_are_in_kafka_and_not_before():
    api, log = Api(), MemoryLog()
    for number in range(250):
        api.add(500 + number, message=message(number, f"acme {number}"))
    log.fail = [BrokerUnavailableError("Kafka is away")]
    await kit.run(api.connector(), 1, log=log)
    assert len(api.updates) == 250
    await kit.run(api.connector(), 5, log=log)
    assert [one.text for one in log.mentions] == [f"acme {number}" for number in range(250)]
    assert api.updates == []
    assert [asked.get("offset") for asked in api.asked[:5]] == [None, None, "600", "700", "750"]


async def test_a_restart_goes_on_from_the_next_update():
    api, log = Api(), MemoryLog()
    api.add(5, channel_post=message(1, chat=CHANNEL))
    await kit.run(api.connector(), 1, log=log)
    api.add(6, channel_post=message(2, chat=CHANNEL))
    await kit.run(api.connector(), 1, log=log)
    assert [one.native_id for one in log.mentions] == [f"{CHANNEL['id']}/1", f"{CHANNEL['id']}/2"]


async def test_after_a_week_of_silence_telegram_may_count_from_anywhere():
    api = Api()
    api.add(12, message=message())
    old = Place(next=900_000, at=(kit.NOW - timedelta(days=7)).isoformat(), asked=kit.NOW.isoformat())
    page = await api.connector().fetch(old.written())
    assert "offset" not in api.asked[0]
    assert (len(page.mentions), Place.read(page.cursor).next) == (1, 13)
    recent = Place(next=900_000, at=(kit.NOW - timedelta(days=5)).isoformat(), asked=kit.NOW.isoformat())
    await api.connector().fetch(recent.written())
    assert api.asked[1]["offset"] == "900000"


async def test_what_telegram_has_thrown_away_is_told_as_a_gap():
    asked = (kit.NOW - timedelta(hours=30)).isoformat()
    page = await Api().connector().fetch(Place(next=7, at=asked, asked=asked).written())
    assert (page.gap.since, page.gap.until) == (kit.NOW - timedelta(hours=30), kit.NOW - timedelta(hours=24))
    again = await Api().connector().fetch(page.cursor)
    assert again.gap is None


async def test_only_the_chats_that_are_named_are_heard_and_private_ones_when_they_are_wanted():
    api = Api()
    api.add(1, channel_post=message(1, chat=CHANNEL))
    api.add(2, message=message(2))
    api.add(3, message=message(3, chat=PERSON))
    for chats, private, heard in (
        ([], False, {"1", "2"}),
        ([], True, {"1", "2", "3"}),
        (["@kettlenews"], False, {"1"}),
        ([str(GROUP["id"])], True, {"2", "3"}),
    ):
        page = await api.connector(chats=chats, private=private).fetch(None)
        assert {one.native_id.partition("/")[2] for one in page.mentions} == heard
    assert "business_message" not in api.asked[0]["allowed_updates"]
    assert "deleted_business_messages" in api.asked[1]["allowed_updates"]


@pytest.mark.parametrize(
    ("status", "said", "error", "words"),
    [
        (401, "Unauthorized", SourceRefusedError, "BotFather"),
        (404, "Not Found", SourceRefusedError, "BotFather"),
        (409, "Conflict: can't use getUpdates method while webhook is active", SourceRefusedError, "telegram-webhook"),
        (409, "Conflict: terminated by other getUpdates request", SourceUnavailableError, "another program"),
        (502, "Bad Gateway", SourceUnavailableError, "502"),
        (403, "Forbidden: bot was blocked", SourceRefusedError, "403"),
    ],
)
async def test_an_error_says_what_to_do_and_never_the_token(status, said, error, words):
    body = {"ok": False, "error_code": status, "description": said}
    with pytest.raises(error, match=words) as raised:
        await kit.make(Telegram, kit.answering(json.dumps(body).encode(), status)).fetch(None)
    assert kit.SECRET not in str(raised.value)


async def test_a_wait_in_the_body_is_kept_to():
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 35}}
    with pytest.raises(RateLimitedError) as raised:
        await kit.make(Telegram, kit.answering(json.dumps(body).encode(), 429)).fetch(None)
    assert raised.value.retry_after == 35


async def test_a_wait_for_its_turn_does_not_name_the_token():
    api, told = Api(), []
    connector = api.connector()
    connector.http.on_wait = lambda _, why: told.append(why)
    connector.http.hold(5, "api.telegram.org:/")
    await connector.fetch(None)
    connector.http.hold(3_600, "api.telegram.org:/")
    with pytest.raises(RateLimitedError) as raised:
        await connector.fetch(None)
    assert told == ["api.telegram.org/bot***/getUpdates: it has asked to wait"]
    assert kit.SECRET not in str(raised.value)


async def test_a_lost_connection_does_not_name_the_token():
    def fail(request):
        raise httpx.ConnectError("", request=request)

    with pytest.raises(SourceUnavailableError) as raised:
        await kit.make(Telegram, fail).fetch(None)
    assert "/bot***/getUpdates" in str(raised.value)


@pytest.mark.parametrize("broken", ["", "null", "[]", "{", '{"next": "x"}', '{"next": []}'])
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    api = Api()
    api.add(1, message=message())
    assert len((await api.connector().fetch(broken)).mentions) == 1


def entity(text: str, part: str, kind: str, **more: Any) -> dict[str, Any]:
    before = text[: text.index(part)].encode("utf-16-le")
    return {"type": kind, "offset": len(before) // 2, "length": len(part.encode("utf-16-le")) // 2, **more}


@pytest.mark.parametrize(
    "text", ["#Acme x.example here", "🫖🏴‍☠️ é #Acme 😡 x.example here", "𝒳 #Acme \U0001f9d1‍🚒 x.example here"]
)
def test_places_in_a_text_are_counted_in_units_of_utf_16(text):
    entities = [
        entity(text, "#Acme", "hashtag"),
        entity(text, "x.example", "url"),
        entity(text, "here", "text_link", url="https://behind.example/"),
        {"type": "url", "offset": 900, "length": 3},
    ]
    assert piece(text, entities[1]) == "x.example"
    found = only(message(text=text, entities=entities[:3]))
    assert (found.tags, found.links) == (("acme",), ("https://x.example", "https://behind.example/"))
    assert piece(text, entities[3]) == ""


def test_a_caption_and_a_poll_have_words_and_a_sticker_has_none():
    picture = message(caption="my kettle", photo=[{"file_id": "x"}])
    del picture["text"]
    assert only(picture).text == "my kettle"
    poll = {"question": "Which kettle?", "options": [{"text": "Acme", "voter_count": 2}, {"text": "None"}]}
    asked = {key: value for key, value in {**picture, "poll": poll}.items() if key != "caption"}
    assert only(asked).text == "Which kettle?\nAcme\nNone"
    sticker = {key: value for key, value in picture.items() if key != "caption"}
    assert list(Telegram.parse(json.dumps(sticker).encode(), kit.NOW)) == []


def test_an_edit_is_a_revision_of_the_same_message():
    found = only({"update_id": 1, "edited_channel_post": message(chat=CHANNEL, edit_date=AT + 60)})
    assert (found.state, found.revision) == (State.EDITED, (AT + 60) * 1000)
    assert found.id == f"telegram:{CHANNEL['id']}/1"


def test_a_reply_names_what_it_answers_and_its_thread():
    first = message(10)
    answer = message(12, reply_to_message=message(11, reply_to_message=None), message_thread_id=10)
    thread = f"telegram:{GROUP['id']}/10"
    assert only(first).conversation == thread
    found = [one for one in Telegram.parse(json.dumps(answer).encode(), kit.NOW) if one.native_id.endswith("/12")]
    assert (found[0].conversation, found[0].in_reply_to) == (thread, f"telegram:{GROUP['id']}/11")
    assert (only(first).kind, found[0].kind, only(message(chat=CHANNEL)).kind) == (
        Kind.MESSAGE,
        Kind.COMMENT,
        Kind.POST,
    )


@pytest.mark.parametrize(
    ("chat", "more", "url"),
    [
        (CHANNEL, {}, "https://t.me/KettleNews/1"),
        (GROUP, {}, "https://t.me/c/9876543210/1"),
        (
            {**GROUP, "is_forum": True},
            {"is_topic_message": True, "message_thread_id": 4},
            "https://t.me/c/9876543210/4/1",
        ),
        ({"id": -55, "title": "Small", "type": "group"}, {}, None),
        (PERSON, {}, None),
    ],
)
def test_a_message_has_the_address_its_chat_gives_it(chat, more, url):
    assert only(message(chat=chat, **more)).url == url


def test_who_speaks_for_a_chat_is_the_chat_and_not_the_bot_that_stands_in_for_it():
    stand_in = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
    spoken = only({**message(sender_chat=CHANNEL), "from": stand_in})
    assert (spoken.author.id, spoken.author.handle, spoken.author.name) == (
        str(CHANNEL["id"]),
        "KettleNews",
        "Kettle News",
    )
    person = only(message()).author
    assert (person.name, person.handle, person.url, person.bot) == ("Sam Tee", "samtee", "https://t.me/samtee", False)
    anonymous = message(chat=CHANNEL)
    del anonymous["from"]
    assert only(anonymous).author.name == "Kettle News"


def test_a_forward_is_said_by_who_forwards_it():
    origin = {"type": "channel", "date": AT - 9_000, "chat": CHANNEL, "message_id": 3}
    found = only(message(forward_origin=origin))
    assert (found.native_id, found.author.handle) == (f"{GROUP['id']}/1", "samtee")
    assert found.created_at.timestamp() == AT


def test_deletions_in_a_business_chat_withdraw_each_message():
    deleted = {"business_connection_id": "b", "chat": PERSON, "message_ids": [4, 5]}
    found = list(Telegram.parse(json.dumps({"update_id": 9, "deleted_business_messages": deleted}).encode(), kit.NOW))
    assert [(one.native_id, one.state) for one in found] == [("77/4", State.DELETED), ("77/5", State.DELETED)]


def test_a_message_that_the_bot_may_not_see_any_more_is_none():
    gone = {"message_id": 5, "chat": GROUP, "date": 0}
    found = list(Telegram.parse(json.dumps(message(text="pinned", pinned_message=gone)).encode(), kit.NOW))
    assert [one.text for one in found] == ["pinned"]


@pytest.mark.shared
def test_every_message_kept_as_an_example_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "telegram"):
        updates = json.loads(body)["result"]
        said = [next(value for value in update.values() if isinstance(value, dict)) for update in updates]
        found = recordings.read(Telegram, body)
        assert [(one.native_id, one.text) for one in found] == [
            (f"{one['chat']['id']}/{one['message_id']}", one["text"]) for one in said
        ], name
        assert all(one.url and one.author for one in found)
        count += len(found)
    assert count >= 2
