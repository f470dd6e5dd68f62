"""What is said, in words: the templates of `phrases/*.yaml`, and how a text is made of them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from connectors.simulator.topics import Topic
from connectors.simulator.world import BRAND, Product
from pipeline.contract.events import Label

_PRICES: Final = {"en": "${}", "pt": "R$ {}"}
CONTEXT: Final = 0.75  # share of texts that say something about their author, too
_STOPS: Final = ("", ".", ".", ".", "!", "…")


class Phrases:
    """The templates of one language. Everything is drawn from the generator that is handed in."""

    def __init__(self, language: str, data: Mapping[str, Any]) -> None:
        self.language = language
        self.topics: Mapping[str, Sequence[str]] = data["topics"]
        self.slots: Mapping[str, Sequence[str]] = data["slots"]
        self.stories: Mapping[str, str] = data["stories"]
        self.tails: Sequence[str] = data["tails"]
        self.details: Mapping[str, Sequence[str]] = data["details"]
        self.context: Sequence[str] = data["context"]
        self.closers: Mapping[str, Sequence[str]] = data["closers"]
        self.titles: Mapping[str, Sequence[str]] = data["titles"]
        self.edits: Sequence[str] = data["edits"]

    def text(
        self, rng: random.Random, topic: Topic, product: Product, details: float, given: Mapping[str, str] | None = None
    ) -> str:
        """Return a text on a topic: one sentence, further ones with the chance `details`, and what people end with.

        `given` fixes slots, such as the version of a bad release.
        """
        slots = _Slots(self, rng, product, given or {})
        first = rng.choice(self.topics[topic.name]).format_map(slots)
        if rng.random() < 0.8:
            first = _sentence(first)
        has_context = topic.has_context and rng.random() < CONTEXT
        count = 0 if topic.details is None else (rng.random() < details) + (rng.random() < details / 2)
        if first[-1] not in ".!?…" and "http" not in first:
            first += rng.choice(_STOPS[1:] if count or has_context else _STOPS)
        parts = [first]
        if has_context:
            parts.insert(int(rng.random() < 0.6), _sentence(rng.choice(self.context).format_map(slots)))
        if topic.details is not None:
            parts += [
                _sentence(sentence.format_map(slots)) for sentence in rng.sample(self.details[topic.details], count)
            ]
        if topic.closes:
            parts.append(rng.choice(self.closers[topic.sentiment.value]))
        return " ".join(filter(None, parts))

    def story(self, rng: random.Random, kind: str, given: Mapping[str, str]) -> str:
        """Return the text of an incident that goes round: the same but for how it ends."""
        slots = _Slots(self, rng, None, {**given, "tail": ""})
        tail = rng.choice(self.tails).format_map(slots)
        return self.stories[kind].format_map({**given, "brand": BRAND, "tail": tail}).strip()

    def title(self, rng: random.Random, mood: Label) -> str:
        """Return the title of a review."""
        return rng.choice(self.titles[mood.value])

    def edit(self, rng: random.Random, product: Product) -> str:
        """Return what is added to a text later."""
        return rng.choice(self.edits).format_map(_Slots(self, rng, product, {}))


class _Slots(dict[str, str]):
    """Fills a template: each slot once in a text, drawn when it is first asked for."""

    def __init__(self, phrases: Phrases, rng: random.Random, product: Product | None, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self._phrases = phrases
        self._rng = rng
        self._product = product

    def __missing__(self, name: str) -> str:
        value = self[name] = self._draw(name)
        return value

    def _draw(self, name: str) -> str:
        rng = self._rng
        pool = self._phrases.slots.get(name)
        if pool is not None:
            return rng.choice(pool)
        if name == "p":
            return _named(rng, self._product)
        if name == "amount":
            price = (self._product.price if self._product else 0) or rng.choice((9, 12, 15))
            return _PRICES.get(self._phrases.language, "{} €").format(f"{max(3, price - rng.randrange(3))}.90")
        numbers = {"n": (2, 9), "m": (4, 9), "nn": (11, 97), "order": (100_000, 999_999)}
        if name in numbers:
            return str(rng.randint(*numbers[name]))
        if name == "version":
            return f"{rng.randint(3, 5)}.{rng.randint(0, 19)}"
        if name == "code":
            return f"E{rng.randint(11, 99)}"
        if name == "handle":
            return f"@{rng.choice(('daily', 'home', 'city', 'news'))}{rng.randrange(1000)}"
        if name == "brand":
            return BRAND
        raise KeyError(name)


def _named(rng: random.Random, product: Product | None) -> str:
    """Return what a product is called; an app is never called by its second name alone."""
    name = product.name if product else ""
    chance = rng.random()
    if chance < 0.12:
        return f"@{BRAND.lower()} {name}"
    if chance < 0.32 and product is not None and product.form == "device":
        return name
    return f"{BRAND} {name}".strip()


def _sentence(text: str) -> str:
    """Return the text with a capital in front."""
    return text[0].upper() + text[1:]


@cache
def of(language: str) -> Phrases:
    """Return the phrases of a language; read once."""
    text = (files(__package__ or "connectors.simulator") / "phrases" / f"{language}.yaml").read_text("utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return Phrases(language, data)
