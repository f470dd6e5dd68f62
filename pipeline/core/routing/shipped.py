"""The shipped routing rules: read from `pipeline/rules/routing-*.yaml`, found in texts.

The files are for people who do not program: `pipeline/rules/README.md` explains them. Every rule carries texts that
must match and texts that must not; the tests try all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import yaml

from pipeline.contract.events import Fired, Priority
from pipeline.core.intents import Intent
from pipeline.core.native import pick
from pipeline.core.routing.wordings import Node, Starts, Wordings, wordings_twin

CANONICAL: Final = ("service", "support", "design", "marketing")
"""The four departments that shipped rules and the model speak of, in the order of every vector of scores."""

Vector = tuple[float, float, float, float]
Meaning = tuple[int, str | None, bool]
"""What a wording's number stands for: a rule, a language (None: it forbids the rule), whether a negator turns it off."""

_NEGATORS: Final = """
    not no never dont didnt doesnt isnt arent wasnt werent cant cannot couldnt wont wouldnt aint don't didn't doesn't
    isn't aren't wasn't weren't can't couldn't won't wouldn't ain't nor without hardly
    barely nothing stop nicht kein keine keinen nie no nunca ni jamais pas aucun aucune non mai nessun nessuna não nem
    nenhum nenhuma"""
NEGATORS: Final = frozenset(_NEGATORS.split())
_MORE_WORDINGS: Final = 0.25  # each further wording of a rule adds this share of its weight, three times at most
_SHOWN: Final = 5  # wordings a decision shows of each rule
_REMEMBERED: Final = 50_000  # results kept for wordings that come again
_NEGATION_REACH: Final = 3  # words before a wording in which a negator turns it off


@dataclass(frozen=True, slots=True)
class Rule:
    """One shipped rule. `weights` is what it says for each of CANONICAL when one wording is found."""

    name: str
    means: str
    weights: Vector
    intent: Intent | None
    priority: Priority | None
    is_negatable: bool
    when: Mapping[str, tuple[str, ...]]  # language -> wordings
    unless: tuple[str, ...]
    examples: tuple[str, ...]
    counter_examples: tuple[str, ...]

    @property
    def department(self) -> str | None:
        """The department it speaks for most, None for a rule that only names an intent."""
        best = max(range(4), key=self.weights.__getitem__)
        return CANONICAL[best] if self.weights[best] > 0 else None


def read(text: str) -> list[Rule]:
    """Return the rules of one YAML file. Raises ValueError that names the rule and what is wrong with it."""
    rows = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["rules"]  # noqa: S506 - the safe loader, in C where it is there
    return [_rule(row) for row in rows]


def _rule(row: Mapping[str, Any]) -> Rule:
    name = row.get("name", "?")
    unknown = set(row) - {
        "name",
        "means",
        "says",
        "intent",
        "priority",
        "negatable",
        "when",
        "unless",
        "examples",
        "counter_examples",
    }
    if unknown:
        raise ValueError(f"rule {name}: unknown key {min(unknown)}")
    says = row["says"]
    strange = set(says) - set(CANONICAL)
    if strange:
        raise ValueError(f"rule {name}: {min(strange)} is none of {', '.join(CANONICAL)}")
    service, support, design, marketing = (float(says.get(department, 0)) for department in CANONICAL)
    when = {language: tuple(wordings) for language, wordings in row["when"].items()}
    for wording in (*(w for ws in when.values() for w in ws), *row.get("unless", ())):
        if not isinstance(wording, str):
            raise ValueError(f"rule {name}: put the wording {wording!r} in quotes")  # noqa: TRY004 - the file is wrong, not a call
    return Rule(
        name=name,
        means=row["means"],
        weights=(service, support, design, marketing),
        intent=Intent(row["intent"]) if "intent" in row else None,
        priority=Priority(row["priority"]) if "priority" in row else None,
        is_negatable=bool(row.get("negatable", False)),
        when=when,
        unless=tuple(row.get("unless", ())),
        examples=tuple(row["examples"]),
        counter_examples=tuple(row["counter_examples"]),
    )


