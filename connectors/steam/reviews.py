"""What Steam says of a review, as a mention. Pure.

Fields: https://partner.steamgames.com/doc/webapi/IUserReviewsService.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from connectors.base import mention
from connectors.newest import Row
from connectors.reading import timestamp, whole
from connectors.steam.languages import LANGUAGES
from connectors.steam.markup import plain
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating, State

SOURCE: Final = "steam"
COMMUNITY: Final = "https://steamcommunity.com/profiles"
MARKS: Final = {
    "written_during_early_access": "early-access",
    "received_for_free": "received-for-free",
    "primarily_steam_deck": "steam-deck",
    "refunded": "refunded",
}
"""What the API says of a review in a field of its own, and the tag for it."""


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that a review is, None where it is none: a thumb up or down is a rating of 1 or 0."""
    if not {"recommendationid", "review"} <= row.keys():
        return None
    rich, author = plain(row["review"]), row.get("author") or {}
    created, changed = timestamp(row.get("timestamp_created")), timestamp(row.get("timestamp_updated"))
    is_edited = created is not None and changed is not None and changed > created
    return mention(
        SOURCE,
        row["recommendationid"],
        created_at=created or changed,
        now=now,
        text=rich.text,
        revision=int(changed.timestamp() * 1000) if changed and is_edited else 0,
        state=State.EDITED if is_edited else None,
        kind=Kind.REVIEW,
        language=LANGUAGES.get(str(row.get("language"))),
        url=_address(author, row.get("earshot_app")),
        author=_author(author),
        rating=Rating(value=float(bool(row["voted_up"])), best=1.0, worst=0.0) if "voted_up" in row else None,
        engagement=Engagement(
            likes=whole(row.get("votes_up")),
            replies=(whole(row.get("comment_count")) or 0) + bool(row.get("developer_response")),
        ),
        subject=row.get("earshot_app"),
        tags=list(_tags(row, author)),
        links=rich.links,
    )


def time_of(row: Row) -> float | None:
    """Return when a review was written or last changed, in epoch seconds; None where it does not say."""
    at = timestamp(row.get("timestamp_updated") or row.get("timestamp_created"))
    return None if at is None else at.timestamp()


def _author(author: Row) -> Author | None:
    who = author.get("steamid")
    return Author(id=str(who), name=author.get("personaname") or None, url=f"{COMMUNITY}/{who}") if who else None


def _address(author: Row, app: str | None) -> str | None:
    """Return where a review can be read: beside the author's others, where the answer does not say of which game."""
    who = author.get("steamid")
    return f"{COMMUNITY}/{who}/recommended/{app or ''}" if who else None


def _tags(row: Row, author: Row) -> Iterator[str]:
    minutes = whole(author.get("playtime_at_review"))
    if minutes is not None:
        yield f"played-{minutes // 60}h"
    yield from (tag for name, tag in MARKS.items() if row.get(name) is True)
    if row.get("steam_purchase") is False:
        yield "not-bought-on-steam"
