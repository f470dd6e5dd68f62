"""What Facebook says, as mentions: posts, comments, recommendations, and the changes its webhooks tell of. Pure.

Fields: https://developers.facebook.com/docs/graph-api/reference/page-post, …/comment, …/recommendation; of webhooks:
https://developers.facebook.com/docs/graph-api/webhooks/reference/page.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from connectors import reading
from connectors.base import mention
from connectors.graph import Row, asked_for, hash_tags, heard_at
from connectors.reading import timestamp, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention, Rating, State

SOURCE: Final = "facebook"
SITE: Final = "https://www.facebook.com"
POST_FIELDS: Final = (
    "id,message,created_time,updated_time,permalink_url,from,shares,attachments{type,url,unshimmed_url},"
    "comments.limit(0).summary(total_count),reactions.limit(0).summary(total_count)"
)
COMMENT_FIELDS: Final = "id,message,created_time,permalink_url,from,parent{id},like_count,comment_count,is_private"
RATING_FIELDS: Final = "created_time,has_rating,rating,recommendation_type,review_text,reviewer,open_graph_story{id}"

_OF_COMMENTS: Final = ("comment_count", "like_count", "parent", "can_reply_privately", "is_private")
_OWN: Final = ("posts", "published_posts")  # listings of what the Page or person wrote, and nobody else
_CHANGED: Final = ("edit", "edited", "update")  # Meta writes now this, now that
_ITEMS: Final = ("post", "status", "photo", "video", "share", "link", "album", "event", "note", "comment", "rating")
_RECOMMENDED: Final = {"positive": 1.0, "negative": 0.0}


def rows(value: Any, above: Row | None = None, depth: int = 0) -> Iterator[Row]:
    """Yield the objects of an answer; comments with the post they are under, where it is told."""
    if depth > reading.MAX_DEPTH:
        return
    if isinstance(value, list):
        for one in value:
            yield from rows(one, above, depth + 1)
    if not isinstance(value, dict):
        return
    yield {**(above or {}), **value}
    asked = asked_for(value)
    for key, inner in value.items():
        if not isinstance(inner, dict | list):
            continue
        around = above if key == "data" else None
        if key == "comments":
            around = {"earshot_post": value["id"]} if _is_post(value) else above
        elif key == "data" and asked is not None and asked[1] == "comments":
            around = {"earshot_post": asked[0]}
        elif key == "data" and asked is not None and asked[1] in _OWN:
            around = {"from": {"id": asked[0]}}
        yield from rows(inner, around, depth + 1)


def _is_post(row: Row) -> bool:
    """Whether an object is a post; a comment may have comments of its own."""
    return bool(row.get("id") and row.get("created_time")) and not any(key in row for key in _OF_COMMENTS)


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object or a change is; None where it is another kind, or has no words."""
    if "verb" in row or row.get("earshot_field") in ("feed", "mention", "ratings"):
        return _from_change(row, now)
    if any(key in row for key in ("review_text", "recommendation_type", "has_rating")):
        return _recommendation(row, now)
    if not isinstance(row.get("message"), str) or not row["message"] or not row.get("created_time"):
        return None
    return None if row.get("is_private") is True else _text(row, now)


def _text(row: Row, now: datetime, **more: Any) -> Mention | None:
    link = str(row.get("permalink_url") or "") or None
    page, post, comment, reply = _named(link)
    is_comment = bool(row.get("earshot_post") or comment or any(key in row for key in _OF_COMMENTS))
    is_message = str(row.get("id")).startswith("m_")  # of Messenger: it has no address
    made = f"{post}_{reply or comment}" if comment else f"{page}_{post}"
    native = row.get("id") or (made if post and page else None)
    if native is None:
        return None
    above = _above(row, str(native), link) if is_comment else None
    parent = (row.get("parent") or {}).get("id") or (f"{post}_{comment}" if reply else None) or above
    return mention(
        SOURCE,
        native,
        created_at=timestamp(row["created_time"]),
        now=now,
        text=row["message"],
        kind=Kind.MESSAGE if is_message else Kind.COMMENT if is_comment else Kind.POST,
        url=link or (None if is_message else f"{SITE}/{native}"),
        author=_author(row.get("from")),
        conversation=f"{SOURCE}:{above}" if above else None,
        in_reply_to=f"{SOURCE}:{parent}" if parent else None,
        engagement=_engagement(row),
        subject=row.get("earshot_page"),
        tags=hash_tags(row["message"]),
        links=(*reading.addresses(row["message"]), *_shared(row)),
        **more,
    )


def _above(row: Row, native: str, link: str | None) -> str:
    """Return the id of the post a comment is under: as it was asked for, or as its address and its own id tell."""
    page, post, _, _ = _named(link)
    if row.get("earshot_post"):
        return str(row["earshot_post"])
    return f"{page}_{post}" if page and page.isdecimal() and post else native.split("_", maxsplit=1)[0]


def _named(link: str | None) -> tuple[str | None, str | None, str | None, str | None]:
    """Return Page, post, comment and reply that an address names; None for each that it does not."""
    try:
        address = urlsplit(link or "")
        asked = parse_qs(address.query)
    except ValueError:
        return None, None, None, None
    found = re.search(r"^/([^/]+)/posts/(?:[^/]+/)?(\w+)", address.path)
    names = ("id", "story_fbid", "comment_id", "reply_comment_id")
    page, post, comment, reply = (asked[name][0] if name in asked else None for name in names)
    return (found[1], found[2], comment, reply) if found else (page, post, comment, reply)


