"""What a person's words about a mention teach: lessons, made of what the shipped parts see in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.contract.events import About, Kind, Lesson, Mention
from pipeline.core.language import UNKNOWN, Identifier
from pipeline.core.relevance import whole_text
from pipeline.core.routing.model import stars
from pipeline.core.routing.router import Router
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment.report import is_report, reported
from pipeline.core.sentiment.score import SentimentModel
from pipeline.core.spam import score as score_spam
from pipeline.core.taught import LABELS, SPAM, even, odds

MOST_WORDS: Final = 300  # of a mention that are learned
MOST_LETTERS: Final = 50  # of a word that is learned


def lessons_of(
    mention: Mention,
    *,
    department: str | None,
    sentiment: str | None,
    spam: bool | None,
    identifier: Identifier,
    router: Router,
    feeling: SentimentModel,
) -> Iterator[Lesson]:
    """Yield a lesson for each of the three that is said, with `number` 1. `department` is one of the shipped four.

    Raises ValueError with advice where the sentiment is none of negative, neutral and positive.
    """
    if sentiment is not None and sentiment not in LABELS:
        raise ValueError(f"{sentiment!r} is none of {', '.join(LABELS)}")
    text = whole_text(mention)
    found_words = words(text)
    code = identifier.identify(text, mention.language, found_words).code
    look = router.look(found_words, None if code == UNKNOWN else code)
    is_news = mention.kind is Kind.ARTICLE and is_report(found_words, code)
    if is_news:
        look = router.of_report(look)
    felt = feeling.judge(text, code, found_words, mention.rating, look.intents)
    if is_news:
        felt = reported(felt)
    kept = tuple(word[:MOST_LETTERS] for word in found_words[:MOST_WORDS])

    def lesson(about: About, truth: str, known: list[float], fired: tuple[str, ...] = (), score: float = 0.0) -> Lesson:
        return Lesson(
            number=1,
            id=mention.id,
            said_at=mention.collected_at,
            at=mention.collected_at,
            about=about,
            truth=truth,
            source=mention.source,
            words=kept,
            rules=fired,
            feeling=score,
            known=tuple(round(one, 4) for one in known),
        )

    if department is not None:
        known, fired = router.known(
            text, found_words, look, sentiment=felt.score, rating=stars(mention.rating), kind=mention.kind
        )
        yield lesson(About.DEPARTMENT, department, known, fired, felt.score)
    if sentiment is not None:
        yield lesson(About.SENTIMENT, sentiment, odds(felt))
    if spam is not None:
        yield lesson(About.SPAM, SPAM[spam], even(score_spam(text, found_words)[0]))
