"""What YouTube's errors mean: the status says little, the reason in the body says it. Pure.

https://developers.google.com/youtube/v3/docs/errors
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.http import Answer
from connectors.reading import json_value
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError

PACIFIC: Final = "America/Los_Angeles"  # where a day of units ends
SPENT: Final = ("quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg")
TOO_FAST: Final = ("rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED")
GONE: Final = ("commentsDisabled", "videoNotFound", "channelNotFound", "parentCommentNotFound", "commentNotFound")
STALE: Final = ("invalidPageToken",)


class GoneError(SourceRefusedError):
    """A video, channel or comment is not there, or takes no comments."""


class StaleTokenError(SourceRefusedError):
    """The token of a page is not known any more: the walk begins anew."""


def meaning(answer: Answer, now: datetime) -> EarshotError | None:
    """Return what an answer means by the reason it gives; None where it gives none that says more than its status."""
    if answer.status < 400:
        return None
    found = reasons(answer.body)
    if found & {*SPENT}:
        return RateLimitedError("the day's units of this project are used up", until_midnight(now))
    if found & {*TOO_FAST}:
        return RateLimitedError("YouTube asks for fewer requests a minute", 60.0)
    if found & {*STALE}:
        return StaleTokenError("the page is not known any more")
    if found & {*GONE}:
        what = ", ".join(sorted(found & {*GONE}))
        return GoneError(f"YouTube has no comments to show there ({what}) — look at the ids in this source's settings")
    return None


def reasons(body: bytes) -> set[str]:
    """Return the reasons in the body of an error; none where it has none."""
    try:
        error: Any = json_value(body[:50_000])["error"]
        given = [*(error.get("errors") or ()), *(error.get("details") or ())]
        return {str(one.get("reason")) for one in given if isinstance(one, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def until_midnight(now: datetime) -> float:
    """Return the seconds until the units of a new day are there, in Mountain View."""
    local = now.astimezone(ZoneInfo(PACIFIC))
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1.0, (midnight.astimezone(UTC) - now).total_seconds())
