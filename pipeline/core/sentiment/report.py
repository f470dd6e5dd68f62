"""Articles report what happened: a fire, a fine, a strike. That is news, and nobody's complaint.

An article in which somebody speaks of himself ("my parcel", "I waited") is an experience all the same, and so is one with
words so strong that no news desk would print them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.contract.events import Label, Sentiment
from pipeline.core.native import rounded
from pipeline.core.sentiment.form import PERSONS, REPORTED

STRONG: Final = -0.75  # from here on it is an opinion, whoever writes it
SURE: Final = 0.5  # how sure a feeling is that was taken back
_OTHERS: Final[dict[str, str]] = {
    "de": "ich mir mich mein meine meinen meinem meiner wir uns unser unsere euch euer",
    "es": "yo me mí mi mis nos nuestro nuestra nosotros",
    "fr": "je j'ai j moi me m'a mon ma mes nous notre nos",
    "it": "io mi mio mia miei mie ho noi nostro nostra",
    "pt": "eu me mim meu minha meus minhas nós nosso nossa",
}
_ENGLISH: Final = PERSONS - {"us"}  # a country in headlines
_EXPERIENCED: Final = {language: frozenset(words.split()) for language, words in _OTHERS.items()}


def is_report(words: Sequence[str], language: str) -> bool:
    """Whether nobody speaks of himself in the lower-case words of an article."""
    return _EXPERIENCED.get(language, _ENGLISH).isdisjoint(words)


def reported(said: Sentiment) -> Sentiment:
    """Return the feeling of a report: what is bad in it happened, and is not what its author feels."""
    if said.label is not Label.NEGATIVE or said.score <= STRONG:
        return said
    return Sentiment(label=Label.NEUTRAL, score=rounded(REPORTED * said.score, 4), vader=said.vader, confidence=SURE)
