"""Reading `earshot.yaml`: what is right is taken, every mistake is reported at its line with advice, nothing crashes."""

from __future__ import annotations

import re
import textwrap
from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.load import InvalidConfigError, parse, read
from pipeline.config.model import Config
from pipeline.contract.errors import ConfigError


def mistakes(text: str, **options) -> list[str]:
    """Return the lines of the error a text is answered with, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(textwrap.dedent(text), "f", **options)
    return [line.removeprefix("f:") for line in str(caught.value).splitlines()]


def mistake(text: str, **options) -> str:
    found = mistakes(text, **options)
    assert len(found) == 1, found
    return found[0]


WHOLE = """
version: 1
broker: kafka-1:9092,kafka-2:9092
brands:
  acme:
    query: '"acme corp" OR #acme'
    own_accounts: ['@acme']
    languages: [en, "no", pt-BR]
sources:
  hn: {type: hackernews, query: acme, enabled: false}
departments:
  service: {answer_within: 2h}
  support:
  apps: {like: design}
routes:
  - name: refunds
    when: refund* NOT jobs
    to: [service]
    examples: [I want a refund, "refunds please"]
    counter_examples: ["refund jobs", hello]
  - name: angry
    when: sentiment:negative rating.value:<3
    to: [support, review]
    priority: high
    examples: [whatever is written]
  - name: adverts
    when: >
      "we are hiring"
      OR vacancy
    mute: true
campaigns:
  summer: {query: '#summer', brand: acme, starts: 2025-06-01, ends: 2025-08-31}
alerts:
  window: 30m
  brands:
    acme: {spike: 6}
triage: {max_age: 7d}
notifiers:
  desk: {type: console}
