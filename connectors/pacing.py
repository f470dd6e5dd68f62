"""When to ask again: arithmetic only, no clock and no dice of its own.

Sources say how long to wait in many forms: seconds, an HTTP date, epoch seconds or milliseconds, an ISO instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MOST_WAIT: Final = 6 * 3600.0  # seconds; no source is given up for longer, whatever it asks
_EPOCH: Final = 1_000_000_000.0  # a larger number of seconds is an instant, not a span
_EPOCH_MS: Final = 100_000_000_000.0
_PREFIXES: Final = ("x-ratelimit-", "ratelimit-", "x-rate-limit-")


@dataclass(frozen=True, slots=True)
class Quota:
    """What a source says about its rate limit. `resets_in` is in seconds. Unsaid parts are None."""

    limit: float | None = None
    remaining: float | None = None
    resets_in: float | None = None

    @property
    def share(self) -> float | None:
        """The share of the limit that is left, 0 to 1."""
        if not self.limit or self.remaining is None:
            return None
        return min(1.0, max(0.0, self.remaining / self.limit))


def seconds_until(value: str | None, now: datetime) -> float | None:
    """Return how many seconds a header asks to wait, None where it says nothing readable.

    Understands a number of seconds, epoch seconds, epoch milliseconds, an HTTP date and an ISO instant. Never
    negative, never more than `MOST_WAIT`.
    """
    text = (value or "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        at = _instant(text)
        return None if at is None else _bounded((at - now).total_seconds())
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        return None
    if number >= _EPOCH_MS:
        number /= 1000.0
    return _bounded(number - now.timestamp() if number >= _EPOCH else number)


def quota(headers: Mapping[str, str], now: datetime) -> Quota | None:
    """Return the rate limit that an answer's headers tell of, None where there is none. Names are lower-case."""
    for prefix in _PREFIXES:
        limit, remaining = _number(headers.get(prefix + "limit")), _number(headers.get(prefix + "remaining"))
        resets_in = seconds_until(headers.get(prefix + "reset"), now)
        if limit is not None or remaining is not None:
            used = _number(headers.get(prefix + "used"))
            if limit is None and remaining is not None and used is not None:
                limit = remaining + used
            return Quota(limit, remaining, resets_in)
    return None


def backoff(failures: int, random: float, *, base: float = 1.0, most: float = 300.0) -> float:
    """Return seconds to wait after so many failures in a row: doubled each time, half of it random (0 to 1)."""
    full = min(most, base * 2.0 ** min(max(failures, 1) - 1, 32))
    return full * (0.5 + 0.5 * random)


def idle(interval: float, empty: int, *, most: float = 4.0) -> float:
    """Return seconds to wait after so many empty answers in a row: a quarter slower each, at most `most` times."""
    return float(interval * min(most, 1.25 ** max(0, empty - 1)))


def within(wait: float, found: Quota | None) -> float:
    """Return `wait`, or longer where the source's rate limit asks for it: what is left is spread until the reset."""
    if found is None or found.remaining is None or found.resets_in is None:
        return wait
    if found.remaining < 1:
        return max(wait, found.resets_in)
    return max(wait, found.resets_in / found.remaining) if found.remaining < 10 else wait


def _bounded(seconds: float) -> float:
    return min(MOST_WAIT, max(0.0, seconds))


def _number(text: str | None) -> float | None:
    """Read `100` and `100, 100;w=60`."""
    try:
        number = float((text or "").split(",")[0].split(";")[0].strip())
    except ValueError:
        return None
    return number if 0 <= number < _EPOCH else None


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
