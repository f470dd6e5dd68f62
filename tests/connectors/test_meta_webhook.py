"""The webhook of Meta: signed requests over loopback, the first call, what is only told by its number."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json

import aiohttp
import httpx
import pytest
from pydantic import SecretStr

from connectors.meta_webhook.connector import MetaWebhook, MetaWebhookSettings
from connectors.publisher import MemoryLog
from pipeline.contract.errors import BrokerUnavailableError
from pipeline.contract.events import State
from tests.connectors import graphs, kit
from tests.connectors.graphs import at
from tests.connectors.streams import running, until

PAGE, ACCOUNT = "100200300400500", "17840000000000001"
SECRET = "secret-of-the-app"


def webhook(answer=None, **changes):
    given = {"app_secret": SecretStr(SECRET), "verify_token": SecretStr("shake"), "port": 0, **changes}
    return kit.make(MetaWebhook, answer, given=MetaWebhookSettings(**given))


def signed(body, secret=SECRET):
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


class Meta:
    def __init__(self, run, session, url):
        self.run, self.session, self.url = run, session, url

    async def call(self, value, secret=SECRET):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        async with self.session.post(self.url, data=body, headers=signed(body, secret)) as answer:
            return answer.status

    async def meet(self, **query):
        async with self.session.get(
            self.url, params={name.replace("_", ".", 1): v for name, v in query.items()}
        ) as got:
            return got.status, await got.text()


@contextlib.asynccontextmanager
async def serving(made=None, log=None):
    async with running(made or webhook(), log) as run:
        await until(lambda: run.states and run.states[-1][0] == "listening", "it listens")
        async with aiohttp.ClientSession() as session:
            yield Meta(run, session, run.states[-1][1])


def told(*changes, kind="page", account=PAGE, field="feed"):
    entries = [{"field": field, "value": value} for value in changes]
    return {"object": kind, "entry": [{"id": account, "time": 1795164901, "changes": entries}]}


def comment(number=2, verb="add", **more):
    given = {"item": "comment", "comment_id": f"1_{number}", "post_id": f"{PAGE}_1", "verb": verb}
    return {**given, "created_time": 1795164000, "message": f"acme {number}", **more}


async def test_the_first_call_is_answered_to_who_knows_the_verify_token():
    async with serving() as meta:
        assert await meta.meet(hub_mode="subscribe", hub_verify_token="shake", hub_challenge="1158201444") == (
            200,
            "1158201444",
        )
        for wrong in ({"hub_verify_token": "other"}, {"hub_mode": "unsubscribe"}, {"hub_verify_token": "ü"}):
            query = {"hub_mode": "subscribe", "hub_verify_token": "shake", "hub_challenge": "x", **wrong}
            assert (await meta.meet(**query))[0] == 403


async def test_a_batch_of_all_three_is_published_in_order_and_a_repeated_call_once_also_after_a_restart():
    log, body = MemoryLog(), kit.example(MetaWebhook, "page").read_bytes()
    async with serving(log=log) as meta:
        assert await meta.call(body) == 200
        assert await meta.call(body) == 200
    async with serving(log=log) as meta:
        assert await meta.call(body) == 200
    assert [one.source for one in log.mentions] == ["facebook"] * 3 + ["instagram", "threads"]
    assert [one.state for one in log.mentions][:3] == [State.LIVE, State.EDITED, State.DELETED]


async def test_an_edit_that_arrives_before_its_text_keeps_its_revision():
    log = MemoryLog()
    async with serving(log=log) as meta:
        assert await meta.call(told(comment(verb="edited", message="later"))) == 200
        assert await meta.call(told(comment(message="first"))) == 200
    assert [(one.text, one.revision) for one in log.mentions] == [("later", 1795164901000), ("first", 0)]


async def test_a_call_that_is_signed_by_a_stranger_or_is_no_json_is_refused():
    async with serving() as meta:
        assert await meta.call(told(comment()), secret="wrong") == 401
        assert await meta.call(b"{") == 400
        assert (
            await meta.call({"object": "user", "entry": [{"changes": [{"field": "email", "value": {"id": "1"}}]}]})
            == 200
        )
        assert meta.run.log.mentions == []


async def test_the_apps_of_instagram_and_threads_sign_with_secrets_of_their_own():
    made = webhook(instagram_secret=SecretStr("of-instagram"), threads_secret=SecretStr("of-threads"))
    async with serving(made) as meta:
        for secret in ("of-instagram", "of-threads", SECRET):
            assert await meta.call(told(comment()), secret=secret) == 200
        assert await meta.call(told(comment()), secret="of-nobody") == 401


async def test_while_kafka_is_away_meta_is_asked_to_call_again():
    log = MemoryLog()
    log.fail = [BrokerUnavailableError("Kafka is away")]
    async with serving(log=log) as meta:
        assert await meta.call(told(comment())) == 503
        await until(lambda: not log.fail and meta.run.states[-1][0] == "listening", "it is back")
        assert await meta.call(told(comment())) == 200
    assert [one.native_id for one in log.mentions] == ["1_2"]


def asked(answers):
    """A Graph that answers by the last part of the path, and remembers."""
    seen = []

    def answer(request):
        seen.append(request)
        status, body = answers[request.url.path.rsplit("/", 1)[1]]
        return httpx.Response(status, json=body)

    return answer, seen


async def test_what_mentions_the_account_is_asked_for_by_its_number():
    inner = {"id": "9", "text": "@acme hello", "timestamp": at(60), "username": "kim", "media": {"id": "77"}}
    answer, seen = asked({ACCOUNT: (200, {"mentioned_comment": inner, "id": ACCOUNT})})
    log = MemoryLog()
    async with serving(webhook(answer, instagram_token=SecretStr("of-the-account")), log) as meta:
        change = told({"media_id": "77", "comment_id": "9"}, kind="instagram", account=ACCOUNT, field="mentions")
        assert await meta.call(change) == 200
    assert [(one.id, one.text, one.conversation) for one in log.mentions] == [
        ("instagram:9", "@acme hello", "instagram:77")
    ]
    assert seen[0].headers["authorization"] == "Bearer of-the-account"
    assert seen[0].url.params["fields"].startswith("mentioned_comment.comment_id(9){")
    assert "appsecret_proof" in seen[0].url.params


async def test_a_post_that_only_mentions_the_page_is_asked_for_by_its_number():
    post = {"id": "5_6", "message": "at @Acme", "created_time": at(60), "from": {"id": "5", "name": "Sam"}}
    answer, _ = asked({"5_6": (200, post)})
    log = MemoryLog()
    async with serving(webhook(answer, page_token=SecretStr("of-the-page")), log) as meta:
        change = told({"item": "post", "post_id": "5_6", "verb": "add", "sender_id": "5"}, field="mention")
        assert await meta.call(change) == 200
    assert [(one.id, one.text, one.author.name) for one in log.mentions] == [("facebook:5_6", "at @Acme", "Sam")]


async def test_what_meta_refuses_to_show_is_kept_for_a_person_and_the_rest_goes_on():
    answer, _ = asked({"5_6": (400, graphs.error(100, 33))})
    log = MemoryLog()
    async with serving(webhook(answer, page_token=SecretStr("of-the-page")), log) as meta:
        bare = {"item": "post", "post_id": "5_6", "verb": "add"}
        value = told(bare, field="mention")
        value["entry"].append({"id": PAGE, "time": 1795164901, "changes": [{"field": "feed", "value": comment()}]})
        assert await meta.call(value) == 200
    assert [one.native_id for one in log.mentions] == ["1_2"]
    [part] = log.rejected
    assert "no such object" in part.error


async def test_what_meta_cannot_show_for_now_is_told_again():
    answer, _ = asked({"5_6": (500, graphs.error(2))})
    async with serving(webhook(answer, page_token=SecretStr("of-the-page"))) as meta:
        bare = told({"item": "post", "post_id": "5_6", "verb": "add"}, field="mention")
        assert await meta.call(bare) == 503
        assert meta.run.log.rejected == []


@pytest.mark.parametrize("value", [{"object": "page"}, {"object": "page", "entry": {}}, [], {"values": []}, 7, None])
def test_a_call_without_changes_tells_nothing(value):
    assert list(MetaWebhook.parse(json.dumps(value).encode(), kit.NOW)) == []