def _author(who: Any) -> Author | None:
    if not isinstance(who, dict) or not (who.get("id") or who.get("name")):
        return None
    native = str(who["id"]) if who.get("id") else None
    return Author(id=native, name=who.get("name") or None, url=f"{SITE}/{native}" if native else None)


def _count(row: Row, name: str) -> int | None:
    """Return what a part of a post counts: a total, or a number."""
    part = row.get(name)
    summary = part.get("summary") if isinstance(part, dict) else None
    return whole(summary.get("total_count")) if isinstance(summary, dict) else None


def _engagement(row: Row) -> Engagement | None:
    likes, replies = whole(row.get("like_count")), whole(row.get("comment_count"))
    likes = next((found for name in ("reactions", "likes") if (found := _count(row, name)) is not None), likes)
    replies = replies if _count(row, "comments") is None else _count(row, "comments")
    shares = whole((row.get("shares") or {}).get("count"))
    counted = (likes, replies, shares)
    return None if counted == (None, None, None) else Engagement(likes=likes, replies=replies, shares=shares)


def _shared(row: Row) -> Iterator[str]:
    """Yield where the links of a post lead: those that leave Facebook."""
    attachments = row.get("attachments")
    found = attachments.get("data") if isinstance(attachments, dict) else None
    for one in found if isinstance(found, list) else ():
        address = str(one.get("unshimmed_url") or one.get("url") or "")
        host = urlsplit(address).hostname or "" if address.startswith("http") else ""
        if host and not host.endswith("facebook.com"):
            yield address


def _recommendation(row: Row, now: datetime) -> Mention | None:
    """Read a recommendation: yes or no with words, in older ones stars. It has no id but that of its story, if shown."""
    who = row.get("reviewer") or {}
    page, story = row.get("earshot_page") or "", (row.get("open_graph_story") or {}).get("id")
    # One person has one recommendation of a Page; who may not see the person has only when it was written.
    made = hashlib.sha256(f"{page} {who.get('id') or row['created_time']}".encode()).hexdigest()[:20]
    return _review(
        row,
        now,
        native=str(story or f"recommendation-{made}"),
        created_at=timestamp(row["created_time"]),
        text=row.get("review_text"),
        author=_author(who),
        url=f"{SITE}/{story}" if story else f"{SITE}/{page}/reviews" if page else None,
    )


def _review(row: Row, now: datetime, *, native: str, **more: Any) -> Mention | None:
    stars, word = row.get("rating"), str(row.get("recommendation_type") or "").lower()
    rating = None
    if row.get("has_rating") is not False and isinstance(stars, int | float) and 1 <= stars <= 5:
        rating = Rating(value=float(stars), best=5.0, worst=1.0)
    elif word in _RECOMMENDED:
        rating = Rating(value=_RECOMMENDED[word], best=1.0, worst=0.0)
    if rating is None and not more.get("text"):
        return None
    return mention(
        SOURCE,
        native,
        now=now,
        kind=Kind.REVIEW,
        rating=rating,
        subject=row.get("earshot_page") or row.get("earshot_account"),
        tags=hash_tags(more.get("text")),
        links=reading.addresses(more.get("text")),
        **more,
    )


def _from_change(row: Row, now: datetime) -> Mention | None:
    """Return what a webhook's change says about a text; None where it is about something else, or tells no words."""
    item, verb = str(row.get("item") or ""), str(row.get("verb") or "add")
    native = native_of(row)
    told_at = heard_at(row) or timestamp(row.get("created_time")) or now
    if item not in _ITEMS or native is None:
        return None
    revision = int(told_at.timestamp() * 1000)
    above = row.get("post_id") if item == "comment" else None
    thread = f"{SOURCE}:{above}" if above else None
    if verb in ("remove", "delete"):  # by whom is not told
        return mention(
            SOURCE,
            native,
            created_at=timestamp(row.get("created_time")) or told_at,
            now=now,
            state=State.DELETED,
            revision=revision,
            kind=Kind.COMMENT if item == "comment" else Kind.REVIEW if item == "rating" else Kind.POST,
            conversation=thread,
        )
    if verb not in ("add", *_CHANGED):
        return None
    edit = {"state": State.EDITED, "revision": revision} if verb in _CHANGED else {}
    who = row.get("from") or {
        "id": row.get("sender_id") or row.get("reviewer_id"),
        "name": row.get("sender_name") or row.get("reviewer_name"),
    }
    created_at = timestamp(row.get("created_time")) or told_at
    if item == "rating":
        words = row.get("review_text") or row.get("message")
        return _review(row, now, native=native, created_at=created_at, text=words, author=_author(who), **edit)
    if not isinstance(row.get("message"), str) or not row["message"]:
        return None
    address = (row.get("post") or {}).get("permalink_url") or row.get("permalink_url")
    made = {
        "id": native,
        "message": row["message"],
        "created_time": created_at.isoformat(),
        "permalink_url": address if item != "comment" else row.get("permalink_url"),
        "from": who,
        "earshot_post": above,
        "earshot_page": row.get("earshot_account"),
    }
    parent = row.get("parent_id")
    if item == "comment" and parent and parent != above:
        made["parent"] = {"id": parent}
    shared = row.get("link")
    if isinstance(shared, str) and item in ("share", "link"):
        made["attachments"] = {"data": [{"url": shared}]}
    return _text(made, now, **edit)


def native_of(row: Row) -> str | None:
    """Return the id of the text that a change is about; None where it names none."""
    named = {"comment": "comment_id", "rating": "open_graph_story_id"}.get(str(row.get("item")), "post_id")
    found = row.get(named)
    return str(found) if found else None
