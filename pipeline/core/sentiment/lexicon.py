"""The polarity words of `pipeline/rules/sentiment-*.yaml`, ready to be looked up.

`pipeline/rules/README.md` says how the files are read. All forms of a word are written out when the file is loaded, so
that a look-up is one of a dictionary.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import compress, count
from typing import Any, Final, NamedTuple

import yaml

from pipeline.core.native import pick

LANGUAGES: Final = ("en", "de", "es", "fr", "it", "pt")
STRONGER: Final = 1.3
WEAKER: Final = 0.7
DENIED: Final = -0.7  # "not good" is less bad than "bad" is
DENIED_NEGATIVE: Final = -0.3  # and "not bad" hardly good
REACH: Final = 3  # words behind a negation that it may deny
BEFORE_TURN: Final = 0.5  # VADER's weights around "but"
BEHIND_TURN: Final = 1.5
_ANY: Final = ("", "s", "es", "mente")  # endings that `*` stands for
_DRAWN_OUT: Final = re.compile(r"(\w)\1{2,}")

_EMOJI: Final = {
    2.0: "😍🥰😘❤♥♡💕💖💗💙💚💛💜🖤🧡🤍💞💓💝💘🤩🥳🎉🎊👏🙌😻💯🏆",
    1.5: "😀😃😄😁😊☺😇🙂😋😎👍💪🤗✨😚😙🌹🥂👌😌🤝💐😺",
    0.6: "😂🤣😆😅😉🔥🙏💃🎶🌞😏🍀",
    -0.4: "😭🤔😱😅🤷😐😑😶😳😴😨",
    -1.2: "😕🙁☹😒🙄😬😔😞😟😓😥😰🤦😩😫😪😷🤒😦😧😖😣🥺🤕",
    -2.2: "😠😡🤬😢😤💔👎🤮🤢💩🖕😾😿👿🤡",
}
EMOJI: Final = {char: value for value, chars in _EMOJI.items() for char in chars}

Phrase = tuple[tuple[str, ...], bool, float]  # the words behind the first, whether the last is open, valence


Following = tuple[bool, frozenset[str], tuple[str, ...]]
"""Whether a word is a phrase by itself, the words that a phrase goes on with, and beginnings of such words: frequent words
begin phrases, and what stands behind them seldom goes on so."""


def _following(phrases: Sequence[Phrase]) -> Following:
    return (
        any(not rest for rest, _, _ in phrases),
        frozenset(rest[0] for rest, _, _ in phrases if rest),
        tuple(rest[0] for rest, is_open, _ in phrases if is_open and len(rest) == 1),
    )


class Phrases:
    """Words in a row that mean more than each of them."""

    def __init__(self, phrases: Mapping[float, Sequence[str]]) -> None:
        self._by_first: dict[str, tuple[Phrase, ...]] = {}
        for value, texts in phrases.items():
            for text in texts:
                first, *rest = _plain(text.removesuffix("*")).split()
                phrase = (tuple(rest), text.endswith("*"), float(value))
                self._by_first[first] = tuple(
                    sorted((*self._by_first.get(first, ()), phrase), key=lambda one: -len(one[0]))
                )
        self._follow = {first: _following(known) for first, known in self._by_first.items()}

    def total(self, words: Sequence[str], most: int) -> float:
        """Return the sum of the valences of the phrases in the first words; the longest phrase at a place counts."""
        return _phrases(self._follow, self._by_first, words, most)

    def at(self, words: Sequence[str], place: int) -> tuple[int, float]:
        """Return how many words a phrase that begins here has, and its valence; 0 and 0.0 where none does."""
        return _phrase_at(self._by_first, words, place)


def _phrase_at(by_first: Mapping[str, tuple[Phrase, ...]], words: Sequence[str], place: int) -> tuple[int, float]:
    for rest, is_open, value in by_first.get(words[place], ()):
        if not rest:
            return 1, value
        found = tuple(words[place + 1 : place + 1 + len(rest)])
        if found == rest:
            return 1 + len(rest), value
        if is_open and found[:-1] == rest[:-1] and len(found) == len(rest) and found[-1].startswith(rest[-1]):
            return 1 + len(rest), value
    return 0, 0.0


def phrases_twin(
    follow: Mapping[str, Following], by_first: Mapping[str, tuple[Phrase, ...]], words: Sequence[str], most: int
) -> float:
    """Return the sum of the valences of the phrases in the first words, at most so many."""
    if len(words) > most:
        words = words[:most]
    total = 0.0
    last = len(words) - 1
    found = list(map(follow.get, words))
    for place in compress(count(), found):  # C code passes over words that begin no phrase
        following = found[place]
        assert following is not None
        is_alone, seconds, beginnings = following
        if is_alone or (
            place < last
            and ((word := words[place + 1]) in seconds or (bool(beginnings) and word.startswith(beginnings)))
        ):
            total += _phrase_at(by_first, words, place)[1]
    return total


_phrases: Final[Callable[[Mapping[str, Following], Mapping[str, tuple[Phrase, ...]], Sequence[str], int], float]] = (
    pick("phrases", phrases_twin)
)


class Entry(NamedTuple):
    """What one word does."""

    valence: float
    is_negation: bool = False
    turns: bool = False
    scales: float = 0.0  # factor for the word behind it; 0.0 where it is none
    begins_phrase: bool = False


class Lexicon:
    """Polarity words of one language, with its negations, intensifiers and words for "but"."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        endings = tuple(data["endings"])
        self._phrases = Phrases(data["phrases"])
        valences = {form: float(value) for value, forms in _written_out(data["words"], endings) for form in forms}
        # People leave accents out; where that gives another word of the list, the other word stays.
        for word, value in list(valences.items()):
            valences.setdefault(_bare(word), value)
        self._entries: dict[str, Entry] = {word: Entry(value) for word, value in valences.items()}
        self._add("negations", data, is_negation=True)
        self._add("turns", data, turns=True)
        self._add("stronger", data, scales=STRONGER)
        self._add("weaker", data, scales=WEAKER)
        for texts in data["phrases"].values():
            for text in texts:
                first = _plain(text).split()[0]
                self._entries[first] = self._entries.get(first, Entry(0.0))._replace(begins_phrase=True)

    def _add(self, key: str, data: Mapping[str, Any], **changes: Any) -> None:
        for word in data[key].split():
            self._entries[word] = self._entries.get(word, Entry(0.0))._replace(**changes)

    def total(self, words: Sequence[str]) -> float:
        """Return the sum of the valences as negations, intensifiers and "but" leave them."""
        total = before = 0.0
        denied_until = -1
        scale = 1.0
        place = 0
        entries = list(map(self._entries.get, words))
        for number, found in enumerate(entries):
            entry = found
            if found is None and "'" in words[number]:  # j'adore, l'assistenza: the word behind the elided one
                entry = self._entries.get(words[number].rpartition("'")[2])
            if entry is None:
                scale = 1.0
                continue
            if number < place:  # within a phrase
                continue
            if entry.begins_phrase:
                length, value = self._phrases.at(words, number)
                if length:
                    total, place, scale = total + value, number + length, 1.0
                    continue
            if entry.valence:
                value = entry.valence * scale
                if number <= denied_until:
                    value *= DENIED if value > 0 else DENIED_NEGATIVE
                total += value
            if entry.is_negation:
                denied_until = number + REACH
            if entry.turns:
                before, total = before + total, 0.0
                denied_until = -1
            scale = entry.scales or 1.0
        return BEFORE_TURN * before + BEHIND_TURN * total if before else total


