"""Comments on an organisation's posts on LinkedIn, and posts that name the organisation.

API: https://learn.microsoft.com/linkedin/marketing/community-management (a member who administers the page consents).
Notifications are asked for by time, up to an end that is fixed for all pages of a question. Without the permission for
them, the comments under the newest posts are gone through instead.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import auth
from connectors.answers import Answer
from connectors.base import Facts, Gap, Page, PollingConnector, PollingSettings
from connectors.linkedin import access, activities
from connectors.linkedin.activities import Row
from connectors.linkedin.place import Place, instant, milliseconds
from connectors.reading import mapping, objects, whole
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, SourceRefusedError

COUNT: Final = 50  # of one answer


class LinkedInSettings(PollingSettings):
    """Which organisations, and who has consented."""

    organizations: tuple[str, ...] = Field(min_length=1, max_length=20)
    """Numbers of the organisations, as in linkedin.com/company/12345/admin."""
    token: SecretStr | None = None
    """Access token of a member who administers the pages; it ends after 60 days."""
    refresh_token: SecretStr | None = None
    """Refresh token of that member; then access tokens are got by themselves for a year."""
    client_id: str | None = None
    """The app's client id, with `refresh_token`."""
    client_secret: SecretStr | None = None
    """The app's client secret, with `refresh_token`."""
    hear: Literal["notifications", "comments"] = "notifications"
    """How: by notifications (rw_organization_admin), or by the comments under the newest posts (r_organization_social)."""
    newest_posts: int = Field(default=20, ge=1, le=100)
    """How many of an organisation's posts are gone through, with `hear: comments`."""
    version: str = Field(default="202606", pattern=r"^20\d{4}(\.\d{2})?$")
    """Version of the API, as year and month; LinkedIn ends each after about a year."""
    lookback: Duration = 86_400
    """How far back the very first question for notifications goes."""
    overlap: Duration = 300
    """How far each question reaches back again."""
    poll_interval: Duration = Field(default=300.0, ge=0.05)
    slowest_poll: Duration = Field(default=1_800.0, ge=0.05)
    base_url: str = "https://api.linkedin.com"
    token_url: str = access.TOKEN_URL
    """Where refresh tokens are exchanged."""

    @field_validator("organizations")
    @classmethod
    def _names(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(access.organization_of, given)))

    @model_validator(mode="after")
    def _let_in(self) -> LinkedInSettings:
        if self.refresh_token is not None and (not self.client_id or self.client_secret is None):
            raise ValueError("with `refresh_token` also give `client_id` and `client_secret`")
        if self.refresh_token is None and self.token is None:
            raise ValueError("give `token`, or `refresh_token` with `client_id` and `client_secret`")
        return self


