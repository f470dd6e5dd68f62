"""GitHub's texts as mentions: issues, pull requests, comments, reviews and discussions, of REST, GraphQL and webhooks.

Pure. Both interfaces have the same `node_id`, which is the native id. Texts are Markdown and stay as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from connectors import reading
from connectors.base import mention
from pipeline.contract.events import Author, Engagement, Kind, Mention, State

Row = dict[str, Any]

SOURCE: Final = "github"
REST: Final = frozenset(  # one of them is in every text
    ("issue_url", "comments_url", "pull_request_url", "discussion_id", "answer_html_url", "commit_id")
)
GRAPHQL: Final = frozenset(("id", "body", "createdAt"))
APPROVALS: Final = frozenset(("+1", "heart", "hooray", "rocket", "THUMBS_UP", "HEART", "HOORAY", "ROCKET"))
PLACE: Final = re.compile(r"//[^/]+/(?:repos/)?([^/\s]+/[^/\s]+)/(?:issues|pull|pulls|discussions)/(\d+)\b")
GONE: Final = {"deleted": State.DELETED, "transferred": State.REMOVED}


def rows_of(values: Iterator[Any]) -> Iterator[Row]:
    """Yield the objects in answers and in what webhooks bring; a webhook's text knows what became of it."""
    for value in values:
        about = _about(value)
        if about is None:
            yield from reading.walk(iter([value]))
        elif value["action"] in GONE:
            yield {**value[about], "earshot_state": GONE[value["action"]]}
        else:
            edited = value[about].get("updated_at") if value["action"] == "edited" else None
            yield from reading.walk(iter([{**value, about: {**value[about], "earshot_edited_at": edited}}]))


def _about(value: Any) -> str | None:
    """Return which part of a webhook's event is what it is about; None where it is no such event."""
    if not isinstance(value, dict) or not isinstance(value.get("action"), str):
        return None
    names = ("comment", "review", "discussion", "issue", "pull_request")
    return next((name for name in names if isinstance(value.get(name), dict)), None)


def read(row: Row, now: datetime) -> Mention | None:
    """Return the mention that an object is; None when it is another kind of object."""
    if isinstance(row.get("bodyText"), str) and "body" not in row:  # the same, without its markup
        row = {**row, "body": row["bodyText"]}
    if row.keys() >= GRAPHQL:
        return _of_graphql(row, now)
    if {"id", "user"} <= row.keys() and row.keys() & {"body", "title"} and row.keys() & REST:
        return _of_rest(row, now)
    return None


def _of_rest(row: Row, now: datetime) -> Mention | None:
    url = row.get("html_url") or row.get("url")
    is_comment = "title" not in row
    created = reading.timestamp(row.get("created_at") or row.get("submitted_at"))
    edited = reading.timestamp(row.get("earshot_edited_at"))
    if is_comment and edited is None and "submitted_at" not in row:  # an issue's time moves with all that happens to it
        updated = reading.timestamp(row.get("updated_at"))
        edited = updated if updated and created and updated > created else None
    who = row.get("user") or {}
    who = who if isinstance(who, dict) else {"login": who}  # before 2012
    return _mention(
        row,
        now,
        native=row.get("node_id") or row["id"],
        url=url,
        place=PLACE.search(row.get("html_url") or row.get("issue_url") or row.get("pull_request_url") or url or ""),
        created=created,
        edited=edited,
        is_comment=is_comment,
        author=_author(who.get("id"), who.get("login"), who.get("html_url"), who.get("type")) if who else None,
        replies=row.get("comments"),
        likes=_likes(row.get("reactions")),
        parent=None,
        is_question=bool((row.get("category") or {}).get("is_answerable")),
    )


def _of_graphql(row: Row, now: datetime) -> Mention | None:
    who, edited = row.get("author") or {}, reading.timestamp(row.get("lastEditedAt"))
    replies = row.get("comments") or row.get("replies") or {}
    parent = row.get("replyTo") or {}
    return _mention(
        row,
        now,
        native=row["id"],
        url=row.get("url"),
        place=PLACE.search(row.get("url") or ""),
        created=reading.timestamp(row["createdAt"]),
        edited=edited,
        is_comment="title" not in row,
        author=_author(who.get("databaseId"), who.get("login"), who.get("url"), who.get("__typename")) if who else None,
        replies=replies.get("totalCount") if isinstance(replies, dict) else None,
        likes=row.get("upvoteCount", _likes(row.get("reactionGroups"))),
        parent=parent.get("id"),
        is_question=bool((row.get("category") or {}).get("isAnswerable")),
    )


def _mention(
    row: Row,
    now: datetime,
    *,
    native: Any,
    url: str | None,
    place: re.Match[str] | None,
    created: datetime | None,
    edited: datetime | None,
    is_comment: bool,
    author: Author | None,
    replies: Any,
    likes: Any,
    parent: str | None,
    is_question: bool,
) -> Mention | None:
    text, title, gone = (row.get("body") or "").strip(), row.get("title"), row.get("earshot_state")
    if not text and not title:
        return None
    changed = now if gone else edited
    thread = f"{SOURCE}:{place[1].lower()}#{place[2]}" if place else None
    labels = row.get("labels")
    names = [label.get("name") if isinstance(label, dict) else label for label in _listed(labels)]
    return mention(
        SOURCE,
        native,
        created_at=created,
        now=now,
        text=None if gone else text.replace("\r\n", "\n"),
        title=None if gone else title,
        revision=int(changed.timestamp() * 1000) if changed else 0,
        state=gone or (State.EDITED if edited else None),
        kind=Kind.COMMENT if is_comment else Kind.QUESTION if is_question else Kind.POST,
        url=url,
        author=author,
        conversation=thread,
        in_reply_to=(f"{SOURCE}:{parent}" if parent else thread) if is_comment else None,
        engagement=Engagement(likes=reading.whole(likes), replies=reading.whole(replies)),
        subject=place[1] if place else None,
        tags=() if gone else [str(name).lower() for name in names if name],
        links=() if gone else reading.addresses(text),
    )


def _listed(labels: Any) -> list[Any]:
    found = labels.get("nodes") if isinstance(labels, dict) else labels
    return found if isinstance(found, list) else []


def _author(native: Any, login: Any, url: str | None, kind: str | None) -> Author:
    return Author(
        id=str(native if native is not None else login),
        handle=str(login) if login else None,
        url=url,
        bot=kind == "Bot" if kind else None,
    )


def _likes(reactions: Any) -> int | None:
    """Return the approving reactions, of either interface; None where it says none."""
    if isinstance(reactions, dict):
        return sum(reading.whole(count) or 0 for name, count in reactions.items() if name in APPROVALS)
    if isinstance(reactions, list):
        counts = ((group.get("content"), (group.get("reactors") or {}).get("totalCount")) for group in reactions)
        return sum(reading.whole(count) or 0 for name, count in counts if name in APPROVALS)
    return None
