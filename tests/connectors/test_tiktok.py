"""TikTok's Research API, as documented: tokens, days, pages that belong to a search, a thousand comments, a daily quota."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.backfill import Backfill, checkpoint_name
from connectors.publisher import MemoryLog, MemoryPublisher
from connectors.tiktok.access import until_midnight
from connectors.tiktok.connector import TikTok
from connectors.tiktok.place import Place
from pipeline.contract.errors import ConfigError, RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, recordings

NOON = kit.NOW
BIG = 7_301_234_567_890_123_457  # beyond what a float keeps


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def video(number: int, at: datetime, **more: Any) -> dict[str, Any]:
    said = {"video_description": f"acme {number}", "username": "sam", "hashtag_names": ["Acme"], "view_count": 9}
    return {"id": BIG + number, "create_time": int(at.timestamp()), **said, **more}


class Api:
    """Days in, pages out. A page has to name its search; comments end at a thousand."""

    def __init__(self, *videos: dict[str, Any], page: int = 100) -> None:
        self.videos, self.page = list(videos), page
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.tokens = 0
        self.searches = 0
        self.forget_searches = False
        self.error: tuple[int, str, str] | None = None

    def comment(self, number: int, count: int, at: datetime) -> None:
        row = {"video_id": BIG + number, "create_time": int(at.timestamp()), "parent_comment_id": BIG + number}
        self.comments[BIG + number] = [
            {**row, "id": 10_000 * number + n, "text": f"acme comment {n}"} for n in range(count)
        ]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/oauth/token/":
            form = dict(httpx.QueryParams(request.content.decode()))
            assert form == {"client_key": "aw-example", "client_secret": kit.SECRET, "grant_type": "client_credentials"}
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"clt.{self.tokens}", "expires_in": 7_200})
        assert request.headers["authorization"] == f"Bearer clt.{self.tokens}"
        given = json.loads(request.content)
        path = request.url.path.removeprefix("/v2/research/").rstrip("/")
        self.asked.append((path, given))
        if self.error is not None:
            status, code, said = self.error
            return self._answer({}, status, code, said)
        return self._videos(given) if path == "video/query" else self._comments(given)

    def _videos(self, given: dict[str, Any]) -> httpx.Response:
        assert given["start_date"] <= given["end_date"]
        if given.get("cursor") and (self.forget_searches or given["search_id"] != f"s{self.searches}"):
            self.forget_searches = False
            return self._answer({}, 400, "invalid_params", "Search Id s1 is invalid or expired")
        if not given.get("cursor"):
            self.searches += 1
        days = (given["start_date"], given["end_date"])
        found = [one for one in self.videos if days[0] <= f"{_at(one):%Y%m%d}" <= days[1]]
        return self._listed(found, given, "videos", search_id=f"s{self.searches}")

    def _comments(self, given: dict[str, Any]) -> httpx.Response:
        assert given["cursor"] + given["max_count"] <= 1_000
        return self._listed(self.comments.get(given["video_id"], []), given, "comments")

    def _listed(self, found: list[Any], given: dict[str, Any], name: str, **more: Any) -> httpx.Response:
        begin = int(given.get("cursor") or 0)
        end = begin + min(self.page, given["max_count"])
        data = {name: found[begin:end], "cursor": end, "has_more": end < len(found), **more}
        return self._answer(data)

    @staticmethod
    def _answer(data: dict[str, Any], status: int = 200, code: str = "ok", said: str = "") -> httpx.Response:
        return httpx.Response(status, json={"data": data, "error": {"code": code, "message": said, "log_id": "1"}})

    def connector(self, **changes: Any) -> TikTok:
        found = kit.make(TikTok, transport=httpx.MockTransport(self), **changes)
        assert isinstance(found, TikTok)
        return found


def _at(row: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(row["create_time"], NOON.tzinfo)


def only(row: Any) -> Any:
    (found,) = TikTok.parse(json.dumps(row).encode(), kit.NOW)
    return found


async def test_videos_of_many_pages_are_heard_once_with_ids_that_are_exact():
    api, log = Api(*(video(n, ago(hours=n / 10)) for n in range(230))), MemoryLog()
    await kit.run(api.connector(), 4, log=log)
    assert sorted(one.native_id for one in log.mentions) == [str(BIG + n) for n in range(230)]
    assert [given.get("cursor") for _, given in api.asked[:3]] == [None, 100, 200]
    assert api.tokens == 1
    await kit.run(api.connector(), 3, log=log)
    assert len(log.mentions) == 230


async def test_videos_that_the_index_learns_of_late_are_heard_within_the_overlap():
    api, log = Api(video(1, ago(hours=3))), MemoryLog()
    await kit.run(api.connector(), 1, log=log)
    api.videos.append(video(2, ago(hours=40)))
    await kit.run(api.connector(), 1, log=log)
    assert [one.native_id for one in log.mentions] == [str(BIG + 1), str(BIG + 2)]


async def test_a_search_that_is_not_known_any_more_begins_anew():
    api, log = Api(*(video(n, ago(hours=1)) for n in range(30)), page=10), MemoryLog()
    await kit.run(api.connector(), 1, log=log)
    api.forget_searches = True
    await kit.run(api.connector(), 4, log=log)
    assert sorted(int(one.native_id) - BIG for one in log.mentions) == list(range(30))


async def test_a_long_past_is_asked_for_thirty_days_at_a_time():
    days = (75, 50, 20, 1)
    api, log = Api(*(video(n, ago(days=n)) for n in days)), MemoryLog()
    connector, since, until = api.connector(), ago(days=80), ago(days=10)
    name = checkpoint_name(connector, since, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=since, until=until, clock=kit.clock).run()
    assert sorted(int(one.native_id) - BIG for one in log.mentions) == [20, 50, 75]
    spans = [
        datetime.strptime(given["end_date"], "%Y%m%d") - datetime.strptime(given["start_date"], "%Y%m%d")
        for _, given in api.asked
    ]
    assert max(spans) <= timedelta(days=30)


async def test_comments_of_what_was_found_are_read_once_a_day():
    api, log = Api(video(1, ago(hours=5))), MemoryLog()
    api.comment(1, 150, ago(hours=4))
    connector = api.connector(comments=True)
    await kit.run(connector, 3, log=log)
    assert len(log.mentions) == 151
    comment = log.mentions[-1]
    assert (comment.kind, comment.in_reply_to) == (Kind.COMMENT, f"tiktok:{BIG + 1}")
    assert comment.url == f"https://www.tiktok.com/@sam/video/{BIG + 1}"
    asked = [path for path, _ in api.asked]
    await kit.run(api.connector(comments=True), 2, log=log)
    assert [path for path, _ in api.asked[len(asked) :]] == ["video/query", "video/query"]


async def test_more_comments_than_tiktok_shows_are_told_as_a_gap():
    api = Api(video(1, ago(hours=5)))
    api.comment(1, 1_500, ago(hours=4))
    connector, cursor, gaps, heard, is_full = api.connector(comments=True), None, [], 0, True
    while is_full:
        page = await connector.fetch(cursor)
        cursor, is_full = page.cursor, page.is_full
        gaps += [page.gap] if page.gap else []
        heard += len(page.mentions)
    assert heard == 1_001
    assert [(gap.since, gap.until, gap.reason) for gap in gaps] == [
        (ago(hours=5), NOON, "TikTok shows 1000 comments of a video")
    ]


async def test_the_question_is_one_of_the_words_or_tags_in_one_of_the_regions():
    api = Api()
    await api.connector(keywords=["acme kettle"], hashtags=["#acme"], regions=["de"]).fetch(None)
    assert api.asked[0][1]["query"] == {
        "or": [
            {"operation": "IN", "field_name": "keyword", "field_values": ["acme kettle"]},
            {"operation": "IN", "field_name": "hashtag_name", "field_values": ["acme"]},
        ],
        "and": [{"operation": "IN", "field_name": "region_code", "field_values": ["DE"]}],
    }


@pytest.mark.parametrize(
    ("status", "code", "error", "words"),
    [
        (429, "daily_quota_limit_exceeded", RateLimitedError, "of this day"),
        (200, "rate_limit_exceeded", RateLimitedError, "fewer"),
        (500, "internal_error", SourceUnavailableError, "internal_error"),
        (200, "timeout", SourceUnavailableError, "timeout"),
        (401, "scope_not_authorized", SourceRefusedError, "research.data.basic"),
        (400, "invalid_params", SourceRefusedError, "400"),
        (200, "invalid_params", SourceRefusedError, "invalid_params"),
        (401, "access_token_invalid", SourceRefusedError, "401"),
    ],
)
async def test_an_error_is_what_its_code_says_whatever_the_status(status, code, error, words):
    api = Api()
    api.error = (status, code, "no")
    with pytest.raises(error, match=words) as raised:
        await api.connector().fetch(None)
    assert kit.SECRET not in str(raised.value)
    assert api.tokens == (2 if status == 401 else 1)


def test_a_day_of_requests_ends_at_midnight():
    assert until_midnight(NOON) == 12 * 3600


async def test_no_more_requests_are_made_than_a_day_has():
    api, log = Api(*(video(n, ago(hours=1)) for n in range(50)), page=10), MemoryLog()
    _, states = await kit.run(api.connector(requests_per_day=3), 4, log=log)
    assert len(api.asked) == 3
    assert states[-1][0] == "waiting"


@pytest.mark.parametrize("broken", ["", "null", "[]", "{", '{"queue": 5}', '{"question": {"x": 1}}', '{"videos": [1]}'])
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    assert len((await Api(video(1, ago(hours=1))).connector().fetch(broken)).mentions) == 1


def test_videos_that_are_long_past_are_followed_no_more():
    place = Place().following(
        {"1": {"published": ago(days=9).isoformat()}, "2": {"published": ago(days=1).isoformat()}}, ago(days=7)
    )
    assert place.due(NOON, 86_400) == ("2",)


def test_something_has_to_be_heard():
    with pytest.raises(ConfigError, match="say what to hear"):
        kit.settings(TikTok, keywords=[])


def test_a_video_has_what_is_said_in_it_when_that_was_asked_for():
    found = only(video(1, NOON, voice_to_text="and it leaks", like_count=4, comment_count=3, share_count=2))
    assert found.text == "acme 1\n\nand it leaks"
    assert (found.author.handle, found.tags) == ("sam", ("acme",))
    assert (found.engagement.likes, found.engagement.replies, found.engagement.shares, found.engagement.views) == (
        4,
        3,
        2,
        9,
    )


def test_a_reply_names_the_comment_it_answers():
    found = only({"id": 5, "video_id": 9, "text": "yes", "parent_comment_id": 4, "create_time": 1_795_168_800})
    assert (found.in_reply_to, found.conversation, found.author) == ("tiktok:4", "tiktok:9", None)


def test_people_and_videos_without_words_are_no_mentions():
    silent = {"id": 1, "create_time": 1_795_168_800, "username": "sam", "video_description": ""}
    person = {"id": 1, "display_name": "Sam", "follower_count": 3}
    assert list(TikTok.parse(json.dumps([silent, person]).encode(), kit.NOW)) == []


@pytest.mark.shared
def test_every_recorded_video_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "tiktok"):
        rows = (json.loads(body).get("data") or {}).get("videos") or []
        wanted = {str(row["video_id"]): row["video_description"] for row in rows}
        found = recordings.read(TikTok, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(one.url and one.created_at < kit.NOW for one in found)
        count += len(wanted)
    assert count >= 1


def test_a_comment_of_which_few_fields_were_asked_for_is_read():
    body = {
        "data": {"comments": [{"id": 8, "text": "Mine leaks", "create_time": 1_790_000_000}]},
        "error": {"code": "ok"},
    }
    (found,) = TikTok.parse(json.dumps(body).encode(), kit.NOW)
    assert (found.native_id, found.text, found.url) == ("8", "Mine leaks", None)
    assert (found.conversation, found.in_reply_to, found.subject) == (None, None, None)
