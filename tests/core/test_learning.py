"""Learning decides: what is taken, what proves itself, what is taken back, and that all who learn the same agree."""

import random
from datetime import UTC, datetime, timedelta
from math import exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.config.model import Config, Learning
from pipeline.contract import codec
from pipeline.contract.codec import mention_from_json
from pipeline.contract.events import About, Feedback, KeptModel, Label, Lesson, Voice
from pipeline.core.dedup import Memory
from pipeline.core.learning.gate import DONE_WEIGHT, Gate, Refused, author_of, weight_of
from pipeline.core.learning.line import DOUBT, MOST, PROOF, Change, Line, ratio, verdict
from pipeline.core.learning.quality import FEW, Quality
from pipeline.core.learning.saying import of_stars, said, verdicts
from pipeline.core.learning.shelf import PART, STATES, Shelf, key_of, written_down
from pipeline.core.learning.taking import take
from pipeline.core.routing.features import features
from pipeline.core.routing.learned import Learner
from pipeline.core.taught import CLASSES, KEEP_EVERY, Taught
from pipeline.core.triage import Triage
from pipeline.topology import LESSONS, topics

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
CLASSES_HERE = ("service", "support")
EVEN = (0.0, 0.0)


def a_mention(number=1, text="my dongle blinks", **more):
    return mention_from_json({"id": str(number), "source": "forum", "text": text, "language": "en", **more}, now=NOW)


def a_word(number=1, by="Ida", **what):
    return Feedback(id=f"forum:{number}", at=NOW, by=by, **what)


def a_lesson(number=1, **changes):
    facts = {
        "number": number,
        "id": f"forum:{number}",
        "said_at": NOW,
        "at": NOW,
        "about": About.DEPARTMENT,
        "truth": "design",
        "author": "person:1",
        "source": "forum",
        "words": ("dongle", f"w{number % 50}"),
        "known": (0.0, 0.5, 0.0, 0.0),
    }
    return Lesson(**{**facts, **changes})


# ------------------------------------------------------------------------------------------------- what is proven


@pytest.mark.parametrize(
    ("better", "worse", "is_serving", "expected"),
    [
        (0.0, 0.0, False, None),
        (log(PROOF) - 0.01, 0.0, False, None),
        (log(PROOF), 0.0, False, Change.PROMOTED),
        (log(PROOF), 0.0, True, Change.KEPT),
        (0.0, log(DOUBT) - 0.01, True, None),
        (0.0, log(DOUBT), True, Change.ROLLED_BACK),
        (0.0, log(DOUBT), False, Change.DISCARDED),
    ],
)
def test_a_verdict_needs_its_evidence(better, worse, is_serving, expected):
    assert verdict(better, worse, is_serving=is_serving) is expected


def test_a_prediction_that_was_sure_and_wrong_is_held_against_it_within_bounds():
    assert ratio([0.5, 0.5], [0.5, 0.5], 0) == 0
    assert ratio([1.0, 0.0], [0.5, 0.5], 0) > 0 > ratio([1.0, 0.0], [0.5, 0.5], 1)
    assert exp(-ratio([1.0, 0.0], [0.0, 1.0], 1)) < 10


def test_one_label_proves_nothing_and_neither_do_two():
    assert log(PROOF) > 2 * MOST


def learn(line, count):
    return [line.take(features(["dongle"]), EVEN, "support").change for _ in range(count)]


def test_a_candidate_is_promoted_when_it_has_predicted_better_and_from_then_on_is_in_service():
    line = Line(CLASSES_HERE)
    assert (line.serving, line.version) == (None, "")
    changes = learn(line, 12)
    at = changes.index(Change.PROMOTED)
    assert changes[:at] == [None] * at
    assert at >= 3
    assert line.serving is line.live
    assert line.kept is not None
    before = line.version
    line.take(features(["dongle"]), EVEN, "support")
    assert line.version != before  # each further label is in service as soon as it is learned


