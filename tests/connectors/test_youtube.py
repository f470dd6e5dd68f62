"""YouTube: an API of our own that pages, counts units and refuses as theirs is documented to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors import reading
from connectors.backfill import Backfill, checkpoint_name
from connectors.publisher import MemoryLog, MemoryPublisher
from connectors.youtube.connector import YouTube
from connectors.youtube.errors import until_midnight
from connectors.youtube.place import Place, written
from pipeline.contract.errors import ConfigError, RateLimitedError, SourceRefusedError
from pipeline.contract.events import Kind, State
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, recordings

NOON = kit.NOW
CHANNEL = "UCacmeacmeacmeacmeacme1"
COST = {"search": 100}


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def comment(native: str, at: datetime, text: str = "acme", **more: Any) -> dict[str, Any]:
    said = {
        "textDisplay": text,
        "authorDisplayName": "@sam",
        "authorChannelId": {"value": "UCsam"},
        "authorChannelUrl": "http://www.youtube.com/@sam",
        "likeCount": 1,
        "publishedAt": written(at),
        "updatedAt": written(at),
    }
    return {"kind": "youtube#comment", "id": native, "snippet": {**said, **more}}


class Api:
    """Videos and threads as YouTube lists them: newest first, a page at a time, five replies with a thread."""

    def __init__(self, *, page: int = 100, shown: int = 500) -> None:
        self.page, self.shown = page, shown
        self.videos: dict[str, datetime] = {}
        self.threads: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]] = {}
        self.refused: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.units = 0
        self.generation = 0

    def thread(self, video: str, native: str, at: datetime, replies: int = 0, **more: Any) -> None:
        said = [comment(f"{native}.{n}", at + timedelta(minutes=n + 1), parentId=native) for n in range(replies)]
        self.threads.setdefault(video, []).append((comment(native, at, **more), said))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        resource, asked = request.url.path.rpartition("/")[2], dict(request.url.params)
        self.asked.append((resource, asked))
        self.units += COST.get(resource, 1)
        reason = self.refused.get(asked.get("videoId") or asked.get("allThreadsRelatedToChannelId") or resource)
        if reason:
            error = {"errors": [{"domain": "youtube", "reason": reason}], "code": 403, "message": "no"}
            return httpx.Response(403, json={"error": error})
        if asked.get("pageToken", f"{self.generation}:").partition(":")[0] != str(self.generation):
            error = {"errors": [{"reason": "invalidPageToken"}], "code": 400, "message": "no"}
            return httpx.Response(400, json={"error": error})
        return self._page(asked, getattr(self, f"_{resource}")(asked))

    def _page(self, asked: dict[str, str], found: list[dict[str, Any]]) -> httpx.Response:
        begin = int(asked.get("pageToken", "0:0").partition(":")[2])
        end = begin + min(self.page, int(asked["maxResults"]))
        body: dict[str, Any] = {"kind": "youtube#someListResponse", "items": found[begin:end]}
        if end < len(found):
            body["nextPageToken"] = f"{self.generation}:{end}"
        return httpx.Response(200, json=body)

    def _search(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        after = asked["publishedAfter"]
        found = sorted(
            ((written(at), native) for native, at in self.videos.items() if written(at) >= after), reverse=True
        )
        return [
            {
                "kind": "youtube#searchResult",
                "id": {"kind": "youtube#video", "videoId": native},
                "snippet": {"publishedAt": at, "title": "cut &amp; escaped", "description": "cut …"},
            }
            for at, native in found
        ][: self.shown]

    def _videos(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "kind": "youtube#video",
                "id": native,
                "snippet": {
                    "publishedAt": written(self.videos[native]),
                    "channelId": "UCkim",
                    "channelTitle": "Kim",
                    "title": "Acme & I",
                    "description": "All of it: https://acme.example/kettle.",
                    "tags": ["Tea"],
                    "defaultAudioLanguage": "en-GB",
                },
                "statistics": {"viewCount": "90", "likeCount": "7", "commentCount": "3"},
            }
            for native in asked["id"].split(",")
            if native in self.videos
        ]

    def _commentThreads(self, asked: dict[str, str]) -> list[dict[str, Any]]:  # noqa: N802 - as the resource is called
        videos = [asked["videoId"]] if "videoId" in asked else sorted(self.threads)
        found = [(video, *one) for video in videos for one in self.threads.get(video, ())]
        found.sort(key=lambda one: one[1]["snippet"]["publishedAt"], reverse=True)
        return [
            {
                "kind": "youtube#commentThread",
                "id": top["id"],
                "snippet": {"videoId": video, "topLevelComment": top, "totalReplyCount": len(replies)},
                **({"replies": {"comments": replies[-5:]}} if replies else {}),
            }
            for video, top, replies in found
        ]

    def _comments(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        every = [one for threads in self.threads.values() for one in threads]
        if "id" in asked:
            return [one for top, replies in every for one in (top, *replies) if one["id"] in asked["id"].split(",")]
        return next((replies for top, replies in every if top["id"] == asked["parentId"]), [])

    def connector(self, **changes: Any) -> YouTube:
        found = kit.make(YouTube, self, **changes)
        assert isinstance(found, YouTube)
        return found


async def a_round(connector: YouTube, cursor: str | None = None) -> tuple[str | None, list[Any]]:
    """Read until nothing is waiting; return the cursor and what was heard."""
    heard, is_full = [], True
    while is_full:
        page = await connector.fetch(cursor)
        cursor, is_full = page.cursor, page.is_full
        heard += page.mentions
    return cursor, heard


def only(*rows: Any) -> Any:
    (found,) = YouTube.parse(json.dumps(rows[0] if len(rows) == 1 else list(rows)).encode(), kit.NOW)
    return found


async def test_all_comments_of_a_channel_are_heard_down_to_what_is_known_and_no_further():
    api = Api(page=10)
    for number in range(60):
        api.thread("video1", f"Ug{number:02}", ago(hours=1 + number))
    cursor, heard = await a_round(api.connector(channels=[CHANNEL], lookback="1d"))
    assert {one.native_id for one in heard} == {f"Ug{number:02}" for number in range(24)}
    assert len(api.asked) == 3
    api.thread("video2", "UgNew", ago(minutes=5))
    api.asked.clear()
    _, heard = await a_round(api.connector(channels=[CHANNEL], overlap="2h"), cursor)
    assert {one.native_id for one in heard} == {"UgNew", "Ug00", "Ug01", "Ug02"}
    assert len(api.asked) == 1


async def test_replies_that_do_not_come_with_their_thread_are_asked_for_once():
    api, log = Api(), MemoryLog()
    api.thread("video1", "Ug1", ago(hours=3), replies=130)
    api.thread("video1", "Ug2", ago(hours=2), replies=5)
    await kit.run(api.connector(), 3, log=log)
    assert {one.native_id for one in log.mentions} == {
        "Ug1",
        "Ug2",
        *(f"Ug1.{n}" for n in range(130)),
        *(f"Ug2.{n}" for n in range(5)),
    }
    reply = next(one for one in log.mentions if one.native_id == "Ug1.3")
    assert (reply.conversation, reply.in_reply_to) == ("youtube:Ug1", "youtube:Ug1")
    assert reply.url == "https://www.youtube.com/watch?v=video1&lc=Ug1.3"
    asked = [resource for resource, _ in api.asked]
    assert asked.count("comments") == 2
    await kit.run(api.connector(), 2, log=log)
    assert [resource for resource, _ in api.asked].count("comments") == 2
    api.threads["video1"][0][1].append(comment("Ug1.new", ago(minutes=1), parentId="Ug1"))
    await kit.run(api.connector(), 3, log=log)
    assert log.mentions[-1].native_id == "Ug1.new"
    assert len({(one.id, one.revision) for one in log.mentions}) == len(log.mentions)


async def test_videos_that_a_search_finds_come_whole_and_their_comments_are_followed():
    api, log = Api(), MemoryLog()
    api.videos["acmeVideo01"] = ago(hours=5)
    api.thread("acmeVideo01", "Ug1", ago(hours=4))
    connector = api.connector(query="acme", channels=[])
    await kit.run(connector, 2, log=log)
    video, under = log.mentions
    assert (video.title, video.text, video.links) == (
        "Acme & I",
        "All of it: https://acme.example/kettle.",
        ("https://acme.example/kettle",),
    )
    assert (video.engagement.views, video.language, video.tags) == (90, "en", ("tea",))
    assert (under.native_id, under.in_reply_to, under.kind) == ("Ug1", "youtube:acmeVideo01", Kind.COMMENT)
    api.thread("acmeVideo01", "Ug2", ago(minutes=1))
    await kit.run(api.connector(query="acme", channels=[]), 2, log=log)
    assert log.mentions[-1].native_id == "Ug2"


async def test_a_found_video_is_followed_for_a_time_and_without_comments_not_at_all():
    api = Api()
    api.videos = {"acmeVideo01": ago(days=6), "acmeVideo02": ago(days=2)}
    cursor, _ = await a_round(api.connector(query="acme", channels=[], lookback="8d", follow="3d"))
    assert list(Place.read(cursor).videos) == ["acmeVideo02"]
    api.asked.clear()
    await a_round(api.connector(query="acme", channels=[], comments=False))
    assert "commentThreads" not in [resource for resource, _ in api.asked]


async def test_a_search_that_shows_not_all_tells_the_gap():
    api = Api(page=10)
    api.videos = {f"acmeVideo{n:03}": ago(minutes=n + 1) for n in range(150)}
    connector, cursor, gaps, is_full = api.connector(query="acme", channels=[], comments=False), None, [], True
    while is_full:
        page = await connector.fetch(cursor)
        cursor, is_full = page.cursor, page.is_full
        gaps += [page.gap] if page.gap else []
    assert [(gap.since, gap.until) for gap in gaps] == [(ago(days=1), ago(minutes=100))]
    assert [resource for resource, _ in api.asked].count("search") == 10


async def test_a_crash_in_the_middle_of_a_round_loses_nothing_and_repeats_nothing():
    api, log = Api(page=7), MemoryLog()
    api.videos["acmeVideo01"] = ago(hours=20)
    for number in range(40):
        api.thread("acmeVideo01", f"Ug{number}", ago(minutes=10 * number + 1), replies=number % 3)
    for _ in range(12):
        await kit.run(api.connector(query="acme", channels=[]), 1, log=log)
    found = [one.native_id for one in log.mentions]
    assert len(found) == len(set(found)) == 1 + 40 + sum(number % 3 for number in range(40))


async def test_a_page_that_is_not_known_any_more_begins_its_target_anew():
    api = Api(page=5)
    for number in range(12):
        api.thread("video1", f"Ug{number}", ago(minutes=number + 1))
    connector = api.connector()
    first = await connector.fetch(None)
    api.generation += 1
    _, heard = await a_round(connector, first.cursor)
    assert {one.native_id for one in heard} == {f"Ug{number}" for number in range(12)}


async def test_used_up_units_are_waited_for_until_the_new_day_in_california():
    api = Api()
    api.refused["commentThreads"] = "quotaExceeded"
    api.refused[CHANNEL] = "quotaExceeded"
    with pytest.raises(RateLimitedError, match="units") as raised:
        await api.connector().fetch(None)
    assert raised.value.retry_after == 20 * 3600  # noon UTC is four in the morning there


async def test_no_more_units_are_used_than_a_day_has():
    api, log = Api(), MemoryLog()
    api.videos["acmeVideo01"] = ago(hours=5)
    _, states = await kit.run(api.connector(query="acme", channels=[], units_per_day=205), 12, log=log)
    assert api.units <= 205
    assert states[-1][0] == "waiting"
    assert "units" in states[-1][1]


async def test_comments_and_videos_are_read_again_and_those_that_are_gone_are_absent():
    api = Api()
    api.videos["acmeVideo01"] = ago(days=2)
    api.thread("acmeVideo01", "UgxAcmeKettleLeaks1", ago(days=1), updatedAt=written(ago(hours=1)))
    found = await api.connector().reread(["acmeVideo01", "goneVideo02", "UgxAcmeKettleLeaks1", "UgxGoneGoneGoneGone"])
    assert {one.native_id: one.state for one in found.mentions} == {
        "acmeVideo01": State.LIVE,
        "UgxAcmeKettleLeaks1": State.EDITED,
    }
    assert list(found.absent) == ["goneVideo02", "UgxGoneGoneGoneGone"]
    assert api.units == 2


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 7, 1, 6, 0, tzinfo=UTC), 1),
        (datetime(2026, 7, 1, 7, 0, tzinfo=UTC), 24),
        (datetime(2026, 3, 8, 8, 0, tzinfo=UTC), 23),
    ],
)
def test_a_day_of_units_ends_at_midnight_there_also_when_clocks_change(now, hours):
    assert until_midnight(now) == hours * 3600


async def test_a_found_video_without_comments_is_left_out_and_the_others_go_on():
    api = Api()
    api.videos = {"acmeVideo01": ago(hours=2), "acmeVideo02": ago(hours=1)}
    api.refused["acmeVideo02"] = "commentsDisabled"
    api.thread("acmeVideo01", "Ug1", ago(minutes=50))
    cursor, heard = await a_round(api.connector(query="acme", channels=[]))
    assert "Ug1" in {one.native_id for one in heard}
    assert list(Place.read(cursor).videos) == ["acmeVideo01"]


async def test_an_id_of_the_settings_that_is_not_there_is_told():
    api = Api()
    api.refused[CHANNEL] = "channelNotFound"
    with pytest.raises(SourceRefusedError, match=r"channelNotFound.*ids in this source's settings"):
        await api.connector().fetch(None)


async def test_a_wrong_key_is_refused_and_stands_in_no_address():
    seen = []

    def answer(request):
        seen.append(request)
        error = {"errors": [{"domain": "usageLimits", "reason": "keyInvalid", "message": "Bad Request"}], "code": 400}
        return httpx.Response(400, json={"error": error})

    with pytest.raises(SourceRefusedError):
        await kit.make(YouTube, answer).fetch(None)
    assert seen[0].headers["x-goog-api-key"] == kit.SECRET
    assert kit.SECRET not in str(seen[0].url)


async def test_a_backfill_goes_back_to_its_beginning_and_ends():
    api, log = Api(page=10), MemoryLog()
    for number in range(200):
        api.thread("video1", f"Ug{number:03}", ago(hours=number + 1))
    connector = api.connector()
    since, until = ago(hours=90, minutes=30), ago(hours=20, minutes=30)
    name = checkpoint_name(connector, since, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=since, until=until, clock=kit.clock).run()
    assert sorted(one.native_id for one in log.mentions) == [f"Ug{number:03}" for number in range(20, 90)]


@pytest.mark.parametrize("broken", ["", "null", "[]", "{", '{"queue": 5}', '{"walk": {"x": 1}}', '{"newest": 7}'])
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    api = Api()
    api.thread("video1", "Ug1", ago(hours=1))
    assert len((await api.connector().fetch(broken)).mentions) == 1


def test_something_has_to_be_heard():
    with pytest.raises(ConfigError, match="say what to hear"):
        kit.settings(YouTube, channels=[])


def test_html_becomes_text_and_plain_text_stays_as_it_is():
    shown = 'I &lt;3 it<br>see <a href="https://acme.example/kettle">https://acme.example/ke...</a> &amp; tell'
    rich = only(comment("Ug1", NOON, shown))
    assert rich.text == "I <3 it\nsee https://acme.example/kettle & tell"
    assert rich.links == ("https://acme.example/kettle",)
    assert only(comment("Ug1", NOON, "a < b\nR&D")).text == "a < b\nR&D"
    assert only(comment("Ug1", NOON, shown, textOriginal="as written")).text == "as written"


def test_an_edit_is_a_revision_with_its_time():
    found = only(comment("Ug1", ago(hours=2), updatedAt=written(ago(hours=1))))
    assert (found.state, found.revision) == (State.EDITED, int(ago(hours=1).timestamp() * 1000))
    assert found.created_at == ago(hours=2)


def test_a_comment_on_a_channel_leads_there():
    found = only(comment("Ug1", NOON, channelId=CHANNEL))
    assert found.url == f"https://www.youtube.com/channel/{CHANNEL}/discussion?lc=Ug1"
    assert (found.subject, found.in_reply_to, found.conversation) == (CHANNEL, None, "youtube:Ug1")
    assert (found.author.handle, found.author.url) == ("sam", "https://www.youtube.com/@sam")


def test_results_of_a_search_and_items_of_a_list_are_videos_but_channels_are_not():
    said = {
        "publishedAt": written(NOON),
        "title": "R&amp;D",
        "description": "x",
        "channelId": "UCa",
        "channelTitle": "A",
    }
    result = {"kind": "youtube#searchResult", "id": {"kind": "youtube#video", "videoId": "v1"}, "snippet": said}
    channel = {"kind": "youtube#searchResult", "id": {"kind": "youtube#channel", "channelId": "UCa"}, "snippet": said}
    owner = {"resourceId": {"kind": "youtube#video", "videoId": "v2"}, "videoOwnerChannelId": "UCb"}
    item = {"kind": "youtube#playlistItem", "id": "PL1", "snippet": {**said, **owner}}
    first, second = YouTube.parse(json.dumps([result, channel, item]).encode(), kit.NOW)
    assert (first.native_id, first.title, first.author.id) == ("v1", "R&D", "UCa")
    assert (second.native_id, second.title, second.author.id) == ("v2", "R&amp;D", "UCb")


def test_files_of_programs_that_save_comments_are_read():
    flat = {
        "cid": "Ug1.2",
        "comment": "hi",
        "author": "sam",
        "publishedTimeText": "2 hours ago (edited)",
        "videoId": "v1",
    }
    found = only({**flat, "replyToCid": "Ug1", "voteCount": 4})
    assert (found.created_at, found.in_reply_to, found.engagement.likes) == (ago(hours=2), "youtube:Ug1", 4)
    other = only({"id": "Ug3", "text": "hi", "author": "sam", "video_id": "v1", "published_at": "2026-11-20T09:00:00Z"})
    assert other.url == "https://www.youtube.com/watch?v=v1&lc=Ug3"
    assert list(YouTube.parse(b'{"id": "7", "text": "hi", "author": "sam"}', kit.NOW)) == []


@pytest.mark.shared
def test_every_recorded_comment_and_video_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "youtube"):
        rows = [row for row in reading.walk(reading.documents(body)) if row.get("kind") == "youtube#comment"]
        wanted = {row["id"]: row["snippet"]["textOriginal"] for row in rows}
        found = recordings.read(YouTube, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(one.author and one.created_at < kit.NOW for one in found)
        count += len(wanted)
    assert count >= 35
    for name, least in (("comments_asus_activision", 211), ("comments_phone_reviews", 400)):
        body = (shared / "data" / "raw_payloads" / "youtube" / f"{name}.jsonl").read_bytes()
        assert len({one.id for one in recordings.read(YouTube, body) if one.url and one.text}) >= least
