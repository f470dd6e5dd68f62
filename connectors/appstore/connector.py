"""Customer reviews of an app in Apple's App Store: of any app from the store's feeds, of one's own from App Store Connect.

Feed: https://itunes.apple.com/us/rss/customerreviews/page=1/id=APP/sortby=mostrecent/json (no key), the same as xml. A
feed is ten pages of fifty, newest first: what a country writes beyond 500 reviews between two polls is told as a gap.
With a key of App Store Connect all reviews of all countries are read, without that bound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import auth, newest, one_by_one
from connectors.appstore import connect, reviews
from connectors.appstore.entries import Row, entries, time_of
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings
from connectors.newest import Sheet
from connectors.rereading import DAY, Reread, Rereading
from pipeline.config.model import Duration
from pipeline.contract.errors import InvalidMessageError, SourceUnavailableError
from pipeline.contract.events import Mention

PAGES: Final = 10  # further ones are refused: https://github.com/facundoolano/app-store-scraper#reviews


class AppstoreSettings(PollingSettings):
    """Which app, and where."""

    app: int = Field(gt=0)
    """Number of the app: the digits after `id` in its address in the store."""
    countries: tuple[str, ...] = Field(default=("us",), min_length=1, max_length=175)
    """Countries whose reviews are heard, as two letters: the store keeps them apart. With a `key`, all if not given."""
    form: Literal["json", "xml"] = "json"
    """Which of the two forms of the feed to ask for: now and then the store leaves one empty."""
    lookback: Duration = 604_800
    """How far back the very first poll goes, as far as the feed reaches."""
    overlap: Duration = 172_800
    """How far each poll reaches back again: the store shows some reviews hours late."""
    poll_interval: Duration = Field(default=900.0, ge=0.05)
    slowest_poll: Duration = Field(default=3600.0, ge=0.05)
    base_url: str = "https://itunes.apple.com"
    key: SecretStr | None = None
    """Private key of App Store Connect, the content of AuthKey_….p8: reads all countries of an app of your own."""
    key_id: str | None = None
    """Number of that key, as App Store Connect shows it."""
    issuer: str | None = None
    """Issuer of a team's key; a person's own has none."""
    connect_url: str = "https://api.appstoreconnect.apple.com"
    """Address of App Store Connect."""

    @model_validator(mode="after")
    def _has_both(self) -> AppstoreSettings:
        if (self.key is None) != (self.key_id is None):
            raise ValueError("App Store Connect needs `key` and `key_id`; for the store's feeds leave both out")
        return self

    @field_validator("countries")
    @classmethod
    def _two_letters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not re.fullmatch(r"[A-Za-z]{2}", country) for country in value):
            raise ValueError("write countries as two letters, such as us, gb, de")
        return tuple(dict.fromkeys(country.lower() for country in value))


class Appstore(PollingConnector[AppstoreSettings]):
    """The cursor of feeds is, for each country, the time in epoch seconds of its newest review.

    That of App Store Connect is the time of the newest review of the app, and where a walk through pages is.
    """

    name = "appstore"
    settings_type = AppstoreSettings
    facts = Facts(
        auth="none; a key of App Store Connect for all of one's own",
        cursor="time of the newest review of every country",
        changes="edits; deletions with a key",
        tested="Apple's spec of Connect (Prism), feeds written by hand",
    )
    seen_limit: ClassVar[int] = 5_000
    to_mention = staticmethod(reviews.to_mention)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        if self.settings.key is not None:
            self.rereads = Rereading(ages=(DAY, 7 * DAY, 30 * DAY), batch=20)  # feeds cannot

    def auth(self) -> auth.Auth:
        if self.settings.key is None:
            return auth.NONE
        return auth.SignedJwt(
            self.settings.key,
            self.settings.key_id or "",
            connect.claims(self.settings.issuer),
            algorithm="ES256",
            lifetime=connect.LIFETIME,
        )

    async def fetch(self, cursor: str | None) -> Page:
        if self.settings.key is None:
            return await self._of_feeds(cursor)
        parts, reach = [str(self.settings.app)], {"lookback": self.settings.lookback, "overlap": self.settings.overlap}
        found = await newest.descend(parts, cursor, self._of_connect, now=self.clock(), **reach)
        return newest.in_order(self.page(found.rows, found.cursor, is_full=found.is_full))

    async def _of_connect(self, app: str, at: str | None) -> Sheet:
        """Return a page of an app's reviews, newest first."""
        countries = self.settings.countries if "countries" in self.settings.model_fields_set else ()
        url = f"{self.settings.connect_url}/v1/apps/{app}/customerReviews"
        answer = await self.http.get_json(url, connect.params(countries, at))
        rows = self._entries(answer.body)
        named = [(time_of(row), {**row, "earshot_app": app}) for row in rows]
        return Sheet(named, connect.following(answer.json) if rows else None)

    async def reread(self, ids: Sequence[str]) -> Reread:
        return await one_by_one.reread(ids, self._again)

    async def _again(self, native: str) -> Sequence[Mention]:
        """Return what App Store Connect says now of one review."""
        url = f"{self.settings.connect_url}/v1/customerReviews/{quote(native, safe='')}"
        answer = await self.http.get_json(url, {"include": "response"}, meaning=one_by_one.gone)
        app = {"earshot_app": str(self.settings.app)}
        return self.page([{**row, **app} for row in self._entries(answer.body)], None).mentions

    def _entries(self, body: bytes) -> list[Row]:
        """Return the reviews in an answer. Raises SourceUnavailableError when it is none of the store's."""
        try:
            return [row for row in entries(body) if "im:rating" in row]
        except InvalidMessageError as error:
            raise SourceUnavailableError(f"{self.instance}: {error}") from None

    async def _of_feeds(self, cursor: str | None) -> Page:
        now, newest_of = int(self.clock().timestamp()), _cursor(cursor)
        found: list[Row] = []
        gaps: list[tuple[int, int, str]] = []
        for country in self.settings.countries:
            known, first = newest_of.get(country), now - int(self.settings.lookback)
            since = first if known is None else known - int(self.settings.overlap)
            rows, is_cut = await self._reviews(country, since)
            times = [time for time in map(time_of, rows) if time is not None]
            found += (row for row in rows if (time_of(row) or since) >= since)
            if is_cut and times and min(times) > (known or first):
                gaps.append((known or first, min(times), country))
            if times:
                newest_of[country] = min(now, max(*times, known or 0))
        found.sort(key=lambda row: (time_of(row) or now, str(row.get("id"))))
        return self.page(found, json.dumps(newest_of) if newest_of else cursor, gap=_gap(gaps))

    async def _reviews(self, country: str, since: int) -> tuple[list[Row], bool]:
        """Return a country's reviews down to `since`, and whether the feed ends above it.

        Reviews that arrive meanwhile move the others to later pages: those come twice, none is passed over.
        """
        found: dict[Any, Row] = {}
        for number in range(1, PAGES + 1):
            path = f"{country}/rss/customerreviews/page={number}/id={self.settings.app}/sortby=mostrecent"
            answer = await self.http.get_bytes(f"{self.settings.base_url}/{path}/{self.settings.form}")
            rows = self._entries(answer.body)
            named = {"earshot_app": str(self.settings.app), "earshot_country": country}
            fresh = {(row.get("id"), row.get("updated")): {**row, **named} for row in rows}
            if fresh.keys() <= found.keys():
                return list(found.values()), False
            found |= fresh
            if max((time for row in rows if (time := time_of(row)) is not None), default=since) < since:
                return list(found.values()), False
        return list(found.values()), True

    async def cursor_at(self, since: datetime) -> str | None:
        if self.settings.key is not None:
            return newest.cursor_at([str(self.settings.app)], since)
        return json.dumps(dict.fromkeys(self.settings.countries, int(since.timestamp())))

    def time_of(self, cursor: str | None) -> datetime | None:
        if self.settings.key is not None:
            return newest.time_of(cursor)
        times = _cursor(cursor).values()
        return datetime.fromtimestamp(min(times), UTC) if times else None

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        return cls.unique(cls.attempt(row, now) for row in entries(body))


def _gap(gaps: list[tuple[int, int, str]]) -> Gap | None:
    if not gaps:
        return None
    since, until = min(gap[0] for gap in gaps), max(gap[1] for gap in gaps)
    where = ", ".join(gap[2] for gap in gaps)
    reason = f"more reviews than the {PAGES * 50} that the store shows of a country ({where})"
    return Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC), reason)


def _cursor(cursor: str | None) -> dict[str, int]:
    try:
        return {country: int(time) for country, time in json.loads(cursor or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}
