"""Writes the mention that stands at a place in the sequence, and what is true of it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from connectors.simulator import phrases, rhythm, topics
from connectors.simulator.incidents import STORY, Incident
from connectors.simulator.threads import Follow, Followed, Place
from connectors.simulator.topics import NEGATIVE, POSITIVE, Topic
from connectors.simulator.truth import Labels
from connectors.simulator.world import (
    BRAND,
    FORUM,
    OWN,
    PRODUCTS,
    SHOP,
    STORES,
    Channel,
    Product,
    Weighted,
    people,
)
from pipeline.contract.events import Author, Engagement, Kind, Label, Mention, Rating, State

if TYPE_CHECKING:
    from connectors.simulator.script import Scenario

SOURCE: Final = "simulator"
SAYS_LANGUAGE: Final = 0.7  # share of mentions whose language the source says
COPY_WITH_HANDLE: Final = 0.4  # share of copies that say whom they repeat
_TAG: Final = re.compile(r"#(\w+)")
_LINK: Final = re.compile(r"https?://\S+")
_STARS: Final = {Label.NEGATIVE: (1, 1, 1, 2, 2), Label.NEUTRAL: (3, 3, 4), Label.POSITIVE: (5, 5, 5, 4)}


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is to be written."""

    topic: Topic
    language: str
    product: Product
    channel: Channel


