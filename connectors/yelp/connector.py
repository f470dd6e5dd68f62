"""Reviews of businesses on Yelp: the newest few that its Places API shows, in excerpts.

API: https://docs.developer.yelp.com/reference/v3_business_reviews (a key). Yelp's terms let nobody keep its content for
longer than a day, so what was published is withdrawn again after that, by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr

from connectors import auth
from connectors.answers import Answer
from connectors.base import Facts, Page, PollingConnector, PollingSettings, mention
from connectors.limits import Limit
from connectors.newest import in_order
from connectors.pacing import quota
from connectors.reading import from_plain, json_value, timestamp, whole
from connectors.rereading import DAY, Rereading
from connectors.showing import Showing
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, RateLimitedError
from pipeline.contract.events import Author, Kind, Mention, Rating

ZONE: Final = ZoneInfo("America/Los_Angeles")  # of the times in the answers, which name none
SLOWER: Final = 2.0  # seconds to wait when there were too many questions in one
Row = dict[str, Any]


class YelpSettings(PollingSettings):
    """Which businesses."""

    businesses: tuple[str, ...] = Field(min_length=1, max_length=500)
    """Ids or aliases of the businesses: the last part of their addresses, such as acme-kettles-portland."""
    key: SecretStr
    """API key of an app."""
    locale: str | None = Field(default=None, pattern=r"^[a-z]{2,3}_[A-Z]{2}$")
    """Language and country of the reviews, such as de_DE; Yelp's choice where none is given."""
    per_day: int = Field(default=300, ge=1)
    """Questions that the plan allows in a day of UTC."""
    poll_interval: Duration = Field(default=1800.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    base_url: str = "https://api.yelp.com"


class Yelp(PollingConnector[YelpSettings]):
    """The cursor is, for each business, the time of the newest review and how many there are."""

    name = "yelp"
    settings_type = YelpSettings
    facts = Facts(
        auth="API key",
        cursor="newest time and number of reviews of every business",
        changes="no edits; withdrawn after a day, as the terms ask",
        tested="a third-party spec (Prism), an API of our own",
    )
    seen_limit: ClassVar[int] = 2_000
    rereads = Rereading(ages=(), erase_after=DAY)

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.key)

    def limits(self) -> Sequence[Limit]:
        return (Limit(self.settings.per_day, per="day"),)

    def judge(self, answer: Answer) -> EarshotError | None:
        """Tell "too many at once" from "no more today": Yelp gives both the same status."""
        if answer.status != 429:
            return None
        try:
            code = json_value(answer.body)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None
        now = self.clock()
        if code == "TOO_MANY_REQUESTS_PER_SECOND":
            return RateLimitedError("Yelp asks for fewer questions a second", SLOWER)
        if code != "ACCESS_LIMIT_REACHED":
            return None
        told = quota(answer.headers, now)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        until = told.reset_at if told is not None and told.reset_at > now else midnight
        return RateLimitedError("Yelp answers no more today", (until - now).total_seconds())

    async def fetch(self, cursor: str | None) -> Page:
        showing, found = Showing(cursor), []
        for business in self.settings.businesses:
            rows, total = await self._reviews(business)
            times = [at.timestamp() for row in rows if (at := _written(row)) is not None]
            showing.take(business, times, total, self.clock())
            found += rows
        more = {"gap": showing.gap, "expected": showing.expected}
        return in_order(self.page(found, showing.written() or cursor, **more))

    async def _reviews(self, business: str) -> tuple[list[Row], int | None]:
        """Return the reviews that are shown, newest first, and how many there are."""
        locale = self.settings.locale
        params = {"sort_by": "newest", "limit": "20", **({"locale": locale} if locale else {})}
        url = f"{self.settings.base_url}/v3/businesses/{quote(business, safe='')}/reviews"
        body = (await self.http.get_json(url, params)).json
        rows = self.listed(body, "reviews")
        named = {"earshot_business": business, "earshot_language": locale and locale.split("_")[0]}
        return [{**row, **named} for row in rows], whole(body.get("total"))

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Read a review, of today's API or of its second version."""
        text = row.get("text") or row.get("excerpt")
        if not text or "id" not in row or "rating" not in row:
            return None
        user = row.get("user") or {}
        rich = from_plain(text)
        return mention(
            cls.name,
            row["id"],
            created_at=_written(row),
            now=now,
            text=rich.text,
            kind=Kind.REVIEW,
            language=row.get("earshot_language"),
            url=row.get("url"),
            author=Author(id=user.get("id"), name=user.get("name"), url=user.get("profile_url")) if user else None,
            rating=Rating(value=float(row["rating"]), best=5.0, worst=1.0),
            subject=row.get("earshot_business"),
            links=rich.links,
        )


def _written(row: Row) -> datetime | None:
    """Return when a review was written: Yelp's times are those of its own coast."""
    value = row.get("time_created")
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return timestamp(value)
        return (at.replace(tzinfo=ZONE) if at.tzinfo is None else at).astimezone(UTC)
    return timestamp(value)
