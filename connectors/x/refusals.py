"""What X says when it does not give what was asked for: a used-up plan, posts that are gone or hidden. Pure.

https://docs.x.com/x-api/fundamentals/response-codes-and-errors
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.answers import Answer
from connectors.reading import json_value
from pipeline.contract.errors import EarshotError, RateLimitedError


def meaning(answer: Answer, now: datetime) -> EarshotError | None:
    """Return what an answer means by what it says; None where its status says as much."""
    if answer.status not in (402, 403, 429):
        return None
    try:
        body: Any = json_value(answer.body[:20_000])
        said = f"{body.get('type')} {body.get('title')}"
    except (ValueError, AttributeError):
        return None
    if "usage-capped" in said or "UsageCapExceeded" in said:
        return RateLimitedError("the posts that the account's plan may read are used up", until_midnight(now))
    return None


def until_midnight(now: datetime) -> float:
    """Return the seconds until a new day of UTC begins: plans are counted in days and months of it."""
    there = now.astimezone(UTC)
    return ((there + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - there).total_seconds()


def absent(body: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the ids that X says are not there, and those that it may not show: of protected or suspended accounts."""
    gone, hidden = [], []
    for error in body.get("errors") or ():
        if not isinstance(error, dict) or error.get("resource_type", "tweet") not in ("tweet", "post"):
            continue
        native, kind = str(error.get("resource_id") or error.get("value") or ""), str(error.get("type") or "")
        if kind.endswith("/resource-not-found"):
            gone.append(native)
        elif kind.endswith("/not-authorized-for-resource"):
            hidden.append(native)
    return gone, hidden
