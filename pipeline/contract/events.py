"""The events on the topics, as types. JSON Schema, examples and the AsyncAPI page are made from this file.

A `Mention` is one text by one author at one address. The field names map to ActivityStreams 2.0 (posts, comments)
and schema.org Review (reviews); `mapping.md` beside this file says how. Instants are aware UTC `datetime` and end
in `_at`. Unknown fields are ignored when read, so that a field can be added without breaking older readers.

`gc=False`: of these there are many, and values hold no cycles, so Python's collector need not walk through them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

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


_AT_HOME: Final = (State.LIVE, State.EDITED)  # looked up once: Python 3.11 takes 0.2 µs for each


class Kind(StrEnum):
    """The form a mention has at its source."""

    POST = "post"
    COMMENT = "comment"
    REVIEW = "review"
    ARTICLE = "article"
    QUESTION = "question"
    MESSAGE = "message"


class Author(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who wrote it, as far as the source says. All fields are optional: feeds often give a name only."""

    id: str | None = None  # the source's own id of the account
    handle: str | None = None  # what the author is addressed by, without @
    name: str | None = None  # the name shown
    url: str | None = None  # the author's page
    followers: Annotated[int, Meta(ge=0)] | None = None  # accounts that follow the author; the author's reach
    created_at: Instant | None = None  # when the account was made
    bot: bool | None = None  # whether the source marks it as automated


class Rating(Struct, frozen=True, kw_only=True, gc=False):
    """Stars, with the scale they were given on (schema.org Rating: ratingValue, bestRating, worstRating)."""

    value: float  # the stars given
    best: float = 5.0  # the most that can be given
    worst: float = 1.0  # the least that can be given


