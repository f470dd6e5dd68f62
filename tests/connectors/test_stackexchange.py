"""Stack Exchange: forwards by activity, answers and comments, what a body says of quota and waiting, sites' own ids."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors import reading
from connectors.http import UnavailableError
from connectors.publisher import MemoryLog
from connectors.stackexchange import texts
from connectors.stackexchange.connector import Stackexchange
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


def at(minutes):
    return int((NOON + timedelta(minutes=minutes)).timestamp())


def text(kind, number, minutes=0, *, active=None, **more):
    return {
        f"{kind}_id": number,
        "creation_date": at(minutes),
        "last_activity_date": at(minutes if active is None else active),
        "body": f"<p>{kind.title()} {number}</p>",
        "owner": {"user_id": 7, "account_id": 70, "display_name": "Anouk", "user_type": "registered"},
        "score": 1,
        **more,
    }


def question(number, minutes=0, **more):
    link = f"https://stackoverflow.com/questions/{number}/x"
    return text("question", number, minutes, title=f"Question {number}", link=link, tags=["acme"], **more)


def answer(number, minutes=0, *, to, **more):
    return text("answer", number, minutes, question_id=to, **more)


def comment(number, minutes=0, *, on, **more):
    return text("comment", number, minutes, post_id=on, post_type="question", **more)


class Api:
    """Sorts and pages as the API does; everything is gzip and status 200 unless told otherwise."""

    def __init__(self, questions=(), answers=(), comments=(), size=100, **wrapper):
        self.questions, self.answers, self.comments = list(questions), list(answers), list(comments)
        self.size, self.wrapper = size, wrapper
        self.asked = []

    def __call__(self, request):
        given = dict(request.url.params)
        parts = request.url.path.removeprefix("/2.3/").split("/")
        self.asked.append(("/".join(part for part in parts if not part[0].isdigit()), given))
        ids = next((part.split(";") for part in parts if part[0].isdigit()), None)
        rows = self._rows(parts, ids)
        clock = "creation_date" if given.get("sort") == "creation" else "last_activity_date"
        rows = sorted((row for row in rows if row[clock] >= int(given.get("min", 0))), key=lambda row: row[clock])
        start = (int(given.get("page", 1)) - 1) * self.size
        body = {"items": rows[start:][: self.size], "has_more": len(rows) > start + self.size, **self.wrapper}
        return httpx.Response(200, json={"quota_max": 300, "quota_remaining": 200, **body})

    def _rows(self, parts, ids):
        of = {
            "questions": self.questions,
            "answers": self.answers,
            "comments": self.comments,
            "advanced": self.questions,
        }
        rows = of[next(part for part in reversed(parts) if not part[0].isdigit())]
        if ids is None:
            return rows
        field = {"answers": "question_id", "comments": "post_id"}.get(parts[-1], f"{parts[0][:-1]}_id")
        return [row for row in rows if str(row.get(field)) in ids]

    def connector(self, **changes):
        return kit.make(Stackexchange, self, **{"tags": ["acme"], "comments": False, **changes})


def numbers(mentions):
    return [int(mention.native_id.rsplit("/", 1)[1]) for mention in mentions]


def only(*rows):
    (found,) = Stackexchange.parse(json.dumps({"items": rows}).encode(), kit.NOW)
    return found


def test_a_question_becomes_a_mention_with_all_that_is_known_of_it():
    first, second = Stackexchange.parse(kit.example(Stackexchange, "page").read_bytes(), kit.NOW)
    assert first.native_id == "stackoverflow.com/q/79000001"
    assert first.conversation == first.id
    assert (first.title, first.kind) == ('Acme SDK "init" fails 😡', Kind.QUESTION)
    assert first.text.startswith("It hangs since 2.1, see the docs:")
    assert first.links == ("https://acme.example/docs",)
    assert (first.author.id, first.author.name) == ("220", "Ann & Co")
    assert (first.engagement.likes, first.engagement.replies, first.engagement.views) == (3, 1, 12)
    assert (first.state, first.revision) == (State.EDITED, at(30) * 1000)
    assert (first.tags, first.subject) == (("acme-api", "python"), "stackoverflow.com")
    assert (second.author.id, second.author.name, second.engagement.likes) == (None, "user99", 0)


def test_a_question_without_a_title_is_read():
    bare = question(1)
    del bare["title"]
    assert (only(bare).text, only(bare).title, only(bare).kind) == ("Question 1", None, Kind.QUESTION)


def test_sites_count_for_themselves_and_a_text_without_an_address_keeps_its_bare_id():
    elsewhere = {**question(1), "link": "https://superuser.com/questions/1/x"}
    assert only(elsewhere).native_id == "superuser.com/q/1"
    bare = only(answer(5, to=1))
    assert (bare.native_id, bare.url, bare.conversation) == ("a/5", None, "stackexchange:q/1")


def test_an_answer_and_a_comment_know_what_they_are_under():
    link = {"owner": {"display_name": "Bo", "link": "https://stackoverflow.com/users/1/bo"}}
    one = only(answer(5, to=1, **link))
    assert (one.native_id, one.url) == ("stackoverflow.com/a/5", "https://stackoverflow.com/a/5")
    assert one.in_reply_to == one.conversation == "stackexchange:stackoverflow.com/q/1"
    two = only(comment(9, on=5, edited=True, **link) | {"post_type": "answer"})
    assert two.native_id == "stackoverflow.com/posts/comments/9"
    assert (two.in_reply_to, two.conversation) == ("stackexchange:stackoverflow.com/a/5", None)
    assert (two.state, two.revision, two.kind) == (State.EDITED, 1, Kind.COMMENT)


def test_a_hit_of_the_search_for_excerpts_is_read():
    hit = {
        "item_type": "answer",
        "answer_id": 5,
        "question_id": 1,
        "creation_date": at(0),
        "excerpt": "it &lt;leaks&gt;",
    }
    assert only({**hit, "title": "Kettle"}).text == "it <leaks>"
    assert only({**hit, "title": "Kettle"}).subject == "Kettle"


async def test_questions_and_answers_are_walked_through_forwards():
    questions = [question(n, n / 10) for n in range(1, 251)]
    answers = [answer(1000 + n, 30 + n / 10, to=n) for n in range(1, 251)]
    log = MemoryLog()
    await kit.run(Api(questions, answers).connector(), 6, log=log)
    assert sorted(numbers(log.mentions)) == sorted([*range(1, 251), *range(1001, 1251)])
    assert {mention.subject for mention in log.mentions[-3:]} <= {"Question 250", "Question 249", "Question 248"}
    assert all(mention.native_id.startswith("stackoverflow.com/") for mention in log.mentions)


async def test_an_old_question_that_is_answered_again_is_not_heard_again_but_its_answer_is():
    api, log = Api([question(1, 0), question(2, 5)]), MemoryLog()
    connector = api.connector(overlap=0)
    await kit.run(connector, 1, log=log)
    api.questions[0]["last_activity_date"] = at(20)
    api.answers.append(answer(10, 20, to=1))
    page = await connector.fetch(log.checkpoints["example"].cursor)
    assert numbers(page.mentions) == [2, 10]  # of the newest second all comes again, and is dropped as a repeat


async def test_an_edit_moves_a_question_and_is_a_new_revision():
    api, log = Api([question(1)]), MemoryLog()
    connector = api.connector()
    await kit.run(connector, 1, log=log)
    api.questions[0] |= {"last_activity_date": at(20), "last_edit_date": at(20), "body": "<p>Again</p>"}
    await kit.run(connector, 1, log=log)
    assert [(mention.revision, mention.text) for mention in log.mentions] == [
        (0, "Question 1"),
        (at(20) * 1000, "Again"),
    ]


async def test_comments_are_asked_for_on_what_was_active_lately_also_when_nothing_moves():
    api, log = Api([question(1)], comments=[comment(20, 1, on=1)]), MemoryLog()
    connector = api.connector(comments=True)
    await kit.run(connector, 1, log=log)
    api.questions.clear()
    api.comments.append(comment(21, 40, on=1))
    await kit.run(connector, 2, log=log)
    assert numbers(log.mentions) == [1, 20, 21]
    assert log.mentions[-1].conversation.endswith("q/1")


async def test_without_words_and_tags_every_question_is_asked_for():
    api = Api([question(1)])
    assert numbers((await api.connector(tags=[]).fetch(None)).mentions) == [1]
    assert api.asked[0][0] == "questions"
    assert "tagged" not in api.asked[0][1]


async def test_a_backoff_in_the_body_is_waited_for_before_the_same_is_asked_again():
    api, waits = Api([question(1)], backoff=17), []
    connector = api.connector(answers=False)

    async def wait(seconds):
        waits.append(seconds)

    connector.http._wait = wait
    page = await connector.fetch(None)
    assert waits == []
    await connector.fetch(page.cursor)
    assert waits == [17]


async def test_a_quota_that_is_used_up_is_waited_for():
    api = Api([question(1)], quota_remaining=0)
    connector = api.connector(answers=False)
    page = await connector.fetch(None)
    with pytest.raises(RateLimitedError) as raised:
        await connector.fetch(page.cursor)
    assert raised.value.retry_after == 6 * 3600  # the longest wait there is; then it is held again
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("body", "error", "seconds"),
    [
        ({"error_id": 502, "error_message": "too many requests from this IP, more requests available in 57 seconds",
          "error_name": "throttle_violation"}, RateLimitedError, 57),
        ({"error_id": 503, "error_name": "temporarily_unavailable"}, UnavailableError, None),
        ({"error_id": 400, "error_message": "site is required", "error_name": "bad_parameter"}, SourceRefusedError, None),
    ],
    ids=lambda value: value.get("error_name") if isinstance(value, dict) else "",
)  # fmt: skip
async def test_an_error_is_what_its_body_says_whatever_the_status(body, error, seconds):
    with pytest.raises(error) as raised:
        await kit.make(Stackexchange, kit.answering(json.dumps(body).encode(), 400)).fetch(None)
    assert getattr(raised.value, "retry_after", None) == seconds
    assert seconds or body["error_name"] in str(raised.value) or error is UnavailableError


async def test_texts_are_read_again_by_kind_and_what_is_left_out_is_absent():
    api = Api([question(1, last_edit_date=at(9))], [answer(5, to=1)], [comment(9, on=1)])
    for row in (*api.answers, *api.comments):
        row["owner"]["link"] = "https://stackoverflow.com/users/7/anouk"
    native = [
        "stackoverflow.com/q/1",
        "stackoverflow.com/q/2",
        "stackoverflow.com/a/5",
        "stackoverflow.com/posts/comments/9",
    ]
    found = await api.connector().reread([*native, "stackoverflow.com/a/6"])
    assert sorted(mention.native_id for mention in found.mentions) == sorted([native[0], *native[2:]])
    assert sorted(found.absent) == ["stackoverflow.com/a/6", "stackoverflow.com/q/2"]
    assert [path for path, _ in api.asked] == ["questions", "answers", "comments"]


def test_a_native_id_says_its_kind_and_number():
    given = ["a.com/q/1", "q/2", "a.com/a/3", "a.com/posts/comments/4", "x", "a.com/q/x", ""]
    assert texts.numbers(given) == {
        "question": {"1": "a.com/q/1", "2": "q/2"},
        "answer": {"3": "a.com/a/3"},
        "comment": {"4": "a.com/posts/comments/4"},
    }


async def test_the_past_is_read_from_the_time_asked_for():
    connector = Api([question(n, n) for n in range(10)]).connector()
    cursor = await connector.cursor_at(NOON + timedelta(minutes=5))
    assert connector.time_of(cursor) == NOON + timedelta(minutes=5)
    assert numbers((await connector.fetch(cursor)).mentions) == [5, 6, 7, 8, 9]


async def test_what_holds_no_items_is_tried_again():
    with pytest.raises(SourceUnavailableError, match="no items"):
        await kit.make(Stackexchange, kit.answering(b'{"quota_remaining": 1}')).fetch(None)


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "stackexchange"):
        found = {mention.native_id: mention for mention in recordings.read(Stackexchange, body)}
        for row in reading.walk(reading.documents(body)):
            if {"question_id", "title", "body", "owner"} <= row.keys():
                mention = found[texts.name(texts.host_of(row), "question", row["question_id"])]
                assert recordings.words(row["body"]) <= recordings.words(mention.text), name
                assert recordings.words(row["title"]) <= recordings.words(mention.title), name
                count += 1
    assert count >= 1


@pytest.mark.parametrize(
    ("post_type", "path", "kind"), [("question", "q", Kind.QUESTION), ("answer", "a", Kind.COMMENT)]
)
def test_a_post_is_the_question_or_the_answer_that_it_says_it_is(post_type, path, kind):
    said = {"post_id": 4, "post_type": post_type, "body": "<p>It boils</p>", "creation_date": 1_790_000_000}
    row = {**said, "owner": {"user_id": 7}, "link": f"https://stackoverflow.com/{path}/4"}
    (found,) = Stackexchange.parse(json.dumps({"items": [row]}).encode(), kit.NOW)
    assert (found.native_id, found.kind, found.text) == (f"stackoverflow.com/{path}/4", kind, "It boils")
