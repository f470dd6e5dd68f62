"""What Google Play says of a review, as a mention. Pure.

Fields: https://developers.google.com/android-publisher/api-ref/rest/v3/reviews.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from urllib.parse import quote

from connectors import reading
from connectors.base import mention
from connectors.newest import Row
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating

SOURCE: Final = "google-play"
PACKAGE: Final = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)+")
STORE: Final = "https://play.google.com/store/apps/details"


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that a review is, None where it is none; the developer's answers in it are not what customers say."""
    said = _said(row)
    if "reviewId" not in row or said is None:
        return None
    title, tab, text = str(said.get("originalText") or said.get("text") or "").partition("\t")
    if not tab:
        title, text = "", title
    is_package = PACKAGE.fullmatch(str(row.get("earshot_app"))) is not None
    app, at, stars = row.get("earshot_app"), _instant(said), said.get("starRating")
    language = str(said.get("reviewerLanguage") or "")
    tags = (
        ("version", said.get("appVersionName") or said.get("appVersionCode")),
        ("android", said.get("androidOsVersion")),
        ("device", said.get("device")),
    )
    return mention(
        SOURCE,
        row["reviewId"],
        created_at=at,
        now=now,
        text=text.strip(),
        title=title.strip() or None,
        # One time only is given: that of the writing or of the last edit.
        revision=int(at.timestamp() * 1000) if at else 0,
        kind=Kind.REVIEW,
        # The reviewer's device has this language, which is not always that of the words.
        language=language.replace("_", "-").split("-")[0].lower() or None,
        url=f"{STORE}?id={app}&reviewId={quote(str(row['reviewId']))}" if is_package else None,
        author=Author(name=str(row["authorName"])) if row.get("authorName") else None,
        rating=Rating(value=float(stars), best=5.0, worst=1.0) if isinstance(stars, int) and 1 <= stars <= 5 else None,
        engagement=_engagement(said),
        subject=app,
        tags=[f"{name}-{value}".lower().replace(" ", "-") for name, value in tags if value],
        links=reading.addresses(text),
    )


def _said(row: Row) -> Row | None:
    """Return what the customer says in a review, the last of it; None where there is nothing of him."""
    comments = row.get("comments")
    parts = comments if isinstance(comments, list) else ()
    said = [one["userComment"] for one in parts if isinstance(one, dict) and isinstance(one.get("userComment"), dict)]
    return said[-1] if said else None


def _instant(said: Row) -> datetime | None:
    at = said.get("lastModified")
    if not isinstance(at, dict):
        return reading.timestamp(at)
    seconds = reading.timestamp(at.get("seconds"))
    nanos = reading.whole(at.get("nanos")) or 0
    return None if seconds is None else seconds.replace(microsecond=min(999_999, nanos // 1000))


def time_of(row: Row) -> float | None:
    """Return when a review was written or last changed, in epoch seconds; None where it does not say."""
    said = _said(row)
    at = None if said is None else _instant(said)
    return None if at is None else at.timestamp()


def _engagement(said: Row) -> Engagement | None:
    likes = reading.whole(said.get("thumbsUpCount"))
    return None if likes is None else Engagement(likes=likes)
