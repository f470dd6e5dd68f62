"""What LinkedIn says, as mentions: comments, posts, and notifications about them. Pure functions.

Comments: https://learn.microsoft.com/linkedin/marketing/community-management/shares/comments-api
Posts: https://learn.microsoft.com/linkedin/marketing/community-management/shares/posts-api
Notifications: https://learn.microsoft.com/linkedin/marketing/community-management/organizations/organization-social-action-notifications
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from connectors.base import mention
from connectors.reading import addresses, mapping, timestamp, whole
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

SOURCE: Final = "linkedin"
SITE: Final = "https://www.linkedin.com"
HEARD: Final = ("COMMENT", "COMMENT_EDIT", "COMMENT_DELETE", "SHARE", "SHARE_MENTION")
"""What notifications are asked for; those of likes, and of the page's own comments, bring no text of others."""

Row = dict[str, Any]

_COMMENT: Final = re.compile(r"urn:li:comment:\((?:urn:li:)?(\w+):(\d+),(\d+)\)")
_POST: Final = re.compile(r"urn:li:(?:share|ugcPost|activity|groupPost):(\d+)")
_TAG: Final = re.compile(r"(?<![\w#&/])#(\w+)")
_HASHTAG: Final = re.compile(r"\{hashtag\|\\?(#)\|([^}]*)\}")
_NAMED: Final = re.compile(r"@\[((?:[^\]\\]|\\.)*)\]\(urn:li:[^)]*\)")
_ESCAPED: Final = re.compile(r"\\([\\|{}@\[\]()<>#*_~])")
_EPOCH: Final = datetime(2003, 5, 5, tzinfo=UTC)  # LinkedIn's first day: an id that says an earlier time holds none


