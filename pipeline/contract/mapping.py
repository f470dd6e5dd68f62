"""A mention in the words of others: ActivityStreams 2.0 and schema.org. `mapping.md` has the tables.

Both functions return plain JSON-LD values and leave out what is not known. A withdrawn mention keeps its names and
times, never its text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from pipeline.contract.events import Author, Kind, Mention, State

_IRI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_EPOCH_MILLISECONDS: Final = 10**12  # a revision from this on is the time of the edit (2001 and later)
_LAST: Final = 253_402_300_799_999  # the last millisecond a datetime can hold

_ACTIVITY: Final = {Kind.ARTICLE: "Article"}  # everything else is a Note; a Question there is a poll
_SCHEMA: Final = {
    Kind.POST: "SocialMediaPosting",
    Kind.COMMENT: "Comment",
    Kind.REVIEW: "Review",
    Kind.ARTICLE: "Article",
    Kind.QUESTION: "Question",
    Kind.MESSAGE: "Message",
}
_BODY: Final = {Kind.REVIEW: "reviewBody", Kind.ARTICLE: "articleBody", Kind.POST: "articleBody"}
_INTERACTIONS: Final = {
    "likes": "LikeAction",
    "replies": "CommentAction",
    "shares": "ShareAction",
    "views": "ViewAction",
}


def to_activitystreams(mention: Mention) -> dict[str, Any]:
    """Return a mention as an ActivityStreams 2.0 object: Note or Article, Tombstone when it was withdrawn."""
    kind = _ACTIVITY.get(mention.kind, "Note")
    names = {
        "@context": ["https://www.w3.org/ns/activitystreams", {"Hashtag": "as:Hashtag"}],
        "id": iri(mention.source, mention.id),
        "url": mention.url,
        "published": _written(mention.created_at),
        "context": _related(mention.source, mention.conversation),
        "inReplyTo": _related(mention.source, mention.in_reply_to),
    }
    if mention.is_withdrawn:
        return _known({**names, "type": "Tombstone", "formerType": kind, "deleted": _written(mention.collected_at)})
    counts = mention.engagement
    return _known(
        {
            **names,
            "type": kind,
            "name": mention.title,
            "content": mention.text or None,
            "mediaType": "text/plain" if mention.text else None,
            "contentMap": {mention.language: mention.text} if mention.language and mention.text else None,
            "updated": _edited_at(mention),
            "attributedTo": _actor(mention.author) if mention.author else None,
            "tag": [{"type": "Hashtag", "name": f"#{tag}"} for tag in mention.tags],
            "attachment": [{"type": "Link", "href": link} for link in mention.links],
            "replies": _collection(counts.replies) if counts else None,
            "likes": _collection(counts.likes) if counts else None,
            "shares": _collection(counts.shares) if counts else None,
        }
    )


def to_schema_org(mention: Mention) -> dict[str, Any]:
    """Return a mention as a schema.org CreativeWork: Review for reviews, and what fits for every other kind."""
    names = {
        "@context": "https://schema.org",
        "@type": _SCHEMA[mention.kind],
        "@id": iri(mention.source, mention.id),
        "identifier": mention.native_id,
        "url": mention.url,
        "datePublished": _written(mention.created_at),
        "dateModified": _edited_at(mention),
        "publisher": {"@type": "Organization", "name": mention.source},
        "itemReviewed" if mention.kind is Kind.REVIEW else "about": (
            {"@type": "Thing", "identifier": mention.subject} if mention.subject else None
        ),
    }
    if mention.is_withdrawn:
        return _known({**names, "creativeWorkStatus": mention.state.value})
    rating, counts = mention.rating, mention.engagement
    return _known(
        {
            **names,
            "headline": mention.title,
            _BODY.get(mention.kind, "text"): mention.text or None,
            "inLanguage": mention.language,
            "author": _person(mention.author) if mention.author else None,
            "reviewRating": None
            if rating is None
            else {
                "@type": "Rating",
                "ratingValue": rating.value,
                "bestRating": rating.best,
                "worstRating": rating.worst,
            },
            "keywords": list(mention.tags),
            "citation": list(mention.links),
            "isPartOf": _related(mention.source, mention.conversation),
            "parentItem": _related(mention.source, mention.in_reply_to) if mention.kind is Kind.COMMENT else None,
            "interactionStatistic": [
                {
                    "@type": "InteractionCounter",
                    "interactionType": f"https://schema.org/{action}",
                    "userInteractionCount": count,
                }
                for name, action in _INTERACTIONS.items()
                if counts is not None and (count := getattr(counts, name)) is not None
            ],
        }
    )


def iri(source: str, mention_id: str) -> str:
    """Return an id (`source:native_id`) as an IRI: the native id where it is one, else `urn:earshot:…`."""
    native = mention_id.removeprefix(f"{source}:")
    return native if _IRI.fullmatch(native) else f"urn:earshot:{quote(mention_id, safe=':', errors='replace')}"


def _related(source: str, mention_id: str | None) -> str | None:
    return None if mention_id is None else iri(source, mention_id)


def _actor(author: Author) -> dict[str, Any]:
    return _known(
        {
            "type": "Service" if author.bot else "Person",
            "id": author.id if author.id and _IRI.fullmatch(author.id) else None,
            "preferredUsername": author.handle,
            "name": author.name,
            "url": author.url,
            "published": _written(author.created_at) if author.created_at else None,
            "followers": _collection(author.followers),
        }
    )


def _person(author: Author) -> dict[str, Any]:
    return _known(
        {
            "@type": "Person",
            "identifier": author.id,
            "name": author.name or author.handle,
            "alternateName": author.handle if author.name else None,
            "url": author.url,
        }
    )


def _collection(count: int | None) -> dict[str, Any] | None:
    return None if count is None else {"type": "Collection", "totalItems": count}


def _edited_at(mention: Mention) -> str | None:
    """Return when it was edited, where the revision says so."""
    if mention.state is not State.EDITED or not _EPOCH_MILLISECONDS <= mention.revision <= _LAST:
        return None
    return _written(datetime.fromtimestamp(mention.revision / 1000, UTC))


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _known(values: dict[str, Any]) -> dict[str, Any]:
    """Return what is known: nothing that is null or empty."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
