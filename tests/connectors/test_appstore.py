"""The App Store: ten pages of fifty that shift, country by country, in three forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

import httpx
import pytest

from connectors import registry
from connectors.appstore.connector import Appstore
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, SourceUnavailableError
from pipeline.contract.events import Kind, Rating
from tests.connectors import kit, recordings


def review(number, *, minutes_ago=None, stars=3, text="It boils.", title="Kettle", version="3.2.0"):
    at = kit.NOW - timedelta(minutes=number if minutes_ago is None else minutes_ago)
    return {
        "id": str(7_000_000 - number),
        "updated": at.isoformat(),
        "title": title,
        "content": text,
        "im:rating": str(stars),
        "im:version": version,
        "im:voteSum": "2",
        "name": f"reader {number}",
        "uri": f"https://itunes.apple.com/us/reviews/id{number}",
        "link": "https://itunes.apple.com/us/review?id=900000001&type=Purple%20Software",
    }


def as_json(rows):
    def entry(row):
        found = {key: {"label": row[key]} for key in row if key not in ("name", "uri", "link")}
        found["author"] = {"name": {"label": row["name"]}, "uri": {"label": row["uri"]}, "label": ""}
        return {**found, "link": {"attributes": {"rel": "related", "href": row["link"]}}}

    found = [entry(row) for row in rows]
    entries = {"entry": found[0] if len(found) == 1 else found} if found else {}
    return json.dumps({"feed": {"author": {"name": {"label": "iTunes Store"}}, **entries}}).encode()


def as_xml(rows):
    entries = "".join(
        f"<entry><updated>{row['updated']}</updated><id>{row['id']}</id><title>{escape(row['title'])}</title>"
        f'<content type="text">{escape(row["content"])}</content><im:voteSum>{row["im:voteSum"]}</im:voteSum>'
        f"<im:rating>{row['im:rating']}</im:rating><im:version>{row['im:version']}</im:version>"
        f"<author><name>{escape(row['name'])}</name><uri>{row['uri']}</uri></author>"
        f'<link rel="related" href={quoteattr(row["link"])}/>'
        f'<content type="html">&lt;table&gt;&lt;tr&gt;&lt;td&gt;for display&lt;/td&gt;&lt;/tr&gt;&lt;/table&gt;</content>'
        "</entry>"
        for row in rows
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns:im="http://itunes.apple.com/rss" '
        'xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><id>https://itunes.apple.com/us/rss</id>'
        f"<title>iTunes Store: Customer Reviews</title><updated>2026-11-20T00:00:00-07:00</updated>{entries}</feed>"
    ).encode()


class Store:
    """A store: each country has its reviews, newest first, ten pages of fifty. `between` happens after each answer."""

    def __init__(self, **countries):
        self.countries = {country: list(rows) for country, rows in countries.items()}
        self.asked = []
        self.between = lambda: None

    def __call__(self, request):
        _, country, _, _, page, app, order, form = request.url.path.split("/")
        assert (app, order) == ("id=900000001", "sortby=mostrecent")
        number = int(page.removeprefix("page="))
        self.asked.append((country, number, form))
        if number > 10:
            return httpx.Response(400)
        rows = self.countries.get(country, [])[(number - 1) * 50 : number * 50]
        answer = httpx.Response(200, content=as_json(rows) if form == "json" else as_xml(rows))
        self.between()
        return answer

    def connector(self, **changes):
        return kit.make(Appstore, self, **{"countries": list(self.countries), **changes})


def ids(mentions):
    return [mention.native_id for mention in mentions]


def test_it_is_found_with_and_without_a_hyphen():
    assert registry.find("app-store") is registry.find("appstore") is Appstore


def test_a_review_becomes_a_mention_with_its_stars_version_and_country():
    worst, best, _ = Appstore.parse(kit.example(Appstore, "page").read_bytes(), kit.NOW)
    assert worst.kind is Kind.REVIEW
    assert worst.rating == Rating(value=1.0, best=5.0, worst=1.0)
    assert best.rating.value == 5
    assert worst.text == "Since 3.2 the kettle is never found & nobody answers.\nFix it!"
    assert worst.title == "Kettle offline"
    assert (worst.author.name, worst.author.id) == ("Mo Tea", "https://itunes.apple.com/us/reviews/id7000000300")
    assert worst.created_at == datetime(2026, 11, 20, 5, 10, 5, tzinfo=UTC)
    assert (worst.subject, worst.tags) == ("900000001", ("version-3.2.0", "country-us"))
    assert worst.url == "https://itunes.apple.com/us/review?id=900000001&type=Purple%20Software"
    assert worst.engagement.likes == 4
    assert worst.language is None


def test_both_forms_of_the_feed_say_the_same():
    rows = [review(1, stars=1, text='Tea <3 & "kettle" &lt;b&gt;\nnever', title="A & B"), review(2, stars=5)]
    in_json = list(Appstore.parse(as_json([{**rows[0], "content": escape(rows[0]["content"])}, rows[1]]), kit.NOW))
    in_xml = list(Appstore.parse(as_xml(rows), kit.NOW))
    assert in_json == in_xml
    assert in_xml[0].text == 'Tea <3 & "kettle" &lt;b&gt;\nnever'


def test_one_review_alone_is_an_object_and_none_is_no_entry():
    assert ids(Appstore.parse(as_json([review(1)]), kit.NOW)) == [review(1)["id"]]
    assert list(Appstore.parse(as_json([]), kit.NOW)) == []
    assert list(Appstore.parse(as_xml([]), kit.NOW)) == []


def test_the_app_itself_at_the_head_of_a_feed_is_no_review():
    body = json.loads(as_json([review(1), review(2)]))
    body["feed"]["entry"].insert(0, {"id": {"label": "900000001"}, "im:name": {"label": "Acme Kettle"}})
    assert len(list(Appstore.parse(json.dumps(body).encode(), kit.NOW))) == 2


def test_an_answer_of_the_developers_api_is_read_too():
    given = {"rating": 2, "title": "Meh", "body": "Cold", "reviewerNickname": "jo", "territory": "USA"}
    row = {"type": "customerReviews", "id": "a-1", "attributes": {**given, "createdDate": "2026-09-30T11:02:13-07:00"}}
    (found,) = Appstore.parse(json.dumps({"data": [row, {"type": "customerReviews"}]}).encode(), kit.NOW)
    assert (found.rating.value, found.title, found.text, found.author.name) == (2.0, "Meh", "Cold", "jo")
    assert found.created_at == datetime(2026, 9, 30, 18, 2, 13, tzinfo=UTC)


async def test_a_review_that_cannot_be_read_is_kept_and_the_others_are_heard():
    without_id = [{**review(number), "id": ""} for number in (4, 5)]
    rows = [review(1, stars=9), review(2), review(3, stars="many"), *without_id]
    page = await Store(us=rows).connector().fetch(None)
    assert ids(page.mentions) == [rows[1]["id"]]
    assert len(page.rejected) == 4
    assert rows[0]["id"].encode() in b"".join(part.value for part in page.rejected)


async def test_pages_are_read_down_to_what_is_known_and_no_further():
    store, log = Store(us=[review(number) for number in range(5, 125)]), MemoryLog()
    await kit.run(store.connector(overlap=0), 1, log=log)
    assert [page for _, page, _ in store.asked] == [1, 2, 3, 4]
    store.asked.clear()
    store.countries["us"] = [review(number) for number in range(1, 5)] + store.countries["us"]
    await kit.run(store.connector(overlap=0), 1, log=log)
    assert [page for _, page, _ in store.asked] == [1, 2]
    assert ids(log.mentions) == [review(number)["id"] for number in (*range(124, 4, -1), *range(4, 0, -1))]


async def test_a_store_that_gives_its_first_page_for_every_one_is_not_asked_ten_times():
    asked = []

    def answer(request):
        asked.append(request.url.path)
        return httpx.Response(200, content=as_json([review(number) for number in range(50)]))

    page = await kit.make(Appstore, answer).fetch(None)
    assert (len(asked), len(page.mentions), page.gap) == (2, 50, None)


async def test_reviews_that_arrive_while_pages_are_read_hide_none():
    store, log = Store(us=[review(number) for number in range(20, 170)]), MemoryLog()
    fresh = iter(range(19, 0, -1))

    def arrive():
        if (number := next(fresh, None)) is not None:
            store.countries["us"].insert(0, review(number))

    store.between = arrive
    await kit.run(store.connector(), 8, log=log)
    assert sorted(ids(log.mentions)) == sorted(review(number)["id"] for number in range(1, 170))


async def test_reviews_of_the_same_second_are_all_heard():
    store, log = Store(us=[review(1, minutes_ago=9)]), MemoryLog()
    await kit.run(store.connector(overlap=0), 1, log=log)
    store.countries["us"] = [review(number, minutes_ago=9) for number in range(60)]
    await kit.run(store.connector(overlap=0), 1, log=log)
    assert sorted(ids(log.mentions)) == sorted(review(number)["id"] for number in range(60))


async def test_a_review_the_store_shows_late_is_heard():
    store, log = Store(us=[review(1)]), MemoryLog()
    await kit.run(store.connector(), 1, log=log)
    late = review(2, minutes_ago=600)
    store.countries["us"].append(late)
    await kit.run(store.connector(), 1, log=log)
    assert ids(log.mentions) == [review(1)["id"], late["id"]]


async def test_an_edited_review_is_a_new_revision():
    store, log = Store(us=[review(7, text="Cold.")]), MemoryLog()
    await kit.run(store.connector(), 1, log=log)
    store.countries["us"] = [review(7, minutes_ago=1, text="Warm now.")]
    await kit.run(store.connector(), 2, log=log)
    before, after = log.mentions
    assert before.id == after.id
    assert after.revision > before.revision > 0
    assert after.text == "Warm now."


async def test_more_than_the_store_shows_is_told_as_a_gap():
    store = Store(us=[review(2_000)], gb=[review(2_000)])
    connector = store.connector()
    known = (await connector.fetch(None)).cursor
    store.countries["us"] = [review(number) for number in range(600)]
    page = await connector.fetch(known)
    assert len(page.mentions) == 501  # of gb the one that is known comes again
    assert page.gap.since == kit.NOW - timedelta(minutes=2_000)
    assert page.gap.until == kit.NOW - timedelta(minutes=499)
    assert page.gap.reason == "more reviews than the 500 that the store shows of a country (us)"
    log = MemoryLog()
    await kit.run(connector, 1, log=log)
    assert [told.reason for told in log.coverage] == [page.gap.reason]


async def test_no_gap_is_told_where_the_feed_reaches_what_is_known():
    store = Store(us=[review(number) for number in range(100, 700)])
    connector = store.connector(overlap="3d")
    known = json.dumps({"us": int((kit.NOW - timedelta(minutes=400)).timestamp())})
    page = await connector.fetch(known)
    assert len(store.asked) == 10
    assert page.gap is None


async def test_the_first_poll_goes_back_as_far_as_it_is_told():
    store = Store(us=[review(number, minutes_ago=number * 60) for number in range(1, 200)])
    page = await store.connector(lookback="2d").fetch(None)
    assert len(page.mentions) == 48
    assert [number for _, number, _ in store.asked] == [1, 2]


async def test_the_past_is_read_from_the_time_asked_for():
    store = Store(us=[review(number) for number in range(1, 100)])
    connector = store.connector(overlap=0)
    page = await connector.fetch(await connector.cursor_at(kit.NOW - timedelta(minutes=30)))
    assert ids(page.mentions) == [review(number)["id"] for number in range(30, 0, -1)]


async def test_countries_are_heard_apart_and_an_empty_one_moves_nothing():
    rows = {"us": [review(1)], "gb": [review(2)], "de": []}
    store = Store(**rows)
    connector = store.connector()
    first = await connector.fetch(None)
    assert [mention.tags[-1] for mention in first.mentions] == ["country-gb", "country-us"]
    assert json.loads(first.cursor).keys() == {"us", "gb"}
    store.countries = {"us": [], "gb": [], "de": []}
    assert json.loads((await connector.fetch(first.cursor)).cursor) == json.loads(first.cursor)


async def test_a_review_dated_ahead_does_not_hide_those_that_follow():
    store, log = Store(us=[review(1, minutes_ago=-60 * 24 * 400)]), MemoryLog()
    await kit.run(store.connector(overlap=0), 1, log=log)
    store.countries["us"].insert(1, review(2, minutes_ago=0))
    await kit.run(store.connector(overlap=0), 1, log=log)
    assert len(log.mentions) == 2


async def test_the_other_form_can_be_asked_for():
    store = Store(us=[review(1)])
    page = await store.connector(form="xml").fetch(None)
    assert {form for _, _, form in store.asked} == {"xml"}
    assert (page.mentions[0].subject, page.mentions[0].tags[-1]) == ("900000001", "country-us")


@pytest.mark.parametrize("body", [b"<html><title>Oops</title></html>", b"<feed", b'{"feed": 1}', b'{"data": 1'])
async def test_what_is_no_feed_is_tried_again(body):
    with pytest.raises(SourceUnavailableError):
        await kit.make(Appstore, kit.answering(body)).fetch(None)


@pytest.mark.parametrize("wrong", [["usa"], ["u1"], [""], []], ids=repr)
def test_a_country_is_two_letters(wrong):
    with pytest.raises(ConfigError, match="countries"):
        kit.settings(Appstore, countries=wrong)
    assert kit.settings(Appstore, countries=["US", "us", "Gb"]).countries == ("us", "gb")


def test_the_number_of_an_app_may_stand_in_quotes():
    assert kit.settings(Appstore, app="900000001").app == 900_000_001
    with pytest.raises(ConfigError, match=r"sources\.example\.app"):
        kit.settings(Appstore, app="com.acme.kettle")


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"us": "soon"}', "7"], ids=repr)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    assert len((await Store(us=[review(1)]).connector().fetch(broken)).mentions) == 1


@pytest.mark.shared
def test_every_recorded_review_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "app-store"):
        value = json.loads(body)
        entries = value.get("feed", {}).get("entry", [])
        entries = entries if isinstance(entries, list) else [entries]
        wanted = {row["id"]["label"]: row["content"]["label"] for row in entries if "im:rating" in row}
        wanted |= {row["id"]: row["attributes"]["body"] for row in value.get("data", ())}
        found = recordings.read(Appstore, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(mention.rating and mention.author.name and mention.created_at < kit.NOW for mention in found)
        assert all(mention.url for mention in found if "feed" in value)
        count += len(wanted)
    assert count >= 4


def test_rows_without_their_feed_are_read_alone_and_in_lists_and_several_answers_in_lines():
    feed = json.loads(as_json([review(1), review(2)]))
    entry = feed["feed"]["entry"][-1]
    connect = {
        "type": "customerReviews",
        "id": "a1",
        "attributes": {"rating": 4, "body": "It boils", "territory": "USA"},
    }
    for body, wanted in (
        ([entry], 1),
        (entry, 1),
        ([feed, feed], 2),
        (connect, 1),
        ([connect, {**connect, "id": "a2"}], 2),
        ([entry, connect, {"type": "apps", "id": "1"}, 7], 2),
    ):
        assert len(list(Appstore.parse(json.dumps(body).encode(), kit.NOW))) == wanted
    lines = b"\n".join(json.dumps(one).encode() for one in (feed, {"data": [connect]}))
    assert len(list(Appstore.parse(lines, kit.NOW))) == 3
