"""The learner: changes nothing without labels, much with them, and the same way each time."""

import pytest

from pipeline.core.routing.learned import Learner, features, probabilities
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
    assert "dongle" in taught(*LABELS).strongest(features(words("the dongle blinks red")), "support", 3)


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="'sales' is none of service, support"):
        Learner(CLASSES).learn(features(["x"]), EVEN, "sales")


def test_a_long_text_has_a_bounded_number_of_features():
    assert len(features([str(n) for n in range(10_000)])) < 700
