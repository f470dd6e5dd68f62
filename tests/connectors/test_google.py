"""Proof of Pub/Sub, Google's reviews of places, and the address that is told of them."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import timedelta
from functools import cache

import aiohttp
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from connectors import google
from connectors.google_business_profile.connector import GoogleBusinessProfile
from connectors.google_business_profile.reviews import original
from connectors.google_business_push.connector import GoogleBusinessPush, told
from connectors.inbound import NotAcceptedError
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError
from pipeline.contract.events import Kind, State
from tests.connectors import kit, recordings
from tests.connectors.streams import running, until

MAIL, AUDIENCE = "push@example.iam.gserviceaccount.com", "https://hooks.example.org/google"
NOW = kit.NOW.timestamp()
LOCATION = "accounts/101/locations/202"


@cache
def key(name="k1"):
    assert name
    return rsa.generate_private_key(65537, 2048)


def coded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def token(claims=None, header=None, name="k1"):
    wanted = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "email": MAIL, "email_verified": True}
    claims = {**wanted, "iat": NOW - 10, "exp": NOW + 3590, **(claims or {})}
    signed = f"{coded({'alg': 'RS256', 'kid': name, 'typ': 'JWT', **(header or {})})}.{coded(claims)}"
    return f"{signed}.{coded(key(name).sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def keys(*names):
    def one(name):
        numbers = key(name).public_key().public_numbers()
        n, e = (coded(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "n": n, "e": e}

    return {"keys": [one(name) for name in names]}


def verify(given, known=None, now=NOW):
    google.verify(given, known or keys("k1"), audience=AUDIENCE, email=MAIL, now=now)


def test_a_token_of_pubsub_is_believed():
    verify(token())
    verify(token({"iss": "accounts.google.com"}))
    assert google.key_of(token()) == "k1"


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iss": "https://evil.example.org"}, "not issued"),
        ({"aud": "https://other.example.org"}, "audience"),
        ({"aud": [AUDIENCE]}, "audience"),
        ({"email": "other@example.org"}, "account"),
        ({"email_verified": False}, "account"),
        ({"email_verified": "true"}, "account"),
        ({"exp": NOW - 61}, "clocks"),
        ({"iat": NOW + 61}, "clocks"),
        ({"exp": None}, "clocks"),
        ({"iat": "now"}, "clocks"),
    ],
)
def test_a_token_of_others_or_of_another_time_is_not(claims, words):
    with pytest.raises(google.NotProvenError, match=words):
        verify(token(claims))


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS512"}, {"alg": None}])
def test_nothing_in_a_token_decides_how_it_is_checked(header):
    with pytest.raises(google.NotProvenError):
        verify(token(header=header))


def test_a_token_that_is_signed_by_another_key_or_was_changed_is_not_believed():
    with pytest.raises(google.NotProvenError, match="signed by Google"):
        verify(token(header={"kid": "k1"}, name="k2"))
    with pytest.raises(google.NotProvenError, match="signed by Google"):
        verify(token(name="k2"))
    head, claims, signature = token().split(".")
    forged = coded({**json.loads(google._bytes(claims)), "email": MAIL, "extra": 1})
    with pytest.raises(google.NotProvenError):
        verify(f"{head}.{forged}.{signature}")
    with pytest.raises(google.NotProvenError):
        verify(f"{head}.{claims}.")
    with pytest.raises(google.NotProvenError):
        verify(token(), {"keys": [{"kid": "k1", "kty": "RSA", "n": "", "e": "AQAB"}]})


@given(st.text(max_size=60) | st.lists(st.text("abcAB_-=é", max_size=9), min_size=3, max_size=3).map(".".join))
def test_whatever_stands_for_a_token_is_refused_in_words(given):
    with pytest.raises(google.NotProvenError):
        verify(given)


def review(number, ago, *, changed=None, **more):
    def at(seconds):
        return (kit.NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "name": f"{LOCATION}/reviews/r{number}",
        "reviewId": f"r{number}",
        "reviewer": {"displayName": "Kim"},
        "starRating": "FOUR",
        "comment": f"acme {number}",
        "createTime": at(ago),
        "updateTime": at(ago if changed is None else changed),
        **more,
    }


class Business:
    """The API of Business Profiles, and Google's keys: reviews the last changed first, in parts."""

    def __init__(self, *reviews, parts=50):
        self.reviews, self.parts, self.asked = list(reviews), parts, []
        self.keys = keys("k1")
        self.status = 200

    def __call__(self, request):
        self.asked.append(request)
        if request.url.path == "/oauth2/v3/certs":
            assert "authorization" not in request.headers
            return httpx.Response(200, json=self.keys)
        assert request.headers["authorization"] == "Bearer token-of-the-test"
        if self.status != 200:
            return httpx.Response(self.status, json={"error": {"code": self.status, "message": "no"}})
        if not request.url.path.endswith("/reviews"):
            found = [one for one in self.reviews if request.url.path == f"/v4/{one['name']}"]
            return httpx.Response(200, json=found[0]) if found else httpx.Response(404, json={"error": {"code": 404}})
        assert request.url.params["orderBy"] == "updateTime desc"
        start = int(request.url.params.get("pageToken", "0"))
        body = {"reviews": self.reviews[start : start + self.parts], "totalReviewCount": len(self.reviews)}
        if start + self.parts < len(self.reviews):
            body["nextPageToken"] = str(start + self.parts)
        return httpx.Response(200, json=body)

    def connector(self, **changes):
        return kit.make(GoogleBusinessProfile, self, **changes)


