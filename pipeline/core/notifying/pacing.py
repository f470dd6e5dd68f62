"""When to try a receiver again, and when to stop. Arithmetic only; durations in seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

FIRST_BACKOFF: Final = 1.0
MAX_BACKOFF: Final = 60.0
JITTER: Final = 0.2  # share of a wait that chance moves it by
MAX_RETRY_AFTER: Final = 900.0  # a receiver that asks for more is asked again after this
MIN_TRIES: Final = 5  # an alert that is old already when it is read is still tried this often
AGAIN: Final = 600.0  # a receiver that was given up is told again after this, while the incident fires


def backoff(tries: int, chance: float) -> float:
    """Return how long to wait after that many failures; `chance` is in [0, 1)."""
    wait: float = min(FIRST_BACKOFF * 2.0 ** min(tries - 1, 16), MAX_BACKOFF)
    return wait * (1 + JITTER * (2 * chance - 1))


def is_exhausted(tries: int, since: datetime, give_up_after: float, now: datetime) -> bool:
    """Return whether what was written at `since` has been tried long and often enough."""
    return tries >= MIN_TRIES and (now - since).total_seconds() >= give_up_after


class Waits:
    """Until when receivers have asked not to be called. Shared by everything that calls them."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def ask(self, receiver: str, seconds: float, now: datetime) -> None:
        """Remember that a receiver asks to wait."""
        until = now + timedelta(seconds=min(seconds, MAX_RETRY_AFTER))
        self._until[receiver] = max(until, self._until.get(receiver, until))

    def is_over(self, receiver: str, now: datetime) -> bool:
        """Return whether the receiver may be called."""
        return self._until.get(receiver, now) <= now


def repetition(since: datetime, every: float, now: datetime) -> int:
    """Return the number of the latest repetition that is due; the same before and after a restart."""
    return max(0, int((now - since).total_seconds() // every)) if every > 0 else 0
