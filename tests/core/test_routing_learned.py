"""The learner: changes nothing without labels, much with them, and the same way each time."""

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.routing.features import features
from pipeline.core.routing.learned import Learner, probabilities
from pipeline.core.routing.shipped import shipped
from pipeline.core.routing.topics import GROUP, Topics, groups
from pipeline.core.routing.wordings import words

CLASSES = ("service", "support")
EVEN = (0.0, 0.0)


def taught(*labels):
    learner = Learner(CLASSES)
    for text, label in labels:
        learner.learn(features(words(text)), EVEN, label)
    return learner


def share(learner, text):
    return probabilities(learner.adds(features(words(text))))[1]


LABELS = [("the dongle blinks red", "support"), ("the porter was late", "service")] * 5


def test_without_labels_nothing_is_added():
    assert Learner(CLASSES).adds(features(["anything"])) == [0.0, 0.0]


def test_labels_move_texts_like_them():
    learner = taught(*LABELS)
    assert share(learner, "my dongle blinks") > 0.6
    assert share(learner, "where is the porter") < 0.4


def test_a_text_that_shares_no_words_hardly_moves():
    assert abs(share(taught(*LABELS), "zebra") - 0.5) < 0.1


def test_the_same_labels_give_the_same_weights_and_version():
    one, two = taught(*LABELS), taught(*LABELS)
    assert one.version == two.version
    assert one.adds(features(["dongle"])) == two.adds(features(["dongle"]))


def test_every_label_changes_the_version():
    assert taught(*LABELS).version != taught(*LABELS, ("again", "support")).version


def test_an_offset_that_already_says_it_leaves_little_to_learn():
    sure, even = Learner(CLASSES), Learner(CLASSES)
    seen = features(["dongle"])
    sure.learn(seen, (-5.0, 5.0), "support")
    even.learn(seen, EVEN, "support")
    assert sure.adds(seen)[1] < even.adds(seen)[1] / 10


def test_the_strongest_words_are_the_reason():
    adds, strongest = taught(*LABELS).read(words("the dongle blinks red"), most=3)
    assert adds[1] == max(adds)
    assert "dongle" in strongest
    assert len(strongest) == 3


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="'sales' is none of service, support"):
        Learner(CLASSES).learn(features(["x"]), EVEN, "sales")


def test_a_long_text_has_a_bounded_number_of_features():
    assert len(features([str(n) for n in range(10_000)])) < 700


def test_other_forms_of_a_long_word_are_moved_too():
    learner = taught(("blinking", "support"), ("porters", "service"), *LABELS)
    assert share(learner, "blinked") > share(learner, "table")


def test_other_words_about_the_same_are_moved_too():
    learner = taught(*[("they refunded me", "service"), ("the manual of a kettle", "support")] * 5)
    for other in ("reimbursement", "erstattung"):
        assert share(learner, other) < share(learner, "zebra")


def test_what_words_are_about_is_known_of_words_in_wordings_and_of_their_beginnings_only():
    known = Topics(shipped().rules)
    values = [value for _, value in known.of("crashing")]
    assert 0 < sum(value * value for value in values) <= 1 + 1e-9
    assert known.of("zebra") == known.of("") == ()


def test_a_word_of_all_rules_is_about_none():
    rules = shipped().rules[:2]
    shared = [replace(rule, when={"en": ("dongle",)}, examples=()) for rule in rules]
    assert Topics(shared).of("dongle") == ()
    assert [name for name, _ in Topics([shared[0], replace(rules[1], examples=())]).of("dongle")] == [rules[0].name]


def test_groups_are_of_words_as_they_are_found_in_texts():
    found = groups()
    assert len(found) > 20
    for name, parts in found.items():
        assert len(parts) > 10, name
        for part in parts:
            assert words(part.removesuffix("*")) == [part.removesuffix("*")], (name, part)
            assert not part.endswith("*") or len(part) > 3, (name, part)


def test_words_of_a_group_have_it_in_common():
    known = Topics((), {"money": ("refund*", "dollar"), "time": ("late", "dollar")})
    assert known.of("refunded") == (("group/money", GROUP),)
    shared = dict(known.of("dollar"))
    assert set(shared) == {"group/money", "group/time"}
    assert sum(value * value for value in shared.values()) == pytest.approx(GROUP * GROUP)
    assert known.of("refu") == ()


def test_the_order_of_labels_hardly_matters():
    """There is one solution, and the weights go there: what came last does not have the last word."""
    rng, labels = random.Random(4), [*LABELS, ("red porter", "support"), ("late dongle", "service")] * 4
    said = []
    for _ in range(3):
        rng.shuffle(labels)
        learner = taught(*labels)
        learner._evidence = 5.0
        said.append([share(learner, text) for text, _ in labels_of_both()])
    for one, two in combinations(said, 2):
        assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 0.02


def labels_of_both():
    return [*LABELS[:2], ("red porter", "support"), ("dongle late", "service"), ("zebra", "service")]


def test_the_weights_are_those_of_the_least_loss():
    """Every label pulls by what was said less what is predicted: then no step makes the loss smaller."""
    learner = taught(*LABELS * 6)
    for example, pull in zip(learner._memory, learner._pulls, strict=True):
        said = probabilities(learner._learned(example.seen))
        for index, value in enumerate(pull):
            assert value == pytest.approx((index == example.target) - said[index], abs=0.01)


