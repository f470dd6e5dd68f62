"""When to ask a source again. Arithmetic only: the clock and chance come in as arguments, nothing here waits.

Rate limits in the dialects of the platforms: seconds until the reset (Reddit), epoch seconds (X, Bluesky, GitHub),
epoch milliseconds, ISO 8601 (Mastodon, Yelp), an HTTP date, `Retry-After` as a number or a date (RFC 9110, 10.2.3), the
one field `RateLimit` of the IETF drafts (draft-ietf-httpapi-ratelimit-headers), old form and new, one field for the
last hour (Apple), and percentages of what may be used within an hour (Meta).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

MAX_WAIT: Final = 6 * 3600.0  # a source that asks for more is asked again after this
FIRST_BACKOFF: Final = 1.0
MAX_BACKOFF: Final = 300.0
IDLE_GROWTH: Final = 1.25
JITTER: Final = 0.1  # share of a wait that chance moves it by, so that many instances do not ask at once
TIGHT: Final = 0.2  # below this share of a rate limit, what is left is spread until its reset

USAGE_WINDOW: Final = 3600.0  # https://developers.facebook.com/docs/graph-api/overview/rate-limiting: a rolling hour
_USAGES: Final = ("x-app-usage", "x-page-usage", "x-business-use-case-usage")
_PREFIXES: Final = ("x-ratelimit-", "ratelimit-", "x-rate-limit-")
_FIELD: Final = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|r|t)\s*=\s*(\d{1,18})(?![\d.])")
# A number of seconds is smaller than any epoch of this century; epoch milliseconds are larger than any in seconds.
_EPOCH: Final = 1_000_000_000
_EPOCH_MS: Final = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Quota:
    """What a source says about its rate limit: how many requests are left until when.

    One that `is_rolling` counts the time before each answer: no two answers speak of the same window.
    """

    remaining: float
    reset_at: datetime
    limit: float | None = None
    is_rolling: bool = field(default=False, compare=False)

    @property
    def share(self) -> float | None:
        """The share that is left, 0 to 1; None where the source does not say of how many."""
        return None if not self.limit else max(0.0, min(1.0, self.remaining / self.limit))


def seconds_until(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` or reset value asks to wait, at most MAX_WAIT; None if unreadable."""
    until = None if value is None else instant(value, now)
    return None if until is None else min(MAX_WAIT, max(0.0, (until - now).total_seconds()))


def instant(value: str, now: datetime) -> datetime | None:
    """Return the instant a reset header means, in whichever dialect; None where it is none of them."""
    value = value.strip()
    try:
        number = float(value)
    except ValueError:
        return _date(value)
    try:
        if not math.isfinite(number):
            return None
        if number >= _EPOCH_MS:
            return datetime.fromtimestamp(number / 1000, UTC)
        if number >= _EPOCH:
            return datetime.fromtimestamp(number, UTC)
        return now + timedelta(seconds=max(0.0, number))
    except (OverflowError, ValueError, OSError):
        return None


