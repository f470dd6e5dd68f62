"""Every shipped rule's examples, and what the index of wordings promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.intents import Intent
from pipeline.core.routing.shipped import Rule, Shipped, read, shipped
from pipeline.core.routing.wordings import Wordings, words

RULES = shipped()
CORE = ("de", "es", "fr", "it", "pt")
EXAMPLES = [(rule, text) for rule in RULES.rules for text in rule.examples]
COUNTER_EXAMPLES = [(rule, text) for rule in RULES.rules for text in rule.counter_examples]


def fired(text: str, language: str | None = None) -> set[str]:
    return {RULES.rules[index].name for index in RULES.find(words(text), language)}


@pytest.mark.parametrize(("rule", "text"), EXAMPLES, ids=lambda value: value.name if isinstance(value, Rule) else None)
def test_a_rule_matches_its_examples(rule, text):
    assert rule.name in fired(text)


@pytest.mark.parametrize(
    ("rule", "text"), COUNTER_EXAMPLES, ids=lambda value: value.name if isinstance(value, Rule) else None
)
def test_a_rule_leaves_its_counter_examples_alone(rule, text):
    assert rule.name not in fired(text)


def test_rules_have_different_names_and_a_sentence_each():
    names = [rule.name for rule in RULES.rules]
    assert len(names) == len(set(names))
    assert all(rule.means.endswith(".") for rule in RULES.rules)


def test_every_rule_shows_a_text_it_matches_and_one_it_does_not():
    assert all(rule.examples and rule.counter_examples for rule in RULES.rules)


@pytest.mark.parametrize("language", CORE)
def test_the_core_of_the_rules_speaks_each_language(language):
    assert sum(language in rule.when for rule in RULES.rules) >= 25


def test_every_intent_but_those_of_the_model_has_a_rule():
    assert {rule.intent for rule in RULES.rules} - {None} == set(Intent)


def test_the_longest_wording_silences_what_lies_within_it():
    assert "wish" in fired("I would love to see a timer", "en")
    assert "love" not in fired("I would love to see a timer", "en")


def test_a_negation_turns_praise_off():
    assert "praise" in fired("it is good", "en")
    assert "praise" not in fired("it is not very good", "en")


def test_wordings_of_another_language_do_not_count_where_the_language_is_known():
    assert "unpleasant-product" in fired("tout est sale ici", "fr")
    assert "unpleasant-product" not in fired("tout est sale ici", "en")


def test_what_a_rule_forbids_turns_it_off():
    assert "praise" in fired("good luck", "en")
    assert "not-working" not in fired("no problem at all", "en")


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ("says: {suport: 1}", "suport is none of"),
        ("says: {support: 1}\n    wen: {}", "unknown key wen"),
        ("says: {support: 1}\n    intent: hunger", "hunger"),
    ],
)
def test_a_wrong_rule_file_says_which_rule_is_wrong(change, advice):
    text = f"rules:\n  - name: x\n    means: X.\n    {change}\n    when: {{en: [a1]}}\n    examples: [a1]\n    counter_examples: [b]\n"
    with pytest.raises(ValueError, match=advice):
        read(text)


def test_a_wording_that_yaml_read_as_something_else_is_refused():
    text = "rules:\n  - name: x\n    means: X.\n    says: {support: 1}\n    when: {en: [yes]}\n    examples: [a]\n    counter_examples: [b]\n"
    with pytest.raises(ValueError, match="rule x: put the wording True in quotes"):
        read(text)


def test_a_star_matches_any_ending_and_a_caret_only_the_beginning():
    index = Wordings({0: ["crash*"], 1: ["^add a"], 2: ["deliver* late"]})
    assert [says for _, _, says in index.find(words("it CRASHED twice"))] == [(0,)]
    assert [says for _, _, says in index.find(words("Add a timer"))] == [(1,)]
    assert index.find(words("to add a timer")) == []
    assert [says for _, _, says in index.find(words("delivered late"))] == [(2,)]


def test_a_star_after_two_letters_is_refused():
    with pytest.raises(ValueError, match="at least 3 letters"):
        Wordings({0: ["de*"]})


def test_apostrophes_and_capitals_do_not_matter():
    index = Wordings({0: ["can't log in"]})
    for text in ("CAN’T log in", "can't log-in", "Cant log in"):
        assert [says for _, _, says in index.find(words(text))] == [(0,)]


def test_a_novel_costs_no_more_than_its_first_words():
    assert len(words("word " * 50_000)) == 2000


@given(st.lists(st.sampled_from(["on", "hold", "for", "late", "love", "would"]), max_size=12))
def test_every_hit_is_a_wording_and_none_lies_within_another(found):
    wordings = ["on hold", "on hold for", "hold", "love", "would love", "late"]
    hits = Wordings(dict(enumerate([one] for one in wordings))).find(found)
    for start, end, says in hits:
        assert " ".join(found[start:end]) == wordings[says[0]]
        assert not any(
            other <= start and end <= other_end and other_end - other > end - start for other, other_end, _ in hits
        )


def test_an_index_without_rules_finds_nothing():
    assert Shipped([], "").find(words("it crashed"), "en") == {}
