"""Stack Exchange's questions, answers, comments and search excerpts as mentions. Pure.

Ids are a site's own: the native id is the site's host with them, `stackoverflow.com/q/1`, where an object says its site
by its address or its author's, and `q/1` where it does not. Titles and names come with HTML entities in them.
"""

from __future__ import annotations

import html
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from connectors import reading
from connectors.base import mention
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

Row = dict[str, Any]

SOURCE: Final = "stackexchange"
PATHS: Final = {"question": "q", "answer": "a", "comment": "posts/comments"}


def read(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object is; None when it is another kind of object."""
    row = whole(row)
    kind = kind_of(row)
    if kind is None or "creation_date" not in row:
        return None
    host = host_of(row)
    rich = reading.from_html(row.get("body") or row.get("excerpt"), keep_lines="body" not in row)
    title = html.unescape(str(row["title"])) if row.get("title") else None
    if not rich.text and not title:
        return None
    native, (question, parent) = row[f"{kind}_id"], _thread(row, kind)
    revision, state = _edited(row)
    return mention(
        SOURCE,
        name(host, kind, native),
        created_at=reading.timestamp(row["creation_date"]),
        now=now,
        text=rich.text,
        title=title if kind == "question" else None,
        revision=revision,
        state=state,
        kind=Kind.QUESTION if kind == "question" else Kind.COMMENT,
        url=row.get("link") or (f"https://{host}/{PATHS[kind]}/{native}" if host else None),
        author=_author(row.get("owner")),
        conversation=f"{SOURCE}:{name(host, 'question', question)}" if question else None,
        in_reply_to=f"{SOURCE}:{name(host, *parent)}" if parent else None,
        engagement=_engagement(row),
        subject=title if title and kind != "question" else host,
        tags=[str(tag).lower() for tag in row.get("tags") or ()],
        links=rich.links,
    )


def whole(row: Row) -> Row:
    """Return a post of `/posts`, which is a question or an answer by its `post_type`, as one of these two."""
    if row.get("post_id") and row.get("post_type") in ("question", "answer"):
        return {f"{row['post_type']}_id": row["post_id"], **row}
    return row


def kind_of(row: Row) -> str | None:
    """Return which kind of text an object is; None where it is none. An answer bears its question's id, too."""
    if "body" not in row and "title" not in row and "excerpt" not in row:
        return None
    for kind in ("comment", "answer", "question"):
        if row.get(f"{kind}_id"):
            return kind
    return None


def name(host: str | None, kind: str, number: Any) -> str:
    """Return the native id of a text."""
    return f"{host}/{PATHS[kind]}/{number}" if host else f"{PATHS[kind]}/{number}"


def numbers(natives: list[str]) -> dict[str, dict[str, str]]:
    """Return the native ids by kind and number, those that name a text."""
    found: dict[str, dict[str, str]] = {kind: {} for kind in PATHS}
    for native in natives:
        before, _, number = native.rpartition("/")
        kind = next((kind for kind, path in PATHS.items() if before == path or before.endswith(f"/{path}")), None)
        if kind and number.isascii() and number.isdecimal():
            found[kind][number] = native
    return found


def host_of(row: Row) -> str | None:
    """Return the host of an object's site, by its own address, its author's, or what was asked."""
    owner = row.get("owner")
    for address in (row.get("link"), owner.get("link") if isinstance(owner, dict) else None):
        if isinstance(address, str) and (host := urlsplit(address).netloc):
            return host
    return row.get("earshot_site")


def _thread(row: Row, kind: str) -> tuple[Any, tuple[str, Any] | None]:
    """Return the id of a text's question, and what it answers by kind and id; None where it does not say."""
    question = row.get("question_id") or row.get("earshot_question")
    if kind == "question":
        return row["question_id"], None
    if kind == "answer":
        return question, ("question", question) if question else None
    post, above = row.get("post_id"), row.get("post_type")
    question = question or (post if above == "question" else None)
    return question, (above, post) if post and above in PATHS else None


def _edited(row: Row) -> tuple[int, State | None]:
    at = reading.timestamp(row.get("last_edit_date"))
    if at is not None:
        return int(at.timestamp() * 1000), State.EDITED
    return (1, State.EDITED) if row.get("edited") is True else (0, None)  # a comment does not say when


def _author(owner: Any) -> Author | None:
    """Return who wrote it; of an account that is gone the site says a name at the most."""
    if not isinstance(owner, dict) or not (owner.get("user_id") or owner.get("display_name")):
        return None
    shown = html.unescape(str(owner.get("display_name") or "")) or None
    native = owner.get("account_id") or owner.get("user_id")  # an account is the same on all sites
    return Author(id=None if native is None else str(native), handle=shown, name=shown, url=owner.get("link") or None)


def _engagement(row: Row) -> Engagement:
    replies = row.get("answer_count", row.get("comment_count"))
    counts = (row.get("score"), replies, row.get("view_count"))
    likes, answers, views = (reading.whole(count) for count in counts)
    return Engagement(likes=likes, replies=answers, views=views)
