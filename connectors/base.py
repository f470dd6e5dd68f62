"""What a connector is: it asks a source and gives pages. It never waits, retries, logs or publishes; the runner does.

A connector declares `name`, `settings_type` and `to_mention`, and has one of three forms: it is asked
(`PollingConnector.fetch`), it holds a connection open (`StreamingConnector.listen`), or it is called
(`PushConnector.serve`). One that is called may be asked as well. Each gives `Page`s: mentions, oldest first, and the cursor to go on from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic

import msgspec

from connectors import auth, reading
from connectors.account import Account
from connectors.answers import Answer
from connectors.http import Http
from connectors.limits import Limit
from connectors.page import Gap, Page, Rejected, told, within_limits
from connectors.rereading import Reread, Rereading
from connectors.settings import PollingSettings, Settings, SettingsT, read_settings, reveal, secrets_of
from pipeline.contract import codec
from pipeline.contract.errors import ConfigError, EarshotError, InvalidMessageError, SourceUnavailableError
from pipeline.contract.events import Mention

__all__ = [
    "Clock",
    "Connector",
    "Facts",
    "Gap",
    "Listening",
    "Page",
    "PollingConnector",
    "PollingSettings",
    "Publish",
    "PushConnector",
    "Rejected",
    "Settings",
    "SettingsT",
    "StreamingConnector",
    "mention",
    "read_settings",
    "reveal",
    "secrets_of",
    "stamped",
    "told",
    "utc_now",
    "within_limits",
]

MAX_LINKS: Final = 100  # links and tags kept of a mention
MAX_LINK: Final = 2_000  # characters of one
MAX_RAW: Final = 10_000  # rows kept until their page is published

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Facts:
    """What people ask before they choose a source, in a few words each: its line in the table of connectors/README.md."""

    auth: str
    """What it takes to be let in: `none`, or which key."""
    cursor: str
    """What the position is: what is asked again after a restart."""
    changes: str
    """Whether edits and deletions are heard."""
    tested: str
    """What the tests ran against."""


class Connector(Generic[SettingsT]):
    """What all connectors share. Making one opens no connection.

    Class: `name` is the type written in `earshot.yaml` and the `source` of its mentions. Object: `instance` is the
    name under `sources:`; several instances of a type may exist.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[str, ...]] = ()
    """Sources of its mentions, where these are not called as the connector is: one that brings what others hear."""
    settings_type: ClassVar[type[Settings]] = Settings
    facts: ClassVar[Facts | None] = None
    seen_limit: ClassVar[int] = 500
    """How many marks a checkpoint keeps to recognise what was published: as many as an overlap can bring again."""
    rereads: Rereading | None = None
    """When what was published is read again by itself, for edits and deletions; then `reread` is there too."""
    keeps_raw: bool = False
    """Whether what the source sent is kept beside each mention; set by whoever makes the connector."""

    def __init__(self, name: str, settings: SettingsT, http: Http, clock: Clock = utc_now) -> None:
        self.instance = name
        self.settings = settings
        self.http = http
        self.clock = clock
        self.raw: dict[str, bytes] = {}
        http.account = Account(self.name, self.auth(), self.limits(), clock=clock)
        http.judge = self.judge

    def auth(self) -> auth.Auth:
        """Return the credential that every request carries."""
        return auth.NONE

    def limits(self) -> Sequence[Limit]:
        """Return what may never be gone beyond, by all sources with the same credential together."""
        return ()

    def judge(self, answer: Answer) -> EarshotError | None:  # noqa: ARG002 - most platforms mean what their status says
        """Return the error that an answer is, whatever its status; None where the table of `connectors.answers` is right.

        It is asked of every answer, before the table. Quotes no body.
        """
        return None

    async def reread(self, ids: Sequence[str]) -> Reread:
        """Return what has become of these mentions, by their native ids. Raises what `fetch` raises."""
        raise NotImplementedError

    async def reread_all(self, ids: Sequence[str]) -> Reread:
        """Return the same of any number of mentions, asked for in batches."""
        size = self.rereads.batch if self.rereads is not None else len(ids)
        parts = [await self.reread(ids[start : start + size]) for start in range(0, len(ids), max(1, size))]
        return Reread([one for part in parts for one in part.mentions], [one for part in parts for one in part.absent])

    def keep(self, found: Mention, row: Any) -> None:
        """Keep what the source sent for this mention, where the settings want it; `page` does so by itself."""
        if self.keeps_raw:
            while len(self.raw) >= MAX_RAW:
                self.raw.pop(next(iter(self.raw)))
            self.raw[found.id] = row[: reading.MAX_REJECTED_BYTES] if isinstance(row, bytes) else reading.as_bytes(row)

    @classmethod
    def to_mention(cls, row: Any, now: datetime) -> Mention | None:
        """Return the mention that this object of the source's is; None when it is another kind of object.

        A row of the right kind that cannot be read raises KeyError, TypeError, ValueError or AttributeError.
        """
        raise NotImplementedError

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        """Yield the mentions in a recorded answer, whichever kind it is, as `earshot parse` and the tests use it.

        `now` becomes `collected_at`. Raises InvalidMessageError when the body is nothing this source sends.
        """
        return cls.unique(cls.attempt(row, now) for row in cls.rows_of(reading.documents(body)))

    @staticmethod
    def rows_of(values: Iterator[Any]) -> Iterable[Any]:
        """Return the objects in what a recorded answer holds that `to_mention` is asked about: all there are."""
        return reading.walk(values)

    @classmethod
    def attempt(cls, row: Any, now: datetime) -> Mention | str | None:
        """Return `to_mention` of a row, or in words why it cannot be read, without quoting it."""
        try:
            return cls.to_mention(row, now)
        except InvalidMessageError as error:
            return str(error)
        except KeyError as error:
            return f"the field {error} is missing"
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError, RecursionError) as error:
            return f"not readable ({type(error).__name__})"

    @staticmethod
    def unique(found: Iterable[Mention | str | None]) -> Iterator[Mention]:
        """Yield the mentions, each revision and state once: answers repeat objects inside others."""
        known = set()
        for mention in found:
            if isinstance(mention, Mention) and (mention.id, mention.revision, mention.state) not in known:
                known.add((mention.id, mention.revision, mention.state))
                yield mention

    def page(self, rows: Iterable[Any], cursor: str | None, **more: Any) -> Page:
        """Return a page of these rows, oldest first. Unreadable rows go to the dead letters, others are left out."""
        now = self.clock()
        mentions, rejected = [], []
        for row in rows:
            found = self.attempt(row, now)
            if isinstance(found, str):
                rejected.append(Rejected(reading.as_bytes(row), f"{self.name}: {found}"))
            else:
                mentions.append(found)
                if isinstance(found, Mention):
                    self.keep(found, row)
        return Page(list(self.unique(mentions)), cursor, rejected=rejected, **more)

    def listed(self, body: Any, name: str, what: str | None = None) -> list[dict[str, Any]]:
        """Return the objects that an answer lists under a name; `what` they are, in words.

        Raises SourceUnavailableError when it lists nothing under it: it is another kind of answer.
        """
        found = body.get(name) if isinstance(body, dict) else None
        if not isinstance(found, list):
            raise SourceUnavailableError(f"{self.instance}: the answer holds no {what or name}")
        return reading.objects(found)

    async def check(self) -> str:
        """Make one real request; return what was found, for a person. Raises what the runner would see."""
        raise NotImplementedError

    async def cursor_at(self, since: datetime) -> str | None:  # noqa: ARG002 - most sources cannot
        """Return the cursor from which the connector goes through what is newer than `since`.

        Raises ConfigError where the source has no past that can be asked for by time.
        """
        raise ConfigError(f"{self.instance}: the source {self.name} cannot be asked for its past")

    def time_of(self, cursor: str | None) -> datetime | None:  # noqa: ARG002 - most cursors say no time
        """Return the time at the source up to which everything was given at this cursor; None where it does not say."""
        return None


