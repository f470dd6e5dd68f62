"""The made-up company, what it sells, where people talk about it, and the people. All of it follows from a seed."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final, Generic, Literal, TypeVar

from pipeline.contract.events import Author, Kind

BRAND: Final = "Quillmoor"
LANGUAGES: Final[Mapping[str, float]] = {"en": 0.36, "de": 0.22, "es": 0.14, "fr": 0.11, "it": 0.09, "pt": 0.08}
"""Shares of the languages, by the weekly mean."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something the company sells. `form` says what can happen to it: an app does not leak."""

    name: str
    form: Literal["app", "device"]
    price: int


PRODUCTS: Final = (
    Product("Home", "app", 0),
    Product("Plus", "app", 9),
    Product("Ember", "device", 349),  # a coffee machine
    Product("Halo", "device", 79),  # a lamp
    Product("Drift", "device", 499),  # a vacuum robot
    Product("Hub", "device", 129),
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A place where people talk: the `subject` of what is said there. `is_about` means the place itself is ours."""

    subject: str
    kind: Kind
    share: float
    is_about: bool = False
    details: float = 0.6  # chance of a second sentence; a third has half of it


MICROBLOG: Final = Channel("microblog", Kind.POST, 0.44)
FORUM: Final = Channel("forum-smart-home", Kind.QUESTION, 0.14, details=0.9)
NEWS: Final = Channel("news", Kind.ARTICLE, 0.0, details=0.9)
IOS: Final = Channel("quillmoor-home-ios", Kind.REVIEW, 0.08, is_about=True, details=0.7)
ANDROID: Final = Channel("quillmoor-home-android", Kind.REVIEW, 0.09, is_about=True, details=0.7)
SHOP: Final = Channel("quillmoor-shop", Kind.REVIEW, 0.11, is_about=True, details=0.9)
PHOTOS: Final = Channel("photos", Kind.POST, 0.07, details=0.4)
VIDEOS: Final = Channel("video-comments", Kind.COMMENT, 0.07, details=0.4)
CHANNELS: Final = (MICROBLOG, FORUM, IOS, ANDROID, SHOP, PHOTOS, VIDEOS)
ANYWHERE: Final = (MICROBLOG, FORUM, PHOTOS, VIDEOS)
STORES: Final = (IOS, ANDROID)

OWN: Final = (
    Author(
        id="own-1",
        handle="quillmoor",
        name="Quillmoor",
        followers=214_000,
        created_at=datetime(2012, 3, 1, tzinfo=UTC),
        url="https://microblog.example/@quillmoor",
    ),
    Author(
        id="own-2",
        handle="quillmoor_help",
        name="Quillmoor Help",
        followers=18_500,
        created_at=datetime(2014, 9, 1, tzinfo=UTC),
        url="https://microblog.example/@quillmoor_help",
    ),
)
"""The company's own accounts."""

_FIRST: Final[Mapping[str, str]] = {
    "en": "Alice Ben Chloe Dan Ella Finn Grace Harry Isla Jack Kate Liam Maya Noah Olive Pete Rosie Sam Tess Will",
    "de": "Anke Bernd Clara Dirk Elke Falk Greta Hannes Ida Jonas Karla Lars Mia Nils Olga Paul Rieke Sven Tilda Uwe",
    "es": "Ana Bruno Carmen Diego Elena Fabio Gloria Hugo Inés Javier Lola Mateo Nuria Óscar Paula Raúl Sara Tomás",
    "fr": "Alix Basile Claire Denis Élise Fabien Gaëlle Hugo Inès Jules Lise Marc Noémie Odile Paul Rémi Sylvie Théo",
    "it": "Anna Bruno Chiara Dario Elisa Fabio Gaia Ivo Lara Marco Nina Oreste Paola Remo Sara Tito Ugo Vera",
    "pt": "Ana Beto Clara Davi Elisa Fábio Gilda Hélio Íris João Lia Mário Nuno Olga Paulo Rita Sílvia Tiago",
}
_LAST: Final[Mapping[str, str]] = {
    "en": "Ashdown Birch Carver Dale Eastman Frost Garland Hollis Ingram Kirby Marlow Norwood Pike Rowan Stokes Thorne",
    "de": "Ahrens Brandt Claussen Dorn Ebert Fuchs Gruber Hartwig Imhof Jansen Kessler Lorenz Moser Nolte Petri Ritter",
    "es": "Aranda Beltrán Castaño Duarte Esquivel Fuentes Gallego Herrera Ibarra Lozano Merino Navas Olmedo Prieto",
    "fr": "Aubert Barbier Caron Delorme Esnault Fabre Garnier Hubert Imbert Joly Lambert Marchand Noël Prévost Rolland",
    "it": "Amato Bassi Colombo Danesi Ermini Fontana Grassi Innocenti Leone Marini Neri Orlandi Piras Ruggeri Salvi",
    "pt": "Abreu Barros Cardoso Duarte Esteves Faria Gomes Henriques Leite Moura Neves Pacheco Queirós Rocha Serra",
}
_HANDLE_WORDS: Final = [
    "kitchen",
    "lab",
    "loft",
    "garden",
    "analog",
    "pixel",
    "mono",
    "tea",
    "vinyl",
    "north",
    "river",
    "paper",
    "cycle",
    "moss",
    "copper",
    "lime",
    "radio",
    "cloud",
]
_LETTERS: Final = str.maketrans("áàâãäéèêëíìîïóòôõöúùûüçñÁÉÍÓÚ", "aaaaaeeeeiiiiooooouuuucnAEIOU")
FAME: Final = 1.15  # exponent of the followers' power law
MOST_FOLLOWERS: Final = 2_500_000
ACTIVITY: Final = 2.2  # how much more the busiest write than the others


class People:
    """All authors of a seed: `count` ordinary ones over the languages, and bots beside them."""

    def __init__(self, seed: int, count: int, languages: Mapping[str, float]) -> None:
        rng = random.Random(f"people {seed}")
        whole = sum(languages.values())
        self._ordinary = {
            language: [_author(rng, language, place) for place in range(max(3, round(count * share / whole)))]
            for language, share in languages.items()
        }
        self._bots = {
            language: [_bot(rng, language, place) for place in range(max(2, len(authors) // 40))]
            for language, authors in self._ordinary.items()
        }

    def __len__(self) -> int:
        return sum(map(len, self._ordinary.values())) + sum(map(len, self._bots.values()))

    def one(self, rng: random.Random, language: str) -> Author:
        """Return somebody who speaks this language; some speak often, most seldom."""
        authors = self._ordinary[language]
        return authors[int(len(authors) * rng.random() ** ACTIVITY)]

    def known(self, rng: random.Random, language: str) -> Author:
        """Return one of those whom many follow."""
        authors = self._ordinary[language]
        return max((authors[int(len(authors) * rng.random())] for _ in range(12)), key=lambda one: one.followers or 0)

    def bot(self, rng: random.Random, language: str) -> Author:
        """Return an automated account; some say so, some do not."""
        bots = self._bots[language]
        return bots[int(len(bots) * rng.random())]


@lru_cache(maxsize=8)
def people(seed: int, count: int, languages: tuple[tuple[str, float], ...]) -> People:
    """Return the people of a seed; made once."""
    return People(seed, count, dict(languages))


def _author(rng: random.Random, language: str, place: int) -> Author:
    first, last = rng.choice(_FIRST[language].split()), rng.choice(_LAST[language].split())
    words = (first, rng.choice(_HANDLE_WORDS), last)
    handle = "_".join(rng.sample(words, 2)).translate(_LETTERS).lower() + str(rng.randrange(1000))
    followers = min(MOST_FOLLOWERS, int(25 * (1.0 - rng.random()) ** (-1 / FAME)) - 20)
    return Author(
        id=f"{language}-{place}",
        handle=handle,
        name=f"{first} {last}" if rng.random() < 0.7 else first,
        followers=max(0, followers),
        created_at=datetime(2009, 1, 1, tzinfo=UTC) + timedelta(days=rng.randrange(6000)),
    )


def _bot(rng: random.Random, language: str, place: int) -> Author:
    return Author(
        id=f"{language}-b{place}",
        handle=f"{rng.choice(_HANDLE_WORDS)}{rng.randrange(10_000, 99_999)}",
        followers=rng.randrange(40),
        created_at=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=rng.randrange(300)),
        bot=True if rng.random() < 0.6 else None,
    )


T = TypeVar("T")


class Weighted(Generic[T]):
    """Things with weights, to be drawn from."""

    def __init__(self, things: Sequence[T], weights: Sequence[float]) -> None:
        self._things = tuple(things)
        self._sums = tuple(accumulate(weights))

    def draw(self, rng: random.Random) -> T:
        """Return one of them, by its weight."""
        return self._things[min(len(self._things) - 1, bisect(self._sums, rng.random() * self._sums[-1]))]
