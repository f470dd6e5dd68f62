"""Google Play: a store of our own, its seven days, and reviews in files."""

from __future__ import annotations

import codecs
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.google_play import exported
from connectors.google_play.connector import PER_HOUR, GooglePlay
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, SourceRefusedError
from tests.connectors import kit, recordings

HOUR, DAY = 3600, 86_400


def review(number, ago, *, text="works", answer=None, **more):
    seconds = int((kit.NOW - timedelta(seconds=ago)).timestamp())
    said = {"text": text, "lastModified": {"seconds": str(seconds), "nanos": 0}, "starRating": 4, **more}
    comments = [{"userComment": said}]
    if answer:
        comments.append({"developerComment": {"text": answer, "lastModified": {"seconds": str(seconds + 60)}}})
    return {"reviewId": f"gp:{number}", "authorName": "Sam", "comments": comments}


class Store:
    """Google Play: reviews of seven days, the last changed first, in parts; a token is good for one walk."""

    def __init__(self, *reviews, parts=100):
        self.reviews = list(reviews)
        self.parts = parts
        self.asked = []
        self.refuses_tokens = False

    def __call__(self, request):
        self.asked.append(request)
        assert request.headers["authorization"] == "Bearer token-of-the-test"
        token = request.url.params.get("token")
        if token and self.refuses_tokens:
            return httpx.Response(400, json={"error": {"code": 400, "message": "Invalid page token"}})
        start = int(token or 0)
        body = {}
        if self.reviews[start : start + self.parts]:
            body["reviews"] = self.reviews[start : start + self.parts]
        if start + self.parts < len(self.reviews):
            body["tokenPagination"] = {"nextPageToken": str(start + self.parts)}
        return httpx.Response(200, json=body)

    def connector(self, **changes):
        return kit.make(GooglePlay, self, **changes)


def ids(page):
    return [one.native_id for one in page.mentions]


async def test_reviews_come_oldest_first_with_what_the_store_tells_and_without_the_developers_answer():
    store = Store(review(2, 60, answer="sorry"), review(1, HOUR, text="Slow\tTakes 20 s https://example.org"))
    page = await store.connector().fetch(None)
    assert ids(page) == ["gp:1", "gp:2"]
    first, second = page.mentions
    assert (first.title, first.text, first.links) == (
        "Slow",
        "Takes 20 s https://example.org",
        ("https://example.org",),
    )
    assert "sorry" not in second.text
    assert first.subject == "org.example.kettle"
    assert first.url == "https://play.google.com/store/apps/details?id=org.example.kettle&reviewId=gp%3A1"


async def test_a_changed_review_is_a_new_revision():
    store, log = Store(review(1, HOUR)), MemoryLog()
    await kit.run(store.connector(), 1, log=log)
    store.reviews = [review(1, 60, text="mended")]
    await kit.run(store.connector(), 1, log=log)
    assert [one.text for one in log.mentions] == ["works", "mended"]
    assert log.mentions[0].revision < log.mentions[1].revision


async def test_nothing_is_lost_and_nothing_twice_over_parts_and_restarts():
    store, log = Store(*(review(n, n * 60) for n in range(1, 41)), parts=3), MemoryLog()
    await kit.run(store.connector(), 2, log=log)
    store.reviews[:0] = [review(n, 0) for n in range(41, 51)]
    for _ in range(3):
        await kit.run(store.connector(), 2, log=log)
    found = [one.native_id for one in log.mentions]
    assert len(found) == len(set(found)) == 50


async def test_a_token_that_google_no_longer_knows_begins_the_walk_anew():
    store, log = Store(*(review(n, n * 60) for n in range(1, 41)), parts=2), MemoryLog()
    made = store.connector()
    page = await made.fetch(None)
    assert page.is_full
    store.refuses_tokens, store.parts = True, 100
    again = await made.fetch(page.cursor)
    assert len(again.mentions) == 40
    assert not again.is_full
    store.parts = 2
    with pytest.raises(SourceRefusedError):
        await made.fetch(None)
    assert log.mentions == []


async def test_more_than_seven_days_without_asking_are_told_as_a_gap_once():
    made = Store(review(1, HOUR)).connector()
    cursor = await made.cursor_at(kit.NOW - timedelta(days=10))
    page = await made.fetch(cursor)
    assert (page.gap.since, page.gap.until) == (kit.NOW - timedelta(days=10), kit.NOW - timedelta(days=7))
    assert (await made.fetch(page.cursor)).gap is None


