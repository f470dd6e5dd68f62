"""App Store Connect: all countries of an app in one walk, signed questions, reading again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.appstore.connector import Appstore
from connectors.appstore.territories import COUNTRIES, TERRITORIES
from connectors.publisher import MemoryLog
from pipeline.contract.errors import ConfigError, SourceRefusedError, SourceUnavailableError
from pipeline.contract.events import Rating
from tests.connectors import kit

APP = "900000001"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def review(number, *, territory="USA", answered=False, **more):
    at = kit.NOW - timedelta(minutes=number)
    data = {"type": "customerReviewResponses", "id": f"r{number}"} if answered else None
    return {
        "type": "customerReviews",
        "id": f"0000-{number:04}",
        "attributes": {
            "rating": 2,
            "title": "Meh",
            "body": f"Cold {number}",
            "reviewerNickname": "jo",
            "createdDate": at.isoformat(),
            "territory": territory,
            **more,
        },
        "relationships": {"response": {"data": data, "links": {}}},
    }


class Connect:
    """App Store Connect: reviews by their time, the address of the next page in `links`."""

    def __init__(self, *reviews):
        self.reviews = list(reviews)
        self.asked = []
        self.size = 200

    def __call__(self, request):
        self.asked.append(request)
        params = request.url.params
        if request.url.path.startswith("/v1/customerReviews/"):
            found = [row for row in self.reviews if row["id"] == request.url.path.rsplit("/", 1)[1]]
            return httpx.Response(200, json={"data": found[0], "links": {}}) if found else httpx.Response(404)
        assert request.url.path == f"/v1/apps/{APP}/customerReviews"
        assert params["sort"] == "-createdDate"
        wanted = params.get("filter[territory]")
        rows = [row for row in self.reviews if not wanted or row["attributes"]["territory"] in wanted.split(",")]
        rows.sort(key=lambda row: row["attributes"]["createdDate"], reverse=True)
        start = int(params.get("cursor", "0"))
        links = {"self": str(request.url)}
        if start + self.size < len(rows):
            links["next"] = f"https://elsewhere.example/v1?{params.remove('cursor').add('cursor', start + self.size)}"
        return httpx.Response(200, json={"data": rows[start : start + self.size], "links": links})

    def connector(self, monkeypatch, **changes):
        monkeypatch.setenv("CONNECT_KEY", PEM)
        given = json.loads(kit.example(Appstore, "settings").read_text())
        given |= {"key": {"env": "CONNECT_KEY"}, "key_id": "KEY1", "issuer": "team-1", **changes}
        if given.get("countries") == ["us"]:
            del given["countries"]
        settings = kit.read_settings(Appstore.settings_type, "example", given)
        return kit.make(Appstore, self, given=settings)


def ids(mentions):
    return [mention.native_id for mention in mentions]


async def test_questions_are_signed_as_apple_asks(monkeypatch):
    connect = Connect(review(1))
    await connect.connector(monkeypatch).fetch(None)
    token = connect.asked[0].headers["authorization"].removeprefix("Bearer ")
    assert jwt.get_unverified_header(token)["kid"] == "KEY1"
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        token, PRIVATE.public_key(), algorithms=["ES256"], audience="appstoreconnect-v1", options=options
    )
    assert claims["iss"] == "team-1"
    assert 0 < claims["exp"] - claims.get("iat", kit.NOW.timestamp()) <= 1_200


async def test_a_persons_own_key_has_no_issuer(monkeypatch):
    connect = Connect(review(1))
    await connect.connector(monkeypatch, issuer=None).fetch(None)
    token = connect.asked[0].headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["sub"] == "user"
    assert "iss" not in claims


async def test_a_review_has_country_app_address_and_whether_it_was_answered(monkeypatch):
    page = await Connect(review(1, territory="DEU", answered=True), review(2)).connector(monkeypatch).fetch(None)
    other, german = page.mentions
    assert (german.rating, german.title, german.text) == (Rating(value=2.0, best=5.0, worst=1.0), "Meh", "Cold 1")
    assert (german.subject, german.tags, german.author.name) == (APP, ("country-de",), "jo")
    assert german.url == f"https://apps.apple.com/de/app/id{APP}?see-all=reviews"
    assert (german.engagement.replies, other.engagement.replies) == (1, 0)
    assert german.created_at == kit.NOW - timedelta(minutes=1)


async def test_all_pages_are_read_at_our_address_and_the_next_poll_takes_one_question(monkeypatch):
    connect, log = Connect(*(review(number) for number in range(5, 455))), MemoryLog()
    await kit.run(connect.connector(monkeypatch, overlap=0), 1, log=log)
    assert ids(log.mentions) == [review(number)["id"] for number in range(454, 4, -1)]
    assert {asked.url.host for asked in connect.asked} == {"api.appstoreconnect.apple.com"}
    assert len(connect.asked) == 3
    connect.asked.clear()
    connect.reviews += [review(number) for number in range(1, 5)]
    await kit.run(connect.connector(monkeypatch, overlap=0), 1, log=log)
    assert len(connect.asked) == 1
    assert len(log.mentions) == 454


async def test_countries_are_a_filter_where_they_are_given(monkeypatch):
    connect = Connect(review(1), review(2, territory="GBR"), review(3, territory="FRA"))
    assert len((await connect.connector(monkeypatch).fetch(None)).mentions) == 3
    page = await connect.connector(monkeypatch, countries=["gb", "fr"]).fetch(None)
    assert ids(page.mentions) == [review(3)["id"], review(2)["id"]]
    assert connect.asked[-1].url.params["filter[territory]"] == "GBR,FRA"


async def test_read_again_what_is_gone_is_absent(monkeypatch):
    connector = Connect(review(1)).connector(monkeypatch)
    found = await connector.reread([review(1)["id"], review(2)["id"]])
    assert ids(found.mentions) == [review(1)["id"]]
    assert found.mentions[0].subject == APP
    assert list(found.absent) == [review(2)["id"]]
    assert connector.rereads is not None


def test_the_feeds_have_nothing_to_read_again():
    assert kit.make(Appstore).rereads is None


async def test_the_past_is_asked_for_by_time(monkeypatch):
    connector = Connect(*(review(number) for number in range(1, 100))).connector(monkeypatch, overlap=0)
    cursor = await connector.cursor_at(kit.NOW - timedelta(minutes=30))
    assert connector.time_of(cursor) == kit.NOW - timedelta(minutes=30)
    assert len((await connector.fetch(cursor)).mentions) == 30


async def test_a_position_of_the_feeds_begins_anew_and_the_other_way_round(monkeypatch):
    connect = Connect(review(1))
    assert len((await connect.connector(monkeypatch).fetch('{"us": 1795000000}')).mentions) == 1
    feeds = kit.make(Appstore, kit.answering(kit.example(Appstore, "page").read_bytes()))
    assert (await feeds.fetch('{"900000001": {"known": 1795000000.0}}')).mentions


@pytest.mark.parametrize("changes", [{"key_id": None}, {"key": None}], ids=["no id", "no key"])
def test_a_key_and_its_id_come_together(monkeypatch, changes):
    with pytest.raises(ConfigError, match="`key` and `key_id`"):
        Connect().connector(monkeypatch, **changes)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_ends_in_words_without_the_key(monkeypatch, status):
    body = {"errors": [{"status": str(status), "code": "NOT", "title": "No", "detail": "Authentication failed."}]}
    connector = kit.make(
        Appstore, kit.answering(json.dumps(body).encode(), status), given=Connect().connector(monkeypatch).settings
    )
    with pytest.raises(SourceRefusedError, match="Authentication failed") as raised:
        await connector.fetch(None)
    assert "PRIVATE KEY" not in str(raised.value)


async def test_what_holds_no_reviews_is_tried_again(monkeypatch):
    settings = Connect().connector(monkeypatch).settings
    with pytest.raises(SourceUnavailableError):
        await kit.make(Appstore, kit.answering(b'{"links": {}}'), given=settings).fetch(None)


def test_an_answer_alone_says_app_and_country():
    body = {
        "data": [review(1)],
        "links": {"self": f"https://api.appstoreconnect.apple.com/v1/apps/{APP}/customerReviews"},
    }
    (found,) = Appstore.parse(json.dumps(body).encode(), kit.NOW)
    assert (found.subject, found.tags) == (APP, ("country-us",))
    assert found.created_at == datetime(2026, 11, 20, 11, 59, tzinfo=UTC)


def test_territories_are_the_same_both_ways():
    assert len(TERRITORIES) == len(COUNTRIES) > 170
    assert (TERRITORIES["gb"], COUNTRIES["USA"]) == ("GBR", "us")
    assert all(len(two) == 2 and len(three) == 3 and three.isupper() for two, three in TERRITORIES.items())