class Shipped:
    """All shipped rules in one index. `find` says which fired and on what words."""

    def __init__(self, rules: Iterable[Rule], version: str) -> None:
        self.rules = tuple(rules)
        self.version = version
        self.spoken: dict[tuple[object, ...], tuple[Vector, Fired]] = {}
        self._means: list[Meaning] = []
        numbered: dict[int, tuple[str, ...]] = {}
        for index, rule in enumerate(self.rules):
            for language, wordings in rule.when.items():
                numbered[len(self._means)] = wordings
                self._means.append((index, language, rule.is_negatable))
            numbered[len(self._means)] = rule.unless
            self._means.append((index, None, False))
        self._wordings = Wordings(numbered)

    def find(self, found: Sequence[str], language: str | None) -> dict[int, list[str]]:
        """Return rule index -> wordings found, for the words of a text in this language (None: not known).

        English wordings count in every language, those of another language only in theirs or when it is not known.
        """
        wordings = self._wordings
        return _rules(wordings.starts, wordings.opening, found, self._means, NEGATORS, language)

    def speak(self, found: Mapping[int, Sequence[str]]) -> tuple[list[float], tuple[Fired, ...]]:
        """Return what the rules of `find` sum up to for each of CANONICAL, and each as it is written into a decision."""
        service = support = design = marketing = 0.0
        fired: list[Fired] = []
        spoken = self.spoken
        for index, terms in found.items():
            key = (index, *terms)
            known = spoken.get(key)
            if known is None:
                known = self.say(index, terms)
            (a, b, c, d), one = known
            service += a
            support += b
            design += c
            marketing += d
            fired.append(one)
        return [service, support, design, marketing], tuple(fired)

    def say(self, index: int, terms: Sequence[str]) -> tuple[Vector, Fired]:
        """Return what one rule adds when it was fired by these wordings, and remember it: most come again."""
        rule = self.rules[index]
        times = 1.0 + _MORE_WORDINGS * min(3, len(set(terms)) - 1)
        service, support, design, marketing = rule.weights
        weights = (service * times, support * times, design * times, marketing * times)
        shown = tuple(dict.fromkeys(terms))[:_SHOWN]
        one = Fired(name=rule.name, department=rule.department, weight=round(max(weights), 3), terms=shown)
        if len(self.spoken) >= _REMEMBERED:
            self.spoken.clear()
        known = self.spoken[index, *terms] = (weights, one)
        return known


def rules_twin(
    starts: Starts,
    opening: Node | None,
    found: Sequence[str],
    means: list[Meaning],
    negators: frozenset[str],
    language: str | None,
) -> dict[int, list[str]]:
    """Return what `Shipped.find` does, by the tables of its wordings and what each of their numbers means."""
    fired: dict[int, list[str]] = {}
    forbidden: set[int] = set()
    for start, end, says in wordings_twin(starts, opening, found):
        for number in says:
            index, spoken, is_negatable = means[number]
            if spoken is None:
                forbidden.add(index)
                continue
            if spoken not in ("en", language) and language is not None:
                continue
            if is_negatable and start > 0 and not negators.isdisjoint(found[max(0, start - _NEGATION_REACH) : start]):
                continue
            words = fired.get(index)
            if words is None:
                words = fired[index] = []
            words.append(found[start] if end == start + 1 else " ".join(found[max(0, start) : end]))
    for index in forbidden:
        fired.pop(index, None)
    return fired


_rules: Final[
    Callable[
        [Starts, Node | None, Sequence[str], list[Meaning], frozenset[str], str | None],
        dict[int, list[str]],
    ]
] = pick("rules", rules_twin)


@lru_cache(maxsize=1)
def shipped() -> Shipped:
    """Return the rules that come with earshot; `version` is the SHA-256 of their files."""
    folder = files("pipeline") / "rules"
    texts = [
        entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.startswith("routing-") and entry.name.endswith(".yaml")
    ]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return Shipped([rule for text in texts for rule in read(text)], digest)