class PollingConnector(Connector[SettingsT]):
    """A source that is asked again and again."""

    async def fetch(self, cursor: str | None) -> Page:
        """Return what the source has at or after `cursor`; from the newest when it is None.

        Repeats are allowed, the runner drops what was published already. An empty answer keeps the cursor. Raises
        SourceUnavailableError, RateLimitedError or SourceRefusedError.
        """
        raise NotImplementedError

    def due_in(self, now: datetime) -> float | None:  # noqa: ARG002 - most are asked as often as they have something new
        """Return the seconds until it is to be asked again, where the source says so; None where news decide."""
        return None

    async def check(self) -> str:
        return told(await self.fetch(None))


class StreamingConnector(Connector[SettingsT]):
    """A source that sends by itself over a connection that is held open."""

    def listen(self, cursor: str | None) -> AsyncIterator[Page]:
        """Yield pages from `cursor` on (from now when it is None) until the connection ends.

        One broken frame is skipped, never a reason to reconnect. A lost connection raises SourceUnavailableError; the
        runner comes back with the last cursor.
        """
        raise NotImplementedError

    async def check(self) -> str:
        pages = self.listen(None)
        try:
            async for _ in pages:
                return "it answers, and frames arrive"
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()
        return "it answers, but ends the connection at once"


