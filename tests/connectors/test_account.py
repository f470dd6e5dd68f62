"""What sources with one credential share: never beyond a limit, whatever restarts and whoever else uses it."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors import auth, sealing
from connectors.account import Account, Accounts, name_of
from connectors.http import Http, make_client
from connectors.limits import Budget, Limit, Usage, tightest
from connectors.publisher import MemoryLog, MemoryPublisher
from pipeline.contract.errors import (
    BrokerUnavailableError,
    ConfigError,
    RateLimitedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from tests.connectors import kit
from tests.connectors.streams import until

URL = "https://api.example.org/v1/search"
TOKEN_URL = "https://login.example.org/token"


class Clock:
    def __init__(self, now=kit.NOW):
        self.now = now

    def __call__(self):
        return self.now

    async def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def account(*limits, log=None, clock=None, credential=auth.NONE):
    made = Account("x", credential, limits, clock=clock or Clock())
    if log is not None:
        made.keep(MemoryPublisher(made.name, log))
    return made


def asking(made, answer, clock):
    client = make_client(transport=httpx.MockTransport(answer))
    http = Http(client, connector="x", clock=clock, wait=clock.wait)
    http.account = made
    return http


def ok(request):
    return httpx.Response(200, json={})


@given(
    st.integers(1, 30),
    st.sampled_from([1.0, 7.0, 60.0, 900.0]),
    st.lists(st.floats(0, 100), min_size=1, max_size=200),
)
def test_no_window_ever_has_more_than_the_limit(most, per, pauses):
    usage, now, used = Usage(Limit(most, per)), kit.NOW, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        wait = usage.wait(1, now)
        assert 0 <= wait <= per * 1.06
        if wait:
            now += timedelta(seconds=wait + 1e-6)
            assert usage.wait(1, now) == 0
        usage.add(1, now)
        used.append(now)
        assert sum(at > now - timedelta(seconds=per) for at in used) <= most


def test_what_is_under_way_counts_from_its_end_on_whenever_the_source_has_counted_it():
    usage, later = Usage(Limit(2, 60.0)), kit.NOW + timedelta(seconds=300)
    usage.begin(1)
    usage.add(1, kit.NOW)
    assert usage.wait(1, kit.NOW) == pytest.approx(0.1)  # it may end at any time
    assert usage.used(later) == 1
    usage.end(1, later)
    usage.add(1, later)
    assert usage.wait(1, later + timedelta(seconds=59)) > 0
    assert usage.wait(1, later + timedelta(seconds=64)) == 0


def test_a_day_ends_where_it_is_counted():
    usage = Usage(Limit(10, "day", zone="America/Los_Angeles"))
    usage.add(10, kit.NOW)
    assert usage.wait(1, kit.NOW) == 20 * 3600  # noon in UTC is four in the morning there
    assert usage.wait(1, kit.NOW + timedelta(hours=20)) == 0
    month = Usage(Limit(10, "month"))
    month.add(10, kit.NOW)
    assert month.wait(1, kit.NOW) == (datetime(2026, 12, 1, tzinfo=UTC) - kit.NOW).total_seconds()
    assert Usage(Limit(10, "day")).wait(11, kit.NOW) == math.inf


def test_a_budget_is_a_limit_and_the_smaller_of_two_holds():
    assert Budget().limits("usd") == ()
    [limit] = Budget(per_day=5).limits("usd")
    assert (limit.most, limit.per, limit.unit) == (5, "day", "usd")
    assert tightest([Limit(5, 60), Limit(3, 60), Limit(9, "day")]) == (Limit(3, 60), Limit(9, "day"))


async def test_what_was_used_counts_after_a_restart_whenever_it_comes():
    clock, log, spent = Clock(), MemoryLog(), 0
    for _ in range(40):  # each a process that is killed after a few requests
        made = account(Limit(100, "day"), log=log, clock=clock)
        for _ in range(7):
            wait, _ = await made.ledger.take({"requests": 1}, "")
            spent += not wait
            if not wait:
                made.ledger.ended({"requests": 1}, "")
    assert 50 <= spent <= 100  # each kill loses what was marked ahead, at most a twentieth of the limit


async def test_two_processes_that_use_one_credential_at_once_stay_within_its_limit_together():
    clock, log = Clock(), MemoryLog()
    one, other = (account(Limit(50, 3600), Limit(2.0, "day", "usd"), log=log, clock=clock) for _ in range(2))
    used = 0
    for _ in range(60):
        for made in (one, other):
            cost = {"requests": 1, "usd": 0.01}
            wait, limit = await made.ledger.take(cost, "")
            used += not wait
            if not wait:
                made.ledger.ended(cost, "")
            assert not wait or limit.name == "requests/3600"
    assert 45 <= used <= 50


async def test_money_is_given_back_and_never_spent_beyond_the_budget():
    clock, log = Clock(), MemoryLog()
    made = account(*Budget(per_day=1.0).limits("usd"), log=log, clock=clock)
    http, asked = asking(made, ok, clock), 0

    async def spend():
        nonlocal asked
        while True:
            await http.get_json(URL, cost={"usd": 0.5})
            http.refund({"usd": 0.4})
            asked += 1

    with pytest.raises(RateLimitedError, match=r"1 usd in a day are used up") as raised:
        await spend()
    assert asked == 6  # 0.1 each, and half a dollar must be there before one is asked
    assert raised.value.retry_after == 12 * 3600
    with pytest.raises(SourceRefusedError, match="raise the limit"):
        await http.get_json(URL, cost={"usd": 2})


async def test_a_redirect_that_would_go_beyond_a_limit_is_told_without_the_secret_in_its_address():
    clock, secret = Clock(), SecretStr("s3cr3t-of-the-path")

    def moved(request):
        return httpx.Response(302, headers={"location": f"{request.url.path}x"})

    http = asking(account(Limit(1, "day"), clock=clock, credential=auth.bearer(secret)), moved, clock)
    with pytest.raises(RateLimitedError, match="redirects") as raised:
        await http.get_json(f"https://api.example.org/bot{secret.get_secret_value()}/updates")
    assert secret.get_secret_value() not in str(raised.value)


async def test_what_is_no_json_is_told_without_the_secret_in_its_address():
    clock, secret = Clock(), SecretStr("s3cr3t-of-the-path")
    http = asking(
        account(clock=clock, credential=auth.bearer(secret)), lambda _: httpx.Response(200, content=b"<p>"), clock
    )
    with pytest.raises(SourceUnavailableError, match="instead of JSON") as raised:
        await http.get_json(f"https://api.example.org/bot{secret.get_secret_value()}/updates")
    assert secret.get_secret_value() not in str(raised.value)


async def test_what_cannot_be_written_down_is_not_used():
    clock, log, seen = Clock(), MemoryLog(), []
    made = account(Limit(10, "day"), log=log, clock=clock)
    log.fail = [BrokerUnavailableError("Kafka is away")]
    http = asking(made, lambda request: seen.append(request) or ok(request), clock)
    with pytest.raises(BrokerUnavailableError):
        await http.get_json(URL)
    assert seen == []
    await http.get_json(URL)
    assert len(seen) == 1


async def test_a_mark_that_was_not_written_covers_nothing():
    clock, log = Clock(), MemoryLog()
    made, used = account(Limit(100, "day"), log=log, clock=clock), 0
    for number in range(60):
        if number % 3 == 0:  # Kafka is away in the middle of writing, or whoever asks is cancelled
            log.fail = [BrokerUnavailableError("away") if number % 2 else asyncio.CancelledError()]
        try:
            wait, _ = await made.ledger.take({"requests": 1}, "")
        except (BrokerUnavailableError, asyncio.CancelledError):
            continue
        log.fail = []
        if not wait:
            used += 1
            made.ledger.ended({"requests": 1}, "")
        [kept] = [json.loads(saved.cursor)["used"] for saved in log.checkpoints.values()]
        assert sum(kept["requests/day"].values()) >= used


async def test_short_waits_are_waited_for_and_all_sources_wait_together():
    clock, asked = Clock(), []
    made = account(Limit(5, 60.0), clock=clock)
    sources = [asking(made, lambda request: asked.append(clock()) or ok(request), clock) for _ in range(4)]
    for _ in range(5):
        for http in sources:
            await http.get_json(URL)
    for at in asked:
        assert sum(at - timedelta(seconds=60) < one <= at for one in asked) <= 5


async def test_what_a_platform_says_is_left_is_shared_also_when_answers_overtake_each_other():
    clock, left, served = Clock(), [3], []
    gate, last = asyncio.Event(), asyncio.Event()

    async def answer(request):
        served.append(request)
        number = len(served)
        if number == 1:
            await gate.wait()
        left[0] -= 1
        told = left[0]
        if number == 2:  # says what was left before the third came, after that has been answered
            await last.wait()
        headers = {"x-ratelimit-remaining": str(told), "x-ratelimit-limit": "3", "x-ratelimit-reset": "5000"}
        return httpx.Response(200 if told >= 0 else 429, json={}, headers=headers)

    made = account(clock=clock)
    tasks = [asyncio.create_task(asking(made, answer, clock).get_json(URL)) for _ in range(10)]
    await until(lambda: served, "the first request")
    await asyncio.sleep(0)
    assert len(served) == 1  # the first answer says how many may follow
    gate.set()
    await until(lambda: len(served) == 3 and sum(task.done() for task in tasks) == 9, "all but the second")
    last.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(RateLimitedError):
        await asking(made, answer, clock).get_json(URL)
    assert len(served) == 3
    assert sum(isinstance(one, RateLimitedError) for one in outcomes) == 7


async def test_what_is_under_way_is_not_in_what_an_answer_says_is_left():
    clock, served, gate = Clock(), [], asyncio.Event()

    async def answer(request):
        served.append(request)
        if len(served) == 2:
            await gate.wait()
        headers = {"x-ratelimit-remaining": "1", "x-ratelimit-limit": "9", "x-ratelimit-reset": str(5000 * len(served))}
        return httpx.Response(200, json={}, headers=headers)

    made = account(clock=clock)
    await asking(made, answer, clock).get_json(URL)
    slow = asyncio.create_task(asking(made, answer, clock).get_json(URL))
    await until(lambda: len(served) == 2, "the second request")
    made._quotas.clear()
    await asking(made, answer, clock).get_json(URL)  # one is left, and one is under way
    with pytest.raises(RateLimitedError):
        await asking(made, answer, clock).get_json(URL)
    gate.set()
    await slow


async def test_one_who_is_told_to_wait_holds_all_others_of_the_place_and_the_bucket():
    clock, served = Clock(), []

    def answer(request):
        served.append(request.url.path)
        is_search = request.url.path.endswith("search")
        return httpx.Response(429 if is_search else 200, json={}, headers={"retry-after": "5000"} if is_search else {})

    made = account(clock=clock)
    one, other = asking(made, answer, clock), asking(made, answer, clock)
    for http in (one, other):
        with pytest.raises(RateLimitedError):
            await http.get_json(URL, bucket="search")
    await other.get_json("https://api.example.org/v1/info")
    assert served == ["/v1/search", "/v1/info"]


def credential(**more):
    return auth.ClientCredentials(TOKEN_URL, "id", SecretStr(kit.SECRET), **more)


class Issuer:
    """A token endpoint and an API. Tokens are good for `lifetime`; a refresh token is good for once."""

    def __init__(self, clock, lifetime=3600):
        self.clock, self.lifetime = clock, lifetime
        self.asked, self.valid, self.refresh = [], set(), "first"
        self.refusal = None

    def __call__(self, request):
        if str(request.url) != TOKEN_URL:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            return httpx.Response(200 if given in self.valid else 401, json={})
        form = {key: value for key, (value,) in parse_qs(request.content.decode()).items()}
        self.asked.append(form)
        if self.refusal is not None:
            return self.refusal
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
            return httpx.Response(400, json={"error": "invalid_grant"})
        self.refresh = f"refresh-{len(self.asked)}"
        self.valid = {f"access-{len(self.asked)}"}
        [access] = self.valid
        return httpx.Response(
            200, json={"access_token": access, "expires_in": self.lifetime, "refresh_token": self.refresh}
        )


async def test_a_token_is_got_once_for_all_and_renewed_before_it_ends():
    clock = Clock()
    issuer = Issuer(clock)
    made = account(credential=credential(), clock=clock)
    sources = [asking(made, issuer, clock) for _ in range(20)]
    await asyncio.gather(*(http.get_json(URL) for http in sources))
    assert len(issuer.asked) == 1
    clock.now += timedelta(seconds=3541)
    await asyncio.gather(*(http.get_json(URL) for http in sources))
    assert len(issuer.asked) == 2


async def test_a_token_that_was_taken_back_is_renewed_once_and_then_refused():
    clock = Clock()
    issuer = Issuer(clock)
    made = account(credential=credential(), clock=clock)
    http = asking(made, issuer, clock)
    await http.get_json(URL)
    issuer.valid.clear()
    await http.get_json(URL)
    assert len(issuer.asked) == 2

    def never(request):
        return issuer(request) if str(request.url) == TOKEN_URL else httpx.Response(401, json={})

    http.client._transport = httpx.MockTransport(never)
    with pytest.raises(SourceRefusedError):
        await http.get_json(URL)
    assert len(issuer.asked) == 3


@pytest.mark.parametrize("status", [200, 400, 401])
async def test_a_revoked_credential_is_said_in_words_and_not_asked_with_again_and_again(status):
    clock = Clock()
    issuer = Issuer(clock)
    issuer.refusal = httpx.Response(status, json={"error": "invalid_grant", "error_description": kit.SECRET})
    made = account(credential=credential(), clock=clock)
    for http in [asking(made, issuer, clock) for _ in range(20)]:
        with pytest.raises(SourceRefusedError, match="consent has ended") as raised:
            await http.get_json(URL)
        assert kit.SECRET not in str(raised.value)
    assert len(issuer.asked) == 1
    clock.now += timedelta(seconds=901)
    issuer.refusal = None
    await http.get_json(URL)


@pytest.mark.parametrize(("status", "error"), [(503, SourceUnavailableError), (429, RateLimitedError)])
async def test_a_token_endpoint_that_is_away_refuses_nobody(status, error):
    clock = Clock()
    issuer = Issuer(clock)
    issuer.refusal = httpx.Response(status, text="<html>")
    http = asking(account(credential=credential(), clock=clock), issuer, clock)
    with pytest.raises(error):
        await http.get_json(URL)
    issuer.refusal = None
    await http.get_json(URL)


def consent(secret="first"):
    return auth.RefreshToken(TOKEN_URL, SecretStr(secret), "id")


async def test_a_refresh_token_that_changes_outlasts_restarts_sealed():
    clock, log = Clock(), MemoryLog()
    issuer = Issuer(clock)
    for _ in range(3):
        http = asking(account(credential=consent(), log=log, clock=clock), issuer, clock)
        await http.get_json(URL)
        clock.now += timedelta(hours=2)
    assert [form["refresh_token"] for form in issuer.asked] == ["first", "refresh-1", "refresh-2"]
    written = repr(log.checkpoints)
    assert not any(word in written for word in ("access-", "refresh-", "first"))


async def test_two_processes_renew_one_after_the_other_and_never_with_a_token_that_is_used_up():
    clock, log = Clock(), MemoryLog()
    issuer = Issuer(clock)
    sources = [asking(account(credential=consent(), log=log, clock=clock), issuer, clock) for _ in range(2)]
    for _ in range(6):
        for http in sources:
            await http.get_json(URL)
        clock.now += timedelta(minutes=65)
    assert len(issuer.asked) == 6


async def test_while_one_process_renews_another_waits_and_takes_what_it_got():
    clock, log, gate = Clock(), MemoryLog(), asyncio.Event()
    issuer = Issuer(clock)

    async def slow(request):
        if str(request.url) == TOKEN_URL:
            await gate.wait()
        return issuer(request)

    here, there = (asking(account(credential=consent(), log=log, clock=clock), slow, clock) for _ in range(2))
    renewing = asyncio.create_task(here.get_json(URL))
    await until(lambda: log.checkpoints, "the lease")
    for _ in range(2):
        with pytest.raises(RateLimitedError, match="another process is renewing"):
            await there.get_json(URL)
    gate.set()
    await renewing
    await there.get_json(URL)
    assert len(issuer.asked) == 1


async def test_a_check_does_not_use_up_a_token_that_is_good_for_once():
    clock = Clock()
    issuer = Issuer(clock)
    with pytest.raises(ConfigError, match="earshot connectors list"):
        await asking(account(credential=consent(), clock=clock), issuer, clock).get_json(URL)
    assert issuer.asked == []


def test_what_is_sealed_opens_with_its_own_secret_and_name_only():
    sealed = sealing.seal("words", "secret", "account/1")
    assert sealing.unseal(sealed, "secret", "account/1") == "words"
    assert sealing.unseal(sealed, "another", "account/1") is None
    assert sealing.unseal(sealed, "secret", "account/2") is None
    assert sealing.unseal("garbage", "secret", "account/1") is None


async def test_a_key_signs_for_app_store_connect_and_a_service_account_is_exchanged():
    clock, seen = Clock(datetime.now(UTC)), []
    pem = kit.made("private-key")
    signed = auth.SignedJwt(SecretStr(pem), "KEY1", {"iss": "issuer", "aud": "appstoreconnect-v1"})

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json={"access_token": "of-google", "expires_in": 3600})

    await asking(account(credential=signed, clock=clock), answer, clock).get_json(URL)
    token = seen[0].headers["authorization"].removeprefix("Bearer ")
    public = load_pem_private_key(pem.encode(), None).public_key()
    claims = jwt.decode(token, public, algorithms=["ES256"], audience="appstoreconnect-v1")
    assert claims["exp"] - claims["iat"] == 1200
    assert jwt.get_unverified_header(token)["kid"] == "KEY1"

    file = kit.made("service-account")
    google = auth.ServiceAccount(SecretStr(file), "scope-of-reviews")
    await asking(account(credential=google, clock=clock), answer, clock).get_json(URL)
    form = parse_qs(seen[1].content.decode())
    public = load_pem_private_key(json.loads(file)["private_key"].encode(), None).public_key()
    claims = jwt.decode(form["assertion"][0], public, algorithms=["RS256"], audience="https://example.org/token")
    assert claims["scope"] == "scope-of-reviews"
    assert seen[2].headers["authorization"] == "Bearer of-google"
    for wrong in ("no key", "{}"):
        for credential in (auth.SignedJwt(SecretStr(wrong), None, {}), auth.ServiceAccount(SecretStr(wrong), "s")):
            with pytest.raises(SourceRefusedError) as raised:
                await asking(account(credential=credential, clock=clock), answer, clock).get_json(URL)
            assert "no key" not in str(raised.value)


async def test_a_key_in_the_address_is_in_no_address_that_is_kept():
    clock = Clock()
    http = asking(account(credential=auth.query("key", SecretStr(kit.SECRET)), clock=clock), ok, clock)
    answer = await http.get_json(URL, {"q": "acme"})
    assert answer.url == f"{URL}?q=acme"


async def test_a_credential_goes_to_nobody_else():
    clock, seen = Clock(), []

    def answer(request):
        seen.append(dict(request.headers))
        there = {"location": "https://elsewhere.example.com/"}
        return httpx.Response(302 if len(seen) == 1 else 200, json={}, headers=there if len(seen) == 1 else {})

    http = asking(account(credential=auth.bearer(SecretStr(kit.SECRET)), clock=clock), answer, clock)
    await http.get_json(URL)
    await http.get_json(URL, anonymous=True)
    assert [kit.SECRET in repr(headers) for headers in seen] == [True, False, False]


def test_one_credential_is_one_account_and_its_name_says_nothing():
    accounts, clock = Accounts(MemoryPublisher), Clock()
    tokens = [auth.bearer(SecretStr(text)) for text in (kit.SECRET, kit.SECRET, "another")]
    one, two, three = (
        accounts.shared(account(Limit(5 + n, 60), credential=t, clock=clock)) for n, t in enumerate(tokens)
    )
    assert one is two is not three
    assert [limit.most for limit in one.ledger.limits] == [5]
    assert kit.SECRET not in name_of("x", tokens[0]) + repr(tokens) + repr(vars(one))
    assert name_of("x", tokens[0]) != name_of("y", tokens[0])
