"""Reputation as a fold: whole days in milliseconds."""

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.model import AlertRules
from pipeline.contract.events import AlertStatus, Counts, Label, Pulse, Severity, Top
from pipeline.core.reputation import fold
from pipeline.core.reputation.state import FINE, Brand, dump, load

START = 29_399_000  # a minute in 2025
RULES = AlertRules()


def poisson(rng, mean):
    limit, k, p = math.exp(-mean), 0, 1.0
    while True:
        p *= rng.random()
        if p <= limit:
            return k
        k += 1


def a_pulse(minute, n, *, negative=0.15, positive=0.3, source="rss", campaign=None, behind=0, **more):
    counts = Counts(
        mentions=n,
        negative=round(n * negative),
        positive=round(n * positive),
        neutral=n - round(n * negative) - round(n * positive),
        score_sum=n * (positive - negative),
        reach=n * 100,
    )
    campaigns = {campaign: counts} if campaign else {}
    sent_at = datetime.fromtimestamp((minute + behind) * 60 + 59, UTC)
    return Pulse(
        brand="acme", source=source, minute=minute, counts=counts, sent_at=sent_at, campaigns=campaigns, **more
    )


def run(minutes, *, rules=RULES, state=None, start=START, ticks=True):
    """Fold a list of (mentions, keyword arguments) a minute; return the alerts."""
    state = state or Brand("acme")
    alerts = []
    for offset, (n, more) in enumerate(minutes):
        if n:
            alerts += fold.pulse(state, a_pulse(start + offset, n, **more), rules)
        if ticks:
            alerts += fold.tick(state, start + offset + 1, rules)
    return state, alerts


def normal(count, rate=10, seed=1, **more):
    rng = random.Random(seed)
    return [(poisson(rng, rate), more) for _ in range(count)]


def words(alerts):
    return [(alert.name, alert.status.value) for alert in alerts]


STORM = {"negative": 0.7, "positive": 0.05}


def test_an_ordinary_day_wakes_nobody():
    rng = random.Random(4)
    day = [(poisson(rng, 8 + 6 * math.sin(2 * math.pi * minute / 1440)), {}) for minute in range(3 * 1440)]
    _, alerts = run(day)
    assert words(alerts) == []


def test_an_outage_fires_once_and_is_resolved_once():
    _, alerts = run(normal(90) + [(60, STORM)] * 25 + normal(90, seed=2))
    firing = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
    assert words(alerts)[0] == ("ReputationDamage", "firing")
    assert words(alerts)[-1] == ("ReputationDamage", "resolved")
    assert len({alert.fingerprint for alert in alerts}) == 1
    assert [alert.status for alert in alerts].count(AlertStatus.RESOLVED) == 1
    assert firing[-1].severity is Severity.CRITICAL
    assert [alert.sequence for alert in alerts] == list(range(len(alerts)))


def test_it_is_seen_within_minutes():
    _, alerts = run(normal(90) + [(60, STORM)] * 10)
    assert (alerts[0].updated_at.timestamp() / 60 - START) < 90 + 5


def test_catching_up_with_the_clock_is_no_silence():
    # Sixty times as fast as the clock: five minutes of pulses between two ticks, until nothing is behind any more.
    state, alerts, clock = Brand("acme"), [], START + 180
    for minute in range(START, START + 240):
        clock = max(clock, minute)
        alerts += fold.pulse(state, a_pulse(minute, 10, behind=clock - minute), RULES)
        if minute % 5 == 0 or minute == clock:
            alerts += fold.tick(state, clock, RULES)
    assert words(alerts) == []
    for minute in range(START + 240, START + 300):  # real silence afterwards is one
        for _ in range(12):
            alerts += fold.tick(state, minute, RULES)
    assert words(alerts)[0] == ("MentionsDrop", "firing")


def test_a_newcomer_is_covered_after_twenty_five_minutes():
    _, alerts = run(normal(28) + [(80, STORM)] * 10)
    assert words(alerts)[0] == ("ReputationDamage", "firing")


def test_nothing_is_unusual_before_anything_is_known():
    _, alerts = run([(200, STORM)] * 10)
    assert alerts == []


def test_few_mentions_are_no_incident():
    _, alerts = run(normal(90, rate=0.1) + [(1, STORM)] * 15 + normal(30, rate=0.1))
    assert alerts == []


