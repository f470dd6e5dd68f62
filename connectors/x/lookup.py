"""Posts that are read of X and paid for: within the account's budget, and again by their ids for edits and deletions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connectors.http import Http
from connectors.rereading import Reread
from connectors.x import posts, refusals, withdrawals
from pipeline.contract.errors import SourceUnavailableError
from pipeline.contract.events import Mention, State

MOST: Final = 100  # posts of one answer
USD: Final = "usd"
POST_FIELDS: Final = (
    "author_id,conversation_id,created_at,edit_history_tweet_ids,entities,in_reply_to_user_id,lang,note_tweet,"
    "public_metrics,referenced_tweets"
)
USER_FIELDS: Final = "created_at,name,public_metrics,username"
FIELDS: Final = {"tweet.fields": POST_FIELDS, "expansions": "author_id", "user.fields": USER_FIELDS}


async def read(http: Http, url: str, params: Mapping[str, str], most: int, price: float) -> dict[str, Any]:
    """Return an answer with `most` posts at the most; what it does not hold is not paid for.

    Raises what requests raise, and SourceUnavailableError where the answer is none of X's.
    """
    bucket = url.partition("/2/tweets")[2].strip("/") or "tweets"
    given = params if any(name in params for name in ("tweet.fields", "post.fields")) else {**FIELDS, **params}
    body = (await http.get_json(url, given, cost={USD: most * price}, bucket=bucket)).json
    found = body.get("data") if isinstance(body, dict) else None
    http.refund({USD: max(0, most - (len(found) if isinstance(found, list) else 0)) * price}, bucket)
    if not isinstance(body, dict):
        raise SourceUnavailableError("the answer of X holds no posts")
    return body


async def again(http: Http, url: str, natives: Sequence[str], price: float, now: datetime) -> Reread:
    """Return what has become of posts; of those that were edited, the newest edit. `url` is that of the look-up."""
    body = await read(http, url, {"ids": ",".join(natives)}, len(natives), price)
    if not isinstance(body.get("data", body.get("errors")), list):
        raise SourceUnavailableError("the answer of X holds no posts")
    rows = [row for row in posts.rows_of([body]) if posts.is_post(row)]
    there = {str(row["id"]) for row in rows}
    edits = {str(max(row.get("edit_history_tweet_ids") or [row["id"]], key=int)) for row in rows} - there
    if edits:
        newer = await read(http, url, {"ids": ",".join(sorted(edits))}, len(edits), price)
        rows += [row for row in posts.rows_of([newer]) if posts.is_post(row)]
    gone, hidden = refusals.absent(body)
    found: list[Mention] = [posts.from_post(row, now) for row in rows]
    found += [withdrawals.withdrawn(one, State.UNAVAILABLE, now, now) for one in hidden if one in natives]
    return Reread(found, [one for one in gone if one in natives])
