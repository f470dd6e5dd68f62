"""What Facebook, Instagram and Threads have in common: Meta's Graph API.

Answers: https://developers.facebook.com/docs/graph-api/results. Errors:
https://developers.facebook.com/docs/graph-api/guides/error-handling. Webhooks:
https://developers.facebook.com/docs/graph-api/webhooks/getting-started.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr

from connectors import auth, reading
from connectors.answers import Answer, UnavailableError, place
from connectors.base import Gap, Page, PollingConnector, PollingSettings, reveal
from pipeline.config.model import Duration
from pipeline.contract.errors import EarshotError, RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Mention

Row = dict[str, Any]

PAGES: Final = 40  # answers of one listing that are read at the most
LIMITED: Final = frozenset(
    (4, 17, 32, 341, 613, *range(80_000, 80_015))
)  # too many calls: of app, user, Page, business
PASSING: Final = frozenset((1, 2))  # an error of Meta's own
EXPIRED: Final = frozenset((102, 190))
PERMISSIONS: Final = frozenset((3, 10, *range(200, 300)))
GONE: Final = 33  # subcode of 100: no such object, or not for this token
TAG: Final = re.compile(r"(?<![\w&/])#(\w*[^\W\d_]\w*)")  # a hash tag has a letter in it

_TOKENS: Final = ("access_token", "appsecret_proof")
_ADVICE: Final = {
    458: "the app was removed from the account: connect it again",
    459: "the account must log in at facebook.com first",
    460: "the password was changed: make a new token",
    463: "the token has expired: make a new one, a long-lived one",
    464: "the account is not confirmed",
    467: "the token was made invalid: make a new one",
    492: "the account has lost its role on the Page: make a token with an account that has one",
}


class GraphSettings(PollingSettings):
    """What every source at Meta's needs."""

    token: SecretStr
    """Access token; the README says which one and how to make it."""
    app_secret: SecretStr | None = None
    """The app's secret: every request then proves to come from the app. Apps can be set to demand it."""
    version: str = Field(default="v23.0", pattern=r"^v\d{1,3}\.\d$")
    """Version of the API; Meta ends each some two years after it appears."""
    watch: Duration = Field(default=1_209_600.0, ge=0, le=7_776_000)
    """How old a post may be for what is written under it to be read: older ones cost requests and get few answers."""
    overlap: Duration = 600.0
    """How far each poll reaches back again: for what Meta shows late."""
    poll_interval: Duration = Field(default=300.0, ge=0.05)
    slowest_poll: Duration = Field(default=1800.0, ge=0.05)
    base_url: str = "https://graph.facebook.com"


GraphT = TypeVar("GraphT", bound=GraphSettings)


class GraphConnector(PollingConnector[GraphT]):
    """A source at Meta's: the same credential and the same errors for all."""

    def auth(self) -> auth.Auth:
        return auth.bearer(self.settings.token)

    def judge(self, answer: Answer) -> EarshotError | None:
        return error_in(answer)

    @staticmethod
    def rows(value: Any) -> Iterator[Row]:
        """Yield the objects in a value of an answer."""
        raise NotImplementedError

    @classmethod
    def parse(cls, body: bytes, now: datetime) -> Iterator[Mention]:
        return cls.unique(cls.attempt(row, now) for row in rows_in(body, cls.rows))


def proof(settings: GraphSettings) -> dict[str, str]:
    """Return the parameter that proves that the app asks."""
    return proof_of(settings.token, settings.app_secret)


def proof_of(token: SecretStr, app_secret: SecretStr | None) -> dict[str, str]:
    """Return the same of any token: https://developers.facebook.com/docs/graph-api/guides/secure-requests."""
    secret, shown = reveal(app_secret), reveal(token)
    if not secret or not shown:
        return {}
    return {"appsecret_proof": hmac.new(secret.encode(), shown.encode(), hashlib.sha256).hexdigest()}


