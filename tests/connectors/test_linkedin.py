"""LinkedIn: an API of our own in Rest.li's dialect, its notifications and comments, and its calls over loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import pytest

from connectors.backfill import Backfill, checkpoint_name
from connectors.linkedin.access import until_midnight
from connectors.linkedin.activities import comment_urn, plain, time_of
from connectors.linkedin.connector import LinkedIn
from connectors.linkedin.place import Place
from connectors.linkedin_webhook.connector import LinkedInWebhook
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import ConfigError, RateLimitedError, SourceRefusedError
from pipeline.contract.events import Kind, State
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, recordings
from tests.connectors.called import called

NOON = kit.NOW
ORG = "urn:li:organization:12345"


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def number(at: datetime, extra: int = 0) -> int:
    return (ms(at) << 22) + extra


POST = f"urn:li:activity:{number(ago(days=3))}"


def urn(at: datetime, extra: int = 0) -> str:
    return f"urn:li:comment:({POST},{number(at, extra)})"


def notice(at: datetime, action: str = "COMMENT", extra: int = 0, **more: Any) -> dict[str, Any]:
    about = {"owner": "urn:li:person:sam", "text": f"acme {extra}", "entity": urn(at, extra), "object": POST}
    return {
        "notificationId": number(at, extra),
        "action": action,
        "organizationalEntity": ORG,
        "lastModifiedAt": ms(at),
        "generatedActivity": urn(at, extra).replace("urn:li:activity", "activity"),
        "decoratedGeneratedActivity": {"comment": about},
        **more,
    }


def comment(at: datetime, extra: int = 0, answers: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "actor": "urn:li:person:sam",
        "commentUrn": urn(at, extra),
        "created": {"time": ms(at)},
        "lastModified": {"time": ms(at)},
        "id": str(number(at, extra)),
        "message": {"attributes": [], "text": f"acme {extra}"},
        "object": POST,
        "likesSummary": {"totalLikes": 2},
        "commentsSummary": {"aggregatedTotalComments": answers},
        **more,
    }


class Api:
    def __init__(self, *notices: dict[str, Any]) -> None:
        self.notices = list(notices)
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.tokens = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/v2/accessToken":
            self.tokens += 1
            form = dict(httpx.QueryParams(request.content.decode()))
            assert (form["grant_type"], form["client_id"]) == ("refresh_token", "77x")
            return httpx.Response(200, json={"access_token": f"token-{self.tokens}", "expires_in": 5_184_000})
        assert request.headers["linkedin-version"].startswith("20")
        assert request.headers["x-restli-protocol-version"] == "2.0.0"
        path, query = request.url.raw_path.decode().partition("?")[::2]
        self.asked.append(f"{path.removeprefix('/rest/')}?{query}")
        if path == "/rest/organizationalEntityNotifications":
            return self._notifications(query)
        if path == "/rest/posts":
            return self._listed([{"id": one} for one in self.comments if not one.startswith("urn:li:comment")], query)
        parts = path.removeprefix("/rest/socialActions/").split("/")
        if len(parts) == 3:
            found = [one for one in self.comments[unquote(parts[0])] if one["id"] == parts[2]]
            return httpx.Response(200, json=found[0]) if found else httpx.Response(404, json={"message": "Not found"})
        return self._listed(self.comments.get(unquote(parts[0]), []), query)

    def _notifications(self, query: str) -> httpx.Response:
        assert "actions=List(COMMENT,COMMENT_EDIT,COMMENT_DELETE,SHARE,SHARE_MENTION)" in query
        assert "organizationalEntity=urn%3Ali%3Aorganization%3A12345" in query
        span = query.partition("timeRange=(start:")[2].partition(")")[0].split(",end:")
        found = [one for one in self.notices if int(span[0]) <= one["lastModifiedAt"] < int(span[1])]
        return self._listed(sorted(found, key=lambda one: -one["lastModifiedAt"]), query)

    @staticmethod
    def _listed(found: list[dict[str, Any]], query: str) -> httpx.Response:
        asked = {key: int(value[0]) for key, value in parse_qs(query).items() if key in ("start", "count")}
        end = asked["start"] + asked["count"]
        return httpx.Response(200, json={"elements": found[asked["start"] : end], "paging": {**asked, "links": []}})

    def connector(self, **changes: Any) -> LinkedIn:
        found = kit.make(LinkedIn, transport=httpx.MockTransport(self), **changes)
        assert isinstance(found, LinkedIn)
        return found


def only(row: Any) -> Any:
    (found,) = LinkedIn.parse(json.dumps(row).encode(), kit.NOW)
    return found


async def test_notifications_of_many_pages_are_heard_once_also_when_new_ones_come_between():
    api, log = Api(*(notice(ago(minutes=n), extra=n) for n in range(1, 131))), MemoryLog()
    await kit.run(api.connector(), 1, log=log)
    api.notices.append(notice(ago(seconds=1), extra=500))
    await kit.run(api.connector(), 4, log=log)
    assert len(log.mentions) == len({one.id for one in log.mentions}) == 131


async def test_a_question_begins_where_the_last_one_ended_less_the_overlap():
    api = Api()
    cursor = Place(heard={ORG: ms(ago(minutes=20))}).written()
    await api.connector(overlap="5m").fetch(cursor)
    assert f"timeRange=(start:{ms(ago(minutes=25))},end:{ms(NOON)})" in api.asked[0]


async def test_what_linkedin_no_longer_keeps_is_told_as_a_gap():
    page = await Api().connector(overlap=0).fetch(Place(heard={ORG: ms(ago(days=70))}).written())
    assert (page.gap.since, page.gap.until) == (ago(days=70), ago(days=60))


async def test_every_organisation_has_its_own_place():
    api = Api()
    connector = api.connector(organizations=["12345", "urn:li:organization:12345"])
    page = await connector.fetch(None)
    assert (page.is_full, Place.read(page.cursor).heard) == (False, {ORG: ms(NOON)})
    with pytest.raises(ConfigError, match="write its number"):
        kit.settings(LinkedIn, organizations=["acme"])


async def test_a_notification_without_words_is_asked_for_them():
    bare = notice(ago(hours=1), extra=7)
    del bare["decoratedGeneratedActivity"]
    gone = {**bare, "generatedActivity": urn(ago(hours=2), 8)}
    api = Api(bare, gone)
    api.comments[POST] = [comment(ago(hours=1), 7)]
    page = await api.connector().fetch(None)
    assert [(one.native_id, one.text) for one in page.mentions] == [(urn(ago(hours=1), 7), "acme 7")]


async def test_comments_under_the_newest_posts_and_their_answers_are_gone_through():
    api, log = Api(), MemoryLog()
    first = comment(ago(hours=5), 1, answers=2)
    api.comments[POST] = [first, *(comment(ago(hours=4), n) for n in range(10, 70))]
    answer = comment(ago(hours=3), 2, parentComment=first["commentUrn"])
    api.comments[first["commentUrn"]] = [answer]
    await kit.run(api.connector(hear="comments"), 4, log=log)
    assert len(log.mentions) == 62
    found = next(one for one in log.mentions if one.native_id == answer["commentUrn"])
    assert (found.conversation, found.in_reply_to) == (f"linkedin:{POST}", f"linkedin:{first['commentUrn']}")
    count = len(api.asked)
    await kit.run(api.connector(hear="comments"), 3, log=log)
    again = api.asked[count : count + 3]
    assert not any("comment%3A" in one for one in again)
    assert len(log.mentions) == 62


async def test_a_backfill_goes_back_to_its_beginning():
    api = Api(*(notice(ago(days=n), extra=n) for n in range(1, 50)))
    connector, log, since, until = api.connector(), MemoryLog(), ago(days=30, hours=1), ago(days=10)
    name = checkpoint_name(connector, since, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=since, until=until, clock=kit.clock).run()
    assert len(log.mentions) == 20


async def test_a_refresh_token_is_exchanged_and_its_token_goes_into_the_header():
    seen = []
    api = Api()

    def answer(request):
        seen.append(request.headers.get("authorization"))
        return api(request)

    given = {"refresh_token": {"env": "EXAMPLE_LINKEDIN_TOKEN"}, "client_secret": {"env": "EXAMPLE_LINKEDIN_TOKEN"}}
    address = "https://www.linkedin.com/oauth/v2/accessToken"
    asked = httpx.MockTransport(answer)
    made = kit.make(LinkedIn, transport=asked, token=None, client_id="77x", token_url=address, **given)
    await made.fetch(None)
    await made.fetch(None)
    assert (seen, api.tokens) == ([None, "Bearer token-1", "Bearer token-1"], 1)


def test_some_credential_is_needed_and_a_refresh_token_needs_the_apps():
    with pytest.raises(ConfigError, match="give `token`"):
        kit.settings(LinkedIn, token=None)
    with pytest.raises(ConfigError, match="client_id"):
        kit.settings(LinkedIn, refresh_token={"env": "EXAMPLE_LINKEDIN_TOKEN"})


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (426, {"status": 426, "code": "NONEXISTENT_VERSION", "message": "not active"}, SourceRefusedError, "`version`"),
        (401, {"serviceErrorCode": 65601, "message": "The token has expired"}, SourceRefusedError, "expired"),
        (403, {"code": "ACCESS_DENIED", "message": "Not enough permissions"}, SourceRefusedError, "permissions"),
        (
            429,
            {"message": "Resource level throttle APPLICATION DAY limit is reached."},
            RateLimitedError,
            "of this day",
        ),
        (429, {"message": "slow down"}, RateLimitedError, "429"),
    ],
)
async def test_an_error_says_what_to_do(status, body, error, words):
    with pytest.raises(error, match=words):
        await kit.make(LinkedIn, kit.answering(json.dumps(body).encode(), status)).fetch(None)
    assert until_midnight(NOON) == 12 * 3600


@pytest.mark.parametrize("broken", ["", "null", "[]", "{", '{"queue": 5}', '{"heard": [1]}', '{"since": "x"}'])
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    page = await Api(notice(ago(hours=1))).connector().fetch(broken)
    assert len(page.mentions) == 1


def test_a_comment_has_its_own_name_its_thread_and_its_address():
    found = only(comment(ago(hours=1), 3))
    assert found.id == f"linkedin:{urn(ago(hours=1), 3)}"
    assert found.url.startswith(f"https://www.linkedin.com/feed/update/{POST}?commentUrn=urn%3Ali%3Acomment%3A%28")
    assert (found.kind, found.conversation, found.in_reply_to) == (Kind.COMMENT, f"linkedin:{POST}", f"linkedin:{POST}")
    assert (found.author.id, found.engagement.likes, found.engagement.replies) == ("urn:li:person:sam", 2, 0)
    assert found.created_at == ago(hours=1)


@pytest.mark.parametrize(
    "row",
    [
        {"$URN": "urn:li:comment:(urn:li:activity:6,7)"},
        {"entity": "urn:li:comment:(activity:6,7)"},
        {"object": "urn:li:activity:6", "id": "7"},
    ],
)
def test_a_comment_has_one_name_in_all_answers(row):
    assert comment_urn(row) == "urn:li:comment:(urn:li:activity:6,7)"
    assert comment_urn({"id": "7"}) is None


def test_an_edit_is_a_revision_and_a_deletion_a_withdrawal_of_the_same_comment():
    at = ago(hours=2)
    told = only(notice(at))
    edited = only(notice(at, "COMMENT_EDIT", lastModifiedAt=ms(ago(hours=1))))
    deleted = only(notice(at, "COMMENT_DELETE", lastModifiedAt=ms(ago(minutes=5)), decoratedGeneratedActivity={}))
    assert told.id == edited.id == deleted.id
    assert (told.revision, edited.revision, deleted.revision) == (0, ms(ago(hours=1)), ms(ago(minutes=5)))
    assert (told.state, edited.state, deleted.state) == (State.LIVE, State.EDITED, State.DELETED)
    assert told.created_at == edited.created_at == deleted.created_at == at
    assert only(comment(at, lastModified={"time": ms(ago(hours=1))})).state is State.EDITED


def test_a_post_that_names_the_organisation_is_a_post():
    share = f"urn:li:share:{number(ago(hours=3))}"
    about = {"share": {"owner": "urn:li:person:kim", "text": "Four weeks with Acme #tea", "entity": share}}
    found = only(
        {**notice(ago(hours=3), "SHARE_MENTION"), "generatedActivity": share, "decoratedGeneratedActivity": about}
    )
    assert (found.native_id, found.kind, found.tags) == (share, Kind.POST, ("tea",))
    assert (found.created_at, found.url) == (ago(hours=3), f"https://www.linkedin.com/feed/update/{share}")


def test_a_like_is_no_mention_whatever_it_is_about():
    like = {**notice(NOON, "LIKE"), "generatedActivity": "urn:li:like:(urn:li:person:sam,urn:li:activity:7)"}
    assert list(LinkedIn.parse(json.dumps(like).encode(), kit.NOW)) == []


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"Meet @[Acme Inc](urn:li:organization:12345) {hashtag|\#|tea}\!", r"Meet @Acme Inc #tea\!"),
        (r"1 \* 2 \(so\) \{x\} \_y\_ \\ z", r"1 * 2 (so) {x} _y_ \ z"),
        ("plain & simple", "plain & simple"),
    ],
)
def test_the_marks_of_a_post_become_plain_text(written, text):
    assert plain(written) == text


def test_posts_of_all_three_apis_are_read():
    share = number(ago(hours=1))
    post = {"id": f"urn:li:share:{share}", "author": ORG, "commentary": "acme", "publishedAt": ms(ago(hours=1))}
    content = {"com.linkedin.ugc.ShareContent": {"shareCommentary": {"text": "acme"}}}
    ugc = {
        "id": f"urn:li:ugcPost:{share}",
        "author": ORG,
        "specificContent": content,
        "firstPublishedAt": ms(ago(hours=1)),
    }
    old = {"id": str(share), "owner": ORG, "text": {"text": "acme"}, "created": {"time": ms(ago(hours=1))}}
    found = [only(row) for row in (post, ugc, old)]
    assert {one.text for one in found} == {"acme"}
    assert {one.created_at for one in found} == {ago(hours=1)}
    assert found[0].id == found[2].id
    assert found[0].author.url == "https://www.linkedin.com/company/12345"


def test_an_id_holds_its_time_where_it_is_one():
    assert time_of(urn(ago(hours=1))) == ago(hours=1)
    assert time_of("urn:li:activity:6") is None
    assert time_of("urn:li:person:x") is None


def signed(body: bytes) -> str:
    return hmac.new(kit.SECRET.encode(), b"hmacsha256=" + body, hashlib.sha256).hexdigest()


async def test_calls_are_taken_with_their_sign_once_and_the_question_is_answered():
    body = json.dumps({"type": "X", "notifications": [notice(ago(hours=1), extra=3), notice(NOON, "LIKE", 4)]}).encode()
    async with called(kit.make(LinkedInWebhook)) as caller:
        status, kind, text = await caller.get(challengeCode="abc-1")
        wanted = hmac.new(kit.SECRET.encode(), b"abc-1", hashlib.sha256).hexdigest()
        assert (status, kind) == (200, "application/json")
        assert json.loads(text) == {"challengeCode": "abc-1", "challengeResponse": wanted}
        assert (await caller.get())[0] == 400
        assert await caller.post(body, {"X-LI-Signature": "0" * 64}) == 401
        assert await caller.post(body, {}) == 401
        assert caller.run.log.mentions == []
        assert await caller.post(body, {"X-LI-Signature": signed(body)}) == 200
        assert await caller.post(body, {"X-LI-Signature": f"hmacsha256={signed(body)}"}) == 200
        assert await caller.post(b"[]", {"X-LI-Signature": signed(b"[]")}) == 400
        assert [one.native_id for one in caller.run.log.mentions] == [urn(ago(hours=1), 3)]


@pytest.mark.shared
def test_every_comment_kept_as_an_example_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "linkedin"):
        rows = json.loads(body)["elements"]
        wanted = {row["commentUrn"]: row["message"]["text"] for row in rows}
        found = recordings.read(LinkedIn, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(one.url and one.author for one in found)
        count += len(wanted)
    assert count >= 1
