"""Signed webhooks after Standard Webhooks (https://www.standardwebhooks.com).

The `webhook-id` is the notification's key: the same in every attempt, so that a receiver can drop what it had. Several
secrets, separated by spaces, sign each notification with all of them: that is how a secret is changed without a gap.
The library decodes a secret without looking at it, so what is not base64 becomes another key than the receiver's; the
secret is checked here first.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC
from typing import Any, ClassVar, Final

import httpx
import msgspec
from pydantic import field_validator
from standardwebhooks import Webhook as Signer

from pipeline.contract.errors import ConfigError
from pipeline.contract.events import Alert
from pipeline.core.notifying import wording
from pipeline.core.notifying.values import Notification
from pipeline.notifiers.base import Clock, Notifier, utc_now
from pipeline.notifiers.http import Poster
from pipeline.notifiers.settings import HttpSettings, SecretValue, http_address

PREFIX: Final = "whsec_"
KEY_BYTES: Final = (24, 64)  # Standard Webhooks: between 24 and 64 bytes
MAX_TEXT: Final = 8_000  # characters; Standard Webhooks asks for payloads below 20 kB
MAX_LISTED: Final = 20  # symptoms, terms, sources


class WebhookSettings(HttpSettings):
    """Settings of a webhook."""

    url: str | SecretValue
    """Where to post to. `{env: NAME}` when the address itself is a secret."""
    secret: SecretValue
    """What notifications are signed with: whsec_ and base64. Two, separated by a space, while one replaces the other."""

    @field_validator("url", mode="before")
    @classmethod
    def _url(cls, url: object) -> object:
        return http_address(url) if isinstance(url, str) else url


class Webhook(Notifier[WebhookSettings]):
    """Tells a program of yours."""

    kind: ClassVar[str] = "webhook"
    settings_type: ClassVar[type[WebhookSettings]] = WebhookSettings

    def __init__(
        self,
        name: str,
        settings: WebhookSettings,
        *,
        clock: Clock = utc_now,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(name, settings, clock=clock)
        try:
            given = settings.url
            self._url = given if isinstance(given, str) else http_address(given.get_secret_value())
        except ValueError as error:
            raise ConfigError(f"notifiers.{name}.url: {error}") from None
        self._signers = [Signer(key) for key in keys_in(settings.secret.get_secret_value(), name)]
        self._poster = Poster(name, settings, clock, transport)

    async def notify(self, notification: Notification) -> None:
        body = msgspec.json.encode(payload(notification))
        await self._poster.post(self._url, body, self.sign(notification.key, body))

    def sign(self, key: str, body: bytes) -> dict[str, str]:
        """Return the headers that name, date and sign this body."""
        now = self.clock().astimezone(UTC)
        text = body.decode()
        return {
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(key, now, text) for signer in self._signers),
        }

    async def close(self) -> None:
        await self._poster.close()


def keys_in(secret: str, name: str) -> list[bytes]:
    """Return the keys in a secret. Raises ConfigError, which never holds it."""
    keys = []
    for one in secret.split():
        text = one.removeprefix(PREFIX)
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(
                f"notifiers.{name}.secret: is not base64 after {PREFIX}; make one with: "
                f'echo "{PREFIX}$(openssl rand -base64 32)"'
            ) from None
        if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
            raise ConfigError(
                f"notifiers.{name}.secret: a key has {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes; make one with: "
                f'echo "{PREFIX}$(openssl rand -base64 32)"'
            )
        keys.append(key)
    if not keys:
        raise ConfigError(f"notifiers.{name}.secret: is empty; write the secret the receiver checks with")
    return keys


def payload(notification: Notification) -> dict[str, Any]:
    """Return what is posted. It depends on the notification alone, so that every attempt has the same body."""
    alert = notification.alert
    return {
        "type": f"alert.{notification.occasion.value}",
        "timestamp": alert.updated_at.astimezone(UTC),
        "data": {
            "key": notification.key,
            "title": wording.title(notification),
            "text": wording.cut(wording.body(notification), MAX_TEXT),
            "alert": harmless(alert),
        },
    }


def harmless(alert: Alert) -> Alert:
    """Return the alert within limits, with texts from elsewhere made harmless and only web addresses as addresses."""
    change = msgspec.structs.replace
    return change(
        alert,
        name=wording.one_line(alert.name),
        summary=wording.one_line(alert.summary, 500),
        description=wording.plain(alert.description, 4_000),
        symptoms=alert.symptoms[:MAX_LISTED],
        terms=tuple(wording.one_line(term, 100) for term in alert.terms[:MAX_LISTED]),
        sources={wording.one_line(name): count for name, count in list(alert.sources.items())[:MAX_LISTED]},
        top=tuple(
            change(one, id=wording.one_line(one.id), url=wording.address(one.url))
            for one in alert.top[: wording.MAX_TOP]
        ),
        runbook_url=wording.link(alert.runbook_url),
        dashboard_url=wording.address(alert.dashboard_url),
    )
