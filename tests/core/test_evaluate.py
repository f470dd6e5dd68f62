"""Scores against hand-worked figures."""

import pytest

from pipeline.core.evaluate import evaluate


def test_figures_of_a_small_case_worked_by_hand():
    scores = evaluate(["a", "a", "b", "b"], ["a", "b", "b", None])
    assert scores.accuracy == 0.5
    assert [round(one.f1, 3) for one in scores.classes] == [0.667, 0.5]
    assert round(scores.macro_f1, 3) == 0.583
    assert scores.confusion == {"a": {"a": 1, "b": 1}, "b": {"b": 1, "none": 1}}


def test_calibration_is_the_distance_of_claim_and_truth():
    scores = evaluate(["a", "a", "a", "a"], ["a", "a", "a", "b"], [0.75, 0.75, 0.75, 0.75])
    assert scores.calibration_error == 0.0
    assert evaluate(["a"], ["b"], [1.0]).calibration_error == 1.0


def test_the_abstention_curve_leaves_unsure_guesses_to_a_person():
    scores = evaluate(["a", "a"], ["a", "b"], [0.9, 0.3])
    assert (scores.abstention[0].answered, scores.abstention[0].accuracy) == (1.0, 0.5)
    assert (scores.abstention[-1].answered, scores.abstention[-1].accuracy) == (0.5, 1.0)


def test_nothing_to_score_is_an_error_with_a_reason():
    with pytest.raises(ValueError, match="no labelled rows"):
        evaluate([], [])
    with pytest.raises(ValueError, match="2 labels, 1 guesses"):
        evaluate(["a", "b"], ["a"])
