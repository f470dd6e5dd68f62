"""Facebook: a Graph of our own, and what posts, comments, recommendations and changes become."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from connectors import graph
from connectors.base import read_settings
from connectors.facebook import posts
from connectors.facebook.connector import Facebook, FacebookSettings
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, RateLimitedError
from pipeline.contract.events import Kind, State
from tests.connectors import graphs, kit, recordings
from tests.connectors.graphs import Graph, at

PAGE = "100200300400500"
HOUR, DAY = 3600, 86_400


def post(number, ago, *, changed=None, who="5550001", **more):
    return {
        "id": f"{PAGE}_{number}",
        "message": f"acme {number}",
        "created_time": at(ago),
        "updated_time": at(ago if changed is None else changed),
        "permalink_url": f"https://www.facebook.com/{PAGE}/posts/{number}",
        "from": {"id": who, "name": "Sam"},
        **more,
    }


def comment(number, under, ago, **more):
    return {
        "id": f"{under}_{number}",
        "message": f"answer {number}",
        "created_time": at(ago),
        "from": {"id": "5550002", "name": "Kim"},
        "like_count": 1,
        "comment_count": 0,
        **more,
    }


def read(row, kind=Facebook):
    return kind.to_mention(row, kit.NOW)


async def test_only_posts_with_something_new_are_asked_for_their_comments():
    fake = Graph({
        f"{PAGE}/feed": [post(3, HOUR), post(2, 3 * DAY, changed=2 * HOUR), post(1, 10 * DAY, changed=9 * DAY)],
        f"{PAGE}_2/comments": [comment(21, 2, 2 * HOUR)],
    })  # fmt: skip
    made = kit.make(Facebook, fake, lookback=5 * DAY)
    first = await made.fetch(None)
    assert [one.native_id for one in first.mentions] == [f"{PAGE}_2", "2_21", f"{PAGE}_3"]
    assert f"{PAGE}_1/comments" not in fake.paths()
    [said] = [one for one in first.mentions if one.kind is Kind.COMMENT]
    assert (said.conversation, said.in_reply_to) == (f"facebook:{PAGE}_2",) * 2
    fake.asked.clear()
    fake.listings[f"{PAGE}/feed"][1]["updated_time"] = at(60)
    fake.listings[f"{PAGE}_2/comments"].insert(0, comment(22, 2, 60))
    later = await made.fetch(first.cursor)
    assert "2_22" in [one.native_id for one in later.mentions]
    assert [path for path in fake.paths() if path.endswith("comments")] == [f"{PAGE}_3/comments", f"{PAGE}_2/comments"]


async def test_nothing_is_lost_and_nothing_twice_over_parts_that_shift_and_restarts():
    rows = [post(n, n * 60) for n in range(1, 31)]
    fake, log = Graph({f"{PAGE}/feed": rows}, parts=7), MemoryLog()
    await kit.run(kit.make(Facebook, fake), 1, log=log)
    assert len(log.mentions) == 30
    rows[:0] = [post(n, 0) for n in range(31, 41)]
    for _ in range(2):
        await kit.run(kit.make(Facebook, fake), 1, log=log)
    ids = [one.native_id for one in log.mentions]
    assert len(ids) == len(set(ids)) == 40


async def test_the_pages_own_posts_and_answers_are_not_heard():
    fake = Graph({
        f"{PAGE}/feed": [post(1, HOUR, who=PAGE)],
        f"{PAGE}_1/comments": [comment(11, 1, HOUR), comment(12, 1, 60, **{"from": {"id": PAGE, "name": "Acme"}})],
    })  # fmt: skip
    assert [one.native_id for one in (await kit.make(Facebook, fake).fetch(None)).mentions] == ["1_11"]


async def test_what_is_not_wanted_is_not_asked_for():
    fake = Graph({})
    await kit.make(Facebook, fake, tagged=False, recommendations=False).fetch(None)
    assert fake.paths() == [f"{PAGE}/feed"]


async def test_a_burst_beyond_what_is_read_at_once_is_told_as_a_gap(monkeypatch):
    monkeypatch.setattr(graph, "PAGES", 2)
    fake = Graph({f"{PAGE}/feed": [post(n, n * 60) for n in range(10)]}, parts=2)
    page = await kit.make(Facebook, fake, lookback=HOUR).fetch(None)
    assert page.gap is not None
    assert page.gap.until == kit.NOW - timedelta(minutes=3)
    assert len(page.mentions) == 4


async def test_an_error_in_the_middle_of_a_round_moves_nothing():
    fake = Graph({f"{PAGE}/feed": [post(1, HOUR)]})
    fake.fails[f"{PAGE}/ratings"] = (400, graphs.error(32))
    log = MemoryLog()
    _, states = await kit.run(kit.make(Facebook, fake), 1, log=log)
    assert log.mentions == []
    assert {kept.cursor for kept in log.checkpoints.values()} <= {None}
    assert states[-1][0] == "waiting"
    with pytest.raises(RateLimitedError):
        await kit.make(Facebook, fake).fetch(None)


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"feed": "soon"}', "7"], ids=repr)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    assert len((await kit.make(Facebook, Graph({f"{PAGE}/feed": [post(1, HOUR)]})).fetch(broken)).mentions) == 1


async def test_a_backfill_begins_where_it_is_told():
    made = kit.make(Facebook, Graph({f"{PAGE}/feed": [post(1, 40 * DAY), post(2, 60 * DAY)]}))
    cursor = await made.cursor_at(kit.NOW - timedelta(days=50))
    assert [one.native_id for one in (await made.fetch(cursor)).mentions] == [f"{PAGE}_1"]
    assert made.time_of(cursor) == kit.NOW - timedelta(days=50)
    assert made.time_of(None) is None


def test_a_post_has_its_author_counts_tags_and_the_links_that_leave_facebook():
    [found] = [one for one in Facebook.parse(kit.example(Facebook, "page").read_bytes(), kit.NOW) if "_71001" in one.id]
    assert (found.author.id, found.author.name) == ("5550001", "Sam Example")
    assert (found.engagement.likes, found.engagement.replies, found.engagement.shares) == (17, 2, 3)
    assert found.tags == ("acmefail",)
    assert found.links == ("https://example.org/leak", "https://blog.example.org/kettle")


def test_a_comment_without_an_id_is_known_by_its_address():
    row = {
        "message": "hello",
        "created_time": "2026-11-19T09:00:00+0000",
        "permalink_url": "https://www.facebook.com/7/posts/70/?comment_id=71&reply_comment_id=72",
    }
    found = read(row)
    assert (found.native_id, found.kind) == ("70_72", Kind.COMMENT)
    assert (found.conversation, found.in_reply_to) == ("facebook:7_70", "facebook:70_71")


def test_comments_inside_a_post_are_under_it_and_so_are_their_answers():
    inner = comment(11, 1, 60, comments={"data": [comment(12, 1, 30, parent={"id": "1_11"})]})
    body = json.dumps({"data": [post(1, HOUR, comments={"data": [inner]})]}).encode()
    found = {one.native_id: one for one in Facebook.parse(body, kit.NOW)}
    assert found["1_11"].conversation == found["1_12"].conversation == f"facebook:{PAGE}_1"
    assert found["1_12"].in_reply_to == "facebook:1_11"


def test_a_recorded_listing_tells_what_it_is_of():
    said = {"data": [{"id": "70_71", "message": "x", "created_time": at(0)}]}
    under = {**said, "paging": {"next": "https://graph.facebook.com/v11.0/7_70/comments?after=a"}}
    [found] = Facebook.parse(json.dumps(under).encode(), kit.NOW)
    assert (found.kind, found.conversation) == (Kind.COMMENT, "facebook:7_70")
    own = {**said, "paging": {"previous": "https://graph.facebook.com/v10.0/7/posts?since=1"}}
    [found] = Facebook.parse(json.dumps(own).encode(), kit.NOW)
    assert found.author.id == "7"


@pytest.mark.parametrize(
    ("row", "value", "worst", "best"),
    [
        ({"recommendation_type": "positive"}, 1, 0, 1),
        ({"recommendation_type": "negative", "has_rating": False, "rating": 3}, 0, 0, 1),
        ({"has_rating": True, "rating": 4}, 4, 1, 5),
    ],
)
def test_a_recommendation_is_a_rating_on_its_own_scale(row, value, worst, best):
    found = read({**row, "created_time": at(HOUR), "review_text": "well", "earshot_page": PAGE})
    assert (found.kind, found.subject) == (Kind.REVIEW, PAGE)
    assert (found.rating.value, found.rating.worst, found.rating.best) == (value, worst, best)


def test_recommendations_without_an_id_are_told_apart_by_who_wrote_them_or_when():
    def one(**more):
        return read({"recommendation_type": "positive", "created_time": at(HOUR), **more}).native_id

    assert one() == one()
    assert one(created_time=at(60)) != one()
    assert one(reviewer={"id": "1"}) == one(reviewer={"id": "1"}, created_time=at(60))
    assert one(reviewer={"id": "1"}) != one(reviewer={"id": "2"})
    assert one(open_graph_story={"id": "9"}) == "9"


def test_what_has_no_words_or_is_between_two_people_is_no_mention():
    assert read({"id": "1_2", "created_time": at(0), "story": "Sam shared a link."}) is None
    assert read({"id": "1_2", "message": "", "created_time": at(0)}) is None
    assert read(comment(1, 2, 0, is_private=True)) is None
    assert read({"recommendation_type": "none", "created_time": at(0)}) is None
    assert read({"id": "m_1", "message": "hi", "created_time": at(0)}).kind is Kind.MESSAGE


def change(**value):
    return {
        "earshot_object": "page",
        "earshot_field": "feed",
        "earshot_account": PAGE,
        "earshot_time": 1795164901,
        **value,
    }


def test_an_edit_is_a_new_revision_and_a_deletion_takes_the_text_back():
    given = {"item": "comment", "post_id": f"{PAGE}_1", "comment_id": "1_2", "created_time": 1795164000}
    added = read(change(verb="add", message="a", **given))
    edited = read(change(verb="edited", message="b", **given))
    gone = read(change(verb="remove", **given))
    assert (added.revision, edited.revision, gone.revision) == (0, 1795164901000, 1795164901000)
    assert (added.state, edited.state, gone.state) == (State.LIVE, State.EDITED, State.DELETED)
    assert added.conversation == edited.conversation == gone.conversation == f"facebook:{PAGE}_1"
    assert added.created_at == gone.created_at == datetime(2026, 11, 20, 8, 40, tzinfo=UTC)
    assert gone.text == ""


@pytest.mark.parametrize("verb", ["hide", "unhide", "block", "mute"])
def test_what_the_page_does_to_a_text_leaves_it_heard(verb):
    assert read(change(verb=verb, item="comment", comment_id="1_2", post_id="0_1", message="a")) is None


@pytest.mark.parametrize("item", ["reaction", "like", "", None])
def test_a_like_is_no_text(item):
    assert read(change(verb="add", item=item, post_id="0_1", message="a")) is None


def test_a_rating_is_told_with_its_words_and_its_person():
    found = read(
        change(
            item="rating",
            verb="add",
            open_graph_story_id="9",
            recommendation_type="negative",
            review_text="slow",
            reviewer_id="5",
            reviewer_name="Lee",
        )
    )
    assert (found.native_id, found.text, found.author.name, found.rating.value) == ("9", "slow", "Lee", 0)


def test_the_poll_and_the_webhook_give_a_text_the_same_name():
    polled = {one.native_id: one for one in Facebook.parse(kit.example(Facebook, "page").read_bytes(), kit.NOW)}
    told = read(change(verb="add", item="comment", comment_id="71001_81001", post_id=f"{PAGE}_71001", message="x"))
    same = polled[told.native_id]
    assert (told.id, told.revision, told.conversation) == (same.id, same.revision, same.conversation)


def test_the_number_of_the_page_is_a_number():
    with pytest.raises(ConfigError, match=r"sources\.example\.page"):
        read_settings(FacebookSettings, "example", {"page": "acme", "token": SecretStr("x")})


async def test_every_listing_names_the_fields_it_needs():
    fake = Graph({f"{PAGE}/feed": [post(1, HOUR)]})
    await kit.make(Facebook, fake).fetch(None)
    fields = {request.url.path.rsplit("/", 1)[1]: request.url.params["fields"] for request in fake.asked}
    assert fields == {
        "feed": posts.POST_FIELDS,
        "tagged": posts.POST_FIELDS,
        "ratings": posts.RATING_FIELDS,
        "comments": posts.COMMENT_FIELDS,
    }


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "facebook"):
        wanted = {}
        for row in posts.rows(json.loads(body)):
            if row.get("id") and row.get("message") and row.get("created_time"):
                wanted[row["id"]] = row["message"]
        found = recordings.read(Facebook, body)
        assert recordings.missing(wanted, found) == [], name
        assert all(one.url and one.created_at < kit.NOW for one in found), name
        count += len(found)
    assert count >= 28
