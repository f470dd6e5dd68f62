"""Posts of and about accounts on X, and posts that match a filtered stream, sent by X to an address of ours.

Calls: https://docs.x.com/x-api/webhooks/introduction. Account Activity sends statuses of version 1.1, X Activity and
the filtered stream send posts of version 2; what they become is the business of the source x.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import SecretStr

from connectors.base import Facts, Page, reveal
from connectors.inbound import Inbound, InboundSettings, NotAcceptedError, Path, Port, delivery_of, is_same, json_of
from connectors.x import posts, withdrawals
from connectors.x.connector import X

HEADER: Final = "x-twitter-webhooks-signature"


class XWebhookSettings(InboundSettings):
    """Where to listen, and whom to believe."""

    consumer_secret: SecretStr
    """The app's consumer secret (API secret key): X signs with it, and asks for signs made with it."""
    reposts: bool = False
    """Whether reposts without words are heard."""
    path: Path = "/x"
    port: Port = 9481


class XWebhook(Inbound[XWebhookSettings]):
    """There is no cursor: X calls again a few times; a call that was taken is known by its bytes."""

    name = "x-webhook"
    sources = (posts.SOURCE,)
    settings_type = XWebhookSettings
    facts = Facts(
        auth="consumer secret of an app",
        cursor="none: deliveries seen",
        changes="edits; deletions of the accounts subscribed to",
        tested="signed requests over loopback",
    )
    seen_limit: ClassVar[int] = 5_000
    parse = X.parse
    to_mention = X.to_mention

    def challenge(self, query: Mapping[str, str]) -> str:
        token = query.get("crc_token", "")
        if not token:
            raise NotAcceptedError("this address is for X, which sends a crc_token", 400)
        return json.dumps({"response_token": self._signed(token.encode("utf-8", "replace"))})

    def _signed(self, data: bytes) -> str:
        key = (reveal(self.settings.consumer_secret) or "").encode()
        return f"sha256={b64encode(hmac.digest(key, data, hashlib.sha256)).decode()}"

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:  # noqa: ARG002 - X signs no time
        if not is_same(self._signed(body), headers.get(HEADER, "")):
            raise NotAcceptedError(f"{HEADER} does not match: compare the app's consumer secret", 401)
        value = json_of(body)
        rows = [row for row in posts.rows_of([value], only=matched(value)) if self._is_heard(row)]
        return self.page(rows, None, delivery=delivery_of(body))

    def _is_heard(self, row: dict[str, Any]) -> bool:
        return self.settings.reposts or not (posts.reference(row, "retweeted") or row.get("retweeted_status"))


def matched(value: Any) -> set[int]:
    """Return the `id()` of the objects that a call is about: not of what they quote or repeat, nor of people."""
    if not isinstance(value, dict):
        return set()
    data = value.get("data")
    found = [data, *(data if isinstance(data, list) else ())]
    if isinstance(data, dict):
        found.append(data.get("payload"))
    for name in ("tweet_create_events", "tweet_edit_events", withdrawals.DELETE_EVENTS):
        found += value.get(name) or ()
    return {id(one) for one in found if isinstance(one, dict)}
