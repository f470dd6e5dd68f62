"""What must hold of the fold whatever comes, in whatever order, however often."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.model import AlertRules
from pipeline.contract.events import AlertStatus, Counts, Label, Pulse, Top
from pipeline.core.reputation import fold
from pipeline.core.reputation.state import BLOCK, FINE, MAX_CELLS, MAX_SERIES, MAX_TERMS, Brand, dump, load, total

START = 29_400_000  # a minute; divisible by BLOCK
RULES = AlertRules()
DAY = 1440
CALM = (10, 1, 3)  # mentions, negative, positive
STORM = (60, 48, 0)
PRAISE = (60, 0, 50)


def a_pulse(minute, n, negative=0, positive=0, *, source="rss", campaign=None, **more):
    counts = Counts(mentions=n, negative=negative, positive=positive, score_sum=float(positive - negative), reach=n)
    campaigns = {campaign: counts} if campaign else {}
    at = datetime.fromtimestamp(minute * 60 + 59, UTC)
    return Pulse(brand="acme", source=source, minute=minute, counts=counts, sent_at=at, campaigns=campaigns, **more)


def run(script, *, state=None, start=START, rules=RULES, **more):
    """Fold a list of (mentions, negative, positive), one a minute, with a tick after each; return state and alerts."""
    state = state or Brand("acme")
    alerts = []
    for offset, (n, negative, positive) in enumerate(script):
        if n:
            alerts += fold.pulse(state, a_pulse(start + offset, n, negative, positive, **more), rules)
        alerts += fold.tick(state, start + offset + 1, rules)
    return state, alerts


def words(alerts):
    return [(alert.name, alert.status.value) for alert in alerts]


slices = st.tuples(
    st.integers(0, 40),
    st.integers(1, 30),
    st.sampled_from(["rss", "x", "forum"]),
    st.sampled_from([None, "spring"]),
    st.booleans(),
)


def of(row):
    minute, n, source, campaign, backfill = row
    return a_pulse(START + minute, n, n // 3, n // 4, source=source, campaign=campaign, backfill=backfill)


def figures(state):
    return {
        scope: (series.first, series.minutes, series.blocks) for scope, series in sorted(state.series.items())
    }, state.counted


@settings(max_examples=30, deadline=None)
@given(st.lists(slices, max_size=40), st.randoms())
def test_within_a_minute_the_order_does_not_matter_for_what_is_counted(rows, rng):
    """What is told may come a minute sooner or later: windows are looked at when a minute begins."""

    def folded(ordered):
        state = Brand("acme")
        for row in ordered:
            fold.pulse(state, of(row), RULES)
        return figures(state)

    by_minute = sorted(rows, key=lambda row: row[0])
    shuffled = sorted(rng.sample(rows, len(rows)), key=lambda row: row[0])
    assert folded(by_minute) == folded(shuffled)


@settings(max_examples=30, deadline=None)
@given(st.lists(slices, max_size=40))
def test_every_scope_sums_up_to_what_was_sent(rows):
    state = Brand("acme")
    for row in rows:
        fold.pulse(state, of(row), RULES)
    for scope in ("brand", "source:rss", "source:x", "source:forum", "campaign:spring"):
        kind, _, name = scope.partition(":")
        mine = [row for row in rows if kind == "brand" or name in (row[2] if kind == "source" else row[3] or "")]
        cells = state.series[scope].blocks.values() if scope in state.series else ()
        assert sum(cell[0] for cell in cells) == sum(row[1] for row in mine)
    live = sum(row[1] for row in rows if not row[4])
    assert state.late + state.counted == sum(row[1] for row in rows)
    if "brand" in state.series and max(row[0] for row in rows) - min(row[0] for row in rows) < FINE:
        assert sum(cell[0] for cell in state.series["brand"].minutes.values()) == live


events = st.lists(
    st.one_of(slices, st.integers(0, 60)),  # a pulse, or a tick of a minute
    min_size=1,
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(events, st.data())
def test_reading_again_from_any_offset_changes_nothing(stream, data):
    def carry(state, offset):
        if not fold.is_new(state, 0, offset):
            return []
        event = stream[offset]
        return fold.tick(state, START + event, RULES) if isinstance(event, int) else fold.pulse(state, of(event), RULES)

    state = Brand("acme")
    for offset in range(len(stream)):
        carry(state, offset)
    before = copy.deepcopy(state)
    again = data.draw(st.integers(0, len(stream) - 1))
    assert [alert for offset in range(again, len(stream)) for alert in carry(state, offset)] == []
    assert state == before


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from([CALM, STORM, PRAISE, (0, 0, 0)]), min_size=30, max_size=90), st.data())
def test_incidents_open_once_are_numbered_and_close_once(moods, data):
    script = [CALM] * 60 + moods
    _, alerts = run(script)
    by_fingerprint: dict = {}
    for alert in alerts:
        by_fingerprint.setdefault(alert.fingerprint, []).append(alert)
    still: dict = {}
    for found in by_fingerprint.values():
        assert [alert.sequence for alert in found] == list(range(len(found)))
        assert all(alert.status is AlertStatus.FIRING for alert in found[:-1])
        assert len({(alert.name, alert.started_at) for alert in found}) == 1
        if found[-1].status is AlertStatus.FIRING:
            still.setdefault(found[0].name, []).append(found)
    assert all(len(open_ones) == 1 for open_ones in still.values())  # one of a kind at a time
    for name in {alert.name for alert in alerts}:
        order = [alert for alert in alerts if alert.name == name]
        changes = [
            a.fingerprint
            for a, b in zip(order, [None, *order], strict=False)
            if b is None or a.fingerprint != b.fingerprint
        ]
        assert len(changes) == len(set(changes))  # an incident that is over does not come back
    cut = data.draw(st.integers(1, len(script) - 1))
    state, first = run(script[:cut])
    assert first + run(script[cut:], state=load(dump(state)), start=START + cut)[1] == alerts


def keep(rules=RULES):
    return max(round(rules.baseline / 60), DAY) + 2 * BLOCK


@pytest.mark.parametrize(("back", "is_late"), [(keep() - 1, False), (keep(), True), (keep() + 1, True)])
def test_the_border_of_what_is_too_late(back, is_late):
    state, _ = run([CALM] * 5)
    at = state.watermark
    fold.pulse(state, a_pulse(at - back, 7), RULES)
    assert state.late == (7 if is_late else 0)
    assert state.counted == 50 + (0 if is_late else 7)


@pytest.mark.parametrize(("back", "is_fine"), [(FINE - 1, True), (FINE, False)])
def test_what_is_older_than_the_fine_minutes_goes_into_blocks_only(back, is_fine):
    state, _ = run([CALM] * 100)
    at = state.watermark - back
    before = total(state.series["brand"], at, at)[0]
    fold.pulse(state, a_pulse(at, 7), RULES)
    assert total(state.series["brand"], at, at)[0] - before == (7 if is_fine else 0)


@pytest.mark.parametrize("late", [0, 1, 4])
def test_a_late_mention_counts_in_its_own_minute(late):
    state, _ = run([CALM] * 60)
    fold.pulse(state, a_pulse(state.watermark - late, 5), RULES)
    at = state.watermark - late
    assert total(state.series["brand"], at, at)[0] in (5, 15)


def test_near_the_threshold_an_incident_does_not_flutter():
    """Between calm and storm by turns it stays one incident: calm must last for `resolve_after`."""
    waves = ([STORM] * 5 + [CALM] * 6) * 8
    _, alerts = run([CALM] * 90 + waves + [CALM] * 60)
    damage = [alert for alert in alerts if alert.name == "ReputationDamage"]
    assert len({alert.fingerprint for alert in damage}) == 1
    assert [alert.status for alert in damage].count(AlertStatus.RESOLVED) == 1


def test_a_storm_that_breaks_in_on_much_praise_is_damage_alone():
    _, alerts = run([(10, 1, 9)] * 90 + [(60, 50, 10)] * 10)
    assert {alert.name for alert in alerts} == {"ReputationDamage"}


def test_two_storms_a_day_apart_are_two_incidents():
    script = [CALM] * 90 + [STORM] * 10 + [CALM] * 200 + [STORM] * 10 + [CALM] * 60
    _, alerts = run(script)
    damage = [alert for alert in alerts if alert.name == "ReputationDamage"]
    assert len({alert.fingerprint for alert in damage}) == 2
    assert [alert.status for alert in damage].count(AlertStatus.RESOLVED) == 2


def test_ticks_resolve_when_nobody_speaks_any_more():
    state, alerts = run([(2, 0, 1)] * 90 + [STORM] * 12)
    assert words(alerts)[-1] == ("ReputationDamage", "firing")
    _, rest = run([(0, 0, 0)] * 60, state=state, start=START + 102)
    assert ("ReputationDamage", "resolved") in words(rest)


@pytest.mark.parametrize("scope", ["source", "campaign"])
def test_one_scope_in_trouble_is_named(scope):
    state, alerts = Brand("acme"), []
    for offset in range(130):
        quiet, loud = (10, 1, 3), STORM if offset >= 110 else CALM
        alerts += fold.pulse(state, a_pulse(START + offset, *quiet, source="rss"), RULES)
        more = {"source": "forum"} if scope == "source" else {"source": "rss", "campaign": "spring"}
        alerts += fold.pulse(state, a_pulse(START + offset, *loud, **more), RULES)
    assert words(alerts)[0] == ("ReputationDamage", "firing")
    scopes = {symptom.scope for alert in alerts for symptom in alert.symptoms}
    assert f"{scope}:{'forum' if scope == 'source' else 'spring'}" in scopes
    assert len({alert.fingerprint for alert in alerts}) == 1


def test_the_past_that_is_filled_in_serves_as_baseline_and_wakes_nobody():
    state = Brand("acme")
    alerts = fold.pulse(state, a_pulse(START, *CALM), RULES)
    for offset in range(1, DAY):
        alerts += fold.pulse(state, a_pulse(START - offset, *STORM, backfill=True), RULES)
    assert alerts == []
    assert state.watermark == START
    blocks = state.series["brand"].blocks
    assert sum(cell[0] for cell in blocks.values()) == 10 + (DAY - 1) * 60


def test_a_backfill_alone_never_starts_the_clock():
    state = Brand("acme")
    alerts = []
    for offset in range(200):
        alerts += fold.pulse(state, a_pulse(START + offset, *STORM, backfill=True), RULES)
        alerts += fold.tick(state, START + offset + 1, RULES)
    assert (alerts, state.watermark) == ([], 0)


def test_an_archive_that_is_read_in_is_recorded_and_held_until_today_is_reached():
    def fold_in(script, days):
        alerts = []
        for offset, (n, negative, positive) in enumerate(script):
            event = a_pulse(START + offset, n, negative, positive)
            event.sent_at += timedelta(days=days)
            alerts += fold.pulse(state, event, RULES)
        return alerts

    state = Brand("acme")
    old = fold_in([CALM] * 90 + [STORM] * 10 + [CALM] * 40, days=7)
    assert {alert.held for alert in old} == {True}
    assert [alert.status for alert in old][-1] is AlertStatus.RESOLVED
    state = Brand("acme")
    burning = fold_in([CALM] * 90 + [STORM] * 10, days=7)
    still = fold.pulse(state, a_pulse(START + 100, *STORM), RULES)
    assert [alert.held for alert in [*burning, *still]] == [True] * len(burning) + [False]
    assert still[0].fingerprint == burning[0].fingerprint


@pytest.mark.parametrize("burst", [20, 200])
def test_the_first_mentions_ever_are_no_incident(burst):
    _, alerts = run([(burst, burst, 0)] + [(0, 0, 0)] * 5)
    assert alerts == []


def test_a_storm_among_few_mentions_says_what_on_call_needs_in_words():
    top = tuple(
        Top(id=f"rss:{n}", reach=n * 1000, label=Label.NEGATIVE, url=f"https://forum.example/{n}") for n in range(8)
    )
    state, _ = run([CALM] * 90)
    alerts = []
    for offset in range(6):
        event = a_pulse(START + 90 + offset, *STORM, top=top, terms={"outage": 30, "login": 9}, stories={"s": 40})
        alerts += fold.pulse(state, event, RULES)
    last = alerts[-1]
    first_line = last.description.splitlines()[0]
    assert first_line.startswith("acme, since 20")
    assert first_line.endswith("UTC.")
    assert "mentions a minute overall, usually 10.0" in last.description
    assert "% are negative overall, usually" in last.description
    assert "In the last 15 minutes: rss" in last.description
    assert "Often said: outage, login." in last.description
    assert "say the same in nearly the same words" in last.description
    assert [one.reach for one in last.top] == [7000, 6000, 5000, 4000, 3000]
    assert last.terms == ("outage", "login")
    assert last.runbook_url.endswith("#reputationdamage")
    assert "forum.example" not in last.description


def test_what_is_resolved_says_for_how_long_it_was():
    _, alerts = run([CALM] * 90 + [STORM] * 12 + [CALM] * 60)
    last = alerts[-1]
    minutes = (last.resolved_at - last.started_at).total_seconds() / 60
    assert last.description == f"acme: back to usual after {minutes:.0f} minutes."


def test_the_memory_of_a_brand_is_bounded_whatever_is_said_of_it():
    """Many sources, many campaigns, words nobody says twice, and a baseline of a month that is full."""
    state = Brand("acme")
    rules = AlertRules(baseline=30 * 86_400)
    most = min(MAX_SERIES, MAX_CELLS // (FINE + keep(rules) // BLOCK))
    for number in range(most + 100):
        terms = {f"w{number}{n}": 1 for n in range(30)}
        fold.pulse(state, a_pulse(START, 3, source=f"s{number}", campaign=f"c{number % 7}", terms=terms), rules)
    assert len(state.series) == most
    assert max(len(words) for words in state.terms.values()) <= 2 * MAX_TERMS
    for series in state.series.values():
        series.minutes = {START - n: [17.0, 5.0, 4.0, -1.25, 123_456.0] for n in range(FINE)}
        series.blocks = {START // BLOCK - n: [17.0, 5.0, 4.0, -1.25, 1e6 + n] for n in range(keep(rules) // BLOCK)}
    assert sum(len(series.blocks) + len(series.minutes) for series in state.series.values()) <= MAX_CELLS
    assert len(dump(state)) < 1_900_000  # what the topic takes is 2 MB
    assert state.counted == 3 * (most + 100)


def test_a_minute_far_ahead_does_not_hang():
    state, _ = run([CALM] * 60)
    fold.tick(state, START + 10**6, RULES)
    fold.pulse(state, a_pulse(START + 10**6, 5), RULES)
    assert state.watermark == START + 10**6
