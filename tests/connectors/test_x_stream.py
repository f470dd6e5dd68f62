"""X's filtered stream over real HTTP: rules, signs of life, losses that are filled in, budgets."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from connectors.publisher import MemoryLog
from connectors.x import ids
from connectors.x_stream import rules
from connectors.x_stream.connector import XStream
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from tests.connectors import kit
from tests.connectors.streams import HttpStream, running, until


def post(minutes: float, **more: Any) -> dict[str, Any]:
    native = ids.id_at(kit.NOW - timedelta(minutes=minutes))
    return {"id": native, "text": f"acme {minutes}", "author_id": "7", **more}


def line(minutes: float, rule: str = "1", **more: Any) -> str:
    return json.dumps({"data": post(minutes), "matching_rules": [{"id": rule, "tag": "x"}], **more})


def made(stream: HttpStream, **changes: Any) -> XStream:
    found = kit.make(XStream, endpoints=[stream.url], **changes)
    assert isinstance(found, XStream)
    return found


async def first(stream: HttpStream, cursor: str | None = None, **changes: Any) -> Any:
    """The first page of a connection, which is then closed."""
    pages = made(stream, **changes).listen(cursor)
    try:
        return await anext(pages)
    finally:
        await pages.aclose()


async def test_x_gets_the_rules_of_the_settings_and_those_of_others_stay():
    async with HttpStream([line(1)]).running() as stream:
        stream.rules = [
            {"id": "7", "value": "old", "tag": "earshot/example"},
            {"id": "8", "value": "another program's", "tag": "other"},
            {"id": "9", "value": "@acme", "tag": "other"},
        ]
        await first(stream, rules=["@acme", "acme kettle"])
        assert [(one["value"], one["tag"]) for one in stream.rules] == [
            ("another program's", "other"),
            ("@acme", "other"),
            ("acme kettle", "earshot/example"),
        ]
        await first(stream, rules=["@acme", "acme kettle"])
        assert len(stream.rules) == 3


async def test_posts_that_match_only_the_rules_of_others_are_not_ours():
    async with HttpStream([line(3, "8"), line(2, "1"), line(1, "8")]).running() as stream, running(made(stream)) as run:
        await until(lambda: stream.sent == 3, "all lines")
        await until(lambda: run.log.mentions, "ours")
        assert run.texts == ["acme 2"]


async def test_a_rule_that_x_does_not_take_is_told_in_its_words():
    async with HttpStream().running() as stream:
        stream.rule_error = {"title": "Invalid Rule", "type": "…/invalid-rules", "details": ["Rule has no keyword"]}
        with pytest.raises(SourceRefusedError, match="Rule has no keyword"):
            await first(stream)
        stream.rule_error = {"title": "DuplicateRule", "type": "https://api.x.com/2/problems/duplicate-rules"}
        stream.frames = [line(1)]
        await first(stream)


async def test_what_was_missed_between_two_connections_is_searched_for():
    log = MemoryLog()
    async with HttpStream([line(30)]).running() as stream:
        async with running(made(stream), log):
            await until(lambda: log.mentions, "the first post")
        stream.missed = [post(10), post(20), post(30)]
        stream.frames = [line(1)]
        async with running(made(stream), log):
            await until(lambda: len(log.mentions) == 4, "what was missed, and what comes")
        assert [mention.text for mention in log.mentions] == ["acme 30", "acme 20", "acme 10", "acme 1"]
        assert stream.searched[0]["since_id"] == post(30)["id"]
        assert "note_tweet" in stream.searched[0]["tweet.fields"]
        assert log.checkpoints["example"].cursor == post(1)["id"]


async def test_without_filling_in_a_loss_is_told_as_a_gap():
    async with HttpStream([line(1)]).running() as stream:
        page = await first(stream, post(30)["id"], fill=False)
        assert (page.gap.since, page.gap.until) == (kit.NOW - timedelta(minutes=30), kit.NOW)
        assert stream.searched == []
        page = await first(stream, post(12 * 24 * 60)["id"])
        assert "seven days" in page.gap.reason


async def test_signs_of_life_keep_a_silent_stream_open_and_their_absence_ends_it():
    async with HttpStream().running() as stream:
        stream.beat = 0.05
        async with running(made(stream, silence=2.0)) as run:
            await until(lambda: run.states[-1:] == [("listening", None)], "it listens")
            await until(lambda: stream.beats >= 4, "signs of life")
            assert (len(stream.asked), run.log.mentions) == (1, [])
        stream.beat = None
        with pytest.raises(SourceUnavailableError, match="nothing for"):
            await first(stream, silence=0.1)


async def test_an_end_that_x_announces_is_an_end():
    notice = json.dumps(
        {"errors": [{"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect"}]}
    )
    async with HttpStream([line(2), notice]).running() as stream, running(made(stream)) as run:
        await until(lambda: "unreachable" in [state for state, _ in run.states], "the end")
        assert "by itself" in next(reason for state, reason in run.states if state == "unreachable")
        assert run.texts == ["acme 2"]


async def test_errors_beside_a_post_do_no_harm():
    beside = {"errors": [{"title": "Not Found Error", "resource_id": "5"}]}
    async with HttpStream([line(2, **beside)]).running() as stream:
        assert len((await first(stream)).mentions) == 1


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, {"title": "Unauthorized"}, SourceRefusedError, "credentials"),
        (429, {"title": "ConnectionException", "connection_issue": "TooManyConnections"}, RateLimitedError, "429"),
        (429, {"title": "UsageCapExceeded"}, RateLimitedError, "plan"),
        (503, {"title": "Service Unavailable"}, SourceUnavailableError, "503"),
    ],
)
async def test_a_stream_that_is_refused_says_why(status, body, error, words):
    async with HttpStream().running() as stream:
        stream.refusal = (status, {**body, "detail": kit.SECRET})
        with pytest.raises(error, match=words) as raised:
            await first(stream)
        assert kit.SECRET not in str(raised.value)


async def test_the_token_goes_into_the_header_and_long_posts_are_asked_for():
    async with HttpStream([line(1)]).running() as stream:
        await first(stream)
        assert stream.headers[0]["Authorization"] == f"Bearer {kit.SECRET}"
        assert "note_tweet" in stream.asked[0]["tweet.fields"]
        assert kit.SECRET not in repr(stream.asked)


async def test_the_stream_is_closed_when_the_budget_is_used_up_and_nothing_that_came_is_lost():
    lines = [line(number) for number in range(5, 0, -1)]
    budget = {"budget": {"per_day": 0.03}, "price": 0.02}
    async with HttpStream(lines).running() as stream, running(made(stream, **budget)) as run:
        await until(lambda: any(state == "waiting" for state, _ in run.states), "the budget is used up")
        assert run.texts == ["acme 5", "acme 4", "acme 3", "acme 2", "acme 1"][: len(run.texts)]
        assert len(run.texts) >= 1
        assert "budget" in next(reason for state, reason in run.states if state == "waiting")


def test_rules_are_compared_by_their_words():
    there = [{"id": "1", "value": "a", "tag": "earshot/me"}, {"id": "2", "value": "b", "tag": "earshot/other"}]
    assert rules.changes(there, ["b", "c"], "earshot/me") == (["c"], ["1"])
    assert rules.ours(there, ["b", "c"]) == {"2"}
    assert rules.refused({"meta": {}}) is None
    assert rules.refused([]) is None