class Engagement(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Counts at the time of collection; they only ever grow old."""

    likes: int | None = None  # approvals of any kind
    replies: int | None = None  # answers and comments
    shares: int | None = None  # reposts without words
    quotes: int | None = None  # reposts with words
    views: int | None = None  # times it was shown


class Mention(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One text by one author at one address.

    `id` is `source:native_id`. `revision` grows with each edit (0 first; an edit's time in epoch milliseconds where
    the source gives one). `conversation` is the native id of the thread's first mention, prefixed like `id`.
    """

    id: str  # `source:native_id`, the mention's name everywhere
    source: str  # the site or service, lower-case
    native_id: str  # the id as the source or the import gave it
    created_at: Instant  # when it was written, as the source says
    collected_at: Instant  # when a connector read it
    text: str = ""  # plain text; empty once it is withdrawn
    title: str | None = None  # of a review, an article, a question
    revision: Annotated[int, Meta(ge=0)] = 0  # 0 first, larger with every edit
    state: State = State.LIVE  # what became of it at its source
    kind: Kind = Kind.POST  # its form at the source
    language: str | None = None  # BCP 47, lower-case, as the source says or triage found
    url: str | None = None  # where a person can read it
    author: Author | None = None  # who wrote it
    conversation: str | None = None  # `source:native_id` of the first mention of the thread; the record's key
    in_reply_to: str | None = None  # `source:native_id` of what it answers
    rating: Rating | None = None  # the stars of a review
    engagement: Engagement | None = None  # counts at the time of collection
    subject: str | None = None  # what is reviewed or where it was said: app id, place, forum, channel
    tags: tuple[str, ...] = ()  # hash tags, lower-case, without #
    links: tuple[str, ...] = ()  # addresses in the text
    connector: str | None = None  # the configured source instance that heard it
    backfill: bool = False  # from the past: counted, routed, never pages on-call

    @property
    def key(self) -> str:
        """The key on `mentions` and everything made from it: a thread stays in order in one partition."""
        return self.conversation or self.id

    @property
    def is_withdrawn(self) -> bool:
        """Whether the source took it back."""
        return self.state not in _AT_HOME


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


class Sentiment(Struct, frozen=True, kw_only=True, gc=False):
    """`score` is -1 to 1; `vader` is vaderSentiment's compound, null where the language is not English."""

    label: Label  # negative, neutral or positive
    score: Polarity  # -1 to 1, from the best model for the language
    vader: float | None = None  # vaderSentiment's compound; null where the language is not English
    confidence: Share = 0.5  # how sure the label is


class Towards(Struct, frozen=True, kw_only=True, gc=False):
    """What a mention of several brands says of one of them."""

    label: Label  # negative, neutral or positive
    score: Polarity  # -1 to 1


class Fired(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One rule or model term that spoke, and what it said. `terms` are the words it saw."""

    name: str  # the rule or term
    department: str | None = None  # the department it speaks for
    weight: float = 0.0  # how much it counts; negative speaks against
    terms: tuple[str, ...] = ()  # the words it saw


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Why a mention went where it went; enough to repeat the decision later."""

    by: str  # "rule:<name>", "model", "review", "quarantine", "discard"
    version: str  # of rules and models together: sha256, first 12 digits
    rules: tuple[Fired, ...] = ()  # rules that matched
    model: tuple[Fired, ...] = ()  # the model's terms, the heaviest first
    matched: dict[str, tuple[str, ...]] = field(default_factory=dict)  # brand -> terms that matched
    language_by: str | None = None  # how the language was found
    spam_reasons: tuple[str, ...] = ()  # why it looks like spam
    nearly: str | None = None  # the department that came next
    confidence: Share = 0.0  # share of the best department
    learned: str | None = None  # the version of what was learned that had its say; null where nothing learned had
    deep: str | None = None  # the version of the stronger sentiment model, where it had its say


class JudgedMention(Mention, frozen=True, kw_only=True, omit_defaults=False, gc=False):
    """A mention with what triage decided: the value on `mentions-enriched` and `department-*`. Every key is written."""

    outcome: Outcome  # what triage did with it
    sentiment: Sentiment  # how it feels
    decision: Decision  # why it went where it went
    reason: Reason | None = None  # why it was discarded or quarantined; null when it was routed
    brands: tuple[str, ...] = ()  # whom it is about
    towards: dict[str, Towards] = field(default_factory=dict)  # what it says of each brand, where it has several
    spam: Share = 0.0  # 0 to 1; 0.5 and above is quarantined
    intents: tuple[str, ...] = ()  # what its author wants: problem, complaint, question, praise, …
    departments: tuple[str, ...] = ()  # who got it
    department_scores: dict[str, float] = field(default_factory=dict)  # share of each of the four shipped ones
    priority: Priority = Priority.NORMAL  # how soon to look
    story: str | None = None  # mentions that say the same share it
    campaigns: tuple[str, ...] = ()  # campaigns it belongs to
    judged_at: Instant | None = None  # when triage decided


class Counts(Struct, kw_only=True, omit_defaults=True, gc=False):
    """How often, in one slice of `pulse`. Additive: two can be summed field by field."""

    mentions: int = 0  # all of them
    negative: int = 0  # of these, negative
    neutral: int = 0  # of these, neutral
    positive: int = 0  # of these, positive
    score_sum: float = 0.0  # sum of the sentiment scores
    reach: int = 0  # sum of the authors' followers


class Top(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A mention worth quoting in an alert, without its author's name."""

    id: str  # `source:native_id`
    reach: int = 0  # followers of its author
    label: Label = Label.NEUTRAL  # its feeling
    url: str | None = None  # where a person can read it
    story: str | None = None  # the story it belongs to


class Pulse(Struct, kw_only=True, omit_defaults=True):
    """What one triage batch saw of a brand at one source in one minute of event time.

    Additive: several of the same brand, source and minute are summed by the reader. Backfilled mentions are counted
    in records of their own (`backfill`), so that they fill baselines without waking anybody.
    """

    brand: str  # whom it counts for; the record's key
    source: str  # where it was said
    minute: int  # epoch minutes of `created_at`
    counts: Counts  # of all mentions in this slice
    sent_at: Instant  # when triage wrote it
    departments: dict[str, int] = field(default_factory=dict)  # mentions by department
    intents: dict[str, int] = field(default_factory=dict)  # mentions by intent
    campaigns: dict[str, Counts] = field(default_factory=dict)  # counts by campaign
    authors: tuple[int, ...] = ()  # k smallest 32-bit hashes of author ids: a distinct-count sketch
    stories: dict[str, int] = field(default_factory=dict)  # most repeated stories
    terms: dict[str, int] = field(default_factory=dict)  # words said often, and how often
    top: tuple[Top, ...] = ()  # mentions with the largest reach
    backfill: bool = False  # from the past: fills baselines, wakes nobody


class Tick(Struct, frozen=True, kw_only=True):
    """Time as an input: reputation looks at its windows when one arrives, so that silence can be noticed."""

    at: Instant  # the wall clock
    partition: int  # the partition of `pulse` it is for


class Heartbeat(Struct, frozen=True, kw_only=True):
    """A synthetic mention's passage: sent by the connectors role, seen again at the end of the way."""

    partition: int  # the partition of `mentions` it went through
    sent_at: Instant  # when it set out
    stage: str  # the stage that passed it on last
    passed_at: Instant  # when that stage passed it on


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
    value: float  # mentions a minute, a share, or a mean score: what `kind` says
    baseline: float  # what is usual, in the same unit
    score: float  # how many times the alert's own threshold
    since: Instant  # first minute of the window


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One incident of one brand. All records of an incident carry the same `fingerprint`; `sequence` orders them."""

    fingerprint: str  # names the incident
    name: str  # "ReputationDamage", "PraiseSurge", "MentionsDrop"
    brand: str  # whom it is about
    status: AlertStatus  # firing until it is resolved
    severity: Severity  # how urgent it is
    started_at: Instant  # when the incident began
    updated_at: Instant  # when this record was made
    sequence: int  # 1 first, one more with every record of the incident
    summary: str  # one fixed sentence
    description: str  # what happened in words and figures; no texts, no names
    symptoms: tuple[Symptom, ...] = ()  # what is not as usual
    top: tuple[Top, ...] = ()  # mentions to read first
    terms: tuple[str, ...] = ()  # words said often
    sources: dict[str, int] = field(default_factory=dict)  # mentions by source in the window
    resolved_at: Instant | None = None  # when it ended; null while it fires
    runbook_url: str | None = None  # what to do
    dashboard_url: str | None = None  # where to look
    held: bool = False  # during backfill or replay: recorded, nobody is told


class Erasure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mention was withdrawn at its source or by request: whoever keeps a copy must erase it. Holds no text."""

    id: str  # `source:native_id` of the mention; the record's key
    reason: State  # what became of it at its source
    at: Instant  # when earshot learned of it
    departments: tuple[str, ...] = ()  # who had got it


class Coverage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a connector heard of its source, and what it knows it did not hear."""

    connector: str  # the configured source instance; the record's key
    source: str  # the site or service
    at: Instant  # when this was known
    seen: int = 0  # mentions heard since the record before
    expected: int | None = None  # mentions the source says there were; null where it does not say
    gap_from: Instant | None = None  # start of a time that was not heard
    gap_until: Instant | None = None  # end of a time that was not heard
    reason: str | None = None  # why it was not heard
    query: str | None = None  # which of the source's questions it is about; null for all of them
    usual: float | None = None  # mentions usual for the time since the record before, by the source's own rhythm
    newest_at: Instant | None = None  # `created_at` of the newest mention heard so far
    limited_seconds: float = 0.0  # time since the record before in which a rate limit or a budget did not let us ask


class Checkpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a connector goes on from: the source's cursor and a bounded set of ids already published."""

    connector: str  # the configured source instance; the record's key
    cursor: str | None  # the source's own position, opaque
    seen: tuple[str, ...] = ()  # ids already published, the newest last
    saved_at: Instant  # when it was stored
    waits_until: Instant | None = None  # the source is not asked before: it has said so, or a limit is used up
    newest_at: Instant | None = None  # `created_at` of the newest mention published
    rhythm: tuple[float, ...] = ()  # usual mentions in each hour of the UTC day; -1 for an hour never heard
    rhythm_at: Instant | None = None  # up to when it was learned
    this_hour: float = 0.0  # mentions in the hour that is not over
    quiet: float = 0.0  # mentions that would have been usual since the last one came


class Remembered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Mentions that a connector published together and will read again, for edits and deletions. Holds no text."""

    connector: str  # the configured source instance
    number: int  # which of its pages; the record's key is `connector/number`
    at: Instant  # when they were published
    ids: tuple[str, ...]  # their native ids
    threads: tuple[str | None, ...]  # their conversations, in the same order
    revisions: tuple[int, ...]  # their revisions, in the same order
    step: int = 0  # how often they were read again
    read_at: Instant | None = None  # when they were read last
    absent: tuple[str, ...] = ()  # native ids that were not there when they were read last
    doubts: int = 0  # how often nearly all of them were absent, which was not believed


class RawPayload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a source sent for a mention, as it came: only where a source's settings say `keep_raw`."""

    id: str  # `source:native_id` of the mention; the record's key
    connector: str  # the configured source instance
    at: Instant  # when it was read
    payload: str  # the object or frame as text, cut where it is very large


class Voice(StrEnum):
    """Who says it. A person's word weighs more than stars."""

    PERSON = "person"  # somebody of the company
    STARS = "stars"  # the stars that the author of a review gave


class Feedback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody says about a mention: a department's answer, a correction, or the stars of a review.

    At least one of `department`, `ours`, `done`, `sentiment` and `spam` says something. Without `mention` it is looked
    up by `id` among the decisions that are kept.
    """

    id: str  # `source:native_id` of the mention; the record's key
    at: Instant  # when it was said
    by: str  # who says it: a person's name in the company; of stars the review's author
    voice: Voice = Voice.PERSON  # whether a person or stars say it
    department: str | None = None  # the department that it belongs to; with `ours` or `done` the one that answers
    ours: bool = False  # who got it says: rightly so
    done: bool = False  # who got it has dealt with it
    sentiment: Label | None = None  # how it feels
    spam: bool | None = None  # whether it is spam
    mention: Mention | None = None  # the mention itself
    departments: tuple[str, ...] = ()  # who had got it
    rules: tuple[str, ...] = ()  # rules that had spoken when it was routed


class About(StrEnum):
    """What a lesson is about."""

    DEPARTMENT = "department"  # where a mention belongs
    SENTIMENT = "sentiment"  # how it feels
    SPAM = "spam"  # whether it is spam


class Lesson(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One label that was taken, as all workers learn it. Holds the words of a mention, not its text or author."""

    number: Annotated[int, Meta(ge=1)]  # 1 first, one more with each; the record's key is `lesson/number`
    id: str  # `source:native_id` of the mention
    said_at: Instant  # when it was said
    at: Instant  # when it was taken
    about: About  # what it is about
    truth: str  # what was said: one of the shipped departments, a feeling, `wanted` or `spam`
    weight: Share = 1.0  # how much it counts, beside a person's word
    author: str = ""  # whether a person or stars said it, and a digest of who
    source: str = ""  # the source of the mention
    words: tuple[str, ...] = ()  # what was read of the mention
    rules: tuple[str, ...] = ()  # shipped rules that fired
    feeling: Polarity = 0.0  # the shipped feeling, where it counts
    known: tuple[float, ...] = ()  # what the shipped parts say, in log-odds, one a class


class KeptModel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of what was learned up to a lesson, so that not all lessons are needed to know it."""

    number: Annotated[int, Meta(ge=1)]  # the last lesson it knows; the record's key is `kept/number/part`
    part: Annotated[int, Meta(ge=0)]  # which part this is, 0 first
    parts: Annotated[int, Meta(ge=1)]  # how many there are
    version: str  # the version in service; empty where it is what is shipped
    at: Instant  # when it was written down
    data: bytes  # the part itself: all parts together are zlib and JSON, the learning stage's own business
