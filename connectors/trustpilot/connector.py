"""Reviews of companies on Trustpilot, from its public API, or with a secret from the private one of the own company.

API: https://developers.trustpilot.com/business-units-api (an API key). The newest come first, by when they were written;
what was edited or deleted is learned by reading again what was heard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator

from connectors import auth, newest, one_by_one
from connectors.answers import Meaning
from connectors.base import Facts
from connectors.limits import Limit
from connectors.newest import Sheet
from connectors.rereading import DAY, Reread, Rereading
from connectors.trustpilot import reviews
from pipeline.config.model import Duration
from pipeline.contract.errors import SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Mention

PAGE: Final = 100  # reviews of one answer at the most
TOKENS: Final = "v1/oauth/oauth-business-users-for-applications/accesstoken"


class TrustpilotSettings(newest.DescentSettings):
    """Which companies."""

    companies: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Sites of the companies, such as acme.example, or the numbers Trustpilot has for them (business unit ids)."""
    key: SecretStr
    """API key of an application."""
    secret: SecretStr | None = None
    """Secret of the application: with it the private reviews of the own company are read, with your tags on them."""
    lookback: Duration = 604_800
    """How far back the very first poll goes."""
    overlap: Duration = Field(default=172_800, le=2_592_000)
    """How far each poll reaches back again: for reviews that are shown late, and for early edits."""
    poll_interval: Duration = Field(default=300.0, ge=0.05)
    slowest_poll: Duration = Field(default=1800.0, ge=0.05)
    base_url: str = "https://api.trustpilot.com"

    @field_validator("companies")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(re.sub(r"^https?://|/.*$", "", one.strip().lower()) for one in value if one.strip()))


class Trustpilot(newest.NewestFirst[TrustpilotSettings]):
    """The cursor is, for each company, the time of the newest review, and where a walk through pages is."""

    name = "trustpilot"
    settings_type = TrustpilotSettings
    facts = Facts(
        auth="API key; key and secret for private reviews",
        cursor="newest review of every company; page of a walk",
        changes="both, by reading again after 1, 7 and 30 days",
        tested="an API of our own, answers made by hand",
    )
    seen_limit: ClassVar[int] = 5_000
    rereads = Rereading(ages=(DAY, 7 * DAY, 30 * DAY), batch=20)
    rows_of = staticmethod(reviews.rows_of)
    to_mention = staticmethod(reviews.to_mention)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._units: dict[str, str] = {}

    def auth(self) -> auth.Auth:
        if self.settings.secret is None:
            return auth.header("apikey", self.settings.key)
        key = self.settings.key.get_secret_value()
        return auth.ClientCredentials(f"{self.settings.base_url}/{TOKENS}", key, self.settings.secret)

    def limits(self) -> Sequence[Limit]:
        """Return what Trustpilot asks to keep to: https://developers.trustpilot.com/rate-limiting."""
        return (Limit(833, per=300.0), Limit(10_000, per=3600.0))

    def parts(self) -> tuple[str, ...]:
        return self.settings.companies

    async def sheet(self, company: str, at: str | None) -> Sheet:
        """Return a page of a company's reviews. What is written meanwhile moves others to later pages: no harm."""
        number = int(at or 1)
        private = "private/" if self.settings.secret else ""
        path = f"v1/{private}business-units/{await self._unit(company)}/reviews"
        body = await self._asked(path, {"orderBy": "createdat.desc", "perPage": str(PAGE), "page": str(number)})
        rows = self.listed(body, "reviews")
        named = [(reviews.time_of(row), {**row, "earshot_unit": company}) for row in rows]
        links = body.get("links")
        names = [link.get("rel") for link in links if isinstance(link, dict)] if isinstance(links, list) else []
        is_more = bool(rows) and (len(rows) >= PAGE or "next-page" in names)
        return Sheet(named, str(number + 1) if is_more else None)

    async def _unit(self, company: str) -> str:
        """Return Trustpilot's number of a company."""
        if re.fullmatch(r"[0-9a-f]{24}", company):
            return company
        if company not in self._units:
            try:
                body = await self._asked("v1/business-units/find", {"name": company})
            except SourceRefusedError as error:
                hint = f"is {company} the site as Trustpilot has it, in the address of its page there?"
                raise SourceRefusedError(f"{error}; {hint}") from None
            if not isinstance(body.get("id"), str):
                raise SourceUnavailableError(f"{self.instance}: the answer holds no company")
            self._units[company] = body["id"]
        return self._units[company]

    async def _asked(
        self, path: str, params: dict[str, str] | None = None, meaning: Meaning | None = None
    ) -> reviews.Row:
        # Public questions want the key beside a token.
        headers = {"apikey": self.settings.key.get_secret_value()} if self.settings.secret else {}
        body = (await self.http.get_json(f"{self.settings.base_url}/{path}", params, headers, meaning=meaning)).json
        if not isinstance(body, dict):
            raise SourceUnavailableError(f"{self.instance}: the answer is no object")
        return body

    async def reread(self, ids: Sequence[str]) -> Reread:
        return await one_by_one.reread(ids, self._again)

    async def _again(self, native: str) -> Sequence[Mention]:
        """Return what Trustpilot says now of one review."""
        private = "private/" if self.settings.secret else ""
        row = await self._asked(f"v1/{private}reviews/{quote(native, safe='')}", meaning=one_by_one.gone)
        return self.page([row], None).mentions