def error_in(answer: Answer) -> EarshotError | None:
    """Return what an error in the body means, whatever its status says; None where there is none. Quotes nothing."""
    if b'"error"' not in answer.body[:2000]:
        return None
    try:
        found = reading.json_value(answer.body).get("error")
        code, subcode = int(found.get("code") or 0), int(found.get("error_subcode") or 0)
    except (ValueError, TypeError, AttributeError):
        return None
    where = f"{place(answer.url)} answers with error {code}{f'/{subcode}' if subcode else ''}"
    if code in LIMITED:
        return RateLimitedError(f"{where}: too many calls")
    if code in PASSING or found.get("is_transient") is True or answer.status >= 500:
        return UnavailableError(f"{where}, which passes")
    if code in EXPIRED:
        return SourceRefusedError(f"{where} — {_ADVICE.get(subcode, 'the token is not valid: make a new one')}")
    if code in PERMISSIONS:
        return SourceRefusedError(f"{where} — the token lacks a permission: see the source's README, make a new token")
    if code == 100 and subcode == GONE:
        return SourceRefusedError(f"{where} — no such object for this token: look at the ids in the settings")
    if code == 100 and "proof" in str(found.get("message")):
        return SourceRefusedError(f"{where} — the app demands a proof: set `app_secret` to the secret of its dashboard")
    return SourceRefusedError(f"{where} — look at this source's settings, and its `version`")


def rows_of(answer: Answer) -> list[Row]:
    """Return the objects of a listing. Raises SourceUnavailableError when it is none."""
    data = answer.json.get("data") if isinstance(answer.json, dict) else None
    if not isinstance(data, list):
        raise SourceUnavailableError(f"{place(answer.url)} sends no list")
    return [row for row in data if isinstance(row, dict)]


def next_of(answer: Answer) -> dict[str, str] | None:
    """Return the parameters that ask for the next part of a listing; None at its end.

    The address Meta gives carries the token: it is never asked, kept or shown, only what it asks for is taken from it.
    """
    paging = answer.json.get("paging") if isinstance(answer.json, dict) else None
    if not isinstance(paging, dict) or not isinstance(paging.get("next"), str):
        return None
    try:
        given = parse_qsl(urlsplit(paging["next"]).query, keep_blank_values=False)
    except ValueError:
        return None
    return {key: value for key, value in given if key not in _TOKENS}


def asked_for(value: Row) -> tuple[str, str] | None:
    """Return of which object and what a recorded listing is, as the addresses of its other parts tell; None if unknown.

    Objects in a listing seldom say themselves what they are under: a comment of Instagram never does.
    """
    paging = value.get("paging")
    for name in ("next", "previous"):
        address = paging.get(name) if isinstance(paging, dict) and "data" in value else None
        found = re.search(r"^https?://[^/?]+/(?:v[\d.]+/)?(\w+)/(\w+)\?", address) if isinstance(address, str) else None
        if found:
            return found[1], found[2]
    return None


@dataclass(frozen=True, slots=True)
class Listing:
    """What was read of a listing: its objects, each once, and whether more of it is left than is read at once."""

    rows: Sequence[Row]
    is_cut: bool = False


async def listing(
    get_json: Callable[..., Awaitable[Answer]],
    url: str,
    params: Mapping[str, str],
    until: int,
    time: Callable[[Row], int | None] | None = None,
) -> Listing:
    """Return a listing that has the newest first, down to a time in epoch seconds. Raises what `get_json` raises.

    It ends with the first part that has nothing from `until` on, or nothing that was not there before: what is written
    meanwhile moves the others to later parts. `time` is that of an object, where it is not when it was made.
    """
    at = time or time_of
    found: dict[str, Row] = {}
    asked = dict(params)
    for _ in range(PAGES):
        answer = await get_json(url, asked)
        rows = {name_of(row): row for row in rows_of(answer)}
        is_over = rows.keys() <= found.keys() or all((at(row) or until) < until for row in rows.values())
        found = {**rows, **found}
        more = next_of(answer)
        if is_over or more is None:
            return Listing(list(found.values()))
        asked = {**params, **more}
    return Listing(list(found.values()), is_cut=True)


def gap(since: int, read: Listing, what: str) -> list[Gap]:
    """Return the gap where a listing was broken off above `since`; none where it was not."""
    reached = min((time for row in read.rows if (time := time_of(row)) is not None), default=since)
    if not read.is_cut or reached <= since:
        return []
    return [Gap(instant(since), instant(reached), f"more {what} than are read at once")]


def together(gaps: Sequence[Gap]) -> Gap | None:
    """Return one gap that says what several do; None where there is none."""
    if not gaps:
        return None
    reasons = "; ".join(dict.fromkeys(one.reason for one in gaps))
    return Gap(min(one.since for one in gaps), max(one.until for one in gaps), reasons)


def name_of(row: Row) -> str:
    """Return what an object is known by; recommendations have no id."""
    return str(row.get("id") or json.dumps(row, sort_keys=True, default=str))


def time_of(row: Row) -> int | None:
    """Return when an object was made, in epoch seconds; None where it does not say."""
    at = reading.timestamp(row.get("created_time") or row.get("timestamp"))
    return None if at is None else int(at.timestamp())