def _date(value: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(value)
            return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def quota(headers: Mapping[str, str], now: datetime) -> Quota | None:
    """Return what the rate limit headers say, None where there are none. Header names are lower-case."""
    for prefix in _PREFIXES:
        remaining = _number(headers.get(f"{prefix}remaining"))
        reset = headers.get(f"{prefix}reset") or headers.get(f"{prefix}resettime")
        reset_at = instant(reset, now) if reset else None
        if remaining is None or reset_at is None:
            continue
        limit, used = _number(headers.get(f"{prefix}limit")), _number(headers.get(f"{prefix}used"))
        if limit is None:
            limit = _number(headers.get(f"{prefix}dailylimit"))  # Yelp, which may ration one kind of question more
            scarce = _number(headers.get(f"{prefix}resourceremaining"))
            if scarce is not None and scarce < remaining:
                remaining, limit = scarce, _number(headers.get(f"{prefix}resourcedailylimit"))
        return Quota(remaining, reset_at, remaining + used if limit is None and used is not None else limit)
    named = _field(headers.get("ratelimit"), headers.get("ratelimit-policy"), now)
    return named or _hourly(headers.get("x-rate-limit"), now) or _usage(headers, now)


def _hourly(value: str | None, now: datetime) -> Quota | None:
    """Read Apple's `user-hour-lim:3500;user-hour-rem:500;`, which counts the last hour."""
    found = {name: float(number) for name, number in re.findall(r"user-hour-(lim|rem)\s*:\s*(\d{1,9})", value or "")}
    return Quota(found["rem"], now + timedelta(hours=1), found.get("lim"), is_rolling=True) if "rem" in found else None


def _usage(headers: Mapping[str, str], now: datetime) -> Quota | None:
    """Read what share of an hour's calls and times is used, in percent; the fullest of them counts.

    `estimated_time_to_regain_access` is in minutes and above 0 only for one who is shut out.
    """
    used, minutes = [], [0.0]
    for name in _USAGES:
        try:
            pending: list[Any] = [json.loads(headers.get(name) or "null")]
        except (ValueError, RecursionError):
            continue
        while pending:
            found = pending.pop()
            if isinstance(found, dict):
                used += [_share(found[key]) for key in ("call_count", "total_time", "total_cputime") if key in found]
                minutes.append(_share(found.get("estimated_time_to_regain_access")))
                pending.extend(found.values())
            elif isinstance(found, list):
                pending.extend(found)
    if not used:
        return None
    if max(minutes) > 0:
        return Quota(0.0, now + timedelta(minutes=max(minutes)), 100.0, is_rolling=True)
    return Quota(max(0.0, 100.0 - max(used)), now + timedelta(seconds=USAGE_WINDOW), 100.0, is_rolling=True)


def _share(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(1e6, max(0.0, number)) if math.isfinite(number) else 0.0


def _field(value: str | None, policy: str | None, now: datetime) -> Quota | None:
    """Read `limit=100, remaining=50, reset=30`, or `"default";r=50;t=30` with the limit in `RateLimit-Policy`."""
    found = {name: float(number) for name, number in _FIELD.findall((value or "").split(',"', 1)[0])}
    remaining, reset = found.get("remaining", found.get("r")), found.get("reset", found.get("t"))
    if remaining is None or reset is None:
        return None
    limit = found.get("limit")
    stated = re.search(r";\s*q=(\d{1,18})", policy or "")
    if limit is None and stated:
        limit = float(stated[1])
    reset_at = instant(f"{reset:.0f}", now)
    return None if reset_at is None else Quota(remaining, reset_at, limit)


def _number(value: str | None) -> float | None:
    """Read `100`, `598.0` or `100, 100;w=300`."""
    found = re.match(r"\s*(\d{1,18}(?:\.\d{1,18})?)", value or "")
    return float(found[1]) if found else None


def backoff(failures: int, chance: float, *, first: float = FIRST_BACKOFF, longest: float = MAX_BACKOFF) -> float:
    """Return the seconds to wait after so many failures in a row.

    The wait doubles each time up to `longest`; `chance`, from 0 to 1, takes up to half of it away, so that instances
    that failed together do not come back together.
    """
    whole: float = min(longest, first * 2.0 ** min(max(failures, 1) - 1, 30))
    return whole * (0.5 + chance / 2)


def idle(empty: int, interval: float, slowest: float, chance: float) -> float:
    """Return the seconds until the next poll after `empty` answers without anything new in a row."""
    whole: float = min(max(interval, slowest), interval * IDLE_GROWTH ** min(max(empty, 0), 60))
    return whole * (1 - JITTER + 2 * JITTER * chance)


def allowed_in(known: Quota | None, now: datetime) -> float:
    """Return the seconds until the source allows another request: 0 when it does now."""
    if known is None or known.remaining >= 1 or known.reset_at <= now:
        return 0.0
    return min(MAX_WAIT, (known.reset_at - now).total_seconds())


def within(wait: float, known: Quota | None, now: datetime) -> float:
    """Return the wait, made longer where little of the rate limit is left: that is spread until its reset."""
    if known is None or known.reset_at <= now:
        return wait
    left = min(MAX_WAIT, (known.reset_at - now).total_seconds())
    if known.remaining < 1:
        return max(wait, left)
    is_tight = known.remaining < 10 if known.share is None else known.share < TIGHT
    return max(wait, left / known.remaining) if is_tight else wait


def span(seconds: float) -> str:
    """Return a duration for people."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
