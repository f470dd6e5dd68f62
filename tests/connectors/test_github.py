"""GitHub: forwards by the time of the last change, what has changed in a text, discussions, and Octokit's own server."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from connectors import forwards, places, reading
from connectors.github import discussions
from connectors.github.connector import Github
from connectors.http import Http, make_client
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, RateLimitedError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings

NOON = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
API = "https://api.github.com/repos/acme/kettle"


def at(minutes):
    return (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(number, minutes=0, *, updated=None, body="The kettle leaks", **more):
    return {
        "id": number,
        "node_id": f"N_{number}",
        "html_url": f"https://github.com/acme/kettle/issues/{number}",
        "comments_url": f"{API}/issues/{number}/comments",
        "user": {"id": 7, "login": "anouk", "html_url": "https://github.com/anouk", "type": "User"},
        "created_at": at(minutes),
        "updated_at": at(minutes if updated is None else updated),
        "body": body,
        **more,
    }


def issue(number, minutes=0, **more):
    return text(number, minutes, **{"title": f"Issue {number}", "comments": 0, **more})


def comment(number, minutes=0, *, on=1, **more):
    url = f"https://github.com/acme/kettle/issues/{on}#issuecomment-{number}"
    return text(number, minutes, html_url=url, issue_url=f"{API}/issues/{on}", **more)


class Server:
    """Answers as GitHub does: from `since` on, the oldest change first, 100 at a time."""

    def __init__(self, *, issues=(), comments=(), found=(), size=100):
        self.rows = {"issues": list(issues), "issues/comments": list(comments), "pulls/comments": []}
        self.found = list(found)
        self.size = size
        self.is_partial = False
        self.nodes = {}
        self.discussions = []
        self.asked = []

    def __call__(self, request):
        given = dict(request.url.params)
        self.asked.append(request)
        if request.url.path == "/graphql":
            return httpx.Response(200, json=self._graphql(json.loads(request.content)["variables"]))
        start = (int(given["page"]) - 1) * self.size
        if request.url.path == "/search/issues":
            since = given["q"].partition("created:>=")[2]
            rows = sorted((row for row in self.found if row["created_at"] >= since), key=lambda row: row["created_at"])
            items = rows[start : start + self.size]
            return httpx.Response(200, json={"incomplete_results": self.is_partial, "items": items})
        rows = self.rows[request.url.path.removeprefix("/repos/acme/kettle/")]
        rows = sorted((row for row in rows if row["updated_at"] >= given["since"]), key=lambda row: row["updated_at"])
        shown = rows[start : start + self.size]
        tag = f'"{hash(json.dumps(shown))}"'
        if request.headers.get("if-none-match") == tag:
            return httpx.Response(304)
        link = {"link": f'<{API}?page=2>; rel="next"'} if len(rows) > start + self.size else {}
        return httpx.Response(200, json=shown, headers={"etag": tag, **link})

    def _graphql(self, variables):
        if "ids" in variables:
            return {"data": {"nodes": [self.nodes.get(one) for one in variables["ids"]]}}
        since = variables["q"].partition("updated:>=")[2].split()[0]
        found = sorted((row for row in self.discussions if row["updatedAt"] >= since), key=lambda row: row["updatedAt"])
        page = {"hasNextPage": len(found) > discussions.PER_PAGE}
        return {"data": {"search": {"pageInfo": page, "nodes": found[: discussions.PER_PAGE]}}}

    def connector(self, **changes):
        given = {"repositories": ["acme/kettle"], "query": "", **changes}
        return kit.make(Github, self, **given)


async def heard(connector, steps=10, log=None):
    log = log or MemoryLog()
    await kit.run(connector, steps, log=log)
    return [mention.native_id for mention in log.mentions]


def test_an_issue_becomes_a_mention_with_all_that_is_known_of_it():
    first, second = Github.parse(kit.example(Github, "page").read_bytes(), kit.NOW)
    assert (first.native_id, first.title) == ("I_example41", "The acme kettle leaks & hisses")
    assert first.text.splitlines()[0] == "Since the last update it leaks 😡"
    assert first.links == ("https://acme.example/manual",)
    assert first.url == "https://github.com/acme/kettle/issues/41"
    assert first.conversation == "github:acme/kettle#41"
    assert (first.subject, first.tags, first.kind) == ("acme/kettle", ("bug",), Kind.POST)
    assert (first.author.id, first.author.handle, first.author.bot) == ("501", "anouk", False)
    assert (first.engagement.likes, first.engagement.replies) == (3, 2)
    assert (first.state, first.revision) == (State.LIVE, 0)  # its time moved, its text need not have
    assert (second.text, second.author.bot, second.conversation) == ("", True, "github:acme/kettle#42")


def test_an_edited_comment_is_a_new_revision_in_its_thread():
    (found,) = Github.parse(json.dumps([comment(5, 0, updated=3, on=12)]).encode(), kit.NOW)
    assert (found.kind, found.state) == (Kind.COMMENT, State.EDITED)
    assert found.revision == int((NOON + timedelta(minutes=3)).timestamp() * 1000)
    assert found.conversation == found.in_reply_to == "github:acme/kettle#12"


def test_who_has_gone_leaves_a_text_without_an_author():
    (found,) = Github.parse(json.dumps(issue(1, user=None)).encode(), kit.NOW)
    assert found.author is None


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [("created", State.LIVE, "Gone?"), ("edited", State.EDITED, "Gone?"), ("deleted", State.DELETED, "")],
)
def test_what_a_webhook_brings_says_what_became_of_the_text(action, state, words):
    event = {"action": action, "comment": comment(5, 1, body="Gone?"), "issue": issue(1), "sender": {"login": "anouk"}}
    found = {mention.native_id: mention for mention in Github.parse(json.dumps(event).encode(), kit.NOW)}
    assert (found["N_5"].state, found["N_5"].text) == (state, words)
    assert found["N_5"].is_withdrawn == (action == "deleted")


async def test_a_burst_is_walked_through_page_by_page_and_nothing_comes_twice():
    server = Server(issues=[issue(n, n / 10) for n in range(250)], comments=[comment(1000 + n, n) for n in range(30)])
    found = await heard(server.connector())
    assert sorted(found) == sorted([f"N_{n}" for n in range(250)] + [f"N_{1000 + n}" for n in range(30)])


async def test_more_texts_of_one_second_than_a_page_holds_are_all_heard():
    found = await heard(Server(issues=[issue(n, 1) for n in range(230)]).connector())
    assert sorted(found) == sorted(f"N_{n}" for n in range(230))


async def test_a_text_that_changes_while_pages_are_read_is_not_passed_over():
    server = Server(issues=[issue(n, n) for n in range(20)], size=5)
    connector = server.connector()
    page = await connector.fetch(None)
    seen = {mention.native_id for mention in page.mentions}
    server.rows["issues"][0]["updated_at"] = server.rows["issues"][9]["updated_at"] = at(30)  # the others move up
    while page.is_full:
        page = await connector.fetch(page.cursor)
        seen |= {mention.native_id for mention in page.mentions}
    assert seen == {f"N_{n}" for n in range(20)}


async def test_an_old_issue_that_is_commented_on_is_not_heard_again():
    server, log = Server(issues=[issue(1, 0)]), MemoryLog()
    connector = server.connector(overlap=60)
    await heard(connector, 1, log)
    server.rows["issues"] += [issue(2, 20), issue(3, 21)]
    server.rows["issues"][0]["updated_at"] = at(25)
    assert await heard(connector, 1, log) == ["N_1", "N_2", "N_3"]
    assert {mention.revision for mention in log.mentions} == {0}


async def test_what_has_not_changed_is_asked_for_with_its_tag_and_keeps_the_cursor():
    server = Server(issues=[issue(1)])
    connector = server.connector()
    first = await connector.fetch(None)
    second = await connector.fetch(first.cursor)
    third = await connector.fetch(second.cursor)
    tags = [request.headers.get("if-none-match") for request in server.asked if request.url.path.endswith("e/issues")]
    assert [tag is None for tag in tags] == [True, True, False]
    assert not third.mentions
    assert third.cursor == second.cursor


async def test_the_search_of_all_repositories_goes_on_by_time_beyond_what_one_search_shows():
    server = Server(found=[issue(n, n / 100) for n in range(1_500)])
    found = await heard(server.connector(repositories=[], query="acme"), 20)
    assert len(set(found)) == len(found) == 1_500
    assert all(int(dict(request.url.params)["page"]) == 1 for request in server.asked)


async def test_more_than_a_search_shows_of_one_second_is_told_as_a_gap():
    server, log = Server(found=[issue(n, 1) for n in range(1_050)]), MemoryLog()
    found = await heard(server.connector(repositories=[], query="acme"), 15, log)
    assert len(found) == 1_000
    assert [told.reason for told in log.coverage if told.gap_from] == [
        "more than 1000 texts in one second, which the source hides"
    ]


async def test_a_search_that_is_not_finished_in_time_is_asked_three_times_then_told():
    server, log = Server(found=[issue(1)]), MemoryLog()
    server.is_partial = True
    connector = server.connector(repositories=[], query="acme")
    assert await heard(connector, 3, log) == ["N_1"]
    assert len(server.asked) == 3
    assert [told.reason for told in log.coverage if told.gap_from] == ["the source did not finish its answer in time"]


def discussion(number, minutes=0, **more):
    return {
        "__typename": "Discussion",
        "id": f"D_{number}",
        "url": f"https://github.com/acme/kettle/discussions/{number}",
        "title": f"Question {number}",
        "body": "How do I descale it?",
        "createdAt": at(minutes),
        "updatedAt": at(minutes),
        "lastEditedAt": None,
        "author": {"__typename": "User", "login": "bo", "url": "https://github.com/bo", "databaseId": 8},
        "upvoteCount": 4,
        "category": {"isAnswerable": True},
        "comments": {"totalCount": 0, "nodes": []},
        **more,
    }


async def test_discussions_are_heard_with_comments_and_answers():
    server = Server()
    answer = discussion(3, 3, id="DC_3", replyTo={"id": "DC_2"})
    said = discussion(2, 2, id="DC_2", replies={"totalCount": 1, "nodes": [answer]}, lastEditedAt=at(5))
    del answer["title"], said["title"], said["comments"]
    server.discussions = [discussion(1, comments={"totalCount": 1, "nodes": [said]})]
    page = await server.connector(discussions=True).fetch(None)
    first, second, third = page.mentions
    assert (first.kind, first.engagement.likes, first.engagement.replies) == (Kind.QUESTION, 4, 1)
    assert (second.kind, second.state, second.engagement.replies) == (Kind.COMMENT, State.EDITED, 1)
    assert second.revision == int((NOON + timedelta(minutes=5)).timestamp() * 1000)
    assert third.in_reply_to == "github:DC_2"
    assert {mention.author.handle for mention in page.mentions} == {"bo"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"errors": [{"type": "RATE_LIMITED", "message": "wait"}]}, RateLimitedError),
        ({"errors": [{"type": "INSUFFICIENT_SCOPES", "message": "no"}], "data": None}, SourceRefusedError),
        ({"errors": [{"message": "Parse error"}]}, SourceRefusedError),
        ({"errors": [{"type": "SERVICE_UNAVAILABLE", "message": "busy"}]}, SourceUnavailableError),
        ({"message": "hello"}, SourceUnavailableError),
        ([], SourceUnavailableError),
    ],
    ids=str,
)
def test_errors_inside_a_success_say_what_to_do(body, error):
    assert type(discussions.error_of(body)) is error


def test_ids_that_are_not_there_any_more_are_no_error():
    assert discussions.error_of({"errors": [{"type": "NOT_FOUND"}], "data": {"nodes": [None]}}) is None


@pytest.mark.parametrize("status", [403, 429])
async def test_a_secondary_limit_that_does_not_say_how_long_is_waited_for_a_minute(status):
    body = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}'
    with pytest.raises(RateLimitedError) as raised:
        await kit.make(Github, kit.answering(body, status)).fetch(None)
    assert raised.value.retry_after == 60


async def test_a_primary_limit_is_waited_for_until_it_resets():
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(kit.NOW.timestamp()) + 900)}
    with pytest.raises(RateLimitedError) as raised:
        await kit.make(Github, kit.answering(b'{"message": "API rate limit exceeded"}', 403, headers)).fetch(None)
    assert raised.value.retry_after == 900


async def test_the_past_is_read_from_the_time_asked_for():
    server = Server(issues=[issue(n, n) for n in range(10)])
    connector = server.connector()
    cursor = await connector.cursor_at(NOON + timedelta(minutes=5))
    assert connector.time_of(cursor) == NOON + timedelta(minutes=5)
    page = await connector.fetch(cursor)
    assert [mention.native_id for mention in page.mentions] == [f"N_{n}" for n in range(5, 10)]


async def test_a_check_is_one_request():
    server = Server(issues=[issue(n) for n in range(150)])
    assert "with 100 mentions" in await server.connector(repositories=["acme/kettle", "acme/cup"]).check()
    assert len(server.asked) == 1


async def test_texts_are_read_again_by_their_ids_and_null_is_absent():
    server = Server()
    server.nodes = {"I_1": {**discussion(1), "__typename": "Issue", "id": "I_1", "lastEditedAt": at(9)}, "I_2": None}
    found = await server.connector().reread(["I_1", "I_2"])
    (edited,) = found.mentions
    assert (edited.native_id, edited.state) == ("I_1", State.EDITED)
    assert edited.revision == int((NOON + timedelta(minutes=9)).timestamp() * 1000)
    assert list(found.absent) == ["I_2"]


async def test_without_a_token_nothing_is_read_again_and_nothing_taken_for_gone():
    server = Server()
    found = await server.connector(token=None).reread(["I_1"])
    assert (list(found.mentions), list(found.absent), server.asked) == ([], [], [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"query": ""}, "say where to listen"),
        ({"repositories": ["acme"]}, "owner/name"),
        ({"discussions": True, "token": None}, "needs a `token`"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_say_what_to_write(wrong, said):
    with pytest.raises(ConfigError, match=said):
        kit.settings(Github, **wrong)


def test_a_repository_may_be_written_as_its_address():
    found = kit.settings(Github, repositories=["https://github.com/acme/kettle/", "acme/kettle"])
    assert found.repositories == ("acme/kettle",)


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"search": 1}', '{"search": {"at": "soon"}}'], ids=repr)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    server = Server(found=[issue(1)])
    assert len((await server.connector(repositories=[], query="acme").fetch(broken)).mentions) == 1


# Octokit's server of recorded answers (npm: @octokit/fixtures-server). A recording knows the addresses that were asked
# when it was made; what is ours in a request (order, times) is left out before it is sent.


class Recorded(httpx.AsyncBaseTransport):
    """Sends each request to the address that was recorded at its place in the order."""

    def __init__(self, *recorded):
        self.recorded = list(recorded)
        self.inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        base = str(request.url).partition("/repos/")[0].partition("/search/")[0]
        request.url = httpx.URL(f"{base}{self.recorded.pop(0)}")
        request.headers["accept"] = "application/vnd.github.v3+json"
        request.headers["authorization"] = f"token {'0' * 39}1"
        return await self.inner.handle_async_request(request)


def recordings_beside(program):
    """Return where the package of the recordings lies: inside that of the server, or beside it."""
    inner = Path(program).resolve().parents[1]
    folders = [found / "@octokit" / "fixtures" for found in (inner / "node_modules", inner.parents[1])]
    return next(found for found in folders if found.is_dir()) / "scenarios/**/normalized-fixture.json"


@pytest.fixture
async def octokit():
    """Return what loads a scenario: its address."""
    program = shutil.which("octokit-fixtures-server")
    if program is None:
        pytest.skip("octokit-fixtures-server is not installed: npm install --global @octokit/fixtures-server")
    scenarios = recordings_beside(program)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://localhost:{port}"
    given = ("--port", str(port), "--fixtures-url", address, "--fixtures", str(scenarios))
    server = await asyncio.create_subprocess_exec(program, *given, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def load(scenario):
                async with asyncio.timeout(30):
                    while True:
                        try:
                            answer = await client.post(f"{address}/fixtures", json={"scenario": scenario})
                            return answer.json()["url"]
                        except httpx.ConnectError:
                            await asyncio.sleep(0.1)

            yield load
    finally:
        server.terminate()
        await server.wait()


def recorded(base, *addresses, **changes):
    made = kit.make(Github, given=kit.settings(Github, base_url=base, lookback=10 * 365 * 86_400, **changes))
    made.http = Http(make_client("ops@example.org", Recorded(*addresses)), connector="example", clock=kit.clock)
    return made


async def test_octokits_recorded_search_is_read(octokit):
    base = await octokit("search-issues")
    query = "sesame%20repo%3Aoctokit-fixture-org%2Fsearch-issues"
    made = recorded(base, f"/search/issues?q={query}", query="sesame", token=None)
    page = await made.fetch(None)
    assert sorted(mention.url.rsplit("/", 1)[1] for mention in page.mentions) == ["1", "2"]
    assert {mention.author.handle for mention in page.mentions} == {"octokit-fixture-user-a", "octokit-fixture-user-b"}
    assert made.http.quota.remaining == 29


async def test_octokits_recorded_pages_are_followed_to_the_last(octokit):
    base = await octokit("paginate-issues")
    pages = ["/repos/octokit-fixture-org/paginate-issues/issues?per_page=3"]
    pages += [f"/repositories/1000/issues?per_page=3&page={number}" for number in range(2, 6)]
    made = recorded(base, *pages, repositories=["octokit-fixture-org/paginate-issues"], query="", token=None)
    made.questions = lambda: iter(["issues:octokit-fixture-org/paginate-issues"])
    found, page = [], await made.fetch(None)
    found += page.mentions
    while page.is_full:
        page = await made.fetch(page.cursor)
        found += page.mentions
    assert sorted(int(mention.url.rsplit("/", 1)[1]) for mention in found) == list(range(1, 14))


@pytest.mark.shared
def test_every_recorded_text_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "github"):
        value = json.loads(body)
        answers = [one["response"] for one in value] if isinstance(value, list) else [value]
        for answer in answers:
            rows = [row for row in reading.walk(iter([answer])) if "issue_url" in row or "comments_url" in row]
            found = {mention.url: mention for mention in recordings.read(Github, json.dumps(answer).encode())}
            for row in rows:
                if row.get("user") and (row.get("body") or row.get("title")):
                    mention = found[row["html_url"]]
                    assert recordings.words(row["body"]) <= recordings.words(mention.text), name
                    assert mention.author.handle == row["user"]["login"]
                    assert mention.created_at == reading.timestamp(row["created_at"])
                    count += 1
    assert count >= 2


def test_a_place_that_was_moved_on_keeps_no_more_than_it_needs():
    request = forwards.asked({"at": 1_000.0}, 0.0, 60.0)
    assert (request.since, request.page, request.floor) == (940.0, 1, 940.0)
    place, gap = forwards.after({"at": 1_000.0}, request, forwards.Found())
    assert (place, gap) == ({"at": 1_000.0}, None)
    assert places.read(places.written({"a": place})) == {"a": place}


def test_shapes_of_other_times_and_tools_are_read():
    old = {"id": 5, "user": "bo", "created_at": at(0), "body": "Old", "issue_url": f"{API}/issues/3", "url": f"{API}/x"}
    (found,) = Github.parse(json.dumps(old).encode(), kit.NOW)
    assert (found.native_id, found.author.handle, found.conversation) == ("5", "bo", "github:acme/kettle#3")
    bare = {**issue(1), "labels": ["Bug"]}
    del bare["body"]
    (found,) = Github.parse(json.dumps(bare).encode(), kit.NOW)
    assert (found.title, found.text, found.tags) == ("Issue 1", "", ("bug",))
    listed = {
        **discussion(1),
        "comments": [{"id": "IC_1", "body": "Hi", "createdAt": at(1), "author": {"login": "bo"}}],
    }
    assert [one.native_id for one in Github.parse(json.dumps(listed).encode(), kit.NOW)] == ["D_1", "IC_1"]


def test_a_discussion_asked_for_without_its_markup_is_read():
    said = {"id": "D_1", "title": "Kettles", "bodyText": "It boils", "createdAt": "2026-11-20T11:00:00Z"}
    node = {**said, "url": "https://github.com/acme/kettle/discussions/1", "author": {"login": "bo"}}
    body = {"data": {"repository": {"discussions": {"nodes": [node]}}}}
    (found,) = Github.parse(json.dumps(body).encode(), kit.NOW)
    assert (found.title, found.text, found.author.handle) == ("Kettles", "It boils", "bo")