def undrawn(words: Sequence[str]) -> list[str]:
    """Return words without drawn-out letters: `toooll` is `toll`; a row of one letter (`kkkkk`) becomes three of it."""
    return [_DRAWN_OUT.sub(r"\1", word) if len(set(word)) > 1 else word[:3] for word in words]


def _written_out(words: Mapping[float, str], endings: tuple[str, ...]) -> Iterator[tuple[float, tuple[str, ...]]]:
    for value, text in words.items():
        for word in text.split():
            stem = word.rstrip("~*")
            ends = endings if word.endswith("~") else _ANY if word.endswith("*") else ("",)
            yield value, tuple(stem + end for end in ends)


def _bare(word: str) -> str:
    """Return a word without accents."""
    if word.isascii():
        return word
    return "".join(char for char in unicodedata.normalize("NFD", word) if not unicodedata.combining(char))


def _plain(text: str) -> str:
    """Return a phrase as texts are compared: without apostrophes (see `words` of the tokens)."""
    return text.replace("'", "").replace("’", "")


@lru_cache(maxsize=len(LANGUAGES))
def read(language: str) -> Mapping[str, Any]:
    """Return the shipped file of a language."""
    text = (files("pipeline") / "rules" / f"sentiment-{language}.yaml").read_text(encoding="utf-8")
    data: Mapping[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return data


def valences(language: str) -> dict[str, float]:
    """Return word -> valence of a file without endings."""
    return {form: float(value) for value, forms in _written_out(read(language)["words"], ("",)) for form in forms}
