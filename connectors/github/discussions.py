"""What is asked of GitHub's GraphQL interface, and its answers: discussions, and texts read again by their ids.

API: https://docs.github.com/graphql/guides/using-the-graphql-api-for-discussions. Errors come inside a 200.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from connectors.places import Row
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError

PER_PAGE: Final = 50
REPLIES: Final = 50  # newest comments of a discussion, and of each of these the newest answers
LIMITED_WAIT: Final = 60.0  # where GitHub does not say how long

_WHO: Final = "author{__typename login url ...on User{databaseId} ...on Bot{databaseId}}"
_TEXT: Final = f"id url body createdAt updatedAt lastEditedAt {_WHO}"
_REACTIONS: Final = "reactionGroups{content reactors{totalCount}}"
SEARCH: Final = (
    f"query($q:String!){{search(type:DISCUSSION,query:$q,first:{PER_PAGE}){{discussionCount pageInfo{{hasNextPage}}"
    f"nodes{{...on Discussion{{{_TEXT} title upvoteCount category{{isAnswerable}}"
    f"comments(last:{REPLIES}){{totalCount nodes{{{_TEXT} upvoteCount"
    f" replies(last:{REPLIES}){{totalCount nodes{{{_TEXT} upvoteCount replyTo{{id}}}}}}}}}}}}}}}}}}"
)
NODES: Final = (
    "query($ids:[ID!]!){nodes(ids:$ids){__typename"
    f" ...on Issue{{{_TEXT} title {_REACTIONS} comments{{totalCount}}}}"
    f" ...on PullRequest{{{_TEXT} title {_REACTIONS} comments{{totalCount}}}}"
    f" ...on IssueComment{{{_TEXT} {_REACTIONS}}}"
    f" ...on PullRequestReviewComment{{{_TEXT} {_REACTIONS} replyTo{{id}}}}"
    f" ...on Discussion{{{_TEXT} title upvoteCount category{{isAnswerable}} comments{{totalCount}}}}"
    f" ...on DiscussionComment{{{_TEXT} upvoteCount replyTo{{id}}}}}}}}"
)


def texts_of(body: Row) -> Iterator[Row]:
    """Yield the discussions of an answer, their comments, and the answers to these."""
    for found in _nodes(body):
        yield found
        for comment in _nodes(found.get("comments")):
            yield comment
            yield from _nodes(comment.get("replies"))


def _nodes(value: Any) -> list[Row]:
    rows = value.get("nodes") if isinstance(value, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def error_of(body: Any) -> EarshotError | None:
    """Return the error that an answer is; None where it is none, or is only about ids that are not there any more."""
    if not isinstance(body, dict):
        return SourceUnavailableError("GitHub's answer is no GraphQL")
    errors = [error for error in body.get("errors") or () if isinstance(error, dict)]
    kinds = {str(error.get("type")) for error in errors}
    if "RATE_LIMITED" in kinds:
        return RateLimitedError("GitHub asks to wait (GraphQL)", LIMITED_WAIT)
    if kinds and kinds <= {"NOT_FOUND"} and isinstance(body.get("data"), dict):
        return None
    if errors:
        said = str(errors[0].get("message"))[:160]
        is_ours = kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES", "NOT_FOUND", "None"}
        return (SourceRefusedError if is_ours else SourceUnavailableError)(f"GitHub refuses (GraphQL): {said}")
    if not isinstance(body.get("data"), dict):
        return SourceUnavailableError("GitHub's answer is no GraphQL")
    return None
