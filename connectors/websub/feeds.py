"""What is known of a feed while we run: when it was asked, whether it answers, whether its hub keeps its word. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from connectors import pacing
from connectors.websub.settings import WebSubSettings
from pipeline.contract.errors import EarshotError
from pipeline.contract.events import Mention

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