async def test_nothing_is_lost_and_nothing_twice_over_parts_and_restarts():
    business, log = Business(*(review(n, n * 60) for n in range(1, 41)), parts=3), MemoryLog()
    await kit.run(business.connector(), 2, log=log)
    business.reviews[:0] = [review(n, 0) for n in range(41, 51)]
    for _ in range(3):
        await kit.run(business.connector(), 2, log=log)
    found = [one.native_id for one in log.mentions]
    assert len(found) == len(set(found)) == 50


async def test_an_old_review_that_is_changed_comes_as_an_edit():
    business, log = Business(review(1, 400 * 86_400)), MemoryLog()
    await kit.run(business.connector(), 1, log=log)
    assert log.mentions == []
    business.reviews = [review(1, 400 * 86_400, changed=60, starRating="ONE")]
    await kit.run(business.connector(), 1, log=log)
    [found] = log.mentions
    assert (found.state, found.rating.value) == (State.EDITED, 1)
    assert found.revision == int((NOW - 60) * 1000)


async def test_a_review_that_no_location_has_any_more_is_absent():
    business = Business(review(1, 60))
    made = business.connector(locations=["accounts/101/locations/9", LOCATION])
    again = await made.reread(["r1", "r2"])
    assert [one.native_id for one in again.mentions] == ["r1"]
    assert again.absent == ["r2"]
    many = [f"accounts/1/locations/{n}" for n in range(11)]
    assert business.connector(locations=many).rereads is None


def test_locations_are_written_in_full():
    with pytest.raises(ConfigError, match="accounts/1/locations/2"):
        kit.settings(GoogleBusinessProfile, locations=["locations/2"])


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("(Translated by Google) Good\n\n(Original)\nGut", "Gut"),
        ("Gut\n\n(Translated by Google)\nGood", "Gut"),
        ("Gut", "Gut"),
        ("(Translated by Google)", "(Translated by Google)"),
        (None, ""),
        (7, ""),
    ],
)
def test_the_words_as_they_were_written_are_kept(said, text):
    assert original(said) == text


def test_who_wants_to_stay_unnamed_stays_so():
    shown = GoogleBusinessProfile.to_mention(review(1, 0), kit.NOW)
    hidden = {"reviewer": {"isAnonymous": True, "displayName": "A Google user"}}
    assert shown.author.name == "Kim"
    assert GoogleBusinessProfile.to_mention(review(1, 0, **hidden), kit.NOW).author is None


def test_stars_alone_are_a_review_and_neither_stars_nor_words_are_none():
    alone = review(1, 0)
    del alone["comment"]
    assert GoogleBusinessProfile.to_mention(alone, kit.NOW).rating.value == 4
    assert GoogleBusinessProfile.to_mention({**alone, "starRating": "STAR_RATING_UNSPECIFIED"}, kit.NOW) is None


