"""Reviews of an app of one's own in Google Play.

API: https://developers.google.com/android-publisher/reply-to-reviews (a service account). It shows the reviews that
were written or changed in the last seven days, of those with words: what lies before is told as a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final
from urllib.parse import quote

from pydantic import Field, SecretStr

from connectors import auth, google, newest, reading
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings
from connectors.google_play import exported, reviews
from connectors.limits import Limit
from connectors.newest import Descent, Sheet
from pipeline.config.model import Duration
from pipeline.contract.events import Mention

SCOPE: Final = "https://www.googleapis.com/auth/androidpublisher"
REACH: Final = (
    7 * 86_400
)  # seconds: https://developers.google.com/android-publisher/reply-to-reviews#retrieving_a_set_of_reviews
LIMIT: Final = 100  # reviews of one answer at the most
ASKED: Final = "asked"  # the part of the cursor that says when the last walk ended; no package is called so
PER_HOUR: Final = 200  # requests for reviews of an app: https://developers.google.com/android-publisher/quotas


class GooglePlaySettings(PollingSettings):
    """Which app."""

    package: str = Field(pattern=f"^{reviews.PACKAGE.pattern}$")
    """Package name of the app, such as com.example.app."""
    key: SecretStr
    """Key of a service account, the whole JSON file."""
    overlap: Duration = 3_600.0
    """How far each poll reaches back again: the store shows some reviews late."""
    poll_interval: Duration = Field(default=600.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    base_url: str = "https://androidpublisher.googleapis.com"


class GooglePlay(PollingConnector[GooglePlaySettings]):
    """The cursor is the time of the newest writing or change of a review, the page of a walk, and when it ended."""

    name = "google-play"
    settings_type = GooglePlaySettings
    facts = Facts(
        auth="a service account",
        cursor="time of the newest review or change",
        changes="edits; no deletions",
        tested="Google's spec (Prism), answers made by hand",
    )
    seen_limit: ClassVar[int] = 5_000
    to_mention = staticmethod(reviews.to_mention)

    def auth(self) -> auth.Auth:
        return auth.ServiceAccount(self.settings.key, SCOPE)

    def limits(self) -> Sequence[Limit]:
        return (Limit(PER_HOUR, per=3600.0),)

    async def fetch(self, cursor: str | None) -> Page:
        now, known = self.clock(), newest.read(cursor)
        asked = {"now": now, "lookback": REACH, "overlap": self.settings.overlap}
        found = await google.descend([self.settings.package], cursor, self._reviews, **asked)
        last, is_begun = known.get(ASKED, Descent()), bool(known.get(self.settings.package, Descent()).at)
        kept = newest.read(found.cursor) | {ASKED: last if found.is_full else Descent(known=now.timestamp())}
        gap = found.gap if is_begun else found.gap or _passed(last.known, now)
        return newest.in_order(self.page(found.rows, newest.written(kept), is_full=found.is_full, gap=gap))

    async def _reviews(self, package: str, token: str | None) -> Sheet:
        """Return a page of the app's reviews, the last changed first."""
        path = f"androidpublisher/v3/applications/{quote(package)}/reviews"
        params = {"maxResults": str(LIMIT), **({"token": token} if token else {})}
        body = (await self.http.get_json(f"{self.settings.base_url}/{path}", params)).json
        rows = ({**row, "earshot_app": package} for row in google.rows_of(body, self.instance))
        after = body.get("tokenPagination")
        following = after.get("nextPageToken") if isinstance(after, dict) else None
        return Sheet([(reviews.time_of(row), row) for row in rows], str(following) if following else None)

    async def cursor_at(self, since: datetime) -> str | None:
        return newest.cursor_at([self.settings.package, ASKED], since)

    def time_of(self, cursor: str | None) -> datetime | None:
        return newest.time_of(newest.written({part: one for part, one in newest.read(cursor).items() if part != ASKED}))

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        rows = exported.rows(body) if exported.is_table(body) else reading.walk(reading.documents(body))
        return cls.unique(cls.attempt(row, now) for row in rows)


def _passed(asked: float | None, now: datetime) -> Gap | None:
    """Return the time that the store no longer shows and in which it was not asked."""
    shown = now - timedelta(seconds=REACH)
    if asked is None or asked >= shown.timestamp():
        return None
    reason = "Google Play shows the reviews of seven days, and was not asked for longer"
    return Gap(datetime.fromtimestamp(asked, UTC), shown, reason)