class LinkedIn(PollingConnector[LinkedInSettings]):
    """The cursor is a `Place`: until when each organisation is heard, and where in the round it is."""

    name = "linkedin"
    settings_type = LinkedInSettings
    facts = Facts(
        auth="consent of a page's administrator",
        cursor="time until which every organisation is heard",
        changes="both, with notifications",
        tested="an API of our own, hand-written answers",
    )
    seen_limit: ClassVar[int] = 5_000
    to_mention = staticmethod(activities.to_mention)

    def auth(self) -> auth.Auth:
        settings = self.settings
        if settings.refresh_token is None:
            return auth.bearer(settings.token)
        return auth.RefreshToken(
            settings.token_url,
            settings.refresh_token,
            settings.client_id or "",
            settings.client_secret,
            rotates=False,
        )

    def judge(self, answer: Answer) -> EarshotError | None:
        return access.meaning(answer, self.clock())

    async def fetch(self, cursor: str | None) -> Page:
        place = Place.read(cursor)
        if not place.queue:
            kind = "notes" if self.settings.hear == "notifications" else "posts"
            place = replace(
                place, queue=tuple(f"{kind}|{one}" for one in self.settings.organizations), start=0, until=0
            )
        kind, _, which = place.queue[0].partition("|")
        if kind == "notes":
            return await self._notifications(place, which)
        if kind == "posts":
            return await self._posts(place, which)
        return await self._comments(place, which)

    async def _notifications(self, place: Place, organization: str) -> Page:
        gap = None
        if not place.until:
            place, gap = place.bounded(organization, self.clock(), self.settings.overlap, self.settings.lookback)
        query = (
            f"q=criteria&actions=List({','.join(activities.HEARD)})"
            f"&organizationalEntity={access.encoded(organization)}&timeRange=(start:{place.since},end:{place.until})"
        )
        rows, more = await self._list("organizationalEntityNotifications", query, place.start)
        whole_ones = [await self._with_words(row) for row in rows]
        return self._page(whole_ones, place.paged(more) if more else place.done(), gap)

    async def _with_words(self, row: Row) -> Row:
        """Return a notification, or what it is about where it comes without words; they may be gone already."""
        urn = str(row.get("generatedActivity") or "")
        if row.get("action") not in ("COMMENT", "COMMENT_EDIT", "SHARE_MENTION") or activities.words_of(row):
            return row
        name = activities.comment_urn(row)
        thread, number = (activities.thread_of(name), activities.number_of(name)) if name else (None, None)
        path = f"socialActions/{access.encoded(thread)}/comments/{number}" if thread else f"posts/{access.encoded(urn)}"
        try:
            answer = await self.http.get_json(self._url(path), headers=access.headers(self.settings.version))
        except SourceRefusedError:
            return row
        return answer.json if isinstance(answer.json, dict) else row

    async def _posts(self, place: Place, organization: str) -> Page:
        """Go over an organisation's newest posts: their comments are asked for next."""
        query = f"q=author&author={access.encoded(organization)}&sortBy=LAST_MODIFIED"
        rows, _ = await self._list("posts", query, 0, self.settings.newest_posts)
        more = [f"comments|{row['id']}" for row in rows if row.get("id")]
        return self._page([], place.done(*more))

    async def _comments(self, place: Place, urn: str) -> Page:
        """Return a page of the comments under a post, or of the answers to a comment."""
        rows, more = await self._list(f"socialActions/{access.encoded(urn)}/comments", "", place.start)
        counts: dict[str, int] = {}
        for row in rows:
            name = activities.comment_urn(row)
            answers = whole(mapping(row.get("commentsSummary")).get("aggregatedTotalComments"))
            if name and answers:
                counts[name] = answers
        further = [f"comments|{name}" for name, count in counts.items() if place.counted.get(name) != count]
        place = place.counting(counts)
        place = replace(place.paged(more), queue=(*place.queue, *further)) if more else place.done(*further)
        return self._page(rows, place)

    async def _list(self, path: str, query: str, start: int, count: int = COUNT) -> tuple[list[Row], int]:
        """Return the objects of an answer, and where its next page begins (0 when there is none)."""
        address = f"{self._url(path)}?{query}{'&' if query else ''}start={start}&count={count}"
        body = (await self.http.get_json(address, headers=access.headers(self.settings.version))).json
        rows = self.listed(body, "elements", "list of LinkedIn's")
        links = objects(mapping(body.get("paging")).get("links"))
        is_more = len(rows) >= count or any(link.get("rel") == "next" for link in links)
        return rows, start + len(rows) if is_more and rows else 0

    def _url(self, path: str) -> str:
        return f"{self.settings.base_url}/rest/{path}"

    def _page(self, rows: list[Row], place: Place, gap: Gap | None = None) -> Page:
        page = self.page(rows, place.written(), is_full=bool(place.queue), gap=gap)
        return replace(page, mentions=sorted(page.mentions, key=lambda one: one.created_at))

    async def cursor_at(self, since: datetime) -> str | None:
        return Place(begin=milliseconds(since)).written()

    def time_of(self, cursor: str | None) -> datetime | None:
        place = Place.read(cursor)
        at = place.since or place.begin or min(place.heard.values(), default=0)
        return instant(at) if at else None