def test_every_label_is_predicted_before_it_is_learned():
    line = Line(CLASSES_HERE)
    first = line.take(features(["dongle"]), EVEN, "support")
    assert first.candidate == first.service == first.shipped == [0.5, 0.5]
    second = line.take(features(["dongle"]), EVEN, "support")
    assert second.candidate[1] > 0.5 == second.service[1] == second.shipped[1]


def test_labels_at_random_promote_seldom():
    """An e-value of at most 1 in PROOF, whenever one looks: here far below that."""
    promoted = 0
    for seed in range(60):
        rng, line = random.Random(seed), Line(CLASSES_HERE)
        for _ in range(80):
            words = [f"w{rng.randrange(12)}" for _ in range(4)]
            change = line.take(features(words), EVEN, rng.choice(CLASSES_HERE)).change
            if change is Change.PROMOTED:
                promoted += 1
                break
    assert promoted / 60 <= 1 / PROOF


def test_what_gets_worse_is_rolled_back_by_itself_and_forgotten():
    line = Line(CLASSES_HERE)
    learn(line, 12)
    line.proof = 1e9  # the version kept stays the one held against
    kept = line.kept.version
    for _ in range(8):  # nonsense is taught, and what comes after it is as before
        line.take(features(["dongle"]), EVEN, "service")
    assert line.is_serving
    changes = []
    while len(changes) < 100 and Change.ROLLED_BACK not in changes:
        changes += learn(line, 1)
    assert changes[-1] is Change.ROLLED_BACK
    assert set(changes[:-1]) == {None}
    assert not line.is_serving
    assert line.version == line.live.version == kept
    assert line.serving is line.kept is not line.live
    assert learn(line, 1) == [None]  # it goes on as a candidate
    assert line.version == kept != line.live.version


def test_a_candidate_that_is_worse_is_discarded_before_it_ever_serves():
    line, changes = Line(CLASSES_HERE), []
    for number in range(300):
        label = CLASSES_HERE[number % 2]
        sure = (4.0, -4.0) if label == "service" else (-4.0, 4.0)  # what is shipped is right each time
        line.live._evidence = 20.0  # and the candidate trusts itself
        line.live._weights = {"x": [3.0, -3.0] if label == "support" else [-3.0, 3.0]}
        changes.append(line.take((("x", 2.0),), sure, label).change)
        if changes[-1] is not None:
            break
    assert changes[-1] is Change.DISCARDED
    assert line.live.count == 0
    assert line.version == ""


def test_what_stars_say_is_weaker_evidence():
    people, stars = Line(CLASSES_HERE), Line(CLASSES_HERE)
    for _ in range(4):
        people.take(features(["dongle"]), EVEN, "support")
        stars.take(features(["dongle"]), EVEN, "support", weight=0.25)
    assert 0 < stars.better < people.better / 3
    assert stars.live.adds(features(["dongle"]))[1] < people.live.adds(features(["dongle"]))[1]


def test_an_unknown_class_is_refused_and_nothing_is_learned():
    line = Line(CLASSES_HERE)
    with pytest.raises(ValueError, match="'sales' is none of service, support"):
        line.take(features(["x"]), EVEN, "sales")
    assert line.live.count == 0


# ------------------------------------------------------------------------------------------------- what is kept


LABELS = st.lists(
    st.tuples(st.sampled_from(["dongle", "porter", "late", "blinks", "price"]), st.sampled_from(CLASSES_HERE)),
    max_size=60,
)


@given(LABELS, LABELS)
@settings(max_examples=25, deadline=None)
def test_a_learner_that_was_written_down_goes_on_as_the_one_that_was_not(before, after):
    learner, examples = Learner(CLASSES_HERE), {}
    for number, (word, label) in enumerate(before, 1):
        learner.learn(features([word]), EVEN, label, number=number)
        examples[number] = learner._memory[-1]
    learner.settle()
    read = Learner.load(CLASSES_HERE, codec._ANY.decode(codec.encode(learner.dump())), examples.get)
    for one in (learner, read):
        for word, label in after:
            one.learn(features([word]), EVEN, label)
    assert read.dump() == learner.dump()
    assert read.version == learner.version


