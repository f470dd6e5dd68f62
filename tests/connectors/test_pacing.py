"""When to ask again: every dialect of rate limits as a table, and what holds for all numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connectors import pacing
from connectors.pacing import MAX_WAIT, Quota

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def in_seconds(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "remaining", "seconds", "limit"),
    [
        # Reddit: seconds until the reset, remaining with a decimal point, used instead of a limit
        ({"x-ratelimit-remaining": "598.0", "x-ratelimit-used": "2", "x-ratelimit-reset": "300"}, 598, 300, 600),
        # X: epoch seconds
        (
            {"x-rate-limit-limit": "450", "x-rate-limit-remaining": "448", "x-rate-limit-reset": str(EPOCH + 60)},
            448,
            60,
            450,
        ),
        # GitHub: epoch seconds
        ({"x-ratelimit-limit": "30", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 9)}, 0, 9, 30),
        # epoch milliseconds
        ({"x-ratelimit-limit": "30", "x-ratelimit-remaining": "1", "x-ratelimit-reset": f"{EPOCH + 9}500"}, 1, 9.5, 30),
        # App Store Connect: the last hour in one field
        ({"x-rate-limit": "user-hour-lim:3500;user-hour-rem:500;"}, 500, 3600, 3500),
        ({"x-rate-limit": "user-hour-rem: 0"}, 0, 3600, None),
        # Meta: percentages of an hour; the fullest counts
        ({"x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":3}'}, 72, 3600, 100),
        (
            {
                "x-app-usage": '{"call_count":5}',
                "x-business-use-case-usage": '{"1001":[{"type":"pages","call_count":10,"total_time":99.5}],"2":[]}',
            },
            0.5,
            3600,
            100,
        ),
        ({"x-page-usage": '{"call_count":130,"total_time":"12"}'}, 0, 3600, 100),
        # Meta: shut out, with minutes until it is let in
        (
            {"x-business-use-case-usage": '{"1":[{"call_count":70,"estimated_time_to_regain_access":19}]}'},
            0,
            19 * 60,
            100,
        ),
        # Mastodon: ISO 8601
        (
            {
                "x-ratelimit-limit": "300",
                "x-ratelimit-remaining": "299",
                "x-ratelimit-reset": "2026-11-20T12:05:00.123456Z",
            },
            299,
            300.123456,
            300,
        ),
        # Bluesky: epoch seconds, and a policy
        (
            {
                "ratelimit-limit": "3000",
                "ratelimit-remaining": "2998",
                "ratelimit-reset": str(EPOCH + 300),
                "ratelimit-policy": "3000;w=300",
            },
            2998,
            300,
            3000,
        ),
        # Yelp: a daily limit and a reset time of another name
        (
            {
                "ratelimit-dailylimit": "5000",
                "ratelimit-remaining": "4000",
                "ratelimit-resettime": "2026-11-21T00:00:00+00:00",
            },
            4000,
            43_200,
            5000,
        ),
        # Yelp: less of one kind of question
        (
            {
                "ratelimit-dailylimit": "500",
                "ratelimit-remaining": "499",
                "ratelimit-resourcedailylimit": "100",
                "ratelimit-resourceremaining": "99",
                "ratelimit-resettime": "2026-11-21T00:00:00+00:00",
            },
            99,
            43_200,
            100,
        ),
        # an HTTP date
        (
            {"x-ratelimit-remaining": "1", "x-ratelimit-reset": format_datetime(in_seconds(5), usegmt=True)},
            1,
            5,
            None,
        ),
        # a list with its window, as an early IETF draft has it
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"}, 50, 30, 100),
        # the one field, old form and new
        ({"ratelimit": "limit=100, remaining=50, reset=30"}, 50, 30, 100),
        ({"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'}, 50, 30, 100),
        ({"ratelimit": '"default";r=0;t=7'}, 0, 7, None),
    ],
    ids=[
        "reddit",
        "x",
        "github",
        "ms",
        "apple",
        "apple used up",
        "meta",
        "business",
        "page",
        "shut out",
        "mastodon",
        "bluesky",
        "yelp",
        "yelp one kind",
        "date",
        "list",
        "field",
        "items",
        "no policy",
    ],
)
def test_a_rate_limit_is_read_in_every_dialect(headers, remaining, seconds, limit):
    assert pacing.quota(headers, NOW) == Quota(remaining, in_seconds(seconds), limit)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-remaining": "5"},
        {"x-ratelimit-reset": "5"},
        {"x-ratelimit-remaining": "many", "x-ratelimit-reset": "5"},
        {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "later"},
        {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "nan"},
        {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1e400"},
        {"ratelimit": "none"},
        {"ratelimit": "remaining=5"},
        {"ratelimit": "remaining=1.5, reset=x"},
        {"x-rate-limit": "user-hour-lim:3500;"},
        {"x-app-usage": "busy"},
        {"x-app-usage": "[" * 5000},
        {"x-app-usage": '{"call_volume":7}'},
    ],
    ids=repr,
)
def test_what_says_nothing_is_no_rate_limit(headers):
    assert pacing.quota(headers, NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("1.5", 1.5),
        (" 7 ", 7),
        ("-3", 0),
        (str(EPOCH + 40), 40),
        (str((EPOCH + 40) * 1000), 40),
        (str(EPOCH - 40), 0),
        ("2026-11-20T12:00:30Z", 30),
        ("2026-11-20T13:00:30+01:00", 30),
        ("2026-11-20T12:00:30", 30),
        ("Fri, 20 Nov 2026 12:01:00 GMT", 60),
        ("999999999", MAX_WAIT),
        ("9" * 30, None),
        ("soon", None),
        ("", None),
        ("inf", None),
        ("nan", None),
        (None, None),
    ],
    ids=repr,
)
def test_a_wait_is_read_in_every_dialect(value, seconds):
    assert pacing.seconds_until(value, NOW) == seconds


chances = st.floats(0, 1)
counts = st.integers(-5, 10**6)
seconds = st.floats(0, 1e6)
quotas = st.builds(
    Quota,
    st.floats(0, 1e6),
    st.floats(-1e6, 1e6).map(in_seconds),
    st.none() | st.floats(0, 1e6),
)


@given(st.text(max_size=40) | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str))
def test_whatever_a_header_says_a_wait_is_none_or_between_nothing_and_the_longest(value):
    wait = pacing.seconds_until(value, NOW)
    assert wait is None or 0 <= wait <= MAX_WAIT


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "ratelimit",
                *(
                    p + s
                    for p in pacing._PREFIXES
                    for s in ("remaining", "reset", "limit", "used", "resettime", "dailylimit")
                ),
            ]
        ),
        st.text(max_size=25) | st.integers().map(str),
    )
)
def test_whatever_headers_say_a_share_is_none_or_between_nothing_and_all(headers):
    known = pacing.quota(headers, NOW)
    if known is not None:
        assert known.remaining >= 0
        assert known.share is None or 0 <= known.share <= 1
        assert pacing.allowed_in(known, NOW) >= 0


@given(counts, chances, st.floats(0.01, 100), st.floats(0.01, 1e4))
def test_backoff_stays_between_half_and_whole_of_what_doubles_up_to_the_longest(failures, chance, first, longest):
    wait = pacing.backoff(failures, chance, first=first, longest=longest)
    whole = min(longest, first * 2.0 ** min(max(failures, 1) - 1, 30))
    assert whole / 2 <= wait <= whole
    assert pacing.backoff(failures + 1, chance, first=first, longest=longest) >= wait


@given(counts, chances)
def test_chance_spreads_those_that_failed_together(failures, chance):
    assume(chance < 0.9)
    assert pacing.backoff(failures, chance + 0.1) > pacing.backoff(failures, chance)


@given(counts, st.floats(0.05, 1e4), st.floats(0.05, 1e5), chances)
def test_idling_grows_from_the_interval_to_the_slowest_within_the_jitter(empty, interval, slowest, chance):
    wait = pacing.idle(empty, interval, slowest, chance)
    low, high = interval * (1 - pacing.JITTER), max(interval, slowest) * (1 + pacing.JITTER)
    assert low * 0.999999 <= wait <= high * 1.000001
    assert pacing.idle(empty + 1, interval, slowest, chance) >= wait


def test_news_brings_the_interval_back_and_silence_leads_to_the_slowest():
    assert pacing.idle(0, 60, 600, 0.5) == 60
    assert pacing.idle(1, 60, 600, 0.5) == 75
    assert pacing.idle(10**6, 60, 600, 0.5) == 600


@given(quotas)
def test_a_used_up_limit_is_never_asked_before_its_reset(known):
    wait = pacing.allowed_in(known, NOW)
    left = (known.reset_at - NOW).total_seconds()
    assert 0 <= wait <= MAX_WAIT
    if known.remaining < 1 and left > 0:
        assert wait == min(left, MAX_WAIT)
    else:
        assert wait == 0


@given(seconds, st.none() | quotas)
def test_a_wait_is_never_shortened_by_a_limit(wait, known):
    found = pacing.within(wait, known, NOW)
    assert math.isfinite(found)
    assert found >= wait
    if known is not None:
        assert found >= pacing.allowed_in(known, NOW)


@given(st.integers(1, 1000), st.floats(1, 3600), st.floats(0.01, 60))
def test_who_keeps_to_the_waits_never_runs_out_before_the_reset(remaining, left, interval):
    """Asking whenever the waits allow it, from any point on, the source never has to refuse."""
    now, known = NOW, Quota(remaining, in_seconds(left), 1000)
    for _ in range(2500):
        now += timedelta(seconds=max(0.001, pacing.within(interval, known, now)))
        if now >= known.reset_at:
            return
        assert known.remaining >= 1
        known = Quota(known.remaining - 1, known.reset_at, known.limit)
    raise AssertionError("the reset was never reached")


def test_plenty_is_not_slowed_down_and_little_is_spread_until_the_reset():
    assert pacing.within(1, Quota(90, in_seconds(100), 100), NOW) == 1
    assert pacing.within(1, Quota(10, in_seconds(100), 100), NOW) == 10
    assert pacing.within(1, Quota(50, in_seconds(100)), NOW) == 1
    assert pacing.within(1, Quota(5, in_seconds(100)), NOW) == 20
    assert pacing.within(30, Quota(10, in_seconds(100), 100), NOW) == 30
    assert pacing.within(1, Quota(0, in_seconds(-1), 100), NOW) == 1
    assert pacing.within(1, None, NOW) == 1