"""


def test_a_whole_file_is_read():
    config = parse(WHOLE)
    assert config.brands["acme"].query == '"acme corp" OR #acme'
    assert config.brands["acme"].languages == ["en", "no", "pt-BR"]
    assert config.sources["hn"].settings() == {"query": "acme"}
    assert list(config.departments) == ["service", "support", "apps"]
    assert config.departments["service"].answer_within == 7200
    assert config.routes[2].when == '"we are hiring" OR vacancy'
    assert config.campaigns["summer"].starts == "2025-06-01"
    assert config.triage.max_age == 7 * 86_400
    assert config.alerts.brands["acme"].spike == 6


@pytest.mark.parametrize(
    "text",
    [
        "version: 1",
        "\ufeffversion: 1\n",
        "version: 1\r\nbrands:\r\nroutes:\r\n",
        "# comment\n---\nversion: 1\n",
        "{version: 1}",
    ],
)
def test_the_smallest_files_are_the_defaults(text):
    assert parse(text) == Config(version=1)


def test_anchors_and_merged_keys_are_written_out():
    config = parse(
        textwrap.dedent("""
        version: 1
        routes:
          - &first {name: a, when: refund, to: [service]}
          - {<<: *first, name: b}
        """)
    )
    assert [(route.name, route.when) for route in config.routes] == [("a", "refund"), ("b", "refund")]


def test_a_brand_may_have_the_name_of_a_yaml_word_or_number():
    assert list(parse("version: 1\nbrands: {no: {query: norway}, 365: {query: office}}").brands) == ["no", "365"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty — the smallest valid file is: version: 1"),
        ("# nothing\n", "1:1: the file is empty — the smallest valid file is: version: 1"),
        ("- a\n- b", "1:1: the file is no mapping of settings — write settings as name: value, first version: 1"),
        ("acme", "1:1: the file is no mapping of settings — write settings as name: value, first version: 1"),
        ("brands: {}", "1:1: version: is missing — write version: 1 as the first line"),
        ("version: 2", "1:10: version: is none of the values it may have — write 1"),
        ("version: 1\nbrand: {}", "2:1: brand: there is no such setting — did you mean brands?"),
        (
            "version: 1\nup: {workers: 1}",
            "2:6: up.workers: there is no such setting — did you mean triage_workers?",
        ),
        ("version: 1\nup: 3", "2:5: up: is a number, expected is settings — write setting: value below it, indented"),
        (
            "version: 1\nbrands: [acme]",
            "2:9: brands: is a list, expected is names with settings below them — write name: and its settings below, indented",
        ),
        (
            "version: 1\nbrands: {acme: }",
            "2:15: brands.acme: is empty, expected is settings — write setting: value below it, indented",
        ),
        (
            "version: 1\nbrands: {Acme Shop: {query: acme}}",
            "2:10: brands.Acme Shop: is no name — write small letters, digits and hyphens, 49 at most: acme-shop",
        ),
        ("version: 1\nbrands: {acme: {}}", "2:10: brands.acme.query: is missing — write query: and its value"),
        (
            "version: 1\nbrands: {acme: {query: ''}}",
            "2:24: brands.acme.query: is empty — write a query, or * for every mention",
        ),
        ("version: 1\ntriage: {batch: 0}", "2:17: triage.batch: is out of bounds — write at least 1"),
        (
            "version: 1\ntriage: {batch: many}",
            "2:17: triage.batch: is text, expected is a whole number — write digits, without quotes",
        ),
        (
            "version: 1\ntriage: {linger: soon}",
            "2:18: triage.linger: is not understood — write a duration as a number with a unit: 30s, 15m, 6h or 7d",
        ),
        (
            "version: 1\nbrands: {a: {query: x, languages: [no]}}",
            "2:36: brands.a.languages[1]: is read as false (yes, no, on and off are, too), expected is text — put it in quotes",
        ),
        (
            "version: 1\nbrands: {a: {query: x, languages: [english]}}",
            "2:36: brands.a.languages[1]: is no language — write codes such as en or pt-BR",
        ),
        (
            "version: 1\nbroker: localhost",
            "2:9: broker: is no address — write embedded, memory or host:port, several with commas",
        ),
        (
            "version: 1\nnotifiers: {x: {type: consol}}",
            (
                "2:23: notifiers.x.type: is none of the values it may have — "
                "write 'alertmanager', 'apprise', 'webhook' or 'console'; nearest is console"
            ),
        ),
        (
            "version: 1\nalerts: {brands: {acme: {}}}",
            '2:19: alerts.brands.acme: "acme" is no brand — there are no brands; add it under brands:',
        ),
        (
            "version: 1\ncampaigns: {c: {query: x, brand: acmi}}\nbrands: {acme: {query: x}}",
            '2:34: campaigns.c.brand: "acmi" is no brand — did you mean acme? brands are acme',
        ),
        (
            "version: 1\ncampaigns: {c: {query: x, starts: summer}}",
            "2:35: campaigns.c.starts: is no date — write 2025-01-31 or 2025-01-31T08:00:00Z",
        ),
        (
            "version: 1\ncampaigns: {c: {query: x, starts: 2025-02-01, ends: 2025-01-01}}",
            "2:53: campaigns.c.ends: is before it starts — turn the two dates round",
        ),
        (
            "version: 1\nbrands: {a: {query: sentiment:negative}}",
            '2:21: brands.a.query: sentiment is not known yet when brands are looked for near "sentiment:negat" — use it in routes',
        ),
        ("version: 1\nversion: 1", "2:1: version: version is there twice, first in line 1 — keep one of the two"),
    ],
)
def test_a_mistake_is_reported_at_its_place_with_advice(text, expected):
    assert mistake(text) == expected


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (
            "{name: r, when: x, to: [suport]}",
            (
                '3:29: routes[1].to[1]: "suport" is no department — '
                "did you mean support? departments are service, support, design, marketing, review"
            ),
        ),
        (
            "{name: r, when: x, not_to: [hr]}",
            '3:33: routes[1].not_to[1]: "hr" is no department — departments are service, support, design, marketing, review',
        ),
        (
            "{name: r, when: x}",
            "3:5: routes[1]: the route does nothing — write to: [department], not_to, mute: true or priority",
        ),
        (
            "{name: r, when: x, to: [service], mute: true}",
            "3:45: routes[1].mute: the route mutes and sends — leave out mute, or to",
        ),
        (
            "{name: r, when: x, to: [service], not_to: [service]}",
            "3:47: routes[1].not_to: service is in to and in not_to — leave it out of one of them",
        ),
        (
            "{name: r, when: refund, to: [service], examples: [hello]}",
            '3:55: routes[1].examples[1]: the example "hello" does not match — change the query, or the example',
        ),
        (
            "{name: r, when: refund, to: [service], counter_examples: [a refund]}",
            (
                '3:63: routes[1].counter_examples[1]: the counter-example "a refund" matches — '
                "narrow the query with AND or NOT, or leave it out"
            ),
        ),
        (
            "{name: r, when: brand:acme, to: [service]}",
            '3:27: routes[1].when: "acme" is no brand — there are no brands; add it under brands:',
        ),
        (
            "{name: r, when: intent:prais, to: [service]}",
            (
                '3:28: routes[1].when: intent is never prais near "intent:prais" — write one of problem, complaint, question, '
                "feature_request, praise, recommendation_request, purchase_intent, refund_request, churn_threat, safety, legal, "
                "press, campaign, job_advert, giveaway"
            ),
        ),
        ("{name: r, when: 5, to: [service]}", "3:21: routes[1].when: is a number, expected is text — put it in quotes"),
    ],
)
def test_a_mistake_in_a_route_is_reported_at_its_place(route, expected):
    assert mistake(f"version: 1\nroutes:\n  - {route}\n") == expected


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file():
    found = mistakes("""
        version: 1
        brands:
          acme:
            query: acme OR
            langages: [en]
        routes:
          - name: first
            when: refund
            to: [suport]
          - name: first
            when: (a
            priority: urgent
        triage: {batch: 0}
        """)
    assert [line.split(": ")[1] for line in found] == [
        "brands.acme.query",
        "brands.acme.langages",
        "routes[1].to[1]",
        "routes[2].name",
        "routes[2].when",
        "routes[2].priority",
        "triage.batch",
    ]
    assert [int(line.split(":")[0]) for line in found] == [5, 6, 10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("acme AND title:x AND lang:en", 4, 33),
        ("'acme AND title:x AND lang:en'", 4, 34),
        ("|\n      acme AND\n        title:x\n      AND lang:en", 7, 11),
        (">\n      acme AND\n      title:x AND lang:en", 6, 19),
        ("acme\n      AND title:x\n      AND lang:en", 6, 11),
        ("'en lang en AND\n\n      lang:en'", 6, 7),
    ],
)
def test_a_mistake_in_a_query_is_shown_where_it_stands_however_it_is_written(written, line, column):
    with pytest.raises(InvalidConfigError) as caught:
        parse(f"version: 1\nbrands:\n  acme:\n    query: {written}\n")
    (problem,) = caught.value.problems
    assert "lang" in problem.what
    assert (problem.line, problem.column) == (line, column)


def test_a_query_that_yaml_cuts_at_a_hash_is_reported():
    found = mistake("version: 1\nbrands:\n  acme: \n    query: acme OR shop #acme\n")
    assert found == "4:25: brands.acme.query: YAML ends the query at # — put the whole query in single quotes"
    parse("version: 1\nbrands:\n  acme:\n    query: acme # a comment\n")


@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("version: 1\nbrands:\n\tacme: {}", "3:1", "indent with spaces, not with tabs"),
        ('version: 1\nbrands: {a: {query: "x}}', "2:25", "closed"),
        ('version: 1\nbrands:\n  a:\n    query: "acme corp" OR x', "4:24", "put the query in single quotes"),
        ("version: 1\nbrands:\n  a:\n    query: @acme", "4:12", "in single quotes"),
        ("version: 1\nbrands:\n  a:\n    query: *acme", "4:12", "in single quotes"),
        ("version: 1\ncontact: a: b", "2:11", "put a text with a colon in quotes"),
        ("version: 1\n---\nversion: 1", "2:1", "keep one document"),
        ("version: 1\n  brands: {}\n", "2:9", "indentation"),
        ("version: 1\nbrands: {a: [1, 2\n", "3:1", "closed"),
        ("version: 1\ncontact: !!python/object/apply:os.system [ls]", "2:10", "leave out what begins with !"),
        ("version: 1\ncontact: !secret x", "2:10", "leave out what begins with !"),
        ("version: 1\ncontact: a\x07b", "2:1", "save the file as UTF-8"),
        ("version: 1\n? [a]\n: b", "2:3", "write key: value"),
        ("version: 1\nbrands: &a {a: *a}", "2:9", "write out what you need"),
    ],
)
def test_broken_yaml_is_reported_with_advice(text, place, advice):
    found = mistakes(text)
    assert any(line.startswith(place) and re.search(advice, line) for line in found), found


def test_aliases_that_multiply_are_refused_at_once():
    laughs = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "aliases (*name) make it too large" in mistake(laughs)  # 10¹² entries would never end


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 5_000, "- " * 50_000, "a:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, 200))]
)
def test_deep_nesting_is_refused_at_once(text):
    assert "levels" in mistake(text)


def test_a_huge_file_is_refused():
    assert "more than 2,000,000 characters" in mistake("version: 1\n" + "#" * 2_000_001)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"version: 1\ncontact: caf\xe9\n", ":2:13: the file is not in UTF-8 from here on — save it as UTF-8"),
        ("version: 1".encode("utf-16"), ":1:1: the file is in UTF-16 — save it as UTF-8"),
        (b"\x00\x01\x02", ":1:1: this is|:1:1: a character that no text file has"),
    ],
)
def test_a_file_that_is_no_utf_8_is_refused(tmp_path, raw, expected):
    path = tmp_path / "earshot.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert any(str(caught.value).startswith(f"{path}{one}") for one in re.split(r"\|", expected)), str(caught.value)


def test_a_file_with_byte_order_mark_and_windows_line_ends_is_read(tmp_path):
    path = tmp_path / "earshot.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\nbrands:\r\n  acme:\r\n    query: acme\r\n")
    assert read(path).brands["acme"].query == "acme"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\nbrands:\r\n  acme:\r\n    quer: acme\r\n")
    with pytest.raises(ConfigError, match=r":4:5: brands.acme.quer: there is no such setting — did you mean query\?"):
        read(path)


def test_a_file_that_cannot_be_read_is_reported_with_advice(tmp_path):
    with pytest.raises(ConfigError, match="name the file with --config or EARSHOT_CONFIG"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path)


def test_settings_of_connectors_are_checked_by_who_knows_them():
    def check(name, source):
        assert name == "hn"  # the other is switched off
        return [
            "sources.hn.foo: there is no such setting; there are: query",
            "sources.hn.token is missing: this source needs it",
            "something else",
        ]

    text = """\
        version: 1
        sources:
          hn: {type: hackernews, foo: 1}
          off: {type: nonsense, enabled: false}
        """
    assert mistakes(text, check_source=check) == [
        "3:3: sources.hn.token: is missing — this source needs it",
        "3:7: sources.hn: something else — see the README of the connector",
        "3:31: sources.hn.foo: there is no such setting — there are: query",
    ]


def test_values_are_never_repeated_in_a_mistake():
    """A secret in the wrong place must not end up on a screen or in a log."""
    for text in (
        "version: 1\ntriage: {batch: hunter2}",
        "version: 1\ntriage: hunter2",
        "version: 1\nsources: {a: {type: {password: hunter2}}}",
        "version: 1\ntriage: {linger: hunter2}",
        "version: 1\nbroker: 'user:hunter2'",
        "version: 1\nup: {password: hunter2}",
    ):
        assert "hunter2" not in " ".join(mistakes(text))


value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["acme", "a OR", "1h"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(["query", "when", "to", "name", "type", "brands", "acme"]), st.text(max_size=5)), inner, max_size=3),
    ),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*Config.model_fields, "brand"]), value, max_size=5))
def test_any_values_are_a_configuration_or_a_mistake(data):
    text = yaml.safe_dump({"version": 1, **data}, allow_unicode=True)
    problems = []
    try:
        parse(text)
    except InvalidConfigError as error:
        problems = error.problems
    assert all(problem.what and problem.advice and problem.line >= 1 for problem in problems)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}\"'|>&*!#%@`,? \n\t1\u2028\x85é"), max_size=40))
def test_any_text_is_a_configuration_or_a_mistake(text):
    with suppress(ConfigError):
        parse("version: 1\n" + text)