async def test_an_app_that_nobody_reviews_for_long_has_no_gap():
    made = Store().connector()
    old = json.dumps({
        "org.example.kettle": {"known": (kit.NOW - timedelta(days=30)).timestamp()},
        "asked": {"known": (kit.NOW - timedelta(hours=1)).timestamp()},
    })  # fmt: skip
    page = await made.fetch(old)
    assert page.gap is None
    assert made.time_of(page.cursor) == kit.NOW - timedelta(days=30)


def test_the_quota_of_the_reviews_api_is_kept_to():
    [limit] = Store().connector().limits()
    assert (limit.most, limit.per) == (PER_HOUR, 3600)


@pytest.mark.parametrize("wrong", ["kettle", "https://play.google.com/x", "org..kettle", ""])
def test_the_package_is_written_as_the_store_does(wrong):
    with pytest.raises(ConfigError, match=r"sources\.example\.package"):
        kit.settings(GooglePlay, package=wrong)


@pytest.mark.parametrize(
    ("said", "title", "text"),
    [("\tbody", None, "body"), ("title\tbody", "title", "body"), ("body", None, "body"), ("title\t", "title", "")],
)
def test_a_title_stands_before_a_tab(said, title, text):
    found = GooglePlay.to_mention(review(1, 0, text=said), kit.NOW)
    assert (found.title, found.text) == (title, text)


def test_the_words_as_they_were_written_go_before_a_translation():
    found = GooglePlay.to_mention(review(1, 0, text="Super", originalText="Prima", reviewerLanguage="de_AT"), kit.NOW)
    assert (found.text, found.language) == ("Prima", "de")


def test_a_review_that_is_only_the_developers_is_none():
    row = {"reviewId": "gp:1", "comments": [{"developerComment": {"text": "sorry"}}]}
    assert GooglePlay.to_mention(row, kit.NOW) is None


CONSOLE = (
    "Package Name,App Version Code,App Version Name,Reviewer Language,Device,Review Submit Date and Time,"
    "Review Submit Millis Since Epoch,Review Last Update Date and Time,Review Last Update Millis Since Epoch,"
    "Star Rating,Review Title,Review Text,Developer Reply Date and Time,Developer Reply Millis Since Epoch,"
    "Developer Reply Text,Review Link\n"
    "org.example.kettle,320,3.2.0,en,example,2026-10-01T10:00:00Z,1790848800000,2026-10-02T10:00:00Z,1790935200000,"
    '1,Offline,"It leaks,\nand ""beeps""",,,Sorry,http://play.google.com/console/x?reviewId=gp:77&p=org.example.kettle\n'
    "org.example.kettle,320,3.2.0,de,example,2026-10-01T11:00:00Z,1790852400000,2026-10-01T11:00:00Z,1790852400000,"
    "5,,,,,,\n"
)


@pytest.mark.parametrize(
    "body",
    [
        CONSOLE.encode("utf-16"),
        codecs.BOM_UTF8 + CONSOLE.encode(),
        CONSOLE.encode(),
        CONSOLE.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-16", "bom", "utf-8", "crlf"],
)
def test_the_consoles_monthly_file_is_read_with_stars_alone(body):
    words, stars = GooglePlay.parse(body, kit.NOW)
    assert words.native_id == "gp:77"
    assert words.title == "Offline"
    assert words.text.replace("\r", "") == 'It leaks,\nand "beeps"'
    assert words.created_at == datetime(2026, 10, 2, 10, 0, tzinfo=UTC)
    assert (words.rating.value, stars.rating.value, stars.text, stars.language) == (1, 5, "", "de")
    assert words.tags == ("version-3.2.0", "device-example")
    assert stars.native_id.startswith("row-")


def test_json_is_no_table():
    assert not exported.is_table(b'{"reviews": [], "text": 1}')
    assert not exported.is_table(b"text\nalone")
    assert exported.is_table(b"stars,text\n5,well")


@pytest.mark.shared
def test_every_recorded_review_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "google-play"):
        wanted = {
            row["reviewId"]: row["comments"][0]["userComment"]["text"] for row in json.loads(body).get("reviews", ())
        }
        found = recordings.read(GooglePlay, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(one.rating and one.created_at < kit.NOW for one in found)
        count += len(found)
    assert count == 2
    folder = shared / "data" / "raw_payloads" / "google_play"
    found = {file.name: list(GooglePlay.parse(file.read_bytes(), kit.NOW)) for file in folder.glob("*.csv")}
    assert {name: len(rows) for name, rows in found.items()} == {"brand_reviews.csv": 1172, "reviews.csv": 835}
    assert all(one.rating and one.author and one.created_at < kit.NOW for one in found["reviews.csv"])
