"""The events on the topics, as types. JSON Schema, examples and the AsyncAPI page are made from this file.

A `Mention` is one text by one author at one address. The field names map to ActivityStreams 2.0 (posts, comments)
and schema.org Review (reviews); `mapping.md` beside this file says how. Instants are aware UTC `datetime` and end
in `_at`. Unknown fields are ignored when read, so that a field can be added without breaking older readers.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

Instant = Annotated[datetime, Meta(tz=True, description="An instant in UTC, RFC 3339.")]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Polarity = Annotated[float, Meta(ge=-1.0, le=1.0)]


class State(StrEnum):
    """What became of a mention at its source. Everything but `live` and `edited` withdraws it."""

    LIVE = "live"
    EDITED = "edited"
    DELETED = "deleted"  # by its author
    REMOVED = "removed"  # by a moderator or the platform
    WITHHELD = "withheld"  # hidden in some countries
    UNAVAILABLE = "unavailable"  # gone for a reason that may pass (account suspended, made private)


class Kind(StrEnum):
    """The form a mention has at its source."""

    POST = "post"
    COMMENT = "comment"
    REVIEW = "review"
    ARTICLE = "article"
    QUESTION = "question"
    MESSAGE = "message"


class Author(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who wrote it, as far as the source says. All fields are optional: feeds often give a name only."""

    id: str | None = None
    handle: str | None = None
    name: str | None = None
    url: str | None = None
    followers: Annotated[int, Meta(ge=0)] | None = None
    created_at: Instant | None = None
    bot: bool | None = None


class Rating(Struct, frozen=True, kw_only=True):
    """Stars, with the scale they were given on (schema.org Rating: ratingValue, bestRating, worstRating)."""

    value: float
    best: float = 5.0
    worst: float = 1.0


class Engagement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts at the time of collection; they only ever grow old."""

    likes: int | None = None
    replies: int | None = None
    shares: int | None = None
    quotes: int | None = None
    views: int | None = None


class Mention(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text by one author at one address.

    `id` is `source:native_id`. `revision` grows with each edit (0 first; an edit's time in epoch milliseconds where
    the source gives one). `conversation` is the native id of the thread's first mention, prefixed like `id`.
    """

    id: str
    source: str
    native_id: str
    created_at: Instant
    collected_at: Instant
    text: str = ""
    title: str | None = None
    revision: Annotated[int, Meta(ge=0)] = 0
    state: State = State.LIVE
    kind: Kind = Kind.POST
    language: str | None = None
    url: str | None = None
    author: Author | None = None
    conversation: str | None = None
    in_reply_to: str | None = None
    rating: Rating | None = None
    engagement: Engagement | None = None
    subject: str | None = None  # what is reviewed or where it was said: app id, place, forum, channel
    tags: tuple[str, ...] = ()  # hash tags, lower-case, without #
    links: tuple[str, ...] = ()
    connector: str | None = None  # the configured source instance that heard it
    backfill: bool = False  # from the past: counted, routed, never pages on-call

    @property
    def key(self) -> str:
        """The key on `mentions` and everything made from it: a thread stays in order in one partition."""
        return self.conversation or self.id

    @property
    def is_withdrawn(self) -> bool:
        """Whether the source took it back."""
        return self.state not in (State.LIVE, State.EDITED)


class Outcome(StrEnum):
    """What triage did with a mention."""

    ROUTED = "routed"
    DISCARDED = "discarded"
    DEAD_LETTERED = "dead-lettered"


class Reason(StrEnum):
    """Why a mention was discarded, quarantined or dead-lettered: a closed set, used as a metric label."""

    NOT_RELEVANT = "not_relevant"
    DUPLICATE = "duplicate"
    OWN_ACCOUNT = "own_account"
    TOO_OLD = "too_old"
    EMPTY = "empty"  # neither text nor title nor rating
    WITHDRAWN = "withdrawn"
    HEARTBEAT = "heartbeat"
    MUTED = "muted"  # a rule says: nobody
    SPAM = "spam"  # quarantined on department-review, not discarded
    UNDECODABLE = "undecodable"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    FAILED = "failed"  # an error of ours


class Label(StrEnum):
    """The feeling of a text."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class Priority(StrEnum):
    """How soon a department should look."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Sentiment(Struct, frozen=True, kw_only=True):
    """`score` is -1 to 1; `vader` is vaderSentiment's compound, null where the language is not English."""

    label: Label
    score: Polarity
    vader: float | None = None
    confidence: Share = 0.5