def test_a_copy_goes_its_own_way():
    learner = Learner(CLASSES_HERE)
    learner.learn(features(["x"]), EVEN, "support")
    before = learner.adds(features(["x"]))
    copy = learner.copy()
    copy.learn(features(["x"]), EVEN, "service")
    assert learner.adds(features(["x"])) == before != copy.adds(features(["x"]))
    assert learner.version != copy.version
    assert learner.remembered == [0]
    assert copy.remembered == [0, 0]


def taught(count):
    made = Taught()
    for number in range(1, count + 1):
        made.take(a_lesson(number))
    return made


def test_the_version_names_the_last_lesson_that_changed_what_is_in_service():
    made = Taught()
    assert made.version == ""
    numbers = []
    for number in range(1, 20):
        made.take(a_lesson(number))
        numbers.append(made.version.partition("-")[0])
    first = next(int(number) for number in numbers if number)
    assert numbers == [""] * (first - 1) + [str(number) for number in range(first, 20)]
    version = made.version
    made.take(a_lesson(20, about=About.SPAM, truth="spam", known=(0.0, 0.0)))  # not in service yet
    assert made.version == version
    assert made.number == 20


def shelf_of(records):
    shelf = Shelf()
    for key, value in records:
        shelf.put(key.encode(), value)
    return shelf


def as_written(count):
    """The records of so many lessons, as the learner writes them, and what it has learned."""
    made, records = Taught(), []
    for number in range(1, count + 1):
        lesson = a_lesson(number)
        made.take(lesson)
        records.append((key_of(lesson), codec.encode(lesson)))
        if number % KEEP_EVERY == 0:
            records += [(key_of(part), codec.encode(part)) for part in written_down(made, NOW)]
    return made, records


def test_whoever_reads_the_topic_knows_what_the_learner_knows():
    made, records = as_written(2 * KEEP_EVERY + 7)
    read = shelf_of(records).taught(PROOF)
    assert (read.number, read.version) == (made.number, made.version)
    assert read.dump() == made.dump()
    only_lessons = shelf_of([record for record in records if record[0].startswith("lesson/")]).taught(PROOF)
    assert only_lessons.dump() == made.dump()


@pytest.mark.parametrize("upto", [1, 50, KEEP_EVERY, KEEP_EVERY + 1, 2 * KEEP_EVERY])
def test_an_earlier_version_can_be_made_again(upto):
    _, records = as_written(2 * KEEP_EVERY + 3)
    assert shelf_of(records).taught(PROOF, upto).dump() == taught(upto).dump()


def test_a_version_whose_lessons_have_gone_is_said_to_be_gone():
    _, records = as_written(2 * KEEP_EVERY)
    gone = shelf_of([*records, *((f"lesson/{number}", None) for number in range(1, KEEP_EVERY))])
    with pytest.raises(LookupError, match="lesson 50 is not kept"):
        gone.taught(PROOF, 50)
    with pytest.raises(LookupError, match="lesson 999 is not kept"):
        gone.taught(PROOF, 999)
    gone.put(f"kept/{KEEP_EVERY}/0".encode(), None)
    with pytest.raises(LookupError, match="the state before lesson 150 is not kept"):
        gone.taught(PROOF, 150)


def test_a_state_of_which_a_part_is_missing_is_no_state():
    made, records = as_written(KEEP_EVERY)
    (whole,) = written_down(made, NOW)
    half = replace(whole, parts=2)
    shelf = shelf_of([record for record in records if record[0].startswith("lesson/")])
    shelf.put(key_of(half).encode(), codec.encode(half))
    assert shelf.whole() == []
    assert shelf.taught(PROOF).dump() == made.dump()


