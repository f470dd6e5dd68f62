"""What an entry of the App Store says, as a mention. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from connectors import reading
from connectors.appstore.entries import Row
from connectors.base import mention
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating

SOURCE: Final = "appstore"


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an entry is; None for the app itself, which may be the first one and has no rating."""
    if "im:rating" not in row:
        return None
    link = row.get("link") or ""
    stars = float(row["im:rating"])
    if not 1 <= stars <= 5:
        raise ValueError
    in_store = re.search(r"//[^/]+/([a-z]{2})/review\?.*?\bid=(\d+)", link)
    country = row.get("earshot_country") or (in_store and in_store[1])
    app = row.get("earshot_app") or (in_store and in_store[2])
    if not link and app and country:  # App Store Connect gives no address: that of the app's reviews
        link = f"https://apps.apple.com/{country}/app/id{app}?see-all=reviews"
    time = reading.timestamp(row.get("updated"))
    who, version = row.get("uri"), row.get("im:version")
    return mention(
        SOURCE,
        row["id"],
        created_at=time,
        now=now,
        text=row.get("content"),
        title=row.get("title") or None,
        # The feed gives one time only: that of the writing or of the last edit.
        revision=int(time.timestamp() * 1000) if time else 0,
        kind=Kind.REVIEW,
        url=link or None,
        author=Author(id=who, name=row.get("name"), url=who) if who or row.get("name") else None,
        rating=Rating(value=stars, best=5.0, worst=1.0),
        engagement=Engagement(likes=reading.whole(row.get("im:voteSum")), replies=row.get("replies")),
        subject=app,
        tags=[*([f"version-{version}"] if version else []), *([f"country-{country}"] if country else [])],
    )