def test_praise_is_told_and_wakes_nobody():
    _, alerts = run(normal(90) + [(60, {"negative": 0.02, "positive": 0.8})] * 20 + normal(60, seed=3))
    assert {alert.name for alert in alerts} == {"PraiseSurge"}
    assert {alert.severity for alert in alerts} == {Severity.INFO}
    assert words(alerts)[-1] == ("PraiseSurge", "resolved")


def test_silence_is_a_drop_and_only_ticks_can_notice_it():
    minutes = normal(120, rate=20) + [(0, {})] * 60
    assert ("MentionsDrop", "firing") in words(run(minutes)[1])
    assert words(run(minutes, ticks=False)[1]) == []


def test_more_negative_at_the_same_volume_is_damage():
    _, alerts = run(normal(90) + [(10, {"negative": 0.8, "positive": 0.0})] * 20)
    assert words(alerts)[0] == ("ReputationDamage", "firing")
    assert any(symptom.kind == "negative_share" for symptom in alerts[0].symptoms)


def test_a_campaign_that_turns_is_named():
    happy = {"campaign": "spring", "negative": 0.05, "positive": 0.7}
    turned = {"campaign": "spring", "negative": 0.9, "positive": 0.0}
    _, alerts = run(normal(90, **happy) + [(12, turned)] * 20)
    scopes = {symptom.scope for alert in alerts for symptom in alert.symptoms}
    assert "campaign:spring" in scopes


def test_backfill_fills_the_baseline_and_wakes_nobody():
    state, _ = run(normal(60))
    alerts = []
    for minute in range(60):
        alerts += fold.pulse(state, a_pulse(START + minute, 500, backfill=True, **STORM), RULES)
    assert alerts == []


def test_the_same_record_counts_once():
    state = Brand("acme")
    assert fold.is_new(state, 0, 5)
    assert not fold.is_new(state, 0, 5)
    assert not fold.is_new(state, 0, 4)
    assert fold.is_new(state, 1, 4)


def test_a_description_says_what_on_call_needs():
    quoted = Top(id="rss:1", reach=90_000, label=Label.NEGATIVE, url="https://forum.example/1")
    storm = [(60, {**STORM, "top": (quoted,), "terms": {"outage": 20}, "stories": {"s1": 40}})] * 6
    _, alerts = run(normal(90) + storm)
    text = alerts[-1].description
    assert "mentions a minute overall, usually" in text
    assert "rss" in text
    assert "outage" in text
    assert "say the same" in text
    assert alerts[-1].top[0].id == "rss:1"
    assert alerts[-1].runbook_url.endswith("#reputationdamage")


def test_a_backlog_is_judged_by_its_own_time():
    """Ticks of the wall clock far ahead do not make a replayed day look silent."""
    state = Brand("acme")
    alerts = []
    for offset, (n, more) in enumerate(normal(200, rate=20)):
        alerts += fold.pulse(state, a_pulse(START + offset, n, **more), RULES)
        alerts += fold.tick(state, START + 100_000, RULES)
    assert alerts == []


def test_state_is_bounded_and_survives_its_table():
    state, _ = run(normal(3 * 1440, rate=3))
    assert len(state.series["brand"].minutes) <= FINE + 1
    assert len(dump(state)) < 60_000
    assert load(dump(state)) == state


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40), st.sampled_from(["rss", "x"])), max_size=40),
    st.randoms(),
)
def test_the_order_within_the_kept_time_does_not_change_the_totals(records, rng):
    def totals(rows):
        state = Brand("acme")
        for minute, n, source in rows:
            fold.pulse(state, a_pulse(START + minute, n, source=source), RULES)
        return {scope: series.minutes for scope, series in state.series.items()}, state.counted

    shuffled = list(records)
    rng.shuffle(shuffled)
    one, other = totals(records), totals(shuffled)
    assert one[1] == other[1] == sum(n for _, n, _ in records)
    assert {scope: {m: c[0] for m, c in cells.items()} for scope, cells in one[0].items()} == {
        scope: {m: c[0] for m, c in cells.items()} for scope, cells in other[0].items()
    }


@pytest.mark.parametrize("cut", [30, 95, 100, 130])
def test_a_restart_changes_nothing(cut):
    minutes = normal(90) + [(60, STORM)] * 25 + normal(60, seed=2)
    _, whole = run(minutes)
    state, first = run(minutes[:cut])
    _, second = run(minutes[cut:], state=load(dump(state)), start=START + cut)
    assert first + second == whole