def to_mention(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object of LinkedIn's is; None where it is none."""
    if "action" in row and "generatedActivity" in row:
        return _notified(row, now)
    if isinstance(row.get("message"), dict) and isinstance(row["message"].get("text"), str):
        return _comment(row, now)
    return _post(row, now)


def comment_urn(row: Mapping[str, Any]) -> str | None:
    """Return the name of a comment, in the one form that all answers agree on; None where there is none."""
    given = row.get("commentUrn") or row.get("$URN") or row.get("entity") or row.get("generatedActivity")
    found = _COMMENT.fullmatch(str(given or ""))
    if found:
        return f"urn:li:comment:(urn:li:{found[1]}:{found[2]},{found[3]})"
    native, thread = row.get("id"), row.get("object")
    return f"urn:li:comment:({thread},{native})" if native and _POST.fullmatch(str(thread or "")) else None


def thread_of(urn: str) -> str | None:
    """Return the post that a comment is under, by the comment's name."""
    found = _COMMENT.fullmatch(urn)
    return f"urn:li:{found[1]}:{found[2]}" if found else None


def number_of(urn: str) -> str | None:
    """Return the number of a comment, or of a post, by its name."""
    found = _COMMENT.fullmatch(urn)
    if found:
        return found[3]
    post = _POST.fullmatch(urn)
    return post[1] if post else None


def time_of(urn: str) -> datetime | None:
    """Return when what has this name was made: its number holds epoch milliseconds above 22 bits."""
    number = number_of(urn)
    if number is None or len(number) > 19:
        return None
    at = timestamp((int(number) >> 22) / 1000)
    return at if at is not None and at >= _EPOCH else None


def _comment(row: Row, now: datetime) -> Mention | None:
    urn = comment_urn(row)
    native = urn or (str(row["id"]) if row.get("id") else None)
    text = row["message"]["text"]
    if native is None or not text.strip():
        return None
    made = timestamp((row.get("created") or {}).get("time"))
    changed = timestamp((row.get("lastModified") or {}).get("time"))
    likes, answers = row.get("likesSummary") or {}, row.get("commentsSummary") or {}
    return _said(
        native,
        text,
        made or time_of(native),
        now,
        who=row.get("actor") or (row.get("created") or {}).get("actor"),
        named=row.get("actor~"),
        changed=changed,
        thread=thread_of(native) or row.get("object"),
        parent=row.get("parentComment"),
        engagement=Engagement(
            likes=whole(likes.get("totalLikes", likes.get("aggregatedTotalLikes"))),
            replies=whole(answers.get("aggregatedTotalComments", answers.get("totalFirstLevelComments"))),
        ),
    )


def _said(
    native: str,
    text: str,
    made: datetime | None,
    now: datetime,
    *,
    who: Any,
    thread: Any,
    named: Any = None,
    changed: datetime | None = None,
    parent: Any = None,
    **more: Any,
) -> Mention:
    """Return a comment; `thread` is the post it is under, `parent` the comment it answers."""
    above = (comment_urn({"commentUrn": parent}) if parent else None) or thread
    is_edited = made is not None and changed is not None and (changed - made).total_seconds() >= 1
    link = f"{SITE}/feed/update/{thread}?commentUrn={quote(native, safe='')}" if thread else None
    return mention(
        SOURCE,
        native,
        created_at=made,
        now=now,
        text=text,
        kind=Kind.COMMENT,
        state=State.EDITED if is_edited else None,
        revision=int(changed.timestamp() * 1000) if is_edited and changed else 0,
        url=link,
        author=_author(who, named),
        conversation=f"{SOURCE}:{thread}" if thread else None,
        in_reply_to=f"{SOURCE}:{above}" if above else None,
        tags=[tag.lower() for tag in _TAG.findall(text)],
        links=addresses(text),
        **more,
    )


def _notified(row: Row, now: datetime) -> Mention | None:
    """Return what a notification tells of: a comment, its edit or end, or a post that names the organisation."""
    action, at = str(row["action"]), timestamp(row.get("lastModifiedAt"))
    if action not in (*HEARD, "ADMIN_COMMENT"):
        return None
    about = about_of(row)
    urn = comment_urn(about) or comment_urn(row)
    if action == "COMMENT_DELETE":
        if urn is None:
            return None
        revision = int((at or now).timestamp() * 1000)
        made = time_of(urn) or at
        return mention(SOURCE, urn, created_at=made, now=now, state=State.DELETED, revision=revision)
    text = words_of(row)
    if not text:
        return None
    if urn is not None:
        changed = at if action == "COMMENT_EDIT" else None
        parent = about.get("parentComment")
        return _said(
            urn,
            text,
            time_of(urn) or at,
            now,
            who=about.get("owner"),
            changed=changed,
            thread=thread_of(urn),
            parent=parent,
        )
    native = str(about.get("entity") or row["generatedActivity"])
    return _post({"id": native, "author": about.get("owner"), "commentary": text, "earshot_plain": True}, now)


def about_of(row: Row) -> Row:
    """Return the comment or the post that a notification brings with it; an empty one where it brings none."""
    decorated = mapping(row.get("decoratedGeneratedActivity"))
    return mapping(decorated.get("comment") or decorated.get("share"))


def words_of(row: Row) -> str:
    """Return the words a notification brings; empty where it brings none and they are to be asked for."""
    about = about_of(row)
    said = about.get("text") or about.get("message") or ""
    return str(said.get("text") or "" if isinstance(said, dict) else said).strip()


def plain(commentary: str) -> str:
    """Return a post's text without the marks of LinkedIn's little text format."""
    text = _HASHTAG.sub(r"\1\2", commentary)
    text = _NAMED.sub(r"@\1", text)
    return _ESCAPED.sub(r"\1", text)


def _post(row: Row, now: datetime) -> Mention | None:
    """Return a post, in the form of any of the three APIs that LinkedIn has had for them; None where it is none."""
    native = str(row.get("id") or row.get("activity") or "")
    text = _text_of(row)
    if not text.strip() or not (_POST.fullmatch(native) or native.isdecimal()):
        return None
    urn = native if native.startswith("urn:") else f"urn:li:share:{native}"
    made = timestamp(
        row.get("publishedAt")
        or row.get("firstPublishedAt")
        or row.get("createdAt")
        or (row.get("created") or {}).get("time")
    )
    return mention(
        SOURCE,
        urn,
        created_at=made or time_of(urn),
        now=now,
        text=text,
        url=f"{SITE}/feed/update/{urn}",
        author=_author(row.get("author") or row.get("owner"), None),
        conversation=f"{SOURCE}:{urn}",
        tags=[tag.lower() for tag in _TAG.findall(text)],
        links=addresses(text),
    )


def _text_of(row: Row) -> str:
    if isinstance(row.get("commentary"), str):
        return row["commentary"] if row.get("earshot_plain") else plain(row["commentary"])
    content = (row.get("specificContent") or {}).get("com.linkedin.ugc.ShareContent") or {}
    said = content.get("shareCommentary") or (row.get("text") if "owner" in row else None)
    return str(said.get("text") or "") if isinstance(said, dict) else ""


def _author(urn: Any, named: Any) -> Author | None:
    if not isinstance(urn, str) or not urn:
        return None
    kind, _, number = urn.removeprefix("urn:li:").partition(":")
    name, handle = None, None
    if isinstance(named, dict):  # where the answer was asked to say who it is
        parts = (named.get("localizedFirstName"), named.get("localizedLastName"))
        name = named.get("localizedName") or " ".join(part for part in parts if isinstance(part, str)) or None
        handle = named.get("vanityName")
    url = f"{SITE}/company/{number}" if kind == "organization" else None
    return Author(id=urn, name=name, handle=handle, url=f"{SITE}/in/{handle}" if handle and url is None else url)
