"""Messages of the Telegram channels and groups that a bot is in, by long polling.

API: https://core.telegram.org/bots/api#getupdates (a bot's token). Telegram forgets an update once one with a higher
number is asked for: that is done when the update is in Kafka, and not before.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from pydantic import Field, SecretStr

from connectors import reading
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings, reveal
from connectors.http import Answer, hidden
from connectors.telegram import messages
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError

LIMIT: Final = 100  # updates of one answer at the most
KEPT: Final = timedelta(hours=24)  # how long Telegram keeps updates
RENUMBERED: Final = timedelta(days=6)  # after a week without updates Telegram begins with another number
PUBLIC: Final = ("message", "edited_message", "channel_post", "edited_channel_post")
PRIVATE: Final = ("business_message", "edited_business_message", messages.DELETED)


class TelegramSettings(PollingSettings):
    """Which bot, and what of what it sees is heard."""

    token: SecretStr
    """The bot's token, from @BotFather."""
    chats: tuple[str, ...] = Field(default=(), max_length=500)
    """Names (without @) or ids of channels and groups to hear; none is all that the bot is in."""
    private: bool = False
    """Whether messages that people write to the bot, or to a business account it is connected to, are heard."""
    wait: Duration = Field(default=20.0, le=25)
    """How long Telegram may hold an answer back until there is something new."""
    poll_interval: Duration = Field(default=1.0, ge=0.05)
    slowest_poll: Duration = Field(default=5.0, ge=0.05)
    base_url: str = "https://api.telegram.org"


@dataclass(frozen=True, slots=True)
class Place:
    """The number of the next update (`next`), when the last one came (`at`), and the hour of the last answer."""

    next: int = 0
    at: str = ""
    asked: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """Return the place in a cursor; the beginning where it cannot be read."""
        try:
            given = json.loads(cursor or "{}")
            return cls(int(given.get("next") or 0), str(given.get("at") or ""), str(given.get("asked") or ""))
        except (ValueError, TypeError, AttributeError):
            return cls()

    def written(self) -> str:
        """Return the cursor."""
        return json.dumps(asdict(self))


class Telegram(PollingConnector[TelegramSettings]):
    """The cursor is a `Place`. The hour of the last answer shows what Telegram has thrown away since."""

    name = "telegram"
    settings_type = TelegramSettings
    facts = Facts(
        auth="token of a bot",
        cursor="number of the next update",
        changes="edits; deletions in business chats only",
        tested="an API of our own, hand-written updates",
    )
    seen_limit: ClassVar[int] = 1_000
    rows_of = staticmethod(messages.rows_of)
    to_mention = staticmethod(messages.to_mention)

    async def fetch(self, cursor: str | None) -> Page:
        place, now = Place.read(cursor), self.clock()
        updates = await self._updates(None if self._is_renumbered(place, now) else place.next)
        numbers = [update["update_id"] for update in updates if isinstance(update.get("update_id"), int)]
        there = replace(place, asked=now.replace(minute=0, second=0, microsecond=0).isoformat())
        if numbers:
            there = replace(there, next=max(numbers) + 1, at=now.isoformat())
        rows = [
            row for update in updates for row in messages.of_update(update) if messages.is_heard(row, self.settings)
        ]
        return self.page(rows, there.written(), is_full=len(updates) >= LIMIT, gap=_gap(place, now))

    def _is_renumbered(self, place: Place, now: datetime) -> bool:
        at = reading.timestamp(place.at)
        return not place.next or at is None or now - at >= RENUMBERED

    async def _updates(self, first: int | None) -> list[dict[str, Any]]:
        """Return the updates from number `first` on, or all that Telegram has, oldest first."""
        params = {
            "limit": str(LIMIT),
            "timeout": f"{self.settings.wait:.0f}",
            "allowed_updates": json.dumps([*PUBLIC, *(PRIVATE if self.settings.private else ())]),
            **({"offset": str(first)} if first is not None else {}),
        }
        token = reveal(self.settings.token) or ""
        try:
            answer = await self.http.get_json(
                f"{self.settings.base_url}/bot{token}/getUpdates", params, meaning=_meaning
            )
        except EarshotError as error:  # it names the path, and here the token is in it
            error.args = (hidden(str(error), [token]),)
            raise
        return self.listed(answer.json, "result", "updates")


def _gap(place: Place, now: datetime) -> Gap | None:
    """Return what Telegram has thrown away because nobody asked for it within a day."""
    asked = reading.timestamp(place.asked)
    if asked is None or now - asked <= KEPT + timedelta(hours=1):  # `asked` is a whole hour
        return None
    return Gap(asked, now - KEPT, "Telegram keeps updates for a day")


def _meaning(answer: Answer, now: datetime) -> EarshotError | None:  # noqa: ARG001 - as all are called
    """Return what an error of Telegram's means; None where its status says as much."""
    if answer.status < 400:
        return None
    try:
        body: Any = reading.json_value(answer.body[:20_000])
        said, wait = str(body.get("description")), (body.get("parameters") or {}).get("retry_after")
    except (ValueError, AttributeError):
        return None
    if answer.status == 429 and isinstance(wait, int | float):
        return RateLimitedError("Telegram asks to wait", float(wait))
    if answer.status == 409 and "webhook" in said:
        return SourceRefusedError(
            "this bot has a webhook, and Telegram sends there only — use the source telegram-webhook, or call "
            "deleteWebhook (see connectors/telegram/README.md)"
        )
    if answer.status == 409:  # also for a moment, when another process takes this source over
        return SourceUnavailableError("another program asks with the same bot's token: end it, or make another bot")
    if answer.status in (401, 404):
        return SourceRefusedError("Telegram does not know the bot's token — get it from @BotFather with /token")
    return None
