"""App Store Connect, the developers' API: its questions, and where an answer goes on. Pure.

API: https://developer.apple.com/documentation/appstoreconnectapi/get-v1-apps-_id_-customerreviews.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from connectors.appstore.territories import TERRITORIES

AUDIENCE: Final = "appstoreconnect-v1"
LIFETIME: Final = 1_200  # seconds of a token; Apple takes none that lives longer
PAGE: Final = 200  # reviews of one answer at the most


def claims(issuer: str | None) -> dict[str, str]:
    """Return what a token states: a team's key has an issuer, a person's own has none."""
    return {"aud": AUDIENCE, **({"iss": issuer} if issuer else {"sub": "user"})}


def params(countries: Iterable[str], at: str | None) -> dict[str, str]:
    """Return the question for the newest reviews, or for the page that an answer named."""
    if at is not None:
        return dict(parse_qsl(at))
    wanted = ",".join(TERRITORIES.get(country, country.upper()) for country in countries)
    filtered = {"filter[territory]": wanted} if wanted else {}
    return {"sort": "-createdDate", "limit": str(PAGE), "include": "response", **filtered}


def following(body: Mapping[str, Any]) -> str | None:
    """Return the query of the next page; None at the end. The address before it is not followed: we know ours."""
    links = body.get("links")
    address = links.get("next") if isinstance(links, dict) else None
    return urlsplit(address).query or None if isinstance(address, str) else None