class Fired(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule or model term that spoke, and what it said. `terms` are the words it saw."""

    name: str
    department: str | None = None
    weight: float = 0.0
    terms: tuple[str, ...] = ()


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a mention went where it went; enough to repeat the decision later."""

    by: str  # "rule:<name>", "model", "review", "quarantine", "discard"
    version: str  # of rules and models together: sha256, first 12 digits
    rules: tuple[Fired, ...] = ()
    model: tuple[Fired, ...] = ()
    matched: dict[str, tuple[str, ...]] = field(default_factory=dict)  # brand -> terms that matched
    language_by: str | None = None
    spam_reasons: tuple[str, ...] = ()
    nearly: str | None = None  # the department that came next
    confidence: Share = 0.0


class JudgedMention(Mention, frozen=True, kw_only=True, omit_defaults=False):
    """A mention with what triage decided: the value on `mentions-enriched` and `department-*`. Every key is written."""

    outcome: Outcome
    sentiment: Sentiment
    decision: Decision
    reason: Reason | None = None
    brands: tuple[str, ...] = ()
    spam: Share = 0.0
    intents: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    department_scores: dict[str, float] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    story: str | None = None  # mentions that say the same share it
    campaigns: tuple[str, ...] = ()
    judged_at: Instant | None = None


class Counts(Struct, kw_only=True, omit_defaults=True):
    """How often, in one slice of `pulse`. Additive: two can be summed field by field."""

    mentions: int = 0
    negative: int = 0
    neutral: int = 0
    positive: int = 0
    score_sum: float = 0.0
    reach: int = 0  # sum of the authors' followers


class Top(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mention worth quoting in an alert, without its author's name."""

    id: str
    reach: int = 0
    label: Label = Label.NEUTRAL
    url: str | None = None
    story: str | None = None


class Pulse(Struct, kw_only=True, omit_defaults=True):
    """What one triage batch saw of a brand at one source in one minute of event time.

    Additive: several of the same brand, source and minute are summed by the reader. Backfilled mentions are counted
    in records of their own (`backfill`), so that they fill baselines without waking anybody.
    """

    brand: str
    source: str
    minute: int  # epoch minutes of `created_at`
    counts: Counts
    sent_at: Instant
    departments: dict[str, int] = field(default_factory=dict)
    intents: dict[str, int] = field(default_factory=dict)
    campaigns: dict[str, Counts] = field(default_factory=dict)
    authors: tuple[int, ...] = ()  # k smallest 32-bit hashes of author ids: a distinct-count sketch
    stories: dict[str, int] = field(default_factory=dict)  # most repeated stories
    terms: dict[str, int] = field(default_factory=dict)
    top: tuple[Top, ...] = ()
    backfill: bool = False


class Tick(Struct, frozen=True, kw_only=True):
    """Time as an input: reputation looks at its windows when one arrives, so that silence can be noticed."""

    at: Instant
    partition: int


class Heartbeat(Struct, frozen=True, kw_only=True):
    """A synthetic mention's passage: sent by the connectors role, seen again at the end of the way."""

    partition: int
    sent_at: Instant
    stage: str  # the stage that passed it on last
    passed_at: Instant


class Severity(StrEnum):
    """critical: someone acts now; warning: someone acts some day; info: good to know."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertStatus(StrEnum):
    """An incident fires once and is resolved once; records in between update it."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Symptom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not as usual, with its figure and the baseline it is held against."""

    kind: str  # "spike", "drop", "negative_share", "tone"
    scope: str  # "brand", "source:<name>", "campaign:<name>"
    value: float
    baseline: float
    score: float  # how many times the alert's own threshold
    since: Instant


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One incident of one brand. All records of an incident carry the same `fingerprint`; `sequence` orders them."""

    fingerprint: str
    name: str  # "ReputationDamage", "PraiseSurge", "MentionsDrop"
    brand: str
    status: AlertStatus
    severity: Severity
    started_at: Instant
    updated_at: Instant
    sequence: int
    summary: str
    description: str
    symptoms: tuple[Symptom, ...] = ()
    top: tuple[Top, ...] = ()
    terms: tuple[str, ...] = ()
    sources: dict[str, int] = field(default_factory=dict)
    resolved_at: Instant | None = None
    runbook_url: str | None = None
    dashboard_url: str | None = None
    held: bool = False  # during backfill or replay: recorded, nobody is told


class Erasure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mention was withdrawn at its source or by request: whoever keeps a copy must erase it. Holds no text."""

    id: str
    reason: State
    at: Instant
    departments: tuple[str, ...] = ()


class Coverage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a connector heard of its source, and what it knows it did not hear."""

    connector: str
    source: str
    at: Instant
    seen: int = 0
    expected: int | None = None
    gap_from: Instant | None = None
    gap_until: Instant | None = None
    reason: str | None = None


class Checkpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a connector goes on from: the source's cursor and a bounded set of ids already published."""

    connector: str
    cursor: str | None
    seen: tuple[str, ...] = ()
    saved_at: Instant
