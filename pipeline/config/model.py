"""The shape of `earshot.yaml`. The smallest valid file is `version: 1`.

Secrets are never in the file: a field of type `Secret` names an environment variable or a file that holds it.
Durations are seconds in Python and may be written as `30s`, `15m`, `6h`, `7d` in the file.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(value: object) -> object:
    """Return a duration such as `15m` as seconds; a plain number is already in seconds."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", value)
        if not found:
            raise ValueError("write a duration as a number with a unit: 30s, 15m, 6h or 7d")
        return float(found[1]) * _UNITS[found[2]]
    return value


Duration = Annotated[
    float,
    BeforeValidator(seconds, json_schema_input_type=float | str),
    Field(ge=0, description="A duration: 30s, 15m, 6h, 7d, or a number of seconds."),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,48}$")]
Query = Annotated[str, StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True)]


class Part(BaseModel):
    """Base of all parts: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Secret(Part):
    """Where a secret is: the name of an environment variable, or a file. Exactly one of the two."""

    env: str | None = None
    file: str | None = None


class Brand(Part):
    """A brand: what is said about it, and what it says itself."""

    query: Query
    """Lucene syntax: AND OR NOT, "phrases", "near words"~5, wild*cards, field:value, author.followers:[1000 TO *]."""
    own_accounts: list[str] = []
    """Handles, ids or profile addresses of the company itself; what they write is discarded as own_account."""
    languages: list[str] = []
    """Only these languages are relevant; empty means all."""


class Campaign(Part):
    """A campaign whose tone is watched on its own."""

    query: Query
    brand: str | None = None
    starts: str | None = None
    ends: str | None = None


class Department(Part):
    """Who gets mentions, on the topic department-<name>."""

    description: str = ""
    like: Literal["service", "support", "design", "marketing"] | None = None
    """Which of the four shipped departments this one is, for the shipped rules and model, when it has another name."""
    answer_within: Duration | None = None
    """The service level: how soon somebody should have looked, in seconds."""


class Route(Part):
    """A routing rule. Rules are tried in order; the first with `stop` ends the search."""

    name: Name
    when: Query
    to: list[Name] = []
    """Departments; several are allowed. Empty together with `mute: true` means nobody."""
    not_to: list[Name] = []
    """Departments this rule forbids, whatever other rules and the model say."""
    mute: bool = False
    priority: Literal["high", "normal", "low"] | None = None
    stop: bool = False
    examples: list[str] = []
    """Texts that must match: `earshot config check` tries them."""
    counter_examples: list[str] = []
    """Texts that must not match."""


class Routing(Part):
    """How mentions are routed."""

    shipped_rules: bool = True
    review_below: Annotated[float, Field(ge=0, le=1)] = 0.4
    """When the best department's score is below this, the mention goes to `review`."""
    also_above: Annotated[float, Field(ge=0, le=1)] = 0.45
    """A second department also gets the mention when its score is at least this."""


class Deep(Part):
    """A stronger sentiment model that is asked about uncertain mentions only. Needs `pip install 'earshot[deep]'`."""

    model: Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
    """A folder (./models/tone) with model.onnx and tokenizer.json, or a model of the Hugging Face hub (owner/name)."""
    revision: str | None = None
    """A model of the hub: branch, tag or commit. Name a commit, and every worker has the same."""
    labels: dict[str, Literal["negative", "neutral", "positive"]] = {}
    """What the model's labels mean; needed where they are not called negative, neutral and positive."""
    languages: list[str] = []
    """The languages it can read; empty means all."""
    uncertain: Annotated[float, Field(gt=0, le=1)] = 0.6
    """It is asked where the shipped model is less sure than this."""
    budget: Duration = 0.05
    """The model's time for one batch of mentions; what does not fit into it keeps the shipped model's answer."""
    batch: Annotated[int, Field(ge=1, le=256)] = 16
    """Texts that it is given at once."""
    longest: Annotated[int, Field(ge=8, le=512)] = 128
    """Tokens of a text that it reads."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Processor threads that it may use."""


class Feeling(Part):
    """How the feeling of mentions is found."""

    deep: Deep | None = None
    """Unset: the shipped model alone."""


