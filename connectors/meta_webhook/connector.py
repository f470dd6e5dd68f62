"""Facebook, Instagram and Threads, as soon as Meta tells of something: also of edits and deletions.

Calls: https://developers.facebook.com/docs/graph-api/webhooks/getting-started. One address serves all three, since the
calls of an app are alike; who wrote a text and where it stands is read by the three sources' own modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import Field, SecretStr

from connectors import graph, reading
from connectors.answers import Answer
from connectors.base import Facts, Page, Rejected, reveal
from connectors.facebook import posts
from connectors.graph import Row
from connectors.inbound import Inbound, InboundSettings, NotAcceptedError, Path, Port, delivery_of, is_same, json_of
from connectors.instagram import media
from connectors.threads import texts
from pipeline.contract.errors import EarshotError, SourceRefusedError
from pipeline.contract.events import Mention

READERS: Final = {"page": posts, "instagram": media, "threads": texts}
"""Who reads the changes of which kind of object."""


class MetaWebhookSettings(InboundSettings):
    """Where to listen, and whom to believe."""

    app_secret: SecretStr
    """The app's secret, which signs the calls: App settings, Basic."""
    instagram_secret: SecretStr | None = None
    """The Instagram app's secret, where the account is connected by Instagram login."""
    threads_secret: SecretStr | None = None
    """The Threads app's secret: it has one of its own."""
    verify_token: SecretStr
    """Any secret of yours; the same goes into the app's dashboard, and Meta shows it when it first calls."""
    page_token: SecretStr | None = None
    """The Page's token, to read posts that only mention the Page and are told of without their words."""
    instagram_token: SecretStr | None = None
    """The account's token, to read what mentions the account, of which only the number is told."""
    path: Path = "/meta"
    port: Port = 9479
    version: str = Field(default="v23.0", pattern=r"^v\d{1,3}\.\d$")
    """Version of the API that is asked for what is not told."""
    base_url: str = "https://graph.facebook.com"


class MetaWebhook(Inbound[MetaWebhookSettings]):
    """There is no cursor: Meta calls again for 36 hours; a call that was taken is known by its bytes."""

    name = "meta-webhook"
    sources = (posts.SOURCE, media.SOURCE, texts.SOURCE)
    settings_type = MetaWebhookSettings
    facts = Facts(
        auth="the app's secret",
        cursor="none: deliveries seen",
        changes="Facebook both; Threads deletions; Instagram neither",
        tested="signed requests over loopback",
    )
    seen_limit: ClassVar[int] = 5_000

    def judge(self, answer: Answer) -> EarshotError | None:
        return graph.error_in(answer)

    def challenge(self, query: Mapping[str, str]) -> str:
        is_ours = is_same(reveal(self.settings.verify_token) or "", query.get("hub.verify_token", ""))
        if query.get("hub.mode") != "subscribe" or not is_ours:
            raise NotAcceptedError("the verify token is another one: compare it with `verify_token`", 403)
        return query.get("hub.challenge", "")

    async def taken(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Page:  # noqa: ARG002 - Meta signs no time
        settings = self.settings
        secrets = map(reveal, (settings.app_secret, settings.instagram_secret, settings.threads_secret))
        if not graph.is_signed(headers, body, (secret for secret in secrets if secret)):
            raise NotAcceptedError("X-Hub-Signature-256 does not match: compare the app's secret", 401)
        value = json_of(body)
        rows: list[Row] = []
        refused: list[Rejected] = []
        for change in graph.changes(value):
            try:
                rows.append(await self._whole(change))
            except SourceRefusedError as error:
                refused.append(Rejected(reading.as_bytes(change), f"{self.name}: {error}"))
        page = self.page(rows, None, delivery=delivery_of(body))
        return replace(page, rejected=[*page.rejected, *refused])

    async def _whole(self, change: Row) -> Row:
        """Return a change with its words: Meta tells of a mention by its number, and lets who is mentioned read it."""
        kind, field = change["earshot_object"], change.get("earshot_field")
        if kind == "instagram" and field == "mentions" and self.settings.instagram_token is not None:
            return await self._mentioned(change, self.settings.instagram_token)
        is_bare = kind == "page" and field == "mention" and not change.get("message")
        native = posts.native_of(change)
        if is_bare and native and change.get("verb") == "add" and self.settings.page_token is not None:
            fields = posts.COMMENT_FIELDS if change.get("item") == "comment" else posts.POST_FIELDS
            found = await self._object(native, fields, self.settings.page_token)
            return {**found, "earshot_object": "page"}
        return change

    async def _mentioned(self, change: Row, token: SecretStr) -> Row:
        """Return the comment, or the medium, in which the account is mentioned."""
        comment, medium = change.get("comment_id"), change.get("media_id")
        if comment:
            name, fields = (
                f"mentioned_comment.comment_id({comment})",
                "id,text,timestamp,like_count,media{id,permalink}",
            )
        else:
            name, fields = f"mentioned_media.media_id({medium})", media.MEDIA_FIELDS
        found = await self._object(str(change["earshot_account"]), f"{name}{{{fields}}}", token)
        inner = found.get(name.partition(".")[0])
        return {**(inner if isinstance(inner, dict) else {}), "earshot_object": "instagram"}

    async def _object(self, native: str, fields: str, token: SecretStr) -> Row:
        settings = self.settings
        answer = await self.http.get_json(
            f"{settings.base_url}/{settings.version}/{quote(native, safe='')}",
            {"fields": fields, **graph.proof_of(token, settings.app_secret)},
            {"Authorization": f"Bearer {reveal(token)}"},
        )
        return answer.json if isinstance(answer.json, dict) else {}

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        return cls.unique(cls.attempt(row, now) for value in reading.documents(body) for row in graph.changes(value))

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        reader = READERS.get(str(row.get("earshot_object")))
        return None if reader is None else reader.to_mention(row, now)