def in_order(rows: Iterable[Row], now: int) -> list[Row]:
    """Return the objects, oldest first, each once; the last writing counts where one is there twice."""
    known = {name_of(row): row for row in rows}
    return sorted(known.values(), key=lambda row: (time_of(row) or now, str(row.get("id"))))


def newest(rows: Iterable[Row], known: int | None, now: int) -> int | None:
    """Return the time of the newest object, not before what is known and not in the future."""
    times = [time for row in rows if (time := time_of(row)) is not None]
    return max((*([] if known is None else [known]), *(min(now, time) for time in times)), default=None)


def places(cursor: str | None) -> dict[str, Any]:
    """Return a cursor's parts; nothing where it cannot be read."""
    try:
        found = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def whole(value: Any) -> int | None:
    """Return a number of a cursor; None where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def instant(seconds: int) -> datetime:
    """Return epoch seconds as the time they are."""
    return datetime.fromtimestamp(seconds, UTC)


def hash_tags(text: str | None) -> list[str]:
    """Return the hash tags in a text, lower-case."""
    return [tag.lower() for tag in TAG.findall(text or "")]


def words(page: Page) -> str:
    """Return what one question to a source has shown, for a person."""
    last = max((one.created_at for one in page.mentions), default=None)
    if last is None:
        return "it answers, with nothing that matches"
    return f"it answers with {len(page.mentions)} mentions, the newest of {last:%Y-%m-%d %H:%M} UTC"


def is_signed(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> bool:
    """Return whether a call is signed with one of the app secrets: HMAC-SHA256 over the bytes as they came."""
    given = headers.get("x-hub-signature-256", "")
    wanted = [f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}" for secret in secrets]
    # No short cut: the time says nothing about which one was nearly right.
    return bool(sum([hmac.compare_digest(given.encode("utf-8", "replace"), one.encode()) for one in wanted]))


def changes(value: Any) -> Iterator[Row]:
    """Yield what a call of a webhook tells, each with where and when it happened; nothing where it is no such call.

    Facebook and Instagram: `object` and entries of changes, where a change may also stand in the entry itself.
    Threads: one change, in `values`. Added are `earshot_object`, `earshot_field`, `earshot_account`, `earshot_time`.
    """
    if isinstance(value, list):
        for one in value:
            yield from changes(one)
    if not isinstance(value, dict):
        return
    values, entries = value.get("values"), value.get("entry")
    if isinstance(values, dict) and isinstance(values.get("value"), dict):
        yield _change("threads", values, value.get("target_id"), value.get("time"))
    elif isinstance(values, list):
        for one in values:
            if isinstance(one, dict) and isinstance(one.get("value"), dict):
                yield _change("threads", one, value.get("target_id"), value.get("time"))
    if "object" not in value or not isinstance(entries, list):
        return
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        inner = entry.get("changes")
        for one in inner if isinstance(inner, list) else [entry]:
            if isinstance(one, dict) and isinstance(one.get("value"), dict):
                yield _change(str(value["object"]), one, entry.get("id"), entry.get("time"))


def _change(kind: str, one: Row, account: Any, time: Any) -> Row:
    return {
        **one["value"],
        "earshot_object": kind,
        "earshot_field": one.get("field"),
        "earshot_account": str(account) if account else None,
        "earshot_time": time,
    }


def heard_at(row: Row) -> datetime | None:
    """Return when a webhook's change happened; None where it does not say."""
    return reading.timestamp(row.get("earshot_time"))


def rows_in(body: bytes, walk: Callable[[Any], Iterator[Row]]) -> Iterator[Row]:
    """Yield the objects of a recorded answer: the changes of a webhook's call, or what `walk` finds.

    Raises InvalidMessageError when it is no answer of Meta's.
    """
    for answer in reading.documents(body):
        for value in parts_of(answer):
            told = list(changes(value))
            yield from told or walk(value)


def parts_of(answer: Any) -> Iterator[Any]:
    """Yield the answers in a batch, https://developers.facebook.com/docs/graph-api/batch-requests; else the answer.

    Each part holds its answer as JSON in a string; one that was not carried out is null.
    """
    parts = answer if isinstance(answer, list) else [answer]
    bodies = [
        one["body"] for one in parts if isinstance(one, dict) and "code" in one and isinstance(one.get("body"), str)
    ]
    if not bodies:
        yield answer
        return
    for body in bodies:
        with contextlib.suppress(ValueError):
            yield reading.json_value(body.encode("utf-8", "replace"))