def test_questions_of_former_times_are_read_and_what_merchants_answer_is_not():
    answers = [
        {"name": "locations/2/questions/q/answers/a", "author": {"type": "MERCHANT"}, "text": "we do"},
        {
            "name": "locations/2/questions/q/answers/b",
            "author": {"type": "LOCAL_GUIDE", "displayName": "Lee"},
            "text": "no",
        },
    ]
    asked = {
        "name": "locations/2/questions/q",
        "author": {"displayName": "Kim"},
        "text": "Open on Sunday?",
        "upvoteCount": 2,
    }
    body = json.dumps({"questions": [{**asked, "topAnswers": answers}]}).encode()
    question, answer = GoogleBusinessProfile.parse(body, kit.NOW)
    assert (question.kind, question.engagement.likes) == (Kind.QUESTION, 2)
    assert (answer.kind, answer.in_reply_to) == (Kind.COMMENT, question.id)


def notified(data, native="m1"):
    message = {"data": b64encode(json.dumps(data).encode()).decode(), "messageId": native, "attributes": {}}
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


def test_a_review_is_known_by_the_form_of_its_name_whatever_the_field_is_called():
    full = f"{LOCATION}/reviews/AbC1"
    assert told(notified({"review": full, "location": LOCATION})) == ("pubsub-m1", [full])
    short = {"name": "accounts/101/notificationSetting", "reviewName": "locations/202/reviews/AbC1"}
    assert told(notified(short))[1] == [full]
    assert told(notified({"locationName": LOCATION, "type": "GOOGLE_UPDATE"}))[1] == []
    for odd in (b"", b"[]", b'{"message": 7}', b'{"message": {"data": "%%%", "messageId": "1"}}'):
        with pytest.raises(NotAcceptedError):
            told(odd)


@contextlib.asynccontextmanager
async def serving(business, log=None):
    async with running(kit.make(GoogleBusinessPush, business), log) as run:
        await until(lambda: run.states and run.states[-1][0] == "listening", "it listens")
        async with aiohttp.ClientSession() as session:

            async def push(body, bearer=None):
                headers = {"Authorization": f"Bearer {token() if bearer is None else bearer}"}
                async with session.post(run.states[-1][1], data=body, headers=headers) as answer:
                    return answer.status

            yield push


async def test_a_notification_brings_its_review_once():
    business, log = Business(review(1, 60, changed=30), review(2, 50)), MemoryLog()
    async with serving(business, log) as push:
        assert await push(notified({"review": f"{LOCATION}/reviews/r1"})) == 200
        assert await push(notified({"review": f"{LOCATION}/reviews/r1"})) == 200
        assert await push(notified({"review": f"{LOCATION}/reviews/r2"}, "m2")) == 200
        assert await push(notified({"review": f"{LOCATION}/reviews/gone"}, "m3")) == 200
    assert [one.id for one in log.mentions] == ["google-business-profile:r1", "google-business-profile:r2"]
    assert [request.url.path for request in business.asked].count("/oauth2/v3/certs") == 1


async def test_a_notification_of_a_stranger_is_refused_and_asks_for_nothing():
    business = Business(review(1, 60))
    async with serving(business) as push:
        body = notified({"review": f"{LOCATION}/reviews/r1"})
        for bearer in ("", "x", "a.b.c", token({"aud": "other"}), token(name="k2")):
            assert await push(body, bearer) == 401
    assert {request.url.path for request in business.asked} <= {"/oauth2/v3/certs"}
    assert len(business.asked) == 1  # unknown keys are asked for once a minute, whatever strangers send


async def test_what_google_refuses_for_now_is_told_again():
    business = Business(review(1, 60))
    async with serving(business) as push:
        for status in (403, 500):
            business.status = status
            assert await push(notified({"review": f"{LOCATION}/reviews/r1"})) == 503


@pytest.mark.shared
def test_every_recorded_review_is_read(shared):
    count = 0
    for name, body in recordings.answers(shared / "api" / "google-business-profile"):
        rows = json.loads(body).get("reviews", ())
        found = recordings.read(GoogleBusinessProfile, body)
        assert recordings.missing({row["reviewId"]: row.get("comment", "") for row in rows}, found) == [], name
        count += len(found)
    assert count == 2
