"""Triage and learning on every published example, and on what nobody should send: nothing raises, the sums add up."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from jsonschema import Draft202012Validator

from pipeline.config.model import Config, Learning
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import Feedback, JudgedMention, Lesson, Mention, Outcome, Reason
from pipeline.contract.schema import schema
from pipeline.core.dedup import Memory
from pipeline.core.learning.gate import Gate, Refused
from pipeline.core.learning.line import PROOF
from pipeline.core.learning.shelf import Shelf
from pipeline.core.learning.taking import take
from pipeline.core.pulse import PulseBatch
from pipeline.core.triage import Triage
from tests.contract.messages import examples, name, value

NOW = datetime(2026, 11, 24, 9, 31, 5, tzinfo=UTC)
ACME = Config.model_validate(
    {
        "version": 1,
        "brands": {"acme": {"query": "acme", "own_accounts": ["acme@social.example"]}},
        "campaigns": {"better": {"query": "betterwithacme", "brand": "acme"}},
        "triage": {"max_age": 30 * 86_400},
    }
)
JUDGED = Draft202012Validator(schema(JudgedMention))
ALL = examples("mention")


def mention(stem):
    (file,) = [one for one in ALL if one.stem == stem]
    return codec.decode(Mention, file.read_bytes())


def judge(raw, triage, memory):
    """Return what becomes of a record's bytes, as the worker decides it: an outcome and its reason."""
    try:
        verdict = triage.judge(codec.decode(Mention, raw), memory, NOW)
    except InvalidMessageError as error:
        return Outcome.DEAD_LETTERED, error.reason, None
    if isinstance(verdict, JudgedMention):
        return verdict.outcome, verdict.reason, verdict
    return Outcome.DISCARDED, verdict.reason, None


@pytest.fixture(scope="module")
def triage():
    return Triage(ACME)


@pytest.mark.parametrize("file", ALL, ids=name)
def test_every_example_is_judged_and_what_is_written_is_valid(file, triage):
    outcome, _, judged = judge(file.read_bytes(), triage, Memory(100))
    assert outcome is not Outcome.DEAD_LETTERED
    if judged is not None:
        written = codec.encode(judged)
        JUDGED.validate(json.loads(written))
        assert codec.decode(JudgedMention, written) == judged


@pytest.mark.parametrize(
    ("before", "stem", "reason"),
    [
        ((), "heartbeat", Reason.HEARTBEAT),
        ((), "about-nobody", Reason.NOT_RELEVANT),
        ((), "least", Reason.EMPTY),
        ((), "deleted", Reason.WITHDRAWN),
        ((), "own-account", Reason.OWN_ACCOUNT),
        ((), "spam", Reason.SPAM),
        ((), "backfill", None),
        ((), "post", None),
        (("post",), "duplicate", Reason.DUPLICATE),
        (("post",), "edited", None),
        (("edited",), "post", Reason.DUPLICATE),
        (("post",), "deleted", Reason.WITHDRAWN),
    ],
)
def test_an_example_becomes_what_its_name_says(triage, before, stem, reason):
    memory = Memory(100)
    for earlier in before:
        triage.judge(mention(earlier), memory, NOW)
    assert judge(codec.encode(mention(stem)), triage, memory)[1] is reason


def test_received_is_routed_and_discarded_and_dead_lettered(triage):
    memory, pulses, sums = Memory(100), PulseBatch(), Counter()
    raws = [file.read_bytes() for file in (*ALL, *ALL)] + [b"\xff", b"{}", b"null", b" " * 1_000_001]
    for raw in raws:
        outcome, _, judged = judge(raw, triage, memory)
        sums[outcome] += 1
        if judged is not None and outcome is Outcome.ROUTED:
            pulses.add(judged)
    assert sum(sums.values()) == len(raws)
    assert sums[Outcome.DEAD_LETTERED] == 4
    assert sums[Outcome.ROUTED] > 10
    counted = sum(pulse.counts.mentions for pulse in pulses.records(NOW))
    assert counted == sums[Outcome.ROUTED] - 1  # what is quarantined is not what people say


@pytest.mark.parametrize("file", examples("mention-judged"), ids=name)
def test_every_published_decision_is_one_that_triage_could_make(file):
    given = value(file)
    assert (given["reason"] is None) == (given["outcome"] == "routed" and given["decision"]["by"] != "quarantine")
    assert given["departments"] or given["outcome"] == "discarded"
    assert "review" not in given["departments"] or given["departments"] == ["review"]
    assert set(given["department_scores"]) == {"service", "support", "design", "marketing"}


# ------------------------------------------------------------------------------------------------------- learning


def learned(file, triage, gate):
    """Return what becomes of a feedback, as the worker decides it: the lessons taken, and why others were not."""
    said = codec.decode(Feedback, file.read_bytes())
    known = mention("post") if said.mention is None else said.mention
    found = list(take(triage, gate, Learning(), said, known, NOW))
    return [one for one in found if not isinstance(one, Refused)], [one for one in found if isinstance(one, Refused)]


@pytest.mark.parametrize("file", examples("feedback"), ids=name)
def test_every_published_feedback_is_learned_once(file):
    triage, gate = Triage(Config(version=1)), Gate(Learning())
    taken, refused = learned(file, triage, gate)
    assert taken
    assert refused == []
    assert [lesson.number for lesson, _ in taken] == list(range(1, len(taken) + 1))
    for lesson, predicted in taken:
        assert codec.decode(Lesson, codec.encode(lesson)) == lesson
        assert abs(sum(predicted.service) - 1) < 1e-9
    assert learned(file, triage, gate) == ([], [Refused.DUPLICATE] * len(taken))