Publish = Callable[[Page], Awaitable[None]]
Listening = Callable[[str], None]


class PushConnector(Connector[SettingsT]):
    """A source that calls us.

    One that is a `PollingConnector` as well is asked beside it, from when it listens or cannot. Then `fetch` alone moves
    the cursor; pages that are brought have none.
    """

    def resume(self, cursor: str | None) -> None:
        """Take up the cursor of the last page that was committed, before anybody is let in."""

    async def serve(self, publish: Publish, listening: Listening) -> None:
        """Serve until cancelled. Calls `listening(address)` once requests are accepted.

        `publish` returns when the broker has the page: only then answer with 2xx. It raises a RetriableError when it
        has not: ask the sender to come again. It may be called by many tasks at once; pages are committed in the order
        of the calls. When cancelled, let nobody in any more, but let those who are in wait for their answer.
        """
        raise NotImplementedError


def mention(
    source: str, native_id: object, *, created_at: datetime | None, now: datetime, text: str | None = "", **more: Any
) -> Mention:
    """Return a mention with what every connector must see to: an id, clean texts within limits, times in UTC.

    Fields that are None fall back to their defaults. A missing `created_at` becomes `now`. Raises ValueError when
    there is no id.
    """
    native = codec.clean(str(native_id)).strip() if native_id is not None else ""
    if not native:
        raise ValueError("no id")
    given = {key: value for key, value in more.items() if value is not None}
    for key in ("title", "language", "url", "subject"):
        if isinstance(given.get(key), str):
            given[key] = codec.clean(given[key])[: codec.MAX_TEXT]
    for key in ("links", "tags"):
        if key in given:
            found = dict.fromkeys(codec.clean(str(value))[:MAX_LINK] for value in given[key] if value)
            given[key] = tuple(found)[:MAX_LINKS]
    at = created_at or now
    return Mention(
        id=f"{source}:{native}",
        source=source,
        native_id=native,
        created_at=(at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC),
        collected_at=now,
        text=codec.clean(text or "")[: codec.MAX_TEXT],
        **given,
    )


def stamped(found: Mention, *, connector: str, backfill: bool = False) -> Mention:
    """Return the mention with the name of the configured source that heard it."""
    return msgspec.structs.replace(found, connector=connector, backfill=backfill or found.backfill)
