"""Messages of the Telegram channels and groups that a bot is in, sent to an address of ours.

Calls: https://core.telegram.org/bots/api#setwebhook. What a message becomes is the business of the source telegram.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from pydantic import Field, SecretStr

from connectors import reading
from connectors.base import Facts, Page, reveal
from connectors.inbound import Inbound, InboundSettings, NotAcceptedError, Path, Port, is_same
from connectors.telegram import messages

HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"


class TelegramWebhookSettings(InboundSettings):
    """Where to listen, and whom to believe."""

    secret: SecretStr
    """The secret that Telegram shows with every call: `secret_token` of setWebhook, A-Z, a-z, 0-9, _ and -."""
    chats: tuple[str, ...] = Field(default=(), max_length=500)
    """Names (without @) or ids of channels and groups to hear; none is all that the bot is in."""
    private: bool = False
    """Whether messages that people write to the bot, or to a business account it is connected to, are heard."""
    path: Path = "/telegram"
    port: Port = 9480


class TelegramWebhook(Inbound[TelegramWebhookSettings]):
    """There is no cursor: Telegram sends an update again until it is taken, and each has a number."""

    name = "telegram-webhook"
    sources = (messages.SOURCE,)
    settings_type = TelegramWebhookSettings
    facts = Facts(
        auth="a secret shared with Telegram",
        cursor="none: deliveries seen",
        changes="edits; deletions in business chats only",
        tested="requests over loopback, hand-written updates",
    )
    seen_limit: ClassVar[int] = 2_000
    rows_of = staticmethod(messages.rows_of)
    to_mention = staticmethod(messages.to_mention)

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:  # noqa: ARG002 - Telegram signs no time
        if not is_same(reveal(self.settings.secret) or "", headers.get(HEADER, "")):
            raise NotAcceptedError(f"{HEADER} is not the secret that was given to setWebhook", 401)
        try:
            update = reading.json_value(body)
            number = int(update["update_id"])
        except (ValueError, TypeError, KeyError):
            raise NotAcceptedError("the body is no update of Telegram's") from None
        rows = [row for row in messages.of_update(update) if messages.is_heard(row, self.settings)]
        return self.page(rows, None, delivery=f"update-{number}")
