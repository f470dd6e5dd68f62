"""The made-up company: the same for the same seed, and its truth apart from it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache

import httpx
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import read_settings
from connectors.http import Http, make_client
from connectors.simulator import phrases, rhythm, topics
from connectors.simulator.connector import Simulator
from connectors.simulator.incidents import Incident
from connectors.simulator.script import Scenario, Script
from connectors.simulator.settings import SimulatorSettings
from connectors.simulator.threads import Habits
from connectors.simulator.truth import Truth
from connectors.simulator.world import BRAND, LANGUAGES, people
from pipeline.config.load import parse
from pipeline.contract import codec
from pipeline.contract.errors import ConfigError
from pipeline.contract.events import AlertStatus, Kind, Label, Mention, State
from pipeline.core.dedup import Memory
from pipeline.core.pulse import PulseBatch
from pipeline.core.reputation import fold
from pipeline.core.reputation.state import Brand
from pipeline.core.triage import Triage
from pipeline.core.verdicts import Discard
from tests.connectors import kit

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
START = int(MONDAY.timestamp() // 60)
SETTINGS = {"seed": 7, "rate": 1200, "start": MONDAY.isoformat()}


def made(clock, **more):
    """A simulator with a clock that the test moves: a list of one instant."""
    settings = read_settings(SimulatorSettings, "sim", {**SETTINGS, **more})
    http = Http(make_client(transport=httpx.MockTransport(kit.refuse)), connector="sim", clock=lambda: clock[0])
    return Simulator("sim", settings, http, lambda: clock[0])


@cache
def everything(minutes=60, **more):
    return tuple(Script(Scenario(seed=7, starts=START, **more)).range(START, START + minutes))


def told(mentions):
    return [(one.id, one.revision, one.state, one.text, one.created_at) for one in mentions]


async def drain(simulator, cursor):
    mentions = []
    while True:
        page = await simulator.fetch(cursor)
        mentions += page.mentions
        cursor = page.cursor
        if not page.is_full:
            return mentions, cursor


# ------------------------------------------------------------------------------------------- the sequence


def test_the_same_seed_gives_the_same_mentions_and_another_seed_others():
    one = everything()
    assert one == tuple(Script(Scenario(seed=7, starts=START)).range(START, START + 60))
    other = {item.mention.text for item in Script(Scenario(seed=8, starts=START)).range(START, START + 60)}
    texts = {item.mention.text for item in one}
    assert len(texts & other) < 0.02 * len(texts)


def test_any_minute_can_be_made_without_those_before_it():
    whole = everything(180)
    alone = Script(Scenario(seed=7, starts=START)).minute(START + 170)
    assert alone
    assert alone == [one for one in whole if one.at // 60_000 == START + 170]


def test_ids_are_unique_and_time_runs_forward():
    whole = everything(180)
    names = [(one.mention.id, one.mention.revision) for one in whole]
    assert len(set(names)) == len(names)
    times = [one.at for one in whole]
    assert times == sorted(times)


@settings(max_examples=20, deadline=None)
@given(
    page_sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    waits=st.lists(st.floats(0.01, 900), min_size=1, max_size=12),
)
def test_page_sizes_times_of_asking_and_restarts_change_nothing(page_sizes, waits):
    clock = [MONDAY]

    async def listen():
        heard, cursor = [], None
        for number, wait in enumerate([*waits, 1800]):
            clock[0] = min(MONDAY + timedelta(minutes=30, microseconds=-1), clock[0] + timedelta(seconds=wait))
            size = page_sizes[number % len(page_sizes)]
            fresh = made(clock, rate=300, page_size=size)  # as after a restart
            mentions, cursor = await drain(fresh, cursor)
            heard += mentions
        return heard

    assert told(asyncio.run(listen())) == told(one.mention for one in everything(30, rate=300))


async def test_the_first_look_fixes_the_beginning_and_nothing_is_ever_from_the_future():
    clock = [MONDAY]
    simulator = made(clock, start="-5m")
    first, cursor = await drain(simulator, None)
    assert first
    assert min(one.created_at for one in first) >= MONDAY - timedelta(minutes=5)
    clock[0] += timedelta(minutes=5)
    later, cursor = await drain(made(clock, start="-5m"), cursor)  # a restart: the beginning stays where it was
    assert {one.id for one in first}.isdisjoint(one.id for one in later if one.state is State.LIVE)
    assert all(one.created_at <= clock[0] for one in first + later)
    assert all(one.collected_at == clock[0] and not one.backfill for one in later)
    again, after = await drain(simulator, cursor)
    assert (again, after) == ([], cursor)


async def test_another_seed_begins_anew_and_so_does_a_cursor_nobody_can_read():
    clock = [MONDAY + timedelta(minutes=3)]
    whole, cursor = await drain(made(clock), None)
    assert (await drain(made(clock), "what is this"))[0] == whole
    assert (await drain(made(clock), cursor))[0] == []
    assert {one.native_id[0] for one in (await drain(made(clock, seed=8), cursor))[0]} == {"8"}


async def test_with_speed_the_past_runs_faster_until_it_is_now():
    clock = [MONDAY]
    simulator = made(clock, start="-2h", speed=60)
    _, cursor = await drain(simulator, None)
    newest = []
    for _ in range(5):
        clock[0] += timedelta(seconds=30)
        mentions, cursor = await drain(simulator, cursor)
        newest.append(clock[0] - max(one.created_at for one in mentions if one.state is State.LIVE))
    behind = [round(one.total_seconds() / 60) for one in newest]
    assert behind == pytest.approx([90, 61, 31, 2, 0], abs=2)


async def test_after_the_end_nothing_is_said_and_the_position_stays():
    clock = [MONDAY + timedelta(hours=3)]
    mentions, cursor = await drain(made(clock, until="30m"), None)
    assert told(mentions) == told(one.mention for one in everything(30))
    clock[0] += timedelta(hours=9)
    assert await drain(made(clock, until="30m"), cursor) == ([], cursor)


async def test_a_silent_hour_moves_the_position_on():
    clock = [MONDAY]
    simulator = made(clock, rate=0.001)
    first = (await simulator.fetch(None)).cursor
    clock[0] += timedelta(minutes=10)
    assert (await simulator.fetch(first)).cursor == first
    clock[0] += timedelta(hours=2)
    assert (await simulator.fetch(first)).cursor != first


async def test_the_past_can_be_asked_for_and_is_there_at_once():
    clock = [MONDAY + timedelta(days=1)]
    simulator = made(clock, speed=60, start="-1d")
    cursor = await simulator.cursor_at(MONDAY + timedelta(hours=22))
    mentions, _ = await drain(simulator, cursor)
    assert min(one.created_at for one in mentions) < MONDAY + timedelta(hours=22, minutes=2)
    assert max(one.created_at for one in mentions) > clock[0] - timedelta(minutes=2)


# -------------------------------------------------------------------------------------------- what is said


def test_by_day_more_is_said_than_by_night_and_on_sunday_least():
    def said(at, hours=1):
        first = int(at.timestamp() // 60)
        script = Script(Scenario(seed=3, starts=first, rate=3000))
        return sum(len(script.places(minute)) for minute in range(first, first + 60 * hours))

    night, evening = said(MONDAY.replace(hour=3)), said(MONDAY.replace(hour=19))
    assert evening > 3 * night
    sunday = said(MONDAY - timedelta(days=1, hours=10), 24)
    assert said(MONDAY - timedelta(hours=10), 24) > 1.1 * sunday


def test_the_rate_is_the_mean_of_a_week():
    shares = [sum(rhythm.mix(LANGUAGES, START + minute).values()) for minute in range(rhythm.MINUTES_OF_WEEK)]
    assert sum(shares) / len(shares) == pytest.approx(1, abs=0.01)


def test_each_language_has_its_own_day():
    assert rhythm.of_language("de", START - 60 * 5) > 2 * rhythm.of_language("pt", START - 60 * 5)


def test_languages_places_forms_and_what_happens_later_are_all_there():
    whole = everything(180)
    assert {one.labels.language for one in whole} == set(LANGUAGES)
    assert {one.mention.state for one in whole} == {State.LIVE, State.EDITED, State.DELETED}
    assert {one.mention.kind for one in whole} >= {Kind.POST, Kind.COMMENT, Kind.REVIEW, Kind.QUESTION, Kind.ARTICLE}
    assert {one.labels.topic for one in whole} >= {topic.name for topic in topics.ORDINARY}
    departments = Counter(one.labels.departments for one in whole)
    assert set(departments) == {("support",), ("service",), ("design",), ("marketing",), ()}
    assert any(one.labels.is_irony and one.labels.sentiment is Label.NEGATIVE for one in whole)
    assert any(one.labels.is_own for one in whole)
    followers = sorted(one.mention.author.followers or 0 for one in whole if one.mention.author)
    assert followers[-1] > 100 * max(1, followers[len(followers) // 2])
    assert len({one.mention.author.id for one in whole if one.mention.author}) > 1000


def test_reviews_have_stars_that_agree_with_the_truth():
    reviews = [one for one in everything(180) if one.mention.rating]
    assert len(reviews) > 100
    for one in reviews:
        assert one.mention.kind is Kind.REVIEW
        stars = one.mention.rating.value
        assert stars <= 2 if one.labels.sentiment is Label.NEGATIVE else stars >= 3


def test_what_is_about_the_company_can_be_found_and_what_is_not_cannot():
    for one in everything(180):
        mention = one.mention
        if mention.state is State.DELETED:
            continue
        is_found = BRAND.lower() in mention.text.lower() or mention.subject.startswith("quillmoor")
        assert is_found or not one.labels.is_relevant or one.labels.is_own, mention.text
        if not one.labels.is_relevant:
            assert not is_found


def test_threads_refer_to_what_was_said_before():
    whole = everything(180)
    at = {}
    for one in whole:
        mention = one.mention
        at.setdefault(mention.id, one.at)
        if mention.in_reply_to:
            assert mention.conversation == mention.in_reply_to
            assert at[mention.in_reply_to] < one.at
        if mention.state is not State.LIVE:
            assert at[mention.id] < one.at
            assert mention.revision == one.at
        if mention.state is State.DELETED:
            assert (mention.text, mention.author, mention.tags) == ("", None, ())
        if one.labels.duplicate_of:
            assert at[one.labels.duplicate_of] < one.at


def test_texts_are_rich_enough_that_only_copies_look_like_copies():
    memory, joined, found = Memory(limit=50_000), [], []
    stories, seen = {}, set()
    for one in everything(240, habits=Habits(edits=0, deletions=0, copies=0.05, replies=0.2)):
        if one.labels.is_spam:
            continue
        story = memory.story(re.findall(r"\w+", one.mention.text.lower()), one.mention.id)
        stories[one.mention.id] = story
        if one.labels.duplicate_of:
            found.append(stories.get(one.labels.duplicate_of) == story)
        else:
            joined.append(story in seen)
        seen.add(story)
    assert len(found) > 100
    assert sum(found) / len(found) > 0.8
    assert sum(joined) / len(joined) < 0.15


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_can_say_everything(language):
    spoken, english = phrases.of(language), phrases.of("en")
    assert spoken.topics.keys() == english.topics.keys()
    assert spoken.details.keys() == english.details.keys()
    assert spoken.stories.keys() == english.stories.keys() == topics.OF_INCIDENT.keys()
    slots = {*spoken.slots, "p", "brand", "n", "m", "nn", "order", "version", "code", "amount", "handle", "tail"}
    everything_said = yaml.safe_dump([spoken.topics, spoken.details, spoken.stories, spoken.context, spoken.edits])
    assert set(re.findall(r"\{(\w+)\}", everything_said)) <= slots
    said = [text for texts in spoken.topics.values() for text in texts]
    assert len(said) > 100
    assert len(set(said)) == len(said)


def test_there_are_thousands_of_people_and_few_are_followed_by_many():
    crowd = people(7, 4000, tuple(LANGUAGES.items()))
    assert len(crowd) > 4000
    assert people(7, 4000, tuple(LANGUAGES.items())) is crowd


# ------------------------------------------------------------------------------------------------ incidents

INCIDENT_AT = START + 40


def during(kind):
    incident = Incident(f"{kind}-1", kind, INCIDENT_AT, 20, 5.0)
    whole = everything(80, incidents=(incident,))
    before = [one for one in whole if START + 10 <= one.at // 60_000 < START + 30]
    inside = [one for one in whole if INCIDENT_AT <= one.at // 60_000 < INCIDENT_AT + 20]
    return before, inside


def negative(found):
    return sum(one.labels.sentiment is Label.NEGATIVE for one in found) / len(found)


@pytest.mark.parametrize("kind", topics.OF_INCIDENT)
def test_an_incident_raises_the_volume_and_turns_the_feeling(kind):
    before, inside = during(kind)
    assert len(inside) > 3 * len(before)
    change = negative(inside) - negative(before)
    assert change < -0.2 if kind == "viral" else change > 0.15


def test_the_mentions_of_an_incident_share_a_story_that_somebody_began():
    _, inside = during("outage")
    begun = {one.mention.id for one in inside}
    origins = Counter(
        one.labels.duplicate_of for one in inside if one.labels.incident and one.mention.in_reply_to is None
    )
    assert origins[None] > 10
    named = [(origin, count) for origin, count in origins.most_common(4) if origin is not None]
    assert {origin for origin, _ in named} <= begun
    assert named[0][1] > 50


def test_a_pressure_grows_holds_and_dies_down_within_its_time():
    one = Incident("outage-1", "outage", 100, 40, 4.0)
    pressures = [one.pressure(minute) for minute in range(95, 145)]
    assert pressures[:5] == [0] * 5
    assert pressures[5] == 1.0
    assert max(pressures) == 4.0
    assert pressures[45:] == [0] * 5
    assert one.pressure(138) == 1.0


FAST = """
version: 1
brands:
  quillmoor:
    query: quillmoor OR subject:quillmoor*
    own_accounts: [quillmoor, quillmoor_help]