def test_a_large_state_is_written_in_parts_that_fit_a_record(monkeypatch):
    monkeypatch.setattr("pipeline.core.learning.shelf.PART", 20_000)
    made, rng, records = Taught(), random.Random(1), []
    for number in range(1, KEEP_EVERY + 1):
        lesson = a_lesson(number, words=tuple(f"{rng.randrange(10**12):x}" for _ in range(20)))
        made.take(lesson)
        records.append((key_of(lesson), codec.encode(lesson)))
    parts = written_down(made, NOW)
    assert len(parts) > 1
    assert [(part.part, part.parts) for part in parts] == [(at, len(parts)) for at in range(len(parts))]
    assert max(len(part.data) for part in parts) == 20_000
    shelf = shelf_of([*records, *((key_of(part), codec.encode(part)) for part in reversed(parts))])
    assert shelf.whole() == [KEEP_EVERY]
    assert shelf.taught(PROOF).dump() == made.dump()


def test_a_part_of_the_largest_size_fits_a_record_of_the_topic():
    part = KeptModel(number=1, part=0, parts=1, version="", at=NOW, data=b"\xff" * PART)
    (topic,) = [topic for topic in topics(("support",)) if topic.name == LESSONS]
    assert len(codec.encode(part)) < codec.MAX_VALUE_BYTES < topic.max_message_bytes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"", b"{}"),
        (b"lesson/1", b"no json"),
        (b"lesson/x", codec.encode(a_lesson())),
        (b"lesson/2", codec.encode(a_lesson(1))),
        (b"lesson/\xd9\xa1", codec.encode(a_lesson(1))),
        (b"lesson/1", codec.encode(a_lesson(1, truth="sales"))),
        (b"lesson/1", codec.encode(a_lesson(1, known=(0.0,)))),
        (b"kept/1", b"{}"),
        (b"kept/1/0", b"{}"),
        (b"other/1", b"{}"),
        (b"kept/1/0", None),
    ],
)
def test_what_is_no_lesson_is_passed_over(key, value):
    shelf = Shelf()
    assert shelf.put(key, value) is None
    assert (shelf.lessons, shelf.whole()) == ({}, [])
    assert shelf.taught(PROOF).number == 0


def test_what_nobody_needs_any_more_may_go_and_nothing_changes_by_that():
    made, records = as_written((STATES + 3) * KEEP_EVERY)
    shelf = shelf_of(records)
    keys = set(shelf.expendable(made.remembered, NOW + timedelta(days=1)))
    assert {key for key in keys if key.startswith("kept/")} == {f"kept/{KEEP_EVERY * n}/0" for n in (1, 2, 3)}
    assert not {key for key in keys if key.startswith("lesson/")}, "all of them are seen again"
    for key in keys:
        shelf.put(key.encode(), None)
    assert shelf.taught(PROOF).dump() == made.dump()
    assert shelf.taught(PROOF, 4 * KEEP_EVERY + 3).version == taught(4 * KEEP_EVERY + 3).version


def test_lessons_that_are_not_seen_again_go_with_the_states_that_knew_them(monkeypatch):
    monkeypatch.setattr("pipeline.core.routing.learned.MEMORY", 150)
    monkeypatch.setattr("pipeline.core.learning.shelf.MEMORY", 150)
    made, records = as_written((STATES + 5) * KEEP_EVERY)
    shelf = shelf_of(records)
    keys = set(shelf.expendable(made.remembered, NOW + timedelta(days=1)))
    gone = {int(key.partition("/")[2]) for key in keys if key.startswith("lesson/")}
    assert gone == set(range(1, 6 * KEEP_EVERY - 150 + 1)) - made.remembered
    assert gone >= set(range(1, KEEP_EVERY)), "the version kept may be old, but not so old"
    assert not set(shelf.expendable(made.remembered, NOW - timedelta(days=1))) - {
        key for key in keys if key.startswith("kept/")
    }, "lessons of the time over which they are counted stay"
    for key in keys:
        shelf.put(key.encode(), None)
    assert shelf.taught(PROOF).dump() == made.dump()


