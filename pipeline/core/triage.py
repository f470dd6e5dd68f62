"""A mention in, a decision out: everything triage decides, in one place and without a broker.

Order, cheapest first, since most of a firehose is about nobody: heartbeat, withdrawn, duplicate, empty; is it about a
brand; then own account, too old, language, spam, sentiment, rules and model, the company's routes, departments,
priority, story. What is about no brand leaves after the query and costs a few microseconds.

`created_at` may be anything: a mention from next year is not too old, one from the year 1 is too old where `max_age`
is set; `pipeline.core.pulse` says in which minute they count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from pipeline.config.model import Config, Route
from pipeline.contract.events import (
    Decision,
    Fired,
    JudgedMention,
    Kind,
    Lesson,
    Mention,
    Outcome,
    Reason,
    Sentiment,
    State,
    Towards,
)
from pipeline.core.dedup import Memory
from pipeline.core.departments import NO_ORDERS, REVIEW, Departments, Orders, Placing, orders
from pipeline.core.doubt import in_doubt
from pipeline.core.judged import judged_from
from pipeline.core.language import UNKNOWN, Identifier, primary
from pipeline.core.learning.line import Predicted
from pipeline.core.matching import CAMPAIGN, Early, Matched, Queries
from pipeline.core.native import rounded
from pipeline.core.relevance import Running, own_accounts, whole_text, without_own
from pipeline.core.routing.model import RoutingModel, stars
from pipeline.core.routing.router import Reading, Router
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment.report import is_report, reported
from pipeline.core.sentiment.score import Lexical, SentimentModel
from pipeline.core.sentiment.tiers import Answers, Tiered
from pipeline.core.sentiment.towards import towards
from pipeline.core.spam import score as score_spam
from pipeline.core.spam import shipped as shipped_signs
from pipeline.core.taught import Taught
from pipeline.core.teaching import lessons_of
from pipeline.core.urgency import QUARANTINE, urgency
from pipeline.core.verdicts import Discard, Verdict, remember, set_aside, withdraw

HEARTBEAT: Final = "heartbeat"  # the source name of the connectors role's own mentions
PROMISED_SOON: Final = 3600.0  # a department that answers within this many seconds gets its problems as urgent

# Members of enumerations, looked up once: Python 3.11 takes 0.2 µs for each, and a mention asks for a dozen.
_THERE: Final = (State.LIVE, State.EDITED)  # not withdrawn
_ARTICLE: Final = Kind.ARTICLE
_ROUTED: Final = Outcome.ROUTED
_NONE: Final[Matched] = {}
_NO_TOWARDS: Final[dict[str, Towards]] = {}


class Seen(Struct, gc=False):
    """What the steps before the decision found in a mention."""

    mention: Mention
    brands: Matched
    campaigns: tuple[str, ...]
    words: list[str]
    language: str
    language_by: str
    spam: float
    spam_reasons: tuple[str, ...]
    sentiment: Sentiment
    reading: Reading


class Triage:
    """Judges mentions by one configuration. Holds no mention: what was seen is in the `Memory` it is given.

    Not for several threads at once. `model` replaces the hand-set routing model. `deep` is the version of the stronger
    sentiment model whose answers will be given (`answers`); None where there is none.
    """

    def __init__(self, config: Config, *, model: RoutingModel | None = None, deep: str | None = None) -> None:
        self._routes = config.routes
        self._has_brands = bool(config.brands)
        self._queries = Queries(config)
        self._campaigns = [Running(name, campaign) for name, campaign in config.campaigns.items()]
        self._own = own_accounts(config)
        self._languages = {
            name: frozenset(filter(None, map(primary, brand.languages)))
            for name, brand in config.brands.items()
            if brand.languages
        }
        self._router = Router(use_shipped=config.routing.shipped_rules, model=model)
        self._departments = Departments(config.departments, config.routing)
        self._soon = frozenset(
            name
            for name, department in config.departments.items()
            if department.answer_within is not None and department.answer_within <= PROMISED_SOON
        )
        self._max_age = config.triage.max_age
        self._identifier = Identifier()
        self._shipped = Lexical()
        self._feeling: SentimentModel = self._shipped
        self._tiers: Tiered | None = None
        if deep is not None and config.sentiment.deep is not None:
            self._feeling = self._tiers = Tiered(self._shipped, config.sentiment.deep, deep)
        self._taught = Taught(config.learning.proof)
        self._learned: str | None = None
        self._fixed = repr((config.routing, config.routes, config.departments))
        self.version = self._digest()

    def judge(self, mention: Mention, memory: Memory, now: datetime) -> Verdict:
        """Return what becomes of a mention, and remember it when it is about a brand.

        `Discard` for what is only counted: heartbeat, duplicate, empty, not_relevant, and withdrawn where it was never
        seen. Everything else is a JudgedMention, also what is discarded for another reason or quarantined.
        """
        if mention.source == HEARTBEAT:
            return Discard(Reason.HEARTBEAT)
        known = memory.latest(mention.id)
        if mention.state not in _THERE:
            return withdraw(mention, known, memory, now, self.version)
        if known is not None and mention.revision <= known.revision:
            return Discard(Reason.DUPLICATE)
        text = whole_text(mention)
        if not text and mention.rating is None:
            return Discard(Reason.EMPTY)
        early = self._queries.early(mention, self._language_fact(mention, text))
        brands = early.brands
        if self._has_brands and not brands:
            if known is None:
                return Discard(Reason.NOT_RELEVANT)
            brands = dict.fromkeys(known.brands, ())  # an edit does not take a mention from those who had it
        verdict = self._judge_relevant(mention, text, brands, early, memory, now)
        if isinstance(verdict, JudgedMention):
            remember(memory, verdict)
        return verdict

    # ------------------------------------------------------------------------------------------- the stronger model

    def doubt(self, mention: Mention, memory: Memory) -> str | None:
        """Return the text that the stronger model should be asked about, None where it need not be."""
        if self._tiers is None or mention.source == HEARTBEAT:
            return None
        return in_doubt(
            mention,
            memory,
            queries=self._queries if self._has_brands else None,
            identifier=self._identifier,
            router=self._router,
            feeling=self._tiers,
            quarantine=QUARANTINE,
        )

    def answers(self, said: Answers) -> None:
        """Take the stronger model's answers, by text, for the mentions that are judged next."""
        if self._tiers is not None:
            self._tiers.answers = said

    # ------------------------------------------------------------------------------------------- what is learned

    def lessons(
        self, mention: Mention, *, department: str | None = None, sentiment: str | None = None, spam: bool | None = None
    ) -> Iterator[Lesson]:
        """Return what a person's words about a mention teach, each lesson with `number` 1; nothing is learned by it.

        Raises ValueError with advice where the department stands for none of the four shipped ones, or the sentiment
        is none of negative, neutral and positive.
        """
        return lessons_of(
            mention,
            department=None if department is None else self._canonical(department),
            sentiment=sentiment,
            spam=spam,
            identifier=self._identifier,
            router=self._router,
            feeling=self._shipped,
        )

    @property
    def learnable(self) -> frozenset[str]:
        """The departments that something can be learned for: those that stand for one of the shipped four."""
        return frozenset(self._departments.canonical)

    def _canonical(self, department: str) -> str:
        found = self._departments.canonical.get(department)
        if found is None:
            known = ", ".join(sorted(self._departments.canonical))
            raise ValueError(f"nothing is learned for department {department!r}; write one of {known}")
        return found

    def teach(self, lesson: Lesson) -> Predicted:
        """Learn one lesson; return what was said about it before. The next decision is made with it.

        Raises ValueError where its truth is no class of what it is about.
        """
        predicted = self._taught.take(lesson)
        self._adopt()
        return predicted

    def unlearn(self, numbers: AbstractSet[int]) -> bool:
        """Forget lessons whose mentions were erased; say whether any was still seen again."""
        is_changed = self._taught.forget(numbers)
        if is_changed:
            self._adopt()
        return is_changed

    def learn(
        self, mention: Mention, *, department: str | None = None, sentiment: str | None = None, spam: bool | None = None
    ) -> None:
        """Learn what a person says about a mention, without limits. Raises ValueError as `lessons` does."""
        for lesson in self.lessons(mention, department=department, sentiment=sentiment, spam=spam):
            self.teach(replace(lesson, number=self._taught.number + 1))

    @property
    def taught(self) -> Taught:
        """What was learned so far."""
        return self._taught

    @taught.setter
    def taught(self, known: Taught) -> None:
        self._taught = known
        self._adopt()

    def _adopt(self) -> None:
        """Let what is in service now have its say."""
        self._router.learner = self._taught.department
        self._learned = self._taught.version or None
        self.version = self._digest()

    # ------------------------------------------------------------------------------------------- about a brand

    def _judge_relevant(
        self, mention: Mention, text: str, matched: Matched, early: Early, memory: Memory, now: datetime
    ) -> Verdict:
        brands = without_own(matched, mention.author, self._own)
        if matched and not brands:
            return set_aside(mention, matched, Reason.OWN_ACCOUNT, now, self.version)
        if self._max_age is not None and not mention.backfill and _age(mention, now) > self._max_age:
            return set_aside(mention, brands, Reason.TOO_OLD, now, self.version)
        campaigns = self._running(mention, brands, early) if self._campaigns and early.has_more else ()
        seen = self._sense(mention, text, brands, campaigns)
        if self._languages and brands:
            seen.brands = self._listening(brands, seen.language)
            if not seen.brands:
                return Discard(Reason.NOT_RELEVANT)
        said = orders(self._routes, self._match_routes(seen, early)) if self._routes else NO_ORDERS
        return self._decide(seen, said, memory, now)

    def _running(self, mention: Mention, brands: Matched, early: Early) -> tuple[str, ...]:
        """Return the campaigns a mention belongs to."""
        return tuple(
            one.name
            for one in self._campaigns
            if CAMPAIGN + one.name in early.all and one.takes(brands, mention.created_at)
        )

    def _listening(self, brands: Matched, spoken: str) -> Matched:
        """Return the brands that listen in a language."""
        return {name: terms for name, terms in brands.items() if self._listens(name, spoken)}

    def _listens(self, brand: str, spoken: str) -> bool:
        wanted = self._languages.get(brand)
        return wanted is None or spoken in wanted or spoken == UNKNOWN  # what is unclear is not lost

    def _language_fact(self, mention: Mention, text: str) -> Mapping[str, object]:
        """Return the language for the first walk, where a brand or campaign asks for it."""
        if not self._queries.asks_language:
            return _NONE
        return {"language": self._identifier.identify(text, mention.language, words(text)).code}

    def _sense(self, mention: Mention, text: str, brands: Matched, campaigns: tuple[str, ...]) -> Seen:
        """Read out of a text what is in it: language, spam, sentiment, rules and model."""
        found_words = words(text)
        spoken = self._identifier.identify(text, mention.language, found_words)
        spam, spam_reasons = score_spam(text, found_words)
        look = self._router.look(found_words, _known(spoken.code))
        is_news = mention.kind is _ARTICLE and is_report(found_words, spoken.code)
        if is_news:
            look = self._router.of_report(look)
        sentiment = self._feeling.judge(text, spoken.code, found_words, mention.rating, look.intents)
        if is_news:
            sentiment = reported(sentiment)
        if self._learned is not None:
            spam, sentiment = self._taught.spam(found_words, spam), self._taught.sentiment(found_words, sentiment)
        reading = self._router.read(
            text,
            found_words,
            look,
            sentiment=sentiment.score,
            rating=stars(mention.rating),
            kind=mention.kind,
        )
        return Seen(
            mention, brands, campaigns, found_words, spoken.code, spoken.by, spam, spam_reasons, sentiment, reading
        )

    def _match_routes(self, seen: Seen, early: Early) -> Matched:
        """Return the company's routes that match; what was judged is put together only where one may ask for it."""
        if not self._queries.needs_facts(early):
            return self._queries.routes(seen.mention, early, None)
        feeling, shares = seen.sentiment, seen.reading.shares
        facts: dict[str, Any] = {
            "brand": tuple(seen.brands),
            "campaign": seen.campaigns,
            "language": seen.language,
            "sentiment": feeling.label.value,
            "sentiment.score": feeling.score,
            "sentiment.vader": feeling.vader,
            "sentiment.confidence": feeling.confidence,
            "spam": seen.spam,
            "intent": seen.reading.intents,
            "department": max(shares, key=shares.__getitem__),
            "priority": urgency(seen.mention, seen.reading, feeling, seen.spam, NO_ORDERS, (), self._soon).value,
        }
        return self._queries.routes(seen.mention, early, facts)

    def _decide(self, seen: Seen, said: Orders, memory: Memory, now: datetime) -> JudgedMention:
        """Put together what was found: outcome, departments, priority, story, and the reasons."""
        mention, reading = seen.mention, seen.reading
        outcome, reason = _ROUTED, None
        if said.muted_by is not None:
            placing = Placing((), f"rule:{said.muted_by}", None, 1.0)
            outcome, reason = Outcome.DISCARDED, Reason.MUTED
        elif seen.spam >= QUARANTINE:
            placing = Placing((REVIEW,), "quarantine", None, seen.spam)
            reason = Reason.SPAM
        else:
            placing = self._departments.place(reading.shares, said)
        rules = reading.rules
        if said.matched:
            rules = (*(_fired(route, terms) for route, terms in said.matched), *rules)
        return judged_from(
            mention,
            now,
            outcome=outcome,
            reason=reason,
            language=seen.language,
            brands=tuple(seen.brands),
            towards=self._towards(seen) if len(seen.brands) > 1 else _NO_TOWARDS,
            sentiment=seen.sentiment,
            spam=seen.spam,
            intents=reading.intents,
            departments=placing.departments,
            department_scores=reading.shares,
            priority=urgency(mention, reading, seen.sentiment, seen.spam, said, placing.departments, self._soon),
            story=memory.story(seen.words, mention.id),
            campaigns=seen.campaigns,
            decision=Decision(
                by=placing.by,
                version=self.version,
                rules=rules,
                model=reading.model,
                matched=dict(seen.brands),
                language_by=seen.language_by,
                spam_reasons=seen.spam_reasons,
                nearly=placing.nearly,
                confidence=rounded(placing.confidence, 4),
                learned=self._learned,
                deep=None if self._tiers is None else self._tiers.spoke,
            ),
        )

    def _towards(self, seen: Seen) -> dict[str, Towards]:
        """Return what a mention of several brands says of each."""
        known = _known(seen.language)

        def feel(piece: str) -> Sentiment:
            found = words(piece)
            return self._shipped.judge(piece, seen.language, found, None, self._router.look(found, known).intents)

        return towards(whole_text(seen.mention), seen.brands, seen.language, seen.sentiment, feel)

    def _digest(self) -> str:
        spam = shipped_signs().version
        known = f"{self._router.version} {self._feeling.version} {spam} {self._taught.version} {self._fixed}"
        return hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()[:12]


def _known(language: str) -> str | None:
    return None if language == UNKNOWN else language


def _fired(route: Route, terms: tuple[str, ...]) -> Fired:
    return Fired(name=route.name, department=route.to[0] if route.to else None, weight=1.0, terms=terms)


def _age(mention: Mention, now: datetime) -> float:
    """Return the age in seconds; negative for a mention from the future."""
    return (now - mention.created_at).total_seconds()
