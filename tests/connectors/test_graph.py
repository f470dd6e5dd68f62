"""What Facebook, Instagram and Threads share: errors, parts of listings, signatures, changes of webhooks."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import graph, registry
from connectors.answers import Answer
from connectors.facebook.connector import Facebook
from connectors.google_business_profile.connector import GoogleBusinessProfile
from connectors.google_play.connector import GooglePlay
from connectors.instagram.connector import Instagram
from connectors.threads.connector import Threads
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError
from tests.connectors import graphs, kit


def answer(body: object, status: int = 400) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {}, content, "https://graph.example.org/v23.0/1/feed?access_token=s3cr3t")


@pytest.mark.parametrize("status", [200, 400, 403])
@pytest.mark.parametrize("code", [4, 17, 32, 341, 613, 80001, 80006])
def test_too_many_calls_are_waited_for_whatever_the_status(code, status):
    assert isinstance(graph.error_in(answer(graphs.error(code), status)), RateLimitedError)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (graphs.error(190, 463), "expired"),
        (graphs.error(190, 460), "password"),
        (graphs.error(190), "not valid"),
        (graphs.error(102), "not valid"),
        (graphs.error(10), "permission"),
        (graphs.error(200), "permission"),
        (graphs.error(299), "permission"),
        (graphs.error(100, 33), "ids in the settings"),
        (graphs.error(100, message="API calls from the server require an appsecret_proof argument"), "app_secret"),
        (graphs.error(100), "settings"),
        (graphs.error(2635), "version"),
    ],
)
def test_what_a_person_must_mend_is_said_with_how(body, words):
    found = graph.error_in(answer(body))
    assert isinstance(found, SourceRefusedError)
    assert words in str(found)
    assert "s3cr3t" not in str(found)


@pytest.mark.parametrize("body", [graphs.error(1), graphs.error(2), graphs.error(190, is_transient=True)])
def test_what_passes_is_tried_again(body):
    assert isinstance(graph.error_in(answer(body, 500)), SourceUnavailableError)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error":', {"error": "no"}, {"error": {"code": "x"}}, {"data": []}, [], b'["error"]']
)
def test_what_is_no_error_of_metas_is_left_to_its_status(body):
    assert graph.error_in(answer(body)) is None


@given(st.dictionaries(st.sampled_from(["error", "code", "error_subcode", "message", "is_transient"]), st.integers()))
def test_whatever_an_error_holds_it_is_an_error_or_none(inner):
    graph.error_in(answer({"error": inner}))
    graph.error_in(answer({"error": {**inner, "error": inner}}))


def test_the_next_part_is_asked_for_without_the_token_in_its_address():
    paging = {"next": "https://graph.example.org/v23.0/1/feed?access_token=s&appsecret_proof=p&after=A%3D&limit=5&x="}
    found = Answer(200, {}, b"", "u", json={"data": [], "paging": paging})
    assert graph.next_of(found) == {"after": "A=", "limit": "5"}
    for odd in (None, {}, {"next": 7}, {"cursors": {"after": "A"}}, []):
        assert graph.next_of(Answer(200, {}, b"", "u", json={"data": [], "paging": odd})) is None


async def test_a_listing_ends_where_it_is_known_or_repeats_itself():
    asked = []

    async def get(url, params):
        asked.append(params.get("after"))
        rows = [{"id": str(n), "created_time": f"2026-11-20T11:{59 - n:02}:00+0000"} for n in range(len(asked) * 2)][
            -2:
        ]
        return Answer(200, {}, b"", "u", json={"data": rows, "paging": {"next": f"https://x/?after={len(asked)}"}})

    until = int(kit.NOW.timestamp()) - 5 * 60
    found = await graph.listing(get, "u", {}, until)
    assert asked == [None, "1", "2", "3"]
    assert {row["id"] for row in found.rows} == {str(n) for n in range(8)}
    assert not found.is_cut

    async def same(url, params):
        asked.append(None)
        rows = [{"id": "1", "created_time": "2026-11-20T11:59:00+0000"}]
        return Answer(200, {}, b"", "u", json={"data": rows, "paging": {"next": "https://x/?after=always"}})

    asked.clear()
    assert len((await graph.listing(same, "u", {}, until)).rows) == 1
    assert len(asked) == 2


async def test_a_listing_without_an_end_is_broken_off_and_the_rest_told():
    count = 0

    async def get(url, params):
        nonlocal count
        count += 1
        rows = [{"id": str(count), "created_time": "2026-11-20T11:00:00+0000"}]
        return Answer(200, {}, b"", "u", json={"data": rows, "paging": {"next": "https://x/?after=1"}})

    since = int(kit.NOW.timestamp()) - 2 * 3600
    found = await graph.listing(get, "u", {}, since)
    assert count == graph.PAGES
    assert found.is_cut
    [gap] = graph.gap(since, found, "posts")
    assert (gap.since.hour, gap.until.hour) == (10, 11)
    assert graph.gap(since + 7200, found, "posts") == []


@pytest.mark.parametrize("text", ["", None])
def test_a_text_without_words_has_no_hash_tags(text):
    assert graph.hash_tags(text) == []


def test_hash_tags_are_words_and_not_parts_of_addresses_or_numbers():
    text = "#Acme, (#Küche) #1 #2nd https://example.org/#part a#b &#39; #日本"
    assert graph.hash_tags(text) == ["acme", "küche", "2nd", "日本"]


def test_a_signature_is_over_the_bytes_as_they_came():
    body = b'{"text":"\\u00fc"}'

    def signed(secret, over=body):
        return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), over, hashlib.sha256).hexdigest()}

    assert graph.is_signed(signed("a"), body, ["a"])
    assert graph.is_signed(signed("b"), body, ["a", "b"])
    assert not graph.is_signed(signed("c"), body, ["a", "b"])
    assert not graph.is_signed(signed("a", json.dumps(json.loads(body)).encode() + b" "), body, ["a"])
    assert not graph.is_signed(signed("a"), body, [])
    for odd in ("", "sha256=", "sha1=abc", "sha256=ü", "sha256=" + "0" * 64):
        assert not graph.is_signed({"x-hub-signature-256": odd}, body, ["a"])
    assert not graph.is_signed({}, body, ["a"])


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["object", "entry", "changes", "value", "values", "field", "id", "time"]), inner
            )
        ),
    )
)
def test_whatever_calls_hold_their_changes_are_found_or_none(value):
    for change in graph.changes(value):
        assert change["earshot_object"]


async def test_usage_near_its_end_spreads_the_polls_and_used_up_waits():
    fake = graphs.Graph({})
    fake.headers = {"x-app-usage": '{"call_count":95,"total_time":10,"total_cputime":1}'}
    waits, _ = await kit.run(kit.make(Facebook, fake), 1)
    assert 600 <= waits.waited[0] <= 800  # 3600 s for the five percent that are left
    fake.headers = {"x-business-use-case-usage": '{"1":[{"call_count":100,"estimated_time_to_regain_access":17}]}'}
    fake.asked.clear()
    waits, states = await kit.run(kit.make(Facebook, fake), 1)
    assert len(fake.asked) == 1
    assert waits.waited[0] >= 17 * 60
    assert states[-1][0] == "waiting"


async def test_an_error_inside_a_good_answer_moves_nothing():
    def busy(request):
        return httpx.Response(200, json=graphs.error(4))

    with pytest.raises(RateLimitedError):
        await kit.make(Facebook, busy).fetch(None)


async def test_every_request_proves_the_app_where_its_secret_is_known():
    fake = graphs.Graph({})
    await kit.make(Facebook, fake).fetch(None)
    assert {request.url.params["appsecret_proof"] for request in fake.asked} == {graphs.PROOF}
    fake.asked.clear()
    await kit.make(Facebook, fake, app_secret=None).fetch(None)
    assert not any("appsecret_proof" in request.url.params for request in fake.asked)


@pytest.mark.parametrize("kind", [Facebook, Instagram, Threads], ids=lambda kind: kind.name)
async def test_a_check_is_one_request(kind):
    asked = []

    def answer(request):
        asked.append(request)
        following = {"next": str(request.url.copy_merge_params({"after": "a"}))}
        rows = json.loads(kit.example(kind, "page").read_bytes())["data"]
        return httpx.Response(200, json={"data": rows, "paging": following})

    assert "mentions, the newest of" in await kit.make(kind, answer).check()
    assert len(asked) == 1


ODD = [None, 7, "x", [], {"id": 1}, [None]]


@pytest.mark.parametrize(
    "kind",
    [Facebook, Instagram, Threads, GooglePlay, GoogleBusinessProfile],
    ids=lambda kind: kind.name,
)
async def test_an_answer_that_is_odd_in_any_place_is_read_or_refused_in_words(kind, monkeypatch):
    monkeypatch.setattr(kind, "limits", lambda _: ())
    whole, body = json.loads(kit.example(kind, "page").read_bytes()), b""
    made = kit.make(kind, lambda _: httpx.Response(200, content=body))
    count = 0
    for place in places(whole):
        for odd in ODD:
            body = json.dumps(changed(whole, place, odd)).encode()
            with contextlib.suppress(SourceUnavailableError):
                count += len((await made.fetch(None)).mentions)
    assert count > 100


def places(value, at=()):
    """The way to every part of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*at, key)
        yield from places(part, (*at, key))


def changed(value, place, odd):
    """A copy of the value with one part put in place of another."""
    copy = json.loads(json.dumps(value))
    part = copy
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = odd
    return copy


@pytest.mark.parametrize("name", ["facebook", "instagram", "threads"])
def test_the_answers_of_a_batch_are_read_and_its_errors_passed_over(name):
    kind = registry.find(name)
    whole = kit.example(kind, "page").read_bytes()
    wanted = {mention.id for mention in kind.parse(whole, kit.NOW)}
    failed = {"code": 400, "body": json.dumps({"error": {"message": "no", "code": 100}})}
    done = {"code": 200, "headers": [{"name": "ETag", "value": "x"}], "body": whole.decode()}
    batch = json.dumps([failed, None, {"code": 200, "body": "{cut"}, done]).encode()
    assert {mention.id for mention in kind.parse(batch, kit.NOW)} == wanted
    assert {mention.id for mention in kind.parse(json.dumps(done).encode(), kit.NOW)} == wanted