@given(st.sets(st.integers(1, 40), min_size=1), st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_what_was_erased_is_forgotten_by_all_alike_however_they_learn_of_it(erased, after):
    texts = {number: ("dongle", f"secret{number}") for number in range(1, 41)}
    one, other = Taught(), Taught()
    for made in (one, other):
        for number, words in texts.items():
            made.take(a_lesson(number, words=words))
    assert one.forget(set(erased)) is True
    for number in sorted(erased):
        other.forget({number})
    shelf = shelf_of(
        [(key_of(lesson), codec.encode(lesson)) for lesson in (a_lesson(n, words=texts[n]) for n in texts)]
    )
    for number in erased:
        assert shelf.put(f"lesson/{number}".encode(), None) == number
    for state in written_down(one, NOW):
        shelf.put(key_of(state).encode(), codec.encode(state))
    read = shelf.taught(PROOF)
    for number in range(41, 41 + after):
        for made in (one, other, read):
            made.take(a_lesson(number))
    assert one.dump() == other.dump() == read.dump()
    assert one.version == other.version == read.version
    known = str([line.dump() for line in one.lines.values()])
    assert not [number for number in erased if f"secret{number}'" in known]
    assert erased.isdisjoint(one.remembered)


def test_of_what_is_not_remembered_nothing_is_forgotten():
    made = taught(30)
    before, version = made.dump(), made.version
    assert made.forget({99}) is False
    assert (made.dump(), made.version) == (before, version)


# ------------------------------------------------------------------------------------------------- what is taken


LIMITS = Learning(per_author=3, per_source=5, stars_per_author=1, stars_per_source=2, window=3600)


def test_the_same_word_counts_once_and_another_is_a_correction():
    gate = Gate(LIMITS)
    gate.count(a_lesson(1))
    assert gate.why_not(a_lesson(2, id="forum:1"), NOW) is Refused.DUPLICATE
    assert gate.why_not(a_lesson(2, id="forum:1", truth="support"), NOW) is None
    assert gate.why_not(a_lesson(2, id="forum:1", author="person:2"), NOW) is None
    assert gate.why_not(a_lesson(2, id="forum:1", about=About.SPAM), NOW) is None


def test_nobody_teaches_more_than_their_share_in_a_time():
    gate = Gate(LIMITS)
    for number in range(3):
        gate.count(a_lesson(number + 1, at=NOW + timedelta(minutes=number)))
    assert gate.why_not(a_lesson(9), NOW) is Refused.CAPPED
    assert gate.why_not(a_lesson(9, author="person:2"), NOW) is None
    assert gate.why_not(a_lesson(9), NOW + timedelta(minutes=59)) is Refused.CAPPED
    assert gate.why_not(a_lesson(9), NOW + timedelta(minutes=60)) is None


def test_a_source_has_its_share_too_and_stars_have_their_own():
    gate = Gate(LIMITS)
    for number in range(5):
        gate.count(a_lesson(number + 1, author=f"person:{number}"))
    assert gate.why_not(a_lesson(9, author="person:9"), NOW) is Refused.CAPPED
    assert gate.why_not(a_lesson(9, author="person:9", source="shop"), NOW) is None
    assert gate.why_not(a_lesson(9, author="stars:1"), NOW) is None
    gate.count(a_lesson(9, author="stars:1"))
    assert gate.why_not(a_lesson(10, author="stars:1", source="shop"), NOW) is Refused.CAPPED
    gate.count(a_lesson(10, author="stars:2"))
    assert gate.why_not(a_lesson(11, author="stars:3"), NOW) is Refused.CAPPED


def test_what_is_no_longer_kept_may_be_said_again():
    gate = Gate(LIMITS)
    gate.count(a_lesson(1))
    gate.forget(a_lesson(1))
    assert gate.why_not(a_lesson(2, id="forum:1"), NOW) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7200)), max_size=80))
@settings(max_examples=50, deadline=None)
def test_in_no_window_are_there_more_lessons_of_one_than_allowed(words):
    gate, taken = Gate(LIMITS), []
    for number, (who, seconds) in enumerate(sorted(words, key=lambda word: word[1]), 1):
        now = NOW + timedelta(seconds=seconds)
        lesson = a_lesson(number, author=f"person:{who}", source=f"s{who % 2}", at=now)
        if gate.why_not(lesson, now) is None:
            gate.count(lesson)
            taken.append(lesson)
    for last in taken:
        lately = [one for one in taken if last.at - timedelta(seconds=3600) < one.at <= last.at]
        assert sum(one.author == last.author for one in lately) <= 3
        assert sum(one.source == last.source for one in lately) <= 5