class Triage(Part):
    """Limits of the triage stage."""

    batch: Annotated[int, Field(ge=1, le=20_000)] = 2000
    """Mentions in one transaction at the most."""
    linger: Duration = 0.05
    """How long a batch may wait for more mentions when there are few."""
    max_age: Duration | None = None
    """Older mentions are discarded as too_old; unset means none are."""
    dedup_window: Annotated[int, Field(ge=100, le=5_000_000)] = 50_000
    """How many recent mentions a partition remembers to recognise repeats."""
    dead_letter_limit: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The worker stops when more than this share of the last `dead_letter_window` messages were dead letters."""
    dead_letter_window: Annotated[int, Field(ge=10)] = 1000


class FeedbackWebhook(Part):
    """An address to which other programs send feedback, signed as Standard Webhooks says."""

    secret: Secret
    """Where the secret is that senders sign with: whsec_ and base64."""
    previous_secret: Secret | None = None
    """The secret before, while senders change over; take it out afterwards."""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for all. Put a proxy with TLS in front."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 9479
    """The port to listen at; 0 takes any that is free."""
    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$")] = "/feedback"
    """The path requests are sent to."""
    tolerance: Annotated[Duration, Field(gt=0)] = 300
    """How far the time of signing may be from now."""
    max_body: Annotated[int, Field(ge=1_000, le=50_000_000)] = 1_000_000
    """Bytes that a request may have."""


class Learning(Part):
    """What is learned from feedback, and how much anybody may teach."""

    proof: Annotated[float, Field(ge=2, le=1_000_000)] = 5
    """How many times better a candidate must have predicted the labels than what is in service, to replace it."""
    stars: bool = True
    """Whether the stars of reviews are labels of how their texts feel."""
    stars_weight: Annotated[float, Field(ge=0, le=1)] = 0.25
    """How much the stars of a review count, beside 1 for a person's word."""
    window: Duration = 86_400
    """The time over which labels are counted against the limits below."""
    per_author: Annotated[int, Field(ge=1)] = 500
    """Labels of one person that are learned in `window` at the most."""
    per_source: Annotated[int, Field(ge=1)] = 2000
    """Labels about mentions of one source that are learned in `window` at the most."""
    stars_per_author: Annotated[int, Field(ge=1)] = 5
    """Reviews of one author whose stars are learned in `window` at the most."""
    stars_per_source: Annotated[int, Field(ge=1)] = 500
    """Reviews of one source whose stars are learned in `window` at the most."""
    webhook: FeedbackWebhook | None = None
    """Unset: feedback comes by the command and by Kafka only."""


class AlertRules(Part):
    """When a brand's reputation has turned. One incident pages once."""

    window: Duration = 900
    """The window that is held against the baseline."""
    lateness: Duration = 300
    """How late a mention may be counted into its own minute."""
    baseline: Duration = 86_400
    """How much past the baseline looks at."""
    min_mentions: Annotated[int, Field(ge=1)] = 20
    """No alert on fewer mentions in the window."""
    spike: Annotated[float, Field(gt=0)] = 4.0
    """Standard deviations above the baseline."""
    drop: Annotated[float, Field(gt=0)] = 4.0
    """Standard deviations below the baseline; only where the baseline is at least min_mentions."""
    negative_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Negative share above the baseline's."""
    resolve_after: Duration = 900
    """Calm for this long resolves an incident."""


class Alerting(AlertRules):
    """Alert rules for all brands, and changes for single ones."""

    brands: dict[str, AlertRules] = {}


class Notifier(Part):
    """One receiver of alerts. `type` names the code; other fields are the type's own."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    type: Literal["alertmanager", "apprise", "webhook", "console"]
    severities: list[Literal["critical", "warning", "info"]] = ["critical", "warning"]
    """What it is told of. An alert that becomes one of these is told then."""
    repeat_every: Duration | None = None
    """How often an alert that still fires is told again, 0 for never; unset is 4h, and 1m for alertmanager."""
    give_up_after: Duration = 21_600
    """How long a receiver that does not answer is tried with one notification, which then is a dead letter."""


class Retention(Part):
    """How long mentions are kept on the topics."""

    mentions: Duration = 30 * 86_400
    raw: Duration = 7 * 86_400
    """How long what sources sent is kept, of sources with `keep_raw`."""


class Topics(Part):
    """How topics are laid out."""

    partitions: Annotated[int, Field(ge=1, le=1000)] = 4
    replication: Annotated[int, Field(ge=1, le=10)] = 1


class Source(Part):
    """One connector instance. `type` names the connector; other fields are its settings."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    type: Name
    enabled: bool = True
    keep_raw: bool = False
    """Whether what the source sent for each mention is kept, on the topic mentions-raw, for `retention.raw`."""

    def settings(self) -> dict[str, Any]:
        """Return the fields that are the connector's own."""
        return dict(self.model_extra or {})


class Up(Part):
    """What `earshot up` starts."""

    triage_workers: Annotated[int, Field(ge=1, le=64)] = 1
    reputation_workers: Annotated[int, Field(ge=1, le=64)] = 1
    connectors_workers: Annotated[int, Field(ge=1, le=16)] = 1
    notify_workers: Annotated[int, Field(ge=1, le=16)] = 1
    learning_workers: Annotated[int, Field(ge=1, le=16)] = 1
    """One learns, others take its place when it ends."""


DEFAULT_DEPARTMENTS = {
    "service": Department(description="Staff, delivery, delays, refunds, orders, complaints about treatment"),
    "support": Department(description="Broken things, errors, accounts, billing system, how-to"),
    "design": Department(description="Wishes, ideas, missing or unpleasant features and products"),
    "marketing": Department(description="Praise, advocacy, purchase intent, campaigns, press"),
}


class Config(Part):
    """All of `earshot.yaml`."""

    version: Literal[1]
    broker: str | None = None
    """embedded, memory, or host:port,… ; the command line and EARSHOT_BROKER come first."""
    brands: dict[Name, Brand] = {}
    """No brands: every mention is relevant."""
    sources: dict[Name, Source] = {}
    departments: dict[Name, Department] = DEFAULT_DEPARTMENTS
    routes: list[Route] = []
    routing: Routing = Routing()
    campaigns: dict[Name, Campaign] = {}
    sentiment: Feeling = Feeling()
    triage: Triage = Triage()
    learning: Learning = Learning()
    alerts: Alerting = Alerting()
    notifiers: dict[Name, Notifier] = {}
    retention: Retention = Retention()
    topics: Topics = Topics()
    up: Up = Up()
    heartbeat_interval: Duration = 5.0
    contact: str | None = None
    """Address in our User-Agent, so that a source's operator can reach you."""