def test_a_label_that_is_forgotten_is_taken_back_from_words_that_others_have_too():
    learner = Learner(CLASSES)
    for number, (text, label) in enumerate([*LABELS, *[("the dongle sings", "service")] * 3], 1):
        learner.learn(features(words(text)), EVEN, label, number=number)
    before = share(learner, "dongle")
    assert learner.forget({len(LABELS) + 1, len(LABELS) + 2, len(LABELS) + 3})
    assert share(learner, "dongle") > before + 0.02
    assert "sings" not in learner._weights
    assert "dongle" in learner._weights


def test_known_counts_less_only_beside_what_is_trusted():
    learner = Learner(CLASSES, 0.7)
    assert learner.known == 1.0
    assert learner.joined([1.0, -1.0], [0.5, 0.5]) == [1.5, -0.5]
    learner.learn(features(["dongle"]), EVEN, "support")
    few = learner.known
    for _ in range(30):
        learner.learn(features(["dongle"]), EVEN, "support")
    assert 0.7 < learner.known < few < 1.0


def test_a_feeling_is_learned():
    learner = Learner(CLASSES)
    for _ in range(10):
        learner.learn(features(["x"], (), -0.8), EVEN, "support")
        learner.learn(features(["x"], (), 0.8), EVEN, "service")
    assert probabilities(learner.adds(features(["x"], (), -0.5)))[1] > 0.5
    assert probabilities(learner.adds(features(["x"], (), 0.5)))[1] < 0.5


def test_labels_that_can_be_learned_from_raise_trust():
    assert Learner(CLASSES).trust == 0.5
    assert taught(*LABELS * 5).trust > 0.9


def test_labels_at_random_against_what_was_known_well_lower_it():
    learner = Learner(CLASSES)
    for number in range(60):
        label = "support" if number * number % 7 in (1, 4) else "service"
        sure = (-2.0, 2.0) if label == "support" else (2.0, -2.0)  # what was known is right each time
        learner.learn(features(words(f"word{number % 5} other{number % 3}")), sure, label)
    assert learner.trust <= 0.5


def test_what_is_not_trusted_adds_less():
    seen = features(["dongle"])
    learner = taught(*LABELS)
    before = learner.adds(seen)[1]
    for _ in range(30):  # the world has changed
        learner._weigh(seen, (3.0, -3.0), 0)
    assert abs(learner.adds(seen)[1]) < abs(before)


@pytest.mark.shared
def test_labels_of_a_company_help_from_the_first_ones(shared):
    """Never worse than without after 25, much better after 100; a floor under later changes."""
    import csv
    from datetime import UTC, datetime

    from pipeline.config.model import Config
    from pipeline.contract.codec import mention_from_json
    from pipeline.core.dedup import Memory
    from pipeline.core.triage import Triage

    departments = {"bug_report": "support", "bug": "support", "feature_request": "design", "feature": "design"}
    with (shared / "data/app_reviews_marc/sentences.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    pairs = [
        (row["text"], departments[key])
        for row in rows
        if (key := row["label"].lower().replace(" ", "_")) in departments
    ]
    pairs.sort(key=lambda pair: hash_of(pair[0]))
    now = datetime.now(UTC)
    triage, rest, right = Triage(Config(version=1)), pairs[100:600], []
    for known, upto in ((0, 0), (0, 25), (25, 100)):
        for number, (text, department) in enumerate(pairs[known:upto]):
            triage.learn(mention_from_json({"id": f"f{number}", "text": text}, now=now), department=department)
        count = 0
        for text, department in rest:
            judged = triage.judge(mention_from_json({"id": "1", "text": text}, now=now), Memory(limit=1), now)
            count += max(judged.department_scores, key=judged.department_scores.__getitem__) == department
        right.append(count / len(rest))
    assert right[1] >= right[0]
    assert right[2] >= right[0] + 0.03


def hash_of(text):
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


@given(
    st.lists(st.sampled_from(["the", "dongle", "of", "blinks", "blinking", "porter", "is", "unheard"]), max_size=12),
    st.lists(st.sampled_from(["crash", "late"]), unique=True),
    st.sampled_from([0.0, 0.4, -1.0]),
)
def test_reading_is_the_same_as_making_the_features_and_adding_them(found, rules, feeling):
    learner = Learner(CLASSES)
    for number in range(8):
        learner.learn(
            features(["the", "of", "dongle", "blinks", f"w{number}"], ["crash"], 0.5), EVEN, CLASSES[number % 2]
        )
        learner.learn(
            features(["porter", "is", "of", "the", "blinking"], ["late"], -0.5), EVEN, CLASSES[number % 3 == 0]
        )
    assert learner.read(found, rules, feeling)[0] == pytest.approx(
        learner.adds(features(found, rules, feeling)), abs=1e-9
    )


def test_a_reader_that_knows_nothing_adds_nothing():
    assert Learner(CLASSES).read(["x", "y"], ["z"], 0.5, most=3) == ([0.0, 0.0], ())