def test_who_said_it_is_a_digest_that_tells_people_from_stars():
    ida, star = author_of(a_word()), author_of(a_word(voice=Voice.STARS))
    assert ida.startswith("person:")
    assert star.startswith("stars:")
    assert ida != author_of(a_word(by="Jo"))
    assert "Ida" not in ida


@pytest.mark.parametrize(
    ("what", "weight"),
    [
        ({"department": "support"}, 1.0),
        ({"ours": True}, 1.0),
        ({"done": True}, DONE_WEIGHT),
        ({"done": True, "ours": True}, 1.0),
        ({"done": True, "department": "support"}, 1.0),
        ({"voice": Voice.STARS, "sentiment": Label.POSITIVE}, 0.25),
    ],
)
def test_a_persons_plain_word_weighs_most(what, weight):
    assert weight_of(a_word(**what), Learning()) == weight


# ------------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("what", "department"),
    [
        ({"department": "design"}, "design"),
        ({"ours": True, "departments": ("support",)}, "support"),
        ({"done": True, "departments": ("support",)}, "support"),
        ({"ours": True, "departments": ("support", "design")}, None),
        ({"ours": True, "department": "design", "departments": ("support", "design")}, "design"),
        ({"ours": True, "departments": ("review",)}, None),
        ({"ours": True}, None),
        ({"sentiment": Label.NEGATIVE, "departments": ("support",)}, None),
    ],
)
def test_a_word_speaks_for_the_department_that_it_names_or_that_had_it(what, department):
    assert said(a_word(**what)).department == department


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({"ours": True, "departments": ("support",)}, {"support": "right"}),
        ({"department": "design", "departments": ("support",)}, {"support": "wrong"}),
        ({"department": "design", "departments": ("support", "service")}, {"support": "wrong", "service": "wrong"}),
        ({"department": "design", "departments": ("support", "design")}, {"design": "right"}),
        ({"department": "design", "departments": ("review",)}, {}),
        ({"spam": True, "departments": ("support",)}, {}),
    ],
)
def test_a_word_is_a_verdict_on_who_had_it(what, expected):
    assert verdicts(a_word(**what)) == expected


@pytest.mark.parametrize(
    ("stars", "label"),
    [(5, "positive"), (4, "positive"), (3, "neutral"), (2, "negative"), (1, "negative"), (0, "negative")],
)
def test_stars_say_how_a_review_feels(stars, label):
    assert of_stars(a_mention(rating={"value": stars})) == label


def test_stars_without_words_or_without_a_scale_say_nothing():
    assert of_stars(a_mention()) is None
    assert of_stars(a_mention(text="", rating={"value": 5})) is None
    assert of_stars(a_mention(rating={"value": 5, "best": 1, "worst": 1})) is None


def test_stars_are_held_against_the_text_alone():
    triage, gate = Triage(Config(version=1)), Gate(Learning())
    mention = a_mention(text="the zimbel", rating={"value": 1})
    word = a_word(voice=Voice.STARS, sentiment=Label.NEGATIVE, mention=mention)
    ((lesson, predicted),) = take(triage, gate, Learning(), word, mention, NOW)
    assert predicted.shipped[0] < 0.5
    assert lesson.weight == 0.25
    assert lesson.known == tuple(round(one, 4) for one in lesson.known)


def test_a_department_that_stands_for_none_of_the_shipped_teaches_nothing():
    triage = Triage(Config.model_validate({"version": 1, "departments": {"support": {}, "lost": {}}}))
    assert list(take(triage, Gate(Learning()), Learning(), a_word(department="lost"), a_mention(), NOW)) == []


