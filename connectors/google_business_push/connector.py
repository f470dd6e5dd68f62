"""Reviews of one's own locations at Google, as soon as Pub/Sub tells of them.

What is told is which review is new or has changed, not what it says: it is asked for. Notifications:
https://developers.google.com/my-business/content/notification-setup, pushed as
https://docs.cloud.google.com/pubsub/docs/push says.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import Field

from connectors import auth, google, one_by_one, reading
from connectors.base import Facts, Page
from connectors.google_business_profile import reviews
from connectors.inbound import Inbound, InboundSettings, NotAcceptedError, Path, Port
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError

KEYS_KEPT: Final = 3_600.0  # seconds; Google changes its keys every few days
KEYS_AGAIN: Final = 60.0  # seconds between two questions for a key that is not known

_REVIEW: Final = re.compile(r"^(accounts/[\w-]+/)?(locations/[\w-]+/reviews/[\w=-]+)$")
_ACCOUNT: Final = re.compile(r"^accounts/[\w-]+")


class GoogleBusinessPushSettings(InboundSettings, google.Consent):
    """Where to listen, and whom to believe."""

    service_account: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    """Mail address of the service account that the push subscription signs with."""
    audience: str = Field(min_length=1)
    """Audience of the push subscription: by default the address it pushes to."""
    path: Path = "/google"
    port: Port = 9480
    keys_url: str = google.KEYS
    """Where Google's keys are; another one in tests."""
    base_url: str = "https://mybusiness.googleapis.com"


class GoogleBusinessPush(Inbound[GoogleBusinessPushSettings]):
    """There is no cursor: Pub/Sub tells again what was not accepted, for up to 31 days."""

    name = "google-business-push"
    sources = (reviews.SOURCE,)
    settings_type = GoogleBusinessPushSettings
    facts = Facts(
        auth="OAuth of an owner or manager; a push subscription",
        cursor="none: deliveries seen",
        changes="edits; no deletions",
        tested="requests over loopback, tokens of our own",
    )
    seen_limit: ClassVar[int] = 2_000
    to_mention = staticmethod(reviews.to_mention)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._keys: Mapping[str, Any] = {}
        self._asked_at: float | None = None

    def auth(self) -> auth.Auth:
        return self.settings.auth()

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise NotAcceptedError("an OpenID Connect token of Pub/Sub is needed as Bearer", 401)
        try:
            keys = await self._keys_for(google.key_of(token), now.timestamp())
            wanted = {"audience": self.settings.audience, "email": self.settings.service_account}
            google.verify(token, keys, **wanted, now=now.timestamp())
        except google.NotProvenError as error:
            raise NotAcceptedError(str(error), 401) from None
        delivery, names = told(body)
        rows = [row for name in names if (row := await self._review(name)) is not None]
        return self.page(rows, None, delivery=delivery)

    async def _keys_for(self, name: str, now: float) -> Mapping[str, Any]:
        """Return Google's keys; they are asked for again when they are old, or this one is not among them."""
        age = None if self._asked_at is None else now - self._asked_at
        is_known = any(key.get("kid") == name for key in self._keys.get("keys", ()))
        if age is None or age > KEYS_KEPT or (not is_known and age > KEYS_AGAIN):
            self._asked_at = now
            found = (await self.http.get_json(self.settings.keys_url, anonymous=True)).json
            if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
                raise SourceUnavailableError(f"{self.instance}: Google's keys cannot be read")
            self._keys = {"keys": [key for key in found["keys"] if isinstance(key, dict)]}
        return self._keys

    async def _review(self, name: str) -> Any:
        """Return a review; None when it is gone already. What Google refuses for now is told again."""
        try:
            return (await self.http.get_json(f"{self.settings.base_url}/v4/{name}", meaning=one_by_one.gone)).json
        except one_by_one.GoneError:
            return None
        except SourceRefusedError as error:
            raise SourceUnavailableError(str(error)) from None


def told(body: bytes) -> tuple[str | None, list[str]]:
    """Return the id of a message of Pub/Sub, and the full names of the reviews it tells of.

    Google does not say what the fields of a notification are called: a review is known by the form of its name. Raises
    NotAcceptedError when it is no message.
    """
    try:
        message = reading.json_value(body)["message"]
        native = message.get("messageId") or message.get("message_id")
        data = reading.json_value(b64decode(message.get("data") or "e30="))
    except (ValueError, TypeError, AttributeError, KeyError):
        raise NotAcceptedError("this is no message of Pub/Sub") from None
    texts = [text for row in reading.walk(iter((data,))) for text in row.values() if isinstance(text, str)]
    account = next((found[0] for text in texts if (found := _ACCOUNT.match(text))), None)
    named = [found for text in texts if (found := _REVIEW.match(text))]
    full = [f"{one[1] or f'{account}/'}{one[2]}" for one in named if one[1] or account]
    return (f"pubsub-{native}" if native else None), list(dict.fromkeys(full))