class Writer:
    """Writes mentions of one scenario. Everything is drawn from the generator that is handed in."""

    def __init__(self, scenario: Scenario) -> None:
        self._seed = scenario.seed
        self._scenario = scenario
        self._people = people(scenario.seed, scenario.authors, scenario.languages)
        self._languages = dict(scenario.languages)
        self._ordinary = Weighted(topics.ORDINARY, [one.weight for one in topics.ORDINARY])
        self._products = {
            form: tuple(one for one in PRODUCTS if one.name in scenario.products and form in (one.form, "any"))
            or tuple(one for one in PRODUCTS if form in (one.form, "any"))
            for form in ("app", "device", "any")
        }
        self._channels: dict[tuple[Channel, ...], Weighted[Channel]] = {}
        self._mixes: dict[int, Weighted[str]] = {}
        self._handled = {one.name: one for one in (*topics.ORDINARY, *topics.OF_INCIDENT.values())}

    # --------------------------------------------------------------------------------------------- originals

    def original(self, rng: random.Random, place: Place) -> tuple[Mention, Labels]:
        """Return the mention at a place, and its labels."""
        if place.stream:
            return self._of_incident(rng, place, self._scenario.incidents[place.stream - 1])
        chance, language = rng.random(), self._language(rng, place.minute)
        if chance < self._scenario.spam:
            return self._written(rng, place, self._choice(rng, topics.SPAM, language), self._people.bot(rng, language))
        is_unrelated = chance < self._scenario.spam + self._scenario.unrelated
        topic = topics.RIVAL if is_unrelated else self._ordinary.draw(rng)
        return self._written(rng, place, self._choice(rng, topic, language), self._people.one(rng, language))

    def _of_incident(self, rng: random.Random, place: Place, incident: Incident) -> tuple[Mention, Labels]:
        given = {"version": incident.version(self._seed)}
        languages = tuple(self._languages)
        begins = place.minute == incident.starts and place.index < len(languages)
        language = languages[place.index] if begins else self._language(rng, place.minute)
        choice = self._choice(rng, topics.OF_INCIDENT[incident.kind], language)
        if begins:
            author = self._people.known(rng, language)
            text = phrases.of(language).story(rng, incident.kind, given)
            return self._written(rng, place, choice, author, text=text, incident=incident.name)
        author = self._people.one(rng, language)
        if choice.channel.kind is Kind.REVIEW or rng.random() >= STORY:
            return self._written(rng, place, choice, author, incident=incident.name, given=given)
        text = phrases.of(language).story(rng, incident.kind, given)
        first = Place(incident.starts, place.stream, languages.index(language))
        origin = f"{SOURCE}:{self._seed}-{first.name}"
        return self._written(rng, place, choice, author, text=text, incident=incident.name, duplicate_of=origin)

    def _written(
        self,
        rng: random.Random,
        place: Place,
        choice: _Choice,
        author: Author,
        *,
        text: str | None = None,
        given: dict[str, str] | None = None,
        incident: str | None = None,
        duplicate_of: str | None = None,
    ) -> tuple[Mention, Labels]:
        topic, channel, native = choice.topic, choice.channel, f"{self._seed}-{place.name}"
        spoken = phrases.of(choice.language)
        is_relevant = topic is not topics.RIVAL
        text = text or spoken.text(rng, topic, choice.product, channel.details, given)
        if is_relevant and not channel.is_about:
            text = _addressed(rng, text)
        is_review = channel.kind is Kind.REVIEW
        followers = author.followers or 0
        mention = Mention(
            id=f"{SOURCE}:{native}",
            source=SOURCE,
            native_id=native,
            created_at=(at := _instant(place.minute * 60_000 + place.millisecond)),
            collected_at=at,
            text=text,
            title=spoken.title(rng, topic.sentiment) if is_review and rng.random() < 0.6 else None,
            kind=Kind.POST if channel is FORUM and topic.intent not in ("question", "problem") else channel.kind,
            language=choice.language if rng.random() < SAYS_LANGUAGE else None,
            url=f"https://{channel.subject}.example/{native}",
            author=author,
            conversation=f"{SOURCE}:{native}",
            rating=Rating(value=float(rng.choice(_STARS[topic.sentiment]))) if is_review else None,
            engagement=Engagement(likes=int(followers * 0.03 * rng.random() ** 3)) if rng.random() < 0.6 else None,
            subject=channel.subject,
            tags=_unique(tag.lower() for tag in _TAG.findall(text)),
            links=_unique(_LINK.findall(text)),
        )
        return mention, Labels(
            id=mention.id,
            topic=topic.name,
            language=choice.language,
            departments=topic.departments,
            sentiment=topic.sentiment,
            intent=topic.intent,
            is_spam=topic is topics.SPAM,
            is_irony=topic.is_irony,
            is_relevant=is_relevant,
            incident=incident,
            duplicate_of=duplicate_of,
        )

    # ----------------------------------------------------------------------------------------- what follows

    def followed(
        self, rng: random.Random, followed: Followed, parent: Mention, labels: Labels
    ) -> tuple[Mention, Labels] | None:
        """Return what follows a mention, and its labels; None where such a mention has none."""
        if followed.follow is Follow.DELETION:
            gone = msgspec.structs.replace(
                parent,
                state=State.DELETED,
                revision=followed.at,
                collected_at=_instant(followed.at),
                text="",
                title=None,
                author=None,
                rating=None,
                engagement=None,
                tags=(),
                links=(),
            )
            return gone, labels
        if labels.is_spam or not labels.is_relevant:
            return None
        if followed.follow is Follow.EDIT:
            more = phrases.of(labels.language).edit(rng, rng.choice(PRODUCTS))
            edited = msgspec.structs.replace(
                parent,
                state=State.EDITED,
                revision=followed.at,
                collected_at=_instant(followed.at),
                text=f"{parent.text} {more}",
            )
            return edited, labels
        return (
            self._copy(rng, followed, parent, labels)
            if followed.follow is Follow.COPY
            else self._reply(rng, followed, parent, labels)
        )

    def _copy(
        self, rng: random.Random, followed: Followed, parent: Mention, labels: Labels
    ) -> tuple[Mention, Labels] | None:
        """Return the same text by somebody else: word for word, or with a handle in front or an address behind."""
        if parent.kind is Kind.REVIEW or labels.topic == "press":
            return None
        text, chance = parent.text, rng.random()
        if chance < COPY_WITH_HANDLE:
            text = f"RT @{(parent.author.handle if parent.author else None) or 'someone'}: {text}"
        elif chance < 0.6:
            text = f"{text} https://short.example/{rng.randrange(36**5):x}"
        copy = self._next(rng, followed, parent, labels.language, text, conversation=None)
        return copy, msgspec.structs.replace(labels, id=copy.id, duplicate_of=labels.duplicate_of or labels.id)

    def _reply(
        self, rng: random.Random, followed: Followed, parent: Mention, labels: Labels
    ) -> tuple[Mention, Labels] | None:
        if followed.number == 0 and rng.random() < 0.3:
            topic, author = topics.OFFICIAL, rng.choice(OWN)
        elif parent.kind is Kind.REVIEW:
            return None  # stores let nobody answer but the company
        else:
            topic = self._answer(labels)
            author = self._people.one(rng, labels.language)
        handle = (parent.author.handle if parent.author else None) or "all"
        said = phrases.of(labels.language).text(rng, topic, rng.choice(PRODUCTS), 0.4)
        is_own = topic is topics.OFFICIAL
        text = f"@{handle} {said}" if is_own else _addressed(rng, f"@{handle} {said}")
        reply = self._next(rng, followed, parent, labels.language, text, author=author, conversation=parent.id)
        return reply, Labels(
            id=reply.id,
            topic=topic.name,
            language=labels.language,
            departments=topic.departments,
            sentiment=topic.sentiment,
            intent=topic.intent,
            is_own=is_own,
            incident=labels.incident,
        )

    def _answer(self, labels: Labels) -> Topic:
        if labels.sentiment is NEGATIVE:
            return topics.metoo(self._handled[labels.topic])
        return topics.CHEER if labels.sentiment is POSITIVE else topics.TIP

    def _next(
        self,
        rng: random.Random,
        followed: Followed,
        parent: Mention,
        language: str,
        text: str,
        *,
        author: Author | None = None,
        conversation: str | None,
    ) -> Mention:
        native = f"{parent.native_id}-{followed.follow.value}{followed.number}"
        mention_id = f"{SOURCE}:{native}"
        return Mention(
            id=mention_id,
            source=SOURCE,
            native_id=native,
            created_at=(at := _instant(followed.at)),
            collected_at=at,
            text=text,
            kind=Kind.COMMENT if conversation else parent.kind,
            language=parent.language,
            url=f"https://{parent.subject}.example/{native}",
            author=author or self._people.one(rng, language),
            conversation=conversation or mention_id,
            in_reply_to=parent.id if conversation else None,
            subject=parent.subject,
            tags=_unique(tag.lower() for tag in _TAG.findall(text)),
            links=_unique(_LINK.findall(text)),
        )

    # ------------------------------------------------------------------------------------------------ choices

    def _language(self, rng: random.Random, minute: int) -> str:
        """Return a language, by who is awake at that time of day."""
        slot = minute // 15
        mix = self._mixes.get(slot)
        if mix is None:
            if len(self._mixes) > 1000:
                self._mixes.clear()
            shares = rhythm.mix(self._languages, slot * 15)
            mix = self._mixes[slot] = Weighted(tuple(shares), tuple(shares.values()))
        return mix.draw(rng)

    def _choice(self, rng: random.Random, topic: Topic, language: str) -> _Choice:
        channels = self._channels.get(topic.channels)
        if channels is None:
            weights = [channel.share or 1.0 for channel in topic.channels]
            channels = self._channels[topic.channels] = Weighted(topic.channels, weights)
        channel = channels.draw(rng)
        # An app store reviews the app, the shop what comes in a parcel.
        about = "app" if channel in STORES else "device" if channel is SHOP else topic.about
        return _Choice(topic, language, rng.choice(self._products[about]), channel)


def _addressed(rng: random.Random, text: str) -> str:
    """Return the text so that it names the company: where nobody has asked, a name must be in it to be found."""
    name = BRAND.lower()
    return text if name in text.lower() else f"{text} {rng.choice(('@', '#'))}{name}"


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _unique(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))
