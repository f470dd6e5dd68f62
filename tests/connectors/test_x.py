"""X: a search of our own that answers as theirs is documented to, and what its posts and notices become."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from connectors import reading
from connectors.backfill import Backfill, checkpoint_name
from connectors.publisher import MemoryLog, MemoryPublisher
from connectors.x import ids
from connectors.x.connector import X
from connectors.x.place import Place
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, State
from pipeline.contract.metrics import Metrics
from tests.connectors import kit, recordings

NOON = kit.NOW


def id_of(at: datetime, number: int = 0) -> str:
    return str(int(ids.id_at(at)) + number)


def post(at: datetime, number: int = 0, **more: Any) -> dict[str, Any]:
    native = id_of(at, number)
    return {
        "id": native,
        "text": f"acme {native}",
        "author_id": "7",
        "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "conversation_id": native,
        "edit_history_tweet_ids": [native],
        **more,
    }


class Search:
    """The recent search: newest first, bounded by ids, pages by tokens that go on to mean the same."""

    def __init__(self, *posts: dict[str, Any], page: int = 100) -> None:
        self.posts, self.page = list(posts), page
        self.asked: list[dict[str, str]] = []
        self.read = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = {key: value[0] for key, value in parse_qs(request.url.query.decode()).items()}
        self.asked.append(asked)
        floor = int(ids.id_at(NOON - timedelta(days=7)))
        since, until = int(asked.get("since_id", floor)), int(asked.get("until_id", 1 << 62))
        if since < floor:
            return httpx.Response(400, json={"title": "Invalid Request", "detail": "'since_id' is too old"})
        end = int(asked.get("next_token", until))  # a token stands for the oldest id that was given
        found = sorted((one for one in self.posts if since < int(one["id"]) < end), key=lambda one: -int(one["id"]))
        count = min(self.page, int(asked["max_results"]))
        given, more = found[:count], len(found) > count
        self.read += len(given)
        meta = {"result_count": len(given), **({"next_token": given[-1]["id"]} if more else {})}
        users = [{"id": "7", "username": "sam", "name": "Sam"}]
        return httpx.Response(
            200, json={"data": given, "includes": {"users": users}, "meta": meta} if given else {"meta": meta}
        )

    def connector(self, **changes: Any) -> X:
        found = kit.make(X, self, **changes)
        assert isinstance(found, X)
        return found


def natives(log: MemoryLog) -> list[str]:
    return [mention.native_id for mention in log.mentions]


def only(*rows: Any) -> Any:
    (found,) = X.parse(json.dumps(rows[0] if len(rows) == 1 else list(rows)).encode(), kit.NOW)
    return found


async def test_a_burst_of_many_pages_is_walked_through_once():
    search, log = Search(post(NOON - timedelta(minutes=50))), MemoryLog()
    await kit.run(search.connector(), 1, log=log)
    search.posts += [post(NOON - timedelta(seconds=2_000 - number)) for number in range(350)]
    await kit.run(search.connector(), 6, log=log)
    assert sorted(natives(log)) == sorted(one["id"] for one in search.posts)
    assert len(set(natives(log))) == 351
    assert [asked.get("next_token") is not None for asked in search.asked[1:5]] == [False, True, True, True]


async def test_a_walk_that_breaks_off_goes_on_where_it_was():
    search, log = Search(post(NOON - timedelta(minutes=50)), page=10), MemoryLog()
    await kit.run(search.connector(), 1, log=log)
    search.posts += [post(NOON - timedelta(seconds=900 - number)) for number in range(35)]
    await kit.run(search.connector(), 2, log=log)
    search.posts.append(post(NOON - timedelta(seconds=1)))  # after the walk began
    for _ in range(4):
        await kit.run(search.connector(), 2, log=log)
    assert sorted(natives(log)) == sorted(one["id"] for one in search.posts)


async def test_the_first_poll_reads_one_page_and_no_more():
    search, log = Search(*(post(NOON - timedelta(seconds=number)) for number in range(1, 300))), MemoryLog()
    waits, _ = await kit.run(search.connector(), 1, log=log)
    assert len(log.mentions) == search.read == 100
    assert waits.waited[0] > 0
    assert "since_id" not in search.asked[0]


async def test_posts_of_the_same_instant_and_late_ones_within_the_overlap_are_heard():
    at = NOON - timedelta(seconds=100)
    search, log = Search(post(at, 1)), MemoryLog()
    await kit.run(search.connector(), 1, log=log)
    search.posts += [post(at, 0), post(at, 2), post(at - timedelta(seconds=20)), post(at - timedelta(seconds=40))]
    await kit.run(search.connector(overlap="30s"), 2, log=log)
    assert natives(log) == [id_of(at, 1), id_of(at - timedelta(seconds=20)), id_of(at, 0), id_of(at, 2)]


async def test_after_a_night_it_catches_up_an_hour_at_a_time():
    begin = NOON - timedelta(hours=8)
    search = Search(post(begin))
    cursor = Place(known=id_of(begin)).written()
    search.posts += [post(begin + timedelta(minutes=30 * number)) for number in range(1, 16)]
    connector, heard = search.connector(), []
    is_full = True
    while is_full:
        page = await connector.fetch(cursor)
        cursor, is_full = page.cursor, page.is_full
        heard += [mention.native_id for mention in page.mentions]
    assert list(dict.fromkeys(heard))[-15:] == [one["id"] for one in search.posts[1:]]
    assert 7 <= len(search.asked) <= 9


async def test_a_long_silence_is_crossed_in_few_requests_that_cost_nothing():
    search = Search()
    page = await search.connector().fetch(Place(known=id_of(NOON - timedelta(days=6))).written())
    assert len(search.asked) <= 9
    assert (page.mentions, page.is_full, search.read) == ([], False, 0)
    assert search.connector().time_of(page.cursor) > NOON - timedelta(days=3)


async def test_what_is_older_than_seven_days_is_told_as_a_gap():
    search = Search(post(NOON - timedelta(hours=1)))
    page = await search.connector().fetch(Place(known=id_of(NOON - timedelta(days=9))).written())
    assert page.gap.since == NOON - timedelta(days=9)
    assert timedelta(days=6, hours=23) < NOON - page.gap.until < timedelta(days=7)
    assert "seven days" in page.gap.reason


async def test_the_full_archive_has_no_gap():
    asked = []

    def answer(request):
        asked.append(request.url)
        return httpx.Response(200, json={"data": [post(NOON - timedelta(days=29))], "meta": {"result_count": 1}})

    cursor = Place(known=id_of(NOON - timedelta(days=30))).written()
    page = await kit.make(X, answer, archive=True).fetch(cursor)
    assert page.gap is None
    assert {url.path for url in asked} == {"/2/tweets/search/all"}


async def test_a_backfill_ends_at_its_end():
    search = Search(*(post(NOON - timedelta(minutes=10 * number)) for number in range(1, 100)))
    connector, log = search.connector(), MemoryLog()
    since, until = NOON - timedelta(hours=10), NOON - timedelta(hours=4)
    name = checkpoint_name(connector, since, until)
    await Backfill(connector, MemoryPublisher(name, log), Metrics(), since=since, until=until, clock=kit.clock).run()
    wanted = [one["id"] for one in search.posts if since <= ids.time_of(one["id"]) < until]
    assert sorted(natives(log)) == sorted(wanted)
    assert search.read < 60


@pytest.mark.parametrize("broken", ["", "null", "[]", "{", '{"known": "x"}', '{"known": {}}', '{"known": "-1"}'])
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    page = await Search(post(NOON - timedelta(minutes=1))).connector().fetch(broken)
    assert len(page.mentions) == 1


async def test_reposts_are_left_out_unless_they_are_wanted():
    search = Search()
    await search.connector(query="acme OR kettle").fetch(None)
    await search.connector(query="acme OR kettle", reposts=True).fetch(None)
    assert [asked["query"] for asked in search.asked] == ["(acme OR kettle) -is:retweet", "acme OR kettle"]
    assert [asked["expansions"] for asked in search.asked] == ["author_id", "author_id,referenced_tweets.id"]


@pytest.mark.parametrize("selector", ["tweet.fields", "post.fields"])
async def test_the_fields_are_named_as_the_contract_in_force_wants(selector):
    search = Search()
    await search.connector(selector=selector).fetch(None)
    assert "note_tweet" in search.asked[0][selector]
    assert not {"tweet.fields", "post.fields"} - {selector} & search.asked[0].keys()


async def test_only_what_matched_is_published_not_what_stands_beside_it():
    match, beside = post(NOON - timedelta(minutes=1)), post(NOON - timedelta(minutes=9))
    body = {"data": [match], "includes": {"tweets": [beside]}, "meta": {"result_count": 1}}
    page = await kit.make(X, kit.answering(json.dumps(body).encode())).fetch(None)
    assert [mention.native_id for mention in page.mentions] == [match["id"]]
    assert len(list(X.parse(json.dumps(body).encode(), kit.NOW))) == 2


async def test_errors_beside_the_posts_do_no_harm_and_errors_alone_are_tried_again():
    error = {"title": "Not Found Error", "resource_type": "tweet", "resource_id": "5", "parameter": "ids"}
    both = {"data": [post(NOON - timedelta(minutes=1))], "errors": [error], "meta": {"result_count": 1}}
    assert len((await kit.make(X, kit.answering(json.dumps(both).encode())).fetch(None)).mentions) == 1
    with pytest.raises(SourceUnavailableError, match="no search result"):
        await kit.make(X, kit.answering(json.dumps({"errors": [error]}).encode())).fetch(None)


async def test_a_check_reads_ten_posts_at_the_most():
    search = Search(*(post(NOON - timedelta(seconds=number)) for number in range(1, 50)))
    assert "10 mentions" in await search.connector().check()
    assert search.read == 10
    assert "nothing that matches" in await Search().connector().check()


async def test_the_token_goes_into_the_header_and_nowhere_else():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json={"meta": {"result_count": 0}})

    await kit.make(X, answer).fetch(None)
    assert seen[0].headers["authorization"] == f"Bearer {kit.SECRET}"
    assert kit.SECRET not in str(seen[0].url)


async def test_a_limit_is_waited_out_until_its_epoch():
    reset = int((NOON + timedelta(minutes=9)).timestamp())
    headers = {"x-rate-limit-limit": "450", "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(reset)}
    with pytest.raises(RateLimitedError) as raised:
        await kit.make(X, kit.answering(b'{"title": "Too Many Requests"}', 429, headers)).fetch(None)
    assert raised.value.retry_after == 540


async def test_a_refusal_says_what_x_said():
    body = {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
    with pytest.raises(SourceRefusedError, match=r"401.*Unauthorized.*credentials"):
        await kit.make(X, kit.answering(json.dumps(body).encode(), 401)).fetch(None)


async def test_no_more_is_spent_than_the_budget_and_what_was_not_read_is_not_paid_for():
    search, log = Search(*(post(NOON - timedelta(seconds=number)) for number in range(1, 50))), MemoryLog()
    connector = search.connector(budget={"per_day": 1.0}, price=0.01, overlap=0)
    await kit.run(connector, 1, log=log)
    assert (len(log.mentions), search.read) == (49, 49)
    search.posts += [post(NOON - timedelta(milliseconds=number)) for number in range(1, 200)]
    _, states = await kit.run(connector, 4, log=log)
    assert search.read == 49
    assert states[-1][0] == "waiting"
    assert "usd" in states[-1][1]


async def test_a_page_is_never_larger_than_the_whole_budget():
    search = Search(*(post(NOON - timedelta(seconds=number)) for number in range(1, 50)))
    page = await search.connector(budget={"per_month": 0.2}, price=0.01).fetch(None)
    assert len(page.mentions) == 20


async def test_a_plan_that_is_used_up_is_asked_again_on_the_next_day():
    body = {"title": "UsageCapExceeded", "type": "https://api.x.com/2/problems/usage-capped", "period": "Monthly"}
    with pytest.raises(RateLimitedError, match="plan") as raised:
        await kit.make(X, kit.answering(json.dumps(body).encode(), 429)).fetch(None)
    assert raised.value.retry_after == 12 * 3600


async def test_posts_are_read_again_and_edits_deletions_and_hidden_ones_are_heard():
    at, later = NOON - timedelta(days=1), NOON - timedelta(hours=23, minutes=50)
    chain = [id_of(at), id_of(later)]
    there = {chain[0]: post(at, edit_history_tweet_ids=chain), chain[1]: post(later, edit_history_tweet_ids=chain)}
    kinds = {"8": "resource-not-found", "9": "not-authorized-for-resource"}

    def answer(request):
        assert request.url.path == "/2/tweets"
        asked = request.url.params["ids"].split(",")
        errors = [
            {"resource_type": "tweet", "resource_id": one, "type": f"https://api.x.com/2/problems/{kinds[one]}"}
            for one in asked
            if one in kinds
        ]
        return httpx.Response(200, json={"data": [there[one] for one in asked if one in there], "errors": errors})

    found = await kit.make(X, answer).reread([chain[0], "8", "9"])
    assert [(one.native_id, one.state) for one in found.mentions] == [
        (chain[0], State.LIVE),
        (chain[0], State.EDITED),
        ("9", State.UNAVAILABLE),
    ]
    assert found.absent == ["8"]
    assert kit.make(X, recheck=False).rereads is None


def test_a_long_post_is_whole_with_the_links_and_tags_of_all_of_it():
    (found, *_) = X.parse(kit.example(X, "page").read_bytes(), kit.NOW)
    assert found.text.endswith("soup & rice. https://t.co/f6g7h8i9j0 #Acme")
    assert found.tags == ("acme",)
    assert "https://www.acme.example/kettle" in found.links
    assert (found.author.handle, found.author.followers, found.engagement.views) == ("kettlenews", 4200, 900)


def test_an_edit_is_a_revision_of_the_first_post_of_its_chain():
    first, second = NOON - timedelta(minutes=20), NOON - timedelta(minutes=10)
    chain = [id_of(first), id_of(second)]
    before = only(post(first, edit_history_tweet_ids=chain))
    after = only(post(second, edit_history_tweet_ids=chain, text="acme, corrected"))
    assert before.id == after.id == f"x:{chain[0]}"
    assert (before.revision, before.state) == (0, State.LIVE)
    assert (after.revision, after.state) == (int(second.timestamp() * 1000), State.EDITED)
    assert after.created_at == before.created_at == first
    assert after.url == f"https://x.com/i/status/{chain[1]}"


def test_a_reply_names_its_thread_and_its_parent_and_a_quote_is_a_post():
    parent = id_of(NOON - timedelta(hours=1))
    reply = only(post(NOON, conversation_id="9", referenced_tweets=[{"type": "replied_to", "id": parent}]))
    quote = only(post(NOON, referenced_tweets=[{"type": "quoted", "id": parent}]))
    assert (reply.kind, reply.conversation, reply.in_reply_to) == (Kind.COMMENT, "x:9", f"x:{parent}")
    assert (quote.kind, quote.in_reply_to) == (Kind.POST, None)


def test_a_repost_bears_all_of_what_it_repeats_and_none_of_its_counts():
    original = post(NOON - timedelta(hours=1), text="A very long text about Acme &amp; its kettles, to the end")
    repost = post(
        NOON,
        text="RT @sam: A very long text about Ac…",
        referenced_tweets=[{"type": "retweeted", "id": original["id"]}],
        public_metrics={"retweet_count": 99, "like_count": 0, "reply_count": 0, "quote_count": 0},
    )
    found = {one.native_id: one for one in X.parse(json.dumps({"data": [repost, original]}).encode(), kit.NOW)}
    assert found[repost["id"]].text == "RT @sam: A very long text about Acme & its kettles, to the end"
    assert found[repost["id"]].engagement is None
    assert only(repost).text == "RT @sam: A very long text about Ac…"


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("en", "en"),
        ("pt-BR", "pt"),
        ("in", "id"),
        ("iw", "he"),
        ("und", None),
        ("qme", None),
        ("zxx", None),
        (None, None),
    ],
)
def test_languages_are_those_of_today_and_none_where_x_has_none(code, language):
    assert only(post(NOON, lang=code)).language == language


def test_a_post_of_which_only_the_text_was_asked_for_has_its_time_and_its_address():
    found = only({"data": {"id": id_of(NOON), "text": "acme"}})
    assert (found.created_at, found.author) == (NOON, None)
    assert found.url == f"https://x.com/i/status/{id_of(NOON)}"


def test_entities_that_are_empty_objects_or_pictures_are_no_links():
    entities = {
        "hashtags": {},
        "urls": [
            {
                "url": "https://t.co/a",
                "expanded_url": "https://x.com/sam/status/1/photo/1",
                "display_url": "pic.x.com/a",
            },
            {"url": "https://t.co/b", "expanded_url": "https://acme.example/", "display_url": "acme.example"},
            {"url": "https://t.co/c"},
        ],
    }
    found = only(post(NOON, entities=entities, referenced_tweets={}))
    assert (found.tags, found.links) == ((), ("https://acme.example/", "https://t.co/c"))


def test_messages_and_people_are_no_mentions():
    message = {"id": "1585321444547837956", "text": "hi", "event_type": "MessageCreate", "dm_conversation_id": "1-2"}
    person = {"id": "7", "username": "sam", "name": "Sam", "text": "?"}
    assert list(X.parse(json.dumps([message, person]).encode(), kit.NOW)) == []


STATUS = {
    "created_at": "Fri Nov 20 11:59:00 +0000 2026",
    "id": 2070000000000000000,
    "id_str": "2070000000000000001",
    "text": "The Acme kettle leaks and nobody at all seems to…",
    "extended_tweet": {
        "full_text": "The Acme kettle leaks and nobody at all seems to care &lt;3 https://t.co/a",
        "entities": {
            "hashtags": [{"text": "Acme"}],
            "urls": [
                {"url": "https://t.co/a", "expanded_url": "https://acme.example/help", "display_url": "acme.example"}
            ],
        },
    },
    "in_reply_to_status_id": None,
    "in_reply_to_status_id_str": "2069999999999999999",
    "favorite_count": 2,
    "retweet_count": 1,
    "lang": "en",
    "user": {
        "id": 42,
        "id_str": "42",
        "name": "Sam",
        "screen_name": "sam",
        "followers_count": 12,
        "created_at": "Mon Apr 02 00:00:00 +0000 2018",
    },
}


def test_a_status_of_version_1_is_read_as_webhooks_bring_it():
    found = only({"for_user_id": "99", "tweet_create_events": [STATUS]})
    assert found.id == "x:2070000000000000001"  # the text of the id: as a number it is beyond what others keep exact
    assert found.text == "The Acme kettle leaks and nobody at all seems to care <3 https://t.co/a"
    assert found.created_at == datetime(2026, 11, 20, 11, 59, tzinfo=UTC)
    assert (found.author.id, found.author.handle, found.author.followers) == ("42", "sam", 12)
    assert found.author.created_at == datetime(2018, 4, 2, tzinfo=UTC)
    assert (found.kind, found.in_reply_to) == (Kind.COMMENT, "x:2069999999999999999")
    assert (found.tags, found.links) == (("acme",), ("https://acme.example/help",))
    assert (found.engagement.likes, found.engagement.shares) == (2, 1)


def test_a_repeated_status_is_whole():
    repost = {
        **STATUS,
        "id_str": "2070000000000000002",
        "text": "RT @sam: The Acme kettle l…",
        "retweeted_status": STATUS,
    }
    del repost["extended_tweet"]
    found = list(X.parse(json.dumps(repost).encode(), kit.NOW))
    assert found[0].text.startswith("RT @sam: The Acme kettle leaks and nobody at all seems to care")
    assert len(found) == 2


TWEET = {"id": id_of(NOON), "author_id": "7"}
AT = "2026-11-20T13:00:00.000Z"
MS = str(int((NOON + timedelta(hours=1)).timestamp() * 1000))


@pytest.mark.parametrize(
    ("notice", "state"),
    [
        ({"data": {"delete": {"tweet": TWEET, "event_at": AT}}}, State.DELETED),
        ({"data": {"withheld": {"tweet": TWEET, "withheld_in_countries": ["DE"], "event_at": AT}}}, State.WITHHELD),
        ({"data": {"drop": {"tweet": TWEET, "event_at": AT}}}, State.UNAVAILABLE),
        ({"delete": {"status": {"id_str": TWEET["id"], "user_id_str": "7"}, "timestamp_ms": MS}}, State.DELETED),
        ({"tweet_delete_events": [{"status": {"id": TWEET["id"], "user_id": "7"}, "timestamp_ms": MS}]}, State.DELETED),
        ({"status_withheld": {"id": int(TWEET["id"]), "user_id": 7, "timestamp_ms": MS}}, State.WITHHELD),
        ({"id": TWEET["id"], "action": "delete", "reason": "deleted", "redacted_at": AT}, State.DELETED),
        ({"id": TWEET["id"], "action": "delete", "reason": "suspended", "redacted_at": AT}, State.UNAVAILABLE),
    ],
)
def test_what_tells_that_a_post_is_gone_withdraws_it(notice, state):
    found = only(notice)
    assert (found.id, found.state, found.text) == (f"x:{TWEET['id']}", state, "")
    assert found.revision == int(MS)
    assert found.created_at == NOON


@pytest.mark.parametrize(
    "notice",
    [
        {"data": {"undrop": {"tweet": TWEET, "event_at": AT}}},
        {"data": {"user_delete": {"user": {"id": "7"}, "event_at": AT}}},
        {"delete": {"status": {"id": None}}},
        {"data": {"deleted": True}},
        {"delete": True},
    ],
)
def test_other_notices_withdraw_nothing(notice):
    assert list(X.parse(json.dumps(notice).encode(), kit.NOW)) == []


def test_an_id_holds_its_time():
    at = datetime(2026, 11, 20, 9, 0, 0, 123000, tzinfo=UTC)
    assert ids.time_of(ids.id_at(at)) == at
    assert ids.time_of("20") is None
    assert ids.time_of("²³") is None
    assert not ids.is_id("9" * 30)


@pytest.mark.shared
def test_every_recorded_post_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "x"):
        count += _all_are_read(name, body)
    for file in sorted((shared / "data" / "raw_payloads").glob("twitter_v[12]/*.json*")):
        count += _all_are_read(file.name, file.read_bytes())
    assert count >= 680


def _all_are_read(name: str, body: bytes) -> int:
    wanted = {}
    for row in reading.walk(reading.documents(body)):
        if isinstance(row.get("text"), str) and ("author_id" in row or isinstance(row.get("user"), dict)):
            wanted[str(row.get("id_str") or row["id"])] = row["text"].partition("…")[0].rpartition(" ")[0]
    found = recordings.read(X, body)
    missing = recordings.missing(wanted, found)
    edits = {
        name for one in found if one.state is State.EDITED for name in (one.native_id, str(one.url).rpartition("/")[2])
    }
    assert set(missing) <= edits, name
    assert all(one.url and one.created_at < kit.NOW and (one.text or one.is_withdrawn) for one in found)
    return len(wanted)


def test_a_post_that_names_its_author_itself_and_has_a_time_of_old_form_is_read():
    row = {"id": "1346889436626259968", "text": "The kettle leaks", "author_id": "22", "username": "anouk"}
    body = {"data": [{**row, "created_at": "Wed Jan 06 18:40:40 +0000 2021"}], "includes": {"users": []}}
    (found,) = X.parse(json.dumps(body).encode(), kit.NOW)
    assert (found.author.id, found.author.handle) == ("22", "anouk")
    assert found.created_at == datetime(2021, 1, 6, 18, 40, 40, tzinfo=UTC)
    assert found.url == "https://x.com/anouk/status/1346889436626259968"
    person = {"id": "22", "username": "anouk", "text": "no post: it has no author"}
    assert list(X.parse(json.dumps({"data": person}).encode(), kit.NOW)) == []
