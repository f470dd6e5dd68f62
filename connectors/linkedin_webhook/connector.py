"""Comments on an organisation's posts on LinkedIn, and posts that name it, sent to an address of ours.

Calls: https://learn.microsoft.com/linkedin/shared/api-guide/webhook-validation. What a notification becomes is the
business of the source linkedin.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from pydantic import SecretStr

from connectors.base import Facts, Page, reveal
from connectors.inbound import Inbound, InboundSettings, NotAcceptedError, Path, Port, delivery_of, is_same, json_of
from connectors.linkedin import activities

HEADER: Final = "X-LI-Signature"
PREFIX: Final = "hmacsha256="


class LinkedInWebhookSettings(InboundSettings):
    """Where to listen, and whom to believe."""

    client_secret: SecretStr
    """The app's client secret: LinkedIn signs with it, and asks for signs made with it."""
    path: Path = "/linkedin"
    port: Port = 9482


class LinkedInWebhook(Inbound[LinkedInWebhookSettings]):
    """There is no cursor: LinkedIn calls again for eight hours; a call that was taken is known by its bytes."""

    name = "linkedin-webhook"
    sources = (activities.SOURCE,)
    settings_type = LinkedInWebhookSettings
    facts = Facts(
        auth="client secret of an app",
        cursor="none: deliveries seen",
        changes="both",
        tested="signed requests over loopback",
    )
    seen_limit: ClassVar[int] = 2_000
    to_mention = staticmethod(activities.to_mention)

    def challenge(self, query: Mapping[str, str]) -> str:
        code = query.get("challengeCode", "")
        if not code:
            raise NotAcceptedError("this address is for LinkedIn, which sends a challengeCode")
        return json.dumps({"challengeCode": code, "challengeResponse": self._signed(code.encode("utf-8", "replace"))})

    def _signed(self, data: bytes) -> str:
        return hmac.new((reveal(self.settings.client_secret) or "").encode(), data, hashlib.sha256).hexdigest()

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:  # noqa: ARG002 - LinkedIn signs no time
        given = headers.get(HEADER, "").removeprefix(PREFIX).lower()
        if not is_same(self._signed(PREFIX.encode() + body), given):
            raise NotAcceptedError(f"{HEADER} does not match: compare the app's client secret", 401)
        try:
            told = [one for one in json_of(body).get("notifications") or () if isinstance(one, dict)]
        except (AttributeError, TypeError):
            raise NotAcceptedError("the body holds no notifications") from None
        return self.page(told, None, delivery=delivery_of(body))
