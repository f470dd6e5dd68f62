"""What becomes of mentions, case by case."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.model import Config
from pipeline.contract.events import Author, Kind, Label, Mention, Outcome, Priority, Rating, Reason, State
from pipeline.core.dedup import Memory
from pipeline.core.triage import Triage
from pipeline.core.verdicts import Discard

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
BRANDS = {"acme": {"query": "acme OR @acme", "own_accounts": ["@AcmeHelp"]}}
DEPARTMENTS = {"service", "support", "design", "marketing", "review"}


def configured(**parts):
    return Triage(Config.model_validate({"version": 1, **parts}))


EVERYTHING = configured()
ACME = configured(brands=BRANDS)


def mention(text="It keeps crashing since the update", native="1", **changes):
    given = {
        "id": f"forum:{native}",
        "source": "forum",
        "native_id": native,
        "text": text,
        "created_at": NOW,
        "collected_at": NOW,
    }
    return Mention(**{**given, **changes})


def judge(triage=EVERYTHING, text="It keeps crashing since the update", memory=None, **changes):
    return triage.judge(mention(text, **changes), memory if memory is not None else Memory(100), NOW)


# ---------------------------------------------------------------------------------------------------- departments


@pytest.mark.parametrize(
    ("text", "department"),
    [
        ("It keeps crashing since the update, error 503", "support"),
        ("I can't log in and the reset mail never comes", "support"),
        ("The woman at the desk was so rude, worst customer service", "service"),
        ("My parcel never arrived, where is my order? I want a refund", "service"),
        ("On hold for two hours, nobody answers", "service"),
        ("Would be nice if you could please add a dark mode", "design"),
        ("Why is there no search? The new layout is ugly and confusing", "design"),
        ("Best bakery ever, I love it, highly recommend", "marketing"),
        ("Can anyone recommend a quiet dishwasher?", "marketing"),
        ("Die App stürzt ab, seit dem Update funktioniert nichts", "support"),
        ("El paquete no ha llegado, pésima atención al cliente", "service"),
        ("Ce serait bien d'ajouter un mode sombre", "design"),
        ("Lo consiglio a tutti, ottimo prodotto, grazie mille", "marketing"),
        ("O aplicativo trava toda hora, não consigo entrar", "support"),
    ],
)
def test_a_mention_reaches_the_department_that_can_act(text, department):
    judged = judge(text=text)
    assert judged.outcome is Outcome.ROUTED
    assert judged.departments[0] == department
    assert max(judged.department_scores, key=judged.department_scores.get) == department


def test_the_decision_says_which_rules_and_terms_spoke_and_what_came_next():
    decision = judge().decision
    assert decision.by == "model"
    assert {"crash", "regression"} <= {rule.name for rule in decision.rules}
    assert any("since the update" in rule.terms for rule in decision.rules)
    assert decision.model
    assert decision.nearly in DEPARTMENTS
    assert len(decision.version) == 12


def test_what_says_nothing_goes_to_a_person():
    judged = judge(text="The table stands in the corner of that particular room upstairs, is it?")
    assert judged.departments == ("review",)
    assert judged.decision.by == "review"


def test_stars_speak_where_there_are_no_words():
    judged = judge(text="", kind=Kind.REVIEW, rating=Rating(value=5))
    assert judged.outcome is Outcome.ROUTED
    assert max(judged.department_scores, key=judged.department_scores.get) == "marketing"


@given(st.text(max_size=300), st.sampled_from([None, "en", "de", "xx"]), st.one_of(st.none(), st.integers(1, 5)))
@settings(max_examples=150, deadline=None)
def test_every_text_gets_shares_of_one_and_somebody_who_looks(text, language, stars):
    rating = None if stars is None else Rating(value=stars)
    judged = judge(text=text, language=language, rating=rating)
    if isinstance(judged, Discard):
        assert judged.reason is Reason.EMPTY
        assert not text.strip()
        return
    assert sum(judged.department_scores.values()) == pytest.approx(1, abs=0.001)
    assert set(judged.departments) <= DEPARTMENTS
    assert judged.departments
    assert msgspec.json.decode(msgspec.json.encode(judged), type=type(judged)) == judged


def test_the_same_mention_is_judged_the_same_way_by_another_worker():
    config = Config.model_validate({"version": 1, "brands": BRANDS})
    one, other = (Triage(config).judge(mention("acme keeps crashing"), Memory(9), NOW) for _ in range(2))
    assert one == other


# ------------------------------------------------------------------------------------------------------ set aside


def test_a_heartbeat_is_only_counted():
    assert judge(source="heartbeat") == Discard(Reason.HEARTBEAT)


def test_nothing_said_is_empty():
    assert judge(text=" \n") == Discard(Reason.EMPTY)


def test_what_is_about_no_brand_is_only_counted_and_not_remembered():
    memory = Memory(9)
    assert judge(ACME, "zeta keeps crashing", memory) == Discard(Reason.NOT_RELEVANT)
    assert len(memory) == 0


def test_a_brand_and_its_terms_are_in_the_decision():
    judged = judge(ACME, "my acme keeps crashing")
    assert judged.brands == ("acme",)
    assert judged.decision.matched == {"acme": ("acme",)}


def test_a_repeat_is_a_duplicate_and_a_higher_revision_is_judged_again():
    memory = Memory(9)
    assert judge(memory=memory).departments == ("support",)
    assert judge(memory=memory) == Discard(Reason.DUPLICATE)
    assert judge(memory=memory, revision=1, text="Thank you, solved, I love it").departments == ("marketing",)
    assert judge(memory=memory, revision=1) == Discard(Reason.DUPLICATE)


def test_an_edit_that_no_longer_names_the_brand_stays_with_it():
    memory = Memory(9)
    judge(ACME, "acme keeps crashing", memory)
    judged = judge(ACME, "it keeps crashing, edited", memory, revision=1, state=State.EDITED)
    assert judged.brands == ("acme",)


def test_withdrawn_and_never_seen_is_only_counted():
    assert judge(state=State.DELETED) == Discard(Reason.WITHDRAWN)


def test_withdrawn_goes_to_those_who_had_it_without_text_and_author():
    memory = Memory(9)
    judge(memory=memory, author=Author(id="7", name="Ann"))
    gone = judge(memory=memory, state=State.DELETED, author=Author(id="7", name="Ann"), title="t", tags=("x",))
    assert (gone.outcome, gone.reason, gone.departments) == (Outcome.DISCARDED, Reason.WITHDRAWN, ("support",))
    assert (gone.text, gone.title, gone.author, gone.tags, gone.links) == ("", None, None, (), ())
    assert gone.state is State.DELETED


def test_withdrawn_twice_is_told_once_and_a_later_copy_of_the_text_is_a_duplicate():
    memory = Memory(9)
    judge(memory=memory)
    assert judge(memory=memory, state=State.DELETED).reason is Reason.WITHDRAWN
    assert judge(memory=memory, state=State.DELETED) == Discard(Reason.DUPLICATE)
    assert judge(memory=memory) == Discard(Reason.DUPLICATE)


def test_withdrawn_and_then_back_with_a_higher_revision_is_judged_again():
    memory = Memory(9)
    judge(memory=memory)
    judge(memory=memory, state=State.UNAVAILABLE)
    assert judge(memory=memory, revision=1).outcome is Outcome.ROUTED


@pytest.mark.parametrize(
    "author",
    [Author(handle="acmehelp"), Author(handle="@AcmeHelp"), Author(id="AcmeHelp"), Author(url="https://acmehelp/")],
)
def test_what_the_company_says_itself_is_discarded(author):
    judged = judge(ACME, "acme is here to help", author=author)
    assert (judged.outcome, judged.reason, judged.departments) == (Outcome.DISCARDED, Reason.OWN_ACCOUNT, ())
    assert judged.brands == ("acme",)


def test_what_one_brand_says_about_another_counts_for_the_other():
    brands = {**BRANDS, "zeta": {"query": "zeta"}}
    judged = judge(configured(brands=brands), "acme is better than zeta", author=Author(handle="acmehelp"))
    assert (judged.outcome, judged.brands) == (Outcome.ROUTED, ("zeta",))


OLD = configured(triage={"max_age": "7d"})


def test_too_old_is_discarded_unless_it_is_backfill():
    ago = NOW - timedelta(days=8)
    assert judge(OLD, created_at=ago).reason is Reason.TOO_OLD
    assert judge(OLD, created_at=ago, backfill=True).outcome is Outcome.ROUTED
    assert judge(OLD, created_at=datetime(1, 1, 1, tzinfo=UTC)).reason is Reason.TOO_OLD


def test_a_mention_from_next_year_is_judged():
    assert judge(OLD, created_at=NOW + timedelta(days=365)).outcome is Outcome.ROUTED
    assert judge(created_at=datetime(1, 1, 1, tzinfo=UTC)).outcome is Outcome.ROUTED
    assert judge(created_at=datetime(9999, 12, 31, tzinfo=UTC)).outcome is Outcome.ROUTED


def test_a_brand_that_listens_to_some_languages_does_not_hear_others():
    triage = configured(brands={"acme": {"query": "acme", "languages": ["de"]}})
    assert judge(triage, "acme keeps crashing", language="en") == Discard(Reason.NOT_RELEVANT)
    assert judge(triage, "acme stürzt ab", language="de").brands == ("acme",)


def test_spam_goes_to_a_person_and_not_to_a_department():
    text = (
        "Check out my channel and subscribe, free gift cards, click here http://win.example now to claim your prize!!!"
    )
    judged = judge(text=text)
    assert judged.spam >= 0.5
    assert (judged.outcome, judged.reason, judged.departments) == (Outcome.ROUTED, Reason.SPAM, ("review",))
    assert judged.decision.by == "quarantine"
    assert judged.decision.spam_reasons


def test_the_language_is_found_and_vader_is_for_english_only():
    german, english = judge(text="Das ist nicht so gut und es geht nicht"), judge(text="This is not so good, I hate it")
    assert (german.language, german.sentiment.vader) == ("de", None)
    assert english.language == "en"
    assert english.sentiment.vader is not None
    assert english.sentiment.vader < 0


# --------------------------------------------------------------------------------------------------------- routes


def test_a_route_comes_before_the_model():
    triage = configured(routes=[{"name": "vip", "when": "crashing", "to": ["design"]}])
    judged = judge(triage)
    assert (judged.departments, judged.decision.by) == (("design",), "rule:vip")
    assert judged.decision.rules[0].name == "vip"
    assert judged.decision.rules[0].terms == ("crashing",)


def test_a_route_may_ask_for_what_was_judged():
    routes = [{"name": "angry", "when": "acme AND sentiment:negative AND brand:acme", "to": ["marketing"]}]
    triage = configured(brands=BRANDS, routes=routes)
    assert judge(triage, "acme is a terrible awful mess").departments == ("marketing",)
    assert judge(triage, "acme keeps calm and is wonderful").decision.by != "rule:angry"


def test_a_route_may_ask_only_for_what_was_judged():
    triage = configured(routes=[{"name": "danger", "when": "intent:safety", "to": ["service"], "priority": "normal"}])
    judged = judge(triage, "The charger caught fire")
    assert (judged.decision.by, judged.priority) == ("rule:danger", Priority.HIGH)


def test_a_muting_route_discards():
    triage = configured(routes=[{"name": "hush", "when": "crashing", "mute": True}])
    judged = judge(triage)
    assert (judged.outcome, judged.reason, judged.departments) == (Outcome.DISCARDED, Reason.MUTED, ())


def test_shipped_rules_can_be_turned_off():
    assert judge(configured(routing={"shipped_rules": False})).decision.rules == ()


def test_the_version_changes_with_the_routes_and_with_what_was_learned():
    routed = configured(routes=[{"name": "vip", "when": "crashing", "to": ["design"]}])
    assert routed.version != EVERYTHING.version == configured().version
    before = routed.version
    routed.learn(mention("the dongle"), department="design")
    assert routed.version == before  # one label proves nothing: what decides is still the same
    for number in range(12):
        routed.learn(mention(f"the dongle {number}"), department="design")
    assert routed.version != before


# ------------------------------------------------------------------------------------------------------- priority


@pytest.mark.parametrize(
    "text",
    ["The charger caught fire", "You will hear from my lawyer", "I am cancelling my subscription", "I'm a journalist"],
)
def test_danger_law_leaving_and_press_are_urgent_whatever_a_route_says(text):
    low = configured(routes=[{"name": "later", "when": "*", "to": ["service"], "priority": "low"}])
    assert judge(text=text).priority is Priority.HIGH
    assert judge(low, text).priority is Priority.HIGH


def test_a_job_advert_is_low_and_a_complaint_is_normal():
    assert judge(text="We're hiring in Leeds, apply now").priority is Priority.LOW
    assert judge(text="My parcel never arrived").priority is Priority.NORMAL


def test_a_route_sets_the_priority():
    triage = configured(routes=[{"name": "later", "when": "crashing", "priority": "low"}])
    assert judge(triage).priority is Priority.LOW


def test_a_bad_word_that_many_hear_is_urgent():
    assert judge(text="Terrible, awful, I hate it", author=Author(id="1", followers=50_000)).priority is Priority.HIGH


def test_a_department_that_promised_a_quick_answer_gets_its_problems_as_urgent():
    departments = {"helpdesk": {"like": "support", "answer_within": "1h"}}
    assert judge(configured(departments=departments)).priority is Priority.HIGH


# -------------------------------------------------------------------------------------- campaigns, stories, learning


def test_a_campaign_counts_while_it_runs_and_for_its_brand():
    campaign = {"query": "#spring", "brand": "acme", "starts": "2026-11-01", "ends": "2026-11-30"}
    triage = configured(brands=BRANDS, campaigns={"spring": campaign})
    assert judge(triage, "acme #spring is nice").campaigns == ("spring",)
    assert judge(triage, "acme #spring is nice", created_at=NOW + timedelta(days=30)).campaigns == ()
    assert judge(triage, "#spring is nice") == Discard(Reason.NOT_RELEVANT)


def test_mentions_that_say_the_same_share_a_story():
    memory = Memory(9)
    text = "The new blender of acme hums louder than a train in the morning"
    one, other = judge(text=text, memory=memory), judge(text=text + " !", memory=memory, native="2", id="forum:2")
    assert one.story is not None
    assert one.story == other.story


def test_labels_from_departments_move_mentions_like_them():
    triage = configured()
    for number in range(6):
        triage.learn(mention(f"the dongle blinks in row {number}"), department="design")
    judged = judge(triage, "my dongle blinks")
    assert max(judged.department_scores, key=judged.department_scores.get) == "design"
    learned = [term for term in judged.decision.model if term.name == "learned from departments"]
    assert "dongle" in " ".join(learned[0].terms)


def test_corrections_of_feeling_and_spam_are_learned_and_vader_stays():
    triage = configured()
    before = judge(triage, "the dongle blinks again")
    for number in range(6):
        triage.learn(mention(f"the dongle blinks in row {number}"), sentiment="negative", spam=True)
    after = judge(triage, "the dongle blinks again")
    assert after.sentiment.label is Label.NEGATIVE
    assert after.sentiment.vader == before.sentiment.vader
    assert after.spam > before.spam


def test_a_label_for_an_unknown_department_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'sales'; write one of design, marketing, service, support"):
        configured().learn(mention(), department="sales")
