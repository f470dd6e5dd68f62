"""What a mention says of each of its brands, where it has more than one.

A text is cut into clauses at the ends of sentences and at words of contrast; a clause belongs to the brand that it names,
or to the one named before. Wordings that set one brand against another (`contrast.py`) say it of both: who is better than
whom, who was left for whom. What a clause feels like is asked of the same model as for whole texts. Stars and what is
quoted do not count here: nobody can tell which of the brands they are for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from pipeline.contract.events import Label, Sentiment, Towards
from pipeline.core.native import rounded
from pipeline.core.sentiment.contrast import LANGUAGES, MARKS, Contrast, Kind, contrast
from pipeline.core.sentiment.places import Place, places

Feel = Callable[[str], Sentiment]
"""What a piece of text feels like; the language is that of the whole."""

MOST_LETTERS: Final = 4000  # of a text that are looked at
MOST_GROUPS: Final = 60  # places of brands that are looked at: a list of names is no opinion
SAID: Final = 0.6  # the score of who is said to be better
IMPLIED: Final = 0.4  # of who was left for another without a word about why
ECHO: Final = 0.6  # of what is felt for one brand comes back on the one it is set against
FELT: Final = 0.2  # from this score on, what is said of a brand is held against the other one
LABELLED: Final = 0.2  # from this score on, what was set against another has a feeling
_FIRST: Final = ord("\ue000")
_MARK: Final = re.compile(f"[{MARKS}]")
_ENDS: Final = re.compile(r"[.!?…]+(?=\s|$)|[;\n]+")
_WORD: Final = re.compile(r"[\w'’]+")


def towards(
    text: str, brands: Mapping[str, tuple[str, ...]], language: str, whole: Sentiment, feel: Feel
) -> dict[str, Towards]:
    """Return label and score for each brand, -1 to 1; nothing in languages where nobody can tell.

    `brands` are the brands with the terms that matched; a brand whose terms do not stand in the text (it matched by a
    field) gets what the whole text says.
    """
    if language not in LANGUAGES or len(brands) < 2:
        return {}
    everybody = Towards(label=whole.label, score=whole.score)
    text = _MARK.sub(" ", text[:MOST_LETTERS])
    found = places(text, brands)[:MOST_GROUPS]
    scene = _Scene(text, found, contrast(language))
    if len(set(scene.groups)) < 2:
        return dict.fromkeys(brands, everybody)
    tones = _tones(scene, feel)
    return {brand: tones.get(brand, everybody) for brand in brands}


@dataclass(slots=True)
class _Said:
    """What was gathered about one group of brands."""

    texts: list[str] = field(default_factory=list)
    against: float = 0.0  # what comparisons say
    implied: float = 0.0  # what leaving or choosing says where nothing else is said


class _Scene:
    """A text in which each group of brands is one character, and what its comparisons say."""

    def __init__(self, text: str, found: Sequence[Place], words: Contrast) -> None:
        self.words = words
        self.groups: list[frozenset[str]] = []
        self.names: list[str] = []
        self.opposed: list[tuple[int, int]] = []  # groups of which one is what the other is not
        parts: list[str] = []
        end = 0
        gaps = [text[one.end : other.start] for one, other in pairwise(found)]
        for at, place in enumerate(found):
            between = text[end : place.start]
            if at and _is_list(words, gaps, at - 1):
                self.groups[-1] |= place.brands
                self.names[-1] += between + text[place.start : place.end]
            else:
                parts += (between, chr(_FIRST + len(self.groups)))
                self.groups.append(place.brands)
                self.names.append(text[place.start : place.end])
            end = place.end
        parts.append(text[end:])
        self.text = "".join(parts)
        self.said = [_Said() for _ in self.groups]

    def compare(self, feel: Feel) -> None:
        """Take the wordings out that set one brand against another, and note what they say."""
        for kind, pattern in self.words.relations:
            self._take(pattern, lambda found, kind=kind: self._related(kind, found))  # type: ignore[misc]
        self._take(self.words.than, lambda found: self._better(found, feel))
        self._take(self.words.unlike, self._unlike)

    def _take(self, pattern: re.Pattern[str], act: Callable[[re.Match[str]], str | None]) -> None:
        """Replace what a pattern finds by what `act` returns for it, None for nothing to replace."""
        start = 0
        while (found := pattern.search(self.text, start)) is not None:
            instead = act(found)
            if instead is None:
                start = found.start() + 1
            else:
                self.text = self.text[: found.start()] + instead + self.text[found.end() :]
                start = found.start() + len(instead)

    def _related(self, kind: Kind, found: re.Match[str]) -> str | None:
        b = _group(found["b"])
        a = _group(found["a"]) if "a" in found.re.groupindex else self._subject(found, b)
        if a is None or self.groups[a] == self.groups[b]:
            return None
        if kind in (Kind.LEFT, Kind.ABANDONED):
            self.opposed.append((b, a))
            if kind is Kind.ABANDONED and not self._asks(found):
                self.said[b].implied, self.said[a].implied = IMPLIED, -IMPLIED
            return chr(_FIRST + b)
        self._add(*((a, b) if kind is Kind.OVER else (b, a)), SAID, found)
        return chr(_FIRST + a)

    def _better(self, found: re.Match[str], feel: Feel) -> str | None:
        """Return what stands instead of `better than B`: nothing, where it is clear who is better."""
        b = _group(found["b"])
        a = self._subject(found, b)
        sign = self._sign(found["how"], feel)
        if a is None or not sign:
            return None
        if sign > 0 or self.words.denials.isdisjoint(_lower(found["how"])):
            self._add(a, b, SAID * sign, found)
        elif not self._asks(found):
            self.said[a].against -= SAID  # "no better than" praises neither
        return ""

    def _sign(self, how: str, feel: Feel) -> float:
        """Return 1 where the words before `than` praise, -1 where they blame, 0 where they compare nothing."""
        words = self.words
        said = _lower(how)
        sign = 0.0
        for at, word in enumerate(said):
            before = said[at - 1] if at else ""
            if word in words.better or word in words.worse:
                sign = (1.0 if word in words.better else -1.0) * (-1.0 if before in words.less else 1.0)
            elif before in words.more or before in words.less:
                label = feel(word).label
                size = 0.0 if label is Label.NEUTRAL else 1.0 if label is Label.POSITIVE else -1.0
                sign = size * (-1.0 if before in words.less else 1.0) or sign
        return -sign if not words.denials.isdisjoint(said) else sign

    def _unlike(self, found: re.Match[str]) -> str | None:
        b = _group(found["b"])
        a = self._subject(found, b)
        if a is None:
            return None
        self.opposed.append((a, b))
        return ""

    def _subject(self, found: re.Match[str], b: int) -> int | None:
        """Return whom a brand is set against: named before in the sentence, after it, or before that."""
        start = max((one.end() for one in _ENDS.finditer(self.text, 0, found.start())), default=0)
        stop = _ENDS.search(self.text, found.end())
        end = stop.start() if stop else len(self.text)
        before = [_group(one) for one in _MARK.findall(self.text, start, found.start())]
        after = [_group(one) for one in _MARK.findall(self.text, found.end(), end)]
        for group in (*reversed(before), *after):
            if self.groups[group] != self.groups[b]:
                return group
        return self._before(start)

    def _before(self, place: int) -> int | None:
        found = _MARK.findall(self.text, 0, place)
        return _group(found[-1]) if found else None

    def _add(self, better: int, worse: int, much: float, found: re.Match[str]) -> None:
        """Note who is better; a question says nothing, unless it asks why."""
        if not self._asks(found):
            self.said[better].against += much
            self.said[worse].against -= much

    def _asks(self, found: re.Match[str]) -> bool:
        stop = _ENDS.search(self.text, found.end() - 1)
        if stop is None or "?" not in stop[0]:
            return False
        start = max((one.end() for one in _ENDS.finditer(self.text, 0, found.start())), default=0)
        return self.words.asks_why.isdisjoint(_lower(self.text[start : found.start()]))

    def share_out(self) -> None:
        """Give each clause to the brands it is about."""
        topic: tuple[int, ...] = ()
        waiting: list[str] = []
        start, is_new = 0, True
        for split in [*self.words.splits.finditer(self.text), None]:
            end = split.start() if split else len(self.text)
            sign = split[0].strip() if split else ""
            for piece in self._cut(self.text[start:end], goes_on=bool(topic) and not is_new):
                topic = tuple(dict.fromkeys(map(_group, _MARK.findall(piece)))) or topic
                plain = self._plain(piece)
                if not _WORD.search(plain):
                    continue
                waiting.append(plain + (sign if sign[:1] in ("?", "!") else ""))
                if topic:
                    for group in topic:
                        self.said[group].texts += waiting
                    waiting = []
            start = split.end() if split else end
            is_new = sign[:1] in (*".!?…;", "")  # a sentence, not only a clause

    def _cut(self, piece: str, *, goes_on: bool) -> list[str]:
        """Return a piece cut between its groups of brands, where a comma or an `and` stands between them.

        Where a sentence goes on, what stands before a comma still belongs to the brand before.
        """
        marks = list(_MARK.finditer(piece))
        cuts = [0]
        if marks and goes_on and (comma := piece.rfind(",", 0, marks[0].start())) > 0:
            cuts.append(comma)
        for one, other in pairwise(marks):
            joins = list(self.words.joins.finditer(piece, one.end(), other.start()))
            if joins:
                cuts.append(joins[-1].start())
        return [piece[a:b] for a, b in pairwise([*cuts, len(piece)])]

    def _plain(self, piece: str) -> str:
        return _MARK.sub(lambda mark: self.names[_group(mark[0])], piece).strip(" ,:;-–—&")


def _group(mark: str) -> int:
    return ord(mark) - _FIRST


def _lower(text: str) -> list[str]:
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def _is_list(words: Contrast, gaps: Sequence[str], at: int) -> bool:
    """Whether the brands on both sides of a gap are named together; `A, B` alone may as well end a clause with A."""
    if not words.lists.fullmatch(gaps[at]):
        return False
    if "," not in gaps[at] or words.ands.search(gaps[at]):
        return True
    return at + 1 < len(gaps) and bool(gaps[at + 1].strip()) and _is_list(words, gaps, at + 1)


def _tones(scene: _Scene, feel: Feel) -> dict[str, Towards]:
    """Return what is said of the brands that stand in the text."""
    scene.compare(feel)
    scene.share_out()
    texts: dict[str, list[str]] = {}
    against: dict[str, float] = {}
    for group, said in zip(scene.groups, scene.said, strict=True):
        for brand in group:
            texts.setdefault(brand, []).extend(said.texts)
            against[brand] = against.get(brand, 0.0) + said.against
    felt = {brand: feel(". ".join(dict.fromkeys(said))) if said else None for brand, said in texts.items()}
    own = {brand: one.score for brand, one in felt.items() if one is not None and abs(one.score) >= FELT}
    for one, other in scene.opposed:
        for source, target in ((one, other), (other, one)):
            for brand in scene.groups[target]:
                if brand not in own:
                    tones = [own[name] for name in scene.groups[source] if name in own]
                    against[brand] -= ECHO * sum(tones) / len(tones) if tones else 0.0
    for group, said in zip(scene.groups, scene.said, strict=True):
        for brand in group:
            if said.implied and brand not in own and not against[brand]:
                against[brand] = said.implied
    return {brand: _said(felt[brand], against[brand]) for brand in texts}


def _said(felt: Sentiment | None, against: float) -> Towards:
    """Return the sum of what is said of a brand and what comparisons say."""
    if not against:
        return Towards(label=felt.label if felt else Label.NEUTRAL, score=felt.score if felt else 0.0)
    own = felt.score if felt is not None and abs(felt.score) >= FELT else 0.0
    score = max(-1.0, min(1.0, against + 0.5 * own))
    label = Label.POSITIVE if score >= LABELLED else Label.NEGATIVE if score <= -LABELLED else Label.NEUTRAL
    return Towards(label=label, score=rounded(score, 4))
