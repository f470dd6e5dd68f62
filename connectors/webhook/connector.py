"""An address to which other programs send mentions: signed as Standard Webhooks says, answered once Kafka has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from connectors.base import Facts, Page, reveal
from connectors.inbound import Inbound, InboundSettings, NotAcceptedError
from connectors.webhook.body import InvalidBodyError, mentions_of, rows_of
from connectors.webhook.signature import SignatureError, delivery_of, keys_of
from pipeline.config.model import Duration
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Mention


class WebhookSettings(InboundSettings):
    """Where to listen, and who may send."""

    secret: SecretStr
    """The secret senders sign with: whsec_ and base64."""
    previous_secret: SecretStr | None = None
    """The secret before, while senders change over; take it out afterwards."""
    source: str = Field(default="webhook", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    """The source of mentions that name none."""
    tolerance: Duration = Field(default=300.0, gt=0)
    """How far the time of signing may be from now."""

    @field_validator("secret", "previous_secret")
    @classmethod
    def _is_a_secret(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            try:
                keys_of(given.get_secret_value())
            except ValueError as error:
                advice = """python -c 'import base64, secrets; print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())'"""
                raise ValueError(f"{error}; make one with: {advice}") from None
        return given


class Webhook(Inbound[WebhookSettings]):
    """There is no cursor: what was delivered is remembered by the senders' `webhook-id` and the mentions' ids."""

    name = "webhook"
    settings_type = WebhookSettings
    facts = Facts(
        auth="a secret shared with the sender",
        cursor="none: deliveries seen",
        changes="as the sender says",
        tested="requests over loopback, the standard's own library",
    )
    seen_limit: ClassVar[int] = 2_000

    def _keys(self) -> list[bytes]:
        secrets = (reveal(self.settings.secret), reveal(self.settings.previous_secret))
        return [key for secret in secrets if secret for key in keys_of(secret)]

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:
        try:
            delivery = delivery_of(headers, body, self._keys(), now=now.timestamp(), tolerance=self.settings.tolerance)
        except SignatureError as error:
            raise NotAcceptedError(str(error), 401) from None
        try:
            mentions = mentions_of(body, now=now, source=self.settings.source)
            for one in mentions:
                self.keep(one, body)
            return Page(mentions, delivery=delivery)
        except InvalidBodyError as error:
            raise NotAcceptedError("nothing was taken", mistakes=error.mistakes, count=error.count) from None

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        for _, row in rows_of(body):
            found = cls.attempt(row, now)
            if isinstance(found, Mention):
                yield found

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        if isinstance(row, Exception):
            raise InvalidMessageError(str(row))
        return codec.mention_from_json(row, now=now, source=cls.name)
