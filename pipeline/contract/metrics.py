"""Every metric of earshot, with its meaning. Nothing else declares metrics; dashboards and rules may use only these.

Prometheus conventions: prefix `earshot_`, base units, `_total` on counters, labels from closed or configured sets
(connector, stage, topic, department, brand, reason, notifier), never an author, a text, an id or an address.
For every stage: received = processed + discarded + dead-lettered, and a test adds it up. Counters of a stage move
after its transaction is committed, so an aborted batch is never counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_QUICK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_AGES: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, 604800.0)


class Distribution(Histogram):
    """A histogram that takes the values of a whole batch at once: one by one they cost more than some stages do."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Count each of the amounts, as `observe` does."""
        self._raise_if_not_observable()  # type: ignore[no-untyped-call]
        places = Counts(bisect_left(self._upper_bounds, amount) for amount in amounts)
        self._sum.inc(sum(amounts))
        for place, count in places.items():
            self._buckets[place].inc(count)


class Metrics:
    """All metrics, in one registry. A role makes one and hands it to its parts; a test makes its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Distribution:
            return Distribution(name, meaning, labels, registry=registry, buckets=buckets)

        self.build_info = gauge(
            "earshot_build_info",
            "Always 1; the version is a label, and whether triage's core is compiled or pure Python.",
            "version",
            "python",
            "core",
        )

        # connectors
        self.source_requests = counter(
            "earshot_source_requests_total", "Requests to a source by outcome.", "connector", "outcome"
        )
        self.source_request_seconds = histogram(
            "earshot_source_request_duration_seconds", "Time a source takes to answer.", _QUICK, "connector"
        )
        self.source_state = gauge(
            "earshot_source_state", "1 for the state a source is in, 0 for the others.", "connector", "state"
        )
        self.source_last_success = gauge(
            "earshot_source_last_success_timestamp_seconds", "When a source last answered.", "connector"
        )
        self.source_feeds = gauge(
            "earshot_source_feeds",
            "Feeds of a source by how they are heard: pushed, polled, failing.",
            "connector",
            "state",
        )
        self.source_last_mention = gauge(
            "earshot_source_last_mention_timestamp_seconds", "created_at of the newest mention heard.", "connector"
        )
        self.source_quota = gauge(
            "earshot_source_quota_remaining_ratio", "Share of the source's rate limit that is left.", "connector"
        )
        self.mentions_received = counter(
            "earshot_mentions_received_total", "Mentions a connector read, before its own duplicates go.", "connector"
        )
        self.mentions_published = counter(
            "earshot_mentions_published_total", "Mentions committed to the topic mentions.", "connector"
        )
        self.mentions_repeated = counter(
            "earshot_mentions_repeated_total", "Mentions a connector had already published.", "connector"
        )
        self.source_gap_seconds = counter(
            "earshot_source_gap_seconds_total", "Time at a source that is known not to have been heard.", "connector"
        )
        self.source_limited_seconds = counter(
            "earshot_source_limited_seconds_total",
            "Time in which a rate limit or a budget did not let us ask a source.",
            "connector",
        )
        self.source_used = gauge(
            "earshot_source_limit_used",
            "Requests, units or money that count against a declared limit.",
            "connector",
            "limit",
        )
        self.source_limit = gauge(
            "earshot_source_limit", "A declared limit: the most requests, units or money.", "connector", "limit"
        )
        self.source_coverage = gauge(
            "earshot_source_coverage_ratio",
            "Mentions seen of those a source said there were, in the last walk through its answers.",
            "connector",
        )
        self.source_missed = gauge(
            "earshot_source_missed_mentions",
            "Mentions that would have been usual since the last one came, by the source's own rhythm.",
            "connector",
        )
        self.source_empty_seconds = gauge(
            "earshot_source_empty_seconds", "Time for which a source has answered without anything new.", "connector"
        )
        self.webhook_requests = counter(
            "earshot_webhook_requests_total", "Inbound webhook requests by outcome.", "connector", "outcome"
        )

        # every stage
        self.received = counter("earshot_stage_messages_received_total", "Messages a stage read.", "stage")
        self.processed = counter(
            "earshot_stage_messages_processed_total", "Messages a stage carried out (neither below).", "stage"
        )
        self.discarded = counter(
            "earshot_stage_messages_discarded_total", "Messages set aside on purpose, by reason.", "stage", "reason"
        )
        self.dead_letters = counter(
            "earshot_dead_letters_total", "Messages that could not be carried out, by reason.", "stage", "reason"
        )
        self.sent = counter("earshot_stage_messages_sent_total", "Messages a stage wrote, by topic.", "stage", "topic")
        self.stage_seconds = histogram(
            "earshot_stage_duration_seconds", "Time of one batch from read to commit.", _QUICK, "stage"
        )
        self.transactions = counter(
            "earshot_stage_transactions_total",
            "Transactions by outcome (committed, aborted, fenced).",
            "stage",
            "outcome",
        )
        self.mention_age = histogram(
            "earshot_mention_age_seconds",
            "Now minus collected_at when a stage has committed a mention.",
            _AGES,
            "stage",
        )
        self.source_delay = histogram(
            "earshot_mention_source_delay_seconds",
            "collected_at minus created_at: how late a source tells us.",
            _AGES,
            "connector",
        )
        self.lag = gauge("earshot_stage_lag_messages", "Committed messages a stage has not read.", "stage", "topic")
        self.heartbeat = gauge(
            "earshot_heartbeat_timestamp_seconds", "When the last heartbeat passed this stage.", "stage"
        )
        self.heartbeat_seconds = gauge(
            "earshot_heartbeat_duration_seconds", "The last heartbeat's time for the whole way.", "stage"
        )
        self.restarts = counter("earshot_worker_restarts_total", "Workers started again after they ended.", "stage")
        self.workers = gauge("earshot_workers", "Workers of a stage that are running.", "stage")

        # judgement
        self.routed = counter("earshot_mentions_routed_total", "Mentions routed, by department.", "department")
        self.deep_texts = counter(
            "earshot_sentiment_deep_texts_total",
            "Uncertain texts: asked of the stronger sentiment model, known from before, beyond its time, or failed.",
            "outcome",
        )
        self.deep_seconds = counter(
            "earshot_sentiment_deep_seconds_total", "Time that the stronger sentiment model took for uncertain texts."
        )
        self.judged = counter(
            "earshot_mentions_judged_total", "Relevant mentions by brand and sentiment.", "brand", "sentiment"
        )
        self.rule_hits = counter("earshot_rule_hits_total", "Mentions a routing rule spoke for.", "rule")
        self.languages = counter("earshot_mentions_language_total", "Relevant mentions by language.", "language")

        # learning
        self.feedback = counter(
            "earshot_feedback_labels_total",
            "Labels that were learned, by what the version in service had said and what was said.",
            "about",
            "said",
            "truth",
        )
        self.feedback_departments = counter(
            "earshot_feedback_departments_total",
            "Feedback on decisions, by department that had the mention and whether rightly (right, wrong).",
            "department",
            "verdict",
        )
        self.feedback_rules = counter(
            "earshot_feedback_rules_total",
            "Feedback on decisions, by rule that had spoken and whether the mention went right (right, wrong).",
            "rule",
            "verdict",
        )
        self.feedback_requests = counter(
            "earshot_feedback_requests_total", "Requests of the feedback webhook by outcome.", "outcome"
        )
        self.lesson_seconds = histogram(
            "earshot_lesson_duration_seconds",
            "From said to learned by a worker of the stage, whose next decision is made with it.",
            _QUICK,
            "stage",
        )
        self.lessons = gauge("earshot_lessons", "Number of the last lesson that a worker has learned.", "stage")
        self.model_info = gauge(
            "earshot_model_info",
            "Always 1; the version in service is a label, empty where it is what is shipped.",
            "about",
            "version",
        )
        self.model_changes = counter(
            "earshot_model_changes_total",
            "Versions promoted, kept, rolled back or discarded.",
            "about",
            "change",
        )
        self.model_evidence = gauge(
            "earshot_model_evidence",
            "How many times better or worse (which) a candidate has predicted labels than the version kept.",
            "about",
            "which",
        )
        self.model_loss = gauge(
            "earshot_model_loss",
            "Mean log-loss on labels before they are learned: of shipped, service and candidate.",
            "about",
            "model",
        )
        self.model_drift = gauge(
            "earshot_model_drift",
            "Standard deviations by which the version in service was right more often than it said, lately.",
            "about",
        )

        # reputation and alerts
        self.brand_mentions = gauge("earshot_brand_mentions", "Mentions in the current window.", "brand")
        self.brand_baseline = gauge("earshot_brand_mentions_baseline", "What is usual for that window.", "brand")
        self.brand_negative = gauge("earshot_brand_negative_ratio", "Negative share of the current window.", "brand")
        self.brand_reach = gauge("earshot_brand_reach", "Followers reached in the current window.", "brand")
        self.late = counter("earshot_pulse_late_total", "Pulse records older than the windows kept.", "brand")
        self.incidents = gauge("earshot_incidents_firing", "Incidents that are firing.", "brand", "severity")
        self.alerts = counter("earshot_alerts_total", "Alert records written.", "brand", "name", "status")
        self.notifications = counter("earshot_notifications_total", "Notifications delivered.", "notifier", "status")
        self.notifications_failed = counter(
            "earshot_notifications_failed_total", "Attempts that failed, by reason.", "notifier", "reason"
        )
        self.notifications_held = counter(
            "earshot_notifications_held_total", "Alerts nobody was told of, by reason.", "reason"
        )

    def declare(self, stage: str, *, reasons: Iterable[str] = (), topics: Iterable[str] = ()) -> None:
        """Make a stage's series exist with value 0, so that a rate exists before the first event."""
        for plain in (self.received, self.processed):
            plain.labels(stage)
        for reason in reasons:
            self.discarded.labels(stage, reason)
            self.dead_letters.labels(stage, reason)
        for topic in topics:
            self.sent.labels(stage, topic)
        for outcome in ("committed", "aborted"):
            self.transactions.labels(stage, outcome)
