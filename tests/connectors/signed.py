"""The example of each source that calls us, as that source would bring it: with what proves that it is the source."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from connectors.base import Connector
from connectors.google_business_push.connector import GoogleBusinessPush
from connectors.webhook.signature import keys_of, sign
from connectors.websub.connector import WebSub
from connectors.websub.subscriptions import Subscription
from tests.connectors import kit, test_google

Headers = dict[str, str]
KEY = kit.SECRET.encode()


def _meta(body: bytes) -> Headers:
    return {"X-Hub-Signature-256": f"sha256={hmac.new(KEY, body, hashlib.sha256).hexdigest()}"}


def _x(body: bytes) -> Headers:
    mark = base64.b64encode(hmac.new(KEY, body, hashlib.sha256).digest()).decode()
    return {"x-twitter-webhooks-signature": f"sha256={mark}"}


def _linkedin(body: bytes) -> Headers:
    mark = hmac.new(KEY, b"hmacsha256=" + body, hashlib.sha256).hexdigest()
    return {"X-LI-Signature": f"hmacsha256={mark}"}


def _telegram(body: bytes) -> Headers:
    return {"X-Telegram-Bot-Api-Secret-Token": kit.SECRET}


def _standard(body: bytes) -> Headers:
    at = str(int(kit.NOW.timestamp()))
    mark = base64.b64encode(sign(keys_of(kit.SECRET)[0], "msg_1", at, body)).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": f"v1,{mark}"}


SIGNERS: dict[str, Callable[[bytes], Headers]] = {
    "meta-webhook": _meta,
    "x-webhook": _x,
    "linkedin-webhook": _linkedin,
    "telegram-webhook": _telegram,
    "webhook": _standard,
}


def deliveries(kind: type[Connector[Any]]) -> tuple[list[tuple[bytes, Headers, str]], Connector[Any]]:
    """Return the requests that bring the example, and the connector that takes them: bodies, headers, names.

    A name is what the address ends with, where each thing has an address of its own.

    A source that calls us and is not here has no proof in these tests: add how it signs to SIGNERS.
    """
    if kind is GoogleBusinessPush:  # it is told of a review, and asks for it
        told = test_google.notified({"review": f"{test_google.LOCATION}/reviews/r1"})
        business = test_google.Business(test_google.review(1, 60))
        return [(told, {"authorization": f"Bearer {test_google.token()}"}, "")], kit.make(kind, business)
    if kind is WebSub:  # it has asked a hub, and finds nothing new itself
        feed = {"url": "https://feeds.example.org/news.xml", "hub": "https://hub.example.org/"}
        made = kit.make(kind, kit.answering(kit.example(kind, "empty").read_bytes()), feeds=[feed])
        assert isinstance(made, WebSub)
        return [pushed(made, kit.example(kind, "page").read_bytes())], made
    body = kit.example(kind, "page").read_bytes()
    bodies = [body]
    if kind.name in ("meta-webhook", "telegram-webhook"):  # the example holds several calls
        found = json.loads(body)
        bodies = [json.dumps(one).encode() for one in (found if isinstance(found, list) else found["result"])]
    return [(one, SIGNERS[kind.name](one), "") for one in bodies], kit.make(kind)


def pushed(made: WebSub, body: bytes, method: str = "sha256") -> tuple[bytes, Headers, str]:
    """Return what a hub sends that has been asked for the first of the feeds: a body, headers, a name."""
    feed = made.settings.feeds[0].url
    one = Subscription(feed, "https://hub.example.org/", feed, asked=kit.NOW.timestamp())
    made._book.put(one)
    mark = hmac.new(made._book.secret(one).encode(), body, method).hexdigest()
    headers = {"X-Hub-Signature": f"{method}={mark}", "Content-Type": "application/atom+xml"}
    return body, headers, made._book.form(one)["hub.callback"].rpartition("/")[2]
