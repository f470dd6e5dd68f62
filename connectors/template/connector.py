"""Template: one sentence on what is heard here.

API: https://example.org/docs (say which key is needed, and where the limits are written down).
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from connectors.base import Facts, Page, PollingConnector, PollingSettings, mention, reveal
from connectors.reading import from_html, timestamp, whole
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Author, Engagement, Mention


class TemplateSettings(PollingSettings):
    """What to ask for."""

    query: str
    """Words to search for."""
    token: SecretStr | None = None
    """Access token, where the source wants one."""
    base_url: str = "https://api.example.org/v1"


class Template(PollingConnector[TemplateSettings]):
    """The cursor is the id of the newest text: the source gives what is newer, oldest first."""

    name = "template"
    settings_type = TemplateSettings
    facts = Facts(
        auth="a token, where the source wants one",
        cursor="id of the newest text",
        changes="no edits; no deletions",
        tested="the example",
    )

    async def fetch(self, cursor: str | None) -> Page:
        params = {"q": self.settings.query, "limit": "100", **({"after": cursor} if cursor else {})}
        token = reveal(self.settings.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = (await self.http.get_json(f"{self.settings.base_url}/search", params, headers)).json
        if not isinstance(body, dict) or not isinstance(body.get("results"), list):
            raise SourceUnavailableError(f"{self.instance}: the answer has no results")
        rows = body["results"]
        ids = [str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id")]
        return self.page(rows, ids[-1] if ids else cursor, is_full=bool(body.get("more")))

    @classmethod
    def to_mention(cls, row: Any, now: Any) -> Mention | None:
        if not {"id", "body", "posted_at"} <= row.keys():
            return None
        rich = from_html(row["body"])
        who = row.get("user") or {}
        return mention(
            cls.name,
            row["id"],
            created_at=timestamp(row["posted_at"]),
            now=now,
            text=rich.text,
            url=row.get("url"),
            author=Author(id=str(who["id"]), handle=who.get("name")) if "id" in who else None,
            in_reply_to=f"{cls.name}:{row['reply_to']}" if row.get("reply_to") else None,
            engagement=Engagement(likes=whole(row.get("likes"))),
            links=rich.links,
        )
