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


def deliveries(kind: type[Connector[Any]]) -> tuple[list[tuple[bytes, Headers]], Connector[Any]]:
    """Return the requests that bring the example, and the connector that takes them.

    A source that calls us and is not here has no proof in these tests: add how it signs to SIGNERS.
    """
    if kind is GoogleBusinessPush:  # it is told of a review, and asks for it
        told = test_google.notified({"review": f"{test_google.LOCATION}/reviews/r1"})
        business = test_google.Business(test_google.review(1, 60))
        return [(told, {"authorization": f"Bearer {test_google.token()}"})], kit.make(kind, business)
    body = kit.example(kind, "page").read_bytes()
    bodies = [body]
    if kind.name in ("meta-webhook", "telegram-webhook"):  # the example holds several calls
        found = json.loads(body)
        bodies = [json.dumps(one).encode() for one in (found if isinstance(found, list) else found["result"])]
    return [(one, SIGNERS[kind.name](one)) for one in bodies], kit.make(kind)