campaigns:
  slow-mornings: {brand: quillmoor, query: "tags:slowmornings"}
alerts: {window: 5m, lateness: 10m, resolve_after: 5m}
"""


@pytest.mark.parametrize(
    ("kind", "name"),
    [("outage", "ReputationDamage"), ("hijack", "ReputationDamage"), ("viral", "PraiseSurge")],
)
async def test_a_fast_incident_fires_once_and_is_resolved_once(kind, name):
    config = parse(FAST)
    triage, memory, brand, alerts = Triage(config), Memory(limit=50_000), Brand("quillmoor"), []
    begun = MONDAY + timedelta(days=2)
    clock = [begun]
    incident = {"kind": kind, "at": "25m", "for": "10m", "strength": 5}
    simulator = made(clock, seed=1, speed=60, until="60m", incidents=[incident])
    cursor = None
    for second in range(130):  # of the clock; everything is said after 60, the rest is ticks
        clock[0] = begun + timedelta(seconds=second)
        mentions, cursor = await drain(simulator, cursor)
        batch = PulseBatch()
        for mention in mentions:
            verdict = triage.judge(mention, memory, clock[0])
            if not isinstance(verdict, Discard):
                batch.add(verdict)
        for pulse in batch.records(clock[0]):
            alerts += [(second, alert) for alert in fold.pulse(brand, pulse, config.alerts)]
        if second % 5 == 0:
            minute = int(clock[0].timestamp() // 60)
            alerts += [(second, alert) for alert in fold.tick(brand, minute, config.alerts)]
    assert {alert.name for _, alert in alerts} == {name}
    assert len({alert.fingerprint for _, alert in alerts}) == 1
    assert [alert.status for _, alert in alerts].count(AlertStatus.RESOLVED) == 1
    assert alerts[-1][1].status is AlertStatus.RESOLVED
    assert 24 <= alerts[0][0] <= 30
    assert alerts[-1][0] - alerts[0][0] < 60


# -------------------------------------------------------------------------------------------------- truth


def test_every_mention_has_a_truth_and_its_id_is_enough_to_find_it():
    incident = Incident("outage-1", "outage", START + 20, 10, 3.0)
    scenario = Scenario(seed=7, starts=START, incidents=(incident,))
    whole = list(Script(scenario).range(START, START + 60))
    truth = Truth(scenario)
    for one in whole[::25]:
        assert one.labels.id == one.mention.id
        assert truth.of(one.mention.id) == one.labels
        assert truth.of(one.mention.native_id) == one.labels
    assert {labels.id for labels in truth.range(START, START + 60)} == {one.mention.id for one in whole}
    assert {one.labels.incident for one in whole} == {None, "outage-1"}


@pytest.mark.parametrize(
    "wrong", ["", "7", "rss:7-1-0-0", f"8-{START}-0-0", f"7-{START}-0-99999", f"7-{START}-0-0-r99"]
)
def test_what_is_no_mention_of_the_seed_has_no_truth(wrong):
    assert Truth(Scenario(seed=7, starts=START)).of(wrong) is None


def test_no_label_is_in_a_mention():
    fields = set(msgspec.structs.asdict(everything(2)[0].labels)) - {"id", "language"}
    assert fields.isdisjoint(Mention.__struct_fields__)
    for one in everything(30, spam=1.0)[:50]:
        assert b"spam" not in codec.encode(one.mention)


# ------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"start": "yesterday"}, "offset such as 40m"),
        ({"speed": 0.5}, "greater than or equal to 1"),
        ({"products": ["Toaster"]}, "there is no product Toaster; there are: Home"),
        ({"languages": {"tlh": 1}}, "name one or more of en"),
        ({"incidents": [{"kind": "flood", "at": "1m"}]}, "outage"),
        ({"incidents": [{"kind": "outage", "at": "1m", "for": "1s"}]}, "60"),
    ],
)
def test_wrong_settings_say_what_is_possible(given, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_settings(SimulatorSettings, "sim", given)


def test_only_the_products_and_languages_that_are_wanted():
    found = read_settings(SimulatorSettings, "sim", {**SETTINGS, "products": ["Halo"], "languages": {"it": 1}})
    whole = list(Script(found.scenario(START)).range(START, START + 30))
    assert {one.labels.language for one in whole} == {"it"}
    assert not any(name in one.mention.text for one in whole for name in ("Ember", "Drift") if not one.labels.is_own)


def test_moments_are_offsets_or_instants():
    def read(**more):
        return read_settings(SimulatorSettings, "sim", more)

    assert read(start="-1d").first_minute(MONDAY) == START - 1440
    assert read().first_minute(MONDAY) == START - 10
    assert read(speed=2).first_minute(MONDAY) == START - 1440
    assert read(start=MONDAY).first_minute(MONDAY + timedelta(days=3)) == START
    at = read(incidents=[{"kind": "viral", "at": MONDAY.isoformat(), "for": "30m"}]).scenario(START - 60)
    assert at.incidents[0] == Incident("viral-1", "viral", START, 30, 4.0)
