"""How LinkedIn is asked, and what its errors mean. Pure.

Versions: https://learn.microsoft.com/linkedin/marketing/versioning. Each lives for about a year.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from connectors.answers import Answer
from connectors.reading import json_value
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError

TOKEN_URL: Final = "https://www.linkedin.com/oauth/v2/accessToken"  # noqa: S105 - an address
KEPT: Final = timedelta(days=60)  # how long LinkedIn keeps notifications


def headers(version: str) -> dict[str, str]:
    """Return what every request says about the form of its answer."""
    return {"LinkedIn-Version": version, "X-Restli-Protocol-Version": "2.0.0"}


def encoded(urn: str) -> str:
    """Return a name as it stands in an address: LinkedIn's own brackets and commas are signs there."""
    return quote(urn, safe="")


def organization_of(given: str) -> str:
    """Return the full name of an organisation that is given by its number or its name. Raises ValueError."""
    found = given.strip()
    if found.isdecimal():
        return f"urn:li:organization:{found}"
    if found.startswith(("urn:li:organization:", "urn:li:organizationBrand:")) and found.rpartition(":")[2].isdecimal():
        return found
    raise ValueError(f"{given!r} is no organisation: write its number, as in linkedin.com/company/12345/admin")


def meaning(answer: Answer, now: datetime) -> EarshotError | None:
    """Return what an error of LinkedIn's means; None where its status says as much."""
    if answer.status < 400:
        return None
    try:
        body: Any = json_value(answer.body[:20_000])
        code, said = str(body.get("code") or body.get("serviceErrorCode") or ""), str(body.get("message") or "")
    except (ValueError, AttributeError):
        return None
    if answer.status == 426 or code == "NONEXISTENT_VERSION":
        return SourceRefusedError(
            "LinkedIn no longer has this version of its API — set `version` to a month of the last year, such as 202609"
        )
    if answer.status == 429 and " DAY " in f" {said} " and "retry-after" not in answer.headers:
        return RateLimitedError("the app's or the member's calls of this day are used up", until_midnight(now))
    return None


def until_midnight(now: datetime) -> float:
    """Return the seconds until a new day of UTC begins."""
    there = now.astimezone(UTC)
    return ((there + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0) - there).total_seconds()