@pytest.mark.parametrize("file", examples("lesson"), ids=name)
def test_every_published_lesson_is_one_that_workers_follow(file):
    shelf = Shelf()
    lesson = codec.decode(Lesson, file.read_bytes())
    assert shelf.put(f"lesson/{lesson.number}".encode(), file.read_bytes()) == lesson
    assert shelf.taught(PROOF).number == lesson.number


# --------------------------------------------------------------------------------------------------- odd content

ODD = {
    "the year 1": {"created_at": "0001-01-01T00:00:00Z"},
    "next year": {"created_at": (NOW + timedelta(days=365)).isoformat()},
    "the year 9999": {"created_at": "9999-12-31T23:59:59.999999Z"},
    "the year 1, seen from the east": {"created_at": "0001-01-01T00:00:00+14:00"},
    "collected in the year 1": {"collected_at": "0001-01-01T00:00:00Z"},
    "a long word": {"text": "acme " + "a" * 100_000},
    "a long text": {"text": "acme crashed " * 20_000},
    "only signs": {"text": "acme " + "?!" * 5_000},
    "only emoji": {"text": "acme " + "😀" * 5_000},
    "opened brackets": {"text": "acme " + "(" * 20_000},
    "combining marks": {"text": "acme a" + "\u0301" * 5_000},
    "NUL and escapes": {"text": "acme \x00 \x1b[31m \u202e"},
    "an unassigned character": {"text": "acme \U000e0fff"},
    "a huge revision": {"revision": 2**63 - 1},
    "stars out of any scale": {"rating": {"value": 1e308, "best": -1e308, "worst": 1e308}},
    "a scale of nothing": {"rating": {"value": 0, "best": 0, "worst": 0}},
    "a strange language": {"language": "x" * 5_000},
    "many followers": {"author": {"followers": 2**63 - 1}},
    "an empty author": {"author": {}},
    "no name": {"id": "", "source": "", "native_id": ""},
    "many tags": {"tags": ["acme"] * 10_000},
    "a conversation of itself": {"conversation": "mastodon:1", "in_reply_to": "mastodon:1"},
}
PLAIN = {
    "id": "mastodon:1",
    "source": "mastodon",
    "native_id": "1",
    "created_at": "2026-11-24T09:30:00Z",
    "collected_at": "2026-11-24T09:31:00Z",
    "text": "The acme app crashed",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("config", [ACME, Config(version=1)], ids=["one brand", "no brands"])
def test_odd_content_is_judged_and_what_comes_out_can_be_read(odd, config):
    outcome, reason, judged = judge(json.dumps({**PLAIN, **odd}).encode(), Triage(config), Memory(100))
    assert outcome is not Outcome.DEAD_LETTERED or reason in {Reason.INVALID, Reason.UNDECODABLE}
    if judged is not None:
        assert codec.decode(JudgedMention, codec.encode(judged)) == judged
        pulses = PulseBatch()
        pulses.add(judged)
        assert all(codec.encode(pulse) for pulse in pulses.records(NOW))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(
            json.dumps({**PLAIN, "text": "half \ud800 pair"}).encode(), Reason.UNDECODABLE, id="lone surrogate"
        ),
        pytest.param(
            json.dumps({**PLAIN, "text": "a" * 1_000_000}).encode(), Reason.TOO_LARGE, id="a megabyte of text"
        ),
        pytest.param(json.dumps(PLAIN).encode("utf-16"), Reason.UNDECODABLE, id="UTF-16"),
        pytest.param(json.dumps(PLAIN).encode()[:-5], Reason.UNDECODABLE, id="cut off"),
        pytest.param(json.dumps([PLAIN]).encode(), Reason.INVALID, id="a list"),
        pytest.param(None, Reason.INVALID, id="a tombstone"),
        *(
            pytest.param(json.dumps({**PLAIN, field: wrong}).encode(), Reason.INVALID, id=f"{field} {wrong!r}")
            for field, wrong in (
                ("text", 7),
                ("text", None),
                ("id", 1),
                ("created_at", "yesterday"),
                ("created_at", "2026-11-24T09:30:00"),
                ("revision", -1),
                ("revision", 1.5),
                ("state", "gone"),
                ("kind", "tweet"),
                ("tags", "acme"),
                ("author", "Ida"),
                ("rating", 5),
                ("rating", {}),
                ("backfill", "no"),
            )
        ),
    ],
)
def test_what_is_no_mention_is_a_dead_letter_with_its_reason(raw, reason, triage):
    assert judge(raw, triage, Memory(10))[:2] == (Outcome.DEAD_LETTERED, reason)


def test_a_mention_of_the_largest_size_that_is_accepted_is_judged(triage):
    plain = msgspec.json.decode(json.dumps(PLAIN), type=Mention)
    room = codec.MAX_VALUE_BYTES - len(codec.encode(plain))
    raw = codec.encode(msgspec.structs.replace(plain, text=plain.text + " x" * (room // 2)))
    assert codec.MAX_VALUE_BYTES - 2 < len(raw) <= codec.MAX_VALUE_BYTES
    assert judge(raw, triage, Memory(10))[0] is Outcome.ROUTED
