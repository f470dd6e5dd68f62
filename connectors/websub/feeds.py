"""What is known of feeds while we run: when each was asked, whether it answers, whether its hub keeps its word. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from connectors import pacing
from connectors.websub.book import Book
from connectors.websub.settings import FeedSettings, WebSubSettings
from pipeline.contract.errors import EarshotError
from pipeline.contract.events import Mention

EARLY: Final = 1.0  # seconds by which timers may be early
KNOWN: Final = 2_000  # texts of a feed that are told apart: more than any feed lists

Mark = tuple[str, int, str]


@dataclass
class Heard:
    """One feed. Times are in epoch seconds; `error` is that of the last question, None where it answered."""

    url: str
    asked_at: float | None = None
    error: EarshotError | None = None
    failures: int = 0
    empty: int = 0
    is_trusted: bool = True
    known: dict[Mark, None] = field(default_factory=dict)

    def due_at(self, settings: WebSubSettings, *, is_live: bool) -> float:
        """Return when it is to be asked next: seldom while a hub pushes it and has missed nothing."""
        if self.asked_at is None:
            return 0.0
        if self.error is not None:
            wait = pacing.backoff(self.failures, self._chance)
            return self.asked_at + max(wait, getattr(self.error, "retry_after", None) or 0.0)
        if is_live and self.is_trusted:
            return self.asked_at + settings.poll_while_pushed * (0.9 + 0.2 * self._chance)
        return self.asked_at + pacing.idle(self.empty, settings.poll_interval, settings.slowest_poll, self._chance)

    @property
    def _chance(self) -> float:
        """Return what spreads feeds over time, the same for a feed each time."""
        return hashlib.blake2b(self.url.encode("utf-8", "replace"), digest_size=1).digest()[0] / 255

    def failed(self, error: EarshotError, now: float) -> None:
        """Note that it does not answer."""
        self.error, self.failures, self.asked_at = error, self.failures + 1, now

    def answered(self, found: Iterable[Mention], now: float, *, is_live: bool) -> None:
        """Note what it lists. What is new although its hub should have pushed it takes the trust in the hub away."""
        marks = {_mark(one): None for one in found}
        is_new = any(mark not in self.known for mark in marks)
        if is_new and is_live and self.known:
            self.is_trusted = False
        self.empty = 0 if is_new else self.empty + 1
        self._learn(marks)
        self.error, self.failures, self.asked_at = None, 0, now

    def pushed(self, found: Iterable[Mention]) -> None:
        """Note what a hub has brought."""
        self.is_trusted = True
        self._learn({_mark(one): None for one in found})

    def _learn(self, marks: dict[Mark, None]) -> None:
        self.known = dict.fromkeys([*(mark for mark in self.known if mark not in marks), *marks][-KNOWN:])


def _mark(one: Mention) -> Mark:
    return one.id, one.revision, one.state.value


class Feeds:
    """All feeds of a source, and when each is asked for. Times are in epoch seconds."""

    def __init__(self, settings: WebSubSettings, book: Book) -> None:
        self._settings = settings
        self._book = book
        self._heard = {feed.url: Heard(feed.url) for feed in settings.feeds}

    def __getitem__(self, url: str) -> Heard:
        return self._heard[url]

    def due(self, now: float) -> list[FeedSettings]:
        """Return those that are asked for now; all where none answers, since whoever runs us has waited."""
        return [feed for feed in self._settings.feeds if self.error is not None or self._is_due(feed.url, now)]

    def _is_due(self, url: str, now: float) -> bool:
        """Whether a feed is asked for now: also before its lease is renewed, since it may name another hub by then."""
        ours = [one for one in self._book.awaiting(now) if one.feed == url and one.is_live(now) and not one.is_leaving]
        return min(self._due_at(url, now), *(one.due_at(now) for one in ours), math.inf) <= now + EARLY

    def _due_at(self, url: str, now: float) -> float:
        return self[url].due_at(self._settings, is_live=self._book.is_live(url, now))

    def next_at(self, now: float) -> float:
        """Return when the next of them is asked for."""
        return min(self._due_at(url, now) for url in self._heard)

    def forget(self) -> None:
        """Ask for all of them at once: it is not known what was kept of their answers."""
        for heard in self._heard.values():
            heard.asked_at = None

    @property
    def error(self) -> EarshotError | None:
        """Return why no feed answers, in the words of the first; None where one does."""
        errors = [heard.error for heard in self._heard.values()]
        return None if None in errors else errors[0]

    def counted(self, now: float) -> dict[str, int]:
        """Return how many are `pushed`, `polled`, `failing`."""
        count = dict.fromkeys(("pushed", "polled", "failing"), 0)
        for url, heard in self._heard.items():
            is_pushed = heard.is_trusted and self._book.is_live(url, now)
            count["failing" if heard.error is not None else "pushed" if is_pushed else "polled"] += 1
        return count