def test_a_department_under_another_name_teaches_the_one_it_stands_for():
    triage = Triage(Config.model_validate({"version": 1, "departments": {"hilfe": {"like": "support"}}}))
    ((lesson, _),) = take(triage, Gate(Learning()), Learning(), a_word(department="hilfe"), a_mention(), NOW)
    assert lesson.truth == "support"


def test_a_lesson_holds_a_bounded_number_of_words_and_neither_text_nor_author():
    mention = a_mention(text="Dongle! " + " ".join(f"w{n}" for n in range(500)) + " " + "x" * 5000, author="Jo Doe")
    triage = Triage(Config(version=1))
    ((lesson, _),) = take(triage, Gate(Learning()), Learning(), a_word(department="design"), mention, NOW)
    assert len(lesson.words) == 300
    assert max(map(len, lesson.words)) <= 50
    assert "Jo Doe" not in codec.encode(lesson).decode()
    assert "Dongle!" not in codec.encode(lesson).decode()


def test_a_decision_names_the_version_only_when_something_learned_has_its_say():
    triage, gate = Triage(Config(version=1)), Gate(Learning())
    before = triage.judge(a_mention("x"), Memory(9), NOW)
    assert before.decision.learned is None
    for number in range(20):
        word = a_word(number, department="design")
        list(take(triage, gate, Learning(), word, a_mention(number), NOW))
    after = triage.judge(a_mention("y"), Memory(9), NOW)
    assert after.decision.learned == triage.taught.version
    assert after.decision.version != before.decision.version
    assert after.department_scores["design"] > before.department_scores["design"]
    assert any(fired.name == "learned from departments" for fired in after.decision.model)


def test_spam_and_feeling_are_corrected_once_that_is_proven():
    triage, gate = Triage(Config(version=1)), Gate(Learning())
    for number in range(40):
        text = f"zorbs for you number {number}" if number % 2 else f"the manual of the kettle {number}"
        word = a_word(number, spam=bool(number % 2), sentiment=Label.NEGATIVE if number % 2 else Label.POSITIVE)
        list(take(triage, gate, Learning(), word, a_mention(number, text), NOW))
    judged = triage.judge(a_mention("z", "zorbs for you"), Memory(9), NOW)
    other = triage.judge(a_mention("k", "the manual of the kettle"), Memory(9), NOW)
    assert judged.spam > 0.5 > other.spam
    assert (judged.sentiment.label, other.sentiment.label) == (Label.NEGATIVE, Label.POSITIVE)
    assert judged.departments == ("review",)


def test_every_kind_of_lesson_has_its_classes():
    assert set(CLASSES) == set(About)


# ------------------------------------------------------------------------------------------------- how well it does


def predictions(line, rng, count, right):
    quality = Quality()
    for _ in range(count):
        label = "support" if rng.random() < right else "service"
        quality.count(line.take((("", 1.0),), (-1.0, 1.0), label))
    return quality


class Fixed:
    """Says 0.8 each time."""

    def take(self, _seen, _offset, label):
        from pipeline.core.learning.line import Predicted

        return Predicted(CLASSES_HERE.index(label), [0.2, 0.8], [0.2, 0.8], [0.2, 0.8], None)


def test_what_is_right_as_often_as_it_says_does_not_drift():
    drifts = [predictions(Fixed(), random.Random(seed), 200, 0.8).drift for seed in range(50)]
    assert sum(drift < -3 for drift in drifts) <= 1
    assert abs(sum(drifts) / 50) < 0.5


def test_what_is_wrong_more_often_than_it_says_drifts():
    assert predictions(Fixed(), random.Random(1), 200, 0.5).drift < -3


def test_of_few_labels_no_drift_is_said():
    assert predictions(Fixed(), random.Random(1), FEW - 1, 0.0).drift == 0


def test_losses_are_kept_of_all_three():
    quality = predictions(Line(CLASSES_HERE), random.Random(1), 60, 0.2)
    assert set(quality.losses) == {"shipped", "service", "candidate"}
    assert quality.losses["candidate"] < quality.losses["shipped"]
