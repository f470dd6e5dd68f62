"""From the tone of an English text and its form to how likely it is negative, neutral or positive.

Words alone say how a text sounds; how it is put says what it is for. A text that carries a link mostly passes something
on, one that is addressed to an account mostly wants something of it, a question is seldom praise. A linear model with
weights set by hand from what each sign means, in round steps; labelled sets served to check them. `Sentiment.confidence` is made from
its shares so that a stated 0.8 is right about 8 times of 10, and `earshot evaluate sentiment` shows whether it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from math import exp, sqrt
from struct import pack
from typing import Final, NamedTuple

from pipeline.core.intents import Intent
from pipeline.core.native import pick

Vector = tuple[float, float, float]  # negative, neutral, positive: before the softmax
Form = tuple[int, tuple[str, ...]]
"""Words in fives and which of SIGNS are there, a bit for each, the last one lowest; and intents."""
Feeling = tuple[int, float, float]  # place of the label in the order of every vector, score, confidence

TONE: Final = 2.0  # for and against, times the tone
STRENGTH: Final[Vector] = (0.7, -1.2, 0.5)  # times the tone's size: what sounds strongly is not neutral
START: Final[Vector] = (-0.9, 0.9, 0.0)  # most of what is said about a company is said without feeling
LENGTH: Final[Vector] = (0.4, 0.0, -0.4)  # for each 20 words: praise is short, trouble is told at length
REPORTED: Final = 0.5  # of a bad tone stays where somebody passes on what happened: news of a fire is no complaint
LONG: Final = 40  # words from which more of them say no more

SIGNS: Final[dict[str, Vector]] = {
    "link": (-0.5, 0.5, 0.0),
    "addressed": (0.5, -0.25, -0.25),
    "asks": (0.25, 0.25, -0.5),
    "exclaims": (-0.25, -0.25, 0.5),
    "denies": (0.5, 0.0, -0.5),
}
INTENTS: Final[dict[str, Vector]] = {
    Intent.PROBLEM.value: (0.4, 0.0, -0.4),
    Intent.COMPLAINT.value: (0.3, -0.3, 0.0),
    Intent.CHURN_THREAT.value: (0.75, -0.25, -0.5),
    Intent.QUESTION.value: (0.0, 0.5, -0.5),
    Intent.PRAISE.value: (-0.2, -0.2, 0.4),
    Intent.PRESS.value: (0.0, 0.5, -0.5),
    Intent.JOB_ADVERT.value: (0.0, 0.8, -0.8),
}
_DENIALS: Final = """
    not no never dont don't cant can't cannot wont won't didnt didn't doesnt doesn't isnt isn't arent aren't wasnt wasn't
    werent weren't havent haven't hasnt hasn't couldnt couldn't wouldnt wouldn't shouldnt shouldn't"""
_PERSONS: Final = """
    i im i'm ive i've id i'd ill i'll me my mine myself we we're we've our ours us you your youre you're u ur guys pls
    please thanks thank"""
PERSONS: Final = frozenset(_PERSONS.split())
DENIALS: Final = frozenset(_DENIALS.split())
ALPHA: Final = 15.0  # VADER's: tone = s / sqrt(s² + 15)
_HONEST: Final = 0.65  # shares up to here are right as often as they say; above, they are surer than they should be
_SLOWER: Final = 0.7
_REMEMBERED: Final = 20_000  # forms whose sums are kept


class Shares(NamedTuple):
    """How likely each label is; they sum to 1."""

    negative: float
    neutral: float
    positive: float


Known = dict[Form, Vector]
Learn = Callable[[int, tuple[str, ...]], Vector]
Tables = tuple[Known, Learn, frozenset[str], frozenset[str], bytes]
"""Forms that are known, what is asked about a new one, words for persons, denials; and the numbers above, packed."""


class FormModel:
    """Shares of the three labels. What a form adds is worked out once: few forms there are."""

    def __init__(self) -> None:
        self._known: Known = {}
        numbers = pack("8d", TONE, *STRENGTH, REPORTED, _HONEST, _SLOWER, ALPHA)
        self._tables: Tables = (self._known, self.learn, PERSONS, DENIALS, numbers)

    def feeling(self, total: float, text: str, words: Sequence[str], intents: tuple[str, ...]) -> Feeling:
        """Return label, score and confidence of a text; `total` is the sum of the valences of its words.

        `words` are its lower-case words, `intents` what rules found.
        """
        return _feeling(self._tables, total, text, words, intents)

    def learn(self, number: int, intents: tuple[str, ...]) -> Vector:
        """Return what a form adds, and remember it."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        vector = self._known[number, intents] = _sums(number, intents)
        return vector


def feeling_twin(tables: Tables, total: float, text: str, words: Sequence[str], intents: tuple[str, ...]) -> Feeling:
    """Return what `FormModel.feeling` does."""
    known, learn, *_ = tables
    found = shares(known, learn, total / sqrt(total * total + ALPHA), text, words, intents)
    negative, neutral, positive = found
    label = 1 if neutral >= negative and neutral >= positive else 0 if negative >= positive else 2
    return label, positive - negative, stated(found[label])


def shares(
    known: Known, learn: Learn, tone: float, text: str, words: Sequence[str], intents: tuple[str, ...]
) -> Shares:
    """Return the shares for a text whose words sound like `tone`, -1 to 1."""
    has_link = "http" in text
    if has_link and tone < 0 and "@" not in text and PERSONS.isdisjoint(words):
        tone *= REPORTED
    signs = (has_link, text.startswith("@"), "?" in text, "!" in text, not DENIALS.isdisjoint(words))
    number = min(len(words), LONG) // 5
    for is_there in signs:
        number = number << 1 | is_there
    vector = known.get((number, intents))
    a, b, c = learn(number, intents) if vector is None else vector
    size = abs(tone)
    negative = exp(a - TONE * tone + STRENGTH[0] * size)
    neutral = exp(b + STRENGTH[1] * size)
    positive = exp(c + TONE * tone + STRENGTH[2] * size)
    whole = negative + neutral + positive
    return Shares(negative / whole, neutral / whole, positive / whole)


def stated(share: float) -> float:
    """Return the confidence to state for the share of the likeliest label."""
    return share if share <= _HONEST else _HONEST + _SLOWER * (share - _HONEST)


_feeling: Final[Callable[[Tables, float, str, Sequence[str], tuple[str, ...]], Feeling]] = pick("feeling", feeling_twin)


def _sums(number: int, intents: tuple[str, ...]) -> Vector:
    """Return what a form adds for each label, the start among it."""
    signs = [number >> place & 1 for place in reversed(range(len(SIGNS)))]
    scale = (number >> len(SIGNS)) / 4
    found = [START, (LENGTH[0] * scale, LENGTH[1] * scale, LENGTH[2] * scale)]
    found += compress(SIGNS.values(), signs)
    found += [INTENTS[name] for name in intents if name in INTENTS]
    negative = neutral = positive = 0.0
    for a, b, c in found:
        negative += a
        neutral += b
        positive += c
    return negative, neutral, positive
