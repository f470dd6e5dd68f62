"""Company queries in one walk: what is left for later, and that leaving it changes no answer."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.model import Config
from pipeline.contract.events import Mention
from pipeline.core.matching import Queries
from pipeline.core.query.matcher import Matcher

NOW = datetime(2026, 11, 24, tzinfo=UTC)
WHENS = [
    "blender",
    "blender AND sentiment:negative",
    "blender OR sentiment:negative",
    "intent:safety",
    "intent:safety AND sentiment:negative",
    "blender NOT sentiment:negative",
    "blender AND NOT train",
    "* NOT sentiment:negative",
    "(blender OR train) AND (sentiment:negative OR spam:>0.4)",
    "(sentiment:negative OR train) AND loud",
    "language:de AND train",
    "source:forum AND intent:safety",
    '"loud train" AND NOT (sentiment:negative AND loud)',
]


def config(*whens):
    routes = [{"name": f"r{number}", "when": when, "to": ["service"]} for number, when in enumerate(whens)]
    return Config.model_validate({"version": 1, "routes": routes})


def mention(text):
    return Mention(id="forum:1", source="forum", native_id="1", text=text, created_at=NOW, collected_at=NOW)


@given(
    st.lists(st.sampled_from(["blender", "loud", "train", "quiet"]), max_size=5).map(" ".join),
    st.sampled_from(["negative", "positive"]),
    st.sampled_from([(), ("safety",)]),
    st.sampled_from(["en", "de"]),
    st.sets(st.sampled_from(range(len(WHENS))), min_size=1),
)
def test_routes_match_as_if_every_query_were_tried(text, sentiment, intents, language, chosen):
    whens = [WHENS[number] for number in sorted(chosen)]
    queries, one = Queries(config(*whens)), mention(text)
    facts = {"sentiment": sentiment, "intent": intents, "language": language, "spam": 0.1}
    early = queries.early(one)
    found = queries.routes(one, early, facts if queries.needs_facts(early) else None)
    tried = Matcher({f"r{number}": when for number, when in enumerate(whens)}).match(one, facts=facts)
    assert {name: set(terms) for name, terms in found.items()} == {name: set(terms) for name, terms in tried.items()}


def test_a_route_whose_words_are_not_there_is_not_tried_again():
    queries = Queries(config("blender AND sentiment:negative", "train"))
    assert not queries.needs_facts(queries.early(mention("a loud train")))
    assert queries.needs_facts(queries.early(mention("a loud blender")))


@pytest.mark.parametrize("when", ["intent:safety", "blender OR sentiment:negative"])
def test_a_route_that_may_match_without_its_words_is_always_tried(when):
    queries = Queries(config(when))
    assert queries.needs_facts(queries.early(mention("quiet")))


def test_brands_are_kept_apart_from_campaigns_and_routes():
    queries = Queries(
        Config.model_validate(
            {
                "version": 1,
                "brands": {"acme": {"query": "acme"}},
                "campaigns": {"spring": {"query": "acme"}},
                "routes": [{"name": "vip", "when": "acme"}],
            }
        )
    )
    early = queries.early(mention("acme"))
    assert set(early.brands) == {"acme"}
    assert set(early.all) == {"acme", "campaign:spring", "route:vip"}


def test_a_brand_may_ask_for_the_language():
    brands = {"acme": {"query": "acme AND language:de"}}
    assert Queries(Config.model_validate({"version": 1, "brands": brands})).asks_language
