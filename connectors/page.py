"""One answer of a source, in our words: mentions, where to go on from, what was missed, what could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from connectors import reading
from pipeline.contract import codec
from pipeline.contract.events import Mention


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time at the source that was not heard and will not be. `reason` is for a person."""

    since: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A part of an answer that could not be read: kept as it came for the dead letters. `error` quotes nothing."""

    value: bytes
    error: str


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a source: its mentions, oldest first, and where to go on from.

    `cursor` is kept as it is by the runner and means something to the connector only. `is_full` says that more is
    waiting, so the runner asks again at once. `gap` is what is known to have been missed, `expected` the source's own
    total where it gives one, `queries` the same for each of several questions: seen, and expected or None. `delivery` is the name of this page at a source that calls us: a page whose delivery was
    committed before is a repeat, and is not published again.
    """

    mentions: Sequence[Mention] = ()
    cursor: str | None = None
    is_full: bool = False
    gap: Gap | None = None
    expected: int | None = None
    queries: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    delivery: str | None = None


def told(page: Page) -> str:
    """Return in words what one page has, for whoever checks a source."""
    at = max((mention.created_at for mention in page.mentions), default=None)
    if at is None:
        return "it answers, with nothing that matches"
    return f"it answers with {len(page.mentions)} mentions, the newest of {at:%Y-%m-%d %H:%M} UTC"


def within_limits(page: Page) -> Page:
    """Return the page; a mention that Kafka would refuse for its size goes to the dead letters, not round for ever."""
    large = {id(mention) for mention in page.mentions if _is_too_large(mention)}
    if not large:
        return page
    rejected = [
        Rejected(
            codec.encode(mention)[: reading.MAX_REJECTED_BYTES], f"{mention.source}: larger than any mention may be"
        )
        for mention in page.mentions
        if id(mention) in large
    ]
    kept = [mention for mention in page.mentions if id(mention) not in large]
    return replace(page, mentions=kept, rejected=[*page.rejected, *rejected])


def _is_too_large(mention: Mention) -> bool:
    texts = (mention.text, mention.title or "", mention.url or "", mention.subject or "", *mention.links, *mention.tags)
    rough = sum(map(len, texts))  # characters; JSON needs six bytes for one at the most
    return rough * 6 > codec.MAX_VALUE_BYTES // 2 and len(codec.encode(mention)) > codec.MAX_VALUE_BYTES
